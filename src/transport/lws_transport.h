// SPDX-License-Identifier: Apache-2.0
//
// LwsTransport: the Transport on libwebsockets. It owns one lws context with every connection of one client in it, and
// in threaded mode the thread that serves the context; both begin with the first open() and end with
// shutdown(), so that making a client costs nothing. It knows nothing of frames beyond their length: binary messages
// go in and out whole.
//
// Its parts: lws_connection.h is one connection's way from its URL to its end, lws_flow.h the counts that make either
// side hold back, lws_tls.h the certificates, lws_library.h what libwebsockets does to the process; lws_transport.cpp
// holds the context, its thread, and the way between them and the engine.
//
// TLS is always verified (tls_checks.h). The bearer token leaves only in the upgrade request, after the certificate was
// accepted; it is in no URL and no log line. Proxies of the environment are not used and redirects are not followed.
// permessage-deflate is not offered. A text message ends the connection with 1003, one above the limit with 1009.
//
// After close(), what was queued leaves, then our Close; on_closed comes with the peer's Close or the end of its
// stream, or when either part has taken too long. What the peer sends after our Close is dropped. abort() and
// shutdown() wait for nobody.
//
// Threads: all calls come from the engine's turns; the destructor may also run after the engine has stopped.
//   Between the engine and the service thread stand a mutex over the queue of commands and one over each connection's
//   byte counts; under neither is a handler called. What the service thread has to say is posted to the engine as
//   tasks. A task holds a liveness token that only the engine's turns read and the destructor clears: a task that runs
//   later does nothing.
// Invariants:
//   1. Without own_thread, nothing happens outside drive(), the look-up of a name apart.
//   2. After shutdown() there is no thread and no descriptor; open() begins anew.
//   3. Nothing here waits for the network, nor for a name: libwebsockets is handed addresses only, one after the other,
//      and the certificate is held against the name all the same. So shutdown() is prompt.
//
// libwebsockets 4.1.6 as a client, what a reader of close codes should know: a Close of the peer that carries 1012 to
// 2999 arrives as 1002. A masked frame of the peer is read like any other, where RFC 6455 section 5.1 has the client
// fail the connection with 1002: the library keeps the mask bit to itself, and nothing that it hands out tells.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>

#include "base/executor.h"
#include "base/limits.h"
#include "base/log.h"
#include "transport/resolver.h"
#include "transport/transport.h"

namespace chatsdk {

struct LwsOptions {
  std::string ca_file{};   // PEM; empty: the system's roots
  bool own_thread = true;  // false: the owner calls drive()
  std::string thread_name = "chatsdk-ws";
  std::size_t inbound_frame_bytes_max = limits::server_frame_bytes_max(limits::kTextBytesMax);
  std::size_t send_buffer_bytes_max = limits::kSendBufferBytesMax;
  std::chrono::milliseconds connect_timeout = limits::kConnectTimeout;           // to the end of the upgrade
  std::chrono::milliseconds close_timeout = limits::kCloseTimeout;               // until our Close has left
  std::chrono::milliseconds close_answer_timeout = limits::kCloseAnswerTimeout;  // from then on, for the peer's
  std::shared_ptr<Resolver> resolver{};  // shared with other adapters; empty: one of its own
};

class LwsTransport final : public Transport {
 public:
  // engine and log outlive the transport.
  LwsTransport(Executor& engine, LwsOptions options, Log& log);
  ~LwsTransport() override;
  LwsTransport(const LwsTransport&) = delete;
  LwsTransport& operator=(const LwsTransport&) = delete;

  ConnectionId open(const ConnectRequest& request, Handler& handler) override;
  bool send(ConnectionId connection, Bytes frame) override;
  void close(ConnectionId connection, std::uint16_t close_code) override;
  void abort(ConnectionId connection) override;

  // Serves what is ready and returns without waiting. Only without own_thread.
  void drive();
  // Ends every connection at once (on_closed with CLOSED follows as a task), the thread and the context.
  void shutdown();

 private:
  class Service;
  std::unique_ptr<Service> service_;
};

}  // namespace chatsdk
