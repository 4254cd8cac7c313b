// SPDX-License-Identifier: Apache-2.0
#include "e2ee/rates.h"

#include <gtest/gtest.h>

#include "base/limits.h"

namespace chatsdk::e2ee {
namespace {

constexpr std::uint64_t kMinuteMs = 60'000;

Peer peer(std::uint64_t id) { return {"alice", DeviceId{id}}; }

TEST(DeviceRates, GivesABurstAndThenOneAfterEachPause) {
  DeviceRates rates(3, std::chrono::minutes(1));
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(rates.take(peer(1), 1'000));
  EXPECT_FALSE(rates.take(peer(1), 1'000 + kMinuteMs - 1));
  EXPECT_TRUE(rates.take(peer(1), 1'000 + kMinuteMs));
  EXPECT_FALSE(rates.take(peer(1), 1'000 + kMinuteMs));
}

TEST(DeviceRates, RegainsNoMoreThanTheBurst) {
  DeviceRates rates(2, std::chrono::minutes(1));
  for (int i = 0; i < 2; ++i) EXPECT_TRUE(rates.take(peer(1), 0));
  for (int i = 0; i < 2; ++i) EXPECT_TRUE(rates.take(peer(1), 100 * kMinuteMs));
  EXPECT_FALSE(rates.take(peer(1), 100 * kMinuteMs));
}

TEST(DeviceRates, KeepsWhatIsLeftOfAPause) {
  DeviceRates rates(2, std::chrono::minutes(1));
  for (int i = 0; i < 2; ++i) EXPECT_TRUE(rates.take(peer(1), 0));
  EXPECT_TRUE(rates.take(peer(1), kMinuteMs + kMinuteMs / 2));
  EXPECT_TRUE(rates.take(peer(1), 2 * kMinuteMs));
}

TEST(DeviceRates, OfDevicesAreApart) {
  DeviceRates rates(1, std::chrono::minutes(1));
  EXPECT_TRUE(rates.take(peer(1), 0));
  EXPECT_TRUE(rates.take(peer(2), 0));
  EXPECT_TRUE(rates.take({"bob", DeviceId{1}}, 0));
  EXPECT_FALSE(rates.take(peer(1), 0));
}

TEST(DeviceRates, AClockThatWasSetBackRegainsNothingByThat) {
  DeviceRates rates(2, std::chrono::minutes(1));
  for (int i = 0; i < 2; ++i) EXPECT_TRUE(rates.take(peer(1), 10 * kMinuteMs));
  EXPECT_FALSE(rates.take(peer(1), 5 * kMinuteMs));
  EXPECT_FALSE(rates.take(peer(1), 4 * kMinuteMs));
  EXPECT_FALSE(rates.take(peer(1), 5 * kMinuteMs - 1));
}

// However far it was ahead, be it for minutes, hours or a month: then there is one more after each pause, as ever.
TEST(DeviceRates, AClockThatWasAheadShutsNobodyOut) {
  const std::uint64_t day = 24 * 60 * kMinuteMs;
  const std::uint64_t now = 40 * day;
  for (const std::uint64_t ahead : {std::uint64_t{1}, 5 * kMinuteMs, 23 * 60 * kMinuteMs, day, 31 * day}) {
    DeviceRates rates(2, std::chrono::minutes(1));
    for (int i = 0; i < 2; ++i) EXPECT_TRUE(rates.take(peer(1), now + ahead));
    EXPECT_EQ(rates.next_ms(peer(1), now), now + kMinuteMs) << ahead;
    EXPECT_FALSE(rates.take(peer(1), now)) << ahead;
    EXPECT_FALSE(rates.take(peer(1), now + kMinuteMs - 1)) << ahead;
    EXPECT_TRUE(rates.take(peer(1), now + kMinuteMs)) << ahead;
    EXPECT_FALSE(rates.take(peer(1), now + kMinuteMs)) << ahead;
  }
}

TEST(DeviceRates, SaysWhenThereIsTheNext) {
  DeviceRates rates(2, std::chrono::minutes(1));
  EXPECT_LE(rates.next_ms(peer(1), 1'000), 1'000U);
  for (int i = 0; i < 2; ++i) EXPECT_TRUE(rates.take(peer(1), 1'000));
  EXPECT_EQ(rates.next_ms(peer(1), 1'500), 1'000 + kMinuteMs);
  EXPECT_LE(rates.next_ms(peer(1), 1'000 + kMinuteMs), 1'000 + kMinuteMs);
  EXPECT_LE(rates.next_ms(peer(2), 1'500), 1'500U);
}

TEST(DeviceRates, ForgetsTheOneLongestUnused) {
  DeviceRates rates(1, std::chrono::minutes(1));
  const std::uint64_t most = limits::e2ee::kRatedDevicesMax;
  for (std::uint64_t id = 1; id <= most; ++id) EXPECT_TRUE(rates.take(peer(id), 0));
  EXPECT_FALSE(rates.take(peer(1), 0));
  EXPECT_TRUE(rates.take(peer(most + 1), 0));  // in place of the second
  EXPECT_FALSE(rates.take(peer(1), 0));
  EXPECT_TRUE(rates.take(peer(2), 0));
}

}  // namespace
}  // namespace chatsdk::e2ee
