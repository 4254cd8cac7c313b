// SPDX-License-Identifier: Apache-2.0
//
// What the SQLite store adds to the contract: files, failing disks, restored copies.
//
// Threads: one.
#include <fstream>
#include <map>

#include "server-reference/store/item_row.h"
#include "server-reference/store/schema.h"
#include "tests/unit/server/disk_vfs.h"
#include "tests/unit/server/key_rows.h"
#include "tests/unit/server/sqlite_harness.h"

namespace chatsdk::server {
namespace {

namespace fs = std::filesystem;

class SqliteStoreTest : public StoreContract {
 protected:
  void use(const std::string& vfs_name) {
    harness_.reset();
    harness_ = std::make_unique<SqliteHarness>(vfs_name);
  }
  SqliteHarness& sqlite() { return static_cast<SqliteHarness&>(*harness_); }
  std::string path() { return sqlite().path(); }
  Code open_code() { return sqlite().try_open().code(); }
  std::vector<WriteOp> accounts(int count) {
    std::vector<WriteOp> ops;
    for (int i = 0; i < count; ++i) ops.push_back(CreateAccount{account("user" + std::to_string(next_user_++))});
    return ops;
  }
  Code commit_code(const std::vector<WriteOp>& ops) { return store().commit(ops).code(); }

  int next_user_ = 0;
};

std::string content_of(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

void overwrite(const std::string& path, const std::string& content) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << content;
}

// ---- Durability ----------------------------------------------------------------------------------------------------

class FailingDisk : public SqliteStoreTest {
 protected:
  FailingDisk() { use(DiskVfs::kName); }
  ~FailingDisk() override { harness_.reset(); }

  static void SetUpTestSuite() { disk_ = new DiskVfs(); }
  static void TearDownTestSuite() {
    delete disk_;
    disk_ = nullptr;
  }
  void TearDown() override {
    disk_->write_result = SQLITE_OK;
    disk_->sync_result = SQLITE_OK;
    disk_->read_only = false;
    disk_->index_room = true;
    harness_.reset();
  }
  static DiskVfs* disk_;
};
DiskVfs* FailingDisk::disk_ = nullptr;

TEST_F(FailingDisk, NoAnswerComesBeforeASyncCoversItsRows) {
  for (int i = 0; i < 20; ++i) {
    const std::uint64_t syncs = disk_->log_syncs;
    ASSERT_EQ(commit_code(accounts(3)), Code::kOk);
    EXPECT_GT(disk_->log_syncs, syncs);
    EXPECT_EQ(disk_->unsynced_log_writes, 0u);
  }
}

TEST_F(FailingDisk, ABatchThatChangesNothingCostsNoSync) {
  register_user("ann");
  const std::uint64_t syncs = disk_->log_syncs;
  EXPECT_EQ(code(CreateAccount{account("ann")}), Code::kAlreadyExists);
  EXPECT_EQ(disk_->log_syncs, syncs);
}

TEST_F(FailingDisk, AFullDiskRefusesTheBatchAndTheStoreWorksOn) {
  register_user("ann");
  register_user("bob");
  const DeviceId device = log_in("ann").session.device_id;
  const auto first = write<Appended>(message("ann", device, to_peer("bob"), 1));
  disk_->write_result = SQLITE_FULL;
  EXPECT_EQ(commit_code({message("ann", device, to_peer("bob"), 2), CreateAccount{account("cid")}}),
            Code::kStorageFull);
  EXPECT_EQ(commit_code({message("ann", device, to_peer("bob"), 2)}), Code::kStorageFull);
  disk_->write_result = SQLITE_OK;
  EXPECT_FALSE(reader().account("cid")->has_value());
  EXPECT_EQ(reader().items("bob", {}, first.conversation_id, 0, 10, 1 << 20)->head, 2u);
  const auto second = write<Appended>(message("ann", device, to_peer("bob"), 2));
  EXPECT_FALSE(second.repeated);
  EXPECT_EQ(second.seq, first.seq + 1) << "what was in memory fell back with the disk";
}

TEST_F(FailingDisk, AProbeTellsWhetherTheStoreTakesWrites) {
  write<Done>(ProbeWrite{});
  disk_->write_result = SQLITE_FULL;
  EXPECT_EQ(commit_code({ProbeWrite{}}), Code::kStorageFull) << "also when it changes nothing";
  disk_->write_result = SQLITE_OK;
  write<Done>(ProbeWrite{});
}

TEST_F(FailingDisk, AFailedSyncEndsTheStore) {
  register_user("ann");
  disk_->sync_result = SQLITE_IOERR_FSYNC;
  EXPECT_EQ(commit_code(accounts(1)), Code::kStorage);
  disk_->sync_result = SQLITE_OK;
  EXPECT_EQ(commit_code(accounts(1)), Code::kStorage) << "the state of the disk is unknown from here on";
  EXPECT_EQ(commit_code({}), Code::kStorage);
  harness_->reopen();
  EXPECT_TRUE(reader().account("ann")->has_value());
  EXPECT_EQ(commit_code(accounts(1)), Code::kOk);
}

TEST_F(FailingDisk, AFullDiskDoesNotBarOpening) {
  register_user("ann");
  const std::uint64_t epoch = store().epoch();
  sqlite().close();
  disk_->write_result = SQLITE_FULL;

  harness_->reopen();

  EXPECT_EQ(store().epoch(), epoch);
  EXPECT_TRUE(reader().account("ann")->has_value());
  EXPECT_EQ(commit_code(accounts(1)), Code::kStorageFull);
  disk_->write_result = SQLITE_OK;
  EXPECT_EQ(commit_code(accounts(1)), Code::kOk);
}

TEST_F(FailingDisk, AFullDiskDoesNotBarOpeningAfterACrash) {
  register_user("ann");
  const std::uint64_t epoch = store().epoch();
  TemporaryDirectory left;
  for (const char* suffix : {"", "-wal", "-shm", ".epoch"})
    fs::copy_file(path() + suffix, left.file("chat.db") + suffix);
  SeededRandom random{43};
  SqliteStoreOptions options;
  options.path = left.file("chat.db");
  options.vfs_name = DiskVfs::kName;
  disk_->write_result = SQLITE_FULL;

  auto opened = SqliteStore::open(options, random);

  ASSERT_TRUE(opened.ok()) << opened.error().detail;
  EXPECT_EQ((*opened)->epoch(), epoch);
  EXPECT_TRUE((*(*opened)->open_reader())->account("ann")->has_value());
  EXPECT_EQ((*opened)->commit(accounts(1)).code(), Code::kStorageFull);
  disk_->write_result = SQLITE_OK;
  EXPECT_EQ((*opened)->commit(accounts(1)).code(), Code::kOk);
}

TEST_F(FailingDisk, LogAndIndexKeepTheirRoomWhenTheStoreIsClosed) {
  register_user("ann");

  sqlite().close();

  EXPECT_EQ(fs::file_size(path() + "-wal"), 0u);
  EXPECT_GE(fs::file_size(path() + "-shm"), 32'768u);
}

TEST_F(FailingDisk, AnIndexWithoutRoomRefusesOpeningByItsName) {
  register_user("ann");
  sqlite().close();
  const std::string before = content_of(path());
  disk_->index_room = false;

  const auto refused = sqlite().try_open();

  EXPECT_EQ(refused.code(), Code::kStorageFull);
  EXPECT_EQ(refused.error().detail, "the disk is full: no room for \"" + path() + "-shm\"");
  EXPECT_EQ(content_of(path()), before);
  disk_->index_room = true;
  harness_->reopen();
  EXPECT_TRUE(reader().account("ann")->has_value());
}

TEST_F(FailingDisk, AnIndexThatCannotGrowRefusesTheBatchAndTheStoreWorksOn) {
  sqlite().close();
  SeededRandom random{43};
  SqliteStoreOptions options;
  options.path = path();
  options.vfs_name = DiskVfs::kName;
  options.checkpoint_pages = 1'000'000;
  auto opened = std::move(SqliteStore::open(options, random)).value();
  auto reader = std::move(opened->open_reader()).value();
  disk_->index_room = false;
  // The first region of the index is full after 4,062 pages.
  Code code = Code::kOk;
  for (int batch = 0; code == Code::kOk && batch < 200; ++batch) code = opened->commit(accounts(100)).code();
  EXPECT_EQ(code, Code::kStorageFull);
  EXPECT_EQ(opened->commit(accounts(100)).code(), Code::kStorageFull);
  EXPECT_TRUE(reader->account("user0")->has_value());

  disk_->index_room = true;

  EXPECT_EQ(opened->commit(accounts(1)).code(), Code::kOk);
  EXPECT_TRUE(reader->account("user" + std::to_string(next_user_ - 1))->has_value());
}

TEST_F(FailingDisk, AReadOnlyStoreIsRefusedAtOpen) {
  register_user("ann");
  sqlite().close();
  disk_->read_only = true;
  EXPECT_EQ(open_code(), Code::kReadOnly);
  disk_->read_only = false;
  EXPECT_EQ(open_code(), Code::kOk);
}

// ---- Files that are not what they should be -------------------------------------------------------------------------

TEST_F(SqliteStoreTest, ANewerSchemaIsRefusedAndLeftAlone) {
  const std::uint64_t epoch = store().epoch();
  sqlite().execute("PRAGMA user_version = " + std::to_string(kStoreSchemaVersion + 1));
  const std::string before = content_of(path());
  EXPECT_EQ(open_code(), Code::kSchemaTooNew);
  EXPECT_EQ(content_of(path()), before);
  sqlite().execute("PRAGMA user_version = " + std::to_string(kStoreSchemaVersion));
  harness_->reopen();
  EXPECT_EQ(store().epoch(), epoch);
}

TEST_F(SqliteStoreTest, AFileThatIsNoDatabaseIsRefusedAndLeftAlone) {
  sqlite().close();
  const std::string text(8'192, 'x');
  overwrite(path(), text);
  EXPECT_EQ(open_code(), Code::kCorrupt);
  EXPECT_EQ(content_of(path()), text);
}

TEST_F(SqliteStoreTest, ADamagedPageIsFoundAtOpen) {
  commit(accounts(200));
  sqlite().close();
  std::string content = content_of(path());
  ASSERT_GT(content.size(), 5u * 4'096);
  for (std::size_t i = 4'096; i < content.size(); i += 3) content[i] = static_cast<char>(content[i] ^ 0x5A);
  overwrite(path(), content);
  EXPECT_EQ(open_code(), Code::kCorrupt);
  EXPECT_EQ(content_of(path()), content);
}

TEST_F(SqliteStoreTest, AnotherProgramsDatabaseIsRefused) {
  sqlite().close();
  fs::remove(path());
  sqlite().execute("CREATE TABLE theirs(x)");
  for (const int version : {0, kStoreSchemaVersion, kStoreSchemaVersion + 1, -1}) {
    sqlite().execute("PRAGMA user_version = " + std::to_string(version));
    const std::string before = content_of(path());
    EXPECT_EQ(open_code(), Code::kCorrupt) << version;
    EXPECT_EQ(content_of(path()), before) << version;
  }
}

TEST_F(SqliteStoreTest, AMissingDirectoryIsAnError) {
  SeededRandom random(1);
  SqliteStoreOptions options;
  options.path = path() + ".d/none/chat.db";
  EXPECT_EQ(SqliteStore::open(options, random).code(), Code::kStorage);
}

TEST_F(SqliteStoreTest, AnUnknownVfsIsAnError) {
  SeededRandom random(1);
  SqliteStoreOptions options;
  options.path = path() + "2";
  options.vfs_name = "no-such-vfs";
  EXPECT_EQ(SqliteStore::open(options, random).code(), Code::kInvalidArgument);
}

TEST_F(SqliteStoreTest, OneServerAtATimeHoldsTheStore) {
  EXPECT_EQ(open_code(), Code::kStoreInUse);
  sqlite().close();
  EXPECT_EQ(open_code(), Code::kOk);
}

TEST_F(SqliteStoreTest, ALinkToTheStoreIsTheSameStore) {
  TemporaryDirectory elsewhere;
  SqliteStoreOptions linked;
  linked.path = elsewhere.file("alias.db");
  linked.node = 7;
  fs::create_symlink(path(), linked.path);
  SeededRandom random{43};
  EXPECT_EQ(SqliteStore::open(linked, random).code(), Code::kStoreInUse);

  const std::uint64_t epoch = store().epoch();
  sqlite().close();
  auto opened = SqliteStore::open(linked, random);
  ASSERT_TRUE(opened.ok());
  EXPECT_EQ((*opened)->epoch(), epoch) << "the epoch's file is beside the store itself";
  EXPECT_EQ(open_code(), Code::kStoreInUse);
}

TEST_F(SqliteStoreTest, AHardLinkToTheStoreIsTheSameStore) {
  TemporaryDirectory elsewhere;
  SqliteStoreOptions linked;
  linked.path = elsewhere.file("other.db");
  fs::create_hard_link(path(), linked.path);
  SeededRandom random{43};

  EXPECT_EQ(SqliteStore::open(linked, random).code(), Code::kStoreInUse);

  sqlite().close();
  EXPECT_TRUE(SqliteStore::open(linked, random).ok());
}

TEST_F(SqliteStoreTest, AnOpeningCutShortAfterTheTablesIsStillNew) {
  sqlite().execute("DELETE FROM progress; DELETE FROM meta");
  harness_->reopen();
  EXPECT_NE(store().epoch(), 0u);
  EXPECT_EQ(store().secret().size(), 32u);
}

TEST_F(SqliteStoreTest, AStoreWithoutItsSecretIsCorrupt) {
  sqlite().execute("DELETE FROM meta WHERE name = 'secret'");
  EXPECT_EQ(open_code(), Code::kCorrupt);
}

// ---- The epoch -----------------------------------------------------------------------------------------------------

TEST_F(SqliteStoreTest, AnOlderCopyGetsANewEpoch) {
  commit(accounts(1));
  const std::uint64_t epoch = store().epoch();
  const Bytes secret = store().secret();
  sqlite().close();
  const std::string copy = content_of(path());
  harness_->reopen();
  EXPECT_EQ(store().epoch(), epoch);
  commit(accounts(1));
  sqlite().close();
  overwrite(path(), copy);
  harness_->reopen();
  const std::uint64_t restored = store().epoch();
  EXPECT_NE(restored, epoch);
  EXPECT_EQ(store().secret(), secret) << "tokens stay valid";
  harness_->reopen();
  EXPECT_EQ(store().epoch(), restored) << "once is enough";
}

TEST_F(SqliteStoreTest, AnOlderCopyForgetsWhatDevicesAcknowledged) {
  commit(accounts(1));
  sqlite().close();
  sqlite().execute("INSERT INTO cursor(device_id, stream_id, acked) VALUES (1, 2, 3)");
  const std::string copy = content_of(path());
  harness_->reopen();
  commit(accounts(1));
  sqlite().close();
  EXPECT_EQ(sqlite().count("SELECT sum(acked) FROM cursor"), 3) << "another opening of the same store keeps them";
  overwrite(path(), copy);
  harness_->reopen();
  sqlite().close();
  EXPECT_EQ(sqlite().count("SELECT sum(acked) FROM cursor"), 0);
}

TEST_F(SqliteStoreTest, AnOlderCopyShowsWhatADeviceMayHaveHadWithoutItsSlice) {
  std::map<UserId, DeviceId> devices;
  for (const char* user : {"ann", "bob"}) {
    register_user(user);
    const DeviceId device = devices[user] = log_in(user).session.device_id;
    PublishLists list{user,  device, hash_named(user), {list_of(1, {record_of(device)})}, {record_of(device)},
                      false, now()};
    write<ListsPublished>(list);
  }
  const auto sent = [&](std::uint64_t number) {
    AppendMessage op = message("ann", devices["ann"], to_peer("bob"), number);
    op.content.clear();
    EncryptedParts parts;
    parts.slices = {{devices["bob"], "slice " + std::to_string(number)}};
    parts.own_list_version = parts.peer_list_version = 1;
    parts.counter = number;
    op.encrypted = std::make_shared<const EncryptedParts>(std::move(parts));
    return write<Appended>(op).conversation_id;
  };
  const ConversationId conversation = sent(1);
  sent(2);
  write<Done>(AdvanceCursor{devices["bob"], conversation, 2});
  sqlite().close();
  const std::string copy = content_of(path());
  harness_->reopen();
  write<Done>(AdvanceCursor{devices["bob"], conversation, 3});
  sqlite().close();
  overwrite(path(), copy);
  harness_->reopen();
  for (const auto& stream : *reader().followed("bob", devices["bob"])) EXPECT_EQ(stream.acknowledged, 0u);
  sent(3);
  const auto items = read("bob", conversation, 1, 10, 1 << 20, devices["bob"]);
  ASSERT_EQ(items.size(), 3u);
  EXPECT_EQ(items[0].kind(), wire::ITEM_KIND_MESSAGE);
  EXPECT_EQ(items[0].client_message_id(), message("ann", devices["ann"], {}, 1).client_message_id.view());
  EXPECT_TRUE(items[0].slice().empty()) << "gone before the copy was made";
  EXPECT_EQ(items[1].slice(), "slice 2") << "acknowledged after that";
  EXPECT_EQ(items[2].slice(), "slice 3");
  write<Done>(AdvanceCursor{devices["bob"], conversation, 4});
  // Also to one that it does not know from before: it may be that device under another id.
  for (const DeviceId device : {devices["bob"], log_in("bob", "installation-002").session.device_id}) {
    const auto seen = read("bob", conversation, 1, 10, 1 << 20, device);
    ASSERT_EQ(seen.size(), 3u);
    for (const std::size_t i : {0u, 1u}) {
      EXPECT_EQ(seen[i].kind(), wire::ITEM_KIND_MESSAGE);
      EXPECT_TRUE(seen[i].slice().empty());
    }
    EXPECT_EQ(seen[2].skip_reason(), wire::SKIP_REASON_NOT_LISTED) << "of this epoch";
  }
}

// It may be here again under another id, and never have had the answer.
TEST_F(SqliteStoreTest, WhatADeviceThatIsNoMoreHasSentIsShownToTheOthersOfItsUser) {
  register_user("ann");
  register_user("bob");
  const DeviceId phone = log_in("ann", "installation-001").session.device_id;
  const DeviceId laptop = log_in("ann", "installation-002").session.device_id;
  const DeviceId bob = log_in("bob").session.device_id;
  for (const auto& [user, device] : {std::pair("ann", phone), std::pair("bob", bob)}) {
    PublishLists list{user,  device, hash_named(user), {list_of(1, {record_of(device)})}, {record_of(device)},
                      false, now()};
    write<ListsPublished>(list);
  }
  AppendMessage op = message("ann", phone, to_peer("bob"), 1);
  op.content.clear();
  EncryptedParts parts;
  parts.slices = {{bob, "slice"}};
  parts.own_list_version = parts.peer_list_version = parts.counter = 1;
  op.encrypted = std::make_shared<const EncryptedParts>(std::move(parts));
  const ConversationId conversation = write<Appended>(op).conversation_id;
  const auto seen = [&](const char* user, DeviceId device) {
    return read(user, conversation, 1, 10, 1 << 20, device).at(0);
  };
  EXPECT_EQ(seen("ann", laptop).skip_reason(), wire::SKIP_REASON_NOT_LISTED);
  const DeviceId tablet = log_in("bob", "installation-002").session.device_id;
  write<Done>(EndSessions{"ann", phone, true, now()});
  EXPECT_EQ(seen("ann", laptop).kind(), wire::ITEM_KIND_MESSAGE);
  EXPECT_TRUE(seen("ann", laptop).slice().empty());
  EXPECT_EQ(seen("bob", tablet).skip_reason(), wire::SKIP_REASON_NOT_LISTED) << "none of bob's";
}

TEST_F(SqliteStoreTest, AnOlderCopyHandsOutNoOneTimePrekeyAgain) {
  register_user("ann");
  const DeviceId device = log_in("ann").session.device_id;
  const Bytes hash(32, 'r');
  write<ListsPublished>(PublishLists{"ann",
                                     device,
                                     Bytes(32, 'k'),
                                     {{1, Bytes(32, '1'), {}, "list", {{device, hash}}}},
                                     {{device, hash, "record"}},
                                     false,
                                     now()});
  write<KeyCounts>(UploadPrekeys{
      "ann", device, hash, {1, "signed"}, {2, "last resort"}, {{3, "one"}, {4, "two"}}, {{5, "kem"}}, 0, now()});
  sqlite().close();
  const std::string copy = content_of(path());
  harness_->reopen();
  const TakeBundles fetch{"ann", {{device, true}}};
  EXPECT_EQ(write<BundlesTaken>(fetch).bundles.at(0).one_time_prekey, "one");
  sqlite().close();
  overwrite(path(), copy);
  harness_->reopen();
  EXPECT_EQ(**reader().key_counts(device), (KeyCounts{0, 0}));
  const auto bundles = write<BundlesTaken>(fetch).bundles;
  ASSERT_EQ(bundles.size(), 1u) << "the device stays reachable";
  EXPECT_EQ(bundles[0].kem_prekey, "last resort");
  EXPECT_TRUE(bundles[0].one_time_prekey.empty());
  sqlite().close();
  EXPECT_EQ(sqlite().count("SELECT count(*) FROM one_time_prekey"), 0);
}

TEST_F(SqliteStoreTest, ACopyTakenWhileRunningGetsANewEpochAfterACrash) {
  commit(accounts(1));
  const std::uint64_t epoch = store().epoch();
  TemporaryDirectory backup;
  for (const char* suffix : {"", "-wal"}) fs::copy_file(path() + suffix, backup.file("copy") + suffix);
  commit(accounts(1));
  const std::string epoch_file = content_of(path() + ".epoch");  // as a killed server leaves it
  sqlite().close();
  overwrite(path() + ".epoch", epoch_file);
  for (const char* suffix : {"", "-wal"}) {
    fs::copy_file(backup.file("copy") + suffix, path() + suffix, fs::copy_options::overwrite_existing);
  }
  harness_->reopen();
  EXPECT_NE(store().epoch(), epoch);
}

TEST_F(SqliteStoreTest, ACrashKeepsTheEpoch) {
  commit(accounts(5));
  const std::uint64_t epoch = store().epoch();
  TemporaryDirectory image;
  for (const char* suffix : {"", "-wal", ".epoch"}) fs::copy_file(path() + suffix, image.file("copy") + suffix);
  sqlite().close();
  for (const char* suffix : {"", "-wal", ".epoch"}) {
    fs::copy_file(image.file("copy") + suffix, path() + suffix, fs::copy_options::overwrite_existing);
  }
  harness_->reopen();
  EXPECT_EQ(store().epoch(), epoch);
  EXPECT_TRUE(reader().account("user4")->has_value());
}

TEST_F(SqliteStoreTest, AMissingOrForeignEpochFileGivesANewEpoch) {
  const std::uint64_t first = store().epoch();
  sqlite().close();
  fs::remove(path() + ".epoch");
  harness_->reopen();
  const std::uint64_t second = store().epoch();
  EXPECT_NE(second, first);
  sqlite().close();
  overwrite(path() + ".epoch", std::string(8'192, 'x'));
  harness_->reopen();
  EXPECT_NE(store().epoch(), second);
}

// As the first opening leaves it that is killed between the commit of the new epoch and the writing of its file.
TEST_F(SqliteStoreTest, AnOpeningCutShortBeforeItsEpochFileIsStillNew) {
  const auto origin = [this] { return dynamic_cast<SqliteStore&>(store()).origin(); };
  const std::uint64_t first = store().epoch();
  const Bytes secret = store().secret();
  sqlite().close();
  for (int killed = 0; killed < 2; ++killed) {
    overwrite(path() + ".epoch", "");
    harness_->reopen();
    EXPECT_EQ(origin(), SqliteStore::Origin::kNew) << killed;
    EXPECT_NE(store().epoch(), first) << "nobody was told it, and a put-back copy would say the same";
    EXPECT_NE(store().secret(), secret);
    sqlite().close();
  }
  harness_->reopen();
  EXPECT_EQ(origin(), SqliteStore::Origin::kContinued);

  // What has accepted anything, or whose file is gone, was put back.
  sqlite().close();
  fs::remove(path() + ".epoch");
  harness_->reopen();
  EXPECT_EQ(origin(), SqliteStore::Origin::kPutBack);
  commit(accounts(1));
  sqlite().close();
  overwrite(path() + ".epoch", "");
  harness_->reopen();
  EXPECT_EQ(origin(), SqliteStore::Origin::kPutBack);
  EXPECT_TRUE(reader().account("user0")->has_value());
}

TEST_F(SqliteStoreTest, OneDamagedSlotOfTheEpochFileIsNotARestore) {
  const std::uint64_t epoch = store().epoch();
  for (const std::size_t offset : {std::size_t{10}, std::size_t{4'096 + 10}}) {
    commit(accounts(1));
    sqlite().close();
    std::string content = content_of(path() + ".epoch");
    ASSERT_GT(content.size(), offset);
    content[offset] = static_cast<char>(content[offset] ^ 1);
    overwrite(path() + ".epoch", content);
    harness_->reopen();
    EXPECT_EQ(store().epoch(), epoch);
  }
}

// ---- Caches --------------------------------------------------------------------------------------------------------

class SmallCaches : public SqliteStoreTest {
 protected:
  SmallCaches() {
    SqliteStoreOptions options;
    options.cached_streams_max = 2;
    options.cached_sessions_max = 2;
    harness_ = std::make_unique<SqliteHarness>("", options);
  }
};

TEST_F(SmallCaches, HoldNoMoreStreamsBetweenCommitsThanTheyMay) {
  EXPECT_EQ(commit_code(accounts(2)), Code::kOk);
  EXPECT_EQ(sqlite().store().cached_streams(), 2u);
  EXPECT_EQ(commit_code(accounts(1)), Code::kOk);
  EXPECT_EQ(sqlite().store().cached_streams(), 0u);
  EXPECT_EQ(commit_code(accounts(5)), Code::kOk);
  EXPECT_EQ(sqlite().store().cached_streams(), 0u);
}

TEST_F(SmallCaches, HoldNoMoreSessionsThanTheyMay) {
  register_user("peer");
  std::size_t expected = 0;
  for (const char* const sender : {"ann", "bob", "cyd"}) {
    register_user(sender);
    const Session session = log_in(sender).session;
    AppendMessage op = message(sender, session.device_id, to_peer("peer"), 1);
    op.session = session.session_id;
    EXPECT_EQ(code(op), Code::kOk);
    expected = expected == 2 ? 1 : expected + 1;
    EXPECT_EQ(sqlite().store().cached_sessions(), expected);
  }
}

TEST_F(SmallCaches, HoldNoMoreMembersThanTheyMay) {
  std::vector<UserId> users;
  for (int i = 0; i < 2 * static_cast<int>(StreamWriter::kMembersPerStream) + 1; ++i) {
    users.push_back("member" + std::to_string(i));
    register_user(users.back());
  }
  const DeviceId device = log_in(users[0]).session.device_id;
  const auto first = write<Appended>(message(users[0], device, to_peer(users[1]), 1));
  for (std::size_t i = 2; i < users.size(); ++i) harness_->begin_membership(first.conversation_id, users[i], 1, 3);
  write<Appended>(message(users[0], device, to_conversation(first.conversation_id), 2));
  EXPECT_EQ(sqlite().store().cached_streams(), 0u) << "one stream with more members than two streams may have";
  harness_->end_membership(first.conversation_id, users[1], 3);
  write<Appended>(message(users[0], device, to_conversation(first.conversation_id), 3));
  EXPECT_EQ(sqlite().store().cached_streams(), 1u);
}

TEST_F(SmallCaches, ReadAgainWhatTheyForgot) {
  register_user("ann");
  const Session session = log_in("ann").session;
  const std::vector<UserId> peers = {"bob", "cyd", "dan"};
  for (const UserId& peer : peers) register_user(peer);
  for (std::uint64_t round = 1; round <= 3; ++round) {
    for (const UserId& peer : peers) {
      AppendMessage op = message("ann", session.device_id, to_peer(peer), round);
      op.session = session.session_id;
      EXPECT_EQ(write<Appended>(op).seq, round + 1);  // behind the roster
      EXPECT_TRUE(write<Appended>(op).repeated);
    }
  }
  EXPECT_EQ(code(message("ann", session.device_id, to_peer("bob"), 3, "another")), Code::kConflict);
}

// ---- Rows ----------------------------------------------------------------------------------------------------------

TEST_F(SqliteStoreTest, RefusedOpsLeaveNoRow) {
  register_user("ann");
  register_user("bob");
  const DeviceId device = log_in("ann").session.device_id;
  const auto rows = [&] {
    std::int64_t sum = 0;
    for (const char* table :
         {"stream",       "item",          "dedup",       "member",          "direct",     "send_number", "mark",
          "mark_advance", "cursor",        "account",     "device",          "session",    "account_key", "device_list",
          "list_entry",   "device_record", "device_keys", "one_time_prekey", "roster",     "roster_due",  "slice",
          "staged",       "link_message",  "edit_of",     "group_info",      "invitation", "join_request"}) {
      sum += sqlite().count(std::string("SELECT count(*) FROM ") + table);
    }
    return sum;
  };
  AppendMessage encrypted = message("ann", device, to_peer("bob"), 1);
  encrypted.content.clear();
  encrypted.encrypted = std::make_shared<const EncryptedParts>(EncryptedParts{.slices = {{device, "slice"}}});
  const std::int64_t before = rows();
  EXPECT_EQ(code(encrypted), Code::kForbidden);
  EXPECT_EQ(code(StageSlices{device, SessionId{7}, client_id(1), 0, {{device, "slice"}}, now()}),
            Code::kUnauthenticated);
  EXPECT_EQ(code(message("ann", device, to_peer("bob"), 2)), Code::kOutOfOrder);
  EXPECT_EQ(code(message("ann", device, to_peer("ann"), 1)), Code::kInvalidArgument);
  EXPECT_EQ(code(message("ann", device, to_peer("nobody"), 1)), Code::kNotFound);
  EXPECT_EQ(code(void_of(message("ann", device, to_peer("bob"), 2))), Code::kOutOfOrder);
  EXPECT_EQ(code(CreateAccount{account("ann")}), Code::kAlreadyExists);
  EXPECT_EQ(code(opening("nobody")), Code::kNotFound);
  EXPECT_EQ(code(AdvanceMarks{"ann", StreamId{5}, 0, 1, 1, now()}), Code::kNotFound);
  EXPECT_EQ(code(PublishLists{"ann", DeviceId{5}, Bytes(32, 'k'), {{1, "hash", {}, "list", {}}}, {}, false, now()}),
            Code::kForbidden);
  EXPECT_EQ(code(UploadPrekeys{"ann", device, "hash", {}, {}, {{1, "one"}}, {}, 0, now()}), Code::kForbidden);
  EXPECT_EQ(code(PutLinkMessage{"ann", device, SessionId{7}, "link", LinkStep::kOffer, "offer", now()}),
            Code::kUnauthenticated);
  GroupOperation group;
  group.user_id = "ann";
  group.operation_id = group.group_id = Bytes(16, 'g');
  group.members_max = 10;
  group.now = now();
  group.change = CreateGroup{{"bob", "nobody"}};
  EXPECT_TRUE(write<OperationDone>(group).refused);
  EXPECT_EQ(rows(), before);
  EXPECT_EQ(sqlite().count("SELECT count(*) FROM operation"), 1) << "but that it was refused";
}

TEST_F(SqliteStoreTest, ManyStreamsOverflowTheCacheWithoutLoss) {
  // Streams that are not in memory are read again: a reopened store has none of them there.
  register_user("ann");
  const DeviceId device = log_in("ann").session.device_id;
  for (int i = 0; i < 20; ++i) register_user("peer" + std::to_string(i));
  for (std::uint64_t number = 1; number <= 2; ++number) {
    std::vector<WriteOp> ops;
    for (int i = 0; i < 20; ++i) ops.push_back(message("ann", device, to_peer("peer" + std::to_string(i)), number));
    const CommitResult result = commit(std::move(ops));
    for (const auto& answer : result.answers) EXPECT_EQ(std::get<Appended>(*answer).seq, number + 1);
    harness_->reopen();
  }
}

TEST_F(SqliteStoreTest, ARemovedDeviceLeavesNoRow) {
  register_user("ann");
  register_user("bob");
  const Session session = log_in("ann").session;
  AppendMessage last = message("ann", session.device_id, to_peer("bob"), 2);
  last.session = session.session_id;
  const auto first = write<Appended>(message("ann", session.device_id, to_peer("bob"), 1));
  write<Done>(AdvanceCursor{session.device_id, first.conversation_id, 1});

  // Its send number changes in the batch that removes it.
  const CommitResult result = commit({last, EndSessions{"ann", session.device_id, true, now()}});

  ASSERT_TRUE(result.answers[0].ok() && result.answers[1].ok());
  for (const char* table : {"device", "session", "send_number", "cursor"}) {
    EXPECT_EQ(sqlite().count(std::string("SELECT count(*) FROM ") + table), 0) << table;
  }
}

TEST_F(SqliteStoreTest, TrimmedItemsAreOneSkipForTheirMembers) {
  register_user("ann");
  register_user("bob");
  const DeviceId device = log_in("ann").session.device_id;
  ConversationId conversation;
  for (std::uint64_t number = 1; number <= 5; ++number) {
    conversation = write<Appended>(message("ann", device, to_peer("bob"), number)).conversation_id;
  }
  sqlite().execute("UPDATE stream SET trimmed_to = 4 WHERE kind = 2; DELETE FROM item WHERE seq <= 4 AND stream_id = " +
                   std::to_string(conversation.value));
  harness_->reopen();
  const auto items = read("bob", conversation);
  ASSERT_EQ(items.size(), 3u);
  EXPECT_EQ(items[0].skip_reason(), wire::SKIP_REASON_TRIMMED);
  EXPECT_EQ(items[0].seq(), 4u);
  EXPECT_EQ(items[1].seq(), 5u);
}

TEST_F(SqliteStoreTest, AHoleInAStreamIsCorruptionAndNeverPassedOver) {
  register_user("ann");
  register_user("bob");
  const DeviceId device = log_in("ann").session.device_id;
  ConversationId conversation;
  for (std::uint64_t number = 1; number <= 5; ++number) {
    conversation = write<Appended>(message("ann", device, to_peer("bob"), number)).conversation_id;
  }
  sqlite().execute("DELETE FROM item WHERE seq = 4 AND stream_id = " + std::to_string(conversation.value));
  harness_->reopen();
  EXPECT_EQ(read_code("bob", conversation), Code::kCorrupt);
}

TEST_F(SqliteStoreTest, TheLogIsCheckpointed) {
  register_user("ann");
  register_user("bob");
  const DeviceId device = log_in("ann").session.device_id;
  std::uintmax_t largest = 0;
  std::uint64_t number = 0;
  for (int batch = 0; batch < 60; ++batch) {
    std::vector<WriteOp> ops;
    for (int i = 0; i < 64; ++i) {
      ops.push_back(message("ann", device, to_peer("bob"), ++number, std::string(8'000, 'x')));
    }
    commit(std::move(ops));
    largest = std::max(largest, fs::file_size(path() + "-wal"));
  }
  EXPECT_LT(largest, std::uintmax_t{24} << 20) << "31 MB of messages went through it";
}

TEST(ItemRow, EncodesAsTheGeneratedCodeDoes) {
  wire::Item item;
  item.set_seq(300);
  item.set_kind(wire::ITEM_KIND_MESSAGE);
  item.set_message_id(0xFEDCBA9876543210);
  item.set_sender_user_id("ann");
  item.set_sender_device_id(7);
  item.set_client_message_id(std::string(16, '\0'));
  item.set_time_ms(1'750'000'000'000);
  item.set_content(std::string(200, 'c'));
  ItemRow row;
  row.seq = item.seq();
  row.kind = item.kind();
  row.message_id = MessageId{item.message_id()};
  row.sender = item.sender_user_id();
  row.sender_device = DeviceId{item.sender_device_id()};
  row.client_message_id = item.client_message_id();
  row.time_ms = item.time_ms();
  row.payload = item.content();
  EXPECT_EQ(encode_item(row), item.SerializeAsString());
}

}  // namespace
}  // namespace chatsdk::server
