// SPDX-License-Identifier: Apache-2.0
//
// What chatsdk-sim says to the terminal: how far it is, what was found, what the seeds were made of.
//
// Threads: one.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "sim/run.h"
#include "sim/shrink.h"

namespace chatsdk::sim {

struct Totals {
  std::uint64_t seeds = 0;
  std::uint64_t failed = 0;
  std::uint64_t compared = 0;  // run twice
  std::uint64_t encrypted = 0;
  std::uint64_t with_liar = 0;  // of these
  std::uint64_t sends = 0;
  std::uint64_t faults = 0;
  std::uint64_t turns = 0;
  std::uint64_t hash = 0;  // of the histories with their seeds, whatever the order in which they end
  double virtual_hours = 0;
  std::map<std::string, std::uint64_t> faults_by_kind;
  std::map<std::string, std::uint64_t> seeds_by_kind;
  std::map<std::string, std::uint64_t> points;  // in the code that struck, by name

  void add(std::uint64_t seed, const RunResult& result);
  double percent_of_seeds(std::string_view kind) const;
  bool is_due(std::string_view kind) const;  // some of these seeds could meet it
  bool is_poor() const;                      // sends or faults of a seed, on average, are fewer than what runs are for
  bool has_rare_kind() const;                // below what the summary demands
  bool has_silent_point() const;             // that never struck and could have
};

// One line of progress, then the faults by kind.
void print_progress(const Totals& totals, double elapsed_seconds);
void print_summary(const Totals& totals, double elapsed_seconds);
// The names of the points that struck, one a line; false: the file cannot be written.
bool write_points(const Totals& totals, const std::string& file);
// The seed with its options, the last events of the conversation concerned, the property, and the command that replays
// it.
void print_failure(const RunOptions& options, const RunResult& result);
void print_shrunk(const Shrunk& shrunk);
// Of a seed that runs alone: what it is made of, before it runs; what came out.
void print_options(const RunOptions& options);
void print_hash(const RunResult& result);

}  // namespace chatsdk::sim
