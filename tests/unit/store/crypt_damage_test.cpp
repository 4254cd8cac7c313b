// SPDX-License-Identifier: Apache-2.0
//
// The encrypted store against wrong keys, changed bytes and power cuts: every wrong byte of the main file is an error
// and never wrong data, a log ends where a power cut may have torn it, and a file that was cut off at any moment opens.
#include <sqlite3.h>

#include <algorithm>
#include <fstream>

#include "store/crypt_layout.h"
#include "unit/store/crypt_fixture.h"

namespace chatsdk {
namespace {

class CryptVfsDamage : public CryptStoreTest {
 protected:
  struct Image {
    std::string main;
    std::string log;
  };

  // A store whose main file has 20 rows, and whose log has two more commits, of 5 rows each.
  Image image_with_log() {
    make_store("source.db", 20);
    auto db = open("source.db");
    insert(db, 21, 25);
    first_commit_bytes_ = std::filesystem::file_size(wal("source.db"));
    insert(db, 26, 30);
    return {read_file(path("source.db")), read_file(wal("source.db"))};
  }

  void put(const Image& image) {
    write_file(path(), image.main);
    write_file(wal(), image.log);
  }

  // The rows of the image when opened as after a power cut, or the first error met.
  Result<int> rows_of(const Image& image) {
    put(image);
    CHATSDK_ASSIGN(auto db, try_open(path()));
    CHATSDK_ASSIGN(const int rows, count_right_rows(db));
    CHATSDK_TRY(db.integrity_check());
    return rows;
  }

  static constexpr auto kLogHeader = static_cast<std::size_t>(WalLayout::kHeaderOnDisk);
  static constexpr auto kFrame = static_cast<std::size_t>(WalLayout::kFrameOnDisk);

  static std::string flipped(std::string bytes, std::size_t at) {
    bytes[at] = static_cast<char>(bytes[at] ^ 0x10);
    return bytes;
  }

  std::uintmax_t first_commit_bytes_ = 0;
};

TEST_F(CryptVfsDamage, AWrongKeyIsItsOwnError) {
  make_store("a.db", 5);
  const auto right = std::move(vfs_);
  vfs_ = make_vfs(test_key('x'));

  EXPECT_EQ(try_open(path()).code(), Code::kWrongKey);
  EXPECT_EQ(vfs_->take_failure()->code, Code::kWrongKey);
  EXPECT_EQ(vfs_->take_failure(), std::nullopt);
}

TEST_F(CryptVfsDamage, AWrongKeyIsKnownThoughPageOneIsTorn) {
  make_store("a.db", 5);
  write_file(path(), flipped(read_file(path()), kPreludeBytes + 10));
  const auto right = std::move(vfs_);
  vfs_ = make_vfs(test_key('x'));

  EXPECT_EQ(vfs_->check_file(path()).code(), Code::kWrongKey);
  EXPECT_EQ(try_open(path()).code(), Code::kWrongKey);
}

TEST_F(CryptVfsDamage, AWrongKeyLeavesTheFilesAsTheyAre) {
  const Image image = image_with_log();
  put(image);
  const auto right = std::move(vfs_);
  vfs_ = make_vfs(test_key('x'));

  ASSERT_EQ(try_open(path()).code(), Code::kWrongKey);

  EXPECT_TRUE(read_file(path()) == image.main);
  EXPECT_TRUE(read_file(wal()) == image.log);
}

TEST_F(CryptVfsDamage, EveryChangedByteOfAPageIsTampered) {
  make_store("a.db", 20);
  const std::string whole = read_file(path());

  for (std::size_t at = kPreludeBytes; at < whole.size(); at += 211) {
    write_file(path(), flipped(whole, at));
    auto db = try_open(path());
    const Code code = db.ok() ? count_right_rows(*db).code() : db.code();
    // A page that this query does not read is met by the integrity check, which has one code for all it finds.
    if (code == Code::kOk) {
      ASSERT_EQ(db->integrity_check().code(), Code::kCorrupt) << "byte " << at;
    } else {
      ASSERT_EQ(code, Code::kTampered) << "byte " << at;
    }
    const auto failure = vfs_->take_failure();
    ASSERT_TRUE(failure && failure->code == Code::kTampered) << "byte " << at;
  }
}

TEST_F(CryptVfsDamage, NoChangedByteOfThePreludeGivesWrongData) {
  make_store("a.db", 20);
  const std::string whole = read_file(path());

  for (std::size_t at = 0; at < kPreludeBytes; at += at < 200 ? 1u : 13u) {
    write_file(path(), flipped(whole, at));
    auto db = try_open(path());
    ASSERT_TRUE(db.ok()) << "byte " << at << ": the other description is whole";
    ASSERT_EQ(count_right_rows(*db).value(), 20) << "byte " << at;
  }
}

TEST_F(CryptVfsDamage, TwoChangedDescriptionsAreTampered) {
  make_store("a.db", 20);

  for (std::size_t at = 20; at < 136; ++at) {
    const std::string whole = read_file(path());
    write_file(path("b.db"), flipped(flipped(whole, at), 2048 + at));
    ASSERT_EQ(try_open(path("b.db")).code(), Code::kTampered) << "byte " << at;
  }
}

TEST_F(CryptVfsDamage, AnotherFileIsCorruptAndStaysAsItIs) {
  const std::string text(10'000, 'x');
  write_file(path(), text);
  EXPECT_EQ(try_open(path()).code(), Code::kCorrupt);
  EXPECT_EQ(read_file(path()), text);

  ASSERT_TRUE(sqlite::Database::open(path("plain.db"))->execute("PRAGMA page_size = 512; CREATE TABLE t(a)").ok());
  EXPECT_EQ(try_open(path("plain.db")).code(), Code::kCorrupt);
  EXPECT_TRUE(sqlite::Database::open(path("plain.db"))->integrity_check().ok());
}

TEST_F(CryptVfsDamage, SwappedPagesAreTampered) {
  make_store("a.db", 100);
  std::string raw = read_file(path());
  const std::size_t pages = (raw.size() - kPreludeBytes) / kStorePageBytes;
  ASSERT_GE(pages, 6u);
  const auto at = [](std::size_t page) { return kPreludeBytes + (page - 1) * kStorePageBytes; };

  std::swap_ranges(raw.begin() + static_cast<std::ptrdiff_t>(at(4)), raw.begin() + static_cast<std::ptrdiff_t>(at(5)),
                   raw.begin() + static_cast<std::ptrdiff_t>(at(5)));
  write_file(path(), raw);

  auto db = open();
  EXPECT_FALSE(db.integrity_check().ok());
  EXPECT_EQ(vfs_->take_failure()->code, Code::kTampered);
}

TEST_F(CryptVfsDamage, APageOfAnotherStoreOfTheSameKeyIsTampered) {
  make_store("a.db", 100);
  make_store("b.db", 100);
  std::string raw = read_file(path());
  const std::string other = read_file(path("b.db"));
  ASSERT_EQ(raw.size(), other.size());

  raw.replace(kPreludeBytes, kStorePageBytes, other, kPreludeBytes, kStorePageBytes);
  write_file(path(), raw);

  EXPECT_EQ(try_open(path()).code(), Code::kTampered);
}

TEST_F(CryptVfsDamage, ALogOfAnotherStoreOfTheSameKeyIsNoLog) {
  Image image = image_with_log();
  make_store("other.db", 20);
  image.main = read_file(path("other.db"));

  EXPECT_EQ(rows_of(image).value(), 20);
}

TEST_F(CryptVfsDamage, AFileCutShortNeverGivesWrongData) {
  make_store("a.db", 50);
  const std::string whole = read_file(path());

  for (std::size_t bytes = kPreludeBytes + 100; bytes < whole.size(); bytes += 1'999) {
    write_file(path(), whole.substr(0, bytes));
    auto db = try_open(path());
    Code code = db.ok() ? count_right_rows(*db).code() : db.code();
    if (code == Code::kOk) code = db->integrity_check().code();
    ASSERT_TRUE(code == Code::kTampered || code == Code::kCorrupt) << bytes << " " << code_name(code);
  }
}

// Whoever wrote the third commit had synced the first. The second is the last one that is known to have begun.
TEST_F(CryptVfsDamage, AChangedByteOfWhatWasSyncedIsTampered) {
  make_store("source.db", 20);
  auto db = open("source.db");
  std::vector<std::size_t> ends;
  for (const int last : {25, 30, 35}) {
    insert(db, last - 4, last);
    ends.push_back(std::filesystem::file_size(wal("source.db")));
  }
  const Image image{read_file(path("source.db")), read_file(wal("source.db"))};
  ASSERT_EQ(rows_of(image).value(), 35);

  for (std::size_t at = 0; at < image.log.size(); at += at % 4160 < 150 ? 3u : 307u) {
    const auto rows = rows_of({image.main, flipped(image.log, at)});
    // The frame with which the second commit ends is as good as torn: the third may have been one with it.
    if (at >= kLogHeader && at < ends[1] - kFrame) {
      ASSERT_EQ(rows.code(), Code::kTampered) << "byte " << at;
    } else {
      ASSERT_TRUE(rows.ok()) << "byte " << at << " " << rows.error().detail;
      ASSERT_EQ(*rows, at < kLogHeader ? 20 : at < ends[1] ? 25 : 30) << "byte " << at;
    }
  }
}

// A disk may write the sectors of what was not synced in any order.
TEST_F(CryptVfsDamage, AnyTornFrameOfTheLastCommitEndsTheLog) {
  const Image image = image_with_log();
  ASSERT_EQ(rows_of(image).value(), 30);

  for (std::size_t at = first_commit_bytes_; at < image.log.size(); at += 512) {
    for (std::size_t next = at; next < image.log.size(); next += 1'536) {
      const auto rows = rows_of({image.main, flipped(flipped(image.log, at), next + 1)});
      ASSERT_TRUE(rows.ok()) << "bytes " << at << ", " << next << ": " << rows.error().detail;
      ASSERT_EQ(*rows, 25) << "bytes " << at << ", " << next;
    }
  }
}

// Frames of the same log behind the last commit that are not its continuation: a transaction that was given up had them
// written when the cache was full.
TEST_F(CryptVfsDamage, ATornFrameBeforeWhatWasGivenUpEndsTheLog) {
  make_store("source.db", 20);
  auto db = open("source.db");
  insert(db, 21, 25);
  const std::size_t first_commit = std::filesystem::file_size(wal("source.db"));
  ASSERT_TRUE(db.execute("PRAGMA cache_size = 4; BEGIN; CREATE TABLE given_up(body)").ok());
  for (int i = 0; i < 40; ++i) ASSERT_TRUE(db.execute("INSERT INTO given_up VALUES (zeroblob(3000))").ok());
  ASSERT_TRUE(db.execute("ROLLBACK").ok());
  ASSERT_GT(std::filesystem::file_size(wal("source.db")), first_commit + 10 * kFrame);
  insert(db, 26, 30);
  const Image image{read_file(path("source.db")), read_file(wal("source.db"))};
  ASSERT_EQ(rows_of(image).value(), 30);

  const auto rows = rows_of({image.main, flipped(image.log, first_commit + 100)});
  ASSERT_TRUE(rows.ok()) << rows.error().detail;
  EXPECT_EQ(*rows, 25);
}

// Whether the file can be read is asked where a torn frame is bytes like others.
TEST_F(CryptVfsDamage, ADamagedTreeIsCorruptThoughTheEndOfTheLogIsTorn) {
  make_store("source.db", 20);
  auto db = open("source.db");
  ASSERT_EQ(sqlite3_db_config(db.handle(), SQLITE_DBCONFIG_DEFENSIVE, 0, nullptr), SQLITE_OK);
  ASSERT_TRUE(db.execute("PRAGMA writable_schema = ON; UPDATE sqlite_schema SET rootpage = (SELECT rootpage FROM "
                         "sqlite_schema WHERE name = 't') WHERE name = 't_body'")
                  .ok());
  put({read_file(path("source.db")), read_file(wal("source.db")) + std::string(kFrame, '?')});

  auto damaged = try_open(path());
  ASSERT_TRUE(damaged.ok()) << damaged.error().detail;
  EXPECT_EQ(damaged->quick_check().code(), Code::kCorrupt);
  EXPECT_FALSE(vfs_->take_failure());
}

TEST_F(CryptVfsDamage, ALogCutShortEndsAtTheLastWholeCommit) {
  const Image image = image_with_log();

  std::vector<std::size_t> sizes;
  for (std::size_t frame = 72; frame <= image.log.size(); frame += 4160) {
    for (const std::ptrdiff_t delta : {-1, 0, 1, 30, 64, 65, 2000}) {
      const auto size = static_cast<std::size_t>(static_cast<std::ptrdiff_t>(frame) + delta);
      if (size <= image.log.size()) sizes.push_back(size);
    }
  }
  for (const std::size_t bytes : sizes) {
    const int expected = bytes < first_commit_bytes_ ? 20 : bytes < image.log.size() ? 25 : 30;
    const auto rows = rows_of({image.main, image.log.substr(0, bytes)});
    ASSERT_TRUE(rows.ok()) << bytes << " " << rows.error().detail;
    ASSERT_EQ(*rows, expected) << bytes;
  }
}

TEST_F(CryptVfsDamage, SwappedFramesEndTheLog) {
  Image image = image_with_log();
  ASSERT_GE(image.log.size(), 72u + 2 * 4160);

  std::swap_ranges(image.log.begin() + 72, image.log.begin() + 72 + 4160, image.log.begin() + 72 + 4160);

  EXPECT_EQ(rows_of(image).value(), 20);
}

TEST_F(CryptVfsDamage, ALogRecordThatChangesInUseIsAStorageError) {
  make_store("a.db", 20);
  auto db = open();
  insert(db, 21, 25);
  ASSERT_TRUE(db.execute("PRAGMA cache_size = 0").ok());

  std::fstream log(wal(), std::ios::binary | std::ios::in | std::ios::out);
  for (std::streamoff at = 72 + 5; at < static_cast<std::streamoff>(first_commit_bytes_ + 50'000); at += 4160) {
    log.seekp(at).put('?');
  }
  log.close();

  // A new connection has no page in its cache, and the index of the log says where the pages are.
  auto reader = sqlite::Database::open(path(), {sqlite::OpenMode::kReadWrite, vfs_->name(), {}});
  ASSERT_TRUE(reader.ok());
  EXPECT_EQ(count_right_rows(*reader).code(), Code::kStorage);
}

TEST_F(CryptVfsDamage, PagesTornByACheckpointAreMendedByTheLog) {
  make_store("source.db", 20);
  auto db = open("source.db");
  ASSERT_TRUE(db.set_user_version(7).ok());  // page 1 goes into the log
  insert(db, 21, 30);
  const Image image{read_file(path("source.db")), read_file(wal("source.db"))};

  for (const std::size_t torn : {0u, 512u, 2048u, 4095u}) {
    Image cut = image;
    const std::string noise = SeededRandom(torn + 1).bytes(kStorePageBytes - torn);
    cut.main.replace(kPreludeBytes + torn, noise.size(), noise);

    const auto rows = rows_of(cut);

    ASSERT_TRUE(rows.ok()) << torn << " " << rows.error().detail;
    EXPECT_EQ(*rows, 30) << torn;
  }
}

TEST_F(CryptVfsDamage, APageOneTornByACheckpointKeepsTheVacuumMode) {
  make_store("source.db", 20);
  auto db = open("source.db");
  ASSERT_TRUE(db.execute("PRAGMA auto_vacuum = INCREMENTAL; VACUUM").ok());
  ASSERT_TRUE(db.checkpoint(sqlite::CheckpointMode::kTruncate).ok());
  insert(db, 21, 100);
  Image image{read_file(path("source.db")), read_file(wal("source.db"))};
  image.main.replace(kPreludeBytes, 2048, std::string(2048, '?'));

  put(image);
  auto recovered = open();

  EXPECT_EQ(integer(recovered, "PRAGMA auto_vacuum"), 2);
  EXPECT_EQ(count_right_rows(recovered).value(), 100);
  EXPECT_TRUE(recovered.integrity_check().ok());
}

TEST_F(CryptVfsDamage, ACopyTakenInATransactionOpensAtTheLastCommit) {
  make_store("source.db", 20);
  auto db = open("source.db");
  insert(db, 21, 25);
  // A small cache puts frames of the open transaction into the log.
  ASSERT_TRUE(db.execute("PRAGMA cache_size = 1; BEGIN; UPDATE t SET body = 'x' || body").ok());

  EXPECT_EQ(rows_of({read_file(path("source.db")), read_file(wal("source.db"))}).value(), 25);
}

TEST_F(CryptVfsDamage, ACopyTakenInARollbackTransactionOpensAtTheLastCommit) {
  make_store("source.db", 200);
  auto db = open("source.db");
  ASSERT_TRUE(db.execute("PRAGMA journal_mode = DELETE; PRAGMA cache_size = 2;"
                         "BEGIN; UPDATE t SET body = 'x' || body")
                  .ok());
  std::filesystem::copy(path("source.db"), path());
  std::filesystem::copy(directory_ / "source.db-journal", directory_ / "a.db-journal");
  ASSERT_GT(std::filesystem::file_size(directory_ / "a.db-journal"), 10'000u);

  auto recovered = open();

  EXPECT_EQ(count_right_rows(recovered).value(), 200);
  EXPECT_TRUE(recovered.integrity_check().ok());
  EXPECT_FALSE(std::filesystem::exists(directory_ / "a.db-journal"));
}

TEST_F(CryptVfsDamage, AFileWhoseCreationWasCutShortBecomesAStore) {
  make_store("source.db", 1);
  const std::string prelude = read_file(path("source.db")).substr(0, kPreludeBytes);
  std::vector<std::string> cuts;
  for (const std::size_t bytes : {std::size_t{0}, std::size_t{1}, std::size_t{512}, std::size_t{3000}}) {
    cuts.push_back(prelude.substr(0, bytes));
    cuts.push_back(std::string(bytes, '\0') + prelude.substr(bytes));
  }
  cuts.push_back(SeededRandom(1).bytes(kPreludeBytes));

  for (std::size_t i = 0; i < cuts.size(); ++i) {
    const std::string name = "cut" + std::to_string(i);
    write_file(path(name), cuts[i]);
    make_store(name, 3);
    auto db = open(name);
    EXPECT_EQ(count_right_rows(db).value(), 3) << i;
  }
}

TEST_F(CryptVfsDamage, AnEmptyStoreOfAnotherKeyIsAWrongKey) {
  ASSERT_TRUE(sqlite::Database::open(path(), {sqlite::OpenMode::kReadWriteCreate, vfs_->name(), {}}).ok());
  ASSERT_EQ(std::filesystem::file_size(path()), kPreludeBytes);
  const auto right = std::move(vfs_);
  vfs_ = make_vfs(test_key('x'));

  EXPECT_EQ(try_open(path()).code(), Code::kWrongKey);
}

}  // namespace
}  // namespace chatsdk
