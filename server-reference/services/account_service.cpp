// SPDX-License-Identifier: Apache-2.0
#include "server-reference/services/account_service.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "base/fault.h"
#include "base/wipe.h"
#include "server-reference/services/validation.h"

namespace chatsdk::server {

namespace {

using std::chrono::milliseconds;

Error invalid(const char* reason) { return error(Code::kInvalidArgument, reason); }
Error unauthenticated(const char* reason) { return error(Code::kUnauthenticated, reason); }
Error name_taken() { return error(Code::kAlreadyExists, "this user_id, email or phone is already registered"); }
Error wrong_answer() { return error(Code::kInternal, "the committer gave another operation's answer"); }

Status check_device_fields(const std::string& device_name, const Bytes& installation_id) {
  CHATSDK_TRY(check_device_name(device_name));
  return check_installation_id(installation_id);
}

Status check_registration(const wire::RegisterRequest& request) {
  CHATSDK_TRY(check_user_id(request.user_id()));
  CHATSDK_TRY(check_new_password(request.password()));
  CHATSDK_TRY(check_display_name(request.display_name()));
  CHATSDK_TRY(check_email(request.email()));
  CHATSDK_TRY(check_phone(request.phone()));
  return check_device_fields(request.device_name(), request.installation_id());
}

Status check_login(const wire::LoginRequest& request) {
  if (request.assertion().empty()) {
    CHATSDK_TRY(check_user_id(request.user_id()));
    CHATSDK_TRY(check_tried_password(request.password()));
  } else if (!request.user_id().empty() || !request.password().empty()) {
    return invalid("log in either with user_id and password or with an assertion");
  }
  return check_device_fields(request.device_name(), request.installation_id());
}

}  // namespace

Status check_session_open(StoreReader& reader, const Identity& identity, WallTime now) {
  CHATSDK_ASSIGN(const auto session, reader.session_of(identity.device_id));
  if (!session || session->session_id != identity.session_id || session->user_id != identity.user_id ||
      session->expires <= now) {
    return unauthenticated("the session has ended");
  }
  return {};
}

AccountService::AccountService(Parts parts, AccountOptions options)
    : parts_(std::move(parts)),
      options_(options),
      guesser_failures_(options.failures_per_guesser, options.rate_buckets_max),
      user_failures_(options.failures_per_user, options.rate_buckets_max),
      address_failures_(options.failures_per_address, options.rate_buckets_max),
      registrations_(options.registrations_per_address, options.rate_buckets_max) {
  CHATSDK_ASSERT(!parts_.hash_workers.empty());
}

// ---- Attempts and hashes -------------------------------------------------------------------------------------------

Status AccountService::check_passwords_allowed() const {
  if (parts_.app_keys == nullptr || options_.passwords_beside_app_keys) return {};
  return error(Code::kForbidden, "passwords are off on this server: log in with a token of the app's backend");
}

Result<AccountService::Attempt> AccountService::begin_guess(const UserId& user_id, BytesView installation_id,
                                                            const std::string& address) {
  CHATSDK_ASSIGN(const auto devices, parts_.reader.devices(user_id));
  const bool known = std::any_of(devices.begin(), devices.end(),
                                 [&](const Device& device) { return device.installation_id == installation_id; });
  // A user_id has no control character, so that no two guessers share a key.
  Attempt attempt;
  if (known) {
    attempt.guesser = user_id + "\n\n" + Bytes(installation_id);
  } else {
    attempt.address = rate_key_of_address(address);
    attempt.guesser = user_id + "\n" + attempt.address;
    attempt.user = user_id;
  }
  CHATSDK_TRY(begin_attempt(attempt));
  return attempt;
}

std::size_t AccountService::rated() const {
  return std::max({guesser_failures_.size(), user_failures_.size(), address_failures_.size(), registrations_.size()});
}

Status AccountService::begin_attempt(const Attempt& attempt) {
  struct Toll {
    RateLimiter& limiter;
    const std::string& key;
  };
  const Toll tolls[] = {
      {address_failures_, attempt.address}, {guesser_failures_, attempt.guesser}, {user_failures_, attempt.user}};
  const MonotonicTime now = monotonic_now();
  for (const Toll& toll : tolls) {
    if (toll.key.empty()) continue;
    const auto wait = toll.limiter.take(toll.key, now);
    if (wait.count() == 0) continue;
    for (const Toll* paid = tolls; paid != &toll; ++paid) {
      if (!paid->key.empty()) paid->limiter.give_back(paid->key, now);
    }
    return Error{Code::kRateLimited, "too many failed log-ins", std::chrono::ceil<milliseconds>(wait)};
  }
  return {};
}

void AccountService::forgive(const Attempt& attempt) {
  const MonotonicTime now = monotonic_now();
  if (!attempt.address.empty()) address_failures_.give_back(attempt.address, now);
  if (!attempt.guesser.empty()) guesser_failures_.give_back(attempt.guesser, now);
  if (!attempt.user.empty()) user_failures_.give_back(attempt.user, now);
}

Status AccountService::reserve_hash() {
  if (hashes_in_flight_ >= options_.hashes_in_flight_max) {
    return Error{Code::kUnavailable, "too many log-ins at once, limit " + std::to_string(options_.hashes_in_flight_max),
                 limits::kRetryHashes};
  }
  ++hashes_in_flight_;
  return {};
}

Executor& AccountService::next_worker() {
  last_worker_ = (last_worker_ + 1) % parts_.hash_workers.size();
  return *parts_.hash_workers[last_worker_];
}

void AccountService::verify(PasswordJob job, OnVerdict on_verdict) {
  if (Status reserved = reserve_hash(); !reserved.ok()) {
    wipe(job.password);
    on_verdict(std::move(reserved).error());
    return;
  }
  const Bytes salt = parts_.random.keys.bytes(kPasswordSaltBytes);
  next_worker().post([this, job = std::move(job), salt, on_verdict = std::move(on_verdict)]() mutable {
    auto verdict = verify_password(job.password, job.stored_hash, salt, options_.password_cost);
    wipe(job.password);
    parts_.executor.post([this, verdict = std::move(verdict), on_verdict = std::move(on_verdict)]() mutable {
      --hashes_in_flight_;
      on_verdict(std::move(verdict));
    });
  });
}

void AccountService::hash(std::string password, OnHash on_hash) {
  if (Status reserved = reserve_hash(); !reserved.ok()) {
    wipe(password);
    on_hash(std::move(reserved).error());
    return;
  }
  const Bytes salt = parts_.random.keys.bytes(kPasswordSaltBytes);
  next_worker().post([this, password = std::move(password), salt, on_hash = std::move(on_hash)]() mutable {
    auto hashed = hash_password(password, salt, options_.password_cost);
    wipe(password);
    parts_.executor.post([this, hashed = std::move(hashed), on_hash = std::move(on_hash)]() mutable {
      --hashes_in_flight_;
      on_hash(std::move(hashed));
    });
  });
}

// ---- Registration --------------------------------------------------------------------------------------------------

void AccountService::register_account(wire::RegisterRequest request, const std::string& address, OnOpened on_opened) {
  Status allowed = check_passwords_allowed();
  if (allowed.ok()) allowed = check_registration(request);
  if (!allowed.ok()) {
    wipe(*request.mutable_password());
    on_opened(std::move(allowed).error());
    return;
  }
  auto account = parts_.reader.account(request.user_id());
  if (!account.ok()) {
    wipe(*request.mutable_password());
    on_opened(std::move(account).error());
    return;
  }
  if (account->has_value()) {
    repeat_registration(std::move(request), **account, address, std::move(on_opened));
  } else {
    create_account(std::move(request), address, std::move(on_opened));
  }
}

Status AccountService::begin_registration(const std::string& address_key) {
  if (options_.registrations_per_address.burst == 0) return {};
  const auto wait = registrations_.take(address_key, monotonic_now());
  if (wait.count() == 0) return {};
  return Error{Code::kRateLimited, "too many registrations from this address", std::chrono::ceil<milliseconds>(wait)};
}

void AccountService::create_account(wire::RegisterRequest request, const std::string& address, OnOpened on_opened) {
  std::string address_key = rate_key_of_address(address);
  if (Status allowed = begin_registration(address_key); !allowed.ok()) {
    wipe(*request.mutable_password());
    on_opened(std::move(allowed).error());
    return;
  }
  std::string password = request.password();
  hash(std::move(password), [this, request = std::move(request), address, address_key,
                             on_opened = std::move(on_opened)](Result<std::string> hashed) mutable {
    if (!hashed.ok()) {
      registrations_.give_back(address_key, monotonic_now());
      wipe(*request.mutable_password());
      on_opened(std::move(hashed).error());
      return;
    }
    CreateAccount op;
    op.account.user_id = request.user_id();
    op.account.password_hash = *std::move(hashed);
    op.account.display_name = request.display_name();
    op.account.email = request.email();
    op.account.phone = request.phone();
    op.account.created = wall_now();
    auto on_written = [this, request = std::move(request), address, address_key = std::move(address_key),
                       on_opened = std::move(on_opened)](Result<WriteAnswer> answer) mutable {
      if (answer.ok()) {
        wipe(*request.mutable_password());
        open_session({request.user_id(), request.device_name(), request.installation_id(), {}, true},
                     std::move(on_opened));
        return;
      }
      // A contact that is taken stays charged: it tells that somebody has it.
      if (answer.code() != Code::kAlreadyExists) registrations_.give_back(address_key, monotonic_now());
      // The user_id may have come into being since it was looked up, by this very request's twin.
      std::optional<Account> twin;
      if (answer.code() == Code::kAlreadyExists) {
        auto account = parts_.reader.account(request.user_id());
        if (account.ok()) twin = *std::move(account);
      }
      if (twin) {
        repeat_registration(std::move(request), *twin, address, std::move(on_opened));
        return;
      }
      wipe(*request.mutable_password());
      on_opened(answer.code() == Code::kAlreadyExists ? name_taken() : std::move(answer).error());
    };
    parts_.submit(std::move(op), std::move(on_written), parts_.executor);
  });
}

Result<bool> AccountService::may_repeat(const UserId& user_id, BytesView installation_id) {
  CHATSDK_ASSIGN(const auto devices, parts_.reader.devices(user_id));
  // No device: the server stopped between the account's commit and the session's.
  return devices.empty() || std::any_of(devices.begin(), devices.end(), [&](const Device& device) {
           return device.installation_id == installation_id;
         });
}

void AccountService::repeat_registration(wire::RegisterRequest request, const Account& account,
                                         const std::string& address, OnOpened on_opened) {
  auto begun = begin_guess(request.user_id(), request.installation_id(), address);
  if (!begun.ok()) {
    wipe(*request.mutable_password());
    on_opened(std::move(begun).error());
    return;
  }
  PasswordJob job{request.password(), account.password_hash};
  wipe(*request.mutable_password());
  verify(std::move(job), [this, attempt = *std::move(begun), request = std::move(request),
                          on_opened = std::move(on_opened)](Result<PasswordVerdict> verdict) mutable {
    if (!verdict.ok()) {
      forgive(attempt);
      on_opened(std::move(verdict).error());
      return;
    }
    // Another installation with the right password is refused like any other: a name that is taken is no log-in.
    auto repeats = verdict->matches ? may_repeat(request.user_id(), request.installation_id()) : Result<bool>(false);
    if (!repeats.ok() || *repeats) forgive(attempt);
    if (!repeats.ok()) {
      on_opened(std::move(repeats).error());
    } else if (!*repeats) {
      on_opened(name_taken());
    } else {
      open_session(
          {request.user_id(), request.device_name(), request.installation_id(), std::move(verdict->new_hash), false},
          std::move(on_opened));
    }
  });
}

// ---- Log-in --------------------------------------------------------------------------------------------------------

void AccountService::log_in(wire::LoginRequest request, const std::string& address, OnOpened on_opened) {
  if (Status valid = check_login(request); !valid.ok()) {
    wipe(*request.mutable_password());
    on_opened(std::move(valid).error());
  } else if (request.assertion().empty()) {
    log_in_by_password(std::move(request), address, std::move(on_opened));
  } else {
    log_in_by_assertion(request, address, std::move(on_opened));
  }
}

void AccountService::log_in_by_password(wire::LoginRequest request, const std::string& address, OnOpened on_opened) {
  if (Status allowed = check_passwords_allowed(); !allowed.ok()) {
    wipe(*request.mutable_password());
    on_opened(std::move(allowed).error());
    return;
  }
  auto begun = begin_guess(request.user_id(), request.installation_id(), address);
  if (!begun.ok()) {
    wipe(*request.mutable_password());
    on_opened(std::move(begun).error());
    return;
  }
  auto account = parts_.reader.account(request.user_id());
  if (!account.ok()) {
    forgive(*begun);
    wipe(*request.mutable_password());
    on_opened(std::move(account).error());
    return;
  }
  PasswordJob job{request.password(), account->has_value() ? (*account)->password_hash : std::string()};
  wipe(*request.mutable_password());
  verify(std::move(job), [this, attempt = *std::move(begun), request = std::move(request),
                          on_opened = std::move(on_opened)](Result<PasswordVerdict> verdict) mutable {
    if (!verdict.ok()) {
      forgive(attempt);
      on_opened(std::move(verdict).error());
    } else if (!verdict->matches) {
      on_opened(unauthenticated("unknown user or wrong password"));
    } else {
      forgive(attempt);
      open_session({request.user_id(), request.device_name(), request.installation_id(), std::move(verdict->new_hash),
                    false, DeviceId{request.former_device_id()}},
                   std::move(on_opened));
    }
  });
}

void AccountService::log_in_by_assertion(const wire::LoginRequest& request, const std::string& address,
                                         OnOpened on_opened) {
  if (parts_.app_keys == nullptr) {
    on_opened(unauthenticated("log-in by assertion is not set up on this server"));
    return;
  }
  Attempt attempt;
  attempt.address = rate_key_of_address(address);
  if (Status allowed = begin_attempt(attempt); !allowed.ok()) {
    on_opened(std::move(allowed).error());
    return;
  }
  auto user = parts_.app_keys->verify_assertion(request.assertion(), wall_now());
  if (!user.ok()) {
    on_opened(std::move(user).error());
    return;
  }
  forgive(attempt);
  EnsureAccount op;
  op.account.user_id = *user;
  op.account.created = wall_now();
  Entry entry{*std::move(user),
              request.device_name(),
              request.installation_id(),
              {},
              false,
              DeviceId{request.former_device_id()}};
  parts_.submit(
      std::move(op),
      [this, entry = std::move(entry), on_opened = std::move(on_opened)](Result<WriteAnswer> answer) mutable {
        CHATSDK_FAULT("accounts.between_account_and_session");
        if (answer.ok()) {
          open_session(std::move(entry), std::move(on_opened));
        } else {
          on_opened(std::move(answer).error());
        }
      },
      parts_.executor);
}

void AccountService::open_session(Entry entry, OnOpened on_opened) {
  const WallTime now = wall_now();
  OpenSession op;
  op.user_id = std::move(entry.user_id);
  op.device_name = std::move(entry.device_name);
  op.installation_id = std::move(entry.installation_id);
  op.now = now;
  op.expires = now + options_.refresh_token_lifetime;
  op.new_password_hash = std::move(entry.new_password_hash);
  op.former_device = entry.former_device;
  parts_.submit(
      std::move(op),
      [this, new_account = entry.new_account, on_opened = std::move(on_opened)](Result<WriteAnswer> answer) mutable {
        if (!answer.ok()) {
          on_opened(std::move(answer).error());
        } else if (const auto* session = std::get_if<SessionOpened>(&*answer)) {
          CHATSDK_FAULT("accounts.between_session_and_answer");
          const Session& fresh = session->session;
          // The device's earlier session has ended with the same commit; its connection may live.
          if (!session->new_device) kick(fresh.user_id, fresh.device_id, fresh.session_id);
          CHATSDK_FAULT("accounts.between_kick_and_session_answer");
          on_opened(opened(session->session, new_account));
        } else {
          on_opened(wrong_answer());
        }
      },
      parts_.executor);
}

AccountService::Opened AccountService::opened(const Session& session, bool new_account) {
  auto access = parts_.access_tokens.mint(session, wall_now(), parts_.random.ids);
  Opened result;
  result.new_account = new_account;
  result.session.set_user_id(session.user_id);
  result.session.set_device_id(session.device_id.value);
  result.session.set_access_token(std::move(access.token));
  result.session.set_access_expires_at_ms(to_unix_ms(access.expires));
  result.session.set_refresh_token(parts_.refresh_tokens.make(session));
  result.session.set_refresh_expires_at_ms(to_unix_ms(session.expires));
  return result;
}

// ---- Refresh -------------------------------------------------------------------------------------------------------

void AccountService::refresh(const wire::RefreshRequest& request, OnOpened on_opened) {
  if (Status valid = check_request_id(request.request_id()); !valid.ok()) {
    on_opened(std::move(valid).error());
    return;
  }
  const auto claim = parts_.refresh_tokens.verify(request.refresh_token());
  if (!claim.ok()) {
    on_opened(claim.error());
    return;
  }
  // A genuine token of a session that was replaced is stale, not reused: the family that it names is gone already.
  auto session = parts_.reader.session_of(claim->device_id);
  if (!session.ok()) {
    on_opened(std::move(session).error());
    return;
  }
  const WallTime now = wall_now();
  if (!session->has_value() || (*session)->session_id != claim->session_id || (*session)->expires <= now) {
    on_opened(unauthenticated("the session has ended"));
    return;
  }
  RotateSession op;
  op.session_id = claim->session_id;
  op.generation = claim->generation;
  op.request_id = request.request_id();
  op.now = now;
  op.expires = now + options_.refresh_token_lifetime;
  parts_.submit(
      std::move(op),
      [this, user_id = (*session)->user_id, device = claim->device_id,
       on_opened = std::move(on_opened)](Result<WriteAnswer> answer) mutable {
        if (!answer.ok()) {
          on_opened(std::move(answer).error());
          return;
        }
        CHATSDK_FAULT("accounts.between_rotation_and_answer");
        const auto* rotated = std::get_if<SessionRotated>(&*answer);
        if (rotated == nullptr) {
          on_opened(wrong_answer());
          return;
        }
        switch (rotated->outcome) {
          case SessionRotated::Outcome::kRotated:
          case SessionRotated::Outcome::kRepeated:
            on_opened(opened(rotated->session, false));
            return;
          case SessionRotated::Outcome::kReused:
            parts_.log.write(
                LogLevel::kWarning, "accounts",
                "an old refresh token came again: session of device " + std::to_string(device.value) + " ended");
            kick(user_id, device);
            CHATSDK_FAULT("accounts.between_kick_and_reuse_answer");
            on_opened(unauthenticated("an old refresh token came again: the session has ended"));
            return;
          case SessionRotated::Outcome::kEnded:
            on_opened(unauthenticated("the session has ended"));
            return;
        }
      },
      parts_.executor);
}

// ---- Devices and log-out -------------------------------------------------------------------------------------------

Result<Identity> AccountService::authenticate(std::string_view access_token) {
  if (access_token.empty()) return unauthenticated("no bearer token");
  const WallTime now = wall_now();
  CHATSDK_ASSIGN(Identity identity, parts_.access_tokens.verify_access_token(access_token, now));
  CHATSDK_TRY(check_session_open(parts_.reader, identity, now));
  return identity;
}

void AccountService::log_out(const Identity& identity, OnDone on_done) {
  end_sessions(identity, identity.device_id, false, std::move(on_done));
}

void AccountService::remove_device(const Identity& identity, DeviceId device, OnDone on_done) {
  end_sessions(identity, device, true, std::move(on_done));
}

void AccountService::end_sessions(const Identity& identity, DeviceId device, bool remove, OnDone on_done) {
  parts_.submit(
      EndSessions{identity.user_id, device, remove, wall_now()},
      [this, user_id = identity.user_id, device, on_done = std::move(on_done)](Result<WriteAnswer> answer) mutable {
        if (!answer.ok()) {
          on_done(std::move(answer).error());
          return;
        }
        CHATSDK_FAULT("accounts.between_end_and_kick");
        kick(user_id, device);
        CHATSDK_FAULT("accounts.between_kick_and_end_answer");
        on_done({});
      },
      parts_.executor);
}

void AccountService::kick(const UserId& user_id, DeviceId device, SessionId except) {
  parts_.bus.publish(user_id, Kick{user_id, device, Code::kUnauthenticated, 0, except});
}

Result<wire::Devices> AccountService::devices(const Identity& identity) {
  CHATSDK_ASSIGN(const auto devices, parts_.reader.devices(identity.user_id));
  wire::Devices answer;
  for (const Device& device : devices) {
    wire::Device& entry = *answer.add_devices();
    entry.set_device_id(device.device_id.value);
    entry.set_name(device.name);
    entry.set_created_at_ms(to_unix_ms(device.created));
    entry.set_last_seen_ms(to_unix_ms(device.last_seen));
    entry.set_current(device.device_id == identity.device_id);
  }
  return answer;
}

// ---- Readiness -----------------------------------------------------------------------------------------------------

// A server that nobody is sent to writes nothing, and would not notice that it could again: so it tries.
void AccountService::check_ready(OnDone on_done) {
  if (Status answers = parts_.reader.check(); !answers.ok()) {
    on_done(error(Code::kUnavailable, "the store does not answer"));
    return;
  }
  const Code last = parts_.write_health == nullptr ? Code::kOk : parts_.write_health->last_commit();
  if (last == Code::kOk) {
    on_done({});
    return;
  }
  if (monotonic_now() < next_probe_) {
    on_done(error(last, "the store refuses writes"));
    return;
  }
  next_probe_ = monotonic_now() + limits::kProbeInterval;
  parts_.submit(
      ProbeWrite{},
      [on_done = std::move(on_done)](Result<WriteAnswer> answer) mutable {
        on_done(answer.ok() ? Status() : Status(std::move(answer).error()));
      },
      parts_.executor);
}

}  // namespace chatsdk::server
