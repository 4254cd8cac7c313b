// SPDX-License-Identifier: Apache-2.0
//
// What the engine has to tell, on its way to the EventSink. Events wait here and are told from a task of their own, so
// that the sink never runs inside an engine function and may call back or destroy the client.
//
// Threads: the executor's.
// Invariants:
//   1. Events are told in the order they were raised.
//   2. An event that the sink had no memory for is told again, with those behind it.
//   3. The sink is not called once this object is destroyed, also when that happens inside the sink.
#pragma once

#include <list>
#include <memory>

#include "engine/client.h"
#include "engine/guard.h"

namespace chatsdk {

class Events {
 public:
  Events(Executor& executor, EventSink& sink) : executor_(executor), sink_(sink) {}

  // A place among the events for the changes of a commit that is about to be made: what could fail has not failed once
  // it is there. It says nothing while the changes are empty.
  class Place {
   public:
    void fill(Changes changes) noexcept { *changes_ = std::move(changes); }

   private:
    friend class Events;
    explicit Place(std::shared_ptr<Changes> changes) : changes_(std::move(changes)) {}
    std::shared_ptr<Changes> changes_;  // shared with the event that waits
  };
  [[nodiscard]] Place reserve();

  // Says nothing when the changes are empty.
  void changes(Changes changes);
  void connection(ConnectionState state, Error cause, std::chrono::milliseconds retry_in);
  void session_ended(Error cause);
  void completed(RequestId request, Status status);
  void devices(RequestId request, std::vector<DeviceInfo> devices);
  void decided();
  void encryption_state(EncryptionState state);
  void link_code(std::string code, std::string name);
  void link_ended(Status status);
  void identity_replaced(Status status);
  void operation_ended(DeviceStore::EndedOperation ended);
  void encryption_events(std::vector<e2ee::Event> events);
  // Tells at once what waits, for an owner that is about to destroy this object and has no further turn to give.
  void flush();
  // Tells what no task is going to tell, because there was no memory for the task.
  void tell_overdue();

 private:
  void raise(UniqueFunction<void(EventSink&)> tell);
  void tell_all();
  void tell_again(std::list<UniqueFunction<void(EventSink&)>>& events);

  Executor& executor_;
  EventSink& sink_;
  std::list<UniqueFunction<void(EventSink&)>> waiting_;
  bool posted_ = false;
  Guard guard_;
};

}  // namespace chatsdk
