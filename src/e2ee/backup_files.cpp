// SPDX-License-Identifier: Apache-2.0
#include "e2ee/backup_files.h"

#include <utility>

#include "base/assert.h"
#include "base/limits.h"
#include "base/wipe.h"
#include "e2ee/outcome.h"
#include "e2ee/padding.h"

namespace chatsdk::e2ee {
namespace {

constexpr std::size_t kLengthBytes = 4;

Bytes length_of(std::size_t size) {
  Writer writer(kLengthBytes);
  writer.u32(static_cast<std::uint32_t>(size));
  return writer.take();
}

// How a file of this place begins.
BackupFile begun_file(const RecoveryKey& key, const BackupPlace& place, Random& random) {
  CHATSDK_ASSERT(place.sequence != 0);
  BackupFile file;
  file.salt = draw<BackupSalt>(random);
  file.header = draw<StreamHeader>(random);
  file.key = backup_file_key(key, file.salt, backup_id(key, place.user_id), place.sequence);
  return file;
}

}  // namespace

// ---- Writing ------------------------------------------------------------------------------------------------------

BackupWriter::BackupWriter(const RecoveryKey& key, const BackupPlace& place, Random& random, ByteSink ciphertext)
    : key_(key),
      place_(place),
      written_(begun_file(key, place, random)),
      file_(written_.key, written_.header, label::kHashBackup, limits::e2ee::kBackupMax, std::move(ciphertext)) {}

Status BackupWriter::add_frame(BytesView frame) {
  const bool fits = has_seed_ ? is_backup_frame(frame) : is_seed_frame(frame);
  if (!fits) return error(Code::kInvalidArgument, "frame of a backup of " + std::to_string(frame.size()) + " B");
  CHATSDK_TRY(file_.add(length_of(frame.size())));
  CHATSDK_TRY(file_.add(frame));
  has_seed_ = true;
  return {};
}

Result<Bytes> BackupWriter::finish() {
  if (!has_seed_) return error(Code::kInvalidArgument, "a backup without an account key");
  CHATSDK_TRY(file_.add(length_of(0)));
  CHATSDK_ASSIGN(const FileSealer::Sealed sealed, file_.finish());
  written_.padded_bytes = sealed.padded_bytes;
  written_.hash = sealed.hash;
  return make_manifest(key_, place_, written_);
}

// ---- Reading ------------------------------------------------------------------------------------------------------

BackupCheck::BackupCheck(const Manifest& manifest)
    : file_(label::kHashBackup, manifest.padded_bytes, manifest.hash), checked_(manifest) {}

Result<CheckedBackup> BackupCheck::finish() {
  CHATSDK_TRY(file_.finish());
  return std::move(checked_);
}

BackupReader::BackupReader(const RecoveryKey& key, const CheckedBackup& backup, ByteSink frames)
    : frames_(std::move(frames)),
      padded_bytes_(backup.manifest_.padded_bytes),
      part_bytes_(kLengthBytes),
      file_(backup_file_key(key, backup.manifest_.salt, backup.manifest_.id, backup.manifest_.sequence),
            backup.manifest_.header, padded_bytes_, [this](BytesView padded) { return take(padded); }) {
  part_.reserve(limits::e2ee::kBackupFrameMax);  // it never grows, and so leaves no copy behind
}

BackupReader::~BackupReader() { wipe(part_); }

Status BackupReader::take_length() {
  const std::size_t size = Reader(part_).u32();
  if (size > limits::e2ee::kBackupFrameMax) return bad_message();
  in_length_ = false;
  part_bytes_ = size;
  at_padding_ = size == 0;
  if (at_padding_ && (!has_seed_ || padded_size(read_bytes_) != padded_bytes_)) return bad_message();
  return {};
}

Status BackupReader::take_frame() {
  if (!has_seed_ && !is_seed_frame(part_)) return bad_message();
  has_seed_ = true;
  in_length_ = true;
  part_bytes_ = kLengthBytes;
  return frames_(part_);
}

Status BackupReader::take(BytesView padded) {
  while (!padded.empty() && !at_padding_) {
    const BytesView piece = padded.substr(0, part_bytes_ - part_.size());
    padded.remove_prefix(piece.size());
    part_.append(piece);
    if (part_.size() < part_bytes_) continue;
    read_bytes_ += part_bytes_;
    CHATSDK_TRY(in_length_ ? take_length() : take_frame());
    wipe(part_);
    part_.clear();
  }
  unsigned char seen = 0;
  for (const char byte : padded) seen = static_cast<unsigned char>(seen | static_cast<unsigned char>(byte));
  return seen == 0 ? Status() : bad_message();
}

Status BackupReader::finish() {
  CHATSDK_TRY(file_.finish());
  return at_padding_ ? Status() : bad_message();
}

}  // namespace chatsdk::e2ee
