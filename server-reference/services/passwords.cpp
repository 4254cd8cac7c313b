// SPDX-License-Identifier: Apache-2.0
#include "server-reference/services/passwords.h"

#include <sodium.h>

#include <array>

#include "base/assert.h"
#include "base/limits.h"

namespace chatsdk::server {

namespace {

constexpr std::size_t kHashBytes = 32;

std::string base64(BytesView bytes) {
  constexpr int kVariant = sodium_base64_VARIANT_ORIGINAL_NO_PADDING;
  std::string text(sodium_base64_encoded_len(bytes.size(), kVariant), '\0');
  sodium_bin2base64(text.data(), text.size(), reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(),
                    kVariant);
  text.pop_back();  // its terminating NUL
  return text;
}

}  // namespace

Status check_password_cost(const PasswordCost& cost) {
  if (cost.operations < crypto_pwhash_OPSLIMIT_MIN || cost.operations > limits::kPasswordOperationsMax) {
    return error(Code::kInvalidArgument, "password hash of " + std::to_string(cost.operations) +
                                             " passes, allowed are 1 to " +
                                             std::to_string(limits::kPasswordOperationsMax));
  }
  if (cost.memory_bytes < crypto_pwhash_MEMLIMIT_MIN || cost.memory_bytes > limits::kPasswordMemoryBytesMax) {
    return error(Code::kInvalidArgument, "password hash memory of " + std::to_string(cost.memory_bytes) +
                                             " B, allowed are 8192 to " +
                                             std::to_string(limits::kPasswordMemoryBytesMax) + " B");
  }
  return {};
}

// crypto_pwhash_str() would draw the salt from the process's own generator; randomness is handed in here, so the same
// string is put together from its parts, and crypto_pwhash_str_verify() reads it.
Result<std::string> hash_password(std::string_view password, BytesView salt, const PasswordCost& cost) {
  CHATSDK_ASSERT(salt.size() == crypto_pwhash_SALTBYTES);
  static_assert(kPasswordSaltBytes == crypto_pwhash_SALTBYTES);
  Bytes hash(kHashBytes, '\0');
  if (crypto_pwhash(reinterpret_cast<unsigned char*>(hash.data()), hash.size(), password.data(), password.size(),
                    reinterpret_cast<const unsigned char*>(salt.data()), cost.operations, cost.memory_bytes,
                    crypto_pwhash_ALG_ARGON2ID13) != 0) {
    return error(Code::kNoMemory, "no memory for a password hash of " + std::to_string(cost.memory_bytes) + " B");
  }
  return "$argon2id$v=19$m=" + std::to_string(cost.memory_bytes / 1024) + ",t=" + std::to_string(cost.operations) +
         ",p=1$" + base64(salt) + "$" + base64(hash);
}

Result<PasswordVerdict> verify_password(std::string_view password, std::string_view stored_hash, BytesView salt,
                                        const PasswordCost& cost) {
  std::array<char, crypto_pwhash_STRBYTES> text{};
  if (stored_hash.empty() || stored_hash.size() >= text.size()) {
    CHATSDK_TRY(hash_password(password, salt, cost));
    return PasswordVerdict{};
  }
  stored_hash.copy(text.data(), stored_hash.size());
  PasswordVerdict verdict;
  verdict.matches = crypto_pwhash_str_verify(text.data(), password.data(), password.size()) == 0;
  if (verdict.matches && crypto_pwhash_str_needs_rehash(text.data(), cost.operations, cost.memory_bytes) != 0) {
    CHATSDK_ASSIGN(verdict.new_hash, hash_password(password, salt, cost));
  }
  return verdict;
}

}  // namespace chatsdk::server
