// SPDX-License-Identifier: Apache-2.0
//
// The server's log on standard error, through spdlog: lines for people, or one JSON object a line for machines. It
// writes what it is given, made safe for one line; that no content is given to it is the callers' duty.
//
// Threads: any.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/log.h"

namespace spdlog {
class logger;
}

namespace chatsdk::server {

enum class LogFormat { kText, kJson };

class SpdlogLog final : public Log {
 public:
  SpdlogLog(LogLevel level, LogFormat format);
  ~SpdlogLog() override;

  void write(LogLevel level, std::string_view area, std::string_view message) override;
  bool enabled(LogLevel level) const override { return level >= level_; }

 private:
  const LogLevel level_;
  const LogFormat format_;
  std::unique_ptr<spdlog::logger> logger_;
};

// The message of a log line without its time: "gateway: text", or the members "area" and "message" of a JSON object.
// Control characters are escaped, so that no message can begin a line of its own.
std::string log_payload(LogFormat format, std::string_view area, std::string_view message);

}  // namespace chatsdk::server
