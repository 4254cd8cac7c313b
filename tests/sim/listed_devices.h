// SPDX-License-Identifier: Apache-2.0
//
// Which devices the server's newest device lists name and has keys of, told as the history has it: a message that was
// accepted behind a list is for the devices of that list. Devices are known by the names that they log in with. One
// that the server has forgotten is in no list, though it may stand there until another takes it out; nor is one that
// stands there under an id that it goes by no more.
//
// Threads: one.
#pragma once

#include <algorithm>
#include <functional>
#include <map>
#include <optional>
#include <set>

#include "server-reference/store/store.h"
#include "sim/history.h"
#include "sim/scheduler.h"

namespace chatsdk::sim {

class ListedDevices {
 public:
  using Tell = std::function<void(NodeId device, bool listed, bool has_keys)>;

  // name_of: a user's name.
  ListedDevices(std::function<UserId(UserNumber)> name_of, Tell tell)
      : name_of_(std::move(name_of)), tell_(std::move(tell)) {}

  // The device goes by this id from now on.
  void logged_in(UserNumber user, NodeId device, DeviceId id);
  // The user's list may be another: compares it with what was told of it last.
  void read(server::StoreReader& store, UserNumber user);
  // Of what was accepted encrypted: a device that it is for and no list names, as far as every list could be read.
  std::optional<DeviceId> unlisted(const server::AppendMessage& message) const;
  // As told last: the user's list names one of these.
  template <typename Is>
  bool names_any(UserNumber user, const Is& is) const {
    const auto told = told_.find(user);
    return told != told_.end() &&
           std::any_of(told->second.begin(), told->second.end(), [&](const auto& entry) { return is(entry.first); });
  }
  // Those that could not be read are read again.
  void read_overdue(server::StoreReader& store);

 private:
  std::function<UserId(UserNumber)> name_of_;
  Tell tell_;
  struct Standing {
    DeviceId id;
    bool has_keys = false;
    bool operator==(const Standing&) const = default;
  };
  std::map<UserNumber, std::map<NodeId, Standing>> told_;
  std::map<UserNumber, std::set<DeviceId>> named_;  // by the newest list, forgotten devices among them
  std::set<UserNumber> overdue_;
  std::map<NodeId, DeviceId> ids_;
  std::set<DeviceId> former_ids_;
};

}  // namespace chatsdk::sim
