// SPDX-License-Identifier: Apache-2.0
//
// This device's own keys from their first day on (docs/e2ee.md sections 5, 6, 11.4, 11.5 and 17): made, uploaded,
// replaced, refilled, and aged. It says what is uploaded and when; uploading is done above.
//
//   made once:      begin_account(), or adopt_account() for a device that was linked (e2ee/linking.h)
//   from then on:   due_upload() after each log-in, each push of counts and once a day; taken() when the server took it
//   while idle:     age_once_a_day()
//
// Threads: one owner; every call belongs to one open transaction.
// Invariants:
//   1. What is uploaded is kept first: a lost answer is followed by the same bytes. An account key that takes the place
//      of another one does so when the server shows it, and not before: what is refused has changed nothing.
//   2. No key id is ever used twice.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <set>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/fault.h"
#include "base/ids.h"
#include "base/random.h"
#include "base/result.h"
#include "e2ee/device_list.h"
#include "e2ee/kem.h"
#include "e2ee/lifetimes.h"
#include "e2ee/linking.h"
#include "e2ee/notes.h"
#include "e2ee/upkeep.h"

namespace chatsdk::e2ee {

// Bodies of the requests of section 17. An empty string: not part of it.
struct ListUpload {
  Bytes list;
  std::vector<Bytes> records;
};
struct PrekeyUpload {
  Bytes signed_prekey;
  Bytes last_resort;
  std::vector<Bytes> one_time;  // ascending by key id, like the next
  std::vector<Bytes> one_time_kem;
  std::uint32_t drop_below = 0;        // 0: nothing is dropped
  std::vector<std::uint32_t> key_ids;  // of all of them
};

// This device in its user's newest list, as far as that is known here.
enum class Standing {
  kNoKeys,         // nothing was begun
  kAnotherDevice,  // the keys are of a device_id that is this device's no more, and nobody has taken that one out
  kUnlisted,       // no list that was ever learned names it
  kRemoved,        // one did, or the account has another key: this device can only be linked, under whatever id
  kListed,
};

// Once a list names this device under its account key, that is noted: those that are kept may lack it one day.
Status note_place(Kept kept, const KnownUser& own);

// What the server has said that it holds.
struct ServerHolds {
  std::optional<StoredCounts> counts;
  std::optional<Hash> digest;
};

class OwnKeys {
 public:
  // All outlive it.
  OwnKeys(Random& keys, const Kem& kem, const Lifetimes& lifetimes = kLifetimes)
      : keys_(keys),
        kem_(kem),
        lifetimes_(CHATSDK_PLANTED(Bug::kPairOutlivesItsTime) ? kLifetimes : lifetimes),
        share_(draw_rotation_share(keys, lifetimes)) {}

  // The user's first device: the account key, this device's keys and record, and the list of version 1, which is
  // learned when the server has taken it. WRONG_STATE: this device has keys; INVALID_ARGUMENT: the name.
  Result<ListUpload> begin_account(Kept kept, const Peer& device, std::string_view name, std::uint64_t now_ms);
  // branch, here and below: the server's own lists, where they part from those that are known (section 12). Who was
  // taken out of the one or the other is kRemoved; so is who stands in those that are known alone.
  Result<Standing> standing(Kept kept, const Peer& device, const KnownUser* branch = nullptr);
  // A list with this device, which is in none: the first, or the next of the one that is known, without those of `gone`
  // that it names. WRONG_STATE without keys.
  //
  // Of a branch the next one lacks, too, whom the lists that are known have taken out: it joins the two as soon as it
  // is longer than either.
  Result<ListUpload> list_with_self(Kept kept, std::span<const DeviceId> gone, std::uint64_t now_ms,
                                    const KnownUser* branch = nullptr);
  // The server knows this device under another id from now on, since it was restored from an older state or logged in
  // anew: other device keys, and nothing of the old ones' sessions and prekeys. The account key and what is known of
  // users stay, and the list that comes back has the new device in place of the old, and none of `gone`. WRONG_STATE as
  // next_list().
  Result<ListUpload> begin_anew(Kept kept, const Peer& device, std::string_view name, std::span<const DeviceId> gone,
                                std::uint64_t now_ms, const KnownUser* branch = nullptr);
  // A device that was linked: the account key and the device keys that another device has confirmed, in place of what
  // was here. The granted list has been learned by then, or one behind it: what a server shows in its place, or holds
  // back, is BAD_MESSAGE. Where it is a list of the branch, that is what is known from then on.
  Status adopt_account(Kept kept, const Peer& device, std::string_view name, Granted granted, std::uint64_t now_ms,
                       const KnownUser* branch = nullptr);
  // The user begins anew with another account key, and this device as the only one: the list behind the newest that is
  // known, under the new key, and above the server's. again: under the one of the call before, whose list the server
  // has not shown, if that was for this device. WRONG_STATE where no list of the user is known. What this device has
  // stays in force until take_replacement().
  struct Replacement {
    bool again = false;
    std::uint64_t server_version = 0;
  };
  Result<ListUpload> replace_account(Kept kept, const Peer& device, std::string_view name,
                                     const Replacement& replacement, std::uint64_t now_ms);
  // Once the own lists that are known are under the key of replace_account(), however they came: that account and its
  // keys are this device's, and nothing of the old ones' sessions and prekeys. False: they are not, or nothing was
  // begun.
  Result<bool> take_replacement(Kept kept, const UserId& user_id);
  // The next version of the own list. WRONG_STATE where there is none, or no keys; what next_device_list() says.
  Result<ListUpload> next_list(Kept kept, std::span<const DeviceRecord> add, std::span<const DeviceId> remove,
                               std::uint64_t now_ms, const KnownUser* branch = nullptr);
  // Versions behind `last` without any other change, up to this one, and no more than fit into an upload with `before`
  // others. WRONG_STATE without keys.
  Result<std::vector<Bytes>> repeat_list(Kept kept, const DeviceList& last, std::uint64_t version, std::size_t before,
                                         std::uint64_t now_ms);

  // What is to be uploaded now: what is due is made, and what the server has not confirmed is part of it, as much as
  // fits into one request: asked again when that was taken, it gives the rest. nullopt: nothing. Nothing is due before
  // this device is in its user's list.
  Result<std::optional<PrekeyUpload>> due_upload(Kept kept, const ServerHolds& holds, std::uint64_t now_ms);
  Status taken(Kept kept, const PrekeyUpload& upload);
  // LIMIT_REACHED was the answer: the one-time prekeys of it are uploaded no more.
  static Status give_up_one_time(Kept kept, const PrekeyUpload& upload);
  // When due_upload() finds the pair due by its age.
  Result<std::optional<std::uint64_t>> rotation_due_ms(Kept kept);
  // Section 17: of what this device has had confirmed.
  Result<Hash> digest(Kept kept);

  // The server's store was restored: all active sessions are archived, own sender chains begun anew, places forgotten,
  // and new prekeys of all kinds made, which take the place of those that the server holds. Where more than
  // limits::e2ee::kOneTimeStored would come within kRefillPause none are made: the pair that is here is uploaded again,
  // and one-time prekeys come with the next refill.
  Result<PrekeyUpload> new_epoch(Kept kept, std::uint64_t now_ms);
  // Whether the next call does anything: it was not done within the last day.
  Result<bool> ageing_due(Kept kept, std::uint64_t now_ms);
  // After `CaughtUp` and while nothing waits. False: it was not due.
  Result<bool> age_once_a_day(Kept kept, std::uint64_t now_ms);

 private:
  // Device keys and their record.
  Result<Self> make_self(SigningSeed account_seed, DeviceKeys keys, const Peer& device, std::string_view name,
                         std::uint64_t now_ms);
  static Status replace_self(Kept kept, Self self);
  static Status forget_keys(Kept kept);
  Result<ListUpload> list_with(Kept kept, const Self& self, std::set<DeviceId> without, std::uint64_t now_ms,
                               const KnownUser* branch);
  Result<PrekeyUpload> collect(Kept kept);

  Random& keys_;
  const Kem& kem_;
  const Lifetimes& lifetimes_;
  std::chrono::milliseconds share_;  // of the rotation's time, drawn anew with each pair
};

}  // namespace chatsdk::e2ee
