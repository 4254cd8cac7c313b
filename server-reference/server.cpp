// SPDX-License-Identifier: Apache-2.0
#include "server-reference/server.h"

#include <sodium.h>

#include <future>
#include <utility>

#include "base/assert.h"

namespace chatsdk::server {

namespace {

// Runs a task on an executor and waits for it.
template <typename Run>
void run_on(Executor& executor, Run run) {
  std::promise<void> done;
  executor.post([&] {
    run();
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
  CHATSDK_TRY(check_password_cost(options_.accounts.password_cost));
  CHATSDK_ASSIGN(gateway_reader_, store_->open_reader());
  CHATSDK_ASSIGN(rest_reader_, store_->open_reader());
  CHATSDK_ASSIGN(listener_, LwsListener::create(options_.listener, log_));
  const Bytes secret = store_->secret();
  access_tokens_ = std::make_unique<AccessTokens>(secret, options_.access_tokens);
  refresh_tokens_ = std::make_unique<RefreshTokens>(secret);
  return {};
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
  if (options_.advertised_url.empty() && is_any_address(options_.listener.address)) {
    log_.write(LogLevel::kWarning, "server",
               "listening on every address without an advertised URL: clients are sent to " + websocket_url());
  }
  writer_ = std::make_unique<ThreadExecutor>("writer", clock_);
  reader_ = std::make_unique<ThreadExecutor>("reader", clock_);
  rest_ = std::make_unique<ThreadExecutor>("rest", clock_);
  for (std::size_t i = 0; i < options_.hash_workers; ++i) {
    hash_workers_.push_back(std::make_unique<ThreadExecutor>("hash-" + std::to_string(i), clock_));
  }
  run_on(*writer_, [&] {
    committer_ = std::make_unique<Committer>(*store_, *writer_, log_);
    committer_->set_on_fatal(std::move(on_fatal));
    delivery_ = std::make_unique<DeliveryService>(bus_, *writer_, log_);
    committer_->set_observer(delivery_.get());
  });
  make_services();
  listener_->start();
  gateways_.resize(listener_->shard_count());
  for (std::size_t i = 0; i < gateways_.size(); ++i) make_gateway(i);
}

void Server::make_services() {
  const SubmitWrite submit = [this](WriteOp op, OnWritten on_written, Executor& reply_on) {
    committer_->submit(std::move(op), std::move(on_written), reply_on);
  };
  run_on(*writer_, [&] { marks_ = std::make_unique<MarksService>(submit, *writer_, log_); });

  std::vector<Executor*> workers;
  for (const auto& worker : hash_workers_) workers.push_back(worker.get());
  RestOptions rest;
  rest.gateways.push_back({options_.advertised_url.empty() ? websocket_url() : options_.advertised_url, "", 0});
  run_on(*rest_, [&] {
    accounts_ = std::make_unique<AccountService>(
        AccountService::Parts{*rest_, *rest_reader_, submit, std::move(workers), bus_, *access_tokens_,
                              *refresh_tokens_, options_.app_keys.get(), RandomStreams{random_, random_, random_},
                              log_},
        options_.accounts);
    rest_service_ = std::make_unique<RestService>(*rest_, *accounts_, std::move(rest), log_);
  });
}

void Server::make_gateway(std::size_t index) {
  LwsShard& shard = listener_->shard(index);
  run_on(shard, [&] {
    auto& gateway = gateways_[index];
    gateway =
        std::make_unique<Gateway>(GatewayParts{shard, bus_, *reader_, *gateway_reader_,
                                               [this](WriteOp op, OnWritten on_written, Executor& reply_on) {
                                                 committer_->submit(std::move(op), std::move(on_written), reply_on);
                                               },
                                               *marks_, *access_tokens_, directory_, random_, log_, store_->epoch()},
                                  options_.gateway);
    shard.serve({*gateway, *rest_service_, access_tokens_.get(), [&gateway] { gateway.reset(); }});
  });
}

void Server::drain(Task drained) {
  CHATSDK_ASSERT(started_ && !drained_ && !stopped_);
  drained_ = std::move(drained);
  rest_service_->set_draining();
  listener_->begin_drain();
  gateways_to_drain_ = gateways_.size();
  for (std::size_t i = 0; i < gateways_.size(); ++i) {
    listener_->shard(i).post([this, i] {
      gateways_[i]->drain([this] {
        if (gateways_to_drain_.fetch_sub(1) == 1) gateways_drained();
      });
    });
  }
}

// What devices acknowledged last is written before the committer closes.
void Server::gateways_drained() {
  marks_->flush([this] { committer_->drain(std::move(drained_)); });
}

void Server::stop() {
  if (!started_ || std::exchange(stopped_, true)) return;
  listener_->stop();
  for (const auto& worker : hash_workers_) worker->stop();
  rest_->stop();
  reader_->stop();
  writer_->stop();
  rest_service_.reset();
  accounts_.reset();
  marks_.reset();
  committer_.reset();
  delivery_.reset();
}

Server::~Server() { stop(); }

}  // namespace chatsdk::server
