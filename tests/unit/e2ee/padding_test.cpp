// SPDX-License-Identifier: Apache-2.0
#include "e2ee/padding.h"

#include <gtest/gtest.h>

namespace chatsdk::e2ee {
namespace {

TEST(Padding, HasTheSizesOfTheSpecification) {
  const struct {
    std::uint64_t size;
    std::uint64_t padded;
  } cases[] = {
      {0, 64},      {1, 64},          {64, 64},           {65, 128},          {1023, 1024},       {1024, 1024},
      {1025, 1088}, {65'700, 67'584}, {100'000, 100'352}, {525'483, 540'672}, {540'672, 540'672}, {540'673, 557'056}};
  for (const auto& expected : cases) EXPECT_EQ(padded_size(expected.size), expected.padded) << expected.size;
}

TEST(Padding, ReachesAllSizesInStepsThatStayWhereTheyAre) {
  for (std::uint64_t size = 0; size <= 70'000; ++size) {
    const std::uint64_t padded = padded_size(size);
    ASSERT_GE(padded, size);
    ASSERT_GE(padded, padded_size(size == 0 ? 0 : size - 1)) << size;
    ASSERT_EQ(padded_size(padded), padded) << size;
  }
}

// Padmé adds less than an eighth of the size, and less the larger it is.
TEST(Padding, AddsLittle) {
  for (std::uint64_t size = 1025; size < std::uint64_t{1} << 37; size += size / 7) {
    EXPECT_LT(padded_size(size) - size, size / 8) << size;
  }
}

TEST(Padding, HoldsForTheLargestSizes) {
  const std::uint64_t largest = std::uint64_t{1} << 62;
  EXPECT_EQ(padded_size(largest), largest);
  EXPECT_EQ(padded_size(largest - 1), largest);
}

TEST(Padding, PutsZerosBehind) {
  const Bytes bytes = padded("abc");
  EXPECT_EQ(bytes, "abc" + Bytes(61, '\0'));
  EXPECT_TRUE(is_padded(bytes, 3));
}

TEST(Padding, PadsNothingToTheFirstStep) { EXPECT_EQ(padded({}), Bytes(64, '\0')); }

TEST(Padding, RefusesAByteThatIsNotZero) {
  for (std::size_t at = 3; at < 64; ++at) {
    Bytes bytes = padded("abc");
    bytes[at] = '\x01';
    EXPECT_FALSE(is_padded(bytes, 3)) << at;
  }
}

TEST(Padding, RefusesAnotherLengthThanTheSizesOwn) {
  for (const std::size_t size : {std::size_t{0}, std::size_t{2}, std::size_t{63}, std::size_t{65}, std::size_t{128}}) {
    EXPECT_FALSE(is_padded(Bytes(size, '\0'), 3)) << size;
  }
}

}  // namespace
}  // namespace chatsdk::e2ee
