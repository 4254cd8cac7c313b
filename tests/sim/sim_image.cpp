// SPDX-License-Identifier: Apache-2.0
#include "sim/sim_image.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace chatsdk::sim {

FileImage& FileImage::operator=(const FileImage& other) {
  if (this == &other) return *this;
  blocks_.resize(std::min(blocks_.size(), other.blocks_.size()));
  make_room(other.size_);
  size_ = other.size_;
  for (std::size_t i = 0; i < blocks_.size(); ++i) {
    const std::size_t used = std::min(kBlockBytes, size_ - i * kBlockBytes);
    std::memcpy(blocks_[i].get(), other.blocks_[i].get(), used);
  }
  return *this;
}

void FileImage::make_room(std::size_t size) {
  const std::size_t needed = (size + kBlockBytes - 1) / kBlockBytes;
  while (blocks_.size() < needed) blocks_.push_back(std::make_unique_for_overwrite<unsigned char[]>(kBlockBytes));
}

template <typename Visit>
void FileImage::each_piece(std::size_t at, std::size_t size, Visit&& visit) const {
  const std::size_t end = at + size;
  while (at < end) {
    const std::size_t skip = at % kBlockBytes;
    const std::size_t count = std::min(kBlockBytes - skip, end - at);
    visit(blocks_[at / kBlockBytes].get() + skip, count);
    at += count;
  }
}

std::size_t FileImage::read(std::size_t at, unsigned char* out, std::size_t size) const {
  const std::size_t count = at < size_ ? std::min(size, size_ - at) : 0;
  each_piece(at, count, [&out](const unsigned char* bytes, std::size_t piece) {
    std::memcpy(out, bytes, piece);
    out += piece;
  });
  return count;
}

void FileImage::write(std::size_t at, const unsigned char* bytes, std::size_t size) {
  if (at > size_) resize(at);
  make_room(at + size);
  size_ = std::max(size_, at + size);
  each_piece(at, size, [&bytes](unsigned char* into, std::size_t piece) {
    std::memcpy(into, bytes, piece);
    bytes += piece;
  });
}

void FileImage::resize(std::size_t size) {
  const std::size_t before = std::exchange(size_, size);
  if (size > before) {
    make_room(size);
    each_piece(before, size - before, [](unsigned char* into, std::size_t piece) { std::memset(into, 0, piece); });
  } else {
    blocks_.resize((size + kBlockBytes - 1) / kBlockBytes);
  }
}

Bytes FileImage::bytes() const {
  Bytes bytes;
  bytes.reserve(size_);
  each_piece(0, size_, [&bytes](const unsigned char* from, std::size_t piece) {
    bytes.append(reinterpret_cast<const char*>(from), piece);
  });
  return bytes;
}

}  // namespace chatsdk::sim
