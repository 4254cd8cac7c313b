// SPDX-License-Identifier: Apache-2.0
#include "e2ee/session_manager.h"

#include <gtest/gtest.h>

#include "base/limits.h"
#include "e2ee/padding.h"
#include "unit/e2ee/devices.h"

namespace chatsdk::e2ee {
namespace {

class SessionManager : public ::testing::Test, protected Two {};

// ---- Sending -------------------------------------------------------------------------------------------------------

TEST_F(SessionManager, NeedsABundleBeforeTheFirstMessage) {
  EXPECT_EQ(prepare(alice.state, bob.peer(), kThen).value(), Readiness::kNeedsBundle);
  EXPECT_EQ(encrypt_for(alice.state, bob.peer(), "envelope", alice.random).code(), kNoSession);
  ASSERT_EQ(alice.begin(bob), Code::kOk);
  EXPECT_EQ(prepare(alice.state, bob.peer(), kThen).value(), Readiness::kReady);
}

TEST_F(SessionManager, SendsNothingToADeviceThatIsNotListed) {
  EXPECT_EQ(prepare(alice.state, {"bob", DeviceId{9}}, kThen).value(), Readiness::kNotListed);
  EXPECT_EQ(prepare(alice.state, {"carol", DeviceId{2}}, kThen).value(), Readiness::kNotListed);
  EXPECT_EQ(begin_session(alice.state, {"bob", DeviceId{9}}, bob.bundle(true), kThen, alice.random, own_kem()).code(),
            kUntrusted);
}

TEST_F(SessionManager, BeginsNothingBeforeItsOwnDeviceIsListed) {
  Device second(person("alice", 7, 0x61, 7, {}));
  second.learn(bob);
  EXPECT_EQ(second.begin(bob), kUntrusted);
  second.learn(alice);  // whose list does not name it
  EXPECT_EQ(second.begin(bob), kUntrusted);
}

TEST_F(SessionManager, ArchivesAnUnansweredSetUpAfterItsTime) {
  ASSERT_EQ(alice.begin(bob), Code::kOk);
  const std::uint64_t most = ms(limits::e2ee::kUnansweredMax);
  EXPECT_EQ(prepare(alice.state, bob.peer(), kThen + most - 1).value(), Readiness::kReady);
  EXPECT_EQ(prepare(alice.state, bob.peer(), kThen + most).value(), Readiness::kNeedsBundle);
  EXPECT_EQ(alice.count(bob, SessionStatus::kArchived), 1U);
}

TEST_F(SessionManager, KeepsAnAnsweredSessionHoweverOldItIs) {
  talk();
  EXPECT_EQ(prepare(alice.state, bob.peer(), kThen + 100 * ms(limits::e2ee::kUnansweredMax)).value(),
            Readiness::kReady);
}

TEST_F(SessionManager, ArchivesASessionWithAnotherRecordThanTheListed) {
  talk();
  // Bob's device was installed again: the same id, other keys.
  const Person again = person("bob", 2, 0x21, 99, {});
  const DeviceId id{2};
  const auto next =
      next_device_list(bob.person.list, bob.person.account_seed, {&again.record, 1}, {&id, 1}, kThen).value();
  alice.learn(bob, {next.bytes}, {again.record.bytes});
  EXPECT_EQ(prepare(alice.state, bob.peer(), kThen).value(), Readiness::kNeedsBundle);
  EXPECT_EQ(alice.count(bob, SessionStatus::kActive), 0U);
}

// Nothing is compressed: what a text says does not show in how long it is on its way.
TEST_F(SessionManager, AMessageIsAsLongAsItsTextIsWhateverThatSays) {
  talk();
  SeededRandom random(99);
  const std::size_t sizes[] = {0, 1, 40, 1'000, 10'000, 65'000};
  for (const std::size_t size : sizes) {
    Bytes noise(size, '\0');
    random.fill({reinterpret_cast<unsigned char*>(noise.data()), size});
    Bytes words;
    while (words.size() < size) words += "again and ";
    words.resize(size);
    const std::uint64_t padded = padded_size(serialize(Device::text_envelope(noise)).size());
    for (const Bytes& text : {noise, words, Bytes(size, '\0'), Bytes(size, 'a')}) {
      const Bytes message = alice.write(bob, text);
      EXPECT_EQ(message.size(), padded + kPairwiseOverheadBytes) << size;
      ASSERT_EQ(bob.receive(alice, message), Code::kOk);
      EXPECT_EQ(bob.last.envelope.body, text);
    }
  }
}

TEST_F(SessionManager, RefusesAnEnvelopeThatIsTooLong) {
  talk();
  const Hash before = alice.state.hash();
  EXPECT_EQ(encrypt_for(alice.state, bob.peer(), Bytes(limits::e2ee::kPaddedMax + 1, 'e'), alice.random).code(),
            Code::kTooLarge);
  EXPECT_EQ(alice.state.hash(), before);
}

// ---- Receiving -----------------------------------------------------------------------------------------------------

TEST_F(SessionManager, OpensWhatWasWritten) {
  talk();
  ASSERT_EQ(bob.receive(alice, alice.write(bob, "hello")), Code::kOk);
  EXPECT_EQ(bob.last.envelope.body, "hello");
  EXPECT_EQ(bob.last.session_id, bob.active(alice));
  EXPECT_EQ(bob.last.newer_list, 0U);
}

TEST_F(SessionManager, OpensAMessageOnce) {
  ASSERT_EQ(alice.begin(bob), Code::kOk);
  const Bytes first = alice.write(bob);
  ASSERT_EQ(bob.receive(alice, first), Code::kOk);
  EXPECT_EQ(bob.receive(alice, first), kDuplicate);
}

TEST_F(SessionManager, UsesOneTimeKeysUpWithTheSessionAndNotBefore) {
  ASSERT_EQ(alice.begin(bob), Code::kOk);
  Bytes message = alice.write(bob);
  const std::size_t kept = bob.state.prekeys()->size();
  Bytes changed = message;
  changed.back() = static_cast<char>(changed.back() ^ 1);
  EXPECT_EQ(bob.receive(alice, changed), kBadMessage);
  EXPECT_EQ(bob.state.prekeys()->size(), kept);
  EXPECT_EQ(bob.receive(alice, message), Code::kOk);
  EXPECT_EQ(bob.state.prekeys()->size(), kept - 2);
}

TEST_F(SessionManager, ASetUpThatComesAgainOpensNothingAlsoWhenItsSessionIsGone) {
  for (const bool one_time : {true, false}) {
    ASSERT_EQ(alice.begin(bob, one_time), Code::kOk);
    const Bytes message = alice.write(bob);
    ASSERT_EQ(bob.receive(alice, message), Code::kOk);
    ASSERT_TRUE(bob.state.drop_all_sessions().ok());
    EXPECT_EQ(bob.receive(alice, message), kNoSession) << one_time;
  }
}

TEST_F(SessionManager, NothingOpensWithAnyByteChanged) {
  ASSERT_EQ(alice.begin(bob), Code::kOk);
  const Bytes set_up = alice.write(bob);
  for (std::size_t at = 0; at < set_up.size(); at += 61) {
    Bytes changed = set_up;
    changed[at] = static_cast<char>(changed[at] ^ 4);
    EXPECT_NE(bob.receive(alice, changed), Code::kOk) << at;
  }
  ASSERT_EQ(bob.receive(alice, set_up), Code::kOk);
  const Bytes steady = bob.write(alice);
  for (std::size_t at = 0; at < steady.size(); ++at) {
    Bytes changed = steady;
    changed[at] = static_cast<char>(changed[at] ^ 4);
    EXPECT_NE(alice.receive(bob, changed), Code::kOk) << at;
    EXPECT_NE(alice.receive(bob, steady.substr(0, at)), Code::kOk) << at;
  }
  EXPECT_EQ(alice.receive(bob, steady), Code::kOk);
}

TEST_F(SessionManager, JudgesTheSenderByTheListOfTheItem) {
  talk();
  const Bytes message = alice.write(bob);
  Incoming item = bob.item(alice, message);
  item.list_version = 2;
  EXPECT_EQ(bob.receive(item), kUntrusted);
  item = bob.item(alice, message);
  item.sender.device_id = DeviceId{9};
  EXPECT_EQ(bob.receive(item), kUntrusted);
  item = bob.item(alice, message);
  item.binding = DirectBinding::of("bob", "carol");
  EXPECT_EQ(bob.receive(item), kUntrusted);
  EXPECT_EQ(bob.receive(alice, message), Code::kOk);
}

TEST_F(SessionManager, BindsAMessageToItsItemConversationAndKind) {
  talk();
  const Bytes message = alice.write(bob);
  Incoming item = bob.item(alice, message);
  item.client_message_id = ClientMessageId::from_bytes(repeated(0x52, 16)).value();
  EXPECT_EQ(bob.receive(item), kBadMessage);
  item = bob.item(alice, message);
  item.binding = fixed_of<GroupId>(7);
  EXPECT_EQ(bob.receive(item), kBadMessage);
  item = bob.item(alice, message);
  item.binding = DirectBinding::of("alice", "carol");
  EXPECT_EQ(bob.receive(item), kBadMessage);
  for (const SliceKind kind : {SliceKind::kKeys, SliceKind::kRetry, SliceKind::kRepair}) {
    item = bob.item(alice, message);
    item.kind = kind;
    EXPECT_EQ(bob.receive(item), kBadMessage);
  }
}

TEST_F(SessionManager, TakesRetryRequestsAndRepairsInItemsOfTheirKind) {
  talk();
  Envelope request = Device::text_envelope({});
  request.body_type = BodyType::kRetryRequest;
  request.body = serialize(RetryBody{4, request.client_message_id, {}});
  Bytes message = alice.write(bob, request);
  Incoming item = bob.item(alice, message);
  item.kind = SliceKind::kRetry;
  EXPECT_EQ(bob.receive(item), Code::kOk);

  Envelope repair = Device::text_envelope({});
  repair.body_type = BodyType::kRepair;
  repair.body = serialize(RepairBody{4, repair.client_message_id, "content"});
  message = alice.write(bob, repair);
  item = bob.item(alice, message);
  item.kind = SliceKind::kRepair;
  EXPECT_EQ(bob.receive(item), Code::kOk);

  repair.body.push_back('x');
  message = alice.write(bob, repair);
  item = bob.item(alice, message);
  item.kind = SliceKind::kRepair;
  EXPECT_EQ(bob.receive(item), kBadMessage);
}

TEST_F(SessionManager, RefusesWhatIsTooLongBeforeItLooksInside) {
  talk();
  EXPECT_EQ(bob.receive(alice, Bytes(limits::e2ee::kMessageMax + 1, '\1')), kBadMessage);
  EXPECT_EQ(bob.receive(alice, {}), kBadMessage);
  EXPECT_EQ(bob.receive(alice, "\x01"), kBadMessage);
  EXPECT_EQ(bob.receive(alice, "\x01\x03"), kBadMessage);
}

TEST_F(SessionManager, ANewSessionWantsItsPrekeysAndASteadyMessageItsSession) {
  ASSERT_EQ(alice.begin(bob), Code::kOk);
  const Bytes set_up = alice.write(bob);
  const auto kept = bob.state.prekeys().value();
  for (const PrekeySummary& prekey : kept) {
    ASSERT_TRUE(bob.state.drop_prekey(prekey.key_id).ok());
  }
  EXPECT_EQ(bob.receive(alice, set_up), kNoSession);
  EXPECT_EQ(bob.receive(alice, "\x01\x02" + Bytes(8, 'i')), kNoSession);
}

TEST_F(SessionManager, CountsSetUpsOfADeviceBeforeTheKem) {
  DeviceRates rates(1, limits::e2ee::kSetUpRegain);
  std::vector<Bytes> set_ups;
  for (int i = 0; i < 2; ++i) {
    ASSERT_EQ(alice.begin(bob), Code::kOk);
    set_ups.push_back(alice.write(bob));
  }
  const auto code = [&](BytesView message, std::uint64_t now_ms) {
    return receive_slice(bob.state, bob.item(alice, message), now_ms, own_kem(), &rates).code();
  };
  EXPECT_EQ(code(set_ups[0], kThen), Code::kOk);
  EXPECT_EQ(code(set_ups[1], kThen), kBadMessage);
  EXPECT_EQ(code(set_ups[1], kThen + ms(limits::e2ee::kSetUpRegain)), Code::kOk);
}

TEST_F(SessionManager, OpensASetUpFromAListThatIsAheadAndAsksForIt) {
  // Alice has linked a device, and Bob reads an item whose roster does not know of it yet.
  const Person second = person("alice", 7, 0x61, 7, {});
  const auto next =
      next_device_list(alice.person.list, alice.person.account_seed, {&second.record, 1}, {}, kThen).value();
  alice.learn(alice, {next.bytes}, {second.record.bytes});
  ASSERT_EQ(alice.begin(bob), Code::kOk);
  EXPECT_EQ(bob.receive(alice, alice.write(bob)), Code::kOk);
  EXPECT_NE(bob.last.newer_list, 0U);
  bob.learn(alice, {next.bytes}, {second.record.bytes});
  ASSERT_EQ(alice.begin(bob), Code::kOk);
  EXPECT_EQ(bob.receive(alice, alice.write(bob)), Code::kOk);
  EXPECT_EQ(bob.last.newer_list, 0U);
}

// A message behind so many that did not come.
class SessionManagerJumps : public SessionManager {
 protected:
  // to has read the first message of from, which writes more until there are jump_max + 1 between that and its last:
  // the last is too far, and the one before is not.
  static void expect_jumps_up_to(std::uint32_t jump_max, Device& from, Device& to, std::uint64_t list_version) {
    const auto receive = [&](BytesView message) {
      Incoming item = to.item(from, message);
      item.list_version = list_version;
      return to.receive(item);
    };
    ASSERT_EQ(from.begin(to), Code::kOk);
    ASSERT_EQ(receive(from.write(to)), Code::kOk);
    for (std::uint32_t lost = 0; lost < jump_max; ++lost) from.write(to);
    const Bytes at = from.write(to);
    const Bytes above = from.write(to);
    EXPECT_EQ(receive(above), kBadMessage);
    EXPECT_EQ(receive(at), Code::kOk);
    EXPECT_EQ(receive(above), Code::kOk);
  }
};

TEST_F(SessionManagerJumps, AreBoundedForADeviceOfAnotherUser) {
  expect_jumps_up_to(limits::e2ee::kJumpMax, alice, bob, 1);
}

TEST_F(SessionManagerJumps, AreFurtherForADeviceOfTheSameUser) {
  Person second = person("alice", 7, 0x61, 7, {});
  second.account_seed = alice.person.account_seed.clone();
  const auto next =
      next_device_list(alice.person.list, alice.person.account_seed, {&second.record, 1}, {}, kThen).value();
  Device tablet(std::move(second));
  for (Device* device : {&alice, &tablet}) {
    device->learn(alice);
    device->learn(alice, {next.bytes}, {tablet.person.record.bytes});
  }
  expect_jumps_up_to(limits::e2ee::kJumpMaxOwn, tablet, alice, 2);
}

// ---- Which session sends -------------------------------------------------------------------------------------------

TEST_F(SessionManager, ANewSetUpBecomesActiveAndTheOneBeforeIsArchived) {
  talk();
  const SessionId before = bob.active(alice);
  ASSERT_EQ(alice.begin(bob), Code::kOk);
  ASSERT_EQ(bob.receive(alice, alice.write(bob)), Code::kOk);
  EXPECT_EQ(bob.active(alice), alice.active(bob));
  EXPECT_NE(bob.active(alice), before);
  EXPECT_EQ(bob.count(alice, SessionStatus::kArchived), 1U);
}

TEST_F(SessionManager, AnArchivedSessionThatOpensSomethingSendsAgain) {
  talk();
  const SessionId before = alice.active(bob);
  const Bytes late = bob.write(alice);
  ASSERT_EQ(alice.begin(bob), Code::kOk);
  ASSERT_NE(alice.active(bob), before);
  ASSERT_EQ(alice.receive(bob, late), Code::kOk);
  EXPECT_EQ(alice.active(bob), before);
  for (const SessionSummary& session : alice.sessions(bob)) {
    EXPECT_EQ(session.archived_ms, session.status == SessionStatus::kActive ? 0U : kThen);
  }
}

TEST_F(SessionManager, SetUpsThatCrossEndInOneSession) {
  for (int round = 0; round < 8; ++round) {
    ASSERT_EQ(alice.begin(bob), Code::kOk);
    ASSERT_EQ(bob.begin(alice), Code::kOk);
    const Bytes from_alice = alice.write(bob);
    const Bytes from_bob = bob.write(alice);
    ASSERT_EQ(bob.receive(alice, from_alice), Code::kOk);
    ASSERT_EQ(alice.receive(bob, from_bob), Code::kOk);
    EXPECT_EQ(alice.active(bob), bob.active(alice));
    // And what goes on opens.
    ASSERT_EQ(bob.receive(alice, alice.write(bob)), Code::kOk);
    ASSERT_EQ(alice.receive(bob, bob.write(alice)), Code::kOk);
    EXPECT_EQ(alice.active(bob), bob.active(alice));
  }
}

TEST_F(SessionManager, KeepsNoMoreArchivedSessionsThanTheLimit) {
  std::vector<Bytes> messages;
  const std::size_t most = limits::e2ee::kArchivedMax;
  for (std::size_t i = 0; i < most + 2; ++i) {
    ++alice.now_ms;
    ASSERT_EQ(alice.begin(bob), Code::kOk);
    messages.push_back(alice.write(bob));
    ASSERT_EQ(bob.receive(alice, messages.back()), Code::kOk);
    ++bob.now_ms;
  }
  EXPECT_EQ(alice.count(bob, SessionStatus::kArchived), most);
  EXPECT_EQ(bob.count(alice, SessionStatus::kArchived), most);
  EXPECT_EQ(bob.receive(alice, messages[0]), kNoSession);  // gone with its session
  EXPECT_EQ(bob.receive(alice, messages[1]), kDuplicate);
}

TEST_F(SessionManager, ArchivingAsksForASession) {
  EXPECT_EQ(archive_active(alice.state, bob.peer(), kThen).code(), kNoSession);
  talk();
  EXPECT_TRUE(archive_active(alice.state, bob.peer(), kThen).ok());
  EXPECT_EQ(archive_active(alice.state, bob.peer(), kThen).code(), kNoSession);
  EXPECT_EQ(activate(alice.state, bob.peer(), fixed_of<SessionId>(1), kThen).code(), kNoSession);
  ASSERT_TRUE(activate(alice.state, bob.peer(), bob.active(alice), kThen).ok());
  EXPECT_EQ(alice.active(bob), bob.active(alice));
}

TEST_F(SessionManager, KeepsNoMoreSkippedKeysInAllThanTheLimit) {
  talk();
  const std::size_t most = limits::e2ee::kSkippedTotalMax;
  // Made up: sessions with other devices that hold all that may be held.
  for (std::uint64_t id = 100; id < 110; ++id) {
    Session full = alice.state.session(bob.peer(), alice.active(bob)).value()->clone();
    while (full.skipped.size() < most / 10) {
      full.skipped.add(1, static_cast<std::uint32_t>(1'000 + full.skipped.size()), secret_of<32>(1), kThen - 1);
    }
    ASSERT_TRUE(bob.state.put_session({"dora", DeviceId{id}}, full).ok());
  }
  const auto total = [&] {
    std::size_t keys = 0;
    for (std::uint64_t id = 100; id < 110; ++id) {
      keys += bob.state.session({"dora", DeviceId{id}}, alice.active(bob)).value()->skipped.size();
    }
    return keys;
  };
  const Bytes left_out = alice.write(bob);
  ASSERT_EQ(total(), most);
  ASSERT_EQ(bob.receive(alice, alice.write(bob)), Code::kOk);
  EXPECT_EQ(total(), most - 1);  // the oldest went
  EXPECT_EQ(bob.receive(alice, left_out), Code::kOk);
}

}  // namespace
}  // namespace chatsdk::e2ee
