// SPDX-License-Identifier: Apache-2.0
#include "transport/lws_flow.h"

#include <gtest/gtest.h>

namespace chatsdk {
namespace {

TEST(LwsFlow, IsFullAboveTheLimitOnly) {
  LwsFlow flow(100);

  EXPECT_FALSE(flow.queued(99));
  EXPECT_FALSE(flow.queued(1));
  EXPECT_TRUE(flow.queued(1));
}

TEST(LwsFlow, TellsOnceThatItHasDrainedBelowHalf) {
  LwsFlow flow(100);
  flow.queued(101);

  EXPECT_FALSE(flow.sent(50));
  EXPECT_FALSE(flow.sent(1));
  EXPECT_TRUE(flow.sent(1));
  EXPECT_FALSE(flow.sent(49));
}

TEST(LwsFlow, DoesNotTellOfDrainingWhenItWasNotFull) {
  LwsFlow flow(100);
  flow.queued(100);

  EXPECT_FALSE(flow.sent(100));
}

TEST(LwsFlow, StopsReadingOnceAboveTheLimitAndResumesBelowHalf) {
  constexpr std::size_t kMax = limits::kInboundBufferBytesMax;
  LwsFlow flow(100);

  EXPECT_FALSE(flow.delivered(kMax));
  EXPECT_TRUE(flow.delivered(1));
  EXPECT_FALSE(flow.delivered(1));
  EXPECT_FALSE(flow.taken(2 + kMax / 2));
  EXPECT_TRUE(flow.taken(1));
  EXPECT_FALSE(flow.taken(1));
}

}  // namespace
}  // namespace chatsdk
