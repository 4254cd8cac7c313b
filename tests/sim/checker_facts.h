// SPDX-License-Identifier: Apache-2.0
//
// What the checkers know of a run so far: messages, places, devices, epochs. It gathers and answers; the properties
// judge. Everything is found by hash or by index, so that a history of n events costs O(n) in all.
//
// A *claim* is a statement that message m has place seq in conversation c, made by the server or by a device in the
// epoch that it is in. Claims of different epochs may differ above the head at which the later one began.
//
// Threads: one.
// Invariants:
//   1. Messages, conversations and devices are numbered in the order of their first mention, and always walked in that
//      order or by seq: what is found first does not depend on the library's hashes.
//   2. `fresh` and `conflicts` are those of the last record applied.
#pragma once

#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "sim/checkers.h"

namespace chatsdk::sim {

using MessageIndex = std::uint32_t;
using Epoch = std::uint32_t;  // 0 is the first of the run

inline constexpr Epoch kNoEpoch = std::numeric_limits<Epoch>::max();

enum class SendOutcome : std::uint8_t { kOpen, kOk, kRefused };

struct Attempt {
  DeviceNumber device = 0;
  UserNumber user = 0;
  ConversationNumber conversation = 0;
  ContentHash h = 0;
  SendOutcome outcome = SendOutcome::kOpen;
  bool again = false;          // called again while open: which of the calls counts is not known
  std::uint64_t called = 0;    // the record of the call that counts
  std::uint64_t returned = 0;  // of the return with ok
};

struct Place {
  Seq seq = 0;
  Epoch from = 0;  // the epoch in which it was first claimed
};

struct Message {
  ClientMessageId k;
  std::vector<Attempt> attempts;                      // mostly one
  std::vector<Place> places;                          // mostly one; all in `conversation`
  ConversationNumber conversation = kNoConversation;  // of the first attempt or claim
  std::uint32_t last_call = 0;                        // index of the attempt called last
  bool told_failed = false;                           // the author's app was told, and has not retried since
  bool discarded = false;
  bool given_up_as_lost = false;  // discarded where the server was said to have lost it
  bool resent = false;  // the server had lost it, and a device sent it again: one may fail where another does not
  bool acked = false;   // the author's app was told
  Epoch closed_in = kNoEpoch;  // the server's epoch when it was told or discarded
  Epoch voided_in = kNoEpoch;  // the server's epoch of the tombstone

  // The device that sent it; 0: nobody did.
  DeviceNumber author() const { return attempts.empty() ? 0 : attempts.front().device; }
  // Devices of one user that send one message again have each encrypted it: the server keeps what came first.
  bool is_of_several() const {
    return std::any_of(attempts.begin(), attempts.end(),
                       [this](const Attempt& attempt) { return attempt.device != author(); });
  }
};

// Who stands at a place. Without content: only the server's answer named it so far.
struct Claim {
  ConversationNumber conversation = 0;
  Seq seq = 0;
  MessageIndex message = 0;
  Epoch from = 0;
  bool has_content = false;
  UserNumber sender = 0;
  ContentHash h = 0;
  bool by_server = false;  // an answer, an acknowledgement, or a read of the server's store says so
  std::uint64_t event = 0;
};

struct Conflict {
  Claim claim;
  Claim with;  // at the same place, or of the same message
};

// A device in its user's list: of each conversation the first place while it was in it, and the first after, as they
// were counted in the server's epochs of then; a conversation that is not named began later.
struct Listing {
  Epoch begun = 0;
  std::map<ConversationNumber, Seq> from;
  Epoch ended = 0;
  std::optional<std::map<ConversationNumber, Seq>> to;  // none: it still is
};

struct Device {
  UserNumber user = 0;
  DeviceNumber original = 0;  // of which its store is a copy; 0: none
  std::vector<Listing> listings;
  std::vector<Listing> keyed;  // listed, and with keys at the server
  bool linked = false;
  Epoch epoch = 0;
  std::uint64_t last_crash = 0;    // record number
  std::uint64_t read_in_full = 0;  // likewise, the last time
  std::vector<bool> held;          // by message: in the store at its place, as far as was seen
  std::vector<ConversationNumber> conversations;
};

// One device's view of one conversation.
struct DeviceConversation {
  Seq cursor = 0;
  std::uint64_t last_read = 0;      // record number of its last StoreRead
  Seq marked_read = 0;              // in its epoch: a mark_read that returned ok, as far as the cursor had come
  std::vector<MessageIndex> sends;  // own, in the order first called
  std::vector<std::pair<Seq, Seq>> placeholders;
};

// The claims of one conversation by seq: dense in every sound run, so a vector, with a map for absurd sequences.
class ClaimTable {
 public:
  using Slot = std::vector<Claim>;  // one for each epoch that filled the place; mostly one

  Slot& at(Seq seq);
  const Slot* find(Seq seq) const;
  // Calls visit(slot) in order of seq, until it returns false.
  template <typename Visit>
  void walk(Seq first, Seq last, Visit&& visit) const {
    for (Seq seq = first; seq <= last && seq < dense_.size(); ++seq) {
      if (!dense_[seq].empty() && !visit(dense_[seq])) return;
    }
    for (auto slot = sparse_.lower_bound(first); slot != sparse_.end() && slot->first <= last; ++slot) {
      if (!visit(slot->second)) return;
    }
  }

 private:
  static constexpr Seq kDenseMax = 1 << 20;
  std::vector<Slot> dense_;
  std::map<Seq, Slot> sparse_;
};

struct Conversation {
  ClaimTable claims;
  std::vector<Seq> highest;                                        // by epoch: of anything said to be in the stream
  std::vector<DeviceNumber> devices;                               // that said anything of it
  std::map<UserNumber, std::vector<std::pair<Seq, Seq>>> members;  // [joined, left); left 0: still is
};

class Facts {
 public:
  void apply(const Record& record);

  // -- Messages --
  std::optional<MessageIndex> find(const ClientMessageId& k) const;
  const Message& message(MessageIndex index) const { return messages_[index]; }
  std::size_t message_count() const { return messages_.size(); }
  // The attempt that would explain a message with this content and sender, refused ones apart.
  const Attempt* explains(const Message& message, ConversationNumber conversation, ContentHash h,
                          UserNumber sender) const;

  // -- Places --
  const Conversation& conversation(ConversationNumber number) const;
  std::size_t conversation_count() const { return conversations_.size(); }
  // The place of a message, or the message at a place, in an epoch; null: none is known.
  const Place* place_in(const Message& message, Epoch epoch) const;
  const Claim* claim_in(ConversationNumber conversation, Seq seq, Epoch epoch) const;
  const Claim* claim_in(const ClaimTable::Slot& slot, Epoch epoch) const;
  // What was at seq in epoch `from` is still there in epoch `to`.
  bool survives(ConversationNumber conversation, Seq seq, Epoch from, Epoch to) const;
  Seq highest(ConversationNumber conversation, Epoch epoch) const;
  Seq restored_head(ConversationNumber conversation, Epoch epoch) const;

  const std::vector<Claim>& fresh() const { return fresh_; }
  const std::vector<Conflict>& conflicts() const { return conflicts_; }

  // -- Devices and users --
  const Device& device(DeviceNumber number) const;
  std::size_t device_count() const { return devices_.size(); }
  const DeviceConversation& view(DeviceNumber device, ConversationNumber conversation) const;
  std::span<const DeviceNumber> devices_of(UserNumber user) const;
  bool holds(DeviceNumber device, MessageIndex message) const;
  bool has_placeholder(DeviceNumber device, ConversationNumber conversation, Seq seq) const;
  bool is_member(ConversationNumber conversation, UserNumber user, Seq seq) const;
  // The epoch's place may be for the device, as far as lists tell; true where none was told of.
  bool is_listed(DeviceNumber device, ConversationNumber conversation, Seq seq, Epoch epoch) const;
  bool lists_told() const { return lists_told_; }
  // A message at the place must be on the device. Whatever waited for one that left its list is gone.
  bool is_due(DeviceNumber device, ConversationNumber conversation, Seq seq, Epoch epoch) const;
  // Lists were told of, and every device of the user that the place was for is one no more.
  bool is_given_up(ConversationNumber conversation, Seq seq, Epoch epoch, UserNumber user) const;
  // It crashed, and its copy of the conversation was not read since, nor was found to be none.
  bool is_unseen(DeviceNumber device, ConversationNumber conversation) const;

  // -- Epochs --
  Epoch epoch() const { return static_cast<Epoch>(epochs_.size() - 1); }  // the server's
  // The epoch in which the author of a record speaks: a device's own, else the server's.
  Epoch epoch_of(DeviceNumber device) const { return device == kServer ? epoch() : this->device(device).epoch; }

 private:
  void on(const event::SendCalled& e);
  void on(const event::SendReturned& e);
  void on(const event::Acked& e);
  void on(const event::Failed& e);
  void on(const event::Discarded& e);
  void on(const event::Retried& e);
  void on(const event::StateSeen& e);
  void on(const event::Shown& e);
  void on(const event::PlaceholderShown& e);
  void on(const event::StoreRead& e);
  void on(const event::StoreReadInFull& e);
  void on(const event::CursorSeen& e);
  void on(const event::MarkReadReturned& e);
  void on(const event::StreamRead& e);
  void on(const event::ItemCommitted& e);
  void on(const event::PushedLive& e);
  void on(const event::AnswerSeen& e);
  void on(const event::Member& e);
  void on(const event::Linked& e);
  void on(const event::Unlinked& e);
  void on(const event::CopiedFrom& e);
  void on(const event::Listed& e);
  void on(const event::EpochBegun& e);
  void on(const event::EpochSeen& e);
  void on(const event::Crash& e);
  template <typename Other>
  void on(const Other&) {}

  MessageIndex index_of(const ClientMessageId& k);
  Conversation& conversation_at(ConversationNumber number);
  Device& device_at(DeviceNumber number);
  DeviceConversation& view_at(DeviceNumber device, ConversationNumber conversation);
  void hold(DeviceNumber device, MessageIndex message);
  void unhold(DeviceNumber device, MessageIndex message);
  void set_listed(std::vector<Listing>& listings, bool listed);
  bool covers(const Listing& listing, ConversationNumber conversation, Seq seq, Epoch epoch) const;
  // Where a place of one epoch lies in a later one, which may use it again.
  Seq in_later(ConversationNumber conversation, Seq place, Epoch from, Epoch epoch) const;
  std::map<ConversationNumber, Seq> next_places() const;
  void raise_highest(ConversationNumber conversation, Epoch epoch, Seq seq);
  void give_up(Message& message);
  void claim(Claim claim);

  std::unordered_map<ClientMessageId, MessageIndex> index_;
  std::vector<Message> messages_;
  std::vector<Conversation> conversations_;
  std::vector<Device> devices_;
  std::vector<std::vector<DeviceNumber>> devices_of_;
  std::unordered_map<std::uint64_t, DeviceConversation> views_;
  std::vector<std::uint64_t> epochs_{0};                                // the store's number of each
  std::vector<std::unordered_map<ConversationNumber, Seq>> heads_{{}};  // by epoch: where it began
  std::vector<Claim> fresh_;
  std::vector<Conflict> conflicts_;
  bool lists_told_ = false;
  std::uint64_t now_ = 0;  // the number of the record being applied
};

// For messages of violations.
std::string name_of(const Message& message);
std::string node_name(DeviceNumber device);

}  // namespace chatsdk::sim
