// SPDX-License-Identifier: Apache-2.0
//
// The bytes of one simulated file, in blocks: a file that grows moves nothing that is there, and what it gives back is
// of a size that the next file takes.
//
// Threads: one.
// Invariants:
//   1. There are as many blocks as the size needs; what a block holds behind the size is unspecified.
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "base/bytes.h"

namespace chatsdk::sim {

class FileImage {
 public:
  FileImage() = default;
  FileImage(const FileImage& other) { *this = other; }
  FileImage& operator=(const FileImage& other);

  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }

  // Copies what there is of [at, at + size) and says how much that is.
  std::size_t read(std::size_t at, unsigned char* out, std::size_t size) const;
  // Bytes between the end and at are zero.
  void write(std::size_t at, const unsigned char* bytes, std::size_t size);
  // What it grows by is zero.
  void resize(std::size_t size);

  Bytes bytes() const;

 private:
  static constexpr std::size_t kBlockBytes = 32 * 1'024;
  using Block = std::unique_ptr<unsigned char[]>;

  void make_room(std::size_t size);
  // Calls visit(bytes, count) for each piece of [at, at + size), which lies within the blocks.
  template <typename Visit>
  void each_piece(std::size_t at, std::size_t size, Visit&& visit) const;

  std::vector<Block> blocks_;
  std::size_t size_ = 0;
};

}  // namespace chatsdk::sim
