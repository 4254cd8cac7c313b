// SPDX-License-Identifier: Apache-2.0
//
// The frames of an open LwsTransport connection, both ways: order, limits, and what breaks RFC 6455.
#include "unit/transport/lws_fixture.h"

#include <initializer_list>
#include <optional>
#include <string>

namespace chatsdk {
namespace {

using namespace std::chrono_literals;
using namespace test;

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

struct Length final : FrameReading {
  explicit Length(std::size_t bytes) : size(bytes) {}
  std::size_t size;
};

// Reads what is longer than a byte.
std::unique_ptr<FrameReading> read_length(BytesView frame) noexcept {
  return frame.size() > 1 ? std::make_unique<Length>(frame.size()) : nullptr;
}

TEST(LwsTransport, FramesAreReadWhereTheyArriveAndCanStayUnread) {
  RawPeer peer(echo);
  Client client;

  client.open(peer.url("ws"), read_length);
  ASSERT_TRUE(client.handler.wait_for_open());
  for (const std::size_t size : std::initializer_list<std::size_t>{70'000, 1, 2}) client.send(Bytes(size, 'a'));

  ASSERT_TRUE(client.handler.wait([&](const auto& handler) { return handler.readings.size() == 2; }));
  EXPECT_EQ(static_cast<const Length&>(*client.handler.readings[0]).size, 70'000u);
  EXPECT_EQ(static_cast<const Length&>(*client.handler.readings[1]).size, 2u);
  EXPECT_EQ(client.handler.frames, std::vector<Bytes>{"a"});
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

}  // namespace
}  // namespace chatsdk
