// SPDX-License-Identifier: Apache-2.0
//
// What is added up over seeds: one hash tells whether two campaigns had the same histories.
//
// Threads: one.
#include "sim/report.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "sim/fault_kinds.h"

namespace chatsdk::sim {
namespace {

using SeedAndHash = std::pair<std::uint64_t, std::uint64_t>;

std::uint64_t hash_of_all(const std::vector<SeedAndHash>& histories) {
  Totals totals;
  for (const auto& [seed, hash] : histories) {
    RunResult result;
    result.hash = hash;
    totals.add(seed, result);
  }
  return totals.hash;
}

TEST(HashOfAll, IsTheSameInWhateverOrderSeedsEnd) {
  EXPECT_EQ(hash_of_all({{1, 70}, {2, 80}, {3, 90}}), hash_of_all({{3, 90}, {1, 70}, {2, 80}}));
}

TEST(HashOfAll, IsAnotherWhereOneHistoryIs) {
  EXPECT_NE(hash_of_all({{1, 70}, {2, 80}}), hash_of_all({{1, 70}, {2, 81}}));
}

TEST(HashOfAll, IsAnotherWhereSeedsHaveEachOthersHistories) {
  EXPECT_NE(hash_of_all({{1, 70}, {2, 80}}), hash_of_all({{1, 80}, {2, 70}}));
}

TEST(HashOfAll, IsAnotherWhereDifferencesWouldAddUpToNothing) {
  EXPECT_NE(hash_of_all({{1, 70}, {2, 80}}), hash_of_all({{1, 71}, {2, 79}}));
}

TEST(HashOfAll, IsAnotherOfOtherSeeds) {
  EXPECT_NE(hash_of_all({{1, 70}, {2, 80}}), hash_of_all({{1, 70}, {3, 80}}));
  EXPECT_NE(hash_of_all({{1, 70}, {2, 80}}), hash_of_all({{1, 70}}));
}

TEST(RareKinds, AreLiesOnlyWhereSomebodyLies) {
  Totals totals;
  RunResult result;
  for (const std::string_view kind : kFaultKinds) {
    if (!is_lie(kind)) result.faults[std::string(kind)] = 1;
  }
  for (std::uint64_t seed = 1; seed <= 400; ++seed) totals.add(seed, result);
  EXPECT_FALSE(totals.has_rare_kind());
  totals.with_liar = 30;
  EXPECT_TRUE(totals.has_rare_kind());
  for (const std::string_view kind : kFaultKinds) totals.seeds_by_kind[std::string(kind)] += is_lie(kind) ? 1u : 0u;
  EXPECT_FALSE(totals.has_rare_kind());
  totals.seeds_by_kind["cut"] = 1;
  EXPECT_TRUE(totals.has_rare_kind());
}

}  // namespace
}  // namespace chatsdk::sim
