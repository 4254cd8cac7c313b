// SPDX-License-Identifier: Apache-2.0
//
// What libwebsockets keeps per process and a client must not let it take: the log sink, the handling of SIGPIPE, and
// where a TLS session finds its connection, which several clients share. And the context of one client, with the
// library's own limits and defaults put where chatsdk wants them.
//
// Threads: any.
#pragma once

#include <libwebsockets.h>

#include <chrono>

#include "base/log.h"

struct ssl_ctx_st;

namespace chatsdk {

// Of the one protocol of a context.
inline constexpr const char* kLwsProtocolName = "chatsdk";

// While it lives, what libwebsockets logs on this thread goes to this log, at level debug.
class LwsLogScope {
 public:
  explicit LwsLogScope(Log& log);
  ~LwsLogScope();
  LwsLogScope(const LwsLogScope&) = delete;
  LwsLogScope& operator=(const LwsLogScope&) = delete;

 private:
  Log* outer_;
};

// A protocol for on_event, to be kept as long as the context that is made with it.
lws_protocols lws_protocol(lws_callback_function* on_event);

// A client context without listeners and without proxies; null when there is no memory. protocols ends with an empty
// one; tls and protocols outlive the context. connect_timeout is the caller's own: the library's come after it.
lws_context* create_lws_context(const lws_protocols* protocols, ssl_ctx_st* tls,
                                std::chrono::milliseconds connect_timeout, void* user);

}  // namespace chatsdk
