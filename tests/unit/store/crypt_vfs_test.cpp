// SPDX-License-Identifier: Apache-2.0
//
// The encrypting VFS when nothing is wrong: it is SQLite, several connections share a store, and nothing readable
// reaches a file. What happens to damaged files is in crypt_damage_test.cpp.
#include "store/crypt_vfs.h"

#include <sqlite3.h>
#include <sys/wait.h>

#include <set>

#include "base/bytes.h"
#include "store/crypt_layout.h"
#include "store/store_lock.h"
#include "unit/store/crypt_fixture.h"

namespace chatsdk {
namespace {

using CryptVfsFiles = CryptStoreTest;

TEST_F(CryptVfsFiles, RowsComeBackAfterReopening) {
  make_store("a.db", 300);

  auto db = open();

  EXPECT_EQ(count_right_rows(db).value(), 300);
  EXPECT_TRUE(db.integrity_check().ok());
}

TEST_F(CryptVfsFiles, RowsComeBackFromTheLog) {
  auto writer = open();
  ASSERT_TRUE(writer.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, body TEXT)").ok());
  insert(writer, 1, 50);

  auto reader = open();

  EXPECT_EQ(count_right_rows(reader).value(), 50);
  EXPECT_GT(std::filesystem::file_size(wal()), 0u);
}

TEST_F(CryptVfsFiles, EveryPageKeepsRoomForTagAndNonce) {
  make_store("a.db", 10);
  auto db = open();

  EXPECT_EQ(integer(db, "PRAGMA page_size"), 4096);
  const std::string raw = read_file(path());
  EXPECT_EQ((raw.size() - kPreludeBytes) % kStorePageBytes, 0u);
  EXPECT_EQ(integer(db, "PRAGMA page_count"),
            static_cast<std::int64_t>((raw.size() - kPreludeBytes) / kStorePageBytes));
}

TEST_F(CryptVfsFiles, NoFileHoldsReadableText) {
  const std::string canary = "canary-" + std::to_string(random_.next_u64());
  auto db = open();
  auto mode = db.prepare("PRAGMA journal_mode = DELETE");
  ASSERT_TRUE(mode->run().ok());
  mode = sqlite::Statement();
  ASSERT_TRUE(db.execute("CREATE TABLE canary_table(body TEXT); CREATE INDEX canary_index ON canary_table(body)").ok());
  auto insert_one = db.prepare("INSERT INTO canary_table VALUES (?1)");
  ASSERT_TRUE(insert_one->bind_text(1, canary).run().ok());
  EXPECT_FALSE(found_in_any_file("canary"));

  // In the rollback journal: the page as it was before a change that is not committed and does not fit the cache.
  ASSERT_TRUE(db.execute("PRAGMA cache_size = 2; PRAGMA cache_spill = ON; BEGIN IMMEDIATE;"
                         "UPDATE canary_table SET body = body || 'x';"
                         "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500)"
                         "INSERT INTO canary_table SELECT hex(randomblob(50)) FROM n")
                  .ok());
  ASSERT_GT(std::filesystem::file_size(directory_ / "a.db-journal"), 4096u);
  EXPECT_FALSE(found_in_any_file("canary"));
  ASSERT_TRUE(db.execute("ROLLBACK").ok());
  EXPECT_TRUE(db.integrity_check().ok());

  // In the log, and after it went into the main file.
  insert_one = sqlite::Statement();
  ASSERT_TRUE(sqlite::apply_standard_pragmas(db).ok());
  insert_one = db.prepare("INSERT INTO canary_table VALUES (?1)");
  ASSERT_TRUE(insert_one->bind_text(1, canary + "2").run().ok());
  ASSERT_GT(std::filesystem::file_size(wal()), 4096u);
  EXPECT_FALSE(found_in_any_file("canary"));
  EXPECT_FALSE(found_in_any_file("SQLite format"));
  ASSERT_TRUE(db.checkpoint(sqlite::CheckpointMode::kTruncate).ok());
  EXPECT_FALSE(found_in_any_file("canary"));
  EXPECT_FALSE(found_in_any_file("SQLite format"));
  EXPECT_EQ(integer(db, "SELECT count(*) FROM canary_table"), 2);
}

TEST_F(CryptVfsFiles, TheLogShowsNoHeaderOfSqlites) {
  auto db = open();
  ASSERT_TRUE(db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, body TEXT)").ok());
  insert(db, 1, 50);

  // The magic numbers of a log with either order of checksums, and a page size that each header would repeat.
  const std::string raw = read_file(wal());
  EXPECT_EQ(raw.find(std::string("\x37\x7f\x06\x82", 4)), std::string::npos);
  EXPECT_EQ(raw.find(std::string("\x37\x7f\x06\x83", 4)), std::string::npos);
  EXPECT_EQ(raw.find(std::string("\x00\x00\x10\x00", 4)), std::string::npos);
}

TEST_F(CryptVfsFiles, EqualPagesAreSealedDifferently) {
  make_store("a.db", 1);
  auto db = open();
  ASSERT_TRUE(db.execute("CREATE TABLE z(b BLOB); INSERT INTO z VALUES (zeroblob(40000))").ok());
  ASSERT_TRUE(db.close().ok());

  const std::string raw = read_file(path());
  std::set<std::string> pages;
  for (std::size_t at = kPreludeBytes; at < raw.size(); at += kStorePageBytes) pages.insert(raw.substr(at, 64));
  EXPECT_EQ(pages.size(), (raw.size() - kPreludeBytes) / kStorePageBytes);
}

TEST_F(CryptVfsFiles, NoIndexFileIsMade) {
  auto db = open();
  ASSERT_TRUE(db.execute("CREATE TABLE t(a)").ok());

  std::set<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(directory_)) names.insert(entry.path().filename());
  EXPECT_EQ(names, (std::set<std::string>{"a.db", "a.db-wal"}));
}

TEST_F(CryptVfsFiles, NothingIsOpenAfterClosing) {
  const auto open_in_directory = [&] {
    int count = 0;
    for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
      std::error_code ignored;
      const auto target = std::filesystem::read_symlink(entry.path(), ignored).string();
      if (target.find(directory_.string()) == 0) ++count;
    }
    return count;
  };
  auto lock = StoreLock::acquire(path());
  ASSERT_TRUE(lock.ok());
  auto first = open();
  auto second = open();
  ASSERT_TRUE(first.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, body TEXT)").ok());
  insert(first, 1, 10);
  ASSERT_GE(open_in_directory(), 3);

  ASSERT_TRUE(first.close().ok());
  ASSERT_TRUE(second.close().ok());
  lock->release();

  EXPECT_EQ(open_in_directory(), 0);
}

TEST_F(CryptVfsFiles, OpeningTwiceThroughALinkIsOneStore) {
  make_store("a.db", 5);
  std::filesystem::create_symlink(path(), path("b.db"));
  auto first = open();
  auto second = open("b.db");

  auto transaction = sqlite::Transaction::begin(first);
  ASSERT_TRUE(transaction.ok());
  EXPECT_TRUE(second.execute("PRAGMA busy_timeout = 0").ok());
  EXPECT_EQ(sqlite::Transaction::begin(second).code(), Code::kBusy);
}

TEST_F(CryptVfsFiles, AReaderKeepsItsSnapshotWhileAWriterCommits) {
  make_store("a.db", 5);
  auto writer = open();
  auto reader = open();
  auto snapshot = sqlite::Transaction::begin(reader, sqlite::Transaction::Kind::kRead);
  ASSERT_EQ(count_right_rows(reader).value(), 5);

  insert(writer, 6, 10);
  ASSERT_TRUE(writer.execute("PRAGMA busy_timeout = 0").ok());

  EXPECT_EQ(count_right_rows(reader).value(), 5);
  EXPECT_EQ(writer.checkpoint(sqlite::CheckpointMode::kTruncate).code(), Code::kBusy);
  snapshot->rollback();
  EXPECT_EQ(count_right_rows(reader).value(), 10);
}

TEST_F(CryptVfsFiles, VacuumAndGrowthAndShrinkingHold) {
  make_store("a.db", 200);
  auto db = open();

  ASSERT_TRUE(db.execute("DELETE FROM t WHERE id > 20; VACUUM").ok());
  ASSERT_TRUE(db.checkpoint(sqlite::CheckpointMode::kTruncate).ok());
  const auto small = std::filesystem::file_size(path());
  insert(db, 21, 400);
  ASSERT_TRUE(db.checkpoint(sqlite::CheckpointMode::kTruncate).ok());

  EXPECT_GT(std::filesystem::file_size(path()), small);
  EXPECT_EQ(count_right_rows(db).value(), 400);
  EXPECT_TRUE(db.integrity_check().ok());
}

TEST_F(CryptVfsFiles, IncrementalVacuumCanBeChosen) {
  make_store("a.db", 200);
  auto db = open();
  ASSERT_TRUE(db.execute("PRAGMA auto_vacuum = INCREMENTAL; VACUUM").ok());
  ASSERT_TRUE(db.execute("DELETE FROM t WHERE id > 20; PRAGMA incremental_vacuum").ok());
  ASSERT_TRUE(db.close().ok());

  db = open();
  EXPECT_EQ(integer(db, "PRAGMA auto_vacuum"), 2);
  EXPECT_EQ(integer(db, "PRAGMA freelist_count"), 0);
  EXPECT_EQ(count_right_rows(db).value(), 20);
  EXPECT_TRUE(db.integrity_check().ok());
}

TEST_F(CryptVfsFiles, RollbackJournalsWork) {
  make_store("a.db", 50);
  for (const char* mode : {"DELETE", "TRUNCATE", "PERSIST", "MEMORY"}) {
    auto db = open();
    ASSERT_TRUE(db.execute((std::string("PRAGMA journal_mode = ") + mode).c_str()).ok());
    ASSERT_TRUE(db.execute("PRAGMA cache_size = 2; BEGIN; UPDATE t SET body = 'x' || body; ROLLBACK").ok()) << mode;
    EXPECT_EQ(count_right_rows(db).value(), 50) << mode;
    ASSERT_TRUE(db.execute("BEGIN; UPDATE t SET body = 'x' || body; COMMIT").ok()) << mode;
    ASSERT_TRUE(db.execute("UPDATE t SET body = substr(body, 2)").ok()) << mode;
    EXPECT_EQ(count_right_rows(db).value(), 50) << mode;
    EXPECT_TRUE(db.integrity_check().ok()) << mode;
  }
}

TEST_F(CryptVfsFiles, SavepointsRewriteFramesOfTheLog) {
  make_store("a.db", 100);
  auto db = open();

  // A cache of two pages writes frames before the commit and writes the same pages again.
  ASSERT_TRUE(db.execute("PRAGMA cache_size = 2; BEGIN; UPDATE t SET body = 'x' || body; SAVEPOINT s;"
                         "UPDATE t SET body = 'y' || body; ROLLBACK TO s; UPDATE t SET body = substr(body, 2); COMMIT")
                  .ok());

  EXPECT_EQ(count_right_rows(db).value(), 100);
  std::filesystem::create_directory(directory_ / "copy");
  std::filesystem::copy(path(), directory_ / "copy/a.db");
  std::filesystem::copy(wal(), directory_ / "copy/a.db-wal");
  auto recovered = open("copy/a.db");
  EXPECT_EQ(count_right_rows(recovered).value(), 100);
  EXPECT_TRUE(recovered.integrity_check().ok());
}

TEST_F(CryptVfsFiles, BehavesAsPlainSqlite) {
  auto sealed = open();
  auto plain = sqlite::Database::open(path("plain.db"));
  ASSERT_TRUE(plain.ok());
  SeededRandom random(99);
  const auto both = [&](const std::string& sql) {
    const Status left = sealed.execute(sql.c_str());
    const Status right = plain->execute(sql.c_str());
    ASSERT_EQ(left.code(), right.code()) << sql;
  };
  const auto content = [](sqlite::Database& db) {
    std::string all;
    auto rows = db.prepare("SELECT id || ':' || quote(body) || ';' FROM t ORDER BY id");
    while (rows->step().value()) all += rows->text(0);
    return all;
  };
  ASSERT_TRUE(sealed.execute("PRAGMA synchronous = OFF; PRAGMA cache_size = 4; PRAGMA wal_autocheckpoint = 30").ok());
  ASSERT_TRUE(plain->execute("PRAGMA synchronous = OFF").ok());
  both("CREATE TABLE t(id INTEGER PRIMARY KEY, body BLOB); CREATE INDEX i ON t(body)");

  for (int step = 0; step < 600; ++step) {
    const std::string id = std::to_string(random.below(60));
    switch (random.below(10)) {
      case 0:
      case 1:
      case 2:
      case 3: {
        const std::string blob = to_hex(random.bytes(random.below(random.below(8) == 0 ? 9000 : 300)));
        both("INSERT OR REPLACE INTO t VALUES (" + id + ", x'" + blob + "')");
        break;
      }
      case 4:
        both("DELETE FROM t WHERE id = " + id);
        break;
      case 5:
        both("UPDATE t SET body = body || body WHERE id = " + id + " AND length(body) < 20000");
        break;
      case 6:
        both("BEGIN");
        break;
      case 7:
        both("COMMIT");
        break;
      case 8:
        both("ROLLBACK");
        break;
      case 9:
        if (sealed.in_transaction() || random.below(5) != 0) break;
        if (random.below(3) == 0) both("VACUUM");
        sealed = sqlite::Database();
        sealed = open();
        ASSERT_TRUE(sealed.execute("PRAGMA synchronous = OFF; PRAGMA cache_size = 4").ok());
        break;
    }
    if (step % 50 == 0) {
      ASSERT_EQ(content(sealed), content(*plain)) << "step " << step;
    }
  }

  EXPECT_EQ(content(sealed), content(*plain));
  EXPECT_TRUE(sealed.integrity_check().ok());
}

TEST_F(CryptVfsFiles, CheckFileTellsWhatIsThere) {
  EXPECT_EQ(vfs_->check_file(path()).code(), Code::kNotFound);
  write_file(path("empty"), "");
  EXPECT_EQ(vfs_->check_file(path("empty")).code(), Code::kNotFound);
  make_store("a.db", 5);
  EXPECT_TRUE(vfs_->check_file(path()).ok());
  EXPECT_EQ(make_vfs(test_key('x'))->check_file(path()).code(), Code::kWrongKey);
  ASSERT_TRUE(sqlite::Database::open(path("plain.db"))->execute("CREATE TABLE t(a)").ok());
  EXPECT_EQ(vfs_->check_file(path("plain.db")).code(), Code::kCorrupt);
}

TEST_F(CryptVfsFiles, AnUnknownBaseIsRefused) {
  const StoreKey key = test_key();
  EXPECT_EQ(CryptVfs::create({"no such vfs", key, random_}).code(), Code::kInvalidArgument);
}

// ---- StoreLock -----------------------------------------------------------------------------------------------------

using StoreLockFile = CryptStoreTest;

TEST_F(StoreLockFile, ASecondProcessFindsTheStoreInUse) {
  auto lock = StoreLock::acquire(path());
  ASSERT_TRUE(lock.ok());
  const auto code_in_child = [&] {
    const pid_t child = ::fork();
    if (child == 0) {
      const Code code = StoreLock::acquire(path()).code();
      ::_exit(code == Code::kOk ? 0 : code == Code::kStoreInUse ? 1 : 2);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    return WEXITSTATUS(status);
  };

  EXPECT_EQ(code_in_child(), 1);
  lock->release();
  EXPECT_EQ(code_in_child(), 0);
}

TEST_F(StoreLockFile, ASecondOwnerInTheProcessFindsTheStoreInUse) {
  auto lock = StoreLock::acquire(path());
  ASSERT_TRUE(lock.ok());

  EXPECT_EQ(StoreLock::acquire(path()).code(), Code::kStoreInUse);
  lock->release();
  EXPECT_FALSE(lock->held());
  EXPECT_TRUE(StoreLock::acquire(path()).ok());
}

TEST_F(StoreLockFile, ALinkToTheStoreLeadsToTheSameLock) {
  std::filesystem::create_symlink(path(), directory_ / "alias.db");
  auto lock = StoreLock::acquire(path());
  ASSERT_TRUE(lock.ok());

  EXPECT_EQ(StoreLock::acquire(directory_ / "alias.db").code(), Code::kStoreInUse);
  lock->release();
  EXPECT_TRUE(StoreLock::acquire(directory_ / "alias.db").ok());
  EXPECT_FALSE(std::filesystem::exists(directory_ / "alias.db-lock"));
}

TEST_F(StoreLockFile, ReadOnlyAndMissingDirectoriesAreErrors) {
  EXPECT_EQ(StoreLock::acquire(directory_ / "no/such/a.db").code(), Code::kStorage);
  EXPECT_EQ(StoreLock::acquire(path(), "no such vfs").code(), Code::kInvalidArgument);
}

// ---- Layouts -------------------------------------------------------------------------------------------------------

TEST(WalLayout, CountsWholeFramesOnly) {
  EXPECT_EQ(WalLayout::logical_size(0), 0);
  EXPECT_EQ(WalLayout::logical_size(71), 0);
  EXPECT_EQ(WalLayout::logical_size(72), 32);
  EXPECT_EQ(WalLayout::logical_size(72 + 4159), 32);
  EXPECT_EQ(WalLayout::logical_size(72 + 4160), 32 + 4120);
  EXPECT_EQ(WalLayout::logical_size(72 + 9 * 4160), 32 + 9 * 4120);
}

TEST(WalLayout, KeepsAtLeastWhatWasAskedFor) {
  EXPECT_EQ(WalLayout::physical_size(0), 0);
  EXPECT_EQ(WalLayout::physical_size(1), 72);
  EXPECT_EQ(WalLayout::physical_size(32), 72);
  EXPECT_EQ(WalLayout::physical_size(33), 72 + 4160);
  EXPECT_EQ(WalLayout::physical_size(32 + 4120), 72 + 4160);
  EXPECT_EQ(WalLayout::physical_size(32 + 4121), 72 + 2 * 4160);
}

TEST(JournalLayout, CountsWholeBlocksOnly) {
  EXPECT_EQ(JournalLayout::logical_size(551), 0);
  EXPECT_EQ(JournalLayout::logical_size(552), 512);
  EXPECT_EQ(JournalLayout::physical_size(0), 0);
  EXPECT_EQ(JournalLayout::physical_size(1), 552);
  EXPECT_EQ(JournalLayout::physical_size(512), 552);
  EXPECT_EQ(JournalLayout::physical_size(513), 2 * 552);
}

}  // namespace
}  // namespace chatsdk
