// SPDX-License-Identifier: Apache-2.0
#include "store/crypt_page.h"

#include <sodium.h>

#include <cstring>

#include "base/assert.h"

namespace chatsdk {

static_assert(kNonceBytes == crypto_aead_xchacha20poly1305_ietf_NPUBBYTES);
static_assert(kTagBytes == crypto_aead_xchacha20poly1305_ietf_ABYTES);
static_assert(SubKey::size() == crypto_aead_xchacha20poly1305_ietf_KEYBYTES);
static_assert(StoreKey::size() == crypto_kdf_KEYBYTES);

namespace {

constexpr char kKdfContext[crypto_kdf_CONTEXTBYTES + 1] = "chatstor";
constexpr std::uint64_t kCheckKeyIndex = 16;

SubKey derive(const StoreKey& key, std::uint64_t index) {
  SubKey sub_key;
  const int result = crypto_kdf_derive_from_key(sub_key.data(), SubKey::size(), index, kKdfContext, key.data());
  CHATSDK_ASSERT(result == 0);
  return sub_key;
}

SubKey derive(const StoreKey& key, RecordKind kind) { return derive(key, static_cast<std::uint64_t>(kind)); }

}  // namespace

StoreKeys::StoreKeys(const StoreKey& key)
    : page_(derive(key, RecordKind::kPage)),
      wal_(derive(key, RecordKind::kWal)),
      journal_(derive(key, RecordKind::kJournal)),
      header_(derive(key, RecordKind::kHeader)),
      check_(derive(key, kCheckKeyIndex)) {}

const SubKey& StoreKeys::of(RecordKind kind) const {
  switch (kind) {
    case RecordKind::kPage:
      return page_;
    case RecordKind::kWal:
      return wal_;
    case RecordKind::kJournal:
      return journal_;
    case RecordKind::kHeader:
      break;
  }
  return header_;
}

std::array<unsigned char, 32> StoreKeys::check_value(std::span<const unsigned char> text) const {
  std::array<unsigned char, 32> value{};
  const int result =
      crypto_generichash(value.data(), value.size(), text.data(), text.size(), check_.data(), SubKey::size());
  CHATSDK_ASSERT(result == 0);
  return value;
}

void SharedRandom::fill(std::span<unsigned char> out) {
  const std::lock_guard lock(mutex_);
  if (out.size() > kBlockBytes) return source_.fill(out);
  if (out.size() > kBlockBytes - used_) {
    source_.fill(block_);
    used_ = 0;
  }
  std::memcpy(out.data(), block_.data() + used_, out.size());
  used_ += out.size();
}

Sealer::Sealer(const StoreKeys& keys, RecordKind kind, const FileIdentity& identity, SharedRandom& random)
    : key_(&keys.of(kind)), kind_(kind), identity_(identity), random_(&random) {}

Sealer::Associated Sealer::associated(std::uint64_t index, std::span<const unsigned char> tied_to) const {
  CHATSDK_ASSERT(tied_to.empty() || tied_to.size() == kTagBytes);
  Associated data;
  unsigned char* at = data.bytes.data();
  std::memcpy(at, identity_.data(), identity_.size());
  at += identity_.size();
  *at++ = static_cast<unsigned char>(kind_);
  for (std::size_t i = 0; i < 8; ++i) *at++ = static_cast<unsigned char>((index >> (8 * i)) & 0xFF);
  if (!tied_to.empty()) std::memcpy(at, tied_to.data(), kTagBytes);
  data.size = kFileIdentityBytes + 1 + 8 + tied_to.size();
  return data;
}

void Sealer::seal(std::uint64_t index, std::span<const unsigned char> plain, unsigned char* sealed,
                  std::span<const unsigned char> tied_to) const {
  unsigned char* const tag = sealed + plain.size();
  unsigned char* const nonce = tag + kTagBytes;
  random_->fill({nonce, kNonceBytes});
  const Associated data = associated(index, tied_to);
  crypto_aead_xchacha20poly1305_ietf_encrypt_detached(sealed, tag, nullptr, plain.data(), plain.size(),
                                                      data.bytes.data(), data.size, nullptr, nonce, key_->data());
}

bool Sealer::open(std::uint64_t index, const unsigned char* sealed, std::size_t plain_bytes, unsigned char* plain,
                  std::span<const unsigned char> tied_to) const {
  const unsigned char* const tag = sealed + plain_bytes;
  const unsigned char* const nonce = tag + kTagBytes;
  const Associated data = associated(index, tied_to);
  const int result = crypto_aead_xchacha20poly1305_ietf_decrypt_detached(
      plain, nullptr, sealed, plain_bytes, tag, data.bytes.data(), data.size, nonce, key_->data());
  if (result == 0) return true;
  std::memset(plain, 0, plain_bytes);
  return false;
}

}  // namespace chatsdk
