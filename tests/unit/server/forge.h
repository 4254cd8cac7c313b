// SPDX-License-Identifier: Apache-2.0
//
// Makes tokens, honest and forged, with real keys made in the test. A Forge stands where a signer stands: it knows the
// private key, so it can sign anything, and what the verifier at hand expects of an honest token.
//
// Threads: one.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/result.h"
#include "server-reference/services/app_keys.h"
#include "server-reference/services/jws.h"
#include "server-reference/services/tokens.h"

struct evp_pkey_st;

namespace chatsdk::server::testing {

// A private key of one algorithm.
class Signer {
 public:
  static Signer make(JwsAlgorithm algorithm);
  // An RSA key of another size, or a key of another curve: what must not load.
  static Signer make_rsa(unsigned bits);
  static Signer make_curve(const char* name);

  // In the raw form of RFC 7518.
  Bytes sign(std::string_view input) const;
  // ECDSA's DER form, as other protocols carry it.
  Bytes sign_der(std::string_view input) const;
  std::string public_pem() const;
  std::string private_pem() const;
  Bytes public_der() const;
  nlohmann::json public_jwk(const std::string& key_id) const;
  JwsAlgorithm algorithm() const { return algorithm_; }

 private:
  Signer(JwsAlgorithm algorithm, evp_pkey_st* key);
  JwsAlgorithm algorithm_;
  std::shared_ptr<evp_pkey_st> key_;
};

struct Forge {
  std::string name;
  std::string key_id;
  std::string algorithm;
  nlohmann::json header;
  nlohmann::json claims;
  std::function<Bytes(std::string_view)> sign;
  std::string public_pem;  // what an attacker knows
  Bytes public_der;
  std::function<Status(std::string_view)> verify;

  std::string honest() const { return token(header.dump(), claims.dump()); }
  // Signs whatever it is given.
  std::string token(std::string_view header_text, std::string_view claims_text) const;
  std::string with_header(const std::string& member, nlohmann::json value) const;
  std::string with_claim(const std::string& member, nlohmann::json value) const;
  std::string without_header(const std::string& member) const;
  std::string without_claim(const std::string& member) const;
};

inline constexpr auto kForgeNow = std::chrono::seconds(1'700'000'000);
inline WallTime forge_now() { return WallTime(kForgeNow); }

// The keys and verifiers that the forges share, made once: RSA keys take a while.
struct TokenWorld {
  TokenWorld();
  static const TokenWorld& instance();

  Bytes store_secret;
  AccessTokens access;
  RefreshTokens refresh;
  AppKeys app;
  Session session;

  std::vector<Forge> app_forges;  // RS256, ES256, EdDSA
  Forge access_forge;
};

}  // namespace chatsdk::server::testing
