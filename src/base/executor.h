// SPDX-License-Identifier: Apache-2.0
//
// Where turns run. A state machine lives on one executor: every call into it is a task there, tasks run one at a time
// to their end, in the order posted; timers fire at or after their time, equal times in the order set.
//
// Executor         the seam
// ThreadExecutor   one thread of its own
// ManualExecutor   runs only when its owner says so: tick-driven clients, tests
//
// Threads: post and post_at from any thread; cancel, clock and post_after only from the executor's own turns.
// Invariants:
//   1. After the executor's destruction starts no further task runs; tasks not run are destroyed.
//   2. clock() is constant within a turn.
//   3. Ending takes no memory. A turn that finds none ends there: ThreadExecutor goes on with the next one,
//      ManualExecutor hands std::bad_alloc to whoever runs it. Before any later turn the recovery runs, until it
//      passes.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "base/clock.h"
#include "base/task.h"

namespace chatsdk {

// Names the calling thread for debuggers and profilers. Linux keeps 15 bytes.
void name_this_thread(const std::string& name);

class Executor {
 public:
  using TimerId = std::uint64_t;  // never 0

  virtual ~Executor() = default;
  virtual void post(Task task) = 0;
  virtual TimerId post_at(MonotonicTime time, Task task) = 0;
  // True when the timer was pending and will now not fire.
  virtual bool cancel(TimerId timer) = 0;
  virtual const Clock& clock() const = 0;
  // Something that was to become a turn was lost for want of memory, as if a turn had. Takes none. From any thread.
  virtual void lose_turn() noexcept {}

  TimerId post_after(std::chrono::microseconds delay, Task task) {
    return post_at(clock().monotonic_now() + delay, std::move(task));
  }
};

// The ordered set of pending timers that both executors share. Not synchronised.
class TimerQueue {
 public:
  void add(Executor::TimerId id, MonotonicTime time, Task task);
  bool remove(Executor::TimerId id);
  std::optional<MonotonicTime> next_time() const;
  // The earliest task that is due at `now`, or an empty Task.
  Task take_due(MonotonicTime now);
  // The earliest task whenever it is due, or an empty Task.
  Task take_first();
  void clear();
  std::size_t size() const { return by_time_.size(); }

 private:
  std::map<std::pair<MonotonicTime, Executor::TimerId>, Task> by_time_;
  std::map<Executor::TimerId, MonotonicTime> time_of_;
};

class ThreadExecutor final : public Executor {
 public:
  // The name is the thread's.
  ThreadExecutor(std::string name, const Clock& clock);
  ~ThreadExecutor() override;

  void post(Task task) override;
  TimerId post_at(MonotonicTime time, Task task) override;
  bool cancel(TimerId timer) override;
  const Clock& clock() const override { return turn_clock_; }
  void lose_turn() noexcept override;
  // What puts right what a lost turn has left. While it finds no memory itself, turns go on between its attempts.
  void recover_with(Task recovery);

  bool on_this_thread() const { return std::this_thread::get_id() == thread_.get_id(); }
  // Ends the thread after the turn in progress and destroys what is pending. Not from the executor's own thread.
  void stop();

 private:
  void run(const std::string& name);

  const Clock& source_clock_;
  TurnClock turn_clock_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Task> tasks_;
  TimerQueue timers_;
  TimerId last_timer_ = 0;
  Task recovery_;
  bool lost_ = false;
  bool stopping_ = false;
  std::thread thread_;
};

class ManualExecutor final : public Executor {
 public:
  explicit ManualExecutor(const Clock& clock) : source_clock_(clock), turn_clock_(clock) {}
  ~ManualExecutor() override;

  void post(Task task) override;
  TimerId post_at(MonotonicTime time, Task task) override;
  bool cancel(TimerId timer) override;
  const Clock& clock() const override { return turn_clock_; }
  void lose_turn() noexcept override { lost_ = true; }
  // What puts right what a lost turn has left. It is what runs next, and again, until it passes.
  void recover_with(Task recovery) { recovery_ = std::move(recovery); }

  // Runs one task or due timer; false when there was none.
  bool run_one();
  // Runs until nothing is ready; returns the number of turns.
  std::size_t run_ready();
  // When the next turn could run: now if a task waits, the next timer otherwise, nullopt when idle.
  std::optional<MonotonicTime> next_time() const;
  // Called, from the posting thread, whenever something was posted; may only signal.
  void set_wake(Task wake);

 private:
  const Clock& source_clock_;
  TurnClock turn_clock_;
  mutable std::mutex mutex_;
  std::deque<Task> tasks_;
  TimerQueue timers_;
  TimerId last_timer_ = 0;
  Task wake_;
  Task recovery_;
  std::atomic<bool> lost_{false};
};

}  // namespace chatsdk
