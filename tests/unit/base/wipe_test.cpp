// SPDX-License-Identifier: Apache-2.0
#include "base/wipe.h"

#include <gtest/gtest.h>

#include <stdexcept>

namespace chatsdk {
namespace {

const std::string kSecret = "a password that does not fit into the string object itself";

TEST(Wipe, OverwritesEveryByteInPlace) {
  std::string text = kSecret;
  const char* const bytes = text.data();

  wipe(text);

  EXPECT_EQ(text, std::string(kSecret.size(), '\0'));
  EXPECT_EQ(text.data(), bytes);
}

TEST(Wipe, LeavesAnEmptyTextAlone) {
  std::string text;
  wipe(text);
  EXPECT_EQ(text, "");
}

TEST(WipeAtEnd, WipesHoweverTheScopeEnds) {
  std::string returned = kSecret;
  [&] { const WipeAtEnd wiped(returned); }();
  EXPECT_EQ(returned, std::string(kSecret.size(), '\0'));

  std::string thrown = kSecret;
  try {
    const WipeAtEnd wiped(thrown);
    throw std::runtime_error("no memory, for instance");
  } catch (const std::runtime_error&) {
  }
  EXPECT_EQ(thrown, std::string(kSecret.size(), '\0'));
}

}  // namespace
}  // namespace chatsdk
