// SPDX-License-Identifier: Apache-2.0
#include "server-reference/gateway/lws_shard.h"

#include <arpa/inet.h>
#include <libwebsockets.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <utility>

#include "base/assert.h"

namespace chatsdk::server {

namespace {

constexpr const char* kProtocolName = "chatsdk";

// Of TLS 1.2 what has forward secrecy and authenticated encryption; those of TLS 1.3 all have.
constexpr const char* kTls12Suites =
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
    "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";

constexpr double accept_pause_seconds() { return std::chrono::duration<double>(limits::kAcceptPause).count(); }

// libwebsockets keeps process-wide counts and OpenSSL state; contexts are made and destroyed one at a time.
std::mutex& library_mutex() {
  static std::mutex mutex;
  return mutex;
}

// The library says why a context did not start only in its log. One thread creates contexts at a time.
std::string& last_library_error() {
  static thread_local std::string text;
  return text;
}

void keep_library_error(int, const char* line) {
  std::string text(line);
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.pop_back();
  last_library_error() = std::move(text);
}

std::string address_text(const sockaddr_storage& address) {
  char text[INET6_ADDRSTRLEN] = "";
  if (address.ss_family == AF_INET) {
    inet_ntop(AF_INET, &reinterpret_cast<const sockaddr_in&>(address).sin_addr, text, sizeof text);
  } else if (address.ss_family == AF_INET6) {
    const auto& bytes = reinterpret_cast<const sockaddr_in6&>(address).sin6_addr;
    // An IPv4 peer on a socket of both families is the same peer as on one of IPv4.
    if (IN6_IS_ADDR_V4MAPPED(&bytes)) {
      inet_ntop(AF_INET, bytes.s6_addr + 12, text, sizeof text);
    } else {
      inet_ntop(AF_INET6, &bytes, text, sizeof text);
    }
  }
  return text;
}

}  // namespace

// ---- One connection's bytes ----------------------------------------------------------------------------------------

class LwsShard::Connection final : public ServedConnection::Carrier {
 public:
  Connection(LwsShard& shard, ConnectionId id, std::string remote_address, AddressCounts::Key address,
             UnprovenShare share)
      : shard_(shard),
        id_(id),
        address_(address),
        served_(shard.serving_, *this, id, std::move(remote_address), std::move(share)) {}
  ~Connection() override { set_deadline(std::nullopt); }

  // Carrier
  void write(std::span<char> bytes) override {
    if (aborted_) return;
    const int taken = lws_write(wsi_, reinterpret_cast<unsigned char*>(bytes.data()), bytes.size(), LWS_WRITE_RAW);
    if (taken < 0) {
      abort();
      return;
    }
    if (lws_partial_buffered(wsi_) == 0) return;
    choked_ = true;
    unsent_bytes_ = bytes.size();
    apply_reading();
  }
  bool choked() const override { return choked_ || aborted_; }
  std::size_t unsent_bytes() const override { return unsent_bytes_; }
  void flush_later() override {
    if (std::exchange(flush_due_, true)) return;
    shard_.to_flush_.push_back(id_);
  }
  void pause_reading(bool paused) override {
    paused_ = paused;
    apply_reading();
  }
  void end_writing() override {
    if (wsi_ == nullptr || aborted_) return;
    if (SSL* tls = lws_get_ssl(wsi_)) SSL_shutdown(tls);
    ::shutdown(lws_get_socket_fd(wsi_), SHUT_WR);
  }
  void set_deadline(std::optional<std::chrono::milliseconds> after) override {
    if (deadline_ != 0) shard_.cancel(deadline_);
    deadline_ = 0;
    if (!after) return;
    deadline_ = shard_.post_after(*after, [this] {
      deadline_ = 0;
      served_.on_deadline();
    });
  }
  void abort() override {
    if (std::exchange(aborted_, true)) return;
    shard_.to_abort_.push_back(id_);
  }
  HttpService::Respond responder(std::uint32_t request_number) override {
    return [inbox = shard_.inbox_, shard = &shard_, id = id_, request_number](HttpResponse response) {
      inbox->post([shard, id, request_number, answer = std::move(response)]() mutable {
        const auto found = shard->connections_.find(id);
        if (found != shard->connections_.end()) found->second->served_.answer(request_number, std::move(answer));
      });
    };
  }

  // Of the shard.
  void on_bytes(std::span<char> bytes) {
    // The library bounds the time from a TLS handshake to the first byte, and would go on counting.
    if (!std::exchange(heard_, true)) lws_set_timeout(wsi_, NO_PENDING_TIMEOUT, 0);
    served_.on_bytes(bytes);
  }
  void on_writable() {
    if (lws_partial_buffered(wsi_) != 0) return;
    choked_ = false;
    unsent_bytes_ = 0;
    apply_reading();
    flush_later();
  }
  void flush() {
    flush_due_ = false;
    if (!choked()) served_.flush();
  }
  void on_ended() {
    wsi_ = nullptr;
    aborted_ = ended_ = true;
    served_.on_ended();
  }
  bool aborted() const { return aborted_; }
  bool ended() const { return ended_; }
  ConnectionId id() const { return id_; }
  AddressCounts::Key address() const { return address_; }
  lws* wsi() const { return wsi_; }
  void set_wsi(lws* wsi) { wsi_ = wsi; }

 private:
  void apply_reading() {
    const bool stopped = paused_ || choked_;
    if (wsi_ == nullptr || std::exchange(reading_stopped_, stopped) == stopped) return;
    lws_rx_flow_control(wsi_, stopped ? 0 : 1);
  }

  LwsShard& shard_;
  const ConnectionId id_;
  const AddressCounts::Key address_;
  lws* wsi_ = nullptr;
  TimerId deadline_ = 0;
  std::size_t unsent_bytes_ = 0;
  bool choked_ = false;
  bool paused_ = false;
  bool reading_stopped_ = false;
  bool flush_due_ = false;
  bool aborted_ = false;
  bool heard_ = false;
  bool ended_ = false;
  ServedConnection served_;
};

struct LwsShard::Callbacks {
  static int on_library_event(lws* wsi, lws_callback_reasons reason, void*, void* in, size_t count) {
    switch (reason) {
      case LWS_CALLBACK_RAW_ADOPT:
      case LWS_CALLBACK_RAW_RX:
      case LWS_CALLBACK_RAW_WRITEABLE:
      case LWS_CALLBACK_RAW_CLOSE:
        break;
      default:
        return 0;
    }
    auto* connection = static_cast<Connection*>(lws_get_opaque_user_data(wsi));
    auto* shard = static_cast<LwsShard*>(lws_context_user(lws_get_context(wsi)));
    if (connection == nullptr) return 0;
    shard->turn_clock_.refresh();
    switch (reason) {
      case LWS_CALLBACK_RAW_ADOPT:
        connection->set_wsi(wsi);
        return 0;
      case LWS_CALLBACK_RAW_RX:
        // Nothing of this connection is acted on once it is to be cut off.
        if (!connection->aborted()) connection->on_bytes({static_cast<char*>(in), count});
        return 0;
      case LWS_CALLBACK_RAW_WRITEABLE:
        connection->on_writable();
        return 0;
      default:
        shard->on_connection_closed(*connection);
        return 0;
    }
  }
};

// ---- Executor ------------------------------------------------------------------------------------------------------

void LwsShard::Inbox::post(Task task) {
  std::lock_guard lock(mutex);
  if (closed) return;
  tasks.push_back(std::move(task));
  if (!std::exchange(armed, true)) ev_async_send(loop, &wake);
}

void LwsShard::post(Task task) { inbox_->post(std::move(task)); }

Executor::TimerId LwsShard::post_at(MonotonicTime time, Task task) {
  std::lock_guard lock(inbox_->mutex);
  const TimerId id = ++inbox_->last_timer;
  if (inbox_->closed) return id;
  const auto earliest = inbox_->timers.next_time();
  inbox_->timers.add(id, time, std::move(task));
  // The loop looks at the timers before it waits; a post from elsewhere has to make it look again.
  if ((!earliest || time < *earliest) && !std::exchange(inbox_->armed, true)) ev_async_send(loop_, &inbox_->wake);
  return id;
}

bool LwsShard::cancel(TimerId timer) {
  std::lock_guard lock(inbox_->mutex);
  return inbox_->timers.remove(timer);
}

void LwsShard::take_tasks() {
  std::deque<Task> tasks;
  {
    std::lock_guard lock(inbox_->mutex);
    inbox_->armed = false;
    tasks.swap(inbox_->tasks);
  }
  for (Task& task : tasks) {
    turn_clock_.refresh();
    task();
    task = {};
  }
}

void LwsShard::run_due_timers() {
  // Timers that these turns set for now wait for the next round, so that the sockets get theirs.
  const MonotonicTime now = system_clock_.monotonic_now();
  for (;;) {
    Task task;
    {
      std::lock_guard lock(inbox_->mutex);
      task = inbox_->timers.take_due(now);
    }
    if (!task) return;
    turn_clock_.refresh();
    task();
  }
}

void LwsShard::arm_timer() {
  std::optional<MonotonicTime> next;
  {
    std::lock_guard lock(inbox_->mutex);
    next = inbox_->timers.next_time();
  }
  if (next == armed_time_) return;
  ev_timer_stop(loop_, &timer_watcher_);
  armed_time_ = next;
  if (!next) return;
  ev_now_update(loop_);
  const auto delay = std::max(std::chrono::microseconds(0), *next - system_clock_.monotonic_now());
  ev_timer_set(&timer_watcher_, std::chrono::duration<double>(delay).count(), 0.0);
  ev_timer_start(loop_, &timer_watcher_);
}

// ---- The loop ------------------------------------------------------------------------------------------------------

LwsShard::LwsShard(Settings settings, const ServingOptions& options, ServingState& state, Log& log)
    : settings_(std::move(settings)),
      listen_fd_(settings_.listen_fd),
      log_(log),
      turn_clock_(system_clock_),
      serving_{.options = options, .state = state, .log = log, .clock = turn_clock_},
      inbox_(std::make_shared<Inbox>()) {}

Result<std::unique_ptr<LwsShard>> LwsShard::create(Settings settings, const ServingOptions& options,
                                                   ServingState& state, Log& log) {
  std::unique_ptr<LwsShard> shard(new LwsShard(std::move(settings), options, state, log));
  CHATSDK_TRY(shard->create_context());
  return shard;
}

Status LwsShard::create_context() {
  loop_ = ev_loop_new(EVFLAG_AUTO | EVFLAG_NOENV);
  if (loop_ == nullptr) return error(Code::kUnavailable, "libev could not make an event loop");
  inbox_->loop = loop_;

  ev_async_init(&inbox_->wake,
                [](struct ev_loop*, ev_async* watcher, int) { static_cast<LwsShard*>(watcher->data)->take_tasks(); });
  ev_timer_init(
      &timer_watcher_,
      [](struct ev_loop*, ev_timer* watcher, int) {
        auto* shard = static_cast<LwsShard*>(watcher->data);
        shard->armed_time_.reset();
        shard->run_due_timers();
      },
      0.0, 0.0);
  ev_timer_init(
      &accept_pause_,
      [](struct ev_loop* loop, ev_timer* watcher, int) {
        auto* shard = static_cast<LwsShard*>(watcher->data);
        ev_io_start(loop, &shard->accept_watcher_);
        shard->accept_some();
      },
      accept_pause_seconds(), 0.0);
  ev_prepare_init(&end_of_turn_, [](struct ev_loop*, ev_prepare* watcher, int) {
    static_cast<LwsShard*>(watcher->data)->end_of_turn();
  });
  ev_io_init(
      &accept_watcher_,
      [](struct ev_loop*, ev_io* watcher, int) { static_cast<LwsShard*>(watcher->data)->accept_some(); }, listen_fd_,
      EV_READ);
  inbox_->wake.data = timer_watcher_.data = accept_pause_.data = end_of_turn_.data = accept_watcher_.data = this;
  ev_async_start(loop_, &inbox_->wake);
  ev_prepare_start(loop_, &end_of_turn_);

  static const lws_protocols kProtocols[] = {
      {kProtocolName, &Callbacks::on_library_event, 0, 0, 0, nullptr, limits::kPackedWriteBytes},
      {nullptr, nullptr, 0, 0, 0, nullptr, 0}};
  void* loops[1] = {loop_};
  lws_context_creation_info info = {};
  info.port = CONTEXT_PORT_NO_LISTEN_SERVER;
  info.protocols = kProtocols;
  info.vhost_name = kProtocolName;
  info.user = this;
  info.foreign_loops = loops;
  info.options = LWS_SERVER_OPTION_LIBEV;
  info.pt_serv_buf_size = limits::kPackedWriteBytes;
  info.timeout_secs = static_cast<unsigned>(limits::kLibraryTimeout.count());
  info.gid = -1;
  info.uid = -1;
  if (!settings_.tls.certificate.empty()) {
    info.options |= LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
    info.ssl_cert_filepath = settings_.tls.certificate.c_str();
    info.ssl_private_key_filepath = settings_.tls.key.c_str();
    info.ssl_cipher_list = kTls12Suites;
    info.ssl_options_set = static_cast<long>(SSL_OP_NO_TLSv1 | SSL_OP_NO_TLSv1_1 | SSL_OP_NO_RENEGOTIATION);
    info.alpn = "http/1.1";
  }
  std::lock_guard lock(library_mutex());
  lws_set_log_level(LLL_ERR, keep_library_error);
  last_library_error().clear();
  context_ = lws_create_context(&info);
  if (context_ != nullptr) return {};
  return error(Code::kUnavailable,
               "libwebsockets did not start on libev (its plugin comes in the package libwebsockets-evlib-ev): " +
                   last_library_error());
}

LwsShard::~LwsShard() {
  stop();
  if (context_ != nullptr) {
    std::lock_guard lock(library_mutex());
    lws_context_destroy(context_);
  }
  if (loop_ != nullptr) ev_loop_destroy(loop_);
  close_listener();
}

void LwsShard::close_listener() {
  if (listen_fd_ >= 0) ::close(std::exchange(listen_fd_, -1));
}

void LwsShard::serve(Handlers handlers) {
  CHATSDK_ASSERT(serving_.handler == nullptr);
  serving_.handler = &handlers.connections;
  serving_.http = &handlers.http;
  serving_.verifier = handlers.verifier;
  at_end_ = std::move(handlers.at_end);
  ev_io_start(loop_, &accept_watcher_);
}

void LwsShard::drain_requests(Task done) {
  CHATSDK_ASSERT(serving_.counting);
  serving_.counting = false;
  if (serving_.requests == 0) return done();
  serving_.requests_done = std::move(done);
}

void LwsShard::start() {
  CHATSDK_ASSERT(!thread_.joinable());
  // Signals are for the process's main thread; the new thread inherits the mask.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  thread_ = std::thread([this] { run(); });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

void LwsShard::stop() {
  if (!thread_.joinable()) return;
  post([this] { ev_break(loop_, EVBREAK_ALL); });
  thread_.join();
  // Tasks may own objects whose destructors post again; by now that is without effect.
  std::deque<Task> tasks;
  TimerQueue timers;
  {
    std::lock_guard lock(inbox_->mutex);
    tasks.swap(inbox_->tasks);
    std::swap(timers, inbox_->timers);
  }
}

void LwsShard::run() {
  pthread_setname_np(pthread_self(), ("shard-" + std::to_string(settings_.index)).c_str());
  ev_run(loop_, 0);
  // The context goes on this thread and outside of the loop's callbacks; it closes every connection on its way.
  ev_io_stop(loop_, &accept_watcher_);
  ev_timer_stop(loop_, &accept_pause_);
  close_listener();
  {
    std::lock_guard lock(library_mutex());
    turn_clock_.refresh();
    lws_context_destroy(context_);
    context_ = nullptr;
  }
  if (at_end_) at_end_();
  std::lock_guard lock(inbox_->mutex);
  inbox_->closed = true;
  ev_async_stop(loop_, &inbox_->wake);
  ev_timer_stop(loop_, &timer_watcher_);
  ev_prepare_stop(loop_, &end_of_turn_);
}

void LwsShard::end_of_turn() {
  // Flushing may end connections, and what hears of their end may send on others.
  while (!to_flush_.empty() || !to_abort_.empty()) {
    turn_clock_.refresh();
    for (const ConnectionId id : std::exchange(to_flush_, {})) {
      if (const auto found = connections_.find(id); found != connections_.end()) found->second->flush();
    }
    for (const ConnectionId id : std::exchange(to_abort_, {})) {
      const auto found = connections_.find(id);
      // The library calls back with the close, which forgets the connection.
      if (found != connections_.end() && found->second->wsi() != nullptr) {
        lws_set_timeout(found->second->wsi(), PENDING_TIMEOUT_USER_REASON_BASE, LWS_TO_KILL_SYNC);
      }
    }
  }
  arm_timer();
}

// ---- Accepting -----------------------------------------------------------------------------------------------------

void LwsShard::accept_some() {
  for (int i = 0; i < limits::kAcceptsPerTurn; ++i) {
    if (connections_.size() >= settings_.connections_max) {
      pause_accepting("as many connections as this shard takes");
      return;
    }
    switch (accept_one()) {
      case Accepted::kOne:
        break;
      case Accepted::kPaused:
        return;
      case Accepted::kNoneWaiting:
        if (std::exchange(accept_paused_, false)) {
          log_.write(LogLevel::kInfo, "listener", "accepting goes on: no connection waits any more");
        }
        return;
    }
  }
}

LwsShard::Accepted LwsShard::accept_one() {
  sockaddr_storage address = {};
  socklen_t address_bytes = sizeof address;
  const int fd =
      ::accept4(listen_fd_, reinterpret_cast<sockaddr*>(&address), &address_bytes, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (fd < 0) {
    if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
      pause_accepting(strerror(errno));
      return Accepted::kPaused;
    }
    // A peer that left before it was accepted is no reason to stop.
    const bool others = errno == ECONNABORTED || errno == EINTR || errno == EPROTO;
    return others ? Accepted::kOne : Accepted::kNoneWaiting;
  }
  std::string remote_address = address_text(address);
  const AddressCounts::Key key = AddressCounts::key_of(address);
  UnprovenShare share(serving_.state.unproven, serving_.options.unproven, key);
  if (!admit(key, remote_address, share)) {
    ::close(fd);
    return Accepted::kOne;
  }
  const int on = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  // What a slow reader has not taken stays here, where it is counted, and not in megabytes of kernel memory.
  const int unsent_max = static_cast<int>(2 * limits::kPackedWriteBytes);
  ::setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent_max, sizeof unsent_max);
  adopt(fd, std::move(remote_address), key, std::move(share));
  return Accepted::kOne;
}

bool LwsShard::admit(AddressCounts::Key address, const std::string& remote_address, UnprovenShare& share) {
  const bool secure = !settings_.tls.certificate.empty();
  if (!share.hold(secure ? limits::kUnprovenTlsBytes : limits::kUnprovenPlainBytes)) {
    const MonotonicTime now = system_clock_.monotonic_now();
    if (now < next_no_room_line_) return false;
    next_no_room_line_ = now + limits::kNoRoomTold;
    log_.write(LogLevel::kWarning, "listener",
               "connections are closed, one of " + remote_address +
                   " first: too much is held for those that have not said who they are");
    return false;
  }
  const std::size_t max = settings_.connections_per_address_max;
  const AddressCounts::Entry entry = serving_.state.addresses.enter(address, max);
  if (entry == AddressCounts::Entry::kRefusedFirst) {
    log_.write(LogLevel::kWarning, "listener",
               "connections of " + remote_address + " are closed: it has " + std::to_string(max) +
                   ", which is the limit for one address");
  }
  return entry == AddressCounts::Entry::kAdmitted;
}

void LwsShard::pause_accepting(const std::string& why) {
  if (!std::exchange(accept_paused_, true)) {
    log_.write(LogLevel::kWarning, "listener", "accepting pauses: " + why);
  }
  ev_io_stop(loop_, &accept_watcher_);
  ev_timer_set(&accept_pause_, accept_pause_seconds(), 0.0);
  ev_timer_start(loop_, &accept_pause_);
}

void LwsShard::adopt(int fd, std::string remote_address, AddressCounts::Key address, UnprovenShare share) {
  turn_clock_.refresh();
  const ConnectionId id = (static_cast<ConnectionId>(settings_.index + 1) << 56) | ++last_connection_;
  auto owned = std::make_unique<Connection>(*this, id, std::move(remote_address), address, std::move(share));
  Connection& connection = *owned;
  connections_.emplace(id, std::move(owned));
  serving_.state.connections.fetch_add(1);

  lws_adopt_desc_t info = {};
  info.vh = lws_get_vhost_by_name(context_, kProtocolName);
  info.type = static_cast<lws_adoption_type>(LWS_ADOPT_SOCKET | LWS_ADOPT_ALLOW_SSL);
  info.fd.sockfd = fd;
  info.vh_prot_name = kProtocolName;
  info.opaque = &connection;
  adopting_ = &connection;
  const bool adopted = lws_adopt_descriptor_vhost_via_info(&info) != nullptr;
  adopting_ = nullptr;
  if (adopted) return;
  if (!connection.ended()) connection.on_ended();
  forget(id);
}

void LwsShard::on_connection_closed(Connection& connection) {
  connection.on_ended();
  if (&connection != adopting_) forget(connection.id());
}

void LwsShard::forget(ConnectionId id) {
  const auto found = connections_.find(id);
  if (found == connections_.end()) return;
  serving_.state.addresses.leave(found->second->address(), settings_.connections_per_address_max);
  connections_.erase(found);
  serving_.state.connections.fetch_sub(1);
}

}  // namespace chatsdk::server
