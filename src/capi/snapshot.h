// SPDX-License-Identifier: Apache-2.0
//
// capi: the only code that sees both sides of the C ABI. This file owns the snapshots that cross it: immutable,
// reference-counted objects behind the opaque types of the public headers.
//
// Threads: a snapshot may be used and released on any thread; its count is atomic and the rest never changes.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "chatsdk/chatsdk.h"
#include "e2ee/safety_number.h"
#include "engine/client.h"
#include "store/device_store.h"

namespace chatsdk::capi {

// The count starts at one, owned by whoever made the object.
class Counted {
 public:
  Counted() = default;
  Counted(const Counted&) = delete;
  Counted& operator=(const Counted&) = delete;
  virtual ~Counted() = default;

  void retain() const { count_.fetch_add(1, std::memory_order_relaxed); }
  void release() const {
    if (count_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
  }

 private:
  mutable std::atomic<std::uint32_t> count_{1};
};

// Owns one reference.
template <typename T>
class Ref {
 public:
  Ref() = default;
  explicit Ref(const T* owned) : object_(owned) {}
  Ref(Ref&& other) noexcept : object_(other.leak()) {}
  Ref& operator=(Ref&& other) noexcept {
    if (this != &other) {
      reset();
      object_ = other.leak();
    }
    return *this;
  }
  ~Ref() { reset(); }

  const T* get() const { return object_; }
  const T* operator->() const { return object_; }
  explicit operator bool() const { return object_ != nullptr; }
  // Hands the reference to the caller.
  const T* leak() { return std::exchange(object_, nullptr); }
  void reset() {
    if (object_ != nullptr) std::exchange(object_, nullptr)->release();
  }

 private:
  const T* object_ = nullptr;
};

}  // namespace chatsdk::capi

struct chatsdk_error final : chatsdk::capi::Counted {
  explicit chatsdk_error(chatsdk::Error e) : error(std::move(e)) {}
  const chatsdk::Error error;
};

struct chatsdk_event final : chatsdk::capi::Counted {
  explicit chatsdk_event(std::int32_t t) : type(t) {}
  std::int32_t type;
  std::uint64_t revision = 0;
  std::uint64_t request = 0;
  std::int32_t status = CHATSDK_OK;
  chatsdk::capi::Ref<chatsdk_error> error;
  std::uint64_t conversation = 0;
  std::uint64_t message = 0;
  std::int32_t connection_state = 0;
  std::int64_t retry_in_ms = 0;
  std::vector<chatsdk::DeviceInfo> devices;
  std::int32_t encryption_state = 0;
  std::string user;
  std::uint64_t device_id = 0;
  std::string link_code;
  std::string link_name;
  std::uint64_t operation = 0;
  std::uint64_t kept = 0;  // its number among those that the store keeps until they are pulled; 0: it is none of them
};

struct chatsdk_identity final : chatsdk::capi::Counted {
  explicit chatsdk_identity(chatsdk::PeerIdentity i);
  const chatsdk::PeerIdentity identity;
  const chatsdk::e2ee::SafetyNumber number;
  const std::string safety_number;  // as it is shown
};

struct chatsdk_signed_devices final : chatsdk::capi::Counted {
  explicit chatsdk_signed_devices(const std::vector<chatsdk::SignedDevice>& devices);
  struct Device {
    std::uint64_t id = 0;
    std::string name;
    std::string fingerprint;  // as it is shown
    std::int64_t since_ms = 0;
    bool current = false;
  };
  std::vector<Device> devices;
};

struct chatsdk_message final : chatsdk::capi::Counted {
  explicit chatsdk_message(chatsdk::MessageRow r);
  struct Reaction {
    std::string key;
    std::vector<std::string> members;
    bool own = false;
  };
  const chatsdk::MessageRow row;
  std::string text;
  const char* content_type = "";
  std::vector<Reaction> reactions;  // the most chosen first
};

struct chatsdk_message_list final : chatsdk::capi::Counted {
  explicit chatsdk_message_list(chatsdk::DeviceReader::MessagePage page);
  std::vector<chatsdk::capi::Ref<chatsdk_message>> rows;
  const bool more;
};

struct chatsdk_conversation final : chatsdk::capi::Counted {
  explicit chatsdk_conversation(chatsdk::ConversationRow r);
  const chatsdk::ConversationRow row;
  chatsdk::capi::Ref<chatsdk_message> last_message;
};

struct chatsdk_member_list final : chatsdk::capi::Counted {
  explicit chatsdk_member_list(chatsdk::DeviceReader::MemberPage p) : page(std::move(p)) {}
  const chatsdk::DeviceReader::MemberPage page;
};

struct chatsdk_conversation_list final : chatsdk::capi::Counted {
  explicit chatsdk_conversation_list(chatsdk::DeviceReader::ConversationPage page);
  std::vector<chatsdk::capi::Ref<chatsdk_conversation>> rows;
  const bool more;
};
