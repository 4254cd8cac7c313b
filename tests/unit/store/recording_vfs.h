// SPDX-License-Identifier: Apache-2.0
//
// A base VFS for tests: it passes every call to SQLite's default VFS, keeps a list of what changed which file, and can
// let the nth call fail. From the list, files are made as a power cut after any of the changes may have left them:
// what was synced before the cut is there, and each later change to a file is, on its own, kept, lost, cut short at a
// 512-byte boundary, or garbage.
//
// Threads: one.
#pragma once

#include <sqlite3.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.h"

namespace chatsdk {

class RecordingVfs {
 public:
  struct Change {
    enum class Kind { kWrite, kTruncate, kSync, kDelete };
    Kind kind;
    std::string file;  // name without its directory
    std::int64_t offset = 0;
    std::string bytes;
  };

  enum class Cut {
    kNothingLost,  // all changes are there, the last one in part
    kAnyLost,      // each change that was not synced has its own fate
  };

  RecordingVfs() : base_(*sqlite3_vfs_find(nullptr)) {
    name_ = "recording-" + std::to_string(reinterpret_cast<std::uintptr_t>(this));
    vfs_ = base_;
    vfs_.pNext = nullptr;
    vfs_.zName = name_.c_str();
    vfs_.pAppData = this;
    vfs_.szOsFile = static_cast<int>(sizeof(File));
    vfs_.xOpen = open;
    vfs_.xDelete = [](sqlite3_vfs* vfs, const char* name, int sync_directory) {
      auto& self = *static_cast<RecordingVfs*>(vfs->pAppData);
      if (self.fails()) return SQLITE_IOERR_DELETE;
      self.changes_.push_back({Change::Kind::kDelete, leaf(name), sync_directory, {}});
      return self.base_.xDelete(&self.base_, name, sync_directory);
    };
    vfs_.xAccess = [](sqlite3_vfs* vfs, const char* name, int flags, int* out) {
      auto& below = static_cast<RecordingVfs*>(vfs->pAppData)->base_;
      return below.xAccess(&below, name, flags, out);
    };
    vfs_.xFullPathname = [](sqlite3_vfs* vfs, const char* name, int bytes, char* out) {
      auto& below = static_cast<RecordingVfs*>(vfs->pAppData)->base_;
      return below.xFullPathname(&below, name, bytes, out);
    };
    sqlite3_vfs_register(&vfs_, 0);
  }
  ~RecordingVfs() { sqlite3_vfs_unregister(&vfs_); }
  RecordingVfs(const RecordingVfs&) = delete;
  RecordingVfs& operator=(const RecordingVfs&) = delete;

  const std::string& name() const { return name_; }
  const std::vector<Change>& changes() const { return changes_; }
  std::size_t writes() const { return writes_; }  // calls; a long one is several changes

  // The nth call from now fails, counting from 1; 0: none does.
  void fail_at(int call) { fail_at_ = call, calls_ = 0; }
  bool has_failed() const { return fail_at_ != 0 && calls_ >= fail_at_; }

  // The files after a cut behind the first `count` changes.
  std::map<std::string, std::string> files_after(std::size_t count, Cut cut, Random& random) const {
    std::map<std::string, std::string> durable;
    std::map<std::string, std::vector<const Change*>> unsynced;
    for (std::size_t i = 0; i < count; ++i) {
      const Change& change = changes_[i];
      switch (change.kind) {
        case Change::Kind::kWrite:
        case Change::Kind::kTruncate:
          unsynced[change.file].push_back(&change);
          break;
        case Change::Kind::kSync:
          for (const Change* earlier : unsynced[change.file]) apply(durable[change.file], *earlier, whole(*earlier));
          unsynced.erase(change.file);
          break;
        case Change::Kind::kDelete:
          durable.erase(change.file);
          unsynced.erase(change.file);
          break;
      }
    }
    for (const auto& [file, changes] : unsynced) {
      for (const Change* change : changes) {
        std::string& bytes = durable[file];
        const bool last = change == &changes_[count - 1];
        if (cut == Cut::kNothingLost) {
          apply(bytes, *change, last ? part(*change, random) : whole(*change));
          continue;
        }
        switch (random.below(4)) {
          case 0:
            apply(bytes, *change, whole(*change));
            break;
          case 1:
            break;
          case 2:
            apply(bytes, *change, part(*change, random));
            break;
          case 3:
            apply(bytes, *change, random.bytes(change->bytes.size()));
            break;
        }
      }
    }
    return durable;
  }

 private:
  // A disk keeps no write together: each piece of a long one has its own fate.
  void note_write(const std::string& file, std::int64_t offset, std::string_view bytes) {
    ++writes_;
    constexpr std::size_t kPiece = 4'096;
    while (!bytes.empty()) {
      const std::size_t count = std::min(bytes.size(), kPiece - static_cast<std::size_t>(offset) % kPiece);
      changes_.push_back({Change::Kind::kWrite, file, offset, std::string(bytes.substr(0, count))});
      offset += static_cast<std::int64_t>(count);
      bytes.remove_prefix(count);
    }
  }

  struct File {
    sqlite3_file head;
    RecordingVfs* owner;
    std::string* name;
    std::max_align_t* storage;

    sqlite3_file* below() const { return reinterpret_cast<sqlite3_file*>(storage); }
    const sqlite3_io_methods& methods() const { return *below()->pMethods; }
  };

  static File& of(sqlite3_file* file) { return *reinterpret_cast<File*>(file); }
  static std::string leaf(const char* name) { return std::filesystem::path(name).filename(); }
  static const std::string& whole(const Change& change) { return change.bytes; }
  static std::string part(const Change& change, Random& random) {
    // Disks write sectors: the cut lies on a boundary of the file's.
    const auto begin = static_cast<std::size_t>(change.offset);
    const std::size_t sectors = (begin + change.bytes.size()) / 512 - begin / 512;
    if (sectors == 0) return random.below(2) == 0 ? std::string() : change.bytes;
    const std::size_t end = (begin / 512 + random.below(sectors + 1)) * 512;
    return change.bytes.substr(0, end > begin ? end - begin : 0);
  }
  static void apply(std::string& bytes, const Change& change, const std::string& data) {
    const auto at = static_cast<std::size_t>(change.offset);
    if (change.kind == Change::Kind::kTruncate) return bytes.resize(at);
    if (data.empty()) return;
    if (bytes.size() < at + data.size()) bytes.resize(at + data.size());
    bytes.replace(at, data.size(), data);
  }

  bool fails() { return ++calls_ == fail_at_; }

  static int open(sqlite3_vfs* vfs, const char* name, sqlite3_file* out, int flags, int* out_flags) {
    auto& self = *static_cast<RecordingVfs*>(vfs->pAppData);
    auto& file = of(out);
    file = File{};
    if (self.fails()) return SQLITE_CANTOPEN;
    const auto units = static_cast<std::size_t>(self.base_.szOsFile) / sizeof(std::max_align_t) + 1;
    file.storage = new std::max_align_t[units]();
    const int result = self.base_.xOpen(&self.base_, name, file.below(), flags, out_flags);
    if (result != SQLITE_OK) {
      delete[] file.storage;
      return result;
    }
    file.owner = &self;
    file.name = new std::string(leaf(name));
    file.head.pMethods = &kMethods;
    return SQLITE_OK;
  }

  sqlite3_vfs& base_;
  std::string name_;
  sqlite3_vfs vfs_{};
  std::vector<Change> changes_;
  std::size_t writes_ = 0;
  int calls_ = 0;
  int fail_at_ = 0;

  static inline const sqlite3_io_methods kMethods = {
      1,
      [](sqlite3_file* f) {
        File& file = of(f);
        const int result = file.methods().xClose(file.below());
        delete[] file.storage;
        delete file.name;
        return result;
      },
      [](sqlite3_file* f, void* out, int bytes, sqlite3_int64 offset) {
        if (of(f).owner->fails()) return SQLITE_IOERR_READ;
        return of(f).methods().xRead(of(f).below(), out, bytes, offset);
      },
      [](sqlite3_file* f, const void* in, int bytes, sqlite3_int64 offset) {
        File& file = of(f);
        if (file.owner->fails()) return file.owner->fail_at_ % 2 == 0 ? SQLITE_FULL : SQLITE_IOERR_WRITE;
        file.owner->note_write(*file.name, offset,
                               std::string_view(static_cast<const char*>(in), static_cast<std::size_t>(bytes)));
        return file.methods().xWrite(file.below(), in, bytes, offset);
      },
      [](sqlite3_file* f, sqlite3_int64 size) {
        File& file = of(f);
        if (file.owner->fails()) return SQLITE_IOERR_TRUNCATE;
        file.owner->changes_.push_back({Change::Kind::kTruncate, *file.name, size, {}});
        return file.methods().xTruncate(file.below(), size);
      },
      [](sqlite3_file* f, int) {
        File& file = of(f);
        if (file.owner->fails()) return SQLITE_IOERR_FSYNC;
        // The list stands in for the disk: nothing has to reach a real one.
        file.owner->changes_.push_back({Change::Kind::kSync, *file.name, 0, {}});
        return SQLITE_OK;
      },
      [](sqlite3_file* f, sqlite3_int64* out) {
        if (of(f).owner->fails()) return SQLITE_IOERR_FSTAT;
        return of(f).methods().xFileSize(of(f).below(), out);
      },
      [](sqlite3_file* f, int level) { return of(f).methods().xLock(of(f).below(), level); },
      [](sqlite3_file* f, int level) { return of(f).methods().xUnlock(of(f).below(), level); },
      [](sqlite3_file* f, int* out) { return of(f).methods().xCheckReservedLock(of(f).below(), out); },
      [](sqlite3_file* f, int operation, void* argument) {
        return of(f).methods().xFileControl(of(f).below(), operation, argument);
      },
      [](sqlite3_file* f) { return of(f).methods().xSectorSize(of(f).below()); },
      [](sqlite3_file* f) { return of(f).methods().xDeviceCharacteristics(of(f).below()); },
      nullptr,
      nullptr,
      nullptr,
      nullptr,
      nullptr,
      nullptr,
  };
};

}  // namespace chatsdk
