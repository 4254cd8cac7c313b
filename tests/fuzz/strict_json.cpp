// SPDX-License-Identifier: Apache-2.0
//
// JSON at the security boundary: what is accepted is read, and printed and read again, as the same value.
//
// Threads: one.
#include "server-reference/services/strict_json.h"

#include "fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace chatsdk;
  using namespace chatsdk::server;
  const BytesView text = fuzz::view(data, size);
  const Status status = check_strict_json(text);
  const auto object = parse_strict_object(text);
  if (!status.ok()) {
    CHATSDK_ASSERT(status.code() == (is_utf8(text) ? Code::kMalformed : Code::kInvalidUtf8) && !object.ok());
    return 0;
  }
  CHATSDK_ASSERT(is_utf8(text));
  if (!object.ok()) return 0;
  CHATSDK_ASSERT(object->is_object());
  const std::string printed = object->dump();
  const auto again = parse_strict_object(printed);
  CHATSDK_ASSERT(again.ok() && again->dump() == printed);
  for (const auto& [name, value] : object->items()) {
    CHATSDK_ASSERT((string_member(*object, name.c_str()) != nullptr) <=
                   (name.find('\0') != name.npos || value.is_string()));
  }
  return 0;
}
