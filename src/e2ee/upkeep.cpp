// SPDX-License-Identifier: Apache-2.0
#include "e2ee/upkeep.h"

#include <algorithm>
#include <utility>

#include "base/fault.h"
#include "base/limits.h"
#include "e2ee/ageing.h"
#include "e2ee/outcome.h"
#include "e2ee/session_manager.h"

namespace chatsdk::e2ee {
namespace {

// What was under way before the change still opens; nothing is sent any more by what there is. All of it where the user
// is this device's own.
Status retire_keys_with(State& state, const UserId& user_id, std::uint64_t now_ms) {
  CHATSDK_ASSIGN(const Self* self, state.self());
  if (self == nullptr || self->record.user_id != user_id) {
    CHATSDK_TRY(state.archive_sessions(user_id, now_ms));
    return state.drop_received_chains(user_id);
  }
  CHATSDK_TRY(state.archive_all(now_ms));
  CHATSDK_TRY(state.drop_own_chains());
  return state.drop_all_received_chains();
}

// In the order in which they are made.
std::vector<PrekeyKind> kinds_of(const NewPrekeys& wanted) {
  std::vector<PrekeyKind> kinds;
  if (wanted.signed_pair) kinds = {PrekeyKind::kSigned, PrekeyKind::kLastResort};
  kinds.insert(kinds.end(), wanted.one_time, PrekeyKind::kOneTime);
  kinds.insert(kinds.end(), wanted.one_time_kem, PrekeyKind::kOneTimeKem);
  return kinds;
}

bool is_of_pair(const PrekeySummary& prekey) {
  return prekey.kind == PrekeyKind::kSigned || prekey.kind == PrekeyKind::kLastResort;
}

}  // namespace

Result<Learned> learn_lists(State& state, const UserId& user_id, std::span<const Bytes> lists,
                            std::span<const Bytes> records, std::uint64_t now_ms) {
  CHATSDK_ASSIGN(const KnownUser* known, state.user(user_id));
  Learned learned = learn(known, user_id, lists, records);
  if (!learned.user) return learned;
  CHATSDK_TRY(state.put_user(*learned.user));
  if (learned.result == Learning::kIdentityChanged) CHATSDK_TRY(retire_keys_with(state, user_id, now_ms));
  for (const DeviceId device_id : learned.removed) {
    CHATSDK_TRY(archive_sessions_with(state, {user_id, device_id}, now_ms));
  }
  return learned;
}

Status mark_verified(State& state, const UserId& user_id, bool verified) {
  CHATSDK_ASSIGN(const KnownUser* known, state.user(user_id));
  if (known == nullptr) return error(Code::kNotFound, "no identity of the user is known");
  KnownUser user = *known;
  user.verified = verified;
  return state.put_user(std::move(user));
}

Status forget_user(State& state, const UserId& user_id) {
  CHATSDK_ASSIGN(const KnownUser* known, state.user(user_id));
  if (known == nullptr) return error(Code::kNotFound, "no identity of the user is known");
  CHATSDK_TRY(state.drop_user(user_id));
  CHATSDK_TRY(state.drop_sessions(user_id));
  return state.drop_received_chains(user_id);
}

Result<std::vector<Bytes>> make_prekeys(State& state, const NewPrekeys& wanted, std::uint64_t now_ms, Random& random,
                                        const Kem& kem) {
  CHATSDK_ASSIGN(const Self* before, state.self());
  if (before == nullptr) return error(Code::kWrongState, "prekeys of a device without keys");
  Self self = before->clone();
  const PrekeyOwner owner{self.record.user_id, self.record.device_id};
  CHATSDK_ASSIGN(const std::vector<PrekeySummary> kept, state.prekeys());

  std::vector<OwnPrekey> made;
  std::vector<Bytes> uploads;
  for (const PrekeyKind kind : kinds_of(wanted)) {
    made.push_back(OwnPrekey::draw(kind, self.next_key_id++, now_ms, random));
    CHATSDK_ASSIGN(Bytes upload, published(made.back(), owner, self.keys.signing_seed, kem));
    uploads.push_back(std::move(upload));
  }
  for (const PrekeySummary& prekey : kept) {
    if (wanted.signed_pair && is_of_pair(prekey) && prekey.successor_ms == 0) {
      CHATSDK_TRY(state.put_successor(prekey.key_id, now_ms));
    }
  }
  for (OwnPrekey& prekey : made) CHATSDK_TRY(state.put_prekey(std::move(prekey)));
  CHATSDK_TRY(state.put_self(std::move(self)));
  return uploads;
}

namespace {

std::size_t made_of_late(const std::vector<PrekeySummary>& kept, PrekeyKind kind, std::uint64_t now_ms) {
  constexpr std::chrono::milliseconds kPause = limits::e2ee::kRefillPause;
  if (CHATSDK_PLANTED(Bug::kRefilledWithoutPause)) return 0;
  const auto count = std::count_if(kept.begin(), kept.end(), [kind, now_ms](const PrekeySummary& prekey) {
    return prekey.kind == kind && now_ms >= prekey.created_ms && !is_old(now_ms, prekey.created_ms, kPause);
  });
  return static_cast<std::size_t>(count);
}

}  // namespace

bool may_begin_epoch_anew(const std::vector<PrekeySummary>& kept, std::uint64_t now_ms) {
  constexpr std::size_t kMost = limits::e2ee::kOneTimeStored - limits::e2ee::kOneTimeBatch;
  return made_of_late(kept, PrekeyKind::kOneTime, now_ms) <= kMost &&
         made_of_late(kept, PrekeyKind::kOneTimeKem, now_ms) <= kMost;
}

Result<NewPrekeys> prekeys_due(State& state, const StoredCounts& stored, std::chrono::milliseconds share,
                               std::uint64_t now_ms, const Lifetimes& lifetimes) {
  CHATSDK_ASSIGN(const std::vector<PrekeySummary> kept, state.prekeys());
  NewPrekeys due;
  // Whoever says that those are gone already would have this device make keys without end.
  if (made_of_late(kept, PrekeyKind::kOneTime, now_ms) == 0) due.one_time = refill_count(stored.one_time);
  if (made_of_late(kept, PrekeyKind::kOneTimeKem, now_ms) == 0) due.one_time_kem = refill_count(stored.one_time_kem);
  const auto newest = std::find_if(kept.begin(), kept.end(), [](const PrekeySummary& prekey) {
    return prekey.kind == PrekeyKind::kLastResort && prekey.successor_ms == 0;
  });
  if (newest == kept.end()) {
    due.signed_pair = true;
    return due;
  }
  CHATSDK_ASSIGN(const SeenNotes seen, state.seen(newest->key_id, {}));
  due.signed_pair = is_rotation_due(*newest, seen.count, share, now_ms, lifetimes);
  return due;
}

Status age_all(State& state, std::uint64_t now_ms, const Lifetimes& lifetimes) {
  CHATSDK_ASSIGN(const std::vector<PrekeySummary> kept, state.prekeys());
  for (const std::uint32_t key_id : aged_prekeys(kept, now_ms, lifetimes)) CHATSDK_TRY(state.drop_prekey(key_id));
  return state.age_sessions(now_ms, lifetimes);
}

Status archive_sessions_with(State& state, const Peer& peer, std::uint64_t now_ms) {
  CHATSDK_ASSIGN(const std::vector<SessionSummary> sessions, state.sessions(peer));
  const bool sends = std::any_of(sessions.begin(), sessions.end(), [](const SessionSummary& session) {
    return session.status == SessionStatus::kActive;
  });
  return sends ? archive_active(state, peer, now_ms) : Status();
}

}  // namespace chatsdk::e2ee
