// SPDX-License-Identifier: Apache-2.0
#include "server-reference/gateway/connection_directory.h"

#include <algorithm>

#include "base/assert.h"

namespace chatsdk::server {

ConnectionDirectory::Place ConnectionDirectory::enter(DeviceId device) {
  std::lock_guard lock(mutex_);
  Entry& entry = entries_[device];
  ++entry.entered;
  Place place;
  place.entry_ = &entry;
  place.turn_ = ++last_turn_;
  return place;
}

void ConnectionDirectory::admit(const Place& place) {
  CHATSDK_ASSERT(place.entered());
  std::lock_guard lock(mutex_);
  const std::uint64_t before = place.entry_->admitted.load(std::memory_order_relaxed);
  place.entry_->admitted.store(std::max(before, place.turn_), std::memory_order_release);
}

void ConnectionDirectory::leave(DeviceId device, Place& place) {
  CHATSDK_ASSERT(place.entered());
  std::lock_guard lock(mutex_);
  if (--place.entry_->entered == 0) entries_.erase(device);
  place = {};
}

std::size_t ConnectionDirectory::size() const {
  std::lock_guard lock(mutex_);
  return entries_.size();
}

}  // namespace chatsdk::server
