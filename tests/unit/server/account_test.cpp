// SPDX-License-Identifier: Apache-2.0
//
// Accounts, sessions and devices through the REST interface: what is promised when all is well, when answers are lost,
// and when somebody tries.
#include "server-reference/services/account_service.h"

#include <gtest/gtest.h>

#include <set>

#include "unit/server/rest_world.h"

namespace chatsdk::server {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;
using testing::json_of;
using testing::RestWorld;
using testing::RestWorldOptions;
using testing::TokenWorld;
using testing::verdict_of;

json login_request(const std::string& user_id, const std::string& password = "correct horse") {
  return {{"userId", user_id}, {"password", password}, {"installationId", "AAAAAAAAAAAAAAAAAAAAAA=="}};
}
json refresh_request(const json& session, const std::string& request_id = "AQEBAQEBAQEBAQEBAQEBAQ==") {
  return {{"refreshToken", session["refreshToken"]}, {"requestId", request_id}};
}
constexpr const char* kOtherRequest = "AgICAgICAgICAgICAgICAg==";
constexpr const char* kOtherInstallation = "AgICAgICAgICAgICAgICAg==";

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
  const auto unknown = world.post_json("/v1/sessions", login_request("nobody", "wrong horse"));

  EXPECT_EQ(verdict_of(wrong), "401 unauthenticated");
  EXPECT_EQ(wrong.body, unknown.body);
  EXPECT_EQ(wrong.headers, unknown.headers);
}

TEST(LogIn, HashesForAnUnknownUserToo) {
  RestWorld world;
  world.registered("alice");
  for (const char* user : {"alice", "nobody"}) {
    world.send("POST", "/v1/sessions", {{"content-type", "application/json"}},
               login_request(user, "wrong horse").dump(), [](const HttpResponse&) {});
    world.executor.run_ready();
    EXPECT_TRUE(world.worker.run_one()) << user;
    world.run();
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

// ---- Rate limits ---------------------------------------------------------------------------------------------------

struct RateLimited : ::testing::Test {
  RestWorldOptions options = [] {
    RestWorldOptions made;
    made.accounts.failures_per_guesser = {3, 10s};
    made.accounts.failures_per_user = {6, 20s};
    made.accounts.failures_per_address = {5, 10s};
    made.accounts.registrations_per_address = {4, 60s};
    CHATSDK_ASSERT(made.trusted_proxies.add("203.0.113.0/24").ok());
    return made;
  }();
  RestWorld world{options};

  // Of an installation that nobody knows.
  std::string attempt(const std::string& user, const std::string& password, const std::string& address) {
    json request = login_request(user, password);
    request["installationId"] = kOtherInstallation;
    return verdict_of(world.post_json("/v1/sessions", request, address));
  }
};

TEST_F(RateLimited, AUserAndAddressAtTheLimitOfFailures) {
  world.registered("alice");
  EXPECT_EQ(attempt("alice", "wrong one 1", "198.51.100.1"), "401 unauthenticated");
  EXPECT_EQ(attempt("alice", "wrong one 2", "198.51.100.1"), "401 unauthenticated");
  EXPECT_EQ(attempt("alice", "wrong one 3", "198.51.100.1"), "401 unauthenticated");

  json request = login_request("alice");
  request["installationId"] = kOtherInstallation;
  const auto refused = world.post_json("/v1/sessions", request, "198.51.100.1");
  EXPECT_EQ(verdict_of(refused), "429 rate_limited");
  EXPECT_EQ(refused.headers.at("retry-after"), "10");
  EXPECT_EQ(json_of(refused)["retryAfterMs"], 10'000);
  EXPECT_EQ(attempt("alice", "correct horse", "198.51.100.2"), "200") << "from elsewhere";

  world.clock.advance(10s);
  EXPECT_EQ(attempt("alice", "correct horse", "198.51.100.1"), "200");
}

TEST_F(RateLimited, AUserWhoIsGuessedAtFromManyAddresses) {
  world.registered("alice");
  for (int i = 1; i <= 6; ++i) {
    EXPECT_EQ(attempt("alice", "wrong horse", "198.51.100." + std::to_string(i)), "401 unauthenticated");
  }
  EXPECT_EQ(attempt("alice", "correct horse", "198.51.100.7"), "429 rate_limited");
}

TEST_F(RateLimited, NobodyElsesFailuresLockAKnownInstallationOut) {
  world.registered("alice");
  for (int i = 0; i < 20; ++i) attempt("alice", "wrong horse", "198.51.100." + std::to_string(i % 8));
  for (int i = 0; i < 20; ++i) attempt("user" + std::to_string(i), "wrong horse", "198.51.100.1");
  ASSERT_EQ(attempt("alice", "correct horse", "198.51.100.1"), "429 rate_limited");

  EXPECT_EQ(verdict_of(world.post_json("/v1/sessions", login_request("alice"), "198.51.100.1")), "200");
}

TEST_F(RateLimited, AKnownInstallationGuessesNoMoreThanAnother) {
  world.registered("alice");
  for (int i = 1; i <= 3; ++i) {
    EXPECT_EQ(verdict_of(world.post_json("/v1/sessions", login_request("alice", "wrong horse"),
                                         "198.51.100." + std::to_string(i))),
              "401 unauthenticated");
  }
  EXPECT_EQ(verdict_of(world.post_json("/v1/sessions", login_request("alice"), "198.51.100.9")), "429 rate_limited");
}

TEST_F(RateLimited, RegistrationsOfAnAddress) {
  for (int i = 0; i < 4; ++i) world.registered("user" + std::to_string(i));

  const auto refused = world.post_json("/v1/accounts", world.register_request("user4"));
  EXPECT_EQ(verdict_of(refused), "429 rate_limited");
  EXPECT_EQ(json_of(refused)["detail"], "too many registrations from this address");
  EXPECT_EQ(refused.headers.at("retry-after"), "60");
  EXPECT_EQ(verdict_of(world.post_json("/v1/accounts", world.register_request("user3"))), "200") << "a repeat";
  EXPECT_EQ(verdict_of(world.post_json("/v1/accounts", world.register_request("user4"), "198.51.100.1")), "201");

  world.clock.advance(60s);
  EXPECT_EQ(verdict_of(world.post_json("/v1/accounts", world.register_request("user5"))), "201");
}

TEST_F(RateLimited, ARegistrationThatTheStoreCouldNotTakeCostsNothing) {
  world.write_failure = error(Code::kStorageFull, "full");
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(verdict_of(world.post_json("/v1/accounts", world.register_request("alice"))), "507 storage_full");
  }
  world.write_failure.reset();
  EXPECT_EQ(verdict_of(world.post_json("/v1/accounts", world.register_request("alice"))), "201");
}

TEST_F(RateLimited, ClientsBehindATrustedProxyEachByTheirOwnAddress) {
  const auto forwarded = [&](const std::string& chain, const std::string& peer) {
    return verdict_of(world.call("POST", "/v1/sessions",
                                 {{"content-type", "application/json"}, {"x-forwarded-for", chain}},
                                 login_request("nobody", "wrong horse").dump(), peer));
  };
  for (int i = 0; i < 3; ++i) EXPECT_EQ(forwarded("198.51.100.1", "203.0.113.9"), "401 unauthenticated");
  EXPECT_EQ(forwarded("198.51.100.1", "203.0.113.9"), "429 rate_limited");
  EXPECT_EQ(forwarded("10.9.9.9, 198.51.100.1", "203.0.113.9"), "429 rate_limited") << "what a client says of itself";
  EXPECT_EQ(forwarded("198.51.100.2", "203.0.113.9"), "401 unauthenticated");
  // Who is no proxy of ours is not believed.
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(forwarded("10.0.0." + std::to_string(i), "198.51.100.3"), "401 unauthenticated");
  }
}

TEST_F(RateLimited, AnUnknownUserLikeAKnownOne) {
  for (int i = 0; i < 3; ++i) EXPECT_EQ(attempt("nobody", "wrong horse", "198.51.100.1"), "401 unauthenticated");
  EXPECT_EQ(attempt("nobody", "wrong horse", "198.51.100.1"), "429 rate_limited");
}

TEST_F(RateLimited, AnAddressAtTheLimitOfFailures) {
  world.registered("zoe");
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(attempt("user" + std::to_string(i), "wrong horse", "198.51.100.1"), "401 unauthenticated");
  }
  EXPECT_EQ(attempt("zoe", "correct horse", "198.51.100.1"), "429 rate_limited");
  EXPECT_EQ(attempt("zoe", "correct horse", "198.51.100.2"), "200");
}

TEST_F(RateLimited, GuessesByRegistration) {
  world.registered("alice");
  json request = world.register_request("alice");
  request["password"] = "wrong horse";
  for (int i = 0; i < 3; ++i) EXPECT_EQ(verdict_of(world.post_json("/v1/accounts", request)), "409 already_exists");
  EXPECT_EQ(verdict_of(world.post_json("/v1/accounts", request)), "429 rate_limited");
}

TEST_F(RateLimited, ManyGoodLogInsAreNot) {
  world.registered("alice");
  for (int i = 0; i < 20; ++i) EXPECT_EQ(attempt("alice", "correct horse", "198.51.100.1"), "200");
}

TEST(RateLimiterTest, StaysWithinItsEntries) {
  RateLimiter limiter({2, 1s}, 10);
  const MonotonicTime now{std::chrono::seconds(1)};
  for (int i = 0; i < 1'000; ++i) {
    EXPECT_EQ(limiter.take("key " + std::to_string(i), now).count(), 0);
    EXPECT_LE(limiter.size(), 10U);
  }
}

TEST(RateLimiterTest, SpendsSeveralAtOnceOrNone) {
  RateLimiter limiter({5, 10s}, 10);
  MonotonicTime now{};
  EXPECT_EQ(limiter.take("ann", now, 3).count(), 0);
  EXPECT_EQ(limiter.take("ann", now, 3), 10s) << "one is missing";
  EXPECT_EQ(limiter.take("ann", now, 2).count(), 0) << "the refused three were not spent";
  limiter.give_back("ann", now, 4);
  EXPECT_EQ(limiter.take("ann", now, 4).count(), 0);
  EXPECT_EQ(limiter.take("ann", now), 10s);
}

TEST(RateLimiterTest, RegainsOneEachRefill) {
  RateLimiter limiter({2, 10s}, 10);
  MonotonicTime now{std::chrono::seconds(1)};
  EXPECT_EQ(limiter.take("k", now), 0s);
  EXPECT_EQ(limiter.take("k", now), 0s);
  EXPECT_EQ(limiter.take("k", now), 10s);
  now += 4s;
  EXPECT_EQ(limiter.take("k", now), 6s);
  now += 6s;
  EXPECT_EQ(limiter.take("k", now), 0s);
  EXPECT_EQ(limiter.take("k", now), 10s);
  limiter.give_back("k", now);
  EXPECT_EQ(limiter.take("k", now), 0s);
  now += 20s;
  EXPECT_EQ(limiter.take("other", now), 0s);
  EXPECT_EQ(limiter.size(), 1U);
}

TEST(RateKey, TakesAnIpv6AddressByItsNetwork) {
  EXPECT_EQ(rate_key_of_address("2001:db8:1:2::1"), rate_key_of_address("2001:db8:1:2:ffff::7"));
  EXPECT_NE(rate_key_of_address("2001:db8:1:2::1"), rate_key_of_address("2001:db8:1:3::1"));
  EXPECT_EQ(rate_key_of_address("::ffff:192.0.2.1"), "192.0.2.1");
  EXPECT_EQ(rate_key_of_address("192.0.2.1"), "192.0.2.1");
}

// ---- Assertions ----------------------------------------------------------------------------------------------------

json assertion_request(const std::string& token) {
  return {{"assertion", token}, {"installationId", "AAAAAAAAAAAAAAAAAAAAAA=="}, {"deviceName", "tablet"}};
}

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

// ---- Refresh -------------------------------------------------------------------------------------------------------

TEST(Refresh, RotatesAndTheSuccessorRotatesAgain) {
  RestWorld world;
  const json first = world.registered("alice");
  const auto second = world.post_json("/v1/sessions/refresh", refresh_request(first));
  ASSERT_EQ(verdict_of(second), "200");
  const auto third = world.post_json("/v1/sessions/refresh", refresh_request(json_of(second), kOtherRequest));
  ASSERT_EQ(verdict_of(third), "200");

  EXPECT_NE(json_of(second)["refreshToken"], first["refreshToken"]);
  EXPECT_EQ(json_of(third)["deviceId"], first["deviceId"]);
  EXPECT_EQ(world.with_token("GET", "/v1/devices", json_of(third)["accessToken"]).status, 200);
  EXPECT_EQ(world.with_token("GET", "/v1/devices", first["accessToken"]).status, 200);
  EXPECT_TRUE(world.bus.kicks.empty());
}

TEST(Refresh, RepeatedWithTheSameRequestIdGivesTheSameSuccessor) {
  RestWorld world;
  const json first = world.registered("alice");
  const json second = json_of(world.post_json("/v1/sessions/refresh", refresh_request(first)));
  const auto again = world.post_json("/v1/sessions/refresh", refresh_request(first));

  EXPECT_EQ(again.status, 200);
  EXPECT_EQ(json_of(again)["refreshToken"], second["refreshToken"]);
  EXPECT_EQ(verdict_of(world.post_json("/v1/sessions/refresh", refresh_request(second, kOtherRequest))), "200");
}

TEST(Refresh, WithAnOldTokenEndsTheFamily) {
  RestWorld world;
  const json first = world.registered("alice");
  const json second = json_of(world.post_json("/v1/sessions/refresh", refresh_request(first)));
  const auto reuse = world.post_json("/v1/sessions/refresh", refresh_request(first, kOtherRequest));

  EXPECT_EQ(verdict_of(reuse), "401 unauthenticated");
  ASSERT_EQ(world.bus.kicks.size(), 1U);
  EXPECT_EQ(world.bus.kicks[0].user_id, "alice");
  EXPECT_EQ(std::to_string(world.bus.kicks[0].device_id.value), first["deviceId"]);
  EXPECT_EQ(verdict_of(world.post_json("/v1/sessions/refresh", refresh_request(second, kOtherRequest))),
            "401 unauthenticated");
  EXPECT_EQ(verdict_of(world.with_token("GET", "/v1/devices", second["accessToken"])), "401 unauthenticated");
}

TEST(Refresh, WithAForgedTokenChangesNothing) {
  RestWorld world;
  const json first = world.registered("alice");
  Bytes token = from_base64url(first["refreshToken"].get<std::string>()).value();
  token[19] = static_cast<char>(token[19] ^ 2);
  json request = refresh_request(first);
  request["refreshToken"] = to_base64url(token);
  const int writes = world.writes;

  EXPECT_EQ(verdict_of(world.post_json("/v1/sessions/refresh", request)), "401 unauthenticated");
  EXPECT_EQ(world.writes, writes);
  EXPECT_TRUE(world.bus.kicks.empty());
  EXPECT_EQ(verdict_of(world.post_json("/v1/sessions/refresh", refresh_request(first))), "200");
}

TEST(Refresh, EndsWithTheSessionsAge) {
  RestWorld world;
  const json first = world.registered("alice");
  world.clock.advance(24h * 90 - 1s);
  const json second = json_of(world.post_json("/v1/sessions/refresh", refresh_request(first)));
  world.clock.advance(24h * 90 - 1s);
  EXPECT_EQ(verdict_of(world.post_json("/v1/sessions/refresh", refresh_request(second, kOtherRequest))), "200");
  world.clock.advance(24h * 90);
  EXPECT_EQ(verdict_of(world.post_json("/v1/sessions/refresh", refresh_request(second, kOtherRequest))),
            "401 unauthenticated");
}

TEST(Refresh, LostWithTheCommitterLeavesTheTokenGood) {
  RestWorld world;
  const json first = world.registered("alice");
  world.write_failure = error(Code::kUnavailable, "queue full");
  EXPECT_EQ(verdict_of(world.post_json("/v1/sessions/refresh", refresh_request(first))), "503 unavailable");
  world.write_failure.reset();
  EXPECT_EQ(verdict_of(world.post_json("/v1/sessions/refresh", refresh_request(first))), "200");
}

// ---- Log-out and devices -------------------------------------------------------------------------------------------

TEST(LogOut, EndsTheSessionAtOnce) {
  RestWorld world;
  const json session = world.registered("alice");
  const auto response = world.with_token("DELETE", "/v1/sessions/current", session["accessToken"]);

  EXPECT_EQ(response.status, 204);
  EXPECT_TRUE(response.body.empty());
  EXPECT_EQ(verdict_of(world.with_token("GET", "/v1/devices", session["accessToken"])), "401 unauthenticated");
  EXPECT_EQ(verdict_of(world.with_token("DELETE", "/v1/sessions/current", session["accessToken"])),
            "401 unauthenticated");
  EXPECT_EQ(verdict_of(world.post_json("/v1/sessions/refresh", refresh_request(session))), "401 unauthenticated");
  ASSERT_EQ(world.bus.kicks.size(), 1U);
  EXPECT_EQ(world.bus.kicks[0].reason, Code::kUnauthenticated);
}

TEST(LogOut, IsSeenByTheGatewaysCheck) {
  RestWorld world;
  const json session = world.registered("alice");
  const auto identity =
      world.access->verify_access_token(session["accessToken"].get<std::string>(), world.clock.wall_now());
  ASSERT_TRUE(identity.ok());
  EXPECT_TRUE(check_session_open(*world.reader, *identity, world.clock.wall_now()).ok());
  EXPECT_FALSE(check_session_open(*world.reader, *identity, world.clock.wall_now() + 24h * 90).ok());
  Identity other_session = *identity;
  other_session.session_id.value++;
  EXPECT_FALSE(check_session_open(*world.reader, other_session, world.clock.wall_now()).ok());
  Identity other_user = *identity;
  other_user.user_id = "bob";
  EXPECT_FALSE(check_session_open(*world.reader, other_user, world.clock.wall_now()).ok());

  world.with_token("DELETE", "/v1/sessions/current", session["accessToken"]);
  EXPECT_EQ(check_session_open(*world.reader, *identity, world.clock.wall_now()).code(), Code::kUnauthenticated);
}

TEST(LogOut, KeepsTheDeviceForTheNextLogIn) {
  RestWorld world;
  const json session = world.registered("alice");
  world.with_token("DELETE", "/v1/sessions/current", session["accessToken"]);
  EXPECT_EQ(json_of(world.post_json("/v1/sessions", login_request("alice")))["deviceId"], session["deviceId"]);
}

struct TwoDevices : ::testing::Test {
  RestWorld world;
  json phone = world.registered("alice");
  json tablet = [this] {
    json request = login_request("alice");
    request["installationId"] = kOtherInstallation;
    request["deviceName"] = "tablet";
    return json_of(world.post_json("/v1/sessions", request));
  }();

  HttpResponse remove(const json& by, const std::string& device) {
    return world.with_token("DELETE", "/v1/devices/" + device, by["accessToken"]);
  }
};

TEST_F(TwoDevices, AreListedWithTheCallersOwnMarked) {
  const json devices = json_of(world.with_token("GET", "/v1/devices", tablet["accessToken"]))["devices"];
  ASSERT_EQ(devices.size(), 2U);
  for (const json& device : devices) {
    const bool own = device["deviceId"] == tablet["deviceId"];
    EXPECT_EQ(device["current"], own);
    EXPECT_EQ(device["name"], own ? "tablet" : "phone");
    EXPECT_EQ(device["createdAtMs"], std::to_string(to_unix_ms(world.clock.wall_now())));
  }
}

TEST_F(TwoDevices, OneRemovesTheOther) {
  EXPECT_EQ(remove(tablet, phone["deviceId"]).status, 204);

  EXPECT_EQ(verdict_of(world.with_token("GET", "/v1/devices", phone["accessToken"])), "401 unauthenticated");
  EXPECT_EQ(verdict_of(world.post_json("/v1/sessions/refresh", refresh_request(phone))), "401 unauthenticated");
  EXPECT_EQ(json_of(world.with_token("GET", "/v1/devices", tablet["accessToken"]))["devices"].size(), 1U);
  ASSERT_EQ(world.bus.kicks.size(), 1U);
  EXPECT_EQ(std::to_string(world.bus.kicks[0].device_id.value), phone["deviceId"]);
  EXPECT_EQ(verdict_of(remove(tablet, phone["deviceId"])), "404 not_found");
}

TEST_F(TwoDevices, OneRemovesItself) {
  EXPECT_EQ(remove(tablet, tablet["deviceId"]).status, 204);
  EXPECT_EQ(verdict_of(remove(tablet, tablet["deviceId"])), "401 unauthenticated");
}

TEST_F(TwoDevices, OfAnotherUserCannotBeRemoved) {
  const json bob = world.registered("bob");
  EXPECT_EQ(verdict_of(remove(bob, phone["deviceId"])), "404 not_found");
  EXPECT_TRUE(world.bus.kicks.empty());
  EXPECT_EQ(world.with_token("GET", "/v1/devices", phone["accessToken"]).status, 200);
}

TEST_F(TwoDevices, RemovedDevicesAreNewWhenTheyComeBack) {
  remove(tablet, phone["deviceId"]);
  const json again = json_of(world.post_json("/v1/sessions", login_request("alice")));
  EXPECT_NE(again["deviceId"], phone["deviceId"]);
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

// ---- Hashes --------------------------------------------------------------------------------------------------------

TEST(Passwords, HashIsReadByTheLibrary) {
  const std::string hash = hash_password("correct horse", Bytes(16, 's'), PasswordCost::minimum()).value();
  const auto good = verify_password("correct horse", hash, Bytes(16, 't'), PasswordCost::minimum());
  const auto bad = verify_password("correct horsf", hash, Bytes(16, 't'), PasswordCost::minimum());
  EXPECT_TRUE(good->matches);
  EXPECT_TRUE(good->new_hash.empty());
  EXPECT_FALSE(bad->matches);
}

TEST(Passwords, NoStoredHashMatchesNothing) {
  for (const std::string& stored : {std::string(), std::string("$argon2id$"), std::string(200, '$')}) {
    const auto verdict = verify_password("", stored, Bytes(16, 't'), PasswordCost::minimum());
    ASSERT_TRUE(verdict.ok());
    EXPECT_FALSE(verdict->matches);
  }
}

TEST(Passwords, CostHasBounds) {
  EXPECT_TRUE(check_password_cost({}).ok());
  EXPECT_TRUE(check_password_cost(PasswordCost::minimum()).ok());
  EXPECT_EQ(check_password_cost({0, 8'192}).code(), Code::kInvalidArgument);
  EXPECT_EQ(check_password_cost({65, 8'192}).code(), Code::kInvalidArgument);
  EXPECT_EQ(check_password_cost({1, 8'191}).code(), Code::kInvalidArgument);
  EXPECT_EQ(check_password_cost({1, (1UL << 30U) + 1}).code(), Code::kInvalidArgument);
}

}  // namespace
}  // namespace chatsdk::server
