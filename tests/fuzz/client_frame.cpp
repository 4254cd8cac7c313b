// SPDX-License-Identifier: Apache-2.0
//
// What the server reads first of every WebSocket message: a client's frame, and the text inside it.
//
// Threads: one.
#include "base/limits.h"
#include "fuzz/fuzz.h"
#include "protocol/frames.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  namespace wire = chatsdk::wire;
  const auto frame = chatsdk::decode_client_frame(chatsdk::fuzz::view(data, size));
  if (!frame.ok()) {
    CHATSDK_ASSERT(frame.error().code == chatsdk::Code::kMalformed);
    return 0;
  }
  // Printing is a fixed point: what was understood once is understood the same way again.
  const chatsdk::Bytes printed = chatsdk::encode(*frame);
  const auto again = chatsdk::decode_client_frame(printed);
  CHATSDK_ASSERT(again.ok());
  CHATSDK_ASSERT(again->body_case() == frame->body_case());
  CHATSDK_ASSERT(chatsdk::encode(*again) == printed);

  wire::Content content;
  if (!frame->has_send() || !content.ParseFromString(frame->send().content())) return 0;
  const auto text = chatsdk::check_text_content(content, chatsdk::limits::kTextBytesDefault);
  if (!text.ok()) return 0;
  CHATSDK_ASSERT(!text->empty() && text->size() <= chatsdk::limits::kTextBytesDefault && chatsdk::is_utf8(*text));
  CHATSDK_ASSERT(content.ParseFromString(chatsdk::encode_text_content(*text)));
  return 0;
}
