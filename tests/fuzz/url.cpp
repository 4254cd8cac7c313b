// SPDX-License-Identifier: Apache-2.0
//
// The URLs that an app and a server's answer name. Whatever is accepted holds one host and no second header line.
//
// Threads: one.
#include "base/url.h"

#include "fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const chatsdk::BytesView text = chatsdk::fuzz::view(data, size);
  chatsdk::is_address(std::string(text));
  const bool is_value = chatsdk::is_header_value(text);
  CHATSDK_ASSERT(!is_value || text.find_first_of("\r\n") == text.npos);

  using chatsdk::UrlKind;
  const bool is_websocket = chatsdk::parse_url(text, UrlKind::kWebSocket).ok();
  const UrlKind kind = is_websocket ? UrlKind::kWebSocket : UrlKind::kHttp;
  const auto url = chatsdk::parse_url(text, kind);
  if (!url.ok()) return 0;
  const auto clean = [](const std::string& part) { return part.find_first_of(" \t\r\n@\\#") == std::string::npos; };
  CHATSDK_ASSERT(!url->host.empty() && clean(url->host) && url->host.find('/') == std::string::npos);
  CHATSDK_ASSERT(url->target.starts_with("/") && url->target.find_first_of(" \t\r\n\\#") == std::string::npos);
  CHATSDK_ASSERT(url->port != 0);

  const auto again = chatsdk::parse_url(url->scheme + "://" + url->authority() + url->target, kind);
  CHATSDK_ASSERT(again.ok());
  CHATSDK_ASSERT(again->scheme == url->scheme && again->host == url->host && again->port == url->port);
  CHATSDK_ASSERT(again->target == url->target && again->secure == url->secure);
  return 0;
}
