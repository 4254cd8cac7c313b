// SPDX-License-Identifier: Apache-2.0
#include "e2ee/wire.h"

#include <gtest/gtest.h>

#include "base/limits.h"
#include "unit/e2ee/people.h"

namespace chatsdk::e2ee {
namespace {

Bytes user_field(const UserId& user_id) {
  Writer writer;
  writer.user(user_id);
  return writer.take();
}

bool takes_user(BytesView field) {
  Reader reader(field);
  reader.user();
  return reader.finished();
}

TEST(Writer, WritesNumbersLeastSignificantByteFirst) {
  Writer writer;
  writer.u8(0x01).u16(0x0302).u32(0x07060504).u64(0x0F0E0D0C0B0A0908);

  EXPECT_EQ(to_hex(writer.view()), "0102030405060708090a0b0c0d0e0f");
}

TEST(Writer, WritesLengthsBeforeFields) {
  Writer writer;
  writer.lp("ab").lp({}).user("alice");

  EXPECT_EQ(to_hex(writer.view()),
            "02000000616200000000"
            "05000000616c696365");
}

TEST(Writer, WritesTheZeroOfALabel) {
  Writer writer;
  writer.label(label::kMessage);

  EXPECT_EQ(writer.view(), BytesView("csdk1/msg\0", 10));
}

TEST(Writer, TellsKindsOfKeysApart) {
  Writer writer;
  writer.key(fixed_of<SigningKey>(0x07)).key(fixed_of<AgreementKey>(0x07));

  EXPECT_EQ(writer.view(), "\x01" + repeated(0x07, 32) + "\x02" + repeated(0x07, 32));
}

TEST(Writer, KeepsWhatItHasWhenItGrows) {
  Writer writer(4);
  Bytes expected;
  for (unsigned char byte = 0; byte < 200; ++byte) {
    writer.u8(byte);
    expected.push_back(static_cast<char>(byte));
  }

  EXPECT_EQ(writer.take(), expected);
}

TEST(Reader, ReadsWhatAWriterWrote) {
  Writer writer;
  writer.u8(250).u16(65'000).u32(4'000'000'000).u64(0xFEDCBA9876543210).lp("text").user("bob");

  Reader reader(writer.view());

  EXPECT_EQ(reader.u8(), 250);
  EXPECT_EQ(reader.u16(), 65'000);
  EXPECT_EQ(reader.u32(), 4'000'000'000);
  EXPECT_EQ(reader.u64(), 0xFEDCBA9876543210);
  EXPECT_EQ(reader.lp(0, 10), "text");
  EXPECT_EQ(reader.user(), "bob");
  EXPECT_TRUE(reader.finished());
}

TEST(Reader, GivesNothingOnceItFailed) {
  Reader reader("abcd");

  EXPECT_EQ(reader.u64(), 0U);
  EXPECT_EQ(reader.u8(), 0U);
  EXPECT_EQ(reader.raw(1), "");
  EXPECT_TRUE(reader.failed());
  EXPECT_FALSE(reader.finished());
}

TEST(Reader, FailsForALengthBeyondTheEnd) {
  for (const char* field : {"05000000"
                            "61626364",
                            "ffffffff"
                            "61",
                            "000000",
                            "00000001"
                            "61"}) {
    const Bytes bytes = bytes_of_hex(field);
    Reader reader(bytes);
    EXPECT_EQ(reader.lp(0, SIZE_MAX), "") << field;
    EXPECT_TRUE(reader.failed()) << field;
  }
}

TEST(Reader, BoundsTheLengthOfAField) {
  const Bytes field = bytes_of_hex("03000000616263");
  const struct {
    std::size_t min;
    std::size_t max;
    bool taken;
  } cases[] = {{0, 2, false}, {0, 3, true}, {3, 3, true}, {3, 4, true}, {4, 8, false}};
  for (const auto& bounds : cases) {
    Reader reader(field);
    reader.lp(bounds.min, bounds.max);
    EXPECT_EQ(reader.finished(), bounds.taken) << bounds.min << " to " << bounds.max;
  }
}

TEST(Reader, IsNotFinishedWhileAByteIsLeft) {
  Reader reader("ab");
  reader.u8();
  EXPECT_FALSE(reader.finished());
  EXPECT_FALSE(reader.failed());
}

TEST(Reader, RemembersWhatItSaw) {
  Reader reader("abcdef");
  reader.raw(4);
  EXPECT_EQ(reader.seen(), "abcd");
}

TEST(Reader, BoundsAUserId) {
  EXPECT_FALSE(takes_user(bytes_of_hex("00000000")));
  EXPECT_TRUE(takes_user(user_field("a")));
  EXPECT_TRUE(takes_user(user_field(std::string(limits::kUserIdBytesMax, 'a'))));
  EXPECT_FALSE(takes_user(user_field(std::string(limits::kUserIdBytesMax + 1, 'a'))));
}

TEST(Reader, TakesAUserIdInUtf8Only) {
  EXPECT_TRUE(takes_user(user_field("\xC3\xA4")));
  EXPECT_FALSE(takes_user(user_field("\xC3")));
  EXPECT_FALSE(takes_user(user_field("\xC0\x80")));
}

TEST(Reader, TakesNoIdThatIsZero) {
  const Bytes zero = repeated(0, 8);
  Reader reader(zero);
  reader.id();
  EXPECT_TRUE(reader.failed());
}

TEST(Reader, TakesAKeyOfItsKindOnly) {
  const AgreementKey agreement = public_of(secret_of<32>(0x13));
  const SigningKey signing = signing_key_of(secret_of<32>(0x12));
  for (unsigned kind = 0; kind < 256; ++kind) {
    const Bytes first(1, static_cast<char>(kind));
    const Bytes as_agreement = first + Bytes(agreement.view());
    const Bytes as_signing = first + Bytes(signing.view());
    Reader of_agreement(as_agreement);
    Reader of_signing(as_signing);
    EXPECT_EQ(of_agreement.agreement_key() == agreement && of_agreement.finished(), kind == 2) << kind;
    EXPECT_EQ(of_signing.signing_key() == signing && of_signing.finished(), kind == 1) << kind;
  }
}

TEST(Reader, ChecksAKeyWhenItReadsIt) {
  const Bytes zero_agreement = "\x02" + repeated(0, 32);
  const Bytes zero_signing = "\x01" + repeated(0, 32);
  Reader of_agreement(zero_agreement);
  Reader of_signing(zero_signing);
  of_agreement.agreement_key();
  of_signing.signing_key();
  EXPECT_TRUE(of_agreement.failed());
  EXPECT_TRUE(of_signing.failed());
}

}  // namespace
}  // namespace chatsdk::e2ee
