// SPDX-License-Identifier: Apache-2.0
//
// Where the bytes that SQLite addresses in a log or a rollback journal lie in the encrypted file. What SQLite writes
// and syncs later never shares a seal with what it synced before, so a torn write costs no earlier commit.
//
//   write-ahead log      as SQLite counts:  header 32 | frame header 24, page 4096 | frame header 24, page 4096 | ...
//                        on disk:           sealed header 72 | sealed page 4096, sealed frame header 64 | ...
//     A page is sealed as in the main file, with its number, inside its 4,096 bytes; the frame header is sealed with
//     the frame's place and the page's tag as associated data, which ties the two together.
//   rollback journal     as SQLite counts:  block 512 | block 512 | ...
//                        on disk:           sealed block 552 | sealed block 552 | ...
//     512 is the sector size that the VFS reports together with power-safe overwrite: each journal header begins a
//     block, and appending to the journal after a sync never rewrites a block that was synced with records in it.
//
// Threads: pure functions.
#pragma once

#include <cstddef>
#include <cstdint>

#include "store/crypt_page.h"
#include "store/crypt_prelude.h"

namespace chatsdk {

struct WalLayout {
  static constexpr std::int64_t kSeal = static_cast<std::int64_t>(kSealBytes);
  static constexpr std::int64_t kHeader = 32;
  static constexpr std::int64_t kFrameHeader = 24;
  static constexpr std::int64_t kPage = static_cast<std::int64_t>(kStorePageBytes);
  static constexpr std::int64_t kFrame = kFrameHeader + kPage;
  static constexpr std::int64_t kHeaderOnDisk = kHeader + kSeal;
  static constexpr std::int64_t kFrameOnDisk = kPage + kFrameHeader + kSeal;

  // `frame` counts from 0.
  static constexpr std::int64_t frame_of(std::int64_t logical) { return (logical - kHeader) / kFrame; }
  static constexpr std::int64_t logical_of(std::int64_t frame) { return kHeader + frame * kFrame; }
  static constexpr std::int64_t physical_of(std::int64_t frame) { return kHeaderOnDisk + frame * kFrameOnDisk; }

  // How many bytes SQLite finds in a file of this size: the header and the frames that are there to their end.
  static constexpr std::int64_t logical_size(std::int64_t physical) {
    return physical < kHeaderOnDisk ? 0 : logical_of((physical - kHeaderOnDisk) / kFrameOnDisk);
  }
  // The size on disk that keeps at least the first `logical` bytes.
  static constexpr std::int64_t physical_size(std::int64_t logical) {
    if (logical <= kHeader) return logical <= 0 ? 0 : kHeaderOnDisk;
    return physical_of(frame_of(logical - 1) + 1);
  }
};

struct JournalLayout {
  static constexpr std::int64_t kBlock = 512;
  static constexpr std::int64_t kBlockOnDisk = kBlock + static_cast<std::int64_t>(kSealBytes);

  static constexpr std::int64_t logical_size(std::int64_t physical) { return physical / kBlockOnDisk * kBlock; }
  static constexpr std::int64_t physical_size(std::int64_t logical) {
    return (logical + kBlock - 1) / kBlock * kBlockOnDisk;
  }
};

}  // namespace chatsdk
