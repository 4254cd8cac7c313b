// SPDX-License-Identifier: Apache-2.0
//
// What a device may cost another by the messages that it sends in a direct conversation (docs/e2ee.md section 4).
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "base/limits.h"
#include "e2ee/session_manager.h"
#include "unit/store/e2ee_chat.h"

namespace chatsdk::e2ee {
namespace {

class DirectRates : public ChatOfTwo {
 protected:
  // Bob begins so many sessions, each with a message, and alice reads them. How many of them she could read.
  std::size_t set_up(std::uint32_t sessions) {
    const std::size_t before = alice.results.size();
    for (std::uint32_t i = 0; i < sessions; ++i) {
      bob.write([this](E2eeTransaction& tx) -> Status { return archive_active(tx.state(), alice.self, kThen); });
      say_to(bob, alice, "set up");
    }
    alice.sync();
    return static_cast<std::size_t>(std::count(alice.results.begin() + static_cast<std::ptrdiff_t>(before),
                                               alice.results.end(), ItemResult::Outcome::kContent));
  }
};

TEST_F(DirectRates, SetUpsOfADeviceAreLookedIntoUpToTheLimitAndOneAMinuteBehindIt) {
  talk();
  EXPECT_EQ(set_up(limits::e2ee::kSetUpBurst - 1), limits::e2ee::kSetUpBurst - 1U);
  EXPECT_EQ(set_up(1), 1U) << "at the limit";
  EXPECT_EQ(set_up(1), 0U) << "above it";
  alice.now_ms += ms(limits::e2ee::kSetUpRegain);
  EXPECT_EQ(set_up(2), 1U) << "a minute later";
}

}  // namespace
}  // namespace chatsdk::e2ee
