// SPDX-License-Identifier: Apache-2.0
//
// LwsTransport as a whole: several connections, its end at every stage, its owner's ticks, and the host's process.
#include "unit/transport/lws_fixture.h"

#include <csignal>
#include <string>

namespace chatsdk {
namespace {

using namespace std::chrono_literals;
using namespace test;

TEST(LwsTransport, IgnoresUnknownConnections) {
  Client client;
  client.engine.run([&] {
    EXPECT_TRUE(client.transport->send(77, "x"));
    client.transport->close(77, 1000);
    client.transport->abort(77);
  });
}

TEST(LwsTransport, ServesSeveralConnectionsAtOnce) {
  RawPeer peer(echo);
  Client client;
  RecordingHandler handlers[5];
  client.engine.run([&] {
    for (RecordingHandler& handler : handlers) {
      const auto id = client.transport->open({peer.url("ws"), "chatsdk.v1", kToken}, handler);
      client.transport->send(id, "before open");
    }
  });
  for (RecordingHandler& handler : handlers) {
    ASSERT_TRUE(handler.wait([](const auto& self) { return self.frames.size() == 1; }));
    EXPECT_EQ(handler.frames[0], "before open");
  }
}

TEST(LwsTransport, OpensAgainAfterShutdown) {
  RawPeer peer(echo);
  Client client;
  for (int round = 0; round < 3; ++round) {
    RecordingHandler handler;
    client.engine.run([&] { client.transport->open({peer.url("ws"), "chatsdk.v1", kToken}, handler); });
    ASSERT_TRUE(handler.wait_for_open());

    client.engine.run([&] { client.transport->shutdown(); });

    ASSERT_TRUE(handler.wait_for_close());
    EXPECT_EQ(handler.close_info.error.code, Code::kClosed);
  }
}

TEST(LwsTransport, CanBeDestroyedAtEveryStage) {
  TestCa ca;
  const Identity identity = ca.issue({});
  RawPeer silent([](RawConnection& connection) { connection.read_to_end(); });
  RawPeer plain(echo);
  RawPeer secure(echo, identity);
  RawPeer flooding([](RawConnection& connection) {
    accept_upgrade(connection);
    while (connection.write(ws_frame(2, Bytes(1'000, 'x')))) {
    }
  });
  { Client untouched; }
  for (const std::string& url :
       {silent.url("ws"), silent.url("wss"), plain.url("ws"), secure.url("wss", "localhost"), flooding.url("ws")}) {
    {
      Client just_opened({.ca_file = ca.root_file()});
      just_opened.open(url);
    }
    {
      Client sending({.ca_file = ca.root_file()});
      sending.open(url);
      sending.send(Bytes(100'000, 'x'));
      sending.close(1000);
    }
  }
  for (const std::string& url : {plain.url("ws"), secure.url("wss", "localhost"), flooding.url("ws")}) {
    Client established({.ca_file = ca.root_file()});
    established.open(url);
    ASSERT_TRUE(established.handler.wait_for_open());
    established.send("x");
  }
}

TEST(LwsTransport, LeavesTheHostsSigpipeHandlingAlone) {
  struct sigaction before {};
  sigaction(SIGPIPE, nullptr, &before);
  RawPeer peer(echo);
  Client client;
  client.open(peer.url("ws"));
  ASSERT_TRUE(client.handler.wait_for_open());

  struct sigaction after {};
  sigaction(SIGPIPE, nullptr, &after);

  EXPECT_EQ(after.sa_handler, before.sa_handler);
}

// ---- Driven by the owner ----

TEST(LwsTransport, DoesNothingOutsideDriveWithoutItsOwnThread) {
  TestCa ca;
  RawPeer peer(echo, ca.issue({}));
  RecordingLog log;
  RecordingHandler handler;
  SystemClock clock;
  ManualExecutor engine(clock);
  LwsTransport transport(engine, {.ca_file = ca.root_file(), .own_thread = false}, log);
  const auto id = transport.open({peer.url("wss", "localhost"), "chatsdk.v1", kToken}, handler);
  transport.send(id, "ticked");
  const auto until = clock.monotonic_now() + 10s;

  while (handler.frames.empty() && clock.monotonic_now() < until) {
    transport.drive();
    engine.run_ready();
  }
  ASSERT_EQ(handler.frames.size(), 1u);
  EXPECT_EQ(handler.frames[0], "ticked");

  transport.shutdown();
  engine.run_ready();
  EXPECT_EQ(handler.closed, 1);
}

}  // namespace
}  // namespace chatsdk
