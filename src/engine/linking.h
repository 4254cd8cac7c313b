// SPDX-License-Identifier: Apache-2.0
//
// linking: brings a new device of the user into the device list, as either side of docs/e2ee.md section 12: the new
// device, which shows a text, or a listed one, which scans it. The steps themselves are e2ee/linking.h's; this carries
// their messages through the server's mailbox, and asks the user.
//
//   new:     begin() ─► offer awaited ─► reveal left ─► code told ─► confirm() ─► grant awaited ─► keys adopted
//   listed:  scan()  ─► offer left ─► reveal awaited ─► code told ─► confirm() ─► grant left
//
// Threads: the executor's.
// Invariants:
//   1. One linking at a time; each that was begun ends with one Events::link_ended, when limits::e2ee::kLinkValid has
//      passed at the latest.
//   2. The account key leaves only behind the user's confirm(), and is in the store before the new device says that the
//      linking is done.
#pragma once

#include <optional>
#include <string>

#include "base/link_step.h"
#include "e2ee/linking.h"
#include "engine/key_upkeep.h"

namespace chatsdk {

class Linking {
 public:
  Linking(const EngineContext& context, E2eeStore& store, Session& session, RestApi& rest, KeyUpkeep& upkeep);

  // The text that a listed device scans. WRONG_STATE: this device needs no link; BUSY: a linking runs.
  Result<std::string> begin();
  // WRONG_STATE: this device is not listed itself; LIMIT_REACHED: no room in the list; BUSY; CRYPTO: no text of a new
  // device of this user, or too old.
  Status scan(std::string_view text);
  // The user has compared the code. WRONG_STATE: none was shown. LIMIT_REACHED: there is no room in the list any more,
  // and the user may agree again once another device is removed.
  Status confirm();
  // Ends what runs.
  void cancel(const Error& cause);
  // A device that this one has let in comes to the list with what was confirmed, or the app is told that the list does
  // not hold.
  void on_own_lists();
  // Two devices' own clocks may differ by more than a text is valid: both go by the server's, as the connection has
  // told it.
  void on_server_time(std::int64_t server_time_ms);
  // How much time has passed since is not known once there is no connection: the device may sleep.
  void on_lost() { server_time_.reset(); }

 private:
  enum class Step { kIdle, kBusy, kConfirm };  // kBusy: something is asked or left; kConfirm: the user is asked

  Status may_begin() const;
  static Status has_room(const e2ee::KnownUser* own);
  void start();
  void await(LinkStep step);
  void ask(LinkStep step);
  void take(LinkStep step, const Bytes& message);
  // again: the server may have it already.
  void leave(LinkStep step, Bytes message, bool again = false);
  void left(LinkStep step);
  void show_code();
  void adopt(const Bytes& grant);
  void end(Status status);
  // Each device that this one lets in, until a list names it; the newest limits::e2ee::kDevicesMax.
  Status keep_let_in(const e2ee::LetIn& device);
  Status forget_let_in(DeviceId device);
  // By the server's clock, or by the own one without a connection.
  std::uint64_t now_ms() const;

  const EngineContext& context_;
  E2eeStore& store_;
  Session& session_;
  RestApi& rest_;
  KeyUpkeep& upkeep_;
  Step step_ = Step::kIdle;
  std::optional<e2ee::LinkNew> new_;  // one of the two, while a linking runs
  std::optional<e2ee::LinkOld> old_;
  e2ee::LinkId link_id_;
  // What the server's clock showed, and when.
  struct ServerTime {
    std::int64_t unix_ms = 0;
    MonotonicTime at;
  };
  std::optional<ServerTime> server_time_;
  const char* missing_ = "";  // what has not happened, where the time is over
  Timer end_timer_;           // pending while a linking runs
  Timer timer_;               // of the next request
  Guard guard_;
};

}  // namespace chatsdk
