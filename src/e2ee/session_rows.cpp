// SPDX-License-Identifier: Apache-2.0
#include "e2ee/session_rows.h"

#include <algorithm>
#include <utility>

#include "base/limits.h"
#include "e2ee/primitives.h"

namespace chatsdk::e2ee {
namespace {

enum class RowType : std::uint8_t { kSession = 8, kPrefix = 9, kChain = 10, kSkipped = 11 };

constexpr std::size_t kRowBytesMax = 276 + limits::kUserIdBytesMax;

// What every row of a session begins with.
Writer& begin(Writer& writer, RowType type, const Peer& peer, const SessionId& session_id) {
  return writer.u8(static_cast<std::uint8_t>(type)).user(peer.user_id).u64(peer.device_id.value).raw(session_id);
}

Writer& secret_or_zeros(Writer& writer, const std::optional<Secret<32>>& secret) {
  return secret ? writer.raw(view(*secret)) : writer.zeros(32);
}

Bytes session_row(const Session& session, const Peer& peer) {
  Writer writer(kRowBytesMax);
  begin(writer, RowType::kSession, peer, session.session_id).raw(session.peer_record).u8(session.suite);
  writer.u8(static_cast<std::uint8_t>(session.role)).u8(static_cast<std::uint8_t>(session.status));
  writer.raw(session.associated).raw(view(session.root));
  secret_or_zeros(writer, session.ratchet_secret).raw(session.ratchet_public);
  secret_or_zeros(writer, session.sending_key).u32(session.send_count).u32(session.previous_count);
  writer.raw(session.peer_ratchet_key.value_or(AgreementKey{})).u32(session.chains_begun);
  writer.u64(session.created_ms).u64(session.archived_ms);
  return writer.take();
}

Bytes prefix_row(const Session& session, const Peer& peer) {
  Writer writer(kRowBytesMax + session.prefix.size());
  begin(writer, RowType::kPrefix, peer, session.session_id).lp(session.prefix);
  return writer.take();
}

Bytes chain_row(const Session& session, const Peer& peer, const ReceivingChain& chain) {
  Writer writer(kRowBytesMax);
  begin(writer, RowType::kChain, peer, session.session_id).u32(chain.number).raw(chain.ratchet_key);
  writer.raw(view(chain.chain_key)).u32(chain.next).u32(chain.end).u64(chain.superseded_ms);
  return writer.take();
}

Bytes skipped_row(const Session& session, const Peer& peer, const SkippedKeys::Entry& entry) {
  Writer writer(kRowBytesMax);
  begin(writer, RowType::kSkipped, peer, session.session_id).u32(entry.chain).u32(entry.number);
  writer.raw(BytesView(reinterpret_cast<const char*>(entry.key.data()), entry.key.size())).u64(entry.created_ms);
  return writer.take();
}

Secret<32> read_secret(Reader& reader) { return Secret<32>::copy_of(reader.raw(32)); }

std::optional<Secret<32>> read_secret_or_zeros(Reader& reader) {
  Secret<32> secret = read_secret(reader);
  if (equal_secrets(view(secret), no_salt().substr(0, 32))) return std::nullopt;
  return secret;
}

void read_session_row(Reader& reader, Session& session) {
  session.peer_record = reader.fixed<Hash>();
  session.suite = reader.u8();
  const std::uint8_t role = reader.u8();
  const std::uint8_t status = reader.u8();
  reader.require(session.suite != 0 && role >= 1 && role <= 2 && status >= 1 && status <= 2);
  session.role = static_cast<Role>(role);
  session.status = static_cast<SessionStatus>(status);
  session.associated = reader.fixed<Associated>();
  session.root = read_secret(reader);
  session.ratchet_secret = read_secret_or_zeros(reader);
  session.ratchet_public = reader.fixed<AgreementKey>();
  session.sending_key = read_secret_or_zeros(reader);
  session.send_count = reader.u32();
  session.previous_count = reader.u32();
  const auto peer_ratchet_key = reader.fixed<AgreementKey>();
  if (peer_ratchet_key != AgreementKey{}) session.peer_ratchet_key = peer_ratchet_key;
  session.chains_begun = reader.u32();
  session.created_ms = reader.u64();
  session.archived_ms = reader.u64();
}

ReceivingChain read_chain_row(Reader& reader) {
  ReceivingChain chain;
  chain.number = reader.u32();
  chain.ratchet_key = reader.fixed<AgreementKey>();
  chain.chain_key = read_secret(reader);
  chain.next = reader.u32();
  chain.end = reader.u32();
  chain.superseded_ms = reader.u64();
  return chain;
}

void read_skipped_row(Reader& reader, SkippedKeys& skipped) {
  const std::uint32_t chain = reader.u32();
  const std::uint32_t number = reader.u32();
  const Secret<32> key = read_secret(reader);
  const std::uint64_t created_ms = reader.u64();
  if (reader.finished()) skipped.add(chain, number, key, created_ms);
}

// Rows that hold by themselves, each at most once, of one session.
bool hold_together(const Session& session, int session_rows) {
  if (session_rows != 1 || session.chains.size() > limits::e2ee::kChainsMax) return false;
  std::uint32_t before = 0;
  for (const ReceivingChain& chain : session.chains) {
    if (chain.number <= before || chain.number > session.chains_begun) return false;
    before = chain.number;
  }
  const SkippedKeys::Entry* last = nullptr;
  for (const SkippedKeys::Entry& entry : session.skipped.entries()) {
    if (last != nullptr && last->chain == entry.chain && last->number == entry.number) return false;
    const bool of_a_chain = std::any_of(session.chains.begin(), session.chains.end(),
                                        [&entry](const ReceivingChain& chain) { return chain.number == entry.chain; });
    if (!of_a_chain) return false;
    last = &entry;
  }
  return session.skipped.size() <= limits::e2ee::kSkippedSessionMax;
}

}  // namespace

SecretRows& SecretRows::operator=(SecretRows&& other) noexcept {
  if (this != &other) {
    wipe_all();
    rows_ = std::move(other.rows_);
    other.rows_.clear();
  }
  return *this;
}

SecretRows session_rows(const Session& session, const Peer& peer) {
  SecretRows rows;
  rows.add(session_row(session, peer));
  if (!session.prefix.empty()) rows.add(prefix_row(session, peer));
  for (const ReceivingChain& chain : session.chains) rows.add(chain_row(session, peer, chain));
  for (const SkippedKeys::Entry& entry : session.skipped.entries()) rows.add(skipped_row(session, peer, entry));
  return rows;
}

std::optional<Session> session_of_rows(std::span<const Bytes> rows, const Peer& peer) {
  Session session;
  int session_rows = 0;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    Reader reader(rows[i]);
    const std::uint8_t type = reader.u8();
    const Peer of{reader.user(), DeviceId{reader.id()}};
    const auto session_id = reader.fixed<SessionId>();
    reader.require(of == peer && (i == 0 || session_id == session.session_id));
    session.session_id = session_id;
    if (type == static_cast<std::uint8_t>(RowType::kSession)) {
      read_session_row(reader, session);
      ++session_rows;
    } else if (type == static_cast<std::uint8_t>(RowType::kPrefix)) {
      reader.require(session.prefix.empty());
      session.prefix = reader.lp(1, limits::e2ee::kMessageMax);
    } else if (type == static_cast<std::uint8_t>(RowType::kChain)) {
      session.chains.push_back(read_chain_row(reader));
    } else if (type == static_cast<std::uint8_t>(RowType::kSkipped)) {
      read_skipped_row(reader, session.skipped);
    } else {
      return std::nullopt;
    }
    if (!reader.finished()) return std::nullopt;
  }
  std::sort(session.chains.begin(), session.chains.end(),
            [](const ReceivingChain& a, const ReceivingChain& b) { return a.number < b.number; });
  if (!hold_together(session, session_rows)) return std::nullopt;
  return session;
}

Hash state_hash(std::span<const Bytes> rows) {
  std::vector<BytesView> sorted(rows.begin(), rows.end());
  std::sort(sorted.begin(), sorted.end());
  std::size_t size = 0;
  for (const BytesView row : sorted) size += 4 + row.size();
  Writer writer(size);
  for (const BytesView row : sorted) writer.lp(row);
  return hash(label::kState, {writer.view()});
}

}  // namespace chatsdk::e2ee
