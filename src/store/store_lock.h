// SPDX-License-Identifier: Apache-2.0
//
// The claim of one process, and within it of one owner, on a store. It is made of two advisory locks:
//
//   the name   on "<store>-lock" beside the store, where <store> is the file itself: a path that is a symbolic link
//              leads to the same lock. It is taken through the VFS that the store's files live in, so that a simulated
//              file system has it too. It holds while there is no store yet, and while one is set aside or put in
//              place.
//   the file   on the store's own inode, whatever it is called: a hard link, or the same name once its lock file was
//              removed, leads to the same lock. Only files of the platform have it, where the system has locks that
//              belong to an open file description (Linux, Android, Apple); elsewhere the name alone is claimed.
//
// The operating system drops both when the process ends, however it ends; the file's only with the last process that
// was forked from it and runs no other program. The lock file stays: removing it would let two processes lock two files
// of one name.
//
// A process gives up SQLite's own locks on a file when it closes any descriptor of it. The file's lock is not one of
// those, and its descriptor is closed after SQLite's. A claim that is refused closes one too, within the process of the
// first owner perhaps: of a device store everybody makes this claim, so nothing leans on SQLite's locks there, and a
// server's process opens one store.
//
// Because it stays, the lock file also remembers whether a store was ever made beside it, by its length alone: a write
// that a power cut tears has lengthened the file or has not, so each outcome is one of the three.
//
// Threads: one owner.
// Invariants:
//   1. After release() or destruction no file is open and nothing is locked, nor in a process forked meanwhile.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"

namespace chatsdk {

class StoreLock {
 public:
  // Claims the name. Does not wait: kStoreInUse when another process, or another owner in this one, holds the store.
  // kReadOnly when the lock file cannot be written. An empty name is SQLite's default VFS.
  static Result<StoreLock> acquire(const std::string& store_path, const std::string& vfs_name = {});

  ~StoreLock();
  StoreLock(StoreLock&&) noexcept;
  StoreLock& operator=(StoreLock&&) noexcept;

  // Claims the file that has the name now, instead of another one claimed before; whoever opens the store does this
  // first, and has no file of it open. Where there is none, an empty one is made, or nothing is claimed. kStoreInUse,
  // kReadOnly.
  enum class IfAbsent { kMake, kClaimNothing };
  Status claim_file(IfAbsent if_absent);

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
