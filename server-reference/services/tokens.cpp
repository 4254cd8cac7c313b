// SPDX-License-Identifier: Apache-2.0
#include "server-reference/services/tokens.h"

#include <sodium.h>

#include <charconv>
#include <optional>

#include "server-reference/services/strict_json.h"
#include "server-reference/services/validation.h"

namespace chatsdk::server {

namespace {

constexpr std::string_view kAccessTokenType = "at+jwt";  // RFC 9068 section 2.1
constexpr std::size_t kClaimBytes = 20;
constexpr std::size_t kMacBytes = 32;
constexpr std::size_t kTokenIdBytes = 16;

// Numbers of the keys under the store's secret; never reused for another purpose.
constexpr std::uint64_t kAccessKeyNumber = 1;
constexpr std::uint64_t kRefreshKeyNumber = 2;
constexpr char kKeyContext[crypto_kdf_CONTEXTBYTES + 1] = "chattokn";

Secret<32> derive(BytesView store_secret, std::uint64_t number) {
  CHATSDK_ASSERT(store_secret.size() == crypto_kdf_KEYBYTES);
  Secret<32> key;
  const int failed = crypto_kdf_derive_from_key(key.data(), Secret<32>::size(), number, kKeyContext,
                                                reinterpret_cast<const unsigned char*>(store_secret.data()));
  CHATSDK_ASSERT(failed == 0);
  return key;
}

std::int64_t to_unix_s(WallTime time) {
  return std::chrono::floor<std::chrono::seconds>(time.time_since_epoch()).count();
}

// A decimal number above 0 in its one canonical spelling.
std::optional<std::uint64_t> number_of(const std::string* text) {
  if (text == nullptr || text->empty() || text->front() == '0') return std::nullopt;
  std::uint64_t value = 0;
  const auto [end, failure] = std::from_chars(text->data(), text->data() + text->size(), value);
  if (failure != std::errc() || end != text->data() + text->size()) return std::nullopt;
  return value;
}

template <typename Number>
void put(Bytes& out, Number value) {
  for (int shift = static_cast<int>(sizeof(Number) - 1) * 8; shift >= 0; shift -= 8) {
    out.push_back(static_cast<char>(value >> shift & 0xFF));
  }
}

std::uint64_t take(BytesView& in, std::size_t size) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < size; ++i) value = value << 8 | static_cast<unsigned char>(in[i]);
  in.remove_prefix(size);
  return value;
}

}  // namespace

// ---- Good signatures -----------------------------------------------------------------------------------------------

GoodSignatures::Digest GoodSignatures::digest_of(std::string_view token) {
  Digest digest{};
  crypto_generichash(digest.data(), digest.size(), reinterpret_cast<const unsigned char*>(token.data()), token.size(),
                     nullptr, 0);
  return digest;
}

std::size_t GoodSignatures::place_of(const Digest& digest) {
  return (digest[0] | static_cast<std::size_t>(digest[1]) << 8) % kCount;
}

bool GoodSignatures::contains(const Digest& digest) {
  const std::lock_guard lock(mutex_);
  return !digests_.empty() && digests_[place_of(digest)] == digest;
}

void GoodSignatures::add(const Digest& digest) {
  const std::lock_guard lock(mutex_);
  if (digests_.empty()) digests_.resize(kCount);
  digests_[place_of(digest)] = digest;
}

// ---- Access tokens -------------------------------------------------------------------------------------------------

struct AccessTokens::KeyPair {
  Bytes public_key;
  Secret<64> secret_key;

  static KeyPair derive_from(BytesView store_secret) {
    const Secret<32> seed = derive(store_secret, kAccessKeyNumber);
    KeyPair pair;
    pair.public_key.resize(crypto_sign_PUBLICKEYBYTES);
    crypto_sign_seed_keypair(reinterpret_cast<unsigned char*>(pair.public_key.data()), pair.secret_key.data(),
                             seed.data());
    return pair;
  }
};

AccessTokens::AccessTokens(BytesView store_secret, AccessTokenOptions options)
    : AccessTokens(KeyPair::derive_from(store_secret), std::move(options)) {}

AccessTokens::AccessTokens(KeyPair pair, AccessTokenOptions options)
    : options_(std::move(options)),
      signing_key_(std::move(pair.secret_key)),
      verification_key_(VerificationKey::ed25519(pair.public_key).value()) {
  std::array<unsigned char, crypto_generichash_BYTES_MIN> hash{};
  crypto_generichash(hash.data(), hash.size(), reinterpret_cast<const unsigned char*>(pair.public_key.data()),
                     pair.public_key.size(), nullptr, 0);
  key_id_ = to_base64url({reinterpret_cast<const char*>(hash.data()), hash.size()});
}

AccessTokens::Minted AccessTokens::mint(const Session& session, WallTime now, Random& ids) const {
  const std::int64_t issued = to_unix_s(now);
  const std::int64_t expires = issued + options_.lifetime.count();
  const nlohmann::json header = {
      {"alg", jws_algorithm_name(JwsAlgorithm::kEdDsa)}, {"kid", key_id_}, {"typ", kAccessTokenType}};
  const nlohmann::json claims = {{"iss", options_.issuer},
                                 {"aud", options_.audience},
                                 {"sub", session.user_id},
                                 {"did", std::to_string(session.device_id.value)},
                                 {"sid", std::to_string(session.session_id.value)},
                                 {"iat", issued},
                                 {"exp", expires},
                                 {"jti", to_base64url(ids.bytes(kTokenIdBytes))}};
  std::string token = to_base64url(header.dump()) + "." + to_base64url(claims.dump());
  Bytes signature(crypto_sign_BYTES, '\0');
  crypto_sign_detached(reinterpret_cast<unsigned char*>(signature.data()), nullptr,
                       reinterpret_cast<const unsigned char*>(token.data()), token.size(), signing_key_.data());
  token += "." + to_base64url(signature);
  return {std::move(token), WallTime(std::chrono::seconds(expires))};
}

Result<Identity> AccessTokens::verify_access_token(std::string_view token, WallTime now) const {
  CHATSDK_ASSIGN(const ParsedJws jws, parse_jws(token));
  if (jws.key_id != key_id_) return refused_token("token kid is not known");
  if (jws.algorithm != jws_algorithm_name(verification_key_.algorithm()))
    return refused_token("token alg is not its key's");
  if (jws.type != kAccessTokenType) return refused_token("token is no access token");
  const GoodSignatures::Digest digest = GoodSignatures::digest_of(token);
  if (!good_signatures_.contains(digest)) {
    CHATSDK_TRY(verification_key_.verify(jws.signing_input, jws.signature));
    good_signatures_.add(digest);
  }

  CHATSDK_ASSIGN(const nlohmann::json claims, parse_claims(jws.payload));
  const std::string* issuer = string_member(claims, "iss");
  const std::string* audience = string_member(claims, "aud");
  if (issuer == nullptr || *issuer != options_.issuer) return refused_token("token iss is not this server");
  if (audience == nullptr || *audience != options_.audience) return refused_token("token aud is not this server");

  CHATSDK_ASSIGN(const auto issued, time_claim(claims, "iat"));
  CHATSDK_ASSIGN(const auto expires, time_claim(claims, "exp"));
  const std::int64_t now_s = to_unix_s(now);
  if (!issued || !expires) return refused_token("token has no iat or exp");
  if (now_s >= *expires) return refused_token("token has expired");
  if (*issued > now_s + std::chrono::seconds(limits::kAssertionLeeway).count()) {
    return refused_token("token iat is in the future");
  }
  if (*expires - *issued > options_.lifetime.count()) return refused_token("token lives too long");

  const std::string* user = string_member(claims, "sub");
  const auto device = number_of(string_member(claims, "did"));
  const auto session = number_of(string_member(claims, "sid"));
  const std::string* token_id = string_member(claims, "jti");
  if (user == nullptr || !check_user_id(*user).ok() || !device || !session || token_id == nullptr) {
    return refused_token("token lacks a claim");
  }
  return Identity{*user, DeviceId{*device}, SessionId{*session}, WallTime(std::chrono::seconds(*expires))};
}

// ---- Refresh tokens ------------------------------------------------------------------------------------------------

RefreshTokens::RefreshTokens(BytesView store_secret) : key_(derive(store_secret, kRefreshKeyNumber)) {}

std::string RefreshTokens::make(const Session& session) const {
  Bytes token;
  token.reserve(kClaimBytes + kMacBytes);
  put(token, session.session_id.value);
  put(token, session.device_id.value);
  put(token, session.generation);
  token += authenticate(token);
  return to_base64url(token);
}

Result<RefreshTokens::Claim> RefreshTokens::verify(std::string_view token) const {
  constexpr const char* kRefusal = "refresh token is not this server's";
  constexpr std::size_t kTextBytesMax = (kClaimBytes + kMacBytes) * 4 / 3 + 2;
  if (token.size() > kTextBytesMax) return refused_token(kRefusal);
  const auto bytes = from_base64url(token);
  if (!bytes || bytes->size() != kClaimBytes + kMacBytes) return refused_token(kRefusal);
  BytesView claim = BytesView(*bytes).substr(0, kClaimBytes);
  const Bytes expected = authenticate(claim);
  if (sodium_memcmp(expected.data(), bytes->data() + kClaimBytes, kMacBytes) != 0) return refused_token(kRefusal);
  Claim result;
  result.session_id.value = take(claim, 8);
  result.device_id.value = take(claim, 8);
  result.generation = static_cast<std::uint32_t>(take(claim, 4));
  return result;
}

Bytes RefreshTokens::authenticate(BytesView claim) const {
  Bytes mac(kMacBytes, '\0');
  crypto_generichash(reinterpret_cast<unsigned char*>(mac.data()), mac.size(),
                     reinterpret_cast<const unsigned char*>(claim.data()), claim.size(), key_.data(),
                     Secret<32>::size());
  return mac;
}

}  // namespace chatsdk::server
