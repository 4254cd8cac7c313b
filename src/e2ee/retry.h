// SPDX-License-Identifier: Apache-2.0
//
// Asking again for what could not be opened, and answering who asks (docs/e2ee.md section 11.2). It decides; writing
// the request or the repair, and finding the content, is done above. What a device never learns from it: whether a
// request was heard, and why it was not answered.
//
// Threads: pure functions on the states that they are given.
// Invariants:
//   1. A message is asked for once, and answered once for each device.
//   2. A message is answered only to a device that it was sent to, and that is still listed: as it was then, with the
//      same keys.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "e2ee/envelope.h"
#include "e2ee/session_manager.h"

namespace chatsdk::e2ee {

struct SentTo {
  Peer device;
  Hash record;  // which names its keys

  friend bool operator==(const SentTo&, const SentTo&) = default;
};
// What was sent to whom, noted in the transaction that encrypts.
struct SentNote {
  StreamId conversation;  // 0 until the server has given one
  Seq seq = 0;            // 0 until the server has accepted it
  std::vector<SentTo> devices;
  std::uint64_t created_ms = 0;
};

// What is kept beside the State, in its transactions.
class RetryNotes {
 public:
  virtual ~RetryNotes() = default;

  virtual Result<bool> was_asked(StreamId conversation, Seq seq) = 0;
  virtual Status note_asked(StreamId conversation, Seq seq, std::uint64_t now_ms) = 0;
  // The session that this device began for its last request to the device.
  virtual Result<std::optional<SessionId>> begun_for_request(const Peer& peer) = 0;
  virtual Status note_begun(const Peer& peer, const SessionId& session_id) = 0;

  virtual Result<std::optional<SentNote>> sent(const ClientMessageId& id) = 0;
  virtual Result<bool> was_answered(const ClientMessageId& id, const Peer& to) = 0;
  virtual Status note_answered(const ClientMessageId& id, const Peer& to) = 0;
};

// Where an item stands.
struct ItemPlace {
  StreamId conversation;
  Seq seq = 0;
};

// Whether the item that failed so is asked for, as soon as retry_rate allows; notes it when it is.
Result<bool> ask_again(State& state, RetryNotes& notes, const Incoming& item, const ItemPlace& place, Code outcome,
                       std::uint64_t now_ms);
// The body of the request. `message` is what failed.
RetryBody request_for(const ItemPlace& place, const ClientMessageId& id, BytesView message);
// Like prepare() of the session manager, for a request: through a session that was begun for such a one within a day,
// or a new one, whose begin is noted by the caller. Archives the active session where it does not serve.
Result<Readiness> prepare_request(State& state, RetryNotes& notes, const Peer& peer, std::uint64_t now_ms);

// Whether the target was sent to the device, by a note that still counts, and the device is listed as it was then.
Result<bool> was_sent_to(State& state, RetryNotes& notes, const Peer& to, StreamId conversation,
                         const RetryBody& target, std::uint64_t now_ms);

// What the engine knows of the target and of who asks.
struct RequestFacts {
  bool is_member = false;       // the requester's user, now
  bool is_still_there = false;  // the message: not expired, not deleted
};
// Whether a request is answered: then the note is made, and the session by which it came sends from now on, where the
// request named the one that did. The answer goes as soon as retry_rate allows.
Result<bool> answer(State& state, RetryNotes& notes, const Peer& from, const SessionId& came_by, StreamId conversation,
                    const RetryBody& request, const RequestFacts& facts, std::uint64_t now_ms);

}  // namespace chatsdk::e2ee
