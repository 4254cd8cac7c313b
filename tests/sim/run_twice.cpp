// SPDX-License-Identifier: Apache-2.0
#include "sim/run_twice.h"

#include <utility>

#include "base/assert.h"

namespace chatsdk::sim {

namespace {

constexpr std::size_t kLinesBefore = 5;

std::string line_or_end(const std::string& line) { return line.empty() ? "its end" : line; }

std::optional<std::string> count_difference(const std::string& what, std::uint64_t first, std::uint64_t second) {
  if (first == second) return std::nullopt;
  return std::to_string(second) + " " + what + ", and the first " + std::to_string(first);
}

std::uint64_t count_of(const RunResult& result, const std::string& point) {
  const auto struck = result.points.find(point);
  return struck == result.points.end() ? 0 : struck->second;
}

}  // namespace

std::optional<std::string> outcome_difference(const RunResult& first, const RunResult& second) {
  if (auto found = count_difference("turns", first.turns, second.turns)) return found;
  if (auto found = count_difference("frames", first.frames, second.frames)) return found;
  for (const RunResult* result : {&first, &second}) {
    for (const auto& [point, count] : result->points) {
      auto found = count_difference("strikes at " + point, count_of(first, point), count_of(second, point));
      if (found) return found;
    }
  }
  return std::nullopt;
}

RunResult run_twice(const RunOptions& options, const RunSettings& settings) {
  History one;
  RunSettings first = settings;
  first.history = &one;
  RunResult result = run(options, first);
  if (!result.ok()) return result;
  History other;
  RunSettings second = settings;
  second.log = false;
  second.history = &other;
  const RunResult again = run(options, second);
  const auto tell = [&result](std::string what, std::uint64_t record) {
    result.violations.push_back({"determinism", std::move(what), kNoConversation, record});
  };
  if (one.hash() != other.hash()) {
    const auto found = first_difference(one, other, kLinesBefore);
    CHATSDK_ASSERT(found);
    result.tail = found->before;
    result.tail.push_back("in the first run:  " + line_or_end(found->one));
    result.tail.push_back("in the second run: " + line_or_end(found->other));
    tell("A second run has another history from record " + std::to_string(found->number) +
             " on; they differ in: " + found->what + ".",
         found->number);
  } else if (const auto found = outcome_difference(result, again)) {
    tell("A second run has the same history, but " + *found + ".", result.records);
  }
  if (!again.ok()) tell("A second run did not hold: " + to_line(again.violations.front()), again.records);
  return result;
}

}  // namespace chatsdk::sim
