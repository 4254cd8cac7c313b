// SPDX-License-Identifier: Apache-2.0
//
// Devices with a state in memory, for tests of what works on states: they know each other, begin sessions, and write to
// each other in the direct conversation of Alice and Bob.
//
// Threads: one owner.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "e2ee/envelope.h"
#include "e2ee/outcome.h"
#include "e2ee/session_manager.h"
#include "e2ee/upkeep.h"
#include "support/e2ee/memory_state.h"
#include "unit/e2ee/people.h"

namespace chatsdk::e2ee {

struct Device {
  explicit Device(Person of) : person(std::move(of)), random(person.record.device_id.value) {
    Self self;
    self.account_seed = person.account_seed.clone();
    self.keys = {person.keys.registration_id, person.keys.signing_seed.clone(), person.keys.agreement_secret.clone()};
    self.record = person.record;
    EXPECT_TRUE(state.put_self(std::move(self)).ok());
  }

  Peer peer() const { return {person.user_id, person.record.device_id}; }
  // The owner's lists, as the server gives them.
  Learned learn(const Device& of, std::vector<Bytes> lists, std::vector<Bytes> records) {
    return learn_lists(state, of.person.user_id, lists, records, now_ms).value();
  }
  void learn(const Device& of) { learn(of, {of.person.list.bytes}, {of.person.record.bytes}); }

  // With one-time keys, or the last-resort prekey alone.
  BundleBytes bundle(bool one_time) {
    auto made = make_prekeys(state, {true, one_time ? 1U : 0U, one_time ? 1U : 0U}, now_ms, random, own_kem()).value();
    return {person.record.bytes, made[0], one_time ? made[3] : made[1], one_time ? made[2] : Bytes()};
  }
  Code begin(Device& with, bool one_time = true) {
    return begin_session(state, with.peer(), with.bundle(one_time), now_ms, random, own_kem()).code();
  }

  // What the next message to `to` is, and its id.
  Bytes write(const Device& to, const Envelope& envelope) {
    return encrypt_for(state, to.peer(), serialize(envelope), random).value();
  }
  Bytes write(const Device& to, std::string_view text = "text") { return write(to, text_envelope(text)); }
  static Envelope text_envelope(std::string_view text) {
    Envelope envelope;
    envelope.client_message_id = ClientMessageId::from_bytes(repeated(0x51, 16)).value();
    envelope.binding = DirectBinding::of("alice", "bob");
    envelope.sender_time_ms = kThen;
    envelope.body = text;
    return envelope;
  }

  Incoming item(const Device& from, BytesView message) const {
    Incoming incoming;
    incoming.sender = from.peer();
    incoming.list_version = 1;
    incoming.client_message_id = ClientMessageId::from_bytes(repeated(0x51, 16)).value();
    incoming.binding = DirectBinding::of("alice", "bob");
    incoming.message = message;
    return incoming;
  }
  // What becomes of an item. A refusal has written nothing.
  Code receive(const Incoming& item) {
    const std::size_t writes = state.writes();
    const Hash before = state.hash();
    auto received = receive_slice(state, item, now_ms, own_kem(), nullptr);
    if (received.ok()) {
      last = std::move(*received);
    } else {
      EXPECT_EQ(state.writes(), writes);
      EXPECT_EQ(state.hash(), before);
    }
    return received.code();
  }
  Code receive(const Device& from, BytesView message) { return receive(item(from, message)); }

  std::vector<SessionSummary> sessions(const Device& with) { return state.sessions(with.peer()).value(); }
  std::size_t count(const Device& with, SessionStatus status) {
    std::size_t count = 0;
    for (const SessionSummary& session : sessions(with)) count += session.status == status ? 1 : 0;
    return count;
  }
  // The session that sends; zeros for none.
  SessionId active(const Device& with) {
    for (const SessionSummary& session : sessions(with)) {
      if (session.status == SessionStatus::kActive) return session.session_id;
    }
    return {};
  }

  Person person;
  MemoryState state;
  SeededRandom random;
  std::uint64_t now_ms = kThen;
  Received last;
};

// Alice's and Bob's devices of section 26, who have learned each other's lists and their own.
struct Two {
  Two() : alice(e2ee::alice()), bob(e2ee::bob()) {
    for (Device* device : {&alice, &bob}) {
      device->learn(alice);
      device->learn(bob);
    }
  }
  // A session that both have spoken in.
  void talk() {
    EXPECT_EQ(alice.begin(bob), Code::kOk);
    EXPECT_EQ(bob.receive(alice, alice.write(bob)), Code::kOk);
    EXPECT_EQ(alice.receive(bob, bob.write(alice)), Code::kOk);
  }

  Device alice;
  Device bob;
};

}  // namespace chatsdk::e2ee
