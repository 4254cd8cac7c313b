// SPDX-License-Identifier: Apache-2.0
//
// What carries the server: WebSocket and HTTP(S) on one port, shared by a few shards, each a thread with a
// libwebsockets context of its own. It binds the sockets and owns the shards; it knows no chat.
//
// Threads: the owner's, except begin_drain and the counts: any.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/log.h"
#include "base/result.h"
#include "base/task.h"
#include "server-reference/gateway/lws_shard.h"
#include "server-reference/gateway/served_connection.h"

namespace chatsdk::server {

struct ListenerOptions {
  std::string address = "127.0.0.1";  // numeric, IPv4 or IPv6; "::" takes both
  std::uint16_t port = 0;             // 0: any free one
  std::size_t threads = 1;
  TlsFiles tls;
  // Over all shards, less if the system allows less; more wait in the kernel.
  std::size_t connections_max = limits::kConnectionsDefault;
  // Of one address (IPv6: one /64 network), over all shards; more are closed at once. Generous, because behind a proxy
  // or a carrier's NAT many people share an address.
  std::size_t connections_per_address_max = limits::kConnectionsPerAddressDefault;
  ServingOptions serving;
};

class LwsListener {
 public:
  // Binds and listens; connections wait until their shard serves. INVALID_ARGUMENT: an option, NETWORK: the address
  // cannot be had, UNAVAILABLE: the library does not start, TLS: the files. The detail names the option and the value.
  static Result<std::unique_ptr<LwsListener>> create(ListenerOptions options, Log& log);
  ~LwsListener();
  LwsListener(const LwsListener&) = delete;
  LwsListener& operator=(const LwsListener&) = delete;

  std::uint16_t port() const { return port_; }
  bool secure() const { return !options_.tls.certificate.empty(); }
  std::size_t shard_count() const { return shards_.size(); }
  LwsShard& shard(std::size_t index) { return *shards_[index]; }

  // Starts the shards' threads; each accepts when it is told what to serve.
  void start();
  // From now on upgrades are answered with 503 and Retry-After, and HTTP connections end with their answer.
  // requests_done runs on a shard when the requests that had begun are answered.
  void begin_drain(Task requests_done);
  // Ends every connection and every thread.
  void stop();

  std::size_t websockets() const { return state_.websockets.load(); }
  std::size_t connections() const { return state_.connections.load(); }

 private:
  explicit LwsListener(ListenerOptions options) : options_(std::move(options)) {}

  ListenerOptions options_;
  ServingState state_;
  std::uint16_t port_ = 0;
  std::vector<std::unique_ptr<LwsShard>> shards_;
};

// "127.0.0.1:8080", "[::1]:8080".
std::string host_and_port(const std::string& address, std::uint16_t port);

}  // namespace chatsdk::server
