// SPDX-License-Identifier: Apache-2.0
//
// What encryption needs of the server beside what devices ask for: each conversation hears of a member's changed device
// list, a few conversations in each write; chunks that were staged for an item that never came are removed, and
// linkings whose time is over. It knows when to ask and nothing of lists; what is still to do stands in the store, so a
// start takes up what a stop cut short.
//
// Threads: rosters_due from any; the rest, construction and destruction included, is the writer's executor.
// Invariants:
//   1. At most one write that extends and one that removes is under way.
//   2. What is due is asked for until the store says that nothing is.
//   3. What is over is removed by the next look, limits::e2ee::kUpkeepInterval after the one before, if the store then
//      takes writes.
#pragma once

#include <memory>

#include "base/executor.h"
#include "base/result.h"
#include "server-reference/services/submit_write.h"
#include "server-reference/store/store.h"

namespace chatsdk::server {

class EncryptionUpkeep {
 public:
  EncryptionUpkeep(SubmitWrite submit, Executor& writer);
  // Drops what is under way.
  ~EncryptionUpkeep();
  EncryptionUpkeep(const EncryptionUpkeep&) = delete;
  EncryptionUpkeep& operator=(const EncryptionUpkeep&) = delete;

  void start();
  // A list was published whose conversations have to hear of it.
  void rosters_due();

 private:
  void extend();
  void on_extended(const Result<WriteAnswer>& answer);
  void purge_staged();
  void purge_links();
  void purge_later();
  template <typename Then>
  void submit(WriteOp op, Then then);

  SubmitWrite submit_;
  Executor& writer_;
  bool extending_ = false;  // a write is under way, or a pause after one that was refused
  bool extend_again_ = false;
  Executor::TimerId extend_timer_ = 0;
  Executor::TimerId purge_timer_ = 0;
  std::shared_ptr<EncryptionUpkeep*> self_;  // answers and calls from elsewhere hold it weakly
};

}  // namespace chatsdk::server
