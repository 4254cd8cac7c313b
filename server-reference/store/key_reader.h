// SPDX-License-Identifier: Apache-2.0
//
// The reads of the key directory and of its mailboxes for linking, on a reader's connection. Each call sees one
// snapshot.
//
// Threads: the reader's executor.
#pragma once

#include <optional>

#include "base/result.h"
#include "server-reference/store/store.h"
#include "store/sqlite.h"

namespace chatsdk::server {

class KeyReader {
 public:
  // The connection outlives the reader of keys, and stays where it is.
  explicit KeyReader(sqlite::Database& db) : db_(db) {}
  Status prepare();

  Result<NewestList> newest_list(const UserId& user_id);
  Result<ListPage> device_lists(const UserId& user_id, const KnownList& known, std::size_t max);
  Result<std::optional<DeviceKeys>> device_keys(DeviceId device_id);
  Result<std::optional<KeyCounts>> key_counts(DeviceId device_id);
  Result<std::optional<Bytes>> link_message(const UserId& user_id, BytesView link_id, LinkStep step, WallTime now);

 private:
  Result<std::uint64_t> newest_version(const UserId& user_id);
  // The version after which a page begins.
  Result<std::uint64_t> page_start(const UserId& user_id, const KnownList& known, std::uint64_t newest,
                                   std::size_t max);

  sqlite::Database& db_;
  sqlite::Statement select_newest_;
  sqlite::Statement select_list_hash_;
  sqlite::Statement select_lists_;
  sqlite::Statement select_records_;
  sqlite::Statement select_entries_;
  sqlite::Statement select_keys_;
  sqlite::Statement select_counts_;
  sqlite::Statement select_link_message_;
};

}  // namespace chatsdk::server
