// SPDX-License-Identifier: Apache-2.0
//
// The primitives of docs/e2ee.md section 2, under the names of that page, and the checks of keys that go with them. The
// only file of this layer that calls libsodium for its arithmetic; ML-KEM is behind e2ee/kem.h. What a key is for, and
// what is hashed, is known above. sodium_init() was called before.
//
// Threads: pure functions.
// Invariants:
//   1. No branch and no address depends on a secret or on a plaintext.
//   2. Every intermediate value that was computed from a secret is wiped before a function returns.
//   3. Nothing draws random bytes by itself.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>
#include <utility>

#include "base/bytes.h"
#include "base/random.h"
#include "base/result.h"
#include "base/secret.h"
#include "e2ee/labels.h"
#include "e2ee/wire.h"

namespace chatsdk::e2ee {

using Parts = std::initializer_list<BytesView>;  // one after the other, without lengths between them

using AgreementSecret = Secret<32>;  // X25519, as drawn
using SigningSeed = Secret<32>;      // Ed25519
using SealKey = Secret<64>;          // the key of AEAD, then the commitment

inline constexpr std::size_t kSealOverheadBytes = 72;  // nonce, commitment, tag

template <std::size_t kSize>
BytesView view(const Secret<kSize>& secret) {
  return {reinterpret_cast<const char*>(secret.data()), kSize};
}

// The salt 0^64 of HKDF.
BytesView no_salt();

// H(x), and H("label" ‖ x).
Hash hash(Parts parts);
Hash hash(const Label& label, Parts parts);
// SHA-512 whole.
Secret<64> sha512(Parts parts);
// HM(k, x).
Secret<64> hmac(BytesView key, Parts parts);
// HKDF(salt, ikm, info, n) for n up to 255 * 64.
void hkdf(BytesView salt, BytesView ikm, Parts info, std::span<unsigned char> out);
template <std::size_t kSize>
Secret<kSize> hkdf(BytesView salt, BytesView ikm, Parts info) {
  Secret<kSize> out;
  hkdf(salt, ikm, info, std::span<unsigned char>(out.data(), kSize));
  return out;
}
// "a ‖ b = f(…)".
std::pair<Secret<32>, Secret<32>> halves(const Secret<64>& secret);

// In constant time, of two strings of one length; false for others.
bool equal_secrets(BytesView a, BytesView b);

// What section 2.1 demands of a public key.
bool is_valid(const SigningKey& key);
bool is_valid(const AgreementKey& key);

AgreementKey public_of(const AgreementSecret& secret);
// X25519 with a valid key; nullopt where the result is zero.
std::optional<Secret<32>> x25519(const AgreementSecret& secret, const AgreementKey& key);

SigningKey signing_key_of(const SigningSeed& seed);
// sign(seed, "label", x).
Signature sign(const SigningSeed& seed, const Label& label, BytesView x);
// A seed with its public key, for who signs often: the key is half of what a signature costs. It is always that of the
// seed, since a signature made with another one gives the seed away.
class SigningPair {
 public:
  SigningPair() = default;  // of nobody
  explicit SigningPair(SigningSeed seed) : seed_(std::move(seed)), key_(signing_key_of(seed_)) {}

  const SigningSeed& seed() const { return seed_; }
  const SigningKey& key() const { return key_; }
  SigningPair clone() const;

 private:
  SigningSeed seed_;
  SigningKey key_;
};
Signature sign(const SigningPair& pair, const Label& label, BytesView x);
// Strict (section 2.2), with a key that is_valid() accepted when it was read.
bool verify(const SigningKey& key, const Label& label, BytesView x, const Signature& signature);

// Section 2.3. A key seals one plaintext: it is moved in and wiped.
Bytes seal(SealKey key, const Nonce& nonce, BytesView plain, BytesView associated);
// nullopt for everything that seal() did not make with this key and these associated data.
std::optional<Bytes> unseal(const SealKey& key, BytesView sealed, BytesView associated);

inline constexpr std::size_t kArgonSaltBytes = 16;
// Version 0x13, one lane. INVALID_ARGUMENT for a salt of another length or for a cost below Argon2's own least;
// NO_MEMORY.
Result<Secret<32>> argon2id(BytesView passphrase, BytesView salt, std::uint32_t passes, std::uint32_t memory_kib);

template <std::size_t kSize>
Secret<kSize> draw_secret(Random& random) {
  Secret<kSize> secret;
  random.fill(std::span<unsigned char>(secret.data(), kSize));
  return secret;
}
template <typename T>
T draw(Random& random) {
  T fixed;
  random.fill(fixed.bytes);
  return fixed;
}

}  // namespace chatsdk::e2ee
