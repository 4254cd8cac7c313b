// SPDX-License-Identifier: Apache-2.0
#include "e2ee/own_keys.h"

#include <algorithm>
#include <utility>

#include "base/limits.h"
#include "e2ee/ageing.h"
#include "e2ee/outcome.h"

namespace chatsdk::e2ee {
namespace {

bool is_newest(const PrekeySummary& prekey, PrekeyKind kind) { return prekey.kind == kind && prekey.successor_ms == 0; }

const PrekeySummary* newest(const std::vector<PrekeySummary>& prekeys, PrekeyKind kind) {
  const auto at = std::find_if(prekeys.begin(), prekeys.end(),
                               [kind](const PrekeySummary& prekey) { return is_newest(prekey, kind); });
  return at == prekeys.end() ? nullptr : &*at;
}

bool is_one_time(const PrekeySummary& prekey) {
  return prekey.kind == PrekeyKind::kOneTime || prekey.kind == PrekeyKind::kOneTimeKem;
}

Result<bool> is_listed(State& state, const Self& self) {
  CHATSDK_ASSIGN(const KnownUser* own, state.user(self.record.user_id));
  const DeviceRecord* record = own == nullptr ? nullptr : listed(*own, self.record.device_id);
  return record != nullptr && record->bytes == self.record.bytes;
}

Error without_keys() { return error(Code::kWrongState, "this device has no keys"); }

// Of a request's body, which has an envelope around each key.
constexpr std::size_t kUploadBytesMax = limits::kRequestBodyBytesMax - 2'048;
constexpr std::size_t kKeyEnvelopeBytes = 8;

}  // namespace

// ---- The account ---------------------------------------------------------------------------------------------------

Result<Self> OwnKeys::make_self(SigningSeed account_seed, DeviceKeys keys, const Peer& device, std::string_view name,
                                std::uint64_t now_ms) {
  Self self;
  self.account_seed = std::move(account_seed);
  self.keys = std::move(keys);
  DeviceDescription description{device.user_id, device.device_id, kSuitesSpoken, now_ms, {}};
  if (!name.empty()) {
    const NamedDevice named{device.user_id, device.device_id, self.keys.registration_id};
    CHATSDK_ASSIGN(description.sealed_name, seal_device_name(name, self.account_seed, named, draw<Nonce>(keys_)));
  }
  self.record = make_device_record(description, self.keys);
  return self;
}

Result<ListUpload> OwnKeys::begin_account(Kept kept, const Peer& device, std::string_view name, std::uint64_t now_ms) {
  CHATSDK_ASSIGN(const Self* before, kept.state.self());
  if (before != nullptr) return error(Code::kWrongState, "this device has keys already");
  CHATSDK_ASSIGN(Self self, make_self(draw_secret<32>(keys_), DeviceKeys::draw(keys_), device, name, now_ms));
  CHATSDK_ASSIGN(const DeviceList list,
                 first_device_list(device.user_id, self.account_seed, {&self.record, 1}, now_ms));
  ListUpload upload{list.bytes, {self.record.bytes}};
  CHATSDK_TRY(kept.state.put_self(std::move(self)));
  CHATSDK_TRY(kept.notes.note_listed(false));
  return upload;
}

namespace {

// What the next own list follows, and whom it lacks in any case.
struct ListBase {
  const KnownUser* own = nullptr;  // nullptr: no list is known
  std::vector<DeviceId> taken_out;
};

Result<ListBase> list_base(Kept kept, const UserId& user_id, const KnownUser* branch) {
  ListBase base;
  CHATSDK_ASSIGN(base.own, kept.state.user(user_id));
  if (branch == nullptr) return base;
  if (base.own != nullptr) base.taken_out = taken_out_of(*base.own, branch->newest());
  base.own = branch;
  return base;
}

}  // namespace

// The next list, or the first where none is known, with the device of `self` in the place of those.
Result<ListUpload> OwnKeys::list_with(Kept kept, const Self& self, std::set<DeviceId> without, std::uint64_t now_ms,
                                      const KnownUser* branch) {
  const UserId& user_id = self.record.user_id;
  CHATSDK_ASSIGN(const ListBase base, list_base(kept, user_id, branch));
  const KnownUser* own = base.own;
  without.insert(base.taken_out.begin(), base.taken_out.end());
  if (own == nullptr) {
    CHATSDK_ASSIGN(const DeviceList list, first_device_list(user_id, self.account_seed, {&self.record, 1}, now_ms));
    return ListUpload{list.bytes, {self.record.bytes}};
  }
  std::erase_if(without, [own](DeviceId device_id) { return own->newest().find(device_id) == nullptr; });
  const std::vector<DeviceId> gone(without.begin(), without.end());
  CHATSDK_ASSIGN(const DeviceList list,
                 next_device_list(own->newest(), self.account_seed, {&self.record, 1}, gone, now_ms));
  return ListUpload{list.bytes, {self.record.bytes}};
}

namespace {

enum class Place { kNone, kEarlier, kNewest };  // in the lists that are known

Place place_of(const KnownUser& own, DeviceId device_id, const Hash* record_hash) {
  Place place = Place::kNone;
  for (const DeviceList& list : own.lists) {
    const ListedDevice* listed = list.find(device_id);
    if (listed == nullptr || (record_hash != nullptr && listed->record_hash != *record_hash)) continue;
    place = &list == &own.newest() ? Place::kNewest : Place::kEarlier;
  }
  return place;
}

}  // namespace

namespace {

struct SelfIn {
  Standing standing = Standing::kUnlisted;
  bool has_place = false;  // it or what it takes the place of
};

SelfIn self_in(const Self& self, bool same_device, const KnownUser& own) {
  Place place = place_of(own, self.record.device_id, &self.record.hash);
  if (same_device && place == Place::kNewest) return {Standing::kListed, true};
  // What never got into a list was to take the place of another.
  if (place == Place::kNone && self.replaces) place = place_of(own, self.replaces, nullptr);
  if (place == Place::kEarlier) return {Standing::kRemoved, true};
  return {same_device ? Standing::kUnlisted : Standing::kAnotherDevice, place != Place::kNone};
}

}  // namespace

Status note_place(Kept kept, const KnownUser& own) {
  CHATSDK_ASSIGN(const Self* self, kept.state.self());
  if (self == nullptr || !holds_account_of(*self, own)) return {};
  const bool is_named = place_of(own, self->record.device_id, &self->record.hash) != Place::kNone;
  return is_named ? kept.notes.note_listed(true) : Status();
}

Result<Standing> OwnKeys::standing(Kept kept, const Peer& device, const KnownUser* branch) {
  CHATSDK_ASSIGN(const Self* self, kept.state.self());
  if (self == nullptr) return Standing::kNoKeys;
  if (self->record.user_id != device.user_id) return Standing::kAnotherDevice;
  const bool same_device = self->record.device_id == device.device_id;
  CHATSDK_ASSIGN(const KnownUser* own, kept.state.user(device.user_id));
  if (own == nullptr) return same_device ? Standing::kUnlisted : Standing::kAnotherDevice;
  if (!holds_account_of(*self, *own)) return Standing::kRemoved;
  SelfIn known = self_in(*self, same_device, *own);
  CHATSDK_ASSIGN(const bool was_listed, kept.notes.was_listed());
  if (was_listed && !known.has_place) known.standing = Standing::kRemoved;
  if (branch == nullptr || known.standing == Standing::kRemoved) return known.standing;
  const SelfIn there = self_in(*self, same_device, *branch);
  // Whoever took it in may have taken it out again, unheard.
  if (known.has_place && !there.has_place) return Standing::kRemoved;
  return there.standing;
}

Result<ListUpload> OwnKeys::list_with_self(Kept kept, std::span<const DeviceId> gone, std::uint64_t now_ms,
                                           const KnownUser* branch) {
  CHATSDK_ASSIGN(const Self* self, kept.state.self());
  if (self == nullptr) return without_keys();
  std::set<DeviceId> without(gone.begin(), gone.end());
  without.insert({self->replaces, self->record.device_id});
  return list_with(kept, *self, std::move(without), now_ms, branch);
}

Result<ListUpload> OwnKeys::begin_anew(Kept kept, const Peer& device, std::string_view name,
                                       std::span<const DeviceId> gone, std::uint64_t now_ms, const KnownUser* branch) {
  CHATSDK_ASSIGN(const Self* before, kept.state.self());
  if (before == nullptr) return without_keys();
  if (before->record.user_id != device.user_id) return error(Code::kWrongState, "this device has another user's keys");
  CHATSDK_ASSIGN(Self self, make_self(before->account_seed.clone(), DeviceKeys::draw(keys_), device, name, now_ms));
  // Where the list never got to the server, what stood there before it goes.
  CHATSDK_ASSIGN(const ListBase base, list_base(kept, device.user_id, branch));
  const KnownUser* own = base.own;
  const bool was_listed = own != nullptr && own->newest().find(before->record.device_id) != nullptr;
  self.replaces = was_listed ? before->record.device_id : before->replaces;
  std::set<DeviceId> without(gone.begin(), gone.end());
  without.insert({self.replaces, device.device_id});
  CHATSDK_ASSIGN(const ListUpload upload, list_with(kept, self, std::move(without), now_ms, branch));
  CHATSDK_TRY(replace_self(kept, std::move(self)));
  return upload;
}

// What belongs to the device keys: prekeys, sessions, chains, and what was sent in their name.
Status OwnKeys::forget_keys(Kept kept) {
  CHATSDK_ASSIGN(const auto prekeys, kept.state.prekeys());
  for (const PrekeySummary& prekey : prekeys) CHATSDK_TRY(kept.state.drop_prekey(prekey.key_id));
  CHATSDK_TRY(kept.state.drop_all_sessions());
  CHATSDK_TRY(kept.state.drop_own_chains());
  CHATSDK_TRY(kept.state.drop_all_received_chains());
  return kept.notes.forget_device();
}

Status OwnKeys::adopt_account(Kept kept, const Peer& device, std::string_view name, Granted granted,
                              std::uint64_t now_ms, const KnownUser* branch) {
  CHATSDK_ASSIGN(const KnownUser* own, kept.state.user(device.user_id));
  const auto shows = [&granted](const KnownUser* user) {
    const bool same_account = user != nullptr && user->account_key == signing_key_of(granted.account_seed);
    const DeviceList* shown = same_account ? user->list(granted.list.version) : nullptr;
    return shown != nullptr && shown->hash == granted.list.hash;
  };
  const bool is_of_branch = !shows(own) && shows(branch);
  if (!is_of_branch && !shows(own)) {
    return error(kBadMessage, "the server shows no list that follows the granted one");
  }
  if (is_of_branch) {
    KnownUser taken = *branch;
    if (own != nullptr) taken.replaced = own->replaced;
    CHATSDK_TRY(kept.state.put_user(std::move(taken)));
  }
  CHATSDK_ASSIGN(Self self, make_self(std::move(granted.account_seed), std::move(granted.keys), device, name, now_ms));
  CHATSDK_TRY(kept.notes.note_listed(false));
  return replace_self(kept, std::move(self));
}

// Key ids go on counting.
Status OwnKeys::replace_self(Kept kept, Self self) {
  CHATSDK_ASSIGN(const Self* before, kept.state.self());
  if (before != nullptr) {
    self.next_key_id = before->next_key_id;
    CHATSDK_TRY(forget_keys(kept));
  }
  return kept.state.put_self(std::move(self));
}

Result<ListUpload> OwnKeys::replace_account(Kept kept, const Peer& device, std::string_view name,
                                            const Replacement& replacement, std::uint64_t now_ms) {
  CHATSDK_ASSIGN(const KnownUser* own, kept.state.user(device.user_id));
  if (own == nullptr) return error(Code::kWrongState, "no list of the own user is known");
  CHATSDK_ASSIGN(auto next, kept.state.next_self());
  if (!replacement.again || !next || Peer{next->record.user_id, next->record.device_id} != device) {
    CHATSDK_ASSIGN(next, make_self(draw_secret<32>(keys_), DeviceKeys::draw(keys_), device, name, now_ms));
    CHATSDK_TRY(kept.state.put_next_self(*next));
  }
  std::vector<DeviceId> all;
  for (const ListedDevice& listed : own->newest().devices) all.push_back(listed.device_id);
  const std::uint64_t above = std::max(own->newest().version, replacement.server_version);
  CHATSDK_ASSIGN(const DeviceList list,
                 next_device_list(own->newest(), next->account_seed, {&next->record, 1}, all, now_ms, above));
  return ListUpload{list.bytes, {next->record.bytes}};
}

Result<bool> OwnKeys::take_replacement(Kept kept, const UserId& user_id) {
  CHATSDK_ASSIGN(auto next, kept.state.next_self());
  CHATSDK_ASSIGN(const KnownUser* own, kept.state.user(user_id));
  if (!next || own == nullptr || !holds_account_of(*next, *own)) return false;
  CHATSDK_TRY(replace_self(kept, std::move(*next)));
  CHATSDK_TRY(kept.state.drop_next_self());
  CHATSDK_TRY(kept.notes.note_listed(false));
  CHATSDK_ASSIGN(own, kept.state.user(user_id));
  CHATSDK_TRY(note_place(kept, *own));
  return true;
}

Result<ListUpload> OwnKeys::next_list(Kept kept, std::span<const DeviceRecord> add, std::span<const DeviceId> remove,
                                      std::uint64_t now_ms, const KnownUser* branch) {
  CHATSDK_ASSIGN(const Self* self, kept.state.self());
  if (self == nullptr) return without_keys();
  CHATSDK_ASSIGN(const ListBase base, list_base(kept, self->record.user_id, branch));
  if (base.own == nullptr) return error(Code::kWrongState, "no list of the own user is known");
  std::set<DeviceId> gone(remove.begin(), remove.end());
  gone.insert(base.taken_out.begin(), base.taken_out.end());
  const std::vector<DeviceId> without(gone.begin(), gone.end());
  CHATSDK_ASSIGN(const DeviceList list, next_device_list(base.own->newest(), self->account_seed, add, without, now_ms));
  ListUpload upload{list.bytes, {}};
  for (const DeviceRecord& record : add) upload.records.push_back(record.bytes);
  return upload;
}

Result<std::vector<Bytes>> OwnKeys::repeat_list(Kept kept, const DeviceList& last, std::uint64_t version,
                                                std::size_t before, std::uint64_t now_ms) {
  CHATSDK_ASSIGN(const Self* self, kept.state.self());
  if (self == nullptr) return without_keys();
  std::vector<Bytes> lists;
  DeviceList list = last;
  while (list.version < version && before + lists.size() < limits::e2ee::kListVersionsMax) {
    CHATSDK_ASSIGN(list, next_device_list(list, self->account_seed, {}, {}, now_ms));
    lists.push_back(list.bytes);
  }
  return lists;
}

// ---- Prekeys -------------------------------------------------------------------------------------------------------

Result<PrekeyUpload> OwnKeys::collect(Kept kept) {
  PrekeyUpload upload;
  CHATSDK_ASSIGN(const Self* self, kept.state.self());
  if (self == nullptr) return without_keys();
  CHATSDK_ASSIGN(const auto all, kept.state.prekeys());
  CHATSDK_ASSIGN(auto waiting, kept.notes.prekeys_to_upload());
  // The pair goes together; what was replaced before it was taken is uploaded no more.
  const PrekeySummary* pair[] = {newest(all, PrekeyKind::kSigned), newest(all, PrekeyKind::kLastResort)};
  const auto waits = [&waiting](std::uint32_t key_id) {
    return std::find(waiting.begin(), waiting.end(), key_id) != waiting.end();
  };
  const bool with_pair = pair[0] != nullptr && pair[1] != nullptr && (waits(pair[0]->key_id) || waits(pair[1]->key_id));
  const PrekeyOwner owner{self->record.user_id, self->record.device_id};
  std::vector<const PrekeySummary*> wanted;
  if (with_pair) wanted.assign(std::begin(pair), std::end(pair));
  for (const PrekeySummary& summary : all) {
    if (is_one_time(summary) && waits(summary.key_id)) wanted.push_back(&summary);
  }
  std::size_t total = 0;
  for (const PrekeySummary* wanted_one : wanted) {
    const PrekeySummary& summary = *wanted_one;
    CHATSDK_ASSIGN(const auto prekey, kept.state.prekey(summary.key_id));
    if (!prekey) return error(Code::kCorrupt, "a prekey without its secret");
    CHATSDK_ASSIGN(Bytes bytes, published(*prekey, owner, self->keys.signing_seed, kem_));
    total += bytes.size() + kKeyEnvelopeBytes;
    if (total > kUploadBytesMax) break;
    upload.key_ids.push_back(summary.key_id);
    switch (summary.kind) {
      case PrekeyKind::kSigned:
        upload.signed_prekey = std::move(bytes);
        break;
      case PrekeyKind::kLastResort:
        upload.last_resort = std::move(bytes);
        break;
      case PrekeyKind::kOneTime:
        upload.one_time.push_back(std::move(bytes));
        break;
      case PrekeyKind::kOneTimeKem:
        upload.one_time_kem.push_back(std::move(bytes));
        break;
    }
  }
  return upload;
}

Result<std::optional<PrekeyUpload>> OwnKeys::due_upload(Kept kept, const ServerHolds& holds, std::uint64_t now_ms) {
  CHATSDK_ASSIGN(const Self* self, kept.state.self());
  if (self == nullptr) return std::optional<PrekeyUpload>();
  CHATSDK_ASSIGN(const bool listed_here, is_listed(kept.state, *self));
  if (!listed_here) return std::optional<PrekeyUpload>();
  CHATSDK_ASSIGN(auto waiting, kept.notes.prekeys_to_upload());
  if (holds.digest && waiting.empty()) {
    CHATSDK_ASSIGN(const Hash own, digest(kept));
    if (own != *holds.digest) CHATSDK_TRY(kept.notes.upload_all_again());
    CHATSDK_ASSIGN(waiting, kept.notes.prekeys_to_upload());
  }
  // What waits to be uploaded is on its way to be counted.
  const StoredCounts enough{limits::e2ee::kOneTimeStored, limits::e2ee::kOneTimeStored};
  const StoredCounts counts = waiting.empty() ? holds.counts.value_or(enough) : enough;
  CHATSDK_ASSIGN(const NewPrekeys due, prekeys_due(kept.state, counts, share_, now_ms, lifetimes_));
  if (due.signed_pair || due.one_time > 0 || due.one_time_kem > 0) {
    CHATSDK_TRY(make_prekeys(kept.state, due, now_ms, keys_, kem_));
    if (due.signed_pair) share_ = draw_rotation_share(keys_, lifetimes_);
  }
  CHATSDK_ASSIGN(PrekeyUpload upload, collect(kept));
  if (upload.key_ids.empty()) return std::optional<PrekeyUpload>();
  return std::optional(std::move(upload));
}

Status OwnKeys::taken(Kept kept, const PrekeyUpload& upload) { return kept.notes.mark_uploaded(upload.key_ids); }

Status OwnKeys::give_up_one_time(Kept kept, const PrekeyUpload& upload) {
  CHATSDK_ASSIGN(const auto all, kept.state.prekeys());
  std::vector<std::uint32_t> given_up;
  for (const PrekeySummary& summary : all) {
    const bool in_it = std::find(upload.key_ids.begin(), upload.key_ids.end(), summary.key_id) != upload.key_ids.end();
    if (in_it && is_one_time(summary)) given_up.push_back(summary.key_id);
  }
  return kept.notes.mark_uploaded(given_up);
}

Result<std::optional<std::uint64_t>> OwnKeys::rotation_due_ms(Kept kept) {
  CHATSDK_ASSIGN(const auto all, kept.state.prekeys());
  const PrekeySummary* pair = newest(all, PrekeyKind::kLastResort);
  if (pair == nullptr) return std::optional<std::uint64_t>();
  const std::chrono::milliseconds age = lifetimes_.signed_rotation - share_;
  return std::optional(pair->created_ms + static_cast<std::uint64_t>(age.count()));
}

Result<Hash> OwnKeys::digest(Kept kept) {
  CHATSDK_ASSIGN(const Self* self, kept.state.self());
  if (self == nullptr) return without_keys();
  CHATSDK_ASSIGN(const auto all, kept.state.prekeys());
  const PrekeyOwner owner{self->record.user_id, self->record.device_id};
  const auto bytes_of = [&](PrekeyKind kind) -> Result<Bytes> {
    const PrekeySummary* summary = newest(all, kind);
    if (summary == nullptr) return Bytes();
    CHATSDK_ASSIGN(const auto prekey, kept.state.prekey(summary->key_id));
    if (!prekey) return error(Code::kCorrupt, "a prekey without its secret");
    return published(*prekey, owner, self->keys.signing_seed, kem_);
  };
  CHATSDK_ASSIGN(const Bytes signed_prekey, bytes_of(PrekeyKind::kSigned));
  CHATSDK_ASSIGN(const Bytes last_resort, bytes_of(PrekeyKind::kLastResort));
  return keys_digest(self->record.bytes, signed_prekey, last_resort);
}

// ---- Beside ordinary days ------------------------------------------------------------------------------------------

Result<PrekeyUpload> OwnKeys::new_epoch(Kept kept, std::uint64_t now_ms) {
  CHATSDK_ASSIGN(const Self* self, kept.state.self());
  if (self == nullptr) return without_keys();
  std::uint32_t first_new = self->next_key_id;
  CHATSDK_TRY(kept.state.archive_all(now_ms));
  CHATSDK_TRY(kept.state.drop_own_chains());
  CHATSDK_TRY(kept.notes.forget_places());
  CHATSDK_ASSIGN(const auto before, kept.state.prekeys());
  CHATSDK_ASSIGN(const auto waiting, kept.notes.prekeys_to_upload());
  if (may_begin_epoch_anew(before, now_ms)) {
    // What the server never heard of would come below the new ones.
    CHATSDK_TRY(kept.notes.mark_uploaded(waiting));
    const NewPrekeys all{true, limits::e2ee::kOneTimeBatch, limits::e2ee::kOneTimeBatch};
    CHATSDK_TRY(make_prekeys(kept.state, all, now_ms, keys_, kem_));
    share_ = draw_rotation_share(keys_, lifetimes_);
  } else {
    // What still waits need not have got anywhere; the rest may have gone out.
    std::vector<std::uint32_t> pair;
    for (const PrekeySummary& prekey : before) {
      if (!is_one_time(prekey) && prekey.successor_ms == 0) pair.push_back(prekey.key_id);
      const bool waits = std::find(waiting.begin(), waiting.end(), prekey.key_id) != waiting.end();
      if (is_one_time(prekey) && waits) first_new = std::min(first_new, prekey.key_id);
    }
    CHATSDK_TRY(kept.notes.upload_again(pair));
  }
  CHATSDK_ASSIGN(PrekeyUpload upload, collect(kept));
  upload.drop_below = first_new;
  return upload;
}

Result<bool> OwnKeys::ageing_due(Kept kept, std::uint64_t now_ms) {
  CHATSDK_ASSIGN(const std::uint64_t before, kept.notes.aged_ms());
  const bool of_the_future = before > now_ms + static_cast<std::uint64_t>(lifetimes_.ageing_pause.count());
  return before == 0 || of_the_future || is_old(now_ms, before, lifetimes_.ageing_pause);
}

Result<bool> OwnKeys::age_once_a_day(Kept kept, std::uint64_t now_ms) {
  CHATSDK_ASSIGN(const bool due, ageing_due(kept, now_ms));
  if (!due) return false;
  CHATSDK_TRY(age_all(kept.state, now_ms, lifetimes_));
  CHATSDK_TRY(kept.notes.age_notes(now_ms, lifetimes_));
  return true;
}

}  // namespace chatsdk::e2ee
