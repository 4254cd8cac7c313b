// SPDX-License-Identifier: Apache-2.0
#include "e2ee/device_record.h"

#include <bit>

#include "base/assert.h"
#include "base/fault.h"
#include "base/limits.h"
#include "base/wipe.h"

namespace chatsdk::e2ee {
namespace {

constexpr std::uint8_t kRecordVersion = 1;
constexpr std::size_t kSealedNameBytes = kNameFieldBytes + kSealOverheadBytes;
constexpr std::size_t kRecordBytesMax = 160 + limits::kUserIdBytesMax + kSealedNameBytes;
static_assert(limits::e2ee::kDeviceNameBytesMax + 1 == kNameFieldBytes);

SealKey name_key(const SigningSeed& account_seed, const NamedDevice& device) {
  Writer whose;
  whose.user(device.user_id).u64(device.device_id.value).u32(device.registration_id);
  return hkdf<64>(no_salt(), view(account_seed), {label::kName.bytes(), whose.view()});
}

}  // namespace

DeviceKeys DeviceKeys::draw(Random& random) {
  DeviceKeys keys;
  while (keys.registration_id == 0) keys.registration_id = Reader(random.bytes(4)).u32();
  keys.signing_seed = draw_secret<32>(random);
  keys.agreement_secret = draw_secret<32>(random);
  return keys;
}

DeviceRecord make_device_record(const DeviceDescription& description, const DeviceKeys& keys) {
  Writer writer(kRecordBytesMax);
  writer.u8(kRecordVersion).user(description.user_id).u64(description.device_id.value).u32(keys.registration_id);
  writer.key(signing_key_of(keys.signing_seed)).key(public_of(keys.agreement_secret));
  writer.u32(description.suites).u64(description.created_ms).lp(description.sealed_name);
  writer.raw(sign(keys.signing_seed, label::kSigDevice, writer.view()));
  auto record = parse_device_record(writer.view());
  CHATSDK_ASSERT(record);  // description and keys hold what a record may hold
  return std::move(*record);
}

std::optional<DeviceRecord> parse_device_record(BytesView bytes) {
  Reader reader(bytes);
  DeviceRecord record;
  reader.expect_u8(kRecordVersion);
  record.user_id = reader.user();
  record.device_id = DeviceId{reader.id()};
  record.registration_id = reader.u32();
  record.signing_key = reader.signing_key();
  record.agreement_key = reader.agreement_key();
  record.suites = reader.u32();
  record.created_ms = reader.u64();
  record.sealed_name = reader.lp(0, kSealedNameBytes);
  reader.raw(Signature::size());
  reader.require(record.registration_id != 0 && (record.suites & 1) != 0);
  reader.require(record.sealed_name.empty() || record.sealed_name.size() == kSealedNameBytes);
  if (!reader.finished()) return std::nullopt;
  record.bytes = bytes;
  record.hash = device_record_hash(bytes);
  return record;
}

std::optional<DeviceRecord> valid_device_record(BytesView bytes, const UserId& user_id, DeviceId device_id) {
  auto record = parse_device_record(bytes);
  if (record && CHATSDK_PLANTED(Bug::kListsUserUnchecked)) record->user_id = user_id;
  if (!record || record->user_id != user_id || record->device_id != device_id) return std::nullopt;
  const std::size_t signed_bytes = bytes.size() - Signature::size();
  const auto signature = Signature::from(bytes.substr(signed_bytes));
  if (!verify(record->signing_key, label::kSigDevice, bytes.substr(0, signed_bytes), signature)) return std::nullopt;
  return record;
}

Hash device_record_hash(BytesView bytes) { return hash(label::kHashDevice, {bytes}); }

std::uint8_t common_suite(const DeviceRecord& a, const DeviceRecord& b) {
  return static_cast<std::uint8_t>(std::bit_width(a.suites & b.suites & kSuitesSpoken));
}

Result<Bytes> seal_device_name(std::string_view name, const SigningSeed& account_seed, const NamedDevice& device,
                               const Nonce& nonce) {
  if (name.empty() || name.size() > limits::e2ee::kDeviceNameBytesMax || !is_utf8(name)) {
    return error(Code::kInvalidArgument, "device name of " + std::to_string(name.size()) + " B, limit " +
                                             std::to_string(limits::e2ee::kDeviceNameBytesMax) + " B of UTF-8");
  }
  return seal(name_key(account_seed, device), nonce, name_field(name), {});
}

std::optional<std::string> open_device_name(BytesView sealed_name, const SigningSeed& account_seed,
                                            const NamedDevice& device) {
  if (sealed_name.size() != kSealedNameBytes) return std::nullopt;
  const auto field = unseal(name_key(account_seed, device), sealed_name, {});
  if (!field) return std::nullopt;
  auto name = parse_name_field(*field);
  if (!name || name->empty()) return std::nullopt;
  return name;
}

Bytes name_field(std::string_view name) {
  CHATSDK_ASSERT(name.size() < kNameFieldBytes);
  Writer writer(kNameFieldBytes);
  writer.u8(static_cast<std::uint8_t>(name.size())).raw(name).zeros(kNameFieldBytes - 1 - name.size());
  return writer.take();
}

std::optional<std::string> parse_name_field(BytesView field) {
  Reader reader(field);
  const std::size_t size = reader.u8();
  reader.require(size < kNameFieldBytes);
  std::string name(reader.raw(size));
  if (reader.failed() || field != name_field(name) || !is_utf8(name)) return std::nullopt;
  return name;
}

}  // namespace chatsdk::e2ee
