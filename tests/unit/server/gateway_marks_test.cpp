// SPDX-License-Identifier: Apache-2.0
//
// Watermarks: gathered, written once for many, shown live and on resume, and never ahead of what was acknowledged.
#include <gtest/gtest.h>

#include "unit/server/gateway_world.h"

namespace chatsdk::server {
namespace {

using namespace std::chrono_literals;

constexpr auto kDelivered = wire::Marks::KIND_DELIVERED;
constexpr auto kRead = wire::Marks::KIND_READ;

struct Readers : World {
  Readers() {
    add_user("ada");
    add_user("bob");
    ada = add_device("ada");
    bob = add_device("bob");
    conversation = append(ada, "bob", 1, 5);
  }
  Seq mark(const TestClient& client, const UserId& user, wire::Marks::Kind kind) const {
    const auto found = client.marks.find({conversation, {user, kind}});
    return found == client.marks.end() ? 0 : found->second;
  }
  void read(TestClient& client, Seq up_to) {
    wire::ClientFrame frame;
    frame.mutable_read()->set_conversation_id(conversation.value);
    frame.mutable_read()->set_up_to(up_to);
    client.say(frame);
  }
  Device ada, bob;
  StreamId conversation;
};

TEST(GatewayMarks, AnAcknowledgementBecomesADeliveredMarkOfThePeer) {
  Readers world;
  TestClient& a = world.connect(world.ada);
  world.connect(world.bob);

  world.advance(limits::kMarkFlush);

  EXPECT_EQ(world.mark(a, "bob", kDelivered), 6u);
  EXPECT_EQ(a.of(wire::ServerFrame::kMarks).back().marks().advances(0).time_ms(), to_unix_ms(world.clock.wall_now()));
}

TEST(GatewayMarks, ManyAcknowledgementsAreOneWrite) {
  Readers world;
  TestClient& b = world.connect(world.bob, nullptr, 0, false);
  for (Seq seq = 1; seq <= 6; ++seq) b.ack(world.conversation, seq, seq - 1);
  world.advance(limits::kMarkFlush);

  const auto marks = world.submitted_ops<AdvanceMarks>();
  ASSERT_EQ(marks.size(), 1u);
  EXPECT_EQ(marks[0].delivered_from, 0u);
  EXPECT_EQ(marks[0].delivered_up_to, 6u);
  const auto cursors = world.submitted_ops<AdvanceCursor>();
  ASSERT_EQ(cursors.size(), 1u);
  EXPECT_EQ(cursors[0].acknowledged, 6u);
}

TEST(GatewayMarks, AreNeverAheadOfTheAcknowledged) {
  Readers world;
  TestClient& a = world.connect(world.ada);
  TestClient& b = world.connect(world.bob, nullptr, 0, false);
  b.ack(world.conversation, 3);
  world.advance(10 * limits::kMarkFlush);

  EXPECT_EQ(b.cursors[world.conversation], 6u);
  EXPECT_EQ(world.mark(a, "bob", kDelivered), 3u);
}

TEST(GatewayMarks, AHellosCursorsAreNoDeliveredClaim) {
  Readers world;
  TestClient& a = world.connect(world.ada);
  TestClient& before = world.connect(world.bob, nullptr, 0, false);
  before.hang_up();

  world.connect(world.bob, &before, 0, false);
  world.advance(10 * limits::kMarkFlush);

  EXPECT_EQ(world.mark(a, "bob", kDelivered), 0u);
}

TEST(GatewayMarks, AnAcknowledgementMayBeRepeatedToHealALostClaim) {
  Readers world;
  TestClient& a = world.connect(world.ada);
  TestClient& b = world.connect(world.bob);
  ASSERT_EQ(b.cursors[world.conversation], 6u);

  b.ack(world.conversation, 6);
  b.ack(world.conversation, 6);
  world.advance(limits::kMarkFlush);

  EXPECT_EQ(world.mark(a, "bob", kDelivered), 6u);
  EXPECT_EQ(b.failure(), Code::kOk);
}

// Of what a device lacked nobody may be asked any more, without anything new that it could acknowledge.
TEST(GatewayMarks, WhatIsMissingIsKeptAsItWasSaidLast) {
  Readers world;
  TestClient& before = world.connect(world.bob, nullptr, 0, false);
  before.ack(world.conversation, 6, 4, 4);
  world.advance(limits::kMarkFlush);
  const auto cursors = [&world] { return world.submitted_ops<AdvanceCursor>(); };
  ASSERT_EQ(cursors().size(), 1u);
  EXPECT_EQ(cursors().back().missing_from, 4u);
  before.ack(world.conversation, 6, 3, 3);
  world.advance(limits::kMarkFlush);
  ASSERT_EQ(cursors().size(), 2u);
  EXPECT_EQ(cursors().back().missing_from, 3u);
  before.hang_up();

  TestClient& after = world.connect(world.bob, &before, 0, false);
  after.ack(world.conversation, 6);
  world.advance(limits::kMarkFlush);
  ASSERT_EQ(cursors().size(), 3u);
  EXPECT_EQ(cursors().back().acknowledged, 6u);
  EXPECT_EQ(cursors().back().missing_from, 0u);
  after.ack(world.conversation, 6);
  world.advance(limits::kMarkFlush);
  EXPECT_EQ(cursors().size(), 3u) << "who lacks nothing says nothing new";
}

TEST(GatewayMarks, ReadFollowsDelivered) {
  Readers world;
  TestClient& a = world.connect(world.ada);
  TestClient& b = world.connect(world.bob);

  world.read(b, 4);
  world.read(b, 2);
  world.advance(limits::kMarkFlush);

  EXPECT_EQ(world.mark(a, "bob", kRead), 4u);
  EXPECT_EQ(world.mark(a, "bob", kDelivered), 6u);
  EXPECT_EQ(world.submitted_ops<AdvanceMarks>().size(), 2u);  // ada's own device, and bob's both marks in one
}

TEST(GatewayMarks, ReadBeyondWhatWasSentIsAViolation) {
  Readers world;
  TestClient& b = world.connect(world.bob);

  world.read(b, 7);

  EXPECT_EQ(b.failure(), Code::kProtocol);
}

TEST(GatewayMarks, FollowOnResumeFromTheKnownRevision) {
  Readers world;
  TestClient& before = world.connect(world.ada);
  before.hang_up();
  TestClient& b = world.connect(world.bob);
  world.read(b, 5);
  world.advance(1s);

  TestClient& a = world.connect(world.ada, &before);
  EXPECT_EQ(world.mark(a, "bob", kDelivered), 6u);
  EXPECT_EQ(world.mark(a, "bob", kRead), 5u);
  a.hang_up();
  TestClient& again = world.connect(world.ada, &a);
  EXPECT_TRUE(again.of(wire::ServerFrame::kMarks).empty());
}

// As when the server was killed before it had written them.
TEST(GatewayMarks, AcknowledgementsThatTheStoreNeverGotAreAskedForAgain) {
  Readers world;
  world.refuse_with = Code::kNotFound;
  TestClient& before = world.connect(world.bob);
  world.advance(1s);
  before.hang_up();
  world.refuse_with.reset();
  TestClient& a = world.connect(world.ada);
  ASSERT_EQ(world.mark(a, "bob", kDelivered), 0u);

  TestClient& b = world.connect(world.bob, &before);
  world.advance(limits::kMarkFlush);

  EXPECT_EQ(world.mark(a, "bob", kDelivered), 6u);
  EXPECT_EQ(b.texts(world.conversation), before.texts(world.conversation)) << "it drops what it has";
  EXPECT_EQ(b.of(wire::ServerFrame::kItems).size(), 2u) << "one item of each of its two streams";
  EXPECT_EQ(b.failure(), Code::kOk);
}

TEST(GatewayMarks, ADeviceMaySpeakOfWhatItHoldsBeforeItIsAsked) {
  Readers world;
  world.refuse_with = Code::kNotFound;
  TestClient& before = world.connect(world.bob);
  world.advance(1s);
  before.hang_up();
  world.refuse_with.reset();
  TestClient& a = world.connect(world.ada);
  TestClient& b = world.open(world.token(world.bob));
  b.cursors = before.cursors;
  b.say(world.hello(&before));
  while (b.frames.empty()) {
    world.reader_executor.run_one();
    world.shard_executors[0].run_one();
  }

  b.ack(world.conversation, 6);
  world.read(b, 6);
  world.run();
  world.advance(limits::kMarkFlush);

  EXPECT_EQ(b.failure(), Code::kOk);
  EXPECT_EQ(world.mark(a, "bob", kDelivered), 6u);
  EXPECT_EQ(world.mark(a, "bob", kRead), 6u);
}

TEST(GatewayMarks, AClaimThatStartsAboveTheMarkMovesNothingAndSpoilsNothing) {
  Readers world;
  TestClient& a = world.connect(world.ada);
  TestClient& b = world.connect(world.bob, nullptr, 0, false);

  b.ack(world.conversation, 2, 0);
  b.ack(world.conversation, 6, 4);
  world.advance(limits::kMarkFlush);

  EXPECT_EQ(world.mark(a, "bob", kDelivered), 2u);
  EXPECT_EQ(b.failure(), Code::kOk);
}

TEST(GatewayMarks, PrecedeTheEndOfCatchingUp) {
  Readers world;
  world.connect(world.bob);
  world.advance(1s);

  TestClient& a = world.connect(world.ada);

  ASSERT_FALSE(a.of(wire::ServerFrame::kMarks).empty());
  EXPECT_TRUE(a.frames.back().has_caught_up());
  EXPECT_EQ(a.frames.back().caught_up().stream_id(), 0u);
}

TEST(GatewayMarks, ALostHintIsHealedByTheNext) {
  Readers world;
  TestClient& a = world.connect(world.ada);
  TestClient& b = world.connect(world.bob, nullptr, 0, false);
  world.advance(limits::kMarkFlush);
  world.bus.lose_marks = true;
  b.ack(world.conversation, 3);
  world.advance(limits::kMarkFlush);
  ASSERT_EQ(world.mark(a, "bob", kDelivered), 0u);
  world.bus.lose_marks = false;
  world.read(b, 2);
  world.advance(limits::kMarkFlush);

  EXPECT_EQ(world.mark(a, "bob", kDelivered), 3u);
  EXPECT_EQ(world.mark(a, "bob", kRead), 2u);
}

TEST(GatewayMarks, ALostLastHintIsHealedByTheDigest) {
  Readers world;
  TestClient& a = world.connect(world.ada);
  TestClient& b = world.connect(world.bob, nullptr, 0, false);
  world.bus.lose_marks = true;
  b.ack(world.conversation, 3);

  world.advance(limits::kMarkFlush + limits::kHeadCompare);

  EXPECT_EQ(world.mark(a, "bob", kDelivered), 3u);
}

// ---- The service ---------------------------------------------------------------------------------------------------

struct Service {
  ManualClock clock;
  ManualExecutor writer{clock};
  NullLog log;
  std::vector<WriteOp> written;
  std::optional<Code> refuse;
  std::unique_ptr<MarksService> marks = std::make_unique<MarksService>(
      [this](WriteOp op, OnWritten on_written, Executor& reply_on) {
        if (!refuse) written.push_back(std::move(op));
        reply_on.post([answer = refuse ? Result<WriteAnswer>(error(*refuse, "")) : Result<WriteAnswer>(Done{}),
                       on_written = std::move(on_written)]() mutable { on_written(std::move(answer)); });
      },
      writer, log);

  void pass(std::chrono::microseconds time) {
    writer.run_ready();
    clock.advance(time);
    writer.run_ready();
  }
  std::vector<std::pair<Seq, Seq>> ranges() const {
    std::vector<std::pair<Seq, Seq>> out;
    for (const WriteOp& op : written) {
      const auto& one = std::get<AdvanceMarks>(op);
      out.emplace_back(one.delivered_from, one.delivered_up_to);
    }
    std::sort(out.begin(), out.end());
    return out;
  }
};

constexpr ConversationId kConversation{7};

// A cursor that is stored without its claim asks for no acknowledgement that would make up for it.
TEST(MarksService, CursorsAreWrittenAfterTheClaimsThatTheyCover) {
  Service service;
  service.marks->acknowledged(DeviceId{1}, StreamId{9}, 4);
  service.marks->delivered("ada", ConversationId{9}, 0, 4);

  service.pass(limits::kMarkFlush);

  ASSERT_EQ(service.written.size(), 2u);
  EXPECT_TRUE(std::holds_alternative<AdvanceMarks>(service.written[0]));
  EXPECT_TRUE(std::holds_alternative<AdvanceCursor>(service.written[1]));
}

TEST(MarksService, RangesThatTouchAreMerged) {
  Service service;
  service.marks->delivered("ada", kConversation, 0, 5);
  service.marks->delivered("ada", kConversation, 5, 9);
  service.marks->delivered("ada", kConversation, 2, 3);
  service.pass(limits::kMarkFlush);

  EXPECT_EQ(service.ranges(), (std::vector<std::pair<Seq, Seq>>{{0, 9}}));
}

TEST(MarksService, AGapBetweenRangesIsNeverClaimed) {
  Service service;
  service.marks->delivered("ada", kConversation, 0, 5);
  service.marks->delivered("ada", kConversation, 6, 9);
  service.pass(limits::kMarkFlush);

  EXPECT_EQ(service.ranges(), (std::vector<std::pair<Seq, Seq>>{{0, 5}, {6, 9}}));
}

TEST(MarksService, UsersAndConversationsAreApart) {
  Service service;
  service.marks->delivered("ada", kConversation, 0, 5);
  service.marks->delivered("bob", kConversation, 0, 6);
  service.marks->delivered("ada", ConversationId{8}, 0, 7);
  service.pass(limits::kMarkFlush);

  EXPECT_EQ(service.written.size(), 3u);
}

TEST(MarksService, NothingIsWrittenWhenNothingIsClaimed) {
  Service service;
  service.marks->delivered("ada", kConversation, 5, 5);
  service.marks->read("ada", kConversation, 0);
  service.pass(limits::kMarkFlush);

  EXPECT_TRUE(service.written.empty());
  EXPECT_FALSE(service.writer.next_time());
}

TEST(MarksService, WhatIsRefusedForNowIsWrittenLater) {
  for (const Code code : {Code::kUnavailable, Code::kStorageFull, Code::kStorage, Code::kNoMemory, Code::kBusy}) {
    Service service;
    service.refuse = code;
    service.marks->delivered("ada", kConversation, 0, 5);
    service.marks->acknowledged(DeviceId{1}, kConversation, 5);
    service.pass(limits::kMarkFlush);
    service.refuse.reset();
    service.marks->delivered("ada", kConversation, 5, 6);
    service.pass(limits::kMarkFlush);

    ASSERT_EQ(service.written.size(), 2u);
    for (const WriteOp& op : service.written) {
      if (const auto* marks = std::get_if<AdvanceMarks>(&op)) {
        EXPECT_EQ(marks->delivered_from, 0u);
        EXPECT_EQ(marks->delivered_up_to, 6u);
      }
    }
  }
}

TEST(MarksService, WhatIsRefusedForGoodIsDropped) {
  Service service;
  service.refuse = Code::kNotFound;
  service.marks->delivered("ada", kConversation, 0, 5);
  service.pass(limits::kMarkFlush);
  service.refuse.reset();
  service.pass(10 * limits::kMarkFlush);

  EXPECT_TRUE(service.written.empty());
}

TEST(MarksService, FlushWritesAllWithoutWaiting) {
  Service service;
  constexpr std::size_t kCount = 3 * MarksService::kSliceMax + 1;
  for (std::size_t i = 1; i <= kCount; ++i) service.marks->acknowledged(DeviceId{i}, kConversation, 5);
  bool done = false;
  service.marks->flush([&] { done = true; });
  service.writer.run_ready();

  EXPECT_TRUE(done);
  EXPECT_EQ(service.written.size(), kCount);
}

TEST(MarksService, FlushCoversWhatCameDuringAnother) {
  Service service;
  service.marks->acknowledged(DeviceId{1}, kConversation, 5);
  std::size_t at_first = 0;
  std::size_t at_second = 0;
  service.marks->flush([&] { at_first = service.written.size(); });
  service.writer.run_one();
  service.writer.run_one();
  service.marks->acknowledged(DeviceId{2}, kConversation, 5);
  service.marks->flush([&] { at_second = service.written.size(); });
  service.writer.run_ready();

  EXPECT_GE(at_first, 1u);
  EXPECT_EQ(at_second, 2u);
}

TEST(MarksService, IsBounded) {
  Service service;
  for (std::size_t i = 1; i <= limits::kMarkClaimsMax + 10; ++i) {
    service.marks->acknowledged(DeviceId{i}, kConversation, 5);
  }
  service.marks->flush([] {});
  service.writer.run_ready();

  EXPECT_EQ(service.written.size(), limits::kMarkClaimsMax);
}

TEST(MarksService, KeepsTheLowestOfRangesWithGapsBetweenThem) {
  for (const std::size_t count : {limits::kMarkRangesMax - 1, limits::kMarkRangesMax, limits::kMarkRangesMax + 1}) {
    Service service;
    for (Seq i = count; i >= 1; --i) service.marks->delivered("ada", kConversation, 10 * i, 10 * i + 1);
    service.pass(limits::kMarkFlush);

    ASSERT_EQ(service.written.size(), std::min(count, limits::kMarkRangesMax));
    for (std::size_t i = 0; i < service.written.size(); ++i) {
      EXPECT_EQ(std::get<AdvanceMarks>(service.written[i]).delivered_from, 10 * (i + 1)) << "the lowest first";
    }
  }
}

TEST(MarksService, ARangeThatClosesGapsIsOneClaim) {
  Service service;
  service.marks->delivered("ada", kConversation, 20, 25);
  service.marks->delivered("ada", kConversation, 0, 5);
  service.marks->delivered("ada", kConversation, 10, 15);
  service.marks->delivered("ada", kConversation, 5, 22);
  service.pass(limits::kMarkFlush);

  ASSERT_EQ(service.written.size(), 1u);
  EXPECT_EQ(std::get<AdvanceMarks>(service.written[0]).delivered_from, 0u);
  EXPECT_EQ(std::get<AdvanceMarks>(service.written[0]).delivered_up_to, 25u);
}

TEST(MarksService, OneUsersClaimsLeaveRoomForOthers) {
  for (const std::size_t count :
       {limits::kMarkClaimsPerUserMax - 1, limits::kMarkClaimsPerUserMax, limits::kMarkClaimsPerUserMax + 1}) {
    Service service;
    for (std::uint64_t i = 1; i <= count; ++i) {
      service.marks->delivered("mallory", ConversationId{1'000 + i}, 0, 5);
      service.marks->acknowledged(DeviceId{1}, StreamId{1'000 + i}, 5);
      // However many ranges are claimed, they stand in one place.
      for (Seq seq = 100; i == 1 && seq < 100'000; seq += 2) {
        service.marks->delivered("mallory", ConversationId{1'001}, seq, seq + 1);
      }
    }
    service.marks->delivered("ada", kConversation, 0, 5);
    service.marks->acknowledged(DeviceId{2}, kConversation, 5);
    service.marks->flush([] {});
    service.writer.run_ready();

    std::size_t claims = 0;
    std::size_t cursors = 0;
    bool others_mark = false;
    bool others_cursor = false;
    for (const WriteOp& op : service.written) {
      if (const auto* marks = std::get_if<AdvanceMarks>(&op)) {
        ++claims;
        others_mark = others_mark || marks->user_id == "ada";
      } else if (const auto* cursor = std::get_if<AdvanceCursor>(&op)) {
        ++cursors;
        others_cursor = others_cursor || cursor->device_id == DeviceId{2};
      }
    }
    const std::size_t kept = std::min(count, limits::kMarkClaimsPerUserMax);
    EXPECT_EQ(claims, kept + 1 + limits::kMarkRangesMax - 1);
    EXPECT_EQ(cursors, kept + 1);
    EXPECT_TRUE(others_mark);
    EXPECT_TRUE(others_cursor);
  }
}

TEST(MarksService, AnswersAfterItsEndAreDropped) {
  Service service;
  service.marks->acknowledged(DeviceId{1}, kConversation, 5);
  service.marks->flush([] {});
  service.writer.run_one();
  service.writer.run_one();
  service.marks.reset();
  service.writer.run_ready();

  EXPECT_EQ(service.written.size(), 1u);
}

}  // namespace
}  // namespace chatsdk::server
