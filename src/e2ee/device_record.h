// SPDX-License-Identifier: Apache-2.0
//
// A device's keys and the record that publishes them (docs/e2ee.md section 5.1), with the name that only the user's own
// devices can read. Whether a device belongs to its user is known by the device list.
//
// Threads: values and pure functions.
// Invariants:
//   1. A DeviceRecord was parsed from `bytes` and keeps them: they are what is hashed, signed and compared.
//   2. The keys of a DeviceRecord are valid as section 2.1 says.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/ids.h"
#include "base/random.h"
#include "base/result.h"
#include "e2ee/primitives.h"

namespace chatsdk::e2ee {

inline constexpr std::uint32_t kSuitesSpoken = 1;  // bit i - 1: suite i

// What never leaves the device.
struct DeviceKeys {
  std::uint32_t registration_id = 0;  // not 0
  SigningSeed signing_seed;           // of DSK
  AgreementSecret agreement_secret;   // of DAK

  static DeviceKeys draw(Random& random);
};

struct DeviceRecord {
  Bytes bytes;
  Hash hash;
  UserId user_id;
  DeviceId device_id;
  std::uint32_t registration_id = 0;
  SigningKey signing_key;
  AgreementKey agreement_key;
  std::uint32_t suites = 0;
  std::uint64_t created_ms = 0;
  Bytes sealed_name;  // empty: none

  friend bool operator==(const DeviceRecord& a, const DeviceRecord& b) { return a.bytes == b.bytes; }
};

// What makes up a new record beside its keys.
struct DeviceDescription {
  UserId user_id;
  DeviceId device_id;
  std::uint32_t suites = kSuitesSpoken;
  std::uint64_t created_ms = 0;
  Bytes sealed_name;
};
DeviceRecord make_device_record(const DeviceDescription& description, const DeviceKeys& keys);

// Everything that "valid" asks for but the signature and whose record it is.
std::optional<DeviceRecord> parse_device_record(BytesView bytes);
// A record that is valid for the device.
std::optional<DeviceRecord> valid_device_record(BytesView bytes, const UserId& user_id, DeviceId device_id);

Hash device_record_hash(BytesView bytes);

// The highest suite that both records name and this library speaks. Suite 1 is always one.
std::uint8_t common_suite(const DeviceRecord& a, const DeviceRecord& b);

// Whose name it is.
struct NamedDevice {
  UserId user_id;
  DeviceId device_id;
  std::uint32_t registration_id = 0;
};
// INVALID_ARGUMENT unless the name is UTF-8 of 1 to limits::e2ee::kDeviceNameBytesMax bytes.
Result<Bytes> seal_device_name(std::string_view name, const SigningSeed& account_seed, const NamedDevice& device,
                               const Nonce& nonce);
// nullopt where there is none, or none that opens.
std::optional<std::string> open_device_name(BytesView sealed_name, const SigningSeed& account_seed,
                                            const NamedDevice& device);

// The 64 bytes that hold a name, length 0 standing for none: in a record they are sealed, in a linking's identity they
// are plain (section 12). The name has at most limits::e2ee::kDeviceNameBytesMax bytes.
inline constexpr std::size_t kNameFieldBytes = 64;
Bytes name_field(std::string_view name);
// Empty for none; nullopt for a field that name_field() does not make.
std::optional<std::string> parse_name_field(BytesView field);

}  // namespace chatsdk::e2ee
