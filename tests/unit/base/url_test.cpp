// SPDX-License-Identifier: Apache-2.0
#include "base/url.h"

#include <gtest/gtest.h>

#include <string>

#include "base/limits.h"

namespace chatsdk {
namespace {

TEST(Url, SplitsItsParts) {
  const auto url = parse_url("WSS://Chat.Example.org:8443/v1/ws?x=1", UrlKind::kWebSocket);
  ASSERT_TRUE(url.ok());
  EXPECT_EQ(url->scheme, "wss");
  EXPECT_TRUE(url->secure);
  EXPECT_EQ(url->host, "chat.example.org");
  EXPECT_EQ(url->port, 8443);
  EXPECT_EQ(url->target, "/v1/ws?x=1");
  EXPECT_EQ(url->authority(), "chat.example.org:8443");
}

TEST(Url, KnowsTheDefaultPorts) {
  EXPECT_EQ(parse_url("http://a", UrlKind::kHttp)->port, 80);
  EXPECT_EQ(parse_url("wss://a", UrlKind::kWebSocket)->port, 443);
  EXPECT_EQ(parse_url("wss://a", UrlKind::kWebSocket)->authority(), "a");
  EXPECT_EQ(parse_url("http://a", UrlKind::kHttp)->target, "/");
  EXPECT_EQ(parse_url("http://a?b", UrlKind::kHttp)->target, "/?b");
}

TEST(Url, KeepsAnIpv6AddressWithoutBrackets) {
  const auto url = parse_url("ws://[::1]:8080/", UrlKind::kWebSocket);
  ASSERT_TRUE(url.ok());
  EXPECT_EQ(url->host, "::1");
  EXPECT_EQ(url->authority(), "[::1]:8080");
}

TEST(Url, RefusesWhatCouldMisleadOrSmuggle) {
  for (const std::string text : {"",
                                 "chat.example.org",
                                 "ftp://a",
                                 "http://",
                                 "http://:80",
                                 "http://a:0",
                                 "http://a:65536",
                                 "http://a:8x",
                                 "http://u@a",
                                 "http://u:p@a/",
                                 "http://a b",
                                 "http://a/\r\nx: y",
                                 "http://a\\b",
                                 "http://a/#f",
                                 "http://[::1",
                                 "http://[::1]x",
                                 "http://[g]",
                                 "http://[1:::2]",
                                 "http://[1.2.3.4]",
                                 "http://a%00b",
                                 "http://\xc3\xa4/"}) {
    EXPECT_EQ(parse_url(text, UrlKind::kHttp).code(), Code::kInvalidArgument) << text;
  }
}

TEST(Url, HasASchemeOfItsKind) {
  const std::string http = "url: the scheme is neither http nor https";
  const std::string websocket = "url: the scheme is neither ws nor wss";
  for (const char* text : {"ftp://a", "://a", "ws://a", "wss://a", "httpss://a"}) {
    EXPECT_EQ(parse_url(text, UrlKind::kHttp).error().detail, http) << text;
  }
  for (const char* text : {"ftp://a", "://a", "http://a", "https://a", "wsss://a"}) {
    EXPECT_EQ(parse_url(text, UrlKind::kWebSocket).error().detail, websocket) << text;
  }
  EXPECT_TRUE(parse_url("HTTPS://a", UrlKind::kHttp)->secure);
  EXPECT_FALSE(parse_url("ws://a", UrlKind::kWebSocket)->secure);
}

TEST(Url, TakesEveryLimitAndRefusesOneMore) {
  const std::string start = "http://a/";
  const std::string longest = start + std::string(limits::kUrlBytesMax - start.size(), 'x');
  EXPECT_TRUE(parse_url(longest, UrlKind::kHttp).ok());
  EXPECT_EQ(parse_url(longest + 'x', UrlKind::kHttp).error().detail, "url: 2049 B, limit 2048 B");

  const std::string host(limits::kHostBytesMax, 'h');
  EXPECT_EQ(parse_url("http://" + host + "/", UrlKind::kHttp)->host, host);
  EXPECT_EQ(parse_url("http://" + host + "h/", UrlKind::kHttp).code(), Code::kInvalidArgument);

  EXPECT_EQ(parse_url("http://a:65535", UrlKind::kHttp)->port, 65'535);
  EXPECT_EQ(parse_url("http://a:65536", UrlKind::kHttp).code(), Code::kInvalidArgument);
}

TEST(Url, EncodesWhatIsNoLetterOrDigit) {
  EXPECT_EQ(percent_encoded("aZ09-._~"), "aZ09-._~");
  EXPECT_EQ(percent_encoded("a/b?c&d=e f%\xC3\xBC+"), "a%2Fb%3Fc%26d%3De%20f%25%C3%BC%2B");
  EXPECT_EQ(percent_encoded(""), "");
}

TEST(Url, TellsWhatMayStandInAHeader) {
  EXPECT_TRUE(is_header_value("Bearer abc.def-ghi_jkl=="));
  EXPECT_FALSE(is_header_value("a\r\nb: c"));
  EXPECT_FALSE(is_header_value(std::string_view("a\0b", 3)));
  EXPECT_FALSE(is_header_value("\x7f"));
}

}  // namespace
}  // namespace chatsdk
