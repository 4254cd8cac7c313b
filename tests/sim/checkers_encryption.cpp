// SPDX-License-Identifier: Apache-2.0
//
// S10: who can read what, where conversations are encrypted end to end. S11 and S12 are judged from the bytes
// (canary.h).
#include <set>

#include "sim/checker_properties.h"

namespace chatsdk::sim {

using namespace event;

namespace {

// ---- S10 -----------------------------------------------------------------------------------------------------------

// A device shows what a message says only where the list in force when it was accepted names the device, or where it
// has shown it before: what a server lost, and was sent again from another device and from this one, stands there once
// more. Before any list was told of, nothing is encrypted.
class Entitlement final : public Property {
 public:
  void on(const Record& record, const Facts& facts, Report& report) override {
    if (const auto* shown = std::get_if<Shown>(&record.event)) {
      judge(facts, report, shown->device, shown->conversation, shown->k, shown->seq);
    } else if (const auto* read = std::get_if<StoreRead>(&record.event)) {
      if (read->device == kServer) return;
      for (const StoredRow& row : read->rows) {
        if (!row.placeholder) judge(facts, report, read->device, read->conversation, row.k, row.seq);
      }
    }
  }

 private:
  void judge(const Facts& facts, Report& report, DeviceNumber device, ConversationNumber conversation,
             const ClientMessageId& k, Seq seq) {
    if (seq == 0 || shown_.contains({device, k})) return;
    if (facts.is_listed(device, conversation, seq, facts.epoch_of(device))) {
      shown_.insert({device, k});
      return;
    }
    const auto index = facts.find(k);
    // What it has sent itself it knows; and what it was entitled to before the server lost it, it may keep.
    if (index && (facts.message(*index).author() == device || facts.holds(device, *index))) return;
    // A copy of a store has what stood there.
    const DeviceNumber original = facts.device(device).original;
    if (index && original != 0 && facts.holds(original, *index)) return;
    report.violation("S10", conversation,
                     "message " + to_text(k) + " at seq " + std::to_string(seq) + " is readable on device " +
                         std::to_string(device) + ", which was in no list that it was sent for");
  }

  std::set<std::pair<DeviceNumber, ClientMessageId>> shown_;
};

}  // namespace

void add_encryption_properties(Properties& properties) { properties.push_back(std::make_unique<Entitlement>()); }

}  // namespace chatsdk::sim
