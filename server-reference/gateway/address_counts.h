// SPDX-License-Identifier: Apache-2.0
//
// How many connections each address has, over all shards, so that one peer cannot take them all. An address of IPv6
// stands for its /64 network, which is what one peer is given.
//
// Threads: any.
// Invariants:
//   1. It holds an entry for an address exactly while that has a connection.
#pragma once

#include <sys/socket.h>

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <unordered_map>

namespace chatsdk::server {

class AddressCounts {
 public:
  using Key = std::uint64_t;
  enum class Entry : std::uint8_t {
    kAdmitted,
    kRefusedFirst,  // the first since the address had half of what it may have: worth a line in the log
    kRefused,
  };

  static Key key_of(const sockaddr_storage& address);

  // Counts a connection unless the address has max of them.
  Entry enter(Key address, std::size_t max);
  // A connection that was admitted has ended.
  void leave(Key address, std::size_t max);

 private:
  struct Count {
    std::size_t connections = 0;
    bool refusing = false;
  };
  std::mutex mutex_;
  std::unordered_map<Key, Count> counts_;
};

}  // namespace chatsdk::server
