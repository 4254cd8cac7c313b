// SPDX-License-Identifier: Apache-2.0
//
// The operations that were answered: what a user's device asked for by REST under an id of its own making, and the
// first answer to it. Written in the transaction of the operation, so that either both are there or neither.
//
// Threads: the writer's.
#pragma once

#include <optional>

#include "base/result.h"
#include "server-reference/store/store.h"
#include "store/sqlite.h"

namespace chatsdk::server {

class OperationLog {
 public:
  struct Recorded {
    Bytes request_hash;
    std::optional<Error> refused;
    Bytes answer;  // a serialised message of the operation's kind; empty when it was refused
  };

  explicit OperationLog(sqlite::Database& db) : db_(db) {}
  Status prepare();

  Result<std::optional<Recorded>> find(const UserId& user_id, BytesView operation_id);
  Status record(const UserId& user_id, BytesView operation_id, const Recorded& recorded, WallTime now);

  // Removes at most max that are older than limits::kDedupLifetime.
  Status purge(std::size_t max, WallTime now);

 private:
  sqlite::Database& db_;

  sqlite::Statement select_;
  sqlite::Statement insert_;
  sqlite::Statement delete_older_;
};

}  // namespace chatsdk::server
