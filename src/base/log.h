// SPDX-License-Identifier: Apache-2.0
//
// The log seam. Callers write short lines of ids, sizes and codes: never message content, keys, tokens or passwords.
// kError means a defect or a lost capability of chatsdk itself; what a peer does wrong is kInfo.
//
// Threads: any, as the sink's write must be.
#pragma once

#include <string_view>

namespace chatsdk {

enum class LogLevel { kTrace = 0, kDebug = 1, kInfo = 2, kWarning = 3, kError = 4 };

class Log {
 public:
  virtual ~Log() = default;
  // area is a short static word: "outbox", "gateway".
  virtual void write(LogLevel level, std::string_view area, std::string_view message) = 0;
  virtual bool enabled(LogLevel level) const = 0;
};

class NullLog final : public Log {
 public:
  void write(LogLevel, std::string_view, std::string_view) override {}
  bool enabled(LogLevel) const override { return false; }
};

}  // namespace chatsdk
