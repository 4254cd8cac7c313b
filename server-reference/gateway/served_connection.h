// SPDX-License-Identifier: Apache-2.0
//
// One accepted connection as a state machine over bytes: HTTP/1.1 requests, and after an upgrade a WebSocket. It gives
// requests to the HttpService and frames to the ConnectionHandler, and packs what they send into few large writes. It
// knows no socket, no TLS and no library: a Carrier takes its bytes.
//
//   head --head--> body --body--> answering --answer--> head (keep-alive) | lingering
//   head --upgrade--> open --close()--> closing --peer's close--> lingering
//                     open --peer's close, violation--> lingering
//   any --the carrier ended--> ended
//
// head       a request head is awaited, or the first byte after an answer
// body       the head is known, its body is awaited
// answering  the service has the request; later requests wait as bytes
// open       WebSocket
// closing    our close frame is queued or sent; the peer's is awaited, its other frames are dropped
// lingering  the last byte goes out, then our half ends; input is dropped until the peer ends its half
// ended      nothing more
//
// Threads: the shard's executor; a Responder is called from any thread.
// Invariants:
//   1. on_open, on_frame..., then exactly one on_closed, never inside a call of the FrameSink.
//   2. A request is answered once: by its service, or by a refusal here.
//   3. Nothing is handed to the carrier while it is choked.
//   4. A request counts from its first byte until its answer is with the kernel, or, where the connection ends with it,
//      until that has ended.
//   5. But for what one read brought, its share of the budget covers what it holds before its user is known: what the
//      share held at first until a first head or frame is whole, a request until its answer, a first frame that comes
//      in pieces, and what was answered until the kernel has it.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/leaky_bucket.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/task.h"
#include "server-reference/gateway/address_counts.h"
#include "server-reference/gateway/connection.h"
#include "server-reference/gateway/http_codec.h"
#include "server-reference/gateway/unproven_budget.h"
#include "server-reference/gateway/ws_codec.h"
#include "server-reference/services/http_service.h"
#include "server-reference/services/refusal_log.h"

namespace chatsdk::server {

struct ServingOptions {
  std::size_t message_bytes_max = limits::client_frame_bytes_max(limits::kTextBytesDefault);
  // Of one connection's WebSocket frames those that bring no whole message, for messages are counted by their session:
  // pings, pongs and fragments. Above: 1013.
  std::uint32_t frames_per_second = limits::kFramesPerSecond;
  std::uint32_t frames_burst = limits::kFramesBurst;
  // Connections above these are refused: WebSockets with 503, others by not being accepted until one ends.
  std::size_t websockets_max = limits::kConnectionsDefault;
  // Origins of web pages that may connect, beside pages of this very host: "https://app.example". "*": any.
  // Clients that are not browsers send no origin and are not asked for one.
  std::vector<std::string> allowed_origins;
  std::chrono::milliseconds request_read_timeout = limits::kRequestReadTimeout;
  std::chrono::milliseconds keep_alive_timeout = limits::kKeepAliveTimeout;
  std::chrono::milliseconds answer_timeout = limits::kAnswerTimeout;
  std::chrono::milliseconds close_timeout = limits::kCloseTimeout;
  std::chrono::milliseconds linger_timeout = limits::kLingerTimeout;
  // Above, what came is refused with 503 or 1013; a connection that is just accepted is closed.
  UnprovenLimits unproven;
  std::chrono::seconds refused_retry_after = limits::kRetryFull;
};

// Counts over all shards.
struct ServingState {
  std::atomic<bool> draining = false;
  std::atomic<std::size_t> websockets = 0;
  std::atomic<std::size_t> connections = 0;
  AddressCounts addresses;
  UnprovenBudget unproven;
};

// What the connections of one shard share.
struct Serving {
  const ServingOptions& options;
  ServingState& state;
  Log& log;
  const Clock& clock;
  RefusalLog refusals{clock, log, {"listener", limits::kRefusedRequestsLogged}};  // heads and upgrades
  ConnectionHandler* handler = nullptr;
  HttpService* http = nullptr;
  const TokenVerifier* verifier = nullptr;  // null: upgrades are not checked for their token
  std::string pack{};                       // where ready frames are packed; empty between writes
  std::size_t requests = 0;                 // connections with a request that is counted, and not ended
  bool counting = true;                     // until the shard drains
  Task requests_done{};                     // when the last of them ends
};

class ServedConnection final : public FrameSink {
 public:
  // What carries the bytes of one connection. Its calls never call back into the connection before they return.
  class Carrier {
   public:
    virtual ~Carrier() = default;
    // Takes all of bytes. May leave the carrier choked until it calls flush() again.
    virtual void write(std::span<char> bytes) = 0;
    virtual bool choked() const = 0;
    // Of the bytes taken, those that the kernel has not; exact when not choked.
    virtual std::size_t unsent_bytes() const = 0;
    // flush() comes at the end of the turn.
    virtual void flush_later() = 0;
    virtual void pause_reading(bool paused) = 0;
    // Ends our half; the peer reads an end after the last byte.
    virtual void end_writing() = 0;
    // on_deadline() comes after this time; replaces the deadline set before. nullopt: none.
    virtual void set_deadline(std::optional<std::chrono::milliseconds> after) = 0;
    // Ends the connection; on_ended() follows.
    virtual void abort() = 0;
    // Gives an answer to answer(request_number, ...) in a turn, if the connection still exists. Called on any thread.
    virtual HttpService::Respond responder(std::uint32_t request_number) = 0;
  };

  ServedConnection(Serving& serving, Carrier& carrier, ConnectionId id, std::string remote_address,
                   UnprovenShare share);
  ~ServedConnection() override;
  ServedConnection(const ServedConnection&) = delete;
  ServedConnection& operator=(const ServedConnection&) = delete;

  // FrameSink
  void send(std::shared_ptr<const Bytes> frame) override;
  std::size_t queued_bytes() const override { return queued_bytes_ + carrier_.unsent_bytes(); }
  void pause_reading(bool paused) override;
  void close(CloseCode code) override;

  // Of the carrier. Bytes are changed in place.
  void on_bytes(std::span<char> bytes);
  void on_deadline();
  void on_ended();
  void flush();
  void answer(std::uint32_t request_number, HttpResponse response);

 private:
  enum class State : std::uint8_t { kHead, kBody, kAnswering, kOpen, kClosing, kLingering, kEnded };
  using Headers = std::map<std::string, std::string>;
  struct RefusedUpgrade {
    HttpRefusal why;
    Headers headers;
  };
  // What only a connection that speaks HTTP needs; gone after the upgrade.
  struct Http {
    std::string remote_address;
    std::string input;  // bytes of requests that are not used yet
    HttpHead head;
    std::size_t asked_bytes = 0;  // of the body that the service has
    bool without_body = false;    // the answer that is awaited: HEAD
    std::uint32_t request_number = 0;
    bool request_begun = true;  // false between an answer and the next request's first byte
  };
  struct Queued {
    std::shared_ptr<const Bytes> bytes;
    bool needs_header = false;  // a message that gets its frame header when it is packed
  };

  void on_http_input();
  bool take_head();
  bool take_body();
  void dispatch();
  void await_next_request();
  void refuse(const HttpRefusal& refusal, Headers headers = {});
  void log_refusal(const HttpRefusal& refusal);
  Headers::value_type retry_after() const;
  static Headers::value_type upgrade_to_websocket();
  bool begin_websocket();
  std::optional<RefusedUpgrade> refuse_upgrade() const;
  bool origin_allowed() const;
  Status check_token() const;
  void on_websocket_input(std::span<char> bytes);
  bool within_frame_rate(const WsReader::Event& event);
  void violate(CloseCode code, const char* reason);
  std::size_t unproven_bytes() const;
  bool within_budget();
  void on_over_budget();

  void queue(Bytes bytes, bool needs_header = false);
  void enqueue(Queued item);
  void pack_some();
  void linger();
  void count_request();
  void end_request();
  void end_session();

  Serving& serving_;
  Carrier& carrier_;
  const ConnectionId id_;
  UnprovenShare share_;
  const std::size_t first_share_;  // until a head or a frame was whole
  std::unique_ptr<Http> http_;
  WsReader reader_;
  std::uint64_t frames_counted_ = 0;  // of reader_.frames()
  LeakyBucket frame_rate_;
  std::vector<Queued> queue_;
  std::size_t queue_begin_ = 0;   // the first of queue_ that is not packed whole
  std::size_t front_offset_ = 0;  // packed bytes of that one, its header included
  std::size_t queued_bytes_ = 0;  // not packed yet, headers included
  State state_ = State::kHead;
  bool writing_ended_ = false;
  bool request_counted_ = false;
  bool said_whole_ = false;  // a head or a frame; after a frame it is the session that knows its user
};

}  // namespace chatsdk::server
