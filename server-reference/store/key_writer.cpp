// SPDX-License-Identifier: Apache-2.0
#include "server-reference/store/key_writer.h"

#include <algorithm>
#include <string>
#include <utility>

#include "base/limits.h"

namespace chatsdk::server {

namespace {

Error list_conflict(std::string detail) { return error(Code::kConflict, std::move(detail)); }

bool names(const std::vector<ListedDevice>& devices, DeviceId device) {
  return std::any_of(devices.begin(), devices.end(),
                     [device](const ListedDevice& listed) { return listed.device_id == device; });
}

bool names_as_is(const std::vector<ListedDevice>& devices, const ListedDevice& entry) {
  return std::any_of(devices.begin(), devices.end(), [&entry](const ListedDevice& listed) {
    return listed.device_id == entry.device_id && listed.record_hash == entry.record_hash;
  });
}

// What speaks against a signed or last-resort prekey beside the stored one.
std::optional<Error> refusal_of_successor(const PrekeyRow& next, const PrekeyRow& stored, const char* what) {
  if (next.key_id == 0 || next.key_id > stored.key_id) return std::nullopt;
  if (next.key_id == stored.key_id && next.prekey == stored.prekey) return std::nullopt;
  return error(Code::kConflict, std::string(what) + " with key_id " + std::to_string(next.key_id) +
                                    ", the server holds " + std::to_string(stored.key_id));
}

}  // namespace

Status KeyWriter::prepare() {
  CHATSDK_ASSIGN(select_account_stream_, db_.prepare("SELECT account_stream FROM account WHERE user_id = ?1"));
  CHATSDK_ASSIGN(select_account_key_, db_.prepare("SELECT generation, account_key FROM account_key WHERE user_id = ?1 "
                                                  "ORDER BY generation DESC LIMIT 1"));
  CHATSDK_ASSIGN(select_replaced_,
                 db_.prepare("SELECT count(*) FROM account_key WHERE user_id = ?1 AND account_key = ?2"));
  CHATSDK_ASSIGN(insert_account_key_,
                 db_.prepare("INSERT INTO account_key(user_id, generation, account_key) VALUES (?1, ?2, ?3)"));
  CHATSDK_ASSIGN(delete_replaced_, db_.prepare("DELETE FROM account_key WHERE user_id = ?1 AND generation <= ?2 - ?3"));
  CHATSDK_ASSIGN(select_newest_, db_.prepare("SELECT version, list_hash FROM device_list WHERE user_id = ?1 "
                                             "ORDER BY version DESC LIMIT 1"));
  CHATSDK_ASSIGN(select_list_hash_,
                 db_.prepare("SELECT list_hash FROM device_list WHERE user_id = ?1 AND version = ?2"));
  CHATSDK_ASSIGN(select_entries_, db_.prepare("SELECT device_id, record_hash FROM list_entry WHERE user_id = ?1 AND "
                                              "version = ?2 ORDER BY device_id"));
  CHATSDK_ASSIGN(select_record_,
                 db_.prepare("SELECT record FROM device_record WHERE user_id = ?1 AND record_hash = ?2"));
  CHATSDK_ASSIGN(insert_list_,
                 db_.prepare("INSERT INTO device_list(user_id, version, list_hash, list) VALUES (?1, ?2, ?3, ?4)"));
  CHATSDK_ASSIGN(insert_entry_, db_.prepare("INSERT INTO list_entry(user_id, version, device_id, record_hash) "
                                            "VALUES (?1, ?2, ?3, ?4)"));
  CHATSDK_ASSIGN(insert_record_, db_.prepare("INSERT OR IGNORE INTO device_record(user_id, record_hash, device_id, "
                                             "record) VALUES (?1, ?2, ?3, ?4)"));
  CHATSDK_ASSIGN(delete_lists_, db_.prepare("DELETE FROM device_list WHERE user_id = ?1"));
  CHATSDK_ASSIGN(delete_entries_, db_.prepare("DELETE FROM list_entry WHERE user_id = ?1"));
  CHATSDK_ASSIGN(delete_records_, db_.prepare("DELETE FROM device_record WHERE user_id = ?1"));
  CHATSDK_ASSIGN(select_device_, db_.prepare("SELECT 1 FROM device WHERE device_id = ?1 AND user_id = ?2"));
  CHATSDK_ASSIGN(delete_session_, db_.prepare("DELETE FROM session WHERE device_id = ?1"));
  CHATSDK_ASSIGN(select_keys_,
                 db_.prepare("SELECT user_id, record_hash, one_time_left, one_time_highest, one_time_kem_left, "
                             "one_time_kem_highest, signed_id, last_resort_id, signed_ms, signed_prekey, last_resort "
                             "FROM device_keys WHERE device_id = ?1"));
  CHATSDK_ASSIGN(insert_keys_,
                 db_.prepare("INSERT INTO device_keys(device_id, user_id, record_hash, one_time_left, "
                             "one_time_highest, one_time_kem_left, one_time_kem_highest, signed_id, last_resort_id, "
                             "signed_ms, signed_prekey, last_resort) "
                             "VALUES (?1, ?2, ?3, 0, 0, 0, 0, 0, 0, 0, x'', x'')"));
  CHATSDK_ASSIGN(update_keys_,
                 db_.prepare("UPDATE device_keys SET one_time_left = ?2, one_time_highest = ?3, one_time_kem_left = "
                             "?4, one_time_kem_highest = ?5, signed_id = ?6, last_resort_id = ?7, signed_ms = ?8, "
                             "signed_prekey = ?9, last_resort = ?10 WHERE device_id = ?1"));
  CHATSDK_ASSIGN(update_counts_, db_.prepare("UPDATE device_keys SET one_time_left = ?2, one_time_kem_left = ?3 "
                                             "WHERE device_id = ?1"));
  CHATSDK_ASSIGN(delete_keys_, db_.prepare("DELETE FROM device_keys WHERE device_id = ?1"));
  CHATSDK_ASSIGN(select_one_time_, db_.prepare("SELECT prekey FROM one_time_prekey WHERE device_id = ?1 AND kind = ?2 "
                                               "AND key_id = ?3"));
  CHATSDK_ASSIGN(count_below_, db_.prepare("SELECT count(*) FROM one_time_prekey WHERE device_id = ?1 AND kind = ?2 "
                                           "AND key_id < ?3"));
  CHATSDK_ASSIGN(select_lowest_, db_.prepare("SELECT row_id, prekey FROM one_time_prekey WHERE device_id = ?1 AND "
                                             "kind = ?2 ORDER BY key_id LIMIT 1"));
  CHATSDK_ASSIGN(insert_one_time_, db_.prepare("INSERT INTO one_time_prekey(device_id, kind, key_id, prekey) "
                                               "VALUES (?1, ?2, ?3, ?4)"));
  CHATSDK_ASSIGN(delete_one_time_, db_.prepare("DELETE FROM one_time_prekey WHERE row_id = ?1"));
  CHATSDK_ASSIGN(delete_below_, db_.prepare("DELETE FROM one_time_prekey WHERE device_id = ?1 AND key_id < ?2"));
  CHATSDK_ASSIGN(delete_one_time_of_, db_.prepare("DELETE FROM one_time_prekey WHERE device_id = ?1"));
  return {};
}

// ---- Lists ---------------------------------------------------------------------------------------------------------

Status KeyWriter::apply(const PublishLists& op, Result<WriteAnswer>& answer) {
  CHATSDK_ASSIGN(const bool known, select_account_stream_.bind_text(1, op.user_id).step());
  const StreamId account_stream{known ? from_column(select_account_stream_.integer(0)) : 0};
  select_account_stream_.reset();
  if (!known) {
    answer = error(Code::kNotFound, "no such user");
    return {};
  }
  CHATSDK_ASSIGN(const Standing standing, standing_of(op.user_id));
  Refusal refusal;
  CHATSDK_ASSIGN(const std::size_t stored, count_stored(op, standing, refusal));
  if (!refusal && stored == op.lists.size()) {
    answer = WriteAnswer(ListsPublished{.repeated = true});
    return {};
  }
  if (!refusal) {
    CHATSDK_ASSIGN(refusal, refusal_of_lists(op, standing, stored));
  }
  if (refusal) {
    answer = *std::move(refusal);
    return {};
  }
  ListsPublished published;
  CHATSDK_TRY(write_lists(op, standing, stored));
  CHATSDK_TRY(replace_devices(op, standing, published));
  CHATSDK_TRY(streams_.append_devices_changed(account_stream, op.now));
  CHATSDK_ASSIGN(published.rosters_due, rosters_.list_changed(op.user_id));
  answer = WriteAnswer(std::move(published));
  return {};
}

Result<KeyWriter::Standing> KeyWriter::standing_of(const UserId& user_id) {
  Standing standing;
  CHATSDK_ASSIGN(const bool found, select_account_key_.bind_text(1, user_id).step());
  if (!found) return standing;
  standing.generation = from_column(select_account_key_.integer(0));
  standing.account_key = select_account_key_.blob(1);
  select_account_key_.reset();
  CHATSDK_TRY(select_newest_.bind_text(1, user_id).step_row());
  standing.version = from_column(select_newest_.integer(0));
  standing.hash = select_newest_.blob(1);
  select_newest_.reset();
  select_entries_.bind_text(1, user_id).bind(2, to_column(standing.version));
  for (;;) {
    CHATSDK_ASSIGN(const bool row, select_entries_.step());
    if (!row) return standing;
    standing.devices.push_back({DeviceId{from_column(select_entries_.integer(0))}, Bytes(select_entries_.blob(1))});
  }
}

Result<std::size_t> KeyWriter::count_stored(const PublishLists& op, const Standing& standing, Refusal& refusal) {
  std::size_t stored = 0;
  if (op.account_key != standing.account_key) return stored;
  for (const ListVersion& list : op.lists) {
    if (list.version > standing.version) break;
    CHATSDK_ASSIGN(const bool found,
                   select_list_hash_.bind_text(1, op.user_id).bind(2, to_column(list.version)).step());
    const bool same = found && select_list_hash_.blob(0) == list.hash;
    select_list_hash_.reset();
    if (!same) {
      refusal = list_conflict("another list has version " + std::to_string(list.version) + ", the newest is " +
                              std::to_string(standing.version));
      return stored;
    }
    ++stored;
  }
  return stored;
}

Result<KeyWriter::Refusal> KeyWriter::refusal_of_lists(const PublishLists& op, const Standing& standing,
                                                       std::size_t stored) {
  const bool same_key = op.account_key == standing.account_key;
  if (!same_key) {
    CHATSDK_ASSIGN(auto refusal, refusal_of_key(op, standing));
    if (refusal) return refusal;
  }
  const bool begins = !same_key && op.replaces_account_key;
  if (auto refusal = begins ? refusal_of_beginning(op, standing) : refusal_of_next(op.lists[stored], standing)) {
    return refusal;
  }
  if (!names(standing.devices, op.uploader) && !names(op.lists.back().devices, op.uploader)) {
    return Refusal(error(Code::kForbidden, "the uploading device is neither in the old list nor in the new one"));
  }
  CHATSDK_ASSIGN(Refusal unread, refusal_of_new_record(op, standing));
  if (unread) return unread;
  return refusal_of_entries(op, standing, stored);
}

// With the new record go the slices for the one before, which its device could read until then.
Result<KeyWriter::Refusal> KeyWriter::refusal_of_new_record(const PublishLists& op, const Standing& standing) {
  const std::vector<ListedDevice>& devices = op.lists.back().devices;
  const auto before = std::find_if(standing.devices.begin(), standing.devices.end(),
                                   [&op](const ListedDevice& listed) { return listed.device_id == op.uploader; });
  const bool changes =
      before != standing.devices.end() && names(devices, op.uploader) && !names_as_is(devices, *before);
  if (!changes) return Refusal();
  CHATSDK_ASSIGN(const bool waiting, slices_.any_for(op.user_id, op.uploader));
  if (!waiting) return Refusal();
  return Refusal(Error{Code::kUnavailable, "messages wait for the uploading device under its record of before",
                       limits::kRetryBusy});
}

KeyWriter::Refusal KeyWriter::refusal_of_next(const ListVersion& next, const Standing& standing) {
  if (next.version != standing.version + 1) {
    return list_conflict("list of version " + std::to_string(next.version) + ", " +
                         std::to_string(standing.version + 1) + " comes next");
  }
  if (standing.version != 0 && next.previous != standing.hash) {
    return list_conflict("the list does not follow version " + std::to_string(standing.version));
  }
  return std::nullopt;
}

// A store that went back may lack versions that the new key's lists follow, or have others in their place, made by a
// device that knew no better. Nobody asks for them any more; but versions do not go back. Nor do they run ahead:
// whoever knows the newest would take these for made up.
KeyWriter::Refusal KeyWriter::refusal_of_beginning(const PublishLists& op, const Standing& standing) {
  const std::uint64_t last = op.lists.back().version;
  const std::string what = "lists of another account key up to version " + std::to_string(last) + ", ";
  const std::string newest = "the newest is " + std::to_string(standing.version);
  if (last <= standing.version) return list_conflict(what + newest);
  if (last - standing.version <= limits::e2ee::kListVersionsAhead) return std::nullopt;
  return list_conflict(what + "more than " + std::to_string(limits::e2ee::kListVersionsAhead) +
                       " above what is here: " + newest);
}

Result<KeyWriter::Refusal> KeyWriter::refusal_of_key(const PublishLists& op, const Standing& standing) {
  if (standing.generation != 0 && !op.replaces_account_key) {
    return Refusal(list_conflict("another account key, without replaces_account_key"));
  }
  CHATSDK_TRY(select_replaced_.bind_text(1, op.user_id).bind_blob(2, op.account_key).step_row());
  const bool replaced = select_replaced_.integer(0) != 0;
  select_replaced_.reset();
  return replaced ? Refusal(list_conflict("this account key was replaced")) : Refusal();
}

Result<KeyWriter::Refusal> KeyWriter::refusal_of_entries(const PublishLists& op, const Standing& standing,
                                                         std::size_t stored) {
  for (std::size_t i = stored; i < op.lists.size(); ++i) {
    for (const ListedDevice& entry : op.lists[i].devices) {
      CHATSDK_ASSIGN(const bool has, has_record(op, entry.record_hash));
      if (!has)
        return Refusal(list_conflict("the record of device " + std::to_string(entry.device_id.value) + " is not here"));
    }
  }
  // A device that was listed before and has been forgotten since may stay until somebody takes it out.
  for (const ListedDevice& entry : op.lists.back().devices) {
    if (names_as_is(standing.devices, entry)) continue;
    CHATSDK_ASSIGN(const bool own, is_device_of(entry.device_id, op.user_id));
    if (!own) {
      return Refusal(error(Code::kInvalidArgument,
                           "device " + std::to_string(entry.device_id.value) + " is no device of this user"));
    }
  }
  return Refusal();
}

Result<bool> KeyWriter::has_record(const PublishLists& op, const Bytes& hash) {
  const bool comes = std::any_of(op.records.begin(), op.records.end(),
                                 [&hash](const DeviceRecordRow& record) { return record.hash == hash; });
  if (comes) return true;
  CHATSDK_ASSIGN(const bool found, select_record_.bind_text(1, op.user_id).bind_blob(2, hash).step());
  select_record_.reset();
  return found;
}

Result<bool> KeyWriter::is_device_of(DeviceId device, const UserId& user_id) {
  CHATSDK_ASSIGN(const bool found, select_device_.bind(1, to_column(device.value)).bind_text(2, user_id).step());
  select_device_.reset();
  return found;
}

Status KeyWriter::write_lists(const PublishLists& op, const Standing& standing, std::size_t stored) {
  if (op.account_key != standing.account_key) {
    // The lists of a replaced key are of use to nobody: whoever learns the new key forgets them.
    CHATSDK_TRY(delete_lists_.bind_text(1, op.user_id).run());
    CHATSDK_TRY(delete_entries_.bind_text(1, op.user_id).run());
    CHATSDK_TRY(delete_records_.bind_text(1, op.user_id).run());
    CHATSDK_TRY(insert_account_key_.bind_text(1, op.user_id)
                    .bind(2, to_column(standing.generation + 1))
                    .bind_blob(3, op.account_key)
                    .run());
    CHATSDK_TRY(delete_replaced_.bind_text(1, op.user_id)
                    .bind(2, to_column(standing.generation))
                    .bind(3, to_column(std::uint64_t{limits::e2ee::kReplacedMax}))
                    .run());
    // What rosters have of the key before says nothing of this one.
    const std::uint64_t before = op.lists.front().version - 1;
    if (before < standing.version) CHATSDK_TRY(streams_.lower_rosters(op.user_id, before));
  }
  for (const DeviceRecordRow& record : op.records) {
    CHATSDK_TRY(insert_record_.bind_text(1, op.user_id)
                    .bind_blob(2, record.hash)
                    .bind(3, to_column(record.device_id.value))
                    .bind_blob(4, record.record)
                    .run());
  }
  for (std::size_t i = stored; i < op.lists.size(); ++i) {
    const ListVersion& list = op.lists[i];
    CHATSDK_TRY(insert_list_.bind_text(1, op.user_id)
                    .bind(2, to_column(list.version))
                    .bind_blob(3, list.hash)
                    .bind_blob(4, list.list)
                    .run());
    for (const ListedDevice& entry : list.devices) {
      CHATSDK_TRY(insert_entry_.bind_text(1, op.user_id)
                      .bind(2, to_column(list.version))
                      .bind(3, to_column(entry.device_id.value))
                      .bind_blob(4, entry.record_hash)
                      .run());
    }
  }
  return {};
}

Status KeyWriter::replace_devices(const PublishLists& op, const Standing& standing, ListsPublished& published) {
  const std::vector<ListedDevice>& devices = op.lists.back().devices;
  for (const ListedDevice& before : standing.devices) {
    if (names_as_is(devices, before)) continue;
    CHATSDK_TRY(forget(op.user_id, before.device_id));
    if (names(devices, before.device_id)) continue;
    CHATSDK_ASSIGN(const bool own, is_device_of(before.device_id, op.user_id));
    if (!own) continue;
    sessions_.forget(before.device_id);
    CHATSDK_TRY(delete_session_.bind(1, to_column(before.device_id.value)).run());
    published.ended.push_back(before.device_id);
  }
  for (const ListedDevice& entry : devices) {
    if (names_as_is(standing.devices, entry)) continue;
    CHATSDK_TRY(insert_keys_.bind(1, to_column(entry.device_id.value))
                    .bind_text(2, op.user_id)
                    .bind_blob(3, entry.record_hash)
                    .run());
  }
  return {};
}

Status KeyWriter::forget(const UserId& user_id, DeviceId device) {
  CHATSDK_TRY(slices_.forget(user_id, device));
  CHATSDK_TRY(links_.forget(user_id, device));
  CHATSDK_TRY(delete_one_time_of_.bind(1, to_column(device.value)).run());
  return delete_keys_.bind(1, to_column(device.value)).run();
}

Status forget_one_time_prekeys(sqlite::Database& db) {
  return db.execute("DELETE FROM one_time_prekey; UPDATE device_keys SET one_time_left = 0, one_time_kem_left = 0");
}

// ---- Prekeys -------------------------------------------------------------------------------------------------------

Status KeyWriter::apply(const UploadPrekeys& op, Result<WriteAnswer>& answer) {
  CHATSDK_ASSIGN(auto row, keys_of(op.device_id));
  if (!row || row->user_id != op.user_id) {
    answer = error(Code::kForbidden, "the device is not in its user's device list");
    return {};
  }
  if (row->record_hash != op.record_hash) {
    answer = error(Code::kConflict, "the device's record has changed");
    return {};
  }
  Refusal refusal = refusal_of_successor(op.signed_prekey, row->signed_prekey, "signed prekey");
  if (!refusal) refusal = refusal_of_successor(op.last_resort, row->last_resort, "last-resort prekey");
  CHATSDK_ASSIGN(const Refill one_time, refill_of(op, OneTimeKind::kAgreement, *row, refusal));
  CHATSDK_ASSIGN(const Refill kem, refill_of(op, OneTimeKind::kKem, *row, refusal));
  if (refusal) {
    answer = *std::move(refusal);
    return {};
  }
  const bool rotated = op.signed_prekey.key_id > row->signed_prekey.key_id;
  const bool last_resort_rotated = op.last_resort.key_id > row->last_resort.key_id;
  const KeyCounts left{one_time.left, kem.left};
  if (rotated || last_resort_rotated || left != row->left || !one_time.added.empty() || !kem.added.empty()) {
    if (op.drop_below != 0) {
      CHATSDK_TRY(delete_below_.bind(1, to_column(op.device_id.value)).bind(2, op.drop_below).run());
    }
    CHATSDK_TRY(add_one_time(op.device_id, OneTimeKind::kAgreement, one_time.added));
    CHATSDK_TRY(add_one_time(op.device_id, OneTimeKind::kKem, kem.added));
    const PrekeyRow& signed_prekey = rotated ? op.signed_prekey : row->signed_prekey;
    const PrekeyRow& last_resort = last_resort_rotated ? op.last_resort : row->last_resort;
    CHATSDK_TRY(update_keys_.bind(1, to_column(op.device_id.value))
                    .bind(2, left.one_time)
                    .bind(3, one_time.highest)
                    .bind(4, left.one_time_kem)
                    .bind(5, kem.highest)
                    .bind(6, signed_prekey.key_id)
                    .bind(7, last_resort.key_id)
                    .bind(8, rotated ? to_unix_ms(op.now) : row->signed_ms)
                    .bind_blob(9, signed_prekey.prekey)
                    .bind_blob(10, last_resort.prekey)
                    .run());
  }
  answer = WriteAnswer(left);
  return {};
}

Result<std::optional<KeyWriter::KeysRow>> KeyWriter::keys_of(DeviceId device) {
  CHATSDK_ASSIGN(const bool found, select_keys_.bind(1, to_column(device.value)).step());
  if (!found) return std::optional<KeysRow>();
  const auto number = [this](int column) { return static_cast<std::uint32_t>(select_keys_.integer(column)); };
  KeysRow row;
  row.user_id = select_keys_.text(0);
  row.record_hash = select_keys_.blob(1);
  row.left = {number(2), number(4)};
  row.one_time_highest = number(3);
  row.one_time_kem_highest = number(5);
  row.signed_ms = select_keys_.integer(8);
  row.signed_prekey = {number(6), Bytes(select_keys_.blob(9))};
  row.last_resort = {number(7), Bytes(select_keys_.blob(10))};
  select_keys_.reset();
  return std::optional(std::move(row));
}

Result<KeyWriter::Refill> KeyWriter::refill_of(const UploadPrekeys& op, OneTimeKind kind, const KeysRow& row,
                                               Refusal& refusal) {
  const bool kem = kind == OneTimeKind::kKem;
  const std::int64_t device = to_column(op.device_id.value);
  const auto column = static_cast<std::int64_t>(kind);
  const std::uint32_t highest = kem ? row.one_time_kem_highest : row.one_time_highest;
  Refill refill{{}, kem ? row.left.one_time_kem : row.left.one_time, highest};
  if (refusal) return refill;
  for (const PrekeyRow& prekey : kem ? op.one_time_kem : op.one_time) {
    if (prekey.key_id > highest) {
      refill.added.push_back(&prekey);
      refill.highest = std::max(refill.highest, prekey.key_id);
      continue;
    }
    CHATSDK_ASSIGN(const bool found, select_one_time_.bind(1, device).bind(2, column).bind(3, prekey.key_id).step());
    const bool differs = found && select_one_time_.blob(0) != prekey.prekey;
    select_one_time_.reset();
    if (differs) {
      refusal = error(Code::kConflict, "another prekey has key_id " + std::to_string(prekey.key_id));
      return refill;
    }
  }
  if (op.drop_below != 0) {
    CHATSDK_TRY(count_below_.bind(1, device).bind(2, column).bind(3, op.drop_below).step_row());
    refill.left -= std::min(refill.left, static_cast<std::uint32_t>(count_below_.integer(0)));
    count_below_.reset();
  }
  const std::size_t left = refill.left + refill.added.size();
  if (left > limits::e2ee::kOneTimeStored) {
    refusal = error(Code::kLimitReached, std::to_string(left) + (kem ? " one-time KEM prekeys" : " one-time prekeys") +
                                             ", limit " + std::to_string(limits::e2ee::kOneTimeStored));
  }
  refill.left = static_cast<std::uint32_t>(left);
  return refill;
}

Status KeyWriter::add_one_time(DeviceId device, OneTimeKind kind, std::span<const PrekeyRow* const> added) {
  for (const PrekeyRow* prekey : added) {
    CHATSDK_TRY(insert_one_time_.bind(1, to_column(device.value))
                    .bind(2, static_cast<std::int64_t>(kind))
                    .bind(3, prekey->key_id)
                    .bind_blob(4, prekey->prekey)
                    .run());
  }
  return {};
}

// ---- Bundles -------------------------------------------------------------------------------------------------------

Status KeyWriter::apply(const TakeBundles& op, Result<WriteAnswer>& answer) {
  BundlesTaken taken;
  for (const TakeBundles::Wanted& wanted : op.devices) {
    CHATSDK_ASSIGN(auto bundle, take_bundle(op.user_id, wanted));
    if (bundle) taken.bundles.push_back(*std::move(bundle));
  }
  answer = WriteAnswer(std::move(taken));
  return {};
}

Result<std::optional<TakenBundle>> KeyWriter::take_bundle(const UserId& user_id, const TakeBundles::Wanted& wanted) {
  CHATSDK_ASSIGN(auto row, keys_of(wanted.device_id));
  if (!row || row->user_id != user_id || row->signed_prekey.key_id == 0 || row->last_resort.key_id == 0) {
    return std::optional<TakenBundle>();
  }
  TakenBundle bundle;
  bundle.device_id = wanted.device_id;
  CHATSDK_TRY(select_record_.bind_text(1, user_id).bind_blob(2, row->record_hash).step_row());
  bundle.record = select_record_.blob(0);
  select_record_.reset();
  bundle.left = row->left;
  if (wanted.with_one_time) {
    CHATSDK_ASSIGN(bundle.one_time_prekey, take_one_time(wanted.device_id, OneTimeKind::kAgreement));
    CHATSDK_ASSIGN(bundle.kem_prekey, take_one_time(wanted.device_id, OneTimeKind::kKem));
    bundle.left.one_time -= bundle.one_time_prekey.empty() ? 0U : 1U;
    bundle.left.one_time_kem -= bundle.kem_prekey.empty() ? 0U : 1U;
    bundle.used_one_time = bundle.left != row->left;
  }
  if (bundle.used_one_time) {
    CHATSDK_TRY(update_counts_.bind(1, to_column(wanted.device_id.value))
                    .bind(2, bundle.left.one_time)
                    .bind(3, bundle.left.one_time_kem)
                    .run());
  }
  bundle.signed_prekey = std::move(row->signed_prekey.prekey);
  if (bundle.kem_prekey.empty()) bundle.kem_prekey = std::move(row->last_resort.prekey);
  return std::optional(std::move(bundle));
}

Result<Bytes> KeyWriter::take_one_time(DeviceId device, OneTimeKind kind) {
  CHATSDK_ASSIGN(const bool found,
                 select_lowest_.bind(1, to_column(device.value)).bind(2, static_cast<std::int64_t>(kind)).step());
  if (!found) return Bytes();
  const std::int64_t row_id = select_lowest_.integer(0);
  Bytes prekey(select_lowest_.blob(1));
  select_lowest_.reset();
  CHATSDK_TRY(delete_one_time_.bind(1, row_id).run());
  return prekey;
}

}  // namespace chatsdk::server
