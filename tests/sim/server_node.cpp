// SPDX-License-Identifier: Apache-2.0
#include "sim/server_node.h"

#include <utility>

#include "store/sqlite.h"

namespace chatsdk::sim {

namespace {

constexpr NodeId kServerNode = 0;

Rotations::Outcome to_judge(server::SessionRotated::Outcome outcome) {
  switch (outcome) {
    case server::SessionRotated::Outcome::kRotated:
      return Rotations::Outcome::kRotated;
    case server::SessionRotated::Outcome::kRepeated:
      return Rotations::Outcome::kRepeated;
    case server::SessionRotated::Outcome::kReused:
      return Rotations::Outcome::kReused;
    case server::SessionRotated::Outcome::kEnded:
      break;
  }
  return Rotations::Outcome::kEnded;
}

}  // namespace

ServerNode::Process::Process(Scheduler& scheduler, const NodeClock& clock, std::size_t shard_count)
    : writer(scheduler, kServerNode, clock),
      reader(scheduler, kServerNode, clock),
      rest(scheduler, kServerNode, clock),
      hash(scheduler, kServerNode, clock) {
  for (std::size_t i = 0; i < shard_count; ++i) shards.push_back(std::make_unique<Lane>(scheduler, kServerNode, clock));
}

// What can still call a part ends before it.
ServerNode::Process::~Process() {
  for (const auto& shard : shards) shard->shut();
  hash.shut();
  rest.shut();
  reader.shut();
  writer.shut();
  if (core) core->stop();
}

ServerNode::ServerNode(Scheduler& scheduler, Network& network, Log& log, std::uint64_t seed,
                       const ServerNodeOptions& options)
    : scheduler_(scheduler),
      network_(network),
      log_(log),
      options_(options),
      clock_(scheduler.now(), options.wall_start, options.drift),
      sqlite_random_(seed * 7 + 1),
      keys_(seed * 7 + 2),
      ids_(seed * 7 + 3),
      jitter_(seed * 7 + 4),
      disk_({.vfs_name = "sim-server", .seed = seed * 7 + 5, .clock = clock_, .random = sqlite_random_}),
      bus_random_(seed * 7 + 6) {}

ServerNode::~ServerNode() {
  disk_.power_off();
  process_.reset();
}

Status ServerNode::start() {
  CHATSDK_ASSERT(process_ == nullptr);
  ++starts_;
  failure_.reset();
  disk_at_start_ = disk_.counters();
  auto process = std::make_unique<Process>(scheduler_, clock_, options_.shards);
  process->bus = std::make_unique<LossyBus>(scheduler_, bus_losses_, bus_random_, options_.inbox_hints_max);
  server::SqliteStoreOptions store;
  store.path = kStorePath;
  store.vfs_name = disk_.vfs_name();
  store.checkpoint_pages = options_.checkpoint_pages;
  store.cached_streams_max = options_.cached_streams_max;
  store.cached_sessions_max = options_.cached_sessions_max;
  CHATSDK_ASSIGN(process->store, server::SqliteStore::open(store, keys_));
  process->watched =
      std::make_unique<WatchedStore>(*process->store, [this](DeviceId device) { on_accepted_after_removal(device); });
  process->watched->on_committed = [this](const server::AppendedItem& item) { on_committed(item); };
  process->watched->on_listed = [this](const UserId& user_id) { on_listed(user_id); };
  process->watched->on_addressed = [this](const server::AppendMessage& message) { on_addressed(message); };
  process->watched->on_failed = [this] { left_in_doubt_ = true; };
  process->watched->on_rotated = [this](const auto& op, const auto& rotated) { on_rotated(op, rotated); };
  process->watched->on_session_ended = [this](DeviceId device) { rotations_.session_ended(device); };
  process->watched->on_sessions_in_doubt = [this] { rotations_.forget_all(); };

  server::ServerCoreOptions core;
  core.gateway = options_.gateway;
  core.commit = options_.commit;
  core.accounts.password_cost = server::PasswordCost::minimum();
  core.access_tokens.lifetime = options_.access_token_lifetime;
  core.websocket_url = "ws://server/v1/ws";
  core.app_keys = options_.app_keys;
  core.accounts.passwords_beside_app_keys = true;
  std::vector<Executor*> shards;
  for (const auto& shard : process->shards) shards.push_back(shard.get());
  CHATSDK_ASSIGN(process->core, server::ServerCore::create(std::move(core),
                                                           server::ServerSeams{process->writer,
                                                                               process->reader,
                                                                               process->rest,
                                                                               {&process->hash},
                                                                               std::move(shards),
                                                                               [](Executor&, Task task) { task(); },
                                                                               *process->bus,
                                                                               RandomStreams{keys_, ids_, jitter_},
                                                                               log_},
                                                           *process->watched));
  CHATSDK_ASSIGN(process->inspector, process->store->open_reader());
  process->core->start([this](const Error& failure) { failure_ = failure; });
  process->listening = true;
  process_ = std::move(process);
  left_in_doubt_ = false;
  network_.set_server(this);
  return {};
}

CrashReport ServerNode::crash(CrashMode mode) {
  disk_.power_off();
  network_.server_crashed(mode != CrashMode::kProcessOnly);
  process_.reset();
  failure_.reset();
  return disk_.crash(mode);
}

void ServerNode::put_back(const DiskImage& image) {
  CHATSDK_ASSERT(process_ == nullptr);
  disk_.restore(image);
  rotations_.forget_all();
}

void ServerNode::on_rotated(const server::RotateSession& op, const server::SessionRotated& rotated) {
  const server::Session& session = rotated.session;
  const Verdict found =
      rotations_.judge({op.session_id.value, op.generation, op.request_id, op.now},
                       {to_judge(rotated.outcome), session.device_id, session.generation, session.expires});
  if (found) on_answered_otherwise(*found);
}

void ServerNode::on_rotation_refused(BytesView request_id, int status) {
  if (const Verdict found = rotations_.judge_refusal(request_id, clock_.wall_now(), status)) {
    on_answered_otherwise(*found);
  }
}

void ServerNode::stop_gracefully(Task ended) {
  process_->draining = true;
  process_->core->drain([this, ended = std::move(ended)]() mutable {
    // The process ends in a turn of the world, not in one of its own.
    scheduler_.after(std::chrono::milliseconds(1), [this, ended = std::move(ended), run = starts_]() mutable {
      if (process_ == nullptr || run != starts_) return;
      process_->listening = false;
      network_.server_crashed(false);
      process_.reset();
      ended();
    });
  });
}

void ServerNode::see_levels(const std::function<void(const server::ServerCore::Level&)>& see) const {
  if (process_ == nullptr) return;
  process_->core->see_levels(see);
  const server::InProcessBus::Fullest most = process_->bus->fullest();
  see({"hints in an inbox", most.hints, options_.inbox_hints_max});
  see({"bytes of hints in an inbox", most.bytes, limits::kBusInboxBytesMax});
  see({"digests in an inbox", most.digests, limits::kDigestsWaitingMax});
  see({"streams cached by the store", process_->store->cached_streams(), options_.cached_streams_max});
  see({"sessions cached by the store", process_->store->cached_sessions(), options_.cached_sessions_max});
}

Status ServerNode::check_image() {
  CHATSDK_ASSERT(process_ == nullptr);
  const Scheduler::ActingFor turn(scheduler_, kServerNode);
  CHATSDK_ASSIGN(auto db, sqlite::Database::open(kStorePath, {sqlite::OpenMode::kReadWrite, disk_.vfs_name()}));
  CHATSDK_TRY(db.integrity_check());
  return db.foreign_key_check();
}

std::uint64_t ServerNode::epoch() const { return process_->store->epoch(); }

server::StoreReader& ServerNode::inspector() { return *process_->inspector; }

}  // namespace chatsdk::sim
