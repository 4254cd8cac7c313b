// SPDX-License-Identifier: Apache-2.0
//
// S6 to S8: what was promised to be kept is kept.
#include <algorithm>
#include <map>
#include <unordered_map>
#include <utility>

#include "sim/checker_properties.h"

namespace chatsdk::sim {

using namespace event;

namespace {

// Marks of the messages that one read holds; starting another read forgets them at no cost.
class ReadMarks {
 public:
  void start() { ++read_; }
  void set(MessageIndex message) {
    if (marks_.size() <= message) marks_.resize(std::max<std::size_t>(message + 1, marks_.size() * 2));
    marks_[message] = read_;
  }
  bool has(MessageIndex message) const { return message < marks_.size() && marks_[message] == read_; }

  void set_rows(const StoreRead& read, const Facts& facts) {
    for (const StoredRow& row : read.rows) {
      if (row.placeholder) continue;
      if (const auto index = facts.find(row.k)) set(*index);
    }
  }
  void set_pending(const StoreRead& read, const Facts& facts) {
    for (const PendingRow& row : read.pending) {
      if (const auto index = facts.find(row.k)) set(*index);
    }
  }

 private:
  std::uint64_t read_ = 0;
  std::vector<std::uint64_t> marks_;
};

// ---- S6 ------------------------------------------------------------------------------------------------------------

// What the server has accepted, by an answer on the wire or as a device has shown it, is in every later read of the
// server's store at its place, whatever crashed in between. What was trimmed by its retention rule is judged by S17. A
// message that only devices know of breaks agreement (S2).
class AckIsDurable final : public Property {
 public:
  void on(const Record& record, const Facts& facts, Report& report) override {
    const auto* e = std::get_if<StoreRead>(&record.event);
    if (e == nullptr || e->device != kServer) return;
    marks_.start();
    marks_.set_rows(*e, facts);
    const Epoch epoch = facts.epoch();
    facts.conversation(e->conversation)
        .claims.walk(e->trimmed_below, facts.highest(e->conversation, epoch), [&](const ClaimTable::Slot& slot) {
          const Claim* claim = facts.claim_in(slot, epoch);
          if (claim == nullptr || marks_.has(claim->message)) return true;
          const Message& message = facts.message(claim->message);
          report.violation(claim->by_server ? "S6" : "S2", e->conversation,
                           name_of(message) + ", said to be at seq " + std::to_string(claim->seq) + " at event " +
                               std::to_string(claim->event) + ", is not in the server's store, whose head is " +
                               std::to_string(e->cursor));
          return false;
        });
  }

 private:
  ReadMarks marks_;
};

// ---- S7 ------------------------------------------------------------------------------------------------------------

// A send that returned ok leaves a trace in every later read of its device's store: a row with a place or one that
// waits, failed ones included. Without a trace is right only what the app has discarded, what the app was told has
// failed, and what was accepted at a place that the device's cursor has not reached yet, from where it comes back.
class QueuedIsDurable final : public Property {
 public:
  void on(const Record& record, const Facts& facts, Report& report) override {
    const auto* e = std::get_if<StoreRead>(&record.event);
    if (e == nullptr || e->device == kServer) return;
    marks_.start();
    marks_.set_rows(*e, facts);
    marks_.set_pending(*e, facts);
    for (const MessageIndex index : facts.view(e->device, e->conversation).sends) {
      const Message& message = facts.message(index);
      if (marks_.has(index) || message.discarded || message.told_failed || !returned_ok(message, *e)) continue;
      const Place* place = facts.place_in(message, facts.epoch_of(e->device));
      if (place != nullptr && place->seq > e->cursor) continue;
      report.violation("S7", e->conversation,
                       name_of(message) + ", whose send returned ok on device " + std::to_string(e->device) +
                           ", is without trace in its store" +
                           (place != nullptr ? "; the server has it at seq " + std::to_string(place->seq) : ""));
      return;
    }
  }

 private:
  static bool returned_ok(const Message& message, const StoreRead& read) {
    return std::any_of(message.attempts.begin(), message.attempts.end(), [&](const Attempt& attempt) {
      return attempt.outcome == SendOutcome::kOk && attempt.device == read.device &&
             attempt.conversation == read.conversation;
    });
  }

  ReadMarks marks_;
};

// What the app is told of a failure is so: a message times out once its time has passed by the device's own clock, has
// no addressee only where no device of theirs had logged in, is voided only where the server said so to one of its
// senders, and is lost only by a server that went back. A call is refused for want of room or by the disk. Not judged
// where a hostile middle is at work.
class FailureHasCause final : public Property {
 public:
  void on(const Record& record, const Facts& facts, Report& report) override {
    if (const auto* called = std::get_if<SendCalled>(&record.event)) {
      sends_.insert_or_assign({called->device, called->k}, Send{called->peer, called->latest_ms, record.number});
    } else if (const auto* retried = std::get_if<Retried>(&record.event)) {
      const auto before = sends_.find({retried->device, retried->k_old});
      const UserNumber peer = before == sends_.end() ? 0 : before->second.peer;
      sends_.insert_or_assign({retried->device, retried->k_new}, Send{peer, retried->latest_ms, record.number});
    } else if (const auto* linked = std::get_if<Linked>(&record.event)) {
      linked_.try_emplace(linked->user, record.number);
    } else if (std::holds_alternative<EpochBegun>(record.event)) {
      linked_.clear();  // accounts may have been made since the state that it begins with
    } else if (const auto* returned = std::get_if<SendReturned>(&record.event)) {
      if (returned->code == Code::kLimitReached) return;
      judge_call(returned->code, "the send of message " + to_text(returned->k), returned->device, report);
    } else if (const auto* marked = std::get_if<MarkReadReturned>(&record.event)) {
      judge_call(marked->code, "a mark of what is read", marked->device, report);
    } else if (const auto* failed = std::get_if<Failed>(&record.event)) {
      judge(*failed, facts, report);
    }
  }

 private:
  struct Send {
    UserNumber peer = 0;
    std::int64_t latest_ms = 0;
    std::uint64_t called = 0;
  };

  static void judge_call(Code code, const std::string& what, DeviceNumber device, Report& report) {
    if (code == Code::kOk || is_of_the_disk(code)) return;
    report.violation("S7", kNoConversation,
                     what + " on device " + std::to_string(device) + " is refused, " + std::string(code_name(code)));
  }

  void judge(const Failed& e, const Facts& facts, Report& report) {
    const auto found = sends_.find({e.device, e.k});
    const Send send = found == sends_.end() ? Send{} : found->second;
    const auto index = facts.find(e.k);
    std::string why;
    switch (e.code) {
      case Code::kTimedOut:
        if (e.clock_ms >= send.latest_ms) return;
        why = "its time passes at " + std::to_string(send.latest_ms) + " ms, and it is " + std::to_string(e.clock_ms);
        break;
      case Code::kNotFound: {
        const auto linked = linked_.find(send.peer);
        if (linked == linked_.end() || linked->second > send.called) return;
        why = "user " + std::to_string(send.peer) + " has an account since event " + std::to_string(linked->second);
        break;
      }
      case Code::kRolledBack:
        if (facts.epoch() != 0) return;
        why = "the server never went back";
        break;
      case Code::kVoided:
        if (index && facts.message(*index).voided_in != kNoEpoch) return;
        why = "the server has voided nothing";
        break;
      case Code::kConflict:
        // Encrypted once more, what the server has all the same is another message to it, until the item comes.
        if (index && facts.lists_told() && (facts.message(*index).is_of_several() || facts.message(*index).resent)) {
          return;
        }
        why = "no other device has sent it";
        break;
      default:
        why = "nothing can be to blame";
    }
    report.violation("S7", index ? facts.message(*index).conversation : kNoConversation,
                     "message " + to_text(e.k) + " has failed on device " + std::to_string(e.device) + ", " +
                         std::string(code_name(e.code)) + ", but " + why);
  }

  std::map<std::pair<DeviceNumber, ClientMessageId>, Send> sends_;
  std::unordered_map<UserNumber, std::uint64_t> linked_;  // the record of a user's first log-in
};

// ---- S8 ------------------------------------------------------------------------------------------------------------

// A device's cursor is at or above a message only when the message, or a placeholder for it, is in its store; what was
// shown stays there. Judged when a cursor moves, when a message becomes known below a cursor, and from each full read.
// A cursor falls with an EpochSeen only: otherwise a transaction that was told of was not durable.
class NoSilentGap final : public Property {
 public:
  void on(const Record& record, const Facts& facts, Report& report) override {
    if (const auto* moved = std::get_if<CursorSeen>(&record.event)) {
      if (moved->conversation == kNoConversation) return;
      const Seq before = facts.view(moved->device, moved->conversation).cursor;
      if (judge_fall(moved->device, moved->conversation, before, moved->seq, report)) return;
      judge_passed(moved->device, moved->conversation, before + 1, moved->seq, facts, report);
    } else if (const auto* read = std::get_if<StoreRead>(&record.event)) {
      if (read->device == kServer) return;
      if (judge_fall(read->device, read->conversation, facts.view(read->device, read->conversation).cursor,
                     read->cursor, report))
        return;
      judge_shown(*read, facts, report);
    }
  }

  void after(const Record& record, const Facts& facts, Report& report) override {
    if (const auto* read = std::get_if<StoreRead>(&record.event)) {
      // Whatever else this read proves, the claims that it makes are known now, and so is what it lacks.
      if (read->device != kServer) judge_read(*read, facts, report);
    }
    for (const Claim& claim : facts.fresh()) {
      for (const DeviceNumber device : facts.conversation(claim.conversation).devices) {
        if (facts.view(device, claim.conversation).cursor >= claim.seq) {
          judge_passed(device, claim.conversation, claim.seq, claim.seq, facts, report);
        }
      }
    }
  }

 private:
  static bool judge_fall(DeviceNumber device, ConversationNumber conversation, Seq before, Seq now, Report& report) {
    if (now >= before) return false;
    report.violation("S8", conversation,
                     "the cursor of device " + std::to_string(device) + " fell from " + std::to_string(before) +
                         " to " + std::to_string(now));
    return true;
  }

  static bool is_due(DeviceNumber device, const Claim& claim, const Facts& facts) {
    return facts.is_due(device, claim.conversation, claim.seq, facts.epoch_of(device)) &&
           !facts.has_placeholder(device, claim.conversation, claim.seq);
  }

  static void tell(DeviceNumber device, const Claim& claim, Seq cursor, const Facts& facts, Report& report) {
    report.violation("S8", claim.conversation,
                     "the cursor of device " + std::to_string(device) + " is at " + std::to_string(cursor) + ", but " +
                         name_of(facts.message(claim.message)) + " at seq " + std::to_string(claim.seq) +
                         " is not in its store");
  }

  static void judge_passed(DeviceNumber device, ConversationNumber conversation, Seq first, Seq last,
                           const Facts& facts, Report& report) {
    const Epoch epoch = facts.epoch_of(device);
    facts.conversation(conversation).claims.walk(first, last, [&](const ClaimTable::Slot& slot) {
      const Claim* claim = facts.claim_in(slot, epoch);
      if (claim == nullptr || facts.holds(device, claim->message) || !is_due(device, *claim, facts)) return true;
      tell(device, *claim, last, facts, report);
      return false;
    });
  }

  // Of what was shown here before, nothing is missing.
  void judge_shown(const StoreRead& e, const Facts& facts, Report& report) {
    marks_.start();
    marks_.set_rows(e, facts);
    waiting_.start();  // what was lost and goes again; that it is not back in the same epoch is S4's
    waiting_.set_pending(e, facts);
    facts.conversation(e.conversation)
        .claims.walk(1, std::numeric_limits<Seq>::max() - 1, [&](const ClaimTable::Slot& slot) {
          for (const Claim& claim : slot) {
            if (!facts.holds(e.device, claim.message)) continue;
            if (marks_.has(claim.message) || waiting_.has(claim.message)) continue;
            report.violation("S8", e.conversation,
                             name_of(facts.message(claim.message)) + " was shown on device " +
                                 std::to_string(e.device) + " and is not in its store any more; it was at seq " +
                                 std::to_string(claim.seq) + ", cursor " + std::to_string(e.cursor));
            return false;
          }
          return true;
        });
  }

  // marks_ are those of the same record.
  void judge_read(const StoreRead& e, const Facts& facts, Report& report) {
    const Epoch epoch = facts.epoch_of(e.device);
    facts.conversation(e.conversation).claims.walk(1, e.cursor, [&](const ClaimTable::Slot& slot) {
      const Claim* claim = facts.claim_in(slot, epoch);
      if (claim == nullptr || marks_.has(claim->message) || !is_due(e.device, *claim, facts)) return true;
      tell(e.device, *claim, e.cursor, facts, report);
      return false;
    });
  }

  ReadMarks marks_;
  ReadMarks waiting_;
};

}  // namespace

void add_durability_properties(Properties& properties, const CheckerOptions& options) {
  properties.push_back(std::make_unique<AckIsDurable>());
  properties.push_back(std::make_unique<QueuedIsDurable>());
  if (options.in_order) properties.push_back(std::make_unique<FailureHasCause>());
  properties.push_back(std::make_unique<NoSilentGap>());
}

}  // namespace chatsdk::sim
