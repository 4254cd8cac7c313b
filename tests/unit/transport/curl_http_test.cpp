// SPDX-License-Identifier: Apache-2.0
//
// CurlHttp against scripted peers on loopback.
#include "transport/curl_http.h"

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>

#include "unit/transport/adapter_fixture.h"

namespace chatsdk {
namespace {

using namespace std::chrono_literals;
using namespace test;

struct HttpSide {
  explicit HttpSide(CurlOptions options = {}) {
    engine.run([&] { http = std::make_unique<CurlHttp>(engine.executor(), std::move(options), log); });
  }
  ~HttpSide() {
    engine.run([&] { http.reset(); });
  }

  HttpClient::RequestId start(HttpRequest request, HttpClient::Callback callback) {
    HttpClient::RequestId id = 0;
    engine.run([&] { id = http->request(std::move(request), std::move(callback)); });
    return id;
  }
  Result<HttpResponse> get(HttpRequest request) {
    std::promise<Result<HttpResponse>> answer;
    start(std::move(request), [&](Result<HttpResponse> result) { answer.set_value(std::move(result)); });
    return answer.get_future().get();
  }
  Result<HttpResponse> get(const std::string& url) { return get(HttpRequest{"GET", url, {}, {}}); }

  RecordingLog log;
  Engine engine;
  std::unique_ptr<CurlHttp> http;
};

// Reads one request with its body, then answers.
RawPeer::Script answer_with(std::string answer) {
  return [answer = std::move(answer)](RawConnection& connection) {
    while (const auto head = connection.read_until("\r\n\r\n")) {
      const std::size_t length = head->find("Content-Length: ");
      if (length != std::string::npos) connection.read_exactly(std::stoul(head->substr(length + 16)));
      connection.write(answer);
    }
  };
}

std::string ok(std::string_view body, std::string_view headers = "") {
  return "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) + "\r\n" + std::string(headers) + "\r\n" +
         std::string(body);
}

void hold(RawConnection& connection) { connection.read_to_end(); }

TEST(CurlHttp, GetsWithHeadersAndNothingUnasked) {
  RawPeer peer(answer_with(ok("hello", "X-Some-Thing:  Value \r\nX-Twice: a\r\nX-Twice: b\r\n")));
  HttpSide side;

  const auto answer = side.get({"GET",
                                peer.url("http", "127.0.0.1", "/a?b=c"),
                                {{"authorization", std::string("Bearer ") + kToken}, {"x-empty", ""}},
                                {}});

  ASSERT_TRUE(answer.ok()) << answer.error().detail;
  EXPECT_EQ(answer->status, 200);
  EXPECT_EQ(answer->body, "hello");
  EXPECT_EQ(header(answer->headers, "x-some-thing"), "Value");
  EXPECT_EQ(header(answer->headers, "x-twice"), "a, b");
  const std::string request = peer.received();
  EXPECT_EQ(request.substr(0, request.find("\r\n")), "GET /a?b=c HTTP/1.1");
  EXPECT_NE(request.find("authorization: Bearer " + std::string(kToken) + "\r\n"), std::string::npos) << request;
  EXPECT_NE(request.find("x-empty:\r\n"), std::string::npos) << request;
  for (const char* unasked : {"Accept-Encoding", "Cookie", "Expect", "Content-Type"}) {
    EXPECT_EQ(request.find(unasked), std::string::npos) << request;
  }
  EXPECT_EQ(side.log.text().find(kToken), std::string::npos);
}

TEST(CurlHttp, TriesEveryAddressThatTheResolverGives) {
  RawPeer peer(answer_with(ok("hello")));
  CurlOptions options;
  options.resolver = std::make_shared<Resolver>([](const std::string&) -> Result<std::vector<std::string>> {
    return std::vector<std::string>{"127.0.0.77", "127.0.0.1"};
  });
  HttpSide side(options);
  const auto answer = side.get(peer.url("http", "Chat.Example."));
  ASSERT_TRUE(answer.ok()) << answer.error().detail;
  EXPECT_EQ(answer->body, "hello");
}

TEST(CurlHttp, ReportsANameThatIsNotResolved) {
  auto released = std::make_shared<std::promise<void>>();  // shared with the look-up, which outlives the client
  CurlOptions options;
  options.connect_timeout = 20ms;
  options.resolver = std::make_shared<Resolver>(
      [future = released->get_future().share(), released](const std::string& host) -> Result<std::vector<std::string>> {
        if (host == "slow.example") future.wait();
        return error(Code::kNetwork, "no such host");
      });
  {
    HttpSide side(options);
    EXPECT_EQ(side.get("http://gone.example/").code(), Code::kNetwork);
    EXPECT_EQ(side.get("http://slow.example/").code(), Code::kTimedOut);
  }
  released->set_value();
}

TEST(CurlHttp, SendsEveryMethodWithItsBody) {
  RawPeer peer(answer_with(ok("done")));
  HttpSide side;
  const Bytes body("\0binary\xff", 8);
  for (const char* method : {"POST", "PUT", "PATCH", "DELETE"}) {
    const auto answer = side.get({method, peer.url("http"), {{"content-type", "application/x-protobuf"}}, body});
    ASSERT_TRUE(answer.ok()) << method << answer.error().detail;
    EXPECT_EQ(answer->body, "done");
    EXPECT_NE(peer.received().find(std::string(method) + " / HTTP/1.1\r\n"), std::string::npos);
    EXPECT_EQ(peer.received().substr(peer.received().size() - body.size()), body);
  }
  EXPECT_TRUE(side.get({"DELETE", peer.url("http"), {}, {}}).ok());
}

TEST(CurlHttp, HandsOverEveryStatusAndFollowsNoRedirect) {
  RawPeer elsewhere(answer_with(ok("no")));
  for (const int status : {201, 302, 400, 401, 404, 429, 500, 503}) {
    RawPeer peer(answer_with("HTTP/1.1 " + std::to_string(status) + " X\r\nLocation: " + elsewhere.url("http") +
                             "\r\nRetry-After: 3\r\nContent-Length: 2\r\n\r\nno"));
    HttpSide side;
    const auto answer = side.get(peer.url("http"));
    ASSERT_TRUE(answer.ok()) << status << answer.error().detail;
    EXPECT_EQ(answer->status, status);
    EXPECT_EQ(answer->body, "no");
    EXPECT_EQ(header(answer->headers, "retry-after"), "3");
  }
  EXPECT_EQ(elsewhere.received(), "");
}

TEST(CurlHttp, TakesAnAnswerWithoutABody) {
  RawPeer peer(answer_with("HTTP/1.1 204 No Content\r\n\r\n"));
  HttpSide side;
  const auto answer = side.get({"POST", peer.url("http"), {}, "x"});
  ASSERT_TRUE(answer.ok());
  EXPECT_EQ(answer->status, 204);
  EXPECT_EQ(answer->body, "");
}

TEST(CurlHttp, LimitsTheBodyExactly) {
  for (const bool chunked : {false, true}) {
    for (const std::size_t size : {999u, 1'000u, 1'001u}) {
      const std::string body(size, 'x');
      char chunk_size[16];
      std::snprintf(chunk_size, sizeof chunk_size, "%zx", size);
      RawPeer peer(answer_with(chunked ? "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" +
                                             std::string(chunk_size) + "\r\n" + body + "\r\n0\r\n\r\n"
                                       : ok(body)));
      HttpSide side({.body_bytes_max = 1'000});
      const auto answer = side.get(peer.url("http"));
      EXPECT_EQ(answer.code(), size > 1'000 ? Code::kTooLarge : Code::kOk) << size;
    }
  }
}

TEST(CurlHttp, LimitsTheHeaders) {
  std::string headers;
  for (int i = 0; i < 100; ++i) headers += "X-" + std::to_string(i) + ": " + std::string(1'000, 'x') + "\r\n";
  RawPeer peer(answer_with(ok("", headers)));
  HttpSide side;
  EXPECT_EQ(side.get(peer.url("http")).code(), Code::kTooLarge);
}

TEST(CurlHttp, ReportsSilenceAsTimedOut) {
  RawPeer peer(hold);
  HttpSide side;
  EXPECT_EQ(side.get({"GET", peer.url("http"), {}, {}, 50ms}).code(), Code::kTimedOut);
}

TEST(CurlHttp, ReportsWhatTheNetworkDoes) {
  std::string gone;
  {
    RawPeer peer(hold);
    gone = peer.url("http");
  }
  RawPeer hanging_up([](RawConnection& connection) { connection.read_until("\r\n\r\n"); });
  RawPeer cut(answer_with("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort"));
  RawPeer resetting([](RawConnection& connection) {
    connection.read_until("\r\n\r\n");
    connection.reset();
  });
  HttpSide side;
  const auto refused = side.get(gone);
  EXPECT_EQ(refused.code(), Code::kNetwork);
  EXPECT_EQ(refused.error().cause, (Cause{CauseDomain::kCurl, 7}));  // CURLE_COULDNT_CONNECT
  EXPECT_EQ(side.get(hanging_up.url("http")).code(), Code::kNetwork);
  EXPECT_EQ(side.get(resetting.url("http")).code(), Code::kNetwork);
  EXPECT_EQ(side.get({"GET", cut.url("http"), {}, {}, 300ms}).code(), Code::kTimedOut);
}

TEST(CurlHttp, RefusesBadArgumentsBeforeAnyConnection) {
  HttpSide side;
  for (const HttpRequest& request :
       {HttpRequest{"GET", "ftp://127.0.0.1/", {}, {}}, HttpRequest{"GET", "file:///etc/hostname", {}, {}},
        HttpRequest{"GET", "ws://127.0.0.1/", {}, {}}, HttpRequest{"GET", "http://u:p@127.0.0.1/", {}, {}},
        HttpRequest{"G T", "http://127.0.0.1/", {}, {}}, HttpRequest{"GET", "http://127.0.0.1/", {{"a b", "c"}}, {}},
        HttpRequest{"GET", "http://127.0.0.1/", {{"a", "b\r\nc: d"}}, {}}}) {
    EXPECT_EQ(side.get(request).code(), Code::kInvalidArgument) << request.url;
  }
}

TEST(CurlHttp, CallsNobodyBackAfterCancel) {
  RawPeer peer(hold);
  RawPeer other(answer_with(ok("x")));
  HttpSide side;
  bool called = false;
  const auto id = side.start({"GET", peer.url("http"), {}, {}}, [&](Result<HttpResponse>) { called = true; });

  side.engine.run([&] { side.http->cancel(id); });
  side.engine.run([&] { side.http->cancel(id + 1'000); });

  EXPECT_TRUE(side.get(other.url("http")).ok());
  EXPECT_FALSE(called);
}

TEST(CurlHttp, ServesManyRequestsAtOnce) {
  RawPeer peer(answer_with(ok("x")));
  HttpSide side;
  std::promise<void> all;
  int left = 20;
  side.engine.run([&] {
    for (int i = 0; i < 20; ++i) {
      side.http->request({"GET", peer.url("http"), {}, {}}, [&](Result<HttpResponse> answer) {
        EXPECT_TRUE(answer.ok());
        if (--left == 0) all.set_value();
      });
    }
  });
  EXPECT_EQ(all.get_future().wait_for(60s), std::future_status::ready);
}

TEST(CurlHttp, StartsAgainAfterTheThreadEndedIdle) {
  RawPeer peer(answer_with(ok("x")));
  HttpSide side({.idle = 1ms});
  for (int i = 0; i < 20; ++i) EXPECT_TRUE(side.get(peer.url("http")).ok());
}

TEST(CurlHttp, AnswersEveryRequestAtShutdownAndStartsAgain) {
  RawPeer silent(hold);
  RawPeer peer(answer_with(ok("x")));
  HttpSide side;
  std::promise<Code> ended;
  side.start({"GET", silent.url("http"), {}, {}}, [&](Result<HttpResponse> answer) { ended.set_value(answer.code()); });

  side.engine.run([&] { side.http->shutdown(); });

  EXPECT_EQ(ended.get_future().get(), Code::kClosed);
  EXPECT_TRUE(side.get(peer.url("http")).ok());
}

TEST(CurlHttp, CanBeDestroyedWithRequestsUnderWay) {
  RawPeer silent(hold);
  RawPeer quick(answer_with(ok("x")));
  { HttpSide untouched; }
  for (const std::string& url : {silent.url("http"), silent.url("https"), quick.url("http")}) {
    HttpSide side;
    for (int i = 0; i < 5; ++i) {
      side.start({"GET", url, {}, {}}, [](Result<HttpResponse>) {});
    }
  }
}

TEST(CurlHttp, UsesAProxyOfTheEnvironmentOnlyWhenAsked) {
  RawPeer proxy(answer_with(ok("proxy")));
  RawPeer peer(answer_with(ok("peer")));
  setenv("http_proxy", proxy.url("http").c_str(), 1);
  HttpSide direct;
  HttpSide proxied({.proxy_of_environment = true});

  const auto without = direct.get(peer.url("http"));
  const auto with = proxied.get(peer.url("http"));
  unsetenv("http_proxy");

  ASSERT_TRUE(without.ok() && with.ok());
  EXPECT_EQ(without->body, "peer");
  EXPECT_EQ(with->body, "proxy");
}

TEST(CurlHttp, DoesNothingOutsideDriveWithoutItsOwnThread) {
  RawPeer peer(answer_with(ok("ticked")));
  RecordingLog log;
  SystemClock clock;
  ManualExecutor engine(clock);
  CurlHttp http(engine, {.own_thread = false}, log);
  std::optional<Result<HttpResponse>> answer;
  http.request({"GET", peer.url("http"), {}, {}}, [&](Result<HttpResponse> result) { answer = std::move(result); });
  const auto until = clock.monotonic_now() + 10s;

  while (!answer && clock.monotonic_now() < until) {
    http.drive();
    engine.run_ready();
  }

  ASSERT_TRUE(answer.has_value());
  ASSERT_TRUE(answer->ok());
  EXPECT_EQ((*answer)->body, "ticked");
}

// ---- TLS ----

TEST(CurlHttpTls, AcceptsAGoodCertificateByNameAndByAddress) {
  TestCa ca;
  RawPeer peer(answer_with(ok("secure")), ca.issue({}));
  for (const char* host : {"localhost", "127.0.0.1"}) {
    HttpSide side({.ca_file = ca.root_file()});
    const auto answer = side.get(peer.url("https", host));
    ASSERT_TRUE(answer.ok()) << host << answer.error().detail;
    EXPECT_EQ(answer->body, "secure");
  }
}

TEST(CurlHttpTls, RefusesEveryBadCertificateBeforeTheTokenLeaves) {
  const TestCa ca;
  for (const BadCertificate& bad : bad_certificates()) {
    RawPeer peer([](RawConnection& connection) { connection.read_to_end(); }, bad.make(ca));
    HttpSide side({.ca_file = ca.root_file()});

    const auto answer =
        side.get({"GET", peer.url("https", bad.host), {{"authorization", std::string("Bearer ") + kToken}}, {}});

    ASSERT_EQ(answer.code(), Code::kTls) << bad.name << (answer.ok() ? "" : answer.error().detail);
    EXPECT_NE(answer.error().detail.find(bad.reason), std::string::npos) << bad.name << ": " << answer.error().detail;
    EXPECT_EQ(answer.error().cause.domain, CauseDomain::kTls) << bad.name;
    EXPECT_NE(answer.error().cause.code, 0) << bad.name;
    ASSERT_TRUE(peer.wait_for_ended(1)) << bad.name;
    EXPECT_EQ(peer.received(), "") << bad.name;
  }
}

TEST(CurlHttpTls, ReportsAPeerThatDoesNotSpeakTlsAndOneThatLeaves) {
  RawPeer plain([](RawConnection& connection) {
    connection.read_exactly(5);
    connection.write("HTTP/1.1 400 Bad Request\r\n\r\n");
  });
  RawPeer leaving([](RawConnection& connection) { connection.read_exactly(5); });
  HttpSide side;
  EXPECT_EQ(side.get(plain.url("https", "localhost")).code(), Code::kTls);
  const auto left = side.get(leaving.url("https", "localhost"));
  EXPECT_EQ(left.code(), Code::kNetwork) << left.error().detail;
}

TEST(CurlHttpTls, ReportsACaFileThatCannotBeRead) {
  TestCa ca;
  RawPeer peer(answer_with(ok("x")), ca.issue({}));
  HttpSide side({.ca_file = "/nonexistent/ca.pem"});
  EXPECT_EQ(side.get(peer.url("https", "localhost")).code(), Code::kTls);
}

TEST(CurlHttpTls, AcceptsAChainThatComesWithItsIntermediate) {
  const TestCa root;
  const TestCa between(root, {.common_name = "between"});
  RawPeer peer(answer_with(ok("secure")), between.issue({}));
  HttpSide side({.ca_file = root.root_file()});

  const auto answer = side.get(peer.url("https", "localhost"));

  EXPECT_TRUE(answer.ok()) << answer.error().detail;
}

TEST(CurlHttpTls, SpeaksTheCurrentVersions) {
  const TestCa ca;
  for (const int version : kCurrentTlsVersions) {
    RawPeer peer(answer_with(ok("secure")), RawPeerOptions{.identity = ca.issue({}), .tls_version = version});
    HttpSide side({.ca_file = ca.root_file()});

    EXPECT_TRUE(side.get(peer.url("https", "localhost")).ok()) << version;
  }
}

TEST(CurlHttpTls, RefusesAServerThatOffersOnlyOldVersions) {
  const TestCa ca;
  for (const int version : kOldTlsVersions) {
    RawPeer peer(hold, RawPeerOptions{.identity = ca.issue({}), .tls_version = version});
    HttpSide side({.ca_file = ca.root_file()});

    const auto answer =
        side.get({"GET", peer.url("https", "localhost"), {{"authorization", std::string("Bearer ") + kToken}}, {}});

    ASSERT_EQ(answer.code(), Code::kTls) << version << (answer.ok() ? "" : answer.error().detail);
    ASSERT_TRUE(peer.wait_for_ended(1)) << version;
    EXPECT_EQ(peer.handshakes(), 0u) << version;
    EXPECT_EQ(peer.received(), "") << version;
    EXPECT_TRUE(tls_handshake_succeeds(peer.port(), version)) << "the peer itself does not speak " << version;
  }
}

TEST(CurlHttpTls, RefusesAServerThatChoosesAnOldVersion) {
  for (const int version : kOldTlsVersions) {
    RawPeer peer([version](RawConnection& connection) {
      connection.read_exactly(5);
      connection.write(tls_server_hello(version));
      connection.read_to_end();
    });
    HttpSide side;

    const auto answer =
        side.get({"GET", peer.url("https", "localhost"), {{"authorization", std::string("Bearer ") + kToken}}, {}});

    EXPECT_EQ(answer.code(), Code::kTls) << version << (answer.ok() ? "" : answer.error().detail);
    EXPECT_EQ(peer.received().find(kToken), std::string::npos) << version;
  }
}

// ---- IPv6 ----

TEST(CurlHttp, ConnectsToAnAddressOfIpv6) {
  if (!has_ipv6_loopback()) GTEST_SKIP() << "no ::1";  // tidy: switched off: machines without IPv6
  RawPeer peer(answer_with(ok("hello")), RawPeerOptions{.address = "::1"});
  HttpSide side;

  const auto answer = side.get(peer.url("http", "[::1]"));

  ASSERT_TRUE(answer.ok()) << answer.error().detail;
  EXPECT_EQ(answer->body, "hello");
  EXPECT_NE(peer.received().find("\r\nHost: [::1]:" + std::to_string(peer.port()) + "\r\n"), std::string::npos)
      << peer.received();
}

TEST(CurlHttp, ConnectsToANameThatHasOnlyIpv6) {
  if (!has_ipv6_loopback()) GTEST_SKIP() << "no ::1";  // tidy: switched off: machines without IPv6
  RawPeer peer(answer_with(ok("hello")), RawPeerOptions{.address = "::1"});
  CurlOptions options;
  options.resolver = resolver_of({"::1"});
  HttpSide side(options);

  const auto answer = side.get(peer.url("http", "chat.example"));

  EXPECT_TRUE(answer.ok()) << answer.error().detail;
}

// Holds on a machine without IPv6 too: there the first address cannot even be tried.
TEST(CurlHttp, FallsBackToIpv4WhenNobodyListensOnIpv6) {
  RawPeer peer(answer_with(ok("over IPv4")));
  CurlOptions options;
  options.resolver = resolver_of({"::1", "127.0.0.1"});
  HttpSide side(options);

  const auto answer = side.get(peer.url("http", "chat.example"));

  ASSERT_TRUE(answer.ok()) << answer.error().detail;
  EXPECT_EQ(answer->body, "over IPv4");
}

TEST(CurlHttp, FallsBackToIpv6WhenNobodyListensOnIpv4) {
  if (!has_ipv6_loopback()) GTEST_SKIP() << "no ::1";  // tidy: switched off: machines without IPv6
  RawPeer peer(answer_with(ok("over IPv6")), RawPeerOptions{.address = "::1"});
  CurlOptions options;
  options.resolver = resolver_of({"127.0.0.77", "::1"});
  HttpSide side(options);

  const auto answer = side.get(peer.url("http", "chat.example"));

  ASSERT_TRUE(answer.ok()) << answer.error().detail;
  EXPECT_EQ(answer->body, "over IPv6");
}

TEST(CurlHttpTls, JudgesAnAddressOfIpv6) {
  if (!has_ipv6_loopback()) GTEST_SKIP() << "no ::1";  // tidy: switched off: machines without IPv6
  const TestCa ca;
  RawPeer good(answer_with(ok("secure")),
               RawPeerOptions{.identity = ca.issue({.dns_names = {}, .addresses = {"::1"}}), .address = "::1"});
  RawPeer other(hold, RawPeerOptions{.identity = ca.issue({.dns_names = {}, .addresses = {"::2"}}), .address = "::1"});
  HttpSide side({.ca_file = ca.root_file()});

  const auto accepted = side.get(good.url("https", "[::1]"));

  EXPECT_TRUE(accepted.ok()) << accepted.error().detail;
  EXPECT_EQ(side.get(other.url("https", "[::1]")).code(), Code::kTls);
  EXPECT_EQ(other.received(), "");
}

// RFC 6066 section 3: a server name is a name, never an address.
TEST(CurlHttpTls, AsksForANameByTheServerNameAndForAnAddressByNone) {
  const TestCa ca;
  for (const bool by_name : {true, false}) {
    std::promise<std::string> asked;
    RawPeer peer(
        [&asked](RawConnection& connection) {
          asked.set_value(connection.server_name());
          answer_with(ok("secure"))(connection);
        },
        ca.issue({}));
    HttpSide side({.ca_file = ca.root_file()});

    ASSERT_TRUE(side.get(peer.url("https", by_name ? "localhost" : "127.0.0.1")).ok());
    EXPECT_EQ(asked.get_future().get(), by_name ? "localhost" : "");
  }
}

}  // namespace
}  // namespace chatsdk
