// SPDX-License-Identifier: Apache-2.0
//
// Attachments as files that pass by (docs/e2ee.md section 15): sealed while they are read, and read in two passes by
// who gets them. The first one, while the ciphertext is fetched, holds its length and hash against the key; the second
// one opens it. It does not know where ciphertexts are kept, nor what their plaintext is.
//
// Threads: one owner each; a sink is called inside add() and finish().
// Invariants:
//   1. A key is drawn for one file.
//   2. Nothing is opened before the hash of all of the ciphertext was compared, and nothing is handed out that was not
//      authenticated as its place of that file.
//   3. A file that was not finished is not shown: only then it is known to be whole, and its padding to be zeros.
#pragma once

#include <cstdint>
#include <optional>

#include "base/bytes.h"
#include "base/random.h"
#include "base/result.h"
#include "e2ee/attachments.h"
#include "e2ee/large_files.h"

namespace chatsdk::e2ee {

class AttachmentSealer {
 public:
  AttachmentSealer(Random& random, ByteSink ciphertext);

  // Pieces of any length. TOO_LARGE above limits::e2ee::kAttachmentMax; what the sink refuses with.
  Status add(BytesView plain) { return file_.add(plain); }
  // The key, without location and media type.
  Result<AttachmentKey> finish();

 private:
  FileKey key_;
  StreamHeader header_;
  FileSealer file_;
};

// A key whose ciphertext was seen whole: what an opener asks for.
class CheckedAttachment {
 public:
  CheckedAttachment(CheckedAttachment&&) noexcept = default;
  CheckedAttachment& operator=(CheckedAttachment&&) noexcept = default;

 private:
  friend class AttachmentCheck;
  friend class AttachmentOpener;
  explicit CheckedAttachment(const AttachmentKey& key);

  FileKey key_;
  StreamHeader header_;
  std::uint64_t padded_bytes_;
  std::uint64_t true_bytes_;
};

// The first pass.
class AttachmentCheck {
 public:
  // Of a key that was parsed.
  explicit AttachmentCheck(const AttachmentKey& key);

  // Exactly so many bytes come: to be asked before anything is fetched or allocated.
  std::uint64_t file_bytes() const { return file_.file_bytes(); }

  // BAD_MESSAGE.
  Status add(BytesView ciphertext) { return file_.add(ciphertext); }
  // BAD_MESSAGE for anything but the ciphertext that the key was made for.
  Result<CheckedAttachment> finish();

 private:
  FileCheck file_;
  CheckedAttachment checked_;
};

// The second pass.
class AttachmentOpener {
 public:
  // The sink gets the file without its padding.
  AttachmentOpener(const CheckedAttachment& attachment, ByteSink plain);

  // BAD_MESSAGE; what the sink refuses with.
  Status add(BytesView ciphertext) { return file_.add(ciphertext); }
  Status finish() { return file_.finish(); }

 private:
  Status take(BytesView padded);

  const ByteSink plain_;
  std::uint64_t true_left_;  // bytes before the padding
  FileOpener file_;
};

}  // namespace chatsdk::e2ee
