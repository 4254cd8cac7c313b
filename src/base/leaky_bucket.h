// SPDX-License-Identifier: Apache-2.0
//
// How often something may happen, in one number: the time when all that has happened so far would be through at the
// steady rate. It may run ahead of the clock by a burst. Knows nothing of what is counted.
//
// Threads: one owner.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>

#include "base/clock.h"

namespace chatsdk {

struct BucketRate {
  std::uint32_t per_second = 1;  // at most one for each microsecond; 0 is taken for 1
  std::uint32_t burst = 1;
};

class LeakyBucket {
 public:
  // Counts them. False: these were too many; they count all the same, so that a flood is not let in by its repeats.
  bool take(const BucketRate& rate, MonotonicTime now, std::uint64_t count = 1) {
    const auto each = std::chrono::microseconds(1'000'000 / std::max<std::uint32_t>(rate.per_second, 1));
    empty_at_ = std::max(empty_at_, now) + each * count;
    return empty_at_ - now <= each * rate.burst;
  }

 private:
  MonotonicTime empty_at_{};
};

}  // namespace chatsdk
