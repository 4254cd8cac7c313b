// SPDX-License-Identifier: Apache-2.0
//
// SQLite on the simulated disk: thousands of crashes at random operations, each followed by a new start on what is
// left. With the settings that promise it every commit that returned is there; with weaker ones the same test loses
// some, which shows that the disk is hard enough to tell.
#include <algorithm>

#include "sim/sim_disk_fixture.h"
#include "sim/sim_disk_lives.h"
#include "store/sqlite.h"

namespace chatsdk::sim {
namespace {

constexpr std::int64_t kRowsKept = 30;

// Rows of 20 to 6,000 bytes, so that some need overflow pages.
std::string body_of(std::int64_t id) {
  std::string body(static_cast<std::size_t>(20 + (id * 7'919) % (id % 9 == 0 ? 6'000 : 300)), ' ');
  for (std::size_t i = 0; i < body.size(); ++i) body[i] = static_cast<char>('a' + (id + static_cast<int>(i) * id) % 26);
  return body;
}

// A table whose rows are numbered from 1; each commit adds one to three and drops old ones.
class Numbers {
 public:
  Numbers(std::string journal, std::string synchronous, std::uint64_t seed)
      : pragmas_("PRAGMA journal_mode = " + journal + "; PRAGMA synchronous = " + synchronous +
                 "; PRAGMA wal_autocheckpoint = 12; PRAGMA cache_size = 8"),
        rig_(seed),
        lives_(rig_.disk, seed) {}

  // One life after the other until so many have ended in a crash.
  void run(int crashes, std::uint64_t life_points = 60) {
    for (int crash = 0; crash < crashes && !::testing::Test::HasFailure(); ++crash) {
      lives_.begin(1 + lives_.random().below(life_points));
      const Status ended = live();
      if (rig_.disk.powered()) {
        FAIL() << "life " << crash << ": " << (ended.ok() ? "ended by itself" : ended.error().detail);
      }
      lives_.end();
    }
  }

  std::uint64_t lost = 0;     // rows whose commit had returned
  std::uint64_t commits = 0;  // that returned
  const Lives& lives() const { return lives_; }

 private:
  Status live() {
    CHATSDK_ASSIGN(auto db, sqlite::Database::open("/db", {.vfs_name = kVfs}));
    CHATSDK_TRY(db.execute(pragmas_.c_str()));
    CHATSDK_TRY(
        db.execute("CREATE TABLE IF NOT EXISTS t(id INTEGER PRIMARY KEY, body TEXT NOT NULL);"
                   "CREATE INDEX IF NOT EXISTS t_body ON t(body)"));
    CHATSDK_TRY(look(db));
    for (;;) CHATSDK_TRY(commit(db));
  }

  Status look(sqlite::Database& db) {
    CHATSDK_TRY(db.integrity_check());
    CHATSDK_ASSIGN(auto select, db.prepare("SELECT id, body FROM t ORDER BY id"));
    std::int64_t last = 0, count = 0;
    for (;;) {
      CHATSDK_ASSIGN(const bool row, select.step());
      if (!row) break;
      if (last != 0 && select.integer(0) != last + 1) return error(Code::kCorrupt, "a row is missing");
      last = select.integer(0);
      ++count;
      if (select.text(1) != body_of(last)) return error(Code::kCorrupt, "a row is wrong");
    }
    if (count != std::min(last, kRowsKept)) return error(Code::kCorrupt, "the oldest rows are wrong");
    if (last > attempted_ || (last > acknowledged_ && last != seen_ && last != attempted_)) {
      return error(Code::kCorrupt, "a commit is there in part");
    }
    lost += static_cast<std::uint64_t>(std::max<std::int64_t>(0, acknowledged_ - last));
    acknowledged_ = std::min(acknowledged_, last);
    seen_ = attempted_ = last;
    return {};
  }

  Status commit(sqlite::Database& db) {
    CHATSDK_ASSIGN(auto transaction, sqlite::Transaction::begin(db));
    CHATSDK_ASSIGN(auto insert, db.prepare("INSERT INTO t VALUES (?1, ?2)"));
    const std::int64_t last = seen_ + 1 + static_cast<std::int64_t>(lives_.random().below(3));
    for (std::int64_t id = seen_ + 1; id <= last; ++id) {
      CHATSDK_TRY(insert.bind(1, id).bind_text(2, body_of(id)).run());
    }
    CHATSDK_ASSIGN(auto drop, db.prepare("DELETE FROM t WHERE id <= ?1"));
    CHATSDK_TRY(drop.bind(1, last - kRowsKept).run());
    attempted_ = last;
    CHATSDK_TRY(transaction.commit());
    acknowledged_ = seen_ = last;
    ++commits;
    return {};
  }

  std::string pragmas_;
  DiskRig rig_;
  Lives lives_;
  std::int64_t acknowledged_ = 0;  // the commit returned
  std::int64_t seen_ = 0;          // found by this life; a commit that a dead process did not sync may still vanish
  std::int64_t attempted_ = 0;
};

TEST(SimDiskSqlite, AWriteAheadLogWithFullSynchronousKeepsEveryCommit) {
  Numbers numbers("WAL", "FULL", 1);
  numbers.run(kCrashes, 100);
  EXPECT_EQ(numbers.lost, 0u);
  EXPECT_GT(numbers.commits, static_cast<std::uint64_t>(kCrashes));
  EXPECT_GT(numbers.lives().crashes_with_effect(), static_cast<std::uint64_t>(kCrashes) / 3);
}

TEST(SimDiskSqlite, ARollbackJournalWithExtraSynchronousKeepsEveryCommit) {
  Numbers numbers("DELETE", "EXTRA", 2);
  numbers.run(kCrashes, 300);
  EXPECT_EQ(numbers.lost, 0u);
  EXPECT_GT(numbers.commits, static_cast<std::uint64_t>(kCrashes));
}

TEST(SimDiskSqlite, APersistentOrTruncatedJournalWithFullSynchronousKeepsEveryCommit) {
  for (const char* journal : {"PERSIST", "TRUNCATE"}) {
    Numbers numbers(journal, "FULL", 3);
    numbers.run(kCrashes / 4, 300);
    EXPECT_EQ(numbers.lost, 0u) << journal;
  }
}

// FULL does not sync the directory after the journal was removed: the journal may come back and undo the last commit.
TEST(SimDiskSqlite, ARollbackJournalThatIsDeletedWithFullSynchronousMayLoseTheLastCommit) {
  Numbers numbers("DELETE", "FULL", 4);
  numbers.run(kCrashes, 300);
  EXPECT_GT(numbers.lost, 0u);
}

TEST(SimDiskSqlite, AWriteAheadLogWithNormalSynchronousLosesCommitsAndNothingElse) {
  Numbers numbers("WAL", "NORMAL", 5);
  numbers.run(kCrashes);
  EXPECT_GT(numbers.lost, static_cast<std::uint64_t>(kCrashes) / 40);
}

TEST(SimDiskSqlite, AConnectionReadsWhileAnotherWrites) {
  DiskRig rig;
  auto writer = sqlite::Database::open("/db", {.vfs_name = kVfs});
  ASSERT_TRUE(writer.ok());
  ASSERT_TRUE(sqlite::apply_standard_pragmas(*writer).ok());
  ASSERT_TRUE(writer->execute("CREATE TABLE t(x); INSERT INTO t VALUES (1)").ok());
  auto reader = sqlite::Database::open("/db", {.mode = sqlite::OpenMode::kReadOnly, .vfs_name = kVfs});
  ASSERT_TRUE(reader.ok());
  auto count = reader->prepare("SELECT count(*) FROM t");
  ASSERT_TRUE(count.ok()) << count.error().detail;
  const auto rows = [&] {
    EXPECT_TRUE(count->step_row().ok());
    const std::int64_t found = count->integer(0);
    count->reset();
    return found;
  };
  {
    auto snapshot = sqlite::Transaction::begin(*reader, sqlite::Transaction::Kind::kRead);
    ASSERT_TRUE(snapshot.ok());
    EXPECT_EQ(rows(), 1);
    ASSERT_TRUE(writer->execute("INSERT INTO t VALUES (2)").ok());
    EXPECT_EQ(writer->checkpoint(sqlite::CheckpointMode::kTruncate).code(), Code::kBusy);
    EXPECT_EQ(rows(), 1);
  }
  EXPECT_EQ(rows(), 2);
  EXPECT_TRUE(writer->checkpoint(sqlite::CheckpointMode::kTruncate).ok());
  auto second = sqlite::Database::open("/db", {.vfs_name = kVfs});
  ASSERT_TRUE(second.ok());
  auto writing = sqlite::Transaction::begin(*writer);
  ASSERT_TRUE(writing.ok());
  EXPECT_EQ(second->execute("BEGIN IMMEDIATE").code(), Code::kBusy);
}

TEST(SimDiskSqlite, TheSameSeedWritesTheSameBytes) {
  const auto run = [] {
    SimDisk::seed_sqlite(7);
    DiskRig rig(3);
    Lives lives(rig.disk, 3);
    for (int life = 0; life < 5; ++life) {
      lives.begin(60);
      auto db = sqlite::Database::open("/db", {.vfs_name = kVfs});
      EXPECT_TRUE(db.ok());
      Status going = sqlite::apply_standard_pragmas(*db);
      if (going.ok()) going = db->execute("CREATE TABLE IF NOT EXISTS t(x)");
      while (going.ok()) going = db->execute("INSERT INTO t VALUES (randomblob(300))");
      db = sqlite::Database();
      lives.end();
    }
    SimDisk::seed_sqlite(0);
    return rig.disk.snapshot();
  };
  const DiskImage first = run();
  EXPECT_TRUE(first.contains("/db"));
  EXPECT_EQ(first, run());
}

// Every read of a check in turn, once and from then on: a store that cannot be read now is not a damaged one.
TEST(SimDiskSqlite, ACheckThatCannotReadDoesNotTellOfDamage) {
  DiskRig rig;
  {
    auto db = sqlite::Database::open("/db", {.vfs_name = kVfs}).value();
    ASSERT_TRUE(db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, body TEXT NOT NULL)").ok());
    for (std::int64_t id = 1; id <= 200; ++id) {
      ASSERT_TRUE(db.execute(("INSERT INTO t(body) VALUES ('" + body_of(id) + "')").c_str()).ok());
    }
  }
  int failed = 0;
  for (std::uint64_t nth = 1; nth <= 40; ++nth) {
    for (const bool from_then_on : {false, true}) {
      auto db = sqlite::Database::open("/db", {.vfs_name = kVfs}).value();
      DiskFault fault;
      fault.op = DiskOp::kRead;
      fault.nth = nth;
      fault.from_then_on = from_then_on;
      rig.disk.arm(fault);
      const Status checked = db.quick_check();
      rig.disk.clear_faults();
      EXPECT_NE(checked.code(), Code::kCorrupt) << "read " << nth << ": " << checked.error().detail;
      failed += checked.ok() ? 0 : 1;
    }
  }
  EXPECT_GT(failed, 20);
}

// The pages are in the log, and the main file has none of them: that one being read well says nothing.
TEST(SimDiskSqlite, ACheckThatCannotReadTheLogDoesNotTellOfDamage) {
  DiskRig rig;
  auto db = sqlite::Database::open("/db", {.vfs_name = kVfs}).value();
  ASSERT_TRUE(sqlite::apply_standard_pragmas(db).ok());
  db.set_log_pages(0);
  ASSERT_TRUE(db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, body TEXT NOT NULL)").ok());
  for (std::int64_t id = 1; id <= 200; ++id) {
    ASSERT_TRUE(db.execute(("INSERT INTO t(body) VALUES ('" + body_of(id) + "')").c_str()).ok());
  }
  auto other = sqlite::Database::open("/db", {.vfs_name = kVfs}).value();
  ASSERT_TRUE(other.execute("SELECT 1 FROM t LIMIT 1").ok());
  DiskFault fault;
  fault.op = DiskOp::kRead;
  fault.from_then_on = true;
  fault.suffix = "-wal";
  rig.disk.arm(fault);
  const Status checked = other.quick_check();
  rig.disk.clear_faults();
  EXPECT_EQ(checked.code(), Code::kStorage) << checked.error().detail;
}

}  // namespace
}  // namespace chatsdk::sim
