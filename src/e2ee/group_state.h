// SPDX-License-Identifier: Apache-2.0
//
// The state of an encrypted group (docs/e2ee.md section 14.1): who is a member, under which account key and with which
// role, what each role may, and which invitations stand, as a value and as the bytes that membership entries sign the
// hash of. How it changes is known by e2ee/group_rules.h.
//
// Threads: values and pure functions.
// Invariants:
//   1. What parses is written again to the same bytes: a state has one form.
//   2. A state that was parsed has the group_id of its origin, members in order and each once, at most one owner, and
//      invitations of members alone.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/bytes.h"
#include "base/ids.h"
#include "e2ee/primitives.h"

namespace chatsdk::e2ee {

enum class GroupRole : std::uint8_t { kMember = 1, kAdmin = 2, kOwner = 3 };

enum class GroupRight : std::uint8_t { kSend, kPin, kAdd, kInvite, kRemove, kInfo, kRoles, kPermissions };
inline constexpr std::size_t kGroupRights = 8;

// Of each right the least role that has it.
struct GroupPermissions {
  std::array<GroupRole, kGroupRights> least{GroupRole::kMember, GroupRole::kMember, GroupRole::kAdmin,
                                            GroupRole::kAdmin,  GroupRole::kAdmin,  GroupRole::kAdmin,
                                            GroupRole::kOwner,  GroupRole::kOwner};

  GroupRole& operator[](GroupRight right) { return least[static_cast<std::size_t>(right)]; }
  GroupRole operator[](GroupRight right) const { return least[static_cast<std::size_t>(right)]; }
  friend bool operator==(const GroupPermissions&, const GroupPermissions&) = default;
};

// What the group_id is made of: nobody but the owner of the account key can make a group of this id.
using GroupSalt = Fixed<struct GroupSaltTag, 16>;
struct GroupOrigin {
  UserId creator;
  SigningKey account_key;
  GroupSalt salt;

  friend bool operator==(const GroupOrigin&, const GroupOrigin&) = default;
};
GroupId group_id_of(const GroupOrigin& origin);

struct GroupMember {
  UserId user_id;
  GroupRole role = GroupRole::kMember;
  SigningKey account_key;

  friend bool operator==(const GroupMember&, const GroupMember&) = default;
};

using InvitationId = Fixed<struct InvitationIdTag, 16>;
inline constexpr std::uint32_t kUsesUnlimited = UINT32_MAX;
struct GroupInvitation {
  InvitationId id;
  UserId inviter;
  std::uint64_t expires_ms = 0;  // 0: never
  std::uint32_t uses_left = kUsesUnlimited;

  friend bool operator==(const GroupInvitation&, const GroupInvitation&) = default;
};

struct GroupState {
  GroupId group_id;
  std::uint64_t number = 0;  // of the entry that it is the state after
  GroupOrigin origin;
  GroupPermissions permissions;
  std::uint64_t info_number = 0;  // 0: the group has no name
  Hash info_hash;
  std::vector<GroupMember> members;          // by user_id
  std::vector<GroupInvitation> invitations;  // by id

  // nullptr where there is none.
  const GroupMember* member(const UserId& user_id) const;
  const GroupMember* owner() const;
  const GroupInvitation* invitation(const InvitationId& id) const;
  bool has_right(const UserId& user_id, GroupRight right) const;

  friend bool operator==(const GroupState&, const GroupState&) = default;
};

// Members and invitations in any order.
Bytes serialize(GroupState state);
std::optional<GroupState> parse_group_state(BytesView bytes);
Hash group_state_hash(BytesView bytes);

// Eight bytes; nullopt where one of them is no role that the right may have.
std::optional<GroupPermissions> parse_group_permissions(BytesView bytes);
Bytes serialize(const GroupPermissions& permissions);

}  // namespace chatsdk::e2ee
