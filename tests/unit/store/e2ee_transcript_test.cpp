// SPDX-License-Identifier: Apache-2.0
//
// Whole runs of devices (tests/oracle/cpp/world.h: loss, repeats, reordering, damage, every limit) with their states in
// memory, done a second time with each device's state in a device store of its own: the same outputs, and after each
// operation the same state hash, read back from the tables.
#include <gtest/gtest.h>
#include <sodium.h>
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <string>

#include "oracle/cpp/transcript.h"
#include "oracle/cpp/world.h"
#include "unit/store/e2ee_keeper.h"

namespace chatsdk::e2ee::oracle {
namespace {

// Replays each line of a world in stores.
void follow(std::uint64_t seed, bool after_each, bool limits, int steps) {
  ASSERT_GE(sodium_init(), 0);
  const std::filesystem::path memory = "/dev/shm";
  const std::filesystem::path directory =
      (::access(memory.c_str(), W_OK) == 0 ? memory : std::filesystem::temp_directory_path()) /
      ("chatsdk-e2ee-" + std::to_string(::getpid()));
  Run stored([&](const std::string& device) { return std::make_unique<StoreKeeper>(directory / device, after_each); });
  int number = 0;
  World world(seed, [&](const Json& line) {
    ++number;
    if (::testing::Test::HasFailure()) return;
    const Json done = stored.perform(line, nullptr);
    for (const std::string& name : differences(line, done)) {
      ADD_FAILURE() << "line " << number << ": " << line.value("op", "") << " of " << line.value("device", "") << ": "
                    << name << " is " << done.value(name, Json()).dump();
    }
  });
  world.start();
  if (limits) world.go_to_the_limits();
  for (int i = 0; i < steps; ++i) world.step();
  world.tour();
  EXPECT_EQ(stored.states(), world.states());
  EXPECT_GT(number, steps);
}

TEST(StoredTranscript, KeepsWhatMemoryKeepsUnderLossAndReordering) { follow(31, false, false, 1'000); }

TEST(StoredTranscript, IsTheSameWhenEverythingIsReadAgainAfterEachOperation) { follow(32, true, false, 300); }

TEST(StoredTranscript, KeepsWhatMemoryKeepsAtEveryLimit) { follow(33, false, true, 100); }

}  // namespace
}  // namespace chatsdk::e2ee::oracle
