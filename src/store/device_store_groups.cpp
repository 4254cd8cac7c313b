// SPDX-License-Identifier: Apache-2.0
//
// Groups: what they are, who is in them and how the owner stands to them. Three tell of it: the ROSTER items of the
// conversation, the account stream, and the server when it is asked. Each says as of which item it speaks; the latest
// word counts, in whatever order they come.
#include <algorithm>

#include "base/assert.h"
#include "store/device_store_impl.h"

namespace chatsdk {

namespace {

using rows::Blob;
using rows::unsigned_at;

constexpr char kInsertGroup[] =
    "INSERT INTO group_info(conversation, group_id, name, description, picture, rights, history, info_seq, role, "
    "standing, own_seq, members, members_known, members_from) VALUES (?1, ?2, '', '', x'', ?3, 0, 0, 0, 0, 0, 0, 0, "
    "?4)";
constexpr char kSetGroupKind[] = "UPDATE conversation SET kind = ?2 WHERE key = ?1";
constexpr char kSaveGroupInfo[] =
    "UPDATE group_info SET name = ?2, description = ?3, picture = ?4, rights = ?5, history = ?6, info_seq = ?7 WHERE "
    "conversation = ?1 AND info_seq <= ?7";
constexpr char kOwnStanding[] = "SELECT role, standing, own_seq FROM group_info WHERE conversation = ?1";
constexpr char kOwnDoing[] = "SELECT request FROM operation WHERE conversation = ?1 AND ended = 0 ORDER BY number";
constexpr char kSaveOwnStanding[] =
    "UPDATE group_info SET role = ?2, standing = ?3, own_seq = ?4 WHERE conversation = ?1";
constexpr char kMissMembers[] =
    "UPDATE group_info SET members_known = 0, members_from = max(members_from, ?2) WHERE conversation = ?1";
constexpr char kForgetMembers[] = "DELETE FROM member WHERE conversation = ?1 AND seq = 0";
constexpr char kKnowMembers[] =
    "UPDATE group_info SET members_known = 1 WHERE conversation = ?1 AND members_from = ?2 AND members_known = 0";
constexpr char kMemberRow[] = "SELECT role, seq, since FROM member WHERE conversation = ?1 AND user = ?2";
constexpr char kSaveMember[] =
    "INSERT INTO member(conversation, user, role, seq, since) VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT(conversation, "
    "user) DO UPDATE SET role = ?3, seq = ?4, since = ?5";
// Who is here, was not on the page and should have been.
constexpr char kNotOnPage[] =
    "SELECT user, role FROM member WHERE conversation = ?1 AND user > ?2 AND (?3 = '' OR user <= ?3) AND seq < ?4";
constexpr char kCountMembers[] =
    "UPDATE group_info SET members = r.count FROM (SELECT count(*) AS count FROM member WHERE conversation = ?1 AND "
    "role > 0) AS r WHERE conversation = ?1 AND members <> r.count";
constexpr char kUnknownGroups[] =
    "SELECT g.conversation, g.group_id, g.members_from FROM group_info g JOIN conversation c ON c.key = g.conversation "
    "WHERE g.members_known = 0 AND g.standing = 0 AND c.conversation_id IS NOT NULL LIMIT ?1";

// A user_id as the server has them; what is none, no server that is well says.
bool may_be_user(const UserId& user) { return !user.empty() && user.size() <= limits::kUserIdBytesMax; }

}  // namespace

// ---- The group -----------------------------------------------------------------------------------------------------

Status DeviceStore::Impl::set_group(ConversationState& conversation, const GroupId& group, Seq said_up_to,
                                    Changes& changes) {
  CHATSDK_TRY(
      sql(kInsertGroup).run(conversation.key, Blob{group.view()}, group::pack(group::default_rights()), said_up_to));
  CHATSDK_TRY(sql(kSetGroupKind).run(conversation.key, wire::CONVERSATION_KIND_GROUP));
  conversation.group = group;
  conversation.kind = wire::CONVERSATION_KIND_GROUP;
  changes.conversations.push_back(conversation.key);
  return {};
}

Status DeviceStore::Impl::group_roster(ConversationState& conversation, Seq seq, const wire::Roster& roster,
                                       Changes& changes) {
  changes.conversations.push_back(conversation.key);
  if (!conversation.group) {
    // Which group it is, nobody has said yet; that it is one is certain.
    if (!conversation.peer.empty()) return {};
    conversation.kind = wire::CONVERSATION_KIND_GROUP;
    return sql(kSetGroupKind).run(conversation.key, conversation.kind);
  }
  if (seq == 1) {
    // From here on nobody comes or goes untold, and nobody was there before.
    CHATSDK_TRY(sql(kForgetMembers).run(conversation.key));
    CHATSDK_TRY(sql(kKnowMembers).run(conversation.key, 0));
  }
  if (roster.has_group() && group::info_of(roster.group()).id == conversation.group) {
    CHATSDK_TRY(save_group_info(conversation.key, seq, group::info_of(roster.group())));
  }
  for (const wire::Roster::Change& change : roster.changes()) {
    if (!may_be_user(change.user_id())) continue;
    const bool joined = change.joined();
    const group::Role said = group::role_of(static_cast<std::uint64_t>(change.role()));
    const group::Role role = !joined ? group::Role::kNone : std::max(said, group::Role::kMember);
    CHATSDK_TRY(change_member(conversation.key, change.user_id(), role, seq));
    if (is_owner(change.user_id())) {
      const bool own_doing = roster.actor_user_id() == owner;
      const GroupStanding out = own_doing ? GroupStanding::kLeft : GroupStanding::kRemoved;
      CHATSDK_TRY(stand(conversation.key, role, joined ? GroupStanding::kIn : out, seq, false));
    }
  }
  if (roster.changes_size() == 0) return {};
  changes.members.push_back(conversation.key);
  return count_members(conversation.key, changes);
}

Status DeviceStore::Impl::save_group_info(ConversationKey conversation, Seq seq, const group::Info& info) {
  return sql(kSaveGroupInfo)
      .run(conversation, info.name, info.description, Blob{info.picture}, group::pack(info.rights), info.history, seq);
}

// ---- The owner -----------------------------------------------------------------------------------------------------

// precise: says why the owner is out, where an item at the same place could only tell that they are.
Status DeviceStore::Impl::stand(ConversationKey conversation, group::Role role, GroupStanding standing, Seq seq,
                                bool precise) {
  {
    rows::Query query = sql(kOwnStanding);
    CHATSDK_ASSIGN(const bool known, query.first(conversation));
    if (!known) return {};
    const Seq at = unsigned_at(query.row(), 2);
    const bool is_out = static_cast<GroupStanding>(query->integer(1)) != GroupStanding::kIn;
    if (seq < at || (seq == at && is_out && !precise)) return {};
  }
  return sql(kSaveOwnStanding).run(conversation, role, standing, seq);
}

Status DeviceStore::Impl::group_joined(ConversationState& conversation, group::Role role, Changes& changes) {
  Seq at = 0;
  {
    rows::Query query = sql(kOwnStanding);
    CHATSDK_ASSIGN(const bool known, query.first(conversation.key));
    CHATSDK_ASSERT(known);
    at = unsigned_at(query.row(), 2);
    const bool is_in = static_cast<GroupStanding>(query->integer(1)) == GroupStanding::kIn;
    if (is_in && at > 0) return {};  // its items know more of it
  }
  changes.conversations.push_back(conversation.key);
  return sql(kSaveOwnStanding).run(conversation.key, std::max(role, group::Role::kMember), GroupStanding::kIn, at);
}

Status DeviceStore::Impl::group_left(ConversationState& conversation, const wire::ConversationLeft& left,
                                     Changes& changes) {
  GroupStanding standing = GroupStanding::kRemoved;
  if (left.reason() == wire::LEFT_REASON_LEFT) standing = GroupStanding::kLeft;
  if (left.reason() == wire::LEFT_REASON_DELETED) standing = GroupStanding::kEnded;
  changes.conversations.push_back(conversation.key);
  return stand(conversation.key, group::Role::kNone, standing, left.seq(), true);
}

Status DeviceStore::Impl::check_in_group(const ConversationState& conversation) {
  if (!conversation.group) return {};
  std::vector<group::Operation> operations;
  {
    rows::Query query = sql(kOwnDoing);
    for (auto more = query.first(conversation.key);; more = query.next()) {
      CHATSDK_ASSIGN(const bool row, std::move(more));
      if (!row) break;
      CHATSDK_ASSIGN(auto operation, group::read(query->blob(0)));
      operations.push_back(std::move(operation));
    }
  }
  rows::Query query = sql(kOwnStanding);
  CHATSDK_ASSIGN(const bool known, query.first(conversation.key));
  CHATSDK_ASSERT(known);
  const bool is_in = static_cast<GroupStanding>(query->integer(1)) == GroupStanding::kIn;
  if (is_in && !group::leaves(owner, operations) && !group::ends(operations)) return {};
  return error(Code::kForbidden, "the user is in this group no more");
}

// ---- Members -------------------------------------------------------------------------------------------------------

Result<std::optional<DeviceStore::Impl::MemberState>> DeviceStore::Impl::member_state(ConversationKey conversation,
                                                                                      const UserId& user) {
  rows::Query query = sql(kMemberRow);
  CHATSDK_ASSIGN(const bool known, query.first(conversation, user));
  if (!known) return std::optional<MemberState>();
  MemberState member;
  member.role = group::role_of(unsigned_at(query.row(), 0));
  member.seq = unsigned_at(query.row(), 1);
  member.since = unsigned_at(query.row(), 2);
  return std::optional(member);
}

Status DeviceStore::Impl::save_member(ConversationKey conversation, const UserId& user, const MemberState& member) {
  return sql(kSaveMember).run(conversation, user, member.role, member.seq, member.since);
}

// Who has gone stays as somebody who was: a page of the server's from before may name them still.
Status DeviceStore::Impl::change_member(ConversationKey conversation, const UserId& user, group::Role role, Seq seq) {
  CHATSDK_ASSIGN(const auto known, member_state(conversation, user));
  MemberState member = known.value_or(MemberState());
  const bool comes = role != group::Role::kNone && (!known || known->role == group::Role::kNone);
  if (known && seq <= known->seq) return {};  // a page of a later moment has said it
  if (comes) member.since = seq;
  member.role = role;
  member.seq = seq;
  return save_member(conversation, user, member);
}

Status DeviceStore::Impl::count_members(ConversationKey conversation, Changes& changes) {
  CHATSDK_TRY(sql(kCountMembers).run(conversation));
  if (db.changes() > 0) changes.conversations.push_back(conversation);
  return {};
}

Status DeviceStore::Impl::members_missed(const ConversationState& conversation, Seq up_to) {
  return sql(kMissMembers).run(conversation.key, up_to);
}

// ---- DeviceStore ---------------------------------------------------------------------------------------------------

Result<Changes> DeviceStore::accept_plain(ConversationKey conversation) {
  return impl_->write([&](Changes& changes) -> Status {
    CHATSDK_ASSIGN(auto known, impl_->find_conversation(conversation));
    if (!known) return error(Code::kNotFound, "no such conversation");
    if (known->encrypted) return error(Code::kWrongState, "the conversation is encrypted");
    return impl_->set_plain(*known, PlainState::kAccepted, changes);
  });
}

Result<GroupId> DeviceStore::group_id(ConversationKey conversation) {
  CHATSDK_ASSIGN(const auto known, impl_->find_conversation(conversation));
  if (!known) return error(Code::kNotFound, "no such conversation");
  if (!known->group) return error(Code::kWrongState, "the conversation is no group");
  return known->group;
}

Result<std::vector<DeviceStore::UnknownGroup>> DeviceStore::unknown_groups(std::size_t max) {
  std::vector<UnknownGroup> found;
  rows::Query query = impl_->sql(kUnknownGroups);
  for (auto more = query.first(max);; more = query.next()) {
    CHATSDK_ASSIGN(const bool row, std::move(more));
    if (!row) return found;
    found.push_back(
        {ConversationKey{unsigned_at(query.row(), 0)}, GroupId::from(query->blob(1)), unsigned_at(query.row(), 2)});
  }
}

Result<Changes> DeviceStore::save_group(ConversationKey conversation, const group::State& state) {
  return impl_->write([&](Changes& changes) -> Status {
    CHATSDK_ASSIGN(auto known, impl_->find_conversation(conversation));
    if (!known || known->group != state.info.id) return error(Code::kNotFound, "no such group");
    if (!known->id) CHATSDK_TRY(impl_->link(*known, state.conversation_id, changes));
    CHATSDK_TRY(impl_->save_group_info(known->key, state.seq, state.info));
    CHATSDK_TRY(
        impl_->stand(known->key, std::max(state.role, group::Role::kMember), GroupStanding::kIn, state.seq, false));
    changes.conversations.push_back(known->key);
    return {};
  });
}

Result<Changes> DeviceStore::save_members(const UnknownGroup& asked, const UserId& after, const group::Members& page) {
  Impl& impl = *impl_;
  return impl.write([&](Changes& changes) -> Status {
    CHATSDK_ASSIGN(const auto known, impl.find_conversation(asked.conversation));
    if (!known || known->group != asked.group_id) return error(Code::kNotFound, "no such group");
    CHATSDK_TRY(impl.take_page(asked, after, page));
    if (!page.more) CHATSDK_TRY(impl.sql(kKnowMembers).run(asked.conversation, asked.members_from));
    changes.members.push_back(asked.conversation);
    return impl.count_members(asked.conversation, changes);
  });
}

// Items that are later than the page have the last word.
Status DeviceStore::Impl::take_page(const UnknownGroup& asked, const UserId& after, const group::Members& page) {
  for (const group::Member& member : page.members) {
    CHATSDK_ASSIGN(const auto known, member_state(asked.conversation, member.user_id));
    if (known && known->seq >= page.seq) continue;
    const bool was_here = known && known->role != group::Role::kNone;
    const Seq since = was_here ? known->since : asked.members_from;
    CHATSDK_TRY(save_member(asked.conversation, member.user_id, {member.role, page.seq, since}));
  }
  std::vector<UserId> gone;
  {
    const UserId last = page.more ? page.members.back().user_id : UserId();
    rows::Query query = sql(kNotOnPage);
    for (auto more = query.first(asked.conversation, after, last, page.seq);; more = query.next()) {
      CHATSDK_ASSIGN(const bool row, std::move(more));
      if (!row) break;
      if (query->integer(1) > 0) gone.emplace_back(query->text(0));
    }
  }
  for (const UserId& user : gone) {
    CHATSDK_TRY(save_member(asked.conversation, user, {group::Role::kNone, page.seq, 0}));
  }
  return {};
}

}  // namespace chatsdk
