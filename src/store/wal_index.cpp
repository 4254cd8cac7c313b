// SPDX-License-Identifier: Apache-2.0
#include "store/wal_index.h"

#include <sqlite3.h>

#include <new>

namespace chatsdk {

static_assert(WalIndex::kSlots == SQLITE_SHM_NLOCK);

namespace {

std::uint16_t bit(int slot) { return static_cast<std::uint16_t>(1u << slot); }

}  // namespace

int WalIndex::map(User& user, int region, int region_bytes, bool extend, void volatile** out) {
  const std::lock_guard lock(mutex_);
  *out = nullptr;
  if (!user.joined) {
    user.joined = true;
    ++users_;
  }
  const auto wanted = static_cast<std::size_t>(region) + 1;
  if (regions_.size() < wanted && !extend) return SQLITE_OK;
  try {
    while (regions_.size() < wanted) {
      const std::size_t words = (static_cast<std::size_t>(region_bytes) + 7) / 8;
      regions_.push_back(std::make_unique<std::uint64_t[]>(words));
    }
  } catch (const std::bad_alloc&) {
    return SQLITE_NOMEM;
  }
  *out = regions_[wanted - 1].get();
  return SQLITE_OK;
}

int WalIndex::lock(User& user, int first, int count, int flags) {
  if (first < 0 || count < 1 || first + count > kSlots) return SQLITE_MISUSE;
  const std::lock_guard lock(mutex_);
  if ((flags & SQLITE_SHM_UNLOCK) != 0) {
    unlock(user, first, count);
    return SQLITE_OK;
  }
  return (flags & SQLITE_SHM_SHARED) != 0 ? lock_shared(user, first) : lock_exclusive(user, first, count);
}

void WalIndex::unlock(User& user, int first, int count) {
  for (int slot = first; slot < first + count; ++slot) {
    auto& holders = slots_[static_cast<std::size_t>(slot)];
    if ((user.exclusive & bit(slot)) != 0) {
      holders = 0;
    } else if ((user.shared & bit(slot)) != 0) {
      --holders;
    }
    user.exclusive = static_cast<std::uint16_t>(user.exclusive & ~bit(slot));
    user.shared = static_cast<std::uint16_t>(user.shared & ~bit(slot));
  }
}

int WalIndex::lock_shared(User& user, int slot) {
  auto& holders = slots_[static_cast<std::size_t>(slot)];
  if ((user.shared & bit(slot)) != 0) return SQLITE_OK;
  if (holders < 0) return SQLITE_BUSY;
  ++holders;
  user.shared = static_cast<std::uint16_t>(user.shared | bit(slot));
  return SQLITE_OK;
}

int WalIndex::lock_exclusive(User& user, int first, int count) {
  for (int slot = first; slot < first + count; ++slot) {
    const bool mine = (user.exclusive & bit(slot)) != 0;
    if (!mine && slots_[static_cast<std::size_t>(slot)] != 0) return SQLITE_BUSY;
  }
  for (int slot = first; slot < first + count; ++slot) {
    slots_[static_cast<std::size_t>(slot)] = -1;
    user.exclusive = static_cast<std::uint16_t>(user.exclusive | bit(slot));
  }
  return SQLITE_OK;
}

void WalIndex::barrier() {
  __sync_synchronize();  // a full fence, in a form that ThreadSanitizer accepts
  // Passing the mutex orders the threads also for checkers that know locks only.
  const std::lock_guard lock(mutex_);
}

void WalIndex::leave(User& user) {
  const std::lock_guard lock(mutex_);
  if (!user.joined) return;
  unlock(user, 0, kSlots);
  user.joined = false;
  if (--users_ == 0) regions_.clear();
}

bool WalIndex::checkpointing() {
  const std::lock_guard lock(mutex_);
  return slots_[kCheckpointSlot] < 0;
}

bool WalIndex::recovering() {
  const std::lock_guard lock(mutex_);
  return users_ == 0 || slots_[kRecoverySlot] < 0;
}

}  // namespace chatsdk
