// SPDX-License-Identifier: Apache-2.0
#include "e2ee/pqxdh.h"

#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "base/limits.h"
#include "e2ee/outcome.h"
#include "unit/e2ee/people.h"

namespace chatsdk::e2ee {
namespace {

// Alice begins a session with Bob, as in section 26 of the specification.
class SetUp : public testing::Test {
 protected:
  BegunSetUp begin(bool one_time) const {
    const Bundle bundle = check_bundle(bobs_bundle(one_time), bob_.record, own_kem()).value();
    const Initiator initiator{alice_.record, alice_.keys.agreement_secret, 1};
    return begin_set_up(initiator, bundle, secret_of<32>(0x41), secret_of<32>(0x42), own_kem()).value();
  }
  // The prefix, and as much of a pairwise message as is read.
  static Bytes message_of(const BegunSetUp& begun) {
    return begun.prefix + "\x01\x02" + Bytes(begun.keys.session_id.view()) + Bytes(200, 'r');
  }
  Responder responder() const {
    return {bob_.record, bob_.keys.agreement_secret, &signed_, &one_time_, &one_time_kem_, false, 0};
  }
  Responder last_resort_responder() const {
    Responder responder = this->responder();
    responder.kem_prekey = &last_resort_;
    return responder;
  }
  Result<AcceptedSetUp> accept(BytesView message, const Responder& responder) const {
    return accept_set_up(parse_set_up_message(message).value(), alice_.record, responder, own_kem());
  }
  Code check(BytesView message) const {
    return check_set_up(parse_set_up_message(message).value(), alice_.record, bob_.record).code();
  }
  // Of the prefix, whose record has 304 bytes.
  static constexpr std::size_t kBehindRecord = 2 + 1 + 4 + 304;
  static constexpr std::size_t kEphemeralAt = kBehindRecord + 8;
  static constexpr std::size_t kSignedIdAt = kEphemeralAt + 32;
  static constexpr std::size_t kOneTimeIdAt = kSignedIdAt + 4;
  static constexpr std::size_t kAlgorithmAt = kOneTimeIdAt + 4;
  static constexpr std::size_t kKemIdAt = kAlgorithmAt + 1;
  static constexpr std::size_t kCiphertextAt = kKemIdAt + 4;

  Person alice_ = alice();
  Person bob_ = bob();
  OwnPrekey signed_ = bobs_prekey(1);
  OwnPrekey last_resort_ = bobs_prekey(2);
  OwnPrekey one_time_ = bobs_prekey(3);
  OwnPrekey one_time_kem_ = bobs_prekey(4);
};

TEST_F(SetUp, HasTheValuesOfTheSpecification) {
  const BegunSetUp begun = begin(true);

  EXPECT_EQ(to_hex(view(begun.keys.root)), "8071a8144b55f74a54430ecb08b4b7330f702fb9e706172f8e6e005cecb0cec4");
  EXPECT_EQ(to_hex(begun.keys.associated.view()), "e81c96edd7d57785cffafb7940802ef339be95b0e3b33983a348aedbd9bad434");
  EXPECT_EQ(to_hex(begun.keys.session_id.view()), "bd498de2569a2827");
  EXPECT_EQ(hex_hash(begun.prefix), "242dfd5b180af4b7afe10638c6b133abce6162c879309fd2d457802f72d1b42b");
  EXPECT_EQ(begun.prefix.size(), 1'148U + 304U);
  EXPECT_EQ(to_hex(begin(false).keys.session_id.view()), "fa1c714c869526c1");
}

TEST_F(SetUp, HasTheTranscriptOfTheSpecification) {
  const Bytes bytes = message_of(begin(true));
  const SetUpMessage message = parse_set_up_message(bytes).value();
  const Bytes signed_body = prekey_body(signed_, own_kem()).value();
  const Bytes one_time_body = prekey_body(one_time_, own_kem()).value();
  const Bytes kem_body = prekey_body(one_time_kem_, own_kem()).value();
  TranscriptParts parts;
  parts.initiators_list_version = 1;
  parts.initiators_record = alice_.record.bytes;
  parts.responders_record = bob_.record.bytes;
  parts.ephemeral = message.ephemeral;
  parts.signed_body = signed_body;
  parts.one_time_body = one_time_body;
  parts.kem_body = kem_body;
  parts.ciphertext = message.ciphertext;

  EXPECT_EQ(to_hex(transcript_hash(parts).view()), "8e7d1c1f38e9dfb7e6cebb064b92d89085f4cee3753526503926eed20d248bb5");
}

TEST_F(SetUp, GivesBothTheSameKeys) {
  const BegunSetUp begun = begin(true);
  const Bytes message = message_of(begun);
  ASSERT_EQ(check(message), Code::kOk);

  const auto accepted = accept(message, responder());

  ASSERT_TRUE(accepted.ok());
  EXPECT_EQ(view(accepted->keys.root), view(begun.keys.root));
  EXPECT_EQ(accepted->keys.associated, begun.keys.associated);
  EXPECT_EQ(accepted->keys.session_id, begun.keys.session_id);
  EXPECT_EQ(accepted->ratchet_public, begun.peer_ratchet_key);
  EXPECT_EQ(view(accepted->ratchet_secret), repeated(0x31, 32));
  EXPECT_EQ(accepted->used_up, (std::vector<std::uint32_t>{3, 4}));
  EXPECT_FALSE(accepted->note_seen);
}

TEST_F(SetUp, WorksWithoutOneTimeKeys) {
  const BegunSetUp begun = begin(false);

  const auto accepted = accept(message_of(begun), last_resort_responder());

  ASSERT_TRUE(accepted.ok());
  EXPECT_EQ(view(accepted->keys.root), view(begun.keys.root));
  EXPECT_TRUE(accepted->used_up.empty());
  EXPECT_TRUE(accepted->note_seen);
}

TEST_F(SetUp, LeavesThePrekeysAsTheyWere) {
  ASSERT_TRUE(accept(message_of(begin(true)), responder()).ok());
  EXPECT_EQ(view(std::get<AgreementSecret>(signed_.secret)), repeated(0x31, 32));
  EXPECT_EQ(view(std::get<AgreementSecret>(one_time_.secret)), repeated(0x34, 32));
}

TEST_F(SetUp, IsParsedUpToTheInnerMessage) {
  const BegunSetUp begun = begin(true);
  const Bytes bytes = message_of(begun);

  const SetUpMessage message = parse_set_up_message(bytes).value();

  EXPECT_EQ(message.prefix, begun.prefix);
  EXPECT_EQ(message.suite, 1);
  EXPECT_EQ(message.initiators_record, alice_.record.bytes);
  EXPECT_EQ(message.list_version, 1U);
  EXPECT_EQ(message.ephemeral, public_of(secret_of<32>(0x41)));
  EXPECT_EQ(message.signed_id, 1U);
  EXPECT_EQ(message.one_time_id, 3U);
  EXPECT_EQ(message.kem_algorithm, 3);
  EXPECT_EQ(message.kem_id, 4U);
  EXPECT_EQ(message.session_id, begun.keys.session_id);
  EXPECT_EQ(message.inner, BytesView(bytes).substr(begun.prefix.size()));
}

TEST_F(SetUp, IsNoMessageWhileItsSessionIdIsNotThere) {
  const Bytes bytes = message_of(begin(true));
  const std::size_t needed = 1'148 + 304 + 10;
  for (std::size_t size = 0; size < needed; ++size) {
    EXPECT_FALSE(parse_set_up_message(Bytes(bytes.substr(0, size))).has_value()) << size;
  }
  EXPECT_TRUE(parse_set_up_message(bytes.substr(0, needed)).has_value());
}

TEST_F(SetUp, IsNoMessageOfAnotherVersionOrType) {
  const Bytes good = message_of(begin(true));
  const std::size_t inner = 1'148 + 304;
  for (const std::size_t at : {std::size_t{0}, std::size_t{1}, inner, inner + 1}) {
    Bytes bytes = good;
    bytes[at] = static_cast<char>(bytes[at] ^ 3);
    EXPECT_FALSE(parse_set_up_message(bytes).has_value()) << at;
  }
}

TEST_F(SetUp, IsNoMessageWithARecordThatReachesBeyondItsEnd) {
  Bytes bytes = message_of(begin(true));
  for (const char high : {'\x01', '\x7F', '\xFF'}) {
    bytes[6] = high;
    EXPECT_FALSE(parse_set_up_message(bytes).has_value());
  }
}

TEST_F(SetUp, IsNoMessageWithAListVersionAboveTheLimit) {
  const Bytes good = message_of(begin(true));
  const std::size_t highest_byte = 7 + alice_.record.bytes.size() + 7;
  for (const auto& [byte, is_taken] : {std::pair{'\x7F', true}, std::pair{'\x80', false}, std::pair{'\xFF', false}}) {
    Bytes bytes = good;
    bytes[highest_byte] = byte;
    const auto message = parse_set_up_message(bytes);
    EXPECT_EQ(message.has_value(), is_taken);
    EXPECT_EQ(message ? message->list_version : 0, is_taken ? 0x7F00'0000'0000'0001U : 0);
  }
}

TEST_F(SetUp, IsNoMessageAboveTheLimit) {
  Bytes bytes = message_of(begin(true));
  bytes.resize(limits::e2ee::kMessageMax);
  EXPECT_TRUE(parse_set_up_message(bytes).has_value());
  bytes.push_back('\0');
  EXPECT_FALSE(parse_set_up_message(bytes).has_value());
}

TEST_F(SetUp, IsUntrustedFromADeviceThatIsNotListedSo) {
  const Bytes bytes = message_of(begin(true));
  const SetUpMessage message = parse_set_up_message(bytes).value();
  const DeviceRecord other = person("alice", 1, 0x61, 1, {}).record;

  EXPECT_EQ(check_set_up(message, other, bob_.record).code(), kUntrusted);
  EXPECT_EQ(check_set_up(message, alice_.record, bob_.record).code(), Code::kOk);
}

TEST_F(SetUp, IsCheckedBeforeAnythingIsComputed) {
  const Bytes low_order = repeated(0, 32);
  const struct {
    const char* name;
    std::size_t at;
    Bytes bytes;
    Code code;
  } cases[] = {
      {"suite 0", 2, Bytes(1, '\0'), kBadMessage},
      {"suite 2", 2, Bytes(1, '\2'), kBadMessage},
      {"a changed record", 60, "????", kUntrusted},
      {"EK of low order", kEphemeralAt, low_order, kBadMessage},
      {"EK not canonical", kEphemeralAt, repeated(0xFF, 32), kBadMessage},
      {"another KEM", kAlgorithmAt, Bytes(1, '\4'), kBadMessage},
  };
  const Bytes good = message_of(begin(true));
  for (const auto& bad : cases) {
    Bytes bytes = good;
    bytes.replace(bad.at, bad.bytes.size(), bad.bytes);
    EXPECT_EQ(check(bytes), bad.code) << bad.name;
  }
}

TEST_F(SetUp, IsOfNoSessionWithoutItsPrekeys) {
  const Bytes bytes = message_of(begin(true));
  const struct {
    const char* name;
    std::function<void(Responder&)> take_away;
  } cases[] = {
      {"signed prekey gone", [](Responder& r) { r.signed_prekey = nullptr; }},
      {"one-time prekey gone", [](Responder& r) { r.one_time_prekey = nullptr; }},
      {"KEM prekey gone", [](Responder& r) { r.kem_prekey = nullptr; }},
      {"signed prekey of another kind", [this](Responder& r) { r.signed_prekey = &one_time_; }},
      {"one-time prekey of another kind", [this](Responder& r) { r.one_time_prekey = &signed_; }},
      {"KEM prekey of another kind", [this](Responder& r) { r.kem_prekey = &signed_; }},
      {"KEM prekey of another id", [this](Responder& r) { r.kem_prekey = &last_resort_; }},
  };
  for (const auto& bad : cases) {
    Responder responder = this->responder();
    bad.take_away(responder);
    EXPECT_EQ(accept(bytes, responder).code(), kNoSession) << bad.name;
  }
}

TEST_F(SetUp, TakesKindsByTheirIdsAndNotByTheirPlace) {
  const OwnPrekey other_signed = [] {
    OwnPrekey prekey = bobs_prekey(3);
    prekey.kind = PrekeyKind::kSigned;
    return prekey;
  }();
  Bytes bytes = message_of(begin(true));
  bytes[kSignedIdAt] = '\x03';
  Responder responder = this->responder();
  responder.signed_prekey = &other_signed;
  EXPECT_EQ(accept(bytes, responder).code(), kBadMessage);
}

TEST_F(SetUp, OpensOnceUnderTheLastResortPrekey) {
  const Bytes bytes = message_of(begin(false));
  Responder responder = last_resort_responder();
  responder.was_seen = true;
  EXPECT_EQ(accept(bytes, responder).code(), kNoSession);
}

TEST_F(SetUp, BoundsWhatIsSeenUnderTheLastResortPrekey) {
  const Bytes bytes = message_of(begin(false));
  Responder responder = last_resort_responder();
  responder.seen_count = limits::e2ee::kSeenMax - 1;
  EXPECT_EQ(accept(bytes, responder).code(), Code::kOk);
  responder.seen_count = limits::e2ee::kSeenMax;
  EXPECT_EQ(accept(bytes, responder).code(), kNoSession);
}

TEST_F(SetUp, AsksOfOneTimeKeysNotWhetherTheyWereSeen) {
  Responder responder = this->responder();
  responder.was_seen = true;
  responder.seen_count = limits::e2ee::kSeenMax;
  EXPECT_EQ(accept(message_of(begin(true)), responder).code(), Code::kOk);
}

// Whatever differs between the two sides' transcripts, the session id differs.
TEST_F(SetUp, BindsEverythingThatItNames) {
  const Bytes good = message_of(begin(true));
  const struct {
    const char* name;
    std::size_t at;
  } cases[] = {
      {"list version", kBehindRecord},
      {"EK", kEphemeralAt},
      {"ciphertext", kCiphertextAt},
      {"end of the ciphertext", kCiphertextAt + 1'087},
      {"session id", kCiphertextAt + 1'088 + 2},
  };
  for (const auto& bad : cases) {
    Bytes bytes = good;
    bytes[bad.at] = static_cast<char>(bytes[bad.at] ^ 1);
    EXPECT_EQ(accept(bytes, responder()).code(), kBadMessage) << bad.name;
  }
}

TEST_F(SetUp, BindsBothDevices) {
  const Bytes bytes = message_of(begin(true));
  const DeviceRecord renamed = person("bob", 3, 0x21, 0x05060708, {}).record;
  Responder other = responder();
  const Responder as_another{renamed,          other.agreement_secret, other.signed_prekey, other.one_time_prekey,
                             other.kem_prekey, other.was_seen,         other.seen_count};
  EXPECT_EQ(accept(bytes, as_another).code(), kBadMessage);
}

}  // namespace
}  // namespace chatsdk::e2ee
