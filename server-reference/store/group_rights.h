// SPDX-License-Identifier: Apache-2.0
//
// Who may do what in a group, for whoever checks a request and for whoever decides one: their names, what no group
// gives away, and how they stand on the wire.
//
// Threads: pure functions.
#pragma once

#include "protocol/frames.h"
#include "server-reference/store/store.h"

namespace chatsdk::server {

// As the wire spells it.
const char* group_right_name(GroupRight right);
// No group gives it to a lower role.
MemberRole least_of_right(GroupRight right);
// Of a group whose creator says nothing else.
GroupPermissions default_permissions();

void set_permissions(wire::GroupPermissions& out, const GroupPermissions& permissions);
// A right that is unset is kNone.
GroupPermissions permissions_of(const wire::GroupPermissions& permissions);

}  // namespace chatsdk::server
