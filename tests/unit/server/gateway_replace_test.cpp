// SPDX-License-Identifier: Apache-2.0
//
// One connection for each device: which one stays, from which moment on, and what ends a connection from outside.
//
// Threads: one.
#include <gtest/gtest.h>

#include "unit/server/gateway_world.h"

namespace chatsdk::server {
namespace {

struct Replacing : World {
  Replacing() {
    add_user("ada");
    add_user("bob");
    ada = add_device("ada");
    bob = add_device("bob");
  }
  Device ada, bob;
};

TEST(GatewayReplace, TheNewestConnectionOfADeviceWins) {
  for (const std::size_t shard : {0u, 1u}) {
    Replacing world;
    TestClient& older = world.connect(world.ada);

    TestClient& newer = world.connect(world.ada, &older, shard);

    EXPECT_EQ(older.failure(), Code::kReplaced);
    EXPECT_EQ(older.closed, CloseCode::kReplaced);
    EXPECT_FALSE(newer.closed);
    EXPECT_EQ(world.directory.size(), 1u);
  }
}

TEST(GatewayReplace, NothingOfAReplacedConnectionIsSubmitted) {
  Replacing world;
  world.bus.lose_kicks = true;
  TestClient& older = world.connect(world.ada);
  TestClient& newer = world.connect(world.ada, &older, 1);
  ASSERT_FALSE(older.closed);  // it has not heard of it

  older.say(world.text_to("bob", "from the past", 1));
  world.run();

  EXPECT_EQ(older.closed, CloseCode::kReplaced);
  EXPECT_TRUE(world.submitted_ops<AppendMessage>().empty());
  EXPECT_FALSE(newer.closed);
}

TEST(GatewayReplace, AnotherDeviceOfTheUserStays) {
  Replacing world;
  TestClient& phone = world.connect(world.ada);
  TestClient& tablet = world.connect(world.add_device("ada", "tablet"));

  EXPECT_FALSE(phone.closed);
  EXPECT_FALSE(tablet.closed);
}

TEST(GatewayReplace, OfTwoThatBeginAtOnceOneStays) {
  Replacing world;
  TestClient& first = world.open(world.token(world.ada), 0);
  TestClient& second = world.open(world.token(world.ada), 1);
  first.say(world.hello());
  second.say(world.hello());
  world.run();

  EXPECT_EQ(first.failure(), Code::kReplaced);
  EXPECT_FALSE(second.closed);
  EXPECT_FALSE(second.of(wire::ServerFrame::kWelcome).empty());
}

TEST(GatewayReplace, TheLaterHelloStaysWhicheverIsLoadedFirst) {
  Replacing world;
  TestClient& first = world.open(world.token(world.ada), 0);
  TestClient& second = world.open(world.token(world.ada), 1);
  first.say(world.hello());
  second.say(world.hello());
  world.reader_executor.run_ready();
  world.shard_executors[1].run_ready();
  EXPECT_FALSE(second.of(wire::ServerFrame::kWelcome).empty());
  world.run();

  EXPECT_EQ(first.failure(), Code::kReplaced);
  EXPECT_TRUE(first.of(wire::ServerFrame::kWelcome).empty());
  EXPECT_FALSE(second.closed);
}

TEST(GatewayReplace, AnEndedSessionReplacesNobody) {
  Replacing world;
  const std::string ended = world.token(world.ada);
  const World::Device again = world.add_device("ada");  // the same device, a new session
  ASSERT_EQ(again.id, world.ada.id);
  TestClient& live = world.connect(again);
  TestClient& old = world.open(ended, 1);

  old.say(world.hello());
  world.run();

  EXPECT_EQ(old.failure(), Code::kUnauthenticated);
  EXPECT_FALSE(live.closed);
  live.say(world.text_to("bob", "still here", 1));
  world.run();
  EXPECT_EQ(world.submitted_ops<AppendMessage>().size(), 1u);
}

TEST(GatewayReplace, TheOlderConnectionWorksUntilTheNewerIsAdmittedAndNotAfter) {
  Replacing world;
  world.bus.lose_kicks = true;
  TestClient& older = world.connect(world.ada);
  TestClient& newer = world.open(world.token(world.ada), 1);

  newer.say(world.hello());
  older.say(world.text_to("bob", "before", 1));
  EXPECT_FALSE(older.closed);
  world.run();
  ASSERT_FALSE(newer.of(wire::ServerFrame::kWelcome).empty());
  older.say(world.text_to("bob", "after", 2));
  world.run();

  EXPECT_EQ(older.failure(), Code::kReplaced);
  EXPECT_EQ(world.submitted_ops<AppendMessage>().size(), 1u);
}

TEST(GatewayReplace, ANewLogInOfTheDeviceClosesTheConnectionOfTheOldSession) {
  Replacing world;
  TestClient& old = world.connect(world.ada);
  const World::Device again = world.add_device("ada");
  TestClient& fresh = world.open(world.token(again), 1);
  fresh.say(world.hello());

  Kick kick{"ada", world.ada.id, Code::kUnauthenticated, 0};
  kick.except_session = again.session;
  world.bus.publish("ada", kick);
  world.run();

  EXPECT_EQ(old.closed, CloseCode::kUnauthenticated);
  EXPECT_FALSE(fresh.closed);
  EXPECT_FALSE(fresh.of(wire::ServerFrame::kWelcome).empty());
}

TEST(GatewayReplace, ARevokedDeviceIsClosedAtOnce) {
  Replacing world;
  TestClient& phone = world.connect(world.ada);
  TestClient& tablet = world.connect(world.add_device("ada", "tablet"), nullptr, 1);

  world.bus.publish("ada", Kick{"ada", world.ada.id, Code::kUnauthenticated, 0});
  world.run();

  EXPECT_EQ(phone.closed, CloseCode::kUnauthenticated);
  EXPECT_FALSE(tablet.closed);
}

}  // namespace
}  // namespace chatsdk::server
