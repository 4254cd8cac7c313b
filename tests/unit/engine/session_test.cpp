// SPDX-License-Identifier: Apache-2.0
//
// Tokens: log-in, refresh, renewal, the session's end, and the requests about accounts and devices.
#include <limits>

#include "unit/engine/engine_world.h"

namespace chatsdk::test {
namespace {

using namespace std::chrono_literals;

class SessionTest : public EngineWorld {
 protected:
  std::size_t count(const std::string& line) const { return http_.requests(line).size(); }
  template <typename T>
  T body_of(HttpClient::RequestId id) {
    T message;
    EXPECT_TRUE(message.ParseFromString(http_.exchange(id).request.body));
    return message;
  }
  void answer_last(const std::string& line, Result<HttpResponse> response) {
    const auto found = http_.requests(line);
    ASSERT_FALSE(found.empty()) << line;
    http_.answer(found.back(), std::move(response));
    run();
  }
  // The refresh is answered by the test instead of by the world.
  void refresh_by_hand() {
    const auto base = http_.respond;
    http_.respond = [base](const HttpRequest& request) -> std::optional<Result<HttpResponse>> {
      if (request.url.ends_with("/v1/sessions/refresh")) return std::nullopt;
      return base(request);
    };
  }
  static constexpr const char* kRefresh = "POST /v1/sessions/refresh";
};

TEST_F(SessionTest, StartsNotLoggedInWithoutASession) {
  make_client();

  client_->start();
  run();

  EXPECT_EQ(client_->connection_state(), ConnectionState::kNotLoggedIn);
  EXPECT_EQ(client_->send_text(ConversationKey{1}, "x", {}).code(), Code::kNotLoggedIn);
  EXPECT_EQ(client_->direct_conversation("bob").code(), Code::kNotLoggedIn);
}

TEST_F(SessionTest, LogInStoresTheSessionAndConnects) {
  make_client();
  client_->start();
  client_->login(1, "alice", "password!");
  run();
  const auto login = http_.requests("POST /v1/sessions");
  ASSERT_EQ(login.size(), 1u);
  const auto request = body_of<wire::LoginRequest>(login[0]);
  EXPECT_EQ(request.user_id(), "alice");
  EXPECT_EQ(request.password(), "password!");
  EXPECT_EQ(request.device_name(), "test device");
  EXPECT_EQ(request.installation_id(), store_->installation_id());
  EXPECT_EQ(request.former_device_id(), 0u);

  answer_last("POST /v1/sessions", protobuf_response(session_answer(5)));

  EXPECT_EQ(sink_.code_of(1), Code::kOk);
  EXPECT_EQ((*store_->session())->refresh_token, "refresh-5");
  EXPECT_EQ(client_->connection_state(), ConnectionState::kOnline);
  EXPECT_EQ(transport_.last().request.bearer_token, "access-5");
}

TEST_F(SessionTest, ADisplayNameMayHave256Bytes) {
  make_client();
  client_->register_account(1, {"alice", "password!", std::string(257, 'n'), "", ""});
  run();
  EXPECT_EQ(sink_.code_of(1), Code::kTooLarge);
  EXPECT_TRUE(http_.requests("POST /v1/accounts").empty());

  client_->register_account(2, {"alice", "password!", std::string(256, 'n'), "", ""});
  run();

  ASSERT_EQ(http_.requests("POST /v1/accounts").size(), 1u);
}

TEST_F(SessionTest, AnExpiryThatNoClockCanShowIsBroughtToTheNearerEnd) {
  make_client();
  client_->login(1, "alice", "password!");
  run();
  wire::Session answer = session_answer(1);
  answer.set_access_expires_at_ms(std::numeric_limits<std::int64_t>::max());

  answer_last("POST /v1/sessions", protobuf_response(answer));

  EXPECT_EQ(sink_.code_of(1), Code::kOk);
  EXPECT_EQ(to_unix_ms((*store_->session())->access_expires), 253'402'300'799'999);
}

TEST_F(SessionTest, RegistrationSendsWhatTheAppGave) {
  make_client();
  client_->register_account(1, {"alice", "password!", "Alice", "a@example.org", "+491234"});
  run();
  const auto request = body_of<wire::RegisterRequest>(http_.requests("POST /v1/accounts").at(0));
  EXPECT_EQ(request.user_id(), "alice");
  EXPECT_EQ(request.display_name(), "Alice");
  EXPECT_EQ(request.email(), "a@example.org");
  EXPECT_EQ(request.phone(), "+491234");

  answer_last("POST /v1/accounts", protobuf_response(session_answer(1)));

  EXPECT_EQ(sink_.code_of(1), Code::kOk);
}

TEST_F(SessionTest, ARefusedLogInIsReportedAndChangesNothing) {
  make_client();
  client_->login(1, "alice", "password!");
  run();

  answer_last("POST /v1/sessions", problem_response(401, Code::kUnauthenticated));

  EXPECT_EQ(sink_.code_of(1), Code::kUnauthenticated);
  EXPECT_FALSE((*store_->session()).has_value());
  EXPECT_TRUE(sink_.ended.empty());
}

TEST_F(SessionTest, AnotherUserIsRefusedBeforeAnyRequest) {
  have_session();
  make_client();

  client_->login(1, "mallory", "password!");
  client_->register_account(2, {"mallory", "password!", "", "", ""});
  run();

  EXPECT_EQ(sink_.code_of(1), Code::kWrongState);
  EXPECT_EQ(sink_.code_of(2), Code::kWrongState);
  EXPECT_EQ(count("POST /v1/sessions") + count("POST /v1/accounts"), 0u);
}

TEST_F(SessionTest, AnAssertionOfAnotherUserIsRefusedAndItsSessionEnded) {
  have_session();
  make_client();
  client_->login_with_assertion(1, "header.payload.signature");
  run();
  wire::Session other = session_answer(3);
  other.set_user_id("mallory");

  answer_last("POST /v1/sessions", protobuf_response(other));

  EXPECT_EQ(sink_.code_of(1), Code::kWrongState);
  EXPECT_EQ((*store_->session())->user_id, "alice");
  const auto ended = http_.requests("DELETE /v1/sessions/current");
  ASSERT_EQ(ended.size(), 1u);
  EXPECT_EQ(http_.exchange(ended[0]).request.headers.at("authorization"), "Bearer access-3");
}

TEST_F(SessionTest, ASecondLogInWhileOneRunsIsBusy) {
  make_client();
  client_->login(1, "alice", "password!");
  client_->login(2, "alice", "password!");
  run();

  EXPECT_EQ(sink_.code_of(2), Code::kBusy);
}

TEST_F(SessionTest, CredentialsAreCheckedBeforeAnyRequest) {
  make_client();
  client_->login(1, "", "password!");
  client_->login(2, std::string(65, 'a'), "password!");
  client_->login(3, "\xff", "password!");
  client_->login(4, "alice", "");
  client_->register_account(5, {"alice", "short", "", "", ""});
  client_->register_account(6, {"alice", std::string(1'025, 'p'), "", "", ""});
  client_->register_account(7, {"alice", "password!", "", std::string(255, 'm'), ""});
  client_->login_with_assertion(8, "");
  run();

  EXPECT_EQ(sink_.code_of(1), Code::kInvalidArgument);
  EXPECT_EQ(sink_.code_of(2), Code::kTooLarge);
  EXPECT_EQ(sink_.code_of(3), Code::kInvalidUtf8);
  EXPECT_EQ(sink_.code_of(4), Code::kInvalidArgument);
  EXPECT_EQ(sink_.code_of(5), Code::kInvalidArgument);
  EXPECT_EQ(sink_.code_of(6), Code::kTooLarge);
  EXPECT_EQ(sink_.code_of(7), Code::kTooLarge);
  EXPECT_EQ(sink_.code_of(8), Code::kInvalidArgument);
}

TEST_F(SessionTest, AnExpiredTokenIsRefreshedBeforeConnecting) {
  have_session(0ms);
  make_client();

  client_->start();
  run();

  EXPECT_EQ(refreshes_, 1);
  EXPECT_EQ(transport_.last().request.bearer_token, "access-1");
  EXPECT_EQ((*store_->session())->refresh_token, "refresh-1");
}

TEST_F(SessionTest, TheRefreshsRequestIdIsDurableBeforeTheRequest) {
  refresh_by_hand();
  have_session(0ms);
  make_client();
  client_->start();
  run();

  const auto request = body_of<wire::RefreshRequest>(http_.requests(kRefresh).at(0));
  EXPECT_EQ(request.refresh_token(), "refresh-0");
  EXPECT_EQ(request.request_id().size(), 16u);
  EXPECT_EQ((*store_->session())->refresh_request_id, request.request_id());
}

TEST_F(SessionTest, ARefreshWhoseAnswerWasLostIsRepeatedWithTheSameId) {
  refresh_by_hand();
  have_session(0ms);
  make_client();
  client_->start();
  run();
  answer_last(kRefresh, error(Code::kNetwork, "lost"));

  advance(2s);

  ASSERT_EQ(count(kRefresh), 2u);
  const auto first = http_.requests(kRefresh)[0];
  const auto second = http_.requests(kRefresh)[1];
  EXPECT_EQ(http_.exchange(first).request.body, http_.exchange(second).request.body);
}

TEST_F(SessionTest, ARefreshIsRepeatedWithTheSameIdAfterARestart) {
  refresh_by_hand();
  have_session(0ms);
  make_client();
  client_->start();
  run();

  restart();
  client_->start();
  run();

  ASSERT_EQ(count(kRefresh), 2u);
  EXPECT_EQ(http_.exchange(http_.requests(kRefresh)[0]).request.body,
            http_.exchange(http_.requests(kRefresh)[1]).request.body);
}

TEST_F(SessionTest, TheNextRefreshHasAnotherId) {
  have_session(0ms);
  token_lifetime_ = 60s;
  go_online();
  advance(2min);

  ASSERT_GE(count(kRefresh), 2u);
  const auto first = body_of<wire::RefreshRequest>(http_.requests(kRefresh)[0]);
  const auto second = body_of<wire::RefreshRequest>(http_.requests(kRefresh)[1]);
  EXPECT_NE(first.request_id(), second.request_id());
  EXPECT_EQ(second.refresh_token(), "refresh-1");
}

TEST_F(SessionTest, ARefusedRefreshEndsTheSession) {
  refresh_by_hand();
  have_session(0ms);
  make_client();
  client_->start();
  run();

  answer_last(kRefresh, problem_response(401, Code::kUnauthenticated));

  ASSERT_EQ(sink_.ended.size(), 1u);
  EXPECT_EQ(sink_.ended[0].code, Code::kUnauthenticated);
  EXPECT_FALSE((*store_->session()).has_value());
  EXPECT_EQ(client_->connection_state(), ConnectionState::kNotLoggedIn);
  EXPECT_TRUE(client_->direct_conversation("bob").ok()) << "the history stays, and messages can be queued";
}

TEST_F(SessionTest, AForeignAnswerDoesNotEndTheSession) {
  refresh_by_hand();
  have_session(0ms);
  make_client();
  client_->start();
  run();
  HttpResponse portal;
  portal.status = 403;
  portal.headers["content-type"] = "text/html";

  answer_last(kRefresh, portal);

  EXPECT_TRUE(sink_.ended.empty());
  EXPECT_EQ(client_->connection_state(), ConnectionState::kWaiting);
}

TEST_F(SessionTest, TheRefreshsRetryAfterIsHonoured) {
  refresh_by_hand();
  have_session(0ms);
  make_client();
  client_->start();
  run();
  answer_last(kRefresh, problem_response(429, Code::kRateLimited, 20'000));

  advance(19s);
  EXPECT_EQ(count(kRefresh), 1u);
  advance(12s);

  EXPECT_EQ(count(kRefresh), 2u);
}

TEST_F(SessionTest, AnUpgradeRefusedWith401RefreshesOnceAndTriesAtOnce) {
  auto_accept_upgrade_ = false;
  have_session();
  make_client();
  client_->start();
  run();

  transport_.drop(transport_.last().id, {1006, error(Code::kUnauthenticated, "401"), 401});
  auto_accept_upgrade_ = true;
  run();

  EXPECT_EQ(refreshes_, 1);
  EXPECT_EQ(transport_.attempts(), 2u);
  EXPECT_EQ(transport_.last().request.bearer_token, "access-1");
  EXPECT_EQ(client_->connection_state(), ConnectionState::kOnline);
}

TEST_F(SessionTest, ASecond401WaitsBeforeTheNextRefresh) {
  auto_accept_upgrade_ = false;
  have_session();
  make_client();
  client_->start();
  run();

  for (int i = 0; i < 2; ++i) {
    transport_.drop(transport_.last().id, {1006, error(Code::kUnauthenticated, "401"), 401});
    run();
  }

  EXPECT_EQ(refreshes_, 1);
  EXPECT_EQ(client_->connection_state(), ConnectionState::kWaiting);
}

TEST_F(SessionTest, CloseCode4001RefreshesAndReconnects) {
  go_online();

  drop(4001);

  EXPECT_EQ(refreshes_, 1);
  EXPECT_EQ(transport_.attempts(), 2u);
  EXPECT_EQ(client_->connection_state(), ConnectionState::kOnline);
}

TEST_F(SessionTest, A401OfDiscoveryRefreshesAndTriesAgain) {
  have_session();
  make_client();
  const auto base = http_.respond;
  int connects = 0;
  http_.respond = [&, base](const HttpRequest& request) -> std::optional<Result<HttpResponse>> {
    if (request.url.ends_with("/v1/connect") && ++connects == 1) return problem_response(401, Code::kUnauthenticated);
    return base(request);
  };

  client_->start();
  run();

  EXPECT_EQ(refreshes_, 1);
  EXPECT_EQ(client_->connection_state(), ConnectionState::kOnline);
}

TEST_F(SessionTest, RenewsInBandBeforeTheTokenExpires) {
  token_lifetime_ = 15min;
  go_online();

  advance(13min);
  EXPECT_TRUE(authentications().empty());
  advance(70s);

  ASSERT_EQ(authentications().size(), 1u);
  EXPECT_EQ(authentications()[0].access_token(), "access-1");
  EXPECT_EQ(transport_.attempts(), 1u);
}

TEST_F(SessionTest, TheServersAnswerSetsTheNextRenewal) {
  token_lifetime_ = 15min;
  go_online();
  advance(14min + 1s);
  wire::ServerFrame frame;
  frame.mutable_authenticated()->set_token_expires_at_ms(to_unix_ms(clock_.wall_now() + 15min));
  frame.mutable_authenticated()->set_server_time_ms(to_unix_ms(clock_.wall_now()));
  deliver_and_run(frame);

  advance(13min);
  EXPECT_EQ(authentications().size(), 1u);
  advance(70s);

  EXPECT_EQ(authentications().size(), 2u);
}

// The welcome's time says nothing any more.
TEST_F(SessionTest, RenewalDoesNotDependOnAServersClockThatWasSetWhileConnected) {
  for (const auto by : {-2h, 2h}) {
    SCOPED_TRACE(by.count());
    token_lifetime_ = 15min;
    go_online();
    advance(14min + 1s);
    const std::size_t before = authentications().size();
    wire::ServerFrame frame;
    frame.mutable_authenticated()->set_token_expires_at_ms(to_unix_ms(clock_.wall_now() + by + 15min));
    frame.mutable_authenticated()->set_server_time_ms(to_unix_ms(clock_.wall_now() + by));
    deliver_and_run(frame);

    advance(13min);
    EXPECT_EQ(authentications().size(), before);
    advance(70s);

    EXPECT_EQ(authentications().size(), before + 1);
    client_->stop();
    run();
  }
}

TEST_F(SessionTest, RenewalDoesNotDependOnTheDevicesWallClock) {
  token_lifetime_ = 15min;
  go_online();
  clock_.jump_wall(-std::chrono::hours(5));

  advance(14min + 1s);

  EXPECT_EQ(authentications().size(), 1u);
}

TEST_F(SessionTest, ARenewalThatFailsIsTriedAgainOnTheSameConnection) {
  refresh_by_hand();
  token_lifetime_ = 15min;
  go_online();
  advance(14min + 1s);
  answer_last(kRefresh, error(Code::kNetwork, "lost"));

  advance(6s);

  EXPECT_EQ(count(kRefresh), 2u);
  answer_last(kRefresh, protobuf_response(session_answer(9)));
  EXPECT_EQ(authentications().size(), 1u);
  EXPECT_EQ(transport_.attempts(), 1u);
}

TEST_F(SessionTest, ADeviceWhoseClockRunsAheadStillConnects) {
  have_session();
  make_client();
  clock_.jump_wall(std::chrono::hours(24 * 365));
  run();
  // The world answers with times of the device's clock; the server's own lie a year behind it.
  const auto base = http_.respond;
  http_.respond = [this, base](const HttpRequest& request) -> std::optional<Result<HttpResponse>> {
    if (!request.url.ends_with("/v1/sessions/refresh")) return base(request);
    wire::Session session = session_answer(++refreshes_);
    session.set_access_expires_at_ms(1'700'000'900'000);
    return protobuf_response(session);
  };

  client_->start();
  run();

  EXPECT_EQ(refreshes_, 1);
  EXPECT_EQ(client_->connection_state(), ConnectionState::kOnline);
}

TEST_F(SessionTest, RolledBackEndsTheSessionAndMakesTheNextLogInANewDevice) {
  for (const bool by_frame : {true, false}) {
    have_session();
    make_client();
    go_online();
    const Bytes installation = store_->installation_id();
    sink_.ended.clear();

    if (by_frame) {
      deliver_and_run(failure_frame(Code::kRolledBack));
    } else {
      drop(4003);
    }

    ASSERT_EQ(sink_.ended.size(), 1u);
    EXPECT_EQ(sink_.ended[0].code, Code::kRolledBack);
    EXPECT_NE(store_->installation_id(), installation);
    EXPECT_FALSE((*store_->session()).has_value());
    EXPECT_EQ(client_->connection_state(), ConnectionState::kNotLoggedIn);
    client_.reset();
  }
}

TEST_F(SessionTest, QueuedMessagesSurviveTheMoveToANewDevice) {
  go_online();
  queue("x");
  run();
  deliver_and_run(failure_frame(Code::kRolledBack));
  client_->login(1, "alice", "password!");
  run();
  const auto again = body_of<wire::LoginRequest>(http_.requests("POST /v1/sessions").back());
  EXPECT_NE(again.former_device_id(), 0u);
  EXPECT_EQ(again.former_device_id(), session_answer(1).device_id());
  answer_last("POST /v1/sessions", protobuf_response(session_answer(2)));

  EXPECT_EQ(texts(sends()), (std::vector<std::string>{"x"}));
}

TEST_F(SessionTest, LogOutTellsTheServerAndForgetsTheTokens) {
  go_online();
  client_->logout(1);
  run();
  EXPECT_EQ(client_->connection_state(), ConnectionState::kNotLoggedIn);
  EXPECT_EQ(transport_.last().close_code, 1000);

  HttpResponse done;
  done.status = 204;
  answer_last("DELETE /v1/sessions/current", done);

  EXPECT_EQ(sink_.code_of(1), Code::kOk);
  EXPECT_FALSE((*store_->session()).has_value());
  EXPECT_TRUE(sink_.ended.empty()) << "the app knows that it logged out";
  EXPECT_EQ(transport_.attempts(), 1u);
}

TEST_F(SessionTest, ALogOutThatDoesNotReachTheServerIsReportedAndChangesNothing) {
  go_online();
  client_->logout(1);
  run();

  answer_last("DELETE /v1/sessions/current", error(Code::kNetwork, "no route"));

  EXPECT_EQ(sink_.code_of(1), Code::kNetwork);
  EXPECT_TRUE((*store_->session()).has_value());
  EXPECT_EQ(client_->connection_state(), ConnectionState::kOnline);
}

TEST_F(SessionTest, ALogOutThatIsRefusedLeavesTheConnectionAlone) {
  go_online();
  client_->login(1, "alice", "password");
  run();

  client_->logout(2);
  run();

  EXPECT_EQ(sink_.code_of(2), Code::kBusy);
  EXPECT_EQ(client_->connection_state(), ConnectionState::kOnline);
  EXPECT_EQ(transport_.attempts(), 1u);
}

TEST_F(SessionTest, ASecondLogOutDoesNotReconnectInsideTheFirst) {
  go_online();
  client_->logout(1);
  run();

  client_->logout(2);
  run();

  EXPECT_EQ(sink_.code_of(2), Code::kBusy);
  EXPECT_EQ(client_->connection_state(), ConnectionState::kNotLoggedIn);
  EXPECT_EQ(transport_.attempts(), 1u);
}

TEST_F(SessionTest, LogOutOfASessionThatTheServerForgotSucceeds) {
  refresh_by_hand();
  go_online();
  client_->logout(1);
  run();
  answer_last("DELETE /v1/sessions/current", problem_response(401, Code::kUnauthenticated));

  answer_last(kRefresh, problem_response(401, Code::kUnauthenticated));

  EXPECT_EQ(sink_.code_of(1), Code::kOk);
  EXPECT_FALSE((*store_->session()).has_value());
  EXPECT_TRUE(sink_.ended.empty());
}

TEST_F(SessionTest, DevicesAreListedThenCompleted) {
  go_online();
  client_->list_devices(4);
  run();
  wire::Devices devices;
  wire::Device& device = *devices.add_devices();
  device.set_device_id(kDevice);
  device.set_name("phone");
  device.set_current(true);

  answer_last("GET /v1/devices", protobuf_response(devices));

  EXPECT_EQ(sink_.code_of(4), Code::kOk);
  ASSERT_EQ(sink_.devices.size(), 1u);
  EXPECT_EQ(sink_.devices[0].name, "phone");
  EXPECT_TRUE(sink_.devices[0].current);
}

TEST_F(SessionTest, ARequestRefusedWith401RefreshesOnceAndIsRepeated) {
  go_online();
  client_->revoke_device(4, DeviceId{77});
  run();
  answer_last("DELETE /v1/devices/77", problem_response(401, Code::kUnauthenticated));
  ASSERT_EQ(count("DELETE /v1/devices/77"), 2u);
  EXPECT_EQ(refreshes_, 1);
  EXPECT_EQ(http_.exchange(http_.requests("DELETE /v1/devices/77")[1]).request.headers.at("authorization"),
            "Bearer access-1");

  answer_last("DELETE /v1/devices/77", problem_response(401, Code::kUnauthenticated));

  EXPECT_EQ(sink_.code_of(4), Code::kUnauthenticated);
  EXPECT_EQ(count("DELETE /v1/devices/77"), 2u);
}

TEST_F(SessionTest, StopCompletesOpenRequestsWithCancelled) {
  go_online();
  client_->list_devices(1);
  client_->revoke_device(2, DeviceId{5});
  client_->login(3, "alice", "password!");

  client_->stop();
  run();

  EXPECT_EQ(sink_.code_of(1), Code::kCancelled);
  EXPECT_EQ(sink_.code_of(2), Code::kCancelled);
  EXPECT_EQ(sink_.code_of(3), Code::kCancelled);
  EXPECT_EQ(client_->connection_state(), ConnectionState::kStopped);
}

}  // namespace
}  // namespace chatsdk::test
