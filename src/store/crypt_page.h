// SPDX-License-Identifier: Apache-2.0
//
// The cryptography of the store's files: the keys derived from the app's one key, and the sealing of one record (a
// page, a frame header, a journal block) with XChaCha20-Poly1305. It knows no file and no SQLite.
//
// A sealed record is, in this order:
//
//   | ciphertext, as long as the plaintext | tag 16 | nonce 24 |
//
// The nonce is random and fresh for every write. Associated data are the file's identity, the kind of the record and
// its index in the file, so that a record moved within its file, or in from another, does not open. A record may be
// tied to another one by having that one's tag in its associated data too.
//
// Threads: values; seal and open are const and may run concurrently.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <span>

#include "base/random.h"
#include "base/secret.h"

namespace chatsdk {

inline constexpr std::size_t kNonceBytes = 24;
inline constexpr std::size_t kTagBytes = 16;
inline constexpr std::size_t kSealBytes = kTagBytes + kNonceBytes;
inline constexpr std::size_t kFileIdentityBytes = 16;

using SubKey = Secret<32>;
using FileIdentity = std::array<unsigned char, kFileIdentityBytes>;

// The numbers are part of the file format: each is the index of a derived key and a byte of the associated data.
enum class RecordKind : std::uint8_t {
  kPage = 1,
  kWal = 2,
  kJournal = 3,
  kHeader = 4,
};

// One key per kind of record, and one that proves knowledge of the app's key.
class StoreKeys {
 public:
  explicit StoreKeys(const StoreKey& key);

  const SubKey& of(RecordKind kind) const;
  // 32 bytes that depend on the key and on `text`; they tell a wrong key from a damaged file and open nothing.
  std::array<unsigned char, 32> check_value(std::span<const unsigned char> text) const;

 private:
  SubKey page_;
  SubKey wal_;
  SubKey journal_;
  SubKey header_;
  SubKey check_;
};

// Draws for several connections at once from a Random that is not itself safe for that. It draws for many nonces at a
// time, because the system's generator costs a system call: so what it gives is unique and unforeseeable, but lies in
// memory for a while before it is used, and is for nothing that must stay secret.
class SharedRandom {
 public:
  explicit SharedRandom(Random& source) : source_(source) {}
  void fill(std::span<unsigned char> out);

 private:
  static constexpr std::size_t kBlockBytes = 32 * kNonceBytes;

  std::mutex mutex_;
  Random& source_;
  std::array<unsigned char, kBlockBytes> block_{};
  std::size_t used_ = kBlockBytes;
};

// Seals the records of one kind in one file. Borrows the keys and the source of nonces.
class Sealer {
 public:
  Sealer(const StoreKeys& keys, RecordKind kind, const FileIdentity& identity, SharedRandom& random);

  // Writes plain.size() + kSealBytes bytes. `sealed` may not overlap `plain`.
  // `tied_to` is nothing or kTagBytes bytes.
  void seal(std::uint64_t index, std::span<const unsigned char> plain, unsigned char* sealed,
            std::span<const unsigned char> tied_to = {}) const;
  // Reads plain_bytes + kSealBytes bytes and writes plain_bytes; `plain` may be `sealed`. False when the record does
  // not authenticate; the plaintext is then all zero.
  [[nodiscard]] bool open(std::uint64_t index, const unsigned char* sealed, std::size_t plain_bytes,
                          unsigned char* plain, std::span<const unsigned char> tied_to = {}) const;

 private:
  struct Associated {
    std::array<unsigned char, kFileIdentityBytes + 1 + 8 + kTagBytes> bytes{};
    std::size_t size = 0;
  };
  Associated associated(std::uint64_t index, std::span<const unsigned char> tied_to) const;

  const SubKey* key_;
  RecordKind kind_;
  FileIdentity identity_;
  SharedRandom* random_;
};

}  // namespace chatsdk
