// SPDX-License-Identifier: Apache-2.0
//
// Scripted runs of the world with encrypted conversations: what random runs meet too seldom to be leant on. Every
// property that a run is judged by holds here, too (run.h).
//
// Threads: one.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <deque>
#include <functional>
#include <variant>

#include "sim/run.h"
#include "sim/world.h"

namespace chatsdk::sim {
namespace {

using std::chrono::seconds;

// Users 1 and 2 with a device each, of the same numbers; both are online well before.
constexpr NodeId kAlice = 1;
constexpr NodeId kBob = 2;
constexpr seconds kSettled{20};

class EncryptedWorld : public ::testing::Test {
 protected:
  EncryptedWorld() {
    options_ = draw_options(7);
    options_.users = 2;
    options_.devices_per_user = 1;
    options_.encrypted = true;
    options_.actions = 0;
    options_.faults = 0;
    options_.hostile = false;
    options_.fault_points = false;
    options_.assertions = false;
    options_.all_start_again = false;
    options_.duration = seconds(90);
  }

  void send(World& world, seconds when, NodeId from, UserNumber to, int count = 1) {
    at(world, when, from, [to, count](DeviceNode& device) {
      for (int i = 0; i < count; ++i) device.send(to, 60 + static_cast<std::size_t>(i) * 400, std::nullopt);
    });
  }
  static void at(World& world, seconds when, NodeId number, std::function<void(DeviceNode&)> act) {
    world.scheduler().at(world.scheduler().now() + when, [&world, number, act = std::move(act)] {
      if (DeviceNode* const device = world.device(number)) act(*device);
    });
  }
  // Plays the script; what was recorded is in records_ afterwards.
  void play(const std::function<void(World&)>& script) {
    const RunResult result =
        run(options_, {.log = std::getenv("CHATSDK_SIM_LOG") != nullptr, .script = [&](World& world) {
                         script(world);
                         world.scheduler().at(world.scheduler().now() + options_.duration - seconds(1),
                                              [&] { records_ = world.observer().history().records(); });
                       }});
    for (const Violation& violation : result.violations) ADD_FAILURE() << to_line(violation);
  }
  template <typename Kind>
  std::size_t count(const std::function<bool(const Kind&)>& which) const {
    return static_cast<std::size_t>(std::count_if(records_.begin(), records_.end(), [&which](const Record& record) {
      const auto* const event = std::get_if<Kind>(&record.event);
      return event != nullptr && which(*event);
    }));
  }
  std::size_t shown_by(NodeId device) const {
    return count<event::Shown>([device](const event::Shown& shown) { return shown.device == device; });
  }
  std::size_t placeholders_of(NodeId device) const {
    return count<event::PlaceholderShown>(
        [device](const event::PlaceholderShown& shown) { return shown.device == device; });
  }

  RunOptions options_;
  std::deque<Record> records_;
};

TEST_F(EncryptedWorld, MessagesGoBothWays) {
  play([this](World& world) {
    send(world, kSettled, kAlice, 2, 5);
    send(world, kSettled + seconds(5), kBob, 1, 5);
    send(world, kSettled + seconds(10), kAlice, 2, 5);
  });
  EXPECT_GE(shown_by(kAlice), 15U);
  EXPECT_GE(shown_by(kBob), 15U);
  EXPECT_EQ(placeholders_of(kAlice) + placeholders_of(kBob), 0U);
}

TEST_F(EncryptedWorld, BothBeginAtOnce) {
  play([this](World& world) {
    send(world, kSettled, kAlice, 2, 3);
    send(world, kSettled, kBob, 1, 3);
    send(world, kSettled + seconds(10), kAlice, 2, 2);
    send(world, kSettled + seconds(10), kBob, 1, 2);
  });
  EXPECT_EQ(placeholders_of(kAlice) + placeholders_of(kBob), 0U);
}

TEST_F(EncryptedWorld, WhatIsSentBeforeThePeerHasKeysWaitsForThem) {
  play([this](World& world) {
    world.network().isolate(kBob);
    send(world, kSettled, kAlice, 2, 3);
    at(world, kSettled + seconds(10), kAlice, [&world](DeviceNode&) { world.network().end_isolation(kBob); });
  });
  EXPECT_EQ(placeholders_of(kBob), 0U);
}

// Bob's sessions are gone: what comes cannot be opened, is asked for, comes once more, and stands in its place.
TEST_F(EncryptedWorld, WhatCannotBeOpenedIsAskedForAndRepaired) {
  play([this](World& world) {
    send(world, kSettled, kAlice, 2, 2);
    send(world, kSettled + seconds(3), kBob, 1, 2);
    at(world, kSettled + seconds(6), kBob, [](DeviceNode& device) { device.lose_sessions(); });
    send(world, kSettled + seconds(8), kAlice, 2, 3);
    send(world, kSettled + seconds(30), kAlice, 2, 1);
    send(world, kSettled + seconds(32), kBob, 1, 1);
  });
  EXPECT_GE(placeholders_of(kBob), 3U);
  EXPECT_EQ(placeholders_of(kAlice), 0U);
  EXPECT_GE(shown_by(kBob), 9U) << "repairs included";
}

}  // namespace
}  // namespace chatsdk::sim
