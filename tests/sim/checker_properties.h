// SPDX-License-Identifier: Apache-2.0
//
// Where the properties are made: each function gives the classes of one idea, in the order in which they judge a
// record.
//
// Threads: one.
#pragma once

#include <memory>
#include <vector>

#include "sim/checker_facts.h"
#include "sim/checkers.h"

namespace chatsdk::sim {

// A device's disk was in the way of a call: nothing is known, and the app may ask again.
inline bool is_of_the_disk(Code code) {
  switch (code) {
    case Code::kStorage:
    case Code::kStorageFull:
    case Code::kBusy:
    case Code::kCorrupt:
    case Code::kTampered:
      return true;
    default:
      return false;
  }
}

using Properties = std::vector<std::unique_ptr<Property>>;

void add_order_properties(Properties& properties);                                      // S1 to S5
void add_durability_properties(Properties& properties, const CheckerOptions& options);  // S6 to S8
void add_receipt_properties(Properties& properties);                                    // S9, sync
void add_stream_properties(Properties& properties);                                     // S14, S15, S17
void add_encryption_properties(Properties& properties);                                 // S10

// L1 to L5.
void judge_liveness(const FinalState& final_state, const Facts& facts, Report& report);

}  // namespace chatsdk::sim
