// SPDX-License-Identifier: Apache-2.0
//
// The accounts part of the store's contract, in memory.
//
// Threads: one.
#pragma once

#include <map>
#include <memory>
#include <vector>

#include "server-reference/store/store.h"

namespace chatsdk::server::testing {

class AccountModel final : public Store {
 public:
  Result<CommitResult> commit(std::span<const WriteOp> ops) override {
    CommitResult result;
    for (const WriteOp& op : ops) {
      result.answers.push_back(std::visit([this](const auto& one) { return apply(one); }, op));
    }
    return result;
  }
  Result<std::unique_ptr<StoreReader>> open_reader() override {
    return std::unique_ptr<StoreReader>(std::make_unique<Reader>(*this));
  }
  std::uint64_t epoch() const override { return 1; }
  Bytes secret() const override { return Bytes(32, 's'); }

 private:
  struct Row {
    Session session;
    bool previous = false;
    Bytes previous_request;
  };
  class Reader final : public StoreReader {
   public:
    explicit Reader(AccountModel& model) : m_(model) {}
    Result<std::optional<Account>> account(const UserId& user_id) override {
      const auto found = m_.accounts_.find(user_id);
      return found == m_.accounts_.end() ? std::optional<Account>() : std::optional<Account>(found->second);
    }
    Result<std::optional<Session>> session_of(DeviceId device_id) override {
      const auto found = m_.sessions_.find(device_id.value);
      return found == m_.sessions_.end() ? std::optional<Session>() : std::optional<Session>(found->second);
    }
    Result<std::vector<Device>> devices(const UserId& user_id) override {
      std::vector<Device> list;
      for (const auto& [id, device] : m_.devices_) {
        if (device.user_id == user_id) list.push_back(device);
      }
      return list;
    }
    Result<std::vector<FollowedStream>> followed(const UserId&, DeviceId) override {
      return std::vector<FollowedStream>();
    }
    Result<ItemPage> items(const UserId&, StreamId, Seq, std::size_t, std::size_t) override { return ItemPage{}; }
    Result<std::vector<MarkAdvance>> marks_after(ConversationId, std::uint64_t, std::size_t) override {
      return std::vector<MarkAdvance>();
    }
    Status check() override { return {}; }

   private:
    AccountModel& m_;
  };

  template <typename Op>
  Result<WriteAnswer> apply(const Op&) {
    return error(Code::kUnsupported, "not an operation on accounts");
  }
  Result<WriteAnswer> apply(const CreateAccount& op) {
    for (const auto& [id, account] : accounts_) {
      if (id == op.account.user_id || (!op.account.email.empty() && account.email == op.account.email) ||
          (!op.account.phone.empty() && account.phone == op.account.phone)) {
        return error(Code::kAlreadyExists, "taken");
      }
    }
    accounts_[op.account.user_id] = op.account;
    return WriteAnswer(op.account);
  }
  Result<WriteAnswer> apply(const EnsureAccount& op) {
    return WriteAnswer(accounts_.emplace(op.account.user_id, op.account).first->second);
  }
  Result<WriteAnswer> apply(const OpenSession& op) {
    const auto account = accounts_.find(op.user_id);
    if (account == accounts_.end()) return error(Code::kNotFound, "no such user");
    if (!op.new_password_hash.empty()) account->second.password_hash = op.new_password_hash;
    SessionOpened opened;
    std::size_t count = 0;
    Device* found = nullptr;
    for (auto& [id, device] : devices_) {
      if (device.user_id != op.user_id) continue;
      ++count;
      if (device.installation_id == op.installation_id) found = &device;
    }
    if (found == nullptr) {
      if (count >= limits::kDevicesPerUserMax) return error(Code::kLimitReached, "devices");
      opened.new_device = true;
      const DeviceId id{++last_id_};
      found = &(devices_[id.value] = Device{id, op.user_id, op.device_name, op.installation_id, op.now, op.now});
    }
    opened.session = {SessionId{++last_id_}, found->device_id, op.user_id, 1, {}, op.expires};
    sessions_[found->device_id.value] = opened.session;
    return WriteAnswer(opened);
  }
  Result<WriteAnswer> apply(const RotateSession& op) {
    SessionRotated rotated;
    for (auto& [device, session] : sessions_) {
      if (session.session_id != op.session_id) continue;
      rotated.session = session;
      if (op.generation == session.generation) {
        session.generation++;
        session.last_request_id = op.request_id;
        session.expires = op.expires;
        rotated.outcome = SessionRotated::Outcome::kRotated;
        rotated.session = session;
      } else if (op.generation + 1 == session.generation && op.request_id == session.last_request_id) {
        rotated.outcome = SessionRotated::Outcome::kRepeated;
      } else {
        rotated.outcome = SessionRotated::Outcome::kReused;
        sessions_.erase(device);
      }
      return WriteAnswer(rotated);
    }
    return WriteAnswer(rotated);
  }
  Result<WriteAnswer> apply(const EndSessions& op) {
    const auto found = devices_.find(op.device_id.value);
    if (found == devices_.end() || found->second.user_id != op.user_id) return error(Code::kNotFound, "no such device");
    sessions_.erase(op.device_id.value);
    if (op.remove_device) devices_.erase(found);
    return WriteAnswer(Done{});
  }

  std::map<UserId, Account> accounts_;
  std::map<std::uint64_t, Device> devices_;
  std::map<std::uint64_t, Session> sessions_;
  std::uint64_t last_id_ = 100;
};

}  // namespace chatsdk::server::testing
