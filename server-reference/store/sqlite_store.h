// SPDX-License-Identifier: Apache-2.0
//
// The store on SQLite: one file in WAL mode with synchronous FULL, one writing connection here, readers on read-only
// connections of their own. Three files stand beside the database: SQLite's log and its index, "<path>.epoch" (see
// store/epoch_file.h) and the empty "<path>-lock", which one server at a time holds.
//
// The epoch. The database holds an epoch and a count of its commits; "<path>.epoch", which no backup includes, repeats
// both. When a store that is not new opens, a new epoch is drawn, written to both, the devices' cursors are set
// to 0 and their one-time prekeys deleted
//   - if the file is missing, or nothing whole in it names the database's epoch;
//   - if the file counts more commits than the database.
// So an older copy of the database is noticed whether the file was left beside it or not. One case is not: a copy that
// is put back after a power loss which also took the file's last advances, and that misses only commits which the file
// no longer counts. A store that wrote nothing, beside a file that is there and empty, is what a first opening leaves
// that was cut short: it is new, and its epoch and secret are drawn again.
//
// Failures. A full disk refuses the batch with STORAGE_FULL and the store works on; it does not bar opening either, for
// log and index stay when the store is closed, the log empty, and so does their room. Any other failure of a commit, or
// of the checkpoint after it, makes the state of the disk unknown: that commit answers its error, or the checkpoint's
// commit still its answers, and every later commit STORAGE.
//
// Threads: the writer's executor, as store.h says; it opens readers too.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/limits.h"
#include "base/random.h"
#include "server-reference/store/account_writer.h"
#include "server-reference/store/epoch_file.h"
#include "server-reference/store/group_writer.h"
#include "server-reference/store/key_writer.h"
#include "server-reference/store/link_writer.h"
#include "server-reference/store/log_index.h"
#include "server-reference/store/message_writer.h"
#include "server-reference/store/operation_log.h"
#include "server-reference/store/roster_writer.h"
#include "server-reference/store/slice_writer.h"
#include "server-reference/store/store.h"
#include "server-reference/store/stream_writer.h"
#include "store/sqlite.h"
#include "store/store_lock.h"

namespace chatsdk::server {

struct SqliteStoreOptions {
  std::string path;
  std::string vfs_name;    // empty: SQLite's default
  std::uint32_t node = 0;  // of the message ids, below 1,024
  // The whole file is read once at open. A server with a very large store may run the check elsewhere.
  bool quick_check = true;
  // A checkpoint follows the commit that brings the log to this many pages: fewer cost more writes of the same pages,
  // more make the one commit that waits for it slower.
  std::uint32_t checkpoint_pages = 4'096;
  // What the writer remembers of rows, at least 1 of each.
  std::size_t cached_streams_max = limits::kCachedStreamsMax;
  std::size_t cached_sessions_max = limits::kCachedSessionsMax;
};

class SqliteStore final : public Store {
 public:
  // What opening found. kNewBesideMark: no database, but the epoch file of one. kPutBack: a database that is older than
  // its epoch file tells, or that has none of its own; it has a new epoch.
  enum class Origin { kContinued, kNew, kNewBesideMark, kPutBack };

  // Makes the store when there is no file. ids gives epoch, secret and session ids and outlives the store.
  // CORRUPT (damaged, or no database of ours: left as it is), READ_ONLY, SCHEMA_TOO_NEW, STORE_IN_USE, STORAGE,
  // STORAGE_FULL (only if the store is new, was restored or is of an older schema, or the index of its log is gone).
  static Result<std::unique_ptr<SqliteStore>> open(SqliteStoreOptions options, Random& ids);

  ~SqliteStore() override;
  SqliteStore(const SqliteStore&) = delete;
  SqliteStore& operator=(const SqliteStore&) = delete;

  Result<CommitResult> commit(std::span<const WriteOp> ops) override;
  Result<std::unique_ptr<StoreReader>> open_reader() override;
  std::uint64_t epoch() const override { return mark_.epoch; }
  Origin origin() const { return origin_; }
  Bytes secret() const override { return secret_; }
  // Between two commits.
  std::size_t cached_streams() const { return streams_->cached(); }
  std::size_t cached_sessions() const { return sessions_->cached(); }

 private:
  SqliteStore(SqliteStoreOptions options, Random& ids) : options_(std::move(options)), random_(ids) {}
  Status open_files();
  Status keep_room_for_the_log();
  Error full_at_opening(const Error& failure) const;
  Status load(bool is_new);
  Status write_meta(const char* name, BytesView value);
  Result<Bytes> read_meta(const char* name);
  Status prepare();

  Status apply_all(std::span<const WriteOp> ops, CommitResult& result);
  void checkpoint_if_due();
  Error fail(Error failure);

  const SqliteStoreOptions options_;
  Random& random_;
  std::optional<StoreLock> lock_;
  std::unique_ptr<EpochFile> epoch_file_;
  LogIndex log_index_;
  sqlite::Database db_;
  EpochMark mark_;
  Origin origin_ = Origin::kContinued;
  Bytes secret_;
  MessageId last_message_id_;
  std::optional<MessageIdMaker> ids_;
  std::optional<OpenSessions> sessions_;
  std::optional<StreamWriter> streams_;
  std::optional<RosterWriter> rosters_;
  std::optional<SliceWriter> slices_;
  std::optional<LinkWriter> links_;
  std::optional<OperationLog> operations_;
  std::optional<MessageWriter> messages_;
  std::optional<GroupWriter> groups_;
  std::optional<KeyWriter> keys_;
  std::optional<AccountWriter> accounts_;
  sqlite::Statement update_progress_;
  std::uint32_t log_pages_ = 0;  // as the last commit left the log
  std::uint32_t checkpoint_at_ = 0;
#ifdef CHATSDK_FAULTS
  std::optional<sqlite::Transaction> answered_early_;  // Bug::kP1AckBeforeCommit: committed with the next batch
#endif
  std::optional<Error> failed_;  // set: nothing is written any more
};

}  // namespace chatsdk::server
