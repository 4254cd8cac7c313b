// SPDX-License-Identifier: Apache-2.0
//
// How fast a device takes what waited for it: the SDK with its encrypted store, from start() to the moment when it is
// caught up and everything is stored and acknowledged. Prints one JSON object.
//
//   drain register URL STORE USER      makes the account and the store, goes online once, then ends
//   drain receive URL STORE MESSAGES   connects and takes them
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "chatsdk/chatsdk.hpp"

namespace {

using namespace std::chrono_literals;

std::int32_t complete(chatsdk::client& client, std::uint64_t request) {
  for (;;) {
    for (const chatsdk::event& event : client.poll(1s)) {
      if (event.type() == CHATSDK_EVENT_COMPLETED && event.request() == request) return event.status();
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5) return 2;
  const std::string mode = argv[1];
  chatsdk::client client{chatsdk::config(argv[2])};
  client.open_store(argv[3], chatsdk::store_key{9});
  if (mode == "register") {
    chatsdk::registration registration;
    registration.user_id = argv[4];
    registration.password = "drain benchmark";
    if (complete(client, client.register_account(registration)) != CHATSDK_OK) return 1;
    client.start();
    while (client.connection_state() != CHATSDK_CONNECTION_ONLINE) client.poll(1s);
    return 0;
  }
  const std::uint64_t wanted = std::stoull(argv[4]);
  const auto start = std::chrono::steady_clock::now();
  client.start();
  // The store is asked once the events say that all is there, or that they were too many to be told singly.
  std::uint64_t told = 0;
  for (bool done = false; !done;) {
    for (const chatsdk::event& event : client.poll(1s, 8192)) {
      if (event.type() == CHATSDK_EVENT_MESSAGE_ADDED) ++told;
      if (event.type() == CHATSDK_EVENT_RESYNC) told = wanted;
      if (event.type() == CHATSDK_EVENT_SESSION_ENDED) return 1;  // a store that was drained before and put back
    }
    done = told >= wanted && client.connection_state() == CHATSDK_CONNECTION_ONLINE && client.unread_total() >= wanted;
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  std::printf("{\"drained\": %llu, \"seconds\": %.3f, \"drain_per_s\": %.0f}\n",
              static_cast<unsigned long long>(client.unread_total()), took.count(),
              static_cast<double>(wanted) / took.count());
  return 0;
}
