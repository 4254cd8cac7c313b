// SPDX-License-Identifier: Apache-2.0
//
// inbox: applies what the server sends, and says so afterwards. Frames of a burst wait here for one task, which applies
// them in order, consecutive items of a stream in one transaction, and acknowledges all of them in one frame.
//
// Threads: the executor's.
// Invariants:
//   1. An acknowledgement names only what the store has committed.
//   2. Frames take effect in the order they came.
//   3. A gap is asked for once, and again only when it is still there after a while.
#pragma once

#include <deque>
#include <map>

#include "engine/connection.h"

namespace chatsdk {

class Inbox {
 public:
  Inbox(const EngineContext& context, Connection& connection) : context_(context), connection_(connection) {}

  void on_lost();
  // items, caught_up or marks.
  void on_frame(wire::ServerFrame& frame);

 private:
  struct Pulled {
    Seq after = 0;
    MonotonicTime asked;
  };

  void merge_or_push(wire::ServerFrame& frame);
  void work();
  Status apply_all();
  Status apply(const wire::Items& items);
  Status apply(const wire::Marks& marks);
  Status apply(const wire::CaughtUp& caught_up);
  void pull(StreamId stream, Seq after);
  void acknowledge();

  const EngineContext& context_;
  Connection& connection_;
  std::deque<wire::ServerFrame> waiting_;
  std::size_t waiting_items_ = 0;
  bool scheduled_ = false;
  std::map<StreamId, wire::Ack::Stream> to_acknowledge_;
  std::map<StreamId, Pulled> pulled_;  // gaps asked for and not filled yet, at most one a stream
  Guard work_guard_;
};

}  // namespace chatsdk
