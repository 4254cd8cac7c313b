// SPDX-License-Identifier: Apache-2.0
#include "store/store_lock.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <utility>

#include "store/sqlite.h"

namespace chatsdk {

namespace {

// For whoever looks; the length is what counts. SQLite's own VFS takes a file of one byte for an empty one.
constexpr char kLines[] = "begun  \nmade   \n";
constexpr int kLineBytes = 8;

#ifdef F_OFD_SETLK
// Behind the 512 bytes from 1 GiB on that SQLite locks, and within the offsets of any file system.
constexpr off_t kClaimedByte = 0x7FFF'FFFE;

struct flock claim_of(short type) {
  struct flock claim = {};
  claim.l_type = type;
  claim.l_whence = SEEK_SET;
  claim.l_start = kClaimedByte;
  claim.l_len = 1;
  return claim;
}
#endif

// SQLite asks a second time, for reading alone, and keeps that answer. 0: it opens now.
int errno_of_opening(const std::string& path) {
  const int opened = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (opened < 0) return errno;
  ::close(opened);
  return 0;
}

Error error_of_system(int failed, const std::string& path) {
  Code code = Code::kStorage;
  const char* what = " cannot be opened";
  if (failed == EAGAIN) {
    code = Code::kStoreInUse;
    what = " is held by another owner";
  } else if (failed == EACCES || failed == EPERM || failed == EROFS) {
    code = Code::kReadOnly;
    what = " can only be read";
  } else if (failed == ENOSPC || failed == EDQUOT) {
    code = Code::kStorageFull;
    what = " finds no room";
  }
  return error(code, path + what, {CauseDomain::kSystem, failed});
}

}  // namespace

struct StoreLock::File {
  explicit File(const sqlite3_vfs& vfs)
      : storage(new std::max_align_t[static_cast<std::size_t>(vfs.szOsFile) / sizeof(std::max_align_t) + 1]()) {}
  ~File() {
    let_go_of_store();
    if (handle()->pMethods != nullptr) {
      handle()->pMethods->xUnlock(handle(), SQLITE_LOCK_NONE);
      handle()->pMethods->xClose(handle());
    }
    sqlite3_free_filename(name);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  sqlite3_file* handle() { return reinterpret_cast<sqlite3_file*>(storage.get()); }

  // 0, or the errno of what failed; EAGAIN: another owner has the file.
  int claim_store([[maybe_unused]] IfAbsent if_absent) {
#ifdef F_OFD_SETLK
    store = ::open(store_path.c_str(), O_RDWR | O_CLOEXEC);
    if (store < 0 && errno == ENOENT) {
      if (if_absent == IfAbsent::kClaimNothing) return 0;
      store = ::open(store_path.c_str(), O_RDWR | O_CLOEXEC | O_CREAT | O_EXCL, 0644);  // the mode that SQLite gives
      if (store < 0 && errno == EEXIST) return EAGAIN;
    }
    if (store < 0) return errno;
    struct flock claim = claim_of(F_WRLCK);
    // EINVAL: a kernel that does not know such locks.
    if (::fcntl(store, F_OFD_SETLK, &claim) != 0 && errno != EINVAL) return errno == EACCES ? EAGAIN : errno;
    if (!store_has_name()) return EAGAIN;
#endif
    return 0;
  }

  // A process that was forked meanwhile shares the lock, so closing alone would leave it.
  void let_go_of_store() {
#ifdef F_OFD_SETLK
    if (store < 0) return;
    struct flock claim = claim_of(F_UNLCK);
    ::fcntl(store, F_OFD_SETLK, &claim);
    ::close(std::exchange(store, -1));
#endif
  }

  // The file that was opened is still the one that the path names.
  bool store_has_name() const {
    struct stat opened = {};
    struct stat named = {};
    return store >= 0 && ::fstat(store, &opened) == 0 && ::stat(store_path.c_str(), &named) == 0 &&
           opened.st_dev == named.st_dev && opened.st_ino == named.st_ino;
  }

  std::unique_ptr<std::max_align_t[]> storage;
  const char* name = nullptr;  // SQLite's form of a file name; the VFS keeps the pointer
  std::string store_path;      // empty: not a file of the platform
  int store = -1;              // the claimed file, open
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
  if (vfs_name.empty()) file->store_path = resolved;
  file->name = sqlite3_create_filename(path.c_str(), "", "", 0, nullptr);
  if (file->name == nullptr) return error(Code::kNoMemory, "name of the lock file");
  int out_flags = 0;
  const int opened = vfs->xOpen(vfs, file->name, file->handle(),
                                SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_MAIN_DB, &out_flags);
  if (opened != SQLITE_OK) {
    const int cause = vfs_name.empty() ? errno_of_opening(path) : 0;
    return cause == 0 ? sqlite::error_of(opened, "open the lock file") : error_of_system(cause, path);
  }
  if ((out_flags & SQLITE_OPEN_READONLY) != 0) return error(Code::kReadOnly, "the lock file cannot be written");

  // Of several that share, one alone can reserve: unlike an exclusive lock this never refuses two at once.
  int locked = file->handle()->pMethods->xLock(file->handle(), SQLITE_LOCK_SHARED);
  if (locked == SQLITE_OK) locked = file->handle()->pMethods->xLock(file->handle(), SQLITE_LOCK_RESERVED);
  if ((locked & 0xFF) == SQLITE_BUSY) return error(Code::kStoreInUse, "another owner holds the store");
  if (locked != SQLITE_OK) return sqlite::error_of(locked, "lock the store");
  return StoreLock(std::move(file));
}

Status StoreLock::claim_file(IfAbsent if_absent) {
  if (file_->store_path.empty() || file_->store_has_name()) return {};
  file_->let_go_of_store();
  const int failed = file_->claim_store(if_absent);
  if (failed == 0) return {};
  file_->let_go_of_store();
  return error_of_system(failed, file_->store_path);
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
