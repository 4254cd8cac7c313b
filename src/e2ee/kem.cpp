// SPDX-License-Identifier: Apache-2.0
#include "e2ee/kem.h"

#include <optional>
#include <span>

namespace chatsdk {
namespace {

// The bytes as a span of the one length that is taken; nullopt for any other.
template <std::size_t kSize>
std::optional<std::span<const unsigned char, kSize>> exactly(BytesView bytes) {
  if (bytes.size() != kSize) return std::nullopt;
  return std::span<const unsigned char, kSize>(reinterpret_cast<const unsigned char*>(bytes.data()), kSize);
}

Error malformed(std::string_view what, std::size_t size, std::size_t expected) {
  return error(Code::kMalformed,
               std::string(what) + " of " + std::to_string(size) + " B, expected " + std::to_string(expected) + " B");
}

class OwnKem final : public Kem {
 public:
  std::string_view name() const override { return "chatsdk"; }

  Result<EncapsulationKey> public_key(const Seed& seed) const override {
    EncapsulationKey public_key;
    mlkem768::DecapsulationKey secret_key;
    mlkem768::generate(seed, public_key, secret_key);
    return public_key;
  }

  bool check_ek(BytesView encapsulation_key) const override {
    const auto key = exactly<mlkem768::kEncapsulationKeyBytes>(encapsulation_key);
    return key && mlkem768::is_valid(*key);
  }

  Result<Encapsulation> encapsulate(BytesView encapsulation_key, Message random) const override {
    const auto key = exactly<mlkem768::kEncapsulationKeyBytes>(encapsulation_key);
    if (!key) return malformed("encapsulation key", encapsulation_key.size(), mlkem768::kEncapsulationKeyBytes);
    if (!mlkem768::is_valid(*key)) return error(Code::kMalformed, "encapsulation key with a coefficient above 3328");
    Encapsulation made;
    mlkem768::encapsulate(*key, random, made.ciphertext, made.shared_secret);
    return made;
  }

  Result<Decapsulation> decapsulate(const Seed& seed, BytesView ciphertext) const override {
    const auto sent = exactly<mlkem768::kCiphertextBytes>(ciphertext);
    if (!sent) return malformed("ciphertext", ciphertext.size(), mlkem768::kCiphertextBytes);
    Decapsulation opened;
    mlkem768::DecapsulationKey secret_key;
    mlkem768::generate(seed, opened.public_key, secret_key);
    mlkem768::decapsulate(secret_key, *sent, opened.shared_secret);
    return opened;
  }
};

}  // namespace

const Kem& own_kem() {
  static const OwnKem kem;
  return kem;
}

}  // namespace chatsdk
