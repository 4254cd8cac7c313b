// SPDX-License-Identifier: Apache-2.0
#include "base/executor.h"

#include <new>

#if defined(__linux__)
#include <pthread.h>
#endif

namespace chatsdk {

namespace {

constexpr std::chrono::milliseconds kRecoveryPause{100};

// Tasks may own objects whose destructors post again: destroys them outside the lock until none is left. One by one, as
// an end must not need memory.
void destroy_all(std::mutex& mutex, std::deque<Task>& tasks, TimerQueue& timers) {
  for (;;) {
    Task task;  // outlives the lock
    std::lock_guard lock(mutex);
    if (!tasks.empty()) {
      task = std::move(tasks.front());
      tasks.pop_front();
    } else if (timers.size() != 0) {
      task = timers.take_first();
    } else {
      return;
    }
  }
}

}  // namespace

void name_this_thread([[maybe_unused]] const std::string& name) {
#if defined(__linux__)
  pthread_setname_np(pthread_self(), name.substr(0, 15).c_str());
#endif
}

void TimerQueue::add(Executor::TimerId id, MonotonicTime time, Task task) {
  const auto place = time_of_.emplace(id, time).first;
  try {
    by_time_.emplace(std::pair(time, id), std::move(task));
  } catch (...) {
    time_of_.erase(place);
    throw;
  }
}

bool TimerQueue::remove(Executor::TimerId id) {
  const auto found = time_of_.find(id);
  if (found == time_of_.end()) return false;
  by_time_.erase({found->second, id});
  time_of_.erase(found);
  return true;
}

std::optional<MonotonicTime> TimerQueue::next_time() const {
  if (by_time_.empty()) return std::nullopt;
  return by_time_.begin()->first.first;
}

Task TimerQueue::take_due(MonotonicTime now) {
  const auto first = by_time_.begin();
  if (first == by_time_.end() || first->first.first > now) return {};
  return take_first();
}

Task TimerQueue::take_first() {
  const auto first = by_time_.begin();
  if (first == by_time_.end()) return {};
  Task task = std::move(first->second);
  time_of_.erase(first->first.second);
  by_time_.erase(first);
  return task;
}

void TimerQueue::clear() {
  by_time_.clear();
  time_of_.clear();
}

ThreadExecutor::ThreadExecutor(std::string name, const Clock& clock)
    : source_clock_(clock), turn_clock_(clock), thread_([this, name = std::move(name)] { run(name); }) {}

ThreadExecutor::~ThreadExecutor() { stop(); }

void ThreadExecutor::stop() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  if (thread_.joinable()) thread_.join();
  destroy_all(mutex_, tasks_, timers_);
}

void ThreadExecutor::post(Task task) {
  {
    std::lock_guard lock(mutex_);
    tasks_.push_back(std::move(task));
    if (tasks_.size() > 1) return;  // the thread was signalled for the first and takes all
  }
  wake_.notify_one();
}

Executor::TimerId ThreadExecutor::post_at(MonotonicTime time, Task task) {
  TimerId id = 0;
  {
    std::lock_guard lock(mutex_);
    id = ++last_timer_;
    timers_.add(id, time, std::move(task));
  }
  wake_.notify_one();
  return id;
}

bool ThreadExecutor::cancel(TimerId timer) {
  std::lock_guard lock(mutex_);
  return timers_.remove(timer);
}

void ThreadExecutor::lose_turn() noexcept {
  {
    std::lock_guard lock(mutex_);
    lost_ = true;
  }
  wake_.notify_one();
}

void ThreadExecutor::recover_with(Task recovery) {
  std::lock_guard lock(mutex_);
  recovery_ = std::move(recovery);
}

void ThreadExecutor::run(const std::string& name) {
  name_this_thread(name);
  std::unique_lock lock(mutex_);
  bool pauses = false;  // the recovery has just found no memory
  while (!stopping_) {
    const bool recovers = lost_ && !pauses && recovery_;
    Task task = recovers ? Task() : timers_.take_due(source_clock_.monotonic_now());
    if (!recovers && !task && !tasks_.empty()) {
      task = std::move(tasks_.front());
      tasks_.pop_front();
    }
    pauses = false;
    if (recovers || task) {
      if (recovers) lost_ = false;
      lock.unlock();
      turn_clock_.refresh();
      bool lost = false;
      try {
        (recovers ? recovery_ : task)();
      } catch (const std::bad_alloc&) {
        lost = true;  // the turn ends where memory did; what it had committed stands
      }
      task = {};
      lock.lock();
      lost_ = lost_ || lost;
      pauses = recovers && lost;
    } else if (lost_ && recovery_) {
      wake_.wait_for(lock, kRecoveryPause);
    } else if (const auto next = timers_.next_time()) {
      wake_.wait_for(lock, *next - source_clock_.monotonic_now());
    } else {
      wake_.wait(lock);
    }
  }
}

ManualExecutor::~ManualExecutor() {
  {
    std::lock_guard lock(mutex_);
    wake_ = {};
  }
  destroy_all(mutex_, tasks_, timers_);
}

void ManualExecutor::post(Task task) {
  std::lock_guard lock(mutex_);
  tasks_.push_back(std::move(task));
  if (wake_) wake_();
}

Executor::TimerId ManualExecutor::post_at(MonotonicTime time, Task task) {
  std::lock_guard lock(mutex_);
  timers_.add(++last_timer_, time, std::move(task));
  if (wake_) wake_();
  return last_timer_;
}

bool ManualExecutor::cancel(TimerId timer) {
  std::lock_guard lock(mutex_);
  return timers_.remove(timer);
}

bool ManualExecutor::run_one() {
  turn_clock_.refresh();
  const bool recovers = recovery_ && lost_.exchange(false);
  Task task;
  if (!recovers) {
    std::lock_guard lock(mutex_);
    task = timers_.take_due(source_clock_.monotonic_now());
    if (!task && !tasks_.empty()) {
      task = std::move(tasks_.front());
      tasks_.pop_front();
    }
  }
  if (!task && !recovers) return false;
  try {
    (recovers ? recovery_ : task)();
  } catch (...) {
    lost_ = true;
    throw;
  }
  return true;
}

std::size_t ManualExecutor::run_ready() {
  std::size_t turns = 0;
  while (run_one()) ++turns;
  return turns;
}

std::optional<MonotonicTime> ManualExecutor::next_time() const {
  std::lock_guard lock(mutex_);
  if (!tasks_.empty()) return turn_clock_.monotonic_now();
  return timers_.next_time();
}

void ManualExecutor::set_wake(Task wake) {
  std::lock_guard lock(mutex_);
  wake_ = std::move(wake);
}

}  // namespace chatsdk
