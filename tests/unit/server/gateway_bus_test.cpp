// SPDX-License-Identifier: Apache-2.0
//
// The bus in one process, the delivery service that publishes on it, and the frames they carry.
#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <thread>

#include "server-reference/services/frame_builder.h"
#include "unit/server/gateway_world.h"

namespace chatsdk::server {
namespace {

using namespace std::chrono_literals;

class Recorder final : public Bus::Subscriber {
 public:
  void on_user_message(const UserId& user, const UserMessage& message) override {
    users.push_back(user);
    if (const auto* item = std::get_if<std::shared_ptr<const ItemHint>>(&message)) seqs.push_back((*item)->seq);
    if (std::holds_alternative<Kick>(message)) ++kicks;
    if (during) during();
  }
  void on_heads(const std::shared_ptr<const HeadDigest>& digest) override { digests.push_back(digest); }

  std::vector<UserId> users;
  std::vector<Seq> seqs;
  std::size_t kicks = 0;
  std::vector<std::shared_ptr<const HeadDigest>> digests;
  std::function<void()> during;
};

std::shared_ptr<const ItemHint> hint(Seq seq, StreamId stream = StreamId{1}) {
  auto made = std::make_shared<ItemHint>();
  made->stream_id = stream;
  made->seq = seq;
  return made;
}

struct Buses {
  ManualClock clock;
  ManualExecutor executor{clock};
  ManualExecutor other_executor{clock};
  Recorder recorder;
  Recorder other;
};

TEST(InProcessBus, OnlyFollowersGetAUsersMessages) {
  Buses parts;
  InProcessBus bus;
  const auto one = bus.add_subscriber(parts.executor, parts.recorder);
  const auto two = bus.add_subscriber(parts.other_executor, parts.other);
  bus.follow(one, "ada");
  bus.follow(two, "ada");
  bus.follow(two, "bob");
  bus.unfollow(two, "ada");

  bus.publish("ada", hint(1));
  bus.publish("bob", hint(2));
  bus.publish("cyd", hint(3));
  parts.executor.run_ready();
  parts.other_executor.run_ready();

  EXPECT_EQ(parts.recorder.seqs, std::vector<Seq>{1});
  EXPECT_EQ(parts.other.seqs, std::vector<Seq>{2});
}

TEST(InProcessBus, ManyMessagesAreOneTaskInOrder) {
  Buses parts;
  InProcessBus bus;
  bus.follow(bus.add_subscriber(parts.executor, parts.recorder), "ada");

  for (Seq seq = 1; seq <= 100; ++seq) bus.publish("ada", hint(seq));

  EXPECT_EQ(parts.executor.run_ready(), 1u);
  ASSERT_EQ(parts.recorder.seqs.size(), 100u);
  EXPECT_TRUE(std::is_sorted(parts.recorder.seqs.begin(), parts.recorder.seqs.end()));
}

TEST(InProcessBus, AFullInboxDropsHintsAndKeepsKicks) {
  Buses parts;
  InProcessBus bus(3);
  bus.follow(bus.add_subscriber(parts.executor, parts.recorder), "ada");

  for (Seq seq = 1; seq <= 5; ++seq) bus.publish("ada", hint(seq));
  bus.publish("ada", Kick{"ada", DeviceId{1}, Code::kUnauthenticated, 0});
  parts.executor.run_ready();

  EXPECT_EQ(parts.recorder.seqs, (std::vector<Seq>{1, 2, 3}));
  EXPECT_EQ(parts.recorder.kicks, 1u);
  EXPECT_EQ(bus.dropped(), 2u);
  bus.publish("ada", hint(6));
  parts.executor.run_ready();
  EXPECT_EQ(parts.recorder.seqs.back(), 6u);
}

TEST(InProcessBus, TheBytesOfAnInboxAreBounded) {
  const auto large = [](Seq seq) {
    auto made = std::make_shared<ItemHint>();
    made->stream_id = StreamId{1};
    made->seq = seq;
    made->frame = std::make_shared<const Bytes>(Bytes(1'000, 'x'));
    return std::shared_ptr<const ItemHint>(std::move(made));
  };
  const std::size_t each = sizeof(ItemHint) + 1'000;
  for (const std::size_t limit : {3 * each - 1, 3 * each, 3 * each + 1}) {
    Buses parts;
    InProcessBus bus(limits::kBusInboxMessagesMax, limit);
    bus.follow(bus.add_subscriber(parts.executor, parts.recorder), "ada");
    parts.recorder.during = [&] { EXPECT_GT(bus.held_bytes(), 0u) << "what is being handled is still there"; };

    for (Seq seq = 1; seq <= 5; ++seq) bus.publish("ada", large(seq));

    EXPECT_EQ(bus.held_bytes(), limit / each * each);
    bus.publish("ada", Kick{"ada", DeviceId{1}, Code::kUnauthenticated, 0});
    parts.executor.run_ready();
    EXPECT_EQ(parts.recorder.seqs.size(), limit / each);
    EXPECT_EQ(parts.recorder.kicks, 1u);
    EXPECT_EQ(bus.dropped(), 5 - limit / each);
    EXPECT_EQ(bus.held_bytes(), 0u);
    bus.publish("ada", large(6));
    parts.executor.run_ready();
    EXPECT_EQ(parts.recorder.seqs.back(), 6u);
  }
}

TEST(InProcessBus, AHintLargerThanAnInboxPassesAlone) {
  Buses parts;
  InProcessBus bus(limits::kBusInboxMessagesMax, 1);
  bus.follow(bus.add_subscriber(parts.executor, parts.recorder), "ada");

  bus.publish("ada", hint(1));
  bus.publish("ada", hint(2));
  parts.executor.run_ready();

  EXPECT_EQ(parts.recorder.seqs, std::vector<Seq>{1});
}

TEST(InProcessBus, ARemovedSubscriberHearsNothing) {
  Buses parts;
  InProcessBus bus;
  const auto id = bus.add_subscriber(parts.executor, parts.recorder);
  bus.follow(id, "ada");
  bus.publish("ada", hint(1));

  bus.remove_subscriber(id);
  bus.publish("ada", hint(2));
  bus.publish_heads(std::make_shared<HeadDigest>());
  parts.executor.run_ready();

  EXPECT_TRUE(parts.recorder.users.empty());
  EXPECT_TRUE(parts.recorder.digests.empty());
}

TEST(InProcessBus, DigestsBeyondTheLimitAreDroppedAndCounted) {
  Buses parts;
  InProcessBus bus;
  bus.add_subscriber(parts.executor, parts.recorder);

  for (std::size_t i = 0; i < limits::kDigestsWaitingMax; ++i) bus.publish_heads(std::make_shared<HeadDigest>());
  EXPECT_EQ(bus.dropped(), 0u);
  bus.publish_heads(std::make_shared<HeadDigest>());
  parts.executor.run_ready();

  EXPECT_EQ(parts.recorder.digests.size(), limits::kDigestsWaitingMax);
  EXPECT_EQ(bus.dropped(), 1u);
}

TEST(InProcessBus, AHandlerMayRemoveItsSubscriber) {
  Buses parts;
  InProcessBus bus;
  const auto id = bus.add_subscriber(parts.executor, parts.recorder);
  bus.follow(id, "ada");
  parts.recorder.during = [&] { bus.remove_subscriber(id); };

  bus.publish("ada", hint(1));
  bus.publish("ada", hint(2));
  parts.executor.run_ready();

  EXPECT_EQ(parts.recorder.users.size(), 1u);
}

TEST(InProcessBus, ItsEndBeforeTheTasksEndIsHarmless) {
  Buses parts;
  auto bus = std::make_unique<InProcessBus>();
  bus->follow(bus->add_subscriber(parts.executor, parts.recorder), "ada");
  bus->publish("ada", hint(1));

  bus.reset();
  parts.executor.run_ready();

  EXPECT_TRUE(parts.recorder.users.empty());
}

TEST(InProcessBus, PublishersOfManyThreadsReachEveryShard) {
  constexpr Seq kEach = 2'000;
  class Counter final : public Bus::Subscriber {
   public:
    void on_user_message(const UserId&, const UserMessage&) override { ++count; }
    void on_heads(const std::shared_ptr<const HeadDigest>&) override {}
    std::atomic<std::uint64_t> count{0};
  };
  SystemClock clock;
  Counter counters[2];
  InProcessBus bus;
  {
    ThreadExecutor one("one", clock);
    ThreadExecutor two("two", clock);
    bus.follow(bus.add_subscriber(one, counters[0]), "ada");
    bus.follow(bus.add_subscriber(two, counters[1]), "ada");
    std::thread publisher([&] {
      for (Seq seq = 0; seq < kEach; ++seq) bus.publish("ada", hint(seq));
    });
    for (Seq seq = 0; seq < kEach; ++seq) bus.publish("ada", hint(seq));
    publisher.join();
    // A task behind the last delivery: when it ran, everything was delivered.
    for (ThreadExecutor* executor : {&one, &two}) {
      const auto done = std::make_shared<std::promise<void>>();
      executor->post([done] { done->set_value(); });
      done->get_future().wait();
    }
  }
  EXPECT_EQ(counters[0].count, 2 * kEach);
  EXPECT_EQ(counters[1].count, 2 * kEach);
}

// ---- Frames --------------------------------------------------------------------------------------------------------

TEST(FrameBuilder, SplicedItemsReadAsThoughTheyHadBeenEncoded) {
  wire::ServerFrame expected;
  wire::Items& items = *expected.mutable_items();
  items.set_stream_id(0xFEDC'BA98'7654'3210u);
  items.set_stream_kind(wire::STREAM_KIND_CONVERSATION);
  items.set_after_seq(300);
  std::vector<std::shared_ptr<const Bytes>> stored;
  for (Seq seq = 301; seq <= 303; ++seq) {
    wire::Item& item = *items.add_items();
    item.set_seq(seq);
    item.set_content(std::string(seq - 200, 'x'));
    stored.push_back(std::make_shared<const Bytes>(item.SerializeAsString()));
  }

  const SharedFrame frame = items_frame(StreamId{items.stream_id()}, items.stream_kind(), items.after_seq(), stored);

  EXPECT_EQ(*frame, encode(expected));
}

TEST(FrameBuilder, MarksKeepTheirOrder) {
  const std::vector<MarkAdvance> advances = {{"bob", wire::Marks::KIND_DELIVERED, 9, from_unix_ms(5), 3},
                                             {"ada", wire::Marks::KIND_READ, 4, from_unix_ms(6), 4}};

  const auto frame = decode_server_frame(*marks_frame(ConversationId{7}, 3, 4, advances));

  ASSERT_TRUE(frame.ok());
  ASSERT_EQ(frame->marks().advances_size(), 2);
  EXPECT_EQ(frame->marks().after_revision(), 3u);
  EXPECT_EQ(frame->marks().revision(), 4u);
  EXPECT_EQ(frame->marks().advances(0).user_id(), "bob");
  EXPECT_EQ(frame->marks().advances(1).up_to(), 4u);
  EXPECT_EQ(frame->marks().advances(1).time_ms(), 6);
}

// ---- Delivery service ----------------------------------------------------------------------------------------------

struct Delivering : Buses {
  InProcessBus bus;
  NullLog log;
  DeliveryService delivery{bus, executor, log};
  Bus::SubscriberId id = bus.add_subscriber(executor, recorder);

  void commit(StreamId stream, Seq seq, std::vector<UserId> followers = {"ada"}) {
    CommitResult result;
    result.appended.push_back({stream, wire::STREAM_KIND_CONVERSATION, seq,
                               std::make_shared<const Bytes>(wire::Item().SerializeAsString()), std::move(followers)});
    delivery.on_committed(result);
  }
  void pass(std::chrono::microseconds time) {
    executor.run_ready();
    clock.advance(time);
    executor.run_ready();
  }
};

TEST(DeliveryService, OneFrameIsSharedByAllFollowers) {
  Delivering parts;
  parts.bus.follow(parts.id, "ada");
  parts.bus.follow(parts.id, "bob");

  parts.commit(StreamId{3}, 8, {"ada", "bob", "cyd"});
  parts.executor.run_ready();

  EXPECT_EQ(parts.recorder.users, (std::vector<UserId>{"ada", "bob"}));
  EXPECT_EQ(parts.recorder.seqs, (std::vector<Seq>{8, 8}));
}

TEST(DeliveryService, AChangeStandsInTwoDigests) {
  Delivering parts;
  parts.commit(StreamId{3}, 8);
  parts.commit(StreamId{2}, 5);
  parts.commit(StreamId{3}, 9);

  for (int i = 0; i < 5; ++i) parts.pass(limits::kHeadCompare);

  ASSERT_EQ(parts.recorder.digests.size(), 5u);
  for (std::size_t i = 0; i < 2; ++i) {
    const auto& heads = parts.recorder.digests[i]->heads;
    ASSERT_EQ(heads.size(), 2u);
    EXPECT_EQ(heads[0].stream_id, StreamId{2});
    EXPECT_EQ(heads[1].head, 9u);
  }
  EXPECT_TRUE(parts.recorder.digests[2]->heads.empty());
}

TEST(DeliveryService, DigestsAreNumberedWithoutAGapAlsoWhenNothingChanges) {
  Delivering parts;
  parts.commit(StreamId{3}, 8);

  for (int i = 0; i < 5; ++i) parts.pass(limits::kHeadCompare);

  std::vector<std::uint64_t> numbers;
  for (const auto& digest : parts.recorder.digests) numbers.push_back(digest->number);
  EXPECT_EQ(numbers, (std::vector<std::uint64_t>{1, 2, 3, 4, 5}));
}

TEST(DeliveryService, NothingIsPublishedBeforeTheFirstChange) {
  Delivering parts;

  EXPECT_FALSE(parts.executor.next_time());
}

TEST(DeliveryService, ADigestNamesAStreamOnceWithItsGreatestValues) {
  Delivering parts;
  parts.commit(StreamId{3}, 8);
  parts.pass(limits::kHeadCompare);
  CommitResult marks;
  marks.moved.push_back({StreamId{3}, 4, {{"ada", wire::Marks::KIND_READ, 2, {}, 4}}, {"ada"}});
  parts.delivery.on_committed(marks);
  parts.pass(limits::kHeadCompare);

  ASSERT_EQ(parts.recorder.digests.size(), 2u);
  ASSERT_EQ(parts.recorder.digests[1]->heads.size(), 1u);
  EXPECT_EQ(parts.recorder.digests[1]->heads[0].head, 8u);
  EXPECT_EQ(parts.recorder.digests[1]->heads[0].marks_revision, 4u);
}

TEST(DeliveryService, ItsListOfChangesIsBounded) {
  Delivering parts;
  for (std::uint64_t i = 1; i <= limits::kDigestStreamsMax; ++i) parts.commit(StreamId{i}, 1);
  parts.executor.run_ready();

  ASSERT_EQ(parts.recorder.digests.size(), 1u);
  EXPECT_EQ(parts.recorder.digests[0]->heads.size(), limits::kDigestStreamsMax);
}

// ---- Directory and window ------------------------------------------------------------------------------------------

TEST(ConnectionDirectory, OnlyAnAdmittedConnectionReplaces) {
  ConnectionDirectory directory;
  auto first = directory.enter(DeviceId{1});
  directory.admit(first);
  auto second = directory.enter(DeviceId{1});
  EXPECT_FALSE(first.replaced());

  directory.admit(second);

  EXPECT_TRUE(first.replaced());
  EXPECT_FALSE(second.replaced());
}

TEST(ConnectionDirectory, AnOlderOneAdmittedLaterIsReplacedAtOnce) {
  ConnectionDirectory directory;
  auto older = directory.enter(DeviceId{1});
  auto newer = directory.enter(DeviceId{1});
  directory.admit(newer);
  directory.admit(older);

  EXPECT_TRUE(older.replaced());
  EXPECT_FALSE(newer.replaced());
  directory.leave(DeviceId{1}, newer);
  EXPECT_TRUE(older.replaced());  // for good
}

TEST(ConnectionDirectory, ForgetsADeviceWithItsLastConnection) {
  ConnectionDirectory directory;
  auto first = directory.enter(DeviceId{1});
  auto second = directory.enter(DeviceId{1});

  directory.leave(DeviceId{1}, first);
  EXPECT_EQ(directory.size(), 1u);
  directory.leave(DeviceId{1}, second);
  EXPECT_EQ(directory.size(), 0u);
  EXPECT_FALSE(second.entered());
}

TEST(DeliveryWindow, PartOfAFrameFreesItsPart) {
  DeliveryWindow window;
  window.add(StreamId{1}, 10, 20, 10, 1'000);
  window.add(StreamId{2}, 0, 1, 1, 50);

  EXPECT_FALSE(window.acknowledge(StreamId{1}, 10));
  EXPECT_TRUE(window.acknowledge(StreamId{1}, 14));
  EXPECT_EQ(window.items(), 7u);
  EXPECT_EQ(window.bytes(), 650u);
  EXPECT_TRUE(window.acknowledge(StreamId{1}, 20));
  EXPECT_EQ(window.items(), 1u);
  window.forget(StreamId{2});
  EXPECT_TRUE(window.empty());
  EXPECT_EQ(window.bytes(), 0u);
}

TEST(DeliveryWindow, AFrameWithSkipsCountsWholeUntilItsLastItem) {
  DeliveryWindow window;
  window.add(StreamId{1}, 0, 100, 3, 300);

  EXPECT_FALSE(window.acknowledge(StreamId{1}, 99));
  EXPECT_EQ(window.items(), 3u);
  EXPECT_TRUE(window.acknowledge(StreamId{1}, 100));
  EXPECT_TRUE(window.empty());
}

}  // namespace
}  // namespace chatsdk::server
