// SPDX-License-Identifier: Apache-2.0
#include "server-reference/store/vfs_file.h"

#include <sqlite3.h>

#include "store/sqlite.h"

namespace chatsdk::server {

Result<std::unique_ptr<VfsFile>> VfsFile::open(const std::string& path, const std::string& vfs_name) {
  sqlite3_vfs* vfs = sqlite3_vfs_find(vfs_name.empty() ? nullptr : vfs_name.c_str());
  if (vfs == nullptr) return error(Code::kInvalidArgument, "no such VFS: " + vfs_name);
  std::vector<char> full(static_cast<std::size_t>(vfs->mxPathname) + 1);
  if (const int result = vfs->xFullPathname(vfs, path.c_str(), static_cast<int>(full.size()), full.data());
      (result & 0xFF) != SQLITE_OK) {
    return sqlite::error_of(result, "path " + path);
  }
  std::unique_ptr<VfsFile> file(new VfsFile());
  // A VFS may look for parameters behind the name, so it is built as SQLite builds its own.
  file->name_ = sqlite3_create_filename(full.data(), "", "", 0, nullptr);
  if (file->name_ == nullptr) return error(Code::kNoMemory, "name of a file");
  file->memory_.resize(static_cast<std::size_t>(vfs->szOsFile) / sizeof(std::max_align_t) + 1);
  file->handle_ = reinterpret_cast<sqlite3_file*>(file->memory_.data());
  // The other question, whether it exists, SQLite's own VFS denies of an empty file.
  int was_there = 0;
  if (const int result = vfs->xAccess(vfs, file->name_, SQLITE_ACCESS_READWRITE, &was_there); result != SQLITE_OK) {
    return sqlite::error_of(result, "look for " + path);
  }
  file->was_there_ = was_there != 0;
  // Of the kinds of file that a VFS knows, a super-journal is the plain one: no page structure, no locks, and its first
  // sync makes its directory entry durable.
  int opened = 0;
  if (const int result = vfs->xOpen(vfs, file->name_, file->handle_,
                                    SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_SUPER_JOURNAL, &opened);
      result != SQLITE_OK) {
    return sqlite::error_of(result, "open of " + path);
  }
  if ((opened & SQLITE_OPEN_READONLY) != 0) return error(Code::kReadOnly, path + " can only be read");
  return file;
}

VfsFile::~VfsFile() {
  if (handle_ != nullptr && handle_->pMethods != nullptr) {
    handle_->pMethods->xClose(handle_);
  }
  sqlite3_free_filename(name_);
}

Result<std::int64_t> VfsFile::size() {
  sqlite3_int64 bytes = 0;
  const int result = handle_->pMethods->xFileSize(handle_, &bytes);
  if (result != SQLITE_OK) return sqlite::error_of(result, "size");
  return bytes;
}

Result<Bytes> VfsFile::read(std::int64_t offset, std::size_t count) {
  Bytes bytes(count, '\0');
  const int result = handle_->pMethods->xRead(handle_, bytes.data(), static_cast<int>(count), offset);
  if (result != SQLITE_OK && result != SQLITE_IOERR_SHORT_READ) return sqlite::error_of(result, "read");
  return bytes;
}

Status VfsFile::write(std::int64_t offset, BytesView bytes) {
  const int result = handle_->pMethods->xWrite(handle_, bytes.data(), static_cast<int>(bytes.size()), offset);
  if (result != SQLITE_OK) return sqlite::error_of(result, "write");
  return {};
}

Status VfsFile::sync() {
  const int result = handle_->pMethods->xSync(handle_, SQLITE_SYNC_FULL);
  if (result != SQLITE_OK) return sqlite::error_of(result, "sync");
  return {};
}

}  // namespace chatsdk::server
