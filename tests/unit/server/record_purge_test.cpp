// SPDX-License-Identifier: Apache-2.0
//
// When the purge of deduplication records looks, and that it never asks for more than its share.
//
// Threads: manual executors.
#include "server-reference/services/record_purge.h"

#include <gtest/gtest.h>

#include <deque>
#include <optional>
#include <vector>

#include "base/limits.h"

namespace chatsdk::server {
namespace {

using namespace std::chrono_literals;

class RecordPurgeTest : public ::testing::Test {
 protected:
  RecordPurgeTest() {
    purge_.emplace(
        [this](WriteOp op, OnWritten on_written, Executor&) {
          asked.push_back(std::get<PurgeRecords>(op));
          waiting.push_back(std::move(on_written));
        },
        writer, log);
  }
  void begin() {
    purge_->start();
    pass(limits::kPurgeInterval);
  }
  void answer(Result<WriteAnswer> answer) {
    ASSERT_EQ(waiting.size(), 1u) << "one write at a time";
    OnWritten on_written = std::move(waiting.front());
    waiting.clear();
    on_written(std::move(answer));
  }
  static WriteAnswer stopped_at(std::uint64_t stream) {
    return RecordsPurged{RecordKey{StreamId{stream}, "ann", "id"}, 1};
  }
  static WriteAnswer at_the_end() { return RecordsPurged{std::nullopt, 0}; }
  void pass(std::chrono::microseconds time) {
    clock.advance(time);
    while (writer.run_ready() > 0) {
    }
  }

  ManualClock clock;
  ManualExecutor writer{clock};
  NullLog log;
  std::vector<PurgeRecords> asked;
  std::deque<OnWritten> waiting;
  std::optional<RecordPurge> purge_;
};

TEST_F(RecordPurgeTest, WaitsForAClockThatIsStillToBeSet) {
  clock.jump_wall(24h * 401);
  purge_->start();
  pass(limits::kPurgeInterval - std::chrono::microseconds(1));
  EXPECT_TRUE(asked.empty());
  clock.jump_wall(-24h * 401);
  pass(std::chrono::microseconds(1));
  ASSERT_EQ(asked.size(), 1u);
  EXPECT_EQ(asked[0].now, clock.wall_now());
}

TEST_F(RecordPurgeTest, AClockThatIsSetForwardMakesNothingOld) {
  begin();
  const WallTime before = clock.wall_now();
  answer(stopped_at(7));
  clock.jump_wall(24h * 401);
  pass(limits::kPurgePause);
  ASSERT_EQ(asked.size(), 2u);
  EXPECT_EQ(asked[1].now, before + limits::kPurgePause + limits::kPurgeClockStepMax);
}

TEST_F(RecordPurgeTest, GoesOnFromTheLastPlaceAfterAPause) {
  begin();
  ASSERT_EQ(asked.size(), 1u);
  EXPECT_EQ(asked[0].after.stream, StreamId{});
  EXPECT_EQ(asked[0].max, limits::kPurgeRecordsMax);
  EXPECT_EQ(asked[0].now, clock.wall_now());

  answer(stopped_at(7));
  pass(limits::kPurgePause - std::chrono::microseconds(1));
  EXPECT_EQ(asked.size(), 1u);
  pass(std::chrono::microseconds(1));
  ASSERT_EQ(asked.size(), 2u);
  EXPECT_EQ(asked[1].after.stream, StreamId{7});
}

TEST_F(RecordPurgeTest, BeginsAnewAfterTheInterval) {
  begin();
  answer(stopped_at(7));
  pass(limits::kPurgePause);
  answer(at_the_end());
  pass(limits::kPurgeInterval - std::chrono::microseconds(1));
  EXPECT_EQ(asked.size(), 2u);
  pass(std::chrono::microseconds(1));
  ASSERT_EQ(asked.size(), 3u);
  EXPECT_EQ(asked[2].after.stream, StreamId{});
}

TEST_F(RecordPurgeTest, ARefusedLookIsRepeatedLater) {
  begin();
  answer(stopped_at(7));
  pass(limits::kPurgePause);
  answer(error(Code::kUnavailable, "full"));
  pass(limits::kPurgeInterval);
  ASSERT_EQ(asked.size(), 3u);
  EXPECT_EQ(asked[2].after.stream, StreamId{7});
}

TEST_F(RecordPurgeTest, EndsWithItsOwner) {
  begin();
  answer(stopped_at(7));
  purge_.reset();
  pass(limits::kPurgeInterval);
  EXPECT_EQ(asked.size(), 1u);
}

TEST_F(RecordPurgeTest, IgnoresAnAnswerAfterItsEnd) {
  begin();
  purge_.reset();
  answer(stopped_at(7));
  pass(limits::kPurgeInterval);
  EXPECT_EQ(asked.size(), 1u);
}

}  // namespace
}  // namespace chatsdk::server
