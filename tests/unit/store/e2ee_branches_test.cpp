// SPDX-License-Identifier: Apache-2.0
//
// A user's lists that part (docs/e2ee.md section 5.3): the server was put back, and a device that had not heard of a
// change made another one in its place. Who reads what then, and who speaks no more.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "unit/store/e2ee_chat.h"

namespace chatsdk::e2ee {
namespace {

// Bob's laptop was taken out in version 3, as alice and bob know, and the server went back to version 2. The laptop has
// not heard of it, and lets a tablet in: another version 3. Both write to alice under it.
class Branches : public ChatOfTwo {
 protected:
  void SetUp() override {
    talk();
    laptop.join(bob);
    bob.fetch_lists("bob");
    alice.sync();
    const ChatServer::User of_before = server.users["bob"];
    const std::size_t items = server.stream.size();
    const std::uint64_t revision = server.revision;
    laptop.fetch_lists("alice");
    bob.unlink(laptop);
    alice.sync();
    alice.events.clear();

    server.stream.resize(items);
    server.revision = revision;
    server.users["bob"] = of_before;
    for (ChatDevice* device : {&alice, &bob}) {
      ASSERT_TRUE(device->kept.store().begin_epoch(2, StreamId{500}).ok());
      device->sync();
    }
    tablet.join(laptop);
    tablet.fetch_lists("alice");
    laptop.fetch_lists("bob");
    say_to(laptop, alice, "from the laptop");
    say_to(tablet, alice, "from the tablet");
  }
  // Somebody who knows both makes a list that has neither what the one nor what the other has taken out.
  void join_branches() { tablet.unlink(laptop); }
  std::uint64_t version_of_bobs(ChatDevice& device) {
    return device.kept.state().user("bob").value()->newest().version;
  }
  std::vector<std::string> last_two(ChatDevice& device) {
    const auto all = device.history();
    return {all.end() - 2, all.end()};
  }

  ChatDevice laptop{server, "bob", 4, directory};
  ChatDevice tablet{server, "bob", 6, directory};
};

TEST_F(Branches, WhatStandsUnderTheOtherOneIsReadOnceTheyAreJoined) {
  alice.waits_for_lists = true;
  join_branches();
  alice.sync();
  EXPECT_EQ(version_of_bobs(alice), 4U);
  EXPECT_EQ(alice.held, 1);
  EXPECT_FALSE(alice.told(EventKind::kListRefused));
  EXPECT_TRUE(alice.told(EventKind::kDeviceAdded));
  EXPECT_EQ(last_two(alice), (std::vector<std::string>{"?", "from the tablet"})) << "the laptop had been taken out";
  say(alice, tablet, "hello, tablet");
  EXPECT_FALSE(last().slices.contains(laptop.self));
}

TEST_F(Branches, AreToldWhileTheyAreNotJoined) {
  alice.waits_for_lists = true;
  alice.sync();
  EXPECT_EQ(version_of_bobs(alice), 3U);
  EXPECT_TRUE(alice.told(EventKind::kListRefused));
  EXPECT_EQ(last_two(alice), (std::vector<std::string>{"?", "?"})) << "nobody whom alice's list does not name";
  EXPECT_EQ(alice.make_plan().outcome, Plan::Outcome::kWaits);
  alice.events.clear();
  join_branches();
  alice.sync();
  EXPECT_FALSE(alice.told(EventKind::kListRefused));
  say(alice, tablet, "hello, tablet");
}

// Once more under the list of the other branch, which is kept by then.
TEST_F(Branches, WhoWasTakenOutSaysNothingUnderAListBeforeTheOneThatJoinsThem) {
  alice.sync();
  const UserLists apart = server.lists_of("bob");
  join_branches();
  alice.fetch_lists("bob");
  ASSERT_EQ(version_of_bobs(alice), 4U);
  // A roster that lacks the last.
  server.stream.pop_back();
  ChatServer::StreamItem roster;
  roster.is_roster = true;
  roster.revision = server.revision;
  roster.lists = {apart};
  server.add(std::move(roster));
  for (ChatDevice* device : {&laptop, &tablet}) say_to(*device, alice, "again");
  alice.sync();
  EXPECT_EQ(last_two(alice), (std::vector<std::string>{"?", "again"}));
}

// Bob's own device judges first who it was that it has taken out.
TEST_F(Branches, OfTheOwnUserAreNotLearnedFromARoster) {
  join_branches();  // longer than what bob knows
  bob.sync();
  EXPECT_EQ(version_of_bobs(bob), 3U);
  EXPECT_FALSE(bob.told(EventKind::kListRefused)) << "asked for";
  bob.write([&](E2eeTransaction& tx) {
    return bob.direct.roster_refused(tx.kept(), bob.target(), server.revision, std::vector{server.lists_of("bob")},
                                     kThen, bob.events);
  });
  EXPECT_EQ(version_of_bobs(bob), 3U);
}

// What nobody has signed is no list of the user's, and no branch that others could join.
TEST_F(Branches, OfTheOwnUserThatNobodySignedAreToldAndNotAskedFor) {
  bob.sync();
  UserLists forged = server.lists_of("bob");
  forged.lists = {forged.lists.back()};
  forged.lists.back().back() = static_cast<char>(forged.lists.back().back() ^ 1);
  bob.events.clear();
  bob.write([&](E2eeTransaction& tx) {
    return bob.direct.roster_refused(tx.kept(), bob.target(), server.revision, std::vector{forged}, kThen, bob.events);
  });
  EXPECT_TRUE(bob.told(EventKind::kListRefused));
  bob.events.clear();
  RosterResult result;
  bob.write([&](E2eeTransaction& tx) -> Status {
    const RosterItem item{kChatId, "bob", "alice", true, server.revision + 1, {forged}};
    CHATSDK_ASSIGN(result, bob.direct.roster_item(tx.kept(), item, kThen, bob.events));
    return {};
  });
  EXPECT_TRUE(result.lists_wanted.empty());
  EXPECT_TRUE(bob.told(EventKind::kListRefused));
}

}  // namespace
}  // namespace chatsdk::e2ee
