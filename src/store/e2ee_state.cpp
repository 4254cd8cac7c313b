// SPDX-License-Identifier: Apache-2.0
//
// This device, users, prekeys and sender chains; sessions are in e2ee_sessions.cpp.
#include "store/e2ee_state.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "base/limits.h"
#include "store/e2ee_rows.h"

namespace chatsdk::e2ee {

namespace {

using rows::Blob;
using rows::unsigned_at;

constexpr std::size_t kUsersAtHand = 64;  // of each some kilobytes

constexpr char kSelf[] =
    "SELECT account_seed, registration_id, signing_seed, agreement_secret, next_key_id, record, replaces FROM "
    "e2ee_self";
constexpr char kPutSelf[] =
    "INSERT OR REPLACE INTO e2ee_self(id, account_seed, registration_id, signing_seed, agreement_secret, next_key_id, "
    "record, replaces) VALUES (1, ?1, ?2, ?3, ?4, ?5, ?6, ?7)";
constexpr char kNextSelf[] =
    "SELECT account_seed, registration_id, signing_seed, agreement_secret, next_key_id, record, replaces FROM "
    "e2ee_next_self";
constexpr char kPutNextSelf[] =
    "INSERT OR REPLACE INTO e2ee_next_self(id, account_seed, registration_id, signing_seed, agreement_secret, "
    "next_key_id, record, replaces) VALUES (1, ?1, ?2, ?3, ?4, ?5, ?6, ?7)";
constexpr char kDropNextSelf[] = "DELETE FROM e2ee_next_self";

constexpr char kUser[] = "SELECT account_key, verified FROM e2ee_user WHERE user = ?1";
constexpr char kReplaced[] = "SELECT account_key FROM e2ee_replaced WHERE user = ?1 ORDER BY place";
constexpr char kLists[] = "SELECT list FROM e2ee_list WHERE user = ?1";
constexpr char kRecords[] = "SELECT record FROM e2ee_record WHERE user = ?1";
constexpr char kPutUser[] =
    "INSERT INTO e2ee_user(user, account_key, verified) VALUES (?1, ?2, ?3) ON CONFLICT(user) DO UPDATE SET "
    "account_key = ?2, verified = ?3";
constexpr char kPutReplaced[] =
    "INSERT INTO e2ee_replaced(user, place, account_key) VALUES (?1, ?2, ?3) ON CONFLICT(user, place) DO UPDATE SET "
    "account_key = ?3";
constexpr char kPutList[] =
    "INSERT INTO e2ee_list(user, version, list) VALUES (?1, ?2, ?3) ON CONFLICT(user, version) DO UPDATE SET list = ?3";
constexpr char kDropList[] = "DELETE FROM e2ee_list WHERE user = ?1 AND version = ?2";
constexpr char kPutRecord[] = "INSERT INTO e2ee_record(user, hash, record) VALUES (?1, ?2, ?3)";
constexpr char kDropRecord[] = "DELETE FROM e2ee_record WHERE user = ?1 AND hash = ?2";
constexpr char kDropUser[] = "DELETE FROM e2ee_user WHERE user = ?1";

constexpr char kPrekeys[] = "SELECT kind, key_id, created, successor FROM e2ee_prekey ORDER BY key_id";
constexpr char kPrekey[] = "SELECT kind, key_id, created, successor, secret FROM e2ee_prekey WHERE key_id = ?1";
constexpr char kPutPrekey[] =
    "INSERT INTO e2ee_prekey(key_id, kind, secret, created, successor) VALUES (?1, ?2, ?3, ?4, ?5)";
constexpr char kPutSuccessor[] = "UPDATE e2ee_prekey SET successor = ?2 WHERE key_id = ?1";
constexpr char kDropPrekey[] = "DELETE FROM e2ee_prekey WHERE key_id = ?1";
constexpr char kSeenCount[] = "SELECT seen FROM e2ee_prekey WHERE key_id = ?1";
constexpr char kWasSeen[] = "SELECT 1 FROM e2ee_seen WHERE key_id = ?1 AND ephemeral = ?2";
constexpr char kNoteSeen[] = "INSERT INTO e2ee_seen(key_id, ephemeral) VALUES (?1, ?2)";
constexpr char kCountSeen[] = "UPDATE e2ee_prekey SET seen = seen + 1 WHERE key_id = ?1";

constexpr char kOwnChain[] =
    "SELECT chain_id, chain_key, next, signing_seed, roster_revision, created FROM e2ee_own_chain "
    "WHERE group_id = ?1";
constexpr char kPutOwnChain[] =
    "INSERT INTO e2ee_own_chain(group_id, chain_id, chain_key, next, signing_seed, roster_revision, created) "
    "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT(group_id) DO UPDATE SET chain_id = ?2, chain_key = ?3, "
    "next = ?4, signing_seed = ?5, roster_revision = ?6, created = ?7";
constexpr char kDropOwnChains[] = "DELETE FROM e2ee_own_chain";
constexpr char kReceivedChains[] =
    "SELECT place, chain_id, chain_key, next, signing_key FROM e2ee_received_chain "
    "WHERE group_id = ?1 AND device = ?2 AND user = ?3 ORDER BY place";
constexpr char kPutReceivedChain[] =
    "INSERT INTO e2ee_received_chain(group_id, device, user, place, chain_id, chain_key, next, signing_key) "
    "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT(group_id, device, user, place) DO UPDATE SET "
    "chain_id = ?5, chain_key = ?6, next = ?7, signing_key = ?8";
constexpr char kDropReceivedBelow[] =
    "DELETE FROM e2ee_received_chain WHERE group_id = ?1 AND device = ?2 AND user = ?3 AND place < ?4";
constexpr char kDropReceivedOf[] = "DELETE FROM e2ee_received_chain WHERE user = ?1";
constexpr char kDropReceived[] = "DELETE FROM e2ee_received_chain";

Result<PrekeySummary> read_prekey_summary(Columns& columns) {
  PrekeySummary summary;
  summary.kind = static_cast<PrekeyKind>(columns.u8(1, 4));
  summary.key_id = columns.u32();
  summary.created_ms = columns.u64();
  summary.successor_ms = columns.u64();
  CHATSDK_TRY(columns.status());
  return summary;
}

// What learn() made and kept: consecutive lists of the user under the pinned key, and exactly the records that they
// name. The signatures were verified when they were learned, and pages are authenticated.
Status check_user(const KnownUser& user) {
  if (user.lists.empty()) return corrupt_row("e2ee_list", "a user without a list");
  std::size_t named = 0;
  std::map<Hash, bool> hashes;
  for (std::size_t i = 0; i < user.lists.size(); ++i) {
    const DeviceList& list = user.lists[i];
    const bool follows =
        i == 0 || (list.version == user.lists[i - 1].version + 1 && list.previous == user.lists[i - 1].hash);
    if (list.user_id != user.user_id || list.account_key != user.account_key || !follows) {
      return corrupt_row("e2ee_list", "a list that does not follow the one before it");
    }
    for (const ListedDevice& device : list.devices) {
      const auto record = user.records.find(device.record_hash);
      if (record == user.records.end() || record->second.device_id != device.device_id) {
        return corrupt_row("e2ee_record", "a list names a record that is not there");
      }
      if (hashes.emplace(device.record_hash, true).second) ++named;
    }
  }
  if (named != user.records.size()) return corrupt_row("e2ee_record", "a record that no list names");
  return {};
}

}  // namespace

void SqlState::begin() {
  if (users_.size() > kUsersAtHand) users_.clear();
}

void SqlState::forget() {
  self_.reset();
  users_.clear();
  forget_sessions();
}

// ---- This device ---------------------------------------------------------------------------------------------------

namespace {

Result<std::optional<Self>> read_self(rows::Query query, const char* table) {
  CHATSDK_ASSIGN(const bool there, query.first());
  if (!there) return std::optional<Self>();
  Columns columns(table, query.row());
  Self self;
  self.account_seed = columns.secret<32>();
  self.keys.registration_id = columns.u32();
  self.keys.signing_seed = columns.secret<32>();
  self.keys.agreement_secret = columns.secret<32>();
  self.next_key_id = columns.u32();
  auto record = parse_device_record(columns.blob());
  self.replaces = DeviceId{columns.u64()};
  columns.require(record && record->registration_id == self.keys.registration_id &&
                      record->signing_key == signing_key_of(self.keys.signing_seed) &&
                      record->agreement_key == public_of(self.keys.agreement_secret),
                  "a record of other keys");
  CHATSDK_TRY(columns.status());
  self.record = std::move(*record);
  return std::optional(std::move(self));
}

Status write_self(rows::Query query, const Self& self) {
  return query.run(blob(self.account_seed), self.keys.registration_id, blob(self.keys.signing_seed),
                   blob(self.keys.agreement_secret), self.next_key_id, Blob{self.record.bytes}, self.replaces);
}

}  // namespace

Result<const Self*> SqlState::self() {
  if (!self_) {
    CHATSDK_ASSIGN(self_, read_self(sql_(kSelf), "e2ee_self"));
  }
  return self_ ? &*self_ : nullptr;
}

Status SqlState::put_self(Self self) {
  CHATSDK_TRY(write_self(sql_(kPutSelf), self));
  self_ = std::move(self);
  return {};
}

Result<std::optional<Self>> SqlState::next_self() { return read_self(sql_(kNextSelf), "e2ee_next_self"); }

Status SqlState::put_next_self(const Self& next) { return write_self(sql_(kPutNextSelf), next); }

Status SqlState::drop_next_self() { return sql_(kDropNextSelf).run(); }

// ---- Users ---------------------------------------------------------------------------------------------------------

Result<std::optional<KnownUser>> SqlState::load_user(const UserId& user_id) {
  KnownUser user;
  user.user_id = user_id;
  {
    rows::Query query = sql_(kUser);
    CHATSDK_ASSIGN(const bool known, query.first(user_id));
    if (!known) return std::optional<KnownUser>();
    Columns columns("e2ee_user", query.row());
    user.account_key = columns.fixed<SigningKey>();
    user.verified = columns.flag();
    CHATSDK_TRY(columns.status());
  }
  CHATSDK_TRY(for_each_row(
      sql_(kReplaced),
      [&user](const sqlite::Statement& row) {
        Columns columns("e2ee_replaced", row);
        user.replaced.push_back(columns.fixed<SigningKey>());
        return columns.status();
      },
      user_id));
  CHATSDK_TRY(load_lists(user));
  CHATSDK_TRY(check_user(user));
  return std::optional(std::move(user));
}

Status SqlState::load_lists(KnownUser& user) {
  CHATSDK_TRY(for_each_row(
      sql_(kLists),
      [&user](const sqlite::Statement& row) -> Status {
        auto list = parse_device_list(row.blob(0));
        if (!list) return corrupt_row("e2ee_list", "bytes that are no list");
        user.lists.push_back(std::move(*list));
        return {};
      },
      user.user_id));
  std::sort(user.lists.begin(), user.lists.end(),
            [](const DeviceList& a, const DeviceList& b) { return a.version < b.version; });
  return for_each_row(
      sql_(kRecords),
      [&user](const sqlite::Statement& row) -> Status {
        auto record = parse_device_record(row.blob(0));
        if (!record || record->user_id != user.user_id) return corrupt_row("e2ee_record", "bytes that are no record");
        const Hash hash = record->hash;
        user.records.emplace(hash, std::move(*record));
        return {};
      },
      user.user_id);
}

Result<const KnownUser*> SqlState::user(const UserId& user_id) {
  const auto at = users_.find(user_id);
  if (at != users_.end()) return &at->second;
  CHATSDK_ASSIGN(auto user, load_user(user_id));
  if (!user) return nullptr;
  return &users_.emplace(user_id, std::move(*user)).first->second;
}

Status SqlState::write_lists(const KnownUser* before, const KnownUser& user) {
  if (before != nullptr) {
    for (const DeviceList& list : before->lists) {
      const bool stays = user.list(list.version) != nullptr;
      if (!stays) CHATSDK_TRY(sql_(kDropList).run(user.user_id, list.version));
    }
    for (const auto& [hash, record] : before->records) {
      if (!user.records.contains(hash)) CHATSDK_TRY(sql_(kDropRecord).run(user.user_id, blob(hash)));
    }
  }
  for (const DeviceList& list : user.lists) {
    const DeviceList* known = before == nullptr ? nullptr : before->list(list.version);
    if (known != nullptr && *known == list) continue;
    CHATSDK_TRY(sql_(kPutList).run(user.user_id, list.version, Blob{list.bytes}));
  }
  for (const auto& [hash, record] : user.records) {
    if (before != nullptr && before->records.contains(hash)) continue;
    CHATSDK_TRY(sql_(kPutRecord).run(user.user_id, blob(hash), Blob{record.bytes}));
  }
  return {};
}

Status SqlState::put_user(KnownUser user) {
  CHATSDK_ASSIGN(const KnownUser* before, this->user(user.user_id));
  CHATSDK_TRY(sql_(kPutUser).run(user.user_id, blob(user.account_key), user.verified));
  for (std::size_t i = 0; i < user.replaced.size(); ++i) {
    if (before != nullptr && i < before->replaced.size() && before->replaced[i] == user.replaced[i]) continue;
    CHATSDK_TRY(sql_(kPutReplaced).run(user.user_id, i, blob(user.replaced[i])));
  }
  CHATSDK_TRY(write_lists(before, user));
  const UserId user_id = user.user_id;
  users_.insert_or_assign(user_id, std::move(user));
  return {};
}

Status SqlState::drop_user(const UserId& user_id) {
  users_.erase(user_id);
  return sql_(kDropUser).run(user_id);
}

// ---- Own prekeys ---------------------------------------------------------------------------------------------------

Result<std::vector<PrekeySummary>> SqlState::prekeys() {
  std::vector<PrekeySummary> summaries;
  CHATSDK_TRY(for_each_row(sql_(kPrekeys), [&summaries](const sqlite::Statement& row) -> Status {
    Columns columns("e2ee_prekey", row);
    CHATSDK_ASSIGN(summaries.emplace_back(), read_prekey_summary(columns));
    return {};
  }));
  return summaries;
}

Result<std::optional<OwnPrekey>> SqlState::prekey(std::uint32_t key_id) {
  rows::Query query = sql_(kPrekey);
  CHATSDK_ASSIGN(const bool kept, query.first(key_id));
  if (!kept) return std::optional<OwnPrekey>();
  Columns columns("e2ee_prekey", query.row());
  CHATSDK_ASSIGN(const PrekeySummary summary, read_prekey_summary(columns));
  OwnPrekey prekey{summary.kind, summary.key_id, {}, summary.created_ms, summary.successor_ms};
  if (is_kem(summary.kind)) {
    prekey.secret = columns.secret<64>();
  } else {
    prekey.secret = columns.secret<32>();
  }
  CHATSDK_TRY(columns.status());
  return std::optional(std::move(prekey));
}

Status SqlState::put_prekey(OwnPrekey prekey) {
  const Blob secret = std::visit([](const auto& bytes) { return blob(bytes); }, prekey.secret);
  return sql_(kPutPrekey).run(prekey.key_id, prekey.kind, secret, prekey.created_ms, prekey.successor_ms);
}

Status SqlState::put_successor(std::uint32_t key_id, std::uint64_t successor_ms) {
  return sql_(kPutSuccessor).run(key_id, successor_ms);
}

Status SqlState::drop_prekey(std::uint32_t key_id) { return sql_(kDropPrekey).run(key_id); }

Result<SeenNotes> SqlState::seen(std::uint32_t key_id, const AgreementKey& ephemeral) {
  SeenNotes notes;
  {
    rows::Query query = sql_(kSeenCount);
    CHATSDK_ASSIGN(const bool kept, query.first(key_id));
    if (!kept) return notes;
    notes.count = static_cast<std::size_t>(unsigned_at(query.row(), 0));
  }
  rows::Query query = sql_(kWasSeen);
  CHATSDK_ASSIGN(notes.was_seen, query.first(key_id, blob(ephemeral)));
  return notes;
}

Status SqlState::note_seen(std::uint32_t key_id, const AgreementKey& ephemeral) {
  CHATSDK_TRY(sql_(kNoteSeen).run(key_id, blob(ephemeral)));
  return sql_(kCountSeen).run(key_id);
}

// ---- Sender chains -------------------------------------------------------------------------------------------------

Result<std::optional<OwnChain>> SqlState::own_chain(const GroupId& group) {
  rows::Query query = sql_(kOwnChain);
  CHATSDK_ASSIGN(const bool kept, query.first(blob(group)));
  if (!kept) return std::optional<OwnChain>();
  Columns columns("e2ee_own_chain", query.row());
  OwnChain chain;
  chain.group = group;
  chain.chain_id = columns.fixed<ChainId>();
  chain.chain_key = columns.secret<32>();
  chain.next = columns.u32();
  SigningSeed seed = columns.secret<32>();
  chain.roster_revision = columns.u64();
  chain.created_ms = columns.u64();
  CHATSDK_TRY(columns.status());
  chain.signing = SigningPair(std::move(seed));
  return std::optional(std::move(chain));
}

Status SqlState::put_own_chain(OwnChain chain) {
  return sql_(kPutOwnChain)
      .run(blob(chain.group), blob(chain.chain_id), blob(chain.chain_key), chain.next, blob(chain.signing.seed()),
           chain.roster_revision, chain.created_ms);
}

Status SqlState::drop_own_chains() { return sql_(kDropOwnChains).run(); }

Result<std::vector<ReceivedChain>> SqlState::received_chains(const GroupId& group, const Peer& sender) {
  std::vector<ReceivedChain> chains;
  CHATSDK_TRY(for_each_row(
      sql_(kReceivedChains),
      [&](const sqlite::Statement& row) {
        Columns columns("e2ee_received_chain", row);
        ReceivedChain& chain = chains.emplace_back();
        chain.group = group;
        chain.sender = sender;
        chain.order = columns.u32();
        chain.chain_id = columns.fixed<ChainId>();
        chain.chain_key = columns.secret<32>();
        chain.next = columns.u32();
        chain.signing_key = columns.fixed<SigningKey>();
        return columns.status();
      },
      blob(group), sender.device_id, sender.user_id));
  return chains;
}

Status SqlState::put_received_chain(ReceivedChain chain) {
  return sql_(kPutReceivedChain)
      .run(blob(chain.group), chain.sender.device_id, chain.sender.user_id, chain.order, blob(chain.chain_id),
           blob(chain.chain_key), chain.next, blob(chain.signing_key));
}

Status SqlState::drop_received_chains_below(const GroupId& group, const Peer& sender, std::uint32_t order) {
  return sql_(kDropReceivedBelow).run(blob(group), sender.device_id, sender.user_id, order);
}

Status SqlState::drop_received_chains(const UserId& sender) { return sql_(kDropReceivedOf).run(sender); }

Status SqlState::drop_all_received_chains() { return sql_(kDropReceived).run(); }

}  // namespace chatsdk::e2ee
