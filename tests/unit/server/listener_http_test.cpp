// SPDX-License-Identifier: Apache-2.0
//
// HTTP, TLS, the executor and the start of the listener, over real sockets on loopback.
//
// Threads: the listener's and the test's.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <atomic>
#include <cstdio>
#include <filesystem>
#include <future>
#include <thread>

#include "unit/server/listener_fixture.h"

namespace chatsdk::test {
namespace {

using namespace std::chrono_literals;

using ListenerHttp = ListenerFixture;

constexpr const char* kGet = "GET /a?b=c HTTP/1.1\r\nHost: h\r\n\r\n";

TEST_F(ListenerHttp, AnswersRequestsOnOneConnectionInTurn) {
  start();
  RawClient client = connect();

  client.send(kGet);
  const RawClient::Response get = client.read_response();
  client.send("POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbo");
  client.send("dy");
  const RawClient::Response post = client.read_response();
  client.send("DELETE /d/%2e%2e/%00 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
  const RawClient::Response removal = client.read_response();

  EXPECT_EQ(get.status, 200);
  EXPECT_EQ(get.body, "GET /a?b=c ");
  EXPECT_EQ(get.headers.at("connection"), "keep-alive");
  EXPECT_FALSE(get.headers.contains("set-cookie"));
  EXPECT_FALSE(get.headers.contains("x-injected"));
  EXPECT_EQ(post.body, "POST /p body");
  EXPECT_EQ(removal.body, "DELETE /d/%2e%2e/%00 ");
  EXPECT_EQ(removal.headers.at("connection"), "close");
  EXPECT_TRUE(client.read_to_end());
}

TEST_F(ListenerHttp, CompressesNoAnswer) {
  start();
  RawClient client = connect();

  const std::string path = "/" + std::string(2'000, 'a');
  client.send("GET " + path + " HTTP/1.1\r\nHost: h\r\nAccept-Encoding: gzip, deflate, br, zstd\r\nTE: gzip\r\n\r\n");
  const RawClient::Response response = client.read_response();

  EXPECT_FALSE(response.headers.contains("content-encoding"));
  EXPECT_FALSE(response.headers.contains("transfer-encoding"));
  EXPECT_EQ(response.headers.at("content-length"), std::to_string(response.body.size()));
  EXPECT_EQ(response.body, "GET " + path + " ");
}

TEST_F(ListenerHttp, PipelinedRequestsAreAnsweredInOrder) {
  start();
  RawClient client = connect();

  std::string requests = "GET /later HTTP/1.1\r\nHost: h\r\n\r\n";
  for (int i = 0; i < 20; ++i) requests += "GET /" + std::to_string(i) + " HTTP/1.1\r\nHost: h\r\n\r\n";
  client.send(requests);
  http_.release();

  EXPECT_EQ(client.read_response().body, "late");
  for (int i = 0; i < 20; ++i) EXPECT_EQ(client.read_response().body, "GET /" + std::to_string(i) + " ");
}

TEST_F(ListenerHttp, RefusalsAreProblemsAndEndTheConnection) {
  struct Case {
    const char* what;
    std::string bytes;
    int status;
    const char* code;
  };
  const std::vector<Case> cases = {
      {"body over the limit", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 65537\r\n\r\n" + std::string(65'537, 'x'),
       413, "too_large"},
      {"chunked body", "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n", 411,
       "unsupported"},
      {"head over the limit", "GET / HTTP/1.1\r\nHost: h\r\nX: " + std::string(20'000, 'x'), 431, "too_large"},
      {"not HTTP", std::string("\x16\x03\x01\x00\x05hello", 10), 400, "malformed"},
      {"no host", "GET / HTTP/1.1\r\n\r\n", 400, "malformed"},
      {"no upgrade", "GET /v1/ws HTTP/1.1\r\nHost: h\r\n\r\n", 426, "unsupported"},
  };
  start();
  for (const Case& c : cases) {
    RawClient client = connect();

    client.send(c.bytes);
    RawClient::Response response = client.read_response();

    EXPECT_EQ(response.status, c.status) << c.what;
    EXPECT_EQ(response.headers["content-type"], "application/problem+json") << c.what;
    EXPECT_NE(response.body.find("\"code\":\"" + std::string(c.code) + "\""), std::string::npos) << response.body;
    EXPECT_EQ(response.headers["connection"], c.status == 426 ? "close, upgrade" : "close") << c.what;
    EXPECT_TRUE(client.read_to_end()) << c.what;
  }
}

// Which methods a path has is the service's to know.
TEST_F(ListenerHttp, EveryMethodReachesTheService) {
  start();
  RawClient client = connect();

  for (const std::string method : {"PUT", "PATCH", "OPTIONS", "BREW"}) {
    client.send(method + " /p HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbody");
    EXPECT_EQ(client.read_response().body, method + " /p body");
  }
}

TEST_F(ListenerHttp, AnswersHeadWithoutTheBody) {
  start();
  RawClient client = connect();

  // What follows the head of its answer on the connection is the next answer.
  client.send("HEAD /a HTTP/1.1\r\nHost: h\r\n\r\nGET /b HTTP/1.1\r\nHost: h\r\n\r\n");
  std::string text;
  while (!text.ends_with("GET /b ")) {
    const std::string more = client.read_some();
    ASSERT_FALSE(more.empty()) << text;
    text += more;
  }

  EXPECT_TRUE(text.starts_with("HTTP/1.1 200 ")) << text;
  EXPECT_NE(text.find("content-length: 8\r\n"), std::string::npos) << text;
  EXPECT_EQ(text.find("HEAD /a"), std::string::npos) << text;
  const std::size_t head_end = text.find("\r\n\r\n") + 4;
  EXPECT_TRUE(text.substr(head_end).starts_with("HTTP/1.1 200 ")) << text;
}

TEST_F(ListenerHttp, APostWithoutLengthHasNoBody) {
  start();
  RawClient client = connect();
  client.send("POST /p HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_EQ(client.read_response().body, "POST /p ");
}

TEST_F(ListenerHttp, ExpectContinueIsAnsweredBeforeTheBody) {
  start();
  RawClient client = connect();

  client.send("POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
  EXPECT_EQ(client.read_response().status, 100);
  client.send("body");

  EXPECT_EQ(client.read_response().body, "POST /p body");
}

TEST_F(ListenerHttp, SlowRequestsGet408AndSilentConnectionsAreClosed) {
  options_.serving.request_read_timeout = 80ms;
  options_.serving.keep_alive_timeout = 80ms;
  start();
  RawClient slow_body = connect();
  RawClient slow_head = connect();
  RawClient silent = connect();
  RawClient idle = connect();

  slow_body.send("POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbo");
  slow_head.send("GET / HT");
  idle.send(kGet);

  EXPECT_EQ(slow_body.read_response().status, 408);
  EXPECT_EQ(slow_head.read_response().status, 408);
  EXPECT_EQ(silent.read_response().status, 0);
  EXPECT_EQ(idle.read_response().status, 200);
  EXPECT_TRUE(idle.read_to_end());
}

TEST_F(ListenerHttp, AServiceThatDoesNotAnswerIsAnsweredFor) {
  options_.serving.answer_timeout = 80ms;
  start();
  RawClient client = connect();

  client.send("GET /later HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_EQ(client.read_response().status, 503);
  http_.release();

  EXPECT_TRUE(client.read_to_end());
}

TEST_F(ListenerHttp, AnAnswerForAPeerThatLeftGoesNowhere) {
  start();
  RawClient client = connect();
  client.send("GET /later HTTP/1.1\r\nHost: h\r\n\r\n");
  ASSERT_TRUE(http_.wait_asked());

  client.reset();
  std::thread([&] { http_.release(); }).join();

  RawClient other = connect();
  other.send(kGet);
  EXPECT_EQ(other.read_response().status, 200);
}

TEST_F(ListenerHttp, AnAnswerAfterTheListenerIsGoneGoesNowhere) {
  start();
  RawClient client = connect();
  client.send("GET /later HTTP/1.1\r\nHost: h\r\n\r\n");
  ASSERT_TRUE(http_.wait_asked());

  listener_.reset();
  http_.release();

  EXPECT_TRUE(client.read_to_end());
}

TEST_F(ListenerHttp, LargeAnswersArriveWhole) {
  start();
  RawClient client = connect();
  client.set_receive_buffer(65'536);

  client.send("GET /large HTTP/1.1\r\nHost: h\r\n\r\n");

  EXPECT_EQ(client.read_response().body, std::string(3'000'000, 'x'));
}

TEST_F(ListenerHttp, WhileDrainingConnectionsEndWithTheirAnswer) {
  start();
  RawClient client = connect();
  listener_->begin_drain([] {});

  client.send(kGet);

  EXPECT_EQ(client.read_response().headers["connection"], "close");
  EXPECT_TRUE(client.read_to_end());
}

TEST_F(ListenerHttp, ADrainWaitsForTheAnswersOfRequestsThatHaveBegun) {
  options_.threads = 2;
  start();
  RawClient asked = connect();
  asked.send("GET /later HTTP/1.1\r\nHost: h\r\n\r\n");
  ASSERT_TRUE(http_.wait_asked());
  RawClient sending = connect();
  sending.send("POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
  ASSERT_EQ(sending.read_response().status, 100);
  RawClient idle = connect();
  idle.send(kGet);
  ASSERT_EQ(idle.read_response().status, 200);
  std::promise<void> done;
  std::atomic<bool> is_done = false;

  listener_->begin_drain([&] {
    is_done = true;
    done.set_value();
  });
  pass_turns();
  EXPECT_FALSE(is_done);
  sending.send("body");
  EXPECT_EQ(sending.read_response().body, "POST /p body");
  EXPECT_TRUE(sending.read_to_end());
  pass_turns();
  EXPECT_FALSE(is_done) << "one is still being answered";
  http_.release();

  EXPECT_EQ(asked.read_response().body, "late");
  EXPECT_TRUE(asked.read_to_end());
  EXPECT_EQ(done.get_future().wait_for(60s), std::future_status::ready);
}

TEST_F(ListenerHttp, ADrainWaitsForAnAnswerThatIsReadSlowly) {
  start();
  RawClient client = connect();
  client.set_receive_buffer(65'536);
  client.send("GET /large HTTP/1.1\r\nHost: h\r\n\r\n");
  ASSERT_FALSE(client.read_some().empty());
  std::promise<void> done;
  std::atomic<bool> is_done = false;

  listener_->begin_drain([&] {
    is_done = true;
    done.set_value();
  });
  pass_turns();

  EXPECT_FALSE(is_done);
  client.reset();
  EXPECT_EQ(done.get_future().wait_for(60s), std::future_status::ready) << "a client that left is not waited for";
}

TEST_F(ListenerHttp, ADrainWithoutRequestsIsDoneAtOnce) {
  start();
  RawClient websocket = connect_websocket();
  RawClient silent = connect();
  std::promise<void> done;

  listener_->begin_drain([&] { done.set_value(); });

  EXPECT_EQ(done.get_future().wait_for(60s), std::future_status::ready);
}

// ---- Accepting -----------------------------------------------------------------------------------------------------

TEST_F(ListenerHttp, AFullShardSaysSoOnceAndOnceThatItGoesOn) {
  options_.connections_max = 2;
  start();
  RawClient first = connect();
  RawClient second = connect();
  for (RawClient* client : {&first, &second}) {
    client->send(kGet);
    ASSERT_EQ(client->read_response().status, 200);
  }
  RawClient third = connect();
  third.send(kGet);
  third.set_patience(500ms);  // several times as long as accepting pauses
  EXPECT_EQ(third.read_response().status, 0);
  EXPECT_EQ(log_.count("accepting pauses"), 1u);

  first.reset();
  third.set_patience(60s);
  EXPECT_EQ(third.read_response().status, 200);
  second.reset();

  EXPECT_TRUE(log_.wait_for("accepting goes on"));
  EXPECT_EQ(log_.count("accepting pauses"), 1u);
}

TEST_F(ListenerHttp, ConnectionsOfOneAddressAreLimited) {
  options_.threads = 2;
  options_.connections_per_address_max = 4;
  start();
  std::vector<RawClient> clients;
  for (std::size_t i = 0; i < 4; ++i) {
    clients.push_back(connect());
    clients.back().send(kGet);
    EXPECT_EQ(clients.back().read_response().status, 200) << i;
  }
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(connect().read_to_end_or_reset()) << "one above";
  EXPECT_EQ(log_.count("connections of 127.0.0.1 are closed"), 1u);

  clients.front().send("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
  EXPECT_EQ(clients.front().read_response().status, 200);
  EXPECT_TRUE(clients.front().read_to_end());
  clients.front().reset();
  // The server hears of the end when it comes; until then the address is full.
  RawClient::Response next;
  for (const auto end = std::chrono::steady_clock::now() + 60s;
       next.status != 200 && std::chrono::steady_clock::now() < end;) {
    RawClient client = connect();
    client.send(kGet);
    next = client.read_response();
  }
  EXPECT_EQ(next.status, 200);
}

TEST_F(ListenerHttp, ConnectionsThatHaveSaidNothingAreLimited) {
  options_.serving.unproven.bytes_per_address_max = 3 * limits::kUnprovenPlainBytes - 1;
  start();
  RawClient served = connect();
  served.send(kGet);
  ASSERT_EQ(served.read_response().status, 200);
  RawClient silent = connect();
  RawClient other = connect();
  other.send("GET /");

  EXPECT_TRUE(connect().read_to_end_or_reset()) << "one above";
  EXPECT_TRUE(connect().read_to_end_or_reset());
  EXPECT_EQ(log_.count("connections are closed, one of 127.0.0.1 first"), 1u);
  served.send(kGet);
  EXPECT_EQ(served.read_response().status, 200) << "who has asked before is served";
  other.send(" HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_EQ(other.read_response().status, 200);
  RawClient next = connect();
  next.send(kGet);
  EXPECT_EQ(next.read_response().status, 200) << "a share is free again";
}

TEST(AddressCounts, AdmitUpToTheLimitAndNameTheFirstRefusal) {
  using Entry = server::AddressCounts::Entry;
  server::AddressCounts counts;
  for (int i = 0; i < 4; ++i) EXPECT_EQ(counts.enter(1, 4), Entry::kAdmitted);
  EXPECT_EQ(counts.enter(1, 4), Entry::kRefusedFirst);
  EXPECT_EQ(counts.enter(1, 4), Entry::kRefused);
  EXPECT_EQ(counts.enter(2, 4), Entry::kAdmitted) << "another address";
  counts.leave(1, 4);
  EXPECT_EQ(counts.enter(1, 4), Entry::kAdmitted);
  EXPECT_EQ(counts.enter(1, 4), Entry::kRefused) << "it has hovered at its limit";
  counts.leave(1, 4);
  counts.leave(1, 4);
  for (int i = 0; i < 2; ++i) EXPECT_EQ(counts.enter(1, 4), Entry::kAdmitted);
  EXPECT_EQ(counts.enter(1, 4), Entry::kRefusedFirst);
}

TEST(AddressCounts, ANetworkOfIpv6IsOneAddress) {
  const auto key = [](int family, const char* text) {
    sockaddr_storage address = {};
    address.ss_family = static_cast<sa_family_t>(family);
    void* bytes = family == AF_INET ? static_cast<void*>(&reinterpret_cast<sockaddr_in&>(address).sin_addr)
                                    : static_cast<void*>(&reinterpret_cast<sockaddr_in6&>(address).sin6_addr);
    EXPECT_EQ(inet_pton(family, text, bytes), 1);
    return server::AddressCounts::key_of(address);
  };
  EXPECT_EQ(key(AF_INET6, "2001:db8:1:2::1"), key(AF_INET6, "2001:db8:1:2:ffff::9"));
  EXPECT_NE(key(AF_INET6, "2001:db8:1:2::1"), key(AF_INET6, "2001:db8:1:3::1"));
  EXPECT_EQ(key(AF_INET6, "::ffff:192.0.2.1"), key(AF_INET, "192.0.2.1"));
  EXPECT_NE(key(AF_INET, "192.0.2.2"), key(AF_INET, "192.0.2.1"));
}

// ---- The executor --------------------------------------------------------------------------------------------------

TEST_F(ListenerHttp, ShardRunsTasksInOrderAndTimersInTime) {
  start();
  server::LwsShard& shard = listener_->shard(0);
  std::vector<int> order;
  std::promise<void> done;

  for (int i = 0; i < 100; ++i) shard.post([&order, i] { order.push_back(i); });
  shard.post([&] {
    const MonotonicTime now = shard.clock().monotonic_now();
    EXPECT_EQ(now, shard.clock().monotonic_now());
    shard.post_after(40ms, [&] {
      order.push_back(102);
      done.set_value();
    });
    shard.post_after(10ms, [&] { order.push_back(101); });
    const auto cancelled = shard.post_after(5ms, [&] { order.push_back(-1); });
    EXPECT_TRUE(shard.cancel(cancelled));
    EXPECT_FALSE(shard.cancel(cancelled));
    shard.post([&] { order.push_back(100); });
  });

  ASSERT_EQ(done.get_future().wait_for(60s), std::future_status::ready);
  ASSERT_EQ(order.size(), 103U);
  for (int i = 0; i < 103; ++i) EXPECT_EQ(order[std::size_t(i)], i);
}

TEST_F(ListenerHttp, ATimerSetFromAnotherThreadWakesASleepingShard) {
  start();
  server::LwsShard& shard = listener_->shard(0);
  std::promise<void> done;

  shard.post_at(SystemClock().monotonic_now() + 20ms, [&] { done.set_value(); });

  EXPECT_EQ(done.get_future().wait_for(60s), std::future_status::ready);
}

// ---- The start -----------------------------------------------------------------------------------------------------

TEST_F(ListenerHttp, APortInUseIsNamed) {
  start();
  server::ListenerOptions second = options_;
  second.port = listener_->port();
  for (const std::size_t threads : {1U, 2U}) {
    second.threads = threads;

    const auto made = server::LwsListener::create(second, log_);

    ASSERT_FALSE(made.ok());
    EXPECT_EQ(made.code(), Code::kNetwork);
    EXPECT_NE(made.error().detail.find("127.0.0.1:" + std::to_string(second.port)), std::string::npos);
    EXPECT_NE(made.error().detail.find("Address already in use"), std::string::npos);
  }
}

TEST_F(ListenerHttp, APortSharedByItsShardsIsInUseForOthers) {
  options_.threads = 2;
  start();
  server::ListenerOptions second = options_;
  second.port = listener_->port();

  EXPECT_FALSE(server::LwsListener::create(second, log_).ok());
}

TEST_F(ListenerHttp, BadOptionsAreNamed) {
  server::ListenerOptions bad = options_;
  bad.address = "localhost";
  EXPECT_EQ(server::LwsListener::create(bad, log_).error().detail,
            "address \"localhost\" is not a numeric IPv4 or IPv6 address");
  bad = options_;
  bad.threads = 65;
  EXPECT_EQ(server::LwsListener::create(bad, log_).error().detail, "listener threads 65, allowed 1 to 64");
  bad = options_;
  bad.tls.certificate = "/nowhere/cert.pem";
  EXPECT_EQ(server::LwsListener::create(bad, log_).error().detail, "a TLS certificate without a key");
  bad.tls.key = "/nowhere/key.pem";
  EXPECT_EQ(server::LwsListener::create(bad, log_).error().detail,
            "cannot read TLS file \"/nowhere/cert.pem\": No such file or directory");
}

// ---- TLS -----------------------------------------------------------------------------------------------------------

class ListenerTls : public ListenerFixture {
 protected:
  ListenerTls() : folder_(std::filesystem::temp_directory_path() / ("chatsdk-tls-" + std::to_string(::getpid()))) {
    std::filesystem::create_directory(folder_);
    options_.tls.certificate = folder_ / "cert.pem";
    options_.tls.key = folder_ / "key.pem";
    write_certificate(EVP_EC_gen("P-256"));
  }
  ~ListenerTls() override { std::filesystem::remove_all(folder_); }

  // Takes the key.
  void write_certificate(EVP_PKEY* key) const {
    X509* certificate = X509_new();
    X509_set_version(certificate, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
    X509_gmtime_adj(X509_getm_notBefore(certificate), 0);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 3'600);
    X509_set_pubkey(certificate, key);
    X509_NAME* name = X509_get_subject_name(certificate);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>("localhost"), -1, -1,
                               0);
    X509_set_issuer_name(certificate, name);
    X509_sign(certificate, key, EVP_sha256());
    std::FILE* file = std::fopen(options_.tls.certificate.c_str(), "w");
    PEM_write_X509(file, certificate);
    std::fclose(file);
    file = std::fopen(options_.tls.key.c_str(), "w");
    PEM_write_PrivateKey(file, key, nullptr, nullptr, 0, nullptr, nullptr);
    std::fclose(file);
    X509_free(certificate);
    EVP_PKEY_free(key);
  }

 private:
  std::filesystem::path folder_;
};

TEST_F(ListenerTls, ServesHttpAndWebSocket) {
  start();
  RawClient http = connect();
  ASSERT_TRUE(http.connected());
  http.send(kGet);
  EXPECT_EQ(http.read_response().status, 200);
  EXPECT_EQ(http.tls_version(), "TLSv1.3");

  RawClient client = connect_websocket();
  const std::string large(options_.serving.message_bytes_max, 'm');
  for (int i = 0; i < 20; ++i) {
    client.send_frame(2, large);
    ASSERT_EQ(client.read_frame().payload, large);
  }
  client.send_frame(8, "");
  EXPECT_EQ(client.read_frame().close_code(), 1005);
  EXPECT_TRUE(client.read_to_end());
  EXPECT_TRUE(echo_.wait_closed(1));
}

// The suite that a client of TLS 1.2 gets which offers this one alone; "" when the server refuses.
std::string agreed_suite(std::uint16_t port, const std::string& offered) {
  SSL_CTX* context = SSL_CTX_new(TLS_client_method());
  SSL_CTX_set_max_proto_version(context, TLS1_2_VERSION);
  // The client's own caution must not be what refuses.
  EXPECT_EQ(SSL_CTX_set_cipher_list(context, (offered + ":@SECLEVEL=0").c_str()), 1) << offered;
  BIO* connection = BIO_new_ssl_connect(context);
  BIO_set_conn_hostname(connection, ("127.0.0.1:" + std::to_string(port)).c_str());
  std::string agreed;
  if (BIO_do_handshake(connection) == 1) {
    SSL* tls = nullptr;
    BIO_get_ssl(connection, &tls);
    agreed = SSL_get_cipher_name(tls);
  }
  BIO_free_all(connection);
  SSL_CTX_free(context);
  return agreed;
}

TEST_F(ListenerTls, Tls12TakesForwardSecrecyWithAuthenticatedEncryptionAlone) {
  struct Kind {
    const char* name;
    EVP_PKEY* key;
    std::vector<std::string> accepted;
    std::vector<std::string> refused;
  };
  const std::vector<Kind> kinds = {
      {"ECDSA",
       EVP_EC_gen("P-256"),
       {"ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-CHACHA20-POLY1305"},
       {"ECDHE-ECDSA-AES128-SHA", "ECDHE-ECDSA-AES256-SHA", "ECDHE-ECDSA-AES128-SHA256", "ECDHE-ECDSA-AES256-SHA384",
        "ECDHE-ECDSA-AES128-CCM", "ECDHE-ECDSA-AES128-CCM8"}},
      {"RSA",
       EVP_RSA_gen(2'048),
       {"ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-RSA-CHACHA20-POLY1305"},
       {"AES128-SHA", "AES256-SHA", "AES128-SHA256", "AES128-GCM-SHA256", "AES256-GCM-SHA384", "AES128-CCM",
        "ECDHE-RSA-AES128-SHA", "ECDHE-RSA-AES256-SHA384", "DHE-RSA-AES128-GCM-SHA256", "DHE-RSA-AES128-SHA",
        "AECDH-AES128-SHA", "ADH-AES128-GCM-SHA256", "ECDHE-RSA-NULL-SHA"}},
  };
  for (const Kind& kind : kinds) {
    SCOPED_TRACE(kind.name);
    write_certificate(kind.key);
    start();
    for (const std::string& suite : kind.accepted) EXPECT_EQ(agreed_suite(listener_->port(), suite), suite);
    for (const std::string& suite : kind.refused) EXPECT_EQ(agreed_suite(listener_->port(), suite), "") << suite;
    RawClient client = connect();
    EXPECT_EQ(client.tls_version(), "TLSv1.3");
    client.send(kGet);
    EXPECT_EQ(client.read_response().status, 200);
    listener_->stop();
    listener_.reset();
  }
}

TEST_F(ListenerTls, APlainClientIsClosedAndOthersAreServed) {
  start();
  RawClient plain(listener_->port(), false);
  plain.send(kGet);
  EXPECT_TRUE(plain.read_to_end_or_reset());
  RawClient client = connect();
  client.send(kGet);
  EXPECT_EQ(client.read_response().status, 200);
}

TEST_F(ListenerTls, AnIdleConnectionOutlivesTheHandshakesTimeLimit) {
  options_.serving.request_read_timeout = 100ms;
  start();
  RawClient client = connect_websocket();
  RawClient silent(listener_->port(), false);

  EXPECT_TRUE(silent.read_to_end_or_reset());
  client.send_frame(2, "still here");
  EXPECT_EQ(client.read_frame().payload, "still here");
}

// What a TLS client says first.
std::string client_hello() {
  SSL_CTX* context = SSL_CTX_new(TLS_client_method());
  SSL* client = SSL_new(context);
  BIO* said = BIO_new(BIO_s_mem());
  SSL_set_bio(client, BIO_new(BIO_s_mem()), said);
  EXPECT_EQ(SSL_connect(client), -1) << "it waits for an answer";
  char* bytes = nullptr;
  const auto count = static_cast<std::size_t>(BIO_get_mem_data(said, &bytes));
  std::string hello(bytes, count);
  SSL_free(client);
  SSL_CTX_free(context);
  return hello;
}

TEST_F(ListenerTls, AHandshakeThatIsBegunAndNotEndedIsCutOffAtItsTimeLimit) {
  options_.serving.request_read_timeout = 100ms;
  start();
  const std::string hello = client_hello();
  ASSERT_GT(hello.size(), 100U);

  for (const std::size_t bytes : {std::size_t{1}, std::size_t{50}, hello.size()}) {
    RawClient client(listener_->port(), false);
    client.send(hello.substr(0, bytes));
    EXPECT_TRUE(client.read_to_end_or_reset()) << bytes << " bytes of it";
  }
  EXPECT_EQ(log_.count("connection"), 0u) << "no fault, no line";
}

TEST_F(ListenerTls, AKeyOfAnotherCertificateIsNamed) {
  std::FILE* file = std::fopen(options_.tls.key.c_str(), "w");
  EVP_PKEY* key = EVP_EC_gen("P-256");
  PEM_write_PrivateKey(file, key, nullptr, nullptr, 0, nullptr, nullptr);
  std::fclose(file);
  EVP_PKEY_free(key);

  const auto made = server::LwsListener::create(options_, log_);

  ASSERT_FALSE(made.ok());
  EXPECT_EQ(made.code(), Code::kTls);
  EXPECT_NE(made.error().detail.find(options_.tls.key), std::string::npos);
}

}  // namespace
}  // namespace chatsdk::test
