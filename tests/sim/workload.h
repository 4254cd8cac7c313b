// SPDX-License-Identifier: Apache-2.0
//
// What users do in a run: actions drawn by weight at random times, from the start to the heal.
//
// Threads: one.
#pragma once

#include "sim/world.h"

namespace chatsdk::sim {

class Workload {
 public:
  explicit Workload(World& world) : world_(world), random_(world.options().seed * 31 + 11) {}

  // Schedules all of the run's actions between now and the end.
  void begin(MonotonicTime end);

 private:
  void act();
  Action draw();
  void send(DeviceNode& device);
  void read(DeviceNode& device, std::uint64_t number);

  World& world_;
  SeededRandom random_;
};

}  // namespace chatsdk::sim
