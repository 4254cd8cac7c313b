// SPDX-License-Identifier: Apache-2.0
#include "e2ee/mlkem768.h"

#include <cstring>

#include "e2ee/constant_time.h"
#include "e2ee/keccak.h"
#include "e2ee/mlkem_poly.h"

namespace chatsdk::mlkem768 {
namespace {

using namespace chatsdk::mlkem;

// FIPS 203 table 2: k = 3, both η = 2, d_u = 10, d_v = 4.
constexpr unsigned char kParameterK = kRank;
constexpr unsigned kBitsOfQ = 12;
constexpr unsigned kBitsOfU = 10;
constexpr unsigned kBitsOfV = 4;

constexpr std::size_t encoded_bytes(unsigned bits) { return kCoefficients / 8 * bits; }
constexpr std::size_t kVectorBytes = kRank * encoded_bytes(kBitsOfQ);

// Where the parts lie: ek = t ‖ ρ, dk = s ‖ ek ‖ H(ek) ‖ z, c = u ‖ v.
constexpr std::size_t kEkInDk = kVectorBytes;
constexpr std::size_t kHashInDk = kEkInDk + kEncapsulationKeyBytes;
constexpr std::size_t kRejectionInDk = kHashInDk + 32;
constexpr std::size_t kVInCiphertext = kRank * encoded_bytes(kBitsOfU);
static_assert(kVectorBytes + 32 == kEncapsulationKeyBytes);
static_assert(kRejectionInDk + 32 == kDecapsulationKeyBytes);
static_assert(kVInCiphertext + encoded_bytes(kBitsOfV) == kCiphertextBytes);

using Bytes32 = std::span<const unsigned char, 32>;

// What G gives: two strings of 32 bytes.
struct Halves {
  Secret<64> bytes;
  Bytes32 first() const { return Bytes32(bytes.data(), 32); }
  Bytes32 second() const { return Bytes32(bytes.data() + 32, 32); }
};

Halves hash_g(std::initializer_list<ByteSpan> parts) {
  Halves halves;
  sha3_512(parts, std::span<unsigned char, 64>(halves.bytes.data(), 64));
  return halves;
}

// A row of the matrix, or of its transpose.
void sample_row(Bytes32 rho, std::size_t row, bool transposed, Vector& entries) {
  const auto fixed = static_cast<unsigned char>(row);
  for (unsigned char j = 0; j < kRank; ++j) {
    sample_uniform(rho, transposed ? fixed : j, transposed ? j : fixed, entries[j]);
  }
}

// Small vectors take the nonces from `nonce` on, and go into the transform's domain.
void sample_small_vector(Bytes32 seed, unsigned char nonce, Vector& vector) {
  for (Poly& poly : vector) {
    sample_small(seed, nonce++, poly);
    ntt(poly);
  }
}

void encode_vector(const Vector& vector, unsigned char* bytes) {
  for (std::size_t i = 0; i < kRank; ++i) encode(vector[i], kBitsOfQ, bytes + i * encoded_bytes(kBitsOfQ));
}

void decode_vector(const unsigned char* bytes, Vector& vector) {
  for (std::size_t i = 0; i < kRank; ++i) {
    decode(bytes + i * encoded_bytes(kBitsOfQ), kBitsOfQ, vector[i]);
    reduce(vector[i]);
  }
}

// K-PKE.KeyGen, algorithm 13: t = A s + e. Writes t ‖ ρ and s.
void generate_pke(Bytes32 d, EncapsulationKey& public_key, unsigned char* secret_key) {
  const Halves seeds = hash_g({d, {&kParameterK, 1}});
  const Bytes32 rho = seeds.first();
  const Bytes32 sigma = seeds.second();
  declassify(rho);  // it is in the public key as it is

  Vector s;
  Vector e;
  Vector t;
  Vector row;
  sample_small_vector(sigma, 0, s);
  sample_small_vector(sigma, kRank, e);
  for (std::size_t i = 0; i < kRank; ++i) {
    sample_row(rho, i, false, row);
    inner_product(row, s, t[i]);
    add(t[i], e[i]);
  }
  encode_vector(t, public_key.data());
  std::memcpy(public_key.data() + kVectorBytes, rho.data(), rho.size());
  encode_vector(s, secret_key);
}

// K-PKE.Encrypt, algorithm 14: u = A^T y + e1, v = t y + e2 + message.
void encrypt_pke(EncapsulationKeyView public_key, Bytes32 message, Bytes32 randomness, Ciphertext& ciphertext) {
  const Bytes32 rho(public_key.data() + kVectorBytes, 32);
  unsigned char nonce = kRank;  // y takes the first ones
  Vector y;
  Vector other;
  Poly sum;
  Poly small;
  sample_small_vector(randomness, 0, y);
  for (std::size_t i = 0; i < kRank; ++i) {
    sample_row(rho, i, true, other);
    inner_product(other, y, sum);
    inverse_ntt(sum);
    sample_small(randomness, nonce++, small);
    add(sum, small);
    compress(sum, kBitsOfU);
    encode(sum, kBitsOfU, ciphertext.data() + i * encoded_bytes(kBitsOfU));
  }

  decode_vector(public_key.data(), other);
  inner_product(other, y, sum);
  inverse_ntt(sum);
  sample_small(randomness, nonce, small);
  add(sum, small);
  decode(message.data(), 1, small);
  decompress(small, 1);
  add(sum, small);
  compress(sum, kBitsOfV);
  encode(sum, kBitsOfV, ciphertext.data() + kVInCiphertext);
}

// K-PKE.Decrypt, algorithm 15: the message is what is left of v - s u.
void decrypt_pke(const unsigned char* secret_key, CiphertextView ciphertext, Message& message) {
  Vector s;
  Vector u;
  Poly noise;
  Poly rest;
  decode_vector(secret_key, s);
  for (std::size_t i = 0; i < kRank; ++i) {
    decode(ciphertext.data() + i * encoded_bytes(kBitsOfU), kBitsOfU, u[i]);
    decompress(u[i], kBitsOfU);
    ntt(u[i]);
  }
  inner_product(s, u, noise);
  inverse_ntt(noise);
  decode(ciphertext.data() + kVInCiphertext, kBitsOfV, rest);
  decompress(rest, kBitsOfV);
  subtract(rest, noise);
  compress(rest, 1);
  encode(rest, 1, message.data());
}

EncapsulationKeyView encapsulation_key_of(const DecapsulationKey& key) {
  return EncapsulationKeyView(key.data() + kEkInDk, kEncapsulationKeyBytes);
}

// H of section 4.1.
std::array<unsigned char, 32> hash_h(EncapsulationKeyView key) {
  std::array<unsigned char, 32> hash;
  sha3_256({key}, hash);
  return hash;
}

}  // namespace

void generate(const Seed& seed, EncapsulationKey& encapsulation_key, DecapsulationKey& decapsulation_key) {
  generate_pke(Bytes32(seed.data(), 32), encapsulation_key, decapsulation_key.data());
  const auto hash = hash_h(encapsulation_key);
  std::memcpy(decapsulation_key.data() + kEkInDk, encapsulation_key.data(), encapsulation_key.size());
  std::memcpy(decapsulation_key.data() + kHashInDk, hash.data(), hash.size());
  std::memcpy(decapsulation_key.data() + kRejectionInDk, seed.data() + 32, 32);
}

bool is_valid(EncapsulationKeyView encapsulation_key) {
  Poly poly;
  for (std::size_t i = 0; i < kRank; ++i) {
    decode(encapsulation_key.data() + i * encoded_bytes(kBitsOfQ), kBitsOfQ, poly);
    if (!is_reduced(poly)) return false;
  }
  return true;
}

bool is_valid(const DecapsulationKey& decapsulation_key) {
  const auto hash = hash_h(encapsulation_key_of(decapsulation_key));
  return equal_mask(hash, Bytes32(decapsulation_key.data() + kHashInDk, 32)) != 0;
}

void encapsulate(EncapsulationKeyView encapsulation_key, const Message& message, Ciphertext& ciphertext,
                 SharedSecret& shared_secret) {
  const Bytes32 m(message.data(), 32);
  const Halves derived = hash_g({m, hash_h(encapsulation_key)});
  encrypt_pke(encapsulation_key, m, derived.second(), ciphertext);
  std::memcpy(shared_secret.data(), derived.first().data(), 32);
}

void decapsulate(const DecapsulationKey& decapsulation_key, CiphertextView ciphertext, SharedSecret& shared_secret) {
  Message message;
  decrypt_pke(decapsulation_key.data(), ciphertext, message);
  const Bytes32 m(message.data(), 32);
  const Halves derived = hash_g({m, Bytes32(decapsulation_key.data() + kHashInDk, 32)});

  // The rejection's secret is computed in any case, and gives way only where the same ciphertext comes out again.
  const std::span<unsigned char, 32> secret(shared_secret.data(), 32);
  shake256({Bytes32(decapsulation_key.data() + kRejectionInDk, 32), ciphertext}, secret);
  Ciphertext again;
  encrypt_pke(encapsulation_key_of(decapsulation_key), m, derived.second(), again);
  copy_where(equal_mask(ciphertext, again), derived.first(), secret);
  sodium_memzero(again.data(), again.size());
}

}  // namespace chatsdk::mlkem768
