// SPDX-License-Identifier: Apache-2.0
//
// One server process put together: the core (server_core.h) on threads, behind a listener. This is the one place that
// chooses who runs where; it decides nothing about chat.
//
//   shards     listener and gateway sessions         writer   store, committer, delivery and marks services
//   reader     what the gateways read of the store   rest     REST and account services, with a reader of their own
//   hash-N     password hashes
//
// Threads: create, start, drain and stop from the owner's; callbacks say theirs.
// Invariants:
//   1. A part is destroyed where it lives, or after its executor has stopped.
//   2. What can still call a part is stopped before it.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/executor.h"
#include "base/log.h"
#include "base/random.h"
#include "base/result.h"
#include "server-reference/bus/in_process_bus.h"
#include "server-reference/gateway/lws_listener.h"
#include "server-reference/server_core.h"
#include "server-reference/store/store.h"

namespace chatsdk::server {

inline constexpr std::string_view kServerVersion = CHATSDK_SERVER_VERSION;

struct ServerOptions {
  ListenerOptions listener;  // message_bytes_max follows from the gateway's text_bytes_max
  GatewayOptions gateway;
  AccountOptions accounts;
  GroupOptions groups;
  AccessTokenOptions access_tokens;
  std::shared_ptr<const AppKeys> app_keys;  // shared: immutable once read; null: the app's tokens are not taken
  AddressRanges trusted_proxies;            // whose X-Forwarded-For names the client
  std::string advertised_url;               // what GET /v1/connect answers; empty: the listener's own
  std::size_t hash_workers = 2;
};

class Server {
 public:
  // Binds the port; nothing is served yet. The errors of LwsListener::create, and of the store.
  static Result<std::unique_ptr<Server>> create(ServerOptions options, std::unique_ptr<Store> store, Log& log);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // on_fatal comes at most once, on the writer's thread: the store failed for good and the process has to end.
  void start(UniqueFunction<void(const Error&)> on_fatal);
  // Turns new clients away, tells the connected ones to reconnect elsewhere or later, answers the requests that have
  // begun, and writes what was accepted. drained comes on the writer's thread; there is no other time limit than the
  // caller's patience.
  void drain(Task drained);
  // Ends everything at once. What was acknowledged is stored.
  void stop();

  std::uint16_t port() const { return listener_->port(); }
  std::string http_url() const;
  std::string websocket_url() const;
  std::size_t connections() const { return listener_->websockets(); }

 private:
  Server(ServerOptions options, std::unique_ptr<Store> store, Log& log);
  Status open();
  Status make_core();
  ServerCoreOptions core_options() const;
  void part_drained();

  const ServerOptions options_;
  Log& log_;
  const SystemClock clock_;
  SodiumRandom random_;
  const std::unique_ptr<Store> store_;
  std::unique_ptr<LwsListener> listener_;
  InProcessBus bus_;

  std::unique_ptr<ThreadExecutor> writer_;
  std::unique_ptr<ThreadExecutor> reader_;
  std::unique_ptr<ThreadExecutor> rest_;
  std::vector<std::unique_ptr<ThreadExecutor>> hash_workers_;
  std::unique_ptr<ServerCore> core_;

  bool started_ = false;
  bool drain_begun_ = false;
  std::atomic<int> parts_to_drain_ = 2;  // sessions, requests
  Task drained_;
  bool stopped_ = false;
};

}  // namespace chatsdk::server
