// SPDX-License-Identifier: Apache-2.0
//
// What a run's end finds in the images that it leaves behind: damage that no statement of the run met.
//
// Threads: one; each run is a process of its own.
#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "sim/child.h"
#include "sim/scripted.h"
#include "sim/world.h"
#include "store/sqlite.h"

namespace chatsdk::sim {
namespace {

using std::chrono::seconds;

// altered: a middle that alters what is said, where nothing is demanded behind the heal but sound images.
RunResult run_with(bool altered, const std::function<void(World&)>& script, bool encrypted = false) {
  RunOptions options = scripted_options();
  options.encrypted = encrypted;
  options.hostile = options.network.alters_meaning = altered;
  return run_in_child([&] { return run(options, {.log = false, .script = script}); });
}

// Changes the server's file behind its back.
void in_servers_file(World& world, const char* sql) {
  auto db = sqlite::Database::open(
      ServerNode::kStorePath, {.mode = sqlite::OpenMode::kReadWrite, .vfs_name = world.server().disk().vfs_name()});
  ASSERT_TRUE(db.ok()) << db.error().detail;
  const Status done = db->execute(sql);
  ASSERT_TRUE(done.ok()) << done.error().detail;
}

void expect_broken_store(const RunResult& result, const std::string& words) {
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.violations.front().property, "store");
  EXPECT_NE(result.violations.front().message.find(words), std::string::npos) << result.violations.front().message;
}

TEST(Images, AreSoundInTheEnd) {
  for (const bool altered : {false, true}) {
    const RunResult result = run_with(altered, [](World&) {});
    EXPECT_TRUE(result.ok()) << to_line(result.violations.front());
  }
}

TEST(Images, AreNotWhereARowRefersToNothing) {
  for (const bool altered : {false, true}) {
    const RunResult result = run_with(altered, [](World& world) {
      world.scheduler().after(seconds(8), [&world] {
        in_servers_file(world,
                        "PRAGMA foreign_keys = OFF; CREATE TABLE a(id INTEGER PRIMARY KEY);"
                        "CREATE TABLE b(id INTEGER REFERENCES a(id)); INSERT INTO b VALUES (7)");
      });
    });
    expect_broken_store(result, "foreign key of table b");
  }
}

TEST(Images, AreNotWhereARowBreaksItsTable) {
  const RunResult result = run_with(true, [](World& world) {
    world.scheduler().after(seconds(8), [&world] {
      in_servers_file(world,
                      "CREATE TABLE a(id INTEGER PRIMARY KEY CHECK (id < 5)); PRAGMA ignore_check_constraints = ON;"
                      "INSERT INTO a VALUES (7)");
    });
  });
  expect_broken_store(result, "The image of the server");
}

TEST(Images, AreNotWhereAPageOfADeviceIsAnother) {
  const RunResult result = run_with(true, [](World& world) {
    world.scheduler().after(seconds(8), [&world] {
      DeviceNode* const device = world.device(1);
      world.close_device(*device, seconds(60));
      Bytes file = device->disk().contents(DeviceNode::kStorePath, DiskView::kDurable);
      file[file.size() - 1'000] ^= 1;
      device->disk().put(DeviceNode::kStorePath, file);
      world.check_images();
    });
  });
  expect_broken_store(result, "The image of device 1");
}

// ---- What the server's store does not let be read ------------------------------------------------------------------

// A message is sent, the server's file is changed, and all is read.
std::string found_in_server(const char* sql, bool encrypted = false) {
  const auto script = [sql](World& world) {
    world.scheduler().after(seconds(8), [&world] { world.device(1)->send(2, 30, std::nullopt); });
    world.scheduler().after(seconds(18), [&world, sql] {
      world.read_all_stores();
      in_servers_file(world, sql);
      world.read_all_stores();
    });
  };
  const RunResult result = run_with(false, script, encrypted);
  return result.ok() ? "nothing" : result.violations.front().property + ": " + result.violations.front().message;
}

TEST(ServersStreams, AreFoundToHoldWhatCannotBeParsed) {
  const std::string found = found_in_server("UPDATE item SET payload = x'ff' WHERE seq = 1");
  EXPECT_NE(found.find("cannot be parsed"), std::string::npos) << found;
  EXPECT_EQ(found.substr(0, 4), "S17:");
}

TEST(ServersStreams, AreFoundToLackTheirLastItem) {
  const std::string found = found_in_server("DELETE FROM item WHERE seq = 2");
  EXPECT_NE(found.find("has no item 2 below its head"), std::string::npos) << found;
  EXPECT_EQ(found.substr(0, 6), "store:");
}

TEST(ServersStreams, AreFoundToBeGone) {
  const std::string found = found_in_server("DELETE FROM member WHERE stream_id IN (SELECT stream_id FROM direct)");
  EXPECT_NE(found.find("which an account names, is not in the server's store"), std::string::npos) << found;
  EXPECT_EQ(found.substr(0, 4), "S17:");
}

TEST(ServersStreams, AreFoundToBeGoneWithTheirAccount) {
  EXPECT_EQ(found_in_server("DELETE FROM account WHERE user_id = 'user-2'"),
            "S6: The account of user 2, which the server's store held, is gone.");
}

TEST(ServersStreams, AreFoundNotToBeReadableThoughTheDiskDidNotFail) {
  const std::string found = found_in_server("ALTER TABLE account RENAME TO others");
  EXPECT_NE(found.find("The accounts cannot be read from the server's store, although its disk"), std::string::npos)
      << found;
  EXPECT_EQ(found.substr(0, 6), "store:");
}

TEST(ServersKeys, AreFoundAboveTheirLimits) {
  EXPECT_EQ(found_in_server("UPDATE device_keys SET one_time_left = 200, one_time_kem_left = 200", true), "nothing");
  EXPECT_EQ(found_in_server("UPDATE device_keys SET one_time_left = 201", true),
            "S14: one-time prekeys of a device of node 0 is 201, limit 200");
  EXPECT_EQ(found_in_server("UPDATE device_keys SET one_time_kem_left = 201", true),
            "S14: one-time KEM prekeys of a device of node 0 is 201, limit 200");
}

// ---- What fails without cause --------------------------------------------------------------------------------------

TEST(Failures, AreTheServersWhenItsDiskDidNotFail) {
  const RunResult result = run_with(false, [](World& world) {
    world.scheduler().after(seconds(8), [&world] { in_servers_file(world, "DROP TABLE dedup"); });
    world.scheduler().after(seconds(9), [&world] { world.device(1)->send(2, 30, std::nullopt); });
  });
  expect_broken_store(result, "The server's store failed, although its disk did not fail");
}

TEST(Failures, AreADevicesWhenItsDiskDidNotFail) {
  const RunResult result = run_with(true, [](World& world) {
    world.scheduler().after(seconds(8), [&world] {
      world.device(2)->on_ended_with("the connection", error(Code::kStorage, "a burst was not applied"));
    });
  });
  expect_broken_store(result, "Of device 2 the connection failed, although its disk did not fail: storage, a burst");
}

TEST(Failures, AreACallsWhichFailsForNoReasonOfTheUsers) {
  const RunResult result = run_with(false, [](World& world) {
    world.scheduler().after(seconds(8), [&world] {
      world.device(2)->on_ended_with("mark_read", error(Code::kInternal, "no such conversation"));
    });
  });
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.violations.front().property, "calls");
}

// Hears what the app of device 2 is told, when its disk fails at what is done.
std::string heard(const std::function<void(World&)>& done) {
  const RunResult result = run_with(true, [&done](World& world) {
    world.scheduler().after(seconds(8), [&world, &done] {
      world.device(2)->on_ended_with = [&world](const char* what, const Error& end) {
        if (is_of_store(end)) world.violation("heard", Finding(what));
      };
      DiskFault fault;
      fault.op = DiskOp::kWrite;
      fault.from_then_on = true;
      world.device(2)->disk().arm(fault);
      done(world);
    });
  });
  return result.ok() ? "nothing" : result.violations.front().property + ": " + result.violations.front().message;
}

TEST(Failures, OfADevicesStoreAreToldTheWorldWithTheirCause) {
  EXPECT_EQ(heard([](World& world) { world.device(1)->send(2, 30, std::nullopt); }), "heard: the connection");
  EXPECT_EQ(heard([](World& world) { world.device(2)->send(1, 30, std::nullopt); }), "heard: direct_conversation");
}

// The world looks at what a device stores in a turn of its own, and whoever is sent to the background in the next one
// is not seen in between.
TEST(Failures, OfReadingAreNotForgottenInTheBackground) {
  const RunResult result = run_with(false, [](World& world) {
    world.scheduler().after(seconds(8), [&world] { world.device(1)->send(2, 30, std::nullopt); });
    world.scheduler().after(seconds(9), [&world] {
      DeviceNode& device = *world.device(2);
      device.disk().arm(
          {.op = DiskOp::kRead, .nth = 1, .failure = DiskFailure::kIoError, .from_then_on = true, .suffix = ""});
      world.read_all_stores();
      if (!device.cannot_read()) world.violation("script", Finding("Nothing failed."));
      world.suspend_device(device, seconds(2));
      device.disk().clear_faults();
    });
  });
  EXPECT_TRUE(result.ok()) << to_line(result.violations.front());
}

}  // namespace
}  // namespace chatsdk::sim
