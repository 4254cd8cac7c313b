// SPDX-License-Identifier: Apache-2.0
//
// The rules of reading: pages, entitlement, marks, cursors, what a device follows.
//
// Threads: one.
#include "tests/unit/server/store_contract.h"

namespace chatsdk::server {
namespace {

class ReadContract : public PairContract {
 protected:
  void append(int count, std::size_t text_bytes = 5) {
    std::vector<WriteOp> ops;
    for (int i = 0; i < count; ++i) ops.push_back(from_ann(++last_number_, std::string(text_bytes, 'x')));
    commit(std::move(ops));
  }
  MarksAdvanced mark(const UserId& user_id, Seq from, Seq delivered, Seq read) {
    return write<MarksAdvanced>(AdvanceMarks{user_id, conversation_, from, delivered, read, now()});
  }
  Code mark_code(const UserId& user_id, Seq from, Seq delivered, Seq read) {
    return code(AdvanceMarks{user_id, conversation_, from, delivered, read, now()});
  }
  FollowedStream followed(const UserId& user_id, DeviceId device, StreamId stream_id) {
    const auto streams = reader().followed(user_id, device);
    for (const FollowedStream& stream : *streams) {
      if (stream.stream_id == stream_id) return stream;
    }
    ADD_FAILURE() << "not followed";
    return {};
  }
  std::uint64_t last_number_ = 1;
};

// ---- Pages ---------------------------------------------------------------------------------------------------------

TEST_F(ReadContract, PagesCloseAtTheNumberOfItems) {
  append(10);
  auto page = reader().items("bob", {}, conversation_, 0, 5, 1 << 20);
  ASSERT_TRUE(page.ok());
  EXPECT_EQ(page->items.size(), 5u);
  EXPECT_EQ(page->last, 5u);
  EXPECT_EQ(page->head, 12u);
  page = reader().items("bob", {}, conversation_, 5, 100, 1 << 20);
  EXPECT_EQ(page->items.size(), 7u);
  EXPECT_EQ(page->last, 12u);
}

TEST_F(ReadContract, PagesCloseAtTheirBytesButHoldOneItem) {
  append(4, 1'000);
  auto page = reader().items("bob", {}, conversation_, 2, 100, 2'500);
  EXPECT_EQ(page->items.size(), 2u);
  EXPECT_EQ(page->last, 4u);
  page = reader().items("bob", {}, conversation_, 4, 100, 10);
  EXPECT_EQ(page->items.size(), 1u);
  EXPECT_EQ(page->last, 5u);
}

TEST_F(ReadContract, APageAtTheHeadIsEmpty) {
  auto page = reader().items("bob", {}, conversation_, 2, 10, 1 << 20);
  EXPECT_TRUE(page->items.empty());
  EXPECT_EQ(page->last, 2u);
  EXPECT_EQ(page->head, 2u);
  page = reader().items("bob", {}, conversation_, 99, 10, 1 << 20);
  EXPECT_TRUE(page->items.empty());
  EXPECT_EQ(page->last, 99u);
  EXPECT_EQ(page->head, 2u);
  EXPECT_TRUE(reader().items("bob", {}, conversation_, ~Seq{0}, 10, 1 << 20)->items.empty());
}

TEST_F(ReadContract, ForeignAndUnknownStreamsLookTheSame) {
  register_user("eve");
  EXPECT_EQ(read_code("eve", conversation_), Code::kNotFound);
  EXPECT_EQ(read_code("eve", ann_account_.account_stream), Code::kNotFound);
  EXPECT_EQ(read_code("eve", StreamId{424242}), Code::kNotFound);
  EXPECT_EQ(reader().items("eve", {}, conversation_, 0, 1, 1).error().detail,
            reader().items("eve", {}, StreamId{424242}, 0, 1, 1).error().detail);
}

TEST_F(ReadContract, AnAccountStreamIsItsUsersOwn) {
  const auto items = read("ann", ann_account_.account_stream);
  ASSERT_EQ(items.size(), 2u);
  EXPECT_EQ(items[0].kind(), wire::ITEM_KIND_DEVICES_CHANGED);
  EXPECT_EQ(items[1].kind(), wire::ITEM_KIND_CONVERSATION_ADDED);
  EXPECT_EQ(read_code("bob", ann_account_.account_stream), Code::kNotFound);
}

TEST_F(ReadContract, AReaderSeesEveryCommitThatReturned) {
  for (std::uint64_t number = 2; number < 20; ++number) {
    const auto appended = write<Appended>(from_ann(number));
    EXPECT_EQ(reader().items("ann", {}, conversation_, 0, 1, 1)->head, appended.seq);
  }
}

// ---- Entitlement ---------------------------------------------------------------------------------------------------

TEST_F(ReadContract, BeforeJoiningIsOneSkip) {
  register_user("cid");
  append(8);  // head 10
  harness_->begin_membership(conversation_, "cid", 1, 6);
  const auto items = read("cid", conversation_);
  ASSERT_EQ(items.size(), 6u);
  EXPECT_EQ(items[0].kind(), wire::ITEM_KIND_SKIP);
  EXPECT_EQ(items[0].seq(), 5u);
  EXPECT_EQ(items[0].skip_reason(), wire::SKIP_REASON_BEFORE_JOINING);
  EXPECT_TRUE(items[0].content().empty());
  EXPECT_EQ(items[1].seq(), 6u);
  EXPECT_EQ(items[5].seq(), 10u);
}

TEST_F(ReadContract, AStreamEndsWhereItsReaderLeft) {
  append(8);
  harness_->end_membership(conversation_, "bob", 4);
  const auto items = read("bob", conversation_, 2);
  ASSERT_EQ(items.size(), 2u);
  EXPECT_EQ(items[1].seq(), 4u);
  for (const Seq after : {Seq{4}, Seq{7}, Seq{10}}) {
    auto page = reader().items("bob", {}, conversation_, after, 10, 1 << 20);
    EXPECT_TRUE(page->items.empty());
    EXPECT_EQ(page->head, 4u) << "how far it went on is not told";
  }
  EXPECT_EQ(reader().items("ann", {}, conversation_, 0, 1, 1)->head, 10u);
}

TEST_F(ReadContract, ASecondMembershipReadsOnAfterTheGap) {
  append(8);
  harness_->end_membership(conversation_, "bob", 4);
  harness_->begin_membership(conversation_, "bob", 2, 8);
  const auto items = read("bob", conversation_, 3);
  ASSERT_EQ(items.size(), 5u);
  EXPECT_EQ(items[0].seq(), 4u);
  EXPECT_EQ(items[1].kind(), wire::ITEM_KIND_SKIP);
  EXPECT_EQ(items[1].seq(), 7u);
  EXPECT_EQ(items[2].seq(), 8u);
  EXPECT_EQ(read("bob", conversation_, 5).at(0).seq(), 7u) << "a cursor within the gap";
}

TEST_F(ReadContract, WhoComesBackWithTheHistoryReadsWhatLayBetween) {
  append(8);
  harness_->end_membership(conversation_, "bob", 4);
  harness_->begin_membership(conversation_, "bob", 2, 1);
  const auto items = read("bob", conversation_);
  ASSERT_EQ(items.size(), 10u);
  for (std::size_t i = 0; i < items.size(); ++i) {
    EXPECT_EQ(items[i].seq(), i + 1);
    EXPECT_NE(items[i].kind(), wire::ITEM_KIND_SKIP);
  }
}

TEST_F(ReadContract, WhoLeftIsNoFollowerOfNewItems) {
  harness_->end_membership(conversation_, "bob", 2);
  const CommitResult result = commit({from_ann(2)});
  ASSERT_EQ(result.appended.size(), 1u);
  EXPECT_EQ(result.appended[0].followers, std::vector<UserId>{"ann"});
}

// ---- What a device follows -----------------------------------------------------------------------------------------

TEST_F(ReadContract, ADeviceFollowsItsAccountAndItsConversations) {
  register_user("cid");
  write<Appended>(message("ann", ann_, to_peer("cid"), 1));
  const auto streams = reader().followed("ann", ann_);
  ASSERT_TRUE(streams.ok());
  EXPECT_EQ(streams->size(), 3u);
  EXPECT_EQ(followed("ann", ann_, ann_account_.account_stream).kind, wire::STREAM_KIND_ACCOUNT);
  EXPECT_EQ(followed("ann", ann_, conversation_).kind, wire::STREAM_KIND_CONVERSATION);
  EXPECT_EQ(followed("ann", ann_, conversation_).head, 2u);
  EXPECT_EQ(reader().followed("bob", bob_)->size(), 2u);
  EXPECT_TRUE(reader().followed("nobody", {})->empty());
}

TEST_F(ReadContract, AFormerMemberStillFollowsUpToTheEnd) {
  mark("ann", 0, 2, 2);
  const std::uint64_t revision = followed("bob", bob_, conversation_).marks_revision;
  harness_->end_membership(conversation_, "bob", 2);
  append(3);
  mark("ann", 2, 5, 5);
  EXPECT_EQ(followed("bob", bob_, conversation_).head, 2u);
  EXPECT_EQ(followed("bob", bob_, conversation_).marks_revision, revision);
  EXPECT_EQ(followed("ann", ann_, conversation_).head, 5u);
}

TEST_F(ReadContract, CursorsOnlyGrowAndAreOfADevice) {
  append(8);
  const DeviceId second = log_in("bob", "installation-002").session.device_id;
  write<Done>(AdvanceCursor{bob_, conversation_, 5});
  write<Done>(AdvanceCursor{bob_, conversation_, 3});
  EXPECT_EQ(followed("bob", bob_, conversation_).acknowledged, 5u);
  EXPECT_EQ(followed("bob", second, conversation_).acknowledged, 0u);
  harness_->reopen();
  EXPECT_EQ(followed("bob", bob_, conversation_).acknowledged, 5u);
}

TEST_F(ReadContract, ACursorStopsAtTheHead) {
  write<Done>(AdvanceCursor{bob_, conversation_, 500});
  write<Done>(AdvanceCursor{bob_, StreamId{777}, 5});
  EXPECT_EQ(followed("bob", bob_, conversation_).acknowledged, 2u);
}

// ---- Marks ---------------------------------------------------------------------------------------------------------

TEST_F(ReadContract, MarksMoveForwardsAndSayWhen) {
  append(8);
  pass(5);
  const CommitResult result = commit({AdvanceMarks{"bob", conversation_, 0, 6, 4, now()}});
  const auto moved = std::get<MarksAdvanced>(*result.answers.at(0));
  ASSERT_EQ(moved.advances.size(), 2u);
  EXPECT_EQ(moved.advances[0].user_id, "bob");
  EXPECT_EQ(moved.advances[0].kind, wire::Marks::KIND_DELIVERED);
  EXPECT_EQ(moved.advances[0].up_to, 6u);
  EXPECT_EQ(moved.advances[0].at, now());
  EXPECT_EQ(moved.advances[1].kind, wire::Marks::KIND_READ);
  EXPECT_EQ(moved.advances[1].up_to, 4u);
  EXPECT_EQ(moved.revision, moved.advances[1].revision);
  EXPECT_LT(moved.advances[0].revision, moved.advances[1].revision);
  ASSERT_EQ(result.moved.size(), 1u);
  EXPECT_EQ(result.moved[0].conversation_id, conversation_);
  EXPECT_EQ(result.moved[0].revision, moved.revision);
  EXPECT_EQ(result.moved[0].advances.size(), 2u);
  EXPECT_EQ(result.moved[0].followers.size(), 2u);
  EXPECT_EQ(followed("ann", ann_, conversation_).marks_revision, moved.revision);
}

TEST_F(ReadContract, MarksNeverFall) {
  append(8);
  const auto before = mark("bob", 0, 6, 6);
  const CommitResult result = commit({AdvanceMarks{"bob", conversation_, 0, 4, 3, now()}});
  EXPECT_TRUE(std::get<MarksAdvanced>(*result.answers[0]).advances.empty());
  EXPECT_EQ(std::get<MarksAdvanced>(*result.answers[0]).revision, before.revision);
  EXPECT_TRUE(result.moved.empty());
}

TEST_F(ReadContract, DeliveredJumpsNoGap) {
  append(8);
  mark("bob", 0, 3, 0);
  EXPECT_TRUE(mark("bob", 4, 8, 0).advances.empty());
  EXPECT_EQ(mark("bob", 3, 8, 0).advances.size(), 1u);
  EXPECT_EQ(mark("bob", 5, 10, 0).advances.at(0).up_to, 10u) << "a range that overlaps";
}

TEST_F(ReadContract, ReadIsClampedToDelivered) {
  append(8);
  const auto moved = mark("bob", 0, 5, 9);
  ASSERT_EQ(moved.advances.size(), 2u);
  EXPECT_EQ(moved.advances[1].up_to, 5u);
  EXPECT_TRUE(mark("bob", 0, 0, 9).advances.empty());
}

TEST_F(ReadContract, MarksAboveTheHeadAreRefused) {
  EXPECT_EQ(mark_code("bob", 0, 2, 2), Code::kOk);
  EXPECT_EQ(mark_code("bob", 0, 3, 0), Code::kInvalidArgument);
  EXPECT_EQ(mark_code("bob", 0, 0, 3), Code::kInvalidArgument);
}

TEST_F(ReadContract, OnlyMembersHaveMarks) {
  register_user("eve");
  EXPECT_EQ(mark_code("eve", 0, 1, 0), Code::kNotFound);
  EXPECT_EQ(code(AdvanceMarks{"ann", ann_account_.account_stream, 0, 1, 0, now()}), Code::kNotFound);
  EXPECT_EQ(code(AdvanceMarks{"ann", StreamId{31337}, 0, 1, 0, now()}), Code::kNotFound);
}

TEST_F(ReadContract, WhoJoinedLaterStartsBeforeTheJoining) {
  register_user("cid");
  append(8);
  harness_->begin_membership(conversation_, "cid", 1, 6);
  EXPECT_EQ(mark("cid", 5, 10, 0).advances.at(0).up_to, 10u);
}

TEST_F(ReadContract, MarksAfterARevisionComeOldestFirst) {
  append(8);
  mark("bob", 0, 3, 0);
  const auto second = mark("ann", 0, 10, 10);
  mark("bob", 3, 10, 9);
  harness_->reopen();
  const auto all = reader().marks_after("ann", conversation_, 0, 100);
  ASSERT_TRUE(all.ok());
  ASSERT_EQ(all->size(), 5u);
  for (std::size_t i = 1; i < all->size(); ++i) EXPECT_GT((*all)[i].revision, (*all)[i - 1].revision);
  EXPECT_EQ((*all)[0].user_id, "bob");
  EXPECT_EQ((*all)[0].up_to, 3u);
  const auto later = reader().marks_after("ann", conversation_, second.revision, 100);
  ASSERT_EQ(later->size(), 2u);
  EXPECT_EQ(later->back().kind, wire::Marks::KIND_READ);
  EXPECT_EQ(later->back().up_to, 9u);
  EXPECT_EQ(reader().marks_after("ann", conversation_, 0, 2)->size(), 2u);
  EXPECT_EQ(mark("bob", 10, 10, 10).revision, later->back().revision + 1) << "revisions go on after a restart";
}

TEST_F(ReadContract, MarksAreOfTheTimeOfMembership) {
  register_user("cid");
  mark("ann", 0, 2, 2);
  harness_->begin_membership(conversation_, "cid", 1, 3);
  append(1);
  mark("bob", 0, 3, 0);
  const auto seen = reader().marks_after("cid", conversation_, 0, 100);
  ASSERT_EQ(seen->size(), 1u) << "not what was before";
  EXPECT_EQ(seen->at(0).user_id, "bob");
  harness_->end_membership(conversation_, "cid", 3);
  mark("bob", 3, 3, 3);
  EXPECT_EQ(reader().marks_after("cid", conversation_, 0, 100)->size(), 1u) << "nor what came after";
  harness_->begin_membership(conversation_, "cid", 2, 4);
  append(1);
  mark("cid", 3, 4, 4);
  const auto later = reader().marks_after("cid", conversation_, 0, 100);
  ASSERT_EQ(later->size(), 3u);
  EXPECT_EQ(later->at(0).user_id, "bob");
  EXPECT_EQ(later->at(2).kind, wire::Marks::KIND_READ);
  EXPECT_EQ(reader().marks_after("ann", conversation_, 0, 100)->size(), 6u);
}

TEST_F(ReadContract, AdvancesOfOneBatchAreToldTogether) {
  append(8);
  const CommitResult result =
      commit({AdvanceMarks{"bob", conversation_, 0, 3, 0, now()}, AdvanceMarks{"ann", conversation_, 0, 10, 0, now()}});
  ASSERT_EQ(result.moved.size(), 1u);
  EXPECT_EQ(result.moved[0].advances.size(), 2u);
}

TEST_F(ReadContract, TheStoreSaysThatItAnswers) { EXPECT_TRUE(reader().check().ok()); }

}  // namespace
}  // namespace chatsdk::server
