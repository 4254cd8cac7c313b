// SPDX-License-Identifier: Apache-2.0
//
// The console client's commands over chatsdk.hpp: what a line of a script or of the keyboard does. Knows the SDK and an
// output stream; knows no command line and no terminal.
//
// Threads: one, but for wake(), which any thread may call.
#pragma once

#include <chrono>
#include <functional>
#include <iosfwd>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "chatsdk/chatsdk.hpp"

namespace console {

// A command that could not be done; the message is for the person at the console.
struct failure : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// What was to be said cannot be said any more.
struct output_failure : failure {
  using failure::failure;
};

// A word of a line that is this text, whatever is in it.
std::string quoted(std::string_view text);

// The text as it may stand in a line on a terminal, whoever wrote it: what would move the cursor, change colours,
// answer for the keyboard or turn the direction of writing around is shown as its number instead, as \x1b or \u202e.
std::string shown(std::string_view text);

struct options {
  std::string server;
  std::string store;
  std::string key_file;
  std::string ca_file;
  std::string device_name = "console";
  std::string prefix;  // stands before every line printed, as it is
  std::chrono::milliseconds wait_limit{30'000};
  std::chrono::milliseconds backoff_base{500};
};

class console {
 public:
  console(const options& opts, std::ostream& out);

  // Runs one line, which may end with a carriage return; false: the line was `quit`. Throws failure or
  // chatsdk::exception.
  bool run(std::string_view line);
  // Make an account, or log in, and wait for the server's answer.
  void register_account(const std::string& user, const std::string& password);
  void login(const std::string& user, const std::string& password);
  // Connects and stays connected, without waiting for it.
  void start();
  // Prints what has happened, waiting at most this long for something to happen.
  void pump(std::chrono::milliseconds wait);
  // Says what is queued and would leave the device only in a later run.
  void tell_what_waits();
  // Ends a pump that waits. Threads: any.
  void wake() { client_.wake(); }

  static const char* help();

 private:
  void complete(std::uint64_t request, const char* what);
  void wait_until(const std::string& what, const std::function<bool()>& holds);
  void wait_for_message(const std::string& peer, const std::string& text);
  // what: sent, delivered or read, of the last own message.
  void wait_for_state(const std::string& what, const std::string& peer);
  // what: ready, code or linked.
  void wait_for_encryption(const std::string& what);
  void show_safety_number(const std::string& peer);
  // scanned: empty, or what PEER's display showed.
  void verify(const std::string& peer, const std::string& scanned);
  void show(const chatsdk::event& event);
  void show_encryption(const chatsdk::event& event);
  void show_message(const chatsdk::message& message);
  void show_devices(const std::vector<chatsdk::device>& devices);
  void history(const std::string& peer, std::size_t max);
  void receipts(const std::string& peer);
  void conversations();
  void mark_read(const std::string& peer);
  // Looking at somebody makes no conversation.
  std::optional<std::uint64_t> known_conversation(const std::string& peer);
  // The last messages, oldest first.
  std::vector<chatsdk::message> tail(const std::string& peer, std::size_t max);
  std::uint64_t oldest_failed(const std::string& peer);
  // One line, with what anybody else wrote in it made harmless.
  void print(const std::string& line);

  const options options_;
  std::ostream& out_;
  chatsdk::client client_;
  std::uint64_t awaited_request_ = 0;
  std::int32_t awaited_status_ = 0;
  std::string awaited_error_;
  std::vector<chatsdk::device> devices_;
  bool has_link_code_ = false;
  std::optional<std::int32_t> link_status_;  // of the last linking, once it has ended
};

}  // namespace console
