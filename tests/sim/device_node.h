// SPDX-License-Identifier: Apache-2.0
//
// A device as a node of the simulated world: the client's own engine and encrypted store on one lane, a simulated disk
// below, and an app that a user might have: it logs in, shows what it is told, reads, retries, and starts again after a
// crash. What the app sees is recorded as it sees it.
//
//   start() --store opened, read in full--> client started --logged in--> sends, reads, ...
//   crash(): the process is dropped; the disk decides what is left; start() again
//
// Threads: one. Actions are turns of the device's lane.
// Invariants:
//   1. Nothing is recorded once the disk has lost its power: the app is dead from there. A discard that is durable
//      by then is what the user asked for, and is recorded.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/limits.h"
#include "engine/client.h"
#include "sim/app_backend.h"
#include "sim/judges.h"
#include "sim/network.h"
#include "sim/observer.h"
#include "sim/scheduler.h"
#include "sim/sim_disk.h"
#include "store/device_store.h"
#include "store/e2ee_store.h"

namespace chatsdk::sim {

// What is left of a device at some time.
struct DeviceCopy {
  StoreKey key;
  DiskImage disk;
};

struct DeviceNodeOptions {
  NodeId number = 1;
  UserNumber user = 1;
  bool makes_account = true;  // the user's first device
  // The app's backend vouches for the user, who has no password.
  const AppBackend* backend = nullptr;
  // The conversations that it begins, but those with users above this number: nobody has keys for a stranger, and the
  // server does not say that there is none.
  bool encrypted = false;
  UserNumber users = 0;
  e2ee::Lifetimes lifetimes;
  std::chrono::milliseconds send_time_limit{600'000};
  std::chrono::milliseconds backoff_cap{8'000};
  std::size_t outbox_max = limits::kOutboxMax;
  WallTime wall_start = from_unix_ms(1'750'000'000'000);
  std::int32_t drift = 0;                  // of its clocks, in parts per million
  std::shared_ptr<const DeviceCopy> copy;  // it begins with; none: it has no store yet
};

class DeviceNode final : private EventSink {
 public:
  DeviceNode(Scheduler& scheduler, Network& network, Observer& observer, Log& log, std::uint64_t seed,
             const DeviceNodeOptions& options);
  ~DeviceNode() override;

  NodeId number() const { return options_.number; }
  // The number in the name that such a device logs in with.
  static std::optional<NodeId> number_in(std::string_view device_name);
  UserNumber user() const { return options_.user; }
  bool makes_account() const { return options_.makes_account; }
  SimDisk& disk() { return disk_; }
  NodeClock& clock() { return clock_; }
  std::shared_ptr<const DeviceCopy> copy() const {
    return std::make_shared<const DeviceCopy>(DeviceCopy{store_key_.clone(), disk_.snapshot(DiskView::kVisible)});
  }

  // -- The process --
  // Opens the store, reads it in full, starts the client. An error: nothing runs; CORRUPT and the like are the caller's
  // to judge.
  Status start();
  bool running() const { return process_ != nullptr; }
  // The app could not read what it was told of: nobody has seen what is there, and the app ends.
  bool cannot_read() const { return cannot_read_; }
  bool online() const { return process_ != nullptr && state_ == ConnectionState::kOnline; }
  CrashReport crash(CrashMode mode);
  // As an app that is closed: the process ends in order.
  void close();
  // As an app that lets go of its store while it is in the background, and remembers what it was told; resume() goes on
  // where it was. What start() does instead finds an app that was ended meanwhile.
  void suspend();
  Status resume();
  bool suspended() const { return suspended_; }
  std::uint64_t processes() const { return processes_; }  // that were begun
  void stall(std::chrono::microseconds time);
  // An operation of the disk failed under this process, or the last attempt to start one.
  bool disk_failed() const { return disk_.counters().failed() != disk_at_start_.failed(); }
  // It read other bytes than are there: saying that the store is damaged is right.
  bool disk_deceived() const { return disk_.counters().deceived() != disk_at_start_.deceived(); }

  // -- What the user does. Each is a turn; nothing happens when there is nothing to do it to. --
  // `returned`, when given, is told what the call said: the conversation and the message's id, or why there is none.
  struct SendOutcome {
    ConversationNumber conversation = kNoConversation;
    Result<ClientMessageId> sent;
  };
  void send(UserNumber peer, std::size_t text_bytes, std::optional<std::chrono::milliseconds> time_limit,
            std::function<void(const SendOutcome&)> returned = {});
  void repeat_last_send();
  void contradict_last_send();  // another text under its id
  void read(std::uint64_t draw);
  void retry_failed(std::uint64_t draw);
  void discard_failed(std::uint64_t draw);
  void discard_queued(std::uint64_t draw);
  void settle_lost(std::uint64_t draw);  // what the server has lost: sends it again, or gives it up
  void page(std::uint64_t draw);         // reads a history by pages, both ways
  void reuse_refresh_token();            // whoever copied one earlier uses it
  // Waits, at most this long, until device and server agree, as chatsdk_client_sync does.
  void sync(std::chrono::microseconds limit, std::function<void(Code)> returned = {});
  // Linking, as docs/e2ee.md section 12 has it: the user carries the text from one device to the other, and compares.
  void begin_link();
  void scan_link(const std::string& text);
  void confirm_link();
  void cancel_link();
  std::function<void(const std::string& text)> on_text;
  std::function<void(const std::string& code)> on_code;
  std::function<void(const Status& status)> on_link_end;
  std::function<void(const std::vector<e2ee::Event>& events)> on_events;
  EncryptionState encryption_state() const { return encryption_state_; }
  // What it keeps of a user's devices; none: nothing, or it cannot be read now.
  struct Belief {
    e2ee::SigningKey account_key;
    std::vector<Bytes> lists;
    bool change_is_shown = false;  // that the account key is another one than before
  };
  std::optional<Belief> belief_of(const UserId& user_id);
  // Of each conversation the lists that its roster means are kept.
  bool has_sound_rosters();
  // Requests for what did not open, or repairs, which wait for their rates (docs/e2ee.md section 11.2).
  bool has_tasks();
  // Its own, without their secrets; none where it does not run or cannot read them.
  std::vector<e2ee::PrekeySummary> prekeys();
  void lose_sessions();                   // of end-to-end encryption: what is sent in them cannot be opened
  void ask_receipts(std::uint64_t draw);  // of a message, for each user of its conversation
  void log_out();
  void revoke_another_device();
  void replace_identity();
  // Removes those of the user's devices that are gone for good.
  void remove_devices_if(std::function<bool(NodeId)> is_gone);
  void restart_client();  // stop and start without ending the process
  void network_changed();
  // Gives up every message that failed; false when there is none.
  bool settle_failed();
  // Sends again all that the server has lost.
  void retry_lost();
  void read_all();

  // -- For the checks --
  // Before a sync returns: records the server's marks; false when they cannot be read.
  std::function<bool()> record_server_marks;
  // The server knows it under this id.
  std::function<void(DeviceId id)> on_logged_in = [](DeviceId) {};
  // A call of the app's or the connection ended with an error that the app was told.
  std::function<void(const char* what, const Error& end)> on_ended_with = [](const char*, const Error&) {};
  // Reads the whole store and records it; what was read is added to the lists. Between turns, the process runs.
  void read_store(std::vector<event::StoreRead>* reads = nullptr, std::vector<event::ReceiptSeen>* receipts = nullptr);
  // Where the device is in each of its conversations, and which marks it knows: (delivered, read).
  std::map<ConversationNumber, Seq> places();
  std::map<std::pair<ConversationNumber, UserNumber>, std::pair<Seq, Seq>> marks();
  // What the app was told equals what the store holds; what does not, if not. The lane is idle.
  Verdict untold();
  // The whole store in its image, every page and every reference; ok where none was ever made. Nothing runs.
  Status check_image();
  // What still waits here: an outbox row, a log-in, and a read mark to tell, unless that may.
  Verdict unrest(bool may_wait_to_be_read = false);
  std::uint64_t sends() const { return sends_; }
  bool has(const ClientMessageId& k) const;
  bool sees_read(const ClientMessageId& k);
  ConnectionState state() const { return state_; }
  // How full the engine's queues and counters are; nothing when it does not run.
  void see_levels();

  static constexpr const char* kStorePath = "/device/store.db";

 private:
  Status open_process(bool must_exist);
  void begin();

  // Destroyed from the last member to the first.
  struct Process {
    Process(Scheduler& scheduler, Network& world_network, NodeId node, const NodeClock& clock, const SimDisk& disk)
        : lane(scheduler, node, clock), network(world_network, node, lane, [&disk] { return disk.powered(); }) {}
    ~Process() { lane.shut(); }
    Status open_encryption() {
      CHATSDK_ASSIGN(encryption, E2eeStore::open(*store));
      return {};
    }

    Lane lane;
    DeviceNetwork network;
    std::unique_ptr<DeviceStore> store;
    std::unique_ptr<E2eeStore> encryption;  // where the device takes part in it
    std::unique_ptr<DeviceReader> reader;
    std::unique_ptr<Client> client;
  };

  // EventSink
  void on_changes(const Changes& changes) override;
  void on_connection(ConnectionState state, const Error& cause, std::chrono::milliseconds retry_in) override;
  void on_session_ended(const Error& cause) override;
  void on_completed(RequestId request, const Status& status) override;
  void on_devices(RequestId request, const std::vector<DeviceInfo>& devices) override;
  void on_decided() override { look_at_syncs(); }
  void on_encryption_state(EncryptionState state) override { encryption_state_ = state; }
  void on_encryption_events(const std::vector<e2ee::Event>& events) override {
    for (const e2ee::Event& event : events) {
      if (event.kind == e2ee::EventKind::kIdentityChanged) told_changed_.insert(event.user_id);
    }
    if (on_events) on_events(events);
    take_events(events);
  }
  void on_link_code(const std::string& code, const std::string&) override {
    if (on_code) on_code(code);
  }
  void on_link_ended(const Status& status) override {
    if (on_link_end) on_link_end(status);
  }

  void take_events(const std::vector<e2ee::Event>& events);
  template <typename Act>
  void act(Act act);
  void record(Event happened);
  void ended_with(const char* what, const Error& end);
  template <typename Returned>
  void ended_with(const char* what, const Returned& returned) {
    if (!returned.ok()) ended_with(what, returned.error());
  }
  bool alive() const { return process_ != nullptr && disk_.powered(); }
  void look_at_syncs();
  void end_sync(std::uint64_t number, Code code);
  std::uint64_t restores() const;
  void log_in();
  void log_in_later();
  void settle_retry(const MessageRow& row);
  void settle_discards(ConversationKey read, const std::vector<MessageRow>& rows);
  void retry(MessageKey key);
  void give_up(MessageKey key);
  Result<PagedHistory> by_pages(const ConversationRow& conversation, std::size_t up, std::size_t down);
  void observe_epoch();
  void observe(const MessageRow& row);
  void observe_marks(ConversationKey key, std::vector<event::ReceiptSeen>* receipts = nullptr);
  std::optional<ConversationNumber> conversation(ConversationKey key);
  bool read_conversation(const ConversationRow& row, const std::map<ConversationKey, StreamCursor>& cursors,
                         std::vector<event::StoreRead>* reads);
  void count_unread(const ConversationRow& conversation, const std::vector<MessageRow>& rows);
  std::vector<ConversationRow> all_conversations();
  bool is_pair_overdue();
  template <typename See>
  bool each_row(ConversationKey key, See see);

  Scheduler& scheduler_;
  Network& network_;
  Observer& observer_;
  Log& log_;
  const DeviceNodeOptions options_;
  NodeClock clock_;
  SeededRandom sqlite_random_;
  SeededRandom keys_;
  SeededRandom ids_;
  SeededRandom jitter_;
  SeededRandom app_;
  StoreKey store_key_;
  SimDisk disk_;
  std::unique_ptr<Process> process_;

  // The app's memory; gone with the process.
  static constexpr std::size_t kPage = 100;
  static SeenState seen(MessageState state) { return static_cast<SeenState>(static_cast<std::int32_t>(state)); }
  static ToldMessage told_of(const MessageRow& row, ConversationNumber number);
  std::map<MessageKey, ToldMessage> told_;
  std::map<ConversationKey, ConversationNumber> conversations_;
  std::map<ConversationKey, Seq> shown_up_to_;
  std::set<MessageKey> failed_;
  std::set<MessageKey> lost_;  // own, by the server
  ConnectionState state_ = ConnectionState::kStopped;
  EncryptionState encryption_state_ = EncryptionState::kOff;
  RequestId last_request_ = 0;
  RequestId log_in_request_ = 0;
  bool log_in_waits_ = false;
  bool cannot_read_ = false;
  struct LastSend {
    ConversationKey conversation;
    ClientMessageId k;
    MessageKey message;
    std::string text;
  };
  std::optional<LastSend> last_send_;
  std::map<std::uint64_t, std::function<void(Code)>> syncs_;  // those that wait, by number
  struct Cleanup {
    RequestId request = 0;
    std::function<bool(NodeId)> is_gone;
  };
  Cleanup cleanup_;
  bool look_is_posted_ = false;

  // What the world remembers over crashes.
  struct OpenRetry {
    ClientMessageId k;
    bool lost = false;
    std::int64_t latest_ms = 0;
  };
  std::map<MessageKey, OpenRetry> open_retries_;  // asked for, and not seen yet what came of it
  struct OpenDiscard {
    ConversationKey conversation;
    event::Discarded event;
  };
  std::map<ClientMessageId, OpenDiscard> open_discards_;  // the same
  bool account_made_;
  bool linked_ = false;
  std::set<UserId> told_changed_;  // by an event: who has another account key
  std::set<ClientMessageId> sent_here_;
  bool suspended_ = false;
  std::uint64_t processes_ = 0;
  CopiedToken copied_token_;
  std::uint64_t sends_ = 0;
  std::uint64_t last_sync_ = 0;
  std::uint64_t epoch_ = 0;
  DiskCounters disk_at_start_;
};

}  // namespace chatsdk::sim
