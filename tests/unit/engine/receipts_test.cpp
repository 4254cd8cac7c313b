// SPDX-License-Identifier: Apache-2.0
#include "unit/engine/engine_world.h"

namespace chatsdk::test {
namespace {

using namespace std::chrono_literals;

class ReceiptsTest : public EngineWorld {
 protected:
  void have_messages(Seq count) {
    go_online();
    std::vector<wire::Item> items = {roster_item(1)};
    for (Seq seq = 2; seq <= count; ++seq) items.push_back(message_item(seq, std::to_string(seq)));
    deliver_and_run(items_frame(kConversation, 0, std::move(items)));
  }
};

TEST_F(ReceiptsTest, AMarkIsDurableBeforeItIsTold) {
  have_messages(5);

  ASSERT_TRUE(client_->mark_read(bob(), 4).ok());

  EXPECT_TRUE(reads().empty());
  EXPECT_EQ(reader_->conversation(bob())->read_up_to, 4u);
}

TEST_F(ReceiptsTest, MarksCoalesceForAQuarterOfASecond) {
  have_messages(5);

  for (Seq seq = 2; seq <= 5; ++seq) ASSERT_TRUE(client_->mark_read(bob(), seq).ok());
  advance(249ms);
  EXPECT_TRUE(reads().empty());
  advance(1ms);

  ASSERT_EQ(reads().size(), 1u);
  EXPECT_EQ(reads()[0].conversation_id(), kConversation);
  EXPECT_EQ(reads()[0].up_to(), 5u);
}

TEST_F(ReceiptsTest, TheSameMarkIsToldOnceOnAConnection) {
  have_messages(5);
  ASSERT_TRUE(client_->mark_read(bob(), 4).ok());
  advance(1s);

  ASSERT_TRUE(client_->mark_read(bob(), 3).ok());
  ASSERT_TRUE(client_->mark_read(bob(), 4).ok());
  advance(1s);

  EXPECT_EQ(reads().size(), 1u);
}

TEST_F(ReceiptsTest, AnUnconfirmedMarkIsToldAgainAfterAReconnect) {
  have_messages(5);
  ASSERT_TRUE(client_->mark_read(bob(), 4).ok());
  advance(1s);

  drop();
  advance(2s);

  ASSERT_EQ(reads().size(), 1u);
  EXPECT_EQ(reads()[0].up_to(), 4u);
}

TEST_F(ReceiptsTest, AMarkMadeOfflineIsToldAfterARestart) {
  have_messages(5);
  client_->stop();
  ASSERT_TRUE(client_->mark_read(bob(), 5).ok());

  restart();
  go_online();

  ASSERT_EQ(reads().size(), 1u);
  EXPECT_EQ(reads()[0].up_to(), 5u);
}

TEST_F(ReceiptsTest, AConfirmedMarkIsNotToldAgain) {
  have_messages(5);
  ASSERT_TRUE(client_->mark_read(bob(), 4).ok());
  advance(1s);
  deliver_and_run(read_mark_frame("alice", 4, 1));

  drop();
  advance(2s);

  EXPECT_TRUE(reads().empty());
}

TEST_F(ReceiptsTest, TheMarksRevisionIsNamedInTheNextHello) {
  have_messages(5);
  deliver_and_run(read_mark_frame("bob", 3, 12));

  drop();
  advance(2s);

  const wire::Hello hello = hellos().at(0);
  for (int i = 0; i < hello.stream_ids_size(); ++i) {
    if (hello.stream_ids(i) == kConversation) {
      EXPECT_EQ(hello.marks_revisions(i), 12u);
    }
  }
  EXPECT_GE(hello.stream_ids_size(), 2);
}

TEST_F(ReceiptsTest, TheOthersMarksMoveTheStatesOfMessages) {
  go_online();
  const ClientMessageId id = queue("x");
  run();
  deliver_and_run(accepted_frame(std::string(id.view()), 2));
  deliver_and_run(
      items_frame(kConversation, 0, {roster_item(1), message_item(2, "x", "alice", std::string(id.view()), kDevice)}));

  deliver_and_run(read_mark_frame("bob", 2, 1));

  EXPECT_EQ(state(id), MessageState::kRead);
}

}  // namespace
}  // namespace chatsdk::test
