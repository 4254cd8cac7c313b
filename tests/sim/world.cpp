// SPDX-License-Identifier: Apache-2.0
#include "sim/world.h"

#include <algorithm>
#include <limits>
#include <map>
#include <set>
#include <utility>

namespace chatsdk::sim {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

constexpr std::size_t kItemsPage = 200;
constexpr std::size_t kMarksMax = 100'000;
constexpr Seq kBehindAll = std::numeric_limits<std::int64_t>::max();

}  // namespace

World::World(const RunOptions& options, Log& log)
    : options_(options),
      server_log_(log, [this](BytesView line) { judge_unreadable("S11", 0, "its log", line); }),
      device_log_(log, [this](BytesView line) { judge_unreadable("S12", scheduler_.current_node(), "its log", line); }),
      scheduler_(options.seed * 31 + 1),
      observer_(scheduler_),
      checkers_({.in_order = !options.hostile,
                 .unaltered = !options.network.alters_meaning,
                 .lied_to = options.encrypted && options.liar}),
      lists_(Observer::name_of,
             [this](NodeId device, bool listed, bool has_keys) {
               observer_.record(0, event::Listed{device, listed, has_keys});
             }),
      random_(options.seed * 31 + 2),
      backend_clock_(scheduler_.now(), options.server.wall_start),
      backend_(backend_clock_),
      network_(scheduler_, options.seed * 31 + 3, network_options(), observer_),
      server_(scheduler_, network_, server_log_, options.seed * 31 + 4, server_options()) {
  observer_.on_record = [this](const Record& record) { checkers_.on(record); };
  observer_.on_broken = [this](const char* property, const Finding& found) { violation(property, found); };
  server_.on_accepted_after_removal = [this](DeviceId device) {
    violation("removal", Finding("The server accepted something of device id " + std::to_string(device.value) +
                                 " behind the commit that removed it."));
  };
  server_.on_answered_otherwise = [this](const Finding& found) { violation("S15", found); };
  observer_.on_rotation_refused = [this](BytesView request_id, int status) {
    server_.on_rotation_refused(request_id, status);
  };
  watch_for_canaries();
  if (options_.encrypted && options_.liar) let_lie();
  server_.on_committed = [this](const server::AppendedItem& item) {
    lists_.read_overdue(server_.inspector());
    observer_.on_committed(item);
  };
  server_.on_listed = [this](const UserId& user_id) {
    lists_.read(server_.inspector(), Observer::user_named(user_id));
  };
  server_.on_addressed = [this](const server::AppendMessage& message) {
    const auto unlisted = lists_.unlisted(message);
    if (!unlisted) return;
    violation("S10", Finding("A message was accepted with a slice for device id " + std::to_string(unlisted->value) +
                             ", which no device list names."));
  };
  scheduler_.after_turn = [this](NodeId node) { after_turn(node); };
  scheduler_.on_stall_felt = [this](NodeId node) { observer_.on_fault(node == 0 ? "server_stall" : "device_stall"); };
  for (UserNumber user = 1; user <= options_.users; ++user) {
    for (std::uint32_t i = 0; i < options_.devices_per_user; ++i) {
      DeviceNodeOptions device;
      device.number = static_cast<NodeId>(devices_.size() + 1);
      device.user = user;
      device.makes_account = i == 0;
      devices_.push_back(make_device(device));
      retired_.push_back(false);
    }
  }
}

World::~World() = default;

ServerNodeOptions World::server_options() const {
  ServerNodeOptions server = options_.server;
  server.app_keys = backend_.keys();
  server.drift = drift_of(0);
  return server;
}

std::int32_t World::drift_of(NodeId node) const {
  const std::int64_t most = options_.drift_max;
  SeededRandom random(options_.seed * 1'000 + node);
  return static_cast<std::int32_t>(static_cast<std::int64_t>(random.below(2 * static_cast<std::uint64_t>(most) + 1)) -
                                   most);
}

NetworkOptions World::network_options() const {
  NetworkOptions network = options_.network;
  network.server_write_bytes_max = options_.server.gateway.write_bytes_max;
  return network;
}

// In some runs the app's backend vouches for every other user.
std::unique_ptr<DeviceNode> World::make_device(DeviceNodeOptions device) {
  device.send_time_limit = options_.send_time_limit;
  device.outbox_max = options_.outbox_max;
  device.encrypted = options_.encrypted;
  device.users = options_.users;
  device.lifetimes = options_.lifetimes;
  device.drift = drift_of(device.number);
  if (options_.assertions && device.user % 2 == 0) device.backend = &backend_;
  auto node = std::make_unique<DeviceNode>(scheduler_, network_, observer_, device_log_,
                                           options_.seed * 1'000 + device.number, device);
  if (options_.encrypted || options_.seed % 10 == 0) watch(node->disk(), "S12", device.number);
  node->on_logged_in = [this, device](DeviceId id) { lists_.logged_in(device.user, device.number, id); };
  node->record_server_marks = [this] { return record_server_marks(); };
  node->on_ended_with = [this, device = node.get()](const char* what, const Error& end) { judge(*device, what, end); };
  return node;
}

std::vector<DeviceNode*> World::devices() {
  std::vector<DeviceNode*> all;
  for (std::size_t i = 0; i < devices_.size(); ++i) {
    if (!retired_[i]) all.push_back(devices_[i].get());
  }
  return all;
}

DeviceNode* World::device(NodeId number) {
  const std::size_t index = number - 1;
  return index < devices_.size() && !retired_[index] ? devices_[index].get() : nullptr;
}

DeviceNode* World::draw_device() {
  const auto all = devices();
  return all[random_.below(all.size())];
}

CrashMode World::draw_mode() {
  return options_.kill_mode_drawn ? static_cast<CrashMode>(random_.below(4)) : options_.kill_mode;
}

void World::violation(std::string property, const Finding& found) {
  own_violations_.push_back(
      {std::move(property), found.what, found.conversation, observer_.history().records().size()});
}

// Behind a server that answers about others than it was asked for, that is what calls end with.
bool World::names_nobody() const { return liar_ != nullptr && liar_->told(Lie::kNobodysLists) != 0; }

void World::let_lie() {
  liar_ = std::make_unique<Liar>(scheduler_, options_.seed * 31 + 5, options_.lies, observer_);
  liar_->device_of = [this](NodeId number) { return device(number); };
  network_.set_front(liar_.get());
}

// ---- What nobody may read ------------------------------------------------------------------------------------------

// Each byte once, as it is written or sent: what was there for a moment is found, too. A device's store is encrypted
// whatever its conversations are; every tenth run with plain ones looks at it.
void World::watch_for_canaries() {
  if (!options_.encrypted) return;
  watch(server_.disk(), "S11", 0);
  observer_.on_bytes = [this](NodeId device, const char* what, BytesView bytes) {
    judge_unreadable("S11", device, what, bytes);
  };
}

void World::watch(SimDisk& disk, const char* property, NodeId node) {
  disk.on_operation([this, property, node](const DiskOperation& operation) {
    if (operation.op == DiskOp::kWrite) judge_unreadable(property, node, operation.path, operation.bytes);
  });
}

void World::judge_unreadable(const char* property, NodeId node, std::string_view where, BytesView bytes) {
  const auto found = find_canary(bytes);
  if (!found) return;
  const std::string whose = node == 0 ? "the server: " : "device " + std::to_string(node) + ": ";
  violation(property, Finding("A message can be read (" + std::string(found->form) + ") at " + whose +
                              std::string(where.empty() ? "a temporary file" : where) + "."));
}

// ---- Life and death ------------------------------------------------------------------------------------------------

void World::start_all() {
  start_server();
  if (options_.encrypted && options_.users_link) linker_.begin();
  for (DeviceNode* device : devices()) {
    scheduler_.after(up_to(seconds(5)), [this, number = device->number()] { start_device(number); });
  }
}

void World::start_server() {
  if (server_.running()) return;
  const bool in_doubt = server_.left_in_doubt();
  const auto refusals = [this] { return server_.disk().counters().of(DiskFailure::kFull); };
  const std::uint64_t refusals_before = refusals();
  const Status status = server_.start();
  if (status.ok()) {
    observer_.record(0, event::Restart{0});
    if (!begin_epoch()) return crash_server(CrashMode::kProcessOnly, seconds(1));
    if (in_doubt) read_server();
    // Where there was no room to note the epoch, the next start may have to take another one.
    epoch_in_doubt_ = refusals() != refusals_before;
    return;
  }
  if (!is_fault("The server's store does not open", server_, status.error())) return;
  // The disk failed under it, or a crash point was reached while it opened.
  if (!server_.disk().powered()) {
    observer_.on_fault("server_died_at_crash_point");
    cut_power(server_.disk(), 0);
  }
  server_.disk().clear_faults();
  count_faults();
  scheduler_.after(seconds(1), [this] { start_server(); });
}

// False: the disk did not let it be read what the epoch begins with, and nobody has begun anything yet.
bool World::begin_epoch() {
  const std::uint64_t epoch = server_.epoch();
  if (const Verdict found = judge_epoch({epoch_, epoch, expects_new_epoch_, epoch_in_doubt_})) {
    violation("epoch", *found);
  }
  if (epoch_ != 0 && epoch != epoch_) {
    event::EpochBegun begun;
    begun.epoch = epoch;
    accounts_.clear();
    const ServerStreams streams = server_streams(Extent::kHeads);
    if (!streams.all) {
      server_.disk().clear_faults();
      count_faults();
      return false;
    }
    for (const ServerStream& stream : streams.list) {
      begun.heads.push_back({stream.stream.value, observer_.conversation_of(stream.stream), stream.head});
    }
    observer_.record(0, std::move(begun));
  }
  epoch_ = epoch;
  expects_new_epoch_ = false;
  read_lists();
  return true;
}

// A commit that was in doubt may have been one, and a store that was put back has the lists of then.
void World::read_lists() {
  if (!options_.encrypted) return;
  for (UserNumber user = 1; user <= options_.users; ++user) lists_.read(server_.inspector(), user);
}

void World::start_device(NodeId number) {
  DeviceNode* const node = device(number);
  if (node == nullptr || node->running()) return;
  const Status status = node->start();
  if (status.ok()) return;
  if (!is_fault("The store of device " + std::to_string(number) + " does not open", *node, status.error())) return;
  if (!node->disk().powered()) {
    observer_.on_fault("device_died_at_crash_point");
    cut_power(node->disk(), number);
  }
  node->disk().clear_faults();
  count_faults();
  scheduler_.after(seconds(1), [this, number] { start_device(number); });
}

// False: nothing let it down, which is a violation.
template <typename Node>
bool World::is_fault(std::string what, Node& node, const Error& failure) {
  const Verdict found = judge_failure({std::move(what), failure.code, failure.detail, !node.disk().powered(),
                                       node.disk_failed(), node.disk_deceived(), options_.fault_points, healed_});
  if (found) violation("store", *found);
  return !found;
}

void World::judge(DeviceNode& device, const char* what, const Error& end) {
  std::string whose = "Of device " + std::to_string(device.number()) + " " + what;
  if (is_of_store(end)) {
    (void)is_fault(whose + " failed", device, end);
  } else if (!options_.hostile && !(end.code == Code::kProtocol && names_nobody())) {
    if (const Verdict found = judge_end(whose, end)) violation("calls", *found);
  }
}

// An app that could not read what it was told of ends: another time nobody knows any more which disk let it down.
bool World::ended_unseeing(DeviceNode& node) {
  if (!node.disk().powered() || !node.cannot_read()) return false;
  const std::string app = "The app of device " + std::to_string(node.number());
  if (is_fault(app + " could not read its store", node, error(Code::kStorage, ""))) {
    observer_.on_fault("app_could_not_read");
    crash_device(node, CrashMode::kProcessOnly, up_to(seconds(5)));
  }
  return true;
}

// Whoever lost the power in this turn is dead from here.
void World::after_turn(NodeId node) {
  if (node == 0) {
    server_.see_levels(
        [this](const server::ServerCore::Level& level) { observer_.on_level(0, level.name, level.size, level.limit); });
  } else {
    devices_[node - 1]->see_levels();
  }
  if (server_.running() && (server_.failure() || !server_.disk().powered())) {
    const bool power = !server_.disk().powered();
    if (!power && !is_fault("The server's store failed", server_, *server_.failure())) return;
    observer_.on_fault(power ? "server_died_at_crash_point" : "server_store_failed");
    // A sync that failed may have lost what the process still sees: only a machine that starts anew knows what is left.
    crash_server(power ? draw_mode() : static_cast<CrashMode>(1 + random_.below(3)), up_to(seconds(20)));
  }
  for (std::size_t i = 0; i < devices_.size(); ++i) {
    if (!devices_[i]->running() || ended_unseeing(*devices_[i]) || devices_[i]->disk().powered()) continue;
    observer_.on_fault("device_died_at_crash_point");
    crash_device(*devices_[i], draw_mode(), up_to(seconds(20)));
  }
}

void World::crash_server(CrashMode mode, microseconds down) {
  if (!server_.running()) return;
  draining_ = false;
  observer_.record(0, event::Crash{0, std::to_string(static_cast<int>(mode))});
  server_.disk().cancel_crash();
  count_crash(server_.crash(mode), 0);
  scheduler_.after(down, [this] { start_server(); });
}

void World::crash_device(DeviceNode& node, CrashMode mode, microseconds down) {
  if (!node.running()) return;
  observer_.record(node.number(), event::Crash{node.number(), std::to_string(static_cast<int>(mode))});
  node.disk().cancel_crash();
  count_crash(node.crash(mode), node.number());
  scheduler_.after(down, [this, number = node.number()] { start_device(number); });
}

void World::close_device(DeviceNode& node, microseconds down) {
  if (!node.running()) return;
  node.close();
  // A crash point may have been reached while it closed, or the battery is empty before the app is opened again.
  const bool died = !node.disk().powered();
  if (died) observer_.on_fault("device_died_at_crash_point");
  if (died || power_goes()) cut_power(node.disk(), node.number());
  scheduler_.after(down, [this, number = node.number()] { start_device(number); });
}

void World::suspend_device(DeviceNode& node, microseconds away) {
  if (!node.running() || ended_unseeing(node)) return;
  node.suspend();
  if (!node.disk().powered()) {
    observer_.on_fault("device_died_at_crash_point");
    return lose_suspended(node, away);
  }
  // An app in the background may be ended without a word, and its machine may lose its power.
  if (power_goes()) return lose_suspended(node, away);
  scheduler_.after(away, [this, number = node.number()] { resume_device(number); });
}

void World::lose_suspended(DeviceNode& node, microseconds down) {
  observer_.record(node.number(), event::Crash{node.number(), "suspended"});
  node.disk().cancel_crash();
  count_crash(node.crash(draw_mode()), node.number());
  scheduler_.after(down, [this, number = node.number()] { start_device(number); });
}

void World::resume_device(NodeId number) {
  DeviceNode* const node = device(number);
  if (node == nullptr || node->running()) return;
  if (node->suspended()) {
    const Status status = node->resume();
    if (status.ok()) return;
    if (!is_fault("The app of device " + std::to_string(number) + " could not go on", *node, status.error())) return;
  }
  start_device(number);  // the app ends, and is started again
}

void World::drain_server(microseconds down) {
  if (!server_.running() || std::exchange(draining_, true)) return;
  if (!healed_) observer_.on_fault("server_drained");
  const auto starts = server_.starts();
  server_.stop_gracefully([this, down] {
    draining_ = false;
    if (!server_.disk().powered() || power_goes()) cut_power(server_.disk(), 0);
    scheduler_.after(down, [this] { start_server(); });
  });
  // An operator's patience, as the program's.
  scheduler_.after(seconds(30), [this, starts] {
    if (draining_ && server_.running() && server_.starts() == starts) crash_server(CrashMode::kProcessOnly, seconds(1));
  });
}

// Encrypted, somebody has to be left who can link the next one.
bool World::may_go(const DeviceNode& node) {
  if (!options_.encrypted) return true;
  for (const DeviceNode* other : devices()) {
    const bool stays = other != &node && other->user() == node.user();
    if (stays && other->running() && other->encryption_state() == EncryptionState::kReady) return true;
  }
  return false;
}

void World::reinstall(DeviceNode& node) {
  if (!healed_ && may_go(node)) begin_in_place_of(node, nullptr);
}

NodeId World::put_back(DeviceNode& node, std::shared_ptr<const DeviceCopy> copy) {
  return begin_in_place_of(node, std::move(copy));
}

NodeId World::begin_in_place_of(DeviceNode& node, std::shared_ptr<const DeviceCopy> copy) {
  const NodeId old = node.number();
  // What it leaves is seen once more; a store that does not open, or not be read, stays unseen for good.
  if (node.running() || node.start().ok()) node.read_store();
  observer_.record(old, event::Unlinked{old});
  if (node.running()) node.crash(CrashMode::kProcessOnly);
  retired_[old - 1] = true;
  DeviceNodeOptions device;
  device.number = static_cast<NodeId>(devices_.size() + 1);
  device.user = node.user();
  device.makes_account = node.makes_account();  // the old one may not have come to it
  device.copy = std::move(copy);
  if (device.copy) observer_.record(device.number, event::CopiedFrom{device.number, old});
  devices_.push_back(make_device(device));
  retired_.push_back(false);
  scheduler_.after(up_to(seconds(5)), [this, number = device.number] { start_device(number); });
  return device.number;
}

void World::back_up_server() {
  if (!server_.running()) return;
  backup_ = server_.disk().snapshot();
  has_backup_ = true;
}

// As an operator who puts the database's files back and leaves the epoch file alone; or removes it, where a power cut
// may have taken what it said, and there was no room at the start to note it again (docs/server.md).
bool World::restore_server() {
  if (!has_backup_ || !server_.running()) return false;
  crash_server(CrashMode::kProcessOnly, seconds(2));
  DiskImage image = server_.disk().snapshot(DiskView::kVisible);
  const std::string epoch_file = std::string(ServerNode::kStorePath) + ".epoch";
  std::erase_if(image, [&](const auto& file) { return file.first != epoch_file; });
  for (const auto& [path, bytes] : backup_) {
    if (path != epoch_file) image[path] = bytes;
  }
  if (epoch_in_doubt_) image.erase(epoch_file);
  server_.put_back(image);
  expects_new_epoch_ = true;
  observer_.on_fault("server_restored");
  return true;
}

// ---- Counting ------------------------------------------------------------------------------------------------------

// Each kind once for a time of failing, however many operations it met.
void World::count_disk(const SimDisk& disk, NodeId node) {
  const DiskCounters now = disk.counters();
  const DiskCounters before = std::exchange(counted_[node].disk, now);
  const auto count = [this](std::uint64_t happened, const char* kind) {
    if (happened != 0) observer_.on_fault(kind);
  };
  const auto failed = [&](DiskFailure failure) { return now.of(failure) - before.of(failure); };
  const std::uint64_t syncs = now.failed_syncs - before.failed_syncs;
  const std::uint64_t deletes = now.failed_deletes - before.failed_deletes;
  const bool server = node == 0;
  count(failed(DiskFailure::kIoError) - syncs - deletes, server ? "server_io_error" : "device_io_error");
  count(syncs, server ? "server_sync_failed" : "device_sync_failed");
  count(deletes, server ? "server_delete_failed" : "device_delete_failed");
  count(failed(DiskFailure::kBusy), server ? "server_disk_busy" : "device_disk_busy");
  count(failed(DiskFailure::kFull), server ? "server_disk_full" : "device_disk_full");
  if (server) return;
  count(failed(DiskFailure::kShortRead), "device_short_read");
  count(failed(DiskFailure::kFlippedBit), "device_bit_flipped");
}

void World::count_crash(const CrashReport& report, NodeId node) {
  const bool server = node == 0;
  if (report.dropped != 0) observer_.on_fault(server ? "server_write_dropped" : "device_write_dropped");
  if (report.torn != 0) observer_.on_fault(server ? "server_write_torn" : "device_write_torn");
  if (report.garbage != 0) observer_.on_fault(server ? "server_write_garbage" : "device_write_garbage");
  if (report.names_dropped != 0) observer_.on_fault(server ? "server_name_lost" : "device_name_lost");
}

// Of a machine on which nothing runs: what its last process left unsynced, names above all, has its fate.
void World::cut_power(SimDisk& disk, NodeId node) {
  disk.cancel_crash();
  count_crash(disk.crash(draw_mode()), node);
}

bool World::power_goes() { return !healed_ && options_.faults != 0 && random_.below(4) == 0; }

void World::count_faults() {
  count_disk(server_.disk(), 0);
  for (const auto& node : devices_) count_disk(node->disk(), node->number());
  const LossyBus::Losses& bus = server_.bus_losses();
  Counted& before = counted_[0];
  if (bus.dropped != std::exchange(before.dropped, bus.dropped)) observer_.on_fault("bus_dropped");
  if (bus.repeated != std::exchange(before.repeated, bus.repeated)) observer_.on_fault("bus_repeated");
  if (bus.delayed != std::exchange(before.delayed, bus.delayed)) observer_.on_fault("bus_delayed");
}

void World::heal() {
  healed_ = true;
  count_faults();
  network_.heal();
  if (liar_ != nullptr) liar_->leave();
  server_.bus_losses().end();
  server_.disk().clear_faults();
  server_.disk().cancel_crash();
  server_.clock().set_wall_true();
  observer_.record(0, event::Heal{0});
  // An app whose disk had failed is started again by its user.
  for (DeviceNode* node : devices()) {
    node->disk().clear_faults();
    node->disk().cancel_crash();
    node->clock().set_wall_true();
    node->stall(microseconds(0));
    if (node->running() && !options_.all_start_again && !node->disk_failed()) continue;
    if (node->running()) {
      close_device(*node, microseconds(0));
    } else {
      resume_device(node->number());
    }
  }
  // As is a server by whoever runs it: what its disk did to this process is over.
  if (server_.running() && server_.disk_failed()) {
    crash_server(CrashMode::kProcessOnly, microseconds(0));
  }
  scheduler_.after(microseconds(0), [this] {
    if (!server_.running()) start_server();
  });
}

std::uint64_t World::sends() const {
  std::uint64_t sum = 0;
  for (const auto& node : devices_) sum += node->sends();
  return sum;
}

// ---- Reading -------------------------------------------------------------------------------------------------------

// Nobody knows then what is there. The disk may be to blame; a stream that somebody was told of is never without.
template <typename Read>
bool World::is_unread(const Result<Read>& read, StreamId stream) {
  if (read.ok()) return false;
  const std::string name = stream.value == 0 ? "The accounts" : "Stream " + std::to_string(stream.value);
  if (read.code() == Code::kNotFound) {
    violation("S17", Finding(name + ", which an account names, is not in the server's store.",
                             observer_.conversation_of(stream)));
  } else {
    (void)is_fault(name + " cannot be read from the server's store", server_, read.error());
  }
  return true;
}

// An encrypted conversation is read as each device that sent something: an item is given only to those that it is for.
std::optional<World::ServerStream> World::read_stream(UserNumber reader, StreamId stream, wire::StreamKind kind) {
  std::optional<ServerStream> whole = read_stream_as(reader, {}, stream, kind);
  if (!whole) return std::nullopt;
  std::map<Seq, wire::Item> items;
  const auto take = [this, stream, &items](const ServerStream& read) {
    for (const wire::Item& item : read.items) {
      if (item.kind() == wire::ITEM_KIND_SKIP) continue;
      observer_.note_sender(stream, item);
      items.emplace(item.seq(), item);
    }
  };
  const auto take_of = [&](const std::set<DeviceId>& senders) {
    for (const DeviceId sender : senders) {
      const auto read = read_stream_as(reader, sender, stream, kind);
      if (!read) return false;
      take(*read);
    }
    return true;
  };
  const bool shows_all = std::none_of(whole->items.begin(), whole->items.end(), [](const wire::Item& item) {
    return item.kind() == wire::ITEM_KIND_SKIP && item.skip_reason() != wire::SKIP_REASON_TRIMMED;
  });
  if (shows_all) return whole;
  take(*whole);
  const std::set<DeviceId> seen = observer_.senders_of(stream);
  if (!take_of(seen)) return std::nullopt;
  // What was committed as the server died, from a device that had sent nothing there before.
  const bool has_all = items.size() > whole->head - whole->trimmed_below;
  if (!has_all && !take_of(devices_of_all())) return std::nullopt;
  whole->items.clear();
  for (auto& [seq, item] : items) whole->items.push_back(std::move(item));
  return whole;
}

std::set<DeviceId> World::devices_of_all() {
  std::set<DeviceId> all;
  for (UserNumber user = 1; user <= options_.users; ++user) {
    const auto devices = server_.inspector().devices(Observer::name_of(user));
    if (!devices.ok()) continue;
    for (const server::Device& device : *devices) all.insert(device.device_id);
  }
  return all;
}

std::optional<World::ServerStream> World::read_stream_as(UserNumber reader, DeviceId device, StreamId stream,
                                                         wire::StreamKind kind) {
  ServerStream read{stream, kind, reader, {}, 0, 1};
  Seq after = 0;
  for (;;) {
    const auto page =
        server_.inspector().items(Observer::name_of(reader), device, stream, after, kItemsPage, 1'000'000);
    if (is_unread(page, stream)) return std::nullopt;
    read.head = page->head;
    for (const auto& bytes : page->items) {
      wire::Item item;
      if (!item.ParseFromString(*bytes)) {
        violation("S17", Finding("An item of stream " + std::to_string(stream.value) + " behind seq " +
                                     std::to_string(after) + " cannot be parsed.",
                                 observer_.conversation_of(stream)));
        return std::nullopt;
      }
      if (item.skip_reason() == wire::SKIP_REASON_TRIMMED) read.trimmed_below = item.seq() + 1;
      read.items.push_back(std::move(item));
    }
    if (page->items.empty() || page->last >= page->head) return read;
    after = page->last;
  }
}

std::optional<World::ServerStream> World::read_head(UserNumber reader, StreamId conversation) {
  const auto page = server_.inspector().items(Observer::name_of(reader), {}, conversation, kBehindAll, 1, 1);
  if (is_unread(page, conversation)) return std::nullopt;
  return ServerStream{conversation, wire::STREAM_KIND_CONVERSATION, reader, {}, page->head, 1};
}

World::ServerStreams World::server_streams(Extent extent) {
  ServerStreams streams;
  const auto is_missing = [&streams](bool missing) {
    if (missing) streams.all = false;
    return missing;
  };
  std::set<StreamId> seen;
  for (UserNumber user = 1; user <= options_.users; ++user) {
    const auto account = server_.inspector().account(Observer::name_of(user));
    if (is_missing(is_unread(account, {}))) continue;
    if (!account->has_value()) {
      if (!accounts_.contains(user)) continue;
      violation("S6",
                Finding("The account of user " + std::to_string(user) + ", which the server's store held, is gone."));
      continue;
    }
    accounts_.insert(user);
    auto own = read_stream(user, (*account)->account_stream, wire::STREAM_KIND_ACCOUNT);
    if (is_missing(!own)) continue;
    std::vector<std::pair<StreamId, ConversationNumber>> conversations;
    for (const wire::Item& item : own->items) {
      if (!item.has_conversation()) continue;
      const StreamId id{item.conversation().conversation_id()};
      const auto number = observer_.conversation(user, Observer::user_named(item.conversation().peer_user_id()));
      observer_.learn(id, number);
      conversations.emplace_back(id, number);
    }
    streams.list.push_back(std::move(*own));
    for (const auto& [id, number] : conversations) {
      if (!seen.insert(id).second) continue;
      auto stream =
          extent == Extent::kHeads ? read_head(user, id) : read_stream(user, id, wire::STREAM_KIND_CONVERSATION);
      if (!is_missing(!stream)) streams.list.push_back(std::move(*stream));
    }
  }
  return streams;
}

bool World::read_server(std::vector<event::StoreRead>* reads) {
  if (!server_.running()) return false;
  ServerStreams streams = server_streams(Extent::kItems);
  for (const ServerStream& stream : streams.list) {
    const ConversationNumber number = observer_.conversation_of(stream.stream);
    event::StreamRead whole;
    whole.stream = stream.stream.value;
    whole.conversation = number;
    whole.trimmed_below = stream.trimmed_below;
    whole.head = stream.head;
    for (const wire::Item& item : stream.items) {
      if (item.kind() == wire::ITEM_KIND_SKIP) continue;
      whole.items.push_back({item.seq(), Observer::hash_of_item(item)});
    }
    observer_.record(0, whole);
    if (stream.kind != wire::STREAM_KIND_CONVERSATION) continue;
    event::StoreRead read;
    read.device = kServer;
    read.conversation = number;
    read.cursor = whole.head;
    read.trimmed_below = stream.trimmed_below;
    for (const wire::Item& item : stream.items) {
      if (item.kind() != wire::ITEM_KIND_MESSAGE) continue;
      read.rows.push_back({item.seq(),
                           ClientMessageId::from_bytes(item.client_message_id()).value_or(ClientMessageId{}),
                           Observer::user_named(item.sender_user_id()), observer_.content_of(item), false, false});
    }
    observer_.record(0, read);
    if (reads != nullptr) reads->push_back(std::move(read));
    streams.all = record_marks(stream.stream, number) && streams.all;
  }
  streams.all = see_key_rows() && streams.all;
  return streams.all;
}

bool World::record_marks(StreamId stream, ConversationNumber conversation) {
  const auto members = observer_.members(conversation);
  if (members.empty()) return true;
  const auto advances = server_.inspector().marks_after(Observer::name_of(members.front()), stream, 0, kMarksMax);
  if (is_unread(advances, stream)) return false;
  std::map<std::pair<UserNumber, MarkKind>, Seq> marks;  // the last word on each
  for (const server::MarkAdvance& advance : *advances) {
    const MarkKind kind = advance.kind == wire::Marks::KIND_READ ? MarkKind::kRead : MarkKind::kDelivered;
    marks[{Observer::user_named(advance.user_id), kind}] = advance.up_to;
  }
  for (const auto& [mark, up_to] : marks) {
    observer_.record(0, event::ReceiptSeen{kServer, conversation, mark.first, mark.second, up_to});
  }
  return true;
}

bool World::see_key_rows() {
  if (!options_.encrypted) return true;
  for (UserNumber user = 1; user <= options_.users; ++user) {
    const auto devices = server_.inspector().devices(Observer::name_of(user));
    if (is_unread(devices, {})) return false;
    for (const server::Device& device : *devices) {
      const auto counts = server_.inspector().key_counts(device.device_id);
      if (is_unread(counts, {})) return false;
      if (!counts->has_value()) continue;
      observer_.on_level(0, "one-time prekeys of a device", (*counts)->one_time, limits::e2ee::kOneTimeStored);
      observer_.on_level(0, "one-time KEM prekeys of a device", (*counts)->one_time_kem, limits::e2ee::kOneTimeStored);
    }
  }
  return true;
}

// False: the server does not run, or its disk did not let all of it be read, and nobody knows.
bool World::record_server_marks() {
  if (!server_.alive()) return false;
  const Scheduler::ActingFor turn(scheduler_, 0);
  ServerStreams streams = server_streams(Extent::kHeads);
  for (const ServerStream& stream : streams.list) {
    if (stream.kind != wire::STREAM_KIND_CONVERSATION) continue;
    streams.all = record_marks(stream.stream, observer_.conversation_of(stream.stream)) && streams.all;
  }
  return streams.all;
}

// The devices first: what the server has trimmed is held against what they had stored by then.
void World::read_all_stores() {
  const Scheduler::ActingFor turn(scheduler_, 0);
  for (DeviceNode* node : devices()) {
    if (node->running()) node->read_store();
    if (liar_ != nullptr) liar_->judge(*node);
  }
  read_server();
}

// ---- The end -------------------------------------------------------------------------------------------------------

Verdict World::unrest() {
  if (!server_.running()) return Finding("the server does not run");
  std::map<ConversationNumber, Seq> heads;
  std::map<std::pair<ConversationNumber, UserNumber>, std::pair<Seq, Seq>> marks;
  for (const ServerStream& stream : server_streams(Extent::kHeads).list) {
    if (stream.kind == wire::STREAM_KIND_CONVERSATION) heads[observer_.conversation_of(stream.stream)] = stream.head;
  }
  // Its user takes it out by hand.
  const auto gone = [this](NodeId number) { return has_left(number); };
  for (DeviceNode* node : devices()) {
    const std::string name = "device " + std::to_string(node->number());
    if (!node->running()) return Finding(name + " does not run");
    if (is_misled(*node)) continue;
    if (options_.encrypted && node->encryption_state() != EncryptionState::kReady) {
      return Finding(name + " is not in its user's list");
    }
    if (options_.encrypted && options_.users_link && lists_.names_any(node->user(), gone)) {
      return Finding("the list of user " + std::to_string(node->user()) + " names an installation that is gone");
    }
    if (const Verdict unrest = node->unrest(liar_ != nullptr)) {
      return Finding(name + " " + unrest->what, unrest->conversation);
    }
    const auto places = node->places();
    for (UserNumber other = 1; other <= options_.users; ++other) {
      const ConversationNumber number = observer_.conversation(node->user(), other);
      if (other == node->user() || heads.count(number) == 0 || places.count(number) != 0) continue;
      return Finding(name + " has not heard of its conversation with user " + std::to_string(other), number);
    }
    for (const auto& [number, place] : places) {
      const auto head = heads.find(number);
      const Seq expected = head == heads.end() ? 0 : head->second;
      if (place != expected) {
        return Finding(name + " is at " + std::to_string(place) + " of " + std::to_string(expected), number);
      }
    }
    for (const auto& [key, mark] : node->marks()) {
      const auto [entry, is_new] = marks.try_emplace(key, mark);
      if (!is_new && entry->second != mark) {
        return Finding(name + " knows other marks of user " + std::to_string(key.second) + ": " +
                           std::to_string(mark.first) + "/" + std::to_string(mark.second) + " against " +
                           std::to_string(entry->second.first) + "/" + std::to_string(entry->second.second),
                       key.first);
      }
    }
  }
  return std::nullopt;
}

void World::check_images() {
  const auto judge = [this](const std::string& whose, const Status& status) {
    if (status.ok()) return;
    violation("store", Finding("The image of " + whose + " is not sound: " + std::string(code_name(status.code())) +
                               ", " + status.error().detail));
  };
  if (server_.running()) server_.crash(CrashMode::kProcessOnly);
  judge("the server", server_.check_image());
  for (const auto& node : devices_) {
    node->disk().clear_faults();
    node->disk().cancel_crash();
    if (node->running()) node->crash(CrashMode::kProcessOnly);
    judge("device " + std::to_string(node->number()), node->check_image());
  }
}

FinalState World::final_state() {
  FinalState state;
  for (DeviceNode* node : devices()) {
    if (!node->running()) continue;
    std::vector<event::StoreRead> reads;
    std::vector<event::ReceiptSeen> receipts;
    node->read_store(&reads, &receipts);
    state.device_reads.insert(state.device_reads.end(), reads.begin(), reads.end());
    state.receipts.insert(state.receipts.end(), receipts.begin(), receipts.end());
  }
  if (!read_server(&state.server_reads)) {
    violation("store", Finding("In the end the server's store could not be read in full."));
  }
  // By then everybody has written to everybody: what a conversation lacks is not made good by its being gone.
  for (DeviceNode* node : devices()) {
    for (UserNumber other = 1; other <= options_.users; ++other) {
      if (other == node->user()) continue;
      state.eligible.push_back({observer_.conversation(node->user(), other), node->number()});
    }
  }
  return state;
}

}  // namespace chatsdk::sim
