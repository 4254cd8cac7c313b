// SPDX-License-Identifier: Apache-2.0
//
// What the server reads first of every WebSocket message: a client's frame, and the text inside it.
//
// Threads: one.
#include "base/limits.h"
#include "fuzz/fuzz.h"
#include "protocol/content.h"
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

  if (!frame->has_send()) return 0;
  const auto text = chatsdk::content::text_of(frame->send().content());
  if (!text) return 0;
  CHATSDK_ASSERT(!text->empty() && text->size() <= chatsdk::limits::kTextBytesMax && chatsdk::is_utf8(*text));
  CHATSDK_ASSERT(chatsdk::content::text_of(chatsdk::encode_text_content(*text)) == text);
  return 0;
}
