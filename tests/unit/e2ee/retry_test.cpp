// SPDX-License-Identifier: Apache-2.0
#include "e2ee/retry.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "base/limits.h"
#include "unit/e2ee/devices.h"

namespace chatsdk::e2ee {
namespace {

class MemoryNotes final : public RetryNotes {
 public:
  Result<bool> was_asked(StreamId conversation, Seq seq) override { return asked_.contains({conversation, seq}); }
  Status note_asked(StreamId conversation, Seq seq, std::uint64_t) override {
    asked_.insert({conversation, seq});
    return {};
  }
  Result<std::optional<SessionId>> begun_for_request(const Peer& peer) override {
    const auto at = begun_.find(peer);
    return at == begun_.end() ? std::optional<SessionId>() : std::optional<SessionId>(at->second);
  }
  Status note_begun(const Peer& peer, const SessionId& session_id) override {
    begun_[peer] = session_id;
    return {};
  }
  Result<std::optional<SentNote>> sent(const ClientMessageId& id) override {
    const auto at = sent_notes.find(id);
    return at == sent_notes.end() ? std::optional<SentNote>() : std::optional<SentNote>(at->second);
  }
  Result<bool> was_answered(const ClientMessageId& id, const Peer& to) override { return answered_.contains({id, to}); }
  Status note_answered(const ClientMessageId& id, const Peer& to) override {
    answered_.insert({id, to});
    return {};
  }

  std::map<ClientMessageId, SentNote> sent_notes;

 private:
  std::set<std::pair<StreamId, Seq>> asked_;
  std::map<Peer, SessionId> begun_;
  std::set<std::pair<ClientMessageId, Peer>> answered_;
};

class Retry : public ::testing::Test, protected Two {
 protected:
  Retry() {
    notes_.sent_notes[target_.target_id] = {StreamId{9}, 4, {{bob.peer(), bob.person.record.hash}}, kThen};
    talk();
  }
  bool asks(Code outcome, SliceKind kind = SliceKind::kMessage, Seq seq = 4) {
    Incoming item = bob.item(alice, {});
    item.kind = kind;
    return ask_again(bob.state, notes_, item, {StreamId{9}, seq}, outcome, kThen).value();
  }
  bool answers(const RetryBody& request, RequestFacts facts = {true, true}, std::uint64_t now_ms = kThen,
               StreamId conversation = StreamId{9}) {
    return answer(alice.state, notes_, bob.peer(), came_by_, conversation, request, facts, now_ms).value();
  }

  MemoryNotes notes_;
  RetryBody target_{4, ClientMessageId::from_bytes(repeated(0x51, 16)).value(), {}};
  SessionId came_by_ = fixed_of<SessionId>(0xEE);
};

TEST_F(Retry, AsksForWhatFailedAndMayComeRight) {
  EXPECT_TRUE(asks(kNoSession, SliceKind::kMessage, 1));
  EXPECT_TRUE(asks(kBadMessage, SliceKind::kMessage, 2));
  EXPECT_FALSE(asks(kDuplicate, SliceKind::kMessage, 3));
  EXPECT_FALSE(asks(kUntrusted, SliceKind::kMessage, 3));
  EXPECT_FALSE(asks(Code::kStorage, SliceKind::kMessage, 3));
  for (const SliceKind kind : {SliceKind::kKeys, SliceKind::kRetry, SliceKind::kRepair}) {
    EXPECT_FALSE(asks(kNoSession, kind, 3));
  }
}

TEST_F(Retry, AsksOnce) {
  EXPECT_TRUE(asks(kNoSession));
  EXPECT_FALSE(asks(kNoSession));
}

TEST_F(Retry, NamesTheSessionOfWhatFailed) {
  const Bytes message = alice.write(bob);
  EXPECT_EQ(request_for({StreamId{9}, 4}, target_.target_id, message).failed_session, alice.active(bob));
  EXPECT_EQ(request_for({StreamId{9}, 4}, target_.target_id, "garbage").failed_session, SessionId{});
}

TEST_F(Retry, GoesThroughASessionThatWasBegunForIt) {
  EXPECT_EQ(prepare_request(bob.state, notes_, alice.peer(), kThen).value(), Readiness::kNeedsBundle);
  EXPECT_EQ(bob.count(alice, SessionStatus::kActive), 0U);
  ASSERT_EQ(bob.begin(alice), Code::kOk);
  ASSERT_TRUE(notes_.note_begun(alice.peer(), bob.active(alice)).ok());
  const std::uint64_t day = ms(limits::e2ee::kRetrySessionKept);
  EXPECT_EQ(prepare_request(bob.state, notes_, alice.peer(), kThen + day - 1).value(), Readiness::kReady);
  EXPECT_EQ(prepare_request(bob.state, notes_, alice.peer(), kThen + day).value(), Readiness::kNeedsBundle);
}

TEST_F(Retry, IsAnsweredOnce) {
  EXPECT_TRUE(answers(target_));
  EXPECT_FALSE(answers(target_));
}

TEST_F(Retry, IsAnsweredOnlyForWhatWasSentToThatDevice) {
  RetryBody other = target_;
  other.target_seq = 5;
  EXPECT_FALSE(answers(other));
  other = target_;
  other.target_id = ClientMessageId::from_bytes(repeated(0x52, 16)).value();
  EXPECT_FALSE(answers(other));
  EXPECT_FALSE(answers(target_, {true, true}, kThen, StreamId{8}));
  notes_.sent_notes[target_.target_id].devices = {{{"bob", DeviceId{9}}, bob.person.record.hash}};
  EXPECT_FALSE(answers(target_));
}

TEST_F(Retry, IsAnsweredWhileTheMessageAndTheMemberAreThere) {
  EXPECT_FALSE(answers(target_, {false, true}));
  EXPECT_FALSE(answers(target_, {true, false}));
  EXPECT_FALSE(answers(target_, {true, true}, kThen + ms(limits::e2ee::kResendKept)));
  EXPECT_TRUE(answers(target_, {true, true}, kThen + ms(limits::e2ee::kResendKept) - 1));
}

TEST_F(Retry, IsNotAnsweredToOtherKeysUnderTheNameOfTheDevice) {
  notes_.sent_notes[target_.target_id].devices = {{bob.peer(), person("bob", 2, 0x31, 4, {}).record.hash}};
  EXPECT_FALSE(answers(target_));
}

TEST_F(Retry, IsNotAnsweredToADeviceThatLeft) {
  const Person second = person("bob", 4, 0x31, 4, {});
  const DeviceId gone{2};
  const auto next =
      next_device_list(bob.person.list, bob.person.account_seed, {&second.record, 1}, {&gone, 1}, kThen).value();
  ASSERT_EQ(alice.learn(bob, {next.bytes}, {second.record.bytes}).result, Learning::kChanged);
  EXPECT_FALSE(answers(target_));
}

TEST_F(Retry, HealsABrokenSession) {
  // Bob has lost the session in which Alice writes.
  const SessionId lost = alice.active(bob);
  ASSERT_TRUE(bob.state.drop_all_sessions().ok());
  const Bytes message = alice.write(bob);
  ASSERT_EQ(bob.receive(alice, message), kNoSession);
  ASSERT_TRUE(asks(kNoSession));

  ASSERT_EQ(prepare_request(bob.state, notes_, alice.peer(), kThen).value(), Readiness::kNeedsBundle);
  ASSERT_EQ(bob.begin(alice), Code::kOk);
  Envelope request = Device::text_envelope({});
  request.body_type = BodyType::kRetryRequest;
  request.body = serialize(request_for({StreamId{9}, 4}, target_.target_id, message));
  const Bytes sent = bob.write(alice, request);
  Incoming item = alice.item(bob, sent);
  item.kind = SliceKind::kRetry;
  ASSERT_EQ(alice.receive(item), Code::kOk);
  came_by_ = alice.last.session_id;
  const RetryBody body = parse_retry_body(alice.last.envelope.body).value();
  EXPECT_EQ(body.failed_session, lost);
  EXPECT_TRUE(answers(body));
  EXPECT_EQ(alice.active(bob), came_by_);
  EXPECT_EQ(bob.receive(alice, alice.write(bob)), Code::kOk);
}

TEST_F(Retry, LeavesAnotherActiveSessionAlone) {
  RetryBody request = target_;
  request.failed_session = fixed_of<SessionId>(0x77);
  const SessionId active = alice.active(bob);
  EXPECT_TRUE(answers(request));
  EXPECT_EQ(alice.active(bob), active);
}

}  // namespace
}  // namespace chatsdk::e2ee
