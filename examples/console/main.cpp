// SPDX-License-Identifier: Apache-2.0
//
// chatsdk-console: a chat client for the terminal. `script` runs commands from a file or standard input and stops at
// the first that fails; `chat` talks to one person, with commands after a slash.
//
// Threads: the main one; in `chat` a second reads the keyboard and wakes the first.
#include <CLI/CLI.hpp>

#include <cerrno>
#include <cstring>
#include <deque>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>

#include "console.h"
#include "password.h"

namespace {

// Runs lines until the end or `quit`; the number of the line that failed is in the message.
int run_script(console::console& session, std::istream& in) {
  std::string line;
  for (int number = 1; std::getline(in, line); ++number) {
    try {
      if (!session.run(line)) return 0;
    } catch (const std::exception& e) {
      std::cerr << "chatsdk-console: line " << number << ": " << console::shown(e.what()) << std::endl;
      return 1;
    }
  }
  if (in.bad()) throw console::failure("the script cannot be read to its end");
  return 0;
}

// Why a file cannot be read; a directory opens as a file does.
std::string check_readable(const std::string& path) {
  errno = std::filesystem::is_directory(path) ? EISDIR : 0;
  if (errno == 0 && std::ifstream(path).is_open()) return "";
  return "cannot read " + path + ": " + std::strerror(errno);
}

int run_script_file(console::console& session, const std::string& path) {
  if (path == "-") return run_script(session, std::cin);
  if (const std::string problem = check_readable(path); !problem.empty()) throw console::failure(problem);
  std::ifstream file(path);
  return run_script(session, file);
}

// Lines from the keyboard, read by a thread of their own.
class Keyboard {
 public:
  explicit Keyboard(console::console& session) : shared_(std::make_shared<Shared>()) {
    shared_->session = &session;
    std::thread(read, shared_).detach();
  }
  // The thread may go on waiting for a line; it wakes nobody from here on.
  ~Keyboard() {
    std::lock_guard lock(shared_->mutex);
    shared_->session = nullptr;
  }
  Keyboard(const Keyboard&) = delete;
  Keyboard& operator=(const Keyboard&) = delete;

  // What has been typed since the last call; ended: nothing follows.
  std::deque<std::string> take(bool& ended) {
    std::lock_guard lock(shared_->mutex);
    ended = shared_->ended;
    return std::exchange(shared_->lines, {});
  }

 private:
  struct Shared {
    std::mutex mutex;
    std::deque<std::string> lines;
    bool ended = false;
    console::console* session = nullptr;  // woken under the mutex, so that it does not end meanwhile
  };

  static void read(const std::shared_ptr<Shared>& shared) {
    for (std::string line; std::getline(std::cin, line);) {
      std::lock_guard lock(shared->mutex);
      shared->lines.push_back(line);
      if (shared->session != nullptr) shared->session->wake();
    }
    std::lock_guard lock(shared->mutex);
    shared->ended = true;
    if (shared->session != nullptr) shared->session->wake();
  }

  const std::shared_ptr<Shared> shared_;
};

// Runs until `/quit` or the end of the input. A line that cannot be done is told and ends nothing.
void talk(console::console& session, const std::string& peer) {
  const std::string with_peer = " " + console::quoted(peer);
  session.run("history" + with_peer);
  session.start();
  Keyboard keyboard(session);
  for (;;) {
    bool ended = false;
    const std::deque<std::string> lines = keyboard.take(ended);
    for (const std::string& line : lines) {
      try {
        if (line.empty()) continue;
        if (!session.run(line[0] == '/' ? line.substr(1) : "send" + with_peer + " " + line)) return;
      } catch (const console::output_failure&) {
        throw;
      } catch (const std::exception& e) {
        std::cerr << console::shown(e.what()) << std::endl;
      }
    }
    if (ended) return;
    try {
      session.run("read" + with_peer);
      // A command that waits may have used up the signal for a line that came meanwhile: look again before waiting.
      session.pump(std::chrono::milliseconds(lines.empty() ? -1 : 0));
    } catch (const console::output_failure&) {
      throw;
    } catch (const std::exception& e) {
      std::cerr << console::shown(e.what()) << std::endl;
    }
  }
}

int run_chat(console::console& session, const std::string& peer) {
  talk(session, peer);
  session.pump(std::chrono::milliseconds(0));  // what has come meanwhile is shown first
  session.tell_what_waits();
  return 0;
}

// In decimal digits; another form would be read as another number than it seems to be.
std::string check_seconds(const std::string& text) {
  const bool is_decimal = !text.empty() && text.size() <= 9 && text.find_first_not_of("0123456789") == text.npos &&
                          (text.size() == 1 || text.front() != '0');
  return is_decimal ? "" : "\"" + text + "\" is no number of 0 to 999999999 in decimal digits, without leading zeros";
}

int run(int argc, char** argv) {
  CLI::App app("A chat client for the terminal, over chatsdk.");
  console::options options;
  options.server = "http://127.0.0.1:8080";
  options.store = "chatsdk-console.db";
  app.add_option("--server", options.server, "The server's URL")->capture_default_str()->envname("CHATSDK_SERVER");
  app.add_option("--store", options.store, "This device's encrypted store")->capture_default_str();
  app.add_option("--key-file", options.key_file, "The store's key, made if absent (default: STORE.key)");
  app.add_option("--ca-file", options.ca_file, "PEM file of certificate authorities to trust")->check(check_readable);
  app.add_option("--device-name", options.device_name, "This device's name")->capture_default_str();
  app.add_option("--prefix", options.prefix, "Printed before every line");
  std::int64_t wait_s = 30;
  app.add_option("--wait-limit", wait_s, "Seconds after which a wait fails")
      ->capture_default_str()
      ->check(check_seconds);
  app.require_subcommand(1);

  std::string script = "-";
  auto* script_command = app.add_subcommand(
      "script", std::string("Run commands from FILE (- is standard input):\n") + console::console::help());
  script_command->add_option("file", script)->capture_default_str();
  std::string peer;
  auto* chat_command = app.add_subcommand(
      "chat",
      "Talk to PEER; lines that begin with / are commands, /quit ends. It ends with its input too, and what waits then "
      "goes out with the next run: for a pipe `script` is better, which can `wait sent PEER`");
  chat_command->add_option("peer", peer)->required();
  std::string user;
  std::string password;
  for (const char* name : {"register", "login"}) {
    auto* command = app.add_subcommand(
        name, std::string(name) +
                  " USER; without PASSWORD it is asked for at a terminal, else the first line of standard input. Every "
                  "user of the machine can see an argument");
    command->add_option("user", user)->required();
    command->add_option("password", password);
  }
  app.add_subcommand("history", "Show the last messages with PEER")->add_option("peer", peer)->required();
  CLI11_PARSE(app, argc, argv);

  if (options.key_file.empty()) options.key_file = options.store + ".key";
  options.wait_limit = std::chrono::seconds(wait_s);
  try {
    const bool registers = app.got_subcommand("register");
    const bool enters = registers || app.got_subcommand("login");
    // First of all: where nobody gives a password no store is made.
    if (enters && password.empty()) password = console::read_password(registers);
    console::console session(options, std::cout);
    if (app.got_subcommand(script_command)) return run_script_file(session, script);
    if (app.got_subcommand(chat_command)) return run_chat(session, peer);
    if (enters) {
      registers ? session.register_account(user, password) : session.login(user, password);
    } else {
      session.run("history " + console::quoted(peer));
    }
    return 0;
  } catch (const chatsdk::exception& e) {
    const char* hint = e.status() == CHATSDK_WRONG_STATE ? "; --store FILE names another store" : "";
    std::cerr << "chatsdk-console: " << console::shown(e.what()) << hint << std::endl;
    return 1;
  } catch (const std::exception& e) {
    std::cerr << "chatsdk-console: " << console::shown(e.what()) << std::endl;
    return 1;
  }
}

}  // namespace

int main(int argc, char** argv) {
  const int exit_code = run(argc, argv);
  // What nobody could read was not said: also of --help and of the last line.
  if (exit_code == 0 && !std::cout.flush()) {
    std::cerr << "chatsdk-console: standard output: " << std::strerror(errno) << std::endl;
    return 1;
  }
  return exit_code;
}
