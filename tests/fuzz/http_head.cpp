// SPDX-License-Identifier: Apache-2.0
//
// The head of an HTTP request, and a response that carries back what came in it. Where a head ends is the same however
// its bytes were cut and whatever follows it: two readings of one stream are how requests are smuggled.
//
// Threads: one.
#include "base/limits.h"
#include "fuzz/fuzz.h"
#include "server-reference/gateway/http_codec.h"

namespace {

using namespace chatsdk;
using namespace chatsdk::server;

void check_head(BytesView bytes, const HttpHead& head) {
  CHATSDK_ASSERT(head.head_bytes > 0 && head.head_bytes <= bytes.size());
  CHATSDK_ASSERT(head.body_bytes <= limits::kRequestBodyBytesMax);
  CHATSDK_ASSERT(!head.request.headers.contains("transfer-encoding"));
  CHATSDK_ASSERT(head.request.url.size() <= limits::kRequestTargetBytesMax);
  for (const auto& [name, value] : head.request.headers) {
    CHATSDK_ASSERT(!name.empty() && value.find_first_of(std::string_view("\r\n\0", 3)) == std::string::npos);
  }
  bearer_token(head.request.headers);

  const auto exact = parse_http_head(bytes.substr(0, head.head_bytes));
  const auto* same = std::get_if<HttpHead>(&exact);
  CHATSDK_ASSERT(same != nullptr && same->head_bytes == head.head_bytes && same->body_bytes == head.body_bytes);
  CHATSDK_ASSERT(same->request.headers == head.request.headers && same->request.url == head.request.url);
  const auto shorter = parse_http_head(bytes.substr(0, head.head_bytes - 1));
  CHATSDK_ASSERT(std::holds_alternative<HttpNeedMore>(shorter));
}

// One head, and nothing of the content in it.
void check_response(HttpResponse response) {
  const Bytes encoded = encode_http_response(response, true, false);
  const std::size_t end = encoded.find("\r\n\r\n");
  CHATSDK_ASSERT(end != Bytes::npos);
  const std::size_t body = response.status == 204 ? 0 : response.body.size();
  CHATSDK_ASSERT(encoded.size() - end - 4 == body);
  CHATSDK_ASSERT(encode_http_response(response, true, true) == encoded.substr(0, end + 4));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const BytesView bytes = fuzz::view(data, size);
  const auto parsed = parse_http_head(bytes);
  if (const auto* head = std::get_if<HttpHead>(&parsed)) {
    check_head(bytes, *head);
    check_response({200, head->request.headers, Bytes(head->request.url)});
  }
  if (const auto* refusal = std::get_if<HttpRefusal>(&parsed)) {
    CHATSDK_ASSERT(refusal->status >= 400 && refusal->status < 600);
    check_response(problem_response(refusal->status, refusal->code, refusal->detail));
  }
  if (std::holds_alternative<HttpNeedMore>(parsed)) {
    CHATSDK_ASSERT(size <= limits::kRequestHeadBytesMax);
  }
  // Header values from elsewhere can hold anything.
  const std::string text(bytes);
  check_response({404, {{"x-echo", text}, {text, "x"}}, "body"});
  const bool exact = list_contains(bytes, "upgrade", LetterCase::kExact);
  CHATSDK_ASSERT(!exact || list_contains(bytes, "upgrade", LetterCase::kAny));
  return 0;
}
