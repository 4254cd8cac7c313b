// SPDX-License-Identifier: Apache-2.0
#include "protocol/fold.h"

namespace chatsdk::content {

namespace {

// The one that stands last, of those that were shown to it.
class Last {
 public:
  void offer(const Stated& annotation) {
    if (last_ == nullptr || last_->at < annotation.at) last_ = &annotation;
  }
  const Stated* get() const { return last_; }

 private:
  const Stated* last_ = nullptr;
};

template <typename Kind>
const Kind& as(const Stated& annotation) {
  return std::get<Kind>(annotation.what.kind);
}

}  // namespace

Fold fold(const UserId& author, std::span<const Stated> annotations) {
  Fold shown;
  Last edit;
  Last pin;
  std::map<UserId, Last> reactions;
  for (const Stated& annotation : annotations) {
    const bool by_author = annotation.by == author;
    if (by_author && std::holds_alternative<Delete>(annotation.what.kind)) {
      Fold deleted;
      deleted.deleted = true;
      return deleted;
    }
    if (by_author && std::holds_alternative<Edit>(annotation.what.kind)) {
      edit.offer(annotation);
      ++shown.edits;
    }
    if (std::holds_alternative<Reaction>(annotation.what.kind)) reactions[annotation.by].offer(annotation);
    if (std::holds_alternative<Pin>(annotation.what.kind)) pin.offer(annotation);
  }
  if (edit.get() != nullptr) shown.edit = static_cast<std::size_t>(edit.get() - annotations.data());
  shown.pinned = pin.get() != nullptr && as<Pin>(*pin.get()).pinned;
  for (const auto& [user, last] : reactions) {
    const auto& keys = as<Reaction>(*last.get()).keys;
    if (!keys.empty()) shown.reactions.emplace(user, keys);
  }
  return shown;
}

std::uint32_t fold_timer(std::span<const Stated> annotations) {
  Last last;
  for (const Stated& annotation : annotations) {
    if (std::holds_alternative<Timer>(annotation.what.kind)) last.offer(annotation);
  }
  return last.get() == nullptr ? 0 : as<Timer>(*last.get()).expires_after_s;
}

}  // namespace chatsdk::content
