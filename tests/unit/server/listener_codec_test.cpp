// SPDX-License-Identifier: Apache-2.0
//
// The pure parts of the listener: HTTP heads, responses and WebSocket frames, without a socket.
//
// Threads: one.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/limits.h"
#include "server-reference/gateway/http_codec.h"
#include "server-reference/gateway/ws_codec.h"
#include "support/raw_client.h"

namespace chatsdk::server {
namespace {

using test::RawClient;

std::string request_of(const std::string& more) { return "GET /a HTTP/1.1\r\nHost: h\r\n" + more + "\r\n"; }

int refused_status(const std::string& bytes) {
  const auto parsed = parse_http_head(bytes);
  const auto* refusal = std::get_if<HttpRefusal>(&parsed);
  return refusal == nullptr ? 0 : refusal->status;
}

TEST(HttpHead, NamesMethodTargetAndHeaders) {
  const std::string bytes =
      "POST /v1/x?y=%20z HTTP/1.1\r\nHost: h\r\nContent-Type:  application/json \r\nContent-Length: 12\r\n"
      "Accept: a\r\nAccept: b\r\n\r\nbody";

  const auto parsed = parse_http_head(bytes);

  ASSERT_TRUE(std::holds_alternative<HttpHead>(parsed));
  const HttpHead& head = std::get<HttpHead>(parsed);
  EXPECT_EQ(head.request.method, "POST");
  EXPECT_EQ(head.request.url, "/v1/x?y=%20z");
  EXPECT_EQ(header(head.request.headers, "content-type"), "application/json");
  EXPECT_EQ(header(head.request.headers, "accept"), "a, b");
  EXPECT_EQ(head.body_bytes, 12U);
  EXPECT_EQ(head.head_bytes, bytes.size() - 4);
  EXPECT_TRUE(head.keep_alive);
}

TEST(HttpHead, EveryCutOfAHeadNeedsMore) {
  const std::string bytes = request_of("X: y\r\n");
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    EXPECT_TRUE(std::holds_alternative<HttpNeedMore>(parse_http_head(bytes.substr(0, i)))) << i;
  }
  EXPECT_TRUE(std::holds_alternative<HttpHead>(parse_http_head(bytes)));
}

TEST(HttpHead, RefusesWhatIsNotStrictHttp) {
  struct Case {
    const char* what;
    std::string bytes;
    int status;
  };
  const std::vector<Case> cases = {
      {"no version", "GET /\r\n\r\n", 400},
      {"two blanks", "GET  / HTTP/1.1\r\nHost: h\r\n\r\n", 400},
      {"method not a token", "G(T / HTTP/1.1\r\nHost: h\r\n\r\n", 400},
      {"TLS hello", std::string("\x16\x03\x01\x02", 4), 400},
      {"target not a path", "GET http://h/ HTTP/1.1\r\nHost: h\r\n\r\n", 400},
      {"raw UTF-8 target", "GET /\xC3\xA4 HTTP/1.1\r\nHost: h\r\n\r\n", 400},
      {"HTTP/2", "GET / HTTP/2.0\r\nHost: h\r\n\r\n", 505},
      {"HTTP/0.9 spelling", "GET / http/1.1\r\nHost: h\r\n\r\n", 400},
      {"no host", "GET / HTTP/1.1\r\n\r\n", 400},
      {"two hosts", request_of("Host: i\r\n"), 400},
      {"the same host twice", request_of("Host: h\r\n"), 400},
      {"bare line feed", "GET / HTTP/1.1\nHost: h\r\n\r\n", 400},
      {"lone carriage return", request_of("X: a\rb\r\n"), 400},
      {"NUL in a value", request_of(std::string("X: a\0b\r\n", 8)), 400},
      {"folded header", request_of("X: a\r\n b\r\n"), 400},
      {"blank before the colon", request_of("X : a\r\n"), 400},
      {"no colon", request_of("X\r\n"), 400},
      {"length not a number", request_of("Content-Length: 1x\r\n"), 400},
      {"negative length", request_of("Content-Length: -1\r\n"), 400},
      {"two lengths", request_of("Content-Length: 1\r\nContent-Length: 2\r\n"), 400},
      {"length of 30 digits", request_of("Content-Length: 111111111111111111111111111111\r\n"), 413},
      {"length of 2^64 and 5", request_of("Content-Length: 18446744073709551621\r\n"), 413},
      {"zeros before a length", request_of("Content-Length: " + std::string(30, '0') + "5\r\n"), 0},
      {"length and encoding", request_of("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n"), 400},
      {"chunked", request_of("Transfer-Encoding: chunked\r\n"), 411},
      {"body over the limit", request_of("Content-Length: 65537\r\n"), 413},
      {"unknown expectation", request_of("Expect: wonders\r\n"), 417},
  };
  for (const Case& c : cases) EXPECT_EQ(refused_status(c.bytes), c.status) << c.what;
}

TEST(HttpHead, SaysWhatIsWrong) {
  const auto detail_of = [](const std::string& bytes) { return std::get<HttpRefusal>(parse_http_head(bytes)).detail; };
  const std::string line = "the request line is not method, target and version";
  EXPECT_EQ(detail_of("GET /\r\n\r\n"), line);
  for (const char* spaced :
       {"GET  /healthz HTTP/1.1", "GET /healthz  HTTP/1.1", "GET /a b HTTP/1.1", "GET  HTTP/1.1"}) {
    EXPECT_EQ(detail_of(std::string(spaced) + "\r\nHost: h\r\n\r\n"), line + " with one space between them") << spaced;
  }
  EXPECT_EQ(detail_of("GET /\xC3\xA4 HTTP/1.1\r\nHost: h\r\n\r\n"),
            "the request target has characters outside of ASCII");
  EXPECT_EQ(detail_of(request_of("Content-Length: 65537\r\n")), "body 65537 B, limit 65536 B");
  EXPECT_EQ(detail_of(request_of("Content-Length: 99999999999999999999999\r\n")), "body over the limit of 65536 B");
}

TEST(HttpHead, AHostIsANameOrAnAddressWithAPort) {
  for (const char* version : {"1.1", "1.0"}) {
    const auto status_of = [&](const std::string& host) {
      return refused_status("GET / HTTP/" + std::string(version) + "\r\nHost: " + host + "\r\n\r\n");
    };
    for (const char* good : {"h", "chat.example.org", "localhost:8080", "127.0.0.1:80", "[2001:db8::7]", "[::1]:8443",
                             "[::ffff:192.0.2.7]", "a_b-c~d", "xn--4ca.example:", "h%C3%A4"}) {
      EXPECT_EQ(status_of(good), 0) << good;
    }
    for (const char* bad : {"a b",  "a, b",      "a/b",    "http://h", "u@h",     "h?q",   "h#f",   "h\\i", "\"h\"",
                            "<h>",  "h\xC3\xA4", "h\ti",   ":80",      "h:80:81", "h:8o",  "h: 80", "::1",  "[::1",
                            "::1]", "[]",        "[::1]x", "[::1]80",  "[::1]]",  "[a b]", "h[1]"}) {
      EXPECT_EQ(status_of(bad), 400) << bad;
    }
  }
}

TEST(HttpHead, TakesEveryLimitAndRefusesOneMore) {
  const std::string target(limits::kRequestTargetBytesMax - 1, 'a');
  EXPECT_EQ(refused_status("GET /" + target + " HTTP/1.1\r\nHost: h\r\n\r\n"), 0);
  EXPECT_EQ(refused_status("GET /a" + target + " HTTP/1.1\r\nHost: h\r\n\r\n"), 414);

  EXPECT_EQ(refused_status(request_of("Content-Length: " + std::to_string(limits::kRequestBodyBytesMax) + "\r\n")), 0);

  std::string lines;
  for (std::size_t i = 1; i < limits::kRequestHeadersMax; ++i) lines += "X" + std::to_string(i) + ": y\r\n";
  EXPECT_EQ(refused_status(request_of(lines)), 0);
  EXPECT_EQ(refused_status(request_of(lines + "Z: y\r\n")), 431);

  const std::size_t fixed = request_of("X: \r\n").size();
  const std::string value(limits::kRequestHeadBytesMax - fixed, 'v');
  EXPECT_EQ(refused_status(request_of("X: " + value + "\r\n")), 0);
  EXPECT_EQ(refused_status(request_of("X: v" + value + "\r\n")), 431);
  EXPECT_EQ(refused_status(std::string(limits::kRequestHeadBytesMax + 1, 'G')), 431);
}

TEST(HttpHead, KeepAliveFollowsVersionAndConnection) {
  const auto keep_alive = [](const std::string& bytes) {
    return std::get<HttpHead>(parse_http_head(bytes)).keep_alive;
  };
  EXPECT_TRUE(keep_alive("GET / HTTP/1.1\r\nHost: h\r\n\r\n"));
  EXPECT_FALSE(keep_alive("GET / HTTP/1.1\r\nHost: h\r\nConnection: x, Close\r\n\r\n"));
  EXPECT_FALSE(keep_alive("GET / HTTP/1.0\r\n\r\n"));
  EXPECT_TRUE(keep_alive("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"));
}

TEST(HttpResponseText, LeavesOutHeadersThatBreakTheirLine) {
  HttpResponse response;
  response.status = 200;
  response.headers = {{"good", "1"}, {"bad", "1\r\nset-cookie: x"}, {"bad name", "1"}, {"content-length", "99"}};
  response.body = "ab";

  const Bytes bytes = encode_http_response(response, true, false);

  EXPECT_EQ(bytes, "HTTP/1.1 200 OK\r\ngood: 1\r\ncontent-length: 2\r\nconnection: keep-alive\r\n\r\nab");
}

TEST(HttpResponseText, AnUpgradeThatIsNamedIsAnOptionOfTheConnection) {
  HttpResponse response;
  response.status = 426;
  response.headers = {{"upgrade", "websocket"}};

  EXPECT_EQ(encode_http_response(response, false, false),
            "HTTP/1.1 426 Upgrade Required\r\nupgrade: websocket\r\ncontent-length: 0\r\n"
            "connection: close, upgrade\r\n\r\n");
}

TEST(HttpResponseText, ProblemNamesStatusAndCode) {
  const HttpResponse response = problem_response(413, Code::kTooLarge, "say \"no\"");
  EXPECT_EQ(response.headers.at("content-type"), "application/problem+json");
  EXPECT_EQ(response.body,
            "{\"type\":\"about:blank\",\"title\":\"Content Too Large\",\"status\":413,\"detail\":\"say \\\"no\\\"\","
            "\"code\":\"too_large\",\"codeNumber\":-102}");
}

// ---- WebSocket -----------------------------------------------------------------------------------------------------

struct Seen {
  WsReader::Kind kind;
  std::string payload;
  int code;
};

std::vector<Seen> read_all(std::string bytes, std::size_t step, std::size_t message_bytes_max = 1'000) {
  WsReader reader(message_bytes_max);
  std::vector<Seen> seen;
  for (std::size_t at = 0; at < bytes.size(); at += step) {
    std::span<char> input(bytes.data() + at, std::min(step, bytes.size() - at));
    for (;;) {
      const WsReader::Event event = reader.next(input);
      if (event.kind == WsReader::Kind::kNeedMore) break;
      seen.push_back({event.kind, std::string(event.payload), static_cast<int>(event.code)});
      if (event.kind == WsReader::Kind::kViolation || event.kind == WsReader::Kind::kClose) return seen;
    }
  }
  return seen;
}

TEST(WsReader, GivesTheSameMessagesHoweverTheBytesAreCut) {
  const std::string bytes = RawClient::encode_frame(2, "first") + RawClient::encode_frame(2, "", true) +
                            RawClient::encode_frame(2, "one ", false) + RawClient::encode_frame(9, "ping") +
                            RawClient::encode_frame(0, "two ", false) + RawClient::encode_frame(10, "") +
                            RawClient::encode_frame(0, std::string(300, 'x')) +
                            RawClient::encode_frame(8, std::string("\x03\xE8"
                                                                   "bye",
                                                                   5));
  for (std::size_t step = 1; step <= bytes.size(); ++step) {
    const std::vector<Seen> seen = read_all(bytes, step);
    ASSERT_EQ(seen.size(), 6U) << "step " << step;
    EXPECT_EQ(seen[0].payload, "first");
    EXPECT_EQ(seen[1].kind, WsReader::Kind::kMessage);
    EXPECT_EQ(seen[1].payload, "");
    EXPECT_EQ(seen[2].kind, WsReader::Kind::kPing);
    EXPECT_EQ(seen[2].payload, "ping");
    EXPECT_EQ(seen[3].kind, WsReader::Kind::kPong);
    EXPECT_EQ(seen[4].payload, "one two " + std::string(300, 'x'));
    EXPECT_EQ(seen[5].kind, WsReader::Kind::kClose);
    EXPECT_EQ(seen[5].code, 1000);
  }
}

TEST(WsReader, ClosesWithTheCodeThatTheRfcNames) {
  struct Case {
    const char* what;
    std::string bytes;
    int code;
  };
  const auto raw = [](std::initializer_list<int> list) {
    std::string out;
    for (const int byte : list) out.push_back(static_cast<char>(byte));
    return out + std::string(20, '\0');
  };
  const std::vector<Case> cases = {
      {"text", RawClient::encode_frame(1, "hello"), 1003},
      {"unmasked", RawClient::encode_frame(2, "hello", true, false), 1002},
      {"reserved bit", raw({0xC2, 0x80}), 1002},
      {"reserved opcode", raw({0x83, 0x80}), 1002},
      {"reserved control opcode", raw({0x8B, 0x80}), 1002},
      {"fragmented ping", RawClient::encode_frame(9, "", false), 1002},
      {"ping of 126 bytes", RawClient::encode_frame(9, std::string(126, 'p')), 1002},
      {"continuation of nothing", RawClient::encode_frame(0, "x"), 1002},
      {"message inside a message", RawClient::encode_frame(2, "x", false) + RawClient::encode_frame(2, "y"), 1002},
      {"16-bit length of 125", raw({0x82, 0xFE, 0, 125}), 1002},
      {"64-bit length of 65535", raw({0x82, 0xFF, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF}), 1002},
      {"length of 63 bits", raw({0x82, 0xFF, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF}), 1009},
      {"length of 64 bits", raw({0x82, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF}), 1002},
      {"too big", RawClient::encode_frame(2, std::string(1'001, 'x')), 1009},
      {"too big in fragments",
       RawClient::encode_frame(2, std::string(600, 'x'), false) + RawClient::encode_frame(0, std::string(401, 'x')),
       1009},
      {"close of one byte", RawClient::encode_frame(8, "x"), 1002},
      {"close with 1005", RawClient::encode_frame(8, std::string("\x03\xED", 2)), 1002},
      {"close with 999", RawClient::encode_frame(8, std::string("\x03\xE7", 2)), 1002},
      {"close with a reason that is not UTF-8", RawClient::encode_frame(8, std::string("\x03\xE8\xFF", 3)), 1007},
  };
  for (const Case& c : cases) {
    for (const std::size_t step : {std::size_t{1}, std::size_t{7}, c.bytes.size()}) {
      const std::vector<Seen> seen = read_all(c.bytes, step);
      ASSERT_FALSE(seen.empty()) << c.what;
      EXPECT_EQ(seen.back().kind, WsReader::Kind::kViolation) << c.what;
      EXPECT_EQ(seen.back().code, c.code) << c.what;
    }
  }
}

TEST(WsReader, TakesAMessageAtItsLimit) {
  const std::vector<Seen> whole = read_all(RawClient::encode_frame(2, std::string(1'000, 'x')), 5'000);
  ASSERT_EQ(whole.size(), 1U);
  EXPECT_EQ(whole[0].kind, WsReader::Kind::kMessage);

  const std::vector<Seen> parts = read_all(
      RawClient::encode_frame(2, std::string(600, 'x'), false) + RawClient::encode_frame(0, std::string(400, 'x')),
      5'000);
  ASSERT_EQ(parts.size(), 1U);
  EXPECT_EQ(parts[0].payload.size(), 1'000U);
}

TEST(WsWriter, HeadersHaveTheShortestLength) {
  for (const std::size_t size : {0U, 125U, 126U, 65'535U, 65'536U, 1'000'000U}) {
    char bytes[kWsServerHeaderBytesMax];
    const std::size_t count = encode_ws_header(size, bytes);
    EXPECT_EQ(std::string(bytes, count),
              RawClient::encode_frame(2, std::string(size, 'x'), true, false).substr(0, count));
    EXPECT_EQ(count, ws_header_bytes(size));
  }
}

// The example of RFC 6455 section 1.3.
TEST(WsWriter, AcceptsTheKeyOfTheRfc) {
  EXPECT_EQ(ws_accept_value("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

}  // namespace
}  // namespace chatsdk::server
