// SPDX-License-Identifier: Apache-2.0
//
// chatsdk-sim: runs seeds of the simulated world and says what it found.
//
//   chatsdk-sim                   500 fresh seeds
//   chatsdk-sim --seed 17 -v      one seed, with its history and logs
//   chatsdk-sim --first 1 --seeds 200
//
// Exit status: 0 all seeds held, 1 a property was broken, 2 bad usage.
#include <CLI/CLI.hpp>

#include <chrono>
#include <cstdio>
#include <map>
#include <random>
#include <string>

#include "sim/run.h"

namespace {

using chatsdk::sim::RunOptions;
using chatsdk::sim::RunResult;

struct Totals {
  std::uint64_t seeds = 0;
  std::uint64_t failed = 0;
  std::uint64_t sends = 0;
  std::uint64_t faults = 0;
  std::uint64_t records = 0;
  std::uint64_t turns = 0;
  double virtual_hours = 0;
  std::map<std::string, std::uint64_t> faults_by_kind;
  std::map<std::string, std::uint64_t> seeds_by_kind;
};

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

void add(Totals& totals, const RunResult& result) {
  ++totals.seeds;
  totals.failed += result.ok() ? 0u : 1u;
  totals.sends += result.sends;
  totals.faults += result.fault_count();
  totals.records += result.records;
  totals.turns += result.turns;
  totals.virtual_hours += static_cast<double>(result.virtual_time.count()) / 3.6e9;
  for (const auto& [kind, count] : result.faults) {
    totals.faults_by_kind[kind] += count;
    ++totals.seeds_by_kind[kind];
  }
}

void print_failure(const RunOptions& options, const RunResult& result) {
  for (const std::string& line : result.tail) std::printf("  %s\n", line.c_str());
  for (const auto& violation : result.violations) std::printf("  %s\n", to_line(violation).c_str());
  std::printf("seed %llu FAILED: %s\n  %s\n  again: ./dev sim --seed %llu\n",
              static_cast<unsigned long long>(options.seed), result.violations.front().property.c_str(),
              to_line(options).c_str(), static_cast<unsigned long long>(options.seed));
}

void print_summary(const Totals& totals, double elapsed) {
  const auto seeds = static_cast<double>(std::max<std::uint64_t>(totals.seeds, 1));
  std::printf(
      "%llu seeds, %llu failed, in %.1f s (%.2f s each)\n"
      "%.1f virtual hours, %llu sends (%.0f a seed), %llu faults with an effect (%.0f a seed), %llu turns\n",
      static_cast<unsigned long long>(totals.seeds), static_cast<unsigned long long>(totals.failed), elapsed,
      elapsed / seeds, totals.virtual_hours, static_cast<unsigned long long>(totals.sends),
      static_cast<double>(totals.sends) / seeds, static_cast<unsigned long long>(totals.faults),
      static_cast<double>(totals.faults) / seeds, static_cast<unsigned long long>(totals.turns));
  for (const auto& [kind, count] : totals.faults_by_kind) {
    std::printf("  %-28s %8llu  in %5.1f %% of seeds\n", kind.c_str(), static_cast<unsigned long long>(count),
                100.0 * static_cast<double>(totals.seeds_by_kind.at(kind)) / seeds);
  }
}

}  // namespace

int main(int argc, char** argv) {
  std::uint64_t seed = 0;
  std::uint64_t first = 0;
  std::uint64_t seeds = 500;
  double minutes = 0;
  bool verbose = false;
  bool keep_going = false;
  std::uint64_t twice_every = 50;
  CLI::App app{"Runs seeds of the simulated world"};
  app.add_option("--seed", seed, "Run this seed alone");
  app.add_option("--first", first, "The first of consecutive seeds; drawn when not given");
  app.add_option("--seeds", seeds, "How many");
  app.add_option("--minutes", minutes, "Run seeds for this long instead");
  app.add_option("--twice-every", twice_every, "Run each nth seed twice and compare the hashes; 0: none");
  app.add_flag("--keep-going", keep_going, "Do not stop at the first seed that fails");
  app.add_flag("-v,--verbose", verbose, "The history and the nodes' logs to standard error");
  CLI11_PARSE(app, argc, argv);

  if (seed != 0) {
    first = seed;
    seeds = 1;
  }
  if (first == 0) first = (std::uint64_t{std::random_device{}()} << 16) + 1'000'000;
  const auto start = std::chrono::steady_clock::now();
  double next_progress = 10;
  Totals totals;
  for (std::uint64_t i = 0; minutes > 0 ? seconds_since(start) < minutes * 60 : i < seeds; ++i) {
    const RunOptions options = chatsdk::sim::draw_options(first + i);
    if (seeds == 1 && minutes == 0)
      std::printf("seed %llu: %s\n", static_cast<unsigned long long>(first), to_line(options).c_str());
    std::fflush(stdout);
    RunResult result = chatsdk::sim::run(options, {.log = verbose});
    if (result.ok() && twice_every != 0 && i % twice_every == 0) {
      const RunResult again = chatsdk::sim::run(options);
      if (again.hash != result.hash) {
        result.violations.push_back({"determinism", "A second run has another history.", 0, 0});
      }
    }
    add(totals, result);
    if (seeds == 1 && minutes == 0) {
      std::printf("hash %016llx, %llu records\n", static_cast<unsigned long long>(result.hash),
                  static_cast<unsigned long long>(result.records));
    }
    if (!result.ok()) {
      print_failure(options, result);
      if (!keep_going) break;
    }
    if (seconds_since(start) > next_progress) {
      next_progress += 10;
      std::printf("... %llu seeds, %.2f a second, %llu faults, %llu failed\n",
                  static_cast<unsigned long long>(totals.seeds),
                  static_cast<double>(totals.seeds) / seconds_since(start),
                  static_cast<unsigned long long>(totals.faults), static_cast<unsigned long long>(totals.failed));
      std::fflush(stdout);
    }
  }
  print_summary(totals, seconds_since(start));
  return totals.failed == 0 ? 0 : 1;
}
