// SPDX-License-Identifier: Apache-2.0
//
// What the user does to groups: kept, shown, asked for once, and told.
#include <gmock/gmock.h>

#include "protocol/groups.pb.h"
#include "unit/engine/engine_world.h"

namespace chatsdk::test {
namespace {

using namespace std::chrono_literals;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class TellingSink final : public EventSink {
 public:
  void on_changes(const Changes& changes) override {
    conversations.insert(conversations.end(), changes.conversations.begin(), changes.conversations.end());
    members.insert(members.end(), changes.members.begin(), changes.members.end());
  }
  void on_connection(ConnectionState, const Error&, std::chrono::milliseconds) override {}
  void on_session_ended(const Error&) override {}
  void on_completed(RequestId, const Status&) override {}
  void on_devices(RequestId, const std::vector<DeviceInfo>&) override {}
  void on_operation_ended(const DeviceStore::EndedOperation& ended) override { all.push_back(ended); }
  std::vector<DeviceStore::EndedOperation> all;
  std::vector<ConversationKey> conversations;  // of which something is another than before
  std::vector<ConversationKey> members;        // of whose members
};

class OperationsTest : public EngineWorld {
 protected:
  void make_client_that_tells() {
    ClientSeams seams{executor_, RandomStreams{random_, random_, random_}, transport_, http_, log_};
    client_ = std::make_unique<Client>(options_, seams, *store_, told_, nullptr);
  }
  void start_online() {
    if (auto session = store_->session(); session.ok() && !session->has_value()) have_session();
    if (client_ == nullptr) make_client_that_tells();
    go_online();
  }
  // A group of alice's, and its creation.
  Client::NewGroup create(std::vector<UserId> members = {"bob"}) {
    group::Info info;
    info.name = "Climbing";
    auto made = client_->create_group(info, members);
    EXPECT_TRUE(made.ok()) << made.error().detail;
    run();
    return made.ok() ? *made : Client::NewGroup();
  }
  std::vector<HttpClient::RequestId> asked(const std::string& what) const { return http_.requests(what); }
  static HttpResponse done(Seq seq = 0, std::uint64_t conversation = kConversation) {
    wire::GroupChanged changed;
    changed.set_conversation_id(conversation);
    changed.set_seq(seq);
    return protobuf_response(changed);
  }
  void answer(HttpClient::RequestId request, Result<HttpResponse> response) {
    http_.answer(request, std::move(response));
    run();
  }
  GroupRow row(ConversationKey group) { return *reader_->conversation(group).value().group; }
  std::string name(ConversationKey group) { return row(group).info.name; }
  std::vector<std::string> members(ConversationKey group) {
    std::vector<std::string> shown;
    const auto page = reader_->members(group, {}, 200).value();
    for (const group::Member& member : page.rows) {
      shown.push_back(member.user_id + ":" + std::to_string(static_cast<int>(member.role)));
    }
    EXPECT_EQ(row(group).members, shown.size());
    return shown;
  }
  wire::Item roster(Seq seq, const std::vector<std::pair<std::string, wire::GroupRole>>& changes,
                    const std::string& named = "Climbing") {
    wire::Item item;
    item.set_seq(seq);
    item.set_kind(wire::ITEM_KIND_ROSTER);
    item.set_time_ms(1'700'000'000'000);
    wire::Roster& roster = *item.mutable_roster();
    roster.set_conversation_kind(wire::CONVERSATION_KIND_GROUP);
    roster.set_actor_user_id("alice");
    roster.mutable_group()->set_group_id(group_id_);
    roster.mutable_group()->set_name(named);
    for (const auto& [user, role] : changes) {
      auto& change = *roster.add_changes();
      change.set_user_id(user);
      change.set_joined(role != wire::GROUP_ROLE_UNSPECIFIED);
      change.set_role(role);
    }
    return item;
  }
  // One that is made, and whose first item has come.
  ConversationKey made_group() {
    const auto made = create();
    answer(asked("POST /v1/groups").back(), done(1));
    group_id_ = Bytes(row(made.conversation).info.id.view());
    deliver_and_run(items_frame(kConversation, 0,
                                {roster(1, {{"alice", wire::GROUP_ROLE_OWNER}, {"bob", wire::GROUP_ROLE_MEMBER}})}));
    EXPECT_TRUE(client_->operations_taken({made.operation}).ok());
    told_.all.clear();
    path_ = "/v1/groups/" + to_hex(group_id_);
    return made.conversation;
  }
  std::uint64_t must(Result<std::uint64_t> operation) {
    EXPECT_TRUE(operation.ok()) << operation.error().detail;
    run();
    return operation.ok() ? *operation : 0;
  }

  TellingSink told_;
  Bytes group_id_;
  std::string path_;
};

TEST_F(OperationsTest, AGroupIsThereBeforeTheServerKnows) {
  have_session();
  make_client_that_tells();
  const auto made = create({"bob", "cid"});

  EXPECT_EQ(name(made.conversation), "Climbing");
  EXPECT_THAT(members(made.conversation), ElementsAre("alice:3", "bob:1", "cid:1"));
  EXPECT_EQ(row(made.conversation).role, group::Role::kOwner);
  EXPECT_TRUE(row(made.conversation).members_known);
  EXPECT_TRUE(reader_->conversation(made.conversation)->accepted_plain);
  EXPECT_THAT(asked("POST /v1/groups"), IsEmpty());  // there is no connection

  go_online();
  ASSERT_THAT(asked("POST /v1/groups"), SizeIs(1));
  const HttpRequest& request = http_.exchange(asked("POST /v1/groups")[0]).request;
  EXPECT_EQ(request.headers.at("authorization"), "Bearer access-0");
  EXPECT_EQ(request.headers.at("content-type"), kProtobufType);
  EXPECT_EQ(request.headers.at("operation-id").size(), 32u);
  wire::CreateGroupRequest body;
  ASSERT_TRUE(body.ParseFromString(request.body));
  EXPECT_EQ(body.group_id(), row(made.conversation).info.id.view());
  EXPECT_THAT(body.user_ids(), ElementsAre("bob", "cid"));

  EXPECT_FALSE(store_->all_told().value());
  answer(asked("POST /v1/groups")[0], done(1));
  EXPECT_TRUE(store_->all_told().value());
  ASSERT_THAT(told_.all, SizeIs(1));
  EXPECT_EQ(told_.all[0].number, made.operation);
  EXPECT_EQ(told_.all[0].conversation, made.conversation);
  EXPECT_EQ(told_.all[0].status.code, Code::kOk);
  EXPECT_EQ(reader_->conversation(made.conversation)->conversation_id, ConversationId{kConversation});
}

TEST_F(OperationsTest, WhatIsWrittenWaitsUntilTheGroupIsMade) {
  start_online();
  const auto made = create();
  ASSERT_TRUE(client_->send_text(made.conversation, "to all", {}).ok());
  advance(1s);
  EXPECT_THAT(sends(), IsEmpty());

  answer(asked("POST /v1/groups")[0], done(1));

  ASSERT_THAT(sends(), SizeIs(1));
  EXPECT_EQ(sends()[0].conversation_id(), kConversation);
}

TEST_F(OperationsTest, TheFirstItemMayComeBeforeTheAnswer) {
  start_online();
  const auto made = create();
  group_id_ = Bytes(row(made.conversation).info.id.view());
  deliver_and_run(items_frame(kConversation, 0,
                              {roster(1, {{"alice", wire::GROUP_ROLE_OWNER}, {"bob", wire::GROUP_ROLE_MEMBER}})}));
  EXPECT_THAT(reader_->conversations({}, 10)->rows, SizeIs(1));
  EXPECT_THAT(members(made.conversation), ElementsAre("alice:3", "bob:1"));

  answer(asked("POST /v1/groups")[0], done(1));

  EXPECT_THAT(reader_->conversations({}, 10)->rows, SizeIs(1));
  EXPECT_THAT(told_.all, SizeIs(1));
}

TEST_F(OperationsTest, AGroupThatIsRefusedIsNotMade) {
  start_online();
  const auto made = create();
  const auto sent = client_->send_text(made.conversation, "to nobody", {});
  ASSERT_TRUE(sent.ok());

  answer(asked("POST /v1/groups")[0], problem_response(404, Code::kNotFound));

  ASSERT_THAT(told_.all, SizeIs(1));
  EXPECT_EQ(told_.all[0].status.code, Code::kNotFound);
  EXPECT_EQ(row(made.conversation).standing, GroupStanding::kNotMade);
  EXPECT_EQ(row(made.conversation).role, group::Role::kNone);
  EXPECT_EQ(state(sent->id), MessageState::kFailed);
  EXPECT_EQ(this->EngineWorld::row(sent->id).failure, Code::kForbidden);
  EXPECT_EQ(client_->send_text(made.conversation, "again", {}).code(), Code::kForbidden);
  EXPECT_EQ(client_->leave_group(made.conversation).code(), Code::kForbidden);
  advance(limits::kBackoffCap);
  EXPECT_THAT(asked("POST /v1/groups"), SizeIs(1));
}

TEST_F(OperationsTest, AnAnswerThatWasLostIsAskedForUnderTheSameId) {
  start_online();
  create();
  const HttpRequest first = http_.exchange(asked("POST /v1/groups")[0]).request;
  answer(asked("POST /v1/groups")[0], error(Code::kNetwork, "lost"));
  EXPECT_THAT(asked("POST /v1/groups"), SizeIs(1));
  advance(limits::kBackoffBase);
  ASSERT_THAT(asked("POST /v1/groups"), SizeIs(2));
  // And so by the next client of the store.
  client_.reset();
  restart();
  make_client_that_tells();
  go_online();
  ASSERT_THAT(asked("POST /v1/groups"), SizeIs(3));
  for (const auto id : asked("POST /v1/groups")) {
    EXPECT_EQ(http_.exchange(id).request.headers.at("operation-id"), first.headers.at("operation-id"));
    EXPECT_EQ(http_.exchange(id).request.body, first.body);
  }
  EXPECT_THAT(told_.all, IsEmpty());
}

TEST_F(OperationsTest, OnlyAWordOnTheRequestIsARefusal) {
  start_online();
  create();
  const Error portal = {Code::kForbidden, "not of the server", {}, 0, {}};
  const std::vector<Result<HttpResponse>> no_refusals = {
      Result<HttpResponse>(portal), Result<HttpResponse>(problem_response(503, Code::kUnavailable)),
      Result<HttpResponse>(problem_response(429, Code::kRateLimited, 100)),
      Result<HttpResponse>(HttpResponse{403, {{"content-type", "text/html"}}, "log in"}),
      Result<HttpResponse>(HttpResponse{200, {{"content-type", "text/html"}}, "log in"})};
  for (const auto& response : no_refusals) {
    answer(asked("POST /v1/groups").back(), response);
    EXPECT_THAT(told_.all, IsEmpty());
    advance(limits::kBackoffCap);
  }
  EXPECT_THAT(asked("POST /v1/groups"), SizeIs(1 + no_refusals.size()));
}

TEST_F(OperationsTest, OfOneGroupTheyGoOneAfterTheOther) {
  start_online();
  const ConversationKey group = made_group();
  const auto another = create({});
  group::Changes changes;
  changes.name = "Bouldering";
  must(client_->change_group(group, changes));
  must(client_->add_members(group, {"cid"}));
  ASSERT_THAT(asked("POST /v1/groups"), SizeIs(2));
  EXPECT_THAT(asked("PATCH " + path_), IsEmpty());
  // Those of another group are not held up by one that has to wait.
  answer(asked("POST /v1/groups")[1], problem_response(429, Code::kRateLimited, 60'000));
  ASSERT_THAT(asked("PATCH " + path_), SizeIs(1));
  EXPECT_THAT(asked("POST " + path_ + "/members"), IsEmpty());
  answer(asked("PATCH " + path_)[0], done(2));
  ASSERT_THAT(asked("POST " + path_ + "/members"), SizeIs(1));
  answer(asked("POST " + path_ + "/members")[0], done(3));
  EXPECT_THAT(told_.all, SizeIs(2));
  static_cast<void>(another);
}

// Each kind: what is shown at once, what is asked for, and that a refusal takes it back.
TEST_F(OperationsTest, WhatIsRefusedIsShownNoMore) {
  start_online();
  const ConversationKey group = made_group();
  const auto shown = [&] {
    std::string all = name(group) + " " + std::to_string(static_cast<int>(row(group).standing));
    for (const std::string& member : members(group)) all += " " + member;
    return all;
  };
  const std::string before = shown();
  EXPECT_EQ(before, "Climbing 0 alice:3 bob:1");
  group::Changes renamed;
  renamed.name = "Bouldering";
  struct Case {
    std::function<Result<std::uint64_t>()> act;
    std::string request;
    std::string shown;
  };
  const Case cases[] = {
      {[&] { return client_->change_group(group, renamed); }, "PATCH " + path_, "Bouldering 0 alice:3 bob:1"},
      {[&] {
         return client_->add_members(group, {"aaron", "cid"});
       },
       "POST " + path_ + "/members", "Climbing 0 aaron:1 alice:3 bob:1 cid:1"},
      {[&] { return client_->add_members(group, {"bob"}); }, "POST " + path_ + "/members", before},
      {[&] { return client_->remove_member(group, "bob"); }, "DELETE " + path_ + "/members/bob", "Climbing 0 alice:3"},
      {[&] { return client_->set_role(group, "bob", group::Role::kAdmin); }, "PUT " + path_ + "/members/bob/role",
       "Climbing 0 alice:3 bob:2"},
      {[&] { return client_->set_owner(group, "bob"); }, "PUT " + path_ + "/owner", "Climbing 0 alice:2 bob:3"},
      {[&] { return client_->leave_group(group); }, "DELETE " + path_ + "/members/alice", "Climbing 1 bob:1"},
      {[&] { return client_->end_group(group); }, "DELETE " + path_, "Climbing 3 alice:3 bob:1"},
  };
  for (const Case& one : cases) {
    SCOPED_TRACE(one.request);
    const std::size_t asked_before = asked(one.request).size();
    const std::uint64_t operation = must(one.act());
    EXPECT_EQ(shown(), one.shown);
    ASSERT_THAT(asked(one.request), SizeIs(asked_before + 1));
    answer(asked(one.request).back(), problem_response(403, Code::kForbidden));
    EXPECT_EQ(shown(), before);
    ASSERT_FALSE(told_.all.empty());
    EXPECT_EQ(told_.all.back().number, operation);
    EXPECT_EQ(told_.all.back().status.code, Code::kForbidden);
  }
}

// The app reads members again where somebody may have come, gone or got another role, and there alone.
TEST_F(OperationsTest, OnlyWhatIsDoneToMembersTellsOfThem) {
  start_online();
  const ConversationKey group = made_group();
  const auto told_of = [&](const std::function<void()>& act) {
    told_.members.clear();
    told_.conversations.clear();
    act();
    run();
    EXPECT_THAT(told_.conversations, Contains(group));
    return !told_.members.empty();
  };
  group::Changes renamed;
  renamed.name = "Bouldering";
  EXPECT_FALSE(told_of([&] { must(client_->change_group(group, renamed)); }));
  EXPECT_FALSE(told_of([&] { answer(asked("PATCH " + path_)[0], done(2)); }));
  EXPECT_FALSE(told_of([&] { must(client_->change_group(group, renamed)); }));
  EXPECT_FALSE(told_of([&] { answer(asked("PATCH " + path_)[1], problem_response(403, Code::kForbidden)); }));
  EXPECT_TRUE(told_of([&] { must(client_->add_members(group, {"cid"})); }));
  EXPECT_TRUE(told_of([&] { answer(asked("POST " + path_ + "/members")[0], done(3)); }));
  EXPECT_TRUE(told_of([&] { must(client_->remove_member(group, "bob")); }));
  EXPECT_TRUE(
      told_of([&] { answer(asked("DELETE " + path_ + "/members/bob")[0], problem_response(403, Code::kForbidden)); }));
}

TEST_F(OperationsTest, WhatIsDoneIsShownUntilItsItemSaysSo) {
  start_online();
  const ConversationKey group = made_group();
  group::Changes renamed;
  renamed.name = "Bouldering";
  const std::uint64_t operation = must(client_->change_group(group, renamed));
  answer(asked("PATCH " + path_)[0], done(3));
  ASSERT_TRUE(client_->operations_taken({operation}).ok());
  EXPECT_EQ(name(group), "Bouldering");
  deliver_and_run(items_frame(kConversation, 1, {roster(2, {{"cid", wire::GROUP_ROLE_MEMBER}}, "Chess")}));
  EXPECT_EQ(name(group), "Bouldering");
  deliver_and_run(items_frame(kConversation, 2, {roster(3, {}, "Bouldering"), roster(4, {}, "Go")}));
  EXPECT_EQ(name(group), "Go");
  EXPECT_THAT(members(group), ElementsAre("alice:3", "bob:1", "cid:1"));
}

TEST_F(OperationsTest, WhatWasDoneOnAServerThatWasPutBackIsNotShownOverIt) {
  start_online();
  const ConversationKey group = made_group();
  group::Changes renamed;
  renamed.name = "Bouldering";
  const std::uint64_t first = must(client_->change_group(group, renamed));
  answer(asked("PATCH " + path_)[0], done(3));
  EXPECT_EQ(name(group), "Bouldering");
  // One that is still to be answered is asked for there, and shown.
  group::Changes described;
  described.description = "on Mondays";
  must(client_->change_group(group, described));
  epoch_ = kEpoch + 1;
  drop();
  advance(limits::kBackoffCap);
  EXPECT_EQ(name(group), "Climbing");
  EXPECT_EQ(row(group).info.description, "on Mondays");
  EXPECT_THAT(members(group), ElementsAre("alice:3", "bob:1"));
  EXPECT_THAT(asked("PATCH " + path_), SizeIs(3));
  // Item 3 of this history may be anything.
  deliver_and_run(items_frame(kConversation, 0,
                              {roster(1, {{"alice", wire::GROUP_ROLE_OWNER}, {"bob", wire::GROUP_ROLE_MEMBER}})}));
  EXPECT_EQ(name(group), "Climbing");
  EXPECT_EQ(row(group).info.description, "on Mondays");
  ASSERT_TRUE(client_->operations_taken({first}).ok());
  EXPECT_EQ(name(group), "Climbing");
}

TEST_F(OperationsTest, AnEndIsToldAgainUntilItIsTaken) {
  start_online();
  const auto made = create();
  answer(asked("POST /v1/groups")[0], done(1));
  EXPECT_THAT(told_.all, SizeIs(1));
  drop();
  advance(limits::kBackoffCap);
  EXPECT_THAT(told_.all, SizeIs(1));  // once by a client

  client_.reset();
  restart();
  make_client_that_tells();
  client_->tell_kept_events();
  run();
  ASSERT_THAT(told_.all, SizeIs(2));
  EXPECT_EQ(told_.all[1].number, made.operation);
  ASSERT_TRUE(client_->operations_taken({made.operation}).ok());

  client_.reset();
  restart();
  make_client_that_tells();
  client_->tell_kept_events();
  run();
  EXPECT_THAT(told_.all, SizeIs(2));
}

TEST_F(OperationsTest, AsManyAsTheLimitAreKept) {
  have_session();
  make_client_that_tells();
  const auto made = create();
  group::Changes changes;
  for (std::size_t i = 1; i < limits::groups::kOperationsMax; ++i) {
    changes.name = std::to_string(i);
    ASSERT_TRUE(client_->change_group(made.conversation, changes).ok()) << i;
  }
  EXPECT_EQ(client_->change_group(made.conversation, changes).code(), Code::kLimitReached);
  group::Info info;
  EXPECT_EQ(client_->create_group(info, {}).code(), Code::kLimitReached);
  EXPECT_THAT(reader_->conversations({}, 10)->rows, SizeIs(1));
}

TEST_F(OperationsTest, WhatIsAskedForIsCheckedFirst) {
  have_session();
  make_client_that_tells();
  const auto made = create({});
  const ConversationKey group = made.conversation;
  group::Changes changes;
  EXPECT_EQ(client_->change_group(group, changes).code(), Code::kInvalidArgument);
  changes.name = std::string(limits::groups::kNameBytesMax, 'n');
  EXPECT_TRUE(client_->change_group(group, changes).ok());
  changes.name->push_back('n');
  EXPECT_EQ(client_->change_group(group, changes).code(), Code::kTooLarge);
  changes.name = "\xff";
  EXPECT_EQ(client_->change_group(group, changes).code(), Code::kInvalidUtf8);
  changes.name.reset();
  changes.picture = Bytes(limits::groups::kPictureBytesMax + 1, 'p');
  EXPECT_EQ(client_->change_group(group, changes).code(), Code::kTooLarge);
  EXPECT_EQ(client_->add_members(group, {}).code(), Code::kInvalidArgument);
  EXPECT_EQ(client_->add_members(group, {"bob", "bob"}).code(), Code::kInvalidArgument);
  EXPECT_EQ(client_->add_members(group, {"alice"}).code(), Code::kInvalidArgument);
  std::vector<UserId> users;
  for (std::size_t i = 1; i < limits::groups::kMembersMax; ++i) users.push_back("u" + std::to_string(i));
  EXPECT_TRUE(client_->add_members(group, users).ok());
  users.emplace_back("one more");
  EXPECT_EQ(client_->add_members(group, users).code(), Code::kTooLarge);
  EXPECT_EQ(client_->remove_member(group, "alice").code(), Code::kInvalidArgument);
  EXPECT_EQ(client_->set_role(group, "bob", group::Role::kOwner).code(), Code::kInvalidArgument);
  EXPECT_TRUE(client_->set_role(group, "alice", group::Role::kMember).ok());
  EXPECT_EQ(client_->leave_group(ConversationKey{99}).code(), Code::kNotFound);
  EXPECT_EQ(client_->leave_group(bob()).code(), Code::kWrongState);
}

}  // namespace
}  // namespace chatsdk::test
