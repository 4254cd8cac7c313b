// SPDX-License-Identifier: Apache-2.0
//
// The encrypted write-ahead log. SQLite writes a frame as a header and then a page; the header waits in memory for its
// page, and sealed frames that follow each other wait for the one that commits their transaction and go to the base VFS
// in one write. Whatever else SQLite does (it rewrites a page or a header alone when a transaction meets a page again,
// reads frames whole after a crash, and reads the checksum out of a header) works on whole frames read back.
//
// Other connections read a frame only after its commit: nothing that they look for waits here.
//
// Threads: one at a time.
// Invariants:
//   1. Every method but write leaves neither a header nor a frame waiting, or returns an error.
//   2. At most kWaitingFramesMax frames wait, each following the one before it.
#pragma once

#include <array>
#include <cstdint>
#include <memory>

#include "store/crypt_file.h"

namespace chatsdk {

class WalFile final : public BackedFile {
 public:
  WalFile(CryptContext& context, std::shared_ptr<SharedStore> store, BaseFile base);
  ~WalFile() override;

  int close() override;
  int read(unsigned char* out, int bytes, std::int64_t offset) override;
  int write(const unsigned char* in, int bytes, std::int64_t offset) override;
  int truncate(std::int64_t size) override;
  int size(std::int64_t* out) override;
  int sync(int flags) override;

 private:
  static constexpr std::size_t kFrameHeaderBytes = static_cast<std::size_t>(WalLayout::kFrameHeader);
  static constexpr std::size_t kFrameBytes = static_cast<std::size_t>(WalLayout::kFrame);
  static constexpr std::size_t kHeaderBytesOfLog = static_cast<std::size_t>(WalLayout::kHeader);
  static constexpr std::size_t kFrameBytesOnDisk = static_cast<std::size_t>(WalLayout::kFrameOnDisk);
  static constexpr std::size_t kWaitingFramesMax = 16;
  static constexpr std::int64_t kNoFrame = -1;

  enum class Opened { kWhole, kAbsent, kDamaged };

  int load_header(unsigned char* out, Opened* opened);
  int load_frame(std::int64_t frame, unsigned char* header, unsigned char* page, Opened* opened);
  // The frame as one piece, in frame_; zeros where there is none or it is torn.
  int load_for_change(std::int64_t frame);
  int store_header(const unsigned char* header);
  int store_frame(std::int64_t frame, const unsigned char* header, const unsigned char* page);

  int read_unit(unsigned char* out, std::size_t skip, std::size_t count, std::int64_t frame, Opened* opened);
  int write_header_part(const unsigned char* in, std::size_t skip, std::size_t count);
  int write_frame_part(const unsigned char* in, std::size_t skip, std::size_t count, std::int64_t frame);
  int write_waiting();
  // What waits goes to the base; after an error none of it waits any more.
  int write_frames();
  int settle();
  int damaged(unsigned char* out, int bytes, std::int64_t offset);
  // Whether the frame, which does not open, belongs to a transaction that was synced.
  int was_synced(std::int64_t frame, bool* out);
  void offer_to_checkpoint(std::uint32_t page, const unsigned char* plain);

  Sealer pages_;
  Sealer headers_;
  std::int64_t waiting_frame_ = kNoFrame;
  std::array<unsigned char, kFrameHeaderBytes> waiting_header_{};
  std::array<unsigned char, kFrameBytes> frame_{};
  std::array<unsigned char, kFrameBytesOnDisk> disk_{};
  std::unique_ptr<unsigned char[]> sealed_;  // kWaitingFramesMax frames, from first_sealed_ on; made by the first write
  std::int64_t first_sealed_ = 0;
  std::size_t sealed_count_ = 0;
};

}  // namespace chatsdk
