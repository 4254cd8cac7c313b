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

}  // namespace
}  // namespace chatsdk::server
