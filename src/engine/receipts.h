// SPDX-License-Identifier: Apache-2.0
//
// receipts: tells the server how far the user has read. The mark itself is durable in the store; this only brings it
// over, coalesced, and again once every connection has caught up, until the server's own marks confirm it.
//
// Threads: the executor's.
// Invariants:
//   1. A mark is told only after the store holds it, and never a lower one after a higher one.
#pragma once

#include <map>

#include "engine/connection.h"

namespace chatsdk {

class Receipts {
 public:
  Receipts(const EngineContext& context, Connection& connection)
      : context_(context), connection_(connection), flush_timer_(context.executor) {}

  // The store holds a new mark.
  void marked();
  // The server takes no read mark beyond the delivered one: what was held is acknowledged by now.
  void on_caught_up();
  void on_writable();
  void on_lost();

 private:
  void flush();

  const EngineContext& context_;
  Connection& connection_;
  std::map<ConversationId, Seq> told_;  // on this connection
  bool unfinished_ = false;             // the transport had no room
  Timer flush_timer_;
};

}  // namespace chatsdk
