// SPDX-License-Identifier: Apache-2.0
#include "e2ee/wire.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "base/limits.h"
#include "base/wipe.h"
#include "e2ee/primitives.h"

namespace chatsdk::e2ee {

Writer::~Writer() { wipe(bytes_); }

Writer& Writer::raw(BytesView bytes) {
  const std::size_t needed = bytes_.size() + bytes.size();
  if (needed > bytes_.capacity()) {
    Bytes larger;
    larger.reserve(std::max(needed, 2 * bytes_.capacity()));
    larger.append(bytes_);
    wipe(bytes_);
    bytes_.swap(larger);
  }
  bytes_.append(bytes);
  return *this;
}

Writer& Writer::lp(BytesView bytes) {
  CHATSDK_ASSERT(bytes.size() <= UINT32_MAX);
  return u32(static_cast<std::uint32_t>(bytes.size())).raw(bytes);
}

Writer& Writer::zeros(std::size_t count) { return raw(Bytes(count, '\0')); }

Writer& Writer::number(std::uint64_t value, int bytes) {
  char raw_bytes[8];
  for (int i = 0; i < bytes; ++i) raw_bytes[i] = static_cast<char>(value >> (8 * i));
  return raw({raw_bytes, static_cast<std::size_t>(bytes)});
}

Bytes Writer::take() { return std::exchange(bytes_, {}); }

BytesView Reader::raw(std::size_t count) {
  require(count <= bytes_.size() - position_);
  if (failed_) return {};
  const BytesView bytes = bytes_.substr(position_, count);
  position_ += count;
  return bytes;
}

BytesView Reader::lp(std::size_t min, std::size_t max) {
  const std::size_t size = u32();
  require(size >= min && size <= max);
  return raw(size);
}

UserId Reader::user() {
  const BytesView user_id = lp(1, limits::kUserIdBytesMax);
  require(is_utf8(user_id));
  return UserId(failed_ ? BytesView() : user_id);
}

std::uint64_t Reader::id() {
  const std::uint64_t value = u64();
  require(value != 0);
  return value;
}

GroupId Reader::group_id() {
  const auto group = fixed<GroupId>();
  require(static_cast<bool>(group));
  return group;
}

SigningKey Reader::signing_key() {
  expect_u8(static_cast<std::uint8_t>(KeyKind::kEd25519));
  const auto key = fixed<SigningKey>();
  require(!failed_ && is_valid(key));
  return key;
}

AgreementKey Reader::agreement_key() {
  expect_u8(static_cast<std::uint8_t>(KeyKind::kX25519));
  const auto key = fixed<AgreementKey>();
  require(!failed_ && is_valid(key));
  return key;
}

std::uint64_t Reader::number(std::size_t count) {
  const BytesView bytes = raw(count);
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < bytes.size(); ++i)
    value |= std::uint64_t{static_cast<unsigned char>(bytes[i])} << (8 * i);
  return value;
}

}  // namespace chatsdk::e2ee
