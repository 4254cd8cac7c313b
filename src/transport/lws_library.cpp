// SPDX-License-Identifier: Apache-2.0
#include "transport/lws_library.h"

#include <csignal>
#include <mutex>
#include <string_view>
#include <utility>

#include "base/limits.h"

namespace chatsdk {

namespace {

// The log of libwebsockets is one per process, so each line goes to whoever is inside a call on this thread.
thread_local Log* calling_log = nullptr;

void forward_log(int, const char* line) {
  if (calling_log == nullptr || !calling_log->enabled(LogLevel::kDebug)) return;
  std::string_view text(line);
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.remove_suffix(1);
  calling_log->write(LogLevel::kDebug, "ws", text);
}

// lws_create_context() changes two things of the whole process: the log sink, which is set once here, and the handling
// of SIGPIPE, which belongs to the host and is put back.
//
// And a third, which breaks other clients: with LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT each context moves, in a variable
// of the process, the place where a TLS session keeps its connection, and a handshake that is under way in another
// context then finds none and is refused. So only the first context has the option. The virtual host of each has it:
// there it says that there is TLS.
lws_context* create_context(lws_context_creation_info info) {
  static std::mutex creating;
  static bool tls_begun = false;
  std::lock_guard lock(creating);
  static const bool log_set = [] {
    lws_set_log_level(LLL_ERR | LLL_WARN, forward_log);
    return true;
  }();
  (void)log_set;
  struct sigaction host_action {};
  const bool known = sigaction(SIGPIPE, nullptr, &host_action) == 0;
  info.options = LWS_SERVER_OPTION_EXPLICIT_VHOSTS;
  if (!tls_begun) info.options |= LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
  lws_context* context = lws_create_context(&info);
  if (known) sigaction(SIGPIPE, &host_action, nullptr);
  if (context == nullptr) return nullptr;
  tls_begun = true;
  info.options = LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
  if (lws_create_vhost(context, &info) != nullptr) return context;
  lws_context_destroy(context);
  return nullptr;
}

}  // namespace

LwsLogScope::LwsLogScope(Log& log) : outer_(std::exchange(calling_log, &log)) {}
LwsLogScope::~LwsLogScope() { calling_log = outer_; }

lws_protocols lws_protocol(lws_callback_function* on_event) {
  return {kLwsProtocolName, on_event, 0, limits::kUpgradeRequestBytesMax, 0, nullptr, 0};
}

lws_context* create_lws_context(const lws_protocols* protocols, ssl_ctx_st* tls,
                                std::chrono::milliseconds connect_timeout, void* user) {
  lws_context_creation_info info{};
  info.port = CONTEXT_PORT_NO_LISTEN;
  info.protocols = protocols;
  info.provided_client_ssl_ctx = tls;
  info.gid = -1;
  info.uid = -1;
  info.user = user;
  info.fd_limit_per_thread = limits::kTransportDescriptorsMax;
  info.max_http_header_data2 = limits::kUpgradeAnswerBytesMax;
  info.pt_serv_buf_size = limits::kUpgradeRequestBytesMax;
  // An address that is empty, not absent: else http_proxy of the environment would be used.
  info.http_proxy_address = "";
  // The library's own timeouts come after ours, which know what was awaited.
  const auto timeout = std::chrono::ceil<std::chrono::seconds>(connect_timeout).count() + 5;
  info.timeout_secs = static_cast<unsigned>(timeout);
  info.connect_timeout_secs = static_cast<unsigned>(timeout);
  return create_context(info);
}

}  // namespace chatsdk
