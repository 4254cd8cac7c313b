// SPDX-License-Identifier: Apache-2.0
#include "e2ee/labels.h"

#include <gtest/gtest.h>

#include <set>

namespace chatsdk::e2ee {
namespace {

TEST(Labels, AreThoseOfTheSpecification) { EXPECT_EQ(label::kAll.size(), 47U); }

TEST(Labels, AreDistinct) {
  std::set<BytesView> seen;
  for (const Label& label : label::kAll) EXPECT_TRUE(seen.insert(label.bytes()).second) << label.bytes();
}

TEST(Labels, AreNoPrefixOfEachOther) {
  for (const Label& a : label::kAll) {
    for (const Label& b : label::kAll) {
      EXPECT_TRUE(a.bytes() == b.bytes() || !b.bytes().starts_with(a.bytes())) << a.bytes() << b.bytes();
    }
  }
}

TEST(Labels, EndWithTheirOnlyZero) {
  for (const Label& label : label::kAll) EXPECT_EQ(label.bytes().find('\0'), label.bytes().size() - 1) << label.bytes();
}

TEST(Labels, BeginWithTheProtocolsName) {
  for (const Label& label : label::kAll) EXPECT_TRUE(label.bytes().starts_with("csdk1/")) << label.bytes();
}

}  // namespace
}  // namespace chatsdk::e2ee
