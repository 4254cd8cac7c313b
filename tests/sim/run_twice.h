// SPDX-License-Identifier: Apache-2.0
//
// One case twice in this process: a seed is one history, and where a second run has another, its first record that
// differs is told. The two histories that are compared are those of the two runs themselves: a third run might agree
// with either. What a history does not hold, and a seed decides all the same, is compared where the histories agree:
// turns, frames, which points struck how often, and whether the run held.
//
// Threads: one.
#pragma once

#include <optional>
#include <string>

#include "sim/run.h"

namespace chatsdk::sim {

// The first run's result. Where it held and the second run has another history: with the violation "determinism", and
// as its tail the lines around the first difference. With another one where the second run did not hold, or had the
// same history and another outcome.
RunResult run_twice(const RunOptions& options, const RunSettings& settings = {});

// In what the second of two runs with the same history differs from the first: "8 turns, and the first 7".
std::optional<std::string> outcome_difference(const RunResult& first, const RunResult& second);

}  // namespace chatsdk::sim
