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

TEST_F(RepairsInTurn, NoMoreWaitThanTheLimit) {
  talk();
  ASSERT_NO_FATAL_FAILURE(send_damaged(limits::e2ee::kRetryWaitingMax + 1));
  EXPECT_EQ(waiting(bob), std::size_t{limits::e2ee::kRetryWaitingMax});
  // Nor for all devices together.
  bob.write([&](E2eeTransaction& tx) -> Status {
    CHATSDK_ASSIGN(auto tasks, tx.notes().tasks());
    for (const Task& task : tasks) CHATSDK_TRY(tx.notes().drop_task(task.id));
    Task of_another = tasks.front();
    of_another.to = {"carol", DeviceId{7}};
    for (std::size_t i = 0; i + 1 < limits::e2ee::kRetryWaitingTotalMax; ++i)
      CHATSDK_TRY(tx.notes().put_task(of_another));
    return {};
  });
  ASSERT_NO_FATAL_FAILURE(send_damaged(2));
  EXPECT_EQ(waiting(bob), std::size_t{limits::e2ee::kRetryWaitingTotalMax});
}

}  // namespace
}  // namespace chatsdk::e2ee
