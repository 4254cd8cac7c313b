// SPDX-License-Identifier: Apache-2.0
#include "server-reference/services/jws.h"

#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <sodium.h>

#include <cstring>
#include <vector>

#include "base/limits.h"
#include "server-reference/services/strict_json.h"

namespace chatsdk::server {

namespace {

constexpr std::size_t kP256CoordinateBytes = 32;
constexpr std::int64_t kLastSecondOf9999 = 253'402'300'799;

template <auto kFree>
struct Deleter {
  template <typename T>
  void operator()(T* object) const {
    kFree(object);
  }
};
using BioPtr = std::unique_ptr<BIO, Deleter<BIO_free_all>>;
using BnPtr = std::unique_ptr<BIGNUM, Deleter<BN_free>>;
using ContextPtr = std::unique_ptr<EVP_PKEY_CTX, Deleter<EVP_PKEY_CTX_free>>;
using DigestPtr = std::unique_ptr<EVP_MD_CTX, Deleter<EVP_MD_CTX_free>>;
using ParamsPtr = std::unique_ptr<OSSL_PARAM, Deleter<OSSL_PARAM_free>>;
using BuilderPtr = std::unique_ptr<OSSL_PARAM_BLD, Deleter<OSSL_PARAM_BLD_free>>;
using SignaturePtr = std::unique_ptr<ECDSA_SIG, Deleter<ECDSA_SIG_free>>;

const unsigned char* octets(BytesView bytes) { return reinterpret_cast<const unsigned char*>(bytes.data()); }

Error bad_key(std::string reason) {
  ERR_clear_error();
  return error(Code::kInvalidArgument, std::move(reason));
}

std::shared_ptr<EVP_PKEY> key_from_params(const char* type, OSSL_PARAM* params) {
  const ContextPtr context(EVP_PKEY_CTX_new_from_name(nullptr, type, nullptr));
  EVP_PKEY* key = nullptr;
  if (!context || EVP_PKEY_fromdata_init(context.get()) <= 0 ||
      EVP_PKEY_fromdata(context.get(), &key, EVP_PKEY_PUBLIC_KEY, params) <= 0) {
    return nullptr;
  }
  return {key, EVP_PKEY_free};
}

bool digest_verifies(EVP_PKEY* key, BytesView input, BytesView signature) {
  const DigestPtr context(EVP_MD_CTX_new());
  const bool good =
      context && EVP_DigestVerifyInit(context.get(), nullptr, EVP_sha256(), nullptr, key) == 1 &&
      EVP_DigestVerify(context.get(), octets(signature), signature.size(), octets(input), input.size()) == 1;
  ERR_clear_error();
  return good;
}

// RFC 7518 section 3.4 carries r and s as two 32-byte numbers; OpenSSL reads their DER form.
std::optional<Bytes> der_of_raw_signature(BytesView raw) {
  if (raw.size() != 2 * kP256CoordinateBytes) return std::nullopt;
  BnPtr r(BN_bin2bn(octets(raw), kP256CoordinateBytes, nullptr));
  BnPtr s(BN_bin2bn(octets(raw) + kP256CoordinateBytes, kP256CoordinateBytes, nullptr));
  const SignaturePtr signature(ECDSA_SIG_new());
  if (!r || !s || !signature || BN_is_zero(r.get()) || BN_is_zero(s.get())) return std::nullopt;
  if (ECDSA_SIG_set0(signature.get(), r.get(), s.get()) != 1) return std::nullopt;
  static_cast<void>(r.release());
  static_cast<void>(s.release());
  unsigned char* der = nullptr;
  const int size = i2d_ECDSA_SIG(signature.get(), &der);
  if (size <= 0) return std::nullopt;
  Bytes result(reinterpret_cast<const char*>(der), static_cast<std::size_t>(size));
  OPENSSL_free(der);
  return result;
}

// An encrypted block is refused instead of asked about on the terminal.
int no_passphrase(char*, int, int, void*) { return 0; }

bool is_p256(EVP_PKEY* key) {
  std::array<char, 64> group{};
  std::size_t size = 0;
  return EVP_PKEY_get_group_name(key, group.data(), group.size(), &size) == 1 &&
         std::string_view(group.data(), size) == SN_X9_62_prime256v1;
}

// Cuts the token at its dots. Exactly three parts.
std::optional<std::array<std::string_view, 3>> split(std::string_view token) {
  const std::size_t first = token.find('.');
  if (first == std::string_view::npos) return std::nullopt;
  const std::size_t second = token.find('.', first + 1);
  if (second == std::string_view::npos || token.find('.', second + 1) != std::string_view::npos) return std::nullopt;
  return std::array{token.substr(0, first), token.substr(first + 1, second - first - 1), token.substr(second + 1)};
}

// An object without white space around it, which no signer emits and nobody needs to tolerate.
Result<nlohmann::json> token_object(BytesView text) {
  if (text.empty() || text.front() != '{' || text.back() != '}')
    return refused_token("part of the token is no JSON object");
  auto object = parse_strict_object(text);
  if (!object.ok()) return error(Code::kUnauthenticated, object.error().detail + ", in a token");
  return object;
}

}  // namespace

std::string_view jws_algorithm_name(JwsAlgorithm algorithm) {
  switch (algorithm) {
    case JwsAlgorithm::kRs256:
      return "RS256";
    case JwsAlgorithm::kEs256:
      return "ES256";
    case JwsAlgorithm::kEdDsa:
      return "EdDSA";
  }
  return "";
}

std::optional<JwsAlgorithm> jws_algorithm_from_name(std::string_view name) {
  for (const auto algorithm : {JwsAlgorithm::kRs256, JwsAlgorithm::kEs256, JwsAlgorithm::kEdDsa}) {
    if (name == jws_algorithm_name(algorithm)) return algorithm;
  }
  return std::nullopt;
}

// ---- Keys ----------------------------------------------------------------------------------------------------------

Result<VerificationKey> VerificationKey::ed25519(BytesView public_key) {
  Ed25519 key{};
  if (public_key.size() != key.size()) {
    return bad_key("Ed25519 public key of " + std::to_string(public_key.size()) + " B, must be 32 B");
  }
  std::memcpy(key.data(), public_key.data(), key.size());
  // This conversion succeeds exactly for canonical points of the prime-order group.
  std::array<unsigned char, crypto_scalarmult_curve25519_BYTES> converted{};
  if (crypto_sign_ed25519_pk_to_curve25519(converted.data(), key.data()) != 0) {
    return bad_key("Ed25519 public key is no point of the curve's main group");
  }
  return VerificationKey(JwsAlgorithm::kEdDsa, key);
}

Result<VerificationKey> VerificationKey::p256(BytesView x, BytesView y) {
  if (x.size() != kP256CoordinateBytes || y.size() != kP256CoordinateBytes) {
    return bad_key("P-256 coordinates of " + std::to_string(x.size()) + " and " + std::to_string(y.size()) +
                   " B, must be 32 B each");
  }
  const Bytes point = "\x04" + Bytes(x) + Bytes(y);
  const BuilderPtr builder(OSSL_PARAM_BLD_new());
  if (!builder ||
      OSSL_PARAM_BLD_push_utf8_string(builder.get(), OSSL_PKEY_PARAM_GROUP_NAME, SN_X9_62_prime256v1, 0) != 1 ||
      OSSL_PARAM_BLD_push_octet_string(builder.get(), OSSL_PKEY_PARAM_PUB_KEY, point.data(), point.size()) != 1) {
    return bad_key("out of memory");
  }
  const ParamsPtr params(OSSL_PARAM_BLD_to_param(builder.get()));
  auto key = params ? key_from_params("EC", params.get()) : nullptr;
  if (!key) return bad_key("P-256 public key is no point of the curve");
  return from_openssl(std::move(key));
}

Result<VerificationKey> VerificationKey::rsa(BytesView modulus, BytesView exponent) {
  if (modulus.size() > limits::kRsaBitsMax / 8 || exponent.size() > 8) {
    return bad_key("RSA modulus of " + std::to_string(modulus.size() * 8) + " bits, limit " +
                   std::to_string(limits::kRsaBitsMax) + ", or an exponent above 64 bits");
  }
  const BnPtr n(BN_bin2bn(octets(modulus), static_cast<int>(modulus.size()), nullptr));
  const BnPtr e(BN_bin2bn(octets(exponent), static_cast<int>(exponent.size()), nullptr));
  const BuilderPtr builder(OSSL_PARAM_BLD_new());
  if (!n || !e || !builder || OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_N, n.get()) != 1 ||
      OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_E, e.get()) != 1) {
    return bad_key("out of memory");
  }
  const ParamsPtr params(OSSL_PARAM_BLD_to_param(builder.get()));
  auto key = params ? key_from_params("RSA", params.get()) : nullptr;
  if (!key) return bad_key("not an RSA public key");
  return from_openssl(std::move(key));
}

Result<VerificationKey> VerificationKey::from_pem(std::string_view pem) {
  if (pem.find("PRIVATE KEY-----") != std::string_view::npos) {
    return bad_key("PEM holds a private key; give the public key only");
  }
  const BioPtr bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  if (!bio) return bad_key("out of memory");
  std::shared_ptr<EVP_PKEY> key(PEM_read_bio_PUBKEY(bio.get(), nullptr, no_passphrase, nullptr), EVP_PKEY_free);
  if (!key) return bad_key("PEM holds no PUBLIC KEY block");
  if (EVP_PKEY_get_base_id(key.get()) == EVP_PKEY_ED25519) {
    Ed25519 raw{};
    std::size_t size = raw.size();
    if (EVP_PKEY_get_raw_public_key(key.get(), raw.data(), &size) != 1 || size != raw.size()) {
      return bad_key("not an Ed25519 public key");
    }
    return ed25519({reinterpret_cast<const char*>(raw.data()), raw.size()});
  }
  return from_openssl(std::move(key));
}

Result<VerificationKey> VerificationKey::from_openssl(Openssl key) {
  const ContextPtr context(EVP_PKEY_CTX_new_from_pkey(nullptr, key.get(), nullptr));
  if (!context || EVP_PKEY_public_check(context.get()) != 1) return bad_key("public key fails its checks");
  switch (EVP_PKEY_get_base_id(key.get())) {
    case EVP_PKEY_RSA: {
      const auto bits = static_cast<std::size_t>(EVP_PKEY_get_bits(key.get()));
      if (bits < limits::kRsaBitsMin || bits > limits::kRsaBitsMax) {
        return bad_key("RSA key of " + std::to_string(bits) + " bits, allowed are " +
                       std::to_string(limits::kRsaBitsMin) + " to " + std::to_string(limits::kRsaBitsMax));
      }
      return VerificationKey(JwsAlgorithm::kRs256, std::move(key));
    }
    case EVP_PKEY_EC:
      if (!is_p256(key.get())) return bad_key("elliptic curve key is not of P-256");
      return VerificationKey(JwsAlgorithm::kEs256, std::move(key));
    default:
      return bad_key("key is none of RSA, P-256 and Ed25519");
  }
}

Status VerificationKey::verify(BytesView signing_input, BytesView signature) const {
  constexpr const char* kRefusal = "token signature does not verify";
  switch (algorithm_) {
    case JwsAlgorithm::kEdDsa: {
      if (signature.size() != crypto_sign_BYTES) return refused_token("token signature has the wrong size");
      const auto& key = std::get<Ed25519>(key_);
      if (crypto_sign_verify_detached(octets(signature), octets(signing_input), signing_input.size(), key.data()) !=
          0) {
        return refused_token(kRefusal);
      }
      return {};
    }
    case JwsAlgorithm::kEs256: {
      const auto der = der_of_raw_signature(signature);
      if (!der) return refused_token("token signature has the wrong size or is zero");
      if (!digest_verifies(std::get<Openssl>(key_).get(), signing_input, *der)) return refused_token(kRefusal);
      return {};
    }
    case JwsAlgorithm::kRs256: {
      EVP_PKEY* key = std::get<Openssl>(key_).get();
      if (signature.size() != static_cast<std::size_t>(EVP_PKEY_get_size(key))) {
        return refused_token("token signature has the wrong size");
      }
      if (!digest_verifies(key, signing_input, signature)) return refused_token(kRefusal);
      return {};
    }
  }
  return refused_token(kRefusal);
}

// ---- Tokens --------------------------------------------------------------------------------------------------------

Result<ParsedJws> parse_jws(std::string_view token) {
  if (token.size() > limits::kTokenBytesMax) {
    return error(Code::kUnauthenticated, "token of " + std::to_string(token.size()) + " B, limit " +
                                             std::to_string(limits::kTokenBytesMax) + " B");
  }
  const auto parts = split(token);
  if (!parts) return refused_token("token has not exactly three parts");
  const auto [header_text, payload_text, signature_text] = *parts;
  if (header_text.empty() || payload_text.empty() || signature_text.empty()) {
    return refused_token("token has an empty part");
  }
  const auto header_bytes = from_base64url(header_text);
  auto payload = from_base64url(payload_text);
  auto signature = from_base64url(signature_text);
  if (!header_bytes || !payload || !signature) return refused_token("token is not strict base64url");

  CHATSDK_ASSIGN(const nlohmann::json header, token_object(*header_bytes));
  for (const auto& [name, value] : header.items()) {
    if (name != "alg" && name != "kid" && name != "typ") return refused_token("token header has an unknown parameter");
    if (!value.is_string()) return refused_token("token header has a parameter that is no string");
  }
  const std::string* algorithm = string_member(header, "alg");
  const std::string* key_id = string_member(header, "kid");
  const std::string* type = string_member(header, "typ");
  if (algorithm == nullptr) return refused_token("token header has no alg");
  if (!jws_algorithm_from_name(*algorithm)) return refused_token("token algorithm is none of RS256, ES256 and EdDSA");
  if (key_id == nullptr || key_id->empty()) return refused_token("token header has no kid");
  if (key_id->size() > limits::kKeyIdBytesMax) {
    return error(Code::kUnauthenticated, "token kid of " + std::to_string(key_id->size()) + " B, limit " +
                                             std::to_string(limits::kKeyIdBytesMax) + " B");
  }

  return ParsedJws{*algorithm,
                   *key_id,
                   type == nullptr ? std::string() : *type,
                   token.substr(0, header_text.size() + 1 + payload_text.size()),
                   *std::move(signature),
                   *std::move(payload)};
}

Result<nlohmann::json> parse_claims(BytesView payload) { return token_object(payload); }

Result<std::optional<std::int64_t>> time_claim(const nlohmann::json& claims, const char* name) {
  const auto found = claims.find(name);
  if (found == claims.end()) return std::optional<std::int64_t>();
  // A number beyond 64 bits reads as floating point, so it is refused here too.
  if (!found->is_number_integer())
    return error(Code::kUnauthenticated, std::string("token ") + name + " is no integer");
  if (found->is_number_unsigned() ? found->get<std::uint64_t>() > static_cast<std::uint64_t>(kLastSecondOf9999)
                                  : found->get<std::int64_t>() < 0) {
    return error(Code::kUnauthenticated, std::string("token ") + name + " is out of range");
  }
  return std::optional<std::int64_t>(found->get<std::int64_t>());
}

}  // namespace chatsdk::server
