// SPDX-License-Identifier: Apache-2.0
//
// Which session of a device is open, as the writer sees it: asked for every message, so that nothing of a device is
// accepted behind the write that ended its session. A session that has only run out of time is open here: its age is
// the gateway's to look at.
//
// Threads: the writer's.
// Invariants:
//   1. What is remembered equals the rows: whoever removes a row of a session calls forget() with its device, whoever
//      rolls a transaction back forget_all().
#pragma once

#include <unordered_map>

#include "base/ids.h"
#include "base/result.h"
#include "server-reference/store/store.h"
#include "store/sqlite.h"

namespace chatsdk::server {

class OpenSessions {
 public:
  explicit OpenSessions(sqlite::Database& db) : db_(db) {}
  Status prepare();

  // None: the device has no open session, or is not there.
  Result<SessionId> of(DeviceId device);
  void forget(DeviceId device) { known_.erase(device); }
  void forget_all() { known_.clear(); }

 private:
  sqlite::Database& db_;
  sqlite::Statement select_;
  std::unordered_map<DeviceId, SessionId> known_;  // of open ones
};

}  // namespace chatsdk::server
