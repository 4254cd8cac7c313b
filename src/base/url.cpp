// SPDX-License-Identifier: Apache-2.0
#include "base/url.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>

#include "base/limits.h"

namespace chatsdk {

namespace {

Error refused(std::string why) { return error(Code::kInvalidArgument, "url: " + why); }

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool is_name_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_';
}

bool is_ipv6_address(const std::string& host) {
  unsigned char bytes[16];
  return inet_pton(AF_INET6, host.c_str(), bytes) == 1;
}

std::uint16_t default_port(bool secure) { return secure ? 443 : 80; }

}  // namespace

std::string Url::authority() const {
  std::string result = host.find(':') == std::string::npos ? host : "[" + host + "]";
  if (port != default_port(secure)) result += ":" + std::to_string(port);
  return result;
}

Result<Url> parse_url(std::string_view text, UrlKind kind) {
  if (text.size() > limits::kUrlBytesMax) {
    return refused(std::to_string(text.size()) + " B, limit " + std::to_string(limits::kUrlBytesMax) + " B");
  }
  if (std::any_of(text.begin(), text.end(), [](char c) { return c <= ' ' || c >= 0x7f || c == '\\' || c == '#'; })) {
    return refused("a character is not allowed");
  }

  Url url;
  const std::size_t scheme_end = text.find("://");
  if (scheme_end == std::string_view::npos) return refused("no scheme");
  for (const char c : text.substr(0, scheme_end)) url.scheme += lower(c);
  const bool is_http = kind == UrlKind::kHttp;
  url.secure = url.scheme == (is_http ? "https" : "wss");
  if (!url.secure && url.scheme != (is_http ? "http" : "ws")) {
    return refused(is_http ? "the scheme is neither http nor https" : "the scheme is neither ws nor wss");
  }
  text.remove_prefix(scheme_end + 3);

  const std::size_t authority_end = std::min(text.find_first_of("/?"), text.size());
  std::string_view authority = text.substr(0, authority_end);
  url.target = std::string(text.substr(authority_end));
  if (url.target.empty() || url.target.front() != '/') url.target.insert(0, "/");
  if (authority.find('@') != std::string_view::npos) return refused("user information is not allowed");

  const bool bracketed = !authority.empty() && authority.front() == '[';
  const std::size_t host_end = bracketed ? authority.find(']') : std::min(authority.find(':'), authority.size());
  if (host_end == std::string_view::npos) return refused("the bracket of the address is not closed");
  for (const char c : authority.substr(bracketed ? 1 : 0, bracketed ? host_end - 1 : host_end)) url.host += lower(c);
  const bool valid =
      bracketed ? is_ipv6_address(url.host) : std::all_of(url.host.begin(), url.host.end(), is_name_character);
  if (url.host.empty() || url.host.size() > limits::kHostBytesMax || !valid) return refused("the host is not valid");

  std::string_view rest = authority.substr(bracketed ? host_end + 1 : host_end);
  url.port = default_port(url.secure);
  if (!rest.empty()) {
    if (rest.front() != ':') return refused("text follows the address");
    rest.remove_prefix(1);
    const auto [end, failure] = std::from_chars(rest.data(), rest.data() + rest.size(), url.port);
    if (failure != std::errc() || end != rest.data() + rest.size() || url.port == 0) {
      return refused("the port is not valid");
    }
  }
  return url;
}

bool is_address(const std::string& host) {
  unsigned char bytes[16];
  return inet_pton(AF_INET, host.c_str(), bytes) == 1 || inet_pton(AF_INET6, host.c_str(), bytes) == 1;
}

std::string percent_encoded(std::string_view text) {
  constexpr std::string_view kUnreserved = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
  constexpr char kDigits[] = "0123456789ABCDEF";
  std::string encoded;
  for (const char byte : text) {
    if (kUnreserved.find(byte) != std::string_view::npos) {
      encoded += byte;
      continue;
    }
    const auto value = static_cast<unsigned char>(byte);
    encoded += {'%', kDigits[value >> 4U], kDigits[value & 0xfU]};
  }
  return encoded;
}

bool is_header_value(std::string_view value) {
  return std::all_of(value.begin(), value.end(), [](char c) { return c == '\t' || (c >= ' ' && c <= '~'); });
}

}  // namespace chatsdk
