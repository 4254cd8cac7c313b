// SPDX-License-Identifier: Apache-2.0
//
// SQLite's memory, overwritten when it is given back, which SQLite leaves to whoever configures it: what a search finds
// then (memory_scan.h) was left by somebody else.
//
// Threads: called before any other uses SQLite.
#pragma once

#include <sodium.h>
#include <sqlite3.h>

#include <algorithm>
#include <cstring>

namespace chatsdk::test {

inline sqlite3_mem_methods sqlite_memory{};

// False: SQLite has begun already.
inline bool make_sqlite_wipe() {
  if (sqlite3_config(SQLITE_CONFIG_GETMALLOC, &sqlite_memory) != SQLITE_OK) return false;
  sqlite3_mem_methods wiping = sqlite_memory;
  wiping.xFree = [](void* memory) {
    sodium_memzero(memory, static_cast<std::size_t>(sqlite_memory.xSize(memory)));
    sqlite_memory.xFree(memory);
  };
  wiping.xRealloc = [](void* memory, int size) {
    void* const larger = sqlite_memory.xMalloc(size);
    if (larger == nullptr) return larger;
    const int before = sqlite_memory.xSize(memory);
    std::memcpy(larger, memory, static_cast<std::size_t>(std::min(before, size)));
    sodium_memzero(memory, static_cast<std::size_t>(before));
    sqlite_memory.xFree(memory);
    return larger;
  };
  return sqlite3_config(SQLITE_CONFIG_MALLOC, &wiping) == SQLITE_OK;
}

}  // namespace chatsdk::test
