// SPDX-License-Identifier: Apache-2.0
//
// chatsdk.hpp beyond what the examples use: the ready hook, paging from a message, and every getter's value.
// Usage: hpp_test SERVER_URL
#include <chatsdk/chatsdk.hpp>
#include <condition_variable>
#include <mutex>

#include "check.h"

namespace {

class Signal {
 public:
  void raise() {
    std::lock_guard lock(mutex_);
    raised_ = true;
    changed_.notify_one();
  }
  bool wait() {
    std::unique_lock lock(mutex_);
    const bool raised = changed_.wait_for(lock, std::chrono::seconds(60), [this] { return raised_; });
    raised_ = false;
    return raised;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool raised_ = false;
};

}  // namespace

int main(int argc, char** argv) {
  CHECK(argc == 2);
  Signal signal;
  auto witness = std::make_shared<int>(0);
  chatsdk::client client{chatsdk::config(argv[1])};
  client.open_store("hpp.db", chatsdk::store_key{5});
  client.set_ready_hook([&signal, witness] { signal.raise(); });
  CHECK(witness.use_count() == 2);

  // The hook tells when to pull; nothing is waited for in the poll itself.
  chatsdk::registration me;
  me.user_id = "hpp";
  me.password = "a good password";
  const std::uint64_t request = client.register_account(me);
  bool registered = false;
  while (!registered) {
    CHECK(signal.wait());
    for (const chatsdk::event& event : client.poll(std::chrono::milliseconds(0))) {
      if (event.type() != CHATSDK_EVENT_COMPLETED || event.request() != request) continue;
      event.check();
      CHECK(event.retry_after().count() == 0);
      registered = true;
    }
  }
  client.set_ready_hook({});
  CHECK(witness.use_count() == 1);

  const std::uint64_t key = client.direct_conversation("hpp-peer");
  const chatsdk::sent first = client.send_text(key, "one");
  const chatsdk::sent second = client.send_text(key, "two");
  const chatsdk::message message = client.find_message(first.message);
  CHECK(message.sender_device() != 0 && message.sender() == "hpp");
  CHECK(client.find_conversation(key).last_activity() >= message.time());

  const auto before = client.history_before_message(key, second.message, 10);
  const auto after = client.history_after_message(key, first.message, 10);
  CHECK(before.rows.size() == 1 && before.rows[0].key() == first.message && !before.has_more);
  CHECK(after.rows.size() == 1 && after.rows[0].key() == second.message && !after.has_more);

  try {
    client.history_before_message(key, 999'999, 10);
    CHECK(false);
  } catch (const chatsdk::exception& e) {
    CHECK(e.status() == CHATSDK_NOT_FOUND && !e.retryable());
  }
  return 0;
}
