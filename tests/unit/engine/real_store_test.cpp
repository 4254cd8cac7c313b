// SPDX-License-Identifier: Apache-2.0
//
// The engine and the server's own store, face to face: what the two must agree on about send numbers, ids and voids.
// Between them stands only the translation of frames into the store's operations.
#include <filesystem>

#include "protocol/content.h"
#include "server-reference/store/sqlite_store.h"
#include "unit/engine/engine_world.h"

namespace chatsdk::test {
namespace {

using namespace std::chrono_literals;
namespace fs = std::filesystem;

class RealStore : public EngineWorld {
 protected:
  RealStore() {
    open_server();
    register_user("alice");
    const auto base = transport_.on_sent;
    transport_.on_sent = [this, base](FakeTransport::Connection& connection, const wire::ClientFrame& frame) {
      base(connection, frame);
      if (frame.has_hello()) hand_out_items(connection.id);
      if ((!frame.has_send() || lose_sends_) && !frame.has_void_()) return;
      const wire::ServerFrame answer = frame.has_send() ? take(frame.send()) : take(frame.void_());
      if (!lose_answers_) transport_.deliver(connection.id, answer);
    };
  }
  ~RealStore() override { server_.reset(); }

  // -- The server --
  void open_server() {
    server_.reset();
    server::SqliteStoreOptions options;
    options.path = server_path();
    auto opened = server::SqliteStore::open(options, server_random_);
    ASSERT_TRUE(opened.ok()) << opened.error().detail;
    server_ = std::move(opened).value();
    epoch_ = server_->epoch();
  }
  std::string server_path() const { return (directory_ / "server.db").string(); }
  void back_up() {
    server_.reset();
    fs::copy_file(server_path(), server_path() + ".backup", fs::copy_options::overwrite_existing);
    open_server();
  }
  void restore() {
    server_.reset();
    fs::copy_file(server_path() + ".backup", server_path(), fs::copy_options::overwrite_existing);
    const std::uint64_t before = epoch_;
    open_server();
    ASSERT_NE(epoch_, before);
  }
  Result<server::WriteAnswer> commit(server::WriteOp op) {
    auto result = server_->commit({&op, 1});
    EXPECT_TRUE(result.ok());
    return std::move(result->answers.at(0));
  }
  void register_user(const UserId& user) {
    server::Account account;
    account.user_id = user;
    account.created = clock_.wall_now();
    ASSERT_TRUE(commit(server::CreateAccount{account}).ok());
  }
  template <typename Op, typename Frame>
  Op operation(const Frame& frame) {
    Op op;
    op.sender = "alice";
    op.sender_device = DeviceId{device_};
    op.target = {ConversationId{frame.conversation_id()}, frame.peer_user_id()};
    op.client_message_id = *ClientMessageId::from_bytes(frame.client_message_id());
    op.send_number = frame.send_number();
    op.now = clock_.wall_now();
    return op;
  }
  wire::Accepted accepted(const server::Appended& appended) {
    conversation_ = appended.conversation_id;
    wire::Accepted out;
    out.set_conversation_id(appended.conversation_id.value);
    out.set_message_id(appended.message_id.value);
    out.set_conversation_seq(appended.seq);
    out.set_time_ms(to_unix_ms(appended.time));
    return out;
  }
  wire::ServerFrame take(const wire::Send& send) {
    auto op = operation<server::AppendMessage>(send);
    op.content = send.content();
    op.payload_hash = payload_hash(op.content);
    const auto answer = commit(op);
    wire::ServerFrame frame;
    wire::SendResult& result = *frame.mutable_send_result();
    result.set_client_message_id(send.client_message_id());
    if (answer.ok()) {
      *result.mutable_accepted() = accepted(std::get<server::Appended>(*answer));
    } else {
      *result.mutable_refused() = to_wire(answer.error());
    }
    return frame;
  }
  wire::ServerFrame take(const wire::Void& request) {
    const auto answer = commit(operation<server::VoidMessage>(request));
    wire::ServerFrame frame;
    wire::VoidResult& result = *frame.mutable_void_result();
    result.set_client_message_id(request.client_message_id());
    if (!answer.ok()) {
      *result.mutable_refused() = to_wire(answer.error());
    } else if (const auto& voided = std::get<server::Voided>(*answer); voided.accepted) {
      *result.mutable_accepted() = accepted(*voided.accepted);
    } else {
      result.set_voided(true);
    }
    return frame;
  }
  std::vector<wire::Item> items() {
    std::vector<wire::Item> found;
    auto reader = server_->open_reader();
    EXPECT_TRUE(reader.ok());
    auto page = (*reader)->items("alice", {}, conversation_, 0, 1'000, 1 << 20);
    if (!page.ok()) return found;
    for (const auto& bytes : page->items) EXPECT_TRUE(found.emplace_back().ParseFromString(*bytes));
    return found;
  }
  // Everything of the conversation, in a first Items frame.
  void hand_out_items(Transport::ConnectionId connection) {
    if (!conversation_) return;
    transport_.deliver(connection, items_frame(conversation_.value, 0, items()));
    transport_.deliver(connection, caught_up_frame(0));
  }
  // What the server holds, in its order.
  std::vector<std::string> held() {
    std::vector<std::string> found;
    for (const wire::Item& item : items()) {
      const auto text = content::text_of(item.content());
      if (item.kind() == wire::ITEM_KIND_MESSAGE && text) found.push_back(*text);
    }
    return found;
  }

  // -- The device --
  void lose_the_connection() {
    auto_accept_upgrade_ = false;
    drop();
  }
  void come_back() {
    auto_accept_upgrade_ = true;
    client_->network_changed();
    advance(2min);
  }
  using Texts = std::vector<std::string>;

  SeededRandom server_random_{7};
  std::unique_ptr<server::SqliteStore> server_;
  ConversationId conversation_;
  bool lose_sends_ = false;
  bool lose_answers_ = false;
  std::uint64_t device_ = kDevice;  // as the server knows it
};

TEST_F(RealStore, AConversationLivesOnAfterADiscardToAUserWhoCameLater) {
  go_online();
  const ClientMessageId one = queue("one");
  run();
  ASSERT_EQ(row(one).failure, Code::kNotFound);
  ASSERT_TRUE(client_->discard(one).ok());
  run();
  EXPECT_EQ(*reader_->outbox_count(), 0u);

  register_user("bob");
  const ClientMessageId two = queue("two");
  advance(2s);

  EXPECT_EQ(state(two), MessageState::kSent);
  EXPECT_EQ(held(), Texts{"two"});
}

TEST_F(RealStore, OfTwoFailedSendsTheFirstMayBeDiscardedAndTheSecondRetried) {
  go_online();
  const ClientMessageId one = queue("one");
  const ClientMessageId two = queue("two");
  run();
  ASSERT_EQ(state(one), MessageState::kFailed);
  ASSERT_EQ(state(two), MessageState::kFailed);

  ASSERT_TRUE(client_->discard(one).ok());
  advance(1s);
  register_user("bob");
  ASSERT_TRUE(client_->retry(two).ok());
  const ClientMessageId three = queue("three");
  advance(5s);

  EXPECT_EQ(state(two), MessageState::kSent);
  EXPECT_EQ(state(three), MessageState::kSent);
  EXPECT_EQ(held(), (Texts{"two", "three"}));
}

TEST_F(RealStore, ADiscardWhoseAnswerWasLostMayHaveBeenTakenMeanwhile) {
  go_online();
  const ClientMessageId one = queue("one");
  run();
  lose_answers_ = true;
  ASSERT_TRUE(client_->discard(one).ok());
  run();  // refused, and nobody hears of it
  lose_the_connection();
  const ClientMessageId two = queue("two");
  register_user("bob");
  come_back();  // taken, and nobody hears of it either
  lose_answers_ = false;
  lose_the_connection();
  restart();
  auto_accept_upgrade_ = true;
  go_online();
  advance(2s);

  EXPECT_EQ(state(two), MessageState::kSent);
  EXPECT_EQ(held(), Texts{"two"});
}

TEST_F(RealStore, ARestoredServerTakesWhatADeviceSendsThatHadSentSince) {
  register_user("bob");
  go_online();
  for (const char* text : {"a", "b", "c"}) queue(text);
  run();
  back_up();
  for (const char* text : {"d", "e"}) queue(text);
  run();
  lose_answers_ = true;
  const ClientMessageId on_wire = queue("f");
  run();
  lose_the_connection();
  lose_answers_ = false;
  const ClientMessageId queued = queue("g");
  restore();

  come_back();
  const ClientMessageId later = queue("h");
  advance(5s);

  EXPECT_EQ(held(), (Texts{"a", "b", "c", "f", "g", "h"}));
  for (const ClientMessageId& id : {on_wire, queued, later}) EXPECT_EQ(state(id), MessageState::kSent);
  EXPECT_EQ(*reader_->outbox_count(), 0u);
  EXPECT_EQ(history().size(), 8u);
}

TEST_F(RealStore, WhatWasAcceptedBeforeTheBackupGetsItsFirstAnswerAfterTheRestore) {
  register_user("bob");
  send_window_ = 4;
  go_online();
  for (const char* text : {"a", "b"}) queue(text);
  run();
  lose_answers_ = true;
  std::vector<ClientMessageId> ids;
  for (const char* text : {"c", "d", "e", "f", "g", "h"}) ids.push_back(queue(text));
  run();  // four are taken, two wait
  lose_the_connection();
  lose_answers_ = false;
  ASSERT_EQ(held().size(), 6u);
  back_up();
  register_user("carol");
  restore();

  come_back();
  ids.push_back(queue("i"));
  advance(5s);

  EXPECT_EQ(held(), (Texts{"a", "b", "c", "d", "e", "f", "g", "h", "i"}));
  EXPECT_EQ(history(), held());
  for (const ClientMessageId& id : ids) EXPECT_EQ(state(id), MessageState::kSent);
}

TEST_F(RealStore, ANewDeviceThatSendsWhatTheOldOneHadSentGoesOn) {
  register_user("bob");
  go_online();
  for (const char* text : {"a", "b"}) queue(text);
  run();
  lose_answers_ = true;
  for (const char* text : {"c", "d"}) queue(text);
  run();
  lose_the_connection();
  lose_answers_ = false;
  // Another device_id: the numbers start again on both sides, and what is on the wire is known to the server already.
  StoredSession session = **store_->session();
  for (const std::uint64_t id : {kDevice + 1, kDevice}) {
    session.device_id = DeviceId{id};
    ASSERT_TRUE(store_->save_session(session).ok());
  }
  device_ = kDevice + 1;

  come_back();
  const ClientMessageId last = queue("e");
  advance(5s);

  EXPECT_EQ(state(last), MessageState::kSent);
  EXPECT_EQ(held(), (Texts{"a", "b", "c", "d", "e"}));
}

TEST_F(RealStore, ADeviceThatARestoredServerKnowsUnderAnEarlierIdSendsInOrder) {
  register_user("bob");
  go_online();
  for (const char* text : {"a", "b"}) queue(text);
  run();
  back_up();
  lose_the_connection();
  register_user("carol");
  restore();
  // It was another device for a while, and is again the one that the older state knows, whose next number is 3.
  StoredSession session = **store_->session();
  for (const std::uint64_t id : {kDevice + 1, kDevice}) {
    session.device_id = DeviceId{id};
    ASSERT_TRUE(store_->save_session(session).ok());
  }
  for (const char* text : {"c", "d", "e"}) queue(text);

  come_back();
  queue("f");
  advance(5s);

  EXPECT_EQ(held(), (Texts{"a", "b", "c", "d", "e", "f"}));
}

TEST_F(RealStore, AVoidedMessageIsRetriedUnderAnotherIdInItsPlace) {
  register_user("bob");
  go_online();
  queue("a");
  run();
  lose_sends_ = true;
  Client::SendOptions minute;
  minute.time_limit = 60s;
  const ClientMessageId late = queue("late", minute);
  const MessageKey key = row(late).key;
  const ClientMessageId behind = queue("behind");
  run();
  lose_the_connection();
  advance(61s);
  lose_sends_ = false;
  come_back();
  ASSERT_EQ(row(late).failure, Code::kTimedOut);

  ASSERT_TRUE(client_->retry(late).ok());
  advance(5s);

  const MessageRow now = *reader_->message(key);
  EXPECT_EQ(now.state, MessageState::kSent);
  EXPECT_NE(now.client_message_id, late);
  EXPECT_EQ(reader_->message_by_client_id(late).code(), Code::kNotFound);
  EXPECT_EQ(state(behind), MessageState::kSent);
  EXPECT_EQ(held(), (Texts{"a", "late", "behind"}));
}

TEST_F(RealStore, AVoidedMessageCanBeRetriedAfterARestoreToo) {
  register_user("bob");
  go_online();
  queue("a");
  run();
  back_up();
  lose_sends_ = true;
  Client::SendOptions minute;
  minute.time_limit = 60s;
  const ClientMessageId late = queue("late", minute);
  const MessageKey key = row(late).key;
  run();
  lose_the_connection();
  advance(61s);
  lose_sends_ = false;
  come_back();
  ASSERT_EQ(row(late).failure, Code::kTimedOut);
  lose_the_connection();
  restore();  // the tombstone is gone, and its number is open again

  ASSERT_TRUE(client_->retry(late).ok());
  const ClientMessageId behind = queue("behind");
  come_back();

  EXPECT_EQ(reader_->message(key)->state, MessageState::kSent);
  EXPECT_EQ(state(behind), MessageState::kSent);
  EXPECT_EQ(held(), (Texts{"a", "late", "behind"}));
}

}  // namespace
}  // namespace chatsdk::test
