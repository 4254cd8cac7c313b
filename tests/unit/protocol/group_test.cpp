// SPDX-License-Identifier: Apache-2.0
//
// The bodies of groups.proto as records, with protobuf's own code on the other side.
#include "protocol/group.h"

#include <gmock/gmock.h>

#include "base/limits.h"
#include "protocol/groups.pb.h"

namespace chatsdk::group {
namespace {

using ::testing::ElementsAre;

const GroupId kId = GroupId::from("gggggggggggggggg");

template <typename T>
T parsed(const Bytes& bytes) {
  T message;
  EXPECT_TRUE(message.ParseFromString(bytes));
  EXPECT_EQ(message.SerializeAsString(), bytes);  // in the one form
  return message;
}

TEST(Group, RightsAreOneNumber) {
  Rights rights = default_rights();
  EXPECT_EQ(rights.of(Right::kSend), Role::kMember);
  EXPECT_EQ(rights.of(Right::kAdd), Role::kAdmin);
  EXPECT_EQ(rights.of(Right::kPermissions), Role::kOwner);
  EXPECT_EQ(unpack(pack(rights)), rights);
  EXPECT_EQ(unpack(pack(Rights())), Rights());
  EXPECT_EQ(unpack(0xF).of(Right::kSend), Role::kOwner);

  Rights said;
  said.of(Right::kSend) = Role::kAdmin;
  rights.take(said);
  EXPECT_EQ(rights.of(Right::kSend), Role::kAdmin);
  EXPECT_EQ(rights.of(Right::kPermissions), Role::kOwner);
}

TEST(Group, RequestsAreReadByProtobuf) {
  Info info;
  info.id = kId;
  info.name = "Climbing";
  info.description = "on Mondays";
  info.picture = Bytes("\0\xff", 2);
  info.rights.of(Right::kInvite) = Role::kMember;
  info.history = true;
  const auto create = parsed<wire::CreateGroupRequest>(write_create(info, {"bob", "cid"}));
  EXPECT_EQ(create.group_id(), kId.view());
  EXPECT_EQ(create.name(), "Climbing");
  EXPECT_EQ(create.description(), "on Mondays");
  EXPECT_EQ(create.picture(), info.picture);
  EXPECT_THAT(create.user_ids(), ElementsAre("bob", "cid"));
  EXPECT_EQ(create.permissions().invite(), wire::GROUP_ROLE_MEMBER);
  EXPECT_EQ(create.permissions().send(), wire::GROUP_ROLE_UNSPECIFIED);
  EXPECT_TRUE(create.history());
  EXPECT_FALSE(create.encrypted());

  Changes changes;
  changes.description = "";
  changes.rights.of(Right::kPermissions) = Role::kAdmin;
  const auto change = parsed<wire::ChangeGroupRequest>(write_changes(changes));
  EXPECT_FALSE(change.has_name());
  EXPECT_TRUE(change.has_description());
  EXPECT_FALSE(change.has_picture());
  EXPECT_EQ(change.permissions().permissions(), wire::GROUP_ROLE_ADMIN);
  changes = {};
  changes.name = "Chess";
  EXPECT_FALSE(parsed<wire::ChangeGroupRequest>(write_changes(changes)).has_permissions());

  EXPECT_THAT(parsed<wire::MembersRequest>(write_members({"bob", ""})).user_ids(), ElementsAre("bob", ""));
  EXPECT_EQ(parsed<wire::RoleRequest>(write_role(Role::kAdmin)).role(), wire::GROUP_ROLE_ADMIN);
  EXPECT_EQ(parsed<wire::OwnerRequest>(write_owner("bob")).user_id(), "bob");
  const auto invitation =
      parsed<wire::InvitationRequest>(write_invitation({Bytes(16, 't'), {}, 0, 1'900'000'000'000, 3, true}));
  EXPECT_EQ(invitation.token(), Bytes(16, 't'));
  EXPECT_EQ(invitation.expires_at_ms(), 1'900'000'000'000);
  EXPECT_EQ(invitation.uses(), 3u);
  EXPECT_TRUE(invitation.approval());
  EXPECT_TRUE(parsed<wire::RequestAnswer>(write_answer(true)).accept());
  EXPECT_FALSE(parsed<wire::RequestAnswer>(write_answer(false)).accept());
}

TEST(Group, AnswersOfProtobufAreRead) {
  wire::GroupChanged changed;
  changed.set_conversation_id(0x8000'0000'0000'0001);
  changed.set_seq(300);
  changed.set_requested(true);
  const auto read = read_changed(changed.SerializeAsString());
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(read->conversation_id.value, 0x8000'0000'0000'0001);
  EXPECT_EQ(read->seq, 300u);
  EXPECT_TRUE(read->requested);
  EXPECT_TRUE(read_changed({}).ok());

  wire::GroupInfo info;
  info.mutable_group()->set_group_id(Bytes(kId.view()));
  info.mutable_group()->set_name("Climbing");
  info.mutable_group()->set_description("on Mondays");
  info.mutable_group()->set_picture("picture");
  info.mutable_group()->mutable_permissions()->set_send(wire::GROUP_ROLE_ADMIN);
  info.mutable_group()->set_history(true);
  info.set_conversation_id(77);
  info.set_seq(12);
  info.set_members(200);
  info.set_role(wire::GROUP_ROLE_OWNER);
  info.set_owner_user_id("ann");
  const auto state = read_state(info.SerializeAsString());
  ASSERT_TRUE(state.ok());
  EXPECT_EQ(state->info.id, kId);
  EXPECT_EQ(state->info.name, "Climbing");
  EXPECT_EQ(state->info.description, "on Mondays");
  EXPECT_EQ(state->info.picture, "picture");
  EXPECT_EQ(state->info.rights.of(Right::kSend), Role::kAdmin);
  EXPECT_TRUE(state->info.history);
  EXPECT_EQ(state->conversation_id.value, 77u);
  EXPECT_EQ(state->seq, 12u);
  EXPECT_EQ(state->members, 200u);
  EXPECT_EQ(state->role, Role::kOwner);

  wire::Invitations invitations;
  auto& invitation = *invitations.add_invitations();
  invitation.set_invitation_id(Bytes(32, 't'));
  invitation.set_user_id("ann");
  invitation.set_created_at_ms(5);
  invitation.set_expires_at_ms(6);
  invitation.set_uses_left(7);
  invitation.set_approval(true);
  *invitations.add_invitations() = invitation;
  const auto list = read_invitations(invitations.SerializeAsString());
  ASSERT_TRUE(list.ok());
  ASSERT_EQ(list->size(), 2u);
  EXPECT_EQ((*list)[1].token, Bytes(32, 't'));
  EXPECT_EQ((*list)[1].inviter, "ann");
  EXPECT_EQ((*list)[1].created_at_ms, 5);
  EXPECT_EQ((*list)[1].expires_at_ms, 6);
  EXPECT_EQ((*list)[1].uses, 7u);
  EXPECT_TRUE((*list)[1].approval);

  wire::InvitationPreview seen;
  seen.set_group_id(Bytes(kId.view()));
  seen.set_name("Climbing");
  seen.set_members(3);
  seen.set_approval(true);
  seen.set_inviter_user_id("ann");
  seen.set_member(true);
  const auto preview = read_preview(seen.SerializeAsString());
  ASSERT_TRUE(preview.ok());
  EXPECT_EQ(preview->id, kId);
  EXPECT_EQ(preview->name, "Climbing");
  EXPECT_EQ(preview->members, 3u);
  EXPECT_TRUE(preview->approval);
  EXPECT_EQ(preview->inviter, "ann");
  EXPECT_TRUE(preview->member);

  wire::JoinRequests asked;
  asked.add_requests()->set_user_id("bob");
  asked.mutable_requests(0)->set_requested_at_ms(9);
  const auto requests = read_requests(asked.SerializeAsString());
  ASSERT_TRUE(requests.ok());
  ASSERT_EQ(requests->size(), 1u);
  EXPECT_EQ((*requests)[0].user_id, "bob");
  EXPECT_EQ((*requests)[0].requested_at_ms, 9);
}

wire::GroupMembers page_of(const std::vector<UserId>& users, bool more) {
  wire::GroupMembers page;
  for (const UserId& user : users) {
    auto& member = *page.add_members();
    member.set_user_id(user);
    member.set_role(wire::GROUP_ROLE_MEMBER);
  }
  page.set_seq(7);
  page.set_more(more);
  return page;
}

TEST(Group, PagesOfMembersAscend) {
  const auto page = read_members(page_of({"ann", "bob"}, true).SerializeAsString());
  ASSERT_TRUE(page.ok());
  EXPECT_THAT(page->members, ElementsAre(Member{"ann", Role::kMember}, Member{"bob", Role::kMember}));
  EXPECT_EQ(page->seq, 7u);
  EXPECT_TRUE(page->more);
  EXPECT_TRUE(read_members(page_of({}, false).SerializeAsString()).ok());

  const auto refused = [](const wire::GroupMembers& of) { return read_members(of.SerializeAsString()).code(); };
  EXPECT_EQ(refused(page_of({"bob", "ann"}, false)), Code::kProtocol);
  EXPECT_EQ(refused(page_of({"bob", "bob"}, false)), Code::kProtocol);
  EXPECT_EQ(refused(page_of({}, true)), Code::kProtocol);
  EXPECT_EQ(refused(page_of({""}, false)), Code::kProtocol);
  EXPECT_EQ(refused(page_of({std::string(65, 'u')}, false)), Code::kProtocol);
  EXPECT_TRUE(read_members(page_of({std::string(64, 'u')}, false).SerializeAsString()).ok());
  wire::GroupMembers nobody = page_of({"ann"}, false);
  nobody.mutable_members(0)->set_role(wire::GROUP_ROLE_UNSPECIFIED);
  EXPECT_EQ(refused(nobody), Code::kProtocol);
}

TEST(Group, AnswersThatAreNoneAreRefused) {
  const Bytes cut = page_of({"ann"}, false).SerializeAsString().substr(0, 5);
  EXPECT_EQ(read_members(cut).code(), Code::kProtocol);
  EXPECT_EQ(read_state({}).code(), Code::kProtocol);
  EXPECT_EQ(read_preview({}).code(), Code::kProtocol);
  EXPECT_TRUE(read_invitations({}).ok());
  EXPECT_TRUE(read_requests({}).ok());
  wire::Invitations invitations;
  invitations.add_invitations()->set_invitation_id("short");
  EXPECT_EQ(read_invitations(invitations.SerializeAsString()).code(), Code::kProtocol);
  wire::GroupInfo info;
  info.mutable_group()->set_group_id(Bytes(kId.view()));
  info.set_conversation_id(1);
  info.mutable_group()->set_name(std::string(limits::groups::kNameBytesMax, 'n'));
  EXPECT_TRUE(read_state(info.SerializeAsString()).ok());
  info.mutable_group()->mutable_name()->push_back('n');
  EXPECT_EQ(read_state(info.SerializeAsString()).code(), Code::kProtocol);
  // A role of later is one of which nobody has more.
  info.mutable_group()->set_name("n");
  info.set_role(static_cast<wire::GroupRole>(9));
  EXPECT_EQ(read_state(info.SerializeAsString())->role, Role::kOwner);
}

}  // namespace
}  // namespace chatsdk::group
