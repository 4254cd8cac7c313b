// SPDX-License-Identifier: Apache-2.0
//
// Time as a seam. Nothing outside base/ reads a clock of its own: a Clock is handed in.
//
// Both readings are constant within a turn of the executor that owns the clock, so a turn sees one moment.
// Wall time may jump in either direction; only monotonic time measures intervals.
//
// Threads: a Clock belongs to its executor's thread, except SystemClock, which any thread may read.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>

namespace chatsdk {

struct MonotonicEpoch {
  using duration = std::chrono::microseconds;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<MonotonicEpoch>;
  static constexpr bool is_steady = true;
};
struct WallEpoch {
  using duration = std::chrono::microseconds;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<WallEpoch>;
  static constexpr bool is_steady = false;
};

using MonotonicTime = MonotonicEpoch::time_point;  // since an arbitrary start
using WallTime = WallEpoch::time_point;            // since 1970-01-01T00:00:00Z

inline std::int64_t to_unix_ms(WallTime time) {
  return std::chrono::floor<std::chrono::milliseconds>(time.time_since_epoch()).count();
}
// Times outside the years 1970 to 9999 are brought to the nearer end, so that no time from outside overflows.
inline constexpr std::int64_t clamp_unix_ms(std::int64_t ms) {
  constexpr std::int64_t kMax = 253'402'300'799'999;
  return std::clamp<std::int64_t>(ms, 0, kMax);
}
inline WallTime from_unix_ms(std::int64_t ms) { return WallTime(std::chrono::milliseconds(clamp_unix_ms(ms))); }

class Clock {
 public:
  virtual ~Clock() = default;
  virtual MonotonicTime monotonic_now() const = 0;
  virtual WallTime wall_now() const = 0;
};

// The operating system's clocks.
class SystemClock final : public Clock {
 public:
  MonotonicTime monotonic_now() const override;
  WallTime wall_now() const override;
};

// Holds one moment of another clock until refreshed: what makes time constant within a turn.
class TurnClock final : public Clock {
 public:
  explicit TurnClock(const Clock& source) : source_(source) { refresh(); }
  void refresh() {
    monotonic_ = source_.monotonic_now();
    wall_ = source_.wall_now();
  }
  MonotonicTime monotonic_now() const override { return monotonic_; }
  WallTime wall_now() const override { return wall_; }

 private:
  const Clock& source_;
  MonotonicTime monotonic_;
  WallTime wall_;
};

// Moves only when told to.
class ManualClock final : public Clock {
 public:
  explicit ManualClock(WallTime wall = from_unix_ms(1'700'000'000'000)) : wall_(wall) {}
  void advance(std::chrono::microseconds by) {
    monotonic_ += by;
    wall_ += by;
  }
  void jump_wall(std::chrono::microseconds by) { wall_ += by; }
  MonotonicTime monotonic_now() const override { return monotonic_; }
  WallTime wall_now() const override { return wall_; }

 private:
  MonotonicTime monotonic_{std::chrono::seconds(1)};
  WallTime wall_;
};

}  // namespace chatsdk
