// SPDX-License-Identifier: Apache-2.0
//
// Since when, and for how long, something is not asked for again: by key, each pause twice as long as the one before,
// up to a longest. A key that was not paused for as long as the longest begins with the first again.
//
// Threads: one owner.
// Invariants:
//   1. Keys whose pause ended the longest one ago are forgotten with the next begin().
#pragma once

#include <algorithm>
#include <chrono>
#include <map>
#include <optional>

namespace chatsdk {

// Time: what a duration can be added to.
template <typename Key, typename Time>
class DoublingPauses {
 public:
  using Length = std::chrono::milliseconds;

  DoublingPauses(Length first, Length longest) : first_(first), longest_(longest) {}

  // True: it is the first of the key's.
  bool begin(const Key& key, Time now) {
    std::erase_if(pauses_, [this, now](const auto& pause) { return pause.second.until + longest_ <= now; });
    const auto [at, is_first] = pauses_.try_emplace(key);
    Pause& pause = at->second;
    pause.length = is_first ? first_ : std::min(2 * pause.length, longest_);
    pause.until = now + pause.length;
    return is_first;
  }
  void end(const Key& key) { pauses_.erase(key); }
  void clear() { pauses_.clear(); }

  // None: there is no pause, or it is over; so is one that was begun by a clock that was ahead.
  std::optional<Time> until(const Key& key, Time now) const {
    const auto at = pauses_.find(key);
    if (at == pauses_.end() || at->second.until <= now || at->second.until - now > longest_) return std::nullopt;
    return at->second.until;
  }

 private:
  struct Pause {
    Time until{};
    Length length{0};
  };

  const Length first_;
  const Length longest_;
  std::map<Key, Pause> pauses_;
};

}  // namespace chatsdk
