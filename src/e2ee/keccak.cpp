// SPDX-License-Identifier: Apache-2.0
#include "e2ee/keccak.h"

#include <sodium.h>

#include <bit>

#include "base/assert.h"

namespace chatsdk {
namespace {

constexpr std::size_t kLaneBytes = 8;

// FIPS 202 section 3.2.5: bit 2^j - 1 of the constant of round i is bit j + 7i of a linear feedback shift register.
consteval std::array<std::uint64_t, 24> round_constants() {
  std::array<std::uint64_t, 24> constants{};
  unsigned state = 1;
  for (std::uint64_t& constant : constants) {
    for (unsigned j = 0; j <= 6; ++j) {
      if ((state & 1U) != 0) constant |= std::uint64_t{1} << ((1U << j) - 1U);
      state = (state << 1U) ^ ((state >> 7U) * 0x171U);
    }
  }
  return constants;
}
constexpr auto kRoundConstants = round_constants();

// χ of one row, into the five lanes from `row` on.
void chi(std::uint64_t a, std::uint64_t b, std::uint64_t c, std::uint64_t d, std::uint64_t e, std::uint64_t* row) {
  row[0] = a ^ (~b & c);
  row[1] = b ^ (~c & d);
  row[2] = c ^ (~d & e);
  row[3] = d ^ (~e & a);
  row[4] = e ^ (~a & b);
}

std::uint64_t load(const unsigned char* bytes) {
  std::uint64_t lane = 0;
  for (std::size_t i = 0; i < kLaneBytes; ++i) lane |= std::uint64_t{bytes[i]} << (8 * i);
  return lane;
}

unsigned char byte_of(std::uint64_t lane, std::size_t index) {
  return static_cast<unsigned char>((lane >> (8 * index)) & 0xFFU);
}

void store(std::uint64_t lane, unsigned char* bytes) {
  for (std::size_t i = 0; i < kLaneBytes; ++i) bytes[i] = byte_of(lane, i);
}

void run(Sponge& sponge, std::initializer_list<ByteSpan> parts, std::span<unsigned char> out) {
  for (const ByteSpan part : parts) sponge.absorb(part);
  sponge.squeeze(out);
}

}  // namespace

// θ by the parities of the columns; ρ and π by which lane goes where, turned by how much; χ row by row; ι.
void Sponge::round(const State& before, std::uint64_t constant, State& after) {
  const auto column = [&before](std::size_t x) {
    return before[x] ^ before[x + 5] ^ before[x + 10] ^ before[x + 15] ^ before[x + 20];
  };
  const std::uint64_t c0 = column(0);
  const std::uint64_t c1 = column(1);
  const std::uint64_t c2 = column(2);
  const std::uint64_t c3 = column(3);
  const std::uint64_t c4 = column(4);
  const std::uint64_t d0 = c4 ^ std::rotl(c1, 1);
  const std::uint64_t d1 = c0 ^ std::rotl(c2, 1);
  const std::uint64_t d2 = c1 ^ std::rotl(c3, 1);
  const std::uint64_t d3 = c2 ^ std::rotl(c4, 1);
  const std::uint64_t d4 = c3 ^ std::rotl(c0, 1);

  chi(before[0] ^ d0, std::rotl(before[6] ^ d1, 44), std::rotl(before[12] ^ d2, 43), std::rotl(before[18] ^ d3, 21),
      std::rotl(before[24] ^ d4, 14), &after[0]);
  chi(std::rotl(before[3] ^ d3, 28), std::rotl(before[9] ^ d4, 20), std::rotl(before[10] ^ d0, 3),
      std::rotl(before[16] ^ d1, 45), std::rotl(before[22] ^ d2, 61), &after[5]);
  chi(std::rotl(before[1] ^ d1, 1), std::rotl(before[7] ^ d2, 6), std::rotl(before[13] ^ d3, 25),
      std::rotl(before[19] ^ d4, 8), std::rotl(before[20] ^ d0, 18), &after[10]);
  chi(std::rotl(before[4] ^ d4, 27), std::rotl(before[5] ^ d0, 36), std::rotl(before[11] ^ d1, 10),
      std::rotl(before[17] ^ d2, 15), std::rotl(before[23] ^ d3, 56), &after[15]);
  chi(std::rotl(before[2] ^ d2, 62), std::rotl(before[8] ^ d3, 55), std::rotl(before[14] ^ d4, 39),
      std::rotl(before[15] ^ d0, 41), std::rotl(before[21] ^ d1, 2), &after[20]);
  after[0] ^= constant;
}

Sponge::~Sponge() {
  sodium_memzero(state_.data(), sizeof state_);
  sodium_memzero(between_.data(), sizeof between_);
}

void Sponge::permute() {
  for (std::size_t i = 0; i < kRoundConstants.size(); i += 2) {
    round(state_, kRoundConstants[i], between_);
    round(between_, kRoundConstants[i + 1], state_);
  }
  position_ = 0;
}

void Sponge::absorb(ByteSpan bytes) {
  CHATSDK_ASSERT(!squeezing_);
  std::size_t taken = 0;
  while (taken < bytes.size()) {
    if (position_ % kLaneBytes == 0 && bytes.size() - taken >= kLaneBytes) {
      state_[position_ / kLaneBytes] ^= load(bytes.data() + taken);
      position_ += kLaneBytes;
      taken += kLaneBytes;
    } else {
      state_[position_ / kLaneBytes] ^= std::uint64_t{bytes[taken]} << (8 * (position_ % kLaneBytes));
      ++position_;
      ++taken;
    }
    if (position_ == rate_bytes_) permute();
  }
}

void Sponge::pad() {
  state_[position_ / kLaneBytes] ^= std::uint64_t{suffix_} << (8 * (position_ % kLaneBytes));
  state_[rate_bytes_ / kLaneBytes - 1] ^= std::uint64_t{1} << 63U;
  permute();
  squeezing_ = true;
}

void Sponge::squeeze(std::span<unsigned char> out) {
  if (!squeezing_) pad();
  std::size_t given = 0;
  while (given < out.size()) {
    if (position_ == rate_bytes_) permute();
    if (position_ % kLaneBytes == 0 && out.size() - given >= kLaneBytes) {
      store(state_[position_ / kLaneBytes], out.data() + given);
      position_ += kLaneBytes;
      given += kLaneBytes;
    } else {
      out[given] = byte_of(state_[position_ / kLaneBytes], position_ % kLaneBytes);
      ++position_;
      ++given;
    }
  }
}

void sha3_256(std::initializer_list<ByteSpan> parts, std::span<unsigned char, 32> out) {
  Sponge sponge = Sponge::sha3_256();
  run(sponge, parts, out);
}

void sha3_512(std::initializer_list<ByteSpan> parts, std::span<unsigned char, 64> out) {
  Sponge sponge = Sponge::sha3_512();
  run(sponge, parts, out);
}

void shake256(std::initializer_list<ByteSpan> parts, std::span<unsigned char> out) {
  Sponge sponge = Sponge::shake256();
  run(sponge, parts, out);
}

}  // namespace chatsdk
