// SPDX-License-Identifier: Apache-2.0
//
// What the program writes on standard error, at its most talkative: everything that happened, and nothing of what was
// said, whoever said it and however wrongly.
//
// Threads: one.
#include <gtest/gtest.h>
#include <signal.h>

#include <nlohmann/json.hpp>

#include "unit/server/program_client.h"
#include "unit/server/server_program.h"

namespace chatsdk::test {
namespace {

using nlohmann::json;

class ProgramLog : public ServerProgram, public ::testing::WithParamInterface<const char*> {
 protected:
  std::vector<std::string> talkative() const {
    return arguments(
        {"--log-level", "trace", "--log-format", GetParam(), "--argon-operations", "1", "--argon-memory-mib", "1"});
  }
  // Everything that must not be found again.
  std::string canary(const std::string& name) {
    canaries_.push_back("canary-" + name + "-5f2c");
    return canaries_.back();
  }
  void keep_token(const std::string& token) {
    canaries_.push_back(token);
    canaries_.push_back(token.substr(token.rfind('.') + 1));  // a JWT's signature
  }
  json keep_session(const RawClient::Response& response) {
    json session = json::parse(response.body, nullptr, /*allow_exceptions=*/false);
    keep_token(session["accessToken"]);
    keep_token(session["refreshToken"]);
    return session;
  }
  static std::string bearer(const std::string& token) { return "Authorization: Bearer " + token + "\r\n"; }

  std::vector<std::string> canaries_;
};

TEST_P(ProgramLog, HoldsNoTextPasswordOrToken) {
  Program program(talkative(), error_file());
  const std::uint16_t port = program.read_port();
  ASSERT_NE(port, 0) << errors();
  const std::string password = canary("password");
  json registration = {{"userId", "ada"},
                       {"password", password},
                       {"displayName", canary("display-name")},
                       {"email", canary("local") + "@example.org"},
                       {"deviceName", canary("device-name")},
                       {"installationId", "AAAAAAAAAAAAAAAAAAAAAA=="}};
  // REST, right and wrong.
  const auto made = post(port, "/v1/accounts", registration.dump());
  ASSERT_EQ(made.status, 201) << made.body;
  const json first = keep_session(made);
  registration["userId"] = "bob";
  EXPECT_EQ(post(port, "/v1/accounts", registration.dump()).status, 409);  // the e-mail address
  registration["email"] = canary("no-address");
  EXPECT_EQ(post(port, "/v1/accounts", registration.dump()).status, 400);
  registration.erase("email");
  const json bob = keep_session(post(port, "/v1/accounts", registration.dump()));
  const json wrong = {{"userId", "ada"}, {"password", canary("guess")}, {"installationId", "AAAAAAAAAAAAAAAAAAAAAA=="}};
  EXPECT_EQ(post(port, "/v1/sessions", wrong.dump()).status, 401);
  EXPECT_EQ(post(port, "/v1/sessions", "{\"password\":\"" + canary("broken-json") + "\",").status, 400);
  EXPECT_EQ(post(port, "/v1/sessions", "{\"password\":\"" + canary("not-utf8") + "\xFF\"}").status, 400);
  EXPECT_EQ(post(port, "/v1/sessions",
                 json{{"assertion", canary("assertion")}, {"installationId", "AAAAAAAAAAAAAAAAAAAAAA=="}}.dump())
                .status,
            401);
  const json spend = {{"refreshToken", first["refreshToken"]}, {"requestId", "AQEBAQEBAQEBAQEBAQEBAQ=="}};
  const json second = keep_session(post(port, "/v1/sessions/refresh", spend.dump()));
  EXPECT_EQ(get(port, "/v1/devices?access_token=" + canary("query")).status, 401);
  EXPECT_EQ(get(port, "/" + canary("path")).status, 404);
  EXPECT_EQ(get(port, "/v1/devices", bearer(canary("bearer"))).status, 401);
  EXPECT_EQ(get(port, "/v1/devices", "X-" + canary("header-name") + "\r\n").status, 400);
  // WebSocket, right.
  ProgramClient a(port);
  ProgramClient b(port, bob["accessToken"]);
  a.hello(second["accessToken"]);
  b.hello();
  ASSERT_TRUE(a.read(wire::ServerFrame::kWelcome));
  ASSERT_TRUE(b.read(wire::ServerFrame::kWelcome));
  const std::string text = canary("text");
  a.send_text("bob", text, Bytes(16, '1'), 1);
  EXPECT_EQ(b.read_text("ada"), text);
  // WebSocket, wrong: an id used twice, a text that is none, names that are no UTF-8, no protobuf, no frame.
  a.send_text("bob", canary("other-text"), Bytes(16, '1'), 2);
  EXPECT_TRUE(a.read(wire::ServerFrame::kSendResult));
  wire::ClientFrame frame;
  frame.mutable_send()->set_peer_user_id("bob");
  frame.mutable_send()->set_client_message_id(Bytes(16, '2'));
  frame.mutable_send()->set_send_number(2);
  Bytes bytes = encode_text_content(canary("bad-utf8-text"));
  bytes.back() = '\xFF';
  frame.mutable_send()->set_content(bytes);
  a.say(frame);
  EXPECT_TRUE(a.read(wire::ServerFrame::kSendResult));
  const std::string name = canary("bad-name");
  a.say_bytes("\x1A" + std::string(1, static_cast<char>(name.size() + 3)) + "\x12" +
              std::string(1, static_cast<char>(name.size() + 1)) + name + "\xFF");  // Send.peer_user_id
  EXPECT_EQ(a.failure(), Code::kMalformed);
  b.renew(canary("renewal"));
  EXPECT_EQ(b.failure(), Code::kUnauthenticated);
  ProgramClient stranger(port);
  stranger.hello(canary("hello-token"));
  EXPECT_EQ(stranger.failure(), Code::kUnauthenticated);
  ProgramClient nonsense(port, second["accessToken"]);
  nonsense.say_bytes(canary("nonsense"));
  EXPECT_EQ(nonsense.failure(), Code::kMalformed);
  // The spent refresh token.
  json reuse = spend;
  reuse["requestId"] = "AgICAgICAgICAgICAgICAg==";
  EXPECT_EQ(post(port, "/v1/sessions/refresh", reuse.dump()).status, 401);
  program.signal(SIGTERM);
  EXPECT_EQ(program.wait(), 0);

  const std::string log = errors();
  for (const char* area : {"rest", "gateway", "listener", "accounts", "server"}) {
    const std::string written = std::string(GetParam()) == "json" ? "\"area\":\"" + std::string(area) + "\"" : area;
    EXPECT_NE(log.find(written), std::string::npos) << area << " wrote nothing, so nothing was shown of it";
  }
  for (const std::string& secret : canaries_) EXPECT_EQ(log.find(secret), std::string::npos) << secret << "\n" << log;
  EXPECT_EQ(log.find("libprotobuf"), std::string::npos) << log;
  std::istringstream lines(log);
  for (std::string line; std::getline(lines, line);) {
    if (std::string(GetParam()) != "json") break;
    EXPECT_TRUE(json::accept(line)) << line;
  }
}

INSTANTIATE_TEST_SUITE_P(Formats, ProgramLog, ::testing::Values("text", "json"),
                         [](const auto& format) { return std::string(format.param); });

}  // namespace
}  // namespace chatsdk::test
