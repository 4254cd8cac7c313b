// SPDX-License-Identifier: Apache-2.0
//
// L1 to L5: where a run must have come to once faults have ended and the time for convergence has passed.
#include <algorithm>
#include <map>
#include <unordered_map>
#include <utility>

#include "sim/checker_properties.h"

namespace chatsdk::sim {

using namespace event;

namespace {

class Liveness {
 public:
  Liveness(const FinalState& final_state, const Facts& facts, Report& report)
      : final_(final_state), facts_(facts), report_(report) {
    for (const StoreRead& read : final_.device_reads) reads_[{read.conversation, read.device}] = &read;
    for (const StoreRead& read : final_.server_reads) server_[read.conversation] = &read;
    for (const FinalState::Eligible& one : final_.eligible) eligible_[one.conversation].push_back(one.device);
  }

  void judge() {
    for (const FinalState::Eligible& one : final_.eligible) {
      const auto read = reads_.find({one.conversation, one.device});
      if (read == reads_.end()) {
        report_.violation("L1", one.conversation, "device " + std::to_string(one.device) + " has no final read");
        continue;
      }
      judge_present(*read->second);
      judge_settled(*read->second);
      judge_equal(*read->second);
    }
    judge_receipts();
    for (const FinalState::Activity& left : final_.activity) {
      report_.violation(
          "L4", kNoConversation,
          "node " + std::to_string(left.node) + " is not quiet: " + left.what + ", " + std::to_string(left.count));
    }
    for (const FinalState::Probe& probe : final_.probes) {
      const std::string name = "message " + to_text(probe.k) + " of device " + std::to_string(probe.from);
      if (!probe.arrived) {
        report_.violation("L5", probe.conversation, name + " was not read by device " + std::to_string(probe.to));
      } else if (!probe.read_back) {
        report_.violation("L5", probe.conversation, name + " was read, and its sender does not see it");
      }
    }
  }

 private:
  using Rows = std::unordered_map<ClientMessageId, const StoredRow*>;

  static Rows rows_of(const StoreRead& read) {
    Rows rows;
    for (const StoredRow& row : read.rows) {
      if (!row.placeholder) rows.emplace(row.k, &row);
    }
    return rows;
  }

  // L1: what the server has accepted is on every eligible device, at its seq, with its content; what the server has
  // lost says so.
  void judge_present(const StoreRead& read) {
    const Rows rows = rows_of(read);
    const Epoch epoch = facts_.epoch();
    facts_.conversation(read.conversation)
        .claims.walk(1, facts_.highest(read.conversation, epoch), [&](const ClaimTable::Slot& slot) {
          const Claim* claim = facts_.claim_in(slot, epoch);
          if (claim == nullptr || !claim->by_server) return true;
          if (!facts_.is_due(read.device, read.conversation, claim->seq, epoch)) return true;
          const Message& message = facts_.message(claim->message);
          const auto row = rows.find(message.k);
          const bool is_there = row != rows.end() && row->second->seq == claim->seq &&
                                (!claim->has_content || row->second->h == claim->h);
          if (is_there || facts_.has_placeholder(read.device, read.conversation, claim->seq)) return true;
          report_.violation("L1", read.conversation,
                            name_of(message) + ", accepted at seq " + std::to_string(claim->seq) + ", is " +
                                (row == rows.end() ? "not" : "otherwise") + " on device " +
                                std::to_string(read.device));
          return false;
        });
    for (const StoredRow& row : read.rows) {
      if (row.seq != 0 || row.rolled_back) continue;
      report_.violation("L1", read.conversation,
                        "message " + to_text(row.k) + " has no place on device " + std::to_string(read.device) +
                            ", and the app was not told that the server has lost it");
      return;
    }
  }

  // L2: what a device has sent is accepted, or visibly failed, or was discarded.
  void judge_settled(const StoreRead& read) {
    const Rows rows = rows_of(read);
    for (const PendingRow& row : read.pending) {
      if (row.state == SeenState::kFailed) continue;
      return unsettled(read, row.k, std::string("still ") + std::string(to_text(row.state)));
    }
    for (const MessageIndex index : facts_.view(read.device, read.conversation).sends) {
      const Message& message = facts_.message(index);
      const Attempt& attempt = message.attempts.front();
      if (attempt.outcome != SendOutcome::kOk || message.discarded || message.told_failed || message.acked) continue;
      if (rows.find(message.k) != rows.end()) continue;
      const bool failed = std::any_of(read.pending.begin(), read.pending.end(),
                                      [&](const PendingRow& row) { return row.k == message.k; });
      if (!failed) return unsettled(read, message.k, "neither accepted nor failed");
    }
  }

  void unsettled(const StoreRead& read, const ClientMessageId& k, const std::string& how) {
    report_.violation("L2", read.conversation,
                      "message " + to_text(k) + " of device " + std::to_string(read.device) + " is " + how);
  }

  // L3: the device has what the server has, in the same order, and nothing else.
  void judge_equal(const StoreRead& read) {
    const auto found = server_.find(read.conversation);
    if (found == server_.end()) {
      report_.violation("L3", read.conversation, "the server has no final read");
      return;
    }
    const StoreRead& server = *found->second;
    const Rows rows = rows_of(read);
    std::vector<const StoredRow*> ours;
    std::vector<const StoredRow*> theirs;
    for (const StoredRow& row : read.rows) {
      if (row.seq >= server.trimmed_below && !row.placeholder) ours.push_back(&row);
    }
    for (const StoredRow& row : server.rows) {
      // What it has without being entitled to it S10 judges. What was lost, and a sibling sent again while the device
      // was in no list, is lost there still: it has not heard of it.
      const auto held = rows.find(row.k);
      const bool has = held != rows.end() && !held->second->rolled_back;
      const bool due = (facts_.is_due(read.device, read.conversation, row.seq, facts_.epoch()) || has) &&
                       !facts_.has_placeholder(read.device, read.conversation, row.seq);
      if (!row.placeholder && due) theirs.push_back(&row);
    }
    for (std::size_t i = 0; i < std::max(ours.size(), theirs.size()); ++i) {
      const bool equal = i < ours.size() && i < theirs.size() && *ours[i] == *theirs[i];
      if (equal) continue;
      report_.violation("L3", read.conversation,
                        "row " + std::to_string(i + 1) + " of device " + std::to_string(read.device) + " is " +
                            describe(ours, i) + ", and of the server " + describe(theirs, i));
      return;
    }
  }

  static std::string describe(const std::vector<const StoredRow*>& rows, std::size_t i) {
    if (i >= rows.size()) return "none";
    return "message " + to_text(rows[i]->k) + " at seq " + std::to_string(rows[i]->seq);
  }

  // L3: all eligible devices say the same of every member; delivered is the head for whoever has an eligible device,
  // and read is what was marked: at least what returned ok on an eligible device, at most (S9) what was asked for.
  void judge_receipts() {
    struct Key {
      ConversationNumber conversation = 0;
      UserNumber user = 0;
      MarkKind kind = MarkKind::kDelivered;
      DeviceNumber device = 0;
      auto operator<=>(const Key&) const = default;
    };
    std::map<Key, Seq> said;
    for (const ReceiptSeen& receipt : final_.receipts) {
      Seq& up_to = said[{receipt.conversation, receipt.user, receipt.kind, receipt.device}];
      up_to = std::max(up_to, receipt.up_to);
    }
    for (const auto& [conversation, devices] : eligible_) {
      std::map<UserNumber, Seq> users;  // with the read mark that is due
      for (const DeviceNumber device : devices) {
        Seq& due = users[facts_.device(device).user];
        due = std::max(due, facts_.view(device, conversation).marked_read);
      }
      for (const auto& [user, marked] : users) {
        const auto server = server_.find(conversation);
        const Seq head = server == server_.end() ? 0 : server->second->cursor;
        for (const DeviceNumber device : devices) {
          const auto at = [&](DeviceNumber observer, MarkKind kind) {
            const auto found = said.find({conversation, user, kind, observer});
            return found == said.end() ? 0 : found->second;
          };
          const Seq delivered = at(device, MarkKind::kDelivered);
          const Seq read = at(device, MarkKind::kRead);
          const std::string name = "the mark of user " + std::to_string(user) + " on device " + std::to_string(device);
          if (delivered != head) {
            return tell(conversation,
                        name + ", delivered, is " + std::to_string(delivered) + ", head " + std::to_string(head));
          }
          if (read < marked) {
            return tell(conversation,
                        name + ", read, is " + std::to_string(read) + ", marked up to " + std::to_string(marked));
          }
          if (const Seq first = at(devices.front(), MarkKind::kRead); read != first) {
            return tell(conversation, name + ", read, is " + std::to_string(read) + ", and on device " +
                                          std::to_string(devices.front()) + " " + std::to_string(first));
          }
        }
      }
    }
  }

  void tell(ConversationNumber conversation, const std::string& message) {
    report_.violation("L3", conversation, message);
  }

  const FinalState& final_;
  const Facts& facts_;
  Report& report_;
  std::map<std::pair<ConversationNumber, DeviceNumber>, const StoreRead*> reads_;
  std::map<ConversationNumber, const StoreRead*> server_;
  std::map<ConversationNumber, std::vector<DeviceNumber>> eligible_;
};

}  // namespace

void judge_liveness(const FinalState& final_state, const Facts& facts, Report& report) {
  Liveness(final_state, facts, report).judge();
}

}  // namespace chatsdk::sim
