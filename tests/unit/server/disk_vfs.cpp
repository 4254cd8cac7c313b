// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/server/disk_vfs.h"

#include <algorithm>
#include <filesystem>

namespace chatsdk::server {

DiskVfs* DiskVfs::active_ = nullptr;

DiskVfs::DiskVfs() : base_(sqlite3_vfs_find(nullptr)) {
  active_ = this;
  vfs_ = *base_;
  vfs_.pNext = nullptr;
  vfs_.zName = kName;
  vfs_.xOpen = open;
  sqlite3_vfs_register(&vfs_, 0);
}

DiskVfs::~DiskVfs() {
  sqlite3_vfs_unregister(&vfs_);
  active_ = nullptr;
}

int DiskVfs::open(sqlite3_vfs*, const char* path, sqlite3_file* file, int flags, int* out_flags) {
  DiskVfs& self = *active_;
  if (self.read_only) {
    flags &= ~(SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
    flags |= SQLITE_OPEN_READONLY;
  }
  const int result = self.base_->xOpen(self.base_, path, file, flags, out_flags);
  if (result != SQLITE_OK || file->pMethods == nullptr) return result;
  const sqlite3_io_methods* base = file->pMethods;
  std::lock_guard lock(self.mutex_);
  self.open_[file] = {base, (flags & SQLITE_OPEN_WAL) != 0, path == nullptr ? "" : path};
  const auto [place, is_new] = self.changed_.try_emplace(base, *base);
  if (is_new) {
    place->second.xWrite = write;
    place->second.xSync = sync;
    place->second.xShmMap = map_index;
    place->second.xClose = close;
  }
  file->pMethods = &place->second;
  return SQLITE_OK;
}

DiskVfs::Open DiskVfs::opened(sqlite3_file* file) {
  std::lock_guard lock(mutex_);
  return open_.at(file);
}

int DiskVfs::write(sqlite3_file* file, const void* bytes, int size, sqlite3_int64 offset) {
  if (active_->write_result != SQLITE_OK) return active_->write_result;
  const Open opened = active_->opened(file);
  if (opened.log) ++active_->unsynced_log_writes;
  return opened.base->xWrite(file, bytes, size, offset);
}

int DiskVfs::sync(sqlite3_file* file, int flags) {
  if (active_->sync_result != SQLITE_OK) return active_->sync_result;
  const Open opened = active_->opened(file);
  const int result = opened.base->xSync(file, flags);
  if (opened.log && result == SQLITE_OK) {
    ++active_->log_syncs;
    active_->unsynced_log_writes = 0;
  }
  return result;
}

// A mapping behind the end of its file is what memory without blocks is: the system refuses to write to it.
int DiskVfs::map_index(sqlite3_file* file, int region, int bytes, int extend, void volatile** out) {
  const Open opened = active_->opened(file);
  const int result = opened.base->xShmMap(file, region, bytes, extend, out);
  if (result != SQLITE_OK || *out == nullptr) return result;
  const std::string index = opened.path + "-shm";
  const auto begin = static_cast<std::uintmax_t>(region) * static_cast<std::uintmax_t>(bytes);
  const auto end = begin + static_cast<std::uintmax_t>(bytes);
  std::filesystem::resize_file(index, active_->index_room ? std::max(end, std::filesystem::file_size(index)) : begin);
  return SQLITE_OK;
}

int DiskVfs::close(sqlite3_file* file) {
  const sqlite3_io_methods* base = active_->opened(file).base;
  {
    std::lock_guard lock(active_->mutex_);
    active_->open_.erase(file);
  }
  file->pMethods = base;
  return base->xClose(file);
}

}  // namespace chatsdk::server
