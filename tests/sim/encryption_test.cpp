// SPDX-License-Identifier: Apache-2.0
//
// Scripted runs of the world with encrypted conversations: what random runs meet too seldom to be leant on. Every
// property that a run is judged by holds here, too (run.h).
//
// Threads: one.
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "sim/encrypted_world.h"

namespace chatsdk::sim {
namespace {

using server::NewestList;
using std::chrono::microseconds;
using std::chrono::seconds;

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
    link_at(world, seconds(70), 2, 1);
  });
  EXPECT_EQ(listed, 1U);
  ASSERT_FALSE(told.empty());
  EXPECT_EQ(told.front().kind, e2ee::EventKind::kDeviceRemoved);
  EXPECT_EQ(told.front().user_id, Observer::name_of(1));
}

// The peer hears nothing of it, and sends for the list of before.
TEST_F(EncryptedWorld, WhatIsSentForADeviceThatWasRevokedMeanwhileIsNotAccepted) {
  options_.devices_per_user = 2;
  const auto script = [this](World& world) {
    link_at(world, seconds(12), 2, 1);
    link_at(world, seconds(16), 4, 3);
    send(world, seconds(25), 3, 1, 1);
    at(world, seconds(30), 1, [&world](DeviceNode& device) {
      world.network().isolate(2);
      world.network().clog(3, false, true, seconds(10));
      device.revoke_another_device();
    });
    send(world, seconds(34), 3, 1, 1);
    at(world, seconds(50), 1, [&world](DeviceNode&) { world.network().end_isolation(2); });
    link_at(world, seconds(70), 2, 1);
  };
  play(script);
  if (!kHasFaultPoints) return;
  options_.planted = Bug::kP13RemovalAfterNextSend;
  const auto violations = play_anything(script).violations;
  ASSERT_FALSE(violations.empty());
  EXPECT_EQ(violations.front().property, "S10") << to_line(violations.front());
}

// Who logs out leaves the list first, and is linked again after the next log-in.
TEST_F(EncryptedWorld, ADeviceThatLogsOutLeavesTheList) {
  options_.devices_per_user = 2;
  std::size_t listed = 0;
  play([&](World& world) {
    link_at(world, seconds(12), 2, 1);
    link_at(world, seconds(16), 4, 3);
    send(world, seconds(25), 3, 1, 2);
    at(world, seconds(28), 2, [](DeviceNode& device) { device.log_out(); });
    at(world, seconds(32), 1, [&](DeviceNode&) {
      const auto newest = world.server().inspector().newest_list(Observer::name_of(1));
      ASSERT_TRUE(newest.ok());
      listed = newest->devices.size();
    });
    send(world, seconds(34), 3, 1, 2);
    link_at(world, seconds(45), 2, 1);
    send(world, seconds(60), 3, 1, 2);
  });
  EXPECT_EQ(listed, 1U);
  EXPECT_EQ(ends_, std::vector<Code>(6, Code::kOk));
  EXPECT_EQ(placeholders_of(1) + placeholders_of(2), 0U);
}

// A device that another removed, which has no place in the list itself, is taken out by the next that has one.
TEST_F(EncryptedWorld, WhomTheServerHasForgottenLeavesTheList) {
  options_.devices_per_user = 3;  // 1 to 3 are user 1's; 3 is never linked
  std::vector<std::size_t> listed;
  const auto look = [&listed](World& world) {
    const auto newest = world.server().inspector().newest_list(Observer::name_of(1));
    ASSERT_TRUE(newest.ok());
    listed.push_back(newest->devices.size());
  };
  play([&](World& world) {
    link_at(world, seconds(12), 2, 1);
    at(world, seconds(20), 3, [&](DeviceNode& device) {
      look(world);
      world.network().isolate(2);
      device.remove_devices_if([](NodeId number) { return number == 2; });
    });
    at(world, seconds(30), 1, [&](DeviceNode&) {
      look(world);
      world.network().end_isolation(2);
    });
    for (const auto& [fresh, when] : {std::pair{2, 50}, {3, 56}, {5, 62}, {6, 68}}) {
      link_at(world, seconds(when), static_cast<NodeId>(fresh), fresh < 4 ? 1 : 4);
    }
  });
  EXPECT_EQ(listed, (std::vector<std::size_t>{2, 1}));
}

// What a sibling wrote comes without its slice, which was acknowledged before: it is the message that is here.
TEST_F(EncryptedWorld, WhatASiblingWroteIsKnownAgainAfterARestore) {
  options_.devices_per_user = 2;
  play([&](World& world) {
    link_at(world, seconds(12), 2, 1);
    link_at(world, seconds(16), 4, 3);
    send(world, seconds(25), 2, 2, 3);
    at(world, seconds(30), 1, [&world](DeviceNode&) { world.back_up_server(); });
    send(world, seconds(35), 3, 1, 1);
    at(world, seconds(40), 1, [&world](DeviceNode&) { world.restore_server(); });
  });
  const auto rolled_back = count<event::StoreRead>([](const event::StoreRead& read) {
    return read.device == 1 && std::any_of(read.rows.begin(), read.rows.end(),
                                           [](const auto& row) { return row.sender == 1 && row.seq == 0; });
  });
  EXPECT_EQ(rolled_back, 0U);
}

// Sent and refused for a device that has joined, behind it one whose time has passed: both go on once that device's
// keys are here.
TEST_F(EncryptedWorld, WhatIsGivenUpBehindAMessageThatWaitsForKeysHoldsNothingUp) {
  options_.devices_per_user = 2;
  play([this](World& world) {
    link_at(world, seconds(12), 2, 1);
    send(world, seconds(18), 1, 2, 1);
    at(world, seconds(24), 1, [&world](DeviceNode&) { world.network().clog(1, false, true, seconds(12)); });
    link_at(world, seconds(25), 4, 3);
    at(world, seconds(30), 1, [](DeviceNode& device) {
      device.send(2, 60, std::nullopt);
      device.send(2, 60, seconds(3));
    });
  });
  EXPECT_EQ(count<event::Failed>([](const event::Failed& failed) { return failed.code == Code::kTimedOut; }), 1U);
}

// Seed 113 of 2026-11-23 with two devices.
TEST_F(EncryptedWorld, WhatWaitsForALinkGoesAlsoWhereOneBehindItHasFailed) {
  options_.devices_per_user = 2;
  play([this](World& world) {
    link_at(world, seconds(12), 2, 1);
    send(world, seconds(18), 1, 2, 1);
    at(world, seconds(22), 4, [](DeviceNode& device) {
      device.send(1, 60, std::nullopt);
      device.send(1, 60, seconds(3));
    });
    link_at(world, seconds(30), 4, 3);
  });
  EXPECT_EQ(count<event::Failed>([](const event::Failed& failed) { return failed.code == Code::kTimedOut; }), 1U);
}

// Seed 19 of 2026-11-23 with two devices: what a device had acknowledged, but was not for it, came without its slice,
// and was taken for delivered to it.
TEST_F(EncryptedWorld, WhatIsForSiblingsIsNotSpokenForAfterARestore) {
  options_.devices_per_user = 2;  // 4 is linked after the restore only
  play([this](World& world) {
    link_at(world, seconds(12), 2, 1);
    at(world, seconds(18), 1, [&world](DeviceNode&) { world.network().isolate(3); });
    send(world, seconds(20), 1, 2, 3);
    at(world, seconds(25), 1, [&world](DeviceNode&) { world.back_up_server(); });
    send(world, seconds(27), 1, 2, 1);
    at(world, seconds(30), 1, [&world](DeviceNode&) { world.restore_server(); });
    at(world, seconds(45), 1, [&world](DeviceNode&) { world.network().end_isolation(3); });
    link_at(world, seconds(60), 4, 3);
  });
}

// Seed 35 of 2026-11-23 with two devices: a device that left its list had messages that the older server does not have
// for it. They are on the server all the same, and not lost.
TEST_F(EncryptedWorld, WhoLeftTheListKnowsAgainWhatARestoredServerHas) {
  options_.devices_per_user = 2;
  options_.duration = seconds(120);
  play([this](World& world) {
    link_at(world, seconds(12), 2, 1);
    link_at(world, seconds(16), 4, 3);
    at(world, seconds(23), 1, [&world](DeviceNode&) { world.network().isolate(4); });
    send(world, seconds(25), 1, 2, 3);
    at(world, seconds(28), 1, [&world](DeviceNode&) {
      world.back_up_server();
      world.network().end_isolation(4);
    });
    at(world, seconds(40), 3, [&world](DeviceNode& device) {
      world.network().isolate(4);
      device.revoke_another_device();
    });
    at(world, seconds(45), 3, [&world](DeviceNode&) { world.restore_server(); });
    at(world, seconds(55), 3, [&world](DeviceNode&) { world.network().end_isolation(4); });
    link_at(world, seconds(95), 4, 3);
  });
  const auto lost = count<event::Failed>([](const event::Failed& failed) { return failed.device == 4; });
  EXPECT_EQ(lost, 0U);
}

// Seeds 10, 13 and 65 of 2026-11-23 with two devices: a new installation met the account key of today, then the one of
// before in the rosters of an old conversation, and believed that one for good.
TEST_F(EncryptedWorld, WhoIsNewDoesNotTakeAnOldIdentityForANewOne) {
  options_.devices_per_user = 2;
  options_.duration = seconds(110);
  options_.server.gateway.window_items = 1;  // lists that are asked for come before what the stream has
  play([this](World& world) {
    link_at(world, seconds(12), 2, 1);
    link_at(world, seconds(16), 4, 3);
    send(world, seconds(22), 1, 2, 2);
    at(world, seconds(26), 3, [](DeviceNode& device) { device.replace_identity(); });
    link_at(world, seconds(35), 4, 3);
    send(world, seconds(42), 1, 2, 2);
    for (const NodeId gone : {NodeId{2}, NodeId{4}}) {
      at(world, seconds(45), gone, [&world](DeviceNode& device) { world.reinstall(device); });
      at(world, seconds(50), gone - 1,
         [gone](DeviceNode& device) { device.remove_devices_if([gone](NodeId number) { return number == gone; }); });
    }
    link_at(world, seconds(60), 5, 1);
    link_at(world, seconds(70), 6, 3);
    send(world, seconds(80), 5, 2, 2);
    send(world, seconds(85), 6, 1, 2);
  });
  EXPECT_EQ(ends_, std::vector<Code>(10, Code::kOk));
}

// Seed 117 of 2026-11-23 with two devices: accepted as its device was removed, which never heard of it and, linked
// anew, encrypted it once more, for a refusal.
TEST_F(EncryptedWorld, WhatARemovedDeviceHadNoAnswerToIsKnownWhenItIsLinkedAnew) {
  options_.devices_per_user = 2;
  options_.duration = seconds(120);
  play([this](World& world) {
    link_at(world, seconds(12), 2, 1);
    link_at(world, seconds(16), 4, 3);
    send(world, seconds(22), 2, 2, 1);
    at(world, seconds(26), 2, [&world](DeviceNode&) { world.network().clog(2, false, true, seconds(40)); });
    send(world, seconds(27), 2, 2, 2);
    at(world, seconds(30), 1, [](DeviceNode& device) { device.revoke_another_device(); });
    link_at(world, seconds(95), 2, 1);
  });
  EXPECT_EQ(count<event::Failed>([](const event::Failed&) { return true; }), 0U);
}

// With the next log-in the server knows it under another id, which is in no list.
TEST_F(EncryptedWorld, WhoLogsInAnewIsNotReadyBeforeItIsListed) {
  options_.devices_per_user = 2;
  options_.duration = seconds(120);
  bool was_away = false;
  bool was_back = false;
  std::function<void()> look;
  play([&](World& world) {
    link_at(world, seconds(12), 2, 1);
    link_at(world, seconds(16), 4, 3);
    look = [&] {
      const DeviceNode& device = *world.device(2);
      was_away = was_away || !device.online();
      was_back = was_back || (was_away && device.online());
      const bool listed = world.lists().names_any(1, [](NodeId node) { return node == 2; });
      if (was_back && !listed) {
        EXPECT_NE(device.encryption_state(), EncryptionState::kReady);
      }
      if (!was_back || !listed) world.scheduler().after(std::chrono::milliseconds(1), look);
    };
    at(world, seconds(40), 2, [&look](DeviceNode& device) {
      device.log_out();
      look();
    });
    link_at(world, seconds(70), 2, 1);
  });
  EXPECT_TRUE(was_back);
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

// Who has just come is listed, and gets no further for some seconds: whoever writes then asks for the prekeys again
// soon. It was after a minute.
TEST_F(EncryptedWorld, AFirstMessageDoesNotWaitLongForThePrekeysOfOneWhoHasJustCome) {
  bool listed = false;
  std::function<void()> look;
  play([&](World& world) {
    world.network().isolate(kBob);
    at(world, kSettled, kAlice, [&world](DeviceNode&) { world.network().end_isolation(kBob); });
    look = [&] {
      const auto& records = world.observer().history().records();
      listed = std::any_of(records.begin(), records.end(), [](const Record& record) {
        const auto* const event = std::get_if<event::Listed>(&record.event);
        return event != nullptr && event->device == kBob && !event->has_keys;
      });
      if (!listed) return world.scheduler().after(std::chrono::milliseconds(1), look);
      world.network().isolate(kBob);
      world.device(kAlice)->send(2, 60, std::nullopt);
      at(world, seconds(5), kAlice, [&world](DeviceNode&) { world.network().end_isolation(kBob); });
    };
    look();
  });
  EXPECT_TRUE(listed);
  const auto shown = std::find_if(records_.begin(), records_.end(), [](const Record& record) {
    const auto* const event = std::get_if<event::Shown>(&record.event);
    return event != nullptr && event->device == kBob;
  });
  ASSERT_NE(shown, records_.end());
  EXPECT_LT(microseconds(shown->time_us), seconds(70)) << "the prekeys came at 50 s";
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

// ---- Stores that go back -------------------------------------------------------------------------------------------

// Alice's device is put back to a state from which it has written since, and its user writes before it is online: that
// message would go out under a key that was used.
class PutBackWorld : public EncryptedWorld {
 protected:
  static constexpr NodeId kAliceAgain = 3;

  void script(World& world) {
    send(world, kSettled, kAlice, 2, 3);
    send(world, kSettled + seconds(3), kBob, 1, 3);
    send(world, kSettled + seconds(6), kAlice, 2, 1);
    // In the middle of a chain: what is sent next has a key that follows from what the copy holds.
    at(world, kSettled + seconds(8), kAlice, [this](DeviceNode& device) { copy_ = device.copy(); });
    send(world, kSettled + seconds(10), kAlice, 2, 4);
    at(world, kSettled + seconds(16), kAlice, [this, &world](DeviceNode& device) {
      device_id_before_ = listed_device_of_alice(world);
      EXPECT_EQ(world.put_back(device, copy_), kAliceAgain);
      world.network().isolate(kAliceAgain);
      DeviceNode& again = *world.device(kAliceAgain);
      again.on_ended_with = [this, judge = again.on_ended_with](const char* what, const Error& end) {
        if (what == std::string("the session")) ends_.push_back(end.code);
        judge(what, end);
      };
    });
    send(world, kSettled + seconds(24), kAliceAgain, 2, 1);
    at(world, kSettled + seconds(26), kAliceAgain,
       [&world](DeviceNode&) { world.network().end_isolation(kAliceAgain); });
    send(world, kSettled + seconds(45), kAliceAgain, 2, 2);
    send(world, kSettled + seconds(48), kBob, 1, 2);
    at(world, kSettled + seconds(55), kAliceAgain,
       [this, &world](DeviceNode&) { device_id_after_ = listed_device_of_alice(world); });
  }
  static DeviceId listed_device_of_alice(World& world) {
    const auto newest = world.server().inspector().newest_list(Observer::name_of(1));
    EXPECT_TRUE(newest.ok() && newest->devices.size() == 1);
    return newest.ok() && !newest->devices.empty() ? newest->devices.front().device_id : DeviceId{};
  }

  std::shared_ptr<const DeviceCopy> copy_;
  DeviceId device_id_before_;
  DeviceId device_id_after_;
};

TEST_F(PutBackWorld, ADeviceIsToldAndBeginsAnewWithOtherKeys) {
  play([this](World& world) { script(world); });
  EXPECT_EQ(ends_, std::vector<Code>{Code::kRolledBack});
  EXPECT_TRUE(device_id_after_);
  EXPECT_NE(device_id_after_, device_id_before_);
  EXPECT_EQ(placeholders_of(kBob), 0U);
  EXPECT_GE(shown_by(kBob), 16U) << "all that either has sent";
  EXPECT_GE(shown_by(kAliceAgain), 12U) << "what the copy held, and what came since it is listed";
}

// Seed 34000690: what waits in the copy has gone out since, by the device that it was, and is known for that; encrypted
// once more it would be another message under the same id.
TEST_F(PutBackWorld, WhatTheCopyHadYetToSendIsKnownWhereItWasSentSince) {
  play([this](World& world) {
    send(world, kSettled, kAlice, 2, 2);
    at(world, kSettled + seconds(8), kAlice, [&world](DeviceNode&) { world.network().isolate(kAlice); });
    send(world, kSettled + seconds(9), kAlice, 2, 2);
    at(world, kSettled + seconds(10), kAlice, [this](DeviceNode& device) { copy_ = device.copy(); });
    at(world, kSettled + seconds(11), kAlice, [&world](DeviceNode&) { world.network().end_isolation(kAlice); });
    at(world, kSettled + seconds(40), kAlice,
       [this, &world](DeviceNode& device) { EXPECT_EQ(world.put_back(device, copy_), kAliceAgain); });
    send(world, kSettled + seconds(55), kAliceAgain, 2, 1);
  });
  EXPECT_EQ(count<event::Failed>([](const event::Failed&) { return true; }), 0U);
  EXPECT_EQ(shown_by(kBob), 5U);
  EXPECT_GE(shown_by(kAliceAgain), 5U);
}

// What S13 looks for is there to be found: with a server that does not notice, the message goes out at once.
TEST_F(PutBackWorld, ADeviceThatNobodyTellsUsesAKeyTwice) {
  if constexpr (!kHasFaultPoints) return;
  options_.planted = Bug::kDeviceGoesBackUnnoticed;
  const RunResult result = play_anything([this](World& world) { script(world); });
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.violations.front().property, "S13") << to_line(result.violations.front());
  EXPECT_TRUE(ends_.empty());
}

// Has Alice's next acknowledgement say the opposite: for the server her device has gone back.
class TakesBack final : public ServerFront {
 public:
  Frames to_device(NodeId, std::shared_ptr<const Bytes> frame) override { return {std::move(frame)}; }
  std::shared_ptr<const Bytes> to_server(NodeId device, std::shared_ptr<const Bytes> frame, Frames&) override {
    wire::ClientFrame parsed;
    if (!armed || device != kAlice || !parsed.ParseFromString(*frame) || !parsed.has_ack()) return frame;
    armed = false;
    wire::ClientFrame pull;
    pull.mutable_pull()->set_stream_id(parsed.ack().streams(0).stream_id());
    return std::make_shared<const Bytes>(pull.SerializeAsString());
  }
  void on_request(NodeId, HttpRequest&) override {}
  void on_answer(NodeId, const HttpRequest&, HttpResponse&) override {}

  bool armed = false;
};

// Seed 32000292: what is sent for the id that a device went by before is not due on it, before it is listed anew.
TEST_F(EncryptedWorld, WhatIsForTheIdThatADeviceHadBeforeIsNotDue) {
  TakesBack front;
  bool is_anew = false;
  play([&](World& world) {
    world.network().set_front(&front);
    send(world, kSettled, kBob, 1, 2);
    at(world, kSettled + seconds(5), kAlice, [&](DeviceNode& device) {
      front.armed = true;
      device.on_logged_in = [&, tell = device.on_logged_in](DeviceId id) {
        tell(id);
        is_anew = true;
        world.network().faults.lose_request = 1'000;  // no list gets through
        world.scheduler().after(seconds(10), [&world] { world.network().faults.lose_request = 0; });
      };
    });
    send(world, kSettled + seconds(6), kBob, 1, 1);
    send(world, kSettled + seconds(13), kBob, 1, 1);
    at(world, kSettled + seconds(15), kAlice, [](DeviceNode& device) {
      EXPECT_TRUE(device.online());
      EXPECT_EQ(device.encryption_state(), EncryptionState::kPreparing);
      device.read_store();
    });
    send(world, kSettled + seconds(50), kBob, 1, 1);
  });
  EXPECT_TRUE(is_anew);
}

// What the server had accepted and delivered since the copy is lost there. Its devices have sessions that are ahead of
// what it knows, and one-time keys of which it does not know that they are used.
TEST_F(EncryptedWorld, AServerThatWasPutBackIsWrittenToUnderNewSessions) {
  const RunResult result = play([this](World& world) {
    send(world, kSettled, kAlice, 2, 3);
    send(world, kSettled + seconds(3), kBob, 1, 3);
    at(world, kSettled + seconds(6), kAlice, [&world](DeviceNode&) { world.back_up_server(); });
    send(world, kSettled + seconds(8), kAlice, 2, 3);
    send(world, kSettled + seconds(10), kBob, 1, 2);
    at(world, kSettled + seconds(16), kAlice, [&world](DeviceNode&) { EXPECT_TRUE(world.restore_server()); });
    send(world, kSettled + seconds(17), kAlice, 2, 1);
    send(world, kSettled + seconds(40), kBob, 1, 2);
    send(world, kSettled + seconds(42), kAlice, 2, 2);
  });
  EXPECT_EQ(result.faults.count("server_restored"), 1U);
  const auto lost = count<event::Failed>([](const event::Failed& failed) { return failed.code == Code::kRolledBack; });
  EXPECT_GE(lost, 5U) << "what it has lost is told";
  EXPECT_EQ(placeholders_of(kAlice) + placeholders_of(kBob), 0U);
  EXPECT_GE(shown_by(kAlice), 16U);
  EXPECT_GE(shown_by(kBob), 16U);
}

// Asked for where nobody hears of it, while messages wait that only the old keys open.
TEST_F(EncryptedWorld, WhatWaitsIsReadBeforeANewIdentityIsBegun) {
  play([this](World& world) {
    send(world, kSettled, kBob, 1, 2);
    at(world, kSettled + seconds(3), kAlice, [&world](DeviceNode&) { world.network().isolate(kAlice); });
    send(world, kSettled + seconds(5), kBob, 1, 4);
    at(world, kSettled + seconds(10), kAlice, [&world](DeviceNode& device) {
      device.replace_identity();
      world.network().end_isolation(kAlice);
    });
    send(world, kSettled + seconds(50), kBob, 1, 1);
  });
  EXPECT_EQ(placeholders_of(kAlice), 0U);
  EXPECT_GE(shown_by(kAlice), 7U);
  EXPECT_EQ(count<event::Failed>([](const event::Failed&) { return true; }), 0U);
}

// Seed 32001397: the device took itself out, and the server went back before any other had heard of it.
TEST_F(EncryptedWorld, WhoLeftUnheardBeforeARestoreIsLinkedAnew) {
  options_.devices_per_user = 2;
  options_.duration = seconds(110);
  play([this](World& world) {
    link_at(world, seconds(12), 2, 1);
    link_at(world, seconds(16), 4, 3);
    send(world, seconds(22), 3, 1, 2);
    at(world, seconds(26), 2, [&world](DeviceNode& device) {
      world.back_up_server();
      world.network().isolate(1);
      device.log_out();
    });
    at(world, seconds(36), 2, [&world](DeviceNode&) { EXPECT_TRUE(world.restore_server()); });
    at(world, seconds(45), 1, [&world](DeviceNode&) { world.network().end_isolation(1); });
    link_at(world, seconds(80), 2, 1);
    send(world, seconds(95), 3, 1, 2);
  });
  EXPECT_EQ(ends_, std::vector<Code>(6, Code::kOk));
}

// What device 1 did to the list is lost with the restore, and device 2, which had not heard of it, changes the one of
// before: device 1 joins the two, and whom only the lost one had taken in is linked anew.
TEST_F(EncryptedWorld, ListsThatPartBehindARestoreAreJoined) {
  options_.devices_per_user = 3;  // 1 to 3 are user 1's
  options_.duration = seconds(160);
  NewestList joined;
  play([&](World& world) {
    for (const auto& [fresh, when] : {std::pair{2, 12}, {5, 16}, {6, 20}}) {
      link_at(world, seconds(when), static_cast<NodeId>(fresh), fresh < 4 ? 1 : 4);
    }
    send(world, seconds(28), 4, 1, 2);
    at(world, seconds(32), 1, [&world](DeviceNode&) {
      world.back_up_server();
      world.network().isolate(2);
    });
    link_at(world, seconds(34), 3, 1);
    send(world, seconds(44), 4, 1, 2);
    at(world, seconds(50), 1, [&world](DeviceNode&) {
      for (const NodeId away : {NodeId{1}, NodeId{3}}) world.network().isolate(away);
      EXPECT_TRUE(world.restore_server());
      world.network().end_isolation(2);
    });
    at(world, seconds(62), 2, [](DeviceNode& device) { device.log_out(); });
    at(world, seconds(70), 1, [&world](DeviceNode&) {
      for (const NodeId back : {NodeId{1}, NodeId{3}}) world.network().end_isolation(back);
    });
    at(world, seconds(108), 1, [&](DeviceNode& device) {
      joined = *world.server().inspector().newest_list(Observer::name_of(1));
      EXPECT_EQ(device.encryption_state(), EncryptionState::kReady);
    });
    link_at(world, seconds(110), 3, 1);
    link_at(world, seconds(118), 2, 1);
    send(world, seconds(130), 4, 1, 2);
    send(world, seconds(132), 1, 2, 2);
  });
  EXPECT_EQ(joined.version, 4U) << "version 3 stood in both";
  EXPECT_EQ(joined.devices.size(), 1U);
  EXPECT_EQ(ends_, std::vector<Code>(12, Code::kOk));
}

}  // namespace
}  // namespace chatsdk::sim
