// SPDX-License-Identifier: Apache-2.0
//
// S1 to S5: what there is, where it stands, and in which order.
#include <algorithm>
#include <map>
#include <unordered_set>

#include "sim/checker_properties.h"

namespace chatsdk::sim {

using namespace event;

namespace {

std::string seq_text(Seq seq) { return "seq " + std::to_string(seq); }

// ---- S1 ------------------------------------------------------------------------------------------------------------

// Whatever is shown, stored or accepted was sent before: the same k, content, conversation and sender, by a call that
// was not refused.
class NoInvention final : public Property {
 public:
  void on(const Record& record, const Facts& facts, Report& report) override {
    if (const auto* shown = std::get_if<Shown>(&record.event)) {
      judge(facts, report, shown->device, shown->conversation, shown->k, shown->h, shown->sender);
    } else if (const auto* acked = std::get_if<Acked>(&record.event)) {
      judge_sent(facts, report, acked->k, acked->device, "was acknowledged to device ");
    } else if (const auto* answer = std::get_if<AnswerSeen>(&record.event)) {
      if (answer->kind == AnswerSeen::Kind::kAccepted)
        judge_sent(facts, report, answer->k, answer->device, "was accepted from device ");
    } else if (const auto* read = std::get_if<StoreRead>(&record.event)) {
      for (const StoredRow& row : read->rows) {
        if (!row.placeholder) judge(facts, report, read->device, read->conversation, row.k, row.h, row.sender);
      }
      // A copy of another device's store is its user's before the device has logged in.
      const Device& holder = facts.device(read->device);
      const UserNumber owner =
          holder.user != 0 || holder.original == 0 ? holder.user : facts.device(holder.original).user;
      for (const PendingRow& row : read->pending)
        judge(facts, report, read->device, read->conversation, row.k, row.h, owner);
    }
  }

 private:
  static void judge(const Facts& facts, Report& report, DeviceNumber holder, ConversationNumber conversation,
                    const ClientMessageId& k, ContentHash h, UserNumber sender) {
    const auto index = facts.find(k);
    if (index && facts.explains(facts.message(*index), conversation, h, sender) != nullptr) return;
    std::string why = "nobody sent it";
    if (index && !facts.message(*index).attempts.empty()) {
      const Attempt& attempt = facts.message(*index).attempts.front();
      why = attempt.conversation != conversation ? "it was sent in conversation " + std::to_string(attempt.conversation)
            : attempt.user != sender             ? "it was sent by user " + std::to_string(attempt.user)
            : attempt.h != h                     ? "it was sent with another content"
                                                 : "the call that sent it was refused";
    }
    report.violation("S1", conversation,
                     "message " + to_text(k) + " of user " + std::to_string(sender) + " is on " + node_name(holder) +
                         ", but " + why);
  }

  static void judge_sent(const Facts& facts, Report& report, const ClientMessageId& k, DeviceNumber device,
                         const char* what) {
    const auto index = facts.find(k);
    if (index) {
      for (const Attempt& attempt : facts.message(*index).attempts) {
        if (attempt.device == device && attempt.outcome != SendOutcome::kRefused) return;
      }
    }
    report.violation("S1", index ? facts.message(*index).conversation : kNoConversation,
                     "message " + to_text(k) + " " + what + std::to_string(device) + ", which never sent it");
  }
};

// ---- S2 ------------------------------------------------------------------------------------------------------------

// Server and devices name the same message, sender and content at each place, and one place for each message.
// Statements are compared where they speak of the same stretch of the stream: see Facts::survives.
class Agreement final : public Property {
 public:
  void after(const Record&, const Facts& facts, Report& report) override {
    for (const Conflict& conflict : facts.conflicts()) {
      report.violation("S2", conflict.claim.conversation,
                       describe(facts, conflict.claim) + " is said here, and " + describe(facts, conflict.with) +
                           " was said at event " + std::to_string(conflict.with.event));
    }
  }

 private:
  static std::string describe(const Facts& facts, const Claim& claim) {
    std::string text = name_of(facts.message(claim.message)) + " at " + seq_text(claim.seq) + " of conversation " +
                       std::to_string(claim.conversation);
    if (claim.has_content) text += " by user " + std::to_string(claim.sender) + ", content " + std::to_string(claim.h);
    return text;
  }
};

// ---- S3 ------------------------------------------------------------------------------------------------------------

// In one device's store each message is once, placed or pending, and each place is taken once.
class AtMostOnce final : public Property {
 public:
  void on(const Record& record, const Facts&, Report& report) override {
    const auto* e = std::get_if<StoreRead>(&record.event);
    if (e == nullptr || e->device == kServer) return;
    messages_.clear();
    places_.clear();
    for (const StoredRow& row : e->rows) {
      if (!row.placeholder && !messages_.insert(row.k).second) return twice(*e, report, row.k);
      if (row.seq != 0 && !places_.insert(row.seq).second) {
        report.violation(
            "S3", e->conversation,
            node_name(e->device) + " has two rows at " + seq_text(row.seq) + ", one of them message " + to_text(row.k));
        return;
      }
    }
    for (const PendingRow& row : e->pending) {
      if (!messages_.insert(row.k).second) return twice(*e, report, row.k);
    }
  }

 private:
  static void twice(const StoreRead& e, Report& report, const ClientMessageId& k) {
    report.violation("S3", e.conversation, node_name(e.device) + " has message " + to_text(k) + " twice in its store");
  }

  std::unordered_set<ClientMessageId> messages_;  // of the read that is judged
  std::unordered_set<Seq> places_;
};

// ---- S4 ------------------------------------------------------------------------------------------------------------

// Rows with a place come by seq. Pending messages come in the order in which they were sent, and one that has had its
// place on this device is not pending again in the same epoch.
class Order final : public Property {
 public:
  void on(const Record& record, const Facts& facts, Report& report) override {
    const auto* e = std::get_if<StoreRead>(&record.event);
    if (e == nullptr) return;
    Seq previous = 0;
    for (const StoredRow& row : e->rows) {
      if (row.seq == 0) continue;
      if (row.seq <= previous) {
        report.violation("S4", e->conversation,
                         node_name(e->device) + " shows " + seq_text(row.seq) + " after " + seq_text(previous));
        return;
      }
      previous = row.seq;
    }
    judge_pending(*e, facts, report);
  }

 private:
  static void judge_pending(const StoreRead& e, const Facts& facts, Report& report) {
    std::uint64_t previous = 0;
    const ClientMessageId* previous_k = nullptr;
    for (const PendingRow& row : e.pending) {
      const auto index = facts.find(row.k);
      if (!index) continue;
      const Message& message = facts.message(*index);
      const Place* place = facts.place_in(message, facts.epoch_of(e.device));
      if (place != nullptr && facts.holds(e.device, *index)) {
        report.violation("S4", e.conversation,
                         name_of(message) + " is pending on device " + std::to_string(e.device) +
                             ", which has had it at " + seq_text(place->seq));
        return;
      }
      const Attempt& attempt = message.attempts.front();
      if (attempt.again) continue;
      if (attempt.called < previous) {
        report.violation("S4", e.conversation,
                         name_of(message) + " waits behind message " + to_text(*previous_k) + " on device " +
                             std::to_string(e.device) + ", but was sent before it");
        return;
      }
      previous = attempt.called;
      previous_k = &row.k;
    }
  }
};

// ---- S5 ------------------------------------------------------------------------------------------------------------

// On one device and in one conversation: when send(k1) returned ok before send(k2) was called and both are accepted, k1
// has the lower seq. Each accepted message is compared with its accepted neighbours in the order of sending.
class SenderOrder final : public Property {
 public:
  void after(const Record& record, const Facts& facts, Report& report) override {
    if (std::holds_alternative<EpochBegun>(record.event)) return forget_void(facts);
    for (const Claim& claim : facts.fresh()) {
      // An older epoch's places above the restored head are no longer comparable with what comes.
      if (!facts.survives(claim.conversation, claim.seq, claim.from, facts.epoch())) continue;
      const Message& message = facts.message(claim.message);
      if (message.attempts.empty()) continue;
      judge(message.attempts.front(), claim, facts, report);
    }
  }

 private:
  struct Accepted {
    std::uint64_t returned = 0;  // 0: open
    Seq seq = 0;
    MessageIndex message = 0;
  };
  using Lane = std::map<std::uint64_t, Accepted>;  // by the record of the call

  void judge(const Attempt& attempt, const Claim& claim, const Facts& facts, Report& report) {
    if (attempt.again || attempt.conversation != claim.conversation) return;
    Lane& lane = lanes_[{attempt.device, claim.conversation}];
    const auto next = lane.upper_bound(attempt.called);
    if (next != lane.begin()) {
      const auto& [called, before] = *std::prev(next);
      if (called != attempt.called && before.returned != 0 && before.returned < attempt.called &&
          before.seq >= claim.seq) {
        tell(before.message, before.seq, claim.message, claim.seq, attempt, facts, report);
      }
    }
    if (attempt.outcome == SendOutcome::kOk && next != lane.end() && attempt.returned < next->first &&
        next->second.seq <= claim.seq) {
      tell(claim.message, claim.seq, next->second.message, next->second.seq, attempt, facts, report);
    }
    // An open send bounds nothing: only those that returned are kept as neighbours.
    if (attempt.outcome == SendOutcome::kOk) lane[attempt.called] = {attempt.returned, claim.seq, claim.message};
  }

  static void tell(MessageIndex first, Seq first_seq, MessageIndex second, Seq second_seq, const Attempt& attempt,
                   const Facts& facts, Report& report) {
    report.violation("S5", attempt.conversation,
                     "device " + std::to_string(attempt.device) + " sent " + name_of(facts.message(first)) +
                         " before " + to_text(facts.message(second).k) + ", but they have " + seq_text(first_seq) +
                         " and " + seq_text(second_seq));
  }

  void forget_void(const Facts& facts) {
    for (auto& [key, lane] : lanes_) {
      const Seq head = facts.restored_head(key.second, facts.epoch());
      std::erase_if(lane, [head](const auto& entry) { return entry.second.seq > head; });
    }
  }

  std::map<std::pair<DeviceNumber, ConversationNumber>, Lane> lanes_;
};

}  // namespace

void add_order_properties(Properties& properties) {
  properties.push_back(std::make_unique<NoInvention>());
  properties.push_back(std::make_unique<AtMostOnce>());
  properties.push_back(std::make_unique<Order>());
  properties.push_back(std::make_unique<Agreement>());
  properties.push_back(std::make_unique<SenderOrder>());
}

}  // namespace chatsdk::sim
