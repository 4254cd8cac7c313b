// SPDX-License-Identifier: Apache-2.0
#include "unit/server/forge.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <sodium.h>

#include <array>

#include "base/assert.h"

namespace chatsdk::server::testing {

namespace {

const unsigned char* octets(std::string_view bytes) { return reinterpret_cast<const unsigned char*>(bytes.data()); }
unsigned char* octets(Bytes& bytes) { return reinterpret_cast<unsigned char*>(bytes.data()); }

Bytes number_of(const EVP_PKEY* key, const char* name, int width) {
  BIGNUM* number = nullptr;
  CHATSDK_ASSERT(EVP_PKEY_get_bn_param(key, name, &number) == 1);
  Bytes bytes(static_cast<std::size_t>(width == 0 ? BN_num_bytes(number) : width), '\0');
  BN_bn2binpad(number, octets(bytes), static_cast<int>(bytes.size()));
  BN_free(number);
  return bytes;
}

std::string text_of(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  std::string text(data, static_cast<std::size_t>(size));
  BIO_free(bio);
  return text;
}

}  // namespace

Signer::Signer(JwsAlgorithm algorithm, evp_pkey_st* key) : algorithm_(algorithm), key_(key, EVP_PKEY_free) {
  CHATSDK_ASSERT(key != nullptr);
}

Signer Signer::make(JwsAlgorithm algorithm) {
  switch (algorithm) {
    case JwsAlgorithm::kRs256:
      return make_rsa(2048);
    case JwsAlgorithm::kEs256:
      return make_curve("P-256");
    case JwsAlgorithm::kEdDsa:
      break;
  }
  return {JwsAlgorithm::kEdDsa, EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519")};
}

Signer Signer::make_rsa(unsigned bits) {
  return {JwsAlgorithm::kRs256, EVP_PKEY_Q_keygen(nullptr, nullptr, "RSA", static_cast<std::size_t>(bits))};
}
Signer Signer::make_curve(const char* name) {
  return {JwsAlgorithm::kEs256, EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", name)};
}

Bytes Signer::sign_der(std::string_view input) const {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  const EVP_MD* digest = algorithm_ == JwsAlgorithm::kEdDsa ? nullptr : EVP_sha256();
  std::size_t size = 0;
  CHATSDK_ASSERT(EVP_DigestSignInit(context, nullptr, digest, nullptr, key_.get()) == 1);
  CHATSDK_ASSERT(EVP_DigestSign(context, nullptr, &size, octets(input), input.size()) == 1);
  Bytes signature(size, '\0');
  CHATSDK_ASSERT(EVP_DigestSign(context, octets(signature), &size, octets(input), input.size()) == 1);
  signature.resize(size);
  EVP_MD_CTX_free(context);
  return signature;
}

Bytes Signer::sign(std::string_view input) const {
  const Bytes der = sign_der(input);
  if (algorithm_ != JwsAlgorithm::kEs256) return der;
  const unsigned char* at = octets(der);
  ECDSA_SIG* signature = d2i_ECDSA_SIG(nullptr, &at, static_cast<long>(der.size()));
  Bytes raw(64, '\0');
  BN_bn2binpad(ECDSA_SIG_get0_r(signature), octets(raw), 32);
  BN_bn2binpad(ECDSA_SIG_get0_s(signature), octets(raw) + 32, 32);
  ECDSA_SIG_free(signature);
  return raw;
}

std::string Signer::public_pem() const {
  BIO* bio = BIO_new(BIO_s_mem());
  CHATSDK_ASSERT(PEM_write_bio_PUBKEY(bio, key_.get()) == 1);
  return text_of(bio);
}
std::string Signer::private_pem() const {
  BIO* bio = BIO_new(BIO_s_mem());
  CHATSDK_ASSERT(PEM_write_bio_PrivateKey(bio, key_.get(), nullptr, nullptr, 0, nullptr, nullptr) == 1);
  return text_of(bio);
}
Bytes Signer::public_der() const {
  unsigned char* der = nullptr;
  const int size = i2d_PUBKEY(key_.get(), &der);
  Bytes bytes(reinterpret_cast<char*>(der), static_cast<std::size_t>(size));
  OPENSSL_free(der);
  return bytes;
}

nlohmann::json Signer::public_jwk(const std::string& key_id) const {
  nlohmann::json jwk = {{"kid", key_id}, {"use", "sig"}, {"alg", jws_algorithm_name(algorithm_)}};
  switch (algorithm_) {
    case JwsAlgorithm::kRs256:
      jwk["kty"] = "RSA";
      jwk["n"] = to_base64url(number_of(key_.get(), OSSL_PKEY_PARAM_RSA_N, 0));
      jwk["e"] = to_base64url(number_of(key_.get(), OSSL_PKEY_PARAM_RSA_E, 0));
      break;
    case JwsAlgorithm::kEs256:
      jwk["kty"] = "EC";
      jwk["crv"] = "P-256";
      jwk["x"] = to_base64url(number_of(key_.get(), OSSL_PKEY_PARAM_EC_PUB_X, 32));
      jwk["y"] = to_base64url(number_of(key_.get(), OSSL_PKEY_PARAM_EC_PUB_Y, 32));
      break;
    case JwsAlgorithm::kEdDsa: {
      Bytes raw(32, '\0');
      std::size_t size = raw.size();
      EVP_PKEY_get_raw_public_key(key_.get(), octets(raw), &size);
      jwk["kty"] = "OKP";
      jwk["crv"] = "Ed25519";
      jwk["x"] = to_base64url(raw);
      break;
    }
  }
  return jwk;
}

// ---- Forges --------------------------------------------------------------------------------------------------------

std::string Forge::token(std::string_view header_text, std::string_view claims_text) const {
  const std::string input = to_base64url(header_text) + "." + to_base64url(claims_text);
  return input + "." + to_base64url(sign(input));
}
std::string Forge::with_header(const std::string& member, nlohmann::json value) const {
  nlohmann::json changed = header;
  changed[member] = std::move(value);
  return token(changed.dump(), claims.dump());
}
std::string Forge::with_claim(const std::string& member, nlohmann::json value) const {
  nlohmann::json changed = claims;
  changed[member] = std::move(value);
  return token(header.dump(), changed.dump());
}
std::string Forge::without_header(const std::string& member) const {
  nlohmann::json changed = header;
  changed.erase(member);
  return token(changed.dump(), claims.dump());
}
std::string Forge::without_claim(const std::string& member) const {
  nlohmann::json changed = claims;
  changed.erase(member);
  return token(header.dump(), changed.dump());
}

namespace {

// The access tokens' key pair as anyone with the store's secret can derive it.
Bytes access_secret_key(const Bytes& store_secret, Bytes& public_key) {
  std::array<unsigned char, 32> seed{};
  crypto_kdf_derive_from_key(seed.data(), seed.size(), 1, "chattokn", octets(store_secret));
  Bytes secret_key(crypto_sign_SECRETKEYBYTES, '\0');
  public_key.assign(crypto_sign_PUBLICKEYBYTES, '\0');
  crypto_sign_seed_keypair(octets(public_key), octets(secret_key), seed.data());
  return secret_key;
}

Forge access_forge_of(const TokenWorld& world) {
  Forge forge;
  forge.name = "Access";
  forge.key_id = world.access.key_id();
  forge.algorithm = "EdDSA";
  forge.header = {{"alg", "EdDSA"}, {"kid", forge.key_id}, {"typ", "at+jwt"}};
  forge.claims = {
      {"iss", "chatsdk"}, {"aud", "chatsdk"},         {"sub", "alice"},    {"did", "71"},
      {"sid", "72"},      {"iat", kForgeNow.count()}, {"jti", "anything"}, {"exp", kForgeNow.count() + 900}};
  Bytes public_key;
  const Bytes secret_key = access_secret_key(world.store_secret, public_key);
  forge.sign = [secret_key](std::string_view input) {
    Bytes signature(crypto_sign_BYTES, '\0');
    crypto_sign_detached(octets(signature), nullptr, octets(input), input.size(), octets(secret_key));
    return signature;
  };
  forge.public_der = public_key;
  forge.public_pem = to_base64url(public_key) + "\n";
  forge.verify = [&world](std::string_view token) -> Status {
    CHATSDK_TRY(world.access.verify_access_token(token, forge_now()));
    return {};
  };
  return forge;
}

Forge app_forge_of(const TokenWorld& world, std::string name, std::string key_id, const Signer& signer) {
  Forge forge;
  forge.name = std::move(name);
  forge.key_id = std::move(key_id);
  forge.algorithm = jws_algorithm_name(signer.algorithm());
  forge.header = {{"alg", forge.algorithm}, {"kid", forge.key_id}, {"typ", "JWT"}};
  forge.claims = {{"iss", "https://app.example"},
                  {"aud", "chat.example"},
                  {"sub", "alice"},
                  {"iat", kForgeNow.count()},
                  {"exp", kForgeNow.count() + 300}};
  forge.sign = [signer](std::string_view input) { return signer.sign(input); };
  forge.public_pem = signer.public_pem();
  forge.public_der = signer.public_der();
  forge.verify = [&world](std::string_view token) -> Status {
    CHATSDK_TRY(world.app.verify_assertion(token, forge_now()));
    return {};
  };
  return forge;
}

}  // namespace

TokenWorld::TokenWorld()
    : store_secret(32, 's'),
      access(store_secret, {}),
      refresh(store_secret),
      app(AppTokenOptions{"https://app.example", "chat.example"}) {
  session.session_id = {72};
  session.device_id = {71};
  session.user_id = "alice";
  access_forge = access_forge_of(*this);
  const Signer rsa = Signer::make(JwsAlgorithm::kRs256);
  const Signer p256 = Signer::make(JwsAlgorithm::kEs256);
  const Signer ed25519 = Signer::make(JwsAlgorithm::kEdDsa);
  CHATSDK_ASSERT(app.add_pem("rsa-1", rsa.public_pem()).ok());
  const nlohmann::json set = {{"keys", {p256.public_jwk("p256-1"), ed25519.public_jwk("ed-1")}}};
  CHATSDK_ASSERT(app.add_jwk_set(set.dump()).ok());
  app_forges = {app_forge_of(*this, "Rs256", "rsa-1", rsa), app_forge_of(*this, "Es256", "p256-1", p256),
                app_forge_of(*this, "EdDsa", "ed-1", ed25519)};
}

const TokenWorld& TokenWorld::instance() {
  static const TokenWorld world;
  return world;
}

}  // namespace chatsdk::server::testing
