// SPDX-License-Identifier: Apache-2.0
//
// What a device reads of a backup. The first byte says what follows:
//
//   0   a manifest as it comes
//   1   a manifest without its MAC: the right one is put behind it
//   2   what a file holds, up to its padding: it is encrypted as the page says
//   3   the same, and no byte of padding is put behind it
//   4   a wrapped recovery key, for a passphrase that is too short: everything is looked at but Argon2id
//   5   a recovery key as somebody typed it
//
// A file that is read whole and one that passes by in pieces are the same.
//
// Threads: one.
#include "e2ee/backup_files.h"
#include "e2ee/outcome.h"
#include "e2ee/padding.h"
#include "fuzz/fuzz.h"
#include "unit/e2ee/backups.h"

namespace {

using namespace chatsdk;
using namespace chatsdk::e2ee;

constexpr std::size_t kManifestBytes = 202;
constexpr std::size_t kMacBytes = 32;

void read_manifest(const Bytes& bytes) {
  const auto manifest = parse_manifest(bytes, recovery_key(), "alice");
  if (!manifest) return;
  CHATSDK_ASSERT(bytes.size() == kManifestBytes && manifest->bytes == bytes);
  CHATSDK_ASSERT(manifest->sequence != 0 && manifest->padded_bytes != 0);
  CHATSDK_ASSERT(manifest->padded_bytes <= padded_size(limits::e2ee::kBackupMax));
  CHATSDK_ASSERT(supersedes(*manifest, *manifest));
  CHATSDK_ASSERT(!open_backup(recovery_key(), *manifest, "no file").has_value());
}

std::optional<Frames> read_in_pieces(const Manifest& manifest, BytesView ciphertext) {
  constexpr std::size_t kPieceBytes = 10'007;
  BackupCheck check(manifest);
  CHATSDK_ASSERT(check.file_bytes() == ciphertext.size() && check.add(ciphertext).ok());
  const auto checked = check.finish();
  CHATSDK_ASSERT(checked.ok());
  Frames frames;
  BackupReader reader(recovery_key(), *checked, [&frames](BytesView frame) {
    frames.emplace_back(frame);
    return Status();
  });
  for (BytesView rest = ciphertext; !rest.empty(); rest.remove_prefix(std::min(kPieceBytes, rest.size()))) {
    const Status added = reader.add(rest.substr(0, kPieceBytes));
    if (!added) {
      CHATSDK_ASSERT(added.code() == kBadMessage && reader.finish().code() == kBadMessage);
      return std::nullopt;
    }
  }
  if (!reader.finish()) return std::nullopt;
  return frames;
}

void read_file(const Bytes& file) {
  if (file.empty()) return;  // no manifest names it
  const SealedBackup sealed = with_plaintext(file);
  const auto manifest = parse_manifest(sealed.manifest, recovery_key(), "alice");
  CHATSDK_ASSERT(manifest.has_value());
  const auto frames = open_backup(recovery_key(), *manifest, sealed.ciphertext);
  CHATSDK_ASSERT(frames == read_in_pieces(*manifest, sealed.ciphertext));
  if (!frames) return;
  Bytes again;
  for (const Bytes& frame : *frames) again.append(framed(frame));
  CHATSDK_ASSERT(padded(again.append(4, '\0')) == file);
}

void read_typed(const Bytes& text) {
  const auto key = read_recovery_key(text);
  if (!key) return;
  const auto again = read_recovery_key(shown_recovery_key(*key));
  CHATSDK_ASSERT(again && view(*again) == view(*key));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Reader input(fuzz::view(data, size));
  const int what = input.byte() % 6;
  const Bytes rest(input.rest());
  switch (what) {
    case 0:
      read_manifest(rest);
      break;
    case 1:
      read_manifest(resigned(rest + Bytes(kMacBytes, '\0'), 0, {}));
      break;
    case 2:
      read_file(padded(rest));
      break;
    case 3:
      read_file(rest);
      break;
    case 4:
      CHATSDK_ASSERT(unwrap_recovery_key(rest, "alice", "short").code() == kBadMessage);
      break;
    default:
      read_typed(rest);
  }
  return 0;
}
