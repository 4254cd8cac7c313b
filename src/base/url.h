// SPDX-License-Identifier: Apache-2.0
//
// The parts of an absolute URL that the adapters need: where to connect, which name the certificate must carry, what to
// ask for. Knows http, https, ws and wss; refuses user information, fragments, white space and control characters, so
// that no part can smuggle a header or a second host.
//
// Threads: values.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace chatsdk {

struct Url {
  std::string scheme;  // lower case
  std::string host;    // lower case; an IPv6 address without its brackets
  std::uint16_t port = 0;
  std::string target;  // path and query, begins with '/'
  bool secure = false;

  // The Host header: brackets around an IPv6 address, the port unless it is the scheme's own.
  std::string authority() const;
};

// Each kind has its plain scheme and the one over TLS.
enum class UrlKind { kHttp, kWebSocket };

// INVALID_ARGUMENT says what is wrong, also that the scheme is of another kind.
Result<Url> parse_url(std::string_view text, UrlKind kind);

// True for an IPv4 or IPv6 address in text form, which needs no look-up.
bool is_address(const std::string& host);

// A text as one part of a path or query: what is no letter, digit or one of -._~ is percent-encoded (RFC 3986).
std::string percent_encoded(std::string_view text);

// True for a value that may stand in a header line: no control character but the tab, nothing above 0x7e.
bool is_header_value(std::string_view value);

}  // namespace chatsdk
