// SPDX-License-Identifier: Apache-2.0
//
// The writes of the key directory: device lists, prekeys, and bundles that are taken. It compares versions, hashes and
// key ids; it parses no list and no key, and verifies nothing. As with messages, every check of an op comes before its
// first write.
//
// Threads: the writer's.
// Invariants:
//   1. A row of device_keys stands for a device that is in its user's newest list and exists; one-time prekeys are of
//      such a device alone, and its row counts them.
//   2. The stored versions of a user are of one account key and without a gap, with all records that they name.
//   3. A one-time prekey that was taken is stored no more, and none with a key_id at or below the highest is added.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/result.h"
#include "server-reference/store/link_writer.h"
#include "server-reference/store/open_sessions.h"
#include "server-reference/store/roster_writer.h"
#include "server-reference/store/slice_writer.h"
#include "server-reference/store/store.h"
#include "server-reference/store/stream_writer.h"
#include "store/sqlite.h"

namespace chatsdk::server {

// In each call the Status tells whether the store works; the op's own answer or refusal goes to `answer`.
class KeyWriter {
 public:
  KeyWriter(sqlite::Database& db, StreamWriter& streams, OpenSessions& sessions, RosterWriter& rosters,
            SliceWriter& slices, LinkWriter& links)
      : db_(db), streams_(streams), sessions_(sessions), rosters_(rosters), slices_(slices), links_(links) {}
  Status prepare();

  Status apply(const PublishLists& op, Result<WriteAnswer>& answer);
  Status apply(const UploadPrekeys& op, Result<WriteAnswer>& answer);
  Status apply(const TakeBundles& op, Result<WriteAnswer>& answer);

  // The device's keys are gone with this, and what waits for it under them, its linkings too: for a device that is
  // forgotten in the same transaction.
  Status forget(const UserId& user_id, DeviceId device);

 private:
  // What the directory holds of a user before an op.
  struct Standing {
    std::uint64_t generation = 0;  // of the account key; 0: there is none
    Bytes account_key;
    std::uint64_t version = 0;
    Bytes hash;
    std::vector<ListedDevice> devices;  // of the newest version
  };
  // The columns of device_keys that uploads and bundles are judged by.
  struct KeysRow {
    UserId user_id;
    Bytes record_hash;
    KeyCounts left;
    std::uint32_t one_time_highest = 0;
    std::uint32_t one_time_kem_highest = 0;
    PrekeyRow signed_prekey;
    PrekeyRow last_resort;
    std::int64_t signed_ms = 0;
  };
  enum class OneTimeKind : std::int64_t { kAgreement = 2, kKem = 3 };
  // What an upload changes of one kind.
  struct Refill {
    std::vector<const PrekeyRow*> added;
    std::uint32_t left = 0;
    std::uint32_t highest = 0;
  };
  using Refusal = std::optional<Error>;

  Result<Standing> standing_of(const UserId& user_id);
  // The versions that are stored already, which come first; another hash is a refusal.
  Result<std::size_t> count_stored(const PublishLists& op, const Standing& standing, Refusal& refusal);
  Result<Refusal> refusal_of_lists(const PublishLists& op, const Standing& standing, std::size_t stored);
  // Of the list behind those that are stored; and of the first lists under a key that takes another one's place.
  static Refusal refusal_of_next(const ListVersion& next, const Standing& standing);
  static Refusal refusal_of_beginning(const PublishLists& op, const Standing& standing);
  Result<Refusal> refusal_of_key(const PublishLists& op, const Standing& standing);
  Result<Refusal> refusal_of_new_record(const PublishLists& op, const Standing& standing);
  Result<Refusal> refusal_of_entries(const PublishLists& op, const Standing& standing, std::size_t stored);
  Result<bool> has_record(const PublishLists& op, const Bytes& hash);
  Result<bool> is_device_of(DeviceId device, const UserId& user_id);
  Status write_lists(const PublishLists& op, const Standing& standing, std::size_t stored);
  Status replace_devices(const PublishLists& op, const Standing& standing, ListsPublished& published);

  Result<std::optional<KeysRow>> keys_of(DeviceId device);
  Result<Refill> refill_of(const UploadPrekeys& op, OneTimeKind kind, const KeysRow& row, Refusal& refusal);
  Status add_one_time(DeviceId device, OneTimeKind kind, std::span<const PrekeyRow* const> added);
  // The lowest of the kind, which is stored no more; empty where there is none.
  Result<Bytes> take_one_time(DeviceId device, OneTimeKind kind);
  Result<std::optional<TakenBundle>> take_bundle(const UserId& user_id, const TakeBundles::Wanted& wanted);

  sqlite::Database& db_;
  StreamWriter& streams_;
  OpenSessions& sessions_;
  RosterWriter& rosters_;
  SliceWriter& slices_;
  LinkWriter& links_;

  sqlite::Statement select_account_stream_;
  sqlite::Statement select_account_key_;
  sqlite::Statement select_replaced_;
  sqlite::Statement insert_account_key_;
  sqlite::Statement delete_replaced_;
  sqlite::Statement select_newest_;
  sqlite::Statement select_list_hash_;
  sqlite::Statement select_entries_;
  sqlite::Statement select_record_;
  sqlite::Statement insert_list_;
  sqlite::Statement insert_entry_;
  sqlite::Statement insert_record_;
  sqlite::Statement delete_lists_;
  sqlite::Statement delete_entries_;
  sqlite::Statement delete_records_;
  sqlite::Statement select_device_;
  sqlite::Statement delete_session_;
  sqlite::Statement select_keys_;
  sqlite::Statement insert_keys_;
  sqlite::Statement update_keys_;
  sqlite::Statement update_counts_;
  sqlite::Statement delete_keys_;
  sqlite::Statement select_one_time_;
  sqlite::Statement count_below_;
  sqlite::Statement select_lowest_;
  sqlite::Statement insert_one_time_;
  sqlite::Statement delete_one_time_;
  sqlite::Statement delete_below_;
  sqlite::Statement delete_one_time_of_;
};

// Of a store that went back: which one-time prekeys had gone out since is not known, so none is left.
Status forget_one_time_prekeys(sqlite::Database& db);

}  // namespace chatsdk::server
