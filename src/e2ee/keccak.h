// SPDX-License-Identifier: Apache-2.0
//
// The sponge functions of FIPS 202 that ML-KEM asks for: SHA3-256, SHA3-512, SHAKE128, SHAKE256. It knows nothing of
// what is hashed.
//
// Threads: one owner.
// Invariants:
//   1. No branch and no address depends on what is absorbed; only its length is seen.
//   2. Whatever was computed from it is wiped when the sponge ends.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>

namespace chatsdk {

using ByteSpan = std::span<const unsigned char>;

// Takes any number of bytes in any number of pieces, then gives bytes, in pieces too: as many as the caller of a SHAKE
// asks for; SHA-3 fixes their number, for which sha3_256() and sha3_512() below stand.
class Sponge {
 public:
  static Sponge sha3_256() { return Sponge(200 - 2 * 32, kHashSuffix); }
  static Sponge sha3_512() { return Sponge(200 - 2 * 64, kHashSuffix); }
  static Sponge shake128() { return Sponge(kShake128Rate, kShakeSuffix); }
  static Sponge shake256() { return Sponge(200 - 2 * 32, kShakeSuffix); }

  // Bytes that one permutation yields: who squeezes multiples of it wastes none.
  static constexpr std::size_t kShake128Rate = 200 - 2 * 16;

  ~Sponge();
  Sponge(const Sponge&) = delete;
  Sponge& operator=(const Sponge&) = delete;

  // Not after squeeze().
  void absorb(ByteSpan bytes);
  void squeeze(std::span<unsigned char> out);

 private:
  // The bits that FIPS 202 section 6 appends to the message, with the first bit of the padding behind them.
  static constexpr unsigned char kHashSuffix = 0x06;
  static constexpr unsigned char kShakeSuffix = 0x1F;
  using State = std::array<std::uint64_t, 25>;  // the lane (x, y) is at x + 5y

  Sponge(std::size_t rate_bytes, unsigned char suffix) : rate_bytes_(rate_bytes), suffix_(suffix) {}
  static void round(const State& before, std::uint64_t constant, State& after);
  void permute();
  void pad();

  State state_{};
  State between_{};  // after every other round
  std::size_t rate_bytes_;
  std::size_t position_ = 0;  // in the first rate_bytes_ of the state
  unsigned char suffix_;
  bool squeezing_ = false;
};

// Each of the parts concatenated.
void sha3_256(std::initializer_list<ByteSpan> parts, std::span<unsigned char, 32> out);
void sha3_512(std::initializer_list<ByteSpan> parts, std::span<unsigned char, 64> out);
void shake256(std::initializer_list<ByteSpan> parts, std::span<unsigned char> out);

}  // namespace chatsdk
