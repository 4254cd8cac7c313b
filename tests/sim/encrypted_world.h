// SPDX-License-Identifier: Apache-2.0
//
// A world of two users whose conversations are encrypted, in which nothing happens but what a script says: what the
// tests of scripted runs share. Every property that a run is judged by holds in them, too (run.h).
//
// Threads: one.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <deque>
#include <functional>
#include <string>
#include <variant>
#include <vector>

#include "sim/run.h"
#include "sim/scripted.h"
#include "sim/world.h"

namespace chatsdk::sim {

// Users 1 and 2 with a device each, of the same numbers; both are online well before.
inline constexpr NodeId kAlice = 1;
inline constexpr NodeId kBob = 2;
inline constexpr std::chrono::seconds kSettled{20};

class EncryptedWorld : public ::testing::Test {
 protected:
  void send(World& world, std::chrono::seconds when, NodeId from, UserNumber to, int count = 1) {
    at(world, when, from, [to, count](DeviceNode& device) {
      for (int i = 0; i < count; ++i) device.send(to, 60 + static_cast<std::size_t>(i) * 400, std::nullopt);
    });
  }
  static void at(World& world, std::chrono::seconds when, NodeId number, std::function<void(DeviceNode&)> act) {
    world.scheduler().at(world.scheduler().now() + when, [&world, number, act = std::move(act)] {
      if (DeviceNode* const device = world.device(number)) act(*device);
    });
  }
  // Plays the script; what was recorded is in records_ afterwards.
  RunResult play_anything(const std::function<void(World&)>& script) {
    return run(options_, {.log = std::getenv("CHATSDK_SIM_LOG") != nullptr, .script = [&](World& world) {
                            script(world);
                            world.scheduler().at(world.scheduler().now() + options_.duration - std::chrono::seconds(1),
                                                 [&] { records_ = world.observer().history().records(); });
                          }});
  }
  RunResult play(const std::function<void(World&)>& script) {
    RunResult result = play_anything(script);
    for (const Violation& violation : result.violations) ADD_FAILURE() << to_line(violation);
    return result;
  }
  // The user holds both devices: carries the text from the new one to the listed one, compares, and agrees.
  void link_at(World& world, std::chrono::seconds when, NodeId fresh, NodeId listed) {
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

  RunOptions options_ = encrypted_options();
  std::deque<Record> records_;
  std::vector<std::string> codes_;
  std::vector<Code> ends_;
};

}  // namespace chatsdk::sim
