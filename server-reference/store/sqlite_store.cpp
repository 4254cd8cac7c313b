// SPDX-License-Identifier: Apache-2.0
#include "server-reference/store/sqlite_store.h"

#include <sqlite3.h>

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "base/fault.h"
#include "server-reference/store/schema.h"
#include "server-reference/store/sqlite_reader.h"

namespace chatsdk::server {

namespace {

constexpr std::size_t kSecretBytes = 32;
constexpr std::uint64_t kCommitsOfNew = 1;
constexpr std::uint32_t kNodesMax = 1'024;

// The writer meets the pages of every hot stream again and again; a log that a spike made long is cut afterwards.
constexpr const char* kWriterPragmas =
    "PRAGMA cache_size = -65536; PRAGMA journal_size_limit = 67108864; PRAGMA wal_autocheckpoint = 0;";

bool is_survivable(Code code) { return code == Code::kStorageFull || code == Code::kBusy || code == Code::kNoMemory; }

int remember_log_pages(void* pages, sqlite3*, const char*, int log_pages) {
  *static_cast<std::uint32_t*>(pages) = static_cast<std::uint32_t>(log_pages);
  return SQLITE_OK;
}

Bytes to_blob(std::uint64_t value) {
  Bytes bytes;
  for (int shift = 56; shift >= 0; shift -= 8) bytes.push_back(static_cast<char>(value >> shift));
  return bytes;
}

std::uint64_t from_blob(BytesView bytes) {
  std::uint64_t value = 0;
  for (const char c : bytes) value = (value << 8) | static_cast<unsigned char>(c);
  return value;
}

#ifdef CHATSDK_FAULTS
// What a commit may be answered early for (Bug::kP1AckBeforeCommit): sessions would wait without end for what an
// account stream announces and nobody can read yet.
bool only_messages(const CommitResult& result) {
  return !result.appended.empty() &&
         std::all_of(result.appended.begin(), result.appended.end(),
                     [](const AppendedItem& item) { return item.kind == wire::STREAM_KIND_CONVERSATION; });
}
#endif

}  // namespace

// ---- Opening -------------------------------------------------------------------------------------------------------

Result<std::unique_ptr<SqliteStore>> SqliteStore::open(SqliteStoreOptions options, Random& ids) {
  if (options.node >= kNodesMax) {
    return error(Code::kInvalidArgument,
                 "node " + std::to_string(options.node) + ", limit " + std::to_string(kNodesMax - 1));
  }
  // Once and for all files: SQLite puts its log beside the file that a symbolic link leads to.
  CHATSDK_ASSIGN(options.path, sqlite::resolve_path(options.path, options.vfs_name));
  std::unique_ptr<SqliteStore> store(new SqliteStore(std::move(options), ids));
  Status opened = store->open_files();
  if (!opened.ok()) {
    store->failed_ = opened.error();  // what was not opened whole is not written at the end either
    if (opened.code() == Code::kStorageFull) return store->full_at_opening(opened.error());
    return std::move(opened).error();
  }
  return store;
}

Status SqliteStore::open_files() {
  CHATSDK_ASSIGN(lock_, StoreLock::acquire(options_.path, options_.vfs_name));
  CHATSDK_TRY(lock_->claim_file(StoreLock::IfAbsent::kMake));
  CHATSDK_ASSIGN(db_, sqlite::Database::open(options_.path, {.mode = sqlite::OpenMode::kReadWriteCreate,
                                                             .vfs_name = options_.vfs_name,
                                                             .busy_timeout = kBusyTimeout}));
  CHATSDK_TRY(log_index_.stand_before(db_));
  CHATSDK_TRY(keep_room_for_the_log());
  // SQLite opens a file that it may not write for reading instead.
  if (sqlite3_db_readonly(db_.handle(), "main") == 1) {
    return error(Code::kReadOnly, options_.path + " can only be read");
  }
  CHATSDK_ASSIGN(const std::int32_t version, schema_version(db_));
  if (version != 0 && options_.quick_check) CHATSDK_TRY(db_.quick_check());
  CHATSDK_TRY(sqlite::apply_standard_pragmas(db_));
  if (CHATSDK_PLANTED(Bug::kP3ServerSyncNormal)) CHATSDK_TRY(db_.execute("PRAGMA synchronous = NORMAL"));
  CHATSDK_TRY(sqlite::settle_log(db_));
  CHATSDK_TRY(db_.execute(kWriterPragmas));
  sqlite3_wal_hook(db_.handle(), remember_log_pages, &log_pages_);
  checkpoint_at_ = options_.checkpoint_pages;
  CHATSDK_TRY(migrate(db_, version));
  CHATSDK_FAULT("server_store.open_between_schema_and_epoch");
  if (CHATSDK_PLANTED(Bug::kP4DuplicatesOnlyInMemory)) CHATSDK_TRY(db_.execute("DELETE FROM dedup"));
  if (CHATSDK_PLANTED(Bug::kRotationForgotten)) CHATSDK_TRY(db_.execute("UPDATE session SET last_request_id = x''"));
  CHATSDK_ASSIGN(epoch_file_, EpochFile::open(options_.path + ".epoch", options_.vfs_name));
  CHATSDK_TRY(load(version == 0));
  CHATSDK_FAULT("server_store.open_between_epoch_and_anchor");
  const Status anchored = epoch_file_->anchor(mark_);
  // Without room the slots stay as they were: they vouch for the database, or the next opening draws another epoch.
  if (!anchored.ok() && anchored.code() != Code::kStorageFull) return anchored;
  return prepare();
}

// Otherwise SQLite removes log and index with the last connection. A VFS without them need not know this.
Status SqliteStore::keep_room_for_the_log() {
  int keep = 1;
  const int kept = sqlite3_file_control(db_.handle(), "main", SQLITE_FCNTL_PERSIST_WAL, &keep);
  if (kept != SQLITE_OK && kept != SQLITE_NOTFOUND) return sqlite::error_of(kept, "keep the log's file");
  return {};
}

Error SqliteStore::full_at_opening(const Error& failure) const {
  const std::string what = log_index_.was_refused() ? "no room for \"" + options_.path + "-shm\"" : failure.detail;
  return error(Code::kStorageFull, "the disk is full: " + what, failure.cause);
}

Status SqliteStore::load(bool is_new) {
  CHATSDK_ASSIGN(auto progress, db_.prepare("SELECT commits, last_message_id FROM progress"));
  CHATSDK_ASSIGN(const bool found, progress.step());
  if (found) {
    mark_.commits = from_column(progress.integer(0));
    last_message_id_ = MessageId{from_column(progress.integer(1))};
    progress.reset();
    CHATSDK_ASSIGN(const Bytes epoch, read_meta("epoch"));
    CHATSDK_ASSIGN(secret_, read_meta("secret"));
    mark_.epoch = from_blob(epoch);
    CHATSDK_ASSIGN(const bool vouched, epoch_file_->vouches_for(mark_));
    if (vouched || CHATSDK_PLANTED(Bug::kRestoreKeepsEpoch)) return {};
  }
  // An opening that was cut short after the first migration left the tables without these rows; one that was cut short
  // later, the rows of a store that wrote nothing and a file of its epoch that is there and says nothing. Nobody was
  // told anything of either: the store is still new.
  is_new = is_new || !found || (mark_.commits == kCommitsOfNew && epoch_file_->was_blank());
  CHATSDK_ASSIGN(const bool marked, epoch_file_->is_marked());
  origin_ = !is_new ? Origin::kPutBack : marked ? Origin::kNewBesideMark : Origin::kNew;

  mark_.epoch = random_.next_u64() | 1;  // never 0, which means none
  mark_.commits = is_new ? kCommitsOfNew : mark_.commits + 1;
  CHATSDK_ASSIGN(auto transaction, sqlite::Transaction::begin(db_));
  CHATSDK_TRY(write_meta("epoch", to_blob(mark_.epoch)));
  if (is_new) {
    secret_ = random_.bytes(kSecretBytes);
    CHATSDK_TRY(write_meta("secret", secret_));
    CHATSDK_TRY(db_.execute("INSERT OR REPLACE INTO progress(one, commits, last_message_id) VALUES (1, 1, 0)"));
  } else {
    CHATSDK_TRY(db_.execute("UPDATE progress SET commits = commits + 1"));
    // A device that meets the new epoch begins at 0, and what it acknowledges from then on is all that it is held to.
    CHATSDK_TRY(db_.execute("UPDATE cursor SET acked = 0"));
    CHATSDK_TRY(db_.execute("UPDATE stream SET earlier_head = head"));
    // Which of them had gone out since is lost. Their devices see it in the counts and upload others.
    CHATSDK_TRY(forget_one_time_prekeys(db_));
  }
  return transaction.commit();
}

Status SqliteStore::write_meta(const char* name, BytesView value) {
  CHATSDK_ASSIGN(auto put, db_.prepare("INSERT INTO meta(name, value) VALUES (?1, ?2) "
                                       "ON CONFLICT (name) DO UPDATE SET value = excluded.value"));
  return put.bind_text(1, name).bind_blob(2, value).run();
}

Result<Bytes> SqliteStore::read_meta(const char* name) {
  CHATSDK_ASSIGN(auto select, db_.prepare("SELECT value FROM meta WHERE name = ?1"));
  CHATSDK_ASSIGN(const bool found, select.bind_text(1, name).step());
  if (!found) return error(Code::kCorrupt, std::string("the store has no ") + name);
  return Bytes(select.blob(0));
}

Status SqliteStore::prepare() {
  ids_.emplace(options_.node, last_message_id_);
  streams_.emplace(db_, *ids_, options_.cached_streams_max);
  sessions_.emplace(db_, options_.cached_sessions_max);
  rosters_.emplace(db_, *streams_);
  slices_.emplace(db_, *sessions_);
  operations_.emplace(db_);
  messages_.emplace(db_, *streams_, *sessions_, *rosters_, *slices_, *operations_);
  groups_.emplace(db_, *streams_, *sessions_, *operations_);
  links_.emplace(db_, *sessions_);
  keys_.emplace(db_, *streams_, *sessions_, *rosters_, *slices_, *links_);
  accounts_.emplace(db_, *streams_, *sessions_, *keys_, *ids_, random_);
  CHATSDK_TRY(sessions_->prepare());
  CHATSDK_TRY(streams_->prepare());
  CHATSDK_TRY(rosters_->prepare());
  CHATSDK_TRY(slices_->prepare());
  CHATSDK_TRY(links_->prepare());
  CHATSDK_TRY(operations_->prepare());
  CHATSDK_TRY(messages_->prepare());
  CHATSDK_TRY(groups_->prepare());
  CHATSDK_TRY(keys_->prepare());
  CHATSDK_TRY(accounts_->prepare());
  CHATSDK_ASSIGN(update_progress_, db_.prepare("UPDATE progress SET commits = ?1, last_message_id = ?2"));
  return {};
}

SqliteStore::~SqliteStore() {
  if (failed_ || !epoch_file_) return;
  const Status ignored = epoch_file_->anchor(mark_);
  static_cast<void>(ignored);
}

Result<std::unique_ptr<StoreReader>> SqliteStore::open_reader() {
  CHATSDK_ASSIGN(auto reader, SqliteReader::open(options_.path, options_.vfs_name));
  return std::unique_ptr<StoreReader>(std::move(reader));
}

// ---- Committing ----------------------------------------------------------------------------------------------------

Result<CommitResult> SqliteStore::commit(std::span<const WriteOp> ops) {
  if (failed_) return error(Code::kStorage, "the store failed earlier: " + failed_->detail);
  CommitResult result;
  result.answers.reserve(ops.size());
  Status applied = apply_all(ops, result);
  streams_->release();
  messages_->release();
  if (!applied.ok()) return fail(std::move(applied).error());
  streams_->trim();
  checkpoint_if_due();
  return result;
}

Status SqliteStore::apply_all(std::span<const WriteOp> ops, CommitResult& result) {
  streams_->begin(result);
  messages_->begin(result);
#ifdef CHATSDK_FAULTS
  if (answered_early_) CHATSDK_TRY(answered_early_->commit());
  answered_early_.reset();
#endif
  CHATSDK_ASSIGN(auto transaction, sqlite::Transaction::begin(db_));
  const std::int64_t changes_before = sqlite3_total_changes64(db_.handle());
  for (const WriteOp& op : ops) {
    Result<WriteAnswer>& answer = result.answers.emplace_back(WriteAnswer(Done{}));
    CHATSDK_TRY(std::visit(
        [&](const auto& write) -> Status {
          if constexpr (requires { messages_->apply(write, answer); }) {
            return messages_->apply(write, answer);
          } else if constexpr (requires { rosters_->apply(write, answer); }) {
            return rosters_->apply(write, answer);
          } else if constexpr (requires { slices_->apply(write, answer); }) {
            return slices_->apply(write, answer);
          } else if constexpr (requires { links_->apply(write, answer); }) {
            return links_->apply(write, answer);
          } else if constexpr (requires { groups_->apply(write, answer); }) {
            return groups_->apply(write, answer);
          } else if constexpr (requires { keys_->apply(write, answer); }) {
            return keys_->apply(write, answer);
          } else {
            return accounts_->apply(write, answer);
          }
        },
        op));
  }
  CHATSDK_TRY(streams_->flush());
  if (sqlite3_total_changes64(db_.handle()) == changes_before) return {};
  const EpochMark next{mark_.epoch, mark_.commits + 1};
  CHATSDK_TRY(update_progress_.bind(1, to_column(next.commits)).bind(2, to_column(ids_->last().value)).run());
  CHATSDK_FAULT("server_store.before_commit");
  if (CHATSDK_FAULT_BRANCH("server_store.disk_is_full")) return error(Code::kStorageFull, "no room for a commit");
#ifdef CHATSDK_FAULTS
  if (CHATSDK_PLANTED(Bug::kP1AckBeforeCommit) && only_messages(result)) {
    answered_early_.emplace(std::move(transaction));
  } else {
    CHATSDK_TRY(transaction.commit());
  }
#else
  CHATSDK_TRY(transaction.commit());
#endif
  CHATSDK_FAULT("server_store.between_commit_and_epoch_file");
  mark_ = next;
  epoch_file_->advance(mark_);
  return {};
}

void SqliteStore::checkpoint_if_due() {
  if (log_pages_ < checkpoint_at_ && !CHATSDK_FAULT_BRANCH("server_store.checkpoint_is_due")) return;
  CHATSDK_FAULT("server_store.before_checkpoint");
  const Status checkpointed = db_.checkpoint(sqlite::CheckpointMode::kPassive);
  // A reader in its snapshot keeps the end of the log; it is tried again when as much has been added once more.
  checkpoint_at_ = options_.checkpoint_pages + (checkpointed.ok() ? 0 : log_pages_);
  if (!checkpointed.ok() && !is_survivable(checkpointed.code())) failed_ = checkpointed.error();
}

Error SqliteStore::fail(Error failure) {
  // The transaction has been rolled back, so what is in memory is ahead of the disk.
  streams_->forget();
  sessions_->forget_all();
  if (!is_survivable(failure.code)) failed_ = failure;
  return failure;
}

}  // namespace chatsdk::server
