// SPDX-License-Identifier: Apache-2.0
#include "server-reference/gateway/connection_directory.h"

namespace chatsdk::server {

std::shared_ptr<const ConnectionDirectory::Slot> ConnectionDirectory::claim(DeviceId device, ConnectionId connection) {
  std::lock_guard lock(mutex_);
  std::shared_ptr<Slot>& slot = slots_[device];
  if (!slot) slot = std::make_shared<Slot>();
  slot->store(connection, std::memory_order_release);
  return slot;
}

void ConnectionDirectory::release(DeviceId device, ConnectionId connection) {
  std::lock_guard lock(mutex_);
  const auto found = slots_.find(device);
  if (found != slots_.end() && found->second->load(std::memory_order_relaxed) == connection) slots_.erase(found);
}

std::size_t ConnectionDirectory::size() const {
  std::lock_guard lock(mutex_);
  return slots_.size();
}

}  // namespace chatsdk::server
