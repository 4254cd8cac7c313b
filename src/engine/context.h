// SPDX-License-Identifier: Apache-2.0
//
// What every part of the engine is handed: its seams, the store, the options, and the way to tell the app.
//
// Threads: the executor's.
#pragma once

#include <string>

#include "engine/client.h"
#include "engine/events.h"

namespace chatsdk {

struct EngineContext {
  const ClientOptions& options;
  Executor& executor;
  RandomStreams random;
  Transport& transport;
  HttpClient& http;
  Log& log;
  DeviceStore& store;
  Events& events;

  MonotonicTime now() const { return executor.clock().monotonic_now(); }
  WallTime wall_now() const { return executor.clock().wall_now(); }
  void debug(std::string_view area, const std::string& line) const {
    if (log.enabled(LogLevel::kDebug)) log.write(LogLevel::kDebug, area, line);
  }
};

}  // namespace chatsdk
