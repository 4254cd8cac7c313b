// SPDX-License-Identifier: Apache-2.0
#include "base/leaky_bucket.h"

#include <gtest/gtest.h>

namespace chatsdk {
namespace {

using std::chrono::milliseconds;

constexpr BucketRate kRate{100, 5};  // one in ten milliseconds

class LeakyBucketTest : public ::testing::Test {
 protected:
  bool take(std::uint64_t count = 1) { return bucket_.take(kRate, clock_.monotonic_now(), count); }

  ManualClock clock_;
  LeakyBucket bucket_;
};

TEST_F(LeakyBucketTest, TakesABurstAndRefusesOneMore) {
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(take()) << i;

  EXPECT_FALSE(take());
}

TEST_F(LeakyBucketTest, TakesSeveralAtOnceLikeOneByOne) {
  EXPECT_TRUE(take(2));
  EXPECT_TRUE(take(3));
  EXPECT_FALSE(take());
}

TEST_F(LeakyBucketTest, RegainsAtTheSteadyRate) {
  EXPECT_TRUE(take(5));

  clock_.advance(milliseconds(9));
  EXPECT_FALSE(take()) << "a moment too early";
  clock_.advance(milliseconds(11));
  EXPECT_TRUE(take()) << "the one that was too many counts too";
}

TEST_F(LeakyBucketTest, TakesTheSteadyRateForEver) {
  for (int i = 0; i < 1'000; ++i) {
    EXPECT_TRUE(take()) << i;
    clock_.advance(milliseconds(10));
  }
}

TEST_F(LeakyBucketTest, SavesNoMoreThanABurst) {
  clock_.advance(std::chrono::hours(24));

  EXPECT_TRUE(take(5));
  EXPECT_FALSE(take());
}

TEST_F(LeakyBucketTest, ARateOfZeroIsOneASecond) {
  EXPECT_TRUE(bucket_.take({0, 1}, clock_.monotonic_now()));
  EXPECT_FALSE(bucket_.take({0, 1}, clock_.monotonic_now()));
  clock_.advance(std::chrono::seconds(2));
  EXPECT_TRUE(bucket_.take({0, 1}, clock_.monotonic_now()));
}

}  // namespace
}  // namespace chatsdk
