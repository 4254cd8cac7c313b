// SPDX-License-Identifier: Apache-2.0
//
// The seam behind which ML-KEM-768 is computed: by our own code, or by a library that has it (libsodium from 1.0.22,
// OpenSSL from 3.5), with the same bytes from either. Secret keys are kept as the 64-byte seed alone, so that a store
// written with one provider is read with another. What is done with the shared secret is known above.
//
// Threads: a provider has no state that changes; any thread.
// Invariants:
//   1. A key from outside is checked before anything is computed with it, here too and not only above.
//   2. The random bytes of an encapsulation are used up by it: they are moved in and wiped.
//   3. Decapsulation never says that it rejected.
#pragma once

#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "e2ee/mlkem768.h"

namespace chatsdk {

class Kem {
 public:
  using Seed = mlkem768::Seed;
  using EncapsulationKey = mlkem768::EncapsulationKey;
  using Ciphertext = mlkem768::Ciphertext;
  using SharedSecret = mlkem768::SharedSecret;
  using Message = mlkem768::Message;
  struct Encapsulation {
    Ciphertext ciphertext;
    SharedSecret shared_secret;
  };

  struct Decapsulation {
    SharedSecret shared_secret;
    EncapsulationKey public_key;  // of the seed: the pair is made anew for every decapsulation
  };

  virtual ~Kem() = default;

  // Whose code it is, for the feature query: "chatsdk", or a library with its version.
  virtual std::string_view name() const = 0;

  // The public half of the pair that the seed d ‖ z stands for. CRYPTO where a library fails.
  virtual Result<EncapsulationKey> public_key(const Seed& seed) const = 0;

  // The type check and the modulus check of FIPS 203 section 7.2, of bytes as they came.
  virtual bool check_ek(BytesView encapsulation_key) const = 0;

  // A shared secret for the holder of the key, and what to send there. The 32 random bytes are fresh for each call.
  // MALFORMED when check_ek() refuses the key; CRYPTO.
  virtual Result<Encapsulation> encapsulate(BytesView encapsulation_key, Message random) const = 0;

  // MALFORMED when the length is not that of a ciphertext, and for no other ciphertext; CRYPTO.
  virtual Result<Decapsulation> decapsulate(const Seed& seed, BytesView ciphertext) const = 0;
};

// Our own code: it needs no library, and no call of it fails for any other reason than its arguments.
const Kem& own_kem();

}  // namespace chatsdk
