// SPDX-License-Identifier: Apache-2.0
#include "transport/lws_transport.h"

#include <libwebsockets.h>
#include <pthread.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <condition_variable>
#include <csignal>
#include <deque>
#include <map>
#include <mutex>
#include <string_view>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

#include "transport/sigpipe_scope.h"
#include "transport/tls_checks.h"
#include "transport/url.h"

namespace chatsdk {

namespace {

constexpr const char* kArea = "ws";
constexpr unsigned kServiceBufferBytes = 16'384;  // of one read, and of the whole upgrade request
constexpr unsigned kHeaderBytesMax = 8'192;       // of the server's answer to the upgrade
constexpr unsigned kDescriptorsMax = 64;          // of one context; tables are small only when it is given
constexpr std::size_t kServicesPerDrive = 16;
constexpr std::chrono::milliseconds kLeastShare{1};  // of the time to connect, for one address

// The log of libwebsockets is one per process, so each line goes to whoever is inside a call on this thread.
thread_local Log* calling_log = nullptr;

void forward_log(int, const char* line) {
  if (calling_log == nullptr || !calling_log->enabled(LogLevel::kDebug)) return;
  std::string_view text(line);
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.remove_suffix(1);
  calling_log->write(LogLevel::kDebug, kArea, text);
}

class LogScope {
 public:
  explicit LogScope(Log& log) : outer_(std::exchange(calling_log, &log)) {}
  ~LogScope() { calling_log = outer_; }
  LogScope(const LogScope&) = delete;
  LogScope& operator=(const LogScope&) = delete;

 private:
  Log* outer_;
};

// lws_create_context() changes two things of the whole process: the log sink, which is set once here, and the handling
// of SIGPIPE, which belongs to the host and is put back.
lws_context* create_context(const lws_context_creation_info& info) {
  static std::mutex creating;
  std::lock_guard lock(creating);
  static const bool log_set = [] {
    lws_set_log_level(LLL_ERR | LLL_WARN, forward_log);
    return true;
  }();
  (void)log_set;
  struct sigaction host_action {};
  const bool known = sigaction(SIGPIPE, nullptr, &host_action) == 0;
  lws_context* context = lws_create_context(&info);
  if (known) sigaction(SIGPIPE, &host_action, nullptr);
  return context;
}

struct Liveness {
  bool alive = true;  // read and written on the engine's turns only
};

struct Connection;

struct Deadline {
  lws_sorted_usec_list_t timer;  // first, so that the timer's address is the deadline's
  Connection* connection;
  void* service;
};

struct Connection {
  Transport::ConnectionId id = 0;
  Url url;
  std::string authority;
  std::string subprotocol;
  std::string bearer_token;

  // The engine's side.
  Transport::Handler* handler = nullptr;
  bool ended = false;  // on_closed has run
  bool muted = false;  // abort() was called: only on_closed may follow

  // Between the two sides, under the service's mutex.
  std::size_t send_buffered = 0;
  bool send_full = false;
  std::size_t inbound_posted = 0;
  bool reading_stopped = false;

  // The service's side.
  lws* wsi = nullptr;
  Resolver::Ticket look_up;
  std::vector<std::string> addresses;  // to try, the next one first
  MonotonicTime give_up_at{};          // when the time to connect is over
  bool reached = false;                // an address has answered: no other is tried
  bool between_addresses = false;      // one has failed, the next one is to be tried in another turn
  bool opened = false;
  bool finished = false;
  bool close_requested = false;
  bool failing = false;  // what still comes is dropped
  std::uint16_t close_code_wanted = 1000;
  std::deque<Bytes> unsent;
  std::size_t being_written = 0;
  Bytes incoming;
  CloseInfo outcome{1006, {Code::kOk, {}, {}}, 0};
  std::string tls_refusal;
  Deadline deadline{};

  void blame(Code code, std::string detail) {
    if (outcome.error.code == Code::kOk) outcome.error = error(code, std::move(detail));
  }
};

using ConnectionRef = std::shared_ptr<Connection>;  // the engine's map, the service's map and posted tasks hold it

struct OpenCommand {};
struct ResolvedCommand {
  Result<std::vector<std::string>> addresses;
};
struct NextAddressCommand {};
struct SendCommand {
  Bytes frame;
};
struct CloseCommand {
  std::uint16_t close_code;
};
struct AbortCommand {};
struct ReadCommand {};
using Action = std::variant<OpenCommand, ResolvedCommand, NextAddressCommand, SendCommand, CloseCommand, AbortCommand,
                            ReadCommand>;
struct Command {
  ConnectionRef connection;
  Action action;
};

Error refusal_of(int status, std::chrono::milliseconds retry_after) {
  const std::string detail = "upgrade refused with status " + std::to_string(status);
  Code code = Code::kProtocol;
  if (status == 401) {
    code = Code::kUnauthenticated;
  } else if (status == 403) {
    code = Code::kForbidden;
  } else if (status == 429) {
    code = Code::kRateLimited;
  } else if (status == 503) {
    code = Code::kUnavailable;
  } else if (status >= 500) {
    code = Code::kServer;
  }
  return Error{code, detail, retry_after};
}

// Only the form in seconds (RFC 9110 section 10.2.3); a date would need the server's clock.
std::chrono::milliseconds retry_after_of(lws* wsi) {
  char text[16] = {};
  const int length = lws_hdr_copy(wsi, text, sizeof text, WSI_TOKEN_HTTP_RETRY_AFTER);
  std::int64_t seconds = 0;
  if (length <= 0) return {};
  const auto parsed = std::from_chars(text, text + length, seconds);
  if (parsed.ec != std::errc() || parsed.ptr != text + length || seconds < 0) return {};
  return std::min<std::chrono::milliseconds>(std::chrono::seconds(std::min<std::int64_t>(seconds, 1'000'000)),
                                             limits::kRetryAfterMax);
}

}  // namespace

// Everything behind the public face. The first group of functions runs on the engine's turns, the second wherever the
// context is served: on the own thread, or inside drive().
class LwsTransport::Service {
 public:
  Service(Executor& engine, LwsOptions options, Log& log)
      : engine_(engine),
        options_(std::move(options)),
        log_(log),
        resolver_(options_.resolver ? options_.resolver : std::make_shared<Resolver>()) {}
  ~Service() {
    liveness_->alive = false;
    shutdown();
  }
  Service(const Service&) = delete;
  Service& operator=(const Service&) = delete;

  // ---- The engine's side ----

  ConnectionId open(const ConnectRequest& request, Handler& handler) {
    auto connection = std::make_shared<Connection>();
    connection->id = ++last_id_;
    connection->handler = &handler;
    live_.emplace(connection->id, connection);

    Result<Url> url = parse_url(request.url);
    if (url.ok() && url->scheme != "ws" && url->scheme != "wss")
      url = error(Code::kInvalidArgument, "url: not ws or wss");
    if (url.ok() && (!is_header_value(request.bearer_token) || !is_header_value(request.subprotocol))) {
      url = error(Code::kInvalidArgument, "a header value has a control character");
    }
    if (!url.ok()) {
      connection->outcome.error = url.error();
      report_closed(connection);
      return connection->id;
    }
    connection->url = *std::move(url);
    connection->authority = connection->url.authority();
    connection->subprotocol = request.subprotocol;
    connection->bearer_token = request.bearer_token;
    start();
    enqueue({connection, OpenCommand{}});
    return connection->id;
  }

  bool send(ConnectionId id, Bytes frame) {
    const ConnectionRef connection = find(id);
    if (!connection) return true;
    bool full = false;
    {
      std::lock_guard lock(mutex_);
      connection->send_buffered += frame.size();
      full = connection->send_buffered > options_.send_buffer_bytes_max;
      if (full) connection->send_full = true;
    }
    enqueue({connection, SendCommand{std::move(frame)}});
    return !full;
  }

  void close(ConnectionId id, std::uint16_t close_code) {
    if (const ConnectionRef connection = find(id)) enqueue({connection, CloseCommand{close_code}});
  }

  void abort(ConnectionId id) {
    const ConnectionRef connection = find(id);
    if (!connection) return;
    connection->muted = true;
    enqueue({connection, AbortCommand{}});
  }

  void drive() {
    if (options_.own_thread || (context_ == nullptr && !commands_waiting())) return;
    const LogScope log_scope(log_);
    const SigpipeScope sigpipe_scope;
    make_context();
    for (std::size_t i = 0; i < kServicesPerDrive; ++i) {
      events_ = 0;
      run_commands();
      if (context_ == nullptr) return;
      lws_service(context_, -1);
      if (events_ == 0) return;
    }
  }

  void shutdown() {
    {
      std::lock_guard lock(mutex_);
      stopping_ = true;
      if (context_ != nullptr && thread_.joinable()) lws_cancel_service(context_);
    }
    work_.notify_one();
    if (thread_.joinable()) {
      thread_.join();
    } else {
      const LogScope log_scope(log_);
      const SigpipeScope sigpipe_scope;
      end_context();
    }
    stopping_ = false;
  }

 private:
  ConnectionRef find(ConnectionId id) {
    const auto found = live_.find(id);
    return found == live_.end() || found->second->muted ? nullptr : found->second;
  }

  void start() {
    if (!options_.own_thread || thread_.joinable()) return;
    thread_ = std::thread([this] { run(); });
  }

  void enqueue(Command command) {
    std::lock_guard lock(mutex_);
    commands_.push_back(std::move(command));
    work_.notify_one();
    if (commands_.size() == 1 && context_ != nullptr && options_.own_thread) lws_cancel_service(context_);
  }

  bool commands_waiting() {
    std::lock_guard lock(mutex_);
    return !commands_.empty();
  }

  // Runs task(handler) on a turn of the engine, unless the connection or the transport has ended by then.
  template <typename Call>
  void tell(const ConnectionRef& connection, Call call) {
    engine_.post([liveness = liveness_, connection, call = std::move(call)]() mutable {
      if (!liveness->alive || connection->ended || connection->muted) return;
      call(*connection->handler);
    });
  }

  void report_closed(const ConnectionRef& connection) {
    engine_.post([this, liveness = liveness_, connection] {
      if (!liveness->alive || connection->ended) return;
      connection->ended = true;
      live_.erase(connection->id);
      connection->handler->on_closed(connection->id, connection->outcome);
    });
  }

  // ---- The service's side ----

  void run() {
#if defined(__linux__)
    pthread_setname_np(pthread_self(), "chatsdk-ws");
#endif
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, nullptr);  // the host's signal handlers do not run here
    const LogScope log_scope(log_);
    make_context();
    while (!should_stop()) {
      run_commands();
      if (context_ != nullptr) {
        lws_service(context_, 0);
      } else {
        // Every connection fails at once; the owner may give up or try on.
        std::unique_lock lock(mutex_);
        work_.wait(lock, [this] { return stopping_ || !commands_.empty(); });
      }
    }
    end_context();
  }

  bool should_stop() {
    std::lock_guard lock(mutex_);
    return stopping_;
  }

  void make_context() {
    if (context_ != nullptr) return;
    tls_ = tls::new_client_context();
    roots_loaded_ = false;
    if (!tls_) return;
    protocols_[0] = {"chatsdk", &Service::on_event, 0, kServiceBufferBytes, 0, nullptr, 0};
    protocols_[1] = {};

    lws_context_creation_info info{};
    info.port = CONTEXT_PORT_NO_LISTEN;
    info.protocols = protocols_;
    info.options = LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
    info.provided_client_ssl_ctx = tls_.get();
    info.gid = -1;
    info.uid = -1;
    info.user = this;
    info.fd_limit_per_thread = kDescriptorsMax;
    info.max_http_header_data2 = kHeaderBytesMax;
    info.pt_serv_buf_size = kServiceBufferBytes;
    // An address that is empty, not absent: else http_proxy of the environment would be used.
    info.http_proxy_address = "";
    // The library's own timeouts come after ours, which know what was awaited.
    const auto timeout = std::chrono::ceil<std::chrono::seconds>(options_.connect_timeout).count() + 5;
    info.timeout_secs = static_cast<unsigned>(timeout);
    info.connect_timeout_secs = static_cast<unsigned>(timeout);

    lws_context* context = create_context(info);
    std::lock_guard lock(mutex_);
    context_ = context;
  }

  void end_context() {
    run_commands_for_the_last_time();
    for (auto& [id, connection] : served_) connection->blame(Code::kClosed, "the transport was shut down");
    lws_context* context = nullptr;
    {
      std::lock_guard lock(mutex_);
      context = std::exchange(context_, nullptr);
    }
    if (context != nullptr) {
      for (auto& [id, connection] : served_) disarm(context, *connection);
      lws_context_destroy(context);
    }
    while (!served_.empty()) finish(served_.begin()->second);
    tls_.reset();
  }

  void run_commands() {
    std::vector<Command> commands;
    {
      std::lock_guard lock(mutex_);
      commands.swap(commands_);
    }
    for (Command& command : commands) {
      ++events_;
      std::visit([&](auto& action) { execute(command.connection, action); }, command.action);
    }
  }

  // What was asked for after the last turn of service still gets its on_closed.
  void run_commands_for_the_last_time() {
    std::lock_guard lock(mutex_);
    for (Command& command : commands_) {
      if (std::holds_alternative<OpenCommand>(command.action))
        served_.emplace(command.connection->id, command.connection);
    }
    commands_.clear();
  }

  void execute(const ConnectionRef& connection, OpenCommand&) {
    served_.emplace(connection->id, connection);
    if (context_ == nullptr) {
      connection->blame(Code::kInternal, "no WebSocket context");
      return finish(connection);
    }
    if (connection->url.secure && !roots_loaded_) {
      if (const Status loaded = tls::load_roots(tls_.get(), options_.ca_file); !loaded.ok()) {
        connection->blame(loaded.code(), loaded.error().detail);
        return finish(connection);
      }
      roots_loaded_ = true;
    }

    connection->give_up_at = clock_.monotonic_now() + options_.connect_timeout;
    const std::string& host = connection->url.host;
    if (is_address(host)) {
      connection->addresses = {host};
      return connect(connection);
    }
    arm(*connection, options_.connect_timeout);
    connection->look_up = resolver_->resolve(host, [this, connection](Result<std::vector<std::string>> addresses) {
      enqueue({connection, ResolvedCommand{std::move(addresses)}});
    });
  }

  void execute(const ConnectionRef& connection, ResolvedCommand& command) {
    if (connection->finished) return;
    connection->look_up.reset();
    if (!command.addresses.ok()) {
      connection->blame(command.addresses.code(), command.addresses.error().detail);
      return finish(connection);
    }
    connection->addresses = *std::move(command.addresses);
    connect(connection);
  }

  void execute(const ConnectionRef& connection, NextAddressCommand&) {
    connection->between_addresses = false;
    if (!connection->finished) connect(connection);
  }

  // Tries the next address. Each gets its share of the time that is left, so that a silent one leaves time to the rest.
  void connect(const ConnectionRef& connection) {
    const std::string address = connection->addresses.front();
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(connection->give_up_at - clock_.monotonic_now());
    const auto share = left / static_cast<std::int64_t>(connection->addresses.size());
    arm(*connection, std::max<std::chrono::milliseconds>(share, kLeastShare));
    connection->addresses.erase(connection->addresses.begin());

    lws_client_connect_info info{};
    info.context = context_;
    info.address = address.c_str();
    info.port = connection->url.port;
    info.path = connection->url.target.c_str();
    info.host = connection->authority.c_str();
    info.protocol = connection->subprotocol.c_str();
    info.local_protocol_name = protocols_[0].name;
    info.ssl_connection = LCCSCF_HTTP_NO_FOLLOW_REDIRECT | (connection->url.secure ? LCCSCF_USE_SSL : 0);
    info.alpn = "http/1.1";
    info.ietf_version_or_minus_one = -1;
    info.opaque_user_data = connection.get();
    static const lws_retry_bo_t no_pings{};  // the engine has pings of its own
    info.retry_and_idle_policy = &no_pings;
    lws* wsi = lws_client_connect_via_info(&info);
    if (connection->finished || connection->between_addresses) return;
    connection->wsi = wsi;
    if (wsi == nullptr && !try_next_address(*connection)) {
      connection->blame(Code::kNetwork, "cannot reach the host");
      finish(connection);
    }
  }

  // False: there is none left, or the connection ends for another reason than its address.
  bool try_next_address(Connection& connection) {
    if (connection.addresses.empty() || connection.reached || connection.outcome.error.code != Code::kOk) return false;
    if (connection.wsi != nullptr) lws_set_opaque_user_data(connection.wsi, nullptr);
    connection.wsi = nullptr;
    connection.between_addresses = true;
    disarm(context_, connection);
    enqueue({served_.at(connection.id), NextAddressCommand{}});
    return true;
  }

  void execute(const ConnectionRef& connection, SendCommand& command) {
    if (connection->finished || connection->failing) return;
    connection->unsent.push_back(std::move(command.frame));
    if (connection->opened) lws_callback_on_writable(connection->wsi);
  }

  void execute(const ConnectionRef& connection, CloseCommand& command) {
    if (connection->finished || connection->close_requested) return;
    if (!connection->opened) {
      connection->blame(Code::kClosed, "closed before the upgrade");
      return end_early(connection);
    }
    connection->close_requested = true;
    connection->close_code_wanted = command.close_code;
    arm(*connection, options_.close_timeout);
    lws_callback_on_writable(connection->wsi);
  }

  void execute(const ConnectionRef& connection, AbortCommand&) {
    if (connection->finished) return;
    connection->blame(Code::kClosed, "aborted");
    end_early(connection);
  }

  void execute(const ConnectionRef& connection, ReadCommand&) {
    if (connection->finished || !connection->opened) return;
    lws_rx_flow_control(connection->wsi, 1);
  }

  void arm(Connection& connection, std::chrono::milliseconds delay) {
    connection.deadline.connection = &connection;
    connection.deadline.service = this;
    lws_sul_schedule(context_, 0, &connection.deadline.timer, &Service::on_deadline,
                     std::chrono::duration_cast<std::chrono::microseconds>(delay).count());
  }

  static void disarm(lws_context* context, Connection& connection) {
    lws_sul_schedule(context, 0, &connection.deadline.timer, nullptr, LWS_SET_TIMER_USEC_CANCEL);
  }

  static void on_deadline(lws_sorted_usec_list_t* timer) {
    const Deadline& deadline = *reinterpret_cast<Deadline*>(timer);
    Connection& connection = *deadline.connection;
    auto& service = *static_cast<Service*>(deadline.service);
    const MonotonicTime now = service.clock_.monotonic_now();
    if (connection.opened) {
      connection.blame(Code::kClosed, "the closing handshake was not answered");
    } else if (connection.reached && now < connection.give_up_at) {
      // The address that answered has all the time that is left.
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(connection.give_up_at - now);
      return service.arm(connection, left);
    } else if (connection.reached || connection.addresses.empty()) {
      const bool unresolved = connection.wsi == nullptr;
      connection.blame(Code::kNetwork, unresolved ? "the host's name was not resolved within the time limit"
                                                  : "no connection within the time limit");
    }
    service.end_early(service.served_.at(connection.id));
  }

  // Ends a connection that may not have a socket yet.
  void end_early(ConnectionRef connection) {
    if (connection->wsi != nullptr) return kill(*connection);
    finish(std::move(connection));
  }

  // The connection ends on the next turn of service, with one of the last callbacks.
  static void kill(Connection& connection) {
    if (connection.wsi != nullptr) lws_set_timeout(connection.wsi, PENDING_TIMEOUT_USER_OK, LWS_TO_KILL_ASYNC);
  }

  // The one end of every connection that was served. A second call does nothing.
  void finish(ConnectionRef connection) {
    if (connection->finished) return;
    connection->finished = true;
    connection->look_up.reset();
    if (context_ != nullptr) disarm(context_, *connection);
    if (connection->wsi != nullptr) lws_set_opaque_user_data(connection->wsi, nullptr);
    connection->wsi = nullptr;
    connection->unsent.clear();
    connection->incoming = {};
    served_.erase(connection->id);
    connection->blame(Code::kNetwork, "the connection was lost");
    if (log_.enabled(LogLevel::kInfo)) {
      log_.write(LogLevel::kInfo, kArea,
                 "connection " + std::to_string(connection->id) +
                     " closed: " + std::string(code_name(connection->outcome.error.code)) + ", code " +
                     std::to_string(connection->outcome.close_code) + ", " + connection->outcome.error.detail);
    }
    report_closed(connection);
  }

  // Ends the connection for something the peer did. The close leaves from the next writable callback: an error returned
  // from the receive callback of libwebsockets 4.1.6 in the middle of a frame leaves its read position where it is, and
  // what the peer sends next is written past the end of its buffer.
  int fail(Connection& connection, std::uint16_t close_code, Code code, std::string detail) {
    connection.blame(code, std::move(detail));
    connection.outcome.close_code = close_code;
    connection.failing = true;
    connection.close_requested = true;
    connection.close_code_wanted = close_code;
    connection.unsent.clear();
    connection.incoming = {};
    arm(connection, options_.close_timeout);
    lws_callback_on_writable(connection.wsi);
    return 0;
  }

  static int on_event(lws* wsi, lws_callback_reasons reason, void* user, void* in, std::size_t length) {
    auto* connection = static_cast<Connection*>(lws_get_opaque_user_data(wsi));
    if (reason == LWS_CALLBACK_OPENSSL_PERFORM_SERVER_CERT_VERIFICATION) {
      // This one passes (store context, SSL, verdict so far) as (user, in, length). Without a connection: refuse.
      if (connection == nullptr) return 1;
      connection->reached = true;
      connection->tls_refusal = tls::judge(static_cast<x509_store_ctx_st*>(user), length != 0, connection->url.host);
      return connection->tls_refusal.empty() ? 0 : 1;
    }
    if (connection == nullptr) return 0;
    auto* service = static_cast<Service*>(lws_context_user(lws_get_context(wsi)));
    ++service->events_;
    return service->handle(wsi, reason, *connection, in, length);
  }

  int handle(lws* wsi, lws_callback_reasons reason, Connection& connection, void* in, std::size_t length) {
    switch (reason) {
      case LWS_CALLBACK_CLIENT_APPEND_HANDSHAKE_HEADER:
        connection.reached = true;
        return append_token(wsi, connection, in, length);
      case LWS_CALLBACK_ESTABLISHED_CLIENT_HTTP:
        return judge_answer(wsi, connection);
      case LWS_CALLBACK_CLIENT_FILTER_PRE_ESTABLISH:
        return judge_subprotocol(wsi, connection);
      case LWS_CALLBACK_CLIENT_ESTABLISHED:
        return opened(wsi, connection);
      case LWS_CALLBACK_CLIENT_RECEIVE:
        return received(wsi, connection, {static_cast<const char*>(in), length});
      case LWS_CALLBACK_CLIENT_WRITEABLE:
        return write_next(wsi, connection);
      case LWS_CALLBACK_WS_PEER_INITIATED_CLOSE:
        return peer_closes(connection, {static_cast<const char*>(in), length});
      case LWS_CALLBACK_CLIENT_CONNECTION_ERROR:
        if (!is_handshake_text({static_cast<const char*>(in), in == nullptr ? 0 : length}, connection) &&
            try_next_address(connection)) {
          return 0;
        }
        explain_failure(connection, {static_cast<const char*>(in), in == nullptr ? 0 : length});
        finish(served_.at(connection.id));
        return 0;
      case LWS_CALLBACK_CLIENT_CLOSED:
      case LWS_CALLBACK_CLOSED_CLIENT_HTTP:
        if (!connection.opened && try_next_address(connection)) return 0;
        explain_end(wsi, connection);
        finish(served_.at(connection.id));
        return 0;
      case LWS_CALLBACK_WSI_DESTROY:
        if (!connection.opened && try_next_address(connection)) return 0;
        finish(served_.at(connection.id));
        return 0;
      default:
        return 0;
    }
  }

  static int append_token(lws* wsi, const Connection& connection, void* in, std::size_t room) {
    if (connection.bearer_token.empty()) return 0;
    auto** position = static_cast<unsigned char**>(in);
    const std::string value = "Bearer " + connection.bearer_token;
    return lws_add_http_header_by_name(wsi, reinterpret_cast<const unsigned char*>("Authorization:"),
                                       reinterpret_cast<const unsigned char*>(value.data()),
                                       static_cast<int>(value.size()), position, *position + room);
  }

  static int judge_answer(lws* wsi, Connection& connection) {
    const int status = static_cast<int>(lws_http_client_http_response(wsi));
    if (status == 101) return 0;
    connection.outcome.http_status = status;
    if (connection.outcome.error.code == Code::kOk) connection.outcome.error = refusal_of(status, retry_after_of(wsi));
    return -1;
  }

  // libwebsockets lets an answer without any subprotocol pass.
  static int judge_subprotocol(lws* wsi, Connection& connection) {
    char chosen[128] = {};
    const int length = lws_hdr_copy(wsi, chosen, sizeof chosen, WSI_TOKEN_PROTOCOL);
    if (length > 0 && std::string_view(chosen, static_cast<std::size_t>(length)) == connection.subprotocol) return 0;
    connection.blame(Code::kProtocol, "the server did not choose the subprotocol asked for");
    return -1;
  }

  int opened(lws* wsi, Connection& connection) {
    connection.wsi = wsi;
    connection.opened = true;
    std::fill(connection.bearer_token.begin(), connection.bearer_token.end(), '\0');
    connection.bearer_token.clear();
    disarm(context_, connection);
    tell(served_.at(connection.id), [id = connection.id](Handler& handler) { handler.on_open(id); });
    if (!connection.unsent.empty()) lws_callback_on_writable(wsi);
    return 0;
  }

  int received(lws* wsi, Connection& connection, BytesView part) {
    if (connection.failing) return 0;
    if (lws_frame_is_binary(wsi) == 0) return fail(connection, 1003, Code::kProtocol, "the server sent a text message");
    const std::size_t announced = connection.incoming.size() + part.size() + lws_remaining_packet_payload(wsi);
    if (announced > options_.inbound_frame_bytes_max) {
      return fail(connection, 1009, Code::kTooLarge,
                  "frame " + std::to_string(announced) + " B, limit " +
                      std::to_string(options_.inbound_frame_bytes_max) + " B");
    }
    connection.incoming.append(part);
    if (lws_is_final_fragment(wsi) != 0) deliver(wsi, connection, std::exchange(connection.incoming, {}));
    return 0;
  }

  void deliver(lws* wsi, Connection& connection, Bytes frame) {
    const std::size_t size = frame.size();
    bool stop = false;
    {
      std::lock_guard lock(mutex_);
      connection.inbound_posted += size;
      stop = !connection.reading_stopped && connection.inbound_posted > limits::kInboundBufferBytesMax;
      if (stop) connection.reading_stopped = true;
    }
    if (stop) lws_rx_flow_control(wsi, 0);
    engine_.post([this, liveness = liveness_, taker = served_.at(connection.id), frame = std::move(frame)]() mutable {
      if (!liveness->alive) return;
      taken(taker, frame.size());
      if (taker->ended || taker->muted) return;
      taker->handler->on_frame(taker->id, std::move(frame));
    });
  }

  // On the engine's turn.
  void taken(const ConnectionRef& connection, std::size_t size) {
    bool resume = false;
    {
      std::lock_guard lock(mutex_);
      connection->inbound_posted -= size;
      resume = connection->reading_stopped && connection->inbound_posted < limits::kInboundBufferBytesMax / 2;
      if (resume) connection->reading_stopped = false;
    }
    if (resume) enqueue({connection, ReadCommand{}});
  }

  int write_next(lws* wsi, Connection& connection) {
    note_written(connection);
    if (connection.unsent.empty()) {
      if (!connection.close_requested) return 0;
      lws_close_reason(wsi, static_cast<lws_close_status>(connection.close_code_wanted), nullptr, 0);
      return -1;
    }
    const Bytes frame = std::move(connection.unsent.front());
    connection.unsent.pop_front();
    // The header and the mask are written in front of the payload and over it.
    Bytes buffer(LWS_PRE, '\0');
    buffer += frame;
    auto* payload = reinterpret_cast<unsigned char*>(buffer.data()) + LWS_PRE;
    connection.being_written = frame.size();
    if (lws_write(wsi, payload, frame.size(), LWS_WRITE_BINARY) < static_cast<int>(frame.size())) return -1;
    lws_callback_on_writable(wsi);
    return 0;
  }

  // libwebsockets calls back only when it has nothing left of the frame before.
  void note_written(Connection& connection) {
    if (connection.being_written == 0) return;
    bool drained = false;
    {
      std::lock_guard lock(mutex_);
      connection.send_buffered -= std::exchange(connection.being_written, 0);
      drained = connection.send_full && connection.send_buffered < options_.send_buffer_bytes_max / 2;
      if (drained) connection.send_full = false;
    }
    if (drained) tell(served_.at(connection.id), [id = connection.id](Handler& handler) { handler.on_writable(id); });
  }

  int peer_closes(Connection& connection, BytesView payload) {
    std::uint16_t code = 1005;  // a close frame without a code
    if (payload.size() >= 2) {
      code = static_cast<std::uint16_t>((static_cast<unsigned char>(payload[0]) << 8) |
                                        static_cast<unsigned char>(payload[1]));
    }
    connection.outcome.close_code = code;
    connection.blame(Code::kClosed, "closed by the server with code " + std::to_string(code));
    arm(connection, options_.close_timeout);
    return 0;
  }

  // The text is libwebsockets' own; every text of a failed SSL_connect() begins with "connect ".
  static bool is_handshake_text(std::string_view text, const Connection& connection) {
    return connection.url.secure && text.substr(0, 8) == "connect ";
  }

  static void explain_failure(Connection& connection, std::string_view text) {
    bool peer_left = false;
    const std::string reason = tls::take_handshake_failure(&peer_left);
    if (!connection.tls_refusal.empty())
      return connection.blame(Code::kTls, "certificate refused: " + connection.tls_refusal);
    const bool in_handshake = is_handshake_text(text, connection);
    if (in_handshake && !peer_left && text.substr(0, 15) != "connect SYSCALL") {
      return connection.blame(Code::kTls, "handshake failed: " + (reason.empty() ? std::string(text) : reason));
    }
    if (in_handshake) return connection.blame(Code::kNetwork, "the connection ended during the TLS handshake");
    connection.blame(text.substr(0, 3) == "HS:" ? Code::kProtocol : Code::kNetwork, "connecting: " + std::string(text));
  }

  // An end that nobody gave a reason for: the peer or the network when the stream is over, else libwebsockets itself,
  // which closes without a word when a frame breaks RFC 6455.
  static void explain_end(lws* wsi, Connection& connection) {
    if (connection.close_requested && connection.outcome.error.code == Code::kOk) {
      connection.outcome.close_code = connection.close_code_wanted;
      return connection.blame(Code::kClosed, "closed by this side");
    }
    if (connection.opened && connection.outcome.error.code == Code::kOk && !stream_is_over(wsi)) {
      connection.outcome.close_code = 1002;
      connection.blame(Code::kProtocol, "the server broke the WebSocket protocol");
    }
  }

  static bool stream_is_over(lws* wsi) {
    if (tls::peer_has_closed(lws_get_ssl(wsi))) return true;
    char byte = 0;
    const ssize_t got = recv(lws_get_socket_fd(wsi), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return got == 0 || (got < 0 && errno != EAGAIN && errno != EWOULDBLOCK);
  }

  Executor& engine_;
  const LwsOptions options_;
  Log& log_;
  const SystemClock clock_;
  const std::shared_ptr<Resolver> resolver_;

  // The engine's side.
  std::shared_ptr<Liveness> liveness_ = std::make_shared<Liveness>();  // shared with posted tasks
  std::map<ConnectionId, ConnectionRef> live_;                         // on_closed has not run
  ConnectionId last_id_ = 0;
  std::thread thread_;

  // Between the two sides.
  std::mutex mutex_;
  std::condition_variable work_;  // awaited only while there is no context
  std::vector<Command> commands_;
  bool stopping_ = false;
  lws_context* context_ = nullptr;  // written by the service's side under the mutex

  // The service's side.
  std::map<ConnectionId, ConnectionRef> served_;
  tls::Context tls_;
  bool roots_loaded_ = false;
  lws_protocols protocols_[2] = {};
  std::size_t events_ = 0;
};

LwsTransport::LwsTransport(Executor& engine, LwsOptions options, Log& log)
    : service_(std::make_unique<Service>(engine, std::move(options), log)) {}
LwsTransport::~LwsTransport() = default;

Transport::ConnectionId LwsTransport::open(const ConnectRequest& request, Handler& handler) {
  return service_->open(request, handler);
}
bool LwsTransport::send(ConnectionId connection, Bytes frame) { return service_->send(connection, std::move(frame)); }
void LwsTransport::close(ConnectionId connection, std::uint16_t close_code) { service_->close(connection, close_code); }
void LwsTransport::abort(ConnectionId connection) { service_->abort(connection); }
void LwsTransport::drive() { service_->drive(); }
void LwsTransport::shutdown() { service_->shutdown(); }

}  // namespace chatsdk
