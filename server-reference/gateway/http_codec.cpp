// SPDX-License-Identifier: Apache-2.0
#include "server-reference/gateway/http_codec.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

#include "base/limits.h"

namespace chatsdk::server {

namespace {

using Parsed = std::variant<HttpNeedMore, HttpHead, HttpRefusal>;

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool equal_any_case(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) { return lower(x) == lower(y); });
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_letter_or_digit(char c) { return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

// RFC 9110 section 5.6.2.
bool is_token_char(char c) {
  constexpr std::string_view kMarks = "!#$%&'*+-.^_`|~";
  return is_letter_or_digit(c) || kMarks.find(c) != std::string_view::npos;
}
bool is_token(std::string_view text) { return !text.empty() && std::all_of(text.begin(), text.end(), is_token_char); }

bool is_value_char(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte == '\t' || (byte >= 0x20 && byte != 0x7F);
}
bool is_value(std::string_view text) { return std::all_of(text.begin(), text.end(), is_value_char); }

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

HttpRefusal malformed(std::string detail) { return {400, Code::kMalformed, std::move(detail)}; }

std::string over_limit(std::string_view what, std::size_t limit) {
  return std::string(what) + " over the limit of " + std::to_string(limit) + " B";
}

// Headers that may come once only, because a second value would change what the first one meant.
bool is_single(std::string_view name) {
  constexpr std::array<std::string_view, 8> kSingle{
      "host",   "content-length",    "content-type",         "authorization", "transfer-encoding",
      "origin", "sec-websocket-key", "sec-websocket-version"};
  return std::find(kSingle.begin(), kSingle.end(), name) != kSingle.end();
}

std::optional<HttpRefusal> parse_request_line(std::string_view line, HttpHead& head, bool& is_1_1) {
  const std::size_t first = line.find(' ');
  const std::size_t last = line.rfind(' ');
  if (first == std::string_view::npos || last == first)
    return malformed("the request line is not method, target and version");
  const std::string_view method = line.substr(0, first);
  const std::string_view target = line.substr(first + 1, last - first - 1);
  const std::string_view version = line.substr(last + 1);
  if (!is_token(method)) return malformed("the method is not a token");
  if (target.size() > limits::kRequestTargetBytesMax) {
    return HttpRefusal{414, Code::kTooLarge, over_limit("request target", limits::kRequestTargetBytesMax)};
  }
  if (target.empty() || target.find(' ') != std::string_view::npos) {
    return malformed("the request line is not method, target and version with one space between them");
  }
  const auto printable = [](char c) { return c > 0x20 && c < 0x7F; };
  if (!std::all_of(target.begin(), target.end(), printable)) {
    return malformed("the request target has characters outside of ASCII");
  }
  if (target.front() != '/' && target != "*") return malformed("the request target is not a path");
  if (!version.starts_with("HTTP/")) return malformed("the request line does not end with a version");
  if (version != "HTTP/1.1" && version != "HTTP/1.0") {
    return HttpRefusal{505, Code::kUnsupported, "only HTTP/1.1 and HTTP/1.0 are served"};
  }
  head.request.method = std::string(method);
  head.request.url = std::string(target);
  is_1_1 = version == "HTTP/1.1";
  return std::nullopt;
}

std::optional<HttpRefusal> parse_header_line(std::string_view line, std::size_t& count, HttpHead& head) {
  if (++count > limits::kRequestHeadersMax) {
    return HttpRefusal{431, Code::kTooLarge,
                       "more than " + std::to_string(limits::kRequestHeadersMax) + " header lines"};
  }
  const std::size_t colon = line.find(':');
  // A line that begins with a blank would continue the one before it: RFC 9112 section 5.2 lets a server refuse it.
  if (colon == std::string_view::npos || !is_token(line.substr(0, colon)))
    return malformed("a header line has no name");
  std::string name(line.substr(0, colon));
  std::transform(name.begin(), name.end(), name.begin(), lower);
  const std::string_view value = trimmed(line.substr(colon + 1));
  if (!is_value(value)) return malformed("a header value has control characters");
  const auto [place, is_new] = head.request.headers.try_emplace(name, value);
  if (is_new) return std::nullopt;
  if (is_single(name)) return malformed("header " + name + " came twice");
  place->second.append(", ").append(value);
  return std::nullopt;
}

std::optional<HttpRefusal> read_length(HttpHead& head) {
  const auto& headers = head.request.headers;
  const bool has_length = headers.contains("content-length");
  if (headers.contains("transfer-encoding")) {
    if (has_length) return malformed("both transfer-encoding and content-length");
    return HttpRefusal{411, Code::kUnsupported, "a body needs content-length; transfer-encoding is not accepted"};
  }
  if (!has_length) return std::nullopt;
  const std::string_view text = header(headers, "content-length");
  if (text.empty() || !std::all_of(text.begin(), text.end(), is_digit)) {
    return malformed("content-length is not a number");
  }
  const std::errc failure = std::from_chars(text.data(), text.data() + text.size(), head.body_bytes).ec;
  if (failure != std::errc()) {
    return HttpRefusal{413, Code::kTooLarge, over_limit("body", limits::kRequestBodyBytesMax)};
  }
  if (head.body_bytes > limits::kRequestBodyBytesMax) {
    return HttpRefusal{
        413, Code::kTooLarge,
        "body " + std::to_string(head.body_bytes) + " B, limit " + std::to_string(limits::kRequestBodyBytesMax) + " B"};
  }
  return std::nullopt;
}

// RFC 9110 section 7.2: uri-host [":" port]. An address is not told apart from a name: this server is asked by any.
bool is_host(std::string_view host) {
  constexpr std::string_view kNameMarks = "-._~!$&'()*+,;=%";
  constexpr std::string_view kAddressMarks = ":.";
  const bool in_brackets = host.starts_with('[');
  const std::size_t name_end = in_brackets ? host.find(']') : host.find(':');
  const std::string_view name = host.substr(0, name_end).substr(in_brackets ? 1 : 0);
  std::string_view port = name_end == std::string_view::npos ? std::string_view() : host.substr(name_end);
  if (name.empty() || (in_brackets && port.empty())) return false;
  const std::string_view marks = in_brackets ? kAddressMarks : kNameMarks;
  if (!std::all_of(name.begin(), name.end(),
                   [&](char c) { return is_letter_or_digit(c) || marks.find(c) != marks.npos; }))
    return false;
  if (in_brackets) port.remove_prefix(1);
  return port.empty() || (port.front() == ':' && std::all_of(port.begin() + 1, port.end(), is_digit));
}

std::optional<HttpRefusal> read_connection(HttpHead& head, bool is_1_1) {
  const auto& headers = head.request.headers;
  const std::string_view host = header(headers, "host");
  if (is_1_1 && host.empty()) return malformed("header host is missing");
  if (headers.contains("host") && !is_host(host)) return malformed("header host names no host");
  const std::string_view connection = header(headers, "connection");
  const auto connection_has = [&](std::string_view token) {
    return list_contains(connection, token, LetterCase::kAny);
  };
  head.keep_alive = is_1_1 ? !connection_has("close") : connection_has("keep-alive");
  head.wants_websocket =
      is_1_1 && connection_has("upgrade") && list_contains(header(headers, "upgrade"), "websocket", LetterCase::kAny);
  const std::string_view expect = header(headers, "expect");
  if (expect.empty()) return std::nullopt;
  if (!equal_any_case(expect, "100-continue")) {
    return HttpRefusal{417, Code::kUnsupported, "only the expectation 100-continue is known"};
  }
  head.expects_continue = is_1_1;
  return std::nullopt;
}

void append_json_string(std::string& out, std::string_view text) {
  out += '"';
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') out += '\\';
    out += byte < 0x20 || byte > 0x7E ? '?' : c;
  }
  out += '"';
}

}  // namespace

bool list_contains(std::string_view list, std::string_view token, LetterCase letters) {
  while (!list.empty()) {
    const std::size_t comma = list.find(',');
    const std::string_view entry = trimmed(list.substr(0, comma));
    if (letters == LetterCase::kExact ? entry == token : equal_any_case(entry, token)) return true;
    if (comma == std::string_view::npos) return false;
    list.remove_prefix(comma + 1);
  }
  return false;
}

Parsed parse_http_head(BytesView bytes) {
  // RFC 9112 section 2.2: an empty line before the request line is passed over.
  const std::size_t begin = bytes.starts_with("\r\n") ? 2 : 0;
  const std::size_t end = bytes.find("\r\n\r\n", begin);
  if (end == BytesView::npos ? bytes.size() > limits::kRequestHeadBytesMax : end + 4 > limits::kRequestHeadBytesMax) {
    return HttpRefusal{431, Code::kTooLarge, over_limit("request head", limits::kRequestHeadBytesMax)};
  }
  if (end == BytesView::npos) {
    // What cannot become a request line is refused before its end: a TLS client on a plain port, for one.
    if (begin < bytes.size() && !is_token_char(bytes[begin])) return malformed("this is not an HTTP request");
    return HttpNeedMore{};
  }

  HttpHead head;
  head.head_bytes = end + 4;
  bool is_1_1 = false;
  bool is_first = true;
  std::size_t header_lines = 0;
  std::string_view rest = bytes.substr(begin, end + 2 - begin);
  while (!rest.empty()) {
    const std::size_t line_end = rest.find("\r\n");
    const std::string_view line = rest.substr(0, line_end);
    rest.remove_prefix(line_end + 2);
    if (line.find_first_of(std::string_view("\r\n\0", 3)) != std::string_view::npos) {
      return malformed("a line has a lone control character");
    }
    const auto refusal =
        is_first ? parse_request_line(line, head, is_1_1) : parse_header_line(line, header_lines, head);
    if (refusal) return *refusal;
    is_first = false;
  }
  if (const auto refusal = read_length(head)) return *refusal;
  if (const auto refusal = read_connection(head, is_1_1)) return *refusal;
  return head;
}

Bytes encode_http_response(const HttpResponse& response, bool keep_alive, bool without_body) {
  Bytes out = "HTTP/1.1 " + std::to_string(response.status) + " ";
  out.append(http_reason(response.status)).append("\r\n");
  for (const auto& [name, value] : response.headers) {
    if (name == "content-length" || name == "connection" || name == "transfer-encoding") continue;
    if (!is_token(name) || !is_value(value)) continue;
    out.append(name).append(": ").append(value).append("\r\n");
  }
  // RFC 9110 section 8.6: none with 204.
  if (response.status != 204)
    out.append("content-length: ").append(std::to_string(response.body.size())).append("\r\n");
  out.append("connection: ").append(keep_alive ? "keep-alive" : "close");
  // RFC 9110 section 7.8: it holds for this connection alone.
  if (response.headers.contains("upgrade")) out.append(", upgrade");
  out.append("\r\n\r\n");
  if (!without_body && response.status != 204) out.append(response.body);
  return out;
}

HttpResponse problem_response(int status, Code code, std::string_view detail) {
  HttpResponse response;
  response.status = status;
  response.headers["content-type"] = std::string(kProblemType);
  response.headers["cache-control"] = "no-store";
  response.headers["x-content-type-options"] = "nosniff";
  std::string& body = response.body;
  body = "{\"type\":\"about:blank\",\"title\":";
  append_json_string(body, http_reason(status));
  body += ",\"status\":" + std::to_string(status) + ",\"detail\":";
  append_json_string(body, detail);
  body += ",\"code\":";
  append_json_string(body, code_name(code));
  body += ",\"codeNumber\":" + std::to_string(static_cast<int>(code)) + "}";
  return response;
}

}  // namespace chatsdk::server
