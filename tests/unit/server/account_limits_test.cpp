// SPDX-License-Identifier: Apache-2.0
//
// How often somebody may try to log in or register, and the limiter that counts it.
#include "server-reference/services/rate_limiter.h"

#include <gtest/gtest.h>

#include "unit/server/account_requests.h"
#include "unit/server/rest_world.h"

namespace chatsdk::server {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;
using testing::json_of;
using testing::kOtherInstallation;
using testing::login_request;
using testing::RestWorld;
using testing::RestWorldOptions;
using testing::verdict_of;

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

TEST_F(RateLimited, AnUnknownUserAndAPasswordTooShortLikeOthers) {
  world.registered("alice");
  const struct {
    const char* user;
    const char* wrong;
    const char* address;
  } table[] = {{"nobody", "wrong horse", "198.51.100.1"},
               {"nobody else", "w", "198.51.100.2"},
               {"alice", "7 bytes", "198.51.100.3"}};
  for (const auto& [user, wrong, address] : table) {
    for (int i = 0; i < 3; ++i) EXPECT_EQ(attempt(user, wrong, address), "401 unauthenticated") << wrong;
    EXPECT_EQ(attempt(user, wrong, address), "429 rate_limited") << wrong;
  }
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

}  // namespace
}  // namespace chatsdk::server
