// SPDX-License-Identifier: Apache-2.0
//
// A log that keeps every line of every level, for tests that say what is written and what is not.
//
// Threads: one.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "base/log.h"

namespace chatsdk::server::testing {

class RecordingLog final : public Log {
 public:
  std::vector<std::string> lines;
  void write(LogLevel, std::string_view area, std::string_view message) override {
    lines.push_back(std::string(area) + ": " + std::string(message));
  }
  bool enabled(LogLevel) const override { return true; }

  // The lines that hold this.
  std::vector<std::string> with(std::string_view part) const {
    std::vector<std::string> found;
    std::copy_if(lines.begin(), lines.end(), std::back_inserter(found),
                 [part](const std::string& line) { return line.find(part) != std::string::npos; });
    return found;
  }
};

}  // namespace chatsdk::server::testing
