// SPDX-License-Identifier: Apache-2.0
//
// Readiness of a whole server whose disk fills up and is cleared: what a load balancer is told.
//
// Threads: the server's, and the test's.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <thread>

#include "server-reference/server.h"
#include "server-reference/store/sqlite_store.h"
#include "support/raw_client.h"
#include "support/scratch_directory.h"

namespace chatsdk::server {
namespace {

// A store that answers as on a full disk while it is told to.
class FillingStore final : public Store {
 public:
  FillingStore(std::unique_ptr<Store> store, const std::atomic<bool>& full) : store_(std::move(store)), full_(full) {}
  Result<CommitResult> commit(std::span<const WriteOp> ops) override {
    if (full_.load()) return error(Code::kStorageFull, "the disk is full");
    return store_->commit(ops);
  }
  Result<std::unique_ptr<StoreReader>> open_reader() override { return store_->open_reader(); }
  std::uint64_t epoch() const override { return store_->epoch(); }
  Bytes secret() const override { return store_->secret(); }

 private:
  const std::unique_ptr<Store> store_;
  const std::atomic<bool>& full_;
};

class Readiness : public ::testing::Test {
 protected:
  Readiness() {
    directory_ = test::make_scratch_directory("ready");
    auto store = SqliteStore::open({.path = directory_ + "/server.db", .vfs_name = {}}, random_).value();
    ServerOptions options;
    options.accounts.password_cost = PasswordCost::minimum();
    server_ = Server::create(options, std::make_unique<FillingStore>(std::move(store), full_), log_).value();
    server_->start({});
  }
  ~Readiness() override {
    server_.reset();
    std::filesystem::remove_all(directory_);
  }

  int status_of(const std::string& head, const std::string& body = "") {
    test::RawClient client(server_->port());
    client.send(head + " HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: " +
                std::to_string(body.size()) + "\r\n\r\n" + body);
    return client.read_response().status;
  }
  int register_user(const std::string& name) {
    return status_of("POST /v1/accounts", "{\"userId\":\"" + name +
                                              "\",\"password\":\"correct horse\","
                                              "\"installationId\":\"AAAAAAAAAAAAAAAAAAAAAA==\"}");
  }

  std::string directory_;
  SodiumRandom random_;
  NullLog log_;
  std::atomic<bool> full_ = false;
  std::unique_ptr<Server> server_;
};

TEST_F(Readiness, FollowsTheStoresWritesDownAndUp) {
  EXPECT_EQ(status_of("GET /readyz"), 200);
  EXPECT_EQ(register_user("ada"), 201);

  full_.store(true);
  EXPECT_EQ(register_user("bob"), 507);
  EXPECT_EQ(status_of("GET /readyz"), 503);
  EXPECT_EQ(status_of("GET /healthz"), 200);

  // Nobody writes, for nobody is sent here: the questions themselves find out.
  full_.store(false);
  const auto patience = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  int status = 503;
  while (status != 200 && std::chrono::steady_clock::now() < patience) {
    status = status_of("GET /readyz");
    std::this_thread::yield();
  }
  EXPECT_EQ(status, 200);
  EXPECT_EQ(register_user("bob"), 201);
}

}  // namespace
}  // namespace chatsdk::server
