// SPDX-License-Identifier: Apache-2.0
//
// What a device keeps of a user's identity, and how it learns device lists (docs/e2ee.md section 5.3). It does not know
// where lists come from, nor what becomes of sessions when a device or an identity changes: the caller acts on what
// learn() returns.
//
// To have a user forgotten is to drop the KnownUser, replaced keys included: the next list is a first contact.
//
// Threads: values and pure functions.
// Invariants:
//   1. The lists of a KnownUser are at least one, consecutive, each the hash-linked successor of the one before, all
//      signed by the account key; its records are valid, and exactly those that the lists name.
//   2. learn() changes nothing of what it is given, and a refusal returns nothing to keep.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "base/ids.h"
#include "e2ee/device_list.h"
#include "e2ee/device_record.h"

namespace chatsdk::e2ee {

struct KnownUser {
  UserId user_id;
  SigningKey account_key;         // pinned
  std::vector<DeviceList> lists;  // oldest first
  std::map<Hash, DeviceRecord> records;
  bool verified = false;             // by the app, of this account key
  std::vector<SigningKey> replaced;  // account keys that were pinned before: the newest kReplacedMax, oldest first

  const DeviceList& oldest() const { return lists.front(); }
  const DeviceList& newest() const { return lists.back(); }
  // nullptr unless that version is kept.
  const DeviceList* list(std::uint64_t version) const;

  friend bool operator==(const KnownUser&, const KnownUser&) = default;
};

// nullptr where the version is not kept or does not list the device.
const DeviceRecord* listed(const KnownUser& user, std::uint64_t version, DeviceId device_id);
const DeviceRecord* listed(const KnownUser& user, DeviceId device_id);  // in the newest version

enum class Learning {
  kFirstContact,     // the account key is pinned now
  kSame,             // everything was known
  kChanged,          // versions came to those that are kept
  kIdentityChanged,  // another account key is pinned now: every session with the user is archived
  kIgnored,          // of an account key that was replaced, be it before the first contact
  kRefused,          // the app is told
};

struct Learned {
  Learning result = Learning::kRefused;
  // What is kept from now on; none where that is what was kept before.
  std::optional<KnownUser> user;
  // kIdentityChanged: what was kept under the account key before.
  std::optional<KnownUser> former;
  // kChanged: what came and went between a version and the next, for each of the versions newer than those known,
  // ascending, each device once. A device whose record changed is in both.
  std::vector<DeviceId> added;
  std::vector<DeviceId> removed;
  // kRefused for want of the versions between, or of one that connects another branch: these are asked for.
  struct Versions {
    std::uint64_t first = 0;
    std::uint64_t last = 0;
    friend bool operator==(const Versions&, const Versions&) = default;
  };
  std::optional<Versions> missing;
  // Lists under the pinned key that part from those that are kept: refused, or in their place from there on.
  bool against = false;
  // kIgnored: the account key, where it was never pinned here. Whoever was shown it as the user's newest is told.
  std::optional<SigningKey> passed_over;
};

// A list that nobody can have come to, and behind which there would be no room: refused as a first contact, and of
// another account key than the pinned one. `known` is nullptr where nothing is kept of the user.
bool is_made_up(const KnownUser* known, const DeviceList& list);

// The account key was pinned, and another one has come in its place: of these the newest limits::e2ee::kReplacedMax
// stay.
void note_replaced(KnownUser& user, const SigningKey& account_key);

// Whom the kept versions have taken out, under this record, and the list names.
std::vector<DeviceId> taken_out_of(const KnownUser& known, const DeviceList& list);

// Lists that hold, under the pinned key, and that part from those that are kept, or end so far below them that the two
// do not meet: what would be kept of them alone. nullopt: they do not.
std::optional<KnownUser> branch_against(const KnownUser& known, std::span<const Bytes> lists,
                                        std::span<const Bytes> records);
// Whether those that hold by themselves under the pinned key part from those that are kept. Their records are not
// looked at.
bool seem_another_branch(const KnownUser& known, std::span<const Bytes> lists);

// `known` is nullptr where nothing is kept of the user. The lists are ascending by version; no lists are refused.
Learned learn(const KnownUser* known, const UserId& user_id, std::span<const Bytes> lists,
              std::span<const Bytes> records);

}  // namespace chatsdk::e2ee
