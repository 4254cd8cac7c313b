// SPDX-License-Identifier: Apache-2.0
#include "server-reference/store/group_writer.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "base/limits.h"
#include "protocol/groups.pb.h"

namespace chatsdk::server {

namespace {

constexpr Seq kBeginning = 1;

Error forbidden(std::string why) { return error(Code::kForbidden, std::move(why)); }
Error limit_reached(const char* what, std::size_t seen, std::size_t limit) {
  return error(Code::kLimitReached, std::to_string(seen) + " " + what + ", limit " + std::to_string(limit));
}
Error no_member() { return error(Code::kNotFound, "no such member"); }
Error no_invitation() { return error(Code::kNotFound, "no such invitation, or it is over"); }

wire::Roster roster_by(const UserId& actor) {
  wire::Roster roster;
  // Said in every one, so that nobody takes a group for a direct conversation.
  roster.set_conversation_kind(wire::CONVERSATION_KIND_GROUP);
  roster.set_actor_user_id(actor);
  return roster;
}

void add_change(wire::Roster& roster, const UserId& user_id, MemberRole role) {
  wire::Roster::Change& change = *roster.add_changes();
  change.set_user_id(user_id);
  change.set_joined(role != MemberRole::kNone);
  change.set_role(static_cast<wire::GroupRole>(role));
}

}  // namespace

Status GroupWriter::prepare() {
  CHATSDK_ASSIGN(select_group_, db_.prepare(kSelectGroup));
  CHATSDK_ASSIGN(select_group_of_stream_, db_.prepare(kSelectGroupOfStream));
  CHATSDK_ASSIGN(insert_group_, db_.prepare("INSERT INTO group_info(stream_id, group_id, name, description, picture, "
                                            "permissions, history, ended) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 0)"));
  CHATSDK_ASSIGN(update_group_, db_.prepare("UPDATE group_info SET name = ?2, description = ?3, picture = ?4, "
                                            "permissions = ?5, ended = ?6 WHERE stream_id = ?1"));
  CHATSDK_ASSIGN(select_account_, db_.prepare("SELECT account_stream, groups FROM account WHERE user_id = ?1"));
  CHATSDK_ASSIGN(update_groups_, db_.prepare("UPDATE account SET groups = groups + ?2 WHERE user_id = ?1"));
  CHATSDK_ASSIGN(select_invitation_, db_.prepare("SELECT stream_id, inviter, expires_ms, uses_left, approval FROM "
                                                 "invitation WHERE invitation_id = ?1"));
  CHATSDK_ASSIGN(insert_invitation_,
                 db_.prepare("INSERT INTO invitation(invitation_id, stream_id, inviter, expires_ms, uses_left, "
                             "approval, created_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)"));
  CHATSDK_ASSIGN(update_uses_, db_.prepare("UPDATE invitation SET uses_left = ?2 WHERE invitation_id = ?1"));
  CHATSDK_ASSIGN(delete_invitation_, db_.prepare("DELETE FROM invitation WHERE invitation_id = ?1"));
  CHATSDK_ASSIGN(delete_ended_invitations_,
                 db_.prepare("DELETE FROM invitation WHERE stream_id = ?1 AND expires_ms > 0 "
                             "AND expires_ms <= ?2"));
  CHATSDK_ASSIGN(delete_invitations_by_, db_.prepare("DELETE FROM invitation WHERE stream_id = ?1 AND inviter = ?2"));
  CHATSDK_ASSIGN(delete_invitations_, db_.prepare("DELETE FROM invitation WHERE stream_id = ?1"));
  CHATSDK_ASSIGN(count_invitations_,
                 db_.prepare("SELECT count(*) FROM invitation WHERE stream_id = ?1 AND (expires_ms = 0 OR "
                             "expires_ms > ?2)"));
  CHATSDK_ASSIGN(select_request_, db_.prepare("SELECT 1 FROM join_request WHERE stream_id = ?1 AND user_id = ?2"));
  CHATSDK_ASSIGN(insert_request_,
                 db_.prepare("INSERT INTO join_request(stream_id, user_id, requested_ms) VALUES (?1, ?2, ?3)"));
  CHATSDK_ASSIGN(delete_request_, db_.prepare("DELETE FROM join_request WHERE stream_id = ?1 AND user_id = ?2"));
  CHATSDK_ASSIGN(delete_requests_, db_.prepare("DELETE FROM join_request WHERE stream_id = ?1"));
  CHATSDK_ASSIGN(count_requests_, db_.prepare("SELECT count(*) FROM join_request WHERE stream_id = ?1"));
  CHATSDK_ASSIGN(count_requests_by_, db_.prepare("SELECT count(*) FROM join_request WHERE user_id = ?1"));
  return {};
}

Status GroupWriter::apply(const GroupOperation& op, Result<WriteAnswer>& answer) {
  CHATSDK_ASSIGN(auto known, operations_.find(op.user_id, op.operation_id));
  if (known) {
    if (known->request_hash != op.request_hash) {
      answer = error(Code::kConflict, "another request was made under this Operation-Id");
    } else {
      answer = WriteAnswer(OperationDone{std::move(known->refused), std::move(known->answer), true});
    }
    return {};
  }
  if (op.session) {
    CHATSDK_ASSIGN(const SessionId open, sessions_.of(op.device_id));
    if (open != op.session) {
      answer = error(Code::kUnauthenticated, "the session has ended");
      return {};
    }
  }
  CHATSDK_ASSIGN(Outcome outcome, std::visit([&](const auto& changes) { return change(op, changes); }, op.change));
  OperationDone done;
  done.refused = std::move(outcome.refused);
  if (!done.refused) {
    wire::GroupChanged changed;
    changed.set_conversation_id(outcome.conversation_id.value);
    changed.set_seq(outcome.seq);
    changed.set_requested(outcome.requested);
    done.answer = changed.SerializeAsString();
  }
  CHATSDK_TRY(operations_.record(op.user_id, op.operation_id, {op.request_hash, done.refused, done.answer}, op.now));
  answer = WriteAnswer(std::move(done));
  return {};
}

// ---- Who may -------------------------------------------------------------------------------------------------------

Result<GroupWriter::Refusal> GroupWriter::enter(const GroupOperation& op, Group& group) {
  CHATSDK_ASSIGN(const bool found, select_group_.bind_blob(1, op.group_id).step());
  if (!found) return Refusal(no_group());
  group.row = group_of(select_group_);
  select_group_.reset();
  CHATSDK_ASSIGN(group.stream, streams_.find(group.row.stream_id));
  if (group.stream == nullptr) return error(Code::kCorrupt, "a group has no stream");
  if (const MemberState* member = group.stream->member(op.user_id); member != nullptr) {
    group.role = member->role;
    return Refusal();
  }
  CHATSDK_ASSIGN(const bool was_member, streams_.was_member(*group.stream, op.user_id));
  return Refusal(was_member ? no_group_member(group.row) : no_group());
}

GroupWriter::Refusal GroupWriter::want(const Group& group, GroupRight right, const char* what) {
  if (group.role >= group.row.permissions.of(right)) return {};
  return forbidden(std::string(what) + " takes another role in this group");
}

Result<GroupWriter::Refusal> GroupWriter::refusal_of_users(const std::vector<UserId>& users, const char* field) {
  for (std::size_t i = 0; i < users.size(); ++i) {
    const std::string place = std::string(field) + "[" + std::to_string(i) + "]: ";
    CHATSDK_ASSIGN(const bool found, select_account_.bind_text(1, users[i]).step());
    if (!found) return Refusal(error(Code::kNotFound, place + "no such user"));
    const auto groups = static_cast<std::size_t>(select_account_.integer(1));
    select_account_.reset();
    if (groups < limits::groups::kPerUserMax) continue;
    return Refusal(limit_reached((place + "groups of one user").c_str(), groups, limits::groups::kPerUserMax));
  }
  return Refusal();
}

GroupWriter::Refusal GroupWriter::refusal_of_room(const GroupOperation& op, const Group& group, std::size_t joining) {
  const std::size_t members = group.stream == nullptr ? 0 : group.stream->members.size();
  if (members + joining <= op.members_max) return {};
  return limit_reached("members", members + joining, op.members_max);
}

// ---- What follows --------------------------------------------------------------------------------------------------

Status GroupWriter::append_roster(StreamState& stream, const wire::Roster& roster, WallTime now) {
  const Bytes payload = roster.SerializeAsString();
  ItemRow row;
  row.kind = wire::ITEM_KIND_ROSTER;
  row.time_ms = to_unix_ms(now);
  row.payload = payload;
  CHATSDK_TRY(streams_.append(stream, row, now));
  return {};
}

Status GroupWriter::append_to_account(const UserId& user_id, wire::ItemKind kind, const Bytes& payload, WallTime now) {
  CHATSDK_TRY(select_account_.bind_text(1, user_id).step_row());
  const StreamId stream_id{from_column(select_account_.integer(0))};
  select_account_.reset();
  CHATSDK_ASSIGN(StreamState * account, streams_.find(stream_id));
  if (account == nullptr) return error(Code::kCorrupt, "an account has no stream");
  ItemRow row;
  row.kind = kind;
  row.time_ms = to_unix_ms(now);
  row.payload = payload;
  CHATSDK_TRY(streams_.append(*account, row, now));
  return {};
}

Status GroupWriter::tell_added(const Group& group, const UserId& user_id, MemberRole role, WallTime now) {
  wire::ConversationAdded added;
  added.set_conversation_id(group.row.stream_id.value);
  added.set_kind(wire::CONVERSATION_KIND_GROUP);
  added.set_group_id(group.row.group_id);
  added.set_role(static_cast<wire::GroupRole>(role));
  return append_to_account(user_id, wire::ITEM_KIND_CONVERSATION_ADDED, added.SerializeAsString(), now);
}

Status GroupWriter::tell_left(const Group& group, const UserId& user_id, Departure why, const UserId& actor,
                              WallTime now) {
  wire::ConversationLeft left;
  left.set_conversation_id(group.row.stream_id.value);
  left.set_seq(group.stream->head);
  left.set_actor_user_id(actor);
  left.set_reason(why == Departure::kLeft      ? wire::LEFT_REASON_LEFT
                  : why == Departure::kRemoved ? wire::LEFT_REASON_REMOVED
                                               : wire::LEFT_REASON_DELETED);
  return append_to_account(user_id, wire::ITEM_KIND_CONVERSATION_LEFT, left.SerializeAsString(), now);
}

Status GroupWriter::count_group(const UserId& user_id, int by) {
  return update_groups_.bind_text(1, user_id).bind(2, std::int64_t{by}).run();
}

Status GroupWriter::write_row(const GroupRow& row) {
  return update_group_.bind(1, to_column(row.stream_id.value))
      .bind_text(2, row.name)
      .bind_text(3, row.description)
      .bind_blob(4, row.picture)
      .bind_blob(5, to_column(row.permissions))
      .bind(6, std::int64_t{row.ended})
      .run();
}

Status GroupWriter::admit(Group& group, const std::vector<UserId>& users, const UserId& actor, WallTime now) {
  StreamState& stream = *group.stream;
  const bool is_new = stream.head == 0;
  const Seq first = group.row.history ? kBeginning : stream.head + 1;
  const auto role_of = [&](const UserId& user) {
    return is_new && user == actor ? MemberRole::kOwner : MemberRole::kMember;
  };
  wire::Roster roster = roster_by(actor);
  for (const UserId& user : users) {
    CHATSDK_TRY(streams_.join(stream, user, role_of(user), first));
    add_change(roster, user, role_of(user));
    CHATSDK_TRY(delete_request_.bind(1, to_column(stream.stream_id.value)).bind_text(2, user).run());
  }
  set_group(*roster.mutable_group(), group.row);
  CHATSDK_TRY(append_roster(stream, roster, now));
  for (const UserId& user : users) {
    CHATSDK_TRY(tell_added(group, user, role_of(user), now));
    CHATSDK_TRY(count_group(user, 1));
  }
  return {};
}

// Who goes is told of it by the last item that they may read.
Status GroupWriter::dismiss(Group& group, const std::vector<UserId>& users, Departure why, const UserId& actor,
                            WallTime now) {
  StreamState& stream = *group.stream;
  wire::Roster roster = roster_by(actor);
  for (const UserId& user : users) add_change(roster, user, MemberRole::kNone);
  CHATSDK_TRY(append_roster(stream, roster, now));
  for (const UserId& user : users) {
    CHATSDK_TRY(streams_.leave(stream, user, why == Departure::kRemoved));
    CHATSDK_TRY(tell_left(group, user, why, actor, now));
    CHATSDK_TRY(count_group(user, -1));
    CHATSDK_TRY(delete_invitations_by_.bind(1, to_column(stream.stream_id.value)).bind_text(2, user).run());
  }
  return {};
}

Status GroupWriter::end(Group& group, Departure why, const UserId& actor, WallTime now) {
  CHATSDK_TRY(dismiss(group, group.stream->followers(), why, actor, now));
  const std::int64_t stream_id = to_column(group.row.stream_id.value);
  CHATSDK_TRY(delete_invitations_.bind(1, stream_id).run());
  CHATSDK_TRY(delete_requests_.bind(1, stream_id).run());
  GroupRow& row = group.row;
  row.ended = true;
  row.name.clear();
  row.description.clear();
  row.picture.clear();
  return write_row(row);
}

// ---- The group itself ----------------------------------------------------------------------------------------------

Result<GroupWriter::Outcome> GroupWriter::change(const GroupOperation& op, const CreateGroup& create) {
  Outcome outcome;
  CHATSDK_ASSIGN(const bool taken, select_group_.bind_blob(1, op.group_id).step());
  select_group_.reset();
  if (taken) {
    outcome.refused = error(Code::kAlreadyExists, "there is a group with this group_id");
    return outcome;
  }
  Group group;
  outcome.refused = refusal_of_room(op, group, create.members.size() + 1);
  if (outcome.refused) return outcome;
  CHATSDK_ASSIGN(outcome.refused, refusal_of_users({op.user_id}, "creator"));
  if (outcome.refused) return outcome;
  CHATSDK_ASSIGN(outcome.refused, refusal_of_users(create.members, "user_ids"));
  if (outcome.refused) return outcome;

  CHATSDK_ASSIGN(group.stream,
                 streams_.create(wire::STREAM_KIND_CONVERSATION, wire::CONVERSATION_KIND_GROUP, {}, op.now));
  group.stream->permissions = create.permissions;
  group.row = GroupRow{group.stream->stream_id, op.group_id,        create.name,    create.description,
                       create.picture,          create.permissions, create.history, false};
  CHATSDK_TRY(insert_group_.bind(1, to_column(group.row.stream_id.value))
                  .bind_blob(2, group.row.group_id)
                  .bind_text(3, group.row.name)
                  .bind_text(4, group.row.description)
                  .bind_blob(5, group.row.picture)
                  .bind_blob(6, to_column(group.row.permissions))
                  .bind(7, std::int64_t{group.row.history})
                  .run());
  std::vector<UserId> users = {op.user_id};
  users.insert(users.end(), create.members.begin(), create.members.end());
  CHATSDK_TRY(admit(group, users, op.user_id, op.now));
  outcome.conversation_id = group.stream->stream_id;
  outcome.seq = group.stream->head;
  return outcome;
}

Result<GroupWriter::Outcome> GroupWriter::change(const GroupOperation& op, const ChangeGroup& changes) {
  Outcome outcome;
  Group group;
  CHATSDK_ASSIGN(outcome.refused, enter(op, group));
  if (outcome.refused) return outcome;
  GroupRow& row = group.row;
  outcome.conversation_id = row.stream_id;
  const bool info = changes.name || changes.description || changes.picture;
  if (info) outcome.refused = want(group, GroupRight::kInfo, "changing the info");
  if (outcome.refused) return outcome;
  bool changed = false;
  for (std::size_t i = 0; i < changes.permissions.least.size(); ++i) {
    const MemberRole wanted = changes.permissions.least.at(i);
    MemberRole& least = row.permissions.least.at(i);
    if (wanted == MemberRole::kNone || wanted == least) continue;
    outcome.refused = want(group, GroupRight::kPermissions, "changing the permissions");
    if (!outcome.refused && std::max(wanted, least) > group.role) {
      outcome.refused = forbidden("a permission above the own role");
    }
    if (outcome.refused) return outcome;
    changed = true;
    least = wanted;
  }
  const auto set = [&](auto& field, const auto& value) {
    if (!value || *value == field) return;
    field = *value;
    changed = true;
  };
  set(row.name, changes.name);
  set(row.description, changes.description);
  set(row.picture, changes.picture);
  if (!changed) return outcome;

  CHATSDK_TRY(write_row(row));
  group.stream->permissions = row.permissions;
  wire::Roster roster = roster_by(op.user_id);
  set_group(*roster.mutable_group(), row);
  CHATSDK_TRY(append_roster(*group.stream, roster, op.now));
  outcome.seq = group.stream->head;
  return outcome;
}

Result<GroupWriter::Outcome> GroupWriter::change(const GroupOperation& op, const DeleteGroup&) {
  Outcome outcome;
  Group group;
  CHATSDK_ASSIGN(outcome.refused, enter(op, group));
  if (!outcome.refused && group.role != MemberRole::kOwner)
    outcome.refused = forbidden("only the owner deletes a group");
  if (outcome.refused) return outcome;
  outcome.conversation_id = group.row.stream_id;
  CHATSDK_TRY(end(group, Departure::kDeleted, op.user_id, op.now));
  outcome.seq = group.stream->head;
  return outcome;
}

// ---- Members -------------------------------------------------------------------------------------------------------

Result<GroupWriter::Outcome> GroupWriter::change(const GroupOperation& op, const AddMembers& add) {
  Outcome outcome;
  Group group;
  CHATSDK_ASSIGN(outcome.refused, enter(op, group));
  if (!outcome.refused) outcome.refused = want(group, GroupRight::kAdd, "adding members");
  if (outcome.refused) return outcome;
  outcome.conversation_id = group.row.stream_id;
  std::vector<UserId> joining;
  for (const UserId& user : add.user_ids) {
    if (group.stream->member(user) == nullptr) joining.push_back(user);
  }
  if (joining.empty()) return outcome;
  outcome.refused = refusal_of_room(op, group, joining.size());
  if (outcome.refused) return outcome;
  CHATSDK_ASSIGN(outcome.refused, refusal_of_users(joining, "user_ids"));
  if (outcome.refused) return outcome;
  CHATSDK_TRY(admit(group, joining, op.user_id, op.now));
  outcome.seq = group.stream->head;
  return outcome;
}

Result<GroupWriter::Outcome> GroupWriter::change(const GroupOperation& op, const RemoveMember& remove) {
  Outcome outcome;
  Group group;
  CHATSDK_ASSIGN(outcome.refused, enter(op, group));
  if (outcome.refused) return outcome;
  outcome.conversation_id = group.row.stream_id;
  const bool leaves = remove.user_id == op.user_id;
  if (leaves && group.role == MemberRole::kOwner) {
    if (group.stream->members.size() > 1) {
      outcome.refused = forbidden("the owner makes another member the owner before leaving");
      return outcome;
    }
    CHATSDK_TRY(end(group, Departure::kLeft, op.user_id, op.now));
    outcome.seq = group.stream->head;
    return outcome;
  }
  if (!leaves) {
    outcome.refused = want(group, GroupRight::kRemove, "removing members");
    const MemberState* member = group.stream->member(remove.user_id);
    if (!outcome.refused && member == nullptr) outcome.refused = no_member();
    if (!outcome.refused && member->role >= group.role) {
      outcome.refused = forbidden("the member's role is not below the own");
    }
    if (outcome.refused) return outcome;
  }
  const Departure why = leaves ? Departure::kLeft : Departure::kRemoved;
  CHATSDK_TRY(dismiss(group, {remove.user_id}, why, op.user_id, op.now));
  outcome.seq = group.stream->head;
  return outcome;
}

Result<GroupWriter::Outcome> GroupWriter::change(const GroupOperation& op, const SetMemberRole& set) {
  Outcome outcome;
  Group group;
  CHATSDK_ASSIGN(outcome.refused, enter(op, group));
  if (outcome.refused) return outcome;
  CHATSDK_ASSERT(set.role == MemberRole::kMember || set.role == MemberRole::kAdmin);
  outcome.conversation_id = group.row.stream_id;
  MemberState* member = group.stream->member(set.user_id);
  const bool steps_down =
      set.user_id == op.user_id && group.role == MemberRole::kAdmin && set.role == MemberRole::kMember;
  if (!steps_down) {
    outcome.refused = want(group, GroupRight::kRoles, "giving roles");
    if (!outcome.refused && member == nullptr) outcome.refused = no_member();
    if (!outcome.refused && (member->role >= group.role || set.role > group.role)) {
      outcome.refused = forbidden("a role above the own, or of a member whose role is not below it");
    }
    if (outcome.refused) return outcome;
  }
  if (member->role == set.role) return outcome;
  CHATSDK_TRY(streams_.set_role(*group.stream, *member, set.role));
  wire::Roster roster = roster_by(op.user_id);
  add_change(roster, set.user_id, set.role);
  CHATSDK_TRY(append_roster(*group.stream, roster, op.now));
  outcome.seq = group.stream->head;
  return outcome;
}

Result<GroupWriter::Outcome> GroupWriter::change(const GroupOperation& op, const TransferGroup& transfer) {
  Outcome outcome;
  Group group;
  CHATSDK_ASSIGN(outcome.refused, enter(op, group));
  if (!outcome.refused && group.role != MemberRole::kOwner) {
    outcome.refused = forbidden("only the owner makes another member the owner");
  }
  if (outcome.refused) return outcome;
  outcome.conversation_id = group.row.stream_id;
  if (transfer.user_id == op.user_id) return outcome;
  MemberState* member = group.stream->member(transfer.user_id);
  if (member == nullptr) {
    outcome.refused = no_member();
    return outcome;
  }
  CHATSDK_TRY(streams_.set_role(*group.stream, *member, MemberRole::kOwner));
  CHATSDK_TRY(streams_.set_role(*group.stream, *group.stream->member(op.user_id), MemberRole::kAdmin));
  wire::Roster roster = roster_by(op.user_id);
  add_change(roster, transfer.user_id, MemberRole::kOwner);
  add_change(roster, op.user_id, MemberRole::kAdmin);
  CHATSDK_TRY(append_roster(*group.stream, roster, op.now));
  outcome.seq = group.stream->head;
  return outcome;
}

// ---- Invitations and requests --------------------------------------------------------------------------------------

Result<std::int64_t> GroupWriter::count(sqlite::Statement& select, const StreamState& stream) {
  CHATSDK_TRY(select.bind(1, to_column(stream.stream_id.value)).step_row());
  const std::int64_t found = select.integer(0);
  select.reset();
  return found;
}

Result<std::optional<GroupWriter::InvitationRow>> GroupWriter::invitation(BytesView invitation_id) {
  CHATSDK_ASSIGN(const bool found, select_invitation_.bind_blob(1, invitation_id).step());
  if (!found) return std::optional<InvitationRow>();
  InvitationRow row;
  row.stream_id = StreamId{from_column(select_invitation_.integer(0))};
  row.inviter = select_invitation_.text(1);
  row.expires_ms = select_invitation_.integer(2);
  row.uses_left = static_cast<std::uint32_t>(select_invitation_.integer(3));
  row.approval = select_invitation_.integer(4) != 0;
  select_invitation_.reset();
  return std::optional(std::move(row));
}

Result<GroupWriter::Outcome> GroupWriter::change(const GroupOperation& op, const CreateInvitation& create) {
  Outcome outcome;
  Group group;
  CHATSDK_ASSIGN(outcome.refused, enter(op, group));
  if (!outcome.refused) outcome.refused = want(group, GroupRight::kInvite, "inviting");
  if (outcome.refused) return outcome;
  outcome.conversation_id = group.row.stream_id;
  CHATSDK_ASSIGN(const auto taken, invitation(create.invitation_id));
  if (taken) {
    outcome.refused = error(Code::kAlreadyExists, "there is an invitation with this token");
    return outcome;
  }
  const std::int64_t stream_id = to_column(group.row.stream_id.value);
  count_invitations_.bind(2, to_unix_ms(op.now));
  CHATSDK_ASSIGN(const std::int64_t there, count(count_invitations_, *group.stream));
  if (static_cast<std::size_t>(there) >= limits::groups::kInvitationsMax) {
    outcome.refused = limit_reached("invitations", static_cast<std::size_t>(there), limits::groups::kInvitationsMax);
    return outcome;
  }
  // What is over makes room.
  CHATSDK_TRY(delete_ended_invitations_.bind(1, stream_id).bind(2, to_unix_ms(op.now)).run());
  CHATSDK_TRY(insert_invitation_.bind_blob(1, create.invitation_id)
                  .bind(2, stream_id)
                  .bind_text(3, op.user_id)
                  .bind(4, create.expires_ms)
                  .bind(5, std::int64_t{create.uses})
                  .bind(6, std::int64_t{create.approval})
                  .bind(7, to_unix_ms(op.now))
                  .run());
  return outcome;
}

Result<GroupWriter::Outcome> GroupWriter::change(const GroupOperation& op, const RevokeInvitation& revoke) {
  Outcome outcome;
  Group group;
  CHATSDK_ASSIGN(outcome.refused, enter(op, group));
  if (outcome.refused) return outcome;
  outcome.conversation_id = group.row.stream_id;
  CHATSDK_ASSIGN(const auto there, invitation(revoke.invitation_id));
  if (!there || there->stream_id != group.row.stream_id) {
    outcome.refused = no_invitation();
    return outcome;
  }
  if (there->inviter != op.user_id) outcome.refused = want(group, GroupRight::kInvite, "revoking another's invitation");
  if (outcome.refused) return outcome;
  CHATSDK_TRY(delete_invitation_.bind_blob(1, revoke.invitation_id).run());
  return outcome;
}

Status GroupWriter::take_use(BytesView invitation_id, const InvitationRow& invitation) {
  if (invitation.uses_left == 0) return {};  // without limit
  if (invitation.uses_left == 1) return delete_invitation_.bind_blob(1, invitation_id).run();
  return update_uses_.bind_blob(1, invitation_id).bind(2, std::int64_t{invitation.uses_left} - 1).run();
}

Result<GroupWriter::Outcome> GroupWriter::change(const GroupOperation& op, const JoinGroup& join) {
  Outcome outcome;
  CHATSDK_ASSIGN(const auto there, invitation(join.invitation_id));
  const bool is_over = there && there->expires_ms != 0 && there->expires_ms <= to_unix_ms(op.now);
  if (!there || is_over) {
    outcome.refused = no_invitation();
    return outcome;
  }
  Group group;
  CHATSDK_TRY(select_group_of_stream_.bind(1, to_column(there->stream_id.value)).step_row());
  group.row = group_of(select_group_of_stream_);
  select_group_of_stream_.reset();
  CHATSDK_ASSIGN(group.stream, streams_.find(there->stream_id));
  if (group.stream == nullptr) return error(Code::kCorrupt, "a group has no stream");
  outcome.conversation_id = group.row.stream_id;
  // It is worth as much as the right of who made it.
  const MemberState* inviter = group.stream->member(there->inviter);
  if (inviter == nullptr || inviter->role < group.row.permissions.of(GroupRight::kInvite)) {
    outcome.refused = no_invitation();
    return outcome;
  }
  if (group.stream->member(op.user_id) != nullptr) return outcome;
  outcome.refused = refusal_of_room(op, group, 1);
  if (outcome.refused) return outcome;
  CHATSDK_ASSIGN(outcome.refused, refusal_of_users({op.user_id}, "user_ids"));
  if (outcome.refused) return outcome;
  if (there->approval) {
    const std::int64_t stream_id = to_column(group.row.stream_id.value);
    CHATSDK_ASSIGN(const bool asked, select_request_.bind(1, stream_id).bind_text(2, op.user_id).step());
    select_request_.reset();
    outcome.requested = true;
    if (asked) return outcome;
    CHATSDK_ASSIGN(outcome.refused, request(group, op));
    if (outcome.refused) return outcome;
    CHATSDK_TRY(take_use(join.invitation_id, *there));
    CHATSDK_TRY(tell_requests(group, op.now));
    return outcome;
  }
  CHATSDK_ASSIGN(const bool was_removed, streams_.was_removed(*group.stream, op.user_id));
  if (was_removed) {
    outcome.refused = forbidden("removed from the group before, so a member has to add or admit");
    return outcome;
  }
  CHATSDK_TRY(admit(group, {op.user_id}, op.user_id, op.now));
  CHATSDK_TRY(take_use(join.invitation_id, *there));
  outcome.seq = group.stream->head;
  return outcome;
}

Status GroupWriter::tell_requests(const Group& group, WallTime now) {
  wire::Roster roster;
  roster.set_conversation_kind(wire::CONVERSATION_KIND_GROUP);
  roster.set_requests(true);
  return append_roster(*group.stream, roster, now);
}

Result<GroupWriter::Refusal> GroupWriter::request(const Group& group, const GroupOperation& op) {
  CHATSDK_ASSIGN(const std::int64_t of_group, count(count_requests_, *group.stream));
  if (static_cast<std::size_t>(of_group) >= limits::groups::kRequestsMax) {
    return Refusal(limit_reached("requests to join", static_cast<std::size_t>(of_group), limits::groups::kRequestsMax));
  }
  CHATSDK_TRY(count_requests_by_.bind_text(1, op.user_id).step_row());
  const auto of_user = static_cast<std::size_t>(count_requests_by_.integer(0));
  count_requests_by_.reset();
  if (of_user >= limits::groups::kRequestsPerUserMax) {
    return Refusal(limit_reached("requests of one user", of_user, limits::groups::kRequestsPerUserMax));
  }
  CHATSDK_TRY(insert_request_.bind(1, to_column(group.row.stream_id.value))
                  .bind_text(2, op.user_id)
                  .bind(3, to_unix_ms(op.now))
                  .run());
  return Refusal();
}

Result<GroupWriter::Outcome> GroupWriter::change(const GroupOperation& op, const AnswerJoinRequest& answered) {
  Outcome outcome;
  Group group;
  const bool withdraws = answered.user_id == op.user_id && !answered.accept;
  CHATSDK_ASSIGN(outcome.refused, enter(op, group));
  if (withdraws && group.stream != nullptr) {
    outcome.refused.reset();  // who asks is no member
  } else if (!outcome.refused) {
    outcome.refused = want(group, GroupRight::kAdd, "answering requests to join");
  }
  if (outcome.refused) return outcome;
  const std::int64_t stream_id = to_column(group.row.stream_id.value);
  CHATSDK_ASSIGN(const bool there, select_request_.bind(1, stream_id).bind_text(2, answered.user_id).step());
  select_request_.reset();
  if (!there) {
    outcome.refused = error(Code::kNotFound, "no such request to join");
    return outcome;
  }
  outcome.conversation_id = group.row.stream_id;
  if (!answered.accept) {
    CHATSDK_TRY(delete_request_.bind(1, stream_id).bind_text(2, answered.user_id).run());
    CHATSDK_TRY(tell_requests(group, op.now));
    // Who is no member hears nothing of what is in the conversation.
    if (!withdraws) outcome.seq = group.stream->head;
    return outcome;
  }
  outcome.refused = refusal_of_room(op, group, 1);
  if (outcome.refused) return outcome;
  CHATSDK_ASSIGN(outcome.refused, refusal_of_users({answered.user_id}, "user_ids"));
  if (outcome.refused) return outcome;
  CHATSDK_TRY(admit(group, {answered.user_id}, op.user_id, op.now));
  outcome.seq = group.stream->head;
  return outcome;
}

}  // namespace chatsdk::server
