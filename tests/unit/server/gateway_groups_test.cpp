// SPDX-License-Identifier: Apache-2.0
//
// Groups at the gateway: what reaches the devices of members, of who joins while connected, and of who is removed.
//
// Threads: one.
#include <gtest/gtest.h>

#include <algorithm>

#include "protocol/content.h"
#include "unit/server/gateway_pair.h"

namespace chatsdk::server {
namespace {

const Bytes kGroupId(16, 'g');

// Ada's group with bob and cid; dan is none of it.
struct Group : Pair {
  explicit Group(bool history = false) {
    add_user("cid");
    add_user("dan");
    cid = add_device("cid");
    dan = add_device("dan");
    CreateGroup create;
    create.members = {"bob", "cid"};
    create.permissions.least.fill(MemberRole::kAdmin);
    create.permissions.of(GroupRight::kSend) = create.permissions.of(GroupRight::kPin) = MemberRole::kMember;
    create.history = history;
    change("ada", create);
    conversation = reader->group("ada", kGroupId)->conversation_id;
  }
  void change(const UserId& user, GroupChange what) {
    GroupOperation op;
    op.user_id = user;
    op.operation_id = Bytes(15, 'o') + static_cast<char>(++operations);
    op.group_id = kGroupId;
    op.members_max = 10;
    op.now = clock.wall_now();
    op.change = std::move(what);
    const auto answer = commit_now(std::move(op));
    EXPECT_TRUE(answer.ok() && !std::get<OperationDone>(*answer).refused);
    run();
  }
  void permit(MemberRole send, MemberRole pin) {
    GroupPermissions permissions;
    permissions.of(GroupRight::kSend) = send;
    permissions.of(GroupRight::kPin) = pin;
    change("ada", ChangeGroup{{}, {}, {}, permissions});
  }
  void quieten() { permit(MemberRole::kAdmin, MemberRole::kAdmin); }
  wire::ClientFrame content_in(StreamId stream, const Bytes& content, std::uint64_t number) {
    wire::ClientFrame frame = text_in(stream, "x", number);
    frame.mutable_send()->set_content(content);
    return frame;
  }
  void say(TestClient& client, const wire::ClientFrame& frame) {
    client.say(frame);
    run();
  }

  Device cid, dan;
  StreamId conversation;
  int operations = 0;
};

Code last_refusal(const TestClient& client) {
  const auto answers = results(client);
  if (answers.empty()) return Code::kInternal;
  return answers.back().has_refused() ? static_cast<Code>(answers.back().refused().code()) : Code::kOk;
}

TEST(GatewayGroups, AMessageReachesEveryDeviceOfEveryMember) {
  Group world;
  const auto second = world.add_device("cid", "second");
  TestClient& a = world.connect(world.ada);
  TestClient& b = world.connect(world.bob, nullptr, 1);
  TestClient& c = world.connect(world.cid);
  TestClient& c2 = world.connect(second, nullptr, 1);
  TestClient& d = world.connect(world.dan);
  world.say(b, world.text_in(world.conversation, "hello", 1));
  for (TestClient* client : {&a, &b, &c, &c2}) {
    EXPECT_EQ(client->texts(world.conversation), std::vector<std::string>{"hello"});
    EXPECT_EQ(client->gaps, 0u);
  }
  EXPECT_TRUE(d.items[world.conversation].empty());
}

TEST(GatewayGroups, ReceiptsOfEachMemberReachAll) {
  Group world;
  TestClient& a = world.connect(world.ada);
  TestClient& b = world.connect(world.bob, nullptr, 1);
  TestClient& c = world.connect(world.cid);
  world.say(a, world.text_in(world.conversation, "hello", 1));
  wire::ClientFrame read;
  read.mutable_read()->set_conversation_id(world.conversation.value);
  read.mutable_read()->set_up_to(2);
  world.say(c, read);
  world.advance(limits::kMarkFlush);
  for (TestClient* client : {&a, &b, &c}) {
    const auto mark = [&](const std::string& user, wire::Marks::Kind kind) {
      return client->marks[{world.conversation, {user, kind}}];
    };
    EXPECT_EQ(mark("bob", wire::Marks::KIND_DELIVERED), 2u);
    EXPECT_EQ(mark("cid", wire::Marks::KIND_DELIVERED), 2u);
    EXPECT_EQ(mark("cid", wire::Marks::KIND_READ), 2u);
    EXPECT_EQ(mark("bob", wire::Marks::KIND_READ), 0u);
  }
}

TEST(GatewayGroups, WhoIsAddedWhileConnectedHearsFromThereOn) {
  Group world;
  TestClient& a = world.connect(world.ada);
  TestClient& d = world.connect(world.dan, nullptr, 1);
  world.say(a, world.text_in(world.conversation, "before", 1));
  world.change("ada", AddMembers{{"dan"}});
  world.say(a, world.text_in(world.conversation, "after", 2));
  EXPECT_EQ(d.texts(world.conversation), std::vector<std::string>{"after"});
  EXPECT_EQ(d.cursors[world.conversation], 4u);
  const auto& items = d.items[world.conversation];
  ASSERT_FALSE(items.empty());
  EXPECT_EQ(items[0].skip_reason(), wire::SKIP_REASON_BEFORE_JOINING);
  world.say(d, world.text_in(world.conversation, "thanks", 1));
  EXPECT_EQ(a.texts(world.conversation).back(), "thanks");
}

TEST(GatewayGroups, WithAHistoryWhoIsAddedReadsItFromTheStart) {
  Group world(true);
  TestClient& a = world.connect(world.ada);
  TestClient& d = world.connect(world.dan, nullptr, 1);
  world.say(a, world.text_in(world.conversation, "before", 1));
  world.change("ada", AddMembers{{"dan"}});
  world.say(a, world.text_in(world.conversation, "after", 2));
  EXPECT_EQ(d.texts(world.conversation), (std::vector<std::string>{"before", "after"}));
}

TEST(GatewayGroups, NothingAfterTheRemovalReachesTheRemovedOnesDevices) {
  Group world;
  const auto away = world.add_device("cid", "away");
  TestClient& a = world.connect(world.ada);
  TestClient& c = world.connect(world.cid, nullptr, 1);
  world.say(a, world.text_in(world.conversation, "before", 1));
  world.advance(limits::kMarkFlush);
  world.change("ada", RemoveMember{"cid"});
  EXPECT_EQ(c.cursors[world.conversation], 3u);
  const auto marks_before = c.of(wire::ServerFrame::kMarks).size();

  world.say(a, world.text_in(world.conversation, "secret", 2));
  wire::ClientFrame read;
  read.mutable_read()->set_conversation_id(world.conversation.value);
  read.mutable_read()->set_up_to(4);
  world.say(a, read);
  world.advance_alive(c, 3 * limits::kHeadCompare);  // digests tell every shard how far the stream went
  TestClient& later = world.connect(away);
  TestClient& again = world.connect(world.cid, &c, 1);
  world.advance_alive(again, 3 * limits::kHeadCompare);

  for (TestClient* client : {&c, &later, &again}) {
    EXPECT_EQ(client->cursors[world.conversation], 3u);
    EXPECT_EQ(client->texts(world.conversation), std::vector<std::string>{"before"});
    EXPECT_EQ((client->marks[{world.conversation, {"ada", wire::Marks::KIND_READ}}]), 0u);
  }
  EXPECT_EQ(c.of(wire::ServerFrame::kMarks).size(), marks_before);
  EXPECT_EQ(again.of(wire::ServerFrame::kMarks).size(), 0u);
  for (const auto& frame : later.of(wire::ServerFrame::kCaughtUp)) {
    if (frame.caught_up().stream_id() != world.conversation.value) continue;
    EXPECT_EQ(frame.caught_up().seq(), 3u);
  }
  EXPECT_FALSE(again.closed);
  world.say(again, world.text_in(world.conversation, "me?", 1));
  EXPECT_EQ(last_refusal(again), Code::kForbidden);
}

TEST(GatewayGroups, WhoIsAddedAgainGoesOnOnTheSameConnection) {
  Group world;
  TestClient& a = world.connect(world.ada);
  TestClient& c = world.connect(world.cid, nullptr, 1);
  world.change("ada", RemoveMember{"cid"});
  world.say(a, world.text_in(world.conversation, "between", 1));
  world.advance_alive(c, 2 * limits::kHeadCompare);
  world.change("ada", AddMembers{{"cid"}});
  world.say(a, world.text_in(world.conversation, "after", 2));
  EXPECT_EQ(c.texts(world.conversation), std::vector<std::string>{"after"});
  EXPECT_EQ(c.cursors[world.conversation], 5u);
  EXPECT_EQ(c.gaps, 0u);
}

TEST(GatewayGroups, AGroupIsAddressedByItsGroupId) {
  Group world;
  TestClient& b = world.connect(world.bob);
  wire::ClientFrame frame = world.text_in(world.conversation, "hello", 1);
  frame.mutable_send()->set_group_id(kGroupId);
  world.say(b, frame);
  ASSERT_EQ(results(b).size(), 1u);
  EXPECT_EQ(results(b)[0].accepted().conversation_id(), world.conversation.value);

  frame = world.text_in(world.conversation, "hello", 2);
  frame.mutable_send()->set_group_id(kGroupId.substr(1));
  world.say(b, frame);
  EXPECT_EQ(last_refusal(b), Code::kInvalidArgument);
  frame.mutable_send()->set_group_id(Bytes(16, 'x'));
  world.say(b, frame);
  EXPECT_EQ(last_refusal(b), Code::kNotFound);

  wire::ClientFrame voiding;
  voiding.mutable_void_()->set_group_id(kGroupId);
  voiding.mutable_void_()->set_client_message_id(frame.send().client_message_id());
  voiding.mutable_void_()->set_send_number(2);
  world.say(b, voiding);
  ASSERT_EQ(b.of(wire::ServerFrame::kVoidResult).size(), 1u);
  EXPECT_TRUE(b.of(wire::ServerFrame::kVoidResult)[0].void_result().voided());
}

TEST(GatewayGroups, ContentIsJudgedByTheRightThatItTakes) {
  Group world;
  TestClient& b = world.connect(world.bob);
  const auto first = world.text_in(world.conversation, "hello", 1);
  world.say(b, first);
  const content::Target target{"bob", *ClientMessageId::from_bytes(first.send().client_message_id())};
  content::Post edited;
  edited.kind = content::Text{"other"};
  world.quieten();
  const auto verdict = [&](const Bytes& content) {
    world.say(b, world.content_in(world.conversation, content, 2));
    return last_refusal(b);
  };
  EXPECT_EQ(verdict(encode_text_content("no")), Code::kForbidden);
  EXPECT_EQ(verdict(content::write(content::Annotation{content::Edit{{{}, target.id}, edited}})), Code::kForbidden);
  EXPECT_EQ(verdict(content::write(content::Annotation{content::Pin{target, true}})), Code::kForbidden);
  EXPECT_EQ(verdict(content::write(content::Annotation{content::Timer{60}})), Code::kForbidden);
  EXPECT_EQ(verdict(content::write(content::Annotation{content::Reaction{target, {"+"}}})), Code::kOk);
  world.say(b, world.content_in(world.conversation, content::write(content::Annotation{content::Delete{target}}), 3));
  EXPECT_EQ(last_refusal(b), Code::kOk);
  TestClient& a = world.connect(world.ada);
  world.say(a, world.text_in(world.conversation, "I may", 1));
  EXPECT_EQ(last_refusal(a), Code::kOk);
}

TEST(GatewayGroups, PinsAndTheTimerTakeARightOfTheirOwn) {
  Group world;
  TestClient& b = world.connect(world.bob);
  const auto first = world.text_in(world.conversation, "hello", 1);
  world.say(b, first);
  const content::Target target{"bob", *ClientMessageId::from_bytes(first.send().client_message_id())};
  const Bytes pin = content::write(content::Annotation{content::Pin{target, true}});
  const Bytes timer = content::write(content::Annotation{content::Timer{60}});
  std::uint64_t number = 2;
  const auto verdict = [&](const Bytes& content) {
    world.say(b, world.content_in(world.conversation, content, number));
    const Code code = last_refusal(b);
    if (code == Code::kOk) ++number;
    return code;
  };
  world.permit(MemberRole::kMember, MemberRole::kAdmin);
  EXPECT_EQ(verdict(pin), Code::kForbidden);
  EXPECT_EQ(verdict(timer), Code::kForbidden);
  EXPECT_EQ(verdict(encode_text_content("I may")), Code::kOk);
  world.permit(MemberRole::kAdmin, MemberRole::kMember);
  EXPECT_EQ(verdict(pin), Code::kOk);
  EXPECT_EQ(verdict(timer), Code::kOk);
  EXPECT_EQ(verdict(encode_text_content("no")), Code::kForbidden);
}

TEST(GatewayGroups, ARequestToJoinWakesWhoIsConnectedAndWhoComesLater) {
  Group world;
  TestClient& a = world.connect(world.ada);
  TestClient& d = world.connect(world.dan, nullptr, 1);
  world.change("ada", CreateInvitation{Bytes(32, 'i'), 0, 0, true});
  EXPECT_EQ(a.cursors[world.conversation], 1u);
  world.change("dan", JoinGroup{Bytes(32, 'i')});
  TestClient& b = world.connect(world.bob);
  for (TestClient* client : {&a, &b}) {
    ASSERT_EQ(client->cursors[world.conversation], 2u);
    EXPECT_TRUE(client->items[world.conversation].back().roster().requests());
  }
  EXPECT_TRUE(d.items[world.conversation].empty()) << "who asks is no member";
}

TEST(GatewayGroups, ADeletedGroupEndsForWhoIsConnected) {
  Group world;
  TestClient& a = world.connect(world.ada);
  TestClient& b = world.connect(world.bob, nullptr, 1);
  world.change("ada", DeleteGroup{});
  for (TestClient* client : {&a, &b}) {
    EXPECT_EQ(client->cursors[world.conversation], 2u);
    EXPECT_FALSE(client->closed);
    world.say(*client, world.text_in(world.conversation, "hello?", 1));
    EXPECT_EQ(last_refusal(*client), Code::kForbidden);
  }
}

}  // namespace
}  // namespace chatsdk::server
