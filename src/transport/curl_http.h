// SPDX-License-Identifier: Apache-2.0
//
// CurlHttp: the HttpClient on libcurl. It owns one multi handle and, in threaded mode, the thread that
// drives it; both begin with the first request and end after some idle seconds or with shutdown(), so that making a
// client costs nothing. It knows nothing of what a body holds.
//
// TLS is always verified (tls_checks.h), http and https are the only protocols, redirects are not followed, no cookie,
// password file or compression is used, and a proxy of the environment only when asked for.
//
// Threads: all calls come from the engine's turns; the destructor may also run after the engine has stopped.
//   Between the engine and the thread stands one mutex, over the queue of commands. Answers are posted to the engine as
//   tasks. A task holds its result and a liveness token that only the engine's turns read and the destructor clears:
//   a task that runs later touches nothing else. The callbacks never leave the engine's side.
// Invariants:
//   1. Without own_thread, nothing happens outside drive(), the look-up of a name apart.
//   2. After shutdown() there is no thread and no descriptor; request() begins anew.
//   3. Nothing here waits for the network, nor for a name: libcurl is handed the host's addresses, because the end of
//      its handle would wait for a look-up of its own. So shutdown() is prompt. Only a proxy's name is libcurl's.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>

#include "base/executor.h"
#include "base/limits.h"
#include "base/log.h"
#include "transport/resolver.h"
#include "transport/transport.h"

namespace chatsdk {

struct CurlOptions {
  std::string ca_file{};   // PEM; empty: the system's roots
  bool own_thread = true;  // false: the owner calls drive()
  std::string thread_name = "chatsdk-http";
  bool proxy_of_environment = false;
  std::size_t body_bytes_max = limits::kResponseBodyBytesMax;
  std::chrono::milliseconds connect_timeout = limits::kConnectTimeout;
  std::chrono::milliseconds idle = limits::kHttpIdle;
  std::shared_ptr<Resolver> resolver{};  // shared with other adapters; empty: one of its own
};

class CurlHttp final : public HttpClient {
 public:
  // engine and log outlive the client.
  CurlHttp(Executor& engine, CurlOptions options, Log& log);
  ~CurlHttp() override;
  CurlHttp(const CurlHttp&) = delete;
  CurlHttp& operator=(const CurlHttp&) = delete;

  RequestId request(HttpRequest request, Callback callback) override;
  void cancel(RequestId request) override;

  // Serves what is ready and returns without waiting. Only without own_thread.
  void drive();
  // Ends every request at once (each callback follows as a task, with CLOSED), the thread and the connections.
  void shutdown();

 private:
  class Service;
  std::unique_ptr<Service> service_;
};

}  // namespace chatsdk
