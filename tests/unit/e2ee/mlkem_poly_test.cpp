// SPDX-License-Identifier: Apache-2.0
//
// The arithmetic against its definitions, which divide and multiply out; over every input where those can be counted.
#include "e2ee/mlkem_poly.h"

#include <gtest/gtest.h>

#include <new>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/random.h"

namespace chatsdk::mlkem {
namespace {

void fill(Random& random, Poly& poly) {
  for (std::uint16_t& coefficient : poly.at) coefficient = static_cast<std::uint16_t>(random.below(kQ));
}

void fill(std::uint16_t value, Poly& poly) { poly.at.fill(value); }

std::uint32_t power(std::uint32_t base, unsigned exponent) {
  std::uint32_t result = 1;
  for (unsigned i = 0; i < exponent; ++i) result = result * base % kQ;
  return result;
}

unsigned reversed(unsigned number) {
  unsigned result = 0;
  for (unsigned bit = 0; bit < 7; ++bit) result |= ((number >> bit) & 1U) << (6U - bit);
  return result;
}

// f modulo X^2 - 17^(2 BitRev7(i) + 1) for each i: what FIPS 203 section 4.3 says the transform is.
std::array<std::uint16_t, kCoefficients> transform_by_definition(const Poly& f) {
  std::array<std::uint16_t, kCoefficients> result{};
  for (unsigned i = 0; i < kCoefficients / 2; ++i) {
    const std::uint32_t root = power(17, 2 * reversed(i) + 1);
    std::uint32_t even = 0;
    std::uint32_t odd = 0;
    for (std::size_t j = kCoefficients / 2; j-- > 0;) {
      even = (even * root + f.at[2 * j]) % kQ;
      odd = (odd * root + f.at[2 * j + 1]) % kQ;
    }
    result[2 * i] = static_cast<std::uint16_t>(even);
    result[2 * i + 1] = static_cast<std::uint16_t>(odd);
  }
  return result;
}

// The sum of the products modulo X^256 + 1, multiplied out.
std::array<std::uint16_t, kCoefficients> product_by_definition(const Vector& a, const Vector& b) {
  std::array<std::uint64_t, kCoefficients> sums{};
  for (std::size_t k = 0; k < kRank; ++k) {
    for (std::size_t i = 0; i < kCoefficients; ++i) {
      for (std::size_t j = 0; j < kCoefficients; ++j) {
        const std::uint64_t term = std::uint64_t{a[k].at[i]} * b[k].at[j];
        sums[(i + j) % kCoefficients] += i + j < kCoefficients ? term : std::uint64_t{kQ} * kQ - term;
      }
    }
  }
  std::array<std::uint16_t, kCoefficients> result{};
  for (std::size_t i = 0; i < kCoefficients; ++i) result[i] = static_cast<std::uint16_t>(sums[i] % kQ);
  return result;
}

std::string encoded(const Poly& poly, unsigned bits) {
  std::vector<unsigned char> bytes(32 * bits);
  encode(poly, bits, bytes.data());
  return {bytes.begin(), bytes.end()};
}

// Every number that the transform and the products hand in.
TEST(MlkemReduction, IsExactOverAllThatIsReduced) {
  std::uint32_t expected_quotient = 0;
  std::uint32_t expected_rest = 0;
  std::uint32_t wrong = 0;
  for (std::uint32_t number = 0; number <= 7 * kQ * kQ; ++number) {
    wrong += quotient(number) != expected_quotient || reduce(number) != expected_rest ? 1U : 0U;
    if (++expected_rest == kQ) {
      expected_rest = 0;
      ++expected_quotient;
    }
  }
  EXPECT_EQ(wrong, 0U);
}

// The quotient never falls as the number grows, so between two multiples of q that it gets right it is right.
TEST(MlkemReduction, IsExactOnBothSidesOfEveryMultipleUpToItsLimit) {
  for (std::uint32_t multiple = kQ; multiple < kReducible; multiple += kQ) {
    ASSERT_EQ(quotient(multiple), multiple / kQ);
    ASSERT_EQ(quotient(multiple - 1), multiple / kQ - 1);
    ASSERT_EQ(reduce(multiple), 0U);
    ASSERT_EQ(reduce(multiple - 1), kQ - 1);
  }
  EXPECT_EQ(quotient(kReducible - 1), (kReducible - 1) / kQ);
}

TEST(MlkemCompression, CompressesEveryCoefficientAsDefined) {
  for (unsigned bits = 1; bits <= 11; ++bits) {
    for (std::uint32_t x = 0; x < kQ; ++x) {
      const std::uint32_t nearest = (2 * (x << bits) + kQ) / (2 * kQ);
      ASSERT_EQ(compress(x, bits), nearest % (1U << bits)) << x << " to " << bits << " bits";
    }
  }
}

TEST(MlkemCompression, DecompressesEveryNumberAsDefined) {
  for (unsigned bits = 1; bits <= 11; ++bits) {
    for (std::uint32_t y = 0; y < 1U << bits; ++y) {
      ASSERT_EQ(decompress(y, bits), (2 * y * kQ + (1U << bits)) / (2U << bits)) << y << " of " << bits << " bits";
      ASSERT_EQ(compress(decompress(y, bits), bits), y) << y << " of " << bits << " bits";
    }
  }
}

TEST(MlkemCompression, TreatsEveryCoefficientOfAPolynomial) {
  SeededRandom random(1);
  Poly poly;
  for (const unsigned bits : {1U, 4U, 10U}) {
    fill(random, poly);
    const auto before = poly.at;
    compress(poly, bits);
    for (std::size_t i = 0; i < kCoefficients; ++i) ASSERT_EQ(poly.at[i], compress(before[i], bits));
    const auto between = poly.at;
    decompress(poly, bits);
    for (std::size_t i = 0; i < kCoefficients; ++i) ASSERT_EQ(poly.at[i], decompress(between[i], bits));
  }
}

TEST(MlkemTransform, IsWhatItsDefinitionSays) {
  SeededRandom random(2);
  Poly poly;
  for (int round = 0; round < 20; ++round) {
    fill(random, poly);
    const auto expected = transform_by_definition(poly);
    ntt(poly);
    ASSERT_EQ(poly.at, expected);
  }
}

// Where the sums that are not reduced in between become largest.
TEST(MlkemTransform, HoldsTheLargestCoefficients) {
  Poly poly;
  for (unsigned pattern = 0; pattern < 256; ++pattern) {
    for (std::size_t i = 0; i < kCoefficients; ++i) {
      poly.at[i] = ((i & pattern) != 0) ? static_cast<std::uint16_t>(kQ - 1) : static_cast<std::uint16_t>(pattern % 2);
    }
    const auto expected = transform_by_definition(poly);
    const auto before = poly.at;
    ntt(poly);
    ASSERT_EQ(poly.at, expected) << "pattern " << pattern;
    inverse_ntt(poly);
    ASSERT_EQ(poly.at, before) << "pattern " << pattern;
  }
}

TEST(MlkemTransform, OfOnlyTheLargestCoefficientsComesBack) {
  Poly poly;
  fill(kQ - 1, poly);
  inverse_ntt(poly);
  ASSERT_TRUE(is_reduced(poly));
  ntt(poly);
  for (const std::uint16_t coefficient : poly.at) EXPECT_EQ(coefficient, kQ - 1);
}

TEST(MlkemProduct, IsThatOfThePolynomials) {
  SeededRandom random(3);
  Vector a;
  Vector b;
  Poly product;
  for (int round = 0; round < 4; ++round) {
    for (std::size_t k = 0; k < kRank; ++k) {
      fill(random, a[k]);
      fill(random, b[k]);
      if (round == 0) {
        fill(kQ - 1, a[k]);
        fill(kQ - 1, b[k]);
      }
    }
    const auto expected = product_by_definition(a, b);
    for (Poly& poly : a) ntt(poly);
    for (Poly& poly : b) ntt(poly);
    inner_product(a, b, product);
    inverse_ntt(product);
    ASSERT_EQ(product.at, expected);
  }
}

TEST(MlkemProduct, HoldsTheLargestCoefficientsOfTheTransformsDomain) {
  Vector largest;
  for (Poly& poly : largest) fill(kQ - 1, poly);
  Poly product;

  inner_product(largest, largest, product);

  for (unsigned i = 0; i < kCoefficients / 2; ++i) {
    EXPECT_EQ(product.at[2 * i], 3 * (1 + power(17, 2 * reversed(i) + 1)) % kQ);
    EXPECT_EQ(product.at[2 * i + 1], 6);
  }
}

TEST(MlkemPoly, AddsAndSubtractsModuloQ) {
  Poly a;
  Poly b;
  for (const unsigned x : {0U, 1U, 1664U, 3327U, 3328U}) {
    for (std::uint16_t y = 0; y < kQ; ++y) {
      a.at[y % kCoefficients] = static_cast<std::uint16_t>(x);
      b.at[y % kCoefficients] = y;
      if (y % kCoefficients != kCoefficients - 1 && y != kQ - 1) continue;
      const auto before = a.at;
      add(a, b);
      for (std::size_t i = 0; i < kCoefficients; ++i) ASSERT_EQ(a.at[i], (before[i] + b.at[i]) % kQ);
      subtract(a, b);
      ASSERT_EQ(a.at, before);
    }
  }
}

TEST(MlkemPoly, IsWipedWhenItEnds) {
  alignas(Poly) std::array<unsigned char, sizeof(Poly)> place;
  Poly* const poly = new (place.data()) Poly;
  fill(3328, *poly);

  poly->~Poly();

  EXPECT_EQ(place, (std::array<unsigned char, sizeof(Poly)>{}));
}

TEST(MlkemEncoding, PutsTheLowestBitFirst) {
  Poly poly;
  poly.at[0] = 0xABC;
  poly.at[1] = 0xDEF;
  EXPECT_EQ(to_hex(encoded(poly, 12).substr(0, 3)), "bcfade");
  poly.at = {0x3FF, 0, 0x3FF, 1};
  EXPECT_EQ(to_hex(encoded(poly, 10).substr(0, 6)), "ff03f07f0000");
  poly.at = {0x1, 0x2, 0xF};
  EXPECT_EQ(to_hex(encoded(poly, 4).substr(0, 2)), "210f");
  poly.at = {1, 0, 0, 0, 0, 0, 0, 1, 1};
  EXPECT_EQ(to_hex(encoded(poly, 1).substr(0, 2)), "8101");
}

TEST(MlkemEncoding, ComesBackInEveryWidth) {
  SeededRandom random(4);
  for (const unsigned bits : {1U, 4U, 10U, 12U}) {
    const std::string bytes = random.bytes(32 * bits);
    Poly poly;
    decode(reinterpret_cast<const unsigned char*>(bytes.data()), bits, poly);
    for (const std::uint16_t coefficient : poly.at) ASSERT_LT(coefficient, 1U << bits);
    EXPECT_EQ(encoded(poly, bits), bytes);
  }
}

TEST(MlkemEncoding, KnowsWhatIsBelowQ) {
  Poly poly;
  for (std::size_t i = 0; i < kCoefficients; ++i) {
    poly.at[i] = kQ - 1;
    EXPECT_TRUE(is_reduced(poly));
    for (std::uint16_t above = kQ; above < 4096; ++above) {
      poly.at[i] = above;
      ASSERT_FALSE(is_reduced(poly)) << above << " at " << i;
    }
    poly.at[i] = 0;
  }
}

TEST(MlkemSampling, SmallCoefficientsAreTheDifferenceOfTwoPairsOfBits) {
  const std::array<unsigned char, 32> seed{7};
  std::array<unsigned char, 128> bits;
  shake256({seed, std::array<unsigned char, 1>{9}}, bits);
  Poly poly;

  sample_small(seed, 9, poly);

  for (std::size_t i = 0; i < kCoefficients; ++i) {
    const int nibble = (bits[i / 2] >> (4 * (i % 2))) & 15;
    const int value = (nibble & 1) + ((nibble >> 1) & 1) - ((nibble >> 2) & 1) - ((nibble >> 3) & 1);
    EXPECT_EQ(poly.at[i], (value + 3329) % 3329);
  }
}

// From C2SP's vectors of unlucky sampling: 576 bytes are read, a case of one in 2^38.
TEST(MlkemSampling, ReadsOnWhereManyNumbersAreRejected) {
  const auto seed = from_hex("5c3c6fe50d06fc1bbbffafc56ab7050f2773ee8ef8d28ca4b97b43c8d7202e71").value();
  Poly poly;

  sample_uniform(std::span<const unsigned char, 32>(reinterpret_cast<const unsigned char*>(seed.data()), 32), 0, 0,
                 poly);

  EXPECT_TRUE(is_reduced(poly));
  std::array<unsigned char, 32> hash;
  const std::string bytes = encoded(poly, 12);
  sha3_256({{reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size()}}, hash);
  EXPECT_EQ(to_hex({reinterpret_cast<const char*>(hash.data()), hash.size()}),
            "7c7b6f9e39938431536e1ebae87f956d5d66531d8b987b38ff52bfe593296a38");
}

}  // namespace
}  // namespace chatsdk::mlkem
