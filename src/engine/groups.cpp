// SPDX-License-Identifier: Apache-2.0
#include "engine/groups.h"

#include <algorithm>

namespace chatsdk {

Groups::Groups(const EngineContext& context, Connection& connection, Session& session, RestApi& rest)
    : context_(context),
      connection_(connection),
      session_(session),
      rest_(rest),
      backoff_(context.random.jitter, context.options.backoff_base, context.options.backoff_cap),
      again_timer_(context.executor) {}

void Groups::on_caught_up() {
  caught_up_ = true;
  look();
}

void Groups::on_applied(const Changes& changes) {
  if (!changes.conversations.empty() || !changes.members.empty()) look();
}

void Groups::on_lost() {
  caught_up_ = asking_ = false;
  refused_.clear();
  again_timer_.cancel();
  guard_.renew();
}

void Groups::look() {
  if (!caught_up_ || asking_ || again_timer_.pending()) return;
  const auto unknown = context_.store.unknown_groups(refused_.size() + 1);
  if (!unknown.ok()) return connection_.fail(unknown.error(), CloseCode::kGoingAway);
  const auto next = std::find_if(unknown->begin(), unknown->end(),
                                 [this](const Asked& group) { return !refused_.contains(group.conversation); });
  if (next == unknown->end()) return;
  asking_ = true;
  ask_state(*next);
}

void Groups::ask_state(const Asked& asked) {
  session_.authorized<group::State>(
      [this, asked](const std::string& token, RestApi::Callback<group::State> done) {
        rest_.group(token, asked.group_id, std::move(done));
      },
      guard_.wrap([this, asked](Result<group::State> state) {
        if (!state.ok()) return failed(asked, state.error());
        if (state->info.id != asked.group_id) return failed(asked, error(Code::kProtocol, "another group's answer"));
        auto changes = context_.store.save_group(asked.conversation, *state);
        if (!changes.ok()) return saved(asked, std::move(changes));
        context_.events.changes(std::move(*changes));
        ask_members(asked, {});
      }));
}

void Groups::ask_members(const Asked& asked, const UserId& after) {
  session_.authorized<group::Members>(
      [this, asked, after](const std::string& token, RestApi::Callback<group::Members> done) {
        rest_.group_members(token, asked.group_id, after, std::move(done));
      },
      guard_.wrap([this, asked, after](Result<group::Members> page) {
        if (!page.ok()) return failed(asked, page.error());
        const bool follows = page->members.empty() || page->members.front().user_id > after;
        if (!follows) return failed(asked, error(Code::kProtocol, "a page that does not follow the one before"));
        auto changes = context_.store.save_members(asked, after, *page);
        if (!changes.ok() || !page->more) return saved(asked, std::move(changes));
        context_.events.changes(std::move(*changes));
        ask_members(asked, page->members.back().user_id);
      }));
}

void Groups::saved(const Asked& asked, Result<Changes> changes) {
  if (changes.code() == Code::kNotFound) return failed(asked, changes.error());
  if (!changes.ok()) return connection_.fail(changes.error(), CloseCode::kGoingAway);
  asking_ = false;
  backoff_.reset();
  context_.events.changes(std::move(*changes));
  look();
}

void Groups::failed(const Asked& asked, const Error& cause) {
  asking_ = false;
  context_.debug("groups", "a group could not be asked for: " + std::string(code_name(cause.code)));
  if (!code_is_retryable(cause.code)) {
    refused_.insert(asked.conversation);
    return look();
  }
  again_timer_.start_after(backoff_.next(cause.retry_after), [this] { look(); });
}

}  // namespace chatsdk
