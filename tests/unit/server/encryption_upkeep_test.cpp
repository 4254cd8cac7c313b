// SPDX-License-Identifier: Apache-2.0
//
// When the upkeep of encrypted conversations asks, and that it asks until nothing is due.
//
// Threads: manual executors.
#include "server-reference/services/encryption_upkeep.h"

#include <gtest/gtest.h>

#include <optional>
#include <utility>
#include <vector>

#include "base/limits.h"

namespace chatsdk::server {
namespace {

class EncryptionUpkeepTest : public ::testing::Test {
 protected:
  EncryptionUpkeepTest() {
    upkeep_.emplace(
        [this](WriteOp op, OnWritten on_written, Executor&) {
          if (const auto* extend = std::get_if<ExtendRosters>(&op)) {
            extended.push_back(*extend);
            waiting.push_back(std::move(on_written));
          } else {
            purged.push_back(std::move(op));
            purges_waiting.push_back(std::move(on_written));
          }
        },
        writer);
  }
  void answer(Result<WriteAnswer> answer) {
    ASSERT_EQ(waiting.size(), 1u) << "one write at a time";
    OnWritten on_written = std::move(waiting.front());
    waiting.clear();
    on_written(std::move(answer));
  }
  static WriteAnswer done() { return RostersExtended{0, false}; }
  static WriteAnswer more() { return RostersExtended{32, true}; }
  void pass(std::chrono::microseconds time) {
    clock.advance(time);
    while (writer.run_ready() > 0) {
    }
  }

  ManualClock clock;
  ManualExecutor writer{clock};
  std::vector<ExtendRosters> extended;
  std::vector<WriteOp> purged;
  std::vector<OnWritten> waiting;
  std::vector<OnWritten> purges_waiting;
  std::optional<EncryptionUpkeep> upkeep_;
};

TEST_F(EncryptionUpkeepTest, AStartTakesUpWhatIsDueUntilNothingIs) {
  upkeep_->start();
  ASSERT_EQ(extended.size(), 1u);
  EXPECT_EQ(extended[0].max, limits::e2ee::kRostersExtended);
  EXPECT_EQ(extended[0].now, clock.wall_now());
  answer(more());
  answer(more());
  answer(done());
  EXPECT_EQ(extended.size(), 3u);
  EXPECT_TRUE(waiting.empty());
}

TEST_F(EncryptionUpkeepTest, AListThatComesMeanwhileIsAskedForAfterwards) {
  upkeep_->start();
  upkeep_->rosters_due();
  upkeep_->rosters_due();
  pass({});
  EXPECT_EQ(extended.size(), 1u);
  answer(done());
  EXPECT_EQ(extended.size(), 2u);
  answer(done());
  EXPECT_EQ(extended.size(), 2u);
  upkeep_->rosters_due();
  EXPECT_EQ(extended.size(), 2u) << "a call from elsewhere is a turn of the writer";
  pass({});
  EXPECT_EQ(extended.size(), 3u);
}

TEST_F(EncryptionUpkeepTest, ARefusalForNowIsAskedAgainAfterAPause) {
  upkeep_->start();
  answer(error(Code::kUnavailable, "the queue is full"));
  upkeep_->rosters_due();
  pass(limits::kRetryQueueFull - std::chrono::microseconds(1));
  EXPECT_EQ(extended.size(), 1u);
  pass(std::chrono::microseconds(1));
  EXPECT_EQ(extended.size(), 2u);
}

TEST_F(EncryptionUpkeepTest, StagedChunksAndLinkingsAreLookedAtAgainAndAgain) {
  upkeep_->start();
  for (std::size_t times = 1; times <= 3; ++times) {
    const auto answer = [&] {
      purges_waiting.back()(times == 2 ? Result<WriteAnswer>(error(Code::kUnavailable, "full")) : WriteAnswer(Done{}));
    };
    pass(limits::e2ee::kUpkeepInterval - std::chrono::microseconds(1));
    EXPECT_EQ(purged.size(), 2 * times - 2);
    pass(std::chrono::microseconds(1));
    ASSERT_EQ(purged.size(), 2 * times - 1);
    EXPECT_EQ(std::get<PurgeStaged>(purged.back()).now, clock.wall_now());
    pass(limits::e2ee::kUpkeepInterval);
    ASSERT_EQ(purged.size(), 2 * times - 1) << "one write at a time";
    answer();
    ASSERT_EQ(purged.size(), 2 * times);
    EXPECT_EQ(std::get<PurgeLinks>(purged.back()).now, clock.wall_now());
    pass(limits::e2ee::kUpkeepInterval);
    ASSERT_EQ(purged.size(), 2 * times) << "one write at a time";
    answer();
  }
}

// docs/e2ee.md section 12 says so.
static_assert(limits::e2ee::kUpkeepInterval < std::chrono::hours(1));

TEST_F(EncryptionUpkeepTest, ItsEndDropsWhatIsUnderWay) {
  upkeep_->start();
  upkeep_->rosters_due();
  upkeep_.reset();
  answer(more());
  pass(limits::e2ee::kUpkeepInterval);
  EXPECT_EQ(extended.size(), 1u);
  EXPECT_TRUE(purged.empty());
}

}  // namespace
}  // namespace chatsdk::server
