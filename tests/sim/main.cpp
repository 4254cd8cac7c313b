// SPDX-License-Identifier: Apache-2.0
//
// chatsdk-sim: runs seeds of the simulated world, says what it found, and makes a case that fails smaller.
//
//   chatsdk-sim                         500 fresh seeds
//   chatsdk-sim --seed 17 -v            one seed, with its history and logs
//   chatsdk-sim --first 1 --seeds 200
//   chatsdk-sim --seed 17 --users 2 --faults 3 --without clog
//
// Exit status: 0 all seeds held, 1 a property was broken or (--long) a kind of fault was too rare or a fault
// point never struck, 2 bad usage.
#include <poll.h>

#include <CLI/CLI.hpp>

#include <chrono>
#include <cinttypes>
#include <cstdio>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "sim/child.h"
#include "sim/planted_bugs.h"
#include "sim/report.h"
#include "sim/run_twice.h"
#include "sim/shrink.h"

namespace {

using chatsdk::sim::Child;
using chatsdk::sim::RunOptions;
using chatsdk::sim::RunResult;
using chatsdk::sim::Totals;
using SteadyTime = std::chrono::steady_clock::time_point;

constexpr double kProgressEverySeconds = 10;
constexpr double kShrinkSecondsMax = 180;
constexpr std::uint64_t kSeeds = 500;
constexpr std::uint64_t kSeedsLong = 6'000;
constexpr std::uint64_t kSeedMax = std::uint64_t{1} << 62;
constexpr std::uint64_t kCountMax = 1'000'000'000;

double seconds_since(SteadyTime start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

struct Arguments {
  bool encrypted = false;
  bool plain = false;
  bool liar = false;
  std::uint64_t seed = 0;
  std::uint64_t first = 0;
  std::uint64_t seeds = kSeeds;
  double minutes = 0;
  std::uint64_t twice_every = 50;
  std::size_t jobs = std::max(1u, std::thread::hardware_concurrency());
  unsigned shrink_runs = 60;
  bool no_shrink = false;
  bool keep_going = false;
  bool all_kinds = false;  // each in enough of the seeds, else they have not held
  bool verbose = false;

  // Other than the seed draws them.
  std::optional<std::uint32_t> users;
  std::optional<std::uint32_t> devices;
  std::optional<std::uint32_t> actions;
  std::optional<std::uint32_t> faults;
  std::optional<std::uint32_t> duration;
  std::vector<std::string> without;
  std::string plant;
  std::string points_file;
  bool list_plants = false;

  bool alone() const { return seed != 0; }
  // The seed says what conversations are.
  bool draws() const { return !encrypted && !plain; }
};

void declare(CLI::App& app, Arguments& arguments) {
  // A sign in front of a number makes it a huge one, which is out of range too.
  const CLI::Range seed_range(std::uint64_t{1}, kSeedMax);
  const CLI::Range count_range(std::uint64_t{1}, kCountMax);
  const CLI::Range count_or_none_range(std::uint64_t{0}, kCountMax);
  app.add_option("--seed", arguments.seed, "Run this seed alone")->check(seed_range);
  app.add_option("--first", arguments.first, "The first of consecutive seeds; drawn when not given")->check(seed_range);
  CLI::Option* const seeds =
      app.add_option("--seeds", arguments.seeds, "How many; 500 when not given")->check(count_range);
  app.add_flag_callback(
         "--long",
         [&arguments] {
           arguments.seeds = kSeedsLong;
           arguments.all_kinds = true;
         },
         "6,000 seeds, which must meet every kind of fault often enough and every fault point")
      ->excludes(seeds);
  app.add_option("--minutes", arguments.minutes, "Run seeds for this long instead")
      ->check(CLI::Range(0.001, 1'000'000.0));
  app.add_option("--twice-every", arguments.twice_every, "Run each nth seed twice and compare the hashes; 0: none")
      ->check(count_or_none_range);
  app.add_option("--jobs", arguments.jobs, "Runs at a time, each in a process of its own; 0: in this one, one by one")
      ->check(CLI::Range(0, 1'000));
  app.add_option("--shrink-runs", arguments.shrink_runs, "How many runs the search for a smaller case may take")
      ->check(CLI::Range(0, 1'000'000));
  app.add_flag("--no-shrink", arguments.no_shrink, "Look for no smaller case when a seed fails");
  CLI::Option* const encrypted = app.add_flag("--encrypted", arguments.encrypted,
                                              "Conversations are encrypted end to end, whatever the seed draws");
  app.add_flag("--plain", arguments.plain, "Conversations are plain, whatever the seed draws")->excludes(encrypted);
  app.add_flag("--liar", arguments.liar,
               "With --encrypted: the server's owner attacks devices, but where the middle is hostile already")
      ->needs(encrypted);
  app.add_flag("--keep-going", arguments.keep_going, "Do not stop at the first seed that fails");
  app.add_flag("-v,--verbose", arguments.verbose, "The history and the nodes' logs to standard error");
  app.add_option("--users", arguments.users, "How many users")->check(CLI::Range(2, 100));
  app.add_option("--devices", arguments.devices, "Devices of each user")->check(CLI::Range(1, 20));
  app.add_option("--actions", arguments.actions, "What users do, together");
  app.add_option("--faults", arguments.faults, "Faults that are tried");
  app.add_option("--duration", arguments.duration, "Virtual seconds before the heal")->check(CLI::Range(1, 1'000'000));
  app.add_option("--without", arguments.without,
                 "Kinds of actions and faults, 'hostile' or 'fault_points', that are off");
  app.add_option("--plant", arguments.plant, "A known bug that is in the code in every seed");
  app.add_option("--points", arguments.points_file, "Write to this file which fault points struck, one a line");
  app.add_flag("--list-plants", arguments.list_plants, "The bugs that can be planted");
}

// The seed's own options with what the command line says; none: a kind that there is not.
std::optional<RunOptions> options_of(std::uint64_t seed, const Arguments& arguments) {
  const bool draws = arguments.draws();
  RunOptions options = draws ? chatsdk::sim::draw_options(seed) : chatsdk::sim::draw_plain_options(seed);
  if (!draws) {
    options.encrypted = arguments.encrypted;
    options.liar = arguments.liar && options.lies != chatsdk::sim::Lies{};
  }
  options.users = arguments.users.value_or(options.users);
  options.devices_per_user = arguments.devices.value_or(options.devices_per_user);
  options.actions = arguments.actions.value_or(options.actions);
  options.faults = arguments.faults.value_or(options.faults);
  if (arguments.duration) options.duration = std::chrono::seconds(*arguments.duration);
  options.planted = chatsdk::sim::planted_bug(arguments.plant);
  for (const std::string& kind : arguments.without) {
    if (!turn_off(options, kind)) return std::nullopt;
  }
  return options;
}

// Why the bug that is asked for cannot be planted.
const char* wrong_plant(const Arguments& arguments) {
  if (arguments.plant.empty()) return nullptr;
  if (!chatsdk::kHasFaultPoints) return "this build has no bugs to plant, CHATSDK_FAULTS is off";
  return chatsdk::sim::planted_bug(arguments.plant) == chatsdk::Bug::kNone ? "no such bug" : nullptr;
}

RunResult run_case(const RunOptions& options, bool verbose, bool twice) {
  const chatsdk::sim::RunSettings settings{.log = verbose, .script = {}};
  return twice ? chatsdk::sim::run_twice(options, settings) : chatsdk::sim::run(options, settings);
}

// Hands seeds to children and takes their results in, each in the order of its end.
class Campaign {
 public:
  explicit Campaign(const Arguments& arguments) : arguments_(arguments), start_(std::chrono::steady_clock::now()) {}

  bool execute() {
    while (true) {
      while (may_start()) start_next();
      if (running_.empty()) break;
      take_in();
      if (seconds_since(start_) > next_progress_) {
        next_progress_ = seconds_since(start_) + kProgressEverySeconds;
        print_progress(totals_, seconds_since(start_));
      }
    }
    print_summary(totals_, seconds_since(start_));
    if (!arguments_.points_file.empty() && !write_points(totals_, arguments_.points_file)) return false;
    const bool wants = totals_.is_poor() || totals_.has_rare_kind() || totals_.has_silent_point();
    if (arguments_.all_kinds && wants) return false;
    return totals_.failed == 0;
  }

 private:
  struct Job {
    RunOptions options;
    bool twice = false;
    std::unique_ptr<Child> child;
  };

  bool may_start() const {
    if (stopped_ || running_.size() >= std::max<std::size_t>(arguments_.jobs, 1)) return false;
    return arguments_.minutes > 0 ? seconds_since(start_) < arguments_.minutes * 60 : started_ < arguments_.seeds;
  }

  void start_next() {
    Job job;
    job.options = *options_of(arguments_.first + started_, arguments_);
    job.twice = arguments_.twice_every != 0 && started_ % arguments_.twice_every == 0;
    ++started_;
    // Else they come with a failure, also of a child that died; a run in this process could take them with it.
    if (arguments_.alone() || arguments_.jobs == 0) print_options(job.options);
    const auto work = [options = job.options, twice = job.twice, verbose = arguments_.verbose] {
      return run_case(options, verbose, twice);
    };
    if (arguments_.jobs == 0) return finished(job, work());
    job.child = std::make_unique<Child>(work);
    running_.push_back(std::move(job));
  }

  void take_in() {
    std::vector<pollfd> waits;
    for (const Job& job : running_) waits.push_back({job.child->fd(), POLLIN, 0});
    ::poll(waits.data(), waits.size(), 1'000);
    for (std::size_t i = waits.size(); i-- > 0;) {
      if (waits[i].revents == 0 || !running_[i].child->take()) continue;
      const Job job = std::move(running_[i]);
      running_.erase(running_.begin() + static_cast<std::ptrdiff_t>(i));
      finished(job, job.child->result());
    }
  }

  void finished(const Job& job, const RunResult& result) {
    totals_.add(job.options.seed, result);
    totals_.compared += job.twice ? 1u : 0u;
    totals_.encrypted += job.options.encrypted ? 1u : 0u;
    totals_.with_liar += job.options.encrypted && job.options.liar ? 1u : 0u;
    if (arguments_.alone()) print_hash(result);
    if (result.ok()) return;
    print_failure(job.options, result);
    stopped_ = !arguments_.keep_going;
    if (!arguments_.no_shrink && result.violations.front().property != "determinism") make_smaller(job, result);
  }

  void make_smaller(const Job& job, const RunResult& result) const {
    chatsdk::sim::ShrinkLimits limits;
    limits.runs = arguments_.shrink_runs;
    limits.may_go_on = [begun = std::chrono::steady_clock::now()] { return seconds_since(begun) < kShrinkSecondsMax; };
    const auto run_one = [](const RunOptions& options) {
      return chatsdk::sim::run_in_child([&options] { return chatsdk::sim::run(options); });
    };
    print_shrunk(shrink(job.options, result, run_one, limits));
  }

  const Arguments& arguments_;
  const SteadyTime start_;
  double next_progress_ = kProgressEverySeconds;
  std::uint64_t started_ = 0;
  bool stopped_ = false;
  std::vector<Job> running_;
  Totals totals_;
};

}  // namespace

int main(int argc, char** argv) {
  Arguments arguments;
  CLI::App app{"Runs seeds of the simulated world"};
  declare(app, arguments);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  if (arguments.list_plants) {
    for (const auto& bug : chatsdk::sim::planted_bugs()) std::printf("%s\n", bug.name);
    return 0;
  }
  if (const char* const wrong = wrong_plant(arguments)) {
    std::fprintf(stderr, "--plant: %s\n", wrong);
    return 2;
  }
  if (arguments.alone()) {
    arguments.first = arguments.seed;
    arguments.seeds = 1;
    arguments.minutes = 0;
  }
  if (arguments.first == 0) arguments.first = (std::uint64_t{std::random_device{}()} << 16) + 1'000'000;
  if (!options_of(arguments.first, arguments)) {
    std::fprintf(stderr, "--without: no such kind, or nothing would be left to do\n");
    return 2;
  }
  if (!arguments.alone()) std::printf("seeds from %" PRIu64 "\n", arguments.first);
  return Campaign(arguments).execute() ? 0 : 1;
}
