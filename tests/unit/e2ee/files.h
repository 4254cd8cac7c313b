// SPDX-License-Identifier: Apache-2.0
//
// What the tests of sealed files share: contents of any size, sinks that keep what they get, and files handed over in
// pieces.
//
// Threads: one owner.
#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

#include "base/bytes.h"
#include "e2ee/large_files.h"

namespace chatsdk::e2ee {

// Byte i is i modulo 251, as section 26 has it.
inline Bytes counting_bytes(std::size_t size) {
  Bytes bytes(size, '\0');
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<char>(i % 251);
  return bytes;
}

// Keeps what a sink is given.
class Kept {
 public:
  ByteSink sink() {
    return [this](BytesView bytes) {
      bytes_.append(bytes);
      largest_ = std::max(largest_, bytes.size());
      ++calls_;
      return Status();
    };
  }
  const Bytes& bytes() const { return bytes_; }
  std::size_t largest() const { return largest_; }
  std::size_t calls() const { return calls_; }

 private:
  Bytes bytes_;
  std::size_t largest_ = 0;
  std::size_t calls_ = 0;
};

// add() of all pieces, then finish(): what the first that refuses says.
template <typename File>
Code hand_over(File& file, BytesView bytes, std::size_t piece_bytes) {
  while (!bytes.empty()) {
    const Bytes piece(bytes.substr(0, piece_bytes));  // for the call only
    const Status added = file.add(piece);
    if (!added) return added.code();
    bytes.remove_prefix(piece.size());
  }
  return file.finish().code();
}

// One bit of each byte in turn.
template <typename Check>
void with_each_byte_flipped(const Bytes& bytes, Check check) {
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    Bytes flipped = bytes;
    flipped[i] = static_cast<char>(flipped[i] ^ (1 << (i % 8)));
    check(flipped, i);
  }
}

}  // namespace chatsdk::e2ee
