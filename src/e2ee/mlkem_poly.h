// SPDX-License-Identifier: Apache-2.0
//
// Arithmetic of ML-KEM: polynomials of 256 coefficients modulo q = 3329, their number-theoretic transform, sampling,
// compression and encoding (FIPS 203 sections 4.2 and 4.3). It knows no keys and no parameter set: what differs between
// those are the widths, which are arguments.
//
// Nothing here divides and nothing here compares: the one way back below q is a multiplication and a shift, which is
// exact over the whole range that is ever handed to it, so that there is no mask for a compiler to turn into a branch.
//
// Threads: values and pure functions.
// Invariants:
//   1. Between two calls every coefficient of a polynomial is in [0, q); in a compressed one in [0, 2^bits).
//   2. No branch and no address depends on a coefficient, sample_uniform() and is_reduced() apart: they see public
//      ones.
#pragma once

#include <sodium.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "e2ee/keccak.h"

namespace chatsdk::mlkem {

inline constexpr std::uint32_t kQ = 3329;
inline constexpr std::size_t kCoefficients = 256;

// Everything below this may be reduced. The largest number that is: 7 q^2, in the transform.
inline constexpr std::uint32_t kReducible = 1U << 28U;
static_assert(7 * kQ * kQ < kReducible);

// floor(number / q), for number < kReducible, without the division whose time would depend on the number. With
// m = ceil(2^40 / q), number m / 2^40 is more than number / q by number (m q - 2^40) / (2^40 q). That is less than
// 1 / q, and number / q is at least so far below the next integer.
constexpr std::uint32_t quotient(std::uint32_t number) {
  constexpr std::uint64_t kInverse = ((std::uint64_t{1} << 40U) + kQ - 1) / kQ;
  static_assert((kInverse * kQ - (std::uint64_t{1} << 40U)) * kReducible < std::uint64_t{1} << 40U);
  return static_cast<std::uint32_t>((number * kInverse) >> 40U);
}

// number mod q, for number < kReducible.
constexpr std::uint32_t reduce(std::uint32_t number) { return number - quotient(number) * kQ; }

// round(2^bits / q * x) mod 2^bits, for x < q and bits <= 11. There are no ties to round: q is odd.
constexpr std::uint32_t compress(std::uint32_t x, unsigned bits) {
  return quotient((x << bits) + kQ / 2) & ((1U << bits) - 1U);
}

// round(q / 2^bits * y), for y < 2^bits and 1 <= bits <= 11.
constexpr std::uint32_t decompress(std::uint32_t y, unsigned bits) { return (y * kQ + (1U << (bits - 1U))) >> bits; }

// Wiped when it ends, as most of them are secret.
struct Poly {
  std::array<std::uint16_t, kCoefficients> at{};

  Poly() = default;
  ~Poly() { sodium_memzero(at.data(), sizeof at); }
  Poly(const Poly&) = delete;
  Poly& operator=(const Poly&) = delete;
};

// Three of them are ML-KEM-768's vector and each row of its matrix.
inline constexpr std::size_t kRank = 3;
using Vector = std::array<Poly, kRank>;

// Into the transform's domain and back: FIPS 203 algorithms 9 and 10.
void ntt(Poly& poly);
void inverse_ntt(Poly& poly);

void add(Poly& sum, const Poly& term);
void subtract(Poly& difference, const Poly& term);
// The sum of the three products, all of it in the transform's domain: algorithm 11.
void inner_product(const Vector& a, const Vector& b, Poly& product);

// SampleNTT, algorithm 7, of seed ‖ x ‖ y: uniform, and public as the seed is.
void sample_uniform(std::span<const unsigned char, 32> seed, unsigned char x, unsigned char y, Poly& poly);
// SamplePolyCBD, algorithm 8, with η = 2 of PRF(seed, nonce): small, and secret.
void sample_small(std::span<const unsigned char, 32> seed, unsigned char nonce, Poly& poly);

void compress(Poly& poly, unsigned bits);
void decompress(Poly& poly, unsigned bits);

// ByteEncode and ByteDecode, algorithms 5 and 6, of 32 * bits bytes; decode() leaves 12-bit numbers as they are, so
// that they can be looked at, and reduce() ends what the algorithm says.
void encode(const Poly& poly, unsigned bits, unsigned char* bytes);
void decode(const unsigned char* bytes, unsigned bits, Poly& poly);
void reduce(Poly& poly);
// Whether every coefficient is below q; of public ones.
bool is_reduced(const Poly& poly);

}  // namespace chatsdk::mlkem
