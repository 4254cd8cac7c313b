// SPDX-License-Identifier: Apache-2.0
//
// The outbox against a server that the test plays: order, windows, resends, a full transport.
#include <algorithm>
#include <limits>
#include <map>

#include "unit/engine/outbox_world.h"

namespace chatsdk::test {
namespace {

using namespace std::chrono_literals;

TEST_F(Outbox, SendsAtOnceWhenOnline) {
  go_online();

  const ClientMessageId id = queue("hello");

  ASSERT_EQ(sends().size(), 1u);
  EXPECT_EQ(text_of(sends()[0]), "hello");
  EXPECT_EQ(sends()[0].client_message_id(), id.view());
  EXPECT_EQ(sends()[0].peer_user_id(), "bob");
  EXPECT_EQ(sends()[0].send_number(), 1u);
  EXPECT_EQ(state(id), MessageState::kSending);
}

TEST_F(Outbox, IsDurableBeforeSendReturns) {
  have_session();
  make_client();

  const ClientMessageId id = queue("offline");
  restart();

  EXPECT_EQ(state(id), MessageState::kQueued);
}

TEST_F(Outbox, MarksRowsOnTheWireBeforeTheirFramesLeave) {
  have_session();
  make_client();
  const ClientMessageId id = queue("one");
  std::optional<MessageState> seen;
  const auto base = transport_.on_sent;
  transport_.on_sent = [&](FakeTransport::Connection& connection, const wire::ClientFrame& frame) {
    if (frame.has_send()) seen = state(id);
    base(connection, frame);
  };

  go_online();

  EXPECT_EQ(seen, MessageState::kSending);
}

TEST_F(Outbox, SettlesOnAcceptance) {
  go_online();
  const ClientMessageId id = queue("hello");

  deliver_and_run(accepted_frame(std::string(id.view()), 1));

  EXPECT_EQ(state(id), MessageState::kSent);
  EXPECT_EQ(row(id).seq, 1u);
  EXPECT_EQ(*reader_->outbox_count(), 0u);
}

TEST_F(Outbox, AddressesTheConversationOnceItHasAnId) {
  go_online();
  queue("first");
  accept_all();

  queue("second");

  ASSERT_EQ(sends().size(), 2u);
  EXPECT_EQ(sends()[1].conversation_id(), kConversation);
}

TEST_F(Outbox, SavesTheAnswersOfATurnInOneTransaction) {
  go_online();
  for (int i = 0; i < 8; ++i) queue(std::to_string(i));
  run();
  const std::uint64_t revision = store_->revision();

  accept_all();

  EXPECT_EQ(store_->revision(), revision + 1);
  EXPECT_EQ(*reader_->outbox_count(), 0u);
}

TEST_F(Outbox, KeepsToTheWindowOfAConversation) {
  send_window_ = 3;
  go_online();

  for (int i = 0; i < 10; ++i) queue(std::to_string(i));
  run();

  EXPECT_EQ(texts(sends()), (std::vector<std::string>{"0", "1", "2"}));
}

TEST_F(Outbox, KeepsToTheConnectionsNumberOverAllConversations) {
  sends_in_flight_ = 5;
  go_online();

  for (int i = 0; i < 9; ++i) {
    auto key = client_->direct_conversation("user" + std::to_string(i));
    ASSERT_TRUE(client_->send_text(*key, "x", {}).ok());
  }
  run();

  EXPECT_EQ(sends().size(), 5u);
}

TEST_F(Outbox, SendsTheNextAsAnswersCome) {
  send_window_ = 2;
  go_online();
  for (int i = 0; i < 5; ++i) queue(std::to_string(i));
  run();

  deliver_and_run(accepted_frame(sends()[0].client_message_id(), 1));

  EXPECT_EQ(texts(sends()), (std::vector<std::string>{"0", "1", "2"}));
}

TEST_F(Outbox, ANewMessageWaitsBehindUnsentOnes) {
  send_window_ = 1;
  go_online();
  queue("0");
  const ClientMessageId waiting = queue("1");
  const ClientMessageId last = queue("2");
  run();

  EXPECT_EQ(state(waiting), MessageState::kQueued);
  EXPECT_EQ(state(last), MessageState::kQueued);
  deliver_and_run(accepted_frame(sends()[0].client_message_id(), 1));
  EXPECT_EQ(texts(sends()), (std::vector<std::string>{"0", "1"}));
}

TEST_F(Outbox, ResendsTheSameBytesInTheSameOrderAfterAReconnect) {
  go_online();
  for (int i = 0; i < 5; ++i) queue("m" + std::to_string(i));
  run();
  const auto before = transport_.last().sent_bytes;
  const auto first = sends();

  drop();
  advance(2s);

  ASSERT_EQ(transport_.attempts(), 2u);
  const auto second = sends();
  ASSERT_EQ(second.size(), first.size());
  for (std::size_t i = 0; i < first.size(); ++i) {
    EXPECT_EQ(second[i].SerializeAsString(), first[i].SerializeAsString()) << i;
  }
}

TEST_F(Outbox, ResendsTheSameBytesAfterARestart) {
  go_online();
  queue("a");
  queue("b");
  run();
  const auto first = sends();

  restart();
  go_online();

  const auto second = sends();
  ASSERT_EQ(second.size(), 2u);
  EXPECT_EQ(second[0].SerializeAsString(), first[0].SerializeAsString());
  EXPECT_EQ(second[1].SerializeAsString(), first[1].SerializeAsString());
}

TEST_F(Outbox, KeepsOrderWhenOnlyAPrefixWasDelivered) {
  send_window_ = 4;
  go_online();
  for (int i = 0; i < 6; ++i) queue(std::to_string(i));
  run();
  // The server took 0 and 1, and the answer to 1 was lost.
  const auto first = sends();
  deliver_and_run(accepted_frame(first[0].client_message_id(), 1));

  drop();
  advance(2s);

  EXPECT_EQ(texts(sends()), (std::vector<std::string>{"1", "2", "3", "4"}));
  seq_ = 1;
  answered_[first[0].client_message_id()] = 1;
  accept_all();
  accept_all();
  EXPECT_EQ(history(), (std::vector<std::string>{"0", "1", "2", "3", "4", "5"}));
  EXPECT_EQ(*reader_->outbox_count(), 0u);
}

TEST_F(Outbox, AnAnswerThatArrivesWithTheEndIsSaved) {
  const auto connection = go_online();
  const ClientMessageId id = queue("x");
  run();

  transport_.deliver(connection, accepted_frame(std::string(id.view()), 1));
  transport_.drop(connection, {1006, {Code::kNetwork, "", {}}, 0});
  run();

  EXPECT_EQ(state(id), MessageState::kSent);
}

TEST_F(Outbox, AnItemSettlesItsMessageWhenTheAnswerWasLost) {
  go_online();
  const ClientMessageId id = queue("x");
  run();
  drop();
  auto_welcome_ = false;
  advance(2s);

  // Welcome and the item arrive; the answer to the resend never does.
  wire::ServerFrame greeting;
  *greeting.mutable_welcome() = welcome();
  deliver(greeting);
  deliver_and_run(
      items_frame(kConversation, 0, {roster_item(1), message_item(2, "x", "alice", std::string(id.view()), kDevice)}));

  EXPECT_EQ(state(id), MessageState::kSent);
  EXPECT_EQ(history(), (std::vector<std::string>{"x"}));
}

TEST_F(Outbox, AnAnswerAfterTheItemChangesNothing) {
  go_online();
  const ClientMessageId id = queue("x");
  run();
  deliver_and_run(
      items_frame(kConversation, 0, {roster_item(1), message_item(2, "x", "alice", std::string(id.view()), kDevice)}));

  deliver_and_run(accepted_frame(std::string(id.view()), 2));

  EXPECT_EQ(state(id), MessageState::kSent);
  EXPECT_EQ(history(), (std::vector<std::string>{"x"}));
  const ClientMessageId next = queue("y");
  run();
  EXPECT_EQ(state(next), MessageState::kSending);
}

TEST_F(Outbox, ATimeThatNoClockCanShowIsBroughtToTheNearerEnd) {
  go_online();
  const ClientMessageId high = queue("high");
  const ClientMessageId low = queue("low");
  run();
  wire::ServerFrame answer = accepted_frame(std::string(high.view()), 2);
  answer.mutable_send_result()->mutable_accepted()->set_time_ms(std::numeric_limits<std::int64_t>::max());
  deliver(answer);
  answer = accepted_frame(std::string(low.view()), 3);
  answer.mutable_send_result()->mutable_accepted()->set_time_ms(std::numeric_limits<std::int64_t>::min());
  deliver(answer);
  run();

  EXPECT_EQ(to_unix_ms(row(high).time), 253'402'300'799'999);
  EXPECT_EQ(to_unix_ms(row(low).time), 0);
}

TEST_F(Outbox, StopsWhenTheTransportIsFullAndGoesOnWhenItIsNot) {
  have_session();
  make_client();
  for (int i = 0; i < 6; ++i) queue(std::to_string(i));
  const auto base = transport_.on_sent;
  transport_.on_sent = [&](FakeTransport::Connection& connection, const wire::ClientFrame& frame) {
    if (frame.has_send() && sends_on(connection).size() == 2) connection.room = false;
    base(connection, frame);
  };
  // The second send is told that there is no room any more.
  go_online();
  const std::size_t before = sends().size();

  transport_.set_room(transport_.last().id, true);
  run();

  EXPECT_LE(before, 3u);
  EXPECT_EQ(texts(sends()), (std::vector<std::string>{"0", "1", "2", "3", "4", "5"}));
}

TEST_F(Outbox, ANewMessageIsStoredAsQueuedWhileTheTransportIsFull) {
  go_online();
  transport_.last().room = false;
  queue("0");
  run();

  const ClientMessageId id = queue("1");
  run();

  EXPECT_EQ(state(id), MessageState::kQueued);
  transport_.set_room(transport_.last().id, true);
  run();
  EXPECT_EQ(texts(sends()), (std::vector<std::string>{"0", "1"}));
}

TEST_F(Outbox, ARepeatedIdIsSentOnce) {
  go_online();
  Client::SendOptions options;
  options.id = ClientMessageId::from_bytes("0123456789abcdef");

  queue("x", options);
  queue("x", options);
  run();

  EXPECT_EQ(sends().size(), 1u);
  EXPECT_EQ(client_->send_text(bob(), "y", options).code(), Code::kConflict);
}

TEST_F(Outbox, IgnoresAnswersToWhatItDidNotAsk) {
  go_online();
  const ClientMessageId id = queue("x");
  run();

  deliver(accepted_frame(std::string(16, 'z'), 1));
  deliver(voided_frame(std::string(id.view())));
  run();

  EXPECT_EQ(state(id), MessageState::kSending);
  EXPECT_EQ(client_->connection_state(), ConnectionState::kOnline);
}

TEST_F(Outbox, AnAnswerWithABrokenIdClosesWith1007) {
  go_online();

  deliver_and_run(accepted_frame("short", 1));

  EXPECT_EQ(transport_.last().close_code, 1007);
  EXPECT_EQ(client_->connection_state(), ConnectionState::kWaiting);
}

// A server that behaves: numbers in order, a window, and an answer for each send in the order they came.
TEST_F(Outbox, DrainsTenThousandQueuedMessagesInOrder) {
  constexpr int kCount = 10'000;
  options_.send_time_limit = std::chrono::hours(24);
  have_session();
  make_client();
  for (int i = 0; i < kCount; ++i) queue(std::to_string(i));
  run();
  std::size_t unanswered = 0;
  std::size_t most = 0;
  std::uint64_t expected = 1;
  bool in_order = true;
  Seq seq = 0;
  const auto base = transport_.on_sent;
  transport_.on_sent = [&](FakeTransport::Connection& connection, const wire::ClientFrame& frame) {
    base(connection, frame);
    if (!frame.has_send()) return;
    most = std::max(most, ++unanswered);
    in_order =
        in_order && frame.send().send_number() == expected && text_of(frame.send()) == std::to_string(expected - 1);
    ++expected;
    transport_.deliver(connection.id, accepted_frame(frame.send().client_message_id(), ++seq));
    executor_.post([&] { --unanswered; });
    connection.sent.clear();
    connection.sent_bytes.clear();
  };

  go_online();

  EXPECT_EQ(*reader_->outbox_count(), 0u);
  EXPECT_TRUE(in_order);
  EXPECT_EQ(expected, kCount + 1u);
  EXPECT_LE(most, send_window_);
}

TEST_F(Outbox, ConversationsTakeTurns) {
  have_session();
  make_client();
  send_window_ = 2;
  sends_in_flight_ = 4;
  std::map<std::string, int> count;
  for (const char* peer : {"bob", "carol", "dave"}) {
    auto key = client_->direct_conversation(peer);
    for (int i = 0; i < 4; ++i) ASSERT_TRUE(client_->send_text(*key, peer, {}).ok());
  }
  go_online();
  // Three conversations share four places; as answers come nobody is left out.
  for (int round = 0; round < 6; ++round) accept_all();

  for (const wire::Send& send : sends()) ++count[text_of(send)];
  EXPECT_EQ(count["bob"], 4);
  EXPECT_EQ(count["carol"], 4);
  EXPECT_EQ(count["dave"], 4);
}

}  // namespace
}  // namespace chatsdk::test
