// SPDX-License-Identifier: Apache-2.0
#include "e2ee/sender_chains.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "base/limits.h"
#include "e2ee/ageing.h"
#include "e2ee/outcome.h"
#include "e2ee/padding.h"

namespace chatsdk::e2ee {
namespace {

constexpr std::uint8_t kGroupVersion = 1;
constexpr std::uint8_t kTypeGroup = 3;
constexpr std::uint8_t kTypeDistribution = 4;
constexpr std::size_t kGroupHeaderBytes = 70;
constexpr std::size_t kInfoKeyBytes = 40;
constexpr std::size_t kDistributionBytes = 183;
static_assert(kGroupHeaderBytes + kSealOverheadBytes + Signature::size() == kGroupOverheadBytes);

struct ChainStep {
  Secret<32> next;
  Secret<32> key;
};

ChainStep group_step(const Secret<32>& chain_key) {
  auto [next, key] = halves(hmac(view(chain_key), {label::kGroupChain.bytes()}));
  return {std::move(next), std::move(key)};
}

SealKey group_message_keys(const Secret<32>& message_key) {
  return hmac(view(message_key), {label::kGroupMessage.bytes()});
}

// What names a chain, in its associated data.
struct ChainName {
  const GroupId& group;
  const UserId& user_id;
  DeviceId device_id;
  const ChainId& chain_id;
  const SigningKey& signing_key;
};

// chain_ad ‖ header.
Bytes group_associated(const ChainName& name, BytesView header) {
  Writer writer;
  writer.raw(name.group.view()).user(name.user_id).u64(name.device_id.value);
  writer.raw(name.chain_id).key(name.signing_key);
  const Hash chain_ad = hash(label::kGroupAd, {writer.view()});
  return Bytes(chain_ad.view()).append(header);
}

}  // namespace

Result<RosterHash> roster_hash(const GroupPlace& place, std::span<const RosterMember> members) {
  if (members.size() > limits::e2ee::kMembersMax) {
    return error(Code::kTooLarge, "roster of " + std::to_string(members.size()) + " members, limit " +
                                      std::to_string(limits::e2ee::kMembersMax));
  }
  std::vector<const RosterMember*> sorted;
  for (const RosterMember& member : members) sorted.push_back(&member);
  std::sort(sorted.begin(), sorted.end(),
            [](const RosterMember* a, const RosterMember* b) { return a->user_id < b->user_id; });
  Writer writer;
  writer.raw(place.group.view()).u64(place.number).raw(place.entry_hash);
  writer.u32(static_cast<std::uint32_t>(sorted.size()));
  const RosterMember* before = nullptr;
  for (const RosterMember* member : sorted) {
    if (before != nullptr && before->user_id == member->user_id) {
      return error(Code::kInvalidArgument, "a member twice in a roster");
    }
    writer.user(member->user_id).u64(member->list_version).raw(member->list_hash);
    before = member;
  }
  const Hash whole = hash(label::kGroupRoster, {writer.view()});
  return RosterHash::from(whole.view());
}

Bytes serialize(const InfoKey& info_key) {
  Writer writer(kInfoKeyBytes);
  writer.u64(info_key.number).raw(view(info_key.key));
  return writer.take();
}

std::optional<InfoKey> parse_info_key(BytesView bytes) {
  Reader reader(bytes);
  InfoKey info_key{reader.u64(), Secret<32>::copy_of(reader.raw(32))};
  reader.require(info_key.number != 0);
  if (!reader.finished()) return std::nullopt;
  return info_key;
}

OwnChain OwnChain::draw(const GroupId& group, std::uint64_t roster_revision, std::uint64_t now_ms, Random& random) {
  OwnChain chain;
  chain.group = group;
  chain.chain_id = e2ee::draw<ChainId>(random);
  chain.chain_key = draw_secret<32>(random);
  chain.signing = SigningPair(draw_secret<32>(random));
  chain.roster_revision = roster_revision;
  chain.created_ms = now_ms;
  return chain;
}

OwnChain OwnChain::clone() const {
  return {group, chain_id, chain_key.clone(), next, signing.clone(), roster_revision, created_ms};
}

bool is_used_up(const OwnChain& chain, const RosterPoint& roster, std::uint64_t now_ms) {
  return chain.next >= limits::e2ee::kChainMessagesMax || chain.roster_revision < roster.left_revision ||
         is_old(now_ms, chain.created_ms, limits::e2ee::kChainAgeMax);
}

ReceivedChain ReceivedChain::clone() const {
  return {group, sender, chain_id, chain_key.clone(), next, signing_key, order};
}

Bytes distribution_of(const OwnChain& chain, DeviceId own_device, const RosterPoint& roster, const InfoKey* info_key) {
  Writer writer(kDistributionBytes);
  writer.u8(kGroupVersion).u8(kTypeDistribution).raw(chain.group.view()).u64(roster.number).raw(roster.hash);
  writer.u64(own_device.value).raw(chain.chain_id).u32(chain.next).raw(view(chain.chain_key));
  writer.key(chain.signing.key()).u64(chain.created_ms);
  if (info_key == nullptr) {
    writer.zeros(kInfoKeyBytes);
  } else {
    writer.u64(info_key->number).raw(view(info_key->key));
  }
  return writer.take();
}

std::optional<Distribution> parse_distribution(BytesView bytes) {
  Reader reader(bytes);
  Distribution distribution;
  reader.expect_u8(kGroupVersion);
  reader.expect_u8(kTypeDistribution);
  distribution.group = reader.group_id();
  distribution.number = reader.u64();
  distribution.roster_hash = reader.fixed<RosterHash>();
  distribution.device_id = DeviceId{reader.id()};
  distribution.chain_id = reader.fixed<ChainId>();
  distribution.next = reader.u32();
  reader.require(distribution.next < limits::e2ee::kCountMax);
  distribution.chain_key = Secret<32>::copy_of(reader.raw(32));
  distribution.signing_key = reader.signing_key();
  distribution.created_ms = reader.u64();
  const std::uint64_t info_number = reader.u64();
  const BytesView info_key = reader.raw(kInfoKeyBytes - sizeof info_number);
  if (info_number != 0) {
    distribution.info_key = InfoKey{info_number, Secret<32>::copy_of(info_key)};
  } else {
    reader.require(info_key.find_first_not_of('\0') == BytesView::npos);
  }
  if (!reader.finished()) return std::nullopt;
  return distribution;
}

Result<Bytes> encrypt_group(OwnChain& chain, const GroupSender& sender, BytesView padded, std::uint64_t now_ms,
                            Random& random) {
  if (padded.size() < kPaddedMin || padded.size() > limits::e2ee::kPaddedMax) {
    return error(Code::kTooLarge, "padded envelope of " + std::to_string(padded.size()) + " B, limit " +
                                      std::to_string(limits::e2ee::kPaddedMax) + " B");
  }
  if (is_used_up(chain, sender.roster, now_ms)) {
    return error(Code::kLimitReached, "messages, age or roster of a sender chain");
  }
  ChainStep step = group_step(chain.chain_key);
  Writer header(kGroupHeaderBytes);
  header.u8(kGroupVersion).u8(kTypeGroup).raw(chain.group.view()).u64(sender.roster.number);
  header.raw(sender.roster.hash).u64(sender.device_id.value).raw(chain.chain_id).u32(chain.next);
  const Bytes associated = group_associated(
      {chain.group, sender.user_id, sender.device_id, chain.chain_id, chain.signing.key()}, header.view());
  const auto nonce = draw<Nonce>(random);
  Bytes message(header.view());
  message.append(seal(group_message_keys(step.key), nonce, padded, associated));
  message.append(sign(chain.signing, label::kSigGroupMessage, message).view());
  chain.chain_key = std::move(step.next);
  ++chain.next;
  return message;
}

std::optional<GroupMessage> parse_group_message(BytesView bytes) {
  Reader reader(bytes);
  GroupMessage message;
  reader.expect_u8(kGroupVersion);
  reader.expect_u8(kTypeGroup);
  message.group = reader.fixed<GroupId>();  // zeros are another group than the item's
  message.roster.number = reader.u64();
  message.roster.hash = reader.fixed<RosterHash>();
  message.device_id = DeviceId{reader.u64()};
  message.chain_id = reader.fixed<ChainId>();
  message.number = reader.u32();
  message.header = reader.seen();
  if (reader.failed()) return std::nullopt;
  const BytesView rest = bytes.substr(reader.position());
  if (rest.size() < kPaddedMin + kSealOverheadBytes + Signature::size() ||
      rest.size() > limits::e2ee::kPaddedMax + kSealOverheadBytes + Signature::size()) {
    return std::nullopt;
  }
  message.sealed = rest.substr(0, rest.size() - Signature::size());
  message.signed_part = bytes.substr(0, bytes.size() - Signature::size());
  message.signature = Signature::from(bytes.substr(bytes.size() - Signature::size()));
  return message;
}

Result<OpenedGroup> open_group(const ReceivedChain& chain, const GroupMessage& message, std::uint32_t jump_max) {
  if (message.number < chain.next) return duplicate();
  if (message.number - chain.next > jump_max || message.number >= limits::e2ee::kCountMax) return bad_message();
  // Before the steps: who has not signed costs no more than this.
  if (!verify(chain.signing_key, label::kSigGroupMessage, message.signed_part, message.signature)) {
    return bad_message();
  }
  ReceivedChain after = chain.clone();
  while (after.next < message.number) {
    after.chain_key = group_step(after.chain_key).next;
    ++after.next;
  }
  ChainStep step = group_step(after.chain_key);
  after.chain_key = std::move(step.next);
  ++after.next;
  const Bytes associated = group_associated(
      {chain.group, chain.sender.user_id, chain.sender.device_id, chain.chain_id, chain.signing_key}, message.header);
  auto padded = unseal(group_message_keys(step.key), message.sealed, associated);
  if (!padded) return bad_message();
  return OpenedGroup{std::move(*padded), std::move(after)};
}

}  // namespace chatsdk::e2ee
