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
//   2. It remembers at most as many as it may.
#pragma once

#include <cstddef>
#include <unordered_map>

#include "base/ids.h"
#include "base/result.h"
#include "server-reference/store/store.h"
#include "store/sqlite.h"

namespace chatsdk::server {

class OpenSessions {
 public:
  // cached_max: at least 1.
  OpenSessions(sqlite::Database& db, std::size_t cached_max) : db_(db), cached_max_(cached_max) {}
  Status prepare();

  // None: the device has no open session, or is not there.
  Result<SessionId> of(DeviceId device);
  void forget(DeviceId device) { known_.erase(device); }
  void forget_all() { known_.clear(); }
  std::size_t cached() const { return known_.size(); }

 private:
  sqlite::Database& db_;
  const std::size_t cached_max_;
  sqlite::Statement select_;
  std::unordered_map<DeviceId, SessionId> known_;  // of open ones
};

}  // namespace chatsdk::server
