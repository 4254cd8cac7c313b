// SPDX-License-Identifier: Apache-2.0
//
// Password hashes: Argon2id in the portable string form "$argon2id$v=19$m=…,t=…,p=1$salt$hash". Each call takes tens of
// milliseconds and megabytes by design, so it runs on a worker, never where connections or commits wait.
//
// Threads: pure functions.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"

namespace chatsdk::server {

inline constexpr std::size_t kPasswordSaltBytes = 16;

struct PasswordCost {
  std::size_t operations = 2;              // passes over the memory
  std::size_t memory_bytes = 64UL << 20U;  // with two passes, what libsodium advises for interactive use

  // The least that the algorithm allows: simulations and tests.
  static PasswordCost minimum() { return {1, 8'192}; }
};

// INVALID_ARGUMENT when Argon2id cannot work at this cost.
Status check_password_cost(const PasswordCost& cost);
// NO_MEMORY when the memory of one hash is not to be had.
Result<std::string> hash_password(std::string_view password, BytesView salt, const PasswordCost& cost);

struct PasswordVerdict {
  bool matches = false;
  std::string new_hash;  // at today's cost; empty unless the stored one was made at another
};
// Compares in constant time. Against an empty stored hash it does the work of one hash and does not match, so that an
// unknown user costs what a wrong password costs.
Result<PasswordVerdict> verify_password(std::string_view password, std::string_view stored_hash, BytesView salt,
                                        const PasswordCost& cost);

}  // namespace chatsdk::server
