// SPDX-License-Identifier: Apache-2.0
//
// The seam between the REST services and what carries HTTP: libwebsockets in lws_listener, a link model in a
// simulation.
//
// Threads: handle() on any shard's executor; respond may be called from any thread, exactly once.
#pragma once

#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/ids.h"
#include "base/result.h"
#include "base/task.h"
#include "protocol/http.h"
#include "server-reference/store/store.h"

namespace chatsdk::server {

class HttpService {
 public:
  using Respond = UniqueFunction<void(HttpResponse)>;

  virtual ~HttpService() = default;
  // request.url is path and query. Always answers, also for unknown paths.
  virtual void handle(HttpRequest request, std::string remote_address, Respond respond) = 0;
};

// What an access token proves.
struct Identity {
  UserId user_id;
  DeviceId device_id;
  SessionId session_id;
  WallTime expires;
};

// Verifies access tokens locally: a pure function of the token, the keys and the time.
class TokenVerifier {
 public:
  virtual ~TokenVerifier() = default;
  // UNAUTHENTICATED with a reason that names no part of the token. Threads: any.
  virtual Result<Identity> verify_access_token(std::string_view token, WallTime now) const = 0;
};

}  // namespace chatsdk::server
