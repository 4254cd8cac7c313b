// SPDX-License-Identifier: Apache-2.0
#include "base/clock.h"

namespace chatsdk {

MonotonicTime SystemClock::monotonic_now() const {
  return MonotonicTime(
      std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now().time_since_epoch()));
}

WallTime SystemClock::wall_now() const {
  return WallTime(
      std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::system_clock::now().time_since_epoch()));
}

}  // namespace chatsdk
