// SPDX-License-Identifier: Apache-2.0
//
// The server without its threads and sockets: committer, services and gateways put together on executors that are
// handed in. server.h gives it threads, a listener and the operating system's clock; a simulation gives it its own.
// It decides nothing about chat.
//
// Threads: every function from the owner's; a part is made, used and destroyed on its executor or after that has
// stopped.
// Invariants:
//   1. What can still call a part is stopped before it is destroyed: the owner stops the executors, then calls stop().
#pragma once

#include <atomic>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/executor.h"
#include "base/log.h"
#include "base/random.h"
#include "base/result.h"
#include "server-reference/bus/bus.h"
#include "server-reference/gateway/gateway.h"
#include "server-reference/services/account_service.h"
#include "server-reference/services/committer.h"
#include "server-reference/services/delivery_service.h"
#include "server-reference/services/encryption_upkeep.h"
#include "server-reference/services/group_service.h"
#include "server-reference/services/key_directory.h"
#include "server-reference/services/link_mailboxes.h"
#include "server-reference/services/marks_service.h"
#include "server-reference/services/record_purge.h"
#include "server-reference/services/rest_service.h"
#include "server-reference/services/write_health.h"
#include "server-reference/store/store.h"

namespace chatsdk::server {

struct ServerCoreOptions {
  GatewayOptions gateway;
  AccountOptions accounts;
  KeyDirectoryOptions keys;
  LinkMailboxOptions links;
  GroupOptions groups;
  AccessTokenOptions access_tokens;
  Committer::Limits commit;
  std::shared_ptr<const AppKeys> app_keys;  // shared: immutable once read; null: the app's tokens are not taken
  std::string websocket_url;                // what GET /v1/connect answers
  AddressRanges trusted_proxies;            // whose X-Forwarded-For names the client
};

struct ServerSeams {
  Executor& writer;  // store, committer, delivery and marks services
  Executor& reader;  // what the gateways read of the store
  Executor& rest;    // REST and the services that it asks, with a reader of their own
  std::vector<Executor*> hash_workers;
  std::vector<Executor*> shards;  // a gateway each
  // Runs a task as a turn of the executor and returns when it has ended.
  std::function<void(Executor&, Task)> run_on;
  Bus& bus;
  RandomStreams random;
  Log& log;
};

class ServerCore {
 public:
  // The store outlives the core. Errors: of the store's readers; INVALID_ARGUMENT for an unusable password cost.
  static Result<std::unique_ptr<ServerCore>> create(ServerCoreOptions options, ServerSeams seams, Store& store);
  ~ServerCore();
  ServerCore(const ServerCore&) = delete;
  ServerCore& operator=(const ServerCore&) = delete;

  // on_fatal comes at most once, on the writer: the store failed for good and the process has to end.
  void start(UniqueFunction<void(const Error&)> on_fatal);
  // Tells the connected clients to reconnect elsewhere or later and writes what was accepted: the two steps below in a
  // row. drained comes on the writer.
  void drain(Task drained);
  // The first step: ended comes on a shard when every send is answered and every client has gone.
  void drain_sessions(Task ended);
  // The second: writes what was accepted, and refuses what comes later. written comes on the writer. From any thread.
  void write_out(Task written);
  // Destroys everything but the gateways that their shards have already destroyed. No executor runs any more.
  void stop();

  // For the listener of a shard.
  Gateway& gateway(std::size_t shard) { return *gateways_[shard]; }
  // On the shard's executor, when its listener ends.
  void end_gateway(std::size_t shard) { gateways_[shard].reset(); }
  RestService& rest_service() { return *rest_service_; }
  const TokenVerifier& verifier() const { return *access_tokens_; }

  // How full a queue or table is that has a limit. Of those that the gateways have one of each for a connection, the
  // fullest.
  struct Level {
    const char* name = "";
    std::size_t size = 0;
    std::size_t limit = 0;
  };
  // For an owner whose executors are one thread, between their turns.
  void see_levels(const std::function<void(const Level&)>& see) const;

 private:
  ServerCore(ServerCoreOptions options, ServerSeams seams, Store& store);
  Status open();
  SubmitWrite submit();
  void make_gateway(std::size_t shard);

  const ServerCoreOptions options_;
  const ServerSeams seams_;
  WriteHealth write_health_;
  WatchedStore store_;
  std::unique_ptr<StoreReader> gateway_reader_;
  std::unique_ptr<StoreReader> rest_reader_;
  std::unique_ptr<AccessTokens> access_tokens_;
  std::unique_ptr<RefreshTokens> refresh_tokens_;
  ConnectionDirectory directory_;

  std::unique_ptr<Committer> committer_;
  std::unique_ptr<DeliveryService> delivery_;
  std::unique_ptr<MarksService> marks_;
  std::unique_ptr<RecordPurge> purge_;
  std::unique_ptr<EncryptionUpkeep> encryption_upkeep_;
  std::unique_ptr<AccountService> accounts_;
  std::unique_ptr<KeyDirectory> keys_;
  std::unique_ptr<LinkMailboxes> links_;
  std::unique_ptr<GroupService> groups_;
  std::unique_ptr<RestService> rest_service_;
  std::vector<std::unique_ptr<Gateway>> gateways_;

  std::atomic<std::size_t> gateways_to_drain_ = 0;
  Task sessions_ended_;
};

}  // namespace chatsdk::server
