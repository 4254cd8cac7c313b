// SPDX-License-Identifier: Apache-2.0
//
// One service thread of the listener: a libev loop, a libwebsockets context on it, and the executor that everything of
// this shard runs on. libwebsockets carries bytes and TLS in its raw role; what the bytes mean is ServedConnection's.
//
// Why so, with libwebsockets 4.1.6 as Debian builds it:
//   - one context per thread, because the library is built for one service thread (LWS_MAX_SMP 1) and its own loop
//   scans
//     every descriptor per wake-up; the libev plugin does not;
//   - the listening sockets are ours, because with one service thread the library never sets SO_REUSEPORT;
//   - reading stops while a write is choked, because its raw role would spin on readable input until the write is out;
//   - every deadline is a timer of the executor, because its libev timer keeps a later time when an earlier one is set;
//   - fd_limit_per_thread stays 0: any other value turns look-ups by descriptor into linear scans.
//
// Threads: create, start and stop from the owner's; post and post_at from any; the rest in turns of the shard.
// Invariants:
//   1. Frames queued within a turn of the loop leave in as few writes as possible, before the loop waits.
//   2. However many tasks are posted, the loop is woken once until it has taken them.
#pragma once

#include <ev.h>

#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "base/executor.h"
#include "base/log.h"
#include "base/result.h"
#include "server-reference/gateway/served_connection.h"

struct lws;
struct lws_context;

namespace chatsdk::server {

struct TlsFiles {
  std::string certificate;  // PEM chain; empty: no TLS
  std::string key;          // PEM
};

class LwsShard final : public Executor {
 public:
  struct Settings {
    std::uint8_t index = 0;
    int listen_fd = -1;  // bound, listening, not blocking; the shard closes it
    TlsFiles tls;
    std::size_t connections_max = 0;              // of this shard; more wait to be accepted
    std::size_t connections_per_address_max = 0;  // over all shards; more are closed
  };

  // UNAVAILABLE names what is missing when libwebsockets or its libev plugin does not start.
  static Result<std::unique_ptr<LwsShard>> create(Settings settings, const ServingOptions& options, ServingState& state,
                                                  Log& log);
  ~LwsShard() override;

  // What the shard serves. All of it lives until at_end runs, on the shard's thread, after its last connection.
  struct Handlers {
    ConnectionHandler& connections;
    HttpService& http;
    const TokenVerifier* verifier = nullptr;  // null: tokens of upgrades are not looked at
    Task at_end;
  };

  // The executor runs from here on; connections wait in the kernel's queue.
  void start();
  // In a turn of the shard: connections are accepted from here on. Once.
  void serve(Handlers handlers);
  // In a turn of the shard, once: done runs in a turn when the requests that have begun by now are answered.
  void drain_requests(Task done);
  // Ends every connection and the thread; pending tasks are destroyed. Not from the shard's own thread.
  void stop();

  // Executor
  void post(Task task) override;
  TimerId post_at(MonotonicTime time, Task task) override;
  bool cancel(TimerId timer) override;
  const Clock& clock() const override { return turn_clock_; }

 private:
  class Connection;
  struct Callbacks;
  // What outlives the shard for those who still hold a Responder: tasks and timers, or the word that it is closed.
  struct Inbox {
    std::mutex mutex;
    std::deque<Task> tasks;
    TimerQueue timers;
    TimerId last_timer = 0;
    bool armed = false;  // the loop was woken and has not taken the tasks yet
    bool closed = false;
    struct ev_loop* loop = nullptr;
    ev_async wake;

    void post(Task task);
  };
  using Connections = std::unordered_map<ConnectionId, std::unique_ptr<Connection>>;

  LwsShard(Settings settings, const ServingOptions& options, ServingState& state, Log& log);
  Status create_context();
  void run();
  void take_tasks();
  void run_due_timers();
  void arm_timer();
  enum class Accepted : std::uint8_t { kOne, kNoneWaiting, kPaused };
  void accept_some();
  Accepted accept_one();
  bool admit(AddressCounts::Key address, const std::string& remote_address, UnprovenShare& share);
  void adopt(int fd, std::string remote_address, AddressCounts::Key address, UnprovenShare share);
  void pause_accepting(const std::string& why);
  void on_connection_closed(Connection& connection);
  void forget(ConnectionId id);
  void end_of_turn();

  void close_listener();

  const Settings settings_;
  int listen_fd_;
  Log& log_;
  SystemClock system_clock_;
  TurnClock turn_clock_;
  Serving serving_;
  std::shared_ptr<Inbox> inbox_;
  struct ev_loop* loop_ = nullptr;
  ev_timer timer_watcher_;
  std::optional<MonotonicTime> armed_time_;  // what timer_watcher_ is set to
  ev_timer accept_pause_;
  bool accept_paused_ = false;         // since the log said so; until nothing waited to be accepted
  MonotonicTime next_no_room_line_{};  // that no share of the budget is left is not told again before
  ev_prepare end_of_turn_;
  ev_io accept_watcher_;
  lws_context* context_ = nullptr;
  Connections connections_;
  Connection* adopting_ = nullptr;
  std::vector<ConnectionId> to_flush_;
  std::vector<ConnectionId> to_abort_;
  std::uint64_t last_connection_ = 0;
  Task at_end_;
  std::thread thread_;
};

}  // namespace chatsdk::server
