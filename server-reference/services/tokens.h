// SPDX-License-Identifier: Apache-2.0
//
// The server's own token pair. Both keys are derived from the store's secret, so that a restarted server honours what
// it gave out and a stolen store without its secret signs nothing.
//
//   access token   JWT, EdDSA: kid, typ "at+jwt"; iss, aud, sub (user), did (device), sid (session), iat, exp, jti.
//                  Verified locally; short-lived.
//   refresh token  BASE64URL( session 8 | device 8 | generation 4 | MAC 32 ), numbers big-endian. Opaque to clients;
//                  says which rotation it belongs to, the store says which one is current.
//
// Threads: immutable after construction, but for what it remembers under a lock; every const member from any thread.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/ids.h"
#include "base/limits.h"
#include "base/random.h"
#include "base/result.h"
#include "base/secret.h"
#include "server-reference/services/http_service.h"
#include "server-reference/services/jws.h"
#include "server-reference/store/store.h"

namespace chatsdk::server {

struct AccessTokenOptions {
  std::string issuer = "chatsdk";
  std::string audience = "chatsdk";
  std::chrono::seconds lifetime = limits::kAccessTokenLifetime;
};

// The digests of tokens whose signature was found good lately. A device shows one token three times in a row: for the
// gateway's address, in its upgrade and in its hello. Whatever else a token says is judged each time.
//
// Threads: any.
class GoodSignatures {
 public:
  using Digest = std::array<unsigned char, 32>;

  static Digest digest_of(std::string_view token);
  bool contains(const Digest& digest);
  void add(const Digest& digest);

 private:
  static constexpr std::size_t kCount = 512;

  static std::size_t place_of(const Digest& digest);

  std::mutex mutex_;
  std::vector<Digest> digests_;  // each at its place, which the next takes from it; none before the first
};

class AccessTokens final : public TokenVerifier {
 public:
  struct Minted {
    std::string token;
    WallTime expires;
  };

  // store_secret is Store::secret().
  AccessTokens(BytesView store_secret, AccessTokenOptions options);

  Minted mint(const Session& session, WallTime now, Random& ids) const;
  Result<Identity> verify_access_token(std::string_view token, WallTime now) const override;
  const std::string& key_id() const { return key_id_; }

 private:
  struct KeyPair;
  AccessTokens(KeyPair pair, AccessTokenOptions options);

  AccessTokenOptions options_;
  Secret<64> signing_key_;
  VerificationKey verification_key_;
  std::string key_id_;
  mutable GoodSignatures good_signatures_;
};

class RefreshTokens {
 public:
  struct Claim {
    SessionId session_id;
    DeviceId device_id;
    std::uint32_t generation = 0;
  };

  explicit RefreshTokens(BytesView store_secret);

  std::string make(const Session& session) const;
  // UNAUTHENTICATED when this server did not make it; compared in constant time. Says nothing about its currency.
  Result<Claim> verify(std::string_view token) const;

 private:
  Bytes authenticate(BytesView claim) const;

  Secret<32> key_;
};

}  // namespace chatsdk::server
