// SPDX-License-Identifier: Apache-2.0
//
// A VFS over SQLite's default one that knows, for each database, log and journal, how many writes no xSync has covered
// yet. SIGKILL leaves the page cache whole, so a test that kills processes cannot see an acknowledgement that came too
// early; this can: at the moment of the acknowledgement nothing may be unsynced. Other files, which nobody leans on
// (an application's own beside the database, temporary ones), are passed through uncounted, and so is cutting a file
// short, which loses nothing that anybody leans on.
//
// Threads: any, as the VFS below.
// Invariants:
//   1. A write counts from before it begins, a sync covers only writes that had returned when it began.
#pragma once

#include <sqlite3.h>

#include <cstdint>
#include <map>
#include <mutex>
#include <string>

namespace chatsdk::test {

class CountingVfs {
 public:
  CountingVfs();
  ~CountingVfs();  // after the last file
  CountingVfs(const CountingVfs&) = delete;
  CountingVfs& operator=(const CountingVfs&) = delete;

  const std::string& name() const { return name_; }

  // Writes that no sync covers, by file name without its directory; files without any are absent.
  std::map<std::string, std::uint64_t> unsynced() const;
  std::uint64_t writes() const;
  std::uint64_t syncs() const;

  // From now on syncs do not count: every write stays unsynced, as if the store had asked for none.
  void forget_syncs();

 private:
  struct File;
  static const sqlite3_io_methods kMethods;
  static int open(sqlite3_vfs* vfs, const char* path, sqlite3_file* out, int flags, int* out_flags);
  static int remove(sqlite3_vfs* vfs, const char* path, int sync_directory);
  static int write(sqlite3_file* file, const void* bytes, int size, sqlite3_int64 offset);
  static int sync(sqlite3_file* file, int flags);

  struct Count {
    std::uint64_t written = 0;
    std::uint64_t covered = 0;
  };

  sqlite3_vfs* const base_;
  const std::string name_;
  sqlite3_vfs vfs_;
  mutable std::mutex mutex_;
  std::map<std::string, Count> counts_;  // guarded by mutex_; by file name
  std::uint64_t writes_ = 0;             // guarded by mutex_
  std::uint64_t syncs_ = 0;              // guarded by mutex_
  bool syncs_count_ = true;              // guarded by mutex_
};

}  // namespace chatsdk::test
