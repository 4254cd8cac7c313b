// SPDX-License-Identifier: Apache-2.0
//
// The server's store as it is, with an eye on one promise: that nothing new of a device is accepted behind the commit
// that removed it. What waits in the committer's queue at that moment is what could break it. It also tells what was
// committed.
//
// Threads: the writer's.
#pragma once

#include <functional>
#include <set>
#include <utility>
#include <variant>

#include "server-reference/store/store.h"

namespace chatsdk::sim {

class WatchedStore final : public server::Store {
 public:
  WatchedStore(server::Store& store, std::function<void(DeviceId)> on_accepted_after_removal)
      : store_(store), on_accepted_after_removal_(std::move(on_accepted_after_removal)) {}

  Result<server::CommitResult> commit(std::span<const server::WriteOp> ops) override {
    auto result = store_.commit(ops);
    if (!result.ok()) {
      on_failed();
      return result;
    }
    for (const server::AppendedItem& item : result->appended) on_committed(item);
    for (std::size_t i = 0; i < ops.size(); ++i) {
      if (result->answers[i].ok()) look(ops[i], *result->answers[i]);
    }
    return result;
  }
  Result<std::unique_ptr<server::StoreReader>> open_reader() override { return store_.open_reader(); }
  std::uint64_t epoch() const override { return store_.epoch(); }
  Bytes secret() const override { return store_.secret(); }

  // A commit returned with this item, or with an error.
  std::function<void(const server::AppendedItem&)> on_committed = [](const server::AppendedItem&) {};
  std::function<void()> on_failed = [] {};

 private:
  void look(const server::WriteOp& op, const server::WriteAnswer& answer) {
    if (const auto* ended = std::get_if<server::EndSessions>(&op)) {
      if (ended->remove_device) removed_.insert(ended->device_id);
    } else if (const auto* sent = std::get_if<server::AppendMessage>(&op)) {
      const auto* const appended = std::get_if<server::Appended>(&answer);  // none: of an old roster
      if (appended != nullptr && !appended->repeated) check(sent->sender_device);
    } else if (const auto* taken_back = std::get_if<server::VoidMessage>(&op)) {
      const auto& voided = std::get<server::Voided>(answer);
      if (!voided.accepted && !voided.repeated) check(taken_back->sender_device);
    }
  }
  void check(DeviceId device) {
    if (removed_.contains(device)) on_accepted_after_removal_(device);
  }

  server::Store& store_;
  const std::function<void(DeviceId)> on_accepted_after_removal_;
  std::set<DeviceId> removed_;  // since the process began; its queue is no older
};

}  // namespace chatsdk::sim
