// SPDX-License-Identifier: Apache-2.0
//
// Sender chains (docs/e2ee.md section 14): the chain by which a device encrypts a group's message once, its
// distribution, the group message, the roster hash and the signed entries of the membership log, as values. It does not
// know who is a member, nor where chains are kept.
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
// In any order. TOO_LARGE above limits::e2ee::kMembersMax; INVALID_ARGUMENT for a user who is there twice.
Result<RosterHash> roster_hash(ConversationId conversation, std::uint64_t revision,
                               std::span<const RosterMember> members);

// The roster at an item.
struct RosterPoint {
  std::uint64_t revision = 0;
  RosterHash hash;
  std::uint64_t left_revision = 0;  // the last one by which a member or a device left; 0: none. Only senders look at it
};

enum class Operation : std::uint8_t { kCreate = 1, kAdd = 2, kRemove = 3, kLeave = 4, kRole = 5 };
enum class MemberRole : std::uint8_t { kNone = 0, kMember = 1, kAdmin = 2, kOwner = 3 };

struct GroupEntry {
  ConversationId conversation;
  std::uint64_t roster_revision = 0;
  Hash previous;  // of the first one zeros
  Operation operation = Operation::kCreate;
  MemberRole role = MemberRole::kNone;
  UserId subject;
  UserId actor;
  DeviceId actors_device;
  std::uint64_t time_ms = 0;

  friend bool operator==(const GroupEntry&, const GroupEntry&) = default;
};
Bytes sign_group_entry(const GroupEntry& entry, const SigningSeed& signing_seed);
// With the signing key of the actor's device as it is listed at that point of the stream; `previous` is the hash of the
// entry before.
std::optional<GroupEntry> parse_group_entry(BytesView bytes, const SigningKey& signing_key, const Hash& previous);
// Whose signing key that is, before anything was verified.
std::optional<GroupEntry> peek_group_entry(BytesView bytes);
Hash group_entry_hash(BytesView bytes);

// ---- Chains ---------------------------------------------------------------------------------------------------------

struct OwnChain {
  ConversationId conversation;
  ChainId chain_id;
  Secret<32> chain_key;  // for the number `next`
  std::uint32_t next = 0;
  SigningPair signing;  // a store keeps its seed
  std::uint64_t roster_revision = 0;
  std::uint64_t created_ms = 0;

  static OwnChain draw(ConversationId conversation, std::uint64_t roster_revision, std::uint64_t now_ms,
                       Random& random);
  OwnChain clone() const;
};
// Whether its count, its age, or somebody who has it and has left says that another one is made before the next
// message.
bool is_used_up(const OwnChain& chain, const RosterPoint& roster, std::uint64_t now_ms);

struct ReceivedChain {
  ConversationId conversation;
  Peer sender;
  ChainId chain_id;
  Secret<32> chain_key;
  std::uint32_t next = 0;
  SigningKey signing_key;
  std::uint32_t order = 0;  // of the chains received from that device in that conversation, from 1

  ReceivedChain clone() const;
};

// The body that hands a chain out, at its present number.
struct Distribution {
  ConversationId conversation;
  std::uint64_t roster_revision = 0;
  DeviceId device_id;
  ChainId chain_id;
  std::uint32_t next = 0;
  Secret<32> chain_key;
  SigningKey signing_key;
  std::uint64_t created_ms = 0;
};
// It holds a key: who is done with it wipes it.
Bytes distribution_of(const OwnChain& chain, DeviceId own_device);
std::optional<Distribution> parse_distribution(BytesView bytes);

// ---- Messages -------------------------------------------------------------------------------------------------------

inline constexpr std::size_t kGroupOverheadBytes = 198;

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
  ConversationId conversation;
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
