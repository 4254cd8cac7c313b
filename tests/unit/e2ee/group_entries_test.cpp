// SPDX-License-Identifier: Apache-2.0
//
// The bytes of an encrypted group's membership: states, entries, invitations, requests and the sealed info.
//
// Threads: one.
#include "e2ee/group_entry.h"

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "base/limits.h"
#include "e2ee/group_info.h"
#include "e2ee/group_invitation.h"
#include "e2ee/outcome.h"
#include "e2ee/padding.h"
#include "e2ee/sender_chains.h"
#include "unit/e2ee/groups.h"

namespace chatsdk::e2ee {
namespace {

// Alice's group of section 26: Bob is in it.
MadeEntry example_created() {
  GroupState first;
  first.origin = alices_origin();
  first.members = {as_member(alice(), GroupRole::kOwner), as_member(bob(), GroupRole::kMember)};
  const Person alice = e2ee::alice();
  return create_group(std::move(first), {{"alice", DeviceId{1}}, alice.keys.signing_seed, kThen}).value();
}
MadeEntry example_invited() {
  const Person alice = e2ee::alice();
  return make_entry(example_created().head, Invite{invitation_id(0x88), kThen + 86'400'000, 5},
                    {{"alice", DeviceId{1}}, alice.keys.signing_seed, kThen})
      .value();
}
JoinRequest example_request() {
  const Person carol = person("carol", 3, 0x51, 6, {});
  return {alices_group(), invitation_id(0x88), "carol", signing_key_of(carol.account_seed), DeviceId{3}, kThen};
}
InvitationSecret example_secret() {
  return invitation_secret(secret_of<32>(0x11), alices_group(), invitation_id(0x88));
}
Bytes example_request_bytes() {
  const InvitationSecret secret = example_secret();
  return sign_join_request(example_request(), &secret, secret_of<32>(0x52));
}
InvitationLink example_link() {
  return {alices_group(), invitation_id(0x88), "alice", signing_key_of(secret_of<32>(0x11)), example_secret()};
}

GroupEntry entry_of(GroupChange change) {
  GroupEntry entry;
  entry.group_id = alices_group();
  entry.number = change.index() == 0 ? 1 : 2;
  entry.previous = change.index() == 0 ? Hash{} : fixed_of<Hash>(1);
  entry.change = std::move(change);
  entry.actor = "alice";
  entry.actors_device = DeviceId{1};
  entry.time_ms = kThen;
  entry.state_hash = fixed_of<Hash>(2);
  return entry;
}
Bytes written(const GroupEntry& entry) { return sign_group_entry(entry, secret_of<32>(0x12)); }
GroupMember person_of(const std::string& user_id, GroupRole role = GroupRole::kMember) {
  return {user_id, role, signing_key_of(secret_of<32>(0x99))};
}
std::vector<GroupChange> one_of_each() {
  return {CreateGroup{},
          AddMembers{AddSource::kByHand, {}, {}, {person_of("dan", GroupRole::kOwner), person_of("erin")}},
          AddMembers{AddSource::kInvitation, invitation_id(1), fixed_of<Hash>(3), {person_of("dan")}},
          AddMembers{AddSource::kRequest, {}, fixed_of<Hash>(3), {person_of("dan")}},
          RemoveMember{"bob"},
          LeaveGroup{},
          SetRole{"bob", GroupRole::kAdmin},
          SetOwner{"bob"},
          SetInfo{fixed_of<Hash>(4)},
          SetPermissions{GroupPermissions{}},
          Invite{invitation_id(1), kThen, 3},
          RevokeInvitation{invitation_id(1)}};
}

TEST(GroupEntries, HaveTheValuesOfTheSpecification) {
  EXPECT_EQ(to_hex(alices_group().view()), "f5083713bc632476ef66abc216d921b7");
  const MadeEntry created = example_created();
  EXPECT_EQ(created.state.size(), 220U);
  EXPECT_EQ(to_hex(group_state_hash(created.state).view()),
            "e864d06a1e73809f81ecbc36dc85ebb21e05185bdc2ec1dab56d08f7cf9bd56f");
  EXPECT_EQ(created.entry.size(), 183U);
  EXPECT_EQ(to_hex(created.head.entry_hash.view()), "ecf8f4adbe2a3f121d9fd7964ef7129a70c1cd58cf3b844cd622e4774ca4f4c5");
  const MadeEntry invited = example_invited();
  EXPECT_EQ(to_hex(group_state_hash(invited.state).view()),
            "0fd4d323e981a7a94c29dc191021bc8169c261fdeac81d0d86b9f2ed6442b6fd");
  EXPECT_EQ(to_hex(invited.head.entry_hash.view()), "6cae3087a8c466b0ab62c30ec7011170dd2cbad3de0d6acfabc0de66ce875f0c");
  EXPECT_EQ(to_text(example_link()),
            "csdk-group:"
            "AfUINxO8YyR272arwhbZIbeIiIiIiIiIiIiIiIiIiIiIBQAAAGFsaWNlAdBKsjJ0K7SrOhNovUYV5ObQIkq3GgFrr4UgozLJd4c31hmAl6"
            "WklFo9yVFxK2YudcsAaCukJnmdYKkXRLZd_vY");
  EXPECT_EQ(to_hex(join_request_hash(example_request_bytes()).view()),
            "e4ac170b4b323bd1f65b5a8908a8ebf08539150d3c3b89a5dc97bc306cfd67de");
  const Bytes sealed =
      seal_group_info(bytes_of_hex("0a04626f6f6b"), secret_of<32>(0x87), fixed_of<Nonce>(0x89), alices_group()).value();
  EXPECT_EQ(sealed.size(), 136U);
  EXPECT_EQ(to_hex(group_info_hash(sealed).view()), "da20c3078a5353c7a2cbe5f0dcb62d5b5939beda70182c13c571da99c0901dca");
}

TEST(GroupEntries, AreReadWholeOrNotAtAll) {
  for (const GroupChange& change : one_of_each()) {
    const GroupEntry entry = entry_of(change);
    const Bytes bytes = written(entry);
    expect_whole_or_nothing(bytes, parse_group_entry);
    EXPECT_EQ(parse_group_entry(bytes), entry) << change.index();
  }
}

TEST(GroupEntries, AreSignedWhole) {
  const Bytes bytes = written(entry_of(RemoveMember{"bob"}));
  const SigningKey key = signing_key_of(secret_of<32>(0x12));
  EXPECT_TRUE(is_signed_by(bytes, key));
  EXPECT_FALSE(is_signed_by(bytes, signing_key_of(secret_of<32>(0x13))));
  EXPECT_FALSE(is_signed_by({}, key));
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    Bytes changed = bytes;
    changed[at] = static_cast<char>(changed[at] ^ 1);
    EXPECT_FALSE(is_signed_by(changed, key)) << at;
    EXPECT_NE(group_entry_hash(changed), group_entry_hash(bytes)) << at;
  }
}

TEST(GroupEntries, AreRefusedWithEachFieldThatIsNotAsStated) {
  const auto refused = [](const char* name, const GroupEntry& entry) {
    EXPECT_FALSE(parse_group_entry(written(entry))) << name;
  };
  GroupEntry entry = entry_of(LeaveGroup{});
  ASSERT_TRUE(parse_group_entry(written(entry)));
  entry.number = 0;
  refused("number 0", entry);
  entry.number = 1;
  refused("number 1 that does not create", entry);
  entry = entry_of(LeaveGroup{});
  entry.group_id = {};
  refused("no group", entry);
  entry = entry_of(LeaveGroup{});
  entry.actors_device = {};
  refused("no device", entry);
  entry = entry_of(LeaveGroup{});
  entry.actor = "";
  refused("no actor", entry);
  entry = entry_of(CreateGroup{});
  entry.number = 2;
  refused("create as number 2", entry);
  entry = entry_of(CreateGroup{});
  entry.previous = fixed_of<Hash>(1);
  refused("create behind something", entry);
}

TEST(GroupEntries, AreRefusedWithAValueThatIsNotAsStated) {
  const struct {
    const char* name;
    GroupChange change;
  } cases[] = {
      {"nobody", AddMembers{AddSource::kByHand, {}, {}, {}}},
      {"one twice", AddMembers{AddSource::kByHand, {}, {}, {person_of("dan"), person_of("dan")}}},
      {"role 0", AddMembers{AddSource::kByHand, {}, {}, {person_of("dan", GroupRole{0})}}},
      {"role 4", AddMembers{AddSource::kByHand, {}, {}, {person_of("dan", GroupRole{4})}}},
      {"a key that is none", AddMembers{AddSource::kByHand, {}, {}, {{"dan", GroupRole::kMember, {}}}}},
      {"source 3", AddMembers{AddSource{3}, {}, {}, {person_of("dan")}}},
      {"two by a link", AddMembers{AddSource::kInvitation, invitation_id(1), {}, {person_of("a"), person_of("b")}}},
      {"two by a request", AddMembers{AddSource::kRequest, {}, {}, {person_of("a"), person_of("b")}}},
      {"an admin by a link",
       AddMembers{AddSource::kInvitation, invitation_id(1), {}, {person_of("a", GroupRole::kAdmin)}}},
      {"no user", RemoveMember{""}},
      {"role owner", SetRole{"bob", GroupRole::kOwner}},
      {"no role", SetRole{"bob", GroupRole{0}}},
      {"no invitation_id", Invite{{}, 0, 1}},
      {"no uses", Invite{invitation_id(1), 0, 0}},
      {"revoke nothing", RevokeInvitation{}},
  };
  for (const auto& c : cases) EXPECT_FALSE(parse_group_entry(written(entry_of(c.change)))) << c.name;
  for (std::size_t i = 0; i < kGroupRights; ++i) {
    for (const std::uint8_t role : {std::uint8_t{0}, std::uint8_t{1}, std::uint8_t{4}}) {
      GroupPermissions permissions;
      permissions.least[i] = GroupRole{role};
      const bool is_for_members = i != 4 && i != 6 && i != 7;
      EXPECT_EQ(parse_group_entry(written(entry_of(SetPermissions{permissions}))).has_value(),
                role == 1 && is_for_members)
          << i << " " << int{role};
    }
  }
}

TEST(GroupEntries, HoldAValueUpToTheLimit) {
  // No value reaches it, but one is taken apart only below it.
  std::vector<GroupMember> people;
  for (std::size_t i = 0; i < limits::e2ee::kEntryPeopleMax; ++i) {
    people.push_back(person_of(std::string(63, 'u') + static_cast<char>('a' + i)));
  }
  EXPECT_TRUE(parse_group_entry(written(entry_of(AddMembers{AddSource::kByHand, {}, {}, people}))));
  people.push_back(person_of("zz"));
  EXPECT_FALSE(parse_group_entry(written(entry_of(AddMembers{AddSource::kByHand, {}, {}, people}))));
}

// ---- States --------------------------------------------------------------------------------------------------------

GroupState whole_state() {
  GroupState state = GroupPeople().created().head.state;
  state.number = 5;
  state.info_number = 4;
  state.info_hash = fixed_of<Hash>(1);
  state.invitations = {{invitation_id(1), "ann", 0, kUsesUnlimited}, {invitation_id(2), "bob", kThen, 3}};
  return state;
}

TEST(GroupStates, AreReadWholeOrNotAtAll) {
  const Bytes bytes = serialize(whole_state());
  expect_whole_or_nothing(bytes, parse_group_state);
  EXPECT_EQ(parse_group_state(bytes), whole_state());
}

TEST(GroupStates, HaveOneForm) {
  GroupState shuffled = whole_state();
  std::swap(shuffled.members[0], shuffled.members[2]);
  std::swap(shuffled.invitations[0], shuffled.invitations[1]);
  EXPECT_EQ(serialize(shuffled), serialize(whole_state()));
}

TEST(GroupStates, AreRefusedWithEachFieldThatIsNotAsStated) {
  const struct {
    const char* name;
    std::function<void(GroupState&)> spoil;
  } cases[] = {
      {"number 0", [](GroupState& s) { s.number = 0; }},
      {"another group", [](GroupState& s) { s.group_id = fixed_of<GroupId>(1); }},
      {"another creator", [](GroupState& s) { s.origin.creator = "bob"; }},
      {"another salt", [](GroupState& s) { s.origin.salt = {}; }},
      {"another account key", [](GroupState& s) { s.origin.account_key = signing_key_of(secret_of<32>(0x99)); }},
      {"a table with 0", [](GroupState& s) { s.permissions[GroupRight::kSend] = GroupRole{0}; }},
      {"members who remove", [](GroupState& s) { s.permissions[GroupRight::kRemove] = GroupRole::kMember; }},
      {"a later info", [](GroupState& s) { s.info_number = 6; }},
      {"an info without a hash", [](GroupState& s) { s.info_hash = {}; }},
      {"a hash without an info", [](GroupState& s) { s.info_number = 0; }},
      {"a member twice", [](GroupState& s) { s.members.push_back(s.members[2]); }},
      {"two owners", [](GroupState& s) { s.members[1].role = GroupRole::kOwner; }},
      {"role 4", [](GroupState& s) { s.members[1].role = GroupRole{4}; }},
      {"role 0", [](GroupState& s) { s.members[1].role = GroupRole{0}; }},
      {"a key that is none", [](GroupState& s) { s.members[1].account_key = {}; }},
      {"an invitation twice", [](GroupState& s) { s.invitations.push_back(s.invitations[0]); }},
      {"an invitation of nobody", [](GroupState& s) { s.invitations[0].inviter = "dan"; }},
      {"an invitation that is used up", [](GroupState& s) { s.invitations[0].uses_left = 0; }},
      {"an invitation without id", [](GroupState& s) { s.invitations[0].id = {}; }},
  };
  for (const auto& c : cases) {
    GroupState state = whole_state();
    c.spoil(state);
    EXPECT_FALSE(parse_group_state(serialize(state))) << c.name;
  }
}

TEST(GroupStates, MayHaveNoOwnerAndNobody) {
  GroupState state = whole_state();
  state.members[0].role = GroupRole::kMember;
  EXPECT_TRUE(parse_group_state(serialize(state)));
  state.members.clear();
  state.invitations.clear();
  EXPECT_TRUE(parse_group_state(serialize(state)));
}

TEST(GroupStates, HaveMembersAndInvitationsUpToTheLimits) {
  GroupState state = whole_state();
  const SigningKey key = signing_key_of(secret_of<32>(0x99));
  for (std::size_t i = state.members.size(); i < limits::e2ee::kMembersMax; ++i) {
    state.members.push_back({"zz" + std::to_string(i), GroupRole::kMember, key});
  }
  for (std::size_t i = state.invitations.size(); i < limits::e2ee::kInvitationsMax; ++i) {
    state.invitations.push_back({invitation_id(static_cast<unsigned char>(0x20 + i)), "ann", 0, 1});
  }
  EXPECT_TRUE(parse_group_state(serialize(state)));
  GroupState more = state;
  more.members.push_back({"one more", GroupRole::kMember, key});
  EXPECT_FALSE(parse_group_state(serialize(more)));
  more = state;
  more.invitations.push_back({invitation_id(0xEE), "ann", 0, 1});
  EXPECT_FALSE(parse_group_state(serialize(more)));
}

TEST(GroupStates, AreHashedByEachByte) {
  const Bytes bytes = serialize(whole_state());
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    Bytes changed = bytes;
    changed[at] = static_cast<char>(changed[at] ^ 1);
    EXPECT_NE(group_state_hash(changed), group_state_hash(bytes)) << at;
  }
}

// ---- Invitations ---------------------------------------------------------------------------------------------------

TEST(GroupInvitations, ASecretIsOfItsKeyItsGroupAndItsId) {
  const auto secret = [](unsigned char seed, unsigned char group, unsigned char id) {
    return Bytes(view(invitation_secret(secret_of<32>(seed), fixed_of<GroupId>(group), invitation_id(id))));
  };
  EXPECT_EQ(secret(1, 2, 3), secret(1, 2, 3));
  EXPECT_NE(secret(1, 2, 3), secret(9, 2, 3));
  EXPECT_NE(secret(1, 2, 3), secret(1, 9, 3));
  EXPECT_NE(secret(1, 2, 3), secret(1, 2, 9));
}

TEST(GroupInvitations, ALinkIsReadWholeOrNotAtAll) {
  const std::string text = to_text(example_link());
  const auto link = parse_invitation_link(text);
  ASSERT_TRUE(link);
  EXPECT_EQ(to_text(*link), text);
  EXPECT_EQ(link->inviter, "alice");
  for (std::size_t size = 0; size < text.size(); ++size) {
    EXPECT_FALSE(parse_invitation_link(std::string_view(text).substr(0, size))) << size;
  }
  EXPECT_FALSE(parse_invitation_link(text + "A"));
  EXPECT_FALSE(parse_invitation_link("csdk-link:" + text.substr(11)));
  for (const auto& spoil :
       {+[](InvitationLink& l) { l.group_id = {}; }, +[](InvitationLink& l) { l.id = {}; },
        +[](InvitationLink& l) { l.inviter = ""; }, +[](InvitationLink& l) { l.account_key = {}; }}) {
    InvitationLink spoiled = example_link();
    spoil(spoiled);
    EXPECT_FALSE(parse_invitation_link(to_text(spoiled)));
  }
}

TEST(GroupInvitations, ARequestIsReadWholeOrNotAtAll) {
  expect_whole_or_nothing(example_request_bytes(), parse_join_request);
  EXPECT_EQ(parse_join_request(example_request_bytes()), example_request());
  const InvitationSecret secret = example_secret();
  JoinRequest request = example_request();
  request.invitation = {};
  EXPECT_FALSE(parse_join_request(sign_join_request(request, &secret, secret_of<32>(0x52)))) << "a MAC without a link";
  EXPECT_TRUE(parse_join_request(sign_join_request(request, nullptr, secret_of<32>(0x52))));
  request.device_id = {};
  EXPECT_FALSE(parse_join_request(sign_join_request(request, nullptr, secret_of<32>(0x52))));
}

class GroupAdmission : public ::testing::Test {
 protected:
  Result<AddMembers> admitted(BytesView request) const {
    return admit(request, {state_, "alice", alices_seed_, requester_, used_, now_ms_});
  }
  Code code(BytesView request) const { return admitted(request).code(); }
  Code code() const { return code(example_request_bytes()); }
  static Bytes signed_with(const JoinRequest& request, const InvitationSecret& secret) {
    return sign_join_request(request, &secret, secret_of<32>(0x52));
  }

  GroupState state_ = example_invited().head.state;
  const SigningSeed alices_seed_ = secret_of<32>(0x11);
  const Person carol_ = person("carol", 3, 0x51, 6, {});
  RosterUser requester_ = roster_user(carol_);
  std::vector<Hash> used_;
  std::uint64_t now_ms_ = kThen;
};

TEST_F(GroupAdmission, IsAnEntryOfTheInviters) {
  const auto add = admitted(example_request_bytes());
  ASSERT_TRUE(add.ok());
  const AddMembers wanted{AddSource::kInvitation,
                          invitation_id(0x88),
                          join_request_hash(example_request_bytes()),
                          {as_member(carol_, GroupRole::kMember)}};
  EXPECT_EQ(*add, wanted);
  const Person alice = e2ee::alice();
  const auto made = make_entry(example_invited().head, *add, {{"alice", DeviceId{1}}, alice.keys.signing_seed, kThen});
  ASSERT_TRUE(made.ok());
  EXPECT_EQ(made->head.state.invitations[0].uses_left, 4U);
}

TEST_F(GroupAdmission, IsRefusedWithAnyByteChanged) {
  const Bytes bytes = example_request_bytes();
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    Bytes changed = bytes;
    changed[at] = static_cast<char>(changed[at] ^ 1);
    EXPECT_EQ(code(changed), kUntrusted) << at;
  }
}

// The server knows everything but the secret: it brings in neither itself nor anybody else.
TEST_F(GroupAdmission, WantsWhoKnowsTheSecret) {
  EXPECT_EQ(code(signed_with(example_request(), secret_of<32>(0x99))), kUntrusted);
  EXPECT_EQ(code(sign_join_request(example_request(), nullptr, secret_of<32>(0x52))), kUntrusted);
  const SigningSeed another = secret_of<32>(0x99);
  EXPECT_EQ(admit(example_request_bytes(), {state_, "alice", another, requester_, used_, now_ms_}).code(), kUntrusted);
  const InvitationSecret secret = example_secret();
  Bytes theirs = signed_with(example_request(), secret);
  JoinRequest request = example_request();
  request.user_id = "erin";
  request.account_key = signing_key_of(secret_of<32>(0x61));
  const Bytes forged = sign_join_request(request, nullptr, secret_of<32>(0x62));
  theirs = forged.substr(0, forged.size() - 96) + theirs.substr(theirs.size() - 96, 32);
  theirs.append(sign(secret_of<32>(0x62), label::kSigGroupRequest, theirs).view());
  const RosterUser erin = roster_user(person("erin", 3, 0x61, 6, {}));
  EXPECT_EQ(admit(theirs, {state_, "alice", alices_seed_, erin, used_, now_ms_}).code(), kUntrusted);
}

TEST_F(GroupAdmission, WantsAListedDeviceOfTheUser) {
  EXPECT_EQ(code(sign_join_request(example_request(), nullptr, secret_of<32>(0x53))), kUntrusted);
  const RosterUser whole = requester_;
  requester_.devices.clear();
  EXPECT_EQ(code(), kUntrusted);
  requester_ = whole;
  requester_.account_key = signing_key_of(secret_of<32>(0x99));
  EXPECT_EQ(code(), kUntrusted);
  requester_ = whole;
  requester_.user_id = "dan";
  EXPECT_EQ(code(), kUntrusted);
  requester_ = whole;
  EXPECT_EQ(code(), Code::kOk);
}

TEST_F(GroupAdmission, WantsTheOwnInvitationWhileItStands) {
  now_ms_ = kThen + 86'400'000 - 1;
  EXPECT_EQ(code(), Code::kOk);
  ++now_ms_;
  EXPECT_EQ(code(), kUntrusted) << "expired";
  now_ms_ = kThen;
  state_.invitations[0].inviter = "bob";
  EXPECT_EQ(code(), kUntrusted) << "somebody else's";
  state_.invitations.clear();
  EXPECT_EQ(code(), kUntrusted) << "revoked";
}

TEST_F(GroupAdmission, WantsNoMemberAndTheGroup) {
  state_.members.push_back(as_member(carol_, GroupRole::kMember));
  EXPECT_EQ(code(), kUntrusted);
  state_.members.back().account_key = signing_key_of(secret_of<32>(0x99));
  EXPECT_EQ(code(), kUntrusted) << "nor another account key of a member";
  state_.members.pop_back();
  state_.group_id = fixed_of<GroupId>(1);
  EXPECT_EQ(code(), kUntrusted);
}

TEST_F(GroupAdmission, TakesARequestOnceAndInItsTime) {
  const std::uint64_t valid = ms(limits::e2ee::kRequestValid);
  state_.invitations[0].expires_ms = 0;
  now_ms_ = kThen + valid;
  EXPECT_EQ(code(), Code::kOk);
  ++now_ms_;
  EXPECT_EQ(code(), kUntrusted);
  now_ms_ = kThen - ms(limits::e2ee::kLinkValid);
  EXPECT_EQ(code(), Code::kOk);
  --now_ms_;
  EXPECT_EQ(code(), kUntrusted);
  now_ms_ = kThen;
  used_ = {fixed_of<Hash>(1), join_request_hash(example_request_bytes())};
  EXPECT_EQ(code(), kUntrusted);
}

TEST_F(GroupAdmission, WithoutALinkIsByHand) {
  JoinRequest request = example_request();
  request.invitation = {};
  const Bytes bytes = sign_join_request(request, nullptr, secret_of<32>(0x52));
  const auto add = admitted(bytes);
  ASSERT_TRUE(add.ok());
  EXPECT_EQ(add->source, AddSource::kRequest);
  EXPECT_EQ(add->request_hash, join_request_hash(bytes));
  requester_.devices.clear();
  EXPECT_EQ(code(bytes), kUntrusted);
}

// ---- The sealed info -----------------------------------------------------------------------------------------------

TEST(GroupInfos, OpenUnderTheirKeyInTheirGroupAlone) {
  const GroupId group = alices_group();
  const Bytes sealed = seal_group_info("name", secret_of<32>(1), fixed_of<Nonce>(2), group).value();
  EXPECT_EQ(open_group_info(sealed, secret_of<32>(1), group), "name");
  EXPECT_FALSE(open_group_info(sealed, secret_of<32>(2), group));
  EXPECT_FALSE(open_group_info(sealed, secret_of<32>(1), fixed_of<GroupId>(1)));
  for (std::size_t at = 0; at < sealed.size(); ++at) {
    Bytes changed = sealed;
    changed[at] = static_cast<char>(changed[at] ^ 1);
    EXPECT_FALSE(open_group_info(changed, secret_of<32>(1), group)) << at;
  }
}

TEST(GroupInfos, ArePaddedAndLimited) {
  const GroupId group = alices_group();
  const auto size = [&group](std::size_t bytes) {
    return seal_group_info(Bytes(bytes, 'n'), secret_of<32>(1), fixed_of<Nonce>(2), group).value().size();
  };
  EXPECT_EQ(size(1), size(60));
  EXPECT_EQ(size(61), size(1) + 64);
  EXPECT_EQ(size(limits::e2ee::kGroupInfoMax), padded_size(limits::e2ee::kGroupInfoMax + 4) + kSealOverheadBytes);
  const Bytes over(limits::e2ee::kGroupInfoMax + 1, 'n');
  EXPECT_EQ(seal_group_info(over, secret_of<32>(1), fixed_of<Nonce>(2), group).code(), Code::kTooLarge);
}

TEST(GroupInfos, KeysAreReadWholeOrNotAtAll) {
  expect_whole_or_nothing(serialize(InfoKey{5, secret_of<32>(1)}), parse_info_key);
  EXPECT_FALSE(parse_info_key(serialize(InfoKey{0, secret_of<32>(1)})));
}

}  // namespace
}  // namespace chatsdk::e2ee
