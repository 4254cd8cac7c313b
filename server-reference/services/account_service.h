// SPDX-License-Identifier: Apache-2.0
//
// Accounts, devices and sessions: who a request speaks for, and the token pair that proves it. Knows requests and
// answers as messages; knows no HTTP.
//
// A session is one log-in of one device. It ends by log-out, by removal of the device, by the next log-in of that
// device, by age, and when an old refresh token shows up again, which means that it was copied. From the commit on that
// ends it, REST refuses its access tokens, and its live connections are told to close through the bus.
//
// Threads: lives on the executor that it is given; every call and every answer is a turn there. Password hashes run on
// the workers. The owner stops the executors before it destroys the service.
// Invariants:
//   1. A log-in that fails does the same work and gets the same answer whether the user exists or not.
//   2. At most AccountOptions::hashes_in_flight_max hashes are queued or running.
//   3. No password, token or hash reaches the log or an error's detail.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/executor.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/random.h"
#include "base/result.h"
#include "base/task.h"
#include "protocol/frames.h"
#include "server-reference/bus/bus.h"
#include "server-reference/services/app_keys.h"
#include "server-reference/services/http_service.h"
#include "server-reference/services/passwords.h"
#include "server-reference/services/rate_limiter.h"
#include "server-reference/services/submit_write.h"
#include "server-reference/services/tokens.h"
#include "server-reference/store/store.h"

namespace chatsdk::server {

// UNAUTHENTICATED unless this very session of the device is open: what a verified access token cannot say. The gateway
// asks it at Hello and at each renewal, on the reader's executor.
Status check_session_open(StoreReader& reader, const Identity& identity, WallTime now);

struct AccountOptions {
  PasswordCost password_cost;
  std::size_t hashes_in_flight_max = limits::kPasswordHashesInFlightMax;
  std::chrono::seconds refresh_token_lifetime = limits::kRefreshTokenLifetime;
  RateLimit failures_per_user{10, std::chrono::seconds(30)};
  RateLimit failures_per_address{100, std::chrono::seconds(3)};
  std::size_t rate_buckets_max = limits::kRateBucketsMax;
};

class AccountService {
 public:
  struct Parts {
    Executor& executor;
    StoreReader& reader;  // used on executor only
    SubmitWrite submit;
    std::vector<Executor*> hash_workers;  // at least one; used in turn
    Bus& bus;
    const AccessTokens& access_tokens;
    const RefreshTokens& refresh_tokens;
    const AppKeys* app_keys;  // null: log-in by assertion is off
    RandomStreams random;
    Log& log;
  };

  struct Opened {
    wire::Session session;
    bool new_account = false;
  };
  using OnOpened = UniqueFunction<void(Result<Opened>)>;
  using OnDone = UniqueFunction<void(Status)>;

  AccountService(Parts parts, AccountOptions options);

  // Makes the account and its first session. A repeat by the same installation with the same password gets a session
  // of the same device: its first answer was lost. ALREADY_EXISTS otherwise.
  void register_account(wire::RegisterRequest request, const std::string& address, OnOpened on_opened);
  void log_in(wire::LoginRequest request, const std::string& address, OnOpened on_opened);
  void refresh(const wire::RefreshRequest& request, OnOpened on_opened);

  // The owner of an access token whose session is open.
  Result<Identity> authenticate(std::string_view access_token);
  // Ends the identity's own session.
  void log_out(const Identity& identity, OnDone on_done);
  Result<wire::Devices> devices(const Identity& identity);
  // Ends the sessions of a device of the same user and forgets the device. NOT_FOUND.
  void remove_device(const Identity& identity, DeviceId device, OnDone on_done);

  // True when the store answers.
  Status check();

 private:
  // What a session is opened with, once it is known who asks.
  struct Entry {
    UserId user_id;
    std::string device_name;
    Bytes installation_id;
    std::string new_password_hash;
    bool new_account = false;
  };
  // The password's bytes are wiped when the hash is done.
  struct PasswordJob {
    std::string password;
    std::string stored_hash;
  };
  using OnVerdict = UniqueFunction<void(Result<PasswordVerdict>)>;
  using OnHash = UniqueFunction<void(Result<std::string>)>;
  // One failed attempt, paid in advance and given back on success.
  struct Attempt {
    UserId user_id;
    std::string address_key;
  };

  Status begin_attempt(const Attempt& attempt);
  void forgive(const Attempt& attempt);
  Status reserve_hash();
  Executor& next_worker();
  void verify(PasswordJob job, OnVerdict on_verdict);
  void hash(std::string password, OnHash on_hash);

  void create_account(wire::RegisterRequest request, const std::string& address, OnOpened on_opened);
  void repeat_registration(wire::RegisterRequest request, const Account& account, const std::string& address,
                           OnOpened on_opened);
  // True when the user's devices allow that this installation repeats its registration.
  Result<bool> may_repeat(const UserId& user_id, BytesView installation_id);
  void log_in_by_password(wire::LoginRequest request, const std::string& address, OnOpened on_opened);
  void log_in_by_assertion(const wire::LoginRequest& request, const std::string& address, OnOpened on_opened);
  void open_session(Entry entry, OnOpened on_opened);
  Opened opened(const Session& session, bool new_account);
  void end_sessions(const Identity& identity, DeviceId device, bool remove, OnDone on_done);
  void kick(const UserId& user_id, DeviceId device);

  WallTime wall_now() const { return parts_.executor.clock().wall_now(); }
  MonotonicTime monotonic_now() const { return parts_.executor.clock().monotonic_now(); }

  Parts parts_;
  AccountOptions options_;
  RateLimiter user_failures_;
  RateLimiter address_failures_;
  std::size_t hashes_in_flight_ = 0;
  std::size_t last_worker_ = 0;
};

}  // namespace chatsdk::server
