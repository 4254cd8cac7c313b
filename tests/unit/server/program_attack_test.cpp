// SPDX-License-Identifier: Apache-2.0
//
// What strangers try with a running server: forged tokens at every door, SQL in every text, names that are not theirs.
// The program is the real one, with its own verifier, listener and store.
//
// Threads: one.
#include <gtest/gtest.h>
#include <sodium.h>

#include <functional>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/clock.h"
#include "base/random.h"
#include "server-reference/services/passwords.h"
#include "server-reference/services/tokens.h"
#include "server-reference/store/sqlite_store.h"
#include "unit/server/forge.h"
#include "unit/server/program_client.h"
#include "unit/server/server_program.h"

namespace chatsdk::test {
namespace {

using nlohmann::json;
using server::AccessTokenOptions;
using server::AccessTokens;
using server::Session;
using std::chrono::minutes;

constexpr const char* kInstallation = "AAAAAAAAAAAAAAAAAAAAAA==";
constexpr const char* kOtherInstallation = "AgICAgICAgICAgICAgICAg==";

std::string bearer(const std::string& token) { return "Authorization: Bearer " + token + "\r\n"; }

std::string code_of(const RawClient::Response& response) {
  const json body = json::parse(response.body, nullptr, /*allow_exceptions=*/false);
  return std::to_string(response.status) + " " + (body.is_object() ? body.value("code", "no code") : "no document");
}

json credentials(const std::string& user, const std::string& installation = kInstallation) {
  return {{"userId", user}, {"password", "correct horse"}, {"deviceName", "d"}, {"installationId", installation}};
}

// A server whose store was prepared: its root of keys is known, and ada has a session.
class AttackedServer : public ServerProgram {
 protected:
  AttackedServer() {
    auto store =
        server::SqliteStore::open({.path = directory_ + "/chatsdk-server.db", .vfs_name = {}}, random_).value();
    secret_ = store->secret();
    server::CreateAccount account;
    account.account.user_id = "ada";
    server::OpenSession session;
    session.user_id = "ada";
    session.installation_id = Bytes(16, 'i');
    session.now = clock_.wall_now();
    session.expires = session.now + minutes(60);
    const std::vector<server::WriteOp> ops{account, session};
    auto result = store->commit(ops);
    ada_ = std::get<server::SessionOpened>(result->answers.at(1).value()).session;
  }

  std::string honest() { return AccessTokens(secret_, {}).mint(ada_, clock_.wall_now(), random_).token; }

  SystemClock clock_;
  SodiumRandom random_;
  Bytes secret_;
  Session ada_;
};

// ---- Tokens --------------------------------------------------------------------------------------------------------

struct Parts {
  std::string header, claims, signature;
};
Parts parts_of(const std::string& token) {
  const std::size_t first = token.find('.');
  const std::size_t second = token.rfind('.');
  return {token.substr(0, first), token.substr(first + 1, second - first - 1), token.substr(second + 1)};
}
std::string with(const std::string& part, const std::string& member, const json& value) {
  json changed = json::parse(from_base64url(part).value());
  changed[member] = value;
  return to_base64url(changed.dump());
}

TEST_F(AttackedServer, RefusesEveryForgedTokenAtEveryDoor) {
  const AccessTokens ours(secret_, {});
  const AccessTokens theirs(Bytes(32, 'x'), {});
  const WallTime now = clock_.wall_now();
  const Parts good = parts_of(honest());
  Bytes key(crypto_sign_SECRETKEYBYTES, '\0');
  Bytes public_key(crypto_sign_PUBLICKEYBYTES, '\0');
  crypto_sign_keypair(reinterpret_cast<unsigned char*>(public_key.data()),
                      reinterpret_cast<unsigned char*>(key.data()));
  Bytes signature(crypto_sign_BYTES, '\0');
  const std::string input = good.header + "." + good.claims;
  crypto_sign_detached(reinterpret_cast<unsigned char*>(signature.data()), nullptr,
                       reinterpret_cast<const unsigned char*>(input.data()), input.size(),
                       reinterpret_cast<const unsigned char*>(key.data()));
  const struct {
    const char* name;
    std::string token;
  } attacks[] = {
      {"expired", ours.mint(ada_, now - minutes(16), random_).token},
      {"made in the future", ours.mint(ada_, now + minutes(16), random_).token},
      {"altered user", good.header + "." + with(good.claims, "sub", "bob") + "." + good.signature},
      {"altered device", good.header + "." + with(good.claims, "did", "1") + "." + good.signature},
      {"prolonged", good.header + "." + with(good.claims, "exp", 4'000'000'000) + "." + good.signature},
      {"signature cut", good.header + "." + good.claims + "." + good.signature.substr(0, 80)},
      {"alg none", with(good.header, "alg", "none") + "." + good.claims + "."},
      {"alg none with the signature", with(good.header, "alg", "none") + "." + good.claims + "." + good.signature},
      {"unsigned", input + "."},
      {"another server's key", theirs.mint(ada_, now, random_).token},
      {"another key under our kid", input + "." + to_base64url(signature)},
      {"no token at all", "nonsense"},
  };
  Program program(arguments({"--log-level", "trace"}), error_file());
  const std::uint16_t port = program.read_port();
  ASSERT_NE(port, 0) << errors();

  for (const auto& [name, token] : attacks) {
    SCOPED_TRACE(name);
    // REST.
    EXPECT_EQ(code_of(get(port, "/v1/devices", bearer(token))), "401 unauthenticated");
    // The upgrade.
    RawClient refused(port);
    const RawClient::Response upgrade = refused.upgrade(bearer(token));
    EXPECT_EQ(code_of(upgrade), "401 unauthenticated");
    EXPECT_EQ(upgrade.headers.count("www-authenticate"), 1U);
    EXPECT_TRUE(refused.read_to_end());
    // The first frame.
    ProgramClient first(port);
    first.hello(token);
    EXPECT_EQ(first.failure(), Code::kUnauthenticated);
    EXPECT_EQ(first.close_code(), 4001);
    // A renewal.
    ProgramClient live(port, honest());
    live.hello();
    ASSERT_TRUE(live.read(wire::ServerFrame::kWelcome));
    live.renew(token);
    EXPECT_EQ(live.failure(), Code::kUnauthenticated);
    EXPECT_EQ(live.close_code(), 4001);

    EXPECT_EQ(errors().find(token), std::string::npos);
  }
  ProgramClient good_one(port, honest());
  good_one.hello();
  EXPECT_TRUE(good_one.read(wire::ServerFrame::kWelcome));
  good_one.renew(honest());
  EXPECT_TRUE(good_one.read(wire::ServerFrame::kAuthenticated));
}

// ---- Sessions ------------------------------------------------------------------------------------------------------

class ServerSessions : public ServerProgram {
 protected:
  ServerSessions() : program_(arguments({"--argon-operations", "1", "--argon-memory-mib", "1"}), error_file()) {
    port_ = program_.read_port();
  }
  json session_of(const std::string& path, const json& request) {
    const RawClient::Response response = post(port_, path, request.dump());
    EXPECT_LT(response.status, 300) << response.body << errors();
    return json::parse(response.body, nullptr, /*allow_exceptions=*/false);
  }

  Program program_;
  std::uint16_t port_ = 0;
};

TEST_F(ServerSessions, ANewLogInEndsTheLiveConnectionOfTheDevicesOldSession) {
  const std::string old_token = session_of("/v1/accounts", credentials("ada"))["accessToken"];
  ProgramClient old(port_, old_token);
  old.hello();
  ASSERT_TRUE(old.read(wire::ServerFrame::kWelcome));

  const std::string new_token = session_of("/v1/sessions", credentials("ada"))["accessToken"];

  EXPECT_EQ(old.failure(), Code::kUnauthenticated);
  EXPECT_EQ(old.close_code(), 4001);
  // The old token, which still verifies, does not end the new session's connection either.
  ProgramClient fresh(port_, new_token);
  fresh.hello();
  ASSERT_TRUE(fresh.read(wire::ServerFrame::kWelcome));
  ProgramClient again(port_, old_token);
  again.hello();
  EXPECT_EQ(again.failure(), Code::kUnauthenticated);
  fresh.ping(7);
  EXPECT_TRUE(fresh.read(wire::ServerFrame::kPong));
}

TEST_F(ServerSessions, ARemovedDeviceIsCutOffByAnotherAndOnlyIt) {
  const json phone = session_of("/v1/accounts", credentials("ada"));
  const json tablet = session_of("/v1/sessions", credentials("ada", kOtherInstallation));
  ProgramClient lost(port_, phone["accessToken"]);
  ProgramClient kept(port_, tablet["accessToken"]);
  lost.hello();
  kept.hello();
  ASSERT_TRUE(lost.read(wire::ServerFrame::kWelcome));
  ASSERT_TRUE(kept.read(wire::ServerFrame::kWelcome));

  const auto removed = ask(port_, "DELETE", "/v1/devices/" + phone["deviceId"].get<std::string>(),
                           bearer(tablet["accessToken"].get<std::string>()));

  EXPECT_EQ(removed.status, 204);
  EXPECT_EQ(lost.failure(), Code::kUnauthenticated);
  EXPECT_EQ(lost.close_code(), 4001);
  kept.ping(7);
  EXPECT_TRUE(kept.read(wire::ServerFrame::kPong));
  EXPECT_EQ(code_of(get(port_, "/v1/devices", bearer(phone["accessToken"]))), "401 unauthenticated");
}

TEST_F(ServerSessions, ASenderThatAFrameNamesIsIgnored) {
  const std::string ada = session_of("/v1/accounts", credentials("ada"))["accessToken"];
  const std::string bob = session_of("/v1/accounts", credentials("bob"))["accessToken"];
  session_of("/v1/accounts", credentials("eve"));
  ProgramClient sender(port_, ada);
  ProgramClient reader(port_, bob);
  sender.hello();
  reader.hello();
  ASSERT_TRUE(sender.read(wire::ServerFrame::kWelcome));
  ASSERT_TRUE(reader.read(wire::ServerFrame::kWelcome));
  wire::ClientFrame frame;
  frame.mutable_send()->set_peer_user_id("bob");
  frame.mutable_send()->set_client_message_id(Bytes(16, '1'));
  frame.mutable_send()->set_send_number(1);
  frame.mutable_send()->set_content(encode_text_content("whose is it?"));
  // A field that the protocol has not, in the send and beside it: number 17, "eve".
  const Bytes forged(
      "\x8A\x01\x03"
      "eve");
  ASSERT_TRUE(frame.mutable_send()->MergeFromString(forged));

  sender.say_bytes(encode(frame) + forged);
  const auto result = sender.read(wire::ServerFrame::kSendResult);

  ASSERT_TRUE(result && result->send_result().has_accepted());
  EXPECT_EQ(reader.read_text("ada"), "whose is it?");
  sender.ping(1);
  EXPECT_TRUE(sender.read(wire::ServerFrame::kPong));
}

// ---- The app's own backend -----------------------------------------------------------------------------------------

class ServerWithAppKeys : public ServerProgram {
 protected:
  std::vector<std::string> with_app_keys(const std::vector<std::string>& more = {}) {
    std::vector<std::string> all = arguments({"--app-issuer", "https://app.example", "--app-audience", "chat",
                                              "--app-key", "ed-1=" + write("app.pem", signer_.public_pem()),
                                              "--argon-operations", "1", "--argon-memory-mib", "1"});
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
  json assertion(const std::string& user) {
    const auto now = std::chrono::duration_cast<std::chrono::seconds>(SystemClock().wall_now().time_since_epoch());
    const json header = {{"alg", "EdDSA"}, {"kid", "ed-1"}};
    const json claims = {{"iss", "https://app.example"}, {"aud", "chat"}, {"sub", user}, {"exp", now.count() + 300}};
    const std::string input = to_base64url(header.dump()) + "." + to_base64url(claims.dump());
    return {{"assertion", input + "." + to_base64url(signer_.sign(input))}, {"installationId", kInstallation}};
  }

  server::testing::Signer signer_ = server::testing::Signer::make(server::JwsAlgorithm::kEdDsa);
};

TEST_F(ServerWithAppKeys, MakesTheAccountOnFirstSightAndTakesNoPasswords) {
  Program program(with_app_keys(), error_file());
  const std::uint16_t port = program.read_port();
  ASSERT_NE(port, 0) << errors();

  EXPECT_EQ(code_of(post(port, "/v1/accounts", credentials("customer-4711").dump())), "403 forbidden");
  EXPECT_EQ(code_of(post(port, "/v1/sessions", credentials("customer-4711").dump())), "403 forbidden");
  const auto opened = post(port, "/v1/sessions", assertion("customer-4711").dump());
  ASSERT_EQ(opened.status, 200) << opened.body;
  const json session = json::parse(opened.body);
  EXPECT_EQ(session["userId"], "customer-4711");
  ProgramClient client(port, session["accessToken"]);
  client.hello();
  const auto welcome = client.read(wire::ServerFrame::kWelcome);
  ASSERT_TRUE(welcome);
  EXPECT_EQ(welcome->welcome().user_id(), "customer-4711");
}

// It is for POST /v1/sessions alone, at whatever other door it is shown.
TEST_F(ServerWithAppKeys, TheBackendsTokenItselfOpensNothing) {
  Program program(with_app_keys(), error_file());
  const std::uint16_t port = program.read_port();
  ASSERT_NE(port, 0) << errors();
  const std::string token = assertion("ada")["assertion"];
  const json session = json::parse(post(port, "/v1/sessions", assertion("ada").dump()).body);
  // REST.
  EXPECT_EQ(code_of(get(port, "/v1/devices", bearer(token))), "401 unauthenticated");
  EXPECT_EQ(
      code_of(post(port, "/v1/sessions/refresh", json{{"refreshToken", token}, {"requestId", kInstallation}}.dump())),
      "401 unauthenticated");
  // The upgrade.
  RawClient refused(port);
  EXPECT_EQ(code_of(refused.upgrade(bearer(token))), "401 unauthenticated");
  EXPECT_TRUE(refused.read_to_end());
  // The first frame: a hello, and a renewal that nothing came before.
  ProgramClient hello(port);
  hello.hello(token);
  EXPECT_EQ(hello.failure(), Code::kUnauthenticated);
  EXPECT_EQ(hello.close_code(), 4001);
  ProgramClient first(port);
  first.renew(token);
  EXPECT_EQ(first.failure(), Code::kProtocol);
  EXPECT_EQ(first.close_code(), 1002);
  // A renewal of the connection that its own session opened.
  ProgramClient live(port, session["accessToken"]);
  live.hello();
  ASSERT_TRUE(live.read(wire::ServerFrame::kWelcome));
  live.renew(token);
  EXPECT_EQ(live.failure(), Code::kUnauthenticated);
  EXPECT_EQ(live.close_code(), 4001);

  EXPECT_EQ(errors().find(token), std::string::npos);
}

TEST_F(ServerWithAppKeys, WithPasswordsAllowedWhoeverCameFirstKeepsTheName) {
  Program program(with_app_keys({"--allow-passwords"}), error_file());
  const std::uint16_t port = program.read_port();
  ASSERT_NE(port, 0) << errors();
  ASSERT_EQ(post(port, "/v1/accounts", credentials("registered").dump()).status, 201);
  ASSERT_EQ(post(port, "/v1/sessions", assertion("vouched-for").dump()).status, 200);

  EXPECT_EQ(code_of(post(port, "/v1/sessions", assertion("registered").dump())), "409 conflict");
  EXPECT_EQ(code_of(post(port, "/v1/accounts", credentials("vouched-for", kOtherInstallation).dump())),
            "409 already_exists");
  EXPECT_EQ(post(port, "/v1/sessions", credentials("registered").dump()).status, 200);
  EXPECT_EQ(post(port, "/v1/sessions", assertion("vouched-for").dump()).status, 200);
}

// ---- SQL -----------------------------------------------------------------------------------------------------------

TEST_F(ServerSessions, SqlIsTextInEveryField) {
  const json honest = session_of("/v1/accounts", credentials("honest"));
  ProgramClient reader(port_, honest["accessToken"]);
  reader.hello();
  ASSERT_TRUE(reader.read(wire::ServerFrame::kWelcome));
  std::uint64_t senders = 0;
  for (const std::string sql :
       {"'; DROP TABLE account; --", "\" OR \"\"=\"", "x' OR '1'='1", "1; DELETE FROM item;", "%' UNION SELECT 1 --"}) {
    SCOPED_TRACE(sql);
    const std::string user = sql + std::to_string(++senders);
    // REST: every text field of every body, the path, the query and the header.
    json registration = credentials(user);
    for (const char* field : {"password", "displayName", "deviceName"}) registration[field] = sql;
    registration["email"] = sql;
    EXPECT_EQ(code_of(post(port_, "/v1/accounts", registration.dump())), "400 invalid_argument");
    registration.erase("email");
    registration["phone"] = sql;
    EXPECT_EQ(code_of(post(port_, "/v1/accounts", registration.dump())), "400 invalid_argument");
    registration.erase("phone");
    registration["installationId"] = sql;
    EXPECT_EQ(code_of(post(port_, "/v1/accounts", registration.dump())), "400 malformed");
    registration["installationId"] = kInstallation;
    const json session = session_of("/v1/accounts", registration);
    EXPECT_EQ(session["userId"], user);
    json login = {{"userId", user}, {"password", sql}, {"deviceName", sql}, {"installationId", kInstallation}};
    const std::string token = session_of("/v1/sessions", login)["accessToken"];
    login["password"] = sql + " OR 1=1";
    EXPECT_EQ(code_of(post(port_, "/v1/sessions", login.dump())), "401 unauthenticated");
    EXPECT_EQ(code_of(post(port_, "/v1/sessions", json{{"assertion", sql}, {"installationId", kInstallation}}.dump())),
              "401 unauthenticated");
    EXPECT_EQ(
        code_of(post(port_, "/v1/sessions/refresh", json{{"refreshToken", sql}, {"requestId", kInstallation}}.dump())),
        "401 unauthenticated");
    EXPECT_EQ(code_of(get(port_, "/v1/devices", bearer(sql))), "401 unauthenticated");
    EXPECT_EQ(get(port_, "/v1/devices?user=%27%20OR%201=1", bearer(token)).status, 200);
    EXPECT_EQ(code_of(ask(port_, "DELETE", "/v1/devices/1%20OR%201=1", bearer(token))), "400 invalid_argument");
    const json devices = json::parse(get(port_, "/v1/devices", bearer(token)).body);
    EXPECT_EQ(devices["devices"].size(), 1U);
    EXPECT_EQ(devices["devices"][0]["name"], sql);

    // WebSocket: the token, names of features and client, whom it goes to, ids and the text itself.
    ProgramClient stranger(port_);
    stranger.hello(sql);
    EXPECT_EQ(stranger.failure(), Code::kUnauthenticated);
    ProgramClient client(port_, token);
    wire::ClientFrame hello = ProgramClient::hello_frame();
    hello.mutable_hello()->add_features(sql);
    hello.mutable_hello()->set_client(sql);
    client.say(hello);
    const auto welcome = client.read(wire::ServerFrame::kWelcome);
    ASSERT_TRUE(welcome);
    EXPECT_EQ(welcome->welcome().user_id(), user);
    client.send_text(sql + " nobody", "text", Bytes(16, '\''), 1);
    const auto refused = client.read(wire::ServerFrame::kSendResult);
    ASSERT_TRUE(refused);
    EXPECT_EQ(static_cast<Code>(refused->send_result().refused().code()), Code::kNotFound);
    client.send_text("honest", sql, (sql + Bytes(16, ';')).substr(0, 16), 1);
    const auto accepted = client.read(wire::ServerFrame::kSendResult);
    ASSERT_TRUE(accepted && accepted->send_result().has_accepted());
    EXPECT_EQ(reader.read_text(user), sql);
    client.renew(sql);
    EXPECT_EQ(client.failure(), Code::kUnauthenticated);
  }
  EXPECT_EQ(get(port_, "/readyz").status, 200);
  reader.ping(1);
  EXPECT_TRUE(reader.read(wire::ServerFrame::kPong));
  EXPECT_EQ(post(port_, "/v1/sessions", credentials("honest").dump()).status, 200);
}

}  // namespace
}  // namespace chatsdk::test
