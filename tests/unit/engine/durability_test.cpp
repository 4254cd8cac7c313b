// SPDX-License-Identifier: Apache-2.0
//
// The client's half of "the acknowledgement comes after the sync": whenever the engine lets anything out that leans on
// its store (a frame, what a send returned, a change told to the app), no write of the store is unsynced.
//
// Threads: one.
#include "support/counting_vfs.h"
#include "unit/engine/engine_world.h"

namespace chatsdk::test {
namespace {

// A base, so that it outlives the world's store.
struct CountingBase {
  CountingVfs vfs_;
};

class Durability : protected CountingBase, public EngineWorld {
 protected:
  Durability() {
    base_vfs_ = vfs_.name();
    restart();
    const auto worlds_answer = transport_.on_sent;
    transport_.on_sent = [this, worlds_answer](FakeTransport::Connection& connection, const wire::ClientFrame& frame) {
      let_out("a frame of kind " + std::to_string(frame.body_case()));
      if (frame.has_ack()) expect_stored(frame.ack());
      if (frame.has_send()) expect_stored(frame.send().client_message_id());
      ++frames_[frame.body_case()];
      worlds_answer(connection, frame);
    };
    sink_.in_changes = [this] { let_out("a change"); };
  }

  void let_out(const std::string& what) {
    ++let_out_;
    const auto unsynced = vfs_.unsynced();
    if (unsynced.empty()) return;
    ++early_;
    if (first_early_.empty()) {
      first_early_ =
          what + " with " + std::to_string(unsynced.begin()->second) + " unsynced writes to " + unsynced.begin()->first;
    }
  }

  // What is acknowledged or sent is committed, as another connection to the store sees it: writes that were not even
  // begun are not unsynced.
  void expect_stored(const wire::Ack& ack) {
    for (const wire::Ack::Stream& stream : ack.streams()) {
      if (stream.stream_id() != kConversation || stream.seq() < 2) continue;
      auto page = reader_->history_after(key_, stream.seq() - 1, 1);
      ASSERT_TRUE(page.ok() && !page->rows.empty());
      EXPECT_EQ(page->rows.front().seq, stream.seq());
    }
  }
  void expect_stored(const std::string& client_message_id) {
    const auto id = ClientMessageId::from_bytes(client_message_id);
    ASSERT_TRUE(id.has_value());
    EXPECT_TRUE(reader_->message_by_client_id(*id).ok());
  }

  void send(const std::string& text) {
    key_ = bob();
    EXPECT_TRUE(reader_->message_by_client_id(queue(text)).ok());
    let_out("the return of send_text");
  }

  // The server's answer to a send, and the message as an item.
  void settle(const wire::Send& sent, Seq seq) {
    deliver_and_run(accepted_frame(sent.client_message_id(), seq));
    deliver_and_run(items_frame(kConversation, seq - 1,
                                {message_item(seq, text_of(sent), "alice", sent.client_message_id(), kDevice)}));
  }

  // Everything that a client acknowledges or promises: offline sends, a resend after a kill, their answers, items,
  // receipts, a gap, and a log long enough to be checkpointed.
  void live_a_while() {
    have_session();
    make_client();
    for (int n = 1; n <= 5; ++n) send("offline " + std::to_string(n));
    go_online();
    drop();
    restart();
    go_online();
    Seq seq = 1;
    deliver_and_run(items_frame(kConversation, 0, {roster_item(1)}));
    const std::vector<wire::Send> resent = sends();
    for (const wire::Send& sent : resent) settle(sent, ++seq);
    for (int batch = 0; batch < 40; ++batch) {
      std::vector<wire::Item> items;
      const Seq after = seq;
      for (int n = 0; n < 32; ++n) items.push_back(message_item(++seq, std::string(1'000, 'x')));
      deliver_and_run(items_frame(kConversation, after, std::move(items)));
      send("live " + std::to_string(batch));
      run();
      settle(sends().back(), ++seq);
      EXPECT_TRUE(client_->mark_read(bob(), seq).ok());
      let_out("the return of mark_read");
      advance(limits::kMarkFlush);
    }
    deliver_and_run(items_frame(kConversation, seq + 10, {message_item(seq + 11, "behind a gap")}));
    deliver_and_run(read_mark_frame("bob", seq, 1));
    EXPECT_GE(frames_[wire::ClientFrame::kSend], 10u);
    EXPECT_GE(frames_[wire::ClientFrame::kAck], 40u);
    EXPECT_GE(frames_[wire::ClientFrame::kRead], 1u);
    EXPECT_GE(sink_.changes_told, 40u);
  }

  ConversationKey key_;
  std::map<int, std::size_t> frames_;
  std::size_t let_out_ = 0;
  std::size_t early_ = 0;
  std::string first_early_;
};

TEST_F(Durability, NothingLeavesTheClientBeforeItsStoreHasSynced) {
  live_a_while();

  EXPECT_EQ(early_, 0u) << first_early_;
  EXPECT_GE(vfs_.syncs(), 100u);
  EXPECT_GE(vfs_.writes(), vfs_.syncs());
}

// The watch itself: with syncs that do not count it must see every one of the same events.
TEST_F(Durability, AClientThatDoesNotSyncIsSeen) {
  vfs_.forget_syncs();
  live_a_while();

  EXPECT_GE(early_, 100u);
}

}  // namespace
}  // namespace chatsdk::test
