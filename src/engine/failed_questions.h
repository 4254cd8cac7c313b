// SPDX-License-Identifier: Apache-2.0
//
// Questions about users that got no answer: none is put again before its pause is over, whoever wants it again. The
// pause is the server's Retry-After, or doubles with each failure of the same question.
//
// Threads: the executor's.
// Invariants:
//   1. Users who were asked for together are paused until the same time, so that they are asked for together again.
//   2. A pause that the server named outlives the connection.
#pragma once

#include <algorithm>
#include <map>
#include <optional>

#include "engine/context.h"
#include "transport/backoff.h"

namespace chatsdk {

class FailedQuestions {
 public:
  explicit FailedQuestions(const EngineContext& context) : context_(context) {}

  // Users: what is gone through gives users, or pairs of which they are the first.
  template <typename Users>
  void begin(const Users& users, const Error& cause) {
    const MonotonicTime now = context_.now();
    MonotonicTime until = now;
    for (const auto& user : users) {
      Backoff fresh(context_.random.jitter, context_.options.backoff_base, context_.options.backoff_cap);
      Pause& pause = pauses_.try_emplace(user_of(user), fresh).first->second;
      until = std::max(until, now + pause.backoff.next(cause.retry_after));
    }
    for (const auto& user : users) {
      Pause& pause = pauses_.at(user_of(user));
      pause.until = until;
      pause.is_named = cause.retry_after > std::chrono::milliseconds(0);
    }
  }
  // There was an answer.
  template <typename Users>
  void end(const Users& users) {
    for (const auto& user : users) pauses_.erase(user_of(user));
  }
  // None: the question may be put.
  std::optional<MonotonicTime> until(const UserId& user) const {
    const auto at = pauses_.find(user);
    if (at == pauses_.end() || at->second.until <= context_.now()) return std::nullopt;
    return at->second.until;
  }
  // With the connection, so does what was too much for it.
  void on_lost() {
    std::erase_if(pauses_, [this](const auto& one) { return !one.second.is_named || !until(one.first); });
  }
  // Somebody has logged in.
  void clear() { pauses_.clear(); }

 private:
  struct Pause {
    explicit Pause(const Backoff& fresh) : backoff(fresh) {}
    Backoff backoff;
    MonotonicTime until;
    bool is_named = false;
  };

  static const UserId& user_of(const UserId& user) { return user; }
  template <typename Value>
  static const UserId& user_of(const std::pair<const UserId, Value>& user) {
    return user.first;
  }

  const EngineContext& context_;
  std::map<UserId, Pause> pauses_;
};

}  // namespace chatsdk
