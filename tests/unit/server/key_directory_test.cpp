// SPDX-License-Identifier: Apache-2.0
//
// What the key directory gives out, over REST: bundles that a peer can check, each one-time key once; lists in pages;
// and how often, for whom and to whom.
//
// Threads: one.
#include "server-reference/services/key_directory.h"

#include <gtest/gtest.h>

#include <set>

#include "unit/server/key_people.h"

namespace chatsdk::server {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::KeyDevice;
using testing::KeyUser;
using testing::KeyWorld;
using testing::RestWorldOptions;
using testing::upload_of;

constexpr const char* kBundles = "/v1/keys/bundles";
constexpr const char* kQuery = "/v1/keys/lists/query";

wire::BundlesRequest bundles_of(const UserId& user_id, const std::vector<std::uint64_t>& device_ids = {}) {
  wire::BundlesRequest request;
  request.set_user_id(user_id);
  for (const std::uint64_t id : device_ids) request.add_device_ids(id);
  return request;
}

// ---- Requests ------------------------------------------------------------------------------------------------------

TEST(KeyRoutes, NeedALogIn) {
  KeyWorld world;
  for (const char* path : {"/v1/keys/lists", kQuery, "/v1/keys/prekeys", kBundles}) {
    EXPECT_EQ(KeyWorld::refusal(world.post(path, "", wire::BundlesRequest())).substr(0, 19), "401 unauthenticated")
        << path;
  }
  for (const char* path : {"/v1/keys/counts", "/v1/keys/digest"}) {
    EXPECT_EQ(world.get(path, "").status, 401) << path;
  }
}

TEST(KeyRoutes, RefuseBodiesThatAreNone) {
  KeyWorld world;
  const std::string token = world.add_user("ann").device().token;
  for (const char* path : {"/v1/keys/lists", kQuery, "/v1/keys/prekeys", kBundles}) {
    EXPECT_EQ(KeyWorld::refusal(world.call("POST", path, KeyWorld::headers(token), "\xff\xff\xff")).substr(0, 13),
              "400 malformed")
        << path;
    KeyWorld::Headers headers = KeyWorld::headers(token);
    headers["content-type"] = "text/plain";
    EXPECT_EQ(world.call("POST", path, headers, "{}").status, 415) << path;
  }
}

TEST(KeyRoutes, CheckWhomTheyAreAskedFor) {
  KeyWorld world;
  const std::string token = world.add_user("ann").device().token;
  for (const UserId& user_id : {UserId(), UserId(limits::kUserIdBytesMax + 1, 'x'), UserId("a\nb")}) {
    EXPECT_EQ(world.post(kBundles, token, bundles_of(user_id)).status, 400);
    wire::DeviceListsRequest request;
    request.add_users()->set_user_id(user_id);
    EXPECT_EQ(world.post(kQuery, token, request).status, 400);
  }
  const UserId longest(limits::kUserIdBytesMax, 'x');
  EXPECT_EQ(world.post(kBundles, token, bundles_of(longest)).status, 200);
}

// ---- Lists ---------------------------------------------------------------------------------------------------------

TEST(KeyLooks, ListsOfAUserWithoutAnyAreEmpty) {
  KeyWorld world;
  const KeyDevice& ann = world.add_user("ann").device();
  for (const char* user_id : {"ann", "nobody"}) {
    const wire::DeviceLists answer = world.lists_of(ann, user_id);
    ASSERT_EQ(answer.users_size(), 1) << user_id;
    EXPECT_EQ(answer.users(0).newest_version(), 0u);
    EXPECT_EQ(answer.users(0).lists_size(), 0);
  }
}

TEST(KeyLooks, AListIsKnownByVersionAndHash) {
  KeyWorld world;
  const KeyDevice& ann = world.add_user("ann").device();
  const auto refusal = [&](std::uint64_t version, std::size_t hash_bytes) {
    wire::DeviceListsRequest request;
    auto& user = *request.add_users();
    user.set_user_id("ann");
    user.set_list_version(version);
    user.set_list_hash(Bytes(hash_bytes, 'h'));
    return KeyWorld::refusal(world.post(kQuery, ann.token, request));
  };
  EXPECT_EQ(refusal(0, 0), "200");
  EXPECT_EQ(refusal(1, 32), "200");
  EXPECT_EQ(refusal(1, 31), "400 invalid_argument: list_hash of 31 B with list_version 1");
  EXPECT_EQ(refusal(1, 33), "400 invalid_argument: list_hash of 33 B with list_version 1");
  EXPECT_EQ(refusal(1, 0), "400 invalid_argument: list_hash of 0 B with list_version 1");
  EXPECT_EQ(refusal(0, 32), "400 invalid_argument: list_hash of 32 B with list_version 0");
}

TEST(KeyLooks, AnAnswerIsLimitedByUsersAndBytes) {
  KeyWorld world;
  KeyUser& ann = world.add_user("ann");
  std::vector<e2ee::DeviceList> lists;
  for (std::size_t i = 0; i < limits::e2ee::kListVersionsMax; ++i) {
    lists.push_back(i == 0 ? ann.next({ann.device().record}) : ann.next({}));
  }
  ASSERT_EQ(world.post("/v1/keys/lists", ann.device().token, upload_of(lists, {ann.device().record})).status, 204);
  wire::DeviceListsRequest request;
  EXPECT_EQ(KeyWorld::refusal(world.post(kQuery, ann.device().token, request)),
            "400 invalid_argument: users: 0, 1 to 64 are allowed");
  for (std::size_t i = 0; i < limits::e2ee::kListUsersMax; ++i) request.add_users()->set_user_id("ann");
  const auto response = world.post(kQuery, ann.device().token, request);
  const auto answer = KeyWorld::answer<wire::DeviceLists>(response);
  EXPECT_LT(answer.users_size(), static_cast<int>(limits::e2ee::kListUsersMax)) << "the others are asked for again";
  EXPECT_GT(answer.users_size(), 1);
  EXPECT_LT(response.body.size(), limits::e2ee::kListsAnswerBytes + 16'384);
  for (const auto& user : answer.users()) EXPECT_EQ(user.lists_size(), 64);
  request.add_users()->set_user_id("ann");
  EXPECT_EQ(KeyWorld::refusal(world.post(kQuery, ann.device().token, request)),
            "400 invalid_argument: users: 65, 1 to 64 are allowed");
}

// ---- Bundles -------------------------------------------------------------------------------------------------------

TEST(KeyBundles, AreWhatAPeerCanBeginWith) {
  KeyWorld world;
  const KeyUser& ann = world.add_reachable("ann", 1, 1);
  const KeyDevice& bob = world.add_user("bob").device();
  const auto check = [&](const wire::Bundle& bundle) {
    return e2ee::check_bundle(
        {bundle.device_record(), bundle.signed_prekey(), bundle.kem_prekey(), bundle.one_time_prekey()},
        ann.devices[0]->record, own_kem());
  };
  const wire::Bundles first = world.bundles(bob, "ann");
  ASSERT_EQ(first.bundles_size(), 1);
  EXPECT_EQ(first.list_version(), 1u);
  EXPECT_EQ(first.bundles(0).device_id(), ann.devices[0]->id.value);
  const auto whole = check(first.bundles(0));
  ASSERT_TRUE(whole.ok());
  EXPECT_EQ(whole->kem_prekey.kind, e2ee::PrekeyKind::kOneTimeKem);
  EXPECT_TRUE(whole->one_time_prekey.has_value());

  const auto later = check(world.bundles(bob, "ann").bundles(0));
  ASSERT_TRUE(later.ok());
  EXPECT_EQ(later->kem_prekey.kind, e2ee::PrekeyKind::kLastResort);
  EXPECT_FALSE(later->one_time_prekey.has_value());
}

TEST(KeyBundles, OfAUserWithoutListAreNone) {
  KeyWorld world;
  const KeyDevice& ann = world.add_user("ann").device();
  for (const char* user_id : {"ann", "nobody"}) {
    const wire::Bundles answer = world.bundles(ann, user_id);
    EXPECT_EQ(answer.list_version(), 0u) << user_id;
    EXPECT_EQ(answer.bundles_size(), 0) << user_id;
  }
}

TEST(KeyBundles, AreOfTheDevicesNamed) {
  KeyWorld world;
  KeyUser& ann = world.add_reachable("ann");
  KeyDevice& phone = ann.device();
  KeyDevice& tablet = world.add_device(ann);
  const KeyDevice& bob = world.add_user("bob").device();
  ASSERT_EQ(world.post("/v1/keys/lists", tablet.token, upload_of({ann.next({tablet.record})}, {tablet.record})).status,
            204);
  ASSERT_EQ(world.post("/v1/keys/prekeys", tablet.token, tablet.upload(1, 1, world.random)).status, 200);
  const auto devices = [&](const KeyDevice& requester, const std::vector<std::uint64_t>& named) {
    const auto answer =
        KeyWorld::answer<wire::Bundles>(world.post(kBundles, requester.token, bundles_of("ann", named)));
    std::set<std::uint64_t> ids;
    for (const wire::Bundle& bundle : answer.bundles()) ids.insert(bundle.device_id());
    return ids;
  };
  using Ids = std::set<std::uint64_t>;
  EXPECT_EQ(devices(bob, {}), (Ids{phone.id.value, tablet.id.value}));
  EXPECT_EQ(devices(bob, {tablet.id.value}), Ids{tablet.id.value});
  EXPECT_EQ(devices(bob, {tablet.id.value, 4711, bob.id.value}), Ids{tablet.id.value});
  EXPECT_EQ(devices(phone, {}), Ids{tablet.id.value}) << "nobody needs a bundle of its own";
  EXPECT_EQ(devices(phone, {phone.id.value}), Ids{});
}

TEST(KeyBundles, OfOneRequestAreLimited) {
  KeyWorld world;
  const KeyDevice& ann = world.add_user("ann").device();
  std::vector<std::uint64_t> ids;
  for (std::uint64_t id = 1; id <= limits::e2ee::kDevicesMax; ++id) ids.push_back(id);
  EXPECT_EQ(KeyWorld::refusal(world.post(kBundles, ann.token, bundles_of("ann", ids))), "200");
  ids.push_back(100);
  EXPECT_EQ(KeyWorld::refusal(world.post(kBundles, ann.token, bundles_of("ann", ids))),
            "400 invalid_argument: device_ids: 9, limit 8");
  EXPECT_EQ(KeyWorld::refusal(world.post(kBundles, ann.token, bundles_of("ann", {7, 7}))),
            "400 invalid_argument: device_ids: one twice");
}

TEST(KeyBundles, ThatCannotBeWrittenAreRefusedAndCostNothing) {
  RestWorldOptions options;
  options.keys.one_time_per_device = {1, seconds(90)};
  KeyWorld world(options);
  world.add_reachable("ann", 2, 2);
  const KeyDevice& bob = world.add_user("bob").device();
  world.write_failure = error(Code::kStorageFull, "disk");
  EXPECT_EQ(KeyWorld::refusal(world.post(kBundles, bob.token, bundles_of("ann"))).substr(0, 16), "507 storage_full");
  world.write_failure.reset();
  EXPECT_FALSE(world.bundles(bob, "ann").bundles(0).one_time_prekey().empty());
}

// ---- Hints ---------------------------------------------------------------------------------------------------------

TEST(KeyHints, TellADeviceThatItsKeysRunLow) {
  KeyWorld world;
  const auto low = static_cast<int>(limits::e2ee::kOneTimeLow);
  KeyUser& ann = world.add_reachable("ann", low + 1, low + 5);
  const KeyDevice& bob = world.add_user("bob").device();
  world.bundles(bob, "ann");
  EXPECT_TRUE(world.bus.keys_hints.empty()) << "at the limit";
  world.bundles(bob, "ann");
  ASSERT_EQ(world.bus.keys_hints.size(), 1u) << "below it";
  const KeysHint& hint = world.bus.keys_hints[0];
  EXPECT_EQ(hint.device_id, ann.device().id);
  const auto frame = decode_server_frame(*hint.frame);
  ASSERT_TRUE(frame.ok() && frame->has_key_counts());
  EXPECT_EQ(frame->key_counts().one_time(), limits::e2ee::kOneTimeLow - 1);
  EXPECT_EQ(frame->key_counts().one_time_kem(), limits::e2ee::kOneTimeLow + 3);
}

TEST(KeyHints, AreNotRepeatedOnceAllAreGone) {
  KeyWorld world;
  world.add_reachable("ann", 1, 0);
  const KeyDevice& bob = world.add_user("bob").device();
  for (int i = 0; i < 5; ++i) world.bundles(bob, "ann");
  EXPECT_EQ(world.bus.keys_hints.size(), 1u);
}

// ---- Rates ---------------------------------------------------------------------------------------------------------

// The answer of a fetch: "ok", or how long it is to wait.
std::string fetched(KeyWorld& world, const KeyDevice& requester, const UserId& target) {
  const auto response = world.post(kBundles, requester.token, bundles_of(target));
  if (response.status == 200) return "ok";
  wire::Problem problem;
  EXPECT_TRUE(problem.ParseFromString(response.body));
  return problem.code() + " " + std::to_string(problem.retry_after_ms());
}

TEST(KeyRates, OfOneUserForOneRequester) {
  RestWorldOptions options;
  options.keys.bundles = {3, seconds(30)};
  KeyWorld world(options);
  world.add_reachable("ann");
  world.add_reachable("cid");
  KeyUser& bob = world.add_user("bob");
  const KeyDevice& dora = world.add_user("dora").device();
  for (int i = 0; i < 3; ++i) EXPECT_EQ(fetched(world, bob.device(), "ann"), "ok") << i;
  EXPECT_EQ(fetched(world, bob.device(), "ann"), "rate_limited 30000");
  EXPECT_EQ(fetched(world, world.add_device(bob), "ann"), "rate_limited 30000")
      << "the user is limited, not the device";
  EXPECT_EQ(fetched(world, bob.device(), "cid"), "ok") << "another user";
  EXPECT_EQ(fetched(world, dora, "ann"), "ok") << "another requester";
  world.clock.advance(seconds(30) - milliseconds(1));
  EXPECT_EQ(fetched(world, bob.device(), "ann"), "rate_limited 1");
  world.clock.advance(milliseconds(1));
  EXPECT_EQ(fetched(world, bob.device(), "ann"), "ok");
}

TEST(KeyRates, OfOneRequester) {
  RestWorldOptions options;
  options.keys.bundles = {2, seconds(30)};
  options.keys.bundles_per_requester = {3, seconds(1)};
  KeyWorld world(options);
  const KeyDevice& bob = world.add_user("bob").device();
  for (const char* target : {"u1", "u2", "u3"}) EXPECT_EQ(fetched(world, bob, target), "ok") << target;
  EXPECT_EQ(fetched(world, bob, "u4"), "rate_limited 1000");
  world.clock.advance(seconds(1));
  EXPECT_EQ(fetched(world, bob, "u4"), "ok");
  world.clock.advance(seconds(2));
  EXPECT_EQ(fetched(world, bob, "u4"), "ok") << "the refused one was not charged to that user";
}

TEST(KeyRates, CountBundlesAndNotRequests) {
  RestWorldOptions options;
  options.keys.bundles = {8, seconds(30)};
  KeyWorld world(options);
  KeyUser& ann = world.add_reachable("ann");
  KeyDevice& tablet = world.add_device(ann);
  KeyDevice& laptop = world.add_device(ann);
  const KeyDevice& bob = world.add_user("bob").device();
  ASSERT_EQ(world
                .post("/v1/keys/lists", tablet.token,
                      upload_of({ann.next({tablet.record, laptop.record})}, {tablet.record, laptop.record}))
                .status,
            204);
  EXPECT_EQ(fetched(world, bob, "ann"), "ok");
  EXPECT_EQ(fetched(world, bob, "ann"), "ok");
  EXPECT_EQ(fetched(world, bob, "ann"), "rate_limited 30000") << "three more would be nine";
}

TEST(KeyRates, OfADeviceWithholdOneTimeKeysAlone) {
  RestWorldOptions options;
  options.keys.one_time_per_device = {2, seconds(90)};
  KeyWorld world(options);
  KeyUser& ann = world.add_reachable("ann", 5, 5);
  const KeyDevice& bob = world.add_user("bob").device();
  const KeyDevice& cid = world.add_user("cid").device();
  const auto has_one_time = [&](const KeyDevice& requester) {
    const wire::Bundles answer = world.bundles(requester, "ann");
    EXPECT_EQ(answer.bundles_size(), 1) << "it stays reachable";
    return !answer.bundles(0).one_time_prekey().empty();
  };
  EXPECT_TRUE(has_one_time(bob));
  EXPECT_TRUE(has_one_time(cid));
  EXPECT_FALSE(has_one_time(bob)) << "whoever asks";
  EXPECT_FALSE(has_one_time(cid));
  EXPECT_EQ(world.counts(ann.device()).one_time(), 3u);
  world.clock.advance(seconds(90));
  EXPECT_TRUE(has_one_time(bob));
  EXPECT_FALSE(has_one_time(bob));
}

TEST(KeyRates, OfOneTimeKeysCountWhatWasGiven) {
  RestWorldOptions options;
  options.keys.one_time_per_device = {1, seconds(90)};
  KeyWorld world(options);
  KeyUser& ann = world.add_reachable("ann");
  const KeyDevice& bob = world.add_user("bob").device();
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(world.bundles(bob, "ann").bundles(0).one_time_prekey().empty());
  wire::PrekeyUpload upload;
  upload.add_one_time_prekeys(ann.device().prekey(e2ee::PrekeyKind::kOneTime, world.random));
  ASSERT_EQ(world.post("/v1/keys/prekeys", ann.device().token, upload).status, 200);
  EXPECT_FALSE(world.bundles(bob, "ann").bundles(0).one_time_prekey().empty());
}

TEST(KeyRates, OfLists) {
  RestWorldOptions options;
  options.keys.lists_per_requester = {3, milliseconds(100)};
  KeyWorld world(options);
  KeyUser& bob = world.add_user("bob");
  wire::DeviceListsRequest two;
  two.add_users()->set_user_id("u1");
  two.add_users()->set_user_id("u2");
  EXPECT_EQ(world.post(kQuery, bob.device().token, two).status, 200);
  const auto refused = world.post(kQuery, bob.device().token, two);
  EXPECT_EQ(KeyWorld::refusal(refused), "429 rate_limited: too many device lists fetched");
  EXPECT_EQ(refused.headers.at("retry-after"), "1");
  world.clock.advance(milliseconds(100));
  EXPECT_EQ(world.post(kQuery, bob.device().token, two).status, 200);
}

TEST(KeyRates, OfUploads) {
  RestWorldOptions options;
  options.keys.uploads_per_device = {2, seconds(10)};
  KeyWorld world(options);
  KeyUser& ann = world.add_user("ann");
  const std::string token = ann.device().token;
  EXPECT_EQ(world.post("/v1/keys/lists", token, wire::DeviceListUpload()).status, 400);
  EXPECT_EQ(world.post("/v1/keys/prekeys", token, wire::PrekeyUpload()).status, 403);
  for (const char* path : {"/v1/keys/lists", "/v1/keys/prekeys"}) {
    EXPECT_EQ(KeyWorld::refusal(world.post(path, token, wire::PrekeyUpload())),
              "429 rate_limited: too many uploads of keys")
        << path;
  }
  EXPECT_EQ(world.post("/v1/keys/lists", world.add_device(ann).token, wire::DeviceListUpload()).status, 400);
  world.clock.advance(seconds(10));
  EXPECT_EQ(world.post("/v1/keys/lists", token, wire::DeviceListUpload()).status, 400);
}

// Whatever device changes it: a change is an item in each conversation of the user's.
TEST(KeyRates, OfChangesOfOneUsersList) {
  RestWorldOptions options;
  options.keys.lists_per_user = {3, seconds(60)};
  KeyWorld world(options);
  KeyUser& ann = world.add_reachable("ann");
  KeyDevice& tablet = world.add_device(ann);
  const auto put = [&world](const KeyDevice& by, const wire::DeviceListUpload& upload) {
    return world.post("/v1/keys/lists", by.token, upload);
  };
  const e2ee::DeviceList first = *ann.newest;
  for (int i = 0; i < 3; ++i) EXPECT_EQ(put(ann.device(), upload_of({first}, {})).status, 204) << "a repeat";
  const auto with_tablet = upload_of({ann.next({tablet.record})}, {tablet.record});
  EXPECT_EQ(put(tablet, with_tablet).status, 204);
  ann.newest = first;
  EXPECT_EQ(put(ann.device(), upload_of({ann.next({}), ann.next({})}, {})).status, 409) << "another version 2";
  ann.newest = e2ee::parse_device_list(with_tablet.lists(0));
  EXPECT_EQ(put(tablet, upload_of({ann.next({})}, {})).status, 204) << "what was refused is no change";
  const auto next = upload_of({ann.next({})}, {});
  const auto refused = put(ann.device(), next);
  EXPECT_EQ(KeyWorld::refusal(refused), "429 rate_limited: too many changes of this user's device list");
  EXPECT_EQ(refused.headers.at("retry-after"), "60");
  EXPECT_EQ(put(tablet, next).status, 429);
  world.add_reachable("bob");
  world.clock.advance(seconds(60));
  EXPECT_EQ(put(tablet, next).status, 204);
}

TEST(KeyRates, OfAccountKeysOfOneUser) {
  RestWorldOptions options;
  options.keys.lists_per_user = {3, seconds(10'000)};
  options.keys.keys_per_user = {1, seconds(3'600)};
  KeyWorld world(options);
  KeyUser& ann = world.add_reachable("ann");
  const auto put_another_key = [&] {
    ann.account_seed = e2ee::draw_secret<32>(world.random);
    ann.newest.reset();
    KeyDevice& phone = ann.device();
    phone.keys = e2ee::DeviceKeys::draw(world.random);
    phone.record = record_of(phone);
    wire::DeviceListUpload upload = upload_of({ann.next({phone.record}), ann.next({}), ann.next({})}, {phone.record});
    upload.set_replaces_account_key(true);
    return world.post("/v1/keys/lists", phone.token, upload);
  };
  EXPECT_EQ(put_another_key().status, 204);
  const KeyUser kept{ann.user_id, ann.account_seed.clone(), ann.newest, {}};
  EXPECT_EQ(KeyWorld::refusal(put_another_key()), "429 rate_limited: too many account keys of this user");
  ann.account_seed = kept.account_seed.clone();
  ann.newest = kept.newest;
  EXPECT_EQ(world.post("/v1/keys/lists", ann.device().token, upload_of({ann.next({})}, {})).status, 204)
      << "what was refused is no change";
}

TEST(KeyRates, TheDefaultsAreThoseOfTheSpecification) {
  const KeyDirectoryOptions options;
  EXPECT_EQ(options.bundles.burst, 64u);
  EXPECT_EQ(options.bundles.refill, seconds(30));
  EXPECT_EQ(options.bundles_per_requester.burst, 512u);
  EXPECT_EQ(options.bundles_per_requester.refill, seconds(1));
  EXPECT_EQ(options.one_time_per_device.burst, 40u);
  EXPECT_EQ(options.one_time_per_device.refill, seconds(90));
  EXPECT_EQ(options.lists_per_requester.burst, 512u);
  EXPECT_EQ(options.lists_per_requester.refill, milliseconds(100));
  EXPECT_EQ(options.uploads_per_device.burst, 32u);
  EXPECT_EQ(options.uploads_per_device.refill, seconds(10));
  EXPECT_EQ(options.lists_per_user.burst, 32u);
  EXPECT_EQ(options.lists_per_user.refill, seconds(60));
  EXPECT_EQ(options.keys_per_user.burst, 8u);
  EXPECT_EQ(options.keys_per_user.refill, seconds(3'600));
}

TEST(KeyChecks, InFlightAreLimited) {
  RestWorldOptions options;
  options.keys.checks_in_flight_max = 2;
  KeyWorld world(options);
  KeyUser& ann = world.add_user("ann");
  std::vector<int> statuses;
  for (int i = 0; i < 3; ++i) {
    world.send("POST", "/v1/keys/lists", KeyWorld::headers(ann.device().token), {},
               [&statuses](const HttpResponse& response) { statuses.push_back(response.status); });
  }
  world.run();
  EXPECT_EQ(statuses, (std::vector<int>{503, 400, 400}));
  EXPECT_EQ(world.post("/v1/keys/lists", ann.device().token, wire::DeviceListUpload()).status, 400)
      << "they are free again";
}

}  // namespace
}  // namespace chatsdk::server
