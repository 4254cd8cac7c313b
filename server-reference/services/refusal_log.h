// SPDX-License-Identifier: Apache-2.0
//
// The log lines of refused requests, bounded: whoever is refused again and again must not fill the log. The first
// refusal of a kind in half a second gets a line, the others of its kind are counted in one line afterwards. A kind is
// a route, an address and a code. Nothing is scheduled for it: what is logged must not change what happens.
//
// Threads: one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>

#include "base/clock.h"
#include "base/log.h"

namespace chatsdk::server {

class RefusalLog {
 public:
  // Of kinds above this in one half second only the number is told: somebody tries addresses or paths.
  static constexpr std::size_t kKindsMax = 20;

  RefusalLog(const Clock& clock, Log& log) : clock_(clock), log_(log) {}
  // Tells what is counted.
  ~RefusalLog() { tell_counted(); }
  RefusalLog(const RefusalLog&) = delete;
  RefusalLog& operator=(const RefusalLog&) = delete;

  // The detail is told with the first of a kind.
  void note(const std::string& kind, const std::string& detail);
  // Tells what is counted when its half second is over. Called now and then, whatever comes.
  void look();

 private:
  void tell_counted();

  const Clock& clock_;
  Log& log_;
  MonotonicTime begun_;                           // of the half second, when anything was refused in it
  std::map<std::string, std::uint64_t> repeats_;  // of each kind, after its first
  std::uint64_t of_other_kinds_ = 0;
};

}  // namespace chatsdk::server
