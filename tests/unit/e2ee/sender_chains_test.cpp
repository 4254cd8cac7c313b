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

// Alice's chain in her group of docs/e2ee.md section 26.
OwnChain example_chain() {
  GivenRandom random(repeated(0x81, 16) + repeated(0x82, 32) + repeated(0x83, 32));
  return OwnChain::draw(alices_group(), 3, kThen, random);
}
// At entry 1, whose hash is [86]32, with the info key [87]32 of entry 5.
GroupPlace example_place() { return {alices_group(), 1, fixed_of<Hash>(0x86)}; }
RosterPoint example_roster() {
  const RosterMember members[] = {{"bob", 1, bob().list.hash}, {"alice", 1, alice().list.hash}};
  return {3, 1, roster_hash(example_place(), members).value()};
}
Bytes distribution(const OwnChain& chain) {
  const InfoKey info_key{5, secret_of<32>(0x87)};
  return distribution_of(chain, DeviceId{1}, example_roster(), &info_key);
}
ReceivedChain received(const OwnChain& chain) {
  const Distribution given = parse_distribution(distribution(chain)).value();
  return {
      given.group, {kAlice, DeviceId{1}}, given.chain_id, given.chain_key.clone(), given.next, given.signing_key, 1};
}
Bytes padded_hello() {
  Envelope envelope;
  envelope.client_message_id = ClientMessageId::from_bytes(repeated(0x84, 16)).value();
  envelope.binding = alices_group();
  envelope.sender_time_ms = kThen;
  envelope.body = bytes_of_hex("0a070a0568656c6c6f");
  return padded(serialize(envelope));
}
Result<Bytes> encrypt(OwnChain& chain, Random& random, std::uint64_t now_ms = kThen) {
  const RosterPoint roster = example_roster();
  return encrypt_group(chain, {kAlice, DeviceId{1}, roster}, padded_hello(), now_ms, random);
}

TEST(SenderChain, HasTheValuesOfTheSpecification) {
  EXPECT_EQ(to_hex(example_roster().hash.view()), "00f5d98eec7bf1b74039698bafd6b5f5");
  OwnChain chain = example_chain();
  EXPECT_EQ(distribution(chain).size(), 183U);
  EXPECT_EQ(hex_hash(distribution(chain)), "32568f6e25f5bb21c291e18791458717fde641da63cf99440d87b172985941f2");
  GivenRandom random(repeated(0x85, 24));
  const Bytes message = encrypt(chain, random).value();
  EXPECT_EQ(hex_hash(message), "68f92a75b0d69ef475f92c01e74c9d725fe9fa0f68778e9ac82ce3e97bc1a5bf");
  EXPECT_EQ(message.size(), padded_hello().size() + kGroupOverheadBytes);
  EXPECT_EQ(chain.next, 1U);
}

TEST(SenderChain, IsReadWholeOrNotAtAll) {
  OwnChain chain = example_chain();
  expect_whole_or_nothing(distribution(chain), [](BytesView b) { return parse_distribution(b); });
  chain.next = limits::e2ee::kCountMax;
  EXPECT_FALSE(parse_distribution(distribution(chain)));
  EXPECT_FALSE(parse_distribution(distribution_of(example_chain(), DeviceId{}, example_roster(), nullptr)));
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
  const RosterHash wanted = roster_hash(example_place(), forwards).value();
  EXPECT_EQ(roster_hash(example_place(), backwards).value(), wanted);
  EXPECT_EQ(roster_hash(example_place(), twice).code(), Code::kInvalidArgument);
  GroupPlace other = example_place();
  other.number = 2;
  EXPECT_NE(roster_hash(other, forwards).value(), wanted);
  other = example_place();
  other.entry_hash = fixed_of<Hash>(2);
  EXPECT_NE(roster_hash(other, forwards).value(), wanted);
  other = example_place();
  other.group = fixed_of<GroupId>(8);
  EXPECT_NE(roster_hash(other, forwards).value(), wanted);
  const RosterMember newer[] = {a, {"bob", 3, fixed_of<Hash>(2)}};
  EXPECT_NE(roster_hash(example_place(), newer).value(), wanted);
}

TEST(Roster, HasAtMostAThousandMembers) {
  std::vector<RosterMember> members;
  for (std::size_t i = 0; i < limits::e2ee::kMembersMax; ++i) members.push_back({"u" + std::to_string(i), 1, {}});
  EXPECT_TRUE(roster_hash(example_place(), members).ok());
  members.push_back({"one more", 1, {}});
  EXPECT_EQ(roster_hash(example_place(), members).code(), Code::kTooLarge);
}

}  // namespace
}  // namespace chatsdk::e2ee
