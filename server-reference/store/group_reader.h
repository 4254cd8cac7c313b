// SPDX-License-Identifier: Apache-2.0
//
// The reads of groups, on a reader's connection. Each call sees one snapshot: who asks, what is answered and the head
// of the conversation are of one moment.
//
// Threads: the reader's executor.
#pragma once

#include "base/result.h"
#include "server-reference/store/group_rows.h"
#include "server-reference/store/store.h"
#include "store/sqlite.h"

namespace chatsdk::server {

class GroupReader {
 public:
  // The connection outlives the reader of groups, and stays where it is.
  explicit GroupReader(sqlite::Database& db) : db_(db) {}
  Status prepare();

  Result<GroupView> group(const UserId& user_id, BytesView group_id);
  Result<GroupMemberPage> members(const UserId& user_id, BytesView group_id, const UserId& after, std::size_t max);
  Result<std::vector<InvitationView>> invitations(const UserId& user_id, BytesView group_id, WallTime now);
  Result<InvitationView> invitation(const UserId& user_id, BytesView invitation_id, WallTime now);
  Result<std::vector<JoinRequestView>> join_requests(const UserId& user_id, BytesView group_id);

 private:
  // The group, as a member sees it. Refusals as GroupView's.
  Result<GroupView> enter(const UserId& user_id, BytesView group_id);
  Result<GroupView> view_of(const UserId& user_id, const GroupRow& row);
  Result<MemberRole> role_of(const UserId& user_id, StreamId stream_id);

  sqlite::Database& db_;
  sqlite::Statement select_group_;
  sqlite::Statement select_group_of_stream_;
  sqlite::Statement select_facts_;
  sqlite::Statement select_role_;
  sqlite::Statement select_members_;
  sqlite::Statement select_invitations_;
  sqlite::Statement select_invitation_;
  sqlite::Statement select_requests_;
};

}  // namespace chatsdk::server
