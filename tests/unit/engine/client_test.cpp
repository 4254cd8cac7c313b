// SPDX-License-Identifier: Apache-2.0
//
// The client as a whole: what its calls refuse, and its end at any moment.
#include "unit/engine/engine_world.h"

namespace chatsdk::test {
namespace {

using namespace std::chrono_literals;

class ClientTest : public EngineWorld {};

TEST_F(ClientTest, RefusesTextsOutsideTheLimits) {
  go_online();
  const ConversationKey key = bob();

  EXPECT_EQ(client_->send_text(key, "", {}).code(), Code::kInvalidArgument);
  EXPECT_EQ(client_->send_text(key, "\xc3\x28", {}).code(), Code::kInvalidUtf8);
  EXPECT_EQ(client_->send_text(key, std::string(65'537, 'x'), {}).code(), Code::kTooLarge);
  EXPECT_TRUE(client_->send_text(key, std::string(65'536, 'x'), {}).ok());
  EXPECT_TRUE(client_->send_text(key, "x", {}).ok());
}

TEST_F(ClientTest, TheServersTextLimitCountsOnceItIsKnown) {
  text_bytes_max_ = 100;
  go_online();

  EXPECT_TRUE(client_->send_text(bob(), std::string(100, 'x'), {}).ok());
  EXPECT_EQ(client_->send_text(bob(), std::string(101, 'x'), {}).code(), Code::kTooLarge);
}

TEST_F(ClientTest, TheServersTextLimitIsObeyedOfflineAfterARestartToo) {
  text_bytes_max_ = 100'000;
  go_online();
  auto_accept_upgrade_ = false;

  restart();
  client_->start();
  run();

  EXPECT_TRUE(client_->send_text(bob(), std::string(100'000, 'x'), {}).ok());
  EXPECT_EQ(client_->send_text(bob(), std::string(100'001, 'x'), {}).code(), Code::kTooLarge);
}

TEST_F(ClientTest, TellsOfANewConversationOnce) {
  go_online();

  const ConversationKey key = bob();
  run();
  EXPECT_EQ(sink_.last_changes.conversations, std::vector<ConversationKey>{key});
  const std::size_t told = sink_.changes_told;
  bob();
  run();

  EXPECT_EQ(sink_.changes_told, told);
}

TEST_F(ClientTest, NoServerRaisesTheTextLimitAboveOurs) {
  text_bytes_max_ = 10'000'000;
  go_online();

  EXPECT_EQ(client_->send_text(bob(), std::string(limits::kTextBytesMax + 1, 'x'), {}).code(), Code::kTooLarge);
}

TEST_F(ClientTest, RefusesTimeLimitsOutsideTheirBounds) {
  go_online();
  const auto with = [&](std::chrono::milliseconds limit) {
    Client::SendOptions options;
    options.time_limit = limit;
    return client_->send_text(bob(), "x", options).code();
  };

  EXPECT_EQ(with(0ms), Code::kInvalidArgument);
  EXPECT_EQ(with(-1ms), Code::kInvalidArgument);
  EXPECT_EQ(with(1ms), Code::kOk);
  EXPECT_EQ(with(limits::kSendTimeLimitMax), Code::kOk);
  EXPECT_EQ(with(std::chrono::milliseconds(limits::kSendTimeLimitMax) + 1ms), Code::kInvalidArgument);
}

TEST_F(ClientTest, RefusesPeersThatCannotBe) {
  go_online();

  EXPECT_EQ(client_->direct_conversation("").code(), Code::kInvalidArgument);
  EXPECT_EQ(client_->direct_conversation("alice").code(), Code::kInvalidArgument);
  EXPECT_EQ(client_->direct_conversation(std::string(65, 'x')).code(), Code::kTooLarge);
  EXPECT_EQ(client_->direct_conversation("\xff").code(), Code::kInvalidUtf8);
  EXPECT_TRUE(client_->direct_conversation(std::string(64, 'x')).ok());
}

TEST_F(ClientTest, NamesWhatIsNotThere) {
  go_online();
  const ClientMessageId unknown = *ClientMessageId::from_bytes("0123456789abcdef");

  EXPECT_EQ(client_->send_text(ConversationKey{4'711}, "x", {}).code(), Code::kNotFound);
  EXPECT_EQ(client_->retry(unknown).code(), Code::kNotFound);
  EXPECT_EQ(client_->discard(unknown).code(), Code::kNotFound);
  EXPECT_EQ(client_->mark_read(ConversationKey{4'711}, 1).code(), Code::kNotFound);
}

TEST_F(ClientTest, AMessageOnItsWayCanNeitherBeRetriedNorDiscarded) {
  go_online();
  const ClientMessageId id = queue("x");
  run();

  EXPECT_EQ(client_->retry(id).code(), Code::kWrongState);
  EXPECT_EQ(client_->discard(id).code(), Code::kWrongState);
}

TEST_F(ClientTest, AQueuedMessageCanBeDiscarded) {
  have_session();
  make_client();
  const ClientMessageId id = queue("x");

  EXPECT_TRUE(client_->discard(id).ok());

  EXPECT_TRUE(history().empty());
}

TEST_F(ClientTest, NoEventIsToldInsideACall) {
  go_online();
  const std::size_t before = sink_.changes_told;

  queue("x");
  EXPECT_EQ(sink_.changes_told, before);
  run();

  EXPECT_GT(sink_.changes_told, before);
}

TEST_F(ClientTest, TellsEverythingBeforeItFinishes) {
  go_online();
  const std::size_t before = sink_.changes_told;
  queue("x");
  client_->list_devices(1);

  client_->finish();

  EXPECT_GT(sink_.changes_told, before);
  EXPECT_EQ(sink_.code_of(1), Code::kCancelled);
  EXPECT_EQ(sink_.states.back().state, ConnectionState::kStopped);
  const std::size_t told = sink_.states.size();
  destroy_client();
  run();
  EXPECT_EQ(sink_.states.size(), told);
}

TEST_F(ClientTest, CanBeDestroyedInsideEveryEvent) {
  const auto destroy = [this] { client_.reset(); };
  for (int event = 0; event < 5; ++event) {
    sink_.in_changes = sink_.in_ended = sink_.in_completed = nullptr;
    sink_.in_connection = nullptr;
    have_session();
    go_online();
    if (event == 0) sink_.in_changes = destroy;
    if (event == 1) sink_.in_ended = destroy;
    if (event == 2) sink_.in_completed = destroy;
    if (event == 3) sink_.in_connection = [&](ConnectionState) { destroy(); };
    if (event == 4)
      sink_.in_connection = [&](ConnectionState state) {
        if (state == ConnectionState::kWaiting) destroy();
      };

    queue("x");
    client_->login(1, "", "");
    client_->list_devices(2);
    deliver(items_frame(kAccountStream, 0, {}));
    deliver(event == 1 ? failure_frame(Code::kRolledBack) : failure_frame(Code::kUnavailable));
    advance(1min);

    EXPECT_EQ(client_, nullptr) << "event " << event;
    client_.reset();
    EXPECT_FALSE(executor_.next_time().has_value()) << "event " << event;
  }
}

TEST_F(ClientTest, CanBeDestroyedAtEveryTurn) {
  // One more turn is taken each time before the end, through log-in state, connecting, syncing, sending and answers.
  auto_caught_up_ = true;
  for (int turns = 0; turns < 40; ++turns) {
    have_session(0ms);
    make_client();
    client_->start();
    for (int i = 0; i < 3; ++i) queue("t" + std::to_string(turns) + "-" + std::to_string(i));
    client_->list_devices(1);
    for (int i = 0; i < turns; ++i) executor_.run_one();
    if (transport_.attempts() > 0 && transport_.last().open) {
      for (const wire::Send& send : sends()) deliver(refused_frame(send.client_message_id(), Code::kUnavailable));
      executor_.run_one();
    }

    destroy_client();
    run();

    EXPECT_FALSE(executor_.next_time().has_value()) << turns;
  }
}

TEST_F(ClientTest, ATransportThatEndsLaterFindsAHandler) {
  go_online();
  const auto connection = transport_.last().id;
  transport_.hold_closings(true);

  destroy_client();
  transport_.deliver_late(connection, items_frame(kConversation, 0, {roster_item(1)}));
  run();
  transport_.release_closings();
  run();

  EXPECT_TRUE(transport_.last().aborted);
  EXPECT_FALSE(executor_.next_time().has_value());
}

}  // namespace
}  // namespace chatsdk::test
