// SPDX-License-Identifier: Apache-2.0
#include "support/e2ee/memory_state.h"

#include <algorithm>
#include <tuple>

#include "base/limits.h"
#include "e2ee/ageing.h"

namespace chatsdk::e2ee {
namespace {

OwnPrekey clone_of(const OwnPrekey& prekey) {
  OwnPrekey copy;
  copy.kind = prekey.kind;
  copy.key_id = prekey.key_id;
  copy.created_ms = prekey.created_ms;
  copy.successor_ms = prekey.successor_ms;
  std::visit([&copy](const auto& secret) { copy.secret = secret.clone(); }, prekey.secret);
  return copy;
}

BytesView secret_bytes(const OwnPrekey& prekey) {
  return std::visit([](const auto& secret) { return view(secret); }, prekey.secret);
}

enum class Row : std::uint8_t {
  kSelf = 1,
  kPrekey = 2,
  kSeen = 3,
  kUser = 4,
  kReplaced = 5,
  kList = 6,
  kRecord = 7,
  kSession = 8,
  kSkipped = 11,
  kOwnChain = 12,
  kReceivedChain = 13
};

Writer& begin(Writer& writer, Row row) { return writer.u8(static_cast<std::uint8_t>(row)); }

Bytes self_row(const Self& self) {
  Writer writer(256 + self.record.bytes.size());
  begin(writer, Row::kSelf).user(self.record.user_id).u64(self.record.device_id.value).u32(self.keys.registration_id);
  writer.raw(view(self.account_seed)).raw(view(self.keys.signing_seed)).raw(view(self.keys.agreement_secret));
  writer.u32(self.next_key_id).lp(self.record.bytes);
  return writer.take();
}

Bytes prekey_row(const OwnPrekey& prekey) {
  Writer writer(128);
  begin(writer, Row::kPrekey).u8(static_cast<std::uint8_t>(prekey.kind)).u32(prekey.key_id).lp(secret_bytes(prekey));
  writer.u64(prekey.created_ms).u64(prekey.successor_ms);
  return writer.take();
}

void add_user_rows(const KnownUser& user, SecretRows& rows) {
  Writer writer;
  begin(writer, Row::kUser).user(user.user_id).raw(user.account_key).u64(user.oldest().version);
  writer.u64(user.newest().version).u8(user.verified ? 1 : 0);
  rows.add(writer.take());
  for (const SigningKey& key : user.replaced) {
    Writer replaced;
    rows.add(begin(replaced, Row::kReplaced).user(user.user_id).raw(key).take());
  }
  for (const DeviceList& list : user.lists) {
    Writer row;
    rows.add(begin(row, Row::kList).lp(list.bytes).take());
  }
  for (const auto& record : user.records) {
    Writer row;
    rows.add(begin(row, Row::kRecord).lp(record.second.bytes).take());
  }
}

Bytes own_chain_row(const OwnChain& chain) {
  Writer writer(128);
  begin(writer, Row::kOwnChain).raw(chain.group.view()).raw(chain.chain_id).raw(view(chain.chain_key));
  writer.u32(chain.next).raw(view(chain.signing.seed())).u64(chain.roster_revision).u64(chain.created_ms);
  return writer.take();
}

Bytes received_chain_row(const ReceivedChain& chain) {
  Writer writer(192);
  begin(writer, Row::kReceivedChain).raw(chain.group.view()).user(chain.sender.user_id);
  writer.u64(chain.sender.device_id.value).raw(chain.chain_id).raw(view(chain.chain_key)).u32(chain.next);
  writer.raw(chain.signing_key).u32(chain.order);
  return writer.take();
}

}  // namespace

// Puts rows together to a state again.
class RowReader {
 public:
  // False for a row that does not fit.
  bool take(BytesView row);
  // False where rows do not belong together.
  bool finish();
  MemoryState state;

 private:
  bool take_self(Reader& reader);
  bool take_prekey(Reader& reader);
  bool take_user(Reader& reader);
  bool take_own_chain(Reader& reader);
  bool take_received_chain(Reader& reader);

  std::vector<DeviceList> lists_;
  std::vector<DeviceRecord> records_;
  std::map<std::pair<Peer, SessionId>, std::vector<Bytes>> sessions_;
};

bool RowReader::take_self(Reader& reader) {
  Self self;
  const UserId user_id = reader.user();
  const DeviceId device_id{reader.id()};
  self.keys.registration_id = reader.u32();
  self.account_seed = SigningSeed::copy_of(reader.raw(32));
  self.keys.signing_seed = SigningSeed::copy_of(reader.raw(32));
  self.keys.agreement_secret = AgreementSecret::copy_of(reader.raw(32));
  self.next_key_id = reader.u32();
  auto record = parse_device_record(reader.lp(1, 4'096));
  if (!reader.finished() || !record || record->user_id != user_id || record->device_id != device_id) return false;
  self.record = std::move(*record);
  state.self_ = std::move(self);
  return true;
}

bool RowReader::take_prekey(Reader& reader) {
  OwnPrekey prekey;
  prekey.kind = static_cast<PrekeyKind>(reader.u8());
  prekey.key_id = reader.u32();
  const BytesView secret = reader.lp(is_kem(prekey.kind) ? 64 : 32, is_kem(prekey.kind) ? 64 : 32);
  prekey.created_ms = reader.u64();
  prekey.successor_ms = reader.u64();
  if (!reader.finished()) return false;
  if (is_kem(prekey.kind)) {
    prekey.secret = Kem::Seed::copy_of(secret);
  } else {
    prekey.secret = AgreementSecret::copy_of(secret);
  }
  const std::uint32_t key_id = prekey.key_id;
  return state.prekeys_.emplace(key_id, std::move(prekey)).second;
}

bool RowReader::take_user(Reader& reader) {
  KnownUser user;
  user.user_id = reader.user();
  user.account_key = reader.fixed<SigningKey>();
  reader.raw(16);  // the oldest and the newest version, which the lists name too
  user.verified = reader.u8() == 1;
  return reader.finished() && state.users_.emplace(user.user_id, std::move(user)).second;
}

bool RowReader::take_own_chain(Reader& reader) {
  OwnChain chain;
  chain.group = reader.group_id();
  chain.chain_id = reader.fixed<ChainId>();
  chain.chain_key = Secret<32>::copy_of(reader.raw(32));
  chain.next = reader.u32();
  chain.signing = SigningPair(SigningSeed::copy_of(reader.raw(32)));
  chain.roster_revision = reader.u64();
  chain.created_ms = reader.u64();
  const GroupId group = chain.group;
  return reader.finished() && state.own_chains_.emplace(group, std::move(chain)).second;
}

bool RowReader::take_received_chain(Reader& reader) {
  ReceivedChain chain;
  chain.group = reader.group_id();
  chain.sender.user_id = reader.user();
  chain.sender.device_id = DeviceId{reader.id()};
  chain.chain_id = reader.fixed<ChainId>();
  chain.chain_key = Secret<32>::copy_of(reader.raw(32));
  chain.next = reader.u32();
  chain.signing_key = reader.fixed<SigningKey>();
  chain.order = reader.u32();
  return reader.finished() && state.put_received_chain(std::move(chain)).ok();
}

bool RowReader::take(BytesView bytes) {
  Reader reader(bytes);
  const std::uint8_t type = reader.u8();
  switch (static_cast<Row>(type)) {
    case Row::kSelf:
      return take_self(reader);
    case Row::kPrekey:
      return take_prekey(reader);
    case Row::kSeen: {
      const std::uint32_t key_id = reader.u32();
      const auto ephemeral = reader.fixed<AgreementKey>();
      return reader.finished() && state.seen_[key_id].insert(ephemeral).second;
    }
    case Row::kUser:
      return take_user(reader);
    case Row::kReplaced: {
      const auto at = state.users_.find(reader.user());
      if (at == state.users_.end()) return false;
      at->second.replaced.push_back(reader.fixed<SigningKey>());
      return reader.finished();
    }
    case Row::kList: {
      auto list = parse_device_list(reader.lp(1, 4'096));
      if (!list || !reader.finished()) return false;
      lists_.push_back(std::move(*list));
      return true;
    }
    case Row::kRecord: {
      auto record = parse_device_record(reader.lp(1, 4'096));
      if (!record || !reader.finished()) return false;
      records_.push_back(std::move(*record));
      return true;
    }
    case Row::kOwnChain:
      return take_own_chain(reader);
    case Row::kReceivedChain:
      return take_received_chain(reader);
    case Row::kSession:
    case Row::kSkipped:
      break;
  }
  if (type < static_cast<std::uint8_t>(Row::kSession) || type > static_cast<std::uint8_t>(Row::kSkipped)) return false;
  const Peer peer{reader.user(), DeviceId{reader.id()}};
  const auto session_id = reader.fixed<SessionId>();
  sessions_[{peer, session_id}].emplace_back(bytes);
  return !reader.failed();
}

bool RowReader::finish() {
  std::sort(lists_.begin(), lists_.end(),
            [](const DeviceList& a, const DeviceList& b) { return a.version < b.version; });
  for (DeviceList& list : lists_) {
    const auto at = state.users_.find(list.user_id);
    if (at == state.users_.end()) return false;
    at->second.lists.push_back(std::move(list));
  }
  for (DeviceRecord& record : records_) {
    const auto at = state.users_.find(record.user_id);
    if (at == state.users_.end()) return false;
    const Hash hash = record.hash;
    at->second.records.emplace(hash, std::move(record));
  }
  for (const auto& [name, rows] : sessions_) {
    auto session = session_of_rows(rows, name.first);
    if (!session) return false;
    state.sessions_[name.first].emplace(name.second, std::move(*session));
  }
  return true;
}

std::optional<MemoryState> MemoryState::of_rows(std::span<const Bytes> rows) {
  // A row's first byte tells its kind, and what a row belongs to has a lower one.
  std::vector<BytesView> sorted(rows.begin(), rows.end());
  std::sort(sorted.begin(), sorted.end());
  RowReader reader;
  for (const BytesView row : sorted) {
    if (!reader.take(row)) return std::nullopt;
  }
  if (!reader.finish()) return std::nullopt;
  return std::move(reader.state);
}

SecretRows MemoryState::rows() const {
  SecretRows rows;
  if (self_) rows.add(self_row(*self_));
  for (const auto& prekey : prekeys_) rows.add(prekey_row(prekey.second));
  for (const auto& [key_id, ephemerals] : seen_) {
    for (const AgreementKey& ephemeral : ephemerals) {
      Writer row;
      rows.add(begin(row, Row::kSeen).u32(key_id).raw(ephemeral).take());
    }
  }
  for (const auto& user : users_) add_user_rows(user.second, rows);
  for (const auto& [peer, sessions] : sessions_) {
    for (const auto& session : sessions) {
      const SecretRows of_session = session_rows(session.second, peer);
      for (const Bytes& row : of_session.view()) rows.add(row);
    }
  }
  for (const auto& chain : own_chains_) rows.add(own_chain_row(chain.second));
  for (const auto& chains : received_chains_) {
    for (const ReceivedChain& chain : chains.second) rows.add(received_chain_row(chain));
  }
  return rows;
}

Hash MemoryState::hash() const {
  const SecretRows all = rows();
  return state_hash(all.view());
}

// ---- The seam ------------------------------------------------------------------------------------------------------

Status MemoryState::put_self(Self self) {
  self_ = std::move(self);
  return wrote();
}

Status MemoryState::put_next_self(const Self& next) {
  next_self_ = next.clone();
  return wrote();
}

Status MemoryState::drop_next_self() {
  next_self_.reset();
  return wrote();
}

Result<const KnownUser*> MemoryState::user(const UserId& user_id) {
  const auto at = users_.find(user_id);
  return at == users_.end() ? nullptr : &at->second;
}

Status MemoryState::put_user(KnownUser user) {
  const UserId user_id = user.user_id;
  users_.insert_or_assign(user_id, std::move(user));
  return wrote();
}

Status MemoryState::drop_user(const UserId& user_id) {
  users_.erase(user_id);
  return wrote();
}

Result<std::vector<PrekeySummary>> MemoryState::prekeys() {
  std::vector<PrekeySummary> summaries;
  for (const auto& prekey : prekeys_) summaries.push_back(summary_of(prekey.second));
  return summaries;
}

Result<std::optional<OwnPrekey>> MemoryState::prekey(std::uint32_t key_id) {
  const auto at = prekeys_.find(key_id);
  if (at == prekeys_.end()) return std::optional<OwnPrekey>();
  return std::optional<OwnPrekey>(clone_of(at->second));
}

Status MemoryState::put_prekey(OwnPrekey prekey) {
  const std::uint32_t key_id = prekey.key_id;
  prekeys_.insert_or_assign(key_id, std::move(prekey));
  return wrote();
}

Status MemoryState::put_successor(std::uint32_t key_id, std::uint64_t successor_ms) {
  const auto at = prekeys_.find(key_id);
  if (at != prekeys_.end()) at->second.successor_ms = successor_ms;
  return wrote();
}

Status MemoryState::drop_prekey(std::uint32_t key_id) {
  prekeys_.erase(key_id);
  seen_.erase(key_id);
  return wrote();
}

Result<SeenNotes> MemoryState::seen(std::uint32_t key_id, const AgreementKey& ephemeral) {
  const auto at = seen_.find(key_id);
  if (at == seen_.end()) return SeenNotes{};
  return SeenNotes{at->second.contains(ephemeral), at->second.size()};
}

Status MemoryState::note_seen(std::uint32_t key_id, const AgreementKey& ephemeral) {
  seen_[key_id].insert(ephemeral);
  return wrote();
}

Result<std::vector<SessionSummary>> MemoryState::sessions(const Peer& peer) {
  std::vector<SessionSummary> summaries;
  const auto at = sessions_.find(peer);
  if (at == sessions_.end()) return summaries;
  for (const auto& session : at->second) summaries.push_back(summary_of(session.second));
  return summaries;
}

Result<std::optional<Session>> MemoryState::session(const Peer& peer, const SessionId& session_id) {
  const auto of_peer = sessions_.find(peer);
  if (of_peer == sessions_.end()) return std::optional<Session>();
  const auto at = of_peer->second.find(session_id);
  if (at == of_peer->second.end()) return std::optional<Session>();
  return std::optional<Session>(at->second.clone());
}

Status MemoryState::put_session(const Peer& peer, const Session& session) {
  sessions_[peer].insert_or_assign(session.session_id, session.clone());
  return wrote();
}

Status MemoryState::put_status(const Peer& peer, const SessionId& session_id, SessionStatus status,
                               std::uint64_t archived_ms) {
  const auto at = sessions_[peer].find(session_id);
  if (at != sessions_[peer].end()) {
    at->second.status = status;
    at->second.archived_ms = archived_ms;
  }
  return wrote();
}

namespace {

void archive(std::map<SessionId, Session>& sessions, std::uint64_t now_ms) {
  std::vector<std::pair<std::uint64_t, SessionId>> archived;
  for (auto& [session_id, session] : sessions) {
    if (session.status == SessionStatus::kActive) {
      session.status = SessionStatus::kArchived;
      session.archived_ms = now_ms;
    }
    archived.emplace_back(session.archived_ms, session_id);
  }
  std::sort(archived.begin(), archived.end());
  for (std::size_t i = 0; i + limits::e2ee::kArchivedMax < archived.size(); ++i) sessions.erase(archived[i].second);
}

}  // namespace

Status MemoryState::archive_all(std::uint64_t now_ms) {
  for (auto& of_peer : sessions_) archive(of_peer.second, now_ms);
  return wrote();
}

Status MemoryState::drop_session(const Peer& peer, const SessionId& session_id) {
  sessions_[peer].erase(session_id);
  return wrote();
}

Status MemoryState::archive_sessions(const UserId& user_id, std::uint64_t now_ms) {
  for (auto& of_peer : sessions_) {
    if (of_peer.first.user_id == user_id) archive(of_peer.second, now_ms);
  }
  return wrote();
}

Status MemoryState::drop_sessions(const UserId& user_id) {
  std::erase_if(sessions_, [&user_id](const auto& of_peer) { return of_peer.first.user_id == user_id; });
  return wrote();
}

Status MemoryState::drop_all_sessions() {
  sessions_.clear();
  return wrote();
}

Status MemoryState::drop_skipped(std::size_t most) {
  std::size_t count = 0;
  for (const auto& of_peer : sessions_) {
    for (const auto& session : of_peer.second) count += session.second.skipped.size();
  }
  if (count <= most) return wrote();
  using Place = std::tuple<std::uint64_t, SessionId, std::uint32_t, std::uint32_t, Session*>;
  std::vector<Place> places;
  for (auto& of_peer : sessions_) {
    for (auto& [session_id, session] : of_peer.second) {
      for (const SkippedKeys::Entry& entry : session.skipped.entries()) {
        places.emplace_back(entry.created_ms, session_id, entry.chain, entry.number, &session);
      }
    }
  }
  std::sort(places.begin(), places.end());
  places.resize(count - most);
  for (const auto& [created_ms, session_id, chain, number, session] : places) session->skipped.take(chain, number);
  return wrote();
}

Status MemoryState::age_sessions(std::uint64_t now_ms, const Lifetimes& lifetimes) {
  for (auto& of_peer : sessions_) {
    std::erase_if(of_peer.second, [now_ms, &lifetimes](const auto& named) {
      return named.second.status == SessionStatus::kArchived &&
             is_old(now_ms, named.second.archived_ms, lifetimes.archived_kept);
    });
    for (auto& named : of_peer.second) age(named.second, now_ms, lifetimes);
  }
  return wrote();
}

Result<std::optional<OwnChain>> MemoryState::own_chain(const GroupId& group) {
  const auto at = own_chains_.find(group);
  if (at == own_chains_.end()) return std::optional<OwnChain>();
  return std::optional<OwnChain>(at->second.clone());
}

Status MemoryState::put_own_chain(OwnChain chain) {
  const GroupId group = chain.group;
  own_chains_.insert_or_assign(group, std::move(chain));
  return wrote();
}

Status MemoryState::drop_own_chains() {
  own_chains_.clear();
  return wrote();
}

Result<std::vector<ReceivedChain>> MemoryState::received_chains(const GroupId& group, const Peer& sender) {
  Chains chains;
  const auto at = received_chains_.find({group, sender});
  if (at == received_chains_.end()) return chains;
  for (const ReceivedChain& chain : at->second) chains.push_back(chain.clone());
  return chains;
}

Status MemoryState::put_received_chain(ReceivedChain chain) {
  Chains& chains = received_chains_[{chain.group, chain.sender}];
  std::erase_if(chains, [&chain](const ReceivedChain& known) { return known.order == chain.order; });
  chains.push_back(std::move(chain));
  std::sort(chains.begin(), chains.end(),
            [](const ReceivedChain& a, const ReceivedChain& b) { return a.order < b.order; });
  return wrote();
}

Status MemoryState::drop_received_chains_below(const GroupId& group, const Peer& sender, std::uint32_t order) {
  std::erase_if(received_chains_[{group, sender}], [order](const ReceivedChain& chain) { return chain.order < order; });
  return wrote();
}

Status MemoryState::drop_received_chains(const UserId& sender) {
  std::erase_if(received_chains_, [&sender](const auto& chains) { return chains.first.second.user_id == sender; });
  return wrote();
}

Status MemoryState::drop_all_received_chains() {
  received_chains_.clear();
  return wrote();
}

}  // namespace chatsdk::e2ee
