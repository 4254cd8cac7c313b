// SPDX-License-Identifier: Apache-2.0
#include "e2ee/mlkem_poly.h"

#include "e2ee/constant_time.h"

namespace chatsdk::mlkem {
namespace {

constexpr std::size_t kRoots = kCoefficients / 2;

// 17^exponent mod q: 17 is the root of unity of order 256 that FIPS 203 chose.
consteval std::uint32_t power_of_root(unsigned exponent) {
  std::uint32_t power = 1;
  for (unsigned i = 0; i < exponent; ++i) power = reduce(power * 17U);
  return power;
}

// The lowest seven bits in the opposite order: BitRev7.
consteval unsigned reversed(unsigned number) {
  unsigned result = 0;
  for (unsigned bit = 0; bit < 7; ++bit) result |= ((number >> bit) & 1U) << (6U - bit);
  return result;
}

// 17^(factor * BitRev7(i) + offset) for each i.
consteval std::array<std::uint32_t, kRoots> powers(unsigned factor, unsigned offset) {
  std::array<std::uint32_t, kRoots> table{};
  for (unsigned i = 0; i < kRoots; ++i) table[i] = power_of_root(factor * reversed(i) + offset);
  return table;
}

constexpr auto kTransformRoots = powers(1, 0);
constexpr auto kProductRoots = powers(2, 1);
constexpr std::uint32_t kInverseOf128 = 3303;
static_assert(reduce(kInverseOf128 * 128U) == 1);

std::uint16_t narrow(std::uint32_t number) { return static_cast<std::uint16_t>(number); }

}  // namespace

// The products are reduced and the sums are not: each of the seven layers adds at most q to what came in, so
// coefficients stay below 8q, which is less than 2^16, and the products below 7 q^2.
void ntt(Poly& poly) {
  std::size_t next_root = 1;
  for (std::size_t length = 128; length >= 2; length /= 2) {
    for (std::size_t start = 0; start < kCoefficients; start += 2 * length) {
      const std::uint32_t root = kTransformRoots[next_root++];
      for (std::size_t j = start; j < start + length; ++j) {
        const std::uint32_t product = reduce(root * poly.at[j + length]);
        poly.at[j + length] = narrow(poly.at[j] + kQ - product);
        poly.at[j] = narrow(poly.at[j] + product);
      }
    }
  }
  reduce(poly);
}

// Here sums would double in each layer, and are reduced.
void inverse_ntt(Poly& poly) {
  std::size_t next_root = kRoots - 1;
  for (std::size_t length = 2; length <= 128; length *= 2) {
    for (std::size_t start = 0; start < kCoefficients; start += 2 * length) {
      const std::uint32_t root = kTransformRoots[next_root--];
      for (std::size_t j = start; j < start + length; ++j) {
        const std::uint32_t low = poly.at[j];
        const std::uint32_t high = poly.at[j + length];
        poly.at[j] = narrow(reduce(low + high));
        poly.at[j + length] = narrow(reduce(root * (high + kQ - low)));
      }
    }
  }
  for (std::uint16_t& coefficient : poly.at) coefficient = narrow(reduce(coefficient * kInverseOf128));
}

void add(Poly& sum, const Poly& term) {
  for (std::size_t i = 0; i < kCoefficients; ++i) {
    sum.at[i] = narrow(reduce(std::uint32_t{sum.at[i]} + term.at[i]));
  }
}

void subtract(Poly& difference, const Poly& term) {
  for (std::size_t i = 0; i < kCoefficients; ++i) {
    difference.at[i] = narrow(reduce(difference.at[i] + kQ - term.at[i]));
  }
}

// Pairs of coefficients are numbers a0 + a1 X modulo X^2 - root. Six products below q^2 add up before they are reduced.
void inner_product(const Vector& a, const Vector& b, Poly& product) {
  static_assert(2 * kRank * kQ * kQ < kReducible);
  for (std::size_t i = 0; i < kRoots; ++i) {
    std::uint32_t even = 0;
    std::uint32_t odd = 0;
    for (std::size_t k = 0; k < kRank; ++k) {
      const std::uint32_t a0 = a[k].at[2 * i];
      const std::uint32_t a1 = a[k].at[2 * i + 1];
      const std::uint32_t b0 = b[k].at[2 * i];
      const std::uint32_t b1 = b[k].at[2 * i + 1];
      even += a0 * b0 + reduce(a1 * b1) * kProductRoots[i];
      odd += a0 * b1 + a1 * b0;
    }
    product.at[2 * i] = narrow(reduce(even));
    product.at[2 * i + 1] = narrow(reduce(odd));
  }
}

void sample_uniform(std::span<const unsigned char, 32> seed, unsigned char x, unsigned char y, Poly& poly) {
  const std::array<unsigned char, 2> indices{x, y};
  Sponge stream = Sponge::shake128();
  stream.absorb(seed);
  stream.absorb(indices);

  std::array<unsigned char, Sponge::kShake128Rate> block;
  static_assert(block.size() % 3 == 0);
  std::size_t filled = 0;
  while (filled < kCoefficients) {
    stream.squeeze(block);
    for (std::size_t i = 0; i < block.size(); i += 3) {
      const unsigned first = block[i] | ((block[i + 1] & 0x0FU) << 8U);
      const unsigned second = (block[i + 1] >> 4U) | (unsigned{block[i + 2]} << 4U);
      if (first < kQ && filled < kCoefficients) poly.at[filled++] = narrow(first);
      if (second < kQ && filled < kCoefficients) poly.at[filled++] = narrow(second);
    }
  }
}

// Each coefficient is the sum of two bits less the sum of the next two.
void sample_small(std::span<const unsigned char, 32> seed, unsigned char nonce, Poly& poly) {
  std::array<unsigned char, kCoefficients / 2> bits;
  shake256({seed, {&nonce, 1}}, bits);
  for (std::size_t i = 0; i < kCoefficients; ++i) {
    const unsigned nibble = unsigned{bits[i / 2]} >> (4 * (i % 2));
    const unsigned plus = (nibble & 1U) + ((nibble >> 1U) & 1U);
    const unsigned minus = ((nibble >> 2U) & 1U) + ((nibble >> 3U) & 1U);
    poly.at[i] = narrow(reduce(plus + kQ - minus));
  }
  sodium_memzero(bits.data(), bits.size());
}

void compress(Poly& poly, unsigned bits) {
  for (std::uint16_t& coefficient : poly.at) coefficient = narrow(compress(coefficient, bits));
}

// Of one bit there are two results, between which a compiler would like to choose; so it does not see that it is a bit.
void decompress(Poly& poly, unsigned bits) {
  for (std::uint16_t& coefficient : poly.at) coefficient = narrow(decompress(hidden(coefficient), bits));
}

// The lowest bit of the lowest coefficient comes first.
void encode(const Poly& poly, unsigned bits, unsigned char* bytes) {
  std::uint32_t pending = 0;
  unsigned filled = 0;
  for (const std::uint16_t coefficient : poly.at) {
    pending |= std::uint32_t{coefficient} << filled;
    for (filled += bits; filled >= 8; filled -= 8) {
      *bytes++ = static_cast<unsigned char>(pending & 0xFFU);
      pending >>= 8U;
    }
  }
}

void decode(const unsigned char* bytes, unsigned bits, Poly& poly) {
  std::uint32_t pending = 0;
  unsigned filled = 0;
  for (std::uint16_t& coefficient : poly.at) {
    for (; filled < bits; filled += 8) pending |= std::uint32_t{*bytes++} << filled;
    coefficient = narrow(pending & ((1U << bits) - 1U));
    pending >>= bits;
    filled -= bits;
  }
}

void reduce(Poly& poly) {
  for (std::uint16_t& coefficient : poly.at) coefficient = narrow(reduce(std::uint32_t{coefficient}));
}

bool is_reduced(const Poly& poly) {
  for (const std::uint16_t coefficient : poly.at) {
    if (coefficient >= kQ) return false;
  }
  return true;
}

}  // namespace chatsdk::mlkem
