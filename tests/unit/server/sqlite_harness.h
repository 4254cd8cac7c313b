// SPDX-License-Identifier: Apache-2.0
//
// The SQLite store in a directory of its own, for the contract and for the tests of what only SQLite can do.
//
// Threads: one.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "server-reference/store/sqlite_store.h"
#include "tests/unit/server/store_contract.h"

namespace chatsdk::server {

// Removed with all it holds at the end.
class TemporaryDirectory {
 public:
  explicit TemporaryDirectory(const std::filesystem::path& base = std::filesystem::temp_directory_path());
  ~TemporaryDirectory();
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  std::string file(const std::string& name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

class SqliteHarness final : public StoreHarness {
 public:
  explicit SqliteHarness(std::string vfs_name = {}, SqliteStoreOptions options = {})
      : vfs_name_(std::move(vfs_name)), options_(std::move(options)) {
    reopen();
  }

  SqliteStore& store() override { return *store_; }
  StoreReader& reader() override;
  void reopen() override;
  void end_membership(StreamId stream_id, const UserId& user_id, Seq left_seq) override;
  void begin_membership(StreamId stream_id, const UserId& user_id, int interval, Seq joined_seq) override;

  void close();
  Result<std::unique_ptr<SqliteStore>> try_open();
  // Runs SQL on a connection of its own while the store is closed.
  void execute(const std::string& sql);
  std::int64_t count(const std::string& sql);
  std::string path() const { return directory_.file("chat.db"); }

 private:
  TemporaryDirectory directory_;
  std::string vfs_name_;
  SqliteStoreOptions options_;
  SeededRandom random_{42};
  std::unique_ptr<SqliteStore> store_;
  std::unique_ptr<StoreReader> reader_;
};

}  // namespace chatsdk::server
