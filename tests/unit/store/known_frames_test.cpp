// SPDX-License-Identifier: Apache-2.0
//
// What is recognised without being opened: the bytes that were sealed, all of them, where they were.
#include "store/known_frames.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace chatsdk {
namespace {

constexpr std::size_t kHeaderBytes = static_cast<std::size_t>(WalLayout::kFrameHeader);
constexpr std::size_t kFrameBytes = static_cast<std::size_t>(WalLayout::kFrameOnDisk);

using Buffer = std::vector<unsigned char>;

Buffer filled(std::size_t size, int with) { return Buffer(size, static_cast<unsigned char>(with)); }

class KnownFramesTest : public ::testing::Test {
 protected:
  void remember(std::int64_t frame, std::uint32_t page, int with) {
    known.remember(frame, page, filled(kFrameBytes, with).data(), filled(kHeaderBytes, with + 1).data(),
                   filled(kPagePlainBytes, with + 2).data());
  }
  bool recalls(std::int64_t frame, const Buffer& sealed) {
    return known.recall(frame, sealed.data(), header.data(), plain.data());
  }

  KnownFrames known;
  Buffer header = filled(kHeaderBytes, 0);
  Buffer plain = filled(kPagePlainBytes, 0);
};

TEST_F(KnownFramesTest, AFrameIsRecognisedWithItsContent) {
  remember(0, 7, 10);

  ASSERT_TRUE(recalls(0, filled(kFrameBytes, 10)));

  EXPECT_EQ(header, filled(kHeaderBytes, 11));
  EXPECT_EQ(plain, filled(kPagePlainBytes, 12));
}

TEST_F(KnownFramesTest, EveryByteOfTheSealDecides) {
  remember(3, 7, 10);
  for (const std::size_t at : {std::size_t{0}, kPagePlainBytes, kStorePageBytes, kFrameBytes - 1}) {
    Buffer changed = filled(kFrameBytes, 10);
    changed[at] ^= 1;
    EXPECT_FALSE(recalls(3, changed)) << at;
  }
  EXPECT_EQ(plain, filled(kPagePlainBytes, 0));
}

TEST_F(KnownFramesTest, AnotherPlaceIsAnotherFrame) {
  remember(3, 7, 10);
  EXPECT_FALSE(recalls(4, filled(kFrameBytes, 10)));
}

TEST_F(KnownFramesTest, OfAPageTheLastVersionIsKept) {
  remember(3, 7, 10);
  remember(4, 7, 20);
  EXPECT_FALSE(recalls(3, filled(kFrameBytes, 10)));
  EXPECT_TRUE(recalls(4, filled(kFrameBytes, 20)));
}

TEST_F(KnownFramesTest, WhatWasUsedLastStays) {
  remember(0, 1, 10);
  for (std::uint32_t page = 2; page < 500; ++page) {
    remember(page, page, 20);
    ASSERT_TRUE(recalls(0, filled(kFrameBytes, 10))) << page;
  }
  EXPECT_FALSE(recalls(2, filled(kFrameBytes, 20)));
}

TEST_F(KnownFramesTest, APageOfTheMainFileIsNoFrame) {
  known.remember_page(7, filled(kStorePageBytes, 10).data(), filled(kPagePlainBytes, 12).data());

  EXPECT_FALSE(recalls(7, filled(kFrameBytes, 10)));
  ASSERT_TRUE(known.recall_page(7, filled(kStorePageBytes, 10).data(), plain.data()));

  EXPECT_EQ(plain, filled(kPagePlainBytes, 12));
  EXPECT_FALSE(known.recall_page(8, filled(kStorePageBytes, 10).data(), plain.data()));
}

}  // namespace
}  // namespace chatsdk
