// SPDX-License-Identifier: Apache-2.0
//
// Which refusals and failures get a line in the log: what happens again and again must not fill it. The first few of a
// kind in a window of time get a line, which their caller writes; the others of the kind are counted, and told in one
// line afterwards. What a kind is, the caller says: a route with an address and a code, a connection, or why a batch
// was not stored. Nothing is scheduled for it: what is logged must not change what happens.
//
// Threads: one.
#pragma once

#include <chrono>
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
  std::uint32_t lines_of_a_kind = 1;                 // in one window
  std::size_t kinds_max = limits::kRefusalKindsMax;  // of those above only the number is told
  std::chrono::milliseconds window = limits::kRefusalWindow;
  LogLevel level = LogLevel::kInfo;  // of the lines that tell a count
  const char* what = "refused";      // with which they begin
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
  // Tells what is counted when its window is over. Called now and then, whatever comes.
  void look();
  // Tells what is counted, whatever time it is: nobody may call look() soon.
  void tell_counted();

 private:
  const Clock& clock_;
  Log& log_;
  const RefusalLogOptions options_;
  MonotonicTime begun_;                         // of the window, when anything was refused in it
  std::map<std::string, std::uint64_t> kinds_;  // how many of each
  std::uint64_t of_other_kinds_ = 0;
};

}  // namespace chatsdk::server
