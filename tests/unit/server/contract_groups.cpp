// SPDX-License-Identifier: Apache-2.0
//
// The rules of groups: who is in one, who may change what, what the others hear of it, and what who left does not.
//
// Threads: one.
#include <algorithm>

#include "tests/unit/server/group_contract.h"

namespace chatsdk::server {
namespace {

// ---- Making one ----------------------------------------------------------------------------------------------------

TEST_F(GroupContract, AGroupBeginsWithItsMembersAndTellsThem) {
  const wire::GroupChanged answer = done("ann", creation({"bob", "cid"}));
  conversation_ = ConversationId{answer.conversation_id()};
  EXPECT_EQ(answer.seq(), 1u);
  ASSERT_EQ(appended_.size(), 4u) << "a roster, and news for each";
  EXPECT_EQ(appended_[0].stream_id, conversation_);
  EXPECT_EQ(appended_[0].followers, (std::vector<UserId>{"ann", "bob", "cid"}));

  const wire::Item item = last_item("bob");
  EXPECT_EQ(item.kind(), wire::ITEM_KIND_ROSTER);
  EXPECT_EQ(item.seq(), 1u);
  const wire::Roster& roster = item.roster();
  EXPECT_EQ(roster.conversation_kind(), wire::CONVERSATION_KIND_GROUP);
  EXPECT_EQ(roster.actor_user_id(), "ann");
  EXPECT_FALSE(roster.encrypted());
  ASSERT_EQ(roster.changes_size(), 3);
  EXPECT_EQ(roster.changes(0).user_id(), "ann");
  EXPECT_EQ(roster.changes(0).role(), wire::GROUP_ROLE_OWNER);
  EXPECT_EQ(roster.changes(2).user_id(), "cid");
  EXPECT_TRUE(roster.changes(2).joined());
  EXPECT_EQ(roster.changes(2).role(), wire::GROUP_ROLE_MEMBER);
  EXPECT_EQ(roster.group().group_id(), group_id());
  EXPECT_EQ(roster.group().name(), "name");
  EXPECT_EQ(roster.group().permissions().send(), wire::GROUP_ROLE_MEMBER);
  EXPECT_EQ(roster.group().permissions().invite(), wire::GROUP_ROLE_ADMIN);

  for (const char* user : {"ann", "bob", "cid"}) {
    const wire::Item added = news(user);
    EXPECT_EQ(added.kind(), wire::ITEM_KIND_CONVERSATION_ADDED);
    EXPECT_EQ(added.conversation().conversation_id(), conversation_.value);
    EXPECT_EQ(added.conversation().kind(), wire::CONVERSATION_KIND_GROUP);
    EXPECT_EQ(added.conversation().group_id(), group_id());
    EXPECT_EQ(added.conversation().peer_user_id(), "");
    EXPECT_EQ(added.conversation().role(),
              user == std::string("ann") ? wire::GROUP_ROLE_OWNER : wire::GROUP_ROLE_MEMBER);
  }
  EXPECT_EQ(members("cid"), "ann owner, bob member, cid member");
  const auto view = reader().group("bob", group_id());
  ASSERT_TRUE(view.ok());
  EXPECT_EQ(view->members, 3u);
  EXPECT_EQ(view->owner, "ann");
  EXPECT_EQ(view->role, MemberRole::kMember);
  EXPECT_EQ(view->head, 1u);
  EXPECT_EQ(read_code("dan", conversation_), Code::kNotFound);
}

TEST_F(GroupContract, AGroupIdIsGivenOnce) {
  make_group();
  EXPECT_EQ(refused("ann", creation({})), Code::kAlreadyExists);
  EXPECT_EQ(refused("dan", creation({})), Code::kAlreadyExists);
  done("ann", DeleteGroup{});
  EXPECT_EQ(refused("ann", creation({})), Code::kAlreadyExists) << "also of one that is over";
}

TEST_F(GroupContract, AGroupOfNobodyWhoIsThereIsNotMade) {
  EXPECT_EQ(refused("ann", creation({"bob", "nobody"})), Code::kNotFound);
  EXPECT_EQ(reader().group("ann", group_id()).code(), Code::kNotFound);
  EXPECT_EQ(done("ann", creation({})).seq(), 1u) << "a group of one";
}

TEST_F(GroupContract, AGroupHasAsManyMembersAsItMay) {
  members_max_ = 3;
  EXPECT_EQ(refused("ann", creation({"bob", "cid", "dan"})), Code::kLimitReached);
  make_group();  // of three
  EXPECT_EQ(refused("ann", AddMembers{{"dan"}}), Code::kLimitReached);
  done("ann", RemoveMember{"cid"});
  EXPECT_EQ(refused("ann", AddMembers{{"dan", "eve"}}), Code::kLimitReached);
  EXPECT_EQ(refused("ann", AddMembers{{"dan"}}), Code::kOk);
}

TEST_F(GroupContract, AUserIsInAsManyGroupsAsOneMayBe) {
  const auto nth = [this](std::size_t number, CreateGroup create) {
    GroupOperation op = by("ann", std::move(create));
    op.group_id = Bytes(8, 'n') + Bytes(client_id(number).view().substr(8));
    return op;
  };
  std::vector<WriteOp> ops;
  for (std::size_t i = 1; i < limits::groups::kPerUserMax; ++i) ops.emplace_back(nth(i, creation({})));
  commit(std::move(ops));
  done(by("bob", creation({}), 'h'));
  done(by("bob", CreateInvitation{invitation_id()}, 'h'));
  done(by("bob", CreateInvitation{invitation_id('a'), 0, 0, true}, 'h'));
  done("ann", JoinGroup{invitation_id('a')});
  EXPECT_EQ(refused(nth(limits::groups::kPerUserMax, creation({"bob"}))), Code::kOk) << "at the limit";
  EXPECT_EQ(refused("ann", JoinGroup{invitation_id()}), Code::kLimitReached);
  EXPECT_EQ(refused(by("bob", AnswerJoinRequest{"ann", true}, 'h')), Code::kLimitReached);
  EXPECT_EQ(refused(nth(limits::groups::kPerUserMax + 1, creation({}))), Code::kLimitReached);
  EXPECT_EQ(refused("bob", creation({"ann"})), Code::kLimitReached) << "nobody adds whom there is no room for";
  GroupOperation leaving = nth(1, {});
  leaving.change = RemoveMember{"ann"};
  EXPECT_EQ(refused(leaving), Code::kOk);
  EXPECT_EQ(refused("bob", creation({"ann"})), Code::kOk);
}

// ---- Operations ----------------------------------------------------------------------------------------------------

TEST_F(GroupContract, ARepeatGetsTheFirstAnswer) {
  const GroupOperation create = by("ann", creation({"bob"}));
  const wire::GroupChanged first = done(create);
  conversation_ = ConversationId{first.conversation_id()};
  const GroupOperation add = by("ann", AddMembers{{"cid"}});
  const wire::GroupChanged added = done(add);
  done("ann", RemoveMember{"cid"});
  harness_->reopen();
  const CommitResult again = commit({create, add});
  EXPECT_TRUE(again.appended.empty());
  for (const auto& answer : again.answers) EXPECT_TRUE(std::get<OperationDone>(*answer).repeated);
  EXPECT_EQ(changed(std::get<OperationDone>(*again.answers[0])).SerializeAsString(), first.SerializeAsString());
  EXPECT_EQ(changed(std::get<OperationDone>(*again.answers[1])).SerializeAsString(), added.SerializeAsString());
  EXPECT_EQ(members(), "ann owner, bob member") << "who was removed since did not come back";
}

TEST_F(GroupContract, ARepeatWithinABatchIsOne) {
  const GroupOperation create = by("ann", creation({"bob"}));
  const CommitResult result = commit({create, create});
  EXPECT_FALSE(std::get<OperationDone>(*result.answers[0]).repeated);
  EXPECT_TRUE(std::get<OperationDone>(*result.answers[1]).repeated);
  EXPECT_EQ(result.appended.size(), 3u);
}

TEST_F(GroupContract, WhatWasRefusedStaysRefused) {
  make_group();
  const GroupOperation add = by("bob", AddMembers{{"dan"}});
  EXPECT_EQ(refused(add), Code::kForbidden);
  done("ann", SetMemberRole{"bob", MemberRole::kAdmin});
  EXPECT_EQ(refused(add), Code::kForbidden) << "the operation had its answer";
  EXPECT_EQ(refused("bob", AddMembers{{"dan"}}), Code::kOk) << "another one is judged anew";
}

TEST_F(GroupContract, AnotherRequestUnderTheSameIdIsAConflict) {
  make_group();
  GroupOperation op = by("ann", RemoveMember{"bob"});
  done(op);
  op.change = RemoveMember{"cid"};
  op.request_hash = "another";
  EXPECT_EQ(refused(op), Code::kConflict);
  op.user_id = "bob";
  op.change = AddMembers{{"dan"}};
  EXPECT_EQ(refused(op), Code::kForbidden) << "another user's operations are others: bob is no member";
  EXPECT_EQ(members(), "ann owner, cid member");
}

TEST_F(GroupContract, AnEndedSessionChangesNothing) {
  make_group();
  const Session session = log_in("ann").session;
  GroupOperation op = by("ann", RemoveMember{"bob"});
  op.device_id = session.device_id;
  op.session = session.session_id;
  const CommitResult result = commit({EndSessions{"ann", session.device_id, false, now()}, op});
  EXPECT_EQ(result.answers[1].code(), Code::kUnauthenticated);
  EXPECT_EQ(members(), "ann owner, bob member, cid member");
  op.device_id = {};
  op.session = {};
  EXPECT_EQ(refused(op), Code::kOk) << "and left no answer behind";
}

TEST_F(GroupContract, OperationsAreKeptAsLongAsRecords) {
  const GroupOperation create = by("ann", creation({"bob"}));
  done(create);
  const auto purge = [this] { write<RecordsPurged>(PurgeRecords{{}, 10, now()}); };
  pass(std::chrono::milliseconds(limits::kDedupLifetime).count());
  purge();
  EXPECT_EQ(refused(create), Code::kOk) << "exactly that old";
  pass(1);
  purge();
  EXPECT_EQ(refused(create), Code::kAlreadyExists) << "as if it were new";
}

// ---- Members -------------------------------------------------------------------------------------------------------

TEST_F(GroupContract, WhoJoinsReadsFromThereOn) {
  make_group();
  commit({text("bob", 1, "before")});
  const wire::GroupChanged added = done("ann", AddMembers{{"dan"}});
  EXPECT_EQ(added.seq(), 3u);
  EXPECT_EQ(appended_.at(0).followers.size(), 4u);
  commit({text("bob", 2, "after")});
  const auto items = read("dan", conversation_);
  ASSERT_EQ(items.size(), 3u);
  EXPECT_EQ(items[0].skip_reason(), wire::SKIP_REASON_BEFORE_JOINING);
  EXPECT_EQ(items[0].seq(), 2u);
  EXPECT_EQ(items[1].roster().conversation_kind(), wire::CONVERSATION_KIND_GROUP);
  EXPECT_EQ(items[1].roster().changes(0).user_id(), "dan");
  EXPECT_EQ(items[1].roster().group().name(), "name");
  EXPECT_EQ(text_of(items[2]), "after");
  EXPECT_EQ(news("dan").conversation().conversation_id(), conversation_.value);
}

TEST_F(GroupContract, WhereThereIsAHistoryWhoJoinsReadsAllOfIt) {
  make_group(true);
  commit({text("bob", 1, "before"), AdvanceMarks{"cid", conversation_, 0, 2, 2, now()}});
  done("ann", AddMembers{{"dan"}});
  const auto items = read("dan", conversation_);
  ASSERT_EQ(items.size(), 3u);
  EXPECT_EQ(text_of(items[1]), "before");
  EXPECT_EQ(reader().marks_after("dan", conversation_, 0, 10)->size(), 2u);
  EXPECT_EQ(code(AdvanceMarks{"dan", conversation_, 0, 3, 3, now()}), Code::kOk);
}

TEST_F(GroupContract, WhoIsInItAlreadyIsPassedOver) {
  make_group();
  EXPECT_EQ(done("ann", AddMembers{{"bob"}}).seq(), 0u);
  EXPECT_TRUE(appended_.empty());
  done("ann", AddMembers{{"bob", "dan"}});
  EXPECT_EQ(parse(appended_.at(0).item).roster().changes_size(), 1);
  members_max_ = 10;
  EXPECT_EQ(refused("ann", AddMembers{{"eve", "nobody"}}), Code::kNotFound);
  EXPECT_EQ(members(), "ann owner, bob member, cid member, dan member");
}

TEST_F(GroupContract, WhoIsRemovedHearsOfThatAndOfNothingAfterIt) {
  make_group();
  commit({text("bob", 1)});
  const std::uint64_t before = reader().followed("cid", {})->back().marks_revision;
  const wire::GroupChanged removed = done("ann", RemoveMember{"cid"});
  ASSERT_EQ(appended_.size(), 2u);
  EXPECT_EQ(appended_[0].followers.size(), 3u) << "cid too";
  EXPECT_EQ(parse(appended_[0].item).roster().actor_user_id(), "ann");
  EXPECT_FALSE(parse(appended_[0].item).roster().changes(0).joined());
  const wire::Item left = news("cid");
  EXPECT_EQ(left.kind(), wire::ITEM_KIND_CONVERSATION_LEFT);
  EXPECT_EQ(left.left().conversation_id(), conversation_.value);
  EXPECT_EQ(left.left().reason(), wire::LEFT_REASON_REMOVED);
  EXPECT_EQ(left.left().actor_user_id(), "ann");
  EXPECT_EQ(left.left().seq(), removed.seq());

  const CommitResult after = commit({text("bob", 2, "secret"), AdvanceMarks{"bob", conversation_, 0, 4, 4, now()}});
  for (const AppendedItem& item : after.appended) EXPECT_EQ(item.followers, (std::vector<UserId>{"ann", "bob"}));
  ASSERT_EQ(after.moved.size(), 1u);
  EXPECT_EQ(after.moved[0].followers, (std::vector<UserId>{"ann", "bob"}));
  EXPECT_EQ(last_item("cid").seq(), removed.seq());
  EXPECT_TRUE(reader().marks_after("cid", conversation_, 0, 10)->empty());
  const auto followed = reader().followed("cid", {});
  EXPECT_EQ(followed->back().head, removed.seq());
  EXPECT_EQ(followed->back().marks_revision, before);
  EXPECT_EQ(code(text("cid", 1)), Code::kForbidden);
  EXPECT_EQ(code(AdvanceMarks{"cid", conversation_, 0, 4, 4, now()}), Code::kNotFound);
  EXPECT_EQ(members("cid"), "forbidden");
  EXPECT_EQ(reader().group("cid", group_id()).code(), Code::kForbidden);
  EXPECT_EQ(members("dan"), "not_found") << "who never was in it does not even hear that it is there";
  EXPECT_EQ(code(text("dan", 1)), Code::kNotFound);
}

TEST_F(GroupContract, MarksOfOneBatchGoToThoseWhoAreInItThen) {
  make_group();
  commit({text("bob", 1)});
  const CommitResult result =
      commit({AdvanceMarks{"ann", conversation_, 0, 1, 0, now()}, by("ann", RemoveMember{"cid"}),
              AdvanceMarks{"bob", conversation_, 0, 2, 0, now()}});
  ASSERT_EQ(result.moved.size(), 2u);
  EXPECT_EQ(result.moved[0].followers.size(), 3u);
  EXPECT_EQ(result.moved[1].followers, (std::vector<UserId>{"ann", "bob"}));
  ASSERT_EQ(result.moved[1].advances.size(), 1u);
  EXPECT_EQ(result.moved[1].advances[0].user_id, "bob");
}

TEST_F(GroupContract, AMessageBehindTheRemovalInABatchIsRefused) {
  make_group();
  const CommitResult result = commit({text("cid", 1), by("ann", RemoveMember{"cid"}), text("cid", 2)});
  EXPECT_EQ(result.answers[0].code(), Code::kOk);
  EXPECT_EQ(result.answers[2].code(), Code::kForbidden);
  EXPECT_EQ(code(text("cid", 1)), Code::kOk) << "a repeat gets its first answer";
}

TEST_F(GroupContract, WhoComesBackReadsNothingOfBetween) {
  make_group();
  done("cid", RemoveMember{"cid"});
  EXPECT_EQ(news("cid").left().reason(), wire::LEFT_REASON_LEFT);
  commit({text("bob", 1, "between"), AdvanceMarks{"bob", conversation_, 0, 3, 3, now()}});
  done("ann", AddMembers{{"cid"}});
  commit({text("bob", 2, "after")});
  const auto items = read("cid", conversation_);
  ASSERT_EQ(items.size(), 5u);
  EXPECT_EQ(items[2].skip_reason(), wire::SKIP_REASON_BEFORE_JOINING);
  EXPECT_EQ(items[2].seq(), 3u);
  EXPECT_EQ(text_of(items[4]), "after");
  EXPECT_TRUE(reader().marks_after("cid", conversation_, 0, 10)->empty());
  EXPECT_EQ(write<Appended>(text("cid", 1)).seq, 6u);
  harness_->reopen();
  EXPECT_EQ(write<Appended>(text("cid", 2)).seq, 7u);
}

TEST_F(GroupContract, WhoRemovesIsAboveWhoGoes) {
  make_group();
  EXPECT_EQ(refused("bob", RemoveMember{"cid"}), Code::kForbidden);
  done("ann", SetMemberRole{"bob", MemberRole::kAdmin});
  done("ann", SetMemberRole{"cid", MemberRole::kAdmin});
  EXPECT_EQ(refused("bob", RemoveMember{"cid"}), Code::kForbidden) << "an admin";
  EXPECT_EQ(refused("bob", RemoveMember{"ann"}), Code::kForbidden) << "the owner";
  EXPECT_EQ(refused("bob", RemoveMember{"dan"}), Code::kNotFound);
  done("ann", SetMemberRole{"cid", MemberRole::kMember});
  EXPECT_EQ(refused("bob", RemoveMember{"cid"}), Code::kOk);
  EXPECT_EQ(refused("cid", RemoveMember{"cid"}), Code::kForbidden) << "gone already";
  EXPECT_EQ(refused("dan", RemoveMember{"dan"}), Code::kNotFound);
}

TEST_F(GroupContract, TheOwnerLeavesWhenNobodyElseIsThere) {
  make_group();
  EXPECT_EQ(refused("ann", RemoveMember{"ann"}), Code::kForbidden);
  done("bob", RemoveMember{"bob"});
  done("cid", RemoveMember{"cid"});
  EXPECT_EQ(refused("ann", RemoveMember{"ann"}), Code::kOk);
  EXPECT_EQ(members(), "forbidden");
  EXPECT_EQ(news("ann").left().reason(), wire::LEFT_REASON_LEFT);
}

// ---- Roles and rights ----------------------------------------------------------------------------------------------

TEST_F(GroupContract, RolesAreGivenByThoseWhoAreAbove) {
  make_group();
  EXPECT_EQ(refused("bob", SetMemberRole{"cid", MemberRole::kAdmin}), Code::kForbidden);
  const wire::GroupChanged given = done("ann", SetMemberRole{"bob", MemberRole::kAdmin});
  const wire::Item item = last_item("cid");
  const wire::Roster& roster = item.roster();
  EXPECT_EQ(item.seq(), given.seq());
  ASSERT_EQ(roster.changes_size(), 1);
  EXPECT_EQ(roster.changes(0).user_id(), "bob");
  EXPECT_TRUE(roster.changes(0).joined());
  EXPECT_EQ(roster.changes(0).role(), wire::GROUP_ROLE_ADMIN);
  EXPECT_EQ(roster.conversation_kind(), wire::CONVERSATION_KIND_GROUP);
  EXPECT_EQ(done("ann", SetMemberRole{"bob", MemberRole::kAdmin}).seq(), 0u) << "it is so already";
  EXPECT_EQ(refused("bob", SetMemberRole{"ann", MemberRole::kMember}), Code::kForbidden);
  EXPECT_EQ(refused("bob", SetMemberRole{"dan", MemberRole::kAdmin}), Code::kNotFound);
  EXPECT_EQ(refused("bob", SetMemberRole{"cid", MemberRole::kAdmin}), Code::kOk);
  EXPECT_EQ(refused("bob", SetMemberRole{"cid", MemberRole::kMember}), Code::kForbidden) << "an admin by now";
  EXPECT_EQ(refused("bob", SetMemberRole{"bob", MemberRole::kMember}), Code::kOk) << "steps down";
  EXPECT_EQ(refused("ann", SetMemberRole{"ann", MemberRole::kMember}), Code::kForbidden) << "an owner does not";
  harness_->reopen();
  EXPECT_EQ(members(), "ann owner, bob member, cid admin");
}

TEST_F(GroupContract, TheOwnerHandsTheGroupOver) {
  make_group();
  EXPECT_EQ(refused("bob", TransferGroup{"bob"}), Code::kForbidden);
  EXPECT_EQ(refused("ann", TransferGroup{"dan"}), Code::kNotFound);
  EXPECT_EQ(done("ann", TransferGroup{"ann"}).seq(), 0u);
  done("ann", TransferGroup{"bob"});
  EXPECT_EQ(last_item("cid").roster().changes_size(), 2);
  EXPECT_EQ(members(), "ann admin, bob owner, cid member");
  EXPECT_EQ(refused("ann", DeleteGroup{}), Code::kForbidden);
  EXPECT_EQ(refused("ann", RemoveMember{"ann"}), Code::kOk);
}

TEST_F(GroupContract, InfoAndPermissionsChangeForAll) {
  make_group();
  EXPECT_EQ(refused("bob", ChangeGroup{"new", {}, {}, {}}), Code::kForbidden);
  const wire::GroupChanged named = done("ann", ChangeGroup{"new", "about", {}, {}});
  EXPECT_EQ(last_item("bob").seq(), named.seq());
  EXPECT_EQ(last_item("bob").roster().group().name(), "new");
  EXPECT_EQ(last_item("bob").roster().changes_size(), 0);
  EXPECT_EQ(done("ann", ChangeGroup{"new", {}, {}, {}}).seq(), 0u) << "it is so already";
  GroupPermissions open;
  open.of(GroupRight::kInfo) = MemberRole::kMember;
  EXPECT_EQ(refused("bob", ChangeGroup{{}, {}, {}, open}), Code::kForbidden);
  done("ann", ChangeGroup{{}, {}, {}, open});
  EXPECT_EQ(last_item("bob").roster().group().permissions().info(), wire::GROUP_ROLE_MEMBER);
  EXPECT_EQ(last_item("bob").roster().group().permissions().roles(), wire::GROUP_ROLE_ADMIN) << "as it was";
  done("bob", ChangeGroup{{}, {}, "picture", {}});
  harness_->reopen();
  const auto view = reader().group("cid", group_id());
  EXPECT_EQ(view->group.name(), "new");
  EXPECT_EQ(view->group.description(), "about");
  EXPECT_EQ(view->group.picture(), "picture");
  EXPECT_EQ(view->permissions.of(GroupRight::kInfo), MemberRole::kMember);
}

TEST_F(GroupContract, NobodyMovesAPermissionAboveTheOwnRole) {
  make_group();
  done("ann", SetMemberRole{"bob", MemberRole::kAdmin});
  GroupPermissions owners;
  owners.of(GroupRight::kInvite) = MemberRole::kOwner;
  EXPECT_EQ(refused("bob", ChangeGroup{{}, {}, {}, owners}), Code::kForbidden) << "to above";
  done("ann", ChangeGroup{{}, {}, {}, owners});
  GroupPermissions members;
  members.of(GroupRight::kInvite) = MemberRole::kMember;
  EXPECT_EQ(refused("bob", ChangeGroup{{}, {}, {}, members}), Code::kForbidden) << "from above";
  members.of(GroupRight::kInvite) = MemberRole::kNone;
  members.of(GroupRight::kAdd) = MemberRole::kMember;
  EXPECT_EQ(refused("bob", ChangeGroup{{}, {}, {}, members}), Code::kOk);
  EXPECT_EQ(refused("cid", AddMembers{{"dan"}}), Code::kOk) << "the right holds at once";
}

TEST_F(GroupContract, WhatIsTheOwnersIsNoAdmins) {
  make_group();
  done("ann", SetMemberRole{"bob", MemberRole::kAdmin});
  GroupPermissions owners;
  owners.of(GroupRight::kRemove) = owners.of(GroupRight::kRoles) = owners.of(GroupRight::kPermissions) =
      MemberRole::kOwner;
  done("ann", ChangeGroup{{}, {}, {}, owners});
  GroupPermissions open;
  open.of(GroupRight::kAdd) = MemberRole::kMember;
  EXPECT_EQ(refused("bob", RemoveMember{"cid"}), Code::kForbidden);
  EXPECT_EQ(refused("bob", SetMemberRole{"cid", MemberRole::kAdmin}), Code::kForbidden);
  EXPECT_EQ(refused("bob", ChangeGroup{{}, {}, {}, open}), Code::kForbidden);
  EXPECT_EQ(refused("bob", SetMemberRole{"bob", MemberRole::kMember}), Code::kOk) << "steps down all the same";
  EXPECT_EQ(members(), "ann owner, bob member, cid member");
}

TEST_F(GroupContract, WhoMayWriteIsJudgedAtTheMessage) {
  make_group();
  GroupPermissions quiet;
  quiet.of(GroupRight::kSend) = MemberRole::kAdmin;
  const CommitResult result = commit({text("bob", 1), by("ann", ChangeGroup{{}, {}, {}, quiet}), text("bob", 2)});
  EXPECT_EQ(result.answers[0].code(), Code::kOk);
  EXPECT_EQ(result.answers[2].code(), Code::kForbidden);
  EXPECT_EQ(code(text("bob", 1)), Code::kOk) << "a repeat";
  EXPECT_EQ(code(text("ann", 1)), Code::kOk);
  AppendMessage reaction = text("bob", 2);
  reaction.right.reset();
  EXPECT_EQ(code(reaction), Code::kOk) << "what takes no right";
  AppendMessage pin = text("bob", 3);
  pin.right = GroupRight::kPin;
  EXPECT_EQ(code(pin), Code::kOk);
  harness_->reopen();
  EXPECT_EQ(code(text("bob", 4)), Code::kForbidden);
  done("ann", SetMemberRole{"bob", MemberRole::kAdmin});
  EXPECT_EQ(code(text("bob", 4)), Code::kOk);
}

TEST_F(GroupContract, AGroupIsWrittenToByItsGroupId) {
  make_group();
  AppendMessage op = text("bob", 1);
  op.target = {{}, {}, group_id()};
  const auto first = write<Appended>(op);
  EXPECT_EQ(first.conversation_id, conversation_);
  op.target = to_conversation(conversation_);
  EXPECT_TRUE(write<Appended>(op).repeated) << "the same message, whichever way its target is named";
  op.target = {{}, {}, group_id('x')};
  op.client_message_id = client_id(4'242);
  EXPECT_EQ(code(op), Code::kNotFound);
  EXPECT_EQ(code(void_of(op)), Code::kNotFound);
}

TEST_F(GroupContract, AnEncryptedMessageIsForbiddenInAPlainGroup) {
  make_group();
  AppendMessage op = text("bob", 1);
  op.content.clear();
  op.right.reset();
  auto parts = std::make_shared<EncryptedParts>();
  parts->slices = {{device_of("ann"), "slice"}};
  parts->own_list_version = parts->peer_list_version = parts->counter = 1;
  op.encrypted = parts;
  EXPECT_EQ(code(op), Code::kForbidden);
  op.target = {{}, {}, group_id('x')};
  EXPECT_EQ(code(op), Code::kNotFound);
}

TEST_F(GroupContract, ADeletedGroupIsOverForAll) {
  make_group();
  done("ann", CreateInvitation{invitation_id()});
  commit({text("bob", 1)});
  EXPECT_EQ(refused("bob", DeleteGroup{}), Code::kForbidden);
  const wire::GroupChanged deleted = done("ann", DeleteGroup{});
  for (const char* user : {"ann", "bob", "cid"}) {
    EXPECT_EQ(last_item(user).seq(), deleted.seq());
    EXPECT_EQ(last_item(user).roster().changes_size(), 3);
    EXPECT_EQ(news(user).left().reason(), wire::LEFT_REASON_DELETED);
    EXPECT_EQ(code(text(user, 2)), Code::kForbidden);
    EXPECT_EQ(members(user), "forbidden");
    EXPECT_EQ(read(user, conversation_).size(), 3u) << "what was said stays";
  }
  EXPECT_EQ(refused("ann", AddMembers{{"dan"}}), Code::kForbidden);
  EXPECT_EQ(refused("dan", JoinGroup{invitation_id()}), Code::kNotFound);
}

// ---- Reads ---------------------------------------------------------------------------------------------------------

TEST_F(GroupContract, MembersComeInPages) {
  members_max_ = 5;
  done("ann", creation({"eve", "bob", "dan", "cid"}));
  auto page = reader().group_members("bob", group_id(), {}, 2);
  ASSERT_EQ(page->members.size(), 2u);
  EXPECT_EQ(page->members[0].user_id, "ann");
  EXPECT_EQ(page->members[1].user_id, "bob");
  EXPECT_EQ(page->head, 1u);
  EXPECT_TRUE(page->more);
  page = reader().group_members("bob", group_id(), "bob", 3);
  ASSERT_EQ(page->members.size(), 3u);
  EXPECT_EQ(page->members[2].user_id, "eve");
  EXPECT_FALSE(page->more);
  EXPECT_TRUE(reader().group_members("bob", group_id(), "eve", 3)->members.empty());
}

TEST_F(GroupContract, ReceiptsAreOfEachMember) {
  make_group();
  commit({text("ann", 1)});
  const CommitResult result =
      commit({AdvanceMarks{"bob", conversation_, 0, 2, 2, now()}, AdvanceMarks{"cid", conversation_, 0, 2, 0, now()}});
  ASSERT_EQ(result.moved.size(), 1u);
  EXPECT_EQ(result.moved[0].followers.size(), 3u);
  EXPECT_EQ(result.moved[0].advances.size(), 3u);
  done("ann", AddMembers{{"dan"}});
  commit({text("ann", 2), AdvanceMarks{"dan", conversation_, 2, 4, 4, now()}});
  EXPECT_EQ(reader().marks_after("dan", conversation_, 0, 10)->size(), 2u) << "of dan alone";
  EXPECT_EQ(reader().marks_after("bob", conversation_, 0, 10)->size(), 5u);
}

TEST_F(GroupContract, AThousandMembersAreOneGroup) {
  members_max_ = limits::groups::kMembersMax;
  std::vector<WriteOp> ops;
  std::vector<UserId> users;
  for (std::size_t i = 1; i < limits::groups::kMembersMax; ++i) {
    users.push_back("member" + std::to_string(i));
    ops.emplace_back(CreateAccount{account(users.back())});
  }
  commit(std::move(ops));
  conversation_ = ConversationId{done("ann", creation(users)).conversation_id()};
  const CommitResult result = commit({text("ann", 1)});
  EXPECT_EQ(result.appended.size(), 1u) << "one row, whoever reads it";
  EXPECT_EQ(result.appended[0].followers.size(), limits::groups::kMembersMax);
  EXPECT_EQ(refused("ann", AddMembers{{"bob"}}), Code::kLimitReached);
  EXPECT_EQ(reader().group("member7", group_id())->members, limits::groups::kMembersMax);
}

}  // namespace
}  // namespace chatsdk::server
