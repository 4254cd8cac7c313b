// SPDX-License-Identifier: Apache-2.0
//
// The tables of the server's SQLite store and the ordered steps that lead to them. The version of a file stands in its
// user_version; a step and its version are one transaction, so a migration that is cut short is repeated from its last
// whole step.
//
// Threads: the writer's.
#pragma once

#include <cstdint>

#include "base/result.h"
#include "store/sqlite.h"

namespace chatsdk::server {

inline constexpr std::int32_t kStoreSchemaVersion = 1;

// The version of the file: 0 for an empty one. SCHEMA_TOO_NEW above kStoreSchemaVersion; CORRUPT when the file holds
// tables but no version, for it then belongs to another program.
Result<std::int32_t> schema_version(sqlite::Database& db);

// Runs the steps above `version`, each in a transaction of its own.
Status migrate(sqlite::Database& db, std::int32_t version);

}  // namespace chatsdk::server
