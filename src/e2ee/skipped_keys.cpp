// SPDX-License-Identifier: Apache-2.0
#include "e2ee/skipped_keys.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "base/fault.h"

namespace chatsdk::e2ee {

SkippedKeys& SkippedKeys::operator=(SkippedKeys&& other) noexcept {
  if (this != &other) {
    wipe_from(0);
    entries_ = std::move(other.entries_);
    other.entries_.clear();
  }
  return *this;
}

SkippedKeys SkippedKeys::clone() const {
  SkippedKeys copy;
  copy.entries_ = entries_;
  return copy;
}

bool SkippedKeys::has_chain(std::uint32_t chain) const {
  const std::size_t at = place_of(chain, 0);
  return at < entries_.size() && entries_[at].chain == chain;
}

void SkippedKeys::add(std::uint32_t chain, std::uint32_t number, const Secret<32>& key, std::uint64_t created_ms) {
  make_room();
  Entry entry{chain, number, created_ms, {}};
  std::copy_n(key.data(), key.size(), entry.key.begin());
  entries_.insert(entries_.begin() + static_cast<std::ptrdiff_t>(place_of(chain, number)), entry);
  wipe_memory(entry.key);
}

std::optional<Secret<32>> SkippedKeys::take(std::uint32_t chain, std::uint32_t number) {
  const std::size_t at = place_of(chain, number);
  if (at == entries_.size() || entries_[at].chain != chain || entries_[at].number != number) return std::nullopt;
  Secret<32> key;
  std::copy_n(entries_[at].key.begin(), key.size(), key.data());
  if (CHATSDK_PLANTED(Bug::kUsedKeyKept)) return key;
  std::move(entries_.begin() + static_cast<std::ptrdiff_t>(at) + 1, entries_.end(),
            entries_.begin() + static_cast<std::ptrdiff_t>(at));
  cut(entries_.size() - 1);
  return key;
}

void SkippedKeys::drop_chain(std::uint32_t chain) {
  drop_if([chain](const Entry& entry) { return entry.chain == chain; });
}

void SkippedKeys::drop_lowest(std::size_t most) {
  if (entries_.size() <= most) return;
  const std::size_t surplus = entries_.size() - most;
  std::move(entries_.begin() + static_cast<std::ptrdiff_t>(surplus), entries_.end(), entries_.begin());
  cut(most);
}

std::size_t SkippedKeys::place_of(std::uint32_t chain, std::uint32_t number) const {
  const auto at =
      std::lower_bound(entries_.begin(), entries_.end(), std::tie(chain, number),
                       [](const Entry& entry, const std::tuple<const std::uint32_t&, const std::uint32_t&>& key) {
                         return std::tie(entry.chain, entry.number) < key;
                       });
  return static_cast<std::size_t>(at - entries_.begin());
}

// So that the vector does not grow by itself and leave its old block as it was.
void SkippedKeys::make_room() {
  if (entries_.size() < entries_.capacity()) return;
  std::vector<Entry> larger;
  larger.reserve(std::max<std::size_t>(16, 2 * entries_.capacity()));
  larger.assign(entries_.begin(), entries_.end());
  wipe_from(0);
  entries_ = std::move(larger);
}

void SkippedKeys::wipe_from(std::size_t first) {
  for (std::size_t i = first; i < entries_.size(); ++i) wipe_memory(entries_[i].key);
}

void SkippedKeys::cut(std::size_t size) {
  wipe_from(size);
  entries_.resize(size);
}

}  // namespace chatsdk::e2ee
