// SPDX-License-Identifier: Apache-2.0
#include "e2ee/directory.h"

#include <algorithm>
#include <iterator>
#include <set>
#include <utility>

#include "base/fault.h"
#include "base/limits.h"

namespace chatsdk::e2ee {
namespace {

using Records = std::map<Hash, DeviceRecord>;

// Finds the records that lists name, among those kept and those that came with the lists.
class RecordsAtHand {
 public:
  RecordsAtHand(const KnownUser* known, const UserId& user_id, std::span<const Bytes> offered)
      : known_(known), user_id_(user_id) {
    for (const Bytes& bytes : offered) offered_.emplace(device_record_hash(bytes), bytes);
  }

  bool has(const ListedDevice& entry) const {
    const bool is_known = known_ != nullptr && known_->records.contains(entry.record_hash);
    return is_known || offered_.contains(entry.record_hash);
  }
  // nullopt unless a record with the entry's hash is there and valid for the entry's device.
  std::optional<DeviceRecord> find(const ListedDevice& entry) const {
    if (known_ != nullptr) {
      const auto at = known_->records.find(entry.record_hash);
      if (at != known_->records.end()) {
        if (at->second.user_id != user_id_ || at->second.device_id != entry.device_id) return std::nullopt;
        return at->second;
      }
    }
    const auto at = offered_.find(entry.record_hash);
    if (at == offered_.end()) return std::nullopt;
    return valid_device_record(at->second, user_id_, entry.device_id);
  }

 private:
  const KnownUser* known_;
  const UserId& user_id_;
  std::map<Hash, BytesView> offered_;
};

// Lists that hold by themselves, with the records that they name.
struct Checked {
  std::vector<DeviceList> lists;
  Records records;
  bool whole = true;  // false: some of the records are not here, and so the lists cannot be kept
};

// Takes the records of the list's devices that are here; false where one is not valid or two devices share a key.
bool take_records(const DeviceList& list, const RecordsAtHand& at_hand, Checked& checked) {
  Records& named = checked.records;
  std::set<SigningKey> signing_keys;
  std::set<AgreementKey> agreement_keys;
  for (const ListedDevice& entry : list.devices) {
    auto at = named.find(entry.record_hash);
    if (at == named.end() && !at_hand.has(entry)) {
      checked.whole = false;
      continue;
    }
    if (at == named.end()) {
      auto record = at_hand.find(entry);
      if (!record) return false;
      at = named.emplace(entry.record_hash, std::move(*record)).first;
    }
    // One record under two device ids is valid for one of them at most.
    if (at->second.device_id != entry.device_id) return false;
    if (!signing_keys.insert(at->second.signing_key).second) return false;
    if (!agreement_keys.insert(at->second.agreement_key).second) return false;
  }
  return true;
}

bool follows(const DeviceList& earlier, const DeviceList& later) {
  return later.account_key == earlier.account_key && later.version == earlier.version + 1 &&
         later.previous == earlier.hash;
}

std::optional<Checked> check(const KnownUser* known, const UserId& user_id, std::span<const Bytes> lists,
                             std::span<const Bytes> records) {
  const RecordsAtHand at_hand(known, user_id, records);
  Checked checked;
  for (const Bytes& bytes : lists) {
    auto list = valid_device_list(bytes, user_id);
    if (!list || !take_records(*list, at_hand, checked)) return std::nullopt;
    if (!checked.lists.empty() && !follows(checked.lists.back(), *list)) return std::nullopt;
    checked.lists.push_back(std::move(*list));
  }
  if (checked.lists.empty()) return std::nullopt;
  return checked;
}

// The newest versions stay, and of the records those that they name. gone: some versions went already.
void trim(KnownUser& user, bool gone = false) {
  const std::size_t count = user.lists.size();
  const std::size_t kept = std::min<std::size_t>(count, limits::e2ee::kListVersionsMax);
  if (kept == count && !gone) return;
  user.lists.erase(user.lists.begin(), std::prev(user.lists.end(), static_cast<std::ptrdiff_t>(kept)));
  std::set<Hash> named;
  for (const DeviceList& list : user.lists) {
    for (const ListedDevice& device : list.devices) named.insert(device.record_hash);
  }
  std::erase_if(user.records, [&named](const auto& record) { return !named.contains(record.first); });
}

KnownUser pinned(const UserId& user_id, Checked checked) {
  KnownUser user;
  user.user_id = user_id;
  user.account_key = checked.lists.back().account_key;
  user.lists = std::move(checked.lists);
  user.records = std::move(checked.records);
  trim(user);
  return user;
}

Learned refused() { return {}; }

// Whether it is a list of a key that was replaced before anything was known of the user, as old items have it: the
// first list of a new key follows the last of the old one. Versions alone would not do, since a server that was put
// back may begin a new key at one that another had.
bool is_of_before(const DeviceList& list, const DeviceList& newest) {
  return list.version < newest.version && list.time_ms <= newest.time_ms;
}

bool are_made_up(const KnownUser* known, std::span<const DeviceList> lists) {
  return std::any_of(lists.begin(), lists.end(), [known](const DeviceList& list) { return is_made_up(known, list); });
}

Learned other_identity(const KnownUser& known, Checked checked) {
  Learned learned;
  const SigningKey& account_key = checked.lists.back().account_key;
  const bool was_pinned = std::find(known.replaced.begin(), known.replaced.end(), account_key) != known.replaced.end();
  if (!was_pinned && are_made_up(&known, checked.lists)) return refused();
  if (was_pinned || is_of_before(checked.lists.back(), known.newest())) {
    learned.result = Learning::kIgnored;
    if (!was_pinned) learned.passed_over = account_key;
    return learned;
  }
  if (!checked.whole) return refused();
  KnownUser user = pinned(known.user_id, std::move(checked));
  user.replaced = known.replaced;
  note_replaced(user, known.account_key);
  learned.result = Learning::kIdentityChanged;
  learned.user = std::move(user);
  learned.former = known;
  return learned;
}

std::vector<DeviceId> ids_only_in(const DeviceList& list, const DeviceList& other) {
  std::vector<ListedDevice> only;
  std::set_difference(list.devices.begin(), list.devices.end(), other.devices.begin(), other.devices.end(),
                      std::back_inserter(only));
  std::vector<DeviceId> ids;
  for (const ListedDevice& device : only) ids.push_back(device.device_id);
  return ids;
}

// What changed from each version to the next, beginning with the newest one that was known.
void note_changes(const KnownUser& user, std::uint64_t newest_before, Learned& learned) {
  std::set<DeviceId> added;
  std::set<DeviceId> removed;
  for (std::size_t i = 1; i < user.lists.size(); ++i) {
    const DeviceList& earlier = user.lists[i - 1];
    const DeviceList& later = user.lists[i];
    if (later.version <= newest_before) continue;
    for (const DeviceId id : ids_only_in(later, earlier)) added.insert(id);
    for (const DeviceId id : ids_only_in(earlier, later)) removed.insert(id);
  }
  learned.added.assign(added.begin(), added.end());
  learned.removed.assign(removed.begin(), removed.end());
}

bool is_kept(const KnownUser& known, const DeviceList& list) {
  const DeviceList* kept = known.list(list.version);
  return kept != nullptr && *kept == list;
}

bool names(const DeviceList& list, const ListedDevice& device) {
  return std::find(list.devices.begin(), list.devices.end(), device) != list.devices.end();
}

// Whether they are of one chain with what is kept, as far as the two meet.
bool is_another_branch(const KnownUser& known, std::span<const DeviceList> lists) {
  const DeviceList& first = lists.front();
  const DeviceList& last = lists.back();
  for (const DeviceList& list : lists) {
    if (known.list(list.version) != nullptr && !is_kept(known, list)) return true;
  }
  if (first.version - 1 == known.newest().version) return !follows(known.newest(), first);
  return last.version == known.oldest().version - 1 && !follows(last, known.oldest());
}

// What came and went is told against what was the newest: the two branches part before that.
void note_branch(const KnownUser& known, std::span<const DeviceList> lists, Learned& learned) {
  std::set<ListedDevice> named(known.newest().devices.begin(), known.newest().devices.end());
  std::set<DeviceId> added;
  std::set<DeviceId> removed;
  for (const DeviceList& list : lists) {
    if (!is_kept(known, list)) named.insert(list.devices.begin(), list.devices.end());
  }
  for (const ListedDevice& device : named) {
    if (!names(known.newest(), device)) added.insert(device.device_id);
    if (!names(lists.back(), device)) removed.insert(device.device_id);
  }
  learned.added.assign(added.begin(), added.end());
  learned.removed.assign(removed.begin(), removed.end());
}

// The longer one counts, where it takes nobody in whom the other has taken out. Of what is kept stays what it follows.
Learned another_branch(const KnownUser& known, Checked checked) {
  Learned learned;
  const DeviceList& first = checked.lists.front();
  const DeviceList& last = checked.lists.back();
  learned.against = true;
  if (last.version <= known.newest().version || !taken_out_of(known, last).empty()) return learned;
  KnownUser user = known;
  std::erase_if(user.lists, [&first](const DeviceList& list) { return list.version >= first.version; });
  if (!user.lists.empty() && !follows(user.lists.back(), first)) {
    learned.missing = {first.version - 1, first.version - 1};
    return learned;
  }
  if (!checked.whole) return learned;
  note_branch(known, checked.lists, learned);
  user.records.merge(checked.records);
  user.lists.insert(user.lists.end(), std::make_move_iterator(checked.lists.begin()),
                    std::make_move_iterator(checked.lists.end()));
  trim(user, true);
  learned.result = Learning::kChanged;
  learned.user = std::move(user);
  return learned;
}

Learned same_identity(const KnownUser& known, Checked checked) {
  Learned learned;
  const DeviceList& first = checked.lists.front();
  const DeviceList& last = checked.lists.back();
  const DeviceList& oldest = known.oldest();
  const DeviceList& newest = known.newest();

  if (is_another_branch(known, checked.lists)) return another_branch(known, std::move(checked));
  const bool all_kept = std::all_of(checked.lists.begin(), checked.lists.end(),
                                    [&known](const DeviceList& list) { return is_kept(known, list); });
  if (CHATSDK_PLANTED(Bug::kListsGoBack) && last.version < newest.version && last.version >= oldest.version) {
    learned.user = known;
    std::erase_if(learned.user->lists, [&last](const DeviceList& list) { return list.version > last.version; });
    learned.result = Learning::kChanged;
    return learned;
  }
  if (all_kept) {
    learned.result = Learning::kSame;
    return learned;
  }
  if (first.version - 1 > newest.version) {
    learned.missing = {newest.version + 1, first.version - 1};
    return learned;
  }
  if (last.version < oldest.version - 1) {
    learned.missing = {last.version + 1, oldest.version - 1};
    return learned;
  }

  // Records come with the first list that names them: what is behind a gap may lack those that stand in it.
  if (!checked.whole) return refused();

  // What reaches across an end of the kept versions is linked to them by the versions that both have.
  KnownUser user = known;
  user.records.merge(checked.records);
  std::vector<DeviceList> older;
  for (DeviceList& list : checked.lists) {
    if (list.version < oldest.version)
      older.push_back(std::move(list));
    else if (list.version > newest.version)
      user.lists.push_back(std::move(list));
  }
  user.lists.insert(user.lists.begin(), std::make_move_iterator(older.begin()), std::make_move_iterator(older.end()));
  note_changes(user, newest.version, learned);
  trim(user);
  learned.result = Learning::kChanged;
  learned.user = std::move(user);
  return learned;
}

}  // namespace

const DeviceList* KnownUser::list(std::uint64_t version) const {
  if (version < oldest().version || version > newest().version) return nullptr;
  return &lists[version - oldest().version];
}

const DeviceRecord* listed(const KnownUser& user, std::uint64_t version, DeviceId device_id) {
  const DeviceList* list = user.list(version);
  if (list == nullptr) return nullptr;
  const ListedDevice* device = list->find(device_id);
  if (device == nullptr) return nullptr;
  const auto record = user.records.find(device->record_hash);
  return record == user.records.end() ? nullptr : &record->second;
}

const DeviceRecord* listed(const KnownUser& user, DeviceId device_id) {
  return listed(user, user.newest().version, device_id);
}

void note_replaced(KnownUser& user, const SigningKey& account_key) {
  user.replaced.push_back(account_key);
  if (user.replaced.size() > limits::e2ee::kReplacedMax) user.replaced.erase(user.replaced.begin());
}

bool is_made_up(const KnownUser* known, const DeviceList& list) {
  const std::uint64_t newest = known == nullptr ? 0 : known->newest().version;
  const bool is_far = list.version > newest && list.version - newest > limits::e2ee::kListVersionsAhead;
  return is_far || list.time_ms > limits::e2ee::kListTimeMax;
}

std::vector<DeviceId> taken_out_of(const KnownUser& known, const DeviceList& list) {
  std::vector<DeviceId> gone;
  for (const ListedDevice& device : list.devices) {
    if (names(known.newest(), device)) continue;
    const bool was_listed = std::any_of(known.lists.begin(), known.lists.end(),
                                        [&device](const DeviceList& kept) { return names(kept, device); });
    if (was_listed) gone.push_back(device.device_id);
  }
  return gone;
}

std::optional<KnownUser> branch_against(const KnownUser& known, std::span<const Bytes> lists,
                                        std::span<const Bytes> records) {
  auto checked = check(&known, known.user_id, lists, records);
  if (!checked || !checked->whole || checked->lists.back().account_key != known.account_key) return std::nullopt;
  const bool is_far_below = checked->lists.back().version + 1 < known.oldest().version;
  if (!is_far_below && !is_another_branch(known, checked->lists)) return std::nullopt;
  return pinned(known.user_id, std::move(*checked));
}

bool seem_another_branch(const KnownUser& known, std::span<const Bytes> lists) {
  std::vector<DeviceList> parsed;
  for (const Bytes& bytes : lists) {
    auto list = valid_device_list(bytes, known.user_id);
    if (list && list->account_key == known.account_key) parsed.push_back(std::move(*list));
  }
  return !parsed.empty() && is_another_branch(known, parsed);
}

Learned learn(const KnownUser* known, const UserId& user_id, std::span<const Bytes> lists,
              std::span<const Bytes> records) {
  auto checked = check(known, user_id, lists, records);
  if (!checked || (known == nullptr && !checked->whole)) return refused();
  if (known == nullptr) {
    if (are_made_up(nullptr, checked->lists)) return refused();
    Learned learned;
    learned.user = pinned(user_id, std::move(*checked));
    learned.result = Learning::kFirstContact;
    return learned;
  }
  if (checked->lists.back().account_key != known->account_key) return other_identity(*known, std::move(*checked));
  return same_identity(*known, std::move(*checked));
}

}  // namespace chatsdk::e2ee
