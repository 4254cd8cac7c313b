// SPDX-License-Identifier: Apache-2.0
//
// The tokens of the app's own backend: which keys may sign them and what they must say. A backend that has logged its
// user in signs a short-lived token, the app exchanges it for a session.
//
// A key is configured as a PEM public key under a kid, or comes from a JWK set (RFC 7517). It fixes its algorithm.
//
// Threads: set up once, then immutable and shared.
#pragma once

#include <chrono>
#include <map>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/ids.h"
#include "base/limits.h"
#include "base/result.h"
#include "server-reference/services/jws.h"

namespace chatsdk::server {

struct AppTokenOptions {
  std::string issuer;    // iss must equal it
  std::string audience;  // aud must be it or hold it
  std::chrono::seconds leeway = limits::kAssertionLeeway;
  std::chrono::seconds lifetime_max = limits::kAssertionLifetimeMax;
};

class AppKeys {
 public:
  explicit AppKeys(AppTokenOptions options) : options_(std::move(options)) {}

  // INVALID_ARGUMENT says what is wrong with the key; ALREADY_EXISTS: the kid is taken; LIMIT_REACHED.
  Status add_pem(const std::string& key_id, std::string_view pem);
  // All keys of the set or none. Keys whose "use" is another than "sig" are passed over, but one at least has to be for
  // signing; private keys are refused.
  Status add_jwk_set(std::string_view json);
  std::size_t size() const { return keys_.size(); }

  // The user that the token vouches for. UNAUTHENTICATED with a reason that names no part of the token.
  Result<UserId> verify_assertion(std::string_view token, WallTime now) const;

 private:
  using Keys = std::map<std::string, VerificationKey, std::less<>>;

  static Status add(Keys& keys, const std::string& key_id, VerificationKey key);
  Status check_times(const nlohmann::json& claims, WallTime now) const;
  Status check_audience(const nlohmann::json& claims) const;

  AppTokenOptions options_;
  Keys keys_;
};

}  // namespace chatsdk::server
