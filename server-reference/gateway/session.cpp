// SPDX-License-Identifier: Apache-2.0
//
// The incoming half of a session: frames, authentication, time. session_delivery.cpp is the outgoing half, and
// session_encrypted.cpp has what is said of encrypted sends.
#include "server-reference/gateway/session.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "base/fault.h"
#include "protocol/content.h"
#include "server-reference/services/account_service.h"
#include "server-reference/services/log_text.h"

namespace chatsdk::server {

namespace {

// What a member of a group needs for it. Reactions and deletions are everybody's.
std::optional<GroupRight> right_for(const content::Content& sent) {
  const auto* annotation = std::get_if<content::Annotation>(&sent);
  if (annotation == nullptr) return GroupRight::kSend;
  const auto is = [&](auto of) { return std::holds_alternative<decltype(of)>(annotation->kind); };
  if (is(content::Delete()) || is(content::Reaction())) return std::nullopt;
  return is(content::Pin()) || is(content::Timer()) ? GroupRight::kPin : GroupRight::kSend;
}

std::string ms_text(std::chrono::milliseconds time) { return std::to_string(time.count()) + " ms"; }

Status check_user_id(const std::string& user_id) {
  if (user_id.empty() || user_id.size() > limits::kUserIdBytesMax) {
    return error(Code::kInvalidArgument, "peer_user_id " + std::to_string(user_id.size()) + " B, 1 to " +
                                             std::to_string(limits::kUserIdBytesMax) + " B are allowed");
  }
  return {};
}

// The part that Send and Void share: whom it is about and under which number.
template <typename Request>
Status check_target(const Request& request, Target& target, ClientMessageId& id) {
  const auto parsed = ClientMessageId::from_bytes(request.client_message_id());
  if (!parsed) {
    return error(Code::kInvalidArgument, "client_message_id " + std::to_string(request.client_message_id().size()) +
                                             " B, " + std::to_string(limits::kClientMessageIdBytes) + " B are needed");
  }
  id = *parsed;
  if (request.send_number() == 0) return error(Code::kInvalidArgument, "send_number 0, numbers begin at 1");
  switch (request.target_case()) {
    case Request::kConversationId:
      if (request.conversation_id() == 0) return error(Code::kInvalidArgument, "conversation_id 0");
      target.conversation = ConversationId{request.conversation_id()};
      return {};
    case Request::kPeerUserId:
      target.peer = request.peer_user_id();
      return check_user_id(target.peer);
    case Request::kGroupId:
      target.group_id = request.group_id();
      if (target.group_id.size() == limits::groups::kIdBytes) return {};
      return error(Code::kInvalidArgument, "group_id " + std::to_string(target.group_id.size()) + " B, " +
                                               std::to_string(limits::groups::kIdBytes) + " B are needed");
    case Request::TARGET_NOT_SET:
      break;
  }
  return error(Code::kInvalidArgument, "no target, a conversation_id, peer_user_id or group_id is needed");
}

std::size_t bytes_of(const google::protobuf::RepeatedPtrField<wire::Slice>& slices) {
  std::size_t bytes = 0;
  for (const wire::Slice& slice : slices) bytes += slice.message().size();
  return bytes;
}

// Any of what only an encrypted one has makes it one, so that none is passed over in silence.
bool is_encrypted(const wire::Send& send) {
  return send.encryption_counter() != 0 || send.slices_size() != 0 || send.slices_staged() != 0 ||
         send.kind() != wire::ITEM_KIND_UNSPECIFIED || send.target_seq() != 0 || send.roster_revision() != 0 ||
         send.own_list_version() != 0 || send.peer_list_version() != 0 || !send.encrypted().empty();
}

void set_accepted(wire::Accepted& out, const Appended& appended) {
  out.set_conversation_id(appended.conversation_id.value);
  out.set_message_id(appended.message_id.value);
  out.set_conversation_seq(appended.seq);
  out.set_time_ms(to_unix_ms(appended.time));
}

// A refused id is echoed so that the client can tell which one; no client needs more of it than this.
std::string echo_of(BytesView id) { return std::string(id.substr(0, 64)); }

}  // namespace

struct GatewaySession::Loaded {
  Error failure{Code::kOk, {}, {}};
  std::uint32_t protocol = 0;
  wire::Hello hello;
  std::vector<FollowedStream> followed;
  std::optional<KeyCounts> key_counts;
  std::uint64_t encryption_counter = 0;
};

GatewaySession::GatewaySession(SessionShard& shard, const ConnectionInfo& info, FrameSink& sink)
    : shard_(shard), sink_(sink), connection_(info.id), last_frame_(now()) {
  if (!info.bearer_token.empty()) bearer_token_ = std::make_unique<std::string>(info.bearer_token);
}

GatewaySession::~GatewaySession() { end(); }

// ---- Frames --------------------------------------------------------------------------------------------------------

void GatewaySession::on_frame(BytesView bytes) {
  if (closed()) return;
  const bool replaced = place_.replaced() && !CHATSDK_PLANTED(Bug::kP10OldConnectionAccepted);
  if (replaced) return fail(error(Code::kReplaced, "the device connected anew"));
  last_frame_ = now();
  ping_sent_ = false;
  if (!rate_.take({shard_.options.frames_per_second, shard_.options.frames_burst}, last_frame_)) {
    Error limited =
        error(Code::kRateLimited, "more than " + std::to_string(shard_.options.frames_per_second) + " frames a second");
    limited.retry_after = limits::kRetryBusy;
    return fail(limited);
  }
  const std::size_t bytes_max = limits::client_frame_bytes_max(shard_.options.text_bytes_max);
  if (bytes.size() > bytes_max) {
    return fail(error(Code::kTooLarge,
                      "frame " + std::to_string(bytes.size()) + " B, limit " + std::to_string(bytes_max) + " B"));
  }
  Result<wire::ClientFrame> decoded = decode_client_frame(bytes);
  if (!decoded.ok()) return fail(decoded.error());
  wire::ClientFrame& frame = decoded.value();

  switch (state_) {
    case State::kAwaitingHello:
      if (!frame.has_hello()) return fail(error(Code::kProtocol, "the first frame is not a hello"));
      return on_hello(std::move(*frame.mutable_hello()));
    case State::kLoading:
      // A heartbeat may fall due before the welcome; anything else waits for it.
      if (frame.body_case() == wire::ClientFrame::BODY_NOT_SET || frame.has_ping() || frame.has_pong()) {
        return on_live_frame(frame);
      }
      return fail(error(Code::kProtocol, "a frame before the welcome"));
    case State::kLive:
      return on_live_frame(frame);
    case State::kClosed:
      return;
  }
}

void GatewaySession::on_live_frame(wire::ClientFrame& frame) {
  switch (frame.body_case()) {
    case wire::ClientFrame::kHello:
      return fail(error(Code::kProtocol, "a second hello"));
    case wire::ClientFrame::kAuthenticate:
      return on_authenticate(frame.authenticate());
    case wire::ClientFrame::kSend:
      return on_send(*frame.mutable_send());
    case wire::ClientFrame::kStageSlices:
      return on_stage_slices(*frame.mutable_stage_slices());
    case wire::ClientFrame::kVoid:
      return on_void(frame.void_());
    case wire::ClientFrame::kAck:
      return on_ack(frame.ack());
    case wire::ClientFrame::kRead:
      return on_read(frame.read());
    case wire::ClientFrame::kPull:
      return on_pull(frame.pull());
    case wire::ClientFrame::kPing: {
      wire::ServerFrame pong;
      pong.mutable_pong()->set_token(frame.ping().token());
      return send(pong);
    }
    case wire::ClientFrame::kPong:         // that it came is all it says
    case wire::ClientFrame::BODY_NOT_SET:  // of a type that this version does not know
      return;
  }
}

// ---- Authentication ------------------------------------------------------------------------------------------------

void GatewaySession::on_hello(wire::Hello hello) {
  const Result<std::uint32_t> protocol = check_hello(hello);
  if (!protocol.ok()) return fail(protocol.error());

  const std::string token = bearer_token_ ? std::move(*bearer_token_) : std::move(*hello.mutable_access_token());
  bearer_token_.reset();
  hello.clear_access_token();
  if (token.empty()) return fail(error(Code::kUnauthenticated, "no access token"));
  const WallTime wall_now = shard_.executor.clock().wall_now();
  const Result<Identity> identity = shard_.tokens.verify_access_token(token, wall_now);
  if (!identity.ok()) return fail(identity.error());

  device_ = identity->device_id;
  session_ = identity->session_id;
  encryption_ = agrees_on(hello, kFeatureEncryption);
  token_expiry_ = now() + (identity->expires - wall_now);
  state_ = State::kLoading;
  // Followed before the streams are read, so that no item falls between the two.
  user_ = &shard_.join(*this, identity->user_id);
  place_ = shard_.directory.enter(device_);

  shard_.read(*this,
              [proven = *identity, wall_now, chosen = *protocol, counted = encryption_,
               asked = std::move(hello)](StoreReader& reader) mutable -> SessionShard::Continuation {
                Loaded loaded;
                loaded.protocol = chosen;
                loaded.hello = std::move(asked);
                auto load = [&]() -> Status {
                  CHATSDK_TRY(check_session_open(reader, proven, wall_now));
                  CHATSDK_ASSIGN(loaded.followed, reader.followed(proven.user_id, proven.device_id));
                  CHATSDK_ASSIGN(loaded.key_counts, reader.key_counts(proven.device_id));
                  if (counted) {
                    CHATSDK_ASSIGN(loaded.encryption_counter, reader.encryption_counter(proven.device_id));
                  }
                  return {};
                };
                if (Status status = load(); !status.ok()) loaded.failure = refusal_of(std::move(status).error());
                return [loaded = std::move(loaded)](GatewaySession& session) mutable {
                  session.on_loaded(std::move(loaded));
                };
              });
}

Result<std::uint32_t> GatewaySession::check_hello(const wire::Hello& hello) const {
  const std::uint32_t lowest = std::max(hello.protocol_min(), kProtocolMin);
  const std::uint32_t highest = std::min(hello.protocol_max(), kProtocolMax);
  if (lowest > highest) {
    return error(Code::kProtocol, "the client speaks protocol " + std::to_string(hello.protocol_min()) + " to " +
                                      std::to_string(hello.protocol_max()) + ", the server " +
                                      std::to_string(kProtocolMin) + " to " + std::to_string(kProtocolMax));
  }
  const int count = hello.stream_ids_size();
  if (hello.seqs_size() != count || hello.marks_revisions_size() != count) {
    return error(Code::kProtocol, "cursor arrays of " + std::to_string(count) + ", " +
                                      std::to_string(hello.seqs_size()) + " and " +
                                      std::to_string(hello.marks_revisions_size()) + " entries");
  }
  if (static_cast<std::size_t>(count) > limits::kHelloCursorsMax) {
    return error(Code::kProtocol,
                 "hello of " + std::to_string(count) + " cursors, limit " + std::to_string(limits::kHelloCursorsMax));
  }
  return highest;
}

void GatewaySession::on_loaded(Loaded loaded) {
  if (closed()) return;
  if (loaded.failure.code != Code::kOk) return fail(loaded.failure);
  // Only now: a token whose session has ended must not end the connection of the session that is open.
  shard_.directory.admit(place_);
  if (place_.replaced()) return fail(error(Code::kReplaced, "the device connected anew"));
  shard_.announce(*this);
  if (Status placed = place_streams(loaded.hello, loaded.followed); !placed.ok()) return fail(placed.error());
  const bool went_back = loaded.hello.encryption_counter() < loaded.encryption_counter;
  if (went_back && !CHATSDK_PLANTED(Bug::kDeviceGoesBackUnnoticed)) {
    return fail(error(Code::kRolledBack, "the device has encrypted " +
                                             std::to_string(loaded.hello.encryption_counter()) + " items, and number " +
                                             std::to_string(loaded.encryption_counter) + " was accepted"));
  }
  state_ = State::kLive;
  CHATSDK_FAULT("gateway.between_admission_and_welcome");
  send_welcome(loaded);
  shard_.write(*this, TouchDevice{device_, shard_.executor.clock().wall_now()},
               [](GatewaySession&, Result<WriteAnswer>) {});
  pump();
}

void GatewaySession::send_welcome(const Loaded& loaded) {
  const wire::Hello& hello = loaded.hello;
  wire::ServerFrame frame;
  wire::Welcome& welcome = *frame.mutable_welcome();
  const WallTime wall_now = shard_.executor.clock().wall_now();
  welcome.set_protocol(loaded.protocol);
  for (const std::string& feature : shard_.options.features) {
    if (agrees_on(hello, feature)) welcome.add_features(feature);
  }
  welcome.set_user_id(*user_);
  welcome.set_device_id(device_.value);
  welcome.set_account_stream_id(account_stream_.value);
  welcome.set_store_epoch(shard_.store_epoch);
  welcome.set_server_time_ms(to_unix_ms(wall_now));
  welcome.set_token_expires_at_ms(to_unix_ms(wall_now + (token_expiry_ - now())));
  welcome.set_heartbeat_ms(static_cast<std::uint32_t>(shard_.options.heartbeat.count()));
  welcome.set_text_bytes_max(static_cast<std::uint32_t>(shard_.options.text_bytes_max));
  welcome.set_send_window(static_cast<std::uint32_t>(shard_.options.send_window));
  welcome.set_sends_in_flight(static_cast<std::uint32_t>(shard_.options.sends_in_flight));
  if (loaded.key_counts) set_key_counts(*welcome.mutable_key_counts(), *loaded.key_counts);
  send(frame);
}

bool GatewaySession::agrees_on(const wire::Hello& hello, std::string_view feature) const {
  const auto names = [feature](const auto& features) {
    return std::find(features.begin(), features.end(), feature) != features.end();
  };
  return names(shard_.options.features) && names(hello.features());
}

Status GatewaySession::admit_renewal() const {
  Error refused;
  if (renewing_) {
    refused = error(Code::kRateLimited, "a renewal while the one before is unanswered");
  } else if (now() < next_renewal_) {
    refused = error(Code::kRateLimited, "a renewal within " + ms_text(limits::kRenewalIntervalMin) + " of the last");
  } else {
    return {};
  }
  refused.retry_after = limits::kRetryBusy;
  return refused;
}

void GatewaySession::on_authenticate(const wire::Authenticate& authenticate) {
  // Before the token is looked at: verifying it, and asking the store, is what a flood would cost.
  if (const Status admitted = admit_renewal(); !admitted.ok()) return fail(admitted.error());
  const WallTime wall_now = shard_.executor.clock().wall_now();
  const Result<Identity> identity = shard_.tokens.verify_access_token(authenticate.access_token(), wall_now);
  if (!identity.ok()) return fail(identity.error());
  if (identity->user_id != *user_ || identity->device_id != device_) {
    return fail(error(Code::kUnauthenticated, "the new token is another device's"));
  }
  renewing_ = true;
  next_renewal_ = now() + limits::kRenewalIntervalMin;
  shard_.read(*this, [proven = *identity, wall_now](StoreReader& reader) -> SessionShard::Continuation {
    Status open = check_session_open(reader, proven, wall_now);
    return [proven, open = std::move(open)](GatewaySession& session) { session.on_renewed(proven, open); };
  });
}

void GatewaySession::on_renewed(const Identity& identity, const Status& session_open) {
  if (closed()) return;
  renewing_ = false;
  CHATSDK_FAULT("gateway.before_renewal_is_told");
  if (!session_open.ok()) return fail(refusal_of(session_open.error()));
  session_ = identity.session_id;
  const WallTime wall_now = shard_.executor.clock().wall_now();
  token_expiry_ = now() + (identity.expires - wall_now);
  wire::ServerFrame frame;
  frame.mutable_authenticated()->set_token_expires_at_ms(to_unix_ms(identity.expires));
  frame.mutable_authenticated()->set_server_time_ms(to_unix_ms(wall_now));
  send(frame);
}

void GatewaySession::on_kick(const Kick& kick) {
  if (closed() || kick.except_connection == connection_) return;
  if (kick.device_id && kick.device_id != device_) return;
  if (kick.except_session && kick.except_session == session_) return;
  // Two connections that begun at once announce each other; the directory knows which is the newer.
  if (kick.reason == Code::kReplaced && !place_.replaced()) return;
  if (CHATSDK_PLANTED(Bug::kP10OldConnectionAccepted) && kick.reason == Code::kReplaced) return;
  fail(error(kick.reason, kick.reason == Code::kReplaced ? "the device connected anew" : "the session was ended"));
}

void GatewaySession::on_keys_hint(const KeysHint& hint) {
  if (state_ == State::kLive && hint.device_id == device_) send(hint.frame);
}

// A store that failed or was busy has not said no: the client keeps the message and asks again.
Error GatewaySession::refusal_of(Error refused) {
  if (refused.code > Code::kStorage && refused.code != Code::kBusy) return refused;
  if (refused.code == Code::kStorageFull) {
    return {refused.code, "the server's storage is full", limits::kRetryStorageFull};
  }
  return error(Code::kUnavailable, "the store cannot answer: " + std::string(code_name(refused.code)));
}

// ---- Sending -------------------------------------------------------------------------------------------------------

Status GatewaySession::admit_send(std::size_t bytes) const {
  Error refused;
  if (draining_) {
    refused = error(Code::kUnavailable, "the server is going away");
  } else if (sends_in_flight_ >= shard_.options.sends_in_flight || CHATSDK_FAULT_BRANCH("gateway.too_many_sends")) {
    refused = error(Code::kRateLimited, std::to_string(sends_in_flight_) + " unanswered sends, limit " +
                                            std::to_string(shard_.options.sends_in_flight));
  } else if (sends_in_flight_bytes_ + bytes > 2 * limits::kSendsInFlightBytesMax) {
    refused = error(Code::kRateLimited, std::to_string(sends_in_flight_bytes_) + " B of unanswered sends, limit " +
                                            std::to_string(2 * limits::kSendsInFlightBytesMax) + " B");
  } else {
    return {};
  }
  refused.retry_after = limits::kRetryBusy;
  return refused;
}

void GatewaySession::on_send(wire::Send& send) {
  const Status admitted = admit_send(send.content().size() + bytes_of(send.slices()));
  if (!admitted.ok()) return send_refused(send.client_message_id(), admitted.error());
  Result<AppendMessage> op = check_send(send);
  if (!op.ok()) return send_refused(send.client_message_id(), op.error());
  if (is_encrypted(send)) return on_encrypted_send(send, std::move(op).value());
  const Status content = check_content(send, *op);
  if (!content.ok()) return ask_for_repeat(std::move(op).value(), content.error());
  op->content = std::move(*send.mutable_content());
  const std::size_t bytes = op->content.size();
  submit_send(std::move(op).value(), bytes);
}

void GatewaySession::submit_send(AppendMessage op, std::size_t bytes) {
  const ClientMessageId id = op.client_message_id;
  send_submitted(bytes);
  shard_.write(*this, std::move(op), [id, bytes](GatewaySession& session, Result<WriteAnswer> answer) {
    session.on_send_answered(id, bytes, std::move(answer));
  });
}

// What is no content now may have been accepted under other limits: then it is owed its first answer.
void GatewaySession::ask_for_repeat(AppendMessage op, Error refused) {
  const ClientMessageId id = op.client_message_id;
  op.only_repeat = true;
  send_submitted(0);
  shard_.write(*this, std::move(op),
               [id, refused = std::move(refused)](GatewaySession& session, Result<WriteAnswer> answer) mutable {
                 if (answer.code() == Code::kNotFound) answer = std::move(refused);
                 session.on_send_answered(id, 0, std::move(answer));
               });
}

Result<AppendMessage> GatewaySession::check_send(const wire::Send& send) const {
  AppendMessage op;
  CHATSDK_TRY(check_target(send, op.target, op.client_message_id));
  op.sender = *user_;
  op.sender_device = device_;
  op.session = session_;
  op.send_number = send.send_number();
  op.payload_hash = payload_hash(send.content());
  op.now = shard_.executor.clock().wall_now();
  return op;
}

Status GatewaySession::check_content(const wire::Send& send, AppendMessage& op) const {
  const std::size_t bytes_max = limits::content_bytes_max(shard_.options.text_bytes_max);
  if (send.content().size() > bytes_max) {
    return error(Code::kTooLarge,
                 "content " + std::to_string(send.content().size()) + " B, limit " + std::to_string(bytes_max) + " B");
  }
  CHATSDK_ASSIGN(const content::Content sent, content::read_strictly(send.content(), shard_.options.text_bytes_max));
  const bool is_erased =
      std::visit([](const auto& one) { return std::holds_alternative<content::Erased>(one.kind); }, sent);
  if (is_erased) return error(Code::kInvalidArgument, "content that only a server leaves");
  op.right = right_for(sent);
  const auto* annotation = std::get_if<content::Annotation>(&sent);
  if (annotation == nullptr) return {};
  if (const auto* deletion = std::get_if<content::Delete>(&annotation->kind)) {
    const UserId& author = deletion->target.author;
    if (!author.empty() && author != *user_) return error(Code::kForbidden, "a deletion of another's message");
    op.deletes = deletion->target.id;
  }
  if (const auto* edit = std::get_if<content::Edit>(&annotation->kind)) op.edits = edit->target.id;
  return {};
}

// A session that was ended meanwhile ends the connection, without an answer: the client keeps what it has not heard of.
void GatewaySession::on_send_answered(const ClientMessageId& id, std::size_t bytes, Result<WriteAnswer> answer) {
  if (closed()) return;
  CHATSDK_FAULT("gateway.between_commit_and_send_result");
  if (answer.code() == Code::kUnauthenticated) return fail(answer.error());
  if (!answer.ok()) {
    send_refused(id.view(), refusal_of(std::move(answer).error()));
  } else if (const auto* changed = std::get_if<RosterChanged>(&answer.value())) {
    tell_roster_changed(id, *changed);
  } else {
    wire::ServerFrame frame;
    wire::SendResult& result = *frame.mutable_send_result();
    result.set_client_message_id(id.view().data(), id.view().size());
    set_accepted(*result.mutable_accepted(), std::get<Appended>(answer.value()));
    send(frame);
  }
  answer_given(bytes);
}

void GatewaySession::send_refused(BytesView id, const Error& refused) {
  log_refusal("send", id, refused);
  wire::ServerFrame frame;
  wire::SendResult& result = *frame.mutable_send_result();
  result.set_client_message_id(echo_of(id));
  *result.mutable_refused() = to_wire(refused);
  send(frame);
}

void GatewaySession::on_void(const wire::Void& request) {
  const Status admitted = admit_send(0);
  if (!admitted.ok()) return void_refused(request.client_message_id(), admitted.error());
  Result<VoidMessage> op = check_void(request);
  if (!op.ok()) return void_refused(request.client_message_id(), op.error());
  send_submitted(0);
  const ClientMessageId id = op->client_message_id;
  shard_.write(*this, std::move(op).value(), [id](GatewaySession& session, Result<WriteAnswer> answer) {
    session.on_void_answered(id, std::move(answer));
  });
}

Result<VoidMessage> GatewaySession::check_void(const wire::Void& request) const {
  VoidMessage op;
  CHATSDK_TRY(check_target(request, op.target, op.client_message_id));
  op.sender = *user_;
  op.sender_device = device_;
  op.session = session_;
  op.send_number = request.send_number();
  op.now = shard_.executor.clock().wall_now();
  return op;
}

void GatewaySession::on_void_answered(const ClientMessageId& id, Result<WriteAnswer> answer) {
  if (closed()) return;
  CHATSDK_FAULT("gateway.between_commit_and_void_result");
  if (answer.code() == Code::kUnauthenticated) return fail(answer.error());
  if (!answer.ok()) {
    void_refused(id.view(), refusal_of(std::move(answer).error()));
  } else {
    wire::ServerFrame frame;
    wire::VoidResult& result = *frame.mutable_void_result();
    result.set_client_message_id(id.view().data(), id.view().size());
    const Voided& voided = std::get<Voided>(answer.value());
    if (voided.accepted) {
      set_accepted(*result.mutable_accepted(), *voided.accepted);
    } else {
      result.set_voided(true);
    }
    send(frame);
  }
  answer_given(0);
}

void GatewaySession::void_refused(BytesView id, const Error& refused) {
  log_refusal("void", id, refused);
  wire::ServerFrame frame;
  wire::VoidResult& result = *frame.mutable_void_result();
  result.set_client_message_id(echo_of(id));
  *result.mutable_refused() = to_wire(refused);
  send(frame);
}

void GatewaySession::send_submitted(std::size_t bytes) {
  ++sends_in_flight_;
  sends_in_flight_bytes_ += static_cast<std::uint32_t>(bytes);
  if (sends_in_flight_bytes_ >= limits::kSendsInFlightBytesMax) pause_reading(true);
}

void GatewaySession::pause_reading(bool paused) {
  if (std::exchange(reading_paused_, paused) == paused) return;
  sink_.pause_reading(paused);
  if (paused) return;
  // The silence was ours: the limits on the client's begin anew.
  last_frame_ = now();
  ping_sent_ = false;
  if (blocked_since_ != MonotonicTime{}) blocked_since_ = last_frame_;
}

void GatewaySession::answer_given(std::size_t bytes) {
  if (closed()) return;
  --sends_in_flight_;
  sends_in_flight_bytes_ -= static_cast<std::uint32_t>(bytes);
  if (sends_in_flight_bytes_ <= limits::kSendsInFlightBytesMax / 2) pause_reading(false);
  if (draining_ && sends_in_flight_ == 0 && !closed()) close(CloseCode::kGoingAway);
}

// ---- Time ----------------------------------------------------------------------------------------------------------

void GatewaySession::tick() {
  const MonotonicTime time = now();
  const auto silent = time - last_frame_;
  if (state_ == State::kAwaitingHello && silent >= limits::kHelloTimeout) {
    return fail(error(Code::kUnauthenticated, "no hello within " + ms_text(limits::kHelloTimeout)));
  }
  if (state_ != State::kLive) return;
  if (time >= token_expiry_) return fail(error(Code::kUnauthenticated, "the access token expired"));
  if (reading_paused_) return;  // whatever the client says is not heard now
  if (blocked_since_ != MonotonicTime{} && time - blocked_since_ >= limits::kStalledTimeout) {
    return fail(error(Code::kTimedOut, std::to_string(window_.items()) + " items unacknowledged for " +
                                           ms_text(limits::kStalledTimeout)));
  }
  const auto ping_after = 2 * shard_.options.heartbeat;
  if (ping_sent_ && silent >= ping_after + limits::kPongTimeout) {
    return fail(error(Code::kTimedOut, "no frame for " + ms_text(ping_after + limits::kPongTimeout)));
  }
  if (!ping_sent_ && silent >= ping_after) {
    wire::ServerFrame ping;
    ping.mutable_ping();
    ping_sent_ = true;
    send(ping);
  }
}

void GatewaySession::drain(std::chrono::milliseconds reconnect_after) {
  if (closed()) return;
  if (state_ != State::kLive) {
    Error unavailable = error(Code::kUnavailable, "the server is going away");
    unavailable.retry_after = reconnect_after;
    return fail(unavailable);
  }
  draining_ = true;
  wire::ServerFrame frame;
  frame.mutable_drain()->set_reconnect_after_ms(static_cast<std::uint32_t>(reconnect_after.count()));
  send(frame);
  if (sends_in_flight_ == 0 && !closed()) close(CloseCode::kGoingAway);
}

// ---- The end -------------------------------------------------------------------------------------------------------

void GatewaySession::fail(const Error& reason) {
  if (closed()) return;
  log_end(reason);
  wire::ServerFrame frame;
  *frame.mutable_failure()->mutable_error() = to_wire(reason);
  sink_.send(std::make_shared<const Bytes>(encode(frame)));
  close(close_code_for(reason.code));
}

void GatewaySession::close(CloseCode code) {
  end();
  sink_.close(code);
}

void GatewaySession::on_closed() { end(); }

void GatewaySession::end() {
  state_ = State::kClosed;
  if (place_.entered()) shard_.directory.leave(device_, place_);
  if (user_ != nullptr) shard_.leave(*this);
  user_ = nullptr;
  bearer_token_.reset();
  streams_.clear();
  window_.clear();
}

void GatewaySession::log_end(const Error& reason) const {
  if (!shard_.log.enabled(LogLevel::kInfo)) return;
  shard_.log.write(LogLevel::kInfo, "gateway",
                   "connection " + std::to_string(connection_) + " device " + std::to_string(device_.value) +
                       " ends: " + std::string(code_name(reason.code)) + ": " + reason.detail);
}

void GatewaySession::log_refusal(const char* what, BytesView id, const Error& refused) {
  log_refusal(what, id, std::string(code_name(refused.code)) + ": " + refused.detail);
}

// The id as it came, cut to the length of a whole one; nothing of the content, nor whom it was for.
void GatewaySession::log_refusal(const char* what, BytesView id, const std::string& why) {
  if (!shard_.log.enabled(LogLevel::kInfo)) return;
  const std::string connection = "connection " + std::to_string(connection_);
  const std::string device = " device " + std::to_string(device_.value);
  if (!shard_.refusals.note(connection + device)) return;
  shard_.log.write(LogLevel::kInfo, "gateway",
                   connection + " user " + in_quotes(*user_) + device + " session " + std::to_string(session_.value) +
                       " refused " + what + " " + to_hex(id.substr(0, limits::kClientMessageIdBytes)) + ": " + why);
}

}  // namespace chatsdk::server
