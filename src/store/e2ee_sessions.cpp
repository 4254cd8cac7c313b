// SPDX-License-Identifier: Apache-2.0
//
// Sessions as rows: one each for the session, its set-up prefix, its receiving chains and its skipped keys. Writing a
// session compares it with what is at hand, and writes the rows that differ.
#include <algorithm>
#include <tuple>
#include <utility>

#include "base/fault.h"
#include "base/limits.h"
#include "e2ee/ageing.h"
#include "e2ee/primitives.h"
#include "store/e2ee_rows.h"
#include "store/e2ee_state.h"

namespace chatsdk::e2ee {

namespace {

using rows::Blob;

constexpr std::size_t kSessionsAtHand = 16;  // of each up to a hundred kilobytes of skipped keys

#define CHATSDK_SESSION_SUMMARY                                                                                \
  "s.session_id, s.peer_record, s.role, s.status, s.created, s.archived, EXISTS (SELECT 1 FROM e2ee_prefix p " \
  "WHERE p.session = s.id), s.send_count"
constexpr char kSessions[] =
    "SELECT " CHATSDK_SESSION_SUMMARY " FROM e2ee_session s WHERE s.device = ?1 AND s.user = ?2";
constexpr char kSession[] =
    "SELECT " CHATSDK_SESSION_SUMMARY
    ", s.id, s.suite, s.associated, s.root, s.ratchet_secret, s.ratchet_public, s.sending_key, s.previous_count, "
    "s.peer_ratchet_key, s.chains_begun FROM e2ee_session s "
    "WHERE s.device = ?1 AND s.user = ?2 AND s.session_id = ?3";
constexpr char kPrefix[] = "SELECT prefix FROM e2ee_prefix WHERE session = ?1";
constexpr char kChains[] =
    "SELECT number, ratchet_key, chain_key, next, end, superseded FROM e2ee_chain WHERE session = ?1 ORDER BY number";
constexpr char kSkipped[] =
    "SELECT chain, number, key, created FROM e2ee_skipped WHERE session = ?1 ORDER BY chain, number";

constexpr char kInsert[] =
    "INSERT INTO e2ee_session(user, device, session_id, peer_record, suite, role, status, associated, root, "
    "ratchet_secret, ratchet_public, sending_key, send_count, previous_count, peer_ratchet_key, chains_begun, created, "
    "archived) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18)";
// What a message or a change of status changes.
constexpr char kUpdate[] =
    "UPDATE e2ee_session SET status = ?2, root = ?3, ratchet_secret = ?4, ratchet_public = ?5, sending_key = ?6, "
    "send_count = ?7, previous_count = ?8, peer_ratchet_key = ?9, chains_begun = ?10, archived = ?11 WHERE id = ?1";
constexpr char kPutStatus[] =
    "UPDATE e2ee_session SET status = ?4, archived = ?5 WHERE device = ?1 AND user = ?2 AND session_id = ?3";
constexpr char kInsertPrefix[] = "INSERT INTO e2ee_prefix(session, prefix) VALUES (?1, ?2)";
constexpr char kDropPrefix[] = "DELETE FROM e2ee_prefix WHERE session = ?1";
constexpr char kPutChain[] =
    "INSERT INTO e2ee_chain(session, number, ratchet_key, chain_key, next, end, superseded) "
    "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT(session, number) DO UPDATE SET chain_key = ?4, next = ?5, "
    "end = ?6, superseded = ?7";
constexpr char kDropChain[] = "DELETE FROM e2ee_chain WHERE session = ?1 AND number = ?2";
constexpr char kInsertSkipped[] =
    "INSERT INTO e2ee_skipped(session, chain, number, key, created) VALUES (?1, ?2, ?3, ?4, ?5)";
constexpr char kDropSkipped[] = "DELETE FROM e2ee_skipped WHERE session = ?1 AND chain = ?2 AND number = ?3";

// Prefix, chains and skipped keys go with their session.
constexpr char kDropSession[] = "DELETE FROM e2ee_session WHERE device = ?1 AND user = ?2 AND session_id = ?3";
constexpr char kDropSessionsOf[] = "DELETE FROM e2ee_session WHERE user = ?1";
constexpr char kDropSessions[] = "DELETE FROM e2ee_session";

constexpr char kArchiveAll[] = "UPDATE e2ee_session SET status = 2, archived = ?1 WHERE status = 1";
constexpr char kArchiveOf[] = "UPDATE e2ee_session SET status = 2, archived = ?1 WHERE status = 1 AND user = ?2";
constexpr char kDropSurplus[] =
    "DELETE FROM e2ee_session WHERE id IN (SELECT id FROM (SELECT id, row_number() OVER (PARTITION BY device, user "
    "ORDER BY archived DESC, session_id DESC) AS place FROM e2ee_session WHERE status = 2) WHERE place > ?1)";

constexpr char kSkippedTotal[] = "SELECT count(*) FROM e2ee_skipped";
constexpr char kDropOldest[] =
    "DELETE FROM e2ee_skipped WHERE (session, chain, number) IN (SELECT k.session, k.chain, k.number FROM "
    "e2ee_skipped k JOIN e2ee_session s ON s.id = k.session ORDER BY k.created, s.session_id, k.chain, k.number "
    "LIMIT ?1)";

// is_old() of e2ee/ageing.h. ?1: now, ?2: the limit.
constexpr char kAgeArchived[] = "DELETE FROM e2ee_session WHERE status = 2 AND archived <= ?1 - ?2";
constexpr char kAgeSkipped[] = "DELETE FROM e2ee_skipped WHERE created <= ?1 - ?2";
constexpr char kAgeSkippedOfChains[] =
    "DELETE FROM e2ee_skipped WHERE (session, chain) IN (SELECT c.session, c.number FROM e2ee_chain c JOIN "
    "e2ee_session s ON s.id = c.session WHERE c.number <> s.chains_begun AND c.superseded <= ?1 - ?2)";
constexpr char kAgeChains[] =
    "DELETE FROM e2ee_chain WHERE superseded <= ?1 - ?2 AND number <> (SELECT s.chains_begun FROM e2ee_session s "
    "WHERE s.id = e2ee_chain.session)";

SessionSummary read_summary(Columns& columns) {
  SessionSummary summary;
  summary.session_id = columns.fixed<SessionId>();
  summary.peer_record = columns.fixed<Hash>();
  summary.role = static_cast<Role>(columns.u8(1, 2));
  summary.status = static_cast<SessionStatus>(columns.u8(1, 2));
  summary.created_ms = columns.u64();
  summary.archived_ms = columns.u64();
  summary.has_prefix = columns.flag();
  summary.send_count = columns.u32();
  return summary;
}

bool same(const std::optional<Secret<32>>& a, const std::optional<Secret<32>>& b) {
  return a.has_value() == b.has_value() && (!a || equal_secrets(view(*a), view(*b)));
}

bool same_row(const Session& a, const Session& b) {
  return a.status == b.status && equal_secrets(view(a.root), view(b.root)) &&
         same(a.ratchet_secret, b.ratchet_secret) && a.ratchet_public == b.ratchet_public &&
         same(a.sending_key, b.sending_key) && a.send_count == b.send_count && a.previous_count == b.previous_count &&
         a.peer_ratchet_key == b.peer_ratchet_key && a.chains_begun == b.chains_begun && a.archived_ms == b.archived_ms;
}

bool same_row(const ReceivingChain& a, const ReceivingChain& b) {
  return equal_secrets(view(a.chain_key), view(b.chain_key)) && a.next == b.next && a.end == b.end &&
         a.superseded_ms == b.superseded_ms;
}

const ReceivingChain* chain_of(const Session* session, std::uint32_t number) {
  if (session == nullptr) return nullptr;
  for (const ReceivingChain& chain : session->chains) {
    if (chain.number == number) return &chain;
  }
  return nullptr;
}

// There is a public key where there is a secret.
std::optional<Blob> public_or_none(const Session& session) {
  return session.ratchet_secret ? std::optional(blob(session.ratchet_public)) : std::nullopt;
}

auto place_of(const SkippedKeys::Entry& entry) { return std::tie(entry.chain, entry.number); }

// What the rows of one session say together.
Status check_session(const Session& session) {
  if (session.ratchet_secret.has_value() != (session.ratchet_public != AgreementKey{})) {
    return corrupt_row("e2ee_session", "half a ratchet key");
  }
  if (session.chains.size() > limits::e2ee::kChainsMax) return corrupt_row("e2ee_chain", "more chains than are kept");
  for (const ReceivingChain& chain : session.chains) {
    if (chain.number == 0 || chain.number > session.chains_begun) return corrupt_row("e2ee_chain", "a chain to come");
  }
  if (session.skipped.size() > limits::e2ee::kSkippedSessionMax) {
    return corrupt_row("e2ee_skipped", "more keys than are kept");
  }
  for (const SkippedKeys::Entry& entry : session.skipped.entries()) {
    const ReceivingChain* chain = chain_of(&session, entry.chain);
    if (chain == nullptr) return corrupt_row("e2ee_skipped", "a key of no chain");
    if (entry.number >= chain->next) return corrupt_row("e2ee_skipped", "a key that its chain still makes");
  }
  return {};
}

}  // namespace

// ---- Reading -------------------------------------------------------------------------------------------------------

Result<std::vector<SessionSummary>> SqlState::sessions(const Peer& peer) {
  std::vector<SessionSummary> summaries;
  CHATSDK_TRY(for_each_row(
      sql_(kSessions),
      [&summaries](const sqlite::Statement& row) {
        Columns columns("e2ee_session", row);
        summaries.push_back(read_summary(columns));
        return columns.status();
      },
      peer.device_id, peer.user_id));
  return summaries;
}

Result<std::optional<SqlState::AtHand>> SqlState::load_session(const Peer& peer, const SessionId& session_id) {
  AtHand loaded;
  loaded.peer = peer;
  Session& session = loaded.session;
  {
    rows::Query query = sql_(kSession);
    CHATSDK_ASSIGN(const bool kept, query.first(peer.device_id, peer.user_id, blob(session_id)));
    if (!kept) return std::optional<AtHand>();
    Columns columns("e2ee_session", query.row());
    const SessionSummary summary = read_summary(columns);
    session.session_id = summary.session_id;
    session.peer_record = summary.peer_record;
    session.role = summary.role;
    session.status = summary.status;
    session.created_ms = summary.created_ms;
    session.archived_ms = summary.archived_ms;
    session.send_count = summary.send_count;
    loaded.id = static_cast<std::int64_t>(columns.u64());
    session.suite = columns.u8(1, 32);
    session.associated = columns.fixed<Associated>();
    session.root = columns.secret<32>();
    session.ratchet_secret = columns.secret_or_none<32>();
    session.ratchet_public = columns.fixed_or_none<AgreementKey>().value_or(AgreementKey{});
    session.sending_key = columns.secret_or_none<32>();
    session.previous_count = columns.u32();
    session.peer_ratchet_key = columns.fixed_or_none<AgreementKey>();
    session.chains_begun = columns.u32();
    CHATSDK_TRY(columns.status());
  }
  CHATSDK_TRY(load_parts(loaded));
  CHATSDK_TRY(check_session(session));
  return std::optional(std::move(loaded));
}

Status SqlState::load_parts(AtHand& loaded) {
  Session& session = loaded.session;
  {
    rows::Query query = sql_(kPrefix);
    CHATSDK_ASSIGN(const bool has_prefix, query.first(loaded.id));
    if (has_prefix) {
      session.prefix = Bytes(query->blob(0));
      if (session.prefix.empty()) return corrupt_row("e2ee_prefix", "no bytes");
    }
  }
  CHATSDK_TRY(for_each_row(
      sql_(kChains),
      [&session](const sqlite::Statement& row) {
        Columns columns("e2ee_chain", row);
        ReceivingChain& chain = session.chains.emplace_back();
        chain.number = columns.u32();
        chain.ratchet_key = columns.fixed<AgreementKey>();
        chain.chain_key = columns.secret<32>();
        chain.next = columns.u32();
        chain.end = columns.u32();
        chain.superseded_ms = columns.u64();
        return columns.status();
      },
      loaded.id));
  return for_each_row(
      sql_(kSkipped),
      [&session](const sqlite::Statement& row) -> Status {
        Columns columns("e2ee_skipped", row);
        const std::uint32_t chain = columns.u32();
        const std::uint32_t number = columns.u32();
        const Secret<32> key = columns.secret<32>();
        const std::uint64_t created_ms = columns.u64();
        CHATSDK_TRY(columns.status());
        session.skipped.add(chain, number, key, created_ms);
        return {};
      },
      loaded.id);
}

Result<SqlState::AtHand*> SqlState::find(const Peer& peer, const SessionId& session_id) {
  for (auto at = at_hand_.begin(); at != at_hand_.end(); ++at) {
    if (at->session.session_id != session_id || at->peer != peer) continue;
    at_hand_.splice(at_hand_.begin(), at_hand_, at);
    return &at_hand_.front();
  }
  CHATSDK_ASSIGN(auto loaded, load_session(peer, session_id));
  if (!loaded) return nullptr;
  return keep_at_hand(std::move(*loaded));
}

SqlState::AtHand* SqlState::keep_at_hand(AtHand session) {
  if (at_hand_.size() >= kSessionsAtHand) at_hand_.pop_back();
  at_hand_.push_front(std::move(session));
  return &at_hand_.front();
}

Result<std::optional<Session>> SqlState::session(const Peer& peer, const SessionId& session_id) {
  CHATSDK_ASSIGN(const AtHand* kept, find(peer, session_id));
  return kept == nullptr ? std::optional<Session>() : std::optional(kept->session.clone());
}

// ---- Writing -------------------------------------------------------------------------------------------------------

Status SqlState::put_session(const Peer& peer, const Session& session) {
  CHATSDK_ASSIGN(AtHand * kept, find(peer, session.session_id));
  if (kept == nullptr) return insert_session(peer, session);
  const Session& before = kept->session;
  // Bug::kP6RatchetApart: a step of a chain that has begun is saved with the session's next change, not with its
  // message.
  const bool later =
      CHATSDK_PLANTED(Bug::kP6RatchetApart) && before.send_count > 0 && session.send_count > before.send_count;
  if (!later && !same_row(before, session)) {
    CHATSDK_TRY(sql_(kUpdate).run(kept->id, session.status, blob(session.root), blob(session.ratchet_secret),
                                  public_or_none(session), blob(session.sending_key), session.send_count,
                                  session.previous_count, blob(session.peer_ratchet_key), session.chains_begun,
                                  session.archived_ms));
  }
  if (!before.prefix.empty() && session.prefix.empty()) CHATSDK_TRY(sql_(kDropPrefix).run(kept->id));
  CHATSDK_TRY(write_chains(kept->id, &before, session));
  CHATSDK_TRY(write_skipped(kept->id, &before, session));
  kept->session = session.clone();
  return {};
}

Status SqlState::insert_session(const Peer& peer, const Session& session) {
  CHATSDK_TRY(sql_(kInsert).run(
      peer.user_id, peer.device_id, blob(session.session_id), blob(session.peer_record), session.suite, session.role,
      session.status, blob(session.associated), blob(session.root), blob(session.ratchet_secret),
      public_or_none(session), blob(session.sending_key), session.send_count, session.previous_count,
      blob(session.peer_ratchet_key), session.chains_begun, session.created_ms, session.archived_ms));
  const std::int64_t id = db_.last_insert_rowid();
  if (!session.prefix.empty()) CHATSDK_TRY(sql_(kInsertPrefix).run(id, Blob{session.prefix}));
  CHATSDK_TRY(write_chains(id, nullptr, session));
  CHATSDK_TRY(write_skipped(id, nullptr, session));
  keep_at_hand({peer, id, session.clone()});
  return {};
}

Status SqlState::write_chains(std::int64_t id, const Session* before, const Session& session) {
  if (before != nullptr) {
    for (const ReceivingChain& chain : before->chains) {
      if (chain_of(&session, chain.number) == nullptr) CHATSDK_TRY(sql_(kDropChain).run(id, chain.number));
    }
  }
  for (const ReceivingChain& chain : session.chains) {
    const ReceivingChain* known = chain_of(before, chain.number);
    if (known != nullptr && same_row(*known, chain)) continue;
    CHATSDK_TRY(sql_(kPutChain).run(id, chain.number, blob(chain.ratchet_key), blob(chain.chain_key), chain.next,
                                    chain.end, chain.superseded_ms));
  }
  return {};
}

// A key under a chain and number never changes, so that both ascending lists are gone through once.
Status SqlState::write_skipped(std::int64_t id, const Session* before, const Session& session) {
  static const std::vector<SkippedKeys::Entry> kNone;
  const auto& known = before == nullptr ? kNone : before->skipped.entries();
  const auto& wanted = session.skipped.entries();
  auto old = known.begin();
  auto now = wanted.begin();
  while (old != known.end() || now != wanted.end()) {
    if (now == wanted.end() || (old != known.end() && place_of(*old) < place_of(*now))) {
      CHATSDK_TRY(drop_skipped_key(id, *old++));
    } else if (old == known.end() || place_of(*now) < place_of(*old)) {
      CHATSDK_TRY(write_skipped_key(id, *now++));
    } else {
      ++old;
      ++now;
    }
  }
  return {};
}

Status SqlState::write_skipped_key(std::int64_t id, const SkippedKeys::Entry& entry) {
  const Blob key{{reinterpret_cast<const char*>(entry.key.data()), entry.key.size()}};
  CHATSDK_TRY(sql_(kInsertSkipped).run(id, entry.chain, entry.number, key, entry.created_ms));
  if (skipped_total_) ++*skipped_total_;
  return {};
}

Status SqlState::drop_skipped_key(std::int64_t id, const SkippedKeys::Entry& entry) {
  CHATSDK_TRY(sql_(kDropSkipped).run(id, entry.chain, entry.number));
  if (skipped_total_) --*skipped_total_;
  return {};
}

Status SqlState::put_status(const Peer& peer, const SessionId& session_id, SessionStatus status,
                            std::uint64_t archived_ms) {
  CHATSDK_TRY(sql_(kPutStatus).run(peer.device_id, peer.user_id, blob(session_id), status, archived_ms));
  for (AtHand& kept : at_hand_) {
    if (kept.session.session_id != session_id || kept.peer != peer) continue;
    kept.session.status = status;
    kept.session.archived_ms = archived_ms;
  }
  return {};
}

// ---- Deleting ------------------------------------------------------------------------------------------------------

void SqlState::forget_sessions() {
  at_hand_.clear();
  skipped_total_.reset();
}

Status SqlState::archive_all(std::uint64_t now_ms) {
  forget_sessions();
  CHATSDK_TRY(sql_(kArchiveAll).run(now_ms));
  return sql_(kDropSurplus).run(limits::e2ee::kArchivedMax);
}

Status SqlState::archive_sessions(const UserId& user_id, std::uint64_t now_ms) {
  forget_sessions();
  CHATSDK_TRY(sql_(kArchiveOf).run(now_ms, user_id));
  return sql_(kDropSurplus).run(limits::e2ee::kArchivedMax);
}

Status SqlState::drop_session(const Peer& peer, const SessionId& session_id) {
  forget_sessions();
  return sql_(kDropSession).run(peer.device_id, peer.user_id, blob(session_id));
}

Status SqlState::drop_sessions(const UserId& user_id) {
  forget_sessions();
  return sql_(kDropSessionsOf).run(user_id);
}

Status SqlState::drop_all_sessions() {
  forget_sessions();
  return sql_(kDropSessions).run();
}

Result<std::size_t> SqlState::skipped_total() {
  if (!skipped_total_) {
    rows::Query query = sql_(kSkippedTotal);
    CHATSDK_ASSIGN(const bool counted, query.first());
    skipped_total_ = counted ? static_cast<std::size_t>(query->integer(0)) : 0;
  }
  return *skipped_total_;
}

Status SqlState::drop_skipped(std::size_t most) {
  CHATSDK_ASSIGN(const std::size_t total, skipped_total());
  if (total <= most) return {};
  forget_sessions();
  return sql_(kDropOldest).run(total - most);
}

Status SqlState::age_sessions(std::uint64_t now_ms, const Lifetimes& lifetimes) {
  forget_sessions();
  CHATSDK_TRY(sql_(kAgeArchived).run(now_ms, lifetimes.archived_kept.count()));
  for (const char* query : {kAgeSkipped, kAgeSkippedOfChains, kAgeChains}) {
    CHATSDK_TRY(sql_(query).run(now_ms, lifetimes.skipped_kept.count()));
  }
  return {};
}

}  // namespace chatsdk::e2ee
