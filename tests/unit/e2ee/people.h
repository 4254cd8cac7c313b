// SPDX-License-Identifier: Apache-2.0
//
// The two people of docs/e2ee.md section 26, and what tests of the layer share: repeated bytes, hexadecimal, and the
// rule that a parser takes a structure whole or not at all.
//
// Threads: pure functions.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <string>
#include <utility>

#include "base/bytes.h"
#include "e2ee/device_list.h"
#include "e2ee/device_record.h"
#include "e2ee/group_state.h"
#include "e2ee/kem.h"
#include "e2ee/prekeys.h"
#include "e2ee/primitives.h"

namespace chatsdk::e2ee {

inline constexpr std::uint64_t kThen = 1'800'000'000'000;  // all times of section 26
constexpr std::uint64_t ms(std::chrono::milliseconds time) { return static_cast<std::uint64_t>(time.count()); }

// [hh]n.
inline Bytes repeated(unsigned char byte, std::size_t count) { return Bytes(count, static_cast<char>(byte)); }
template <std::size_t kSize>
Secret<kSize> secret_of(unsigned char byte) {
  return Secret<kSize>::copy_of(repeated(byte, kSize));
}
template <typename T>
T fixed_of(unsigned char byte) {
  return T::from(repeated(byte, T::size()));
}
inline Bytes bytes_of_hex(std::string_view text) { return from_hex(text).value(); }
template <typename T>
T fixed_of_hex(std::string_view text) {
  return T::from(bytes_of_hex(text));
}
// H over a whole structure, as section 26 gives it.
inline std::string hex_hash(BytesView bytes) { return to_hex(hash({bytes}).view()); }

struct Person {
  UserId user_id;
  SigningSeed account_seed;
  DeviceKeys keys;
  DeviceRecord record;
  DeviceList list;
};

// Key bytes are [first]32, [first + 1]32, [first + 2]32.
inline Person person(const UserId& user_id, std::uint64_t device_id, unsigned char first, std::uint32_t registration_id,
                     std::string_view name) {
  Person person;
  person.user_id = user_id;
  person.account_seed = secret_of<32>(first);
  person.keys.registration_id = registration_id;
  person.keys.signing_seed = secret_of<32>(static_cast<unsigned char>(first + 1));
  person.keys.agreement_secret = secret_of<32>(static_cast<unsigned char>(first + 2));
  DeviceDescription description{user_id, DeviceId{device_id}, kSuitesSpoken, kThen, {}};
  if (!name.empty()) {
    const auto nonce = fixed_of<Nonce>(static_cast<unsigned char>(first + 3));
    description.sealed_name =
        seal_device_name(name, person.account_seed, {user_id, DeviceId{device_id}, registration_id}, nonce).value();
  }
  person.record = make_device_record(description, person.keys);
  person.list = first_device_list(user_id, person.account_seed, {&person.record, 1}, kThen).value();
  return person;
}
inline Person alice() { return person("alice", 1, 0x11, 0x01020304, "Alice's phone"); }
inline Person bob() { return person("bob", 2, 0x21, 0x05060708, {}); }

// Alice's group of section 26.
inline GroupOrigin alices_origin() { return {"alice", signing_key_of(secret_of<32>(0x11)), fixed_of<GroupSalt>(0x80)}; }
inline GroupId alices_group() { return group_id_of(alices_origin()); }

// Bob's prekeys of section 26, as he keeps them and as the server has them. The key ids are 1 to 4.
inline OwnPrekey bobs_prekey(std::uint32_t key_id) {
  OwnPrekey prekey;
  prekey.key_id = key_id;
  prekey.created_ms = kThen;
  switch (key_id) {
    case 1:
      prekey.kind = PrekeyKind::kSigned;
      prekey.secret = secret_of<32>(0x31);
      break;
    case 2:
      prekey.kind = PrekeyKind::kLastResort;
      prekey.secret = Kem::Seed::copy_of(repeated(0x32, 32) + repeated(0x33, 32));
      break;
    case 3:
      prekey.kind = PrekeyKind::kOneTime;
      prekey.secret = secret_of<32>(0x34);
      break;
    default:
      prekey.kind = PrekeyKind::kOneTimeKem;
      prekey.secret = Kem::Seed::copy_of(repeated(0x35, 32) + repeated(0x36, 32));
      break;
  }
  return prekey;
}
inline Bytes bobs_published(std::uint32_t key_id) {
  return published(bobs_prekey(key_id), {"bob", DeviceId{2}}, secret_of<32>(0x22), own_kem()).value();
}
// With one-time keys, or with the last-resort prekey alone.
inline BundleBytes bobs_bundle(bool one_time) {
  if (!one_time) return {bob().record.bytes, bobs_published(1), bobs_published(2), {}};
  return {bob().record.bytes, bobs_published(1), bobs_published(4), bobs_published(3)};
}

// Parse gives an optional: full for the bytes, and empty for each of their beginnings and with a byte behind them.
template <typename Parse>
void expect_whole_or_nothing(BytesView bytes, Parse parse) {
  EXPECT_TRUE(parse(bytes).has_value());
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    const Bytes cut(bytes.substr(0, size));  // its own buffer: a sanitizer sees what is read behind it
    EXPECT_FALSE(parse(cut).has_value()) << "cut to " << size << " B";
  }
  for (const char behind : {'\0', '\xFF'}) EXPECT_FALSE(parse(Bytes(bytes) + behind).has_value());
}

}  // namespace chatsdk::e2ee
