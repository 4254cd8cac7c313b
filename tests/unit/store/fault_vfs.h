// SPDX-License-Identifier: Apache-2.0
//
// A VFS over the platform's that counts syncs and refuses writes on demand, to stand below the encrypting one.
//
// Threads: one.
#pragma once

#include <sqlite3.h>

#include <cstdint>
#include <cstring>
#include <string>
#include <utility>

namespace chatsdk {

class FaultVfs {
 public:
  explicit FaultVfs(std::string name) : name_(std::move(name)), base_(sqlite3_vfs_find(nullptr)) {
    vfs_ = *base_;
    vfs_.iVersion = 1;
    vfs_.pNext = nullptr;
    vfs_.zName = name_.c_str();
    vfs_.pAppData = this;
    vfs_.szOsFile = static_cast<int>(sizeof(File)) + base_->szOsFile;
    vfs_.xOpen = open;
    vfs_.xDelete = [](sqlite3_vfs* vfs, const char* path, int sync) {
      return of(vfs).base_->xDelete(of(vfs).base_, path, sync);
    };
    vfs_.xAccess = [](sqlite3_vfs* vfs, const char* path, int flags, int* out) {
      return of(vfs).base_->xAccess(of(vfs).base_, path, flags, out);
    };
    vfs_.xFullPathname = [](sqlite3_vfs* vfs, const char* path, int size, char* out) {
      return of(vfs).base_->xFullPathname(of(vfs).base_, path, size, out);
    };
    vfs_.xRandomness = [](sqlite3_vfs* vfs, int size, char* out) {
      return of(vfs).base_->xRandomness(of(vfs).base_, size, out);
    };
    vfs_.xSleep = [](sqlite3_vfs* vfs, int us) { return of(vfs).base_->xSleep(of(vfs).base_, us); };
    vfs_.xCurrentTime = [](sqlite3_vfs* vfs, double* out) { return of(vfs).base_->xCurrentTime(of(vfs).base_, out); };
    vfs_.xGetLastError = [](sqlite3_vfs*, int, char*) { return 0; };
    sqlite3_vfs_register(&vfs_, 0);
  }
  ~FaultVfs() { sqlite3_vfs_unregister(&vfs_); }
  FaultVfs(const FaultVfs&) = delete;
  FaultVfs& operator=(const FaultVfs&) = delete;

  int write_result = SQLITE_OK;  // of every write and truncation; SQLITE_OK: done
  int allowed_writes = 0;        // as many more succeed first
  bool open_read_only = false;   // files open, but only for reading
  int refuse_open = SQLITE_OK;   // of every opening of a main database
  std::uint64_t syncs = 0;
  std::uint64_t reads = 0;
  int open_files = 0;

 private:
  struct File {
    sqlite3_file base;
    FaultVfs* owner;
    sqlite3_file* real() { return reinterpret_cast<sqlite3_file*>(this + 1); }
  };
  static FaultVfs& of(sqlite3_vfs* vfs) { return *static_cast<FaultVfs*>(vfs->pAppData); }
  static File& at(sqlite3_file* file) { return *reinterpret_cast<File*>(file); }
  static sqlite3_file* real(sqlite3_file* file) { return at(file).real(); }

  int refusal() {
    if (write_result == SQLITE_OK || allowed_writes-- > 0) return SQLITE_OK;
    allowed_writes = 0;
    return write_result;
  }

  static int open(sqlite3_vfs* vfs, const char* path, sqlite3_file* file, int flags, int* out_flags) {
    static const sqlite3_io_methods methods = make_methods();
    FaultVfs& self = of(vfs);
    file->pMethods = nullptr;
    const bool main = (flags & SQLITE_OPEN_MAIN_DB) != 0;
    if (main && self.refuse_open != SQLITE_OK) return self.refuse_open;
    if (self.open_read_only) {
      flags &= ~(SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
      flags |= SQLITE_OPEN_READONLY;
    }
    const int result = self.base_->xOpen(self.base_, path, real(file), flags, out_flags);
    if (result != SQLITE_OK) return result;
    at(file).owner = &self;
    file->pMethods = &methods;
    ++self.open_files;
    return SQLITE_OK;
  }

  static sqlite3_io_methods make_methods() {
    sqlite3_io_methods methods{};
    methods.iVersion = 1;
    methods.xClose = [](sqlite3_file* file) {
      --at(file).owner->open_files;
      return real(file)->pMethods->xClose(real(file));
    };
    methods.xRead = [](sqlite3_file* file, void* out, int size, sqlite3_int64 offset) {
      ++at(file).owner->reads;
      return real(file)->pMethods->xRead(real(file), out, size, offset);
    };
    methods.xWrite = [](sqlite3_file* file, const void* bytes, int size, sqlite3_int64 offset) {
      const int refused = at(file).owner->refusal();
      return refused != SQLITE_OK ? refused : real(file)->pMethods->xWrite(real(file), bytes, size, offset);
    };
    methods.xTruncate = [](sqlite3_file* file, sqlite3_int64 size) {
      const int refused = at(file).owner->refusal();
      return refused != SQLITE_OK ? refused : real(file)->pMethods->xTruncate(real(file), size);
    };
    methods.xSync = [](sqlite3_file* file, int flags) {
      ++at(file).owner->syncs;
      return real(file)->pMethods->xSync(real(file), flags);
    };
    methods.xFileSize = [](sqlite3_file* file, sqlite3_int64* out) {
      return real(file)->pMethods->xFileSize(real(file), out);
    };
    methods.xLock = [](sqlite3_file* file, int level) { return real(file)->pMethods->xLock(real(file), level); };
    methods.xUnlock = [](sqlite3_file* file, int level) { return real(file)->pMethods->xUnlock(real(file), level); };
    methods.xCheckReservedLock = [](sqlite3_file* file, int* out) {
      return real(file)->pMethods->xCheckReservedLock(real(file), out);
    };
    methods.xFileControl = [](sqlite3_file* file, int op, void* arg) {
      return real(file)->pMethods->xFileControl(real(file), op, arg);
    };
    methods.xSectorSize = [](sqlite3_file* file) { return real(file)->pMethods->xSectorSize(real(file)); };
    methods.xDeviceCharacteristics = [](sqlite3_file* file) {
      return real(file)->pMethods->xDeviceCharacteristics(real(file));
    };
    return methods;
  }

  std::string name_;
  sqlite3_vfs* base_;
  sqlite3_vfs vfs_{};
};

}  // namespace chatsdk
