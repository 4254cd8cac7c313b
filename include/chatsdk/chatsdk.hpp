// SPDX-License-Identifier: Apache-2.0
//
// chatsdk for C++17: owners and values over chatsdk.h, header only and never part of the ABI.
//
// The whole of a program that makes an account, says hello when that is done, and prints what comes until somebody
// answers (examples/minimal.cpp is all of it):
//
//   chatsdk::client client{chatsdk::config(url)};
//   client.open_store(user + ".db", key);
//   chatsdk::registration me;
//   me.user_id = user;
//   me.password = password;
//   const std::uint64_t request = client.register_account(me);
//   client.start();
//   for (;;) {
//     const std::vector<chatsdk::event> events = client.poll(std::chrono::seconds(30));
//     if (events.empty()) throw std::runtime_error(peer + " has not answered");
//     for (const chatsdk::event& event : events) {
//       if (event.type() == CHATSDK_EVENT_COMPLETED && event.request() == request) {
//         event.check();
//         client.send_text(client.direct_conversation(peer), "hello");
//       } else if (event.type() == CHATSDK_EVENT_PEER_WITHOUT_KEYS) {
//         throw std::runtime_error(peer + " was never online, so nothing can be encrypted yet");
//       } else if (event.type() == CHATSDK_EVENT_MESSAGE_ADDED) {
//         const chatsdk::message message = client.find_message(event.message());
//         std::cout << message.sender() << ": " << message.text() << std::endl;
//         if (!message.is_own()) return;
//       } else if (event.type() == CHATSDK_EVENT_MESSAGE_UPDATED) {
//         const chatsdk::message message = client.find_message(event.message());
//         if (message.state() != CHATSDK_MESSAGE_FAILED) continue;
//         client.discard_message(event.message());
//         throw std::runtime_error(std::string("send: ") + chatsdk_status_name(message.failure()));
//       }
//     }
//   }
//
// Failures throw chatsdk::exception; what is normal (a poll without events) does not. Snapshots are cheap to copy.
#ifndef CHATSDK_CHATSDK_HPP
#define CHATSDK_CHATSDK_HPP

#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "chatsdk/chatsdk.h"

namespace chatsdk {

// A failure of the C ABI: its status and, when there is one, its detail.
class exception : public std::runtime_error {
 public:
  exception(std::int32_t status, const chatsdk_error* error)
      : std::runtime_error(text(status, chatsdk_error_message(error, nullptr))),
        status_(status),
        retry_after_(chatsdk_error_retry_after_ms(error)),
        cause_domain_(chatsdk_error_cause_domain(error)),
        cause_code_(chatsdk_error_cause_code(error)) {}
  std::int32_t status() const noexcept { return status_; }
  bool retryable() const noexcept { return chatsdk_status_is_retryable(status_) != 0; }
  std::chrono::milliseconds retry_after() const noexcept { return retry_after_; }
  // What the layer below said: one of CHATSDK_CAUSE_ and that layer's number.
  std::int32_t cause_domain() const noexcept { return cause_domain_; }
  std::int32_t cause_code() const noexcept { return cause_code_; }

 private:
  static std::string text(std::int32_t status, const std::string& detail) {
    return std::string(chatsdk_status_name(status)) + (detail.empty() ? "" : ": " + detail);
  }

  std::int32_t status_;
  std::chrono::milliseconds retry_after_;
  std::int32_t cause_domain_;
  std::int32_t cause_code_;
};

namespace detail {

// Makes a call that takes a chatsdk_error**, and throws what it reports unless that is `ignored`. The status otherwise.
template <typename Call>
std::int32_t call(Call&& body, std::int32_t ignored = CHATSDK_OK) {
  chatsdk_error* error = nullptr;
  const std::int32_t status = body(&error);
  struct release {
    ~release() { chatsdk_error_release(error); }
    chatsdk_error* error;
  } const released{error};
  if (status != CHATSDK_OK && status != ignored) throw exception(status, error);
  return status;
}

// One shared reference to a snapshot of the C ABI.
template <typename T, T* (*Retain)(const T*), void (*Release)(const T*)>
class snapshot {
 public:
  snapshot() = default;
  static snapshot adopt(const T* owned) { return snapshot(owned); }
  static snapshot share(const T* borrowed) { return snapshot(Retain(borrowed)); }
  snapshot(const snapshot& other) : object_(Retain(other.object_)) {}
  snapshot(snapshot&& other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
  snapshot& operator=(snapshot other) noexcept {
    std::swap(object_, other.object_);
    return *this;
  }
  ~snapshot() { Release(object_); }
  const T* get() const noexcept { return object_; }
  explicit operator bool() const noexcept { return object_ != nullptr; }

 private:
  explicit snapshot(const T* object) : object_(object) {}
  const T* object_ = nullptr;
};

template <typename T>
std::string_view text(const T* object, const char* (*getter)(const T*, size_t*)) {
  size_t length = 0;
  const char* data = getter(object, &length);
  return {data, length};
}

}  // namespace detail

using message_id = std::array<std::uint8_t, CHATSDK_CLIENT_MESSAGE_ID_SIZE>;
using group_id = std::array<std::uint8_t, CHATSDK_GROUP_ID_SIZE>;
using store_key = std::array<std::uint8_t, 32>;

class message {
 public:
  using handle = detail::snapshot<chatsdk_message, chatsdk_message_retain, chatsdk_message_release>;
  explicit message(handle object) : object_(std::move(object)) {}

  std::uint64_t key() const { return chatsdk_message_key(object_.get()); }
  std::uint64_t conversation() const { return chatsdk_message_conversation(object_.get()); }
  std::uint64_t seq() const { return chatsdk_message_seq(object_.get()); }
  std::uint64_t id() const { return chatsdk_message_id(object_.get()); }
  message_id client_id() const {
    message_id id{};
    const std::uint8_t* bytes = chatsdk_message_client_id(object_.get());
    for (std::size_t i = 0; bytes != nullptr && i < id.size(); ++i) id[i] = bytes[i];
    return id;
  }
  std::string_view sender() const { return detail::text(object_.get(), chatsdk_message_sender); }
  std::uint64_t sender_device() const { return chatsdk_message_sender_device(object_.get()); }
  bool is_own() const { return chatsdk_message_is_own(object_.get()) != 0; }
  std::chrono::milliseconds time() const { return std::chrono::milliseconds(chatsdk_message_time_ms(object_.get())); }
  std::int32_t state() const { return chatsdk_message_state(object_.get()); }
  std::int32_t failure() const { return chatsdk_message_failure(object_.get()); }
  // It came and could not be decrypted.
  bool is_undecryptable() const { return chatsdk_message_is_undecryptable(object_.get()) != 0; }
  std::string_view content_type() const { return detail::text(object_.get(), chatsdk_message_content_type); }
  std::string_view text() const { return detail::text(object_.get(), chatsdk_message_text); }
  bool is_deleted() const { return chatsdk_message_is_deleted(object_.get()) != 0; }
  std::uint64_t edit_count() const { return chatsdk_message_edit_count(object_.get()); }
  bool is_pinned() const { return chatsdk_message_is_pinned(object_.get()) != 0; }
  // A change of it that was refused, for retry_message() or discard_message(); 0: none.
  std::uint64_t failed_change() const { return chatsdk_message_failed_change(object_.get()); }
  struct reaction {
    std::string_view key;
    bool is_own = false;
    std::vector<std::string_view> members;
  };
  // What most members chose first.
  std::vector<reaction> reactions() const {
    std::vector<reaction> all(chatsdk_message_reaction_count(object_.get()));
    for (std::size_t i = 0; i < all.size(); ++i) {
      std::size_t length = 0;
      const char* bytes = chatsdk_message_reaction_key(object_.get(), i, &length);
      all[i].key = {bytes, length};
      all[i].is_own = chatsdk_message_reaction_is_own(object_.get(), i) != 0;
      for (std::size_t m = 0; m < chatsdk_message_reaction_member_count(object_.get(), i); ++m) {
        bytes = chatsdk_message_reaction_member(object_.get(), i, m, &length);
        all[i].members.emplace_back(bytes, length);
      }
    }
    return all;
  }

 private:
  handle object_;
};

class conversation {
 public:
  using handle = detail::snapshot<chatsdk_conversation, chatsdk_conversation_retain, chatsdk_conversation_release>;
  explicit conversation(handle object) : object_(std::move(object)) {}

  std::uint64_t key() const { return chatsdk_conversation_key(object_.get()); }
  std::uint64_t id() const { return chatsdk_conversation_id(object_.get()); }
  std::int32_t kind() const { return chatsdk_conversation_kind(object_.get()); }
  bool is_encrypted() const { return chatsdk_conversation_is_encrypted(object_.get()) != 0; }
  bool is_accepted_plain() const { return chatsdk_conversation_is_accepted_plain(object_.get()) != 0; }
  std::string_view peer() const { return detail::text(object_.get(), chatsdk_conversation_peer); }
  std::uint64_t head() const { return chatsdk_conversation_head(object_.get()); }
  std::uint64_t read_up_to() const { return chatsdk_conversation_read_up_to(object_.get()); }
  std::uint64_t unread_count() const { return chatsdk_conversation_unread_count(object_.get()); }
  std::chrono::milliseconds last_activity() const {
    return std::chrono::milliseconds(chatsdk_conversation_last_activity_ms(object_.get()));
  }
  std::optional<message> last_message() const {
    const chatsdk_message* last = chatsdk_conversation_last_message(object_.get());
    if (last == nullptr) return std::nullopt;
    return message(message::handle::share(last));
  }
  // Of a group. Empty, or 0: it is none.
  std::string_view name() const { return detail::text(object_.get(), chatsdk_conversation_name); }
  std::string_view description() const { return detail::text(object_.get(), chatsdk_conversation_description); }
  std::vector<std::uint8_t> picture() const {
    size_t length = 0;
    const std::uint8_t* bytes = chatsdk_conversation_picture(object_.get(), &length);
    return {bytes, bytes + length};
  }
  std::optional<group_id> group() const {
    const std::uint8_t* bytes = chatsdk_conversation_group_id(object_.get());
    if (bytes == nullptr) return std::nullopt;
    group_id id{};
    for (std::size_t i = 0; i < id.size(); ++i) id[i] = bytes[i];
    return id;
  }
  // One of CHATSDK_ROLE_, and of CHATSDK_GROUP_.
  std::int32_t role() const { return chatsdk_conversation_role(object_.get()); }
  std::int32_t standing() const { return chatsdk_conversation_standing(object_.get()); }
  std::int32_t least_role(std::int32_t right) const { return chatsdk_conversation_least_role(object_.get(), right); }
  std::uint64_t member_count() const { return chatsdk_conversation_member_count(object_.get()); }
  bool has_history() const { return chatsdk_conversation_has_history(object_.get()) != 0; }

 private:
  handle object_;
};

// What a new group is beside its name. least_roles: of CHATSDK_ROLE_, of each right from CHATSDK_RIGHT_SEND on; NONE,
// and what is not there, is the default.
struct group_options {
  std::string description;
  std::vector<std::uint8_t> picture;
  std::vector<std::int32_t> least_roles;
  bool has_history = false;
};

struct member {
  std::string user;
  std::int32_t role = CHATSDK_ROLE_NONE;
};

// The account keys of this store's user and of another one, by what the two compare to be certain of them.
class identity {
 public:
  using handle = detail::snapshot<chatsdk_identity, chatsdk_identity_retain, chatsdk_identity_release>;
  explicit identity(handle object) : object_(std::move(object)) {}

  std::string_view user() const { return detail::text(object_.get(), chatsdk_identity_user); }
  std::string_view safety_number() const { return detail::text(object_.get(), chatsdk_identity_safety_number); }
  std::string_view scannable() const { return detail::text(object_.get(), chatsdk_identity_scannable); }
  bool is_verified() const { return chatsdk_identity_is_verified(object_.get()) != 0; }
  bool has_changed() const { return chatsdk_identity_has_changed(object_.get()) != 0; }
  // One of CHATSDK_SCAN_.
  std::int32_t compare(std::string_view scanned) const {
    return chatsdk_identity_compare(object_.get(), scanned.data(), scanned.size());
  }
  const chatsdk_identity* get() const noexcept { return object_.get(); }

 private:
  handle object_;
};

// One device of a user's signed list.
struct signed_device {
  std::uint64_t id = 0;
  std::string name;
  std::string fingerprint;
  std::chrono::milliseconds since{};
  bool is_current = false;
};

template <typename Row>
struct page {
  std::vector<Row> rows;
  bool has_more = false;
};

struct device {
  std::uint64_t id = 0;
  std::string name;
  std::chrono::milliseconds created{};
  std::chrono::milliseconds last_seen{};
  bool is_current = false;
};

class event {
 public:
  using handle = detail::snapshot<chatsdk_event, chatsdk_event_retain, chatsdk_event_release>;
  explicit event(handle object) : object_(std::move(object)) {}

  std::int32_t type() const { return chatsdk_event_type(object_.get()); }
  std::uint64_t store_revision() const { return chatsdk_event_store_revision(object_.get()); }
  std::uint64_t request() const { return chatsdk_event_request(object_.get()); }
  std::int32_t status() const { return chatsdk_event_status(object_.get()); }
  // Throws what a completion reports; nothing when it was OK.
  void check() const {
    if (status() != CHATSDK_OK) throw exception(status(), chatsdk_event_error(object_.get()));
  }
  std::string_view error_message() const {
    return detail::text(chatsdk_event_error(object_.get()), chatsdk_error_message);
  }
  // How long the server asks to wait before the request is made again; zero when it named no time.
  std::chrono::milliseconds retry_after() const {
    return std::chrono::milliseconds(chatsdk_error_retry_after_ms(chatsdk_event_error(object_.get())));
  }
  std::uint64_t conversation() const { return chatsdk_event_conversation(object_.get()); }
  std::uint64_t message() const { return chatsdk_event_message(object_.get()); }
  std::int32_t connection_state() const { return chatsdk_event_connection_state(object_.get()); }
  std::chrono::milliseconds retry_in() const {
    return std::chrono::milliseconds(chatsdk_event_retry_in_ms(object_.get()));
  }
  std::uint64_t operation() const { return chatsdk_event_operation(object_.get()); }
  // Of end-to-end encryption.
  std::int32_t encryption_state() const { return chatsdk_event_encryption_state(object_.get()); }
  std::string_view user() const { return detail::text(object_.get(), chatsdk_event_user); }
  std::uint64_t device_id() const { return chatsdk_event_device_id(object_.get()); }
  std::string_view link_code() const { return detail::text(object_.get(), chatsdk_event_link_code); }
  std::string_view link_name() const { return detail::text(object_.get(), chatsdk_event_link_name); }
  std::vector<device> devices() const {
    std::vector<device> all;
    for (size_t i = 0; i < chatsdk_event_device_count(object_.get()); ++i) {
      chatsdk_device_info info = CHATSDK_DEVICE_INFO_INIT;
      const std::int32_t status = chatsdk_event_device(object_.get(), i, &info);
      if (status != CHATSDK_OK) throw exception(status, nullptr);
      all.push_back({info.device_id, std::string(info.name, info.name_length),
                     std::chrono::milliseconds(info.created_ms), std::chrono::milliseconds(info.last_seen_ms),
                     info.is_current != 0});
    }
    return all;
  }

 private:
  handle object_;
};

class config {
 public:
  explicit config(std::string_view server_url) {
    detail::call([&](chatsdk_error** e) { return chatsdk_config_create(&object_, e); });
    try {
      set([&](chatsdk_error** e) {
        return chatsdk_config_set_server_url(object_, server_url.data(), server_url.size(), e);
      });
    } catch (...) {
      chatsdk_config_destroy(object_);
      throw;
    }
  }
  config(const config&) = delete;
  config& operator=(const config&) = delete;
  config(config&& other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
  config& operator=(config&& other) noexcept {
    std::swap(object_, other.object_);
    return *this;
  }
  ~config() { chatsdk_config_destroy(object_); }

  config& device_name(std::string_view name) {
    return set([&](chatsdk_error** e) { return chatsdk_config_set_device_name(object_, name.data(), name.size(), e); });
  }
  config& ca_file(std::string_view path) {
    return set([&](chatsdk_error** e) { return chatsdk_config_set_ca_file(object_, path.data(), path.size(), e); });
  }
  config& thread_name(std::string_view prefix) {
    return set(
        [&](chatsdk_error** e) { return chatsdk_config_set_thread_name(object_, prefix.data(), prefix.size(), e); });
  }
  config& tick_driven() {
    return set([&](chatsdk_error** e) { return chatsdk_config_set_threading(object_, CHATSDK_THREADING_TICK, e); });
  }
  config& send_time_limit(std::chrono::milliseconds limit) {
    return set([&](chatsdk_error** e) { return chatsdk_config_set_send_time_limit_ms(object_, limit.count(), e); });
  }
  config& backoff(std::chrono::milliseconds base, std::chrono::milliseconds cap) {
    return set([&](chatsdk_error** e) { return chatsdk_config_set_backoff_ms(object_, base.count(), cap.count(), e); });
  }
  // Messages for a user with another account key wait until accept_identity().
  config& block_changed_identities() {
    return set([&](chatsdk_error** e) { return chatsdk_config_set_block_changed_identities(object_, 1, e); });
  }
  // hook(level, area, message) may run on any thread of the library and must not call chatsdk.
  config& log(std::int32_t level, std::function<void(std::int32_t, const char*, const char*)> hook) {
    using function = std::function<void(std::int32_t, const char*, const char*)>;
    auto held = std::make_unique<function>(std::move(hook));
    set([&](chatsdk_error** e) {
      return chatsdk_config_set_log(
          object_, level, e,
          [](std::int32_t l, const char* area, const char* line, void* user) {
            (*static_cast<function*>(user))(l, area, line);
          },
          held.get(), [](void* user) { delete static_cast<function*>(user); });
    });
    held.release();
    return *this;
  }
  const chatsdk_config* get() const noexcept { return object_; }

 private:
  template <typename Call>
  config& set(Call&& body) {
    detail::call(std::forward<Call>(body));
    return *this;
  }

  chatsdk_config* object_ = nullptr;
};

struct send_options {
  std::optional<message_id> id;
  std::chrono::milliseconds time_limit{0};
};

struct sent {
  message_id id{};
  std::uint64_t message = 0;
};

struct registration {
  std::string user_id;
  std::string password;
  std::string display_name;
  std::string email;
  std::string phone;
};

class client {
 public:
  explicit client(const config& from) {
    call([&](chatsdk_error** e) { return chatsdk_client_create(from.get(), &object_, e); });
  }
  client(const client&) = delete;
  client& operator=(const client&) = delete;
  client(client&& other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
  client& operator=(client&& other) noexcept {
    std::swap(object_, other.object_);
    return *this;
  }
  ~client() { chatsdk_client_destroy(object_); }
  chatsdk_client* get() const noexcept { return object_; }

  // -- Life --
  void open_store(std::string_view path, const store_key& key) {
    call([&](chatsdk_error** e) {
      return chatsdk_client_open_store(object_, path.data(), path.size(), key.data(), key.size(), e);
    });
  }
  // After corrupt, tampered or a lost key: sets aside what is there and starts this device afresh.
  void recreate_store(std::string_view path, const store_key& key) {
    call([&](chatsdk_error** e) {
      return chatsdk_client_recreate_store(object_, path.data(), path.size(), key.data(), key.size(), e);
    });
  }
  void start() {
    call([&](chatsdk_error** e) { return chatsdk_client_start(object_, e); });
  }
  void stop() {
    call([&](chatsdk_error** e) { return chatsdk_client_stop(object_, e); });
  }
  void suspend(std::chrono::milliseconds deadline) {
    call([&](chatsdk_error** e) { return chatsdk_client_suspend(object_, deadline.count(), e); });
  }
  void resume() {
    call([&](chatsdk_error** e) { return chatsdk_client_resume(object_, e); });
  }
  // True when device and server agree before the time is over.
  bool sync(std::chrono::milliseconds timeout) {
    const auto body = [&](chatsdk_error** e) { return chatsdk_client_sync(object_, timeout.count(), e); };
    return detail::call(body, CHATSDK_TIMED_OUT) == CHATSDK_OK;
  }
  // Ends all work: every call on any thread, waiting or later, throws with CHATSDK_CLOSED. Join the threads that use
  // the client, then let it be destroyed.
  void close() {
    call([&](chatsdk_error** e) { return chatsdk_client_close(object_, e); });
  }
  void network_changed() {
    call([&](chatsdk_error** e) { return chatsdk_client_network_changed(object_, e); });
  }
  std::int32_t connection_state() const {
    std::int32_t state = 0;
    call([&](chatsdk_error** e) { return chatsdk_client_connection_state(object_, &state, e); });
    return state;
  }

  // -- Account: each gives a request id, completed by an event --
  std::uint64_t register_account(const registration& in) {
    chatsdk_registration raw = CHATSDK_REGISTRATION_INIT;
    raw.user_id = in.user_id.data(), raw.user_id_length = in.user_id.size();
    raw.password = in.password.data(), raw.password_length = in.password.size();
    raw.display_name = in.display_name.data(), raw.display_name_length = in.display_name.size();
    raw.email = in.email.data(), raw.email_length = in.email.size();
    raw.phone = in.phone.data(), raw.phone_length = in.phone.size();
    return request([&](std::uint64_t* id, chatsdk_error** e) { return chatsdk_client_register(object_, &raw, id, e); });
  }
  std::uint64_t login(std::string_view user_id, std::string_view password) {
    return request([&](std::uint64_t* id, chatsdk_error** e) {
      return chatsdk_client_login(object_, user_id.data(), user_id.size(), password.data(), password.size(), id, e);
    });
  }
  std::uint64_t login_with_assertion(std::string_view assertion) {
    return request([&](std::uint64_t* id, chatsdk_error** e) {
      return chatsdk_client_login_with_assertion(object_, assertion.data(), assertion.size(), id, e);
    });
  }
  std::uint64_t logout() {
    return request([&](std::uint64_t* id, chatsdk_error** e) { return chatsdk_client_logout(object_, id, e); });
  }
  std::uint64_t list_devices() {
    return request([&](std::uint64_t* id, chatsdk_error** e) { return chatsdk_client_list_devices(object_, id, e); });
  }
  std::uint64_t revoke_device(std::uint64_t device_id) {
    return request(
        [&](std::uint64_t* id, chatsdk_error** e) { return chatsdk_client_revoke_device(object_, device_id, id, e); });
  }
  // The user whom this store belongs to; empty before the first log-in.
  std::string user_id() const {
    std::string out(64, '\0');
    size_t length = 0;
    const auto body = [&](chatsdk_error** e) {
      return chatsdk_client_user_id(object_, out.data(), out.size(), &length, e);
    };
    if (detail::call(body, CHATSDK_NOT_LOGGED_IN) != CHATSDK_OK) return {};
    out.resize(length);
    return out;
  }

  // -- Events --
  // Waits at most timeout; empty when nothing came or wake() was called.
  std::vector<event> poll(std::chrono::milliseconds timeout, std::size_t max = 64) {
    std::vector<chatsdk_event*> raw(max);
    size_t count = 0;
    std::vector<event> events;
    events.reserve(max);
    // What is normal costs no error object: the status says all.
    const std::int32_t status = chatsdk_client_poll(object_, timeout.count(), raw.data(), raw.size(), &count, nullptr);
    if (status == CHATSDK_TIMED_OUT || status == CHATSDK_CANCELLED) return events;
    if (status != CHATSDK_OK) throw exception(status, nullptr);
    for (size_t i = 0; i < count; ++i) events.emplace_back(event::handle::adopt(raw[i]));
    return events;
  }
  void wake() {
    call([&](chatsdk_error** e) { return chatsdk_client_wake(object_, e); });
  }
  // Signals that there is something to pull; an empty hook removes the former one. It runs on a thread of the library,
  // at most once until the app pulls, and may only signal: it must neither throw nor call chatsdk.
  void set_ready_hook(std::function<void()> hook) {
    using function = std::function<void()>;
    auto held = hook ? std::make_unique<function>(std::move(hook)) : nullptr;
    call([&](chatsdk_error** e) {
      if (held == nullptr) return chatsdk_client_set_ready_hook(object_, e, nullptr, nullptr, nullptr);
      return chatsdk_client_set_ready_hook(
          object_, e, [](void* user) { (*static_cast<function*>(user))(); }, held.get(),
          [](void* user) { delete static_cast<function*>(user); });
    });
    held.release();
  }
  // Calls handler(event) on this thread for what is pending; the number handled. handler must not throw.
  template <typename Handler>
  std::size_t tick(std::chrono::milliseconds budget, Handler&& handler) {
    size_t dispatched = 0;
    call([&](chatsdk_error** e) {
      return chatsdk_client_tick(
          object_, budget.count(), &dispatched, e,
          [](const chatsdk_event* raw, void* user) {
            (*static_cast<std::remove_reference_t<Handler>*>(user))(event(event::handle::share(raw)));
          },
          const_cast<void*>(static_cast<const void*>(&handler)));
    });
    return dispatched;
  }

  // -- End-to-end encryption --
  // One of CHATSDK_ENCRYPTION_.
  std::int32_t encryption_state() const {
    std::int32_t state = 0;
    call([&](chatsdk_error** e) { return chatsdk_client_encryption_state(object_, &state, e); });
    return state;
  }
  // Of a user of whom a device is known.
  identity find_identity(std::string_view peer) const {
    chatsdk_identity* found = nullptr;
    call([&](chatsdk_error** e) { return chatsdk_client_identity(object_, peer.data(), peer.size(), &found, e); });
    return identity(identity::handle::adopt(found));
  }
  void set_verified(const identity& compared, bool is_verified) {
    call([&](chatsdk_error** e) {
      return chatsdk_client_set_verified(object_, compared.get(), is_verified ? 1 : 0, e);
    });
  }
  void accept_identity(const identity& shown) {
    call([&](chatsdk_error** e) { return chatsdk_client_accept_identity(object_, shown.get(), e); });
  }
  void forget_identity(const identity& compared) {
    call([&](chatsdk_error** e) { return chatsdk_client_forget_identity(object_, compared.get(), e); });
  }
  // The newest list that is known of a user, be it this store's.
  std::vector<signed_device> signed_devices(std::string_view user) const {
    chatsdk_signed_devices* found = nullptr;
    call(
        [&](chatsdk_error** e) { return chatsdk_client_signed_devices(object_, user.data(), user.size(), &found, e); });
    const std::unique_ptr<chatsdk_signed_devices, void (*)(const chatsdk_signed_devices*)> owned(
        found, [](const chatsdk_signed_devices* devices) { chatsdk_signed_devices_release(devices); });
    std::vector<signed_device> devices(chatsdk_signed_devices_size(found));
    for (std::size_t i = 0; i < devices.size(); ++i) {
      devices[i].id = chatsdk_signed_devices_id(found, i);
      devices[i].name = chatsdk_signed_devices_name(found, i, nullptr);
      devices[i].fingerprint = chatsdk_signed_devices_fingerprint(found, i, nullptr);
      devices[i].since = std::chrono::milliseconds(chatsdk_signed_devices_since_ms(found, i));
      devices[i].is_current = chatsdk_signed_devices_is_current(found, i) != 0;
    }
    return devices;
  }
  // Another account key for this store's user, for whom every other device is lost.
  void replace_identity() {
    call([&](chatsdk_error** e) { return chatsdk_client_replace_identity(object_, e); });
  }
  // The text that a linked device scans. Code and end of a linking come as events.
  std::string begin_link() {
    std::string out(CHATSDK_LINK_TEXT_SIZE, '\0');
    size_t length = 0;
    call([&](chatsdk_error** e) { return chatsdk_client_begin_link(object_, out.data(), out.size(), &length, e); });
    out.resize(length);
    return out;
  }
  void scan_link(std::string_view text) {
    call([&](chatsdk_error** e) { return chatsdk_client_scan_link(object_, text.data(), text.size(), e); });
  }
  void confirm_link() {
    call([&](chatsdk_error** e) { return chatsdk_client_confirm_link(object_, e); });
  }
  void cancel_link() {
    call([&](chatsdk_error** e) { return chatsdk_client_cancel_link(object_, e); });
  }

  // -- Conversations and messages --
  // A new one is end-to-end encrypted.
  std::uint64_t direct_conversation(std::string_view peer) {
    std::uint64_t key = 0;
    call([&](chatsdk_error** e) {
      return chatsdk_client_direct_conversation(object_, peer.data(), peer.size(), &key, e);
    });
    return key;
  }
  // A new one is plain: the server can read what is written in it. One that is plain already is accepted as that;
  // before, send_text in it throws with CHATSDK_WRONG_STATE, unless this app has made it.
  std::uint64_t direct_conversation_plain(std::string_view peer) {
    std::uint64_t key = 0;
    call([&](chatsdk_error** e) {
      return chatsdk_client_direct_conversation_plain(object_, peer.data(), peer.size(), &key, e);
    });
    return key;
  }
  // Text may be sent in a group that somebody else has made, and is plain.
  void accept_plain(std::uint64_t conversation_key) {
    call([&](chatsdk_error** e) { return chatsdk_client_accept_plain(object_, conversation_key, e); });
  }
  // What is done to groups: each call gives the number of an operation, whose end an event tells.
  struct new_group {
    std::uint64_t conversation = 0;
    std::uint64_t operation = 0;
  };
  new_group create_group(std::string_view name, const std::vector<std::string>& members,
                         const group_options& options = {}) {
    chatsdk_group_options raw = CHATSDK_GROUP_OPTIONS_INIT;
    raw.name = name.data(), raw.name_length = name.size();
    raw.description = options.description.data(), raw.description_length = options.description.size();
    raw.picture = options.picture.data(), raw.picture_length = options.picture.size();
    raw.least_roles = options.least_roles.data(), raw.least_role_count = options.least_roles.size();
    raw.has_history = options.has_history ? 1 : 0;
    const std::vector<const char*> users = raw_texts(members);
    new_group made;
    call([&](chatsdk_error** e) {
      return chatsdk_client_create_group(object_, &raw, users.data(), users.size(), &made.conversation, &made.operation,
                                         e);
    });
    return made;
  }
  std::uint64_t set_group_name(std::uint64_t conversation_key, std::string_view name) {
    return request([&](std::uint64_t* id, chatsdk_error** e) {
      return chatsdk_client_set_group_name(object_, conversation_key, name.data(), name.size(), id, e);
    });
  }
  std::uint64_t set_group_description(std::uint64_t conversation_key, std::string_view description) {
    return request([&](std::uint64_t* id, chatsdk_error** e) {
      return chatsdk_client_set_group_description(object_, conversation_key, description.data(), description.size(), id,
                                                  e);
    });
  }
  std::uint64_t set_group_picture(std::uint64_t conversation_key, const std::vector<std::uint8_t>& picture) {
    return request([&](std::uint64_t* id, chatsdk_error** e) {
      return chatsdk_client_set_group_picture(object_, conversation_key, picture.data(), picture.size(), id, e);
    });
  }
  // One of CHATSDK_RIGHT_, and the least of CHATSDK_ROLE_ that has it from now on.
  std::uint64_t set_group_right(std::uint64_t conversation_key, std::int32_t right, std::int32_t least_role) {
    return request([&](std::uint64_t* id, chatsdk_error** e) {
      return chatsdk_client_set_group_right(object_, conversation_key, right, least_role, id, e);
    });
  }
  std::uint64_t add_members(std::uint64_t conversation_key, const std::vector<std::string>& users) {
    const std::vector<const char*> raw = raw_texts(users);
    return request([&](std::uint64_t* id, chatsdk_error** e) {
      return chatsdk_client_add_members(object_, conversation_key, raw.data(), raw.size(), id, e);
    });
  }
  std::uint64_t remove_member(std::uint64_t conversation_key, std::string_view user) {
    return request([&](std::uint64_t* id, chatsdk_error** e) {
      return chatsdk_client_remove_member(object_, conversation_key, user.data(), user.size(), id, e);
    });
  }
  std::uint64_t leave_group(std::uint64_t conversation_key) {
    return request([&](std::uint64_t* id, chatsdk_error** e) {
      return chatsdk_client_leave_group(object_, conversation_key, id, e);
    });
  }
  std::uint64_t set_member_role(std::uint64_t conversation_key, std::string_view user, std::int32_t role) {
    return request([&](std::uint64_t* id, chatsdk_error** e) {
      return chatsdk_client_set_member_role(object_, conversation_key, user.data(), user.size(), role, id, e);
    });
  }
  std::uint64_t transfer_group(std::uint64_t conversation_key, std::string_view user) {
    return request([&](std::uint64_t* id, chatsdk_error** e) {
      return chatsdk_client_transfer_group(object_, conversation_key, user.data(), user.size(), id, e);
    });
  }
  std::uint64_t end_group(std::uint64_t conversation_key) {
    return request([&](std::uint64_t* id, chatsdk_error** e) {
      return chatsdk_client_end_group(object_, conversation_key, id, e);
    });
  }
  // By user_id; after: the last one of the page before. is_complete: whether this device knows all of them.
  page<member> members(std::uint64_t conversation_key, std::size_t max, std::string_view after = {},
                       bool* is_complete = nullptr) const {
    chatsdk_member_list* list = nullptr;
    call([&](chatsdk_error** e) {
      return chatsdk_client_members(object_, conversation_key, after.data(), after.size(), max, &list, e);
    });
    const std::unique_ptr<chatsdk_member_list, void (*)(const chatsdk_member_list*)> owned(
        list, [](const chatsdk_member_list* members) { chatsdk_member_list_release(members); });
    page<member> out;
    for (std::size_t i = 0; i < chatsdk_member_list_size(list); ++i) {
      out.rows.push_back({chatsdk_member_list_user(list, i, nullptr), chatsdk_member_list_role(list, i)});
    }
    out.has_more = chatsdk_member_list_has_more(list) != 0;
    if (is_complete != nullptr) *is_complete = chatsdk_member_list_is_complete(list) != 0;
    return out;
  }
  sent send_text(std::uint64_t conversation_key, std::string_view text, const send_options& options = {}) {
    chatsdk_send_options raw = CHATSDK_SEND_OPTIONS_INIT;
    raw.client_message_id = options.id ? options.id->data() : nullptr;
    raw.time_limit_ms = options.time_limit.count();
    sent out;
    call([&](chatsdk_error** e) {
      return chatsdk_client_send_text(object_, conversation_key, text.data(), text.size(), &raw, out.id.data(),
                                      &out.message, e);
    });
    return out;
  }
  void retry_message(std::uint64_t message_key) {
    call([&](chatsdk_error** e) { return chatsdk_client_retry_message(object_, message_key, e); });
  }
  void discard_message(std::uint64_t message_key) {
    call([&](chatsdk_error** e) { return chatsdk_client_discard_message(object_, message_key, e); });
  }
  void edit_text(std::uint64_t message_key, std::string_view text) {
    call(
        [&](chatsdk_error** e) { return chatsdk_client_edit_text(object_, message_key, text.data(), text.size(), e); });
  }
  void delete_for_all(std::uint64_t message_key) {
    call([&](chatsdk_error** e) { return chatsdk_client_delete_for_all(object_, message_key, e); });
  }
  // All of this user's: none takes back what there was.
  void set_reactions(std::uint64_t message_key, const std::vector<std::string>& keys) {
    const std::vector<const char*> raw = raw_texts(keys);
    call([&](chatsdk_error** e) {
      return chatsdk_client_set_reactions(object_, message_key, raw.data(), raw.size(), e);
    });
  }
  void set_pinned(std::uint64_t message_key, bool pinned) {
    call([&](chatsdk_error** e) { return chatsdk_client_set_pinned(object_, message_key, pinned ? 1 : 0, e); });
  }
  void mark_read(std::uint64_t conversation_key, std::uint64_t seq) {
    call([&](chatsdk_error** e) { return chatsdk_client_mark_read(object_, conversation_key, seq, e); });
  }
  page<conversation> conversations(std::size_t max, std::uint64_t after = 0) const {
    chatsdk_conversation_list* list = nullptr;
    call([&](chatsdk_error** e) { return chatsdk_client_conversations(object_, after, max, &list, e); });
    page<conversation> out;
    for (size_t i = 0; i < chatsdk_conversation_list_size(list); ++i) {
      out.rows.emplace_back(conversation::handle::share(chatsdk_conversation_list_at(list, i)));
    }
    out.has_more = chatsdk_conversation_list_has_more(list) != 0;
    chatsdk_conversation_list_release(list);
    return out;
  }
  conversation find_conversation(std::uint64_t conversation_key) const {
    chatsdk_conversation* found = nullptr;
    call([&](chatsdk_error** e) { return chatsdk_client_conversation(object_, conversation_key, &found, e); });
    return conversation(conversation::handle::adopt(found));
  }
  // Rows are oldest first. By conversation_seq, 0 for the tail or the beginning; or from any row of a former page,
  // which need not have a seq: the loop over a whole conversation is history_before(c, 0, n), then
  // history_before_message(c, rows.front().key(), n) while has_more.
  page<message> history_before(std::uint64_t conversation_key, std::uint64_t before, std::size_t max) const {
    return history(chatsdk_client_history_before, conversation_key, before, max);
  }
  page<message> history_after(std::uint64_t conversation_key, std::uint64_t after, std::size_t max) const {
    return history(chatsdk_client_history_after, conversation_key, after, max);
  }
  page<message> history_before_message(std::uint64_t conversation_key, std::uint64_t message_key,
                                       std::size_t max) const {
    return history(chatsdk_client_history_before_message, conversation_key, message_key, max);
  }
  page<message> history_after_message(std::uint64_t conversation_key, std::uint64_t message_key,
                                      std::size_t max) const {
    return history(chatsdk_client_history_after_message, conversation_key, message_key, max);
  }
  message find_message(std::uint64_t message_key) const {
    chatsdk_message* found = nullptr;
    call([&](chatsdk_error** e) { return chatsdk_client_message(object_, message_key, &found, e); });
    return message(message::handle::adopt(found));
  }
  message find_message(const message_id& id) const {
    chatsdk_message* found = nullptr;
    call([&](chatsdk_error** e) { return chatsdk_client_message_by_id(object_, id.data(), &found, e); });
    return message(message::handle::adopt(found));
  }
  struct receipt_times {
    std::optional<std::chrono::milliseconds> delivered;
    std::optional<std::chrono::milliseconds> read;
  };
  receipt_times receipt(std::uint64_t message_key, std::string_view member) const {
    std::int64_t delivered = 0;
    std::int64_t read = 0;
    call([&](chatsdk_error** e) {
      return chatsdk_client_receipt(object_, message_key, member.data(), member.size(), &delivered, &read, e);
    });
    const auto time = [](std::int64_t ms) {
      return ms == 0 ? std::nullopt : std::optional<std::chrono::milliseconds>(ms);
    };
    return {time(delivered), time(read)};
  }
  std::uint64_t unread_total() const {
    std::uint64_t count = 0;
    call([&](chatsdk_error** e) { return chatsdk_client_unread_total(object_, &count, e); });
    return count;
  }
  std::uint64_t outbox_count() const {
    std::uint64_t count = 0;
    call([&](chatsdk_error** e) { return chatsdk_client_outbox_count(object_, &count, e); });
    return count;
  }

 private:
  template <typename Call>
  static void call(Call&& body) {
    detail::call(std::forward<Call>(body));
  }
  static std::vector<const char*> raw_texts(const std::vector<std::string>& texts) {
    std::vector<const char*> raw;
    for (const std::string& text : texts) raw.push_back(text.c_str());
    return raw;
  }
  template <typename Call>
  static std::uint64_t request(Call&& body) {
    std::uint64_t id = 0;
    call([&](chatsdk_error** e) { return body(&id, e); });
    return id;
  }
  template <typename Function>
  page<message> history(Function function, std::uint64_t conversation_key, std::uint64_t anchor,
                        std::size_t max) const {
    chatsdk_message_list* list = nullptr;
    call([&](chatsdk_error** e) { return function(object_, conversation_key, anchor, max, &list, e); });
    page<message> out;
    for (size_t i = 0; i < chatsdk_message_list_size(list); ++i) {
      out.rows.emplace_back(message::handle::share(chatsdk_message_list_at(list, i)));
    }
    out.has_more = chatsdk_message_list_has_more(list) != 0;
    chatsdk_message_list_release(list);
    return out;
  }

  chatsdk_client* object_ = nullptr;
};

}  // namespace chatsdk

#endif
