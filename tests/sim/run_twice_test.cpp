// SPDX-License-Identifier: Apache-2.0
//
// Runs that are made to differ on purpose: the place where they part is told, or what differs beside the history.
//
// Threads: one; each pair of runs is a process of its own.
#include "sim/run_twice.h"

#include <gmock/gmock.h>

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "sim/child.h"
#include "sim/scripted.h"
#include "sim/world.h"

namespace chatsdk::sim {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;

// run: 1 or 2.
RunResult run_both(const std::function<void(World&, int run)>& script) {
  return run_in_child([&script] {
    int runs = 0;
    return run_twice(scripted_options(), {.log = false, .script = [&](World& world) { script(world, ++runs); }});
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
    RunResult first = run_twice(scripted_options(), {.log = false, .script = [&](World& world) {
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

TEST(RunTwice, TellsThatASecondRunWithTheSameHistoryTakesOtherTurns) {
  const RunResult result = run_both([](World& world, int run) {
    if (run == 2) world.scheduler().after(seconds(11), [] {});
  });

  ASSERT_FALSE(result.ok());
  const Violation& told = result.violations.front();
  EXPECT_EQ(told.property, "determinism");
  EXPECT_THAT(told.message, StartsWith("A second run has the same history, but "));
  EXPECT_THAT(told.message, EndsWith(" turns, and the first " + std::to_string(result.turns) + "."));
  EXPECT_EQ(told.event, result.records);
}

TEST(RunTwice, TellsThatTheSecondRunDidNotHold) {
  const RunResult result = run_both([](World& world, int run) {
    if (run == 2) world.observer().on_broken("S13", Finding("A key has encrypted twice."));
  });

  ASSERT_FALSE(result.ok());
  EXPECT_THAT(result.violations.front().message, HasSubstr("has another history"));  // a run that failed is cut short
  const Violation& told = result.violations.back();
  EXPECT_EQ(told.property, "determinism");
  EXPECT_THAT(told.message, StartsWith("A second run did not hold: S13 "));
  EXPECT_THAT(told.message, EndsWith("A key has encrypted twice."));
}

// ---- Outcomes by hand ----------------------------------------------------------------------------------------------

RunResult outcome() {
  RunResult result;
  result.turns = 7;
  result.frames = 5;
  result.points = {{"before", 2}, {"behind", 1}};
  return result;
}

std::string difference(const RunResult& second) { return outcome_difference(outcome(), second).value_or("none"); }

TEST(Outcomes, AreTheSame) { EXPECT_EQ(difference(outcome()), "none"); }

TEST(Outcomes, DifferInTurnsAndFrames) {
  RunResult second = outcome();
  second.turns = 8;
  EXPECT_EQ(difference(second), "8 turns, and the first 7");
  second = outcome();
  second.frames = 4;
  EXPECT_EQ(difference(second), "4 frames, and the first 5");
}

TEST(Outcomes, DifferInThePointsThatStruck) {
  RunResult second = outcome();
  second.points["behind"] = 3;
  EXPECT_EQ(difference(second), "3 strikes at behind, and the first 1");
  second = outcome();
  second.points.erase("before");
  EXPECT_EQ(difference(second), "0 strikes at before, and the first 2");
  second = outcome();
  second.points["between"] = 1;
  EXPECT_EQ(difference(second), "1 strikes at between, and the first 0");
}

}  // namespace
}  // namespace chatsdk::sim
