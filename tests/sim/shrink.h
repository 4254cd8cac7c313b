// SPDX-License-Identifier: Apache-2.0
//
// Makes a case that fails smaller: with fewer users, devices, actions and faults, in less time, with single kinds of
// actions and faults off, as long as the same property is broken. Every trial is a whole run of the world; a smaller
// case is another history, not a part of the first, so a step may fail to reproduce by luck and a later one succeed.
// Steps that take much away come first; those that helped are tried again until none does or the runs are used up.
//
// Threads: one.
#pragma once

#include <functional>

#include "sim/run.h"

namespace chatsdk::sim {

// Runs a case and says how it went. The shrinker's only view of the world.
using RunCase = std::function<RunResult(const RunOptions&)>;

struct ShrinkLimits {
  unsigned runs = 60;
  std::function<bool()> may_go_on;  // asked before each run; none: as long as there are runs
};

struct Shrunk {
  RunOptions options;
  RunResult result;   // of these options
  unsigned runs = 0;  // that it took
};

// The failed case's property is that of its first violation.
Shrunk shrink(const RunOptions& failed, const RunResult& result, const RunCase& run_case,
              const ShrinkLimits& limits = {});

}  // namespace chatsdk::sim
