// SPDX-License-Identifier: Apache-2.0
//
// chatsdk-server: reads its options, puts the server together, says in one line where it listens, and stops when told.
//
//   exit 0  stopped by SIGTERM or SIGINT      exit 1  it could not run, or the store failed
//   exit 2  an option is wrong
//
// The first signal drains, for at most --drain-seconds; the second stops at once.
//
// Threads: this file's is the main one, the only one that signals reach.
#include <google/protobuf/stubs/logging.h>
#include <poll.h>
#include <signal.h>
#include <sodium.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string>

#include "base/limits.h"
#include "server-reference/options.h"
#include "server-reference/server.h"
#include "server-reference/spdlog_log.h"
#include "server-reference/store/sqlite_store.h"
#include "server-reference/store/store_file.h"

namespace chatsdk::server {
namespace {

constexpr int kExitRunTime = 1;
constexpr int kExitOptions = 2;

int fail(int exit_code, const std::string& what) {
  std::fprintf(stderr, "chatsdk-server: %s\n", what.c_str());
  return exit_code;
}

// Set from any thread, waited for together with signals.
class Event {
 public:
  Event() : fd_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}
  ~Event() { ::close(fd_); }
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  void set() {
    happened_.store(true);
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto written = ::write(fd_, &one, sizeof one);
  }
  bool happened() const { return happened_.load(); }
  int fd() const { return fd_; }

 private:
  int fd_;
  std::atomic<bool> happened_ = false;
};

// Blocks the signals that stop the server, before any thread is made; they are read here instead.
int take_signals() {
  ::signal(SIGPIPE, SIG_IGN);  // OpenSSL writes to sockets whose peers are gone
  ::signal(SIGXFSZ, SIG_IGN);  // a file at the process's size limit is a failed write, which the store reports
  sigset_t stopping;
  sigemptyset(&stopping);
  sigaddset(&stopping, SIGTERM);
  sigaddset(&stopping, SIGINT);
  pthread_sigmask(SIG_BLOCK, &stopping, nullptr);
  return ::signalfd(-1, &stopping, SFD_CLOEXEC | SFD_NONBLOCK);
}

// True when a signal came; false when the event did, or the time is over.
bool wait_for_signal(int signals, const Event& event, int timeout_ms) {
  pollfd entries[2] = {{signals, POLLIN, 0}, {event.fd(), POLLIN, 0}};
  while (::poll(entries, 2, timeout_ms) < 0 && errno == EINTR) {
  }
  signalfd_siginfo info;
  return (entries[0].revents & POLLIN) != 0 && ::read(signals, &info, sizeof info) == sizeof info;
}

int serve(Server& server, int signals, std::chrono::seconds drain_time, const std::string& database, Log& log) {
  // Both events live until the threads that set them have ended.
  Event store_failed;
  Event drained;
  server.start([&](const Error& failure) {
    log.write(LogLevel::kError, "server", "the store failed: " + failure.detail);
    store_failed.set();
  });
  std::printf("chatsdk-server %s listening on %s and %s, database %s\n", std::string(kServerVersion).c_str(),
              server.http_url().c_str(), server.websocket_url().c_str(), database.c_str());
  if (std::fflush(stdout) != 0) {
    log.write(LogLevel::kWarning, "server", std::string("standard output took no ready line: ") + std::strerror(errno));
  }

  wait_for_signal(signals, store_failed, -1);
  if (!store_failed.happened()) {
    log.write(LogLevel::kInfo, "server", "draining " + std::to_string(server.connections()) + " connections");
    server.drain([&] { drained.set(); });
    const auto limit = std::chrono::duration_cast<std::chrono::milliseconds>(drain_time).count();
    wait_for_signal(signals, drained, static_cast<int>(limit));
    if (!drained.happened()) log.write(LogLevel::kWarning, "server", "stopped before every connection was drained");
  }
  server.stop();
  log.write(LogLevel::kInfo, "server", "stopped");
  return store_failed.happened() ? kExitRunTime : 0;
}

// A library that finds no descriptor for its loop ends the program. Empty: there are enough.
std::string descriptor_problem() {
  rlimit limit = {};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= limits::kDescriptorsMin) return {};
  limit.rlim_cur = std::min<rlim_t>(limit.rlim_max, limits::kDescriptorsMin);
  if (::setrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur >= limits::kDescriptorsMin) return {};
  return "the system allows " + std::to_string(limit.rlim_cur) + " open files, at least " +
         std::to_string(limits::kDescriptorsMin) + " are needed";
}

// Says what SQLite would not: why no file can be made there. Empty: one can.
std::string directory_problem(const std::string& database) {
  const std::size_t slash = database.rfind('/');
  const std::string directory = slash == std::string::npos ? "." : database.substr(0, slash + 1);
  if (::access(directory.c_str(), W_OK | X_OK) == 0) return {};
  return "directory \"" + directory + "\": " + std::strerror(errno);
}

// Only for files that are known to be the server's. A copy that was put back may be readable for everybody, and SQLite
// gives its log the database's mode. Empty: no other user can read the files that are there.
std::string take_from_others(const std::string& database, Log& log) {
  for (const char* suffix : {"", "-wal", "-shm", ".epoch"}) {
    const std::string file = database + suffix;
    struct stat found = {};
    if (::stat(file.c_str(), &found) != 0 || (found.st_mode & (S_IRWXG | S_IRWXO)) == 0) continue;
    if (::chmod(file.c_str(), found.st_mode & S_IRWXU) != 0) {
      return "\"" + file + "\" is open to other users: " + std::strerror(errno);
    }
    log.write(LogLevel::kWarning, "server", "\"" + file + "\" was open to other users, and is not any more");
  }
  return {};
}

// What whoever runs the server should know of its database, though nobody needs to have done anything wrong.
void tell_origin(SqliteStore::Origin origin, const std::string& database, Log& log) {
  switch (origin) {
    case SqliteStore::Origin::kContinued:
    case SqliteStore::Origin::kNew:
      return;
    case SqliteStore::Origin::kNewBesideMark:
      return log.write(LogLevel::kWarning, "server",
                       "\"" + database + ".epoch\" is of a database that is gone: a new and empty one was made");
    case SqliteStore::Origin::kPutBack:
      return log.write(LogLevel::kWarning, "server",
                       "the database went back to an older state, or \"" + database +
                           ".epoch\" is not its own: it begins a new epoch, and devices read all of it again");
  }
}

// Which options an error of Server::create is about.
std::string options_of(Code code) {
  switch (code) {
    case Code::kTls:
      return "--tls-cert, --tls-key: ";
    case Code::kNetwork:
      return "--address, --port: ";
    default:
      return "";
  }
}

int fail_of_store(const ProgramOptions& options, const Error& failure) {
  return fail(kExitRunTime, options.database_option + ": \"" + options.database + "\": " + failure.detail);
}

int run(int argc, const char* const* argv) {
  auto parsed = parse_options(argc, argv);
  if (!parsed.ok()) return fail(kExitOptions, parsed.error().detail);
  if (!parsed->options) {
    std::fputs(parsed->text.c_str(), stdout);
    return 0;
  }
  const ProgramOptions options = std::move(*parsed->options);
  const int signals = take_signals();
  if (signals < 0) return fail(kExitRunTime, "signalfd is not available");
  if (sodium_init() < 0) return fail(kExitRunTime, "libsodium did not start");
  SpdlogLog log(options.log_level, options.log_format);
  // The library would write of every malformed text on standard error, past the log, and with the field's name. What a
  // peer did wrong is in the log already.
  google::protobuf::SetLogHandler(nullptr);
  for (const std::string& name : options.unknown_environment) {
    log.write(LogLevel::kWarning, "server", "the environment has " + name + ", which names no option");
  }

  if (const std::string problem = descriptor_problem(); !problem.empty()) return fail(kExitRunTime, problem);
  if (const std::string problem = directory_problem(options.database); !problem.empty()) {
    return fail(kExitRunTime, options.database_option + ": " + problem);
  }
  ::umask(S_IRWXG | S_IRWXO);  // the database holds the root of the token keys: its files are the server's alone
  // Before anything is made or changed: the options may name a file that is none of the server's.
  const auto recognised = recognise_store_file(options.database);
  if (!recognised.ok()) return fail_of_store(options, recognised.error());
  if (*recognised) {
    if (const std::string problem = take_from_others(options.database, log); !problem.empty()) {
      return fail(kExitRunTime, options.database_option + ": " + problem);
    }
  }
  SodiumRandom random;  // outlives the store, which draws its ids from it
  SqliteStoreOptions store_options;
  store_options.path = options.database;
  auto store = SqliteStore::open(store_options, random);
  if (!store.ok()) {
    Error failure = store.error();
    if (failure.code == Code::kCorrupt) failure.detail += "; put a backup in its place";
    return fail_of_store(options, failure);
  }
  tell_origin((*store)->origin(), options.database, log);
  // Now that it is open it is the store's, whatever its first pages told.
  if (const std::string problem = take_from_others(options.database, log); !problem.empty()) {
    return fail(kExitRunTime, options.database_option + ": " + problem);
  }
  auto server = Server::create(options.server, std::move(store).value(), log);
  if (!server.ok()) {
    const bool is_option = server.code() == Code::kTls || server.code() == Code::kInvalidArgument;
    return fail(is_option ? kExitOptions : kExitRunTime, options_of(server.code()) + server.error().detail);
  }
  const int exit_code = serve(**server, signals, options.drain_time, options.database, log);
  ::close(signals);
  return exit_code;
}

}  // namespace
}  // namespace chatsdk::server

int main(int argc, char** argv) { return chatsdk::server::run(argc, argv); }
