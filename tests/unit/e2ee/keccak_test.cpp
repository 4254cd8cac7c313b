// SPDX-License-Identifier: Apache-2.0
#include "e2ee/keccak.h"

#include <gtest/gtest.h>

#include <new>
#include <string>

#include "base/bytes.h"

namespace chatsdk {
namespace {

ByteSpan span_of(const std::string& text) { return {reinterpret_cast<const unsigned char*>(text.data()), text.size()}; }

std::string squeezed(Sponge& sponge, std::size_t size) {
  std::string out(size, '\0');
  sponge.squeeze({reinterpret_cast<unsigned char*>(out.data()), size});
  return out;
}

std::string sha3_256_of(const std::string& message) {
  Sponge sponge = Sponge::sha3_256();
  sponge.absorb(span_of(message));
  return squeezed(sponge, 32);
}

std::string sha3_512_of(const std::string& message) {
  Sponge sponge = Sponge::sha3_512();
  sponge.absorb(span_of(message));
  return squeezed(sponge, 64);
}

std::string shake128_of(const std::string& message, std::size_t size) {
  Sponge sponge = Sponge::shake128();
  sponge.absorb(span_of(message));
  return squeezed(sponge, size);
}

std::string shake256_of(const std::string& message, std::size_t size) {
  Sponge sponge = Sponge::shake256();
  sponge.absorb(span_of(message));
  return squeezed(sponge, size);
}

// 00 01 02 …
std::string counting(std::size_t size) {
  std::string bytes(size, '\0');
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<char>(i & 0xFF);
  return bytes;
}

const std::string kExample(200, '\xA3');  // the 1600-bit message of the examples to FIPS 202

TEST(Sha3, GivesTheStandardsExamples256) {
  EXPECT_EQ(to_hex(sha3_256_of("")), "a7ffc6f8bf1ed76651c14756a061d662f580ff4de43b49fa82d80a4b80f8434a");
  EXPECT_EQ(to_hex(sha3_256_of("abc")), "3a985da74fe225b2045c172d6bd390bd855f086e3e9d525b46bfe24511431532");
  EXPECT_EQ(to_hex(sha3_256_of(kExample)), "79f38adec5c20307a98ef76e8324afbfd46cfd81b22e3973c65fa1bd9de31787");
}

TEST(Sha3, GivesTheStandardsExamples512) {
  EXPECT_EQ(to_hex(sha3_512_of("")),
            "a69f73cca23a9ac5c8b567dc185a756e97c982164fe25859e0d1dcc1475c80a6"
            "15b2123af1f5f94c11e3e9402c3ac558f500199d95b6d3e301758586281dcd26");
  EXPECT_EQ(to_hex(sha3_512_of("abc")),
            "b751850b1a57168a5693cd924b6b096e08f621827444f70d884f5d0240d2712e"
            "10e116e9192af3c91a7ec57647e3934057340b4cf408d5a56592f8274eec53f0");
  EXPECT_EQ(to_hex(sha3_512_of(kExample)),
            "e76dfad22084a8b1467fcf2ffa58361bec7628edf5f3fdc0e4805dc48caeeca8"
            "1b7c13c30adf52a3659584739a2df46be589c51ca1a4a8416df6545a1ce8ba00");
}

TEST(Shake, GivesTheStandardsExamples) {
  EXPECT_EQ(to_hex(shake128_of("", 64)),
            "7f9c2ba4e88f827d616045507605853ed73b8093f6efbc88eb1a6eacfa66ef26"
            "3cb1eea988004b93103cfb0aeefd2a686e01fa4a58e8a3639ca8a1e3f9ae57e2");
  EXPECT_EQ(to_hex(shake128_of(kExample, 64)),
            "131ab8d2b594946b9c81333f9bb6e0ce75c3b93104fa3469d3917457385da037"
            "cf232ef7164a6d1eb448c8908186ad852d3f85a5cf28da1ab6fe343817197846");
  EXPECT_EQ(to_hex(shake256_of("", 64)),
            "46b9dd2b0ba88d13233b3feb743eeb243fcd52ea62b81b82b50c27646ed5762f"
            "d75dc4ddd8c0f200cb05019d67b592f6fc821c49479ab48640292eacb3b7c4be");
  EXPECT_EQ(to_hex(shake256_of(kExample, 64)),
            "cd8a920ed141aa0407a22d59288652e9d9f1a7ee0c1e7c1ca699424da84a904d"
            "2d700caae7396ece96604440577da4f3aa22aeb8857f961c4cd8e06f0ae6610b");
}

// Messages of 0 to 300 bytes, and as many of output where that is free: around all rates. Expected are the hashes of
// what Python's hashlib gives.
TEST(Keccak, IsRightForEveryLengthAroundTheRates) {
  std::string by_sha3_256;
  std::string by_sha3_512;
  std::string by_shake128;
  std::string by_shake256;
  for (std::size_t size = 0; size <= 300; ++size) {
    by_sha3_256 += sha3_256_of(counting(size));
    by_sha3_512 += sha3_512_of(counting(size));
    by_shake128 += shake128_of(counting(size), size);
    by_shake256 += shake256_of(counting(size), size);
  }
  EXPECT_EQ(to_hex(sha3_256_of(by_sha3_256)), "89e5b197acab176c0843ed7b73f52c4fb9352ed869f2fb1bc10130383da527c4");
  EXPECT_EQ(to_hex(sha3_256_of(by_sha3_512)), "936b6ccda2ebc7414482a3899c726c4e55821b9f1625abbc062dd309e414c804");
  EXPECT_EQ(to_hex(sha3_256_of(by_shake128)), "763ebe084b4e28220f5925d96be0cde93b9aeacddc967c64c6210c614a104328");
  EXPECT_EQ(to_hex(sha3_256_of(by_shake256)), "30f88a2b336204fbab4c24e9772c737238a7ad651a607278d7bfdabe82480a95");
}

TEST(Keccak, DoesNotSeeInWhichPiecesBytesComeAndGo) {
  const std::string message = counting(400);
  const std::string whole = shake128_of(message, 400);
  for (const std::size_t piece : {1U, 3U, 7U, 8U, 9U, 167U, 168U, 169U, 399U}) {
    Sponge sponge = Sponge::shake128();
    for (std::size_t at = 0; at < message.size(); at += piece) sponge.absorb(span_of(message.substr(at, piece)));
    std::string out;
    while (out.size() < whole.size()) out += squeezed(sponge, std::min(piece, whole.size() - out.size()));
    EXPECT_EQ(out, whole) << "pieces of " << piece;
  }
}

TEST(Keccak, HashesPartsAsOneMessage) {
  std::array<unsigned char, 32> by_256;
  std::array<unsigned char, 64> by_512;
  std::array<unsigned char, 48> by_shake;

  sha3_256({span_of("a"), {}, span_of("bc")}, by_256);
  sha3_512({span_of("ab"), span_of("c")}, by_512);
  shake256({span_of("a"), span_of("b"), span_of("c")}, by_shake);

  EXPECT_EQ(std::string(by_256.begin(), by_256.end()), sha3_256_of("abc"));
  EXPECT_EQ(std::string(by_512.begin(), by_512.end()), sha3_512_of("abc"));
  EXPECT_EQ(std::string(by_shake.begin(), by_shake.end()), shake256_of("abc", 48));
}

TEST(Keccak, WipesItsStatesWhenItEnds) {
  alignas(Sponge) std::array<unsigned char, sizeof(Sponge)> place;
  Sponge* const sponge = new (place.data()) Sponge(Sponge::shake256());
  sponge->absorb(span_of(counting(500)));
  squeezed(*sponge, 10);
  const std::size_t states = 2 * 25 * sizeof(std::uint64_t);  // they stand first

  sponge->~Sponge();

  EXPECT_EQ(std::string(place.begin(), place.begin() + states), std::string(states, '\0'));
}

}  // namespace
}  // namespace chatsdk
