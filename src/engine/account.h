// SPDX-License-Identifier: Apache-2.0
//
// account: the app's requests about accounts and devices, each completed exactly once. What a log-in means is the
// session's; this keeps who asked.
//
// Threads: the executor's.
#pragma once

#include <set>

#include "engine/connection.h"
#include "engine/encryption.h"

namespace chatsdk {

class Account {
 public:
  // encryption: nullptr where this client takes no part in it.
  Account(const EngineContext& context, Session& session, RestApi& rest, Connection& connection, Encryption* encryption)
      : context_(context), session_(session), rest_(rest), connection_(connection), encryption_(encryption) {}

  void register_account(RequestId request, const Registration& registration);
  void login(RequestId request, const std::string& user_id, const std::string& password);
  void login_with_assertion(RequestId request, const std::string& assertion);
  // A device that leaves, or is removed, leaves its user's device list first: what was asked for and not answered may
  // have been done by half, and never so that somebody still encrypts for a device that is gone.
  void logout(RequestId request);
  void list_devices(RequestId request);
  void revoke_device(RequestId request, DeviceId device);
  // Completes what is open.
  void cancel_all(const Error& cause);
  void forget(RequestId request) { open_.erase(request); }
  std::size_t open_requests() const { return open_.size(); }

 private:
  // False, and completed, when the id cannot be taken.
  bool open(RequestId request);
  void complete(RequestId request, Status status);
  Session::StatusCallback completing(RequestId request);
  Result<std::string> name_of(const wire::Device& device);
  void unlink(DeviceId device, Session::StatusCallback done);
  void remove_device(RequestId request, DeviceId device);

  const EngineContext& context_;
  Session& session_;
  RestApi& rest_;
  Connection& connection_;
  Encryption* const encryption_;
  std::set<RequestId> open_;
  Guard guard_;
};

}  // namespace chatsdk
