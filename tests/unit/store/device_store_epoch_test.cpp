// SPDX-License-Identifier: Apache-2.0
//
// The server's store went back to an earlier state: another epoch. What it sends again is recognised; what it does not
// is marked, at its place.
#include <gmock/gmock.h>

#include "device_store_fixture.h"

namespace chatsdk {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class Epoch : public DeviceStoreTest {
 protected:
  // A chat of items 2 to 5, of which 2 and 4 are bob's, and a queued message.
  ConversationKey chat_of_four() {
    const auto chat = open_chat();
    must(queue(chat, 3, "c", true));
    must(store_->apply(ItemsOf(kChat, 1)
                           .message(kBob, 2, "b")
                           .message(kAnn, 3, "c", kPhone)
                           .message(kBob, 4, "d")
                           .message(kAnn, 5, "e", kLaptop)));
    must(queue(chat, 6, "waits"));
    return chat;
  }
  Code failure_of(ConversationKey chat, std::size_t index) {
    return must(reader_->history_before(chat, Seq{0}, 50)).rows.at(index).failure;
  }
};

TEST_F(Epoch, ReturnsCursorsToZero) {
  const auto chat = chat_of_four();
  const auto before = store_->revision();

  must(store_->begin_epoch(2, StreamId{501}));

  EXPECT_EQ(must(store_->store_epoch()), 2u);
  EXPECT_EQ(store_->revision(), before + 1);
  const auto all = must(store_->cursors(10));
  ASSERT_THAT(all, SizeIs(2));
  EXPECT_EQ(all[0].stream_id, StreamId{501});
  EXPECT_EQ(all[1].stream_id, kChat);
  EXPECT_EQ(all[1].seq, 0u);
  EXPECT_EQ(all[1].conversation, chat);
  EXPECT_EQ(all[1].marks_revision, 0u);
  EXPECT_EQ(must(reader_->conversation(chat)).head, 0u);
  EXPECT_THAT(history(chat), ElementsAre("-:b", "-:c", "-:d", "-:e", "-:waits"));
  EXPECT_EQ(failure_of(chat, 0), Code::kOk);
  reopen();
  EXPECT_EQ(must(store_->store_epoch()), 2u);
}

TEST_F(Epoch, TheStoredEpochChangesNothing) {
  const auto chat = chat_of_four();
  const auto before = store_->revision();

  must(store_->begin_epoch(1, kAccount));

  EXPECT_EQ(store_->revision(), before);
  EXPECT_THAT(history(chat), ElementsAre("2:b", "3:c", "4:d", "5:e", "-:waits"));
  EXPECT_EQ(store_->begin_epoch(2, StreamId{}).code(), Code::kInvalidArgument);
}

TEST_F(Epoch, WhatIsSentAgainIsNotShownTwice) {
  const auto chat = chat_of_four();
  must(store_->begin_epoch(2, kAccount));

  const auto applied = must(store_->apply(ItemsOf(kChat, 0)
                                              .roster({kAnn, kBob})
                                              .message(kBob, 2, "b")
                                              .message(kAnn, 3, "c", kPhone)
                                              .message(kBob, 4, "d")
                                              .message(kAnn, 5, "e", kLaptop)));

  EXPECT_THAT(applied.changes.added, IsEmpty());
  EXPECT_THAT(history(chat), ElementsAre("2:b", "3:c", "4:d", "5:e", "-:waits"));
  EXPECT_EQ(must(reader_->conversation_by_id(kChat)), chat);
  EXPECT_THAT(must(store_->settle_epoch()).updated, IsEmpty());
}

TEST_F(Epoch, ASequenceThatChangedIsTaken) {
  const auto chat = chat_of_four();
  must(store_->begin_epoch(2, kAccount));

  must(store_->apply(ItemsOf(kChat, 0)
                         .roster({kAnn, kBob})
                         .message(kBob, 2, "b")
                         .message(kBob, 20, "new")
                         .message(kAnn, 5, "e", kLaptop)
                         .message(kBob, 4, "d")));
  must(store_->settle_epoch());

  EXPECT_THAT(history(chat), ElementsAre("2:b", "-:c", "3:new", "4:e", "5:d", "-:waits"));
  EXPECT_EQ(failure_of(chat, 1), Code::kRolledBack);
  EXPECT_EQ(failure_of(chat, 3), Code::kOk);
}

TEST_F(Epoch, WhatTheServerLostIsMarkedAtItsPlaceOnceCaughtUp) {
  const auto chat = chat_of_four();
  must(store_->begin_epoch(2, kAccount));
  must(store_->apply(ItemsOf(kChat, 0).roster({kAnn, kBob}).message(kBob, 2, "b")));
  EXPECT_EQ(failure_of(chat, 1), Code::kOk);

  const auto changes = must(store_->settle_epoch());
  EXPECT_THAT(changes.updated, SizeIs(3));
  EXPECT_THAT(changes.conversations, ElementsAre(chat));
  must(store_->apply(ItemsOf(kChat, 2).message(kBob, 21, "x").message(kBob, 22, "y")));

  EXPECT_THAT(history(chat, 1), ElementsAre("2:b", "-:c", "3:x", "-:d", "4:y", "-:e", "-:waits"));
  const auto rows = must(reader_->history_before(chat, Seq{0}, 50)).rows;
  EXPECT_EQ(rows[1].failure, Code::kRolledBack);
  EXPECT_EQ(rows[1].state, MessageState::kSent);
  EXPECT_EQ(rows[3].failure, Code::kRolledBack);
  EXPECT_EQ(rows[3].state, MessageState::kReceived);
  EXPECT_EQ(rows[6].failure, Code::kOk);
  EXPECT_EQ(reader_->receipt(rows[1].key, kBob).code(), Code::kNotFound);
  EXPECT_EQ(unread(chat), 3u);
  reopen();
  EXPECT_THAT(must(store_->settle_epoch()).updated, IsEmpty());
  EXPECT_EQ(failure_of(chat, 1), Code::kRolledBack);
}

TEST_F(Epoch, ALostMessageThatIsSentAgainLaterTakesItsPlace) {
  const auto chat = chat_of_four();
  must(store_->begin_epoch(2, kAccount));
  must(store_->apply(ItemsOf(kChat, 0).roster({kAnn, kBob})));
  must(store_->settle_epoch());
  reopen();

  must(store_->apply(ItemsOf(kChat, 1).message(kBob, 4, "d").message(kAnn, 3, "c", kLaptop)));

  EXPECT_THAT(history(chat), ElementsAre("-:b", "2:d", "3:c", "-:e", "-:waits"));
  EXPECT_EQ(failure_of(chat, 0), Code::kRolledBack);
  EXPECT_EQ(failure_of(chat, 1), Code::kOk);
}

TEST_F(Epoch, WhatWasReadStaysReadAndIsToldAgain) {
  const auto chat = chat_of_four();
  must(store_->mark_read(chat, 2));
  EXPECT_EQ(unread(chat), 1u);
  must(store_->begin_epoch(2, kAccount));
  EXPECT_EQ(unread(chat), 0u);
  EXPECT_THAT(must(store_->pending_reads()), IsEmpty());

  must(store_->apply(ItemsOf(kChat, 0)
                         .roster({kAnn, kBob})
                         .message(kBob, 30, "older now")
                         .message(kBob, 2, "b")
                         .message(kBob, 4, "d")));

  EXPECT_EQ(unread(chat), 1u);
  EXPECT_EQ(must(reader_->conversation(chat)).read_up_to, 3u);
  ASSERT_THAT(must(store_->pending_reads()), SizeIs(1));
  EXPECT_EQ(must(store_->pending_reads())[0].up_to, 3u);
}

TEST_F(Epoch, MarksAreToldAnew) {
  const auto chat = chat_of_four();
  auto marks = marks_of(kChat, 9);
  add_advance(marks, kBob, wire::Marks::KIND_READ, 5, 100);
  must(store_->apply_marks(marks));
  EXPECT_EQ(state_of(3), MessageState::kRead);

  must(store_->begin_epoch(2, kAccount));
  EXPECT_EQ(state_of(3), MessageState::kSent);
  must(store_->apply(ItemsOf(kChat, 0).roster({kAnn, kBob}).message(kBob, 2, "b").message(kAnn, 3, "c", kPhone)));
  auto again = marks_of(kChat, 1);
  add_advance(again, kBob, wire::Marks::KIND_DELIVERED, 3, 200);
  must(store_->apply_marks(again));

  EXPECT_EQ(state_of(3), MessageState::kDelivered);
  EXPECT_THAT(must(reader_->marks(chat)), SizeIs(1));
}

TEST_F(Epoch, AlreadyAcknowledgedStandsAgain) {
  const auto chat = chat_of_four();
  must(store_->mark_read(chat, 3));
  must(store_->begin_epoch(2, kAccount));

  const auto applied =
      must(store_->apply(ItemsOf(kChat, 0).skip(4, wire::SKIP_REASON_ALREADY_ACKNOWLEDGED).message(kBob, 40, "new")));
  must(store_->settle_epoch());

  EXPECT_THAT(applied.changes.updated, SizeIs(3));
  EXPECT_THAT(history(chat), ElementsAre("2:b", "3:c", "4:d", "-:e", "5:new", "-:waits"));
  EXPECT_EQ(must(reader_->conversation(chat)).read_up_to, 2u);
  EXPECT_EQ(unread(chat), 2u);
}

TEST_F(Epoch, PlaceholdersAreMadeAnew) {
  const auto chat = open_chat();
  must(store_->apply(ItemsOf(kChat, 1).skip(5, wire::SKIP_REASON_TRIMMED).message(kBob, 6, "f")));
  must(store_->begin_epoch(2, kAccount));
  EXPECT_THAT(history(chat), ElementsAre("-:f"));

  must(store_->apply(ItemsOf(kChat, 0).skip(5, wire::SKIP_REASON_TRIMMED).message(kBob, 6, "f")));

  EXPECT_THAT(history(chat), ElementsAre("5:(placeholder)", "6:f"));
}

TEST_F(Epoch, TheOutboxAddressesThePeerUntilTheIdIsToldAgain) {
  const auto chat = chat_of_four();
  must(store_->begin_epoch(2, kAccount));
  EXPECT_FALSE(must(store_->outbox(chat, 0, 10))[0].conversation_id);

  must(store_->apply(ItemsOf::account(0).conversation_added(ConversationId{950}, kBob)));

  EXPECT_EQ(must(store_->outbox(chat, 0, 10))[0].conversation_id, ConversationId{950});
  EXPECT_FALSE(must(store_->cursor(kChat)));
}

TEST_F(Epoch, ARosterUnderANewIdEndsTheStreamOfTheOldOne) {
  const auto chat = chat_of_four();
  must(store_->begin_epoch(2, kAccount));

  must(store_->apply(ItemsOf(ConversationId{950}, 0).roster({kAnn, kBob}).message(kBob, 2, "b")));

  EXPECT_EQ(must(reader_->direct_conversation(kBob)), chat);
  EXPECT_FALSE(must(store_->cursor(kChat)));
  EXPECT_EQ(must(store_->cursor(ConversationId{950})).value().seq, 2u);
  EXPECT_EQ(must(store_->outbox(chat, 0, 10))[0].conversation_id, ConversationId{950});
}

TEST_F(Epoch, AnIdThatNowBelongsToAnotherPairGoesToThem) {
  const auto chat = chat_of_four();
  must(store_->begin_epoch(2, kAccount));

  must(store_->apply(ItemsOf::account(0).conversation_added(kChat, "cid")));
  must(store_->apply(ItemsOf(kChat, 0).roster({kAnn, "cid"}).message("cid", 60, "hello")));

  const auto cid = must(reader_->direct_conversation("cid"));
  EXPECT_NE(cid, chat);
  EXPECT_THAT(history(cid), ElementsAre("2:hello"));
  EXPECT_FALSE(must(reader_->conversation(chat)).conversation_id);
}

TEST_F(Epoch, TwoTurnsInARowKeepOrderAndMark) {
  const auto chat = chat_of_four();
  must(store_->begin_epoch(2, kAccount));
  must(store_->apply(ItemsOf(kChat, 0).roster({kAnn, kBob}).message(kBob, 70, "second epoch")));
  must(store_->begin_epoch(3, kAccount));
  must(store_->apply(ItemsOf(kChat, 0).roster({kAnn, kBob}).message(kBob, 71, "third epoch")));
  must(store_->settle_epoch());

  EXPECT_THAT(history(chat, 1), ElementsAre("-:b", "-:second epoch", "2:third epoch", "-:c", "-:d", "-:e", "-:waits"));
}

}  // namespace
}  // namespace chatsdk
