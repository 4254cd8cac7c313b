// SPDX-License-Identifier: Apache-2.0
#include "base/ids.h"

#include "base/bytes.h"

#include <gtest/gtest.h>

#include <set>

namespace chatsdk {
namespace {

using namespace std::chrono_literals;

TEST(MessageId, GrowsWithinAMillisecondAndBeyondItsCount) {
  MessageIdMaker maker(7, {});
  const WallTime now = from_unix_ms(1'750'000'000'000);

  MessageId last;
  for (int i = 0; i < 10'000; ++i) {
    const MessageId id = maker.make(now);
    ASSERT_GT(id, last);
    last = id;
  }

  EXPECT_EQ(MessageIdMaker::time_of(last), now + 2ms);
}

TEST(MessageId, GrowsWhenTheClockStepsBack) {
  MessageIdMaker maker(7, {});
  const MessageId before = maker.make(from_unix_ms(1'750'000'000'000));

  const MessageId after = maker.make(from_unix_ms(1'740'000'000'000));

  EXPECT_GT(after, before);
}

TEST(MessageId, GrowsWithAClockThatIsCenturiesAhead) {
  MessageIdMaker maker(7, {});
  MessageId last = maker.make(from_unix_ms(1'750'000'000'000));
  for (const int years : {60, 100, 200, 280}) {
    const MessageId id = maker.make(from_unix_ms(1'750'000'000'000) + years * 365 * 24h);
    EXPECT_GT(id, last) << years;
    EXPECT_LT(id.value >> 63, 1u) << years;
    last = id;
  }
}

TEST(MessageId, ContinuesAboveTheLastStoredId) {
  const MessageId stored = MessageIdMaker(7, {}).make(from_unix_ms(1'750'000'000'000));

  MessageIdMaker restarted(7, stored);

  EXPECT_GT(restarted.make(from_unix_ms(1'700'000'000'000)), stored);
}

TEST(MessageId, DiffersBetweenNodes) {
  const WallTime now = from_unix_ms(1'750'000'000'000);
  EXPECT_NE(MessageIdMaker(1, {}).make(now), MessageIdMaker(2, {}).make(now));
}

TEST(ClientMessageId, IsAUuidOfVersionSevenWithItsTime) {
  SeededRandom random(1);

  const ClientMessageId id = ClientMessageId::make(from_unix_ms(0x0123456789AB), random);

  EXPECT_EQ(to_hex(id.view()).substr(0, 12), "0123456789ab");
  EXPECT_EQ(id.bytes[6] >> 4, 7);
  EXPECT_EQ(id.bytes[8] >> 6, 2);
}

TEST(ClientMessageId, TakesSixteenBytesOnly) {
  EXPECT_FALSE(ClientMessageId::from_bytes(std::string(15, 'x')));
  EXPECT_TRUE(ClientMessageId::from_bytes(std::string(16, 'x')));
  EXPECT_FALSE(ClientMessageId::from_bytes(std::string(17, 'x')));
}

TEST(SeededRandom, RepeatsFromItsSeedAndStaysBelowItsBound) {
  SeededRandom a(42);
  SeededRandom b(42);
  EXPECT_EQ(a.bytes(33), b.bytes(33));

  std::set<std::uint64_t> seen;
  for (int i = 0; i < 1'000; ++i) seen.insert(a.below(10));
  EXPECT_EQ(seen.size(), 10u);
  EXPECT_EQ(*seen.rbegin(), 9u);
}

}  // namespace
}  // namespace chatsdk
