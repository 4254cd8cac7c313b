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

template <typename Done>
void poll_until(chatsdk::client& client, Done done) {
  while (!done()) CHECK(!client.poll(std::chrono::seconds(60)).empty());
}

// What throws says why.
template <typename Call>
std::int32_t status_of(Call&& call) {
  try {
    call();
  } catch (const chatsdk::exception& e) {
    return e.status();
  }
  return CHATSDK_OK;
}

void gives_identities_and_links(const std::string& url) {
  chatsdk::client ann{chatsdk::config(url).block_changed_identities()};
  chatsdk::client ben{chatsdk::config(url)};
  for (auto* one : {&ann, &ben}) {
    const std::string name = one == &ann ? "hpp-ann" : "hpp-ben";
    one->open_store(name + ".db", chatsdk::store_key{6});
    chatsdk::registration me;
    me.user_id = name;
    me.password = "a good password";
    one->register_account(me);
    one->start();
    poll_until(*one, [&] { return one->encryption_state() == CHATSDK_ENCRYPTION_READY; });
  }
  CHECK(status_of([&] { ann.find_identity("hpp-ben"); }) == CHATSDK_NOT_FOUND);
  ann.send_text(ann.direct_conversation("hpp-ben"), "encrypted");
  poll_until(ben, [&] { return ben.unread_total() == 1; });
  const chatsdk::identity of_ben = ann.find_identity("hpp-ben");
  CHECK(of_ben.user() == "hpp-ben" && !of_ben.is_verified() && !of_ben.has_changed());
  CHECK(of_ben.compare(ben.find_identity("hpp-ann").scannable()) == CHATSDK_SCAN_EQUAL);
  CHECK(of_ben.safety_number() == ben.find_identity("hpp-ann").safety_number());
  ann.set_verified(of_ben, true);
  ann.accept_identity(of_ben);
  CHECK(ann.find_identity("hpp-ben").is_verified());
  CHECK(!ben.find_conversation(ben.direct_conversation("hpp-ann")).last_message()->is_undecryptable());
  ann.forget_identity(of_ben);
  poll_until(ann, [&] { return status_of([&] { ann.find_identity("hpp-ben"); }) == CHATSDK_OK; });
  CHECK(ann.find_identity("hpp-ben").has_changed() && !ann.find_identity("hpp-ben").is_verified());

  CHECK(status_of([&] { ann.begin_link(); }) == CHATSDK_WRONG_STATE);
  CHECK(status_of([&] { ann.scan_link("csdk-link:AQ"); }) == CHATSDK_CRYPTO);
  CHECK(status_of([&] { ann.confirm_link(); }) == CHATSDK_WRONG_STATE);
  ann.cancel_link();
}

void gives_groups(chatsdk::client& client) {
  chatsdk::group_options options;
  options.description = "on Mondays";
  options.picture = {0, 255};
  options.least_roles = {CHATSDK_ROLE_NONE, CHATSDK_ROLE_ADMIN};
  options.has_history = true;
  const auto made = client.create_group("Climbing", {}, options);
  const std::uint64_t group = made.conversation;
  client.send_text(group, "to myself");
  std::vector<std::uint64_t> wanted = {
      made.operation, client.set_group_name(group, "Bouldering"), client.set_group_description(group, "on Tuesdays"),
      client.set_group_picture(group, {7}), client.set_group_right(group, CHATSDK_RIGHT_SEND, CHATSDK_ROLE_ADMIN)};
  while (!wanted.empty()) {
    const std::vector<chatsdk::event> events = client.poll(std::chrono::seconds(60));
    CHECK(!events.empty());
    for (const chatsdk::event& event : events) {
      if (event.type() != CHATSDK_EVENT_OPERATION_ENDED) continue;
      event.check();
      CHECK(event.conversation() == group && event.operation() == wanted.front());
      wanted.erase(wanted.begin());
    }
  }
  const chatsdk::conversation shown = client.find_conversation(group);
  CHECK(shown.kind() == CHATSDK_CONVERSATION_GROUP && shown.group().has_value());
  CHECK(shown.name() == "Bouldering" && shown.description() == "on Tuesdays");
  CHECK(shown.picture() == std::vector<std::uint8_t>{7});
  CHECK(shown.role() == CHATSDK_ROLE_OWNER && shown.standing() == CHATSDK_GROUP_IN);
  CHECK(shown.least_role(CHATSDK_RIGHT_PIN) == CHATSDK_ROLE_ADMIN && shown.member_count() == 1);
  CHECK(shown.least_role(CHATSDK_RIGHT_SEND) == CHATSDK_ROLE_ADMIN && shown.has_history());
  bool is_complete = false;
  const auto members = client.members(group, 10, {}, &is_complete);
  CHECK(members.rows.size() == 1 && members.rows[0].user == "hpp" && !members.has_more && is_complete);
  CHECK(members.rows[0].role == CHATSDK_ROLE_OWNER);
  CHECK(client.members(group, 10, "hpp").rows.empty());
  client.accept_plain(group);

  /* What nobody has: told as refused. */
  CHECK(client.add_members(group, {"hpp-nobody"}) != 0);
  CHECK(client.set_member_role(group, "hpp-nobody", CHATSDK_ROLE_ADMIN) != 0);
  CHECK(client.transfer_group(group, "hpp-nobody") != 0);
  CHECK(client.remove_member(group, "hpp-nobody") != 0);
  CHECK(client.end_group(group) != 0);
  CHECK(client.find_conversation(group).standing() == CHATSDK_GROUP_ENDED);
  CHECK(status_of([&] { client.leave_group(group); }) == CHATSDK_FORBIDDEN);
}

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

  CHECK(client.find_conversation(client.direct_conversation("hpp-secret")).is_encrypted());
  const std::uint64_t key = client.direct_conversation_plain("hpp-peer");
  CHECK(!client.find_conversation(key).is_encrypted());
  CHECK(client.find_conversation(key).is_accepted_plain());
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
  client.start();
  gives_groups(client);
  gives_identities_and_links(argv[1]);
  return 0;
}
