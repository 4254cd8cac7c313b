// SPDX-License-Identifier: Apache-2.0
//
// A device store that was there and is damaged: cut off, gone, changed page by page, or without its log. It is never
// taken for one that was not made yet, and never shows anything wrong.
#include <gmock/gmock.h>
#include <sqlite3.h>

#include <fstream>
#include <iterator>
#include <map>
#include <set>

#include "device_store_fixture.h"
#include "fault_vfs.h"
#include "store/crypt_prelude.h"
#include "store/crypt_vfs.h"
#include "store/schema.h"
#include "store/sqlite.h"

namespace chatsdk {
namespace {

using ::testing::HasSubstr;

class StoreDamage : public DeviceStoreTest {
 protected:
  using Files = std::map<std::string, std::string>;  // by name

  Files files() const {
    Files found;
    for (const auto& entry : std::filesystem::directory_iterator(directory_)) {
      std::ifstream in(entry.path(), std::ios::binary);
      found[entry.path().filename()] = {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
    }
    return found;
  }
  void put(const Files& wanted) {
    close();
    for (const auto& entry : std::filesystem::directory_iterator(directory_)) std::filesystem::remove(entry.path());
    for (const auto& [name, bytes] : wanted) std::ofstream(directory_ / name, std::ios::binary) << bytes;
  }

  // A chat with `messages` of bob's and two queued ones of ann's.
  void fill(int messages) {
    const auto chat = open_chat();
    Seq seq = 1;
    while (seq <= static_cast<Seq>(messages)) {
      ItemsOf items(kChat, seq);
      for (int i = 0; i < 50; ++i) {
        ++seq;
        items.message(kBob, seq, "message " + std::to_string(seq));
      }
      must(store_->apply(items));
    }
    must(queue(chat, 1'000'001, "queued"));
    must(queue(chat, 1'000'002, "queued too"));
  }
  Files closed_store(int messages) {
    fill(messages);
    close();
    return files();
  }
  // As a process leaves them that ends without closing.
  Files abandoned_store(int messages) {
    fill(messages);
    const Files left = files();
    close();
    return left;
  }

  // Changes each page of the file in turn, stretched to this size: those of the small tables bar opening, those of the
  // messages do not.
  void expect_small_tables_checked(const Files& left, std::size_t size) {
    const std::size_t pages = left.at("store.db").size() / kStorePageBytes - 1;
    std::size_t refused = 0;
    for (std::size_t page = 0; page < pages; ++page) {
      Files damaged = left;
      std::string& bytes = damaged["store.db"];
      bytes[kPreludeBytes + page * kStorePageBytes + 700] ^= 1;
      bytes.resize(size);
      put(damaged);
      const Code code = try_open().code();
      if (code == Code::kOk) continue;
      EXPECT_EQ(code, Code::kTampered) << page;
      ++refused;
    }
    EXPECT_GE(refused, 8u);
    EXPECT_LT(refused, pages / 2) << "the messages, most of the pages, were read";
  }

  Result<std::unique_ptr<DeviceStore>> start_afresh() {
    auto afresh = options();
    afresh.start_afresh = true;
    return DeviceStore::open(afresh, random_, clock_);
  }

  void meddle(const char* sql) {
    auto vfs = must(CryptVfs::create({base_vfs_, key_, random_}));
    auto db = must(sqlite::Database::open(path(), {sqlite::OpenMode::kReadWrite, vfs->name()}));
    sqlite3_db_config(db.handle(), SQLITE_DBCONFIG_DEFENSIVE, 0, nullptr);
    must(sqlite::apply_standard_pragmas(db));
    must(db.execute(sql));
  }
};

// ---- Cut off or gone -----------------------------------------------------------------------------------------------

TEST_F(StoreDamage, IsReportedForAFileCutOffAnywhere) {
  const Files whole = closed_store(150);
  const std::size_t size = whole.at("store.db").size();
  std::set<std::size_t> ends = {0, 1, 136, 511, 512, 1'024, 1'172, 2'048, 2'184, 3'072, 3'220};
  for (std::size_t boundary = kPreludeBytes; boundary <= size; boundary += kStorePageBytes) {
    ends.insert({boundary - 1, boundary, boundary + 1, boundary + kStorePageBytes / 2});
  }
  for (const std::size_t end : ends) {
    if (end >= size) continue;
    Files cut = whole;
    cut["store.db"].resize(end);
    put(cut);

    const Code code = try_open().code();
    // A first page that is there in part does not authenticate.
    const bool torn = end > kPreludeBytes && end < kPreludeBytes + kStorePageBytes;
    ASSERT_EQ(code, torn ? Code::kTampered : Code::kCorrupt) << end << " B of " << size;
    ASSERT_TRUE(files()[torn ? "store.db" : "store.db.corrupt-1"] == cut["store.db"]) << end;
    ASSERT_EQ(try_open().code(), code) << "again, " << end << " B of " << size;
  }
  put(whole);
  reopen();
  EXPECT_EQ(must(reader_->outbox_count()), 2u);
}

TEST_F(StoreDamage, IsReportedForAMissingFileBesideAnythingThatTellsOfIt) {
  const Files whole = closed_store(1);
  const std::vector<Files> remains = {
      {{"store.db-lock", whole.at("store.db-lock")}},
      {{"store.db-wal", "log"}},
      {{"store.db.corrupt-1", "copy"}},
      {{"store.db", whole.at("store.db").substr(0, kPreludeBytes)}},
  };
  for (const Files& left : remains) {
    put(left);
    EXPECT_EQ(try_open().code(), Code::kCorrupt) << left.begin()->first;
    EXPECT_EQ(try_open().code(), Code::kCorrupt) << left.begin()->first << ", again";
  }
}

TEST_F(StoreDamage, IsNotSeenWhereNothingWasEverMade) {
  for (const Files& nothing : {Files{}, Files{{"store.db-lock", ""}}, Files{{"store.db", ""}}}) {
    put(nothing);
    EXPECT_TRUE(try_open().ok());
  }
}

TEST_F(StoreDamage, IsNotSeenInAStoreThatCameWithoutItsLockFile) {
  Files moved = closed_store(1);
  moved.erase("store.db-lock");
  put(moved);
  reopen();
  EXPECT_EQ(must(reader_->outbox_count()), 2u);
  close();

  // From here on it is known.
  Files gone = files();
  gone.erase("store.db");
  put(gone);
  EXPECT_EQ(try_open().code(), Code::kCorrupt);
}

TEST_F(StoreDamage, IsReportedWhenTheLogOfAnAbandonedStoreIsGone) {
  for (const int messages : {0, 8'000}) {  // without and with a checkpoint before
    put({});
    Files left = abandoned_store(messages);
    put(left);
    ASSERT_TRUE(try_open().ok());
    left.erase("store.db-wal");
    put(left);
    EXPECT_EQ(try_open().code(), Code::kCorrupt) << messages;
  }
}

TEST_F(StoreDamage, MustExistMakesNothingWhereAStoreWas) {
  const Files whole = closed_store(1);
  auto existing = options();
  existing.must_exist = true;
  put({{"store.db-lock", whole.at("store.db-lock")}});
  EXPECT_EQ(DeviceStore::open(existing, random_, clock_).code(), Code::kNotFound);
  put({{"store.db-lock", whole.at("store.db-lock")}, {"store.db", whole.at("store.db").substr(0, kPreludeBytes)}});
  EXPECT_EQ(DeviceStore::open(existing, random_, clock_).code(), Code::kCorrupt);
  put({});
  EXPECT_EQ(DeviceStore::open(existing, random_, clock_).code(), Code::kNotFound);
}

// ---- Starting afresh -----------------------------------------------------------------------------------------------

TEST_F(StoreDamage, IsLeftBehindByStartingAfresh) {
  const Files whole = closed_store(1);
  Files cut = whole;
  cut["store.db"].resize(5'000);
  Files changed = whole;
  for (const std::size_t at : {8u, 2'056u}) changed["store.db"][at + 20] ^= 1;  // both descriptions
  for (const Files& damaged : {cut, changed, Files{{"store.db-lock", whole.at("store.db-lock")}}}) {
    put(damaged);
    const Code code = try_open().code();
    ASSERT_TRUE(code == Code::kCorrupt || code == Code::kTampered) << code_name(code);

    auto made = start_afresh();
    ASSERT_TRUE(made.ok()) << made.error().detail;
    EXPECT_FALSE(must((*made)->owner()).has_value());
    if (damaged.count("store.db") != 0) {
      EXPECT_TRUE(files()["store.db.corrupt-1"] == damaged.at("store.db"));
    }
    made->reset();
    EXPECT_TRUE(try_open().ok());
  }
}

TEST_F(StoreDamage, StartingAfreshLeavesAStoreWhoseKeyIsLost) {
  const Files whole = closed_store(1);
  key_ = StoreKey::copy_of(std::string(32, 'x'));
  ASSERT_EQ(try_open().code(), Code::kWrongKey);

  EXPECT_TRUE(start_afresh().ok());

  EXPECT_TRUE(files()["store.db.corrupt-1"] == whole.at("store.db"));
  EXPECT_TRUE(try_open().ok());
}

TEST_F(StoreDamage, StartingAfreshMakesTheFirstStoreToo) {
  EXPECT_TRUE(start_afresh().ok());
  EXPECT_TRUE(try_open().ok());
}

TEST_F(StoreDamage, StartingAfreshSparesAWholeStore) {
  const Files whole = closed_store(1);

  EXPECT_EQ(start_afresh().code(), Code::kAlreadyExists);

  EXPECT_TRUE(files() == whole);
  reopen();
  EXPECT_EQ(start_afresh().code(), Code::kStoreInUse);
}

TEST_F(StoreDamage, StartingAfreshLeavesALaterSchemaAlone) {
  closed_store(1);
  meddle("PRAGMA user_version = 99;");
  const Files later = files();

  EXPECT_EQ(start_afresh().code(), Code::kSchemaTooNew);

  EXPECT_TRUE(files()["store.db"] == later.at("store.db"));
}

// ---- The check -----------------------------------------------------------------------------------------------------

TEST_F(StoreDamage, OfOnePageIsReportedAtOpeningOrAtUse) {
  const Files whole = closed_store(400);
  put(whole);
  reopen();
  const auto chat = must(reader_->direct_conversation(kBob));
  const std::vector<std::string> right = history(chat, 200);
  int found_at_use = 0;
  for (std::size_t at = kPreludeBytes; at < whole.at("store.db").size(); at += kStorePageBytes) {
    Files damaged = whole;
    damaged["store.db"][at + 700] ^= 1;
    put(damaged);

    auto opened = try_open();
    if (!opened.ok()) {
      EXPECT_EQ(opened.code(), Code::kTampered) << at;
      continue;
    }
    // Reads everything that is shown: right to the place of the damage, and an error there.
    reader_ = must((*opened)->open_reader());
    Seq before = 0;
    Code code = Code::kOk;
    std::size_t shown = 0;
    while (code == Code::kOk) {
      const auto page = reader_->history_before(chat, before, 100);
      code = page.code();
      if (code != Code::kOk) break;
      for (auto row = page->rows.rbegin(); row != page->rows.rend(); ++row) {
        ASSERT_EQ(show(*row), right[right.size() - ++shown]) << at;
      }
      if (!page->more) break;
      before = page->rows.front().seq;
    }
    reader_.reset();
    opened->reset();
    if (code == Code::kOk) {
      EXPECT_EQ(shown, right.size()) << at;  // a page that reading did not need: an index, the free list
      continue;
    }
    EXPECT_EQ(code, Code::kTampered) << at;
    ++found_at_use;
    // What was seen is not forgotten: the next opening looks at all of it.
    EXPECT_EQ(try_open().code(), Code::kTampered) << at;
  }
  EXPECT_GT(found_at_use, 0);
}

TEST_F(StoreDamage, IsFoundByTheWholeCheckAfterAnUncleanEnd) {
  Files left = abandoned_store(8'000);
  ASSERT_GT(left.at("store.db").size(), 200'000u);
  int found = 0;
  for (std::size_t at = kPreludeBytes; at < left.at("store.db").size(); at += 10 * kStorePageBytes) {
    Files damaged = left;
    damaged["store.db"][at + 700] ^= 1;
    put(damaged);
    auto opened = try_open();
    if (opened.ok()) continue;  // the log holds a newer copy of the page
    EXPECT_EQ(opened.code(), Code::kTampered) << at;
    ++found;
  }
  EXPECT_GT(found, 3);
}

TEST_F(StoreDamage, OfStructureIsReportedAtUseAndThenSetAside) {
  closed_store(1);
  meddle("PRAGMA writable_schema = ON; UPDATE sqlite_schema SET rootpage = 3 WHERE name = 'message_by_place';");
  auto opened = try_open();
  ASSERT_TRUE(opened.ok());
  auto reader = must((*opened)->open_reader());
  const auto chat = must(reader->direct_conversation(kBob));

  EXPECT_EQ(reader->history_before(chat, Seq{0}, 10).code(), Code::kCorrupt);

  reader.reset();
  opened->reset();
  const auto refused = try_open();
  EXPECT_EQ(refused.code(), Code::kCorrupt);
  EXPECT_THAT(refused.error().detail, HasSubstr("store.db.corrupt-1"));
  EXPECT_FALSE(std::filesystem::exists(path()));
}

TEST_F(StoreDamage, OfAStoreTooLargeForTheWholeCheckIsStillFoundInTheSmallTables) {
  closed_store(2'000);
  reopen();
  must(store_->ensure_direct("carl"));
  // The length of the file decides; what is behind its pages is not read.
  expect_small_tables_checked(files(), static_cast<std::size_t>(limits::kStoreCheckBytesMax));
}

TEST_F(StoreDamage, OfAStoreThatWasLeftWholeIsFoundInTheSmallTables) {
  const Files whole = closed_store(2'000);
  expect_small_tables_checked(whole, whole.at("store.db").size());
}

TEST_F(StoreDamage, OfTheHistoryIsNotLookedForInAStoreThatWasLeftWhole) {
  FaultVfs vfs("counts-reads");
  base_vfs_ = "counts-reads";
  std::vector<std::uint64_t> reads;
  for (const int messages : {500, 5'000}) {
    put({});
    closed_store(messages);
    const auto before = vfs.reads;
    reopen();
    reads.push_back(vfs.reads - before);
    close();
  }
  // One more level of a tree, here and there.
  EXPECT_LE(reads[1], reads[0] + 8);
  EXPECT_LT(reads[1], 60u);
  base_vfs_.clear();
}

TEST_F(StoreDamage, MarkOfAStoreLeftWholeCostsNoSyncInUse) {
  FaultVfs vfs("counts-syncs");
  base_vfs_ = "counts-syncs";
  const Files whole = closed_store(1);
  put(whole);
  reopen();
  const auto chat = must(reader_->direct_conversation(kBob));

  const auto before = vfs.syncs;
  must(queue(chat, 7, "the first change"));
  // The log's first commit syncs its header too.
  EXPECT_LE(vfs.syncs - before, 2u);
  const auto second = vfs.syncs;
  must(queue(chat, 8, "the second"));
  EXPECT_EQ(vfs.syncs - second, 1u);
  close();
  base_vfs_.clear();
}

// Frames of the log are sealed, each time anew: one that is still there is there byte by byte.
TEST_F(StoreDamage, LogIsClearedOfWhatEarlierCommitsWrote) {
  fill(100);
  const std::string before = files().at("store.db-wal");
  ASSERT_GT(before.size(), 20 * kStorePageBytes);
  must(store_->clear_log());
  const Files cleared = files();
  EXPECT_LT(cleared.at("store.db-wal").size(), 3 * kStorePageBytes);
  for (std::size_t at = kStorePageBytes; at + 64 <= before.size(); at += kStorePageBytes) {
    EXPECT_EQ(cleared.at("store.db-wal").find(before.substr(at, 64)), std::string::npos) << at;
  }
  must(store_->ensure_direct("carl"));
  const Files later = files();
  close();

  // As after a kill, each time.
  put(cleared);
  reopen();
  EXPECT_EQ(must(reader_->outbox_count()), 2u);
  put(later);
  reopen();
  EXPECT_TRUE(reader_->direct_conversation("carl").ok());
  for (Files left : {cleared, later}) {
    left.erase("store.db-wal");
    put(left);
    EXPECT_EQ(try_open().code(), Code::kCorrupt) << "a log that is gone is missed";
  }
}

TEST_F(StoreDamage, LogIsClearedAsOftenAsAsked) {
  fill(50);
  for (int i = 0; i < 3; ++i) must(store_->clear_log());
  reopen();
  must(store_->clear_log());
  reopen();
  EXPECT_EQ(must(reader_->outbox_count()), 2u);
}

TEST_F(StoreDamage, MarkStaysWhenNothingWasWritten) {
  const Files whole = closed_store(10);
  put(whole);

  reopen();
  must(store_->settle_epoch());
  must(store_->ensure_direct(kBob, nullptr, true));
  close();

  EXPECT_TRUE(files() == whole);
}

TEST_F(StoreDamage, MarkComesWithTheMigrationFromTheFirstSchema) {
  closed_store(100);
  meddle(kToVersion2);
  meddle("ALTER TABLE meta DROP COLUMN left_whole; PRAGMA user_version = 1;");

  reopen();
  EXPECT_EQ(must(reader_->outbox_count()), 2u);
  must(store_->ensure_direct("carl"));
  close();
  EXPECT_TRUE(try_open().ok());
}

}  // namespace
}  // namespace chatsdk
