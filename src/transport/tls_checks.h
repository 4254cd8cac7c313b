// SPDX-License-Identifier: Apache-2.0
//
// What both adapters demand of a TLS peer, beyond what libwebsockets and libcurl check by themselves: TLS 1.2 or later,
// a chain to a given set of roots and to no other, and a subject alternative name that equals the host. The common name
// is never looked at (RFC 9525 section 4.1); an address needs an address entry. There is no way to ask for less.
//
// Threads: any; nothing is shared.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"

struct ssl_ctx_st;
struct ssl_st;
struct x509_store_ctx_st;

namespace chatsdk::tls {

struct FreeContext {
  void operator()(ssl_ctx_st* context) const;
};
using Context = std::unique_ptr<ssl_ctx_st, FreeContext>;

// A client context without any root: it trusts nobody until load_roots().
Context new_client_context();
// Replaces the roots: those of ca_file, or the system's when it is empty.
Status load_roots(ssl_ctx_st* context, const std::string& ca_file);
// Makes every handshake of the context demand this name.
bool require_host(ssl_ctx_st* context, const std::string& host);

// For a verify callback. Judges the certificate at hand together with the host name that the caller wanted; the
// library's own verdict about the name is replaced by ours, every other verdict stands. Returns 0 to go on, else why
// the peer is refused, an X509_V_ERR_ number.
int judge(x509_store_ctx_st* verification, bool library_accepts, const std::string& host);
std::string describe_verdict(int verdict);

// Why the last handshake on this thread failed, "" when nothing is known. *peer_left: the connection ended without any
// TLS reason. Filled for contexts of new_client_context().
std::string take_handshake_failure(bool* peer_left);

// True when the peer has ended the TLS session in order. ssl may be null.
bool peer_has_closed(ssl_st* ssl);

}  // namespace chatsdk::tls
