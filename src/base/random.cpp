// SPDX-License-Identifier: Apache-2.0
#include "base/random.h"

#include <sodium.h>

#include <bit>
#include <cstring>

#include "base/assert.h"

namespace chatsdk {

std::string Random::bytes(std::size_t count) {
  std::string out(count, '\0');
  fill({reinterpret_cast<unsigned char*>(out.data()), out.size()});
  return out;
}

std::uint64_t Random::next_u64() {
  unsigned char raw[8];
  fill(raw);
  std::uint64_t value = 0;
  for (unsigned char byte : raw) value = (value << 8) | byte;
  return value;
}

std::uint64_t Random::below(std::uint64_t bound) {
  CHATSDK_ASSERT(bound > 0);
  // Values below 2^64 mod bound would favour small results: draw again.
  const std::uint64_t reject_below = (0 - bound) % bound;
  for (;;) {
    const std::uint64_t value = next_u64();
    if (value >= reject_below) return value % bound;
  }
}

void SodiumRandom::fill(std::span<unsigned char> out) { randombytes_buf(out.data(), out.size()); }

SeededRandom::SeededRandom(std::uint64_t seed) {
  for (auto& word : state_) {
    seed += 0x9E3779B97F4A7C15u;
    std::uint64_t z = seed;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    word = z ^ (z >> 31);
  }
}

std::uint64_t SeededRandom::step() {
  const std::uint64_t result = std::rotl(state_[1] * 5, 7) * 9;
  const std::uint64_t t = state_[1] << 17;
  state_[2] ^= state_[0];
  state_[3] ^= state_[1];
  state_[1] ^= state_[2];
  state_[0] ^= state_[3];
  state_[2] ^= t;
  state_[3] = std::rotl(state_[3], 45);
  return result;
}

void SeededRandom::fill(std::span<unsigned char> out) {
  std::size_t done = 0;
  while (done < out.size()) {
    std::uint64_t word = step();
    for (int i = 0; i < 8 && done < out.size(); ++i, word >>= 8) out[done++] = static_cast<unsigned char>(word & 255);
  }
}

}  // namespace chatsdk
