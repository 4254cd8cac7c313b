// SPDX-License-Identifier: Apache-2.0
#include "sim/fault_points.h"

#include <algorithm>
#include <iterator>
#include <vector>

#include "sim/fault_point_names.h"

namespace chatsdk::sim {

namespace {

constexpr std::uint64_t kOneIn = 4;        // points are live, and live ones strike, in one of so many cases
constexpr std::size_t kChosen = 12;        // of about fifty that a run can reach
constexpr std::uint64_t kChosenOneIn = 2;  // passes at which one strikes that is chosen and has not struck
constexpr std::uint64_t kDelaysOneIn = 3;
constexpr std::uint64_t kDelayMax = 8'000'000;  // microseconds
constexpr std::chrono::seconds kCrashPause{40};
constexpr std::chrono::seconds kBranchPause{2};

std::set<std::string_view> choose(SeededRandom& random, bool encrypted) {
  std::vector<std::string_view> within_reach;
  std::copy_if(std::begin(kFaultPointNames), std::end(kFaultPointNames), std::back_inserter(within_reach),
               [encrypted](std::string_view point) { return encrypted || !needs_encryption(point); });
  std::set<std::string_view> chosen;
  while (chosen.size() < kChosen) chosen.insert(within_reach[random.below(within_reach.size())]);
  return chosen;
}

}  // namespace

FaultPoints::FaultPoints(World& world)
    : world_(world),
      random_(world.options().seed * 31 + 13),
      chosen_(choose(random_, world.options().encrypted)),
      scope_(this, world.options().planted) {}

bool FaultPoints::on_fault_point(const char* name, bool rare_branch) {
  if (!world_.options().fault_points || world_.healed()) return false;
  const auto [site, is_new] = live_.try_emplace(name, false);
  if (is_new) site->second = chosen_.contains(name) || random_.below(kOneIn) == 0;
  const bool is_awaited = chosen_.contains(name) && !struck_.contains(name);
  if (!site->second || random_.below(is_awaited ? kChosenOneIn : kOneIn) != 0) return false;
  MonotonicTime& next = rare_branch ? next_branch_ : next_crash_;
  const MonotonicTime now = world_.scheduler().now();
  if (now < next && !is_awaited) return false;
  if (!rare_branch && !disturb()) return false;
  if (!is_awaited) {  // which takes no turn from the others
    const std::chrono::microseconds pause = rare_branch ? kBranchPause : kCrashPause;
    next = now + std::chrono::microseconds(random_.below(2 * static_cast<std::uint64_t>(pause.count())));
  }
  ++struck_[name];
  if (rare_branch) world_.observer().on_fault("rare_branch");
  return rare_branch;
}

bool FaultPoints::disturb() {
  const bool delays = random_.below(kDelaysOneIn) == 0;
  if (!(delays ? delay() : cut_power())) return false;
  world_.observer().on_fault(delays ? "delay_at_fault_point" : "crash_at_fault_point");
  return true;
}

// What the turn has done reaches the others, and what follows comes late.
bool FaultPoints::delay() {
  if (!world_.scheduler().in_turn()) return false;
  // What a device has stored it tells its app only after the delay, and its server before.
  const NodeId node = world_.scheduler().current_node();
  world_.scheduler().after({}, [this, node] {
    DeviceNode* const device = world_.device(node);
    if (device != nullptr && device->running()) device->read_store();
  });
  world_.scheduler().delay_turns(std::chrono::microseconds(1 + random_.below(kDelayMax)));
  return true;
}

// The world notices after the turn. Outside the nodes' turns a server may be opening its store, and nothing else is
// struck there: whose code it is could not be told.
bool FaultPoints::cut_power() {
  const bool in_turn = world_.scheduler().in_turn();
  DeviceNode* const device = in_turn ? world_.device(world_.scheduler().current_node()) : nullptr;
  if (in_turn && world_.scheduler().current_node() != 0 && device == nullptr) return false;
  if (!in_turn && (world_.scheduler().current_node() != 0 || world_.server().running())) return false;
  SimDisk& disk = device != nullptr ? device->disk() : world_.server().disk();
  if (!disk.powered()) return false;
  disk.power_off();
  return true;
}

}  // namespace chatsdk::sim
