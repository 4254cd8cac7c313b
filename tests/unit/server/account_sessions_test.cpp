// SPDX-License-Identifier: Apache-2.0
//
// What becomes of a session through the REST interface: refreshes, log-outs, and the devices of a user.
#include "server-reference/services/account_service.h"

#include <gtest/gtest.h>

#include "unit/server/account_requests.h"
#include "unit/server/rest_world.h"

namespace chatsdk::server {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;
using testing::json_of;
using testing::kOtherInstallation;
using testing::kOtherRequest;
using testing::login_request;
using testing::refresh_request;
using testing::RestWorld;
using testing::verdict_of;

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

}  // namespace
}  // namespace chatsdk::server
