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

// The parts of SQLite's headers that are looked at, most significant byte first.
//   log:   magic 4, of which the last bit tells the byte order of checksums | 12 | salts 8 | 8
//   frame: page number 4 | size of the database behind a commit 4 | salts 8 | checksums up to here 4 + 4
constexpr std::size_t kLogSalts = 16;
constexpr std::size_t kFrameSalts = 8;
constexpr std::size_t kSaltBytes = 8;
constexpr std::size_t kFrameSums = 16;

std::uint32_t number_at(const unsigned char* bytes) {
  return static_cast<std::uint32_t>(bytes[0]) << 24 | static_cast<std::uint32_t>(bytes[1]) << 16 |
         static_cast<std::uint32_t>(bytes[2]) << 8 | static_cast<std::uint32_t>(bytes[3]);
}

std::uint32_t page_number(const unsigned char* header) { return number_at(header); }

// The frame that commits names the size of the database behind its page number, any other frame 0.
bool ends_transaction(const unsigned char* header) { return sodium_is_zero(header + 4, 4) == 0; }

// The checksums of a log run on from frame to frame.
class FrameSums {
 public:
  explicit FrameSums(const unsigned char* log_header) : big_endian_((log_header[3] & 1) != 0) {}

  void set_behind(const unsigned char* frame) {
    first_ = number_at(frame + kFrameSums);
    second_ = number_at(frame + kFrameSums + 4);
  }
  // Whether this frame was written behind that one.
  bool run_on_in(const unsigned char* frame) {
    add(frame, kFrameSalts);
    add(frame + WalLayout::kFrameHeader, kStorePageBytes);
    return first_ == number_at(frame + kFrameSums) && second_ == number_at(frame + kFrameSums + 4);
  }

 private:
  void add(const unsigned char* bytes, std::size_t count) {
    for (std::size_t at = 0; at < count; at += 8) {
      first_ += word(bytes + at) + second_;
      second_ += word(bytes + at + 4) + first_;
    }
  }
  std::uint32_t word(const unsigned char* bytes) const {
    const std::uint32_t big = number_at(bytes);
    return big_endian_ ? big : big >> 24 | (big >> 8 & 0xFF00) | (big << 8 & 0xFF0000) | big << 24;
  }

  bool big_endian_;
  std::uint32_t first_ = 0;
  std::uint32_t second_ = 0;
};

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
  if ((header || frame) && store_->wal_index.recovering()) {
    bool synced = false;
    if (const int result = frame ? was_synced(WalLayout::frame_of(offset), &synced) : SQLITE_OK; result != SQLITE_OK) {
      return result;
    }
    if (!synced) return SQLITE_OK;
    context_.failure.set(Code::kTampered, "does not authenticate: the log at byte", offset);
    return SQLITE_IOERR_DATA;
  }
  context_.failure.set(Code::kStorage, "the log changed while it was in use, at byte", offset);
  return SQLITE_IOERR_READ;
}

// A commit returns when the log is synced, and only then is the next transaction written: a power cut tears frames of
// the last transaction and of no other. So a frame is damaged where a commit stands behind it and, behind that one,
// the beginning of another transaction. That one has the commit's checksums run on; what was written at its place
// before, and given up, has those of another.
int WalFile::was_synced(std::int64_t frame, bool* out) {
  std::array<unsigned char, kHeaderBytesOfLog> log{};
  Opened opened = Opened::kWhole;
  if (const int result = load_header(log.data(), &opened); result != SQLITE_OK) return result;
  FrameSums sums(log.data());
  bool behind_commit = false;
  while (opened != Opened::kAbsent) {
    if (const int result = load_frame(++frame, frame_.data(), frame_.data() + kFrameHeaderBytes, &opened);
        result != SQLITE_OK) {
      return result;
    }
    // What is left of an earlier log has other salts.
    const bool ours =
        opened == Opened::kWhole && std::memcmp(frame_.data() + kFrameSalts, log.data() + kLogSalts, kSaltBytes) == 0;
    if (ours && behind_commit && sums.run_on_in(frame_.data())) {
      *out = true;
      return SQLITE_OK;
    }
    behind_commit = ours && ends_transaction(frame_.data());
    if (behind_commit) sums.set_behind(frame_.data());
  }
  return SQLITE_OK;
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
