// SPDX-License-Identifier: Apache-2.0
//
// A fixed-size secret that moves but never copies, and is wiped when it ends or moves away.
//
// Threads: one owner.
#pragma once

#include <sodium.h>

#include <array>
#include <cstddef>
#include <cstring>
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

  // The caller checked that bytes holds exactly kSize.
  static Secret copy_of(std::string_view bytes) {
    Secret secret;
    std::memcpy(secret.bytes_.data(), bytes.data(), kSize < bytes.size() ? kSize : bytes.size());
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
