// SPDX-License-Identifier: Apache-2.0
#include "e2ee/primitives.h"

#include <sodium.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "base/fault.h"
#include "e2ee/hkdf.h"

namespace chatsdk::e2ee {
namespace {

constexpr std::size_t kTagBytes = crypto_aead_xchacha20poly1305_ietf_ABYTES;
static_assert(kSealOverheadBytes == Nonce::size() + 32 + kTagBytes);
static_assert(Nonce::size() == crypto_aead_xchacha20poly1305_ietf_NPUBBYTES);
static_assert(kArgonSaltBytes == crypto_pwhash_SALTBYTES);

using Bytes32 = std::array<unsigned char, 32>;

const unsigned char* raw(BytesView bytes) { return reinterpret_cast<const unsigned char*>(bytes.data()); }
unsigned char* raw(Bytes& bytes) { return reinterpret_cast<unsigned char*>(bytes.data()); }

constexpr Bytes32 ending(unsigned char first, unsigned char middle, unsigned char last) {
  Bytes32 bytes{};
  bytes.fill(middle);
  bytes[0] = first;
  bytes[31] = last;
  return bytes;
}

// p = 2^255 - 19.
constexpr Bytes32 kFieldPrime = ending(0xED, 0xFF, 0x7F);

// The canonical keys of low order: 0, 1, two of order 8, p - 1.
constexpr std::array<Bytes32, 5> kLowOrder = {
    ending(0, 0, 0), ending(1, 0, 0),
    Bytes32{0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3, 0xfa, 0xf1, 0x9f, 0xc4, 0x6a,
            0xda, 0x09, 0x8d, 0xeb, 0x9c, 0x32, 0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49, 0xb8, 0x00},
    Bytes32{0x5f, 0x9c, 0x95, 0xbc, 0xa3, 0x50, 0x8c, 0x24, 0xb1, 0xd0, 0xb1, 0x55, 0x9c, 0x83, 0xef, 0x5b,
            0x04, 0x44, 0x5c, 0xc4, 0x58, 0x1c, 0x8e, 0x86, 0xd8, 0x22, 0x4e, 0xdd, 0xd0, 0x9f, 0x11, 0x57},
    ending(0xEC, 0xFF, 0x7F)};

// HMAC whose state is wiped.
class Hmac {
 public:
  static constexpr std::size_t kBytes = crypto_auth_hmacsha512_BYTES;

  // An empty key is one; libsodium takes no null pointer for it.
  explicit Hmac(BytesView key) {
    const unsigned char none = 0;
    crypto_auth_hmacsha512_init(&state_, key.empty() ? &none : raw(key), key.size());
  }
  ~Hmac() { sodium_memzero(&state_, sizeof state_); }
  Hmac(const Hmac&) = delete;
  Hmac& operator=(const Hmac&) = delete;

  void add(BytesView bytes) { crypto_auth_hmacsha512_update(&state_, raw(bytes), bytes.size()); }
  void add(Parts parts) {
    for (const BytesView part : parts) add(part);
  }
  void finish(Secret<kBytes>& out) { crypto_auth_hmacsha512_final(&state_, out.data()); }

 private:
  crypto_auth_hmacsha512_state state_;
};

// SHA-512 whose state is wiped.
class Sha512 {
 public:
  Sha512() { crypto_hash_sha512_init(&state_); }
  ~Sha512() { sodium_memzero(&state_, sizeof state_); }
  Sha512(const Sha512&) = delete;
  Sha512& operator=(const Sha512&) = delete;

  void add(BytesView bytes) { crypto_hash_sha512_update(&state_, raw(bytes), bytes.size()); }
  void add(Parts parts) {
    for (const BytesView part : parts) add(part);
  }
  Secret<64> finish() {
    Secret<64> out;
    crypto_hash_sha512_final(&state_, out.data());
    return out;
  }

 private:
  crypto_hash_sha512_state state_;
};

Bytes concatenated(Parts parts) {
  Bytes bytes;
  std::size_t size = 0;
  for (const BytesView part : parts) size += part.size();
  bytes.reserve(size);
  for (const BytesView part : parts) bytes.append(part);
  return bytes;
}

// The two halves of a seal's key.
BytesView encryption_key(const SealKey& key) { return view(key).substr(0, 32); }
BytesView commitment(const SealKey& key) { return view(key).substr(32); }

}  // namespace

BytesView no_salt() {
  static constexpr std::array<char, 64> kZeros{};
  return {kZeros.data(), kZeros.size()};
}

Secret<64> sha512(Parts parts) {
  Sha512 sha;
  sha.add(parts);
  return sha.finish();
}

Hash hash(Parts parts) { return Hash::from(view(sha512(parts))); }

Hash hash(const Label& label, Parts parts) {
  Sha512 sha;
  sha.add(label.bytes());
  sha.add(parts);
  return Hash::from(view(sha.finish()));
}

Secret<64> hmac(BytesView key, Parts parts) {
  Secret<64> out;
  Hmac mac(key);
  mac.add(parts);
  mac.finish(out);
  return out;
}

void hkdf(BytesView salt, BytesView ikm, Parts info, std::span<unsigned char> out) {
  hkdf_expand<Hmac>(hmac(salt, {ikm}), info, out);
}

std::pair<Secret<32>, Secret<32>> halves(const Secret<64>& secret) {
  return {Secret<32>::copy_of(view(secret).substr(0, 32)), Secret<32>::copy_of(view(secret).substr(32))};
}

bool equal_secrets(BytesView a, BytesView b) {
  return a.size() == b.size() && sodium_memcmp(a.data(), b.data(), a.size()) == 0;
}

// libsodium demands the canonical encoding of a point of the main subgroup, and refuses those of small order.
bool is_valid(const SigningKey& key) { return crypto_core_ed25519_is_valid_point(key.bytes.data()) == 1; }

bool is_valid(const AgreementKey& key) {
  // As numbers, the last byte counts most. This refuses bit 255 as well, since p has it not.
  if (!std::lexicographical_compare(key.bytes.rbegin(), key.bytes.rend(), kFieldPrime.rbegin(), kFieldPrime.rend())) {
    return false;
  }
  if (CHATSDK_PLANTED(Bug::kLowOrderTaken)) return true;
  return std::find(kLowOrder.begin(), kLowOrder.end(), key.bytes) == kLowOrder.end();
}

AgreementKey public_of(const AgreementSecret& secret) {
  AgreementKey key;
  crypto_scalarmult_base(key.bytes.data(), secret.data());
  return key;
}

std::optional<Secret<32>> x25519(const AgreementSecret& secret, const AgreementKey& key) {
  Secret<32> shared;
  const bool computed = crypto_scalarmult(shared.data(), secret.data(), key.bytes.data()) == 0;
  if (CHATSDK_PLANTED(Bug::kLowOrderTaken)) return shared;
  if (!computed || sodium_is_zero(shared.data(), shared.size()) == 1) return std::nullopt;
  return shared;
}

SigningKey signing_key_of(const SigningSeed& seed) {
  SigningKey key;
  Secret<crypto_sign_SECRETKEYBYTES> expanded;
  crypto_sign_seed_keypair(key.bytes.data(), expanded.data(), seed.data());
  return key;
}

Signature sign(const SigningSeed& seed, const Label& label, BytesView x) {
  const Bytes message = concatenated({label.bytes(), x});
  SigningKey key;
  Secret<crypto_sign_SECRETKEYBYTES> expanded;
  crypto_sign_seed_keypair(key.bytes.data(), expanded.data(), seed.data());
  Signature signature;
  crypto_sign_detached(signature.bytes.data(), nullptr, raw(message), message.size(), expanded.data());
  return signature;
}

SigningPair SigningPair::clone() const {
  SigningPair copy;
  copy.seed_ = seed_.clone();
  copy.key_ = key_;
  return copy;
}

Signature sign(const SigningPair& pair, const Label& label, BytesView x) {
  const Bytes message = concatenated({label.bytes(), x});
  Secret<crypto_sign_SECRETKEYBYTES> expanded;  // the seed, then the public key
  std::memcpy(expanded.data(), pair.seed().data(), SigningSeed::size());
  std::memcpy(expanded.data() + SigningSeed::size(), pair.key().bytes.data(), SigningKey::size());
  Signature signature;
  crypto_sign_detached(signature.bytes.data(), nullptr, raw(message), message.size(), expanded.data());
  return signature;
}

// libsodium refuses an S that is not reduced, an R of small order, and every R that is not the very encoding of
// [S]B - [k]A: it does not multiply by the cofactor.
bool verify(const SigningKey& key, const Label& label, BytesView x, const Signature& signature) {
  const Bytes message = concatenated({label.bytes(), x});
  return crypto_sign_verify_detached(signature.bytes.data(), raw(message), message.size(), key.bytes.data()) == 0;
}

Bytes seal(SealKey key, const Nonce& nonce, BytesView plain, BytesView associated) {
  const Bytes bound = concatenated({associated, nonce.view(), commitment(key)});
  Bytes sealed = concatenated({nonce.view(), commitment(key)});
  const std::size_t before = sealed.size();
  sealed.resize(before + plain.size() + kTagBytes);
  crypto_aead_xchacha20poly1305_ietf_encrypt(raw(sealed) + before, nullptr, raw(plain), plain.size(), raw(bound),
                                             bound.size(), nullptr, nonce.bytes.data(), raw(encryption_key(key)));
  return sealed;
}

std::optional<Bytes> unseal(const SealKey& key, BytesView sealed, BytesView associated) {
  if (sealed.size() < kSealOverheadBytes) return std::nullopt;
  const BytesView nonce = sealed.substr(0, Nonce::size());
  const BytesView sent_commitment = sealed.substr(Nonce::size(), 32);
  const BytesView ciphertext = sealed.substr(Nonce::size() + 32);
  const bool committed = CHATSDK_PLANTED(Bug::kCommitmentSkipped) || equal_secrets(sent_commitment, commitment(key));
  if (!committed) return std::nullopt;
  const Bytes bound = concatenated({associated, nonce, sent_commitment});
  Bytes plain(ciphertext.size() - kTagBytes, '\0');
  if (crypto_aead_xchacha20poly1305_ietf_decrypt(raw(plain), nullptr, nullptr, raw(ciphertext), ciphertext.size(),
                                                 raw(bound), bound.size(), raw(nonce), raw(encryption_key(key))) != 0) {
    return std::nullopt;
  }
  return plain;
}

Result<Secret<32>> argon2id(BytesView passphrase, BytesView salt, std::uint32_t passes, std::uint32_t memory_kib) {
  const std::size_t memory_bytes = std::size_t{memory_kib} * 1024;
  if (salt.size() != kArgonSaltBytes || passes < crypto_pwhash_argon2id_OPSLIMIT_MIN ||
      memory_bytes < crypto_pwhash_argon2id_MEMLIMIT_MIN || memory_bytes > crypto_pwhash_argon2id_MEMLIMIT_MAX) {
    return error(Code::kInvalidArgument, "cost or salt of Argon2id");
  }
  Secret<32> derived;
  if (crypto_pwhash_argon2id(derived.data(), derived.size(), passphrase.data(), passphrase.size(), raw(salt), passes,
                             memory_bytes, crypto_pwhash_ALG_ARGON2ID13) != 0) {
    return error(Code::kNoMemory, "Argon2id with " + std::to_string(memory_kib) + " KiB");
  }
  return derived;
}

}  // namespace chatsdk::e2ee
