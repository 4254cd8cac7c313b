// SPDX-License-Identifier: Apache-2.0
//
// Files that are larger than memory, sealed and opened as they pass by (docs/e2ee.md sections 15 and 16): a sealer that
// pads what it is given, a check of a ciphertext's length and hash, and an opener. Whatever the file's size, each holds
// one chunk. Where bytes come from and go to, and what is in them, is known above.
//
// Threads: one owner each; a sink is called inside add() and finish().
// Invariants:
//   1. What an opener hands out was authenticated: whole chunks, each once, in their order.
//   2. What refused once refuses everything after it, with the same error.
#pragma once

#include <sodium.h>

#include <cstdint>
#include <functional>

#include "base/bytes.h"
#include "base/result.h"
#include "e2ee/file_stream.h"
#include "e2ee/primitives.h"

namespace chatsdk::e2ee {

// Takes bytes over, for the call only. What it refuses with ends the file.
using ByteSink = std::function<Status(BytesView)>;

// H("label" ‖ everything that was added).
class RunningHash {
 public:
  explicit RunningHash(const Label& label);
  ~RunningHash() { sodium_memzero(&state_, sizeof state_); }
  RunningHash(const RunningHash&) = delete;
  RunningHash& operator=(const RunningHash&) = delete;

  void add(BytesView bytes);
  // Once, at the end.
  Hash finish();

 private:
  crypto_hash_sha512_state state_;
};

class FileSealer {
 public:
  struct Sealed {
    Hash hash;  // of the ciphertext
    std::uint64_t true_bytes = 0;
    std::uint64_t padded_bytes = 0;
  };

  // Takes up to `most_bytes`. The sink gets the ciphertext, a chunk at a time.
  FileSealer(const FileKey& key, const StreamHeader& header, const Label& hash_label, std::uint64_t most_bytes,
             ByteSink ciphertext);
  ~FileSealer();
  FileSealer(const FileSealer&) = delete;
  FileSealer& operator=(const FileSealer&) = delete;

  // Pieces of any length. TOO_LARGE; what the sink refuses with; WRONG_STATE behind finish().
  Status add(BytesView plain);
  // The padding, and the last chunk.
  Result<Sealed> finish();

 private:
  Status append(BytesView plain);
  Status seal_chunk(bool last);

  StreamSealer stream_;
  RunningHash hash_;
  const std::uint64_t most_bytes_;
  const ByteSink ciphertext_;
  Bytes chunk_;  // up to a whole one, since only what follows shows that it is not the last
  std::uint64_t true_bytes_ = 0;
  Status standing_;  // what refused, or that it is finished
};

class FileCheck {
 public:
  // Of the ciphertext of a file of that many padded bytes.
  FileCheck(const Label& hash_label, std::uint64_t padded_bytes, const Hash& hash);

  // Exactly so many bytes come: to be asked before anything is fetched or allocated.
  std::uint64_t file_bytes() const { return file_bytes_; }

  // BAD_MESSAGE for more than that.
  Status add(BytesView ciphertext);
  // BAD_MESSAGE unless all of it came and has the hash.
  Status finish();

 private:
  RunningHash running_;
  const std::uint64_t file_bytes_;
  const Hash hash_;
  std::uint64_t seen_bytes_ = 0;
  Status standing_;  // what refused, or that it is finished
};

class FileOpener {
 public:
  // The sink gets the plaintext with its padding, a chunk at a time.
  FileOpener(const FileKey& key, const StreamHeader& header, std::uint64_t padded_bytes, ByteSink plain);

  // Pieces of any length. BAD_MESSAGE; what the sink refuses with; WRONG_STATE behind finish().
  Status add(BytesView ciphertext);
  // BAD_MESSAGE unless the whole file came.
  Status finish();

 private:
  Status take(BytesView ciphertext);
  Status open_chunk(BytesView chunk);
  std::size_t next_chunk_bytes() const;

  StreamOpener stream_;
  const ByteSink plain_;
  Bytes chunk_;               // of the next chunk, what came of it
  std::uint64_t left_bytes_;  // of ciphertext that was not opened
  Status standing_;           // what refused, or that it is finished
};

}  // namespace chatsdk::e2ee
