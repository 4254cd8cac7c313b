// SPDX-License-Identifier: Apache-2.0
//
// Signed tokens: JSON Web Signatures in compact form (RFC 7515) with RS256, ES256 (RFC 7518) or EdDSA over Ed25519
// (RFC 8037), and nothing else. This owns the form of a token and the mathematics of its signature; whose key it is and
// what the claims must say are decided by the callers.
//
//   BASE64URL(header) . BASE64URL(payload) . BASE64URL(signature)
//
// Threads: pure functions; a VerificationKey is immutable.
// Invariants:
//   1. The key's record fixes the algorithm. The header's alg must equal it and selects nothing.
//   2. The header holds alg, kid and, optionally, typ, as strings; any other parameter refuses the token, so no key,
//      URL or certificate that a token brings along is ever looked at.
//   3. Every byte string has exactly one accepted spelling: strict base64url, raw 64-byte ES256 signatures.
#pragma once

#include <array>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "base/bytes.h"
#include "base/result.h"

struct evp_pkey_st;

namespace chatsdk::server {

enum class JwsAlgorithm { kRs256, kEs256, kEdDsa };

// The name in the header: "RS256", "ES256", "EdDSA".
std::string_view jws_algorithm_name(JwsAlgorithm algorithm);
std::optional<JwsAlgorithm> jws_algorithm_from_name(std::string_view name);

// What every refused token is answered with; the reason is for the server's log.
inline Error refused_token(const char* reason) { return error(Code::kUnauthenticated, reason); }

// A public key, bound to the one algorithm that it verifies.
class VerificationKey {
 public:
  // 32 bytes. Points of small order are refused.
  static Result<VerificationKey> ed25519(BytesView public_key);
  // Big-endian coordinates of a point on P-256, 32 bytes each.
  static Result<VerificationKey> p256(BytesView x, BytesView y);
  // Big-endian modulus and exponent; limits::kRsaBitsMin to kRsaBitsMax.
  static Result<VerificationKey> rsa(BytesView modulus, BytesView exponent);
  // One "PUBLIC KEY" block (SubjectPublicKeyInfo). A private key is refused: it has no place on this server.
  static Result<VerificationKey> from_pem(std::string_view pem);

  JwsAlgorithm algorithm() const { return algorithm_; }
  // UNAUTHENTICATED unless the signature is this key's over the input.
  Status verify(BytesView signing_input, BytesView signature) const;

 private:
  using Ed25519 = std::array<unsigned char, 32>;
  using Openssl = std::shared_ptr<evp_pkey_st>;  // shared by the copies of an immutable key

  VerificationKey(JwsAlgorithm algorithm, std::variant<Ed25519, Openssl> key)
      : algorithm_(algorithm), key_(std::move(key)) {}
  static Result<VerificationKey> from_openssl(Openssl key);

  JwsAlgorithm algorithm_;
  std::variant<Ed25519, Openssl> key_;
};

// A token whose form is sound. Nothing of it is proven before its signature is verified.
struct ParsedJws {
  std::string algorithm;
  std::string key_id;
  std::string type;  // typ, or empty
  std::string_view signing_input;
  Bytes signature;
  Bytes payload;
};

// UNAUTHENTICATED with a reason that names no part of the token. The result borrows from the token.
Result<ParsedJws> parse_jws(std::string_view token);

// The claims of a token whose signature was verified: an object without duplicate names.
Result<nlohmann::json> parse_claims(BytesView payload);
// A claim that is a whole number of seconds between 1970 and 9999. nullopt: it is absent.
Result<std::optional<std::int64_t>> time_claim(const nlohmann::json& claims, const char* name);

}  // namespace chatsdk::server
