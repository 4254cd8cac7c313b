// SPDX-License-Identifier: Apache-2.0
#include "engine/session.h"

#include "base/fault.h"
#include "base/wipe.h"

namespace chatsdk {

namespace {

bool is_refusal(Code code) {
  switch (code) {
    case Code::kUnauthenticated:
    case Code::kForbidden:
    case Code::kNotFound:
    case Code::kConflict:
    case Code::kReplaced:
    case Code::kRolledBack:
      return true;
    default:
      return false;
  }
}

Status check_answer(const wire::Session& answer) {
  if (answer.user_id().empty() || answer.user_id().size() > limits::kUserIdBytesMax || answer.device_id() == 0 ||
      answer.access_token().empty() || answer.refresh_token().empty()) {
    return error(Code::kProtocol, "the server's session lacks an id or a token");
  }
  return {};
}

StoredSession to_stored(const wire::Session& answer) {
  StoredSession stored;
  stored.user_id = answer.user_id();
  stored.device_id = DeviceId{answer.device_id()};
  stored.access_token = answer.access_token();
  stored.access_expires = from_unix_ms(answer.access_expires_at_ms());
  stored.refresh_token = answer.refresh_token();
  return stored;
}

}  // namespace

Status Session::load() {
  if (loaded_) return {};
  CHATSDK_ASSIGN(const auto owner, context_.store.owner());
  CHATSDK_ASSIGN(auto stored, context_.store.session());
  loaded_ = true;
  owner_ = owner.value_or(UserId());
  if (stored.has_value()) {
    device_id_ = stored->device_id;
    if (!stored->refresh_token.empty()) session_ = std::move(stored);
  }
  return {};
}

// ---- Tokens --------------------------------------------------------------------------------------------------------

bool Session::needs_refresh() const {
  if (rejected_) return true;
  if (context_.wall_now() < session_->access_expires) return false;
  return !obtained_.has_value() || context_.now() - *obtained_ >= limits::kTrustFreshToken;
}

void Session::with_token(TokenCallback callback) {
  if (auto loaded = load(); !loaded.ok()) return callback(std::move(loaded).error());
  if (!session_.has_value()) return callback(error(Code::kNotLoggedIn, "no session: log in first"));
  if (refreshing_ || needs_refresh()) return refresh(std::move(callback));
  callback(session_->access_token);
}

void Session::refresh(TokenCallback callback) {
  if (auto loaded = load(); !loaded.ok()) return callback(std::move(loaded).error());
  if (!session_.has_value()) return callback(error(Code::kNotLoggedIn, "no session: log in first"));
  waiting_.push_back(std::move(callback));
  if (refreshing_) return;

  refreshing_ = true;
  if (session_->refresh_request_id.empty()) {
    StoredSession with_id = *session_;
    with_id.refresh_request_id = context_.random.ids.bytes(limits::kRequestIdBytes);
    if (auto saved = context_.store.save_session(with_id); !saved.ok()) {
      return finish_refresh(std::move(saved).error());
    }
    session_ = std::move(with_id);
  }
  CHATSDK_FAULT("session.between_request_id_and_refresh");
  wire::RefreshRequest request;
  request.set_refresh_token(session_->refresh_token);
  request.set_request_id(session_->refresh_request_id);
  rest_.refresh(request,
                refresh_guard_.wrap([this](Result<wire::Session> answer) { on_refreshed(std::move(answer)); }));
}

void Session::on_refreshed(Result<wire::Session> answer) {
  if (!answer.ok()) {
    const Error cause = std::move(answer).error();
    if (is_refusal(cause.code)) end(cause);
    return finish_refresh(cause);
  }
  if (auto checked = check_answer(*answer); !checked.ok()) return finish_refresh(std::move(checked).error());
  if (answer->user_id() != session_->user_id || answer->device_id() != session_->device_id.value) {
    return finish_refresh(error(Code::kProtocol, "the refreshed session is of another user or device"));
  }
  StoredSession next = to_stored(*answer);
  CHATSDK_FAULT("session.between_new_tokens_and_saving");
  // Without the new pair on disk the old request stays open: repeating it gives the same successor.
  if (auto saved = context_.store.save_session(next); !saved.ok()) return finish_refresh(std::move(saved).error());
  CHATSDK_FAULT("session.between_saving_tokens_and_using");
  session_ = std::move(next);
  rejected_ = false;
  obtained_ = context_.now();
  const std::string token = session_->access_token;
  observer_.on_token_renewed(token);
  finish_refresh(token);
}

void Session::finish_refresh(const Result<std::string>& outcome) {
  refreshing_ = false;
  std::vector<TokenCallback> waiting;
  waiting.swap(waiting_);
  for (TokenCallback& callback : waiting) callback(outcome);
}

void Session::reject(const std::string& access_token) {
  if (session_.has_value() && session_->access_token == access_token) rejected_ = true;
}

void Session::end(const Error& cause) {
  if (!session_.has_value()) return;
  if (cause.code == Code::kRolledBack) {
    // First, so that a crash in between finds the tokens and comes here again.
    if (auto renewed = context_.store.renew_installation(); !renewed.ok()) {
      context_.log.write(LogLevel::kWarning, "session", "the installation id could not be renewed");
    }
  }
  CHATSDK_FAULT("session.between_renewed_installation_and_forgetting");
  forget_tokens();
  if (!logging_out_) context_.events.session_ended(cause);
  observer_.on_session_over(cause);
}

void Session::forget_tokens() {
  // Tokens that stay on disk are refused again after the next start; nothing depends on this write.
  if (auto cleared = context_.store.clear_tokens(); !cleared.ok()) {
    context_.log.write(LogLevel::kWarning, "session", "the refused tokens could not be removed from the store");
  }
  session_.reset();
  rejected_ = false;
  obtained_.reset();
}

// ---- Log-in and log-out --------------------------------------------------------------------------------------------

Status Session::may_log_in(const std::string& user_id) {
  CHATSDK_TRY(load());
  if (account_call_) return error(Code::kBusy, "another registration, log-in or log-out is running");
  if (!owner_.empty() && !user_id.empty() && user_id != owner_) {
    return error(Code::kWrongState, "the store belongs to another user");
  }
  return {};
}

void Session::register_account(const Registration& registration, StatusCallback callback) {
  if (auto allowed = may_log_in(registration.user_id); !allowed.ok()) return callback(std::move(allowed));
  wire::RegisterRequest request;
  request.set_user_id(registration.user_id);
  request.set_password(registration.password);
  const WipeAtEnd wiped(*request.mutable_password());
  request.set_display_name(registration.display_name);
  request.set_email(registration.email);
  request.set_phone(registration.phone);
  request.set_device_name(context_.options.device_name);
  request.set_installation_id(context_.store.installation_id());
  account_call_ = true;
  rest_.register_account(request, login_answer(std::move(callback)));
}

void Session::login(const std::string& user_id, const std::string& password, StatusCallback callback) {
  if (auto allowed = may_log_in(user_id); !allowed.ok()) return callback(std::move(allowed));
  wire::LoginRequest request;
  request.set_user_id(user_id);
  request.set_password(password);
  const WipeAtEnd wiped(*request.mutable_password());
  send_login(request, std::move(callback));
}

void Session::login_with_assertion(const std::string& assertion, StatusCallback callback) {
  if (auto allowed = may_log_in({}); !allowed.ok()) return callback(std::move(allowed));
  wire::LoginRequest request;
  request.set_assertion(assertion);
  send_login(request, std::move(callback));
}

// Completes the request in place: a message of protobuf's that finds no memory while it is copied keeps what it has.
void Session::send_login(wire::LoginRequest& request, StatusCallback callback) {
  request.set_device_name(context_.options.device_name);
  request.set_installation_id(context_.store.installation_id());
  request.set_former_device_id(device_id_.value);
  account_call_ = true;
  rest_.login(request, login_answer(std::move(callback)));
}

RestApi::Callback<wire::Session> Session::login_answer(StatusCallback callback) {
  return calls_.wrap([this, callback = std::move(callback)](Result<wire::Session> answer) mutable {
    account_call_ = false;
    if (!answer.ok()) return callback(std::move(answer).error());
    Status installed = install(*answer);
    if (installed.ok()) observer_.on_session_started();
    callback(std::move(installed));
  });
}

Status Session::install(const wire::Session& answer) {
  CHATSDK_TRY(check_answer(answer));
  if (!owner_.empty() && answer.user_id() != owner_) {
    // An assertion names its user only to the server: the session that it made here is of no use.
    rest_.logout(answer.access_token(), [](Status) {});
    return error(Code::kWrongState, "the store belongs to another user");
  }
  StoredSession next = to_stored(answer);
  CHATSDK_FAULT("session.between_login_and_saving");
  CHATSDK_TRY(context_.store.save_session(next));
  CHATSDK_FAULT("session.between_saving_login_and_using");
  // A refresh of the session before must not overwrite this one.
  refresh_guard_.renew();
  owner_ = next.user_id;
  device_id_ = next.device_id;
  session_ = std::move(next);
  rejected_ = false;
  obtained_ = context_.now();
  finish_refresh(session_->access_token);
  return {};
}

Status Session::may_log_out() {
  CHATSDK_TRY(may_log_in({}));
  if (!session_.has_value()) return error(Code::kNotLoggedIn, "no session: log in first");
  return {};
}

void Session::logout(UniqueFunction<void(StatusCallback)> first, StatusCallback callback) {
  if (auto allowed = may_log_out(); !allowed.ok()) return callback(std::move(allowed));
  account_call_ = true;
  logging_out_ = true;
  first(calls_.wrap([this, callback = std::move(callback)](Status ready) mutable {
    const bool may_pass = !ready.ok() && code_is_retryable(ready.code());
    if (may_pass) return end_logout(std::move(ready), std::move(callback));
    authorized<void>(
        [this](const std::string& token, RestApi::Callback<void> done) { rest_.logout(token, std::move(done)); },
        calls_.wrap([this, callback = std::move(callback)](Status answer) mutable {
          end_logout(std::move(answer), std::move(callback));
        }));
  }));
}

void Session::end_logout(Status answer, StatusCallback callback) {
  account_call_ = false;
  logging_out_ = false;
  // A session that the server no longer knows, or that a refused refresh has just ended, is logged out.
  const bool over = answer.ok() || answer.code() == Code::kUnauthenticated || !session_.has_value();
  if (!over) return callback(std::move(answer));
  CHATSDK_FAULT("session.between_logout_and_forgetting");
  if (session_.has_value()) {
    if (auto cleared = context_.store.clear_tokens(); !cleared.ok()) return callback(std::move(cleared));
    session_.reset();
    rejected_ = false;
    obtained_.reset();
  }
  observer_.on_session_over({});
  callback({});
}

void Session::forget() {
  session_.reset();
  loaded_ = false;
}

void Session::cancel_all() {
  refresh_guard_.renew();
  calls_.renew();
  waiting_.clear();
  refreshing_ = false;
  account_call_ = false;
  logging_out_ = false;
}

}  // namespace chatsdk
