// SPDX-License-Identifier: Apache-2.0
//
// The queue between the engine and the app: bounded, one thread pulls at a time, with a coalesced ready signal.
//
// Threads: push from the library's threads; the rest from any.
// Invariants:
//   1. Completions, the end of a session, what a linking says and what the store keeps until it is pulled are never
//      dropped: of the latter the same is here once, and of a user's devices as many as the store keeps.
//   2. At most limits::kEventQueueMax state events wait: one more folds them all into one RESYNC.
//   3. The ready hook runs at most once between two takes, and never after set_ready_hook or close returned.
//   4. No lock is held while the hook runs.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <memory>
#include <mutex>
#include <vector>

#include "capi/snapshot.h"

namespace chatsdk::capi {

class EventQueue {
 public:
  explicit EventQueue(std::size_t state_events_max) : state_events_max_(state_events_max) {}
  ~EventQueue();

  void push(Ref<chatsdk_event> event);
  // All of them, in order, with one wake-up of who waits. After std::bad_alloc a first part of them is in the queue.
  void push(std::vector<Ref<chatsdk_event>> events);

  // Waits at most timeout (negative: without limit) and moves at most max events out. OK with at least one event, or
  // TIMED_OUT, CANCELLED, BUSY, CLOSED.
  Code poll(std::chrono::milliseconds timeout, std::size_t max, std::vector<Ref<chatsdk_event>>& out);

  // For tick: makes this thread the one that pulls, until end_pull. False: another one pulls.
  bool begin_pull();
  void end_pull();
  // One event without waiting; empty when there is none.
  Ref<chatsdk_event> take();
  std::size_t size() const;

  // Takes out what the store keeps: it is told again when the store is open again.
  void drop_kept();
  void wake();
  void set_ready_hook(chatsdk_ready_hook hook, void* user, chatsdk_destroy_hook destroy);
  // Ends a waiting poll with CLOSED, and removes the hook.
  void close();

 private:
  struct Hook {
    chatsdk_ready_hook call = nullptr;
    void* user = nullptr;
    chatsdk_destroy_hook destroy = nullptr;
    std::size_t running = 0;  // calls under way, under mutex_
  };

  static bool is_state(const chatsdk_event& event);
  void add(Ref<chatsdk_event> event);  // under mutex_
  void make_room_for_kept(const chatsdk_event& event);
  void fold_state_events(std::uint64_t revision);
  void signal();
  void replace_hook(std::shared_ptr<Hook> hook);

  const std::size_t state_events_max_;
  mutable std::mutex mutex_;
  std::condition_variable arrived_;
  std::condition_variable hook_returned_;
  std::deque<Ref<chatsdk_event>> events_;
  std::size_t state_events_ = 0;
  bool pulling_ = false;
  bool wake_ = false;
  bool closed_ = false;
  bool signalled_ = false;
  std::shared_ptr<Hook> hook_;  // shared with its calls under way
};

}  // namespace chatsdk::capi
