// SPDX-License-Identifier: Apache-2.0
//
// Requests and repairs of encrypted direct conversations on device stores: what docs/e2ee.md section 11 says of a
// message that could not be opened, each step in the transactions that the engine makes.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "base/limits.h"
#include "e2ee/direct.h"
#include "unit/store/e2ee_chat.h"

namespace chatsdk::e2ee {
namespace {

using Outcome = ItemResult::Outcome;
using Texts = std::vector<std::string>;

class Repairs : public ChatOfTwo {};

// Whom no list names is asked for nothing: what he says is missing for good, and holds the marks of the user back no
// longer than a moment.
TEST_F(Repairs, WhatNobodyIsAskedForIsNotMissing) {
  talk();
  alice.sync();
  alice.queue("under another's name");
  ASSERT_EQ(alice.flush(), 1);
  last().sent.from.device_id = DeviceId{4711};
  bob.sync();
  EXPECT_EQ(bob.results.back(), Outcome::kPlaceholder);
  EXPECT_EQ(bob.history().back(), "?");
  EXPECT_EQ(bob.delivered_from(), 0U);
  EXPECT_EQ(bob.flush(), 0) << "no request";
}

TEST_F(Repairs, WhatABrokenSessionLeftOutIsAskedForAndRepaired) {
  talk();
  bob.write([&](E2eeTransaction& tx) { return tx.state().drop_sessions("alice"); });
  alice.sync();
  alice.queue("lost at first");
  ASSERT_EQ(alice.flush(), 1);
  const Seq seq = server.stream.size();
  bob.sync();
  EXPECT_EQ(bob.history().back(), "?");
  EXPECT_EQ(bob.delivered_from(), seq);
  ASSERT_EQ(bob.flush(), 1) << "the request";
  EXPECT_EQ(last().sent.kind, SliceKind::kRetry);
  alice.sync();
  ASSERT_EQ(alice.flush(), 1) << "the repair";
  EXPECT_EQ(last().sent.kind, SliceKind::kRepair);
  bob.sync();
  EXPECT_EQ(bob.results.back(), Outcome::kRepaired);
  EXPECT_EQ(bob.history().back(), "lost at first");
  EXPECT_EQ(bob.delivered_from(), 0U) << "all of it is held now";
  alice.sync();
  EXPECT_EQ(alice.history(), bob.history());
  // The session that came with the request carries on, in both directions.
  say(alice, bob, "healed");
  say(bob, alice, "indeed");
  EXPECT_EQ(alice.active(bob), 1U);
}

TEST_F(Repairs, ADamagedSliceIsAskedForOnceAndAnsweredOnce) {
  talk();
  alice.queue("damaged on its way");
  ASSERT_EQ(alice.flush(), 1);
  last().slices[bob.self].back() ^= 1;
  bob.sync();
  EXPECT_EQ(bob.history().back(), "?");
  ASSERT_EQ(bob.flush(), 1);
  const ChatServer::StreamItem request = last();
  alice.sync();
  ASSERT_EQ(alice.flush(), 1);
  const ChatServer::StreamItem repair = last();
  bob.sync();
  EXPECT_EQ(bob.history().back(), "damaged on its way");
  // Both once more: the server repeats what it has.
  server.add(request);
  server.add(repair);
  alice.sync();
  bob.sync();
  EXPECT_EQ(alice.flush() + bob.flush(), 0);
  EXPECT_EQ(bob.history(), alice.history());
  EXPECT_EQ(bob.results.back(), Outcome::kSkip);
}

TEST_F(Repairs, PlaceholdersCountForWhatIsDeliveredUntilTheyAreRepairedInAnyOrder) {
  talk();
  alice.sync();
  std::vector<Seq> seqs;
  for (int i = 0; i < 3; ++i) {
    alice.queue("m" + std::to_string(i));
    ASSERT_EQ(alice.flush(), 1);
    last().slices[bob.self].back() ^= 1;
    seqs.push_back(server.stream.size());
  }
  bob.sync();
  EXPECT_EQ(bob.delivered_from(), seqs[2]);
  ASSERT_EQ(bob.flush(), 3);
  alice.sync();
  ASSERT_EQ(alice.flush(), 3);
  const auto item_of = [&](std::size_t back) { return server.stream[server.stream.size() - 1 - back]; };
  const ChatServer::StreamItem repairs[] = {item_of(2), item_of(1), item_of(0)};
  server.stream.resize(server.stream.size() - 3);
  const auto deliver = [&](std::size_t which) {
    server.add(repairs[which]);
    bob.sync();
    EXPECT_EQ(bob.results.back(), Outcome::kRepaired);
  };
  deliver(1);  // the one in the middle
  EXPECT_EQ(bob.delivered_from(), seqs[2]);
  deliver(2);
  EXPECT_EQ(bob.delivered_from(), seqs[0]);
  deliver(0);
  EXPECT_EQ(bob.delivered_from(), 0U);
  EXPECT_EQ(bob.history(), alice.history());
}

TEST_F(Repairs, AnAnnotationIsShownNoMoreOnceItIsRepaired) {
  talk();
  content::Edit edit;
  edit.target.id = alice.queue("first words");
  edit.post.kind = content::Text{"second words"};
  ASSERT_EQ(alice.flush(), 1);
  bob.sync();
  const std::uint64_t unread = bob.unread();
  content::Annotation annotation;
  annotation.kind = edit;
  alice.queue_content(content::write(annotation));
  ASSERT_EQ(alice.flush(), 1);
  last().slices[bob.self].back() ^= 1;
  bob.sync();
  EXPECT_EQ(bob.history().back(), "?");
  EXPECT_EQ(bob.unread(), unread + 1);

  ASSERT_EQ(bob.flush(), 1);
  alice.sync();
  ASSERT_EQ(alice.flush(), 1);
  bob.sync();
  EXPECT_EQ(bob.history(), alice.history());
  EXPECT_EQ(bob.last_row().edits, 1U);
  EXPECT_EQ(bob.last_row().edit, content::write(annotation));
  EXPECT_EQ(bob.unread(), unread);
  EXPECT_EQ(bob.delivered_from(), 0U);
}

TEST_F(Repairs, WhatWasDeletedBeforeItCouldBeReadHasItsEnd) {
  talk();
  content::Annotation annotation;
  annotation.kind = content::Delete{{"", alice.queue("never read")}};
  ASSERT_EQ(alice.flush(), 1);
  last().slices[bob.self].back() ^= 1;
  bob.sync();
  EXPECT_EQ(bob.history().back(), "?");
  const std::uint64_t unread = bob.unread();
  alice.queue_content(content::write(annotation));
  ASSERT_EQ(alice.flush(), 1);
  bob.sync();
  EXPECT_TRUE(bob.last_row().deleted);
  EXPECT_EQ(bob.unread(), unread - 1);

  ASSERT_EQ(bob.flush(), 1);
  alice.sync();
  ASSERT_EQ(alice.flush(), 1);
  bob.sync();
  EXPECT_EQ(bob.results.back(), Outcome::kRepaired);
  EXPECT_TRUE(bob.last_row().deleted);
  EXPECT_EQ(bob.last_row().content, content::erased());
  EXPECT_EQ(bob.unread(), unread - 1);
  EXPECT_EQ(bob.delivered_from(), 0U);
}

TEST_F(Repairs, NobodyIsAskedForWhatIsRepeatedOrComesFromAStranger) {
  talk();
  const ChatServer::StreamItem again = last();  // bob's, which alice has read
  server.add(again);
  last().sent.client_message_id = ClientMessageId::make(from_unix_ms(5), alice.random);
  alice.sync();
  EXPECT_EQ(alice.history().back(), "?");

  // A device that no list names.
  ChatServer::StreamItem forged = again;
  forged.sent.from.device_id = DeviceId{99};
  forged.sent.client_message_id = ClientMessageId::make(from_unix_ms(6), alice.random);
  server.add(forged);
  alice.sync();
  EXPECT_EQ(alice.results.back(), Outcome::kPlaceholder);
  // A user who is no member.
  forged.sent.from.user_id = "carol";
  server.add(forged);
  alice.sync();
  EXPECT_EQ(alice.results.back(), Outcome::kInvented);
  EXPECT_EQ(alice.flush(), 0);
  // Other kinds leave no trace.
  const Texts before = alice.history();
  for (const SliceKind kind : {SliceKind::kKeys, SliceKind::kRetry, SliceKind::kRepair}) {
    ChatServer::StreamItem other = again;
    other.sent.kind = kind;
    other.slices[alice.self].back() ^= 1;
    server.add(other);
    alice.sync();
    EXPECT_EQ(alice.results.back(), Outcome::kSkip);
  }
  EXPECT_EQ(alice.history(), before);
  EXPECT_EQ(alice.flush(), 0);
}

TEST_F(Repairs, ARepairFromAnotherDeviceThanTheMessagesIsIgnored) {
  begin_both();
  ChatDevice tablet(server, "alice", 3, directory);
  tablet.join(alice);
  alice.fetch_lists("alice");
  say(alice, bob, "one");
  tablet.sync();
  alice.queue("two");
  ASSERT_EQ(alice.flush(), 1);
  const Seq seq = server.stream.size();
  last().slices[bob.self].back() ^= 1;
  bob.sync();
  // The tablet is genuine, and repairs what it never sent.
  Task task;
  task.kind = TaskKind::kRepair;
  task.to = bob.self;
  task.conversation = kChatId;
  task.client_message_id = ClientMessageId::make(from_unix_ms(7), tablet.random);
  task.created_ms = kThen;
  tablet.sync();
  tablet.queue("forged");
  ASSERT_EQ(tablet.flush(), 1);
  bob.sync();
  const ClientMessageId target = server.stream[seq - 1].sent.client_message_id;
  const RepairBody body{seq, target, encode_text_content("forged")};
  tablet.write([&](E2eeTransaction& tx) -> Status {
    Envelope envelope;
    envelope.body_type = BodyType::kRepair;
    envelope.client_message_id = task.client_message_id;
    envelope.binding = DirectBinding::of("alice", "bob");
    envelope.body = serialize(body);
    CHATSDK_ASSIGN(Bytes slice, encrypt_for(tx.state(), bob.self, serialize(envelope), tablet.random));
    server.send({tablet.self, SliceKind::kRepair, task.client_message_id,
                 Encrypted{server.revision, 0, 0, 1, {{bob.self, std::move(slice)}}}});
    return {};
  });
  bob.sync();
  EXPECT_EQ(bob.results.back(), Outcome::kSkip);
  EXPECT_EQ(bob.history()[1], "?");
}

// A request that nobody can read is not repeated, and leaves the two able to talk.
TEST_F(Repairs, ARequestThatIsBrokenItselfBreaksNothing) {
  talk();
  alice.queue("damaged");
  ASSERT_EQ(alice.flush(), 1);
  last().slices[bob.self].back() ^= 1;
  bob.sync();
  ASSERT_EQ(bob.flush(), 1);
  last().slices[alice.self].back() ^= 1;
  alice.sync();
  EXPECT_EQ(alice.results.back(), Outcome::kSkip);
  EXPECT_EQ(alice.flush(), 0);
  EXPECT_EQ(bob.flush(), 0);
  // Both write on, each in the session that it has.
  alice.queue("from alice");
  ASSERT_EQ(alice.flush(), 1);
  bob.sync();
  EXPECT_EQ(bob.history().back(), "from alice");
  say(bob, alice, "from bob");
  say(alice, bob, "healed");
  // What comes damaged now is repaired.
  alice.queue("damaged again");
  ASSERT_EQ(alice.flush(), 1);
  last().slices[bob.self].back() ^= 1;
  bob.sync();
  ASSERT_EQ(bob.flush(), 1);
  alice.sync();
  ASSERT_EQ(alice.flush(), 1);
  bob.sync();
  EXPECT_EQ(bob.history().back(), "damaged again");
}

// What does not open comes damaged; all of it is asked for in the end, and no faster than the rate.
class RepairsInTurn : public Repairs {
 protected:
  static constexpr std::uint64_t kMinuteMs = 60'000;

  void send_damaged(std::size_t count) {
    alice.sync();
    for (std::size_t i = 0; i < count; ++i) {
      alice.queue("m" + std::to_string(i));
      ASSERT_EQ(alice.flush(), 1);
      last().slices[bob.self].back() ^= 1;
    }
    bob.sync();
  }
  static std::size_t waiting(ChatDevice& device) { return device.kept.e2ee().notes().tasks()->size(); }
  static std::ptrdiff_t placeholders(ChatDevice& device) {
    const Texts texts = device.history();
    return std::count(texts.begin(), texts.end(), "?");
  }
};

TEST_F(RepairsInTurn, WhatIsBeyondTheRateWaitsItsTurn) {
  talk();
  constexpr std::size_t kMessages = limits::e2ee::kRetryBurst + 4;
  ASSERT_NO_FATAL_FAILURE(send_damaged(kMessages));
  EXPECT_EQ(waiting(bob), kMessages);
  EXPECT_EQ(bob.flush_tasks(), static_cast<int>(limits::e2ee::kRetryBurst));
  EXPECT_EQ(bob.flush_tasks(), 0);
  const Task next = bob.kept.e2ee().notes().tasks()->front();
  bob.write([&](E2eeTransaction& tx) -> Status {
    CHATSDK_ASSIGN(const Plan plan, bob.direct.plan_task(tx.kept(), next, "alice", bob.now_ms));
    EXPECT_EQ(plan.outcome, Plan::Outcome::kWaits);
    EXPECT_EQ(plan.ask_again_ms, bob.now_ms + kMinuteMs);
    return {};
  });
  alice.sync();
  EXPECT_EQ(alice.flush_tasks(), static_cast<int>(limits::e2ee::kRetryBurst));
  bob.sync();
  EXPECT_EQ(placeholders(bob), 4);
  ASSERT_TRUE(bob.kept.reload().ok());
  for (int i = 0; i < 4; ++i) {
    bob.now_ms += kMinuteMs;
    alice.now_ms += kMinuteMs;
    EXPECT_EQ(bob.flush_tasks(), 1);
    EXPECT_EQ(bob.flush_tasks(), 0);
    alice.sync();
    EXPECT_EQ(alice.flush_tasks(), 1);
  }
  bob.sync();
  EXPECT_EQ(bob.history(), alice.history());
  EXPECT_EQ(waiting(bob) + waiting(alice), 0U);
}

// Whoever answers has a rate of its own, and a requester that begins anew asks faster.
TEST_F(RepairsInTurn, WhatIsAskedForFasterIsAnsweredInTurn) {
  talk();
  constexpr std::size_t kMessages = limits::e2ee::kRetryBurst + 2;
  ASSERT_NO_FATAL_FAILURE(send_damaged(kMessages));
  bob.flush_tasks();
  bob.now_ms += 2 * kMinuteMs;
  EXPECT_EQ(bob.flush_tasks(), 2);
  alice.sync();
  EXPECT_EQ(waiting(alice), kMessages);
  EXPECT_EQ(alice.flush_tasks(), static_cast<int>(limits::e2ee::kRetryBurst));
  alice.now_ms += 2 * kMinuteMs;
  EXPECT_EQ(alice.flush_tasks(), 2);
  bob.sync();
  EXPECT_EQ(bob.history(), alice.history());
}

// How many wait for whom, at one look.
class RoomForRequests : public RepairsInTurn {
 protected:
  static constexpr std::size_t kForDevice = limits::e2ee::kRetryWaitingMax;
  static constexpr std::size_t kForUser = limits::e2ee::kRetryWaitingUserMax;
  static constexpr std::size_t kForAll = limits::e2ee::kRetryWaitingTotalMax;

  // As of messages of others that came before.
  void put(std::size_t count, TaskKind kind, const Peer& to) {
    bob.write([&](E2eeTransaction& tx) -> Status {
      for (std::size_t i = 0; i < count; ++i) {
        Task task;
        task.kind = kind;
        task.conversation = ConversationId{901};
        task.to = to;
        task.target = {i + 1, ClientMessageId::make(from_unix_ms(5), bob.random), {}};
        task.client_message_id = ClientMessageId::make(from_unix_ms(7), bob.random);
        task.created_ms = kThen;
        CHATSDK_TRY(tx.notes().put_task(task));
      }
      return {};
    });
  }
  std::size_t waiting_for(const UserId& user_id) {
    const auto tasks = bob.kept.e2ee().notes().tasks();
    return static_cast<std::size_t>(std::count_if(tasks->begin(), tasks->end(),
                                                  [&user_id](const Task& task) { return task.to.user_id == user_id; }));
  }
};

TEST_F(RoomForRequests, OfOneDeviceNoMoreWaitThanTheLimit) {
  talk();
  ASSERT_NO_FATAL_FAILURE(send_damaged(kForDevice - 1));
  EXPECT_EQ(waiting(bob), kForDevice - 1);
  ASSERT_NO_FATAL_FAILURE(send_damaged(1));
  EXPECT_EQ(waiting(bob), kForDevice);
  ASSERT_NO_FATAL_FAILURE(send_damaged(1));
  EXPECT_EQ(waiting(bob), kForDevice);
  EXPECT_LT(bob.delivered_from(), server.stream.size()) << "nobody is asked for the last";
}

TEST_F(RoomForRequests, OfOneUserNoMoreWaitThanTheLimitWhateverTheDevices) {
  talk();
  for (std::uint64_t device = 11; waiting_for("alice") + kForDevice <= kForUser - 1; ++device) {
    put(kForDevice, TaskKind::kRetry, {"alice", DeviceId{device}});
  }
  put(kForUser - 1 - waiting_for("alice"), TaskKind::kRetry, {"alice", DeviceId{99}});
  ASSERT_NO_FATAL_FAILURE(send_damaged(1));
  EXPECT_EQ(waiting_for("alice"), kForUser);
  ASSERT_NO_FATAL_FAILURE(send_damaged(1));
  EXPECT_EQ(waiting_for("alice"), kForUser);
}

TEST_F(RoomForRequests, RepairsHaveTheirOwn) {
  talk();
  put(kForUser, TaskKind::kRepair, alice.self);
  for (const char* stranger : {"carol", "dave", "erin", "frank"}) put(kForUser, TaskKind::kRepair, {stranger, {}});
  ASSERT_NO_FATAL_FAILURE(send_damaged(2));
  EXPECT_EQ(waiting_for("alice"), kForUser + 2);
}

TEST_F(RoomForRequests, ThatIsFullIsTakenFromWhoeverHasMost) {
  talk();
  const char* const strangers[] = {"carol", "dave", "erin", "frank", "grace"};
  for (const char* stranger : strangers) put(kForUser, TaskKind::kRetry, {stranger, DeviceId{7}});
  ASSERT_EQ(waiting(bob), kForAll);
  ASSERT_NO_FATAL_FAILURE(send_damaged(kForDevice));
  EXPECT_EQ(waiting(bob), kForAll);
  EXPECT_EQ(waiting_for("alice"), kForDevice);
  for (const char* stranger : strangers) {
    EXPECT_EQ(waiting_for(stranger), kForUser - kForDevice / std::size(strangers))
        << "as much of each as of the others";
  }
  const auto tasks = bob.kept.e2ee().notes().tasks();
  EXPECT_EQ(tasks->front().target.target_seq, 1U) << "the newest goes";
}

TEST_F(RoomForRequests, ThatIsFullOfAsFewOfEachIsTakenFromNobody) {
  talk();
  for (std::size_t i = 0; i < kForAll / 2; ++i) put(2, TaskKind::kRetry, {"user" + std::to_string(i), DeviceId{7}});
  ASSERT_NO_FATAL_FAILURE(send_damaged(2));
  EXPECT_EQ(waiting(bob), kForAll);
  EXPECT_EQ(waiting_for("alice"), 1U);
}

// What is given up of another's is not missing any more, and what was encrypted already is not taken.
TEST_F(RoomForRequests, WhatGivesWayIsNotAskedForAnyMore) {
  talk();
  ASSERT_NO_FATAL_FAILURE(send_damaged(3));
  const Seq last_seq = server.stream.size();
  ASSERT_EQ(bob.delivered_from(), last_seq);
  const auto newest_of_most = [this](std::size_t above) {
    return bob.kept.e2ee().notes().newest_of_most(TaskKind::kRetry, above).value();
  };
  EXPECT_FALSE(newest_of_most(3).has_value());
  const auto newest = newest_of_most(2);
  ASSERT_TRUE(newest.has_value());
  EXPECT_EQ(newest->target.target_seq, last_seq);
  bob.write([&](E2eeTransaction& tx) { return tx.notes().give_up_task(*newest); });
  EXPECT_EQ(bob.delivered_from(), last_seq - 1);
  const auto left = bob.kept.e2ee().notes().tasks();
  for (const Task& task : *left) {
    const Encrypted encrypted{1, 1, 1, 1, {{task.to, "bytes"}}};
    bob.write([&](E2eeTransaction& tx) { return tx.notes().put_task_out(task, encrypted); });
  }
  EXPECT_FALSE(newest_of_most(0).has_value());
}

// ---- What nobody answers -------------------------------------------------------------------------------------------

// A message that was asked for, and whose repair does not come.
class RepairsThatNeverCome : public Repairs {
 protected:
  // Of the tablet, damaged; then one of the phone, damaged too.
  void miss_two() {
    begin_both();
    tablet.join(alice);
    alice.fetch_lists("alice");
    say(alice, bob, "hello");
    tablet.sync();
    from_tablet = damaged(tablet);
    alice.sync();
    from_phone = damaged(alice);
    ASSERT_EQ(bob.delivered_from(), from_phone);
  }
  Seq damaged(ChatDevice& from) {
    from.queue("damaged");
    EXPECT_EQ(from.flush(), 1);
    const Seq seq = server.stream.size();
    last().slices[bob.self].back() ^= 1;
    bob.sync();
    EXPECT_EQ(bob.history().back(), "?");
    return seq;
  }
  bool age(ChatDevice& device, std::uint64_t now_ms) {
    bool aged = false;
    device.write([&](E2eeTransaction& tx) -> Status {
      CHATSDK_ASSIGN(aged, device.keys.age_once_a_day(tx.kept(), now_ms));
      return {};
    });
    return aged;
  }
  static constexpr std::uint64_t kKeptMs =
      static_cast<std::uint64_t>(std::chrono::milliseconds(limits::e2ee::kResendKept).count());

  ChatDevice tablet{server, "alice", 3, directory};
  Seq from_tablet = 0;
  Seq from_phone = 0;
};

TEST_F(RepairsThatNeverCome, OfADeviceThatHasLeftItsListHoldNothingBack) {
  miss_two();
  ASSERT_EQ(bob.flush(), 2) << "both requests went";
  alice.sync();
  alice.unlink(tablet);
  bob.sync();
  EXPECT_TRUE(bob.kept.e2ee().take_fewer_missing());
  EXPECT_EQ(bob.delivered_from(), from_phone) << "the phone may answer yet";
  ASSERT_TRUE(bob.kept.reload().ok());
  alice.sync();
  ASSERT_EQ(alice.flush(), 1);
  bob.sync();
  EXPECT_EQ(bob.results.back(), Outcome::kRepaired);
  EXPECT_EQ(bob.delivered_from(), 0U) << "and what the tablet had is not waited for";
}

TEST_F(RepairsThatNeverCome, OfTheLastOneThatIsAskedGiveBackWhatStoodBefore) {
  begin_both();
  tablet.join(alice);
  alice.fetch_lists("alice");
  say(alice, bob, "hello");
  from_phone = damaged(alice);
  tablet.sync();
  from_tablet = damaged(tablet);
  ASSERT_EQ(bob.delivered_from(), from_tablet);
  alice.sync();
  alice.unlink(tablet);
  bob.sync();
  EXPECT_EQ(bob.delivered_from(), from_phone);
}

TEST_F(RepairsThatNeverCome, OfAnotherIdentityHoldNothingBack) {
  miss_two();
  ASSERT_EQ(bob.flush(), 2);
  Person anew = person("alice", 0x61, 0x61, 9, {});
  const DeviceList last_list = *parse_device_list(server.users["alice"].lists.back());
  anew.list = *next_device_list(anew.list, anew.account_seed, {}, {}, last_list.time_ms + 1);
  server.users["alice"] = {{anew.list.bytes}, {anew.record.bytes}, 1};
  ASSERT_EQ(bob.fetch_lists("alice").result, Learning::kIdentityChanged);
  EXPECT_EQ(bob.delivered_from(), 0U);
}

TEST_F(RepairsThatNeverCome, WhereTheRequestNeverWentHoldNothingBack) {
  miss_two();
  bob.now_ms = kThen + kKeptMs;
  EXPECT_EQ(bob.flush_tasks(), 0) << "too old to be sent";
  EXPECT_EQ(bob.delivered_from(), 0U);
  EXPECT_EQ(bob.kept.e2ee().notes().tasks()->size(), 0U);
}

TEST_F(RepairsThatNeverCome, HoldNothingBackOnceNobodyCanAnswerAnyMore) {
  miss_two();
  ASSERT_EQ(bob.flush(), 2);
  alice.sync();
  ASSERT_EQ(alice.flush(), 1) << "the phone's repair, late";
  EXPECT_TRUE(age(bob, kThen + kKeptMs - 1));
  EXPECT_EQ(bob.delivered_from(), from_phone);
  const std::uint64_t day = 86'400'000;
  ASSERT_TRUE(age(bob, kThen + kKeptMs - 1 + day));
  EXPECT_TRUE(bob.kept.e2ee().take_fewer_missing());
  EXPECT_FALSE(bob.kept.e2ee().take_fewer_missing());
  EXPECT_EQ(bob.delivered_from(), 0U);
  bob.sync();
  EXPECT_EQ(bob.results.back(), Outcome::kRepaired) << "it takes its place all the same";
  EXPECT_EQ(bob.history().back(), "damaged");
  EXPECT_EQ(bob.delivered_from(), 0U);
}

TEST_F(RepairsThatNeverCome, WhereThisDeviceBeginsAnewHoldNothingBack) {
  miss_two();
  ASSERT_EQ(bob.flush(), 2);
  bob.write([](E2eeTransaction& tx) { return tx.notes().forget_device(); });
  EXPECT_EQ(bob.delivered_from(), 0U);
}

// What an earlier version held back for good.
TEST_F(RepairsThatNeverCome, OfAnEarlierVersionHoldNothingBack) {
  miss_two();
  ASSERT_EQ(bob.flush(), 2);
  constexpr char kBack[] = R"sql(
    DROP TRIGGER e2ee_placeholder_over;
    DROP INDEX e2ee_placeholder_asked;
    ALTER TABLE e2ee_placeholder DROP COLUMN asked;
    DROP INDEX e2ee_task_by_device;
    DROP INDEX e2ee_task_by_client_id;
    ALTER TABLE e2ee_meta DROP COLUMN replacing;
    ALTER TABLE e2ee_direct DROP COLUMN forgotten;
    ALTER TABLE e2ee_meta DROP COLUMN left_list;
    DROP TABLE e2ee_event;
    DROP TABLE e2ee_former_device;
    DROP TABLE e2ee_former_record;
    DROP TABLE e2ee_former_list;
    CREATE TABLE e2ee_former(user, list_hash, device, account_key, record, since);
    ALTER TABLE e2ee_meta DROP COLUMN granted; ALTER TABLE e2ee_meta DROP COLUMN listed;
    UPDATE e2ee_meta SET version = 6;
  )sql";
  const std::string forget = "DELETE FROM e2ee_asked WHERE seq = " + std::to_string(from_tablet) + ";";
  ASSERT_TRUE(bob.kept.db().execute((forget + kBack).c_str()).ok());
  ASSERT_TRUE(bob.kept.reload().ok());
  EXPECT_EQ(bob.delivered_from(), from_phone);
  alice.sync();
  ASSERT_EQ(alice.flush(), 1);
  bob.sync();
  EXPECT_EQ(bob.results.back(), Outcome::kRepaired);
  EXPECT_EQ(bob.delivered_from(), 0U) << "the one before it is not waited for";
}

// With other keys under its device_id it is another device.
TEST_F(Repairs, ADeviceThatWasLeftOutAndHasOtherKeysNowHasNothing) {
  talk();
  ChatDevice laptop(server, "bob", 4, directory);
  laptop.join(bob, false);
  say(alice, bob, "between");
  laptop.sync();
  bob.sync();
  bob.fetch_lists("bob");
  bob.unlink(laptop);
  ChatDevice anew(server, "bob", 4, directory / "anew");
  (void)anew.random.next_u64();
  anew.join(bob);
  anew.fetch_lists("alice");
  anew.sync();
  EXPECT_EQ(anew.history().back(), "?");
  EXPECT_EQ(anew.flush(), 1);
  alice.now_ms += ms(limits::e2ee::kBundlePause);
  alice.sync();
  EXPECT_EQ(alice.flush(), 0);
}

}  // namespace
}  // namespace chatsdk::e2ee
