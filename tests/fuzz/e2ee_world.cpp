// SPDX-License-Identifier: Apache-2.0
#include "fuzz/e2ee_world.h"

#include <sodium.h>

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "e2ee/padding.h"
#include "e2ee/pqxdh.h"
#include "e2ee/upkeep.h"

namespace chatsdk::e2ee {
namespace {

const Peer kAlice{"alice", DeviceId{1}};
const Peer kBob{"bob", DeviceId{2}};

ClientMessageId message_id() { return ClientMessageId::from_bytes(repeated(0x51, 16)).value(); }

Envelope envelope_of_text(Binding binding, std::string_view text) {
  Envelope envelope;
  envelope.client_message_id = message_id();
  envelope.binding = std::move(binding);
  envelope.sender_time_ms = kThen;
  envelope.body = text;
  return envelope;
}

void must(const Status& status) { CHATSDK_ASSERT(status.ok()); }

void know(MemoryState& state, const Person& person) {
  const auto learned = learn_lists(state, person.user_id, {&person.list.bytes, 1}, {&person.record.bytes, 1}, kThen);
  CHATSDK_ASSERT(learned.ok() && learned->result == Learning::kFirstContact);
}

Self self_of(const Person& person) {
  Self self;
  self.account_seed = person.account_seed.clone();
  self.keys = {person.keys.registration_id, person.keys.signing_seed.clone(), person.keys.agreement_secret.clone()};
  self.next_key_id = 5;
  self.record = person.record;
  return self;
}

}  // namespace

E2eeWorld::E2eeWorld() : alices_person_(e2ee::alice()), bobs_person_(e2ee::bob()) {
  CHATSDK_ASSERT(sodium_init() >= 0);
  roster_.revision = 3;
  roster_.number = 1;
  roster_.hash =
      roster_hash({kGroup, roster_.number, {}},
                  std::vector<RosterMember>{{"alice", 1, alices_person_.list.hash}, {"bob", 1, bobs_person_.list.hash}})
          .value();
  meet();
  talk();
  alices_rows_ = alice_->rows();
  bobs_rows_ = bob_->rows();
  assert_openable();
}

void E2eeWorld::assert_openable() {
  for (const Bytes& message : messages_) {
    CHATSDK_ASSERT(receive_slice(*bob_, direct(SliceKind::kMessage, message), kFuzzNow, own_kem(), nullptr).ok());
    put_back();
  }
  for (const Bytes& message : group_messages_) {
    CHATSDK_ASSERT(receive_group(*bob_, in_group(SliceKind::kMessage, message)).ok());
    put_back();
  }
}

// Both know each other, and Bob has his prekeys.
void E2eeWorld::meet() {
  alice_.emplace();
  bob_.emplace();
  must(alice_->put_self(self_of(alices_person_)));
  must(bob_->put_self(self_of(bobs_person_)));
  for (MemoryState* state : {&*alice_, &*bob_}) {
    know(*state, alices_person_);
    know(*state, bobs_person_);
  }
  for (std::uint32_t key_id = 1; key_id <= 4; ++key_id) must(bob_->put_prekey(bobs_prekey(key_id)));
}

// A set-up with the last-resort prekey, messages both ways, two that Bob passes over, and a chain in the group.
void E2eeWorld::talk() {
  SeededRandom random(26);
  const auto says = [&](MemoryState& from, const Peer& to) {
    Envelope envelope = envelope_of_text(DirectBinding::of("alice", "bob"), "text");
    return encrypt_for(from, to, serialize(envelope), random).value();
  };
  const auto hears = [&](MemoryState& state, const Peer& from, BytesView message) {
    Incoming item = direct(SliceKind::kMessage, message);
    item.sender = from;
    CHATSDK_ASSERT(receive_slice(state, item, kThen, own_kem(), nullptr).ok());
  };
  CHATSDK_ASSERT(begin_session(*alice_, kBob, bobs_bundle(false), kThen, random, own_kem()).ok());
  const Bytes passed_over = says(*alice_, kBob);
  hears(*bob_, kAlice, says(*alice_, kBob));
  hears(*alice_, kBob, says(*bob_, kAlice));
  says(*alice_, kBob);
  hears(*bob_, kAlice, says(*alice_, kBob));

  must(begin_chain(*alice_, kGroup, roster_.revision, kThen, random));
  must(receive_chain(*bob_, kAlice, kGroup, roster_, distribute_chain(*alice_, kGroup, roster_, nullptr).value()));

  Session session = alices_session();
  const Bytes next = encrypt(session, direct_text("next"), random).value();
  for (int i = 0; i < 3; ++i) CHATSDK_ASSERT(encrypt(session, direct_text("between"), random).ok());
  messages_ = {passed_over, next, encrypt(session, direct_text("further on"), random).value()};
  for (const bool one_time : {false, true}) {
    Session begun = alices_new_session(one_time);
    messages_.push_back(encrypt(begun, direct_text("anew"), random).value());
  }
  OwnChain chain = alices_chain();
  const GroupSender sender{alices_person_.user_id, DeviceId{1}, roster_};
  for (int i = 0; i < 4; ++i) {
    Bytes message = encrypt_group(chain, sender, group_text("to all"), kThen, random).value();
    if (i == 0 || i == 3) group_messages_.push_back(std::move(message));
  }
}

Incoming E2eeWorld::direct(SliceKind kind, BytesView message) const {
  return {kAlice, 1, kind, message_id(), DirectBinding::of("alice", "bob"), message};
}

Incoming E2eeWorld::in_group(SliceKind kind, BytesView message) const {
  return {kAlice, 1, kind, message_id(), kGroup, message, roster_};
}

Bytes E2eeWorld::direct_text(std::string_view text) const {
  return padded(serialize(envelope_of_text(DirectBinding::of("alice", "bob"), text)));
}

Bytes E2eeWorld::group_text(std::string_view text) const { return padded(serialize(envelope_of_text(kGroup, text))); }

Session E2eeWorld::alices_session() {
  const auto sessions = alice_->sessions(kBob).value();
  CHATSDK_ASSERT(sessions.size() == 1);
  return alice_->session(kBob, sessions.front().session_id).value().value();
}

OwnChain E2eeWorld::alices_chain() { return alice_->own_chain(kGroup).value().value(); }

Session E2eeWorld::alices_new_session(bool one_time) {
  SeededRandom random(one_time ? 27 : 28);
  const Bundle bundle = check_bundle(bobs_bundle(one_time), bobs_person_.record, own_kem()).value();
  AgreementSecret ephemeral = draw_secret<32>(random);
  Kem::Message kem_random = draw_secret<32>(random);
  auto begun = begin_set_up({alices_person_.record, alices_person_.keys.agreement_secret, 1}, bundle,
                            std::move(ephemeral), std::move(kem_random), own_kem());
  return begun_session(std::move(begun).value(), bobs_person_.record.hash, kThen);
}

bool E2eeWorld::is_alices(BytesView message) const {
  const auto is_in = [message](const std::vector<Bytes>& sent) {
    return std::find(sent.begin(), sent.end(), message) != sent.end();
  };
  return is_in(messages_) || is_in(group_messages_);
}

void E2eeWorld::put_back() {
  alice_ = MemoryState::of_rows(alices_rows_.view());
  bob_ = MemoryState::of_rows(bobs_rows_.view());
  CHATSDK_ASSERT(alice_.has_value() && bob_.has_value());
}

E2eeWorld& e2ee_world() {
  static E2eeWorld world;
  return world;
}

}  // namespace chatsdk::e2ee
