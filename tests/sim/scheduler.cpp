// SPDX-License-Identifier: Apache-2.0
#include "sim/scheduler.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"

namespace chatsdk::sim {

using std::chrono::microseconds;

namespace {

constexpr std::int64_t kMillion = 1'000'000;
constexpr std::chrono::hours kFarAway{24 * 365};  // no run lasts so long: such a timer is never due

}  // namespace

// ---- A node's clocks
// ---------------------------------------------------------------------------------------------------

MonotonicTime NodeClock::at(MonotonicTime moment) const {
  const microseconds true_time = moment.time_since_epoch();
  return moment +
         microseconds(true_time.count() / kMillion * drift_ + true_time.count() % kMillion * drift_ / kMillion);
}

MonotonicTime NodeClock::moment_of(MonotonicTime shown) const {
  if (drift_ == 0 || shown - now_ > kFarAway) return shown;
  const std::int64_t time = shown.time_since_epoch().count();
  // At most a few microseconds early, by what the divisions leave.
  MonotonicTime moment{microseconds(time / (kMillion + drift_) * kMillion +
                                    time % (kMillion + drift_) * kMillion / (kMillion + drift_) - 2)};
  while (at(moment) < shown) moment += microseconds(1);
  return moment;
}

// ---- A node's turns
// ----------------------------------------------------------------------------------------------------

Lane::Lane(Scheduler& scheduler, NodeId node, const NodeClock& clock)
    : scheduler_(scheduler), node_(node), clock_(clock) {
  scheduler_.lanes_.push_back(this);
}

Lane::~Lane() {
  shut();
  std::erase(scheduler_.lanes_, this);
}

void Lane::post(Task task) {
  if (!shut_) tasks_.push_back(std::move(task));
}

Executor::TimerId Lane::post_at(MonotonicTime time, Task task) {
  const TimerId id = ++last_timer_;
  if (!shut_) timers_.add(id, clock_.moment_of(time), std::move(task));
  next_timer_ = timers_.next_time();
  return id;
}

bool Lane::cancel(TimerId timer) {
  const bool pending = timers_.remove(timer);
  next_timer_ = timers_.next_time();
  return pending;
}

// Destroying a task may post or cancel: the lane takes nothing any more by then.
void Lane::shut() {
  shut_ = true;
  std::deque<Task> tasks = std::move(tasks_);
  tasks_.clear();
  tasks.clear();
  timers_.clear();
  next_timer_.reset();
}

void Lane::stall_until(MonotonicTime time) {
  stalled_until_ = time;
  stall_unfelt_ = time > scheduler_.now_;
}

std::optional<MonotonicTime> Lane::next_time() {
  std::optional<MonotonicTime> next = next_timer_;
  if (!tasks_.empty()) next = scheduler_.now_;
  if (!next || *next >= stalled_until_) return next;
  if (std::exchange(stall_unfelt_, false) && scheduler_.on_stall_felt) scheduler_.on_stall_felt(node_);
  return stalled_until_;
}

void Lane::run_one() {
  Task task = timers_.take_due(scheduler_.now_);
  if (task) {
    next_timer_ = timers_.next_time();
  } else {
    task = std::move(tasks_.front());
    tasks_.pop_front();
  }
  task();
}

void Scheduler::at(MonotonicTime time, Task task) {
  const std::uint64_t tie = ties_.next_u64() & ~0xFFFF'FFFFull;
  events_.emplace(std::pair(std::max(time, now_), tie | ++last_event_), std::move(task));
}

bool Scheduler::run_one(MonotonicTime limit) {
  for (;;) {
    ready_.clear();
    std::optional<MonotonicTime> next;
    for (Lane* lane : lanes_) {
      const auto time = lane->next_time();
      if (!time) continue;
      if (*time <= now_) ready_.push_back(lane);
      if (!next || *time < *next) next = *time;
    }
    const bool event_due = !events_.empty() && events_.begin()->first.first <= now_;
    if (!events_.empty() && (!next || events_.begin()->first.first < *next)) next = events_.begin()->first.first;

    const std::size_t choices = ready_.size() + (event_due ? 1 : 0);
    if (choices == 0) {
      if (!next || *next > limit) return false;
      now_ = *next;
      continue;
    }
    const std::size_t choice = choices == 1 ? 0 : static_cast<std::size_t>(ties_.below(choices));
    ++turns_;
    if (choice == ready_.size()) {
      Task task = std::move(events_.begin()->second);
      events_.erase(events_.begin());
      pass_to(0);
      task();
      return true;
    }
    Lane& lane = *ready_[choice];
    const NodeId node = lane.node_;
    pass_to(node);
    in_turn_ = &lane;
    lane.run_one();  // may destroy lanes, its own not among them
    in_turn_ = nullptr;
    if (after_turn) after_turn(node);
    return true;
  }
}

void Scheduler::delay_turns(microseconds time) {
  CHATSDK_ASSERT(in_turn_ != nullptr);
  in_turn_->stalled_until_ = std::max(in_turn_->stalled_until_, now_ + time);
}

void Scheduler::pass_to(NodeId node) {
  if (std::exchange(current_node_, node) != node && on_node) on_node(node);
}

void Scheduler::run_until(MonotonicTime time) {
  while (run_one(time)) {
  }
  now_ = std::max(now_, time);
}

}  // namespace chatsdk::sim
