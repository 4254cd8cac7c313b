// SPDX-License-Identifier: Apache-2.0
//
// Which connection of a device is the newest that was let in, over all shards of a process. A session looks at its
// place before every frame, so that nothing is accepted from a connection after a newer one of the same device was let
// in, whatever the bus does.
//
//   enter (the hello came) -> admit (its session is open) -> leave (the end, from either)
//
// Two steps, because a token proves its device before the store has said that its session is still open: who is not
// let in replaces nobody.
//
// Threads: any. A place is looked at without a lock.
// Invariants:
//   1. A device's admitted turn only grows while a connection of it is entered.
//   2. Of two connections, the one whose hello came later replaces the other, in whatever order they are admitted.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <unordered_map>

#include "base/ids.h"

namespace chatsdk::server {

class ConnectionDirectory {
  struct Entry {
    std::atomic<std::uint64_t> admitted = 0;  // the highest turn let in; 0: none
    std::size_t entered = 0;                  // guarded by mutex_
  };

 public:
  // Where one connection stands among those of its device.
  class Place {
   public:
    Place() = default;
    // True from the moment on at which a newer connection of the device was admitted.
    bool replaced() const { return entry_ != nullptr && entry_->admitted.load(std::memory_order_acquire) > turn_; }
    bool entered() const { return entry_ != nullptr; }

   private:
    friend class ConnectionDirectory;
    Entry* entry_ = nullptr;
    std::uint64_t turn_ = 0;
  };

  // The connection is newer than all that entered before.
  Place enter(DeviceId device);
  // Replaces every older connection of the device. A place that is replaced already stays so.
  void admit(const Place& place);
  // Once for each place entered.
  void leave(DeviceId device, Place& place);
  // Devices with a connection.
  std::size_t size() const;

 private:
  mutable std::mutex mutex_;
  std::uint64_t last_turn_ = 0;
  std::unordered_map<DeviceId, Entry> entries_;  // an entry stays where it is while a connection is entered
};

}  // namespace chatsdk::server
