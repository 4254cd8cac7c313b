// SPDX-License-Identifier: Apache-2.0
//
// A device's end-to-end state in the tables of the device store: the seam of e2ee/state.h over SQL. Every call belongs
// to the transaction that is open on the connection; whoever opened it commits. It knows rows and how they go together,
// and decides nothing.
//
// Users and the sessions used last are kept at hand, parsed, so that a message costs the rows that it changes and not
// those that it has: of a session with 2,000 skipped keys, opening one of them deletes one row.
//
// Threads: the writer's.
// Invariants:
//   1. What is at hand is what the tables say, within the transaction. After a rollback forget() is called before
//      anything else.
//   2. A row that this does not write (a length, a number, a key, a row without the one that it belongs to) is CORRUPT
//      with the name of its table, and nothing was written then.
//   3. Keys at hand are in types that wipe themselves; rows that held keys are overwritten when they are deleted
//      (secure_delete, which the connection has).
#pragma once

#include <cstdint>
#include <list>
#include <map>
#include <optional>
#include <vector>

#include "e2ee/state.h"
#include "store/rows.h"
#include "store/sqlite.h"

namespace chatsdk::e2ee {

class SqlState final : public State {
 public:
  SqlState(sqlite::Database& db, rows::Statements& sql) : db_(db), sql_(sql) {}

  // When a transaction begins, and when one was rolled back.
  void begin();
  void forget();

  Result<const Self*> self() override;
  Status put_self(Self self) override;
  Result<std::optional<Self>> next_self() override;
  Status put_next_self(const Self& next) override;
  Status drop_next_self() override;

  Result<const KnownUser*> user(const UserId& user_id) override;
  Status put_user(KnownUser user) override;
  Status drop_user(const UserId& user_id) override;

  Result<std::vector<PrekeySummary>> prekeys() override;
  Result<std::optional<OwnPrekey>> prekey(std::uint32_t key_id) override;
  Status put_prekey(OwnPrekey prekey) override;
  Status put_successor(std::uint32_t key_id, std::uint64_t successor_ms) override;
  Status drop_prekey(std::uint32_t key_id) override;
  Result<SeenNotes> seen(std::uint32_t key_id, const AgreementKey& ephemeral) override;
  Status note_seen(std::uint32_t key_id, const AgreementKey& ephemeral) override;

  Result<std::vector<SessionSummary>> sessions(const Peer& peer) override;
  Result<std::optional<Session>> session(const Peer& peer, const SessionId& session_id) override;
  Status put_session(const Peer& peer, const Session& session) override;
  Status put_status(const Peer& peer, const SessionId& session_id, SessionStatus status,
                    std::uint64_t archived_ms) override;
  Status archive_all(std::uint64_t now_ms) override;
  Status drop_session(const Peer& peer, const SessionId& session_id) override;
  Status archive_sessions(const UserId& user_id, std::uint64_t now_ms) override;
  Status drop_sessions(const UserId& user_id) override;
  Status drop_all_sessions() override;
  Status drop_skipped(std::size_t most) override;
  Status age_sessions(std::uint64_t now_ms, const Lifetimes& lifetimes) override;

  Result<std::optional<OwnChain>> own_chain(const GroupId& group) override;
  Status put_own_chain(OwnChain chain) override;
  Status drop_own_chains() override;
  Result<std::vector<ReceivedChain>> received_chains(const GroupId& group, const Peer& sender) override;
  Status put_received_chain(ReceivedChain chain) override;
  Status drop_received_chains_below(const GroupId& group, const Peer& sender, std::uint32_t order) override;
  Status drop_received_chains(const UserId& sender) override;
  Status drop_all_received_chains() override;

 private:
  // A session at hand, and the number of its rows.
  struct AtHand {
    Peer peer;
    std::int64_t id = 0;
    Session session;
  };

  // -- e2ee_state.cpp --
  Result<std::optional<KnownUser>> load_user(const UserId& user_id);
  Status load_lists(KnownUser& user);
  Status write_lists(const KnownUser* before, const KnownUser& user);

  // -- e2ee_sessions.cpp --
  // nullptr where there is none.
  Result<AtHand*> find(const Peer& peer, const SessionId& session_id);
  AtHand* keep_at_hand(AtHand session);
  Result<std::optional<AtHand>> load_session(const Peer& peer, const SessionId& session_id);
  Status load_parts(AtHand& loaded);
  Status insert_session(const Peer& peer, const Session& session);
  Status write_chains(std::int64_t id, const Session* before, const Session& session);
  Status write_skipped(std::int64_t id, const Session* before, const Session& session);
  Status write_skipped_key(std::int64_t id, const SkippedKeys::Entry& entry);
  Status drop_skipped_key(std::int64_t id, const SkippedKeys::Entry& entry);
  void forget_sessions();
  Result<std::size_t> skipped_total();

  sqlite::Database& db_;
  rows::Statements& sql_;
  std::optional<Self> self_;  // none: not read yet, or there is none
  std::map<UserId, KnownUser> users_;
  std::list<AtHand> at_hand_;  // the one used last first
  std::optional<std::size_t> skipped_total_;
};

}  // namespace chatsdk::e2ee
