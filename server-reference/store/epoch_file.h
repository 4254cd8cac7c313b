// SPDX-License-Identifier: Apache-2.0
//
// The small file beside the database, "<database>.epoch", that tells whether the database went back. It is not part of
// a backup: whoever restores the database leaves this file as it is or removes it, and either way it gives the restore
// away; left as it is, unless a power cut took its newest count, and a full disk let none be written since.
//
// It holds two slots in sectors of their own, so that a write to one cannot damage the other:
//
//   offset    0  anchor    written and synced when the store opens and closes, while the other slot is whole and synced
//   offset 4096  advance   written after every commit, not synced: it may be lost, it is never early
//
//   slot: bytes 0..7 "CHATEPO1" | 8..15 epoch | 16..23 commits | 24..39 BLAKE2b-128 of bytes 0..23   (big-endian)
//
// commits is the database's own count of commits at the time of writing. Because a slot is written only after the
// commit that it counts is durable, the file never counts more than a database that did not go back. So a database
// went back, or must be taken for one that did, when no whole slot names its epoch or one that does counts more
// commits.
//
// All access goes through the VFS of the database, so that a simulated disk holds this file too.
//
// Threads: the writer's.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "base/result.h"
#include "server-reference/store/vfs_file.h"

namespace chatsdk::server {

struct EpochMark {
  std::uint64_t epoch = 0;
  std::uint64_t commits = 0;

  friend bool operator==(const EpochMark&, const EpochMark&) = default;
};

class EpochFile {
 public:
  // Opens the file or makes an empty one. vfs_name empty: SQLite's default.
  static Result<std::unique_ptr<EpochFile>> open(const std::string& path, const std::string& vfs_name);

  // False: the database that says this of itself was restored from an older state, or the file is not its own.
  Result<bool> vouches_for(const EpochMark& database);
  // True: the file was a database's before.
  Result<bool> is_marked();
  // True: the file was there when it was opened, and empty. So an opening that was cut short before anchor() leaves it.
  bool was_blank() const { return was_blank_; }
  // Writes both slots, syncing each before the other is touched.
  Status anchor(const EpochMark& mark);
  // Writes the advance slot. A failure costs only that a later restore may go unnoticed, so it is not reported.
  void advance(const EpochMark& mark);

 private:
  EpochFile(std::unique_ptr<VfsFile> file, bool was_blank) : file_(std::move(file)), was_blank_(was_blank) {}

  std::unique_ptr<VfsFile> file_;
  const bool was_blank_;
};

}  // namespace chatsdk::server
