// SPDX-License-Identifier: Apache-2.0
//
// How a LwsTransport connection ends: the closing handshake of either side, a lost stream, abort and shutdown.
#include "unit/transport/lws_fixture.h"

#include <optional>
#include <string>

namespace chatsdk {
namespace {

using namespace std::chrono_literals;
using namespace test;

TEST(LwsTransport, ClosesWithTheCodeAskedFor) {
  std::optional<WsFrame> last;
  RawPeer peer([&](RawConnection& connection) {
    if (!accept_upgrade(connection)) return;
    last = read_frame(connection);
    connection.write(ws_close(4001));
  });
  Client client;
  client.open(peer.url("ws"));
  ASSERT_TRUE(client.handler.wait_for_open());

  client.close(4001);

  ASSERT_TRUE(client.handler.wait_for_close());
  ASSERT_TRUE(peer.wait_for_ended(1));
  EXPECT_EQ(client.close_code(), Code::kClosed);
  ASSERT_TRUE(last.has_value());
  EXPECT_EQ(last->opcode, 8);
  EXPECT_TRUE(last->masked);
  EXPECT_EQ(last->payload, std::string("\x0f\xa1"));
}

TEST(LwsTransport, SendsWhatWasQueuedBeforeTheClose) {
  RawPeer peer(echo);
  Client client;
  client.open(peer.url("ws"));
  ASSERT_TRUE(client.handler.wait_for_open());

  client.engine.run([&] {
    for (int i = 0; i < 100; ++i) client.transport->send(client.id, Bytes(10, 'x'));
    client.transport->close(client.id, 1000);
  });

  ASSERT_TRUE(client.handler.wait_for_close());
  ASSERT_TRUE(peer.wait_for_ended(1));
  EXPECT_GE(peer.received().size(), 100u * 16u);
}

// It ends once the close frame has left: the adapter is not seen to wait for the peer's, so this does not reach the
// deadline of the closing handshake.
TEST(LwsTransport, EndsAfterCloseWithoutAnAnswerOfThePeer) {
  RawPeer peer(answer_with(""));
  Client client({.close_timeout = 50ms});
  client.open(peer.url("ws"));
  ASSERT_TRUE(client.handler.wait_for_open());

  client.close(1000);

  ASSERT_TRUE(client.handler.wait_for_close());
  EXPECT_EQ(client.close_code(), Code::kClosed);
}

TEST(LwsTransport, ReportsTheServersCloseCode) {
  for (const std::uint16_t code : std::initializer_list<std::uint16_t>{1000, 1001, 1008, 4000, 4999}) {
    RawPeer peer(answer_with(ws_close(code)));
    Client client;
    client.open(peer.url("ws"));
    ASSERT_TRUE(client.handler.wait_for_close());
    EXPECT_EQ(client.close_code(), Code::kClosed);
    EXPECT_EQ(client.handler.close_info.close_code, code);
  }
}

TEST(LwsTransport, ReportsALostConnection) {
  RawPeer ending([](RawConnection& connection) { accept_upgrade(connection); });
  RawPeer resetting([](RawConnection& connection) {
    accept_upgrade(connection);
    connection.reset();
  });
  for (RawPeer* peer : {&ending, &resetting}) {
    Client client;
    client.open(peer->url("ws"));
    ASSERT_TRUE(client.handler.wait_for_close());
    EXPECT_EQ(client.close_code(), Code::kNetwork) << client.handler.close_info.error.detail;
    EXPECT_EQ(client.handler.close_info.close_code, 1006);
  }
}

TEST(LwsTransport, SaysNothingButClosedAfterAbort) {
  RawPeer peer(echo);
  Client client;
  client.open(peer.url("ws"));
  ASSERT_TRUE(client.handler.wait_for_open());

  client.engine.run([&] {
    client.transport->send(client.id, "x");
    client.transport->abort(client.id);
  });

  ASSERT_TRUE(client.handler.wait_for_close());
  EXPECT_EQ(client.close_code(), Code::kClosed);
  EXPECT_TRUE(client.handler.frames.empty());
}

}  // namespace
}  // namespace chatsdk
