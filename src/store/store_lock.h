// SPDX-License-Identifier: Apache-2.0
//
// The claim of one process, and within it of one owner, on a store: an advisory lock on the file "<store>-lock" beside
// it, where <store> is the file itself: a path that is a symbolic link leads to the same lock. It is taken through the
// VFS that the store's files live in, so that a simulated file system has it too; on a real one the operating system
// drops it when the process ends, however it ends. The lock file stays: removing it would let two processes lock two
// files of one name.
//
// Because it stays, the lock file also remembers whether a store was ever made beside it, by its length alone: a write
// that a power cut tears has lengthened the file or has not, so each outcome is one of the three.
//
// Threads: one owner.
// Invariants:
//   1. After release() or destruction no file is open and nothing is locked.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"

namespace chatsdk {

class StoreLock {
 public:
  // Does not wait: kStoreInUse when another process, or another owner in this one, holds the store. kReadOnly when the
  // lock file cannot be written. An empty name is SQLite's default VFS.
  static Result<StoreLock> acquire(const std::string& store_path, const std::string& vfs_name = {});

  ~StoreLock();
  StoreLock(StoreLock&&) noexcept;
  StoreLock& operator=(StoreLock&&) noexcept;

  // What stands beside the lock file. Each owner writes what it needs; the lock itself asks for nothing.
  enum class History {
    kUnknown = 0,  // nothing was made under this lock; the server's store leaves it at that
    kBegun = 1,    // a store is being made, or was when the power went
    kMade = 2,     // a whole store was there
  };
  Result<History> history();
  // Durable when it returns ok.
  Status remember(History history);

  bool held() const { return file_ != nullptr; }
  void release();

 private:
  struct File;
  explicit StoreLock(std::unique_ptr<File> file);

  std::unique_ptr<File> file_;
};

}  // namespace chatsdk
