// SPDX-License-Identifier: Apache-2.0
//
// The search for a smaller case against failures that are made up, so that it is known what is needed for them; and the
// command line that replays a case.
#include "sim/shrink.h"

#include <gmock/gmock.h>

#include <cstdlib>

#include "sim/child.h"

namespace chatsdk::sim {
namespace {

std::size_t index(FaultKind kind) { return static_cast<std::size_t>(kind); }

RunResult broken(const char* property) {
  RunResult result;
  result.violations.push_back({property, "Made up.", 1, 7});
  return result;
}

// Fails whenever there are two clogs' worth of faults among three users.
RunResult needs_clogs(const RunOptions& options) {
  const bool fails = options.users >= 3 && options.faults >= 2 && options.fault_weights[index(FaultKind::kClog)] != 0;
  return fails ? broken("S4") : RunResult{};
}

RunOptions large_case() {
  RunOptions options = draw_options(7);
  options.users = 5;
  options.faults = 80;
  options.fault_weights.fill(10);
  options.action_weights.fill(10);
  return options;
}

TEST(SimShrink, KeepsWhatTheFailureNeedsAndLittleElse) {
  const Shrunk shrunk = shrink(large_case(), broken("S4"), needs_clogs, {.runs = 200, .may_go_on = {}});

  EXPECT_EQ(shrunk.options.users, 3u);
  EXPECT_EQ(shrunk.options.devices_per_user, 1u);
  EXPECT_EQ(shrunk.options.faults, 2u);
  EXPECT_EQ(shrunk.options.actions, 1u);
  EXPECT_EQ(shrunk.options.duration.count(), 10);
  EXPECT_EQ(turned_on(shrunk.options).size(), 2u) << to_line(shrunk.options);
  EXPECT_NE(shrunk.options.fault_weights[index(FaultKind::kClog)], 0u);
}

TEST(SimShrink, TakesNoMoreRunsThanItMay) {
  unsigned runs = 0;
  const auto counted = [&runs](const RunOptions& options) {
    ++runs;
    return needs_clogs(options);
  };

  const Shrunk shrunk = shrink(large_case(), broken("S4"), counted, {.runs = 9, .may_go_on = {}});

  EXPECT_EQ(runs, 9u);
  EXPECT_EQ(shrunk.runs, 9u);
}

TEST(SimShrink, StopsWhenItsTimeIsOver) {
  int left = 5;

  const Shrunk shrunk =
      shrink(large_case(), broken("S4"), needs_clogs, {.runs = 60, .may_go_on = [&left] { return left-- > 0; }});

  EXPECT_LE(shrunk.runs, 5u);
}

TEST(SimShrink, AnotherPropertyIsAnotherFailure) {
  const auto other = [](const RunOptions&) { return broken("L2"); };

  const Shrunk shrunk = shrink(large_case(), broken("S4"), other);

  EXPECT_EQ(to_line(shrunk.options), to_line(large_case()));
  EXPECT_EQ(shrunk.result.violations.front().property, "S4");
}

TEST(SimShrink, TheSmallerCasesOwnResultIsKept) {
  const auto numbered = [](const RunOptions& options) {
    RunResult result = broken("S4");
    result.records = options.faults;
    return result;
  };

  const Shrunk shrunk = shrink(large_case(), broken("S4"), numbered);

  EXPECT_EQ(shrunk.options.faults, 0u);
  EXPECT_EQ(shrunk.result.records, 0u);
}

TEST(SimOptions, TheArgumentsOfADrawnCaseAreItsSeed) { EXPECT_EQ(to_arguments(draw_options(42)), "--seed 42"); }

TEST(SimOptions, TheArgumentsNameWhatWasChanged) {
  RunOptions options = draw_options(42);
  options.users = 9;
  options.duration = std::chrono::seconds(30);
  options.fault_weights[index(FaultKind::kClog)] = 1;
  ASSERT_TRUE(turn_off(options, "send") || turn_off(options, "read"));

  const std::string arguments = to_arguments(options);

  EXPECT_NE(arguments.find("--users 9"), std::string::npos) << arguments;
  EXPECT_NE(arguments.find("--duration 30"), std::string::npos) << arguments;
  EXPECT_NE(arguments.find("--without send"), std::string::npos) << arguments;
}

std::uint64_t first_encrypted_seed(bool with_liar) {
  std::uint64_t seed = 1;
  for (RunOptions options = draw_options(seed); !options.encrypted || options.liar != with_liar;) {
    options = draw_options(++seed);
  }
  return seed;
}

TEST(SimOptions, ASeedDrawsWhatConversationsAre) {
  constexpr int kSeeds = 3'000;
  int encrypted = 0;
  int with_liar = 0;
  for (std::uint64_t seed = 1; seed <= kSeeds; ++seed) {
    const RunOptions options = draw_options(seed);
    EXPECT_FALSE(options.liar && (!options.encrypted || options.hostile)) << seed;
    EXPECT_FALSE(draw_plain_options(seed).encrypted) << seed;
    encrypted += options.encrypted ? 1 : 0;
    with_liar += options.liar ? 1 : 0;
    if (!options.encrypted || options.devices_per_user > 1) continue;
    EXPECT_THAT(turned_on(options), ::testing::Not(::testing::Contains("reinstall"))) << seed;
    EXPECT_THAT(turned_on(options), ::testing::Not(::testing::Contains("revoke"))) << seed;
  }
  EXPECT_NEAR(encrypted, kSeeds / 3, kSeeds / 30);
  EXPECT_NEAR(with_liar, kSeeds / 3 / 4 * 7 / 8, kSeeds / 100) << "none where the middle is hostile";
}

TEST(SimOptions, TheArgumentsSayWhatConversationsAreWhereTheSeedDrawsOthers) {
  const std::uint64_t seed = first_encrypted_seed(true);
  const std::string alone = "--seed " + std::to_string(seed);
  EXPECT_EQ(to_arguments(draw_options(seed)), alone);
  EXPECT_EQ(to_arguments(draw_plain_options(seed)), alone + " --plain");
  RunOptions options = draw_plain_options(seed);
  options.encrypted = true;
  EXPECT_EQ(to_arguments(options), alone + " --encrypted");
  RunOptions honest = draw_options(seed);
  ASSERT_TRUE(turn_off(honest, "liar"));
  EXPECT_TRUE(to_arguments(honest).starts_with(alone + " --encrypted")) << to_arguments(honest);
  options = draw_plain_options(first_encrypted_seed(false));
  options.encrypted = options.liar = true;
  EXPECT_TRUE(to_arguments(options).ends_with(" --encrypted --liar")) << to_arguments(options);
}

TEST(SimOptions, TheArgumentsNameAPlantedBug) {
  RunOptions options = draw_options(42);
  options.planted = Bug::kP8OrderByTime;

  EXPECT_EQ(to_arguments(options), "--seed 42 --plant P8");
}

TEST(SimOptions, FaultPointsCanBeTurnedOff) {
  RunOptions options = draw_options(42);
  options.fault_points = true;

  ASSERT_TRUE(turn_off(options, "fault_points"));

  EXPECT_FALSE(options.fault_points);
  EXPECT_THAT(turned_on(options), ::testing::Not(::testing::Contains("fault_points")));
}

TEST(SimOptions, TheLastActionStaysOn) {
  RunOptions options = draw_options(42);
  options.action_weights.fill(0);
  options.action_weights[0] = 1;

  EXPECT_FALSE(turn_off(options, "send"));
}

TEST(SimOptions, AnUnknownKindIsRefused) {
  RunOptions options = draw_options(42);

  EXPECT_FALSE(turn_off(options, "earthquake"));
}

TEST(SimChild, BringsTheWholeResultBack) {
  RunResult result = broken("S9");
  result.tail = {"first", std::string("se\0cond", 7), ""};
  result.hash = ~std::uint64_t{0};
  result.records = 12;
  result.sends = 3;
  result.virtual_time = std::chrono::hours(2);
  result.convergence = std::chrono::microseconds(5);
  result.faults = {{"clog", 4}, {"cut", 1}};
  result.points = {{"outbox.before_accept", 2}};

  const RunResult read = run_in_child([&result] { return result; });

  ASSERT_EQ(read.violations.size(), 1u);
  EXPECT_EQ(read.violations[0].property, "S9");
  EXPECT_EQ(read.violations[0].message, "Made up.");
  EXPECT_EQ(read.violations[0].conversation, 1u);
  EXPECT_EQ(read.violations[0].event, 7u);
  EXPECT_EQ(read.tail, result.tail);
  EXPECT_EQ(read.hash, result.hash);
  EXPECT_EQ(read.records, 12u);
  EXPECT_EQ(read.sends, 3u);
  EXPECT_EQ(read.virtual_time, result.virtual_time);
  EXPECT_EQ(read.convergence, result.convergence);
  EXPECT_EQ(read.faults, result.faults);
  EXPECT_EQ(read.points, result.points);
}

TEST(SimChild, AProcessThatDiesIsAViolation) {
  const RunResult result = run_in_child([]() -> RunResult { std::_Exit(3); });

  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.violations.front().property, "process");
}

TEST(SimChild, BytesCutShortAreNoResult) {
  const std::string bytes = encode(broken("S1"));
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    RunResult result;
    EXPECT_FALSE(decode(std::string_view(bytes).substr(0, size), result));
  }
}

}  // namespace
}  // namespace chatsdk::sim
