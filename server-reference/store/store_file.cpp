// SPDX-License-Identifier: Apache-2.0
#include "server-reference/store/store_file.h"

#include <sqlite3.h>
#include <sys/stat.h>

#include <array>
#include <fstream>
#include <memory>
#include <string_view>

#include "server-reference/store/schema.h"

namespace chatsdk::server {

namespace {

constexpr std::string_view kSqliteMagic("SQLite format 3\0", 16);

const char* kind_of(const struct stat& found) {
  if (S_ISDIR(found.st_mode)) return "a directory";
  if (S_ISCHR(found.st_mode) || S_ISBLK(found.st_mode)) return "a device";
  if (S_ISFIFO(found.st_mode)) return "a pipe";
  if (S_ISSOCK(found.st_mode)) return "a socket";
  return "of an unknown kind";
}

// The path as SQLite's URI of a file that nobody changes: such a file is read as it lies, without locks and without
// what its log adds.
std::string immutable_uri(const std::string& path) {
  std::string uri = path.starts_with('/') ? "file://" : "file:";
  for (const char c : path) {
    if (c == '%') {
      uri += "%25";
    } else if (c == '?') {
      uri += "%3f";
    } else if (c == '#') {
      uri += "%23";
    } else {
      uri += c;
    }
  }
  return uri + "?immutable=1";
}

enum class Verdict { kOurs, kForeign, kUnclear };

Verdict judge_database(const std::string& path) {
  sqlite3* opened = nullptr;
  const int result =
      sqlite3_open_v2(immutable_uri(path).c_str(), &opened, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, nullptr);
  const std::unique_ptr<sqlite3, decltype(&sqlite3_close_v2)> db(opened, &sqlite3_close_v2);
  if (result != SQLITE_OK) return Verdict::kUnclear;
  sqlite3_db_config(db.get(), SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
  sqlite3_db_config(db.get(), SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  sqlite3_stmt* prepared = nullptr;
  if (sqlite3_prepare_v2(db.get(), kIsForeign, -1, &prepared, nullptr) != SQLITE_OK) return Verdict::kUnclear;
  const std::unique_ptr<sqlite3_stmt, decltype(&sqlite3_finalize)> is_foreign(prepared, &sqlite3_finalize);
  if (sqlite3_step(prepared) != SQLITE_ROW) return Verdict::kUnclear;
  return sqlite3_column_int(prepared, 0) != 0 ? Verdict::kForeign : Verdict::kOurs;
}

}  // namespace

Result<bool> recognise_store_file(const std::string& path) {
  for (const char* suffix : {"", "-wal", "-shm", "-lock", ".epoch"}) {
    struct stat found = {};
    const std::string file = path + suffix;
    if (::stat(file.c_str(), &found) != 0 || S_ISREG(found.st_mode)) continue;
    return error(Code::kInvalidArgument, "\"" + file + "\" is " + kind_of(found) + ", not a regular file");
  }
  std::ifstream file(path, std::ios::binary);
  if (!file) return false;  // absent, or not to be read: whoever opens the store finds out
  std::array<char, kSqliteMagic.size()> begin = {};
  file.read(begin.data(), begin.size());
  const auto count = static_cast<std::size_t>(file.gcount());
  file.close();
  if (count == 0) return true;
  if (std::string_view(begin.data(), count) != kSqliteMagic) {
    return error(Code::kCorrupt, "the file is no SQLite database, so it is not the server's; it is left as it is");
  }
  const Verdict verdict = judge_database(path);
  if (verdict == Verdict::kForeign) {
    return error(Code::kCorrupt, "the file is a database of another program; it is left as it is");
  }
  return verdict == Verdict::kOurs;
}

}  // namespace chatsdk::server
