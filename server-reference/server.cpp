// SPDX-License-Identifier: Apache-2.0
#include "server-reference/server.h"

#include <sodium.h>

#include <future>
#include <utility>

#include "base/assert.h"

namespace chatsdk::server {

namespace {

// Runs a task on an executor's own thread and waits for it.
void run_and_wait(Executor& executor, Task task) {
  std::promise<void> done;
  executor.post([&] {
    task();
    done.set_value();
  });
  done.get_future().wait();
}

bool is_any_address(const std::string& address) { return address == "0.0.0.0" || address == "::"; }

}  // namespace

Server::Server(ServerOptions options, std::unique_ptr<Store> store, Log& log)
    : options_(std::move(options)), log_(log), store_(std::move(store)) {}

Result<std::unique_ptr<Server>> Server::create(ServerOptions options, std::unique_ptr<Store> store, Log& log) {
  if (sodium_init() < 0) return error(Code::kCrypto, "libsodium did not start");
  options.listener.serving.message_bytes_max = limits::client_frame_bytes_max(options.gateway.text_bytes_max);
  std::unique_ptr<Server> server(new Server(std::move(options), std::move(store), log));
  CHATSDK_TRY(server->open());
  return server;
}

Status Server::open() {
  CHATSDK_ASSIGN(listener_, LwsListener::create(options_.listener, log_));
  writer_ = std::make_unique<ThreadExecutor>("writer", clock_);
  reader_ = std::make_unique<ThreadExecutor>("reader", clock_);
  rest_ = std::make_unique<ThreadExecutor>("rest", clock_);
  for (std::size_t i = 0; i < options_.hash_workers; ++i) {
    hash_workers_.push_back(std::make_unique<ThreadExecutor>("hash-" + std::to_string(i), clock_));
  }
  return make_core();
}

Status Server::make_core() {
  std::vector<Executor*> hash_workers;
  for (const auto& worker : hash_workers_) hash_workers.push_back(worker.get());
  std::vector<Executor*> shards;
  for (std::size_t i = 0; i < listener_->shard_count(); ++i) shards.push_back(&listener_->shard(i));
  CHATSDK_ASSIGN(core_,
                 ServerCore::create(core_options(),
                                    ServerSeams{*writer_, *reader_, *rest_, std::move(hash_workers), std::move(shards),
                                                run_and_wait, bus_, RandomStreams{random_, random_, random_}, log_},
                                    *store_));
  return {};
}

ServerCoreOptions Server::core_options() const {
  ServerCoreOptions core;
  core.gateway = options_.gateway;
  core.accounts = options_.accounts;
  core.groups = options_.groups;
  core.access_tokens = options_.access_tokens;
  core.app_keys = options_.app_keys;
  core.websocket_url = options_.advertised_url.empty() ? websocket_url() : options_.advertised_url;
  core.trusted_proxies = options_.trusted_proxies;
  return core;
}

std::string Server::http_url() const {
  return (listener_->secure() ? "https://" : "http://") + host_and_port(options_.listener.address, port());
}

std::string Server::websocket_url() const {
  return (listener_->secure() ? "wss://" : "ws://") + host_and_port(options_.listener.address, port()) +
         std::string(kWebSocketPath);
}

void Server::start(UniqueFunction<void(const Error&)> on_fatal) {
  CHATSDK_ASSERT(!std::exchange(started_, true));
  if (options_.advertised_url.empty() && (listener_->secure() || is_any_address(options_.listener.address))) {
    const std::string which = is_any_address(options_.listener.address)
                                  ? "listening on every address without an advertised URL: clients are sent to "
                                  : "TLS without an advertised URL: clients are sent to ";
    const std::string why = listener_->secure() ? ", which the certificate must name" : "";
    log_.write(LogLevel::kWarning, "server", which + websocket_url() + why);
  }
  // The gateways are made on their shards, which run from here on and serve nothing yet.
  listener_->start();
  core_->start(std::move(on_fatal));
  for (std::size_t i = 0; i < listener_->shard_count(); ++i) {
    LwsShard& shard = listener_->shard(i);
    run_and_wait(shard, [&] {
      shard.serve({core_->gateway(i), core_->rest_service(), &core_->verifier(), [this, i] { core_->end_gateway(i); }});
    });
  }
}

void Server::drain(Task drained) {
  CHATSDK_ASSERT(started_ && !stopped_ && !std::exchange(drain_begun_, true));
  drained_ = std::move(drained);
  listener_->begin_drain([this] { part_drained(); });
  core_->drain_sessions([this] { part_drained(); });
}

// Requests write too, so the committer goes on until both have ended.
void Server::part_drained() {
  if (parts_to_drain_.fetch_sub(1) == 1) core_->write_out(std::exchange(drained_, {}));
}

void Server::stop() {
  if (!started_ || std::exchange(stopped_, true)) return;
  listener_->stop();
  for (const auto& worker : hash_workers_) worker->stop();
  rest_->stop();
  reader_->stop();
  writer_->stop();
  core_->stop();
}

Server::~Server() { stop(); }

}  // namespace chatsdk::server
