// SPDX-License-Identifier: Apache-2.0
#include "server-reference/services/refusal_log.h"

#include <utility>

namespace chatsdk::server {

bool RefusalLog::note(const std::string& kind) {
  look();
  if (kinds_.empty()) begun_ = clock_.monotonic_now();
  auto known = kinds_.find(kind);
  if (known == kinds_.end()) {
    if (kinds_.size() >= options_.kinds_max) {
      ++of_other_kinds_;
      return false;
    }
    known = kinds_.emplace(kind, 0).first;
  }
  return ++known->second <= options_.lines_of_a_kind;
}

void RefusalLog::look() {
  if (!kinds_.empty() && clock_.monotonic_now() - begun_ >= options_.window) tell_counted();
}

void RefusalLog::tell_counted() {
  const auto tell = [this](std::uint64_t count, const std::string& more) {
    log_.write(options_.level, options_.area, std::string(options_.what) + " " + std::to_string(count) + more);
  };
  for (const auto& [kind, count] : std::exchange(kinds_, {})) {
    if (count > options_.lines_of_a_kind) tell(count - options_.lines_of_a_kind, " more: " + kind);
  }
  const std::uint64_t others = std::exchange(of_other_kinds_, 0);
  if (others > 0) tell(others, " more of other kinds");
}

}  // namespace chatsdk::server
