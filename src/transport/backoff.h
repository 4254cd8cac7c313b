// SPDX-License-Identifier: Apache-2.0
//
// Backoff: how long to wait before the next attempt. Exponential with full jitter: each delay is uniform in
// [0, min(cap, base * 2^n)], so that clients that lost the same server do not come back together. It owns the count of
// failures only; the caller owns the timer.
//
// Threads: one owner.
// Invariants:
//   1. A delay is never below the server's retry_after, and never above max(cap, retry_after * 1.5).
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>

#include "base/limits.h"
#include "base/random.h"

namespace chatsdk {

class Backoff {
 public:
  using Milliseconds = std::chrono::milliseconds;

  explicit Backoff(Random& jitter, Milliseconds base = limits::kBackoffBase, Milliseconds cap = limits::kBackoffCap)
      : jitter_(jitter), base_(base), cap_(cap) {}

  // The wait before the next attempt. retry_after is what the server asked for, 0 when it named none; jitter of half of
  // it is added, for the server named the same moment to everyone.
  Milliseconds next(Milliseconds retry_after = Milliseconds(0)) {
    const Milliseconds delay = uniform(ceiling());
    ++failures_;
    if (retry_after <= Milliseconds(0)) return delay;
    return std::max(delay, retry_after + uniform(retry_after / 2));
  }

  // An attempt succeeded.
  void reset() { failures_ = 0; }

  std::uint32_t failures() const { return failures_; }

 private:
  Milliseconds ceiling() const {
    // The loop ends at the cap, at the latest after the doublings that a 64-bit count can hold.
    Milliseconds value = base_;
    for (std::uint32_t i = 0; i < failures_ && value < cap_; ++i) value *= 2;
    return std::min(value, cap_);
  }
  Milliseconds uniform(Milliseconds bound) {
    if (bound <= Milliseconds(0)) return Milliseconds(0);
    return Milliseconds(static_cast<Milliseconds::rep>(jitter_.below(static_cast<std::uint64_t>(bound.count()) + 1)));
  }

  Random& jitter_;
  Milliseconds base_;
  Milliseconds cap_;
  std::uint32_t failures_ = 0;
};

}  // namespace chatsdk
