// SPDX-License-Identifier: Apache-2.0
//
// A fixed-size secret that moves but never copies, and is wiped when it ends or moves away.
//
// Threads: one owner.
#pragma once

#include <sodium.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <string_view>

namespace chatsdk {

template <std::size_t kSize>
class Secret {
 public:
  static constexpr std::size_t size() { return kSize; }

  Secret() = default;
  ~Secret() { wipe(); }
  Secret(const Secret&) = delete;
  Secret& operator=(const Secret&) = delete;
  Secret(Secret&& other) noexcept : bytes_(other.bytes_) { other.wipe(); }
  Secret& operator=(Secret&& other) noexcept {
    if (this != &other) {
      bytes_ = other.bytes_;
      other.wipe();
    }
    return *this;
  }

  // Of exactly kSize bytes; of fewer, which a reader gives that was at its end, the rest is zeros.
  static Secret copy_of(std::string_view bytes) {
    Secret secret;
    std::copy_n(bytes.begin(), std::min(kSize, bytes.size()), secret.bytes_.begin());
    return secret;
  }
  Secret clone() const {
    Secret secret;
    secret.bytes_ = bytes_;
    return secret;
  }

  unsigned char* data() { return bytes_.data(); }
  const unsigned char* data() const { return bytes_.data(); }
  void wipe() { sodium_memzero(bytes_.data(), kSize); }

 private:
  std::array<unsigned char, kSize> bytes_{};
};

using StoreKey = Secret<32>;

}  // namespace chatsdk
