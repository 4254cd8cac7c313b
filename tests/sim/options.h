// SPDX-License-Identifier: Apache-2.0
//
// What a run is made of, drawn from its seed: who takes part, what they do, what befalls them. The swarm rule: each
// seed turns a random subset of actions and faults off and weighs the rest, so that every mixture occurs. The shrinker
// makes a case smaller by changing these numbers.
//
// Threads: values.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/fault.h"
#include "base/limits.h"
#include "e2ee/lifetimes.h"
#include "sim/device_node.h"
#include "sim/lies.h"
#include "sim/network.h"
#include "sim/server_node.h"

namespace chatsdk::sim {

// What users do.
enum class Action : std::uint8_t {
  kSend,
  kRepeatSend,
  kRead,
  kRetryFailed,
  kDiscardFailed,
  kLogOut,
  kRevokeDevice,
  kRestartClient,
  kNetworkChanged,
  kCloseAndOpen,  // the app is closed for a while
  kReinstall,
  kSuspend,        // and resumes after a while
  kContradict,     // another text under an id that is taken
  kStranger,       // to a user whom there is not
  kDiscardQueued,  // what never was on its way
  kSettleLost,     // sends again, or gives up, what the server has lost
  kPage,
  kReuseToken,
  kSync,     // waits until device and server agree
  kReceipt,  // asks who got and read a message, and when
};
inline constexpr std::size_t kActions = 20;

// What befalls the world.
enum class FaultKind : std::uint8_t {
  kCut,
  kClog,
  kSilence,
  kIsolate,
  kRefuseUpgrades,
  kLoseRequests,
  kLoseResponses,
  kRepeatRequests,
  kSlowRequests,
  kDeviceCrash,       // at once
  kDeviceCrashPoint,  // at a later write or sync
  kDeviceDiskFails,
  kDeviceBitFlip,
  kDeviceStall,
  kServerCrash,
  kServerCrashPoint,
  kServerDiskFails,
  kServerStall,
  kServerDrain,
  kBusLosses,
  kClockJump,
  kServerRestore,  // the server's store goes back to an older state
  kSlowReader,     // a device takes what it is sent at a trickle
  kPartition,
  kSwizzleClog,
};
inline constexpr std::size_t kFaults = 25;
const char* to_text(FaultKind fault);
const char* to_text(Action action);

struct RunOptions {
  std::uint64_t seed = 1;
  std::uint32_t users = 3;
  std::uint32_t devices_per_user = 2;
  std::uint32_t actions = 600;  // about half of them are sends
  std::uint32_t faults = 60;
  std::chrono::seconds duration{600};
  std::chrono::seconds converge_within{120};
  std::array<std::uint32_t, kActions> action_weights{};
  std::array<std::uint32_t, kFaults> fault_weights{};
  CrashMode kill_mode = CrashMode::kEachWrite;
  bool kill_mode_drawn = true;  // each crash draws its own
  bool hostile = false;
  bool liar = false;           // where conversations are encrypted, the server's owner attacks devices
  Lies lies{};                 // which it tells
  bool fault_points = false;   // the points in the code strike
  std::int32_t drift_max = 0;  // parts per million: how much faster or slower a node's clocks are at most
  bool assertions = false;     // the app's backend vouches for every other user
  // With the heal every app is started again; else only those whose disk had failed, and connections that live have to
  // notice by themselves what they have missed.
  bool all_start_again = true;
  Bug planted = Bug::kNone;
  std::size_t outbox_max = limits::kOutboxMax;
  bool encrypted = false;     // conversations
  e2ee::Lifetimes lifetimes;  // of keys: in half of the seeds so short that a run sees them out
  bool users_link = true;     // devices that say that they need a link; else the script does
  bool small_queues = false;  // of server and connections: what is rare elsewhere happens
  std::size_t long_text_bytes = 8'000;
  NetworkOptions network;
  ServerNodeOptions server;
  std::chrono::milliseconds send_time_limit{600'000};
};

// Everything from the seed. Conversations are encrypted in a third of the seeds, with a liar in a quarter of these.
RunOptions draw_options(std::uint64_t seed);
// The same where the seed has no say in that: plain, and no liar. Whoever wants other conversations changes these.
RunOptions draw_plain_options(std::uint64_t seed);
std::string to_line(const RunOptions& options);
// Conversations are encrypted, and keys do not outlive the run.
bool rotates_keys(const RunOptions& options);

// Turns an action, a fault, "hostile" or "fault_points" off by its name; false when there is none of that name, or when
// nobody would do anything any more.
bool turn_off(RunOptions& options, std::string_view name);
// The names of what is on.
std::vector<std::string> turned_on(const RunOptions& options);
// What chatsdk-sim's command line must say to get these options: the seed, and where they differ from what it draws in
// the numbers that the shrinker changes, and in what conversations are.
std::string to_arguments(const RunOptions& options);

}  // namespace chatsdk::sim
