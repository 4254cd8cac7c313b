// SPDX-License-Identifier: Apache-2.0
//
// What the fuzz targets share: the entry point that libFuzzer and the replaying driver call, and the input as bytes. A
// target states what must hold with CHATSDK_ASSERT, which stops the process in every build.
//
// Threads: one.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "base/assert.h"
#include "base/bytes.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace chatsdk::fuzz {

inline BytesView view(const std::uint8_t* data, std::size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

// Takes bytes from the front of an input, as many as there are.
class Reader {
 public:
  explicit Reader(BytesView rest) : rest_(rest) {}
  bool empty() const { return rest_.empty(); }
  std::uint8_t byte() {
    if (rest_.empty()) return 0;
    const auto value = static_cast<std::uint8_t>(rest_.front());
    rest_.remove_prefix(1);
    return value;
  }
  // Little-endian.
  std::uint32_t number(int bytes) {
    std::uint32_t value = 0;
    for (int i = 0; i < bytes; ++i) value |= static_cast<std::uint32_t>(byte()) << (8 * i);
    return value;
  }
  BytesView bytes(std::size_t count) {
    const BytesView taken = rest_.substr(0, std::min(count, rest_.size()));
    rest_.remove_prefix(taken.size());
    return taken;
  }
  BytesView rest() { return bytes(rest_.size()); }

 private:
  BytesView rest_;
};

}  // namespace chatsdk::fuzz
