// SPDX-License-Identifier: Apache-2.0
//
// The server as a node of the simulated world: the program's own core (server_core.h) on lanes, its SQLite store on a
// simulated disk, a bus that may lose. A process is made from options and seams as main would make it; a crash drops
// the object without running its shutdown, and only the disk survives.
//
// Threads: one.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "base/limits.h"
#include "server-reference/server_core.h"
#include "server-reference/store/sqlite_store.h"
#include "sim/judges.h"
#include "sim/lossy_bus.h"
#include "sim/network.h"
#include "sim/scheduler.h"
#include "sim/sim_disk.h"
#include "sim/watched_store.h"

namespace chatsdk::sim {

struct ServerNodeOptions {
  std::size_t shards = 2;
  std::chrono::seconds access_token_lifetime{900};
  server::GatewayOptions gateway;
  server::Committer::Limits commit;
  std::size_t inbox_hints_max = limits::kBusInboxMessagesMax;  // of a shard
  std::uint32_t checkpoint_pages = 4'096;
  std::size_t cached_streams_max = limits::kCachedStreamsMax;
  std::size_t cached_sessions_max = limits::kCachedSessionsMax;
  std::shared_ptr<const server::AppKeys> app_keys;  // null: users have passwords
  WallTime wall_start = from_unix_ms(1'750'000'000'000);
  std::int32_t drift = 0;  // of its clocks, in parts per million
};

class ServerNode final : public ServerEndpoint {
 public:
  ServerNode(Scheduler& scheduler, Network& network, Log& log, std::uint64_t seed, const ServerNodeOptions& options);
  ~ServerNode() override;

  SimDisk& disk() { return disk_; }
  NodeClock& clock() { return clock_; }
  LossyBus::Losses& bus_losses() { return bus_losses_; }

  // Starts a process; an error: the store would not open, nothing runs.
  Status start();
  bool running() const { return process_ != nullptr; }
  // Ends the process without a word. What the disk keeps is its crash mode's. From the world's own turns.
  CrashReport crash(CrashMode mode);
  // Nothing runs: puts the disk's files back.
  void put_back(const DiskImage& image);
  // As SIGTERM: drains, then ends in order. The process is gone when `ended` runs.
  void stop_gracefully(Task ended);
  // An operation of the disk failed under this process, or the last attempt to start one.
  bool disk_failed() const { return disk_.counters().failed() != disk_at_start_.failed(); }
  // It read other bytes than are there: saying that the store is damaged is right.
  bool disk_deceived() const { return disk_.counters().deceived() != disk_at_start_.deceived(); }
  // The store failed for good and the process wants to end; the world looks at this after each turn.
  const std::optional<Error>& failure() const { return failure_; }

  // The whole store in its image, every page and every reference. Nothing runs.
  Status check_image();

  std::uint64_t epoch() const;
  // For the checkers: a reader of its own. The process runs.
  server::StoreReader& inspector();
  server::Store& store() { return *process_->store; }
  // How full its queues and tables are; nothing when it does not run.
  void see_levels(const std::function<void(const server::ServerCore::Level&)>& see) const;
  std::uint64_t starts() const { return starts_; }
  // Something new of this device was accepted behind the commit that removed it.
  std::function<void(DeviceId)> on_accepted_after_removal = [](DeviceId) {};
  // A commit returned with this item.
  std::function<void(const server::AppendedItem&)> on_committed = [](const server::AppendedItem&) {};
  std::function<void(const UserId&)> on_listed = [](const UserId&) {};
  std::function<void(const server::AppendMessage&)> on_addressed = [](const server::AppendMessage&) {};
  // The same request for a session's next token has another answer than before.
  std::function<void(const Finding&)> on_answered_otherwise = [](const Finding&) {};
  // It refused a rotation under this request id.
  void on_rotation_refused(BytesView request_id, int status);
  // A commit of the last process failed: what came of it only the store can tell.
  bool left_in_doubt() const { return left_in_doubt_; }

  // ServerEndpoint
  bool listening() const override { return process_ != nullptr && process_->listening; }
  bool draining() const override { return process_->draining; }
  bool alive() const override { return process_ != nullptr && disk_.powered(); }
  std::size_t shard_count() const override { return process_->shards.size(); }
  Lane& shard(std::size_t index) override { return *process_->shards[index]; }
  server::ConnectionHandler& handler(std::size_t shard) override { return process_->core->gateway(shard); }
  const server::TokenVerifier& verifier() override { return process_->core->verifier(); }
  server::HttpService& http() override { return process_->core->rest_service(); }

  static constexpr const char* kStorePath = "/server/chat.db";

 private:
  void on_rotated(const server::RotateSession& op, const server::SessionRotated& rotated);

  // Destroyed from the last member to the first.
  struct Process {
    explicit Process(Scheduler& scheduler, const NodeClock& clock, std::size_t shard_count);
    ~Process();

    Lane writer;
    Lane reader;
    Lane rest;
    Lane hash;
    std::vector<std::unique_ptr<Lane>> shards;
    std::unique_ptr<LossyBus> bus;
    std::unique_ptr<server::SqliteStore> store;
    std::unique_ptr<WatchedStore> watched;
    std::unique_ptr<server::StoreReader> inspector;
    std::unique_ptr<server::ServerCore> core;
    bool listening = false;
    bool draining = false;
  };

  Scheduler& scheduler_;
  Network& network_;
  Log& log_;
  const ServerNodeOptions options_;
  NodeClock clock_;
  SeededRandom sqlite_random_;
  SeededRandom keys_;
  SeededRandom ids_;
  SeededRandom jitter_;
  SimDisk disk_;
  LossyBus::Losses bus_losses_;
  SeededRandom bus_random_;
  std::unique_ptr<Process> process_;
  std::optional<Error> failure_;
  DiskCounters disk_at_start_;
  Rotations rotations_;
  bool left_in_doubt_ = false;
  std::uint64_t starts_ = 0;
};

}  // namespace chatsdk::sim
