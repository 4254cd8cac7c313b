// SPDX-License-Identifier: Apache-2.0
//
// The writes about accounts, devices and sessions. As with messages, every check of an op comes before its first write.
//
// Threads: the writer's.
#pragma once

#include <optional>

#include "base/random.h"
#include "base/result.h"
#include "server-reference/store/key_writer.h"
#include "server-reference/store/open_sessions.h"
#include "server-reference/store/store.h"
#include "server-reference/store/stream_writer.h"
#include "store/sqlite.h"

namespace chatsdk::server {

// In each call the Status tells whether the store works; the op's own answer or refusal goes to `answer`.
class AccountWriter {
 public:
  AccountWriter(sqlite::Database& db, StreamWriter& streams, OpenSessions& sessions, KeyWriter& keys,
                MessageIdMaker& ids, Random& random)
      : db_(db), streams_(streams), sessions_(sessions), keys_(keys), ids_(ids), random_(random) {}
  Status prepare();

  Status apply(const CreateAccount& op, Result<WriteAnswer>& answer);
  Status apply(const EnsureAccount& op, Result<WriteAnswer>& answer);
  Status apply(const OpenSession& op, Result<WriteAnswer>& answer);
  Status apply(const RotateSession& op, Result<WriteAnswer>& answer);
  Status apply(const EndSessions& op, Result<WriteAnswer>& answer);
  Status apply(const TouchDevice& op, Result<WriteAnswer>& answer);
  Status apply(const ProbeWrite& op, Result<WriteAnswer>& answer);

 private:
  Result<std::optional<Account>> find_account(const UserId& user_id);
  Result<std::optional<Error>> name_taken(const Account& account);
  Status insert_account(const Account& account, Result<WriteAnswer>& answer);
  Result<std::optional<DeviceId>> find_device(const OpenSession& op);
  // The device that makes room for another; none when every one has an open session.
  Result<std::optional<DeviceId>> find_idle_device(const OpenSession& op);
  Status end_sessions_of(DeviceId device);
  Status forget_device(const UserId& user_id, DeviceId device);
  Result<DeviceId> insert_device(const OpenSession& op);
  Status insert_formers(DeviceId device, const OpenSession& op);
  Result<std::size_t> count_devices(const UserId& user_id);
  Result<std::optional<Session>> find_session(SessionId session_id);

  sqlite::Database& db_;
  StreamWriter& streams_;
  OpenSessions& sessions_;
  KeyWriter& keys_;
  MessageIdMaker& ids_;
  Random& random_;

  sqlite::Statement select_account_;
  sqlite::Statement select_contact_;
  sqlite::Statement insert_account_;
  sqlite::Statement update_password_;
  sqlite::Statement select_device_;
  sqlite::Statement select_device_owner_;
  sqlite::Statement count_devices_;
  sqlite::Statement select_idle_device_;
  sqlite::Statement insert_device_;
  sqlite::Statement update_device_;
  sqlite::Statement touch_device_;
  sqlite::Statement delete_device_;
  sqlite::Statement insert_formers_;
  sqlite::Statement delete_formers_;
  sqlite::Statement delete_cursors_;
  sqlite::Statement delete_send_numbers_;
  sqlite::Statement select_session_;
  sqlite::Statement insert_session_;
  sqlite::Statement update_session_;
  sqlite::Statement delete_session_;
  sqlite::Statement delete_sessions_of_;
  sqlite::Statement probe_;
};

}  // namespace chatsdk::server
