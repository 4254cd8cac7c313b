// SPDX-License-Identifier: Apache-2.0
//
// The server's side of HTTP/1.1 as pure functions of bytes: the head of a request in, a response out. Strict, because
// what two parsers read differently is how requests are smuggled: no bare line feed, no folded header, one length.
// It knows neither socket nor path.
//
// Threads: pure functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

#include "base/bytes.h"
#include "base/result.h"
#include "protocol/http.h"

namespace chatsdk::server {

struct HttpHead {
  HttpRequest request;  // without body; url is the target as it came
  std::size_t head_bytes = 0;
  std::uint64_t body_bytes = 0;
  bool keep_alive = false;
  bool expects_continue = false;
  bool wants_websocket = false;  // Upgrade: websocket and Connection: upgrade
};

// Why a request is refused before any service sees it. The connection ends after the answer, for what follows cannot
// be told apart from the rest of the request.
struct HttpRefusal {
  int status = 0;
  Code code = Code::kMalformed;
  std::string detail;
};

struct HttpNeedMore {};

// Reads a head from the front of bytes.
std::variant<HttpNeedMore, HttpHead, HttpRefusal> parse_http_head(BytesView bytes);

// The values of Connection, Upgrade and Sec-WebSocket-Protocol are lists: true when token stands in it. Those of HTTP
// are compared in any case of letters, the names of subprotocols as they are (RFC 6455 section 4.1).
enum class LetterCase { kAny, kExact };
bool list_contains(std::string_view list, std::string_view token, LetterCase letters);

// A whole response. content-length and connection are the codec's, the latter with "upgrade" beside a header of that
// name; a header whose name or value could break out of its line is left out. without_body: the answer to HEAD.
Bytes encode_http_response(const HttpResponse& response, bool keep_alive, bool without_body);
// The problem document (RFC 9457) of a refusal, in the shape that every other refusal of this server has.
HttpResponse problem_response(int status, Code code, std::string_view detail);

}  // namespace chatsdk::server
