// SPDX-License-Identifier: Apache-2.0
//
// One connection's state machine: what a client may say in which state, what the device is sent of each stream, and
// why a connection ends. It knows streams, windows and cursors; it reads and writes the store only through its shard,
// and knows no socket.
//
//   awaiting_hello --Hello--> loading --loaded, admitted--> live --fail, drained--> closed
//         \______________________________ fail _________________________________/^
//
// What comes            awaiting_hello        loading            live               closed
// Hello                 verified, loading     fail PROTOCOL      fail PROTOCOL      ignored
// Authenticate          fail PROTOCOL         fail PROTOCOL      one at a time      ignored
// Ping                  fail PROTOCOL         Pong               Pong               ignored
// another known frame   fail PROTOCOL         fail PROTOCOL      handled            ignored
// an unknown frame      fail PROTOCOL         ignored            ignored            ignored
// not protobuf          fail MALFORMED        fail MALFORMED     fail MALFORMED     ignored
// a hint of the bus     cannot come           remembered         sent or read       ignored
//
// What a connection that has not agreed on kFeatureEncryption stages is ignored like an unknown frame.
//
// A failure is a Failure frame and the close code that follows from its error. A bad value in a Send or Void is
// refused in its answer, and the connection stays. Both are logged.
//
// Threads: the shard's executor.
// Invariants:
//   1. Items of a stream are sent in order without a gap: a frame follows what was sent before it, or the stream is
//      read from the store.
//   2. At most window_items items and window_bytes bytes are unacknowledged, except for one item that is larger alone.
//   3. At most one read of streams is under way.
//   4. A connection is admitted only when the store says that its session is open, and before anything of it is
//      submitted or answered with a welcome. Nothing of a connection is submitted after a newer one of its device was
//      admitted.
//   5. At most one renewal is under way.
//   6. The content of unanswered sends, slices included, is at most twice kSendsInFlightBytesMax: from that limit on
//      nothing is read, and what had been received already has as much room again.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/executor.h"
#include "base/leaky_bucket.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/task.h"
#include "server-reference/bus/bus.h"
#include "server-reference/gateway/connection.h"
#include "server-reference/gateway/connection_directory.h"
#include "server-reference/gateway/stream_table.h"
#include "server-reference/services/frame_builder.h"
#include "server-reference/services/http_service.h"
#include "server-reference/services/marks_service.h"
#include "server-reference/services/refusal_log.h"
#include "server-reference/store/store.h"

namespace chatsdk::server {

struct GatewayOptions {
  std::size_t text_bytes_max = limits::kTextBytesDefault;
  std::vector<std::string> features = {std::string(kFeatureEncryption)};  // that this server offers
  std::chrono::milliseconds heartbeat = limits::kHeartbeatDefault;
  std::size_t window_items = limits::kWindowItemsMax;
  std::size_t window_bytes = limits::kWindowBytesMax;
  // Of frames that the peer has not taken; above it the peer reads too slowly and is closed. More than the window and
  // what is said beside it take, or one that reads well is closed too.
  std::size_t write_bytes_max = limits::kConnectionWriteBytesMax;
  // Sends that a client may have unanswered: in one conversation, and in all.
  std::size_t send_window = limits::kSendWindow;
  std::size_t sends_in_flight = limits::kSendsInFlightMax;
  // Far above what a device does by itself, also when it empties a long outbox; below what would occupy a shard.
  std::uint32_t frames_per_second = limits::kFramesPerSecond;
  std::uint32_t frames_burst = limits::kFramesBurst;
  // Reconnect times named by a drain are uniform in [0, drain_spread).
  std::chrono::milliseconds drain_spread = limits::kDrainSpread;
};

class GatewaySession;

// What a session asks of its shard.
class SessionShard {
 public:
  using Continuation = UniqueFunction<void(GatewaySession&)>;
  using Reading = UniqueFunction<Continuation(StoreReader&)>;
  using Answered = UniqueFunction<void(GatewaySession&, Result<WriteAnswer>)>;

  SessionShard(const GatewayOptions& shard_options, Executor& shard_executor, const TokenVerifier& verifier,
               MarksService& marks_service, ConnectionDirectory& connection_directory, Log& shard_log,
               std::uint64_t epoch)
      : options(shard_options),
        executor(shard_executor),
        tokens(verifier),
        marks(marks_service),
        directory(connection_directory),
        log(shard_log),
        refusals(shard_executor.clock(), shard_log, {"gateway", limits::kRefusedSendsLogged}),
        store_epoch(epoch) {}
  virtual ~SessionShard() = default;

  // The connection belongs to this user: the user's messages come to it. The name lives until leave.
  virtual const UserId& join(GatewaySession& session, const UserId& user) = 0;
  virtual void leave(GatewaySession& session) = 0;
  // A newer connection of the session's device is here: older ones shall end.
  virtual void announce(const GatewaySession& session) = 0;
  // Runs on the reader's executor; what it returns runs here if the session still exists.
  virtual void read(const GatewaySession& session, Reading reading) = 0;
  // In the order of the calls; answered runs here if the session still exists.
  virtual void write(const GatewaySession& session, WriteOp op, Answered answered) = 0;

  const GatewayOptions& options;
  Executor& executor;
  const TokenVerifier& tokens;
  MarksService& marks;
  ConnectionDirectory& directory;
  Log& log;
  RefusalLog refusals;  // a kind is a connection
  const std::uint64_t store_epoch;
};

class GatewaySession {
 public:
  GatewaySession(SessionShard& shard, const ConnectionInfo& info, FrameSink& sink);
  ~GatewaySession();
  GatewaySession(const GatewaySession&) = delete;
  GatewaySession& operator=(const GatewaySession&) = delete;

  void on_frame(BytesView bytes);
  void on_item_hint(const ItemHint& hint);
  void on_marks_hint(const MarksHint& hint);
  void on_heads(const HeadDigest& digest);
  // What was lost with a digest only the store can tell.
  void on_digest_missed();
  void on_kick(const Kick& kick);
  // One that comes before the welcome is not kept: the device's next connection has the counts.
  void on_keys_hint(const KeysHint& hint);
  // Time passes: called at least every second.
  void tick();
  // Tells the client to reconnect after the given time and ends when every send was answered.
  void drain(std::chrono::milliseconds reconnect_after);
  // The sink is dead: nothing may be sent any more.
  void on_closed();

  ConnectionId connection() const { return connection_; }
  DeviceId device() const { return device_; }
  const UserId* user() const { return user_; }
  bool closed() const { return state_ == State::kClosed; }
  const DeliveryWindow& window() const { return window_; }
  std::size_t sends_in_flight() const { return sends_in_flight_; }

  // The shard's list of one user's sessions runs through them.
  GatewaySession* next_of_user = nullptr;

 private:
  enum class State : std::uint8_t {
    kAwaitingHello,  // nothing is known; a hello or the time limit ends it
    kLoading,        // the token is good; the store is asked for the device's session and streams
    kLive,           // welcomed
    kClosed,         // the sink is closed or dead; waits to be destroyed
  };
  struct Loaded;

  void on_hello(wire::Hello hello);
  Result<std::uint32_t> check_hello(const wire::Hello& hello) const;
  void on_loaded(Loaded loaded);
  Status place_streams(const wire::Hello& hello, const std::vector<FollowedStream>& followed);
  void send_welcome(const Loaded& loaded);

  void on_live_frame(wire::ClientFrame& frame);
  void on_authenticate(const wire::Authenticate& authenticate);
  Status admit_renewal() const;
  void on_renewed(const Identity& identity, const Status& session_open);
  void on_send(wire::Send& send);
  Result<AppendMessage> check_send(const wire::Send& send) const;  // all but the content
  // Says in op what the content deletes or edits.
  Status check_content(const wire::Send& send, AppendMessage& op) const;
  // session_encrypted.cpp
  void on_encrypted_send(wire::Send& send, AppendMessage op);
  void on_stage_slices(wire::StageSlices& stage);
  Result<StageSlices> check_stage(wire::StageSlices& stage) const;
  void tell_roster_changed(const ClientMessageId& id, const RosterChanged& changed);
  void submit_send(AppendMessage op, std::size_t bytes);
  void ask_for_repeat(AppendMessage op, Error refused);
  void on_void(const wire::Void& request);
  Result<VoidMessage> check_void(const wire::Void& request) const;
  void on_ack(const wire::Ack& ack);
  void on_read(const wire::Read& read);
  void on_pull(const wire::Pull& pull);
  void on_send_answered(const ClientMessageId& id, std::size_t bytes, Result<WriteAnswer> answer);
  void on_void_answered(const ClientMessageId& id, Result<WriteAnswer> answer);
  void send_refused(BytesView id, const Error& error);
  void void_refused(BytesView id, const Error& error);
  Status admit_send(std::size_t bytes) const;
  void send_submitted(std::size_t bytes);
  void answer_given(std::size_t bytes);
  void pause_reading(bool paused);

  // Sends what there is to send and room for, until a read is under way or nothing is left.
  void pump();
  StreamEntry* next_behind();
  void read_items(const StreamEntry& entry);
  void on_items(StreamId stream, Seq after, Result<ItemPage> page);
  void read_marks(const StreamEntry& entry);
  void on_marks(ConversationId conversation, std::uint64_t after, Result<std::vector<MarkAdvance>> advances);
  void read_followed();
  void on_followed(Result<std::vector<FollowedStream>> followed);
  void follow(const FollowedStream& stream);
  bool room_for_page() const;
  bool room_for_hint(std::size_t bytes) const;
  void fail_to_read(const std::string& what, const Error& failure);
  void send_caught_up(StreamId stream, Seq seq);

  void send(const wire::ServerFrame& frame);
  void send(SharedFrame frame);
  void fail(const Error& error);
  void close(CloseCode code);
  void end();
  void log_end(const Error& error) const;
  static Error refusal_of(Error refused);  // what a client is told of the store's
  bool agrees_on(const wire::Hello& hello, std::string_view feature) const;
  void log_refusal(const char* what, BytesView id, const Error& error);
  void log_refusal(const char* what, BytesView id, const std::string& why);
  MonotonicTime now() const { return shard_.executor.clock().monotonic_now(); }

  SessionShard& shard_;
  FrameSink& sink_;
  const ConnectionId connection_;
  std::unique_ptr<std::string> bearer_token_;  // until the hello
  const UserId* user_ = nullptr;               // set from the verified hello until the end
  DeviceId device_;
  SessionId session_;
  ConnectionDirectory::Place place_;  // entered from the verified hello until the end
  StreamTable streams_;
  DeliveryWindow window_;
  StreamId account_stream_;
  StreamId last_read_;       // streams take turns
  Seq account_covered_ = 0;  // the account stream's head when the followed streams were read
  MonotonicTime last_frame_;
  MonotonicTime token_expiry_;
  MonotonicTime next_renewal_;    // no renewal is taken before
  LeakyBucket rate_;              // of frames
  MonotonicTime blocked_since_;   // a full window without progress; the epoch when there is none
  std::uint32_t page_items_ = 0;  // of the window, kept free for the page that is being read
  std::uint32_t page_bytes_ = 0;
  std::uint32_t sends_in_flight_bytes_ = 0;
  std::uint16_t sends_in_flight_ = 0;
  State state_ = State::kAwaitingHello;
  bool encryption_ = false;  // both sides know kFeatureEncryption
  bool reading_ = false;
  bool look_again_ = false;  // which streams there are and how far they go is to be read
  bool renewing_ = false;
  bool caught_up_ = false;           // CaughtUp of all streams was sent
  bool await_empty_window_ = false;  // an item larger than the room left is next
  bool ping_sent_ = false;           // since the last frame
  bool draining_ = false;
  bool reading_paused_ = false;  // until sends were answered
};

}  // namespace chatsdk::server
