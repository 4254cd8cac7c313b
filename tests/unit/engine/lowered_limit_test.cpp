// SPDX-License-Identifier: Apache-2.0
//
// A server that takes shorter texts than it did when a message was queued: what is too long fails with that reason,
// and nothing too long goes onto the wire, where it would end the connection again and again.
#include "unit/engine/engine_world.h"

namespace chatsdk::test {
namespace {

class LoweredLimit : public EngineWorld {
 protected:
  // A text that fitted under the limit before, and does not now.
  const std::string long_text_ = std::string(101, 'x');

  void lower() { text_bytes_max_ = 100; }
  // A message that was on the wire, unanswered, when the connection ended and the limit went down; online again.
  ClientMessageId sent_before_it_was_lowered() {
    go_online();
    const ClientMessageId id = queue(long_text_);
    run();
    lower();
    drop();
    advance(std::chrono::seconds(2));
    return id;
  }
};

TEST_F(LoweredLimit, AMessageThatNeverLeftFails) {
  have_session();
  make_client();
  const ClientMessageId id = queue(long_text_);
  lower();

  go_online();

  EXPECT_TRUE(sends().empty());
  EXPECT_EQ(state(id), MessageState::kFailed);
  EXPECT_EQ(row(id).failure, Code::kTooLarge);
}

TEST_F(LoweredLimit, TheLongestThatIsStillTakenIsSent) {
  have_session();
  make_client();
  queue(std::string(100, 'x'));
  lower();

  go_online();

  EXPECT_EQ(sends().size(), 1u);
}

TEST_F(LoweredLimit, TheLaterOnesWaitForTheApp) {
  have_session();
  make_client();
  const ClientMessageId head = queue(long_text_);
  const ClientMessageId next = queue("short");
  lower();
  go_online();
  EXPECT_EQ(state(next), MessageState::kQueued);

  ASSERT_TRUE(client_->discard(head).ok());
  run();

  ASSERT_EQ(sends().size(), 1u);
  EXPECT_EQ(sends()[0].client_message_id(), next.view());
}

TEST_F(LoweredLimit, ALaterOneFailsAtOnce) {
  have_session();
  make_client();
  const ClientMessageId head = queue("short");
  const ClientMessageId next = queue(long_text_);
  lower();
  go_online();
  ASSERT_EQ(sends().size(), 1u);
  EXPECT_EQ(sends()[0].client_message_id(), head.view());
  EXPECT_EQ(row(next).failure, Code::kTooLarge);
}

TEST_F(LoweredLimit, AMessageThatWasOnTheWireFailsOnlyByTheServersAnswer) {
  const ClientMessageId id = sent_before_it_was_lowered();

  EXPECT_TRUE(sends().empty());
  ASSERT_EQ(voids().size(), 1u);
  EXPECT_EQ(state(id), MessageState::kSending);
  deliver_and_run(voided_frame(std::string(id.view())));

  EXPECT_EQ(row(id).failure, Code::kTooLarge);
}

TEST_F(LoweredLimit, AMessageThatWasOnTheWireMayHaveBeenAccepted) {
  const ClientMessageId id = sent_before_it_was_lowered();

  deliver_and_run(void_accepted_frame(std::string(id.view()), 1));

  EXPECT_EQ(state(id), MessageState::kSent);
}

TEST_F(LoweredLimit, WhatWasVoidedIsRetriedUnderAnotherId) {
  const ClientMessageId id = sent_before_it_was_lowered();
  deliver_and_run(voided_frame(std::string(id.view())));
  text_bytes_max_ = 1'000;
  drop();
  advance(std::chrono::seconds(2));

  ASSERT_TRUE(client_->retry(id).ok());
  run();

  ASSERT_EQ(sends().size(), 1u);
  EXPECT_NE(sends()[0].client_message_id(), id.view());
  EXPECT_EQ(sends()[0].send_number(), 2u);
}

}  // namespace
}  // namespace chatsdk::test
