// SPDX-License-Identifier: Apache-2.0
//
// Crashes at every write and every sync of scripted scenarios. A scenario is first played through and its victim's
// crash points are counted: writes, truncations, syncs and deletions within its time. Then it is played again for each
// point, moment (before or after the effect) and kill mode, with the victim dying exactly there; it starts again, the
// world heals, and everything must hold that holds for a run of the world (run.h). The same seed gives the same history
// up to the crash, so every point that was counted is reached.
//
// By itself each scenario takes every fifth point, with moment and mode in turn; under a sanitizer, where a run is some
// thirty times slower, every sixtieth. With CHATSDK_SIM_LONG=1 it takes all of them. CHATSDK_SIM_POINT="17 before 2"
// plays one with its history on stderr.
//
// Threads: one.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <sstream>
#include <string>
#include <variant>

#include "sim/run.h"
#include "sim/world.h"

namespace chatsdk::sim {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// Users 1 and 2 with two devices each: 1 and 2, 3 and 4. All are online well before the settled moment.
constexpr NodeId kSender = 1;
constexpr NodeId kReceiver = 3;
constexpr UserNumber kSendingUser = 1;
constexpr UserNumber kReceivingUser = 2;
constexpr seconds kSettled{20};
constexpr seconds kBegin{19};  // just before the first thing that a scenario does
#if defined(CHATSDK_SANITIZED)
constexpr std::uint64_t kSampleEvery = 60;
#else
constexpr std::uint64_t kSampleEvery = 5;
#endif
constexpr std::size_t kFailuresShown = 3;
constexpr const char* kLoggedOut = "logged out";

struct Scenario {
  const char* name;
  NodeId victim;  // 0: the server
  seconds from;   // crash points count from here to the end
  seconds duration;
  void (*script)(World&);
  bool (*exercised)(const Event&);  // what must have happened within its time, or it shows nothing
  seconds access_token_lifetime{900};
};

void at(World& world, milliseconds time, Task task) {
  world.scheduler().at(world.scheduler().now() + time, std::move(task));
}

// Something that a device does, if it takes part then.
template <typename Act>
void device_at(World& world, milliseconds time, NodeId number, Act act) {
  at(world, time, [&world, number, act] {
    if (DeviceNode* const device = world.device(number)) act(*device);
  });
}

void send_at(World& world, milliseconds time, NodeId from, UserNumber to, int count,
             std::optional<milliseconds> limit = std::nullopt) {
  device_at(world, time, from, [to, count, limit](DeviceNode& device) {
    for (int i = 0; i < count; ++i) device.send(to, 60 + static_cast<std::size_t>(i) * 400, limit);
  });
}

void offline(World& world, NodeId number, milliseconds from, milliseconds until) {
  at(world, from, [&world, number] {
    world.network().isolate(number);
    world.network().cut(number);
  });
  at(world, until, [&world, number] { world.network().end_isolation(number); });
}

template <typename Kind>
bool is(const Event& happened) {
  return std::holds_alternative<Kind>(happened);
}

bool logged_out(const Event& happened) {
  const auto* const cut = std::get_if<event::Cut>(&happened);
  return cut != nullptr && cut->mode == kLoggedOut;
}

void nothing_more(World&) {}

void send_offline(World& world) {
  offline(world, kSender, kSettled - seconds(1), seconds(30));
  send_at(world, kSettled, kSender, kReceivingUser, 5);
}

void send_online(World& world) {
  send_at(world, kSettled, kSender, kReceivingUser, 3);
  send_at(world, kSettled + seconds(2), kSender, kReceivingUser, 2);
}

void mark_read(World& world) {
  send_at(world, kSettled - seconds(4), kSender, kReceivingUser, 4);
  device_at(world, kSettled, kReceiver, [](DeviceNode& device) { device.read_all(); });
}

// Messages that failed at their time limit before the scenario's points begin.
void fail_some(World& world) {
  offline(world, kSender, kSettled - seconds(8), kSettled - seconds(2));
  send_at(world, kSettled - seconds(7), kSender, kReceivingUser, 3, milliseconds(500));
}

void retry(World& world) {
  fail_some(world);
  for (int i = 0; i < 3; ++i) {
    device_at(world, kSettled + seconds(i), kSender, [](DeviceNode& device) { device.retry_failed(0); });
  }
}

void discard(World& world) {
  fail_some(world);
  for (int i = 0; i < 3; ++i) {
    device_at(world, kSettled + seconds(i), kSender, [](DeviceNode& device) { device.discard_failed(0); });
  }
}

void token_refresh(World& world) {
  for (int i = 0; i < 8; ++i) send_at(world, kSettled + seconds(10 * i), kSender, kReceivingUser, 1);
}

void reconnect(World& world) {
  send_at(world, kSettled - seconds(4), kSender, kReceivingUser, 2);
  at(world, kSettled, [&world] { world.network().cut(kReceiver); });
  send_at(world, kSettled, kSender, kReceivingUser, 6);
}

// The app is put away, or suspended, which is the same to the store, while a message is under way; and comes back.
void close(World& world) {
  send_at(world, kSettled - seconds(4), kReceiver, kSendingUser, 2);
  send_at(world, kSettled, kSender, kReceivingUser, 3);
  at(world, kSettled + milliseconds(20), [&world] {
    if (DeviceNode* const device = world.device(kSender)) world.close_device(*device, seconds(2));
  });
}

// With messages that still wait; the app logs in again after a moment.
void log_out(World& world) {
  offline(world, kSender, kSettled - seconds(1), kSettled + seconds(1));
  send_at(world, kSettled, kSender, kReceivingUser, 2);
  device_at(world, kSettled + milliseconds(1'100), kSender, [](DeviceNode& device) { device.log_out(); });
  for (milliseconds time = kSettled + seconds(1); time < kSettled + seconds(4); time += milliseconds(50)) {
    device_at(world, time, kSender, [&world](DeviceNode& device) {
      if (device.state() == ConnectionState::kNotLoggedIn)
        world.observer().record(kSender, event::Cut{kSender, kLoggedOut});
    });
  }
}

// Everybody at once, so that one transaction takes several senders' messages.
void group_commit(World& world) {
  for (NodeId from = 1; from <= 4; ++from) {
    send_at(world, kSettled, from, from <= 2 ? kReceivingUser : kSendingUser, 3);
  }
}

void server_restart(World& world) {
  send_at(world, kSettled, kSender, kReceivingUser, 2);
  at(world, kSettled + seconds(1), [&world] { world.drain_server(seconds(1)); });
  send_at(world, kSettled + seconds(2), kReceiver, kSendingUser, 2);
}

// The operator has just put an older copy back: the server starts on it under a new epoch.
void server_restore(World& world) {
  at(world, kSettled - seconds(6), [&world] { world.back_up_server(); });
  send_at(world, kSettled - seconds(5), kSender, kReceivingUser, 3);
  at(world, kBegin - seconds(1), [&world] { world.restore_server(); });
}

const Scenario kScenarios[] = {
    {"FirstStart", kSender, seconds(0), seconds(25), nothing_more, is<event::Linked>},
    {"Register", 0, seconds(0), seconds(25), nothing_more, is<event::Linked>},
    {"SendOffline", kSender, kBegin, seconds(50), send_offline, is<event::SendReturned>},
    {"SendOnline", kSender, kBegin, seconds(40), send_online, is<event::Acked>},
    {"Receive", kReceiver, kBegin, seconds(40), send_online, is<event::Shown>},
    {"MarkRead", kReceiver, kBegin, seconds(40), mark_read, is<event::MarkReadReturned>},
    {"Retry", kSender, kBegin, seconds(40), retry, is<event::Retried>},
    {"Discard", kSender, kBegin, seconds(40), discard, is<event::Discarded>},
    {"TokenRefresh", kSender, kBegin, seconds(110), token_refresh, is<event::Acked>, seconds(75)},
    {"Reconnect", kReceiver, kBegin, seconds(40), reconnect, is<event::Shown>},
    {"Close", kSender, kBegin, seconds(40), close, is<event::Restart>},
    {"LogOut", kSender, kBegin, seconds(40), log_out, logged_out},
    {"EndSession", 0, kBegin, seconds(40), log_out, logged_out},
    {"GroupCommit", 0, kBegin, seconds(40), group_commit, is<event::Acked>},
    {"ServerRestart", 0, kBegin, seconds(45), server_restart, is<event::Acked>},
    {"ServerRestore", 0, kBegin, seconds(45), server_restore, is<event::EpochSeen>},
};

void PrintTo(const Scenario& scenario, std::ostream* out) { *out << scenario.name; }

struct Crash {
  std::uint64_t point = 0;
  CrashMoment moment = CrashMoment::kBefore;
  CrashMode mode = CrashMode::kDropUnsynced;
};

constexpr CrashMoment kMoments[] = {CrashMoment::kBefore, CrashMoment::kAfter};
constexpr CrashMode kModes[] = {CrashMode::kDropUnsynced, CrashMode::kKeepPrefix, CrashMode::kEachWrite,
                                CrashMode::kProcessOnly};

std::string to_text(const Crash& crash) {
  return std::to_string(crash.point) + (crash.moment == CrashMoment::kBefore ? " before " : " after ") +
         std::to_string(static_cast<int>(crash.mode));
}

std::optional<Crash> crash_asked_for() {
  const char* const asked = std::getenv("CHATSDK_SIM_POINT");
  if (asked == nullptr) return std::nullopt;
  std::istringstream in(asked);
  Crash crash;
  std::string moment;
  int mode = 1;
  in >> crash.point >> moment >> mode;
  crash.moment = moment == "after" ? CrashMoment::kAfter : CrashMoment::kBefore;
  crash.mode = static_cast<CrashMode>(mode);
  return crash;
}

SimDisk& disk_of(World& world, NodeId node) { return node == 0 ? world.server().disk() : world.device(node)->disk(); }

RunOptions options_of(const Scenario& scenario, CrashMode mode) {
  RunOptions options;
  options.seed = 1;
  options.users = 2;
  options.devices_per_user = 2;
  options.duration = scenario.duration;
  options.kill_mode = mode;
  options.kill_mode_drawn = false;
  options.server.access_token_lifetime = scenario.access_token_lifetime;
  return options;
}

class CrashSweep : public testing::TestWithParam<Scenario> {
 protected:
  // The victim's crash points in a run without a crash.
  std::uint64_t count_points() {
    std::uint64_t before = 0;
    std::uint64_t after = 0;
    std::size_t first = 0;
    bool exercised = false;
    const auto script = [&](World& world) {
      const auto points = [&world] { return disk_of(world, GetParam().victim).counters().crash_points; };
      GetParam().script(world);
      at(world, GetParam().from, [&world, &before, &first, points] {
        before = points();
        first = world.observer().history().records().size();
      });
      at(world, GetParam().duration - milliseconds(1), [&world, &after, &first, &exercised, points] {
        after = points();
        const auto& records = world.observer().history().records();
        exercised = std::any_of(records.begin() + static_cast<std::ptrdiff_t>(first), records.end(),
                                [](const Record& record) { return GetParam().exercised(record.event); });
      });
    };
    const RunResult result = run(options_of(GetParam(), CrashMode::kDropUnsynced), {.log = false, .script = script});
    if (!result.ok()) ADD_FAILURE() << "without a crash: " << to_line(result.violations.front());
    EXPECT_TRUE(exercised) << "What the scenario is about did not happen.";
    return after - before;
  }

  void crash_at(const Crash& crash, bool log) {
    bool struck = false;
    const auto script = [&](World& world) {
      GetParam().script(world);
      at(world, GetParam().from, [&world, &struck, &crash] {
        disk_of(world, GetParam().victim).crash_after(crash.point, crash.moment, [&struck] { struck = true; });
      });
      // As many events as the run that counts has: each draws its place among those of its time.
      at(world, GetParam().duration - milliseconds(1), [] {});
    };
    const RunResult result = run(options_of(GetParam(), crash.mode), {.log = log, .script = script});
    ++crashes_;
    if (result.ok() && struck) return;
    ++failures_;
    if (failures_ > kFailuresShown) return;
    for (const std::string& line : result.tail) std::printf("  %s\n", line.c_str());
    ADD_FAILURE() << (struck ? to_line(result.violations.front()) : std::string("The point was not reached."))
                  << "\nagain: CHATSDK_SIM_POINT=\"" << to_text(crash)
                  << "\" sim_crash_sweep_test --gtest_filter='*CrashSweep*/" << GetParam().name << "'";
  }

  std::uint64_t crashes_ = 0;
  std::uint64_t failures_ = 0;
};

TEST_P(CrashSweep, HoldsAtEveryWriteAndSync) {
  if (const auto crash = crash_asked_for()) return crash_at(*crash, true);
  const std::uint64_t points = count_points();
  EXPECT_GT(points, 0u);

  if (std::getenv("CHATSDK_SIM_LONG") != nullptr) {
    for (std::uint64_t point = 1; point <= points; ++point) {
      for (const CrashMode mode : kModes) {
        for (const CrashMoment moment : kMoments) crash_at({point, moment, mode}, false);
      }
    }
  } else {
    for (std::uint64_t point = 1, turn = 0; point <= points; point += kSampleEvery, ++turn) {
      crash_at({point, kMoments[turn % std::size(kMoments)], kModes[turn / 2 % std::size(kModes)]}, false);
    }
  }

  std::printf("%s: %llu crash points, %llu crashes, %llu failed\n", GetParam().name,
              static_cast<unsigned long long>(points), static_cast<unsigned long long>(crashes_),
              static_cast<unsigned long long>(failures_));
  EXPECT_EQ(failures_, 0u);
}

INSTANTIATE_TEST_SUITE_P(Sim, CrashSweep, testing::ValuesIn(kScenarios),
                         [](const auto& scenario) { return std::string(scenario.param.name); });

}  // namespace
}  // namespace chatsdk::sim
