// SPDX-License-Identifier: Apache-2.0
#include "server-reference/services/refusal_log.h"

#include <gtest/gtest.h>

#include <optional>

#include "unit/server/recording_log.h"

namespace chatsdk::server {
namespace {

using Lines = std::vector<std::string>;

class RefusalLogTest : public ::testing::Test {
 protected:
  // How many of so many get a line.
  int told(const std::string& kind, int count) {
    int lines = 0;
    for (int i = 0; i < count; ++i) lines += refusals_->note(kind) ? 1 : 0;
    return lines;
  }

  ManualClock clock_;
  testing::RecordingLog log_;
  std::optional<RefusalLog> refusals_{std::in_place, clock_, log_, RefusalLogOptions{"gateway", 3, 2}};
};

TEST_F(RefusalLogTest, TheFirstFewOfAKindGetALine) {
  EXPECT_EQ(told("a", 3), 3);
  EXPECT_EQ(told("a", 7), 0);
  EXPECT_EQ(told("b", 4), 3) << "another kind has its own";
  EXPECT_TRUE(log_.lines.empty()) << "its lines are the caller's";
}

TEST_F(RefusalLogTest, WhatIsCountedIsToldWhenItsHalfSecondIsOver) {
  told("a", 10);
  told("b", 3);
  clock_.advance(limits::kRefusalWindow - std::chrono::milliseconds(1));
  refusals_->look();
  EXPECT_TRUE(log_.lines.empty());

  clock_.advance(std::chrono::milliseconds(1));
  refusals_->look();
  EXPECT_EQ(log_.lines, Lines{"gateway: refused 7 more: a"});
  refusals_->look();
  EXPECT_EQ(log_.lines.size(), 1U) << "once";
}

TEST_F(RefusalLogTest, ANewHalfSecondTellsAnew) {
  told("a", 10);
  clock_.advance(limits::kRefusalWindow);

  EXPECT_EQ(told("a", 4), 3);
  EXPECT_EQ(log_.lines, Lines{"gateway: refused 7 more: a"});
}

TEST_F(RefusalLogTest, OfTooManyKindsOnlyTheNumberIsTold) {
  EXPECT_EQ(told("a", 1), 1);
  EXPECT_EQ(told("b", 1), 1);
  EXPECT_EQ(told("c", 4), 0);
  EXPECT_EQ(told("d", 1), 0);
  clock_.advance(limits::kRefusalWindow);
  refusals_->look();

  EXPECT_EQ(log_.lines, Lines{"gateway: refused 5 more of other kinds"});
}

TEST_F(RefusalLogTest, WhatIsCountedIsToldAtTheEnd) {
  told("a", 4);
  refusals_.reset();

  EXPECT_EQ(log_.lines, Lines{"gateway: refused 1 more: a"});
}

TEST_F(RefusalLogTest, HasAWindowAndWordsOfItsOwner) {
  refusals_.emplace(clock_, log_,
                    RefusalLogOptions{.area = "store", .window = std::chrono::minutes(1), .what = "lost"});
  told("a", 3);
  clock_.advance(std::chrono::milliseconds(59'999));
  refusals_->look();
  EXPECT_TRUE(log_.lines.empty());
  clock_.advance(std::chrono::milliseconds(1));
  refusals_->look();

  EXPECT_EQ(log_.lines, Lines{"store: lost 2 more: a"});
}

}  // namespace
}  // namespace chatsdk::server
