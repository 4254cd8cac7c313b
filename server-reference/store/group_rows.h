// SPDX-License-Identifier: Apache-2.0
//
// What the writer and the readers of groups have in common: the columns of a group, and what a group is on the wire.
//
// Threads: pure functions.
#pragma once

#include "base/bytes.h"
#include "protocol/frames.h"
#include "server-reference/store/group_rights.h"
#include "server-reference/store/store.h"
#include "store/sqlite.h"

namespace chatsdk::server {

struct GroupRow {
  StreamId stream_id;
  Bytes group_id;
  std::string name;
  std::string description;
  Bytes picture;
  GroupPermissions permissions;
  bool history = false;
  bool ended = false;
};

inline constexpr const char* kSelectGroup =
    "SELECT stream_id, group_id, name, description, picture, permissions, history, ended FROM group_info WHERE "
    "group_id = ?1";
inline constexpr const char* kSelectGroupOfStream =
    "SELECT stream_id, group_id, name, description, picture, permissions, history, ended FROM group_info WHERE "
    "stream_id = ?1";

// Of a statement with these columns that stands on a row.
GroupRow group_of(const sqlite::Statement& row);

Bytes to_column(const GroupPermissions& permissions);
GroupPermissions permissions_of(BytesView column);

void set_group(wire::Group& out, const GroupRow& group);

// One answer for a group that is not there and for one that the asker never was in.
Error no_group();
// Of who was in it.
Error no_group_member(const GroupRow& group);

}  // namespace chatsdk::server
