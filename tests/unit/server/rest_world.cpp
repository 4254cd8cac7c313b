// SPDX-License-Identifier: Apache-2.0
#include "unit/server/rest_world.h"

#include "server-reference/store/sqlite_store.h"
#include "support/scratch_directory.h"

namespace chatsdk::server::testing {

RestWorld::RestWorld(RestWorldOptions options) : options_(std::move(options)) {
  directory_ = test::make_scratch_directory("rest");
  start();
}

void RestWorld::start() {
  store = SqliteStore::open({.path = directory_ / "server.db", .vfs_name = {}}, random).value();
  reader = store->open_reader().value();
  access = std::make_unique<AccessTokens>(store->secret(), AccessTokenOptions{});
  refresh = std::make_unique<RefreshTokens>(store->secret());
  const auto submit = [this](WriteOp op, OnWritten on_written, Executor& reply_on) {
    ++writes;
    Result<WriteAnswer> answer = write_failure ? Result<WriteAnswer>(*write_failure) : [&] {
      auto result = store->commit(std::span(&op, 1));
      return result.ok() ? std::move(result->answers[0]) : Result<WriteAnswer>(result.error());
    }();
    write_health.committed(write_failure ? write_failure->code : Code::kOk);
    reply_on.post(
        [answer = std::move(answer), on_written = std::move(on_written)]() mutable { on_written(std::move(answer)); });
  };
  accounts = std::make_unique<AccountService>(
      AccountService::Parts{executor,
                            *reader,
                            submit,
                            {&worker},
                            bus,
                            *access,
                            *refresh,
                            options_.with_app_keys ? &TokenWorld::instance().app : nullptr,
                            RandomStreams{random, random, random},
                            log,
                            &write_health},
      options_.accounts);
  RestOptions rest_options;
  rest_options.trusted_proxies = options_.trusted_proxies;
  rest_options.gateways = {{"wss://chat.example/v1/ws", "eu", 0}, {"wss://backup.example/v1/ws", "us", 1}};
  keys = std::make_unique<KeyDirectory>(
      KeyDirectory::Parts{executor, *reader, submit, {&worker}, bus, log, [this] { ++rosters_due; }}, options_.keys);
  links = std::make_unique<LinkMailboxes>(LinkMailboxes::Parts{executor, *reader, submit}, options_.links);
  groups = std::make_unique<GroupService>(GroupService::Parts{executor, *reader, submit}, options_.groups);
  rest = std::make_unique<RestService>(executor, RestService::Services{*accounts, *keys, *links, *groups}, rest_options,
                                       log);
}

void RestWorld::stop() {
  rest.reset();
  groups.reset();
  links.reset();
  keys.reset();
  accounts.reset();
  reader.reset();
  store.reset();
}

void RestWorld::restart() {
  stop();
  start();
}

RestWorld::~RestWorld() {
  stop();
  std::error_code ignored;
  std::filesystem::remove_all(directory_, ignored);
}

void RestWorld::run() {
  while (executor.run_one() || worker.run_one()) {
  }
}

void RestWorld::send(const std::string& method, const std::string& url, Headers headers, Bytes body,
                     std::function<void(HttpResponse)> on_response) {
  HttpRequest request;
  request.method = method;
  request.url = url;
  request.headers = std::move(headers);
  request.body = std::move(body);
  rest->handle(std::move(request), "192.0.2.1", std::move(on_response));
}

HttpResponse RestWorld::call(const std::string& method, const std::string& url, Headers headers, Bytes body,
                             const std::string& address) {
  HttpRequest request;
  request.method = method;
  request.url = url;
  request.headers = std::move(headers);
  request.body = std::move(body);
  std::vector<HttpResponse> responses;
  rest->handle(std::move(request), address, [&](HttpResponse response) { responses.push_back(std::move(response)); });
  run();
  CHATSDK_ASSERT(responses.size() == 1);
  return std::move(responses.front());
}

HttpResponse RestWorld::post_json(const std::string& url, const nlohmann::json& body, const std::string& address) {
  return call("POST", url, {{"content-type", "application/json"}}, body.dump(), address);
}

HttpResponse RestWorld::with_token(const std::string& method, const std::string& url, const std::string& token) {
  return call(method, url, {{"authorization", "Bearer " + token}});
}

nlohmann::json RestWorld::register_request(const std::string& user_id) const {
  return {{"userId", user_id},
          {"password", "correct horse"},
          {"displayName", "Display"},
          {"deviceName", "phone"},
          {"installationId", "AAAAAAAAAAAAAAAAAAAAAA=="}};
}

nlohmann::json RestWorld::registered(const std::string& user_id) {
  const HttpResponse response = post_json("/v1/accounts", register_request(user_id));
  CHATSDK_ASSERT(response.status == 201);
  return json_of(response);
}

std::string verdict_of(const HttpResponse& response) {
  if (response.status < 400) return std::to_string(response.status);
  const auto problem = json_of(response);
  return std::to_string(response.status) + " " +
         (problem.is_object() ? problem.value("code", std::string("no code")) : std::string("no problem document"));
}

}  // namespace chatsdk::server::testing
