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
//   4. A user who has a password is never joined by an assertion, nor the other way round: whoever came first under a
//      name keeps it.
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
#include "server-reference/services/write_health.h"
#include "server-reference/store/store.h"

namespace chatsdk::server {

// UNAUTHENTICATED unless this very session of the device is open: what a verified access token cannot say. The gateway
// asks it at Hello and at each renewal, on the reader's executor.
Status check_session_open(StoreReader& reader, const Identity& identity, WallTime now);

struct AccountOptions {
  PasswordCost password_cost;
  std::size_t hashes_in_flight_max = limits::kPasswordHashesInFlightMax;
  std::chrono::seconds refresh_token_lifetime = limits::kRefreshTokenLifetime;
  // With app keys the backend says who is who; a registration by password would let anybody take a name before it.
  bool passwords_beside_app_keys = false;
  // Failed log-ins. An installation that the user's devices know counts by itself, so that nobody else's failures lock
  // it out; any other counts by user and address, by user, and by address.
  RateLimit failures_per_guesser{limits::kFailuresPerGuesser, limits::kFailuresPerGuesserRefill};
  RateLimit failures_per_user{limits::kFailuresPerUser, limits::kFailuresPerUserRefill};
  RateLimit failures_per_address{limits::kFailuresPerAddress, limits::kFailuresPerAddressRefill};
  // burst 0: no limit
  RateLimit registrations_per_address{limits::kRegistrationsPerAddress, limits::kRegistrationsPerAddressRefill};
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
    const WriteHealth* write_health = nullptr;  // null: writes are not watched
  };

  struct Opened {
    wire::Session session;
    bool new_account = false;
  };
  using OnOpened = UniqueFunction<void(Result<Opened>)>;
  using OnDone = UniqueFunction<void(Status)>;

  AccountService(Parts parts, AccountOptions options);

  // Makes the account and its first session. A repeat by the same installation with the same password gets a session
  // of the same device: its first answer was lost. ALREADY_EXISTS otherwise. FORBIDDEN where passwords are off.
  void register_account(wire::RegisterRequest request, const std::string& address, OnOpened on_opened);
  // FORBIDDEN: a password where passwords are off. CONFLICT: an assertion for a user who has a password.
  void log_in(wire::LoginRequest request, const std::string& address, OnOpened on_opened);
  void refresh(const wire::RefreshRequest& request, OnOpened on_opened);

  // The owner of an access token whose session is open.
  Result<Identity> authenticate(std::string_view access_token);
  // Ends the identity's own session.
  void log_out(const Identity& identity, OnDone on_done);
  Result<wire::Devices> devices(const Identity& identity);
  // Ends the sessions of a device of the same user and forgets the device. NOT_FOUND.
  void remove_device(const Identity& identity, DeviceId device, OnDone on_done);

  // Whether the store answers and takes writes: UNAVAILABLE, STORAGE_FULL.
  void check_ready(OnDone on_done);

  // Entries of the fullest of the tables that count failures and registrations.
  std::size_t rated() const;

 private:
  // What a session is opened with, once it is known who asks.
  struct Entry {
    UserId user_id;
    std::string device_name;
    Bytes installation_id;
    std::string new_password_hash;
    bool new_account = false;
    DeviceId former_device{};  // of a log-in
  };
  // The password's bytes are wiped when the hash is done.
  struct PasswordJob {
    std::string password;
    std::string stored_hash;
  };
  using OnVerdict = UniqueFunction<void(Result<PasswordVerdict>)>;
  using OnHash = UniqueFunction<void(Result<std::string>)>;
  // One failed attempt, paid in advance and given back on success. An empty key is not charged.
  struct Attempt {
    std::string guesser;
    std::string user;
    std::string address;
  };

  Status check_passwords_allowed() const;
  // Begins an attempt to prove a password.
  Result<Attempt> begin_guess(const UserId& user_id, BytesView installation_id, const std::string& address);
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
  Status begin_registration(const std::string& address_key);
  void log_in_by_password(wire::LoginRequest request, const std::string& address, OnOpened on_opened);
  void log_in_by_assertion(const wire::LoginRequest& request, const std::string& address, OnOpened on_opened);
  void open_session(Entry entry, OnOpened on_opened);
  Opened opened(const Session& session, bool new_account);
  void end_sessions(const Identity& identity, DeviceId device, bool remove, OnDone on_done);
  // Closes the device's connections, but for those of one session when it is named.
  void kick(const UserId& user_id, DeviceId device, SessionId except = {});

  WallTime wall_now() const { return parts_.executor.clock().wall_now(); }
  MonotonicTime monotonic_now() const { return parts_.executor.clock().monotonic_now(); }

  Parts parts_;
  AccountOptions options_;
  RateLimiter guesser_failures_;
  RateLimiter user_failures_;
  RateLimiter address_failures_;
  RateLimiter registrations_;
  MonotonicTime next_probe_;  // no write is tried for readiness before
  std::size_t hashes_in_flight_ = 0;
  std::size_t last_worker_ = 0;
};

}  // namespace chatsdk::server
