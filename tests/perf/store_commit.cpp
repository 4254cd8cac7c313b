// SPDX-License-Identifier: Apache-2.0
//
// The store beside bare SQLite, in one process and on one disk: messages a second of Store::commit, and of the same
// rows inserted by prepared statements, in batches of the same size. The two take turns, so that a slow moment of the
// disk meets both.
//
//   chatsdk_store_commit DIRECTORY [batch [rounds]]
//
// Threads: one.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "base/random.h"
#include "protocol/frames.h"
#include "server-reference/store/sqlite_store.h"
#include "store/sqlite.h"

namespace chatsdk::server {
namespace {

constexpr std::uint64_t kPairs = 100;
constexpr std::uint64_t kBatchesPerRound = 40;
constexpr std::size_t kTextBytes = 256;

void require(const Status& status) {
  if (status.ok()) return;
  std::fprintf(stderr, "%s\n", status.error().detail.c_str());
  std::exit(1);
}

template <typename T>
T require(Result<T> result) {
  if (!result.ok()) require(Status(result.error()));
  return std::move(result).value();
}

struct Timer {
  std::chrono::steady_clock::time_point start = std::chrono::steady_clock::now();
  double seconds() const { return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(); }
};

ClientMessageId client_id(std::uint64_t number) {
  ClientMessageId id;
  // As UUIDv7: time first, then what tells apart.
  for (std::size_t i = 0; i < 8; ++i) id.bytes[i] = static_cast<unsigned char>(number >> (56 - 8 * i));
  return id;
}

WallTime time_of(std::uint64_t number) {
  return from_unix_ms(1'750'000'000'000 + static_cast<std::int64_t>(number / 8));
}

class StoreSide {
 public:
  explicit StoreSide(const std::string& directory) {
    SqliteStoreOptions options;
    options.path = directory + "/store.db";
    store_ = require(SqliteStore::open(options, random_));
    for (std::uint64_t pair = 0; pair < kPairs; ++pair) {
      for (const char* side : {"from-", "to-"}) {
        Account account;
        account.user_id = side + std::to_string(pair);
        account.created = time_of(0);
        const std::vector<WriteOp> ops = {CreateAccount{account}};
        require(store_->commit(ops));
      }
      sent_.push_back(0);
    }
  }
  void run(std::uint64_t batches, std::uint64_t batch) {
    const Bytes content = encode_text_content(std::string(kTextBytes, 'x'));
    for (std::uint64_t i = 0; i < batches; ++i) {
      std::vector<WriteOp> ops;
      ops.reserve(batch);
      for (std::uint64_t j = 0; j < batch; ++j, ++count_) {
        const std::uint64_t pair = count_ % kPairs;
        AppendMessage op;
        op.sender = "from-" + std::to_string(pair);
        op.sender_device = DeviceId{pair + 1};
        op.target.peer = "to-" + std::to_string(pair);
        op.client_message_id = client_id(count_);
        op.send_number = ++sent_[pair];
        op.content = content;
        op.payload_hash = payload_hash(content);
        op.now = time_of(count_);
        ops.emplace_back(std::move(op));
      }
      const CommitResult result = require(store_->commit(ops));
      for (const auto& answer : result.answers) require(answer.ok() ? Status() : Status(answer.error()));
    }
  }

 private:
  SeededRandom random_{1};
  std::unique_ptr<SqliteStore> store_;
  std::vector<std::uint64_t> sent_;
  std::uint64_t count_ = 0;
};

// The same rows and indexes: item, deduplication record, head, send number.
class BareSide {
 public:
  explicit BareSide(const std::string& directory) {
    db_ = require(sqlite::Database::open(directory + "/bare.db"));
    require(
        db_.execute("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
                    "CREATE TABLE stream(stream_id INTEGER PRIMARY KEY, head);"
                    "CREATE TABLE item(stream_id, seq, kind, message_id, sender, sender_device, client_message_id, "
                    "time_ms, payload, PRIMARY KEY (stream_id, seq)) WITHOUT ROWID;"
                    "CREATE TABLE dedup(stream_id, sender, client_message_id, seq, payload_hash, created_ms, "
                    "PRIMARY KEY (stream_id, sender, client_message_id)) WITHOUT ROWID;"
                    "CREATE TABLE send_number(device_id, stream_id, last, PRIMARY KEY (device_id, stream_id)) "
                    "WITHOUT ROWID;"));
    item_ = require(db_.prepare("INSERT INTO item VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)"));
    dedup_ = require(db_.prepare("INSERT INTO dedup VALUES (?1, ?2, ?3, ?4, ?5, ?6)"));
    head_ = require(db_.prepare("INSERT INTO stream VALUES (?1, ?2) ON CONFLICT DO UPDATE SET head = ?2"));
    number_ = require(db_.prepare("INSERT INTO send_number VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET last = ?3"));
  }
  void run(std::uint64_t batches, std::uint64_t batch) {
    const Bytes content = encode_text_content(std::string(kTextBytes, 'x'));
    const Bytes hash = payload_hash(content);
    for (std::uint64_t i = 0; i < batches; ++i) {
      auto transaction = require(sqlite::Transaction::begin(db_));
      for (std::uint64_t j = 0; j < batch; ++j, ++count_) {
        const auto stream = static_cast<std::int64_t>((std::uint64_t{1} << 60) + count_ % kPairs);
        const auto device = static_cast<std::int64_t>(count_ % kPairs + 1);
        const auto seq = static_cast<std::int64_t>(count_ / kPairs + 1);
        const auto time = to_unix_ms(time_of(count_));
        const std::string sender = "from-" + std::to_string(count_ % kPairs);
        const ClientMessageId client = client_id(count_);
        item_.bind(1, stream).bind(2, seq).bind(3, 1).bind(4, (std::int64_t{1} << 60) + seq);
        item_.bind_text_borrowed(5, sender).bind(6, device).bind_blob_borrowed(7, client.view());
        require(item_.bind(8, time).bind_blob_borrowed(9, content).run());
        dedup_.bind(1, stream).bind_text_borrowed(2, sender).bind_blob_borrowed(3, client.view());
        require(dedup_.bind(4, seq).bind_blob_borrowed(5, hash).bind(6, time).run());
        require(head_.bind(1, stream).bind(2, seq).run());
        require(number_.bind(1, device).bind(2, stream).bind(3, seq).run());
      }
      require(transaction.commit());
    }
  }

 private:
  sqlite::Database db_;
  sqlite::Statement item_;
  sqlite::Statement dedup_;
  sqlite::Statement head_;
  sqlite::Statement number_;
  std::uint64_t count_ = 0;
};

int run(const std::string& directory, std::uint64_t batch, int rounds) {
  const std::string place = directory + "/store-commit";
  std::filesystem::remove_all(place);
  std::filesystem::create_directories(place);
  {
    StoreSide store(place);
    BareSide bare(place);
    store.run(10, batch);
    bare.run(10, batch);
    double store_seconds = 0;
    double bare_seconds = 0;
    for (int round = 0; round < rounds; ++round) {
      Timer store_timer;
      store.run(kBatchesPerRound, batch);
      store_seconds += store_timer.seconds();
      Timer bare_timer;
      bare.run(kBatchesPerRound, batch);
      bare_seconds += bare_timer.seconds();
    }
    const double messages = static_cast<double>(kBatchesPerRound * batch) * rounds;
    std::printf("batch %llu: store %.0f messages/s, bare SQLite %.0f messages/s, ratio %.2f\n",
                static_cast<unsigned long long>(batch), messages / store_seconds, messages / bare_seconds,
                bare_seconds / store_seconds);
  }
  std::filesystem::remove_all(place);
  return 0;
}

}  // namespace
}  // namespace chatsdk::server

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: chatsdk_store_commit DIRECTORY [batch [rounds]]\n");
    return 2;
  }
  const auto batch = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 64;
  const int rounds = argc > 3 ? std::atoi(argv[3]) : 8;
  return chatsdk::server::run(argv[1], std::max<std::uint64_t>(batch, 1), std::max(rounds, 1));
}
