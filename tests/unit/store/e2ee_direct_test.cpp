// SPDX-License-Identifier: Apache-2.0
//
// Encrypted direct conversations on device stores: what docs/e2ee.md sections 10 and 11 say of sending and receiving,
// each in the transactions that the engine makes. Requests and repairs: e2ee_repairs_test.cpp.
#include "e2ee/direct.h"

#include <gtest/gtest.h>
#include <sqlite3.h>

#include <string>
#include <vector>

#include "base/limits.h"
#include "unit/store/e2ee_chat.h"

namespace chatsdk::e2ee {
namespace {

using Outcome = ItemResult::Outcome;
using Texts = std::vector<std::string>;

class Direct : public ChatOfTwo {
 protected:
  static KnownUser known_to(ChatDevice& device, const UserId& user_id) {
    const auto known = device.kept.e2ee().state().user(user_id);
    EXPECT_TRUE(known.ok() && *known != nullptr);
    return **known;
  }
  static SigningKey account_key_of(ChatDevice& device, const UserId& user_id) {
    return known_to(device, user_id).account_key;
  }
};

// ---- Sending and receiving -----------------------------------------------------------------------------------------

TEST_F(Direct, BothReadWhatTheOtherWrites) {
  talk();
  for (int i = 0; i < 5; ++i) {
    say(alice, bob, "a" + std::to_string(i));
    say(bob, alice, "b" + std::to_string(i));
  }
  EXPECT_EQ(alice.history(), bob.history());
  EXPECT_EQ(alice.history().size(), 12U);
  EXPECT_EQ(alice.bundles_fetched + bob.bundles_fetched, 1) << "one set-up served both";
  EXPECT_EQ(alice.delivered_from(), 0U);
  for (const auto& [peer, counters] : server.counters) {
    for (std::size_t i = 0; i < counters.size(); ++i) EXPECT_EQ(counters[i], i + 1);
  }
}

TEST_F(Direct, EveryOtherDeviceOfBothUsersGetsASlice) {
  begin_both();
  ChatDevice tablet(server, "alice", 3, directory);
  tablet.join(alice);
  alice.fetch_lists("alice");
  say(alice, bob, "for all");
  tablet.sync();
  EXPECT_EQ(tablet.history(), Texts{"for all"});
  say(tablet, bob, "from the tablet");
  alice.sync();
  say(bob, alice, "to both");
  tablet.sync();
  EXPECT_EQ(alice.history(), (Texts{"for all", "from the tablet", "to both"}));
  EXPECT_EQ(tablet.history(), alice.history());
  EXPECT_EQ(bob.history(), alice.history());
}

TEST_F(Direct, ARefusedSendIsEncryptedAnewForTheDevicesOfTheServersRoster) {
  talk();
  alice.queue("before the laptop");
  ASSERT_TRUE(alice.encrypt(alice.waiting.front()));
  const Encrypted before = **alice.kept.e2ee().notes().out(alice.waiting.front());
  ChatDevice laptop(server, "bob", 4, directory);
  laptop.join(bob);
  EXPECT_EQ(alice.flush(), 1);
  EXPECT_EQ(alice.refused, 1);
  ASSERT_EQ(before.slices.size(), 1U);
  EXPECT_EQ(last().slices.size(), 2U);
  EXPECT_NE(last().slices[bob.self], before.slices.front().message) << "no key seals two plaintexts";
  EXPECT_TRUE(alice.told(EventKind::kDeviceAdded));
  laptop.sync();
  bob.sync();
  alice.sync();
  EXPECT_EQ(laptop.history().back(), "before the laptop");
  EXPECT_EQ(bob.history().back(), "before the laptop");
  EXPECT_EQ(alice.history().back(), "before the laptop");
  // The roster's own item changes nothing more: the next message goes at once.
  say(alice, laptop, "after");
  EXPECT_EQ(alice.refused, 1);
}

TEST_F(Direct, ARemovedDeviceGetsNothingAndItsSessionsAreArchived) {
  begin_both();
  ChatDevice laptop(server, "bob", 4, directory);
  laptop.join(bob);
  bob.fetch_lists("bob");
  say(alice, bob, "one");
  EXPECT_EQ(alice.active(laptop), 1U);
  bob.unlink(laptop);
  alice.sync();
  EXPECT_TRUE(alice.told(EventKind::kDeviceRemoved));
  EXPECT_EQ(alice.active(laptop), 0U);
  say(alice, bob, "two");
  EXPECT_EQ(last().slices.size(), 1U);
  EXPECT_FALSE(last().slices.contains(laptop.self));
}

TEST_F(Direct, SetUpsThatCrossEndInOneSession) {
  begin_both();
  server.begin_conversation();
  alice.sync();
  bob.sync();
  alice.queue("from alice");
  bob.queue("from bob");
  ASSERT_EQ(alice.flush() + bob.flush(), 2);
  alice.sync();
  bob.sync();
  EXPECT_EQ(alice.history(), bob.history());
  say(alice, bob, "and on");
  say(bob, alice, "it goes");
  ASSERT_EQ(alice.active(bob), 1U);
  ASSERT_EQ(bob.active(alice), 1U);
  const auto active_id = [](const std::vector<SessionSummary>& all) {
    for (const SessionSummary& each : all) {
      if (each.status == SessionStatus::kActive) return each.session_id;
    }
    return SessionId{};
  };
  EXPECT_EQ(active_id(alice.sessions(bob)), active_id(bob.sessions(alice)));
  EXPECT_EQ(alice.bundles_fetched, 1);
  EXPECT_EQ(bob.bundles_fetched, 1);
}

TEST_F(Direct, APeerWithoutKeysIsWaitedForAndTold) {
  alice.begin();
  alice.queue("patience");
  EXPECT_EQ(alice.flush(), 0);
  EXPECT_TRUE(alice.told(EventKind::kPeerWithoutKeys));
  EXPECT_EQ(alice.last_plan.lists, std::vector<UserId>{"bob"});
  bob.begin();
  EXPECT_EQ(alice.flush(), 1);
  bob.sync();
  EXPECT_EQ(bob.history(), Texts{"patience"});
}

TEST_F(Direct, ABundleThatDoesNotHoldIsAskedForAgainAfterAMinute) {
  begin_both();
  const ChatServer::Stock good = server.stocks[bob.self];
  server.stocks[bob.self].signed_prekey.back() ^= 1;
  alice.queue("later");
  EXPECT_EQ(alice.flush(), 0);
  EXPECT_EQ(alice.bundles_fetched, 1);
  EXPECT_EQ(alice.last_plan.ask_again_ms, kThen + 60'000);
  alice.now_ms += 59'999;
  EXPECT_EQ(alice.flush(), 0);
  EXPECT_EQ(alice.bundles_fetched, 1);
  server.stocks[bob.self] = good;
  alice.now_ms += 1;
  EXPECT_EQ(alice.flush(), 1);
  EXPECT_EQ(alice.bundles_fetched, 2);
}

// Who was just set up uploads its prekeys right after its list: a first message need not wait a minute for them.
TEST_F(Direct, ABundleThatIsNotThereIsAskedForAfterASecondAndThenEachTimeAfterTwiceAsLong) {
  begin_both();
  const ChatServer::Stock good = server.stocks[bob.self];
  server.stocks.erase(bob.self);
  alice.queue("soon");
  int asked = 0;
  for (const std::uint64_t seconds : {1U, 2U, 4U, 8U, 16U, 32U, 60U, 60U}) {
    const std::uint64_t pause = seconds * 1'000;
    EXPECT_EQ(alice.flush(), 0);
    EXPECT_EQ(alice.bundles_fetched, ++asked);
    EXPECT_EQ(alice.last_plan.ask_again_ms, alice.now_ms + pause);
    alice.now_ms += pause - 1;
    EXPECT_EQ(alice.flush(), 0);
    EXPECT_EQ(alice.bundles_fetched, asked);
    alice.now_ms += 1;
  }
  server.stocks[bob.self] = good;
  EXPECT_EQ(alice.flush(), 1);
  bob.sync();
  EXPECT_EQ(bob.history(), Texts{"soon"});
}

// A time that has passed would be waited for without an end, while the bundle is on its way.
TEST_F(Direct, APauseThatIsOverIsNotWaitedFor) {
  begin_both();
  server.stocks[bob.self].signed_prekey.back() ^= 1;
  alice.queue("later");
  EXPECT_EQ(alice.flush(), 0);
  alice.now_ms += 60'000;
  const Plan plan = alice.make_plan();
  EXPECT_EQ(plan.outcome, Plan::Outcome::kWaits);
  EXPECT_EQ(plan.bundles, std::vector<Peer>{bob.self});
  EXPECT_EQ(plan.ask_again_ms, 0U);
}

TEST_F(Direct, ADeviceWithoutKeysIsLeftOutWhereAnotherOfThePeersIsReached) {
  talk();
  ChatDevice laptop(server, "bob", 4, directory);
  laptop.join(bob, false);
  const int before = alice.bundles_fetched;
  say(alice, bob, "one");
  EXPECT_EQ(last().slices.at(laptop.self), Bytes(1, '\0')) << "nothing that was encrypted";
  EXPECT_EQ(alice.bundles_fetched, before + 1);
  say(alice, bob, "two");
  EXPECT_EQ(alice.bundles_fetched, before + 1) << "asked for again within its pause";
  ASSERT_TRUE(laptop.upload_keys());
  alice.now_ms += 1'000;
  say(alice, bob, "three");
  laptop.sync();
  EXPECT_EQ(laptop.history(), (Texts{"?", "?", "three"}));
}

// Between its list and its prekeys a device is sent nothing that it could open: it asks for that, and has it then.
TEST_F(Direct, ADeviceThatWasLeftOutHasItsMessagesByARetry) {
  talk();
  ChatDevice laptop(server, "bob", 4, directory);
  laptop.join(bob, false);
  ChatDevice tablet(server, "alice", 3, directory);
  tablet.join(alice, false);
  alice.fetch_lists("alice");
  say(alice, bob, "between");
  laptop.sync();
  EXPECT_EQ(laptop.history(), Texts{"?"});
  EXPECT_EQ(laptop.kept.e2ee().notes().tasks()->size(), 1U);
  for (ChatDevice* late : {&laptop, &tablet}) {
    ASSERT_TRUE(late->upload_keys());
    late->fetch_lists("alice");
    late->sync();
    EXPECT_EQ(late->flush(), 1) << "its request";
  }
  alice.now_ms += ms(limits::e2ee::kBundlePause);
  alice.sync();
  EXPECT_EQ(alice.flush(), 2) << "the repairs";
  for (ChatDevice* late : {&laptop, &tablet}) {
    late->sync();
    EXPECT_EQ(late->history(), Texts{"between"});
  }
  alice.sync();
  EXPECT_EQ(alice.flush(), 0);
}

TEST_F(Direct, AnotherIdentityBlocksSendingWhereTheAppWantsThat) {
  talk();
  bob.block_changed_identities();
  const SigningKey alice_before = account_key_of(bob, "alice");
  EXPECT_EQ(bob.make_plan().outcome, Plan::Outcome::kReady) << "nothing has changed";
  const Person other = person("alice", 8, 0x61, 5, {});
  server.users["alice"] = {{other.list.bytes}, {other.record.bytes}, 1};
  server.put_roster({"alice"});
  bob.sync();
  EXPECT_EQ(bob.make_plan().outcome, Plan::Outcome::kBlocked);
  ASSERT_TRUE(bob.kept.reload().ok());
  EXPECT_EQ(bob.make_plan().outcome, Plan::Outcome::kBlocked);
  const auto accept = [&](const UserId& user_id, const SigningKey& account_key) {
    Status accepted;
    bob.write([&](E2eeTransaction& tx) -> Status {
      accepted = bob.direct.accept_identity(tx.kept(), {user_id, account_key});
      return {};
    });
    return accepted.code();
  };
  EXPECT_EQ(accept("alice", alice_before), Code::kConflict) << "the user has seen another one";
  EXPECT_EQ(accept("nobody", other.list.account_key), Code::kNotFound);
  EXPECT_EQ(bob.make_plan().outcome, Plan::Outcome::kBlocked);
  EXPECT_EQ(accept("alice", other.list.account_key), Code::kOk);
  EXPECT_EQ(bob.make_plan().outcome, Plan::Outcome::kWaits);
  EXPECT_EQ(bob.make_plan().bundles, (std::vector<Peer>{{"alice", DeviceId{8}}}));
}

TEST_F(Direct, AMarkIsOfOneAccountKey) {
  talk();
  const auto mark = [this](const SigningKey& account_key, bool verified) {
    std::vector<Event> events;
    Status marked;
    bob.write([&](E2eeTransaction& tx) -> Status {
      marked = bob.direct.set_verified(tx.kept(), {"alice", account_key}, verified, events);
      return {};
    });
    return std::pair(marked.code(), events);
  };
  const std::vector<Event> told = {{EventKind::kVerifiedChanged, "alice", {}}};
  const SigningKey first = account_key_of(bob, "alice");
  EXPECT_EQ(mark(first, true), std::pair(Code::kOk, told));
  EXPECT_EQ(mark(first, true), std::pair(Code::kOk, std::vector<Event>())) << "nothing has changed";
  EXPECT_EQ(mark(first, false), std::pair(Code::kOk, told));
  EXPECT_EQ(mark(first, true), std::pair(Code::kOk, told));
  ASSERT_TRUE(bob.kept.reload().ok());
  EXPECT_TRUE(known_to(bob, "alice").verified);

  const Person other = person("alice", 8, 0x61, 5, {});
  server.users["alice"] = {{other.list.bytes}, {other.record.bytes}, 1};
  server.put_roster({"alice"});
  bob.sync();
  EXPECT_FALSE(known_to(bob, "alice").verified);
  EXPECT_EQ(mark(first, true).first, Code::kConflict);
  EXPECT_FALSE(known_to(bob, "alice").verified);
  EXPECT_TRUE(bob.kept.e2ee().notes().identity_changed("alice").value());
  EXPECT_EQ(mark(other.list.account_key, true), std::pair(Code::kOk, told));
  EXPECT_FALSE(bob.kept.e2ee().notes().identity_changed("alice").value()) << "who compares has seen it";
}

TEST_F(Direct, ADeviceThatIsInNoListEncryptsNothing) {
  begin_both();
  ChatDevice stranger(server, "alice", 9, directory);
  stranger.queue("who am I");
  EXPECT_EQ(stranger.flush(), 0);
  EXPECT_EQ(stranger.last_plan.outcome, Plan::Outcome::kUnlisted);
}

TEST_F(Direct, NothingIsEncryptedForARosterInWhichOneDeviceStandsUnderTwoUsers) {
  talk();
  // The server has bob's user list a device with alice's device_id.
  const Person twin = person("bob", 1, 0x51, 77, {});
  ListUpload list;
  bob.write([&](E2eeTransaction& tx) -> Status {
    CHATSDK_ASSIGN(list, bob.keys.next_list(tx.kept(), {&twin.record, 1}, {}, kThen));
    return {};
  });
  server.put_list("bob", list);
  alice.sync();
  const std::string before = all_tables(alice.kept.db());
  EXPECT_EQ(alice.make_plan().outcome, Plan::Outcome::kForbidden);
  EXPECT_EQ(all_tables(alice.kept.db()), before);
}

// ---- One transaction -----------------------------------------------------------------------------------------------

// What a transaction that comes to its end and is not committed leaves behind.
const Error kNotCommitted = error(Code::kStorageFull, "no room for a commit");

TEST_F(Direct, ASendThatIsNotCommittedChangesNothingAndIsMadeAnew) {
  talk();
  const ClientMessageId id = alice.queue("once");
  const std::string before = all_tables(alice.kept.db());
  const Hash state = alice.kept.hash();
  const auto written = alice.kept.e2ee().write([&](E2eeTransaction& tx) -> Status {
    CHATSDK_ASSIGN(const Plan plan, alice.direct.plan(tx.kept(), alice.target(), kThen));
    Envelope envelope;
    envelope.client_message_id = id;
    envelope.binding = DirectBinding::of("alice", "bob");
    CHATSDK_ASSIGN(const Encrypted encrypted, alice.direct.encrypt(tx.kept(), plan, envelope, kThen));
    CHATSDK_TRY(tx.notes().put_out(id, encrypted));
    return kNotCommitted;
  });
  EXPECT_EQ(written.code(), kNotCommitted.code);
  EXPECT_EQ(all_tables(alice.kept.db()), before);
  EXPECT_EQ(alice.kept.hash(), state);
  EXPECT_EQ(alice.flush(), 1);
  bob.sync();
  EXPECT_EQ(bob.history().back(), "once");
}

TEST_F(Direct, AnItemThatIsNotCommittedIsReadAgain) {
  begin_both();
  alice.queue("the first");
  ASSERT_EQ(alice.flush(), 1);
  for (std::size_t i = 0; i < 2; ++i) {
    const std::string before = all_tables(bob.kept.db());
    const auto written = bob.kept.e2ee().write([&](E2eeTransaction& tx) -> Status {
      ItemResult result;
      CHATSDK_TRY(bob.take(tx, server.stream[i], result));
      return kNotCommitted;
    });
    EXPECT_EQ(written.code(), kNotCommitted.code);
    EXPECT_EQ(all_tables(bob.kept.db()), before) << "item " << i + 1;
    bob.write([&](E2eeTransaction& tx) -> Status {
      ItemResult result;
      return bob.take(tx, server.stream[i], result);
    });
  }
  EXPECT_EQ(bob.history(), Texts{"the first"});
}

TEST_F(Direct, SeveralItemsInOneTransactionAreAllThereOrNone) {
  begin_both();
  for (int i = 0; i < 5; ++i) {
    alice.sync();
    alice.queue("m" + std::to_string(i));
    ASSERT_EQ(alice.flush(), 1);
  }
  last().slices[bob.self].back() ^= 1;
  const auto take_all = [&](E2eeTransaction& tx) -> Status {
    for (const ChatServer::StreamItem& item : server.stream) {
      ItemResult result;
      CHATSDK_TRY(bob.take(tx, item, result));
    }
    return {};
  };
  const std::string before = all_tables(bob.kept.db());
  const auto refused = bob.kept.e2ee().write([&](E2eeTransaction& tx) -> Status {
    CHATSDK_TRY(take_all(tx));
    return kNotCommitted;
  });
  EXPECT_EQ(refused.code(), kNotCommitted.code);
  EXPECT_EQ(all_tables(bob.kept.db()), before);
  bob.write(take_all);
  EXPECT_EQ(bob.history(), (Texts{"m0", "m1", "m2", "m3", "?"}));
  EXPECT_EQ(bob.kept.e2ee().notes().tasks()->size(), 1U);
}

TEST_F(Direct, WhatAServerThatWentBackSendsAgainIsMatchedBeforeItIsOpened) {
  talk();
  say(alice, bob, "third");
  ASSERT_TRUE(bob.kept.store().begin_epoch(2, StreamId{500}).ok());
  EXPECT_EQ(bob.cursor(), 0U);
  // Slices that were acknowledged are gone; bob's own stand without one anyway.
  server.stream[1].slices.clear();
  bob.results.clear();
  bob.sync();
  EXPECT_EQ(bob.results, (std::vector<Outcome>{Outcome::kSkip, Outcome::kKnown, Outcome::kOwn, Outcome::kKnown}));
  EXPECT_EQ(bob.history(), (Texts{"hello", "hi", "third"}));
  EXPECT_EQ(bob.delivered_from(), 0U);
  EXPECT_EQ(bob.flush(), 0);
}

TEST_F(Direct, WhatAServerThatWentBackShowsOfOthersIsNotSpokenFor) {
  talk();
  ASSERT_TRUE(bob.kept.store().begin_epoch(2, StreamId{500}).ok());
  server.stream[1].slices.clear();
  server.stream[1].sent.client_message_id = ClientMessageId::make(from_unix_ms(1), bob.random);
  bob.sync();
  EXPECT_EQ(bob.kept.store().cursor(kChatId).value()->others_from, server.stream[1].seq);
  EXPECT_EQ(bob.delivered_from(), 0U) << "it was never for this device";
}

// What SQLite does for one message must not grow with the messages that are there.
TEST_F(Direct, ReceivingReadsNoneOfTheMessagesBefore) {
  talk();
  const auto steps_of_a_receipt = [this] {
    alice.queue("one more");
    EXPECT_EQ(alice.flush(), 1);
    std::int64_t steps = 0;
    const auto count = [](void* counter) {
      ++*static_cast<std::int64_t*>(counter);
      return 0;
    };
    sqlite3_progress_handler(bob.kept.db().handle(), 1, count, &steps);
    bob.sync();
    sqlite3_progress_handler(bob.kept.db().handle(), 0, nullptr, nullptr);
    return steps;
  };
  const std::int64_t at_first = steps_of_a_receipt();
  for (int i = 0; i < 150; ++i) alice.queue("one of many");
  ASSERT_EQ(alice.flush(), 150);
  bob.sync();
  EXPECT_GT(at_first, 0);
  EXPECT_LE(steps_of_a_receipt(), at_first + 50);
}

TEST_F(Direct, APlaceholderThatIsSentAgainStandsWhereItStandsNowAndMayBeRepairedThere) {
  talk();
  alice.sync();
  alice.queue("damaged");
  ASSERT_EQ(alice.flush(), 1);
  const ChatServer::StreamItem good = last();
  last().slices[bob.self].back() ^= 1;
  bob.sync();
  ASSERT_EQ(bob.kept.e2ee().notes().tasks()->size(), 1U);

  // The server went back and has another history: bob's message is gone, the damaged one stands before its old place.
  const auto go_back = [&](ChatDevice& device) {
    ASSERT_TRUE(device.kept.store().begin_epoch(2, StreamId{500}).ok());
    device.write([&](E2eeTransaction& tx) -> Status {
      CHATSDK_TRY(device.keys.new_epoch(tx.kept(), kThen));
      return {};
    });
    EXPECT_TRUE(device.kept.e2ee().notes().tasks()->empty());
  };
  ASSERT_NO_FATAL_FAILURE(go_back(alice));
  ASSERT_NO_FATAL_FAILURE(go_back(bob));
  ASSERT_EQ(server.stream.size(), 4U);
  server.stream.erase(server.stream.begin() + 2);
  server.stream[2].seq = 3;
  alice.sync();
  bob.sync();
  EXPECT_EQ(bob.results.back(), Outcome::kPlaceholder);
  EXPECT_EQ(bob.delivered_from(), 3U);
  EXPECT_EQ(bob.flush(), 1) << "asked for at its place of today";
  alice.sync();
  ASSERT_EQ(alice.flush(), 1);
  bob.sync();
  EXPECT_EQ(bob.results.back(), Outcome::kRepaired);
  EXPECT_EQ(bob.delivered_from(), 0U);
  const Texts history = bob.history();
  EXPECT_EQ(std::count(history.begin(), history.end(), "damaged"), 1);
  EXPECT_EQ(std::count(history.begin(), history.end(), "?"), 0);
}

TEST_F(Direct, APlaceholderOpensWhenWhatCameDamagedComesWhole) {
  talk();
  alice.sync();
  alice.queue("damaged");
  ASSERT_EQ(alice.flush(), 1);
  const Bytes good = last().slices[bob.self];
  last().slices[bob.self].back() ^= 1;
  bob.sync();
  EXPECT_EQ(bob.history().back(), "?");
  ASSERT_TRUE(bob.kept.store().begin_epoch(2, StreamId{500}).ok());
  last().slices[bob.self] = good;
  bob.sync();
  EXPECT_EQ(bob.results.back(), Outcome::kContent);
  EXPECT_EQ(bob.history(), (Texts{"hello", "hi", "damaged"}));
  EXPECT_EQ(bob.delivered_from(), 0U);
}

TEST_F(Direct, TheSameBytesAreSentAgainAfterARestart) {
  talk();
  const ClientMessageId id = alice.queue("the same");
  ASSERT_TRUE(alice.encrypt(id));
  const Encrypted before = **alice.kept.e2ee().notes().out(id);
  ASSERT_TRUE(alice.kept.reload().ok());
  const Encrypted after = **alice.kept.e2ee().notes().out(id);
  EXPECT_EQ(after.counter, before.counter);
  EXPECT_EQ(after.roster_revision, before.roster_revision);
  ASSERT_EQ(after.slices.size(), 1U);
  EXPECT_EQ(after.slices.front().message, before.slices.front().message);
  EXPECT_EQ(alice.flush(), 1);
  EXPECT_EQ(last().sent.encrypted.counter, before.counter) << "nothing was encrypted anew";
  bob.sync();
  EXPECT_EQ(bob.history().back(), "the same");
  EXPECT_FALSE(alice.kept.e2ee().notes().out(id)->has_value()) << "the bytes go with the outbox row";
}

TEST_F(Direct, WhatIsDiscardedOrGetsAnotherIdLosesItsBytes) {
  talk();
  const auto rows = [this](const char* table) {
    auto query = alice.kept.db().prepare(std::string("SELECT count(*) FROM ") + table);
    EXPECT_TRUE(query->step().value());
    return query->integer(0);
  };
  const std::int64_t noted = rows("e2ee_sent");
  const ClientMessageId id = alice.queue("not after all");
  ASSERT_TRUE(alice.encrypt(id));
  EXPECT_EQ(rows("e2ee_slice"), 1);
  EXPECT_EQ(rows("e2ee_sent"), noted + 1);
  ASSERT_TRUE(alice.kept.store().fail(id, error(Code::kTimedOut, "too late")).ok());
  const ClientMessageId other = ClientMessageId::make(from_unix_ms(1), alice.random);
  ASSERT_TRUE(alice.kept.store().retry(id, other, from_unix_ms(1LL << 50)).ok());
  EXPECT_EQ(rows("e2ee_slice"), 0);
  EXPECT_EQ(rows("e2ee_out"), 0);
  alice.waiting = {other};
  ASSERT_TRUE(alice.encrypt(other));
  ASSERT_TRUE(alice.kept.store().fail(other, error(Code::kForbidden, "no")).ok());
  ASSERT_TRUE(alice.kept.store().discard(other).ok());
  EXPECT_EQ(rows("e2ee_slice"), 0);
  EXPECT_EQ(rows("e2ee_sent"), noted) << "the note goes with the message";
  EXPECT_EQ(rows("e2ee_sent_device"), noted);
}

// The server had taken it, and its answer did not say so: the author reads what the peer reads.
TEST_F(Direct, WhatIsDiscardedAndWasTakenAllTheSameIsShownToItsAuthor) {
  talk();
  for (const bool answer_first : {true, false}) {
    const std::string text = answer_first ? "answered" : "not answered";
    const ClientMessageId id = alice.queue(text);
    ASSERT_TRUE(alice.encrypt(id));
    const Encrypted encrypted = **alice.kept.e2ee().notes().out(id);
    const Seq seq = server.send({alice.self, SliceKind::kMessage, id, encrypted}).seq;
    ASSERT_NE(seq, 0U);
    alice.waiting.clear();
    ASSERT_TRUE(alice.kept.store().fail(id, error(Code::kConflict, "other bytes")).ok());
    ASSERT_TRUE(alice.kept.store().discard(id).ok());
    EXPECT_NE(alice.history().back(), text);
    ASSERT_TRUE(alice.kept.reload().ok());
    if (answer_first) {
      ASSERT_TRUE(alice.kept.store().accept({{id, kChatId, MessageId{1'000 + seq}, seq, {}}}).ok());
    }
    alice.sync();
    EXPECT_EQ(alice.results.back(), Outcome::kOwn);
    bob.sync();
    EXPECT_EQ(alice.history(), bob.history());
    EXPECT_EQ(alice.history().back(), text);
  }
}

TEST_F(Direct, GoesOnAfterAReloadAtAnyStep) {
  talk();
  SeededRandom dice(8);
  for (int i = 0; i < 40; ++i) {
    ChatDevice& from = dice.below(2) == 0 ? alice : bob;
    ChatDevice& to = &from == &alice ? bob : alice;
    from.sync();
    from.queue("m" + std::to_string(i));
    if (dice.below(3) == 0) {
      ASSERT_TRUE(from.kept.reload().ok());
    }
    ASSERT_EQ(from.flush(), 1);
    if (dice.below(3) == 0) {
      ASSERT_TRUE(to.kept.reload().ok());
    }
    if (dice.below(2) == 0) to.sync();
  }
  alice.sync();
  bob.sync();
  EXPECT_EQ(alice.history(), bob.history());
  EXPECT_EQ(alice.history().size(), 42U);
}

// ---- What fails ----------------------------------------------------------------------------------------------------

TEST_F(Direct, AnEncryptedConversationStaysSo) {
  talk();
  ChatServer::StreamItem plain;
  plain.encrypted = false;
  plain.sent.from = alice.self;
  plain.sent.client_message_id = ClientMessageId::make(from_unix_ms(3), alice.random);
  plain.plain = encode_text_content("in the clear");
  server.add(plain);
  bob.sync();
  EXPECT_EQ(bob.history().back(), "?");
  EXPECT_EQ(bob.flush(), 0) << "nobody is asked for it";
  ChatServer::StreamItem roster;
  roster.is_roster = true;
  roster.encrypted = false;
  roster.revision = 2;
  server.add(roster);
  const int applied = bob.rosters_applied;
  bob.sync();
  EXPECT_EQ(bob.rosters_applied, applied);
  EXPECT_EQ(bob.kept.e2ee().notes().roster(kChatId).value()->revision, 1U);
  // Also after the conversation has got another id, and after a restart.
  ASSERT_TRUE(bob.kept.reload().ok());
  EXPECT_TRUE(bob.kept.e2ee().notes().is_encrypted_with("alice").value());
}

TEST_F(Direct, APlainConversationIsReadAsItIs) {
  ChatServer::StreamItem roster;
  roster.is_roster = true;
  roster.encrypted = false;
  server.add(roster);
  ChatServer::StreamItem plain;
  plain.encrypted = false;
  plain.sent.from = alice.self;
  plain.sent.client_message_id = ClientMessageId::make(from_unix_ms(3), alice.random);
  plain.plain = encode_text_content("in the clear");
  server.add(plain);
  bob.sync();
  EXPECT_EQ(bob.history(), Texts{"in the clear"});
}

TEST_F(Direct, AListThatDoesNotVerifyIsToldAndItsItemsAreUntrusted) {
  talk();
  const Person forged = person("alice", 1, 0x61, 5, {});
  ChatServer::StreamItem roster;
  roster.is_roster = true;
  roster.revision = ++server.revision;
  Bytes list = forged.list.bytes;
  list.back() ^= 1;
  roster.lists = {{"alice", {list}, {forged.record.bytes}}};
  server.add(roster);
  bob.sync();
  EXPECT_TRUE(bob.told(EventKind::kListRefused));
  EXPECT_FALSE(bob.told(EventKind::kIdentityChanged));
  alice.queue("judged by that roster");
  alice.write([&](E2eeTransaction& tx) {
    return alice.direct.roster_refused(tx.kept(), alice.target(), server.revision, {}, kThen, alice.events);
  });
  ASSERT_EQ(alice.flush(), 1);
  bob.sync();
  EXPECT_EQ(bob.results.back(), Outcome::kPlaceholder);
  EXPECT_EQ(bob.flush(), 0);
  EXPECT_EQ(bob.make_plan().outcome, Plan::Outcome::kWaits) << "nothing is encrypted for a roster that does not verify";
}

TEST_F(Direct, AnotherIdentityIsToldAndNothingIsSentByTheSessionsOfBefore) {
  talk();
  bob.write([](E2eeTransaction& tx) { return mark_verified(tx.state(), "alice", true); });
  const Person other = person("alice", 8, 0x61, 5, {});
  server.users["alice"] = {{other.list.bytes}, {other.record.bytes}, 1};
  server.put_roster({"alice"});
  bob.sync();
  EXPECT_TRUE(bob.told(EventKind::kIdentityChanged));
  EXPECT_TRUE(bob.told(EventKind::kVerifiedChanged));
  EXPECT_EQ(bob.active(alice), 0U);
}

// A month ahead for an hour, as without network time: what was to be asked for again then is asked for now.
TEST_F(Direct, AClockThatWasAMonthAheadHoldsNoQuestionForABundleUp) {
  begin_both();
  alice.fetch_lists("bob");
  const auto stock = server.stocks.at(bob.self);
  server.stocks.erase(bob.self);
  alice.now_ms = kThen + ms(std::chrono::hours(30 * 24));
  alice.queue("waits");
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(alice.flush(), 0);
    alice.now_ms += ms(limits::e2ee::kBundlePause);
  }
  EXPECT_EQ(alice.flush(), 0);
  server.stocks[bob.self] = stock;
  EXPECT_EQ(alice.flush(), 0) << "not before the pause is over";
  alice.now_ms = kThen + ms(std::chrono::hours(1));
  EXPECT_EQ(alice.flush(), 1);
  bob.sync();
  EXPECT_EQ(bob.history().back(), "waits");
}

// Of each user the newest versions are kept, and a device that was away reads what was sent under those between.
TEST_F(Direct, WhoIsManyListVersionsBehindReadsAllInOrderAndGoesOn) {
  talk();
  const std::size_t before = server.users["bob"].lists.size();
  for (std::size_t i = 0; i < limits::e2ee::kListVersionsMax / 2 + 2; ++i) {
    ChatDevice other(server, "bob", 100 + i, directory);
    other.join(bob, false);
    bob.fetch_lists("bob");
    bob.unlink(other);
    if (i % 8 != 0) continue;
    bob.sync();
    bob.queue("under list " + std::to_string(server.users["bob"].lists.size()));
    ASSERT_EQ(bob.flush(), 1);
  }
  ASSERT_GT(server.users["bob"].lists.size(), before + limits::e2ee::kListVersionsMax);
  alice.sync();
  bob.sync();
  EXPECT_EQ(alice.history(), bob.history());
  EXPECT_FALSE(alice.told(EventKind::kListRefused));
  EXPECT_EQ(alice.kept.state().user("bob").value()->lists.size(), std::size_t{limits::e2ee::kListVersionsMax});
  say(alice, bob, "on");
  say(bob, alice, "indeed");
}

// ---- Notes and ages ------------------------------------------------------------------------------------------------

TEST_F(Direct, NotesGoWhenTheyAreOldAndNotBefore) {
  talk();
  alice.queue("x");
  ASSERT_EQ(alice.flush(), 1);
  last().slices[bob.self].back() ^= 1;
  bob.sync();
  const std::uint64_t kept_ms = ms(limits::e2ee::kResendKept);
  const auto age = [](ChatDevice& device, std::uint64_t now_ms) {
    bool done = false;
    device.write([&](E2eeTransaction& tx) -> Status {
      CHATSDK_ASSIGN(done, device.keys.age_once_a_day(tx.kept(), now_ms));
      return {};
    });
    return done;
  };
  const auto rows = [](ChatDevice& device, const char* table) {
    auto query = device.kept.db().prepare(std::string("SELECT count(*) FROM ") + table);
    EXPECT_TRUE(query->step().value());
    return query->integer(0);
  };
  const std::uint64_t before = kThen + kept_ms - 1;
  EXPECT_TRUE(age(alice, before));
  EXPECT_TRUE(age(bob, before));
  EXPECT_EQ(rows(alice, "e2ee_sent"), 2);
  EXPECT_EQ(rows(bob, "e2ee_asked"), 1);
  EXPECT_EQ(rows(bob, "e2ee_task"), 1);
  EXPECT_FALSE(age(alice, kThen + kept_ms)) << "once a day";
  const std::uint64_t day = 86'400'000;
  EXPECT_FALSE(age(alice, before + day - 1));
  EXPECT_TRUE(age(alice, before + day));
  EXPECT_TRUE(age(bob, before + day));
  EXPECT_EQ(rows(alice, "e2ee_sent"), 0);
  EXPECT_EQ(rows(alice, "e2ee_sent_device"), 0);
  EXPECT_EQ(rows(bob, "e2ee_asked"), 0);
  EXPECT_EQ(rows(bob, "e2ee_task"), 0);
  // What nobody remembers is not answered.
  EXPECT_FALSE(alice.kept.e2ee().notes().sent(last().sent.client_message_id)->has_value());
}

TEST_F(Direct, TablesOfTheFirstVersionAreBroughtUpToDate) {
  talk();
  const auto tables = [](ChatDevice& device) {
    Texts all;
    auto rows = device.kept.db().prepare("SELECT name, sql FROM sqlite_master WHERE name LIKE 'e2ee%' ORDER BY name");
    while (rows->step().value()) all.push_back(std::string(rows->text(0)) + ": " + std::string(rows->text(1)));
    return all;
  };
  const ClientMessageId id = server.stream[1].sent.client_message_id;
  ASSERT_TRUE(alice.kept.e2ee().notes().sent(id)->has_value());
  constexpr char kBack[] = R"sql(
    DROP TRIGGER e2ee_placeholder_over;
    DROP INDEX e2ee_placeholder_asked;
    ALTER TABLE e2ee_placeholder DROP COLUMN asked;
    DROP INDEX e2ee_task_by_device;
    DROP INDEX e2ee_task_by_client_id;
    DROP TABLE e2ee_event; ALTER TABLE e2ee_meta DROP COLUMN replacing; ALTER TABLE e2ee_meta DROP COLUMN left_list;
    ALTER TABLE e2ee_user DROP COLUMN passed_over;
    ALTER TABLE e2ee_direct ADD COLUMN blocks INTEGER NOT NULL DEFAULT 0;
    DROP TRIGGER e2ee_list_in_doubt;
    ALTER TABLE e2ee_meta DROP COLUMN list_in_doubt;
    DROP TABLE e2ee_next_self;
    DROP TRIGGER e2ee_other_epoch;
    DROP TABLE e2ee_reached;
    DROP TABLE e2ee_former_device;
    DROP TABLE e2ee_former_record;
    DROP TABLE e2ee_former_list;
    ALTER TABLE e2ee_meta DROP COLUMN granted; ALTER TABLE e2ee_meta DROP COLUMN listed;
    DROP INDEX e2ee_member_by_user;
    DROP TABLE e2ee_awaited;
    DROP TABLE e2ee_sent_device;
    CREATE TABLE e2ee_sent_device(message INTEGER NOT NULL REFERENCES e2ee_sent(message) ON DELETE CASCADE,
      device INTEGER NOT NULL, user TEXT NOT NULL, answered INTEGER NOT NULL DEFAULT 0,
      PRIMARY KEY (message, device, user)) WITHOUT ROWID;
    INSERT INTO e2ee_sent_device(message, device, user) SELECT message, 2, 'bob' FROM e2ee_sent;
    UPDATE e2ee_meta SET version = 1;
  )sql";
  ASSERT_TRUE(alice.kept.db().execute(kBack).ok());
  ASSERT_TRUE(alice.kept.reload().ok());
  EXPECT_EQ(tables(alice), tables(bob));
  EXPECT_TRUE(alice.kept.e2ee().notes().is_encrypted_with("bob").value());
  EXPECT_FALSE(alice.kept.e2ee().notes().sent(id)->has_value()) << "it names no keys";
  EXPECT_TRUE(alice.kept.e2ee().notes().roster(kChatId)->has_value());
  EXPECT_TRUE(*alice.kept.e2ee().notes().list_in_doubt()) << "nobody has looked after the server's store until then";
  EXPECT_FALSE(*bob.kept.e2ee().notes().list_in_doubt());
  say(alice, bob, "on");
  EXPECT_TRUE(alice.kept.e2ee().notes().sent(last().sent.client_message_id)->has_value());
}

TEST_F(Direct, RemembersAsManyPassedOverIdentitiesAsReplacedOnes) {
  talk();
  constexpr std::size_t kMost = limits::e2ee::kReplacedMax;
  const auto is_news = [this](std::size_t n) {
    Result<bool> news = error(Code::kInternal, "not asked");
    alice.write([&](E2eeTransaction& tx) -> Status {
      news = tx.notes().note_passed_over("bob", SigningKey::from(Bytes(SigningKey::size(), static_cast<char>(n))));
      return {};
    });
    return *news;
  };
  for (std::size_t n = 0; n < kMost; ++n) EXPECT_TRUE(is_news(n)) << n;
  for (std::size_t n = 0; n < kMost; ++n) EXPECT_FALSE(is_news(n)) << n;
  EXPECT_TRUE(is_news(kMost));
  EXPECT_FALSE(is_news(kMost));
  EXPECT_FALSE(is_news(1));
  EXPECT_TRUE(is_news(0)) << "the oldest is forgotten";
}

TEST_F(Direct, ARowOfNotesThatNobodyWroteSoIsNamed) {
  talk();
  alice.queue("x");
  ASSERT_EQ(alice.flush(), 1);
  last().slices[bob.self].back() ^= 1;
  bob.sync();
  SqlNotes& notes = bob.kept.e2ee().notes();
  const auto read_all = [&]() -> Status {
    CHATSDK_TRY(notes.tasks());
    CHATSDK_TRY(notes.roster(kChatId));
    CHATSDK_TRY(notes.begun_for_request(alice.self));
    CHATSDK_TRY(notes.counter());
    CHATSDK_TRY(notes.let_in());
    CHATSDK_TRY(notes.own_message(server.stream[2].sent.client_message_id));
    CHATSDK_TRY(notes.sent(server.stream[2].sent.client_message_id));
    return notes.prekeys_to_upload().ok() ? Status() : Status(notes.prekeys_to_upload().error());
  };
  ASSERT_TRUE(read_all().ok());
  struct Damage {
    const char* table;
    const char* sql;
  };
  const Damage damages[] = {
      {"e2ee_task", "UPDATE e2ee_task SET kind = 3"},
      {"e2ee_task", "UPDATE e2ee_task SET target_id = zeroblob(15)"},
      {"e2ee_task", "UPDATE e2ee_task SET client_message_id = x''"},
      {"e2ee_task", "UPDATE e2ee_task SET failed_session = zeroblob(9)"},
      {"e2ee_member", "UPDATE e2ee_member SET list_hash = zeroblob(31)"},
      {"e2ee_session", "UPDATE e2ee_session SET for_request = 1, session_id = x'00'"},
      {"e2ee_meta", "UPDATE e2ee_meta SET counter = -1"},
      {"e2ee_meta", "UPDATE e2ee_meta SET granted = zeroblob(9)"},
      {"e2ee_sent", "UPDATE e2ee_sent SET expires_after = -1"},
      {"e2ee_sent_device", "UPDATE e2ee_sent_device SET record = zeroblob(31)"},
      {"e2ee_prekey", "UPDATE e2ee_prekey SET uploaded = 0, key_id = key_id + 4294967296"},
  };
  sqlite::Database& db = bob.kept.db();
  for (const Damage& damage : damages) {
    ASSERT_TRUE(db.execute("SAVEPOINT damage; PRAGMA defer_foreign_keys = ON;").ok());
    ASSERT_TRUE(db.execute(damage.sql).ok()) << damage.sql;
    const Status read = read_all();
    EXPECT_EQ(read.code(), Code::kCorrupt) << damage.sql;
    EXPECT_EQ(read.error().detail.rfind(std::string(damage.table) + ": ", 0), 0U)
        << damage.sql << ": " << read.error().detail;
    ASSERT_TRUE(db.execute("ROLLBACK TO damage; RELEASE damage").ok());
  }
}

}  // namespace
}  // namespace chatsdk::e2ee
