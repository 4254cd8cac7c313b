// SPDX-License-Identifier: Apache-2.0
//
// One case twice in this process: a seed is one history, and where a second run has another, its first record that
// differs is told. The two histories that are compared are those of the two runs themselves: a third run might agree
// with either.
//
// Threads: one.
#pragma once

#include "sim/run.h"

namespace chatsdk::sim {

// The first run's result. Where it held and the second run has another history: with the violation "determinism", and
// as its tail the lines around the first difference.
RunResult run_twice(const RunOptions& options, const RunSettings& settings = {});

}  // namespace chatsdk::sim
