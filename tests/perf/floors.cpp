// SPDX-License-Identifier: Apache-2.0
//
// The floors that server and device are held against, measured on the same machine in the same run; prints one JSON
// object with those that are named:
//
//   echo    tcp_echo_per_s: 256-byte messages there and back over loopback, 100 connections, 16 in flight, raw epoll
//   relay   lws_relay_per_s, _cpu_s_per_100k: a WebSocket relay on libwebsockets that stores and checks nothing
//   sync    fdatasync_per_s, _p99_ms: 4 KiB appended, then fdatasync
//   server  sqlite_batch64_per_s: the rows that the server writes for a message, by SQLite alone: WAL,
//   synchronous=FULL,
//           64 messages in a transaction
//   device  device_batch64_per_s: the rows that a device writes for a received message, likewise, in a plain file
//   received  received_batch1_per_s, received_batch64_per_s: those rows and what an encrypted message changes of its
//           session, 1 and 64 messages in a transaction
//
// Usage: floors DIRECTORY FLOOR...
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sqlite3.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <string>
#include <thread>
#include <vector>

#include "perf/lws_relay.h"

namespace {

double now() {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
}

constexpr int kBatch = 64;                                    // messages in a transaction
constexpr std::int64_t kFirstStream = 0x0600'0000'0000'0000;  // ids as large as the server's: eight bytes each

[[noreturn]] void die(const std::string& what) {
  std::fprintf(stderr, "floors: %s\n", what.c_str());
  std::exit(1);
}

// Echoes whatever comes, until stop.
void serve_echo(int listener, const std::atomic<bool>& stop) {
  const int epoll = epoll_create1(0);
  epoll_event event{EPOLLIN, {.fd = listener}};
  epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
  std::vector<char> buffer(65536);
  while (!stop) {
    epoll_event events[128];
    const int count = epoll_wait(epoll, events, 128, 50);
    for (int i = 0; i < count; ++i) {
      const int fd = events[i].data.fd;
      if (fd == listener) {
        epoll_event added{EPOLLIN, {.fd = accept(listener, nullptr, nullptr)}};
        epoll_ctl(epoll, EPOLL_CTL_ADD, added.data.fd, &added);
        continue;
      }
      const ssize_t n = read(fd, buffer.data(), buffer.size());
      if (n <= 0 || write(fd, buffer.data(), static_cast<std::size_t>(n)) != n) close(fd);
    }
  }
  close(epoll);
}

double tcp_echo_per_s(double seconds) {
  constexpr std::size_t kConnections = 100;
  constexpr std::size_t kInFlight = 16;
  constexpr std::size_t kBytes = 256;
  const int listener = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  if (bind(listener, reinterpret_cast<sockaddr*>(&address), size) != 0 || listen(listener, 128) != 0) die("listen");
  getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size);
  std::atomic<bool> stop{false};
  std::thread server([&] { serve_echo(listener, stop); });

  const int epoll = epoll_create1(0);
  std::vector<int> sockets;
  const std::string burst(kBytes * kInFlight, 'x');
  for (std::size_t i = 0; i < kConnections; ++i) {
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(fd, reinterpret_cast<sockaddr*>(&address), size) != 0) die("connect");
    const int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    epoll_event event{EPOLLIN, {.fd = fd}};
    epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
    sockets.push_back(fd);
    if (write(fd, burst.data(), burst.size()) < 0) die("write");
  }
  std::vector<char> buffer(65536);
  double bytes = 0;
  const double start = now();
  while (now() - start < seconds) {
    epoll_event events[128];
    const int count = epoll_wait(epoll, events, 128, 50);
    for (int i = 0; i < count; ++i) {
      const ssize_t n = read(events[i].data.fd, buffer.data(), buffer.size());
      if (n <= 0 || write(events[i].data.fd, buffer.data(), static_cast<std::size_t>(n)) != n) die("echo");
      bytes += static_cast<double>(n);
    }
  }
  const double rate = bytes / kBytes / (now() - start);
  stop = true;
  server.join();
  for (const int fd : sockets) close(fd);
  close(epoll);
  close(listener);
  return rate;
}

void fdatasync_rate(const std::string& directory, double seconds, double& per_s, double& p99_ms) {
  const std::string path = directory + "/floor.sync";
  const int fd = open(path.c_str(), O_CREAT | O_WRONLY | O_TRUNC, 0600);
  const std::string block(4096, 'x');
  std::vector<double> times;
  const double start = now();
  while (now() - start < seconds) {
    const double before = now();
    if (write(fd, block.data(), block.size()) < 0 || fdatasync(fd) != 0) die("fdatasync");
    times.push_back(now() - before);
  }
  per_s = static_cast<double>(times.size()) / (now() - start);
  std::sort(times.begin(), times.end());
  p99_ms = times[times.size() * 99 / 100] * 1e3;
  close(fd);
  unlink(path.c_str());
}

class Db {
 public:
  Db(const std::string& path, const char* schema) : path_(path) {
    remove_files();
    if (sqlite3_open(path.c_str(), &db_) != SQLITE_OK) die("open");
    run("PRAGMA journal_mode=WAL");
    run("PRAGMA synchronous=FULL");
    run(schema);
  }
  ~Db() {
    for (sqlite3_stmt* statement : statements_) sqlite3_finalize(statement);
    sqlite3_close(db_);
    remove_files();
  }
  void run(const char* sql) {
    if (sqlite3_exec(db_, sql, nullptr, nullptr, nullptr) != SQLITE_OK) die(sqlite3_errmsg(db_));
  }
  sqlite3_stmt* prepare(const char* sql) {
    sqlite3_stmt* statement = nullptr;
    if (sqlite3_prepare_v2(db_, sql, -1, &statement, nullptr) != SQLITE_OK) die(sqlite3_errmsg(db_));
    statements_.push_back(statement);
    return statement;
  }
  void step(sqlite3_stmt* statement) {
    if (sqlite3_step(statement) != SQLITE_DONE) die(sqlite3_errmsg(db_));
    sqlite3_reset(statement);
  }

 private:
  void remove_files() {
    for (const char* suffix : {"", "-wal", "-shm"}) unlink((path_ + suffix).c_str());
  }
  const std::string path_;
  sqlite3* db_ = nullptr;
  std::vector<sqlite3_stmt*> statements_;
};

void bind_text(sqlite3_stmt* s, int at, const std::string& text) {
  sqlite3_bind_text(s, at, text.data(), static_cast<int>(text.size()), SQLITE_STATIC);
}
void bind_blob(sqlite3_stmt* s, int at, const std::string& blob) {
  sqlite3_bind_blob(s, at, blob.data(), static_cast<int>(blob.size()), SQLITE_STATIC);
}

// What the server must store for one message: the item and the deduplication record; and once for each stream that a
// batch touches the head and the sender's number, once for each batch its progress. The tables are the server's. A
// device sends several messages before it hears of the first, so a batch holds runs of a stream: four messages here.
double server_rows_per_s(const std::string& directory, double seconds) {
  constexpr std::int64_t kStreams = 100;
  constexpr int kRun = 4;
  Db db(directory + "/floor-server.db",
        "PRAGMA cache_size = -65536; PRAGMA wal_autocheckpoint = 4096;"
        "CREATE TABLE progress(one INTEGER NOT NULL PRIMARY KEY CHECK (one = 1), commits INTEGER NOT NULL, "
        "last_message_id INTEGER NOT NULL);"
        "INSERT INTO progress VALUES(1, 0, 0);"
        "CREATE TABLE stream(stream_id INTEGER NOT NULL PRIMARY KEY, kind INTEGER NOT NULL, conversation_kind INTEGER "
        "NOT NULL, head INTEGER NOT NULL, trimmed_to INTEGER NOT NULL);"
        "CREATE TABLE item(stream_id INTEGER NOT NULL, seq INTEGER NOT NULL, kind INTEGER NOT NULL, message_id INTEGER "
        "NOT NULL, sender TEXT NOT NULL, sender_device INTEGER NOT NULL, client_message_id BLOB NOT NULL, time_ms "
        "INTEGER NOT NULL, payload BLOB NOT NULL, PRIMARY KEY (stream_id, seq)) WITHOUT ROWID;"
        "CREATE TABLE dedup(stream_id INTEGER NOT NULL, sender TEXT NOT NULL, client_message_id BLOB NOT NULL, seq "
        "INTEGER NOT NULL, payload_hash BLOB NOT NULL, created_ms INTEGER NOT NULL, PRIMARY KEY (stream_id, sender, "
        "client_message_id)) WITHOUT ROWID;"
        "CREATE TABLE send_number(device_id INTEGER NOT NULL, stream_id INTEGER NOT NULL, last INTEGER NOT NULL, "
        "PRIMARY KEY (device_id, stream_id)) WITHOUT ROWID;");
  for (std::int64_t i = 0; i < kStreams; ++i) {
    const std::string id = std::to_string(kFirstStream + i);
    db.run(
        ("INSERT INTO stream VALUES(" + id + ", 2, 1, 0, 0); INSERT INTO send_number VALUES(" + id + "," + id + ",0)")
            .c_str());
  }
  sqlite3_stmt* begin = db.prepare("BEGIN IMMEDIATE");
  sqlite3_stmt* commit = db.prepare("COMMIT");
  sqlite3_stmt* item = db.prepare("INSERT INTO item VALUES(?1,?2,1,?3,?4,?5,?6,?7,?8)");
  sqlite3_stmt* dedup = db.prepare("INSERT INTO dedup VALUES(?1,?2,?3,?4,?5,?6) ON CONFLICT DO NOTHING");
  sqlite3_stmt* head = db.prepare("UPDATE stream SET head = ?2 WHERE stream_id = ?1");
  sqlite3_stmt* number = db.prepare(
      "INSERT INTO send_number VALUES(?1,?2,?3) ON CONFLICT(device_id, stream_id) DO UPDATE SET "
      "last = excluded.last");
  sqlite3_stmt* progress = db.prepare("UPDATE progress SET commits = ?1, last_message_id = ?2");
  const std::string content(260, 'x');
  const std::string hash(32, 'h');
  std::int64_t heads[kStreams] = {};
  std::int64_t count = 0;
  std::int64_t commits = 0;
  const double start = now();
  while (now() - start < seconds) {
    db.step(begin);
    for (int run = 0; run < kBatch / kRun; ++run) {
      const std::int64_t at = (commits * (kBatch / kRun) + run) % kStreams;
      const std::int64_t stream = kFirstStream + at;
      const std::string sender = "sender-" + std::to_string(stream);
      for (int i = 0; i < kRun; ++i, ++count) {
        const std::int64_t seq = ++heads[at];
        const std::int64_t time_ms = 1'700'000'000'000 + count / 10;
        std::string client = std::to_string(count);
        client.resize(16, '.');
        sqlite3_bind_int64(item, 1, stream);
        sqlite3_bind_int64(item, 2, seq);
        sqlite3_bind_int64(item, 3, kFirstStream + count);
        bind_text(item, 4, sender);
        sqlite3_bind_int64(item, 5, stream);
        bind_blob(item, 6, client);
        sqlite3_bind_int64(item, 7, time_ms);
        bind_blob(item, 8, content);
        sqlite3_bind_int64(dedup, 1, stream);
        bind_text(dedup, 2, sender);
        bind_blob(dedup, 3, client);
        sqlite3_bind_int64(dedup, 4, seq);
        bind_blob(dedup, 5, hash);
        sqlite3_bind_int64(dedup, 6, time_ms);
        db.step(item);
        db.step(dedup);
      }
      sqlite3_bind_int64(head, 1, stream);
      sqlite3_bind_int64(head, 2, heads[at]);
      sqlite3_bind_int64(number, 1, stream);
      sqlite3_bind_int64(number, 2, stream);
      sqlite3_bind_int64(number, 3, heads[at]);
      db.step(head);
      db.step(number);
    }
    sqlite3_bind_int64(progress, 1, ++commits);
    sqlite3_bind_int64(progress, 2, kFirstStream + count);
    db.step(progress);
    db.step(commit);
  }
  return static_cast<double>(count) / (now() - start);
}

// What a device must store for one received message: the message in its index by place; where it is encrypted the
// receiving chain of its session; and once for each batch the cursor and the conversation's counters. The tables are
// the device's, the file is plain. Answers the seconds that it took.
double device_rows_seconds(const std::string& file, std::int64_t messages, int batch, bool encrypted) {
  Db db(
      file,
      "PRAGMA secure_delete = ON;"
      "CREATE TABLE conversation(key INTEGER PRIMARY KEY, head INTEGER NOT NULL, unread_count INTEGER NOT NULL, "
      "last_activity INTEGER NOT NULL);"
      "CREATE INDEX by_activity ON conversation(last_activity);"
      "INSERT INTO conversation VALUES(1, 0, 0, 0);"
      "CREATE TABLE stream(stream_id INTEGER PRIMARY KEY, kind INTEGER NOT NULL, conversation INTEGER, seq INTEGER "
      "NOT NULL);"
      "CREATE TABLE message(key INTEGER PRIMARY KEY, conversation INTEGER NOT NULL, place INTEGER NOT NULL, lost "
      "INTEGER NOT NULL, sender TEXT, sender_device INTEGER NOT NULL, message_id INTEGER NOT NULL, client_message_id "
      "BLOB, time INTEGER NOT NULL, content BLOB NOT NULL);"
      "CREATE INDEX by_place ON message(conversation, place);"
      "CREATE TABLE chain(session INTEGER NOT NULL, number INTEGER NOT NULL, ratchet_key BLOB NOT NULL, chain_key BLOB "
      "NOT NULL, next INTEGER NOT NULL, end INTEGER NOT NULL, superseded INTEGER NOT NULL, PRIMARY KEY (session, "
      "number)) WITHOUT ROWID;");
  sqlite3_stmt* begin = db.prepare("BEGIN IMMEDIATE");
  sqlite3_stmt* commit = db.prepare("COMMIT");
  sqlite3_stmt* message = db.prepare("INSERT INTO message VALUES(?1,1,?2,0,?3,?4,?5,?6,?7,?8)");
  sqlite3_stmt* chain = db.prepare("INSERT OR REPLACE INTO chain VALUES(1,1,?1,?1,?2,2147483647,0)");
  sqlite3_stmt* cursor =
      db.prepare("INSERT INTO stream VALUES(1,2,1,?1) ON CONFLICT(stream_id) DO UPDATE SET seq=excluded.seq");
  sqlite3_stmt* counters =
      db.prepare("UPDATE conversation SET head = ?1, unread_count = ?1, last_activity = ?2 WHERE key = 1");
  const std::string content(260, 'x');
  const std::string sender = "somebody";
  const std::string key(32, 'k');
  const double start = now();
  for (std::int64_t done = 0; done < messages;) {
    db.step(begin);
    for (int i = 0; i < batch && done < messages; ++i) {
      ++done;
      std::string client = std::to_string(done);
      client.resize(16, '.');
      sqlite3_bind_int64(message, 1, done);
      sqlite3_bind_int64(message, 2, done * 2);
      bind_text(message, 3, sender);
      sqlite3_bind_int64(message, 4, kFirstStream);
      sqlite3_bind_int64(message, 5, kFirstStream + done);
      bind_blob(message, 6, client);
      sqlite3_bind_int64(message, 7, 1'700'000'000'000 + done);
      bind_blob(message, 8, content);
      db.step(message);
      if (!encrypted) continue;
      bind_blob(chain, 1, key);
      sqlite3_bind_int64(chain, 2, done);
      db.step(chain);
    }
    sqlite3_bind_int64(cursor, 1, done);
    sqlite3_bind_int64(counters, 1, done);
    sqlite3_bind_int64(counters, 2, 1'700'000'000'000 + done);
    for (sqlite3_stmt* s : {cursor, counters, commit}) db.step(s);
  }
  return now() - start;
}

// One device is filled in a tenth of a second, in which a disk may be twice as fast as in the next.
double device_rows_per_s(const std::string& directory) {
  constexpr int kDevices = 5;
  constexpr std::int64_t kMessages = 10'000;
  double seconds = 0;
  for (int i = 0; i < kDevices; ++i) {
    const std::string file = directory + "/floor-device-" + std::to_string(i) + ".db";
    seconds += device_rows_seconds(file, kMessages, kBatch, false);
  }
  return kDevices * kMessages / seconds;
}

double received_per_s(const std::string& directory, std::int64_t messages, int batch) {
  return static_cast<double>(messages) / device_rows_seconds(directory + "/floor-received.db", messages, batch, true);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) die("usage: floors DIRECTORY echo|relay|sync|server|device|received...");
  const std::string directory = argv[1];
  const char* separator = "{";
  const auto print = [&](const char* name, double value) {
    std::printf("%s\"%s\": %.2f", separator, name, value);
    separator = ", ";
  };
  for (int i = 2; i < argc; ++i) {
    const std::string floor = argv[i];
    if (floor == "echo") {
      print("tcp_echo_per_s", tcp_echo_per_s(2));
    } else if (floor == "relay") {
      const chatsdk::perf::RelayFigures relay = chatsdk::perf::measure_relay(3);
      print("lws_relay_per_s", relay.per_s);
      print("lws_relay_cpu_s_per_100k", relay.cpu_s_per_100k);
    } else if (floor == "sync") {
      double per_s = 0;
      double p99 = 0;
      fdatasync_rate(directory, 2, per_s, p99);
      print("fdatasync_per_s", per_s);
      print("fdatasync_p99_ms", p99);
    } else if (floor == "server") {
      print("sqlite_batch64_per_s", server_rows_per_s(directory, 3));
    } else if (floor == "device") {
      print("device_batch64_per_s", device_rows_per_s(directory));
    } else if (floor == "received") {
      print("received_batch1_per_s", received_per_s(directory, 2'000, 1));
      print("received_batch64_per_s", received_per_s(directory, 12'800, kBatch));
    } else {
      die("no such floor");
    }
  }
  std::printf("}\n");
  return 0;
}
