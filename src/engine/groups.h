// SPDX-License-Identifier: Apache-2.0
//
// groups: asks the server who is in a group where its items do not tell: who joins late has not got the items of those
// before them. One group after the other, page by page; what items say meanwhile is settled by the store.
//
// Threads: the executor's.
// Invariants:
//   1. At most one request is on its way.
//   2. A group that the server refuses to tell of is not asked for again on the same connection.
#pragma once

#include <set>

#include "engine/connection.h"

namespace chatsdk {

class Groups {
 public:
  Groups(const EngineContext& context, Connection& connection, Session& session, RestApi& rest);

  // Begins: until then the items that are still to come may tell more.
  void on_caught_up();
  void on_applied(const Changes& changes);
  void on_lost();

 private:
  using Asked = DeviceStore::UnknownGroup;

  void look();
  void ask_state(const Asked& asked);
  void ask_members(const Asked& asked, const UserId& after);
  void saved(const Asked& asked, Result<Changes> changes);
  void failed(const Asked& asked, const Error& cause);

  const EngineContext& context_;
  Connection& connection_;
  Session& session_;
  RestApi& rest_;
  bool caught_up_ = false;
  bool asking_ = false;
  std::set<ConversationKey> refused_;
  Backoff backoff_;
  Timer again_timer_;
  Guard guard_;
};

}  // namespace chatsdk
