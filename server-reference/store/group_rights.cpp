// SPDX-License-Identifier: Apache-2.0
#include "server-reference/store/group_rights.h"

#include <array>

namespace chatsdk::server {

const char* group_right_name(GroupRight right) {
  constexpr std::array<const char*, kGroupRights> kNames = {"send",   "pin",  "add",   "invite",
                                                            "remove", "info", "roles", "permissions"};
  return kNames.at(static_cast<std::size_t>(right));
}

MemberRole least_of_right(GroupRight right) {
  const bool of_admins =
      right == GroupRight::kRemove || right == GroupRight::kRoles || right == GroupRight::kPermissions;
  return of_admins ? MemberRole::kAdmin : MemberRole::kMember;
}

GroupPermissions default_permissions() {
  GroupPermissions permissions;
  permissions.least.fill(MemberRole::kAdmin);
  permissions.of(GroupRight::kSend) = MemberRole::kMember;
  permissions.of(GroupRight::kPin) = MemberRole::kMember;
  permissions.of(GroupRight::kPermissions) = MemberRole::kOwner;
  return permissions;
}

void set_permissions(wire::GroupPermissions& out, const GroupPermissions& permissions) {
  const auto least = [&](GroupRight right) { return static_cast<wire::GroupRole>(permissions.of(right)); };
  out.set_send(least(GroupRight::kSend));
  out.set_pin(least(GroupRight::kPin));
  out.set_add(least(GroupRight::kAdd));
  out.set_invite(least(GroupRight::kInvite));
  out.set_remove(least(GroupRight::kRemove));
  out.set_info(least(GroupRight::kInfo));
  out.set_roles(least(GroupRight::kRoles));
  out.set_permissions(least(GroupRight::kPermissions));
}

GroupPermissions permissions_of(const wire::GroupPermissions& permissions) {
  GroupPermissions out;
  const auto set = [&](GroupRight right, wire::GroupRole role) { out.of(right) = static_cast<MemberRole>(role); };
  set(GroupRight::kSend, permissions.send());
  set(GroupRight::kPin, permissions.pin());
  set(GroupRight::kAdd, permissions.add());
  set(GroupRight::kInvite, permissions.invite());
  set(GroupRight::kRemove, permissions.remove());
  set(GroupRight::kInfo, permissions.info());
  set(GroupRight::kRoles, permissions.roles());
  set(GroupRight::kPermissions, permissions.permissions());
  return out;
}

}  // namespace chatsdk::server
