// SPDX-License-Identifier: Apache-2.0
#include "transport/lws_transport.h"

#include <libwebsockets.h>
#include <pthread.h>

#include <condition_variable>
#include <csignal>
#include <map>
#include <mutex>
#include <new>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "transport/liveness.h"
#include "transport/lws_connection.h"
#include "transport/lws_library.h"
#include "transport/lws_tls.h"
#include "transport/sigpipe_scope.h"

namespace chatsdk {

namespace {

constexpr std::size_t kServicesPerDrive = 16;

}  // namespace

// Everything behind the public face. The first group of functions runs on the engine's turns, the second wherever the
// context is served: on the own thread, or inside drive().
class LwsTransport::Service final : public LwsConnection::Host {
 public:
  Service(Executor& engine, LwsOptions options, Log& log)
      : engine_(engine),
        options_(std::move(options)),
        log_(log),
        resolver_(options_.resolver ? options_.resolver : std::make_shared<Resolver>()) {}
  ~Service() override {
    liveness_->alive = false;
    shutdown();
  }
  Service(const Service&) = delete;
  Service& operator=(const Service&) = delete;

  // ---- The engine's side ----

  ConnectionId open(const ConnectRequest& request, Handler& handler) {
    const ConnectionId id = ++last_id_;
    Live& live = live_.emplace(id, Live{&handler, nullptr, false}).first->second;
    Result<LwsTarget> target = lws_target(request);
    if (!target.ok()) {
      report_closed(id, CloseInfo{1006, std::move(target).error(), 0});
      return id;
    }
    live.connection = std::make_shared<LwsConnection>(id, *std::move(target), *this);
    start_thread();
    later(live.connection, [](LwsConnection& connection) { connection.start(); });
    return id;
  }

  bool send(ConnectionId id, Bytes frame) {
    const LwsConnection::Ref connection = find(id);
    if (!connection) return true;
    const bool full = connection->flow().queued(frame.size());
    later(connection, [frame = std::move(frame)](LwsConnection& sending) mutable { sending.send(std::move(frame)); });
    return !full;
  }

  void close(ConnectionId id, std::uint16_t close_code) {
    const LwsConnection::Ref connection = find(id);
    if (connection) later(connection, [close_code](LwsConnection& closing) { closing.close(close_code); });
  }

  void abort(ConnectionId id) {
    const LwsConnection::Ref connection = find(id);
    if (!connection) return;
    later(connection, [](LwsConnection& ending) { ending.abort(); });
    live_.at(id).muted = true;
  }

  void drive() {
    if (options_.own_thread || (context_ == nullptr && !commands_waiting())) return;
    const LwsLogScope log_scope(log_);
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
      const LwsLogScope log_scope(log_);
      const SigpipeScope sigpipe_scope;
      end_context();
    }
    stopping_ = false;
  }

 private:
  // A connection whose on_closed has not run.
  struct Live {
    Handler* handler;
    LwsConnection::Ref connection;  // null: the request was refused
    bool muted;                     // abort() was called: only on_closed may follow
  };
  struct Command {
    LwsConnection::Ref connection;
    LwsConnection::Call call;
  };

  LwsConnection::Ref find(ConnectionId id) {
    const auto found = live_.find(id);
    return found == live_.end() || found->second.muted ? nullptr : found->second.connection;
  }

  Handler* handler_of(ConnectionId id) {
    const auto found = live_.find(id);
    return found == live_.end() || found->second.muted ? nullptr : found->second.handler;
  }

  void start_thread() {
    if (!options_.own_thread || thread_.joinable()) return;
    try {
      thread_ = std::thread([this] { run(); });
    } catch (const std::system_error&) {
      throw std::bad_alloc();  // want of memory, or of what the system counts like it
    }
  }

  bool commands_waiting() {
    std::lock_guard lock(mutex_);
    return !commands_.empty();
  }

  // Runs call(handler) on a turn of the engine, unless the connection or the transport has ended by then.
  template <typename Call>
  void tell(ConnectionId id, Call call) {
    engine_.post([this, liveness = liveness_, id, call = std::move(call)] {
      if (!liveness->alive) return;
      if (Handler* const handler = handler_of(id)) call(*handler);
    });
  }

  void report_closed(ConnectionId id, CloseInfo info) {
    try {
      engine_.post([this, liveness = liveness_, id, info = std::move(info)] {
        if (!liveness->alive) return;
        const auto live = live_.extract(id);
        if (!live.empty()) live.mapped().handler->on_closed(id, info);
      });
    } catch (const std::bad_alloc&) {
      lost();
    }
  }

  // ---- What a connection asks for and says, on the service's side ----

  lws_context* context() override { return context_; }
  const LwsOptions& options() const override { return options_; }
  MonotonicTime now() const override { return clock_.monotonic_now(); }
  Resolver& resolver() override { return *resolver_; }
  Status trust_roots() override { return tls_.trust_roots(options_.ca_file); }

  void later(LwsConnection::Ref connection, LwsConnection::Call call) override {
    std::lock_guard lock(mutex_);
    commands_.push_back({std::move(connection), std::move(call)});
    work_.notify_one();
    if (commands_.size() == 1 && context_ != nullptr && options_.own_thread) lws_cancel_service(context_);
  }

  void opened(LwsConnection& connection) override {
    tell(connection.id(), [id = connection.id()](Handler& handler) { handler.on_open(id); });
  }

  void received(LwsConnection& connection, Bytes bytes) override {
    const std::size_t size = bytes.size();
    auto reading = connection.reader() != nullptr ? connection.reader()(bytes) : nullptr;
    Frame arrived = reading ? Frame(std::move(reading)) : Frame(std::move(bytes));
    engine_.post([this, liveness = liveness_, taken = connection.shared_from_this(), size,
                  frame = std::move(arrived)]() mutable {
      if (!liveness->alive) return;
      if (taken->flow().taken(size)) later(taken, [](LwsConnection& reading_on) { reading_on.read_on(); });
      if (Handler* const handler = handler_of(taken->id())) handler->on_frame(taken->id(), std::move(frame));
    });
  }

  void drained(LwsConnection& connection) override {
    tell(connection.id(), [id = connection.id()](Handler& handler) { handler.on_writable(id); });
  }

  void finished(LwsConnection& connection, const CloseInfo& info) override {
    if (log_.enabled(LogLevel::kInfo)) {
      log_.write(LogLevel::kInfo, "ws",
                 "connection " + std::to_string(connection.id()) +
                     " closed: " + std::string(code_name(info.error.code)) + ", code " +
                     std::to_string(info.close_code) + ", " + info.error.detail);
    }
    served_.erase(connection.id());
    report_closed(connection.id(), info);
  }

  void lost() noexcept override { engine_.lose_turn(); }

  // ---- The service's side ----

  void run() {
    name_this_thread(options_.thread_name);
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, nullptr);  // the host's signal handlers do not run here
    const LwsLogScope log_scope(log_);
    while (!should_stop()) {
      try {
        make_context();
        run_commands();
      } catch (const std::bad_alloc&) {
        lost();
      }
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
    if (context_ != nullptr || !tls_.begin()) return;
    protocols_[0] = lws_protocol(&Service::on_event);
    protocols_[1] = {};
    lws_context* context = create_lws_context(protocols_, tls_.context(), options_.connect_timeout, this);
    std::lock_guard lock(mutex_);
    context_ = context;
  }

  void end_context() {
    // What was asked for after the last turn of service still gets its on_closed.
    for (const Command& command : take_commands()) serve(command.connection);
    for (auto& [id, connection] : served_) connection->blame(Code::kClosed, "the transport was shut down");
    lws_context* context = nullptr;
    {
      std::lock_guard lock(mutex_);
      context = std::exchange(context_, nullptr);
    }
    if (context != nullptr) {
      for (auto& [id, connection] : served_) connection->forget_timer(context);
      lws_context_destroy(context);
    }
    while (!served_.empty()) {
      const LwsConnection::Ref connection = served_.begin()->second;
      served_.erase(served_.begin());
      connection->finish();
    }
    tls_.end();
  }

  std::vector<Command> take_commands() {
    std::lock_guard lock(mutex_);
    return std::exchange(commands_, {});
  }

  void run_commands() {
    for (Command& command : take_commands()) {
      if (!serve(command.connection)) continue;
      ++events_;
      command.call(*command.connection);
    }
  }

  // False: it has finished already.
  bool serve(const LwsConnection::Ref& connection) {
    if (connection->is_finished()) return false;
    served_.try_emplace(connection->id(), connection);
    return true;
  }

  static int on_event(lws* wsi, lws_callback_reasons reason, void* user, void* in, std::size_t length) {
    LwsConnection* const connection = LwsConnection::of(wsi);
    const bool judges = reason == LWS_CALLBACK_OPENSSL_PERFORM_SERVER_CERT_VERIFICATION;
    if (connection == nullptr) return judges ? 1 : 0;  // without a connection: refuse
    // This one passes (store context, SSL, verdict so far) as (user, in, length).
    if (judges) return connection->contain(1, [&] { return connection->accepts_certificate(user, length) ? 0 : 1; });
    ++static_cast<Service*>(lws_context_user(lws_get_context(wsi)))->events_;
    // In the middle of a frame the library takes no error, see LwsConnection::fail().
    const int refusal = reason == LWS_CALLBACK_CLIENT_RECEIVE ? 0 : -1;
    return connection->contain(refusal, [&] { return connection->handle(wsi, reason, in, length); });
  }

  Executor& engine_;
  const LwsOptions options_;
  Log& log_;
  const SystemClock clock_;
  const std::shared_ptr<Resolver> resolver_;

  // The engine's side.
  std::shared_ptr<Liveness> liveness_ = std::make_shared<Liveness>();  // shared with posted tasks
  std::map<ConnectionId, Live> live_;
  ConnectionId last_id_ = 0;
  std::thread thread_;

  // Between the two sides.
  std::mutex mutex_;
  std::condition_variable work_;  // awaited only while there is no context
  std::vector<Command> commands_;
  bool stopping_ = false;
  lws_context* context_ = nullptr;  // written by the service's side under the mutex

  // The service's side.
  std::map<ConnectionId, LwsConnection::Ref> served_;  // started and not finished
  LwsTls tls_;
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
