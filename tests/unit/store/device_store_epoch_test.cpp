// SPDX-License-Identifier: Apache-2.0
//
// The server's store went back to an earlier state: another epoch. What it sends again is recognised; what it does not
// is lost: gathered where the histories part, and the own of it failed.
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

TEST_F(Epoch, NumbersStartAboveAllThatWereUsed) {
  const auto chat = chat_of_four();
  const auto other = must(store_->ensure_direct("cid"));
  must(queue(chat, 7, "waits too"));
  const auto numbers = [&](ConversationKey conversation) {
    std::vector<std::pair<ClientMessageId, std::uint64_t>> found;
    for (const auto& row : must(store_->outbox(conversation, 0, 10))) {
      found.emplace_back(row.client_message_id, row.send_number - DeviceStore::kNumberInDoubt);
    }
    return found;
  };

  for (const std::uint64_t epoch : {2u, 3u}) {
    must(store_->begin_epoch(epoch, kAccount));
    EXPECT_THAT(numbers(chat), ElementsAre(std::pair(client_id(6), 0u), std::pair(client_id(7), 1u)));
  }
  must(queue(chat, 8, "next"));
  must(queue(other, 9, "first"));

  EXPECT_EQ(numbers(chat).back(), std::pair(client_id(8), std::uint64_t{2}));
  EXPECT_THAT(numbers(other), ElementsAre(std::pair(client_id(9), 0u)));
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

TEST_F(Epoch, WhatTheServerLostStandsWhereTheHistoriesPart) {
  const auto chat = chat_of_four();
  must(store_->begin_epoch(2, kAccount));
  must(store_->apply(ItemsOf(kChat, 0).roster({kAnn, kBob}).message(kBob, 2, "b")));
  EXPECT_EQ(failure_of(chat, 1), Code::kOk);

  const auto changes = must(store_->settle_epoch());
  EXPECT_THAT(changes.updated, SizeIs(3));
  EXPECT_THAT(changes.conversations, ElementsAre(chat));
  must(store_->apply(ItemsOf(kChat, 2).message(kBob, 21, "x").message(kBob, 22, "y")));

  EXPECT_THAT(history(chat, 1), ElementsAre("2:b", "-:c", "-:d", "-:e", "3:x", "4:y", "-:waits"));
  const auto rows = must(reader_->history_before(chat, Seq{0}, 50)).rows;
  EXPECT_EQ(rows[1].failure, Code::kRolledBack);
  EXPECT_EQ(rows[1].state, MessageState::kFailed);
  EXPECT_EQ(rows[2].failure, Code::kRolledBack);
  EXPECT_EQ(rows[2].state, MessageState::kReceived);
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

  EXPECT_THAT(history(chat), ElementsAre("-:b", "-:e", "2:d", "3:c", "-:waits"));
  EXPECT_EQ(failure_of(chat, 1), Code::kRolledBack);
  EXPECT_EQ(failure_of(chat, 2), Code::kOk);
  EXPECT_EQ(state_of(3), MessageState::kSent);
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
  const auto turned = must(store_->begin_epoch(3, kAccount));
  EXPECT_THAT(turned.updated, SizeIs(4));
  must(store_->apply(ItemsOf(kChat, 0).roster({kAnn, kBob}).message(kBob, 71, "third epoch")));
  must(store_->settle_epoch());

  EXPECT_THAT(history(chat, 1), ElementsAre("-:b", "-:c", "-:d", "-:e", "-:second epoch", "2:third epoch", "-:waits"));
}

TEST_F(Epoch, ATurnThatGoesBackFurtherGathersWhatWasLostBefore) {
  const auto chat = chat_of_four();
  must(store_->begin_epoch(2, kAccount));
  must(store_->apply(ItemsOf(kChat, 0).roster({kAnn, kBob}).message(kBob, 2, "b").message(kAnn, 3, "c", kPhone)));
  must(store_->settle_epoch());
  must(store_->apply(ItemsOf(kChat, 3).message(kBob, 30, "x")));
  ASSERT_THAT(history(chat), ElementsAre("2:b", "3:c", "-:d", "-:e", "4:x", "-:waits"));

  must(store_->begin_epoch(3, kAccount));
  must(store_->apply(ItemsOf(kChat, 0).roster({kAnn, kBob}).message(kBob, 2, "b").message(kBob, 31, "y")));
  must(store_->settle_epoch());

  EXPECT_THAT(history(chat), ElementsAre("2:b", "-:c", "-:d", "-:e", "-:x", "3:y", "-:waits"));
}

TEST_F(Epoch, TheNewestMessageIsTheConversationsLast) {
  const auto chat = open_chat();
  must(store_->apply(ItemsOf(kChat, 1).message(kBob, 2, "b").message(kBob, 3, "c").message(kBob, 4, "d")));
  must(store_->begin_epoch(2, kAccount));
  must(store_->apply(ItemsOf(kChat, 0).roster({kAnn, kBob}).message(kBob, 20, "new")));

  must(store_->settle_epoch());

  const auto row = must(reader_->conversation(chat));
  ASSERT_TRUE(row.last_message.has_value());
  EXPECT_EQ(show(*row.last_message), "2:new");
  EXPECT_EQ(row.last_activity, row.last_message->time);
  EXPECT_EQ(row.unread_count, 1u);
  EXPECT_EQ(show(must(reader_->conversations(std::nullopt, 10)).rows.at(0).last_message.value()), "2:new");
}

TEST_F(Epoch, WhatTheServerLostKeepsItsOrder) {
  const auto chat = open_chat();
  must(queue(chat, 4, "queued first", true));
  must(store_->apply(ItemsOf(kChat, 1).message(kBob, 2, "b").message(kBob, 3, "c").message(kAnn, 4, "d", kPhone)));
  must(store_->begin_epoch(2, kAccount));
  must(store_->apply(ItemsOf(kChat, 0).roster({kAnn, kBob})));

  must(store_->settle_epoch());

  EXPECT_THAT(history(chat, 1), ElementsAre("-:b", "-:c", "-:queued first"));
}

// Its acceptance came; the items before it had not come yet when the server went back, and come now.
TEST_F(Epoch, AnAcceptedMessageAheadOfTheCursorIsLostBehindWhatWasAcceptedBefore) {
  const auto chat = open_chat();
  must(queue(chat, 9, "mine", true));
  must(accept(9, 9));
  must(store_->begin_epoch(2, kAccount));

  ItemsOf items = ItemsOf(kChat, 0).roster({kAnn, kBob}).message(kBob, 2, "before").message(kBob, 30, "after");
  items.get().mutable_items(2)->set_message_id(2'000);
  must(store_->apply(items));
  must(store_->settle_epoch());

  EXPECT_THAT(history(chat), ElementsAre("2:before", "-:mine", "3:after"));
}

TEST_F(Epoch, WhatIsTrimmedStaysWhereItWas) {
  const auto chat = chat_of_four();
  must(store_->begin_epoch(2, kAccount));

  must(store_->apply(
      ItemsOf(kChat, 0).skip(3, wire::SKIP_REASON_TRIMMED).message(kBob, 4, "d").message(kBob, 30, "new")));
  must(store_->settle_epoch());

  EXPECT_THAT(history(chat), ElementsAre("-:b", "-:c", "3:(placeholder)", "4:d", "-:e", "5:new", "-:waits"));
}

// ---- What is lost and own ------------------------------------------------------------------------------------------

class LostOwn : public Epoch {
 protected:
  // Items 3 (of this device) and 5 (of another) are lost, and a message waits.
  ConversationKey chat_of_lost() {
    const auto chat = chat_of_four();
    must(store_->begin_epoch(2, kAccount));
    must(store_->apply(ItemsOf(kChat, 0).roster({kAnn, kBob}).message(kBob, 2, "b").message(kBob, 4, "d")));
    must(store_->settle_epoch());
    return chat;
  }
  std::vector<std::uint64_t> waiting(ConversationKey chat) {
    std::vector<std::uint64_t> ids;
    for (const OutboxRow& row : must(store_->outbox(chat, 0, 10))) ids.push_back(row.client_message_id.bytes[15]);
    return ids;
  }
};

TEST_F(LostOwn, MessageFailsAndBlocksNothing) {
  const auto chat = chat_of_lost();

  EXPECT_EQ(state_of(3), MessageState::kFailed);
  EXPECT_EQ(state_of(5), MessageState::kFailed);
  EXPECT_EQ(must(reader_->message_by_client_id(client_id(3))).failure, Code::kRolledBack);
  EXPECT_THAT(waiting(chat), ElementsAre(6));
}

TEST_F(LostOwn, MessageThatIsRetriedWaitsBehindTheOthersUnderItsId) {
  const auto chat = chat_of_lost();

  const auto changes = must(store_->retry(client_id(3), client_id(99), at(8'000'000)));
  must(store_->retry(client_id(5), client_id(98), at(8'000'000)));
  reopen();

  EXPECT_THAT(changes.updated, SizeIs(1));
  EXPECT_EQ(state_of(3), MessageState::kQueued);
  EXPECT_THAT(waiting(chat), ElementsAre(6, 3, 5));
  EXPECT_THAT(history(chat), ElementsAre("2:b", "3:d", "-:waits", "-:c", "-:e"));
  const auto row = must(store_->outbox(chat, 0, 10)).at(1);
  EXPECT_EQ(row.content, text("c"));
  EXPECT_EQ(row.deadline, at(8'000'000));
  EXPECT_FALSE(row.on_wire);
  EXPECT_EQ(must(reader_->message_by_client_id(client_id(5))).sender_device, kPhone);
  EXPECT_EQ(store_->retry(client_id(3), client_id(97), at(8'000'000)).code(), Code::kWrongState);
}

TEST_F(LostOwn, MessageThatIsRetriedIsAcceptedOnce) {
  const auto chat = chat_of_lost();
  must(store_->retry(client_id(3), client_id(99), at(8'000'000)));

  must(store_->apply(ItemsOf(kChat, 3).message(kAnn, 3, "c", kPhone)));
  must(accept(3, 4));

  EXPECT_THAT(history(chat), ElementsAre("2:b", "-:e", "3:d", "4:c", "-:waits"));
  EXPECT_EQ(state_of(3), MessageState::kSent);
  EXPECT_THAT(waiting(chat), ElementsAre(6));
}

TEST_F(LostOwn, MessageThatIsDiscardedIsGone) {
  const auto chat = chat_of_lost();

  const auto changes = must(store_->discard(client_id(3)));

  EXPECT_THAT(changes.removed, SizeIs(1));
  EXPECT_THAT(history(chat), ElementsAre("2:b", "-:e", "3:d", "-:waits"));
  EXPECT_THAT(waiting(chat), ElementsAre(6));
  EXPECT_EQ(store_->discard(client_id(3)).code(), Code::kNotFound);
}

TEST_F(LostOwn, MessageIsNotRetriedAboveTheLimitOfTheOutbox) {
  chat_of_lost();
  outbox_max_ = 1;
  reopen();

  EXPECT_EQ(store_->retry(client_id(3), client_id(99), at(8'000'000)).code(), Code::kLimitReached);
  EXPECT_EQ(state_of(3), MessageState::kFailed);
}

TEST_F(LostOwn, MessageOfOthersIsNeitherRetriedNorDiscarded) {
  chat_of_four();
  must(store_->begin_epoch(2, kAccount));
  must(store_->settle_epoch());

  EXPECT_EQ(store_->retry(client_id(2), client_id(99), at(8'000'000)).code(), Code::kNotFound);
  EXPECT_EQ(store_->discard(client_id(2)).code(), Code::kNotFound);
}

}  // namespace
}  // namespace chatsdk
