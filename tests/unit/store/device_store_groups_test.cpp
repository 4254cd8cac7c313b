// SPDX-License-Identifier: Apache-2.0
//
// Groups in the device store: what a ROSTER item, the account stream and the server's answers make of them, in whatever
// order they come.
#include <gmock/gmock.h>

#include <algorithm>
#include <set>

#include "device_store_fixture.h"

namespace chatsdk {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr StreamId kRoom{4'711};
const GroupId kGroup = GroupId::from("gggggggggggggggg");

struct Joined {
  UserId user;
  wire::GroupRole role = wire::GROUP_ROLE_MEMBER;  // UNSPECIFIED: goes
};

wire::Group told(const std::string& name, const GroupId& id = kGroup) {
  wire::Group group;
  group.set_group_id(Bytes(id.view()));
  group.set_name(name);
  group.set_description("of " + name);
  group.set_picture("picture of " + name);
  group.mutable_permissions()->set_send(wire::GROUP_ROLE_ADMIN);
  group.mutable_permissions()->set_permissions(wire::GROUP_ROLE_OWNER);
  group.set_history(true);
  return group;
}

// A ROSTER item by bob; name empty: without `group`.
void roster(ItemsOf& items, const std::string& name, const std::vector<Joined>& changes, const UserId& actor = kBob,
            const GroupId& id = kGroup) {
  wire::Roster& roster = *items.add(wire::ITEM_KIND_ROSTER).mutable_roster();
  roster.set_conversation_kind(wire::CONVERSATION_KIND_GROUP);
  roster.set_actor_user_id(actor);
  if (!name.empty()) *roster.mutable_group() = told(name, id);
  for (const Joined& one : changes) {
    auto& change = *roster.add_changes();
    change.set_user_id(one.user);
    change.set_joined(one.role != wire::GROUP_ROLE_UNSPECIFIED);
    change.set_role(one.role);
  }
}

void added(ItemsOf& items, wire::GroupRole role = wire::GROUP_ROLE_MEMBER, const GroupId& id = kGroup,
           StreamId stream = kRoom) {
  auto& conversation = *items.add(wire::ITEM_KIND_CONVERSATION_ADDED).mutable_conversation();
  conversation.set_conversation_id(stream.value);
  conversation.set_kind(wire::CONVERSATION_KIND_GROUP);
  conversation.set_group_id(Bytes(id.view()));
  conversation.set_role(role);
}

void left(ItemsOf& items, wire::LeftReason reason, Seq seq) {
  auto& gone = *items.add(wire::ITEM_KIND_CONVERSATION_LEFT).mutable_left();
  gone.set_conversation_id(kRoom.value);
  gone.set_reason(reason);
  gone.set_seq(seq);
}

class Groups : public DeviceStoreTest {
 protected:
  ConversationRow row(StreamId stream = kRoom) {
    return must(reader_->conversation(must(reader_->conversation_by_id(stream))));
  }
  // "ann:1 bob:3", and "?" behind them while not all are known.
  std::string members(StreamId stream = kRoom, std::size_t page_size = 2) {
    const ConversationKey key = must(reader_->conversation_by_id(stream));
    std::string shown;
    UserId after;
    bool known = false;
    for (;;) {
      const auto page = must(reader_->members(key, after, page_size));
      for (const group::Member& member : page.rows) {
        shown += (shown.empty() ? "" : " ") + member.user_id + ":" + std::to_string(static_cast<int>(member.role));
      }
      known = page.known;
      if (!page.more) break;
      after = page.rows.back().user_id;
    }
    const auto count = static_cast<std::uint64_t>(std::count(shown.begin(), shown.end(), ':'));
    EXPECT_EQ(row(stream).group->members, count);
    EXPECT_EQ(row(stream).group->members_known, known);
    return known ? shown : shown + "?";
  }
  // The group of ann and bob, from its first item on.
  void open_group() {
    open_as_ann();
    ItemsOf items(kRoom, 0);
    roster(items, "Climbing", {{kBob, wire::GROUP_ROLE_OWNER}, {kAnn, wire::GROUP_ROLE_MEMBER}});
    must(store_->apply(items));
  }
  // As somebody who came at item 5, after four that are not theirs.
  void come_late() {
    open_as_ann();
    ItemsOf items(kRoom, 0);
    items.skip(4, wire::SKIP_REASON_BEFORE_JOINING);
    roster(items, "Climbing", {{kAnn, wire::GROUP_ROLE_MEMBER}});
    must(store_->apply(items));
  }
  DeviceStore::UnknownGroup unknown() {
    const auto found = must(store_->unknown_groups(10));
    EXPECT_THAT(found, SizeIs(1));
    return found.at(0);
  }
  bool all_known() { return must(store_->unknown_groups(10)).empty(); }
  Changes page(const DeviceStore::UnknownGroup& asked, Seq seq, std::vector<group::Member> rows, bool more = false,
               const UserId& after = {}) {
    return must(store_->save_members(asked, after, {std::move(rows), seq, more}));
  }
};

using group::Role;

TEST_F(Groups, AreWhatTheirFirstItemSays) {
  open_as_ann();
  ItemsOf items(kRoom, 0);
  roster(items, "Climbing", {{kBob, wire::GROUP_ROLE_OWNER}, {kAnn, wire::GROUP_ROLE_ADMIN}, {"cid"}});
  items.message(kBob, 1, "to all");

  const auto applied = must(store_->apply(items));

  EXPECT_THAT(applied.changes.members, SizeIs(1));
  const ConversationRow group = row();
  EXPECT_EQ(group.kind, wire::CONVERSATION_KIND_GROUP);
  EXPECT_EQ(group.peer, "");
  EXPECT_EQ(group.unread_count, 1u);
  ASSERT_TRUE(group.group.has_value());
  EXPECT_EQ(group.group->info.id, kGroup);
  EXPECT_EQ(group.group->info.name, "Climbing");
  EXPECT_EQ(group.group->info.description, "of Climbing");
  EXPECT_EQ(group.group->info.picture, "picture of Climbing");
  EXPECT_EQ(group.group->info.rights.of(group::Right::kSend), Role::kAdmin);
  EXPECT_EQ(group.group->info.rights.of(group::Right::kPermissions), Role::kOwner);
  EXPECT_TRUE(group.group->info.history);
  EXPECT_EQ(group.group->role, Role::kAdmin);
  EXPECT_EQ(group.group->standing, GroupStanding::kIn);
  EXPECT_EQ(members(), "ann:2 bob:3 cid:1");
  EXPECT_TRUE(all_known());
  EXPECT_FALSE(must(reader_->conversations({}, 10)).more);
}

TEST_F(Groups, FollowTheirLaterItems) {
  open_group();
  ItemsOf items(kRoom, 1);
  roster(items, "Bouldering", {});
  roster(items, "", {{"cid"}, {kAnn, wire::GROUP_ROLE_ADMIN}});
  roster(items, "", {{"cid", wire::GROUP_ROLE_UNSPECIFIED}});

  const auto applied = must(store_->apply(items));

  EXPECT_EQ(row().group->info.name, "Bouldering");
  EXPECT_EQ(row().group->role, Role::kAdmin);
  EXPECT_EQ(members(), "ann:2 bob:3");
  EXPECT_THAT(applied.changes.conversations, SizeIs(1));
  reopen();
  EXPECT_EQ(row().group->info.name, "Bouldering");
  EXPECT_EQ(members(), "ann:2 bob:3");
}

TEST_F(Groups, AChangeOfInfoTellsNothingOfMembers) {
  open_group();
  ItemsOf items(kRoom, 1);
  roster(items, "Bouldering", {});

  const auto applied = must(store_->apply(items));

  EXPECT_THAT(applied.changes.members, IsEmpty());
  EXPECT_THAT(applied.changes.conversations, SizeIs(1));
}

// Of one group everything that can be told, in every order of the three who tell it.
TEST_F(Groups, AreTheSameInWhateverOrderTheyAreTold) {
  ItemsOf first(kRoom, 0);
  first.skip(4, wire::SKIP_REASON_BEFORE_JOINING);
  roster(first, "Climbing", {{kAnn}, {"dan"}});
  ItemsOf second(kRoom, 5);
  roster(second, "Bouldering", {});
  roster(second, "", {{kAnn, wire::GROUP_ROLE_ADMIN}, {"eve"}});
  second.message(kBob, 1, "to all");
  ItemsOf account = ItemsOf::account(0);
  added(account);
  // At item 7, before the second half or after it; and what a device may learn at any time.
  const group::Members page{
      {{kAnn, Role::kAdmin}, {kBob, Role::kOwner}, {"dan", Role::kMember}, {"eve", Role::kMember}}, 7, false};
  std::vector<int> order = {0, 1, 2, 3};
  int told = 0;
  do {
    const auto place = [&order](int what) { return std::find(order.begin(), order.end(), what) - order.begin(); };
    if (place(0) > place(1) || (place(3) < place(0) && place(3) < place(2))) continue;
    std::filesystem::remove_all(directory_);
    std::filesystem::create_directories(directory_);
    open_as_ann();
    for (const int what : order) {
      if (what == 0) must(store_->apply(first));
      if (what == 1) must(store_->apply(second));
      if (what == 2) must(store_->apply(account));
      if (what == 3) static_cast<void>(must(store_->save_members(unknown(), {}, page)));
    }
    // Where the skip came after the page, it is asked for once more.
    if (!all_known()) static_cast<void>(must(store_->save_members(unknown(), {}, page)));
    SCOPED_TRACE(::testing::PrintToString(order));
    EXPECT_THAT(must(reader_->conversations({}, 10)).rows, SizeIs(1));
    EXPECT_EQ(row().kind, wire::CONVERSATION_KIND_GROUP);
    EXPECT_EQ(row().group->info.name, "Bouldering");
    EXPECT_EQ(row().group->role, Role::kAdmin);
    EXPECT_EQ(row().group->standing, GroupStanding::kIn);
    EXPECT_EQ(members(), "ann:2 bob:3 dan:1 eve:1");
    EXPECT_THAT(history(row().key), ElementsAre("8:to all"));
    close();
    ++told;
  } while (std::next_permutation(order.begin(), order.end()));
  EXPECT_EQ(told, 9);
}

TEST_F(Groups, AnAddedOneIsThereBeforeItsItems) {
  open_as_ann();
  ItemsOf account = ItemsOf::account(0);
  added(account, wire::GROUP_ROLE_ADMIN);

  must(store_->apply(account));

  EXPECT_EQ(row().kind, wire::CONVERSATION_KIND_GROUP);
  EXPECT_EQ(row().group->role, Role::kAdmin);
  EXPECT_EQ(members(), "?");
  EXPECT_EQ(unknown().group_id, kGroup);
}

TEST_F(Groups, ItemsThatDoNotNameTheGroupAreOneOfAGroupAllTheSame) {
  open_as_ann();
  ItemsOf items(kRoom, 0);
  roster(items, "", {{"cid"}});
  must(store_->apply(items));
  EXPECT_EQ(row().kind, wire::CONVERSATION_KIND_GROUP);
  EXPECT_FALSE(row().group.has_value());

  ItemsOf account = ItemsOf::account(0);
  added(account);
  must(store_->apply(account));

  EXPECT_EQ(row().group->info.id, kGroup);
  EXPECT_FALSE(all_known());
}

// ---- Members that are asked for ------------------------------------------------------------------------------------

TEST_F(Groups, WhoComesLateAsksForThoseWhoWereThere) {
  come_late();
  EXPECT_EQ(members(), "ann:1?");
  const auto asked = unknown();
  EXPECT_EQ(asked.group_id, kGroup);
  EXPECT_EQ(asked.members_from, 4u);

  page(asked, 5, {{kAnn, Role::kMember}, {kBob, Role::kOwner}}, true);
  EXPECT_EQ(members(), "ann:1 bob:3?");
  const Changes changes = page(asked, 5, {{"cid", Role::kAdmin}}, false, kBob);

  EXPECT_THAT(changes.members, SizeIs(1));
  EXPECT_EQ(members(), "ann:1 bob:3 cid:2");
  EXPECT_TRUE(all_known());
}

TEST_F(Groups, ALaterItemCountsOverAPageOfBefore) {
  come_late();
  const auto asked = unknown();
  ItemsOf items(kRoom, 5);
  roster(items, "", {{"cid"}});
  roster(items, "", {{kBob, wire::GROUP_ROLE_UNSPECIFIED}});
  must(store_->apply(items));

  page(asked, 5, {{kAnn, Role::kMember}, {kBob, Role::kOwner}});

  EXPECT_EQ(members(), "ann:1 cid:1");
}

TEST_F(Groups, APageOfLaterCountsOverTheItemsBeforeIt) {
  come_late();
  // At item 7 bob has gone, and cid is an admin.
  page(unknown(), 7, {{kAnn, Role::kMember}, {"cid", Role::kAdmin}});
  ItemsOf items(kRoom, 5);
  roster(items, "", {{"cid"}});
  roster(items, "", {{kBob, wire::GROUP_ROLE_UNSPECIFIED}, {"cid", wire::GROUP_ROLE_ADMIN}});
  must(store_->apply(items));
  EXPECT_EQ(members(), "ann:1 cid:2");

  ItemsOf later(kRoom, 7);
  roster(later, "", {{"cid"}});
  must(store_->apply(later));
  EXPECT_EQ(members(), "ann:1 cid:1");
}

TEST_F(Groups, WhoIsNotOnAPageThatCoversThemHasGone) {
  come_late();
  page(unknown(), 5, {{kAnn, Role::kMember}, {kBob, Role::kOwner}, {"cid", Role::kMember}});
  ItemsOf items(kRoom, 5);
  items.skip(9, wire::SKIP_REASON_TRIMMED);
  must(store_->apply(items));
  EXPECT_EQ(members(), "ann:1 bob:3 cid:1?");
  const auto asked = unknown();

  page(asked, 10, {{kAnn, Role::kMember}}, true);
  EXPECT_EQ(members(), "ann:1 bob:3 cid:1?");  // behind the page
  page(asked, 10, {{"cid", Role::kMember}}, false, kAnn);

  EXPECT_EQ(members(), "ann:1 cid:1");
}

TEST_F(Groups, WhatIsMissedWhileMembersAreAskedForIsAskedForAnew) {
  come_late();
  const auto asked = unknown();
  ItemsOf items(kRoom, 5);
  items.skip(9, wire::SKIP_REASON_TRIMMED);
  must(store_->apply(items));

  page(asked, 5, {{kAnn, Role::kMember}, {kBob, Role::kOwner}});

  EXPECT_EQ(members(), "ann:1 bob:3?");
  EXPECT_EQ(unknown().members_from, 9u);
}

TEST_F(Groups, ASkipOfWhatIsForOthersMissesNobody) {
  open_group();
  ItemsOf items(kRoom, 1);
  items.skip(3, wire::SKIP_REASON_NOT_ADDRESSED);
  must(store_->apply(items));
  EXPECT_TRUE(all_known());
}

TEST_F(Groups, TheServersWordOnTheGroupIsAsOldAsItIs) {
  come_late();
  ItemsOf items(kRoom, 5);
  roster(items, "Bouldering", {});
  roster(items, "", {{kAnn, wire::GROUP_ROLE_ADMIN}});
  must(store_->apply(items));
  group::State state;
  state.info.id = kGroup;
  state.info.name = "of before";
  state.conversation_id = kRoom;
  state.seq = 5;
  state.role = Role::kMember;
  must(store_->save_group(row().key, state));
  EXPECT_EQ(row().group->info.name, "Bouldering");
  EXPECT_EQ(row().group->role, Role::kAdmin);

  state.info.name = "of later";
  state.seq = 8;
  must(store_->save_group(row().key, state));
  EXPECT_EQ(row().group->info.name, "of later");
  EXPECT_EQ(row().group->role, Role::kMember);

  state.info.id = GroupId::from("another group's.");
  EXPECT_EQ(store_->save_group(row().key, state).code(), Code::kNotFound);
}

// ---- The owner's own coming and going ------------------------------------------------------------------------------

TEST_F(Groups, WhoGoesIsOutForTheReasonThatIsTold) {
  struct Case {
    UserId actor;
    wire::LeftReason reason;
    GroupStanding by_item;
    GroupStanding told;
  };
  const Case cases[] = {
      {kAnn, wire::LEFT_REASON_LEFT, GroupStanding::kLeft, GroupStanding::kLeft},
      {kBob, wire::LEFT_REASON_REMOVED, GroupStanding::kRemoved, GroupStanding::kRemoved},
      {kBob, wire::LEFT_REASON_DELETED, GroupStanding::kRemoved, GroupStanding::kEnded},
  };
  for (const Case& one : cases) {
    for (const bool item_first : {true, false}) {
      std::filesystem::remove_all(directory_);
      std::filesystem::create_directories(directory_);
      open_group();
      ItemsOf items(kRoom, 1);
      roster(items, "", {{kAnn, wire::GROUP_ROLE_UNSPECIFIED}}, one.actor);
      ItemsOf account = ItemsOf::account(0);
      added(account);
      left(account, one.reason, 2);
      if (item_first) {
        must(store_->apply(items));
        EXPECT_EQ(row().group->standing, one.by_item);
      }
      must(store_->apply(account));
      EXPECT_EQ(row().group->standing, one.told);
      if (!item_first) must(store_->apply(items));
      EXPECT_EQ(row().group->standing, one.told);
      EXPECT_EQ(row().group->role, Role::kNone);
      EXPECT_EQ(members(), "bob:3");
      EXPECT_EQ(queue(row().key, 1, "to nobody").code(), Code::kForbidden);
      close();
    }
  }
}

TEST_F(Groups, WhoComesBackIsInAgainAndAsksForTheMembers) {
  open_group();
  ItemsOf gone(kRoom, 1);
  roster(gone, "", {{kAnn, wire::GROUP_ROLE_UNSPECIFIED}});
  must(store_->apply(gone));
  EXPECT_TRUE(all_known());  // nobody asks for a group that they are in no more
  ItemsOf account = ItemsOf::account(0);
  added(account);
  left(account, wire::LEFT_REASON_REMOVED, 2);
  added(account, wire::GROUP_ROLE_ADMIN);
  must(store_->apply(account));
  EXPECT_EQ(row().group->standing, GroupStanding::kIn);
  EXPECT_EQ(row().group->role, Role::kAdmin);

  ItemsOf back(kRoom, 2);
  back.skip(6, wire::SKIP_REASON_BEFORE_JOINING);
  roster(back, "Bouldering", {{kAnn}});
  must(store_->apply(back));

  EXPECT_EQ(row().group->role, Role::kMember);
  EXPECT_EQ(unknown().members_from, 6u);
  page(unknown(), 7, {{kAnn, Role::kMember}, {"cid", Role::kOwner}});
  EXPECT_EQ(members(), "ann:1 cid:3");
  must(store_->accept_plain(row().key));
  EXPECT_TRUE(queue(row().key, 1, "to all").ok());
}

TEST_F(Groups, AnOldWordThatTheUserHasGoneIsNoNews) {
  open_group();
  ItemsOf items(kRoom, 1);
  roster(items, "", {{kAnn, wire::GROUP_ROLE_UNSPECIFIED}});
  roster(items, "Bouldering", {{kAnn}});
  must(store_->apply(items));
  ItemsOf account = ItemsOf::account(0);
  added(account);
  left(account, wire::LEFT_REASON_REMOVED, 2);
  added(account);

  must(store_->apply(account));

  EXPECT_EQ(row().group->standing, GroupStanding::kIn);
}

// ---- Sending -------------------------------------------------------------------------------------------------------

TEST_F(Groups, AMessageGoesToTheConversation) {
  open_group();
  EXPECT_FALSE(must(store_->nature(row().key)).accepted);
  EXPECT_FALSE(row().accepted_plain);
  must(store_->accept_plain(row().key));
  EXPECT_TRUE(row().accepted_plain);
  EXPECT_EQ(store_->accept_plain(ConversationKey{99}).code(), Code::kNotFound);

  must(queue(row().key, 1, "to all"));

  const auto rows = must(store_->outbox(row().key, 0, 10));
  ASSERT_THAT(rows, SizeIs(1));
  EXPECT_EQ(rows[0].conversation_id, kRoom);
  EXPECT_EQ(rows[0].group, kGroup);
  EXPECT_TRUE(rows[0].accepted);
  EXPECT_FALSE(rows[0].undecided);
  EXPECT_EQ(rows[0].peer, "");
}

TEST_F(Groups, AMessageIsReadOnceAllHaveReadItWhoseItIs) {
  open_group();
  must(queue(row().key, 1, "to bob", true));
  must(accept(1, 2, kRoom));
  ItemsOf items(kRoom, 1);
  items.message(kAnn, 1, "to bob", kPhone);
  roster(items, "Climbing", {{"cid"}});
  must(store_->apply(items));
  must(queue(row().key, 2, "to both", true));
  must(accept(2, 4, kRoom));
  const auto mark = [&](const UserId& user, wire::Marks::Kind kind, Seq up_to, std::uint64_t revision) {
    wire::Marks marks = marks_of(kRoom, revision);
    add_advance(marks, user, kind, up_to, 5'000);
    must(store_->apply_marks(marks));
  };
  mark(kBob, wire::Marks::KIND_DELIVERED, 4, 1);
  EXPECT_EQ(state_of(1), MessageState::kDelivered);
  EXPECT_EQ(state_of(2), MessageState::kSent);
  mark("cid", wire::Marks::KIND_READ, 4, 2);
  EXPECT_EQ(state_of(2), MessageState::kDelivered);
  mark(kBob, wire::Marks::KIND_READ, 3, 3);
  EXPECT_EQ(state_of(1), MessageState::kRead);
  EXPECT_EQ(state_of(2), MessageState::kDelivered);
  // Who has gone is waited for no longer.
  ItemsOf gone(kRoom, 3);
  gone.message(kAnn, 2, "to both", kPhone);
  roster(gone, "", {{kBob, wire::GROUP_ROLE_UNSPECIFIED}});
  must(store_->apply(gone));
  EXPECT_EQ(state_of(2), MessageState::kRead);
  // When, of each, is told as ever.
  const MessageKey message = must(reader_->message_by_client_id(client_id(2))).key;
  EXPECT_TRUE(must(reader_->receipt(message, "cid")).read_at.has_value());
}

TEST_F(Groups, WhileMembersAreMissingNothingCountsAsDeliveredToAll) {
  come_late();
  must(store_->accept_plain(row().key));
  must(queue(row().key, 1, "to all", true));
  must(accept(1, 6, kRoom));
  wire::Marks marks = marks_of(kRoom, 1);
  add_advance(marks, kBob, wire::Marks::KIND_READ, 6, 5'000);
  must(store_->apply_marks(marks));
  const auto asked = unknown();
  page(asked, 5, {{kAnn, Role::kMember}, {kBob, Role::kOwner}}, true);
  EXPECT_EQ(state_of(1), MessageState::kSent);

  page(asked, 5, {}, false, kBob);

  EXPECT_EQ(state_of(1), MessageState::kRead);
}

// ---- A server that was put back ------------------------------------------------------------------------------------

TEST_F(Groups, OfAServerThatWasPutBackAreToldAnew) {
  open_group();
  const ConversationKey group = row().key;
  ItemsOf items(kRoom, 1);
  roster(items, "", {{"cid"}});
  must(store_->apply(items));

  must(store_->begin_epoch(2, StreamId{501}));
  EXPECT_EQ(must(reader_->conversation(group)).conversation_id, ConversationId{});
  EXPECT_EQ(must(reader_->conversation(group)).group->info.name, "Climbing");
  EXPECT_EQ(must(reader_->members(group, {}, 10)).rows.size(), 3u);
  EXPECT_FALSE(must(reader_->members(group, {}, 10)).known);
  ItemsOf account = ItemsOf(StreamId{501}, 0, wire::STREAM_KIND_ACCOUNT);
  constexpr StreamId kRoomNow{4'712};
  added(account, wire::GROUP_ROLE_MEMBER, kGroup, kRoomNow);
  must(store_->apply(account));
  ItemsOf again(kRoomNow, 0);
  roster(again, "Climbing", {{kBob, wire::GROUP_ROLE_OWNER}, {kAnn, wire::GROUP_ROLE_MEMBER}});
  must(store_->apply(again));

  EXPECT_EQ(row(kRoomNow).key, group);
  EXPECT_EQ(members(kRoomNow), "ann:1 bob:3");
  EXPECT_THAT(must(reader_->conversations({}, 10)).rows, SizeIs(1));
}

// Also where the history that begins is the first one that this device hears of.
TEST_F(Groups, OfWhichTheServerHasYetToHearKeepTheirMembers) {
  reopen();
  must(store_->save_session(session()));
  group::Info info;
  info.id = kGroup;
  info.name = "Climbing";
  const auto made = must(store_->create_group(Bytes(16, 'o'), info, {kBob}));
  for (const std::uint64_t epoch : {1U, 2U}) {
    must(store_->begin_epoch(epoch, kAccount));
    EXPECT_TRUE(must(reader_->members(made.conversation, {}, 10)).known);
    EXPECT_THAT(must(reader_->members(made.conversation, {}, 10)).rows, SizeIs(2));
    EXPECT_EQ(must(reader_->conversation(made.conversation)).group->members, 2u);
    EXPECT_THAT(must(store_->open_operations(10)), SizeIs(1));
  }
  ItemsOf items(kRoom, 0);
  roster(items, "Climbing", {{kAnn, wire::GROUP_ROLE_OWNER}, {kBob, wire::GROUP_ROLE_MEMBER}}, kAnn);
  must(store_->apply(items));
  EXPECT_EQ(row().key, made.conversation);
  EXPECT_EQ(members(), "ann:3 bob:1");
}

// Who had gone in the history that is no more, and who comes behind the place from which the owner sees the new one.
TEST_F(Groups, OfAServerThatWasPutBackAreAskedForWhoIsInThemNow) {
  come_late();
  const ConversationKey group = row().key;
  page(unknown(), 5, {{kAnn, Role::kMember}, {kBob, Role::kOwner}, {"cid", Role::kMember}});
  must(store_->begin_epoch(2, StreamId{501}));
  EXPECT_TRUE(all_known());  // under which id it is, nobody has said yet
  ItemsOf account = ItemsOf(StreamId{501}, 0, wire::STREAM_KIND_ACCOUNT);
  added(account);
  must(store_->apply(account));
  EXPECT_EQ(row().key, group);
  EXPECT_EQ(members(), "ann:1 bob:3 cid:1?");
  ItemsOf items(kRoom, 0);
  items.skip(2, wire::SKIP_REASON_BEFORE_JOINING);
  roster(items, "Climbing", {{kAnn, wire::GROUP_ROLE_MEMBER}});
  must(store_->apply(items));

  page(unknown(), 3, {{kAnn, Role::kMember}, {kBob, Role::kOwner}, {"dan", Role::kMember}});

  EXPECT_EQ(members(), "ann:1 bob:3 dan:1");
}

TEST_F(Groups, AnIdThatWasAnothersIsNotThatOneAgain) {
  open_group();
  const ConversationKey group = row().key;
  must(store_->begin_epoch(2, StreamId{501}));
  // The stream is the chat with bob now; then another group's.
  must(store_->apply(ItemsOf(kRoom, 0).roster({kAnn, kBob}).message(kBob, 7, "hello ann")));

  const auto chat = must(reader_->direct_conversation(kBob));
  EXPECT_NE(chat, group);
  EXPECT_THAT(history(chat), ElementsAre("2:hello ann"));
  EXPECT_EQ(must(reader_->conversation(group)).kind, wire::CONVERSATION_KIND_GROUP);

  must(store_->begin_epoch(3, StreamId{502}));
  const GroupId another = GroupId::from("another group's.");
  ItemsOf items(kRoom, 0);
  roster(items, "Chess", {{kBob, wire::GROUP_ROLE_OWNER}, {kAnn, wire::GROUP_ROLE_MEMBER}}, kBob, another);
  items.message(kBob, 8, "checkmate");
  must(store_->apply(items));
  EXPECT_EQ(row().group->info.id, another);
  EXPECT_THAT(history(row().key), ElementsAre("2:checkmate"));
  EXPECT_NE(row().key, group);
  EXPECT_NE(row().key, chat);
  EXPECT_EQ(must(reader_->conversation(chat)).peer, kBob);
}

// ---- What no server that is well says ------------------------------------------------------------------------------

TEST_F(Groups, NamesAboveTheirLimitsAreLeftOut) {
  open_as_ann();
  ItemsOf items(kRoom, 0);
  roster(items, std::string(limits::groups::kNameBytesMax, 'n'), {{kAnn}, {std::string(64, 'u')}});
  roster(items, "", {{std::string(65, 'u')}, {""}});
  must(store_->apply(items));
  EXPECT_EQ(row().group->info.name.size(), limits::groups::kNameBytesMax);
  EXPECT_EQ(row().group->members, 2u);

  ItemsOf above(kRoom, 2);
  roster(above, std::string(limits::groups::kNameBytesMax + 1, 'n'), {});
  must(store_->apply(above));
  EXPECT_EQ(row().group->info.name, "");
}

TEST_F(Groups, PagesHoldOneToTwoHundred) {
  open_group();
  const ConversationKey group = row().key;
  EXPECT_EQ(reader_->members(group, {}, 0).code(), Code::kInvalidArgument);
  EXPECT_EQ(reader_->members(group, {}, limits::kPageMax + 1).code(), Code::kInvalidArgument);
  EXPECT_THAT(must(reader_->members(group, {}, limits::kPageMax)).rows, SizeIs(2));
  EXPECT_EQ(reader_->members(ConversationKey{99}, {}, 1).code(), Code::kNotFound);
  const auto chat = must(store_->ensure_direct(kBob));
  EXPECT_EQ(reader_->members(chat, {}, 1).code(), Code::kWrongState);
}

}  // namespace
}  // namespace chatsdk
