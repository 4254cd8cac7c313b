// SPDX-License-Identifier: Apache-2.0
//
// The signed, numbered and chained list of a user's devices (docs/e2ee.md section 5.2): one list by itself, and how the
// next one is made. What was learned of a user before is known by the directory.
//
// Threads: values and pure functions.
// Invariants:
//   1. A DeviceList was parsed from `bytes` and keeps them: they are what is hashed, signed and compared.
//   2. Its account key is valid as section 2.1 says; it has 1 to limits::e2ee::kDevicesMax devices, their ids
//      ascending.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "base/ids.h"
#include "base/result.h"
#include "e2ee/device_record.h"
#include "e2ee/primitives.h"

namespace chatsdk::e2ee {

struct ListedDevice {
  DeviceId device_id;
  Hash record_hash;

  friend auto operator<=>(const ListedDevice&, const ListedDevice&) = default;
};

struct DeviceList {
  Bytes bytes;
  Hash hash;
  UserId user_id;
  SigningKey account_key;
  std::uint64_t version = 0;
  Hash previous;
  std::uint64_t time_ms = 0;
  std::vector<ListedDevice> devices;

  // nullptr where the device is not in it.
  const ListedDevice* find(DeviceId device_id) const;
  friend bool operator==(const DeviceList& a, const DeviceList& b) { return a.bytes == b.bytes; }
};

// Everything but the signature and whose list it is.
std::optional<DeviceList> parse_device_list(BytesView bytes);
// A list of this user that verifies under the account key that it names.
std::optional<DeviceList> valid_device_list(BytesView bytes, const UserId& user_id);

// Version 1 of a user's first list, and the version after `before`: of the same account key, or of the one that takes
// its place, whose version is above `above`, too; its time is not before that of `before`, unless nobody would believe
// that. Both ask for records of this user. INVALID_ARGUMENT: a record of somebody else, a device that is listed already
// or twice in `add`, one to remove that is not listed; LIMIT_REACHED: no device left, or too many.
Result<DeviceList> first_device_list(const UserId& user_id, const SigningSeed& account_seed,
                                     std::span<const DeviceRecord> add, std::uint64_t time_ms);
Result<DeviceList> next_device_list(const DeviceList& before, const SigningSeed& account_seed,
                                    std::span<const DeviceRecord> add, std::span<const DeviceId> remove,
                                    std::uint64_t time_ms, std::uint64_t above = 0);

}  // namespace chatsdk::e2ee
