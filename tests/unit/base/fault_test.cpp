// SPDX-License-Identifier: Apache-2.0
//
// The points in the code, compiled in and compiled out.
#include "base/fault.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

namespace {

#define TEXT_OF_EXPANSION(...) TEXT_OF(__VA_ARGS__)
#define TEXT_OF(...) #__VA_ARGS__

#ifdef CHATSDK_FAULTS

class Recorder final : public chatsdk::FaultHooks {
 public:
  explicit Recorder(bool takes) : takes_(takes) {}
  bool on_fault_point(const char* name, bool rare_branch) override {
    passed.push_back(std::string(name) + (rare_branch ? "?" : ""));
    return takes_;
  }
  std::vector<std::string> passed;

 private:
  const bool takes_;
};

TEST(Fault, PointsAreToldToTheHooksByName) {
  Recorder recorder(true);
  const chatsdk::FaultScope scope(&recorder);

  CHATSDK_FAULT("test.first");
  const bool taken = CHATSDK_FAULT_BRANCH("test.second");

  EXPECT_TRUE(taken);
  EXPECT_EQ(recorder.passed, (std::vector<std::string>{"test.first", "test.second?"}));
}

TEST(Fault, NothingStrikesWithoutAScope) {
  Recorder recorder(true);
  { const chatsdk::FaultScope scope(&recorder, chatsdk::Bug::kP8OrderByTime); }

  CHATSDK_FAULT("test.first");

  EXPECT_FALSE(CHATSDK_FAULT_BRANCH("test.second"));
  EXPECT_FALSE(CHATSDK_PLANTED(Bug::kP8OrderByTime));
  EXPECT_TRUE(recorder.passed.empty());
}

TEST(Fault, OneBugIsPlantedAtATime) {
  const chatsdk::FaultScope scope(nullptr, chatsdk::Bug::kP8OrderByTime);

  EXPECT_TRUE(CHATSDK_PLANTED(Bug::kP8OrderByTime));
  EXPECT_FALSE(CHATSDK_PLANTED(Bug::kP1AckBeforeCommit));
}

#undef CHATSDK_FAULTS
#endif

// What a build without CHATSDK_FAULTS makes of them: the header is read again as such a build reads it.
#undef CHATSDK_FAULT
#undef CHATSDK_FAULT_BRANCH
#undef CHATSDK_PLANTED
#include "base/fault_macros.inc"

TEST(Fault, WithoutTheOptionNoNameAndNoCodeIsLeft) {
  constexpr std::string_view statement = TEXT_OF_EXPANSION(CHATSDK_FAULT("test.name"));
  constexpr std::string_view branch = TEXT_OF_EXPANSION(CHATSDK_FAULT_BRANCH("test.name"));
  constexpr std::string_view planted = TEXT_OF_EXPANSION(CHATSDK_PLANTED(Bug::kP8OrderByTime));

  EXPECT_EQ(statement, "static_cast<void>(0)");
  EXPECT_EQ(branch, "false");
  EXPECT_EQ(planted, "false");
}

}  // namespace
