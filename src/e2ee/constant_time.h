// SPDX-License-Identifier: Apache-2.0
//
// What keeps secrets out of branches, against the compiler: it may turn a mask that it has seen through into a jump,
// and did so in code like ours. hidden() takes the sight away from it.
//
// tests/e2ee_ct runs the code with every secret marked as undefined memory. A value that is computed from a secret and
// public all the same is then announced with declassify(), which is nothing in any other build.
//
// Threads: pure functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#ifdef CHATSDK_CONSTANT_TIME_CHECK
#include <valgrind/memcheck.h>
#endif

namespace chatsdk {

// The same value; the compiler has to take it for any other.
inline std::uint32_t hidden(std::uint32_t value) {
  __asm__("" : "+r"(value));
  return value;
}

// All ones when the two are equal, else 0. They are of one length.
inline std::uint32_t equal_mask(std::span<const unsigned char> a, std::span<const unsigned char> b) {
  std::uint32_t differences = 0;
  for (std::size_t i = 0; i < a.size(); ++i) differences = hidden(differences | (std::uint32_t{a[i]} ^ b[i]));
  return 0U - hidden((differences - 1U) >> 31U);  // differences is below 256: only 0 borrows from the top bit
}

// Copies `from` over `to` where mask is all ones, and nothing where it is 0. They are of one length.
inline void copy_where(std::uint32_t mask, std::span<const unsigned char> from, std::span<unsigned char> to) {
  for (std::size_t i = 0; i < to.size(); ++i) {
    to[i] = static_cast<unsigned char>(to[i] ^ (hidden(mask) & (std::uint32_t{to[i]} ^ from[i])));
  }
}

// These bytes are public, although they were computed from a secret.
inline void declassify([[maybe_unused]] std::span<const unsigned char> bytes) {
#ifdef CHATSDK_CONSTANT_TIME_CHECK
  static_cast<void>(VALGRIND_MAKE_MEM_DEFINED(bytes.data(), bytes.size()));
#endif
}

}  // namespace chatsdk
