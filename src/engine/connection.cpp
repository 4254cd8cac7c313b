// SPDX-License-Identifier: Apache-2.0
#include "engine/connection.h"

#include <algorithm>
#include <memory>
#include <new>

#include "base/fault.h"

namespace chatsdk {

namespace {

Error no_error() { return {Code::kOk, {}, {}}; }

bool starts_with(std::string_view text, std::string_view prefix) { return text.substr(0, prefix.size()) == prefix; }

// What a connection's end says. A close code of the server's wins over the transport's words.
Error cause_of(const CloseInfo& info) {
  const std::string detail = "closed with " + std::to_string(info.close_code);
  const Cause cause{CauseDomain::kWebSocket, info.close_code};
  switch (static_cast<CloseCode>(info.close_code)) {
    case CloseCode::kUnauthenticated:
      return error(Code::kUnauthenticated, detail, cause);
    case CloseCode::kRolledBack:
      return error(Code::kRolledBack, detail, cause);
    case CloseCode::kReplaced:
      return error(Code::kReplaced, detail, cause);
    case CloseCode::kStalled:
      return error(Code::kTimedOut, detail, cause);
    case CloseCode::kGoingAway:
    case CloseCode::kTryAgainLater:
      return {Code::kUnavailable, detail, info.error.retry_after, 0, cause};
    case CloseCode::kProtocolError:
    case CloseCode::kUnsupportedData:
    case CloseCode::kInvalidPayload:
      return error(Code::kProtocol, detail, cause);
    case CloseCode::kPolicy:
      return error(Code::kForbidden, detail, cause);
    case CloseCode::kTooBig:
      return error(Code::kTooLarge, detail, cause);
    case CloseCode::kServerError:
      return error(Code::kServer, detail, cause);
    case CloseCode::kNormal:
    case CloseCode::kNone:
    case CloseCode::kAbnormal:
      break;
  }
  if (info.http_status == 401) {
    return error(Code::kUnauthenticated, "the upgrade was refused with 401", {CauseDomain::kHttp, 401});
  }
  if (info.error.code == Code::kOk) return error(Code::kNetwork, detail, cause);
  return info.error;
}

struct DecodedFrame final : FrameReading {
  explicit DecodedFrame(BytesView bytes) : frame(decode_server_frame(bytes)) {}
  Result<wire::ServerFrame> frame;
};

// A FrameReader.
std::unique_ptr<FrameReading> read_frame(BytesView bytes) noexcept {
  try {
    return std::make_unique<DecodedFrame>(bytes);
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}

Result<wire::ServerFrame> decoded_frame(Frame arrived) {
  if (!arrived.reading) return decode_server_frame(arrived.bytes);
  return std::move(static_cast<DecodedFrame&>(*arrived.reading).frame);
}

}  // namespace

Connection::Connection(const EngineContext& context, Session& session, RestApi& rest, Observer& observer)
    : context_(context),
      session_(session),
      rest_(rest),
      observer_(observer),
      backoff_(context.random.jitter, context.options.backoff_base, context.options.backoff_cap),
      wait_timer_(context.executor),
      phase_timer_(context.executor),
      heartbeat_timer_(context.executor),
      pong_timer_(context.executor),
      renewal_timer_(context.executor) {}

// ---- Life ----------------------------------------------------------------------------------------------------------

void Connection::start() {
  if (phase_ != Phase::kStopped) return;
  backoff_.reset();
  not_before_ = {};
  paused_ = false;
  if (auto loaded = session_.load(); !loaded.ok()) return wait(loaded.error());
  if (!session_.logged_in()) return become(Phase::kNotLoggedIn);
  begin_attempt();
}

void Connection::start_after_loss(const Error& cause) {
  if (phase_ != Phase::kStopped) return;
  not_before_ = {};
  paused_ = false;
  wait(cause);
}

void Connection::stop() {
  leave(CloseCode::kNormal);
  become(Phase::kStopped);
}

void Connection::network_changed() {
  switch (phase_) {
    case Phase::kStopped:
    case Phase::kNotLoggedIn:
      return;
    case Phase::kWaiting:
      if (not_before_ <= context_.now()) return end_wait();
      if (not_before_ < wait_timer_.time()) wait_timer_.start_at(not_before_, [this] { end_wait(); });
      return;
    case Phase::kPreparing:
    case Phase::kOpening:
    case Phase::kGreeting:
      // What was begun over the old network would only find out by its time limit.
      leave(std::nullopt);
      return begin_attempt();
    case Phase::kLive:
      if (!pong_timer_.pending()) probe();
      return;
  }
}

ConnectionState Connection::state() const {
  switch (phase_) {
    case Phase::kStopped:
      return ConnectionState::kStopped;
    case Phase::kNotLoggedIn:
      return ConnectionState::kNotLoggedIn;
    case Phase::kWaiting:
      return ConnectionState::kWaiting;
    case Phase::kPreparing:
    case Phase::kOpening:
    case Phase::kGreeting:
      return ConnectionState::kConnecting;
    case Phase::kLive:
      return online_ ? ConnectionState::kOnline : ConnectionState::kSyncing;
  }
  return ConnectionState::kStopped;
}

void Connection::session_started() {
  if (phase_ == Phase::kStopped) return;
  leave(CloseCode::kNormal);
  backoff_.reset();
  auth_retried_ = false;
  begin_attempt();
}

void Connection::session_over(const Error& cause) {
  if (phase_ == Phase::kStopped) return;
  leave(CloseCode::kNormal);
  become(Phase::kNotLoggedIn, cause, {});
}

void Connection::pause() {
  if (phase_ == Phase::kStopped || phase_ == Phase::kNotLoggedIn) return;
  leave(CloseCode::kNormal);
  paused_ = true;
  become(Phase::kNotLoggedIn);
}

void Connection::unpause() {
  if (!paused_) return;
  paused_ = false;
  if (phase_ == Phase::kNotLoggedIn && session_.logged_in()) begin_attempt();
}

void Connection::leave(std::optional<CloseCode> close_code) {
  owes_lost_ = owes_lost_ || live();
  attempt_.renew();
  wait_timer_.cancel();
  phase_timer_.cancel();
  heartbeat_timer_.cancel();
  pong_timer_.cancel();
  renewal_timer_.cancel();
  if (link_ != nullptr) {
    close_code.has_value() ? link_->close(static_cast<std::uint16_t>(*close_code)) : link_->abort();
  }
  link_.reset();
  online_ = false;
  draining_ = false;
  writable_ = true;
  pong_owed_.reset();
  if (!owes_lost_) return;
  phase_ = Phase::kWaiting;
  owes_lost_ = false;
  try {
    observer_.on_lost();
  } catch (...) {
    owes_lost_ = true;  // the recovery comes here again
    throw;
  }
}

void Connection::wait(const Error& cause) {
  leave(std::nullopt);
  std::chrono::milliseconds pause = backoff_.next(cause.retry_after);
  if (CHATSDK_PLANTED(Bug::kNoBackoff)) pause = {};
  not_before_ = context_.now() + cause.retry_after;
  wait_timer_.start_after(pause, [this] { end_wait(); });
  become(Phase::kWaiting, cause, pause);
}

void Connection::end_wait() {
  auth_retried_ = false;
  begin_attempt();
}

void Connection::become(Phase phase) { become(phase, no_error(), {}); }

void Connection::become(Phase phase, const Error& cause, std::chrono::milliseconds retry_in) {
  phase_ = phase;
  const ConnectionState now = state();
  if (now == published_ && now != ConnectionState::kWaiting) return;
  context_.events.connection(now, cause, retry_in);
  published_ = now;
}

// ---- An attempt ----------------------------------------------------------------------------------------------------

void Connection::begin_attempt() {
  wait_timer_.cancel();
  attempt_.renew();
  become(Phase::kPreparing);
  session_.with_token(attempt_.wrap([this](const Result<std::string>& token) {
    if (token.ok()) return discover(*token);
    if (token.code() == Code::kNotLoggedIn) return become(Phase::kNotLoggedIn, token.error(), {});
    wait(token.error());
  }));
}

void Connection::discover(const std::string& access_token) {
  recall_gateway();
  // One that opens and never welcomes may have become another server, or be told of no more.
  const bool tried = gateway_attempts_ >= limits::kGatewayAttemptsMax;
  if (!gateway_url_.empty() && !tried && context_.now() < gateway_valid_until_) return open(access_token);
  rest_.connect(access_token, attempt_.wrap([this, access_token](Result<wire::Connect> answer) {
    on_discovered(access_token, std::move(answer));
  }));
}

void Connection::on_discovered(const std::string& access_token, Result<wire::Connect> answer) {
  if (!answer.ok()) {
    token_used_ = access_token;
    return on_refused(answer.error());
  }
  const wire::Connect::Gateway* best = nullptr;
  for (const wire::Connect::Gateway& gateway : answer->gateways()) {
    if (usable(gateway.url()) && (best == nullptr || gateway.priority() < best->priority())) best = &gateway;
  }
  if (best == nullptr) {
    return wait(
        error(Code::kProtocol, "discovery named no usable gateway among " + std::to_string(answer->gateways_size())));
  }
  gateway_url_ = best->url();
  gateway_from_ = GatewayFrom::kDiscovery;
  gateway_attempts_ = 0;
  gateway_valid_until_ = context_.now() + std::min(limits::kGatewayTtlMax,
                                                   std::chrono::seconds(static_cast<std::int64_t>(answer->ttl_s())));
  open(access_token);
}

// A server reached over TLS must not talk the device into a connection without it.
bool Connection::usable(const std::string& gateway_url) const {
  const bool secure_only = starts_with(context_.options.server_url, "https://");
  return starts_with(gateway_url, "wss://") || (!secure_only && starts_with(gateway_url, "ws://"));
}

void Connection::recall_gateway() {
  if (!std::exchange(may_recall_gateway_, false)) return;
  const std::optional<StoredGateway>& stored = context_.store.gateway();
  if (!stored || stored->server_url != context_.options.server_url || !usable(stored->url)) return;
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(stored->expires - context_.wall_now());
  if (left <= left.zero() || left > limits::kGatewayTtlMax) return;  // more than that: the wall clock was set back
  gateway_url_ = stored->url;
  gateway_valid_until_ = context_.now() + left;
  gateway_from_ = GatewayFrom::kStore;
}

// Only a gateway that welcomed the device is remembered.
Status Connection::remember_gateway() {
  if (std::exchange(gateway_from_, GatewayFrom::kWelcome) != GatewayFrom::kDiscovery) return {};
  return context_.store.save_gateway(
      {context_.options.server_url, gateway_url_, context_.wall_now() + (gateway_valid_until_ - context_.now())});
}

void Connection::open(const std::string& access_token) {
  token_used_ = access_token;
  ++gateway_attempts_;
  ConnectRequest request;
  request.url = gateway_url_;
  request.subprotocol = std::string(kSubprotocol);
  request.bearer_token = access_token;
  request.reader = read_frame;
  writable_ = true;
  become(Phase::kOpening);
  phase_timer_.start_after(limits::kConnectTimeout,
                           [this] { on_not_opened(error(Code::kTimedOut, "the upgrade was not answered in time")); });
  link_ = std::make_unique<Link>(context_.executor, context_.transport, request, static_cast<Link::Listener&>(*this));
}

// An address that does not answer may have moved. One that was only remembered costs no pause.
void Connection::on_not_opened(const Error& cause) {
  gateway_url_.clear();
  leave(std::nullopt);
  if (std::exchange(gateway_from_, GatewayFrom::kNowhere) == GatewayFrom::kStore) return begin_attempt();
  on_refused(cause);
}

void Connection::on_link_open() {
  become(Phase::kGreeting);
  last_received_ = context_.now();
  phase_timer_.start_after(limits::kHelloTimeout,
                           [this] { wait(error(Code::kTimedOut, "the hello was not answered in time")); });
  if (auto sent = send_hello(); !sent.ok()) wait(sent.error());
}

Status Connection::send_hello() {
  CHATSDK_ASSIGN(const std::uint64_t epoch, context_.store.store_epoch());
  CHATSDK_ASSIGN(const auto cursors, context_.store.cursors(limits::kHelloCursorsMax));
  wire::ClientFrame frame;
  wire::Hello& hello = *frame.mutable_hello();
  hello.set_protocol_min(kProtocolMin);
  hello.set_protocol_max(kProtocolMax);
  hello.set_client(context_.options.client_name);
  hello.set_store_epoch(epoch);
  for (const StreamCursor& cursor : cursors) {
    hello.add_stream_ids(cursor.stream_id.value);
    hello.add_seqs(cursor.seq);
    hello.add_marks_revisions(cursor.marks_revision);
  }
  CHATSDK_TRY(observer_.complete_hello(hello));
  send(frame);
  return {};
}

void Connection::on_welcome_frame(const wire::Welcome& welcome) {
  if (auto accepted = accept_welcome(welcome); !accepted.ok()) {
    const Error cause = std::move(accepted).error();
    const bool protocol = cause.code == Code::kProtocol;
    return fail(cause, protocol ? CloseCode::kProtocolError : CloseCode::kGoingAway);
  }
  phase_timer_.cancel();
  heartbeat_ = welcome.heartbeat_ms() == 0 ? std::chrono::milliseconds(limits::kHeartbeatDefault)
                                           : std::chrono::milliseconds(welcome.heartbeat_ms());
  heartbeat_ = std::clamp(heartbeat_, limits::kHeartbeatMin, limits::kHeartbeatMax);
  become(Phase::kLive);
  arm_heartbeat();
  arm_renewal(welcome.token_expires_at_ms(), welcome.server_time_ms());
  CHATSDK_FAULT("connection.between_welcome_and_sync");
  observer_.on_welcome(welcome);
}

Status Connection::accept_welcome(const wire::Welcome& welcome) {
  if (welcome.protocol() < kProtocolMin || welcome.protocol() > kProtocolMax) {
    return error(Code::kProtocol, "the server chose protocol " + std::to_string(welcome.protocol()));
  }
  if (welcome.user_id() != session_.owner() || welcome.device_id() != session_.device_id().value) {
    return error(Code::kProtocol, "the welcome is for another user or device");
  }
  if (welcome.store_epoch() == 0 || welcome.account_stream_id() == 0) {
    return error(Code::kProtocol, "the welcome lacks the store epoch or the account stream");
  }
  CHATSDK_ASSIGN(const std::uint64_t epoch, context_.store.store_epoch());
  if (epoch != welcome.store_epoch()) {
    CHATSDK_FAULT("connection.before_new_epoch");
    CHATSDK_TRY(observer_.before_epoch());
    CHATSDK_ASSIGN(auto changes,
                   context_.store.begin_epoch(welcome.store_epoch(), StreamId{welcome.account_stream_id()}));
    context_.events.changes(std::move(changes));
  }
  gateway_attempts_ = 0;
  return remember_gateway();
}

// ---- Frames --------------------------------------------------------------------------------------------------------

bool Connection::send(const wire::ClientFrame& frame) {
  if (link_ == nullptr) return false;
  last_sent_ = context_.now();
  if (!link_->send(encode(frame))) writable_ = false;
  return writable_;
}

void Connection::on_link_writable() {
  writable_ = true;
  if (pong_owed_.has_value()) send_pong();
  if (live()) observer_.on_writable();
}

void Connection::on_link_frame(Frame arrived) {
  last_received_ = context_.now();
  if (pong_timer_.pending()) {
    pong_timer_.cancel();
    arm_heartbeat();
  }
  auto decoded = decoded_frame(std::move(arrived));
  if (!decoded.ok()) return fail(decoded.error(), CloseCode::kInvalidPayload);
  wire::ServerFrame& frame = *decoded;
  switch (frame.body_case()) {
    case wire::ServerFrame::kWelcome:
      if (phase_ == Phase::kGreeting) return on_welcome_frame(frame.welcome());
      return fail(error(Code::kProtocol, "a second welcome"), CloseCode::kProtocolError);
    case wire::ServerFrame::kFailure:
      return on_failure_frame(from_wire(frame.failure().error()));
    case wire::ServerFrame::kDrain:
      return on_drain_frame(frame.drain());
    case wire::ServerFrame::kPing:
      pong_owed_ = frame.ping().token();
      if (writable_) send_pong();
      return;
    case wire::ServerFrame::kPong:
      return;  // having arrived is all that it says
    case wire::ServerFrame::kAuthenticated:
      if (live()) arm_renewal(frame.authenticated().token_expires_at_ms(), frame.authenticated().server_time_ms());
      return;
    case wire::ServerFrame::kSendResult:
    case wire::ServerFrame::kVoidResult:
    case wire::ServerFrame::kItems:
    case wire::ServerFrame::kCaughtUp:
    case wire::ServerFrame::kMarks:
      if (live()) return observer_.on_delivery_frame(frame);
      return fail(error(Code::kProtocol, "a frame of delivery before the welcome"), CloseCode::kProtocolError);
    case wire::ServerFrame::kKeyCounts:
      if (live()) observer_.on_delivery_frame(frame);
      return;
    case wire::ServerFrame::BODY_NOT_SET:  // of a newer protocol
      return;
  }
}

void Connection::send_pong() {
  wire::ClientFrame pong;
  pong.mutable_pong()->set_token(*std::exchange(pong_owed_, std::nullopt));
  send(pong);
}

void Connection::on_failure_frame(const Error& cause) {
  leave(CloseCode::kNormal);
  on_refused(cause);
}

void Connection::on_drain_frame(const wire::Drain& drain) {
  draining_ = true;
  drain_pause_ = std::min(limits::kDrainPauseMax, std::chrono::milliseconds(drain.reconnect_after_ms()));
  phase_timer_.start_after(limits::kDrainGrace, [this] {
    const Error cause{Code::kUnavailable, "the server is going away", drain_pause_};
    leave(CloseCode::kNormal);
    wait(cause);
  });
}

void Connection::on_link_closed(const CloseInfo& info) {
  Error cause = cause_of(info);
  if (draining_) {
    cause = Error{Code::kUnavailable, "the server is going away", drain_pause_, 0, cause.cause};
    backoff_.reset();
  }
  if (phase_ == Phase::kOpening) {
    if (cause.code != Code::kUnauthenticated) return on_not_opened(cause);
    if (gateway_from_ == GatewayFrom::kStore) gateway_url_.clear();  // it may be another server by now
  }
  leave(std::nullopt);
  on_refused(cause);
}

void Connection::on_refused(const Error& cause) {
  switch (cause.code) {
    case Code::kUnauthenticated:
      session_.reject(token_used_);
      if (auth_retried_) return wait(cause);
      auth_retried_ = true;
      return begin_attempt();
    case Code::kRolledBack:
      session_.end(cause);
      if (phase_ != Phase::kNotLoggedIn) session_over(cause);
      return;
    case Code::kReplaced: {
      // Another copy of this device is at work: coming back at once would only replace it in turn.
      Error slow = cause;
      slow.retry_after = std::max(slow.retry_after, context_.options.backoff_cap / 2);
      return wait(slow);
    }
    default:
      return wait(cause);
  }
}

void Connection::fail(const Error& cause, CloseCode close_code) {
  if (link_ == nullptr) return;
  context_.debug("connection", "closing: " + std::string(code_name(cause.code)));
  leave(close_code);
  wait(cause);
}

void Connection::abandon(const Error& cause) {
  if (link_ == nullptr) return;
  context_.debug("connection", "abandoned: " + cause.detail);
  writable_ = false;
  link_->abort();
  context_.executor.post(attempt_.wrap([this, cause] { wait(cause); }));
}

void Connection::caught_up() {
  if (!live()) return;
  online_ = true;
  progress();
  become(Phase::kLive);
  observer_.on_caught_up();
}

void Connection::progress() {
  backoff_.reset();
  auth_retried_ = false;
}

// ---- Heartbeats ----------------------------------------------------------------------------------------------------

void Connection::arm_heartbeat() {
  // The timer is not moved by every frame: when it fires it looks at what has happened since.
  heartbeat_timer_.start_at(std::min(last_received_, last_sent_) + heartbeat_, [this] {
    if (std::min(last_received_, last_sent_) + heartbeat_ > context_.now()) return arm_heartbeat();
    probe();
  });
}

void Connection::probe() {
  heartbeat_timer_.cancel();
  wire::ClientFrame frame;
  frame.mutable_ping()->set_token(++last_ping_);
  send(frame);
  pong_timer_.start_after(limits::kPongTimeout,
                          [this] { wait(error(Code::kNetwork, "nothing was heard after a ping in time")); });
}

// ---- Renewal -------------------------------------------------------------------------------------------------------

// Both times are the server's, of one frame: a wrong clock on the device does no harm, nor does one that was set on the
// server while the connection lived.
void Connection::arm_renewal(std::int64_t token_expires_at_ms, std::int64_t server_time_ms) {
  if (token_expires_at_ms <= 0) return;
  const std::chrono::milliseconds left(clamp_unix_ms(token_expires_at_ms) - clamp_unix_ms(server_time_ms));
  const std::chrono::milliseconds before = limits::kRenewBeforeExpiry;
  // A token that lives shorter than two such intervals is renewed half-way.
  const std::chrono::milliseconds delay = left > 2 * before ? left - before : left / 2;
  renewal_timer_.start_after(std::clamp(delay, limits::kRenewalDelayMin, limits::kRenewalDelayMax),
                             [this] { renew_token(); });
}

void Connection::renew_token() {
  // The new token itself comes through token_renewed.
  session_.refresh(attempt_.wrap([this](const Result<std::string>& token) {
    if (token.ok()) return;
    renewal_timer_.start_after(std::max(limits::kRenewalPause, token.error().retry_after), [this] { renew_token(); });
  }));
}

void Connection::token_renewed(const std::string& access_token) {
  if (!live()) return;
  token_used_ = access_token;
  wire::ClientFrame frame;
  frame.mutable_authenticate()->set_access_token(access_token);
  send(frame);
}

}  // namespace chatsdk
