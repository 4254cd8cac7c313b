// SPDX-License-Identifier: Apache-2.0
#include "transport/lws_tls.h"

#include <libwebsockets.h>
#include <sys/socket.h>

#include <cerrno>

namespace chatsdk {

bool LwsTls::begin() {
  context_ = tls::new_client_context();
  roots_loaded_ = false;
  return context_ != nullptr;
}

Status LwsTls::trust_roots(const std::string& ca_file) {
  if (roots_loaded_) return {};
  CHATSDK_TRY(tls::load_roots(context_.get(), ca_file));
  roots_loaded_ = true;
  return {};
}

void LwsTls::end() { context_.reset(); }

int judge_certificate(void* store_context, std::size_t verdict, const std::string& host) {
  return tls::judge(static_cast<x509_store_ctx_st*>(store_context), verdict != 0, host);
}

// The text is libwebsockets' own; every text of a failed SSL_connect() begins with "connect ".
bool is_handshake_failure(std::string_view text, bool secure) { return secure && text.substr(0, 8) == "connect "; }

Error explain_connect_failure(std::string_view text, bool secure, int refusal) {
  bool peer_left = false;
  const std::string reason = tls::take_handshake_failure(&peer_left);
  if (refusal != 0) {
    return error(Code::kTls, "certificate refused: " + tls::describe_verdict(refusal), {CauseDomain::kTls, refusal});
  }
  const bool in_handshake = is_handshake_failure(text, secure);
  if (in_handshake && !peer_left && text.substr(0, 15) != "connect SYSCALL") {
    return error(Code::kTls, "handshake failed: " + (reason.empty() ? std::string(text) : reason));
  }
  if (in_handshake) return error(Code::kNetwork, "the connection ended during the TLS handshake");
  return error(text.substr(0, 3) == "HS:" ? Code::kProtocol : Code::kNetwork, "connecting: " + std::string(text));
}

bool stream_is_over(lws* wsi) {
  if (tls::peer_has_closed(lws_get_ssl(wsi))) return true;
  char byte = 0;
  const ssize_t got = recv(lws_get_socket_fd(wsi), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  return got == 0 || (got < 0 && errno != EAGAIN && errno != EWOULDBLOCK);
}

}  // namespace chatsdk
