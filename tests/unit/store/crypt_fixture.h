// SPDX-License-Identifier: Apache-2.0
//
// What the tests of the encrypted store share: a directory of its own, a store in it, and raw access to its files.
//
// Threads: one.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "store/crypt_vfs.h"
#include "store/sqlite.h"

namespace chatsdk {

inline StoreKey test_key(char fill = 'k') { return StoreKey::copy_of(std::string(32, fill)); }

inline std::string read_file(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

inline void write_file(const std::filesystem::path& path, std::string_view bytes) {
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

class CryptStoreTest : public ::testing::Test {
 protected:
  CryptStoreTest() : random_(4711) {
    static int serial = 0;
    // Memory where there is such a file system: the tests sync often, and no rule here is about a real disk.
    const std::filesystem::path memory = "/dev/shm";
    const bool use_memory = ::access(memory.c_str(), W_OK) == 0;
    directory_ = (use_memory ? memory : std::filesystem::temp_directory_path()) /
                 ("chatsdk-crypt-" + std::to_string(::getpid()) + "-" + std::to_string(++serial));
    std::filesystem::create_directories(directory_);
    vfs_ = make_vfs(test_key());
  }
  ~CryptStoreTest() override { std::filesystem::remove_all(directory_); }

  std::unique_ptr<CryptVfs> make_vfs(const StoreKey& key) {
    auto vfs = CryptVfs::create({"", key, random_});
    EXPECT_TRUE(vfs.ok());
    return std::move(vfs).value();
  }

  std::filesystem::path path(std::string_view name = "a.db") const { return directory_ / name; }
  std::filesystem::path wal(std::string_view name = "a.db") const { return directory_ / (std::string(name) + "-wal"); }

  Result<sqlite::Database> try_open(const std::filesystem::path& file) {
    sqlite::OpenOptions options;
    options.vfs_name = vfs_->name();
    options.busy_timeout = std::chrono::seconds(10);
    CHATSDK_ASSIGN(auto db, sqlite::Database::open(file, options));
    CHATSDK_TRY(sqlite::apply_standard_pragmas(db));
    return db;
  }
  sqlite::Database open(std::string_view name = "a.db") {
    auto db = try_open(path(name));
    if (!db.ok()) {
      ADD_FAILURE() << db.error().detail;
      return {};
    }
    return std::move(db).value();
  }

  // A store with `rows` rows of 200 bytes and an index, all in the main file.
  void make_store(std::string_view name, int rows) {
    auto db = open(name);
    ASSERT_TRUE(db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, body TEXT NOT NULL);"
                           "CREATE INDEX t_body ON t(body)")
                    .ok());
    insert(db, 1, rows);
    ASSERT_TRUE(db.close().ok());
    ASSERT_FALSE(std::filesystem::exists(wal(name)));
  }

  static std::string body(int id) {
    std::string text = std::to_string(id) + ":";
    while (text.size() < 200) text += static_cast<char>('a' + (id * 31 + static_cast<int>(text.size())) % 26);
    return text;
  }

  static void insert(sqlite::Database& db, int first, int last) {
    auto transaction = sqlite::Transaction::begin(db);
    ASSERT_TRUE(transaction.ok());
    auto statement = db.prepare("INSERT INTO t VALUES (?1, ?2)");
    ASSERT_TRUE(statement.ok());
    for (int id = first; id <= last; ++id) ASSERT_TRUE(statement->bind(1, id).bind_text(2, body(id)).run().ok());
    ASSERT_TRUE(transaction->commit().ok());
  }

  // How many rows there are, if they are 1..n each with its right body; else the error, kInternal for a wrong row.
  static Result<int> count_right_rows(sqlite::Database& db) {
    CHATSDK_ASSIGN(auto statement, db.prepare("SELECT id, body FROM t ORDER BY id"));
    int rows = 0;
    for (;;) {
      CHATSDK_ASSIGN(const bool row, statement.step());
      if (!row) return rows;
      ++rows;
      if (statement.integer(0) != rows || statement.text(1) != body(rows)) {
        return error(Code::kInternal, "row " + std::to_string(rows) + " is wrong");
      }
    }
  }

  static std::int64_t integer(sqlite::Database& db, std::string_view sql) {
    auto statement = db.prepare(sql);
    if (!statement.ok() || !statement->step_row().ok()) return -1;
    return statement->integer(0);
  }

  bool found_in_any_file(std::string_view text) const {
    for (const auto& entry : std::filesystem::recursive_directory_iterator(directory_)) {
      if (entry.is_regular_file() && read_file(entry.path()).find(text) != std::string::npos) return true;
    }
    return false;
  }

  SeededRandom random_;
  std::filesystem::path directory_;
  std::unique_ptr<CryptVfs> vfs_;
};

}  // namespace chatsdk
