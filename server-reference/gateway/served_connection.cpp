// SPDX-License-Identifier: Apache-2.0
#include "server-reference/gateway/served_connection.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/assert.h"

namespace chatsdk::server {

namespace {

// A queue that a burst made large is given back when it is empty.
constexpr std::size_t kQueueKept = 4;
// A share is not made smaller for less than this, so that the budget is not asked at every request.
constexpr std::size_t kShareSlack = 1'024;

std::size_t framed_bytes(const Bytes& bytes, bool needs_header) {
  return bytes.size() + (needs_header ? ws_header_bytes(bytes.size()) : 0);
}

bool equal_ascii_any_case(std::string_view a, std::string_view b) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; };
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [&](char x, char y) { return lower(x) == lower(y); });
}

// RFC 6455 section 4.2.1: base64 of 16 bytes.
bool is_websocket_key(std::string_view key) {
  const auto is_base64 = [](char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' || c == '/';
  };
  return key.size() == 24 && key.ends_with("==") && std::all_of(key.begin(), key.end() - 2, is_base64);
}

std::string_view path_of(std::string_view url) { return url.substr(0, url.find('?')); }

}  // namespace

ServedConnection::ServedConnection(Serving& serving, Carrier& carrier, ConnectionId id, std::string remote_address,
                                   UnprovenShare share)
    : serving_(serving),
      carrier_(carrier),
      id_(id),
      share_(std::move(share)),
      first_share_(share_.held()),
      http_(std::make_unique<Http>()),
      reader_(std::min(serving.options.message_bytes_max, limits::kFirstFrameBytesMax)) {
  http_->remote_address = std::move(remote_address);
  carrier_.set_deadline(serving_.options.request_read_timeout);
}

ServedConnection::~ServedConnection() { CHATSDK_ASSERT(state_ != State::kOpen && state_ != State::kClosing); }

// ---- Input ---------------------------------------------------------------------------------------------------------

void ServedConnection::on_bytes(std::span<char> bytes) {
  switch (state_) {
    case State::kHead:
    case State::kBody:
    case State::kAnswering:
      http_->input.append(bytes.data(), bytes.size());
      on_http_input();
      break;
    case State::kOpen:
    case State::kClosing:
      on_websocket_input(bytes);
      break;
    case State::kLingering:
    case State::kEnded:
      return;
  }
  if (!within_budget()) on_over_budget();
}

void ServedConnection::on_http_input() {
  for (;;) {
    switch (state_) {
      case State::kHead:
        if (!take_head()) return;
        break;
      case State::kBody:
        if (!take_body()) return;
        break;
      case State::kAnswering:
        carrier_.pause_reading(http_->input.size() > limits::kPipelinedBytesMax);
        return;
      case State::kOpen: {
        // What the client sent right behind its upgrade. The answer is queued before anything that this causes.
        std::string rest = std::move(http_->input);
        http_.reset();
        on_websocket_input(rest);
        return;
      }
      case State::kClosing:
      case State::kLingering:
      case State::kEnded:
        return;
    }
  }
}

// True when the state changed.
bool ServedConnection::take_head() {
  Http& http = *http_;
  if (http.input.empty()) return false;
  count_request();
  if (!std::exchange(http.request_begun, true)) carrier_.set_deadline(serving_.options.request_read_timeout);
  auto parsed = parse_http_head(http.input);
  if (std::holds_alternative<HttpNeedMore>(parsed)) return false;
  if (const auto* refusal = std::get_if<HttpRefusal>(&parsed)) {
    refuse(*refusal);
    return true;
  }
  http.head = std::move(std::get<HttpHead>(parsed));
  http.input.erase(0, http.head.head_bytes);
  said_whole_ = !http.head.wants_websocket;
  const HttpRequest& request = http.head.request;
  if (http.head.wants_websocket) return begin_websocket();
  if (path_of(request.url) == kWebSocketPath) {
    refuse({426, Code::kUnsupported,
            "this path takes a WebSocket: a GET of HTTP/1.1 with Upgrade: websocket and Connection: Upgrade"},
           {upgrade_to_websocket()});
    return true;
  }
  if (http.head.expects_continue && http.head.body_bytes > http.input.size()) {
    queue("HTTP/1.1 100 Continue\r\n\r\n");
  }
  state_ = State::kBody;
  return true;
}

bool ServedConnection::take_body() {
  Http& http = *http_;
  const auto wanted = static_cast<std::size_t>(http.head.body_bytes);
  if (http.input.size() < wanted) return false;
  http.head.request.body = http.input.substr(0, wanted);
  http.input.erase(0, wanted);
  dispatch();
  return true;
}

void ServedConnection::dispatch() {
  state_ = State::kAnswering;
  serving_.refusals.look();
  ++http_->request_number;
  carrier_.set_deadline(serving_.options.answer_timeout);
  HttpRequest request = std::exchange(http_->head.request, {});
  http_->asked_bytes = request.body.size();
  http_->without_body = request.method == "HEAD";
  // The service may answer at once, but its answer comes as a turn of its own.
  serving_.http->handle(std::move(request), http_->remote_address, carrier_.responder(http_->request_number));
}

void ServedConnection::answer(std::uint32_t request_number, HttpResponse response) {
  if (state_ != State::kAnswering || http_->request_number != request_number) return;
  http_->asked_bytes = 0;
  const bool keep_alive = http_->head.keep_alive && !serving_.state.draining.load();
  queue(encode_http_response(response, keep_alive, http_->without_body));
  if (!keep_alive) {
    linger();
    return;
  }
  await_next_request();
  on_http_input();
  if (!within_budget()) on_over_budget();
}

void ServedConnection::await_next_request() {
  state_ = State::kHead;
  http_->head = {};
  http_->request_begun = false;
  carrier_.pause_reading(false);
  carrier_.set_deadline(serving_.options.keep_alive_timeout);
}

void ServedConnection::refuse(const HttpRefusal& refusal, Headers headers) {
  if (serving_.log.enabled(LogLevel::kInfo)) log_refusal(refusal);
  HttpResponse response = problem_response(refusal.status, refusal.code, refusal.detail);
  response.headers.merge(headers);
  queue(encode_http_response(response, false, http_->head.request.method == "HEAD"));
  linger();
}

void ServedConnection::log_refusal(const HttpRefusal& refusal) {
  const std::string what = http_->head.wants_websocket ? "an upgrade" : "a request";
  const std::string kind = what + " from " + http_->remote_address + ": " + std::string(code_name(refusal.code));
  if (!serving_.refusals.note(kind)) return;
  serving_.log.write(LogLevel::kInfo, "listener",
                     "refused " + kind + ": " + refusal.detail + ", status " + std::to_string(refusal.status));
}

// ---- WebSocket -----------------------------------------------------------------------------------------------------

bool ServedConnection::origin_allowed() const {
  const auto& headers = http_->head.request.headers;
  const std::string_view origin = header(headers, "origin");
  if (origin.empty()) return true;
  const std::size_t scheme_end = origin.find("://");
  if (scheme_end != std::string_view::npos &&
      equal_ascii_any_case(origin.substr(scheme_end + 3), header(headers, "host"))) {
    return true;
  }
  const auto& allowed = serving_.options.allowed_origins;
  return std::any_of(allowed.begin(), allowed.end(),
                     [&](const std::string& entry) { return entry == "*" || equal_ascii_any_case(entry, origin); });
}

std::optional<ServedConnection::RefusedUpgrade> ServedConnection::refuse_upgrade() const {
  const HttpRequest& request = http_->head.request;
  if (request.method != "GET" || http_->head.body_bytes != 0) {
    return RefusedUpgrade{{400, Code::kMalformed, "an upgrade is a GET without a body"}, {}};
  }
  if (path_of(request.url) != kWebSocketPath) {
    return RefusedUpgrade{{404, Code::kNotFound, "there is no WebSocket at this path"}, {}};
  }
  if (header(request.headers, "sec-websocket-version") != "13") {
    return RefusedUpgrade{{426, Code::kUnsupported, "only version 13 of WebSocket is spoken"},
                          {upgrade_to_websocket(), {"sec-websocket-version", "13"}}};
  }
  if (!is_websocket_key(header(request.headers, "sec-websocket-key"))) {
    return RefusedUpgrade{{400, Code::kMalformed, "sec-websocket-key is not base64 of 16 bytes"}, {}};
  }
  if (!list_contains(header(request.headers, "sec-websocket-protocol"), kSubprotocol, LetterCase::kExact)) {
    return RefusedUpgrade{{400, Code::kUnsupported, "subprotocol " + std::string(kSubprotocol) + " was not offered"},
                          {}};
  }
  if (!origin_allowed()) return RefusedUpgrade{{403, Code::kForbidden, "this origin may not connect"}, {}};
  const bool full = serving_.state.websockets.load() >= serving_.options.websockets_max;
  if (full || serving_.state.draining.load()) {
    const char* why = full ? "the server has as many connections as it takes" : "the server is about to stop";
    return RefusedUpgrade{{503, Code::kUnavailable, why}, {retry_after()}};
  }
  Status token = check_token();
  if (token.ok()) return std::nullopt;
  return RefusedUpgrade{{401, token.code(), token.error().detail},
                        {{"www-authenticate", "Bearer error=\"invalid_token\""}}};
}

// What a 426 has to name (RFC 9110 section 15.5.22).
ServedConnection::Headers::value_type ServedConnection::upgrade_to_websocket() { return {"upgrade", "websocket"}; }

ServedConnection::Headers::value_type ServedConnection::retry_after() const {
  return {"retry-after", std::to_string(serving_.options.refused_retry_after.count())};
}

// A client without a token is let in: a browser cannot send one before its first frame. A wrong one is refused here.
Status ServedConnection::check_token() const {
  const auto& headers = http_->head.request.headers;
  if (!headers.contains("authorization") || serving_.verifier == nullptr) return {};
  const std::string_view token = bearer_token(headers);
  if (token.empty()) return error(Code::kUnauthenticated, "the authorization is not a bearer token");
  CHATSDK_TRY(serving_.verifier->verify_access_token(token, serving_.clock.wall_now()));
  return {};
}

// True always: the state changes to open or lingering.
bool ServedConnection::begin_websocket() {
  if (auto refused = refuse_upgrade()) {
    refuse(refused->why, std::move(refused->headers));
    return true;
  }
  const auto& headers = http_->head.request.headers;
  queue("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " +
        ws_accept_value(header(headers, "sec-websocket-key")) +
        "\r\nSec-WebSocket-Protocol: " + std::string(kSubprotocol) + "\r\n\r\n");
  carrier_.set_deadline(std::nullopt);
  state_ = State::kOpen;
  end_request();
  serving_.state.websockets.fetch_add(1);
  serving_.handler->on_open({id_, std::string(bearer_token(headers)), http_->remote_address}, *this);
  return true;
}

void ServedConnection::on_websocket_input(std::span<char> bytes) {
  while (state_ == State::kOpen || state_ == State::kClosing) {
    const WsReader::Event event = reader_.next(bytes);
    if (!within_frame_rate(event)) return violate(CloseCode::kTryAgainLater, "too many frames a second");
    switch (event.kind) {
      case WsReader::Kind::kNeedMore:
        return;
      case WsReader::Kind::kMessage:
        said_whole_ = true;
        reader_.set_message_bytes_max(serving_.options.message_bytes_max);
        if (state_ == State::kOpen) serving_.handler->on_frame(id_, event.payload);
        break;
      case WsReader::Kind::kPing:
        if (state_ == State::kOpen) queue(encode_ws_pong(event.payload));
        break;
      case WsReader::Kind::kPong:
        break;
      case WsReader::Kind::kClose:
        if (state_ == State::kOpen) queue(encode_ws_close(event.code));
        end_session();
        linger();
        return;
      case WsReader::Kind::kViolation:
        violate(event.code, event.reason);
        return;
    }
  }
}

bool ServedConnection::within_frame_rate(const WsReader::Event& event) {
  const std::uint64_t begun = reader_.frames() - std::exchange(frames_counted_, reader_.frames());
  const std::uint64_t frames = begun - (event.kind == WsReader::Kind::kMessage && begun > 0 ? 1 : 0);
  if (frames == 0) return true;
  return frame_rate_.take({serving_.options.frames_per_second, serving_.options.frames_burst},
                          serving_.clock.monotonic_now(), frames);
}

// ---- The budget ----------------------------------------------------------------------------------------------------

std::size_t ServedConnection::unproven_bytes() const {
  if (state_ == State::kEnded || (http_ == nullptr && said_whole_)) return 0;
  const std::size_t received = http_ != nullptr ? http_->input.size() + http_->asked_bytes : reader_.held_bytes();
  return (said_whole_ ? 0 : first_share_) + received + queued_bytes();
}

bool ServedConnection::within_budget() {
  const std::size_t bytes = unproven_bytes();
  const bool kept = bytes > 0 && bytes <= share_.held() && share_.held() - bytes < kShareSlack;
  return kept || share_.hold(bytes);
}

void ServedConnection::on_over_budget() {
  switch (state_) {
    case State::kHead:
    case State::kBody:
      if (state_ == State::kHead && http_->input.empty()) return linger();  // answers that it does not read
      refuse({503, Code::kUnavailable, "the server has no room for more requests"}, {retry_after()});
      return;
    case State::kAnswering:
      // What came behind the request waits for its answer, and no more is read.
      carrier_.pause_reading(true);
      return;
    case State::kOpen:
    case State::kClosing:
      violate(CloseCode::kTryAgainLater, "the server has no room for more first frames");
      return;
    case State::kLingering:
    case State::kEnded:
      return;
  }
}

void ServedConnection::violate(CloseCode code, const char* reason) {
  if (serving_.log.enabled(LogLevel::kInfo)) {
    serving_.log.write(LogLevel::kInfo, "listener",
                       "connection " + std::to_string(id_) + " closed with code " +
                           std::to_string(static_cast<int>(code)) + ": " + reason);
  }
  if (state_ == State::kOpen) queue(encode_ws_close(code));
  end_session();
  linger();
}

void ServedConnection::pause_reading(bool paused) {
  if (state_ == State::kOpen) carrier_.pause_reading(paused);
}

void ServedConnection::close(CloseCode code) {
  if (state_ != State::kOpen) return;
  queue(encode_ws_close(code));
  state_ = State::kClosing;
  carrier_.pause_reading(false);  // the peer's close is awaited
  carrier_.set_deadline(serving_.options.close_timeout);
}

// ---- Output --------------------------------------------------------------------------------------------------------

void ServedConnection::send(std::shared_ptr<const Bytes> frame) {
  if (state_ != State::kOpen) return;
  enqueue({std::move(frame), true});
}

void ServedConnection::queue(Bytes bytes, bool needs_header) {
  enqueue({std::make_shared<const Bytes>(std::move(bytes)), needs_header});
}

void ServedConnection::enqueue(Queued item) {
  const std::size_t size = framed_bytes(*item.bytes, item.needs_header);
  if (queued_bytes() > limits::kSocketQueueBytesMax) {
    // Whoever sends watches queued_bytes(); a peer that gets here is not reading and could take no farewell.
    carrier_.abort();
    return;
  }
  queued_bytes_ += size;
  queue_.push_back(std::move(item));
  carrier_.flush_later();
}

void ServedConnection::flush() {
  while (queued_bytes_ > 0 && !carrier_.choked()) {
    pack_some();
    carrier_.write(serving_.pack);
    serving_.pack.clear();
  }
  if (queued_bytes_ > 0 || carrier_.choked()) return;
  queue_.clear();
  queue_begin_ = 0;
  if (queue_.capacity() > kQueueKept) queue_ = {};
  if (state_ == State::kHead && http_->input.empty()) end_request();
  static_cast<void>(within_budget());  // it holds less than before
  if (state_ == State::kLingering && !std::exchange(writing_ended_, true)) {
    carrier_.end_writing();
    carrier_.set_deadline(serving_.options.linger_timeout);
  }
}

// Moves bytes from the front of the queue into the pack, up to its size; a large frame goes over in pieces.
void ServedConnection::pack_some() {
  std::string& pack = serving_.pack;
  while (queued_bytes_ > 0 && pack.size() < limits::kPackedWriteBytes) {
    Queued& front = queue_[queue_begin_];
    std::size_t header = 0;
    if (front.needs_header) {
      char bytes[kWsServerHeaderBytesMax];
      header = encode_ws_header(front.bytes->size(), bytes);
      if (front_offset_ < header) {
        pack.append(bytes + front_offset_, header - front_offset_);
        queued_bytes_ -= header - front_offset_;
        front_offset_ = header;
      }
    }
    const std::size_t from = front_offset_ - header;
    const std::size_t room = limits::kPackedWriteBytes - std::min(limits::kPackedWriteBytes, pack.size());
    const std::size_t count = std::min(front.bytes->size() - from, room);
    pack.append(*front.bytes, from, count);
    queued_bytes_ -= count;
    front_offset_ += count;
    if (from + count < front.bytes->size()) continue;
    front.bytes.reset();
    front_offset_ = 0;
    ++queue_begin_;
  }
}

// ---- The end -------------------------------------------------------------------------------------------------------

void ServedConnection::linger() {
  state_ = State::kLingering;
  if (http_ != nullptr) http_->input = {};  // nobody reads it any more
  carrier_.pause_reading(false);
  carrier_.set_deadline(serving_.options.close_timeout);
  carrier_.flush_later();
}

void ServedConnection::on_deadline() {
  serving_.refusals.look();
  switch (state_) {
    case State::kHead:
      // Silence between requests is no fault and gets no answer.
      if (http_->input.empty()) {
        carrier_.abort();
        return;
      }
      refuse({408, Code::kTimedOut, "the request did not come in time"});
      return;
    case State::kBody:
      refuse({408, Code::kTimedOut, "the request's body did not come in time"});
      return;
    case State::kAnswering:
      serving_.log.write(LogLevel::kWarning, "listener",
                         "connection " + std::to_string(id_) + ": the service did not answer in time");
      refuse({503, Code::kUnavailable, "the server did not answer in time"});
      return;
    case State::kOpen:
    case State::kClosing:
    case State::kLingering:
      carrier_.abort();
      return;
    case State::kEnded:
      return;
  }
}

void ServedConnection::count_request() {
  if (!serving_.counting || std::exchange(request_counted_, true)) return;
  ++serving_.requests;
}

void ServedConnection::end_request() {
  if (!std::exchange(request_counted_, false)) return;
  if (--serving_.requests == 0 && serving_.requests_done) std::exchange(serving_.requests_done, {})();
}

void ServedConnection::end_session() {
  if (state_ != State::kOpen && state_ != State::kClosing) return;
  state_ = State::kEnded;
  serving_.state.websockets.fetch_sub(1);
  serving_.handler->on_closed(id_);
}

void ServedConnection::on_ended() {
  end_session();
  state_ = State::kEnded;
  end_request();
}

}  // namespace chatsdk::server
