// SPDX-License-Identifier: Apache-2.0
//
// The nodes of one run and what keeps them alive: it makes server and devices from the options, notices after each turn
// who died, brings the dead back after a while, and reads the stores for the checkers. What is done to the world is the
// workload's and the nemesis's.
//
// Threads: one.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "sim/canary.h"
#include "sim/checkers.h"
#include "sim/device_node.h"
#include "sim/liar.h"
#include "sim/linker.h"
#include "sim/listed_devices.h"
#include "sim/network.h"
#include "sim/observer.h"
#include "sim/options.h"
#include "sim/scheduler.h"
#include "sim/server_node.h"

namespace chatsdk::sim {

class World {
 public:
  World(const RunOptions& options, Log& log);
  ~World();
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  Scheduler& scheduler() { return scheduler_; }
  Observer& observer() { return observer_; }
  Network& network() { return network_; }
  ServerNode& server() { return server_; }
  Checkers& checkers() { return checkers_; }
  SeededRandom& random() { return random_; }
  const RunOptions& options() const { return options_; }
  // Nullptr where the server says what it means.
  Linker& linker() { return linker_; }
  Liar* liar() { return liar_.get(); }
  // What it said to the device stays when it leaves: it believes in another account, or in lists that nobody can show.
  bool is_misled(DeviceNode& device) const { return liar_ != nullptr && liar_->has_misled(device); }

  // Devices that take part; a reinstalled one has left.
  std::vector<DeviceNode*> devices();
  DeviceNode* device(NodeId number);
  DeviceNode* draw_device();
  // The user's installation is gone and a new one begins.
  void reinstall(DeviceNode& device);
  // Or one begins where a copy of it was made, as when a backup of the whole device is put back: the new one's number.
  NodeId put_back(DeviceNode& device, std::shared_ptr<const DeviceCopy> copy);
  // The installation was replaced by another.
  bool has_left(NodeId number) const { return number != 0 && number <= retired_.size() && retired_[number - 1]; }
  const ListedDevices& lists() const { return lists_; }

  void start_all();
  void crash_server(CrashMode mode, std::chrono::microseconds down);
  void crash_device(DeviceNode& device, CrashMode mode, std::chrono::microseconds down);
  void close_device(DeviceNode& device, std::chrono::microseconds down);
  void suspend_device(DeviceNode& device, std::chrono::microseconds away);
  void drain_server(std::chrono::microseconds down);
  // Keeps a copy of the server's disk, or puts the last one back.
  void back_up_server();
  bool restore_server();
  CrashMode draw_mode();
  // Counts what disks and bus did since the last call. Whoever ends a time of failing calls it.
  void count_faults();

  // Faults end, all nodes are brought up, from here on nobody is let down.
  void heal();
  bool healed() const { return healed_; }
  // Every node up, nothing to send, all stores at the same place; why not, if not.
  Verdict unrest();

  void read_all_stores();
  // The server's conversations as it stores them, recorded, and added to the list. False: not all could be read.
  bool read_server(std::vector<event::StoreRead>* reads = nullptr);
  FinalState final_state();
  // Ends every process as it stands and checks what the disks hold, of devices that have left too.
  void check_images();
  void violation(std::string property, const Finding& found);
  const std::vector<Violation>& own_violations() const { return own_violations_; }
  std::uint64_t sends() const;
  bool failed() const { return !checkers_.ok() || !own_violations_.empty(); }

 private:
  struct ServerStream {
    StreamId stream;
    wire::StreamKind kind = wire::STREAM_KIND_UNSPECIFIED;
    UserNumber reader = 0;
    std::vector<wire::Item> items;
    Seq head = 0;
    Seq trimmed_below = 1;
  };
  struct ServerStreams {
    std::vector<ServerStream> list;
    bool all = true;  // false: what could not be read is left out
  };
  // How far counting has come: a disk's and the bus's own numbers.
  struct Counted {
    DiskCounters disk;
    std::uint64_t dropped = 0;
    std::uint64_t repeated = 0;
    std::uint64_t delayed = 0;
  };
  void count_disk(const SimDisk& disk, NodeId node);
  void count_crash(const CrashReport& report, NodeId node);
  void cut_power(SimDisk& disk, NodeId node);
  bool power_goes();

  void let_lie();
  bool names_nobody() const;
  void watch_for_canaries();
  void watch(SimDisk& disk, const char* property, NodeId node);
  void judge_unreadable(const char* property, NodeId node, std::string_view where, BytesView bytes);

  enum class Extent { kItems, kHeads };  // kHeads: a conversation's items are not read

  void after_turn(NodeId node);
  bool ended_unseeing(DeviceNode& node);
  template <typename Node>
  bool is_fault(std::string what, Node& node, const Error& failure);
  void judge(DeviceNode& device, const char* what, const Error& end);
  void start_server();
  bool begin_epoch();
  void read_lists();
  bool may_go(const DeviceNode& node);
  NodeId begin_in_place_of(DeviceNode& node, std::shared_ptr<const DeviceCopy> copy);
  void start_device(NodeId number);
  void resume_device(NodeId number);
  void lose_suspended(DeviceNode& device, std::chrono::microseconds down);
  std::unique_ptr<DeviceNode> make_device(DeviceNodeOptions device);
  ServerNodeOptions server_options() const;
  NetworkOptions network_options() const;
  std::int32_t drift_of(NodeId node) const;
  bool record_server_marks();
  ServerStreams server_streams(Extent extent);
  template <typename Read>
  bool is_unread(const Result<Read>& read, StreamId stream);
  std::optional<ServerStream> read_stream(UserNumber reader, StreamId stream, wire::StreamKind kind);
  std::set<DeviceId> devices_of_all();
  std::optional<ServerStream> read_stream_as(UserNumber reader, DeviceId device, StreamId stream,
                                             wire::StreamKind kind);
  std::optional<ServerStream> read_head(UserNumber reader, StreamId conversation);
  bool record_marks(StreamId stream, ConversationNumber conversation);
  // How many rows the server's store has of a device for whom there is a limit to them.
  bool see_key_rows();
  std::chrono::microseconds up_to(std::chrono::microseconds most) {
    return std::chrono::microseconds(random_.below(static_cast<std::uint64_t>(most.count()) + 1));
  }

  const RunOptions options_;
  WatchedLog server_log_;
  WatchedLog device_log_;
  Scheduler scheduler_;
  Observer observer_;
  Checkers checkers_;
  ListedDevices lists_;
  SeededRandom random_;
  NodeClock backend_clock_;
  const AppBackend backend_;
  Network network_;
  ServerNode server_;
  std::unique_ptr<Liar> liar_;
  std::vector<std::unique_ptr<DeviceNode>> devices_;
  std::vector<bool> retired_;
  DiskImage backup_;
  bool has_backup_ = false;
  bool expects_new_epoch_ = false;
  bool epoch_in_doubt_ = false;
  std::uint64_t epoch_ = 0;        // of the server's last process
  std::set<UserNumber> accounts_;  // that the server's store held at a read in its epoch
  bool healed_ = false;
  bool draining_ = false;
  std::map<NodeId, Counted> counted_;
  std::vector<Violation> own_violations_;
  Linker linker_{*this};
};

}  // namespace chatsdk::sim
