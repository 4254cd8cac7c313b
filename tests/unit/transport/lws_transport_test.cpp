// SPDX-License-Identifier: Apache-2.0
//
// LwsTransport against scripted peers on loopback.
#include "transport/lws_transport.h"

#include <gtest/gtest.h>

#include <csignal>
#include <memory>
#include <optional>
#include <string>

#include "unit/transport/adapter_fixture.h"

namespace chatsdk {
namespace {

using namespace std::chrono_literals;
using namespace test;

// One client: an engine, a transport on it, a handler.
struct Client {
  explicit Client(LwsOptions options = {}) {
    engine.run([&] { transport = std::make_unique<LwsTransport>(engine.executor(), std::move(options), log); });
  }
  ~Client() {
    engine.run([&] { transport.reset(); });
  }

  void open(const std::string& url) {
    engine.run([&] { id = transport->open({url, "chatsdk.v1", kToken}, handler); });
  }
  bool send(Bytes frame) {
    bool below = false;
    engine.run([&] { below = transport->send(id, std::move(frame)); });
    return below;
  }
  void close(std::uint16_t code) {
    engine.run([&] { transport->close(id, code); });
  }
  Code close_code() const { return handler.close_info.error.code; }

  RecordingLog log;
  RecordingHandler handler;
  Engine engine;
  std::unique_ptr<LwsTransport> transport;
  Transport::ConnectionId id = 0;
};

void echo(RawConnection& connection) {
  if (!accept_upgrade(connection)) return;
  while (const auto frame = read_frame(connection)) {
    if (frame->opcode == 8) {
      connection.write(ws_frame(8, frame->payload));
      return;
    }
    connection.write(ws_frame(frame->opcode, frame->payload));
  }
}

// Accepts the upgrade, writes the bytes, then reads to the end.
RawPeer::Script answer_with(std::string bytes) {
  return [bytes = std::move(bytes)](RawConnection& connection) {
    if (!accept_upgrade(connection)) return;
    connection.write(bytes);
    connection.read_to_end();
  };
}

RawPeer::Script refuse_with(std::string answer) {
  return [answer = std::move(answer)](RawConnection& connection) {
    if (connection.read_until("\r\n\r\n")) connection.write(answer);
  };
}

TEST(LwsTransport, CarriesFramesBothWaysInOrder) {
  RawPeer peer(echo);
  Client client;

  client.open(peer.url("ws"));
  ASSERT_TRUE(client.handler.wait_for_open());
  const std::vector<Bytes> sent = {"a", Bytes(200, 'b'), Bytes(70'000, 'c'), Bytes("\0\xff", 2), ""};
  for (const Bytes& frame : sent) client.send(frame);

  ASSERT_TRUE(client.handler.wait([&](const auto& handler) { return handler.frames.size() == sent.size(); }));
  EXPECT_EQ(client.handler.frames, sent);
}

TEST(LwsTransport, SendsTokenSubprotocolAndNothingElseOfNote) {
  RawPeer peer(echo);
  Client client;

  client.open(peer.url("ws", "127.0.0.1", "/v1/ws?a=b"));
  ASSERT_TRUE(client.handler.wait_for_open());

  const std::string request = peer.received();
  EXPECT_EQ(request.substr(0, request.find("\r\n")), "GET /v1/ws?a=b HTTP/1.1");
  EXPECT_NE(request.find("\r\nHost: 127.0.0.1:" + std::to_string(peer.port()) + "\r\n"), std::string::npos) << request;
  EXPECT_NE(request.find("Authorization: Bearer " + std::string(kToken) + "\r\n"), std::string::npos) << request;
  EXPECT_NE(request.find("Sec-WebSocket-Protocol: chatsdk.v1\r\n"), std::string::npos) << request;
  EXPECT_EQ(request.find("Sec-WebSocket-Extensions"), std::string::npos) << request;
  EXPECT_EQ(client.log.text().find(kToken), std::string::npos);
}

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

TEST(LwsTransport, ReportsARefusedUpgrade) {
  struct Case {
    const char* answer;
    int status;
    Code code;
    std::chrono::milliseconds retry_after;
  };
  const Case cases[] = {
      {"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n", 401, Code::kUnauthenticated, 0ms},
      {"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno", 403, Code::kForbidden, 0ms},
      {"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", 404, Code::kProtocol, 0ms},
      {"HTTP/1.1 429 Too Many\r\nRetry-After: 2\r\nContent-Length: 0\r\n\r\n", 429, Code::kRateLimited, 2s},
      {"HTTP/1.1 500 Broken\r\nContent-Length: 0\r\n\r\n", 500, Code::kServer, 0ms},
      {"HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n", 503, Code::kUnavailable, 7s},
      {"HTTP/1.1 503 Busy\r\nRetry-After: 999999999999\r\nContent-Length: 0\r\n\r\n", 503, Code::kUnavailable,
       limits::kRetryAfterMax},
      {"HTTP/1.1 503 Busy\r\nRetry-After: soon\r\nContent-Length: 0\r\n\r\n", 503, Code::kUnavailable, 0ms},
      {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200, Code::kProtocol, 0ms},
  };
  for (const Case& expected : cases) {
    RawPeer peer(refuse_with(expected.answer));
    Client client;
    client.open(peer.url("ws"));
    ASSERT_TRUE(client.handler.wait_for_close());
    EXPECT_EQ(client.handler.close_info.http_status, expected.status);
    EXPECT_EQ(client.close_code(), expected.code) << expected.answer;
    EXPECT_EQ(client.handler.close_info.error.retry_after, expected.retry_after) << expected.answer;
    EXPECT_EQ(client.handler.opened, 0);
  }
}

TEST(LwsTransport, DoesNotFollowARedirect) {
  RawPeer elsewhere(echo);
  RawPeer peer(
      refuse_with("HTTP/1.1 302 Found\r\nLocation: " + elsewhere.url("http") + "\r\nContent-Length: 0\r\n\r\n"));
  Client client;

  client.open(peer.url("ws"));

  ASSERT_TRUE(client.handler.wait_for_close());
  EXPECT_EQ(client.handler.close_info.http_status, 302);
  EXPECT_EQ(elsewhere.received(), "");
}

TEST(LwsTransport, RefusesAnAnswerThatIsNotOurWebSocket) {
  RawPeer none([](RawConnection& connection) {
    accept_upgrade(connection, "");
    connection.read_to_end();
  });
  RawPeer other([](RawConnection& connection) {
    accept_upgrade(connection, "chatsdk.v2");
    connection.read_to_end();
  });
  RawPeer bad_hash(
      refuse_with("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                  "Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\nSec-WebSocket-Protocol: chatsdk.v1\r\n\r\n"));
  for (RawPeer* peer : {&none, &other, &bad_hash}) {
    Client client;
    client.open(peer->url("ws"));
    ASSERT_TRUE(client.handler.wait_for_close());
    EXPECT_EQ(client.close_code(), Code::kProtocol) << client.handler.close_info.error.detail;
    EXPECT_EQ(client.handler.opened, 0);
  }
}

TEST(LwsTransport, AnswersGarbageAndHangupsInTheHandshakeWithAnError) {
  for (const char* answer : {"", "\r\n\r\n", "SSH-2.0-x\r\n\r\n", "HTTP/1.1 101\r\n\r\n", "\0\1\2\3\r\n\r\n"}) {
    RawPeer peer(refuse_with(answer));
    Client client;
    client.open(peer.url("ws"));
    ASSERT_TRUE(client.handler.wait_for_close()) << answer;
    EXPECT_NE(client.close_code(), Code::kOk);
  }
}

// Returns the code of the close frame that the client sent, 0 when none came.
std::uint16_t close_code_seen(RawConnection& connection) {
  while (const auto frame = read_frame(connection)) {
    if (frame->opcode == 8 && frame->payload.size() >= 2) {
      return static_cast<std::uint16_t>((static_cast<unsigned char>(frame->payload[0]) << 8) |
                                        static_cast<unsigned char>(frame->payload[1]));
    }
  }
  return 0;
}

struct Violation {
  const char* name;
  std::string bytes;
  std::uint16_t close_code;
  Code code;
};

TEST(LwsTransport, ClosesOnATextMessageAndOnTooLargeOnes) {
  const Violation cases[] = {
      {"text", ws_frame(1, "hello"), 1003, Code::kProtocol},
      {"large", ws_frame(2, Bytes(1'001, 'x')), 1009, Code::kTooLarge},
      {"large in fragments",
       ws_frame(2, Bytes(400, 'x'), false) + ws_frame(0, Bytes(400, 'x'), false) + ws_frame(0, Bytes(400, 'x')), 1009,
       Code::kTooLarge},
      {"announced only", ws_frame(2, Bytes(5'000'000, 'x')).substr(0, 50'000), 1009, Code::kTooLarge},
  };
  for (const Violation& violation : cases) {
    std::uint16_t seen = 0;
    RawPeer peer([&](RawConnection& connection) {
      if (!accept_upgrade(connection)) return;
      connection.write(violation.bytes);
      seen = close_code_seen(connection);
    });
    Client client({.inbound_frame_bytes_max = 1'000});
    client.open(peer.url("ws"));
    ASSERT_TRUE(client.handler.wait_for_close()) << violation.name;
    EXPECT_EQ(client.close_code(), violation.code) << violation.name;
    EXPECT_EQ(client.handler.close_info.close_code, violation.close_code) << violation.name;
    EXPECT_TRUE(client.handler.frames.empty()) << violation.name;
    ASSERT_TRUE(peer.wait_for_ended(1));
    EXPECT_EQ(seen, violation.close_code) << violation.name;
  }
}

TEST(LwsTransport, TakesAMessageAtTheLimit) {
  RawPeer peer(answer_with(ws_frame(2, Bytes(600, 'x'), false) + ws_frame(9, "ping") + ws_frame(0, Bytes(400, 'y')) +
                           ws_frame(2, Bytes(1'000, 'z'))));
  Client client({.inbound_frame_bytes_max = 1'000});

  client.open(peer.url("ws"));

  ASSERT_TRUE(client.handler.wait([](const auto& handler) { return handler.frames.size() == 2; }));
  EXPECT_EQ(client.handler.frames[0], Bytes(600, 'x') + Bytes(400, 'y'));
  EXPECT_EQ(client.handler.frames[1], Bytes(1'000, 'z'));
}

TEST(LwsTransport, AnswersAPing) {
  std::optional<WsFrame> pong;
  RawPeer peer([&](RawConnection& connection) {
    if (!accept_upgrade(connection)) return;
    connection.write(ws_frame(9, "are you there"));
    pong = read_frame(connection);
  });
  Client client;
  client.open(peer.url("ws"));

  ASSERT_TRUE(peer.wait_for_ended(1));

  ASSERT_TRUE(pong.has_value());
  EXPECT_EQ(pong->opcode, 10);
  EXPECT_EQ(pong->payload, "are you there");
}

TEST(LwsTransport, EndsTheConnectionOnAFrameThatBreaksTheProtocol) {
  const std::string cases[] = {
      ws_frame(3, "reserved opcode"),
      ws_frame(11, "reserved control opcode"),
      ws_frame(0, "continuation of nothing"),
      ws_frame(2, "begun", false) + ws_frame(2, "begun again"),
      ws_frame(9, "fragmented ping", false),
      ws_frame(9, Bytes(126, 'p')),
      std::string("\xc2\x01x", 3),                     // a reserved bit
      std::string("\x82\x7f\x80\0\0\0\0\0\0\1x", 11),  // a length above 2^63
  };
  for (const std::string& bytes : cases) {
    RawPeer peer(answer_with(bytes));
    Client client;
    client.open(peer.url("ws"));
    ASSERT_TRUE(client.handler.wait_for_close()) << testing::PrintToString(bytes);
    EXPECT_EQ(client.close_code(), Code::kProtocol) << testing::PrintToString(bytes);
    EXPECT_TRUE(client.handler.frames.empty()) << testing::PrintToString(bytes);
  }
}

// libwebsockets does not refuse them as RFC 6455 section 5.1 asks; what counts is that nothing is read amiss.
TEST(LwsTransport, ReadsOrRefusesAMaskedFrameOfTheServer) {
  RawPeer peer(answer_with(ws_frame(2, "masked", true, true) + ws_close(1000)));
  Client client;

  client.open(peer.url("ws"));

  ASSERT_TRUE(client.handler.wait_for_close());
  for (const Bytes& frame : client.handler.frames) EXPECT_EQ(frame, "masked");
}

TEST(LwsTransport, GivesUpOnASilentPeer) {
  RawPeer peer([](RawConnection& connection) { connection.read_to_end(); });
  Client client({.connect_timeout = 50ms});

  client.open(peer.url("ws"));

  ASSERT_TRUE(client.handler.wait_for_close());
  EXPECT_EQ(client.close_code(), Code::kNetwork);
  EXPECT_EQ(client.handler.opened, 0);
}

TEST(LwsTransport, ReportsARefusedConnection) {
  std::string url;
  {
    RawPeer gone([](RawConnection&) {});
    url = gone.url("ws");
  }
  Client client;
  client.open(url);
  ASSERT_TRUE(client.handler.wait_for_close());
  EXPECT_EQ(client.close_code(), Code::kNetwork);
}

TEST(LwsTransport, RefusesBadArgumentsBeforeAnyConnection) {
  Client client;
  for (const ConnectRequest& request :
       {ConnectRequest{"http://127.0.0.1/", "chatsdk.v1", ""}, ConnectRequest{"ws://", "chatsdk.v1", ""},
        ConnectRequest{"ws://127.0.0.1/", "chatsdk.v1", "a\r\nX: y"}}) {
    RecordingHandler handler;
    client.engine.run([&] { client.transport->open(request, handler); });
    ASSERT_TRUE(handler.wait_for_close());
    EXPECT_EQ(handler.close_info.error.code, Code::kInvalidArgument);
  }
}

TEST(LwsTransport, TellsWhenTheBufferIsFullAndWhenItHasDrained) {
  std::promise<void> read_on;
  std::shared_future<void> may_read = read_on.get_future().share();
  RawPeer peer([&](RawConnection& connection) {
    if (!accept_upgrade(connection)) return;
    may_read.wait();
    connection.read_to_end();
  });
  Client client({.send_buffer_bytes_max = 100'000});
  client.open(peer.url("ws"));
  ASSERT_TRUE(client.handler.wait_for_open());

  int frames = 0;
  while (client.send(Bytes(50'000, 'x')) && frames < 10'000) ++frames;
  EXPECT_LT(frames, 10'000);
  read_on.set_value();

  EXPECT_TRUE(client.handler.wait([](const auto& handler) { return handler.writable == 1; }));
}

TEST(LwsTransport, StopsReadingWhenTheEngineDoesNotTakeTheFrames) {
  constexpr int kFrames = 300;
  RawPeer peer([&](RawConnection& connection) {
    if (!accept_upgrade(connection)) return;
    for (int i = 0; i < kFrames; ++i) {
      if (!connection.write(ws_frame(2, Bytes(50'000, static_cast<char>(i))))) return;
    }
    connection.read_to_end();
  });
  Client client;
  client.open(peer.url("ws"));
  ASSERT_TRUE(client.handler.wait_for_open());

  ASSERT_TRUE(client.handler.wait([](const auto& handler) { return handler.frames.size() == kFrames; }));
  for (int i = 0; i < kFrames; ++i) {
    EXPECT_EQ(client.handler.frames[static_cast<std::size_t>(i)], Bytes(50'000, static_cast<char>(i)));
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

TEST(LwsTransport, IgnoresTheProxyOfTheEnvironment) {
  RawPeer proxy([](RawConnection& connection) { connection.read_to_end(); });
  RawPeer peer(echo);
  setenv("http_proxy", proxy.url("http").c_str(), 1);
  Client client;

  client.open(peer.url("ws"));
  const bool opened = client.handler.wait_for_open();
  unsetenv("http_proxy");

  EXPECT_TRUE(opened);
  EXPECT_EQ(proxy.received(), "");
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

// ---- TLS ----

TEST(LwsTransportTls, AcceptsAGoodCertificateByNameAndByAddress) {
  TestCa ca;
  RawPeer peer(echo, ca.issue({}));
  for (const char* host : {"localhost", "127.0.0.1"}) {
    Client client({.ca_file = ca.root_file()});
    client.open(peer.url("wss", host));
    ASSERT_TRUE(client.handler.wait_for_open()) << host << client.handler.close_info.error.detail;
    client.send(Bytes(100'000, 'x'));
    ASSERT_TRUE(client.handler.wait([](const auto& handler) { return handler.frames.size() == 1; }));
    EXPECT_EQ(client.handler.frames[0], Bytes(100'000, 'x'));
  }
}

TEST(LwsTransportTls, RefusesEveryBadCertificateBeforeTheTokenLeaves) {
  const TestCa ca;
  for (const BadCertificate& bad : bad_certificates()) {
    RawPeer peer([](RawConnection& connection) { connection.read_to_end(); }, bad.make(ca));
    Client client({.ca_file = ca.root_file()});

    client.open(peer.url("wss", bad.host));

    ASSERT_TRUE(client.handler.wait_for_close()) << bad.name;
    EXPECT_EQ(client.close_code(), Code::kTls) << bad.name << ": " << client.handler.close_info.error.detail;
    EXPECT_NE(client.handler.close_info.error.detail.find(bad.reason), std::string::npos)
        << bad.name << ": " << client.handler.close_info.error.detail;
    EXPECT_EQ(client.handler.opened, 0) << bad.name;
    ASSERT_TRUE(peer.wait_for_ended(1)) << bad.name;
    EXPECT_EQ(peer.received(), "") << bad.name;
  }
}

TEST(LwsTransportTls, DoesNotTrustTheSystemsRootsBesideAGivenFile) {
  const TestCa trusted;
  const TestCa system;
  setenv("SSL_CERT_FILE", system.root_file().c_str(), 1);
  RawPeer peer(echo, system.issue({}));
  {
    Client given({.ca_file = trusted.root_file()});
    given.open(peer.url("wss", "localhost"));
    ASSERT_TRUE(given.handler.wait_for_close());
    EXPECT_EQ(given.close_code(), Code::kTls);
  }
  Client defaults;
  defaults.open(peer.url("wss", "localhost"));
  const bool opened = defaults.handler.wait_for_open();
  unsetenv("SSL_CERT_FILE");
  EXPECT_TRUE(opened) << defaults.handler.close_info.error.detail;
}

TEST(LwsTransportTls, ReportsAPeerThatDoesNotSpeakTls) {
  RawPeer peer([](RawConnection& connection) {
    connection.read_exactly(5);
    connection.write("HTTP/1.1 400 Bad Request\r\n\r\n");
  });
  Client client;
  client.open(peer.url("wss", "localhost"));
  ASSERT_TRUE(client.handler.wait_for_close());
  EXPECT_EQ(client.close_code(), Code::kTls) << client.handler.close_info.error.detail;
  EXPECT_EQ(peer.received().find(kToken), std::string::npos);
}

// The peer listens on 127.0.0.1 only; nobody listens on 127.0.0.77.
std::shared_ptr<Resolver> resolver_of(std::vector<std::string> addresses) {
  return std::make_shared<Resolver>([=](const std::string&) -> Result<std::vector<std::string>> { return addresses; });
}

TEST(LwsTransport, TriesEveryAddressOfAHost) {
  RawPeer peer(echo);
  LwsOptions options;
  options.resolver = resolver_of({"127.0.0.77", "::1", "127.0.0.1"});
  Client client(options);
  client.open(peer.url("ws", "chat.example"));
  ASSERT_TRUE(client.handler.wait_for_open()) << client.handler.close_info.error.detail;
  EXPECT_NE(peer.received().find("Host: chat.example"), std::string::npos) << peer.received();
}

TEST(LwsTransport, ReportsAHostWithoutAnAddressThatAnswers) {
  RawPeer peer(echo);
  LwsOptions options;
  options.resolver = resolver_of({"127.0.0.77", "127.0.0.78"});
  Client client(options);
  client.open(peer.url("ws", "chat.example"));
  ASSERT_TRUE(client.handler.wait_for_close());
  EXPECT_EQ(client.close_code(), Code::kNetwork);
}

TEST(LwsTransport, ReportsAHostThatCannotBeResolved) {
  LwsOptions options;
  options.resolver = std::make_shared<Resolver>(
      [](const std::string&) -> Result<std::vector<std::string>> { return error(Code::kNetwork, "no such host"); });
  Client client(options);
  client.open("ws://chat.example/");
  ASSERT_TRUE(client.handler.wait_for_close());
  EXPECT_EQ(client.close_code(), Code::kNetwork);
  EXPECT_EQ(client.handler.close_info.error.detail, "no such host");
}

TEST(LwsTransport, EndsAndShutsDownWhileALookUpHangs) {
  auto released = std::make_shared<std::promise<void>>();  // shared with the look-up, which outlives the client
  {
    LwsOptions options;
    options.connect_timeout = 20ms;
    options.resolver = std::make_shared<Resolver>(
        [future = released->get_future().share(), released](const std::string&) -> Result<std::vector<std::string>> {
          future.wait();
          return error(Code::kNetwork, "late");
        });
    Client client(options);
    client.open("ws://chat.example/");
    ASSERT_TRUE(client.handler.wait_for_close());
    EXPECT_EQ(client.close_code(), Code::kNetwork);
  }
  released->set_value();
}

TEST(LwsTransportTls, VerifiesTheNameAtWhateverAddress) {
  const TestCa ca;
  RawPeer named(echo, ca.issue({.dns_names = {"chat.example"}, .addresses = {}}));
  RawPeer other(echo, ca.issue({.dns_names = {"other.example"}, .addresses = {"127.0.0.1"}}));
  LwsOptions options;
  options.ca_file = ca.root_file();
  options.resolver = resolver_of({"127.0.0.77", "127.0.0.1"});
  Client good(options);
  good.open(named.url("wss", "chat.example"));
  EXPECT_TRUE(good.handler.wait_for_open()) << good.handler.close_info.error.detail;
  Client bad(options);
  bad.open(other.url("wss", "chat.example"));
  ASSERT_TRUE(bad.handler.wait_for_close());
  EXPECT_EQ(bad.close_code(), Code::kTls) << bad.handler.close_info.error.detail;
  EXPECT_EQ(other.received(), "");
}

TEST(LwsTransportTls, CallsAnEndOfStreamInTheHandshakeANetworkError) {
  RawPeer peer([](RawConnection& connection) { connection.read_exactly(5); });
  Client client;
  client.open(peer.url("wss", "localhost"));
  ASSERT_TRUE(client.handler.wait_for_close());
  EXPECT_EQ(client.close_code(), Code::kNetwork) << client.handler.close_info.error.detail;
}

TEST(LwsTransportTls, ReportsACaFileThatCannotBeRead) {
  Client client({.ca_file = "/nonexistent/ca.pem"});
  client.open("wss://127.0.0.1:9/");
  ASSERT_TRUE(client.handler.wait_for_close());
  EXPECT_EQ(client.close_code(), Code::kTls);
}

}  // namespace
}  // namespace chatsdk
