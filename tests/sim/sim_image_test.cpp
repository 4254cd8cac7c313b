// SPDX-License-Identifier: Apache-2.0
//
// A file's bytes in blocks behave as one string does.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "base/random.h"
#include "sim/sim_image.h"

namespace chatsdk::sim {
namespace {

constexpr std::size_t kFarBytes = 100'000;  // several blocks

void write(FileImage& image, std::size_t at, const std::string& bytes) {
  image.write(at, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
}

std::string read(const FileImage& image, std::size_t at, std::size_t size) {
  std::string bytes(size, '?');
  bytes.resize(image.read(at, reinterpret_cast<unsigned char*>(bytes.data()), size));
  return bytes;
}

TEST(FileImage, IsAStringForWritesReadsAndTruncations) {
  SeededRandom random(7);
  FileImage image;
  std::string model;
  for (int step = 0; step < 2'000; ++step) {
    const auto at = static_cast<std::size_t>(random.below(kFarBytes));
    const auto size = static_cast<std::size_t>(random.below(random.below(8) == 0 ? kFarBytes : 5'000));
    switch (random.below(4)) {
      case 0:
        image.resize(at);
        model.resize(at);
        break;
      case 1:
        ASSERT_EQ(read(image, at, size), at < model.size() ? model.substr(at, size) : "");
        break;
      default:
        const std::string bytes(size, static_cast<char>('a' + random.below(26)));
        write(image, at, bytes);
        if (model.size() < at + size) model.resize(at + size);
        model.replace(at, size, bytes);
        break;
    }
    ASSERT_EQ(image.size(), model.size());
  }
  EXPECT_EQ(image.bytes(), model);
}

TEST(FileImage, WhatWasCutOffIsZeroWhenItGrowsAgain) {
  FileImage image;
  write(image, 0, std::string(kFarBytes, 'x'));
  image.resize(3);
  image.resize(6);
  write(image, kFarBytes, "y");
  EXPECT_EQ(read(image, 0, 8), std::string("xxx\0\0\0\0\0", 8));
  EXPECT_EQ(read(image, kFarBytes - 1, 9), std::string("\0y", 2));
}

TEST(FileImage, ACopyIsOfItsOwn) {
  FileImage image;
  write(image, 0, std::string(kFarBytes, 'x'));
  FileImage copy = image;
  FileImage longer;
  write(longer, 0, std::string(2 * kFarBytes, 'z'));
  longer = image;
  write(image, 0, "y");
  EXPECT_EQ(copy.bytes(), std::string(kFarBytes, 'x'));
  EXPECT_EQ(longer.bytes(), std::string(kFarBytes, 'x'));
}

}  // namespace
}  // namespace chatsdk::sim
