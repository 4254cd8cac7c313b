// SPDX-License-Identifier: Apache-2.0
//
// How a LwsTransport connection ends: the closing handshake of either side, a lost stream, abort and shutdown.
#include "unit/transport/lws_fixture.h"

#include <future>
#include <optional>
#include <string>
#include <utility>
#include <vector>

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

// A peer that reads to the client's Close, says so, and then does what the test wants, when the test wants it. What it
// has read can be asked for once it has ended.
class ClosingPeer {
 public:
  explicit ClosingPeer(std::string bytes) : bytes_(std::move(bytes)) {}
  ~ClosingPeer() { go_on(); }

  std::string url() const { return peer_.url("ws"); }
  bool wait_for_close_frame() { return seen_.get_future().wait_for(60s) == std::future_status::ready; }
  // Writes the bytes and reads to the end.
  void go_on() {
    if (!std::exchange(went_on_, true)) may_go_on_.set_value();
  }
  bool wait_for_ended() { return peer_.wait_for_ended(1); }
  std::vector<int> opcodes() const { return opcodes_; }

 private:
  void run(RawConnection& connection) {
    if (!accept_upgrade(connection)) return;
    bool closing = false;
    while (const auto frame = read_frame(connection)) {
      opcodes_.push_back(frame->opcode);
      if (frame->opcode != 8 || std::exchange(closing, true)) continue;
      seen_.set_value();
      may_go_on_.get_future().wait();
      connection.write(bytes_);
    }
  }

  const std::string bytes_;
  std::promise<void> seen_;
  std::promise<void> may_go_on_;
  bool went_on_ = false;
  std::vector<int> opcodes_;
  RawPeer peer_{[this](RawConnection& connection) { run(connection); }};
};

// Another connection carries a frame there and back meanwhile, so the service has had its turns.
void let_the_service_turn(Client& client) {
  RawPeer other(echo);
  RecordingHandler handler;
  client.engine.run([&] {
    client.transport->send(client.transport->open({other.url("ws"), "chatsdk.v1", kToken}, handler), "round trip");
  });
  EXPECT_TRUE(handler.wait([](const auto& self) { return self.frames.size() == 1; }));
  client.engine.run([&] { client.transport->abort(client.id + 1); });
  EXPECT_TRUE(handler.wait_for_close());
}

bool is_closed(Client& client) {
  bool closed = false;
  client.engine.run([&] { closed = client.handler.closed > 0; });
  return closed;
}

TEST(LwsTransport, WaitsForThePeersCloseBeforeItEnds) {
  ClosingPeer peer(ws_close(4001));
  Client client;
  client.open(peer.url());
  ASSERT_TRUE(client.handler.wait_for_open());

  client.close(4001);
  ASSERT_TRUE(peer.wait_for_close_frame());
  let_the_service_turn(client);
  EXPECT_FALSE(is_closed(client));
  peer.go_on();

  ASSERT_TRUE(client.handler.wait_for_close());
  EXPECT_EQ(client.close_code(), Code::kClosed);
  EXPECT_EQ(client.handler.close_info.close_code, 4001);
}

TEST(LwsTransport, EndsWhenThePeerDoesNotAnswerItsClose) {
  RawPeer peer(answer_with(""));
  Client client({.close_answer_timeout = 50ms});
  client.open(peer.url("ws"));
  ASSERT_TRUE(client.handler.wait_for_open());

  client.close(1000);

  ASSERT_TRUE(client.handler.wait_for_close());
  EXPECT_EQ(client.close_code(), Code::kClosed);
  EXPECT_EQ(client.handler.close_info.close_code, 1006);
  EXPECT_NE(client.handler.close_info.error.detail.find("time limit"), std::string::npos)
      << client.handler.close_info.error.detail;
}

// More is queued than the kernel's buffers of both sides take.
TEST(LwsTransport, EndsWhenWhatIsQueuedBeforeItsCloseDoesNotLeave) {
  std::promise<void> done;
  RawPeer peer([finished = done.get_future().share()](RawConnection& connection) {
    if (accept_upgrade(connection)) finished.wait();
  });
  {
    Client client({.close_timeout = 50ms, .close_answer_timeout = 1h});
    client.open(peer.url("ws"));
    EXPECT_TRUE(client.handler.wait_for_open());
    for (int i = 0; i < 600; ++i) client.send(Bytes(50'000, 'x'));

    client.close(1000);

    EXPECT_TRUE(client.handler.wait_for_close());
    EXPECT_EQ(client.close_code(), Code::kClosed);
  }
  done.set_value();
}

TEST(LwsTransport, EndsWhenThePeerEndsTheStreamInsteadOfAnsweringItsClose) {
  RawPeer peer([](RawConnection& connection) {
    if (accept_upgrade(connection)) close_code_seen(connection);
  });
  Client client({.close_answer_timeout = 1h});
  client.open(peer.url("ws"));
  ASSERT_TRUE(client.handler.wait_for_open());

  client.close(1000);

  ASSERT_TRUE(client.handler.wait_for_close());
  EXPECT_EQ(client.close_code(), Code::kClosed);
}

TEST(LwsTransport, SendsNothingAfterItsClose) {
  ClosingPeer peer(ws_close(1000));
  Client client;
  client.open(peer.url());
  ASSERT_TRUE(client.handler.wait_for_open());

  client.engine.run([&] {
    client.transport->close(client.id, 1000);
    client.transport->send(client.id, "asked for with the close");
  });
  ASSERT_TRUE(peer.wait_for_close_frame());
  client.send("asked for when it had left");
  let_the_service_turn(client);
  peer.go_on();

  ASSERT_TRUE(client.handler.wait_for_close());
  ASSERT_TRUE(peer.wait_for_ended());
  EXPECT_EQ(peer.opcodes(), std::vector<int>{8});
}

TEST(LwsTransport, DropsWhatFollowsItsClose) {
  ClosingPeer peer(ws_frame(2, "late") + ws_frame(9, "late too") + ws_frame(1, "text") + ws_close(1000));
  Client client;
  client.open(peer.url());
  ASSERT_TRUE(client.handler.wait_for_open());

  client.close(1000);
  ASSERT_TRUE(peer.wait_for_close_frame());
  peer.go_on();

  ASSERT_TRUE(client.handler.wait_for_close());
  ASSERT_TRUE(peer.wait_for_ended());
  EXPECT_EQ(client.close_code(), Code::kClosed) << client.handler.close_info.error.detail;
  EXPECT_TRUE(client.handler.frames.empty());
  EXPECT_EQ(peer.opcodes(), std::vector<int>{8});
}

TEST(LwsTransport, AbortsAtOnceWhileThePeersCloseIsAwaited) {
  ClosingPeer peer("");
  Client client({.close_answer_timeout = 1h});
  client.open(peer.url());
  ASSERT_TRUE(client.handler.wait_for_open());
  client.close(1000);
  ASSERT_TRUE(peer.wait_for_close_frame());

  client.engine.run([&] { client.transport->abort(client.id); });

  ASSERT_TRUE(client.handler.wait_for_close());
  EXPECT_EQ(client.handler.close_info.error.detail, "aborted");
}

TEST(LwsTransport, ShutsDownAtOnceWhileThePeersCloseIsAwaited) {
  ClosingPeer peer("");
  Client client({.close_answer_timeout = 1h});
  client.open(peer.url());
  ASSERT_TRUE(client.handler.wait_for_open());
  client.close(1000);
  ASSERT_TRUE(peer.wait_for_close_frame());

  client.engine.run([&] { client.transport->shutdown(); });

  ASSERT_TRUE(client.handler.wait_for_close());
  EXPECT_EQ(client.handler.close_info.error.detail, "the transport was shut down");
}

TEST(LwsTransport, CanBeDestroyedWhileThePeersCloseIsAwaited) {
  ClosingPeer peer("");
  {
    Client client({.close_answer_timeout = 1h});
    client.open(peer.url());
    ASSERT_TRUE(client.handler.wait_for_open());
    client.close(1000);
    ASSERT_TRUE(peer.wait_for_close_frame());
  }
  peer.go_on();
  EXPECT_TRUE(peer.wait_for_ended());  // the stream has ended, though nobody answered
}

TEST(LwsTransport, ClosesWithoutItsOwnThreadToo) {
  RawPeer answering(echo);
  RawPeer silent(answer_with(""));
  for (RawPeer* peer : {&answering, &silent}) {
    RecordingLog log;
    RecordingHandler handler;
    SystemClock clock;
    ManualExecutor engine(clock);
    LwsTransport transport(engine, {.own_thread = false, .close_answer_timeout = 50ms}, log);
    const auto id = transport.open({peer->url("ws"), "chatsdk.v1", kToken}, handler);
    const auto until = clock.monotonic_now() + 10s;
    const auto drive_until = [&](const int& seen) {
      while (seen == 0 && clock.monotonic_now() < until) {
        transport.drive();
        engine.run_ready();
      }
    };

    drive_until(handler.opened);
    transport.close(id, 1000);
    drive_until(handler.closed);

    EXPECT_EQ(handler.closed, 1);
    EXPECT_EQ(handler.close_info.error.code, Code::kClosed);
    EXPECT_EQ(handler.close_info.close_code, peer == &answering ? 1000 : 1006);
  }
}

TEST(LwsTransport, ReportsTheServersCloseCode) {
  for (const std::uint16_t code : std::initializer_list<std::uint16_t>{1000, 1001, 1008, 4000, 4999}) {
    RawPeer peer(answer_with(ws_close(code)));
    Client client;
    client.open(peer.url("ws"));
    ASSERT_TRUE(client.handler.wait_for_close());
    EXPECT_EQ(client.close_code(), Code::kClosed);
    EXPECT_EQ(client.handler.close_info.close_code, code);
    EXPECT_EQ(client.handler.close_info.error.cause, (Cause{CauseDomain::kWebSocket, code}));
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
