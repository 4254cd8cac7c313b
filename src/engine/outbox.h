// SPDX-License-Identifier: Apache-2.0
//
// outbox: brings queued messages to the server, in order, and settles what it answers. Each conversation that has
// something to send is a lane. The queue itself is the store's: a lane keeps only what is on the wire.
//
//   store rows:   [ in flight: n ≤ window ][ read next ... ]
//                   ▲ answers settle here    ▲ next_after
//
// A lane is read again from its head, once all of its frames are answered, whenever an answer was not an acceptance:
// what remains in the store then is what remains to be sent.
//
// Numbers. The server takes a conversation's numbers one by one. A row that is gone may have left its own unused: its
// item settled it, or another device had sent it, or the server has gone back. The server's OUT_OF_ORDER names the
// number that it takes next; when it was said of the row that is the head at the next reading, the rows are numbered
// from there. Numbers that are too high are refused and put right so; a number too low could let a later row pass.
//
// Threads: the executor's.
// Invariants:
//   1. A row is marked as on the wire in the store before its frame reaches the transport.
//   2. At most the window's number of frames of a lane, and the connection's number in all, are unanswered.
//   3. Frames of a lane leave in the order of their send numbers; nothing leaves after a failed row.
//   4. A message that was ever on the wire fails only by the server's answer.
//   5. A message that the server was asked to void is not sent again under its id, also when the wall clock goes back:
//      were the tombstone there, the rows behind it would pass it.
#pragma once

#include <deque>
#include <map>
#include <unordered_map>

#include "engine/connection.h"
#include "engine/encryption.h"

namespace chatsdk {

class Outbox {
 public:
  // encryption: nullptr where messages of encrypted conversations wait.
  Outbox(const EngineContext& context, Connection& connection, Encryption* encryption);

  // Time limits count from here on, connected or not.
  void start();
  void stop();

  void on_welcome(const wire::Welcome& welcome);
  void on_lost();
  void on_writable() { schedule(); }
  // MALFORMED answers end the connection.
  void on_result(const wire::SendResult& result);
  void on_result(const wire::VoidResult& result);

  // True when a new message of this conversation may go out at once: it can be stored as on the wire already.
  bool may_send_now(ConversationKey conversation) const;
  // A message was stored, with on_wire as may_send_now had said.
  void enqueued(ConversationKey conversation, std::uint64_t send_number, WallTime deadline, bool on_wire);
  // The app has retried or discarded something.
  void changed_by_app();
  // Items were applied: one may be of a message that had failed here and that another device sent again.
  void on_applied(const Changes& changes);
  // Lanes that waited for keys look again.
  void keys_changed();
  // What was encrypted for this peer, or, where none is named, for anybody, must not leave any more, be it handed over.
  void unsealed(const std::optional<UserId>& peer);

 private:
  struct Unanswered {
    OutboxRow row;              // without its content
    bool send = false;          // a SendResult is awaited
    bool voiding = false;       // a VoidResult is awaited
    bool decided = false;       // one answer was final: the other cannot change it
    std::uint64_t counter = 0;  // encryption_counter of the bytes that went
    Error reason;               // voiding: why, for the app
  };
  struct Expected {
    ClientMessageId id;  // of the row that was refused
    std::uint64_t number = 0;
  };
  struct Lane {
    std::deque<Unanswered> in_flight;
    std::uint64_t next_after = 0;  // rows above this number have not been read on this connection; 0: the head too
    bool more = true;              // there may be such rows
    bool reread = false;           // start again at the head once in_flight is empty
    bool blocked = false;          // the store's last word: what comes next has failed
    bool queued = false;           // stands in ready_
    bool refused = false;          // since the head was read, something was refused for now
    bool waits_for_keys = false;
    std::uint32_t roster_refusals = 0;        // in a row
    std::optional<Expected> expected;         // what the first OUT_OF_ORDER since then said
    std::optional<ClientMessageId> conflict;  // of a row of whose id the server has said that it has other bytes
    MonotonicTime not_before;                 // of the next frame, after a refusal
    std::optional<Backoff> backoff;           // made by the first refusal
  };
  struct Decision {
    enum class Kind { kFail, kTaskRefused, kVoided, kVoidRefused };
    Kind kind = Kind::kFail;
    ClientMessageId id;
    Error reason;
  };

  Status load_lanes();
  bool can_send(const Lane& lane) const;
  // From its head, once nothing is unanswered.
  static void read_again(Lane& lane);
  static void wait_for_keys(Lane& lane);
  void make_ready(ConversationKey key, Lane& lane);
  void drop_if_idle(ConversationKey key);

  // Work happens in a task of its own, so that all answers of a turn share one commit.
  void schedule();
  void work();
  Status settle();
  Status claim();
  // What a turn claims: rows of plain lanes are on their way at once, those of encrypted ones are sealed together.
  struct Claims {
    std::vector<ClientMessageId> to_mark;
    std::vector<OutboxRow> to_seal;
    std::size_t bytes = 0;
  };
  Status claim_from(ConversationKey key, Lane& lane, Claims& claims);
  Status finish(Claims& claims);
  Status seal(Claims& claims);
  Result<std::vector<OutboxRow>> read_rows(ConversationKey key, Lane& lane, std::size_t max);
  void claim_row(ConversationKey key, Lane& lane, OutboxRow row, bool as_void);
  void claim_sealed(Lane& lane, OutboxRow row, const Encryption::Sealed& sealed);
  void await(ConversationKey key, Lane& lane, OutboxRow row, bool as_void);
  Status give_up(Lane& lane, const OutboxRow& row, const Error& reason);
  void hand_over();
  void store_failed(const Error& cause);

  Unanswered* find(BytesView id, ConversationKey* key);
  void accepted(Lane& lane, Unanswered& entry, const wire::Accepted& answer);
  void failed(Lane& lane, Unanswered& entry, const Error& reason);
  void refused_for_now(Lane& lane, const Unanswered& entry, const Error& reason);
  bool is_to_come(Lane& lane, const Unanswered& entry, const Error& reason) const;
  // False: the store failed, and the connection has ended.
  bool roster_changed(Lane& lane, const Unanswered& entry, const wire::RosterChanged& answer);
  void answered(ConversationKey key, Lane& lane);
  Status start_voiding(Lane& lane, Unanswered& entry);

  void on_lane_timer();
  void note_deadline(WallTime deadline);
  void arm_deadline_timer();
  void on_deadline();
  Result<bool> give_up_overdue();  // true: more of them are left

  const EngineContext& context_;
  Connection& connection_;
  Encryption* const encryption_;

  bool running_ = false;
  std::size_t window_ = limits::kSendWindow;
  std::size_t in_flight_max_ = limits::kSendsInFlightMax;
  std::map<ConversationKey, Lane> lanes_;                         // one for each conversation with outbox rows
  std::deque<ConversationKey> ready_;                             // lanes that may have something to send, taking turns
  std::unordered_map<ClientMessageId, ConversationKey> lane_of_;  // of what is unanswered
  std::deque<wire::ClientFrame> to_hand_over_;       // of claimed rows that the transport had no room for yet
  std::vector<DeviceStore::AcceptedSend> accepted_;  // answers that the store does not know yet
  std::vector<Decision> decisions_;
  bool scheduled_ = false;
  Guard work_guard_;
  Timer lane_timer_;
  Timer deadline_timer_;
};

}  // namespace chatsdk
