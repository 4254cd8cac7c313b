// SPDX-License-Identifier: Apache-2.0
#include "password.h"

#include <termios.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstring>
#include <iostream>

#include "console.h"

namespace console {

namespace {

constexpr std::size_t kLineBytesMax = 4'096;  // more than any password has; the SDK knows the limit

volatile std::sig_atomic_t caught = 0;

// While it lives the terminal shows nothing that is typed. A signal that would end the program waits until the terminal
// is again as it was.
class silence {
 public:
  silence() {
    if (tcgetattr(STDIN_FILENO, &before_) != 0) throw failure(std::string("the terminal: ") + std::strerror(errno));
    struct sigaction note {};
    note.sa_handler = [](int number) { caught = number; };  // without SA_RESTART, so that it ends a read()
    for (std::size_t i = 0; i < kSignals.size(); ++i) sigaction(kSignals[i], &note, &handlers_[i]);
    termios silent = before_;
    silent.c_lflag &= ~static_cast<tcflag_t>(ECHO);
    silent.c_lflag |= ECHONL;
    tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent);
  }
  ~silence() {
    tcsetattr(STDIN_FILENO, TCSAFLUSH, &before_);
    for (std::size_t i = 0; i < kSignals.size(); ++i) sigaction(kSignals[i], &handlers_[i], nullptr);
    if (caught != 0) std::raise(caught);
  }
  silence(const silence&) = delete;
  silence& operator=(const silence&) = delete;

 private:
  static constexpr std::array<int, 4> kSignals = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
  termios before_{};
  std::array<struct sigaction, kSignals.size()> handlers_{};
};

std::string read_line() {
  std::string line;
  for (char c = 0; line.size() < kLineBytesMax; line += c) {
    ssize_t bytes = 0;
    do {
      bytes = ::read(STDIN_FILENO, &c, 1);
    } while (bytes < 0 && errno == EINTR && caught == 0);
    if (bytes < 0) throw failure(std::string("the password: ") + std::strerror(errno));
    if (bytes > 0 && c != '\n') continue;
    if (line.empty()) throw failure("no password was given");
    return line;
  }
  throw failure("the password is too long");
}

std::string ask(const char* question) {
  const silence silent;
  std::cerr << question << std::flush;
  return read_line();
}

}  // namespace

std::string read_password(bool is_new) {
  if (::isatty(STDIN_FILENO) == 0) return read_line();
  std::string password = ask("Password: ");
  if (is_new && ask("Once more: ") != password) throw failure("these were two different passwords");
  return password;
}

}  // namespace console
