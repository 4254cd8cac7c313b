// SPDX-License-Identifier: Apache-2.0
//
// WebSockets over real sockets on loopback: what a peer sees for what it sends, and what the handler hears.
//
// Threads: the listener's and the test's.
#include <dirent.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <thread>

#include "unit/server/listener_fixture.h"

namespace chatsdk::test {
namespace {

using namespace std::chrono_literals;

std::size_t open_descriptors() {
  std::size_t count = 0;
  DIR* directory = ::opendir("/proc/self/fd");
  while (::readdir(directory) != nullptr) ++count;
  ::closedir(directory);
  return count;
}

class ListenerWebSocket : public ListenerFixture {
 protected:
  // Runs as a turn of the shard and waits for it.
  void on_shard(Task run) {
    std::promise<void> done;
    listener_->shard(0).post([&] {
      run();
      done.set_value();
    });
    ASSERT_EQ(done.get_future().wait_for(60s), std::future_status::ready);
  }
};

TEST_F(ListenerWebSocket, UpgradesWithTheSubprotocolAndEchoes) {
  start();
  RawClient client = connect();

  const RawClient::Response response = client.upgrade("Authorization: Bearer good\r\n");
  client.send_frame(2, "hello");
  const RawClient::Frame frame = client.read_frame();

  EXPECT_EQ(response.status, 101);
  EXPECT_EQ(response.headers.at("sec-websocket-accept"), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
  EXPECT_EQ(response.headers.at("sec-websocket-protocol"), "chatsdk.v1");
  EXPECT_EQ(frame.opcode, 2);
  EXPECT_TRUE(frame.final);
  EXPECT_FALSE(frame.masked);
  EXPECT_EQ(frame.payload, "hello");
  ASSERT_EQ(echo_.opened_.size(), 1U);
  EXPECT_EQ(echo_.opened_[0].bearer_token, "good");
  EXPECT_EQ(echo_.opened_[0].remote_address, "127.0.0.1");
  EXPECT_NE(echo_.opened_[0].id, 0U);
}

// Nothing is compressed, whoever asks for it: the length of a frame would tell of what is in it.
TEST_F(ListenerWebSocket, NegotiatesNoExtension) {
  start();
  RawClient client = connect();

  const RawClient::Response response = client.upgrade(
      "Authorization: Bearer good\r\nSec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n");
  const std::string words(10'000, 'a');
  client.send_frame(2, words);
  const RawClient::Frame frame = client.read_frame();

  EXPECT_EQ(response.status, 101);
  EXPECT_FALSE(response.headers.contains("sec-websocket-extensions"));
  EXPECT_EQ(frame.opcode, 2);
  EXPECT_EQ(frame.payload, words);
}

TEST_F(ListenerWebSocket, FramesSentRightBehindTheUpgradeAreRead) {
  start();
  RawClient client = connect();

  client.send(
      "GET /v1/ws HTTP/1.1\r\nHost: h\r\nUpgrade: WebSocket\r\nConnection: keep-alive, Upgrade\r\n"
      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
      "Sec-WebSocket-Protocol: other, chatsdk.v1\r\n\r\n" +
      RawClient::encode_frame(2, "early"));

  EXPECT_EQ(client.read_response().status, 101);
  EXPECT_EQ(client.read_frame().payload, "early");
}

TEST_F(ListenerWebSocket, ReassemblesFragmentsAndAnswersPingsBetween) {
  start();
  RawClient client = connect_websocket();

  client.send_frame(2, "one ", false);
  client.send_frame(9, "are you there");
  client.send_frame(0, "two ", false);
  client.send_frame(0, "three");

  const RawClient::Frame pong = client.read_frame();
  EXPECT_EQ(pong.opcode, 10);
  EXPECT_EQ(pong.payload, "are you there");
  EXPECT_EQ(client.read_frame().payload, "one two three");
}

TEST_F(ListenerWebSocket, AMessageAtTheLimitPassesAndOneAboveClosesWith1009) {
  start();
  RawClient client = connect_websocket();
  const std::string largest(options_.serving.message_bytes_max, 'm');

  client.send_frame(2, largest);
  EXPECT_EQ(client.read_frame().payload, largest);
  client.send_frame(2, largest + "m");

  EXPECT_EQ(client.read_frame().close_code(), 1009);
  EXPECT_TRUE(client.read_to_end());
  EXPECT_TRUE(echo_.wait_closed(1));
}

TEST_F(ListenerWebSocket, TheFirstMessageIsNoLargerThanAHello) {
  options_.serving.message_bytes_max = 3 * limits::kFirstFrameBytesMax;
  start();
  RawClient hasty = connect_websocket();
  hasty.send_frame(2, std::string(limits::kFirstFrameBytesMax + 1, 'm'));
  EXPECT_EQ(hasty.read_frame().close_code(), 1009);

  RawClient client = connect_websocket();
  client.send_frame(2, std::string(limits::kFirstFrameBytesMax, 'm'));
  EXPECT_EQ(client.read_frame().payload.size(), limits::kFirstFrameBytesMax);
  client.send_frame(2, std::string(options_.serving.message_bytes_max, 'm'));
  EXPECT_EQ(client.read_frame().payload.size(), options_.serving.message_bytes_max);
}

TEST_F(ListenerWebSocket, AFloodOfFramesThatBringNothingIsCutOff) {
  options_.serving.frames_per_second = 1;
  options_.serving.frames_burst = 50;
  start();
  RawClient bystander = connect_websocket();
  for (const std::string& frame :
       {RawClient::encode_frame(9, ""), RawClient::encode_frame(10, ""), RawClient::encode_frame(0, "", false)}) {
    RawClient client = connect_websocket();
    std::string flood = RawClient::encode_frame(2, "", false);  // fragments continue something
    for (int i = 0; i < 200; ++i) flood += frame;

    client.send(flood);

    RawClient::Frame last = client.read_frame();
    while (last.opcode == 10) last = client.read_frame();
    EXPECT_EQ(last.close_code(), 1013);
  }
  bystander.send_frame(2, "still here");
  EXPECT_EQ(bystander.read_frame().payload, "still here");
}

TEST_F(ListenerWebSocket, FramesUpToTheBurstPass) {
  options_.serving.frames_per_second = 1;
  options_.serving.frames_burst = 50;
  start();
  RawClient client = connect_websocket();
  std::string allowed;
  for (int i = 0; i < 50; ++i) allowed += RawClient::encode_frame(9, "");

  client.send(allowed);
  for (int i = 0; i < 50; ++i) EXPECT_EQ(client.read_frame().opcode, 10);
  for (int i = 0; i < 100; ++i) client.send_frame(2, "a message is counted elsewhere");
  for (int i = 0; i < 100; ++i) EXPECT_EQ(client.read_frame().opcode, 2);
}

TEST_F(ListenerWebSocket, ViolationsCloseWithTheirCodeAndLeaveOthersAlone) {
  struct Case {
    const char* what;
    std::string bytes;
    int code;
  };
  const std::vector<Case> cases = {
      {"text message", RawClient::encode_frame(1, "hello"), 1003},
      {"unmasked frame", RawClient::encode_frame(2, "hello", true, false), 1002},
      {"reserved opcode", RawClient::encode_frame(3, "hello"), 1002},
      {"lone continuation", RawClient::encode_frame(0, "hello"), 1002},
      {"fragmented ping", RawClient::encode_frame(9, "hello", false), 1002},
      {"close with a bad code", RawClient::encode_frame(8, std::string("\x03\xED", 2)), 1002},
      {"an HTTP request", "GET / HTTP/1.1\r\n\r\n", 1002},
  };
  start();
  RawClient bystander = connect_websocket();
  std::size_t closed = 0;
  for (const Case& c : cases) {
    RawClient client = connect_websocket();

    client.send(c.bytes);

    EXPECT_EQ(client.read_frame().close_code(), c.code) << c.what;
    EXPECT_TRUE(client.read_to_end()) << c.what;
    EXPECT_TRUE(echo_.wait_closed(++closed)) << c.what;
  }
  bystander.send_frame(2, "still here");
  EXPECT_EQ(bystander.read_frame().payload, "still here");
}

TEST_F(ListenerWebSocket, EchoesThePeersCloseAndEndsTheConnection) {
  start();
  RawClient client = connect_websocket();

  client.send_frame(8, std::string("\x0F\xA1"
                                   "bye",
                                   5));

  EXPECT_EQ(client.read_frame().close_code(), 4001);
  EXPECT_TRUE(client.read_to_end());
  EXPECT_TRUE(echo_.wait_closed(1));
}

TEST_F(ListenerWebSocket, CloseSendsWhatIsQueuedFirstAndDropsWhatComesAfter) {
  echo_.on_framed = [](server::FrameSink& sink, BytesView) {
    sink.send(std::make_shared<const Bytes>("last words"));
    sink.close(CloseCode::kReplaced);
    sink.send(std::make_shared<const Bytes>("too late"));
  };
  start();
  RawClient client = connect_websocket();

  client.send_frame(2, "go");
  client.send_frame(2, "go on");

  EXPECT_EQ(client.read_frame().payload, "last words");
  EXPECT_EQ(client.read_frame().close_code(), 4002);
  EXPECT_EQ(echo_.closed_, 0U);
  client.send_frame(8, std::string("\x0F\xA2", 2));
  EXPECT_TRUE(client.read_to_end());
  EXPECT_TRUE(echo_.wait_closed(1));
  EXPECT_EQ(echo_.frames_, 1U);
}

TEST_F(ListenerWebSocket, APeerThatNeverAnswersACloseIsCutOff) {
  options_.serving.close_timeout = 50ms;
  echo_.on_framed = [](server::FrameSink& sink, BytesView) { sink.close(CloseCode::kGoingAway); };
  start();
  RawClient client = connect_websocket();

  client.send_frame(2, "go");

  EXPECT_TRUE(echo_.wait_closed(1));
  EXPECT_EQ(client.read_frame().close_code(), 1001);
}

TEST_F(ListenerWebSocket, HalfClosedAndVanishedPeersAreHeardOf) {
  start();
  RawClient half = connect_websocket();
  RawClient gone = connect_websocket();

  half.end_sending();
  gone.reset();

  EXPECT_TRUE(echo_.wait_closed(2));
  EXPECT_TRUE(half.read_to_end());
}

TEST_F(ListenerWebSocket, SmallAndLargeFramesLeaveInOrderAndWhole) {
  constexpr int kFrames = 400;
  std::vector<std::size_t> sizes;
  for (int i = 0; i < kFrames; ++i)
    sizes.push_back(i % 50 == 7 ? 300'000 : i % 9 == 0 ? 70'000 : std::size_t(i) % 200 + 8);
  const auto frame_of = [&](int i) {
    Bytes bytes = std::to_string(i);
    bytes.resize(sizes[std::size_t(i)], static_cast<char>('a' + i % 26));
    return bytes;
  };
  int next = 0;
  echo_.on_framed = [&](server::FrameSink& sink, BytesView) {
    // Each request brings some, so that the queue stays below its limit.
    for (int i = 0; i < 10; ++i, ++next) sink.send(std::make_shared<const Bytes>(frame_of(next)));
  };
  start();
  RawClient client = connect_websocket();

  for (int i = 0; i < kFrames; ++i) {
    if (i % 10 == 0) client.send_frame(2, "more");
    const RawClient::Frame frame = client.read_frame();
    ASSERT_EQ(frame.opcode, 2) << i;
    ASSERT_EQ(frame.payload, frame_of(i)) << i;
  }
}

TEST_F(ListenerWebSocket, AReaderThatStopsIsSeenInQueuedBytesAndLosesNothing) {
  constexpr std::size_t kFrames = 300;
  constexpr std::size_t kFrameBytes = 10'000;
  server::FrameSink* sink = nullptr;
  echo_.on_opened = [&](const server::ConnectionInfo&, server::FrameSink& opened) { sink = &opened; };
  start();
  RawClient client = connect_websocket();
  client.set_receive_buffer(65'536);

  // A chat server's frames come in many turns; the kernel takes some of them.
  std::size_t queued = 0;
  for (std::size_t i = 0; i < kFrames; ++i) {
    on_shard([&] {
      sink->send(std::make_shared<const Bytes>(kFrameBytes, static_cast<char>('a' + i % 26)));
      queued = sink->queued_bytes();
    });
  }

  EXPECT_GT(queued, 100'000U);
  EXPECT_LE(queued, kFrames * (kFrameBytes + 4));
  for (std::size_t i = 0; i < kFrames; ++i) {
    ASSERT_EQ(client.read_frame().payload, Bytes(kFrameBytes, static_cast<char>('a' + i % 26))) << i;
  }
  client.send_frame(2, "and back");
  EXPECT_EQ(client.read_frame().payload, "and back");
  on_shard([&] { queued = sink->queued_bytes(); });
  EXPECT_EQ(queued, 0U);
}

TEST_F(ListenerWebSocket, AReaderFarBehindIsCutOffAndBusyInputOfItDoesNotSpin) {
  server::FrameSink* sink = nullptr;
  echo_.on_opened = [&](const server::ConnectionInfo&, server::FrameSink& opened) { sink = &opened; };
  start();
  RawClient client = connect_websocket();
  client.set_receive_buffer(65'536);
  const auto large = std::make_shared<const Bytes>(limits::kConnectionWriteBytesMax, 'x');

  on_shard([&] { sink->send(large); });
  // Input that waits behind a choked write is left in the kernel.
  client.send_frame(9, "ping");
  const std::clock_t before = std::clock();
  EXPECT_FALSE(echo_.wait_until([](const EchoHandler& self) { return self.closed_ > 0; }, 300ms));
  EXPECT_LT(std::clock() - before, CLOCKS_PER_SEC / 10);
  on_shard([&] {
    for (int i = 0; i < 10; ++i) sink->send(large);
  });

  EXPECT_TRUE(echo_.wait_closed(1));
}

TEST_F(ListenerWebSocket, RefusesUpgradesPrecisely) {
  options_.serving.allowed_origins = {"https://app.example"};
  start();
  struct Case {
    const char* what;
    std::string headers;
    std::string path;
    int status;
  };
  const std::vector<Case> cases = {
      {"wrong token", "Authorization: Bearer bad\r\n", "/v1/ws", 401},
      {"not a bearer token", "Authorization: Basic Z29vZA==\r\n", "/v1/ws", 401},
      {"foreign origin", "Origin: https://evil.example\r\n", "/v1/ws", 403},
      {"null origin", "Origin: null\r\n", "/v1/ws", 403},
      {"wrong path", "", "/v1/other", 404},
      {"a second key", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", "/v1/ws", 400},
      {"a body", "Content-Length: 3\r\n", "/v1/ws", 400},
      {"good token", "Authorization: Bearer good\r\n", "/v1/ws", 101},
      {"allowed origin", "Origin: https://APP.example\r\n", "/v1/ws?x=y", 101},
      {"this host's origin", "Origin: http://localhost\r\n", "/v1/ws", 101},
  };
  for (const Case& c : cases) {
    RawClient client = connect();
    const RawClient::Response response = client.upgrade(c.headers, c.path);
    EXPECT_EQ(response.status, c.status) << c.what;
    if (c.status == 101) continue;
    EXPECT_EQ(response.headers.at("content-type"), "application/problem+json") << c.what;
    EXPECT_TRUE(client.read_to_end()) << c.what;
  }
}

TEST_F(ListenerWebSocket, RefusesHandshakesThatAreNotOfThisProtocol) {
  start();
  const std::string begin = "GET /v1/ws HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n";
  const std::string key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
  const std::string version = "Sec-WebSocket-Version: 13\r\n";
  const std::string protocol = "Sec-WebSocket-Protocol: chatsdk.v1\r\n";
  struct Case {
    const char* what;
    std::string bytes;
    int status;
  };
  const std::vector<Case> cases = {
      {"no subprotocol", begin + key + version, 400},
      {"another subprotocol", begin + key + version + "Sec-WebSocket-Protocol: chatsdk.v2\r\n", 400},
      {"subprotocol in other letters", begin + key + version + "Sec-WebSocket-Protocol: CHATSDK.V1\r\n", 400},
      {"no key", begin + version + protocol, 400},
      {"short key", begin + version + protocol + "Sec-WebSocket-Key: YWJj\r\n", 400},
      {"old version", begin + key + protocol + "Sec-WebSocket-Version: 8\r\n", 426},
      {"POST", "POST" + begin.substr(3) + key + version + protocol, 400},
      {"no upgrade", "GET /v1/ws HTTP/1.1\r\nHost: h\r\n" + key + version + protocol, 426},
      {"no upgrade, with a query", "GET /v1/ws?x=y HTTP/1.1\r\nHost: h\r\n", 426},
      {"no Connection", "GET /v1/ws HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n" + key + version + protocol, 426},
      {"no Upgrade", "GET /v1/ws HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\n" + key + version + protocol, 426},
      {"upgrade to another protocol", "GET /v1/ws HTTP/1.1\r\nHost: h\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n", 426},
      {"HTTP/1.0",
       "GET /v1/ws HTTP/1.0" + begin.substr(std::string("GET /v1/ws HTTP/1.1").size()) + key + version + protocol, 426},
      {"PUT without an upgrade", "PUT /v1/ws HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx", 426},
  };
  for (const Case& c : cases) {
    RawClient client = connect();
    client.send(c.bytes + "\r\n");
    RawClient::Response response = client.read_response();
    EXPECT_EQ(response.status, c.status) << c.what;
    // RFC 9110 section 15.5.22: who is told to upgrade is told to what.
    EXPECT_EQ(response.headers["upgrade"], c.status == 426 ? "websocket" : "") << c.what;
    EXPECT_EQ(response.headers["connection"], c.status == 426 ? "close, upgrade" : "close") << c.what;
  }
  EXPECT_TRUE(echo_.opened_.empty());
}

// What is not read stays with the kernel and then with the client; the frames that come of what was read already are
// few. It goes on where it stopped.
TEST_F(ListenerWebSocket, APausedConnectionIsNotReadUntilItGoesOn) {
  std::atomic<server::FrameSink*> paused = nullptr;
  std::atomic<std::size_t> bytes = 0;
  echo_.on_framed = [&](server::FrameSink& sink, BytesView frame) {
    bytes += frame.size();
    server::FrameSink* none = nullptr;
    if (paused.compare_exchange_strong(none, &sink)) sink.pause_reading(true);
    if (frame == "last") sink.send(std::make_shared<const Bytes>("heard"));
  };
  start();
  RawClient client = connect_websocket();
  constexpr std::size_t kFrames = 1'000;
  const std::string frame(90'000, 'x');

  std::thread speaker([&] {
    for (std::size_t i = 0; i < kFrames; ++i) client.send_frame(2, frame);
    client.send_frame(2, "last");
  });
  ASSERT_TRUE(echo_.wait_until([](const EchoHandler& self) { return self.frames_ >= 1; }));
  RawClient other = connect_websocket();
  for (int i = 0; i < 20; ++i) {
    other.send_frame(2, "x");
    pass_turns();
  }
  EXPECT_LT(bytes.load(), 3 * frame.size()) << "the rest waits";
  listener_->shard(0).post([&] { paused.load()->pause_reading(false); });

  speaker.join();
  EXPECT_EQ(client.read_frame().payload, "heard");
  EXPECT_GE(bytes.load(), kFrames * frame.size());
}

TEST_F(ListenerWebSocket, RefusesUpgradesWhileDrainingAndAboveTheLimitWithRetryAfter) {
  options_.serving.websockets_max = 2;
  start();
  RawClient first = connect_websocket();
  RawClient second = connect_websocket();

  const RawClient::Response full = connect().upgrade();
  second.reset();
  EXPECT_TRUE(echo_.wait_closed(1));
  RawClient third = connect_websocket();
  third.reset();
  EXPECT_TRUE(echo_.wait_closed(2));
  listener_->begin_drain([] {});
  const RawClient::Response draining = connect().upgrade();

  EXPECT_EQ(full.status, 503);
  EXPECT_EQ(full.headers.at("retry-after"), "5");
  EXPECT_EQ(draining.status, 503);
  EXPECT_EQ(draining.headers.at("retry-after"), "5");
  first.send_frame(2, "still served");
  EXPECT_EQ(first.read_frame().payload, "still served");
}

TEST_F(ListenerWebSocket, ManyConnectionsOverSharedPortOpenAndClose) {
  constexpr std::size_t kConnections = 1'000;
  options_.threads = 2;
  start();
  std::vector<RawClient> clients;
  for (std::size_t i = 0; i < kConnections; ++i) clients.push_back(connect_websocket());
  EXPECT_EQ(listener_->websockets(), kConnections);
  for (std::size_t i = 0; i < kConnections; ++i) clients[i].send_frame(2, std::to_string(i));
  for (std::size_t i = 0; i < kConnections; ++i) EXPECT_EQ(clients[i].read_frame().payload, std::to_string(i));

  clients.clear();

  EXPECT_TRUE(echo_.wait_closed(kConnections));
  std::vector<server::ConnectionId> ids;
  for (const auto& info : echo_.opened_) ids.push_back(info.id);
  std::sort(ids.begin(), ids.end());
  EXPECT_EQ(std::unique(ids.begin(), ids.end()), ids.end());
  EXPECT_NE(ids.front() >> 56, ids.back() >> 56) << "one shard took everything";
}

TEST_F(ListenerWebSocket, StopsAtOnceWithLiveConnectionsAndLeavesNoDescriptor) {
  const std::size_t before = open_descriptors();
  options_.threads = 2;
  start();
  std::vector<RawClient> clients;
  for (int i = 0; i < 50; ++i) clients.push_back(connect_websocket());
  RawClient silent = connect();

  const auto begun = std::chrono::steady_clock::now();
  listener_->stop();
  const auto took = std::chrono::steady_clock::now() - begun;
  listener_.reset();

  EXPECT_LT(took, 10s);
  EXPECT_EQ(echo_.closed_, 50U);
  EXPECT_EQ(ended_, 2U);
  for (RawClient& client : clients) EXPECT_TRUE(client.read_to_end());
  EXPECT_TRUE(silent.read_to_end());
  EXPECT_EQ(open_descriptors(), before + clients.size() + 1);
}

}  // namespace
}  // namespace chatsdk::test
