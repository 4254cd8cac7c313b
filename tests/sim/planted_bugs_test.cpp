// SPDX-License-Identifier: Apache-2.0
//
// Proof that the simulation sees: with one known bug planted, one of the fixed seeds from 1 on must break a property
// that the bug threatens and that holds without it. docs/reliability.md has the table.
//
// By itself it looks for the bugs that are found in seconds; with CHATSDK_SIM_LONG=1 for all of them.
//
// Threads: one; each run is a process of its own, because a planted bug may end it.
#include <gtest/gtest.h>

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "sim/child.h"
#include "sim/planted_bugs.h"

namespace chatsdk::sim {
namespace {

constexpr std::uint64_t kSeeds = 200;

struct Case {
  const char* name;                     // as chatsdk-sim takes it
  const char* test;                     // what it does, as a test's name
  std::vector<std::string> properties;  // any of which sees it
  bool sampled = false;
  const char* words = "";     // of the rule that sees it, where its property has several
  std::uint32_t devices = 0;  // of each user, where conversations are encrypted
};

const std::vector<Case> kCases = {
    {"P1", "AckBeforeCommit", {"S6", "S17"}, true},
    {"P2", "ResendWithNewId", {"S1", "S3"}, true},
    {"P3", "ServerSyncNormal", {"S6", "S17"}, true},
    {"P4", "DuplicatesOnlyInMemory", {"S15", "S2", "S3"}, true},
    {"P5", "CursorBeforeStore", {"S8"}, true},
    {"P6", "RatchetApart", {"S13"}, true, "", 1},
    {"P7", "ReceiptSetNotMaximum", {"S9"}},
    {"P8", "OrderByTime", {"S4"}},
    {"P9", "ResumeFromMemory", {"S8"}},
    {"P10", "OldConnectionAccepted", {"connections"}},
    {"P11", "RetryUnderTheSameKey", {"S13"}, true, "", 1},
    {"P12", "PlaintextLogged", {"S12"}, true, "", 1},
    {"P13", "RemovalAfterNextSend", {"S10"}, false, "which no device list names", 2},
    {"P14", "QueueWithoutLimit", {"S14"}},
    {"P15", "FailureNotTold", {"S7"}, true},
    {"P17", "TrimBeforeAck", {"S17"}, true, "was trimmed below"},
    {"P18", "NobodyReadsTheStream", {"L1", "L4"}},
    {"refusal-before-duplicate", "RefusalBeforeDuplicate", {"S15"}, true},
    {"last-hint-not-healed", "LastHintNotHealed", {"L1", "L4"}},
    {"restore-keeps-epoch", "RestoreKeepsEpoch", {"S2", "S6", "S9", "S17"}},
    {"delivered-over-gap", "DeliveredOverGap", {"S9"}},
    {"unread-without-limit", "UnreadWithoutLimit", {"S14"}},
    {"window-without-limit", "WindowWithoutLimit", {"S14"}},
    {"no-backoff", "NoBackoff", {"S14"}, true},
    {"times-out-at-half", "TimesOutAtHalf", {"S7"}, true, "has failed on device"},
    {"rotation-forgotten", "RotationForgotten", {"S15"}, true, "the same request is answered"},
    {"caches-without-limit", "CachesWithoutLimit", {"S14"}, true, "cached by the store"},
    {"inbox-without-limit", "InboxWithoutLimit", {"S14"}},
    {"found-again-uncounted", "FoundAgainUncounted", {"unread"}, true},
    {"pair-outlives-its-time", "PairOutlivesItsTime", {"L4"}, true, "prekeys that are overdue", true},
};

std::vector<Case> cases() {
  std::vector<Case> chosen = kCases;
  if (std::getenv("CHATSDK_SIM_LONG") == nullptr) std::erase_if(chosen, [](const Case& each) { return !each.sampled; });
  return chosen;
}

void PrintTo(const Case& bug, std::ostream* out) { *out << bug.name; }

// A user with one device has no other that could link the next one.
RunResult run_with(std::uint64_t seed, Bug planted, std::uint32_t devices) {
  RunOptions options = draw_plain_options(seed);
  options.planted = planted;
  if (devices != 0) {
    options.encrypted = true;
    options.devices_per_user = devices;
  }
  if (devices == 1) {
    turn_off(options, "reinstall");
    turn_off(options, "revoke");
  }
  return run_in_child([&options] { return run(options); });
}

class PlantedBugTest : public testing::TestWithParam<Case> {};

TEST_P(PlantedBugTest, IsFound) {
  const Bug bug = planted_bug(GetParam().name);
  ASSERT_NE(bug, Bug::kNone);
  const auto& properties = GetParam().properties;
  std::string others;

  for (std::uint64_t seed = 1; seed <= kSeeds; ++seed) {
    const RunResult result = run_with(seed, bug, GetParam().devices);
    if (result.ok()) continue;
    const Violation& first = result.violations.front();
    if (std::find(properties.begin(), properties.end(), first.property) == properties.end() ||
        first.message.find(GetParam().words) == std::string::npos) {
      others += " " + first.property + " (seed " + std::to_string(seed) + ")";
      continue;
    }
    // What is broken without the bug too proves nothing.
    if (!run_with(seed, Bug::kNone, GetParam().devices).ok()) continue;
    std::printf("%s found with seed %" PRIu64 ": %s\n", GetParam().name, seed, to_line(first).c_str());
    return;
  }

  FAIL() << GetParam().name << " was not seen within " << kSeeds << " seeds; what was seen:" << others;
}

INSTANTIATE_TEST_SUITE_P(Sim, PlantedBugTest, testing::ValuesIn(cases()),
                         [](const auto& bug) { return std::string(bug.param.test); });

TEST(PlantedBugs, EachHasItsCase) {
  for (const PlantedBug& bug : planted_bugs()) {
    EXPECT_TRUE(std::any_of(kCases.begin(), kCases.end(), [&](const Case& each) {
      return bug.name == std::string(each.name);
    })) << bug.name;
  }
}

}  // namespace
}  // namespace chatsdk::sim
