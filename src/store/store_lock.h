// SPDX-License-Identifier: Apache-2.0
//
// The claim of one process, and within it of one owner, on a store: an advisory lock on the empty file "<store>-lock"
// beside it. It is taken through the VFS that the store's files live in, so that a simulated file system has it too; on
// a real one the operating system drops it when the process ends, however it ends. The lock file stays: removing it
// would let two processes lock two files of one name.
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

  bool held() const { return file_ != nullptr; }
  void release();

 private:
  struct File;
  explicit StoreLock(std::unique_ptr<File> file);

  std::unique_ptr<File> file_;
};

}  // namespace chatsdk
