// SPDX-License-Identifier: Apache-2.0
//
// The rules of the SQLite wrapper: binding, stepping, transactions that cannot be forgotten, and the mapping of errors.
#include "store/sqlite.h"

#include <gtest/gtest.h>
#include <sqlite3.h>
#include <unistd.h>

#include <filesystem>
#include <string>

namespace chatsdk::sqlite {
namespace {

class SqliteTest : public ::testing::Test {
 protected:
  SqliteTest() {
    directory_ =
        std::filesystem::temp_directory_path() / ("chatsdk-sqlite-" + std::to_string(::getpid()) + "-" +
                                                  ::testing::UnitTest::GetInstance()->current_test_info()->name());
    std::filesystem::create_directories(directory_);
  }
  ~SqliteTest() override { std::filesystem::remove_all(directory_); }

  Database open(const OpenOptions& options = {}) {
    auto db = Database::open(path(), options);
    EXPECT_TRUE(db.ok());
    return std::move(db).value();
  }
  std::string path() const { return directory_ / "file.db"; }

  std::filesystem::path directory_;
};

std::int64_t count(Database& db, std::string_view sql) {
  auto statement = db.prepare(sql);
  EXPECT_TRUE(statement.ok());
  EXPECT_TRUE(statement->step_row().ok());
  return statement->integer(0);
}

using Sqlite = SqliteTest;

TEST_F(Sqlite, ReturnsWhatWasBound) {
  Database db = open();
  ASSERT_TRUE(db.execute("CREATE TABLE t(a, b, c, d, e)").ok());
  auto insert = db.prepare("INSERT INTO t VALUES (?1, ?2, ?3, ?4, ?5)");
  ASSERT_TRUE(insert.ok());

  ASSERT_TRUE(insert->bind(1, std::int64_t{-5})
                  .bind_text(2, "text")
                  .bind_blob(3, std::string_view("\0b", 2))
                  .bind(4, nullptr)
                  .bind_blob(5, std::string_view())
                  .run()
                  .ok());

  auto select = db.prepare("SELECT a, b, c, d, e, typeof(e) FROM t");
  ASSERT_TRUE(select->step_row().ok());
  EXPECT_EQ(select->integer(0), -5);
  EXPECT_EQ(select->text(1), "text");
  EXPECT_EQ(select->blob(2), std::string_view("\0b", 2));
  EXPECT_TRUE(select->is_null(3));
  EXPECT_EQ(select->blob(4), "");
  EXPECT_EQ(select->text(5), "blob");
}

TEST_F(Sqlite, AbsentOptionalIsNull) {
  Database db = open();

  auto select = db.prepare("SELECT ?1, ?2");
  ASSERT_TRUE(select->bind_or_null(1, std::optional<std::int64_t>())
                  .bind_text_or_null(2, std::optional<std::string>())
                  .step_row()
                  .ok());

  EXPECT_TRUE(select->is_null(0));
  EXPECT_TRUE(select->is_null(1));
}

TEST_F(Sqlite, ABindingErrorSurfacesAtTheNextStep) {
  Database db = open();
  auto select = db.prepare("SELECT ?1");

  EXPECT_EQ(select->bind(2, std::int64_t{1}).run().code(), Code::kInternal);

  EXPECT_TRUE(select->bind(1, std::int64_t{1}).run().ok());
}

TEST_F(Sqlite, AStatementIsExactlyOne) {
  Database db = open();

  EXPECT_EQ(db.prepare("SELECT 1; SELECT 2").code(), Code::kInternal);
  EXPECT_EQ(db.prepare("").code(), Code::kInternal);
  EXPECT_EQ(db.prepare("SELEKT 1").code(), Code::kInternal);
  EXPECT_TRUE(db.prepare("SELECT 1; ").ok());
}

TEST_F(Sqlite, ATransactionNotCommittedRollsBack) {
  Database db = open();
  ASSERT_TRUE(db.execute("CREATE TABLE t(a)").ok());
  {
    auto transaction = Transaction::begin(db);
    ASSERT_TRUE(transaction.ok());
    ASSERT_TRUE(db.execute("INSERT INTO t VALUES (1)").ok());
  }
  EXPECT_FALSE(db.in_transaction());
  EXPECT_EQ(count(db, "SELECT count(*) FROM t"), 0);

  auto transaction = Transaction::begin(db);
  ASSERT_TRUE(db.execute("INSERT INTO t VALUES (1)").ok());
  ASSERT_TRUE(transaction->commit().ok());
  EXPECT_EQ(transaction->commit().code(), Code::kWrongState);
  EXPECT_EQ(count(db, "SELECT count(*) FROM t"), 1);
}

TEST_F(Sqlite, ASecondWriterIsBusy) {
  Database first = open();
  ASSERT_TRUE(apply_standard_pragmas(first).ok());
  Database second = open();
  auto transaction = Transaction::begin(first);
  ASSERT_TRUE(transaction.ok());

  EXPECT_EQ(Transaction::begin(second).code(), Code::kBusy);
  EXPECT_TRUE(Transaction::begin(second, Transaction::Kind::kRead).ok());
}

TEST_F(Sqlite, ConstraintsHaveTheirOwnCodes) {
  Database db = open();
  ASSERT_TRUE(apply_standard_pragmas(db).ok());
  ASSERT_TRUE(db.execute("CREATE TABLE p(a PRIMARY KEY) WITHOUT ROWID;"
                         "CREATE TABLE c(a REFERENCES p(a), b INTEGER CHECK (b > 0));"
                         "INSERT INTO p VALUES (1)")
                  .ok());

  EXPECT_EQ(db.prepare("INSERT INTO p VALUES (1)")->run().code(), Code::kAlreadyExists);
  EXPECT_EQ(db.prepare("INSERT INTO c VALUES (2, 1)")->run().code(), Code::kNotFound);
  EXPECT_EQ(db.prepare("INSERT INTO c VALUES (1, 0)")->run().code(), Code::kInternal);
}

TEST_F(Sqlite, AReadOnlyConnectionRefusesWrites) {
  ASSERT_TRUE(open().execute("CREATE TABLE t(a)").ok());
  OpenOptions options;
  options.mode = OpenMode::kReadOnly;
  Database db = open(options);

  EXPECT_EQ(db.execute("INSERT INTO t VALUES (1)").code(), Code::kReadOnly);
}

TEST_F(Sqlite, AnAbsentFileIsNotMadeUnlessAsked) {
  OpenOptions options;
  options.mode = OpenMode::kReadWrite;

  EXPECT_EQ(Database::open(path(), options).code(), Code::kStorage);
  EXPECT_FALSE(std::filesystem::exists(path()));
}

TEST_F(Sqlite, AFileThatIsNoDatabaseIsCorrupt) {
  FILE* file = std::fopen(path().c_str(), "wb");
  ASSERT_NE(file, nullptr);
  const std::string junk(8192, 'x');
  std::fwrite(junk.data(), 1, junk.size(), file);
  std::fclose(file);
  Database db = open();

  EXPECT_EQ(db.execute("CREATE TABLE t(a)").code(), Code::kCorrupt);
}

TEST_F(Sqlite, AFullDatabaseIsStorageFull) {
  Database db = open();
  ASSERT_TRUE(db.execute("CREATE TABLE t(a); PRAGMA max_page_count = 3").ok());

  EXPECT_EQ(db.execute("INSERT INTO t VALUES (zeroblob(100000))").code(), Code::kStorageFull);
}

TEST_F(Sqlite, CloseIsRefusedWhileAStatementLives) {
  Database db = open();
  auto statement = db.prepare("SELECT 1");

  EXPECT_EQ(db.close().code(), Code::kBusy);
  statement = Statement();
  EXPECT_TRUE(db.close().ok());
}

TEST_F(Sqlite, UserVersionRoundTrips) {
  Database db = open();

  ASSERT_TRUE(db.set_user_version(17).ok());

  EXPECT_EQ(db.user_version().value(), 17);
}

TEST_F(Sqlite, StandardPragmasHold) {
  Database db = open();

  ASSERT_TRUE(apply_standard_pragmas(db).ok());

  EXPECT_EQ(count(db, "PRAGMA synchronous"), 2);
  EXPECT_EQ(count(db, "PRAGMA secure_delete"), 1);
  EXPECT_EQ(count(db, "PRAGMA temp_store"), 2);
  EXPECT_EQ(count(db, "PRAGMA foreign_keys"), 1);
  EXPECT_TRUE(db.integrity_check().ok());
  EXPECT_TRUE(db.quick_check().ok());
  EXPECT_TRUE(db.foreign_key_check().ok());
  EXPECT_TRUE(db.checkpoint(CheckpointMode::kTruncate).ok());
}

TEST(SqliteCode, EveryResultMapsToOneCode) {
  EXPECT_EQ(code_of(SQLITE_OK), Code::kOk);
  EXPECT_EQ(code_of(SQLITE_FULL), Code::kStorageFull);
  EXPECT_EQ(code_of(SQLITE_READONLY_DIRECTORY), Code::kReadOnly);
  EXPECT_EQ(code_of(SQLITE_CORRUPT_VTAB), Code::kCorrupt);
  EXPECT_EQ(code_of(SQLITE_NOTADB), Code::kCorrupt);
  EXPECT_EQ(code_of(SQLITE_IOERR_FSYNC), Code::kStorage);
  EXPECT_EQ(code_of(SQLITE_IOERR_NOMEM), Code::kNoMemory);
  EXPECT_EQ(code_of(SQLITE_IOERR_SHMSIZE), Code::kStorageFull);
  EXPECT_EQ(code_of(SQLITE_IOERR_DATA), Code::kTampered);
  EXPECT_EQ(code_of(SQLITE_IOERR_AUTH), Code::kWrongKey);
  EXPECT_EQ(code_of(SQLITE_NOMEM), Code::kNoMemory);
  EXPECT_EQ(code_of(SQLITE_BUSY_SNAPSHOT), Code::kBusy);
  EXPECT_EQ(code_of(SQLITE_TOOBIG), Code::kTooLarge);
  EXPECT_EQ(code_of(SQLITE_CANTOPEN), Code::kStorage);
  EXPECT_EQ(code_of(SQLITE_MISUSE), Code::kInternal);
}

}  // namespace
}  // namespace chatsdk::sqlite
