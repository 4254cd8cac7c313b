// SPDX-License-Identifier: Apache-2.0
//
// LwsTransport from a URL to an open connection: addresses, the upgrade, and what the peer may answer.
#include "unit/transport/lws_fixture.h"

#include <cstdlib>
#include <string>

namespace chatsdk {
namespace {

using namespace std::chrono_literals;
using namespace test;

TEST(LwsTransport, SendsTokenSubprotocolAndNothingElseOfNote) {
  RawPeer peer(echo);
  Client client;

  client.open(peer.url("ws", "127.0.0.1", "/v1/ws?a=b"));
  ASSERT_TRUE(client.handler.wait_for_open());

  const std::string request = peer.received();
  EXPECT_EQ(request.substr(0, request.find("\r\n")), "GET /v1/ws?a=b HTTP/1.1");
  EXPECT_NE(request.find("\r\nHost: 127.0.0.1:" + std::to_string(peer.port()) + "\r\n"), std::string::npos) << request;
  EXPECT_NE(request.find("Authorization: Bearer " + std::string(kToken) + "\r\n"), std::string::npos) << request;
  EXPECT_NE(request.find("Sec-WebSocket-Protocol: chatsdk.v1\r\n"), std::string::npos) << request;
  EXPECT_EQ(request.find("Sec-WebSocket-Extensions"), std::string::npos) << request;
  EXPECT_EQ(client.log.text().find(kToken), std::string::npos);
}

TEST(LwsTransport, ReportsARefusedUpgrade) {
  struct Case {
    const char* answer;
    int status;
    Code code;
    std::chrono::milliseconds retry_after;
  };
  const Case cases[] = {
      {"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n", 401, Code::kUnauthenticated, 0ms},
      {"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno", 403, Code::kForbidden, 0ms},
      {"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", 404, Code::kProtocol, 0ms},
      {"HTTP/1.1 429 Too Many\r\nRetry-After: 2\r\nContent-Length: 0\r\n\r\n", 429, Code::kRateLimited, 2s},
      {"HTTP/1.1 500 Broken\r\nContent-Length: 0\r\n\r\n", 500, Code::kServer, 0ms},
      {"HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n", 503, Code::kUnavailable, 7s},
      {"HTTP/1.1 503 Busy\r\nRetry-After: 999999999999\r\nContent-Length: 0\r\n\r\n", 503, Code::kUnavailable,
       limits::kRetryAfterMax},
      {"HTTP/1.1 503 Busy\r\nRetry-After: soon\r\nContent-Length: 0\r\n\r\n", 503, Code::kUnavailable, 0ms},
      {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200, Code::kProtocol, 0ms},
  };
  for (const Case& expected : cases) {
    RawPeer peer(refuse_with(expected.answer));
    Client client;
    client.open(peer.url("ws"));
    ASSERT_TRUE(client.handler.wait_for_close());
    EXPECT_EQ(client.handler.close_info.http_status, expected.status);
    EXPECT_EQ(client.close_code(), expected.code) << expected.answer;
    EXPECT_EQ(client.handler.close_info.error.retry_after, expected.retry_after) << expected.answer;
    EXPECT_EQ(client.handler.close_info.error.cause, (Cause{CauseDomain::kHttp, expected.status}));
    EXPECT_EQ(client.handler.opened, 0);
  }
}

TEST(LwsTransport, DoesNotFollowARedirect) {
  RawPeer elsewhere(echo);
  RawPeer peer(
      refuse_with("HTTP/1.1 302 Found\r\nLocation: " + elsewhere.url("http") + "\r\nContent-Length: 0\r\n\r\n"));
  Client client;

  client.open(peer.url("ws"));

  ASSERT_TRUE(client.handler.wait_for_close());
  EXPECT_EQ(client.handler.close_info.http_status, 302);
  EXPECT_EQ(elsewhere.received(), "");
}

TEST(LwsTransport, RefusesAnAnswerThatIsNotOurWebSocket) {
  RawPeer none([](RawConnection& connection) {
    accept_upgrade(connection, "");
    connection.read_to_end();
  });
  RawPeer other([](RawConnection& connection) {
    accept_upgrade(connection, "chatsdk.v2");
    connection.read_to_end();
  });
  RawPeer compressing([](RawConnection& connection) {
    accept_upgrade(connection, "chatsdk.v1\r\nSec-WebSocket-Extensions: permessage-deflate");
    connection.read_to_end();
  });
  RawPeer bad_hash(
      refuse_with("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                  "Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\nSec-WebSocket-Protocol: chatsdk.v1\r\n\r\n"));
  for (RawPeer* peer : {&none, &other, &compressing, &bad_hash}) {
    Client client;
    client.open(peer->url("ws"));
    ASSERT_TRUE(client.handler.wait_for_close());
    EXPECT_EQ(client.close_code(), Code::kProtocol) << client.handler.close_info.error.detail;
    EXPECT_EQ(client.handler.opened, 0);
  }
}

// libwebsockets keeps the values of the headers that it knows; together with its own book-keeping they count.
TEST(LwsTransport, RefusesAnAnswerWhoseHeadersAreLargerThanTheLimit) {
  const auto answer_of = [](std::size_t bytes) {
    return refuse_with("HTTP/1.1 503 Busy\r\nServer: " + std::string(bytes, 's') + "\r\nContent-Length: 0\r\n\r\n");
  };
  RawPeer fits(answer_of(limits::kUpgradeAnswerBytesMax - 1'000));
  Client client;
  client.open(fits.url("ws"));
  ASSERT_TRUE(client.handler.wait_for_close());
  EXPECT_EQ(client.handler.close_info.http_status, 503);

  RawPeer larger(answer_of(limits::kUpgradeAnswerBytesMax));
  Client refusing;
  refusing.open(larger.url("ws"));
  ASSERT_TRUE(refusing.handler.wait_for_close());
  EXPECT_EQ(refusing.handler.close_info.http_status, 0);
  EXPECT_NE(refusing.close_code(), Code::kOk);
}

TEST(LwsTransport, AnswersGarbageAndHangupsInTheHandshakeWithAnError) {
  for (const char* answer : {"", "\r\n\r\n", "SSH-2.0-x\r\n\r\n", "HTTP/1.1 101\r\n\r\n", "\0\1\2\3\r\n\r\n"}) {
    RawPeer peer(refuse_with(answer));
    Client client;
    client.open(peer.url("ws"));
    ASSERT_TRUE(client.handler.wait_for_close()) << answer;
    EXPECT_NE(client.close_code(), Code::kOk);
  }
}

TEST(LwsTransport, GivesUpOnASilentPeer) {
  RawPeer peer([](RawConnection& connection) { connection.read_to_end(); });
  Client client({.connect_timeout = 50ms});

  client.open(peer.url("ws"));

  ASSERT_TRUE(client.handler.wait_for_close());
  EXPECT_EQ(client.close_code(), Code::kNetwork);
  EXPECT_EQ(client.handler.opened, 0);
}

TEST(LwsTransport, ReportsARefusedConnection) {
  std::string url;
  {
    RawPeer gone([](RawConnection&) {});
    url = gone.url("ws");
  }
  Client client;
  client.open(url);
  ASSERT_TRUE(client.handler.wait_for_close());
  EXPECT_EQ(client.close_code(), Code::kNetwork);
}

TEST(LwsTransport, RefusesBadArgumentsBeforeAnyConnection) {
  Client client;
  for (const ConnectRequest& request :
       {ConnectRequest{"http://127.0.0.1/", "chatsdk.v1", ""}, ConnectRequest{"ws://", "chatsdk.v1", ""},
        ConnectRequest{"ws://127.0.0.1/", "chatsdk.v1", "a\r\nX: y"}}) {
    RecordingHandler handler;
    client.engine.run([&] { client.transport->open(request, handler); });
    ASSERT_TRUE(handler.wait_for_close());
    EXPECT_EQ(handler.close_info.error.code, Code::kInvalidArgument);
  }
}

TEST(LwsTransport, IgnoresTheProxyOfTheEnvironment) {
  RawPeer proxy([](RawConnection& connection) { connection.read_to_end(); });
  RawPeer peer(echo);
  setenv("http_proxy", proxy.url("http").c_str(), 1);
  Client client;

  client.open(peer.url("ws"));
  const bool opened = client.handler.wait_for_open();
  unsetenv("http_proxy");

  EXPECT_TRUE(opened);
  EXPECT_EQ(proxy.received(), "");
}

TEST(LwsTransport, TriesEveryAddressOfAHost) {
  RawPeer peer(echo);
  LwsOptions options;
  options.resolver = resolver_of({"127.0.0.77", "::1", "127.0.0.1"});
  Client client(options);
  client.open(peer.url("ws", "chat.example"));
  ASSERT_TRUE(client.handler.wait_for_open()) << client.handler.close_info.error.detail;
  EXPECT_NE(peer.received().find("Host: chat.example"), std::string::npos) << peer.received();
}

TEST(LwsTransport, ReportsAHostWithoutAnAddressThatAnswers) {
  RawPeer peer(echo);
  LwsOptions options;
  options.resolver = resolver_of({"127.0.0.77", "127.0.0.78"});
  Client client(options);
  client.open(peer.url("ws", "chat.example"));
  ASSERT_TRUE(client.handler.wait_for_close());
  EXPECT_EQ(client.close_code(), Code::kNetwork);
}

TEST(LwsTransport, ReportsAHostThatCannotBeResolved) {
  LwsOptions options;
  options.resolver = std::make_shared<Resolver>(
      [](const std::string&) -> Result<std::vector<std::string>> { return error(Code::kNetwork, "no such host"); });
  Client client(options);
  client.open("ws://chat.example/");
  ASSERT_TRUE(client.handler.wait_for_close());
  EXPECT_EQ(client.close_code(), Code::kNetwork);
  EXPECT_EQ(client.handler.close_info.error.detail, "no such host");
}

TEST(LwsTransport, EndsAndShutsDownWhileALookUpHangs) {
  auto released = std::make_shared<std::promise<void>>();  // shared with the look-up, which outlives the client
  {
    LwsOptions options;
    options.connect_timeout = 20ms;
    options.resolver = std::make_shared<Resolver>(
        [future = released->get_future().share(), released](const std::string&) -> Result<std::vector<std::string>> {
          future.wait();
          return error(Code::kNetwork, "late");
        });
    Client client(options);
    client.open("ws://chat.example/");
    ASSERT_TRUE(client.handler.wait_for_close());
    EXPECT_EQ(client.close_code(), Code::kNetwork);
  }
  released->set_value();
}

// ---- IPv6 ----

TEST(LwsTransport, ConnectsToAnAddressOfIpv6) {
  if (!has_ipv6_loopback()) GTEST_SKIP() << "no ::1";  // tidy: switched off: machines without IPv6
  RawPeer peer(echo, RawPeerOptions{.address = "::1"});
  Client client;

  client.open(peer.url("ws", "[::1]"));

  ASSERT_TRUE(client.handler.wait_for_open()) << client.handler.close_info.error.detail;
  EXPECT_NE(peer.received().find("\r\nHost: [::1]:" + std::to_string(peer.port()) + "\r\n"), std::string::npos)
      << peer.received();
}

TEST(LwsTransport, ConnectsToANameThatHasOnlyIpv6) {
  if (!has_ipv6_loopback()) GTEST_SKIP() << "no ::1";  // tidy: switched off: machines without IPv6
  RawPeer peer(echo, RawPeerOptions{.address = "::1"});
  LwsOptions options;
  options.resolver = resolver_of({"::1"});
  Client client(options);

  client.open(peer.url("ws", "chat.example"));

  EXPECT_TRUE(client.handler.wait_for_open()) << client.handler.close_info.error.detail;
}

// Holds on a machine without IPv6 too: there the first address cannot even be tried.
TEST(LwsTransport, FallsBackToIpv4WhenNobodyListensOnIpv6) {
  RawPeer peer(echo);
  LwsOptions options;
  options.resolver = resolver_of({"::1", "127.0.0.1"});
  Client client(options);

  client.open(peer.url("ws", "chat.example"));

  ASSERT_TRUE(client.handler.wait_for_open()) << client.handler.close_info.error.detail;
  client.send("over IPv4");
  ASSERT_TRUE(client.handler.wait([](const auto& handler) { return handler.frames.size() == 1; }));
  EXPECT_EQ(client.handler.frames[0], "over IPv4");
}

TEST(LwsTransport, FallsBackToIpv6WhenNobodyListensOnIpv4) {
  if (!has_ipv6_loopback()) GTEST_SKIP() << "no ::1";  // tidy: switched off: machines without IPv6
  RawPeer peer(echo, RawPeerOptions{.address = "::1"});
  LwsOptions options;
  options.resolver = resolver_of({"127.0.0.77", "::1"});
  Client client(options);

  client.open(peer.url("ws", "chat.example"));

  EXPECT_TRUE(client.handler.wait_for_open()) << client.handler.close_info.error.detail;
}

}  // namespace
}  // namespace chatsdk
