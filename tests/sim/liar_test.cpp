// SPDX-License-Identifier: Apache-2.0
//
// Scripted runs in which the server's owner attacks devices: each lie by itself, told as often as there is occasion.
// Every property that holds behind a liar is judged besides (run.h, liar.h).
//
// Threads: one.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <functional>
#include <vector>

#include "sim/encrypted_world.h"

namespace chatsdk::sim {
namespace {

using std::chrono::seconds;

// Users 1 and 2 with two devices each, which they have linked by then.
constexpr NodeId kAlicesPhone = 1;
constexpr NodeId kAlicesLaptop = 2;
constexpr NodeId kBobsPhone = 3;
constexpr NodeId kBobsLaptop = 4;
constexpr NodeId kCarolsPhone = 5;
constexpr seconds kLinked{45};

class LyingServer : public EncryptedWorld {
 protected:
  LyingServer() {
    options_.seed = 7;
    options_.liar = true;
    options_.lies = {};
  }

  void with_two_devices(std::uint32_t users = 2) {
    options_.users = users;
    options_.devices_per_user = 2;
    options_.users_link = true;
  }
  static void at(World& world, seconds when, std::function<void(World&)> act) {
    world.scheduler().at(world.scheduler().now() + when, [&world, act = std::move(act)] { act(world); });
  }
  static void send(World& world, seconds when, NodeId from, UserNumber to, int count = 1) {
    at(world, when, [from, to, count](World& now) {
      for (int i = 0; i < count; ++i) now.device(from)->send(to, 60 + static_cast<std::size_t>(i) * 400, std::nullopt);
    });
  }
  static void lie(World& world, seconds when, Lie what, NodeId victim = 0, std::uint32_t times = 0) {
    at(world, when, [what, victim, times](World& now) { now.liar()->tell(what, 1, victim, times); });
  }
  static void stop(World& world, seconds when) {
    at(world, when, [](World& now) { now.liar()->leave(); });
  }
  // What was said between the two before anybody lies, with answers: sessions are steady.
  void talk(World& world, seconds when) {
    send(world, when, kAlice, 2, 2);
    send(world, when + seconds(2), kBob, 1, 2);
    send(world, when + seconds(4), kAlice, 2, 2);
  }
  RunResult run_it(const std::function<void(World&)>& script) {
    return run(options_, {.log = std::getenv("CHATSDK_SIM_LOG") != nullptr, .script = [&](World& world) {
                            script(world);
                            world.scheduler().at(world.scheduler().now() + options_.duration - seconds(1), [&] {
                              records_ = world.observer().history().records();
                              for (std::size_t i = 0; i < kLies; ++i) {
                                told_[i] = world.liar()->told(static_cast<Lie>(i));
                              }
                              read_ = world.liar()->read();
                            });
                          }});
  }
  void play(const std::function<void(World&)>& script) {
    for (const Violation& violation : run_it(script).violations) ADD_FAILURE() << to_line(violation);
  }
  // The run holds; with the defence taken out that the bug stands for, the property is broken.
  void play_and_plant(Bug bug, const char* property, const std::function<void(World&)>& script) {
    play(script);
    plant(bug, property, script);
  }
  void plant(Bug bug, const char* property, const std::function<void(World&)>& script) {
    if (!kHasFaultPoints) return;
    const RunResult result = plant(bug, script);
    ASSERT_FALSE(result.ok()) << "nobody sees it";
    EXPECT_EQ(result.violations.front().property, property) << to_line(result.violations.front());
  }
  // Behind it the test says what is not as it was without the bug.
  RunResult plant(Bug bug, const std::function<void(World&)>& script) {
    options_.planted = bug;
    return run_it(script);
  }
  static void keep_events(World& world, seconds when, NodeId device, std::vector<e2ee::Event>& told) {
    at(world, when, [device, &told](World& now) {
      now.device(device)->on_events = [&told](const std::vector<e2ee::Event>& events) {
        told.insert(told.end(), events.begin(), events.end());
      };
    });
  }
  static std::size_t count_of(const std::vector<e2ee::Event>& events, e2ee::EventKind kind) {
    return static_cast<std::size_t>(
        std::count_if(events.begin(), events.end(), [kind](const e2ee::Event& event) { return event.kind == kind; }));
  }
  std::size_t placeholders() const {
    return count<event::PlaceholderShown>([](const event::PlaceholderShown&) { return true; });
  }
  std::uint64_t told(Lie lie) const { return told_[static_cast<std::size_t>(lie)]; }

  std::array<std::uint64_t, kLies> told_{};
  std::uint64_t read_ = 0;
};

// One that is silent changes nothing.
TEST_F(LyingServer, ThatSaysOnlyWhatIsSo) {
  play([this](World& world) { talk(world, kSettled); });
  EXPECT_EQ(placeholders_of(kAlice) + placeholders_of(kBob), 0U);
  EXPECT_GE(shown_by(kBob), 6U);
}

// ---- Items ---------------------------------------------------------------------------------------------------------

TEST_F(LyingServer, AltersSlices) {
  const auto script = [this](World& world) {
    talk(world, kSettled);
    lie(world, kSettled + seconds(8), Lie::kAlteredSlice, kBob, 5);
    send(world, kSettled + seconds(9), kAlice, 2, 5);
  };
  play(script);
  EXPECT_EQ(told(Lie::kAlteredSlice), 5U);
  EXPECT_GE(placeholders_of(kBob), 5U);
  EXPECT_GE(shown_by(kBob), 11U) << "what was asked for again came";
  if (!kHasFaultPoints) return;
  plant(Bug::kNothingAskedForAgain, script);
  EXPECT_LT(shown_by(kBob), 11U);
}

TEST_F(LyingServer, GivesOutWhatIsForAnotherDevice) {
  with_two_devices();
  const auto script = [this](World& world) {
    talk(world, kLinked);
    lie(world, kLinked + seconds(8), Lie::kAnotherDevicesSlice, kBobsPhone, 2);
    send(world, kLinked + seconds(9), kAlicesPhone, 2, 2);
  };
  play(script);
  EXPECT_EQ(told(Lie::kAnotherDevicesSlice), 2U);
  EXPECT_GE(placeholders_of(kBobsPhone), 2U);
  EXPECT_GE(shown_by(kBobsPhone), shown_by(kBobsLaptop)) << "repairs included";
  if (!kHasFaultPoints) return;
  plant(Bug::kNothingAskedForAgain, script);
  EXPECT_LT(shown_by(kBobsPhone), shown_by(kBobsLaptop));
}

// The laptop has not opened what the phone wrote to Bob; it is given out as written to Carol, with its author and id.
TEST_F(LyingServer, GivesOutWhatWasSaidInAnotherConversation) {
  with_two_devices(3);
  play_and_plant(Bug::kBindingUnchecked, "S1", [](World& world) {
    send(world, kLinked, kAlicesPhone, 3, 1);
    lie(world, kLinked + seconds(4), Lie::kAlteredSlice, kAlicesLaptop, 1);
    send(world, kLinked + seconds(5), kAlicesPhone, 2, 1);
    lie(world, kLinked + seconds(6), Lie::kAnotherConversation, kAlicesLaptop, 1);
    send(world, kLinked + seconds(7), kAlicesPhone, 3, 1);
  });
  EXPECT_EQ(told(Lie::kAlteredSlice), 1U);
  EXPECT_EQ(told(Lie::kAnotherConversation), 1U);
  EXPECT_GE(placeholders_of(kAlicesLaptop), 2U);
}

TEST_F(LyingServer, NamesAnotherAuthor) {
  with_two_devices();
  play([this](World& world) {
    talk(world, kLinked);
    send(world, kLinked + seconds(6), kBobsLaptop, 1, 2);
    lie(world, kLinked + seconds(8), Lie::kAnotherAuthor, kBobsPhone);
    send(world, kLinked + seconds(9), kAlicesPhone, 2, 4);
    send(world, kLinked + seconds(9), kAlicesLaptop, 2, 4);
    send(world, kLinked + seconds(9), kBobsLaptop, 1, 4);
  });
  EXPECT_GE(told(Lie::kAnotherAuthor), 10U);
  EXPECT_GE(placeholders_of(kBobsPhone), 10U);
}

TEST_F(LyingServer, RepeatsWhatCameBefore) {
  play([this](World& world) {
    talk(world, kSettled);
    lie(world, kSettled + seconds(8), Lie::kOlderItem, 0, 12);
    send(world, kSettled + seconds(9), kAlice, 2, 6);
    send(world, kSettled + seconds(9), kBob, 1, 6);
  });
  EXPECT_EQ(told(Lie::kOlderItem), 12U);
}

TEST_F(LyingServer, PutsInWordsOfItsOwn) {
  play_and_plant(Bug::kPlainAccepted, "S1", [this](World& world) {
    talk(world, kSettled);
    lie(world, kSettled + seconds(8), Lie::kPlainText, kBob, 3);
    send(world, kSettled + seconds(9), kAlice, 2, 3);
  });
  EXPECT_EQ(told(Lie::kPlainText), 3U);
  EXPECT_GE(placeholders_of(kBob), 3U);
}

TEST_F(LyingServer, CallsMessagesRequestsAndRepairs) {
  play([this](World& world) {
    talk(world, kSettled);
    lie(world, kSettled + seconds(8), Lie::kMessageAsTask, 0, 6);
    send(world, kSettled + seconds(10), kAlice, 2, 3);
    send(world, kSettled + seconds(10), kBob, 1, 3);
  });
  EXPECT_EQ(told(Lie::kMessageAsTask), 6U);
}

TEST_F(LyingServer, CallsARepairAMessage) {
  play_and_plant(Bug::kBodyTypeUnchecked, "S1", [this](World& world) {
    talk(world, kSettled);
    lie(world, kSettled + seconds(8), Lie::kTaskAsMessage, kBob);
    at(world, kSettled + seconds(9), [](World& now) { now.device(kBob)->lose_sessions(); });
    send(world, kSettled + seconds(10), kAlice, 2, 3);
  });
  EXPECT_GE(told(Lie::kTaskAsMessage), 3U);
}

// ---- Device lists --------------------------------------------------------------------------------------------------

// With a device that was removed since, and as often as anybody asks.
TEST_F(LyingServer, GoesBackToOlderLists) {
  with_two_devices();
  play_and_plant(Bug::kListsGoBack, "S10", [this](World& world) {
    talk(world, kLinked);
    at(world, kLinked + seconds(6), [](World& now) {
      now.network().isolate(kAlicesLaptop);
      now.device(kAlicesPhone)->revoke_another_device();
    });
    lie(world, kLinked + seconds(10), Lie::kOldLists, kBobsPhone);
    lie(world, kLinked + seconds(10), Lie::kEndlessRefusal, kBobsPhone, 4);
    send(world, kLinked + seconds(11), kBobsPhone, 1, 2);
    at(world, kLinked + seconds(30), [](World& now) { now.network().end_isolation(kAlicesLaptop); });
  });
  EXPECT_GE(told(Lie::kOldLists), 4U);
}

TEST_F(LyingServer, LeavesVersionsOut) {
  with_two_devices();
  play([this](World& world) {
    talk(world, kLinked);
    lie(world, kLinked + seconds(5), Lie::kCutLists);
    at(world, kLinked + seconds(6), [](World& now) { now.device(kAlicesPhone)->revoke_another_device(); });
    lie(world, kLinked + seconds(10), Lie::kEndlessRefusal, kBobsPhone, 4);
    send(world, kLinked + seconds(11), kBobsPhone, 1, 2);
  });
  EXPECT_GE(told(Lie::kCutLists), 4U);
}

TEST_F(LyingServer, ShowsAnotherUsersLists) {
  std::vector<e2ee::Event> events;
  const auto script = [&](World& world) {
    talk(world, kSettled);
    keep_events(world, kSettled + seconds(7), kAlice, events);
    lie(world, kSettled + seconds(8), Lie::kAnotherUser);
    lie(world, kSettled + seconds(8), Lie::kEndlessRefusal, 0, 10);
    send(world, kSettled + seconds(9), kAlice, 2, 2);
    send(world, kSettled + seconds(9), kBob, 1, 2);
  };
  play(script);
  EXPECT_GE(told(Lie::kAnotherUser), 4U);
  EXPECT_EQ(count_of(events, e2ee::EventKind::kIdentityChanged), 0U);
  if (!kHasFaultPoints) return;
  plant(Bug::kListsUserUnchecked, script);
  EXPECT_GT(count_of(events, e2ee::EventKind::kIdentityChanged), 0U);
}

// The account key's owner never saw that list: nobody takes it, and nothing is encrypted for the device in it.
TEST_F(LyingServer, ForgesAList) {
  std::vector<e2ee::Event> events;
  play_and_plant(Bug::kListSignatureUnchecked, "S10", [&](World& world) {
    talk(world, kSettled);
    keep_events(world, kSettled + seconds(7), kAlice, events);
    lie(world, kSettled + seconds(8), Lie::kForgedLists, kAlice);
    lie(world, kSettled + seconds(8), Lie::kEndlessRefusal, kAlice, 3);
    send(world, kSettled + seconds(9), kAlice, 2, 3);
  });
  EXPECT_GE(told(Lie::kForgedLists), 3U);
  EXPECT_GE(count_of(events, e2ee::EventKind::kListRefused), 3U);
}

// Nobody can tell it from a user who begins anew: it is believed, and told.
TEST_F(LyingServer, ShowsAnotherAccount) {
  std::vector<e2ee::Event> events;
  const auto script = [&](World& world) {
    talk(world, kSettled);
    keep_events(world, kSettled + seconds(7), kAlice, events);
    lie(world, kSettled + seconds(8), Lie::kAnotherAccount, kAlice, 1);
    lie(world, kSettled + seconds(8), Lie::kEndlessRefusal, kAlice, 1);
    // With more under way the connection would end.
    send(world, kSettled + seconds(9), kAlice, 2, 1);
    send(world, kSettled + seconds(10), kAlice, 2, 2);
  };
  play(script);
  EXPECT_EQ(told(Lie::kAnotherAccount), 1U);
  EXPECT_EQ(count_of(events, e2ee::EventKind::kIdentityChanged), 1U);
  EXPECT_GE(read_, 3U) << "the attacker got what it had its device listed for";
  plant(Bug::kIdentityChangeUntold, "S10", script);
}

TEST_F(LyingServer, ForgesARoster) {
  with_two_devices();
  const auto script = [this](World& world) {
    talk(world, kLinked);
    lie(world, kLinked + seconds(5), Lie::kForgedRoster, kBobsPhone);
    at(world, kLinked + seconds(6), [](World& now) { now.device(kAlicesPhone)->revoke_another_device(); });
    send(world, kLinked + seconds(11), kBobsPhone, 1, 2);
    send(world, kLinked + seconds(11), kAlicesPhone, 2, 2);
  };
  play(script);
  EXPECT_GE(told(Lie::kForgedRoster), 1U);
  EXPECT_EQ(read_, 0U);
  plant(Bug::kListSignatureUnchecked, "S10", script);
}

// ---- Bundles -------------------------------------------------------------------------------------------------------

TEST_F(LyingServer, AltersBundles) {
  with_two_devices();
  const auto script = [](World& world) {
    lie(world, kLinked, Lie::kAlteredBundle, 0, 12);
    for (const NodeId from : {kAlicesPhone, kAlicesLaptop}) send(world, kLinked + seconds(1), from, 2, 2);
    for (const NodeId from : {kBobsPhone, kBobsLaptop}) send(world, kLinked + seconds(1), from, 1, 2);
  };
  play(script);
  EXPECT_EQ(told(Lie::kAlteredBundle), 12U);
  EXPECT_EQ(placeholders(), 0U) << "nothing is encrypted for what does not hold";
  if (!kHasFaultPoints) return;
  plant(Bug::kBundleUnchecked, script);
  EXPECT_GT(placeholders(), 0U);
}

TEST_F(LyingServer, GivesOutBundlesOfOthers) {
  with_two_devices();
  const auto script = [](World& world) {
    lie(world, kLinked, Lie::kAnotherBundle, 0, 6);
    send(world, kLinked + seconds(1), kAlicesPhone, 2, 2);
    send(world, kLinked + seconds(1), kBobsPhone, 1, 2);
  };
  play(script);
  EXPECT_EQ(told(Lie::kAnotherBundle), 6U);
  EXPECT_EQ(read_, 0U);
  EXPECT_EQ(placeholders(), 0U);
  if (!kHasFaultPoints) return;
  plant(Bug::kBundleUnchecked, script);
  EXPECT_GT(placeholders(), 0U);
}

// The first session with Bob's phone used them up; the laptop's does not open, and is asked for again.
TEST_F(LyingServer, GivesOutUsedPrekeys) {
  with_two_devices();
  const auto script = [](World& world) {
    send(world, kLinked, kAlicesPhone, 2, 1);
    lie(world, kLinked + seconds(3), Lie::kUsedPrekey, kAlicesLaptop);
    send(world, kLinked + seconds(4), kAlicesLaptop, 2, 1);
  };
  play(script);
  EXPECT_GE(told(Lie::kUsedPrekey), 1U);
  EXPECT_GE(placeholders_of(kBobsPhone) + placeholders_of(kBobsLaptop) + placeholders_of(kAlicesPhone), 1U);
  if (!kHasFaultPoints) return;
  plant(Bug::kUsedPrekeyKept, script);
  EXPECT_EQ(placeholders(), 0U);
}

TEST_F(LyingServer, GivesOutPrekeysOfLowOrder) {
  const auto script = [](World& world) {
    lie(world, kSettled, Lie::kLowOrderPrekey, 0, 2);
    send(world, kSettled + seconds(1), kAlice, 2, 2);
    send(world, kSettled + seconds(1), kBob, 1, 2);
  };
  play(script);
  EXPECT_EQ(told(Lie::kLowOrderPrekey), 2U);
  EXPECT_EQ(placeholders_of(kAlice) + placeholders_of(kBob), 0U);
  if (!kHasFaultPoints) return;
  plant(Bug::kLowOrderTaken, script);
  EXPECT_GT(placeholders(), 0U);
}

// ---- Storms --------------------------------------------------------------------------------------------------------

TEST_F(LyingServer, RefusesForItsListsWithoutEnd) {
  options_.network.latency_min = options_.network.latency_mean = std::chrono::microseconds(500);
  const auto script = [this](World& world) {
    talk(world, kSettled);
    lie(world, kSettled + seconds(8), Lie::kEndlessRefusal);
    send(world, kSettled + seconds(9), kAlice, 2, 3);
    send(world, kSettled + seconds(9), kBob, 1, 3);
  };
  play(script);
  EXPECT_GE(told(Lie::kEndlessRefusal), 20U);
  EXPECT_LE(told(Lie::kEndlessRefusal), 1'200U);
  plant(Bug::kRefusedWithoutPause, "S14", script);
}

// It has three encryptions of one message then, beside the one that it takes.
TEST_F(LyingServer, GivesOutWhatItHasRefused) {
  play_and_plant(Bug::kShownAtEachPlace, "S3", [this](World& world) {
    talk(world, kSettled);
    lie(world, kSettled + seconds(8), Lie::kRefusedAndGivenOut, kAlice, 3);
    send(world, kSettled + seconds(9), kAlice, 2, 1);
    send(world, kSettled + seconds(12), kAlice, 2, 4);
  });
  EXPECT_EQ(told(Lie::kRefusedAndGivenOut), 6U);
  EXPECT_EQ(shown_by(kBob), 8U) << "three gave their places";
}

TEST_F(LyingServer, NamesNobodyWhereListsAreAskedFor) {
  options_.network.latency_min = options_.network.latency_mean = std::chrono::microseconds(500);
  play_and_plant(Bug::kUnnamedAskedForAtOnce, "S14", [this](World& world) {
    lie(world, kSettled, Lie::kNobodysLists);
    send(world, kSettled + seconds(1), kAlice, 2, 2);
    stop(world, kSettled + seconds(30));
  });
  EXPECT_GE(told(Lie::kNobodysLists), 4U);
  EXPECT_LE(told(Lie::kNobodysLists), 10U);
  EXPECT_GE(shown_by(kBob), 2U);
}

// A refusal with a forged list of each has Alice ask for Bob's.
TEST_F(LyingServer, ShowsAnotherIdentityInEachAnswer) {
  options_.network.latency_min = options_.network.latency_mean = std::chrono::microseconds(500);
  play_and_plant(Bug::kIdentitiesAskedForAtOnce, "S14", [this](World& world) {
    talk(world, kSettled);
    lie(world, kSettled + seconds(8), Lie::kEndlessRefusal, kAlice, 1);
    lie(world, kSettled + seconds(8), Lie::kForgedLists, kAlice, 2);
    lie(world, kSettled + seconds(8), Lie::kIdentityInEachAnswer, kAlice, 400);
    send(world, kSettled + seconds(9), kAlice, 2, 2);
    stop(world, kSettled + seconds(40));
  });
  EXPECT_GE(told(Lie::kIdentityInEachAnswer), 3U);
  EXPECT_LE(told(Lie::kIdentityInEachAnswer), 10U);
}

TEST_F(LyingServer, SaysThatItHasNoPrekeysLeft) {
  EncryptionState state{};
  const auto script = [&](World& world) {
    lie(world, seconds(1), Lie::kNoPrekeysLeft);
    talk(world, kSettled);
    at(world, kSettled, [&state](World& now) { state = now.device(kAlice)->encryption_state(); });
  };
  play(script);
  EXPECT_EQ(state, EncryptionState::kReady);
  EXPECT_GE(told(Lie::kNoPrekeysLeft), 4U);
  EXPECT_LE(told(Lie::kNoPrekeysLeft), 40U) << "each refill is an answer that says so again";
  if (!kHasFaultPoints) return;
  plant(Bug::kRefilledWithoutPause, script);
  EXPECT_NE(state, EncryptionState::kReady) << "it goes on making them";
}

TEST_F(LyingServer, SaysThatItHoldsOtherKeys) {
  const auto script = [this](World& world) {
    lie(world, seconds(1), Lie::kWrongDigest);
    talk(world, kSettled);
  };
  play(script);
  EXPECT_GE(told(Lie::kWrongDigest), 2U);
  EXPECT_LE(told(Lie::kWrongDigest), 10U);
  plant(Bug::kDigestWithoutPause, "S14", script);
}

}  // namespace
}  // namespace chatsdk::sim
