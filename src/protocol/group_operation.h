// SPDX-License-Identifier: Apache-2.0
//
// What a user does to a group, as it is kept on the device until the server has answered it: how it is written, what is
// asked for it by REST, and what it makes of the server's last word meanwhile.
//
// Threads: pure functions.
#pragma once

#include <set>
#include <span>
#include <string>
#include <vector>

#include "protocol/group.h"

namespace chatsdk::group {

struct Operation {
  // Stored: a number is never given to another kind.
  enum class Kind : std::uint8_t {
    kCreate = 1,
    kChange = 2,
    kAdd = 3,
    kRemove = 4,  // also the user themself: they leave
    kRole = 5,
    kOwner = 6,
    kDelete = 7,
    kInvite = 8,
    kRevoke = 9,
    kJoin = 10,
    kAnswer = 11,
  };
  Kind kind = Kind::kCreate;
  GroupId group;              // none: kJoin
  Bytes token;                // of an invitation: kRevoke, kJoin
  std::vector<UserId> users;  // whom
  Role role = Role::kNone;    // kRole
  bool accept = false;        // kAnswer
  Bytes body;                 // of the request
};

Operation create(const Info& info, std::vector<UserId> members);
Operation change(const GroupId& group, const Changes& changes);
Operation add(const GroupId& group, std::vector<UserId> users);
Operation remove(const GroupId& group, const UserId& user);
Operation set_role(const GroupId& group, const UserId& user, Role role);
Operation set_owner(const GroupId& group, const UserId& user);
Operation end(const GroupId& group);
Operation invite(const GroupId& group, const Invitation& invitation);
Operation revoke(const GroupId& group, const Bytes& token);
Operation join(const Bytes& token);
Operation answer(const GroupId& group, const UserId& user, bool accept);

Bytes write(const Operation& operation);
// CORRUPT: what write() has not written.
Result<Operation> read(BytesView bytes);

struct Call {
  std::string method;
  std::string path;
  bool has_body = false;  // also where it is empty
  Bytes body;
};
Call call_of(const Operation& operation);

// ---- What is shown meanwhile ---------------------------------------------------------------------------------------

// What the operations, one after the other, make of a group's info.
void show(Info& info, std::span<const Operation> operations);
// And of somebody's role. self: whose operations they are.
Role shown_role(Role role, const UserId& user, const UserId& self, std::span<const Operation> operations);
// Whether the user is in the group no more by them.
bool leaves(const UserId& self, std::span<const Operation> operations);
bool ends(std::span<const Operation> operations);
// Whether somebody's role may be another by it.
bool changes_members(const Operation& operation);
// Whose roles may be others.
std::set<UserId> named(const UserId& self, std::span<const Operation> operations);

}  // namespace chatsdk::group
