// SPDX-License-Identifier: Apache-2.0
//
// Backups (docs/e2ee.md section 16): the recovery key and its shown form, what is derived from it, backup files with
// their manifests, and the recovery key wrapped by a passphrase. It does not know what history is, where files are
// kept, nor which sequence this device saw last.
//
// Threads: values and pure functions. wrap and unwrap take seconds and up to a gigabyte.
// Invariants:
//   1. Nothing of a file is looked at before the manifest's MAC and the hash of the whole ciphertext hold.
//   2. A passphrase only ever wraps the recovery key.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/ids.h"
#include "base/random.h"
#include "base/result.h"
#include "e2ee/file_stream.h"

namespace chatsdk::e2ee {

using RecoveryKey = Secret<32>;
using BackupId = Fixed<struct BackupIdTag, 16>;
using BackupSalt = Fixed<struct BackupSaltTag, 32>;

// 56 characters in 14 groups of four. Who is done with the text wipes it.
std::string shown_recovery_key(const RecoveryKey& key);
// As people type it: case, hyphens and blanks do not matter, O is 0, I and L are 1.
std::optional<RecoveryKey> read_recovery_key(std::string_view shown);

BackupId backup_id(const RecoveryKey& key, const UserId& user_id);
// What the server asks for before it gives a backup out; it keeps the hash alone.
Secret<32> backup_auth(const RecoveryKey& key, const UserId& user_id);

struct Manifest {
  Bytes bytes;
  BackupId id;
  std::uint64_t sequence = 0;
  Hash previous;  // of the manifest before; zeros in the first
  DeviceId device_id;
  std::uint64_t time_ms = 0;
  BackupSalt salt;
  StreamHeader header;
  std::uint64_t padded_bytes = 0;
  Hash hash;  // of the ciphertext
};
// nullopt for what was not written with this key for this user.
std::optional<Manifest> parse_manifest(BytesView bytes, const RecoveryKey& key, const UserId& user_id);
Hash manifest_hash(BytesView manifest);
// Whether a device that knows a manifest takes another one for the user's newest: a later one, or the same.
bool supersedes(const Manifest& offered, const Manifest& known);

// Kind and bytes; the first one is the account key's seed. They hold secrets: who is done with them wipes them.
using Frames = std::vector<Bytes>;
inline constexpr char kFrameAccountSeed = 1;
inline constexpr char kFrameHistory = 2;

struct BackupPlace {
  const UserId& user_id;
  DeviceId device_id;      // who writes
  std::uint64_t sequence;  // from 1
  Hash previous;
  std::uint64_t time_ms;
};
struct SealedBackup {
  Bytes ciphertext;
  Bytes manifest;
};
// INVALID_ARGUMENT for frames of another form; TOO_LARGE.
Result<SealedBackup> seal_backup(const RecoveryKey& key, const BackupPlace& place, std::span<const Bytes> frames,
                                 Random& random);
std::optional<Frames> open_backup(const RecoveryKey& key, const Manifest& manifest, BytesView ciphertext);

// What backups are made of, also those that are larger than memory (e2ee/backup_files.h).
struct BackupFile {
  FileKey key;
  BackupSalt salt;
  StreamHeader header;
  std::uint64_t padded_bytes = 0;
  Hash hash;  // of the ciphertext
};
FileKey backup_file_key(const RecoveryKey& key, const BackupSalt& salt, const BackupId& id, std::uint64_t sequence);
Bytes make_manifest(const RecoveryKey& key, const BackupPlace& place, const BackupFile& file);
bool is_backup_frame(BytesView frame);
bool is_seed_frame(BytesView frame);

struct WrapCost {
  std::uint32_t passes = limits::e2ee::kPasses;
  std::uint32_t memory_kib = limits::e2ee::kMemoryKib;
};
// INVALID_ARGUMENT for a cost or a passphrase out of bounds; NO_MEMORY.
Result<Bytes> wrap_recovery_key(const RecoveryKey& key, const UserId& user_id, BytesView passphrase,
                                const WrapCost& cost, Random& random);
// BAD_MESSAGE for anything that does not open, bounds included; NO_MEMORY.
Result<RecoveryKey> unwrap_recovery_key(BytesView wrapped, const UserId& user_id, BytesView passphrase);

}  // namespace chatsdk::e2ee
