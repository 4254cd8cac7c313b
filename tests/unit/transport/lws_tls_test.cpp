// SPDX-License-Identifier: Apache-2.0
//
// LwsTransport and the certificates, versions and names of its TLS peers: before the token leaves, all is judged.
#include "unit/transport/lws_fixture.h"

#include <cstdlib>
#include <future>
#include <string>
#include <string_view>

namespace chatsdk {
namespace {

using namespace std::chrono_literals;
using namespace test;

// ---- TLS ----

TEST(LwsTransportTls, AcceptsAGoodCertificateByNameAndByAddress) {
  TestCa ca;
  RawPeer peer(echo, ca.issue({}));
  for (const char* host : {"localhost", "127.0.0.1"}) {
    Client client({.ca_file = ca.root_file()});
    client.open(peer.url("wss", host));
    ASSERT_TRUE(client.handler.wait_for_open()) << host << client.handler.close_info.error.detail;
    client.send(Bytes(100'000, 'x'));
    ASSERT_TRUE(client.handler.wait([](const auto& handler) { return handler.frames.size() == 1; }));
    EXPECT_EQ(client.handler.frames[0], Bytes(100'000, 'x'));
  }
}

TEST(LwsTransportTls, RefusesEveryBadCertificateBeforeTheTokenLeaves) {
  const TestCa ca;
  for (const BadCertificate& bad : bad_certificates()) {
    RawPeer peer([](RawConnection& connection) { connection.read_to_end(); }, bad.make(ca));
    Client client({.ca_file = ca.root_file()});

    client.open(peer.url("wss", bad.host));

    ASSERT_TRUE(client.handler.wait_for_close()) << bad.name;
    EXPECT_EQ(client.close_code(), Code::kTls) << bad.name << ": " << client.handler.close_info.error.detail;
    EXPECT_NE(client.handler.close_info.error.detail.find(bad.reason), std::string::npos)
        << bad.name << ": " << client.handler.close_info.error.detail;
    EXPECT_EQ(client.handler.close_info.error.cause.domain, CauseDomain::kTls) << bad.name;
    EXPECT_NE(client.handler.close_info.error.cause.code, 0) << bad.name;
    EXPECT_EQ(client.handler.opened, 0) << bad.name;
    ASSERT_TRUE(peer.wait_for_ended(1)) << bad.name;
    EXPECT_EQ(peer.received(), "") << bad.name;
  }
}

TEST(LwsTransportTls, DoesNotTrustTheSystemsRootsBesideAGivenFile) {
  const TestCa trusted;
  const TestCa system;
  setenv("SSL_CERT_FILE", system.root_file().c_str(), 1);
  RawPeer peer(echo, system.issue({}));
  {
    Client given({.ca_file = trusted.root_file()});
    given.open(peer.url("wss", "localhost"));
    ASSERT_TRUE(given.handler.wait_for_close());
    EXPECT_EQ(given.close_code(), Code::kTls);
  }
  Client defaults;
  defaults.open(peer.url("wss", "localhost"));
  const bool opened = defaults.handler.wait_for_open();
  unsetenv("SSL_CERT_FILE");
  EXPECT_TRUE(opened) << defaults.handler.close_info.error.detail;
}

TEST(LwsTransportTls, VerifiesTheNameAtWhateverAddress) {
  const TestCa ca;
  RawPeer named(echo, ca.issue({.dns_names = {"chat.example"}, .addresses = {}}));
  RawPeer other(echo, ca.issue({.dns_names = {"other.example"}, .addresses = {"127.0.0.1"}}));
  LwsOptions options;
  options.ca_file = ca.root_file();
  options.resolver = resolver_of({"127.0.0.77", "127.0.0.1"});
  Client good(options);
  good.open(named.url("wss", "chat.example"));
  EXPECT_TRUE(good.handler.wait_for_open()) << good.handler.close_info.error.detail;
  Client bad(options);
  bad.open(other.url("wss", "chat.example"));
  ASSERT_TRUE(bad.handler.wait_for_close());
  EXPECT_EQ(bad.close_code(), Code::kTls) << bad.handler.close_info.error.detail;
  EXPECT_EQ(other.received(), "");
}

TEST(LwsTransportTls, ReportsAPeerThatDoesNotSpeakTls) {
  RawPeer peer([](RawConnection& connection) {
    connection.read_exactly(5);
    connection.write("HTTP/1.1 400 Bad Request\r\n\r\n");
  });
  Client client;
  client.open(peer.url("wss", "localhost"));
  ASSERT_TRUE(client.handler.wait_for_close());
  EXPECT_EQ(client.close_code(), Code::kTls) << client.handler.close_info.error.detail;
  EXPECT_EQ(peer.received().find(kToken), std::string::npos);
}

TEST(LwsTransportTls, CallsAnEndOfStreamInTheHandshakeANetworkError) {
  RawPeer peer([](RawConnection& connection) { connection.read_exactly(5); });
  Client client;
  client.open(peer.url("wss", "localhost"));
  ASSERT_TRUE(client.handler.wait_for_close());
  EXPECT_EQ(client.close_code(), Code::kNetwork) << client.handler.close_info.error.detail;
}

TEST(LwsTransportTls, ReportsACaFileThatCannotBeRead) {
  Client client({.ca_file = "/nonexistent/ca.pem"});
  client.open("wss://127.0.0.1:9/");
  ASSERT_TRUE(client.handler.wait_for_close());
  EXPECT_EQ(client.close_code(), Code::kTls);
}

TEST(LwsTransportTls, AcceptsAChainThatComesWithItsIntermediate) {
  const TestCa root;
  const TestCa between(root, {.common_name = "between"});
  RawPeer peer(echo, between.issue({}));
  Client client({.ca_file = root.root_file()});

  client.open(peer.url("wss", "localhost"));

  EXPECT_TRUE(client.handler.wait_for_open()) << client.handler.close_info.error.detail;
}

TEST(LwsTransportTls, SpeaksTheCurrentVersions) {
  const TestCa ca;
  for (const int version : kCurrentTlsVersions) {
    RawPeer peer(echo, RawPeerOptions{.identity = ca.issue({}), .tls_version = version});
    Client client({.ca_file = ca.root_file()});

    client.open(peer.url("wss", "localhost"));

    EXPECT_TRUE(client.handler.wait_for_open()) << version << client.handler.close_info.error.detail;
  }
}

TEST(LwsTransportTls, RefusesAServerThatOffersOnlyOldVersions) {
  const TestCa ca;
  for (const int version : kOldTlsVersions) {
    RawPeer peer([](RawConnection& connection) { connection.read_to_end(); },
                 RawPeerOptions{.identity = ca.issue({}), .tls_version = version});
    Client client({.ca_file = ca.root_file()});

    client.open(peer.url("wss", "localhost"));

    ASSERT_TRUE(client.handler.wait_for_close()) << version;
    EXPECT_EQ(client.close_code(), Code::kTls) << version << client.handler.close_info.error.detail;
    EXPECT_EQ(client.handler.opened, 0) << version;
    ASSERT_TRUE(peer.wait_for_ended(1)) << version;
    EXPECT_EQ(peer.handshakes(), 0u) << version;
    EXPECT_EQ(peer.received(), "") << version;
    EXPECT_TRUE(tls_handshake_succeeds(peer.port(), version)) << "the peer itself does not speak " << version;
  }
}

TEST(LwsTransportTls, RefusesAServerThatChoosesAnOldVersion) {
  for (const int version : kOldTlsVersions) {
    RawPeer peer([version](RawConnection& connection) {
      connection.read_exactly(5);
      connection.write(tls_server_hello(version));
      connection.read_to_end();
    });
    Client client;

    client.open(peer.url("wss", "localhost"));

    ASSERT_TRUE(client.handler.wait_for_close()) << version;
    EXPECT_EQ(client.close_code(), Code::kTls) << version << client.handler.close_info.error.detail;
    EXPECT_EQ(peer.received().find(kToken), std::string::npos) << version;
  }
}

TEST(LwsTransportTls, JudgesAnAddressOfIpv6) {
  if (!has_ipv6_loopback()) GTEST_SKIP() << "no ::1";  // tidy: switched off: machines without IPv6
  const TestCa ca;
  RawPeer good(echo, RawPeerOptions{.identity = ca.issue({.dns_names = {}, .addresses = {"::1"}}), .address = "::1"});
  RawPeer other(echo, RawPeerOptions{.identity = ca.issue({.dns_names = {}, .addresses = {"::2"}}), .address = "::1"});
  Client accepting({.ca_file = ca.root_file()});
  Client refusing({.ca_file = ca.root_file()});

  accepting.open(good.url("wss", "[::1]"));
  refusing.open(other.url("wss", "[::1]"));

  EXPECT_TRUE(accepting.handler.wait_for_open()) << accepting.handler.close_info.error.detail;
  ASSERT_TRUE(refusing.handler.wait_for_close());
  EXPECT_EQ(refusing.close_code(), Code::kTls) << refusing.handler.close_info.error.detail;
  EXPECT_EQ(other.received(), "");
}

// RFC 6066 section 3: a server name is a name, never an address.
TEST(LwsTransportTls, AsksForANameByTheServerNameAndForAnAddressByNone) {
  const TestCa ca;
  struct Case {
    const char* address;
    const char* host;
    const char* server_name;
  };
  for (const Case& expected :
       {Case{"127.0.0.1", "localhost", "localhost"}, Case{"127.0.0.1", "127.0.0.1", ""}, Case{"::1", "[::1]", ""}}) {
    if (std::string_view(expected.address) == "::1" && !has_ipv6_loopback()) continue;
    std::promise<std::string> asked;
    RawPeer peer(
        [&asked](RawConnection& connection) {
          asked.set_value(connection.server_name());
          echo(connection);
        },
        RawPeerOptions{.identity = ca.issue({.addresses = {"127.0.0.1", "::1"}}), .address = expected.address});
    Client client({.ca_file = ca.root_file()});

    client.open(peer.url("wss", expected.host));

    ASSERT_TRUE(client.handler.wait_for_open()) << expected.host << client.handler.close_info.error.detail;
    EXPECT_EQ(asked.get_future().get(), expected.server_name) << expected.host;
  }
}

// libwebsockets keeps the place where a TLS session finds its connection in a variable of the process.
TEST(LwsTransportTls, HandshakesWhileAnotherClientBegins) {
  const TestCa ca;
  std::promise<void> greeted;
  std::promise<void> go_on;
  RawPeer slow(echo, RawPeerOptions{.identity = ca.issue({}), .before_handshake = [&] {
                                      greeted.set_value();
                                      go_on.get_future().wait();
                                    }});
  RawPeer quick(echo, ca.issue({}));
  Client first({.ca_file = ca.root_file()});
  Client second({.ca_file = ca.root_file()});

  first.open(slow.url("wss", "localhost"));
  EXPECT_EQ(greeted.get_future().wait_for(60s), std::future_status::ready);
  second.open(quick.url("wss", "localhost"));
  EXPECT_TRUE(second.handler.wait_for_open()) << second.handler.close_info.error.detail;
  go_on.set_value();

  EXPECT_TRUE(first.handler.wait_for_open()) << first.handler.close_info.error.detail;
}

}  // namespace
}  // namespace chatsdk
