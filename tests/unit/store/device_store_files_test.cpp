// SPDX-License-Identifier: Apache-2.0
//
// The device store and its files: what opening refuses, what a full or read-only disk does, and what can be read from
// outside.
#include <gmock/gmock.h>
#include <sys/stat.h>

#include <fstream>
#include <iterator>

#include "device_store_fixture.h"
#include "fault_vfs.h"
#include "store/crypt_vfs.h"
#include "store/device_store_impl.h"
#include "store/schema.h"
#include "store/sqlite.h"

namespace chatsdk {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;

class StoreFiles : public DeviceStoreTest {
 protected:
  std::string read(const std::filesystem::path& file) {
    std::ifstream in(file, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  }
  void write(const std::filesystem::path& file, const std::string& bytes) {
    std::ofstream(file, std::ios::binary | std::ios::trunc) << bytes;
  }
  // The store's database, changed behind its back with the right key.
  void meddle(const char* sql) {
    auto vfs = must(CryptVfs::create({base_vfs_, key_, random_}));
    auto db = must(sqlite::Database::open(path(), {sqlite::OpenMode::kReadWrite, vfs->name()}));
    sqlite3_db_config(db.handle(), SQLITE_DBCONFIG_DEFENSIVE, 0, nullptr);
    must(sqlite::apply_standard_pragmas(db));
    must(db.execute(sql));
  }
};

TEST_F(StoreFiles, KeepTheGatewayUntilAnotherIsSaved) {
  reopen();
  EXPECT_FALSE(store_->gateway().has_value());
  const StoredGateway first{"https://chat.test", "wss://one.test/v1/ws", from_unix_ms(1'700'000'000'123)};
  const StoredGateway second{"https://chat.test", "wss://two.test/v1/ws", from_unix_ms(1'700'000'300'456)};

  must(store_->save_gateway(first));
  reopen();
  EXPECT_EQ(store_->gateway(), first);

  must(store_->save_gateway(second));
  reopen();
  EXPECT_EQ(store_->gateway(), second);
}

TEST_F(StoreFiles, OfAnEarlierVersionAreBroughtToTodays) {
  const auto chat = open_chat();
  must(store_->apply(ItemsOf(kChat, 1).message(kBob, 2, "b").message(kBob, 3, "c").message(kBob, 4, "d")));
  must(queue(chat, 1, "waits"));
  must(store_->begin_epoch(2, kAccount));
  must(store_->apply(ItemsOf(kChat, 0).roster({kAnn, kBob}).message(kBob, 2, "b").message(kBob, 20, "new")));
  close();
  meddle(kToVersion2);

  reopen();
  EXPECT_THAT(history(chat), ElementsAre("2:b", "-:c", "3:new", "-:d", "-:waits"));
  must(store_->apply(ItemsOf(kChat, 3).skip(4, wire::SKIP_REASON_ALREADY_ACKNOWLEDGED)));
  EXPECT_THAT(history(chat), ElementsAre("2:b", "-:c", "3:new", "4:d", "-:waits"));

  EXPECT_EQ(store_->text_bytes_max(), 0u);
  must(store_->save_text_bytes_max(70'000));
  reopen();
  EXPECT_EQ(store_->text_bytes_max(), 70'000u);
  EXPECT_EQ(must(store_->outbox(chat, 0, 10)).size(), 1u);
  EXPECT_TRUE(must(store_->nature(chat)).accepted) << "who has written in it has accepted it";
}

// Every column with its type, default and place, and every index.
std::string shape(DeviceStore& store) {
  std::string all;
  sqlite::Statement row = must(store.inside().db.prepare(
      "SELECT t.name || ' ' || c.cid || ' ' || c.name || ' ' || c.type || ' ' || c.\"notnull\" || ' ' || "
      "coalesce(c.dflt_value, '-') || ' ' || c.pk FROM sqlite_schema t, pragma_table_xinfo(t.name) c WHERE t.type = "
      "'table' UNION SELECT coalesce(sql, name) FROM sqlite_schema WHERE type = 'index' ORDER BY 1"));
  while (must(row.step())) all.append(row.text(0)).append("\n");
  return all;
}

TEST_F(StoreFiles, OfTheFirstVersionComeToTheShapeOfNewOnes) {
  reopen();
  const std::string fresh = shape(*store_);
  close();
  meddle(kToVersion2);
  meddle("ALTER TABLE meta DROP COLUMN left_whole; PRAGMA user_version = 1;");
  reopen();
  EXPECT_EQ(shape(*store_), fresh);
  EXPECT_THAT(fresh, HasSubstr("conversation 12 plain INTEGER 1 0 0"));
}

TEST_F(StoreFiles, OfAnEarlierVersionHoldPlainConversationsThatNobodyAccepted) {
  open_as_ann();
  must(store_->apply(ItemsOf(kChat, 0).roster({kAnn, kBob}).message(kBob, 2, "from a stranger")));
  must(store_->apply(ItemsOf::account(0).conversation_added(ConversationId{kChat.value + 1}, "carl")));
  close();
  meddle(kToVersion2);

  reopen();
  const auto told = must(store_->nature(must(reader_->direct_conversation(kBob))));
  EXPECT_FALSE(told.encrypted || told.undecided || told.accepted);
  EXPECT_TRUE(must(store_->nature(must(reader_->direct_conversation("carl")))).undecided);
}

TEST_F(StoreFiles, AreHeldByOneStoreAtATime) {
  reopen();
  EXPECT_EQ(try_open().code(), Code::kStoreInUse);
  close();
  EXPECT_TRUE(try_open().ok());
}

// A way to the store through another directory.
class LinkedStore : public StoreFiles {
 protected:
  LinkedStore() {
    std::filesystem::create_directory(directory_ / "elsewhere");
    std::filesystem::create_symlink(path(), link());
  }
  std::filesystem::path link() const { return directory_ / "elsewhere" / "alias.db"; }
  DeviceStoreOptions through_link() {
    auto linked = options();
    linked.path = link().string();
    return linked;
  }
  void expect_link_alone() {
    EXPECT_TRUE(std::filesystem::is_symlink(link()));
    const std::filesystem::directory_iterator files(directory_ / "elsewhere");
    EXPECT_EQ(std::distance(begin(files), end(files)), 1) << "every file of the store is beside the store itself";
  }
};

TEST_F(LinkedStore, IsHeldUnderEitherName) {
  reopen();
  EXPECT_EQ(DeviceStore::open(through_link(), random_, clock_).code(), Code::kStoreInUse);
  close();
  const auto linked = DeviceStore::open(through_link(), random_, clock_);
  ASSERT_TRUE(linked.ok());
  EXPECT_EQ(try_open().code(), Code::kStoreInUse);
  expect_link_alone();
}

TEST_F(LinkedStore, OpensAfterAnEndThatLeftTheLog) {
  const auto chat = open_chat();
  must(queue(chat, 1, "waits"));
  const std::string file = read(path());
  const std::string log = read(path() + "-wal");
  close();
  write(path(), file);
  write(path() + "-wal", log);

  auto linked = DeviceStore::open(through_link(), random_, clock_);

  ASSERT_TRUE(linked.ok()) << linked.error().detail;
  EXPECT_EQ(must((*linked)->outbox(chat, 0, 10)).size(), 1u);
  expect_link_alone();
}

TEST_F(LinkedStore, SetsTheFileAsideAndKeepsTheLink) {
  write(path(), std::string(10'000, 'j'));

  const auto refused = DeviceStore::open(through_link(), random_, clock_);

  ASSERT_EQ(refused.code(), Code::kCorrupt);
  EXPECT_THAT(refused.error().detail, HasSubstr("store.db.corrupt-1 beside the file"));
  EXPECT_EQ(read(path() + ".corrupt-1"), std::string(10'000, 'j'));
  expect_link_alone();
}

TEST_F(StoreFiles, AreAllClosedAtTheEnd) {
  FaultVfs vfs("closes");
  base_vfs_ = "closes";
  open_chat();
  EXPECT_GT(vfs.open_files, 0);

  close();

  EXPECT_EQ(vfs.open_files, 0);
  EXPECT_FALSE(std::filesystem::exists(path() + "-wal"));
  base_vfs_.clear();
}

TEST_F(StoreFiles, NeedAPathAndAKey) {
  auto without_key = options();
  without_key.key = nullptr;
  EXPECT_EQ(DeviceStore::open(without_key, random_, clock_).code(), Code::kInvalidArgument);
  auto without_path = options();
  without_path.path.clear();
  EXPECT_EQ(DeviceStore::open(without_path, random_, clock_).code(), Code::kInvalidArgument);
}

TEST_F(StoreFiles, NeedTheirDirectory) {
  auto elsewhere = options();
  elsewhere.path = (directory_ / "missing" / "store.db").string();
  const auto refused = DeviceStore::open(elsewhere, random_, clock_);
  EXPECT_EQ(refused.code(), Code::kStorage);
  EXPECT_THAT(refused.error().detail, HasSubstr("missing"));

  elsewhere.path = directory_.string();
  EXPECT_EQ(DeviceStore::open(elsewhere, random_, clock_).code(), Code::kStorage);
}

TEST_F(StoreFiles, ThatAreNotRegularAreRefusedWithoutBeingOpened) {
  reopen();
  close();
  for (const char* suffix : {"", "-wal", "-journal", "-lock"}) {
    const std::filesystem::path file = path() + suffix;
    const std::filesystem::path aside = path() + "-aside";
    std::error_code absent;
    std::filesystem::rename(file, aside, absent);
    ASSERT_EQ(mkfifo(file.c_str(), 0600), 0);

    const auto refused = try_open();

    EXPECT_EQ(refused.code(), Code::kStorage) << suffix;
    EXPECT_THAT(refused.error().detail, HasSubstr("not a regular file: " + file.string()));
    std::filesystem::remove(file);
    if (!absent) std::filesystem::rename(aside, file);
  }
  EXPECT_TRUE(try_open().ok()) << "nothing was changed";
}

TEST_F(StoreFiles, MustExistMakesNothing) {
  auto existing = options();
  existing.must_exist = true;
  EXPECT_EQ(DeviceStore::open(existing, random_, clock_).code(), Code::kNotFound);
  EXPECT_TRUE(std::filesystem::is_empty(directory_));

  reopen();
  close();
  EXPECT_TRUE(DeviceStore::open(existing, random_, clock_).ok());
}

TEST_F(StoreFiles, TellAWrongKeyAndStayAsTheyAre) {
  open_as_ann();
  close();
  const std::string before = read(path());
  key_ = StoreKey::copy_of(std::string(32, 'x'));

  EXPECT_EQ(try_open().code(), Code::kWrongKey);

  EXPECT_EQ(read(path()), before);
  key_ = StoreKey::copy_of(std::string(32, 'k'));
  EXPECT_TRUE(try_open().ok());
}

TEST_F(StoreFiles, TellATamperedPageAndStayAsTheyAre) {
  const auto chat = open_chat();
  for (std::uint64_t id = 1; id <= 20; ++id) must(queue(chat, id, std::string(500, 'm')));
  close();
  std::string bytes = read(path());
  bytes[bytes.size() - 2'000] = static_cast<char>(bytes[bytes.size() - 2'000] ^ 1);
  write(path(), bytes);

  EXPECT_EQ(try_open().code(), Code::kTampered);

  EXPECT_EQ(read(path()), bytes);
}

TEST_F(StoreFiles, SetACorruptFileAsideAndSayWhere) {
  write(path(), std::string(10'000, 'j'));
  write(path() + "-wal", "log");

  auto refused = try_open();
  ASSERT_EQ(refused.code(), Code::kCorrupt);
  EXPECT_THAT(refused.error().detail, HasSubstr("store.db.corrupt-1"));
  EXPECT_THAT(refused.error().detail, Not(HasSubstr(directory_.string())));
  EXPECT_FALSE(std::filesystem::exists(path()));
  EXPECT_EQ(read(path() + ".corrupt-1"), std::string(10'000, 'j'));
  EXPECT_EQ(read(path() + ".corrupt-1-wal"), "log");

  write(path(), "again, and shorter");
  refused = try_open();
  EXPECT_THAT(refused.error().detail, HasSubstr("store.db.corrupt-2"));
}

TEST_F(StoreFiles, NeverPassForNewWhenSomethingIsLeft) {
  open_as_ann();
  close();
  const std::string whole = read(path());
  write(path(), whole.substr(0, 100));
  EXPECT_EQ(try_open().code(), Code::kCorrupt);
  EXPECT_EQ(read(path() + ".corrupt-1"), whole.substr(0, 100));

  write(path() + "-wal", "a log alone");
  EXPECT_EQ(try_open().code(), Code::kCorrupt);
  EXPECT_EQ(read(path() + ".corrupt-2-wal"), "a log alone");

  write(path(), "");
  EXPECT_EQ(try_open().code(), Code::kCorrupt);
}

TEST_F(StoreFiles, OfALaterSchemaAreLeftAlone) {
  open_as_ann();
  close();
  meddle("PRAGMA user_version = 99;");
  const std::string before = read(path());

  const auto refused = try_open();

  EXPECT_EQ(refused.code(), Code::kSchemaTooNew);
  EXPECT_THAT(refused.error().detail, HasSubstr("99"));
  EXPECT_EQ(read(path()), before);
}

TEST_F(StoreFiles, ThatCannotBeWrittenAreReadOnly) {
  FaultVfs vfs("reads");
  base_vfs_ = "reads";
  open_as_ann();
  close();
  vfs.open_read_only = true;

  EXPECT_EQ(try_open().code(), Code::kReadOnly);

  vfs.open_read_only = false;
  reopen();
  vfs.write_result = SQLITE_READONLY;
  EXPECT_EQ(store_->ensure_direct(kBob).code(), Code::kReadOnly);
  vfs.write_result = SQLITE_OK;
  EXPECT_TRUE(store_->ensure_direct(kBob).ok());
  close();
  base_vfs_.clear();
}

TEST_F(StoreFiles, InADirectoryThatCannotBeWrittenAreReadOnly) {
  // Nothing is forbidden to the superuser.
  const bool is_root = ::geteuid() == 0;
  constexpr uid_t kNobody = 65'534;
  ASSERT_EQ(::chmod(directory_.c_str(), 0555), 0);
  if (is_root) {
    ASSERT_EQ(::seteuid(kNobody), 0);
  }

  const auto refused = try_open();

  if (is_root) {
    ASSERT_EQ(::seteuid(0), 0);
  }
  ASSERT_EQ(::chmod(directory_.c_str(), 0755), 0);
  EXPECT_EQ(refused.code(), Code::kReadOnly);
  EXPECT_THAT(refused.error().detail, HasSubstr(path()));
  EXPECT_EQ(refused.error().cause, (Cause{CauseDomain::kSystem, EACCES}));
  EXPECT_TRUE(try_open().ok());
}

TEST_F(StoreFiles, HavePathsThatLeaveRoomForTheirNeighbours) {
  std::filesystem::path deep = directory_;
  while (deep.native().size() < limits::kStorePathBytesMax - 150) deep /= std::string(100, 'd');
  std::filesystem::create_directories(deep);
  const std::size_t left = limits::kStorePathBytesMax - deep.native().size() - 1;
  const auto opened_at = [&](const std::filesystem::path& file) {
    auto given = options();
    given.path = file.string();
    return DeviceStore::open(given, random_, clock_);
  };

  EXPECT_TRUE(opened_at(deep / std::string(left - 1, 'a')).ok());
  EXPECT_TRUE(opened_at(deep / std::string(left, 'a')).ok());
  for (const std::size_t bytes : {left + 1, left + 20}) {
    const auto refused = opened_at(deep / std::string(bytes, 'a'));
    EXPECT_EQ(refused.code(), Code::kTooLarge);
    EXPECT_THAT(refused.error().detail,
                HasSubstr(std::to_string(limits::kStorePathBytesMax + bytes - left) + " B, limit 500"));
  }
  EXPECT_TRUE(opened_at(directory_ / std::string(limits::kStoreNameBytesMax - 1, 'a')).ok());
  EXPECT_TRUE(opened_at(directory_ / std::string(limits::kStoreNameBytesMax, 'a')).ok());
  for (const std::size_t bytes :
       {limits::kStoreNameBytesMax + 1, std::size_t{255}, std::size_t{256}, std::size_t{300}}) {
    const auto refused = opened_at(directory_ / std::string(bytes, 'a'));
    EXPECT_EQ(refused.code(), Code::kTooLarge) << bytes;
    EXPECT_EQ(refused.error().detail, "name of the file " + std::to_string(bytes) + " B, limit 240 B");
  }
}

TEST_F(StoreFiles, FullAtOpeningIsToldAndLeavesNothingHalfMade) {
  FaultVfs vfs("full-at-once");
  base_vfs_ = "full-at-once";
  // However far it gets, the next attempt with room succeeds.
  for (int writes = 0; writes < 30; ++writes) {
    vfs.write_result = SQLITE_FULL;
    vfs.allowed_writes = writes;
    const auto refused = try_open();
    if (refused.ok()) break;
    EXPECT_EQ(refused.code(), Code::kStorageFull) << writes << " " << refused.error().detail;
    EXPECT_EQ(vfs.open_files, 0);
  }
  vfs.write_result = SQLITE_OK;
  reopen();
  must(store_->save_session(session()));
  close();
  base_vfs_.clear();
}

TEST_F(StoreFiles, AFullDiskChangesNothingAndTheStoreGoesOn) {
  FaultVfs vfs("full");
  base_vfs_ = "full";
  const auto chat = open_chat();
  must(queue(chat, 1, "first"));
  const auto revision = store_->revision();

  // Every operation, with the disk full after each possible number of writes, until it succeeds.
  const auto until_room = [&](auto operation) {
    for (int writes = 0;; ++writes) {
      vfs.write_result = SQLITE_FULL;
      vfs.allowed_writes = writes;
      const Code code = operation();
      vfs.write_result = SQLITE_OK;
      if (code == Code::kOk) return writes;
      EXPECT_EQ(code, Code::kStorageFull) << writes;
      EXPECT_EQ(store_->revision(), revision);
      EXPECT_THAT(history(chat), ElementsAre("-:first"));
      EXPECT_EQ(must(store_->cursor(kChat))->seq, 1u);
      EXPECT_EQ(must(store_->outbox(chat, 0, 10)).size(), 1u);
      if (writes > 200) return -1;
    }
  };
  EXPECT_GT(
      until_room([&] { return store_->apply(ItemsOf(kChat, 1).message(kBob, 5, std::string(20'000, 'b'))).code(); }),
      0);

  must(queue(chat, 2, "second"));
  EXPECT_EQ(store_->revision(), revision + 2);
  EXPECT_EQ(must(store_->outbox(chat, 0, 10)).size(), 2u);
  EXPECT_EQ(unread(chat), 1u);
  reopen();
  EXPECT_EQ(must(store_->outbox(chat, 0, 10)).size(), 2u);
  close();
  base_vfs_.clear();
}

TEST_F(StoreFiles, AFullDiskDoesNotBarOpening) {
  FaultVfs vfs("full-at-reopening");
  base_vfs_ = "full-at-reopening";
  const auto chat = open_chat();
  must(queue(chat, 1, "queued"));
  vfs.write_result = SQLITE_FULL;
  close();  // the log cannot be copied, and stays
  vfs.allowed_writes = 0;

  reopen();

  EXPECT_THAT(history(chat), ElementsAre("-:queued"));
  EXPECT_EQ(must(store_->outbox(chat, 0, 10)).size(), 1u);
  EXPECT_EQ(queue(chat, 2, "more").code(), Code::kStorageFull);
  vfs.write_result = SQLITE_OK;
  must(queue(chat, 2, "more"));
  reopen();
  EXPECT_THAT(history(chat), ElementsAre("-:queued", "-:more"));
  close();
  base_vfs_.clear();
}

TEST_F(StoreFiles, AFullDiskRefusesASendWhole) {
  FaultVfs vfs("full-send");
  base_vfs_ = "full-send";
  const auto chat = open_chat();
  vfs.write_result = SQLITE_FULL;

  EXPECT_EQ(queue(chat, 1, "m").code(), Code::kStorageFull);
  EXPECT_THAT(history(chat), ElementsAre());
  vfs.write_result = SQLITE_OK;

  const auto queued = must(queue(chat, 1, "m"));
  EXPECT_FALSE(queued.repeated);
  EXPECT_EQ(queued.send_number, 1u);
  close();
  base_vfs_.clear();
}

TEST_F(StoreFiles, OneSyncCoversACommit) {
  FaultVfs vfs("counts");
  base_vfs_ = "counts";
  const auto chat = open_chat();
  must(queue(chat, 1, "warm"));
  ItemsOf items(kChat, 1);
  for (std::uint64_t id = 10; id < 74; ++id) items.message(kBob, id, "batch");

  auto before = vfs.syncs;
  must(queue(chat, 2, "one sync"));
  EXPECT_EQ(vfs.syncs - before, 1u);
  before = vfs.syncs;
  must(store_->apply(items));
  EXPECT_EQ(vfs.syncs - before, 1u);
  before = vfs.syncs;
  must(accept(1, 80));
  EXPECT_EQ(vfs.syncs - before, 1u);
  before = vfs.syncs;
  must(store_->apply(items));
  must(store_->mark_read(chat, 0));
  EXPECT_EQ(vfs.syncs - before, 0u);
  close();
  base_vfs_.clear();
}

// ---- What can be read from outside ---------------------------------------------------------------------------------

TEST_F(StoreFiles, HoldNothingReadable) {
  const std::string canary = "canary-5f1c0e";
  const std::vector<std::string> secrets = {canary + "-own",    canary + "-theirs",  canary + "-peer",
                                            canary + "-access", canary + "-refresh", canary + "-detail"};
  reopen();
  auto secret = session();
  secret.access_token = secrets[3];
  secret.refresh_token = secrets[4];
  must(store_->save_session(secret));
  must(store_->begin_epoch(1, kAccount));
  const auto chat = must(store_->ensure_direct(secrets[2]));
  const auto scan = [&](std::string_view when) {
    for (const auto& entry : std::filesystem::recursive_directory_iterator(directory_)) {
      const std::string bytes = read(entry.path());
      for (const auto* word : {"canary-5f1c0e", "SQLite format", "CREATE TABLE", "client_message_id"}) {
        EXPECT_EQ(bytes.find(word), std::string::npos) << word << " in " << entry.path() << " " << when;
      }
    }
  };
  ItemsOf items(kChat, 0);
  items.roster({kAnn, secrets[2]});
  for (std::uint64_t id = 100; id < 160; ++id) items.message(secrets[2], id, secrets[1]);
  must(store_->apply(items));
  must(queue(chat, 1, secrets[0]));
  must(store_->fail(client_id(1), error(Code::kForbidden, secrets[5])));
  scan("with the log");
  must(store_->discard(client_id(1)));
  must(store_->clear_tokens());
  close();
  scan("closed");

  // The same scan finds what is there to be found.
  write(directory_ / "plain", "x" + secrets[0]);
  EXPECT_NE(read(directory_ / "plain").find(canary), std::string::npos);
}

TEST_F(StoreFiles, StayWithinTheirCostPerMessage) {
  const auto chat = open_chat();
  close();
  const auto empty = std::filesystem::file_size(path());
  reopen();
  Seq seq = 1;
  for (int batch = 0; batch < 50; ++batch) {
    ItemsOf items(kChat, seq);
    for (int i = 0; i < 64; ++i) items.message(kBob, ++seq, std::string(88, 'b'));
    must(store_->apply(items));
  }
  close();

  const double cost = static_cast<double>(std::filesystem::file_size(path()) - empty) / (50.0 * 64.0);
  RecordProperty("bytes_per_message", std::to_string(cost));
  EXPECT_LT(cost, 300.0);
  static_cast<void>(chat);
}

}  // namespace
}  // namespace chatsdk
