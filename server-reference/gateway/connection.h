// SPDX-License-Identifier: Apache-2.0
//
// The seam between the gateway's sessions and what carries their frames: libwebsockets in lws_listener, a link model
// in a simulation. Frames cross it, not sockets.
//
// Threads: everything runs on the shard's executor.
// Invariants:
//   1. on_open, then on_frame in order, then exactly one on_closed; nothing after it, and the sink is dead from then
//      on.
//   2. A frame is handed over whole and at most once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "base/bytes.h"
#include "protocol/frames.h"

namespace chatsdk::server {

using ConnectionId = std::uint64_t;  // unique over all shards of a process, never 0

struct ConnectionInfo {
  ConnectionId id = 0;
  std::string bearer_token;  // of the upgrade request, may be empty
  std::string remote_address;
};

// Where a session's frames go.
class FrameSink {
 public:
  virtual ~FrameSink() = default;
  // Queues a frame; order is kept. Shared frames are not copied before the socket.
  virtual void send(std::shared_ptr<const Bytes> frame) = 0;
  // Bytes queued and not yet taken by the kernel.
  virtual std::size_t queued_bytes() const = 0;
  // No more is read of the connection until it is told to go on; frames that were received before may still come. A
  // carrier without a flow of its own has nothing to stop.
  virtual void pause_reading(bool /*paused*/) {}
  // Sends what is queued, then a close frame; on_closed follows.
  virtual void close(CloseCode code) = 0;
};

// What a shard's listener drives. Implemented by Gateway.
class ConnectionHandler {
 public:
  virtual ~ConnectionHandler() = default;
  virtual void on_open(const ConnectionInfo& info, FrameSink& sink) = 0;
  virtual void on_frame(ConnectionId connection, BytesView frame) = 0;
  // The listener refuses oversized and non-binary messages itself; this says why the connection ended.
  virtual void on_closed(ConnectionId connection) = 0;
};

}  // namespace chatsdk::server
