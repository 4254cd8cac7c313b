// SPDX-License-Identifier: Apache-2.0
#include "transport/tls_checks.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#include <string>
#include <string_view>
#include <utility>

namespace chatsdk::tls {

namespace {

constexpr unsigned kNameFlags = X509_CHECK_FLAG_NEVER_CHECK_SUBJECT | X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS;

// Needs no destructor: to register a thread's takes memory, without which glibc ends the process.
struct HandshakeFailure {
  unsigned long code = 0;
  bool peer_left = false;
};
thread_local HandshakeFailure handshake_failure;

bool is_address(const std::string& host) {
  ASN1_OCTET_STRING* address = a2i_IPADDRESS(host.c_str());
  const bool parsed = address != nullptr;
  ASN1_OCTET_STRING_free(address);
  return parsed;
}

// The server name is a name, never an address (RFC 6066 section 3). libwebsockets takes it from the Host header, up to
// the first colon: of an address of IPv6 that is "[".
void drop_server_name_of_an_address(const SSL* ssl) {
  const char* name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
  if (name == nullptr || (name[0] != '[' && !is_address(name))) return;
  SSL_set_tlsext_host_name(const_cast<SSL*>(ssl), nullptr);  // ours: this runs inside the call that begins on it
}

// Runs before the first message leaves and whenever the library's call on the handshake ends. The error queue is
// emptied by libwebsockets before its caller hears of the failure, so the reason is kept here.
void note_handshake(const SSL* ssl, int where, int result) {
  if ((where & SSL_CB_HANDSHAKE_START) != 0) {
    handshake_failure = {};
    drop_server_name_of_an_address(ssl);
  }
  if ((where & SSL_CB_EXIT) == 0 || result > 0) return;
  const unsigned long code = ERR_peek_error();
  if (code == 0) return;
  handshake_failure.peer_left =
      ERR_GET_LIB(code) == ERR_LIB_SSL && ERR_GET_REASON(code) == SSL_R_UNEXPECTED_EOF_WHILE_READING;
  handshake_failure.code = code;
}

bool certificate_is_for(X509* certificate, const std::string& host) {
  if (is_address(host)) return X509_check_ip_asc(certificate, host.c_str(), kNameFlags) == 1;
  return X509_check_host(certificate, host.data(), host.size(), kNameFlags, nullptr) == 1;
}

}  // namespace

void FreeContext::operator()(ssl_ctx_st* context) const { SSL_CTX_free(context); }

Context new_client_context() {
  Context context(SSL_CTX_new(TLS_client_method()));
  if (!context) return nullptr;
  SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION);
  SSL_CTX_set_options(context.get(), SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
  SSL_CTX_set_mode(context.get(), SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
  X509_VERIFY_PARAM_set_hostflags(SSL_CTX_get0_param(context.get()), kNameFlags);
  SSL_CTX_set_info_callback(context.get(), note_handshake);
  return context;
}

Status load_roots(ssl_ctx_st* context, const std::string& ca_file) {
  X509_STORE* store = X509_STORE_new();
  if (store == nullptr) return error(Code::kNoMemory, "tls: no memory for the roots");
  SSL_CTX_set_cert_store(context, store);  // owns it from here
  const int loaded =
      ca_file.empty() ? X509_STORE_set_default_paths(store) : X509_STORE_load_file(store, ca_file.c_str());
  ERR_clear_error();
  if (loaded != 1) {
    return error(Code::kTls,
                 ca_file.empty() ? "tls: the system's roots cannot be read" : "tls: the CA file cannot be read");
  }
  return {};
}

bool require_host(ssl_ctx_st* context, const std::string& host) {
  X509_VERIFY_PARAM* wanted = SSL_CTX_get0_param(context);
  X509_VERIFY_PARAM_set_hostflags(wanted, kNameFlags);
  if (is_address(host)) return X509_VERIFY_PARAM_set1_ip_asc(wanted, host.c_str()) == 1;
  return X509_VERIFY_PARAM_set1_host(wanted, host.data(), host.size()) == 1;
}

int judge(x509_store_ctx_st* verification, bool library_accepts, const std::string& host) {
  const int verdict = X509_STORE_CTX_get_error(verification);
  const bool about_name = verdict == X509_V_ERR_HOSTNAME_MISMATCH || verdict == X509_V_ERR_IP_ADDRESS_MISMATCH;
  if (!library_accepts && !about_name) return verdict != X509_V_OK ? verdict : X509_V_ERR_UNSPECIFIED;
  if (!about_name && X509_STORE_CTX_get_error_depth(verification) != 0) return X509_V_OK;

  X509* leaf = X509_STORE_CTX_get0_cert(verification);
  if (leaf == nullptr || !certificate_is_for(leaf, host)) {
    X509_STORE_CTX_set_error(verification, X509_V_ERR_HOSTNAME_MISMATCH);
    return X509_V_ERR_HOSTNAME_MISMATCH;
  }
  X509_STORE_CTX_set_error(verification, X509_V_OK);
  return X509_V_OK;
}

std::string describe_verdict(int verdict) { return X509_verify_cert_error_string(verdict); }

std::string take_handshake_failure(bool* peer_left) {
  const HandshakeFailure failure = std::exchange(handshake_failure, {});
  *peer_left = failure.peer_left;
  if (failure.code == 0) return {};
  const char* reason = ERR_reason_error_string(failure.code);
  return reason != nullptr ? reason : "error " + std::to_string(failure.code);
}

bool peer_has_closed(ssl_st* ssl) { return ssl != nullptr && (SSL_get_shutdown(ssl) & SSL_RECEIVED_SHUTDOWN) != 0; }

}  // namespace chatsdk::tls
