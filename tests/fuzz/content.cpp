// SPDX-License-Identifier: Apache-2.0
//
// What a message carries, from whoever wrote it.
//
// Threads: one.
#include "protocol/content.h"

#include "base/limits.h"
#include "fuzz/fuzz.h"

namespace content = chatsdk::content;

namespace {

chatsdk::Bytes written(const content::Content& read) {
  return std::visit([](const auto& one) { return content::write(one); }, read);
}

bool is_known(const content::Content& read) {
  return std::visit([](const auto& one) { return !std::holds_alternative<content::Unknown>(one.kind); }, read);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const chatsdk::BytesView bytes = chatsdk::fuzz::view(data, size);
  const content::Content read = content::read(bytes);
  CHATSDK_ASSERT(content::is_annotation(bytes) == std::holds_alternative<content::Annotation>(read));
  CHATSDK_ASSERT(content::check(read, chatsdk::limits::kTextBytesMax).ok());

  const auto strictly = content::read_strictly(bytes, chatsdk::limits::kTextBytesMax);
  CHATSDK_ASSERT(strictly.ok() ? *strictly == read : !is_known(read));
  if (!is_known(read)) return 0;
  // Writing is a fixed point: what was understood once is understood the same way again.
  const chatsdk::Bytes again = written(read);
  CHATSDK_ASSERT(content::read(again) == read);
  CHATSDK_ASSERT(written(content::read(again)) == again);
  return 0;
}
