// SPDX-License-Identifier: Apache-2.0
//
// What befalls the world in a run: faults drawn by weight at random times, each with an end of its own, from the start
// to the heal. A fault counts only when it had an effect.
//
// Threads: one.
#pragma once

#include "sim/world.h"

namespace chatsdk::sim {

class Nemesis {
 public:
  explicit Nemesis(World& world) : world_(world), random_(world.options().seed * 31 + 12) {}

  // Schedules all of the run's faults between now and the end.
  void begin(MonotonicTime end);

 private:
  void strike();
  void strike(FaultKind kind);
  void strike_device(FaultKind kind, DeviceNode& device);
  void strike_server(FaultKind kind);
  std::chrono::microseconds up_to_seconds(std::uint64_t seconds) {
    return std::chrono::microseconds(1 + random_.below(seconds * 1'000'000));
  }
  // Raises one of the network's chances for a while.
  void raise(std::uint32_t NetworkFaults::*chance, std::uint32_t per_mille);
  enum class Side { kOfDevice, kOfServer };
  // About half of those that take part.
  std::vector<NodeId> draw_devices();
  DiskFault draw_disk_fault(Side side);
  static bool restarts(DiskOp op, Side side);

  World& world_;
  SeededRandom random_;
};

}  // namespace chatsdk::sim
