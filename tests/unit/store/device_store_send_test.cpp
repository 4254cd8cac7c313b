// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>

#include "device_store_fixture.h"
#include "store/device_store_impl.h"

namespace chatsdk {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class Outbox : public DeviceStoreTest {
 protected:
  std::vector<std::uint64_t> numbers(ConversationKey chat, std::uint64_t after = 0, std::size_t max = 100) {
    std::vector<std::uint64_t> found;
    for (const OutboxRow& row : must(store_->outbox(chat, after, max))) found.push_back(row.send_number);
    return found;
  }
};

TEST_F(Outbox, QueuesMessageAndRowTogether) {
  open_as_ann();
  const auto chat = must(store_->ensure_direct(kBob));

  const auto queued = must(queue(chat, 1, "hello"));

  EXPECT_EQ(queued.send_number, 1u);
  EXPECT_FALSE(queued.repeated);
  EXPECT_THAT(queued.changes.added, ElementsAre(MessageRef{chat, queued.message}));
  EXPECT_THAT(queued.changes.conversations, ElementsAre(chat));
  const auto row = must(reader_->message(queued.message));
  EXPECT_EQ(row.state, MessageState::kQueued);
  EXPECT_EQ(row.sender, kAnn);
  EXPECT_EQ(row.sender_device, kPhone);
  EXPECT_EQ(row.seq, 0u);
  EXPECT_EQ(row.time, at(2'000'000));
  EXPECT_EQ(row.content, text("hello"));
  const auto rows = must(store_->outbox(chat, 0, 10));
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_EQ(rows[0].kind, OutboxRow::Kind::kSend);
  EXPECT_EQ(rows[0].peer, kBob);
  EXPECT_FALSE(rows[0].conversation_id);
  EXPECT_EQ(rows[0].client_message_id, client_id(1));
  EXPECT_EQ(rows[0].content, text("hello"));
  EXPECT_EQ(rows[0].deadline, at(9'000'000));
  EXPECT_FALSE(rows[0].on_wire);
}

TEST_F(Outbox, SurvivesReopening) {
  open_as_ann();
  const auto chat = must(store_->ensure_direct(kBob));
  must(queue(chat, 1, "one"));
  must(queue(chat, 2, "two", true));

  reopen();

  EXPECT_EQ(must(store_->ensure_direct(kBob)), chat);
  EXPECT_THAT(numbers(chat), ElementsAre(1, 2));
  EXPECT_EQ(state_of(1), MessageState::kQueued);
  EXPECT_EQ(state_of(2), MessageState::kSending);
  EXPECT_EQ(must(queue(chat, 3, "three")).send_number, 3u);
}

TEST_F(Outbox, GivesTheFirstAnswerToARepeat) {
  const auto chat = open_chat();
  const auto first = must(queue(chat, 1, "hello"));

  const auto again = must(queue(chat, 1, "hello"));
  EXPECT_TRUE(again.repeated);
  EXPECT_EQ(again.message, first.message);
  EXPECT_EQ(again.send_number, 1u);
  EXPECT_THAT(again.changes.added, IsEmpty());
  EXPECT_EQ(again.changes.revision, first.changes.revision);

  must(accept(1, 2));
  EXPECT_EQ(must(queue(chat, 1, "hello")).message, first.message);
}

TEST_F(Outbox, RefusesAnIdThatNamesAnotherMessage) {
  const auto chat = open_chat();
  const auto other = must(store_->ensure_direct("cid"));
  must(queue(chat, 1, "hello"));

  EXPECT_EQ(queue(chat, 1, "other words").code(), Code::kConflict);
  EXPECT_EQ(queue(other, 1, "hello").code(), Code::kConflict);
  must(store_->discard(client_id(1)));
  EXPECT_EQ(queue(chat, 1, "hello").code(), Code::kConflict);
}

TEST_F(Outbox, RefusesWhatCannotBeQueued) {
  reopen();
  const auto early = must(store_->ensure_direct(kBob));
  EXPECT_EQ(queue(early, 1, "no owner yet").code(), Code::kWrongState);
  must(store_->save_session(session()));

  EXPECT_EQ(queue(ConversationKey{99}, 1, "nowhere").code(), Code::kNotFound);
  EXPECT_EQ(store_->enqueue(early, client_id(1), "", at(1), at(2), false).code(), Code::kInvalidArgument);
  must(store_->apply(ItemsOf(ConversationId{901}, 0).message("zoe", 5, "who is this")));
  EXPECT_EQ(queue(must(reader_->conversation_by_id(ConversationId{901})), 1, "no roster yet").code(),
            Code::kWrongState);
  EXPECT_EQ(must(reader_->outbox_count()), 0u);
}

TEST_F(Outbox, IsLimitedAtExactlyItsLimit) {
  outbox_max_ = 3;
  const auto chat = open_chat();
  for (std::uint64_t id = 1; id <= 3; ++id) must(queue(chat, id, "fits"));

  EXPECT_EQ(queue(chat, 4, "one too many").code(), Code::kLimitReached);
  reopen();
  EXPECT_EQ(queue(chat, 4, "one too many").code(), Code::kLimitReached);

  must(accept(1, 2));
  EXPECT_EQ(must(queue(chat, 4, "fits again")).send_number, 4u);
}

TEST_F(Outbox, RefusesUserIdsBeyondTheirLimit) {
  reopen();
  EXPECT_TRUE(store_->ensure_direct(UserId(64, 'u')).ok());
  EXPECT_EQ(store_->ensure_direct(UserId(65, 'u')).code(), Code::kInvalidArgument);
  EXPECT_EQ(store_->ensure_direct("").code(), Code::kInvalidArgument);
}

TEST_F(Outbox, ListsConversationsByTheirOldestRow) {
  open_as_ann();
  const auto bob = must(store_->ensure_direct(kBob));
  const auto cid = must(store_->ensure_direct("cid"));
  const auto dan = must(store_->ensure_direct("dan"));
  must(queue(dan, 1, "a"));
  must(queue(bob, 2, "b"));
  must(queue(dan, 3, "c"));

  EXPECT_THAT(must(store_->sending_conversations()), ElementsAre(dan, bob));
  must(accept(1, 2, ConversationId{901}));
  EXPECT_THAT(must(store_->sending_conversations()), ElementsAre(bob, dan));
  static_cast<void>(cid);
}

TEST_F(Outbox, PagesInOrderAndStopsBeforeAFailedRow) {
  const auto chat = open_chat();
  for (std::uint64_t id = 1; id <= 5; ++id) must(queue(chat, id, "m"));

  EXPECT_THAT(numbers(chat, 0, 2), ElementsAre(1, 2));
  EXPECT_THAT(numbers(chat, 2, 2), ElementsAre(3, 4));
  must(store_->fail(client_id(3), error(Code::kForbidden, "blocked")));
  EXPECT_THAT(numbers(chat), ElementsAre(1, 2));
  must(store_->retry(client_id(3), client_id(9000), at(9'500'000)));
  EXPECT_THAT(numbers(chat), ElementsAre(1, 2, 3, 4, 5));
}

TEST_F(Outbox, MarksOnWireOnce) {
  const auto chat = open_chat();
  const auto queued = must(queue(chat, 1, "m"));

  EXPECT_THAT(must(store_->mark_on_wire({client_id(1), client_id(99)})).updated,
              ElementsAre(MessageRef{chat, queued.message}));
  EXPECT_EQ(state_of(1), MessageState::kSending);
  const auto before = store_->revision();
  EXPECT_THAT(must(store_->mark_on_wire({client_id(1)})).updated, IsEmpty());
  EXPECT_EQ(store_->revision(), before);
}

TEST_F(Outbox, RemembersThatTheServerWasAskedToVoidUntilItIsRetried) {
  const auto chat = open_chat();
  must(queue(chat, 1, "m"));
  must(store_->mark_on_wire({client_id(1)}));
  EXPECT_FALSE(must(store_->outbox(chat, 0, 1))[0].void_asked);

  ASSERT_TRUE(store_->mark_void_asked(client_id(1)).ok());
  ASSERT_TRUE(store_->mark_void_asked(client_id(99)).ok());
  reopen();
  EXPECT_TRUE(must(store_->outbox(chat, 0, 1))[0].void_asked);
  EXPECT_EQ(state_of(1), MessageState::kSending);

  must(store_->fail(client_id(1), error(Code::kForbidden, "no")));
  must(store_->retry(client_id(1), client_id(2), at(9'999'000)));
  const OutboxRow row = must(store_->outbox(chat, 0, 1))[0];
  EXPECT_FALSE(row.void_asked);
  EXPECT_TRUE(row.on_wire);
}

TEST_F(Outbox, SettlesAnAcceptedMessageAtItsPlace) {
  open_as_ann();
  const auto chat = must(store_->ensure_direct(kBob));
  must(queue(chat, 1, "first", true));
  must(queue(chat, 2, "second"));

  const auto changes = must(accept(1, 2));

  EXPECT_THAT(history(chat), ElementsAre("2:first", "-:second"));
  const auto row = must(reader_->message_by_client_id(client_id(1)));
  EXPECT_THAT(changes.updated, ElementsAre(MessageRef{chat, row.key}));
  EXPECT_EQ(row.state, MessageState::kSent);
  EXPECT_EQ(row.message_id, MessageId{1'002});
  EXPECT_EQ(row.time, at(1'002'000));
  EXPECT_EQ(must(reader_->conversation_by_id(kChat)), chat);
  EXPECT_EQ(must(reader_->conversation(chat)).head, 2u);
  EXPECT_EQ(must(store_->outbox(chat, 0, 10))[0].conversation_id, kChat);
  EXPECT_EQ(must(reader_->outbox_count()), 1u);
}

// Its first item says whether it is encrypted: what is queued before that goes as nothing yet.
TEST_F(Outbox, IsUndecidedUntilTheFirstItemOfWhatAnotherBegan) {
  open_as_ann();
  const auto chat = must(store_->ensure_direct(kBob));
  must(queue(chat, 1, "early"));
  const auto expect_undecided = [&](bool undecided) {
    EXPECT_EQ(must(store_->nature(chat)).undecided, undecided);
    EXPECT_EQ(must(store_->outbox(chat, 0, 10))[0].undecided, undecided);
  };
  expect_undecided(false);
  must(store_->apply(ItemsOf::account(0).conversation_added(kChat, kBob)));
  expect_undecided(true);
  ItemsOf first(kChat, 0);
  first.roster({kAnn, kBob}).get().mutable_items(0)->mutable_roster()->set_encrypted(true);
  must(store_->apply(first));
  expect_undecided(false);
  EXPECT_TRUE(must(store_->outbox(chat, 0, 10))[0].encrypted);
}

// An older server does not say it.
TEST_F(Outbox, IsDecidedByWordOfAnEncryptedConversation) {
  open_as_ann();
  const auto chat = must(store_->ensure_direct(kBob));
  must(queue(chat, 1, "early"));
  const auto applied = must(store_->apply(ItemsOf::account(0).conversation_added(kChat, kBob, true)));
  EXPECT_THAT(applied.changes.conversations, Contains(chat));
  EXPECT_FALSE(must(store_->nature(chat)).undecided);
  EXPECT_TRUE(must(store_->nature(chat)).encrypted);
  EXPECT_TRUE(must(store_->outbox(chat, 0, 10))[0].encrypted);
  // What follows says nothing else of it.
  must(store_->apply(ItemsOf(kChat, 0).roster({kAnn, kBob})));
  must(store_->apply(ItemsOf::account(1).conversation_added(kChat, kBob)));
  EXPECT_TRUE(must(store_->nature(chat)).encrypted);
}

TEST_F(Outbox, WordOfAConversationDoesNotGoAgainstItsFirstItem) {
  open_as_ann();
  must(store_->apply(ItemsOf(kChat, 0).roster({kAnn, kBob})));
  const auto chat = must(store_->ensure_direct(kBob));
  must(store_->apply(ItemsOf::account(0).conversation_added(kChat, kBob, true)));
  EXPECT_FALSE(must(store_->nature(chat)).encrypted);
  // Of one that is new here it says all.
  must(store_->apply(ItemsOf::account(1).conversation_added(ConversationId{901}, "cid", true)));
  EXPECT_TRUE(must(store_->nature(must(store_->ensure_direct("cid")))).encrypted);
}

TEST_F(Outbox, IsUndecidedUntilARosterSaysWhatItIs) {
  open_as_ann();
  must(store_->apply(ItemsOf::account(0).conversation_added(kChat, kBob)));
  const auto chat = must(store_->ensure_direct(kBob, nullptr, true));
  must(store_->apply(ItemsOf(kChat, 0).message(kBob, 1, "ahead of it")));
  EXPECT_TRUE(must(store_->nature(chat)).undecided);
  must(store_->begin_epoch(2, kAccount));
  EXPECT_TRUE(must(store_->nature(chat)).undecided);
  must(store_->apply(ItemsOf(kChat, 0).roster({kAnn, kBob})));
  EXPECT_FALSE(must(store_->nature(chat)).undecided);
}

TEST_F(Outbox, KeepsWhatWaitsOfAConversationThatBecomesEncrypted) {
  open_as_ann();
  must(store_->apply(ItemsOf::account(0).conversation_added(kChat, kBob)));
  const auto chat = must(store_->ensure_direct(kBob, nullptr, true));
  must(queue(chat, 1, "waits"));
  must(store_->apply(ItemsOf(kChat, 0).message(kBob, 1, "ahead of it")));
  EXPECT_THAT(history(chat), ElementsAre("1:ahead of it", "-:waits"));
  ItemsOf encrypted(kChat, 1);
  encrypted.roster({kAnn, kBob}).get().mutable_items(0)->mutable_roster()->set_encrypted(true);
  const auto applied = must(store_->apply(encrypted));
  EXPECT_EQ(applied.changes.updated.size(), 1u);
  EXPECT_THAT(history(chat), ElementsAre("1:(placeholder)", "-:waits"));
}

TEST_F(Outbox, ConversationsThatAreEncryptedTakeNoContentOfTheServers) {
  open_as_ann();
  const auto chat = must(store_->ensure_direct(kBob, nullptr, true));
  ItemsOf items(kChat, 0);
  items.roster({kAnn, kBob}).message(kBob, 2, "invented").message(kAnn, 3, "invented as well");
  items.get().mutable_items(0)->mutable_roster()->set_encrypted(true);
  must(store_->apply(items));
  must(store_->apply(ItemsOf(kChat, 3).message(kBob, 4, "and later")));
  EXPECT_THAT(history(chat), ElementsAre("2:(placeholder)", "3:(placeholder)", "4:(placeholder)"));
}

// Plain by the app's wish, now or later; by nobody else's.
TEST_F(Outbox, IsAcceptedAsPlainByTheAppAlone) {
  open_as_ann();
  must(store_->apply(ItemsOf(kChat, 0).roster({kAnn, kBob}).message(kBob, 2, "from a stranger")));
  const auto chat = must(store_->ensure_direct(kBob, nullptr, true));
  EXPECT_FALSE(must(store_->nature(chat)).accepted);
  const auto before = store_->revision();
  Changes changes;
  EXPECT_EQ(must(store_->ensure_direct(kBob, &changes)), chat);
  EXPECT_EQ(store_->revision(), before + 1);
  EXPECT_THAT(changes.conversations, ElementsAre(chat));
  EXPECT_TRUE(must(store_->nature(chat)).accepted);
  reopen();
  EXPECT_TRUE(must(store_->nature(chat)).accepted);
  const auto opened = store_->revision();
  must(store_->ensure_direct(kBob));
  EXPECT_EQ(store_->revision(), opened) << "once is enough";
  EXPECT_TRUE(must(store_->nature(must(store_->ensure_direct("carl")))).accepted);
  const auto encrypted = must(store_->ensure_direct("dora", nullptr, true));
  must(store_->ensure_direct("dora"));
  EXPECT_TRUE(must(store_->nature(encrypted)).encrypted);
  EXPECT_FALSE(must(store_->nature(encrypted)).accepted);
}

TEST_F(Outbox, IsDecidedByAnyFirstItem) {
  open_as_ann();
  const auto chat = must(store_->ensure_direct(kBob));
  must(queue(chat, 1, "early"));
  must(store_->apply(ItemsOf::account(0).conversation_added(kChat, kBob)));
  must(store_->apply(ItemsOf(kChat, 0).roster({kAnn, kBob})));
  EXPECT_FALSE(must(store_->nature(chat)).undecided);
  EXPECT_FALSE(must(store_->outbox(chat, 0, 10))[0].encrypted);
}

TEST_F(Outbox, IgnoresAnswersToUnknownIds) {
  const auto chat = open_chat();
  const auto before = store_->revision();

  EXPECT_THAT(must(accept(42, 2)).updated, IsEmpty());

  EXPECT_EQ(store_->revision(), before);
  EXPECT_THAT(history(chat), IsEmpty());
}

TEST_F(Outbox, RefusesAnAcceptanceWithoutPlaceAndChangesNothing) {
  const auto chat = open_chat();
  must(queue(chat, 1, "a"));
  must(queue(chat, 2, "b"));

  const auto refused =
      store_->accept({{client_id(1), kChat, MessageId{1}, 2, at(1)}, {client_id(2), kChat, MessageId{2}, 0, at(1)}});

  EXPECT_EQ(refused.code(), Code::kMalformed);
  EXPECT_THAT(history(chat), ElementsAre("-:a", "-:b"));
  EXPECT_EQ(must(reader_->outbox_count()), 2u);
}

TEST_F(Outbox, FailsWithItsReasonAndRetriesUnderTheSameNumber) {
  const auto chat = open_chat();
  must(queue(chat, 1, "m"));

  must(store_->fail(client_id(1), error(Code::kForbidden, "blocked by the peer")));
  auto row = must(reader_->message_by_client_id(client_id(1)));
  EXPECT_EQ(row.state, MessageState::kFailed);
  EXPECT_EQ(row.failure, Code::kForbidden);
  EXPECT_EQ(row.failure_detail, "blocked by the peer");

  must(store_->retry(client_id(1), client_id(9000), at(9'999'000)));
  row = must(reader_->message_by_client_id(client_id(1)));
  EXPECT_EQ(row.state, MessageState::kQueued);
  EXPECT_EQ(row.failure, Code::kOk);
  const auto rows = must(store_->outbox(chat, 0, 10));
  EXPECT_EQ(rows[0].send_number, 1u);
  EXPECT_EQ(rows[0].deadline, at(9'999'000));
}

TEST_F(Outbox, TellsWhatCannotFailOrBeRetried) {
  const auto chat = open_chat();
  must(queue(chat, 1, "sent"));
  must(accept(1, 2));
  must(queue(chat, 2, "waits"));
  must(queue(chat, 3, "discarded"));
  must(store_->discard(client_id(3)));

  EXPECT_EQ(store_->fail(client_id(1), error(Code::kServer, "")).code(), Code::kNotFound);
  EXPECT_EQ(store_->fail(client_id(3), error(Code::kServer, "")).code(), Code::kWrongState);
  EXPECT_EQ(store_->fail(client_id(2), Error{Code::kOk, "", {}}).code(), Code::kInvalidArgument);
  EXPECT_EQ(store_->retry(client_id(1), client_id(9000), at(1)).code(), Code::kWrongState);
  EXPECT_EQ(store_->retry(client_id(2), client_id(9000), at(1)).code(), Code::kWrongState);
  EXPECT_EQ(store_->retry(client_id(3), client_id(9000), at(1)).code(), Code::kNotFound);
  EXPECT_EQ(store_->retry(client_id(99), client_id(9000), at(1)).code(), Code::kNotFound);
}

TEST_F(Outbox, DiscardingLeavesAVoidThatClosesTheNumber) {
  const auto chat = open_chat();
  const auto queued = must(queue(chat, 1, "regret"));
  must(queue(chat, 2, "keep"));

  const auto changes = must(store_->discard(client_id(1)));

  EXPECT_THAT(changes.removed, ElementsAre(MessageRef{chat, queued.message}));
  EXPECT_THAT(changes.updated, IsEmpty());
  EXPECT_THAT(history(chat), ElementsAre("-:keep"));
  EXPECT_EQ(reader_->message(queued.message).code(), Code::kNotFound);
  const auto rows = must(store_->outbox(chat, 0, 10));
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[0].kind, OutboxRow::Kind::kVoid);
  EXPECT_EQ(rows[0].send_number, 1u);
  EXPECT_TRUE(rows[0].content.empty());
  EXPECT_EQ(must(reader_->outbox_count()), 1u);
  must(store_->voided(client_id(1), kTooLate));
  EXPECT_THAT(numbers(chat), ElementsAre(2));
  EXPECT_EQ(must(queue(chat, 3, "next")).send_number, 3u);
}

TEST_F(Outbox, DiscardsFailedOnesButNothingOnItsWay) {
  const auto chat = open_chat();
  must(queue(chat, 1, "under way", true));
  must(queue(chat, 2, "sent"));
  must(accept(2, 2));

  EXPECT_EQ(store_->discard(client_id(1)).code(), Code::kWrongState);
  EXPECT_EQ(store_->discard(client_id(2)).code(), Code::kWrongState);
  EXPECT_EQ(store_->discard(client_id(99)).code(), Code::kNotFound);
  must(store_->fail(client_id(1), error(Code::kForbidden, "no")));
  EXPECT_TRUE(store_->discard(client_id(1)).ok());
  EXPECT_EQ(store_->discard(client_id(1)).code(), Code::kNotFound);
}

TEST_F(Outbox, NeverGivesAKeyTwice) {
  const auto chat = open_chat();
  const auto gone = must(queue(chat, 1, "regret")).message;
  must(store_->discard(client_id(1)));
  must(store_->voided(client_id(1), kTooLate));

  reopen();

  EXPECT_GT(must(queue(chat, 2, "next")).message.value, gone.value);
}

TEST_F(Outbox, AVoidedSendFailsWithTimedOut) {
  const auto chat = open_chat();
  must(queue(chat, 1, "late", true));

  must(store_->voided(client_id(1), kTooLate));

  const auto row = must(reader_->message_by_client_id(client_id(1)));
  EXPECT_EQ(row.state, MessageState::kFailed);
  EXPECT_EQ(row.failure, Code::kTimedOut);
  EXPECT_TRUE(must(store_->voided(client_id(99), kTooLate)).updated.empty());
  static_cast<void>(chat);
}

TEST_F(Outbox, AVoidedMessageIsRetriedUnderAnotherIdInItsPlace) {
  const auto chat = open_chat();
  const auto key = must(queue(chat, 1, "late", true)).message;
  must(queue(chat, 2, "behind"));
  must(queue(chat, 3, "last"));
  must(store_->voided(client_id(1), kTooLate));
  EXPECT_EQ(store_->retry(client_id(1), client_id(2), at(9'999'000)).code(), Code::kConflict);

  const auto changes = must(store_->retry(client_id(1), client_id(50), at(9'999'000)));

  EXPECT_THAT(changes.updated, ElementsAre(MessageRef{chat, key}));
  const auto row = must(reader_->message(key));
  EXPECT_EQ(row.client_message_id, client_id(50));
  EXPECT_EQ(row.state, MessageState::kQueued);
  EXPECT_EQ(reader_->message_by_client_id(client_id(1)).code(), Code::kNotFound);
  EXPECT_THAT(history(chat), ElementsAre("-:late", "-:behind", "-:last"));
  EXPECT_THAT(numbers(chat), ElementsAre(2, 3, 4));
  EXPECT_EQ(must(store_->outbox(chat, 0, 1))[0].client_message_id, client_id(50));
  EXPECT_EQ(must(queue(chat, 60, "next")).send_number, 5u);
  must(accept(50, 2));
  EXPECT_THAT(history(chat), ElementsAre("2:late", "-:behind", "-:last", "-:next"));
}

TEST_F(Outbox, AMessageRefusedAsVoidedIsRetriedUnderAnotherIdToo) {
  const auto chat = open_chat();
  must(queue(chat, 1, "late", true));
  must(store_->fail(client_id(1), error(Code::kVoided, "the message was voided")));

  must(store_->retry(client_id(1), client_id(50), at(9'999'000)));

  EXPECT_THAT(numbers(chat), ElementsAre(2));
  EXPECT_EQ(state_of(50), MessageState::kQueued);
}

TEST_F(Outbox, AMessageThatFailedBeforeItLeftKeepsItsIdAndNumber) {
  const auto chat = open_chat();
  must(queue(chat, 1, "late"));
  must(store_->fail(client_id(1), error(Code::kTimedOut, "the sender's time limit passed")));

  must(store_->retry(client_id(1), client_id(50), at(9'999'000)));

  EXPECT_THAT(numbers(chat), ElementsAre(1));
  EXPECT_EQ(state_of(1), MessageState::kQueued);
}

TEST_F(Outbox, ARefusedVoidLeavesItsNumberToTheRowsBehind) {
  const auto chat = open_chat();
  for (std::uint64_t id = 1; id <= 4; ++id) must(queue(chat, id, "m"));
  must(store_->discard(client_id(2)));
  EXPECT_EQ(store_->void_refused(client_id(1)).code(), Code::kWrongState);

  must(store_->void_refused(client_id(2)));
  must(store_->void_refused(client_id(2)));

  EXPECT_THAT(numbers(chat), ElementsAre(1, 2, 3));
  reopen();
  EXPECT_EQ(must(queue(chat, 5, "next")).send_number, 4u);
}

TEST_F(Outbox, NumbersWhatWaitsFromTheServersNextNumber) {
  const auto chat = open_chat();
  const auto other = must(store_->ensure_direct("cid"));
  for (std::uint64_t id = 1; id <= 5; ++id) must(queue(chat, id, std::to_string(id)));
  must(queue(other, 9, "other"));
  must(accept(2, 2));
  must(store_->fail(client_id(4), error(Code::kForbidden, "no")));

  for (const std::uint64_t first : {3u, 2u, 70u, 1u}) {
    must(store_->number_from(chat, first));
    EXPECT_THAT(numbers(chat), ElementsAre(first, first + 1));
    must(store_->retry(client_id(4), client_id(50), at(9'999'000)));
    EXPECT_THAT(numbers(chat), ElementsAre(first, first + 1, first + 2, first + 3));
    must(store_->fail(client_id(4), error(Code::kForbidden, "no")));
  }
  EXPECT_THAT(numbers(other), ElementsAre(1));
  EXPECT_EQ(must(queue(chat, 10, "next")).send_number, 5u);
  EXPECT_EQ(store_->number_from(chat, 0).code(), Code::kMalformed);
  EXPECT_EQ(store_->number_from(chat, limits::kSendNumberMax + 1).code(), Code::kMalformed);
}

TEST_F(Outbox, AnEmptyConversationTakesTheServersNextNumberToo) {
  const auto chat = open_chat();

  must(store_->number_from(chat, 7));

  EXPECT_EQ(must(queue(chat, 1, "m")).send_number, 7u);
}

TEST_F(Outbox, AVoidAnsweredWithAcceptanceGoesAndTheItemBringsTheMessageBack) {
  const auto chat = open_chat();
  must(queue(chat, 1, "regret", true));
  must(store_->fail(client_id(1), error(Code::kForbidden, "no")));
  must(store_->discard(client_id(1)));

  must(accept(1, 2));
  EXPECT_THAT(numbers(chat), IsEmpty());
  must(store_->apply(ItemsOf(kChat, 1).message(kAnn, 1, "regret", kPhone)));

  EXPECT_THAT(history(chat), ElementsAre("2:regret"));
}

TEST_F(Outbox, AnItemSettlesADiscardedMessagesVoid) {
  const auto chat = open_chat();
  must(queue(chat, 1, "regret", true));
  must(store_->fail(client_id(1), error(Code::kForbidden, "no")));
  must(store_->discard(client_id(1)));

  must(store_->apply(ItemsOf(kChat, 1).message(kAnn, 1, "regret", kPhone)));

  EXPECT_THAT(numbers(chat), IsEmpty());
  EXPECT_THAT(history(chat), ElementsAre("2:regret"));
}

// In an encrypted conversation its item brings nothing: what it held is kept until the server has answered for it.
class DiscardedEncrypted : public Outbox {
 protected:
  void SetUp() override {
    Outbox::SetUp();
    open_as_ann();
    chat = must(store_->ensure_direct(kBob, nullptr, true));
    must(store_->apply(ItemsOf(kChat, 0).roster({kAnn, kBob})));
    must(queue(chat, 1, "regret", true));
    must(queue(chat, 2, "keep"));
    must(store_->fail(client_id(1), error(Code::kConflict, "other bytes")));
    must(store_->discard(client_id(1)));
  }
  std::string kept() {
    sqlite::Statement rows = must(store_->inside().db.prepare(
        "SELECT coalesce(group_concat(discarded), '') FROM outbox WHERE discarded IS NOT NULL"));
    EXPECT_TRUE(must(rows.step()));
    return std::string(rows.text(0));
  }

  ConversationKey chat;
};

TEST_F(DiscardedEncrypted, StandsThereAgainWhereTheServerHasIt) {
  EXPECT_THAT(history(chat), ElementsAre("-:keep"));
  reopen();
  const auto changes = must(accept(1, 2));
  EXPECT_THAT(changes.added, SizeIs(1));
  EXPECT_THAT(history(chat), ElementsAre("2:regret", "-:keep"));
  EXPECT_THAT(numbers(chat), ElementsAre(2));
  EXPECT_EQ(kept(), "");
  // Its item comes once more, without what it holds.
  must(store_->apply(ItemsOf(kChat, 1).carry(kAnn, 1, "", kPhone)));
  EXPECT_THAT(history(chat), ElementsAre("2:regret", "-:keep"));
}

TEST_F(DiscardedEncrypted, StandsThereAgainWhereItsItemComes) {
  must(store_->apply(ItemsOf(kChat, 1).carry(kAnn, 1, "", kPhone)));
  EXPECT_THAT(history(chat), ElementsAre("2:regret", "-:keep"));
  EXPECT_THAT(numbers(chat), ElementsAre(2));
  must(accept(1, 2));
  EXPECT_THAT(history(chat), ElementsAre("2:regret", "-:keep"));
}

TEST_F(DiscardedEncrypted, IsGoneWhereTheServerHasNothingOfIt) {
  EXPECT_NE(kept(), "");
  must(store_->voided(client_id(1), kTooLate));
  EXPECT_EQ(kept(), "");
  EXPECT_THAT(history(chat), ElementsAre("-:keep"));
  must(store_->discard(client_id(2)));
  EXPECT_NE(kept(), "");
  ASSERT_TRUE(store_->void_refused(client_id(2)).ok());
  EXPECT_EQ(kept(), "");
  EXPECT_THAT(history(chat), IsEmpty());
}

TEST_F(Outbox, DeadlinesCountForEachMessageThatWasNeverOnItsWay) {
  open_as_ann();
  const auto bob = must(store_->ensure_direct(kBob));
  const auto cid = must(store_->ensure_direct("cid"));
  EXPECT_EQ(must(store_->earliest_deadline()), std::nullopt);
  const auto add = [&](ConversationKey chat, std::uint64_t id, std::int64_t deadline) {
    must(store_->enqueue(chat, client_id(id), text("m"), at(1), at(deadline), false));
  };
  add(bob, 1, 500);
  add(bob, 2, 100);
  add(cid, 3, 300);
  const Error late = error(Code::kTimedOut, "late");

  EXPECT_EQ(must(store_->earliest_deadline()), at(100));
  EXPECT_THAT(must(store_->fail_overdue(at(99), late, 10)).updated, IsEmpty());
  EXPECT_EQ(must(store_->fail_overdue(at(100), late, 10)).updated.size(), 1u);
  EXPECT_EQ(must(store_->earliest_deadline()), at(300));

  EXPECT_EQ(must(store_->fail_overdue(at(500), late, 1)).updated.size(), 1u);
  EXPECT_EQ(must(store_->earliest_deadline()), at(500));
  EXPECT_EQ(must(store_->fail_overdue(at(500), late, 1)).updated.size(), 1u);
  EXPECT_EQ(must(store_->earliest_deadline()), std::nullopt);
  EXPECT_TRUE(must(store_->overdue(at(500))).empty());
}

TEST_F(Outbox, DeadlinesCountBehindAMessageThatWasDiscarded) {
  const auto chat = open_chat();
  must(store_->enqueue(chat, client_id(1), text("m"), at(1), at(100), false));
  must(store_->discard(client_id(1)));
  must(store_->enqueue(chat, client_id(2), text("m"), at(1), at(200), false));

  EXPECT_EQ(must(store_->earliest_deadline()), at(200));
  EXPECT_EQ(must(store_->fail_overdue(at(200), error(Code::kTimedOut, ""), 10)).updated.size(), 1u);
}

TEST_F(Outbox, OnTheirWayOnlyTheFirstOfEachConversationIsOverdue) {
  open_as_ann();
  const auto bob = must(store_->ensure_direct(kBob));
  const auto cid = must(store_->ensure_direct("cid"));
  const auto add = [&](ConversationKey chat, std::uint64_t id, std::int64_t deadline) {
    must(store_->enqueue(chat, client_id(id), text("m"), at(1), at(deadline), true));
  };
  add(bob, 1, 500);
  add(bob, 2, 100);
  add(cid, 3, 300);

  EXPECT_EQ(must(store_->earliest_deadline()), at(300));
  EXPECT_THAT(must(store_->fail_overdue(at(500), error(Code::kTimedOut, ""), 10)).updated, IsEmpty());
  EXPECT_TRUE(must(store_->overdue(at(299))).empty());
  auto late = must(store_->overdue(at(500)));
  ASSERT_EQ(late.size(), 2u);
  EXPECT_EQ(late[0].client_message_id, client_id(1));
  EXPECT_EQ(late[1].client_message_id, client_id(3));

  must(store_->fail(client_id(3), error(Code::kTimedOut, "")));
  EXPECT_EQ(must(store_->overdue(at(500))).size(), 1u);
  must(accept(1, 2));
  EXPECT_EQ(must(store_->earliest_deadline()), at(100));
}

TEST_F(Outbox, WhatIsQueuedWithoutASessionIsOfThisDevice) {
  const auto chat = open_chat();
  must(store_->clear_tokens());
  must(queue(chat, 1, "a"));
  EXPECT_EQ(must(reader_->message_by_client_id(client_id(1))).sender_device, kPhone);
  reopen();
  must(queue(chat, 2, "b"));
  EXPECT_EQ(must(reader_->message_by_client_id(client_id(2))).sender_device, kPhone);
}

TEST_F(Outbox, AnotherDeviceStartsItsNumbersAgain) {
  const auto chat = open_chat();
  const auto other = must(store_->ensure_direct("cid"));
  must(queue(chat, 1, "a"));
  must(accept(1, 2));
  must(queue(chat, 2, "b"));
  must(queue(other, 3, "c"));
  must(queue(chat, 4, "d"));
  auto renewed = session();
  renewed.device_id = kLaptop;

  must(store_->clear_tokens());
  must(store_->save_session(renewed));

  EXPECT_THAT(numbers(chat), ElementsAre(1, 2));
  EXPECT_THAT(numbers(other), ElementsAre(1));
  EXPECT_EQ(must(reader_->message_by_client_id(client_id(2))).sender_device, kLaptop);
  EXPECT_EQ(must(reader_->message_by_client_id(client_id(1))).sender_device, kPhone);
  EXPECT_EQ(must(queue(chat, 5, "e")).send_number, 3u);
  must(store_->save_session(renewed));
  EXPECT_THAT(numbers(chat), ElementsAre(1, 2, 3));
}

}  // namespace
}  // namespace chatsdk
