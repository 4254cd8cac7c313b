// SPDX-License-Identifier: Apache-2.0
#include "sim/canary.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

namespace chatsdk::sim {

namespace {

struct Form {
  std::string_view name;
  std::string bytes;
};

std::string coded(std::string_view text, std::string_view before_each, const char* digits) {
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    out.append(before_each);
    out += digits[byte >> 4];
    out += digits[byte & 15];
  }
  return out;
}

// In the order of either end: the high byte, which is zero, of what comes next stands behind the last character.
std::string utf16(std::string_view text) {
  std::string out;
  for (const char c : text) {
    out += c;
    out += '\0';
  }
  return out;
}

// The characters that the text alone decides, with `before` bytes of others ahead of it. Base64url has the same for
// the marker.
std::string base64(std::string_view text, std::size_t before) {
  static constexpr char kDigits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  const std::string bytes = std::string(before, '\0') + std::string(text);
  std::string out;
  for (std::size_t bit = (8 * before + 5) / 6 * 6; bit + 6 <= 8 * bytes.size(); bit += 6) {
    std::uint32_t digit = 0;
    for (std::size_t i = bit; i < bit + 6; ++i) {
      digit = digit << 1 | (static_cast<unsigned char>(bytes[i / 8]) >> (7 - i % 8) & 1U);
    }
    out += kDigits[digit];
  }
  return out;
}

// All forms at once: two bytes tell how far it is at least to the end of the shortest form's worth of any of them.
class Search {
 public:
  Search() {
    static constexpr char kLower[] = "0123456789abcdef";
    static constexpr char kUpper[] = "0123456789ABCDEF";
    forms_ = {{"raw", std::string(kSecretMarker)},
              {"UTF-16", utf16(kSecretMarker)},
              {"hexadecimal", coded(kSecretMarker, "", kLower)},
              {"hexadecimal", coded(kSecretMarker, "", kUpper)},
              {"URL-coded", coded(kSecretMarker, "%", kLower)},
              {"URL-coded", coded(kSecretMarker, "%", kUpper)}};
    for (std::size_t before = 0; before < 3; ++before) forms_.push_back({"base64", base64(kSecretMarker, before)});
    skip_.fill(kWindow - 1);
    for (const Form& form : forms_) {
      for (std::size_t end = 2; end <= kWindow; ++end) {
        std::uint8_t& skip = skip_[pair(form.bytes.data() + end - 2)];
        skip = std::min(skip, static_cast<std::uint8_t>(kWindow - end));
      }
    }
  }

  std::optional<CanaryFound> find(BytesView bytes) const {
    std::size_t at = 0;
    while (at + kWindow <= bytes.size()) {
      const std::uint8_t skip = skip_[pair(bytes.data() + at + kWindow - 2)];
      if (skip != 0) {
        at += skip;
        continue;
      }
      for (const Form& form : forms_) {
        if (bytes.substr(at, form.bytes.size()) == form.bytes) return CanaryFound{at, form.name};
      }
      ++at;
    }
    return std::nullopt;
  }

 private:
  static constexpr std::size_t kWindow = kSecretMarker.size();  // no form is shorter
  static constexpr std::size_t kPairs = 4'096;  // some share a place; so small, the table stays near the processor
  static std::size_t pair(const char* bytes) {
    const auto high = static_cast<std::size_t>(static_cast<unsigned char>(bytes[0])) << 4;
    return (high ^ static_cast<unsigned char>(bytes[1])) % kPairs;
  }

  std::vector<Form> forms_;
  std::array<std::uint8_t, kPairs> skip_{};
};

}  // namespace

std::optional<CanaryFound> find_canary(BytesView bytes) {
  static const Search search;
  return search.find(bytes);
}

}  // namespace chatsdk::sim
