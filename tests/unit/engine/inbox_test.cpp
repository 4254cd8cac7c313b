// SPDX-License-Identifier: Apache-2.0
#include "unit/engine/engine_world.h"
#include "unit/store/fault_vfs.h"

namespace chatsdk::test {
namespace {

using namespace std::chrono_literals;

class InboxTest : public EngineWorld {
 protected:
  void have_conversation(Seq up_to = 1) {
    go_online();
    std::vector<wire::Item> items = {roster_item(1)};
    for (Seq seq = 2; seq <= up_to; ++seq) items.push_back(message_item(seq, std::to_string(seq)));
    deliver_and_run(items_frame(kConversation, 0, std::move(items)));
  }
  Seq cursor() { return (*store_->cursor(StreamId{kConversation}))->seq; }
  // What it is when all that was delivered has arrived, and the inbox's own turn, which the first frame asked for, has
  // not come yet.
  Seq cursor_on_arrival() {
    Seq seen = 0;
    executor_.post([&] { seen = cursor(); });
    run();
    return seen;
  }
};

TEST_F(InboxTest, AcknowledgesAfterTheCommit) {
  have_conversation();

  deliver_and_run(items_frame(kConversation, 1, {message_item(2, "hi")}));

  EXPECT_EQ(cursor(), 2u);
  const wire::Ack ack = acks().back();
  ASSERT_EQ(ack.streams_size(), 1);
  EXPECT_EQ(ack.streams(0).stream_id(), kConversation);
  EXPECT_EQ(ack.streams(0).seq(), 2u);
  EXPECT_EQ(history(), (std::vector<std::string>{"hi"}));
}

TEST_F(InboxTest, ABurstIsOneTransactionAndOneAcknowledgement) {
  have_conversation();
  const std::uint64_t revision = store_->revision();
  const std::size_t before = acks().size();

  for (Seq seq = 2; seq <= 40; ++seq) deliver(items_frame(kConversation, seq - 1, {message_item(seq, "m")}));
  run();

  EXPECT_EQ(store_->revision(), revision + 1);
  EXPECT_EQ(acks().size(), before + 1);
  EXPECT_EQ(acks().back().streams(0).seq(), 40u);
}

TEST_F(InboxTest, ATransactionHoldsNoMoreThanTheBatch) {
  have_conversation();
  const std::uint64_t revision = store_->revision();

  for (Seq seq = 2; seq <= 1 + 2 * limits::kApplyBatchMax; ++seq) {
    deliver(items_frame(kConversation, seq - 1, {message_item(seq, "m")}));
  }
  run();

  EXPECT_EQ(store_->revision(), revision + 2);
}

TEST_F(InboxTest, WaitingItemsAreAppliedOnArrivalWhenTheyAreTooMany) {
  have_conversation();
  constexpr Seq kMax = limits::kWaitingItemsMax;

  for (Seq seq = 1; seq < kMax; ++seq) deliver(items_frame(kConversation, seq, {message_item(seq + 1, "m")}));
  EXPECT_EQ(cursor_on_arrival(), 1u);

  for (Seq seq = kMax; seq < 2 * kMax; ++seq) deliver(items_frame(kConversation, seq, {message_item(seq + 1, "m")}));
  EXPECT_EQ(cursor_on_arrival(), 2 * kMax);
}

TEST_F(InboxTest, WaitingFramesAreAppliedOnArrivalWhenTheyAreTooMany) {
  have_conversation(2);
  // Marks of two conversations in turn, so that none is merged into the frame before.
  const auto deliver_marks = [&](std::size_t count) {
    wire::ServerFrame others;
    others.mutable_marks()->set_conversation_id(kConversation + 1);
    for (std::size_t i = 0; i < count; ++i) deliver(i % 2 == 0 ? others : read_mark_frame("bob", 1, i));
  };

  deliver(items_frame(kConversation, 2, {message_item(3, "m")}));
  deliver_marks(limits::kWaitingFramesMax - 2);
  EXPECT_EQ(cursor_on_arrival(), 2u);

  deliver(items_frame(kConversation, 3, {message_item(4, "m")}));
  deliver_marks(limits::kWaitingFramesMax - 1);
  EXPECT_EQ(cursor_on_arrival(), 4u);
}

TEST_F(InboxTest, OneAcknowledgementNamesAllStreamsOfATurn) {
  have_conversation();
  const std::size_t before = acks().size();

  deliver(items_frame(kConversation, 1, {message_item(2, "a")}));
  deliver(items_frame(901, 0, {roster_item(1)}));
  deliver(items_frame(kConversation, 2, {message_item(3, "b")}));
  run();

  ASSERT_EQ(acks().size(), before + 1);
  EXPECT_EQ(acks().back().streams_size(), 2);
}

TEST_F(InboxTest, ItemsThatAreKnownAreDroppedAndAcknowledgedAgain) {
  have_conversation(3);
  const std::size_t before = acks().size();

  deliver_and_run(items_frame(kConversation, 0, {roster_item(1), message_item(2, "2"), message_item(3, "3")}));

  EXPECT_EQ(history(), (std::vector<std::string>{"2", "3"}));
  ASSERT_EQ(acks().size(), before + 1);
  EXPECT_EQ(acks().back().streams(0).seq(), 3u);
}

TEST_F(InboxTest, AGapAsksForWhatFollowsTheCursorOnce) {
  have_conversation(3);

  for (Seq seq = 6; seq <= 9; ++seq) {
    deliver(items_frame(kConversation, seq - 1, {message_item(seq, "late")}));
    deliver(items_frame(kConversation, seq + 9, {message_item(seq + 10, "later")}));
  }
  run();

  ASSERT_EQ(pulls().size(), 1u);
  EXPECT_EQ(pulls()[0].stream_id(), kConversation);
  EXPECT_EQ(pulls()[0].after_seq(), 3u);
  EXPECT_EQ(cursor(), 3u);
}

TEST_F(InboxTest, AGapThatStaysIsAskedForAgain) {
  have_conversation(3);
  deliver_and_run(items_frame(kConversation, 5, {message_item(6, "6")}));
  advance(6s);

  deliver_and_run(items_frame(kConversation, 6, {message_item(7, "7")}));

  EXPECT_EQ(pulls().size(), 2u);
}

TEST_F(InboxTest, AFilledGapMakesWayForTheNext) {
  have_conversation(3);
  deliver_and_run(items_frame(kConversation, 4, {message_item(5, "5")}));
  deliver_and_run(items_frame(kConversation, 3, {message_item(4, "4"), message_item(5, "5")}));
  EXPECT_EQ(cursor(), 5u);

  deliver_and_run(items_frame(kConversation, 7, {message_item(8, "8")}));

  ASSERT_EQ(pulls().size(), 2u);
  EXPECT_EQ(pulls()[1].after_seq(), 5u);
}

TEST_F(InboxTest, NoMoreGapsThanTheLimitAreAskedForAtOnce) {
  go_online();

  for (std::uint64_t i = 0; i < limits::kPulledMax + 1; ++i) {
    EXPECT_EQ(pulls().size(), i);
    deliver_and_run(caught_up_frame(10'000 + i, 1));
  }

  EXPECT_EQ(pulls().size(), limits::kPulledMax);
}

TEST_F(InboxTest, ACaughtUpBeyondTheCursorIsAGap) {
  have_conversation(3);

  deliver_and_run(caught_up_frame(kConversation, 5));

  ASSERT_EQ(pulls().size(), 1u);
  EXPECT_EQ(pulls()[0].after_seq(), 3u);
}

TEST_F(InboxTest, IsOnlineOnceEverythingIsCaughtUp) {
  auto_caught_up_ = false;
  have_conversation();
  deliver_and_run(caught_up_frame(kConversation, 1));
  EXPECT_EQ(client_->connection_state(), ConnectionState::kSyncing);

  deliver_and_run(caught_up_frame(0));

  EXPECT_EQ(client_->connection_state(), ConnectionState::kOnline);
}

TEST_F(InboxTest, TheHelloNamesTheCursors) {
  have_conversation(3);
  drop();
  advance(2s);

  const wire::Hello hello = hellos().at(0);
  EXPECT_EQ(hello.store_epoch(), kEpoch);
  ASSERT_EQ(hello.stream_ids_size(), hello.seqs_size());
  ASSERT_EQ(hello.stream_ids_size(), hello.marks_revisions_size());
  bool named = false;
  for (int i = 0; i < hello.stream_ids_size(); ++i) {
    named = named || (hello.stream_ids(i) == kConversation && hello.seqs(i) == 3);
  }
  EXPECT_TRUE(named);
}

TEST_F(InboxTest, MalformedItemsCloseWith1007AndChangeNothing) {
  have_conversation(3);
  const std::size_t before = acks().size();

  deliver_and_run(items_frame(kConversation, 3, {message_item(4, "4"), message_item(6, "6")}));

  EXPECT_EQ(transport_.last().close_code, 1007);
  EXPECT_EQ(cursor(), 3u);
  EXPECT_EQ(acks().size(), before);
  EXPECT_EQ(client_->connection_state(), ConnectionState::kWaiting);
}

TEST_F(InboxTest, UnknownKindsMoveTheCursor) {
  have_conversation(3);
  wire::Item unknown;
  unknown.set_seq(4);
  unknown.set_kind(static_cast<wire::ItemKind>(99));

  deliver_and_run(items_frame(kConversation, 3, {unknown}));

  EXPECT_EQ(cursor(), 4u);
  EXPECT_EQ(acks().back().streams(0).seq(), 4u);
}

TEST_F(InboxTest, AnotherEpochRewindsTheCursors) {
  have_conversation(3);
  drop();
  epoch_ = kEpoch + 1;
  auto_caught_up_ = false;
  advance(2s);

  EXPECT_EQ(hellos().at(0).store_epoch(), kEpoch);
  EXPECT_EQ(*store_->store_epoch(), kEpoch + 1);
  EXPECT_EQ(cursor(), 0u);
  deliver_and_run(items_frame(kConversation, 0, {roster_item(1), message_item(2, "2"), message_item(3, "3")}));
  deliver_and_run(caught_up_frame(0));
  EXPECT_EQ(history(), (std::vector<std::string>{"2", "3"}));
}

TEST_F(InboxTest, MessagesThatAnEpochLostAreMarkedOnceCaughtUp) {
  have_conversation(3);
  drop();
  epoch_ = kEpoch + 1;
  auto_caught_up_ = false;
  advance(2s);
  deliver_and_run(items_frame(kConversation, 0, {roster_item(1), message_item(2, "2")}));

  deliver_and_run(caught_up_frame(0));

  auto page = reader_->history_before(bob(), 0, 10);
  ASSERT_EQ(page->rows.size(), 2u);
  EXPECT_EQ(page->rows[0].failure, Code::kOk);
  EXPECT_EQ(page->rows[1].failure, Code::kRolledBack);
}

TEST_F(InboxTest, WhatArrivedWithTheEndIsAppliedAndNotAskedForAgain) {
  have_conversation(3);
  const auto connection = transport_.last().id;

  transport_.deliver(connection, items_frame(kConversation, 3, {message_item(4, "4")}));
  transport_.drop(connection, {1006, {Code::kNetwork, "", {}}, 0});
  run();

  EXPECT_EQ(cursor(), 4u);
}

TEST_F(InboxTest, FramesOfAnEarlierConnectionAreDropped) {
  have_conversation(3);
  const auto old = transport_.last().id;
  transport_.hold_closings(true);
  client_->stop();
  client_->start();
  run();
  ASSERT_NE(transport_.last().id, old);

  transport_.deliver_late(old, items_frame(kConversation, 3, {message_item(4, "stale")}));
  run();

  EXPECT_EQ(cursor(), 3u);
  transport_.release_closings();
  run();
  EXPECT_EQ(client_->connection_state(), ConnectionState::kOnline);
}

// A disk that takes no more writes.
class FullDisk : public InboxTest {
 protected:
  FullDisk() {
    reader_.reset();
    store_.reset();
    base_vfs_ = "engine-fault";
    open_store();
  }
  ~FullDisk() override {
    client_.reset();
    reader_.reset();
    store_.reset();
  }
  FaultVfs disk_{"engine-fault"};
};

TEST_F(FullDisk, NothingIsAcknowledgedAndTheConnectionEndsWithTheCause) {
  have_conversation(3);
  const std::size_t before = acks().size();
  disk_.write_result = SQLITE_FULL;

  deliver_and_run(items_frame(kConversation, 3, {message_item(4, "4")}));

  EXPECT_EQ(cursor(), 3u);
  EXPECT_EQ(acks().size(), before);
  EXPECT_EQ(transport_.last().close_code, 1001);
  EXPECT_EQ(sink_.states.back().state, ConnectionState::kWaiting);
  EXPECT_EQ(sink_.states.back().cause.code, Code::kStorageFull);
}

TEST_F(FullDisk, WhatCouldNotBeAppliedIsTakenLater) {
  have_conversation(3);
  disk_.write_result = SQLITE_FULL;
  deliver_and_run(items_frame(kConversation, 3, {message_item(4, "4")}));
  disk_.write_result = SQLITE_OK;

  advance(2s);
  deliver_and_run(items_frame(kConversation, 3, {message_item(4, "4")}));

  EXPECT_EQ(cursor(), 4u);
  EXPECT_EQ(acks().back().streams(0).seq(), 4u);
}

TEST_F(FullDisk, PausesGrowWhileTheDiskStaysFull) {
  have_conversation(3);
  const auto base = transport_.on_sent;
  transport_.on_sent = [&](FakeTransport::Connection& connection, const wire::ClientFrame& frame) {
    base(connection, frame);
    if (frame.has_hello()) transport_.deliver(connection.id, items_frame(kConversation, 3, {message_item(4, "4")}));
  };
  auto_caught_up_ = false;
  disk_.write_result = SQLITE_FULL;
  deliver_and_run(items_frame(kConversation, 3, {message_item(4, "4")}));

  advance(10min);

  EXPECT_LT(transport_.attempts(), 60u);
}

TEST_F(FullDisk, AMessageThatCannotBeStoredIsRefused) {
  have_conversation(3);
  const ConversationKey key = bob();
  disk_.write_result = SQLITE_FULL;

  EXPECT_EQ(client_->send_text(key, "x", {}).code(), Code::kStorageFull);

  run();
  EXPECT_TRUE(sends().empty());
}

TEST_F(FullDisk, AnAnswerThatCannotBeSavedIsAskedForAgain) {
  have_conversation(3);
  const ClientMessageId id = queue("x");
  run();
  const auto first = sends();
  disk_.write_result = SQLITE_FULL;
  deliver_and_run(accepted_frame(std::string(id.view()), 4));
  EXPECT_EQ(client_->connection_state(), ConnectionState::kWaiting);
  disk_.write_result = SQLITE_OK;

  advance(2s);

  ASSERT_EQ(sends().size(), 1u);
  EXPECT_EQ(sends()[0].SerializeAsString(), first[0].SerializeAsString());
  deliver_and_run(accepted_frame(std::string(id.view()), 4));
  EXPECT_EQ(state(id), MessageState::kSent);
}

TEST_F(FullDisk, NothingLeavesThatCouldNotBeMarkedAsOnTheWire) {
  have_session();
  make_client();
  const ClientMessageId id = queue("x");
  auto_welcome_ = false;
  client_->start();
  run();
  // The epoch is known, so that the claim is the first write of the connection.
  ASSERT_TRUE(store_->begin_epoch(kEpoch, StreamId{kAccountStream}).ok());
  disk_.write_result = SQLITE_FULL;
  wire::ServerFrame greeting;
  *greeting.mutable_welcome() = welcome();

  deliver_and_run(greeting);

  EXPECT_TRUE(sends().empty());
  EXPECT_EQ(state(id), MessageState::kQueued);
  EXPECT_EQ(sink_.states.back().cause.code, Code::kStorageFull);
}

TEST_F(FullDisk, ARefreshedSessionIsUsedOnlyOnceItIsSaved) {
  token_lifetime_ = 15min;
  go_online();
  http_.respond = nullptr;
  advance(14min + 1s);
  const auto refresh = http_.requests("POST /v1/sessions/refresh");
  ASSERT_EQ(refresh.size(), 1u);
  disk_.write_result = SQLITE_FULL;
  http_.answer(refresh[0], protobuf_response(session_answer(1)));
  run();
  EXPECT_TRUE(authentications().empty());
  disk_.write_result = SQLITE_OK;

  advance(6s);

  const auto again = http_.requests("POST /v1/sessions/refresh");
  ASSERT_EQ(again.size(), 2u);
  EXPECT_EQ(http_.exchange(again[0]).request.body, http_.exchange(again[1]).request.body);
}

TEST_F(InboxTest, MarksOfATurnTakeEffectInOneTransaction) {
  have_conversation(5);
  const std::uint64_t revision = store_->revision();

  for (Seq seq = 2; seq <= 5; ++seq) deliver(read_mark_frame("bob", seq, seq));
  run();

  EXPECT_EQ(store_->revision(), revision + 1);
}

TEST_F(FullDisk, ManyConversationsOfATurnShareSyncs) {
  have_conversation();
  constexpr std::uint64_t kStreams = 256;
  const std::uint64_t syncs = disk_.syncs;
  const std::size_t acknowledged = acks().size();

  for (std::uint64_t stream = 2'000; stream < 2'000 + kStreams; ++stream) {
    deliver(items_frame(stream, 0, {roster_item(1)}));
    deliver(caught_up_frame(stream, 1));
  }
  run();

  // A transaction for each 64 items, and now and then a checkpoint's.
  EXPECT_LE(disk_.syncs - syncs, kStreams / limits::kApplyBatchMax + 3);
  // Each is acknowledged at once, so that the server sends on meanwhile.
  EXPECT_EQ(acks().size(), acknowledged + kStreams / limits::kApplyBatchMax);
  EXPECT_EQ(acks().back().streams_size(), static_cast<int>(limits::kApplyBatchMax));
  EXPECT_TRUE(pulls().empty());
}

TEST_F(InboxTest, WhatCameBeforeAMalformedFrameOfATurnHolds) {
  have_conversation(3);

  deliver(items_frame(kConversation, 3, {message_item(4, "4")}));
  deliver(items_frame(901, 0, {roster_item(1), message_item(5, "5")}));
  deliver(items_frame(902, 0, {roster_item(1)}));
  run();

  EXPECT_EQ(transport_.last().close_code, 1007);
  EXPECT_EQ(cursor(), 4u);
  EXPECT_FALSE((*store_->cursor(StreamId{901})).has_value());
}

TEST_F(InboxTest, AGapAmongOtherStreamsOfATurnIsAskedFor) {
  have_conversation(3);

  deliver(items_frame(901, 0, {roster_item(1)}));
  deliver(items_frame(kConversation, 5, {message_item(6, "6")}));
  deliver(read_mark_frame("bob", 3, 2));
  deliver(caught_up_frame(902, 4));
  run();

  ASSERT_EQ(pulls().size(), 2u);
  EXPECT_EQ(pulls()[0].after_seq(), 3u);
  EXPECT_EQ(pulls()[1].stream_id(), 902u);
  EXPECT_EQ((*store_->cursor(StreamId{901}))->seq, 1u);
}

TEST_F(InboxTest, MarksWithAGapBetweenThemAreNotOne) {
  have_conversation(5);
  deliver(read_mark_frame("bob", 1, 1));
  wire::ServerFrame third = read_mark_frame("bob", 2, 3);
  third.mutable_marks()->set_after_revision(2);

  deliver(third);
  run();

  EXPECT_EQ((*store_->cursor(StreamId{kConversation}))->marks_revision, 1u);
}

// A server keeps a delivered mark in memory for a moment: one that died then never wrote it.
TEST_F(InboxTest, AcknowledgesAgainWhatTheMarksDoNotShowOnceCaughtUp) {
  have_conversation(4);
  drop();

  advance(2s);

  ASSERT_FALSE(acks().empty());
  const wire::Ack ack = acks().back();
  ASSERT_EQ(ack.streams_size(), 1);
  EXPECT_EQ(ack.streams(0).stream_id(), kConversation);
  EXPECT_EQ(ack.streams(0).seq(), 4u);
  EXPECT_EQ(ack.streams(0).delivered_from(), 0u);
}

TEST_F(InboxTest, SpeaksForWhatItWasMeantToHave) {
  have_conversation(3);
  wire::Item skip;
  skip.set_seq(5);
  skip.set_kind(wire::ITEM_KIND_SKIP);
  skip.set_skip_reason(wire::SKIP_REASON_NOT_LISTED);

  deliver_and_run(items_frame(kConversation, 3, {skip, message_item(6, "6")}));

  const wire::Ack ack = acks().back();
  ASSERT_EQ(ack.streams_size(), 1);
  EXPECT_EQ(ack.streams(0).seq(), 6u);
  EXPECT_EQ(ack.streams(0).delivered_from(), 5u);
  EXPECT_EQ(ack.streams(0).missing_from(), 0u);

  skip.set_seq(8);
  skip.set_skip_reason(wire::SKIP_REASON_TRIMMED);
  deliver_and_run(items_frame(kConversation, 6, {skip, message_item(9, "9")}));

  const wire::Ack later = acks().back();
  EXPECT_EQ(later.streams(0).delivered_from(), 8u);
  EXPECT_EQ(later.streams(0).missing_from(), 8u);
}

TEST_F(InboxTest, SaysNothingOfWhatTheMarksShow) {
  have_conversation(4);
  wire::ServerFrame marks = read_mark_frame("alice", 4, 1);
  marks.mutable_marks()->mutable_advances(0)->set_kind(wire::Marks::KIND_DELIVERED);
  deliver_and_run(marks);
  drop();

  advance(2s);

  EXPECT_TRUE(acks().empty());
}

}  // namespace
}  // namespace chatsdk::test
