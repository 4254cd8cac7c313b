// SPDX-License-Identifier: Apache-2.0
//
// Sender chains on the states of devices: who opens a group's messages, what hands a chain out, and that nobody who has
// left reads on.
//
// Threads: one.
#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "base/limits.h"
#include "e2ee/padding.h"
#include "e2ee/roster.h"
#include "e2ee/session_manager.h"
#include "unit/e2ee/devices.h"

namespace chatsdk::e2ee {
namespace {

class GroupSessions : public ::testing::Test, protected Two {
 protected:
  GroupSessions() { EXPECT_TRUE(begin_chain(alice.state, kGroup, 3, kThen, alice.random).ok()); }

  void hand_over() { EXPECT_TRUE(receive_chain(bob.state, alice.peer(), kGroup, roster_, distribution()).ok()); }
  Bytes distribution() { return distribute_chain(alice.state, kGroup, roster_, nullptr).value(); }
  static Envelope group_envelope(std::string_view text) {
    Envelope envelope = Device::text_envelope(text);
    envelope.binding = kGroup;
    return envelope;
  }
  Bytes write(std::string_view text = "to all") {
    const Bytes envelope = serialize(group_envelope(text));
    return encrypt_for_group(alice.state, kGroup, roster_, envelope, kThen, alice.random).value();
  }
  Incoming group_item(BytesView message) const {
    Incoming item = bob.item(alice, message);
    item.binding = kGroup;
    item.roster = roster_;
    return item;
  }
  Code receive(const Incoming& item) {
    const Hash before = bob.state.hash();
    auto received = receive_group(bob.state, item);
    if (received.ok()) {
      bob.last = std::move(*received);
    } else {
      EXPECT_EQ(bob.state.hash(), before);
    }
    return received.code();
  }
  Code receive(BytesView message) { return receive(group_item(message)); }
  Code receive_at(BytesView message, const RosterPoint& roster) {
    Incoming item = group_item(message);
    item.roster = roster;
    return receive(item);
  }

  static inline const GroupId kGroup = alices_group();
  RosterPoint roster_{3, 2, fixed_of<RosterHash>(0x5c)};
};

TEST_F(GroupSessions, OpenWhatWasWrittenOnce) {
  hand_over();
  const Bytes message = write();
  ASSERT_EQ(receive(message), Code::kOk);
  EXPECT_EQ(bob.last.envelope.body, "to all");
  EXPECT_EQ(receive(message), kDuplicate);
}

TEST_F(GroupSessions, ReadNothingOlderThanTheChainThatWasHandedOver) {
  const Bytes before = write();
  hand_over();
  EXPECT_EQ(receive(before), kDuplicate);
  EXPECT_EQ(receive(write()), Code::kOk);
}

TEST_F(GroupSessions, PassOverWhatNeverComes) {
  hand_over();
  const Bytes left_out = write();
  EXPECT_EQ(receive(write()), Code::kOk);
  EXPECT_EQ(receive(left_out), kDuplicate);
}

TEST_F(GroupSessions, WantTheChainTheRosterTheDeviceAndTheConversation) {
  const Bytes message = write();
  EXPECT_EQ(receive(message), kNoSession);
  EXPECT_EQ(receive_at(message, {3, 3, roster_.hash}), kUntrusted);
  EXPECT_EQ(receive_at(message, {3, 2, fixed_of<RosterHash>(0x5d)}), kUntrusted);
  Incoming item = group_item(message);
  item.binding = fixed_of<GroupId>(8);
  EXPECT_EQ(receive(item), kUntrusted);
  item = group_item(message);
  item.sender = bob.peer();
  EXPECT_EQ(receive(item), kUntrusted);
  item = bob.item(alice, message);
  EXPECT_EQ(receive(item), kBadMessage);
  for (const SliceKind kind : {SliceKind::kRetry, SliceKind::kRepair}) {
    item = group_item(message);
    item.kind = kind;
    EXPECT_EQ(receive(item), kBadMessage);
  }
}

// Neither takes the other's place.
TEST_F(GroupSessions, AnInfoKeyComesInKeysAndContentInMessages) {
  hand_over();
  Envelope envelope = group_envelope({});
  envelope.body_type = BodyType::kInfoKey;
  envelope.body = serialize(InfoKey{2, secret_of<32>(0x5d)});
  const auto send = [&](SliceKind kind) {
    const Bytes bytes = serialize(envelope);
    const Bytes message = encrypt_for_group(alice.state, kGroup, roster_, bytes, kThen, alice.random).value();
    Incoming item = group_item(message);
    item.kind = kind;
    return receive(item);
  };
  EXPECT_EQ(send(SliceKind::kMessage), kBadMessage);
  EXPECT_EQ(send(SliceKind::kKeys), Code::kOk);
  EXPECT_EQ(parse_info_key(bob.last.envelope.body)->number, 2U);
  envelope.body.pop_back();
  EXPECT_EQ(send(SliceKind::kKeys), kBadMessage);
  envelope = group_envelope("text");
  EXPECT_EQ(send(SliceKind::kKeys), kBadMessage);
  EXPECT_EQ(send(SliceKind::kMessage), Code::kOk);
}

TEST_F(GroupSessions, TakeAChainOfTheirGroupAndRosterAlone) {
  const auto code = [&](const GroupId& group, const RosterPoint& roster) {
    const Hash before = bob.state.hash();
    const Status received = receive_chain(bob.state, alice.peer(), group, roster, distribution());
    EXPECT_EQ(bob.state.hash() == before, !received.ok());
    return received.code();
  };
  EXPECT_EQ(code(fixed_of<GroupId>(8), roster_), kBadMessage);
  EXPECT_EQ(code(kGroup, {3, 3, roster_.hash}), kUntrusted) << "another entry";
  EXPECT_EQ(code(kGroup, {3, 2, fixed_of<RosterHash>(0x5d)}), kUntrusted) << "other members or lists";
  EXPECT_EQ(code(kGroup, {4, 2, roster_.hash}), Code::kOk) << "the count of ROSTER items is the server's";
}

TEST_F(GroupSessions, HandOverTheInfoKeyWithTheChain) {
  const InfoKey info_key{2, secret_of<32>(0x5d)};
  const auto given = parse_distribution(distribute_chain(alice.state, kGroup, roster_, &info_key).value());
  ASSERT_TRUE(given && given->info_key);
  EXPECT_EQ(given->info_key->number, 2U);
  EXPECT_EQ(Bytes(view(given->info_key->key)), repeated(0x5d, 32));
  EXPECT_FALSE(parse_distribution(distribution())->info_key);
  Bytes key_of_nothing = distribution();
  key_of_nothing.back() = 1;
  EXPECT_FALSE(parse_distribution(key_of_nothing));
}

TEST_F(GroupSessions, NothingOpensWithAnyByteChanged) {
  const Bytes distribution = this->distribution();
  const Bytes message = write();
  ASSERT_TRUE(receive_chain(bob.state, alice.peer(), kGroup, roster_, distribution).ok());
  for (std::size_t at = 0; at < message.size(); ++at) {
    Bytes changed = message;
    changed[at] = static_cast<char>(changed[at] ^ 4);
    EXPECT_NE(receive(changed), Code::kOk) << at;
    EXPECT_NE(receive(BytesView(message).substr(0, at)), Code::kOk) << at;
  }
  EXPECT_EQ(receive(message), Code::kOk);
}

TEST_F(GroupSessions, TakeAChainOnlyFromItsDevice) {
  EXPECT_EQ(receive_chain(bob.state, {"alice", DeviceId{9}}, kGroup, roster_, distribution()).code(), kBadMessage);
  Bytes changed = distribution();
  changed.pop_back();
  EXPECT_EQ(receive_chain(bob.state, alice.peer(), kGroup, roster_, changed).code(), kBadMessage);
}

TEST_F(GroupSessions, AKnownChainIsNotPutBack) {
  const Bytes early = distribution();
  hand_over();
  const Bytes message = write();
  ASSERT_EQ(receive(message), Code::kOk);
  EXPECT_TRUE(receive_chain(bob.state, alice.peer(), kGroup, roster_, early).ok());
  EXPECT_EQ(receive(message), kDuplicate);
  Bytes forged = early;
  forged.replace(103, 32, bob.person.record.signing_key.view());  // behind key kind, chain key and number
  EXPECT_EQ(receive_chain(bob.state, alice.peer(), kGroup, roster_, forged).code(), kBadMessage);
}

TEST_F(GroupSessions, ANewerChainEndsTheOlderOnes) {
  hand_over();
  const Bytes old_message = write();
  ASSERT_TRUE(begin_chain(alice.state, kGroup, 3, kThen, alice.random).ok());
  hand_over();
  EXPECT_EQ(receive(write()), Code::kOk);
  EXPECT_EQ(receive(old_message), kNoSession);
}

TEST_F(GroupSessions, KeepTheNewestChains) {
  std::vector<Bytes> messages;
  const std::size_t most = limits::e2ee::kSenderChainsMax;
  for (std::size_t i = 0; i < most + 1; ++i) {
    ASSERT_TRUE(begin_chain(alice.state, kGroup, 3, kThen, alice.random).ok());
    hand_over();
    messages.push_back(write());
  }
  EXPECT_EQ(bob.state.received_chains(kGroup, alice.peer())->size(), most);
  EXPECT_EQ(receive(messages[0]), kNoSession);
  for (std::size_t i = 1; i < messages.size(); ++i) EXPECT_EQ(receive(messages[i]), Code::kOk) << i;
}

TEST_F(GroupSessions, AChainTravelsInASlice) {
  talk();
  Envelope envelope = Device::text_envelope({});
  envelope.body_type = BodyType::kSenderChain;
  envelope.binding = kGroup;
  envelope.body = distribution();
  const auto code = [&](const Envelope& sent, const Binding& binding, SliceKind kind) {
    const Bytes message = alice.write(bob, sent);
    Incoming item = bob.item(alice, message);
    item.binding = binding;
    item.roster = roster_;
    item.kind = kind;
    return bob.receive(item);
  };
  EXPECT_EQ(code(envelope, kGroup, SliceKind::kMessage), Code::kOk);
  EXPECT_EQ(code(envelope, kGroup, SliceKind::kKeys), Code::kOk);
  const RosterPoint at_item = roster_;
  roster_.number = 3;
  EXPECT_EQ(code(envelope, kGroup, SliceKind::kMessage), kUntrusted);
  roster_ = at_item;
  Envelope moved = envelope;
  moved.binding = fixed_of<GroupId>(8);  // a chain of another conversation than the envelope's
  EXPECT_EQ(code(moved, fixed_of<GroupId>(8), SliceKind::kKeys), kBadMessage);
  Envelope direct = envelope;
  direct.binding = DirectBinding::of("alice", "bob");
  EXPECT_EQ(code(direct, DirectBinding::of("alice", "bob"), SliceKind::kKeys), kBadMessage);
}

TEST_F(GroupSessions, AreAsLongAsTheirTextsWhateverTheseSay) {
  const std::size_t sizes[] = {1, 1'000, 65'000};
  for (const std::size_t size : sizes) {
    Bytes noise(size, '\0');
    alice.random.fill({reinterpret_cast<unsigned char*>(noise.data()), size});
    const std::uint64_t padded = padded_size(serialize(group_envelope(noise)).size());
    for (const Bytes& text : {noise, Bytes(size, 'a')}) {
      EXPECT_EQ(write(text).size(), padded + kGroupOverheadBytes) << size;
    }
  }
}

TEST_F(GroupSessions, AskForAnOwnChain) {
  EXPECT_EQ(distribute_chain(bob.state, kGroup, roster_, nullptr).code(), kNoSession);
  EXPECT_EQ(encrypt_for_group(bob.state, kGroup, roster_, "e", kThen, bob.random).code(), kNoSession);
}

// ---- Who leaves ----------------------------------------------------------------------------------------------------

// Alice writes to a group in which Bob and Carol are with two devices, and everything that she sends is in the hands of
// everybody, since the server is on Carol's side.
class GroupRemoval : public ::testing::Test, protected Two {
 protected:
  struct Sent {
    RosterPoint roster;
    Bytes message;
    std::vector<std::pair<Peer, Bytes>> slices;  // with the chain
  };

  GroupRemoval() : carol_(person("carol", 3, 0x51, 5, {})), tablet_(tablet()) {
    carol_.person.list = two_devices();
    tablet_.person.list = carol_.person.list;
    for (Device* device : everybody()) {
      for (const Device* of : {&alice, &bob}) device->learn(*of);
      device->learn(carol_, {carol_.person.list.bytes}, {carol_.person.record.bytes, tablet_.person.record.bytes});
    }
    for (Device* other : {&bob, &carol_, &tablet_}) EXPECT_EQ(alice.begin(*other), Code::kOk);
    roster_of({&alice, &bob, &carol_, &tablet_});
  }

  // The next ROSTER item, in the order of the stream: these devices are in the group from now on.
  void roster_of(const std::vector<Device*>& devices) {
    const std::uint64_t revision = point_.revision + 1;
    std::vector<RosterMember> members;
    for (const Device* device : devices) {
      const RosterMember member{device->person.user_id, device->person.list.version, device->person.list.hash};
      const auto same = [&member](const RosterMember& known) { return known.user_id == member.user_id; };
      if (std::none_of(members.begin(), members.end(), same)) members.push_back(member);
    }
    const RosterHash hash = roster_hash({kGroup, revision, {}}, members).value();
    const std::vector<RosterDevice> after = in_roster(devices);
    point_ = next_roster(point_, in_roster(devices_), {revision, revision, hash, after}).value();
    devices_ = devices;
  }

  static std::vector<RosterDevice> in_roster(const std::vector<Device*>& devices) {
    std::vector<RosterDevice> listed;
    for (const Device* device : devices) listed.push_back({device->peer(), device->person.record.hash});
    return listed;
  }

  // As section 14.9 has a sender do it: a chain goes to every device of the roster that has not got it.
  Sent send(std::string_view text) {
    Sent sent{point_, {}, {}};
    if (needs_chain(alice.state, kGroup, point_, kThen).value()) {
      EXPECT_TRUE(begin_chain(alice.state, kGroup, point_.revision, kThen, alice.random).ok());
      have_chain_ = {alice.peer()};
    }
    for (const Device* device : devices_) {
      if (!have_chain_.insert(device->peer()).second) continue;
      Envelope envelope = Device::text_envelope({});
      envelope.body_type = BodyType::kSenderChain;
      envelope.binding = kGroup;
      envelope.body = distribute_chain(alice.state, kGroup, point_, nullptr).value();
      sent.slices.emplace_back(device->peer(), alice.write(*device, envelope));
    }
    sent.message = encrypt(point_, text).value();
    return sent;
  }
  Result<Bytes> encrypt(const RosterPoint& roster, std::string_view text) {
    Envelope envelope = Device::text_envelope(text);
    envelope.binding = kGroup;
    return encrypt_for_group(alice.state, kGroup, roster, serialize(envelope), kThen, alice.random);
  }

  // What a device reads of it, when it is given the slices of all.
  std::optional<Bytes> read(Device& device, const Sent& sent) {
    for (const auto& slice : sent.slices) {
      const Incoming item = item_of(device, slice.second, sent.roster);
      if (device.receive(item) != Code::kOk) continue;
      EXPECT_EQ(slice.first, device.peer()) << "a slice opens to its device alone";
      EXPECT_TRUE(receive_chain(device.state, alice.peer(), kGroup, sent.roster, device.last.envelope.body).ok());
    }
    auto received = receive_group(device.state, item_of(device, sent.message, sent.roster));
    if (!received) return std::nullopt;
    return std::move(received->envelope.body);
  }
  static bool is_for(const Sent& sent, const Device& device) {
    return std::any_of(sent.slices.begin(), sent.slices.end(),
                       [&device](const auto& slice) { return slice.first == device.peer(); });
  }
  void expect_read_by(const std::vector<Device*>& readers, const Sent& sent) {
    for (Device* device : everybody()) {
      if (device == &alice) continue;
      const bool reads = std::find(readers.begin(), readers.end(), device) != readers.end();
      EXPECT_EQ(read(*device, sent).has_value(), reads)
          << device->person.user_id << " " << device->peer().device_id.value;
    }
  }
  std::vector<Device*> everybody() { return {&alice, &bob, &carol_, &tablet_}; }

  static inline const GroupId kGroup = alices_group();
  Device carol_;
  Device tablet_;  // Carol's, too
  RosterPoint point_;

 private:
  static Person tablet() {
    Person tablet = person("carol", 4, 0x61, 6, {});
    tablet.account_seed = secret_of<32>(0x51);
    return tablet;
  }
  DeviceList two_devices() const {
    const DeviceRecord records[] = {carol_.person.record, tablet_.person.record};
    return first_device_list("carol", carol_.person.account_seed, records, kThen).value();
  }
  Incoming item_of(const Device& device, BytesView message, const RosterPoint& roster) const {
    Incoming item = device.item(alice, message);
    item.binding = kGroup;
    item.roster = roster;
    return item;
  }

  std::vector<Device*> devices_;
  std::set<Peer> have_chain_;  // Alice's
};

TEST_F(GroupRemoval, AMemberWhoLeftGetsNoChainAndOpensNothing) {
  expect_read_by({&bob, &carol_, &tablet_}, send("before"));
  roster_of({&alice, &bob});
  for (int i = 0; i < 3; ++i) {
    const Sent after = send("after");
    EXPECT_FALSE(is_for(after, carol_));
    EXPECT_FALSE(is_for(after, tablet_));
    EXPECT_EQ(is_for(after, bob), i == 0);
    expect_read_by({&bob}, after);
  }
}

TEST_F(GroupRemoval, ADeviceThatLeftGetsNoChainAndOpensNothing) {
  expect_read_by({&bob, &carol_, &tablet_}, send("before"));
  const DeviceId gone = tablet_.peer().device_id;
  const auto next = next_device_list(carol_.person.list, carol_.person.account_seed, {}, {&gone, 1}, kThen).value();
  alice.learn(carol_, {next.bytes}, {});
  carol_.person.list = next;
  roster_of({&alice, &bob, &carol_});
  // Nor can it be given anything by mistake: what sends to it is archived.
  EXPECT_EQ(prepare(alice.state, tablet_.peer(), kThen).value(), Readiness::kNotListed);
  EXPECT_EQ(encrypt_for(alice.state, tablet_.peer(), "envelope", alice.random).code(), kNoSession);
  const Sent after = send("after");
  EXPECT_FALSE(is_for(after, tablet_));
  expect_read_by({&bob, &carol_}, after);
}

// Without the rule the one who left would read on: this is what the tests above look for.
TEST_F(GroupRemoval, TheChainOfBeforeIsOpenToWhoLeft) {
  expect_read_by({&bob, &carol_, &tablet_}, send("before"));
  roster_of({&alice, &bob});
  RosterPoint nobody_left = point_;
  nobody_left.left_revision = 0;
  const Sent leaked{nobody_left, encrypt(nobody_left, "leaked").value(), {}};
  EXPECT_EQ(read(carol_, leaked), "leaked");

  const Hash before = alice.state.hash();
  EXPECT_EQ(encrypt(point_, "after").code(), Code::kLimitReached);
  EXPECT_EQ(alice.state.hash(), before);
}

// Alice comes back to a group of as many members as before, and the last item that she reads only adds.
TEST_F(GroupRemoval, WhoLeftWhileTheSenderWasAwayOpensNothing) {
  send("before");
  const Sent under_way = send("encrypted before, and sent behind the removal");
  roster_of({&alice, &bob});
  const RosterPoint at_item = point_;
  roster_of({&alice, &bob, &carol_});
  EXPECT_EQ(point_.left_revision, 2U);

  // The server refuses it under the stream's lock; one that lets it in is not believed by those who are members.
  Incoming item = bob.item(alice, under_way.message);
  item.binding = kGroup;
  item.roster = at_item;
  EXPECT_EQ(receive_group(bob.state, item).code(), kUntrusted);

  const Sent after = send("after");
  EXPECT_TRUE(is_for(after, bob));
  EXPECT_TRUE(is_for(after, carol_));
  EXPECT_FALSE(is_for(after, tablet_));
  expect_read_by({&bob, &carol_}, after);
}

TEST_F(GroupRemoval, WhoComesBackReadsNothingOfBetween) {
  expect_read_by({&bob, &carol_, &tablet_}, send("before"));
  roster_of({&alice, &bob});
  const Sent between = send("between");
  EXPECT_EQ(read(bob, between), "between");
  roster_of({&alice, &bob, &carol_});
  const Sent after = send("after");
  EXPECT_FALSE(is_for(after, bob)) << "he has the chain";
  expect_read_by({&bob, &carol_}, after);
  EXPECT_FALSE(read(carol_, between));
}

TEST_F(GroupRemoval, OneComesAndAnotherLeavesAtOnce) {
  roster_of({&alice, &bob, &carol_});
  expect_read_by({&bob, &carol_}, send("before"));
  roster_of({&alice, &carol_, &tablet_});
  EXPECT_TRUE(needs_chain(alice.state, kGroup, point_, kThen).value());
  const Sent after = send("after");
  EXPECT_FALSE(is_for(after, bob));
  EXPECT_TRUE(is_for(after, carol_));
  EXPECT_TRUE(is_for(after, tablet_));
  expect_read_by({&carol_, &tablet_}, after);
}

TEST_F(GroupRemoval, WhoJoinsEndsNoChain) {
  roster_of({&alice, &bob});
  send("first");
  roster_of({&alice, &bob, &carol_});
  EXPECT_FALSE(needs_chain(alice.state, kGroup, point_, kThen).value());
  const Sent second = send("second");
  EXPECT_EQ(second.slices.size(), 1U);
  EXPECT_TRUE(is_for(second, carol_));
}

}  // namespace
}  // namespace chatsdk::e2ee
