// SPDX-License-Identifier: Apache-2.0
#include "server-reference/services/key_directory.h"

#include <algorithm>
#include <set>
#include <utility>

#include "base/assert.h"
#include "base/fault.h"
#include "e2ee/prekeys.h"
#include "server-reference/services/frame_builder.h"
#include "server-reference/services/key_checks.h"
#include "server-reference/services/validation.h"

namespace chatsdk::server {

namespace {

using std::chrono::milliseconds;

constexpr milliseconds kChecksBusyRetry{1'000};  // about what a full queue of checks takes

Error key_rate(const char* what, std::chrono::microseconds wait) {
  return Error{Code::kRateLimited, what, std::chrono::ceil<milliseconds>(wait)};
}

Error wrong_key_answer() { return error(Code::kInternal, "the committer gave another operation's answer"); }

std::string rate_key_of_device(DeviceId device) { return std::to_string(device.value); }

Status check_known(const wire::DeviceListsRequest::Known& known) {
  CHATSDK_TRY(check_user_id(known.user_id()));
  const std::size_t size = known.list_hash().size();
  if (size != (known.list_version() == 0 ? 0 : e2ee::Hash::size())) {
    return error(Code::kInvalidArgument, "list_hash of " + std::to_string(size) + " B with list_version " +
                                             std::to_string(known.list_version()));
  }
  return {};
}

std::size_t bytes_of_page(const ListPage& page) {
  std::size_t bytes = 0;
  for (const Bytes& list : page.lists) bytes += list.size();
  for (const Bytes& record : page.records) bytes += record.size();
  return bytes;
}

}  // namespace

KeyDirectory::KeyDirectory(Parts parts, KeyDirectoryOptions options)
    : parts_(std::move(parts)),
      options_(options),
      bundles_(options_.bundles, options_.rate_buckets_max),
      bundles_per_requester_(options_.bundles_per_requester, options_.rate_buckets_max),
      one_time_(options_.one_time_per_device, options_.rate_buckets_max),
      lists_(options_.lists_per_requester, options_.rate_buckets_max),
      uploads_(options_.uploads_per_device, options_.rate_buckets_max),
      list_changes_(options_.lists_per_user, options_.rate_buckets_max),
      key_changes_(options_.keys_per_user, options_.rate_buckets_max) {
  CHATSDK_ASSERT(!parts_.workers.empty());
}

std::size_t KeyDirectory::rated() const {
  return std::max({bundles_.size(), bundles_per_requester_.size(), one_time_.size(), lists_.size(), uploads_.size(),
                   list_changes_.size(), key_changes_.size()});
}

// ---- Uploads -------------------------------------------------------------------------------------------------------

Status KeyDirectory::begin_upload(const Identity& uploader) {
  if (checks_in_flight_ >= options_.checks_in_flight_max) {
    return Error{Code::kUnavailable,
                 "too many uploads of keys at once, limit " + std::to_string(options_.checks_in_flight_max),
                 kChecksBusyRetry};
  }
  const auto wait = uploads_.take(rate_key_of_device(uploader.device_id), monotonic_now());
  if (wait.count() != 0) return key_rate("too many uploads of keys", wait);
  return {};
}

// Each change is an item in every encrypted conversation of the user, and lists that their peers keep.
Status KeyDirectory::begin_change(const PublishLists& op) {
  const MonotonicTime now = monotonic_now();
  if (const auto wait = list_changes_.take(op.user_id, now); wait.count() != 0) {
    return key_rate("too many changes of this user's device list", wait);
  }
  if (!op.replaces_account_key) return {};
  const auto wait = key_changes_.take(op.user_id, now);
  if (wait.count() == 0) return {};
  list_changes_.give_back(op.user_id, now);
  return key_rate("too many account keys of this user", wait);
}

void KeyDirectory::give_change_back(const UserId& user_id, bool replaces) {
  const MonotonicTime now = monotonic_now();
  list_changes_.give_back(user_id, now);
  if (replaces) key_changes_.give_back(user_id, now);
}

template <typename Op, typename Check, typename Next>
void KeyDirectory::check_off_thread(Check check, Next next) {
  ++checks_in_flight_;
  last_worker_ = (last_worker_ + 1) % parts_.workers.size();
  parts_.workers[last_worker_]->post([this, check = std::move(check), next = std::move(next)]() mutable {
    Result<Op> op = check();
    parts_.executor.post([this, op = std::move(op), next = std::move(next)]() mutable {
      --checks_in_flight_;
      next(std::move(op));
    });
  });
}

void KeyDirectory::publish_lists(const Identity& uploader, wire::DeviceListUpload upload, OnDone on_done) {
  if (Status begun = begin_upload(uploader); !begun.ok()) {
    on_done(std::move(begun));
    return;
  }
  auto newest = parts_.reader.newest_list(uploader.user_id);
  if (!newest.ok()) {
    on_done(std::move(newest).error());
    return;
  }
  check_off_thread<PublishLists>(
      [upload = std::move(upload), uploader, stored = std::move(newest->devices)] {
        return check_list_upload(upload, uploader, stored);
      },
      [this, on_done = std::move(on_done)](Result<PublishLists> op) mutable {
        lists_checked(std::move(op), std::move(on_done));
      });
}

void KeyDirectory::lists_checked(Result<PublishLists> op, OnDone on_done) {
  if (!op.ok()) {
    on_done(std::move(op).error());
    return;
  }
  if (Status begun = begin_change(*op); !begun.ok()) {
    on_done(std::move(begun));
    return;
  }
  op->now = parts_.executor.clock().wall_now();
  UserId user_id = op->user_id;
  const bool replaces = op->replaces_account_key;
  parts_.submit(
      *std::move(op),
      [this, user_id = std::move(user_id), replaces, on_done = std::move(on_done)](Result<WriteAnswer> answer) mutable {
        lists_written(user_id, replaces, std::move(answer), std::move(on_done));
      },
      parts_.executor);
}

void KeyDirectory::lists_written(const UserId& user_id, bool replaces, Result<WriteAnswer> answer, OnDone on_done) {
  const auto* published = answer.ok() ? std::get_if<ListsPublished>(&*answer) : nullptr;
  if (published == nullptr || published->repeated) give_change_back(user_id, replaces);
  if (!answer.ok()) {
    on_done(std::move(answer).error());
    return;
  }
  CHATSDK_FAULT("keys.between_list_and_answer");
  if (published == nullptr) {
    on_done(wrong_key_answer());
    return;
  }
  for (const DeviceId device : published->ended) {
    parts_.log.write(LogLevel::kInfo, "keys",
                     "device " + std::to_string(device.value) + " has left its user's list: its log-in ended");
    parts_.bus.publish(user_id, Kick{user_id, device, Code::kUnauthenticated, 0, {}});
  }
  if (published->rosters_due) parts_.rosters_due();
  on_done({});
}

void KeyDirectory::upload_prekeys(const Identity& uploader, wire::PrekeyUpload upload, OnCounts on_counts) {
  if (Status begun = begin_upload(uploader); !begun.ok()) {
    on_counts(std::move(begun).error());
    return;
  }
  auto keys = parts_.reader.device_keys(uploader.device_id);
  if (!keys.ok()) {
    on_counts(std::move(keys).error());
    return;
  }
  if (!keys->has_value()) {
    on_counts(error(Code::kForbidden, "the device is not in its user's device list"));
    return;
  }
  DeviceRecordRow listed{uploader.device_id, std::move((*keys)->record_hash), std::move((*keys)->record)};
  check_off_thread<UploadPrekeys>(
      [upload = std::move(upload), uploader, listed = std::move(listed)] {
        return check_prekey_upload(upload, uploader, listed);
      },
      [this, on_counts = std::move(on_counts)](Result<UploadPrekeys> op) mutable {
        if (!op.ok()) {
          on_counts(std::move(op).error());
          return;
        }
        op->now = parts_.executor.clock().wall_now();
        parts_.submit(
            *std::move(op),
            [on_counts = std::move(on_counts)](Result<WriteAnswer> answer) mutable {
              if (!answer.ok()) {
                on_counts(std::move(answer).error());
                return;
              }
              CHATSDK_FAULT("keys.between_prekeys_and_answer");
              const auto* counts = std::get_if<KeyCounts>(&*answer);
              if (counts == nullptr) {
                on_counts(wrong_key_answer());
                return;
              }
              wire::KeyCounts out;
              set_key_counts(out, *counts);
              on_counts(std::move(out));
            },
            parts_.executor);
      });
}

// ---- Looks ---------------------------------------------------------------------------------------------------------

Result<wire::DeviceLists> KeyDirectory::lists(const Identity& requester, const wire::DeviceListsRequest& request) {
  const int users = request.users_size();
  if (users == 0 || static_cast<std::size_t>(users) > limits::e2ee::kListUsersMax) {
    return error(Code::kInvalidArgument, "users: " + std::to_string(users) + ", 1 to " +
                                             std::to_string(limits::e2ee::kListUsersMax) + " are allowed");
  }
  for (const auto& known : request.users()) CHATSDK_TRY(check_known(known));
  const auto wait = lists_.take(requester.user_id, monotonic_now(), static_cast<std::uint32_t>(users));
  if (wait.count() != 0) return key_rate("too many device lists fetched", wait);

  wire::DeviceLists answer;
  std::size_t bytes = 0;
  for (const auto& known : request.users()) {
    CHATSDK_ASSIGN(ListPage page,
                   parts_.reader.device_lists(known.user_id(), KnownList{known.list_version(), known.list_hash()},
                                              limits::e2ee::kListVersionsMax));
    bytes += bytes_of_page(page);
    if (answer.users_size() > 0 && bytes > limits::e2ee::kListsAnswerBytes) break;
    wire::DeviceLists::OfUser& out = *answer.add_users();
    out.set_user_id(known.user_id());
    out.set_newest_version(page.newest);
    for (Bytes& list : page.lists) out.add_lists(std::move(list));
    for (Bytes& record : page.records) out.add_records(std::move(record));
    if (known.user_id() != requester.user_id) continue;
    // Read behind the lists: a device that is listed in between is there.
    CHATSDK_ASSIGN(const auto devices, parts_.reader.devices(requester.user_id));
    for (const Device& device : devices) out.add_devices(device.device_id.value);
  }
  return answer;
}

Result<wire::KeyCounts> KeyDirectory::counts(const Identity& requester) {
  CHATSDK_ASSIGN(const auto counts, parts_.reader.key_counts(requester.device_id));
  wire::KeyCounts out;
  set_key_counts(out, counts.value_or(KeyCounts{}));
  return out;
}

Result<wire::KeyDigest> KeyDirectory::digest(const Identity& requester) {
  CHATSDK_ASSIGN(auto stored, parts_.reader.device_keys(requester.device_id));
  const DeviceKeys keys = stored ? *std::move(stored) : DeviceKeys{};
  wire::KeyDigest out;
  out.set_digest(Bytes(e2ee::keys_digest(keys.record, keys.signed_prekey.prekey, keys.last_resort.prekey).view()));
  out.set_signed_prekey_id(keys.signed_prekey.key_id);
  out.set_last_resort_prekey_id(keys.last_resort.key_id);
  out.set_signed_at_ms(keys.signed_prekey.key_id == 0 ? 0 : to_unix_ms(keys.signed_at));
  return out;
}

// ---- Bundles -------------------------------------------------------------------------------------------------------

void KeyDirectory::take_bundles(const Identity& requester, const wire::BundlesRequest& request, OnBundles on_bundles) {
  if (Status valid = check_user_id(request.user_id()); !valid.ok()) {
    on_bundles(std::move(valid).error());
    return;
  }
  const auto newest = parts_.reader.newest_list(request.user_id());
  if (!newest.ok()) {
    on_bundles(newest.error());
    return;
  }
  auto wanted = wanted_devices(requester, request, *newest);
  if (!wanted.ok()) {
    on_bundles(std::move(wanted).error());
    return;
  }
  if (Status begun = begin_fetch(requester, request.user_id(), std::max<std::size_t>(wanted->size(), 1)); !begun.ok()) {
    on_bundles(std::move(begun).error());
    return;
  }
  TakeBundles op{request.user_id(), *std::move(wanted)};
  charge_one_time(op.devices);
  parts_.submit(
      op,
      [this, op, version = newest->version, on_bundles = std::move(on_bundles)](Result<WriteAnswer> answer) mutable {
        bundles_taken(op, version, std::move(answer), std::move(on_bundles));
      },
      parts_.executor);
}

Result<std::vector<TakeBundles::Wanted>> KeyDirectory::wanted_devices(const Identity& requester,
                                                                      const wire::BundlesRequest& request,
                                                                      const NewestList& newest) const {
  const int named = request.device_ids_size();
  if (static_cast<std::size_t>(named) > limits::e2ee::kDevicesMax) {
    return error(Code::kInvalidArgument,
                 "device_ids: " + std::to_string(named) + ", limit " + std::to_string(limits::e2ee::kDevicesMax));
  }
  const std::set<std::uint64_t> asked(request.device_ids().begin(), request.device_ids().end());
  if (asked.size() != static_cast<std::size_t>(named)) return error(Code::kInvalidArgument, "device_ids: one twice");
  std::vector<TakeBundles::Wanted> wanted;
  for (const DeviceRecordRow& device : newest.devices) {
    const bool named_or_all = named == 0 || asked.contains(device.device_id.value);
    if (named_or_all && device.device_id != requester.device_id) wanted.push_back({device.device_id, true});
  }
  return wanted;
}

Status KeyDirectory::begin_fetch(const Identity& requester, const UserId& target, std::size_t bundles) {
  const MonotonicTime now = monotonic_now();
  const auto count = static_cast<std::uint32_t>(bundles);
  const std::string pair = requester.user_id + "\n" + target;  // a user_id has no control character
  if (const auto wait = bundles_.take(pair, now, count); wait.count() != 0) {
    return key_rate("too many bundles of this user fetched", wait);
  }
  if (const auto wait = bundles_per_requester_.take(requester.user_id, now, count); wait.count() != 0) {
    bundles_.give_back(pair, now, count);
    return key_rate("too many bundles fetched", wait);
  }
  return {};
}

void KeyDirectory::charge_one_time(std::vector<TakeBundles::Wanted>& devices) {
  const MonotonicTime now = monotonic_now();
  for (TakeBundles::Wanted& device : devices) {
    device.with_one_time = one_time_.take(rate_key_of_device(device.device_id), now).count() == 0;
  }
}

void KeyDirectory::bundles_taken(const TakeBundles& op, std::uint64_t list_version, Result<WriteAnswer> answer,
                                 OnBundles on_bundles) {
  const auto* taken = answer.ok() ? std::get_if<BundlesTaken>(&*answer) : nullptr;
  // What was charged and not given out, because there was none or nothing was written, is given back.
  std::set<DeviceId> used;
  if (taken != nullptr) {
    for (const TakenBundle& bundle : taken->bundles) {
      if (bundle.used_one_time) used.insert(bundle.device_id);
    }
  }
  const MonotonicTime now = monotonic_now();
  for (const TakeBundles::Wanted& device : op.devices) {
    if (device.with_one_time && !used.contains(device.device_id)) {
      one_time_.give_back(rate_key_of_device(device.device_id), now);
    }
  }
  if (!answer.ok()) {
    on_bundles(std::move(answer).error());
    return;
  }
  if (taken == nullptr) {
    on_bundles(wrong_key_answer());
    return;
  }
  CHATSDK_FAULT("keys.between_bundles_and_answer");
  wire::Bundles out;
  out.set_list_version(list_version);
  for (const TakenBundle& bundle : taken->bundles) {
    wire::Bundle& entry = *out.add_bundles();
    entry.set_device_id(bundle.device_id.value);
    entry.set_device_record(bundle.record);
    entry.set_signed_prekey(bundle.signed_prekey);
    entry.set_kem_prekey(bundle.kem_prekey);
    entry.set_one_time_prekey(bundle.one_time_prekey);
    const std::size_t least = std::min(bundle.left.one_time, bundle.left.one_time_kem);
    if (bundle.used_one_time && least < limits::e2ee::kOneTimeLow) {
      parts_.bus.publish(op.user_id, KeysHint{bundle.device_id, key_counts_frame(bundle.left)});
    }
  }
  on_bundles(std::move(out));
}

}  // namespace chatsdk::server
