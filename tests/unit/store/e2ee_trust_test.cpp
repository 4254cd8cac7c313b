// SPDX-License-Identifier: Apache-2.0
//
// A server that lies about who is who (docs/e2ee.md sections 5.3, 7, 10, 11.2 and 13): whatever lists it shows, nothing
// is encrypted for whom the user did not mean, and nobody speaks as somebody else.
#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "e2ee/direct.h"
#include "e2ee/outcome.h"
#include "unit/store/e2ee_chat.h"

namespace chatsdk::e2ee {
namespace {

using Outcome = ItemResult::Outcome;

class Trust : public ChatOfTwo {};

// ---- Who is in the conversation ------------------------------------------------------------------------------------

// The server lets a third user, whose lists verify, into the conversation of the two.
TEST_F(Trust, AThirdUserInARosterGetsNothing) {
  talk();
  ChatDevice mallory(server, "mallory", 66, directory);
  mallory.begin();
  server.put_roster({"mallory"});
  alice.sync();
  EXPECT_EQ(alice.kept.e2ee().state().user("mallory").value(), nullptr) << "nobody asked for what mallory's list is";
  const Roster roster = *alice.kept.e2ee().notes().roster(kChatId).value();
  EXPECT_EQ(roster.members.size(), 2U);
  EXPECT_EQ(alice.make_plan().devices, std::vector<Peer>{bob.self});
  // A refusal may name her too.
  alice.write([&](E2eeTransaction& tx) {
    return alice.direct.roster_refused(tx.kept(), alice.target(), ++server.revision,
                                       std::vector{server.lists_of("mallory"), server.lists_of("bob")}, kThen,
                                       alice.events);
  });
  EXPECT_EQ(alice.make_plan().devices, std::vector<Peer>{bob.self});
  // And what an earlier version of the library has kept of her counts for nothing.
  alice.fetch_lists("mallory");
  alice.write([&](E2eeTransaction& tx) -> Status {
    CHATSDK_ASSIGN(const KnownUser* known, tx.state().user("mallory"));
    Roster three = roster;
    three.revision = server.revision + 1;
    three.members.push_back({"mallory", known->newest().version, known->newest().hash});
    return tx.notes().put_roster(kChatId, three);
  });
  const Plan plan = alice.make_plan();
  EXPECT_EQ(plan.outcome, Plan::Outcome::kReady);
  EXPECT_EQ(plan.devices, std::vector<Peer>{bob.self});
}

// Whose list a roster lacks is written to at the newest that is known: nobody is left out silently.
TEST_F(Trust, ARosterThatLacksTheOtherUserLeavesNobodyOut) {
  talk();
  alice.write([&](E2eeTransaction& tx) -> Status {
    CHATSDK_ASSIGN(auto roster, tx.notes().roster(kChatId));
    std::erase_if(roster->members, [](const RosterMember& member) { return member.user_id == "bob"; });
    return tx.notes().put_roster(kChatId, *roster);
  });
  EXPECT_EQ(alice.make_plan().devices, std::vector<Peer>{bob.self});
}

// What the server says that somebody else has sent stands nowhere, in whatever form it comes.
TEST_F(Trust, AStrangerIsShownAsTheAuthorOfNothing) {
  talk();
  const auto before = alice.history();
  const Seq delivered = alice.delivered_from();
  for (const bool plain : {false, true}) {
    for (const bool with_slice : {true, false}) {
      ChatServer::StreamItem forged;
      forged.sent = {
          {"mallory", DeviceId{66}}, SliceKind::kMessage, ClientMessageId::make(from_unix_ms(9), alice.random), {}};
      forged.encrypted = !plain;
      if (plain) forged.plain = encode_text_content("hello");
      if (with_slice) forged.slices[alice.self] = Bytes(200, 'x');
      server.add(std::move(forged));
      alice.sync();
      EXPECT_EQ(alice.results.back(), Outcome::kInvented);
    }
  }
  EXPECT_EQ(alice.history(), before);
  EXPECT_EQ(alice.delivered_from(), delivered);
  EXPECT_EQ(alice.kept.store().cursor(kChatId).value()->others_from, 0U) << "nothing was for other devices";
}

// A device knows what it has sent itself, and where.
TEST_F(Trust, AnOwnMessageThatWasNeverSentIsNotShown) {
  talk();
  const auto before = alice.history();
  for (const bool plain : {false, true}) {
    ChatServer::StreamItem forged;
    forged.sent = {alice.self, SliceKind::kMessage, ClientMessageId::make(from_unix_ms(9), alice.random), {}};
    forged.encrypted = !plain;
    if (plain) forged.plain = encode_text_content("I owe you");
    server.add(std::move(forged));
    alice.sync();
    EXPECT_EQ(alice.results.back(), Outcome::kInvented);
  }
  EXPECT_EQ(alice.history(), before);
  // Nor does what it said to bob stand in another conversation.
  const ClientMessageId hello = server.stream[1].sent.client_message_id;
  const auto outcome_in = [&](ConversationId conversation) {
    ItemResult result;
    alice.write([&](E2eeTransaction& tx) -> Status {
      const Item item{conversation, 9, "bob", SliceKind::kMessage, alice.self, hello, true, {}};
      CHATSDK_ASSIGN(result, alice.direct.receive(tx.kept(), item, kThen));
      return {};
    });
    return result.outcome;
  };
  EXPECT_EQ(outcome_in(kChatId), Outcome::kOwn);
  EXPECT_EQ(outcome_in(ConversationId{901}), Outcome::kInvented);
}

// A server that holds it back at first and gives it out later, behind the request, has it shown once, where it was.
TEST_F(Trust, WhatIsAskedForAtOnePlaceIsShownAtNoOther) {
  talk();
  alice.queue("held back");
  ASSERT_EQ(alice.flush(), 1);
  const ChatServer::StreamItem whole = last();
  last().slices[bob.self].back() ^= 1;
  bob.sync();
  EXPECT_EQ(bob.history().back(), "?");
  ASSERT_EQ(bob.flush(), 1);
  server.add(whole);
  bob.sync();
  EXPECT_EQ(bob.results.back(), Outcome::kRepaired);
  EXPECT_EQ(bob.history().back(), "held back");
  alice.sync();
  ASSERT_EQ(alice.flush(), 1);
  bob.sync();
  const auto history = bob.history();
  EXPECT_EQ(std::count(history.begin(), history.end(), "held back"), 1);
}

// The second of two is given out under the place of the first, and its own place holds what does not open.
TEST_F(Trust, WhatStandsAtOnePlaceStandsAtNoOther) {
  talk();
  alice.queue("the first");
  alice.queue("the second");
  ASSERT_EQ(alice.flush(), 2);
  ChatServer::StreamItem& first = *(server.stream.end() - 2);
  first.sent.client_message_id = last().sent.client_message_id;
  first.slices = last().slices;
  last().slices[bob.self][4] ^= 1;  // of a session that there is not
  bob.sync();
  EXPECT_EQ(bob.results.back(), Outcome::kRepeated);
  const auto history = bob.history();
  EXPECT_EQ(std::count(history.begin(), history.end(), "the second"), 1);
  EXPECT_EQ(history.back(), "the second");
  EXPECT_EQ(bob.flush(), 0) << "nobody is asked for what is here";
  alice.sync();
  EXPECT_EQ(alice.history(), std::vector<std::string>({"hello", "hi", "the first", "the second"}));
}

// ---- Whose account it is -------------------------------------------------------------------------------------------

// Records sign themselves, so that the server can put alice's own into a list under a key that it has made.
class TrustOwnAccount : public Trust {
 protected:
  void show_another_account() {
    const SigningSeed seed = secret_of<32>(0x77);
    const DeviceRecord alices = alice.kept.state().self().value()->record;
    evil.write([&](E2eeTransaction& tx) -> Status {
      Self made;
      made.account_seed = seed.clone();
      made.keys = DeviceKeys::draw(evil.random);
      made.record = make_device_record({"alice", DeviceId{66}, kSuitesSpoken, kThen, {}}, made.keys);
      return tx.state().put_self(std::move(made));
    });
    const DeviceRecord both[] = {alices, evil.kept.state().self().value()->record};
    const DeviceList list = first_device_list("alice", seed, both, kThen).value();
    server.users["alice"] = {{list.bytes}, {both[0].bytes, both[1].bytes}, 1};
    evil.fetch_lists("alice");
    ASSERT_TRUE(evil.upload_keys());
    server.put_roster({"alice"});
    alice.sync();
    ASSERT_TRUE(alice.told(EventKind::kIdentityChanged)) << "the app hears of it";
  }
  Result<Identity> own_identity() {
    return DirectConversations::own_identity({alice.kept.state(), alice.kept.e2ee().notes()}, "alice");
  }

  ChatDevice evil{server, "alice", 66, directory};
};

TEST_F(TrustOwnAccount, NothingIsEncryptedUnderAnAccountKeyThatIsNotThisDevices) {
  talk();
  ASSERT_TRUE(own_identity().ok());
  EXPECT_EQ(own_identity()->account_key, signing_key_of(alice.kept.state().self().value()->account_seed));
  ASSERT_NO_FATAL_FAILURE(show_another_account());
  alice.queue("for bob alone");
  EXPECT_EQ(alice.flush(), 0);
  EXPECT_EQ(alice.last_plan.outcome, Plan::Outcome::kUnlisted);
  // What the user reads out is never the server's key.
  EXPECT_EQ(own_identity().code(), Code::kWrongState);
  // Nor is a session begun with anybody.
  alice.write([&](E2eeTransaction& tx) -> Status {
    const auto bundle = server.bundle(evil.self);
    const auto begun = begin_session(tx.state(), evil.self, *bundle, kThen, alice.random, own_kem());
    EXPECT_EQ(begun.code(), kUntrusted);
    return {};
  });
}

TEST_F(TrustOwnAccount, NobodySpeaksAsAnotherDeviceOfTheOwnUser) {
  talk();
  ASSERT_NO_FATAL_FAILURE(show_another_account());
  say_to(evil, alice, "I have said this myself");
  alice.sync();
  EXPECT_EQ(alice.history().back(), "?");
  EXPECT_EQ(alice.kept.e2ee().notes().tasks()->size(), 0U) << "nobody is asked for it";
}

TEST_F(TrustOwnAccount, ARequestThatWaitsIsNotSentUnderAnotherAccountKey) {
  talk();
  alice.sync();
  bob.queue("damaged");
  ASSERT_EQ(bob.flush(), 1);
  last().slices[alice.self].back() ^= 1;
  alice.sync();
  ASSERT_EQ(alice.kept.e2ee().notes().tasks()->size(), 1U);
  ASSERT_NO_FATAL_FAILURE(show_another_account());
  EXPECT_EQ(alice.flush_tasks(), 0);
  EXPECT_EQ(alice.kept.e2ee().notes().tasks()->size(), 1U) << "it waits";
}

// The user's own doing on another device: this one is out until it is linked again, and then goes on.
TEST_F(TrustOwnAccount, ADeviceOfTheAccountBeforeIsOutUntilItIsLinkedAgain) {
  talk();
  ChatDevice tablet(server, "alice", 3, directory);
  tablet.join(alice);
  alice.fetch_lists("alice");
  ListUpload upload;
  tablet.write([&](E2eeTransaction& tx) -> Status {
    CHATSDK_ASSIGN(upload, tablet.keys.replace_account(tx.kept(), tablet.self, {}, {}, kThen));
    return {};
  });
  server.put_list("alice", upload);
  server.users["alice"].lists = {upload.list};
  server.users["alice"].in_roster = 1;
  tablet.fetch_lists("alice");
  tablet.write([&](E2eeTransaction& tx) -> Status {
    CHATSDK_ASSIGN(const bool taken, tablet.keys.take_replacement(tx.kept(), "alice"));
    EXPECT_TRUE(taken);
    return {};
  });
  tablet.upload_keys();
  alice.sync();
  alice.queue("not any more");
  EXPECT_EQ(alice.flush(), 0);
  EXPECT_EQ(alice.last_plan.outcome, Plan::Outcome::kUnlisted);
  EXPECT_EQ(own_identity().code(), Code::kWrongState);
  EXPECT_TRUE(DirectConversations::own_identity({tablet.kept.state(), tablet.kept.e2ee().notes()}, "alice").ok());
}

// ---- An identity that is passed over -------------------------------------------------------------------------------

// Bob has lost his devices and begun anew with a list that comes before the one that alice knows: his clock was ahead
// once, and the server's store went back. Or the server has made it up.
TEST_F(Trust, AnIdentityThatComesBeforeTheOneThatIsKnownIsToldOfOnce) {
  talk();
  ChatDevice laptop(server, "bob", 4, directory);
  laptop.now_ms = kThen + 86'400'000;
  laptop.join(bob);
  alice.sync();
  alice.fetch_lists("bob");
  ASSERT_EQ(alice.kept.state().user("bob").value()->newest().version, 2U);
  alice.events.clear();
  const auto show = [this](unsigned char seed) {
    const Person anew = person("bob", seed, seed, 9, {});
    server.users["bob"] = {{anew.list.bytes}, {anew.record.bytes}, 1};
    alice.fetch_lists("bob");
    const auto told = std::exchange(alice.events, {});
    return std::count(told.begin(), told.end(), Event{EventKind::kListRefused, "bob", {}});
  };
  EXPECT_EQ(show(0x61), 1);
  EXPECT_EQ(show(0x61), 0) << "again";
  ASSERT_TRUE(alice.kept.reload().ok());
  EXPECT_EQ(show(0x61), 0) << "after a restart";
  EXPECT_EQ(show(0x71), 1) << "another one";
  // A refusal for the roster shows the newest lists, too.
  const auto refuse = [this](unsigned char seed) {
    const Person anew = person("bob", seed, seed, 9, {});
    const UserLists newer[] = {{"bob", {anew.list.bytes}, {anew.record.bytes}}};
    alice.write([&](E2eeTransaction& tx) {
      return alice.direct.roster_refused(tx.kept(), alice.target(), 9, newer, alice.now_ms, alice.events);
    });
    return std::exchange(alice.events, {}).size();
  };
  EXPECT_EQ(refuse(0x71), 0U);
  EXPECT_EQ(refuse(0x61), 0U) << "also in turn with another";
}

// Whoever reads a conversation from its beginning meets identities of before everywhere.
TEST_F(Trust, AnIdentityOfBeforeInAnOldRosterIsToldToNobody) {
  talk();
  ChatDevice laptop(server, "bob", 4, directory);
  laptop.join(bob);
  alice.sync();
  alice.events.clear();
  const Person before = person("bob", 0x61, 0x61, 9, {});
  ChatServer::StreamItem old;
  old.is_roster = true;
  old.revision = ++server.revision;
  old.lists = {{"bob", {before.list.bytes}, {before.record.bytes}}};
  server.add(std::move(old));
  alice.sync();
  EXPECT_TRUE(alice.events.empty());
}

// ---- Lists that go back --------------------------------------------------------------------------------------------

class TrustOldList : public Trust {
 protected:
  // Bob's laptop was listed, and is not any more; alice has applied both.
  void talk_and_unlink() {
    talk();
    laptop.join(bob);
    bob.fetch_lists("bob");
    alice.sync();
    with_laptop = server.lists_of("bob");
    laptop.fetch_lists("alice");
    laptop.sync();
    bob.unlink(laptop);
    alice.sync();
    ASSERT_TRUE(alice.told(EventKind::kDeviceRemoved));
    alice.events.clear();
  }
  void show_the_old_list() {
    ChatServer::StreamItem back;
    back.is_roster = true;
    back.revision = ++server.revision;
    back.lists = {{"bob", {with_laptop.lists.back()}, with_laptop.records}};
    server.add(std::move(back));
  }
  std::size_t refusals() {
    const auto all = std::count_if(alice.events.begin(), alice.events.end(),
                                   [](const Event& event) { return event.kind == EventKind::kListRefused; });
    alice.events.clear();
    return static_cast<std::size_t>(all);
  }

  ChatDevice laptop{server, "bob", 4, directory};
  UserLists with_laptop;
};

TEST_F(TrustOldList, ARemovedDeviceDoesNotSpeakAgainUnderAnOlderList) {
  ASSERT_NO_FATAL_FAILURE(talk_and_unlink());
  // The second try must not succeed where the first has failed.
  for (int i = 0; i < 2; ++i) {
    show_the_old_list();
    alice.sync();
    EXPECT_EQ(refusals(), 1U);
    say_to(laptop, alice, "this is bob");
    alice.sync();
    EXPECT_EQ(alice.history().back(), "?");
    EXPECT_EQ(alice.make_plan().outcome, Plan::Outcome::kWaits) << "nothing is sent under such a roster";
  }
  // The roster of today mends it.
  server.put_roster({"bob"});
  alice.sync();
  EXPECT_EQ(refusals(), 0U);
  bob.sync();
  say(bob, alice, "it is me");
  say(alice, bob, "good");
}

TEST_F(TrustOldList, AnotherIdOfTheConversationForgetsNothing) {
  ASSERT_NO_FATAL_FAILURE(talk_and_unlink());
  const ConversationId other{901};
  alice.write([&](E2eeTransaction& tx) -> Status {
    const RosterItem item{other, "alice", "bob", true, 1, {with_laptop}};
    CHATSDK_ASSIGN([[maybe_unused]] const auto applied, alice.direct.roster_item(tx.kept(), item, kThen, alice.events));
    CHATSDK_ASSIGN(const auto roster, tx.notes().roster(other));
    EXPECT_EQ(roster->members.size(), 1U);
    EXPECT_EQ(roster->members.front().list_hash, Hash{});
    return {};
  });
  EXPECT_EQ(refusals(), 1U);
}

TEST_F(TrustOldList, AServerThatWasPutBackMayShowOlderOnes) {
  ASSERT_NO_FATAL_FAILURE(talk_and_unlink());
  ASSERT_TRUE(alice.kept.store().begin_epoch(2, StreamId{500}).ok());
  EXPECT_FALSE(alice.kept.e2ee().notes().roster(kChatId)->has_value()) << "the stream is read from its beginning";
  EXPECT_EQ(alice.make_plan().devices, std::vector<Peer>{bob.self}) << "of the newest list that is known";
  // As it was while the laptop was listed.
  server.stream.resize(4);
  server.revision = 2;
  server.users["bob"].lists = with_laptop.lists;
  server.users["bob"].in_roster = with_laptop.lists.size();
  alice.sync();
  EXPECT_EQ(refusals(), 0U);
  EXPECT_EQ(alice.history(), (std::vector<std::string>{"hello", "hi"}));
  EXPECT_EQ(alice.make_plan().devices, std::vector<Peer>{bob.self})
      << "a device that a newer list removed gets nothing";
}

// The first copy of the server's store is of the time when the laptop was listed.
class TrustRestored : public TrustOldList {
 protected:
  void put_back(std::uint64_t epoch) {
    for (ChatDevice* device : {&alice, &bob}) {
      device->write([device](E2eeTransaction& tx) -> Status {
        CHATSDK_ASSIGN([[maybe_unused]] const auto upload, device->keys.new_epoch(tx.kept(), device->now_ms));
        return {};
      });
      ASSERT_TRUE(device->kept.store().begin_epoch(epoch, StreamId{500}).ok());
    }
    server.stream.resize(4);
    server.revision = 2;
    server.users["bob"].lists = with_laptop.lists;
    server.users["bob"].in_roster = with_laptop.lists.size();
    alice.sync();
    bob.sync();
    ASSERT_EQ(refusals(), 0U) << "the server may show what it has";
  }
};

TEST_F(TrustRestored, ARemovedDeviceDoesNotSpeakAgain) {
  ASSERT_NO_FATAL_FAILURE(talk_and_unlink());
  for (const std::uint64_t epoch : {2U, 3U}) {
    ASSERT_NO_FATAL_FAILURE(put_back(epoch));
    say_to(laptop, alice, "send the money to");
    alice.sync();
    EXPECT_EQ(alice.results.back(), Outcome::kPlaceholder);
    EXPECT_EQ(alice.history().back(), "?");
    EXPECT_EQ(alice.kept.e2ee().notes().tasks()->size(), 0U) << "nobody is asked for it";
  }
}

// Nor in the session that it had while it was listed.
TEST_F(TrustRestored, ARemovedDeviceDoesNotSpeakAgainInItsOldSession) {
  talk();
  laptop.join(bob);
  bob.fetch_lists("bob");
  with_laptop = server.lists_of("bob");
  laptop.fetch_lists("alice");
  say_to(laptop, alice, "from the laptop");
  alice.sync();
  ASSERT_EQ(alice.history().back(), "from the laptop");
  bob.unlink(laptop);
  alice.sync();
  ASSERT_NO_FATAL_FAILURE(put_back(2));
  say_to(laptop, alice, "send the money to");
  alice.sync();
  EXPECT_EQ(alice.history().back(), "?");
}

// Nor does a device of the own user.
TEST_F(TrustRestored, ARemovedDeviceOfTheOwnUserDoesNotSpeakAgain) {
  talk();
  bob.sync();
  laptop.join(bob);
  bob.fetch_lists("bob");
  with_laptop = server.lists_of("bob");
  laptop.fetch_lists("alice");
  bob.sync();
  bob.unlink(laptop);
  bob.sync();
  ASSERT_NO_FATAL_FAILURE(put_back(2));
  say_to(laptop, bob, "I have said this myself");
  bob.sync();
  EXPECT_EQ(bob.history().back(), "?");
}

// Until bob's list is there again, his messages and alice's wait, and what his listed devices send is read.
TEST_F(TrustRestored, NothingIsLostUntilTheListIsThereAgain) {
  ASSERT_NO_FATAL_FAILURE(talk_and_unlink());
  const UserLists today = server.lists_of("bob");
  ASSERT_NO_FATAL_FAILURE(put_back(2));
  say_to(bob, alice, "sent under the list of before");
  alice.sync();
  EXPECT_EQ(alice.history().back(), "sent under the list of before");
  alice.queue("for bob's phone alone");
  EXPECT_EQ(alice.flush(), 0) << "the server wants a copy for the laptop, and gets none";
  alice.refused = 0;
  server.users["bob"].lists = today.lists;
  server.put_roster({"bob"});
  alice.sync();
  EXPECT_EQ(refusals(), 0U);
  EXPECT_EQ(alice.flush(), 1);
  EXPECT_FALSE(last().slices.contains(laptop.self));
  bob.sync();
  EXPECT_EQ(bob.history().back(), "for bob's phone alone");
  say(bob, alice, "good");
}

// What was reached is of the account key: another one begins anew.
TEST_F(TrustRestored, AnotherAccountKeyIsBelowNothing) {
  ASSERT_NO_FATAL_FAILURE(talk_and_unlink());
  ASSERT_TRUE(alice.kept.store().begin_epoch(2, StreamId{500}).ok());
  const auto reached = [this] { return alice.kept.e2ee().notes().list_version_before("bob", "bob").value(); };
  EXPECT_EQ(reached(), 3U);
  EXPECT_EQ(alice.kept.e2ee().notes().list_version_before("alice", "bob").value(), 1U);
  EXPECT_EQ(alice.kept.e2ee().notes().list_version_with("bob", "bob").value(), 0U);
  ASSERT_TRUE(alice.kept.store().begin_epoch(3, StreamId{500}).ok());
  EXPECT_EQ(reached(), 3U) << "also where nothing of the epoch between was read";
  const Person other = person("bob", 8, 0x61, 5, {});
  const DeviceList list = first_device_list("bob", other.account_seed, {&other.record, 1}, kThen + 1).value();
  server.users["bob"] = {{list.bytes}, {other.record.bytes}, 1};
  server.put_roster({"bob"});
  alice.sync();
  ASSERT_TRUE(alice.told(EventKind::kIdentityChanged));
  EXPECT_EQ(reached(), 0U);
}

// A lower version of another account key is another identity, and none that goes back, where it is of later.
TEST_F(TrustOldList, AnotherAccountKeyBeginsAnew) {
  ASSERT_NO_FATAL_FAILURE(talk_and_unlink());
  const Person other = person("bob", 8, 0x61, 5, {});
  const DeviceList list = first_device_list("bob", other.account_seed, {&other.record, 1}, kThen + 1).value();
  server.users["bob"] = {{list.bytes}, {other.record.bytes}, 1};
  server.put_roster({"bob"});
  alice.sync();
  EXPECT_TRUE(alice.told(EventKind::kIdentityChanged));
  EXPECT_EQ(refusals(), 0U);
  EXPECT_EQ(alice.make_plan().bundles, (std::vector<Peer>{{"bob", DeviceId{8}}}));
}

// ---- Identities that were replaced ---------------------------------------------------------------------------------

// Alice lost her devices and began anew, while bob was away.
class TrustReplaced : public Trust {
 protected:
  void begin_anew() {
    anew.fetch_lists("alice");
    ListUpload upload;
    anew.write([&](E2eeTransaction& tx) -> Status {
      CHATSDK_ASSIGN(upload, anew.keys.replace_account(tx.kept(), anew.self, {}, {}, kThen + 1));
      return {};
    });
    auto& user = server.users["alice"];
    user.lists = {upload.list};
    user.records.insert(user.records.end(), upload.records.begin(), upload.records.end());
    user.in_roster = 1;
    server.put_roster({"alice"});
    anew.fetch_lists("alice");
    anew.write([&](E2eeTransaction& tx) -> Status {
      CHATSDK_ASSIGN(const bool replaced, anew.keys.take_replacement(tx.kept(), "alice"));
      EXPECT_TRUE(replaced);
      return {};
    });
    anew.upload_keys();
  }
  // Bob hears of it by the refusal of what he sends, or by a question, before the items come.
  void bob_hears_of_it_first() {
    bob.fetch_lists("alice");
    ASSERT_TRUE(bob.told(EventKind::kIdentityChanged));
    ASSERT_EQ(bob.active(alice), 0U);
  }
  void write_five() {
    for (int i = 0; i < 5; ++i) {
      alice.queue("before " + std::to_string(i));
      ASSERT_EQ(alice.flush(), 1);
    }
  }
  std::vector<std::string> five_behind(std::vector<std::string> texts) {
    for (int i = 0; i < 5; ++i) texts.push_back("before " + std::to_string(i));
    return texts;
  }

  ChatDevice anew{server, "alice", 5, directory};
};

TEST_F(TrustReplaced, WhatWasSentBeforeIsReadAfterAll) {
  talk();
  ASSERT_NO_FATAL_FAILURE(write_five());
  begin_anew();
  bob.queue("are you there?");
  ASSERT_EQ(bob.flush(), 1);
  ASSERT_EQ(bob.refused, 1);
  ASSERT_TRUE(bob.told(EventKind::kIdentityChanged));
  ASSERT_TRUE(bob.kept.reload().ok());
  bob.sync();
  auto all = five_behind({"hello", "hi"});
  all.push_back("are you there?");
  EXPECT_EQ(bob.history(), all);
  EXPECT_EQ(bob.active(alice), 0U) << "nothing is sent to the device of before";
  anew.sync();
  EXPECT_EQ(anew.history().back(), "are you there?");
  say(anew, bob, "with new keys");
}

TEST_F(TrustReplaced, BehindTheChangeWhoHasTheOldKeysIsNotRead) {
  talk();
  begin_anew();
  bob.sync();
  say_to(alice, bob, "send the money to");
  bob.sync();
  EXPECT_EQ(bob.history().back(), "?");
  EXPECT_EQ(bob.kept.e2ee().notes().tasks()->size(), 0U) << "nobody is asked for it";
  // Nor where the old lists are shown once more, be it in another epoch.
  const auto show_old_lists = [this] {
    const DeviceRecord record = alice.kept.state().self().value()->record;
    ChatServer::StreamItem back;
    back.is_roster = true;
    back.revision = ++server.revision;
    back.lists = {{"alice", {alice.kept.state().user("alice").value()->newest().bytes}, {record.bytes}}};
    server.add(std::move(back));
    say_to(alice, bob, "send the money to");
    bob.sync();
  };
  show_old_lists();
  EXPECT_EQ(bob.history().back(), "?");
  ASSERT_TRUE(bob.kept.store().begin_epoch(2, StreamId{500}).ok());
  server.stream.clear();
  server.revision = 0;
  show_old_lists();
  EXPECT_EQ(bob.history().back(), "?");
}

// Lists of before stand ahead of what was sent under them.
TEST_F(TrustReplaced, RostersOfBeforeTheChangeAreAppliedAfterIt) {
  talk();
  ChatDevice tablet(server, "alice", 3, directory);
  tablet.join(alice);
  alice.fetch_lists("alice");
  bob.fetch_lists("alice");
  ASSERT_NO_FATAL_FAILURE(write_five());
  tablet.sync();
  tablet.queue("and from the tablet, for the first time");
  ASSERT_EQ(tablet.flush(), 1);
  begin_anew();
  ASSERT_NO_FATAL_FAILURE(bob_hears_of_it_first());
  bob.sync();
  auto all = five_behind({"hello", "hi"});
  all.push_back("and from the tablet, for the first time");
  EXPECT_EQ(bob.history(), all);
  EXPECT_EQ(bob.active(tablet), 0U);
  say(anew, bob, "with new keys");
}

TEST_F(TrustReplaced, WhatDoesNotOpenOfItIsNotAskedFor) {
  talk();
  alice.queue("damaged");
  ASSERT_EQ(alice.flush(), 1);
  last().slices[bob.self].back() ^= 1;
  begin_anew();
  ASSERT_NO_FATAL_FAILURE(bob_hears_of_it_first());
  bob.sync();
  EXPECT_EQ(bob.history().back(), "?");
  EXPECT_EQ(bob.kept.e2ee().notes().tasks()->size(), 0U);
}

TEST_F(TrustReplaced, ItIsReadForAsLongAsSessionsAreArchived) {
  talk();
  for (const char* const text : {"in time", "too late"}) alice.queue(text);
  ASSERT_EQ(alice.flush(), 2);
  begin_anew();
  ASSERT_NO_FATAL_FAILURE(bob_hears_of_it_first());
  const auto age_at = [this](std::uint64_t now_ms) {
    bob.write([&](E2eeTransaction& tx) -> Status {
      CHATSDK_ASSIGN(const bool aged, bob.keys.age_once_a_day(tx.kept(), now_ms));
      EXPECT_TRUE(aged);
      return {};
    });
  };
  const auto read_next_at = [this](std::uint64_t now_ms) {
    ItemResult result;
    bob.now_ms = now_ms;
    bob.write([&](E2eeTransaction& tx) { return bob.take(tx, server.stream.at(bob.cursor()), result); });
  };
  const auto kept_ms = static_cast<std::uint64_t>(std::chrono::milliseconds(limits::e2ee::kArchivedKept).count());
  age_at(kThen + kept_ms - 1);
  read_next_at(kThen + kept_ms - 1);
  EXPECT_EQ(bob.history().back(), "in time");
  read_next_at(kThen + kept_ms);
  EXPECT_EQ(bob.history().back(), "?") << "though nothing has aged meanwhile";
  age_at(kThen + 2 * kept_ms);
  auto rows = bob.kept.db().prepare(
      "SELECT (SELECT count(*) FROM e2ee_former_list) + (SELECT count(*) FROM "
      "e2ee_former_device) + (SELECT count(*) FROM e2ee_former_record)");
  ASSERT_TRUE(rows->step().value());
  EXPECT_EQ(rows->integer(0), 0);
}

// A copy of what another own device sent is under the own account key of before, which this device holds.
TEST_F(TrustReplaced, CopiesOfOwnMessagesAreReadByWhoHoldsTheKeyOfBefore) {
  talk();
  ChatDevice tablet(server, "alice", 3, directory);
  tablet.join(alice);
  alice.sync();
  alice.fetch_lists("alice");
  tablet.sync();
  ASSERT_NO_FATAL_FAILURE(write_five());
  begin_anew();
  tablet.fetch_lists("alice");
  ASSERT_TRUE(tablet.told(EventKind::kIdentityChanged));
  tablet.sync();
  EXPECT_EQ(tablet.history().back(), "before 4");
}

// ---- Requests of another identity ----------------------------------------------------------------------------------

class TrustRetry : public Trust {
 protected:
  // Bob's place is taken by an account that the server has made; his device_id too.
  void take_bobs_place() {
    server.users["bob"] = {};
    server.stocks.erase(bob.self);
    for (int i = 0; i < 9; ++i) draw_secret<32>(evil.random);  // other keys than bob's
    evil.begin();
    evil.fetch_lists("alice");
    server.put_roster({"bob"});
    alice.sync();
    ASSERT_TRUE(alice.told(EventKind::kIdentityChanged));
  }
  void evil_asks_for(const ChatServer::StreamItem& target) {
    const RetryBody body{target.seq, target.sent.client_message_id, {}};
    speak(evil, alice, SliceKind::kRetry, BodyType::kRetryRequest, serialize(body));
    alice.sync();
    ASSERT_EQ(alice.active(evil), 1U) << "the request was opened";
  }
  void block() { alice.block_changed_identities(); }
  void accept() {
    const SigningKey key = alice.kept.e2ee().state().user("bob").value()->account_key;
    alice.write([&](E2eeTransaction& tx) { return alice.direct.accept_identity(tx.kept(), {"bob", key}); });
  }
  std::size_t tasks() { return alice.kept.e2ee().notes().tasks()->size(); }
  // Bob asks alice for what came to him damaged, and she has not answered yet.
  void queue_a_repair() {
    alice.sync();
    alice.queue("damaged");
    ASSERT_EQ(alice.flush(), 1);
    last().slices[bob.self].back() ^= 1;
    bob.sync();
    ASSERT_EQ(bob.flush(), 1);
    alice.sync();
    ASSERT_EQ(tasks(), 1U);
  }

  ChatDevice evil{server, "bob", 2, directory / "evil"};
};

TEST_F(TrustRetry, AnotherIdentityGetsNothingOfBefore) {
  talk();
  say(alice, bob, "the secret of yesterday");
  const ChatServer::StreamItem secret = last();
  ASSERT_NO_FATAL_FAILURE(take_bobs_place());
  ASSERT_NO_FATAL_FAILURE(evil_asks_for(secret));
  EXPECT_EQ(tasks(), 0U) << "sending is not even blocked";
  accept();
  ASSERT_NO_FATAL_FAILURE(evil_asks_for(secret));
  EXPECT_EQ(tasks(), 0U) << "who accepts an identity has not sent it what was sent to the one before";
}

TEST_F(TrustRetry, ARepairThatWaitsGoesWithTheIdentityThatAskedForIt) {
  talk();
  ASSERT_NO_FATAL_FAILURE(queue_a_repair());
  ASSERT_NO_FATAL_FAILURE(take_bobs_place());
  EXPECT_EQ(tasks(), 0U);
}

TEST_F(TrustRetry, ARepairIsForTheKeysThatTheMessageWasFor) {
  talk();
  ASSERT_NO_FATAL_FAILURE(queue_a_repair());
  // The same account lists other keys under the device_id.
  ChatDevice again(server, "bob", 2, directory / "again");
  for (int i = 0; i < 9; ++i) draw_secret<32>(again.random);
  ListUpload list;
  bob.write([&](E2eeTransaction& tx) -> Status {
    const DeviceRecord record =
        make_device_record({"bob", DeviceId{2}, kSuitesSpoken, kThen, {}}, DeviceKeys::draw(again.random));
    const DeviceId gone[] = {bob.self.device_id};
    CHATSDK_ASSIGN(list, bob.keys.next_list(tx.kept(), {&record, 1}, gone, kThen));
    return {};
  });
  server.put_list("bob", list);
  alice.sync();
  EXPECT_EQ(alice.flush_tasks(), 0);
  EXPECT_EQ(tasks(), 0U) << "dropped";
}

TEST_F(TrustRetry, WhatIsBlockedIsNotAskedForNorRepairedUntilTheAppAccepts) {
  talk();
  block();
  ASSERT_NO_FATAL_FAILURE(take_bobs_place());
  // A message of the new identity comes damaged.
  ASSERT_NO_FATAL_FAILURE(evil_asks_for(server.stream.front()));
  say_to(evil, alice, "damaged");
  last().slices[alice.self].back() ^= 1;
  alice.sync();
  ASSERT_EQ(tasks(), 1U);
  EXPECT_EQ(alice.flush_tasks(), 0);
  EXPECT_EQ(tasks(), 1U) << "it waits";
  accept();
  EXPECT_EQ(alice.flush_tasks(), 1);
}

// ---- Lists that are withheld ---------------------------------------------------------------------------------------

class TrustWithheld : public Trust {
 protected:
  // A set-up of alice's comes to bob, who has heard nothing of the list that it names.
  void set_up_from_a_list_that_is_ahead() {
    talk();
    tablet.join(alice);
    alice.fetch_lists("alice");
    server.stream.pop_back();  // the ROSTER item
    --server.revision;
    bob.write([&](E2eeTransaction& tx) { return tx.state().drop_sessions("alice"); });
    alice.write([&](E2eeTransaction& tx) { return tx.state().drop_sessions("bob"); });
    say_to(alice, bob, "ahead");
    bob.events.clear();
    ItemResult result;
    bob.write([&](E2eeTransaction& tx) { return bob.take(tx, last(), result); });
    ASSERT_EQ(result.outcome, Outcome::kContent) << "it is opened all the same";
    ASSERT_TRUE(result.lists_wanted);
    ASSERT_EQ(awaited(), 2U);
  }
  std::uint64_t awaited() { return bob.kept.e2ee().notes().awaited_list("alice").value(); }
  // What the server shows of alice stays as it was.
  void withhold() { server.users["alice"].lists.resize(1); }

  ChatDevice tablet{server, "alice", 3, directory};
};

TEST_F(TrustWithheld, IsTold) {
  ASSERT_NO_FATAL_FAILURE(set_up_from_a_list_that_is_ahead());
  withhold();
  ASSERT_TRUE(bob.kept.reload().ok());
  EXPECT_EQ(awaited(), 2U) << "also when the program ends before the answer comes";
  EXPECT_EQ(bob.kept.e2ee().notes().awaited_users().value(), std::vector<UserId>{"alice"});
  bob.fetch_lists("alice");
  EXPECT_EQ(bob.events, (std::vector<Event>{{EventKind::kListRefused, "alice", {}}}));
  bob.fetch_lists("alice");
  EXPECT_EQ(bob.events.size(), 1U) << "once";
}

TEST_F(TrustWithheld, ANothingNewerIsNoAnswerEither) {
  ASSERT_NO_FATAL_FAILURE(set_up_from_a_list_that_is_ahead());
  bob.write([&](E2eeTransaction& tx) -> Status {
    CHATSDK_ASSIGN([[maybe_unused]] const auto learned,
                   bob.direct.take_lists(tx.kept(), {"alice", {}, {}}, 2, kThen, bob.events));
    return {};
  });
  EXPECT_EQ(bob.events, (std::vector<Event>{{EventKind::kListRefused, "alice", {}}}));
}

TEST_F(TrustWithheld, AnAnswerToAQuestionOfBeforeSaysNothing) {
  ASSERT_NO_FATAL_FAILURE(set_up_from_a_list_that_is_ahead());
  bob.write([&](E2eeTransaction& tx) -> Status {
    CHATSDK_ASSIGN([[maybe_unused]] const auto learned,
                   bob.direct.take_lists(tx.kept(), {"alice", {}, {}}, 0, kThen, bob.events));
    return {};
  });
  EXPECT_TRUE(bob.events.empty());
  EXPECT_EQ(awaited(), 2U);
}

TEST_F(TrustWithheld, WhatIsShownIsAwaitedNoMore) {
  ASSERT_NO_FATAL_FAILURE(set_up_from_a_list_that_is_ahead());
  bob.fetch_lists("alice");
  EXPECT_FALSE(bob.told(EventKind::kListRefused));
  EXPECT_TRUE(bob.told(EventKind::kDeviceAdded));
  EXPECT_EQ(awaited(), 0U);
}

TEST_F(TrustWithheld, AServerThatWasPutBackMayHaveLostIt) {
  ASSERT_NO_FATAL_FAILURE(set_up_from_a_list_that_is_ahead());
  withhold();
  ASSERT_TRUE(bob.kept.store().begin_epoch(2, StreamId{500}).ok());
  EXPECT_EQ(awaited(), 0U);
  bob.fetch_lists("alice");
  EXPECT_TRUE(bob.events.empty());
}

}  // namespace
}  // namespace chatsdk::e2ee
