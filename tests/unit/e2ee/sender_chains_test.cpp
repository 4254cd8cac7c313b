// SPDX-License-Identifier: Apache-2.0
#include "e2ee/sender_chains.h"

#include <gtest/gtest.h>

#include "base/limits.h"
#include "e2ee/outcome.h"
#include "e2ee/padding.h"
#include "unit/e2ee/sessions.h"

namespace chatsdk::e2ee {
namespace {

const UserId kAlice = "alice";

// Alice's chain in conversation 7 of docs/e2ee.md section 26.
OwnChain example_chain() {
  GivenRandom random(repeated(0x81, 16) + repeated(0x82, 32) + repeated(0x83, 32));
  return OwnChain::draw(ConversationId{7}, 3, kThen, random);
}
ReceivedChain received(const OwnChain& chain) {
  const Distribution given = parse_distribution(distribution_of(chain, DeviceId{1})).value();
  return {given.conversation,
          {kAlice, DeviceId{1}},
          given.chain_id,
          given.chain_key.clone(),
          given.next,
          given.signing_key,
          1};
}
RosterPoint example_roster() {
  const RosterMember members[] = {{"bob", 1, bob().list.hash}, {"alice", 1, alice().list.hash}};
  return {3, roster_hash(ConversationId{7}, 3, members).value()};
}
Bytes padded_hello() {
  Envelope envelope;
  envelope.client_message_id = ClientMessageId::from_bytes(repeated(0x84, 16)).value();
  envelope.binding = ConversationId{7};
  envelope.sender_time_ms = kThen;
  envelope.body = bytes_of_hex("0a070a0568656c6c6f");
  return padded(serialize(envelope));
}
Result<Bytes> encrypt(OwnChain& chain, Random& random, std::uint64_t now_ms = kThen) {
  const RosterPoint roster = example_roster();
  return encrypt_group(chain, {kAlice, DeviceId{1}, roster}, padded_hello(), now_ms, random);
}

TEST(SenderChain, HasTheValuesOfTheSpecification) {
  EXPECT_EQ(to_hex(example_roster().hash.view()), "3f03eee862ea9fe6c4c6d97bdf7cece6");
  OwnChain chain = example_chain();
  const Bytes distribution = distribution_of(chain, DeviceId{1});
  EXPECT_EQ(distribution.size(), 119U);
  EXPECT_EQ(hex_hash(distribution), "360ec01817352a9cdbccc32ad12273b31085319ff9f504ba180677a7ab2c4fd6");
  GivenRandom random(repeated(0x85, 24));
  const Bytes message = encrypt(chain, random).value();
  EXPECT_EQ(hex_hash(message), "f61c98e6b3074b2818a497ccd04e8b58d1992ab4c5eecbbbd6abba439ae18e83");
  EXPECT_EQ(message.size(), padded_hello().size() + kGroupOverheadBytes);
  EXPECT_EQ(chain.next, 1U);
}

TEST(SenderChain, IsReadWholeOrNotAtAll) {
  OwnChain chain = example_chain();
  expect_whole_or_nothing(distribution_of(chain, DeviceId{1}), [](BytesView b) { return parse_distribution(b); });
  chain.next = limits::e2ee::kCountMax;
  EXPECT_FALSE(parse_distribution(distribution_of(chain, DeviceId{1})));
  EXPECT_FALSE(parse_distribution(distribution_of(example_chain(), DeviceId{})));
}

TEST(SenderChain, MovesForwardOnly) {
  OwnChain chain = example_chain();
  const ReceivedChain before = received(chain);
  SeededRandom random(1);
  const Bytes first = encrypt(chain, random).value();
  const Bytes second = encrypt(chain, random).value();
  const auto opened = open_group(before, parse_group_message(second).value(), limits::e2ee::kJumpMax);
  ASSERT_TRUE(opened.ok());
  EXPECT_EQ(opened->padded, padded_hello());
  EXPECT_EQ(opened->chain.next, 2U);
  EXPECT_EQ(open_group(opened->chain, parse_group_message(first).value(), limits::e2ee::kJumpMax).code(), kDuplicate);
  EXPECT_EQ(open_group(opened->chain, parse_group_message(second).value(), limits::e2ee::kJumpMax).code(), kDuplicate);
}

TEST(SenderChain, JumpsNoFurtherThanTheLimit) {
  OwnChain chain = example_chain();
  const ReceivedChain before = received(chain);
  SeededRandom random(1);
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(encrypt(chain, random).ok());
  const Bytes fifth = encrypt(chain, random).value();
  EXPECT_EQ(open_group(before, parse_group_message(fifth).value(), 5).code(), Code::kOk);
  EXPECT_EQ(open_group(before, parse_group_message(fifth).value(), 4).code(), kBadMessage);
}

TEST(SenderChain, IsUsedUpByCountAndByAge) {
  SeededRandom random(1);
  OwnChain chain = example_chain();
  const std::uint64_t age = std::chrono::milliseconds(limits::e2ee::kChainAgeMax).count();
  EXPECT_TRUE(encrypt(chain, random, kThen + age - 1).ok());
  EXPECT_EQ(encrypt(chain, random, kThen + age).code(), Code::kLimitReached);
  chain.next = limits::e2ee::kChainMessagesMax - 1;
  EXPECT_TRUE(encrypt(chain, random).ok());
  EXPECT_EQ(encrypt(chain, random).code(), Code::kLimitReached);
}

TEST(SenderChain, AForgedSignatureOpensNothingForWhoHasTheChainKey) {
  // Every member has the chain's key, and none but the sender the signing key.
  OwnChain chain = example_chain();
  const ReceivedChain before = received(chain);
  OwnChain forged = chain.clone();
  forged.signing = SigningPair(secret_of<32>(0x99));
  SeededRandom random(1);
  EXPECT_EQ(open_group(before, parse_group_message(encrypt(forged, random).value()).value(), 10).code(), kBadMessage);
  EXPECT_TRUE(open_group(before, parse_group_message(encrypt(chain, random).value()).value(), 10).ok());
}

TEST(Roster, TakesMembersInAnyOrderAndEachOnce) {
  const RosterMember a{"alice", 1, fixed_of<Hash>(1)};
  const RosterMember b{"bob", 2, fixed_of<Hash>(2)};
  const RosterMember forwards[] = {a, b};
  const RosterMember backwards[] = {b, a};
  const RosterMember twice[] = {a, a};
  EXPECT_EQ(roster_hash(ConversationId{7}, 1, forwards).value(), roster_hash(ConversationId{7}, 1, backwards).value());
  EXPECT_NE(roster_hash(ConversationId{7}, 1, forwards).value(), roster_hash(ConversationId{7}, 2, forwards).value());
  EXPECT_NE(roster_hash(ConversationId{7}, 1, forwards).value(), roster_hash(ConversationId{8}, 1, forwards).value());
  EXPECT_EQ(roster_hash(ConversationId{7}, 1, twice).code(), Code::kInvalidArgument);
}

TEST(Roster, HasAtMostAThousandMembers) {
  std::vector<RosterMember> members;
  for (std::size_t i = 0; i < limits::e2ee::kMembersMax; ++i) members.push_back({"u" + std::to_string(i), 1, {}});
  EXPECT_TRUE(roster_hash(ConversationId{7}, 1, members).ok());
  members.push_back({"one more", 1, {}});
  EXPECT_EQ(roster_hash(ConversationId{7}, 1, members).code(), Code::kTooLarge);
}

GroupEntry example_entry() {
  return {ConversationId{7}, 3,    fixed_of<Hash>(4), Operation::kAdd, MemberRole::kMember, "carol", "alice",
          DeviceId{1},       kThen};
}

TEST(GroupEntries, AreReadWholeOrNotAtAll) {
  const Person alice = e2ee::alice();
  const Bytes bytes = sign_group_entry(example_entry(), alice.keys.signing_seed);
  const auto parse = [&alice](BytesView b) {
    return parse_group_entry(b, alice.record.signing_key, fixed_of<Hash>(4));
  };
  expect_whole_or_nothing(bytes, parse);
  EXPECT_EQ(parse(bytes), example_entry());
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    Bytes changed = bytes;
    changed[at] = static_cast<char>(changed[at] ^ 1);
    EXPECT_FALSE(parse(changed)) << at;
  }
}

TEST(GroupEntries, FollowTheOneBefore) {
  const Person alice = e2ee::alice();
  const Bytes bytes = sign_group_entry(example_entry(), alice.keys.signing_seed);
  EXPECT_FALSE(parse_group_entry(bytes, alice.record.signing_key, fixed_of<Hash>(5)));
  EXPECT_FALSE(parse_group_entry(bytes, bob().record.signing_key, fixed_of<Hash>(4)));
  EXPECT_NE(group_entry_hash(bytes), group_entry_hash(bytes + 'x'));
}

TEST(GroupEntries, OneLeavesForOneself) {
  const Person alice = e2ee::alice();
  GroupEntry leave = example_entry();
  leave.operation = Operation::kLeave;
  EXPECT_FALSE(peek_group_entry(sign_group_entry(leave, alice.keys.signing_seed)));
  leave.subject = "alice";
  EXPECT_TRUE(peek_group_entry(sign_group_entry(leave, alice.keys.signing_seed)));
}

}  // namespace
}  // namespace chatsdk::e2ee
