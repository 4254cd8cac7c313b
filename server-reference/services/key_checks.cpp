// SPDX-License-Identifier: Apache-2.0
#include "server-reference/services/key_checks.h"

#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "base/limits.h"
#include "e2ee/device_list.h"
#include "e2ee/device_record.h"
#include "e2ee/prekeys.h"

namespace chatsdk::server {

namespace {

std::string indexed_place(const char* field, int index) {
  return std::string(field) + "[" + std::to_string(index) + "]";
}

Error not_parsed(const std::string& place, const char* structure) {
  return error(Code::kMalformed, place + " is no " + structure);
}

Error key_rule(const std::string& place, const char* rule) {
  return error(Code::kInvalidArgument, place + ": " + rule);
}

Bytes bytes_of_hash(const e2ee::Hash& hash) { return Bytes(hash.view()); }

// ---- Lists ---------------------------------------------------------------------------------------------------------

using RecordsByHash = std::map<e2ee::Hash, e2ee::DeviceRecord>;

Result<std::vector<e2ee::DeviceList>> check_chain(const wire::DeviceListUpload& upload, const UserId& user_id) {
  const int count = upload.lists_size();
  if (count == 0) return error(Code::kInvalidArgument, "lists: none, at least 1");
  if (static_cast<std::size_t>(count) > limits::e2ee::kListVersionsMax) {
    return error(Code::kInvalidArgument,
                 "lists: " + std::to_string(count) + ", limit " + std::to_string(limits::e2ee::kListVersionsMax));
  }
  std::vector<e2ee::DeviceList> lists;
  for (int i = 0; i < count; ++i) {
    const std::string place = indexed_place("lists", i);
    auto list = e2ee::parse_device_list(upload.lists(i));
    if (!list) return not_parsed(place, "device list");
    if (list->user_id != user_id) return key_rule(place, "of another user");
    if (list->time_ms > limits::e2ee::kListTimeMax)
      return key_rule(place, "time_ms above 2^53, which nobody would learn");
    if (!lists.empty()) {
      const e2ee::DeviceList& before = lists.back();
      if (list->account_key != before.account_key) return key_rule(place, "of another account key than the one before");
      if (list->version != before.version + 1 || list->previous != before.hash) {
        return key_rule(place, "does not follow the one before");
      }
    }
    if (!e2ee::valid_device_list(upload.lists(i), user_id)) return key_rule(place, "the signature does not verify");
    lists.push_back(*std::move(list));
  }
  return lists;
}

// The uploaded records, each valid for the device that it names.
Result<RecordsByHash> check_records(const wire::DeviceListUpload& upload, const UserId& user_id) {
  RecordsByHash records;
  for (int i = 0; i < upload.records_size(); ++i) {
    const std::string place = indexed_place("records", i);
    const auto parsed = e2ee::parse_device_record(upload.records(i));
    if (!parsed) return not_parsed(place, "device record");
    if (parsed->user_id != user_id) return key_rule(place, "of another user");
    auto record = e2ee::valid_device_record(upload.records(i), user_id, parsed->device_id);
    if (!record) return key_rule(place, "the signature does not verify");
    const e2ee::Hash hash = record->hash;
    if (!records.emplace(hash, *std::move(record)).second) return key_rule(place, "twice");
  }
  return records;
}

// Every device with its own record, and no key in two of them.
std::optional<Error> refusal_of_devices(const e2ee::DeviceList& list, const std::string& place,
                                        const RecordsByHash& records, std::set<e2ee::Hash>& used) {
  std::set<Bytes> keys;
  for (const e2ee::ListedDevice& device : list.devices) {
    const std::string named = place + ", device " + std::to_string(device.device_id.value);
    const auto record = records.find(device.record_hash);
    if (record == records.end()) return key_rule(named, "its record is not here");
    if (record->second.device_id != device.device_id) return key_rule(named, "the record is another device's");
    if (!keys.emplace(record->second.signing_key.view()).second ||
        !keys.emplace(record->second.agreement_key.view()).second) {
      return key_rule(named, "a key of another device");
    }
    used.insert(device.record_hash);
  }
  return std::nullopt;
}

ListVersion version_of(const e2ee::DeviceList& list) {
  ListVersion version;
  version.version = list.version;
  version.hash = bytes_of_hash(list.hash);
  version.previous = bytes_of_hash(list.previous);
  version.list = list.bytes;
  for (const e2ee::ListedDevice& device : list.devices) {
    version.devices.push_back({device.device_id, bytes_of_hash(device.record_hash)});
  }
  return version;
}

// ---- Prekeys -------------------------------------------------------------------------------------------------------

// One upload's prekeys: each is checked by itself, and no key_id comes twice.
class PrekeyChecks {
 public:
  PrekeyChecks(const Identity& owner, const e2ee::SigningKey& signing_key)
      : owner_{owner.user_id, owner.device_id}, signing_key_(signing_key) {}

  Result<PrekeyRow> check(const Bytes& bytes, e2ee::PrekeyKind kind, const std::string& place) {
    const auto prekey = e2ee::parse_prekey(bytes);
    if (!prekey) return not_parsed(place, "prekey");
    if (prekey->kind != kind) return key_rule(place, "of another kind");
    if (!key_ids_.insert(prekey->key_id).second) return key_rule(place, "a key_id of another prekey");
    if (e2ee::is_kem(kind) && !own_kem().check_ek(prekey->encapsulation_key())) {
      return key_rule(place, "no valid encapsulation key");
    }
    if (!e2ee::has_valid_signature(*prekey, owner_, signing_key_)) {
      return key_rule(place, "the signature does not verify");
    }
    return PrekeyRow{prekey->key_id, prekey->bytes};
  }

  template <typename Repeated>
  Result<std::vector<PrekeyRow>> check_all(const Repeated& prekeys, e2ee::PrekeyKind kind, const char* field) {
    if (static_cast<std::size_t>(prekeys.size()) > limits::e2ee::kOneTimeStored) {
      return error(Code::kInvalidArgument, std::string(field) + ": " + std::to_string(prekeys.size()) + ", limit " +
                                               std::to_string(limits::e2ee::kOneTimeStored));
    }
    std::vector<PrekeyRow> rows;
    for (int i = 0; i < prekeys.size(); ++i) {
      const std::string place = indexed_place(field, i);
      CHATSDK_ASSIGN(auto row, check(prekeys.Get(i), kind, place));
      if (!rows.empty() && row.key_id < rows.back().key_id) return key_rule(place, "key_id below the one before");
      rows.push_back(std::move(row));
    }
    return rows;
  }

 private:
  const e2ee::PrekeyOwner owner_;
  const e2ee::SigningKey signing_key_;
  std::set<std::uint32_t> key_ids_;
};

bool has_below(const std::vector<PrekeyRow>& ascending, std::uint32_t key_id) {
  return !ascending.empty() && ascending.front().key_id < key_id;
}

}  // namespace

Result<PublishLists> check_list_upload(const wire::DeviceListUpload& upload, const Identity& uploader,
                                       std::span<const DeviceRecordRow> stored) {
  CHATSDK_ASSIGN(const auto lists, check_chain(upload, uploader.user_id));
  CHATSDK_ASSIGN(auto records, check_records(upload, uploader.user_id));
  const std::size_t uploaded = records.size();
  std::set<e2ee::Hash> from_upload;
  for (const auto& [hash, record] : records) from_upload.insert(hash);
  for (const DeviceRecordRow& row : stored) {
    auto record = e2ee::parse_device_record(row.record);
    if (!record) return error(Code::kCorrupt, "a stored device record does not parse");
    const e2ee::Hash hash = record->hash;
    records.emplace(hash, *std::move(record));
  }

  PublishLists op;
  std::set<e2ee::Hash> used;
  for (std::size_t i = 0; i < lists.size(); ++i) {
    auto refusal = refusal_of_devices(lists[i], indexed_place("lists", static_cast<int>(i)), records, used);
    if (refusal) return *std::move(refusal);
    op.lists.push_back(version_of(lists[i]));
  }
  std::size_t named = 0;
  for (const e2ee::Hash& hash : from_upload) named += used.count(hash);
  if (named != uploaded) return error(Code::kInvalidArgument, "records: one that no list of the upload names");
  // Those that are stored come along: with another account key, the store drops what it has.
  for (const e2ee::Hash& hash : used) {
    const e2ee::DeviceRecord& record = records.at(hash);
    op.records.push_back({record.device_id, bytes_of_hash(hash), record.bytes});
  }
  op.user_id = uploader.user_id;
  op.uploader = uploader.device_id;
  op.account_key = Bytes(lists.front().account_key.view());
  op.replaces_account_key = upload.replaces_account_key();
  return op;
}

Result<UploadPrekeys> check_prekey_upload(const wire::PrekeyUpload& upload, const Identity& uploader,
                                          const DeviceRecordRow& listed) {
  const bool pair = !upload.signed_prekey().empty();
  if (pair != !upload.last_resort_prekey().empty()) {
    return error(Code::kInvalidArgument, "signed_prekey and last_resort_prekey come together");
  }
  if (!pair && upload.one_time_prekeys_size() == 0 && upload.one_time_kem_prekeys_size() == 0) {
    return error(Code::kInvalidArgument, "no prekey");
  }
  const auto record = e2ee::parse_device_record(listed.record);
  if (!record) return error(Code::kCorrupt, "a stored device record does not parse");

  using Kind = e2ee::PrekeyKind;
  PrekeyChecks checks(uploader, record->signing_key);
  UploadPrekeys op;
  if (pair) {
    CHATSDK_ASSIGN(op.signed_prekey, checks.check(upload.signed_prekey(), Kind::kSigned, "signed_prekey"));
    CHATSDK_ASSIGN(op.last_resort, checks.check(upload.last_resort_prekey(), Kind::kLastResort, "last_resort_prekey"));
  }
  CHATSDK_ASSIGN(op.one_time, checks.check_all(upload.one_time_prekeys(), Kind::kOneTime, "one_time_prekeys"));
  CHATSDK_ASSIGN(op.one_time_kem,
                 checks.check_all(upload.one_time_kem_prekeys(), Kind::kOneTimeKem, "one_time_kem_prekeys"));
  op.drop_below = upload.drop_below();
  if (has_below(op.one_time, op.drop_below) || has_below(op.one_time_kem, op.drop_below)) {
    return error(Code::kInvalidArgument, "drop_below: above a key_id of the same upload");
  }
  op.user_id = uploader.user_id;
  op.device_id = uploader.device_id;
  op.record_hash = listed.hash;
  return op;
}

}  // namespace chatsdk::server
