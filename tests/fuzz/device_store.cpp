// SPDX-License-Identifier: Apache-2.0
//
// Opening and reading an encrypted store whose files were damaged. The input is a list of changes to an honest store of
// three pages and more and a log that was not written back, each of eight bytes:
//
//   file (1: 0 main, 1 log)   what (1: 0 exclusive or, 1 cut the file there, 2 exchange two pages)
//   offset (3)   second offset (2, in pages)   value (1)
//
// Reading gives an error, or what one of the store's commits wrote, and nothing else.
//
// Threads: one.
#include <sodium.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "base/random.h"
#include "fuzz/fuzz.h"
#include "store/crypt_vfs.h"
#include "store/sqlite.h"

namespace {

using namespace chatsdk;

constexpr std::size_t kPageBytes = 4'096;
constexpr std::size_t kChangesMax = 16;
constexpr int kRowsBefore = 40;  // written back into the main file
constexpr int kRowsAfter = 60;   // the rest is in the log

std::string body(int id) { return std::to_string(id) + std::string(300, static_cast<char>('a' + id % 26)); }

std::string read_file(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}
void write_file(const std::filesystem::path& path, BytesView bytes) {
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

class Honest {
 public:
  Honest() {
    CHATSDK_ASSERT(sodium_init() >= 0);
    const std::filesystem::path memory = "/dev/shm";
    folder_ = (::access(memory.c_str(), W_OK) == 0 ? memory : std::filesystem::temp_directory_path()) /
              ("chatsdk-fuzz-store-" + std::to_string(::getpid()));
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
    vfs_ = CryptVfs::create({"", StoreKey::copy_of(std::string(32, 'k')), random_}).value();
    {
      auto db = open().value();
      CHATSDK_ASSERT(db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, body TEXT NOT NULL)").ok());
      insert(db, 1, kRowsBefore);
      CHATSDK_ASSERT(db.execute("PRAGMA wal_checkpoint(TRUNCATE)").ok());
      insert(db, kRowsBefore + 1, kRowsAfter);
      files_ = {read_file(main()), read_file(log())};
      CHATSDK_ASSERT(db.close().ok());
    }
    CHATSDK_ASSERT(!files_[1].empty());
    check(files_);
  }
  ~Honest() { std::filesystem::remove_all(folder_); }

  using Files = std::array<std::string, 2>;
  const Files& files() const { return files_; }

  // Rows are those of a commit, or reading fails with a code that tells why.
  void check(const Files& files) {
    write_file(main(), files[0]);
    write_file(log(), files[1]);
    const auto rows = count_right_rows();
    if (rows.ok()) {
      CHATSDK_ASSERT(*rows == 0 || (*rows >= kRowsBefore && *rows <= kRowsAfter));
      CHATSDK_ASSERT(files != files_ || *rows == kRowsAfter);
      // A main file that ends with its prelude, or before, is a store that was never written to.
      CHATSDK_ASSERT(*rows != 0 || files[0].size() <= kPageBytes);
    } else {
      CHATSDK_ASSERT(files != files_);
      CHATSDK_ASSERT(rows.error().code != Code::kInternal);
    }
  }

 private:
  std::filesystem::path main() const { return folder_ / "a.db"; }
  std::filesystem::path log() const { return folder_ / "a.db-wal"; }

  Result<sqlite::Database> open() {
    sqlite::OpenOptions options;
    options.vfs_name = vfs_->name();
    CHATSDK_ASSIGN(auto db, sqlite::Database::open(main(), options));
    CHATSDK_TRY(sqlite::apply_standard_pragmas(db));
    return db;
  }
  static void insert(sqlite::Database& db, int first, int last) {
    for (int id = first; id <= last; ++id) {
      auto statement = db.prepare("INSERT INTO t VALUES (?1, ?2)").value();
      CHATSDK_ASSERT(statement.bind(1, id).bind_text(2, body(id)).run().ok());
    }
  }
  Result<int> count_right_rows() {
    CHATSDK_ASSIGN(auto db, open());
    CHATSDK_ASSIGN(auto tables, db.prepare("SELECT count(*) FROM sqlite_schema"));
    CHATSDK_TRY(tables.step_row());
    if (tables.integer(0) == 0) return 0;
    CHATSDK_ASSIGN(auto statement, db.prepare("SELECT id, body FROM t ORDER BY id"));
    for (int rows = 0;; ++rows) {
      CHATSDK_ASSIGN(const bool row, statement.step());
      if (!row) return rows;
      if (statement.integer(0) != rows + 1 || statement.text(1) != body(rows + 1)) {
        return error(Code::kInternal, "a wrong row");
      }
    }
  }

  SeededRandom random_{1};
  std::filesystem::path folder_;
  std::unique_ptr<CryptVfs> vfs_;
  Files files_;
};

void change(Honest::Files& files, fuzz::Reader& input) {
  std::string& file = files[input.byte() % 2];
  const int what = input.byte() % 3;
  const std::size_t offset = input.number(3);
  const std::size_t page = input.number(2);
  const std::uint8_t value = input.byte();
  if (file.empty()) return;
  if (what == 0) {
    char& byte = file[offset % file.size()];
    byte = static_cast<char>(static_cast<std::uint8_t>(byte) ^ value);
  } else if (what == 1) {
    file.resize(offset % (file.size() + 1));
  } else if (file.size() >= 2 * kPageBytes) {
    const std::size_t pages = file.size() / kPageBytes;
    const std::size_t first = offset % pages * kPageBytes;
    const std::size_t second = page % pages * kPageBytes;
    for (std::size_t i = 0; i < kPageBytes; ++i) std::swap(file[first + i], file[second + i]);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static Honest honest;
  fuzz::Reader input(fuzz::view(data, size));
  Honest::Files files = honest.files();
  for (std::size_t i = 0; i < kChangesMax && !input.empty(); ++i) change(files, input);
  honest.check(files);
  return 0;
}
