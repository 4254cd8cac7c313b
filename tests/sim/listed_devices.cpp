// SPDX-License-Identifier: Apache-2.0
#include "sim/listed_devices.h"

#include <string_view>
#include <utility>

#include "sim/device_node.h"

namespace chatsdk::sim {

void ListedDevices::read_overdue(server::StoreReader& store) {
  for (const UserNumber user : std::exchange(overdue_, {})) read(store, user);
}

void ListedDevices::logged_in(UserNumber user, NodeId device, DeviceId id) {
  const DeviceId before = std::exchange(ids_[device], id);
  if (before && before != id) former_ids_.insert(before);
  if (former_ids_.erase(id) != 0) overdue_.insert(user);
  std::map<NodeId, Standing>& told = told_[user];
  const auto at = told.find(device);
  if (at == told.end() || !former_ids_.contains(at->second.id)) return;
  told.erase(at);
  tell_(device, false, false);
}

void ListedDevices::read(server::StoreReader& store, UserNumber user) {
  const auto devices = store.devices(name_of_(user));
  const auto newest = store.newest_list(name_of_(user));
  if (!devices.ok() || !newest.ok()) {
    overdue_.insert(user);
    return;
  }
  std::map<DeviceId, NodeId> nodes;
  for (const server::Device& device : *devices) {
    if (const auto number = DeviceNode::number_in(device.name)) nodes[device.device_id] = *number;
  }
  std::set<DeviceId> named;
  std::map<NodeId, Standing> now;
  for (const server::DeviceRecordRow& row : newest->devices) {
    named.insert(row.device_id);
    const auto node = nodes.find(row.device_id);
    if (node == nodes.end() || former_ids_.contains(row.device_id)) continue;
    const auto keys = store.device_keys(row.device_id);
    if (!keys.ok()) {
      overdue_.insert(user);
      return;
    }
    now[node->second] = {row.device_id, keys->has_value() && (*keys)->signed_prekey.key_id != 0};
  }
  std::map<NodeId, Standing>& before = told_[user];
  for (const auto& [node, standing] : before) {
    const auto found = now.find(node);
    if (found == now.end() || found->second.id != standing.id) tell_(node, false, false);
  }
  for (const auto& [node, standing] : now) {
    const auto found = before.find(node);
    if (found == before.end() || found->second != standing) tell_(node, true, standing.has_keys);
  }
  before = std::move(now);
  named_[user] = std::move(named);
}

std::optional<DeviceId> ListedDevices::unlisted(const server::AppendMessage& message) const {
  if (!overdue_.empty() || !message.encrypted) return std::nullopt;
  std::set<DeviceId> listed;
  for (const auto& [user, named] : named_) listed.insert(named.begin(), named.end());
  for (const server::SliceRow& slice : message.encrypted->slices) {
    if (!listed.contains(slice.device_id)) return slice.device_id;
  }
  return std::nullopt;
}

}  // namespace chatsdk::sim
