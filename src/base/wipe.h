// SPDX-License-Identifier: Apache-2.0
//
// Overwrites secret texts whose length is not fixed, as passwords in messages and arguments; for fixed sizes there is
// Secret. What a string left behind when it was copied or grew is out of reach.
//
// Threads: pure functions.
#pragma once

#include <sodium.h>

#include <span>
#include <string>

namespace chatsdk {

// The length stays.
inline void wipe(std::string& text) { sodium_memzero(text.data(), text.size()); }
inline void wipe_memory(std::span<unsigned char> bytes) { sodium_memzero(bytes.data(), bytes.size()); }

// Wipes at the end of its scope, however that ends. The text stays where it is meanwhile.
class WipeAtEnd {
 public:
  explicit WipeAtEnd(std::string& text) : text_(text) {}
  ~WipeAtEnd() { wipe(text_); }
  WipeAtEnd(const WipeAtEnd&) = delete;
  WipeAtEnd& operator=(const WipeAtEnd&) = delete;

 private:
  std::string& text_;
};

}  // namespace chatsdk
