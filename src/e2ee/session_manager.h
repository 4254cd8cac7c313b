// SPDX-License-Identifier: Apache-2.0
//
// The sessions with many devices (docs/e2ee.md sections 7, 10 and 11): which one sends, what becomes of a slice that
// comes, and the sender chains of groups. Every operation works on the State that it is given and decides everything
// before it writes anything. It does not know how messages travel, who is a member, nor what the content of a message
// means.
//
// Threads: pure functions on the state that they are given.
// Invariants:
//   1. With each device there is at most one active session, and no more than limits::e2ee::kArchivedMax archived ones.
//   2. An operation that refuses has written nothing. One that fails in the store leaves the rest to the rollback of
//      its transaction.
//   3. What opening says of a failure is one of the outcomes of e2ee/outcome.h, without detail; any other code comes
//      from the store.
#pragma once

#include <cstdint>
#include <optional>

#include "base/bytes.h"
#include "base/random.h"
#include "base/result.h"
#include "e2ee/envelope.h"
#include "e2ee/kem.h"
#include "e2ee/rates.h"
#include "e2ee/state.h"

namespace chatsdk::e2ee {

// ---- Sending -------------------------------------------------------------------------------------------------------

enum class Readiness {
  kReady,        // there is an active session
  kNeedsBundle,  // there is none (any more): a bundle is fetched, and begin_session() called
  kNotListed,    // the device is not in its user's newest list: nothing is encrypted for it
};
// Archives an active session that is not to be used any more (section 11.1).
Result<Readiness> prepare(State& state, const Peer& peer, std::uint64_t now_ms);
// Makes a session of the bundle, which sends from now on. UNTRUSTED; BAD_MESSAGE.
Result<SessionId> begin_session(State& state, const Peer& peer, const BundleBytes& bundle, std::uint64_t now_ms,
                                Random& random, const Kem& kem);
// The envelope, padded and encrypted in the active session. NO_SESSION; TOO_LARGE; LIMIT_REACHED: the session's numbers
// are used up: archive it.
Result<Bytes> encrypt_for(State& state, const Peer& peer, BytesView envelope, Random& random);
// NO_SESSION.
Status archive_active(State& state, const Peer& peer, std::uint64_t now_ms);
// Makes the session send and archives the one before. NO_SESSION.
Status activate(State& state, const Peer& peer, const SessionId& session_id, std::uint64_t now_ms);

// ---- Receiving -----------------------------------------------------------------------------------------------------

enum class SliceKind : std::uint8_t { kMessage, kKeys, kRetry, kRepair };

// A slice, or the common payload of a group's message, with what the item says of it.
struct Incoming {
  Peer sender;
  std::uint64_t list_version = 0;  // of the sender's list in the conversation's roster at the item
  SliceKind kind = SliceKind::kMessage;
  ClientMessageId client_message_id;
  Binding binding;  // of the conversation
  BytesView message;
  RosterPoint roster{};  // of a group, at the item
  // Where that list is under an account key that was replaced since: the device as it names it.
  std::optional<DeviceRecord> former{};
};
struct Received {
  Envelope envelope;
  SessionId session_id;  // by which it came; zeros for a group message
  // Of the sender's list, where it knows of a newer one of its user than this device does; else 0.
  std::uint64_t newer_list = 0;
};
// Section 10 with one slice. `set_up_rate` is nullptr where set-ups are not counted. The outcomes.
Result<Received> receive_slice(State& state, const Incoming& item, std::uint64_t now_ms, const Kem& kem,
                               DeviceRates* set_up_rate);

// ---- Groups --------------------------------------------------------------------------------------------------------

// Whether a new own chain is begun before the next message: there is none, or it is used up.
Result<bool> needs_chain(State& state, const GroupId& group, const RosterPoint& roster, std::uint64_t now_ms);
// A new own chain for the group, in place of the one before.
Status begin_chain(State& state, const GroupId& group, std::uint64_t roster_revision, std::uint64_t now_ms,
                   Random& random);
// `info_key` is nullptr where none is known. NO_SESSION where there is no own chain.
Result<Bytes> distribute_chain(State& state, const GroupId& group, const RosterPoint& roster, const InfoKey* info_key);
// A chain out of a distribution that this device sent; `roster` is that of the group at the item. BAD_MESSAGE;
// UNTRUSTED where its sender was shown another roster.
Status receive_chain(State& state, const Peer& sender, const GroupId& group, const RosterPoint& roster,
                     BytesView distribution);
// NO_SESSION; TOO_LARGE; LIMIT_REACHED: another chain is begun.
Result<Bytes> encrypt_for_group(State& state, const GroupId& group, const RosterPoint& roster, BytesView envelope,
                                std::uint64_t now_ms, Random& random);
// The payload of a MESSAGE, or of KEYS. The outcomes.
Result<Received> receive_group(State& state, const Incoming& item);

}  // namespace chatsdk::e2ee
