// SPDX-License-Identifier: Apache-2.0
#include "transport/lws_connection.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "base/limits.h"
#include "transport/lws_library.h"
#include "transport/lws_tls.h"

namespace chatsdk {

namespace {

constexpr std::chrono::milliseconds kLeastShare{1};  // of the time to connect, for one address

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
  return Error{code, detail, retry_after, 0, {CauseDomain::kHttp, status}};
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

std::string_view text_of(void* in, std::size_t length) {
  return {static_cast<const char*>(in), in == nullptr ? 0 : length};
}

}  // namespace

Result<LwsTarget> lws_target(const ConnectRequest& request) {
  CHATSDK_ASSIGN(Url url, parse_url(request.url, UrlKind::kWebSocket));
  if (!is_header_value(request.bearer_token) || !is_header_value(request.subprotocol)) {
    return error(Code::kInvalidArgument, "a header value has a control character");
  }
  LwsTarget target;
  target.authority = url.authority();
  target.url = std::move(url);
  target.subprotocol = request.subprotocol;
  target.bearer_token = request.bearer_token;
  target.reader = request.reader;
  return target;
}

LwsConnection::LwsConnection(Transport::ConnectionId id, LwsTarget target, Host& host)
    : id_(id), target_(std::move(target)), host_(host), flow_(host.options().send_buffer_bytes_max) {}

// ---- To an address ----

void LwsConnection::start() {
  if (host_.context() == nullptr) {
    blame(Code::kInternal, "no WebSocket context");
    return finish();
  }
  if (target_.url.secure) {
    if (const Status trusted = host_.trust_roots(); !trusted.ok()) {
      blame(trusted.error());
      return finish();
    }
  }

  give_up_at_ = host_.now() + host_.options().connect_timeout;
  const std::string& host = target_.url.host;
  if (is_address(host)) {
    addresses_ = {host};
    return connect();
  }
  arm(host_.options().connect_timeout);
  look_up_ =
      host_.resolver().resolve(host, [self = shared_from_this()](Result<std::vector<std::string>> found) mutable {
        self->host_.later(self, [addresses = std::move(found)](LwsConnection& connection) mutable {
          connection.resolved(std::move(addresses));
        });
      });
}

void LwsConnection::resolved(Result<std::vector<std::string>> addresses) {
  look_up_.reset();
  if (!addresses.ok()) {
    blame(std::move(addresses).error());
    return finish();
  }
  addresses_ = *std::move(addresses);
  connect();
}

// Tries the next address. Each gets its share of the time that is left, so that a silent one leaves time to the rest.
void LwsConnection::connect() {
  const std::string address = addresses_.front();
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(give_up_at_ - host_.now());
  const auto share = left / static_cast<std::int64_t>(addresses_.size());
  arm(std::max<std::chrono::milliseconds>(share, kLeastShare));
  addresses_.erase(addresses_.begin());
  state_ = State::kConnecting;

  lws_client_connect_info info{};
  info.context = host_.context();
  info.address = address.c_str();
  info.port = target_.url.port;
  info.path = target_.url.target.c_str();
  info.host = target_.authority.c_str();
  info.protocol = target_.subprotocol.c_str();
  info.local_protocol_name = kLwsProtocolName;
  info.ssl_connection = LCCSCF_HTTP_NO_FOLLOW_REDIRECT | (target_.url.secure ? LCCSCF_USE_SSL : 0);
  info.alpn = "http/1.1";
  info.ietf_version_or_minus_one = -1;
  info.opaque_user_data = this;
  static const lws_retry_bo_t no_pings{};  // the engine has pings of its own
  info.retry_and_idle_policy = &no_pings;
  lws* wsi = lws_client_connect_via_info(&info);
  if (state_ != State::kConnecting) return;  // a callback has ended it already, or chosen another address
  wsi_ = wsi;
  if (wsi == nullptr && !try_next_address()) {
    blame(Code::kNetwork, "cannot reach the host");
    finish();
  }
}

// False: there is none left, or the connection ends for another reason than its address.
bool LwsConnection::try_next_address() {
  if (addresses_.empty() || reached_ || outcome_.error.code != Code::kOk) return false;
  if (wsi_ != nullptr) lws_set_opaque_user_data(wsi_, nullptr);
  wsi_ = nullptr;
  state_ = State::kWaiting;
  forget_timer(host_.context());
  host_.later(shared_from_this(), [](LwsConnection& connection) { connection.connect(); });
  return true;
}

// ---- The library's callbacks ----

int LwsConnection::handle(lws* wsi, lws_callback_reasons reason, void* in, std::size_t length) {
  switch (reason) {
    case LWS_CALLBACK_CLIENT_APPEND_HANDSHAKE_HEADER:
      reached_ = true;
      return append_token(wsi, in, length);
    case LWS_CALLBACK_ESTABLISHED_CLIENT_HTTP:
      return judge_answer(wsi);
    case LWS_CALLBACK_CLIENT_FILTER_PRE_ESTABLISH:
      return judge_subprotocol(wsi);
    case LWS_CALLBACK_CLIENT_ESTABLISHED:
      return note_open(wsi);
    case LWS_CALLBACK_CLIENT_RECEIVE:
      return take_part(wsi, text_of(in, length));
    case LWS_CALLBACK_CLIENT_WRITEABLE:
      return write_next(wsi);
    case LWS_CALLBACK_WS_PEER_INITIATED_CLOSE:
      return note_peers_close(text_of(in, length));
    case LWS_CALLBACK_CLIENT_CONNECTION_ERROR:
      connecting_failed(text_of(in, length));
      return 0;
    case LWS_CALLBACK_CLIENT_CLOSED:
    case LWS_CALLBACK_CLOSED_CLIENT_HTTP:
      ended(wsi);
      return 0;
    case LWS_CALLBACK_WSI_DESTROY:
      if (was_open() || !try_next_address()) finish();
      return 0;
    default:
      return 0;
  }
}

// ---- The handshake ----

bool LwsConnection::accepts_certificate(void* store_context, std::size_t verdict) {
  reached_ = true;
  tls_refusal_ = judge_certificate(store_context, verdict, target_.url.host);
  return tls_refusal_ == 0;
}

int LwsConnection::append_token(lws* wsi, void* in, std::size_t room) const {
  if (target_.bearer_token.empty()) return 0;
  auto** position = static_cast<unsigned char**>(in);
  const std::string value = "Bearer " + target_.bearer_token;
  return lws_add_http_header_by_name(wsi, reinterpret_cast<const unsigned char*>("Authorization:"),
                                     reinterpret_cast<const unsigned char*>(value.data()),
                                     static_cast<int>(value.size()), position, *position + room);
}

int LwsConnection::judge_answer(lws* wsi) {
  const int status = static_cast<int>(lws_http_client_http_response(wsi));
  if (status == 101) return 0;
  outcome_.http_status = status;
  blame(refusal_of(status, retry_after_of(wsi)));
  return -1;
}

// libwebsockets lets an answer without any subprotocol pass.
int LwsConnection::judge_subprotocol(lws* wsi) {
  char chosen[128] = {};
  const int length = lws_hdr_copy(wsi, chosen, sizeof chosen, WSI_TOKEN_PROTOCOL);
  if (length > 0 && std::string_view(chosen, static_cast<std::size_t>(length)) == target_.subprotocol) return 0;
  blame(Code::kProtocol, "the server did not choose the subprotocol asked for");
  return -1;
}

int LwsConnection::note_open(lws* wsi) {
  wsi_ = wsi;
  state_ = State::kOpen;
  std::string& token = target_.bearer_token;
  std::fill(token.begin(), token.end(), '\0');
  token.clear();
  forget_timer(host_.context());
  host_.opened(*this);
  if (!unsent_.empty()) lws_callback_on_writable(wsi);
  return 0;
}

// ---- Frames in ----

int LwsConnection::take_part(lws* wsi, BytesView part) {
  if (failing_) return 0;
  if (lws_frame_is_binary(wsi) == 0) return fail(1003, Code::kProtocol, "the server sent a text message");
  const std::size_t announced = incoming_.size() + part.size() + lws_remaining_packet_payload(wsi);
  const std::size_t limit = host_.options().inbound_frame_bytes_max;
  if (announced > limit) {
    return fail(1009, Code::kTooLarge,
                "frame " + std::to_string(announced) + " B, limit " + std::to_string(limit) + " B");
  }
  incoming_.reserve(announced);
  incoming_.append(part);
  if (lws_is_final_fragment(wsi) == 0) return 0;
  Bytes frame = std::exchange(incoming_, {});
  if (flow_.delivered(frame.size())) lws_rx_flow_control(wsi, 0);
  host_.received(*this, std::move(frame));
  return 0;
}

void LwsConnection::read_on() {
  if (was_open()) lws_rx_flow_control(wsi_, 1);
}

// ---- Frames out ----

void LwsConnection::send(Bytes frame) {
  if (state_ > State::kOpen) return;
  unsent_.push_back(std::move(frame));
  if (state_ == State::kOpen) lws_callback_on_writable(wsi_);
}

int LwsConnection::write_next(lws* wsi) {
  note_sent();
  if (unsent_.empty()) {
    if (state_ != State::kClosing) return 0;
    state_ = State::kCloseSent;  // from now on this answers 0: another -1 would end the connection without the peer's
    arm(host_.options().close_answer_timeout);
    lws_close_reason(wsi, static_cast<lws_close_status>(close_code_wanted_), nullptr, 0);
    return -1;  // the library writes the Close and reads on until the peer's
  }
  const Bytes frame = std::move(unsent_.front());
  unsent_.pop_front();
  // The header and the mask are written in front of the payload and over it.
  Bytes buffer(LWS_PRE, '\0');
  buffer += frame;
  auto* payload = reinterpret_cast<unsigned char*>(buffer.data()) + LWS_PRE;
  being_sent_ = frame.size();
  if (lws_write(wsi, payload, frame.size(), LWS_WRITE_BINARY) < static_cast<int>(frame.size())) return -1;
  lws_callback_on_writable(wsi);
  return 0;
}

// libwebsockets calls back only when it has nothing left of the frame before.
void LwsConnection::note_sent() {
  if (being_sent_ == 0) return;
  if (flow_.sent(std::exchange(being_sent_, 0))) host_.drained(*this);
}

// ---- The end ----

void LwsConnection::close(std::uint16_t close_code) {
  if (state_ == State::kClosing || state_ == State::kCloseSent) return;
  if (!was_open()) {
    blame(Code::kClosed, "closed before the upgrade");
    return end_early();
  }
  state_ = State::kClosing;
  close_code_wanted_ = close_code;
  arm(host_.options().close_timeout);
  lws_callback_on_writable(wsi_);
}

void LwsConnection::abort() {
  blame(Code::kClosed, "aborted");
  end_early();
}

// Ends the connection for something the peer did. The close leaves from the next writable callback: an error returned
// from the receive callback of libwebsockets 4.1.6 in the middle of a frame leaves its read position where it is, and
// what the peer sends next is written past the end of its buffer.
int LwsConnection::fail(std::uint16_t close_code, Code code, std::string_view detail) {
  blame(code, detail, {CauseDomain::kWebSocket, close_code});
  outcome_.close_code = close_code;
  failing_ = true;
  state_ = State::kClosing;
  close_code_wanted_ = close_code;
  unsent_.clear();
  incoming_ = {};
  arm(host_.options().close_timeout);
  lws_callback_on_writable(wsi_);
  return 0;
}

// The library answers it by itself and ends the connection then.
int LwsConnection::note_peers_close(BytesView payload) {
  std::uint16_t code = 1005;  // a close frame without a code
  if (payload.size() >= 2) {
    code = static_cast<std::uint16_t>((static_cast<unsigned char>(payload[0]) << 8) |
                                      static_cast<unsigned char>(payload[1]));
  }
  outcome_.close_code = code;
  blame(Code::kClosed, "closed by the server with code " + std::to_string(code), {CauseDomain::kWebSocket, code});
  arm(host_.options().close_timeout);
  return 0;
}

void LwsConnection::connecting_failed(std::string_view text) {
  const bool secure = target_.url.secure;
  if (!is_handshake_failure(text, secure) && try_next_address()) return;
  blame(explain_connect_failure(text, secure, tls_refusal_));
  finish();
}

void LwsConnection::ended(lws* wsi) {
  if (!was_open() && try_next_address()) return;
  explain_end(wsi);
  finish();
}

// An end that nobody gave a reason for: the peer or the network when the stream is over, else libwebsockets itself,
// which closes without a word when a frame breaks RFC 6455.
void LwsConnection::explain_end(lws* wsi) {
  if (outcome_.error.code != Code::kOk) return;
  if (state_ == State::kClosing || state_ == State::kCloseSent) {
    outcome_.close_code = close_code_wanted_;
    return blame(Code::kClosed, "closed by this side");
  }
  if (was_open() && !stream_is_over(wsi)) {
    outcome_.close_code = 1002;
    blame(Code::kProtocol, "the server broke the WebSocket protocol");
  }
}

// Ends a connection that may not have a socket yet. One that has ends on the next turn of service, with one of the last
// callbacks.
void LwsConnection::end_early() {
  if (wsi_ == nullptr) return finish();
  lws_set_timeout(wsi_, PENDING_TIMEOUT_USER_OK, LWS_TO_KILL_ASYNC);
}

void LwsConnection::blame(Code code, std::string_view detail, Cause cause) noexcept {
  Error why{code, {}, {}, 0, cause};
  try {
    why.detail = detail;
  } catch (const std::bad_alloc&) {
    // The code must do.
  }
  blame(std::move(why));
}

void LwsConnection::blame(Error why) {
  if (outcome_.error.code == Code::kOk) outcome_.error = std::move(why);
}

// The one end of every connection that was started. A second call does nothing.
void LwsConnection::finish() {
  if (state_ == State::kFinished) return;
  const Ref self = shared_from_this();  // the host lets go below
  state_ = State::kFinished;
  look_up_.reset();
  if (host_.context() != nullptr) forget_timer(host_.context());
  if (wsi_ != nullptr) lws_set_opaque_user_data(wsi_, nullptr);
  wsi_ = nullptr;
  unsent_.clear();
  incoming_ = {};
  blame(Code::kNetwork, "the connection was lost");
  host_.finished(*this, outcome_);
}

// ---- Time ----

void LwsConnection::arm(std::chrono::milliseconds delay) {
  deadline_.connection = this;
  lws_sul_schedule(host_.context(), 0, &deadline_.timer, &LwsConnection::on_deadline,
                   std::chrono::duration_cast<std::chrono::microseconds>(delay).count());
}

void LwsConnection::forget_timer(lws_context* context) {
  lws_sul_schedule(context, 0, &deadline_.timer, nullptr, LWS_SET_TIMER_USEC_CANCEL);
}

void LwsConnection::on_deadline(lws_sorted_usec_list_t* timer) {
  LwsConnection& connection = *reinterpret_cast<Deadline*>(timer)->connection;
  connection.contain(0, [&] {
    connection.deadline_passed();
    return 0;
  });
}

void LwsConnection::deadline_passed() {
  const MonotonicTime now = host_.now();
  if (was_open()) {
    blame(Code::kClosed, "the closing handshake did not end within its time limit");
  } else if (reached_ && now < give_up_at_) {
    // The address that answered has all the time that is left.
    return arm(std::chrono::ceil<std::chrono::milliseconds>(give_up_at_ - now));
  } else if (reached_ || addresses_.empty()) {
    const bool unresolved = wsi_ == nullptr;
    blame(Code::kNetwork, unresolved ? "the host's name was not resolved within the time limit"
                                     : "no connection within the time limit");
  }
  end_early();
}

}  // namespace chatsdk
