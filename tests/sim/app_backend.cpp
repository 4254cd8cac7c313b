// SPDX-License-Identifier: Apache-2.0
#include "sim/app_backend.h"

#include <sodium.h>

#include <nlohmann/json.hpp>

#include "base/assert.h"
#include "base/bytes.h"

namespace chatsdk::sim {

namespace {

constexpr const char* kKeyId = "backend";
constexpr const char* kIssuer = "https://app.example";
constexpr const char* kAudience = "chat";
constexpr std::chrono::minutes kLifetime{5};

const unsigned char* octets(const std::string& text) { return reinterpret_cast<const unsigned char*>(text.data()); }

}  // namespace

AppBackend::AppBackend(const Clock& clock) : clock_(clock) {
  const std::array<unsigned char, crypto_sign_SEEDBYTES> seed{7};
  std::array<unsigned char, crypto_sign_PUBLICKEYBYTES> key{};
  static_assert(crypto_sign_SECRETKEYBYTES == sizeof secret_);
  CHATSDK_ASSERT(crypto_sign_seed_keypair(key.data(), secret_.data(), seed.data()) == 0);
  const nlohmann::json jwk = {
      {"kty", "OKP"},
      {"crv", "Ed25519"},
      {"kid", kKeyId},
      {"x", to_base64url({reinterpret_cast<const char*>(key.data()), key.size()})},
  };
  auto keys = std::make_shared<server::AppKeys>(server::AppTokenOptions{.issuer = kIssuer, .audience = kAudience});
  CHATSDK_ASSERT(keys->add_jwk_set(nlohmann::json{{"keys", {jwk}}}.dump()).ok());
  keys_ = std::move(keys);
}

std::string AppBackend::vouch_for(const UserId& user) const {
  const std::int64_t now = to_unix_ms(clock_.wall_now()) / 1'000;
  const nlohmann::json header = {{"alg", "EdDSA"}, {"kid", kKeyId}, {"typ", "JWT"}};
  const nlohmann::json claims = {
      {"iss", kIssuer},
      {"aud", kAudience},
      {"sub", user},
      {"iat", now},
      {"exp", now + std::chrono::seconds(kLifetime).count()},
  };
  const std::string input = to_base64url(header.dump()) + "." + to_base64url(claims.dump());
  std::string signature(crypto_sign_BYTES, '\0');
  crypto_sign_detached(reinterpret_cast<unsigned char*>(signature.data()), nullptr, octets(input), input.size(),
                       secret_.data());
  return input + "." + to_base64url(signature);
}

}  // namespace chatsdk::sim
