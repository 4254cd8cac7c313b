// SPDX-License-Identifier: Apache-2.0
//
// Which connection of a device is the newest, over all shards of a process. A session looks at its slot before every
// frame, so that nothing is accepted from a connection after a newer one of the same device has begun, whatever the
// bus does.
//
// Threads: any. A slot is read without a lock.
// Invariants:
//   1. A slot's value changes only by a later claim of the same device; who finds another value than its own connection
//      stays replaced for good.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <unordered_map>

#include "base/ids.h"
#include "server-reference/gateway/connection.h"

namespace chatsdk::server {

class ConnectionDirectory {
 public:
  using Slot = std::atomic<ConnectionId>;

  // The connection is the newest of the device from here on.
  std::shared_ptr<const Slot> claim(DeviceId device, ConnectionId connection);
  // Forgets the device unless a newer connection holds it.
  void release(DeviceId device, ConnectionId connection);
  std::size_t size() const;

 private:
  mutable std::mutex mutex_;
  // Shared with the sessions, because a replaced session outlives the entry of its device.
  std::unordered_map<DeviceId, std::shared_ptr<Slot>> slots_;
};

}  // namespace chatsdk::server
