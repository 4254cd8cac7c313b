// SPDX-License-Identifier: Apache-2.0
#include "sim/listed_devices.h"

#include <string_view>
#include <utility>

#include "sim/device_node.h"

namespace chatsdk::sim {

void ListedDevices::read_overdue(server::StoreReader& store) {
  for (const UserNumber user : std::exchange(overdue_, {})) read(store, user);
}

void ListedDevices::read(server::StoreReader& store, UserNumber user) {
  const auto devices = store.devices(name_of_(user));
  const auto newest = store.newest_list(name_of_(user));
  if (!devices.ok() || !newest.ok()) {
    overdue_.insert(user);
    return;
  }
  for (const server::Device& device : *devices) {
    if (const auto number = DeviceNode::number_in(device.name)) nodes_[device.device_id] = *number;
  }
  std::map<NodeId, DeviceId> now;
  for (const server::DeviceRecordRow& row : newest->devices) {
    if (const auto node = nodes_.find(row.device_id); node != nodes_.end()) now[node->second] = row.device_id;
  }
  std::map<NodeId, DeviceId>& before = told_[user];
  for (const auto& [node, id] : before) {
    const auto found = now.find(node);
    if (found == now.end() || found->second != id) tell_(node, false);
  }
  for (const auto& [node, id] : now) {
    const auto found = before.find(node);
    if (found == before.end() || found->second != id) tell_(node, true);
  }
  before = std::move(now);
}

}  // namespace chatsdk::sim
