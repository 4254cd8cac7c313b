// SPDX-License-Identifier: Apache-2.0
//
// The queue between the engine and the app: bounded, one poller at a time, with a coalesced ready signal.
//
// Threads: push from the library's threads; poll, take, wake, set_ready_hook and close from any.
// Invariants:
//   1. Completions and the end of a session are never dropped.
//   2. At most limits::kEventQueueMax state events wait: one more folds them all into one RESYNC.
//   3. The ready hook runs at most once between two takes, and never after set_ready_hook or close returned.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <mutex>
#include <vector>

#include "capi/snapshot.h"

namespace chatsdk::capi {

class EventQueue {
 public:
  explicit EventQueue(std::size_t state_events_max) : state_events_max_(state_events_max) {}
  ~EventQueue();

  void push(Ref<chatsdk_event> event);

  // Waits at most timeout (negative: without limit) and moves at most max events out. OK with at least one event, or
  // TIMED_OUT, CANCELLED, BUSY, CLOSED.
  Code poll(std::chrono::milliseconds timeout, std::size_t max, std::vector<Ref<chatsdk_event>>& out);
  // One event without waiting, for tick; empty when there is none.
  Ref<chatsdk_event> take();
  void wake();
  void set_ready_hook(chatsdk_ready_hook hook, void* user, chatsdk_destroy_hook destroy);
  // Ends a waiting poll with CLOSED, and removes the hook.
  void close();

 private:
  struct Hook {
    chatsdk_ready_hook call = nullptr;
    void* user = nullptr;
    chatsdk_destroy_hook destroy = nullptr;
  };

  static bool is_state(const chatsdk_event& event);
  void fold_state_events(std::uint64_t revision);
  void signal();

  const std::size_t state_events_max_;
  std::mutex mutex_;
  std::condition_variable arrived_;
  std::deque<Ref<chatsdk_event>> events_;
  std::size_t state_events_ = 0;
  bool polling_ = false;
  bool wake_ = false;
  bool closed_ = false;
  bool signalled_ = false;

  std::mutex hook_mutex_;  // held while the hook runs, which only signals; taken before nothing else
  Hook hook_;
};

}  // namespace chatsdk::capi
