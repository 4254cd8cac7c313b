// SPDX-License-Identifier: Apache-2.0
//
// Sender chains (docs/e2ee.md section 14): the chain by which a device encrypts a group's message once, its
// distribution, the group message and the roster hash, as values. It does not know who is a member, nor where chains
// are kept.
//
// Threads: values and pure functions.
// Invariants:
//   1. open_group() gives the chain as it is afterwards: where it fails, the one that it was given is as before.
//   2. A chain moves forward only; keys that are passed over are erased.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "base/bytes.h"
#include "base/ids.h"
#include "base/random.h"
#include "base/result.h"
#include "e2ee/primitives.h"
#include "e2ee/session_rows.h"

namespace chatsdk::e2ee {

using ChainId = Fixed<struct ChainIdTag, 16>;
using RosterHash = Fixed<struct RosterHashTag, 16>;

// ---- The roster -----------------------------------------------------------------------------------------------------

struct RosterMember {
  UserId user_id;
  std::uint64_t list_version = 0;
  Hash list_hash;
};
// The newest membership entry (section 14.2).
struct GroupPlace {
  GroupId group;
  std::uint64_t number = 0;
  Hash entry_hash;

  friend bool operator==(const GroupPlace&, const GroupPlace&) = default;
};
// Members in any order. TOO_LARGE above limits::e2ee::kMembersMax; INVALID_ARGUMENT for a user who is there twice.
Result<RosterHash> roster_hash(const GroupPlace& place, std::span<const RosterMember> members);

// The roster at an item.
struct RosterPoint {
  std::uint64_t revision = 0;
  std::uint64_t number = 0;  // of the newest membership entry
  RosterHash hash;
  std::uint64_t left_revision = 0;  // the last one by which a member or a device left; 0: none. Only senders look at it
};

// The key of a group's info (section 14.7), and the number of the entry that it goes with. Its body is that of
// body_type 5.
struct InfoKey {
  std::uint64_t number = 0;
  Secret<32> key;

  InfoKey clone() const { return {number, key.clone()}; }
};
// Who is done with the bytes wipes them.
Bytes serialize(const InfoKey& info_key);
std::optional<InfoKey> parse_info_key(BytesView bytes);

// ---- Chains ---------------------------------------------------------------------------------------------------------

struct OwnChain {
  GroupId group;
  ChainId chain_id;
  Secret<32> chain_key;  // for the number `next`
  std::uint32_t next = 0;
  SigningPair signing;  // a store keeps its seed
  std::uint64_t roster_revision = 0;
  std::uint64_t created_ms = 0;

  static OwnChain draw(const GroupId& group, std::uint64_t roster_revision, std::uint64_t now_ms, Random& random);
  OwnChain clone() const;
};
// Whether its count, its age, or somebody who has it and has left says that another one is made before the next
// message.
bool is_used_up(const OwnChain& chain, const RosterPoint& roster, std::uint64_t now_ms);

struct ReceivedChain {
  GroupId group;
  Peer sender;
  ChainId chain_id;
  Secret<32> chain_key;
  std::uint32_t next = 0;
  SigningKey signing_key;
  std::uint32_t order = 0;  // of the chains received from that device in that group, from 1

  ReceivedChain clone() const;
};

// The body that hands a chain out, at its present number.
struct Distribution {
  GroupId group;
  std::uint64_t number = 0;  // of the newest membership entry, and the roster's hash, as its sender knows them
  RosterHash roster_hash;
  DeviceId device_id;
  ChainId chain_id;
  std::uint32_t next = 0;
  Secret<32> chain_key;
  SigningKey signing_key;
  std::uint64_t created_ms = 0;
  std::optional<InfoKey> info_key{};
};
// It holds keys: who is done with it wipes it. `info_key` is nullptr where none is known.
Bytes distribution_of(const OwnChain& chain, DeviceId own_device, const RosterPoint& roster, const InfoKey* info_key);
std::optional<Distribution> parse_distribution(BytesView bytes);

// ---- Messages -------------------------------------------------------------------------------------------------------

inline constexpr std::size_t kGroupOverheadBytes = 206;

// Who encrypts, and for which roster.
struct GroupSender {
  const UserId& user_id;
  DeviceId device_id;
  const RosterPoint& roster;
};
// TOO_LARGE; LIMIT_REACHED where the chain is used up.
Result<Bytes> encrypt_group(OwnChain& chain, const GroupSender& sender, BytesView padded, std::uint64_t now_ms,
                            Random& random);

struct GroupMessage {
  BytesView header;  // all before the nonce
  GroupId group;
  RosterPoint roster;
  DeviceId device_id;
  ChainId chain_id;
  std::uint32_t number = 0;
  BytesView sealed;
  BytesView signed_part;
  Signature signature;
};
std::optional<GroupMessage> parse_group_message(BytesView bytes);

struct OpenedGroup {
  Bytes padded;
  ReceivedChain chain;  // takes the place of the one before
};
// DUPLICATE, BAD_MESSAGE.
Result<OpenedGroup> open_group(const ReceivedChain& chain, const GroupMessage& message, std::uint32_t jump_max);

}  // namespace chatsdk::e2ee
