// SPDX-License-Identifier: Apache-2.0
#include "transport/backoff.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace chatsdk {
namespace {

using namespace std::chrono_literals;

TEST(Backoff, StaysWithinTheDoublingCeilingAndTheCap) {
  SeededRandom random(7);
  Backoff backoff(random, 100ms, 1000ms);
  for (const auto ceiling : {100ms, 200ms, 400ms, 800ms, 1000ms, 1000ms}) {
    const auto delay = backoff.next();
    EXPECT_GE(delay, 0ms);
    EXPECT_LE(delay, ceiling);
  }
}

TEST(Backoff, UsesTheWholeRange) {
  SeededRandom random(11);
  auto low = 1000ms;
  auto high = 0ms;
  for (int i = 0; i < 2000; ++i) {
    Backoff backoff(random, 100ms, 1000ms);
    const auto delay = backoff.next();
    low = std::min(low, delay);
    high = std::max(high, delay);
  }
  EXPECT_EQ(low, 0ms);
  EXPECT_EQ(high, 100ms);
}

TEST(Backoff, NeverWaitsLessThanTheServerAsked) {
  SeededRandom random(5);
  for (int i = 0; i < 100; ++i) {
    Backoff backoff(random, 100ms, 1000ms);
    EXPECT_GE(backoff.next(5000ms), 5000ms);
  }
}

TEST(Backoff, SpreadsTheMomentThatTheServerNamed) {
  SeededRandom random(13);
  Backoff backoff(random, 1ms, 1ms);
  bool later = false;
  for (int i = 0; i < 100; ++i) {
    const auto delay = backoff.next(1000ms);
    EXPECT_GE(delay, 1000ms);
    EXPECT_LE(delay, 1500ms);
    later = later || delay > 1000ms;
  }
  EXPECT_TRUE(later);
}

TEST(Backoff, StartsAgainAfterSuccess) {
  SeededRandom random(17);
  Backoff backoff(random, 100ms, 60s);
  for (int i = 0; i < 100; ++i) EXPECT_LE(backoff.next(), 60s);
  EXPECT_EQ(backoff.failures(), 100u);

  backoff.reset();

  EXPECT_EQ(backoff.failures(), 0u);
  EXPECT_LE(backoff.next(), 100ms);
}

}  // namespace
}  // namespace chatsdk
