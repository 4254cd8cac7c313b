// SPDX-License-Identifier: Apache-2.0
#include "e2ee/group_info.h"

#include <string>

#include "base/limits.h"
#include "base/wipe.h"
#include "e2ee/padding.h"

namespace chatsdk::e2ee {
namespace {

SealKey info_seal_key(const Secret<32>& info_key, const GroupId& group) {
  constexpr char kSalt[64] = {};
  return hkdf<64>(BytesView(kSalt, sizeof kSalt), view(info_key), {label::kGroupInfo.bytes(), group.view()});
}

}  // namespace

Result<Bytes> seal_group_info(BytesView info, const Secret<32>& info_key, const Nonce& nonce, const GroupId& group) {
  if (info.size() > limits::e2ee::kGroupInfoMax) {
    return error(Code::kTooLarge, "info of a group: " + std::to_string(info.size()) + " B, limit " +
                                      std::to_string(limits::e2ee::kGroupInfoMax) + " B");
  }
  Writer writer;
  writer.lp(info);
  Bytes plain = padded(writer.view());
  const WipeAtEnd wiped(plain);
  return seal(info_seal_key(info_key, group), nonce, plain, group.view());
}

std::optional<Bytes> open_group_info(BytesView sealed, const Secret<32>& info_key, const GroupId& group) {
  auto plain = unseal(info_seal_key(info_key, group), sealed, group.view());
  if (!plain) return std::nullopt;
  const WipeAtEnd wiped(*plain);
  Reader reader(*plain);
  const BytesView info = reader.lp(0, limits::e2ee::kGroupInfoMax);
  if (reader.failed() || !is_padded(*plain, reader.position())) return std::nullopt;
  return Bytes(info);
}

Hash group_info_hash(BytesView sealed) { return hash(label::kHashGroupInfo, {sealed}); }

}  // namespace chatsdk::e2ee
