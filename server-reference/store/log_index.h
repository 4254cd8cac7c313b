// SPDX-License-Identifier: Apache-2.0
//
// The index of a database's log, "<path>-shm", on a disk that may be full. It is a file that SQLite maps into its
// memory and makes longer by one byte in each 4 KiB: the other blocks of a file system with smaller ones, or of a file
// that has holes from an earlier life, are allotted when the memory is first written to, and a disk without room then
// ends the process with SIGBUS. A LogIndex stands before the main file of one connection and has the system allot each
// part of the index before SQLite gets it; without room SQLite gets SQLITE_FULL instead, which refuses a transaction or
// an opening, and asks again the next time.
//
// Linux before 5.14 cannot be asked for that; there the index is as SQLite makes it.
//
// Threads: those of its connection.
#pragma once

#include <sqlite3.h>

#include "base/result.h"
#include "store/sqlite.h"

namespace chatsdk::server {

class LogIndex {
 public:
  LogIndex() = default;
  LogIndex(const LogIndex&) = delete;
  LogIndex& operator=(const LogIndex&) = delete;

  // Of a connection that was just opened, before its first statement. It is closed before this object goes.
  Status stand_before(sqlite::Database& db);
  // True once there was no room.
  bool was_refused() const { return methods_.refused; }

 private:
  // The methods of the main file with one in place of the VFS's. The file leads to them, and they to the others.
  struct Methods {
    sqlite3_io_methods own;
    const sqlite3_io_methods* base;
    bool refused;
  };
  static int map(sqlite3_file* file, int region, int region_bytes, int extend, void volatile** out);

  Methods methods_{};
};

}  // namespace chatsdk::server
