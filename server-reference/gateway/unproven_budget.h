// SPDX-License-Identifier: Apache-2.0
//
// How much memory is held for connections whose user is not known yet, over all shards: of each address, so that one
// peer does not take what is there for all, and of all together. Time limits end such connections; this bounds what
// they hold meanwhile. It knows no connection: whoever owns one keeps a share.
//
// Threads: the budget any; a share its owner's.
// Invariants:
//   1. It holds an entry for an address exactly while that holds bytes.
//   2. What shares hold together never exceeds the limits that they were made with.
#pragma once

#include <cstddef>
#include <mutex>
#include <unordered_map>
#include <utility>

#include "base/limits.h"
#include "server-reference/gateway/address_counts.h"

namespace chatsdk::server {

struct UnprovenLimits {
  std::size_t bytes_max = limits::kUnprovenBytesMax;
  std::size_t bytes_per_address_max = limits::kUnprovenBytesPerAddressMax;
};

class UnprovenBudget {
 public:
  using Key = AddressCounts::Key;

  // False: nothing was taken, because either limit would be exceeded.
  bool take(Key address, std::size_t bytes, const UnprovenLimits& limits);
  void give_back(Key address, std::size_t bytes);
  std::size_t held() const;

 private:
  mutable std::mutex mutex_;
  std::size_t held_ = 0;
  std::unordered_map<Key, std::size_t> by_address_;
};

// What one connection holds of the budget; given back with it.
class UnprovenShare {
 public:
  UnprovenShare(UnprovenBudget& budget, const UnprovenLimits& limits, UnprovenBudget::Key address)
      : budget_(&budget), limits_(&limits), address_(address) {}
  ~UnprovenShare() { hold(0); }
  UnprovenShare(UnprovenShare&& other) noexcept
      : budget_(other.budget_),
        limits_(other.limits_),
        address_(other.address_),
        held_(std::exchange(other.held_, 0)) {}
  UnprovenShare& operator=(UnprovenShare&&) = delete;
  UnprovenShare(const UnprovenShare&) = delete;
  UnprovenShare& operator=(const UnprovenShare&) = delete;

  // From now on it holds this much. False: there is no room for more, and it holds what it held.
  bool hold(std::size_t bytes);
  std::size_t held() const { return held_; }

 private:
  UnprovenBudget* budget_;
  const UnprovenLimits* limits_;
  UnprovenBudget::Key address_;
  std::size_t held_ = 0;
};

}  // namespace chatsdk::server
