// SPDX-License-Identifier: Apache-2.0
//
// Files as chunks of libsodium's secretstream (docs/e2ee.md section 15): 64 KiB of plaintext each, the last one marked
// as final, nothing behind it. Files are larger than memory, so chunks go in and come out one at a time. What is
// padded, and what hash of the ciphertext must hold before anybody looks at the plaintext, is known above.
//
// Threads: one owner.
// Invariants:
//   1. A key encrypts one file. The header is random, and belongs to that file.
//   2. An opener that refused a chunk refuses everything after it.
#pragma once

#include <sodium.h>

#include <cstdint>
#include <optional>

#include "base/bytes.h"
#include "base/limits.h"
#include "e2ee/primitives.h"

namespace chatsdk::e2ee {

using FileKey = Secret<32>;
using StreamHeader = Fixed<struct StreamHeaderTag, 24>;

inline constexpr std::size_t kChunkOverheadBytes = 17;
inline constexpr std::size_t kSealedChunkBytes = limits::e2ee::kStreamChunkBytes + kChunkOverheadBytes;

// Of a file of that many padded bytes, at least 1.
std::uint64_t sealed_file_bytes(std::uint64_t padded_bytes);

class StreamSealer {
 public:
  StreamSealer(const FileKey& key, const StreamHeader& header);
  ~StreamSealer() { sodium_memzero(&state_, sizeof state_); }
  StreamSealer(const StreamSealer&) = delete;
  StreamSealer& operator=(const StreamSealer&) = delete;

  // limits::e2ee::kStreamChunkBytes, and 1 byte or more in the last chunk.
  Bytes seal(BytesView chunk, bool last);

 private:
  crypto_secretstream_xchacha20poly1305_state state_;
};

class StreamOpener {
 public:
  StreamOpener(const FileKey& key, const StreamHeader& header);
  ~StreamOpener() { sodium_memzero(&state_, sizeof state_); }
  StreamOpener(const StreamOpener&) = delete;
  StreamOpener& operator=(const StreamOpener&) = delete;

  // A whole sealed chunk; `last` says that no byte of the file comes behind it. nullopt for what was not sealed so.
  std::optional<Bytes> open(BytesView chunk, bool last);

 private:
  crypto_secretstream_xchacha20poly1305_state state_;
  bool refused_ = false;
};

// A whole file in memory. The plaintext has 1 byte or more.
Bytes seal_file(const FileKey& key, const StreamHeader& header, BytesView plain);
std::optional<Bytes> open_file(const FileKey& key, const StreamHeader& header, BytesView sealed);

}  // namespace chatsdk::e2ee
