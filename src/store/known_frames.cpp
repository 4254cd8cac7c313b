// SPDX-License-Identifier: Apache-2.0
#include "store/known_frames.h"

#include <sodium.h>

#include <algorithm>
#include <cstring>
#include <new>

namespace chatsdk {

KnownFrames::~KnownFrames() {
  if (contents_ != nullptr) sodium_memzero(contents_.get(), kCount * sizeof(Content));
}

void KnownFrames::remember(std::int64_t frame, std::uint32_t page, const unsigned char* sealed,
                           const unsigned char* header, const unsigned char* plain) {
  const std::lock_guard lock(mutex_);
  // No exception may pass through SQLite; without memory nothing is recognised.
  if (contents_ == nullptr) contents_.reset(new (std::nothrow) Content[kCount]);
  if (contents_ == nullptr) return;
  auto place = std::find(pages_.begin(), pages_.end(), page) - pages_.begin();
  if (place == kCount) place = std::min_element(used_.begin(), used_.end()) - used_.begin();
  const auto at = static_cast<std::size_t>(place);
  pages_[at] = page;
  frames_[at] = frame;
  used_[at] = ++uses_;
  std::memcpy(contents_[at].sealed.data(), sealed, kSealedBytes);
  std::memcpy(contents_[at].header.data(), header, kHeaderBytes);
  std::memcpy(contents_[at].plain.data(), plain, kPagePlainBytes);
}

bool KnownFrames::recall(std::int64_t frame, const unsigned char* sealed, unsigned char* header, unsigned char* plain) {
  const std::lock_guard lock(mutex_);
  for (std::size_t at = 0; at < kCount; ++at) {
    if (frames_[at] != frame || pages_[at] == 0) continue;
    if (std::memcmp(contents_[at].sealed.data(), sealed, kSealedBytes) != 0) continue;
    used_[at] = ++uses_;
    std::memcpy(header, contents_[at].header.data(), kHeaderBytes);
    std::memcpy(plain, contents_[at].plain.data(), kPagePlainBytes);
    return true;
  }
  return false;
}

}  // namespace chatsdk
