// SPDX-License-Identifier: Apache-2.0
//
// REST as the server runs it: the service, the hashes and the committer each on a thread of their own, requests from
// several more. What is shared is looked at by the thread sanitizer; what is promised, here.
#include <gtest/gtest.h>

#include <filesystem>
#include <future>
#include <thread>

#include "server-reference/services/committer.h"
#include "server-reference/store/sqlite_store.h"
#include "support/scratch_directory.h"
#include "unit/server/rest_world.h"

namespace chatsdk::server {
namespace {

using nlohmann::json;
using testing::json_of;
using testing::RecordingBus;

class ThreadedRest : public ::testing::Test {
 protected:
  ThreadedRest() {
    AccountOptions options;
    options.password_cost = PasswordCost::minimum();
    const SubmitWrite submit = [this](WriteOp op, OnWritten on_written, Executor& reply_on) {
      committer_.submit(std::move(op), std::move(on_written), reply_on);
    };
    accounts_ = std::make_unique<AccountService>(AccountService::Parts{service_,
                                                                       *reader_,
                                                                       submit,
                                                                       {&first_worker_, &second_worker_},
                                                                       bus_,
                                                                       access_,
                                                                       refresh_,
                                                                       nullptr,
                                                                       RandomStreams{random_, random_, random_},
                                                                       log_},
                                                 options);
    keys_ = std::make_unique<KeyDirectory>(
        KeyDirectory::Parts{service_, *reader_, submit, {&first_worker_, &second_worker_}, bus_, log_},
        KeyDirectoryOptions{});
    links_ = std::make_unique<LinkMailboxes>(LinkMailboxes::Parts{service_, *reader_, submit}, LinkMailboxOptions{});
    groups_ = std::make_unique<GroupService>(GroupService::Parts{service_, *reader_, submit}, GroupOptions{});
    rest_ = std::make_unique<RestService>(service_, RestService::Services{*accounts_, *keys_, *links_, *groups_},
                                          RestOptions{}, log_);
  }
  ~ThreadedRest() override {
    first_worker_.stop();
    second_worker_.stop();
    service_.stop();
    writer_.stop();
    reader_.reset();
    store_.reset();
    std::filesystem::remove_all(directory_);
  }

  HttpResponse call(const std::string& method, const std::string& url, const std::string& token, const json& body) {
    HttpRequest request;
    request.method = method;
    request.url = url;
    if (!token.empty()) request.headers["authorization"] = "Bearer " + token;
    if (!body.is_null()) {
      request.headers["content-type"] = "application/json";
      request.body = body.dump();
    }
    std::promise<HttpResponse> answered;
    auto response = answered.get_future();
    rest_->handle(std::move(request), "192.0.2.1",
                  [&answered](HttpResponse answer) { answered.set_value(std::move(answer)); });
    return response.get();
  }

  // Registers, looks, refreshes, logs out; the statuses of the four.
  std::vector<int> life_of(const std::string& user) {
    const json registration = {
        {"userId", user}, {"password", "correct horse"}, {"installationId", "AAAAAAAAAAAAAAAAAAAAAA=="}};
    const auto registered = call("POST", "/v1/accounts", "", registration);
    const json session = json_of(registered);
    const auto devices = call("GET", "/v1/devices", session["accessToken"], nullptr);
    const auto refreshed = call("POST", "/v1/sessions/refresh", "",
                                {{"refreshToken", session["refreshToken"]}, {"requestId", "AAAAAAAAAAAAAAAAAAAAAA=="}});
    const auto left = call("DELETE", "/v1/sessions/current", json_of(refreshed)["accessToken"], nullptr);
    return {registered.status, devices.status, refreshed.status, left.status};
  }

  const std::string directory_ = test::make_scratch_directory("rest");
  SystemClock clock_;
  SodiumRandom random_;
  NullLog log_;
  RecordingBus bus_;
  std::unique_ptr<SqliteStore> store_ =
      SqliteStore::open({.path = directory_ + "/server.db", .vfs_name = {}}, random_).value();
  std::unique_ptr<StoreReader> reader_ = store_->open_reader().value();
  AccessTokens access_{store_->secret(), AccessTokenOptions{}};
  RefreshTokens refresh_{store_->secret()};
  ThreadExecutor writer_{"writer", clock_};
  Committer committer_{*store_, writer_, log_};
  ThreadExecutor service_{"rest", clock_};
  ThreadExecutor first_worker_{"hash-0", clock_};
  ThreadExecutor second_worker_{"hash-1", clock_};
  std::unique_ptr<AccountService> accounts_;
  std::unique_ptr<KeyDirectory> keys_;
  std::unique_ptr<LinkMailboxes> links_;
  std::unique_ptr<GroupService> groups_;
  std::unique_ptr<RestService> rest_;
};

TEST_F(ThreadedRest, ServesSeveralThreadsAtOnce) {
  constexpr int kThreads = 4;
  constexpr int kUsers = 5;
  std::vector<std::vector<int>> statuses(kThreads * kUsers);
  std::vector<std::thread> threads;
  for (int thread = 0; thread < kThreads; ++thread) {
    threads.emplace_back([this, thread, &statuses] {
      for (int user = thread * kUsers; user < (thread + 1) * kUsers; ++user) {
        statuses[static_cast<std::size_t>(user)] = life_of("user" + std::to_string(user));
      }
    });
  }
  for (auto& thread : threads) thread.join();

  for (const auto& each : statuses) EXPECT_EQ(each, (std::vector<int>{201, 200, 200, 204}));
}

TEST_F(ThreadedRest, MakesOneAccountOfManyRegistrationsAtOnce) {
  const json registration = {
      {"userId", "alice"}, {"password", "correct horse"}, {"installationId", "AAAAAAAAAAAAAAAAAAAAAA=="}};
  std::vector<int> statuses(6);
  std::vector<std::thread> threads;
  for (int& status : statuses) {
    threads.emplace_back([&, this] { status = call("POST", "/v1/accounts", "", registration).status; });
  }
  for (auto& thread : threads) thread.join();

  EXPECT_EQ(std::count(statuses.begin(), statuses.end(), 201), 1);
  EXPECT_EQ(std::count(statuses.begin(), statuses.end(), 200), 5);
}

}  // namespace
}  // namespace chatsdk::server
