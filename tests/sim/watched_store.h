// SPDX-License-Identifier: Apache-2.0
//
// The server's store as it is, with an eye on one promise: that nothing new of a device is accepted behind the commit
// that removed it. What waits in the committer's queue at that moment is what could break it. It also tells what was
// committed, and what became of sessions.
//
// Threads: the writer's.
#pragma once

#include <algorithm>
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
      if (std::any_of(ops.begin(), ops.end(), is_of_sessions)) on_sessions_in_doubt();
      return result;
    }
    told_ = 0;
    for (std::size_t i = 0; i < ops.size(); ++i) {
      if (result->answers[i].ok()) look(ops[i], *result->answers[i], result->appended);
    }
    tell_to(result->appended, result->appended.size());
    return result;
  }
  Result<std::unique_ptr<server::StoreReader>> open_reader() override { return store_.open_reader(); }
  std::uint64_t epoch() const override { return store_.epoch(); }
  Bytes secret() const override { return store_.secret(); }

  // A commit returned with this item, or with an error; or with device lists or keys, or without a device that there
  // was, told in the order of the writes.
  std::function<void(const server::AppendedItem&)> on_committed = [](const server::AppendedItem&) {};
  std::function<void(const UserId&)> on_listed = [](const UserId&) {};
  // An encrypted item was accepted, with slices for these devices beside what had been staged.
  std::function<void(const server::AppendMessage&)> on_addressed = [](const server::AppendMessage&) {};
  std::function<void()> on_failed = [] {};
  // A rotation was answered; the sessions that a device had so far ended; a commit that had to do with some failed.
  std::function<void(const server::RotateSession&, const server::SessionRotated&)> on_rotated = [](auto&, auto&) {};
  std::function<void(DeviceId)> on_session_ended = [](DeviceId) {};
  std::function<void()> on_sessions_in_doubt = [] {};

 private:
  static bool is_of_sessions(const server::WriteOp& op) {
    return std::holds_alternative<server::RotateSession>(op) || std::holds_alternative<server::OpenSession>(op) ||
           std::holds_alternative<server::EndSessions>(op) || std::holds_alternative<server::PublishLists>(op);
  }
  void tell_to(const std::vector<server::AppendedItem>& appended, std::size_t end) {
    for (; told_ < end; ++told_) on_committed(appended[told_]);
  }
  // The items up to the one that a write appended.
  void tell_of(const server::Appended& message, const std::vector<server::AppendedItem>& appended) {
    for (std::size_t i = told_; i < appended.size(); ++i) {
      const bool is_it = appended[i].stream_id == message.conversation_id && appended[i].seq == message.seq;
      if (is_it) return tell_to(appended, i + 1);
    }
  }
  void look(const server::WriteOp& op, const server::WriteAnswer& answer,
            const std::vector<server::AppendedItem>& appended) {
    if (const auto* listed = std::get_if<server::PublishLists>(&op)) {
      for (const DeviceId device : std::get<server::ListsPublished>(answer).ended) on_session_ended(device);
      return on_listed(listed->user_id);
    }
    if (const auto* keys = std::get_if<server::UploadPrekeys>(&op)) return on_listed(keys->user_id);
    if (const auto* message = std::get_if<server::Appended>(&answer)) tell_of(*message, appended);
    if (const auto* rotation = std::get_if<server::RotateSession>(&op)) {
      on_rotated(*rotation, std::get<server::SessionRotated>(answer));
    } else if (const auto* opened = std::get_if<server::SessionOpened>(&answer)) {
      on_session_ended(opened->session.device_id);  // replaced
    } else if (const auto* ended = std::get_if<server::EndSessions>(&op)) {
      on_session_ended(ended->device_id);
      if (!ended->remove_device) return;
      removed_.insert(ended->device_id);
      on_listed(ended->user_id);
    } else if (const auto* sent = std::get_if<server::AppendMessage>(&op)) {
      const auto* const accepted = std::get_if<server::Appended>(&answer);  // none: of an old roster
      if (accepted == nullptr || accepted->repeated) return;
      check(sent->sender_device);
      if (sent->encrypted) on_addressed(*sent);
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
  std::size_t told_ = 0;        // of a commit's items
  std::set<DeviceId> removed_;  // since the process began; its queue is no older
};

}  // namespace chatsdk::sim
