// SPDX-License-Identifier: Apache-2.0
//
// LwsFlow: how many bytes of one connection are under way between the engine and the service, and when the two sides
// have to hold back: the engine while the send buffer is above its limit, the service while the engine has not taken
// what was received. Each call says whether its side of a limit has just been crossed. It knows nothing of frames.
//
// Threads: any; a mutex of its own, under which nobody is called.
#pragma once

#include <cstddef>
#include <mutex>

#include "base/limits.h"

namespace chatsdk {

class LwsFlow {
 public:
  explicit LwsFlow(std::size_t send_bytes_max) : send_bytes_max_(send_bytes_max) {}

  // The engine queues a frame. True: the buffer is above its limit.
  bool queued(std::size_t size) {
    std::lock_guard lock(mutex_);
    to_send_ += size;
    const bool full = to_send_ > send_bytes_max_;
    if (full) send_full_ = true;
    return full;
  }

  // The service has sent a frame. True: the buffer has drained below half of its limit since it was above it.
  bool sent(std::size_t size) {
    std::lock_guard lock(mutex_);
    to_send_ -= size;
    const bool drained = send_full_ && to_send_ < send_bytes_max_ / 2;
    if (drained) send_full_ = false;
    return drained;
  }

  // The service hands a frame to the engine. True: it stops reading from the network.
  bool delivered(std::size_t size) {
    std::lock_guard lock(mutex_);
    to_take_ += size;
    const bool stop = !reading_stopped_ && to_take_ > limits::kInboundBufferBytesMax;
    if (stop) reading_stopped_ = true;
    return stop;
  }

  // The engine has taken a frame. True: the service reads on.
  bool taken(std::size_t size) {
    std::lock_guard lock(mutex_);
    to_take_ -= size;
    const bool resume = reading_stopped_ && to_take_ < limits::kInboundBufferBytesMax / 2;
    if (resume) reading_stopped_ = false;
    return resume;
  }

 private:
  const std::size_t send_bytes_max_;
  std::mutex mutex_;
  std::size_t to_send_ = 0;
  bool send_full_ = false;
  std::size_t to_take_ = 0;
  bool reading_stopped_ = false;
};

}  // namespace chatsdk
