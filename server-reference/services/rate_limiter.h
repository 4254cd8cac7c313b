// SPDX-License-Identifier: Apache-2.0
//
// Token buckets by key, in bounded memory: a key may spend `burst` at once and regains one each `refill`. A key at its
// full burst is forgotten, so the map holds only who misbehaved lately; when it is full all the same, the entry closest
// to being forgotten makes room.
//
// Threads: one executor.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/clock.h"

namespace chatsdk::server {

struct RateLimit {
  std::uint32_t burst = 1;
  std::chrono::microseconds refill{std::chrono::seconds(1)};
};

class RateLimiter {
 public:
  RateLimiter(RateLimit limit, std::size_t entries_max) : limit_(limit), entries_max_(entries_max) {}

  // 0: `count`, which is at most the burst, were spent. Otherwise nothing was, and this is how long until they can be.
  std::chrono::microseconds take(const std::string& key, MonotonicTime now, std::uint32_t count = 1);
  // Returns what was spent.
  void give_back(const std::string& key, MonotonicTime now, std::uint32_t count = 1);
  std::size_t size() const { return full_at_.size(); }

 private:
  using ByTime = std::multimap<MonotonicTime, std::string>;

  void forget_full(MonotonicTime now);
  void set(const std::string& key, MonotonicTime full_at, MonotonicTime now);

  RateLimit limit_;
  std::size_t entries_max_;
  // A bucket is the moment when it will be full again: each unit spent moves it one refill later.
  std::unordered_map<std::string, ByTime::iterator> full_at_;
  ByTime by_time_;
};

// The key under which an address is limited: an IPv4 address itself, an IPv6 address's /64, which one customer holds.
std::string rate_key_of_address(std::string_view address);

}  // namespace chatsdk::server
