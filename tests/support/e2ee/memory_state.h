// SPDX-License-Identifier: Apache-2.0
//
// A device's end-to-end state in memory, and as the rows of docs/e2ee.md section 20: what tests give to the operations
// of e2ee/, compare, and read back from its rows.
//
// Threads: one owner.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "e2ee/state.h"

namespace chatsdk::e2ee {

class MemoryState final : public State {
 public:
  Result<const Self*> self() override { return self_ ? &*self_ : nullptr; }
  Status put_self(Self self) override;
  Result<std::optional<Self>> next_self() override {
    return next_self_ ? std::optional(next_self_->clone()) : std::nullopt;
  }
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

  // How many calls wrote something.
  std::size_t writes() const { return writes_; }

  // In no order; nullopt for rows that this does not write.
  SecretRows rows() const;
  static std::optional<MemoryState> of_rows(std::span<const Bytes> rows);
  Hash hash() const;

 private:
  using Chains = std::vector<ReceivedChain>;  // ascending by order
  friend class RowReader;

  Status wrote() {
    ++writes_;
    return {};
  }

  std::size_t writes_ = 0;
  std::optional<Self> self_;
  std::optional<Self> next_self_;
  std::map<UserId, KnownUser> users_;
  std::map<std::uint32_t, OwnPrekey> prekeys_;
  std::map<std::uint32_t, std::set<AgreementKey>> seen_;
  std::map<Peer, std::map<SessionId, Session>> sessions_;
  std::map<GroupId, OwnChain> own_chains_;
  std::map<std::pair<GroupId, Peer>, Chains> received_chains_;
};

}  // namespace chatsdk::e2ee
