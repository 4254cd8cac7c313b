// SPDX-License-Identifier: Apache-2.0
//
// EngineCall: one call into the engine, from a thread that waits for it.
//
// Threads: run() on the engine, the rest on the caller.
// Invariants:
//   1. The body runs at most once, and only while its caller waits.
#pragma once

#include <chrono>
#include <condition_variable>
#include <exception>
#include <functional>
#include <mutex>

namespace chatsdk::capi {

// One call into the engine. Its task and its caller own it together, as either may be gone first: the task when an
// earlier one throws through the caller, the caller when it has waited long enough.
class EngineCall {
 public:
  explicit EngineCall(const std::function<void()>& body) : body_(&body) {}

  void run() {
    {
      std::lock_guard lock(mutex_);
      if (state_ != State::kWaits) return;
      state_ = State::kRuns;
    }
    std::exception_ptr failure;
    try {
      (*body_)();
    } catch (...) {
      failure = std::current_exception();
    }
    std::lock_guard lock(mutex_);
    failure_ = failure;
    state_ = State::kDone;
    done_.notify_all();
  }
  bool done() {
    std::lock_guard lock(mutex_);
    return state_ == State::kDone;
  }
  // After this the body does not begin any more.
  void give_up() {
    std::lock_guard lock(mutex_);
    if (state_ == State::kWaits) state_ = State::kGivenUp;
  }
  // False: the body has not begun within the limit and will not.
  bool wait(std::chrono::milliseconds limit) {
    std::unique_lock lock(mutex_);
    if (!done_.wait_for(lock, limit, [this] { return state_ == State::kDone; }) && state_ == State::kWaits) {
      state_ = State::kGivenUp;
      return false;
    }
    done_.wait(lock, [this] { return state_ == State::kDone; });
    return true;
  }
  void rethrow() {
    if (failure_) std::rethrow_exception(failure_);
  }

 private:
  enum class State { kWaits, kRuns, kDone, kGivenUp };

  const std::function<void()>* const body_;  // the caller's, which waits while it runs
  std::mutex mutex_;
  std::condition_variable done_;
  State state_ = State::kWaits;
  std::exception_ptr failure_;
};

}  // namespace chatsdk::capi
