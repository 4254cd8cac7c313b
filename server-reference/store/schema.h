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

inline constexpr std::int32_t kStoreSchemaVersion = 10;

// Answers 1 for a database of another program: one that holds tables but no version, or not the tables that every
// version of the store has.
inline constexpr const char* kIsForeign =
    "SELECT (SELECT count(*) FROM sqlite_schema) > 0 AND (user_version = 0 OR (SELECT count(*) FROM sqlite_schema "
    "WHERE type = 'table' AND name IN ('meta', 'progress')) < 2) FROM pragma_user_version";

// The version of the file: 0 for an empty one. SCHEMA_TOO_NEW above kStoreSchemaVersion; CORRUPT when the file is a
// database of another program.
Result<std::int32_t> schema_version(sqlite::Database& db);

// Runs the steps above `version`, each in a transaction of its own.
Status migrate(sqlite::Database& db, std::int32_t version);

}  // namespace chatsdk::server
