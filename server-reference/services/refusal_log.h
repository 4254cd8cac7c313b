// SPDX-License-Identifier: Apache-2.0
//
// Which refusals get a line in the log: whoever is refused again and again must not fill it. The first few of a kind in
// half a second get a line, which their caller writes; the others of the kind are counted, and told in one line
// afterwards. What a kind is, the caller says: a route with an address and a code, or a connection. Nothing is
// scheduled for it: what is logged must not change what happens.
//
// Threads: one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>

#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"

namespace chatsdk::server {

struct RefusalLogOptions {
  const char* area = "";                             // of the log
  std::uint32_t lines_of_a_kind = 1;                 // in one half second
  std::size_t kinds_max = limits::kRefusalKindsMax;  // of those above only the number is told
};

class RefusalLog {
 public:
  RefusalLog(const Clock& clock, Log& log, RefusalLogOptions options) : clock_(clock), log_(log), options_(options) {}
  // Tells what is counted.
  ~RefusalLog() { tell_counted(); }
  RefusalLog(const RefusalLog&) = delete;
  RefusalLog& operator=(const RefusalLog&) = delete;

  // True: this one gets a line. False: it is counted.
  bool note(const std::string& kind);
  // Tells what is counted when its half second is over. Called now and then, whatever comes.
  void look();
  // Tells what is counted, whatever time it is: nobody may call look() soon.
  void tell_counted();

 private:
  const Clock& clock_;
  Log& log_;
  const RefusalLogOptions options_;
  MonotonicTime begun_;                         // of the half second, when anything was refused in it
  std::map<std::string, std::uint64_t> kinds_;  // how many of each
  std::uint64_t of_other_kinds_ = 0;
};

}  // namespace chatsdk::server
