// SPDX-License-Identifier: Apache-2.0
//
// Registration and log-in through the REST interface: what is promised when all is well, when answers are lost, and
// when somebody tries.
#include "server-reference/services/account_service.h"

#include <gtest/gtest.h>

#include "unit/server/account_requests.h"
#include "unit/server/rest_world.h"

namespace chatsdk::server {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;
using testing::assertion_request;
using testing::json_of;
using testing::kOtherInstallation;
using testing::kOtherRequest;
using testing::login_request;
using testing::refresh_request;
using testing::RestWorld;
using testing::RestWorldOptions;
using testing::TokenWorld;
using testing::verdict_of;

// ---- Registration --------------------------------------------------------------------------------------------------

TEST(Registration, AnswersASessionWhoseTokenWorks) {
  RestWorld world;
  const auto response = world.post_json("/v1/accounts", world.register_request("alice"));
  const json session = json_of(response);

  EXPECT_EQ(response.status, 201);
  EXPECT_EQ(session["userId"], "alice");
  EXPECT_TRUE(session["deviceId"].is_string());
  EXPECT_EQ(session["accessExpiresAtMs"], std::to_string(to_unix_ms(world.clock.wall_now() + 15min)));
  EXPECT_EQ(session["refreshExpiresAtMs"], std::to_string(to_unix_ms(world.clock.wall_now() + 24h * 90)));
  EXPECT_EQ(response.headers.at("cache-control"), "no-store");
  EXPECT_EQ(response.headers.at("x-content-type-options"), "nosniff");
  EXPECT_EQ(world.with_token("GET", "/v1/devices", session["accessToken"]).status, 200);
}

TEST(Registration, RepeatedByTheSameInstallationGetsTheSameDevice) {
  RestWorld world;
  const json first = world.registered("alice");
  const auto repeat = world.post_json("/v1/accounts", world.register_request("alice"));

  EXPECT_EQ(repeat.status, 200);
  EXPECT_EQ(json_of(repeat)["deviceId"], first["deviceId"]);
  EXPECT_EQ(verdict_of(world.with_token("GET", "/v1/devices", first["accessToken"])), "401 unauthenticated");
}

TEST(Registration, CompletesWhenTheSessionWasLostAfterTheAccount) {
  RestWorld world;
  CreateAccount op;
  op.account.user_id = "alice";
  op.account.password_hash = hash_password("correct horse", Bytes(16, 's'), PasswordCost::minimum()).value();
  const std::vector<WriteOp> ops{op};
  ASSERT_TRUE(world.store->commit(ops)->answers[0].ok());

  EXPECT_EQ(world.post_json("/v1/accounts", world.register_request("alice")).status, 200);
}

TEST(Registration, OfATakenNameIsRefused) {
  RestWorld world;
  world.registered("alice");
  json other_password = world.register_request("alice");
  other_password["password"] = "another one";
  json other_installation = world.register_request("alice");
  other_installation["installationId"] = kOtherInstallation;

  EXPECT_EQ(verdict_of(world.post_json("/v1/accounts", other_password)), "409 already_exists");
  EXPECT_EQ(verdict_of(world.post_json("/v1/accounts", other_installation)), "409 already_exists");
  EXPECT_EQ(world.reader->devices("alice")->size(), 1U);
}

TEST(Registration, OfATakenEmailOrPhoneIsRefused) {
  RestWorld world;
  json alice = world.register_request("alice");
  alice["email"] = "a@example.org";
  alice["phone"] = "+4912345";
  ASSERT_EQ(world.post_json("/v1/accounts", alice).status, 201);
  json same_email = world.register_request("bob");
  same_email["email"] = "a@example.org";
  json same_phone = world.register_request("carol");
  same_phone["phone"] = "+4912345";

  EXPECT_EQ(verdict_of(world.post_json("/v1/accounts", same_email)), "409 already_exists");
  EXPECT_EQ(verdict_of(world.post_json("/v1/accounts", same_phone)), "409 already_exists");
  EXPECT_FALSE(world.reader->account("bob")->has_value());
}

TEST(Registration, SentTwiceAtOnceMakesOneAccountAndOneDevice) {
  RestWorld world;
  std::vector<int> statuses;
  for (int i = 0; i < 2; ++i) {
    world.send("POST", "/v1/accounts", {{"content-type", "application/json"}}, world.register_request("alice").dump(),
               [&](const HttpResponse& response) { statuses.push_back(response.status); });
  }
  world.run();

  EXPECT_EQ(std::multiset<int>(statuses.begin(), statuses.end()), (std::multiset<int>{200, 201}));
  EXPECT_EQ(world.reader->devices("alice")->size(), 1U);
}

TEST(Registration, StoresAnArgon2idHashAndNoPassword) {
  RestWorld world;
  world.registered("alice");
  const Account account = world.reader->account("alice")->value();
  EXPECT_TRUE(account.password_hash.starts_with("$argon2id$v=19$m=8,t=1,p=1$")) << account.password_hash;
  EXPECT_EQ(account.display_name, "Display");
}

TEST(Registration, FailsWithTheStoresReasonAndTellsNothingOfIt) {
  RestWorld world;
  for (const auto& [code, verdict] :
       std::vector<std::pair<Code, std::string>>{{Code::kStorageFull, "507 storage_full"},
                                                 {Code::kReadOnly, "503 read_only"},
                                                 {Code::kStorage, "500 storage"},
                                                 {Code::kCorrupt, "500 storage"},
                                                 {Code::kInternal, "500 internal"},
                                                 {Code::kUnavailable, "503 unavailable"}}) {
    world.write_failure = error(code, code == Code::kUnavailable ? "busy" : "SELECT secret FROM account");
    const auto response = world.post_json("/v1/accounts", world.register_request("alice"));
    EXPECT_EQ(verdict_of(response), verdict);
    EXPECT_EQ(response.body.find("SELECT"), std::string::npos);
  }
  world.write_failure.reset();
  EXPECT_EQ(world.post_json("/v1/accounts", world.register_request("alice")).status, 201);
}

// ---- Log-in --------------------------------------------------------------------------------------------------------

TEST(LogIn, OnAnotherInstallationMakesAnotherDevice) {
  RestWorld world;
  const json first = world.registered("alice");
  json request = login_request("alice");
  request["installationId"] = kOtherInstallation;
  const auto second = world.post_json("/v1/sessions", request);

  EXPECT_EQ(second.status, 200);
  EXPECT_NE(json_of(second)["deviceId"], first["deviceId"]);
  EXPECT_EQ(world.with_token("GET", "/v1/devices", first["accessToken"]).status, 200);
}

TEST(LogIn, OnTheSameInstallationReplacesItsSession) {
  RestWorld world;
  const json first = world.registered("alice");
  const json second = json_of(world.post_json("/v1/sessions", login_request("alice")));

  EXPECT_EQ(second["deviceId"], first["deviceId"]);
  EXPECT_EQ(verdict_of(world.with_token("GET", "/v1/devices", first["accessToken"])), "401 unauthenticated");
  EXPECT_EQ(verdict_of(world.post_json("/v1/sessions/refresh", refresh_request(first))), "401 unauthenticated");
  EXPECT_EQ(world.with_token("GET", "/v1/devices", second["accessToken"]).status, 200);
}

TEST(LogIn, RenamesItsDeviceWhenItNamesIt) {
  RestWorld world;
  world.registered("alice");
  world.post_json("/v1/sessions", login_request("alice"));
  EXPECT_EQ(world.reader->devices("alice")->at(0).name, "phone");
  json request = login_request("alice");
  request["deviceName"] = "old phone";
  world.post_json("/v1/sessions", request);
  EXPECT_EQ(world.reader->devices("alice")->at(0).name, "old phone");
}

TEST(LogIn, AnswersUnknownUserAndWrongPasswordAlike) {
  RestWorld world;
  world.registered("alice");
  const auto wrong = world.post_json("/v1/sessions", login_request("alice", "wrong horse"));
  EXPECT_EQ(verdict_of(wrong), "401 unauthenticated");

  // Also with a password too short for any account: the rule of registration is not told apart from a wrong guess.
  for (const char* password : {"wrong horse", "w", "7 bytes"}) {
    for (const char* user : {"alice", "nobody"}) {
      const auto other = world.post_json("/v1/sessions", login_request(user, password));
      EXPECT_EQ(other.body, wrong.body) << user << " " << password;
      EXPECT_EQ(other.headers, wrong.headers) << user << " " << password;
    }
  }
}

TEST(LogIn, HashesForAnUnknownUserAndAPasswordTooShortToo) {
  RestWorld world;
  world.registered("alice");
  for (const char* user : {"alice", "nobody"}) {
    for (const char* password : {"wrong horse", "w"}) {
      world.send("POST", "/v1/sessions", {{"content-type", "application/json"}}, login_request(user, password).dump(),
                 [](const HttpResponse&) {});
      world.executor.run_ready();
      EXPECT_TRUE(world.worker.run_one()) << user << " " << password;
      world.run();
    }
  }
}

TEST(LogIn, RunsNoHashOnTheServicesOwnExecutor) {
  RestWorld world;
  bool answered = false;
  world.send("POST", "/v1/accounts", {{"content-type", "application/json"}}, world.register_request("alice").dump(),
             [&](const HttpResponse&) { answered = true; });
  world.executor.run_ready();
  EXPECT_FALSE(answered);
  EXPECT_EQ(world.writes, 0);
  world.run();
  EXPECT_TRUE(answered);
}

TEST(LogIn, OverTheHashesInFlightIsUnavailable) {
  RestWorldOptions options;
  options.accounts.hashes_in_flight_max = 2;
  RestWorld world(options);
  std::vector<HttpResponse> responses;
  for (int i = 0; i < 3; ++i) {
    world.send("POST", "/v1/sessions", {{"content-type", "application/json"}},
               login_request("user" + std::to_string(i)).dump(),
               [&](HttpResponse response) { responses.push_back(std::move(response)); });
  }
  world.executor.run_ready();

  ASSERT_EQ(responses.size(), 1U);
  EXPECT_EQ(verdict_of(responses[0]), "503 unavailable");
  EXPECT_EQ(responses[0].headers.at("retry-after"), "2");
  EXPECT_EQ(json_of(responses[0])["retryAfterMs"], 2'000);
  world.run();
  EXPECT_EQ(responses.size(), 3U);
  EXPECT_EQ(verdict_of(world.post_json("/v1/sessions", login_request("user9"))), "401 unauthenticated");
}

TEST(LogIn, RaisesAnOldHashToTodaysCost) {
  RestWorld world;
  CreateAccount op;
  op.account.user_id = "alice";
  op.account.password_hash = hash_password("correct horse", Bytes(16, 's'), PasswordCost{2, 16'384}).value();
  const std::vector<WriteOp> ops{op};
  ASSERT_TRUE(world.store->commit(ops)->answers[0].ok());

  EXPECT_EQ(world.post_json("/v1/sessions", login_request("alice")).status, 200);
  EXPECT_TRUE(world.reader->account("alice")->value().password_hash.starts_with("$argon2id$v=19$m=8,t=1,p=1$"));
  EXPECT_EQ(world.post_json("/v1/sessions", login_request("alice")).status, 200);
}

// 21 base64 characters and "A==" are 16 bytes; two of the characters count.
std::string installation(std::size_t i) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  return std::string(19, 'A') + kDigits[i / 16] + kDigits[i % 16] + "A==";
}

TEST(LogIn, RefusesOneDeviceTooManyWithAnOpenSession) {
  RestWorld world;
  world.registered("alice");
  for (std::size_t i = 1; i <= limits::kDevicesPerUserMax; ++i) {
    json request = login_request("alice");
    request["installationId"] = installation(i);
    const auto response = world.post_json("/v1/sessions", request);
    EXPECT_EQ(verdict_of(response), i < limits::kDevicesPerUserMax ? "200" : "409 limit_reached") << i;
  }
}

TEST(LogIn, IsPossibleForEverForWhoLogsOutAndInstallsAnew) {
  RestWorld world;
  world.registered("alice");
  for (std::size_t i = 1; i <= 3 * limits::kDevicesPerUserMax; ++i) {
    json request = login_request("alice");
    request["installationId"] = installation(i);
    const auto response = world.post_json("/v1/sessions", request);
    ASSERT_EQ(verdict_of(response), "200") << i;
    ASSERT_EQ(world.with_token("DELETE", "/v1/sessions/current", json_of(response)["accessToken"]).status, 204);
    world.clock.advance(1s);
  }
  EXPECT_EQ(world.reader->devices("alice")->size(), limits::kDevicesPerUserMax);
  EXPECT_EQ(world.post_json("/v1/sessions", login_request("alice")).status, 200) << "the device that never logged out";
}

TEST(LogIn, OnTheSameInstallationClosesTheConnectionOfTheSessionThatItEnds) {
  RestWorld world;
  const json first = world.registered("alice");
  ASSERT_TRUE(world.bus.kicks.empty());
  const json second = json_of(world.post_json("/v1/sessions", login_request("alice")));

  ASSERT_EQ(world.bus.kicks.size(), 1U);
  const Identity fresh =
      world.access->verify_access_token(second["accessToken"].get<std::string>(), world.clock.wall_now()).value();
  EXPECT_EQ(world.bus.kicks[0].device_id, fresh.device_id);
  EXPECT_EQ(world.bus.kicks[0].except_session, fresh.session_id);
  EXPECT_EQ(world.bus.kicks[0].reason, Code::kUnauthenticated);
}

// ---- Assertions ----------------------------------------------------------------------------------------------------

TEST(AssertionLogIn, MakesTheAccountOnFirstSight) {
  RestWorld world;
  for (const auto& forge : TokenWorld::instance().app_forges) {
    const auto response = world.post_json("/v1/sessions", assertion_request(forge.with_claim("sub", forge.name)));
    ASSERT_EQ(verdict_of(response), "200");
    EXPECT_EQ(json_of(response)["userId"], forge.name);
    EXPECT_TRUE(world.reader->account(forge.name)->has_value());
  }
}

TEST(AssertionLogIn, NeverJoinsAnAccountThatSomebodyRegistered) {
  RestWorld world;
  world.registered("customer-4711");
  const auto& forge = TokenWorld::instance().app_forges[2];

  const auto refused = world.post_json("/v1/sessions", assertion_request(forge.with_claim("sub", "customer-4711")));

  EXPECT_EQ(verdict_of(refused), "409 conflict");
  EXPECT_EQ(world.reader->devices("customer-4711")->size(), 1U);
}

TEST(AssertionLogIn, LeavesNoNameToRegister) {
  RestWorld world;
  const auto& forge = TokenWorld::instance().app_forges[2];
  ASSERT_EQ(world.post_json("/v1/sessions", assertion_request(forge.with_claim("sub", "customer-4711"))).status, 200);
  json request = world.register_request("customer-4711");

  EXPECT_EQ(verdict_of(world.post_json("/v1/accounts", request)), "409 already_exists");
  request["installationId"] = kOtherInstallation;
  EXPECT_EQ(verdict_of(world.post_json("/v1/accounts", request)), "409 already_exists");
  EXPECT_TRUE(world.reader->account("customer-4711")->value().password_hash.empty());
  EXPECT_EQ(world.post_json("/v1/sessions", assertion_request(forge.with_claim("sub", "customer-4711"))).status, 200);
}

TEST(AssertionLogIn, IsTheOnlyWayInUnlessPasswordsAreAllowed) {
  RestWorldOptions options;
  options.accounts.passwords_beside_app_keys = false;
  RestWorld world(options);
  const auto& forge = TokenWorld::instance().app_forges[2];

  const auto refused = world.post_json("/v1/accounts", world.register_request("customer-4711"));
  EXPECT_EQ(verdict_of(refused), "403 forbidden");
  EXPECT_EQ(json_of(refused)["detail"], "passwords are off on this server: log in with a token of the app's backend");
  EXPECT_EQ(verdict_of(world.post_json("/v1/sessions", login_request("customer-4711"))), "403 forbidden");
  EXPECT_FALSE(world.reader->account("customer-4711")->has_value());
  EXPECT_EQ(world.post_json("/v1/sessions", assertion_request(forge.with_claim("sub", "customer-4711"))).status, 200);
}

TEST(AssertionLogIn, LeavesPasswordsOnWhereNoAppKeysAre) {
  RestWorldOptions options;
  options.accounts.passwords_beside_app_keys = false;
  options.with_app_keys = false;
  RestWorld world(options);

  world.registered("alice");
  EXPECT_EQ(world.post_json("/v1/sessions", login_request("alice")).status, 200);
}

TEST(AssertionLogIn, RepeatedGetsTheSameDevice) {
  RestWorld world;
  const std::string token = TokenWorld::instance().app_forges[2].honest();
  const json first = json_of(world.post_json("/v1/sessions", assertion_request(token)));
  const json second = json_of(world.post_json("/v1/sessions", assertion_request(token)));
  EXPECT_EQ(first["deviceId"], second["deviceId"]);
}

TEST(AssertionLogIn, GivesNoWayInByPassword) {
  RestWorld world;
  ASSERT_EQ(world.post_json("/v1/sessions", assertion_request(TokenWorld::instance().app_forges[2].honest())).status,
            200);
  EXPECT_EQ(verdict_of(world.post_json("/v1/sessions", login_request("alice", "any password"))), "401 unauthenticated");
  EXPECT_EQ(verdict_of(world.post_json("/v1/accounts", world.register_request("alice"))), "409 already_exists");
}

TEST(AssertionLogIn, IsRefusedWhenForgedOrSwitchedOff) {
  RestWorld world;
  const auto& forge = TokenWorld::instance().app_forges[2];
  EXPECT_EQ(verdict_of(world.post_json("/v1/sessions", assertion_request(forge.with_claim("iss", "x")))),
            "401 unauthenticated");
  RestWorldOptions options;
  options.with_app_keys = false;
  RestWorld without(options);
  EXPECT_EQ(verdict_of(without.post_json("/v1/sessions", assertion_request(forge.honest()))), "401 unauthenticated");
}

TEST(AssertionLogIn, ExcludesAPassword) {
  RestWorld world;
  json request = assertion_request(TokenWorld::instance().app_forges[2].honest());
  request["password"] = "correct horse";
  EXPECT_EQ(verdict_of(world.post_json("/v1/sessions", request)), "400 invalid_argument");
}

// ---- What nobody may see -------------------------------------------------------------------------------------------

TEST(AccountLog, HoldsNoPasswordAndNoToken) {
  RestWorld world;
  const json session = world.registered("alice");
  world.post_json("/v1/sessions", login_request("alice", "canary password"));
  const json next = json_of(world.post_json("/v1/sessions/refresh", refresh_request(session)));
  world.post_json("/v1/sessions/refresh", refresh_request(session, kOtherRequest));
  world.with_token("GET", "/v1/devices", session["accessToken"]);
  world.post_json("/v1/sessions",
                  assertion_request(TokenWorld::instance().app_forges[2].with_claim("iss", "canary iss")));
  world.call("GET", "/canary/path?token=canary");
  world.call("POST", "/v1/accounts", {{"content-type", "application/json"}}, "{\"canary body");

  ASSERT_FALSE(world.log.lines.empty());
  for (const std::string& line : world.log.lines) {
    for (const std::string& secret :
         {std::string("canary"), std::string("correct horse"), session["accessToken"].get<std::string>(),
          session["refreshToken"].get<std::string>(), next["refreshToken"].get<std::string>()}) {
      EXPECT_EQ(line.find(secret), std::string::npos) << line;
    }
  }
}

}  // namespace
}  // namespace chatsdk::server
