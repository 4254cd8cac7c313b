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
#include <string>
#include <variant>
#include <vector>

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
    options_.users_link = false;
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
  // The user holds both devices: carries the text from the new one to the listed one, compares, and agrees.
  void link_at(World& world, seconds when, NodeId fresh, NodeId listed) {
    at(world, when, fresh, [this, &world, fresh, listed](DeviceNode& device) {
      EXPECT_EQ(device.encryption_state(), EncryptionState::kLinkNeeded);
      DeviceNode* const other = world.device(listed);
      device.on_text = [other](const std::string& text) { other->scan_link(text); };
      const auto shown = [this, &world, fresh, listed](const std::string& code) {
        codes_.push_back(code);
        if (codes_.size() % 2 != 0) return;
        EXPECT_EQ(codes_.back(), codes_[codes_.size() - 2]);
        EXPECT_EQ(code.size(), 9U) << "four digits, a space, and four";
        world.device(fresh)->confirm_link();
        world.device(listed)->confirm_link();
      };
      const auto ended = [this](const Status& status) { ends_.push_back(status.code()); };
      for (DeviceNode* const one : {&device, other}) {
        one->on_code = shown;
        one->on_link_end = ended;
      }
      device.begin_link();
    });
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
  std::vector<std::string> codes_;
  std::vector<Code> ends_;
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

// Seed 7 of 2026-11-22: what was queued without a session had no device, was not known again when it came back, stood
// there twice, and was taken for lost.
TEST_F(EncryptedWorld, WhatIsQueuedWhileLoggedOutIsKnownAgain) {
  play([this](World& world) {
    send(world, kSettled, kAlice, 2, 2);
    at(world, kSettled + seconds(5), kAlice, [&world](DeviceNode& device) {
      device.log_out();
      world.scheduler().after(std::chrono::milliseconds(1), [&device] {
        device.send(2, 60, std::nullopt);
        device.send(2, 600, std::nullopt);
      });
    });
  });
  EXPECT_EQ(placeholders_of(kAlice) + placeholders_of(kBob), 0U);
  EXPECT_GE(shown_by(kAlice), 4U);
  EXPECT_GE(shown_by(kBob), 4U);
}

TEST_F(EncryptedWorld, ASecondDeviceIsLinkedAndGetsWhatIsSentFromThenOn) {
  options_.devices_per_user = 2;  // 1 and 2 are user 1's, 3 and 4 user 2's
  play([this](World& world) {
    link_at(world, seconds(12), 2, 1);
    link_at(world, seconds(20), 4, 3);
    send(world, seconds(35), 1, 2, 3);
    send(world, seconds(40), 4, 1, 3);
    send(world, seconds(45), 2, 2, 2);
  });
  EXPECT_EQ(ends_, std::vector<Code>(4, Code::kOk));
  ASSERT_EQ(codes_.size(), 4U);
  EXPECT_NE(codes_[0], codes_[2]);
  for (const NodeId device : {NodeId{1}, NodeId{2}, NodeId{3}, NodeId{4}}) {
    EXPECT_EQ(placeholders_of(device), 0U) << device;
    EXPECT_GE(shown_by(device), 8U) << device;
  }
}

TEST_F(EncryptedWorld, ADeviceThatIsRevokedLeavesTheListAndItsPeersAreTold) {
  options_.devices_per_user = 2;
  std::vector<e2ee::Event> told;
  std::size_t listed = 0;
  play([&](World& world) {
    link_at(world, seconds(12), 2, 1);
    link_at(world, seconds(16), 4, 3);
    send(world, seconds(25), 3, 1, 1);
    at(world, seconds(28), 3, [&told](DeviceNode& device) {
      device.on_events = [&told](const std::vector<e2ee::Event>& events) {
        told.insert(told.end(), events.begin(), events.end());
      };
    });
    at(world, seconds(30), 1, [&world](DeviceNode& device) {
      world.network().isolate(2);  // it would log in again, with a place in the list of its own
      device.revoke_another_device();
    });
    at(world, seconds(34), 3, [&](DeviceNode&) {
      const auto newest = world.server().inspector().newest_list(Observer::name_of(1));
      ASSERT_TRUE(newest.ok());
      listed = newest->devices.size();
    });
    send(world, seconds(36), 3, 1, 1);
    at(world, seconds(50), 1, [&world](DeviceNode&) { world.network().end_isolation(2); });
  });
  EXPECT_EQ(listed, 1U);
  ASSERT_FALSE(told.empty());
  EXPECT_EQ(told.front().kind, e2ee::EventKind::kDeviceRemoved);
  EXPECT_EQ(told.front().user_id, Observer::name_of(1));
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
