// SPDX-License-Identifier: Apache-2.0
//
// SQLite as this project uses it: a connection, prepared statements, a transaction that cannot be forgotten, and one
// mapping from SQLite's result codes to Code. It knows nothing of chat, of schemas or of encryption: a VFS is only a
// name given at open, so the client's store, the server's store and the simulation share it.
//
//   CHATSDK_ASSIGN(auto db, sqlite::Database::open("/path/file.db"));
//   CHATSDK_TRY(sqlite::apply_standard_pragmas(db));
//   CHATSDK_ASSIGN(auto insert, db.prepare("INSERT INTO t(id, body) VALUES (?1, ?2)"));
//   CHATSDK_ASSIGN(auto transaction, sqlite::Transaction::begin(db));
//   CHATSDK_TRY(insert.bind(1, id).bind_blob(2, body).run());
//   CHATSDK_TRY(transaction.commit());
//
// Threads: a Database and its Statements belong to one thread at a time. Several Databases may share one file.
// Invariants:
//   1. SQL text is written by the programmer; every value reaches SQLite through bind.
//   2. Detail texts of errors hold SQLite's own words and result numbers, never a bound value.
//   3. A Transaction that ends without commit() has rolled back.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/result.h"

struct sqlite3;
struct sqlite3_stmt;

namespace chatsdk::sqlite {

// The Code of a result code, basic or extended:
//   FULL and IOERR_SHMSIZE kStorageFull, READONLY kReadOnly, CORRUPT and NOTADB kCorrupt, BUSY and LOCKED kBusy,
//   NOMEM kNoMemory, TOOBIG kTooLarge, INTERRUPT kCancelled, a uniqueness constraint kAlreadyExists, a foreign key
//   kNotFound, IOERR_DATA kTampered and IOERR_AUTH kWrongKey (what the encrypting VFS returns), other IOERR, CANTOPEN
//   and PERM
//   kStorage, everything else kInternal.
Code code_of(int sqlite_result);

// An Error of that code, with the result as its cause. `what` names the failed step in a few words.
Error error_of(int sqlite_result, std::string_view what);

// The file that a database's path names, as SQLite names it: absolute, symbolic links followed. The names of its log
// and of every file beside it derive from this one, so that all paths to a file lead to the same ones. The file need
// not exist. An empty VFS name is SQLite's default; kInvalidArgument when there is no such VFS.
Result<std::string> resolve_path(const std::string& path, const std::string& vfs_name = {});

// The file control that a connection's VFS gets when a statement found the database damaged (kCorrupt). A VFS that does
// not know it ignores it, as SQLite's own do.
inline constexpr int kFileControlDamaged = 4'711;

// The file control that asks an encrypted file for the one below it, as an sqlite3_file**. A VFS that does not know it
// leaves the pointer as it is.
inline constexpr int kFileControlFileBelow = 4'712;

// One prepared statement. Indexes of parameters count from 1, of columns from 0, as SQLite's do.
class Statement {
 public:
  Statement() = default;
  ~Statement();
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;
  Statement(Statement&& other) noexcept;
  Statement& operator=(Statement&& other) noexcept;

  explicit operator bool() const { return statement_ != nullptr; }

  // Binding. The first failure is kept and returned by the next step() or run(). A bound value stays bound across
  // reset(). The copying forms own their bytes; the borrowed forms need them alive and unchanged until they are bound
  // anew, the bindings are cleared or the statement is destroyed.
  Statement& bind(int index, std::int64_t value);
  Statement& bind(int index, std::nullptr_t);
  Statement& bind_real(int index, double value);
  Statement& bind_text(int index, std::string_view text);
  Statement& bind_blob(int index, std::string_view bytes);
  Statement& bind_text_borrowed(int index, std::string_view text);
  Statement& bind_blob_borrowed(int index, std::string_view bytes);
  // Absent is NULL.
  Statement& bind_or_null(int index, std::optional<std::int64_t> value);
  Statement& bind_text_or_null(int index, const std::optional<std::string>& text);
  Statement& bind_blob_or_null(int index, const std::optional<std::string>& bytes);

  // True: a row is ready for the column functions. False: done, and the statement has been reset.
  // After an error the statement has been reset.
  Result<bool> step();
  // Runs to the end, ignores rows, resets.
  Status run();
  // For a destructor: runs once, and says nothing of a failure, as the words would take memory.
  void attempt() noexcept;
  // The single row that must be there: kNotFound when it is not. The caller resets after reading it.
  Status step_row();
  // Ends the read in progress; a reader that stops before step() returned false calls it, for its snapshot pins the
  // WAL.
  void reset();
  void clear_bindings();

  bool is_null(int column) const;
  std::int64_t integer(int column) const;
  double real(int column) const;
  // Valid until the next step, reset or destruction. NULL reads as empty.
  std::string_view text(int column) const;
  std::string_view blob(int column) const;
  int column_count() const;

 private:
  friend class Database;
  explicit Statement(sqlite3_stmt* statement) : statement_(statement) {}
  Statement& keep(int result);
  Error failure(int result) const;

  sqlite3_stmt* statement_ = nullptr;
  int bind_result_ = 0;
};

enum class OpenMode {
  kReadOnly,         // the file must exist
  kReadWrite,        // the file must exist
  kReadWriteCreate,  // made when absent
};

enum class CheckpointMode { kPassive, kFull, kRestart, kTruncate };

struct OpenOptions {
  OpenMode mode = OpenMode::kReadWriteCreate;
  std::string vfs_name;                       // empty: SQLite's default
  std::chrono::milliseconds busy_timeout{0};  // 0: kBusy at once
};

// One connection. A moved-from or closed Database may only be destroyed or assigned to.
class Database {
 public:
  // Opening reads nothing of the file yet: a file that is no database fails at the first statement.
  static Result<Database> open(const std::string& path, const OpenOptions& options = {});

  Database() = default;
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;
  Database(Database&& other) noexcept;
  Database& operator=(Database&& other) noexcept;

  explicit operator bool() const { return db_ != nullptr; }

  // Exactly one statement. The text is the programmer's, never built from data.
  Result<Statement> prepare(std::string_view sql);
  // One or more statements whose rows, if any, are ignored: schemas and pragmas.
  Status execute(const char* sql);

  std::int64_t last_insert_rowid() const;
  // Rows changed by the last INSERT, UPDATE or DELETE.
  std::int64_t changes() const;
  // Rows changed since the connection was opened.
  std::int64_t total_changes() const;
  bool in_transaction() const;

  Result<std::int64_t> user_version();
  Status set_user_version(std::int32_t version);

  // kCorrupt with SQLite's first complaint; the VFS's own errors pass through.
  Status integrity_check();
  // Faster: skips the comparison of indexes with their tables.
  Status quick_check();
  // The same for one table and its indexes. The name is the programmer's.
  Status quick_check(std::string_view table);
  Status foreign_key_check();
  // kBusy when readers or a writer kept it from its end.
  Status checkpoint(CheckpointMode mode);
  // A commit that leaves this many pages or more in the log copies what it can of them into the file (SQLite: 1,000).
  void set_log_pages(int pages);

  // Closes the file. kBusy while a Statement of it lives, and then it stays open. The destructor closes as well, at the
  // latest with the last Statement.
  Status close();

  sqlite3* handle() const { return db_; }

 private:
  friend class Transaction;
  explicit Database(sqlite3* db) : db_(db) {}
  Status check(const std::string& sql);
  Result<std::string> check_once(const std::string& sql);
  Status read_through();
  void close_now();

  sqlite3* db_ = nullptr;
  Statement begin_immediate_;
  Statement begin_deferred_;
  Statement commit_;
  Statement rollback_;
};

// WAL, synchronous FULL, secure_delete, temp_store in memory, foreign keys on. kStorage when the file refuses WAL.
Status apply_standard_pragmas(Database& db);

// Makes durable what this connection finds. A process that died between writing to the log and syncing it leaves a
// commit that is seen from now on and still goes with the power, so whoever answers from what it finds calls this
// first: after apply_standard_pragmas, and before the first read that it acts upon. Costs nothing when there is no log.
Status settle_log(Database& db);

// A transaction on a Database that stays where it is meanwhile. Transactions do not nest.
class Transaction {
 public:
  enum class Kind {
    kWrite,  // BEGIN IMMEDIATE: kBusy now rather than at the first write
    kRead,   // BEGIN DEFERRED: one snapshot for several reads, from the first of them on
  };

  static Result<Transaction> begin(Database& db, Kind kind = Kind::kWrite);

  ~Transaction();
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;
  Transaction(Transaction&& other) noexcept : db_(std::exchange(other.db_, nullptr)) {}
  Transaction& operator=(Transaction&&) = delete;

  // Ends the transaction either way: after an error it has rolled back.
  Status commit();
  void rollback();

 private:
  explicit Transaction(Database& db) : db_(&db) {}

  Database* db_;
};

}  // namespace chatsdk::sqlite
