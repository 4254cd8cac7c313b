// SPDX-License-Identifier: Apache-2.0
//
// What devices are sent: live, after any time offline, through full windows, and when the bus loses.
#include <gtest/gtest.h>

#include "unit/server/gateway_world.h"

namespace chatsdk::server {
namespace {

using namespace std::chrono_literals;

std::vector<std::string> numbered(std::size_t count, std::size_t text_bytes = 16) {
  std::vector<std::string> out;
  for (std::size_t i = 1; i <= count; ++i) {
    out.push_back("m" + std::to_string(i) + " ");
    out.back().resize(std::max(out.back().size(), text_bytes), 'x');
  }
  return out;
}

// Two users with two devices each.
struct Pair : World {
  explicit Pair(GatewayOptions gateway_options = {}) : World(std::move(gateway_options)) {
    add_user("ada");
    add_user("bob");
    ada = add_device("ada", "phone");
    ada2 = add_device("ada", "tablet");
    bob = add_device("bob", "phone");
    bob2 = add_device("bob", "tablet");
  }
  Device ada, ada2, bob, bob2;
};

TEST(GatewayDelivery, AMessageReachesEveryDeviceOfBothUsers) {
  Pair world;
  TestClient& a = world.connect(world.ada);
  TestClient& a2 = world.connect(world.ada2, nullptr, 1);
  TestClient& b = world.connect(world.bob);
  TestClient& b2 = world.connect(world.bob2, nullptr, 1);

  a.say(world.text_to("bob", "hello", 1));
  world.run();

  ASSERT_EQ(a.of(wire::ServerFrame::kSendResult).size(), 1u);
  const wire::SendResult result = a.of(wire::ServerFrame::kSendResult)[0].send_result();
  ASSERT_TRUE(result.has_accepted());
  const StreamId conversation{result.accepted().conversation_id()};
  for (const TestClient* client : {&a, &a2, &b, &b2}) {
    EXPECT_EQ(client->texts(conversation), std::vector<std::string>{"hello"});
    EXPECT_EQ(client->gaps, 0u);
    EXPECT_EQ(client->failure(), Code::kOk);
  }
}

TEST(GatewayDelivery, LiveMessagesArriveInOrderWithoutAGap) {
  Pair world;
  TestClient& a = world.connect(world.ada);
  TestClient& b = world.connect(world.bob);

  for (std::uint64_t n = 1; n <= 100; ++n) a.say(world.text_to("bob", "m" + std::to_string(n), n));
  world.run();

  const StreamId conversation{a.of(wire::ServerFrame::kSendResult)[0].send_result().accepted().conversation_id()};
  EXPECT_EQ(b.texts(conversation).size(), 100u);
  EXPECT_EQ(b.texts(conversation), a.texts(conversation));
  EXPECT_EQ(b.gaps, 0u);
}

TEST(GatewayDelivery, ADeviceThatWasOfflineIsSentPagesThenCaughtUp) {
  Pair world;
  const StreamId conversation = world.append(world.ada, "bob", 1, 300);

  TestClient& b = world.connect(world.bob);

  EXPECT_EQ(b.texts(conversation), numbered(300));
  for (const auto& frame : b.of(wire::ServerFrame::kItems)) {
    EXPECT_LE(static_cast<std::size_t>(frame.items().items_size()), limits::kItemsPerFrameMax);
  }
  const auto caught_up = b.of(wire::ServerFrame::kCaughtUp);
  ASSERT_EQ(caught_up.size(), 3u);  // the account stream, the conversation, everything
  EXPECT_EQ(caught_up[1].caught_up().stream_id(), conversation.value);
  EXPECT_EQ(caught_up[1].caught_up().seq(), 301u);
  EXPECT_EQ(caught_up[2].caught_up().stream_id(), 0u);
}

std::size_t items_sent(const TestClient& client) {
  std::size_t count = 0;
  for (const auto& frame : client.of(wire::ServerFrame::kItems)) {
    count += static_cast<std::size_t>(frame.items().items_size());
  }
  return count;
}

std::size_t item_bytes_sent(const TestClient& client) {
  std::size_t bytes = 0;
  for (const auto& frame : client.of(wire::ServerFrame::kItems)) bytes += frame.ByteSizeLong();
  return bytes;
}

bool all_caught_up(const TestClient& client) {
  const auto frames = client.of(wire::ServerFrame::kCaughtUp);
  return !frames.empty() && frames.back().caught_up().stream_id() == 0;
}

void pull(TestClient& client, StreamId stream, Seq after) {
  wire::ClientFrame frame;
  frame.mutable_pull()->set_stream_id(stream.value);
  frame.mutable_pull()->set_after_seq(after);
  client.say(frame);
}

// ---- Resume --------------------------------------------------------------------------------------------------------

TEST(GatewayResume, ADeviceWithNothingBehindIsCaughtUpAtOnce) {
  Pair world;
  TestClient& before = world.connect(world.ada);
  world.advance(1s);
  before.hang_up();

  TestClient& a = world.connect(world.ada, &before);

  ASSERT_EQ(a.frames.size(), 2u);
  EXPECT_TRUE(a.frames[0].has_welcome());
  EXPECT_TRUE(all_caught_up(a));
}

TEST(GatewayResume, NamedCursorsAreWhereStreamsStart) {
  Pair world;
  const StreamId conversation = world.append(world.ada, "bob", 1, 10);
  TestClient& before = world.connect(world.bob);
  world.advance(1s);  // the acknowledgements reach the store
  before.hang_up();
  world.append(world.ada, "bob", 11, 5);

  TestClient& b = world.connect(world.bob, &before);

  EXPECT_EQ(items_sent(b), 5u);
  EXPECT_EQ(b.texts(conversation), numbered(15));
  EXPECT_EQ(b.gaps, 0u);
}

TEST(GatewayResume, StreamsThatAreNotNamedBesideOthersStartAtWhatWasAcknowledged) {
  Pair world;
  const StreamId conversation = world.append(world.ada, "bob", 1, 10);
  TestClient& before = world.connect(world.bob);
  world.advance(1s);  // the acknowledgements reach the store
  before.hang_up();
  world.append(world.ada, "bob", 11, 5);
  before.cursors.erase(conversation);

  TestClient& b = world.connect(world.bob, &before, 0, false);

  EXPECT_EQ(items_sent(b), 5u);
  EXPECT_EQ(b.of(wire::ServerFrame::kItems)[0].items().after_seq(), 11u);
}

TEST(GatewayResume, ADeviceThatNamesNothingAndHasAcknowledgedNothingIsSentAll) {
  Pair world;
  const StreamId conversation = world.append(world.ada, "bob", 1, 10);
  TestClient& before = world.connect(world.bob, nullptr, 0, false);
  world.advance(1s);
  before.hang_up();

  TestClient& b = world.connect(world.bob);

  EXPECT_EQ(b.failure(), Code::kOk);
  EXPECT_EQ(b.texts(conversation), numbered(10));
}

// It would be sent the next message after a gap that no pull can fill.
TEST(GatewayResume, ADeviceThatHasLostItsStateIsRolledBack) {
  Pair world;
  const StreamId conversation = world.append(world.ada, "bob", 1, 10);
  TestClient& before = world.connect(world.bob);
  world.advance(1s);
  before.hang_up();
  for (const std::uint64_t epoch : {std::uint64_t{0}, world.store->epoch(), world.store->epoch() + 1}) {
    TestClient& b = world.open(world.token(world.bob));
    wire::ClientFrame hello = world.hello();
    hello.mutable_hello()->set_store_epoch(epoch);

    b.say(hello);
    world.run();

    EXPECT_EQ(b.failure(), Code::kRolledBack);
    EXPECT_EQ(b.closed, CloseCode::kRolledBack);
    EXPECT_TRUE(b.of(wire::ServerFrame::kWelcome).empty());
  }

  const World::Device anew = world.add_device("bob", "phone with another installation id");
  EXPECT_EQ(world.connect(anew).texts(conversation), numbered(10)) << "it goes on as a new device";
}

TEST(GatewayResume, ACursorBelowTheAcknowledgedIsRolledBack) {
  Pair world;
  const StreamId conversation = world.append(world.ada, "bob", 1, 10);
  TestClient& before = world.connect(world.bob);
  world.advance(1s);
  before.hang_up();
  before.cursors[conversation] = 4;

  TestClient& b = world.connect(world.bob, &before);

  EXPECT_EQ(b.failure(), Code::kRolledBack);
  EXPECT_EQ(b.closed, CloseCode::kRolledBack);
  EXPECT_TRUE(b.of(wire::ServerFrame::kWelcome).empty());
}

TEST(GatewayResume, ACursorBeyondTheHeadIsRefused) {
  Pair world;
  const StreamId conversation = world.append(world.ada, "bob", 1, 10);
  TestClient& before = world.connect(world.bob);
  before.hang_up();
  before.cursors[conversation] = 12;

  TestClient& b = world.connect(world.bob, &before);

  EXPECT_EQ(b.failure(), Code::kProtocol);
}

TEST(GatewayResume, CursorsOfStreamsThatAreNotFollowedAreIgnored) {
  Pair world;
  TestClient& before = world.connect(world.bob);
  before.hang_up();
  before.cursors[StreamId{987'654}] = 3;

  TestClient& b = world.connect(world.bob, &before);

  EXPECT_TRUE(all_caught_up(b));
}

TEST(GatewayResume, NothingFallsBetweenTheReadAndTheWelcome) {
  Pair world;
  const StreamId conversation = world.append(world.ada, "bob", 1, 1);
  TestClient& b = world.open(world.token(world.bob));
  b.auto_ack = true;
  b.say(world.hello());
  world.reader_executor.run_ready();  // read, but not yet answered
  world.append(world.ada, "bob", 2, 1);
  world.append(world.ada, "bob", 3, 1);
  world.run();

  EXPECT_EQ(b.texts(conversation), numbered(3));
  EXPECT_EQ(b.gaps, 0u);
  EXPECT_TRUE(all_caught_up(b));
}

// ---- Windows -------------------------------------------------------------------------------------------------------

TEST(GatewayWindow, AtMostTheWindowIsUnacknowledged) {
  Pair world;
  const StreamId conversation = world.append(world.ada, "bob", 1, 600);
  TestClient& b = world.connect(world.bob, nullptr, 0, false);

  const std::size_t sent = items_sent(b);
  EXPECT_LE(sent, limits::kWindowItemsMax);
  EXPECT_GT(sent, limits::kWindowItemsMax - limits::kItemsPerFrameMax);
  EXPECT_FALSE(all_caught_up(b));

  b.ack(conversation, 64);
  world.run();
  EXPECT_GT(items_sent(b), sent);
  EXPECT_LE(items_sent(b) - 64, limits::kWindowItemsMax);
}

TEST(GatewayWindow, EveryItemArrivesWhateverTheWindow) {
  for (const std::size_t window : {1u, 2u, 3u, 7u, 64u, 65u, 1000u}) {
    GatewayOptions options;
    options.window_items = window;
    Pair world(options);
    const StreamId conversation = world.append(world.ada, "bob", 1, 150);
    TestClient& b = world.connect(world.bob);
    world.append(world.ada, "bob", 151, 50);
    world.run();

    EXPECT_EQ(b.texts(conversation), numbered(200)) << "window " << window;
    EXPECT_EQ(b.gaps, 0u) << "window " << window;
    EXPECT_EQ(b.failure(), Code::kOk) << "window " << window;
  }
}

TEST(GatewayWindow, BytesAreBoundedToo) {
  Pair world;
  const StreamId conversation = world.append(world.ada, "bob", 1, 40, 20'000);
  TestClient& b = world.connect(world.bob, nullptr, 0, false);
  EXPECT_LE(item_bytes_sent(b), limits::kWindowBytesMax);
  EXPECT_GE(items_sent(b), 3u);

  b.auto_ack = true;
  for (const auto& [stream, seq] : std::map(b.cursors)) b.ack(stream, seq);
  world.run();
  EXPECT_EQ(b.texts(conversation), numbered(40, 20'000));
}

TEST(GatewayWindow, AnItemLargerThanTheRoomTravelsAlone) {
  GatewayOptions options;
  options.text_bytes_max = limits::kTextBytesMax;
  Pair world(options);
  const StreamId conversation = world.append(world.ada, "bob", 1, 3);
  world.append(world.ada, "bob", 4, 2, 500'000);
  world.append(world.ada, "bob", 6, 1);
  TestClient& b = world.connect(world.bob, nullptr, 0, false);
  EXPECT_EQ(b.texts(conversation).size(), 3u);

  b.auto_ack = true;
  for (const auto& [stream, seq] : std::map(b.cursors)) b.ack(stream, seq);
  world.run();
  ASSERT_EQ(b.texts(conversation).size(), 6u);
  EXPECT_EQ(b.texts(conversation)[4].size(), 500'000u);
  EXPECT_TRUE(all_caught_up(b));
}

TEST(GatewayWindow, LiveItemsWaitForRoomAndThenComeFromTheStore) {
  GatewayOptions options;
  options.window_items = 4;
  Pair world(options);
  const StreamId conversation = world.append(world.ada, "bob", 1, 1);
  TestClient& b = world.connect(world.bob);
  b.auto_ack = false;
  world.append(world.ada, "bob", 2, 20);
  world.run();
  EXPECT_EQ(b.texts(conversation), numbered(5));

  b.auto_ack = true;
  b.ack(conversation, b.cursors[conversation]);
  world.run();
  EXPECT_EQ(b.texts(conversation), numbered(21));
  EXPECT_EQ(b.gaps, 0u);
}

TEST(GatewayWindow, AFullWindowWithoutProgressEndsTheConnection) {
  Pair world;
  world.append(world.ada, "bob", 1, 600);
  TestClient& b = world.connect(world.bob, nullptr, 0, false);

  world.advance_alive(b, 25s);
  EXPECT_FALSE(b.closed);
  world.advance_alive(b, 10s);

  EXPECT_EQ(b.failure(), Code::kTimedOut);
  EXPECT_EQ(b.closed, CloseCode::kStalled);
}

TEST(GatewayWindow, ProgressKeepsASlowDeviceConnected) {
  Pair world;
  const StreamId conversation = world.append(world.ada, "bob", 1, 600);
  TestClient& b = world.connect(world.bob, nullptr, 0, false);

  for (Seq seq = 1; seq <= 5; ++seq) {
    world.advance_alive(b, 20s);
    b.ack(conversation, seq);
  }

  EXPECT_FALSE(b.closed);
}

TEST(GatewayWindow, StreamsTakeTurns) {
  GatewayOptions options;
  options.window_items = 2;
  Pair world(options);
  world.add_user("cyd");
  const World::Device cyd = world.add_device("cyd");
  const StreamId first = world.append(world.ada, "bob", 1, 40);
  const StreamId second = world.append(cyd, "bob", 1, 40);
  TestClient& b = world.connect(world.bob);

  // The order in which streams came: neither is finished long before the other begins.
  std::vector<StreamId> order;
  for (const auto& frame : b.of(wire::ServerFrame::kItems)) order.push_back(StreamId{frame.items().stream_id()});
  const auto last_of_first = std::find(order.rbegin(), order.rend(), first).base() - order.begin();
  const auto first_of_second = std::find(order.begin(), order.end(), second) - order.begin();
  EXPECT_LT(first_of_second, last_of_first / 4);
  EXPECT_EQ(b.texts(first).size(), 40u);
  EXPECT_EQ(b.texts(second).size(), 40u);
}

TEST(GatewayWindow, APeerThatDoesNotReadIsClosed) {
  Pair world;
  TestClient& b = world.connect(world.bob);
  b.queued = limits::kConnectionWriteBytesMax + 1;

  world.append(world.ada, "bob", 1, 1);
  world.run();

  EXPECT_EQ(b.closed, CloseCode::kStalled);
}

TEST(GatewayWindow, WhatAPeerMayLeaveUnreadIsAnOption) {
  GatewayOptions options;
  options.write_bytes_max = 1'000;
  Pair world(options);
  TestClient& b = world.connect(world.bob);
  b.queued = 1'000;
  world.append(world.ada, "bob", 1, 1);
  world.run();
  EXPECT_FALSE(b.closed);

  b.queued = 1'001;
  world.append(world.ada, "bob", 2, 1);
  world.run();
  EXPECT_EQ(b.closed, CloseCode::kStalled);
}

// ---- Lost hints ----------------------------------------------------------------------------------------------------

TEST(GatewayHints, ALostHintIsHealedByTheNext) {
  Pair world;
  const StreamId conversation = world.append(world.ada, "bob", 1, 1);
  TestClient& b = world.connect(world.bob);
  world.bus.lose_items = true;
  world.append(world.ada, "bob", 2, 3);
  world.bus.lose_items = false;
  world.append(world.ada, "bob", 5, 1);
  world.run();

  EXPECT_EQ(b.texts(conversation), numbered(5));
  EXPECT_EQ(b.gaps, 0u);
}

TEST(GatewayHints, ALostLastHintIsHealedByTheDigest) {
  Pair world;
  const StreamId conversation = world.append(world.ada, "bob", 1, 1);
  TestClient& b = world.connect(world.bob);
  world.bus.lose_items = true;
  world.append(world.ada, "bob", 2, 1);
  world.run();
  ASSERT_EQ(b.texts(conversation).size(), 1u);

  world.advance(limits::kHeadCompare);

  EXPECT_EQ(b.texts(conversation), numbered(2));
}

TEST(GatewayHints, ALostHintIsHealedAlsoWhenAllDigestsThatNameItsStreamAreLost) {
  Pair world;
  const StreamId conversation = world.append(world.ada, "bob", 1, 1);
  TestClient& b = world.connect(world.bob);
  world.bus.lose_items = world.bus.lose_digests = true;
  world.append(world.ada, "bob", 2, 1);
  world.advance(4 * limits::kHeadCompare);
  ASSERT_EQ(b.texts(conversation).size(), 1u);

  world.bus.lose_items = world.bus.lose_digests = false;
  world.advance(limits::kHeadCompare);

  EXPECT_EQ(b.texts(conversation), numbered(2));
}

TEST(GatewayHints, ALostConversationIsFoundAlsoWhenAllDigestsThatNameItAreLost) {
  Pair world;
  TestClient& b = world.connect(world.bob);
  world.bus.lose_items = world.bus.lose_digests = true;
  const StreamId conversation = world.append(world.ada, "bob", 1, 3);
  world.advance(4 * limits::kHeadCompare);

  world.bus.lose_items = world.bus.lose_digests = false;
  world.advance(limits::kHeadCompare);

  EXPECT_EQ(b.texts(conversation), numbered(3));
}

TEST(GatewayHints, LostMarksAreHealedAlsoWhenAllDigestsThatNameThemAreLost) {
  Pair world;
  const StreamId conversation = world.append(world.ada, "bob", 1, 1);
  TestClient& a = world.connect(world.ada);
  world.bus.lose_marks = world.bus.lose_digests = true;
  world.connect(world.bob);
  world.advance(limits::kMarkFlush + 4 * limits::kHeadCompare);
  const std::pair<StreamId, std::pair<std::string, int>> mark = {conversation, {"bob", wire::Marks::KIND_DELIVERED}};
  ASSERT_EQ(a.marks[mark], 0u);

  world.bus.lose_marks = world.bus.lose_digests = false;
  world.advance(limits::kHeadCompare);

  EXPECT_EQ(a.marks[mark], 2u);
}

TEST(GatewayHints, WithEveryHintLostEverythingStillArrives) {
  Pair world;
  world.bus.lose_items = world.bus.lose_marks = world.bus.lose_kicks = true;
  TestClient& a = world.connect(world.ada);
  TestClient& b = world.connect(world.bob);
  StreamId conversation;
  for (std::uint64_t n = 1; n <= 20; ++n) {
    a.say(world.text_to("bob", "m" + std::to_string(n), n));
    world.advance(500ms);
  }
  world.advance(3 * limits::kHeadCompare);

  conversation = StreamId{a.of(wire::ServerFrame::kSendResult)[0].send_result().accepted().conversation_id()};
  EXPECT_EQ(a.texts(conversation).size(), 20u);
  EXPECT_EQ(b.texts(conversation), a.texts(conversation));
  EXPECT_EQ((a.marks[{conversation, {"bob", wire::Marks::KIND_DELIVERED}}]), 21u);
}

TEST(GatewayHints, ANewConversationIsFollowedFromItsBeginning) {
  Pair world;
  TestClient& b = world.connect(world.bob);

  const StreamId conversation = world.append(world.ada, "bob", 1, 2);
  world.run();

  EXPECT_EQ(b.texts(conversation), numbered(2));
  EXPECT_EQ(b.items[conversation].front().kind(), wire::ITEM_KIND_ROSTER);
  EXPECT_EQ(b.gaps, 0u);
}

TEST(GatewayHints, TheAccountStreamTellsOfAConversationWhoseOwnHintsAreLost) {
  Pair world;
  TestClient& b = world.connect(world.bob);
  world.bus.lose_conversation_items = true;

  const StreamId conversation = world.append(world.ada, "bob", 1, 1);
  world.run();

  EXPECT_EQ(b.texts(conversation), numbered(1));
}

TEST(GatewayHints, RepeatedAndOldHintsAreIgnored) {
  Pair world;
  const StreamId conversation = world.append(world.ada, "bob", 1, 5);
  TestClient& b = world.connect(world.bob);
  const std::size_t before = b.frames.size();
  auto hint = std::make_shared<ItemHint>();
  hint->stream_id = conversation;
  hint->kind = wire::STREAM_KIND_CONVERSATION;
  hint->seq = 3;
  hint->frame = std::make_shared<const Bytes>();

  for (int i = 0; i < 3; ++i) world.bus.publish("bob", std::shared_ptr<const ItemHint>(hint));
  world.run();

  EXPECT_EQ(b.frames.size(), before);
}

// ---- Pull ----------------------------------------------------------------------------------------------------------

TEST(GatewayPull, AGapIsReadAgainFromTheStore) {
  Pair world;
  const StreamId conversation = world.append(world.ada, "bob", 1, 2);
  TestClient& b = world.connect(world.bob);
  b.drop_items = true;
  world.append(world.ada, "bob", 3, 2);
  world.run();
  b.drop_items = false;
  world.append(world.ada, "bob", 5, 1);
  world.run();
  ASSERT_EQ(b.gaps, 1u);

  pull(b, conversation, b.cursors[conversation]);
  world.run();

  EXPECT_EQ(b.texts(conversation), numbered(5));
  EXPECT_EQ(b.failure(), Code::kOk);
}

TEST(GatewayPull, BelowTheAcknowledgedIsRolledBack) {
  Pair world;
  const StreamId conversation = world.append(world.ada, "bob", 1, 5);
  TestClient& b = world.connect(world.bob);

  pull(b, conversation, 2);

  EXPECT_EQ(b.failure(), Code::kRolledBack);
  EXPECT_EQ(b.closed, CloseCode::kRolledBack);
}

TEST(GatewayPull, BeyondWhatWasSentIsAViolation) {
  Pair world;
  const StreamId conversation = world.append(world.ada, "bob", 1, 5);
  TestClient& b = world.connect(world.bob);

  pull(b, conversation, 7);

  EXPECT_EQ(b.failure(), Code::kProtocol);
}

// A device that passes a stream over says how far it has come with each frame, and more was on its way.
TEST(GatewayPull, OnTheHeelsOfAnotherIsOfWhatHadComeBefore) {
  Pair world;
  const StreamId conversation = world.append(world.ada, "bob", 1, 5);
  TestClient& b = world.connect(world.bob, nullptr, 0, false);
  ASSERT_EQ(b.cursors[conversation], 6u);

  pull(b, conversation, 2);
  pull(b, conversation, 6);
  world.run();
  EXPECT_EQ(b.failure(), Code::kOk);
  pull(b, conversation, 7);
  EXPECT_EQ(b.failure(), Code::kProtocol);
}

TEST(GatewayPull, WhileAPageIsReadItWins) {
  Pair world;
  const StreamId conversation = world.append(world.ada, "bob", 1, 200);
  TestClient& b = world.connect(world.bob, nullptr, 0, false);
  b.ack(conversation, 10);  // the next page is being read
  b.cursors[conversation] = 10;
  b.items[conversation].resize(10);
  pull(b, conversation, 10);
  b.auto_ack = true;
  world.run();
  for (const auto& [stream, seq] : std::map(b.cursors)) b.ack(stream, seq);
  world.run();

  EXPECT_EQ(b.texts(conversation), numbered(200));
}

// A device that holds a stream back lets others go on, however much it is, and has it when it asks.
TEST(GatewayPull, WhatIsPassedOverTakesNoRoomInTheWindow) {
  GatewayOptions options;
  options.window_items = 4;
  Pair world(options);
  world.add_user("cyd");
  const World::Device cyd = world.add_device("cyd");
  const StreamId held = world.append(world.ada, "bob", 1, 40);
  TestClient& b = world.connect(world.bob, nullptr, 0, false);
  const StreamId account{b.frames[0].welcome().account_stream_id()};
  const auto acknowledge_account = [&] {
    b.ack(account, b.cursors[account]);
    world.run();
  };
  acknowledge_account();
  while (b.cursors[held] < 41) {
    const Seq before = b.cursors[held];
    pull(b, held, before);
    world.run();
    ASSERT_GT(b.cursors[held], before);
  }
  pull(b, held, b.cursors[held]);
  const StreamId other = world.append(cyd, "bob", 1, 3);
  world.run();
  acknowledge_account();
  b.ack(other, b.cursors[other]);
  world.run();
  EXPECT_EQ(b.texts(other), numbered(3));
  b.ack(other, b.cursors[other]);
  world.advance_alive(b, 2 * limits::kStalledTimeout);
  EXPECT_FALSE(b.closed);

  pull(b, held, 0);
  world.run();
  const wire::Items& again = b.of(wire::ServerFrame::kItems).back().items();
  EXPECT_EQ(StreamId{again.stream_id()}, held);
  EXPECT_EQ(again.after_seq(), 0u);
  EXPECT_EQ(b.failure(), Code::kOk);
}

}  // namespace
}  // namespace chatsdk::server
