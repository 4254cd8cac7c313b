// SPDX-License-Identifier: Apache-2.0
//
// What is shown of a post, docs/content.md section 5: a function of the set of its annotations. It knows no store and
// no stream: who hands the annotations in says which of them count, and how they are ordered.
//
// Threads: pure functions.
// Invariants:
//   1. The order in which annotations are handed in decides nothing.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "protocol/content.h"

namespace chatsdk::content {

// Where an annotation stands. No two of a conversation stand at the same.
struct Standing {
  std::int64_t place = 0;
  std::uint64_t key = 0;
  friend auto operator<=>(const Standing&, const Standing&) = default;
};

struct Stated {
  Standing at;
  UserId by;
  Annotation what;
};

struct Fold {
  bool deleted = false;             // then there is nothing else
  std::optional<std::size_t> edit;  // which of the annotations has what is shown
  std::uint64_t edits = 0;
  std::map<UserId, std::vector<std::string>> reactions;  // of members who have any
  bool pinned = false;
};

// Of a post of this author, and of annotations that name it.
Fold fold(const UserId& author, std::span<const Stated> annotations);

// What goes by the timer of a conversation: seconds, 0 never.
std::uint32_t fold_timer(std::span<const Stated> annotations);

}  // namespace chatsdk::content
