// SPDX-License-Identifier: Apache-2.0
#include "server-reference/services/rate_limiter.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <array>

#include "base/assert.h"
#include "base/bytes.h"

namespace chatsdk::server {

std::chrono::microseconds RateLimiter::take(const std::string& key, MonotonicTime now, std::uint32_t count) {
  CHATSDK_ASSERT(count <= limit_.burst);
  forget_full(now);
  const auto found = full_at_.find(key);
  const MonotonicTime full_at = found == full_at_.end() ? now : found->second->first;
  const MonotonicTime next = full_at + limit_.refill * count;
  const MonotonicTime latest = now + limit_.refill * limit_.burst;
  if (next > latest) return next - latest;
  set(key, next, now);
  return std::chrono::microseconds(0);
}

void RateLimiter::give_back(const std::string& key, MonotonicTime now, std::uint32_t count) {
  const auto found = full_at_.find(key);
  if (found != full_at_.end()) set(key, found->second->first - limit_.refill * count, now);
}

void RateLimiter::forget_full(MonotonicTime now) {
  while (!by_time_.empty() && by_time_.begin()->first <= now) {
    full_at_.erase(by_time_.begin()->second);
    by_time_.erase(by_time_.begin());
  }
}

void RateLimiter::set(const std::string& key, MonotonicTime full_at, MonotonicTime now) {
  if (const auto found = full_at_.find(key); found != full_at_.end()) {
    by_time_.erase(found->second);
    full_at_.erase(found);
  }
  if (full_at <= now) return;
  if (full_at_.size() >= entries_max_) {
    full_at_.erase(by_time_.begin()->second);
    by_time_.erase(by_time_.begin());
  }
  full_at_.emplace(key, by_time_.emplace(full_at, key));
}

std::string rate_key_of_address(std::string_view address) {
  const std::string text(address);
  std::array<unsigned char, sizeof(in6_addr)> bytes{};
  if (inet_pton(AF_INET6, text.c_str(), bytes.data()) != 1) return text;
  constexpr std::array<unsigned char, 12> kMapped{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF};
  if (std::equal(kMapped.begin(), kMapped.end(), bytes.begin())) {
    std::array<char, INET_ADDRSTRLEN> dotted{};
    inet_ntop(AF_INET, bytes.data() + kMapped.size(), dotted.data(), dotted.size());
    return dotted.data();
  }
  return to_hex({reinterpret_cast<const char*>(bytes.data()), 8}) + "/64";
}

}  // namespace chatsdk::server
