// SPDX-License-Identifier: Apache-2.0
//
// A server that has once shown an account key of its own as a user's (docs/e2ee.md section 5.3): the user's real lists
// are passed over from then on, which is told, until the app has the other identity forgotten.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "unit/store/e2ee_chat.h"

namespace chatsdk::e2ee {
namespace {

class TrustMadeUp : public ChatOfTwo {
 protected:
  TrustMadeUp() {
    talk();
    real_ = server.users["bob"];
    alice.events.clear();
  }
  // What the server answers from here on.
  void show_made_up() { server.users["bob"] = {{made_up_.list.bytes}, {made_up_.record.bytes}, 1}; }
  void show_real() { server.users["bob"] = real_; }
  // Once, and never again.
  void make_up_once() {
    show_made_up();
    EXPECT_EQ(alice.fetch_lists("bob").result, Learning::kIdentityChanged);
    show_real();
  }
  std::ptrdiff_t told(EventKind kind) {
    const auto all = std::exchange(alice.events, {});
    return std::count(all.begin(), all.end(), Event{kind, "bob", {}});
  }
  Identity known() { return {"bob", alice.kept.state().user("bob").value()->account_key}; }
  Status forget(const Identity& identity) {
    const auto written = alice.kept.e2ee().write(
        [&](E2eeTransaction& tx) { return alice.direct.forget_identity(tx.kept(), identity, alice.events); });
    return written.ok() ? Status() : Status(written.error());
  }
  // Each reads the other.
  void expect_that_they_talk() {
    alice.queue("compared");
    ASSERT_EQ(alice.flush(), 1);
    bob.sync();
    EXPECT_EQ(bob.history().back(), "compared");
    bob.queue("indeed");
    ASSERT_EQ(bob.flush(), 1);
    alice.sync();
    EXPECT_EQ(alice.history().back(), "indeed");
  }

  const Person made_up_ = person("bob", 2, 0x61, 9, {});
  ChatServer::User real_;
};

TEST_F(TrustMadeUp, TheRealOneIsToldOfOnce) {
  make_up_once();
  alice.events.clear();
  EXPECT_EQ(alice.fetch_lists("bob").result, Learning::kIgnored);
  EXPECT_EQ(told(EventKind::kListRefused), 1);
  EXPECT_EQ(alice.fetch_lists("bob").result, Learning::kIgnored);
  EXPECT_EQ(told(EventKind::kListRefused), 0) << "again";
  ASSERT_TRUE(alice.kept.reload().ok());
  EXPECT_EQ(alice.fetch_lists("bob").result, Learning::kIgnored);
  EXPECT_EQ(told(EventKind::kListRefused), 0) << "after a restart";
}

TEST_F(TrustMadeUp, TheRealOneCountsOnceTheOtherIsForgotten) {
  make_up_once();
  ASSERT_EQ(known().account_key, made_up_.list.account_key);
  ASSERT_TRUE(forget(known()).ok());
  alice.events.clear();
  EXPECT_EQ(alice.fetch_lists("bob").result, Learning::kFirstContact);
  EXPECT_EQ(told(EventKind::kIdentityChanged), 1) << "there is something to compare";
  EXPECT_EQ(known().account_key, parse_device_list(real_.lists.back())->account_key);
  EXPECT_TRUE(*alice.kept.e2ee().notes().identity_changed("bob"));
  expect_that_they_talk();
}

// The roster that was made up is the last that there is.
TEST_F(TrustMadeUp, AMadeUpRosterKeepsNothingFromBeingReadOnceItIsForgotten) {
  show_made_up();
  server.put_roster({"bob"});
  alice.sync();
  ASSERT_EQ(known().account_key, made_up_.list.account_key);
  show_real();
  server.stream.back().lists = {server.lists_of("bob")};  // to bob
  bob.sync();
  ASSERT_TRUE(forget(known()).ok());
  alice.fetch_lists("bob");
  expect_that_they_talk();
}

TEST_F(TrustMadeUp, AfterARestartTooTheNextListsAreAFirstContact) {
  make_up_once();
  ASSERT_TRUE(forget(known()).ok());
  ASSERT_TRUE(alice.kept.reload().ok());
  alice.events.clear();
  alice.fetch_lists("bob");
  EXPECT_EQ(told(EventKind::kIdentityChanged), 1);
  EXPECT_TRUE(*alice.kept.e2ee().notes().identity_changed("bob"));
  alice.fetch_lists("bob");
  EXPECT_EQ(told(EventKind::kIdentityChanged), 0) << "once";
}

TEST_F(TrustMadeUp, OnlyWhatTheUserHasComparedIsForgotten) {
  const Identity before = known();
  make_up_once();
  EXPECT_EQ(forget(before).code(), Code::kConflict);
  EXPECT_EQ(known().account_key, made_up_.list.account_key);
  EXPECT_EQ(forget({"carol", before.account_key}).code(), Code::kNotFound);
}

TEST_F(TrustMadeUp, AMarkFallsWithWhatIsForgotten) {
  const Identity bobs = known();
  alice.write([&](E2eeTransaction& tx) { return alice.direct.set_verified(tx.kept(), bobs, true, alice.events); });
  alice.events.clear();
  ASSERT_TRUE(forget(bobs).ok());
  EXPECT_EQ(told(EventKind::kVerifiedChanged), 1);
  alice.fetch_lists("bob");
  EXPECT_FALSE(alice.kept.state().user("bob").value()->verified);
}

// Where the app wants to accept each change: not before there is one to look at.
TEST_F(TrustMadeUp, WhatWaitsGoesWhenTheNextIdentityIsAccepted) {
  DirectConversations blocking(alice.random, alice.random, own_kem(), true);
  const auto plan = [&] {
    Plan made;
    alice.write([&](E2eeTransaction& tx) -> Status {
      CHATSDK_ASSIGN(made, blocking.plan(tx.kept(), alice.target(), alice.now_ms));
      return {};
    });
    return made;
  };
  make_up_once();
  EXPECT_EQ(plan().outcome, Plan::Outcome::kBlocked);
  ASSERT_TRUE(forget(known()).ok());
  EXPECT_EQ(plan().outcome, Plan::Outcome::kWaits);
  EXPECT_EQ(plan().lists, std::vector<UserId>{"bob"});
  alice.fetch_lists("bob");
  EXPECT_EQ(plan().outcome, Plan::Outcome::kBlocked);
  alice.write([&](E2eeTransaction& tx) { return blocking.accept_identity(tx.kept(), known()); });
  EXPECT_EQ(plan().outcome, Plan::Outcome::kWaits);
  EXPECT_EQ(plan().bundles, std::vector<Peer>{bob.self});
}

}  // namespace
}  // namespace chatsdk::e2ee
