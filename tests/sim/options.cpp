// SPDX-License-Identifier: Apache-2.0
#include "sim/options.h"

#include <algorithm>
#include <iterator>
#include <numeric>

#include "sim/planted_bugs.h"

namespace chatsdk::sim {

namespace {

constexpr std::array<const char*, kActions> kActionNames = {
    "send",           "repeat_send",     "read",           "retry_failed", "discard_failed", "log_out",    "revoke",
    "restart_client", "network_changed", "close_and_open", "reinstall",    "suspend",        "contradict", "stranger",
    "discard_queued", "settle_lost",     "page",           "reuse_token",  "sync",           "receipt"};
constexpr std::array<const char*, kFaults> kFaultNames = {"cut",
                                                          "clog",
                                                          "silence",
                                                          "isolate",
                                                          "refuse_upgrades",
                                                          "lose_requests",
                                                          "lose_responses",
                                                          "repeat_requests",
                                                          "slow_requests",
                                                          "device_crash",
                                                          "device_crash_point",
                                                          "device_disk_fails",
                                                          "device_bit_flip",
                                                          "device_stall",
                                                          "server_crash",
                                                          "server_crash_point",
                                                          "server_disk_fails",
                                                          "server_stall",
                                                          "server_drain",
                                                          "bus_losses",
                                                          "clock_jump",
                                                          "server_restore",
                                                          "slow_reader",
                                                          "partition",
                                                          "swizzle_clog"};

// How often each is chosen before the swarm weighs it.
constexpr std::array<std::uint32_t, kActions> kActionBase = {100, 4, 40, 8, 4, 1, 1, 3, 3, 4,
                                                             1,   4, 2,  3, 4, 6, 6, 6, 4, 6};
constexpr std::array<std::uint32_t, kFaults> kFaultBase = {20, 10, 8, 4, 4, 4, 4, 4, 3, 8,  10, 12, 6,
                                                           5,  4,  6, 8, 4, 2, 6, 4, 2, 16, 6,  6};

// Those before are drawn first, the others with a generator of their own, so that the draws between keep their meaning.
constexpr std::size_t kActionsBefore = static_cast<std::size_t>(Action::kSync);
constexpr std::size_t kFaultsBefore = static_cast<std::size_t>(FaultKind::kSlowReader);

constexpr std::string_view kHostile = "hostile";
constexpr std::string_view kFaultPoints = "fault_points";
constexpr std::string_view kLiar = "liar";
constexpr std::string_view kDrift = "clock_drift";
constexpr std::string_view kKeyRotation = "key_rotation";

// One in so many frames of each; 0: none.
std::string hostile_line(const NetworkOptions& network) {
  return ", hostile (one in: drop " + std::to_string(network.drop_one_in) + ", repeat " +
         std::to_string(network.repeat_one_in) + ", reorder " + std::to_string(network.reorder_one_in) + ", alter " +
         std::to_string(network.alter_one_in) + (network.alters_meaning ? ", also what they say)" : ")");
}

// One in so many occasions of each.
std::string liar_line(const Lies& lies) {
  std::string line;
  for (std::size_t i = 0; i < kLies; ++i) {
    if (lies[i] != 0) line += (line.empty() ? "" : ", ") + std::string(kLieNames[i]) + " " + std::to_string(lies[i]);
  }
  return ", liar (one in: " + line + ")";
}

std::string small_queues_line(const RunOptions& options) {
  return ", small queues (unread " + std::to_string(options.server.gateway.write_bytes_max) + " B, send buffer " +
         std::to_string(options.network.send_buffer_bytes_max) + " B, sends " +
         std::to_string(options.server.gateway.send_window) + "/" +
         std::to_string(options.server.gateway.sends_in_flight) + ", commits " +
         std::to_string(options.server.commit.queue_max) + "/" + std::to_string(options.server.commit.batch_max) +
         ", inbox " + std::to_string(options.server.inbox_hints_max) + ", cached streams " +
         std::to_string(options.server.cached_streams_max) + ", sessions " +
         std::to_string(options.server.cached_sessions_max) + ")";
}

std::string lifetimes_line(const e2ee::Lifetimes& lifetimes) {
  const auto text = [](e2ee::Lifetimes::Time time) { return std::to_string(time.count() / 1'000); };
  return ", prekeys of " + text(lifetimes.signed_rotation) + "+" + text(lifetimes.signed_kept) + " s, skipped keys " +
         text(lifetimes.skipped_kept) + " s, archived sessions " + text(lifetimes.archived_kept) + " s";
}

std::string weight_text(const char* name, std::uint32_t weight) {
  return weight == 0 ? std::string() : std::string(" ") + name + " " + std::to_string(weight);
}

}  // namespace

bool rotates_keys(const RunOptions& options) { return options.encrypted && options.lifetimes != e2ee::kLifetimes; }

const char* to_text(Action action) { return kActionNames[static_cast<std::size_t>(action)]; }
const char* to_text(FaultKind fault) { return kFaultNames[static_cast<std::size_t>(fault)]; }

// Queues that a run of this size fills. A window's items and what is said beside them fit into what a connection may
// have waiting, so that only who reads too slowly is closed.
void draw_small_queues(SeededRandom& random, RunOptions& options) {
  const auto one_of = [&random](std::initializer_list<std::size_t> values) {
    return *(values.begin() + random.below(values.size()));
  };
  options.small_queues = true;
  options.long_text_bytes = 2'000;
  options.network.kernel_bytes = 0;
  options.network.send_buffer_bytes_max = one_of({500, 2'000, limits::kSendBufferBytesMax});
  options.server.gateway.window_bytes = 4'096;
  options.server.gateway.write_bytes_max = one_of({5'500, 7'000});
  options.server.gateway.send_window = one_of({1, 4, limits::kSendWindow});
  options.server.gateway.sends_in_flight = one_of({2, 16, limits::kSendsInFlightMax});
  options.server.commit.queue_max = one_of({2, 8, limits::kCommitQueueMax});
  options.server.commit.batch_max = one_of({1, 4, limits::kCommitBatchMax});
  options.server.inbox_hints_max = one_of({1, 4, limits::kBusInboxMessagesMax});
  options.server.cached_streams_max = one_of({1, 4, limits::kCachedStreamsMax});
  options.server.cached_sessions_max = one_of({1, 2, limits::kCachedSessionsMax});
}

// A pair of prekeys is replaced some ten times in a run, and what a device could not be told of for a while was
// encrypted under one that is gone.
e2ee::Lifetimes draw_lifetimes(SeededRandom& random) {
  const auto between = [&random](std::uint64_t low, std::uint64_t high) {
    return std::chrono::seconds(low + random.below(high - low + 1));
  };
  e2ee::Lifetimes lifetimes;
  lifetimes.signed_rotation = between(30, 90);
  lifetimes.signed_rotation_share = lifetimes.signed_rotation / 4;
  // What a device that was away for the whole run has to open stays: repairs are few in a minute, and would not be done
  // in time. What comes of secrets that have gone, scripted runs show.
  lifetimes.signed_kept = between(900, 1'500);
  lifetimes.one_time_kept = between(900, 1'500);
  lifetimes.skipped_kept = between(900, 1'500);
  lifetimes.archived_kept = between(900, 1'500);
  lifetimes.ageing_pause = between(5, 30);
  lifetimes.digest_interval = between(20, 120);
  lifetimes.upkeep_look = between(5, 15);
  return lifetimes;
}

// Some lies of the many. Those that stay believed when the liar has gone leave little to judge at the end: seldom.
Lies draw_lies(SeededRandom& random) {
  constexpr std::uint32_t kOneIn[] = {3, 10, 40};
  Lies lies{};
  for (std::size_t i = 0; i < kLies; ++i) {
    const auto lie = static_cast<Lie>(i);
    const bool stays = lie == Lie::kAnotherAccount || lie == Lie::kForgedRoster || lie == Lie::kIdentityInEachAnswer;
    const bool told = random.below(stays ? 8 : 2) == 0;
    const std::uint32_t one_in = kOneIn[random.below(std::size(kOneIn))];
    if (told) lies[i] = one_in;
  }
  return lies;
}

// A device alone has no other that could link the next one of its user.
void encrypt(RunOptions& options, bool with_liar) {
  options.encrypted = true;
  options.liar = with_liar && options.lies != Lies{};
  if (options.devices_per_user > 1) return;
  for (const Action action : {Action::kReinstall, Action::kRevokeDevice}) {
    options.action_weights[static_cast<std::size_t>(action)] = 0;
  }
}

RunOptions draw_plain_options(std::uint64_t seed) {
  SeededRandom random(seed * 0x9E37'79B9'7F4A'7C15ull + 0x5151);
  const auto between = [&random](std::uint64_t low, std::uint64_t high) { return low + random.below(high - low + 1); };
  const auto one_of = [&random](std::initializer_list<std::uint64_t> values) {
    return *(values.begin() + random.below(values.size()));
  };
  RunOptions options;
  options.seed = seed;
  options.users = static_cast<std::uint32_t>(between(2, 5));
  options.devices_per_user = static_cast<std::uint32_t>(between(1, 3));
  options.actions = static_cast<std::uint32_t>(between(450, 750));
  options.faults = static_cast<std::uint32_t>(between(40, 90));
  for (std::size_t i = 0; i < kActionsBefore; ++i) {
    const bool off = i != 0 && random.below(4) == 0;
    options.action_weights[i] = off ? 0 : kActionBase[i] * static_cast<std::uint32_t>(between(20, 100));
  }
  for (std::size_t i = 0; i < kFaultsBefore; ++i) {
    const bool off = random.below(3) == 0;
    options.fault_weights[i] = off ? 0 : kFaultBase[i] * static_cast<std::uint32_t>(between(1, 100));
  }
  // A store that goes back changes what the rest can show: only some seeds have it.
  if (random.below(4) != 0) options.fault_weights[static_cast<std::size_t>(FaultKind::kServerRestore)] = 0;
  options.kill_mode_drawn = random.below(2) == 0;
  options.kill_mode = static_cast<CrashMode>(random.below(4));

  options.network.latency_min = std::chrono::microseconds(one_of({200, 1'000, 20'000}));
  options.network.latency_mean = std::chrono::microseconds(one_of({500, 10'000, 100'000}));
  options.network.bytes_per_ms = static_cast<std::uint32_t>(one_of({10, 1'000, 100'000}));
  options.hostile = random.below(8) == 0;
  if (options.hostile) {
    options.network.drop_one_in = static_cast<std::uint32_t>(one_of({0, 50, 400}));
    options.network.repeat_one_in = static_cast<std::uint32_t>(one_of({0, 20, 200}));
    options.network.reorder_one_in = static_cast<std::uint32_t>(one_of({0, 20, 200}));
  }

  options.server.shards = between(1, 3);
  options.server.access_token_lifetime = std::chrono::seconds(one_of({75, 120, 900}));
  options.server.gateway.window_items = one_of({2, 8, 64, 256});
  options.server.gateway.window_bytes = one_of({4'096, 65'536, 262'144});
  options.server.gateway.drain_spread = std::chrono::milliseconds(one_of({10, 1'000, 5'000}));
  options.server.checkpoint_pages = static_cast<std::uint32_t>(one_of({20, 200, 4'096}));
  options.send_time_limit = std::chrono::milliseconds(one_of({5'000, 30'000, 600'000}));
  // From a generator of their own, so that the draws above keep their meaning.
  SeededRandom more(seed * 0x9E37'79B9'7F4A'7C15ull + 0x5252);
  // A probe to each other user fits in.
  if (more.below(4) == 0) options.outbox_max = options.users + more.below(8);
  options.fault_points = more.below(3) == 0;
  options.all_start_again = more.below(2) == 0;
  options.assertions = more.below(3) == 0;
  SeededRandom latest(seed * 0x9E37'79B9'7F4A'7C15ull + 0x5353);
  for (std::size_t i = kActionsBefore; i < kActions; ++i) {
    const bool off = latest.below(2) == 0;
    options.action_weights[i] = off ? 0 : kActionBase[i] * static_cast<std::uint32_t>(20 + latest.below(81));
  }
  if (latest.below(3) == 0) {
    const auto slow = static_cast<std::size_t>(FaultKind::kSlowReader);
    options.fault_weights[slow] = kFaultBase[slow] * static_cast<std::uint32_t>(30 + latest.below(71));
    draw_small_queues(latest, options);
  }
  if (options.hostile) {
    constexpr std::uint64_t kAlterOneIn[] = {0, 50, 400};
    options.network.alter_one_in = static_cast<std::uint32_t>(kAlterOneIn[more.below(3)]);
    options.network.alters_meaning = options.network.alter_one_in != 0 && more.below(3) == 0;
  }
  SeededRandom last(seed * 0x9E37'79B9'7F4A'7C15ull + 0x5454);
  for (const FaultKind kind : {FaultKind::kPartition, FaultKind::kSwizzleClog}) {
    if (last.below(3) != 0) continue;
    const auto i = static_cast<std::size_t>(kind);
    options.fault_weights[i] = kFaultBase[i] * static_cast<std::uint32_t>(1 + last.below(100));
  }
  // A quartz as they are, and one that is broken.
  if (last.below(2) == 0) options.drift_max = last.below(2) == 0 ? 100 : 5'000;
  SeededRandom ages(seed * 0x9E37'79B9'7F4A'7C15ull + 0x5555);
  if (ages.below(2) == 0) options.lifetimes = draw_lifetimes(ages);
  SeededRandom owner(seed * 0x9E37'79B9'7F4A'7C15ull + 0x5656);
  if (!options.hostile) options.lies = draw_lies(owner);
  return options;
}

RunOptions draw_options(std::uint64_t seed) {
  RunOptions options = draw_plain_options(seed);
  SeededRandom random(seed * 0x9E37'79B9'7F4A'7C15ull + 0x5757);
  const bool encrypted = random.below(3) == 0;
  const bool with_liar = random.below(4) == 0;
  if (encrypted) encrypt(options, with_liar);
  return options;
}

std::string to_line(const RunOptions& options) {
  std::string line =
      "users " + std::to_string(options.users) + " x " + std::to_string(options.devices_per_user) + ", actions " +
      std::to_string(options.actions) + ", faults " + std::to_string(options.faults) + ", " +
      std::to_string(options.duration.count()) + " s, kill mode " +
      (options.kill_mode_drawn ? "drawn" : std::to_string(static_cast<int>(options.kill_mode))) + ", latency " +
      std::to_string(options.network.latency_min.count()) + "+" + std::to_string(options.network.latency_mean.count()) +
      " us, " + std::to_string(options.network.bytes_per_ms) + " B/ms, shards " +
      std::to_string(options.server.shards) + ", window " + std::to_string(options.server.gateway.window_items) + "/" +
      std::to_string(options.server.gateway.window_bytes) + " B, drain spread " +
      std::to_string(options.server.gateway.drain_spread.count()) + " ms, checkpoint " +
      std::to_string(options.server.checkpoint_pages) + " pages, tokens " +
      std::to_string(options.server.access_token_lifetime.count()) + " s, time limit " +
      std::to_string(options.send_time_limit.count()) + " ms" +
      (options.hostile ? hostile_line(options.network) : std::string()) +
      (options.drift_max != 0 ? ", drift " + std::to_string(options.drift_max) + " ppm" : std::string()) +
      (options.encrypted ? ", encrypted" : "") + (rotates_keys(options) ? lifetimes_line(options.lifetimes) : "") +
      (options.encrypted && options.liar ? liar_line(options.lies) : std::string()) +
      (options.fault_points ? ", fault points" : "") + (options.assertions ? ", assertions" : "") +
      (options.all_start_again ? "" : ", apps go on after the heal") +
      (options.outbox_max == limits::kOutboxMax ? "" : ", outbox " + std::to_string(options.outbox_max)) +
      (options.small_queues ? small_queues_line(options) : "");
  if (options.planted != Bug::kNone) line += std::string(", planted ") + to_text(options.planted);
  line += "; weights:";
  for (std::size_t i = 0; i < kActions; ++i) line += weight_text(kActionNames[i], options.action_weights[i]);
  for (std::size_t i = 0; i < kFaults; ++i) line += weight_text(kFaultNames[i], options.fault_weights[i]);
  line += "; off:";
  for (std::size_t i = 0; i < kActions; ++i) {
    if (options.action_weights[i] == 0) line += std::string(" ") + kActionNames[i];
  }
  for (std::size_t i = 0; i < kFaults; ++i) {
    if (options.fault_weights[i] == 0) line += std::string(" ") + kFaultNames[i];
  }
  return line;
}

bool turn_off(RunOptions& options, std::string_view name) {
  if (name == kHostile) {
    options.hostile = false;
    options.network.drop_one_in = options.network.repeat_one_in = options.network.reorder_one_in = 0;
    options.network.alter_one_in = 0;
    options.network.alters_meaning = false;
    return true;
  }
  if (name == kLiar) {
    options.liar = false;
    return true;
  }
  if (name == kFaultPoints) {
    options.fault_points = false;
    return true;
  }
  if (name == kDrift) {
    options.drift_max = 0;
    return true;
  }
  if (name == kKeyRotation) {
    options.lifetimes = e2ee::kLifetimes;
    return true;
  }
  const auto fault = std::find(kFaultNames.begin(), kFaultNames.end(), name);
  if (fault != kFaultNames.end()) {
    options.fault_weights[static_cast<std::size_t>(fault - kFaultNames.begin())] = 0;
    return true;
  }
  const auto action = std::find(kActionNames.begin(), kActionNames.end(), name);
  if (action == kActionNames.end()) return false;
  const auto index = static_cast<std::size_t>(action - kActionNames.begin());
  const std::uint64_t all =
      std::accumulate(options.action_weights.begin(), options.action_weights.end(), std::uint64_t{0});
  if (all == options.action_weights[index]) return false;
  options.action_weights[index] = 0;
  return true;
}

std::vector<std::string> turned_on(const RunOptions& options) {
  std::vector<std::string> names;
  for (std::size_t i = 0; i < kFaults; ++i) {
    if (options.fault_weights[i] != 0) names.emplace_back(kFaultNames[i]);
  }
  for (std::size_t i = 0; i < kActions; ++i) {
    if (options.action_weights[i] != 0) names.emplace_back(kActionNames[i]);
  }
  if (options.hostile) names.emplace_back(kHostile);
  if (options.encrypted && options.liar) names.emplace_back(kLiar);
  if (options.fault_points) names.emplace_back(kFaultPoints);
  if (options.drift_max != 0) names.emplace_back(kDrift);
  if (rotates_keys(options)) names.emplace_back(kKeyRotation);
  return names;
}

std::string to_arguments(const RunOptions& options) {
  RunOptions drawn = draw_options(options.seed);
  std::string line = "--seed " + std::to_string(options.seed);
  const bool as_drawn = options.encrypted == drawn.encrypted && options.liar == drawn.liar;
  if (!as_drawn) {
    drawn = draw_plain_options(options.seed);
    drawn.encrypted = options.encrypted;
    drawn.liar = options.liar;
    line += options.encrypted ? " --encrypted" : " --plain";
    if (options.encrypted && options.liar) line += " --liar";
  }
  const auto say = [&line](const char* name, auto now, auto before) {
    if (now != before) line += std::string(" --") + name + " " + std::to_string(now);
  };
  say("users", options.users, drawn.users);
  say("devices", options.devices_per_user, drawn.devices_per_user);
  say("actions", options.actions, drawn.actions);
  say("faults", options.faults, drawn.faults);
  say("duration", options.duration.count(), drawn.duration.count());
  if (options.planted != Bug::kNone) line += std::string(" --plant ") + to_text(options.planted);
  const std::vector<std::string> on = turned_on(options);
  for (const std::string& name : turned_on(drawn)) {
    if (std::find(on.begin(), on.end(), name) == on.end()) line += " --without " + name;
  }
  return line;
}

}  // namespace chatsdk::sim
