// SPDX-License-Identifier: Apache-2.0
#include "e2ee/attachments.h"

#include <utility>

#include "base/assert.h"
#include "base/wipe.h"
#include "e2ee/padding.h"

namespace chatsdk::e2ee {
namespace {

constexpr std::uint8_t kAttachmentVersion = 1;
constexpr std::uint8_t kAlgorithmSecretstream = 1;
constexpr std::size_t kKeyPartBytes = 106;

void write_key_part(Writer& writer, const AttachmentKey& key) {
  writer.u8(kAttachmentVersion).u8(kAlgorithmSecretstream).raw(view(key.key)).raw(key.header).raw(key.hash);
  writer.u64(key.padded_bytes).u64(key.true_bytes);
}

AttachmentKey read_key_part(Reader& reader) {
  AttachmentKey key;
  reader.expect_u8(kAttachmentVersion);
  reader.expect_u8(kAlgorithmSecretstream);
  key.key = FileKey::copy_of(reader.raw(FileKey::size()));
  key.header = reader.fixed<StreamHeader>();
  key.hash = reader.fixed<Hash>();
  key.padded_bytes = reader.u64();
  key.true_bytes = reader.u64();
  reader.require(key.true_bytes <= limits::e2ee::kAttachmentMax);
  reader.require(!reader.failed() && key.padded_bytes == padded_size(key.true_bytes));
  return key;
}

}  // namespace

Hash attachment_hash(BytesView ciphertext) { return hash(label::kHashAttachment, {ciphertext}); }

Bytes serialize(const AttachmentKey& key) {
  CHATSDK_ASSERT(key.location.size() <= limits::e2ee::kLocationBytesMax);
  CHATSDK_ASSERT(key.media_type.size() <= limits::e2ee::kMediaTypeBytesMax);
  Writer writer(kKeyPartBytes + 8 + key.location.size() + key.media_type.size());
  write_key_part(writer, key);
  writer.lp(key.location).lp(key.media_type);
  return writer.take();
}

std::optional<AttachmentKey> parse_attachment_key(BytesView bytes) {
  Reader reader(bytes);
  AttachmentKey key = read_key_part(reader);
  key.location = reader.lp(0, limits::e2ee::kLocationBytesMax);
  key.media_type = reader.lp(0, limits::e2ee::kMediaTypeBytesMax);
  if (!reader.finished()) return std::nullopt;
  return key;
}

Bytes serialize_key_part(const AttachmentKey& key) {
  Writer writer(kKeyPartBytes);
  write_key_part(writer, key);
  return writer.take();
}

std::optional<AttachmentKey> parse_key_part(BytesView bytes) {
  Reader reader(bytes);
  AttachmentKey key = read_key_part(reader);
  if (!reader.finished()) return std::nullopt;
  return key;
}

Result<SealedAttachment> seal_attachment(BytesView plain, Random& random) {
  if (plain.size() > limits::e2ee::kAttachmentMax) {
    return error(Code::kTooLarge, "attachment of " + std::to_string(plain.size()) + " B, limit " +
                                      std::to_string(limits::e2ee::kAttachmentMax) + " B");
  }
  SealedAttachment sealed;
  sealed.key.key = draw_secret<32>(random);
  sealed.key.header = draw<StreamHeader>(random);
  Bytes file = padded(plain);
  const WipeAtEnd wiped(file);
  sealed.ciphertext = seal_file(sealed.key.key, sealed.key.header, file);
  sealed.key.hash = attachment_hash(sealed.ciphertext);
  sealed.key.padded_bytes = file.size();
  sealed.key.true_bytes = plain.size();
  return sealed;
}

std::optional<Bytes> open_attachment(BytesView ciphertext, const AttachmentKey& key) {
  if (ciphertext.size() != sealed_file_bytes(key.padded_bytes)) return std::nullopt;
  if (attachment_hash(ciphertext) != key.hash) return std::nullopt;
  auto file = open_file(key.key, key.header, ciphertext);
  if (!file) return std::nullopt;
  if (!is_padded(*file, key.true_bytes)) {
    wipe(*file);
    return std::nullopt;
  }
  file->resize(static_cast<std::size_t>(key.true_bytes));
  return file;
}

}  // namespace chatsdk::e2ee
