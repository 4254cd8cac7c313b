// SPDX-License-Identifier: Apache-2.0
//
// The tables of end-to-end encryption in the device store's file (docs/e2ee.md section 20), with a version of their
// own: a store that never encrypted has none of them, and opens with a library that knows none.
//
// Threads: the writer's.
// Invariants:
//   1. A migration that a release contained never changes; a new shape is a new migration at the end.
//   2. What belongs to a message, a row of the outbox or a session goes with it, by foreign keys and triggers of the
//      file itself: whoever deletes those rows need not know of these tables.
#pragma once

#include <cstdint>
#include <span>

#include "base/result.h"
#include "store/sqlite.h"

namespace chatsdk::e2ee_schema {

inline constexpr std::int32_t kVersion = 13;

// Within a transaction: makes the tables, or brings those of an earlier version up to date. SCHEMA_TOO_NEW when a later
// version wrote them; CORRUPT where they do not say which.
Status migrate(sqlite::Database& db);

// Their names, for whoever checks or compares them all.
std::span<const char* const> tables();

}  // namespace chatsdk::e2ee_schema
