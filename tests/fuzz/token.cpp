// SPDX-License-Identifier: Apache-2.0
//
// Signed tokens from outside. The server's key is fixed, so exactly one honest token is known, and nothing else may be
// accepted. The input is a token; or, after a '#', the payload of one whose signature holds, which then says what it
// likes.
//
// Threads: one.
#include <sodium.h>

#include "base/random.h"
#include "fuzz/fuzz.h"
#include "server-reference/services/app_keys.h"
#include "server-reference/services/tokens.h"

namespace {

using namespace chatsdk;
using namespace chatsdk::server;

constexpr std::string_view kStoreSecret = "0123456789abcdef0123456789abcdef";

struct Parties {
  Parties() {
    CHATSDK_ASSERT(sodium_init() >= 0);
    const Bytes seed(crypto_sign_SEEDBYTES, 'b');
    Bytes public_key(crypto_sign_PUBLICKEYBYTES, '\0');
    crypto_sign_seed_keypair(reinterpret_cast<unsigned char*>(public_key.data()), backend_key.data(),
                             reinterpret_cast<const unsigned char*>(seed.data()));
    CHATSDK_ASSERT(backend
                       .add_jwk_set(R"({"keys":[{"kty":"OKP","crv":"Ed25519","alg":"EdDSA","kid":"b","x":")" +
                                    to_base64url(public_key) + "\"}]}")
                       .ok());
    Session session;
    session.user_id = "ann";
    session.device_id = DeviceId{7};
    session.session_id = SessionId{9};
    SeededRandom ids(1);
    honest = access.mint(session, now, ids).token;
    honest_refresh = refresh.make(session);
  }

  std::string signed_by_backend(BytesView claims) const {
    std::string token = to_base64url(R"({"alg":"EdDSA","kid":"b"})") + "." + to_base64url(claims);
    Bytes signature(crypto_sign_BYTES, '\0');
    crypto_sign_detached(reinterpret_cast<unsigned char*>(signature.data()), nullptr,
                         reinterpret_cast<const unsigned char*>(token.data()), token.size(), backend_key.data());
    return token + "." + to_base64url(signature);
  }

  WallTime now = from_unix_ms(1'700'000'000'000);
  AccessTokens access{kStoreSecret, {}};
  RefreshTokens refresh{kStoreSecret};
  AppKeys backend{{.issuer = "backend", .audience = "chat"}};
  Secret<crypto_sign_SECRETKEYBYTES> backend_key;
  std::string honest;
  std::string honest_refresh;
};

void check_claims(const Parties& parties, BytesView claims) {
  const std::string token = parties.signed_by_backend(claims);
  const auto user = parties.backend.verify_assertion(token, parties.now);
  CHATSDK_ASSERT(!user.ok() || (!user->empty() && user->size() <= limits::kUserIdBytesMax && is_utf8(*user)));
  const auto parsed = parse_claims(claims);
  if (!parsed.ok()) {
    CHATSDK_ASSERT(!user.ok());
    return;
  }
  for (const char* name : {"exp", "nbf", "iat"}) {
    const auto time = time_claim(*parsed, name);
    CHATSDK_ASSERT(!time.ok() || !*time || (**time >= 0 && **time <= 253'402'300'799));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const Parties parties;
  const BytesView token = fuzz::view(data, size);
  if (token.starts_with('#')) {
    check_claims(parties, token.substr(1));
    return 0;
  }
  CHATSDK_ASSERT(parties.access.verify_access_token(token, parties.now).ok() == (token == parties.honest));
  CHATSDK_ASSERT(parties.refresh.verify(token).ok() == (token == parties.honest_refresh));
  CHATSDK_ASSERT(!parties.backend.verify_assertion(token, parties.now).ok());
  const auto parsed = parse_jws(token);
  if (!parsed.ok()) return 0;
  // Each part has one spelling only.
  CHATSDK_ASSERT(token == std::string(parsed->signing_input) + "." + to_base64url(parsed->signature));
  CHATSDK_ASSERT(parsed->signing_input.ends_with("." + to_base64url(parsed->payload)));
  return 0;
}
