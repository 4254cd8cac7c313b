// SPDX-License-Identifier: Apache-2.0
#include "engine/events.h"

#include <new>

namespace chatsdk {

namespace {

bool is_empty(const Changes& changes) {
  return changes.added.empty() && changes.updated.empty() && changes.removed.empty() && changes.conversations.empty() &&
         changes.marks.empty() && changes.members.empty() && !changes.devices_changed;
}

}  // namespace

Events::Place Events::reserve() {
  auto changes = std::make_shared<Changes>();
  raise([changes](EventSink& sink) {
    if (!is_empty(*changes)) sink.on_changes(*changes);
  });
  return Place(std::move(changes));
}

void Events::changes(Changes changes) {
  if (is_empty(changes)) return;
  raise([changes = std::move(changes)](EventSink& sink) { sink.on_changes(changes); });
}

void Events::connection(ConnectionState state, Error cause, std::chrono::milliseconds retry_in) {
  raise([state, cause = std::move(cause), retry_in](EventSink& sink) { sink.on_connection(state, cause, retry_in); });
}

void Events::session_ended(Error cause) {
  raise([cause = std::move(cause)](EventSink& sink) { sink.on_session_ended(cause); });
}

void Events::completed(RequestId request, Status status) {
  raise([request, status = std::move(status)](EventSink& sink) { sink.on_completed(request, status); });
}

void Events::devices(RequestId request, std::vector<DeviceInfo> devices) {
  raise([request, devices = std::move(devices)](EventSink& sink) { sink.on_devices(request, devices); });
}

void Events::decided() {
  raise([](EventSink& sink) { sink.on_decided(); });
}

void Events::encryption_state(EncryptionState state) {
  raise([state](EventSink& sink) { sink.on_encryption_state(state); });
}

void Events::link_code(std::string code, std::string name) {
  raise([code = std::move(code), name = std::move(name)](EventSink& sink) { sink.on_link_code(code, name); });
}

void Events::identity_replaced(Status status) {
  raise([status = std::move(status)](EventSink& sink) { sink.on_identity_replaced(status); });
}

void Events::link_ended(Status status) {
  raise([status = std::move(status)](EventSink& sink) { sink.on_link_ended(status); });
}

void Events::encryption_events(std::vector<e2ee::Event> events) {
  if (events.empty()) return;
  raise([events = std::move(events)](EventSink& sink) { sink.on_encryption_events(events); });
}

void Events::operation_ended(DeviceStore::EndedOperation ended) {
  raise([ended = std::move(ended)](EventSink& sink) { sink.on_operation_ended(ended); });
}

void Events::flush() {
  const auto alive = guard_.watch();
  while (!alive.expired() && !waiting_.empty()) tell_all();
}

void Events::tell_overdue() {
  if (!posted_ && !waiting_.empty()) tell_all();
}

void Events::raise(UniqueFunction<void(EventSink&)> tell) {
  waiting_.push_back(std::move(tell));
  if (posted_) return;
  try {
    executor_.post(guard_.wrap([this] { tell_all(); }));
  } catch (...) {
    waiting_.pop_back();
    throw;
  }
  posted_ = true;
}

void Events::tell_all() {
  // What the sink's own calls raise is told in the next turn.
  const auto alive = guard_.watch();
  std::list<UniqueFunction<void(EventSink&)>> events;
  events.swap(waiting_);
  posted_ = false;
  EventSink& sink = sink_;
  while (!events.empty() && !alive.expired()) {
    try {
      events.front()(sink);
    } catch (...) {
      if (!alive.expired()) tell_again(events);
      throw;
    }
    events.pop_front();
  }
}

void Events::tell_again(std::list<UniqueFunction<void(EventSink&)>>& events) {
  waiting_.splice(waiting_.begin(), events);
  if (posted_) return;
  try {
    executor_.post(guard_.wrap([this] { tell_all(); }));
    posted_ = true;
  } catch (const std::bad_alloc&) {
    // They wait for tell_overdue(), or for the next event to be raised.
  }
}

}  // namespace chatsdk
