// SPDX-License-Identifier: Apache-2.0
//
// The bus: wake-ups between the committer and the gateways' shards, with the item in them. It is never memory: losing,
// repeating or reordering any of its messages delays delivery and changes nothing else.
//
// Threads: publish from any thread; a subscriber's handler runs as a task on the executor that it subscribed with.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "base/executor.h"
#include "base/ids.h"
#include "server-reference/store/store.h"

namespace chatsdk::server {

// A committed item of a stream. frame is a whole serialised wire::ServerFrame with this one item, encoded once for all.
struct ItemHint {
  struct ForDevice {
    DeviceId device_id;
    std::shared_ptr<const Bytes> frame;
  };
  StreamId stream_id;
  wire::StreamKind kind = wire::STREAM_KIND_UNSPECIFIED;
  Seq seq = 0;
  std::shared_ptr<const Bytes> frame;
  // Not none: frame is for this device alone, those below have their own, and any other gets the one that skips it.
  DeviceId only_for = {};
  std::vector<ForDevice> slices = {};
  std::shared_ptr<const Bytes> skip = {};

  const std::shared_ptr<const Bytes>& frame_for(DeviceId device) const {
    if (!only_for || device == only_for) return frame;
    for (const ForDevice& slice : slices) {
      if (slice.device_id == device) return slice.frame;
    }
    return skip;
  }
};

// Committed mark advances: a whole serialised wire::ServerFrame.
struct MarksHint {
  ConversationId conversation_id;
  std::uint64_t revision_before = 0;
  std::uint64_t revision = 0;
  std::shared_ptr<const Bytes> frame;
};

// Streams that changed lately, ordered by stream_id, each once: heals a lost last hint. head or marks_revision is 0
// when that one did not change.
//
// Digests follow each other whether anything has changed or not, and each has the number after the one before it: a
// subscriber that misses a number asks the store what it may have missed with it.
struct HeadDigest {
  struct Head {
    StreamId stream_id;
    Seq head = 0;
    std::uint64_t marks_revision = 0;
  };
  std::uint64_t number = 0;  // from 1
  std::vector<Head> heads;
};

// Closes connections of a user's device: their session ended, or a newer connection replaced them.
struct Kick {
  UserId user_id;
  DeviceId device_id;
  Code reason = Code::kUnauthenticated;
  std::uint64_t except_connection = 0;  // the newer connection, which stays
  SessionId except_session = {};        // its connections stay; none: every session of the device ended
};

// A device's one-time prekeys run low: a whole serialised wire::ServerFrame for it alone.
struct KeysHint {
  DeviceId device_id;
  std::shared_ptr<const Bytes> frame;
};

using UserMessage = std::variant<std::shared_ptr<const ItemHint>, std::shared_ptr<const MarksHint>, Kick, KeysHint>;

class Bus {
 public:
  class Subscriber {
   public:
    virtual ~Subscriber() = default;
    // user has at least one connection here, or had when the message left.
    virtual void on_user_message(const UserId& user, const UserMessage& message) = 0;
    virtual void on_heads(const std::shared_ptr<const HeadDigest>& digest) = 0;
  };
  using SubscriberId = std::uint32_t;

  virtual ~Bus() = default;
  virtual SubscriberId add_subscriber(Executor& executor, Subscriber& subscriber) = 0;
  // After this returns no handler of the subscriber starts; call it from the subscriber's own executor.
  virtual void remove_subscriber(SubscriberId subscriber) = 0;
  // The subscriber wants this user's messages, from the call's return on.
  virtual void follow(SubscriberId subscriber, const UserId& user) = 0;
  virtual void unfollow(SubscriberId subscriber, const UserId& user) = 0;

  virtual void publish(const UserId& user, UserMessage message) = 0;
  virtual void publish_heads(std::shared_ptr<const HeadDigest> digest) = 0;
};

}  // namespace chatsdk::server
