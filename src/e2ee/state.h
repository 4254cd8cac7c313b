// SPDX-License-Identifier: Apache-2.0
//
// The seam through which the operations of this layer read and write a device's state (docs/e2ee.md section 20). Every
// call belongs to one transaction of the device store, the one that also keeps what was sent or received; who opened
// it commits it, or rolls it back when an operation failed with a storage error. How the rows lie is the store's
// matter.
//
// Threads: those of the transaction: one.
// Invariants:
//   1. An operation writes only when nothing can refuse any more but the store itself: what a peer or the server sent
//      and what is refused has written nothing.
//   2. A pointer that a call returns stays valid until the next call that writes.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "e2ee/device_record.h"
#include "e2ee/directory.h"
#include "e2ee/lifetimes.h"
#include "e2ee/prekeys.h"
#include "e2ee/ratchet.h"
#include "e2ee/sender_chains.h"
#include "e2ee/session_rows.h"

namespace chatsdk::e2ee {

// This device.
struct Self {
  SigningSeed account_seed;
  DeviceKeys keys;
  std::uint32_t next_key_id = 1;
  DeviceRecord record;
  DeviceId replaces;  // what this device was before its keys: it leaves the list when this one comes to it; 0: nothing

  Self clone() const;
};

// Whether what is kept of the own user is under the account key that this device holds: it is another one's list else,
// whoever stands in it.
bool holds_account_of(const Self& self, const KnownUser& own);
// Whether the newest such list names this device as it is. `own` is nullptr where nothing is kept.
bool is_in_own_list(const Self& self, const KnownUser* own);

// What decides which session of a device sends, without its keys.
struct SessionSummary {
  SessionId session_id;
  Role role = Role::kBegan;
  SessionStatus status = SessionStatus::kActive;
  bool has_prefix = false;
  Hash peer_record;
  std::uint64_t created_ms = 0;
  std::uint64_t archived_ms = 0;
  std::uint32_t send_count = 0;
};
SessionSummary summary_of(const Session& session);

// What was noted under a last-resort prekey.
struct SeenNotes {
  bool was_seen = false;  // this EK
  std::size_t count = 0;
};

class State {
 public:
  virtual ~State() = default;

  // nullptr before the device has its keys.
  virtual Result<const Self*> self() = 0;
  virtual Status put_self(Self self) = 0;
  // The account that was begun in the place of this one, until a list of the server's shows it (section 5.2).
  virtual Result<std::optional<Self>> next_self() = 0;
  virtual Status put_next_self(const Self& next) = 0;
  virtual Status drop_next_self() = 0;

  // nullptr where nothing is kept of the user.
  virtual Result<const KnownUser*> user(const UserId& user_id) = 0;
  virtual Status put_user(KnownUser user) = 0;
  virtual Status drop_user(const UserId& user_id) = 0;

  // Without secrets that nobody asked for a list may be long: up to some hundred.
  virtual Result<std::vector<PrekeySummary>> prekeys() = 0;
  virtual Result<std::optional<OwnPrekey>> prekey(std::uint32_t key_id) = 0;
  virtual Status put_prekey(OwnPrekey prekey) = 0;
  virtual Status put_successor(std::uint32_t key_id, std::uint64_t successor_ms) = 0;
  // With what was noted under it.
  virtual Status drop_prekey(std::uint32_t key_id) = 0;
  virtual Result<SeenNotes> seen(std::uint32_t key_id, const AgreementKey& ephemeral) = 0;
  virtual Status note_seen(std::uint32_t key_id, const AgreementKey& ephemeral) = 0;

  // Sessions with one device, in any order.
  virtual Result<std::vector<SessionSummary>> sessions(const Peer& peer) = 0;
  virtual Result<std::optional<Session>> session(const Peer& peer, const SessionId& session_id) = 0;
  virtual Status put_session(const Peer& peer, const Session& session) = 0;
  virtual Status put_status(const Peer& peer, const SessionId& session_id, SessionStatus status,
                            std::uint64_t archived_ms) = 0;
  // All that are active, with whomever; of those that are too many then, the longest archived go.
  virtual Status archive_all(std::uint64_t now_ms) = 0;
  virtual Status drop_session(const Peer& peer, const SessionId& session_id) = 0;
  // Those with every device of the user.
  virtual Status archive_sessions(const UserId& user_id, std::uint64_t now_ms) = 0;
  virtual Status drop_sessions(const UserId& user_id) = 0;
  virtual Status drop_all_sessions() = 0;
  // Of all sessions together the skipped keys with the lowest (created_ms, session_id, number, n) go, until no more
  // than `most` are left.
  virtual Status drop_skipped(std::size_t most) = 0;
  // Section 11.4 of sessions, earlier chains and skipped keys: archived sessions that are old go, and in the others
  // what age() of e2ee/ratchet.h drops.
  virtual Status age_sessions(std::uint64_t now_ms, const Lifetimes& lifetimes) = 0;

  virtual Result<std::optional<OwnChain>> own_chain(const GroupId& group) = 0;
  // In place of the one before.
  virtual Status put_own_chain(OwnChain chain) = 0;
  virtual Status drop_own_chains() = 0;
  // Of one device in one group, ascending by order.
  virtual Result<std::vector<ReceivedChain>> received_chains(const GroupId& group, const Peer& sender) = 0;
  virtual Status put_received_chain(ReceivedChain chain) = 0;
  // Those of the device in the group whose order is lower.
  virtual Status drop_received_chains_below(const GroupId& group, const Peer& sender, std::uint32_t order) = 0;
  virtual Status drop_received_chains(const UserId& sender) = 0;
  virtual Status drop_all_received_chains() = 0;
};

}  // namespace chatsdk::e2ee
