// SPDX-License-Identifier: Apache-2.0
//
// The properties that a run must have, judged from its recorded history alone (history.h). "Nothing lost" is what they
// say together: for every accepted message and every device entitled to it, the count of that message in the device's
// final history is exactly one, at the same place with the same content everywhere; every queued message ends accepted
// or visibly failed; nothing else ever appears.
//
//   S1  no invention        what is shown or stored has an earlier send          checkers_order.cpp
//   S2  agreement           one message at a place, one place for a message      checkers_order.cpp
//   S3  at most once        in each device's store                               checkers_order.cpp
//   S4  order               rows by seq; pending ones at the tail, as sent       checkers_order.cpp
//   S5  sender's order      messages are accepted in the order they were sent    checkers_order.cpp
//   S6  ack is durable      the server keeps what it has accepted                checkers_durability.cpp
//   S7  queued is durable   what was sent leaves a trace, failures have a cause  checkers_durability.cpp
//   S8  no gap in silence   a cursor passes only what is stored                  checkers_durability.cpp
//   S9  only forwards       states, receipts                                     checkers_receipts.cpp
//   sync                    who is told that all agrees has nothing that waits   checkers_receipts.cpp
//   S14 bounds, rates       every declared limit                                 checkers_streams.cpp
//   S15 idempotence         the same question, the same answer                   checkers_streams.cpp
//   S17 streams             dense, append-only, immutable; trims and pushes      checkers_streams.cpp
//   L1-L5                   once faults have ended                               checkers_liveness.cpp
//
// S10 to S13 and S16 speak of groups, encryption and tenants; each takes its number in the table above, its class in a
// file by the same rule and its line in Checkers' constructor together with the feature that it judges.
//
// Safety holds at every prefix of a history, so each record is judged when it is recorded; liveness is judged from the
// final state. Faults are context: no checker reads one to excuse something. A crash of a device is read in one place
// only, and not as an excuse: from there to the StoreRead after its restart nobody has seen what its store holds, so a
// receipt that only that store can bear out is judged at that read. If it is never read, because the device has left
// for good, the message must be on what its user has in the end.
//
// ---- When the server's store was put back to an older state --------------------------------------------------------
//
// EpochBegun ends what lies above each conversation's restored head: those sequences are void and may be used again,
// and acceptances above are no longer promises. Still to hold:
//   - everything at or below the head, as if nothing had happened: S2, S6, S17;
//   - what a device says while its store is in the older epoch agrees with that epoch (S2), what it says from its
//     EpochSeen on with the newer one;
//   - within one epoch every property as ever; a message has at most one place in each epoch, and may have another in
//     the next one (its sender never heard of the acceptance and sent it again), but is in each store once (S3);
//   - a device's cursors and receipts start anew with its EpochSeen, and never fall between two of them (S9); the state
//     of an own message may fall from read or delivered to sent there, never below;
//   - a message that a device has shown stays in its store (S7, S8): placed by the newer epoch, or without a place
//   until
//     the store says rolled_back; at the end nothing without a place is left untold (L1);
//   - answers and tombstones from before are forgotten (S15); tokens and requests too.
//
// Threads: one.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "sim/history.h"

namespace chatsdk::sim {

struct Violation {
  std::string property;  // "S4"
  std::string message;   // with ids and numbers; whole sentences
  ConversationNumber conversation = kNoConversation;
  std::uint64_t event = 0;  // number of the record that showed it; 0: the final state
};

// What the world knows once faults have ended and the time limit for convergence has passed. The reads have been
// recorded as events too, so that safety judged them.
struct FinalState {
  struct Eligible {
    ConversationNumber conversation = 0;
    DeviceNumber device = 0;
  };
  struct Activity {
    NodeNumber node = 0;
    std::string what;  // "outbox", "frames in flight", "timers other than heartbeats", ...
    std::uint64_t count = 0;
  };
  struct Probe {
    DeviceNumber from = 0;
    DeviceNumber to = 0;
    ConversationNumber conversation = 0;
    ClientMessageId k;
    bool arrived = false;    // shown at `to`
    bool read_back = false;  // `from` shows it as read
  };

  std::vector<Eligible> eligible;              // devices that must have everything of the conversation
  std::vector<event::StoreRead> server_reads;  // one for each conversation
  std::vector<event::StoreRead> device_reads;  // one for each eligible device and conversation, and any others
  std::vector<event::ReceiptSeen> receipts;    // what each eligible device says of each member, both kinds
  std::vector<Activity> activity;              // work that is left or went on at the time limit, heartbeats apart
  std::vector<Probe> probes;                   // the last round: every device to every other
};

struct CheckerOptions {
  bool stop_at_first = true;  // later findings are mostly echoes of the first
  // What is said inside a connection arrives in the order in which it was said. Else a late refusal may give a message
  // another number than those behind it took for granted: S5 is not judged.
  bool in_order = true;
  // What is said arrives as it was said. Else what a message says, and who says it, may be another thing than anybody
  // meant: only what one side does by itself is judged, S14 and S17.
  bool unaltered = true;
  // The server's owner attacks devices in encrypted conversations: judged is what it cannot take from them. Nothing is
  // shown that nobody said, or twice, or to whom it is not for; bounds hold; and what is said once it is gone arrives.
  bool lied_to = false;
};

class Facts;

// What a property may say of a record: at most one finding is kept for a run that stops at the first.
class Report {
 public:
  virtual ~Report() = default;
  virtual void violation(std::string_view property, ConversationNumber conversation, std::string message) = 0;
};

// One property. on() sees a record and the facts before it, after() the facts with it.
class Property {
 public:
  virtual ~Property() = default;
  virtual void on(const Record& record, const Facts& facts, Report& report);
  virtual void after(const Record& record, const Facts& facts, Report& report);
  // What is left to judge once faults have ended and all has come to rest.
  virtual void at_end(const FinalState& final_state, const Facts& facts, Report& report);
};

class Checkers {
 public:
  explicit Checkers(CheckerOptions options = {});
  ~Checkers();

  // In the order recorded. After the first violation of a run that stops there, records are ignored.
  void on(const Record& record);
  // What safety has left open, then L1 to L5. Nothing is recorded afterwards.
  void at_end(const FinalState& final_state);

  bool ok() const;
  const std::vector<Violation>& violations() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

// "S4 in conversation 3 at event 1204: ..."
std::string to_line(const Violation& violation);

}  // namespace chatsdk::sim
