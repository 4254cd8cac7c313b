// SPDX-License-Identifier: Apache-2.0
//
// Groups of which not all is told by items: who asks the server, when, and what becomes of the answers. And what is
// sent in a group.
#include <gmock/gmock.h>

#include "protocol/groups.pb.h"
#include "unit/engine/engine_world.h"

namespace chatsdk::test {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr const char* kGroupHex = "67676767676767676767676767676767";

class GroupsTest : public EngineWorld {
 protected:
  static wire::Item joined(Seq seq, const std::vector<std::string>& users, const std::string& actor = "bob") {
    wire::Item item;
    item.set_seq(seq);
    item.set_kind(wire::ITEM_KIND_ROSTER);
    item.set_time_ms(1'700'000'000'000);
    wire::Roster& roster = *item.mutable_roster();
    roster.set_conversation_kind(wire::CONVERSATION_KIND_GROUP);
    roster.set_actor_user_id(actor);
    roster.mutable_group()->set_group_id(Bytes(16, 'g'));
    roster.mutable_group()->set_name("Climbing");
    for (const std::string& user : users) {
      auto& change = *roster.add_changes();
      change.set_user_id(user);
      change.set_joined(true);
      change.set_role(wire::GROUP_ROLE_MEMBER);
    }
    return item;
  }
  static wire::Item before_joining(Seq seq) {
    wire::Item item;
    item.set_seq(seq);
    item.set_kind(wire::ITEM_KIND_SKIP);
    item.set_skip_reason(wire::SKIP_REASON_BEFORE_JOINING);
    return item;
  }
  static wire::GroupInfo info(Seq seq, std::uint64_t conversation = kConversation) {
    wire::GroupInfo info;
    info.mutable_group()->set_group_id(Bytes(16, 'g'));
    info.mutable_group()->set_name("Climbing");
    info.set_conversation_id(conversation);
    info.set_seq(seq);
    info.set_role(wire::GROUP_ROLE_MEMBER);
    return info;
  }
  static wire::GroupMembers page(Seq seq, const std::vector<std::string>& users, bool more = false) {
    wire::GroupMembers page;
    for (const std::string& user : users) {
      auto& member = *page.add_members();
      member.set_user_id(user);
      member.set_role(wire::GROUP_ROLE_MEMBER);
    }
    page.set_seq(seq);
    page.set_more(more);
    return page;
  }
  void come_late() { deliver_and_run(items_frame(kConversation, 0, {before_joining(4), joined(5, {"alice"})})); }
  ConversationKey group() { return reader_->conversation_by_id(ConversationId{kConversation}).value(); }
  std::vector<std::string> members() {
    std::vector<std::string> users;
    const auto found = reader_->members(group(), {}, 200);
    EXPECT_TRUE(found.ok());
    for (const group::Member& member : found->rows) users.push_back(member.user_id);
    if (!found->known) users.emplace_back("?");
    return users;
  }
  // Requests whose URL ends in this, so far.
  std::vector<HttpClient::RequestId> asked(const std::string& what = {}) const {
    return http_.requests("GET /v1/groups/" + std::string(kGroupHex) + what);
  }
  void answer(HttpClient::RequestId request, Result<HttpResponse> response) {
    http_.answer(request, std::move(response));
    run();
  }
};

TEST_F(GroupsTest, WhoComesLateAsksForTheMembersPageByPage) {
  go_online();
  come_late();
  ASSERT_EQ(asked().size(), 1u);
  EXPECT_EQ(http_.exchange(asked()[0]).request.headers.at("authorization"), "Bearer access-0");
  EXPECT_THAT(members(), ElementsAre("alice", "?"));

  answer(asked()[0], protobuf_response(info(5)));
  ASSERT_EQ(asked("/members?max=500").size(), 1u);
  answer(asked("/members?max=500")[0], protobuf_response(page(5, {"alice", "bo b/"}, true)));
  ASSERT_EQ(asked("/members?max=500&after=bo%20b%2F").size(), 1u);
  answer(asked("/members?max=500&after=bo%20b%2F")[0], protobuf_response(page(5, {"cid"})));

  EXPECT_THAT(members(), ElementsAre("alice", "bo b/", "cid"));
  EXPECT_THAT(sink_.last_changes.members, ElementsAre(group()));
  EXPECT_EQ(asked().size(), 1u);
}

TEST_F(GroupsTest, WhoWasThereFromTheBeginningAsksForNothing) {
  go_online();
  deliver_and_run(items_frame(kConversation, 0, {joined(1, {"alice", "bob"})}));
  EXPECT_THAT(members(), ElementsAre("alice", "bob"));
  EXPECT_THAT(asked(), IsEmpty());
}

TEST_F(GroupsTest, NothingIsAskedBeforeAllIsCaughtUp) {
  auto_caught_up_ = false;
  go_online();
  come_late();
  EXPECT_THAT(asked(), IsEmpty());
  deliver_and_run(caught_up_frame(0));
  EXPECT_EQ(asked().size(), 1u);
}

TEST_F(GroupsTest, WhatWasNotAnsweredIsAskedAgain) {
  go_online();
  come_late();
  answer(asked()[0], problem_response(503, Code::kUnavailable));
  EXPECT_EQ(asked().size(), 1u);
  advance(limits::kBackoffBase);
  ASSERT_EQ(asked().size(), 2u);
  answer(asked()[1], protobuf_response(info(5)));
  answer(asked("/members?max=500")[0], problem_response(429, Code::kRateLimited, 2'000));
  advance(1'999ms);
  EXPECT_EQ(asked().size(), 2u);
  advance(1'001ms + limits::kBackoffCap);
  EXPECT_EQ(asked().size(), 3u);

  drop();
  advance(limits::kBackoffCap);
  EXPECT_EQ(client_->connection_state(), ConnectionState::kOnline);
  EXPECT_EQ(asked().size(), 4u);
}

TEST_F(GroupsTest, WhatIsRefusedIsNotAskedForAgainOnTheConnection) {
  go_online();
  come_late();
  answer(asked()[0], problem_response(403, Code::kForbidden));
  deliver_and_run(items_frame(kConversation, 5, {message_item(6, "to all")}));
  advance(limits::kBackoffCap);
  EXPECT_EQ(asked().size(), 1u);
  EXPECT_EQ(client_->connection_state(), ConnectionState::kOnline);

  drop();
  advance(limits::kBackoffCap);
  EXPECT_EQ(asked().size(), 2u);
}

TEST_F(GroupsTest, AnAnswerOfAnotherGroupIsNone) {
  go_online();
  come_late();
  wire::GroupInfo another = info(9);
  another.mutable_group()->set_group_id(Bytes(16, 'h'));
  another.mutable_group()->set_name("Chess");
  answer(asked()[0], protobuf_response(another));
  EXPECT_EQ(reader_->conversation(group())->group->info.name, "Climbing");
  EXPECT_THAT(asked("/members?max=500"), IsEmpty());
}

TEST_F(GroupsTest, APageThatGoesBackIsNone) {
  go_online();
  come_late();
  answer(asked()[0], protobuf_response(info(5)));
  answer(asked("/members?max=500")[0], protobuf_response(page(5, {"alice", "bob"}, true)));
  answer(asked("/members?max=500&after=bob")[0], protobuf_response(page(5, {"bob"}, true)));
  EXPECT_EQ(asked("/members?max=500&after=bob").size(), 1u);
  EXPECT_THAT(members(), ElementsAre("alice", "bob", "?"));
}

TEST_F(GroupsTest, AnAnswerAfterTheConnectionHasEndedSaysNothing) {
  go_online();
  come_late();
  const auto request = asked()[0];
  client_->stop();
  run();
  EXPECT_TRUE(http_.exchange(request).cancelled);
  client_->start();
  run();
  EXPECT_EQ(asked().size(), 2u);
}

// ---- Sending -------------------------------------------------------------------------------------------------------

TEST_F(GroupsTest, AMessageGoesToTheGroup) {
  go_online();
  deliver_and_run(items_frame(kConversation, 0, {joined(1, {"alice", "bob"})}));
  ASSERT_TRUE(client_->send_text(group(), "to all", {}).ok());
  run();
  ASSERT_EQ(sends().size(), 1u);
  EXPECT_EQ(sends()[0].conversation_id(), kConversation);
  EXPECT_EQ(text_of(sends()[0]), "to all");
}

TEST_F(GroupsTest, AClientThatEncryptsSendsOncePlainIsAccepted) {
  open_encryption();
  go_online();
  deliver_and_run(items_frame(kConversation, 0, {joined(1, {"alice", "bob"}), message_item(2, "hello")}));
  EXPECT_EQ(client_->send_text(group(), "to all", {}).code(), Code::kWrongState);
  EXPECT_EQ(client_->accept_plain(ConversationKey{99}).code(), Code::kNotFound);

  ASSERT_TRUE(client_->accept_plain(group()).ok());
  ASSERT_TRUE(client_->send_text(group(), "to all", {}).ok());
  run();
  ASSERT_EQ(sends().size(), 1u);
  EXPECT_EQ(text_of(sends()[0]), "to all");
  EXPECT_TRUE(reader_->conversation(group())->accepted_plain);
}

TEST_F(GroupsTest, WithoutTheConversationsIdAMessageGoesToTheGroupsOwn) {
  go_online();
  deliver_and_run(items_frame(kConversation, 0, {joined(1, {"alice", "bob"})}));
  const ConversationKey key = group();
  epoch_ = kEpoch + 1;
  drop();
  advance(limits::kBackoffCap);
  ASSERT_TRUE(client_->send_text(key, "to all", {}).ok());
  run();
  ASSERT_EQ(sends().size(), 1u);
  EXPECT_EQ(sends()[0].group_id(), Bytes(16, 'g'));
}

TEST_F(GroupsTest, WhoHasGoneSendsNothing) {
  go_online();
  wire::Item gone = joined(2, {"alice"});
  gone.mutable_roster()->mutable_changes(0)->set_joined(false);
  deliver_and_run(items_frame(kConversation, 0, {joined(1, {"alice", "bob"}), gone}));
  EXPECT_EQ(client_->send_text(group(), "to nobody", {}).code(), Code::kForbidden);
  EXPECT_EQ(reader_->outbox_count().value(), 0u);
}

}  // namespace
}  // namespace chatsdk::test
