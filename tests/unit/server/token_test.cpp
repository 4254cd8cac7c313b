// SPDX-License-Identifier: Apache-2.0
//
// What honest tokens carry, and where their time ends.
#include "server-reference/services/tokens.h"

#include <gtest/gtest.h>

#include "unit/server/forge.h"

namespace chatsdk::server {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;
using testing::Forge;
using testing::forge_now;
using testing::kForgeNow;
using testing::TokenWorld;

const TokenWorld& world() { return TokenWorld::instance(); }

// ---- Assertions ----------------------------------------------------------------------------------------------------

TEST(Assertion, IsAcceptedInEveryAlgorithm) {
  for (const Forge& forge : world().app_forges) {
    const auto user = world().app.verify_assertion(forge.honest(), forge_now());
    ASSERT_TRUE(user.ok()) << forge.name << ": " << user.error().detail;
    EXPECT_EQ(*user, "alice");
  }
}

TEST(Assertion, MayNameTheAudienceAmongOthers) {
  const Forge& forge = world().app_forges[1];
  EXPECT_TRUE(forge.verify(forge.with_claim("aud", json::array({"other", "chat.example"}))).ok());
}

TEST(Assertion, NeedsNoTypeAndNoIssueTime) {
  for (const Forge& forge : world().app_forges) {
    EXPECT_TRUE(forge.verify(forge.without_header("typ")).ok());
    EXPECT_TRUE(forge.verify(forge.with_header("typ", "jwt")).ok());
    EXPECT_TRUE(forge.verify(forge.without_claim("iat")).ok());
  }
}

TEST(Assertion, MayCarryFurtherClaims) {
  const Forge& forge = world().app_forges[2];
  EXPECT_TRUE(forge.verify(forge.with_claim("roles", {{"admin", json::array({1, 2.5, nullptr})}})).ok());
}

TEST(Assertion, LivesToTheEndOfTheLeeway) {
  const Forge& forge = world().app_forges[2];
  const std::string token = forge.honest();
  const WallTime expires(kForgeNow + 300s);
  EXPECT_TRUE(world().app.verify_assertion(token, expires + 59s).ok());
  EXPECT_FALSE(world().app.verify_assertion(token, expires + 60s).ok());
}

TEST(Assertion, StartsAtTheBeginningOfTheLeeway) {
  const Forge& forge = world().app_forges[2];
  EXPECT_TRUE(forge.verify(forge.with_claim("nbf", kForgeNow.count() + 60)).ok());
  EXPECT_FALSE(forge.verify(forge.with_claim("nbf", kForgeNow.count() + 61)).ok());
}

TEST(Assertion, LivesAsLongAsTheServerAllows) {
  const Forge& forge = world().app_forges[2];
  EXPECT_TRUE(forge.verify(forge.with_claim("exp", kForgeNow.count() + 3'600)).ok());
  EXPECT_FALSE(forge.verify(forge.with_claim("exp", kForgeNow.count() + 3'601)).ok());
}

TEST(Assertion, NamesAUserUpToTheLimit) {
  const Forge& forge = world().app_forges[2];
  EXPECT_TRUE(forge.verify(forge.with_claim("sub", std::string(64, 'u'))).ok());
  EXPECT_FALSE(forge.verify(forge.with_claim("sub", std::string(65, 'u'))).ok());
}

// ---- Access tokens -------------------------------------------------------------------------------------------------

TEST(AccessToken, ProvesUserDeviceAndSession) {
  SeededRandom random(1);
  const auto minted = world().access.mint(world().session, forge_now() + 500ms, random);
  const auto identity = world().access.verify_access_token(minted.token, forge_now());

  ASSERT_TRUE(identity.ok()) << identity.error().detail;
  EXPECT_EQ(identity->user_id, "alice");
  EXPECT_EQ(identity->device_id, DeviceId{71});
  EXPECT_EQ(identity->session_id, SessionId{72});
  EXPECT_EQ(identity->expires, minted.expires);
  EXPECT_EQ(minted.expires, forge_now() + 15min);
}

TEST(AccessToken, IsTheSameFormAsTheForgeMakes) {
  EXPECT_TRUE(world().access_forge.verify(world().access_forge.honest()).ok());
}

TEST(AccessToken, ExpiresToTheSecond) {
  SeededRandom random(1);
  const auto minted = world().access.mint(world().session, forge_now(), random);
  EXPECT_TRUE(world().access.verify_access_token(minted.token, minted.expires - 1us).ok());
  EXPECT_EQ(world().access.verify_access_token(minted.token, minted.expires).code(), Code::kUnauthenticated);
}

TEST(AccessToken, IsJudgedAnewEachTimeItIsShown) {
  SeededRandom random(1);
  const auto minted = world().access.mint(world().session, forge_now(), random);
  ASSERT_TRUE(world().access.verify_access_token(minted.token, forge_now()).ok());
  ASSERT_TRUE(world().access.verify_access_token(minted.token, forge_now()).ok());

  std::string altered = minted.token;
  char& signature_byte = altered[altered.rfind('.') + 5];
  signature_byte = signature_byte == 'A' ? 'B' : 'A';
  EXPECT_EQ(world().access.verify_access_token(altered, forge_now()).code(), Code::kUnauthenticated);
  EXPECT_EQ(world().access.verify_access_token(minted.token, minted.expires).code(), Code::kUnauthenticated);
}

TEST(AccessToken, IsHonouredAfterARestart) {
  SeededRandom random(1);
  const auto minted = world().access.mint(world().session, forge_now(), random);
  EXPECT_TRUE(AccessTokens(world().store_secret, {}).verify_access_token(minted.token, forge_now()).ok());
}

TEST(AccessToken, HasADifferentTokenIdEachTime) {
  SeededRandom random(1);
  EXPECT_NE(world().access.mint(world().session, forge_now(), random).token,
            world().access.mint(world().session, forge_now(), random).token);
}

TEST(AccessToken, CarriesAnyValidUserId) {
  SeededRandom random(1);
  Session session = world().session;
  session.user_id = "O'Brien \"Bob\" \\ \xE2\x82\xAC";
  const auto minted = world().access.mint(session, forge_now(), random);
  EXPECT_EQ(world().access.verify_access_token(minted.token, forge_now())->user_id, session.user_id);
}

// ---- Refresh tokens ------------------------------------------------------------------------------------------------

TEST(RefreshToken, NamesSessionDeviceAndGeneration) {
  Session session = world().session;
  session.generation = 4'000'000'000;
  const auto claim = world().refresh.verify(world().refresh.make(session));
  ASSERT_TRUE(claim.ok());
  EXPECT_EQ(claim->session_id, session.session_id);
  EXPECT_EQ(claim->device_id, session.device_id);
  EXPECT_EQ(claim->generation, session.generation);
}

TEST(RefreshToken, IsRefusedWhenAnyBitChanges) {
  const Bytes bytes = from_base64url(world().refresh.make(world().session)).value();
  for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    Bytes changed = bytes;
    changed[bit / 8] = static_cast<char>(changed[bit / 8] ^ (1 << bit % 8));
    EXPECT_EQ(world().refresh.verify(to_base64url(changed)).code(), Code::kUnauthenticated) << "bit " << bit;
  }
}

TEST(RefreshToken, IsRefusedInAnyOtherSpelling) {
  const std::string token = world().refresh.make(world().session);
  const Bytes bytes = from_base64url(token).value();
  for (const std::string& other : {std::string(), token + "=", " " + token, token + "\n", token.substr(1), token + "A",
                                   to_base64url(bytes.substr(0, bytes.size() - 1)), to_base64url(bytes + '\0'),
                                   std::string(1 << 20, 'A'), world().access_forge.honest()}) {
    EXPECT_EQ(world().refresh.verify(other).code(), Code::kUnauthenticated);
  }
}

TEST(RefreshToken, OfAnotherServerIsRefused) {
  EXPECT_EQ(world().refresh.verify(RefreshTokens(Bytes(32, 'o')).make(world().session)).code(), Code::kUnauthenticated);
}

}  // namespace
}  // namespace chatsdk::server
