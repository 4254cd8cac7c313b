// SPDX-License-Identifier: Apache-2.0
//
// Keeps the deduplication table within its lifetime: sweeps over all records, a few in each write, for ever. It knows
// when to look next and nothing of what makes a record old. A write that finds nothing to remove commits nothing.
//
//   start -> PurgeRecords from the beginning -> pause -> PurgeRecords from the last place -> ... -> end
//         ^-------------------------------------- interval ----------------------------------------'
//
// Threads: the writer's executor.
// Invariants:
//   1. At most one write of it is under way.
//   2. One write looks at limits::kPurgeRecordsMax records at most.
//   3. A clock that is set forward while the server runs makes no record older by more than limits::kPurgeClockStepMax.
#pragma once

#include <memory>

#include "base/executor.h"
#include "base/log.h"
#include "base/result.h"
#include "server-reference/services/submit_write.h"
#include "server-reference/store/store.h"

namespace chatsdk::server {

class RecordPurge {
 public:
  RecordPurge(SubmitWrite submit, Executor& writer, Log& log);
  // Drops what is under way.
  ~RecordPurge();
  RecordPurge(const RecordPurge&) = delete;
  RecordPurge& operator=(const RecordPurge&) = delete;

  // The first sweep begins after limits::kPurgeInterval: a machine's clock may be wrong until it has been set.
  void start();

 private:
  WallTime now() const;
  void look();
  void on_looked(const Result<WriteAnswer>& answer);
  void look_after(std::chrono::microseconds pause);

  SubmitWrite submit_;
  Executor& writer_;
  Log& log_;
  RecordKey place_;
  std::size_t removed_ = 0;  // in this sweep
  Executor::TimerId timer_ = 0;
  // What both clocks said when the server started.
  WallTime wall_at_start_;
  MonotonicTime monotonic_at_start_;
  std::shared_ptr<RecordPurge*> self_;  // answers hold it weakly
};

}  // namespace chatsdk::server
