// SPDX-License-Identifier: Apache-2.0
//
// Membership entries (docs/e2ee.md section 14.2): one signed change of a group's state, as bytes and as a value.
// Whether its actor may make it, and what comes of it, is known by e2ee/group_rules.h.
//
// Threads: values and pure functions.
// Invariants:
//   1. What parses is written again to the same bytes: an entry has one form. Nothing of it was verified then.
#pragma once

#include <cstdint>
#include <optional>
#include <variant>
#include <vector>

#include "base/bytes.h"
#include "base/ids.h"
#include "e2ee/group_state.h"
#include "e2ee/primitives.h"

namespace chatsdk::e2ee {

// The operations, in the order of their numbers from 1.
struct CreateGroup {
  friend bool operator==(const CreateGroup&, const CreateGroup&) = default;
};
enum class AddSource : std::uint8_t { kByHand = 0, kInvitation = 1, kRequest = 2 };
struct AddMembers {
  AddSource source = AddSource::kByHand;
  InvitationId invitation;  // kInvitation
  Hash request_hash;        // kInvitation, kRequest
  std::vector<GroupMember> people;
  friend bool operator==(const AddMembers&, const AddMembers&) = default;
};
struct RemoveMember {
  UserId user_id;
  friend bool operator==(const RemoveMember&, const RemoveMember&) = default;
};
struct LeaveGroup {
  friend bool operator==(const LeaveGroup&, const LeaveGroup&) = default;
};
struct SetRole {
  UserId user_id;
  GroupRole role = GroupRole::kMember;
  friend bool operator==(const SetRole&, const SetRole&) = default;
};
struct SetOwner {
  UserId user_id;
  friend bool operator==(const SetOwner&, const SetOwner&) = default;
};
struct SetInfo {
  Hash info_hash;  // zeros: the group has no name any more
  friend bool operator==(const SetInfo&, const SetInfo&) = default;
};
struct SetPermissions {
  GroupPermissions permissions;
  friend bool operator==(const SetPermissions&, const SetPermissions&) = default;
};
struct Invite {
  InvitationId id;
  std::uint64_t expires_ms = 0;  // 0: never
  std::uint32_t uses = kUsesUnlimited;
  friend bool operator==(const Invite&, const Invite&) = default;
};
struct RevokeInvitation {
  InvitationId id;
  friend bool operator==(const RevokeInvitation&, const RevokeInvitation&) = default;
};
using GroupChange = std::variant<CreateGroup, AddMembers, RemoveMember, LeaveGroup, SetRole, SetOwner, SetInfo,
                                 SetPermissions, Invite, RevokeInvitation>;

struct GroupEntry {
  GroupId group_id;
  std::uint64_t number = 0;
  Hash previous;  // of number 1 zeros
  GroupChange change;
  UserId actor;
  DeviceId actors_device;
  std::uint64_t time_ms = 0;
  Hash state_hash;  // of the state after it

  friend bool operator==(const GroupEntry&, const GroupEntry&) = default;
};

// People in any order.
Bytes sign_group_entry(const GroupEntry& entry, const SigningSeed& signing_seed);
std::optional<GroupEntry> parse_group_entry(BytesView bytes);
// The value of an operation, given by its number.
std::optional<GroupChange> parse_group_change(std::uint8_t operation, BytesView value);
// Of bytes that parse.
bool is_signed_by(BytesView bytes, const SigningKey& signing_key);
Hash group_entry_hash(BytesView bytes);

}  // namespace chatsdk::e2ee
