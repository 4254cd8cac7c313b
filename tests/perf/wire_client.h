// SPDX-License-Identifier: Apache-2.0
//
// What the load generator speaks: chatsdk.v1 over plain sockets, many connections on one thread and one epoll. It is
// no SDK: it keeps no store, so that what is measured is the server.
//
// Threads: one.
#pragma once

#include <sys/epoll.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/bytes.h"
#include "protocol/frames.h"

namespace chatsdk::perf {

struct Endpoint {
  std::string host;
  std::uint16_t port = 0;
};

// Registers users over one keep-alive connection. Any failure ends the program with a message.
class Registrar {
 public:
  explicit Registrar(const Endpoint& endpoint) : endpoint_(endpoint) {}
  ~Registrar();
  wire::Session register_user(const std::string& user_id);

 private:
  const Endpoint endpoint_;
  int socket_ = -1;
  std::string buffer_;
};

class Loop;

// One device's WebSocket.
class WireConnection {
 public:
  using OnFrame = std::function<void(WireConnection&, const wire::ServerFrame&)>;

  // Connects and upgrades, both blocking; from then on everything is driven by the loop.
  WireConnection(Loop& loop, const Endpoint& endpoint, const std::string& token, OnFrame on_frame);
  ~WireConnection();
  WireConnection(const WireConnection&) = delete;
  WireConnection& operator=(const WireConnection&) = delete;

  // Queues a frame; it leaves at the end of the loop's turn.
  void send(const wire::ClientFrame& frame);

 private:
  friend class Loop;
  void on_readable();
  void flush();

  Loop& loop_;
  OnFrame on_frame_;
  int socket_ = -1;
  std::string in_;
  std::string out_;
  bool flush_queued_ = false;
  bool awaits_writable_ = false;
};

class Loop {
 public:
  Loop();
  ~Loop();
  // One turn: waits at most this long.
  void run_once(int timeout_ms);
  static std::int64_t now_us();

 private:
  friend class WireConnection;
  void flush_all();

  int epoll_ = -1;
  std::vector<WireConnection*> to_flush_;
};

}  // namespace chatsdk::perf
