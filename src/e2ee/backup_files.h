// SPDX-License-Identifier: Apache-2.0
//
// Backup files as they pass by (docs/e2ee.md section 16): written frame by frame, and read in two passes. The first
// one, while the ciphertext is fetched, holds its length and hash against the manifest; the second one gives the
// frames. Memory: a chunk and a frame, whatever the file's size. It does not know what a frame of history is, nor where
// files are kept.
//
// Threads: one owner each; a sink is called inside add() and finish().
// Invariants:
//   1. No frame is given before the hash of all of the ciphertext was compared, and none that was not authenticated.
//   2. A file that was not finished is not used: only then it is known to be whole.
#pragma once

#include <cstdint>

#include "base/bytes.h"
#include "base/random.h"
#include "base/result.h"
#include "e2ee/backup.h"
#include "e2ee/large_files.h"

namespace chatsdk::e2ee {

class BackupWriter {
 public:
  // `key` and `place` outlive it. The sequence is not 0.
  BackupWriter(const RecoveryKey& key, const BackupPlace& place, Random& random, ByteSink ciphertext);

  // Kind and bytes, at most limits::e2ee::kBackupFrameMax together; the first one is the account key's seed.
  // INVALID_ARGUMENT; TOO_LARGE above limits::e2ee::kBackupMax; what the sink refuses with.
  Status add_frame(BytesView frame);
  // The manifest. INVALID_ARGUMENT without a frame.
  Result<Bytes> finish();

 private:
  const RecoveryKey& key_;
  const BackupPlace& place_;
  BackupFile written_;
  FileSealer file_;
  bool has_seed_ = false;
};

// A manifest whose file was seen whole: what a reader asks for.
class CheckedBackup {
 private:
  friend class BackupCheck;
  friend class BackupReader;
  explicit CheckedBackup(const Manifest& manifest) : manifest_(manifest) {}

  Manifest manifest_;
};

// The first pass.
class BackupCheck {
 public:
  explicit BackupCheck(const Manifest& manifest);

  // Exactly so many bytes come: to be asked before anything is fetched or allocated.
  std::uint64_t file_bytes() const { return file_.file_bytes(); }

  // BAD_MESSAGE.
  Status add(BytesView ciphertext) { return file_.add(ciphertext); }
  // BAD_MESSAGE for anything but the file that the manifest was written for.
  Result<CheckedBackup> finish();

 private:
  FileCheck file_;
  CheckedBackup checked_;
};

// The second pass.
class BackupReader {
 public:
  // The sink gets kind and bytes of each frame, whatever kind it is; who does not know a kind passes it over.
  BackupReader(const RecoveryKey& key, const CheckedBackup& backup, ByteSink frames);
  ~BackupReader();
  BackupReader(const BackupReader&) = delete;
  BackupReader& operator=(const BackupReader&) = delete;

  // BAD_MESSAGE; what the sink refuses with.
  Status add(BytesView ciphertext) { return file_.add(ciphertext); }
  Status finish();

 private:
  Status take(BytesView padded);
  Status take_length();
  Status take_frame();

  const ByteSink frames_;
  const std::uint64_t padded_bytes_;
  std::uint64_t read_bytes_ = 0;  // of lengths and frames, up to the end of the last one
  Bytes part_;                    // of a length or a frame, what came of it
  std::size_t part_bytes_;        // how long it will be
  bool in_length_ = true;
  bool has_seed_ = false;
  bool at_padding_ = false;
  FileOpener file_;
};

}  // namespace chatsdk::e2ee
