// SPDX-License-Identifier: Apache-2.0
#include "protocol/record.h"

#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <vector>

namespace chatsdk {
namespace {

using namespace std::string_literals;

TEST(Record, ANumberOfEightBytesIsLeastSignificantFirst) {
  const Bytes bytes = "\x09\x01\x02\x03\x04\x05\x06\x07\x88\x10\x01"s;
  RecordReader in(bytes);
  ASSERT_TRUE(in.next());
  EXPECT_EQ(in.fixed64(), 0x8807060504030201u);
  ASSERT_TRUE(in.next());
  EXPECT_EQ(in.fixed64(), 0u);  // of another type
  EXPECT_TRUE(in.failed());
}

// ---- What is of the form -------------------------------------------------------------------------------------------

TEST(Record, ComesBackAsItWasWritten) {
  constexpr std::uint64_t kMost = std::numeric_limits<std::uint64_t>::max();
  RecordWriter out;
  out.u64(1, kMost).sint32(2, -1).sint32(3, std::numeric_limits<std::int32_t>::min()).bytes(15, "one");
  out.each(16, "").each(16, "two").record(17, RecordWriter().u64(1, 300)).u64((1 << 29) - 1, 1);
  const Bytes bytes = out.take();

  RecordReader in(bytes);
  ASSERT_TRUE(in.next());
  EXPECT_EQ(in.number(), 1u);
  EXPECT_EQ(in.u64(), kMost);
  ASSERT_TRUE(in.next());
  EXPECT_EQ(in.sint32(), -1);
  ASSERT_TRUE(in.next());
  EXPECT_EQ(in.sint32(), std::numeric_limits<std::int32_t>::min());
  ASSERT_TRUE(in.next());
  EXPECT_EQ(in.bytes(), "one");
  ASSERT_TRUE(in.next());
  EXPECT_EQ(in.repeated_bytes(), "");
  ASSERT_TRUE(in.next());
  EXPECT_EQ(in.number(), 16u);
  EXPECT_EQ(in.repeated_bytes(), "two");
  ASSERT_TRUE(in.next());
  EXPECT_EQ(in.bytes(), "\x08\xAC\x02"s);
  ASSERT_TRUE(in.next());
  EXPECT_EQ(in.number(), static_cast<std::uint32_t>((1 << 29) - 1));
  EXPECT_TRUE(in.boolean());
  EXPECT_FALSE(in.next());
  EXPECT_FALSE(in.failed());
}

TEST(Record, LeavesOutWhatIsZeroOrEmpty) { EXPECT_EQ(RecordWriter().u64(1, 0).sint32(2, 0).bytes(3, "").take(), ""); }

TEST(Record, PassesOverFieldsOfEveryTypeThatNobodyAsksFor) {
  const Bytes bytes =
      "\x08\x01"s
      "\x11"
      "12345678"
      "\x1A\x03"
      "abc"
      "\x25"
      "1234"
      "\x28\x07";
  RecordReader in(bytes);
  std::vector<std::uint32_t> numbers;
  while (in.next()) numbers.push_back(in.number());
  EXPECT_EQ(numbers, (std::vector<std::uint32_t>{1, 2, 3, 4, 5}));
  EXPECT_FALSE(in.failed());
}

// ---- What is not ---------------------------------------------------------------------------------------------------

TEST(Record, RefusesWhatIsNotOfTheForm) {
  struct Bad {
    const char* name;
    Bytes bytes;
  };
  const std::vector<Bad> table = {
      {"a tag that does not end", "\x88"s},
      {"no value", "\x08"s},
      {"field 0", "\x00\x00"s},
      {"a field above the highest", "\x80\x80\x80\x80\x10\x00"s},
      {"descending fields", "\x10\x01\x08\x01"s},
      {"a tag in two bytes for one", "\x88\x00\x01"s},
      {"a number in two bytes for one", "\x08\x81\x00"s},
      {"a number of eleven bytes", "\x08\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01"s},
      {"a number of 65 bits", "\x08\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x02"s},
      {"a length beyond the end", "\x0A\x02x"s},
      {"the longest length", "\x0A\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01"s},
      {"seven bytes for eight",
       "\x09"
       "1234567"s},
      {"three bytes for four",
       "\x0D"
       "123"s},
      {"the beginning of a group", "\x0B"s},
      {"the end of a group", "\x0C"s},
      {"type 6", "\x0E\x01"s},
      {"type 7", "\x0F\x01"s},
  };
  for (const Bad& bad : table) {
    SCOPED_TRACE(bad.name);
    RecordReader in(bad.bytes);
    while (in.next()) {
    }
    EXPECT_TRUE(in.failed());
    EXPECT_EQ(in.u64(), 0u);
    EXPECT_EQ(in.bytes(), "");
    EXPECT_FALSE(in.next());
  }
}

TEST(Record, FailsForAValueThatAFieldDoesNotHave) {
  const auto fails = [](const Bytes& bytes, const auto& read) {
    RecordReader in(bytes);
    while (in.next()) read(in);
    return in.failed();
  };
  EXPECT_TRUE(fails("\x0A\x00"s, [](RecordReader& in) { in.u64(); }));
  EXPECT_TRUE(fails("\x08\x00"s, [](RecordReader& in) { in.bytes(); }));
  EXPECT_TRUE(fails("\x08\x00"s, [](RecordReader& in) { in.repeated_bytes(); }));
  EXPECT_TRUE(fails("\x08\x02"s, [](RecordReader& in) { in.boolean(); }));
  EXPECT_FALSE(fails("\x08\xFF\xFF\xFF\xFF\x0F"s, [](RecordReader& in) { EXPECT_EQ(in.u32(), 0xFFFF'FFFFu); }));
  EXPECT_TRUE(fails("\x08\x80\x80\x80\x80\x10"s, [](RecordReader& in) { in.u32(); }));
  EXPECT_TRUE(fails("\x08\x80\x80\x80\x80\x10"s, [](RecordReader& in) { in.sint32(); }));
}

TEST(Record, FailsForAFieldThatComesAgainUnlessItMay) {
  const auto fails = [](const auto& read) {
    const Bytes bytes = "\x0A\x00\x0A\x00"s;
    RecordReader in(bytes);
    while (in.next()) read(in);
    return in.failed();
  };
  EXPECT_TRUE(fails([](RecordReader& in) { in.bytes(); }));
  EXPECT_FALSE(fails([](RecordReader& in) { in.repeated_bytes(); }));
  EXPECT_FALSE(fails([](RecordReader&) {}));
}

}  // namespace
}  // namespace chatsdk
