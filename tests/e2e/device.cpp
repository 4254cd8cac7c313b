// SPDX-License-Identifier: Apache-2.0
//
// One device of the end-to-end tests: a process that sends a numbered series of messages to given peers and tells, line
// by line, what the SDK told it. It may be killed at any moment and started again with the same arguments: the ids of
// its messages follow from device name and number, so it goes on where its store says. With CHATSDK_DEVICE_ENCRYPTED in
// the environment its conversations are end-to-end encrypted.
//
// Lines out:  queued N | acked N SEQ | failed N STATUS, for each message of its own whenever its state is met anew;
//             ready N, after those of all that its store held at the start: N is the next number of the series;
//             conversation PEER READ_UP_TO UNREAD, for each, before ready;
//             read PEER SEQ, once the mark is in the store;
//             message PEER SEQ SENDER TEXT STATE DELIVERED_MS READ_MS, the conversations again and outbox N, then
//             dumped; session … and error … when it must not go on
// Lines in:   send COUNT | read | dump | quit
//
// Threads: the main one polls; a second reads lines and wakes it.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <iostream>
#include <map>
#include <memory>
#include <mutex>
#include <thread>

#include "chatsdk/chatsdk.hpp"

namespace {

using namespace std::chrono_literals;

struct Arguments {
  std::string server, store, user, device, ca_file;
  std::vector<std::string> peers;
};

// A line is whole or absent, whatever kills the process: one write.
void tell(const std::string& line) {
  const std::string text = line + "\n";
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fflush(stdout);
}

class Device {
 public:
  explicit Device(const Arguments& arguments) : arguments_(arguments), client_(make_config(arguments)) {
    client_.open_store(arguments.store, chatsdk::store_key{7});
    log_in();
    client_.start();
    while (next_ < kSeriesMax && is_known(next_)) ++next_;
    tell_conversations();
    tell("ready " + std::to_string(next_));
  }

  void send_until(std::size_t count) { target_ = std::max(target_, count); }

  // Sends one more of the series when there is one; true when it did.
  bool send_next() {
    if (next_ >= target_) return false;
    const std::string& peer = arguments_.peers[next_ % arguments_.peers.size()];
    chatsdk::send_options options;
    options.id = id_of(next_);
    static const bool is_plain = std::getenv("CHATSDK_DEVICE_ENCRYPTED") == nullptr;
    const auto conversation = is_plain ? client_.direct_conversation_plain(peer) : client_.direct_conversation(peer);
    client_.send_text(conversation, text_of(next_), options);
    tell("queued " + std::to_string(next_));
    ++next_;
    return true;
  }

  void pump(std::chrono::milliseconds wait) {
    for (const chatsdk::event& event : client_.poll(wait)) {
      const auto type = event.type();
      if (type == CHATSDK_EVENT_MESSAGE_ADDED || type == CHATSDK_EVENT_MESSAGE_UPDATED) {
        tell_state(client_.find_message(event.message()));
      }
      // More has changed than the queue of events holds.
      if (type == CHATSDK_EVENT_RESYNC) {
        for (std::size_t number = 0; number < next_; ++number) is_known(number);
      }
      if (type == CHATSDK_EVENT_MESSAGE_ADDED && ++added_ % kReadEvery == 0) read_conversation(event.conversation());
      if (type == CHATSDK_EVENT_SESSION_ENDED) tell("session ended: " + std::string(event.error_message()));
    }
  }

  void read_all() {
    for (const chatsdk::conversation& conversation : client_.conversations(200).rows) {
      read_conversation(conversation.key());
    }
  }

  void dump() {
    tell_conversations();
    for (const chatsdk::conversation& conversation : client_.conversations(200).rows) {
      const std::string peer(conversation.peer());
      std::uint64_t after = 0;
      for (bool more = true; more;) {
        const auto page = client_.history_after(conversation.key(), after, 200);
        for (const chatsdk::message& message : page.rows) {
          const std::string sender(message.sender());
          const Times times = times_of(message, sender == arguments_.user ? peer : arguments_.user);
          tell("message " + peer + " " + std::to_string(message.seq()) + " " + sender + " " +
               std::string(message.text()) + " " + std::to_string(message.state()) + " " +
               std::to_string(times.delivered) + " " + std::to_string(times.read));
          if (message.seq() != 0) after = message.seq();
        }
        more = page.has_more;
      }
    }
    tell("outbox " + std::to_string(client_.outbox_count()));
    tell("dumped");
  }

  void wake() { client_.wake(); }

 private:
  static constexpr std::size_t kSeriesMax = 100'000;
  static constexpr std::size_t kReadEvery = 7;

  // By the server's clock, Unix time in milliseconds; 0 for not yet.
  struct Times {
    std::int64_t delivered = 0;
    std::int64_t read = 0;
  };

  static chatsdk::config make_config(const Arguments& arguments) {
    chatsdk::config config(arguments.server);
    config.device_name(arguments.device).backoff(20ms, 500ms);
    if (!arguments.ca_file.empty()) config.ca_file(arguments.ca_file);
    if (std::getenv("CHATSDK_DEVICE_LOG") != nullptr) {
      config.log(CHATSDK_LOG_DEBUG, [](std::int32_t, const char* area, const char* line) {
        std::fprintf(stderr, "%s: %s\n", area, line);
      });
    }
    return config;
  }

  void log_in() {
    const std::string password = "password of " + arguments_.user;
    if (client_.user_id() == arguments_.user) return;
    for (;;) {
      const std::int32_t refusal = complete(client_.login(arguments_.user, password));
      if (refusal == CHATSDK_OK) return;
      if (!chatsdk_status_is_retryable(refusal)) {
        chatsdk::registration registration;
        registration.user_id = arguments_.user;
        registration.password = password;
        if (complete(client_.register_account(registration)) == CHATSDK_OK) return;
      }
      // The server is down or the user's other device registers; pacing only.
      client_.poll(50ms);
    }
  }

  std::int32_t complete(std::uint64_t request) {
    for (;;) {
      for (const chatsdk::event& event : client_.poll(1s)) {
        if (event.type() == CHATSDK_EVENT_COMPLETED && event.request() == request) return event.status();
      }
    }
  }

  void tell_conversations() {
    for (const chatsdk::conversation& conversation : client_.conversations(200).rows) {
      tell("conversation " + std::string(conversation.peer()) + " " + std::to_string(conversation.read_up_to()) + " " +
           std::to_string(conversation.unread_count()));
    }
  }

  void read_conversation(std::uint64_t key) {
    client_.mark_read(key, client_.find_conversation(key).head());
    // An own message that was accepted may stand behind others' that have not come: the mark goes no further than
    // these.
    const chatsdk::conversation marked = client_.find_conversation(key);
    tell("read " + std::string(marked.peer()) + " " + std::to_string(marked.read_up_to()));
  }

  // When the receiving member got and read a message.
  Times times_of(const chatsdk::message& message, const std::string& receiver) {
    if (message.seq() == 0) return {};
    const auto receipt = client_.receipt(message.key(), receiver);
    const auto milliseconds = [](const auto& time) { return time ? std::int64_t{time->count()} : 0; };
    return {milliseconds(receipt.delivered), milliseconds(receipt.read)};
  }

  // 16 bytes that name the device and the number.
  chatsdk::message_id id_of(std::size_t number) const {
    chatsdk::message_id id{};
    const std::string text = arguments_.device + "#" + std::to_string(number);
    std::memcpy(id.data(), text.data(), std::min(text.size(), id.size()));
    return id;
  }
  std::string text_of(std::size_t number) const { return arguments_.device + "#" + std::to_string(number); }

  bool is_known(std::size_t number) {
    try {
      tell_state(client_.find_message(id_of(number)));
      return true;
    } catch (const chatsdk::exception& e) {
      if (e.status() == CHATSDK_NOT_FOUND) return false;
      throw;
    }
  }

  void tell_state(const chatsdk::message& message) {
    const std::string mine = arguments_.device + "#";
    const std::string text(message.text());
    if (text.rfind(mine, 0) != 0) return;
    const std::string number = text.substr(mine.size());
    if (message.state() == CHATSDK_MESSAGE_FAILED) {
      tell("failed " + number + " " + chatsdk_status_name(message.failure()));
    } else if (message.state() >= CHATSDK_MESSAGE_SENT) {
      tell("acked " + number + " " + std::to_string(message.seq()));
    } else {
      tell("queued " + number);
    }
  }

  const Arguments arguments_;
  chatsdk::client client_;
  std::size_t next_ = 0;
  std::size_t target_ = 0;
  std::size_t added_ = 0;
};

struct Input {
  std::mutex mutex;
  std::deque<std::string> lines;
};

void obey(Device& device, Input& input) {
  for (;;) {
    std::deque<std::string> lines;
    {
      std::lock_guard lock(input.mutex);
      lines.swap(input.lines);
    }
    for (const std::string& line : lines) {
      if (line.rfind("send ", 0) == 0) device.send_until(std::stoul(line.substr(5)));
      if (line == "read") device.read_all();
      if (line == "dump") device.dump();
      if (line == "quit") return;
    }
    device.pump(device.send_next() ? 0ms : 200ms);
  }
}

// The reader may still wait for a line, so nothing is unwound.
[[noreturn]] void end_with(const std::exception& e) {
  tell(std::string("error ") + e.what());
  std::_Exit(1);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 7) return 2;
  Arguments arguments{argv[1], argv[2], argv[3], argv[4], std::strcmp(argv[5], "-") == 0 ? "" : argv[5], {}};
  for (int i = 6; i < argc; ++i) arguments.peers.emplace_back(argv[i]);

  Input input;
  try {
    Device device(arguments);
    std::thread reader([&input, &device] {
      std::string line;
      do {
        if (!std::getline(std::cin, line)) line = "quit";
        std::lock_guard lock(input.mutex);
        input.lines.push_back(line);
        device.wake();
      } while (line != "quit");
    });
    try {
      obey(device, input);
    } catch (const std::exception& e) {
      end_with(e);
    }
    reader.join();
    return 0;
  } catch (const std::exception& e) {
    end_with(e);
  }
}
