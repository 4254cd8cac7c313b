// SPDX-License-Identifier: Apache-2.0
#include "e2ee/envelope.h"

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "base/limits.h"
#include "e2ee/padding.h"
#include "unit/e2ee/people.h"

namespace chatsdk::e2ee {
namespace {

Envelope hello() {
  Envelope envelope;
  envelope.client_message_id = ClientMessageId::from_bytes(repeated(0x51, 16)).value();
  envelope.binding = DirectBinding::of("bob", "alice");
  envelope.sender_time_ms = kThen;
  envelope.body = bytes_of_hex("0a070a0568656c6c6f");
  return envelope;
}

// The fields of an envelope as they are written, right or wrong.
struct EnvelopeFields {
  unsigned version = 1;
  unsigned body_type = 1;
  unsigned binding = 1;
  Bytes users = bytes_of_hex("05000000616c69636503000000626f62");
  Bytes body = "content";
};
Bytes written_envelope(const EnvelopeFields& fields) {
  Writer writer;
  writer.u8(static_cast<std::uint8_t>(fields.version)).u8(static_cast<std::uint8_t>(fields.body_type));
  writer.raw(repeated(0x51, 16)).u8(static_cast<std::uint8_t>(fields.binding)).raw(fields.users);
  writer.u64(kThen).u32(0).lp(fields.body);
  return padded(writer.view());
}

TEST(Envelope, HasTheBytesOfTheSpecification) {
  EXPECT_EQ(
      to_hex(serialize(hello())),
      "0101515151515151515151515151515151510105000000616c69636503000000626f6200505c18a301000000000000090000000a070a0568"
      "656c6c6f");
}

TEST(Envelope, ReadsWhatItWrote) {
  Envelope group = hello();
  group.body_type = BodyType::kSenderChain;
  group.binding = fixed_of<GroupId>(7);
  group.expires_after_s = 3'600;
  group.body = Bytes(3'000, 'b');
  for (const Envelope& envelope : {hello(), group}) {
    EXPECT_EQ(parse_padded_envelope(padded(serialize(envelope))), envelope);
  }
}

TEST(Envelope, IsTakenWholeOrNotAtAll) {
  Envelope envelope = hello();
  envelope.body = Bytes(200, 'b');
  expect_whole_or_nothing(padded(serialize(envelope)), parse_padded_envelope);
}

TEST(Envelope, RefusesEachFieldThatIsNotAsStated) {
  ASSERT_TRUE(parse_padded_envelope(written_envelope({})).has_value());
  const struct {
    const char* name;
    std::function<void(EnvelopeFields&)> spoil;
  } cases[] = {
      {"version 0", [](EnvelopeFields& f) { f.version = 0; }},
      {"version 2", [](EnvelopeFields& f) { f.version = 2; }},
      {"body_type 0", [](EnvelopeFields& f) { f.body_type = 0; }},
      {"body_type 6", [](EnvelopeFields& f) { f.body_type = 6; }},
      {"binding 0", [](EnvelopeFields& f) { f.binding = 0; }},
      {"binding 3", [](EnvelopeFields& f) { f.binding = 3; }},
      {"users not sorted", [](EnvelopeFields& f) { f.users = bytes_of_hex("03000000626f6205000000616c696365"); }},
      {"one user twice", [](EnvelopeFields& f) { f.users = bytes_of_hex("03000000626f6203000000626f62"); }},
      {"empty user", [](EnvelopeFields& f) { f.users = bytes_of_hex("0000000003000000626f62"); }},
      {"user that is no UTF-8",
       [](EnvelopeFields& f) {
         f.users = bytes_of_hex(
             "0100000061"
             "01000000ff");
       }},
      {"user of 65 bytes",
       [](EnvelopeFields& f) {
         f.users = bytes_of_hex(
                       "0100000061"
                       "41000000") +
                   Bytes(65, 'b');
       }},
      {"conversation_id 0",
       [](EnvelopeFields& f) {
         f.binding = 2;
         f.users = Bytes(8, '\0');
       }},
  };
  for (const auto& bad : cases) {
    EnvelopeFields fields;
    bad.spoil(fields);
    EXPECT_FALSE(parse_padded_envelope(written_envelope(fields)).has_value()) << bad.name;
  }
}

TEST(Envelope, TakesEachBodyType) {
  for (unsigned type = 1; type <= 4; ++type) {
    EnvelopeFields fields;
    fields.body_type = type;
    const auto envelope = parse_padded_envelope(written_envelope(fields));
    ASSERT_TRUE(envelope.has_value()) << type;
    EXPECT_EQ(static_cast<unsigned>(envelope->body_type), type);
  }
}

// A user_id that begins another one is the lower, and bytes count as unsigned.
TEST(Envelope, SortsUsersAsUnsignedBytes) {
  EXPECT_EQ(DirectBinding::of("ab", "a").lower, "a");
  EXPECT_EQ(DirectBinding::of("\xC3\xA4", "z").lower, "z");
}

TEST(Envelope, RefusesPaddingThatIsNotItsOwn) {
  const Bytes bare = serialize(hello());
  Bytes not_zero = padded(bare);
  not_zero.back() = '\x01';
  EXPECT_FALSE(parse_padded_envelope(bare).has_value());
  EXPECT_FALSE(parse_padded_envelope(not_zero).has_value());
  EXPECT_FALSE(parse_padded_envelope(padded(bare) + Bytes(64, '\0')).has_value());
}

// The length of the body is the envelope's: one that swallows zeros makes another envelope, one byte more makes none.
TEST(Envelope, TakesABodyUpToThePaddedEndAndNotBeyond) {
  Bytes bytes = padded(serialize(hello()));
  const std::size_t length_at = serialize(hello()).size() - hello().body.size() - 4;
  const std::size_t room = bytes.size() - length_at - 4;
  bytes[length_at] = static_cast<char>(room);
  EXPECT_TRUE(parse_padded_envelope(bytes).has_value());
  bytes[length_at] = static_cast<char>(room + 1);
  EXPECT_FALSE(parse_padded_envelope(bytes).has_value());
}

TEST(RepairBody, ReadsWhatItWrote) {
  RepairBody body{5, ClientMessageId::from_bytes(repeated(0x51, 16)).value(), "content"};
  EXPECT_EQ(to_hex(serialize(body)), "0500000000000000" + to_hex(repeated(0x51, 16)) + "07000000" + to_hex("content"));
  expect_whole_or_nothing(serialize(body), parse_repair_body);
  EXPECT_EQ(parse_repair_body(serialize(body)), body);
}

TEST(RetryBody, ReadsWhatItWrote) {
  RetryBody body{5, ClientMessageId::from_bytes(repeated(0x51, 16)).value(), fixed_of<SessionId>(0x09)};
  EXPECT_EQ(to_hex(serialize(body)), "0500000000000000" + to_hex(repeated(0x51, 16)) + to_hex(repeated(0x09, 8)));
  expect_whole_or_nothing(serialize(body), parse_retry_body);
  EXPECT_EQ(parse_retry_body(serialize(body)), body);
}

}  // namespace
}  // namespace chatsdk::e2ee
