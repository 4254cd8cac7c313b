// SPDX-License-Identifier: Apache-2.0
//
// An HTTP exchange as a value: what the client's HttpClient sends and the server's REST services answer, in the real
// world and in a simulated one alike.
//
// Threads: values.
#pragma once

#include <chrono>
#include <map>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/limits.h"

namespace chatsdk {

inline constexpr std::string_view kProtobufType = "application/x-protobuf";
inline constexpr std::string_view kJsonType = "application/json";
inline constexpr std::string_view kProblemType = "application/problem+json";

// Where the gateway accepts WebSocket upgrades.
inline constexpr std::string_view kWebSocketPath = "/v1/ws";

struct HttpRequest {
  std::string method;                          // upper case
  std::string url;                             // absolute on the client; path and query on the server
  std::map<std::string, std::string> headers;  // names in lower case
  Bytes body;
  std::chrono::milliseconds timeout = limits::kRequestTimeout;
};

struct HttpResponse {
  int status = 0;
  std::map<std::string, std::string> headers;  // names in lower case
  Bytes body;
};

// The value of a header, or "".
std::string_view header(const std::map<std::string, std::string>& headers, std::string_view lower_case_name);
// The token of "Authorization: Bearer <token>" (RFC 6750 section 2.1, scheme in any case), or "".
std::string_view bearer_token(const std::map<std::string, std::string>& headers);
// The reason phrase of a status (RFC 9110 section 15, RFC 6585), "Unknown" for one that is not in the table.
std::string_view http_reason(int status);

}  // namespace chatsdk
