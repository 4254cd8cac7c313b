// SPDX-License-Identifier: Apache-2.0
//
// The sender's time limit: what fails by itself, and what only the server's answer can fail.
#include "unit/engine/engine_world.h"

namespace chatsdk::test {
namespace {

using namespace std::chrono_literals;

class TimeLimit : public EngineWorld {
 protected:
  static Client::SendOptions within(std::chrono::milliseconds limit) {
    Client::SendOptions options;
    options.time_limit = limit;
    return options;
  }
  // A connection that never comes up.
  void stay_offline() {
    auto_accept_upgrade_ = false;
    have_session();
    make_client();
    client_->start();
    run();
  }
};

TEST_F(TimeLimit, AMessageThatNeverLeftFailsWhenItPasses) {
  stay_offline();
  const ClientMessageId id = queue("x", within(60s));

  advance(59s);
  EXPECT_EQ(state(id), MessageState::kQueued);
  advance(1s);

  EXPECT_EQ(state(id), MessageState::kFailed);
  EXPECT_EQ(row(id).failure, Code::kTimedOut);
}

TEST_F(TimeLimit, AMessageWhoseTimePassedWhileTheAppWasClosedFailsAtTheStart) {
  have_session();
  make_client();
  const ClientMessageId id = queue("x", within(60s));
  client_.reset();
  clock_.advance(61s);

  auto_accept_upgrade_ = false;
  restart();
  client_->start();
  run();

  EXPECT_EQ(state(id), MessageState::kFailed);
}

TEST_F(TimeLimit, EachMessageFailsWhenItsOwnTimePasses) {
  stay_offline();
  const ClientMessageId head = queue("0", within(120s));
  const ClientMessageId second = queue("1", within(60s));
  const ClientMessageId third = queue("2", within(180s));

  advance(61s);
  EXPECT_EQ(state(head), MessageState::kQueued);
  EXPECT_EQ(state(second), MessageState::kFailed);
  EXPECT_EQ(state(third), MessageState::kQueued);
  advance(60s);
  EXPECT_EQ(state(head), MessageState::kFailed);
  EXPECT_EQ(state(third), MessageState::kQueued);
  advance(60s);
  EXPECT_EQ(state(third), MessageState::kFailed);
}

TEST_F(TimeLimit, AMessageBehindADiscardedOneFailsToo) {
  stay_offline();
  const ClientMessageId first = queue("0", within(60s));
  EXPECT_TRUE(client_->discard(first).ok());
  const ClientMessageId second = queue("1", within(60s));

  advance(61s);

  EXPECT_EQ(state(second), MessageState::kFailed);
}

TEST_F(TimeLimit, WhatFailedInTheMiddleHoldsBackTheLaterOnesOnly) {
  stay_offline();
  const ClientMessageId first = queue("0", within(600s));
  const ClientMessageId second = queue("1", within(60s));
  const ClientMessageId third = queue("2", within(600s));
  advance(61s);

  auto_accept_upgrade_ = true;
  client_->network_changed();
  advance(1min);
  ASSERT_EQ(sends().size(), 1u);
  EXPECT_EQ(sends()[0].client_message_id(), first.view());
  EXPECT_EQ(state(third), MessageState::kQueued);

  deliver_and_run(accepted_frame(std::string(first.view()), 2));
  ASSERT_TRUE(client_->retry(second).ok());
  run();
  ASSERT_EQ(sends().size(), 3u);
  EXPECT_EQ(sends()[1].client_message_id(), second.view());
  EXPECT_EQ(sends()[2].client_message_id(), third.view());
}

TEST_F(TimeLimit, ManyFailInStepsOfOneTransaction) {
  stay_offline();
  std::vector<ClientMessageId> ids;
  for (std::size_t i = 0; i < 2 * limits::kOverdueBatch + 1; ++i) ids.push_back(queue("x", within(60s)));

  advance(61s);

  for (const ClientMessageId& id : ids) ASSERT_EQ(state(id), MessageState::kFailed);
}

TEST_F(TimeLimit, AMessageThatWasOnTheWireStaysSendingWhileOffline) {
  go_online();
  const ClientMessageId id = queue("x", within(60s));
  run();
  auto_accept_upgrade_ = false;
  drop();

  advance(10min);

  EXPECT_EQ(state(id), MessageState::kSending);
}

TEST_F(TimeLimit, AMessageThatWasOnTheWireIsVoidedInsteadOfSentAgain) {
  go_online();
  const ClientMessageId id = queue("x", within(60s));
  run();
  auto_accept_upgrade_ = false;
  drop();
  advance(2min);

  auto_accept_upgrade_ = true;
  client_->network_changed();
  advance(1min);

  EXPECT_TRUE(sends().empty());
  ASSERT_EQ(voids().size(), 1u);
  EXPECT_EQ(voids()[0].client_message_id(), id.view());
  EXPECT_EQ(voids()[0].send_number(), 1u);
  EXPECT_EQ(state(id), MessageState::kSending);
}

TEST_F(TimeLimit, AnUnansweredMessageIsVoidedOnALiveConnection) {
  go_online();
  const ClientMessageId id = queue("x", within(60s));
  run();

  advance(61s);

  ASSERT_EQ(voids().size(), 1u);
  EXPECT_EQ(state(id), MessageState::kSending);
  deliver_and_run(voided_frame(std::string(id.view())));
  EXPECT_EQ(row(id).failure, Code::kTimedOut);
  deliver_and_run(refused_frame(std::string(id.view()), Code::kVoided));
  EXPECT_EQ(state(id), MessageState::kFailed);
  EXPECT_EQ(row(id).failure, Code::kTimedOut);
}

TEST_F(TimeLimit, TheAcceptanceThatCameFirstWins) {
  go_online();
  const ClientMessageId id = queue("x", within(60s));
  run();
  advance(61s);

  deliver(accepted_frame(std::string(id.view()), 1));
  deliver(void_accepted_frame(std::string(id.view()), 1));
  run();

  EXPECT_EQ(state(id), MessageState::kSent);
  EXPECT_EQ(row(id).seq, 1u);
}

TEST_F(TimeLimit, TheVoidsAnswerMaySayThatItWasAccepted) {
  go_online();
  const ClientMessageId id = queue("x", within(60s));
  run();
  drop();
  clock_.advance(61s);
  advance(2s);
  ASSERT_EQ(voids().size(), 1u);

  deliver_and_run(void_accepted_frame(std::string(id.view()), 7));

  EXPECT_EQ(state(id), MessageState::kSent);
  EXPECT_EQ(row(id).seq, 7u);
}

TEST_F(TimeLimit, ASendRefusedWhileTheVoidIsOpenLeavesTheVoidToDecide) {
  go_online();
  const ClientMessageId id = queue("x", within(60s));
  run();
  advance(61s);

  deliver_and_run(refused_frame(std::string(id.view()), Code::kUnavailable));
  EXPECT_EQ(state(id), MessageState::kSending);
  deliver_and_run(voided_frame(std::string(id.view())));

  EXPECT_EQ(state(id), MessageState::kFailed);
  EXPECT_EQ(row(id).failure, Code::kTimedOut);
}

TEST_F(TimeLimit, AVoidThatIsRefusedForNowIsAskedAgain) {
  go_online();
  const ClientMessageId id = queue("x", within(60s));
  run();
  drop();
  clock_.advance(61s);
  advance(2s);

  deliver_and_run(void_refused_frame(std::string(id.view()), Code::kUnavailable));
  EXPECT_EQ(state(id), MessageState::kSending);
  advance(2s);

  EXPECT_EQ(voids().size(), 2u);
}

TEST_F(TimeLimit, NothingLeavesBehindAHeadThatIsBeingVoided) {
  go_online();
  const ClientMessageId id = queue("0", within(60s));
  run();
  drop();
  queue("1", within(1h));
  clock_.advance(61s);
  advance(2s);
  ASSERT_EQ(voids().size(), 1u);
  EXPECT_TRUE(sends().empty());

  deliver_and_run(voided_frame(std::string(id.view())));

  EXPECT_TRUE(sends().empty()) << "a failed message blocks the later ones";
}

TEST_F(TimeLimit, ALaterRowThatIsOverdueIsVoidedWhenItBecomesTheHead) {
  go_online();
  const ClientMessageId first = queue("0", within(1h));
  const ClientMessageId second = queue("1", within(60s));
  run();
  advance(61s);
  EXPECT_TRUE(voids().empty());

  deliver_and_run(accepted_frame(std::string(first.view()), 1));

  ASSERT_EQ(voids().size(), 1u);
  EXPECT_EQ(voids()[0].client_message_id(), second.view());
}

TEST_F(TimeLimit, RetryGivesAFailedMessageANewTimeLimit) {
  stay_offline();
  const ClientMessageId id = queue("x", within(60s));
  advance(61s);
  ASSERT_EQ(state(id), MessageState::kFailed);

  ASSERT_TRUE(client_->retry(id).ok());

  advance(1h);
  EXPECT_EQ(state(id), MessageState::kQueued);
}

TEST_F(TimeLimit, AVoidedMessageIsRetriedUnderAnotherIdAndTheNextNumber) {
  go_online();
  const ClientMessageId id = queue("x", within(60s));
  const MessageKey key = row(id).key;
  run();
  advance(61s);
  deliver(refused_frame(std::string(id.view()), Code::kVoided));
  deliver(voided_frame(std::string(id.view())));
  run();
  ASSERT_EQ(state(id), MessageState::kFailed);

  ASSERT_TRUE(client_->retry(id).ok());
  run();

  ASSERT_EQ(sends().size(), 2u);
  EXPECT_NE(sends()[1].client_message_id(), id.view());
  EXPECT_EQ(sends()[1].client_message_id(), reader_->message(key)->client_message_id.view());
  EXPECT_EQ(sends()[1].send_number(), 2u);
  EXPECT_EQ(text_of(sends()[1]), "x");
  EXPECT_EQ(reader_->message_by_client_id(id).code(), Code::kNotFound);
}

TEST_F(TimeLimit, AMessageThatNeverLeftIsRetriedUnderItsOwnId) {
  stay_offline();
  const ClientMessageId id = queue("x", within(60s));
  advance(61s);

  ASSERT_TRUE(client_->retry(id).ok());

  EXPECT_EQ(state(id), MessageState::kQueued);
}

TEST_F(TimeLimit, AVoidIsNotAskedAgainWhileTheSendIsUnanswered) {
  go_online();
  const ClientMessageId id = queue("x", within(60s));
  run();
  advance(61s);

  deliver_and_run(void_refused_frame(std::string(id.view()), Code::kUnavailable));
  advance(5s);
  EXPECT_EQ(voids().size(), 1u);
  deliver_and_run(refused_frame(std::string(id.view()), Code::kUnavailable));
  advance(5s);

  EXPECT_EQ(voids().size(), 2u);
}

TEST_F(TimeLimit, WhatWasOnceToBeVoidedIsNotSentAgainAlthoughTheClockWentBack) {
  go_online();
  const ClientMessageId head = queue("0", within(60s));
  queue("1", within(std::chrono::hours(48)));
  run();
  advance(61s);
  ASSERT_EQ(voids().size(), 1u);
  client_.reset();  // the answer is lost, and the app ends
  clock_.jump_wall(-std::chrono::hours(1));

  restart();
  client_->start();
  advance(2s);

  EXPECT_TRUE(sends().empty());
  ASSERT_EQ(voids().size(), 1u);
  EXPECT_EQ(voids()[0].client_message_id(), head.view());
}

TEST_F(TimeLimit, ARetriedMessageIsSentAlthoughItWasOnceToBeVoided) {
  go_online();
  const ClientMessageId id = queue("x", within(60s));
  run();
  drop();
  clock_.advance(61s);
  advance(2s);
  ASSERT_EQ(voids().size(), 1u);
  deliver_and_run(void_refused_frame(std::string(id.view()), Code::kForbidden));
  ASSERT_EQ(row(id).failure, Code::kForbidden);

  ASSERT_TRUE(client_->retry(id).ok());
  run();

  ASSERT_EQ(sends().size(), 1u);
  EXPECT_EQ(sends()[0].client_message_id(), id.view());
}

TEST_F(TimeLimit, AWallClockThatJumpsIsNoticedWithinTheHour) {
  stay_offline();
  const ClientMessageId id = queue("x", within(std::chrono::hours(48)));
  clock_.jump_wall(std::chrono::hours(49));

  advance(61min);

  EXPECT_EQ(state(id), MessageState::kFailed);
}

}  // namespace
}  // namespace chatsdk::test
