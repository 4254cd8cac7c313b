// SPDX-License-Identifier: Apache-2.0
//
// The engine's side of encrypted direct conversations, with a server that the test plays by hand: what it says of
// conversations, in the orders that an honest one has and in others.
#include <gmock/gmock.h>

#include "protocol/content.h"
#include "unit/engine/encrypted_engine.h"

namespace chatsdk::test {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr char kForged[] = "send the money to mallory";

class WhatTheServerSays : public EncryptedEngine {
 protected:
  static wire::Item added_item(Seq seq) {
    wire::Item item;
    item.set_seq(seq);
    item.set_kind(wire::ITEM_KIND_CONVERSATION_ADDED);
    item.mutable_conversation()->set_conversation_id(kStream);
    item.mutable_conversation()->set_kind(wire::CONVERSATION_KIND_DIRECT);
    item.mutable_conversation()->set_peer_user_id("bob");
    return item;
  }
  bool is_encrypted() { return reader_->conversation(with_bob()).value().encrypted; }
  std::vector<MessageRow> rows() { return reader_->history_before(with_bob(), 0, limits::kPageMax).value().rows; }
  // Of what others have sent, as it is shown; "?" is what could not be decrypted.
  std::vector<std::string> shown() {
    std::vector<std::string> texts;
    for (const MessageRow& row : rows()) {
      texts.push_back(row.content.empty() ? "?" : content::text_of(row.content).value_or(""));
    }
    return texts;
  }
};

// ---- What the server says a conversation is ------------------------------------------------------------------------

using PlainInEncrypted = WhatTheServerSays;

TEST_F(PlainInEncrypted, IsNotShownWhenItCameBeforeItsConversationWasKnown) {
  go_online();
  ASSERT_TRUE(send("waits for keys").ok());
  run();
  deliver_and_run(items_frame(kStream, 0, {message_item(1, kForged)}));
  deliver_and_run(items_frame(kStream, 1, {roster_item(2)}));
  ASSERT_TRUE(is_encrypted());
  EXPECT_THAT(shown(), ElementsAre("?", "waits for keys"));
}

TEST_F(PlainInEncrypted, IsNotShownWhenItCameTogetherWithItsRoster) {
  go_online();
  ASSERT_TRUE(send("waits for keys").ok());
  run();
  deliver_and_run(items_frame(
      kStream, 0,
      {message_item(1, kForged), message_item(2, "as alice", "alice"), encrypted_roster(3), message_item(4, kForged)}));
  ASSERT_TRUE(is_encrypted());
  EXPECT_THAT(shown(), ElementsAre("?", "?", "?", "waits for keys"));
}

// The account's stream has named the peer, the conversation's own stream did not say yet what it is.
TEST_F(PlainInEncrypted, IsNotShownWhenItCameBeforeItsConversationWasKnownToBeEncrypted) {
  go_online();
  deliver_and_run(items_frame(kAccountStream, 0, {added_item(1)}));
  deliver_and_run(items_frame(kStream, 0, {message_item(1, kForged)}));
  ASSERT_FALSE(is_encrypted());
  deliver_and_run(items_frame(kStream, 1, {encrypted_roster(2)}));
  ASSERT_TRUE(is_encrypted());
  EXPECT_THAT(shown(), ElementsAre("?"));
}

// A kind that this version does not know: it says nothing of what its members have with each other.
TEST_F(PlainInEncrypted, AGroupIsNoWordOnTheConversationWithAMember) {
  go_online();
  ASSERT_TRUE(send("waits for keys").ok());
  run();
  wire::Item roster;
  roster.set_seq(1);
  roster.set_kind(wire::ITEM_KIND_ROSTER);
  roster.mutable_roster()->set_conversation_kind(wire::CONVERSATION_KIND_GROUP);
  for (const char* user : {"bob", "alice", "cid"}) {
    wire::Roster::Change& change = *roster.mutable_roster()->add_changes();
    change.set_user_id(user);
    change.set_joined(true);
  }
  wire::Item left = roster;
  left.set_seq(3);
  left.mutable_roster()->mutable_changes(1)->set_joined(false);
  deliver_and_run(items_frame(kStream + 1, 0, {roster, message_item(2, "to all"), left}));
  EXPECT_THAT(shown(), ElementsAre("waits for keys"));
  EXPECT_EQ(reader_->conversation(with_bob()).value().conversation_id, ConversationId{});
  const auto all = reader_->conversations({}, 10).value().rows;
  ASSERT_EQ(all.size(), 2u);
  EXPECT_TRUE(all[0].peer.empty() || all[1].peer.empty());
  deliver_and_run(items_frame(kStream, 0, {encrypted_roster(1)}));
  EXPECT_TRUE(is_encrypted());
}

TEST_F(PlainInEncrypted, IsNotShownWithoutAPeer) {
  go_online();
  wire::Item nobody = encrypted_roster(1);
  nobody.mutable_roster()->clear_changes();
  deliver_and_run(items_frame(kStream, 0, {nobody, message_item(2, kForged)}));
  deliver_and_run(items_frame(kStream, 2, {encrypted_roster(3, 2)}));
  ASSERT_TRUE(is_encrypted());
  EXPECT_THAT(shown(), ElementsAre("?"));
}

TEST_F(PlainInEncrypted, IsNotShownWithAnIdThatIsNone) {
  go_online();
  deliver_and_run(items_frame(kStream, 0, {encrypted_roster(1), message_item(2, kForged, "bob", "short")}));
  ASSERT_TRUE(is_encrypted());
  EXPECT_THAT(shown(), ElementsAre("?"));
}

TEST_F(PlainInEncrypted, AnInventedOwnMessageIsNotShown) {
  go_online();
  ASSERT_TRUE(send("waits for keys").ok());
  deliver_and_run(items_frame(kStream, 0, {encrypted_roster(1)}));
  wire::Item mine = message_item(2, kForged, "alice", std::string(16, 'q'), kDevice);
  deliver_and_run(items_frame(kStream, 1, {mine, message_item(3, kForged, "alice", std::string(16, 'r'), 99)}));
  EXPECT_THAT(shown(), ElementsAre("?", "?", "waits for keys"));
}

// A stream of which it is known that it is plain becomes the encrypted conversation's in the middle of one frame.
TEST_F(PlainInEncrypted, AGroupsStreamBringsNothingIntoTheConversationWithAMember) {
  go_online();
  ASSERT_TRUE(send("waits for keys").ok());
  deliver_and_run(items_frame(kStream, 0, {encrypted_roster(1)}));
  wire::Item group = roster_item(1);
  group.mutable_roster()->set_conversation_kind(wire::CONVERSATION_KIND_GROUP);
  group.mutable_roster()->mutable_group()->set_group_id(Bytes(16, 'g'));
  deliver_and_run(items_frame(kStream + 1, 0, {group}));
  deliver_and_run(items_frame(kStream + 1, 1, {roster_item(2), message_item(3, kForged)}));
  deliver_and_run(items_frame(kStream + 1, 3, {roster_item(4), message_item(5, kForged, "alice")}));
  EXPECT_THAT(shown(), ElementsAre("waits for keys"));
  EXPECT_EQ(reader_->conversation(with_bob()).value().conversation_id, ConversationId{kStream});
}

TEST_F(PlainInEncrypted, AStreamOfNobodysBringsNoContentIntoIt) {
  go_online();
  ASSERT_TRUE(send("waits for keys").ok());
  run();
  wire::Item nobodys = roster_item(1);
  nobodys.mutable_roster()->clear_conversation_kind();
  nobodys.mutable_roster()->clear_changes();
  deliver_and_run(items_frame(kStream, 0, {nobodys}));
  deliver_and_run(items_frame(kStream, 1, {roster_item(2), message_item(3, kForged), message_item(4, kForged)}));
  ASSERT_TRUE(is_encrypted());
  EXPECT_THAT(shown(), ElementsAre("?", "?", "waits for keys"));
}

// What it is never changes: neither by a later ROSTER item nor by another epoch.
TEST_F(PlainInEncrypted, APlainConversationDoesNotBecomeEncryptedLater) {
  go_online();
  deliver_and_run(items_frame(kStream, 0, {roster_item(1), message_item(2, "plain"), encrypted_roster(3)}));
  EXPECT_FALSE(is_encrypted());
  deliver_and_run(items_frame(kStream, 3, {encrypted_roster(4), message_item(5, "still plain")}));
  EXPECT_FALSE(is_encrypted());
  EXPECT_THAT(shown(), ElementsAre("plain", "still plain"));
}

TEST_F(PlainInEncrypted, IsNotShownWhenAnotherEpochHasTheConversationEncrypted) {
  go_online();
  deliver_and_run(items_frame(kStream, 0, {roster_item(1), message_item(2, kForged)}));
  EXPECT_THAT(shown(), ElementsAre(kForged));
  drop();
  epoch_ = kEpoch + 1;
  advance(std::chrono::minutes(2));
  ASSERT_EQ(client_->connection_state(), ConnectionState::kOnline);
  deliver_and_run(items_frame(kStream, 0, {encrypted_roster(1)}));
  ASSERT_TRUE(is_encrypted());
  EXPECT_THAT(shown(), Each("?"));
}

// The server's store went back, and has the conversation from its second item on only: it is the same one.
TEST_F(PlainInEncrypted, APlainConversationStaysPlainInAnotherEpoch) {
  go_online();
  deliver_and_run(items_frame(kStream, 0, {roster_item(1), message_item(2, "one")}));
  drop();
  epoch_ = kEpoch + 1;
  advance(std::chrono::minutes(2));
  wire::Item known;
  known.set_seq(2);
  known.set_kind(wire::ITEM_KIND_SKIP);
  known.set_skip_reason(wire::SKIP_REASON_ALREADY_ACKNOWLEDGED);
  deliver_and_run(items_frame(kStream, 0, {known, message_item(3, "two")}));
  EXPECT_FALSE(is_encrypted());
  EXPECT_THAT(shown(), ElementsAre("one", "two"));
}

// An own message whose text this device never had, of a server's store that went back: nobody can send it again.
TEST_F(PlainInEncrypted, AnInventedOwnMessageIsNotSentAgain) {
  go_online();
  const std::string id(16, 'q');
  deliver_and_run(items_frame(kStream, 0, {encrypted_roster(1), message_item(2, kForged, "alice", id, kDevice)}));
  EXPECT_THAT(shown(), ElementsAre("?"));
  drop();
  epoch_ = kEpoch + 1;
  advance(std::chrono::minutes(2));
  const ClientMessageId lost = *ClientMessageId::from_bytes(id);
  ASSERT_EQ(row(lost).failure, Code::kRolledBack);
  EXPECT_EQ(client_->retry(lost).code(), Code::kWrongState);
  run();
  EXPECT_EQ(row(lost).failure, Code::kRolledBack);
  EXPECT_TRUE(client_->discard(lost).ok());
  EXPECT_THAT(shown(), IsEmpty());
}

// ---- Whose wish plain is -------------------------------------------------------------------------------------------

using PlainByOthers = WhatTheServerSays;

TEST_F(PlainByOthers, TakesNoTextBeforeTheAppAcceptsIt) {
  go_online();
  deliver_and_run(items_frame(kStream, 0, {roster_item(1), message_item(2, "hello, stranger")}));
  const auto refused = send("meant to be encrypted");
  run();
  EXPECT_EQ(refused.code(), Code::kWrongState);
  EXPECT_THAT(refused.error().detail, HasSubstr("plain"));
  EXPECT_THAT(rows(), SizeIs(1));
  EXPECT_THAT(sends(), IsEmpty());

  ASSERT_TRUE(client_->direct_conversation("bob", false).ok());
  EXPECT_TRUE(send("hello").ok());
  run();
  EXPECT_THAT(texts(sends()), ElementsAre("hello"));
}

TEST_F(PlainByOthers, TakesNoTextThatWasQueuedBeforeItWasKnownToBePlain) {
  go_online();
  deliver_and_run(items_frame(kAccountStream, 0, {added_item(1)}));
  const auto queued = send("meant to be encrypted");
  ASSERT_TRUE(queued.ok());
  run();
  EXPECT_EQ(state(queued->id), MessageState::kQueued);
  deliver_and_run(items_frame(kStream, 0, {roster_item(1)}));
  EXPECT_THAT(sends(), IsEmpty());
  EXPECT_EQ(state(queued->id), MessageState::kFailed);
  EXPECT_EQ(row(queued->id).failure, Code::kWrongState);

  ASSERT_TRUE(client_->retry(queued->id).ok());
  run();
  EXPECT_EQ(row(queued->id).failure, Code::kWrongState) << "a retry accepts nothing";
  ASSERT_TRUE(client_->direct_conversation("bob", false).ok());
  ASSERT_TRUE(client_->retry(queued->id).ok());
  run();
  EXPECT_THAT(texts(sends()), ElementsAre("meant to be encrypted"));
}

TEST_F(PlainByOthers, IsAcceptedForGood) {
  go_online();
  deliver_and_run(items_frame(kStream, 0, {roster_item(1)}));
  ASSERT_TRUE(client_->direct_conversation("bob", false).ok());
  restart();
  go_online();
  EXPECT_TRUE(send("hello").ok());
}

TEST_F(PlainByOthers, AsksNothingOfAClientWithoutEncryption) {
  e2ee_.reset();
  go_online();
  deliver_and_run(items_frame(kStream, 0, {roster_item(1)}));
  const ConversationKey key = reader_->direct_conversation("bob").value();
  EXPECT_TRUE(client_->send_text(key, "hello", {}).ok());
  run();
  EXPECT_THAT(texts(sends()), ElementsAre("hello"));
}

// ---- What nobody is asked for any more -----------------------------------------------------------------------------

using NobodyAnswers = WhatTheServerSays;

// The request goes to nobody, so that nobody will bring what it was for: what is behind it is delivered and read.
TEST_F(NobodyAnswers, ARequestThatTheServerRefusesForGood) {
  begin_account();
  go_online();
  wire::Item garbage = message_item(2, "");
  garbage.clear_content();
  garbage.set_sender_device_id(bob_.record.device_id.value);
  garbage.set_slice("garbage");
  deliver_and_run(items_frame(kStream, 0, {roster_with_lists({bobs_list()}), garbage}));
  EXPECT_THAT(shown(), ElementsAre("?"));
  EXPECT_EQ(acks().back().streams(0).missing_from(), 2U);
  ASSERT_TRUE(client_->mark_read(with_bob(), 2).ok());
  advance(limits::kMarkFlush);
  ASSERT_THAT(reads(), SizeIs(1));
  ASSERT_THAT(bundles_asked(), SizeIs(1));
  give_bundles(bundles_asked().front());
  ASSERT_THAT(sends(), SizeIs(1));
  EXPECT_EQ(sends().front().kind(), wire::ITEM_KIND_RETRY);
  EXPECT_EQ(acks().back().streams(0).missing_from(), 2U);

  deliver_and_run(refused_frame(sends().front().client_message_id(), Code::kForbidden));
  EXPECT_THAT(e2ee_->notes().tasks().value(), IsEmpty());
  EXPECT_EQ(acks().back().streams(0).seq(), 2U);
  EXPECT_EQ(acks().back().streams(0).missing_from(), 0U);
  EXPECT_EQ(acks().back().streams(0).delivered_from(), 0U);
  ASSERT_THAT(reads(), SizeIs(2));
  EXPECT_EQ(reads().back().up_to(), 2U);
  EXPECT_THAT(shown(), ElementsAre("?"));
  // Its number is the next one's.
  ASSERT_TRUE(send("on").ok());
  run();
  EXPECT_EQ(sends().back().send_number(), sends().front().send_number());
}

// ---- Lists that are missing ----------------------------------------------------------------------------------------

// Of bob's lists alice knows the first, and the conversation begins with the third: what his tablet says is judged once
// the second is here.
class MissingLists : public WhatTheServerSays {
 protected:
  void SetUp() override {
    begin_account();
    second_ = *e2ee::next_device_list(bob_.list, bob_.account_seed, {&tablet_.record, 1}, {}, e2ee::kThen);
    const DeviceId first_device = bob_.record.device_id;
    third_ = *e2ee::next_device_list(second_, bob_.account_seed, {}, {&first_device, 1}, e2ee::kThen);
    const auto written = e2ee_->write([&](E2eeTransaction& tx) -> Status {
      const Bytes lists[] = {bob_.list.bytes};
      const Bytes records[] = {bob_.record.bytes};
      const auto learned = e2ee::learn_lists(tx.state(), "bob", lists, records, e2ee::kThen);
      return learned.ok() ? Status() : Status(learned.error());
    });
    ASSERT_TRUE(written.ok());
    go_online();
  }
  wire::Item roster() const { return roster_with_lists({signed_list(third_, tablet_.record)}); }
  // It parses as nothing: one of a listed device is asked for again, one of another is not.
  wire::Item from_tablet(Seq seq) const {
    wire::Item item = message_item(seq, "");
    item.clear_content();
    item.set_sender_user_id("bob");
    item.set_sender_device_id(tablet_.record.device_id.value);
    item.set_slice("garbage");
    return item;
  }
  // For bob's; the own ones are asked for besides.
  std::vector<FakeHttp::RequestId> lists_asked() {
    std::vector<FakeHttp::RequestId> asked = http_.requests("POST /v1/keys/lists/query");
    std::erase_if(asked, [this](FakeHttp::RequestId id) {
      wire::DeviceListsRequest request;
      EXPECT_TRUE(request.ParseFromString(http_.exchange(id).request.body));
      return request.users_size() != 1 || request.users(0).user_id() != "bob";
    });
    return asked;
  }
  void answer_lists(FakeHttp::RequestId asked, bool with_second) {
    wire::DeviceLists answer;
    wire::DeviceLists::OfUser& of = *answer.add_users();
    of.set_user_id("bob");
    of.set_newest_version(3);
    if (with_second) {
      for (const e2ee::DeviceList* list : {&second_, &third_}) of.add_lists(list->bytes);
      of.add_records(tablet_.record.bytes);
    }
    http_.answer(asked, protobuf_response(answer));
    run();
  }
  std::size_t requests_queued() { return e2ee_->notes().tasks().value().size(); }

  e2ee::DeviceList second_;
  e2ee::DeviceList third_;
};

TEST_F(MissingLists, HoldWhatTheyJudgeUntilTheyCome) {
  deliver_and_run(items_frame(kStream, 0, {roster(), from_tablet(2), from_tablet(3)}));
  deliver_and_run(items_frame(kStream, 3, {from_tablet(4)}));
  wire::Item carols = roster_item(1);
  for (wire::Roster::Change& change : *carols.mutable_roster()->mutable_changes()) {
    if (change.user_id() == "bob") change.set_user_id("carol");
  }
  deliver_and_run(items_frame(kConversation, 0, {carols, message_item(2, "of another conversation", "carol")}));
  EXPECT_THAT(rows(), IsEmpty());
  ASSERT_THAT(pulls(), SizeIs(2)) << "they take no room in the window";
  EXPECT_EQ(pulls().front().after_seq(), 3U);
  EXPECT_EQ(pulls().back().after_seq(), 4U);
  ASSERT_FALSE(acks().empty());
  EXPECT_EQ(acks().front().streams(0).seq(), 1U);
  EXPECT_EQ(acks().back().streams(0).stream_id(), kConversation) << "others go on";
  EXPECT_EQ(acks().back().streams(0).seq(), 2U);
  ASSERT_THAT(lists_asked(), SizeIs(1));

  answer_lists(lists_asked().front(), true);
  ASSERT_THAT(pulls(), SizeIs(3));
  EXPECT_EQ(pulls().back().stream_id(), kStream);
  EXPECT_EQ(pulls().back().after_seq(), 1U);
  deliver_and_run(items_frame(kStream, 1, {from_tablet(2), from_tablet(3), from_tablet(4)}));
  EXPECT_THAT(shown(), ElementsAre("?", "?", "?"));
  EXPECT_EQ(requests_queued(), 3U) << "of a device that is listed";
}

// The tablet's record came with the second, and nobody shows it again with the third.
TEST_F(MissingLists, HoldAlsoWhatNamesARecordThatCameWithThem) {
  wire::SignedList bare;
  bare.set_list(third_.bytes);
  deliver_and_run(items_frame(kStream, 0, {roster_with_lists({bare}), from_tablet(2)}));
  EXPECT_THAT(rows(), IsEmpty());
  ASSERT_THAT(lists_asked(), SizeIs(1));
  answer_lists(lists_asked().front(), true);
  deliver_and_run(items_frame(kStream, 1, {from_tablet(2)}));
  EXPECT_EQ(requests_queued(), 1U) << "of a device that is listed";
}

TEST_F(MissingLists, HoldNothingUpOnceTheServerHasNone) {
  deliver_and_run(items_frame(kStream, 0, {roster(), from_tablet(2)}));
  ASSERT_THAT(lists_asked(), SizeIs(1));
  answer_lists(lists_asked().front(), false);
  ASSERT_THAT(pulls(), SizeIs(2));
  EXPECT_EQ(pulls().back().after_seq(), 1U);
  deliver_and_run(items_frame(kStream, 1, {from_tablet(2)}));
  EXPECT_THAT(shown(), ElementsAre("?"));
  EXPECT_EQ(requests_queued(), 0U) << "of a device that no list names";
  EXPECT_EQ(acks().back().streams(0).seq(), 2U);
}

// Bob's lists were asked for before a roster named the third.
class ListsAskedBefore : public MissingLists {
 protected:
  void SetUp() override {
    MissingLists::SetUp();
    wire::Item stranger = from_tablet(2);
    stranger.set_sender_device_id(4711);
    deliver_and_run(items_frame(kStream, 0, {roster_with_lists({bobs_list()}), stranger}));
    ASSERT_THAT(lists_asked(), SizeIs(1));
  }
  void come() {
    wire::Item newer = encrypted_roster(3, 2);
    *newer.mutable_roster()->add_lists() = signed_list(third_, tablet_.record);
    deliver_and_run(items_frame(kStream, 2, {newer, from_tablet(4)}));
    EXPECT_THAT(shown(), ElementsAre("?"));
  }
  void come_again() { deliver_and_run(items_frame(kStream, 3, {from_tablet(4)})); }
};

TEST_F(ListsAskedBefore, SayNothingOfWhatHasComeSince) {
  come();
  answer_lists(lists_asked().front(), false);
  come_again();
  EXPECT_THAT(shown(), ElementsAre("?")) << "held";
  ASSERT_THAT(lists_asked(), SizeIs(2));
  answer_lists(lists_asked().back(), true);
  come_again();
  EXPECT_THAT(shown(), ElementsAre("?", "?"));
  EXPECT_EQ(requests_queued(), 1U) << "of a device that is listed";
}

TEST_F(ListsAskedBefore, AreAskedForAgainAtOnceWhereARosterNamesANewerOne) {
  answer_lists(lists_asked().front(), false);
  come();
  ASSERT_THAT(lists_asked(), SizeIs(2));
  answer_lists(lists_asked().back(), true);
  come_again();
  EXPECT_EQ(requests_queued(), 1U);
}

TEST_F(ListsAskedBefore, AreAskedForUntilAnAnswerNamesTheirUser) {
  answer_lists(lists_asked().front(), false);
  come();
  for (std::size_t n = 2; n < 5; ++n) {
    ASSERT_THAT(lists_asked(), SizeIs(n));
    http_.answer(lists_asked().back(), protobuf_response(wire::DeviceLists()));
    run();
    come_again();
    EXPECT_THAT(shown(), ElementsAre("?")) << "held";
    advance(2 * limits::e2ee::kListsPause);
  }
  ASSERT_THAT(lists_asked(), SizeIs(5));
  answer_lists(lists_asked().back(), false);
  come_again();
  EXPECT_THAT(shown(), ElementsAre("?", "?"));
  EXPECT_EQ(requests_queued(), 0U);
  advance(2 * limits::e2ee::kListsPause);
  EXPECT_THAT(lists_asked(), SizeIs(5));
}

// Somebody said that they have changed while the question of before was on its way.
TEST_F(WhatTheServerSays, OwnListsAreAskedForAgainWhereTheyChangeMeanwhile) {
  begin_account();
  go_online();
  const auto asked = [this] { return http_.requests("POST /v1/keys/lists/query"); };
  ASSERT_THAT(asked(), SizeIs(1));
  wire::Item changed;
  changed.set_seq(1);
  changed.set_kind(wire::ITEM_KIND_DEVICES_CHANGED);
  deliver_and_run(items_frame(kAccountStream, 0, {changed}));
  EXPECT_THAT(asked(), SizeIs(1)) << "one at a time";
  wire::DeviceLists answer;
  answer.add_users()->set_user_id("alice");
  answer.mutable_users(0)->set_newest_version(1);
  http_.answer(asked().back(), protobuf_response(answer));
  run();
  ASSERT_THAT(asked(), SizeIs(2));
  http_.answer(asked().back(), protobuf_response(answer));
  run();
  EXPECT_THAT(asked(), SizeIs(2));
}

TEST_F(MissingLists, HoldWhatHadArrivedWhenTheConnectionWasLost) {
  deliver_and_run(items_frame(kStream, 0, {roster()}));
  deliver(items_frame(kStream, 1, {from_tablet(2)}));
  drop();
  EXPECT_THAT(rows(), IsEmpty());
  advance(std::chrono::minutes(1));
  ASSERT_EQ(client_->connection_state(), ConnectionState::kOnline);
  deliver_and_run(items_frame(kStream, 1, {from_tablet(2)}));
  EXPECT_THAT(rows(), IsEmpty());
  answer_lists(lists_asked().back(), true);
  deliver_and_run(items_frame(kStream, 1, {from_tablet(2)}));
  EXPECT_EQ(requests_queued(), 1U);
}

}  // namespace
}  // namespace chatsdk::test
