// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/server/sqlite_harness.h"

#include <unistd.h>

#include <atomic>

namespace chatsdk::server {

TemporaryDirectory::TemporaryDirectory(const std::filesystem::path& base) {
  static std::atomic<int> last = 0;
  path_ = base / ("chatsdk-store-" + std::to_string(::getpid()) + "-" + std::to_string(++last));
  std::filesystem::create_directories(path_);
}

TemporaryDirectory::~TemporaryDirectory() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::unique_ptr<StoreHarness> make_store_harness() { return std::make_unique<SqliteHarness>(); }

StoreReader& SqliteHarness::reader() {
  if (!reader_) reader_ = std::move(store_->open_reader()).value();
  return *reader_;
}

void SqliteHarness::close() {
  reader_.reset();
  store_.reset();
}

void SqliteHarness::reopen() {
  close();
  store_ = std::move(try_open()).value();
}

Result<std::unique_ptr<SqliteStore>> SqliteHarness::try_open() {
  SqliteStoreOptions options = options_;
  options.path = path();
  options.vfs_name = vfs_name_;
  options.node = 7;
  return SqliteStore::open(options, random_);
}

void SqliteHarness::execute(const std::string& sql) {
  close();
  auto db = sqlite::Database::open(path());
  ASSERT_TRUE(db.ok());
  const Status done = db->execute(sql.c_str());
  ASSERT_TRUE(done.ok()) << done.error().detail;
}

std::int64_t SqliteHarness::count(const std::string& sql) {
  auto db = sqlite::Database::open(path(), {.mode = sqlite::OpenMode::kReadOnly, .vfs_name = vfs_name_});
  if (!db.ok()) return -1;
  auto statement = db->prepare(sql);
  if (!statement.ok() || !statement->step_row().ok()) return -1;
  return statement->integer(0);
}

void SqliteHarness::end_membership(StreamId stream_id, const UserId& user_id, Seq left_seq) {
  const std::string stream = std::to_string(stream_id.value);
  execute("UPDATE member SET left_seq = " + std::to_string(left_seq) +
          ", left_marks = coalesce((SELECT revision FROM "
          "mark_revision WHERE stream_id = " +
          stream + "), 0) WHERE stream_id = " + stream + " AND user_id = '" + user_id + "' AND left_seq IS NULL");
  reopen();
}

void SqliteHarness::begin_membership(StreamId stream_id, const UserId& user_id, int interval, Seq joined_seq) {
  const std::string stream = std::to_string(stream_id.value);
  execute("INSERT INTO member(stream_id, user_id, interval, role, joined_seq, joined_marks) SELECT " + stream + ", '" +
          user_id + "', " + std::to_string(interval) + ", 1, " + std::to_string(joined_seq) + ", iif(" +
          std::to_string(joined_seq) +
          " <= head, 0, coalesce((SELECT revision FROM mark_revision WHERE stream_id = " + stream +
          "), 0)) FROM stream "
          "WHERE stream_id = " +
          stream);
  reopen();
}

}  // namespace chatsdk::server
