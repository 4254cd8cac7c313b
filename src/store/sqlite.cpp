// SPDX-License-Identifier: Apache-2.0
#include "store/sqlite.h"

#include <sqlite3.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <new>
#include <vector>

#include "base/limits.h"

namespace chatsdk::sqlite {

namespace {

constexpr int kReadThroughBytes = 4'096;
// In a check's words, of a page for which there was no memory.
constexpr std::string_view kPageWithoutMemory = "error code=7";
static_assert(SQLITE_NOMEM == 7);

// Values longer than SQLite's own int lengths cannot be bound; SQLITE_TOOBIG says so.
bool fits(std::string_view bytes) { return bytes.size() <= static_cast<std::size_t>(std::numeric_limits<int>::max()); }

// A null pointer would bind NULL where an empty value is meant.
const char* data_of(std::string_view bytes) { return bytes.data() == nullptr ? "" : bytes.data(); }

int open_flags(OpenMode mode) {
  const int common = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
  switch (mode) {
    case OpenMode::kReadOnly:
      return common | SQLITE_OPEN_READONLY;
    case OpenMode::kReadWrite:
      return common | SQLITE_OPEN_READWRITE;
    case OpenMode::kReadWriteCreate:
      return common | SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
  }
  return common | SQLITE_OPEN_READONLY;
}

int checkpoint_mode(CheckpointMode mode) {
  switch (mode) {
    case CheckpointMode::kPassive:
      return SQLITE_CHECKPOINT_PASSIVE;
    case CheckpointMode::kFull:
      return SQLITE_CHECKPOINT_FULL;
    case CheckpointMode::kRestart:
      return SQLITE_CHECKPOINT_RESTART;
    case CheckpointMode::kTruncate:
      return SQLITE_CHECKPOINT_TRUNCATE;
  }
  return SQLITE_CHECKPOINT_PASSIVE;
}

void tell_damaged(sqlite3* db) { sqlite3_file_control(db, "main", kFileControlDamaged, nullptr); }

}  // namespace

Code code_of(int sqlite_result) {
  switch (sqlite_result) {
    case SQLITE_CONSTRAINT_UNIQUE:
    case SQLITE_CONSTRAINT_PRIMARYKEY:
    case SQLITE_CONSTRAINT_ROWID:
      return Code::kAlreadyExists;
    case SQLITE_CONSTRAINT_FOREIGNKEY:
      return Code::kNotFound;
    case SQLITE_IOERR_DATA:
      return Code::kTampered;
    case SQLITE_IOERR_AUTH:
      return Code::kWrongKey;
    case SQLITE_IOERR_NOMEM:
      return Code::kNoMemory;
    case SQLITE_IOERR_SHMSIZE:  // the shared index of the log could not grow
      return Code::kStorageFull;
    default:
      break;
  }
  switch (sqlite_result & 0xFF) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE:
      return Code::kOk;
    case SQLITE_FULL:
      return Code::kStorageFull;
    case SQLITE_READONLY:
      return Code::kReadOnly;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return Code::kCorrupt;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return Code::kBusy;
    case SQLITE_NOMEM:
      return Code::kNoMemory;
    case SQLITE_TOOBIG:
      return Code::kTooLarge;
    case SQLITE_INTERRUPT:
      return Code::kCancelled;
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
    case SQLITE_NOLFS:
    case SQLITE_PROTOCOL:
      return Code::kStorage;
    default:
      return Code::kInternal;
  }
}

Error error_of(int sqlite_result, std::string_view what) {
  std::string detail(what);
  detail += ": ";
  detail += sqlite3_errstr(sqlite_result);
  detail += " (";
  detail += std::to_string(sqlite_result);
  detail += ")";
  return error(code_of(sqlite_result), std::move(detail), {CauseDomain::kSqlite, sqlite_result});
}

namespace {

Error too_large(const char* what, std::size_t bytes, std::size_t limit) {
  return error(Code::kTooLarge, what + std::to_string(bytes) + " B, limit " + std::to_string(limit) + " B");
}
Error name_too_large(std::size_t bytes) { return too_large("name of the file ", bytes, limits::kStoreNameBytesMax); }
Error path_too_large(std::size_t bytes) { return too_large("path from the root ", bytes, limits::kStorePathBytesMax); }

// Of what stands behind the last '/', or of all.
std::size_t name_bytes_of(std::string_view path) { return path.size() - (path.rfind('/') + 1); }

// As though it led through no links.
std::size_t bytes_from_root(const std::string& path) {
  std::array<char, limits::kPathBytesMax> directory{};
  if (path.starts_with('/') || ::getcwd(directory.data(), directory.size()) == nullptr) return path.size();
  return std::strlen(directory.data()) + 1 + path.size();
}

}  // namespace

Result<std::string> resolve_path(const std::string& path, const std::string& vfs_name) {
  if (const int started = sqlite3_initialize(); started != SQLITE_OK) return error_of(started, "start SQLite");
  sqlite3_vfs* vfs = sqlite3_vfs_find(vfs_name.empty() ? nullptr : vfs_name.c_str());
  if (vfs == nullptr) return error(Code::kInvalidArgument, "no such VFS");
  std::vector<char> resolved(static_cast<std::size_t>(vfs->mxPathname) + 1);
  const int named = vfs->xFullPathname(vfs, path.c_str(), vfs->mxPathname, resolved.data());
  // A note beside SQLITE_OK says that symbolic links were followed.
  if ((named & 0xFF) != SQLITE_OK) {
    const std::size_t bytes = bytes_from_root(path);
    if (bytes > limits::kStorePathBytesMax) return path_too_large(bytes);
    // From some length on no file system has such a name, and nothing is found.
    if (const std::size_t name = name_bytes_of(path); name > limits::kStoreNameBytesMax) return name_too_large(name);
    return error_of(named, "find the file that the path names");
  }
  std::string found(resolved.data());
  if (found.size() > limits::kStorePathBytesMax) return path_too_large(found.size());
  if (const std::size_t name = name_bytes_of(found); name > limits::kStoreNameBytesMax) return name_too_large(name);
  return found;
}

// ---- Statement -----------------------------------------------------------------------------------------------------

Statement::~Statement() { sqlite3_finalize(statement_); }

Statement::Statement(Statement&& other) noexcept
    : statement_(std::exchange(other.statement_, nullptr)), bind_result_(std::exchange(other.bind_result_, 0)) {}

Statement& Statement::operator=(Statement&& other) noexcept {
  if (this != &other) {
    sqlite3_finalize(statement_);
    statement_ = std::exchange(other.statement_, nullptr);
    bind_result_ = std::exchange(other.bind_result_, 0);
  }
  return *this;
}

Statement& Statement::keep(int result) {
  if (bind_result_ == SQLITE_OK) bind_result_ = result;
  return *this;
}

Statement& Statement::bind(int index, std::int64_t value) { return keep(sqlite3_bind_int64(statement_, index, value)); }

Statement& Statement::bind(int index, std::nullptr_t) { return keep(sqlite3_bind_null(statement_, index)); }

Statement& Statement::bind_real(int index, double value) { return keep(sqlite3_bind_double(statement_, index, value)); }

Statement& Statement::bind_text(int index, std::string_view text) {
  if (!fits(text)) return keep(SQLITE_TOOBIG);
  return keep(sqlite3_bind_text(statement_, index, data_of(text), static_cast<int>(text.size()), SQLITE_TRANSIENT));
}

Statement& Statement::bind_blob(int index, std::string_view bytes) {
  if (!fits(bytes)) return keep(SQLITE_TOOBIG);
  return keep(sqlite3_bind_blob(statement_, index, data_of(bytes), static_cast<int>(bytes.size()), SQLITE_TRANSIENT));
}

Statement& Statement::bind_text_borrowed(int index, std::string_view text) {
  if (!fits(text)) return keep(SQLITE_TOOBIG);
  return keep(sqlite3_bind_text(statement_, index, data_of(text), static_cast<int>(text.size()), SQLITE_STATIC));
}

Statement& Statement::bind_blob_borrowed(int index, std::string_view bytes) {
  if (!fits(bytes)) return keep(SQLITE_TOOBIG);
  return keep(sqlite3_bind_blob(statement_, index, data_of(bytes), static_cast<int>(bytes.size()), SQLITE_STATIC));
}

Statement& Statement::bind_or_null(int index, std::optional<std::int64_t> value) {
  return value ? bind(index, *value) : bind(index, nullptr);
}

Statement& Statement::bind_text_or_null(int index, const std::optional<std::string>& text) {
  return text ? bind_text(index, std::string_view(*text)) : bind(index, nullptr);
}

Statement& Statement::bind_blob_or_null(int index, const std::optional<std::string>& bytes) {
  return bytes ? bind_blob(index, std::string_view(*bytes)) : bind(index, nullptr);
}

Error Statement::failure(int result) const {
  Error failed = error_of(result, "statement");
  if (failed.code == Code::kCorrupt && statement_ != nullptr) tell_damaged(sqlite3_db_handle(statement_));
  // The message of a failed constraint names tables and columns; other messages could quote data.
  if ((result & 0xFF) == SQLITE_CONSTRAINT && statement_ != nullptr) {
    failed.detail += ": ";
    failed.detail += sqlite3_errmsg(sqlite3_db_handle(statement_));
  }
  return failed;
}

Result<bool> Statement::step() {
  if (statement_ == nullptr) return error(Code::kInternal, "step of an empty statement");
  if (const int bound = std::exchange(bind_result_, SQLITE_OK); bound != SQLITE_OK) {
    reset();
    return error_of(bound, "bind");
  }
  const int result = sqlite3_step(statement_);
  if (result == SQLITE_ROW) return true;
  if (result == SQLITE_DONE) {
    sqlite3_reset(statement_);
    return false;
  }
  Error failed = failure(result);
  sqlite3_reset(statement_);
  return failed;
}

Status Statement::run() {
  for (;;) {
    CHATSDK_ASSIGN(const bool row, step());
    if (!row) return {};
  }
}

void Statement::attempt() noexcept {
  sqlite3_step(statement_);
  sqlite3_reset(statement_);
}

Status Statement::step_row() {
  CHATSDK_ASSIGN(const bool row, step());
  if (!row) return error(Code::kNotFound, "no such row");
  return {};
}

void Statement::reset() {
  sqlite3_reset(statement_);
  bind_result_ = SQLITE_OK;
}

void Statement::clear_bindings() {
  if (statement_ != nullptr) sqlite3_clear_bindings(statement_);
}

bool Statement::is_null(int column) const { return sqlite3_column_type(statement_, column) == SQLITE_NULL; }

std::int64_t Statement::integer(int column) const { return sqlite3_column_int64(statement_, column); }

double Statement::real(int column) const { return sqlite3_column_double(statement_, column); }

std::string_view Statement::text(int column) const {
  const unsigned char* text = sqlite3_column_text(statement_, column);
  if (text == nullptr) {
    if (sqlite3_column_type(statement_, column) != SQLITE_NULL)
      throw std::bad_alloc();  // its form could not be changed
    return {};
  }
  return {reinterpret_cast<const char*>(text), static_cast<std::size_t>(sqlite3_column_bytes(statement_, column))};
}

std::string_view Statement::blob(int column) const {
  const void* bytes = sqlite3_column_blob(statement_, column);
  if (bytes == nullptr) return {};
  return {static_cast<const char*>(bytes), static_cast<std::size_t>(sqlite3_column_bytes(statement_, column))};
}

int Statement::column_count() const { return sqlite3_column_count(statement_); }

// ---- Database ------------------------------------------------------------------------------------------------------

Result<Database> Database::open(const std::string& path, const OpenOptions& options) {
  sqlite3* handle = nullptr;
  const char* vfs = options.vfs_name.empty() ? nullptr : options.vfs_name.c_str();
  const int result = sqlite3_open_v2(path.c_str(), &handle, open_flags(options.mode), vfs);
  if (result != SQLITE_OK) {
    sqlite3_close_v2(handle);
    return error_of(result, "open");
  }
  Database db(handle);
  sqlite3_extended_result_codes(handle, 1);
  // The schema is data of the file: it may not run functions with side effects, nor may SQL rewrite it byte by byte.
  sqlite3_db_config(handle, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
  sqlite3_db_config(handle, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  // A misspelt column in double quotes is an error, not a string.
  sqlite3_db_config(handle, SQLITE_DBCONFIG_DQS_DML, 0, nullptr);
  sqlite3_db_config(handle, SQLITE_DBCONFIG_DQS_DDL, 0, nullptr);
  sqlite3_busy_timeout(handle, static_cast<int>(options.busy_timeout.count()));
  return db;
}

Database::~Database() { close_now(); }

Database::Database(Database&& other) noexcept
    : db_(std::exchange(other.db_, nullptr)),
      begin_immediate_(std::move(other.begin_immediate_)),
      begin_deferred_(std::move(other.begin_deferred_)),
      commit_(std::move(other.commit_)),
      rollback_(std::move(other.rollback_)) {}

Database& Database::operator=(Database&& other) noexcept {
  if (this != &other) {
    close_now();
    db_ = std::exchange(other.db_, nullptr);
    begin_immediate_ = std::move(other.begin_immediate_);
    begin_deferred_ = std::move(other.begin_deferred_);
    commit_ = std::move(other.commit_);
    rollback_ = std::move(other.rollback_);
  }
  return *this;
}

Result<Statement> Database::prepare(std::string_view sql) {
  sqlite3_stmt* statement = nullptr;
  const char* rest = nullptr;
  const int result =
      sqlite3_prepare_v3(db_, sql.data(), static_cast<int>(sql.size()), SQLITE_PREPARE_PERSISTENT, &statement, &rest);
  if (result != SQLITE_OK) {
    Error failed = error_of(result, "prepare");
    if (failed.code == Code::kCorrupt) tell_damaged(db_);
    // A message at this point can quote only the SQL text, which is the programmer's.
    failed.detail += ": ";
    failed.detail += sqlite3_errmsg(db_);
    return failed;
  }
  Statement prepared(statement);
  if (statement == nullptr) return error(Code::kInternal, "prepare: the text holds no statement");
  for (const char* c = rest; c < sql.data() + sql.size(); ++c) {
    if (*c != ' ' && *c != '\n' && *c != '\t' && *c != '\r' && *c != ';') {
      return error(Code::kInternal, "prepare: the text holds more than one statement");
    }
  }
  return prepared;
}

Status Database::execute(const char* sql) {
  const int result = sqlite3_exec(db_, sql, nullptr, nullptr, nullptr);
  if (result == SQLITE_OK) return {};
  Error failed = error_of(result, "execute");
  if ((result & 0xFF) == SQLITE_ERROR) {
    failed.detail += ": ";
    failed.detail += sqlite3_errmsg(db_);
  }
  return failed;
}

std::int64_t Database::last_insert_rowid() const { return sqlite3_last_insert_rowid(db_); }
std::int64_t Database::changes() const { return sqlite3_changes64(db_); }
std::int64_t Database::total_changes() const { return sqlite3_total_changes64(db_); }
bool Database::in_transaction() const { return sqlite3_get_autocommit(db_) == 0; }

Result<std::int64_t> Database::user_version() {
  CHATSDK_ASSIGN(auto statement, prepare("PRAGMA user_version"));
  CHATSDK_TRY(statement.step_row());
  return statement.integer(0);
}

Status Database::set_user_version(std::int32_t version) {
  // Pragmas take no parameters; the text is a number and nothing else.
  return execute(("PRAGMA user_version = " + std::to_string(version)).c_str());
}

// SQLite tells a page that it could not read in the words of a damaged one. The file is damaged only when it says so
// twice and can be read from end to end.
Status Database::check(const std::string& sql) {
  CHATSDK_ASSIGN(const std::string first, check_once(sql));
  if (first == "ok") return {};
  CHATSDK_ASSIGN(const std::string second, check_once(sql));
  if (second == "ok" && first.ends_with(kPageWithoutMemory)) return error_of(SQLITE_NOMEM, sql);
  if (second == "ok") return error(Code::kStorage, sql + " could not read what it can read now");
  CHATSDK_TRY(read_through());
  return error(Code::kCorrupt, sql + ": " + second);
}

Result<std::string> Database::check_once(const std::string& sql) {
  CHATSDK_ASSIGN(auto statement, prepare(sql));
  CHATSDK_TRY(statement.step_row());
  return std::string(statement.text(0));
}

// Pages that a commit wrote and no checkpoint copied yet are in the log alone. Of an encrypted file the one below is
// read: a frame that a power cut tore, behind the end of the log, does not open, and is no failure to read.
Status Database::read_through() {
  for (const int which : {SQLITE_FCNTL_FILE_POINTER, SQLITE_FCNTL_JOURNAL_POINTER}) {
    sqlite3_file* file = nullptr;
    const int found = sqlite3_file_control(db_, "main", which, &file);
    if (found != SQLITE_OK || file == nullptr || file->pMethods == nullptr) continue;
    file->pMethods->xFileControl(file, kFileControlFileBelow, &file);
    sqlite3_int64 size = 0;
    if (const int result = file->pMethods->xFileSize(file, &size); result != SQLITE_OK) return error_of(result, "size");
    std::vector<char> page(kReadThroughBytes);
    for (sqlite3_int64 at = 0; at < size; at += kReadThroughBytes) {
      const auto wanted = static_cast<int>(std::min<sqlite3_int64>(kReadThroughBytes, size - at));
      const int result = file->pMethods->xRead(file, page.data(), wanted, at);
      if (result != SQLITE_OK && result != SQLITE_IOERR_SHORT_READ) return error_of(result, "read");
    }
  }
  return {};
}

Status Database::integrity_check() { return check("PRAGMA integrity_check(1)"); }
Status Database::quick_check() { return check("PRAGMA quick_check(1)"); }
Status Database::quick_check(std::string_view table) {
  return check("PRAGMA quick_check('" + std::string(table) + "')");
}

Status Database::foreign_key_check() {
  CHATSDK_ASSIGN(auto statement, prepare("PRAGMA foreign_key_check"));
  CHATSDK_ASSIGN(const bool violated, statement.step());
  if (!violated) return {};
  return error(Code::kCorrupt, "foreign key of table " + std::string(statement.text(0)) + " refers to " +
                                   std::string(statement.text(2)));
}

Status Database::checkpoint(CheckpointMode mode) {
  int log_frames = 0;
  int checkpointed_frames = 0;
  const int result = sqlite3_wal_checkpoint_v2(db_, nullptr, checkpoint_mode(mode), &log_frames, &checkpointed_frames);
  if (result != SQLITE_OK) return error_of(result, "checkpoint");
  if (checkpointed_frames < log_frames) return error(Code::kBusy, "checkpoint: a reader holds the end of the log");
  return {};
}

void Database::set_log_pages(int pages) { sqlite3_wal_autocheckpoint(db_, pages); }

Status Database::close() {
  begin_immediate_ = {};
  begin_deferred_ = {};
  commit_ = {};
  rollback_ = {};
  const int result = sqlite3_close(db_);
  if (result != SQLITE_OK) return error_of(result, "close");
  db_ = nullptr;
  return {};
}

void Database::close_now() {
  begin_immediate_ = {};
  begin_deferred_ = {};
  commit_ = {};
  rollback_ = {};
  sqlite3_close_v2(std::exchange(db_, nullptr));
}

Status apply_standard_pragmas(Database& db) {
  // An ack that leans on a commit needs synchronous FULL: in WAL mode NORMAL may lose the last commits at a power loss.
  CHATSDK_TRY(db.execute("PRAGMA temp_store = MEMORY; PRAGMA secure_delete = ON; PRAGMA foreign_keys = ON;"));
  CHATSDK_ASSIGN(auto journal, db.prepare("PRAGMA journal_mode = WAL"));
  CHATSDK_TRY(journal.step_row());
  if (journal.text(0) != "wal") {
    return error(Code::kStorage, "journal mode is " + std::string(journal.text(0)) + ", wal is needed");
  }
  journal.reset();
  return db.execute("PRAGMA synchronous = FULL");
}

Status settle_log(Database& db) {
  // A checkpoint syncs the log before it copies from it. Where another connection keeps it from the end of the log, or
  // the disk has no room for the copy, that has happened all the same.
  Status settled = db.checkpoint(CheckpointMode::kPassive);
  if (settled.code() == Code::kBusy || settled.code() == Code::kStorageFull) return {};
  return settled;
}

// ---- Transaction ---------------------------------------------------------------------------------------------------

Result<Transaction> Transaction::begin(Database& db, Kind kind) {
  Statement& statement = kind == Kind::kWrite ? db.begin_immediate_ : db.begin_deferred_;
  if (!statement) {
    CHATSDK_ASSIGN(statement, db.prepare(kind == Kind::kWrite ? "BEGIN IMMEDIATE" : "BEGIN DEFERRED"));
  }
  if (!db.commit_) {
    CHATSDK_ASSIGN(db.commit_, db.prepare("COMMIT"));
  }
  if (!db.rollback_) {
    CHATSDK_ASSIGN(db.rollback_, db.prepare("ROLLBACK"));
  }
  CHATSDK_TRY(statement.run());
  return Transaction(db);
}

Transaction::~Transaction() { rollback(); }

Status Transaction::commit() {
  if (db_ == nullptr) return error(Code::kWrongState, "the transaction has ended");
  // SQLite itself rolls back after some failures: a commit then must not look like success.
  if (!db_->in_transaction()) {
    db_ = nullptr;
    return error(Code::kStorage, "the transaction was rolled back by an earlier failure");
  }
  Status committed = db_->commit_.run();
  if (!committed.ok()) {
    rollback();
    return committed;
  }
  db_ = nullptr;
  return {};
}

void Transaction::rollback() {
  Database* db = std::exchange(db_, nullptr);
  if (db == nullptr || !db->in_transaction()) return;
  // A failure leaves the connection in its error state, which the next statement reports.
  db->rollback_.attempt();
}

}  // namespace chatsdk::sqlite
