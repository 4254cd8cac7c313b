// SPDX-License-Identifier: Apache-2.0
#include "engine/events.h"

namespace chatsdk {

void Events::changes(Changes changes) {
  if (changes.added.empty() && changes.updated.empty() && changes.removed.empty() && changes.conversations.empty() &&
      changes.marks.empty() && !changes.devices_changed) {
    return;
  }
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

void Events::flush() {
  const auto alive = guard_.watch();
  while (!alive.expired() && !waiting_.empty()) tell_all();
}

void Events::raise(UniqueFunction<void(EventSink&)> tell) {
  waiting_.push_back(std::move(tell));
  if (posted_) return;
  posted_ = true;
  executor_.post(guard_.wrap([this] { tell_all(); }));
}

void Events::tell_all() {
  // What the sink's own calls raise is told in the next turn.
  const auto alive = guard_.watch();
  std::deque<UniqueFunction<void(EventSink&)>> events;
  events.swap(waiting_);
  posted_ = false;
  EventSink& sink = sink_;
  while (!events.empty() && !alive.expired()) {
    auto tell = std::move(events.front());
    events.pop_front();
    tell(sink);
  }
}

}  // namespace chatsdk
