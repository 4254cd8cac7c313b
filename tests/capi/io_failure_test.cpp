// SPDX-License-Identifier: Apache-2.0
//
// The nth access to the disk fails, for every n and in each way that a disk fails, in each of thirty things that an app
// does with its store. Whatever fails says STORAGE or STORAGE_FULL and has changed nothing; whatever says OK is there;
// and once the disk is well, the same client does what it could not and a new one opens the store. No file stays open.
// Then the same of a client that is at work with the server: what its ticks could not do is done again, and nothing is
// lost. And an app that ends between the renames with which a damaged store is set aside finds it damaged, and loses no
// byte of it.
//
// The clients are driven by ticks that never come, so that everything happens in the calls: the nth access is the same
// one in each run. SQLite's default VFS stands below the library's, and rename() before the C library's: that is where
// the failures are.
//
// Usage: io_failure_test [--step N] SERVER_URL      N: only every Nth access fails (1: every one); of failures that are
// much like another every 4Nth, unless CHATSDK_LONG is set
#include <fcntl.h>
#include <sqlite3.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chatsdk/chatsdk.hpp>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <map>
#include <string>

#include "check.h"

namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

// ---- The disk ------------------------------------------------------------------------------------------------------

// Over SQLite's default VFS, and the default one itself from then on.
class Disk {
 public:
  enum class Failure {
    kNone,
    kIoError,    // the nth access
    kIoErrors,   // each from the nth on
    kFull,       // each write from the nth on
    kShortRead,  // the nth read, as though the file ended in the middle
    kBusy,       // the nth lock, as though another process held it
  };

  static Disk& instance() {
    static Disk disk;
    return disk;
  }

  // While it lives nothing fails, and no access counts.
  class Held {
   public:
    explicit Held(Disk& disk) : disk_(disk) { disk_.held_ = true; }
    ~Held() { disk_.held_ = false; }
    Held(const Held&) = delete;
    Held& operator=(const Held&) = delete;

   private:
    Disk& disk_;
  };

  void arm(Failure failure, int nth) {
    failure_ = failure;
    left_ = nth;
    failed_ = false;
  }
  // Whether anything failed since arm().
  bool disarm() {
    failure_ = Failure::kNone;
    return failed_;
  }

  // The process ends at the nth rename, when that is done or instead.
  void end_at_rename(int nth, bool done) {
    renames_left_ = nth;
    rename_before_end_ = done;
  }
  int rename(const char* from, const char* to) {
    if (const int failed = access(from, Access::kWrite, SQLITE_IOERR); failed != SQLITE_OK) {
      errno = failed == SQLITE_FULL ? ENOSPC : EIO;
      return -1;
    }
    const bool ends = may_fail(from) && renames_left_ > 0 && --renames_left_ == 0;
    if (ends && !rename_before_end_) ::_exit(kEnded);
    const int result = ::renameat(AT_FDCWD, from, AT_FDCWD, to);
    if (ends) ::_exit(kEnded);
    return result;
  }
  static constexpr int kEnded = 99;

 private:
  enum class Access { kRead, kWrite, kLock, kOther };

  struct File {
    sqlite3_file base;
    bool fails;  // when it is its turn
    sqlite3_file* real() { return reinterpret_cast<sqlite3_file*>(this + 1); }
  };
  static sqlite3_file* real(sqlite3_file* file) { return reinterpret_cast<File*>(file)->real(); }

  Disk() : base_(sqlite3_vfs_find(nullptr)), vfs_(*base_) {
    vfs_.iVersion = 1;
    vfs_.pNext = nullptr;
    vfs_.zName = "failing";
    vfs_.szOsFile = static_cast<int>(sizeof(File)) + base_->szOsFile;
    vfs_.xOpen = open;
    vfs_.xDelete = [](sqlite3_vfs*, const char* path, int sync) {
      const int failed = instance().access(path, Access::kWrite, SQLITE_IOERR_DELETE);
      return failed != SQLITE_OK ? failed : instance().base_->xDelete(instance().base_, path, sync);
    };
    vfs_.xAccess = [](sqlite3_vfs*, const char* path, int flags, int* out) {
      const int failed = instance().access(path, Access::kOther, SQLITE_IOERR_ACCESS);
      return failed != SQLITE_OK ? failed : instance().base_->xAccess(instance().base_, path, flags, out);
    };
    vfs_.xFullPathname = [](sqlite3_vfs*, const char* path, int size, char* out) {
      return instance().base_->xFullPathname(instance().base_, path, size, out);
    };
    vfs_.xRandomness = [](sqlite3_vfs*, int size, char* out) {
      return instance().base_->xRandomness(instance().base_, size, out);
    };
    vfs_.xSleep = [](sqlite3_vfs*, int us) { return instance().base_->xSleep(instance().base_, us); };
    vfs_.xCurrentTime = [](sqlite3_vfs*, double* out) { return instance().base_->xCurrentTime(instance().base_, out); };
    vfs_.xGetLastError = [](sqlite3_vfs*, int, char*) { return 0; };
    methods_ = make_methods();
    CHECK(sqlite3_vfs_register(&vfs_, 1) == SQLITE_OK);
  }

  // Another client may be at work beside the one that the failures are for.
  static bool may_fail(const char* path) { return path == nullptr || std::strstr(path, "/failing/") != nullptr; }

  int access(sqlite3_file* file, Access what, int io_error) {
    return reinterpret_cast<File*>(file)->fails ? access(what, io_error) : SQLITE_OK;
  }
  int access(const char* path, Access what, int io_error) {
    return may_fail(path) ? access(what, io_error) : SQLITE_OK;
  }
  int access(Access what, int io_error) {
    if (held_ || !concerns(what) || --left_ > 0) return SQLITE_OK;
    const bool stays = failure_ == Failure::kFull || failure_ == Failure::kIoErrors;
    if (!stays && left_ < 0) return SQLITE_OK;
    failed_ = true;
    if (failure_ == Failure::kFull) return SQLITE_FULL;
    if (failure_ == Failure::kShortRead) return SQLITE_IOERR_SHORT_READ;
    return failure_ == Failure::kBusy ? SQLITE_BUSY : io_error;
  }
  bool concerns(Access what) const {
    switch (failure_) {
      case Failure::kNone:
        return false;
      case Failure::kIoError:
      case Failure::kIoErrors:
        return true;
      case Failure::kFull:
        return what == Access::kWrite;
      case Failure::kShortRead:
        return what == Access::kRead;
      case Failure::kBusy:
        return what == Access::kLock;
    }
    return false;
  }

  static int open(sqlite3_vfs*, const char* path, sqlite3_file* file, int flags, int* out_flags) {
    Disk& disk = instance();
    file->pMethods = nullptr;
    if (disk.access(path, Access::kOther, SQLITE_CANTOPEN) != SQLITE_OK) return SQLITE_CANTOPEN;
    reinterpret_cast<File*>(file)->fails = may_fail(path);
    const int result = disk.base_->xOpen(disk.base_, path, real(file), flags, out_flags);
    if (result == SQLITE_OK) file->pMethods = &disk.methods_;
    return result;
  }

  static sqlite3_io_methods make_methods() {
    sqlite3_io_methods methods{};
    methods.iVersion = 1;
    methods.xClose = [](sqlite3_file* file) { return real(file)->pMethods->xClose(real(file)); };
    methods.xRead = [](sqlite3_file* file, void* out, int size, sqlite3_int64 offset) {
      const int failed = instance().access(file, Access::kRead, SQLITE_IOERR_READ);
      if (failed != SQLITE_OK && failed != SQLITE_IOERR_SHORT_READ) return failed;
      const int result = real(file)->pMethods->xRead(real(file), out, size, offset);
      if (failed == SQLITE_OK) return result;
      std::memset(static_cast<char*>(out) + size / 2, 0, static_cast<std::size_t>(size - size / 2));
      return failed;
    };
    methods.xWrite = [](sqlite3_file* file, const void* bytes, int size, sqlite3_int64 offset) {
      const int failed = instance().access(file, Access::kWrite, SQLITE_IOERR_WRITE);
      return failed != SQLITE_OK ? failed : real(file)->pMethods->xWrite(real(file), bytes, size, offset);
    };
    methods.xTruncate = [](sqlite3_file* file, sqlite3_int64 size) {
      const int failed = instance().access(file, Access::kWrite, SQLITE_IOERR_TRUNCATE);
      return failed != SQLITE_OK ? failed : real(file)->pMethods->xTruncate(real(file), size);
    };
    methods.xSync = [](sqlite3_file* file, int flags) {
      const int failed = instance().access(file, Access::kOther, SQLITE_IOERR_FSYNC);
      return failed != SQLITE_OK ? failed : real(file)->pMethods->xSync(real(file), flags);
    };
    methods.xFileSize = [](sqlite3_file* file, sqlite3_int64* out) {
      const int failed = instance().access(file, Access::kOther, SQLITE_IOERR_FSTAT);
      return failed != SQLITE_OK ? failed : real(file)->pMethods->xFileSize(real(file), out);
    };
    methods.xLock = [](sqlite3_file* file, int level) {
      const int failed = instance().access(file, Access::kLock, SQLITE_IOERR_LOCK);
      return failed != SQLITE_OK ? failed : real(file)->pMethods->xLock(real(file), level);
    };
    methods.xUnlock = [](sqlite3_file* file, int level) { return real(file)->pMethods->xUnlock(real(file), level); };
    methods.xCheckReservedLock = [](sqlite3_file* file, int* out) {
      return real(file)->pMethods->xCheckReservedLock(real(file), out);
    };
    methods.xFileControl = [](sqlite3_file* file, int op, void* arg) {
      return real(file)->pMethods->xFileControl(real(file), op, arg);
    };
    methods.xSectorSize = [](sqlite3_file* file) { return real(file)->pMethods->xSectorSize(real(file)); };
    methods.xDeviceCharacteristics = [](sqlite3_file* file) {
      return real(file)->pMethods->xDeviceCharacteristics(real(file));
    };
    return methods;
  }

  sqlite3_vfs* base_;
  sqlite3_vfs vfs_;
  sqlite3_io_methods methods_{};
  Failure failure_ = Failure::kNone;
  int left_ = 0;
  bool failed_ = false;
  bool held_ = false;
  int renames_left_ = 0;
  bool rename_before_end_ = false;
};

const char* name_of(Disk::Failure failure) {
  switch (failure) {
    case Disk::Failure::kNone:
      return "no failure";
    case Disk::Failure::kIoError:
      return "I/O error";
    case Disk::Failure::kIoErrors:
      return "I/O errors";
    case Disk::Failure::kFull:
      return "disk full";
    case Disk::Failure::kShortRead:
      return "short read";
    case Disk::Failure::kBusy:
      return "busy";
  }
  return "";
}

// ---- The store that every run begins with --------------------------------------------------------------------------

constexpr chatsdk::store_key kKey{9};
const std::string kStore = "/store.db";
constexpr chatsdk::message_id kFailedId{1};
constexpr chatsdk::message_id kQueuedId{2};
constexpr chatsdk::message_id kSentId{3};
constexpr chatsdk::message_id kNewId{4};

std::string url;

chatsdk::client offline_client() {
  chatsdk::config config(url);
  config.tick_driven();
  return chatsdk::client(config);
}

void complete(chatsdk::client& client, std::uint64_t request) {
  for (;;) {
    for (const chatsdk::event& event : client.poll(1s)) {
      if (event.type() != CHATSDK_EVENT_COMPLETED || event.request() != request) continue;
      event.check();
      return;
    }
  }
}

template <typename Done>
void wait_until(chatsdk::client& client, Done done) {
  while (!done()) client.poll(1s);
}

void join(chatsdk::client& client, const std::string& user, const std::string& directory) {
  fs::create_directory(directory);
  client.open_store(directory + kStore, kKey);
  chatsdk::registration me;
  me.user_id = user;
  me.password = "a good password";
  complete(client, client.register_account(me));
  client.start();
}

// "whole" has messages sent, got, refused and waiting; "unclean" is the same as a crash would leave it; "damaged" and
// "cut", which has a log, do not open.
void make_fixtures() {
  {
    chatsdk::client ben{chatsdk::config(url)};
    join(ben, "ben", "ben");
    chatsdk::client ann{chatsdk::config(url)};
    join(ann, "ann", "whole");
    for (int i = 0; i < 5; ++i) ben.send_text(ben.direct_conversation_plain("ann"), "from ben " + std::to_string(i));
    wait_until(ann, [&] { return ann.unread_total() == 5; });
    const std::uint64_t with_ben = ann.direct_conversation_plain("ben");
    chatsdk::send_options options;
    options.id = kSentId;
    ann.send_text(with_ben, "sent", options);
    wait_until(ann, [&] { return ann.find_message(kSentId).state() >= CHATSDK_MESSAGE_SENT; });
    options.id = kFailedId;
    ann.send_text(ann.direct_conversation_plain("nobody"), "refused", options);
    wait_until(ann, [&] { return ann.find_message(kFailedId).state() == CHATSDK_MESSAGE_FAILED; });
    ann.direct_conversation_plain("dan");
    ann.sync(60s);
    ann.stop();
    options.id = kQueuedId;
    ann.send_text(with_ben, "queued", options);
    fs::copy("whole", "unclean");
  }
  fs::copy("whole", "damaged");
  fs::resize_file("damaged" + kStore, 5'000);
  fs::copy("unclean", "cut");
  CHECK(fs::file_size("cut" + kStore + "-wal") > 0);
  fs::resize_file("cut" + kStore, 1'000);
  fs::create_directory("empty");
}

// All that an app sees of a store.
std::string describe(const chatsdk::client& client) {
  std::string out = "user " + client.user_id() + ", waiting " + std::to_string(client.outbox_count()) + ", unread " +
                    std::to_string(client.unread_total()) + "\n";
  for (const chatsdk::conversation& conversation : client.conversations(200).rows) {
    out += "with " + std::string(conversation.peer()) + ", read up to " + std::to_string(conversation.read_up_to()) +
           ", unread " + std::to_string(conversation.unread_count()) + "\n";
    for (const chatsdk::message& message : client.history_before(conversation.key(), 0, 200).rows) {
      out += "  " + std::to_string(message.seq()) + " " + std::string(message.sender()) + " " +
             std::string(message.text().substr(0, 40)) + " " + std::to_string(message.state()) + " " +
             std::to_string(message.failure()) + "\n";
    }
  }
  return out;
}

// ---- What an app does ----------------------------------------------------------------------------------------------

struct Scenario {
  const char* name;
  const char* fixture;
  // On a client that has opened the store, or, with opens, on one that is to open it.
  std::function<void(chatsdk::client&, const std::string& path)> act;
  bool opens = false;
  // Brings a client whose act failed to an open store again.
  std::function<void(chatsdk::client&, const std::string& path)> again = {};
};

std::uint64_t with(const chatsdk::client& client, const char* peer) {
  for (const chatsdk::conversation& conversation : client.conversations(200).rows) {
    if (conversation.peer() == peer) return conversation.key();
  }
  CHECK(false);
  return 0;
}

// Keys do not change: they are looked up while the disk is well.
struct Keys {
  std::uint64_t conversation = 0, empty = 0, sent = 0, queued = 0, failed = 0;
};

std::vector<Scenario> scenarios(const Keys& keys) {
  using Client = chatsdk::client;
  using Path = const std::string;
  const auto open = [](Client& client, Path& path) { client.open_store(path, kKey); };
  const auto recreate = [](Client& client, Path& path) {
    try {
      client.recreate_store(path, kKey);
    } catch (const chatsdk::exception& e) {
      if (e.status() != CHATSDK_ALREADY_EXISTS) throw;
      client.open_store(path, kKey);
    }
  };
  const auto send = [keys](Client& client, const std::string& text) {
    chatsdk::send_options options;
    options.id = kNewId;
    client.send_text(keys.conversation, text, options);
  };
  return {
      {"open", "whole", open, true, open},
      {"open after a crash", "unclean", open, true, open},
      {"open a new store", "empty", open, true, open},
      {"recreate a damaged store", "damaged", recreate, true, recreate},
      {"recreate a store that was cut short", "cut", recreate, true, recreate},
      {"recreate where none is", "empty", recreate, true, recreate},
      {"open a conversation", "whole", [](Client& c, Path&) { c.direct_conversation("cat"); }},
      {"open a plain conversation", "whole", [](Client& c, Path&) { c.direct_conversation_plain("eve"); }},
      {"open a known conversation", "whole", [](Client& c, Path&) { c.direct_conversation("ben"); }},
      {"send", "whole", [send](Client& c, Path&) { send(c, "new"); }},
      {"send after a crash", "unclean", [send](Client& c, Path&) { send(c, "new"); }},
      {"send a long text", "whole", [send](Client& c, Path&) { send(c, std::string(65'536, 'x')); }},
      {"send again", "whole",
       [keys](Client& c, Path&) {
         chatsdk::send_options options;
         options.id = kQueuedId;
         c.send_text(keys.conversation, "queued", options);
       }},
      {"send the first of a conversation", "whole", [keys](Client& c, Path&) { c.send_text(keys.empty, "new"); }},
      {"retry", "whole", [keys](Client& c, Path&) { c.retry_message(keys.failed); }},
      {"discard what failed", "whole", [keys](Client& c, Path&) { c.discard_message(keys.failed); }},
      {"discard what waits", "whole", [keys](Client& c, Path&) { c.discard_message(keys.queued); }},
      {"mark read", "whole", [keys](Client& c, Path&) { c.mark_read(keys.conversation, 4); }},
      {"mark all read", "whole", [keys](Client& c, Path&) { c.mark_read(keys.conversation, 1'000); }},
      {"list conversations", "whole", [](Client& c, Path&) { c.conversations(200); }},
      {"page conversations", "whole", [keys](Client& c, Path&) { c.conversations(1, keys.conversation); }},
      {"read a conversation", "whole", [keys](Client& c, Path&) { c.find_conversation(keys.conversation); }},
      {"count unread", "whole", [](Client& c, Path&) { c.unread_total(); }},
      {"count what waits", "whole", [](Client& c, Path&) { c.outbox_count(); }},
      {"page back", "whole", [keys](Client& c, Path&) { c.history_before(keys.conversation, 0, 3); }},
      {"page on", "whole", [keys](Client& c, Path&) { c.history_after(keys.conversation, 0, 3); }},
      {"page back from a message", "whole",
       [keys](Client& c, Path&) { c.history_before_message(keys.conversation, keys.sent, 3); }},
      {"page on from a message", "whole",
       [keys](Client& c, Path&) { c.history_after_message(keys.conversation, keys.sent, 3); }},
      {"read a message", "whole", [keys](Client& c, Path&) { c.find_message(keys.sent); }},
      {"read a message by its id", "whole", [](Client& c, Path&) { c.find_message(kSentId); }},
      {"read a receipt", "whole", [keys](Client& c, Path&) { c.receipt(keys.sent, "ben"); }},
      {"ask for the user", "whole", [](Client& c, Path&) { c.user_id(); }},
      {"suspend", "whole",
       [](Client& c, Path&) {
         c.suspend(1s);
         c.resume();
       },
       false, [](Client& c, Path&) { c.resume(); }},
      {"close", "whole", [](Client& c, Path&) { c.close(); }},
  };
}

// ---- The sweep -----------------------------------------------------------------------------------------------------

std::size_t open_files() {
  std::size_t count = 0;
  for ([[maybe_unused]] const auto& entry : fs::directory_iterator("/proc/self/fd")) ++count;
  return count;
}

[[noreturn]] void wrong(const Scenario& scenario, Disk::Failure failure, int nth, const std::string& what) {
  std::fprintf(stderr, "%s, %s at access %d: %s\n", scenario.name, name_of(failure), nth, what.c_str());
  for (const auto& entry : fs::directory_iterator("failing")) {
    std::fprintf(stderr, "  %s, %ju bytes\n", entry.path().c_str(), static_cast<std::uintmax_t>(entry.file_size()));
  }
  std::exit(1);
}

std::string described_anew(const std::string& path) {
  chatsdk::client client = offline_client();
  client.open_store(path, kKey);
  return describe(client);
}

bool is_damaged(const Scenario& scenario) {
  return std::strcmp(scenario.fixture, "damaged") == 0 || std::strcmp(scenario.fixture, "cut") == 0;
}

std::string content_of(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

// Store and log of the fixture are there, under whatever names.
bool holds_all_of(const char* fixture) {
  std::vector<std::string> found;
  for (const auto& entry : fs::directory_iterator("failing")) found.push_back(content_of(entry.path()));
  for (const std::string& leaf : {kStore, kStore + "-wal"}) {
    const fs::path path = fixture + leaf;
    if (fs::exists(path) && std::find(found.begin(), found.end(), content_of(path)) == found.end()) return false;
  }
  return true;
}

// A file that ends too early is a damaged one.
bool may_say(Disk::Failure failure, std::int32_t status) {
  switch (status) {
    case CHATSDK_OK:
    case CHATSDK_STORAGE:
      return true;
    case CHATSDK_STORAGE_FULL:
      return failure == Disk::Failure::kFull;
    case CHATSDK_CORRUPT:
    case CHATSDK_TAMPERED:
      return failure == Disk::Failure::kShortRead;
    case CHATSDK_BUSY:
    case CHATSDK_STORE_IN_USE:
      return failure == Disk::Failure::kBusy;
    default:
      return false;
  }
}

struct Outcome {
  std::int32_t status = CHATSDK_OK;
  bool failed = false;     // the disk did, at least once
  std::string same, anew;  // what this client saw afterwards, and what a new one did
};

// again: on the same client, once the disk is well, if it failed.
Outcome run(const Scenario& scenario, Disk::Failure failure, int nth, bool again = false) {
  fs::remove_all("failing");
  fs::copy(scenario.fixture, "failing");
  const std::string path = "failing" + kStore;
  Outcome outcome;
  try {
    chatsdk::client client = offline_client();
    if (!scenario.opens) client.open_store(path, kKey);
    Disk::instance().arm(failure, nth);
    try {
      scenario.act(client, path);
    } catch (const chatsdk::exception& e) {
      outcome.status = e.status();
    }
    outcome.failed = Disk::instance().disarm();
    if (outcome.status != CHATSDK_OK && scenario.again) scenario.again(client, path);
    if (outcome.status != CHATSDK_OK && again) scenario.act(client, path);
    if (std::strcmp(scenario.name, "close") != 0) outcome.same = describe(client);
  } catch (const chatsdk::exception& e) {
    outcome.same = std::string("afterwards: ") + e.what();
    wrong(scenario, failure, nth, outcome.same);
  }
  outcome.anew = described_anew(path);
  if (outcome.same.empty()) outcome.same = outcome.anew;
  return outcome;
}

// Statuses by name, with how often each came.
std::map<std::string, int> sweep(const Scenario& scenario, Disk::Failure failure, int step, int* runs) {
  std::map<std::string, int> statuses;
  const std::size_t files = open_files();
  std::string before;
  if (!scenario.opens) {
    fs::remove_all("failing");
    fs::copy(scenario.fixture, "failing");
    before = described_anew("failing" + kStore);
  }
  const Outcome well = run(scenario, Disk::Failure::kNone, 0);
  if (well.status != CHATSDK_OK) wrong(scenario, failure, 0, chatsdk_status_name(well.status));
  for (int nth = 1;; nth += step) {
    const Outcome outcome = run(scenario, failure, nth);
    ++*runs;
    if (!outcome.failed) break;
    ++statuses[chatsdk_status_name(outcome.status)];
    if (!may_say(failure, outcome.status)) wrong(scenario, failure, nth, chatsdk_status_name(outcome.status));
    const std::string& expected = outcome.status == CHATSDK_OK || scenario.opens ? well.same : before;
    if (outcome.same != expected)
      wrong(scenario, failure, nth, "the client sees\n" + outcome.same + "not\n" + expected);
    if (outcome.anew != expected) wrong(scenario, failure, nth, "another sees\n" + outcome.anew + "not\n" + expected);
    if (outcome.status != CHATSDK_OK && !scenario.opens) {
      const Outcome repeated = run(scenario, failure, nth, true);
      if (repeated.same != well.same || repeated.anew != well.same)
        wrong(scenario, failure, nth, "again it comes to\n" + repeated.anew + "not\n" + well.same);
    }
    if (open_files() != files) wrong(scenario, failure, nth, "a file stays open");
    for (const auto& entry : fs::directory_iterator("failing")) {
      const bool aside = entry.path().string().find(".corrupt-") != std::string::npos;
      if (aside && !is_damaged(scenario)) wrong(scenario, failure, nth, "the store is set aside");
    }
    if (is_damaged(scenario) && !holds_all_of(scenario.fixture)) wrong(scenario, failure, nth, "something is gone");
  }
  return statuses;
}

// ---- The end of the process ----------------------------------------------------------------------------------------

std::int32_t status_of(const std::function<void()>& act) {
  try {
    act();
  } catch (const chatsdk::exception& e) {
    return e.status();
  }
  return CHATSDK_OK;
}

// A process that opens a store that was cut short, or makes it anew, ends before or after each rename. The next one
// finds no store of which it could think that it is a new one, and makes one when it is told to.
void sweep_ends(bool recreates) {
  const std::string path = "failing" + kStore;
  int ends = 0;
  for (int nth = 1;; ++nth) {
    for (const bool done : {false, true}) {
      fs::remove_all("failing");
      fs::copy("cut", "failing");
      const pid_t child = ::fork();
      CHECK(child >= 0);
      if (child == 0) {
        Disk::instance().end_at_rename(nth, done);
        chatsdk::client client = offline_client();
        static_cast<void>(
            status_of([&] { recreates ? client.recreate_store(path, kKey) : client.open_store(path, kKey); }));
        ::_exit(0);
      }
      int status = 0;
      CHECK(::waitpid(child, &status, 0) == child && WIFEXITED(status));
      if (WEXITSTATUS(status) == 0) {
        std::printf("%s a store that was cut short: %d ends between renames\n", recreates ? "recreate" : "open", ends);
        CHECK(ends == 4);
        return;
      }
      CHECK(WEXITSTATUS(status) == Disk::kEnded);
      ++ends;
      chatsdk::client client = offline_client();
      CHECK(status_of([&] { client.open_store(path, kKey); }) == CHATSDK_CORRUPT);
      CHECK(status_of([&] { client.recreate_store(path, kKey); }) == CHATSDK_OK);
      CHECK(client.user_id().empty() && client.conversations(1).rows.empty());
      CHECK(holds_all_of("cut"));
    }
  }
}

// ---- A client at work ----------------------------------------------------------------------------------------------

struct Live {
  bool failed = false;  // the disk did
  int told = 0;         // events that said so
  std::string description;
};

// Of an account of its own: an older copy of a store that the server knows is a device that was restored, which has to
// log in anew.
std::string make_worker(chatsdk::client& ben, bool encrypted) {
  static int count = 0;
  const std::string name = "worker-" + std::to_string(++count);
  fs::remove_all("failing");
  chatsdk::client client{chatsdk::config(url)};
  join(client, name, "failing");
  wait_until(client, [&] { return client.encryption_state() == CHATSDK_ENCRYPTION_READY; });
  const std::uint64_t with_worker = encrypted ? ben.direct_conversation(name) : ben.direct_conversation_plain(name);
  for (int i = 0; i < 2; ++i) ben.send_text(with_worker, "from ben " + std::to_string(i));
  wait_until(client, [&] { return client.unread_total() == 2; });
  if (!encrypted) client.direct_conversation_plain("ben");  // which accepts that it is plain
  client.sync(60s);
  return name;
}

// Sends, marks read and connects; the failure ends when the app is told of it, or when all is done.
Live live(chatsdk::client& ben, Disk::Failure failure, int nth, bool encrypted) {
  const std::string name = make_worker(ben, encrypted);
  chatsdk::config config(url);
  config.tick_driven().backoff(1ms, 20ms);
  chatsdk::client client(config);
  client.open_store("failing" + kStore, kKey);
  const std::uint64_t with_ben = client.direct_conversation("ben");
  CHECK(client.find_conversation(with_ben).is_encrypted() == encrypted);
  chatsdk::send_options options;
  options.id = kNewId;
  client.send_text(with_ben, "new", options);
  client.mark_read(with_ben, 2);
  client.start();

  Live outcome;
  const auto note = [&](const chatsdk::event& event) {
    if (event.type() != CHATSDK_EVENT_CONNECTION) return;
    const std::int32_t status = event.status();
    if (status == CHATSDK_STORAGE || status == CHATSDK_STORAGE_FULL) ++outcome.told;
  };
  // What this looks at is not the client's work.
  const auto done = [&] {
    const Disk::Held well(Disk::instance());
    return client.connection_state() == CHATSDK_CONNECTION_ONLINE && client.outbox_count() == 0 &&
           client.find_message(kNewId).state() == CHATSDK_MESSAGE_DELIVERED;
  };
  const auto late = std::chrono::steady_clock::now() + 60s;
  const auto in_time = [&] { return std::chrono::steady_clock::now() < late; };
  Disk::instance().arm(failure, nth);
  while (outcome.told == 0 && !done() && in_time()) client.tick(10ms, note);
  outcome.failed = Disk::instance().disarm();
  while (!done() && in_time()) client.tick(10ms, note);
  outcome.description = describe(client);
  for (auto at = outcome.description.find(name); at != std::string::npos; at = outcome.description.find(name)) {
    outcome.description.replace(at, name.size(), "me");
  }
  return outcome;
}

void sweep_live(Disk::Failure failure, int step, bool encrypted) {
  chatsdk::client ben{chatsdk::config(url)};
  ben.open_store("ben" + kStore, kKey);
  ben.start();
  const std::string expected = live(ben, Disk::Failure::kNone, 0, encrypted).description;
  const char* const name = name_of(failure);
  int runs = 0;
  int told = 0;
  for (int nth = 1;; nth += step, ++runs) {
    const Live outcome = live(ben, failure, nth, encrypted);
    if (outcome.description != expected) {
      std::fprintf(stderr, "at work, %s at access %d: the client sees\n%snot\n%s", name, nth,
                   outcome.description.c_str(), expected.c_str());
      std::exit(1);
    }
    if (!outcome.failed) break;
    told += outcome.told > 0 ? 1 : 0;
  }
  std::printf("at work%s, %s: %d runs, the app was told in %d\n", encrypted ? ", encrypted" : "", name, runs, told);
  CHECK(told > 0);
}

}  // namespace

// Setting a store aside goes past SQLite's VFS.
extern "C" int rename(const char* from, const char* to) noexcept { return Disk::instance().rename(from, to); }

int main(int argc, char** argv) {
  int step = 1;
  if (argc == 4 && std::strcmp(argv[1], "--step") == 0) step = std::atoi(argv[2]);
  CHECK((argc == 2 || argc == 4) && step > 0);
  url = argv[argc - 1];
  const bool complete = std::getenv("CHATSDK_LONG") != nullptr;
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  Disk::instance();
  make_fixtures();
  Keys keys;
  {
    fs::copy("whole", "failing");
    chatsdk::client client = offline_client();
    client.open_store("failing" + kStore, kKey);
    keys.conversation = with(client, "ben");
    keys.empty = with(client, "dan");
    keys.sent = client.find_message(kSentId).key();
    keys.queued = client.find_message(kQueuedId).key();
    keys.failed = client.find_message(kFailedId).key();
  }
  int runs = 0;
  for (const Scenario& scenario : scenarios(keys)) {
    for (const Disk::Failure failure : {Disk::Failure::kIoError, Disk::Failure::kIoErrors, Disk::Failure::kFull,
                                        Disk::Failure::kShortRead, Disk::Failure::kBusy}) {
      // Where a file ends too early while it is opened, it is a damaged one, and set aside.
      if (failure == Disk::Failure::kShortRead && scenario.opens) continue;
      // Of those that are much like another a sample will do.
      const bool alike = failure == Disk::Failure::kIoErrors || failure == Disk::Failure::kShortRead;
      std::string line;
      for (const auto& [status, times] : sweep(scenario, failure, alike && !complete ? 4 * step : step, &runs)) {
        line += " " + status + " " + std::to_string(times);
      }
      std::printf("%s, %s:%s\n", scenario.name, name_of(failure), line.c_str());
    }
  }
  std::printf("%d runs\n", runs);
  for (const bool recreates : {false, true}) sweep_ends(recreates);
  for (const Disk::Failure failure : {Disk::Failure::kIoError, Disk::Failure::kIoErrors, Disk::Failure::kFull}) {
    sweep_live(failure, step, false);
    sweep_live(failure, step, true);
  }
  return 0;
}
