// SPDX-License-Identifier: Apache-2.0
#include "sim/child.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "base/assert.h"

namespace chatsdk::sim {

namespace {

// A run that takes longer than this turns in circles. A sanitizer makes a run some thirty times slower.
constexpr rlim_t kCpuSecondsMax = 600;
constexpr rlim_t kLastWordsSeconds = 10;  // what a child that dies may take to say what it knows

class Writer {
 public:
  void number(std::uint64_t value) { bytes_.append(reinterpret_cast<const char*>(&value), sizeof value); }
  void text(const std::string& value) {
    number(value.size());
    bytes_ += value;
  }
  std::string take() { return std::move(bytes_); }

 private:
  std::string bytes_;
};

class Reader {
 public:
  explicit Reader(std::string_view bytes) : rest_(bytes) {}
  std::uint64_t number() {
    std::uint64_t value = 0;
    const std::string_view bytes = next(sizeof value);
    if (!bytes.empty()) std::memcpy(&value, bytes.data(), sizeof value);
    return value;
  }
  std::string text() { return std::string(next(number())); }
  bool whole() const { return good_ && rest_.empty(); }
  bool good() const { return good_; }

 private:
  std::string_view next(std::uint64_t size) {
    good_ = good_ && size <= rest_.size();
    if (!good_) return {};
    const std::string_view bytes = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return bytes;
  }
  std::string_view rest_;
  bool good_ = true;
};

void write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return;
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
}

// ---- A child's last words ------------------------------------------------------------------------------------------

int last_words_fd = -1;

// Nothing that this uses is safe in a handler by right; but the process is lost anyhow, and one thread that broke in
// its own code can mostly still read its history. If not, it dies here, as it would have.
void say_last_words(int signal) {
  ::alarm(static_cast<unsigned>(kLastWordsSeconds));
  write_all(last_words_fd, encode(last_words()));
  ::raise(signal);  // the default action is back
}

// Where somebody else listens already, as a sanitizer does, they have more to say.
void prepare_last_words(int fd) {
  last_words_fd = fd;
  static unsigned char stack[256 * 1024];
  stack_t own{};
  own.ss_sp = stack;
  own.ss_size = sizeof stack;
  ::sigaltstack(&own, nullptr);
  for (const int signal : {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGXCPU}) {
    struct sigaction before {};
    ::sigaction(signal, nullptr, &before);
    if ((before.sa_flags & SA_SIGINFO) != 0 || before.sa_handler != SIG_DFL) continue;
    struct sigaction action {};
    action.sa_handler = say_last_words;
    action.sa_flags = static_cast<int>(SA_RESETHAND | SA_NODEFER | SA_ONSTACK);
    ::sigaction(signal, &action, nullptr);
  }
}

}  // namespace

std::string encode(const RunResult& result) {
  Writer out;
  out.number(result.violations.size());
  for (const Violation& violation : result.violations) {
    out.text(violation.property);
    out.text(violation.message);
    out.number(violation.conversation);
    out.number(violation.event);
  }
  out.number(result.tail.size());
  for (const std::string& line : result.tail) out.text(line);
  for (const std::uint64_t value : {result.hash, result.records, result.turns, result.frames, result.sends,
                                    result.server_starts, static_cast<std::uint64_t>(result.virtual_time.count()),
                                    static_cast<std::uint64_t>(result.convergence.count())}) {
    out.number(value);
  }
  for (const auto* counts : {&result.faults, &result.points}) {
    out.number(counts->size());
    for (const auto& [name, count] : *counts) {
      out.text(name);
      out.number(count);
    }
  }
  return out.take();
}

bool decode(std::string_view bytes, RunResult& result) {
  Reader in(bytes);
  for (std::uint64_t i = in.number(); i > 0 && in.good(); --i) {
    Violation& violation = result.violations.emplace_back();
    violation.property = in.text();
    violation.message = in.text();
    violation.conversation = static_cast<ConversationNumber>(in.number());
    violation.event = in.number();
  }
  for (std::uint64_t i = in.number(); i > 0 && in.good(); --i) result.tail.push_back(in.text());
  for (std::uint64_t* value :
       {&result.hash, &result.records, &result.turns, &result.frames, &result.sends, &result.server_starts}) {
    *value = in.number();
  }
  result.virtual_time = std::chrono::microseconds(in.number());
  result.convergence = std::chrono::microseconds(in.number());
  for (auto* counts : {&result.faults, &result.points}) {
    for (std::uint64_t i = in.number(); i > 0 && in.good(); --i) {
      const std::string name = in.text();
      (*counts)[name] = in.number();
    }
  }
  return in.whole();
}

Child::Child(const std::function<RunResult()>& work) {
  std::fflush(nullptr);
  int ends[2] = {-1, -1};
  CHATSDK_ASSERT(::pipe(ends) == 0);
  pid_ = ::fork();
  CHATSDK_ASSERT(pid_ >= 0);
  if (pid_ == 0) {
    ::close(ends[0]);
    const rlimit limit{kCpuSecondsMax, kCpuSecondsMax + kLastWordsSeconds};
    ::setrlimit(RLIMIT_CPU, &limit);
    prepare_last_words(ends[1]);
    const RunResult result = work();
    last_words_fd = -1;
    write_all(ends[1], encode(result));
    ::close(ends[1]);
    std::exit(0);  // not _exit: a sanitizer looks for leaks on the way out
  }
  ::close(ends[1]);
  fd_ = ends[0];
}

Child::~Child() {
  if (fd_ >= 0) ::close(fd_);
  if (pid_ <= 0) return;
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
}

bool Child::take() {
  char buffer[65'536];
  const ssize_t size = ::read(fd_, buffer, sizeof buffer);
  if (size < 0 && errno == EINTR) return false;
  if (size > 0) bytes_.append(buffer, static_cast<std::size_t>(size));
  return size <= 0;
}

RunResult Child::result() {
  while (!take()) {
  }
  int status = 0;
  while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
  pid_ = -1;
  RunResult result;
  const bool whole = decode(bytes_, result);
  if (whole && WIFEXITED(status) && WEXITSTATUS(status) == 0) return result;
  if (!whole) result = {};
  result.violations.push_back({"process",
                               WIFSIGNALED(status)
                                   ? "It died of signal " + std::to_string(WTERMSIG(status)) + "."
                                   : "It ended with status " + std::to_string(WEXITSTATUS(status)) + ".",
                               kNoConversation, 0});
  return result;
}

RunResult run_in_child(const std::function<RunResult()>& work) { return Child(work).result(); }

}  // namespace chatsdk::sim
