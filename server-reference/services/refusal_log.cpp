// SPDX-License-Identifier: Apache-2.0
#include "server-reference/services/refusal_log.h"

#include <chrono>
#include <utility>

namespace chatsdk::server {

namespace {

constexpr std::chrono::milliseconds kRefusalWindow{500};

}  // namespace

void RefusalLog::note(const std::string& kind, const std::string& detail) {
  look();
  if (repeats_.empty()) begun_ = clock_.monotonic_now();
  if (const auto known = repeats_.find(kind); known != repeats_.end()) {
    ++known->second;
  } else if (repeats_.size() == kKindsMax) {
    ++of_other_kinds_;
  } else {
    repeats_.emplace(kind, 0);
    log_.write(LogLevel::kInfo, "rest", "refused " + kind + ": " + detail);
  }
}

void RefusalLog::look() {
  if (!repeats_.empty() && clock_.monotonic_now() - begun_ >= kRefusalWindow) tell_counted();
}

void RefusalLog::tell_counted() {
  for (const auto& [kind, count] : std::exchange(repeats_, {})) {
    if (count > 0) log_.write(LogLevel::kInfo, "rest", "refused " + std::to_string(count) + " more: " + kind);
  }
  const std::uint64_t others = std::exchange(of_other_kinds_, 0);
  if (others > 0) log_.write(LogLevel::kInfo, "rest", "refused " + std::to_string(others) + " more of other kinds");
}

}  // namespace chatsdk::server
