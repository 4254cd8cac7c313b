// SPDX-License-Identifier: Apache-2.0
#include "sim/scheduler.h"

#include <gtest/gtest.h>

#include <vector>

namespace chatsdk::sim {
namespace {

using std::chrono::microseconds;
using std::chrono::seconds;

// Parts per million.
class DriftingClock : public testing::TestWithParam<std::int32_t> {};

TEST_P(DriftingClock, TimersFireWhenItShowsTheirTimeAndNotBefore) {
  Scheduler scheduler(1);
  const NodeClock clock(scheduler.now(), from_unix_ms(1'750'000'000'000), GetParam());
  Lane lane(scheduler, 1, clock);
  std::vector<MonotonicTime> fired;
  std::vector<MonotonicTime> due;
  for (const std::int64_t ahead : {1, 999, 1'000'000, 59'999'999, 600'000'001}) {
    due.push_back(clock.monotonic_now() + microseconds(ahead));
    lane.post_at(due.back(), [&] {
      fired.push_back(clock.monotonic_now());
      EXPECT_LE(scheduler.now(), clock.moment_of(fired.back()) + microseconds(1));
    });
  }
  scheduler.run_until(MonotonicTime(seconds(1'000)));
  ASSERT_EQ(fired.size(), due.size());
  for (std::size_t i = 0; i < due.size(); ++i) {
    EXPECT_GE(fired[i], due[i]);
    EXPECT_LE(fired[i], due[i] + microseconds(2));
  }
}

TEST_P(DriftingClock, BothClocksRunAtItsRate) {
  Scheduler scheduler(1);
  const NodeClock clock(scheduler.now(), from_unix_ms(1'750'000'000'000), GetParam());
  const auto monotonic = clock.monotonic_now();
  const auto wall = clock.wall_now();
  scheduler.run_until(scheduler.now() + seconds(1'000));
  const microseconds expected = seconds(1'000) + microseconds(1'000) * GetParam();
  EXPECT_EQ(clock.monotonic_now() - monotonic, expected);
  EXPECT_EQ(clock.wall_now() - wall, expected);
}

INSTANTIATE_TEST_SUITE_P(Rates, DriftingClock, testing::Values(0, 1, -1, 100, -100, 5'000, -5'000));

TEST(Scheduler, ADelayedLaneGetsNoTurnUntilTheDelayIsOver) {
  Scheduler scheduler(1);
  const NodeClock clock(scheduler.now(), from_unix_ms(1'750'000'000'000));
  Lane delayed(scheduler, 1, clock);
  Lane other(scheduler, 2, clock);
  const MonotonicTime begin = scheduler.now();
  std::vector<std::pair<NodeId, microseconds>> turns;
  delayed.post([&] { scheduler.delay_turns(seconds(3)); });
  delayed.post([&] { turns.emplace_back(1, scheduler.now() - begin); });
  other.post_at(begin + seconds(1), [&] { turns.emplace_back(2, scheduler.now() - begin); });
  scheduler.run_until(begin + seconds(10));
  EXPECT_EQ(turns, (std::vector<std::pair<NodeId, microseconds>>{{2, seconds(1)}, {1, seconds(3)}}));
}

}  // namespace
}  // namespace chatsdk::sim
