// SPDX-License-Identifier: Apache-2.0
#include "base/doubling_pauses.h"

#include <gtest/gtest.h>

#include <string>

namespace chatsdk {
namespace {

using std::chrono::seconds;
using Time = std::chrono::milliseconds;

class DoublingPausesTest : public ::testing::Test {
 protected:
  // How long it is from now on; 0: not at all.
  Time left(const std::string& key) { return pauses_.until(key, now_).value_or(now_) - now_; }

  DoublingPauses<std::string, Time> pauses_{seconds(2), seconds(7)};
  Time now_ = seconds(1'000);
};

TEST_F(DoublingPausesTest, DoubleUpToTheLongestEachKeyForItself) {
  EXPECT_EQ(left("a"), seconds(0));
  EXPECT_TRUE(pauses_.begin("a", now_));
  EXPECT_EQ(left("a"), seconds(2));
  now_ += seconds(2);
  EXPECT_EQ(left("a"), seconds(0)) << "it is over";
  EXPECT_FALSE(pauses_.begin("a", now_));
  EXPECT_EQ(left("a"), seconds(4));
  EXPECT_TRUE(pauses_.begin("b", now_));
  now_ += seconds(4);
  EXPECT_FALSE(pauses_.begin("a", now_));
  EXPECT_EQ(left("a"), seconds(7));
  EXPECT_EQ(left("b"), seconds(0));
}

TEST_F(DoublingPausesTest, BeginAnewAfterTheLongestWithoutOne) {
  pauses_.begin("a", now_);
  now_ += seconds(2) + seconds(7) - Time(1);
  EXPECT_FALSE(pauses_.begin("a", now_));
  now_ += seconds(4) + seconds(7);
  EXPECT_TRUE(pauses_.begin("a", now_));
  EXPECT_EQ(left("a"), seconds(2));
}

TEST_F(DoublingPausesTest, AreForgottenWhenTheyHaveEnded) {
  pauses_.begin("a", now_);
  pauses_.begin("b", now_);
  pauses_.end("a");
  EXPECT_EQ(left("a"), seconds(0));
  EXPECT_TRUE(pauses_.begin("a", now_));
  pauses_.clear();
  EXPECT_TRUE(pauses_.begin("b", now_));
}

}  // namespace
}  // namespace chatsdk
