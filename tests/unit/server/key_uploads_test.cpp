// SPDX-License-Identifier: Apache-2.0
//
// What the key directory takes and what it refuses of an upload, over REST: every rule below, at and above its limit,
// each refusal with its status, code and place.
//
// Threads: one.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "base/limits.h"
#include "e2ee/directory.h"
#include "unit/server/key_people.h"

namespace chatsdk::server {
namespace {

using e2ee::DeviceList;
using e2ee::DeviceRecord;
using e2ee::PrekeyKind;
using testing::KeyDevice;
using testing::KeyUser;
using testing::KeyWorld;
using testing::record_of;
using testing::upload_of;

constexpr const char* kLists = "/v1/keys/lists";
constexpr const char* kPrekeys = "/v1/keys/prekeys";

Bytes flipped(Bytes bytes, std::size_t at) {
  bytes.at(at) = static_cast<char>(bytes.at(at) ^ 1);
  return bytes;
}

std::vector<Bytes> strings_of(const google::protobuf::RepeatedPtrField<std::string>& field) {
  return {field.begin(), field.end()};
}

// ---- Lists ---------------------------------------------------------------------------------------------------------

TEST(KeyLists, WhatWasPublishedIsLearnedByAPeer) {
  KeyWorld world;
  KeyUser& ann = world.add_user("ann");
  KeyUser& bob = world.add_user("bob");
  KeyDevice& phone = ann.device();
  KeyDevice& tablet = world.add_device(ann);
  const DeviceList first = ann.next({phone.record});
  EXPECT_EQ(world.post(kLists, phone.token, upload_of({first}, {phone.record})).status, 204);
  EXPECT_EQ(world.post(kLists, tablet.token, upload_of({ann.next({tablet.record})}, {tablet.record})).status, 204);

  const wire::DeviceLists answer = world.lists_of(bob.device(), "ann");
  ASSERT_EQ(answer.users_size(), 1);
  EXPECT_EQ(answer.users(0).user_id(), "ann");
  EXPECT_EQ(answer.users(0).newest_version(), 2u);
  const auto lists = strings_of(answer.users(0).lists());
  const auto records = strings_of(answer.users(0).records());
  const auto learned = e2ee::learn(nullptr, "ann", lists, records);
  ASSERT_EQ(learned.result, e2ee::Learning::kFirstContact);
  EXPECT_EQ(learned.user->newest().devices.size(), 2u);

  const wire::DeviceLists later = world.lists_of(bob.device(), "ann", &first);
  EXPECT_EQ(later.users(0).lists_size(), 1);
  EXPECT_EQ(later.users(0).lists(0), ann.newest->bytes);
}

TEST(KeyLists, TakeJsonToo) {
  KeyWorld world;
  KeyUser& ann = world.add_user("ann");
  KeyDevice& phone = ann.device();
  // The alphabet of URLs is read too.
  const nlohmann::json body = {{"lists", {to_base64url(ann.next({phone.record}).bytes)}},
                               {"records", {to_base64url(phone.record.bytes)}}};
  const auto headers =
      testing::RestWorld::Headers{{"authorization", "Bearer " + phone.token}, {"content-type", "application/json"}};
  EXPECT_EQ(world.call("POST", kLists, headers, body.dump()).status, 204);
  const auto counts = world.call("GET", "/v1/keys/counts", {{"authorization", "Bearer " + phone.token}});
  EXPECT_EQ(testing::json_of(counts), (nlohmann::json{{"oneTime", 0}, {"oneTimeKem", 0}}));
}

TEST(KeyLists, ARepeatIsAccepted) {
  KeyWorld world;
  KeyUser& ann = world.add_user("ann");
  const auto upload = upload_of({ann.next({ann.device().record})}, {ann.device().record});
  EXPECT_EQ(world.post(kLists, ann.device().token, upload).status, 204);
  EXPECT_EQ(world.post(kLists, ann.device().token, upload).status, 204);
}

TEST(KeyLists, OfTwoDevicesThatChangeAtOnceOneIsRefused) {
  KeyWorld world;
  KeyUser& ann = world.add_reachable("ann");
  const DeviceList common = *ann.newest;
  KeyDevice& tablet = world.add_device(ann);
  KeyDevice& laptop = world.add_device(ann);
  EXPECT_EQ(world.post(kLists, tablet.token, upload_of({ann.next({tablet.record})}, {tablet.record})).status, 204);
  ann.newest = common;
  const auto late = world.post(kLists, laptop.token, upload_of({ann.next({laptop.record})}, {laptop.record}));
  EXPECT_EQ(KeyWorld::refusal(late), "409 conflict: another list has version 2, the newest is 2");
}

struct ListFixture {
  KeyWorld world;
  KeyUser& ann = world.add_user("ann");
  KeyUser& bob = world.add_user("bob");
  KeyDevice& phone = ann.device();
  KeyDevice& tablet = world.add_device(ann);

  std::string refusal(const wire::DeviceListUpload& upload) {
    return KeyWorld::refusal(world.post(kLists, phone.token, upload));
  }
};

TEST(KeyLists, WhatIsNoListIsMalformed) {
  ListFixture f;
  const DeviceList list = f.ann.next({f.phone.record});
  wire::DeviceListUpload upload = upload_of({list}, {f.phone.record});
  for (const Bytes& bytes : {Bytes(), Bytes("list"), list.bytes + "x", list.bytes.substr(1), f.phone.record.bytes}) {
    upload.set_lists(0, bytes);
    EXPECT_EQ(f.refusal(upload), "400 malformed: lists[0] is no device list");
  }
  upload = upload_of({list}, {f.phone.record});
  for (const Bytes& bytes : {Bytes(), Bytes("record"), f.phone.record.bytes + "x", list.bytes}) {
    upload.set_records(0, bytes);
    EXPECT_EQ(f.refusal(upload), "400 malformed: records[0] is no device record");
  }
  EXPECT_EQ(f.world.lists_of(f.phone, "ann").users(0).newest_version(), 0u);
}

TEST(KeyLists, SignaturesAreVerified) {
  ListFixture f;
  const DeviceList list = f.ann.next({f.phone.record});
  wire::DeviceListUpload upload = upload_of({list}, {f.phone.record});
  upload.set_lists(0, flipped(list.bytes, list.bytes.size() - 1));
  EXPECT_EQ(f.refusal(upload), "400 invalid_argument: lists[0]: the signature does not verify");
  upload = upload_of({list}, {f.phone.record});
  upload.set_records(0, flipped(f.phone.record.bytes, f.phone.record.bytes.size() - 1));
  EXPECT_EQ(f.refusal(upload), "400 invalid_argument: records[0]: the signature does not verify");
}

TEST(KeyLists, BelongToTheirUser) {
  ListFixture f;
  const DeviceList of_bob = f.bob.next({f.bob.device().record});
  EXPECT_EQ(f.refusal(upload_of({of_bob}, {f.bob.device().record})), "400 invalid_argument: lists[0]: of another user");
  EXPECT_EQ(f.refusal(upload_of({f.ann.next({f.phone.record})}, {f.phone.record, f.bob.device().record})),
            "400 invalid_argument: records[1]: of another user");
}

TEST(KeyLists, NameDevicesOfTheirUserOnly) {
  ListFixture f;
  KeyDevice stray;  // a device of bob's, under ann's name
  stray.user_id = "ann";
  stray.id = f.bob.device().id;
  stray.keys = e2ee::DeviceKeys::draw(f.world.random);
  stray.record = record_of(stray);
  const auto upload = upload_of({f.ann.next({f.phone.record, stray.record})}, {f.phone.record, stray.record});
  EXPECT_EQ(f.refusal(upload),
            "400 invalid_argument: device " + std::to_string(stray.id.value) + " is no device of this user");
}

TEST(KeyLists, HaveTheRecordsThatTheyName) {
  ListFixture f;
  const std::string id = std::to_string(f.phone.id.value);
  const DeviceList list = f.ann.next({f.phone.record});
  EXPECT_EQ(f.refusal(upload_of({list}, {})),
            "400 invalid_argument: lists[0], device " + id + ": its record is not here");
  EXPECT_EQ(f.refusal(upload_of({list}, {f.phone.record, f.phone.record})), "400 invalid_argument: records[1]: twice");
  EXPECT_EQ(f.refusal(upload_of({list}, {f.phone.record, f.tablet.record})),
            "400 invalid_argument: records: one that no list of the upload names");
  EXPECT_EQ(f.refusal(upload_of({list}, {f.phone.record})), "204");
  EXPECT_EQ(f.refusal(upload_of({f.ann.next({f.tablet.record})}, {f.tablet.record})), "204")
      << "the phone's is stored already";
}

TEST(KeyLists, NameEachKeyOnce) {
  ListFixture f;
  KeyDevice copy;  // the phone's keys under the tablet's id
  copy.user_id = "ann";
  copy.id = f.tablet.id;
  copy.keys.registration_id = 7;
  copy.keys.signing_seed = e2ee::SigningSeed::copy_of(e2ee::view(f.phone.keys.signing_seed));
  copy.keys.agreement_secret = e2ee::draw_secret<32>(f.world.random);
  copy.record = record_of(copy);
  EXPECT_EQ(f.refusal(upload_of({f.ann.next({f.phone.record, copy.record})}, {f.phone.record, copy.record})),
            "400 invalid_argument: lists[0], device " + std::to_string(copy.id.value) + ": a key of another device");
}

TEST(KeyLists, NameRecordsUnderTheirOwnDevice) {
  ListFixture f;
  DeviceRecord moved = f.tablet.record;
  moved.device_id = f.phone.id;  // what the list then says, not what was signed
  EXPECT_EQ(f.refusal(upload_of({f.ann.next({moved})}, {f.tablet.record})), "400 invalid_argument: lists[0], device " +
                                                                                std::to_string(f.phone.id.value) +
                                                                                ": the record is another device's");
}

TEST(KeyLists, ComeAsAChain) {
  ListFixture f;
  const DeviceList first = f.ann.next({f.phone.record});
  const DeviceList second = f.ann.next({f.tablet.record});
  const DeviceList third = f.ann.next({}, {f.tablet.id});
  const std::vector<DeviceRecord> records = {f.phone.record, f.tablet.record};
  EXPECT_EQ(f.refusal(upload_of({first, third}, {f.phone.record})),
            "400 invalid_argument: lists[1]: does not follow the one before");
  EXPECT_EQ(f.refusal(upload_of({second, first}, records)),
            "400 invalid_argument: lists[1]: does not follow the one before");
  f.ann.newest.reset();
  f.ann.account_seed = e2ee::draw_secret<32>(f.world.random);
  EXPECT_EQ(f.refusal(upload_of({first, f.ann.next({f.phone.record})}, {f.phone.record})),
            "400 invalid_argument: lists[1]: of another account key than the one before");
  EXPECT_EQ(f.refusal(upload_of({first, second, third}, records)), "204");
  EXPECT_EQ(f.world.lists_of(f.phone, "ann").users(0).newest_version(), 3u);
}

TEST(KeyLists, HaveATimeThatSomebodyBelieves) {
  ListFixture f;
  const auto of_time = [&f](std::uint64_t time_ms) {
    Bytes bytes = e2ee::first_device_list("ann", f.ann.account_seed, {&f.phone.record, 1}, 0)->bytes;
    const std::size_t signed_bytes = bytes.size() - e2ee::Signature::size();
    const std::size_t at = signed_bytes - 40 - 1 - 8;
    for (std::size_t i = 0; i < 8; ++i) bytes[at + i] = static_cast<char>(time_ms >> (8 * i));
    bytes.resize(signed_bytes);
    bytes.append(e2ee::sign(f.ann.account_seed, e2ee::label::kSigList, bytes).view());
    return upload_of({*e2ee::parse_device_list(bytes)}, {f.phone.record});
  };
  EXPECT_EQ(f.refusal(of_time(limits::e2ee::kListTimeMax + 1)),
            "400 invalid_argument: lists[0]: time_ms above 2^53, which nobody would learn");
  EXPECT_EQ(f.refusal(of_time(limits::e2ee::kListTimeMax)), "204");
}

TEST(KeyLists, OfOneUploadAreLimited) {
  ListFixture f;
  EXPECT_EQ(f.refusal({}), "400 invalid_argument: lists: none, at least 1");
  std::vector<DeviceList> lists;
  for (std::size_t i = 0; i < limits::e2ee::kListVersionsMax; ++i) {
    lists.push_back(i == 0 ? f.ann.next({f.phone.record}) : f.ann.next({}));
  }
  auto above = lists;
  above.push_back(f.ann.next({}));
  EXPECT_EQ(f.refusal(upload_of(above, {f.phone.record})), "400 invalid_argument: lists: 65, limit 64");
  EXPECT_EQ(f.refusal(upload_of(lists, {f.phone.record})), "204");
}

TEST(KeyLists, OfADeviceOutsideAreRefused) {
  ListFixture f;
  const auto upload = upload_of({f.ann.next({f.phone.record})}, {f.phone.record});
  EXPECT_EQ(KeyWorld::refusal(f.world.post(kLists, f.tablet.token, upload)),
            "403 forbidden: the uploading device is neither in the old list nor in the new one");
}

TEST(KeyLists, OfAnotherAccountKeyNeedTheWord) {
  ListFixture f;
  EXPECT_EQ(f.refusal(upload_of({f.ann.next({f.phone.record, f.tablet.record})}, {f.phone.record, f.tablet.record})),
            "204");
  f.ann.account_seed = e2ee::draw_secret<32>(f.world.random);
  auto upload = upload_of({f.ann.next({}, {f.tablet.id})}, {f.phone.record});
  EXPECT_EQ(f.refusal(upload), "409 conflict: another account key, without replaces_account_key");
  upload.set_replaces_account_key(true);
  EXPECT_EQ(f.refusal(upload), "204");
  EXPECT_EQ(f.world.get("/v1/devices", f.tablet.token).status, 401) << "it is not in the new one";
  EXPECT_EQ(f.world.lists_of(f.phone, "ann").users(0).lists_size(), 1);
}

TEST(KeyLists, WithoutADeviceCutItOffAtOnce) {
  ListFixture f;
  const std::vector<DeviceRecord> records = {f.phone.record, f.tablet.record};
  ASSERT_EQ(f.refusal(upload_of({f.ann.next(records)}, records)), "204");
  ASSERT_EQ(f.world.post(kPrekeys, f.tablet.token, f.tablet.upload(1, 1, f.world.random)).status, 200);
  ASSERT_EQ(f.world.bundles(f.bob.device(), "ann").bundles_size(), 1);
  f.world.bus.kicks.clear();

  ASSERT_EQ(f.refusal(upload_of({f.ann.next({}, {f.tablet.id})}, {})), "204");

  EXPECT_EQ(f.world.get("/v1/keys/counts", f.tablet.token).status, 401);
  EXPECT_EQ(f.world.bundles(f.bob.device(), "ann").bundles_size(), 0);
  ASSERT_EQ(f.world.bus.kicks.size(), 1u);
  EXPECT_EQ(f.world.bus.kicks[0].device_id, f.tablet.id);
  EXPECT_EQ(f.world.log.with("has left its user's list").size(), 1u);
}

TEST(KeyLists, RemovalOfADeviceTakesItsBundleAway) {
  ListFixture f;
  const std::vector<DeviceRecord> records = {f.phone.record, f.tablet.record};
  ASSERT_EQ(f.refusal(upload_of({f.ann.next(records)}, records)), "204");
  ASSERT_EQ(f.world.post(kPrekeys, f.tablet.token, f.tablet.upload(1, 1, f.world.random)).status, 200);
  ASSERT_EQ(f.world.with_token("DELETE", "/v1/devices/" + std::to_string(f.tablet.id.value), f.phone.token).status,
            204);
  EXPECT_EQ(f.world.bundles(f.bob.device(), "ann").bundles_size(), 0);
}

// ---- Prekeys -------------------------------------------------------------------------------------------------------

TEST(KeyPrekeys, AreCountedAndDigested) {
  KeyWorld world;
  KeyUser& ann = world.add_reachable("ann");
  KeyDevice& phone = ann.device();
  const wire::PrekeyUpload upload = phone.upload(3, 2, world.random);
  const auto counts = KeyWorld::answer<wire::KeyCounts>(world.post(kPrekeys, phone.token, upload));
  EXPECT_EQ(counts.one_time(), 3u);
  EXPECT_EQ(counts.one_time_kem(), 2u);
  EXPECT_EQ(world.counts(phone).SerializeAsString(), counts.SerializeAsString());

  const auto digest = KeyWorld::answer<wire::KeyDigest>(world.get("/v1/keys/digest", phone.token));
  EXPECT_EQ(digest.digest(),
            Bytes(e2ee::keys_digest(phone.record.bytes, upload.signed_prekey(), upload.last_resort_prekey()).view()));
  EXPECT_EQ(digest.signed_prekey_id(), 3u) << "1 and 2 were the pair before";
  EXPECT_EQ(digest.last_resort_prekey_id(), 4u);
  EXPECT_EQ(digest.signed_at_ms(), to_unix_ms(world.clock.wall_now()));
}

TEST(KeyPrekeys, OfADeviceThatIsNotListedAreNone) {
  KeyWorld world;
  KeyDevice& phone = world.add_user("ann").device();
  EXPECT_EQ(KeyWorld::refusal(world.post(kPrekeys, phone.token, phone.upload(0, 0, world.random))),
            "403 forbidden: the device is not in its user's device list");
  EXPECT_EQ(world.counts(phone).one_time(), 0u);
  const auto digest = KeyWorld::answer<wire::KeyDigest>(world.get("/v1/keys/digest", phone.token));
  EXPECT_EQ(digest.digest(), Bytes(e2ee::keys_digest({}, {}, {}).view()));
  EXPECT_EQ(digest.signed_prekey_id(), 0u);
  EXPECT_EQ(digest.signed_at_ms(), 0);
}

struct PrekeyFixture {
  KeyWorld world;
  KeyUser& ann = world.add_reachable("ann");
  KeyUser& bob = world.add_user("bob");
  KeyDevice& phone = ann.device();

  std::string refusal(const wire::PrekeyUpload& upload) {
    return KeyWorld::refusal(world.post(kPrekeys, phone.token, upload));
  }
  Bytes make(PrekeyKind kind, std::uint32_t key_id = 0) {
    return key_id == 0 ? phone.prekey(kind, world.random) : phone.prekey_with(kind, key_id, world.random);
  }
};

TEST(KeyPrekeys, ComeAsWhatTheyAre) {
  PrekeyFixture f;
  EXPECT_EQ(f.refusal({}), "400 invalid_argument: no prekey");
  wire::PrekeyUpload upload;
  upload.set_signed_prekey(f.make(PrekeyKind::kSigned));
  EXPECT_EQ(f.refusal(upload), "400 invalid_argument: signed_prekey and last_resort_prekey come together");
  upload.set_last_resort_prekey(f.make(PrekeyKind::kOneTimeKem));
  EXPECT_EQ(f.refusal(upload), "400 invalid_argument: last_resort_prekey: of another kind");
  upload.set_last_resort_prekey(f.make(PrekeyKind::kLastResort) + "x");
  EXPECT_EQ(f.refusal(upload), "400 malformed: last_resort_prekey is no prekey");
  upload.Clear();
  upload.add_one_time_prekeys(f.make(PrekeyKind::kSigned));
  EXPECT_EQ(f.refusal(upload), "400 invalid_argument: one_time_prekeys[0]: of another kind");
  upload.Clear();
  upload.add_one_time_kem_prekeys(Bytes(1'262, '\7'));
  EXPECT_EQ(f.refusal(upload), "400 malformed: one_time_kem_prekeys[0] is no prekey");
}

TEST(KeyPrekeys, SignaturesAreVerified) {
  PrekeyFixture f;
  wire::PrekeyUpload upload;
  const Bytes signed_prekey = f.make(PrekeyKind::kSigned);
  upload.set_signed_prekey(flipped(signed_prekey, signed_prekey.size() - 1));
  upload.set_last_resort_prekey(f.make(PrekeyKind::kLastResort));
  EXPECT_EQ(f.refusal(upload), "400 invalid_argument: signed_prekey: the signature does not verify");
  // Signed well, by another device.
  upload.set_signed_prekey(f.bob.device().prekey_with(PrekeyKind::kSigned, 90, f.world.random));
  EXPECT_EQ(f.refusal(upload), "400 invalid_argument: signed_prekey: the signature does not verify");
  upload.Clear();
  upload.add_one_time_kem_prekeys(f.make(PrekeyKind::kOneTimeKem));
  upload.add_one_time_kem_prekeys(f.bob.device().prekey_with(PrekeyKind::kOneTimeKem, 90, f.world.random));
  EXPECT_EQ(f.refusal(upload), "400 invalid_argument: one_time_kem_prekeys[1]: the signature does not verify");
  EXPECT_EQ(f.world.counts(f.phone).one_time_kem(), 0u) << "all or nothing";
}

TEST(KeyPrekeys, InvalidKeysAreRefused) {
  PrekeyFixture f;
  wire::PrekeyUpload upload;
  Bytes kem = f.make(PrekeyKind::kOneTimeKem);
  kem[6] = kem[7] = '\xFF';  // a coefficient of 4,095, signed or not
  upload.add_one_time_kem_prekeys(kem);
  EXPECT_EQ(f.refusal(upload), "400 invalid_argument: one_time_kem_prekeys[0]: no valid encapsulation key");
  upload.Clear();
  Bytes low = f.make(PrekeyKind::kOneTime);
  std::fill(low.begin() + 6, low.begin() + 38, '\0');  // of low order
  upload.add_one_time_prekeys(low);
  EXPECT_EQ(f.refusal(upload), "400 malformed: one_time_prekeys[0] is no prekey");
}

TEST(KeyPrekeys, KeyIdsAscendAndComeOnce) {
  PrekeyFixture f;
  wire::PrekeyUpload upload;
  upload.add_one_time_prekeys(f.make(PrekeyKind::kOneTime, 11));
  upload.add_one_time_prekeys(f.make(PrekeyKind::kOneTime, 10));
  EXPECT_EQ(f.refusal(upload), "400 invalid_argument: one_time_prekeys[1]: key_id below the one before");
  upload.set_one_time_prekeys(1, f.make(PrekeyKind::kOneTime, 11));
  EXPECT_EQ(f.refusal(upload), "400 invalid_argument: one_time_prekeys[1]: a key_id of another prekey");
  upload.set_one_time_prekeys(1, f.make(PrekeyKind::kOneTime, 12));
  upload.add_one_time_kem_prekeys(f.make(PrekeyKind::kOneTimeKem, 12));
  EXPECT_EQ(f.refusal(upload), "400 invalid_argument: one_time_kem_prekeys[0]: a key_id of another prekey");
  upload.set_one_time_kem_prekeys(0, f.make(PrekeyKind::kOneTimeKem, 13));
  EXPECT_EQ(f.refusal(upload), "200");
  upload.set_one_time_prekeys(0, f.make(PrekeyKind::kOneTime, 11));
  EXPECT_EQ(f.refusal(upload), "409 conflict: another prekey has key_id 11");
}

TEST(KeyPrekeys, DropOnlyWhatIsOlderThanTheUpload) {
  PrekeyFixture f;
  wire::PrekeyUpload upload;
  upload.add_one_time_prekeys(f.make(PrekeyKind::kOneTime, 11));
  upload.set_drop_below(12);
  EXPECT_EQ(f.refusal(upload), "400 invalid_argument: drop_below: above a key_id of the same upload");
  upload.set_drop_below(11);
  EXPECT_EQ(f.refusal(upload), "200");
}

TEST(KeyPrekeys, OfAKindAreLimited) {
  PrekeyFixture f;
  wire::PrekeyUpload upload;
  for (std::size_t i = 0; i < limits::e2ee::kOneTimeStored; ++i) {
    upload.add_one_time_prekeys(f.make(PrekeyKind::kOneTime));
  }
  wire::PrekeyUpload above = upload;
  above.add_one_time_prekeys(f.make(PrekeyKind::kOneTime));
  EXPECT_EQ(f.refusal(above), "400 invalid_argument: one_time_prekeys: 201, limit 200");
  EXPECT_EQ(f.refusal(upload), "200");
  wire::PrekeyUpload one_more;
  one_more.add_one_time_prekeys(f.make(PrekeyKind::kOneTime));
  EXPECT_EQ(f.refusal(one_more), "409 limit_reached: 201 one-time prekeys, limit 200");
}

TEST(KeyPrekeys, FiftyOneKemPrekeysFitIntoARequest) {
  PrekeyFixture f;
  wire::PrekeyUpload upload;
  for (int i = 0; i < 51; ++i) upload.add_one_time_kem_prekeys(f.make(PrekeyKind::kOneTimeKem));
  EXPECT_EQ(f.refusal(upload), "200");
  upload.add_one_time_kem_prekeys(f.make(PrekeyKind::kOneTimeKem));
  EXPECT_EQ(f.refusal(upload).substr(0, 13), "413 too_large");
}

// ---- What is stored ------------------------------------------------------------------------------------------------

Bytes all_files_of(const std::filesystem::path& directory) {
  Bytes bytes;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    std::ifstream in(entry.path(), std::ios::binary);
    bytes.append(std::istreambuf_iterator<char>(in), {});
  }
  return bytes;
}

TEST(KeyStored, IsWhatWasParsedAndNothingElse) {
  KeyWorld world;
  KeyUser& ann = world.add_user("ann");
  KeyDevice& phone = ann.device();
  const Bytes canary = "\xfa\x06\x1bleft where it should not be";  // a field that nobody knows, and its bytes
  const auto with_canary = [&canary](const google::protobuf::MessageLite& message) {
    return message.SerializeAsString() + canary;
  };
  const Bytes upload = with_canary(upload_of({ann.next({phone.record})}, {phone.record}));
  EXPECT_EQ(world.call("POST", kLists, KeyWorld::headers(phone.token), upload).status, 204);
  const wire::PrekeyUpload prekeys = phone.upload(1, 1, world.random);
  EXPECT_EQ(world.call("POST", kPrekeys, KeyWorld::headers(phone.token), with_canary(prekeys)).status, 200);

  const Bytes files = all_files_of(world.directory());
  EXPECT_NE(files.find(phone.record.bytes), Bytes::npos) << "the files are read";
  EXPECT_EQ(files.find("left where"), Bytes::npos);
  EXPECT_EQ(files.find(e2ee::view(ann.account_seed)), Bytes::npos);
  EXPECT_EQ(files.find(e2ee::view(phone.keys.signing_seed)), Bytes::npos);
  EXPECT_EQ(files.find(e2ee::view(phone.keys.agreement_secret)), Bytes::npos);
}

TEST(KeyStored, SecretsAreNotTaken) {
  PrekeyFixture f;
  const auto own = e2ee::OwnPrekey::draw(PrekeyKind::kOneTimeKem, 50, testing::kKeysMadeMs, f.world.random);
  const Bytes secret(e2ee::view(std::get<Kem::Seed>(own.secret)));
  wire::PrekeyUpload upload;
  upload.add_one_time_kem_prekeys(secret);
  EXPECT_EQ(f.refusal(upload), "400 malformed: one_time_kem_prekeys[0] is no prekey");
  wire::DeviceListUpload list = upload_of({f.ann.next({})}, {});
  list.add_records(Bytes(e2ee::view(f.phone.keys.signing_seed)));
  EXPECT_EQ(KeyWorld::refusal(f.world.post(kLists, f.phone.token, list)),
            "400 malformed: records[0] is no device record");
  EXPECT_EQ(all_files_of(f.world.directory()).find(secret), Bytes::npos);
  for (const std::string& line : f.world.log.lines) EXPECT_EQ(line.find(secret), std::string::npos);
}

}  // namespace
}  // namespace chatsdk::server
