// SPDX-License-Identifier: Apache-2.0
#include "e2ee/retry.h"

#include <algorithm>
#include <utility>

#include "base/limits.h"
#include "e2ee/ageing.h"
#include "e2ee/outcome.h"

namespace chatsdk::e2ee {
namespace {

// nullptr: it is not listed.
Result<const DeviceRecord*> listed_now(State& state, const Peer& peer) {
  CHATSDK_ASSIGN(const KnownUser* user, state.user(peer.user_id));
  return user == nullptr ? nullptr : listed(*user, peer.device_id);
}

Result<std::optional<SessionSummary>> active_with(State& state, const Peer& peer) {
  CHATSDK_ASSIGN(const auto sessions, state.sessions(peer));
  for (const SessionSummary& session : sessions) {
    if (session.status == SessionStatus::kActive) return std::optional(session);
  }
  return std::optional<SessionSummary>();
}

// The session that a message names, where it has one.
SessionId session_named(BytesView message) {
  if (const auto set_up = parse_set_up_message(message)) return set_up->session_id;
  if (const auto steady = parse_pairwise_message(message)) return steady->session_id;
  return {};
}

}  // namespace

Result<bool> ask_again(State& state, RetryNotes& notes, const Incoming& item, const ItemPlace& place, Code outcome,
                       std::uint64_t now_ms) {
  // Who has another account key since has none of what was sent under the one before.
  if (item.former || item.kind != SliceKind::kMessage || (outcome != kNoSession && outcome != kBadMessage))
    return false;
  CHATSDK_ASSIGN(const DeviceRecord* record, listed_now(state, item.sender));
  if (record == nullptr) return false;
  CHATSDK_ASSIGN(const bool was_asked, notes.was_asked(place.conversation, place.seq));
  if (was_asked) return false;
  CHATSDK_TRY(notes.note_asked(place.conversation, place.seq, now_ms));
  return true;
}

RetryBody request_for(const ItemPlace& place, const ClientMessageId& id, BytesView message) {
  return {place.seq, id, session_named(message)};
}

Result<Readiness> prepare_request(State& state, RetryNotes& notes, const Peer& peer, std::uint64_t now_ms) {
  CHATSDK_ASSIGN(const Readiness readiness, prepare(state, peer, now_ms));
  if (readiness != Readiness::kReady) return readiness;
  CHATSDK_ASSIGN(const auto active, active_with(state, peer));
  CHATSDK_ASSIGN(const auto begun, notes.begun_for_request(peer));
  const bool serves = active && begun && *begun == active->session_id &&
                      !is_old(now_ms, active->created_ms, limits::e2ee::kRetrySessionKept);
  if (serves) return Readiness::kReady;
  CHATSDK_TRY(archive_active(state, peer, now_ms));
  return Readiness::kNeedsBundle;
}

Result<bool> was_sent_to(State& state, RetryNotes& notes, const Peer& to, StreamId conversation,
                         const RetryBody& target, std::uint64_t now_ms) {
  CHATSDK_ASSIGN(const DeviceRecord* record, listed_now(state, to));
  CHATSDK_ASSIGN(const auto note, notes.sent(target.target_id));
  if (record == nullptr || !note) return false;
  const SentTo wanted{to, record->hash};
  return note->conversation == conversation && note->seq == target.target_seq && note->seq != 0 &&
         !is_old(now_ms, note->created_ms, limits::e2ee::kResendKept) &&
         std::find(note->devices.begin(), note->devices.end(), wanted) != note->devices.end();
}

Result<bool> answer(State& state, RetryNotes& notes, const Peer& from, const SessionId& came_by, StreamId conversation,
                    const RetryBody& request, const RequestFacts& facts, std::uint64_t now_ms) {
  if (!facts.is_member || !facts.is_still_there) return false;
  CHATSDK_ASSIGN(const bool was_sent, was_sent_to(state, notes, from, conversation, request, now_ms));
  if (!was_sent) return false;
  CHATSDK_ASSIGN(const bool was_answered, notes.was_answered(request.target_id, from));
  if (was_answered) return false;
  CHATSDK_TRY(notes.note_answered(request.target_id, from));
  CHATSDK_ASSIGN(const auto active, active_with(state, from));
  if (active && active->session_id == request.failed_session && active->session_id != came_by) {
    CHATSDK_TRY(activate(state, from, came_by, now_ms));
  }
  return true;
}

}  // namespace chatsdk::e2ee
