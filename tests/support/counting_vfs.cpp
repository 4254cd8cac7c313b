// SPDX-License-Identifier: Apache-2.0
#include "support/counting_vfs.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>

namespace chatsdk::test {

// The file of the VFS below lies directly behind.
struct CountingVfs::File {
  sqlite3_file head;
  CountingVfs* owner;
  std::string* counted;    // its name, or null
  std::uint64_t below[1];  // SQLite aligns files to 8 bytes

  static File& of(sqlite3_file* file) { return *reinterpret_cast<File*>(file); }
  static sqlite3_file* real(sqlite3_file* file) { return reinterpret_cast<sqlite3_file*>(of(file).below); }
};

namespace {

constexpr int kCountedKinds = SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_WAL | SQLITE_OPEN_MAIN_JOURNAL;

std::string leaf(const char* path) { return std::filesystem::path(path).filename(); }

}  // namespace

CountingVfs::CountingVfs()
    : base_(sqlite3_vfs_find(nullptr)),
      name_("counting-" + std::to_string(reinterpret_cast<std::uintptr_t>(this))),
      vfs_(*base_) {
  vfs_.iVersion = 1;
  vfs_.pNext = nullptr;
  vfs_.zName = name_.c_str();
  vfs_.pAppData = this;
  vfs_.szOsFile = static_cast<int>(sizeof(File)) + base_->szOsFile;
  vfs_.xOpen = open;
  vfs_.xDelete = remove;
  vfs_.xAccess = [](sqlite3_vfs* vfs, const char* path, int flags, int* out) {
    sqlite3_vfs* below = static_cast<CountingVfs*>(vfs->pAppData)->base_;
    return below->xAccess(below, path, flags, out);
  };
  vfs_.xFullPathname = [](sqlite3_vfs* vfs, const char* path, int size, char* out) {
    sqlite3_vfs* below = static_cast<CountingVfs*>(vfs->pAppData)->base_;
    return below->xFullPathname(below, path, size, out);
  };
  sqlite3_vfs_register(&vfs_, 0);
}

CountingVfs::~CountingVfs() { sqlite3_vfs_unregister(&vfs_); }

std::map<std::string, std::uint64_t> CountingVfs::unsynced() const {
  std::lock_guard lock(mutex_);
  std::map<std::string, std::uint64_t> found;
  for (const auto& [file, count] : counts_) {
    if (count.written > count.covered) found.emplace(file, count.written - count.covered);
  }
  return found;
}

std::uint64_t CountingVfs::writes() const {
  std::lock_guard lock(mutex_);
  return writes_;
}

std::uint64_t CountingVfs::syncs() const {
  std::lock_guard lock(mutex_);
  return syncs_;
}

void CountingVfs::forget_syncs() {
  std::lock_guard lock(mutex_);
  syncs_count_ = false;
}

int CountingVfs::open(sqlite3_vfs* vfs, const char* path, sqlite3_file* out, int flags, int* out_flags) {
  auto& self = *static_cast<CountingVfs*>(vfs->pAppData);
  out->pMethods = nullptr;
  const int result = self.base_->xOpen(self.base_, path, File::real(out), flags, out_flags);
  if (result != SQLITE_OK) return result;
  File::of(out).owner = &self;
  File::of(out).counted = path != nullptr && (flags & kCountedKinds) != 0 ? new std::string(leaf(path)) : nullptr;
  out->pMethods = &kMethods;
  return SQLITE_OK;
}

int CountingVfs::remove(sqlite3_vfs* vfs, const char* path, int sync_directory) {
  auto& self = *static_cast<CountingVfs*>(vfs->pAppData);
  const int result = self.base_->xDelete(self.base_, path, sync_directory);
  if (result == SQLITE_OK) {
    std::lock_guard lock(self.mutex_);
    self.counts_.erase(leaf(path));
  }
  return result;
}

int CountingVfs::write(sqlite3_file* file, const void* bytes, int size, sqlite3_int64 offset) {
  File& mine = File::of(file);
  if (mine.counted != nullptr) {
    std::lock_guard lock(mine.owner->mutex_);
    ++mine.owner->counts_[*mine.counted].written;
    ++mine.owner->writes_;
  }
  return File::real(file)->pMethods->xWrite(File::real(file), bytes, size, offset);
}

int CountingVfs::sync(sqlite3_file* file, int flags) {
  File& mine = File::of(file);
  std::uint64_t begun_with = 0;
  if (mine.counted != nullptr) {
    std::lock_guard lock(mine.owner->mutex_);
    begun_with = mine.owner->counts_[*mine.counted].written;
  }
  const int result = File::real(file)->pMethods->xSync(File::real(file), flags);
  if (result != SQLITE_OK || mine.counted == nullptr) return result;
  std::lock_guard lock(mine.owner->mutex_);
  ++mine.owner->syncs_;
  if (mine.owner->syncs_count_) {
    std::uint64_t& covered = mine.owner->counts_[*mine.counted].covered;
    covered = std::max(covered, begun_with);
  }
  return SQLITE_OK;
}

const sqlite3_io_methods CountingVfs::kMethods = {
    2,
    [](sqlite3_file* file) {
      const int result = File::real(file)->pMethods->xClose(File::real(file));
      delete File::of(file).counted;
      return result;
    },
    [](sqlite3_file* file, void* out, int size, sqlite3_int64 offset) {
      return File::real(file)->pMethods->xRead(File::real(file), out, size, offset);
    },
    CountingVfs::write,
    [](sqlite3_file* file, sqlite3_int64 size) {
      return File::real(file)->pMethods->xTruncate(File::real(file), size);
    },
    CountingVfs::sync,
    [](sqlite3_file* file, sqlite3_int64* out) { return File::real(file)->pMethods->xFileSize(File::real(file), out); },
    [](sqlite3_file* file, int level) { return File::real(file)->pMethods->xLock(File::real(file), level); },
    [](sqlite3_file* file, int level) { return File::real(file)->pMethods->xUnlock(File::real(file), level); },
    [](sqlite3_file* file, int* out) { return File::real(file)->pMethods->xCheckReservedLock(File::real(file), out); },
    [](sqlite3_file* file, int operation, void* argument) {
      return File::real(file)->pMethods->xFileControl(File::real(file), operation, argument);
    },
    [](sqlite3_file* file) { return File::real(file)->pMethods->xSectorSize(File::real(file)); },
    [](sqlite3_file* file) { return File::real(file)->pMethods->xDeviceCharacteristics(File::real(file)); },
    [](sqlite3_file* file, int region, int size, int extend, void volatile** out) {
      return File::real(file)->pMethods->xShmMap(File::real(file), region, size, extend, out);
    },
    [](sqlite3_file* file, int offset, int count, int flags) {
      return File::real(file)->pMethods->xShmLock(File::real(file), offset, count, flags);
    },
    [](sqlite3_file* file) { File::real(file)->pMethods->xShmBarrier(File::real(file)); },
    [](sqlite3_file* file, int remove) { return File::real(file)->pMethods->xShmUnmap(File::real(file), remove); },
    nullptr,
    nullptr,
};

}  // namespace chatsdk::test
