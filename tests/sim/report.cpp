// SPDX-License-Identifier: Apache-2.0
#include "sim/report.h"

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <fstream>
#include <iterator>

#include "base/fault.h"
#include "sim/fault_kinds.h"
#include "sim/fault_point_names.h"

namespace chatsdk::sim {

namespace {

void print_command(const char* what, const RunOptions& options) {
  std::printf("  %s: ./dev sim %s\n", what, to_arguments(options).c_str());
}

void print_violations(const RunResult& result) {
  for (const Violation& violation : result.violations) std::printf("  %s\n", to_line(violation).c_str());
}

// Of one seed. Each bit of either moves all of it: sums of plain hashes could agree where two seeds swap theirs.
std::uint64_t mixed(std::uint64_t seed, std::uint64_t hash) {
  std::uint64_t mixed = seed * 0x9E37'79B9'7F4A'7C15ull ^ hash;
  for (const int shift : {30, 27}) mixed = (mixed ^ mixed >> shift) * 0xBF58'476D'1CE4'E5B9ull;
  return mixed ^ mixed >> 31;
}

}  // namespace

void Totals::add(std::uint64_t seed, const RunResult& result) {
  ++seeds;
  hash += mixed(seed, result.hash);
  failed += result.ok() ? 0u : 1u;
  sends += result.sends;
  faults += result.fault_count();
  turns += result.turns;
  virtual_hours += static_cast<double>(result.virtual_time.count()) / 3.6e9;
  for (const auto& [kind, count] : result.faults) {
    faults_by_kind[kind] += count;
    ++seeds_by_kind[kind];
  }
  for (const auto& [name, count] : result.points) points[name] += count;
}

double Totals::percent_of_seeds(std::string_view kind) const {
  const auto found = seeds_by_kind.find(std::string(kind));
  if (seeds == 0 || found == seeds_by_kind.end()) return 0;
  return 100.0 * static_cast<double>(found->second) / static_cast<double>(seeds);
}

bool Totals::is_poor() const { return sends < kSendsPerSeedMin * seeds || faults < kFaultsPerSeedMin * seeds; }

bool Totals::is_due(std::string_view kind) const { return with_liar != 0 || !is_lie(kind); }

bool Totals::has_rare_kind() const {
  return std::any_of(std::begin(kFaultKinds), std::end(kFaultKinds), [this](std::string_view kind) {
    return is_due(kind) && percent_of_seeds(kind) < seeds_percent_min(kind);
  });
}

bool Totals::has_silent_point() const {
  return kHasFaultPoints &&
         std::any_of(std::begin(kFaultPointNames), std::end(kFaultPointNames), [this](std::string_view point) {
           return (encrypted != 0 || !needs_encryption(point)) && !points.contains(std::string(point));
         });
}

void print_progress(const Totals& totals, double elapsed_seconds) {
  std::printf("... %" PRIu64 " seeds, %.2f a second, %" PRIu64 " failed; %" PRIu64 " faults:", totals.seeds,
              static_cast<double>(totals.seeds) / std::max(elapsed_seconds, 0.001), totals.failed, totals.faults);
  for (const auto& [kind, count] : totals.faults_by_kind) std::printf(" %s %" PRIu64, kind.c_str(), count);
  std::printf("\n");
  std::fflush(stdout);
}

void print_summary(const Totals& totals, double elapsed_seconds) {
  const auto seeds = static_cast<double>(std::max<std::uint64_t>(totals.seeds, 1));
  std::printf("%" PRIu64 " seeds, %" PRIu64 " failed, %" PRIu64
              " compared with a second run, in %.1f s (%.2f s each)\n",
              totals.seeds, totals.failed, totals.compared, elapsed_seconds, elapsed_seconds / seeds);
  std::printf("%.1f virtual hours, %" PRIu64 " sends (%.0f a seed), %" PRIu64
              " faults with an effect (%.0f a seed), %" PRIu64 " turns\n",
              totals.virtual_hours, totals.sends, static_cast<double>(totals.sends) / seeds, totals.faults,
              static_cast<double>(totals.faults) / seeds, totals.turns);
  std::printf("%" PRIu64 " seeds encrypted, %" PRIu64 " of them with a server that lies\n", totals.encrypted,
              totals.with_liar);
  std::printf("hash of all %016" PRIx64 "\n", totals.hash);
  for (const std::string_view kind : kFaultKinds) {
    const auto count = totals.faults_by_kind.find(std::string(kind));
    const double percent = totals.percent_of_seeds(kind);
    std::printf("  %-30.*s %8" PRIu64 "  in %5.1f %% of seeds%s\n", static_cast<int>(kind.size()), kind.data(),
                count == totals.faults_by_kind.end() ? std::uint64_t{0} : count->second, percent,
                percent >= seeds_percent_min(kind) ? ""
                : totals.is_due(kind)              ? "  TOO RARE"
                                                   : "  (needs a liar)");
  }
  if (!kHasFaultPoints) return;
  for (const std::string_view point : kFaultPointNames) {
    const auto struck = totals.points.find(std::string(point));
    const std::uint64_t count = struck == totals.points.end() ? 0 : struck->second;
    std::printf("  at %-52.*s %8" PRIu64 "%s\n", static_cast<int>(point.size()), point.data(), count,
                count == 0 && totals.encrypted == 0 && needs_encryption(point) ? "  (needs encryption)" : "");
  }
}

bool write_points(const Totals& totals, const std::string& file) {
  std::ofstream out(file);
  for (const auto& [name, count] : totals.points) out << name << '\n';
  out.close();
  if (!out) std::fprintf(stderr, "--points: %s cannot be written\n", file.c_str());
  return !out.fail();
}

void print_failure(const RunOptions& options, const RunResult& result) {
  print_options(options);
  for (const std::string& line : result.tail) std::printf("  %s\n", line.c_str());
  print_violations(result);
  std::printf("seed %" PRIu64 " FAILED: %s\n", options.seed, result.violations.front().property.c_str());
  print_command("again", options);
  std::fflush(stdout);
}

void print_shrunk(const Shrunk& shrunk) {
  std::printf("smaller, after %u runs: %" PRIu64 " records, %" PRIu64 " sends, %" PRIu64 " faults\n", shrunk.runs,
              shrunk.result.records, shrunk.result.sends, shrunk.result.fault_count());
  print_violations(shrunk.result);
  std::printf("  %s\n", to_line(shrunk.options).c_str());
  print_command("again", shrunk.options);
  std::fflush(stdout);
}

void print_options(const RunOptions& options) {
  std::printf("seed %" PRIu64 ": %s\n", options.seed, to_line(options).c_str());
  std::fflush(stdout);
}

void print_hash(const RunResult& result) {
  std::printf("hash %016" PRIx64 ", %" PRIu64 " records\n", result.hash, result.records);
}

}  // namespace chatsdk::sim
