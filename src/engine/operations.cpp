// SPDX-License-Identifier: Apache-2.0
#include "engine/operations.h"

#include <algorithm>

#include "engine/outbox.h"

namespace chatsdk {

namespace {

constexpr std::size_t kLookedAt = 64;

// A word of the server's on the request itself. What else is on the way may say anything, and a session may end.
bool is_final(const Error& cause) {
  if (cause.cause.domain != CauseDomain::kHttp) return false;
  switch (cause.code) {
    case Code::kInvalidArgument:
    case Code::kTooLarge:
    case Code::kInvalidUtf8:
    case Code::kUnsupported:
    case Code::kNotFound:
    case Code::kAlreadyExists:
    case Code::kLimitReached:
    case Code::kForbidden:
    case Code::kConflict:
    case Code::kMalformed:
      return true;
    default:
      return false;
  }
}

}  // namespace

Operations::Operations(const EngineContext& context, Connection& connection, Session& session, RestApi& rest,
                       Outbox& outbox)
    : context_(context),
      connection_(connection),
      session_(session),
      rest_(rest),
      outbox_(outbox),
      backoff_(context.random.jitter, context.options.backoff_base, context.options.backoff_cap),
      again_timer_(context.executor) {}

void Operations::on_caught_up() {
  caught_up_ = true;
  look();
}

void Operations::on_lost() {
  caught_up_ = asking_ = false;
  not_before_.clear();
  again_timer_.cancel();
  guard_.renew();
}

void Operations::added() { look(); }

void Operations::look() {
  if (!caught_up_ || asking_) return;
  const auto open = context_.store.open_operations(kLookedAt);
  if (!open.ok()) return connection_.fail(open.error(), CloseCode::kGoingAway);
  std::optional<MonotonicTime> next;
  for (const Open& one : *open) {
    const auto pause = not_before_.find(one.conversation);
    if (pause == not_before_.end() || pause->second <= context_.now()) return ask(one);
    next = std::min(next.value_or(pause->second), pause->second);
  }
  if (next) again_timer_.start_at(*next, [this] { look(); });
}

void Operations::ask(const Open& open) {
  asking_ = true;
  session_.authorized<Bytes>(
      [this, open](const std::string& token, RestApi::Callback<Bytes> done) {
        rest_.operate(token, open.id, group::call_of(open.operation), std::move(done));
      },
      guard_.wrap([this, open](Result<Bytes> answer) { answered(open, std::move(answer)); }));
}

void Operations::answered(const Open& open, Result<Bytes> answer) {
  asking_ = false;
  if (!answer.ok()) {
    if (!is_final(answer.error())) return again(open, answer.error());
    return ended(open, context_.store.operation_refused(open.number, answer.error()));
  }
  const auto changed = group::read_changed(*answer);
  if (!changed.ok()) return again(open, changed.error());
  ended(open, context_.store.operation_done(open.number, *changed));
}

void Operations::ended(const Open& open, Result<Changes> changes) {
  if (!changes.ok()) return connection_.fail(changes.error(), CloseCode::kGoingAway);
  backoff_.reset();
  not_before_.erase(open.conversation);
  context_.events.changes(std::move(*changes));
  tell_ended();
  // What waits in a group that was made goes out; what failed with it blocks nothing.
  outbox_.changed_by_app();
  outbox_.keys_changed();
  look();
}

void Operations::again(const Open& open, const Error& cause) {
  context_.debug("operations", "an operation has to wait: " + std::string(code_name(cause.code)));
  not_before_[open.conversation] = context_.now() + backoff_.next(cause.retry_after);
  look();
}

void Operations::tell_ended() {
  auto ended = context_.store.ended_operations();
  if (!ended.ok()) return context_.debug("operations", "what the app is to hear could not be read");
  for (DeviceStore::EndedOperation& one : *ended) {
    if (!told_.insert(one.number).second) continue;
    context_.events.operation_ended(std::move(one));
  }
}

Status Operations::taken(const std::vector<std::uint64_t>& numbers) {
  CHATSDK_TRY(context_.store.operations_told(numbers));
  for (const std::uint64_t number : numbers) told_.erase(number);
  return {};
}

}  // namespace chatsdk
