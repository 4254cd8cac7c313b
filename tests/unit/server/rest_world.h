// SPDX-License-Identifier: Apache-2.0
//
// A whole REST server on one manual executor: real store in a temporary directory, real tokens and hashes (at their
// least cost), a bus that remembers, a log that keeps every line. call() sends a request and runs until its answer.
//
// Threads: one.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/executor.h"
#include "base/random.h"
#include "server-reference/services/account_service.h"
#include "server-reference/services/group_service.h"
#include "server-reference/services/key_directory.h"
#include "server-reference/services/link_mailboxes.h"
#include "server-reference/services/rest_service.h"
#include "unit/server/forge.h"
#include "unit/server/recording_log.h"

namespace chatsdk::server::testing {

class RecordingBus final : public Bus {
 public:
  std::vector<Kick> kicks;
  std::vector<KeysHint> keys_hints;

  SubscriberId add_subscriber(Executor&, Subscriber&) override { return 1; }
  void remove_subscriber(SubscriberId) override {}
  void follow(SubscriberId, const UserId&) override {}
  void unfollow(SubscriberId, const UserId&) override {}
  void publish(const UserId&, UserMessage message) override {
    if (const Kick* kick = std::get_if<Kick>(&message)) kicks.push_back(*kick);
    if (const KeysHint* hint = std::get_if<KeysHint>(&message)) keys_hints.push_back(*hint);
  }
  void publish_heads(std::shared_ptr<const HeadDigest>) override {}
};

struct RestWorldOptions {
  AccountOptions accounts;
  KeyDirectoryOptions keys;
  LinkMailboxOptions links;
  GroupOptions groups;
  bool with_app_keys = true;
  AddressRanges trusted_proxies;
  RestWorldOptions() {
    accounts.password_cost = PasswordCost::minimum();
    accounts.passwords_beside_app_keys = true;
  }
};

class RestWorld {
 public:
  using Headers = std::map<std::string, std::string>;

  explicit RestWorld(RestWorldOptions options = {});
  ~RestWorld();

  // Sends and runs to the answer.
  HttpResponse call(const std::string& method, const std::string& url, Headers headers = {}, Bytes body = {},
                    const std::string& address = "192.0.2.1");
  HttpResponse post_json(const std::string& url, const nlohmann::json& body, const std::string& address = "192.0.2.1");
  HttpResponse with_token(const std::string& method, const std::string& url, const std::string& token);
  // Sends and leaves the work undone; run() does it.
  void send(const std::string& method, const std::string& url, Headers headers, Bytes body,
            std::function<void(HttpResponse)> on_response);
  void run();

  // As a stop of the process and a new start.
  void restart();

  const std::filesystem::path& directory() const { return directory_; }

  nlohmann::json register_request(const std::string& user_id) const;
  // Registers and returns the Session as JSON.
  nlohmann::json registered(const std::string& user_id);

  ManualClock clock{WallTime(kForgeNow)};
  SeededRandom random{7};
  RecordingBus bus;
  RecordingLog log;
  std::optional<Error> write_failure;  // the store refuses with it
  WriteHealth write_health;
  int writes = 0;
  int rosters_due = 0;  // times that the key directory has said so

  ManualExecutor executor{clock};
  ManualExecutor worker{clock};
  std::unique_ptr<Store> store;
  std::unique_ptr<StoreReader> reader;
  std::unique_ptr<AccessTokens> access;
  std::unique_ptr<RefreshTokens> refresh;
  std::unique_ptr<AccountService> accounts;
  std::unique_ptr<KeyDirectory> keys;
  std::unique_ptr<LinkMailboxes> links;
  std::unique_ptr<GroupService> groups;
  std::unique_ptr<RestService> rest;

 private:
  void start();
  void stop();

  const RestWorldOptions options_;
  std::filesystem::path directory_;
};

inline nlohmann::json json_of(const HttpResponse& response) {
  return nlohmann::json::parse(response.body, nullptr, /*allow_exceptions=*/false);
}
// "409 already_exists": what a table of refusals compares.
std::string verdict_of(const HttpResponse& response);

}  // namespace chatsdk::server::testing
