// SPDX-License-Identifier: Apache-2.0
#include "e2ee/group_rules.h"

#include <algorithm>
#include <string>
#include <utility>

#include "base/limits.h"
#include "e2ee/outcome.h"

namespace chatsdk::e2ee {
namespace {

Error forbidden(const char* why) { return error(Code::kForbidden, why); }
Error invalid(const char* why) { return error(Code::kInvalidArgument, why); }
Error no_member(const UserId& user_id) { return error(Code::kNotFound, "no member " + user_id); }
Error no_invitation() { return error(Code::kNotFound, "no such invitation"); }

// ---- Changes -------------------------------------------------------------------------------------------------------

// One change by one actor. What a call leaves in `after` counts only where it is ok.
class Changing {
 public:
  Changing(const GroupState& before, const GroupMember& actor, std::uint64_t time_ms)
      : before_(before), actor_(actor), time_ms_(time_ms), after_(before) {
    ++after_.number;
  }

  Status operator()(const CreateGroup& change);
  Status operator()(const AddMembers& change);
  Status operator()(const RemoveMember& change);
  Status operator()(const LeaveGroup& change);
  Status operator()(const SetRole& change);
  Status operator()(const SetOwner& change);
  Status operator()(const SetInfo& change);
  Status operator()(const SetPermissions& change);
  Status operator()(const Invite& change);
  Status operator()(const RevokeInvitation& change);

  GroupState take() { return std::move(after_); }

 private:
  bool may(GroupRight right) const { return actor_.role >= before_.permissions[right]; }
  Status want(GroupRight right) const;
  Status use_invitation(const InvitationId& id);
  Status add(const GroupMember& person, AddSource source);
  Status add_again(GroupMember& member, const GroupMember& person, AddSource source) const;
  GroupMember* find(const UserId& user_id);
  void take_out(const UserId& user_id);

  const GroupState& before_;
  const GroupMember& actor_;
  const std::uint64_t time_ms_;
  GroupState after_;
};

Status Changing::want(GroupRight right) const {
  return may(right) ? Status() : forbidden("the actor's role has not this right");
}

GroupMember* Changing::find(const UserId& user_id) {
  const auto at = std::find_if(after_.members.begin(), after_.members.end(),
                               [&user_id](const GroupMember& member) { return member.user_id == user_id; });
  return at == after_.members.end() ? nullptr : &*at;
}

void Changing::take_out(const UserId& user_id) {
  std::erase_if(after_.members, [&user_id](const GroupMember& member) { return member.user_id == user_id; });
  std::erase_if(after_.invitations,
                [&user_id](const GroupInvitation& invitation) { return invitation.inviter == user_id; });
}

Status Changing::operator()(const CreateGroup& /*change*/) { return invalid("the group is there"); }

Status Changing::use_invitation(const InvitationId& id) {
  CHATSDK_TRY(want(GroupRight::kInvite));
  const auto at = std::find_if(after_.invitations.begin(), after_.invitations.end(),
                               [&id](const GroupInvitation& invitation) { return invitation.id == id; });
  if (at == after_.invitations.end()) return no_invitation();
  if (at->inviter != actor_.user_id) return forbidden("the invitation of somebody else");
  if (at->expires_ms != 0 && at->expires_ms <= time_ms_) return error(Code::kTimedOut, "the invitation has expired");
  if (at->uses_left == kUsesUnlimited) return {};
  if (--at->uses_left == 0) after_.invitations.erase(at);
  return {};
}

// Of who is a member already: their group goes on, or they have another account key.
Status Changing::add_again(GroupMember& member, const GroupMember& person, AddSource source) const {
  if (source == AddSource::kInvitation) return error(Code::kAlreadyExists, "a member");
  if (person.user_id == actor_.user_id) return invalid("nobody adds themself");
  const bool is_same = member.account_key == person.account_key;
  if (person.role != (is_same ? member.role : GroupRole::kMember)) return invalid("another role than they have");
  member = person;
  return {};
}

Status Changing::add(const GroupMember& person, AddSource source) {
  if (GroupMember* member = find(person.user_id)) return add_again(*member, person, source);
  if (person.role == GroupRole::kOwner) return forbidden("nobody is added as the owner");
  if (person.role == GroupRole::kAdmin) CHATSDK_TRY(want(GroupRight::kRoles));
  if (after_.members.size() >= limits::e2ee::kMembersMax) {
    return error(Code::kLimitReached, "members of a group, limit " + std::to_string(limits::e2ee::kMembersMax));
  }
  const auto at = std::upper_bound(after_.members.begin(), after_.members.end(), person,
                                   [](const GroupMember& a, const GroupMember& b) { return a.user_id < b.user_id; });
  after_.members.insert(at, person);
  return {};
}

Status Changing::operator()(const AddMembers& change) {
  CHATSDK_TRY(change.source == AddSource::kInvitation ? use_invitation(change.invitation) : want(GroupRight::kAdd));
  for (const GroupMember& person : change.people) CHATSDK_TRY(add(person, change.source));
  return {};
}

Status Changing::operator()(const RemoveMember& change) {
  CHATSDK_TRY(want(GroupRight::kRemove));
  const GroupMember* member = before_.member(change.user_id);
  if (member == nullptr) return no_member(change.user_id);
  if (member->role >= actor_.role) return forbidden("nobody removes whom they are not above");
  take_out(change.user_id);
  return {};
}

Status Changing::operator()(const LeaveGroup& /*change*/) {
  if (actor_.role == GroupRole::kOwner && before_.members.size() > 1) {
    return forbidden("the owner hands the group over before they leave");
  }
  take_out(actor_.user_id);
  return {};
}

Status Changing::operator()(const SetRole& change) {
  GroupMember* member = find(change.user_id);
  if (member == nullptr) return no_member(change.user_id);
  if (member->role == change.role) return invalid("the role that they have");
  const bool steps_down = change.user_id == actor_.user_id && actor_.role == GroupRole::kAdmin;
  if (!steps_down) {
    CHATSDK_TRY(want(GroupRight::kRoles));
    if (member->role >= actor_.role || change.role > actor_.role) return forbidden("a role that is not below");
  }
  member->role = change.role;
  return {};
}

Status Changing::operator()(const SetOwner& change) {
  GroupMember* member = find(change.user_id);
  if (member == nullptr) return no_member(change.user_id);
  if (const GroupMember* owner = before_.owner()) {
    if (owner->user_id != actor_.user_id) return forbidden("only the owner hands the group over");
    if (member->user_id == owner->user_id) return invalid("the owner already");
    find(owner->user_id)->role = GroupRole::kAdmin;
  } else if (std::any_of(before_.members.begin(), before_.members.end(),
                         [this](const GroupMember& other) { return other.role > actor_.role; })) {
    return forbidden("somebody has a higher role");
  }
  member->role = GroupRole::kOwner;
  return {};
}

Status Changing::operator()(const SetInfo& change) {
  CHATSDK_TRY(want(GroupRight::kInfo));
  after_.info_hash = change.info_hash;
  after_.info_number = change.info_hash == Hash{} ? 0 : after_.number;
  return {};
}

Status Changing::operator()(const SetPermissions& change) {
  CHATSDK_TRY(want(GroupRight::kPermissions));
  for (std::size_t i = 0; i < kGroupRights; ++i) {
    const GroupRole before = before_.permissions.least[i];
    const GroupRole after = change.permissions.least[i];
    if (before != after && std::max(before, after) > actor_.role) return forbidden("a right above the actor's role");
  }
  after_.permissions = change.permissions;
  return {};
}

Status Changing::operator()(const Invite& change) {
  CHATSDK_TRY(want(GroupRight::kInvite));
  if (before_.invitation(change.id) != nullptr) return error(Code::kAlreadyExists, "an invitation of that id");
  if (before_.invitations.size() >= limits::e2ee::kInvitationsMax) {
    return error(Code::kLimitReached, "invitations of a group, limit " + std::to_string(limits::e2ee::kInvitationsMax));
  }
  const GroupInvitation invitation{change.id, actor_.user_id, change.expires_ms, change.uses};
  const auto at = std::upper_bound(after_.invitations.begin(), after_.invitations.end(), invitation,
                                   [](const GroupInvitation& a, const GroupInvitation& b) { return a.id < b.id; });
  after_.invitations.insert(at, invitation);
  return {};
}

Status Changing::operator()(const RevokeInvitation& change) {
  const GroupInvitation* invitation = before_.invitation(change.id);
  if (invitation == nullptr) return no_invitation();
  if (invitation->inviter != actor_.user_id) CHATSDK_TRY(want(GroupRight::kInvite));
  std::erase_if(after_.invitations, [&change](const GroupInvitation& other) { return other.id == change.id; });
  return {};
}

// ---- What an entry is judged by ------------------------------------------------------------------------------------

const RosterUser* find_user(std::span<const RosterUser> users, const UserId& user_id) {
  const auto at =
      std::find_if(users.begin(), users.end(), [&user_id](const RosterUser& user) { return user.user_id == user_id; });
  return at == users.end() ? nullptr : &*at;
}

// By a device that the actor's list names, under the account key that the state has for them.
bool is_signed_by_member(const GroupEntry& entry, BytesView bytes, const GroupState& state,
                         std::span<const RosterUser> users) {
  const GroupMember* member = state.member(entry.actor);
  const RosterUser* user = find_user(users, entry.actor);
  if (member == nullptr || user == nullptr || user->account_key != member->account_key) return false;
  const auto device = std::find_if(user->devices.begin(), user->devices.end(), [&entry](const DeviceRecord& record) {
    return record.device_id == entry.actors_device;
  });
  return device != user->devices.end() && is_signed_by(bytes, device->signing_key);
}

bool are_people_under_their_keys(const GroupEntry& entry, std::span<const RosterUser> users) {
  const auto* add = std::get_if<AddMembers>(&entry.change);
  if (add == nullptr) return true;
  return std::all_of(add->people.begin(), add->people.end(), [users](const GroupMember& person) {
    const RosterUser* user = find_user(users, person.user_id);
    return user != nullptr && user->account_key == person.account_key;
  });
}

GroupRight right_to_add(const AddMembers& add) {
  return add.source == AddSource::kInvitation ? GroupRight::kInvite : GroupRight::kAdd;
}

// The rule of create: the owner made the group_id, and nothing came before.
bool is_first_state(const GroupEntry& entry, const GroupState& state) {
  const GroupMember* owner = state.owner();
  return state.number == 1 && owner != nullptr && owner->user_id == state.origin.creator &&
         owner->account_key == state.origin.account_key && entry.actor == owner->user_id && state.invitations.empty() &&
         state.info_number == 0;
}

bool does_add(const AddMembers& add, const GroupEntry& entry, const GroupState& state, const UserId& own_user) {
  if (!state.has_right(entry.actor, right_to_add(add))) return false;
  bool adds_own = false;
  for (const GroupMember& person : add.people) {
    const GroupMember* member = state.member(person.user_id);
    if (member == nullptr || *member != person) return false;
    adds_own = adds_own || person.user_id == own_user;
  }
  return adds_own;
}

struct Shown {
  GroupEntry entry;
  GroupState state;
};
// An entry and the state that it signs, in which the own user is under the own account key.
std::optional<Shown> read_shown(BytesView entry_bytes, BytesView state_bytes, const OwnIdentity& own) {
  auto entry = parse_group_entry(entry_bytes);
  auto state = parse_group_state(state_bytes);
  if (!entry || !state || entry->group_id != state->group_id || entry->number != state->number ||
      entry->state_hash != group_state_hash(state_bytes)) {
    return std::nullopt;
  }
  const GroupMember* member = state->member(own.user_id);
  if (member == nullptr || member->account_key != own.account_key) return std::nullopt;
  return Shown{std::move(*entry), std::move(*state)};
}

}  // namespace

std::vector<UserId> users_named(const GroupEntry& entry) {
  std::vector<UserId> users{entry.actor};
  if (const auto* add = std::get_if<AddMembers>(&entry.change)) {
    for (const GroupMember& person : add->people) {
      if (person.user_id != entry.actor) users.push_back(person.user_id);
    }
  }
  return users;
}

Result<GroupState> change_group(const GroupState& before, const UserId& actor, const GroupChange& change,
                                std::uint64_t time_ms) {
  const GroupMember* member = before.member(actor);
  if (member == nullptr) return forbidden("the actor is no member");
  Changing changing(before, *member, time_ms);
  CHATSDK_TRY(std::visit(changing, change));
  return changing.take();
}

Result<MadeEntry> make_entry(const GroupHead& head, const GroupChange& change, const EntryMaker& maker) {
  GroupEntry entry{head.state.group_id, head.state.number + 1, head.entry_hash, change,
                   maker.actor.user_id, maker.actor.device_id, maker.time_ms,   {}};
  // As it will be read: with people in order, and within the limits of an entry.
  const auto read = parse_group_entry(sign_group_entry(entry, maker.signing_seed));
  if (!read) return invalid("this cannot be said in a membership entry");
  CHATSDK_ASSIGN(GroupState state, change_group(head.state, maker.actor.user_id, read->change, maker.time_ms));
  MadeEntry made;
  made.state = serialize(state);
  entry.state_hash = group_state_hash(made.state);
  made.entry = sign_group_entry(entry, maker.signing_seed);
  made.head = {std::move(state), group_entry_hash(made.entry)};
  return made;
}

Result<MadeEntry> create_group(GroupState first, const EntryMaker& maker) {
  first.group_id = group_id_of(first.origin);
  first.number = 1;
  MadeEntry made;
  made.state = serialize(std::move(first));
  auto state = parse_group_state(made.state);
  GroupEntry entry;
  entry.change = CreateGroup{};
  entry.number = 1;
  entry.actor = maker.actor.user_id;
  entry.actors_device = maker.actor.device_id;
  entry.time_ms = maker.time_ms;
  entry.state_hash = group_state_hash(made.state);
  if (!state || !is_first_state(entry, *state)) return invalid("no first state of a group of this creator's");
  entry.group_id = state->group_id;
  made.entry = sign_group_entry(entry, maker.signing_seed);
  made.head = {std::move(*state), group_entry_hash(made.entry)};
  return made;
}

Judged judge(const GroupHead& head, BytesView bytes, std::span<const RosterUser> users) {
  const auto entry = parse_group_entry(bytes);
  if (!entry || entry->group_id != head.state.group_id) return {Judgement::kDoesNotHold, {}};
  const Hash entry_hash = group_entry_hash(bytes);
  if (entry->number < head.state.number) return {Judgement::kBefore, {}};
  if (entry->number == head.state.number) {
    return {entry_hash == head.entry_hash ? Judgement::kKnown : Judgement::kOtherChain, {}};
  }
  if (entry->number != head.state.number + 1) return {Judgement::kGap, {}};
  if (entry->previous != head.entry_hash) return {Judgement::kOtherChain, {}};
  if (!is_signed_by_member(*entry, bytes, head.state, users) || !are_people_under_their_keys(*entry, users)) {
    return {Judgement::kDoesNotHold, {}};
  }
  auto state = change_group(head.state, entry->actor, entry->change, entry->time_ms);
  if (!state || entry->state_hash != group_state_hash(serialize(*state))) return {Judgement::kDoesNotHold, {}};
  return {Judgement::kHolds, GroupHead{std::move(*state), entry_hash}};
}

Result<Joined> join(const GroupHead* before, BytesView entry_bytes, BytesView state_bytes,
                    std::span<const RosterUser> users, const OwnIdentity& own) {
  auto shown = read_shown(entry_bytes, state_bytes, own);
  if (!shown || !is_signed_by_member(shown->entry, entry_bytes, shown->state, users)) return untrusted();
  const GroupEntry& entry = shown->entry;
  const auto* add = std::get_if<AddMembers>(&entry.change);
  const bool holds = add != nullptr ? does_add(*add, entry, shown->state, own.user_id)
                                    : entry.number == 1 && is_first_state(entry, shown->state);
  if (!holds) return untrusted();
  Joined joined;
  joined.confirmed = true;
  if (before != nullptr) {
    if (before->state.group_id != entry.group_id || entry.number <= before->state.number) return untrusted();
    const GroupMember* known = before->state.member(entry.actor);
    joined.confirmed = add != nullptr && known != nullptr &&
                       known->account_key == shown->state.member(entry.actor)->account_key &&
                       before->state.has_right(entry.actor, right_to_add(*add));
  }
  joined.head = {std::move(shown->state), group_entry_hash(entry_bytes)};
  joined.entry = std::move(shown->entry);
  return joined;
}

Result<Joined> take_shown(BytesView entry, BytesView state, const OwnIdentity& own) {
  auto shown = read_shown(entry, state, own);
  if (!shown) return untrusted();
  return Joined{{std::move(shown->state), group_entry_hash(entry)}, std::move(shown->entry), false};
}

}  // namespace chatsdk::e2ee
