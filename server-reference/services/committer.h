// SPDX-License-Identifier: Apache-2.0
//
// The committer: the one door through which every write reaches the store. It gathers what arrives while a commit is
// under way and hands it to the store as the next batch, so that messages share a sync exactly when there are several
// of them (group commit without a timer). It knows queues, batches and answers; it knows nothing of what an op means.
//
//   submit (any thread) -> queue -> Store::commit (writer) -> observer (writer) -> answers (one task per executor)
//
// There is no artificial delay. A sync takes longer than the ops of a batch, so under load the queue holds a full batch
// whenever a commit returns, and waiting would only add to the latency; without load a wait gains nothing either, for
// there is nothing to wait for.
//
// Threads: submit from any; everything else, construction and destruction included, belongs to the writer's executor or
// happens while it does not run. An executor that waits for answers outlives the committer, and the committer outlives
// each of its own calls: neither the observer nor on_fatal nor drained destroys it.
// Invariants:
//   1. Ops are applied in the order submitted.
//   2. Every callback is called exactly once, as a task on its executor, never within submit. The exception is the
//      destruction of the committer, which drops what is still queued.
//   3. An answer is posted only after its commit returned, and after the observer saw it.
//   4. At most Limits::queue_max ops wait; at most Limits::batch_max messages share a transaction. The ops that wait or
//      are being written hold at most Limits::queue_bytes_max; an op that is larger alone is taken when there is no
//      other.
//   5. As long as the store takes no batch, the log has a line at once and then a count a minute; it has one when the
//      store takes them again.
//   6. A write whose outcome is unknown is answered with UNAVAILABLE, so that the caller repeats it, never with a
//      refusal for good.
#pragma once

#include <cstddef>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "base/executor.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/result.h"
#include "base/task.h"
#include "server-reference/services/refusal_log.h"
#include "server-reference/store/store.h"

namespace chatsdk::server {

class CommitObserver {
 public:
  virtual ~CommitObserver() = default;
  // On the writer's executor, after the commit and before its answers are posted.
  virtual void on_committed(const CommitResult& result) = 0;
};

class Committer {
 public:
  using Callback = UniqueFunction<void(Result<WriteAnswer>)>;

  struct Limits {
    std::size_t batch_max = limits::kCommitBatchMax;             // messages in one transaction
    std::size_t batch_ops_max = limits::kCommitOpsMax;           // ops of all kinds in one transaction
    std::size_t batch_bytes_max = limits::kCommitBatchBytesMax;  // of one transaction, beyond its first op
    std::size_t queue_max = limits::kCommitQueueMax;             // ops that wait
    std::size_t queue_bytes_max = limits::kCommitQueueBytesMax;  // of ops that wait or are being written
  };

  Committer(Store& store, Executor& writer, Log& log) : Committer(store, writer, log, Limits{}) {}
  Committer(Store& store, Executor& writer, Log& log, Limits limits);
  ~Committer();
  Committer(const Committer&) = delete;
  Committer& operator=(const Committer&) = delete;

  // Borrowed; nullptr for none.
  void set_observer(CommitObserver* observer) { observer_ = observer; }
  // Called at most once, on the writer's executor: the store failed, nothing will be written any more, the server
  // stops. Every pending op has been answered by then.
  void set_on_fatal(UniqueFunction<void(const Error&)> on_fatal) { on_fatal_ = std::move(on_fatal); }

  // The callback gets the op's answer or refusal; UNAVAILABLE with a retry_after when the queue is full, the committer
  // drains or the store has failed.
  void submit(WriteOp op, Callback callback, Executor& reply_on);

  // Refuses new ops from now on and calls drained, on the writer's executor, once the queue is written. From any
  // thread, once.
  void drain(Task drained);

  std::size_t queued() const;
  // Of the ops that wait or are being written.
  std::size_t held_bytes() const;

 private:
  struct Pending {
    WriteOp op;
    std::size_t bytes;
    Callback callback;
    Executor* reply_on;
  };
  struct Reply {
    Callback callback;
    Result<WriteAnswer> answer;
  };
  // The answers that one executor gets in one task.
  struct Replies {
    Executor* reply_on;
    std::vector<Reply> replies;
  };

  void arm();
  void run_batch();
  // Takes the next batch out of the queue into ops_ and waiting_; false when there is none.
  bool take_batch();
  std::optional<Error> refusal(std::size_t bytes) const;  // under mutex_
  void log_not_stored(const Error& failure);
  void answer(CommitResult result);
  void answer_all(const Error& failure);
  void add_reply(Pending& pending, Result<WriteAnswer> answer);
  void post_replies();
  void fail(const Error& failure);
  void finish_drain();

  Store& store_;
  Executor& writer_;
  Log& log_;
  const Limits limits_;
  CommitObserver* observer_ = nullptr;
  UniqueFunction<void(const Error&)> on_fatal_;
  std::shared_ptr<Committer*> self_;  // posted turns hold it weakly

  mutable std::mutex mutex_;
  std::deque<Pending> queue_;    // guarded by mutex_
  std::size_t held_bytes_ = 0;   // guarded by mutex_
  bool armed_ = false;           // guarded by mutex_; true iff a turn of run_batch is posted or running
  std::optional<Error> closed_;  // guarded by mutex_; why submit refuses
  bool draining_ = false;        // guarded by mutex_
  Task drained_;                 // guarded by mutex_

  // The writer's own, kept between turns for their capacity.
  std::vector<WriteOp> ops_;
  std::size_t batch_bytes_ = 0;
  RefusalLog not_stored_;         // a kind is the store's reason
  bool told_not_stored_ = false;  // and not yet that it stores again
  std::vector<Pending> waiting_;
  std::vector<Replies> replies_;
};

}  // namespace chatsdk::server
