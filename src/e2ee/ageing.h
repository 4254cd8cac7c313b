// SPDX-License-Identifier: Apache-2.0
//
// The one rule of ages (docs/e2ee.md section 11.4). When it is asked, and of what, is known above.
//
// Threads: pure functions.
#pragma once

#include <chrono>
#include <cstdint>

namespace chatsdk::e2ee {

// Unix milliseconds. What is of the future, since a clock was set back, is not old.
constexpr bool is_old(std::uint64_t now_ms, std::uint64_t since_ms, std::chrono::milliseconds limit) {
  return now_ms >= since_ms && now_ms - since_ms >= static_cast<std::uint64_t>(limit.count());
}

}  // namespace chatsdk::e2ee
