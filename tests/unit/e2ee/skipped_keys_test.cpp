// SPDX-License-Identifier: Apache-2.0
#include "e2ee/skipped_keys.h"

#include <gtest/gtest.h>

#include "unit/e2ee/people.h"

namespace chatsdk::e2ee {
namespace {

SkippedKeys some() {
  SkippedKeys keys;
  keys.add(2, 5, secret_of<32>(0x25), 50);
  keys.add(1, 9, secret_of<32>(0x19), 10);
  keys.add(2, 4, secret_of<32>(0x24), 40);
  keys.add(3, 0, secret_of<32>(0x30), 60);
  return keys;
}

TEST(SkippedKeys, GiveEachKeyOnce) {
  SkippedKeys keys = some();
  EXPECT_EQ(view(keys.take(2, 4).value()), repeated(0x24, 32));
  EXPECT_FALSE(keys.take(2, 4).has_value());
  EXPECT_EQ(view(keys.take(2, 5).value()), repeated(0x25, 32));
  EXPECT_EQ(view(keys.take(1, 9).value()), repeated(0x19, 32));
  EXPECT_EQ(view(keys.take(3, 0).value()), repeated(0x30, 32));
  EXPECT_EQ(keys.size(), 0U);
}

TEST(SkippedKeys, KnowOnlyWhatWasAdded) {
  SkippedKeys keys = some();
  EXPECT_FALSE(keys.take(1, 8).has_value());
  EXPECT_FALSE(keys.take(4, 0).has_value());
  EXPECT_TRUE(keys.has_chain(1));
  EXPECT_FALSE(keys.has_chain(4));
}

TEST(SkippedKeys, AreInOrder) {
  const SkippedKeys keys = some();
  std::uint64_t before = 0;
  for (const auto& entry : keys.entries()) {
    EXPECT_LT(before, entry.created_ms);
    before = entry.created_ms;
  }
}

TEST(SkippedKeys, DropAChain) {
  SkippedKeys keys = some();
  keys.drop_chain(2);
  EXPECT_EQ(keys.size(), 2U);
  EXPECT_FALSE(keys.has_chain(2));
}

TEST(SkippedKeys, DropTheLowest) {
  SkippedKeys keys = some();
  keys.drop_lowest(4);
  EXPECT_EQ(keys.size(), 4U);
  keys.drop_lowest(2);
  EXPECT_EQ(keys.size(), 2U);
  EXPECT_TRUE(keys.take(2, 5).has_value());
  EXPECT_TRUE(keys.take(3, 0).has_value());
}

TEST(SkippedKeys, AreClonedApart) {
  SkippedKeys keys = some();
  SkippedKeys copy = keys.clone();
  keys.drop_lowest(0);
  EXPECT_EQ(copy.size(), 4U);
  EXPECT_TRUE(copy.take(1, 9).has_value());
}

TEST(SkippedKeys, GrowWithoutLosingAny) {
  SkippedKeys keys;
  for (std::uint32_t number = 0; number < 500; ++number) keys.add(1, number, secret_of<32>(0x01), number);
  EXPECT_EQ(keys.size(), 500U);
  for (std::uint32_t number = 500; number-- > 0;) EXPECT_TRUE(keys.take(1, number).has_value()) << number;
}

}  // namespace
}  // namespace chatsdk::e2ee
