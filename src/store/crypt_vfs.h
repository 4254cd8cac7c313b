// SPDX-License-Identifier: Apache-2.0
//
// Encryption of a store at rest: a VFS over another one, under unmodified SQLite. A connection opened through name()
// writes nothing readable: every page of the main file, every header and page of the write-ahead log, every block of a
// rollback journal is sealed (crypt_page.h, crypt_prelude.h, crypt_layout.h tell the formats); temporary files stay in
// memory; the index of the log is memory shared by the connections of this process.
//
//   CHATSDK_ASSIGN(auto vfs, CryptVfs::create({"", key, random.keys}));
//   CHATSDK_ASSIGN(auto db, sqlite::Database::open(path, {sqlite::OpenMode::kReadWriteCreate, vfs->name()}));
//   CHATSDK_TRY(sqlite::apply_standard_pragmas(db));
//
// What a caller sees when something is wrong (codes as sqlite.h maps them):
//   kWrongKey   from open: the file is a whole store, of another key.
//   kTampered   from open: both descriptions in the prelude are changed; from a statement: a page of the main file does
//               not authenticate, was moved, or is missing. An integrity check that meets one says kCorrupt, and
//               take_failure() then says kTampered.
//   kCorrupt    from open: the file is something else, a plain SQLite file for one.
//   kStorage    a log record changed while this process was using it, or the disk failed. An integrity check that meets
//               that says kCorrupt as well, and take_failure() then says kStorage.
// Damage in a log or journal that is found when it is read after a crash is no error: the log ends there, as it does
// after a power cut, and commits before it hold.
//
// What sealing cannot see: an older state put back, of the files or of one page (one that was ever in the log counts).
// Who can write to the files can also remove the log, or the store.
//
// Limits: pages are 4,096 bytes. VACUUM INTO and super-journals are not supported, and automatic vacuum is chosen by
// `PRAGMA auto_vacuum` followed by VACUUM, because a new file's page layout is already fixed when SQLite opens it. The
// standard pragmas are required: secure_delete makes SQLite write every page that it allots. The base VFS must
// overwrite power-safely, that is, a write that is cut short damages no byte outside its range.
//
// Threads: one CryptVfs serves connections on any threads. Only one CryptVfs of a process may have a store open
// (StoreLock sees to that), and it must outlive its connections.
// Invariants:
//   1. After the last connection is closed no file is open.
//   2. The keys are wiped when the CryptVfs is destroyed.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/random.h"
#include "base/result.h"
#include "base/secret.h"

namespace chatsdk {

struct CryptVfsOptions {
  std::string base_vfs_name;  // empty: SQLite's default
  const StoreKey& key;        // used in create() only
  Random& keys;               // nonces and file identities; drawn from under a lock of this VFS; outlives it
};

class CryptVfs {
 public:
  // Registers a VFS under a name of its own, not as the default. kInvalidArgument when the base does not exist.
  static Result<std::unique_ptr<CryptVfs>> create(const CryptVfsOptions& options);

  // Unregisters. No connection of this VFS may be open.
  ~CryptVfs();
  CryptVfs(const CryptVfs&) = delete;
  CryptVfs& operator=(const CryptVfs&) = delete;

  // Unique in the process while this object lives.
  const std::string& name() const;

  // Looks at a file without opening a database and without changing anything: ok for a store of this key, kNotFound for
  // an absent or empty one, else kWrongKey, kTampered, kCorrupt or kSchemaTooNew as above. Pages are not read.
  Status check_file(const std::string& path);

  // How long a file is; none: it is not there. Any file beside the store, not only one of this VFS.
  Result<std::optional<std::int64_t>> file_bytes(const std::string& path);

  // True once a page of the main file did not authenticate, or SQLite found the content damaged: the store wants its
  // whole check. Any thread.
  bool damage_seen() const;

  // The precise words and code of the latest refusal to open or read, and forgets it.
  std::optional<Error> take_failure();

 private:
  class Impl;
  explicit CryptVfs(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace chatsdk
