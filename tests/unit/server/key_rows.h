// SPDX-License-Identifier: Apache-2.0
//
// Lists, records and prekeys as the store sees them: it parses none of these bytes, so they are names here.
//
// Threads: pure functions.
#pragma once

#include <string>
#include <vector>

#include "server-reference/store/store.h"

namespace chatsdk::server {

inline Bytes hash_named(const std::string& name) {
  Bytes hash = name;
  hash.resize(32, '.');
  return hash;
}

inline DeviceRecordRow record_of(DeviceId device, const std::string& flavour = "a") {
  const std::string name = "record " + std::to_string(device.value) + flavour;
  return {device, hash_named(name), name};
}

// A version of a list; flavour tells two lists of one version apart.
inline ListVersion list_of(std::uint64_t version, const std::vector<DeviceRecordRow>& records,
                           const std::string& flavour = "") {
  const auto name = [&flavour](std::uint64_t number) { return "list " + std::to_string(number) + flavour; };
  ListVersion list{version, hash_named(name(version)), hash_named(name(version - 1)), name(version), {}};
  for (const DeviceRecordRow& record : records) list.devices.push_back({record.device_id, record.hash});
  return list;
}

inline std::vector<PrekeyRow> prekeys(std::uint32_t first, std::uint32_t last, const std::string& kind = "one-time") {
  std::vector<PrekeyRow> rows;
  for (std::uint32_t id = first; id <= last; ++id) rows.push_back({id, kind + " " + std::to_string(id)});
  return rows;
}

}  // namespace chatsdk::server
