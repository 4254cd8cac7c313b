// SPDX-License-Identifier: Apache-2.0
//
// How rows of accounts and sessions become values: the writer and the readers select the same columns.
//
// Threads: pure functions over a statement that stands on a row.
#pragma once

#include "server-reference/store/store.h"
#include "store/sqlite.h"

namespace chatsdk::server {

inline constexpr const char* kSelectAccount =
    "SELECT user_id, account_stream, password_hash, display_name, email, phone, created_ms FROM account "
    "WHERE user_id = ?1";
inline constexpr const char* kSelectSession =
    "SELECT session_id, device_id, user_id, generation, last_request_id, expires_ms FROM session "
    "WHERE session_id = ?1";
inline constexpr const char* kSelectSessionOfDevice =
    "SELECT session_id, device_id, user_id, generation, last_request_id, expires_ms FROM session "
    "WHERE device_id = ?1";

inline Account account_of(const sqlite::Statement& row) {
  Account account;
  account.user_id = row.text(0);
  account.account_stream = StreamId{static_cast<std::uint64_t>(row.integer(1))};
  account.password_hash = row.text(2);
  account.display_name = row.text(3);
  account.email = row.text(4);
  account.phone = row.text(5);
  account.created = from_unix_ms(row.integer(6));
  return account;
}

inline Session session_of(const sqlite::Statement& row) {
  Session session;
  session.session_id = SessionId{static_cast<std::uint64_t>(row.integer(0))};
  session.device_id = DeviceId{static_cast<std::uint64_t>(row.integer(1))};
  session.user_id = row.text(2);
  session.generation = static_cast<std::uint32_t>(row.integer(3));
  session.last_request_id = row.blob(4);
  session.expires = from_unix_ms(row.integer(5));
  return session;
}

}  // namespace chatsdk::server
