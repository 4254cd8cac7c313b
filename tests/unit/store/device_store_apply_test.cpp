// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>

#include "device_store_fixture.h"

namespace chatsdk {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class Inbox : public DeviceStoreTest {};

TEST_F(Inbox, StoresItemsAndCursorTogether) {
  const auto chat = open_chat();

  const auto applied = must(store_->apply(ItemsOf(kChat, 1).message(kBob, 1, "one").message(kBob, 2, "two")));

  EXPECT_EQ(applied.cursor, 3u);
  EXPECT_EQ(applied.delivered_from, 0u);
  EXPECT_FALSE(applied.gap);
  ASSERT_THAT(applied.changes.added, SizeIs(2));
  EXPECT_EQ(applied.changes.added[0].conversation, chat);
  EXPECT_EQ(applied.changes.added[1].conversation, chat);
  EXPECT_THAT(applied.changes.conversations, ElementsAre(chat));
  EXPECT_THAT(history(chat), ElementsAre("2:one", "3:two"));
  reopen();
  EXPECT_EQ(must(store_->cursor(kChat))->seq, 3u);
  const auto row = must(reader_->conversation(chat));
  EXPECT_EQ(row.head, 3u);
  EXPECT_EQ(row.unread_count, 2u);
  EXPECT_EQ(row.last_activity, at(1'003'000));
  ASSERT_TRUE(row.last_message);
  EXPECT_EQ(row.last_message->sender, kBob);
  EXPECT_EQ(row.last_message->sender_device, kBobs);
  EXPECT_EQ(row.last_message->state, MessageState::kReceived);
  EXPECT_EQ(row.last_message->message_id, MessageId{1'003});
  EXPECT_EQ(row.last_message->client_message_id, client_id(2));
}

// New messages are stored in runs; what stands between them sees all that came before it.
TEST_F(Inbox, KeepsTheOrderOfLongRunsAndOfWhatStandsBetweenThem) {
  const auto chat = open_chat();
  ItemsOf items(kChat, 1);
  std::vector<std::string> expected;
  for (Seq seq = 2; seq <= 60; ++seq) {
    const std::string words = "words " + std::to_string(seq);
    if (seq == 30) {
      items.skip(seq, wire::SKIP_REASON_TRIMMED);
      expected.push_back(std::to_string(seq) + ":(placeholder)");
      continue;
    }
    items.message(seq % 20 == 0 ? kAnn : kBob, seq, words);
    expected.push_back(std::to_string(seq) + ":" + words);
  }

  const auto applied = must(store_->apply(items));

  EXPECT_EQ(applied.cursor, 60u);
  EXPECT_THAT(applied.changes.added, SizeIs(59));
  EXPECT_EQ(history(chat), expected);
  EXPECT_EQ(unread(chat), 55u);
  reopen();
  EXPECT_EQ(history(chat), expected);
}

TEST_F(Inbox, DropsItemsAtOrBelowTheCursor) {
  const auto chat = open_chat();
  must(store_->apply(ItemsOf(kChat, 1).message(kBob, 1, "one").message(kBob, 2, "two")));
  const auto before = store_->revision();

  const auto repeat = must(store_->apply(ItemsOf(kChat, 1).message(kBob, 1, "one")));
  EXPECT_EQ(repeat.cursor, 3u);
  EXPECT_EQ(store_->revision(), before);
  must(store_->apply(ItemsOf(kChat, 1).message(kBob, 1, "one").message(kBob, 2, "two").message(kBob, 3, "three")));

  EXPECT_THAT(history(chat), ElementsAre("2:one", "3:two", "4:three"));
  EXPECT_EQ(unread(chat), 3u);
}

TEST_F(Inbox, TellsAGapAndAppliesNothing) {
  const auto chat = open_chat();

  const auto applied = must(store_->apply(ItemsOf(kChat, 2).message(kBob, 2, "two")));

  EXPECT_TRUE(applied.gap);
  EXPECT_EQ(applied.cursor, 1u);
  EXPECT_THAT(history(chat), IsEmpty());
  EXPECT_TRUE(must(store_->apply(ItemsOf(ConversationId{901}, 5).message(kBob, 2, "new stream"))).gap);
  EXPECT_FALSE(must(store_->cursor(ConversationId{901})));
}

TEST_F(Inbox, RefusesMalformedItemsAndChangesNothing) {
  const auto chat = open_chat();
  ItemsOf good(kChat, 1);
  good.message(kBob, 1, "one").message(kBob, 2, "two");
  const auto refused = [&](auto change) {
    wire::Items items = good.get();
    change(items);
    return store_->apply(items).code();
  };

  EXPECT_EQ(refused([](wire::Items& items) { items.set_stream_id(0); }), Code::kMalformed);
  EXPECT_EQ(refused([](wire::Items& items) { items.set_stream_kind(wire::STREAM_KIND_UNSPECIFIED); }),
            Code::kMalformed);
  EXPECT_EQ(refused([](wire::Items& items) { items.set_stream_kind(static_cast<wire::StreamKind>(9)); }),
            Code::kMalformed);
  EXPECT_EQ(refused([](wire::Items& items) { items.set_stream_kind(wire::STREAM_KIND_ACCOUNT); }), Code::kMalformed);
  EXPECT_EQ(refused([](wire::Items& items) { items.mutable_items(1)->set_seq(4); }), Code::kMalformed);
  EXPECT_EQ(refused([](wire::Items& items) { items.mutable_items(1)->set_seq(2); }), Code::kMalformed);
  EXPECT_EQ(refused([](wire::Items& items) { items.mutable_items(0)->set_seq(0); }), Code::kMalformed);
  EXPECT_EQ(refused([](wire::Items& items) {
              items.mutable_items(1)->set_kind(wire::ITEM_KIND_SKIP);
              items.mutable_items(1)->set_seq(~0ull);
            }),
            Code::kMalformed);
  EXPECT_THAT(history(chat), IsEmpty());
  EXPECT_EQ(must(store_->cursor(kChat))->seq, 1u);
}

TEST_F(Inbox, NeedsAnOwner) {
  reopen();
  EXPECT_EQ(store_->apply(ItemsOf(kChat, 0).message(kBob, 1, "x")).code(), Code::kWrongState);
  EXPECT_EQ(store_->apply_marks(marks_of(kChat, 1)).code(), Code::kWrongState);
}

TEST_F(Inbox, StoresWhatItCannotReadAsItCame) {
  const auto chat = open_chat();
  ItemsOf items(kChat, 1);
  items.message(kBob, 1, "x").message(kBob, 2, "x").message(kBob, 3, "x").message("", 4, "x");
  items.get().mutable_items(0)->set_content("\xff\xff\xff");
  items.get().mutable_items(1)->set_content("");
  items.get().mutable_items(2)->set_client_message_id("short");
  items.get().mutable_items(2)->set_time_ms(std::numeric_limits<std::int64_t>::max());
  items.get().mutable_items(3)->set_time_ms(-5);

  EXPECT_EQ(must(store_->apply(items)).cursor, 5u);

  EXPECT_THAT(history(chat), ElementsAre("2:(unsupported)", "3:(placeholder)", "4:x", "5:x"));
  const auto rows = must(reader_->history_after(chat, Seq{0}, 10)).rows;
  EXPECT_EQ(rows[2].client_message_id, ClientMessageId{});
  EXPECT_EQ(rows[2].time, at(253'402'300'799'999));
  EXPECT_EQ(rows[3].time, at(0));
  EXPECT_EQ(unread(chat), 3u);
}

TEST_F(Inbox, UnknownKindsMoveTheCursor) {
  const auto chat = open_chat();
  ItemsOf items(kChat, 1);
  items.add(static_cast<wire::ItemKind>(77));
  items.add(wire::ITEM_KIND_CONVERSATION_ADDED);
  items.message(kBob, 1, "after");

  EXPECT_EQ(must(store_->apply(items)).cursor, 4u);
  EXPECT_THAT(history(chat), ElementsAre("4:after"));

  ItemsOf account = ItemsOf::account(0);
  account.add(wire::ITEM_KIND_MESSAGE);
  account.add(wire::ITEM_KIND_ROSTER);
  EXPECT_EQ(must(store_->apply(account)).cursor, 2u);
}

TEST_F(Inbox, TrimmedLeavesAPlaceholderAndMovesDeliveredFrom) {
  const auto chat = open_chat();

  const auto applied = must(store_->apply(
      ItemsOf(kChat, 1).message(kBob, 1, "one").skip(9, wire::SKIP_REASON_TRIMMED).message(kBob, 2, "ten")));

  EXPECT_EQ(applied.cursor, 10u);
  EXPECT_EQ(applied.delivered_from, 9u);
  EXPECT_THAT(history(chat), ElementsAre("2:one", "9:(placeholder)", "10:ten"));
  EXPECT_EQ(unread(chat), 2u);
  EXPECT_EQ(must(store_->cursor(kChat))->delivered_from, 9u);
}

TEST_F(Inbox, WhatWasForOtherDevicesOfTheOwnerLeavesNothingAndIsNoneOfThisOnesMissing) {
  const auto chat = open_chat();

  const auto applied = must(store_->apply(ItemsOf(kChat, 1)
                                              .skip(4, wire::SKIP_REASON_NOT_LISTED)
                                              .message(kBob, 1, "five")
                                              .skip(7, wire::SKIP_REASON_NOT_ADDRESSED)));

  EXPECT_EQ(applied.cursor, 7u);
  EXPECT_EQ(applied.delivered_from, 0u);
  EXPECT_EQ(applied.others_from, 4u);
  EXPECT_THAT(history(chat), ElementsAre("5:five"));
  reopen();
  EXPECT_EQ(must(store_->cursor(kChat))->others_from, 4u);
  EXPECT_EQ(must(store_->cursor(kChat))->delivered_from, 0u);
}

TEST_F(Inbox, OtherSkipsLeaveNothing) {
  const auto chat = open_chat();

  const auto applied = must(store_->apply(ItemsOf(kChat, 1)
                                              .skip(4, wire::SKIP_REASON_NOT_ADDRESSED)
                                              .skip(6, wire::SKIP_REASON_BEFORE_JOINING)
                                              .skip(8, wire::SKIP_REASON_ALREADY_ACKNOWLEDGED)
                                              .skip(9, static_cast<wire::SkipReason>(50))));

  EXPECT_EQ(applied.cursor, 9u);
  EXPECT_EQ(applied.delivered_from, 0u);
  EXPECT_THAT(history(chat), IsEmpty());
}

TEST_F(Inbox, ChangesNameTheConversationThatIsLeftAfterAMerger) {
  open_as_ann();
  const auto chat = must(store_->ensure_direct(kBob));

  const auto applied =
      must(store_->apply(ItemsOf(kChat, 0).message(kBob, 1, "before the roster").roster({kAnn, kBob})));

  ASSERT_THAT(applied.changes.added, SizeIs(1));
  EXPECT_EQ(applied.changes.added[0].conversation, chat);
}

TEST_F(Inbox, AnItemBeforeItsAnswerSettlesTheMessage) {
  const auto chat = open_chat();
  must(queue(chat, 1, "mine", true));
  must(queue(chat, 2, "next", true));

  const auto applied = must(store_->apply(ItemsOf(kChat, 1).message(kAnn, 1, "mine", kPhone)));

  EXPECT_THAT(applied.changes.added, IsEmpty());
  EXPECT_THAT(applied.changes.updated, SizeIs(1));
  EXPECT_THAT(history(chat), ElementsAre("2:mine", "-:next"));
  EXPECT_EQ(state_of(1), MessageState::kSent);
  EXPECT_THAT(must(accept(1, 2)).updated, IsEmpty());
  EXPECT_EQ(unread(chat), 0u);
}

TEST_F(Inbox, AnAnswerMayOvertakeItems) {
  const auto chat = open_chat();
  must(queue(chat, 1, "mine", true));

  must(accept(1, 4));
  EXPECT_THAT(history(chat), ElementsAre("4:mine"));
  must(store_->apply(
      ItemsOf(kChat, 1).message(kBob, 2, "two").message(kBob, 3, "three").message(kAnn, 1, "mine", kPhone)));

  EXPECT_THAT(history(chat), ElementsAre("2:two", "3:three", "4:mine"));
  EXPECT_EQ(unread(chat), 2u);
  EXPECT_EQ(must(store_->cursor(kChat))->seq, 4u);
}

// An acceptance at the place of another's message: the server holds that one no more.
TEST_F(Inbox, AMessageOfAnothersThatLosesItsPlaceIsUnreadNoMore) {
  const auto chat = open_chat();
  must(queue(chat, 1, "one", true));
  must(store_->apply(ItemsOf(kChat, 1).message(kBob, 2, "two").message(kBob, 3, "three").message(kBob, 4, "four")));
  must(store_->mark_read(chat, 2));
  ASSERT_EQ(unread(chat), 2u);

  must(accept(1, 3));

  EXPECT_THAT(history(chat), ElementsAre("2:two", "-:three", "3:one", "4:four"));
  EXPECT_EQ(unread(chat), 1u);
  must(queue(chat, 2, "read", true));
  must(accept(2, 2));
  EXPECT_EQ(unread(chat), 1u);
}

TEST_F(Inbox, AMessageOfAnotherOwnDeviceIsOwn) {
  const auto chat = open_chat();

  must(store_->apply(ItemsOf(kChat, 1).message(kAnn, 5, "from my laptop", kLaptop)));

  const auto row = must(reader_->message_by_client_id(client_id(5)));
  EXPECT_EQ(row.sender, kAnn);
  EXPECT_EQ(row.sender_device, kLaptop);
  EXPECT_EQ(row.state, MessageState::kSent);
  EXPECT_EQ(unread(chat), 0u);
}

TEST_F(Inbox, AnotherDevicesIdIsTheSameMessageOnlyWithTheSameContent) {
  const auto chat = open_chat();
  must(queue(chat, 1, "same"));
  must(queue(chat, 2, "mine"));

  must(store_->apply(ItemsOf(kChat, 1).message(kAnn, 1, "same", kLaptop).message(kAnn, 2, "another", kLaptop)));

  EXPECT_THAT(history(chat), ElementsAre("2:same", "3:another", "-:mine"));
  EXPECT_EQ(must(reader_->outbox_count()), 1u);
}

TEST_F(Inbox, ConversationAddedLinksTheOneThatTheAppOpened) {
  open_as_ann();
  const auto chat = must(store_->ensure_direct(kBob));
  must(queue(chat, 1, "early"));

  must(store_->apply(ItemsOf::account(0).conversation_added(kChat, kBob)));

  EXPECT_EQ(must(reader_->conversation_by_id(kChat)), chat);
  EXPECT_THAT(must(reader_->conversations({}, 10)).rows, SizeIs(1));
}

// A group, of which this version knows nothing but that it is none with a peer.
TEST_F(Inbox, AGroupIsNobodysDirectConversation) {
  const auto chat = open_chat();
  constexpr StreamId kGroupStream{4'711};
  const auto group_roster = [](ItemsOf& items, const UserId& user, bool joined) {
    wire::Roster& roster = *items.add(wire::ITEM_KIND_ROSTER).mutable_roster();
    roster.set_conversation_kind(wire::CONVERSATION_KIND_GROUP);
    roster.set_actor_user_id(kBob);
    auto& change = *roster.add_changes();
    change.set_user_id(user);
    change.set_joined(joined);
    change.set_role(wire::GROUP_ROLE_ADMIN);
  };
  ItemsOf items(kGroupStream, 0);
  group_roster(items, kBob, true);
  items.message(kBob, 1, "to all");
  group_roster(items, "cid", true);
  group_roster(items, kBob, false);
  EXPECT_EQ(must(store_->apply(items)).cursor, 4u);
  ItemsOf account = ItemsOf::account(0);
  wire::Item& added = account.add(wire::ITEM_KIND_CONVERSATION_ADDED);
  added.mutable_conversation()->set_conversation_id(kGroupStream.value);
  added.mutable_conversation()->set_kind(wire::CONVERSATION_KIND_GROUP);
  added.mutable_conversation()->set_group_id(Bytes(16, 'g'));
  account.add(wire::ITEM_KIND_CONVERSATION_LEFT).mutable_left()->set_conversation_id(kGroupStream.value);
  EXPECT_EQ(must(store_->apply(account)).cursor, 2u);

  EXPECT_THAT(history(chat), IsEmpty());
  EXPECT_NE(must(reader_->conversation(chat)).conversation_id, kGroupStream);
  const auto all = must(reader_->conversations({}, 10));
  ASSERT_THAT(all.rows, SizeIs(2));
  for (const ConversationRow& row : all.rows) {
    if (row.key == chat) continue;
    EXPECT_EQ(row.conversation_id, kGroupStream);
    EXPECT_EQ(row.peer, "");
    EXPECT_THAT(history(row.key), ElementsAre("2:to all"));
  }
}

TEST_F(Inbox, ConversationAddedMakesANewOne) {
  open_as_ann();

  must(store_->apply(ItemsOf::account(0).conversation_added(kChat, kBob)));
  must(store_->apply(ItemsOf::account(0).conversation_added(kChat, kBob).conversation_added(kChat, kBob)));

  const auto row = must(reader_->conversation(must(reader_->direct_conversation(kBob))));
  EXPECT_EQ(row.conversation_id, kChat);
  EXPECT_EQ(row.kind, wire::CONVERSATION_KIND_DIRECT);
  EXPECT_EQ(must(store_->ensure_direct(kBob)), row.key);
  EXPECT_THAT(must(reader_->conversations({}, 10)).rows, SizeIs(1));
}

TEST_F(Inbox, ARosterJoinsItemsToTheConversationThatTheAppOpened) {
  open_as_ann();
  const auto chat = must(store_->ensure_direct(kBob));
  must(queue(chat, 1, "mine"));
  must(store_->apply(ItemsOf(kChat, 0).message(kBob, 2, "before the roster")));
  const auto unnamed = must(reader_->conversation_by_id(kChat));
  EXPECT_NE(unnamed, chat);
  auto marks = marks_of(kChat, 1);
  add_advance(marks, kBob, wire::Marks::KIND_DELIVERED, 9, 50);
  must(store_->apply_marks(marks));

  must(store_->apply(ItemsOf(kChat, 1).roster({kAnn, kBob}).message(kBob, 3, "after")));

  EXPECT_EQ(must(reader_->conversation_by_id(kChat)), chat);
  EXPECT_EQ(reader_->conversation(unnamed).code(), Code::kNotFound);
  EXPECT_THAT(history(chat), ElementsAre("1:before the roster", "3:after", "-:mine"));
  EXPECT_EQ(unread(chat), 2u);
  EXPECT_EQ(must(store_->cursor(kChat))->conversation, chat);
  EXPECT_THAT(must(reader_->marks(chat)), SizeIs(1));
}

TEST_F(Inbox, ConversationAddedNamesAConversationKnownByItsItems) {
  open_as_ann();
  const auto opened = must(store_->ensure_direct(kBob));
  must(store_->apply(ItemsOf(kChat, 0).message(kBob, 2, "first")));
  must(store_->apply(ItemsOf(ConversationId{901}, 0).message("cid", 2, "second")));

  must(store_->apply(
      ItemsOf::account(0).conversation_added(kChat, kBob).conversation_added(ConversationId{901}, "cid")));

  EXPECT_THAT(history(opened), ElementsAre("1:first"));
  EXPECT_THAT(history(must(reader_->direct_conversation("cid"))), ElementsAre("1:second"));
}

TEST_F(Inbox, AnAcceptanceJoinsItemsThatCameUnderTheId) {
  open_as_ann();
  const auto chat = must(store_->ensure_direct(kBob));
  must(queue(chat, 1, "mine", true));
  must(store_->apply(ItemsOf(kChat, 0).message(kBob, 2, "theirs")));

  must(accept(1, 2));

  EXPECT_THAT(history(chat), ElementsAre("1:theirs", "2:mine"));
  EXPECT_EQ(must(store_->apply(ItemsOf(kChat, 1).message(kAnn, 1, "mine", kPhone))).cursor, 2u);
  EXPECT_EQ(must(reader_->conversation(chat)).head, 2u);
}

TEST_F(Inbox, DevicesChangedIsTold) {
  open_as_ann();
  ItemsOf items = ItemsOf::account(0);
  items.add(wire::ITEM_KIND_DEVICES_CHANGED);
  const auto before = store_->revision();

  EXPECT_TRUE(must(store_->apply(items)).changes.devices_changed);
  EXPECT_EQ(store_->revision(), before + 1);
}

// ---- Marks ---------------------------------------------------------------------------------------------------------

class Marks : public DeviceStoreTest {
 protected:
  void advance(const UserId& user, wire::Marks::Kind kind, Seq up_to, std::int64_t ms) {
    auto marks = marks_of(kChat, ++revision_);
    add_advance(marks, user, kind, up_to, ms);
    last_ = must(store_->apply_marks(marks));
  }
  std::uint64_t revision_ = 0;
  Changes last_;
};

TEST_F(Marks, DeriveTheStateOfOwnMessages) {
  const auto chat = open_chat();
  for (std::uint64_t id = 1; id <= 3; ++id) must(queue(chat, id, "m"));
  for (std::uint64_t id = 1; id <= 3; ++id) must(accept(id, id + 1));

  advance(kBob, wire::Marks::KIND_DELIVERED, 3, 100);
  EXPECT_THAT(last_.marks, ElementsAre(chat));
  advance(kBob, wire::Marks::KIND_READ, 2, 200);

  EXPECT_EQ(state_of(1), MessageState::kRead);
  EXPECT_EQ(state_of(2), MessageState::kDelivered);
  EXPECT_EQ(state_of(3), MessageState::kSent);
  EXPECT_EQ(must(reader_->conversation(chat)).last_message->state, MessageState::kSent);
  EXPECT_EQ(must(reader_->history_before(chat, Seq{0}, 10)).rows[0].state, MessageState::kRead);
}

TEST_F(Marks, NeverFall) {
  open_chat();
  advance(kBob, wire::Marks::KIND_READ, 5, 100);
  advance(kBob, wire::Marks::KIND_READ, 3, 200);

  EXPECT_THAT(last_.marks, IsEmpty());
  EXPECT_EQ(must(reader_->marks(must(reader_->direct_conversation(kBob))))[0].read_up_to, 5u);
  EXPECT_EQ(must(store_->cursor(kChat))->marks_revision, 2u);
}

TEST_F(Marks, GiveTheServersTimeOfEachMessage) {
  const auto chat = open_chat();
  std::vector<MessageKey> keys;
  for (std::uint64_t id = 1; id <= 4; ++id) keys.push_back(must(queue(chat, id, "m")).message);
  for (std::uint64_t id = 1; id <= 3; ++id) must(accept(id, id + 1));
  advance(kBob, wire::Marks::KIND_DELIVERED, 2, 100);
  advance(kBob, wire::Marks::KIND_DELIVERED, 3, 200);
  advance(kBob, wire::Marks::KIND_READ, 3, 300);

  EXPECT_EQ(must(reader_->receipt(keys[0], kBob)).delivered_at, at(100));
  EXPECT_EQ(must(reader_->receipt(keys[0], kBob)).read_at, at(300));
  EXPECT_EQ(must(reader_->receipt(keys[1], kBob)).delivered_at, at(200));
  EXPECT_EQ(must(reader_->receipt(keys[2], kBob)).delivered_at, std::nullopt);
  EXPECT_EQ(must(reader_->receipt(keys[2], kBob)).read_at, std::nullopt);
  EXPECT_EQ(reader_->receipt(keys[3], kBob).code(), Code::kNotFound);
  EXPECT_EQ(reader_->receipt(MessageKey{999}, kBob).code(), Code::kNotFound);
  EXPECT_EQ(must(reader_->receipt(keys[0], "nobody")).read_at, std::nullopt);

  advance(kBob, wire::Marks::KIND_READ, 4, 400);
  EXPECT_EQ(must(reader_->receipt(keys[2], kBob)).delivered_at, at(400));
}

TEST_F(Marks, OfTheOwnerMoveTheReadMarkAndTheUnreadCount) {
  const auto chat = open_chat();
  must(store_->apply(ItemsOf(kChat, 1).message(kBob, 1, "a").message(kAnn, 2, "b", kLaptop).message(kBob, 3, "c")));
  EXPECT_EQ(unread(chat), 2u);

  advance(kAnn, wire::Marks::KIND_READ, 3, 100);
  EXPECT_EQ(unread(chat), 1u);
  EXPECT_THAT(must(store_->pending_reads()), IsEmpty());
  advance(kAnn, wire::Marks::KIND_READ, 6, 100);
  must(store_->apply(
      ItemsOf(kChat, 4).message(kBob, 4, "read elsewhere").message(kBob, 5, "too").message(kBob, 6, "new")));

  EXPECT_EQ(unread(chat), 1u);
  EXPECT_EQ(must(reader_->unread_total()), 1u);
  EXPECT_EQ(must(reader_->marks(chat))[0].user_id, kAnn);
}

// A frame between them was lost, where none ever is but by a hostile hand: the next resume asks from before the gap.
TEST_F(Marks, BehindAGapCountAndTheRevisionStaysBeforeIt) {
  const auto chat = open_chat();
  advance(kBob, wire::Marks::KIND_DELIVERED, 1, 100);
  auto behind = marks_of(kChat, 3);
  behind.set_after_revision(2);
  add_advance(behind, kBob, wire::Marks::KIND_READ, 1, 300);

  EXPECT_THAT(must(store_->apply_marks(behind)).marks, ElementsAre(chat));
  EXPECT_EQ(must(store_->cursor(kChat))->marks_revision, 1u);
  auto missed = marks_of(kChat, 3);
  missed.set_after_revision(1);
  add_advance(missed, kBob, wire::Marks::KIND_DELIVERED, 2, 200);
  must(store_->apply_marks(missed));
  EXPECT_EQ(must(store_->cursor(kChat))->marks_revision, 3u);
  EXPECT_EQ(must(reader_->marks(chat))[0].read_up_to, 1u);
  EXPECT_EQ(must(reader_->marks(chat))[0].delivered_up_to, 2u);
}

TEST_F(Marks, OfUnknownKindsAndUsersAreIgnored) {
  open_chat();
  auto marks = marks_of(kChat, 3);
  add_advance(marks, "", wire::Marks::KIND_READ, 5, 1);
  add_advance(marks, kBob, wire::Marks::KIND_UNSPECIFIED, 5, 1);
  add_advance(marks, kBob, static_cast<wire::Marks::Kind>(9), 5, 1);
  add_advance(marks, kBob, wire::Marks::KIND_READ, ~0ull, 1);

  EXPECT_THAT(must(store_->apply_marks(marks)).marks, IsEmpty());
  EXPECT_EQ(must(store_->cursor(kChat))->marks_revision, 3u);
  EXPECT_EQ(store_->apply_marks(marks_of({}, 1)).code(), Code::kMalformed);
  EXPECT_EQ(store_->apply_marks(marks_of(kAccount, 1)).code(), Code::kMalformed);
}

TEST_F(Marks, BeforeAnyItemAreKept) {
  open_as_ann();
  advance(kBob, wire::Marks::KIND_DELIVERED, 2, 100);
  must(store_->apply(ItemsOf(kChat, 0).roster({kAnn, kBob}).message(kAnn, 1, "m", kLaptop)));

  EXPECT_EQ(state_of(1), MessageState::kDelivered);
}

// ---- Own reading ---------------------------------------------------------------------------------------------------

class Reading : public DeviceStoreTest {};

TEST_F(Reading, MovesForwardOnlyAndIsToldToTheServer) {
  const auto chat = open_chat();
  must(store_->apply(ItemsOf(kChat, 1).message(kBob, 1, "a").message(kBob, 2, "b").message(kBob, 3, "c")));

  EXPECT_THAT(must(store_->mark_read(chat, 3)).conversations, ElementsAre(chat));
  EXPECT_EQ(unread(chat), 1u);
  const auto before = store_->revision();
  EXPECT_THAT(must(store_->mark_read(chat, 2)).conversations, IsEmpty());
  EXPECT_EQ(store_->revision(), before);
  EXPECT_EQ(must(reader_->conversation(chat)).read_up_to, 3u);
  reopen();
  auto pending = must(store_->pending_reads());
  ASSERT_THAT(pending, SizeIs(1));
  EXPECT_EQ(pending[0].conversation_id, kChat);
  EXPECT_EQ(pending[0].up_to, 3u);

  auto marks = marks_of(kChat, 1);
  add_advance(marks, kAnn, wire::Marks::KIND_READ, 3, 100);
  must(store_->apply_marks(marks));
  EXPECT_THAT(must(store_->pending_reads()), IsEmpty());
}

TEST_F(Reading, StopsAtWhatHasBeenApplied) {
  const auto chat = open_chat();
  must(store_->apply(ItemsOf(kChat, 1).message(kBob, 1, "a")));
  must(queue(chat, 2, "mine", true));
  must(accept(2, 5));

  must(store_->mark_read(chat, 100));

  EXPECT_EQ(must(reader_->conversation(chat)).read_up_to, 2u);
  must(store_->apply(ItemsOf(kChat, 2).message(kBob, 3, "unseen").message(kBob, 4, "unseen")));
  EXPECT_EQ(unread(chat), 2u);
}

TEST_F(Reading, NeedsAConversation) {
  open_as_ann();
  EXPECT_EQ(store_->mark_read(ConversationKey{99}, 1).code(), Code::kNotFound);
  EXPECT_TRUE(must(store_->mark_read(must(store_->ensure_direct(kBob)), 1)).conversations.empty());
}

}  // namespace
}  // namespace chatsdk
