// SPDX-License-Identifier: Apache-2.0
//
// The long-lived opaque objects of the C ABI and the check that a pointer names a living one.
//
// Threads: a handle's mark is set once and cleared at its end.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>

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

}  // namespace chatsdk::capi

struct chatsdk_config {
  chatsdk::capi::Mark mark{chatsdk::capi::kConfigMark};
  chatsdk::capi::RuntimeOptions options{
      .client = {}, .ca_file = {}, .tick_driven = false, .log = std::make_shared<chatsdk::NullLog>()};
};

struct chatsdk_client {
  explicit chatsdk_client(chatsdk::capi::RuntimeOptions options) : runtime(std::move(options)) {}

  chatsdk::capi::Mark mark{chatsdk::capi::kClientMark};
  std::atomic<std::thread::id> ticking_thread{};
  bool destroy_after_tick = false;  // the ticking thread's own
  chatsdk::capi::Runtime runtime;
};

namespace chatsdk::capi {

inline Status check(const chatsdk_config* config) {
  if (config == nullptr || !config->mark.is(kConfigMark))
    return error(Code::kInvalidArgument, "config is no configuration");
  return {};
}
inline Status check(const chatsdk_client* client) {
  if (client == nullptr || !client->mark.is(kClientMark)) return error(Code::kInvalidArgument, "client is no client");
  return {};
}

}  // namespace chatsdk::capi
