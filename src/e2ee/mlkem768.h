// SPDX-License-Identifier: Apache-2.0
//
// ML-KEM-768 as FIPS 203 has it (final version of August 2024), with the random bytes handed in: key generation,
// encapsulation, decapsulation with implicit rejection, and the checks of keys. What keys are for, and how long they
// live, is known above.
//
// Threads: pure functions.
// Invariants:
//   1. No branch, address or division depends on a secret: tests/e2ee_ct looks for it under valgrind.
//   2. Every object that holds what was computed from a secret is wiped before a function returns, its result apart.
#pragma once

#include <array>
#include <cstddef>
#include <span>

#include "base/secret.h"

namespace chatsdk::mlkem768 {

inline constexpr std::size_t kEncapsulationKeyBytes = 1184;
inline constexpr std::size_t kDecapsulationKeyBytes = 2400;
inline constexpr std::size_t kCiphertextBytes = 1088;

using Seed = Secret<64>;  // d ‖ z
using Message = Secret<32>;
using SharedSecret = Secret<32>;
using EncapsulationKey = std::array<unsigned char, kEncapsulationKeyBytes>;
using DecapsulationKey = Secret<kDecapsulationKeyBytes>;
using Ciphertext = std::array<unsigned char, kCiphertextBytes>;
using EncapsulationKeyView = std::span<const unsigned char, kEncapsulationKeyBytes>;
using CiphertextView = std::span<const unsigned char, kCiphertextBytes>;

// ML-KEM.KeyGen_internal(d, z), algorithm 16.
void generate(const Seed& seed, EncapsulationKey& encapsulation_key, DecapsulationKey& decapsulation_key);

// The modulus check of section 7.2: each of the 768 coefficients is below q. The length is in the type. A key from
// outside is checked before it is used.
bool is_valid(EncapsulationKeyView encapsulation_key);
// The hash check of section 7.3: a decapsulation key that was stored still belongs together. Who stores the seed and
// generates anew needs none.
bool is_valid(const DecapsulationKey& decapsulation_key);

// ML-KEM.Encaps_internal(ek, m), algorithm 17; of a key that is valid. m is 32 random bytes, never used twice.
void encapsulate(EncapsulationKeyView encapsulation_key, const Message& message, Ciphertext& ciphertext,
                 SharedSecret& shared_secret);

// ML-KEM.Decaps_internal(dk, c), algorithm 18. Any 1,088 bytes give a secret; nothing tells whether it is the one that
// somebody encapsulated.
void decapsulate(const DecapsulationKey& decapsulation_key, CiphertextView ciphertext, SharedSecret& shared_secret);

}  // namespace chatsdk::mlkem768
