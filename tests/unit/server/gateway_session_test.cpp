// SPDX-License-Identifier: Apache-2.0
//
// What a client may say in which state, and what it is answered: authentication, every line of the error table, time
// limits and drain. gateway_send_test.cpp has what a send is answered.
#include <gtest/gtest.h>

#include "unit/server/gateway_pair.h"

namespace chatsdk::server {
namespace {

using namespace std::chrono_literals;

wire::ClientFrame ping(std::uint64_t token = 5) {
  wire::ClientFrame frame;
  frame.mutable_ping()->set_token(token);
  return frame;
}

// ---- Hello ---------------------------------------------------------------------------------------------------------

TEST(GatewayHello, WelcomeNamesTheServersTerms) {
  GatewayOptions options;
  options.features = {"b", "c"};
  options.text_bytes_max = 1'000;
  options.heartbeat = 7s;
  Pair world(options);
  TestClient& a = world.open(world.token(world.ada));
  wire::ClientFrame hello = world.hello();
  hello.mutable_hello()->set_protocol_max(9);
  hello.mutable_hello()->add_features("a");
  hello.mutable_hello()->add_features("b");

  a.say(hello);
  world.run();

  ASSERT_FALSE(a.frames.empty());
  const wire::Welcome& welcome = a.frames[0].welcome();
  EXPECT_EQ(welcome.protocol(), kProtocolMax);
  ASSERT_EQ(welcome.features_size(), 1);
  EXPECT_EQ(welcome.features(0), "b");
  EXPECT_EQ(welcome.user_id(), "ada");
  EXPECT_EQ(welcome.device_id(), world.ada.id.value);
  EXPECT_NE(welcome.account_stream_id(), 0u);
  EXPECT_EQ(welcome.store_epoch(), world.store->epoch());
  EXPECT_EQ(welcome.server_time_ms(), to_unix_ms(world.clock.wall_now()));
  EXPECT_EQ(welcome.token_expires_at_ms(), to_unix_ms(world.clock.wall_now() + World::kTokenLife));
  EXPECT_EQ(welcome.heartbeat_ms(), 7'000u);
  EXPECT_EQ(welcome.text_bytes_max(), 1'000u);
  EXPECT_EQ(welcome.send_window(), limits::kSendWindow);
  EXPECT_EQ(welcome.sends_in_flight(), limits::kSendsInFlightMax);
}

TEST(GatewayHello, TheTokenMayComeInTheFirstFrame) {
  Pair world;
  TestClient& a = world.open();
  wire::ClientFrame hello = world.hello();
  hello.mutable_hello()->set_access_token(world.token(world.ada));

  a.say(hello);
  world.run();

  EXPECT_TRUE(a.frames[0].has_welcome());
}

TEST(GatewayHello, ProtocolsThatDoNotOverlapAreNamed) {
  Pair world;
  TestClient& a = world.open(world.token(world.ada));
  wire::ClientFrame hello = world.hello();
  hello.mutable_hello()->set_protocol_min(2);
  hello.mutable_hello()->set_protocol_max(4);

  a.say(hello);

  EXPECT_EQ(a.failure(), Code::kProtocol);
  EXPECT_EQ(a.frames[0].failure().error().detail(), "the client speaks protocol 2 to 4, the server 1 to 1");
}

TEST(GatewayHello, ADeviceWithoutAnOpenSessionIsRefused) {
  Pair world;
  const std::string token = world.token(world.ada);
  ASSERT_TRUE(world.commit_now(EndSessions{"ada", world.ada.id, false, world.clock.wall_now()}).ok());
  TestClient& a = world.open(token);

  a.say(world.hello());
  world.run();

  EXPECT_EQ(a.failure(), Code::kUnauthenticated);
  EXPECT_EQ(a.closed, CloseCode::kUnauthenticated);
}

TEST(GatewayHello, ASilentConnectionEndsAtItsTimeLimit) {
  Pair world;
  TestClient& a = world.open(world.token(world.ada));

  world.advance(limits::kHelloTimeout - 1s);
  EXPECT_FALSE(a.closed);
  world.advance(2s);

  EXPECT_EQ(a.failure(), Code::kUnauthenticated);
  EXPECT_EQ(a.closed, CloseCode::kUnauthenticated);
}

TEST(GatewayHello, CursorsAreLimited) {
  for (const std::size_t count : {limits::kHelloCursorsMax, limits::kHelloCursorsMax + 1}) {
    Pair world;
    TestClient& a = world.open(world.token(world.ada));
    wire::ClientFrame hello = world.hello();
    for (std::size_t i = 0; i < count; ++i) {
      hello.mutable_hello()->add_stream_ids(1'000'000 + i);
      hello.mutable_hello()->add_seqs(1);
      hello.mutable_hello()->add_marks_revisions(1);
    }
    a.say(hello);
    world.run();
    EXPECT_EQ(a.failure(), count > limits::kHelloCursorsMax ? Code::kProtocol : Code::kOk) << count;
  }
}

// ---- Frames that end a connection ----------------------------------------------------------------------------------

struct BadFrame {
  std::string name;
  bool welcomed;
  std::function<Bytes(World&)> bytes;
  Code failure;
  CloseCode close;
};

template <typename Fill>
std::function<Bytes(World&)> frame_with(Fill fill) {
  return [fill](World& world) {
    wire::ClientFrame frame;
    fill(frame, world);
    return encode(frame);
  };
}

const std::vector<BadFrame>& bad_frames() {
  static const std::vector<BadFrame> kTable = {
      {"not protobuf before the hello", false, [](World&) { return Bytes("\xFF\xFF\xFF"); }, Code::kMalformed,
       CloseCode::kInvalidPayload},
      {"not protobuf", true, [](World&) { return Bytes("\x1A\x7F"); }, Code::kMalformed, CloseCode::kInvalidPayload},
      {"a name that is not UTF-8", true, [](World&) { return Bytes("\x1A\x03\x12\x01\xFF"); },  // Send.peer_user_id
       Code::kMalformed, CloseCode::kInvalidPayload},
      {"empty before the hello", false, [](World&) { return Bytes(); }, Code::kProtocol, CloseCode::kProtocolError},
      {"ping before the hello", false, [](World&) { return encode(ping()); }, Code::kProtocol,
       CloseCode::kProtocolError},
      {"send before the hello", false, [](World& world) { return encode(world.text_to("bob", "before-the-hello", 1)); },
       Code::kProtocol, CloseCode::kProtocolError},
      {"no token", false, [](World& world) { return encode(world.hello()); }, Code::kUnauthenticated,
       CloseCode::kUnauthenticated},
      {"a token that is none", false, frame_with([](wire::ClientFrame& frame, World& world) {
         frame = world.hello();
         frame.mutable_hello()->set_access_token("nonsense");
       }),
       Code::kUnauthenticated, CloseCode::kUnauthenticated},
      {"protocol range upside down", false, frame_with([](wire::ClientFrame& frame, World&) {
         frame.mutable_hello()->set_protocol_min(3);
         frame.mutable_hello()->set_protocol_max(1);
       }),
       Code::kProtocol, CloseCode::kProtocolError},
      {"cursor arrays of different lengths", false, frame_with([](wire::ClientFrame& frame, World& world) {
         frame = world.hello();
         frame.mutable_hello()->add_stream_ids(1);
       }),
       Code::kProtocol, CloseCode::kProtocolError},
      {"second hello", true, [](World& world) { return encode(world.hello()); }, Code::kProtocol,
       CloseCode::kProtocolError},
      {"frame over the limit", true,
       [](World& world) { return Bytes(limits::client_frame_bytes_max(world.options.text_bytes_max) + 1, '\0'); },
       Code::kTooLarge, CloseCode::kTooBig},
      {"acknowledgement of an unknown stream", true,
       frame_with([](wire::ClientFrame& frame, World&) { frame.mutable_ack()->add_streams()->set_stream_id(4'242); }),
       Code::kProtocol, CloseCode::kProtocolError},
      {"acknowledgement above what was sent", true, frame_with([](wire::ClientFrame& frame, World& world) {
         auto& stream = *frame.mutable_ack()->add_streams();
         stream.set_stream_id(world.clients[0]->frames[0].welcome().account_stream_id());
         stream.set_seq(1'000);
       }),
       Code::kProtocol, CloseCode::kProtocolError},
      {"delivered_from above the acknowledged", true, frame_with([](wire::ClientFrame& frame, World& world) {
         auto& stream = *frame.mutable_ack()->add_streams();
         stream.set_stream_id(world.clients[0]->frames[0].welcome().account_stream_id());
         stream.set_delivered_from(1);
       }),
       Code::kProtocol, CloseCode::kProtocolError},
      {"missing_from above delivered_from", true, frame_with([](wire::ClientFrame& frame, World& world) {
         auto& stream = *frame.mutable_ack()->add_streams();
         stream.set_stream_id(world.clients[0]->frames[0].welcome().account_stream_id());
         stream.set_missing_from(1);
       }),
       Code::kProtocol, CloseCode::kProtocolError},
      {"acknowledgement of too many streams", true, frame_with([](wire::ClientFrame& frame, World&) {
         for (std::size_t i = 0; i <= limits::kStreamsPerAckMax; ++i) frame.mutable_ack()->add_streams();
       }),
       Code::kProtocol, CloseCode::kProtocolError},
      {"read of someone else's conversation", true,
       frame_with([](wire::ClientFrame& frame, World&) { frame.mutable_read()->set_conversation_id(4'242); }),
       Code::kNotFound, CloseCode::kPolicy},
      {"read of the account stream", true, frame_with([](wire::ClientFrame& frame, World& world) {
         frame.mutable_read()->set_conversation_id(world.clients[0]->frames[0].welcome().account_stream_id());
       }),
       Code::kNotFound, CloseCode::kPolicy},
      {"pull of someone else's stream", true,
       frame_with([](wire::ClientFrame& frame, World&) { frame.mutable_pull()->set_stream_id(4'242); }),
       Code::kNotFound, CloseCode::kPolicy},
      {"renewal with a token that is none", true,
       frame_with([](wire::ClientFrame& frame, World&) { frame.mutable_authenticate()->set_access_token("x"); }),
       Code::kUnauthenticated, CloseCode::kUnauthenticated},
      {"renewal with another user's token", true, frame_with([](wire::ClientFrame& frame, World& world) {
         frame.mutable_authenticate()->set_access_token(world.token(static_cast<Pair&>(world).bob));
       }),
       Code::kUnauthenticated, CloseCode::kUnauthenticated},
  };
  return kTable;
}

TEST(GatewayErrors, EveryViolationHasItsFailureAndCloseCode) {
  for (const BadFrame& bad : bad_frames()) {
    SCOPED_TRACE(bad.name);
    Pair world;
    TestClient& good = bad.welcomed ? world.connect(world.ada) : world.open();
    TestClient& other = world.connect(world.bob);

    const Bytes bytes = bad.bytes(world);
    good.say_bytes(bytes);
    world.run();

    const std::string ending = "gateway: connection " + std::to_string(good.id()) + " device ";
    const auto ends = world.log.with(" ends: " + std::string(code_name(bad.failure)) + ": ");
    ASSERT_EQ(ends.size(), 1u);
    EXPECT_TRUE(ends[0].starts_with(ending)) << ends[0];
    expect_no_line_holds(world, {"nonsense", "before-the-hello", world.token(world.bob)});
    EXPECT_EQ(good.failure(), bad.failure);
    EXPECT_EQ(good.closed, bad.close);
    EXPECT_TRUE(good.frames.back().has_failure());
    EXPECT_FALSE(other.closed);
    EXPECT_EQ(world.gateways[0]->connections(), 1u);
    EXPECT_TRUE(world.submitted_ops<AppendMessage>().empty());
  }
}

TEST(GatewayErrors, FramesBeforeTheWelcomeAreAViolation) {
  Pair world;
  TestClient& a = world.open(world.token(world.ada));
  a.say(world.hello());
  a.say(ping());
  EXPECT_EQ(a.of(wire::ServerFrame::kPong).size(), 1u);

  a.say(world.text_to("bob", "early", 1));
  world.run();

  EXPECT_EQ(a.failure(), Code::kProtocol);
  EXPECT_TRUE(a.of(wire::ServerFrame::kWelcome).empty());
  EXPECT_TRUE(world.submitted_ops<AppendMessage>().empty());
}

TEST(GatewayErrors, UnknownFramesAndFieldsAreTolerated) {
  Pair world;
  TestClient& a = world.connect(world.ada);

  a.say_bytes("");                // no body
  a.say_bytes("\xBA\x3E\x02hi");  // field 999 instead of a body
  a.say_bytes(encode(ping()) + "\xBA\x3E\x02hi");
  world.run();

  EXPECT_FALSE(a.closed);
  EXPECT_EQ(a.of(wire::ServerFrame::kPong).size(), 1u);
}

TEST(GatewayErrors, FramesAboveTheRateEndTheConnection) {
  GatewayOptions options;
  options.frames_per_second = 10;
  options.frames_burst = 20;
  Pair world(options);
  TestClient& a = world.connect(world.ada, nullptr, 0, false);

  for (int i = 0; i < 19; ++i) a.say(ping());
  EXPECT_FALSE(a.closed);
  world.advance(1s);
  for (int i = 0; i < 10; ++i) a.say(ping());
  EXPECT_FALSE(a.closed);
  a.say(ping());

  EXPECT_EQ(a.failure(), Code::kRateLimited);
  EXPECT_EQ(a.closed, CloseCode::kTryAgainLater);
}

TEST(GatewayErrors, NothingIsTakenFromAClosedConnection) {
  Pair world;
  TestClient& a = world.connect(world.ada);
  a.say_bytes("\xFF");
  const std::size_t frames = a.frames.size();

  a.say(world.text_to("bob", "late", 1));
  world.run();

  EXPECT_EQ(a.frames.size(), frames);
  EXPECT_TRUE(world.submitted_ops<AppendMessage>().empty());
}

TEST(GatewayErrors, RandomFramesHarmNobody) {
  Pair world;
  TestClient& b = world.connect(world.bob);
  SeededRandom random(20'261'121);
  const std::string token = world.token(world.ada);
  wire::ClientFrame valid[] = {world.hello(), world.text_to("bob", "hello", 1), ping()};
  valid[0].mutable_hello()->set_access_token(token);
  TestClient* a = nullptr;
  for (int i = 0; i < 20'000; ++i) {
    if (a == nullptr || a->closed) {
      world.run();
      a = random.below(2) == 0 ? &world.connect(world.ada) : &world.open();
    }
    Bytes bytes;
    if (random.below(2) == 0) {
      bytes = random.bytes(static_cast<std::size_t>(random.below(64)));
    } else {
      bytes = encode(valid[random.below(3)]);
      for (std::uint64_t flips = random.below(4); flips > 0 && !bytes.empty(); --flips) {
        bytes[random.below(bytes.size())] = static_cast<char>(random.below(256));
      }
    }
    a->say_bytes(bytes);
    if (random.below(8) == 0) world.run();
    world.clock.advance(1ms);
    if (i % 1'000 == 0 && !b.closed) b.say(ping());
  }
  world.run();

  EXPECT_EQ(b.failure(), Code::kOk);
  EXPECT_LE(world.gateways[0]->connections(), 2u);
}

// ---- Time ----------------------------------------------------------------------------------------------------------

wire::ClientFrame renewal(const std::string& token) {
  wire::ClientFrame frame;
  frame.mutable_authenticate()->set_access_token(token);
  return frame;
}

TEST(GatewayToken, AnExpiredTokenEndsTheConnection) {
  Pair world;
  TestClient& a = world.connect(world.ada);

  world.advance_alive(a, World::kTokenLife - 10s);
  EXPECT_FALSE(a.closed);
  world.advance_alive(a, 11s);

  EXPECT_EQ(a.failure(), Code::kUnauthenticated);
  EXPECT_EQ(a.closed, CloseCode::kUnauthenticated);
}

TEST(GatewayToken, ARenewalKeepsTheConnection) {
  Pair world;
  TestClient& a = world.connect(world.ada);
  world.advance_alive(a, World::kTokenLife - 60s);

  a.say(renewal(world.token(world.ada)));
  world.run();
  const std::int64_t renewed_at = to_unix_ms(world.clock.wall_now());
  world.advance_alive(a, World::kTokenLife - 10s);

  EXPECT_FALSE(a.closed);
  ASSERT_EQ(a.of(wire::ServerFrame::kAuthenticated).size(), 1u);
  const wire::Authenticated answer = a.of(wire::ServerFrame::kAuthenticated)[0].authenticated();
  EXPECT_EQ(answer.server_time_ms(), renewed_at);
  EXPECT_NEAR(static_cast<double>(answer.token_expires_at_ms()),
              static_cast<double>(renewed_at + std::chrono::milliseconds(World::kTokenLife).count()), 1'000.0);
  EXPECT_EQ(a.of(wire::ServerFrame::kWelcome).size(), 1u);
}

TEST(GatewayToken, ARenewalAfterTheSessionEndedIsRefused) {
  Pair world;
  TestClient& a = world.connect(world.ada);
  const std::string token = world.token(world.ada);
  ASSERT_TRUE(world.commit_now(EndSessions{"ada", world.ada.id, false, world.clock.wall_now()}).ok());

  a.say(renewal(token));
  world.run();

  EXPECT_EQ(a.closed, CloseCode::kUnauthenticated);
}

TEST(GatewayToken, AFloodOfRenewalsIsStoppedBeforeItsTokensAreVerified) {
  Pair world;
  TestClient& a = world.connect(world.ada);
  const std::string token = world.token(world.ada);

  a.say(renewal(token));
  a.say(renewal("not even a token"));

  EXPECT_EQ(a.failure(), Code::kRateLimited);
  EXPECT_EQ(a.closed, CloseCode::kTryAgainLater);
  EXPECT_EQ(a.frames.back().failure().error().detail(), "a renewal while the one before is unanswered");
  EXPECT_GT(a.frames.back().failure().error().retry_after_ms(), 0u);
  EXPECT_EQ(world.reader_executor.run_ready(), 1u);  // one question to the store, not two
}

TEST(GatewayToken, RenewalsKeepTheirInterval) {
  for (const auto pause : {limits::kRenewalIntervalMin - 1ms, limits::kRenewalIntervalMin + 0ms}) {
    Pair world;
    TestClient& a = world.connect(world.ada);
    a.say(renewal(world.token(world.ada)));
    world.run();
    ASSERT_EQ(a.of(wire::ServerFrame::kAuthenticated).size(), 1u);

    world.advance(pause);
    a.say(renewal(world.token(world.ada)));
    world.run();

    EXPECT_EQ(a.failure(), pause < limits::kRenewalIntervalMin ? Code::kRateLimited : Code::kOk);
  }
}

TEST(GatewayIdle, PingIsAnsweredWithItsToken) {
  Pair world;
  TestClient& a = world.connect(world.ada);

  a.say(ping(987));

  ASSERT_EQ(a.of(wire::ServerFrame::kPong).size(), 1u);
  EXPECT_EQ(a.of(wire::ServerFrame::kPong)[0].pong().token(), 987u);
}

TEST(GatewayIdle, ASilentClientIsPingedThenClosed) {
  Pair world;
  TestClient& a = world.connect(world.ada);

  world.advance(2 * limits::kHeartbeatDefault + Gateway::kTickPeriod);
  EXPECT_EQ(a.of(wire::ServerFrame::kPing).size(), 1u);
  EXPECT_FALSE(a.closed);
  world.advance(limits::kPongTimeout);

  EXPECT_EQ(a.failure(), Code::kTimedOut);
  EXPECT_EQ(a.of(wire::ServerFrame::kPing).size(), 1u);
}

TEST(GatewayIdle, AnAnsweredPingKeepsTheConnection) {
  Pair world;
  TestClient& a = world.connect(world.ada);
  wire::ClientFrame pong;
  pong.mutable_pong();

  for (int i = 0; i < 5; ++i) {
    world.advance(2 * limits::kHeartbeatDefault + Gateway::kTickPeriod);
    a.say(pong);
  }

  EXPECT_FALSE(a.closed);
  EXPECT_EQ(a.of(wire::ServerFrame::kPing).size(), 5u);
}

// ---- Drain ---------------------------------------------------------------------------------------------------------

TEST(GatewayDrain, ClientsAreToldToReconnectAndSendsAreAnswered) {
  Pair world;
  TestClient& a = world.connect(world.ada);
  TestClient& b = world.connect(world.bob);
  world.hold_commits = true;
  a.say(world.text_to("bob", "in flight", 1));
  bool drained = false;

  world.gateways[0]->drain([&] { drained = true; });
  world.run();
  EXPECT_EQ(b.closed, CloseCode::kGoingAway);
  EXPECT_FALSE(a.closed);
  EXPECT_FALSE(drained);
  a.say(world.text_to("bob", "too late", 2));
  world.release_commits();

  ASSERT_EQ(a.of(wire::ServerFrame::kDrain).size(), 1u);
  EXPECT_LT(a.of(wire::ServerFrame::kDrain)[0].drain().reconnect_after_ms(), world.options.drain_spread.count());
  ASSERT_EQ(results(a).size(), 2u);
  EXPECT_EQ(static_cast<Code>(results(a)[0].refused().code()), Code::kUnavailable);
  EXPECT_TRUE(results(a)[1].has_accepted());
  EXPECT_EQ(a.closed, CloseCode::kGoingAway);
  EXPECT_TRUE(drained);
}

TEST(GatewayDrain, ReconnectTimesAreSpread) {
  Pair world;
  std::set<std::uint32_t> times;
  for (int i = 0; i < 20; ++i) world.connect(world.add_device("ada", "d" + std::to_string(i)));

  world.gateways[0]->drain({});
  for (const auto& client : world.clients) {
    times.insert(client->of(wire::ServerFrame::kDrain).at(0).drain().reconnect_after_ms());
  }

  EXPECT_GT(times.size(), 15u);
}

TEST(GatewayDrain, LaterConnectionsAreTurnedAway) {
  Pair world;
  bool drained = false;
  world.gateways[0]->drain([&] { drained = true; });
  EXPECT_TRUE(drained);

  TestClient& a = world.open(world.token(world.ada));
  world.run();

  EXPECT_EQ(a.failure(), Code::kUnavailable);
  EXPECT_EQ(a.closed, CloseCode::kTryAgainLater);
  EXPECT_EQ(world.gateways[0]->connections(), 0u);
}

// ---- What remains --------------------------------------------------------------------------------------------------

TEST(GatewayEnd, AGatewayMayEndWhileReadsAndWritesAreUnderWay) {
  Pair world;
  TestClient& a = world.connect(world.ada);
  TestClient& b = world.open(world.token(world.bob));
  b.say(world.hello());
  a.say(world.text_to("bob", "x", 1));

  world.gateways[0].reset();
  world.run();

  EXPECT_EQ(world.submitted_ops<AppendMessage>().size(), 1u);
  EXPECT_EQ(world.directory.size(), 0u);
}

TEST(GatewayEnd, AHangUpLeavesNothingBehind) {
  Pair world;
  TestClient& a = world.connect(world.ada);
  TestClient& b = world.open();

  a.hang_up();
  b.hang_up();

  EXPECT_EQ(world.gateways[0]->connections(), 0u);
  EXPECT_EQ(world.directory.size(), 0u);
}

TEST(GatewayEnd, AnIdleSessionIsSmall) {
  RecordProperty("session_bytes", static_cast<int>(sizeof(GatewaySession)));
  EXPECT_LE(sizeof(GatewaySession), 320u);
  EXPECT_LE(sizeof(StreamEntry), 56u);
}

}  // namespace
}  // namespace chatsdk::server
