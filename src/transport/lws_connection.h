// SPDX-License-Identifier: Apache-2.0
//
// LwsConnection: one connection of LwsTransport, from the look-up of its host to its end: the host's addresses one
// after the other, the upgrade, whole messages out of fragments, the queue of frames to send, the closing handshake.
// The library's callbacks and the calls below move it; what comes of that it tells its Host. It knows nothing of the
// engine, of other connections, nor of threads.
//
//   waiting ⇄ connecting ──► open ──► closing ──► close sent ──► finished
//      │           │           └───────────────────────────────────▲
//      └───────────┴───────────────────────────────────────────────┘
//
// Threads: the service's, flow() and id() apart.
// Invariants:
//   1. After start(), exactly one finished(), whatever happens; nothing after it.
//   2. The bearer token is written once, into the upgrade request, after the certificate was accepted.
//   3. No frame leaves after our Close (RFC 6455 section 5.5.1).
#pragma once

#include <libwebsockets.h>

#include <chrono>
#include <cstdint>
#include <deque>
#include <memory>
#include <new>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/result.h"
#include "base/task.h"
#include "base/url.h"
#include "transport/lws_flow.h"
#include "transport/lws_transport.h"
#include "transport/resolver.h"
#include "transport/transport.h"

namespace chatsdk {

// Where to connect and what to ask for there.
struct LwsTarget {
  Url url;
  std::string authority;  // the Host header
  std::string subprotocol;
  std::string bearer_token;
  FrameReader reader = nullptr;
};

// INVALID_ARGUMENT: not a WebSocket URL, or a value that cannot stand in a header.
Result<LwsTarget> lws_target(const ConnectRequest& request);

class LwsConnection : public std::enable_shared_from_this<LwsConnection> {
 public:
  using Ref = std::shared_ptr<LwsConnection>;  // the engine's map, the service's map and posted tasks hold it
  using Call = UniqueFunction<void(LwsConnection&)>;

  // What a connection needs of the service that it lives in.
  class Host {
   public:
    virtual ~Host() = default;
    virtual lws_context* context() = 0;  // null: there is none, or it is about to end
    virtual const LwsOptions& options() const = 0;
    virtual MonotonicTime now() const = 0;
    virtual Resolver& resolver() = 0;
    virtual Status trust_roots() = 0;
    // Runs the call in a later turn of the service, unless the connection has finished by then. From any thread.
    virtual void later(Ref connection, Call call) = 0;

    virtual void opened(LwsConnection& connection) = 0;
    virtual void received(LwsConnection& connection, Bytes frame) = 0;
    virtual void drained(LwsConnection& connection) = 0;  // the send buffer, see LwsFlow
    virtual void finished(LwsConnection& connection, const CloseInfo& info) = 0;
    virtual void lost() noexcept = 0;  // for want of memory: the engine begins anew
  };

  // host outlives the connection's finished().
  LwsConnection(Transport::ConnectionId id, LwsTarget target, Host& host);
  LwsConnection(const LwsConnection&) = delete;
  LwsConnection& operator=(const LwsConnection&) = delete;

  Transport::ConnectionId id() const { return id_; }
  LwsFlow& flow() { return flow_; }
  FrameReader reader() const { return target_.reader; }
  bool is_finished() const { return state_ == State::kFinished; }

  // ---- What is asked of it ----

  void start();
  void send(Bytes frame);
  void close(std::uint16_t close_code);
  void abort();
  void read_on();  // the engine has taken enough of what was received

  // ---- What happens to it ----

  // The connection that the library's handle belongs to, null when it has finished or let go of the handle.
  static LwsConnection* of(lws* wsi) { return static_cast<LwsConnection*>(lws_get_opaque_user_data(wsi)); }
  // A callback of the library; its answer.
  int handle(lws* wsi, lws_callback_reasons reason, void* in, std::size_t length);
  // Runs what a callback of the library does. Without memory the connection ends, for no exception may leave the
  // callback; its answer is then `refusal`.
  template <typename Body>
  int contain(int refusal, Body body) noexcept {
    const Ref self = shared_from_this();
    try {
      return body();
    } catch (const std::bad_alloc&) {
      failing_ = true;
      if (wsi_ != nullptr) lws_set_timeout(wsi_, PENDING_TIMEOUT_USER_OK, LWS_TO_KILL_ASYNC);
      host_.lost();
      return refusal;
    }
  }
  // The library's verify callback: whether the handshake goes on.
  bool accepts_certificate(void* store_context, std::size_t verdict);

  // ---- The end of the context ----

  // The reason, unless there is one already.
  void blame(Code code, std::string_view detail, Cause cause = {}) noexcept;
  void blame(Error why);
  void forget_timer(lws_context* context);
  void finish();

 private:
  enum class State {
    kWaiting,     // for the host's addresses, or for the turn in which the next one is tried
    kConnecting,  // one address: TCP, TLS, upgrade
    kOpen,        // frames go both ways
    kClosing,     // what is queued leaves, then our Close; what comes in still counts, unless failing_
    kCloseSent,   // the peer's Close is awaited, or the end of its stream; what comes in is dropped
    kFinished,    // the host was told
  };
  struct Deadline {
    lws_sorted_usec_list_t timer;  // first, so that the timer's address is the deadline's
    LwsConnection* connection;
  };

  bool was_open() const { return state_ > State::kConnecting; }

  void resolved(Result<std::vector<std::string>> addresses);
  void connect();
  bool try_next_address();

  int append_token(lws* wsi, void* in, std::size_t room) const;
  int judge_answer(lws* wsi);
  int judge_subprotocol(lws* wsi);
  int note_open(lws* wsi);

  int take_part(lws* wsi, BytesView part);
  int write_next(lws* wsi);
  void note_sent();

  int note_peers_close(BytesView payload);
  int fail(std::uint16_t close_code, Code code, std::string_view detail);
  void connecting_failed(std::string_view text);
  void ended(lws* wsi);
  void explain_end(lws* wsi);
  void end_early();

  void arm(std::chrono::milliseconds delay);
  static void on_deadline(lws_sorted_usec_list_t* timer);
  void deadline_passed();

  const Transport::ConnectionId id_;
  LwsTarget target_;
  Host& host_;
  LwsFlow flow_;
  State state_ = State::kWaiting;
  lws* wsi_ = nullptr;
  Deadline deadline_{};
  CloseInfo outcome_{1006, {Code::kOk, {}, {}}, 0};

  // Until it is open.
  Resolver::Ticket look_up_;
  std::vector<std::string> addresses_;  // to try, the next one first
  MonotonicTime give_up_at_{};          // when the time to connect is over
  bool reached_ = false;                // an address has answered: no other is tried
  int tls_refusal_ = 0;                 // judge_certificate()'s

  // While it is open.
  Bytes incoming_;
  std::deque<Bytes> unsent_;
  std::size_t being_sent_ = 0;
  bool failing_ = false;  // it ends for something the peer did: what still comes is dropped
  std::uint16_t close_code_wanted_ = 1000;
};

}  // namespace chatsdk
