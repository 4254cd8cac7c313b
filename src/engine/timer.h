// SPDX-License-Identifier: Apache-2.0
//
// One pending timer of an executor, cancelled with its owner.
//
// Threads: the executor's.
#pragma once

#include "base/executor.h"

namespace chatsdk {

class Timer {
 public:
  explicit Timer(Executor& executor) : executor_(executor) {}
  ~Timer() { cancel(); }
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  // Replaces what was pending.
  template <typename F>
  void start_at(MonotonicTime time, F f) {
    cancel();
    time_ = time;
    id_ = executor_.post_at(time, [this, f = std::move(f)]() mutable {
      id_ = 0;
      f();
    });
  }
  template <typename F>
  void start_after(std::chrono::microseconds delay, F f) {
    start_at(executor_.clock().monotonic_now() + delay, std::move(f));
  }
  void cancel() {
    if (id_ != 0) executor_.cancel(id_);
    id_ = 0;
  }
  bool pending() const { return id_ != 0; }
  MonotonicTime time() const { return time_; }  // of the pending timer

 private:
  Executor& executor_;
  Executor::TimerId id_ = 0;
  MonotonicTime time_;
};

}  // namespace chatsdk
