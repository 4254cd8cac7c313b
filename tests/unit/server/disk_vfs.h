// SPDX-License-Identifier: Apache-2.0
//
// A disk that can fail: SQLite's own VFS with writes, syncs and openings that fail on demand, and a count of what was
// written to the log and is not yet synced. It keeps the file objects of the VFS below and only changes their methods,
// so shared memory and locks are the real ones.
//
// Threads: any may use its files and change what fails. One at a time in a process.
#pragma once

#include <sqlite3.h>

#include <atomic>
#include <map>
#include <mutex>
#include <string>
#include <string_view>

namespace chatsdk::server {

class DiskVfs {
 public:
  DiskVfs();
  ~DiskVfs();
  DiskVfs(const DiskVfs&) = delete;
  DiskVfs& operator=(const DiskVfs&) = delete;

  static constexpr const char* kName = "failing-disk";

  std::atomic<int> write_result = SQLITE_OK;  // of each write
  std::atomic<int> sync_result = SQLITE_OK;   // of each sync
  std::atomic<bool> read_only = false;        // files open for reading only
  std::atomic<bool> index_room = true;        // false: the index of the log ends where its last region would begin
  std::atomic<std::uint64_t> log_syncs = 0;
  std::atomic<std::uint64_t> unsynced_log_writes = 0;

 private:
  static int open(sqlite3_vfs* vfs, const char* path, sqlite3_file* file, int flags, int* out_flags);
  static int write(sqlite3_file* file, const void* bytes, int size, sqlite3_int64 offset);
  static int sync(sqlite3_file* file, int flags);
  static int map_index(sqlite3_file* file, int region, int bytes, int extend, void volatile** out);
  static int close(sqlite3_file* file);

  struct Open {
    const sqlite3_io_methods* base;
    bool log;
    std::string path;
  };
  Open opened(sqlite3_file* file);

  static DiskVfs* active_;
  sqlite3_vfs* base_;
  sqlite3_vfs vfs_{};
  std::mutex mutex_;
  // Guarded by mutex_, as open_. An entry never changes once files use it.
  std::map<const sqlite3_io_methods*, sqlite3_io_methods> changed_;  // by the methods of the VFS below
  std::map<sqlite3_file*, Open> open_;
};

}  // namespace chatsdk::server
