// SPDX-License-Identifier: Apache-2.0
//
// The least that chats, in C++17: what minimal.c does.
// Usage: minimal-cpp SERVER_URL USER PASSWORD PEER
#include <chatsdk/chatsdk.hpp>
#include <iostream>
#include <stdexcept>

namespace {

void chat(const std::string& url, const std::string& user, const std::string& password, const std::string& peer) {
  // A real app makes 32 random bytes once and keeps them in the platform's key store.
  const chatsdk::store_key key{1, 2, 3};

  chatsdk::client client{chatsdk::config(url)};
  client.open_store(user + ".db", key);
  chatsdk::registration me;
  me.user_id = user;
  me.password = password;
  const std::uint64_t request = client.register_account(me);
  client.start();
  for (;;) {
    const std::vector<chatsdk::event> events = client.poll(std::chrono::seconds(30));
    if (events.empty()) throw std::runtime_error(peer + " has not answered");
    for (const chatsdk::event& event : events) {
      if (event.type() == CHATSDK_EVENT_COMPLETED && event.request() == request) {
        event.check();
        client.send_text(client.direct_conversation(peer), "hello");
      } else if (event.type() == CHATSDK_EVENT_PEER_WITHOUT_KEYS) {
        throw std::runtime_error(peer + " was never online, so nothing can be encrypted yet");
      } else if (event.type() == CHATSDK_EVENT_MESSAGE_ADDED) {
        const chatsdk::message message = client.find_message(event.message());
        std::cout << message.sender() << ": " << message.text() << std::endl;
        if (!message.is_own()) return;
      } else if (event.type() == CHATSDK_EVENT_MESSAGE_UPDATED) {
        const chatsdk::message message = client.find_message(event.message());
        if (message.state() != CHATSDK_MESSAGE_FAILED) continue;
        client.discard_message(event.message());
        throw std::runtime_error(std::string("send: ") + chatsdk_status_name(message.failure()));
      }
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5) return 2;
  try {
    chat(argv[1], argv[2], argv[3], argv[4]);
    return 0;
  } catch (const std::exception& e) {
    std::cerr << e.what() << std::endl;
    return 1;
  }
}
