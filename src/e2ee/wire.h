// SPDX-License-Identifier: Apache-2.0
//
// Writing and reading the fixed layouts of docs/e2ee.md section 1: little-endian numbers, lp(), user() and key(). Which
// fields a structure has, and which values of them are allowed, is known by the structure.
//
// Threads: one owner.
// Invariants:
//   1. A Reader never reads past the end. Once something did not fit it has failed for good: what it gives then is
//      zeros and empty strings, and finished() is false. So a parser reads all fields in a row and asks once.
//   2. A Writer's buffer never grows beyond what was reserved without wiping what it leaves behind.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "base/bytes.h"
#include "base/ids.h"
#include "e2ee/labels.h"

namespace chatsdk::e2ee {

// The first byte of a public key on the wire (section 2.1).
enum class KeyKind : std::uint8_t { kEd25519 = 1, kX25519 = 2, kMlKem768 = 3 };

// Fixed-size public bytes of one meaning: those of another are another type.
template <typename Tag, std::size_t kSize>
struct Fixed {
  std::array<unsigned char, kSize> bytes{};

  static constexpr std::size_t size() { return kSize; }
  BytesView view() const { return {reinterpret_cast<const char*>(bytes.data()), kSize}; }
  // The caller checked that there are kSize bytes; what is missing would be zeros.
  static Fixed from(BytesView from);
  friend auto operator<=>(const Fixed&, const Fixed&) = default;
};

template <typename Tag, std::size_t kSize>
Fixed<Tag, kSize> Fixed<Tag, kSize>::from(BytesView from) {
  Fixed fixed;
  for (std::size_t i = 0; i < kSize && i < from.size(); ++i) fixed.bytes[i] = static_cast<unsigned char>(from[i]);
  return fixed;
}

using Hash = Fixed<struct HashTag, 32>;
using Signature = Fixed<struct SignatureTag, 64>;
using Nonce = Fixed<struct NonceTag, 24>;
using SessionId = Fixed<struct SessionIdTag, 8>;
using SigningKey = Fixed<struct SigningKeyTag, 32>;      // public, Ed25519
using AgreementKey = Fixed<struct AgreementKeyTag, 32>;  // public, X25519

class Writer {
 public:
  // With the exact size, no byte is copied twice: whoever writes a secret gives it, and wipes what take() returns.
  explicit Writer(std::size_t expected_bytes = 0) { bytes_.reserve(expected_bytes); }
  ~Writer();
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;

  Writer& u8(std::uint8_t value) { return number(value, 1); }
  Writer& u16(std::uint16_t value) { return number(value, 2); }
  Writer& u32(std::uint32_t value) { return number(value, 4); }
  Writer& u64(std::uint64_t value) { return number(value, 8); }
  Writer& raw(BytesView bytes);
  template <typename Tag, std::size_t kSize>
  Writer& raw(const Fixed<Tag, kSize>& fixed) {
    return raw(fixed.view());
  }
  Writer& label(const Label& label) { return raw(label.bytes()); }
  Writer& lp(BytesView bytes);
  Writer& user(const UserId& user_id) { return lp(user_id); }
  Writer& key(const SigningKey& key) { return u8(static_cast<std::uint8_t>(KeyKind::kEd25519)).raw(key); }
  Writer& key(const AgreementKey& key) { return u8(static_cast<std::uint8_t>(KeyKind::kX25519)).raw(key); }
  Writer& zeros(std::size_t count);

  BytesView view() const { return bytes_; }
  Bytes take();

 private:
  Writer& number(std::uint64_t value, int bytes);

  Bytes bytes_;
};

class Reader {
 public:
  // Borrows the bytes; what it gives points into them.
  explicit Reader(BytesView bytes) : bytes_(bytes) {}

  std::uint8_t u8() { return static_cast<std::uint8_t>(number(1)); }
  std::uint16_t u16() { return static_cast<std::uint16_t>(number(2)); }
  std::uint32_t u32() { return static_cast<std::uint32_t>(number(4)); }
  std::uint64_t u64() { return number(8); }
  BytesView raw(std::size_t count);
  template <typename T>
  T fixed() {
    return T::from(raw(T::size()));
  }
  // A field that takes one value only.
  void expect_u8(std::uint8_t value) { require(u8() == value); }
  // lp() of min to max bytes.
  BytesView lp(std::size_t min, std::size_t max);
  // UTF-8 of 1 to 64 bytes.
  UserId user();
  // A device_id: not 0.
  std::uint64_t id();
  // Not zeros.
  GroupId group_id();
  // key(1, …) and key(2, …), valid as section 2.1 says.
  SigningKey signing_key();
  AgreementKey agreement_key();

  // Fails for good unless the condition holds.
  void require(bool condition) { failed_ = failed_ || !condition; }
  bool failed() const { return failed_; }
  // Everything fitted and no byte is left over.
  bool finished() const { return !failed_ && position_ == bytes_.size(); }
  std::size_t position() const { return position_; }
  // What was read so far, as it came: what is hashed and signed.
  BytesView seen() const { return bytes_.substr(0, position_); }

 private:
  std::uint64_t number(std::size_t count);

  BytesView bytes_;
  std::size_t position_ = 0;  // never above bytes_.size()
  bool failed_ = false;
};

}  // namespace chatsdk::e2ee
