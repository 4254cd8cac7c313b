// SPDX-License-Identifier: Apache-2.0
//
// Randomness as a seam, in three separate streams, so that one more jitter draw does not change a key.
//
// Threads: a Random belongs to one executor, except SodiumRandom, which any thread may use.
#pragma once

#include <cstdint>
#include <span>
#include <string>

namespace chatsdk {

class Random {
 public:
  virtual ~Random() = default;
  virtual void fill(std::span<unsigned char> out) = 0;

  std::string bytes(std::size_t count);
  std::uint64_t next_u64();
  // Uniform in [0, bound), bound > 0.
  std::uint64_t below(std::uint64_t bound);
};

// What one node draws from. All three may be the same object where replay does not matter.
struct RandomStreams {
  Random& keys;
  Random& ids;
  Random& jitter;
};

// libsodium's generator; sodium_init() was called before.
class SodiumRandom final : public Random {
 public:
  void fill(std::span<unsigned char> out) override;
};

// Deterministic from its seed (SplitMix64, then xoshiro256**): tests and simulation only, never for keys in production.
class SeededRandom final : public Random {
 public:
  explicit SeededRandom(std::uint64_t seed);
  void fill(std::span<unsigned char> out) override;

 private:
  std::uint64_t step();
  std::uint64_t state_[4];
};

}  // namespace chatsdk
