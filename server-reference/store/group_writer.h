// SPDX-License-Identifier: Apache-2.0
//
// The writes about groups: who may change what, and what follows from it. A change is judged by the members and
// permissions of that moment, and what it changes, the ROSTER item that tells of it and the record of the operation are
// one transaction.
//
// Every check of a change comes before its first write. A change that is refused leaves the record of its operation, so
// that a repeat is refused likewise, and nothing else.
//
// Threads: the writer's.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "server-reference/store/group_rows.h"
#include "server-reference/store/open_sessions.h"
#include "server-reference/store/operation_log.h"
#include "server-reference/store/store.h"
#include "server-reference/store/stream_writer.h"
#include "store/sqlite.h"

namespace chatsdk::server {

// The Status tells whether the store works; the op's own answer or refusal goes to `answer`.
class GroupWriter {
 public:
  GroupWriter(sqlite::Database& db, StreamWriter& streams, OpenSessions& sessions, OperationLog& operations)
      : db_(db), streams_(streams), sessions_(sessions), operations_(operations) {}
  Status prepare();

  Status apply(const GroupOperation& op, Result<WriteAnswer>& answer);

 private:
  using Refusal = std::optional<Error>;
  struct Outcome {
    Refusal refused;
    ConversationId conversation_id;
    Seq seq = 0;
    bool requested = false;
  };
  struct Group {
    GroupRow row;
    StreamState* stream = nullptr;
    MemberRole role = MemberRole::kNone;  // of who asks
  };
  struct InvitationRow {
    StreamId stream_id;
    UserId inviter;
    std::int64_t expires_ms = 0;
    std::uint32_t uses_left = 0;
    bool approval = false;
  };
  enum class Departure { kLeft, kRemoved, kDeleted };

  Result<Outcome> change(const GroupOperation& op, const CreateGroup& create);
  Result<Outcome> change(const GroupOperation& op, const ChangeGroup& changes);
  Result<Outcome> change(const GroupOperation& op, const AddMembers& add);
  Result<Outcome> change(const GroupOperation& op, const RemoveMember& remove);
  Result<Outcome> change(const GroupOperation& op, const SetMemberRole& set);
  Result<Outcome> change(const GroupOperation& op, const TransferGroup& transfer);
  Result<Outcome> change(const GroupOperation& op, const DeleteGroup& remove);
  Result<Outcome> change(const GroupOperation& op, const CreateInvitation& create);
  Result<Outcome> change(const GroupOperation& op, const RevokeInvitation& revoke);
  Result<Outcome> change(const GroupOperation& op, const JoinGroup& join);
  Result<Outcome> change(const GroupOperation& op, const AnswerJoinRequest& answered);

  // Finds the group that the op names, and what its user is in it.
  Result<Refusal> enter(const GroupOperation& op, Group& group);
  static Refusal want(const Group& group, GroupRight right, const char* what);
  // What bars users who are no members from joining.
  Result<Refusal> refusal_of_users(const std::vector<UserId>& users, const char* field);
  static Refusal refusal_of_room(const GroupOperation& op, const Group& group, std::size_t joining);

  Status admit(Group& group, const std::vector<UserId>& users, const UserId& actor, WallTime now);
  Status dismiss(Group& group, const std::vector<UserId>& users, Departure why, const UserId& actor, WallTime now);
  // All of them go.
  Status end(Group& group, Departure why, const UserId& actor, WallTime now);
  Status append_roster(StreamState& stream, const wire::Roster& roster, WallTime now);
  Status tell_added(const Group& group, const UserId& user_id, MemberRole role, WallTime now);
  Status tell_left(const Group& group, const UserId& user_id, Departure why, const UserId& actor, WallTime now);
  Status append_to_account(const UserId& user_id, wire::ItemKind kind, const Bytes& payload, WallTime now);
  Status count_group(const UserId& user_id, int by);
  Status write_row(const GroupRow& row);

  Result<std::optional<InvitationRow>> invitation(BytesView invitation_id);
  Result<Refusal> request(const Group& group, const GroupOperation& op);
  // Wakes the devices of those who answer them. Names nobody: it is for every member to read.
  Status tell_requests(const Group& group, WallTime now);
  Status take_use(BytesView invitation_id, const InvitationRow& invitation);
  Result<std::int64_t> count(sqlite::Statement& select, const StreamState& stream);

  sqlite::Database& db_;
  StreamWriter& streams_;
  OpenSessions& sessions_;
  OperationLog& operations_;

  sqlite::Statement select_group_;
  sqlite::Statement select_group_of_stream_;
  sqlite::Statement insert_group_;
  sqlite::Statement update_group_;
  sqlite::Statement select_account_;
  sqlite::Statement update_groups_;
  sqlite::Statement select_invitation_;
  sqlite::Statement insert_invitation_;
  sqlite::Statement update_uses_;
  sqlite::Statement delete_invitation_;
  sqlite::Statement delete_ended_invitations_;
  sqlite::Statement delete_invitations_by_;
  sqlite::Statement delete_invitations_;
  sqlite::Statement count_invitations_;
  sqlite::Statement select_request_;
  sqlite::Statement insert_request_;
  sqlite::Statement delete_request_;
  sqlite::Statement delete_requests_;
  sqlite::Statement count_requests_;
  sqlite::Statement count_requests_by_;
};

}  // namespace chatsdk::server
