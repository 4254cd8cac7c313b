// SPDX-License-Identifier: Apache-2.0
#include "capi/handles.h"

namespace chatsdk::capi {

namespace {

// A call on a client, from its check to its return.
class Call {
 public:
  explicit Call(const chatsdk_client* client) : status_(check(client)) {
    if (!status_.ok()) return;
    if (client->calls.enter()) {
      client_ = client;
    } else {
      status_ = error(Code::kClosed, "the client is closed");
    }
  }
  ~Call() {
    if (client_ != nullptr) client_->calls.leave();
  }
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;
  const Status& status() const { return status_; }

 private:
  Status status_;
  const chatsdk_client* client_ = nullptr;
};

}  // namespace

std::int32_t run_on_client(const chatsdk_client* client, BodyRef body, chatsdk_error** out_error) noexcept {
  return guard(out_error, [&]() -> Status {
    const Call call(client);
    CHATSDK_TRY(call.status());
    return body();
  });
}

}  // namespace chatsdk::capi
