// SPDX-License-Identifier: Apache-2.0
//
// The recorded history of a simulated run: what an observer outside of client and server has seen, each event with its
// virtual time, node and global number. It owns the events, their printed form and their hash; it knows neither client
// nor server, and judges nothing (checkers.h does).
//
// Numbers are the world's own, independent of every id that the system under test gives out:
//   node          0 is the server, a device's node is its device number
//   device        one installation, that is one device store, from 1; a store that is lost, set aside or copied back
//                 from a backup goes on under a new number
//   user          from 1
//   conversation  from 1, given to a set of users (two, today)
//   stream        the server's stream, conversation or account
//   k             a message: its client_message_id, which the world gives to no two messages and no two devices
//   h             a 64-bit hash of the message's content
//
// When to record (the checkers rely on it):
//   - what a device's store holds (Shown, PlaceholderShown, StoreRead) before the CursorSeen of the same transaction;
//   - StoreRead of each conversation of a device after each restart, before that device runs, and when it leaves for
//     good;
//   - AnswerSeen, PushedLive, StreamRead and server StoreRead when the server produces them, so that they belong to the
//     epoch that the server is in; what a device reports belongs to the epoch that the device is in (EpochSeen);
//   - a delivered mark before the read mark when both are seen at once.
//
// The hash is the proof of determinism: it runs over the serialised fields, never over memory, and is the same in every
// build and on every platform.
//
// Threads: one.
// Invariants:
//   1. Events are numbered densely from 1 in the order recorded; time never falls.
//   2. Nothing recorded changes afterwards.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/ids.h"
#include "base/result.h"

namespace chatsdk::sim {

using NodeNumber = std::uint32_t;
using DeviceNumber = std::uint32_t;
using UserNumber = std::uint32_t;
using ConversationNumber = std::uint32_t;
using StreamNumber = std::uint64_t;
using ContentHash = std::uint64_t;

inline constexpr DeviceNumber kServer = 0;
inline constexpr ConversationNumber kNoConversation = 0;

// What the app can read of an own message. The numbers are the C ABI's.
enum class SeenState : std::uint8_t { kQueued = 1, kSending = 2, kSent = 3, kDelivered = 4, kRead = 5, kFailed = 6 };
enum class MarkKind : std::uint8_t { kDelivered = 1, kRead = 2 };

// The events have a namespace of their own: their names are common words.
namespace event {

// Each event lists its fields once, through fields(visitor): visitor(name, value) in a fixed order. Printing and hash
// follow from that list.
#define CHATSDK_SIM_EVENT(Name)                    \
  static constexpr std::string_view kName = #Name; \
  template <typename Visitor>                      \
  void fields(Visitor&& visit) const

// ---- A message, as its sender's app sees it ------------------------------------------------------------------------

// The app calls send. Without a SendReturned (a crash came first) the send is open: it may appear or not.
struct SendCalled {
  DeviceNumber device = 0;
  ConversationNumber conversation = 0;
  ClientMessageId k;
  ContentHash h = 0;
  UserNumber peer = 0;         // to whom; 0: not told
  std::int64_t latest_ms = 0;  // by the device's wall clock, from when on it may time out; 0: not told
  CHATSDK_SIM_EVENT(SendCalled) {
    visit("device", device), visit("conversation", conversation), visit("k", k), visit("h", h);
    visit("peer", peer), visit("latest_ms", latest_ms);
  }
};

// kOk: durable. kStorage: the disk failed, and whether the transaction is on it is not known: open. Else: refused, and
// nothing of it may ever appear.
struct SendReturned {
  DeviceNumber device = 0;
  ClientMessageId k;
  Code code = Code::kOk;
  CHATSDK_SIM_EVENT(SendReturned) { visit("device", device), visit("k", k), visit("code", code); }
};

// The app, which had not seen the answer of a send that returned ok, asked for the same again. kOk: `got` and
// `same_message` tell which message it got; kStorage and the like: the disk did not let it.
struct SendRepeated {
  DeviceNumber device = 0;
  ClientMessageId k;
  Code code = Code::kOk;
  ClientMessageId got;
  bool same_message = true;
  CHATSDK_SIM_EVENT(SendRepeated) {
    visit("device", device), visit("k", k), visit("code", code), visit("got", got), visit("same_message", same_message);
  }
};

// The SDK reported to the app of the sending device that the server has accepted.
struct Acked {
  DeviceNumber device = 0;
  ClientMessageId k;
  Seq seq = 0;
  CHATSDK_SIM_EVENT(Acked) { visit("device", device), visit("k", k), visit("seq", seq); }
};

// The SDK reported a failure. With kRolledBack: the server has lost the message; any device that shows it reports so.
struct Failed {
  DeviceNumber device = 0;
  ClientMessageId k;
  Code code = Code::kInternal;
  std::int64_t clock_ms = 0;  // the most that the device's wall clock has shown by now
  CHATSDK_SIM_EVENT(Failed) {
    visit("device", device), visit("k", k), visit("code", code), visit("clock_ms", clock_ms);
  }
};

// The app asked for another text to be sent under the id of a message that its store holds.
struct SendContradicted {
  DeviceNumber device = 0;
  ClientMessageId k;
  Code code = Code::kOk;
  CHATSDK_SIM_EVENT(SendContradicted) { visit("device", device), visit("k", k), visit("code", code); }
};

// The app has given the message up, and the call returned ok. lost: one that the server has lost; another device of the
// sender may still send it again.
struct Discarded {
  DeviceNumber device = 0;
  ClientMessageId k;
  bool lost = false;
  CHATSDK_SIM_EVENT(Discarded) { visit("device", device), visit("k", k), visit("lost", lost); }
};

// The app has asked for a failed message to be sent again, and the call returned ok. Under the same id k_new is k_old;
// under a new id k_old is given up, and k_new has a SendCalled of its own. lost: one that the server has lost goes
// again, behind what waits, from any device of its sender; one that did not send it first has a SendCalled of its own.
struct Retried {
  DeviceNumber device = 0;
  ClientMessageId k_old;
  ClientMessageId k_new;
  bool lost = false;
  std::int64_t latest_ms = 0;  // as in SendCalled
  CHATSDK_SIM_EVENT(Retried) {
    visit("device", device), visit("k_old", k_old), visit("k_new", k_new), visit("lost", lost);
    visit("latest_ms", latest_ms);
  }
};

struct StateSeen {
  DeviceNumber device = 0;
  ClientMessageId k;
  SeenState state = SeenState::kQueued;
  CHATSDK_SIM_EVENT(StateSeen) { visit("device", device), visit("k", k), visit("state", state); }
};

// ---- What devices and server hold ----------------------------------------------------------------------------------

// A message reached the app with its place, and is in the device's store. Own messages from when they have a seq.
struct Shown {
  DeviceNumber device = 0;
  ConversationNumber conversation = 0;
  ClientMessageId k;
  Seq seq = 0;
  ContentHash h = 0;
  UserNumber sender = 0;
  CHATSDK_SIM_EVENT(Shown) {
    visit("device", device), visit("conversation", conversation), visit("k", k), visit("seq", seq), visit("h", h);
    visit("sender", sender);
  }
};

// The visible trace of messages that could not be had, in place of [first, last].
struct PlaceholderShown {
  DeviceNumber device = 0;
  ConversationNumber conversation = 0;
  Seq first = 0;
  Seq last = 0;
  CHATSDK_SIM_EVENT(PlaceholderShown) {
    visit("device", device), visit("conversation", conversation), visit("first", first), visit("last", last);
  }
};

// One row of a full read, in the order of the store. seq 0: after a turn of the epoch, not placed by the server again;
// rolled_back: the store says that the server has lost it.
struct StoredRow {
  Seq seq = 0;
  ClientMessageId k;  // zero in a placeholder
  UserNumber sender = 0;
  ContentHash h = 0;
  bool placeholder = false;
  bool rolled_back = false;
  friend bool operator==(const StoredRow&, const StoredRow&) = default;
};

// An own message without a place yet: kQueued, kSending or kFailed.
struct PendingRow {
  ClientMessageId k;
  ContentHash h = 0;
  SeenState state = SeenState::kQueued;
  friend bool operator==(const PendingRow&, const PendingRow&) = default;
};

// A full read of one conversation in the store of a device, or of the server (kServer: no pending rows).
struct StoreRead {
  DeviceNumber device = 0;
  ConversationNumber conversation = 0;
  Seq cursor = 0;         // the device's position in the conversation's stream; the server: its head
  Seq trimmed_below = 1;  // the server: what lies below is gone by its retention rule
  std::vector<StoredRow> rows;
  std::vector<PendingRow> pending;
  CHATSDK_SIM_EVENT(StoreRead) {
    visit("device", device), visit("conversation", conversation), visit("cursor", cursor);
    visit("trimmed_below", trimmed_below), visit("rows", rows), visit("pending", pending);
  }
};

// The StoreReads of a device right before were all: of what its store has no other conversation.
struct StoreReadInFull {
  DeviceNumber device = 0;
  CHATSDK_SIM_EVENT(StoreReadInFull) { visit("device", device); }
};

// The device's durable position in a stream. conversation is kNoConversation for an account stream.
struct CursorSeen {
  DeviceNumber device = 0;
  StreamNumber stream = 0;
  ConversationNumber conversation = 0;
  Seq seq = 0;
  CHATSDK_SIM_EVENT(CursorSeen) {
    visit("device", device), visit("stream", stream), visit("conversation", conversation), visit("seq", seq);
  }
};

// ---- Receipts ------------------------------------------------------------------------------------------------------

// The app of this device learned how far a user's mark has come; kServer: a read of the server's store.
struct ReceiptSeen {
  DeviceNumber device = 0;
  ConversationNumber conversation = 0;
  UserNumber user = 0;
  MarkKind kind = MarkKind::kDelivered;
  Seq up_to = 0;
  CHATSDK_SIM_EVENT(ReceiptSeen) {
    visit("device", device), visit("conversation", conversation), visit("user", user), visit("kind", kind);
    visit("up_to", up_to);
  }
};

// The app calls mark_read; up_to is at most what it has been shown. The mark counts as possible from here.
struct MarkedRead {
  DeviceNumber device = 0;
  ConversationNumber conversation = 0;
  Seq up_to = 0;
  CHATSDK_SIM_EVENT(MarkedRead) { visit("device", device), visit("conversation", conversation), visit("up_to", up_to); }
};

// The call returned. With kOk the mark is durable on the device and must reach everybody.
struct MarkReadReturned {
  DeviceNumber device = 0;
  ConversationNumber conversation = 0;
  Seq up_to = 0;
  Code code = Code::kOk;
  CHATSDK_SIM_EVENT(MarkReadReturned) {
    visit("device", device), visit("conversation", conversation), visit("up_to", up_to), visit("code", code);
  }
};

// The app asked when a user got and read the message at this place: Unix time in milliseconds, 0 for not yet. What the
// device knows of that user's marks was recorded right before.
struct ReceiptAnswered {
  DeviceNumber device = 0;
  ConversationNumber conversation = 0;
  Seq seq = 0;
  UserNumber user = 0;
  std::int64_t delivered_ms = 0;
  std::int64_t read_ms = 0;
  CHATSDK_SIM_EVENT(ReceiptAnswered) {
    visit("device", device), visit("conversation", conversation), visit("seq", seq), visit("user", user);
    visit("delivered_ms", static_cast<std::uint64_t>(delivered_ms));
    visit("read_ms", static_cast<std::uint64_t>(read_ms));
  }
};

// The SDK looked whether device and server agree, and they do, as it says. What the app was told of until then may be
// recorded up to the return; what its user does behind the look is not what the return speaks of.
struct SyncLooked {
  DeviceNumber device = 0;
  std::uint64_t number = 0;  // of the wait
  CHATSDK_SIM_EVENT(SyncLooked) { visit("device", device), visit("number", number); }
};

// The app waited until device and server agree. kOk: they do; with server_read, the server's marks have been recorded
// right before. kTimedOut: not in the time given. Without a SyncLooked of the number the look was at the return.
struct SyncReturned {
  DeviceNumber device = 0;
  Code code = Code::kOk;
  bool server_read = false;
  std::uint64_t number = 0;
  CHATSDK_SIM_EVENT(SyncReturned) {
    visit("device", device), visit("code", code), visit("server_read", server_read), visit("number", number);
  }
};

// ---- The server ----------------------------------------------------------------------------------------------------

struct StreamItem {
  Seq seq = 0;
  std::uint64_t hash = 0;  // of the item's bytes
  friend bool operator==(const StreamItem&, const StreamItem&) = default;
};

// A full read of a stream in the server's store, from what is kept to its head.
struct StreamRead {
  StreamNumber stream = 0;
  ConversationNumber conversation = 0;
  Seq trimmed_below = 1;
  Seq head = 0;
  std::vector<StreamItem> items;
  CHATSDK_SIM_EVENT(StreamRead) {
    visit("stream", stream), visit("conversation", conversation), visit("trimmed_below", trimmed_below);
    visit("head", head), visit("items", items);
  }
};

// A commit of the server's store returned with this item. A world that records these, all or none, lets a push that
// runs ahead of its commit be seen at once.
struct ItemCommitted {
  StreamNumber stream = 0;
  ConversationNumber conversation = 0;
  StreamItem item;
  CHATSDK_SIM_EVENT(ItemCommitted) {
    visit("stream", stream), visit("conversation", conversation), visit("seq", item.seq), visit("hash", item.hash);
  }
};

// The server said that it has dropped everything of a stream below this sequence.
struct StreamTrimmed {
  StreamNumber stream = 0;
  ConversationNumber conversation = 0;
  Seq below = 1;
  CHATSDK_SIM_EVENT(StreamTrimmed) {
    visit("stream", stream), visit("conversation", conversation), visit("below", below);
  }
};

// The gateway sent an item to a device. Skips are not items of the stream and are not recorded.
struct PushedLive {
  StreamNumber stream = 0;
  ConversationNumber conversation = 0;
  StreamItem item;
  DeviceNumber device = 0;
  CHATSDK_SIM_EVENT(PushedLive) {
    visit("stream", stream), visit("conversation", conversation), visit("seq", item.seq), visit("hash", item.hash);
    visit("device", device);
  }
};

// The server's answer to a Send or a Void, as it left the server. A refusal of a Void says nothing of the message and
// is not recorded.
struct AnswerSeen {
  enum class Kind : std::uint8_t { kAccepted = 1, kVoided = 2, kRefused = 3 };
  DeviceNumber device = 0;
  ClientMessageId k;
  Kind kind = Kind::kAccepted;
  Seq seq = 0;            // kAccepted
  Code code = Code::kOk;  // kRefused
  CHATSDK_SIM_EVENT(AnswerSeen) {
    visit("device", device), visit("k", k), visit("kind", kind), visit("seq", seq), visit("code", code);
  }
};

// The server answered a request that names itself (log-in by installation, rotation of a token by request id): the hash
// covers what must be the same in every answer.
struct RequestAnswered {
  std::uint64_t request = 0;
  std::uint64_t answer = 0;
  CHATSDK_SIM_EVENT(RequestAnswered) { visit("request", request), visit("answer", answer); }
};

// ---- Who must have what --------------------------------------------------------------------------------------------

// In a conversation without any Member event every user is one from the beginning.
struct Member {
  ConversationNumber conversation = 0;
  UserNumber user = 0;
  bool joined = true;
  Seq seq = 0;
  CHATSDK_SIM_EVENT(Member) {
    visit("conversation", conversation), visit("user", user), visit("joined", joined), visit("seq", seq);
  }
};

struct Linked {
  DeviceNumber device = 0;
  UserNumber user = 0;
  CHATSDK_SIM_EVENT(Linked) { visit("device", device), visit("user", user); }
};

// The server's newest device lists name this device from here on, or no more; and whether it has keys for those that
// have no session with it yet, who else leave it out. Before the first of these, what is sent is for all devices of a
// conversation's members.
struct Listed {
  DeviceNumber device = 0;
  bool listed = true;
  bool has_keys = true;
  CHATSDK_SIM_EVENT(Listed) { visit("device", device), visit("listed", listed), visit("has_keys", has_keys); }
};

struct Unlinked {
  DeviceNumber device = 0;
  CHATSDK_SIM_EVENT(Unlinked) { visit("device", device); }
};

// The device begins with what the store of another one held at some time.
struct CopiedFrom {
  DeviceNumber device = 0;
  DeviceNumber original = 0;
  CHATSDK_SIM_EVENT(CopiedFrom) { visit("device", device), visit("original", original); }
};

// The server's store was put back to an older state. What lies above a stream's restored head is void and its sequences
// may be used again; a stream that is not named did not exist in that state.
struct EpochBegun {
  struct Head {
    StreamNumber stream = 0;
    ConversationNumber conversation = 0;
    Seq head = 0;
    friend bool operator==(const Head&, const Head&) = default;
  };
  std::uint64_t epoch = 0;
  std::vector<Head> heads;
  CHATSDK_SIM_EVENT(EpochBegun) { visit("epoch", epoch), visit("heads", heads); }
};

// From here the device's store is in this epoch: its cursors, places and receipts start anew. The epoch that the run
// starts with need not be told.
struct EpochSeen {
  DeviceNumber device = 0;
  std::uint64_t epoch = 0;
  CHATSDK_SIM_EVENT(EpochSeen) { visit("device", device), visit("epoch", epoch); }
};

// ---- Bounds --------------------------------------------------------------------------------------------------------

// The size of something that has a declared limit, on the node of the record.
struct Bound {
  std::string name;
  std::uint64_t value = 0;
  std::uint64_t limit = 0;
  CHATSDK_SIM_EVENT(Bound) { visit("name", name), visit("value", value), visit("limit", limit); }
};

// The node of the record sent this many frames or requests of one kind; no more than `limit` in any `window_us`.
struct Sent {
  std::string name;
  std::uint64_t count = 0;
  std::uint64_t limit = 0;
  std::uint64_t window_us = 0;
  CHATSDK_SIM_EVENT(Sent) {
    visit("name", name), visit("count", count), visit("limit", limit), visit("window_us", window_us);
  }
};

// ---- Context: what happened to the world. No checker excuses anything with it. -------------------------------

struct Crash {
  NodeNumber node = 0;
  std::string mode;
  CHATSDK_SIM_EVENT(Crash) { visit("node", node), visit("mode", mode); }
};
struct Restart {
  NodeNumber node = 0;
  CHATSDK_SIM_EVENT(Restart) { visit("node", node); }
};
struct Fault {
  std::string kind;
  CHATSDK_SIM_EVENT(Fault) { visit("kind", kind); }
};
struct Cut {
  NodeNumber node = 0;
  std::string mode;
  CHATSDK_SIM_EVENT(Cut) { visit("node", node), visit("mode", mode); }
};
struct Heal {
  NodeNumber node = 0;
  CHATSDK_SIM_EVENT(Heal) { visit("node", node); }
};
struct ClockJump {
  NodeNumber node = 0;
  std::int64_t by_us = 0;
  CHATSDK_SIM_EVENT(ClockJump) { visit("node", node), visit("by_us", by_us); }
};

#undef CHATSDK_SIM_EVENT

}  // namespace event

using Event =
    std::variant<event::SendCalled, event::SendReturned, event::Acked, event::Failed, event::Discarded, event::Retried,
                 event::StateSeen, event::Shown, event::PlaceholderShown, event::StoreRead, event::CursorSeen,
                 event::ReceiptSeen, event::MarkedRead, event::MarkReadReturned, event::StreamRead,
                 event::ItemCommitted, event::StreamTrimmed, event::PushedLive, event::AnswerSeen,
                 event::RequestAnswered, event::Member, event::Linked, event::Unlinked, event::EpochBegun,
                 event::EpochSeen, event::Bound, event::Sent, event::Crash, event::Restart, event::Fault, event::Cut,
                 event::Heal, event::ClockJump, event::SendRepeated, event::SendContradicted, event::ReceiptAnswered,
                 event::SyncReturned, event::Listed, event::SyncLooked, event::StoreReadInFull, event::CopiedFrom>;

struct Record {
  std::uint64_t number = 0;
  std::uint64_t time_us = 0;
  NodeNumber node = 0;
  Event event;
};

// One line: "#17 1.204310s n3 Shown device=3 conversation=1 k=0190…42 seq=7 h=… sender=1".
std::string to_line(const Record& record);
// The first eight and the last four hexadecimal digits of the id, which tell ids of one run apart.
std::string to_text(const ClientMessageId& k);
std::string_view to_text(SeenState state);
std::string_view to_text(MarkKind kind);

// A 64-bit hash of bytes, the same in every build: for contents and items.
std::uint64_t hash_of(std::string_view bytes);

class History {
 public:
  // The record stays where it is for as long as the history lives.
  const Record& record(std::uint64_t time_us, NodeNumber node, Event event);

  const std::deque<Record>& records() const { return records_; }
  std::uint64_t hash() const { return hash_; }  // of everything recorded so far

  // The last `count` lines that concern this conversation, oldest first: its own events, and among them those that
  // concern every conversation (crashes, epochs, cuts, ...). kNoConversation: of all.
  std::vector<std::string> tail(ConversationNumber conversation, std::size_t count) const;

 private:
  std::deque<Record> records_;
  std::uint64_t hash_ = 0x6368617473646b31;  // a start other than 0, so that leading zeros count
};

// The first record that is not the same in two histories.
struct Difference {
  std::uint64_t number = 0;
  std::string what;                 // "time", "node", "event", a field of the event; "end": one history is over
  std::vector<std::string> before;  // the last lines ahead of it, which both have, oldest first
  std::string one;                  // its line in each; empty where that history is over
  std::string other;
};
std::optional<Difference> first_difference(const History& one, const History& other, std::size_t lines_before);

}  // namespace chatsdk::sim
