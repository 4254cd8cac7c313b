// SPDX-License-Identifier: Apache-2.0
#include "store/store_lock.h"

#include <sqlite3.h>

#include <algorithm>
#include <cstddef>

#include "store/sqlite.h"

namespace chatsdk {

namespace {

// For whoever looks; the length is what counts. SQLite's own VFS takes a file of one byte for an empty one.
constexpr char kLines[] = "begun  \nmade   \n";
constexpr int kLineBytes = 8;

}  // namespace

struct StoreLock::File {
  explicit File(const sqlite3_vfs& vfs)
      : storage(new std::max_align_t[static_cast<std::size_t>(vfs.szOsFile) / sizeof(std::max_align_t) + 1]()) {}
  ~File() {
    if (handle()->pMethods != nullptr) {
      handle()->pMethods->xUnlock(handle(), SQLITE_LOCK_NONE);
      handle()->pMethods->xClose(handle());
    }
    sqlite3_free_filename(name);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  sqlite3_file* handle() { return reinterpret_cast<sqlite3_file*>(storage.get()); }

  std::unique_ptr<std::max_align_t[]> storage;
  const char* name = nullptr;  // SQLite's form of a file name; the VFS keeps the pointer
};

StoreLock::StoreLock(std::unique_ptr<File> file) : file_(std::move(file)) {}
StoreLock::~StoreLock() = default;
StoreLock::StoreLock(StoreLock&&) noexcept = default;
StoreLock& StoreLock::operator=(StoreLock&&) noexcept = default;

void StoreLock::release() { file_.reset(); }

Result<StoreLock> StoreLock::acquire(const std::string& store_path, const std::string& vfs_name) {
  // The store is resolved, not the lock's own name: a link to the store has no lock beside it.
  CHATSDK_ASSIGN(const std::string resolved, sqlite::resolve_path(store_path, vfs_name));
  sqlite3_vfs* vfs = sqlite3_vfs_find(vfs_name.empty() ? nullptr : vfs_name.c_str());
  if (vfs == nullptr) return error(Code::kInvalidArgument, "no such VFS");
  const std::string path = resolved + "-lock";

  auto file = std::make_unique<File>(*vfs);
  file->name = sqlite3_create_filename(path.c_str(), "", "", 0, nullptr);
  if (file->name == nullptr) return error(Code::kNoMemory, "name of the lock file");
  int out_flags = 0;
  const int opened = vfs->xOpen(vfs, file->name, file->handle(),
                                SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_MAIN_DB, &out_flags);
  if (opened != SQLITE_OK) return sqlite::error_of(opened, "open the lock file");
  if ((out_flags & SQLITE_OPEN_READONLY) != 0) return error(Code::kReadOnly, "the lock file cannot be written");

  // Of several that share, one alone can reserve: unlike an exclusive lock this never refuses two at once.
  int locked = file->handle()->pMethods->xLock(file->handle(), SQLITE_LOCK_SHARED);
  if (locked == SQLITE_OK) locked = file->handle()->pMethods->xLock(file->handle(), SQLITE_LOCK_RESERVED);
  if ((locked & 0xFF) == SQLITE_BUSY) return error(Code::kStoreInUse, "another owner holds the store");
  if (locked != SQLITE_OK) return sqlite::error_of(locked, "lock the store");
  return StoreLock(std::move(file));
}

Result<StoreLock::History> StoreLock::history() {
  sqlite3_int64 bytes = 0;
  const int result = file_->handle()->pMethods->xFileSize(file_->handle(), &bytes);
  if (result != SQLITE_OK) return sqlite::error_of(result, "read the lock file");
  return static_cast<History>(std::min<sqlite3_int64>(bytes / kLineBytes, static_cast<sqlite3_int64>(History::kMade)));
}

Status StoreLock::remember(History history) {
  CHATSDK_ASSIGN(const History known, this->history());
  if (known == history) return {};
  sqlite3_file* const file = file_->handle();
  const int length = static_cast<int>(history) * kLineBytes;
  int result =
      history < known ? file->pMethods->xTruncate(file, length) : file->pMethods->xWrite(file, kLines, length, 0);
  if (result == SQLITE_OK) result = file->pMethods->xSync(file, SQLITE_SYNC_NORMAL);
  if (result != SQLITE_OK) return sqlite::error_of(result, "write the lock file");
  return {};
}

}  // namespace chatsdk
