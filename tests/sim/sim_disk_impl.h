// SPDX-License-Identifier: Apache-2.0
//
// The inside of the simulated disk, for the files that implement it: a file's two images with the changes between them,
// the locks on it, the index memory of its log, and an open handle.
//
// Threads: one.
#pragma once

#include "sim/sim_disk.h"
#include "sim/sim_image.h"

namespace chatsdk::sim {

// A change that is seen and not durable. Its bytes lie in the file's change_bytes.
struct SimDisk::Change {
  std::uint64_t number;  // over all files and names, rising
  bool is_truncation;
  std::int64_t offset;  // of a truncation: the new size
  std::size_t begin;
  std::size_t size;
};

struct SimDisk::NameChange {
  std::uint64_t number;
  std::string path;
  InodePtr inode;  // null: the name was removed
};

// The index of a write-ahead log while connections use it. Handles keep it, so that what SQLite has mapped stays.
struct SimDisk::IndexMemory {
  static constexpr int kSlots = SQLITE_SHM_NLOCK;
  std::vector<std::unique_ptr<std::uint64_t[]>> regions;
  std::array<int, kSlots> shared{};
  std::array<const Handle*, kSlots> exclusive{};
};

struct SimDisk::Inode {
  FileImage visible;
  FileImage durable;
  std::vector<Change> changes;
  std::vector<unsigned char> change_bytes;

  // Of the process that runs now.
  int shared_locks = 0;
  const Handle* reserved = nullptr;
  const Handle* pending = nullptr;
  const Handle* exclusive = nullptr;
  std::weak_ptr<IndexMemory> index;
};

struct SimDisk::Handle {
  SimDisk* disk;
  InodePtr inode;
  std::string path;
  std::uint64_t process;
  bool writable;
  bool syncs_directory;  // with its first sync
  int level = SQLITE_LOCK_NONE;
  std::shared_ptr<IndexMemory> index;
  unsigned index_shared = 0;
  unsigned index_exclusive = 0;
};

}  // namespace chatsdk::sim
