// SPDX-License-Identifier: Apache-2.0
//
// The least that chats, in C++17: what minimal.c does.
// Usage: minimal-cpp SERVER_URL USER PASSWORD PEER
#include <chatsdk/chatsdk.hpp>
#include <iostream>

namespace {

bool chat(const std::string& url, const std::string& user, const std::string& password, const std::string& peer) {
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
    if (events.empty()) return false;
    for (const chatsdk::event& event : events) {
      if (event.type() == CHATSDK_EVENT_COMPLETED && event.request() == request) {
        event.check();
        client.send_text(client.direct_conversation(peer), "hello");
      } else if (event.type() == CHATSDK_EVENT_MESSAGE_ADDED) {
        const chatsdk::message message = client.find_message(event.message());
        std::cout << message.sender() << ": " << message.text() << std::endl;
        if (!message.is_own()) return true;
      }
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5) return 2;
  try {
    return chat(argv[1], argv[2], argv[3], argv[4]) ? 0 : 1;
  } catch (const chatsdk::exception& e) {
    std::cerr << e.what() << std::endl;
    return 1;
  }
}
