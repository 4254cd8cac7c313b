// SPDX-License-Identifier: Apache-2.0
//
// The device store's tables, and an ordered list of migrations by which older files come to them. It knows the shape of
// the file and nothing of what the rows mean to the engine.
//
// Threads: the writer's.
// Invariants:
//   1. A migration that a release contained never changes; a new shape is a new migration at the end, and the same in
//      the tables of a new file.
//   2. A file's user_version is the version whose shape it has, from 1 on; 0: it is empty.
#pragma once

#include <cstdint>

#include "base/random.h"
#include "base/result.h"
#include "store/sqlite.h"

namespace chatsdk::schema {

inline constexpr std::int32_t kVersion = 12;

// Brings a file to kVersion, all steps in one transaction; makes an empty one complete. SCHEMA_TOO_NEW when a later
// version wrote it, and nothing has been changed then.
Status migrate(sqlite::Database& db, Random& keys);

}  // namespace chatsdk::schema
