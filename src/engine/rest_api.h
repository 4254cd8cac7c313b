// SPDX-License-Identifier: Apache-2.0
//
// The REST interface as typed calls: protobuf bodies out, a message or one Error back. Knows paths, content types and
// problem documents; knows no token's age and no policy: who calls decides when to try again.
//
// Threads: the executor's.
// Invariants:
//   1. A callback runs at most once, and not after cancel() or this object's destruction.
//   2. UNAUTHENTICATED and the other refusals are answers of a chatsdk server; what something else on the way answers
//      is UNAVAILABLE, RATE_LIMITED or PROTOCOL, so that a captive portal cannot end a session.
#pragma once

#include <set>
#include <string>

#include "base/ids.h"
#include "base/link_step.h"
#include "engine/guard.h"
#include "protocol/frames.h"
#include "protocol/group.h"
#include "protocol/group_operation.h"
#include "protocol/keys.pb.h"
#include "transport/transport.h"

namespace chatsdk {

class RestApi {
 public:
  using CallId = std::uint64_t;  // never 0
  template <typename T>
  using Callback = UniqueFunction<void(Result<T>)>;

  // server_url: http:// or https:// and an authority, with or without a final slash.
  RestApi(HttpClient& http, std::string server_url);
  ~RestApi();  // cancels every call

  CallId register_account(const wire::RegisterRequest& request, Callback<wire::Session> callback);
  CallId login(const wire::LoginRequest& request, Callback<wire::Session> callback);
  CallId refresh(const wire::RefreshRequest& request, Callback<wire::Session> callback);
  CallId logout(const std::string& access_token, Callback<void> callback);
  CallId devices(const std::string& access_token, Callback<wire::Devices> callback);
  CallId revoke_device(const std::string& access_token, DeviceId device, Callback<void> callback);
  CallId connect(const std::string& access_token, Callback<wire::Connect> callback);
  // The key directory: docs/protocol-rest.md section 2.
  CallId device_lists(const std::string& access_token, const wire::DeviceListsRequest& request,
                      Callback<wire::DeviceLists> callback);
  CallId upload_lists(const std::string& access_token, const wire::DeviceListUpload& request, Callback<void> callback);
  CallId upload_prekeys(const std::string& access_token, const wire::PrekeyUpload& request,
                        Callback<wire::KeyCounts> callback);
  CallId key_digest(const std::string& access_token, Callback<wire::KeyDigest> callback);
  CallId bundles(const std::string& access_token, const wire::BundlesRequest& request,
                 Callback<wire::Bundles> callback);
  // The mailbox of a linking (docs/e2ee.md section 12), named by its link_id of 16 bytes. A message that is not there
  // yet, or no more, is NOT_FOUND.
  CallId put_link_message(const std::string& access_token, BytesView link_id, LinkStep step, BytesView message,
                          Callback<void> callback);
  CallId link_message(const std::string& access_token, BytesView link_id, LinkStep step,
                      Callback<wire::LinkMessage> callback);
  // Groups.
  CallId group(const std::string& access_token, const GroupId& group, Callback<group::State> callback);
  CallId group_members(const std::string& access_token, const GroupId& group, const UserId& after,
                       Callback<group::Members> callback);
  // A change, under the id that every repeat of it has; its answer is a record.
  CallId operate(const std::string& access_token, BytesView operation_id, group::Call operation,
                 Callback<Bytes> callback);
  void cancel(CallId call);
  void cancel_all();

 private:
  CallId call(std::string method, const std::string& path, const std::string& access_token, Bytes body,
              Callback<Bytes> callback);
  CallId send(HttpRequest request, const std::string& path, const std::string& access_token, Callback<Bytes> callback);

  HttpClient& http_;
  std::string server_url_;
  std::set<HttpClient::RequestId> open_;
  Guard guard_;
};

}  // namespace chatsdk
