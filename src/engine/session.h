// SPDX-License-Identifier: Apache-2.0
//
// session: this device's tokens, from log-in to log-out. It hands out an access token that is good as far as the device
// can know, refreshes it, and finds out when the session has ended. It knows REST and the store; it knows no
// connection.
//
// Threads: the executor's. Callbacks run inside calls as well as from later tasks.
// Invariants:
//   1. At most one refresh is on its way; its request id is durable before the request leaves, and a repeat after a
//      lost answer carries the same id.
//   2. Tokens are used only after the store has saved them.
//   3. The store belongs to one user: a log-in by another one fails with WRONG_STATE.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "engine/context.h"
#include "engine/rest_api.h"

namespace chatsdk {

class Session {
 public:
  class Observer {
   public:
    virtual ~Observer() = default;
    virtual void on_session_started() = 0;
    virtual void on_token_renewed(const std::string& access_token) = 0;
    // Refused for good, or logged out. The app was told when it is not its own doing.
    virtual void on_session_over(const Error& cause) = 0;
  };
  using TokenCallback = UniqueFunction<void(Result<std::string>)>;
  using StatusCallback = UniqueFunction<void(Status)>;

  Session(const EngineContext& context, RestApi& rest, Observer& observer)
      : context_(context), rest_(rest), observer_(observer) {}

  // Reads what the store holds, once; called by every function that needs it.
  Status load();
  bool logged_in() const { return session_.has_value(); }
  // The user whose store this is; empty before the first log-in.
  const UserId& owner() const { return owner_; }
  // The device of the session, or of the last one; none before the first log-in.
  DeviceId device_id() const { return device_id_; }

  // A token that has not been refused and has not expired, refreshed first where needed. NOT_LOGGED_IN, or why the
  // refresh failed.
  void with_token(TokenCallback callback);
  void refresh(TokenCallback callback);
  // The server refused this token: the next with_token refreshes.
  void reject(const std::string& access_token);
  // The server ended the session. ROLLED_BACK makes the next log-in a new device.
  void end(const Error& cause);

  // BUSY while another of these runs.
  void register_account(const Registration& registration, StatusCallback callback);
  void login(const std::string& user_id, const std::string& password, StatusCallback callback);
  void login_with_assertion(const std::string& assertion, StatusCallback callback);
  // Why logout() would refuse at once: BUSY, NOT_LOGGED_IN.
  Status may_log_out();
  // Ok: the server has ended the session and the tokens are gone. An error other than a refusal keeps them. `first`
  // comes before the log-out; where it fails in a way that may pass, that is the answer.
  void logout(UniqueFunction<void(StatusCallback)> first, StatusCallback callback);
  // Drops every request on its way; their callbacks do not run.
  void cancel_all();
  // What is in the store counts, not what a turn that ended in the middle has left here.
  void forget();

  // Calls with a token; an answer of UNAUTHENTICATED refreshes once and calls again.
  template <typename T>
  void authorized(UniqueFunction<void(const std::string&, RestApi::Callback<T>)> call, RestApi::Callback<T> done) {
    authorized_attempt<T>(std::move(call), std::move(done), true);
  }

 private:
  template <typename T>
  void authorized_attempt(UniqueFunction<void(const std::string&, RestApi::Callback<T>)> call,
                          RestApi::Callback<T> done, bool first) {
    with_token(calls_.wrap([this, call = std::move(call), done = std::move(done),
                            first](Result<std::string> token) mutable {
      if (!token.ok()) return done(std::move(token).error());
      // The call object moves into its own answer for the second attempt; it is invoked from a copy of the pointer.
      auto kept = std::make_shared<UniqueFunction<void(const std::string&, RestApi::Callback<T>)>>(std::move(call));
      (*kept)(*token, calls_.wrap([this, kept, done = std::move(done), used = *token, first](Result<T> answer) mutable {
        if (first && answer.code() == Code::kUnauthenticated) {
          reject(used);
          return authorized_attempt<T>(std::move(*kept), std::move(done), false);
        }
        done(std::move(answer));
      }));
    }));
  }

  bool needs_refresh() const;
  void finish_refresh(const Result<std::string>& outcome);
  void on_refreshed(Result<wire::Session> answer);
  void send_login(wire::LoginRequest& request, StatusCallback callback);
  RestApi::Callback<wire::Session> login_answer(StatusCallback callback);
  // Checks and saves what a log-in gave.
  Status install(const wire::Session& answer);
  Status may_log_in(const std::string& user_id);
  void end_logout(Status answer, StatusCallback callback);
  void forget_tokens();

  const EngineContext& context_;
  RestApi& rest_;
  Observer& observer_;

  bool loaded_ = false;
  std::optional<StoredSession> session_;
  UserId owner_;
  DeviceId device_id_;
  bool rejected_ = false;                  // the server refused the access token
  std::optional<MonotonicTime> obtained_;  // when this process got the access token
  bool account_call_ = false;              // a registration, log-in or log-out is on its way
  bool logging_out_ = false;

  bool refreshing_ = false;
  std::vector<TokenCallback> waiting_;  // one for each caller that needs the refresh
  Guard refresh_guard_;
  Guard calls_;
};

}  // namespace chatsdk
