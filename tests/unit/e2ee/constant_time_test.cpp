// SPDX-License-Identifier: Apache-2.0
#include "e2ee/constant_time.h"

#include <gtest/gtest.h>

#include <vector>

namespace chatsdk {
namespace {

using Bytes8 = std::vector<unsigned char>;

TEST(ConstantTime, HiddenValuesStayWhatTheyAre) {
  for (const std::uint32_t value : {0U, 1U, 0x80000000U, 0xFFFFFFFFU}) EXPECT_EQ(hidden(value), value);
}

TEST(ConstantTime, EqualMaskIsAllOnesForEqualBytesOnly) {
  EXPECT_EQ(equal_mask({}, {}), 0xFFFFFFFFU);
  const Bytes8 bytes{0, 1, 127, 128, 255, 0, 9};
  EXPECT_EQ(equal_mask(bytes, Bytes8(bytes)), 0xFFFFFFFFU);

  for (std::size_t at = 0; at < bytes.size(); ++at) {
    for (unsigned difference = 1; difference < 256; ++difference) {
      Bytes8 other = bytes;
      other[at] = static_cast<unsigned char>(other[at] ^ difference);
      EXPECT_EQ(equal_mask(bytes, other), 0U) << "at " << at << " by " << difference;
    }
  }
}

TEST(ConstantTime, CopyWhereTakesAllOrNothing) {
  const Bytes8 from{1, 2, 3, 255};
  Bytes8 to{9, 8, 7, 0};

  copy_where(0, from, to);
  EXPECT_EQ(to, (Bytes8{9, 8, 7, 0}));
  copy_where(0xFFFFFFFFU, from, to);
  EXPECT_EQ(to, from);
}

}  // namespace
}  // namespace chatsdk
