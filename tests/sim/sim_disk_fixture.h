// SPDX-License-Identifier: Apache-2.0
//
// What the tests of the simulated disk share: a disk, and files opened through its VFS without SQLite between.
//
// Threads: one.
#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "sim/sim_disk.h"

namespace chatsdk::sim {

inline constexpr const char* kVfs = "sim-disk-under-test";

struct DiskRig {
  explicit DiskRig(std::uint64_t seed = 1) : disk({kVfs, seed, clock, random}) {}
  ManualClock clock;
  SeededRandom random{77};
  SimDisk disk;
};

// One open file. Its calls answer SQLite's result codes.
class RawFile {
 public:
  static constexpr int kMake = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;

  explicit RawFile(const std::string& path, int flags = kMake | SQLITE_OPEN_MAIN_JOURNAL)
      : vfs_(sqlite3_vfs_find(kVfs)),
        name_(sqlite3_create_filename(path.c_str(), "", "", 0, nullptr)),
        memory_(static_cast<std::size_t>(vfs_->szOsFile) / sizeof(std::max_align_t) + 1) {
    opened = vfs_->xOpen(vfs_, name_, handle(), flags, nullptr);
  }
  ~RawFile() {
    close();
    sqlite3_free_filename(name_);
  }
  RawFile(const RawFile&) = delete;
  RawFile& operator=(const RawFile&) = delete;

  int opened = SQLITE_OK;

  void close() {
    if (handle()->pMethods != nullptr) handle()->pMethods->xClose(handle());
  }
  int write(std::int64_t offset, const std::string& bytes) {
    return methods().xWrite(handle(), bytes.data(), static_cast<int>(bytes.size()), offset);
  }
  int read(std::int64_t offset, std::size_t size, std::string* out) {
    out->assign(size, '?');
    return methods().xRead(handle(), out->data(), static_cast<int>(size), offset);
  }
  int truncate(std::int64_t size) { return methods().xTruncate(handle(), size); }
  int sync() { return methods().xSync(handle(), SQLITE_SYNC_NORMAL); }
  int lock(int level) { return methods().xLock(handle(), level); }
  int unlock(int level) { return methods().xUnlock(handle(), level); }
  bool reserved() {
    int out = 0;
    methods().xCheckReservedLock(handle(), &out);
    return out != 0;
  }
  int map(int region, bool extend, void volatile** out) {
    return methods().xShmMap(handle(), region, 32'768, extend ? 1 : 0, out);
  }
  int index_lock(int first, int count, int flags) { return methods().xShmLock(handle(), first, count, flags); }
  void unmap() { methods().xShmUnmap(handle(), 0); }

 private:
  sqlite3_file* handle() { return reinterpret_cast<sqlite3_file*>(memory_.data()); }
  const sqlite3_io_methods& methods() { return *handle()->pMethods; }

  sqlite3_vfs* vfs_;
  const char* name_;
  std::vector<std::max_align_t> memory_;
};

inline int remove_file(const std::string& path, bool sync_directory) {
  sqlite3_vfs* vfs = sqlite3_vfs_find(kVfs);
  return vfs->xDelete(vfs, path.c_str(), sync_directory ? 1 : 0);
}
inline bool accessible(const std::string& path) {
  sqlite3_vfs* vfs = sqlite3_vfs_find(kVfs);
  int out = -1;
  EXPECT_EQ(vfs->xAccess(vfs, path.c_str(), SQLITE_ACCESS_EXISTS, &out), SQLITE_OK);
  return out == 1;
}

}  // namespace chatsdk::sim
