// SPDX-License-Identifier: Apache-2.0
//
// inbox: applies what the server sends, and says so afterwards. Frames that come together wait here for one task, which
// applies them in order, a burst at a time: as many as fit in one transaction whichever streams they are of, and
// acknowledged in one frame. Catching up with many conversations costs syncs by the burst, not by the conversation.
//
// Threads: the executor's.
// Invariants:
//   1. An acknowledgement names only what the store has committed.
//   2. Frames take effect in the order they came.
//   3. A gap is asked for once, and again only when it is still there after a while.
#pragma once

#include <deque>
#include <map>
#include <vector>

#include "engine/connection.h"
#include "engine/groups.h"
#include "engine/outbox.h"

namespace chatsdk {

class Inbox {
 public:
  // encryption: nullptr where encrypted conversations are not opened.
  Inbox(const EngineContext& context, Connection& connection, Outbox& outbox, Groups& groups, Encryption* encryption)
      : context_(context), connection_(connection), outbox_(outbox), groups_(groups), encryption_(encryption) {}

  void on_lost();
  void on_writable() { acknowledge(); }
  // items, caught_up or marks.
  void on_frame(wire::ServerFrame& frame);
  // What was held for want of lists is asked for again.
  void go_on();
  // What the server does not show as delivered yet is acknowledged again: less of it is missing.
  void tell_delivered();

  // How much waits.
  std::size_t waiting_items() const { return waiting_items_; }
  // Nothing has arrived that is not applied, and nothing was just asked for again.
  bool all_applied() const;
  std::size_t waiting_frames() const { return waiting_.size(); }
  std::size_t gaps() const { return pulled_.size(); }

 private:
  struct Pulled {
    Seq after = 0;
    MonotonicTime asked;
  };

  void merge_or_push(wire::ServerFrame& frame);
  void work();
  Status apply_all();
  // The next frames, up to a transaction's share or the end of catching up. What one of them spoils is applied frame by
  // frame, so that what came before it holds.
  Status apply_burst();
  Status apply_singly(const std::vector<wire::ServerFrame>& burst);
  Result<DeviceStore::AppliedTogether> apply_together(const std::vector<DeviceStore::Arrival>& arrivals);
  Status apply(const wire::Items& items);
  Status apply(const wire::Marks& marks);
  void note(const wire::Items& items, const DeviceStore::Applied& applied);
  Status apply(const wire::CaughtUp& caught_up);
  void pull(StreamId stream, Seq after);
  void send_pull(StreamId stream, Seq after);
  // What is held takes no room in the connection's window: others go on, however much it is and however long it waits.
  void free_window();
  void acknowledge_soon(StreamId stream, Seq seq, Seq missing_from, Seq others_from);
  void acknowledge();
  Status acknowledge_again();
  Status note_undelivered();
  // Tells the parts what has changed, and the app.
  void tell(Changes changes);

  const EngineContext& context_;
  Connection& connection_;
  Outbox& outbox_;
  Groups& groups_;
  Encryption* const encryption_;
  std::deque<wire::ServerFrame> waiting_;
  std::size_t waiting_items_ = 0;
  bool scheduled_ = false;
  std::map<StreamId, wire::Ack::Stream> to_acknowledge_;
  std::map<StreamId, Pulled> pulled_;  // gaps asked for and not filled yet, at most one a stream
  // Of which the rest waits, at the server, for lists: the last item that has come of each all the same, and up to
  // which what has come was taken out of the window.
  struct Held {
    Seq seen = 0;
    Seq freed = 0;
  };
  std::map<StreamId, Held> held_;
  Guard work_guard_;
};

}  // namespace chatsdk
