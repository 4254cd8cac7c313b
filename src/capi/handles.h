// SPDX-License-Identifier: Apache-2.0
//
// The long-lived opaque objects of the C ABI, the check that a pointer names a living one, and the count of the calls
// that are inside a client, which its end waits for.
//
// Threads: a handle's mark is set once and cleared at its end; the rest any.
// Invariants:
//   1. Once closed, a client lets no call in; it is freed when the last call has left.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <thread>

#include "capi/guard.h"
#include "capi/runtime.h"
#include "chatsdk/chatsdk.h"

namespace chatsdk::capi {

inline constexpr std::uint64_t kConfigMark = 0x636861746366'6731;  // "chatcfg1"
inline constexpr std::uint64_t kClientMark = 0x63686174636C'6931;  // "chatcli1"

// Set while the object lives. A best effort against a wrong or stale pointer, not a licence to pass one.
class Mark {
 public:
  explicit Mark(std::uint64_t value) : value_(value) {}
  ~Mark() { value_.store(0); }
  bool is(std::uint64_t value) const { return value_.load() == value; }

 private:
  std::atomic<std::uint64_t> value_;
};

class Calls {
 public:
  // False, and not counted, when the client is closed.
  bool enter() {
    std::lock_guard lock(mutex_);
    if (closed_) return false;
    ++inside_;
    return true;
  }
  // Counted also when it is closed: for those who close.
  void enter_to_close() {
    std::lock_guard lock(mutex_);
    closed_ = true;
    ++inside_;
  }
  void leave() {
    std::lock_guard lock(mutex_);
    // Under the lock: as soon as it is free, the one who waits may end this object.
    if (--inside_ == 0) left_.notify_all();
  }
  // Closes, and waits until nobody is inside.
  void close_and_wait() {
    std::unique_lock lock(mutex_);
    closed_ = true;
    left_.wait(lock, [this] { return inside_ == 0; });
  }
  void close() {
    std::lock_guard lock(mutex_);
    closed_ = true;
  }

 private:
  std::mutex mutex_;
  std::condition_variable left_;
  std::size_t inside_ = 0;
  bool closed_ = false;
};

}  // namespace chatsdk::capi

struct chatsdk_config {
  chatsdk::capi::Mark mark{chatsdk::capi::kConfigMark};
  chatsdk::capi::RuntimeOptions options{
      .client = {}, .ca_file = {}, .tick_driven = false, .log = std::make_shared<chatsdk::NullLog>(), .look_up = {}};
};

struct chatsdk_client {
  explicit chatsdk_client(chatsdk::capi::RuntimeOptions options) : runtime(std::move(options)) {}

  chatsdk::capi::Mark mark{chatsdk::capi::kClientMark};
  mutable chatsdk::capi::Calls calls;
  std::atomic<std::thread::id> ticking_thread{};
  bool destroy_after_tick = false;  // the ticking thread's own
  chatsdk::capi::Runtime runtime;
};

namespace chatsdk::capi {

inline bool lives(const chatsdk_config* config) noexcept { return config != nullptr && config->mark.is(kConfigMark); }
inline bool lives(const chatsdk_client* client) noexcept { return client != nullptr && client->mark.is(kClientMark); }

inline Status check(const chatsdk_config* config) {
  if (!lives(config)) return error(Code::kInvalidArgument, "config is no configuration");
  return {};
}
inline Status check(const chatsdk_client* client) {
  if (!lives(client)) return error(Code::kInvalidArgument, "client is no client");
  return {};
}

std::int32_t run_on_client(const chatsdk_client* client, BodyRef body, chatsdk_error** out_error) noexcept;

// Runs the body of an entry point inside a client.
template <typename Body>
std::int32_t on_client(const chatsdk_client* client, chatsdk_error** out_error, Body body) noexcept {
  return run_on_client(client, BodyRef(body), out_error);
}

}  // namespace chatsdk::capi
