// SPDX-License-Identifier: Apache-2.0
#include "server-reference/services/app_keys.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "server-reference/services/strict_json.h"
#include "server-reference/services/validation.h"

namespace chatsdk::server {

namespace {

Error bad_setting(std::string reason) { return error(Code::kInvalidArgument, std::move(reason)); }

// RFC 7519 section 5.1: typ is optional, and JWT is compared without regard to case.
bool is_jwt_type(std::string_view type) {
  return type.empty() ||
         (type.size() == 3 && (type[0] | 0x20) == 'j' && (type[1] | 0x20) == 'w' && (type[2] | 0x20) == 't');
}

Result<Bytes> key_member(const nlohmann::json& jwk, const char* name) {
  const std::string* text = string_member(jwk, name);
  auto bytes = text == nullptr ? std::nullopt : from_base64url(*text);
  if (!bytes) return bad_setting(std::string("JWK member ") + name + " is not strict base64url");
  return *std::move(bytes);
}

// RFC 7517 section 4.2: use is optional.
bool is_for_signing(const nlohmann::json& jwk) {
  const std::string* use = string_member(jwk, "use");
  return jwk.contains("use") ? use != nullptr && *use == "sig" : true;
}

Result<VerificationKey> key_of_jwk(const nlohmann::json& jwk) {
  for (const char* secret : {"d", "p", "q", "k"}) {
    if (jwk.contains(secret)) return bad_setting("JWK holds a private or shared key; give the public key only");
  }
  const std::string* type = string_member(jwk, "kty");
  const std::string* curve = string_member(jwk, "crv");
  if (type != nullptr && *type == "RSA") {
    CHATSDK_ASSIGN(const Bytes modulus, key_member(jwk, "n"));
    CHATSDK_ASSIGN(const Bytes exponent, key_member(jwk, "e"));
    return VerificationKey::rsa(modulus, exponent);
  }
  if (type != nullptr && *type == "EC" && curve != nullptr && *curve == "P-256") {
    CHATSDK_ASSIGN(const Bytes x, key_member(jwk, "x"));
    CHATSDK_ASSIGN(const Bytes y, key_member(jwk, "y"));
    return VerificationKey::p256(x, y);
  }
  if (type != nullptr && *type == "OKP" && curve != nullptr && *curve == "Ed25519") {
    CHATSDK_ASSIGN(const Bytes x, key_member(jwk, "x"));
    return VerificationKey::ed25519(x);
  }
  return bad_setting("JWK is none of RSA, EC P-256 and OKP Ed25519");
}

}  // namespace

Status AppKeys::add(Keys& keys, const std::string& key_id, VerificationKey key) {
  if (key_id.empty() || key_id.size() > limits::kKeyIdBytesMax) {
    return bad_setting("kid of " + std::to_string(key_id.size()) + " B, allowed are 1 to " +
                       std::to_string(limits::kKeyIdBytesMax) + " B");
  }
  if (keys.size() >= limits::kAppKeysMax) {
    return error(Code::kLimitReached, "more than " + std::to_string(limits::kAppKeysMax) + " keys");
  }
  if (!keys.emplace(key_id, std::move(key)).second) return error(Code::kAlreadyExists, "two keys with one kid");
  return {};
}

Status AppKeys::add_pem(const std::string& key_id, std::string_view pem) {
  CHATSDK_ASSIGN(VerificationKey key, VerificationKey::from_pem(pem));
  return add(keys_, key_id, std::move(key));
}

Status AppKeys::add_jwk_set(std::string_view json) {
  auto set = parse_strict_object(json);
  if (!set.ok()) return bad_setting("JWK set: " + set.error().detail);
  const auto list = set->find("keys");
  if (list == set->end() || !list->is_array()) return bad_setting("JWK set has no array keys");

  Keys keys = keys_;
  for (const auto& jwk : *list) {
    if (!jwk.is_object()) return bad_setting("JWK set holds what is no object");
    if (!is_for_signing(jwk)) continue;
    const std::string* key_id = string_member(jwk, "kid");
    if (key_id == nullptr) return bad_setting("JWK has no kid");
    CHATSDK_ASSIGN(VerificationKey key, key_of_jwk(jwk));
    const std::string* algorithm = string_member(jwk, "alg");
    if (jwk.contains("alg") && (algorithm == nullptr || *algorithm != jws_algorithm_name(key.algorithm()))) {
      return bad_setting("JWK alg is not " + std::string(jws_algorithm_name(key.algorithm())));
    }
    CHATSDK_TRY(add(keys, *key_id, std::move(key)));
  }
  if (list->empty()) return bad_setting("JWK set holds no key");
  if (keys.size() == keys_.size())
    return bad_setting("JWK set holds no key for signing: the \"use\" of each is another");
  keys_ = std::move(keys);
  return {};
}

Result<UserId> AppKeys::verify_assertion(std::string_view token, WallTime now) const {
  CHATSDK_ASSIGN(const ParsedJws jws, parse_jws(token));
  const auto key = keys_.find(jws.key_id);
  if (key == keys_.end()) return refused_token("token kid is not known");
  if (jws.algorithm != jws_algorithm_name(key->second.algorithm())) return refused_token("token alg is not its key's");
  if (!is_jwt_type(jws.type)) return refused_token("token typ is not JWT");
  CHATSDK_TRY(key->second.verify(jws.signing_input, jws.signature));

  CHATSDK_ASSIGN(const nlohmann::json claims, parse_claims(jws.payload));
  const std::string* issuer = string_member(claims, "iss");
  if (issuer == nullptr || *issuer != options_.issuer) return refused_token("token iss is not the configured issuer");
  CHATSDK_TRY(check_audience(claims));
  CHATSDK_TRY(check_times(claims, now));
  const std::string* subject = string_member(claims, "sub");
  if (subject == nullptr) return refused_token("token has no sub");
  if (const Status valid = check_user_id(*subject); !valid.ok()) {
    return error(Code::kUnauthenticated, "token sub: " + valid.error().detail);
  }
  return *subject;
}

Status AppKeys::check_audience(const nlohmann::json& claims) const {
  const auto audience = claims.find("aud");
  if (audience == claims.end()) return refused_token("token has no aud");
  if (audience->is_string()) {
    if (audience->get_ref<const std::string&>() == options_.audience) return {};
    return refused_token("token aud is not the configured audience");
  }
  if (!audience->is_array()) return refused_token("token aud is neither text nor a list of texts");
  if (!std::all_of(audience->begin(), audience->end(), [](const auto& entry) { return entry.is_string(); })) {
    return refused_token("token aud is neither text nor a list of texts");
  }
  const bool named = std::any_of(audience->begin(), audience->end(), [this](const auto& entry) {
    return entry.template get_ref<const std::string&>() == options_.audience;
  });
  if (!named) return refused_token("token aud does not hold the configured audience");
  return {};
}

Status AppKeys::check_times(const nlohmann::json& claims, WallTime now) const {
  CHATSDK_ASSIGN(const auto expires, time_claim(claims, "exp"));
  CHATSDK_ASSIGN(const auto not_before, time_claim(claims, "nbf"));
  CHATSDK_ASSIGN(const auto issued, time_claim(claims, "iat"));
  const std::int64_t now_s = std::chrono::floor<std::chrono::seconds>(now.time_since_epoch()).count();
  const std::int64_t leeway = options_.leeway.count();
  const std::int64_t lifetime_max = options_.lifetime_max.count();

  if (!expires) return refused_token("token has no exp");
  if (now_s >= *expires + leeway) return refused_token("token has expired");
  if (not_before && *not_before > now_s + leeway) return refused_token("token nbf is in the future");
  if (issued && *issued > now_s + leeway) return refused_token("token iat is in the future");
  if (*expires - issued.value_or(now_s) > lifetime_max + (issued ? 0 : leeway)) {
    return error(Code::kUnauthenticated, "token lives longer than " + std::to_string(lifetime_max) + " s");
  }
  return {};
}

}  // namespace chatsdk::server
