// SPDX-License-Identifier: Apache-2.0
#include "sim/run_twice.h"

#include "base/assert.h"

namespace chatsdk::sim {

namespace {

constexpr std::size_t kLinesBefore = 5;

std::string line_or_end(const std::string& line) { return line.empty() ? "its end" : line; }

}  // namespace

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
  run(options, second);
  if (one.hash() == other.hash()) return result;
  const auto found = first_difference(one, other, kLinesBefore);
  CHATSDK_ASSERT(found);
  result.tail = found->before;
  result.tail.push_back("in the first run:  " + line_or_end(found->one));
  result.tail.push_back("in the second run: " + line_or_end(found->other));
  result.violations.push_back({"determinism",
                               "A second run has another history from record " + std::to_string(found->number) +
                                   " on; they differ in: " + found->what + ".",
                               kNoConversation, found->number});
  return result;
}

}  // namespace chatsdk::sim
