// SPDX-License-Identifier: Apache-2.0
//
// A file of the store that is no database, opened through the database's own VFS, so that a simulated or failing disk
// holds it as well.
//
// Threads: one owner.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

struct sqlite3_file;

namespace chatsdk::server {

class VfsFile {
 public:
  // Opens the file or makes it. vfs_name empty: SQLite's default. READ_ONLY when it can only be read.
  static Result<std::unique_ptr<VfsFile>> open(const std::string& path, const std::string& vfs_name);

  ~VfsFile();
  VfsFile(const VfsFile&) = delete;
  VfsFile& operator=(const VfsFile&) = delete;

  // Whether the file was there when it was opened.
  bool was_there() const { return was_there_; }
  Result<std::int64_t> size();
  // What lies beyond the end reads as zeros.
  Result<Bytes> read(std::int64_t offset, std::size_t count);
  Status write(std::int64_t offset, BytesView bytes);
  Status sync();

 private:
  VfsFile() = default;

  std::vector<std::max_align_t> memory_;  // the VFS's own file object lies here
  sqlite3_file* handle_ = nullptr;
  const char* name_ = nullptr;
  bool was_there_ = false;
};

}  // namespace chatsdk::server
