// SPDX-License-Identifier: Apache-2.0
#include "capi/event_queue.h"

#include <algorithm>

#include "base/limits.h"

namespace chatsdk::capi {

EventQueue::~EventQueue() { close(); }

bool EventQueue::is_state(const chatsdk_event& event) {
  if (event.kept != 0) return false;
  switch (event.type) {
    case CHATSDK_EVENT_COMPLETED:
    case CHATSDK_EVENT_SESSION_ENDED:
    case CHATSDK_EVENT_LINK_CODE:
    case CHATSDK_EVENT_LINK_ENDED:
    case CHATSDK_EVENT_IDENTITY_REPLACED:
    case CHATSDK_EVENT_OPERATION_ENDED:
      return false;
    default:
      return true;
  }
}

void EventQueue::push(Ref<chatsdk_event> event) {
  {
    const std::lock_guard lock(mutex_);
    if (closed_) return;
    add(std::move(event));
  }
  arrived_.notify_one();
  signal();
}

void EventQueue::push(std::vector<Ref<chatsdk_event>> events) {
  if (events.empty()) return;
  // A waiting thread is woken after all are there: one that is woken by the first would take them one by one.
  {
    const std::lock_guard lock(mutex_);
    if (closed_) return;
    for (Ref<chatsdk_event>& event : events) add(std::move(event));
  }
  arrived_.notify_one();
  signal();
}

void EventQueue::add(Ref<chatsdk_event> event) {
  const bool state = is_state(*event.get());
  if (state && state_events_ >= state_events_max_) fold_state_events(event->revision);
  if (event->kept != 0) make_room_for_kept(*event.get());
  events_.push_back(std::move(event));
  if (state) ++state_events_;
}

void EventQueue::make_room_for_kept(const chatsdk_event& event) {
  std::size_t devices = 0;
  auto oldest = events_.end();
  for (auto at = events_.begin(); at != events_.end(); ++at) {
    const chatsdk_event& other = *at->get();
    if (other.kept == 0 || other.user != event.user) continue;
    if (other.type == event.type && other.device_id == event.device_id) {
      events_.erase(at);
      return;
    }
    if (other.device_id == 0) continue;
    if (devices++ == 0) oldest = at;
  }
  if (event.device_id != 0 && devices >= limits::e2ee::kDeviceEventsMax) events_.erase(oldest);
}

void EventQueue::drop_kept() {
  const std::lock_guard lock(mutex_);
  std::erase_if(events_, [](const Ref<chatsdk_event>& event) { return event->kept != 0 || event->operation != 0; });
}

void EventQueue::fold_state_events(std::uint64_t revision) {
  // What is folded makes the room for what stays, so that nothing is lost for want of memory.
  auto resync = std::make_unique<chatsdk_event>(CHATSDK_EVENT_RESYNC);
  // The connection's last state is not in the store, so it stays.
  Ref<chatsdk_event> connection;
  auto kept = events_.begin();
  for (auto& event : events_) {
    revision = std::max(revision, event->revision);
    if (event->type == CHATSDK_EVENT_CONNECTION) {
      connection = std::move(event);
    } else if (!is_state(*event.get())) {
      if (&*kept != &event) *kept = std::move(event);
      ++kept;
    }
  }
  resync->revision = revision;
  state_events_ = 0;
  const auto keep = [&](Ref<chatsdk_event> event) {
    ++state_events_;
    if (kept != events_.end()) {
      *kept++ = std::move(event);
    } else {
      events_.push_back(std::move(event));
      kept = events_.end();
    }
  };
  keep(Ref<chatsdk_event>(resync.release()));
  if (connection) keep(std::move(connection));
  events_.erase(kept, events_.end());
}

void EventQueue::signal() {
  std::shared_ptr<Hook> hook;
  {
    std::lock_guard lock(mutex_);
    if (hook_ == nullptr || hook_->call == nullptr || signalled_ || events_.empty()) return;
    signalled_ = true;
    hook = hook_;
    ++hook->running;
  }
  struct Returned {
    EventQueue& queue;
    Hook& hook;
    ~Returned() {
      std::lock_guard lock(queue.mutex_);
      if (--hook.running == 0) queue.hook_returned_.notify_all();
    }
  };
  const Returned returned{*this, *hook};
  try {
    hook->call(hook->user);
  } catch (...) {
    // The event is in the queue; the engine's turn must not end for a signal that failed.
  }
}

Code EventQueue::poll(std::chrono::milliseconds timeout, std::size_t max, std::vector<Ref<chatsdk_event>>& out) {
  std::unique_lock lock(mutex_);
  if (closed_) return Code::kClosed;
  if (pulling_) return Code::kBusy;
  pulling_ = true;
  const auto ready = [this] { return !events_.empty() || wake_ || closed_; };
  if (timeout.count() < 0) {
    arrived_.wait(lock, ready);
  } else {
    arrived_.wait_for(lock, timeout, ready);
  }
  pulling_ = false;
  signalled_ = false;
  if (closed_) return Code::kClosed;
  if (wake_) {
    wake_ = false;
    return Code::kCancelled;
  }
  if (events_.empty()) return Code::kTimedOut;
  out.reserve(std::min(max, events_.size()));  // may find no memory: before anything is taken
  while (!events_.empty() && out.size() < max) {
    if (is_state(*events_.front().get())) --state_events_;
    out.push_back(std::move(events_.front()));
    events_.pop_front();
  }
  return Code::kOk;
}

bool EventQueue::begin_pull() {
  std::lock_guard lock(mutex_);
  if (pulling_) return false;
  pulling_ = true;
  return true;
}

void EventQueue::end_pull() {
  std::lock_guard lock(mutex_);
  pulling_ = false;
}

std::size_t EventQueue::size() const {
  std::lock_guard lock(mutex_);
  return events_.size();
}

Ref<chatsdk_event> EventQueue::take() {
  std::lock_guard lock(mutex_);
  signalled_ = false;
  if (events_.empty()) return {};
  Ref<chatsdk_event> event = std::move(events_.front());
  events_.pop_front();
  if (is_state(*event.get())) --state_events_;
  return event;
}

void EventQueue::wake() {
  {
    std::lock_guard lock(mutex_);
    wake_ = true;
  }
  arrived_.notify_all();
}

void EventQueue::set_ready_hook(chatsdk_ready_hook hook, void* user, chatsdk_destroy_hook destroy) {
  replace_hook(std::make_shared<Hook>(Hook{hook, user, destroy}));
  signal();  // what waits already is signalled too
}

void EventQueue::replace_hook(std::shared_ptr<Hook> hook) {
  {
    std::unique_lock lock(mutex_);
    hook_.swap(hook);
    signalled_ = false;
    if (hook == nullptr) return;
    hook_returned_.wait(lock, [&] { return hook->running == 0; });
  }
  if (hook->destroy != nullptr) hook->destroy(hook->user);
}

void EventQueue::close() {
  {
    std::lock_guard lock(mutex_);
    closed_ = true;
    events_.clear();
    state_events_ = 0;
  }
  arrived_.notify_all();
  replace_hook(nullptr);
}

}  // namespace chatsdk::capi
