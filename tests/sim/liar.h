// SPDX-License-Identifier: Apache-2.0
//
// A server that attacks devices: whoever owns it knows all that it knows, changes what it says, and has devices of its
// own that it slips into lists (impostor.h), but no device's secrets. It stands before the honest server, which goes on
// as ever; what that would refuse of the attacker's work, it never sees.
//
//   device ◄── frames and answers, changed ── liar ◄── server
//   device ── frames, without what is for the attacker's devices ──► liar ──► server
//
// What it judges: nothing that an honest sender encrypted opens for an impostor, unless the sender keeps the
// attacker's account key; the lists that a device keeps under a user's own account key were made by devices of that
// user; another account key is kept only where the app can see that it changed (S10); what it provokes is bounded
// (S14).
//
// Threads: one.
// Invariants:
//   1. What it draws comes from a generator of its own: a world with a liar that never lies has the history of one
//      without.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "protocol/frames.h"
#include "protocol/keys.pb.h"
#include "sim/device_node.h"
#include "sim/impostor.h"
#include "sim/lies.h"
#include "sim/network.h"
#include "sim/observer.h"

namespace chatsdk::sim {

class Liar final : public ServerFront {
 public:
  Liar(const Scheduler& scheduler, std::uint64_t seed, const Lies& lies, Observer& observer)
      : scheduler_(scheduler), random_(seed), lies_(lies), observer_(observer) {}

  // From here on, one in so many occasions; 0: no more. victim 0: whoever it is; times 0: as often as there is
  // occasion.
  void tell(Lie lie, std::uint32_t one_in, NodeId victim = 0, std::uint32_t times = 0);
  // It tells the truth from here on, and takes nothing back.
  void leave() {
    lies_ = {};
    refused_.clear();
  }
  std::uint64_t told(Lie lie) const { return told_[static_cast<std::size_t>(lie)]; }
  // What impostors could read.
  std::uint64_t read() const { return read_; }

  // What the device keeps of users, and of whom it keeps what no device of theirs has said.
  void judge(DeviceNode& device);
  bool has_misled(DeviceNode& device) const;
  // Nullptr: it has left.
  std::function<DeviceNode*(NodeId number)> device_of = [](NodeId) { return nullptr; };

  // ServerFront
  Frames to_device(NodeId device, std::shared_ptr<const Bytes> frame) override;
  std::shared_ptr<const Bytes> to_server(NodeId device, std::shared_ptr<const Bytes> frame, Frames& answers) override;
  void on_request(NodeId device, HttpRequest& request) override;
  void on_answer(NodeId device, const HttpRequest& request, HttpResponse& response) override;

 private:
  // A message as a device was given it.
  struct Heard {
    NodeId device = 0;
    StreamId stream;
    wire::Item item;
  };
  // Lists of one user as an answer gives them.
  struct Given {
    std::vector<Bytes> lists;
    std::vector<Bytes> records;
    std::uint64_t newest = 0;
  };
  struct Made {
    std::map<std::uint64_t, Bytes> lists;
    std::map<e2ee::Hash, Bytes> records;
    std::set<e2ee::SigningKey> account_keys;
    std::set<Bytes> all;  // also of versions that there were twice, since the server's store went back
  };
  struct SentMessage {
    NodeId from = 0;
    StreamId conversation;
    UserId peer;
    std::map<DeviceId, Bytes> slices;
  };

  // As it was refused: what is given out of it is for one device each.
  struct Refused {
    Bytes id;
    SentMessage message;
  };

  bool lies(Lie lie, NodeId device);
  void did(Lie lie);
  void finding(const char* property, std::string what);
  std::uint64_t now_ms() const;
  Impostor& impostor(const UserId& user_id);
  Impostor& another_impostor(const UserId& user_id);
  Impostor* impostor_with(DeviceId device_id);

  void lie_in(NodeId device, wire::Items& items);
  void lie_of(NodeId device, StreamId stream, wire::Item& item);
  bool give_out_refused(StreamId stream, wire::Item& item);
  void lie_in_roster(NodeId device, wire::Roster& roster);
  const Heard* draw_heard(const std::function<bool(const Heard&)>& which);
  void remember(NodeId device, StreamId stream, const wire::Item& item);

  bool falsify(NodeId asker, const UserId& user_id, std::uint64_t known_version, Given& given);
  void falsify(NodeId asker, const UserId& peer, wire::RosterChanged& changed);
  bool make_up(NodeId asker, const UserId& user_id, std::uint64_t known_version, Given& given);
  bool falsify_as(Lie lie, const UserId& user_id, std::uint64_t known_version, Given& given);
  void add_records(const UserId& user_id, Given& given);
  void lie_of_bundle(NodeId device, const UserId& user_id, wire::Bundle& bundle);
  void lie_of_lists(NodeId device, const HttpRequest& request, HttpResponse& response);
  void lie_of_bundles(NodeId device, const HttpRequest& request, HttpResponse& response);

  void learn_from(const wire::DeviceListUpload& upload);
  void count(NodeId device, const wire::Send& send);
  void refuse(NodeId device, const wire::Send& send, std::uint64_t revision, Frames& answers);
  // The device keeps the attacker's account key as the user's, and its app can see that it changed.
  bool believes(NodeId device, const UserId& user_id, const Impostor& attacker) const;
  bool read_slices(NodeId device, wire::Send& send);
  void make_acceptable(NodeId device, wire::Send& send);
  UserId peer_of(NodeId device, const wire::Send& send) const;

  const Scheduler& scheduler_;
  SeededRandom random_;
  Lies lies_;
  std::array<NodeId, kLies> victims_{};
  std::array<std::uint64_t, kLies> last_{};  // how often each may be told; 0: as often as there is occasion
  std::array<std::uint64_t, kLies> told_{};
  std::uint64_t read_ = 0;
  Observer& observer_;

  std::map<UserId, Made> made_;
  std::multimap<UserId, std::unique_ptr<Impostor>> impostors_;
  std::map<std::pair<NodeId, UserId>, std::pair<e2ee::SigningKey, std::uint64_t>> kept_;  // newest versions
  std::map<StreamId, std::uint64_t> revisions_;
  std::map<StreamId, std::pair<UserId, UserId>> members_;
  std::map<DeviceId, std::vector<wire::Bundle>> bundles_;  // that went out
  std::map<std::string, SentMessage> sent_;                // by client_message_id
  std::deque<std::string> sent_order_;
  std::deque<Refused> refused_;
  std::map<NodeId, std::uint64_t> ids_;  // under which devices send, as far as that was seen
  std::deque<Heard> heard_;
  std::map<std::pair<NodeId, std::string>, std::deque<MonotonicTime>> attempts_;  // of one message
  std::map<std::pair<NodeId, DeviceId>, std::set<std::string>> requests_;         // for one device, their ids
};

}  // namespace chatsdk::sim
