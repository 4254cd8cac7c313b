// SPDX-License-Identifier: Apache-2.0
#include "e2ee/group_state.h"

#include <algorithm>

#include "base/limits.h"

namespace chatsdk::e2ee {
namespace {

constexpr std::uint8_t kStateVersion = 1;
constexpr std::size_t kMemberBytesMax = 38 + limits::kUserIdBytesMax;
constexpr std::size_t kInvitationBytesMax = 32 + limits::kUserIdBytesMax;

bool is_role(std::uint8_t value) {
  return value >= static_cast<std::uint8_t>(GroupRole::kMember) &&
         value <= static_cast<std::uint8_t>(GroupRole::kOwner);
}

// No table gives members these rights.
bool is_for_admins(GroupRight right) {
  return right == GroupRight::kRemove || right == GroupRight::kRoles || right == GroupRight::kPermissions;
}

GroupOrigin read_origin(Reader& reader) {
  GroupOrigin origin;
  origin.creator = reader.user();
  origin.account_key = reader.signing_key();
  origin.salt = reader.fixed<GroupSalt>();
  return origin;
}

void read_members(Reader& reader, GroupState& state) {
  const std::size_t count = reader.u32();
  reader.require(count <= limits::e2ee::kMembersMax);
  std::size_t owners = 0;
  for (std::size_t i = 0; i < count && !reader.failed(); ++i) {
    GroupMember member;
    member.user_id = reader.user();
    const std::uint8_t role = reader.u8();
    reader.require(is_role(role));
    member.role = static_cast<GroupRole>(role);
    member.account_key = reader.signing_key();
    reader.require(state.members.empty() || state.members.back().user_id < member.user_id);
    owners += member.role == GroupRole::kOwner ? 1 : 0;
    reader.require(owners <= 1);
    state.members.push_back(std::move(member));
  }
}

void read_invitations(Reader& reader, GroupState& state) {
  const std::size_t count = reader.u8();
  reader.require(count <= limits::e2ee::kInvitationsMax);
  for (std::size_t i = 0; i < count && !reader.failed(); ++i) {
    GroupInvitation invitation;
    invitation.id = reader.fixed<InvitationId>();
    invitation.inviter = reader.user();
    invitation.expires_ms = reader.u64();
    invitation.uses_left = reader.u32();
    const InvitationId before = state.invitations.empty() ? InvitationId{} : state.invitations.back().id;
    reader.require(before < invitation.id && invitation.uses_left != 0 && state.member(invitation.inviter) != nullptr);
    state.invitations.push_back(std::move(invitation));
  }
}

}  // namespace

GroupId group_id_of(const GroupOrigin& origin) {
  Writer writer;
  writer.user(origin.creator).key(origin.account_key).raw(origin.salt);
  return GroupId::from(hash(label::kGroupId, {writer.view()}).view());
}

const GroupMember* GroupState::member(const UserId& user_id) const {
  const auto at = std::lower_bound(members.begin(), members.end(), user_id,
                                   [](const GroupMember& member, const UserId& user) { return member.user_id < user; });
  return at == members.end() || at->user_id != user_id ? nullptr : &*at;
}

const GroupMember* GroupState::owner() const {
  const auto at = std::find_if(members.begin(), members.end(),
                               [](const GroupMember& member) { return member.role == GroupRole::kOwner; });
  return at == members.end() ? nullptr : &*at;
}

const GroupInvitation* GroupState::invitation(const InvitationId& id) const {
  const auto at = std::find_if(invitations.begin(), invitations.end(),
                               [&id](const GroupInvitation& invitation) { return invitation.id == id; });
  return at == invitations.end() ? nullptr : &*at;
}

bool GroupState::has_right(const UserId& user_id, GroupRight right) const {
  const GroupMember* of = member(user_id);
  return of != nullptr && of->role >= permissions[right];
}

std::optional<GroupPermissions> parse_group_permissions(BytesView bytes) {
  if (bytes.size() != kGroupRights) return std::nullopt;
  GroupPermissions permissions;
  for (std::size_t i = 0; i < kGroupRights; ++i) {
    const auto value = static_cast<std::uint8_t>(bytes[i]);
    if (!is_role(value)) return std::nullopt;
    permissions.least[i] = static_cast<GroupRole>(value);
    if (is_for_admins(static_cast<GroupRight>(i)) && permissions.least[i] < GroupRole::kAdmin) return std::nullopt;
  }
  return permissions;
}

Bytes serialize(const GroupPermissions& permissions) {
  Bytes bytes;
  for (const GroupRole role : permissions.least) bytes.push_back(static_cast<char>(role));
  return bytes;
}

Bytes serialize(GroupState state) {
  std::sort(state.members.begin(), state.members.end(),
            [](const GroupMember& a, const GroupMember& b) { return a.user_id < b.user_id; });
  std::sort(state.invitations.begin(), state.invitations.end(),
            [](const GroupInvitation& a, const GroupInvitation& b) { return a.id < b.id; });
  Writer writer(256 + state.members.size() * kMemberBytesMax + state.invitations.size() * kInvitationBytesMax);
  writer.u8(kStateVersion).raw(state.group_id.view()).u64(state.number);
  writer.user(state.origin.creator).key(state.origin.account_key).raw(state.origin.salt);
  writer.raw(serialize(state.permissions)).u64(state.info_number).raw(state.info_hash);
  writer.u32(static_cast<std::uint32_t>(state.members.size()));
  for (const GroupMember& member : state.members) {
    writer.user(member.user_id).u8(static_cast<std::uint8_t>(member.role)).key(member.account_key);
  }
  writer.u8(static_cast<std::uint8_t>(state.invitations.size()));
  for (const GroupInvitation& invitation : state.invitations) {
    writer.raw(invitation.id).user(invitation.inviter).u64(invitation.expires_ms).u32(invitation.uses_left);
  }
  return writer.take();
}

std::optional<GroupState> parse_group_state(BytesView bytes) {
  Reader reader(bytes);
  GroupState state;
  reader.expect_u8(kStateVersion);
  state.group_id = reader.group_id();
  state.number = reader.u64();
  state.origin = read_origin(reader);
  const auto permissions = parse_group_permissions(reader.raw(kGroupRights));
  state.info_number = reader.u64();
  state.info_hash = reader.fixed<Hash>();
  reader.require(state.number != 0 && permissions && state.info_number <= state.number &&
                 (state.info_number == 0) == (state.info_hash == Hash{}));
  read_members(reader, state);
  read_invitations(reader, state);
  if (!reader.finished() || state.group_id != group_id_of(state.origin)) return std::nullopt;
  state.permissions = *permissions;
  return state;
}

Hash group_state_hash(BytesView bytes) { return hash(label::kHashGroupState, {bytes}); }

}  // namespace chatsdk::e2ee
