// SPDX-License-Identifier: Apache-2.0
//
// One run of the simulated world, from options to verdict.
//
//   1. the server starts, devices start and log in
//   2. safety: users act while the nemesis strikes; every record is judged
//   3. heal: faults end, every node is up
//   4. liveness: until all is quiet and equal, or the time limit
//   5. probes: each device writes to each other user and is read
//   6. final state, stores closed in order and opened again
//   7. the image of every store is checked as a whole
// Where a hostile middle alters what is said, 4 to 6 are left out.
//
// Threads: one; one run at a time in a process, because libsodium's and SQLite's generators are the process's.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "sim/checkers.h"
#include "sim/options.h"

namespace chatsdk::sim {

struct RunResult {
  std::vector<Violation> violations;
  std::vector<std::string> tail;  // the last records that concern the first violation
  std::uint64_t hash = 0;         // of the history
  std::uint64_t records = 0;
  std::uint64_t turns = 0;
  std::uint64_t frames = 0;
  std::uint64_t sends = 0;
  std::uint64_t server_starts = 0;
  std::chrono::microseconds virtual_time{};
  std::chrono::microseconds convergence{};      // from the heal
  std::map<std::string, std::uint64_t> faults;  // that had an effect, by kind
  std::map<std::string, std::uint64_t> points;  // in the code that struck, by name

  bool ok() const { return violations.empty(); }
  std::uint64_t fault_count() const;
};

class World;

struct RunSettings {
  bool log = false;  // nodes' logs and the history to stderr
  // Schedules what happens in the safety phase, instead of users and nemesis. Called before anything has started.
  std::function<void(World&)> script;
  History* history = nullptr;  // takes what was recorded
};

RunResult run(const RunOptions& options, const RunSettings& settings = {});

// What is known of the run that goes on in this process, with its last records; empty when there is none. For a process
// that is about to die in the middle of it.
RunResult last_words();

}  // namespace chatsdk::sim
