// SPDX-License-Identifier: Apache-2.0
#include "server-reference/store/open_sessions.h"

#include "base/fault.h"
#include "server-reference/store/stream_writer.h"

namespace chatsdk::server {

Status OpenSessions::prepare() {
  CHATSDK_ASSIGN(select_, db_.prepare("SELECT session_id FROM session WHERE device_id = ?1"));
  return {};
}

Result<SessionId> OpenSessions::of(DeviceId device) {
  if (const auto known = known_.find(device); known != known_.end()) return known->second;
  CHATSDK_ASSIGN(const bool found, select_.bind(1, to_column(device.value)).step());
  if (!found) return SessionId{};
  const SessionId session{from_column(select_.integer(0))};
  select_.reset();
  if (known_.size() >= cached_max_ && !CHATSDK_PLANTED(Bug::kCachesWithoutLimit)) known_.clear();
  known_.emplace(device, session);
  return session;
}

}  // namespace chatsdk::server
