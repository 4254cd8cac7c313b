// SPDX-License-Identifier: Apache-2.0
#include "server-reference/store/key_reader.h"

#include <algorithm>

#include "base/limits.h"
#include "server-reference/store/reading.h"
#include "server-reference/store/stream_writer.h"

namespace chatsdk::server {

Status KeyReader::prepare() {
  CHATSDK_ASSIGN(select_newest_, db_.prepare("SELECT max(version) FROM device_list WHERE user_id = ?1"));
  CHATSDK_ASSIGN(select_list_hash_,
                 db_.prepare("SELECT list_hash FROM device_list WHERE user_id = ?1 AND version = ?2"));
  CHATSDK_ASSIGN(select_lists_, db_.prepare("SELECT list FROM device_list WHERE user_id = ?1 AND version > ?2 AND "
                                            "version <= ?3 ORDER BY version"));
  CHATSDK_ASSIGN(select_records_,
                 db_.prepare("SELECT record FROM device_record WHERE user_id = ?1 AND record_hash IN (SELECT "
                             "record_hash FROM list_entry WHERE user_id = ?1 AND version > ?2 AND version <= ?3) "
                             "ORDER BY device_id, record_hash"));
  CHATSDK_ASSIGN(select_entries_,
                 db_.prepare("SELECT e.device_id, e.record_hash, r.record FROM list_entry e JOIN device_record r ON "
                             "r.user_id = e.user_id AND r.record_hash = e.record_hash "
                             "WHERE e.user_id = ?1 AND e.version = ?2 ORDER BY e.device_id"));
  CHATSDK_ASSIGN(select_keys_,
                 db_.prepare("SELECT k.record_hash, r.record, k.one_time_left, k.one_time_kem_left, k.signed_id, "
                             "k.last_resort_id, k.signed_ms, k.signed_prekey, k.last_resort FROM device_keys k JOIN "
                             "device_record r ON r.user_id = k.user_id AND r.record_hash = k.record_hash "
                             "WHERE k.device_id = ?1"));
  CHATSDK_ASSIGN(select_counts_,
                 db_.prepare("SELECT one_time_left, one_time_kem_left FROM device_keys WHERE device_id = ?1"));
  CHATSDK_ASSIGN(select_link_message_,
                 db_.prepare("SELECT message FROM link_message WHERE user_id = ?1 AND link_id = ?2 AND step = ?3 AND "
                             "opened_ms > ?4"));
  return {};
}

Result<std::uint64_t> KeyReader::newest_version(const UserId& user_id) {
  const Reading reading(select_newest_);
  CHATSDK_TRY(select_newest_.bind_text(1, user_id).step_row());
  return from_column(select_newest_.integer(0));  // NULL reads as 0
}

Result<NewestList> KeyReader::newest_list(const UserId& user_id) {
  CHATSDK_ASSIGN(const auto snapshot, sqlite::Transaction::begin(db_, sqlite::Transaction::Kind::kRead));
  NewestList newest;
  CHATSDK_ASSIGN(newest.version, newest_version(user_id));
  const Reading reading(select_entries_);
  select_entries_.bind_text(1, user_id).bind(2, to_column(newest.version));
  for (;;) {
    CHATSDK_ASSIGN(const bool row, select_entries_.step());
    if (!row) return newest;
    newest.devices.push_back({DeviceId{from_column(select_entries_.integer(0))}, Bytes(select_entries_.blob(1)),
                              Bytes(select_entries_.blob(2))});
  }
}

Result<std::uint64_t> KeyReader::page_start(const UserId& user_id, const KnownList& known, std::uint64_t newest,
                                            std::size_t max) {
  const Reading reading(select_list_hash_);
  CHATSDK_ASSIGN(const bool found, select_list_hash_.bind_text(1, user_id).bind(2, to_column(known.version)).step());
  if (found && select_list_hash_.blob(0) == known.hash) return known.version;
  return newest > max ? newest - max : 0;
}

Result<ListPage> KeyReader::device_lists(const UserId& user_id, const KnownList& known, std::size_t max) {
  CHATSDK_ASSIGN(const auto snapshot, sqlite::Transaction::begin(db_, sqlite::Transaction::Kind::kRead));
  ListPage page;
  CHATSDK_ASSIGN(page.newest, newest_version(user_id));
  CHATSDK_ASSIGN(const std::uint64_t after, page_start(user_id, known, page.newest, max));
  const std::uint64_t last = std::min<std::uint64_t>(after + max, page.newest);
  const auto read_into = [&](sqlite::Statement& select, std::vector<Bytes>& out) -> Status {
    const Reading reading(select);
    select.bind_text(1, user_id).bind(2, to_column(after)).bind(3, to_column(last));
    for (;;) {
      CHATSDK_ASSIGN(const bool row, select.step());
      if (!row) return {};
      out.emplace_back(select.blob(0));
    }
  };
  CHATSDK_TRY(read_into(select_lists_, page.lists));
  CHATSDK_TRY(read_into(select_records_, page.records));
  return page;
}

Result<std::optional<DeviceKeys>> KeyReader::device_keys(DeviceId device_id) {
  const Reading reading(select_keys_);
  CHATSDK_ASSIGN(const bool found, select_keys_.bind(1, to_column(device_id.value)).step());
  if (!found) return std::optional<DeviceKeys>();
  const auto number = [this](int column) { return static_cast<std::uint32_t>(select_keys_.integer(column)); };
  DeviceKeys keys;
  keys.record_hash = select_keys_.blob(0);
  keys.record = select_keys_.blob(1);
  keys.counts = {number(2), number(3)};
  keys.signed_at = from_unix_ms(select_keys_.integer(6));
  keys.signed_prekey = {number(4), Bytes(select_keys_.blob(7))};
  keys.last_resort = {number(5), Bytes(select_keys_.blob(8))};
  return std::optional(std::move(keys));
}

Result<std::optional<KeyCounts>> KeyReader::key_counts(DeviceId device_id) {
  const Reading reading(select_counts_);
  CHATSDK_ASSIGN(const bool found, select_counts_.bind(1, to_column(device_id.value)).step());
  if (!found) return std::optional<KeyCounts>();
  return std::optional(KeyCounts{static_cast<std::uint32_t>(select_counts_.integer(0)),
                                 static_cast<std::uint32_t>(select_counts_.integer(1))});
}

Result<std::optional<Bytes>> KeyReader::link_message(const UserId& user_id, BytesView link_id, LinkStep step,
                                                     WallTime now) {
  const Reading reading(select_link_message_);
  CHATSDK_ASSIGN(const bool found, select_link_message_.bind_text(1, user_id)
                                       .bind_blob(2, link_id)
                                       .bind(3, static_cast<std::int64_t>(step))
                                       .bind(4, to_unix_ms(now - limits::e2ee::kLinkValid))
                                       .step());
  if (!found) return std::optional<Bytes>();
  return std::optional(Bytes(select_link_message_.blob(0)));
}

}  // namespace chatsdk::server
