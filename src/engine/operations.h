// SPDX-License-Identifier: Apache-2.0
//
// operations: brings what the user does to groups to the server, once each, and tells the app how it went. The queue is
// the store's: an operation is durable before it is asked for, is asked for again under its id until there is an
// answer, and its end is told again until the app has it.
//
// Threads: the executor's.
// Invariants:
//   1. At most one request is on its way; those of one group leave in the order they were made.
//   2. An operation ends only by an answer of the server's.
#pragma once

#include <map>
#include <set>
#include <vector>

#include "engine/connection.h"

namespace chatsdk {

class Outbox;

class Operations {
 public:
  Operations(const EngineContext& context, Connection& connection, Session& session, RestApi& rest, Outbox& outbox);

  void on_caught_up();
  void on_lost();
  // A new one is in the store.
  void added();
  // Those whose end was not told yet by this client.
  void tell_ended();
  // The app has them.
  Status taken(const std::vector<std::uint64_t>& numbers);

 private:
  using Open = DeviceStore::OpenOperation;

  void look();
  void ask(const Open& open);
  void answered(const Open& open, Result<Bytes> answer);
  void ended(const Open& open, Result<Changes> changes);
  void again(const Open& open, const Error& cause);

  const EngineContext& context_;
  Connection& connection_;
  Session& session_;
  RestApi& rest_;
  Outbox& outbox_;
  bool caught_up_ = false;
  bool asking_ = false;
  std::map<ConversationKey, MonotonicTime> not_before_;  // of a group whose first one was refused for now
  std::set<std::uint64_t> told_;                         // by this client, and not taken yet
  Backoff backoff_;
  Timer again_timer_;
  Guard guard_;
};

}  // namespace chatsdk
