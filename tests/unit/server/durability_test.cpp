// SPDX-License-Identifier: Apache-2.0
//
// The server's half of "the acknowledgement comes after the sync": gateway, committer and the SQLite store over a VFS
// that counts. Whenever a frame or an answer leaves, no write of the store is unsynced.
//
// Threads: one.
#include <gtest/gtest.h>

#include <filesystem>

#include "server-reference/store/sqlite_store.h"
#include "support/counting_vfs.h"
#include "unit/server/gateway_world.h"
#include "unit/server/sqlite_harness.h"

namespace chatsdk::server {
namespace {

using namespace std::chrono_literals;
using test::CountingVfs;

class Durability : public ::testing::Test {
 protected:
  void make_world() {
    SqliteStoreOptions options;
    options.path = directory_.file("chat.db");
    options.vfs_name = vfs_.name();
    options.checkpoint_pages = 64;  // so that several fall into a short test
    world_.emplace(GatewayOptions{}, std::move(SqliteStore::open(std::move(options), random_)).value());
    world_->on_frame_out = [this](const wire::ServerFrame& frame) {
      ++frames_[frame.body_case()];
      let_out("a frame of kind " + std::to_string(frame.body_case()));
      if (frame.has_send_result() && frame.send_result().has_accepted()) {
        expect_stored(frame.send_result().accepted().conversation_id(),
                      frame.send_result().accepted().conversation_seq());
      }
      if (frame.has_items()) {
        expect_stored(frame.items().stream_id(), frame.items().items(frame.items().items_size() - 1).seq());
      }
    };
  }

  // What is named is committed, as another connection sees it: writes that were not even begun are not unsynced.
  void expect_stored(std::uint64_t stream, Seq seq) {
    auto db = sqlite::Database::open(directory_.file("chat.db"),
                                     {.mode = sqlite::OpenMode::kReadOnly, .vfs_name = vfs_.name()});
    ASSERT_TRUE(db.ok()) << db.error().detail;
    auto select = db->prepare("SELECT 1 FROM item WHERE stream_id = ?1 AND seq = ?2");
    ASSERT_TRUE(select.ok()) << select.error().detail;
    const auto id = static_cast<std::int64_t>(stream);
    const auto place = static_cast<std::int64_t>(seq);
    EXPECT_TRUE(select->bind(1, id).bind(2, place).step_row().ok());
  }

  void let_out(const std::string& what) {
    ++let_out_;
    const auto unsynced = vfs_.unsynced();
    if (unsynced.empty()) return;
    ++early_;
    if (first_early_.empty()) {
      first_early_ =
          what + " with " + std::to_string(unsynced.begin()->second) + " unsynced writes to " + unsynced.begin()->first;
    }
  }

  // Two users talk with several sends in flight, repeat some, void one and read; one is offline for a while.
  void talk() {
    world_->add_user("ada");
    world_->add_user("bob");
    const World::Device ada = world_->add_device("ada");
    const World::Device bob = world_->add_device("bob");
    TestClient& a = world_->connect(ada);
    TestClient* b = &world_->connect(bob, nullptr, 1);
    std::uint64_t number = 0;
    for (int round = 0; round < 20; ++round) {
      std::vector<wire::ClientFrame> sends;
      for (int n = 0; n < 16; ++n) sends.push_back(world_->text_to("bob", std::string(500, 'x'), ++number));
      for (const wire::ClientFrame& send : sends) a.say(send);
      world_->run();
      a.say(sends.back());
      world_->advance(300ms);
      if (round == 10) b->hang_up();
      if (round == 12) b = &world_->connect(bob, b, 1);
      if (round < 10 || round > 12) {
        ASSERT_FALSE(b->cursors.empty());
        const auto& [conversation, seq] = *b->cursors.rbegin();
        wire::ClientFrame read;
        read.mutable_read()->set_conversation_id(conversation.value);
        read.mutable_read()->set_up_to(seq);
        b->say(read);
        world_->advance(300ms);
      }
    }
    wire::ClientFrame give_up;
    give_up.mutable_void_()->set_peer_user_id("bob");
    give_up.mutable_void_()->set_client_message_id(std::string(16, 'v'));
    give_up.mutable_void_()->set_send_number(++number);
    a.say(give_up);
    world_->advance(300ms);
    EXPECT_EQ(a.failure(), Code::kOk);
    EXPECT_EQ(b->failure(), Code::kOk);
    EXPECT_EQ(frames_[wire::ServerFrame::kSendResult], 20u * 17u);
    EXPECT_EQ(frames_[wire::ServerFrame::kVoidResult], 1u);
    EXPECT_GE(frames_[wire::ServerFrame::kItems], 20u);
    EXPECT_GE(frames_[wire::ServerFrame::kMarks], 20u);
  }

  CountingVfs vfs_;
  TemporaryDirectory directory_;
  SeededRandom random_{7};
  std::optional<World> world_;
  std::map<int, std::size_t> frames_;
  std::size_t let_out_ = 0;
  std::size_t early_ = 0;
  std::string first_early_;
};

TEST_F(Durability, NoFrameLeavesTheServerBeforeItsStoreHasSynced) {
  make_world();
  talk();

  EXPECT_EQ(early_, 0u) << first_early_;
  EXPECT_GE(vfs_.syncs(), 20u);
  EXPECT_GE(vfs_.writes(), vfs_.syncs());
}

TEST_F(Durability, NoAnswerToAnAccountsChangeComesBeforeTheSync) {
  make_world();
  std::size_t answers = 0;
  const auto submit = [&](WriteOp op) {
    world_->committer.submit(
        std::move(op),
        [&](Result<WriteAnswer> answer) {
          EXPECT_TRUE(answer.ok()) << answer.error().detail;
          ++answers;
          let_out("an answer");
        },
        world_->shard_executors[0]);
    world_->run();
  };
  for (int n = 0; n < 40; ++n) {
    Account account;
    account.user_id = "user" + std::to_string(n);
    submit(CreateAccount{account});
    const WallTime now = world_->clock.wall_now();
    submit(OpenSession{account.user_id, "phone", Bytes(16, 'i'), now, now + 1h, {}});
  }

  EXPECT_EQ(answers, 80u);
  EXPECT_EQ(early_, 0u) << first_early_;
}

// The watch itself: with syncs that do not count it must see every one of the same events.
TEST_F(Durability, AServerThatDoesNotSyncIsSeen) {
  make_world();
  vfs_.forget_syncs();
  talk();

  EXPECT_GE(early_, frames_[wire::ServerFrame::kSendResult]);
}

// What the two stores would be like with SQLite's weaker settings.
TEST(CountingVfs, OnlyFullSynchronousCoversACommit) {
  for (const char* level : {"FULL", "NORMAL", "OFF"}) {
    CountingVfs vfs;
    const TemporaryDirectory directory;
    auto db = sqlite::Database::open(directory.file("test.db"), {.vfs_name = vfs.name()});
    ASSERT_TRUE(db.ok()) << db.error().detail;
    ASSERT_TRUE(sqlite::apply_standard_pragmas(*db).ok());
    ASSERT_TRUE(db->execute("CREATE TABLE t(x)").ok());
    EXPECT_TRUE(vfs.unsynced().empty());
    ASSERT_TRUE(db->execute((std::string("PRAGMA synchronous = ") + level).c_str()).ok());

    ASSERT_TRUE(db->execute("INSERT INTO t VALUES (1)").ok());

    EXPECT_EQ(vfs.unsynced().empty(), std::string(level) == "FULL") << level;
    EXPECT_EQ(vfs.unsynced().count("test.db-wal"), std::string(level) == "FULL" ? 0u : 1u) << level;
  }
}

}  // namespace
}  // namespace chatsdk::server
