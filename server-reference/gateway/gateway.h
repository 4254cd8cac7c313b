// SPDX-License-Identifier: Apache-2.0
//
// The gateway: one shard of the server's connections. It owns their sessions, hands them what the listener and the bus
// bring, and carries their reads and writes to the store's executors and back. What a session decides, it does not
// know.
//
// Threads: the shard's executor, where it is made and destroyed. The reader, the marks service and the bus
// outlive it; their answers that come after it are dropped.
// Invariants:
//   1. The bus is followed for exactly the users of the sessions that joined and did not leave.
//   2. A closed session stays until the listener says so, and takes nothing.
#pragma once

#include <memory>
#include <unordered_map>

#include "base/random.h"
#include "server-reference/gateway/session.h"
#include "server-reference/services/submit_write.h"

namespace chatsdk::server {

// What a shard is put together from.
struct GatewayParts {
  Executor& executor;  // the shard's
  Bus& bus;
  Executor& reader_executor;  // where reader is used
  StoreReader& reader;
  SubmitWrite submit_write;
  MarksService& marks;
  const TokenVerifier& tokens;
  ConnectionDirectory& directory;  // one for all shards of the process
  Random& jitter;
  Log& log;
  std::uint64_t store_epoch = 0;
};

class Gateway final : public ConnectionHandler, private Bus::Subscriber, private SessionShard {
 public:
  // How often sessions look at the clock: the slack of every time limit of a connection.
  static constexpr std::chrono::milliseconds kTickPeriod{500};

  Gateway(const GatewayParts& parts, GatewayOptions options);
  ~Gateway() override;
  Gateway(const Gateway&) = delete;
  Gateway& operator=(const Gateway&) = delete;

  void on_open(const ConnectionInfo& info, FrameSink& sink) override;
  void on_frame(ConnectionId connection, BytesView frame) override;
  void on_closed(ConnectionId connection) override;

  // Tells every client to reconnect after a while, answers what is in flight and closes; later connections are turned
  // away. done runs here when no connection is left.
  void drain(Task done);

  std::size_t connections() const { return sessions_.size(); }
  // What the fullest of them hold. Of a window that is one item alone, which may be of any size, no bytes.
  struct Fullest {
    std::size_t window_items = 0;
    std::size_t window_bytes = 0;
    std::size_t sends_in_flight = 0;
  };
  Fullest fullest() const;

 private:
  void on_user_message(const UserId& user, const UserMessage& message) override;
  void on_heads(const std::shared_ptr<const HeadDigest>& digest) override;

  const UserId& join(GatewaySession& session, const UserId& user) override;
  void leave(GatewaySession& session) override;
  void announce(const GatewaySession& session) override;
  void read(const GatewaySession& session, Reading reading) override;
  void write(const GatewaySession& session, WriteOp op, Answered answered) override;

  GatewaySession* find(ConnectionId connection);
  void arm_tick();
  void tick();
  std::chrono::milliseconds reconnect_time();
  void finish_drain();

  const GatewayOptions options_;
  Bus& bus_;
  Executor& reader_executor_;
  StoreReader& reader_;
  const SubmitWrite submit_write_;
  Random& jitter_;
  std::shared_ptr<Gateway*> self_;  // tasks on other executors hold it weakly
  Bus::SubscriberId subscriber_ = 0;
  // Sessions never move: the lists of users run through them.
  std::unordered_map<ConnectionId, GatewaySession> sessions_;
  std::unordered_map<UserId, GatewaySession*> first_of_user_;
  std::uint64_t last_digest_ = 0;  // the greatest number so far
  Executor::TimerId tick_timer_ = 0;
  bool draining_ = false;
  Task drained_;
};

}  // namespace chatsdk::server
