// SPDX-License-Identifier: Apache-2.0
#include "sim/run.h"

#include <google/protobuf/stubs/logging.h>
#include <sodium.h>
#include <sqlite3.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <numeric>

#include "sim/fault_points.h"
#include "sim/nemesis.h"
#include "sim/workload.h"
#include "sim/world.h"

namespace chatsdk::sim {

using std::chrono::microseconds;
using std::chrono::seconds;

namespace {

constexpr std::size_t kTail = 200;
constexpr seconds kReadEvery{40};
// At the end: until what is under way has come to rest, and then nothing more is sent.
constexpr seconds kLastMoves{10};
// A request that was lost before the heal ends after half a minute, and is put again.
constexpr seconds kRequestsEnd{35};
constexpr seconds kQuiet{20};

class LibraryRandom;
LibraryRandom* library_random = nullptr;

const char* random_name() { return "simulation"; }
void random_bytes(void* out, std::size_t size);
std::uint32_t random_word() {
  std::uint32_t word = 0;
  random_bytes(&word, sizeof word);
  return word;
}
randombytes_implementation simulated_random = {random_name, random_word, nullptr, nullptr, random_bytes, nullptr};

// One thread runs everything and nobody asks for figures, so SQLite needs neither locks nor counts; where it has begun
// already, it refuses, and goes on as it is. Memory that a run gives back is what the next node or file takes: to ask
// the system for it each time costs more than the simulation of a turn.
void spare_the_machine() {
  sqlite3_config(SQLITE_CONFIG_SINGLETHREAD);
  sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
  // Of a page and what SQLite keeps beside it, for all nodes together; beyond that it takes pages from the heap.
  constexpr int kPages = 2'048;
  constexpr int kPageBytes = 4'096 + 272;
  alignas(8) static unsigned char pages[kPages * kPageBytes];
  sqlite3_config(SQLITE_CONFIG_PAGECACHE, pages, kPageBytes, kPages);
#ifdef __GLIBC__
  mallopt(M_MMAP_THRESHOLD, 32 << 20);  // the most that it takes
  mallopt(M_TRIM_THRESHOLD, 1 << 30);
  mallopt(M_TOP_PAD, 16 << 20);
#endif
}

// What libsodium and SQLite draw by themselves belongs to the node whose turn it is: each has a stream of its own, so
// that a draw more on one node changes nothing on another. SQLite's generator is one for the process; it starts anew
// from the node's stream when the turn passes to it.
class LibraryRandom {
 public:
  explicit LibraryRandom(std::uint64_t seed) : seed_(seed) {
    library_random = this;
    know(0);
    static const bool installed = [] {
      spare_the_machine();
      google::protobuf::SetLogHandler(nullptr);  // it reports every frame that the hostile middle has altered
      return randombytes_set_implementation(&simulated_random) == 0 && sodium_init() >= 0;
    }();
    CHATSDK_ASSERT(installed);
    pass_to(0);
  }
  ~LibraryRandom() { SimDisk::seed_sqlite(0); }
  LibraryRandom(const LibraryRandom&) = delete;
  LibraryRandom& operator=(const LibraryRandom&) = delete;

  void pass_to(NodeId node) {
    know(node);
    node_ = node;
    SimDisk::seed_sqlite(static_cast<std::uint32_t>(streams_[node].sqlite.next_u64() | 1));
  }
  SeededRandom& sodium() { return streams_[node_].sodium; }

 private:
  struct Streams {
    SeededRandom sodium;
    SeededRandom sqlite;
  };
  void know(NodeId node) {
    while (streams_.size() <= node) {
      const std::uint64_t stream = seed_ * 1'000'003 + streams_.size() * 2;
      streams_.push_back({SeededRandom(stream), SeededRandom(stream + 1)});
    }
  }

  const std::uint64_t seed_;
  NodeId node_ = 0;
  std::vector<Streams> streams_;  // by node
};

void random_bytes(void* out, std::size_t size) {
  library_random->sodium().fill({static_cast<unsigned char*>(out), size});
}

class RunLog final : public Log {
 public:
  explicit RunLog(bool on) : on_(on) {}
  void write(LogLevel, std::string_view area, std::string_view message) override {
    if (on_) {
      std::fprintf(stderr, "      %.*s: %.*s\n", static_cast<int>(area.size()), area.data(),
                   static_cast<int>(message.size()), message.data());
    }
  }
  bool enabled(LogLevel) const override { return on_; }

 private:
  const bool on_;
};

class Run;
Run* current_run = nullptr;

class Run {
 public:
  Run(const RunOptions& options, const RunSettings& settings)
      : libraries_(options.seed * 31 + 21), log_(settings.log), world_(options, log_), script_(settings.script) {
    current_run = this;
    world_.scheduler().on_node = [this](NodeId node) { libraries_.pass_to(node); };
    if (!settings.log) return;
    world_.observer().on_record = [this](const Record& record) {
      std::fprintf(stderr, "%s\n", to_line(record).c_str());
      world_.checkers().on(record);
    };
  }

  ~Run() { current_run = nullptr; }
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;

  RunResult execute() {
    const MonotonicTime begin = world_.scheduler().now();
    safety();
    RunResult result;
    if (world_.options().network.alters_meaning) {
      // Nobody promises convergence to what somebody else has said: safety must hold, also afterwards.
      if (!world_.failed()) world_.heal();
      run_until(world_.scheduler().now() + seconds(60));
      if (!world_.failed()) world_.read_all_stores();
    } else {
      if (!world_.failed()) result.convergence = liveness();
      if (!world_.failed()) finish();
    }
    if (!world_.failed()) world_.check_images();
    result.virtual_time = world_.scheduler().now() - begin;
    report(result);
    return result;
  }

  History take_history() { return world_.observer().take_history(); }

  // dying: the last records of all, as long as nothing is known to be broken.
  void report(RunResult& result, bool dying = false) {
    result.violations = world_.own_violations();
    const auto& found = world_.checkers().violations();
    result.violations.insert(result.violations.begin(), found.begin(), found.end());
    const History& history = world_.observer().history();
    if (!result.ok()) result.tail = history.tail(result.violations.front().conversation, kTail);
    if (result.ok() && dying) result.tail = history.tail(kNoConversation, kTail);
    result.hash = history.hash();
    result.records = history.records().size();
    result.turns = world_.scheduler().turns();
    result.frames = world_.network().frames();
    result.server_starts = world_.server().starts();
    result.faults = world_.observer().faults();
    result.points = points_.struck();
    result.sends = world_.sends();
  }

 private:
  void safety() {
    const MonotonicTime end = world_.scheduler().now() + world_.options().duration;
    if (script_) {
      script_(world_);
    } else {
      workload_.begin(end);
      nemesis_.begin(end);
    }
    world_.start_all();
    MonotonicTime next_read = world_.scheduler().now();
    while (world_.scheduler().now() < end && !world_.failed()) {
      next_read += kReadEvery;
      run_until(std::min(next_read, end));
      if (!world_.failed()) world_.read_all_stores();
    }
  }

  // Until the time, or the first violation.
  void run_until(MonotonicTime time) {
    while (!world_.failed() && world_.scheduler().run_one(time)) {
    }
    if (!world_.failed()) world_.scheduler().run_until(time);
  }

  microseconds liveness() {
    healed_ = world_.scheduler().now();
    world_.heal();
    await_rest("L4");
    return world_.scheduler().now() - healed_;
  }

  void await_rest(const char* property) {
    const MonotonicTime limit = world_.scheduler().now() + world_.options().converge_within;
    Verdict unrest;
    do {
      run_until(world_.scheduler().now() + seconds(1));
      if (world_.failed()) return;
      unrest = world_.unrest();
    } while (unrest && world_.scheduler().now() < limit);
    if (unrest) {
      world_.violation(property, Finding("After " + std::to_string(world_.options().converge_within.count()) +
                                             " s without faults: " + unrest->what + ".",
                                         unrest->conversation));
    }
  }

  void finish() {
    // What the server has lost goes again, from every device that has it.
    for (DeviceNode* device : world_.devices()) device->retry_lost();
    await_rest("L4");
    if (world_.failed()) return;
    // Messages that failed are the app's to settle: they would hold back the probes. Those behind them may fail next.
    for (int round = 0; round < 2'000 && settle_failed(); ++round) {
      await_rest("L4");
      if (world_.failed()) return;
    }
    probe();
    if (world_.failed()) return;
    for (DeviceNode* device : world_.devices()) {
      if (const Verdict found = device->untold()) {
        const std::string app = "The app of device " + std::to_string(device->number());
        world_.violation("told", Finding(app + " was " + found->what + ".", found->conversation));
      }
    }
    if (world_.failed()) return;
    if (world_.liar() == nullptr) sync_all();
    if (world_.failed()) return;
    // Whoever was misled may be linked late.
    world_.linker().stop();
    while (world_.linker().is_busy() && !world_.failed()) run_until(world_.scheduler().now() + seconds(1));
    const MonotonicTime moved = world_.scheduler().now() + kLastMoves;
    run_until(world_.options().encrypted ? std::max(moved, healed_ + kRequestsEnd) : moved);
    // What a liar has provoked may be so much that it goes on at one request a minute.
    const auto devices = world_.devices();
    const bool goes_on =
        world_.liar() != nullptr &&
        std::any_of(devices.begin(), devices.end(), [](DeviceNode* device) { return device->has_tasks(); });
    world_.observer().watch_activity(rotates_keys(world_.options()));
    run_until(world_.scheduler().now() + kQuiet);
    if (world_.failed()) return;
    FinalState state = world_.final_state();
    state.probes = std::move(probes_);
    state.activity = world_.observer().activity();
    std::erase_if(state.activity, [this, goes_on](const FinalState::Activity& activity) {
      DeviceNode* const device = activity.node == 0 ? nullptr : world_.device(activity.node);
      return goes_on || (device != nullptr && world_.is_misled(*device));
    });
    if (!world_.failed()) world_.checkers().at_end(state);
    if (!world_.failed()) reopen();
  }

  bool settle_failed() {
    bool any = false;
    for (DeviceNode* device : world_.devices()) any = device->settle_failed() || any;
    return any;
  }

  // Every device writes to every other user and reads all that it has. Who must have a message follows from who was
  // made to take part, not from what devices have learned. An app's own limit may pass before a connection that was cut
  // is found out, so a probe has the time that everything has to come to rest.
  void probe() {
    std::vector<Sent> sent;
    std::size_t asked = 0;
    for (DeviceNode* from : world_.devices()) {
      for (UserNumber user = 1; user <= world_.options().users; ++user) {
        if (user == from->user() || world_.is_misled(*from)) continue;
        ++asked;
        from->send(user, 40, world_.options().converge_within,
                   [this, &sent, from, user](const DeviceNode::SendOutcome& outcome) {
                     if (outcome.sent.ok()) return sent.push_back({from, user, outcome.conversation, *outcome.sent});
                     world_.violation(
                         "L5", Finding("Device " + std::to_string(from->number()) + " could not write to user " +
                                           std::to_string(user) + ": " + std::string(code_name(outcome.sent.code())) +
                                           ", " + outcome.sent.error().detail,
                                       outcome.conversation));
                   });
      }
    }
    await_rest("L5");
    if (world_.failed()) return;
    if (sent.size() != asked) {
      return world_.violation("L5", Finding(std::to_string(asked - sent.size()) + " calls to send did not return."));
    }
    for (DeviceNode* device : world_.devices()) device->read_all();
    await_rest("L5");
    if (world_.failed()) return;
    for (const Sent& probe : sent) {
      // What a liar has kept from its readers holds their marks back for good.
      const bool read_back = world_.liar() != nullptr || probe.from->sees_read(probe.k);
      for (DeviceNode* to : world_.devices()) {
        if (to == probe.from || world_.is_misled(*to) || (to->user() != probe.to && to->user() != probe.from->user()))
          continue;
        probes_.push_back(
            {probe.from->number(), to->number(), probe.conversation, probe.k, to->has(probe.k), read_back});
      }
    }
  }

  // Once everything has come to rest, every app that asks is told so.
  void sync_all() {
    std::size_t agreed = 0;
    for (DeviceNode* device : world_.devices()) {
      device->sync(seconds(1), [&agreed](Code code) { agreed += code == Code::kOk ? 1u : 0u; });
    }
    run_until(world_.scheduler().now() + seconds(2));
    if (world_.failed() || agreed == world_.devices().size()) return;
    world_.violation("sync", Finding("After all has come to rest " + std::to_string(agreed) + " of " +
                                     std::to_string(world_.devices().size()) + " devices say that they agree."));
  }

  struct Sent {
    DeviceNode* from;
    UserNumber to;
    ConversationNumber conversation;
    ClientMessageId k;
  };

  // Every store closes in order and opens again.
  void reopen() {
    for (DeviceNode* device : world_.devices()) world_.close_device(*device, microseconds(0));
    world_.drain_server(microseconds(0));
    run_until(world_.scheduler().now() + seconds(60));
    for (DeviceNode* device : world_.devices()) {
      if (!device->running())
        world_.violation("store", Finding("Device " + std::to_string(device->number()) + " did not start again."));
    }
    if (!world_.server().running()) world_.violation("store", Finding("The server did not start again."));
    if (!world_.failed()) world_.read_all_stores();
  }

  LibraryRandom libraries_;
  RunLog log_;
  World world_;
  const std::function<void(World&)> script_;
  FaultPoints points_{world_};
  Workload workload_{world_};
  Nemesis nemesis_{world_};
  std::vector<FinalState::Probe> probes_;
  MonotonicTime healed_;
};

}  // namespace

std::uint64_t RunResult::fault_count() const {
  return std::accumulate(faults.begin(), faults.end(), std::uint64_t{0},
                         [](std::uint64_t sum, const auto& entry) { return sum + entry.second; });
}

RunResult run(const RunOptions& options, const RunSettings& settings) {
  Run run(options, settings);
  RunResult result = run.execute();
  if (settings.history != nullptr) *settings.history = run.take_history();
  return result;
}

RunResult last_words() {
  RunResult result;
  if (current_run != nullptr) current_run->report(result, true);
  return result;
}

}  // namespace chatsdk::sim
