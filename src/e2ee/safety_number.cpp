// SPDX-License-Identifier: Apache-2.0
#include "e2ee/safety_number.h"

#include <algorithm>
#include <utility>

#include "base/bytes.h"
#include "e2ee/primitives.h"

namespace chatsdk::e2ee {
namespace {

constexpr std::uint8_t kSafetyVersion = 1;
constexpr std::string_view kScannablePrefix = "csdk-safety:";
constexpr int kHashesMore = 5'199;
constexpr std::size_t kGroupDigits = 5;
constexpr std::size_t kGroupsOfOne = 6;

// f of section 13.
Secret<64> fingerprint(const Identity& identity) {
  Writer writer;
  writer.user(identity.user_id).key(identity.account_key);
  Secret<64> h = sha512({label::kSafety.bytes(), writer.view()});
  for (int i = 0; i < kHashesMore; ++i) h = sha512({view(h), identity.account_key.view()});
  return h;
}

std::string digits_of(BytesView h) {
  std::string digits;
  for (std::size_t group = 0; group < kGroupsOfOne; ++group) {
    std::uint64_t number = 0;
    for (std::size_t i = kGroupDigits; i-- > 0;) {
      number = number << 8 | static_cast<unsigned char>(h[group * kGroupDigits + i]);
    }
    std::string text = std::to_string(number % 100'000);
    digits.append(kGroupDigits - text.size(), '0').append(text);
  }
  return digits;
}

}  // namespace

std::string SafetyNumber::grouped() const {
  std::string text;
  for (std::size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && i % kGroupDigits == 0) text.push_back(' ');
    text.push_back(digits[i]);
  }
  return text;
}

SafetyNumber safety_number(const Identity& one, const Identity& other) {
  const Secret<64> first = fingerprint(one);
  const Secret<64> second = fingerprint(other);
  const auto digits = std::minmax({digits_of(view(first)), digits_of(view(second))});
  const auto hashes = std::minmax({view(first).substr(0, 32), view(second).substr(0, 32)});
  Writer writer;
  writer.u8(kSafetyVersion).raw(hashes.first).raw(hashes.second);
  return {digits.first + digits.second, std::string(kScannablePrefix) + to_base64url(writer.view())};
}

Scan compare_scanned(const SafetyNumber& own, std::string_view scanned) {
  if (scanned == own.scannable) return Scan::kEqual;
  if (!scanned.starts_with(kScannablePrefix)) return Scan::kDifferent;
  const auto body = from_base64url(scanned.substr(kScannablePrefix.size()));
  if (!body || body->empty()) return Scan::kDifferent;
  return static_cast<std::uint8_t>(body->front()) == kSafetyVersion ? Scan::kDifferent : Scan::kOtherVersion;
}

}  // namespace chatsdk::e2ee
