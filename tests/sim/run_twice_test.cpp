// SPDX-License-Identifier: Apache-2.0
//
// Runs that are made to differ on purpose: the place where they part is told.
//
// Threads: one; each pair of runs is a process of its own.
#include "sim/run_twice.h"

#include <gmock/gmock.h>

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "sim/child.h"
#include "sim/world.h"

namespace chatsdk::sim {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;

RunOptions short_options() {
  RunOptions options = draw_options(1);
  options.users = 2;
  options.devices_per_user = 1;
  options.duration = seconds(20);
  options.hostile = options.fault_points = options.assertions = false;
  options.network = {};
  return options;
}

// run: 1 or 2.
RunResult run_both(const std::function<void(World&, int run)>& script) {
  return run_in_child([&script] {
    int runs = 0;
    return run_twice(short_options(), {.log = false, .script = [&](World& world) { script(world, ++runs); }});
  });
}

// What the world records at 11 s by its own clock, when all that the start brought has long been said.
void record_late(World& world, std::vector<std::string> kinds) {
  world.scheduler().after(seconds(11), [&world, kinds = std::move(kinds)] {
    for (const std::string& kind : kinds) world.observer().record(0, event::Fault{kind});
  });
}

TEST(RunTwice, HoldsWhereBothRunsAreTheSame) {
  int runs = 0;
  const RunResult result = run_in_child([&runs] {
    RunResult first = run_twice(short_options(), {.log = false, .script = [&](World& world) {
                                                    ++runs;
                                                    record_late(world, {"one"});
                                                  }});
    first.sends = static_cast<std::uint64_t>(runs);
    return first;
  });
  EXPECT_TRUE(result.ok()) << to_line(result.violations.front());
  EXPECT_EQ(result.sends, 2u) << "runs";
}

TEST(RunTwice, TellsTheFieldInWhichTheRunsDifferFirst) {
  const RunResult result = run_both([](World& world, int run) {
    record_late(world, {"one", "two", run == 1 ? "three" : "four", run == 1 ? "five" : "six"});
  });

  ASSERT_FALSE(result.ok());
  const Violation& told = result.violations.front();
  EXPECT_EQ(told.property, "determinism");
  EXPECT_THAT(told.message, HasSubstr("from record " + std::to_string(told.event) + " on; they differ in: kind"));
  ASSERT_EQ(result.tail.size(), 7u);
  EXPECT_THAT(result.tail[3], EndsWith(" n0 Fault kind=one"));
  EXPECT_THAT(result.tail[4], EndsWith(" n0 Fault kind=two"));
  const std::string number = "#" + std::to_string(told.event) + " ";
  EXPECT_THAT(result.tail[5], StartsWith("in the first run:  " + number));
  EXPECT_THAT(result.tail[5], EndsWith(" n0 Fault kind=three"));
  EXPECT_THAT(result.tail[6], StartsWith("in the second run: " + number));
  EXPECT_THAT(result.tail[6], EndsWith(" n0 Fault kind=four"));
}

TEST(RunTwice, TellsWhatAnotherActDoesToARun) {
  const RunResult result = run_both([](World& world, int run) {
    world.scheduler().after(seconds(11) + milliseconds(run), [&world] { world.device(1)->send(2, 30, std::nullopt); });
  });

  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.violations.front().property, "determinism");
  EXPECT_THAT(result.violations.front().message, HasSubstr("they differ in: time."));
  ASSERT_EQ(result.tail.size(), 7u);
  EXPECT_THAT(result.tail[5], HasSubstr(" n1 SendCalled device=1 "));
  EXPECT_THAT(result.tail[6], HasSubstr(" n1 SendCalled device=1 "));
}

}  // namespace
}  // namespace chatsdk::sim
