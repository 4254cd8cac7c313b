// SPDX-License-Identifier: Apache-2.0
#include "server-reference/store/epoch_file.h"

#include <sodium.h>

#include <optional>

namespace chatsdk::server {

namespace {

constexpr std::int64_t kAnchorOffset = 0;
constexpr std::int64_t kAdvanceOffset = 4096;
constexpr std::string_view kMagic = "CHATEPO1";
constexpr std::size_t kHashedBytes = 24;
constexpr std::size_t kSlotBytes = 40;

void put_u64(Bytes& out, std::uint64_t value) {
  for (int shift = 56; shift >= 0; shift -= 8) out.push_back(static_cast<char>(value >> shift));
}

std::uint64_t get_u64(BytesView in) {
  std::uint64_t value = 0;
  for (const char c : in.substr(0, 8)) value = (value << 8) | static_cast<unsigned char>(c);
  return value;
}

Bytes checksum(BytesView bytes) {
  Bytes hash(kSlotBytes - kHashedBytes, '\0');
  crypto_generichash(reinterpret_cast<unsigned char*>(hash.data()), hash.size(),
                     reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(), nullptr, 0);
  return hash;
}

Bytes encode(const EpochMark& mark) {
  Bytes slot(kMagic);
  put_u64(slot, mark.epoch);
  put_u64(slot, mark.commits);
  return slot + checksum(slot);
}

std::optional<EpochMark> decode(BytesView slot) {
  if (slot.substr(0, kMagic.size()) != kMagic) return std::nullopt;
  if (slot.substr(kHashedBytes) != checksum(slot.substr(0, kHashedBytes))) return std::nullopt;
  return EpochMark{get_u64(slot.substr(8)), get_u64(slot.substr(16))};
}

}  // namespace

Result<std::unique_ptr<EpochFile>> EpochFile::open(const std::string& path, const std::string& vfs_name) {
  CHATSDK_ASSIGN(auto file, VfsFile::open(path, vfs_name));
  CHATSDK_ASSIGN(const std::int64_t bytes, file->size());
  const bool was_blank = file->was_there() && bytes == 0;
  return std::unique_ptr<EpochFile>(new EpochFile(std::move(file), was_blank));
}

Result<bool> EpochFile::vouches_for(const EpochMark& database) {
  bool named = false;
  for (const std::int64_t offset : {kAnchorOffset, kAdvanceOffset}) {
    CHATSDK_ASSIGN(const Bytes bytes, file_->read(offset, kSlotBytes));
    const auto slot = decode(bytes);
    if (!slot || slot->epoch != database.epoch) continue;
    if (slot->commits > database.commits) return false;
    named = true;
  }
  return named;
}

Result<bool> EpochFile::is_marked() {
  for (const std::int64_t offset : {kAnchorOffset, kAdvanceOffset}) {
    CHATSDK_ASSIGN(const Bytes bytes, file_->read(offset, kSlotBytes));
    if (decode(bytes)) return true;
  }
  return false;
}

Status EpochFile::anchor(const EpochMark& mark) {
  const Bytes slot = encode(mark);
  for (const std::int64_t offset : {kAdvanceOffset, kAnchorOffset}) {
    CHATSDK_TRY(file_->write(offset, slot));
    CHATSDK_TRY(file_->sync());
  }
  return {};
}

void EpochFile::advance(const EpochMark& mark) {
  const Status ignored = file_->write(kAdvanceOffset, encode(mark));
  static_cast<void>(ignored);
}

}  // namespace chatsdk::server
