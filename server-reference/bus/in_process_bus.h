// SPDX-License-Identifier: Apache-2.0
//
// The bus of a server in one process: a table from user to the shards that hold one of its connections. Messages for a
// shard wait in that shard's inbox, and one posted task takes all that waits, so that a busy server pays one wake-up
// for many messages. It knows nothing of sessions or streams.
//
// Threads: as the seam says; one mutex guards the table, one each inbox.
// Invariants:
//   1. An inbox holds at most messages_max hints of bytes_max bytes, those that are being handled included; hints above
//      it are dropped, except one that is larger alone, and kicks never are.
//   2. At most one task of an inbox is posted and not yet begun.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "base/limits.h"
#include "server-reference/bus/bus.h"

namespace chatsdk::server {

class InProcessBus final : public Bus {
 public:
  // A subscriber's place in the table is one bit of a word.
  static constexpr std::size_t kSubscribersMax = 64;

  explicit InProcessBus(std::size_t inbox_messages_max = limits::kBusInboxMessagesMax,
                        std::size_t inbox_bytes_max = limits::kBusInboxBytesMax)
      : inbox_messages_max_(inbox_messages_max), inbox_bytes_max_(inbox_bytes_max) {}
  ~InProcessBus() override;

  SubscriberId add_subscriber(Executor& executor, Subscriber& subscriber) override;
  void remove_subscriber(SubscriberId subscriber) override;
  void follow(SubscriberId subscriber, const UserId& user) override;
  void unfollow(SubscriberId subscriber, const UserId& user) override;
  void publish(const UserId& user, UserMessage message) override;
  void publish_heads(std::shared_ptr<const HeadDigest> digest) override;

  // Hints that found a full inbox.
  std::uint64_t dropped() const;
  // Of the hints in all inboxes, each counted wherever it waits.
  std::size_t held_bytes() const;
  // What the fullest inboxes hold; kicks apart, which are never dropped.
  struct Fullest {
    std::size_t hints = 0;
    std::size_t bytes = 0;
    std::size_t digests = 0;
  };
  Fullest fullest() const;

 private:
  class Inbox;

  const std::size_t inbox_messages_max_;
  const std::size_t inbox_bytes_max_;
  mutable std::mutex mutex_;
  // Shared with the posted tasks, which may outlive the bus in an executor's queue.
  std::array<std::shared_ptr<Inbox>, kSubscribersMax> inboxes_;
  std::unordered_map<UserId, std::uint64_t> subscribers_of_;  // bit n: subscriber n follows
};

}  // namespace chatsdk::server
