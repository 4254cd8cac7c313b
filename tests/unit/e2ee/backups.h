// SPDX-License-Identifier: Apache-2.0
//
// Backups for tests: of Alice's with the recovery key of docs/e2ee.md section 26, right ones, and such as somebody
// could write who holds the key and does not keep to the page.
//
// Threads: pure functions.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/limits.h"
#include "e2ee/backup.h"
#include "e2ee/padding.h"
#include "unit/e2ee/people.h"
#include "unit/e2ee/sessions.h"

namespace chatsdk::e2ee {

inline RecoveryKey recovery_key() { return secret_of<32>(0x91); }
inline Bytes seed_frame() { return Bytes(1, kFrameAccountSeed) + repeated(0x11, 32); }
inline Bytes history_frame(std::size_t bytes) { return Bytes(1, kFrameHistory) + Bytes(bytes, 'h'); }
inline Bytes framed(const Bytes& frame) {
  Writer writer;
  writer.lp(frame);
  return writer.take();
}

inline SealedBackup sealed_backup(const std::vector<Bytes>& frames) {
  GivenRandom given(repeated(0x94, 32) + repeated(0x95, 24));
  const UserId user_id = "alice";
  const BackupPlace place{user_id, DeviceId{3}, 5, fixed_of<Hash>(0x44), kThen};
  return seal_backup(recovery_key(), place, frames, given).value();
}
inline std::optional<Frames> opened(const SealedBackup& sealed) {
  const auto manifest = parse_manifest(sealed.manifest, recovery_key(), "alice");
  if (!manifest) return std::nullopt;
  return open_backup(recovery_key(), *manifest, sealed.ciphertext);
}

// The manifest with other bytes in one place, and a MAC that fits them.
inline Bytes resigned(Bytes manifest, std::size_t at, BytesView value) {
  constexpr std::size_t kMacBytes = 32;
  manifest.replace(at, value.size(), value);
  manifest.resize(manifest.size() - kMacBytes);
  Writer user;
  user.user("alice");
  const RecoveryKey key = recovery_key();
  const auto mac_key = hkdf<64>(no_salt(), view(key), {label::kBackupManifest.bytes(), user.view()});
  const auto mac = hmac(view(mac_key), {manifest});
  return manifest.append(view(mac).substr(0, kMacBytes));
}

// A backup whose file holds just these bytes, which are not even padded.
inline SealedBackup with_plaintext(const Bytes& file) {
  constexpr std::size_t kPaddedAt = 130;
  SealedBackup sealed = sealed_backup({seed_frame()});
  const auto manifest = parse_manifest(sealed.manifest, recovery_key(), "alice").value();
  const RecoveryKey key = recovery_key();
  Writer which;
  which.raw(manifest.id).u64(manifest.sequence);
  const FileKey file_key = hkdf<32>(manifest.salt.view(), view(key), {label::kBackupFile.bytes(), which.view()});
  sealed.ciphertext = seal_file(file_key, manifest.header, file);
  Writer rest;
  rest.u64(file.size()).raw(hash(label::kHashBackup, {sealed.ciphertext}));
  sealed.manifest = resigned(std::move(sealed.manifest), kPaddedAt, rest.view());
  return sealed;
}

// Each with what is wrong about it.
inline std::vector<std::pair<std::string, Bytes>> wrong_files() {
  const Bytes end(4, '\0');
  const Bytes seed = framed(seed_frame());
  Writer too_long;
  too_long.u32(static_cast<std::uint32_t>(limits::e2ee::kBackupFrameMax + 1));
  too_long.raw(Bytes(limits::e2ee::kBackupFrameMax + 1, '\x02'));
  Bytes hidden = padded(seed + end);
  hidden.back() = '\x01';
  return {{"no frame", padded(end)},
          {"no seed", padded(framed(history_frame(32)) + end)},
          {"a seed of 31 bytes", padded(framed(seed_frame().substr(0, 32)) + end)},
          {"a seed of 33 bytes", padded(framed(seed_frame() + "x") + end)},
          {"the seed behind history", padded(framed(history_frame(32)) + seed + end)},
          {"a frame beyond the end", padded(seed + Bytes("\xFF\x00\x00\x00", 4))},
          {"a frame that is too long", padded(seed + Bytes(too_long.view()) + end)},
          {"no end", seed + framed(history_frame(64 - seed.size() - 5))},
          {"something behind the end", hidden},
          {"padding too long", padded(seed + end) + Bytes(64, '\0')},
          {"no padding", seed + end}};
}

}  // namespace chatsdk::e2ee
