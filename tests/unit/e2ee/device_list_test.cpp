// SPDX-License-Identifier: Apache-2.0
#include "e2ee/device_list.h"

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "base/limits.h"
#include "unit/e2ee/people.h"

namespace chatsdk::e2ee {
namespace {

// The fields of a list as they are written, right or wrong, and then signed.
struct ListFields {
  std::uint8_t version = 1;
  UserId user_id = "alice";
  std::uint8_t kind = 1;
  SigningKey account_key = signing_key_of(secret_of<32>(0x11));
  std::uint64_t list_version = 2;
  Hash previous = fixed_of<Hash>(0x01);
  std::vector<std::uint64_t> devices = {1, 2};
  int more_counted = 0;
  std::uint64_t time_ms = kThen;
};
Bytes written_list(const ListFields& fields) {
  Writer writer;
  writer.u8(fields.version).user(fields.user_id).u8(fields.kind).raw(fields.account_key);
  writer.u64(fields.list_version).raw(fields.previous).u64(fields.time_ms);
  writer.u8(static_cast<std::uint8_t>(static_cast<int>(fields.devices.size()) + fields.more_counted));
  for (const std::uint64_t device_id : fields.devices) writer.u64(device_id).raw(fixed_of<Hash>(0x02));
  writer.raw(sign(secret_of<32>(0x11), label::kSigList, writer.view()));
  return writer.take();
}

std::optional<DeviceList> list_of_alice(BytesView bytes) { return valid_device_list(bytes, "alice"); }

DeviceRecord record_of(const UserId& user_id, std::uint64_t device_id) {
  return person(user_id, device_id, static_cast<unsigned char>(0x60 + 4 * device_id), 1, {}).record;
}

std::vector<DeviceRecord> records_of_alice(std::uint64_t first, std::uint64_t last) {
  std::vector<DeviceRecord> records;
  for (std::uint64_t id = first; id <= last; ++id) records.push_back(record_of("alice", id));
  return records;
}

TEST(DeviceList, HasTheBytesOfTheSpecification) {
  const Person alice = e2ee::alice();
  EXPECT_EQ(to_hex(alice.list.account_key.view()), "d04ab232742bb4ab3a1368bd4615e4e6d0224ab71a016baf8520a332c9778737");
  EXPECT_EQ(alice.list.bytes.size(), 196U);
  EXPECT_EQ(to_hex(alice.list.hash.view()), "02d9095bd1654c28ca2d95d6fbc72759ecfe3da2f412caf6b7966e9485c2cd71");
  EXPECT_EQ(to_hex(bob().list.hash.view()), "6ee13a15c0d9f492af53f015ab30f313a6144c136f184fbec5a0fa0a2178f97c");
}

TEST(DeviceList, ReadsWhatWasMade) {
  const Person alice = e2ee::alice();

  const auto list = list_of_alice(alice.list.bytes);

  ASSERT_TRUE(list.has_value());
  EXPECT_EQ(list->user_id, "alice");
  EXPECT_EQ(list->version, 1U);
  EXPECT_EQ(list->previous, Hash{});
  EXPECT_EQ(list->time_ms, kThen);
  EXPECT_EQ(list->devices, (std::vector<ListedDevice>{{DeviceId{1}, alice.record.hash}}));
}

TEST(DeviceList, IsTakenWholeOrNotAtAll) { expect_whole_or_nothing(written_list({}), list_of_alice); }

TEST(DeviceList, RefusesEachFieldThatIsNotAsStated) {
  ASSERT_TRUE(list_of_alice(written_list({})).has_value());
  const struct {
    const char* name;
    std::function<void(ListFields&)> spoil;
  } cases[] = {
      {"version 0", [](ListFields& f) { f.version = 0; }},
      {"version 2", [](ListFields& f) { f.version = 2; }},
      {"empty user", [](ListFields& f) { f.user_id.clear(); }},
      {"other user", [](ListFields& f) { f.user_id = "bob"; }},
      {"account key of another kind", [](ListFields& f) { f.kind = 2; }},
      {"account key of low order", [](ListFields& f) { f.account_key = SigningKey{}; }},
      {"account key that did not sign", [](ListFields& f) { f.account_key = signing_key_of(secret_of<32>(0x21)); }},
      {"list_version 0", [](ListFields& f) { f.list_version = 0; }},
      {"list_version 2^63", [](ListFields& f) { f.list_version = limits::e2ee::kListVersionMax + 1; }},
      {"list_version 2^64 - 1", [](ListFields& f) { f.list_version = UINT64_MAX; }},
      {"list_version 1 after another", [](ListFields& f) { f.list_version = 1; }},
      {"no device", [](ListFields& f) { f.devices.clear(); }},
      {"nine devices", [](ListFields& f) { f.devices = {1, 2, 3, 4, 5, 6, 7, 8, 9}; }},
      {"device 0",
       [](ListFields& f) {
         f.devices = {0, 1};
       }},
      {"one device twice",
       [](ListFields& f) {
         f.devices = {1, 1};
       }},
      {"devices not ascending",
       [](ListFields& f) {
         f.devices = {2, 1};
       }},
      {"one device more counted", [](ListFields& f) { f.more_counted = 1; }},
      {"one device less counted", [](ListFields& f) { f.more_counted = -1; }},
  };
  for (const auto& bad : cases) {
    ListFields fields;
    bad.spoil(fields);
    EXPECT_FALSE(list_of_alice(written_list(fields)).has_value()) << bad.name;
  }
}

// Stores keep versions as signed numbers, and compare them.
TEST(DeviceList, CountsToTheLimitAndNoFurther) {
  ListFields fields;
  fields.list_version = limits::e2ee::kListVersionMax - 1;
  const auto last_but_one = list_of_alice(written_list(fields));
  ASSERT_TRUE(last_but_one.has_value());
  const auto last = next_device_list(*last_but_one, secret_of<32>(0x11), {}, {}, kThen);
  ASSERT_TRUE(last.ok());
  EXPECT_EQ(last->version, limits::e2ee::kListVersionMax);
  EXPECT_EQ(next_device_list(*last, secret_of<32>(0x11), {}, {}, kThen).code(), Code::kInvalidArgument);
  EXPECT_EQ(next_device_list(*last_but_one, secret_of<32>(0x11), {}, {}, kThen, UINT64_MAX).code(),
            Code::kInvalidArgument);
}

TEST(DeviceList, TakesAsManyDevicesAsThereMayBe) {
  ListFields full;
  full.devices = {1, 2, 3, 4, 5, 6, 7, 8};
  ASSERT_EQ(full.devices.size(), limits::e2ee::kDevicesMax);
  EXPECT_TRUE(list_of_alice(written_list(full)).has_value());
}

TEST(DeviceList, RefusesEachChangedByte) {
  const Bytes good = alice().list.bytes;
  for (std::size_t at = 0; at < good.size(); ++at) {
    Bytes changed = good;
    changed[at] = static_cast<char>(changed[at] ^ 0x04);
    EXPECT_FALSE(list_of_alice(changed).has_value()) << "byte " << at;
  }
}

TEST(DeviceList, FindsADevice) {
  const DeviceList list = alice().list;
  ASSERT_NE(list.find(DeviceId{1}), nullptr);
  EXPECT_EQ(list.find(DeviceId{1})->record_hash, alice().record.hash);
  EXPECT_EQ(list.find(DeviceId{2}), nullptr);
}

TEST(NextDeviceList, FollowsTheOneBefore) {
  const Person alice = e2ee::alice();
  const DeviceRecord second = record_of("alice", 9);

  const auto next = next_device_list(alice.list, alice.account_seed, {&second, 1}, {}, kThen + 5);

  ASSERT_TRUE(next.ok());
  EXPECT_TRUE(list_of_alice(next->bytes).has_value());
  EXPECT_EQ(next->version, 2U);
  EXPECT_EQ(next->previous, alice.list.hash);
  EXPECT_EQ(next->time_ms, kThen + 5);
  EXPECT_NE(next->find(DeviceId{1}), nullptr);
  EXPECT_NE(next->find(DeviceId{9}), nullptr);
}

// What nobody would learn is not handed on.
TEST(NextDeviceList, IsNeverOfATimeThatNobodyBelieves) {
  for (const std::uint64_t before : {limits::e2ee::kListTimeMax - 1, limits::e2ee::kListTimeMax, UINT64_MAX}) {
    ListFields fields;
    fields.time_ms = before;
    const auto list = list_of_alice(written_list(fields));
    ASSERT_TRUE(list.has_value());
    const auto next = next_device_list(*list, secret_of<32>(0x11), {}, {}, kThen);
    EXPECT_EQ(next->time_ms, std::min<std::uint64_t>(before, limits::e2ee::kListTimeMax));
  }
}

TEST(NextDeviceList, TakesDevicesOut) {
  const Person alice = e2ee::alice();
  const DeviceRecord second = record_of("alice", 2);
  const DeviceId first{1};

  const auto next = next_device_list(alice.list, alice.account_seed, {&second, 1}, {&first, 1}, kThen);

  ASSERT_TRUE(next.ok());
  EXPECT_EQ(next->devices, (std::vector<ListedDevice>{{DeviceId{2}, second.hash}}));
}

TEST(NextDeviceList, ReplacesADeviceThatIsTakenOutAndPutInAgain) {
  const Person alice = e2ee::alice();
  const DeviceRecord again = record_of("alice", 1);
  const DeviceId first{1};

  const auto next = next_device_list(alice.list, alice.account_seed, {&again, 1}, {&first, 1}, kThen);

  ASSERT_TRUE(next.ok());
  EXPECT_EQ(next->devices, (std::vector<ListedDevice>{{DeviceId{1}, again.hash}}));
}

TEST(NextDeviceList, OfANewAccountKeyIsASuccessorToo) {
  const Person alice = e2ee::alice();
  const SigningSeed anew = secret_of<32>(0x7E);
  const auto next = next_device_list(alice.list, anew, {}, {}, kThen);
  ASSERT_TRUE(next.ok());
  EXPECT_EQ(next->account_key, signing_key_of(anew));
  EXPECT_EQ(next->version, 2U);
  EXPECT_EQ(next->previous, alice.list.hash);
}

TEST(NextDeviceList, RefusesWhatWouldBeNoList) {
  const Person alice = e2ee::alice();
  const DeviceRecord listed_already = record_of("alice", 1);
  const DeviceRecord of_bob = record_of("bob", 2);
  const std::vector<DeviceRecord> twice = {record_of("alice", 2), record_of("alice", 2)};
  const DeviceId first{1};
  const DeviceId unknown{7};
  const auto code = [&alice](std::span<const DeviceRecord> add, std::span<const DeviceId> remove) {
    return next_device_list(alice.list, alice.account_seed, add, remove, kThen).code();
  };

  EXPECT_EQ(code({&listed_already, 1}, {}), Code::kInvalidArgument);
  EXPECT_EQ(code({&of_bob, 1}, {}), Code::kInvalidArgument);
  EXPECT_EQ(code(twice, {}), Code::kInvalidArgument);
  EXPECT_EQ(code({}, {&unknown, 1}), Code::kInvalidArgument);
  EXPECT_EQ(code({}, {&first, 1}), Code::kLimitReached);
}

TEST(NextDeviceList, BoundsTheDevices) {
  const Person alice = e2ee::alice();
  const auto added = [&alice](std::uint64_t last) {
    return next_device_list(alice.list, alice.account_seed, records_of_alice(2, last), {}, kThen).code();
  };
  EXPECT_EQ(added(limits::e2ee::kDevicesMax - 1), Code::kOk);
  EXPECT_EQ(added(limits::e2ee::kDevicesMax), Code::kOk);
  EXPECT_EQ(added(limits::e2ee::kDevicesMax + 1), Code::kLimitReached);
}

}  // namespace
}  // namespace chatsdk::e2ee
