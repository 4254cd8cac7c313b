// SPDX-License-Identifier: Apache-2.0
#include "e2ee/device_list.h"

#include <algorithm>
#include <string>

#include "base/assert.h"
#include "base/fault.h"
#include "base/limits.h"

namespace chatsdk::e2ee {
namespace {

constexpr std::uint8_t kListFormatVersion = 1;
constexpr std::size_t kEntryBytes = 40;
constexpr std::size_t kListBytesMax = 160 + limits::kUserIdBytesMax + limits::e2ee::kDevicesMax * kEntryBytes;

Error not_for_the_list(const char* why) { return error(Code::kInvalidArgument, std::string("device list: ") + why); }

// The entries of `add` come in; false where one is not of this user or is there already.
bool take_in(std::span<const DeviceRecord> add, const UserId& user_id, std::vector<ListedDevice>& devices) {
  for (const DeviceRecord& record : add) {
    const bool listed = std::any_of(devices.begin(), devices.end(), [&record](const ListedDevice& device) {
      return device.device_id == record.device_id;
    });
    if (listed || record.user_id != user_id) return false;
    devices.push_back({record.device_id, record.hash});
  }
  std::sort(devices.begin(), devices.end());
  return true;
}

// What a new list says beside its devices.
struct Heading {
  const UserId& user_id;
  std::uint64_t version;
  Hash previous;
  std::uint64_t time_ms;
};

Result<DeviceList> sign_list(const Heading& heading, const SigningSeed& account_seed,
                             const std::vector<ListedDevice>& devices) {
  if (devices.empty() || devices.size() > limits::e2ee::kDevicesMax) {
    return error(Code::kLimitReached, "device list of " + std::to_string(devices.size()) + " devices, limit " +
                                          std::to_string(limits::e2ee::kDevicesMax));
  }
  Writer writer(kListBytesMax);
  writer.u8(kListFormatVersion).user(heading.user_id).key(signing_key_of(account_seed)).u64(heading.version);
  writer.raw(heading.previous).u64(heading.time_ms).u8(static_cast<std::uint8_t>(devices.size()));
  for (const ListedDevice& device : devices) writer.u64(device.device_id.value).raw(device.record_hash);
  writer.raw(sign(account_seed, label::kSigList, writer.view()));
  auto list = parse_device_list(writer.view());
  if (!list) return not_for_the_list("user_id or version");
  return std::move(*list);
}

}  // namespace

const ListedDevice* DeviceList::find(DeviceId device_id) const {
  const auto at = std::find_if(devices.begin(), devices.end(),
                               [device_id](const ListedDevice& device) { return device.device_id == device_id; });
  return at == devices.end() ? nullptr : &*at;
}

std::optional<DeviceList> parse_device_list(BytesView bytes) {
  Reader reader(bytes);
  DeviceList list;
  reader.expect_u8(kListFormatVersion);
  list.user_id = reader.user();
  list.account_key = reader.signing_key();
  list.version = reader.u64();
  list.previous = reader.fixed<Hash>();
  list.time_ms = reader.u64();
  const std::size_t count = reader.u8();
  reader.require(count >= 1 && count <= limits::e2ee::kDevicesMax);
  DeviceId before;
  for (std::size_t i = 0; i < count && !reader.failed(); ++i) {
    ListedDevice device;
    device.device_id = DeviceId{reader.id()};
    device.record_hash = reader.fixed<Hash>();
    reader.require(before < device.device_id);
    before = device.device_id;
    list.devices.push_back(device);
  }
  reader.raw(Signature::size());
  reader.require(list.version != 0 && list.version <= limits::e2ee::kListVersionMax);
  reader.require(list.version != 1 || list.previous == Hash{});
  if (!reader.finished()) return std::nullopt;
  list.bytes = bytes;
  list.hash = hash(label::kHashList, {bytes});
  return list;
}

std::optional<DeviceList> valid_device_list(BytesView bytes, const UserId& user_id) {
  auto list = parse_device_list(bytes);
  if (!list || (list->user_id != user_id && !CHATSDK_PLANTED(Bug::kListsUserUnchecked))) return std::nullopt;
  const std::size_t signed_bytes = bytes.size() - Signature::size();
  const auto signature = Signature::from(bytes.substr(signed_bytes));
  const bool is_signed = CHATSDK_PLANTED(Bug::kListSignatureUnchecked) ||
                         verify(list->account_key, label::kSigList, bytes.substr(0, signed_bytes), signature);
  if (!is_signed) return std::nullopt;
  return list;
}

Result<DeviceList> first_device_list(const UserId& user_id, const SigningSeed& account_seed,
                                     std::span<const DeviceRecord> add, std::uint64_t time_ms) {
  std::vector<ListedDevice> devices;
  if (!take_in(add, user_id, devices)) return not_for_the_list("a device twice, or of another user");
  return sign_list({user_id, 1, Hash{}, time_ms}, account_seed, devices);
}

Result<DeviceList> next_device_list(const DeviceList& before, const SigningSeed& account_seed,
                                    std::span<const DeviceRecord> add, std::span<const DeviceId> remove,
                                    std::uint64_t time_ms, std::uint64_t above) {
  std::vector<ListedDevice> devices = before.devices;
  for (const DeviceId device_id : remove) {
    if (std::erase_if(devices, [device_id](const ListedDevice& device) { return device.device_id == device_id; }) ==
        0) {
      return not_for_the_list("a device to remove is not listed");
    }
  }
  if (!take_in(add, before.user_id, devices)) return not_for_the_list("a device twice, or of another user");
  const std::uint64_t not_before = std::min(std::max(time_ms, before.time_ms), limits::e2ee::kListTimeMax);
  const std::uint64_t version = std::max(before.version, above) + 1;
  return sign_list({before.user_id, version, before.hash, not_before}, account_seed, devices);
}

}  // namespace chatsdk::e2ee
