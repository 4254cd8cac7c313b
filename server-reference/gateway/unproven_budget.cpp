// SPDX-License-Identifier: Apache-2.0
#include "server-reference/gateway/unproven_budget.h"

#include "base/assert.h"

namespace chatsdk::server {

bool UnprovenBudget::take(Key address, std::size_t bytes, const UnprovenLimits& limits) {
  if (bytes == 0) return true;
  std::lock_guard lock(mutex_);
  const auto known = by_address_.find(address);
  const std::size_t of_address = known == by_address_.end() ? 0 : known->second;
  if (held_ + bytes > limits.bytes_max || of_address + bytes > limits.bytes_per_address_max) return false;
  held_ += bytes;
  by_address_[address] = of_address + bytes;
  return true;
}

void UnprovenBudget::give_back(Key address, std::size_t bytes) {
  if (bytes == 0) return;
  std::lock_guard lock(mutex_);
  const auto known = by_address_.find(address);
  CHATSDK_ASSERT(known != by_address_.end() && known->second >= bytes && held_ >= bytes);
  held_ -= bytes;
  known->second -= bytes;
  if (known->second == 0) by_address_.erase(known);
}

std::size_t UnprovenBudget::held() const {
  std::lock_guard lock(mutex_);
  return held_;
}

bool UnprovenShare::hold(std::size_t bytes) {
  if (bytes > held_ && !budget_->take(address_, bytes - held_, *limits_)) return false;
  if (bytes < held_) budget_->give_back(address_, held_ - bytes);
  held_ = bytes;
  return true;
}

}  // namespace chatsdk::server
