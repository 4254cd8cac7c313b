// SPDX-License-Identifier: Apache-2.0
//
// Where the bytes that SQLite addresses in a log or a rollback journal lie in the encrypted file. Each file is a row of
// records; every record is sealed alone and is kSealBytes longer on disk, so what SQLite writes in one call and may
// lose in one power cut never shares a seal with what it wrote before.
//
//   write-ahead log       | log header 32 | frame header 24 | page 4096 | frame header 24 | page 4096 | ...
//     as SQLite writes it: it rewrites a page or a frame header alone, and reads a frame in one piece.
//   rollback journal      | block 512 | block 512 | ...
//     512 is the sector size that the VFS reports together with power-safe overwrite, so each journal header begins a
//     block, and appending to the journal after a sync never rewrites a block that was synced with records in it.
//
// Threads: pure functions.
#pragma once

#include <cstddef>
#include <cstdint>

#include "store/crypt_page.h"
#include "store/crypt_prelude.h"

namespace chatsdk {

struct RecordPlace {
  std::uint64_t index = 0;    // of the record, for its associated data
  std::int64_t logical = 0;   // first byte as SQLite counts
  std::int64_t physical = 0;  // first byte in the file
  std::size_t plain_bytes = 0;
};

class RecordLayout {
 public:
  static constexpr std::int64_t kSeal = static_cast<std::int64_t>(kSealBytes);
  static constexpr std::int64_t kLogHeader = 32;
  static constexpr std::int64_t kFrameHeader = 24;
  static constexpr std::int64_t kPage = static_cast<std::int64_t>(kStorePageBytes);
  static constexpr std::int64_t kFrame = kFrameHeader + kPage;
  static constexpr std::int64_t kFrameOnDisk = kFrame + 2 * kSeal;
  static constexpr std::int64_t kJournalBlock = 512;
  static constexpr std::size_t kPlainBytesMax = kStorePageBytes;

  explicit constexpr RecordLayout(RecordKind kind) : kind_(kind) {}

  // The record that holds the byte at this offset.
  constexpr RecordPlace locate(std::int64_t logical) const {
    return kind_ == RecordKind::kWal ? locate_in_log(logical) : locate_in_journal(logical);
  }

  // How many bytes SQLite finds in a file of this size: those of the records that are there to their end.
  constexpr std::int64_t logical_size(std::int64_t physical) const {
    if (kind_ != RecordKind::kWal) return physical / (kJournalBlock + kSeal) * kJournalBlock;
    if (physical < kLogHeader + kSeal) return 0;
    const std::int64_t frames = physical - (kLogHeader + kSeal);
    const std::int64_t rest = frames % kFrameOnDisk;
    return kLogHeader + frames / kFrameOnDisk * kFrame + (rest >= kFrameHeader + kSeal ? kFrameHeader : 0);
  }

  // The size on disk that keeps at least the first `logical` bytes.
  constexpr std::int64_t physical_size(std::int64_t logical) const {
    if (logical == 0) return 0;
    const RecordPlace last = locate(logical - 1);
    return last.physical + static_cast<std::int64_t>(last.plain_bytes) + kSeal;
  }

  // True for a read of the kind that SQLite makes when it reads a log after a crash: its header, or one whole frame.
  constexpr bool is_recovery_read(std::int64_t logical, std::int64_t bytes) const {
    if (kind_ != RecordKind::kWal) return true;
    if (logical == 0) return bytes == kLogHeader;
    return bytes == kFrame && (logical - kLogHeader) % kFrame == 0;
  }

 private:
  static constexpr RecordPlace locate_in_log(std::int64_t logical) {
    if (logical < kLogHeader) return {0, 0, 0, static_cast<std::size_t>(kLogHeader)};
    const std::int64_t frame = (logical - kLogHeader) / kFrame;
    const std::int64_t within = (logical - kLogHeader) % kFrame;
    const std::int64_t logical_start = kLogHeader + frame * kFrame;
    const std::int64_t physical_start = kLogHeader + kSeal + frame * kFrameOnDisk;
    const auto index = static_cast<std::uint64_t>(2 * frame + 1);
    if (within < kFrameHeader) return {index, logical_start, physical_start, static_cast<std::size_t>(kFrameHeader)};
    return {index + 1, logical_start + kFrameHeader, physical_start + kFrameHeader + kSeal, kStorePageBytes};
  }

  static constexpr RecordPlace locate_in_journal(std::int64_t logical) {
    const std::int64_t block = logical / kJournalBlock;
    return {static_cast<std::uint64_t>(block), block * kJournalBlock, block * (kJournalBlock + kSeal),
            static_cast<std::size_t>(kJournalBlock)};
  }

  RecordKind kind_;
};

}  // namespace chatsdk
