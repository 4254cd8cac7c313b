// SPDX-License-Identifier: Apache-2.0
//
// The inside of DeviceReader: a read-only connection and its statements.
//
// Threads: one at a time.
#pragma once

#include <memory>
#include <string>

#include "store/device_store.h"
#include "store/rows.h"
#include "store/sqlite.h"

namespace chatsdk {

class DeviceReader::Impl {
 public:
  static Result<std::unique_ptr<Impl>> open(const std::string& path, const std::string& vfs_name);

  // Runs body() -> Result<T> on one snapshot of the store.
  template <typename Body>
  auto read(Body&& body) -> decltype(body()) {
    CHATSDK_ASSIGN(auto snapshot, sqlite::Transaction::begin(db, sqlite::Transaction::Kind::kRead));
    CHATSDK_TRY(load_owner());
    return body();
  }

  Status load_owner();
  Result<std::optional<MessageRow>> one_message(rows::Query& query, Result<bool> found);
  // The place of an anchor in its conversation: NOT_FOUND when it is not there.
  Result<std::int64_t> place_of_anchor(ConversationKey conversation, MessageKey anchor);
  Status check_conversation(ConversationKey conversation);
  Result<MessagePage> page_before(ConversationKey conversation, std::int64_t place, MessageKey key, std::size_t max);
  Result<MessagePage> page_after(ConversationKey conversation, std::int64_t place, MessageKey key, std::size_t max);
  Status complete(ConversationRow& conversation, rows::StateReader& states);
  // What the owner has done to a group and its items do not tell yet, over what they tell.
  Result<std::vector<group::Operation>> operations_of(ConversationKey conversation);
  Status show_operations(ConversationRow& conversation);
  Result<group::Role> role_of(ConversationKey conversation, const UserId& user);

  sqlite::Database db;
  rows::Statements sql{db};
  UserId owner;  // a store's owner is set once
};

}  // namespace chatsdk
