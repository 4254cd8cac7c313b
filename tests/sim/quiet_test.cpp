// SPDX-License-Identifier: Apache-2.0
//
// Whole runs that show what one demands and tells: a world that has come to rest sends nothing more, of what could not
// be read nothing is said, a device is served on its newest connection, and a finding comes with the events of its
// conversation.
//
// Threads: one; each run is a process of its own.
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <string>
#include <utility>

#include "sim/child.h"
#include "sim/scripted.h"
#include "sim/world.h"

namespace chatsdk::sim {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

RunResult run_with(const std::function<void(World&)>& script, const RunOptions& options = scripted_options()) {
  return run_in_child([&] { return run(options, {.log = false, .script = script}); });
}

TEST(Quiet, IsAWorldInWhichNobodyActs) {
  const RunResult result = run_with([](World&) {});
  EXPECT_TRUE(result.ok()) << to_line(result.violations.front());
}

// Seed 20001060: who was cut off right before the end found it out after the app's own limit, and a probe had that.
TEST(Quiet, IsAWorldWhoseDevicesFindOutLateThatTheyWereCutOff) {
  RunOptions options = scripted_options();
  options.users = 4;
  options.devices_per_user = 2;
  options.all_start_again = false;
  options.send_time_limit = seconds(1);
  const RunResult result = run_with(
      [](World& world) {
        world.scheduler().after(milliseconds(19'990), [&world] {
          for (const DeviceNode* device : world.devices()) world.network().cut(device->number());
        });
      },
      options);
  EXPECT_TRUE(result.ok()) << to_line(result.violations.front());
}

// Seed 24003801: two first messages at once, and an inbox for one hint. A device is told of its conversation by the
// next digest only, and what its app has marked as read before then is nothing that it could have shown.
TEST(Quiet, IsNotAWorldInWhichADeviceHasNotHeardOfItsConversation) {
  RunOptions options = draw_plain_options(24003801);
  options.devices_per_user = 1;
  options.duration = seconds(10);
  options.actions = options.faults = 0;
  options.fault_points = false;
  const RunResult result = run_with([](World&) {}, options);
  EXPECT_TRUE(result.ok()) << to_line(result.violations.front());
}

// Devices that were greeted by a clock that is set right afterwards renew their tokens when these need it.
TEST(Quiet, IsAWorldWhoseServersClockWasSetWhileDevicesWereConnected) {
  for (const auto wrong : {-seconds(100), seconds(100)}) {
    SCOPED_TRACE(wrong.count());
    RunOptions options = scripted_options();
    options.duration = seconds(30);
    options.all_start_again = false;
    options.server.access_token_lifetime = seconds(75);
    const RunResult result = run_with([wrong](World& world) { world.server().clock().jump_wall(wrong); }, options);
    EXPECT_TRUE(result.ok()) << to_line(result.violations.front());
  }
}

// Every message is delivered and settled long before the next: the stores agree whenever they are looked at.
TEST(Quiet, IsNotAWorldInWhichADeviceGoesOnSending) {
  const RunResult result = run_with([](World& world) {
    for (int i = 0; i < 60; ++i) {
      world.scheduler().after(milliseconds(10'500) + i * seconds(5), [&world] {
        if (DeviceNode* const device = world.device(1)) device->send(2, 30, std::nullopt);
      });
    }
  });
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.violations.front().property, "L4");
  EXPECT_NE(result.violations.front().message.find("is not quiet"), std::string::npos)
      << result.violations.front().message;
}

// A sync is judged by the server's read marks as they are right then, or not by them. Every twenty seconds all stores
// are read: what a device has is known from then on.
TEST(Syncs, AreNotJudgedByMarksThatTheServersDiskDidNotLetBeRead) {
  RunOptions options = scripted_options();
  options.duration = seconds(40);
  const auto script = [](World& world) {
    const auto at = [&world](seconds time, std::function<void()> act) {
      world.scheduler().after(time, std::move(act));
    };
    at(seconds(5), [&world] { world.device(1)->send(2, 30, std::nullopt); });
    at(seconds(25), [&world] { world.device(2)->read(1); });
    at(seconds(30), [&world] {
      DiskFault busy;
      busy.op = DiskOp::kLock;
      busy.failure = DiskFailure::kBusy;
      busy.from_then_on = true;
      world.server().disk().arm(busy);
      world.device(2)->sync(seconds(1));
    });
    at(seconds(31), [&world] {
      world.count_faults();
      world.server().disk().clear_faults();
    });
  };
  const RunResult result = run_with(script, options);
  EXPECT_TRUE(result.ok()) << to_line(result.violations.front());
  EXPECT_EQ(result.faults.at("server_disk_busy"), 1u);
}

// Seed 21000576: the disk failed under a retry that the app was told of as failed, and the next process found it done.
TEST(Retries, ThatFailedInTheirCommitMayBeFoundDone) {
  RunOptions options = scripted_options();
  options.duration = seconds(80);
  const auto script = [](World& world) {
    const auto at = [&world](seconds time, std::function<void()> act) {
      world.scheduler().after(time, std::move(act));
    };
    at(seconds(6), [&world] { world.network().isolate(1); });
    at(seconds(50), [&world] { world.device(1)->send(2, 30, seconds(1)); });
    at(seconds(55), [&world] {
      DiskFault sync;
      sync.op = DiskOp::kSync;
      world.device(1)->disk().arm(sync);
      world.device(1)->retry_failed(0);
    });
    at(seconds(56), [&world] {
      world.count_faults();
      world.device(1)->disk().clear_faults();
      world.crash_device(*world.device(1), CrashMode::kProcessOnly, seconds(1));
    });
    at(seconds(65), [&world] { world.network().end_isolation(1); });
  };
  const RunResult result = run_with(script, options);
  EXPECT_TRUE(result.ok()) << to_line(result.violations.front());
  EXPECT_EQ(result.faults.at("device_sync_failed"), 1u);
}

// What a device has said on a connection arrives once it has another one: the server takes nothing of it.
TEST(Connections, AreServedOnlyWhereNoNewerOneReplacedThem) {
  const auto script = [](World& world) {
    const auto at = [&world](seconds time, std::function<void()> act) {
      world.scheduler().after(time, std::move(act));
    };
    at(seconds(8), [&world] { world.network().clog(1, true, false, seconds(5)); });
    at(seconds(9), [&world] { world.device(1)->send(2, 30, std::nullopt); });
    at(seconds(10), [&world] { world.device(1)->restart_client(); });
  };
  RunOptions options = scripted_options();
  options.duration = seconds(40);
  const RunResult sound = run_with(script, options);
  EXPECT_TRUE(sound.ok()) << to_line(sound.violations.front());
  EXPECT_EQ(sound.faults.count("late_frame_of_old_connection"), 1u);

  if constexpr (!kHasFaultPoints) return;
  options.planted = Bug::kP10OldConnectionAccepted;
  const RunResult broken = run_with(script, options);
  ASSERT_FALSE(broken.ok());
  EXPECT_EQ(broken.violations.front().property, "connections") << broken.violations.front().message;
}

// What a server remembers of its store is held to its limits, each by itself.
TEST(Caches, OfTheServersStoreAreFoundAboveTheirLimits) {
  if constexpr (!kHasFaultPoints) return;
  const auto found = [](std::size_t streams_max, std::size_t sessions_max, Bug planted) {
    RunOptions options = scripted_options();
    options.server.cached_streams_max = streams_max;
    options.server.cached_sessions_max = sessions_max;
    options.planted = planted;
    const RunResult result = run_with(
        [](World& world) {
          for (const NodeId device : {NodeId{1}, NodeId{2}}) {
            world.scheduler().after(seconds(8),
                                    [&world, device] { world.device(device)->send(3 - device, 30, std::nullopt); });
          }
        },
        options);
    return result.ok() ? "nothing" : result.violations.front().property + ": " + result.violations.front().message;
  };
  constexpr std::size_t kMany = limits::kCachedStreamsMax;
  EXPECT_EQ(found(1, 1, Bug::kNone), "nothing");
  EXPECT_EQ(found(1, kMany, Bug::kCachesWithoutLimit), "S14: streams cached by the store of node 0 is 2, limit 1");
  EXPECT_EQ(found(kMany, 1, Bug::kCachesWithoutLimit), "S14: sessions cached by the store of node 0 is 2, limit 1");
}

// What the world finds by itself is shown with what happened in the conversation that it is about, if there is one.
TEST(Findings, ComeWithTheEventsOfTheirConversation) {
  const auto tail_of = [](bool of_one) {
    RunOptions options = scripted_options();
    options.users = 3;
    const RunResult result = run_with(
        [of_one](World& world) {
          world.scheduler().after(seconds(8), [&world] {
            world.device(1)->send(2, 30, std::nullopt);
            world.device(1)->send(3, 30, std::nullopt);
          });
          world.scheduler().after(seconds(15), [&world, of_one] {
            const ConversationNumber first = world.observer().conversation(1, 2);
            world.violation("told", Finding("Made up.", of_one ? first : kNoConversation));
          });
        },
        options);
    const auto lines_of = [&result](const char* field) {
      return std::count_if(result.tail.begin(), result.tail.end(),
                           [field](const std::string& line) { return line.find(field) != line.npos; });
    };
    return std::pair(lines_of(" conversation=1 "), lines_of(" conversation=2 "));
  };
  const auto [first, other] = tail_of(true);
  EXPECT_GT(first, 0);
  EXPECT_EQ(other, 0);
  const auto [first_of_all, other_of_all] = tail_of(false);
  EXPECT_GT(first_of_all, 0);
  EXPECT_GT(other_of_all, 0);
}

}  // namespace
}  // namespace chatsdk::sim
