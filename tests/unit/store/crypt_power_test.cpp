// SPDX-License-Identifier: Apache-2.0
//
// The encrypted store against power cuts and failing disks. A workload of every journal mode runs once over a recording
// base VFS; then, for a cut behind every single change that it made to a file, the store must open, hold every commit
// that had returned, at most the one under way beside, and pass the integrity check. The same holds when any one call
// to the base VFS fails instead.
#include <optional>

#include "unit/store/crypt_fixture.h"
#include "unit/store/recording_vfs.h"

namespace chatsdk {
namespace {

class CryptVfsPower : public CryptStoreTest {
 protected:
  // How many rows had been committed for certain after so many changes.
  struct Mark {
    std::size_t changes;
    int rows;
  };

  struct Progress {
    std::vector<Mark> marks{{0, 0}};
    int attempted = 0;
    std::optional<Error> failure;
    int acknowledged() const { return marks.back().rows; }
  };

  Result<sqlite::Database> open_recorded() {
    CHATSDK_ASSIGN(auto db,
                   sqlite::Database::open(path("work.db"), {sqlite::OpenMode::kReadWriteCreate, vfs_->name(), {}}));
    CHATSDK_TRY(sqlite::apply_standard_pragmas(db));
    CHATSDK_TRY(db.execute("PRAGMA cache_size = 4"));
    return db;
  }

  // Commits rows up to `last` in one transaction that also changes all earlier ones twice, which fills the cache.
  Status commit(sqlite::Database& db, int last, Progress& progress) {
    const int first = progress.acknowledged() + 1;
    CHATSDK_ASSIGN(auto transaction, sqlite::Transaction::begin(db));
    CHATSDK_ASSIGN(auto insert, db.prepare("INSERT INTO t VALUES (?1, ?2)"));
    for (int id = first; id <= last; ++id) CHATSDK_TRY(insert.bind(1, id).bind_text(2, body(id)).run());
    insert = sqlite::Statement();
    CHATSDK_TRY(db.execute("UPDATE t SET body = 'x' || body; UPDATE t SET body = substr(body, 2)"));
    progress.attempted = last;
    CHATSDK_TRY(transaction.commit());
    progress.marks.push_back({recorder_.changes().size(), last});
    return {};
  }

  Status work(Progress& progress) {
    CHATSDK_ASSIGN(auto db, open_recorded());
    CHATSDK_TRY(
        db.execute("PRAGMA wal_autocheckpoint = 15; CREATE TABLE t(id INTEGER PRIMARY KEY, body TEXT);"
                   "CREATE INDEX t_body ON t(body)"));
    for (const int last : {1, 2, 30, 31, 32}) CHATSDK_TRY(commit(db, last, progress));
    CHATSDK_TRY(db.checkpoint(sqlite::CheckpointMode::kTruncate));
    for (const int last : {33, 34}) CHATSDK_TRY(commit(db, last, progress));
    CHATSDK_TRY(db.execute("PRAGMA auto_vacuum = INCREMENTAL; VACUUM"));
    CHATSDK_TRY(commit(db, 35, progress));
    CHATSDK_TRY(db.execute("PRAGMA journal_mode = DELETE"));
    for (const int last : {36, 60}) CHATSDK_TRY(commit(db, last, progress));
    CHATSDK_TRY(db.execute("PRAGMA journal_mode = PERSIST"));
    for (const int last : {61, 62}) CHATSDK_TRY(commit(db, last, progress));
    CHATSDK_TRY(sqlite::apply_standard_pragmas(db));
    CHATSDK_TRY(commit(db, 63, progress));
    CHATSDK_TRY(db.close());
    CHATSDK_ASSIGN(db, open_recorded());
    return commit(db, 64, progress);
  }

  // The rows found, once the integrity check has passed; 0 when the table was not yet made.
  Result<int> rows_in(const std::filesystem::path& file) {
    CHATSDK_ASSIGN(auto db, try_open(file));
    CHATSDK_TRY(db.integrity_check());
    if (integer(db, "SELECT count(*) FROM sqlite_schema WHERE name = 't'") == 0) return 0;
    return count_right_rows(db);
  }

  void use_recorder() {
    vfs_.reset();
    auto vfs = CryptVfs::create({recorder_.name(), test_key(), random_});
    ASSERT_TRUE(vfs.ok());
    vfs_ = std::move(vfs).value();
  }

  RecordingVfs recorder_;
};

TEST_F(CryptVfsPower, ATransactionReachesTheLogInFewWrites) {
  use_recorder();
  auto opened = open_recorded();
  ASSERT_TRUE(opened.ok());
  sqlite::Database db = std::move(opened).value();
  ASSERT_TRUE(db.execute("CREATE TABLE wide(id INTEGER PRIMARY KEY, body BLOB NOT NULL)").ok());
  const std::size_t before = recorder_.writes();

  ASSERT_TRUE(db.execute("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 40) "
                         "INSERT INTO wide SELECT i, zeroblob(3000) FROM n")
                  .ok());

  EXPECT_LE(recorder_.writes() - before, 4u) << "about 41 frames, 16 to a write";
  EXPECT_EQ(integer(db, "SELECT count(*) FROM wide"), 40);
}

TEST_F(CryptVfsPower, ACutBehindAnyChangeKeepsEveryCommit) {
  use_recorder();
  Progress progress;
  {
    const Status status = work(progress);
    ASSERT_TRUE(status.ok()) << status.error().detail;
  }
  vfs_ = make_vfs(test_key());

  std::size_t mark = 0;
  for (std::size_t count = 1; count <= recorder_.changes().size(); ++count) {
    while (mark + 1 < progress.marks.size() && progress.marks[mark + 1].changes <= count) ++mark;
    const int least = progress.marks[mark].rows;
    const int most = mark + 1 < progress.marks.size() ? progress.marks[mark + 1].rows : least;
    const auto cut = count % 3 == 0 ? RecordingVfs::Cut::kNothingLost : RecordingVfs::Cut::kAnyLost;
    SeededRandom fate(count);

    for (const char* leaf : {"work.db", "work.db-wal", "work.db-journal"}) std::filesystem::remove(path(leaf));
    for (const auto& [name, bytes] : recorder_.files_after(count, cut, fate)) write_file(path(name), bytes);
    const auto rows = rows_in(path("work.db"));

    ASSERT_TRUE(rows.ok()) << "cut behind change " << count << " of " << recorder_.changes().size() << ": "
                           << rows.error().detail;
    ASSERT_TRUE(*rows == least || *rows == most)
        << "cut behind change " << count << ": " << *rows << " rows, " << least << " or " << most << " expected";
  }
}

TEST_F(CryptVfsPower, AFailureOfAnyCallIsReportedAndKeepsEveryCommit) {
  use_recorder();
  bool failed = true;
  for (int call = 1; failed; call += 1 + call / 60) {
    for (const auto& entry : std::filesystem::directory_iterator(directory_)) std::filesystem::remove(entry.path());
    Progress progress;
    recorder_.fail_at(call);
    const Status status = work(progress);
    failed = recorder_.has_failed();
    recorder_.fail_at(0);

    if (!status.ok()) {
      const Code code = status.error().code;
      ASSERT_TRUE(code == Code::kStorage || code == Code::kStorageFull) << "call " << call << " " << code_name(code);
    }
    const auto rows = rows_in(path("work.db"));
    ASSERT_TRUE(rows.ok()) << "call " << call << ": " << rows.error().detail;
    ASSERT_TRUE(*rows == progress.acknowledged() || *rows == progress.attempted)
        << "call " << call << ": " << *rows << " rows, " << progress.acknowledged() << " or " << progress.attempted
        << " expected";
  }
}

}  // namespace
}  // namespace chatsdk
