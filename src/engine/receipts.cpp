// SPDX-License-Identifier: Apache-2.0
#include "engine/receipts.h"

#include "base/fault.h"

namespace chatsdk {

void Receipts::marked() {
  if (!connection_.live() || flush_timer_.pending()) return;
  flush_timer_.start_after(limits::kMarkFlush, [this] { flush(); });
}

void Receipts::on_caught_up() {
  const auto behind = context_.store.undelivered(limits::kHelloCursorsMax);
  if (!behind.ok()) return connection_.fail(behind.error(), CloseCode::kGoingAway);
  for (const StreamCursor& stream : *behind) told_.erase(stream.stream_id);
  flush();
}

void Receipts::on_writable() {
  if (unfinished_) flush();
}

void Receipts::on_lost() {
  flush_timer_.cancel();
  told_.clear();
  unfinished_ = false;
}

void Receipts::flush() {
  flush_timer_.cancel();
  unfinished_ = false;
  auto pending = context_.store.pending_reads();
  if (!pending.ok()) return connection_.fail(pending.error(), CloseCode::kGoingAway);
  for (const DeviceStore::PendingRead& read : *pending) {
    Seq& told = told_[read.conversation_id];
    if (told >= read.up_to) continue;
    if (!connection_.may_send()) {
      unfinished_ = true;
      return;
    }
    CHATSDK_FAULT("receipts.between_mark_and_telling");
    told = read.up_to;
    wire::ClientFrame frame;
    frame.mutable_read()->set_conversation_id(read.conversation_id.value);
    frame.mutable_read()->set_up_to(read.up_to);
    connection_.send(frame);
  }
}

}  // namespace chatsdk
