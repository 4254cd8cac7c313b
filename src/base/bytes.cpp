// SPDX-License-Identifier: Apache-2.0
#include "base/bytes.h"

#include <array>
#include <cstring>

namespace chatsdk {

namespace {

constexpr std::string_view kHexDigits = "0123456789abcdef";
constexpr std::string_view kBase64Digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

constexpr std::array<std::int8_t, 256> base64_values() {
  std::array<std::int8_t, 256> values{};
  for (auto& value : values) value = -1;
  for (std::size_t i = 0; i < kBase64Digits.size(); ++i) {
    values[static_cast<unsigned char>(kBase64Digits[i])] = static_cast<std::int8_t>(i);
  }
  return values;
}

constexpr auto kBase64Values = base64_values();

}  // namespace

std::string to_hex(BytesView bytes) {
  std::string text;
  text.reserve(bytes.size() * 2);
  for (char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    text.push_back(kHexDigits[byte >> 4]);
    text.push_back(kHexDigits[byte & 15]);
  }
  return text;
}

std::optional<Bytes> from_hex(std::string_view text) {
  if (text.size() % 2 != 0) return std::nullopt;
  Bytes bytes;
  bytes.reserve(text.size() / 2);
  for (std::size_t i = 0; i < text.size(); i += 2) {
    const int high = hex_value(text[i]);
    const int low = hex_value(text[i + 1]);
    if (high < 0 || low < 0) return std::nullopt;
    bytes.push_back(static_cast<char>(high * 16 + low));
  }
  return bytes;
}

std::string to_base64url(BytesView bytes) {
  std::string text;
  text.reserve((bytes.size() * 4 + 2) / 3);
  std::uint32_t window = 0;
  int bits = 0;
  for (char c : bytes) {
    window = (window << 8) | static_cast<unsigned char>(c);
    for (bits += 8; bits >= 6; bits -= 6) text.push_back(kBase64Digits[(window >> (bits - 6)) & 63]);
  }
  if (bits > 0) text.push_back(kBase64Digits[(window << (6 - bits)) & 63]);
  return text;
}

std::optional<Bytes> from_base64url(std::string_view text) {
  if (text.size() % 4 == 1) return std::nullopt;
  Bytes bytes;
  bytes.reserve(text.size() * 3 / 4);
  std::uint32_t window = 0;
  int bits = 0;
  for (char c : text) {
    const int value = kBase64Values[static_cast<unsigned char>(c)];
    if (value < 0) return std::nullopt;
    window = (window << 6) | static_cast<std::uint32_t>(value);
    bits += 6;
    if (bits >= 8) {
      bits -= 8;
      bytes.push_back(static_cast<char>((window >> bits) & 255));
    }
  }
  if ((window & ((1u << bits) - 1)) != 0) return std::nullopt;
  return bytes;
}

bool is_utf8(BytesView bytes) {
  const auto* p = reinterpret_cast<const unsigned char*>(bytes.data());
  const auto* end = p + bytes.size();
  const auto continues = [](unsigned char c) { return (c & 0xC0) == 0x80; };
  while (p < end) {
    // Eight ASCII bytes at a time: nearly all text passes here.
    std::uint64_t word = 0;
    if (end - p >= 8 && (std::memcpy(&word, p, 8), (word & 0x8080808080808080u) == 0)) {
      p += 8;
      continue;
    }
    const unsigned char lead = *p;
    const auto left = end - p;
    if (lead < 0x80) {
      p += 1;
    } else if (lead >= 0xC2 && lead <= 0xDF) {
      if (left < 2 || !continues(p[1])) return false;
      p += 2;
    } else if (lead >= 0xE0 && lead <= 0xEF) {
      if (left < 3 || !continues(p[1]) || !continues(p[2])) return false;
      if (lead == 0xE0 && p[1] < 0xA0) return false;  // overlong
      if (lead == 0xED && p[1] > 0x9F) return false;  // surrogate
      p += 3;
    } else if (lead >= 0xF0 && lead <= 0xF4) {
      if (left < 4 || !continues(p[1]) || !continues(p[2]) || !continues(p[3])) return false;
      if (lead == 0xF0 && p[1] < 0x90) return false;  // overlong
      if (lead == 0xF4 && p[1] > 0x8F) return false;  // above U+10FFFF
      p += 4;
    } else {
      return false;
    }
  }
  return true;
}

}  // namespace chatsdk
