// SPDX-License-Identifier: Apache-2.0
//
// One life of a node after the other on one simulated disk: each ends at a crash point, in a way drawn from the seed.
//
// Threads: one.
#pragma once

#include <array>
#include <cstdint>

#include "sim/sim_disk.h"

namespace chatsdk::sim {

// A sanitizer makes each life many times slower, and finds what it finds early.
#if defined(CHATSDK_SANITIZED)
inline constexpr int kCrashes = 200;
#else
inline constexpr int kCrashes = 2'000;
#endif

class Lives {
 public:
  Lives(SimDisk& disk, std::uint64_t seed) : disk_(disk), random_(seed * 1'000'003 + 17) {}

  SeededRandom& random() { return random_; }

  // The next life ends at the nth crash point.
  void begin(std::uint64_t crash_point) { disk_.crash_after(crash_point, CrashMoment::kDrawn); }

  // Everything that ran on the disk is gone.
  CrashReport end() {
    static constexpr std::array kModes = {CrashMode::kProcessOnly, CrashMode::kDropUnsynced, CrashMode::kKeepPrefix,
                                          CrashMode::kEachWrite, CrashMode::kEachWrite};
    const CrashReport report = disk_.crash(kModes[random_.below(kModes.size())]);
    if (report.had_effect()) ++crashes_with_effect_;
    return report;
  }

  std::uint64_t crashes_with_effect() const { return crashes_with_effect_; }

 private:
  SimDisk& disk_;
  SeededRandom random_;
  std::uint64_t crashes_with_effect_ = 0;
};

}  // namespace chatsdk::sim
