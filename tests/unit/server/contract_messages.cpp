// SPDX-License-Identifier: Apache-2.0
//
// The rules of acceptance: first messages, repeats, refusals, voids.
//
// Threads: one.
#include <algorithm>
#include <chrono>

#include "base/limits.h"
#include "tests/unit/server/store_contract.h"

namespace chatsdk::server {
namespace {

class MessageContract : public PairContract {};

TEST_F(StoreContract, TheFirstMessageMakesTheConversationAndTellsBoth) {
  const Account ann = register_user("ann");
  const Account bob = register_user("bob");
  const DeviceId device = log_in("ann").session.device_id;
  const CommitResult result = commit({message("ann", device, to_peer("bob"), 1, "hi")});
  const auto appended = std::get<Appended>(*result.answers.at(0));
  EXPECT_TRUE(appended.conversation_id);
  EXPECT_EQ(appended.seq, 2u);
  EXPECT_FALSE(appended.repeated);

  ASSERT_EQ(result.appended.size(), 4u);
  const wire::Item roster = parse(result.appended[0].item);
  EXPECT_EQ(result.appended[0].stream_id, appended.conversation_id);
  EXPECT_EQ(result.appended[0].kind, wire::STREAM_KIND_CONVERSATION);
  EXPECT_EQ(roster.seq(), 1u);
  EXPECT_EQ(roster.kind(), wire::ITEM_KIND_ROSTER);
  EXPECT_EQ(roster.roster().conversation_kind(), wire::CONVERSATION_KIND_DIRECT);
  ASSERT_EQ(roster.roster().changes_size(), 2);
  EXPECT_TRUE(roster.roster().changes(0).joined());
  EXPECT_TRUE(roster.roster().changes(1).joined());

  for (const std::size_t i : {1u, 2u}) {
    const AppendedItem& news = result.appended[i];
    EXPECT_EQ(news.kind, wire::STREAM_KIND_ACCOUNT);
    ASSERT_EQ(news.followers.size(), 1u);
    const bool to_ann = news.followers[0] == "ann";
    EXPECT_EQ(news.stream_id, to_ann ? ann.account_stream : bob.account_stream);
    const wire::Item item = parse(news.item);
    EXPECT_EQ(item.kind(), wire::ITEM_KIND_CONVERSATION_ADDED);
    EXPECT_EQ(item.conversation().conversation_id(), appended.conversation_id.value);
    EXPECT_EQ(item.conversation().kind(), wire::CONVERSATION_KIND_DIRECT);
    EXPECT_EQ(item.conversation().peer_user_id(), to_ann ? "bob" : "ann");
    EXPECT_FALSE(item.conversation().encrypted());
  }
  EXPECT_NE(result.appended[1].stream_id, result.appended[2].stream_id);

  const wire::Item item = parse(result.appended[3].item);
  EXPECT_EQ(result.appended[3].seq, 2u);
  EXPECT_EQ(result.appended[3].followers.size(), 2u);
  EXPECT_EQ(item.kind(), wire::ITEM_KIND_MESSAGE);
  EXPECT_EQ(item.message_id(), appended.message_id.value);
  EXPECT_EQ(item.sender_user_id(), "ann");
  EXPECT_EQ(item.sender_device_id(), device.value);
  EXPECT_EQ(item.client_message_id(), message("ann", device, {}, 1).client_message_id.view());
  EXPECT_EQ(item.time_ms(), to_unix_ms(now()));
  EXPECT_EQ(from_unix_ms(item.time_ms()), appended.time);
  EXPECT_EQ(text_of(item), "hi");
}

TEST_F(MessageContract, BothDirectionsOfAPairAreOneConversation) {
  const auto answer = write<Appended>(message("bob", bob_, to_peer("ann"), 1));
  EXPECT_EQ(answer.conversation_id, conversation_);
  EXPECT_EQ(answer.seq, 3u);
}

TEST_F(MessageContract, OnlyARepeatIsAnsweredWhenNothingElseMayBe) {
  const auto asking = [](AppendMessage op) {
    op.only_repeat = true;
    op.content.clear();
    return op;
  };
  const auto first = write<Appended>(message("ann", ann_, to_peer("bob"), 1));

  const auto repeated = write<Appended>(asking(message("ann", ann_, to_peer("bob"), 1)));
  EXPECT_TRUE(repeated.repeated);
  EXPECT_EQ(repeated.message_id, first.message_id);
  EXPECT_EQ(repeated.seq, first.seq);
  EXPECT_EQ(repeated.time, first.time);
  EXPECT_EQ(code(asking(message("ann", ann_, to_peer("bob"), 1, "another text"))), Code::kConflict);
  // What is new is appended nowhere, closes no number and makes no conversation.
  EXPECT_EQ(code(asking(from_ann(2))), Code::kNotFound);
  register_user("cid");
  EXPECT_EQ(code(asking(message("ann", ann_, to_peer("cid"), 1))), Code::kNotFound);
  EXPECT_EQ(code(asking(message("ann", ann_, to_peer("nobody"), 1))), Code::kNotFound);
  EXPECT_EQ(code(asking(message("ann", ann_, to_conversation(ConversationId{4'242}), 1))), Code::kNotFound);
  write<Voided>(void_of(from_ann(2)));
  EXPECT_EQ(code(asking(from_ann(2))), Code::kVoided);
  EXPECT_EQ(write<Appended>(from_ann(3)).seq, 3u);
  EXPECT_EQ(write<Appended>(message("ann", ann_, to_peer("cid"), 1)).seq, 2u);
}

TEST_F(MessageContract, NamesThatRunTogetherAreDifferentPairs) {
  for (const char* user : {"a", "ab", "b", "bb"}) register_user(user);
  const DeviceId a = log_in("a", "installation-a").session.device_id;
  const DeviceId ab = log_in("ab", "installation-ab").session.device_id;
  const auto one = write<Appended>(message("a", a, to_peer("bb"), 1)).conversation_id;
  const auto two = write<Appended>(message("ab", ab, to_peer("b"), 1)).conversation_id;
  EXPECT_NE(one, two);
}

TEST_F(MessageContract, SequencesAreDenseAndIdsGrow) {
  std::vector<WriteOp> ops;
  for (std::uint64_t number = 2; number <= 100; ++number) ops.push_back(from_ann(number));
  const CommitResult result = commit(std::move(ops));
  MessageId last;
  for (std::size_t i = 0; i < result.answers.size(); ++i) {
    const auto& appended = std::get<Appended>(*result.answers[i]);
    EXPECT_EQ(appended.seq, 3 + i);
    EXPECT_GT(appended.message_id, last);
    last = appended.message_id;
  }
}

TEST_F(MessageContract, WhatIsAppendedIsWhatIsRead) {
  const CommitResult result = commit({from_ann(2, "two"), from_bob(1, "three")});
  auto page = reader().items("bob", {}, conversation_, 2, 10, 1 << 20);
  ASSERT_TRUE(page.ok());
  ASSERT_EQ(page->items.size(), 2u);
  EXPECT_EQ(*page->items[0], *result.appended[0].item);
  EXPECT_EQ(*page->items[1], *result.appended[1].item);
  wire::Item item = parse(page->items[0]);
  EXPECT_EQ(item.SerializeAsString(), *page->items[0]) << "canonical, no unknown field";
}

TEST_F(MessageContract, ARepeatGetsTheFirstAnswer) {
  const AppendMessage op = from_ann(2);
  const auto first = write<Appended>(op);
  pass(60'000);
  AppendMessage again = op;
  again.now = now();
  const CommitResult result = commit({again});
  const auto repeated = std::get<Appended>(*result.answers.at(0));
  EXPECT_TRUE(repeated.repeated);
  EXPECT_EQ(repeated.message_id, first.message_id);
  EXPECT_EQ(repeated.seq, first.seq);
  EXPECT_EQ(repeated.time, first.time);
  EXPECT_TRUE(result.appended.empty());
}

TEST_F(MessageContract, ARepeatWithinOneBatchGetsTheFirstAnswer) {
  const CommitResult result = commit({from_ann(2), from_ann(2), from_ann(3)});
  EXPECT_FALSE(std::get<Appended>(*result.answers[0]).repeated);
  EXPECT_TRUE(std::get<Appended>(*result.answers[1]).repeated);
  EXPECT_EQ(std::get<Appended>(*result.answers[1]).seq, std::get<Appended>(*result.answers[0]).seq);
  EXPECT_EQ(result.appended.size(), 2u);
}

TEST_F(MessageContract, ARepeatIsFoundBehindTheNextSendNumberToo) {
  const AppendMessage op = from_ann(2);
  const auto first = write<Appended>(op);
  AppendMessage again = op;
  again.send_number = 3;  // nothing but the record speaks against it
  const auto repeated = write<Appended>(again);
  EXPECT_TRUE(repeated.repeated);
  EXPECT_EQ(repeated.seq, first.seq);
  EXPECT_EQ(write<Appended>(from_ann(3)).seq, first.seq + 1) << "the repeat closed no number";
}

TEST_F(MessageContract, ARepeatNamingThePeerFindsTheConversation) {
  AppendMessage again = message("ann", ann_, to_peer("bob"), 1);
  EXPECT_TRUE(write<Appended>(again).repeated);
}

TEST_F(MessageContract, ARepeatIsAnsweredAfterTheSenderLeft) {
  const AppendMessage op = from_ann(2);
  const auto first = write<Appended>(op);
  harness_->end_membership(conversation_, "ann", first.seq);
  EXPECT_EQ(write<Appended>(op).seq, first.seq);
  EXPECT_EQ(write<Voided>(void_of(op)).accepted->seq, first.seq);
  EXPECT_EQ(code(from_ann(3)), Code::kForbidden);
  EXPECT_EQ(code(void_of(from_ann(3))), Code::kForbidden);
}

TEST_F(MessageContract, AConversationHasAsManyMembersAsJoinIt) {
  for (const char* user : {"cid", "dan"}) register_user(user);
  const DeviceId cid = log_in("cid").session.device_id;
  harness_->begin_membership(conversation_, "cid", 1, 3);
  harness_->begin_membership(conversation_, "dan", 1, 3);
  const CommitResult result =
      commit({message("cid", cid, to_conversation(conversation_), 1, "three"), from_ann(2, "four")});
  ASSERT_EQ(result.appended.size(), 2u);
  for (const AppendedItem& item : result.appended) {
    std::vector<UserId> followers = item.followers;
    std::sort(followers.begin(), followers.end());
    EXPECT_EQ(followers, (std::vector<UserId>{"ann", "bob", "cid", "dan"}));
  }
  for (const char* user : {"ann", "bob", "cid", "dan"}) {
    const auto items = read(user, conversation_);
    EXPECT_EQ(text_of(items.back()), "four") << user;
    EXPECT_EQ(text_of(items.at(items.size() - 2)), "three") << user;
  }
  EXPECT_EQ(read("dan", conversation_).size(), 3u) << "a skip and what came since";
  EXPECT_EQ(read("bob", conversation_).size(), 4u);
}

TEST_F(MessageContract, EachMemberHasMarksThatAllHearOf) {
  for (const char* user : {"cid", "dan"}) register_user(user);
  harness_->begin_membership(conversation_, "cid", 1, 3);
  harness_->begin_membership(conversation_, "dan", 1, 3);
  write<Appended>(from_ann(2));
  const CommitResult result =
      commit({AdvanceMarks{"cid", conversation_, 2, 3, 3, now()}, AdvanceMarks{"bob", conversation_, 0, 3, 0, now()},
              AdvanceMarks{"dan", conversation_, 0, 3, 0, now()}});
  ASSERT_EQ(result.moved.size(), 1u);
  EXPECT_EQ(result.moved[0].followers.size(), 4u);
  ASSERT_EQ(result.moved[0].advances.size(), 4u);
  EXPECT_EQ(result.moved[0].advances[1].kind, wire::Marks::KIND_READ);
  EXPECT_EQ(result.moved[0].advances[3].user_id, "dan");
}

TEST_F(MessageContract, TheSameIdFromAnotherUserIsAnotherMessage) {
  AppendMessage op = from_bob(1);
  op.client_message_id = message("ann", ann_, {}, 1).client_message_id;
  EXPECT_FALSE(write<Appended>(op).repeated);
}

TEST_F(MessageContract, AnotherPayloadUnderTheSameIdIsAConflict) {
  AppendMessage op = from_ann(2, "one");
  write<Appended>(op);
  AppendMessage other = from_ann(2, "other");
  EXPECT_EQ(code(other), Code::kConflict);
  other.send_number = 3;
  EXPECT_EQ(code(other), Code::kConflict);
}

TEST_F(MessageContract, SendNumbersGoUpByOne) {
  EXPECT_EQ(code(from_ann(3)), Code::kOutOfOrder);
  EXPECT_EQ(code(from_ann(0)), Code::kOutOfOrder);
  EXPECT_EQ(code(from_ann(2)), Code::kOk);
  AppendMessage same_number = from_ann(2);
  same_number.client_message_id = client_id(77);
  EXPECT_EQ(code(same_number), Code::kOutOfOrder);
}

TEST_F(MessageContract, ARefusalForOrderNamesTheNextNumber) {
  register_user("cid");
  const CommitResult result = commit({from_ann(7), void_of(from_ann(7)), message("ann", ann_, to_peer("cid"), 7)});
  EXPECT_EQ(result.answers[0].error().expected_number, 2u);
  EXPECT_EQ(result.answers[1].error().expected_number, 2u);
  EXPECT_EQ(result.answers[2].error().expected_number, 1u);
}

TEST_F(MessageContract, SendNumbersAreOfADeviceInAConversation) {
  register_user("cid");
  const DeviceId second = log_in("ann", "installation-001").session.device_id;
  EXPECT_EQ(code(message("ann", second, to_conversation(conversation_), 1)), Code::kOk);
  EXPECT_EQ(code(message("ann", ann_, to_peer("cid"), 1)), Code::kOk);
  EXPECT_EQ(code(from_ann(2)), Code::kOk);
}

TEST_F(MessageContract, ARefusedFirstMessageLeavesNothing) {
  register_user("cid");
  EXPECT_EQ(code(message("ann", ann_, to_peer("cid"), 2)), Code::kOutOfOrder);
  EXPECT_EQ(reader().followed("cid", {})->size(), 1u) << "the account stream alone";
  EXPECT_EQ(code(message("ann", ann_, to_peer("cid"), 1)), Code::kOk);
}

TEST_F(MessageContract, ARefusedSendLeavesNoRow) {
  AppendMessage ahead = from_ann(3);
  const CommitResult result = commit({ahead, from_ann(2)});
  EXPECT_EQ(result.answers[0].code(), Code::kOutOfOrder);
  EXPECT_EQ(std::get<Appended>(*result.answers[1]).seq, 3u) << "ops after a refusal see the state without it";
  EXPECT_FALSE(write<Appended>(ahead).repeated) << "the refused id was not remembered";
}

TEST_F(MessageContract, WhoIsNotAMemberLearnsNothing) {
  register_user("eve");
  const DeviceId eve = log_in("eve").session.device_id;
  EXPECT_EQ(code(message("eve", eve, to_conversation(conversation_), 1)), Code::kNotFound);
  EXPECT_EQ(code(message("eve", eve, to_conversation(StreamId{12345}), 1)), Code::kNotFound);
  EXPECT_EQ(code(void_of(message("eve", eve, to_conversation(conversation_), 1))), Code::kNotFound);
  const AppendMessage stolen_id = [&] {
    AppendMessage op = message("eve", eve, to_conversation(conversation_), 1);
    op.client_message_id = message("ann", ann_, {}, 1).client_message_id;
    return op;
  }();
  EXPECT_EQ(code(stolen_id), Code::kNotFound);
}

TEST_F(MessageContract, AnAccountStreamIsNoConversation) {
  EXPECT_EQ(code(message("ann", ann_, to_conversation(ann_account_.account_stream), 1)), Code::kNotFound);
}

TEST_F(MessageContract, UnknownPeersAndOneselfAreRefused) {
  EXPECT_EQ(code(message("ann", ann_, to_peer("nobody"), 1)), Code::kNotFound);
  EXPECT_EQ(code(message("ann", ann_, to_peer("ann"), 1)), Code::kInvalidArgument);
  EXPECT_EQ(code(message("ann", ann_, {}, 1)), Code::kNotFound);
  EXPECT_EQ(code(message("nobody", ann_, to_peer("ann"), 1)), Code::kNotFound);
  EXPECT_EQ(code(void_of(message("ann", ann_, to_peer("ann"), 1))), Code::kInvalidArgument);
}

// ---- The end of a session ------------------------------------------------------------------------------------------

// What the committer holds when a session ends is behind the end of the session, in the same batch or the next.
class EndedContract : public PairContract {
 protected:
  void SetUp() override {
    PairContract::SetUp();
    session_ = log_in("ann").session;
  }
  AppendMessage sent(std::uint64_t number) {
    AppendMessage op = from_ann(number);
    op.session = session_.session_id;
    return op;
  }
  // Every way in which a session ends.
  std::vector<WriteOp> ends() {
    RotateSession reuse;
    reuse.session_id = session_.session_id;
    reuse.generation = 0;  // older than the one that is due
    reuse.now = now();
    reuse.expires = now() + std::chrono::hours(1);
    return {EndSessions{"ann", ann_, true, now()}, EndSessions{"ann", ann_, false, now()}, opening("ann"), reuse};
  }
  void begin_anew() {
    harness_ = make_store_harness();
    SetUp();
  }

  Session session_;
};

TEST_F(EndedContract, NothingNewIsAcceptedBehindTheEndOfItsSession) {
  for (std::size_t i = 0; i < ends().size(); ++i) {
    SCOPED_TRACE(i);
    begin_anew();
    const WriteOp end = ends()[i];

    const CommitResult result = commit({sent(2), end, sent(3), void_of(sent(3))});

    EXPECT_TRUE(result.answers[0].ok()) << "what was before it is accepted";
    EXPECT_TRUE(result.answers[1].ok());
    EXPECT_EQ(result.answers[2].code(), Code::kUnauthenticated);
    EXPECT_EQ(result.answers[3].code(), Code::kUnauthenticated);
    EXPECT_EQ(code(sent(3)), Code::kUnauthenticated) << "nor in a later batch";
    EXPECT_EQ(read("bob", conversation_).size(), 3u) << "roster and two messages";
    harness_->reopen();
    EXPECT_EQ(code(sent(3)), Code::kUnauthenticated) << "nor after a restart";
  }
}

TEST_F(EndedContract, AFirstMessageBehindTheEndOfItsSessionMakesNoConversation) {
  register_user("cid");
  AppendMessage first = message("ann", ann_, to_peer("cid"), 1);
  first.session = session_.session_id;

  const CommitResult result = commit({EndSessions{"ann", ann_, true, now()}, first, void_of(first)});

  EXPECT_EQ(result.answers[1].code(), Code::kUnauthenticated);
  EXPECT_EQ(result.answers[2].code(), Code::kUnauthenticated);
  EXPECT_EQ(reader().followed("cid", {})->size(), 1u) << "its account stream";
}

TEST_F(EndedContract, ARepeatGetsItsFirstAnswerAfterTheEndToo) {
  const auto first = write<Appended>(sent(2));
  write<Done>(EndSessions{"ann", ann_, true, now()});

  const auto repeated = write<Appended>(sent(2));
  EXPECT_TRUE(repeated.repeated);
  EXPECT_EQ(repeated.message_id, first.message_id);
}

TEST_F(EndedContract, ARotatedSessionGoesOn) {
  write<Appended>(sent(2));
  RotateSession rotation;
  rotation.session_id = session_.session_id;
  rotation.generation = 1;
  rotation.request_id = "request-00000001";
  rotation.now = now();
  rotation.expires = now() + std::chrono::hours(1);
  write<SessionRotated>(rotation);

  EXPECT_FALSE(write<Appended>(sent(3)).repeated);
}

TEST_F(EndedContract, TheNextSessionOfTheDeviceGoesOn) {
  write<Appended>(sent(2));
  session_ = log_in("ann").session;

  EXPECT_EQ(write<Appended>(sent(3)).seq, 4u);
}

TEST_F(EndedContract, AnotherDevicesSessionIsNotItsOwn) {
  AppendMessage op = sent(2);
  op.session = log_in("bob").session.session_id;

  EXPECT_EQ(code(op), Code::kUnauthenticated);
}

// ---- Voids ---------------------------------------------------------------------------------------------------------

TEST_F(MessageContract, AVoidedMessageIsNeverAccepted) {
  const AppendMessage op = from_ann(2);
  EXPECT_FALSE(write<Voided>(void_of(op)).accepted.has_value());
  EXPECT_EQ(code(op), Code::kVoided);
  AppendMessage other_number = op;
  other_number.send_number = 3;
  EXPECT_EQ(code(other_number), Code::kVoided);
  EXPECT_EQ(write<Appended>(from_ann(3)).seq, 3u) << "the void closed its send number and took no sequence";
}

TEST_F(MessageContract, AVoidAfterAcceptanceAnswersTheAcceptance) {
  const AppendMessage op = from_ann(2);
  const auto first = write<Appended>(op);
  const auto voided = write<Voided>(void_of(op));
  ASSERT_TRUE(voided.accepted.has_value());
  EXPECT_EQ(voided.accepted->seq, first.seq);
  EXPECT_EQ(voided.accepted->message_id, first.message_id);
  EXPECT_EQ(voided.accepted->time, first.time);
  EXPECT_TRUE(write<Appended>(op).repeated) << "it stays accepted";
}

TEST_F(MessageContract, ARepeatedVoidGetsTheSameAnswer) {
  const VoidMessage op = void_of(from_ann(2));
  for (const bool repeated : {false, true}) {
    const auto voided = write<Voided>(op);
    EXPECT_FALSE(voided.accepted.has_value());
    EXPECT_EQ(voided.repeated, repeated);
  }
  EXPECT_EQ(code(from_ann(3)), Code::kOk);
}

TEST_F(MessageContract, AVoidKeepsTheOrderOfSendNumbers) {
  EXPECT_EQ(code(void_of(from_ann(3))), Code::kOutOfOrder);
  EXPECT_EQ(code(from_ann(3)), Code::kOutOfOrder);
}

TEST_F(MessageContract, AVoidBeforeTheConversationAnnouncesNothing) {
  const Account cid = register_user("cid");
  const AppendMessage op = message("ann", ann_, to_peer("cid"), 1);
  const CommitResult voided = commit({void_of(op)});
  EXPECT_TRUE(voided.answers[0].ok());
  EXPECT_TRUE(voided.appended.empty());
  EXPECT_EQ(reader().followed("cid", {})->size(), 1u);
  harness_->reopen();
  EXPECT_EQ(code(op), Code::kVoided);
  const CommitResult second = commit({message("ann", ann_, to_peer("cid"), 2)});
  EXPECT_EQ(std::get<Appended>(*second.answers[0]).seq, 2u);
  EXPECT_EQ(second.appended.size(), 4u) << "roster, two account items, the message";
  EXPECT_EQ(read("cid", cid.account_stream).size(), 1u);
}

TEST_F(MessageContract, AVoidAndAMessageInOneBatchAgree) {
  const AppendMessage op = from_ann(2);
  const CommitResult result = commit({op, void_of(op), void_of(from_ann(3)), from_ann(3)});
  EXPECT_TRUE(std::get<Voided>(*result.answers[1]).accepted.has_value());
  EXPECT_EQ(result.answers[3].code(), Code::kVoided);
}

// ---- What outlives the process -------------------------------------------------------------------------------------

TEST_F(MessageContract, ARestartKeepsWhatWasAnswered) {
  const AppendMessage op = from_ann(2);
  const auto first = write<Appended>(op);
  const VoidMessage voided = void_of(from_ann(3));
  write<Voided>(voided);
  harness_->reopen();
  const auto repeated = write<Appended>(op);
  EXPECT_TRUE(repeated.repeated);
  EXPECT_EQ(repeated.message_id, first.message_id);
  EXPECT_EQ(code(from_ann(3)), Code::kVoided);
  EXPECT_EQ(code(from_ann(3 + 2)), Code::kOutOfOrder);
  const auto next = write<Appended>(from_ann(4));
  EXPECT_EQ(next.seq, first.seq + 1);
  EXPECT_GT(next.message_id, first.message_id);
}

TEST_F(MessageContract, MessageIdsGrowThoughTheClockWentBack) {
  const auto before = write<Appended>(from_ann(2));
  pass(-3'600'000);
  harness_->reopen();
  EXPECT_GT(write<Appended>(from_ann(3)).message_id, before.message_id);
}

TEST_F(StoreContract, ARestartKeepsEpochAndSecret) {
  const std::uint64_t epoch = store().epoch();
  const Bytes secret = store().secret();
  EXPECT_NE(epoch, 0u);
  EXPECT_EQ(secret.size(), 32u);
  register_user("ann");
  harness_->reopen();
  harness_->reopen();
  EXPECT_EQ(store().epoch(), epoch);
  EXPECT_EQ(store().secret(), secret);
}

TEST_F(MessageContract, TextOfAnyKindIsKeptAsItIs) {
  const std::string nasty[] = {
      "'; DROP TABLE item; --",       "\" OR 1=1 --",          "?1", "%s%n", "a\tb\r\nc", "\xF0\x9F\x98\x80",
      std::string("nul\0inside", 10), std::string(65'536, 'x')};
  std::uint64_t number = 1;
  for (const std::string& text : nasty) {
    const auto appended = write<Appended>(from_ann(++number, text));
    const auto items = read("bob", conversation_, appended.seq - 1, 1);
    ASSERT_EQ(items.size(), 1u);
    EXPECT_EQ(text_of(items[0]), text);
  }
}

TEST_F(StoreContract, NamesOfAnyKindAreKeptAsTheyAre) {
  const UserId nasty = "x'); DELETE FROM account; --";
  Account made = account(nasty);
  made.display_name = "Robert\"); DROP TABLE account;--";
  made.email = "a'b@example.org' OR '1'='1";
  made.phone = "+1'--";
  write<Account>(CreateAccount{made});
  register_user("bob' OR 'a'='a");
  OpenSession op = opening(nasty, "';--installation");
  op.device_name = "phone'; --";
  const auto opened = write<SessionOpened>(op);
  const auto appended = write<Appended>(message(nasty, opened.session.device_id, to_peer("bob' OR 'a'='a"), 1));
  const auto stored = reader().account(nasty);
  ASSERT_TRUE(stored.ok() && stored->has_value());
  EXPECT_EQ((*stored)->display_name, made.display_name);
  EXPECT_EQ((*stored)->email, made.email);
  EXPECT_EQ((*stored)->phone, made.phone);
  EXPECT_EQ(reader().devices(nasty)->at(0).name, "phone'; --");
  EXPECT_EQ(reader().devices(nasty)->at(0).installation_id, "';--installation");
  EXPECT_EQ(read("bob' OR 'a'='a", appended.conversation_id, 1).at(0).sender_user_id(), nasty);
  EXPECT_FALSE(reader().account("bob")->has_value());
}

TEST_F(StoreContract, AnEmptyBatchIsAnswered) { EXPECT_TRUE(commit({}).answers.empty()); }

// ---- The end of deduplication records ------------------------------------------------------------------------------

class RecordContract : public MessageContract {
 protected:
  static constexpr std::int64_t kLifetimeMs =
      std::chrono::duration_cast<std::chrono::milliseconds>(limits::kDedupLifetime).count();

  // Everything, `max` records a write; how many were removed.
  std::size_t purge(std::size_t max = 100) {
    std::size_t removed = 0;
    RecordKey place;
    for (;;) {
      const auto purged = write<RecordsPurged>(PurgeRecords{place, max, now()});
      EXPECT_LE(purged.removed, max);
      removed += purged.removed;
      if (!purged.last) return removed;
      place = *purged.last;
    }
  }
};

TEST_F(RecordContract, OutliveTheirLifetimeByNothing) {
  pass(kLifetimeMs - 1);
  EXPECT_EQ(purge(), 0u) << "below";
  pass(1);
  EXPECT_EQ(purge(), 0u) << "at";
  pass(1);
  EXPECT_EQ(purge(), 1u) << "above";
  EXPECT_EQ(purge(), 0u);
}

TEST_F(RecordContract, OfAClientThatMayStillRetryStay) {
  const AppendMessage op = from_ann(2);
  const auto first = write<Appended>(op);
  pass(std::chrono::duration_cast<std::chrono::milliseconds>(limits::kSendTimeLimitMax).count());
  EXPECT_EQ(purge(), 0u);
  const auto again = write<Appended>(op);
  EXPECT_TRUE(again.repeated);
  EXPECT_EQ(again.seq, first.seq);
}

TEST_F(RecordContract, GoAFewAtATimeAndTheNewOnesStay) {
  for (std::uint64_t number = 2; number <= 10; ++number) write<Appended>(from_ann(number));
  pass(kLifetimeMs + 1);
  AppendMessage fresh = from_ann(11);
  write<Appended>(fresh);
  EXPECT_EQ(purge(3), 10u);
  EXPECT_TRUE(write<Appended>(fresh).repeated);
}

TEST_F(RecordContract, GoWithTheirTombstones) {
  const AppendMessage op = from_ann(2);
  write<Voided>(void_of(op));
  pass(kLifetimeMs + 1);
  EXPECT_EQ(purge(), 2u);
}

TEST_F(RecordContract, AreNotNeededToRefuseAnOldSendOrVoid) {
  const AppendMessage op = from_ann(2);
  const auto first = write<Appended>(op);
  pass(kLifetimeMs + 1);
  purge();
  EXPECT_EQ(code(op), Code::kOutOfOrder) << "its send number is closed";
  EXPECT_EQ(code(void_of(op)), Code::kOutOfOrder) << "nobody is told that an accepted message was voided";
  EXPECT_EQ(read("bob", first.conversation_id).back().seq(), first.seq) << "items stay";
}

TEST_F(RecordContract, AreEachLookedAtOnceInASweep) {
  for (std::uint64_t number = 2; number <= 7; ++number) write<Appended>(from_ann(number));
  RecordKey place;
  std::vector<Bytes> seen;
  for (;;) {
    const auto purged = write<RecordsPurged>(PurgeRecords{place, 1, now()});
    if (!purged.last) break;
    place = *purged.last;
    seen.push_back(place.client_message_id);
  }
  EXPECT_EQ(seen.size(), 7u);
  std::sort(seen.begin(), seen.end());
  EXPECT_EQ(std::unique(seen.begin(), seen.end()), seen.end());
}

}  // namespace
// ---- What its sender deletes ---------------------------------------------------------------------------------------

class DeletingContract : public PairContract {
 protected:
  static Bytes said(auto kind) {
    content::Annotation annotation;
    annotation.kind = std::move(kind);
    return content::write(annotation);
  }
  AppendMessage edit_of(AppendMessage op, const ClientMessageId& target) {
    content::Edit edit{{"", target}, {}};
    edit.post.kind = content::Text{"canary-edit"};
    op.content = said(std::move(edit));
    op.payload_hash = payload_hash(op.content);
    op.edits = target;
    return op;
  }
  AppendMessage deletion_of(AppendMessage op, const ClientMessageId& target) {
    op.content = said(content::Delete{{"", target}});
    op.payload_hash = payload_hash(op.content);
    op.deletes = target;
    return op;
  }
  std::vector<Bytes> contents() {
    std::vector<Bytes> found;
    for (const wire::Item& item : read("bob", conversation_, 1)) found.push_back(item.content());
    return found;
  }
};

TEST_F(DeletingContract, HoldsNothingAnyMoreAndNeitherDoItsEdits) {
  const AppendMessage post = from_ann(2, "canary-post");
  write<Appended>(post);
  write<Appended>(edit_of(from_ann(3), post.client_message_id));
  const AppendMessage other = from_bob(1, "stays");
  write<Appended>(other);
  const AppendMessage deletion = deletion_of(from_ann(4), post.client_message_id);
  write<Appended>(deletion);
  write<Appended>(edit_of(from_ann(5), post.client_message_id));

  const std::vector<Bytes> left = {
      encode_text_content("hello"), content::erased(), content::erased_annotation(), other.content, deletion.content,
      content::erased_annotation()};
  EXPECT_EQ(contents(), left);
  harness_->reopen();
  EXPECT_EQ(contents(), left);
}

TEST_F(DeletingContract, IsStillKnownAsARepeat) {
  const AppendMessage post = from_ann(2, "gone");
  const auto first = write<Appended>(post);
  const AppendMessage deletion = deletion_of(from_ann(3), post.client_message_id);
  const auto deleted = write<Appended>(deletion);
  const auto again = write<Appended>(post);
  EXPECT_TRUE(again.repeated);
  EXPECT_EQ(again.seq, first.seq);
  AppendMessage changed = post;
  changed.payload_hash = payload_hash("other");
  EXPECT_EQ(code(changed), Code::kConflict);
  const auto deleted_again = write<Appended>(deletion);
  EXPECT_TRUE(deleted_again.repeated);
  EXPECT_EQ(deleted_again.seq, deleted.seq);
}

TEST_F(DeletingContract, IsOnlyTheSendersOwnAndAPost) {
  const AppendMessage post = from_ann(2, "stays");
  write<Appended>(post);
  AppendMessage same_id = from_bob(1, "of the same id");
  same_id.client_message_id = post.client_message_id;
  write<Appended>(same_id);
  const AppendMessage edit = edit_of(from_ann(3), post.client_message_id);
  write<Appended>(edit);
  const std::vector<Bytes> before = contents();

  write<Appended>(deletion_of(from_ann(4), edit.client_message_id));  // no post
  write<Appended>(deletion_of(from_ann(5), client_id(424'242)));      // nothing
  const AppendMessage voided = from_ann(6, "never");
  write<Voided>(void_of(voided));
  write<Appended>(deletion_of(from_ann(7), voided.client_message_id));  // never accepted
  std::vector<Bytes> after = contents();
  after.resize(before.size());
  EXPECT_EQ(after, before);

  write<Appended>(deletion_of(from_bob(2), post.client_message_id));
  after = contents();
  EXPECT_EQ(after[1], post.content);
  EXPECT_EQ(after[2], content::erased());
}

}  // namespace chatsdk::server
