// SPDX-License-Identifier: Apache-2.0
//
// What the outbox makes of refusals: those for good, those for now, and what stands behind a failed message.
#include "unit/engine/outbox_world.h"

namespace chatsdk::test {
namespace {

using namespace std::chrono_literals;

class Refusals : public Outbox {
 protected:
  struct Two {
    ClientMessageId failed;
    ClientMessageId later;
  };
  // Messages "0" and "1", of which "0" alone has left and is refused for good.
  Two refuse_the_first_of_two(Code code) {
    send_window_ = 1;
    go_online();
    const Two two{queue("0"), queue("1")};
    run();
    deliver_and_run(refused_frame(std::string(two.failed.view()), code));
    return two;
  }
  // Messages "0" and "1" have left, and both are refused for good.
  Two refuse_both() {
    go_online();
    const Two two{queue("0"), queue("1")};
    run();
    for (const ClientMessageId& id : {two.failed, two.later}) {
      deliver(refused_frame(std::string(id.view()), Code::kForbidden));
    }
    run();
    return two;
  }
};

TEST_F(Refusals, APermanentRefusalFailsTheMessageWithItsReason) {
  go_online();
  const ClientMessageId id = queue("x");
  run();

  deliver_and_run(refused_frame(std::string(id.view()), Code::kForbidden));

  EXPECT_EQ(state(id), MessageState::kFailed);
  EXPECT_EQ(row(id).failure, Code::kForbidden);
}

TEST_F(Refusals, ConflictAndVoidedAreForGood) {
  go_online();
  for (const Code code : {Code::kConflict, Code::kVoided}) {
    auto key = client_->direct_conversation("user" + std::to_string(static_cast<int>(code)));
    auto sent = client_->send_text(*key, "x", {});
    run();
    deliver_and_run(refused_frame(std::string(sent->id.view()), code));
    EXPECT_EQ(row(sent->id).failure, code);
  }
}

TEST_F(Refusals, AFailedMessageBlocksTheLaterOnes) {
  const ClientMessageId later = refuse_the_first_of_two(Code::kForbidden).later;
  const ClientMessageId newest = queue("2");
  run();

  EXPECT_EQ(sends().size(), 1u);
  EXPECT_EQ(state(later), MessageState::kQueued);
  EXPECT_EQ(state(newest), MessageState::kQueued);
}

TEST_F(Refusals, AFailedMessageBlocksTheLaterOnesAfterAReconnectToo) {
  refuse_the_first_of_two(Code::kForbidden);

  drop();
  advance(2s);
  queue("2");
  run();

  EXPECT_TRUE(sends().empty());
}

// Another device of the user may send again what has failed here.
TEST_F(Refusals, WhatWaitsBehindAFailedMessageGoesOnceItsItemComes) {
  const auto [failed, later] = refuse_the_first_of_two(Code::kForbidden);
  ASSERT_EQ(state(failed), MessageState::kFailed);
  ASSERT_EQ(sends().size(), 1u);

  const std::string id(failed.view());
  deliver_and_run(items_frame(kConversation, 0, {roster_item(1), message_item(2, "0", "alice", id, kDevice + 1)}));

  EXPECT_EQ(state(failed), MessageState::kSent);
  EXPECT_EQ(state(later), MessageState::kSending);
  ASSERT_EQ(sends().size(), 2u);
  EXPECT_EQ(sends()[1].client_message_id(), later.view());
}

TEST_F(Refusals, AFailedMessageDoesNotBlockOtherConversations) {
  go_online();
  const ClientMessageId failed = queue("0");
  run();
  deliver_and_run(refused_frame(std::string(failed.view()), Code::kForbidden));

  auto carol = client_->direct_conversation("carol");
  auto sent = client_->send_text(*carol, "x", {});
  run();

  EXPECT_EQ(state(sent->id), MessageState::kSending);
}

TEST_F(Refusals, RetrySendsTheSameBytesAgainAndUnblocks) {
  const ClientMessageId failed = refuse_the_first_of_two(Code::kForbidden).failed;

  ASSERT_TRUE(client_->retry(failed).ok());
  run();

  ASSERT_EQ(sends().size(), 2u);
  EXPECT_EQ(sends()[1].SerializeAsString(), sends()[0].SerializeAsString());
  deliver_and_run(accepted_frame(std::string(failed.view()), 1));
  EXPECT_EQ(texts(sends()), (std::vector<std::string>{"0", "0", "1"}));
}

TEST_F(Refusals, AMessageThatARestoredServerHasLostIsSentAgainWhenItIsRetried) {
  go_online();
  const ClientMessageId id = queue("x");
  run();
  deliver_and_run(accepted_frame(std::string(id.view()), 2));
  drop();
  epoch_ = kEpoch + 1;
  advance(2s);
  ASSERT_EQ(state(id), MessageState::kFailed);
  EXPECT_EQ(row(id).failure, Code::kRolledBack);
  const ClientMessageId newer = queue("newer");
  run();
  EXPECT_EQ(state(newer), MessageState::kSending) << "what is lost blocks nothing";

  ASSERT_TRUE(client_->retry(id).ok());
  deliver_and_run(accepted_frame(std::string(newer.view()), 2));

  EXPECT_EQ(texts(sends()), (std::vector<std::string>{"newer", "x"}));
  EXPECT_EQ(sends().back().client_message_id(), id.view());
  deliver_and_run(accepted_frame(std::string(id.view()), 3));
  EXPECT_EQ(state(id), MessageState::kSent);
}

TEST_F(Refusals, DiscardClosesTheNumberAndUnblocks) {
  const ClientMessageId failed = refuse_the_first_of_two(Code::kForbidden).failed;

  ASSERT_TRUE(client_->discard(failed).ok());
  run();
  ASSERT_EQ(voids().size(), 1u);
  EXPECT_EQ(voids()[0].client_message_id(), failed.view());
  EXPECT_EQ(voids()[0].send_number(), 1u);
  EXPECT_EQ(sends().size(), 1u);
  deliver_and_run(voided_frame(std::string(failed.view())));

  EXPECT_EQ(texts(sends()), (std::vector<std::string>{"0", "1"}));
  EXPECT_EQ(history(), (std::vector<std::string>{"1"}));
}

TEST_F(Refusals, ADiscardLeavesInItsPlaceInTheOrder) {
  have_session();
  make_client();
  queue("0");
  const ClientMessageId dropped = queue("1");
  queue("2");
  ASSERT_TRUE(client_->discard(dropped).ok());

  go_online();

  std::vector<std::uint64_t> numbers;
  for (const wire::ClientFrame& frame : transport_.last().sent) {
    if (frame.has_send()) numbers.push_back(frame.send().send_number());
    if (frame.has_void_()) numbers.push_back(100 + frame.void_().send_number());
  }
  EXPECT_EQ(numbers, (std::vector<std::uint64_t>{1, 102, 3}));
}

TEST_F(Refusals, ADiscardThatTheServerWillNotHearOfGoes) {
  go_online();
  const ClientMessageId failed = queue("0");
  run();
  deliver_and_run(refused_frame(std::string(failed.view()), Code::kNotFound));
  ASSERT_TRUE(client_->discard(failed).ok());
  run();

  const std::size_t decided = sink_.decided;
  deliver_and_run(void_refused_frame(std::string(failed.view()), Code::kNotFound));

  EXPECT_EQ(*reader_->outbox_count(), 0u);
  EXPECT_TRUE(store_->sending_conversations()->empty());
  EXPECT_EQ(sink_.decided, decided + 1) << "whoever waits for the outbox to be empty hears of it";
}

TEST_F(Refusals, ADiscardThatTheServerWillNotHearOfLeavesItsNumberToTheNext) {
  const ClientMessageId failed = refuse_the_first_of_two(Code::kNotFound).failed;
  ASSERT_TRUE(client_->discard(failed).ok());
  run();

  deliver_and_run(void_refused_frame(std::string(failed.view()), Code::kNotFound));
  deliver_and_run(accepted_frame(sends().back().client_message_id(), 2));
  queue("2");
  run();

  EXPECT_EQ(texts(sends()), (std::vector<std::string>{"0", "1", "2"}));
  EXPECT_EQ(sends()[1].send_number(), 1u);
  EXPECT_EQ(sends()[2].send_number(), 2u);
}

TEST_F(Refusals, ARefusedHeadTakesTheNumberThatTheServerExpects) {
  go_online();
  const ClientMessageId first = queue("0");
  const ClientMessageId second = queue("1");
  run();

  deliver(out_of_order_frame(first, 8));
  deliver(out_of_order_frame(second, 8));
  run();
  advance(2s);
  queue("2");
  run();

  ASSERT_EQ(texts(sends()), (std::vector<std::string>{"0", "1", "0", "1", "2"}));
  EXPECT_EQ(sends()[2].send_number(), 8u);
  EXPECT_EQ(sends()[3].send_number(), 9u);
  EXPECT_EQ(sends()[4].send_number(), 10u);
  EXPECT_EQ(sends()[2].client_message_id(), first.view());
}

TEST_F(Refusals, ARowThatWaitsForAnEarlierOneKeepsItsNumber) {
  go_online();
  const ClientMessageId first = queue("0");
  const ClientMessageId second = queue("1");
  run();

  deliver(refused_frame(std::string(first.view()), Code::kUnavailable));
  deliver(out_of_order_frame(second, 1));
  run();
  advance(2s);

  ASSERT_EQ(sends().size(), 4u);
  EXPECT_EQ(sends()[2].SerializeAsString(), sends()[0].SerializeAsString());
  EXPECT_EQ(sends()[3].SerializeAsString(), sends()[1].SerializeAsString());
}

TEST_F(Refusals, ANumberThatNoServerCanExpectChangesNothing) {
  go_online();
  const ClientMessageId id = queue("0");
  run();

  for (const std::uint64_t number : {std::uint64_t{0}, limits::kSendNumberMax + 1, ~std::uint64_t{0}}) {
    deliver_and_run(out_of_order_frame(id, number));
    advance(10s);
  }

  ASSERT_EQ(sends().size(), 4u);
  EXPECT_EQ(sends()[3].send_number(), 1u);
  EXPECT_EQ(client_->connection_state(), ConnectionState::kOnline);
}

TEST_F(Refusals, ASecondFailedMessageStillBlocksOnceTheFirstIsDiscarded) {
  const auto [first, second] = refuse_both();

  ASSERT_TRUE(client_->discard(first).ok());
  run();
  deliver_and_run(voided_frame(std::string(first.view())));
  const ClientMessageId later = queue("2");
  run();

  EXPECT_EQ(sends().size(), 2u);
  EXPECT_EQ(state(later), MessageState::kQueued);
  ASSERT_TRUE(client_->discard(second).ok());
  run();
  deliver_and_run(voided_frame(std::string(second.view())));
  EXPECT_EQ(state(later), MessageState::kSending);
}

TEST_F(Refusals, ASecondFailedMessageStillBlocksOnceTheFirstIsRetried) {
  const auto [first, second] = refuse_both();

  ASSERT_TRUE(client_->retry(first).ok());
  run();
  deliver_and_run(accepted_frame(std::string(first.view()), 2));
  const ClientMessageId later = queue("2");
  run();

  EXPECT_EQ(sends().size(), 3u);
  EXPECT_EQ(state(later), MessageState::kQueued);
}

TEST_F(Refusals, AHeadRefusedForNowIsSentAgainThoughALaterOneFailed) {
  go_online();
  const ClientMessageId head = queue("0");
  const ClientMessageId later = queue("1");
  run();

  deliver(refused_frame(std::string(head.view()), Code::kUnavailable));
  deliver(refused_frame(std::string(later.view()), Code::kTooLarge));
  run();
  advance(2s);

  ASSERT_EQ(texts(sends()), (std::vector<std::string>{"0", "1", "0"}));
  deliver_and_run(accepted_frame(std::string(head.view()), 2));
  EXPECT_EQ(state(head), MessageState::kSent);
  EXPECT_EQ(state(later), MessageState::kFailed);
}

TEST_F(Refusals, ARetryableRefusalIsSentAgainAfterRetryAfter) {
  go_online();
  const ClientMessageId id = queue("0");
  run();
  deliver_and_run(refused_frame(std::string(id.view()), Code::kRateLimited, 5'000));

  advance(4'900ms);
  EXPECT_EQ(sends().size(), 1u);
  EXPECT_EQ(state(id), MessageState::kSending);
  advance(3s);  // half of retry-after is jitter

  ASSERT_EQ(sends().size(), 2u);
  EXPECT_EQ(sends()[1].SerializeAsString(), sends()[0].SerializeAsString());
}

TEST_F(Refusals, AFullDiskOfTheServerIsWaitedForAndFailsNothing) {
  go_online();
  const ClientMessageId id = queue("0");
  run();
  deliver_and_run(refused_frame(std::string(id.view()), Code::kStorageFull, 5'000));

  EXPECT_EQ(state(id), MessageState::kSending);
  EXPECT_EQ(sends().size(), 1u);
  advance(8s);

  ASSERT_EQ(sends().size(), 2u);
  EXPECT_EQ(sends()[1].client_message_id(), id.view());
}

TEST_F(Refusals, EverythingFromTheRefusedRowOnIsSentAgainInOrder) {
  go_online();
  std::vector<ClientMessageId> ids;
  for (int i = 0; i < 4; ++i) ids.push_back(queue(std::to_string(i)));
  run();
  deliver(accepted_frame(std::string(ids[0].view()), 1));
  deliver(refused_frame(std::string(ids[1].view()), Code::kUnavailable));
  deliver(refused_frame(std::string(ids[2].view()), Code::kOutOfOrder));
  run();
  advance(10s);
  EXPECT_EQ(sends().size(), 4u) << "nothing is sent again while an answer is open";

  deliver(refused_frame(std::string(ids[3].view()), Code::kOutOfOrder));
  run();
  advance(2s);

  EXPECT_EQ(texts(sends()), (std::vector<std::string>{"0", "1", "2", "3", "1", "2", "3"}));
}

}  // namespace
}  // namespace chatsdk::test
