// SPDX-License-Identifier: Apache-2.0
#include "server-reference/store/group_rows.h"

#include <algorithm>

#include "server-reference/store/stream_writer.h"

namespace chatsdk::server {

GroupRow group_of(const sqlite::Statement& row) {
  GroupRow group;
  group.stream_id = StreamId{from_column(row.integer(0))};
  group.group_id = row.blob(1);
  group.name = row.text(2);
  group.description = row.text(3);
  group.picture = row.blob(4);
  group.permissions = permissions_of(row.blob(5));
  group.history = row.integer(6) != 0;
  group.ended = row.integer(7) != 0;
  return group;
}

Bytes to_column(const GroupPermissions& permissions) {
  Bytes column;
  for (const MemberRole role : permissions.least) column.push_back(static_cast<char>(role));
  return column;
}

GroupPermissions permissions_of(BytesView column) {
  GroupPermissions permissions;
  const std::size_t count = std::min(column.size(), permissions.least.size());
  for (std::size_t i = 0; i < count; ++i) {
    permissions.least.at(i) = static_cast<MemberRole>(static_cast<unsigned char>(column[i]));
  }
  return permissions;
}

void set_group(wire::Group& out, const GroupRow& group) {
  out.set_group_id(group.group_id);
  out.set_name(group.name);
  out.set_description(group.description);
  out.set_picture(group.picture);
  set_permissions(*out.mutable_permissions(), group.permissions);
  out.set_history(group.history);
}

Error no_group() { return error(Code::kNotFound, "no such group"); }

Error no_group_member(const GroupRow& group) {
  return error(Code::kForbidden, group.ended ? "the group was deleted" : "no member of the group any more");
}

}  // namespace chatsdk::server
