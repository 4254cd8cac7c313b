// SPDX-License-Identifier: Apache-2.0
//
// The rules of invitations to groups, and of requests to join them.
//
// Threads: one.
#include "tests/unit/server/group_contract.h"

namespace chatsdk::server {
namespace {

class InvitationContract : public GroupContract {
 protected:
  void SetUp() override {
    GroupContract::SetUp();
    make_group();
  }
  std::vector<InvitationView> invitations(const UserId& asking = "ann") {
    auto views = reader().group_invitations(asking, group_id(), now());
    EXPECT_TRUE(views.ok());
    return views.ok() ? *std::move(views) : std::vector<InvitationView>();
  }
};

TEST_F(InvitationContract, WhoHasOneJoins) {
  EXPECT_EQ(done("ann", CreateInvitation{invitation_id()}).seq(), 0u);
  EXPECT_TRUE(appended_.empty());
  const auto seen = reader().group_invitation("dan", invitation_id(), now());
  ASSERT_TRUE(seen.ok());
  EXPECT_EQ(seen->of.group.name(), "name");
  EXPECT_EQ(seen->of.members, 3u);
  EXPECT_EQ(seen->of.role, MemberRole::kNone);
  EXPECT_EQ(seen->inviter, "ann");
  const wire::GroupChanged joined = done("dan", JoinGroup{invitation_id()});
  EXPECT_EQ(joined.conversation_id(), conversation_.value);
  EXPECT_FALSE(joined.requested());
  EXPECT_EQ(last_item("bob").seq(), joined.seq());
  EXPECT_EQ(last_item("bob").roster().actor_user_id(), "dan") << "by the own doing";
  EXPECT_EQ(members("dan"), "ann owner, bob member, cid member, dan member");
  EXPECT_EQ(done("dan", JoinGroup{invitation_id()}).seq(), 0u) << "in it already";
  EXPECT_EQ(refused("dan", JoinGroup{invitation_id('x')}), Code::kNotFound);
}

TEST_F(InvitationContract, UsesAreCounted) {
  done("ann", CreateInvitation{invitation_id(), 0, 2});
  done("dan", JoinGroup{invitation_id()});
  done("dan", JoinGroup{invitation_id()});  // takes no use
  EXPECT_EQ(invitations().at(0).uses_left, 1u);
  done("eve", JoinGroup{invitation_id()});
  EXPECT_TRUE(invitations().empty());
  done("ann", RemoveMember{"eve"});
  EXPECT_EQ(refused("eve", JoinGroup{invitation_id()}), Code::kNotFound);
}

TEST_F(InvitationContract, EndsAtItsTime) {
  done("ann", CreateInvitation{invitation_id(), to_unix_ms(now()) + 1'000});
  pass(999);
  EXPECT_EQ(invitations().size(), 1u);
  EXPECT_TRUE(reader().group_invitation("dan", invitation_id(), now()).ok());
  const GroupOperation before = by("dan", JoinGroup{invitation_id()});
  pass(1);
  EXPECT_TRUE(invitations().empty());
  EXPECT_EQ(reader().group_invitation("dan", invitation_id(), now()).code(), Code::kNotFound);
  EXPECT_EQ(refused("dan", JoinGroup{invitation_id()}), Code::kNotFound);
  EXPECT_EQ(refused(before), Code::kOk) << "a millisecond earlier";
}

TEST_F(InvitationContract, WhoWasRemovedComesBackByAnothersDoingAlone) {
  done("ann", CreateInvitation{invitation_id()});
  done("ann", CreateInvitation{invitation_id('a'), 0, 0, true});
  done("ann", RemoveMember{"cid"});
  done("bob", RemoveMember{"bob"});
  harness_->reopen();
  EXPECT_EQ(refused("cid", JoinGroup{invitation_id()}), Code::kForbidden);
  EXPECT_EQ(refused("bob", JoinGroup{invitation_id()}), Code::kOk) << "who left by themself";
  EXPECT_TRUE(done("cid", JoinGroup{invitation_id('a')}).requested()) << "somebody admits";
  done("ann", AnswerJoinRequest{"cid", true});
  EXPECT_EQ(members(), "ann owner, bob member, cid member");
  done("cid", RemoveMember{"cid"});
  EXPECT_EQ(refused("cid", JoinGroup{invitation_id()}), Code::kOk) << "what counts is how it ended last";
}

TEST_F(InvitationContract, IsMadeByWhoMayInvite) {
  EXPECT_EQ(refused("bob", CreateInvitation{invitation_id()}), Code::kForbidden);
  EXPECT_EQ(refused("dan", CreateInvitation{invitation_id()}), Code::kNotFound);
  EXPECT_EQ(reader().group_invitations("bob", group_id(), now()).code(), Code::kForbidden);
  done("ann", SetMemberRole{"bob", MemberRole::kAdmin});
  EXPECT_EQ(refused("bob", CreateInvitation{invitation_id()}), Code::kOk);
  EXPECT_EQ(refused("ann", CreateInvitation{invitation_id()}), Code::kAlreadyExists);
  EXPECT_EQ(refused("dan", JoinGroup{invitation_id()}), Code::kOk);
  done("ann", SetMemberRole{"bob", MemberRole::kMember});
  EXPECT_EQ(refused("eve", JoinGroup{invitation_id()}), Code::kNotFound) << "it is worth as much as its maker's right";
  EXPECT_EQ(reader().group_invitation("eve", invitation_id(), now()).code(), Code::kNotFound);
  EXPECT_EQ(refused("bob", RevokeInvitation{invitation_id()}), Code::kOk) << "the own one";
}

TEST_F(InvitationContract, IsRevoked) {
  done("ann", CreateInvitation{invitation_id()});
  EXPECT_EQ(refused("bob", RevokeInvitation{invitation_id()}), Code::kForbidden);
  EXPECT_EQ(refused("ann", RevokeInvitation{invitation_id('x')}), Code::kNotFound);
  EXPECT_EQ(refused("ann", RevokeInvitation{invitation_id()}), Code::kOk);
  EXPECT_EQ(refused("dan", JoinGroup{invitation_id()}), Code::kNotFound);
  EXPECT_EQ(refused("ann", RevokeInvitation{invitation_id()}), Code::kNotFound);
}

TEST_F(InvitationContract, GoesWithItsInviter) {
  done("ann", SetMemberRole{"bob", MemberRole::kAdmin});
  done("bob", CreateInvitation{invitation_id()});
  done("bob", RemoveMember{"bob"});
  EXPECT_EQ(refused("dan", JoinGroup{invitation_id()}), Code::kNotFound);
  done("ann", AddMembers{{"bob"}});
  EXPECT_TRUE(invitations().empty()) << "nor does it come back";
}

TEST_F(InvitationContract, AnotherGroupsAdminRevokesNothing) {
  done("ann", CreateInvitation{invitation_id()});
  done(by("dan", creation({}), 'h'));
  EXPECT_EQ(refused(by("dan", RevokeInvitation{invitation_id()}, 'h')), Code::kNotFound);
  EXPECT_EQ(invitations().size(), 1u);
}

TEST_F(InvitationContract, AGroupHasAsManyAsItMay) {
  const auto nth = [](std::size_t number) { return Bytes(15, 't') + static_cast<char>('A' + number); };
  const std::int64_t soon = to_unix_ms(now()) + 1'000;
  for (std::size_t i = 0; i < limits::groups::kInvitationsMax; ++i) {
    EXPECT_EQ(refused("ann", CreateInvitation{nth(i), i == 0 ? soon : 0}), Code::kOk);
  }
  EXPECT_EQ(refused("ann", CreateInvitation{nth(limits::groups::kInvitationsMax)}), Code::kLimitReached);
  pass(1'000);
  EXPECT_EQ(refused("ann", CreateInvitation{nth(limits::groups::kInvitationsMax)}), Code::kOk) << "one is over";
}

TEST_F(InvitationContract, AFullGroupTakesNobody) {
  members_max_ = 3;
  done("ann", CreateInvitation{invitation_id(), 0, 1});
  EXPECT_EQ(refused("dan", JoinGroup{invitation_id()}), Code::kLimitReached);
  EXPECT_EQ(invitations().at(0).uses_left, 1u) << "and costs no use";
}

TEST_F(InvitationContract, WhoAskedInTimeIsNotAdmittedToAFullGroup) {
  members_max_ = 4;
  done("ann", CreateInvitation{invitation_id(), 0, 0, true});
  done("dan", JoinGroup{invitation_id()});
  done("ann", AddMembers{{"eve"}});
  EXPECT_EQ(refused("ann", AnswerJoinRequest{"dan", true}), Code::kLimitReached);
  EXPECT_EQ(reader().join_requests("ann", group_id())->size(), 1u) << "the request stays";
  done("ann", RemoveMember{"eve"});
  EXPECT_EQ(refused("ann", AnswerJoinRequest{"dan", true}), Code::kOk);
}

// ---- Requests ------------------------------------------------------------------------------------------------------

TEST_F(InvitationContract, WhereItTakesApprovalSomebodyAdmits) {
  done("ann", CreateInvitation{invitation_id(), 0, 0, true});
  const wire::GroupChanged asked = done("dan", JoinGroup{invitation_id()});
  EXPECT_TRUE(asked.requested());
  EXPECT_EQ(asked.seq(), 0u) << "who is no member hears nothing of the conversation";
  ASSERT_EQ(appended_.size(), 1u);
  EXPECT_EQ(appended_[0].followers.size(), 3u);
  const wire::Item wakes = last_item("ann");
  EXPECT_TRUE(wakes.roster().requests());
  EXPECT_EQ(wakes.roster().conversation_kind(), wire::CONVERSATION_KIND_GROUP);
  EXPECT_EQ(wakes.roster().changes_size(), 0);
  EXPECT_FALSE(wakes.roster().has_group());
  EXPECT_EQ(wakes.roster().actor_user_id(), "") << "every member reads it";
  EXPECT_EQ(members("dan"), "not_found");
  EXPECT_TRUE(done("dan", JoinGroup{invitation_id()}).requested()) << "asked already";
  EXPECT_TRUE(appended_.empty());
  EXPECT_EQ(reader().join_requests("bob", group_id()).code(), Code::kForbidden);
  const auto requests = reader().join_requests("ann", group_id());
  ASSERT_EQ(requests->size(), 1u);
  EXPECT_EQ(requests->at(0).user_id, "dan");
  EXPECT_EQ(requests->at(0).requested, now());
  EXPECT_EQ(refused("bob", AnswerJoinRequest{"dan", true}), Code::kForbidden);
  EXPECT_EQ(refused("dan", AnswerJoinRequest{"dan", true}), Code::kNotFound) << "not by the own word";
  EXPECT_EQ(refused("ann", AnswerJoinRequest{"eve", true}), Code::kNotFound);
  const wire::GroupChanged admitted = done("ann", AnswerJoinRequest{"dan", true});
  EXPECT_EQ(last_item("dan").seq(), admitted.seq());
  EXPECT_EQ(last_item("dan").roster().actor_user_id(), "ann");
  EXPECT_FALSE(last_item("dan").roster().requests()) << "who joined is no request";
  EXPECT_TRUE(reader().join_requests("ann", group_id())->empty());
}

TEST_F(InvitationContract, ARequestIsRefusedOrWithdrawn) {
  done("ann", CreateInvitation{invitation_id(), 0, 2, true});
  done("dan", JoinGroup{invitation_id()});
  EXPECT_EQ(invitations().at(0).uses_left, 1u);
  const wire::GroupChanged answer = done("ann", AnswerJoinRequest{"dan", false});
  EXPECT_EQ(answer.seq(), 3u);
  EXPECT_EQ(last_item("bob").seq(), 3u);
  EXPECT_TRUE(last_item("bob").roster().requests());
  EXPECT_EQ(last_item("bob").roster().changes_size(), 0);
  EXPECT_EQ(members(), "ann owner, bob member, cid member");
  EXPECT_EQ(refused("ann", AnswerJoinRequest{"dan", true}), Code::kNotFound);
  done("eve", JoinGroup{invitation_id()});
  EXPECT_EQ(refused("dan", AnswerJoinRequest{"eve", false}), Code::kNotFound) << "not another's";
  EXPECT_EQ(done("eve", AnswerJoinRequest{"eve", false}).seq(), 0u);
  EXPECT_TRUE(last_item("bob").roster().requests());
  EXPECT_EQ(last_item("bob").seq(), 5u);
  EXPECT_TRUE(reader().join_requests("ann", group_id())->empty());
}

TEST_F(InvitationContract, WhoIsAddedHasNoRequestLeft) {
  done("ann", CreateInvitation{invitation_id(), 0, 0, true});
  done("dan", JoinGroup{invitation_id()});
  done("ann", AddMembers{{"dan"}});
  EXPECT_TRUE(reader().join_requests("ann", group_id())->empty());
}

TEST_F(InvitationContract, RequestsAreBounded) {
  members_max_ = limits::groups::kMembersMax;
  done("ann", CreateInvitation{invitation_id(), 0, 0, true});
  for (std::size_t i = 0; i < limits::groups::kRequestsMax; ++i) {
    const UserId user = "asker" + std::to_string(i);
    register_user(user);
    EXPECT_EQ(refused(user, JoinGroup{invitation_id()}), Code::kOk);
  }
  EXPECT_EQ(refused("dan", JoinGroup{invitation_id()}), Code::kLimitReached);
  done("ann", AnswerJoinRequest{"asker0", false});
  EXPECT_EQ(refused("dan", JoinGroup{invitation_id()}), Code::kOk);
}

TEST_F(InvitationContract, RequestsOfOneUserAreBounded) {
  const auto open = [this](std::size_t number) {
    const char name = static_cast<char>('A' + number);
    done(by("ann", creation({}), name));
    done(by("ann", CreateInvitation{invitation_id(name), 0, 0, true}, name));
    return invitation_id(name);
  };
  for (std::size_t i = 0; i < limits::groups::kRequestsPerUserMax; ++i) {
    EXPECT_EQ(refused("dan", JoinGroup{open(i)}), Code::kOk);
  }
  const Bytes one_more = open(limits::groups::kRequestsPerUserMax);
  EXPECT_EQ(refused("dan", JoinGroup{one_more}), Code::kLimitReached);
  EXPECT_EQ(refused("eve", JoinGroup{one_more}), Code::kOk);
}

}  // namespace
}  // namespace chatsdk::server
