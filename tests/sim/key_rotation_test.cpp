// SPDX-License-Identifier: Apache-2.0
//
// Scripted runs in which keys live for seconds: the pair of prekeys that a session was set up under is replaced, and
// deleted, while the message that sets it up is still on its way.
//
// Threads: one.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <variant>
#include <vector>

#include "sim/encrypted_world.h"

namespace chatsdk::sim {
namespace {

using std::chrono::seconds;

class KeyRotation : public EncryptedWorld {
 protected:
  KeyRotation() {
    options_.lifetimes.signed_rotation = seconds(15);
    options_.lifetimes.signed_rotation_share = seconds(0);
    options_.lifetimes.upkeep_look = seconds(2);
    options_.lifetimes.ageing_pause = seconds(3);
    options_.lifetimes.digest_interval = seconds(20);
    options_.duration = seconds(120);
  }

  // The key ids of the signed prekeys whose secrets the device has, ascending; the last one is in use.
  static std::vector<std::uint32_t> signed_prekeys(DeviceNode& device) {
    std::vector<std::uint32_t> ids;
    for (const e2ee::PrekeySummary& prekey : device.prekeys()) {
      if (prekey.kind == e2ee::PrekeyKind::kSigned) ids.push_back(prekey.key_id);
    }
    std::sort(ids.begin(), ids.end());
    return ids;
  }
  static bool has(const std::vector<std::uint32_t>& ids, std::uint32_t id) {
    return std::find(ids.begin(), ids.end(), id) != ids.end();
  }
  void look_at_bob(World& world, seconds when, std::vector<std::uint32_t>& ids) {
    at(world, when, kBob, [&ids](DeviceNode& bob) { ids = signed_prekeys(bob); });
  }

  // Alice encrypts for Bob, for the first time, and is away before a byte of it has left. Meanwhile Bob's pair is
  // replaced; he connects anew, so that what is old goes, and Alice is back.
  void first_message_waits(World& world) {
    look_at_bob(world, kSettled - seconds(1), under_);
    at(world, kSettled, kAlice, [&world](DeviceNode&) { world.network().silence(kAlice, true, false); });
    send(world, kSettled, kAlice, 2, 3);
    at(world, kSettled + seconds(2), kAlice, [&world](DeviceNode& alice) {
      EXPECT_TRUE(alice.unrest()) << "it waits";
      world.network().isolate(kAlice);
    });
    at(world, kSettled + seconds(35), kBob, [&world](DeviceNode&) { world.network().isolate(kBob); });
    at(world, kSettled + seconds(37), kBob, [&world](DeviceNode&) { world.network().end_isolation(kBob); });
    look_at_bob(world, kSettled + seconds(60), before_it_came_);
    at(world, kSettled + seconds(60), kAlice, [this, &world](DeviceNode&) {
      shown_before_ = shown_by_bob(world);
      world.network().end_isolation(kAlice);
    });
    send(world, kSettled + seconds(85), kBob, 1, 2);
    send(world, kSettled + seconds(88), kAlice, 2, 1);
  }
  static std::size_t shown_by_bob(World& world) {
    const auto& records = world.observer().history().records();
    return static_cast<std::size_t>(std::count_if(records.begin(), records.end(), [](const Record& record) {
      const auto* const shown = std::get_if<event::Shown>(&record.event);
      return shown != nullptr && shown->device == kBob;
    }));
  }

  std::vector<std::uint32_t> under_;  // Bob's signed prekeys when Alice fetched his bundle
  std::vector<std::uint32_t> before_it_came_;
  std::size_t shown_before_ = 0;
};

TEST_F(KeyRotation, APairIsReplacedAgainAndAgainAndIdsAreNeverUsedTwice) {
  std::vector<std::vector<std::uint32_t>> seen(6);
  play([&](World& world) {
    for (std::size_t i = 0; i < seen.size(); ++i) look_at_bob(world, kSettled + seconds(16 * i), seen[i]);
    send(world, kSettled + seconds(50), kAlice, 2, 2);  // the first: under the pair of that time
    send(world, kSettled + seconds(55), kBob, 1, 2);
  });
  for (std::size_t i = 0; i < seen.size(); ++i) {
    ASSERT_FALSE(seen[i].empty());
    if (i > 0) {
      EXPECT_GT(seen[i].back(), seen[i - 1].back()) << i;
    }
  }
  EXPECT_GE(seen.back().size(), 6U) << "those that were replaced are kept";
  EXPECT_EQ(placeholders_of(kAlice) + placeholders_of(kBob), 0U);
}

TEST_F(KeyRotation, WhatWasEncryptedUnderThePairOfBeforeOpens) {
  play([this](World& world) { first_message_waits(world); });
  ASSERT_FALSE(under_.empty());
  EXPECT_GE(before_it_came_.size(), under_.size() + 2) << "it was replaced, more than once";
  EXPECT_TRUE(has(before_it_came_, under_.back())) << "and is kept";
  EXPECT_EQ(shown_before_, 0U);
  EXPECT_EQ(placeholders_of(kAlice) + placeholders_of(kBob), 0U);
  EXPECT_GE(shown_by(kBob), 6U);
}

// The same, but that the pair has gone meanwhile: what was set up under it cannot be opened, is asked for, and comes
// once more under the pair of now.
TEST_F(KeyRotation, WhatWasEncryptedUnderAPairThatHasGoneIsRepaired) {
  options_.lifetimes.signed_kept = seconds(5);
  play([this](World& world) { first_message_waits(world); });
  ASSERT_FALSE(under_.empty());
  ASSERT_FALSE(before_it_came_.empty());
  EXPECT_FALSE(has(before_it_came_, under_.back())) << "its secret has gone";
  EXPECT_EQ(shown_before_, 0U);
  EXPECT_GE(placeholders_of(kBob), 3U);
  EXPECT_EQ(placeholders_of(kAlice), 0U);
  EXPECT_GE(shown_by(kBob), 6U) << "repairs included";
}

// Sessions that are archived go, and so do the keys of what was passed over; who is still written to is not disturbed.
TEST_F(KeyRotation, ConversationsOutliveWhatAges) {
  options_.lifetimes.signed_kept = seconds(5);
  options_.lifetimes.skipped_kept = seconds(5);
  options_.lifetimes.archived_kept = seconds(5);
  play([this](World& world) {
    for (int round = 0; round < 6; ++round) {
      const seconds when = kSettled + seconds(14 * round);
      // Both at once, with nothing between them before: two sessions, of which one is archived.
      send(world, when, kAlice, 2, 3);
      send(world, when, kBob, 1, 3);
      const NodeId away = round % 2 == 0 ? kAlice : kBob;
      at(world, when + seconds(5), away, [&world, away](DeviceNode&) { world.network().isolate(away); });
      at(world, when + seconds(8), away, [&world, away](DeviceNode&) { world.network().end_isolation(away); });
    }
  });
  EXPECT_EQ(placeholders_of(kAlice) + placeholders_of(kBob), 0U);
  EXPECT_GE(shown_by(kAlice), 36U);
  EXPECT_GE(shown_by(kBob), 36U);
}

}  // namespace
}  // namespace chatsdk::sim
