// SPDX-License-Identifier: Apache-2.0
#include "console.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <fstream>
#include <ostream>
#include <sstream>

namespace console {

namespace {

constexpr std::size_t kPageMax = 200;  // rows of one page, see chatsdk_client_history_before

std::string nature_of(const chatsdk::conversation& conversation) {
  if (conversation.is_encrypted()) return "encrypted";
  return conversation.is_accepted_plain() ? "plain" : "plain, not accepted";
}

failure system_failure(const std::string& what) { return failure(what + ": " + std::strerror(errno)); }

// An open file or directory.
class descriptor {
 public:
  descriptor(const std::string& path, int flags, mode_t mode = 0) : number_(::open(path.c_str(), flags, mode)) {}
  ~descriptor() {
    if (number_ >= 0) ::close(number_);
  }
  descriptor(const descriptor&) = delete;
  descriptor& operator=(const descriptor&) = delete;
  bool is_open() const { return number_ >= 0; }
  bool write(const unsigned char* bytes, std::size_t count) const {
    while (count > 0) {
      const ssize_t written = ::write(number_, bytes, count);
      if (written < 0 && errno == EINTR) continue;
      if (written <= 0) return false;
      bytes += written;
      count -= static_cast<std::size_t>(written);
    }
    return true;
  }
  bool sync() const { return ::fsync(number_) == 0; }

 private:
  const int number_;
};

// Both the file and its name are durable when this returns: a power cut must not leave a store without its only key.
void write_key(const std::string& path, const chatsdk::store_key& key) {
  const descriptor file(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, S_IRUSR | S_IWUSR);
  if (!file.is_open()) throw system_failure("key file " + path);
  const std::size_t slash = path.rfind('/');
  const std::string directory = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  const descriptor parent(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (file.write(key.data(), key.size()) && file.sync() && parent.is_open() && parent.sync()) return;
  const failure failed = system_failure("key file " + path);
  ::unlink(path.c_str());  // no store has been made with it
  throw failed;
}

// Reads the store's key, or makes one that only this user can read, where there is no store yet: another key opens
// none. An app keeps it in the platform's key store.
chatsdk::store_key load_key(const std::string& path, const std::string& store) {
  chatsdk::store_key key{};
  errno = 0;
  if (std::ifstream file(path, std::ios::binary); file) {
    if (!file.read(reinterpret_cast<char*>(key.data()), key.size()) ||
        file.peek() != std::ifstream::traits_type::eof()) {
      throw failure("key file " + path + " does not hold 32 bytes");
    }
    return key;
  }
  if (errno != ENOENT) throw system_failure("key file " + path);
  if (::access(store.c_str(), F_OK) == 0)
    throw failure("the store " + store + " is there, its key file " + path + " is not");
  std::ifstream random("/dev/urandom", std::ios::binary);
  if (!random.read(reinterpret_cast<char*>(key.data()), key.size())) throw failure("no source of randomness");
  write_key(path, key);
  return key;
}

chatsdk::config make_config(const options& opts) {
  chatsdk::config config(opts.server);
  config.device_name(opts.device_name).backoff(opts.backoff_base, std::chrono::seconds(60));
  if (!opts.ca_file.empty()) config.ca_file(opts.ca_file);
  return config;
}

// Takes a line apart from its front. A word that begins with a double quote goes on to the next one, and a backslash in
// it stands for the character behind it; a text is the whole rest of the line, as it is.
class line_reader {
 public:
  explicit line_reader(std::string_view line) : left_(line) {
    if (left_.ends_with('\r')) left_.remove_suffix(1);  // the line ends of Windows
    skip_space();
  }
  bool at_end() const { return left_.empty(); }
  std::string_view rest() const { return left_; }
  std::string word() {
    if (left_.starts_with('"')) return quoted_word();
    const std::string_view found = left_.substr(0, left_.find_first_of(kSpace));
    left_.remove_prefix(found.size());
    skip_space();
    return std::string(found);
  }

 private:
  static constexpr std::string_view kSpace = " \t";

  std::string quoted_word() {
    std::string found;
    std::size_t at = 1;
    for (; at < left_.size() && left_[at] != '"'; ++at) {
      if (left_[at] == '\\' && at + 1 < left_.size()) ++at;
      found += left_[at];
    }
    const std::string_view behind = left_.substr(std::min(at + 1, left_.size()));
    if (at >= left_.size()) throw failure("a quote is not closed");
    if (!behind.empty() && kSpace.find(behind.front()) == std::string_view::npos) {
      throw failure("a space is missing behind a closing quote");
    }
    left_ = behind;
    skip_space();
    return found;
  }
  void skip_space() { left_.remove_prefix(std::min(left_.find_first_not_of(kSpace), left_.size())); }

  std::string_view left_;
};

std::uint64_t number_of(const std::string& word) {
  std::uint64_t number = 0;
  const auto end = std::from_chars(word.data(), word.data() + word.size(), number);
  const bool is_whole = end.ec == std::errc() && end.ptr == word.data() + word.size();
  if (!is_whole || (word.size() > 1 && word.front() == '0')) {
    throw failure("'" + word + "' is no number in decimal digits, without leading zeros");
  }
  return number;
}

const char* ticks(std::int32_t state) {
  switch (state) {
    case CHATSDK_MESSAGE_QUEUED:
      return "… queued";
    case CHATSDK_MESSAGE_SENDING:
      return "… sending";
    case CHATSDK_MESSAGE_SENT:
      return "✓ sent";
    case CHATSDK_MESSAGE_DELIVERED:
      return "✓✓ delivered";
    case CHATSDK_MESSAGE_READ:
      return "✓✓ read";
    case CHATSDK_MESSAGE_FAILED:
      return "✗ failed";
    default:
      return "";
  }
}

const char* connection_name(std::int32_t state) {
  switch (state) {
    case CHATSDK_CONNECTION_STOPPED:
      return "offline";
    case CHATSDK_CONNECTION_NOT_LOGGED_IN:
      return "not logged in";
    case CHATSDK_CONNECTION_WAITING:
      return "waiting to reconnect";
    case CHATSDK_CONNECTION_CONNECTING:
      return "connecting";
    case CHATSDK_CONNECTION_SYNCING:
      return "catching up";
    case CHATSDK_CONNECTION_ONLINE:
      return "online";
    default:
      return "in an unknown state";
  }
}

std::string clock_time(std::chrono::milliseconds time) {
  const std::time_t seconds = time.count() / 1000;
  std::tm parts{};
  localtime_r(&seconds, &parts);
  char text[16];
  std::strftime(text, sizeof text, "%H:%M:%S", &parts);
  return text;
}

// The character at the front and how many bytes it has; none when the bytes are no UTF-8.
struct character {
  char32_t point;
  std::size_t bytes;
};
character first_of(std::string_view text) {
  const auto byte = [text](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const std::size_t bytes = byte(0) < 0x80 ? 1 : byte(0) < 0xC2 ? 0 : byte(0) < 0xE0 ? 2 : byte(0) < 0xF0 ? 3 : 4;
  if (bytes <= 1) return {byte(0), bytes};
  if (bytes > text.size() || byte(0) > 0xF4) return {byte(0), 0};
  char32_t point = byte(0) & (0x7FU >> bytes);
  for (std::size_t i = 1; i < bytes; ++i) {
    if ((byte(i) & 0xC0U) != 0x80U) return {byte(0), 0};
    point = point << 6U | (byte(i) & 0x3FU);
  }
  return {point, bytes};
}

// Controls of both sets, line ends of every kind, and what changes the direction of the text around it.
bool is_harmful(char32_t point) {
  return point < 0x20 || (point >= 0x7F && point <= 0x9F) || point == 0x61C || point == 0x200E || point == 0x200F ||
         (point >= 0x2028 && point <= 0x202E) || (point >= 0x2066 && point <= 0x2069);
}

}  // namespace

std::string shown(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const character first = first_of(text);
    if (first.bytes == 0 || is_harmful(first.point)) {
      char number[8];
      std::snprintf(number, sizeof number, first.point < 0x80 || first.bytes == 0 ? "\\x%02x" : "\\u%04x",
                    static_cast<unsigned>(first.point));
      out += number;
    } else {
      out += text.substr(0, first.bytes);
    }
    text.remove_prefix(std::max<std::size_t>(first.bytes, 1));
  }
  return out;
}

std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + '"';
}

const char* console::help() {
  return "register USER PASSWORD   make an account and log in\n"
         "login USER PASSWORD      log in\n"
         "logout                   end the session on the server\n"
         "online | offline         connect and catch up, or disconnect\n"
         "send PEER TEXT           queue a message, encrypted; it is kept across restarts\n"
         "plain PEER               a plain conversation: make a new one so, or accept that a known one is\n"
         "history PEER [N]         the last N messages (20)\n"
         "receipts PEER            when own messages were delivered and read\n"
         "read PEER                mark everything read\n"
         "retry PEER | discard PEER  the oldest failed message\n"
         "conversations            the list, newest first\n"
         "devices                  the account's devices\n"
         "revoke ID                removes one of them\n"
         "safety PEER              the safety number, to compare with what PEER sees\n"
         "verify PEER [SCANNED]    PEER's number is the same: mark it; SCANNED is compared\n"
         "unverify PEER | accept PEER  take the mark back, or accept another identity\n"
         "forget PEER              begin anew with somebody whose safety number is another's\n"
         "signed USER              the devices for which others encrypt\n"
         "new-identity             all other devices are lost: begin anew with this one\n"
         "link                     on a new device: the text that another one scans\n"
         "scan TEXT                on a linked device: the text of the new one\n"
         "confirm | cancel         the codes of both devices are equal, or not\n"
         "wait message PEER TEXT   until this message has come\n"
         "wait sent|delivered|read PEER   until the last own message has got so far\n"
         "wait ready               until others can encrypt for this device\n"
         "wait code | wait linked  until a linking shows its code, or has ended well\n"
         "sync                     wait until nothing is left to tell the server\n"
         "say TEXT                 print a line\n"
         "quit\n"
         "A word with spaces stands in double quotes, with \\\" for a quote in it; TEXT is the rest of the line.";
}

console::console(const options& opts, std::ostream& out) : options_(opts), out_(out), client_(make_config(opts)) {
  client_.open_store(opts.store, load_key(opts.key_file, opts.store));
}

void console::register_account(const std::string& user, const std::string& password) {
  chatsdk::registration registration;
  registration.user_id = user;
  registration.password = password;
  complete(client_.register_account(registration), "registered");
}

void console::login(const std::string& user, const std::string& password) {
  complete(client_.login(user, password), "logged in");
}

void console::start() { client_.start(); }

void console::print(const std::string& line) {
  errno = 0;
  out_ << options_.prefix << shown(line) << std::endl;
  if (!out_) throw output_failure(std::string("standard output: ") + (errno != 0 ? std::strerror(errno) : "it failed"));
}

// ---- Commands ------------------------------------------------------------------------------------------------------

bool console::run(std::string_view line) {
  line_reader in(line);
  if (in.at_end() || in.rest().front() == '#') return true;
  const std::string command = in.word();
  const auto need_more = [&] {
    if (in.at_end()) throw failure("'" + command + "' needs more words; try 'help'");
  };
  const auto word = [&] {
    need_more();
    return in.word();
  };
  const auto text = [&] {
    need_more();
    return std::string(in.rest());
  };
  const auto no_more = [&] {
    if (!in.at_end()) throw failure("'" + command + "' takes fewer words; a word with spaces stands in double quotes");
  };
  const auto last_word = [&] {
    std::string last = word();
    no_more();
    return last;
  };

  constexpr std::string_view kAlone[] = {"quit",          "help",    "logout", "online",  "offline", "sync",
                                         "conversations", "devices", "link",   "confirm", "cancel",  "new-identity"};
  if (std::find(std::begin(kAlone), std::end(kAlone), command) != std::end(kAlone)) no_more();

  if (command == "quit") return false;
  if (command == "help") {
    std::istringstream lines(help());
    for (std::string one; std::getline(lines, one);) print(one);
  } else if (command == "say") {
    print(std::string(in.rest()));
  } else if (command == "register" || command == "login") {
    const std::string user = word();
    const std::string password = last_word();
    command == "register" ? register_account(user, password) : login(user, password);
  } else if (command == "logout") {
    complete(client_.logout(), "logged out");
  } else if (command == "online") {
    start();
    wait_until("online", [this] { return client_.connection_state() == CHATSDK_CONNECTION_ONLINE; });
  } else if (command == "offline") {
    client_.stop();
    pump(std::chrono::milliseconds(0));
  } else if (command == "sync") {
    if (!client_.sync(options_.wait_limit)) throw failure("gave up waiting: sync");
    pump(std::chrono::milliseconds(0));
  } else if (command == "send") {
    const std::string peer = word();
    const std::string said = text();
    client_.send_text(client_.direct_conversation(peer), said);
  } else if (command == "plain") {
    client_.direct_conversation_plain(last_word());
  } else if (command == "safety") {
    show_safety_number(last_word());
  } else if (command == "verify") {
    const std::string peer = word();
    verify(peer, in.at_end() ? "" : last_word());
  } else if (command == "unverify") {
    client_.set_verified(client_.find_identity(last_word()), false);
  } else if (command == "accept") {
    client_.accept_identity(client_.find_identity(last_word()));
  } else if (command == "forget") {
    client_.forget_identity(client_.find_identity(last_word()));
  } else if (command == "signed") {
    for (const chatsdk::signed_device& device : client_.signed_devices(last_word())) {
      print("#" + std::to_string(device.id) + " " + device.name + (device.is_current ? " (this one)" : "") + " " +
            device.fingerprint);
    }
  } else if (command == "link" || command == "scan") {
    has_link_code_ = false;
    link_status_.reset();
    command == "link" ? print(client_.begin_link()) : client_.scan_link(last_word());
  } else if (command == "new-identity") {
    client_.replace_identity();
  } else if (command == "confirm") {
    client_.confirm_link();
  } else if (command == "cancel") {
    client_.cancel_link();
  } else if (command == "history") {
    const std::string peer = word();
    const std::uint64_t count = in.at_end() ? 20 : number_of(last_word());
    if (count == 0) throw failure("'history' shows at least one message");
    history(peer, count);
  } else if (command == "receipts") {
    receipts(last_word());
  } else if (command == "read") {
    mark_read(last_word());
  } else if (command == "retry" || command == "discard") {
    const std::uint64_t failed = oldest_failed(last_word());
    command == "retry" ? client_.retry_message(failed) : client_.discard_message(failed);
  } else if (command == "conversations") {
    conversations();
  } else if (command == "devices") {
    complete(client_.list_devices(), nullptr);
    show_devices(devices_);
  } else if (command == "revoke") {
    complete(client_.revoke_device(number_of(last_word())), "revoked");
  } else if (command == "wait") {
    const std::string what = word();
    if (what == "ready" || what == "code" || what == "linked") {
      no_more();
      wait_for_encryption(what);
    } else {
      const std::string peer = what == "message" ? word() : last_word();
      what == "message" ? wait_for_message(peer, text()) : wait_for_state(what, peer);
    }
  } else {
    throw failure("unknown command '" + command + "'; try 'help'");
  }
  return true;
}

void console::complete(std::uint64_t request, const char* what) {
  awaited_request_ = request;
  wait_until("an answer", [this] { return awaited_request_ == 0; });
  if (awaited_status_ != CHATSDK_OK) {
    throw failure(std::string(chatsdk_status_name(awaited_status_)) + ": " + awaited_error_);
  }
  if (what != nullptr) print(what);
}

void console::wait_until(const std::string& what, const std::function<bool()>& holds) {
  const auto end = std::chrono::steady_clock::now() + options_.wait_limit;
  while (!holds()) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - std::chrono::steady_clock::now());
    if (left.count() <= 0) throw failure("gave up waiting: " + what);
    pump(std::min(left, std::chrono::milliseconds(1'000)));
  }
}

void console::wait_for_message(const std::string& peer, const std::string& text) {
  wait_until("message from " + peer, [&] {
    const auto rows = tail(peer, 50);
    return std::any_of(rows.begin(), rows.end(), [&](const auto& m) { return !m.is_own() && m.text() == text; });
  });
}

void console::wait_for_state(const std::string& what, const std::string& peer) {
  const std::int32_t wanted = what == "sent"        ? CHATSDK_MESSAGE_SENT
                              : what == "delivered" ? CHATSDK_MESSAGE_DELIVERED
                              : what == "read"      ? CHATSDK_MESSAGE_READ
                                                    : -1;
  if (wanted < 0) throw failure("unknown wait '" + what + "'");
  wait_until(what + " by " + peer, [&] {
    const auto rows = tail(peer, 50);
    const auto last = std::find_if(rows.rbegin(), rows.rend(), [](const auto& m) { return m.is_own(); });
    if (last == rows.rend()) return false;
    if (last->state() != CHATSDK_MESSAGE_FAILED && last->state() >= wanted) return true;
    // What has failed, or waits behind one that has, stays so until somebody acts. Nothing waits behind a lost one.
    const auto failed = std::find_if(last, rows.rend(), [&](const auto& m) {
      return m.is_own() && m.state() == CHATSDK_MESSAGE_FAILED &&
             (m.failure() != CHATSDK_ROLLED_BACK || m.key() == last->key());
    });
    if (failed != rows.rend() && last->state() != CHATSDK_MESSAGE_SENT && last->state() != CHATSDK_MESSAGE_DELIVERED) {
      throw failure("a message to " + peer + " has failed (" + chatsdk_status_name(failed->failure()) + "); 'retry " +
                    peer + "' or 'discard " + peer + "' goes on");
    }
    return false;
  });
}

void console::wait_for_encryption(const std::string& what) {
  wait_until(what, [&] {
    if (what == "ready") return client_.encryption_state() == CHATSDK_ENCRYPTION_READY;
    if (link_status_ && *link_status_ != CHATSDK_OK) {
      throw failure(std::string("the linking has ended: ") + chatsdk_status_name(*link_status_));
    }
    return what == "code" ? has_link_code_ : link_status_.has_value();
  });
}

void console::show_safety_number(const std::string& peer) {
  const chatsdk::identity identity = client_.find_identity(peer);
  print(std::string(identity.safety_number()) + (identity.is_verified() ? "  [verified]" : ""));
  print(std::string(identity.scannable()));
  if (identity.has_changed())
    print("-- " + peer + " has another identity than before: compare, or 'accept " + peer + "'");
}

void console::verify(const std::string& peer, const std::string& scanned) {
  const chatsdk::identity identity = client_.find_identity(peer);
  if (!scanned.empty() && identity.compare(scanned) != CHATSDK_SCAN_EQUAL) {
    throw failure("this is not what " + peer + " should show: somebody may be in between");
  }
  client_.set_verified(identity, true);
}

void console::tell_what_waits() {
  std::uint64_t after = 0;
  for (;;) {
    const auto page = client_.conversations(50, after);
    for (const chatsdk::conversation& conversation : page.rows) {
      after = conversation.key();
      const std::string peer(conversation.peer());
      const auto rows = tail(peer, kPageMax);
      const auto count = std::count_if(rows.begin(), rows.end(), [](const auto& m) {
        return m.is_own() && (m.state() == CHATSDK_MESSAGE_QUEUED || m.state() == CHATSDK_MESSAGE_SENDING);
      });
      if (count == 0) continue;
      print("-- " + std::to_string(count) + (count == 1 ? " message to " : " messages to ") + peer +
            " queued; what is queued leaves when this account is online again");
    }
    if (!page.has_more) return;
  }
}

// ---- What is shown -------------------------------------------------------------------------------------------------

void console::pump(std::chrono::milliseconds wait) {
  for (const chatsdk::event& event : client_.poll(wait)) {
    try {
      show(event);
    } catch (const chatsdk::exception& e) {
      // An event says where to look. What it named may be gone by now, for instance discarded.
      if (e.status() != CHATSDK_NOT_FOUND) throw;
    }
  }
}

void console::show(const chatsdk::event& event) {
  switch (event.type()) {
    case CHATSDK_EVENT_COMPLETED:
      if (event.request() == awaited_request_) {
        awaited_request_ = 0;
        awaited_status_ = event.status();
        awaited_error_ = event.error_message();
        devices_ = event.devices();
      }
      break;
    case CHATSDK_EVENT_CONNECTION: {
      const std::string why(event.error_message());
      print(std::string("-- ") + connection_name(event.connection_state()) + (why.empty() ? "" : " (" + why + ")"));
      break;
    }
    case CHATSDK_EVENT_MESSAGE_ADDED:
    case CHATSDK_EVENT_MESSAGE_UPDATED:
      show_message(client_.find_message(event.message()));
      break;
    case CHATSDK_EVENT_MESSAGE_REMOVED:
      print("-- a message to " + std::string(client_.find_conversation(event.conversation()).peer()) +
            " was taken back");
      break;
    case CHATSDK_EVENT_RECEIPTS_CHANGED: {
      const chatsdk::conversation conversation = client_.find_conversation(event.conversation());
      const auto rows = tail(std::string(conversation.peer()), 50);
      const auto last = std::find_if(rows.rbegin(), rows.rend(), [](const auto& m) { return m.is_own(); });
      if (last != rows.rend() && last->state() >= CHATSDK_MESSAGE_DELIVERED) show_message(*last);
      break;
    }
    case CHATSDK_EVENT_SESSION_ENDED:
      print("-- logged out by the server: " + std::string(event.error_message()));
      break;
    default:
      show_encryption(event);
      break;
  }
}

void console::show_encryption(const chatsdk::event& event) {
  const std::string user(event.user());
  switch (event.type()) {
    case CHATSDK_EVENT_ENCRYPTION:
      if (event.encryption_state() == CHATSDK_ENCRYPTION_LINK_NEEDED) {
        print(
            "-- this device is new: 'link' here and 'scan' on another one of yours, or 'new-identity' if there is "
            "none");
      }
      break;
    case CHATSDK_EVENT_IDENTITY_CHANGED:
      print("-- " + user + " has another identity: a new beginning, or somebody in between. 'safety " + user +
            "' compares");
      break;
    case CHATSDK_EVENT_VERIFIED_CHANGED:
      print("-- " + user + (client_.find_identity(user).is_verified() ? " is verified" : " is not verified any more"));
      break;
    case CHATSDK_EVENT_DEVICE_ADDED:
    case CHATSDK_EVENT_DEVICE_REMOVED:
      print("-- " + user +
            (event.type() == CHATSDK_EVENT_DEVICE_ADDED ? " has a new device, " : " has removed device ") +
            std::to_string(event.device_id()));
      break;
    case CHATSDK_EVENT_LIST_REFUSED:
      print("-- the server showed devices of " + user + " that do not verify");
      break;
    case CHATSDK_EVENT_PEER_WITHOUT_KEYS:
      print("-- " + user + " was never online, or does not exist: messages wait");
      break;
    case CHATSDK_EVENT_LINK_CODE: {
      has_link_code_ = true;
      const std::string name(event.link_name());
      print("-- link" + (name.empty() ? "" : " \"" + name + "\"") + "? 'confirm' on both devices if both show " +
            std::string(event.link_code()) + ", else 'cancel'");
      break;
    }
    case CHATSDK_EVENT_IDENTITY_REPLACED:
      print(event.status() == CHATSDK_OK ? "-- this is a new identity"
                                         : "-- no new identity: " + std::string(event.error_message()));
      break;
    case CHATSDK_EVENT_LINK_ENDED:
      link_status_ = event.status();
      print(event.status() == CHATSDK_OK ? "-- linked" : "-- not linked: " + std::string(event.error_message()));
      break;
    default:
      break;
  }
}

void console::show_message(const chatsdk::message& message) {
  const std::string text = message.is_undecryptable()               ? "(it could not be decrypted)"
                           : message.content_type() == "text/plain" ? std::string(message.text())
                                                                    : "(this version cannot show it)";
  std::string line = clock_time(message.time()) + "  " + std::string(message.sender()) + ": " + text;
  if (message.is_own()) line += std::string("   ") + ticks(message.state());
  if (message.failure() != CHATSDK_OK) line += std::string(" (") + chatsdk_status_name(message.failure()) + ")";
  print(line);
}

void console::show_devices(const std::vector<chatsdk::device>& devices) {
  for (const chatsdk::device& device : devices) {
    print(std::to_string(device.id) + "  " + device.name + (device.is_current ? "  (this one)" : ""));
  }
}

std::optional<std::uint64_t> console::known_conversation(const std::string& peer) {
  std::uint64_t after = 0;
  for (;;) {
    const auto page = client_.conversations(50, after);
    for (const chatsdk::conversation& conversation : page.rows) {
      after = conversation.key();
      if (conversation.peer() == peer) return conversation.key();
    }
    if (!page.has_more) return std::nullopt;
  }
}

std::vector<chatsdk::message> console::tail(const std::string& peer, std::size_t max) {
  std::vector<chatsdk::message> rows;
  const std::optional<std::uint64_t> known = known_conversation(peer);
  if (!known) return rows;
  const std::uint64_t conversation = *known;
  auto page = client_.history_before(conversation, 0, std::min(max, kPageMax));
  for (;;) {
    rows.insert(rows.begin(), page.rows.begin(), page.rows.end());
    if (!page.has_more || rows.size() >= max) return rows;
    page = client_.history_before_message(conversation, rows.front().key(), std::min(max - rows.size(), kPageMax));
  }
}

std::uint64_t console::oldest_failed(const std::string& peer) {
  // Messages that wait or have failed have no seq and stand at the end.
  const std::optional<std::uint64_t> known = known_conversation(peer);
  if (!known) throw failure("no failed message");
  const std::uint64_t conversation = *known;
  std::uint64_t failed = 0;
  auto page = client_.history_before(conversation, 0, kPageMax);
  while (!page.rows.empty()) {
    const auto first = std::find_if(page.rows.begin(), page.rows.end(),
                                    [](const auto& m) { return m.state() == CHATSDK_MESSAGE_FAILED; });
    if (first != page.rows.end()) failed = first->key();
    if (!page.has_more || page.rows.front().seq() != 0) break;
    page = client_.history_before_message(conversation, page.rows.front().key(), kPageMax);
  }
  if (failed == 0) throw failure("no failed message");
  return failed;
}

void console::history(const std::string& peer, std::size_t max) {
  const auto rows = tail(peer, std::max<std::size_t>(max, 1));
  for (const chatsdk::message& message : rows) show_message(message);
  if (rows.empty()) print("-- no messages with " + peer);
}

void console::receipts(const std::string& peer) {
  for (const chatsdk::message& message : tail(peer, 20)) {
    if (!message.is_own() || message.state() < CHATSDK_MESSAGE_SENT || message.state() > CHATSDK_MESSAGE_READ) continue;
    const auto times = client_.receipt(message.key(), peer);
    print(std::string(message.text()) + "   sent " + clock_time(message.time()) +
          (times.delivered ? ", delivered " + clock_time(*times.delivered) : "") +
          (times.read ? ", read " + clock_time(*times.read) : ""));
  }
}

void console::conversations() {
  std::uint64_t after = 0;
  for (;;) {
    const auto page = client_.conversations(50, after);
    for (const chatsdk::conversation& conversation : page.rows) {
      const auto last = conversation.last_message();
      print(std::string(conversation.peer()) + "  [" + nature_of(conversation) + "]  (" +
            std::to_string(conversation.unread_count()) + " unread)" + (last ? "  " + std::string(last->text()) : ""));
      after = conversation.key();
    }
    if (!page.has_more) return;
  }
}

void console::mark_read(const std::string& peer) {
  const std::optional<std::uint64_t> known = known_conversation(peer);
  if (known) client_.mark_read(*known, client_.find_conversation(*known).head());
}

}  // namespace console
