// SPDX-License-Identifier: Apache-2.0
//
// The whole server, with its threads and its port, on a disk that is full for a while: who sends is told to try again,
// all else goes on, and nothing is lost.
//
// Threads: the server's and the test's.
#include <gtest/gtest.h>

#include <atomic>

#include "server-reference/server.h"
#include "server-reference/store/sqlite_store.h"
#include "unit/server/disk_vfs.h"
#include "unit/server/program_client.h"
#include "unit/server/sqlite_harness.h"

namespace chatsdk::server {
namespace {

using test::ProgramClient;
using test::RawClient;

class FullDisk : public ::testing::Test {
 protected:
  FullDisk() { start(); }
  ~FullDisk() override { server_->stop(); }

  void start() {
    ServerOptions options;
    options.accounts.password_cost = {1, 8'192};
    auto store = SqliteStore::open({.path = folder_.file("chat.db"), .vfs_name = DiskVfs::kName}, random_);
    server_ = std::move(Server::create(std::move(options), std::move(store).value(), log_)).value();
    server_->start([this](const Error&) { failed_ = true; });
  }
  void restart() {
    server_->stop();
    server_.reset();
    start();
  }

  RawClient::Response post_account(const std::string& user) {
    const std::string json = R"({"userId":")" + user +
                             R"(","password":"a-long-password","deviceName":"d",)"
                             R"("installationId":"AAAAAAAAAAAAAAAAAAAAAA=="})";
    RawClient client(server_->port());
    client.send("POST /v1/accounts HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: " +
                std::to_string(json.size()) + "\r\n\r\n" + json);
    return client.read_response();
  }
  std::string register_user(const std::string& user) {
    const RawClient::Response made = post_account(user);
    EXPECT_EQ(made.status, 201) << made.body;
    const std::size_t begin = made.body.find("\"accessToken\":\"") + 15;
    return made.body.substr(begin, made.body.find('"', begin) - begin);
  }
  static void catch_up(ProgramClient& client) {
    client.hello();
    while (const auto frame = client.read(wire::ServerFrame::kCaughtUp)) {
      if (frame->caught_up().stream_id() == 0) return;
    }
    ADD_FAILURE() << "the connection ended before it was caught up";
  }
  static Code answer_of(ProgramClient& client) {
    const auto frame = client.read(wire::ServerFrame::kSendResult);
    if (!frame) return Code::kClosed;
    return frame->send_result().has_accepted() ? Code::kOk : static_cast<Code>(frame->send_result().refused().code());
  }
  static Bytes message_id(char last) { return Bytes(limits::kClientMessageIdBytes - 1, 'm') + last; }

  NullLog log_;
  SodiumRandom random_;
  TemporaryDirectory folder_;
  DiskVfs disk_;
  std::atomic<bool> failed_ = false;
  std::unique_ptr<Server> server_;
};

TEST_F(FullDisk, SendsWaitOthersGoOnAndNothingIsLost) {
  ProgramClient ada(server_->port(), register_user("ada"));
  const std::string bobs_token = register_user("bob");
  catch_up(ada);
  ada.send_text("bob", "before", message_id('1'), 1);
  ASSERT_EQ(answer_of(ada), Code::kOk);
  disk_.write_result = SQLITE_FULL;

  ada.send_text("bob", "while it is full", message_id('2'), 2);
  EXPECT_EQ(answer_of(ada), Code::kStorageFull);
  const RawClient::Response refused = post_account("cyd");
  EXPECT_EQ(refused.status, 507) << refused.body;
  ProgramClient bob(server_->port(), bobs_token);
  catch_up(bob);  // what is stored is still delivered
  bob.ping(5);
  EXPECT_TRUE(bob.read(wire::ServerFrame::kPong));
  EXPECT_FALSE(failed_);
  disk_.write_result = SQLITE_OK;

  ada.send_text("bob", "while it is full", message_id('2'), 2);
  EXPECT_EQ(answer_of(ada), Code::kOk);
  EXPECT_EQ(bob.read_text("ada"), "while it is full");
  EXPECT_EQ(post_account("cyd").status, 201);
  EXPECT_FALSE(failed_);
}

TEST_F(FullDisk, AServerStartsServesReadsAndRefusesWritesWhileItIsFull) {
  const std::string adas_token = register_user("ada");
  const std::string bobs_token = register_user("bob");
  {
    ProgramClient ada(server_->port(), adas_token);
    catch_up(ada);
    ada.send_text("bob", "before", message_id('1'), 1);
    ASSERT_EQ(answer_of(ada), Code::kOk);
  }
  disk_.write_result = SQLITE_FULL;

  restart();

  ProgramClient bob(server_->port(), bobs_token);
  bob.hello();
  EXPECT_EQ(bob.read_text("ada"), "before");
  ProgramClient ada(server_->port(), adas_token);
  catch_up(ada);
  ada.send_text("bob", "while it is full", message_id('2'), 2);
  EXPECT_EQ(answer_of(ada), Code::kStorageFull);
  const RawClient::Response refused = post_account("cyd");
  EXPECT_EQ(refused.status, 507) << refused.body;
  EXPECT_FALSE(failed_);
  disk_.write_result = SQLITE_OK;
  ada.send_text("bob", "while it is full", message_id('2'), 2);
  EXPECT_EQ(answer_of(ada), Code::kOk);
  EXPECT_EQ(bob.read_text("ada"), "while it is full");
}

}  // namespace
}  // namespace chatsdk::server
