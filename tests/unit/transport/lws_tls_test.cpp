// SPDX-License-Identifier: Apache-2.0
//
// LwsTransport and the certificates, versions and names of its TLS peers: before the token leaves, all is judged.
#include "unit/transport/lws_fixture.h"

#include <cstdlib>
#include <string>

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

}  // namespace
}  // namespace chatsdk
