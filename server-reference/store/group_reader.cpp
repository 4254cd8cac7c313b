// SPDX-License-Identifier: Apache-2.0
#include "server-reference/store/group_reader.h"

#include <string>
#include <utility>

#include "base/limits.h"
#include "server-reference/store/reading.h"
#include "server-reference/store/stream_writer.h"

namespace chatsdk::server {

namespace {

Error no_right(const char* what) {
  return error(Code::kForbidden, std::string(what) + " takes another role in this group");
}

InvitationView invitation_of(const sqlite::Statement& row) {
  InvitationView view;
  view.id = row.blob(0);
  view.inviter = row.text(1);
  view.created = from_unix_ms(row.integer(2));
  view.expires_ms = row.integer(3);
  view.uses_left = static_cast<std::uint32_t>(row.integer(4));
  view.approval = row.integer(5) != 0;
  return view;
}

}  // namespace

Status GroupReader::prepare() {
  CHATSDK_ASSIGN(select_group_, db_.prepare(kSelectGroup));
  CHATSDK_ASSIGN(select_group_of_stream_, db_.prepare(kSelectGroupOfStream));
  CHATSDK_ASSIGN(select_facts_,
                 db_.prepare("SELECT s.head, (SELECT count(*) FROM member m WHERE m.stream_id = ?1 AND m.left_seq IS "
                             "NULL), coalesce((SELECT m.user_id FROM member m WHERE m.stream_id = ?1 AND m.left_seq IS "
                             "NULL AND m.role = 3), '') FROM stream s WHERE s.stream_id = ?1"));
  CHATSDK_ASSIGN(select_role_, db_.prepare("SELECT iif(left_seq IS NULL, role, 0) FROM member WHERE stream_id = ?1 AND "
                                           "user_id = ?2 ORDER BY interval DESC LIMIT 1"));
  CHATSDK_ASSIGN(select_members_,
                 db_.prepare("SELECT user_id, role FROM member WHERE stream_id = ?1 AND user_id > ?2 AND left_seq IS "
                             "NULL ORDER BY user_id LIMIT ?3"));
  CHATSDK_ASSIGN(
      select_invitations_,
      db_.prepare("SELECT invitation_id, inviter, created_ms, expires_ms, uses_left, approval FROM invitation WHERE "
                  "stream_id = ?1 AND (expires_ms = 0 OR expires_ms > ?2) ORDER BY created_ms, invitation_id"));
  CHATSDK_ASSIGN(
      select_invitation_,
      db_.prepare("SELECT invitation_id, inviter, created_ms, expires_ms, uses_left, approval, stream_id FROM "
                  "invitation WHERE invitation_id = ?1 AND (expires_ms = 0 OR expires_ms > ?2)"));
  CHATSDK_ASSIGN(select_requests_,
                 db_.prepare("SELECT user_id, requested_ms FROM join_request WHERE stream_id = ?1 ORDER BY user_id"));
  return {};
}

Result<MemberRole> GroupReader::role_of(const UserId& user_id, StreamId stream_id) {
  const Reading reading(select_role_);
  CHATSDK_ASSIGN(const bool found, select_role_.bind(1, to_column(stream_id.value)).bind_text(2, user_id).step());
  if (!found) return error(Code::kNotFound, "never a member");
  return static_cast<MemberRole>(select_role_.integer(0));
}

Result<GroupView> GroupReader::view_of(const UserId& user_id, const GroupRow& row) {
  GroupView view;
  set_group(view.group, row);
  view.conversation_id = row.stream_id;
  view.permissions = row.permissions;
  auto role = role_of(user_id, row.stream_id);
  if (!role.ok() && role.code() != Code::kNotFound) return std::move(role).error();
  if (role.ok()) view.role = *role;
  view.known = role.ok();
  const Reading reading(select_facts_);
  CHATSDK_TRY(select_facts_.bind(1, to_column(row.stream_id.value)).step_row());
  view.head = from_column(select_facts_.integer(0));
  view.members = static_cast<std::uint32_t>(select_facts_.integer(1));
  view.owner = select_facts_.text(2);
  return view;
}

Result<GroupView> GroupReader::enter(const UserId& user_id, BytesView group_id) {
  GroupRow row;
  {
    const Reading reading(select_group_);
    CHATSDK_ASSIGN(const bool found, select_group_.bind_blob(1, group_id).step());
    if (!found) return no_group();
    row = group_of(select_group_);
  }
  CHATSDK_ASSIGN(GroupView view, view_of(user_id, row));
  if (!view.known) return no_group();
  if (view.role == MemberRole::kNone) return no_group_member(row);
  return view;
}

Result<GroupView> GroupReader::group(const UserId& user_id, BytesView group_id) {
  CHATSDK_ASSIGN(const auto snapshot, sqlite::Transaction::begin(db_, sqlite::Transaction::Kind::kRead));
  return enter(user_id, group_id);
}

Result<GroupMemberPage> GroupReader::members(const UserId& user_id, BytesView group_id, const UserId& after,
                                             std::size_t max) {
  CHATSDK_ASSIGN(const auto snapshot, sqlite::Transaction::begin(db_, sqlite::Transaction::Kind::kRead));
  CHATSDK_ASSIGN(const GroupView view, enter(user_id, group_id));
  GroupMemberPage page;
  page.head = view.head;
  const Reading reading(select_members_);
  select_members_.bind(1, to_column(view.conversation_id.value))
      .bind_text(2, after)
      .bind(3, static_cast<std::int64_t>(max) + 1);
  for (;;) {
    CHATSDK_ASSIGN(const bool row, select_members_.step());
    if (!row) return page;
    if (page.members.size() == max) {
      page.more = true;
      return page;
    }
    page.members.push_back({UserId(select_members_.text(0)), static_cast<MemberRole>(select_members_.integer(1))});
  }
}

Result<std::vector<InvitationView>> GroupReader::invitations(const UserId& user_id, BytesView group_id, WallTime now) {
  CHATSDK_ASSIGN(const auto snapshot, sqlite::Transaction::begin(db_, sqlite::Transaction::Kind::kRead));
  CHATSDK_ASSIGN(const GroupView view, enter(user_id, group_id));
  if (view.role < view.permissions.of(GroupRight::kInvite)) return no_right("seeing invitations");
  std::vector<InvitationView> invitations;
  const Reading reading(select_invitations_);
  select_invitations_.bind(1, to_column(view.conversation_id.value)).bind(2, to_unix_ms(now));
  for (;;) {
    CHATSDK_ASSIGN(const bool row, select_invitations_.step());
    if (!row) return invitations;
    invitations.push_back(invitation_of(select_invitations_));
  }
}

Result<InvitationView> GroupReader::invitation(const UserId& user_id, BytesView invitation_id, WallTime now) {
  const auto none = [] { return error(Code::kNotFound, "no such invitation, or it is over"); };
  CHATSDK_ASSIGN(const auto snapshot, sqlite::Transaction::begin(db_, sqlite::Transaction::Kind::kRead));
  InvitationView invitation;
  StreamId stream_id;
  {
    const Reading reading(select_invitation_);
    CHATSDK_ASSIGN(const bool found, select_invitation_.bind_blob(1, invitation_id).bind(2, to_unix_ms(now)).step());
    if (!found) return none();
    invitation = invitation_of(select_invitation_);
    stream_id = StreamId{from_column(select_invitation_.integer(6))};
  }
  GroupRow row;
  {
    const Reading reading(select_group_of_stream_);
    CHATSDK_TRY(select_group_of_stream_.bind(1, to_column(stream_id.value)).step_row());
    row = group_of(select_group_of_stream_);
  }
  // It is worth as much as the right of who made it.
  CHATSDK_ASSIGN(const MemberRole inviter, role_of(invitation.inviter, stream_id));
  if (inviter < row.permissions.of(GroupRight::kInvite)) return none();
  CHATSDK_ASSIGN(invitation.of, view_of(user_id, row));
  return invitation;
}

Result<std::vector<JoinRequestView>> GroupReader::join_requests(const UserId& user_id, BytesView group_id) {
  CHATSDK_ASSIGN(const auto snapshot, sqlite::Transaction::begin(db_, sqlite::Transaction::Kind::kRead));
  CHATSDK_ASSIGN(const GroupView view, enter(user_id, group_id));
  if (view.role < view.permissions.of(GroupRight::kAdd)) return no_right("seeing requests to join");
  std::vector<JoinRequestView> requests;
  const Reading reading(select_requests_);
  select_requests_.bind(1, to_column(view.conversation_id.value));
  for (;;) {
    CHATSDK_ASSIGN(const bool row, select_requests_.step());
    if (!row) return requests;
    requests.push_back({UserId(select_requests_.text(0)), from_unix_ms(select_requests_.integer(1))});
  }
}

}  // namespace chatsdk::server
