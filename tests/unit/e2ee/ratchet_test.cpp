// SPDX-License-Identifier: Apache-2.0
#include "e2ee/ratchet.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <string>
#include <vector>

#include "base/limits.h"
#include "e2ee/outcome.h"
#include "unit/e2ee/sessions.h"

namespace chatsdk::e2ee {
namespace {

using limits::e2ee::kChainsMax;
using limits::e2ee::kCountMax;
using limits::e2ee::kJumpMax;
using limits::e2ee::kSkippedSessionMax;

constexpr std::size_t kHeaderAt = 1'148 + 304;  // in a set-up message of Alice

// Section 26 of the specification, message by message.
TEST(RatchetAnswers, AreThoseOfTheSpecification) {
  End alice = alices_end();
  const Bytes m0 = alice.encrypt(padded_text(0x51, "hello"), repeated(0x61, 32) + repeated(0x62, 24));
  const Bytes m1 = alice.encrypt(padded_text(0x52, "one"), repeated(0x63, 24));
  const Bytes m2 = alice.encrypt(padded_text(0x53, "two"), repeated(0x64, 24));
  EXPECT_EQ(m0.size(), 1'640U);
  EXPECT_EQ(hex_hash(m0), "23894d008f1560620a1c1ca526de0459062ee52aa7682d66e50ad46bcd4f7aba");
  EXPECT_EQ(alice.state(), "ccb515e2f6b9611c3bf5cd66e8022616fac6453490b5851c138c4be2d8553939");

  End bob = bobs_end(m0, kThen + 1);
  ASSERT_EQ(bob.open(m0, kThen + 1), Code::kOk);
  EXPECT_EQ(bob.last, padded_text(0x51, "hello"));
  EXPECT_EQ(bob.state(), "9b57a0c94fc66bb4bf0e1f4bb06c0f0e913e89df2c1ba0906469e16b0e67e08e");
  ASSERT_EQ(bob.open(m2, kThen + 2), Code::kOk);
  EXPECT_EQ(bob.state(), "e13d9c8448358a7e46fa19f984949de12d553c20f2c7fe8948927e2680e44561");

  const Bytes r0 = bob.encrypt(padded_text(0x54, "answer"), repeated(0x65, 32) + repeated(0x66, 24));
  EXPECT_EQ(
      to_hex(r0),
      "0102bd498de2569a2827fb41b1fcf75c1227fa08876056a5ed07ac44fe0c116ec2de80b8e523959d782400000000000000000000666666"
      "666666666666666666666666666666666666666666c34632758b4817d4d26264710ecde6e90f68e136ad69df19663ba66a28b253b9243ab"
      "522d84e844b3e233186668b327d932f879b8ff32186ad61bb083986204fc43cefc539f51694a16f760d07e61df1bfd22593ee16ae011dec"
      "c4154e85da8752f4944613f1e21ae62796587e5e1b1f");
  ASSERT_EQ(alice.open(r0, kThen + 3), Code::kOk);
  EXPECT_EQ(alice.last, padded_text(0x54, "answer"));
  EXPECT_EQ(alice.state(), "4435d3347ea2e602d2417554a9bca43596c03c0510765dadb1da0a72dd2b4c9a");

  const Bytes m3 = alice.encrypt(padded_text(0x55, "three"), repeated(0x67, 32) + repeated(0x68, 24));
  EXPECT_EQ(m3.size(), 188U);
  EXPECT_EQ(hex_hash(m3), "75a85b09c627d2c4b7701c2e53c24bd0300509c970cfda7ef82b0a2c1c43334a");
  ASSERT_EQ(bob.open(m3, kThen + 4), Code::kOk);
  EXPECT_EQ(bob.state(), "0eb2ee14ad7593f496d7399878e1c86e60ebb0c8d7607e3c5db1a5349e5676a1");
  ASSERT_EQ(bob.open(m1, kThen + 5), Code::kOk);
  EXPECT_EQ(bob.last, padded_text(0x52, "one"));
  EXPECT_EQ(bob.state(), "92323f0c782308b2b5a0319c2081f8d92a9e7824985f3ac89e05909746bbbbb9");

  EXPECT_EQ(bob.open(m3, kThen + 6), kDuplicate);
  EXPECT_EQ(bob.open(m1, kThen + 6), kBadMessage);
}

// A session that both have used: no prefix any more, a chain in each direction.
class Ratchet : public testing::Test {
 protected:
  Ratchet() : alice_(alices_end()), bob_(begin()) {
    EXPECT_EQ(alice_.open(bob_.encrypt()), Code::kOk);
    EXPECT_EQ(bob_.open(alice_.encrypt()), Code::kOk);
  }
  // A refusal leaves every byte of every row as it was.
  void expect_refused(const End& end, BytesView message, Code code, std::uint32_t jump_max = kJumpMax) {
    const std::string before = end.state();
    EXPECT_EQ(end.look_into(message, kThen, jump_max).code(), code);
    EXPECT_EQ(end.state(), before);
  }
  // A round trip: each side begins a new chain.
  void turn() {
    ASSERT_EQ(alice_.open(bob_.encrypt()), Code::kOk);
    ASSERT_EQ(bob_.open(alice_.encrypt()), Code::kOk);
  }
  // Messages of Alice that Bob does not get.
  void pass_over(std::uint32_t count) {
    for (std::uint32_t i = 0; i < count; ++i) alice_.encrypt();
  }

  End alice_;
  End bob_;

 private:
  End begin() {
    const Bytes first = alice_.encrypt();
    End bob = bobs_end(first, kThen);
    EXPECT_EQ(bob.open(first), Code::kOk);
    return bob;
  }
};

TEST_F(Ratchet, CarriesMessagesBothWays) {
  for (int i = 0; i < 5; ++i) {
    ASSERT_EQ(bob_.open(alice_.encrypt("from Alice")), Code::kOk);
    EXPECT_EQ(bob_.last, padded_text(1, "from Alice"));
    ASSERT_EQ(alice_.open(bob_.encrypt("from Bob")), Code::kOk);
    EXPECT_EQ(alice_.last, padded_text(1, "from Bob"));
  }
}

TEST_F(Ratchet, AddsItsOverheadOnly) {
  EXPECT_EQ(alice_.encrypt().size(), padded_text(1, "text").size() + kPairwiseOverheadBytes);
}

TEST(RatchetSetUp, RepeatsThePrefixUntilAnAnswerIsOpened) {
  End alice = alices_end();
  const Bytes first = alice.encrypt();
  const Bytes second = alice.encrypt();
  EXPECT_TRUE(parse_set_up_message(second).has_value());
  End bob = bobs_end(second, kThen);
  ASSERT_EQ(bob.open(second), Code::kOk);
  ASSERT_EQ(bob.open(first), Code::kOk);
  ASSERT_EQ(alice.open(bob.encrypt()), Code::kOk);
  EXPECT_TRUE(alice.session.prefix.empty());
  EXPECT_FALSE(parse_set_up_message(alice.encrypt()).has_value());
}

TEST(RatchetSetUp, BindsThePrefix) {
  End alice = alices_end();
  const Bytes first = alice.encrypt();
  End bob = bobs_end(first, kThen);
  for (const std::size_t at : {std::size_t{2}, std::size_t{100}, kHeaderAt - 1}) {
    Bytes changed = first;
    changed[at] = static_cast<char>(changed[at] ^ 1);
    EXPECT_EQ(bob.look_into(changed).code(), kBadMessage) << at;
  }
  EXPECT_EQ(open(bob.session, {}, BytesView(first).substr(kHeaderAt), kJumpMax, kThen).code(), kBadMessage);
}

TEST(RatchetSetUp, KeepsNoPrekeysSecretOnceItHasOpened) {
  End alice = alices_end();
  const Bytes first = alice.encrypt();
  End bob = bobs_end(first, kThen);
  EXPECT_TRUE(bob.session.ratchet_secret.has_value());
  ASSERT_EQ(bob.open(first), Code::kOk);
  EXPECT_FALSE(bob.session.ratchet_secret.has_value());
}

TEST(RatchetSetUp, SendsNothingBeforeItHasOpened) {
  End bob = bobs_end(alices_end().encrypt(), kThen);
  EXPECT_EQ(encrypt(bob.session, padded_text(1, "text"), bob.random).code(), Code::kWrongState);
}

TEST_F(Ratchet, OpensInAnyOrder) {
  std::vector<Bytes> messages;
  for (int i = 0; i < 20; ++i) messages.push_back(alice_.encrypt());
  std::reverse(messages.begin(), messages.end());
  for (const Bytes& message : messages) EXPECT_EQ(bob_.open(message), Code::kOk);
  EXPECT_EQ(bob_.session.skipped.size(), 0U);
}

TEST_F(Ratchet, OpensOfAnEarlierChain) {
  const Bytes late = alice_.encrypt();
  turn();
  turn();
  EXPECT_EQ(bob_.open(late), Code::kOk);
}

TEST_F(Ratchet, OpensNothingTwice) {
  const Bytes message = alice_.encrypt();
  const Bytes passed_over = alice_.encrypt();
  const Bytes last = alice_.encrypt();
  for (const Bytes& each : {message, last, passed_over}) {
    ASSERT_EQ(bob_.open(each), Code::kOk);
    expect_refused(bob_, each, kDuplicate);
  }
}

TEST_F(Ratchet, RefusesEachChangedByte) {
  const Bytes good = alice_.encrypt();
  for (std::size_t at = 0; at < good.size(); ++at) {
    Bytes changed = good;
    changed[at] = static_cast<char>(changed[at] ^ 0x01);
    const Code code = bob_.look_into(changed).code();
    // The number of the message may name one that was opened before.
    const bool in_number = at >= 46 && at < 50;
    EXPECT_TRUE(code == kBadMessage || (in_number && code == kDuplicate)) << at;
  }
  EXPECT_EQ(bob_.open(good), Code::kOk);
}

TEST_F(Ratchet, IsTakenWholeOrNotAtAll) {
  const Bytes good = alice_.encrypt();
  expect_whole_or_nothing(good, [this](BytesView message) -> std::optional<Bytes> {
    auto opened = bob_.look_into(message);
    if (!opened) return std::nullopt;
    return opened->padded;
  });
}

TEST_F(Ratchet, RefusesHeadersThatAreNotAsStated) {
  const Bytes good = alice_.encrypt();
  const auto u32 = [](std::uint32_t value) {
    Writer writer;
    writer.u32(value);
    return writer.take();
  };
  const struct {
    const char* name;
    std::size_t at;
    Bytes bytes;
  } cases[] = {
      {"version 0", 0, Bytes(1, '\0')},
      {"version 2", 0, Bytes(1, '\2')},
      {"type 1", 1, Bytes(1, '\1')},
      {"type 3", 1, Bytes(1, '\3')},
      {"another session", 2, Bytes(8, 's')},
      {"ratchet key of low order", 10, Bytes(32, '\0')},
      {"ratchet key that is not canonical", 10, repeated(0xFF, 32)},
      {"a ratchet key out of turn", 10, Bytes(public_of(secret_of<32>(0x44)).view())},
      {"PN at the limit", 42, u32(kCountMax)},
      {"N at the limit", 46, u32(kCountMax)},
      {"N beyond the limit", 46, u32(0xFFFFFFFF)},
      {"a post-quantum block", 50, Bytes("\1\0", 2)},
  };
  for (const auto& bad : cases) {
    Bytes changed = good;
    changed.replace(bad.at, bad.bytes.size(), bad.bytes);
    SCOPED_TRACE(bad.name);
    expect_refused(bob_, changed, kBadMessage);
  }
}

TEST_F(Ratchet, BoundsACiphertext) {
  const auto message_with = [](std::size_t padded_bytes) {
    Writer writer;
    writer.u8(1).u8(2).raw(repeated(0, 8)).raw(public_of(secret_of<32>(0x44))).u32(0).u32(0).u16(0);
    writer.zeros(24 + 32 + padded_bytes + 16);
    return writer.take();
  };
  EXPECT_FALSE(parse_pairwise_message(message_with(63)).has_value());
  EXPECT_TRUE(parse_pairwise_message(message_with(64)).has_value());
  EXPECT_TRUE(parse_pairwise_message(message_with(limits::e2ee::kPaddedMax)).has_value());
  EXPECT_FALSE(parse_pairwise_message(message_with(limits::e2ee::kPaddedMax + 1)).has_value());
}

TEST_F(Ratchet, BoundsWhatItEncrypts) {
  const std::string before = alice_.state();
  EXPECT_EQ(encrypt(alice_.session, Bytes(63, '\0'), alice_.random).code(), Code::kTooLarge);
  EXPECT_EQ(encrypt(alice_.session, Bytes(limits::e2ee::kPaddedMax + 1, '\0'), alice_.random).code(), Code::kTooLarge);
  EXPECT_EQ(alice_.state(), before);
  EXPECT_EQ(encrypt(alice_.session, Bytes(limits::e2ee::kPaddedMax, '\0'), alice_.random).code(), Code::kOk);
}

TEST_F(Ratchet, BoundsAJump) {
  pass_over(10);
  const Bytes message = alice_.encrypt();
  expect_refused(bob_, message, kBadMessage, 9);
  EXPECT_EQ(bob_.look_into(message, kThen, 10).code(), Code::kOk);
  EXPECT_EQ(bob_.look_into(message, kThen, 11).code(), Code::kOk);
}

TEST_F(Ratchet, BoundsAJumpIntoANewChain) {
  ASSERT_EQ(alice_.open(bob_.encrypt()), Code::kOk);
  pass_over(10);
  const Bytes message = alice_.encrypt();
  expect_refused(bob_, message, kBadMessage, 9);
  EXPECT_EQ(bob_.look_into(message, kThen, 10).code(), Code::kOk);
}

TEST_F(Ratchet, BoundsWhatAnEarlierChainStillOwes) {
  const Bytes answer = bob_.encrypt();
  pass_over(10);
  ASSERT_EQ(alice_.open(answer), Code::kOk);
  const Bytes message = alice_.encrypt();
  expect_refused(bob_, message, kBadMessage, 9);
  EXPECT_EQ(bob_.look_into(message, kThen, 10).code(), Code::kOk);
}

TEST_F(Ratchet, TakesNoMoreOfAnEarlierChainThanWasAnnounced) {
  const Bytes announced = alice_.encrypt();
  End forked{alice_.session.clone(), alice_.peer, {}, SeededRandom(5)};
  turn();
  const Bytes beyond = forked.encrypt();  // in Alice's chain of before, with a number that she never used
  expect_refused(bob_, beyond, kBadMessage);
  EXPECT_EQ(bob_.open(announced), Code::kOk);
}

TEST_F(Ratchet, ForgetsAnEarlierChainThatIsComplete) {
  turn();
  turn();
  EXPECT_EQ(bob_.session.chains.size(), 1U);
}

TEST_F(Ratchet, BoundsTheChains) {
  std::vector<Bytes> late;
  for (std::size_t i = 0; i < kChainsMax + 1; ++i) {
    late.push_back(alice_.encrypt());
    turn();
    EXPECT_LE(bob_.session.chains.size(), kChainsMax);
  }
  // The last five chains are the current one and four with a message to come.
  EXPECT_EQ(bob_.look_into(late[0]).code(), kBadMessage);
  EXPECT_EQ(bob_.look_into(late[1]).code(), kBadMessage);
  for (std::size_t i = 2; i < late.size(); ++i) EXPECT_EQ(bob_.open(late[i]), Code::kOk) << i;
}

TEST_F(Ratchet, BoundsTheSkippedKeys) {
  const Bytes first = alice_.encrypt();
  const Bytes second = alice_.encrypt();
  pass_over(kSkippedSessionMax - 1);
  ASSERT_EQ(bob_.open(alice_.encrypt()), Code::kOk);
  EXPECT_EQ(bob_.session.skipped.size(), kSkippedSessionMax);
  EXPECT_EQ(bob_.look_into(first).code(), kDuplicate);  // its key was the lowest of one too many
  EXPECT_EQ(bob_.look_into(second).code(), Code::kOk);
}

TEST_F(Ratchet, KeepsTheLatestKeysOfAllChains) {
  const Bytes early = alice_.encrypt();
  ASSERT_EQ(bob_.open(alice_.encrypt()), Code::kOk);
  turn();
  EXPECT_EQ(bob_.look_into(early).code(), Code::kOk);
  pass_over(kSkippedSessionMax);
  ASSERT_EQ(bob_.open(alice_.encrypt()), Code::kOk);
  EXPECT_EQ(bob_.session.skipped.size(), kSkippedSessionMax);
  EXPECT_NE(bob_.look_into(early).code(), Code::kOk);
}

TEST_F(Ratchet, StopsSendingAtItsLastNumber) {
  alice_.session.send_count = kCountMax - 2;
  EXPECT_EQ(encrypt(alice_.session, padded_text(1, "text"), alice_.random).code(), Code::kOk);
  const std::string before = alice_.state();
  EXPECT_EQ(encrypt(alice_.session, padded_text(1, "text"), alice_.random).code(), Code::kLimitReached);
  EXPECT_EQ(alice_.state(), before);
}

TEST_F(Ratchet, SealsTheSameTextDifferentlyEachTime) {
  EXPECT_NE(alice_.encrypt().substr(52), alice_.encrypt().substr(52));
}

TEST_F(Ratchet, AgesSkippedKeys) {
  const Bytes early = alice_.encrypt();
  ASSERT_EQ(bob_.open(alice_.encrypt(), kThen), Code::kOk);
  const auto kept = static_cast<std::uint64_t>(std::chrono::milliseconds(limits::e2ee::kSkippedKept).count());

  EXPECT_FALSE(age(bob_.session, kThen + kept - 1));
  EXPECT_EQ(bob_.look_into(early).code(), Code::kOk);
  EXPECT_TRUE(age(bob_.session, kThen + kept));
  EXPECT_EQ(bob_.look_into(early).code(), kDuplicate);
}

TEST_F(Ratchet, AgesEarlierChainsAndNeverTheCurrentOne) {
  const Bytes early = alice_.encrypt();
  turn();
  ASSERT_EQ(bob_.session.chains.size(), 2U);
  const auto kept = static_cast<std::uint64_t>(std::chrono::milliseconds(limits::e2ee::kSkippedKept).count());

  EXPECT_FALSE(age(bob_.session, kThen + kept - 1));
  EXPECT_TRUE(age(bob_.session, kThen + kept));
  EXPECT_EQ(bob_.session.chains.size(), 1U);
  EXPECT_EQ(bob_.look_into(early).code(), kBadMessage);
  EXPECT_EQ(bob_.open(alice_.encrypt()), Code::kOk);
}

}  // namespace
}  // namespace chatsdk::e2ee
