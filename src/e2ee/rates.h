// SPDX-License-Identifier: Apache-2.0
//
// How often something may happen for each device: so many at once, and one more after each pause. It bounds what a
// device does for a peer before it knows that the peer is genuine (docs/e2ee.md section 4, setup_rate and retry_rate).
//
// Threads: one owner.
// Invariants:
//   1. No more than limits::e2ee::kRatedDevicesMax devices are remembered; the one longest unused is forgotten first.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>

#include "e2ee/session_rows.h"

namespace chatsdk::e2ee {

class DeviceRates {
 public:
  DeviceRates(std::uint32_t burst, std::chrono::milliseconds regain)
      : burst_(burst), regain_ms_(static_cast<std::uint64_t>(regain.count())) {}

  // Takes one of the peer's where there is one. A clock that was set back regains nothing by that, and regains from
  // there on: by however much it was ahead, nobody waits longer than by a clock that is right.
  bool take(const Peer& peer, std::uint64_t now_ms);
  // When there is one: not after now where there is one now.
  std::uint64_t next_ms(const Peer& peer, std::uint64_t now_ms) const;

 private:
  struct Used {
    std::uint32_t count = 0;       // taken and not regained
    std::uint64_t since_ms = 0;    // up to when regaining was counted
    std::uint64_t last_taken = 0;  // order of the last use
  };
  // Up to now. regain is not 0.
  void regain(Used& used, std::uint64_t now_ms) const;
  void forget_one();

  std::uint32_t burst_;
  std::uint64_t regain_ms_;
  std::uint64_t takes_ = 0;
  std::map<Peer, Used> used_;
};

}  // namespace chatsdk::e2ee
