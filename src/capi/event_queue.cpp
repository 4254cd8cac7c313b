// SPDX-License-Identifier: Apache-2.0
#include "capi/event_queue.h"

#include <algorithm>

namespace chatsdk::capi {

EventQueue::~EventQueue() { close(); }

bool EventQueue::is_state(const chatsdk_event& event) {
  return event.type != CHATSDK_EVENT_COMPLETED && event.type != CHATSDK_EVENT_SESSION_ENDED;
}

void EventQueue::push(Ref<chatsdk_event> event) {
  {
    std::lock_guard lock(mutex_);
    if (closed_) return;
    if (is_state(*event.get())) {
      if (state_events_ == state_events_max_) fold_state_events(event->revision);
      ++state_events_;
    }
    events_.push_back(std::move(event));
  }
  arrived_.notify_one();
  signal();
}

void EventQueue::fold_state_events(std::uint64_t revision) {
  // The connection's last state is not in the store, so it stays.
  Ref<chatsdk_event> connection;
  std::deque<Ref<chatsdk_event>> kept;
  for (auto& event : events_) {
    revision = std::max(revision, event->revision);
    if (event->type == CHATSDK_EVENT_CONNECTION) {
      connection = std::move(event);
    } else if (!is_state(*event.get())) {
      kept.push_back(std::move(event));
    }
  }
  auto resync = std::make_unique<chatsdk_event>(CHATSDK_EVENT_RESYNC);
  resync->revision = revision;
  kept.emplace_back(resync.release());
  state_events_ = 1;
  if (connection) {
    kept.push_back(std::move(connection));
    ++state_events_;
  }
  events_ = std::move(kept);
}

void EventQueue::signal() {
  std::lock_guard hook_lock(hook_mutex_);
  if (hook_.call == nullptr) return;
  {
    std::lock_guard lock(mutex_);
    if (signalled_ || events_.empty()) return;
    signalled_ = true;
  }
  hook_.call(hook_.user);
}

Code EventQueue::poll(std::chrono::milliseconds timeout, std::size_t max, std::vector<Ref<chatsdk_event>>& out) {
  std::unique_lock lock(mutex_);
  if (polling_) return Code::kBusy;
  polling_ = true;
  const auto ready = [this] { return !events_.empty() || wake_ || closed_; };
  if (timeout.count() < 0) {
    arrived_.wait(lock, ready);
  } else {
    arrived_.wait_for(lock, timeout, ready);
  }
  polling_ = false;
  signalled_ = false;
  if (closed_) return Code::kClosed;
  if (wake_) {
    wake_ = false;
    return Code::kCancelled;
  }
  if (events_.empty()) return Code::kTimedOut;
  while (!events_.empty() && out.size() < max) {
    if (is_state(*events_.front().get())) --state_events_;
    out.push_back(std::move(events_.front()));
    events_.pop_front();
  }
  return Code::kOk;
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
  Hook former;
  {
    std::lock_guard hook_lock(hook_mutex_);
    former = hook_;
    hook_ = Hook{hook, user, destroy};
    std::lock_guard lock(mutex_);
    signalled_ = false;
  }
  if (former.destroy != nullptr) former.destroy(former.user);
  signal();  // what waits already is signalled too
}

void EventQueue::close() {
  {
    std::lock_guard lock(mutex_);
    closed_ = true;
    events_.clear();
    state_events_ = 0;
  }
  arrived_.notify_all();
  set_ready_hook(nullptr, nullptr, nullptr);
}

}  // namespace chatsdk::capi
