// SPDX-License-Identifier: Apache-2.0
//
// What strikes at the points in the code (base/fault.h) during one run: each point is live for the run or not, and a
// live one strikes now and then, with pauses in between so that the run gets somewhere. Points that are passed all the
// time would take every turn that the pauses leave. So some are chosen for the run: they are live, and until each has
// struck once it waits for no pause and strikes at every other pass. The node whose turn it is loses its power there or
// stands still after this turn, or the point's rare branch is taken. It also plants the run's bug.
//
// Threads: one.
// Invariants:
//   1. Nothing strikes after the heal.
#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>

#include "base/fault.h"
#include "sim/world.h"

namespace chatsdk::sim {

class FaultPoints final : private FaultHooks {
 public:
  explicit FaultPoints(World& world);

  // How often each struck.
  const std::map<std::string, std::uint64_t>& struck() const { return struck_; }

 private:
  bool on_fault_point(const char* name, bool rare_branch) override;
  bool disturb();
  bool cut_power();
  bool delay();

  World& world_;
  SeededRandom random_;
  const std::set<std::string_view> chosen_;
  std::map<std::string, bool, std::less<>> live_;
  MonotonicTime next_crash_;
  MonotonicTime next_branch_;
  std::map<std::string, std::uint64_t> struck_;
  FaultScope scope_;
};

}  // namespace chatsdk::sim
