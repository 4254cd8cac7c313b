// SPDX-License-Identifier: Apache-2.0
//
// What a device reads first of every WebSocket message: a server's frame, and the refusals and items inside it.
//
// Threads: one.
#include "base/limits.h"
#include "fuzz/fuzz.h"
#include "protocol/content.h"
#include "protocol/frames.h"

namespace {

void read_error(const chatsdk::wire::Error& refusal) {
  const chatsdk::Error error = chatsdk::from_wire(refusal);
  CHATSDK_ASSERT(error.code != chatsdk::Code::kOk);
  const chatsdk::Error again = chatsdk::from_wire(chatsdk::to_wire(error));
  CHATSDK_ASSERT(again.code == error.code && again.detail == error.detail && again.retry_after == error.retry_after);
  chatsdk::close_code_for(error.code);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto frame = chatsdk::decode_server_frame(chatsdk::fuzz::view(data, size));
  if (!frame.ok()) {
    CHATSDK_ASSERT(frame.error().code == chatsdk::Code::kMalformed);
    return 0;
  }
  const chatsdk::Bytes printed = chatsdk::encode(*frame);
  const auto again = chatsdk::decode_server_frame(printed);
  CHATSDK_ASSERT(again.ok());
  CHATSDK_ASSERT(again->body_case() == frame->body_case());
  CHATSDK_ASSERT(chatsdk::encode(*again) == printed);

  if (frame->has_failure()) read_error(frame->failure().error());
  if (frame->send_result().has_refused()) read_error(frame->send_result().refused());
  if (frame->void_result().has_refused()) read_error(frame->void_result().refused());
  for (const chatsdk::wire::Item& item : frame->items().items()) {
    const auto text = chatsdk::content::text_of(item.content());
    CHATSDK_ASSERT(!text || chatsdk::is_utf8(*text));
  }
  return 0;
}
