// SPDX-License-Identifier: Apache-2.0
//
// The device's encrypted store and the server's store on the simulated disk: what they said is done is there after
// every crash, and a bit that flips on the way from the disk is reported, never shown.
#include <algorithm>
#include <map>

#include "server-reference/store/sqlite_store.h"
#include "sim/sim_disk_fixture.h"
#include "sim/sim_disk_lives.h"
#include "store/device_store.h"

namespace chatsdk::sim {
namespace {

constexpr int kDisks = 20;  // each for as many crashes; a store that grows for long is slow to check

ClientMessageId client_id(std::uint64_t number) {
  ClientMessageId id;
  for (std::size_t i = 0; i < 8; ++i) id.bytes[15 - i] = static_cast<unsigned char>(number >> (8 * i));
  return id;
}

Bytes words(std::uint64_t number) {
  return encode_text_content("message " + std::to_string(number) + " " + std::string(number * 37 % 900, 'x'));
}

// ---- The device ----------------------------------------------------------------------------------------------------

// Queues messages to one peer and hears of their acceptance.
class DeviceLives {
 public:
  explicit DeviceLives(std::uint64_t seed) : rig_(seed), lives_(rig_.disk, seed) {}

  void run(int crashes) {
    for (int crash = 0; crash < crashes && !::testing::Test::HasFailure(); ++crash) {
      lives_.begin(1 + lives_.random().below(120));
      const Status ended = live();
      if (rig_.disk.powered()) {
        FAIL() << "life " << crash << ": " << (ended.ok() ? "ended by itself" : ended.error().detail);
      }
      store_.reset();
      lives_.end();
    }
    ASSERT_TRUE(open().ok());
    const Status whole = look(1);
    EXPECT_TRUE(whole.ok()) << whole.error().detail;
    store_.reset();
  }

  std::uint64_t acknowledged() const { return acknowledged_; }
  std::uint64_t accepted() const { return accepted_; }

 private:
  Status open() {
    DeviceStoreOptions options;
    options.path = "/device.db";
    options.key = &key_;
    options.base_vfs = kVfs;
    CHATSDK_ASSIGN(store_, DeviceStore::open(options, keys_, rig_.clock));
    return {};
  }

  Status live() {
    CHATSDK_TRY(open());
    CHATSDK_ASSIGN(const auto owner, store_->owner());
    if (!owner) {
      CHATSDK_TRY(store_->save_session({"ann", DeviceId{7}, "access", from_unix_ms(5'000), "refresh", {}}));
    }
    CHATSDK_ASSIGN(chat_, store_->ensure_direct("bob"));
    CHATSDK_TRY(look(acknowledged_ > 40 ? acknowledged_ - 40 : 1));
    for (;;) {
      if (lives_.random().below(4) == 0 && accepted_ < acknowledged_) {
        CHATSDK_TRY(accept());
      } else {
        CHATSDK_TRY(queue());
      }
    }
  }

  Status queue() {
    const std::uint64_t number = acknowledged_ + 1;
    CHATSDK_ASSIGN(const auto queued, store_->enqueue(chat_, client_id(number), words(number), from_unix_ms(2'000),
                                                      from_unix_ms(9'000'000), false));
    if (queued.send_number != number) return error(Code::kCorrupt, "another send number");
    acknowledged_ = number;
    return {};
  }

  Status accept() {
    const std::uint64_t number = accepted_ + 1;
    accepting_ = number;
    CHATSDK_ASSIGN(const auto changes, store_->accept({{client_id(number), ConversationId{900},
                                                        MessageId{1'000 + number}, number, from_unix_ms(3'000)}}));
    static_cast<void>(changes);
    accepted_ = number;
    return {};
  }

  // Each message from `first` on that was queued is there, in its state, with its content, and nothing else.
  Status look(std::uint64_t first) {
    CHATSDK_ASSIGN(auto reader, store_->open_reader());
    for (std::uint64_t number = first; number <= acknowledged_; ++number) {
      const auto row = reader->message_by_client_id(client_id(number));
      if (row.code() == Code::kNotFound) return error(Code::kCorrupt, "lost message " + std::to_string(number));
      if (!row.ok()) return row.error();
      if (row->content != words(number)) return error(Code::kCorrupt, "changed message " + std::to_string(number));
      const bool sent = row->state == MessageState::kSent;
      if (number <= accepted_ && !sent) return error(Code::kCorrupt, "unsent message " + std::to_string(number));
      if (number > accepting_ && sent) return error(Code::kCorrupt, "never accepted " + std::to_string(number));
    }
    // What was being queued when the life ended is there whole or not at all; queueing it again finds it.
    CHATSDK_ASSIGN(const std::uint64_t waiting, reader->outbox_count());
    const std::uint64_t least = acknowledged_ - accepting_, most = acknowledged_ + 1 - accepted_;
    if (waiting < least || waiting > most) return error(Code::kCorrupt, std::to_string(waiting) + " messages wait");
    return {};
  }

  DiskRig rig_;
  Lives lives_;
  SeededRandom keys_{4'711};
  StoreKey key_ = StoreKey::copy_of(std::string(32, 'k'));
  std::unique_ptr<DeviceStore> store_;
  ConversationKey chat_;
  std::uint64_t acknowledged_ = 0;
  std::uint64_t accepted_ = 0;
  std::uint64_t accepting_ = 0;
};

TEST(SimDiskDeviceStore, WhatWasQueuedOrAcceptedIsThereAfterEveryCrash) {
  std::uint64_t acknowledged = 0, accepted = 0;
  for (int disk = 0; disk < kDisks && !HasFailure(); ++disk) {
    DeviceLives lives(100 + static_cast<std::uint64_t>(disk));
    lives.run(kCrashes / kDisks);
    acknowledged += lives.acknowledged();
    accepted += lives.accepted();
  }
  EXPECT_GT(acknowledged, static_cast<std::uint64_t>(kCrashes));
  EXPECT_GT(accepted, static_cast<std::uint64_t>(kCrashes) / 5);
}

// The process dies anywhere in a commit, the next one finds the commit in the log and answers from it, and then the
// power goes: the answer must hold.
TEST(SimDiskDeviceStore, WhatADeadProcessDidNotSyncIsDurableOnceTheNextAnswersFromIt) {
  DiskRig rig;
  SeededRandom keys{4'711};
  const StoreKey key = StoreKey::copy_of(std::string(32, 'k'));
  DeviceStoreOptions options;
  options.path = "/device.db";
  options.key = &key;
  options.base_vfs = kVfs;
  std::unique_ptr<DeviceStore> store;
  const auto open = [&]() -> Status {
    CHATSDK_ASSIGN(store, DeviceStore::open(options, keys, rig.clock));
    return {};
  };
  const auto queue = [&]() -> Result<DeviceStore::Enqueued> {
    CHATSDK_ASSIGN(const ConversationKey chat, store->ensure_direct("bob"));
    return store->enqueue(chat, client_id(1), words(1), from_unix_ms(2'000), from_unix_ms(9'000'000), false);
  };
  ASSERT_TRUE(open().ok());
  ASSERT_TRUE(store->save_session({"ann", DeviceId{7}, "access", from_unix_ms(5'000), "refresh", {}}).ok());
  store.reset();
  const DiskImage image = rig.disk.snapshot(DiskView::kVisible);

  int repeated = 0;
  for (std::uint64_t point = 1; !HasFailure(); ++point) {
    rig.disk.restore(image);
    ASSERT_TRUE(open().ok());
    rig.disk.crash_after(point, CrashMoment::kBefore);
    const bool survived = queue().ok();
    store.reset();
    if (survived && rig.disk.crash_pending()) break;
    rig.disk.crash(CrashMode::kProcessOnly);

    ASSERT_TRUE(open().ok());
    const auto again = queue();
    ASSERT_TRUE(again.ok()) << again.error().detail;
    if (again->repeated) ++repeated;
    rig.disk.power_off();
    store.reset();
    rig.disk.crash(CrashMode::kDropUnsynced);

    ASSERT_TRUE(open().ok());
    EXPECT_TRUE(store->open_reader().value()->message_by_client_id(client_id(1)).ok()) << "crash at point " << point;
    store.reset();
  }
  EXPECT_GT(repeated, 0);
}

// A store of 120 messages on one disk, all of it in the main file, and what opening and reading it gives while one of
// the reads goes wrong.
class StoredMessages : public testing::Test {
 protected:
  static constexpr std::uint64_t kMessages = 120;

  void SetUp() override {
    options_.path = "/device.db";
    options_.key = &key_;
    options_.base_vfs = kVfs;
    {
      auto store = DeviceStore::open(options_, keys_, rig_.clock);
      ASSERT_TRUE(store.ok()) << store.error().detail;
      ASSERT_TRUE((*store)->save_session({"ann", DeviceId{7}, "access", from_unix_ms(5'000), "refresh", {}}).ok());
      queue(**store, 1, kMessages);
    }
    image_ = rig_.disk.snapshot(DiskView::kVisible);
    ASSERT_FALSE(image_.contains("/device.db-wal")) << "everything is in the main file";
    rig_.disk.on_operation([this](const DiskOperation& operation) {
      if (operation.op == DiskOp::kRead && operation.path == "/device.db" && ++reads_ == struck_) {
        struck_offset_ = operation.offset;
      }
    });
    ASSERT_TRUE(read_all().ok());
    all_reads_ = reads_;
    ASSERT_GT(all_reads_, 30u);
  }

  static void queue(DeviceStore& store, std::uint64_t first, std::uint64_t last) {
    const ConversationKey chat = store.ensure_direct("bob").value();
    for (std::uint64_t number = first; number <= last; ++number) {
      ASSERT_TRUE(
          store.enqueue(chat, client_id(number), words(number), from_unix_ms(2'000), from_unix_ms(9'000'000), false)
              .ok());
    }
  }

  Status read_all() {
    CHATSDK_ASSIGN(auto store, DeviceStore::open(options_, keys_, rig_.clock));
    return read(*store, 1, kMessages);
  }
  // On a connection of its own, which has no page in its cache.
  Status read(DeviceStore& store, std::uint64_t first, std::uint64_t last) {
    CHATSDK_ASSIGN(auto reader, store.open_reader());
    for (std::uint64_t number = first; number <= last; ++number) {
      CHATSDK_ASSIGN(const MessageRow row, reader->message_by_client_id(client_id(number)));
      if (row.content != words(number) || row.state != MessageState::kQueued) ++wrong_;
    }
    return {};
  }
  Status read_all_with(std::uint64_t struck, DiskFailure failure) {
    rig_.disk.restore(image_);
    struck_ = struck;
    reads_ = 0;
    rig_.disk.arm({DiskOp::kRead, struck, failure, false, "/device.db"});
    const Status status = read_all();
    rig_.disk.clear_faults();
    return status;
  }

  DiskRig rig_;
  SeededRandom keys_{4'711};
  const StoreKey key_ = StoreKey::copy_of(std::string(32, 'k'));
  DeviceStoreOptions options_;
  DiskImage image_;
  std::uint64_t all_reads_ = 0;
  std::uint64_t reads_ = 0;
  std::uint64_t struck_ = 0;
  std::int64_t struck_offset_ = 0;
  std::uint64_t wrong_ = 0;  // messages that were shown as they are not
};

// One bit of one read is flipped, each read of opening and reading a store in turn. The store says so or shows what is
// right; it may pass over a flip only where it has the same twice, in the descriptions before page 1 and page 1's
// header.
TEST_F(StoredMessages, AFlippedBitOfAnyReadOfTheMainFileIsReported) {
  std::uint64_t reported = 0;
  for (int round = 0; round < 3; ++round) {
    for (std::uint64_t struck = 1; struck <= all_reads_; ++struck) {
      const Status status = read_all_with(struck, DiskFailure::kFlippedBit);
      if (status.ok()) {
        EXPECT_LE(struck_offset_, 4'096) << "read " << struck << " at " << struck_offset_ << " went unreported";
      } else {
        ++reported;
        EXPECT_TRUE(status.code() == Code::kTampered || status.code() == Code::kCorrupt)
            << code_name(status.code()) << " " << status.error().detail;
      }
      EXPECT_EQ(wrong_, 0u);
    }
  }
  EXPECT_GT(reported, all_reads_ * 2);
}

// In the log of a process that goes on, where zeros or an older page would be content.
TEST_F(StoredMessages, AFlippedBitOfAnyReadOfTheLogInUseIsReported) {
  constexpr std::uint64_t kNew = kMessages / 2;  // so few that no checkpoint takes them out of the log
  rig_.disk.restore(image_);
  auto store = DeviceStore::open(options_, keys_, rig_.clock);
  ASSERT_TRUE(store.ok()) << store.error().detail;
  queue(**store, kMessages + 1, kMessages + kNew);
  std::uint64_t log_reads = 0;
  rig_.disk.on_operation([&log_reads](const DiskOperation& operation) {
    if (operation.op == DiskOp::kRead && operation.path == "/device.db-wal") ++log_reads;
  });
  const auto read_new = [&] { return read(**store, kMessages + 1, kMessages + kNew); };
  ASSERT_TRUE(read_new().ok());
  const std::uint64_t all = log_reads;
  ASSERT_GT(all, 4u);

  for (int round = 0; round < 20; ++round) {
    for (std::uint64_t struck = 1; struck <= all; ++struck) {
      rig_.disk.arm({DiskOp::kRead, struck, DiskFailure::kFlippedBit, false, "-wal"});
      const Status status = read_new();
      rig_.disk.clear_faults();
      EXPECT_EQ(status.code(), Code::kStorage) << "read " << struck << ": " << code_name(status.code());
    }
  }
  EXPECT_TRUE(read_new().ok());
  EXPECT_EQ(wrong_, 0u);
}

// As the flipped bit: SQLite takes what a short read lacks for zeros, the encryption below it does not.
TEST_F(StoredMessages, AShortReadOfTheMainFileIsReported) {
  std::uint64_t reported = 0;
  for (std::uint64_t struck = 1; struck <= all_reads_; ++struck) {
    const Status status = read_all_with(struck, DiskFailure::kShortRead);
    if (status.ok()) {
      EXPECT_LE(struck_offset_, 4'096) << "read " << struck << " at " << struck_offset_ << " went unreported";
    } else {
      ++reported;
    }
    EXPECT_EQ(wrong_, 0u);
  }
  EXPECT_GT(reported, all_reads_ / 2);
}

// Each operation of clearing the log fails in turn. However the process goes on from there, the store opens again.
TEST_F(StoredMessages, OpenWhateverBecameOfClearingTheirLog) {
  enum class After { kLeave, kWriteAndLeave, kDie };
  std::uint64_t failed = 0;
  for (const After after : {After::kLeave, After::kWriteAndLeave, After::kDie}) {
    for (std::uint64_t struck = 1; !HasFailure(); ++struck) {
      rig_.disk.restore(image_);
      auto store = DeviceStore::open(options_, keys_, rig_.clock);
      ASSERT_TRUE(store.ok()) << store.error().detail;
      queue(**store, kMessages + 1, kMessages + 3);
      rig_.disk.reset_counters();
      rig_.disk.arm({std::nullopt, struck, DiskFailure::kIoError, false, {}});
      const bool cleared = (*store)->clear_log().ok();
      rig_.disk.clear_faults();
      if (rig_.disk.counters().failed() == 0) break;
      failed += cleared ? 0 : 1;
      const std::uint64_t last = kMessages + (after == After::kWriteAndLeave ? 4 : 3);
      queue(**store, kMessages + 4, last);
      if (after == After::kDie) rig_.disk.power_off();
      store->reset();
      if (after == After::kDie) rig_.disk.crash(CrashMode::kDropUnsynced);

      auto opened = DeviceStore::open(options_, keys_, rig_.clock);
      ASSERT_TRUE(opened.ok()) << "operation " << struck << ": " << opened.error().detail;
      EXPECT_TRUE(read(**opened, 1, last).ok()) << "operation " << struck;
    }
  }
  EXPECT_EQ(wrong_, 0u);
  EXPECT_GT(failed, 20u);
}

// ---- The server ----------------------------------------------------------------------------------------------------

using namespace server;

class ServerLives {
 public:
  explicit ServerLives(std::uint64_t seed) : rig_(seed), lives_(rig_.disk, seed) {}

  void run(int crashes) {
    for (int crash = 0; crash < crashes && !::testing::Test::HasFailure(); ++crash) {
      lives_.begin(1 + lives_.random().below(150));
      const Status ended = live();
      if (rig_.disk.powered()) {
        FAIL() << "life " << crash << ": " << (ended.ok() ? "ended by itself" : ended.error().detail);
      }
      store_.reset();
      lives_.end();
    }
    ASSERT_TRUE(open().ok());
    const Status whole = look(0);
    EXPECT_TRUE(whole.ok()) << whole.error().detail;
    store_.reset();
  }

  std::uint64_t acknowledged() const { return acknowledged_; }

 private:
  Status open() {
    CHATSDK_ASSIGN(store_, SqliteStore::open({"/chat.db", kVfs, 7, true, 24}, ids_));
    if (epoch_ != 0 && store_->epoch() != epoch_) return error(Code::kCorrupt, "another epoch");
    epoch_ = store_->epoch();
    return {};
  }

  Result<WriteAnswer> commit(WriteOp op) {
    CHATSDK_ASSIGN(CommitResult result, store_->commit({&op, 1}));
    return std::move(result.answers.front());
  }

  Status live() {
    CHATSDK_TRY(open());
    if (!device_) {
      for (const char* user : {"ann", "bob"}) {
        Account account;
        account.user_id = user;
        CHATSDK_TRY(commit(EnsureAccount{account}));
      }
      OpenSession opening;
      opening.user_id = "ann";
      opening.device_name = "phone";
      opening.installation_id = Bytes(16, 'i');
      opening.now = rig_.clock.wall_now();
      opening.expires = opening.now + std::chrono::hours(1'000);
      CHATSDK_ASSIGN(const WriteAnswer opened, commit(opening));
      device_ = std::get<SessionOpened>(opened).session.device_id;
    }
    CHATSDK_TRY(look(acknowledged_ > 30 ? acknowledged_ - 30 : 0));
    for (;;) CHATSDK_TRY(append());
  }

  AppendMessage message(std::uint64_t number) const {
    AppendMessage op;
    op.sender = "ann";
    op.sender_device = device_;
    op.target = {{}, "bob"};
    op.client_message_id = client_id(number);
    op.send_number = number;
    op.content = words(number);
    op.payload_hash = payload_hash(op.content);
    op.now = rig_.clock.wall_now();
    return op;
  }

  // A batch of messages that begins with one that was answered before.
  Status append() {
    std::vector<WriteOp> ops;
    const std::uint64_t repeated = acknowledged_ > 0 ? 1 : 0;
    if (repeated != 0) ops.emplace_back(message(acknowledged_));
    const std::uint64_t fresh = 1 + acknowledged_ % 4;  // the same batch when a life repeats what the last one began
    for (std::uint64_t n = 1; n <= fresh; ++n) ops.emplace_back(message(acknowledged_ + n));
    attempted_ = acknowledged_ + fresh;
    CHATSDK_ASSIGN(const CommitResult result, store_->commit(ops));
    for (std::size_t i = 0; i < ops.size(); ++i) {
      const std::uint64_t number = acknowledged_ + 1 - repeated + i;
      const Result<WriteAnswer>& answer = result.answers[i];
      if (!answer.ok()) return error(Code::kCorrupt, "refused: " + answer.error().detail);
      const auto& appended = std::get<Appended>(*answer);
      const auto [known, is_new] = answers_.emplace(number, appended);
      conversation_ = appended.conversation_id;
      if (!is_new && (known->second.seq != appended.seq || known->second.message_id != appended.message_id)) {
        return error(Code::kCorrupt, "another answer to a repeat");
      }
      if (i < repeated && !appended.repeated) return error(Code::kCorrupt, "a repeat was taken for new");
    }
    acknowledged_ = attempted_;
    return {};
  }

  // Every message from `after` on that was answered lies at its place, with its content.
  Status look(std::uint64_t after) {
    if (acknowledged_ == 0) return {};
    CHATSDK_ASSIGN(auto reader, store_->open_reader());
    const Seq before = answers_.at(after + 1).seq - 1;
    const auto page = reader->items("bob", {}, StreamId{conversation_.value}, before, 100'000, 1 << 30);
    if (!page.ok()) return page.error().code == Code::kNotFound ? error(Code::kCorrupt, "no stream") : page.error();
    const std::uint64_t found = page->items.size();
    if (found < acknowledged_ - after) return error(Code::kCorrupt, "lost messages");
    if (found > acknowledged_ - after && found != attempted_ - after) return error(Code::kCorrupt, "half a batch");
    for (std::uint64_t number = after + 1; number <= acknowledged_; ++number) {
      wire::Item item;
      if (!item.ParseFromString(*page->items[number - after - 1])) return error(Code::kCorrupt, "no item");
      const Appended& answer = answers_.at(number);
      if (item.seq() != answer.seq || item.content() != words(number)) return error(Code::kCorrupt, "another item");
    }
    return {};
  }

  DiskRig rig_;
  Lives lives_;
  SeededRandom ids_{42};
  std::unique_ptr<SqliteStore> store_;
  std::uint64_t epoch_ = 0;
  DeviceId device_;
  ConversationId conversation_;
  std::map<std::uint64_t, Appended> answers_;
  std::uint64_t acknowledged_ = 0;
  std::uint64_t attempted_ = 0;
};

TEST(SimDiskServerStore, WhatCommitAnsweredIsThereAfterEveryCrash) {
  std::uint64_t acknowledged = 0;
  for (int disk = 0; disk < kDisks && !HasFailure(); ++disk) {
    ServerLives lives(200 + static_cast<std::uint64_t>(disk));
    lives.run(kCrashes / kDisks);
    acknowledged += lives.acknowledged();
  }
  EXPECT_GT(acknowledged, static_cast<std::uint64_t>(kCrashes));
}

// As of the device's store above. The epoch file must not count the commit before the log holds it for good either,
// else the server takes itself for restored from a backup.
TEST(SimDiskServerStore, WhatADeadProcessDidNotSyncIsDurableOnceTheNextAnswersFromIt) {
  DiskRig rig;
  SeededRandom ids{42};
  std::unique_ptr<SqliteStore> store;
  const auto open = [&]() -> Status {
    CHATSDK_ASSIGN(store, SqliteStore::open({"/chat.db", kVfs, 7, true, 24}, ids));
    return {};
  };
  const auto create = [&]() -> Code {
    Account account;
    account.user_id = "ann";
    const WriteOp op = CreateAccount{account};
    const auto result = store->commit({&op, 1});
    return result.ok() ? result->answers.front().code() : result.code();
  };
  ASSERT_TRUE(open().ok());
  const std::uint64_t epoch = store->epoch();
  store.reset();
  const DiskImage image = rig.disk.snapshot(DiskView::kVisible);

  int repeated = 0;
  for (std::uint64_t point = 1; !HasFailure(); ++point) {
    rig.disk.restore(image);
    ASSERT_TRUE(open().ok());
    rig.disk.crash_after(point, CrashMoment::kBefore);
    const bool survived = create() == Code::kOk;
    store.reset();
    if (survived && rig.disk.crash_pending()) break;
    rig.disk.crash(CrashMode::kProcessOnly);

    ASSERT_TRUE(open().ok());
    const Code again = create();
    ASSERT_TRUE(again == Code::kOk || again == Code::kAlreadyExists);
    if (again == Code::kAlreadyExists) ++repeated;
    rig.disk.power_off();
    store.reset();
    rig.disk.crash(CrashMode::kDropUnsynced);

    ASSERT_TRUE(open().ok());
    EXPECT_EQ(store->epoch(), epoch) << "crash at point " << point;
    EXPECT_EQ(create(), Code::kAlreadyExists) << "crash at point " << point;
    store.reset();
  }
  EXPECT_GT(repeated, 0);
}

}  // namespace
}  // namespace chatsdk::sim
