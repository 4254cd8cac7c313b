// SPDX-License-Identifier: Apache-2.0
//
// Gate: who uses the parts of a client, and who may take them away. Users pass together; one owner at a time holds the
// gate alone, and whoever comes after an owner that waits stays outside until it is done, so that steady use cannot
// keep the owner out. It works with std::shared_lock and std::unique_lock. It knows nothing of what it guards.
//
// Threads: any. A thread that is inside does not enter again.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <mutex>

namespace chatsdk::capi {

class Gate {
 public:
  void lock_shared() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return !held_ && owners_waiting_ == 0; });
    ++users_;
  }
  void unlock_shared() {
    std::lock_guard lock(mutex_);
    if (--users_ == 0) changed_.notify_all();
  }

  void lock() {
    std::unique_lock lock(mutex_);
    ++owners_waiting_;
    changed_.wait(lock, [this] { return free(); });
    --owners_waiting_;
    held_ = true;
  }
  // False when the time is over; then nothing has changed.
  template <typename Rep, typename Period>
  bool try_lock_for(std::chrono::duration<Rep, Period> limit) {
    std::unique_lock lock(mutex_);
    ++owners_waiting_;
    const bool got = changed_.wait_for(lock, limit, [this] { return free(); });
    --owners_waiting_;
    held_ = got || held_;
    if (!got) changed_.notify_all();
    return got;
  }
  void unlock() {
    std::lock_guard lock(mutex_);
    held_ = false;
    changed_.notify_all();
  }

 private:
  bool free() const { return !held_ && users_ == 0; }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::size_t users_ = 0;
  std::size_t owners_waiting_ = 0;
  bool held_ = false;
};

}  // namespace chatsdk::capi
