// SPDX-License-Identifier: Apache-2.0
//
// Who may change what in an encrypted group, what comes of it, and that no entry which was not made so is applied.
//
// Threads: one.
#include "e2ee/group_rules.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/limits.h"
#include "e2ee/outcome.h"
#include "unit/e2ee/groups.h"

namespace chatsdk::e2ee {
namespace {

constexpr GroupRole kMember = GroupRole::kMember;
constexpr GroupRole kAdmin = GroupRole::kAdmin;
constexpr GroupRole kOwner = GroupRole::kOwner;

class GroupRules : public ::testing::Test {
 protected:
  // The code of the change, and in `after` what comes of it. What is ok holds as an entry for everybody, too.
  Code change(const UserId& actor, const GroupChange& change, std::uint64_t time_ms = kThen) {
    auto changed = change_group(head_.state, actor, change, time_ms);
    const auto made = make_entry(head_, change, people_.maker(actor, time_ms));
    EXPECT_EQ(made.code(), changed.code());
    if (!changed) return changed.code();
    after = std::move(*changed);
    const Judged judged = judge(head_, made->entry, people_.roster());
    EXPECT_EQ(judged.judgement, Judgement::kHolds);
    EXPECT_EQ(judged.after, made->head);
    EXPECT_EQ(made->head.state, after);
    EXPECT_EQ(parse_group_state(made->state), after);
    return Code::kOk;
  }
  // And it is the group's state from now on.
  void apply(const UserId& actor, const GroupChange& change) {
    auto made = make_entry(head_, change, people_.maker(actor));
    ASSERT_TRUE(made.ok()) << made.error().detail;
    head_ = std::move(made->head);
  }
  void with(GroupRight right, GroupRole least) {
    GroupPermissions permissions = head_.state.permissions;
    permissions[right] = least;
    head_ = people_.created(permissions).head;
  }
  void set_role(const UserId& user_id, GroupRole role) {
    for (GroupMember& member : head_.state.members) {
      if (member.user_id == user_id) member.role = role;
    }
  }
  static AddMembers by_hand(std::vector<GroupMember> people) { return {AddSource::kByHand, {}, {}, std::move(people)}; }
  AddMembers by_link(const UserId& user_id, unsigned char invitation) const {
    return {AddSource::kInvitation, invitation_id(invitation), fixed_of<Hash>(9), {people_.member(user_id)}};
  }
  GroupMember with_other_key(const UserId& user_id, GroupRole role = kMember) const {
    GroupMember member = people_.member(user_id, role);
    member.account_key = signing_key_of(secret_of<32>(0x99));
    return member;
  }

  GroupPeople people_;
  GroupHead head_ = people_.created().head;
  GroupState after;
};

// For each right the three roles at each least role that it may have.
TEST_F(GroupRules, ARightIsForTheRolesOfTheTable) {
  const struct {
    const char* name;
    GroupRight right;
    GroupRole lowest;
    GroupChange change;
  } cases[] = {
      {"add", GroupRight::kAdd, kMember, by_hand({people_.member("dan")})},
      {"add by request", GroupRight::kAdd, kMember,
       AddMembers{AddSource::kRequest, {}, fixed_of<Hash>(9), {people_.member("dan")}}},
      {"invite", GroupRight::kInvite, kMember, Invite{invitation_id(1), 0, 1}},
      {"remove", GroupRight::kRemove, kAdmin, RemoveMember{"carol"}},
      {"info", GroupRight::kInfo, kMember, SetInfo{fixed_of<Hash>(1)}},
      {"roles", GroupRight::kRoles, kAdmin, SetRole{"carol", kAdmin}},
  };
  const std::pair<UserId, GroupRole> actors[] = {{"bob", kMember}, {"ann", kAdmin}, {"alice", kOwner}};
  for (const auto& c : cases) {
    for (const GroupRole least : {kMember, kAdmin, kOwner}) {
      if (least < c.lowest) continue;
      with(c.right, least);
      for (const auto& [actor, role] : actors) {
        EXPECT_EQ(change(actor, c.change), role >= least ? Code::kOk : Code::kForbidden)
            << c.name << " by " << actor << " at " << static_cast<int>(least);
      }
    }
  }
}

TEST_F(GroupRules, NobodyElseMayAnything) {
  for (const GroupChange& any :
       {GroupChange(by_hand({people_.member("erin")})), GroupChange(LeaveGroup{}), GroupChange(SetInfo{}),
        GroupChange(SetOwner{"bob"}), GroupChange(RemoveMember{"bob"}), GroupChange(Invite{invitation_id(1), 0, 1})}) {
    EXPECT_EQ(change("dan", any), Code::kForbidden) << any.index();
  }
}

TEST_F(GroupRules, AddPeopleAsMembersOrByWhoHasRolesAsAdmins) {
  ASSERT_EQ(change("ann", by_hand({people_.member("erin"), people_.member("dan")})), Code::kOk);
  EXPECT_EQ(after.members.size(), 6U);
  EXPECT_EQ(*after.member("dan"), people_.member("dan"));
  EXPECT_EQ(*after.member("erin"), people_.member("erin"));
  EXPECT_EQ(change("ann", by_hand({people_.member("dan", kAdmin)})), Code::kForbidden);
  EXPECT_EQ(change("alice", by_hand({people_.member("dan", kAdmin)})), Code::kOk);
  EXPECT_EQ(after.member("dan")->role, kAdmin);
  EXPECT_EQ(change("alice", by_hand({people_.member("dan", kOwner)})), Code::kForbidden);
}

TEST_F(GroupRules, AddEachPersonOnceAndNoMoreThanTheLimitAtOnce) {
  EXPECT_EQ(change_group(head_.state, "alice", by_hand({people_.member("dan")}), kThen).code(), Code::kOk);
  EXPECT_EQ(make_entry(head_, by_hand({people_.member("dan"), people_.member("dan")}), people_.maker("alice")).code(),
            Code::kInvalidArgument);
  EXPECT_EQ(make_entry(head_, by_hand({}), people_.maker("alice")).code(), Code::kInvalidArgument);
  std::vector<GroupMember> people;
  for (std::size_t i = 0; i < limits::e2ee::kEntryPeopleMax; ++i) {
    people.push_back({"user" + std::to_string(i), kMember, signing_key_of(secret_of<32>(0x99))});
  }
  EXPECT_TRUE(make_entry(head_, by_hand(people), people_.maker("alice")).ok());
  people.push_back(people_.member("dan"));
  EXPECT_EQ(make_entry(head_, by_hand(people), people_.maker("alice")).code(), Code::kInvalidArgument);
}

TEST_F(GroupRules, AGroupHasNoMoreMembersThanTheLimit) {
  const SigningKey key = signing_key_of(secret_of<32>(0x99));
  for (std::size_t i = head_.state.members.size(); i + 1 < limits::e2ee::kMembersMax; ++i) {
    head_.state.members.push_back({"zz" + std::to_string(10'000 + i), kMember, key});
  }
  ASSERT_EQ(change("alice", by_hand({people_.member("dan")})), Code::kOk);
  EXPECT_EQ(after.members.size(), limits::e2ee::kMembersMax);
  head_.state = after;
  EXPECT_EQ(change("alice", by_hand({people_.member("erin")})), Code::kLimitReached);
  EXPECT_EQ(change("alice", by_hand({people_.member("bob")})), Code::kOk) << "who is there already takes no room";
}

TEST_F(GroupRules, AMemberIsAddedAgainAsTheyAre) {
  const GroupState before = head_.state;
  ASSERT_EQ(change("ann", by_hand({people_.member("alice", kOwner), people_.member("bob")})), Code::kOk);
  EXPECT_EQ(after.members, before.members);
  EXPECT_EQ(after.number, 2U);
  EXPECT_EQ(change("ann", by_hand({people_.member("alice", kMember)})), Code::kInvalidArgument);
  EXPECT_EQ(change("ann", by_hand({people_.member("bob", kAdmin)})), Code::kInvalidArgument);
  EXPECT_EQ(change("ann", by_hand({people_.member("ann", kAdmin)})), Code::kInvalidArgument) << "by somebody else";
  EXPECT_EQ(change("bob", by_hand({people_.member("carol")})), Code::kForbidden);
}

TEST_F(GroupRules, AnotherAccountKeyMakesAMemberOfWhoeverItWas) {
  const auto after_another_key = [&](const UserId& actor, const GroupMember& person) {
    return change_group(head_.state, actor, by_hand({person}), kThen);
  };
  for (const UserId user : {"alice", "bob"}) {
    const auto changed = after_another_key("ann", with_other_key(user));
    ASSERT_TRUE(changed.ok());
    EXPECT_EQ(*changed->member(user), with_other_key(user));
    EXPECT_EQ(changed->members.size(), 4U);
  }
  EXPECT_EQ(after_another_key("ann", with_other_key("alice", kOwner)).code(), Code::kInvalidArgument);
  EXPECT_EQ(after_another_key("alice", with_other_key("ann", kAdmin)).code(), Code::kInvalidArgument);
  EXPECT_EQ(after_another_key("ann", with_other_key("ann")).code(), Code::kInvalidArgument);
  EXPECT_EQ(after_another_key("carol", with_other_key("bob")).code(), Code::kForbidden);
}

TEST_F(GroupRules, NobodyRemovesWhomTheyAreNotAbove) {
  EXPECT_EQ(change("ann", RemoveMember{"alice"}), Code::kForbidden);
  EXPECT_EQ(change("ann", RemoveMember{"ann"}), Code::kForbidden);
  EXPECT_EQ(change("alice", RemoveMember{"alice"}), Code::kForbidden);
  EXPECT_EQ(change("alice", RemoveMember{"dan"}), Code::kNotFound);
  ASSERT_EQ(change("alice", RemoveMember{"ann"}), Code::kOk);
  EXPECT_EQ(after.member("ann"), nullptr);
  EXPECT_EQ(after.members.size(), 3U);
  set_role("carol", kAdmin);
  EXPECT_EQ(change("ann", RemoveMember{"carol"}), Code::kForbidden) << "two admins";
}

TEST_F(GroupRules, EverybodyLeavesButAnOwnerOfOthers) {
  ASSERT_EQ(change("bob", LeaveGroup{}), Code::kOk);
  EXPECT_EQ(after.member("bob"), nullptr);
  EXPECT_EQ(change("ann", LeaveGroup{}), Code::kOk);
  EXPECT_EQ(change("alice", LeaveGroup{}), Code::kForbidden);
  for (const UserId user : {"ann", "bob", "carol"}) apply(user, LeaveGroup{});
  ASSERT_EQ(change("alice", LeaveGroup{}), Code::kOk);
  EXPECT_TRUE(after.members.empty());
  apply("alice", LeaveGroup{});
  EXPECT_EQ(change("alice", by_hand({people_.member("bob")})), Code::kForbidden) << "the group has ended";
}

TEST_F(GroupRules, WhoGoesTakesTheirInvitationsAlong) {
  apply("ann", Invite{invitation_id(1), 0, 1});
  apply("alice", Invite{invitation_id(2), 0, 1});
  ASSERT_EQ(change("ann", LeaveGroup{}), Code::kOk);
  ASSERT_EQ(after.invitations.size(), 1U);
  EXPECT_EQ(after.invitations[0].id, invitation_id(2));
  ASSERT_EQ(change("alice", RemoveMember{"ann"}), Code::kOk);
  EXPECT_EQ(after.invitations.size(), 1U);
}

TEST_F(GroupRules, NobodyGivesARoleThatIsNotBelow) {
  with(GroupRight::kRoles, kAdmin);
  EXPECT_EQ(change("ann", SetRole{"bob", kAdmin}), Code::kOk);
  EXPECT_EQ(after.member("bob")->role, kAdmin);
  EXPECT_EQ(change("ann", SetRole{"alice", kMember}), Code::kForbidden);
  EXPECT_EQ(change("ann", SetRole{"bob", kMember}), Code::kInvalidArgument) << "it is his";
  EXPECT_EQ(change("ann", SetRole{"dan", kAdmin}), Code::kNotFound);
  EXPECT_EQ(change("alice", SetRole{"ann", kMember}), Code::kOk);
  EXPECT_EQ(change("alice", SetRole{"alice", kAdmin}), Code::kForbidden);
  EXPECT_EQ(make_entry(head_, SetRole{"bob", kOwner}, people_.maker("alice")).code(), Code::kInvalidArgument);
  set_role("carol", kAdmin);
  EXPECT_EQ(change("ann", SetRole{"carol", kMember}), Code::kForbidden) << "two admins";
}

TEST_F(GroupRules, AnAdminStepsDownWithoutARight) {
  ASSERT_EQ(head_.state.permissions[GroupRight::kRoles], kOwner);
  ASSERT_EQ(change("ann", SetRole{"ann", kMember}), Code::kOk);
  EXPECT_EQ(after.member("ann")->role, kMember);
  EXPECT_EQ(change("bob", SetRole{"bob", kAdmin}), Code::kForbidden);
  with(GroupRight::kRoles, kAdmin);
  EXPECT_EQ(change("bob", SetRole{"bob", kAdmin}), Code::kForbidden);
}

TEST_F(GroupRules, TheOwnerHandsTheGroupOver) {
  ASSERT_EQ(change("alice", SetOwner{"bob"}), Code::kOk);
  EXPECT_EQ(after.owner()->user_id, "bob");
  EXPECT_EQ(after.member("alice")->role, kAdmin);
  EXPECT_EQ(change("ann", SetOwner{"ann"}), Code::kForbidden);
  EXPECT_EQ(change("ann", SetOwner{"bob"}), Code::kForbidden);
  EXPECT_EQ(change("alice", SetOwner{"alice"}), Code::kInvalidArgument);
  EXPECT_EQ(change("alice", SetOwner{"dan"}), Code::kNotFound);
}

TEST_F(GroupRules, WithoutAnOwnerThoseOfTheHighestRoleNameOne) {
  set_role("alice", kMember);
  EXPECT_EQ(change("bob", SetOwner{"bob"}), Code::kForbidden);
  for (const UserId user : {"ann", "bob"}) {
    ASSERT_EQ(change("ann", SetOwner{user}), Code::kOk);
    EXPECT_EQ(after.owner()->user_id, user);
    EXPECT_EQ(after.member("ann")->role, user == "ann" ? kOwner : kAdmin);
  }
  set_role("ann", kMember);
  EXPECT_EQ(change("bob", SetOwner{"carol"}), Code::kOk);
}

TEST_F(GroupRules, TheTableIsChangedUpToTheActorsRole) {
  GroupPermissions permissions = head_.state.permissions;
  permissions[GroupRight::kSend] = kAdmin;
  EXPECT_EQ(change("ann", SetPermissions{permissions}), Code::kForbidden);
  ASSERT_EQ(change("alice", SetPermissions{permissions}), Code::kOk);
  EXPECT_EQ(after.permissions, permissions);
  with(GroupRight::kPermissions, kAdmin);
  permissions[GroupRight::kPermissions] = kAdmin;
  EXPECT_EQ(change("ann", SetPermissions{permissions}), Code::kOk);
  EXPECT_EQ(change("bob", SetPermissions{permissions}), Code::kForbidden);
  GroupPermissions too_high = permissions;
  too_high[GroupRight::kSend] = kOwner;
  EXPECT_EQ(change("ann", SetPermissions{too_high}), Code::kForbidden);
  GroupPermissions was_too_high = permissions;
  was_too_high[GroupRight::kRoles] = kAdmin;
  EXPECT_EQ(change("ann", SetPermissions{was_too_high}), Code::kForbidden);
  EXPECT_EQ(change("alice", SetPermissions{was_too_high}), Code::kOk);
}

TEST_F(GroupRules, AnInfoIsNamedByItsEntry) {
  ASSERT_EQ(change("ann", SetInfo{fixed_of<Hash>(1)}), Code::kOk);
  EXPECT_EQ(after.info_number, 2U);
  EXPECT_EQ(after.info_hash, fixed_of<Hash>(1));
  apply("ann", SetInfo{fixed_of<Hash>(1)});
  apply("ann", Invite{invitation_id(1), 0, 1});
  EXPECT_EQ(head_.state.info_number, 2U);
  ASSERT_EQ(change("ann", SetInfo{}), Code::kOk);
  EXPECT_EQ(after.info_number, 0U);
}

TEST_F(GroupRules, InvitationsAreOfWhoMadeThem) {
  apply("ann", Invite{invitation_id(7), kThen + 10, 2});
  EXPECT_EQ(head_.state.invitations[0].inviter, "ann");
  EXPECT_EQ(change("ann", Invite{invitation_id(7), 0, 1}), Code::kAlreadyExists);
  EXPECT_EQ(change("alice", by_link("dan", 7)), Code::kForbidden) << "somebody else's";
  EXPECT_EQ(change("ann", by_link("dan", 8)), Code::kNotFound);
  EXPECT_EQ(change("ann", by_link("bob", 7)), Code::kAlreadyExists);
  AddMembers another_key = by_link("bob", 7);
  another_key.people = {with_other_key("bob")};
  EXPECT_EQ(change_group(head_.state, "ann", another_key, kThen).code(), Code::kAlreadyExists);
  EXPECT_EQ(change("ann", by_link("dan", 7), kThen + 9), Code::kOk);
  EXPECT_EQ(change("ann", by_link("dan", 7), kThen + 10), Code::kTimedOut);
}

TEST_F(GroupRules, AnInvitationIsUsedUp) {
  apply("ann", Invite{invitation_id(7), 0, 2});
  apply("ann", Invite{invitation_id(8), 0, kUsesUnlimited});
  apply("ann", by_link("dan", 7));
  EXPECT_EQ(head_.state.invitation(invitation_id(7))->uses_left, 1U);
  ASSERT_EQ(change("ann", by_link("erin", 8)), Code::kOk);
  EXPECT_EQ(after.invitation(invitation_id(8))->uses_left, kUsesUnlimited);
  apply("ann", by_link("erin", 7));
  EXPECT_EQ(head_.state.invitation(invitation_id(7)), nullptr);
}

TEST_F(GroupRules, WhoMayInviteNoMoreAdmitsNoMore) {
  apply("ann", Invite{invitation_id(7), 0, 2});
  apply("alice", SetRole{"ann", kMember});
  EXPECT_EQ(change("ann", by_link("dan", 7)), Code::kForbidden);
  EXPECT_EQ(change("bob", RevokeInvitation{invitation_id(7)}), Code::kForbidden);
  EXPECT_EQ(change("ann", RevokeInvitation{invitation_id(7)}), Code::kOk) << "one's own";
  ASSERT_EQ(change("alice", RevokeInvitation{invitation_id(7)}), Code::kOk);
  EXPECT_TRUE(after.invitations.empty());
  EXPECT_EQ(change("alice", RevokeInvitation{invitation_id(8)}), Code::kNotFound);
}

TEST_F(GroupRules, AGroupHasNoMoreInvitationsThanTheLimit) {
  for (std::size_t i = 0; i < limits::e2ee::kInvitationsMax; ++i) {
    apply("ann", Invite{invitation_id(static_cast<unsigned char>(i + 1)), 0, 1});
  }
  EXPECT_EQ(head_.state.invitations.size(), limits::e2ee::kInvitationsMax);
  EXPECT_EQ(change("ann", Invite{invitation_id(0xEE), 0, 1}), Code::kLimitReached);
}

// ---- Entries that the server shows ---------------------------------------------------------------------------------

class GroupJudging : public ::testing::Test {
 protected:
  GroupJudging() {
    entry_.group_id = head_.state.group_id;
    entry_.number = 2;
    entry_.previous = head_.entry_hash;
    entry_.change = RemoveMember{"bob"};
    entry_.actor = "ann";
    entry_.actors_device = DeviceId{5};
    entry_.time_ms = kThen;
    entry_.state_hash = state_hash_after(head_.state, "ann", entry_.change);
  }
  static Hash state_hash_after(const GroupState& state, const UserId& actor, const GroupChange& change) {
    return group_state_hash(serialize(change_group(state, actor, change, kThen).value()));
  }
  Bytes signed_by(const UserId& user_id) const {
    return sign_group_entry(entry_, people_.of(user_id).keys.signing_seed);
  }
  Judgement judged(BytesView bytes) const { return judge(head_, bytes, people_.roster()).judgement; }
  Judgement judged() const { return judged(signed_by(entry_.actor)); }

  GroupPeople people_;
  const MadeEntry created_ = people_.created();
  GroupHead head_ = created_.head;
  GroupEntry entry_;
};

TEST_F(GroupJudging, TakesWhatFollowsAndIsRight) { EXPECT_EQ(judged(), Judgement::kHolds); }

TEST_F(GroupJudging, RefusesEveryChangedByte) {
  const Bytes bytes = signed_by("ann");
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    Bytes changed = bytes;
    changed[at] = static_cast<char>(changed[at] ^ 1);
    EXPECT_NE(judged(changed), Judgement::kHolds) << at;
    EXPECT_EQ(judged(BytesView(bytes).substr(0, at)), Judgement::kDoesNotHold) << at;
  }
  EXPECT_EQ(judged(bytes + '\0'), Judgement::kDoesNotHold);
}

TEST_F(GroupJudging, WantsTheNextNumber) {
  entry_.number = 3;
  EXPECT_EQ(judged(), Judgement::kGap);
  EXPECT_EQ(judged(created_.entry), Judgement::kKnown);
  head_.state.number = 2;
  EXPECT_EQ(judged(created_.entry), Judgement::kBefore);
  entry_.number = 2;
  EXPECT_EQ(judged(), Judgement::kOtherChain) << "another one of the number that was applied";
}

TEST_F(GroupJudging, TakesNothingTwice) {
  const Bytes bytes = signed_by("ann");
  head_ = judge(head_, bytes, people_.roster()).after.value();
  EXPECT_EQ(judged(bytes), Judgement::kKnown);
  entry_.number = 3;
  EXPECT_EQ(judged(), Judgement::kOtherChain);
}

TEST_F(GroupJudging, WantsTheEntryBefore) {
  entry_.previous = fixed_of<Hash>(1);
  EXPECT_EQ(judged(), Judgement::kOtherChain);
}

TEST_F(GroupJudging, WantsTheGroup) {
  entry_.group_id = fixed_of<GroupId>(1);
  EXPECT_EQ(judged(), Judgement::kDoesNotHold);
}

TEST_F(GroupJudging, WantsTheStateThatComesOfIt) {
  entry_.state_hash = fixed_of<Hash>(1);
  EXPECT_EQ(judged(), Judgement::kDoesNotHold);
  entry_.state_hash = group_state_hash(created_.state);
  EXPECT_EQ(judged(), Judgement::kDoesNotHold);
}

TEST_F(GroupJudging, WantsTheSignatureOfTheDevice) {
  EXPECT_EQ(judged(signed_by("alice")), Judgement::kDoesNotHold);
  entry_.actors_device = DeviceId{1};
  EXPECT_EQ(judged(), Judgement::kDoesNotHold) << "a device of somebody else";
}

TEST_F(GroupJudging, WantsAMemberWithTheRight) {
  for (const UserId user : {"bob", "dan"}) {
    entry_.actor = user;
    entry_.actors_device = people_.of(user).record.device_id;
    EXPECT_EQ(judged(), Judgement::kDoesNotHold) << user;
  }
}

TEST_F(GroupJudging, WantsAListedDeviceUnderTheMembersAccountKey) {
  std::vector<RosterUser> users = people_.roster();
  const auto judged_with = [&] { return judge(head_, signed_by("ann"), users).judgement; };
  RosterUser& ann = users[1];
  ASSERT_EQ(ann.user_id, "ann");
  EXPECT_EQ(judged_with(), Judgement::kHolds);
  const RosterUser whole = ann;
  ann.devices.clear();
  EXPECT_EQ(judged_with(), Judgement::kDoesNotHold) << "removed from the list";
  ann = whole;
  ann.account_key = signing_key_of(secret_of<32>(0x99));
  EXPECT_EQ(judged_with(), Judgement::kDoesNotHold) << "another identity";
  users.erase(users.begin() + 1);
  EXPECT_EQ(judged_with(), Judgement::kDoesNotHold) << "no list at all";
}

TEST_F(GroupJudging, WantsThoseWhoAreAddedUnderTheirAccountKeys) {
  entry_.change = AddMembers{AddSource::kByHand, {}, {}, {people_.member("dan")}};
  entry_.state_hash = state_hash_after(head_.state, "ann", entry_.change);
  EXPECT_EQ(judged(), Judgement::kHolds);
  std::vector<RosterUser> users = people_.roster();
  for (RosterUser& user : users) {
    if (user.user_id == "dan") user.account_key = signing_key_of(secret_of<32>(0x99));
  }
  EXPECT_EQ(judge(head_, signed_by("ann"), users).judgement, Judgement::kDoesNotHold);
  std::erase_if(users, [](const RosterUser& user) { return user.user_id == "dan"; });
  EXPECT_EQ(judge(head_, signed_by("ann"), users).judgement, Judgement::kDoesNotHold);
}

// An admin of whom the server has not shown another identity cannot say that the owner has one.
TEST_F(GroupJudging, NobodyIsGivenAnotherAccountKeyThanTheirListHas) {
  GroupMember deposed = people_.member("alice");
  deposed.account_key = signing_key_of(secret_of<32>(0x99));
  entry_.change = AddMembers{AddSource::kByHand, {}, {}, {deposed}};
  entry_.state_hash = state_hash_after(head_.state, "ann", entry_.change);
  EXPECT_EQ(judged(), Judgement::kDoesNotHold);
}

TEST_F(GroupJudging, AreNamedWhoseListsAreNeeded) {
  EXPECT_EQ(users_named(entry_), std::vector<UserId>{"ann"});
  entry_.change = AddMembers{AddSource::kByHand, {}, {}, {people_.member("dan"), people_.member("erin")}};
  EXPECT_EQ(users_named(entry_), (std::vector<UserId>{"ann", "dan", "erin"}));
}

TEST_F(GroupJudging, TwoWhoWereShownDifferentEntriesPartWays) {
  const GroupHead one = judge(head_, signed_by("ann"), people_.roster()).after.value();
  const MadeEntry other = make_entry(head_, RemoveMember{"carol"}, people_.maker("ann")).value();
  const GroupHead two = judge(head_, other.entry, people_.roster()).after.value();
  EXPECT_EQ(judge(one, other.entry, people_.roster()).judgement, Judgement::kOtherChain);
  const MadeEntry third = make_entry(two, SetInfo{fixed_of<Hash>(1)}, people_.maker("alice")).value();
  EXPECT_EQ(judge(one, third.entry, people_.roster()).judgement, Judgement::kOtherChain);
  EXPECT_EQ(judge(head_, third.entry, people_.roster()).judgement, Judgement::kGap);
  const RosterMember members[] = {{"alice", 1, {}}, {"ann", 1, {}}};
  EXPECT_NE(roster_hash({one.state.group_id, 2, one.entry_hash}, members).value(),
            roster_hash({two.state.group_id, 2, two.entry_hash}, members).value());
}

// ---- Coming --------------------------------------------------------------------------------------------------------

class GroupJoining : public ::testing::Test {
 protected:
  MadeEntry added(const UserId& actor, const UserId& user_id) const {
    return make_entry(created_.head, AddMembers{AddSource::kByHand, {}, {}, {people_.member(user_id)}},
                      people_.maker(actor))
        .value();
  }
  Result<Joined> join_as(const UserId& user_id, const MadeEntry& made, const GroupHead* before = nullptr) const {
    const SigningKey key = signing_key_of(people_.of(user_id).account_seed);
    return join(before, made.entry, made.state, people_.roster(), {user_id, key});
  }
  // The entry and the state, changed and signed again by the same actor.
  MadeEntry signed_again(const MadeEntry& made, GroupState state, const UserId& actor) const {
    MadeEntry changed;
    changed.state = serialize(std::move(state));
    GroupEntry entry = parse_group_entry(made.entry).value();
    entry.state_hash = group_state_hash(changed.state);
    entry.actor = actor;
    entry.actors_device = people_.of(actor).record.device_id;
    changed.entry = sign_group_entry(entry, people_.of(actor).keys.signing_seed);
    return changed;
  }

  GroupPeople people_;
  const MadeEntry created_ = people_.created();
};

TEST_F(GroupJoining, TakeTheStateThatTheAdderSigned) {
  const auto first = join_as("bob", created_);
  ASSERT_TRUE(first.ok());
  EXPECT_EQ(first->head, created_.head);
  EXPECT_TRUE(first->confirmed);
  const MadeEntry made = added("ann", "dan");
  const auto later = join_as("dan", made);
  ASSERT_TRUE(later.ok());
  EXPECT_EQ(later->head, made.head);
  EXPECT_EQ(later->entry.actor, "ann");
  EXPECT_TRUE(later->confirmed);
  EXPECT_EQ(
      judge(later->head, make_entry(made.head, LeaveGroup{}, people_.maker("bob")).value().entry, people_.roster())
          .judgement,
      Judgement::kHolds);
}

TEST_F(GroupJoining, OnlyWhoIsAddedTakesIt) {
  const MadeEntry made = added("ann", "dan");
  EXPECT_EQ(join_as("bob", made).code(), kUntrusted);
  EXPECT_EQ(join_as("erin", made).code(), kUntrusted);
  EXPECT_EQ(join_as("erin", created_).code(), kUntrusted);
  const MadeEntry other = make_entry(made.head, SetInfo{}, people_.maker("ann")).value();
  EXPECT_EQ(join_as("dan", other).code(), kUntrusted);
  const SigningKey another = signing_key_of(secret_of<32>(0x99));
  EXPECT_EQ(join(nullptr, made.entry, made.state, people_.roster(), {"dan", another}).code(), kUntrusted);
}

TEST_F(GroupJoining, WantTheStateOfTheEntry) {
  const MadeEntry made = added("ann", "dan");
  for (std::size_t at = 0; at < made.state.size(); at += 3) {
    MadeEntry changed = made;
    changed.state[at] = static_cast<char>(changed.state[at] ^ 1);
    EXPECT_EQ(join_as("dan", changed).code(), kUntrusted) << at;
  }
  MadeEntry moved = made;
  moved.state = created_.state;
  EXPECT_EQ(join_as("dan", moved).code(), kUntrusted);
  GroupState later = made.head.state;
  later.number = 3;
  EXPECT_EQ(join_as("dan", signed_again(made, later, "ann")).code(), kUntrusted);
}

TEST_F(GroupJoining, WantAnAdderWithTheRight) {
  const MadeEntry made = added("ann", "dan");
  EXPECT_TRUE(join_as("dan", signed_again(made, made.head.state, "alice")).ok());
  EXPECT_EQ(join_as("dan", signed_again(made, made.head.state, "bob")).code(), kUntrusted);
  EXPECT_EQ(join_as("dan", signed_again(made, made.head.state, "erin")).code(), kUntrusted);
  std::vector<RosterUser> users = people_.roster();
  for (RosterUser& user : users) {
    if (user.user_id == "ann") user.devices.clear();
  }
  const SigningKey key = signing_key_of(people_.of("dan").account_seed);
  EXPECT_EQ(join(nullptr, made.entry, made.state, users, {"dan", key}).code(), kUntrusted);
}

TEST_F(GroupJoining, WantThePeopleOfTheEntryInTheState) {
  const MadeEntry made = added("ann", "dan");
  GroupState state = made.head.state;
  state.members[4].role = kAdmin;
  ASSERT_EQ(state.members[4].user_id, "dan");
  EXPECT_EQ(join_as("dan", signed_again(made, state, "ann")).code(), kUntrusted);
}

TEST_F(GroupJoining, AFirstStateIsItsCreators) {
  GroupState state = created_.head.state;
  const auto refused = [&](GroupState changed) {
    EXPECT_EQ(join_as("bob", signed_again(created_, changed, "alice")).code(), kUntrusted);
  };
  EXPECT_TRUE(join_as("bob", signed_again(created_, state, "alice")).ok());
  EXPECT_EQ(join_as("bob", signed_again(created_, state, "ann")).code(), kUntrusted);
  state.members[0].role = kAdmin;
  refused(state);
  state.members[1].role = kOwner;
  refused(state);
  state = created_.head.state;
  state.members[0].account_key = signing_key_of(secret_of<32>(0x99));
  refused(state);
  state = created_.head.state;
  state.invitations.push_back({invitation_id(1), "alice", 0, 1});
  refused(state);
  state = created_.head.state;
  state.info_number = 1;
  state.info_hash = fixed_of<Hash>(1);
  refused(state);
}

TEST_F(GroupJoining, NobodyElseMakesAGroupOfTheSameId) {
  GroupState state = created_.head.state;
  state.origin.creator = "ann";
  state.origin.account_key = signing_key_of(people_.of("ann").account_seed);
  EXPECT_EQ(join_as("bob", signed_again(created_, state, "ann")).code(), kUntrusted);
  GroupState salted = created_.head.state;
  salted.origin.salt = fixed_of<GroupSalt>(1);
  EXPECT_EQ(join_as("bob", signed_again(created_, salted, "alice")).code(), kUntrusted);
}

TEST_F(GroupJoining, AreMadeByCreatorsAsTheyAreJoined) {
  GroupState first = created_.head.state;
  EXPECT_TRUE(create_group(first, people_.maker("alice")).ok());
  EXPECT_EQ(create_group(first, people_.maker("ann")).code(), Code::kInvalidArgument);
  first.members.push_back(people_.member("bob"));
  EXPECT_EQ(create_group(first, people_.maker("alice")).code(), Code::kInvalidArgument) << "twice";
}

TEST_F(GroupJoining, GoOnAfterAStopByAMemberWhoIsKnown) {
  const GroupHead stopped = created_.head;
  const MadeEntry third =
      make_entry(make_entry(stopped, SetInfo{}, people_.maker("alice")).value().head,
                 AddMembers{AddSource::kByHand, {}, {}, {people_.member("bob")}}, people_.maker("ann"))
          .value();
  const auto renewed = join_as("bob", third, &stopped);
  ASSERT_TRUE(renewed.ok());
  EXPECT_TRUE(renewed->confirmed);
  EXPECT_EQ(renewed->head, third.head);
  EXPECT_EQ(join_as("bob", third, &third.head).code(), kUntrusted) << "a number that is not above";
}

// The server can find anybody to sign a state of a group that the device had.
TEST_F(GroupJoining, AreUnconfirmedByWhoWasNobodyThere) {
  GroupState made_up = created_.head.state;
  made_up.number = 9;
  made_up.members.push_back(people_.member("erin", kAdmin));
  GroupEntry entry;
  entry.group_id = made_up.group_id;
  entry.number = 9;
  entry.change = AddMembers{AddSource::kByHand, {}, {}, {people_.member("bob")}};
  entry.actor = "erin";
  entry.actors_device = DeviceId{6};
  const Bytes state = serialize(made_up);
  entry.state_hash = group_state_hash(state);
  const MadeEntry made{sign_group_entry(entry, people_.of("erin").keys.signing_seed), state, {}};
  ASSERT_TRUE(join_as("bob", made).ok());
  EXPECT_TRUE(join_as("bob", made)->confirmed);
  ASSERT_TRUE(join_as("bob", made, &created_.head).ok());
  EXPECT_FALSE(join_as("bob", made, &created_.head)->confirmed);

  GroupHead without_right = created_.head;
  without_right.state.members.push_back(people_.member("erin"));
  EXPECT_FALSE(join_as("bob", made, &without_right)->confirmed) << "a member without the right";
  without_right.state.members.back() = people_.member("erin", kAdmin);
  EXPECT_TRUE(join_as("bob", made, &without_right)->confirmed);
  without_right.state.members.back().account_key = signing_key_of(secret_of<32>(0x99));
  EXPECT_FALSE(join_as("bob", made, &without_right)->confirmed) << "another identity";
}

TEST_F(GroupJoining, ALinkedDeviceTakesWhatItIsShownUnconfirmed) {
  const MadeEntry left = make_entry(created_.head, LeaveGroup{}, people_.maker("carol")).value();
  const SigningKey bobs = signing_key_of(people_.of("bob").account_seed);
  const SigningKey carols = signing_key_of(people_.of("carol").account_seed);
  const auto shown = take_shown(left.entry, left.state, {"bob", bobs});
  ASSERT_TRUE(shown.ok());
  EXPECT_FALSE(shown->confirmed);
  EXPECT_EQ(shown->head, left.head);
  EXPECT_EQ(take_shown(left.entry, created_.state, {"bob", bobs}).code(), kUntrusted);
  EXPECT_EQ(take_shown(left.entry, left.state, {"carol", carols}).code(), kUntrusted);
  EXPECT_EQ(take_shown(left.entry, left.state, {"bob", carols}).code(), kUntrusted);
}

}  // namespace
}  // namespace chatsdk::e2ee
