// SPDX-License-Identifier: Apache-2.0
//
// LwsTls: the TLS side of LwsTransport: the context that libwebsockets is handed, whose roots are read at the first
// connection that needs them, and the judgement of a certificate, which runs inside the handshake and so before the
// upgrade request with its token. What is demanded of a peer stands in tls_checks.h. Also what there is to say about a
// handshake that failed, and whether a peer has ended its stream.
//
// Threads: the service's.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/result.h"
#include "transport/tls_checks.h"

struct lws;

namespace chatsdk {

class LwsTls {
 public:
  // A context that trusts nobody. False: no memory.
  bool begin();
  // Before the first handshake: reads the roots, once for each begin().
  Status trust_roots(const std::string& ca_file);
  // After the library has let go of the context.
  void end();
  ssl_ctx_st* context() const { return context_.get(); }

 private:
  tls::Context context_;
  bool roots_loaded_ = false;
};

// Judges what the library's verify callback hands over: the store context and its own verdict. Returns 0 to go on,
// else why the peer is refused, an X509_V_ERR_ number.
int judge_certificate(void* store_context, std::size_t verdict, const std::string& host);

// Whether the text that libwebsockets gives for a failed connection is about its TLS handshake, and so says that the
// address has answered.
bool is_handshake_failure(std::string_view text, bool secure);

// Why connecting failed: refusal is judge_certificate()'s. On the thread that connected, at once.
Error explain_connect_failure(std::string_view text, bool secure, int refusal);

// True when the peer has ended the stream, with TLS or without.
bool stream_is_over(lws* wsi);

}  // namespace chatsdk
