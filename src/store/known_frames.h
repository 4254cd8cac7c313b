// SPDX-License-Identifier: Apache-2.0
//
// Frames of the log, and pages of the main file, that connections of this process sealed or opened lately, as they lie
// on the disk and in the clear. What one connection commits, another reads next, page by page: bytes that were sealed a
// moment ago need not be opened again. It knows no files; who asks has read the disk, and only bytes equal to those
// that were sealed or opened are recognised.
//
// Threads: any.
// Invariants:
//   1. A frame or page is recognised only by all its bytes on the disk, at the same place, under the same keys.
//   2. One version of a page at most is kept: the last.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>

#include "store/crypt_layout.h"

namespace chatsdk {

class KnownFrames {
 public:
  KnownFrames() = default;
  ~KnownFrames();
  KnownFrames(const KnownFrames&) = delete;
  KnownFrames& operator=(const KnownFrames&) = delete;

  // Of the log. sealed: the sealed page and then the sealed header, WalLayout::kFrameOnDisk bytes; header:
  // WalLayout::kFrameHeader bytes; plain: kPagePlainBytes.
  void remember(std::int64_t frame, std::uint32_t page, const unsigned char* sealed, const unsigned char* header,
                const unsigned char* plain);
  // Fills header and plain, if the bytes are known ones.
  bool recall(std::int64_t frame, const unsigned char* sealed, unsigned char* header, unsigned char* plain);

  // Of the main file. sealed: kStorePageBytes.
  void remember_page(std::uint32_t page, const unsigned char* sealed, const unsigned char* plain);
  bool recall_page(std::uint32_t page, const unsigned char* sealed, unsigned char* plain);

 private:
  static constexpr std::size_t kCount = 64;  // half a megabyte: what a few statements touch
  static constexpr std::size_t kHeaderBytes = static_cast<std::size_t>(WalLayout::kFrameHeader);
  static constexpr std::size_t kFrameBytes = static_cast<std::size_t>(WalLayout::kFrameOnDisk);

  struct Content {
    std::array<unsigned char, kFrameBytes> sealed;
    std::array<unsigned char, kHeaderBytes> header;
    std::array<unsigned char, kPagePlainBytes> plain;
  };

  // Frames of the log count from 0; a page of the main file has its number, negated.
  static std::int64_t place_of(std::uint32_t page) { return -static_cast<std::int64_t>(page); }
  // Both with the mutex held. Null: no memory; not known.
  Content* keep(std::int64_t place, std::uint32_t page, const unsigned char* sealed, std::size_t size,
                const unsigned char* plain);
  const Content* find(std::int64_t place, const unsigned char* sealed, std::size_t size);

  std::mutex mutex_;
  // A page of 0: nothing is kept there.
  std::array<std::uint32_t, kCount> pages_{};
  std::array<std::int64_t, kCount> places_{};
  std::array<std::uint64_t, kCount> used_{};  // when, in counts of uses_
  std::uint64_t uses_ = 0;
  std::unique_ptr<Content[]> contents_;  // made by the first that is kept
};

}  // namespace chatsdk
