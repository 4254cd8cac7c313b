// SPDX-License-Identifier: Apache-2.0
//
// The life of a connection: attempts, pauses, heartbeats, drains and ends.
#include <limits>

#include "unit/engine/engine_world.h"

namespace chatsdk::test {
namespace {

using namespace std::chrono_literals;

class ConnectionTest : public EngineWorld {
 protected:
  std::vector<ConnectionState> states() const {
    std::vector<ConnectionState> found;
    for (const auto& state : sink_.states) found.push_back(state.state);
    return found;
  }
  // A started client whose upgrade nobody answers.
  void start_silent() {
    auto_accept_upgrade_ = false;
    have_session();
    make_client();
    client_->start();
    run();
  }
  void fail_attempt(Error error = {Code::kNetwork, "refused", {}}) {
    transport_.drop(transport_.last().id, {1006, std::move(error), 0});
    run();
  }
};

TEST_F(ConnectionTest, TellsEachStateOnce) {
  go_online();

  EXPECT_EQ(states(), (std::vector<ConnectionState>{ConnectionState::kConnecting, ConnectionState::kSyncing,
                                                    ConnectionState::kOnline}));
}

TEST_F(ConnectionTest, ConnectsToTheDiscoveredGatewayWithTheToken) {
  go_online();

  EXPECT_EQ(transport_.last().request.url, "ws://gateway.test/v1/ws");
  EXPECT_EQ(transport_.last().request.subprotocol, "chatsdk.v1");
  EXPECT_EQ(transport_.last().request.bearer_token, "access-0");
}

TEST_F(ConnectionTest, TakesTheUsableGatewayOfLowestPriority) {
  have_session();
  make_client();
  http_.respond = [](const HttpRequest&) -> std::optional<Result<HttpResponse>> {
    wire::Connect connect;
    for (const auto& [url, priority] :
         {std::pair("http://nonsense.test", 0u), std::pair("ws://far.test", 9u), std::pair("ws://near.test", 2u)}) {
      wire::Connect::Gateway& gateway = *connect.add_gateways();
      gateway.set_url(url);
      gateway.set_priority(priority);
    }
    return protobuf_response(connect);
  };

  client_->start();
  run();

  EXPECT_EQ(transport_.last().request.url, "ws://near.test");
}

TEST_F(ConnectionTest, AServerOverTlsCannotNameAGatewayWithoutIt) {
  options_.server_url = "https://server.test";
  have_session();
  make_client();
  http_.respond = [](const HttpRequest&) -> std::optional<Result<HttpResponse>> {
    wire::Connect connect;
    connect.add_gateways()->set_url("ws://gateway.test");
    return protobuf_response(connect);
  };

  client_->start();
  run();

  EXPECT_EQ(transport_.attempts(), 0u);
  EXPECT_EQ(client_->connection_state(), ConnectionState::kWaiting);
  EXPECT_EQ(sink_.states.back().cause.code, Code::kProtocol);
}

TEST_F(ConnectionTest, KeepsTheGatewayForItsTimeAndAsksAgainAfterAFailedUpgrade) {
  go_online();
  drop();
  advance(2s);
  EXPECT_EQ(http_.requests("GET /v1/connect").size(), 1u);

  auto_accept_upgrade_ = false;
  drop();
  advance(2s);
  fail_attempt();
  advance(5s);

  EXPECT_EQ(http_.requests("GET /v1/connect").size(), 2u);
}

// A client that starts again and has used its gateway before.
class Restarted : public ConnectionTest {
 protected:
  void SetUp() override {
    go_online();
    restart();
    run();  // the transport takes leave of the first client's connection
    ASSERT_EQ(discoveries(), 1u);
  }
  std::size_t discoveries() { return http_.requests("GET /v1/connect").size(); }
  // The engine sees a time for a whole turn.
  void begin_turn() {
    executor_.post([] {});
    run();
  }
};

TEST_F(Restarted, GoesStraightToTheGatewayWithinItsTime) {
  clock_.advance(59min);
  begin_turn();
  go_online();

  EXPECT_EQ(discoveries(), 1u);
  EXPECT_EQ(transport_.last().request.url, "ws://gateway.test/v1/ws");
}

TEST_F(Restarted, AsksAgainAfterTheGatewaysTime) {
  clock_.advance(61min);
  begin_turn();
  go_online();

  EXPECT_EQ(discoveries(), 2u);
}

TEST_F(Restarted, AsksAgainWhenTheWallClockWasSetBack) {
  clock_.jump_wall(-std::chrono::hours(48));
  begin_turn();
  go_online();

  EXPECT_EQ(discoveries(), 2u);
}

TEST_F(Restarted, WithAnotherServerAsksThatOne) {
  options_.server_url = "http://other.test";
  restart();
  client_->start();
  run();

  ASSERT_EQ(discoveries(), 2u);
  EXPECT_EQ(http_.exchange(http_.requests("GET /v1/connect").back()).request.url, "http://other.test/v1/connect");
}

TEST_F(Restarted, TakesNoGatewayWithoutTlsOnceTheServerHasIt) {
  ASSERT_TRUE(store_->save_gateway({"https://server.test", "ws://gateway.test/v1/ws", clock_.wall_now() + 1h}).ok());
  options_.server_url = "https://server.test";
  restart();
  client_->start();
  run();

  EXPECT_EQ(discoveries(), 2u);
}

TEST_F(Restarted, AsksAtOnceWhenTheRememberedGatewayDoesNotAnswer) {
  auto_accept_upgrade_ = false;
  client_->start();
  run();
  ASSERT_EQ(discoveries(), 1u);
  auto_accept_upgrade_ = true;
  fail_attempt();

  EXPECT_EQ(discoveries(), 2u);
  EXPECT_EQ(client_->connection_state(), ConnectionState::kOnline);
}

TEST_F(Restarted, AsksAgainWhenTheRememberedGatewayRefusesTheToken) {
  auto_accept_upgrade_ = false;
  client_->start();
  run();
  auto_accept_upgrade_ = true;
  transport_.drop(transport_.last().id, {1006, error(Code::kUnauthenticated, "401"), 401});
  run();

  EXPECT_EQ(refreshes_, 1u);
  EXPECT_EQ(discoveries(), 2u);
  EXPECT_EQ(client_->connection_state(), ConnectionState::kOnline);
}

// A gateway that opens and does not welcome may have become another server.
class Unwelcome : public Restarted {
 protected:
  // How often the gateway is opened until discovery is asked again, that attempt included.
  std::size_t attempts_until_asked() {
    const std::size_t asked = discoveries();
    const std::size_t before = transport_.attempts();
    // In small steps: an attempt that is refused at once may be followed by another soon after.
    for (int i = 0; i < 1'000'000 && discoveries() == asked; ++i) advance(1ms);
    return transport_.attempts() - before;
  }
};

TEST_F(Unwelcome, AGatewayThatSaysNothingIsAskedForAnewAfterSomeAttempts) {
  auto_welcome_ = false;
  client_->start();

  EXPECT_EQ(attempts_until_asked(), limits::kGatewayAttemptsMax) << "that of start() apart";
  EXPECT_EQ(attempts_until_asked(), limits::kGatewayAttemptsMax) << "and so on";
  auto_welcome_ = true;
  advance(5min);
  EXPECT_EQ(client_->connection_state(), ConnectionState::kOnline);
}

TEST_F(Unwelcome, AGatewayThatRefusesIsAskedForAnewAfterSomeAttempts) {
  auto_welcome_ = false;
  const auto base = transport_.on_sent;
  transport_.on_sent = [this, base](FakeTransport::Connection& connection, const wire::ClientFrame& frame) {
    base(connection, frame);
    if (frame.has_hello()) transport_.deliver(connection.id, failure_frame(Code::kProtocol));
  };
  client_->start();

  EXPECT_EQ(attempts_until_asked(), limits::kGatewayAttemptsMax) << "that of start() apart";
}

TEST_F(Unwelcome, AWelcomeBetweenThemMakesTheAttemptsFew) {
  go_online();
  for (std::uint32_t i = 0; i < 2 * limits::kGatewayAttemptsMax; ++i) {
    const std::size_t before = transport_.attempts();
    auto_welcome_ = false;
    drop();
    while (transport_.attempts() == before) advance(100ms);
    auto_welcome_ = true;
    advance(limits::kHelloTimeout + 2min);
    ASSERT_EQ(client_->connection_state(), ConnectionState::kOnline);
  }

  EXPECT_EQ(discoveries(), 1u) << "within its time";
}

TEST_F(ConnectionTest, PausesGrowWithFullJitterUpToTheCap) {
  start_silent();
  std::vector<std::chrono::milliseconds> pauses;
  for (int i = 0; i < 20; ++i) {
    fail_attempt();
    ASSERT_EQ(sink_.states.back().state, ConnectionState::kWaiting);
    pauses.push_back(sink_.states.back().retry_in);
    advance(pauses.back());
  }

  std::chrono::milliseconds ceiling = options_.backoff_base;
  std::chrono::milliseconds longest{0};
  for (const auto pause : pauses) {
    EXPECT_LE(pause, ceiling);
    longest = std::max(longest, pause);
    ceiling = std::min(options_.backoff_cap, ceiling * 2);
  }
  EXPECT_GT(longest, 10s);
}

TEST_F(ConnectionTest, RetryAfterOfAnEndIsTheLeastPause) {
  start_silent();

  fail_attempt({Code::kUnavailable, "503", 30s});

  EXPECT_GE(sink_.states.back().retry_in, 30s);
  advance(29s);
  EXPECT_EQ(transport_.attempts(), 1u);
  client_->network_changed();
  run();
  EXPECT_EQ(transport_.attempts(), 1u) << "a hint does not overrule the server";
}

TEST_F(ConnectionTest, RetryAfterOfAFailureFrameIsTheLeastPause) {
  go_online();

  deliver_and_run(failure_frame(Code::kUnavailable, 20'000));

  EXPECT_EQ(sink_.states.back().cause.code, Code::kUnavailable);
  EXPECT_GE(sink_.states.back().retry_in, 20s);
}

TEST_F(ConnectionTest, ProgressMakesTheNextPauseShortAgain) {
  start_silent();
  for (int i = 0; i < 8; ++i) {
    fail_attempt();
    advance(sink_.states.back().retry_in);
  }
  transport_.accept(transport_.last().id);
  run();
  ASSERT_EQ(client_->connection_state(), ConnectionState::kOnline);

  drop();

  EXPECT_LE(sink_.states.back().retry_in, options_.backoff_base);
}

TEST_F(ConnectionTest, ANetworkChangeEndsTheWait) {
  start_silent();
  for (int i = 0; i < 8; ++i) {
    fail_attempt();
    advance(sink_.states.back().retry_in);
  }
  fail_attempt();
  const std::size_t before = transport_.attempts();

  client_->network_changed();
  run();

  EXPECT_EQ(transport_.attempts(), before + 1);
}

TEST_F(ConnectionTest, ANetworkChangeReplacesAnAttempt) {
  start_silent();

  client_->network_changed();
  run();

  EXPECT_EQ(transport_.attempts(), 2u);
  EXPECT_TRUE(transport_.connection(1).aborted);
}

TEST_F(ConnectionTest, ANetworkChangeProbesALiveConnectionAtOnce) {
  go_online();

  client_->network_changed();
  client_->network_changed();
  run();

  EXPECT_EQ(pings().size(), 1u);
}

TEST_F(ConnectionTest, PingsAfterAnIdleHeartbeat) {
  heartbeat_ms_ = 5'000;
  go_online();

  advance(4'900ms);
  EXPECT_TRUE(pings().empty());
  advance(200ms);

  EXPECT_EQ(pings().size(), 1u);
}

TEST_F(ConnectionTest, APeerSilentAfterAPingIsAbandoned) {
  heartbeat_ms_ = 5'000;
  auto_pong_ = false;
  go_online();

  advance(5s + limits::kPongTimeout - 1ms);
  EXPECT_EQ(client_->connection_state(), ConnectionState::kOnline);
  advance(1ms);

  EXPECT_TRUE(transport_.connection(1).aborted);
  EXPECT_EQ(sink_.states.back().cause.code, Code::kNetwork);
  EXPECT_EQ(client_->connection_state(), ConnectionState::kWaiting);
}

TEST_F(ConnectionTest, AnyFrameAnswersAPing) {
  heartbeat_ms_ = 5'000;
  auto_pong_ = false;
  go_online();
  advance(5s);
  ASSERT_EQ(pings().size(), 1u);

  deliver_and_run(items_frame(kConversation, 0, {roster_item(1)}));
  advance(limits::kPongTimeout - 6s);

  EXPECT_EQ(client_->connection_state(), ConnectionState::kOnline);
  EXPECT_EQ(transport_.attempts(), 1u);
}

TEST_F(ConnectionTest, AnswersTheServersPing) {
  go_online();
  wire::ServerFrame ping;
  ping.mutable_ping()->set_token(42);

  deliver_and_run(ping);

  ASSERT_TRUE(transport_.last().sent.back().has_pong());
  EXPECT_EQ(transport_.last().sent.back().pong().token(), 42u);
}

TEST_F(ConnectionTest, AnUpgradeThatIsNotAnsweredIsGivenUp) {
  start_silent();

  advance(limits::kConnectTimeout);

  EXPECT_TRUE(transport_.connection(1).aborted);
  EXPECT_EQ(sink_.states.back().cause.code, Code::kTimedOut);
}

TEST_F(ConnectionTest, AHelloThatIsNotAnsweredIsGivenUp) {
  auto_welcome_ = false;
  have_session();
  make_client();
  client_->start();
  run();

  advance(limits::kHelloTimeout);

  EXPECT_TRUE(transport_.connection(1).aborted);
  EXPECT_EQ(sink_.states.back().cause.code, Code::kTimedOut);
}

TEST_F(ConnectionTest, ADrainStopsNewSendsAndReconnectsAfterItsTime) {
  go_online();
  queue("before");
  run();
  wire::ServerFrame drain;
  drain.mutable_drain()->set_reconnect_after_ms(4'000);
  deliver_and_run(drain);
  const ClientMessageId id = queue("after");
  run();
  EXPECT_EQ(texts(sends()), (std::vector<std::string>{"before"}));
  deliver_and_run(accepted_frame(sends()[0].client_message_id(), 1));
  EXPECT_EQ(state(id), MessageState::kQueued);

  drop(1001);
  EXPECT_GE(sink_.states.back().retry_in, 4s);
  EXPECT_LE(sink_.states.back().retry_in, 6s);
  advance(3'900ms);
  EXPECT_EQ(transport_.attempts(), 1u);
  advance(3s);

  EXPECT_EQ(texts(sends()), (std::vector<std::string>{"after"}));
}

TEST_F(ConnectionTest, ADrainThatTheServerDoesNotFinishIsFinishedHere) {
  go_online();
  wire::ServerFrame drain;
  drain.mutable_drain()->set_reconnect_after_ms(1'000);
  deliver_and_run(drain);

  advance(10s);

  EXPECT_EQ(transport_.connection(1).close_code, 1000);
  advance(2s);
  EXPECT_EQ(transport_.attempts(), 2u);
}

TEST_F(ConnectionTest, AReplacedDeviceDoesNotFightForItsPlace) {
  go_online();

  drop(4002);

  EXPECT_EQ(sink_.states.back().cause.code, Code::kReplaced);
  EXPECT_GE(sink_.states.back().retry_in, options_.backoff_cap / 2);
}

TEST_F(ConnectionTest, BytesThatAreNotAFrameCloseWith1007) {
  go_online();

  transport_.deliver_bytes(transport_.last().id, "\xff\xff\xff");
  run();

  EXPECT_EQ(transport_.last().close_code, 1007);
  EXPECT_EQ(sink_.states.back().cause.code, Code::kMalformed);
}

TEST_F(ConnectionTest, FramesOfAnUnknownTypeAreIgnored) {
  go_online();

  // Field 200, length-delimited, of three bytes.
  transport_.deliver_bytes(transport_.last().id, std::string("\xc2\x0c\x03xyz", 6));
  run();

  EXPECT_EQ(client_->connection_state(), ConnectionState::kOnline);
}

TEST_F(ConnectionTest, FramesOutOfTurnAreProtocolErrors) {
  auto_welcome_ = false;
  have_session();
  make_client();
  client_->start();
  run();
  deliver_and_run(items_frame(kConversation, 0, {roster_item(1)}));
  EXPECT_EQ(transport_.connection(1).close_code, 1002);

  auto_welcome_ = true;
  advance(2s);
  wire::ServerFrame second;
  *second.mutable_welcome() = welcome();
  deliver_and_run(second);
  EXPECT_EQ(transport_.connection(2).close_code, 1002);
}

TEST_F(ConnectionTest, AWelcomeThatDoesNotFitIsRefused) {
  auto_welcome_ = false;
  have_session();
  make_client();
  client_->start();
  run();
  std::vector<wire::Welcome> wrong(5, welcome());
  wrong[0].set_protocol(2);
  wrong[1].set_user_id("mallory");
  wrong[2].set_device_id(32);
  wrong[3].set_store_epoch(0);
  wrong[4].set_account_stream_id(0);

  for (const wire::Welcome& one : wrong) {
    const auto connection = transport_.last().id;
    wire::ServerFrame frame;
    *frame.mutable_welcome() = one;
    deliver_and_run(frame);
    EXPECT_EQ(transport_.connection(connection).close_code, 1002);
    advance(sink_.states.back().retry_in);
    ASSERT_NE(transport_.last().id, connection);
  }
  EXPECT_EQ(*store_->store_epoch(), 0u);
}

TEST_F(ConnectionTest, NoTimeOfTheServersMakesRenewalsHurryOrOverflow) {
  constexpr auto kLowest = std::numeric_limits<std::int64_t>::min();
  constexpr auto kHighest = std::numeric_limits<std::int64_t>::max();
  have_session(std::chrono::hours(48));
  make_client();
  auto_welcome_ = false;
  const std::pair<std::int64_t, std::int64_t> times[] = {{kLowest, kHighest}, {kHighest, 1}, {kHighest, kHighest}};
  for (const auto& [now, expires] : times) {
    client_->start();
    run();
    wire::ServerFrame frame;
    *frame.mutable_welcome() = welcome();
    frame.mutable_welcome()->set_server_time_ms(now);
    frame.mutable_welcome()->set_token_expires_at_ms(expires);
    const int before = refreshes_;

    deliver_and_run(frame);
    advance(900ms);

    EXPECT_EQ(refreshes_, before);
    client_->stop();
    run();
  }
}

TEST_F(ConnectionTest, AFloodOfPingsIsAnsweredWithinTheBuffer) {
  go_online();
  transport_.last().room = false;
  const std::size_t before = transport_.last().sent.size();

  for (std::uint64_t token = 1; token <= 1'000; ++token) {
    wire::ServerFrame ping;
    ping.mutable_ping()->set_token(token);
    deliver(ping);
  }
  run();
  EXPECT_EQ(transport_.last().sent.size(), before + 1) << "the one that told of the full buffer";
  transport_.set_room(transport_.last().id, true);
  run();

  ASSERT_EQ(transport_.last().sent.size(), before + 2);
  EXPECT_EQ(transport_.last().sent.back().pong().token(), 1'000u);
}

TEST_F(ConnectionTest, AFloodOfItemsIsAcknowledgedWithinTheBuffer) {
  go_online();
  transport_.last().room = false;
  const std::size_t before = transport_.last().sent.size();

  for (Seq after = 0; after < 20; ++after) {
    deliver_and_run(items_frame(900, after, {after == 0 ? roster_item(1) : message_item(after + 1, "x")}));
  }
  EXPECT_EQ(transport_.last().sent.size(), before + 1);
  transport_.set_room(transport_.last().id, true);
  run();

  ASSERT_EQ(acks().size(), 2u);
  EXPECT_EQ(acks()[1].streams(0).seq(), 20u);
}

TEST_F(ConnectionTest, StopClosesAndStartConnectsAgain) {
  go_online();

  client_->stop();
  run();
  EXPECT_EQ(transport_.connection(1).close_code, 1000);
  EXPECT_EQ(client_->connection_state(), ConnectionState::kStopped);
  advance(1h);
  EXPECT_EQ(transport_.attempts(), 1u);

  client_->start();
  run();
  EXPECT_EQ(client_->connection_state(), ConnectionState::kOnline);
}

TEST_F(ConnectionTest, NothingIsLeftToRunAfterStop) {
  go_online();
  queue("x");
  run();

  client_->stop();
  run();

  EXPECT_FALSE(executor_.next_time().has_value());
}

TEST_F(ConnectionTest, AnOldConnectionsEndDoesNotTouchTheNewOne) {
  go_online();
  transport_.hold_closings(true);
  client_->stop();
  client_->start();
  run();
  ASSERT_EQ(transport_.attempts(), 2u);

  transport_.release_closings();
  run();

  EXPECT_EQ(client_->connection_state(), ConnectionState::kOnline);
}

}  // namespace
}  // namespace chatsdk::test
