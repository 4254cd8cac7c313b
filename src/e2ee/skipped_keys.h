// SPDX-License-Identifier: Apache-2.0
//
// The message keys of a session that were passed over and may still be asked for, in order of chain and number. It does
// not know how long they may be kept, nor how many.
//
// Threads: one owner.
// Invariants:
//   1. Each (chain, number) is there once; they ascend.
//   2. A key that leaves is overwritten, and so is the memory that the container leaves.
// They lie in one block, since a session is copied for every message that is opened: copying and wiping two thousand of
// them takes some microseconds so, and a hundred with a node for each.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/secret.h"
#include "base/wipe.h"

namespace chatsdk::e2ee {

class SkippedKeys {
 public:
  struct Entry {
    std::uint32_t chain = 0;
    std::uint32_t number = 0;
    std::uint64_t created_ms = 0;
    std::array<unsigned char, 32> key{};
  };

  SkippedKeys() = default;
  ~SkippedKeys() { wipe_from(0); }
  SkippedKeys(SkippedKeys&& other) noexcept = default;
  SkippedKeys& operator=(SkippedKeys&& other) noexcept;
  SkippedKeys clone() const;

  std::size_t size() const { return entries_.size(); }
  const std::vector<Entry>& entries() const { return entries_; }
  bool has_chain(std::uint32_t chain) const;

  // Of a chain and number that are not there.
  void add(std::uint32_t chain, std::uint32_t number, const Secret<32>& key, std::uint64_t created_ms);
  // The key leaves; nullopt when it is not there.
  std::optional<Secret<32>> take(std::uint32_t chain, std::uint32_t number);
  void drop_chain(std::uint32_t chain);
  // The lowest by (chain, number) go, until no more than `most` are left.
  void drop_lowest(std::size_t most);
  template <typename Condition>
  void drop_if(Condition condition) {
    std::size_t kept = 0;
    for (std::size_t i = 0; i < entries_.size(); ++i) {
      if (!condition(entries_[i])) entries_[kept++] = entries_[i];
    }
    cut(kept);
  }

 private:
  std::size_t place_of(std::uint32_t chain, std::uint32_t number) const;
  void make_room();
  void wipe_from(std::size_t first);
  // Entries from there on leave.
  void cut(std::size_t size);

  std::vector<Entry> entries_;  // never reallocated but by make_room()
};

}  // namespace chatsdk::e2ee
