// SPDX-License-Identifier: Apache-2.0
#include "store/wal_file.h"

#include <sodium.h>

#include <algorithm>
#include <cstring>
#include <new>

namespace chatsdk {

namespace {

constexpr std::uint64_t kHeaderIndex = 0;

std::uint64_t index_of(std::int64_t frame) { return static_cast<std::uint64_t>(frame) + 1; }

// The page number stands first in a frame header, most significant byte first.
std::uint32_t page_number(const unsigned char* header) {
  return static_cast<std::uint32_t>(header[0]) << 24 | static_cast<std::uint32_t>(header[1]) << 16 |
         static_cast<std::uint32_t>(header[2]) << 8 | static_cast<std::uint32_t>(header[3]);
}

// The frame that commits names the size of the database behind its page number, any other frame 0.
bool ends_transaction(const unsigned char* header) { return sodium_is_zero(header + 4, 4) == 0; }

std::span<const unsigned char> tag_of(const unsigned char* sealed_page) {
  return {sealed_page + kPagePlainBytes, kTagBytes};
}

}  // namespace

WalFile::WalFile(CryptContext& context, std::shared_ptr<SharedStore> store, BaseFile base)
    : BackedFile(context, std::move(store), std::move(base)),
      pages_(context.keys, RecordKind::kPage, store_->identity, context.random),
      headers_(context.keys, RecordKind::kWal, store_->identity, context.random) {}

WalFile::~WalFile() { sodium_memzero(frame_.data(), frame_.size()); }

// ---- Records -------------------------------------------------------------------------------------------------------

int WalFile::load_header(unsigned char* out, Opened* opened) {
  *opened = Opened::kAbsent;
  std::memset(out, 0, kHeaderBytesOfLog);
  const int result = read_base(disk_.data(), kHeaderBytesOfLog + kSealBytes, 0);
  if (result == SQLITE_IOERR_SHORT_READ) return SQLITE_OK;
  if (result != SQLITE_OK) return result;
  const bool whole = headers_.open(kHeaderIndex, disk_.data(), kHeaderBytesOfLog, out);
  *opened = whole ? Opened::kWhole : Opened::kDamaged;
  return SQLITE_OK;
}

int WalFile::load_frame(std::int64_t frame, unsigned char* header, unsigned char* page, Opened* opened) {
  *opened = Opened::kAbsent;
  const int result = read_base(disk_.data(), disk_.size(), WalLayout::physical_of(frame));
  if (result == SQLITE_IOERR_SHORT_READ) return SQLITE_OK;
  if (result != SQLITE_OK) return result;
  std::memset(page + kPagePlainBytes, 0, kSealBytes);
  if (store_->known_frames.recall(frame, disk_.data(), header, page)) {
    *opened = Opened::kWhole;
    return SQLITE_OK;
  }
  const bool whole =
      headers_.open(index_of(frame), disk_.data() + kStorePageBytes, kFrameHeaderBytes, header, tag_of(disk_.data())) &&
      pages_.open(page_number(header), disk_.data(), kPagePlainBytes, page);
  if (whole) store_->known_frames.remember(frame, page_number(header), disk_.data(), header, page);
  *opened = whole ? Opened::kWhole : Opened::kDamaged;
  return SQLITE_OK;
}

int WalFile::load_for_change(std::int64_t frame) {
  Opened opened = Opened::kWhole;
  const int result = load_frame(frame, frame_.data(), frame_.data() + kFrameHeaderBytes, &opened);
  if (opened != Opened::kWhole) frame_.fill(0);
  return result;
}

int WalFile::store_header(const unsigned char* header) {
  headers_.seal(kHeaderIndex, {header, kHeaderBytesOfLog}, disk_.data());
  return base_.write(disk_.data(), kHeaderBytesOfLog + kSealBytes, 0);
}

int WalFile::store_frame(std::int64_t frame, const unsigned char* header, const unsigned char* page) {
  // SQLite leaves the reserved bytes as the VFS gave them, which is zero. Its checksums cover them, so a frame with
  // others could not be read back.
  if (sodium_is_zero(page + kPagePlainBytes, kSealBytes) == 0) return SQLITE_IOERR_WRITE;
  const bool follows = frame == first_sealed_ + static_cast<std::int64_t>(sealed_count_);
  if (sealed_count_ == kWaitingFramesMax || !follows) {
    if (const int result = write_frames(); result != SQLITE_OK) return result;
  }
  // No exception may pass through SQLite.
  if (sealed_ == nullptr) sealed_.reset(new (std::nothrow) unsigned char[kWaitingFramesMax * kFrameBytesOnDisk]);
  if (sealed_ == nullptr) return SQLITE_IOERR_NOMEM;
  if (sealed_count_ == 0) first_sealed_ = frame;
  unsigned char* const sealed = sealed_.get() + sealed_count_ * kFrameBytesOnDisk;
  pages_.seal(page_number(header), {page, kPagePlainBytes}, sealed);
  headers_.seal(index_of(frame), {header, kFrameHeaderBytes}, sealed + kStorePageBytes, tag_of(sealed));
  store_->known_frames.remember(frame, page_number(header), sealed, header, page);
  ++sealed_count_;
  return ends_transaction(header) ? write_frames() : SQLITE_OK;
}

// ---- Reading -------------------------------------------------------------------------------------------------------

int WalFile::read(unsigned char* out, int bytes, std::int64_t offset) {
  if (const int result = settle(); result != SQLITE_OK) return result;
  std::int64_t at = offset;
  const std::int64_t end = offset + bytes;
  while (at < end) {
    const std::int64_t frame = at < WalLayout::kHeader ? kNoFrame : WalLayout::frame_of(at);
    const std::int64_t begin = frame == kNoFrame ? 0 : WalLayout::logical_of(frame);
    const std::int64_t unit_end = WalLayout::logical_of(frame + 1);
    const auto count = static_cast<std::size_t>(std::min(end, unit_end) - at);
    Opened opened = Opened::kWhole;
    const int result = read_unit(out + (at - offset), static_cast<std::size_t>(at - begin), count, frame, &opened);
    if (result != SQLITE_OK) return result;
    switch (opened) {
      case Opened::kWhole:
        break;
      case Opened::kAbsent:
        std::memset(out + (at - offset), 0, static_cast<std::size_t>(end - at));
        return SQLITE_IOERR_SHORT_READ;
      case Opened::kDamaged:
        return damaged(out, bytes, offset);
    }
    at += static_cast<std::int64_t>(count);
  }
  return SQLITE_OK;
}

int WalFile::read_unit(unsigned char* out, std::size_t skip, std::size_t count, std::int64_t frame, Opened* opened) {
  if (frame == kNoFrame) {
    const int result = load_header(frame_.data(), opened);
    std::memcpy(out, frame_.data() + skip, count);
    return result;
  }
  if (count == kFrameBytes) return load_frame(frame, out, out + kFrameHeaderBytes, opened);
  if (skip == kFrameHeaderBytes && count == kStorePageBytes) {
    const int result = load_frame(frame, frame_.data(), out, opened);
    if (result == SQLITE_OK && *opened == Opened::kWhole) offer_to_checkpoint(page_number(frame_.data()), out);
    return result;
  }
  const int result = load_frame(frame, frame_.data(), frame_.data() + kFrameHeaderBytes, opened);
  std::memcpy(out, frame_.data() + skip, count);
  return result;
}

// A checkpoint reads a page here and writes it to the main file next: sealed as it is, it can go there.
void WalFile::offer_to_checkpoint(std::uint32_t page, const unsigned char* plain) {
  if (!store_->wal_index.checkpointing()) return;
  const std::lock_guard lock(store_->mutex);
  store_->copied.page = page;
  std::memcpy(store_->copied.plain.data(), plain, kPagePlainBytes);
  std::memcpy(store_->copied.sealed.data(), disk_.data(), kStorePageBytes);
}

// After a crash the last frames may be torn, and the log ends there: SQLite sees zeros, which are no valid frame. While
// this process uses what it wrote itself, a frame that changed is a failure of the disk, and zeros would be content.
int WalFile::damaged(unsigned char* out, int bytes, std::int64_t offset) {
  std::memset(out, 0, static_cast<std::size_t>(bytes));
  const bool header = offset == 0 && bytes == WalLayout::kHeader;
  const bool frame = bytes == WalLayout::kFrame && (offset - WalLayout::kHeader) % WalLayout::kFrame == 0;
  if ((header || frame) && store_->wal_index.recovering()) return SQLITE_OK;
  context_.failure.set(Code::kStorage, "the log changed while it was in use, at byte", offset);
  return SQLITE_IOERR_READ;
}

// ---- Writing -------------------------------------------------------------------------------------------------------

int WalFile::write(const unsigned char* in, int bytes, std::int64_t offset) {
  std::int64_t at = offset;
  const std::int64_t end = offset + bytes;
  while (at < end) {
    const std::int64_t frame = at < WalLayout::kHeader ? kNoFrame : WalLayout::frame_of(at);
    const std::int64_t begin = frame == kNoFrame ? 0 : WalLayout::logical_of(frame);
    const auto skip = static_cast<std::size_t>(at - begin);
    const auto count = static_cast<std::size_t>(std::min(end, WalLayout::logical_of(frame + 1)) - at);
    const unsigned char* const from = in + (at - offset);
    const int result =
        frame == kNoFrame ? write_header_part(from, skip, count) : write_frame_part(from, skip, count, frame);
    if (result != SQLITE_OK) return result;
    at += static_cast<std::int64_t>(count);
  }
  return SQLITE_OK;
}

int WalFile::write_header_part(const unsigned char* in, std::size_t skip, std::size_t count) {
  if (const int result = settle(); result != SQLITE_OK) return result;
  if (count == kHeaderBytesOfLog) return store_header(in);
  Opened opened = Opened::kWhole;
  if (const int result = load_header(frame_.data(), &opened); result != SQLITE_OK) return result;
  std::memcpy(frame_.data() + skip, in, count);
  return store_header(frame_.data());
}

int WalFile::write_frame_part(const unsigned char* in, std::size_t skip, std::size_t count, std::int64_t frame) {
  const bool page_only = skip == kFrameHeaderBytes && count == kStorePageBytes;
  if (page_only && waiting_frame_ == frame) {
    waiting_frame_ = kNoFrame;
    return store_frame(frame, waiting_header_.data(), in);
  }
  if (const int result = write_waiting(); result != SQLITE_OK) return result;
  if (count == kFrameBytes) return store_frame(frame, in, in + kFrameHeaderBytes);
  if (skip == 0 && count == kFrameHeaderBytes) {
    waiting_frame_ = frame;
    std::memcpy(waiting_header_.data(), in, kFrameHeaderBytes);
    return SQLITE_OK;
  }
  if (const int result = settle(); result != SQLITE_OK) return result;
  if (const int result = load_for_change(frame); result != SQLITE_OK) return result;
  std::memcpy(frame_.data() + skip, in, count);
  return store_frame(frame, frame_.data(), frame_.data() + kFrameHeaderBytes);
}

// A header whose page did not follow belongs to a frame that is there already.
int WalFile::write_waiting() {
  if (waiting_frame_ == kNoFrame) return SQLITE_OK;
  const std::int64_t frame = std::exchange(waiting_frame_, kNoFrame);
  if (const int result = write_frames(); result != SQLITE_OK) return result;
  if (const int result = load_for_change(frame); result != SQLITE_OK) return result;
  return store_frame(frame, waiting_header_.data(), frame_.data() + kFrameHeaderBytes);
}

int WalFile::write_frames() {
  const std::size_t count = std::exchange(sealed_count_, 0);
  if (count == 0) return SQLITE_OK;
  return base_.write(sealed_.get(), count * kFrameBytesOnDisk, WalLayout::physical_of(first_sealed_));
}

int WalFile::settle() {
  if (const int result = write_waiting(); result != SQLITE_OK) return result;
  return write_frames();
}

int WalFile::close() {
  const int written = settle();
  const int closed = base_.close();
  return written != SQLITE_OK ? written : closed;
}

int WalFile::sync(int flags) {
  if (const int result = settle(); result != SQLITE_OK) return result;
  return base_.sync(flags);
}

int WalFile::truncate(std::int64_t size) {
  if (const int result = settle(); result != SQLITE_OK) return result;
  return base_.truncate(WalLayout::physical_size(size));
}

int WalFile::size(std::int64_t* out) {
  if (const int result = settle(); result != SQLITE_OK) return result;
  std::int64_t physical = 0;
  const int result = base_.size(&physical);
  *out = WalLayout::logical_size(physical);
  return result;
}

}  // namespace chatsdk
