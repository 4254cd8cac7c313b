// SPDX-License-Identifier: Apache-2.0
#include "e2ee/padding.h"

#include <bit>

#include "base/assert.h"

namespace chatsdk::e2ee {
namespace {

constexpr std::uint64_t kSmallMax = 1024;  // up to here in steps of 64
constexpr std::uint64_t kSmallStep = kPaddedMin;

constexpr std::uint64_t floor_log2(std::uint64_t value) { return std::bit_width(value) - 1; }

constexpr std::uint64_t round_up(std::uint64_t size, std::uint64_t step) { return (size + step - 1) / step * step; }

}  // namespace

std::uint64_t padded_size(std::uint64_t size) {
  CHATSDK_ASSERT(size <= std::uint64_t{1} << 62);
  if (size == 0) return kPaddedMin;
  if (size <= kSmallMax) return round_up(size, kSmallStep);
  const std::uint64_t exponent = floor_log2(size);
  const std::uint64_t cleared_bits = exponent - (floor_log2(exponent) + 1);
  return round_up(size, std::uint64_t{1} << cleared_bits);
}

Bytes padded(BytesView bytes) {
  Bytes out;
  out.reserve(padded_size(bytes.size()));
  out.append(bytes);
  out.resize(padded_size(bytes.size()), '\0');
  return out;
}

bool is_padded(BytesView padded, std::uint64_t size) {
  if (size > padded.size() || padded.size() != padded_size(size)) return false;
  // All of them are looked at: how far the zeros reach is the plaintext's.
  unsigned char seen = 0;
  for (const char byte : padded.substr(size))
    seen = static_cast<unsigned char>(seen | static_cast<unsigned char>(byte));
  return seen == 0;
}

}  // namespace chatsdk::e2ee
