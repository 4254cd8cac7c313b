// SPDX-License-Identifier: Apache-2.0
#include "e2ee/session_manager.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>

#include "base/fault.h"
#include "base/limits.h"
#include "base/wipe.h"
#include "e2ee/ageing.h"
#include "e2ee/outcome.h"
#include "e2ee/padding.h"

namespace chatsdk::e2ee {
namespace {

using Summaries = std::vector<SessionSummary>;

const SessionSummary* active_of(const Summaries& sessions) {
  const auto at = std::find_if(sessions.begin(), sessions.end(),
                               [](const SessionSummary& session) { return session.status == SessionStatus::kActive; });
  return at == sessions.end() ? nullptr : &*at;
}

const SessionSummary* find_session(const Summaries& sessions, const SessionId& session_id) {
  const auto at = std::find_if(sessions.begin(), sessions.end(), [&session_id](const SessionSummary& session) {
    return session.session_id == session_id;
  });
  return at == sessions.end() ? nullptr : &*at;
}

// The archived sessions that are too many go, those longest archived first.
Status drop_surplus_archived(State& state, const Peer& peer) {
  CHATSDK_ASSIGN(Summaries sessions, state.sessions(peer));
  std::erase_if(sessions, [](const SessionSummary& session) { return session.status == SessionStatus::kActive; });
  if (sessions.size() <= limits::e2ee::kArchivedMax) return {};
  std::sort(sessions.begin(), sessions.end(), [](const SessionSummary& a, const SessionSummary& b) {
    return std::tie(a.archived_ms, a.session_id) < std::tie(b.archived_ms, b.session_id);
  });
  sessions.resize(sessions.size() - limits::e2ee::kArchivedMax);
  for (const SessionSummary& session : sessions) CHATSDK_TRY(state.drop_session(peer, session.session_id));
  return {};
}

Status archive(State& state, const Peer& peer, const SessionId& session_id, std::uint64_t now_ms) {
  CHATSDK_TRY(state.put_status(peer, session_id, SessionStatus::kArchived, now_ms));
  return drop_surplus_archived(state, peer);
}

// Messages of the same user's devices may come in long runs.
Result<std::uint32_t> jump_max_for(State& state, const UserId& sender) {
  CHATSDK_ASSIGN(const Self* self, state.self());
  const bool own = self != nullptr && self->record.user_id == sender;
  return own ? limits::e2ee::kJumpMaxOwn : limits::e2ee::kJumpMax;
}

// ---- What every incoming part is judged by -------------------------------------------------------------------------

struct Sender {
  DeviceRecord record;
  std::uint64_t newest_version = 0;  // of the user's lists that are kept
};

Result<Sender> sender_of(State& state, const Incoming& item) {
  CHATSDK_ASSIGN(const KnownUser* user, state.user(item.sender.user_id));
  if (user == nullptr) return untrusted();
  const DeviceRecord* record = item.former ? &*item.former : listed(*user, item.list_version, item.sender.device_id);
  if (record == nullptr) return untrusted();
  CHATSDK_ASSIGN(const Self* self, state.self());
  const bool is_own = self != nullptr && self->record.user_id == item.sender.user_id;
  if (is_own && !item.former && !holds_account_of(*self, *user)) return untrusted();
  if (const auto* users = std::get_if<DirectBinding>(&item.binding)) {
    if (item.sender.user_id != users->lower && item.sender.user_id != users->higher) return untrusted();
  }
  if (item.message.size() > limits::e2ee::kMessageMax) return bad_message();
  // Nobody waits for lists of a replaced account key.
  return Sender{*record, item.former ? std::numeric_limits<std::uint64_t>::max() : user->newest().version};
}

BodyType body_type_of(const Incoming& item) {
  switch (item.kind) {
    case SliceKind::kMessage:
      return std::holds_alternative<DirectBinding>(item.binding) ? BodyType::kContent : BodyType::kSenderChain;
    case SliceKind::kKeys:
      return BodyType::kSenderChain;
    case SliceKind::kRetry:
      return BodyType::kRetryRequest;
    case SliceKind::kRepair:
      return BodyType::kRepair;
  }
  return BodyType::kContent;
}

bool is_of_roster(std::uint64_t number, const RosterHash& hash, const RosterPoint& roster) {
  return number == roster.number && hash == roster.hash;
}

Status check_chain(const Distribution& distribution, const Peer& sender, const GroupId& group,
                   const RosterPoint& roster) {
  if (distribution.group != group || distribution.device_id != sender.device_id) return bad_message();
  if (!is_of_roster(distribution.number, distribution.roster_hash, roster)) return untrusted();
  return {};
}

Status check_body(const Envelope& envelope, const Incoming& item) {
  if (envelope.body_type != BodyType::kSenderChain) return {};
  const auto distribution = parse_distribution(envelope.body);
  const auto* group = std::get_if<GroupId>(&item.binding);
  if (!distribution || group == nullptr) return bad_message();
  return check_chain(*distribution, item.sender, *group, item.roster);
}

bool does_body_parse(const Envelope& envelope) {
  switch (envelope.body_type) {
    case BodyType::kContent:
      return true;  // judged by whoever shows it
    case BodyType::kSenderChain:
      return true;  // check_body()
    case BodyType::kRepair:
      return parse_repair_body(envelope.body).has_value();
    case BodyType::kRetryRequest:
      return parse_retry_body(envelope.body).has_value();
    case BodyType::kInfoKey:
      return parse_info_key(envelope.body).has_value();
  }
  return false;
}

// The envelope of an opened part, where it belongs into this item.
Result<Envelope> envelope_of(Bytes padded, const Incoming& item, BodyType body_type) {
  const WipeAtEnd wiped(padded);
  auto envelope = parse_padded_envelope(padded);
  if (envelope && CHATSDK_PLANTED(Bug::kBodyTypeUnchecked)) envelope->body_type = body_type;
  if (envelope && CHATSDK_PLANTED(Bug::kBindingUnchecked)) envelope->binding = item.binding;
  if (!envelope || envelope->body_type != body_type || envelope->client_message_id != item.client_message_id ||
      envelope->binding != item.binding || !does_body_parse(*envelope)) {
    return bad_message();
  }
  CHATSDK_TRY(check_body(*envelope, item));
  return std::move(*envelope);
}

// ---- Slices --------------------------------------------------------------------------------------------------------

constexpr std::size_t kSessionIdAt = 2;  // behind version and type
constexpr std::uint8_t kMessageVersion = 1;
constexpr std::uint8_t kSetUpType = 1;
constexpr std::uint8_t kSteadyType = 2;

std::uint8_t type_of(BytesView message) {
  Reader reader(message);
  reader.expect_u8(kMessageVersion);
  const std::uint8_t type = reader.u8();
  return reader.failed() ? std::uint8_t{0} : type;
}

// A message that was opened, and what is written when its envelope holds too.
struct OpenedSlice {
  Opened opened;
  std::optional<SessionSummary> before;  // none: the session is new
  std::vector<std::uint32_t> used_up;
  std::optional<std::pair<std::uint32_t, AgreementKey>> seen;  // under which last-resort prekey, and EK
  std::uint64_t senders_list_version = 0;
};

Result<OpenedSlice> open_in(State& state, const Incoming& item, const Sender& sender, const SessionSummary& before,
                            BytesView prefix, BytesView message, std::uint64_t now_ms) {
  if (before.peer_record != sender.record.hash) return untrusted();
  CHATSDK_ASSIGN(const std::uint32_t jump_max, jump_max_for(state, item.sender.user_id));
  CHATSDK_ASSIGN(const auto session, state.session(item.sender, before.session_id));
  if (!session) return error(Code::kCorrupt, "a session without its keys");
  CHATSDK_ASSIGN(Opened opened, open(*session, prefix, message, jump_max, now_ms));
  return OpenedSlice{std::move(opened), before, {}, {}, 0};
}

// The prekeys that a set-up names, as far as they are kept.
struct NamedPrekeys {
  std::optional<OwnPrekey> signed_prekey;
  std::optional<OwnPrekey> one_time;
  std::optional<OwnPrekey> kem;
  SeenNotes seen;
};

Result<NamedPrekeys> prekeys_named(State& state, const SetUpMessage& message) {
  NamedPrekeys named;
  CHATSDK_ASSIGN(named.signed_prekey, state.prekey(message.signed_id));
  if (message.one_time_id != 0) {
    CHATSDK_ASSIGN(named.one_time, state.prekey(message.one_time_id));
  }
  CHATSDK_ASSIGN(named.kem, state.prekey(message.kem_id));
  if (named.kem && named.kem->kind == PrekeyKind::kLastResort) {
    CHATSDK_ASSIGN(named.seen, state.seen(message.kem_id, message.ephemeral));
  }
  return named;
}

const OwnPrekey* pointer(const std::optional<OwnPrekey>& prekey) { return prekey ? &*prekey : nullptr; }

Result<OpenedSlice> accept(State& state, const Incoming& item, const Sender& sender, const SetUpMessage& message,
                           std::uint64_t now_ms, const Kem& kem, DeviceRates* set_up_rate) {
  if (message.initiators_record != sender.record.bytes) return untrusted();
  CHATSDK_ASSIGN(const Self* self, state.self());
  if (self == nullptr) return no_session();
  CHATSDK_TRY(check_set_up(message, sender.record, self->record));
  if (set_up_rate != nullptr && !set_up_rate->take(item.sender, now_ms)) return bad_message();

  CHATSDK_ASSIGN(const NamedPrekeys named, prekeys_named(state, message));
  const Responder responder{self->record,
                            self->keys.agreement_secret,
                            pointer(named.signed_prekey),
                            pointer(named.one_time),
                            pointer(named.kem),
                            named.seen.was_seen,
                            named.seen.count};
  CHATSDK_ASSIGN(AcceptedSetUp accepted, accept_set_up(message, sender.record, responder, kem));
  OpenedSlice slice;
  slice.used_up = std::move(accepted.used_up);
  if (accepted.note_seen) slice.seen.emplace(message.kem_id, message.ephemeral);
  slice.senders_list_version = message.list_version;
  const Session session = accepted_session(std::move(accepted), sender.record.hash, now_ms);
  CHATSDK_ASSIGN(const std::uint32_t jump_max, jump_max_for(state, item.sender.user_id));
  CHATSDK_ASSIGN(slice.opened, open(session, message.prefix, message.inner, jump_max, now_ms));
  return slice;
}

Result<OpenedSlice> open_set_up(State& state, const Incoming& item, const Sender& sender, const Summaries& sessions,
                                std::uint64_t now_ms, const Kem& kem, DeviceRates* set_up_rate) {
  const auto message = parse_set_up_message(item.message);
  if (!message) return bad_message();
  if (const SessionSummary* before = find_session(sessions, message->session_id)) {
    return open_in(state, item, sender, *before, message->prefix, message->inner, now_ms);
  }
  return accept(state, item, sender, *message, now_ms, kem, set_up_rate);
}

Result<OpenedSlice> open_steady(State& state, const Incoming& item, const Sender& sender, const Summaries& sessions,
                                std::uint64_t now_ms) {
  Reader reader(item.message.substr(kSessionIdAt));
  const auto session_id = reader.fixed<SessionId>();
  if (reader.failed()) return bad_message();
  const SessionSummary* before = find_session(sessions, session_id);
  if (before == nullptr) return no_session();
  return open_in(state, item, sender, *before, {}, item.message, now_ms);
}

// Section 11.1: two set-ups that crossed end in one session, since both sides prefer the lower session_id of theirs.
bool keeps_active(const SessionSummary& active, const Session& other, std::uint8_t type) {
  return type == kSetUpType && active.role == Role::kBegan && active.has_prefix && other.role == Role::kAccepted &&
         active.session_id < other.session_id;
}

// Of a device of a replaced account key: nothing is ever sent to it.
Status keep_former_session(State& state, const Peer& peer, OpenedSlice& slice, std::uint64_t now_ms) {
  Session& session = slice.opened.session;
  if (!slice.before) {
    session.status = SessionStatus::kArchived;
    session.archived_ms = now_ms;
  }
  CHATSDK_TRY(state.put_session(peer, session));
  return drop_surplus_archived(state, peer);
}

Status keep_session(State& state, const Peer& peer, const SessionSummary* active, OpenedSlice& slice, std::uint8_t type,
                    std::uint64_t now_ms) {
  Session& session = slice.opened.session;
  if (active != nullptr && slice.before && active->session_id == session.session_id) {
    return state.put_session(peer, session);
  }
  if (active != nullptr && keeps_active(*active, session, type)) {
    if (!slice.before) {
      session.status = SessionStatus::kArchived;
      session.archived_ms = now_ms;
    }
    CHATSDK_TRY(state.put_session(peer, session));
    return drop_surplus_archived(state, peer);
  }
  session.status = SessionStatus::kActive;
  session.archived_ms = 0;
  if (active != nullptr) {
    CHATSDK_TRY(state.put_status(peer, active->session_id, SessionStatus::kArchived, now_ms));
  }
  CHATSDK_TRY(state.put_session(peer, session));
  return drop_surplus_archived(state, peer);
}

Status keep(State& state, const Incoming& item, const SessionSummary* active, OpenedSlice& slice, std::uint8_t type,
            std::uint64_t now_ms) {
  if (CHATSDK_PLANTED(Bug::kUsedPrekeyKept)) slice.used_up.clear();
  for (const std::uint32_t key_id : slice.used_up) CHATSDK_TRY(state.drop_prekey(key_id));
  if (slice.seen) CHATSDK_TRY(state.note_seen(slice.seen->first, slice.seen->second));
  CHATSDK_TRY(item.former ? keep_former_session(state, item.sender, slice, now_ms)
                          : keep_session(state, item.sender, active, slice, type, now_ms));
  return state.drop_skipped(limits::e2ee::kSkippedTotalMax);
}

// The version of the newest own list, where that names this device.
Result<std::uint64_t> own_list_version(State& state, const Self& self) {
  CHATSDK_ASSIGN(const KnownUser* own, state.user(self.record.user_id));
  if (!is_in_own_list(self, own)) return untrusted();
  return own->newest().version;
}

}  // namespace

// ---- Sending -------------------------------------------------------------------------------------------------------

Result<Readiness> prepare(State& state, const Peer& peer, std::uint64_t now_ms) {
  CHATSDK_ASSIGN(const KnownUser* user, state.user(peer.user_id));
  const DeviceRecord* record = user == nullptr ? nullptr : listed(*user, peer.device_id);
  if (record == nullptr) return Readiness::kNotListed;
  CHATSDK_ASSIGN(const Summaries sessions, state.sessions(peer));
  const SessionSummary* active = active_of(sessions);
  if (active == nullptr) return Readiness::kNeedsBundle;
  const bool unanswered = active->has_prefix && is_old(now_ms, active->created_ms, limits::e2ee::kUnansweredMax);
  const bool used_up = active->send_count >= limits::e2ee::kCountMax - 1;
  if (!unanswered && !used_up && active->peer_record == record->hash) return Readiness::kReady;
  CHATSDK_TRY(archive(state, peer, active->session_id, now_ms));
  return Readiness::kNeedsBundle;
}

Result<SessionId> begin_session(State& state, const Peer& peer, const BundleBytes& bundle_bytes, std::uint64_t now_ms,
                                Random& random, const Kem& kem) {
  CHATSDK_ASSIGN(const KnownUser* user, state.user(peer.user_id));
  const DeviceRecord* record = user == nullptr ? nullptr : listed(*user, peer.device_id);
  if (record == nullptr) return untrusted();
  CHATSDK_ASSIGN(const Bundle bundle, check_bundle(bundle_bytes, *record, kem));
  CHATSDK_ASSIGN(const Self* self, state.self());
  if (self == nullptr) return untrusted();
  CHATSDK_ASSIGN(const std::uint64_t list_version, own_list_version(state, *self));

  AgreementSecret ephemeral = draw_secret<32>(random);
  Kem::Message kem_random = draw_secret<32>(random);
  CHATSDK_ASSIGN(BegunSetUp begun, begin_set_up({self->record, self->keys.agreement_secret, list_version}, bundle,
                                                std::move(ephemeral), std::move(kem_random), kem));
  const Session session = begun_session(std::move(begun), bundle.record.hash, now_ms);
  CHATSDK_ASSIGN(const Summaries sessions, state.sessions(peer));
  if (find_session(sessions, session.session_id) != nullptr) return bad_message();
  if (const SessionSummary* active = active_of(sessions)) CHATSDK_TRY(archive(state, peer, active->session_id, now_ms));
  CHATSDK_TRY(state.put_session(peer, session));
  return session.session_id;
}

Result<Bytes> encrypt_for(State& state, const Peer& peer, BytesView envelope, Random& random) {
  CHATSDK_ASSIGN(const Summaries sessions, state.sessions(peer));
  const SessionSummary* active = active_of(sessions);
  if (active == nullptr) return no_session();
  CHATSDK_ASSIGN(auto session, state.session(peer, active->session_id));
  if (!session) return error(Code::kCorrupt, "a session without its keys");
  Bytes plain = padded(envelope);
  const WipeAtEnd wiped(plain);
  CHATSDK_ASSIGN(Bytes message, encrypt(*session, plain, random));
  // Bug::kP11RetryUnderTheSameKey: once a chain has begun its steps are forgotten.
  if (CHATSDK_PLANTED(Bug::kP11RetryUnderTheSameKey) && session->send_count > 1) return message;
  CHATSDK_TRY(state.put_session(peer, *session));
  return message;
}

Status archive_active(State& state, const Peer& peer, std::uint64_t now_ms) {
  CHATSDK_ASSIGN(const Summaries sessions, state.sessions(peer));
  const SessionSummary* active = active_of(sessions);
  if (active == nullptr) return no_session();
  return archive(state, peer, active->session_id, now_ms);
}

Status activate(State& state, const Peer& peer, const SessionId& session_id, std::uint64_t now_ms) {
  CHATSDK_ASSIGN(const Summaries sessions, state.sessions(peer));
  const SessionSummary* wanted = find_session(sessions, session_id);
  if (wanted == nullptr) return no_session();
  if (wanted->status == SessionStatus::kActive) return {};
  CHATSDK_TRY(state.put_status(peer, session_id, SessionStatus::kActive, 0));
  const SessionSummary* active = active_of(sessions);
  return active == nullptr ? Status() : archive(state, peer, active->session_id, now_ms);
}

// ---- Receiving -----------------------------------------------------------------------------------------------------

Result<Received> receive_slice(State& state, const Incoming& item, std::uint64_t now_ms, const Kem& kem,
                               DeviceRates* set_up_rate) {
  CHATSDK_ASSIGN(const Sender sender, sender_of(state, item));
  const std::uint8_t type = type_of(item.message);
  if (type != kSetUpType && type != kSteadyType) return bad_message();
  CHATSDK_ASSIGN(const Summaries sessions, state.sessions(item.sender));
  auto slice = type == kSetUpType ? open_set_up(state, item, sender, sessions, now_ms, kem, set_up_rate)
                                  : open_steady(state, item, sender, sessions, now_ms);
  if (!slice) return std::move(slice).error();
  Received received;
  CHATSDK_ASSIGN(received.envelope, envelope_of(std::move(slice->opened.padded), item, body_type_of(item)));
  received.session_id = slice->opened.session.session_id;
  if (slice->senders_list_version > sender.newest_version) received.newer_list = slice->senders_list_version;
  CHATSDK_TRY(keep(state, item, active_of(sessions), *slice, type, now_ms));
  return received;
}

// ---- Groups --------------------------------------------------------------------------------------------------------

Result<bool> needs_chain(State& state, const GroupId& group, const RosterPoint& roster, std::uint64_t now_ms) {
  CHATSDK_ASSIGN(const auto chain, state.own_chain(group));
  return !chain || is_used_up(*chain, roster, now_ms);
}

Status begin_chain(State& state, const GroupId& group, std::uint64_t roster_revision, std::uint64_t now_ms,
                   Random& random) {
  return state.put_own_chain(OwnChain::draw(group, roster_revision, now_ms, random));
}

Result<Bytes> distribute_chain(State& state, const GroupId& group, const RosterPoint& roster, const InfoKey* info_key) {
  CHATSDK_ASSIGN(const auto chain, state.own_chain(group));
  CHATSDK_ASSIGN(const Self* self, state.self());
  if (!chain || self == nullptr) return no_session();
  return distribution_of(*chain, self->record.device_id, roster, info_key);
}

Status receive_chain(State& state, const Peer& sender, const GroupId& group, const RosterPoint& roster,
                     BytesView body) {
  auto distribution = parse_distribution(body);
  if (!distribution) return bad_message();
  CHATSDK_TRY(check_chain(*distribution, sender, group, roster));
  CHATSDK_ASSIGN(const auto chains, state.received_chains(group, sender));
  std::uint32_t order = 0;
  for (const ReceivedChain& known : chains) {
    if (known.chain_id == distribution->chain_id) {
      return known.signing_key == distribution->signing_key ? Status() : bad_message();
    }
    order = std::max(order, known.order);
  }
  ++order;
  CHATSDK_TRY(state.put_received_chain({group, sender, distribution->chain_id, std::move(distribution->chain_key),
                                        distribution->next, distribution->signing_key, order}));
  if (order <= limits::e2ee::kSenderChainsMax) return {};
  return state.drop_received_chains_below(group, sender,
                                          order - static_cast<std::uint32_t>(limits::e2ee::kSenderChainsMax) + 1);
}

Result<Bytes> encrypt_for_group(State& state, const GroupId& group, const RosterPoint& roster, BytesView envelope,
                                std::uint64_t now_ms, Random& random) {
  CHATSDK_ASSIGN(auto chain, state.own_chain(group));
  CHATSDK_ASSIGN(const Self* self, state.self());
  if (!chain || self == nullptr) return no_session();
  Bytes plain = padded(envelope);
  const WipeAtEnd wiped(plain);
  const GroupSender sender{self->record.user_id, self->record.device_id, roster};
  CHATSDK_ASSIGN(Bytes message, encrypt_group(*chain, sender, plain, now_ms, random));
  CHATSDK_TRY(state.put_own_chain(std::move(*chain)));
  return message;
}

Result<Received> receive_group(State& state, const Incoming& item) {
  CHATSDK_TRY(sender_of(state, item));
  const auto* group = std::get_if<GroupId>(&item.binding);
  const bool is_keys = item.kind == SliceKind::kKeys;
  if (group == nullptr || (!is_keys && item.kind != SliceKind::kMessage)) return bad_message();
  const auto message = parse_group_message(item.message);
  if (!message) return bad_message();
  if (message->group != *group || !is_of_roster(message->roster.number, message->roster.hash, item.roster) ||
      message->device_id != item.sender.device_id) {
    return untrusted();
  }
  CHATSDK_ASSIGN(const auto chains, state.received_chains(*group, item.sender));
  const auto chain = std::find_if(chains.begin(), chains.end(), [&message](const ReceivedChain& known) {
    return known.chain_id == message->chain_id;
  });
  if (chain == chains.end()) return no_session();
  CHATSDK_ASSIGN(const std::uint32_t jump_max, jump_max_for(state, item.sender.user_id));
  CHATSDK_ASSIGN(OpenedGroup opened, open_group(*chain, *message, jump_max));
  Received received;
  CHATSDK_ASSIGN(received.envelope,
                 envelope_of(std::move(opened.padded), item, is_keys ? BodyType::kInfoKey : BodyType::kContent));
  const std::uint32_t order = opened.chain.order;
  CHATSDK_TRY(state.put_received_chain(std::move(opened.chain)));
  CHATSDK_TRY(state.drop_received_chains_below(*group, item.sender, order));
  return received;
}

}  // namespace chatsdk::e2ee
