// SPDX-License-Identifier: Apache-2.0
//
// The observer outside of client and server: it stamps what the nodes report with time and node, gives users,
// conversations and devices the world's own numbers, reads what crosses the wire, and counts faults. It judges nothing.
//
// Threads: one.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "protocol/frames.h"
#include "sim/checkers.h"
#include "sim/history.h"
#include "sim/judges.h"
#include "sim/key_use.h"
#include "sim/network.h"
#include "sim/scheduler.h"

namespace chatsdk::sim {

class Observer final : public NetworkObserver {
 public:
  explicit Observer(const Scheduler& scheduler) : scheduler_(scheduler) {}

  void record(NodeId node, Event event);
  // Called with each record; the checkers listen here.
  std::function<void(const Record&)> on_record;
  const History& history() const { return history_; }
  History take_history() { return std::move(history_); }  // of a run that is over

  // Counts a fault that had an effect, and records it. The kind is one of fault_kinds.h.
  void on_fault(const char* kind) override;
  const std::map<std::string, std::uint64_t>& faults() const { return faults_; }

  void add_device(NodeId device, UserNumber user) { user_of_[device] = user; }
  UserNumber user_of(NodeId device) const { return user_of_.at(device); }
  static UserId name_of(UserNumber user) { return "user-" + std::to_string(user); }
  static UserNumber user_named(std::string_view name);
  // Of two users, from 1 in the order met.
  ConversationNumber conversation(UserNumber one, UserNumber other);
  std::vector<UserNumber> members(ConversationNumber conversation) const;
  // kNoConversation when the stream is an account's, or not known yet.
  ConversationNumber conversation_of(StreamId stream) const;
  void learn(StreamId stream, ConversationNumber conversation) { conversation_of_[stream] = conversation; }

  static std::uint64_t hash_of_item(const wire::Item& item);
  std::uint64_t content_of(const wire::Item& item) const;
  // Devices that sent encrypted items of a stream: each is told of its own.
  const std::set<DeviceId>& senders_of(StreamId stream) { return senders_[stream]; }
  // Also of an item that was read: of a commit that the server did not live to tell of.
  void note_sender(StreamId stream, const wire::Item& item);
  void on_server_frame(NodeId device, const wire::ServerFrame& frame) override;
  void on_device_frame(NodeId device, std::uint64_t connection, BytesView frame) override;
  void on_device_hears(NodeId device, std::uint64_t connection, BytesView frame) override;
  void on_request(NodeId device, const HttpRequest& request) override;
  void on_connecting(NodeId device) override;
  void on_waiting(NodeId sender, std::size_t bytes, std::size_t limit) override;
  // Of something that has a limit: recorded each time that it has doubled, and whenever it is too much.
  void on_level(NodeId node, const char* name, std::size_t size, std::size_t limit);
  void on_replaced_served(NodeId device) override;
  void on_answer(const HttpRequest& request, const HttpResponse& response) override;
  void on_committed(const server::AppendedItem& appended);
  void on_crossing(NodeId device, const char* what, BytesView bytes) override {
    if (on_bytes) on_bytes(device, what, bytes);
  }
  // What leaves a node on its way to the other side.
  std::function<void(NodeId device, const char* what, BytesView bytes)> on_bytes;
  // From here on counts what devices send and are sent, apart from what keeps connections alive and tokens fresh. A
  // token or a session that ends only now may make a device begin anew, once. keys_rotate: their keys live so shortly
  // that devices replace and compare some in that time.
  void watch_activity(bool keys_rotate = false) {
    watches_ = true;
    keys_rotate_ = keys_rotate;
  }
  std::vector<FinalState::Activity> activity() const;

  // The server refused a rotation, under this request id.
  std::function<void(BytesView request_id, int status)> on_rotation_refused;

  // What is judged without a record: the property and the finding.
  std::function<void(const char* property, const Finding&)> on_broken;

 private:
  void learn_from(NodeId device, StreamId stream, const wire::Item& item);
  void count(NodeId device, std::string what);
  void sent(NodeId device, const char* what, std::uint64_t limit);
  void count_frame(NodeId device);
  void begins_anew(NodeId device);
  void judge_slices(NodeId device, const google::protobuf::RepeatedPtrField<wire::Slice>& slices);

  const Scheduler& scheduler_;
  History history_;
  std::map<std::string, std::uint64_t> faults_;
  std::map<NodeId, UserNumber> user_of_;
  std::map<std::pair<NodeId, std::string_view>, std::size_t> levels_;  // as last recorded
  // What a device's last connection has sent and not heard an answer to, by its target.
  struct Unanswered {
    std::uint64_t connection = 0;
    std::size_t in_conversation_max = limits::kSendWindow;
    std::size_t in_all_max = limits::kSendsInFlightMax;
    std::map<std::string, std::set<std::string>> of_target;
    std::map<std::string, std::string> target_of;
  };
  struct FramesSent {
    MonotonicTime since;
    std::uint64_t count = 0;
    std::uint64_t told = 0;
    std::uint64_t tell_at = 0;
  };
  std::map<NodeId, FramesSent> frames_;
  Unanswered& unanswered_on(NodeId device, std::uint64_t connection);
  std::map<NodeId, Unanswered> unanswered_;
  bool watches_ = false;
  std::map<NodeId, std::map<std::string, std::uint64_t>> sent_;  // while it watches, by device
  bool keys_rotate_ = false;
  std::map<std::pair<NodeId, std::string>, std::uint64_t> fresh_;  // requests that keep fresh, by their addresses
  std::set<NodeId> began_anew_;
  std::set<NodeId> left_;  // for good: a server that has not noticed yet says to nobody that it gives up
  std::map<std::pair<UserNumber, UserNumber>, ConversationNumber> conversations_;
  std::unordered_map<StreamId, ConversationNumber> conversation_of_;
  std::map<StreamId, std::set<DeviceId>> senders_;
  KeyUse key_use_;
  std::set<ClientMessageId> tasks_;                    // requests and repairs of encryption: no app sent them
  std::map<ClientMessageId, std::uint64_t> contents_;  // of what was sent
};

}  // namespace chatsdk::sim
