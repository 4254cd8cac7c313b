// SPDX-License-Identifier: Apache-2.0
//
// The server's store is restored from an older copy: what devices that were ahead of it are sent, may send, and are
// told.
#include <gtest/gtest.h>

#include <filesystem>

#include "unit/server/gateway_world.h"

namespace chatsdk::server {
namespace {

using namespace std::chrono_literals;
namespace fs = std::filesystem;

std::vector<std::string> numbered_texts(std::size_t count) {
  std::vector<std::string> out;
  for (std::size_t i = 1; i <= count; ++i) {
    out.push_back("m" + std::to_string(i) + " ");
    out.back().resize(16, 'x');
  }
  return out;
}

// What a device keeps from one server to the next.
struct DeviceState {
  std::uint64_t epoch = 0;
  std::map<StreamId, Seq> cursors;
};

// ada has sent ten messages, and bob has them, when the copy is made. Five more follow before the store is lost.
class GatewayRestore : public ::testing::Test {
 protected:
  GatewayRestore() {
    {
      World before({}, open_store());
      before.add_user("ada");
      before.add_user("bob");
      ada_ = before.add_device("ada", "phone");
      bob_ = before.add_device("bob", "phone");
      conversation_ = before.append(ada_, "bob", 1, 10);
      TestClient& b = before.connect(bob_);
      before.connect(ada_);
      before.advance(1s);
      for (const char* suffix : {"", "-wal"}) fs::copy_file(path() + suffix, folder_.file("copy") + suffix);
      before.append(ada_, "bob", 11, 5);
      before.run();
      before.advance(1s);
      bob_state_ = {before.store->epoch(), b.cursors};
      EXPECT_EQ(bob_state_.cursors[conversation_], 16u);
    }
    for (const char* suffix : {"", "-wal"}) {
      fs::copy_file(folder_.file("copy") + suffix, path() + suffix, fs::copy_options::overwrite_existing);
    }
    world_ = std::make_unique<World>(GatewayOptions{}, open_store());
    world_->random = SeededRandom(7);
    EXPECT_NE(world_->store->epoch(), bob_state_.epoch);
  }

  std::string path() const { return folder_.file("chat.db"); }
  std::unique_ptr<Store> open_store() { return SqliteStore::open({.path = path(), .vfs_name = {}}, ids_).value(); }
  // bob's device connects with what it has, and takes up the epoch that it is told.
  TestClient& connect_bob(bool auto_ack) {
    TestClient& b = world_->open(world_->token(bob_));
    b.auto_ack = auto_ack;
    wire::ClientFrame hello = world_->hello();
    hello.mutable_hello()->set_store_epoch(bob_state_.epoch);
    for (const auto& [stream, seq] : bob_state_.cursors) {
      hello.mutable_hello()->add_stream_ids(stream.value);
      hello.mutable_hello()->add_seqs(seq);
      hello.mutable_hello()->add_marks_revisions(0);
    }
    if (bob_state_.epoch == world_->store->epoch()) b.cursors = bob_state_.cursors;
    b.say(hello);
    world_->run();
    return b;
  }
  // As the protocol prescribes: the cursors go to 0 with the new epoch.
  void rewind() {
    bob_state_.epoch = world_->store->epoch();
    for (auto& [stream, seq] : bob_state_.cursors) seq = 0;
  }

  TemporaryDirectory folder_{World::memory_folder()};
  SeededRandom ids_{5};
  World::Device ada_, bob_;
  StreamId conversation_;
  DeviceState bob_state_;
  std::unique_ptr<World> world_;
};

TEST_F(GatewayRestore, CursorsOfAnotherEpochCountAsZero) {
  TestClient& b = connect_bob(true);

  EXPECT_EQ(b.of(wire::ServerFrame::kWelcome).at(0).welcome().store_epoch(), world_->store->epoch());
  EXPECT_EQ(b.texts(conversation_), numbered_texts(10));
  EXPECT_EQ(b.failure(), Code::kOk);
}

TEST_F(GatewayRestore, AResumeThatWasCutShortBeforeAnyAcknowledgementIsRepeated) {
  connect_bob(false).hang_up();
  world_->advance(1s);
  rewind();

  TestClient& b = connect_bob(true);

  EXPECT_EQ(b.failure(), Code::kOk);
  EXPECT_EQ(b.texts(conversation_), numbered_texts(10));
  EXPECT_EQ(b.gaps, 0u);
}

TEST_F(GatewayRestore, AResumeThatWasCutShortInTheMiddleGoesOnFromThere) {
  TestClient& first = connect_bob(false);
  first.ack(conversation_, 4);
  world_->advance(1s);
  first.hang_up();
  rewind();
  bob_state_.cursors[conversation_] = 6;

  TestClient& b = connect_bob(true);

  EXPECT_EQ(b.failure(), Code::kOk);
  EXPECT_EQ(b.cursors[conversation_], 11u);
}

TEST_F(GatewayRestore, ADeviceThatFallsBackBehindTheNewEpochIsRolledBack) {
  connect_bob(true).hang_up();
  world_->advance(1s);

  TestClient& b = connect_bob(true);  // with the state from before the restore once more

  EXPECT_EQ(b.failure(), Code::kRolledBack);
}

TEST_F(GatewayRestore, MessagesAndReceiptsGoOnAfterIt) {
  TestClient& b = connect_bob(true);
  TestClient& a = world_->open(world_->token(ada_));
  a.auto_ack = true;
  wire::ClientFrame hello = world_->hello();
  hello.mutable_hello()->set_store_epoch(bob_state_.epoch);
  a.say(hello);
  world_->run();

  b.say(world_->text_to("ada", "still here", 1));
  world_->run();
  world_->advance(1s);
  wire::ClientFrame read;
  read.mutable_read()->set_conversation_id(conversation_.value);
  read.mutable_read()->set_up_to(12);
  a.say(read);
  world_->advance(1s);

  ASSERT_EQ(b.of(wire::ServerFrame::kSendResult).size(), 1u);
  EXPECT_EQ(b.of(wire::ServerFrame::kSendResult)[0].send_result().accepted().conversation_seq(), 12u);
  EXPECT_EQ(a.texts(conversation_).back(), "still here");
  EXPECT_EQ(a.texts(conversation_), b.texts(conversation_));
  const std::pair<std::string, int> delivered{"ada", wire::Marks::KIND_DELIVERED};
  const std::pair<std::string, int> was_read{"ada", wire::Marks::KIND_READ};
  EXPECT_EQ((b.marks[{conversation_, delivered}]), 12u);
  EXPECT_EQ((b.marks[{conversation_, was_read}]), 12u);
}

}  // namespace
}  // namespace chatsdk::server
