// SPDX-License-Identifier: Apache-2.0
//
// The consumer of chatsdk.hpp: C++17 that links, loads and runs.
#include <chatsdk/chatsdk.hpp>
#include <iostream>

int main() {
  chatsdk::client client{chatsdk::config("https://chat.example")};
  std::cout << "chatsdk.hpp over " << chatsdk_version_string() << "\n";
  return client.connection_state() == CHATSDK_CONNECTION_STOPPED ? 0 : 1;
}
