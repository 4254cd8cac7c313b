// SPDX-License-Identifier: Apache-2.0
#include "e2ee/backup.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/assert.h"
#include "base/wipe.h"
#include "e2ee/outcome.h"
#include "e2ee/padding.h"

namespace chatsdk::e2ee {
namespace {

constexpr std::string_view kBase32 = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
constexpr std::size_t kShownCharacters = 56;
constexpr std::size_t kGroupCharacters = 4;
constexpr std::size_t kChecksumBytes = 3;

constexpr std::uint8_t kManifestVersion = 1;
constexpr std::uint8_t kUncompressed = 0;
constexpr std::size_t kManifestBytes = 202;
constexpr std::size_t kMacBytes = 32;
constexpr std::size_t kSeedFrameBytes = 33;

constexpr std::uint8_t kWrapVersion = 1;
constexpr std::uint8_t kKdfArgon2id = 1;
constexpr std::size_t kWrapHeadBytes = 26;

Hash checksum(const RecoveryKey& key) { return hash(label::kBackupCheck, {view(key)}); }

Bytes user_bytes(const UserId& user_id) {
  Writer writer;
  writer.user(user_id);
  return writer.take();
}

template <std::size_t kSize>
Secret<kSize> derived(const RecoveryKey& key, const Label& label, const UserId& user_id) {
  return hkdf<kSize>(no_salt(), view(key), {label.bytes(), user_bytes(user_id)});
}

// The first half of HM(mac_key, bytes).
Secret<64> manifest_mac(const RecoveryKey& key, const UserId& user_id, BytesView bytes) {
  return hmac(view(derived<64>(key, label::kBackupManifest, user_id)), {bytes});
}

// The value of a character; nullopt for one that cannot be.
std::optional<unsigned> base32_value(char character) {
  if (character >= 'a' && character <= 'z') character = static_cast<char>(character - 'a' + 'A');
  if (character == 'O') character = '0';
  if (character == 'I' || character == 'L') character = '1';
  const std::size_t at = kBase32.find(character);
  if (at == std::string_view::npos) return std::nullopt;
  return static_cast<unsigned>(at);
}

bool are_frames(std::span<const Bytes> frames) {
  if (frames.empty() || !is_seed_frame(frames.front())) return false;
  return std::all_of(frames.begin(), frames.end(), [](const Bytes& frame) { return is_backup_frame(frame); });
}

void wipe_frames(Frames& frames) {
  for (Bytes& frame : frames) wipe(frame);
}

// The frames up to their end, and where that is.
std::optional<std::pair<Frames, std::size_t>> read_frames(BytesView file) {
  Reader reader(file);
  Frames frames;
  for (;;) {
    const BytesView frame = reader.lp(0, limits::e2ee::kBackupFrameMax);
    if (reader.failed()) {
      wipe_frames(frames);
      return std::nullopt;
    }
    if (frame.empty()) return std::pair(std::move(frames), reader.position());
    frames.emplace_back(frame);
  }
}

bool can_wrap(BytesView passphrase, const WrapCost& cost) {
  return passphrase.size() >= limits::e2ee::kPassphraseBytesMin &&
         passphrase.size() <= limits::e2ee::kPassphraseBytesMax && cost.passes >= limits::e2ee::kPassesMin &&
         cost.passes <= limits::e2ee::kPassesMax && cost.memory_kib >= limits::e2ee::kMemoryKibMin &&
         cost.memory_kib <= limits::e2ee::kMemoryKibMax;
}

// What can_wrap() lets through.
Result<SealKey> wrap_key(const UserId& user_id, BytesView passphrase, BytesView salt, const WrapCost& cost) {
  CHATSDK_ASSIGN(const Secret<32> stretched, argon2id(passphrase, salt, cost.passes, cost.memory_kib));
  return hkdf<64>(no_salt(), view(stretched), {label::kBackupWrap.bytes(), user_bytes(user_id)});
}

}  // namespace

FileKey backup_file_key(const RecoveryKey& key, const BackupSalt& salt, const BackupId& id, std::uint64_t sequence) {
  Writer which;
  which.raw(id).u64(sequence);
  return hkdf<32>(salt.view(), view(key), {label::kBackupFile.bytes(), which.view()});
}

bool is_backup_frame(BytesView frame) { return !frame.empty() && frame.size() <= limits::e2ee::kBackupFrameMax; }

bool is_seed_frame(BytesView frame) { return frame.size() == kSeedFrameBytes && frame.front() == kFrameAccountSeed; }

std::string shown_recovery_key(const RecoveryKey& key) {
  Writer writer(RecoveryKey::size() + kChecksumBytes);
  writer.raw(view(key)).raw(checksum(key).view().substr(0, kChecksumBytes));
  const BytesView bytes = writer.view();
  std::string shown;
  shown.reserve(kShownCharacters + kShownCharacters / kGroupCharacters);
  for (std::size_t i = 0; i < kShownCharacters; ++i) {
    if (i > 0 && i % kGroupCharacters == 0) shown.push_back('-');
    unsigned value = 0;
    for (std::size_t bit = 5 * i; bit < 5 * i + 5; ++bit) {
      const unsigned byte = static_cast<unsigned char>(bytes[bit / 8]);
      value = value << 1 | (byte >> (7 - bit % 8) & 1U);
    }
    shown.push_back(kBase32[value]);
  }
  return shown;
}

std::optional<RecoveryKey> read_recovery_key(std::string_view shown) {
  Secret<RecoveryKey::size() + kChecksumBytes> bytes;
  std::size_t characters = 0;
  for (const char character : shown) {
    if (character == '-' || character == ' ') continue;
    const auto value = base32_value(character);
    if (!value || characters == kShownCharacters) return std::nullopt;
    for (std::size_t i = 0; i < 5; ++i) {
      const std::size_t bit = 5 * characters + i;
      unsigned char& byte = bytes.data()[bit / 8];
      byte = static_cast<unsigned char>(byte | ((*value >> (4 - i) & 1U) << (7 - bit % 8)));
    }
    ++characters;
  }
  if (characters != kShownCharacters) return std::nullopt;
  auto key = RecoveryKey::copy_of(view(bytes).substr(0, RecoveryKey::size()));
  if (!equal_secrets(view(bytes).substr(RecoveryKey::size()), checksum(key).view().substr(0, kChecksumBytes))) {
    return std::nullopt;
  }
  return key;
}

BackupId backup_id(const RecoveryKey& key, const UserId& user_id) {
  return BackupId::from(view(derived<16>(key, label::kBackupId, user_id)));
}

Secret<32> backup_auth(const RecoveryKey& key, const UserId& user_id) {
  return derived<32>(key, label::kBackupAuth, user_id);
}

std::optional<Manifest> parse_manifest(BytesView bytes, const RecoveryKey& key, const UserId& user_id) {
  if (bytes.size() != kManifestBytes) return std::nullopt;
  Reader reader(bytes);
  Manifest manifest;
  reader.expect_u8(kManifestVersion);
  manifest.id = reader.fixed<BackupId>();
  manifest.sequence = reader.u64();
  manifest.previous = reader.fixed<Hash>();
  manifest.device_id = DeviceId{reader.u64()};
  manifest.time_ms = reader.u64();
  const std::uint8_t compression = reader.u8();
  manifest.salt = reader.fixed<BackupSalt>();
  manifest.header = reader.fixed<StreamHeader>();
  manifest.padded_bytes = reader.u64();
  manifest.hash = reader.fixed<Hash>();
  const auto mac = manifest_mac(key, user_id, reader.seen());
  const BytesView sent = reader.raw(kMacBytes);
  if (!reader.finished() || manifest.id != backup_id(key, user_id)) return std::nullopt;
  if (!equal_secrets(sent, view(mac).substr(0, kMacBytes))) return std::nullopt;
  if (compression != kUncompressed || manifest.sequence == 0 || manifest.padded_bytes == 0 ||
      manifest.padded_bytes > padded_size(limits::e2ee::kBackupMax)) {
    return std::nullopt;
  }
  manifest.bytes = bytes;
  return manifest;
}

Bytes make_manifest(const RecoveryKey& key, const BackupPlace& place, const BackupFile& file) {
  Writer manifest(kManifestBytes);
  manifest.u8(kManifestVersion).raw(backup_id(key, place.user_id)).u64(place.sequence).raw(place.previous);
  manifest.u64(place.device_id.value).u64(place.time_ms).u8(kUncompressed).raw(file.salt).raw(file.header);
  manifest.u64(file.padded_bytes).raw(file.hash);
  const auto mac = manifest_mac(key, place.user_id, manifest.view());
  manifest.raw(view(mac).substr(0, kMacBytes));
  return manifest.take();
}

Hash manifest_hash(BytesView manifest) { return hash(label::kHashManifest, {manifest}); }

bool supersedes(const Manifest& offered, const Manifest& known) {
  return offered.sequence > known.sequence || offered.bytes == known.bytes;
}

Result<SealedBackup> seal_backup(const RecoveryKey& key, const BackupPlace& place, std::span<const Bytes> frames,
                                 Random& random) {
  if (!are_frames(frames) || place.sequence == 0) return error(Code::kInvalidArgument, "frames of a backup");
  std::uint64_t size = 4;
  for (const Bytes& frame : frames) size += 4 + frame.size();
  if (size > limits::e2ee::kBackupMax) {
    return error(Code::kTooLarge,
                 "backup of " + std::to_string(size) + " B, limit " + std::to_string(limits::e2ee::kBackupMax) + " B");
  }
  Writer file(static_cast<std::size_t>(padded_size(size)));
  for (const Bytes& frame : frames) file.lp(frame);
  file.u32(0).zeros(static_cast<std::size_t>(padded_size(size) - size));

  BackupFile written;
  written.salt = draw<BackupSalt>(random);
  written.header = draw<StreamHeader>(random);
  written.key = backup_file_key(key, written.salt, backup_id(key, place.user_id), place.sequence);
  SealedBackup sealed;
  sealed.ciphertext = seal_file(written.key, written.header, file.view());
  written.padded_bytes = file.view().size();
  written.hash = hash(label::kHashBackup, {sealed.ciphertext});
  sealed.manifest = make_manifest(key, place, written);
  return sealed;
}

std::optional<Frames> open_backup(const RecoveryKey& key, const Manifest& manifest, BytesView ciphertext) {
  if (ciphertext.size() != sealed_file_bytes(manifest.padded_bytes)) return std::nullopt;
  if (hash(label::kHashBackup, {ciphertext}) != manifest.hash) return std::nullopt;
  auto file =
      open_file(backup_file_key(key, manifest.salt, manifest.id, manifest.sequence), manifest.header, ciphertext);
  if (!file) return std::nullopt;
  const WipeAtEnd wiped(*file);
  auto read = read_frames(*file);
  if (!read) return std::nullopt;
  if (!are_frames(read->first) || !is_padded(*file, read->second)) {
    wipe_frames(read->first);
    return std::nullopt;
  }
  return std::move(read->first);
}

Result<Bytes> wrap_recovery_key(const RecoveryKey& key, const UserId& user_id, BytesView passphrase,
                                const WrapCost& cost, Random& random) {
  if (!can_wrap(passphrase, cost)) return error(Code::kInvalidArgument, "length of a passphrase, or its cost");
  const Bytes salt = random.bytes(kArgonSaltBytes);
  CHATSDK_ASSIGN(SealKey seal_key, wrap_key(user_id, passphrase, salt, cost));
  Writer writer(kWrapHeadBytes + RecoveryKey::size() + kSealOverheadBytes);
  writer.u8(kWrapVersion).u8(kKdfArgon2id).u32(cost.passes).u32(cost.memory_kib).raw(salt);
  const Bytes associated = user_bytes(user_id).append(writer.view());
  writer.raw(seal(std::move(seal_key), draw<Nonce>(random), view(key), associated));
  return writer.take();
}

Result<RecoveryKey> unwrap_recovery_key(BytesView wrapped, const UserId& user_id, BytesView passphrase) {
  Reader reader(wrapped);
  reader.expect_u8(kWrapVersion);
  reader.expect_u8(kKdfArgon2id);
  WrapCost cost;
  cost.passes = reader.u32();
  cost.memory_kib = reader.u32();
  const BytesView salt = reader.raw(kArgonSaltBytes);
  const BytesView head = reader.seen();
  const BytesView sealed = reader.raw(RecoveryKey::size() + kSealOverheadBytes);
  if (!reader.finished() || !can_wrap(passphrase, cost)) return bad_message();
  CHATSDK_ASSIGN(const SealKey seal_key, wrap_key(user_id, passphrase, salt, cost));
  auto opened = unseal(seal_key, sealed, user_bytes(user_id).append(head));
  if (!opened) return bad_message();
  const WipeAtEnd wiped(*opened);
  return RecoveryKey::copy_of(*opened);
}

}  // namespace chatsdk::e2ee
