// SPDX-License-Identifier: Apache-2.0
//
// The simulated world's time and turns: one thread, one virtual clock. A Lane is the executor of one node; the
// scheduler gives turns to lanes and runs the world's own events (a frame arrives, a fault begins). Which of several
// things that could happen now comes first is drawn from the seed.
//
//   while anything is ready at this moment: one of them, drawn, runs to its end
//   otherwise: time moves to the next timer or event
//
// Threads: one.
// Invariants:
//   1. Tasks of a lane run in the order posted, timers at or after their time; a lane that was shut runs nothing more.
//   2. Real time is never read; the same seed gives the same order.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/executor.h"
#include "base/random.h"
#include "base/task.h"

namespace chatsdk::sim {

using NodeId = std::uint32_t;  // 0: the server; devices from 1

// A node's own clocks: the world's time as an oscillator of its own counts it, which is fast or slow by `drift` parts
// per million, with a wall clock that may be off and jump.
class NodeClock final : public Clock {
 public:
  NodeClock(const MonotonicTime& now, WallTime wall_start, std::int32_t drift = 0)
      : now_(now), wall_start_(wall_start), drift_(drift) {}
  MonotonicTime monotonic_now() const override { return at(now_); }
  WallTime wall_now() const override { return wall_start_ + monotonic_now().time_since_epoch() + wall_offset_; }
  // The first moment of the world at which this clock shows the time, or more.
  MonotonicTime moment_of(MonotonicTime shown) const;
  void jump_wall(std::chrono::microseconds by) {
    highest_wall_ = highest_wall();
    wall_offset_ += by;
  }
  void set_wall_true() { jump_wall(-wall_offset_); }
  // The most that wall_now() can have answered by now.
  WallTime highest_wall() const { return std::max(highest_wall_, wall_now()); }

 private:
  MonotonicTime at(MonotonicTime moment) const;

  const MonotonicTime& now_;
  const WallTime wall_start_;
  const std::int32_t drift_;
  std::chrono::microseconds wall_offset_{};
  WallTime highest_wall_{};  // when it was last set
};

class Scheduler;

class Lane final : public Executor {
 public:
  Lane(Scheduler& scheduler, NodeId node, const NodeClock& clock);
  ~Lane() override;

  void post(Task task) override;
  TimerId post_at(MonotonicTime time, Task task) override;
  bool cancel(TimerId timer) override;
  const Clock& clock() const override { return clock_; }

  // Nothing runs before this time: a process that the operating system does not schedule.
  void stall_until(MonotonicTime time);
  // Drops everything; later posts are dropped too.
  void shut();
  bool idle() const { return tasks_.empty(); }
  NodeId node() const { return node_; }

 private:
  friend class Scheduler;
  std::optional<MonotonicTime> next_time();
  void run_one();

  Scheduler& scheduler_;
  const NodeId node_;
  const NodeClock& clock_;
  std::deque<Task> tasks_;
  TimerQueue timers_;  // by the world's time
  std::optional<MonotonicTime> next_timer_;  // of timers_
  TimerId last_timer_ = 0;
  MonotonicTime stalled_until_;
  bool stall_unfelt_ = false;  // nothing had to wait for it yet
  bool shut_ = false;
};

class Scheduler {
 public:
  explicit Scheduler(std::uint64_t seed) : ties_(seed) {}
  Scheduler(const Scheduler&) = delete;
  Scheduler& operator=(const Scheduler&) = delete;

  const MonotonicTime& now() const { return now_; }
  // Runs a task of the world itself at a time.
  void at(MonotonicTime time, Task task);
  void after(std::chrono::microseconds delay, Task task) { at(now_ + delay, std::move(task)); }
  // One turn, moving time if it must, but not beyond the limit; false when nothing is left before it.
  bool run_one(MonotonicTime limit);
  void run_until(MonotonicTime time);

  // Whose turn it is: what randomness inside libraries belongs to. The world's own events are the server's, except
  // where they act for a node.
  NodeId current_node() const { return current_node_; }
  class ActingFor {
   public:
    ActingFor(Scheduler& scheduler, NodeId node) : scheduler_(scheduler), before_(scheduler.current_node_) {
      scheduler_.pass_to(node);
    }
    ~ActingFor() { scheduler_.pass_to(before_); }
    ActingFor(const ActingFor&) = delete;
    ActingFor& operator=(const ActingFor&) = delete;

   private:
    Scheduler& scheduler_;
    const NodeId before_;
  };
  bool in_turn() const { return in_turn_ != nullptr; }
  // The lane whose turn it is gets no other for a time. Only in a turn.
  void delay_turns(std::chrono::microseconds time);
  std::uint64_t turns() const { return turns_; }
  // Called after each turn of a lane, with its node.
  UniqueFunction<void(NodeId)> after_turn;
  // Called when a stall first holds something up, with the lane's node: once for each stall.
  UniqueFunction<void(NodeId)> on_stall_felt;
  // Called when what runs from here on belongs to another node than before.
  UniqueFunction<void(NodeId)> on_node;

 private:
  friend class Lane;

  void pass_to(NodeId node);

  MonotonicTime now_{std::chrono::seconds(1)};
  SeededRandom ties_;
  std::vector<Lane*> lanes_;
  std::map<std::pair<MonotonicTime, std::uint64_t>, Task> events_;  // number breaks ties: drawn, then counted
  std::uint64_t last_event_ = 0;
  NodeId current_node_ = 0;
  Lane* in_turn_ = nullptr;
  std::uint64_t turns_ = 0;
  std::vector<Lane*> ready_;  // kept for its capacity
};

}  // namespace chatsdk::sim
