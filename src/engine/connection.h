// SPDX-License-Identifier: Apache-2.0
//
// connection: from "be connected" to a live, authenticated connection, again and again: discovery, upgrade, hello,
// heartbeats, in-band renewal, and the wait before the next attempt. It knows no message: frames of delivery go to its
// observer.
//
//   kStopped ──start──► kNotLoggedIn ──session──► kPreparing ──► kOpening ──► kGreeting ──► kLive
//                            ▲                        ▲  │           │            │           │
//                            └──────session over──────┼──┴───────────┴────────────┴───────────┤
//                                                     └──────────────kWaiting◄────────────────┘
//
// Threads: the executor's.
// Invariants:
//   1. At most one connection is listened to; what an earlier one still delivers is dropped.
//   2. on_lost follows every on_welcome, once.
//   3. No attempt starts before a time that the server named, except after a log-in.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "engine/context.h"
#include "engine/link.h"
#include "engine/session.h"
#include "engine/timer.h"
#include "transport/backoff.h"

namespace chatsdk {

class Connection final : private Link::Listener {
 public:
  class Observer {
   public:
    virtual ~Observer() = default;
    // What the other parts add to it.
    virtual Status complete_hello(wire::Hello&) { return {}; }
    // The server's store is another than before, and this is not stored yet.
    virtual Status before_epoch() { return {}; }
    // Frames may be sent from here on.
    virtual void on_welcome(const wire::Welcome& welcome) = 0;
    // Send and void results, items, caught-up, marks and key counts.
    virtual void on_delivery_frame(wire::ServerFrame& frame) = 0;
    // All that lay ahead is applied, and acknowledged.
    virtual void on_caught_up() = 0;
    virtual void on_writable() = 0;
    virtual void on_lost() = 0;
  };

  Connection(const EngineContext& context, Session& session, RestApi& rest, Observer& observer);

  void start();
  // As start(), with a pause first: what there was has ended for this cause.
  void start_after_loss(const Error& cause);
  void stop();
  void network_changed();
  ConnectionState state() const;

  // What the session tells.
  void session_started();
  void session_over(const Error& cause);
  void token_renewed(const std::string& access_token);
  // Around a log-out: the connection goes first, so that its end is not taken for a refusal.
  void pause();
  void unpause();

  // -- For the delivery parts --
  bool live() const { return phase_ == Phase::kLive; }
  std::uint32_t gateway_attempts() const { return gateway_attempts_; }
  // New sends may go out: live, not draining, and the transport has room.
  bool may_send() const { return live() && !draining_ && writable_; }
  // The transport has room. What answers the server's frames waits for it, so that no flood fills the buffer.
  bool writable() const { return writable_; }
  // False: the transport's buffer is full; the caller stops until on_writable.
  bool send(const wire::ClientFrame& frame);
  void caught_up();
  // Something was delivered in either direction: the next wait is short again.
  void progress();
  // Ends the connection for a reason found on this side; the next attempt comes after a pause.
  void fail(const Error& cause, CloseCode close_code);
  // As fail(), without a farewell: from here on nothing leaves, also of what was sent and waits in the transport. The
  // end itself comes in a turn of its own, since who asks for it may be in the middle of its work.
  void abandon(const Error& cause);

 private:
  enum class Phase {
    kStopped,      // start() is awaited
    kNotLoggedIn,  // a log-in, or the end of a log-out
    kWaiting,      // the pause's end
    kPreparing,    // a token, then the gateway's address
    kOpening,      // the upgrade
    kGreeting,     // Welcome, the answer to Hello
    kLive,         // frames
  };

  void begin_attempt();
  void discover(const std::string& access_token);
  void on_discovered(const std::string& access_token, Result<wire::Connect> answer);
  void open(const std::string& access_token);
  void on_not_opened(const Error& cause);
  // Takes the gateway of an earlier start, if its time has not passed: such a start waits for no REST request.
  void recall_gateway();
  Status remember_gateway();
  bool usable(const std::string& gateway_url) const;
  Status send_hello();
  void on_welcome_frame(const wire::Welcome& welcome);
  Status accept_welcome(const wire::Welcome& welcome);
  void on_failure_frame(const Error& cause);
  void on_drain_frame(const wire::Drain& drain);

  void on_link_open() override;
  void on_link_frame(Frame arrived) override;
  void on_link_writable() override;
  void on_link_closed(const CloseInfo& info) override;

  // Takes leave of the connection, if any, and tells the observer once.
  void leave(std::optional<CloseCode> close_code);
  void on_refused(const Error& cause);
  void wait(const Error& cause);
  void end_wait();
  void become(Phase phase, const Error& cause, std::chrono::milliseconds retry_in);
  void become(Phase phase);

  void send_pong();
  void arm_heartbeat();
  void probe();
  void arm_renewal(std::int64_t token_expires_at_ms, std::int64_t server_time_ms);
  void renew_token();

  const EngineContext& context_;
  Session& session_;
  RestApi& rest_;
  Observer& observer_;

  Phase phase_ = Phase::kStopped;
  bool online_ = false;
  bool owes_lost_ = false;  // on_lost() found no memory
  bool paused_ = false;
  ConnectionState published_ = ConnectionState::kStopped;
  Guard attempt_;  // of everything that belongs to the attempt or connection in progress
  std::unique_ptr<Link> link_;
  std::string token_used_;
  bool auth_retried_ = false;

  std::string gateway_url_;  // from discovery; empty: unknown
  MonotonicTime gateway_valid_until_;
  enum class GatewayFrom { kNowhere, kStore, kDiscovery, kWelcome } gateway_from_ = GatewayFrom::kNowhere;
  bool may_recall_gateway_ = true;      // once for each client
  std::uint32_t gateway_attempts_ = 0;  // of opening it, since a welcome or its discovery

  Backoff backoff_;
  MonotonicTime not_before_;
  Timer wait_timer_;
  Timer phase_timer_;  // the upgrade's and hello's time limit, and a drain's

  bool writable_ = true;
  std::optional<std::uint64_t> pong_owed_;  // to the last ping that came while the transport was full
  bool draining_ = false;
  std::chrono::milliseconds drain_pause_{0};
  std::chrono::milliseconds heartbeat_{0};
  MonotonicTime last_received_;
  MonotonicTime last_sent_;
  std::uint64_t last_ping_ = 0;
  Timer heartbeat_timer_;
  Timer pong_timer_;

  Timer renewal_timer_;
};

}  // namespace chatsdk
