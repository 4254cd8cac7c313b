// SPDX-License-Identifier: Apache-2.0
//
// What was encrypted for the devices of an identity that counts no more, forgotten or changed, and was handed over to a
// connection that stands (docs/e2ee.md sections 5.3 and 13).
#include <set>

#include "unit/engine/encrypted_sending.h"

namespace chatsdk::test {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class Unsealed : public EncryptedSending {
 protected:
  // Of two messages that are encrypted together the first is sent, and there is no room for the other.
  void send_one_of_two() {
    begin();
    ASSERT_TRUE(send("one").ok());
    ASSERT_TRUE(send("two").ok());
    run();
    transport_.on_sent = [this, world = transport_.on_sent](FakeTransport::Connection& connection,
                                                            const wire::ClientFrame& frame) {
      world(connection, frame);
      if (frame.has_send() && has_no_room_) transport_.set_room(connection.id, false);
    };
    give_bundles(bundles_asked().back());
    ASSERT_THAT(sends(), SizeIs(1));
    has_no_room_ = false;
  }
  std::size_t sent_on(FakeTransport::ConnectionId connection) {
    return sends_on(transport_.connection(connection)).size();
  }
  static wire::SignedList another_list(const e2ee::Person& person) { return signed_list(person.list, person.record); }
  // Bob's real device, where the one before was made up.
  void show_real_lists() {
    wire::DeviceLists lists;
    wire::DeviceLists::OfUser& bob = *lists.add_users();
    bob.set_user_id("bob");
    bob.set_newest_version(1);
    bob.add_lists(real_.list.bytes);
    bob.add_records(real_.record.bytes);
    http_.answer(http_.requests("POST /v1/keys/lists/query").back(), protobuf_response(lists));
    run();
  }
  void give_real_bundle() {
    ASSERT_THAT(bundles_asked(), ::testing::Not(IsEmpty()));
    wire::Bundles bundles;
    *bundles.add_bundles() = bundle_of(real_);
    http_.answer(bundles_asked().back(), protobuf_response(bundles));
    run();
  }
  void come_back() {
    advance(std::chrono::minutes(2));
    ASSERT_EQ(client_->connection_state(), ConnectionState::kOnline);
  }
  // Bob's real lists in the conversation: another identity than the one that is known.
  void change_identity(Seq seq) {
    wire::Item roster = encrypted_roster(seq, seq);
    *roster.mutable_roster()->add_lists() = another_list(real_);
    deliver_and_run(items_frame(kStream, seq - 1, {roster}));
    ASSERT_EQ(client_->identity("bob")->peer.account_key, real_.list.account_key);
  }
  // As the server has it of a message of this device's.
  static wire::Item own_item(const wire::Send& sent, Seq seq) {
    wire::Item own = message_item(seq, "");
    own.clear_content();
    own.set_sender_user_id("alice");
    own.set_sender_device_id(kDevice);
    own.set_client_message_id(sent.client_message_id());
    return own;
  }

  const e2ee::Person real_ = e2ee::person("bob", 5, 0x71, 9, {});

 private:
  bool has_no_room_ = true;
};

// ---- Who was forgotten ---------------------------------------------------------------------------------------------

// The server stops reading, so that the connection stands and the second message waits for room.
TEST_F(Unsealed, NothingLeavesForSomebodyForgottenOnAConnectionThatStands) {
  send_one_of_two();
  const auto connection = transport_.last().id;
  const wire::Send first = sends().back();
  ASSERT_TRUE(client_->forget_identity({"bob", bob_.list.account_key}).ok());
  EXPECT_TRUE(transport_.connection(connection).aborted) << "at once, and without what waits in the transport";
  transport_.set_room(connection, true);
  run();
  EXPECT_EQ(sent_on(connection), 1U);
  come_back();
  EXPECT_THAT(sends(), IsEmpty());
  show_real_lists();
  give_real_bundle();
  ASSERT_THAT(sends(), SizeIs(2));
  EXPECT_EQ(sends().front().client_message_id(), first.client_message_id());
  for (const wire::Send& sent : sends()) EXPECT_THAT(receivers(sent), ElementsAre(5));
}

TEST_F(Unsealed, AConnectionThatCarriesNothingForThemStands) {
  begin();
  send_whole("hello");
  deliver_and_run(accepted_frame(sends().back().client_message_id(), 2, kStream));
  const auto attempts = transport_.attempts();
  ASSERT_TRUE(client_->forget_identity({"bob", bob_.list.account_key}).ok());
  run();
  EXPECT_EQ(client_->connection_state(), ConnectionState::kOnline);
  EXPECT_EQ(transport_.attempts(), attempts);
}

// It had left and was taken, its answer came too late: under its id the server has other bytes than go now.
TEST_F(Unsealed, WhatWasTakenInTruthIsNeitherFailedNorSentTwice) {
  begin();
  send_whole("a secret");
  const wire::Send sent = sends().back();
  ASSERT_TRUE(client_->forget_identity({"bob", bob_.list.account_key}).ok());
  run();
  auto_caught_up_ = false;
  advance(std::chrono::seconds(5));
  show_real_lists();
  give_real_bundle();
  ASSERT_THAT(sends(), SizeIs(1));
  EXPECT_NE(sends().back().slices(0).message(), sent.slices(0).message());
  // Before its item has come, however often.
  for (int i = 0; i < 3; ++i) {
    const std::size_t before = sends().size();
    deliver_and_run(refused_frame(sent.client_message_id(), Code::kConflict));
    EXPECT_EQ(state_of(sent), MessageState::kSending);
    advance(std::chrono::seconds(30));
    ASSERT_EQ(sends().size(), before + 1) << "behind a pause";
  }
  deliver_and_run(items_frame(kStream, 1, {own_item(sent, 2)}));
  deliver_and_run(refused_frame(sent.client_message_id(), Code::kConflict));
  EXPECT_EQ(state_of(sent), MessageState::kSent);
  const std::size_t all = sends().size();
  deliver_and_run(caught_up_frame(0));
  advance(std::chrono::minutes(1));
  EXPECT_THAT(sends(), SizeIs(all));
  EXPECT_THAT(history(), ElementsAre("a secret"));
}

// Whose item does not come, with all that the server has, is another message's id.
TEST_F(Unsealed, AConflictThatNoItemSettlesFailsTheMessage) {
  begin();
  send_whole("a secret");
  const wire::Send sent = sends().back();
  deliver_and_run(refused_frame(sent.client_message_id(), Code::kConflict));
  EXPECT_EQ(state_of(sent), MessageState::kSending);
  advance(std::chrono::seconds(30));
  ASSERT_THAT(sends(), SizeIs(2));
  deliver_and_run(refused_frame(sent.client_message_id(), Code::kConflict));
  EXPECT_EQ(state_of(sent), MessageState::kFailed);
}

// ---- Another identity ----------------------------------------------------------------------------------------------

// The message was refused for now, and waits on the connection that brings the change.
TEST_F(Unsealed, NothingGoesToTheIdentityBeforeOnceTheAppHasToAcceptAnother) {
  options_.block_changed_identities = true;
  begin();
  send_whole("a secret");
  const wire::Send sent = sends().back();
  const auto id = *ClientMessageId::from_bytes(sent.client_message_id());
  deliver_and_run(refused_frame(sent.client_message_id(), Code::kUnavailable, 5'000));
  change_identity(2);
  EXPECT_FALSE(e2ee_->notes().out(id)->has_value());
  advance(std::chrono::minutes(2));
  ASSERT_EQ(client_->connection_state(), ConnectionState::kOnline);
  EXPECT_THAT(sends(), SizeIs(1)) << "the same bytes again";
  drop();
  come_back();
  EXPECT_THAT(sends(), IsEmpty());
  EXPECT_THAT(bundles_asked(), SizeIs(1)) << "blocked";
  ASSERT_TRUE(client_->accept_identity({"bob", real_.list.account_key}).ok());
  run();
  give_real_bundle();
  ASSERT_THAT(sends(), SizeIs(1));
  EXPECT_EQ(sends().back().client_message_id(), sent.client_message_id());
  EXPECT_THAT(receivers(sends().back()), ElementsAre(5));
}

// Two are unanswered, one of which waits for room.
TEST_F(Unsealed, NothingLeavesForTheIdentityBeforeOnAConnectionThatStands) {
  send_one_of_two();
  const auto connection = transport_.last().id;
  change_identity(2);
  EXPECT_TRUE(transport_.connection(connection).aborted);
  transport_.set_room(connection, true);
  run();
  EXPECT_EQ(sent_on(connection), 1U);
  come_back();
  EXPECT_THAT(sends(), IsEmpty());
  give_real_bundle();
  ASSERT_THAT(sends(), SizeIs(2));
  for (const wire::Send& sent : sends()) EXPECT_THAT(receivers(sent), ElementsAre(5));
}

// The outbox is in the middle of its answers then: the refusal of one message brings the change, and there is an answer
// for another in the same turn.
TEST_F(Unsealed, ARefusalThatBringsAnotherIdentityEndsTheConnectionBehindIt) {
  begin();
  send_whole("one");
  send_whole("two");
  send_whole("three");
  const auto connection = transport_.last().id;
  const std::vector<wire::Send> sent = sends();
  ASSERT_THAT(sent, SizeIs(3));
  deliver(accepted_frame(sent.front().client_message_id(), 2, kStream));
  refuse(sent[1], {another_list(real_)}, 2);
  EXPECT_TRUE(transport_.connection(connection).aborted);
  EXPECT_EQ(state_of(sent.front()), MessageState::kSent) << "what was answered counts";
  come_back();
  EXPECT_THAT(sends(), IsEmpty());
  deliver_and_run(items_frame(kStream, 1, {own_item(sent.front(), 2)}));
  change_identity(3);
  show_real_lists();
  give_real_bundle();
  ASSERT_THAT(sends(), SizeIs(2));
  EXPECT_EQ(sends().front().client_message_id(), sent[1].client_message_id());
  for (const wire::Send& again : sends()) EXPECT_THAT(receivers(again), ElementsAre(5));
}

}  // namespace
}  // namespace chatsdk::test
