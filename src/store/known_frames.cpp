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

KnownFrames::Content* KnownFrames::keep(std::int64_t place, std::uint32_t page, const unsigned char* sealed,
                                        std::size_t size, const unsigned char* plain) {
  // No exception may pass through SQLite; without memory nothing is recognised.
  if (contents_ == nullptr) contents_.reset(new (std::nothrow) Content[kCount]);
  if (contents_ == nullptr) return nullptr;
  auto at = static_cast<std::size_t>(std::find(pages_.begin(), pages_.end(), page) - pages_.begin());
  if (at == kCount) at = static_cast<std::size_t>(std::min_element(used_.begin(), used_.end()) - used_.begin());
  pages_[at] = page;
  places_[at] = place;
  used_[at] = ++uses_;
  std::memcpy(contents_[at].sealed.data(), sealed, size);
  std::memcpy(contents_[at].plain.data(), plain, kPagePlainBytes);
  return &contents_[at];
}

const KnownFrames::Content* KnownFrames::find(std::int64_t place, const unsigned char* sealed, std::size_t size) {
  for (std::size_t at = 0; at < kCount; ++at) {
    if (places_[at] != place || pages_[at] == 0) continue;
    if (std::memcmp(contents_[at].sealed.data(), sealed, size) != 0) continue;
    used_[at] = ++uses_;
    return &contents_[at];
  }
  return nullptr;
}

void KnownFrames::remember(std::int64_t frame, std::uint32_t page, const unsigned char* sealed,
                           const unsigned char* header, const unsigned char* plain) {
  const std::lock_guard lock(mutex_);
  Content* const kept = keep(frame, page, sealed, kFrameBytes, plain);
  if (kept != nullptr) std::memcpy(kept->header.data(), header, kHeaderBytes);
}

bool KnownFrames::recall(std::int64_t frame, const unsigned char* sealed, unsigned char* header, unsigned char* plain) {
  const std::lock_guard lock(mutex_);
  const Content* const known = find(frame, sealed, kFrameBytes);
  if (known == nullptr) return false;
  std::memcpy(header, known->header.data(), kHeaderBytes);
  std::memcpy(plain, known->plain.data(), kPagePlainBytes);
  return true;
}

void KnownFrames::remember_page(std::uint32_t page, const unsigned char* sealed, const unsigned char* plain) {
  const std::lock_guard lock(mutex_);
  keep(place_of(page), page, sealed, kStorePageBytes, plain);
}

bool KnownFrames::recall_page(std::uint32_t page, const unsigned char* sealed, unsigned char* plain) {
  const std::lock_guard lock(mutex_);
  const Content* const known = find(place_of(page), sealed, kStorePageBytes);
  if (known == nullptr) return false;
  std::memcpy(plain, known->plain.data(), kPagePlainBytes);
  return true;
}

}  // namespace chatsdk
