// SPDX-License-Identifier: Apache-2.0
#include "protocol/group_operation.h"

#include <algorithm>

#include "base/limits.h"
#include "base/url.h"
#include "protocol/record.h"

namespace chatsdk::group {

namespace {

using Kind = Operation::Kind;

Operation of(Kind kind, const GroupId& group, Bytes body = {}) {
  Operation operation;
  operation.kind = kind;
  operation.group = group;
  operation.body = std::move(body);
  return operation;
}

Operation about(Kind kind, const GroupId& group, std::vector<UserId> users, Bytes body = {}) {
  Operation operation = of(kind, group, std::move(body));
  operation.users = std::move(users);
  return operation;
}

bool is_about(const Operation& operation, const UserId& user) {
  return std::find(operation.users.begin(), operation.users.end(), user) != operation.users.end();
}

}  // namespace

Operation create(const Info& info, std::vector<UserId> members) {
  Bytes body = write_create(info, members);
  return about(Kind::kCreate, info.id, std::move(members), std::move(body));
}

Operation change(const GroupId& group, const Changes& changes) {
  return of(Kind::kChange, group, write_changes(changes));
}

Operation add(const GroupId& group, std::vector<UserId> users) {
  Bytes body = write_members(users);
  return about(Kind::kAdd, group, std::move(users), std::move(body));
}

Operation remove(const GroupId& group, const UserId& user) { return about(Kind::kRemove, group, {user}); }

Operation set_role(const GroupId& group, const UserId& user, Role role) {
  Operation operation = about(Kind::kRole, group, {user}, write_role(role));
  operation.role = role;
  return operation;
}

Operation set_owner(const GroupId& group, const UserId& user) {
  return about(Kind::kOwner, group, {user}, write_owner(user));
}

Operation end(const GroupId& group) { return of(Kind::kDelete, group); }

Operation invite(const GroupId& group, const Invitation& invitation) {
  return of(Kind::kInvite, group, write_invitation(invitation));
}

Operation revoke(const GroupId& group, const Bytes& token) {
  Operation operation = of(Kind::kRevoke, group);
  operation.token = token;
  return operation;
}

Operation join(const Bytes& token) {
  Operation operation = of(Kind::kJoin, {});
  operation.token = token;
  return operation;
}

Operation answer(const GroupId& group, const UserId& user, bool accept) {
  Operation operation = about(Kind::kAnswer, group, {user}, write_answer(accept));
  operation.accept = accept;
  return operation;
}

Bytes write(const Operation& operation) {
  RecordWriter out;
  out.u64(1, static_cast<std::uint64_t>(operation.kind));
  if (operation.group) out.bytes(2, operation.group.view());
  out.bytes(3, operation.token);
  for (const UserId& user : operation.users) out.each(4, user);
  return out.u64(5, static_cast<std::uint64_t>(operation.role))
      .u64(6, operation.accept ? 1 : 0)
      .bytes(7, operation.body)
      .take();
}

Result<Operation> read(BytesView bytes) {
  RecordReader fields(bytes);
  Operation operation;
  std::uint64_t kind = 0;
  while (fields.next()) {
    switch (fields.number()) {
      case 1:
        kind = fields.u64();
        break;
      case 2:
        operation.group = GroupId::from(fields.bytes());
        break;
      case 3:
        operation.token = Bytes(fields.bytes());
        break;
      case 4:
        operation.users.emplace_back(fields.repeated_bytes());
        break;
      case 5:
        operation.role = role_of(fields.u64());
        break;
      case 6:
        operation.accept = fields.boolean();
        break;
      case 7:
        operation.body = Bytes(fields.bytes());
        break;
      default:
        break;
    }
  }
  const bool known =
      kind >= static_cast<std::uint64_t>(Kind::kCreate) && kind <= static_cast<std::uint64_t>(Kind::kAnswer);
  if (fields.failed() || !known) return error(Code::kCorrupt, "an operation that cannot be read");
  operation.kind = static_cast<Kind>(kind);
  return operation;
}

Call call_of(const Operation& operation) {
  const std::string group = "/v1/groups/" + to_hex(operation.group.view());
  const std::string user = operation.users.empty() ? std::string() : percent_encoded(operation.users.front());
  const Bytes& body = operation.body;
  switch (operation.kind) {
    case Kind::kCreate:
      return {"POST", "/v1/groups", true, body};
    case Kind::kChange:
      return {"PATCH", group, true, body};
    case Kind::kAdd:
      return {"POST", group + "/members", true, body};
    case Kind::kRemove:
      return {"DELETE", group + "/members/" + user, false, {}};
    case Kind::kRole:
      return {"PUT", group + "/members/" + user + "/role", true, body};
    case Kind::kOwner:
      return {"PUT", group + "/owner", true, body};
    case Kind::kDelete:
      return {"DELETE", group, false, {}};
    case Kind::kInvite:
      return {"POST", group + "/invitations", true, body};
    case Kind::kRevoke:
      return {"DELETE", group + "/invitations/" + to_hex(operation.token), false, {}};
    case Kind::kJoin:
      return {"POST", "/v1/invitations/" + to_hex(operation.token), false, {}};
    case Kind::kAnswer:
      return {"PUT", group + "/requests/" + user, true, body};
  }
  return {};
}

// ---- What is shown meanwhile ---------------------------------------------------------------------------------------

void show(Info& info, std::span<const Operation> operations) {
  for (const Operation& operation : operations) {
    if (operation.kind != Kind::kChange) continue;
    const auto changes = read_changes(operation.body);
    if (!changes.ok()) continue;
    if (changes->name) info.name = *changes->name;
    if (changes->description) info.description = *changes->description;
    if (changes->picture) info.picture = *changes->picture;
    info.rights.take(changes->rights);
  }
}

Role shown_role(Role role, const UserId& user, const UserId& self, std::span<const Operation> operations) {
  for (const Operation& operation : operations) {
    const bool about_user = is_about(operation, user);
    const bool adds = operation.kind == Kind::kAdd || (operation.kind == Kind::kAnswer && operation.accept);
    if (adds && about_user) role = std::max(role, Role::kMember);
    if (operation.kind == Kind::kRemove && about_user) role = Role::kNone;
    if (operation.kind == Kind::kRole && about_user && role != Role::kNone) role = operation.role;
    if (operation.kind == Kind::kOwner && about_user && role != Role::kNone) role = Role::kOwner;
    if (operation.kind == Kind::kOwner && user == self) role = std::min(role, Role::kAdmin);
  }
  return role;
}

bool leaves(const UserId& self, std::span<const Operation> operations) {
  return std::any_of(operations.begin(), operations.end(), [&self](const Operation& operation) {
    return operation.kind == Kind::kRemove && is_about(operation, self);
  });
}

bool ends(std::span<const Operation> operations) {
  return std::any_of(operations.begin(), operations.end(),
                     [](const Operation& operation) { return operation.kind == Kind::kDelete; });
}

bool changes_members(const Operation& operation) {
  return !operation.users.empty() && (operation.kind != Kind::kAnswer || operation.accept);
}

std::set<UserId> named(const UserId& self, std::span<const Operation> operations) {
  std::set<UserId> users;
  for (const Operation& operation : operations) {
    if (!changes_members(operation)) continue;
    users.insert(operation.users.begin(), operation.users.end());
    if (operation.kind == Kind::kOwner) users.insert(self);
  }
  return users;
}

}  // namespace chatsdk::group
