// SPDX-License-Identifier: Apache-2.0
//
// The rules of the key directory's rows: what follows what, what goes with a device, and that a one-time prekey goes
// out once. The store parses none of these bytes, so they are names here.
//
// Threads: one.
#include <set>

#include "base/limits.h"
#include "tests/unit/server/key_rows.h"
#include "tests/unit/server/store_contract.h"

namespace chatsdk::server {
namespace {

class KeyContract : public StoreContract {
 protected:
  void SetUp() override {
    register_user("ann");
    register_user("bob");
    phone_ = log_in("ann", "installation-001").session.device_id;
    tablet_ = log_in("ann", "installation-002").session.device_id;
    bob_ = log_in("bob").session.device_id;
  }

  PublishLists lists(DeviceId uploader, std::vector<ListVersion> versions, std::vector<DeviceRecordRow> records,
                     const std::string& key = "key 1") {
    PublishLists op;
    op.user_id = "ann";
    op.uploader = uploader;
    op.account_key = hash_named(key);
    op.lists = std::move(versions);
    op.records = std::move(records);
    op.now = now();
    return op;
  }
  PublishLists next(std::uint64_t version, const std::vector<DeviceRecordRow>& devices) {
    return lists(phone_, {list_of(version, devices)}, devices);
  }
  // Ann's list names her phone, and her tablet where it is asked for.
  void list_phone() { write<ListsPublished>(next(1, {record_of(phone_)})); }
  void list_both() { write<ListsPublished>(next(1, {record_of(phone_), record_of(tablet_)})); }

  UploadPrekeys upload(DeviceId device, const std::string& flavour = "a") {
    UploadPrekeys op;
    op.user_id = "ann";
    op.device_id = device;
    op.record_hash = record_of(device, flavour).hash;
    op.now = now();
    return op;
  }
  // Prekeys 1 and 2, the pair that every bundle needs.
  UploadPrekeys pair(DeviceId device) {
    UploadPrekeys op = upload(device);
    op.signed_prekey = {1, "signed 1"};
    op.last_resort = {2, "last resort 2"};
    return op;
  }
  UploadPrekeys with_one_time(UploadPrekeys op, std::vector<PrekeyRow> one_time, std::vector<PrekeyRow> kem) {
    op.one_time = std::move(one_time);
    op.one_time_kem = std::move(kem);
    return op;
  }
  KeyCounts counts(DeviceId device) { return reader().key_counts(device)->value_or(KeyCounts{999, 999}); }
  std::vector<TakenBundle> take(std::vector<TakeBundles::Wanted> wanted, const UserId& user_id = "ann") {
    return write<BundlesTaken>(TakeBundles{user_id, std::move(wanted)}).bundles;
  }
  TakenBundle take_one(DeviceId device, bool with_one_time = true) {
    auto bundles = take({{device, with_one_time}});
    EXPECT_EQ(bundles.size(), 1u);
    return bundles.empty() ? TakenBundle{} : bundles[0];
  }
  ListPage page(const KnownList& known, std::size_t max = 64) { return *reader().device_lists("ann", known, max); }

  DeviceId phone_;
  DeviceId tablet_;
  DeviceId bob_;
};

// ---- Lists ---------------------------------------------------------------------------------------------------------

TEST_F(KeyContract, AFirstListIsReadAsItWasPublished) {
  const CommitResult result = commit({next(1, {record_of(phone_), record_of(tablet_)})});
  EXPECT_FALSE(std::get<ListsPublished>(*result.answers.at(0)).repeated);
  ASSERT_EQ(result.appended.size(), 1u);
  EXPECT_EQ(parse(result.appended[0].item).kind(), wire::ITEM_KIND_DEVICES_CHANGED);
  harness_->reopen();
  const ListPage read = page({});
  EXPECT_EQ(read.newest, 1u);
  EXPECT_EQ(read.lists, std::vector<Bytes>{"list 1"});
  EXPECT_EQ(read.records, (std::vector<Bytes>{record_of(phone_).record, record_of(tablet_).record}));
  const auto newest = reader().newest_list("ann");
  ASSERT_EQ(newest->devices.size(), 2u);
  EXPECT_EQ(newest->version, 1u);
  EXPECT_EQ(newest->devices[1].device_id, tablet_);
  EXPECT_EQ(newest->devices[1].hash, record_of(tablet_).hash);
  EXPECT_EQ(newest->devices[1].record, record_of(tablet_).record);
}

TEST_F(KeyContract, AUserWithoutListHasNone) {
  EXPECT_EQ(reader().newest_list("ann")->version, 0u);
  EXPECT_EQ(reader().newest_list("nobody")->version, 0u);
  EXPECT_EQ(page({}).newest, 0u);
  EXPECT_TRUE(page({}).lists.empty());
  EXPECT_FALSE(reader().device_keys(phone_)->has_value());
  EXPECT_FALSE(reader().key_counts(phone_)->has_value());
}

TEST_F(KeyContract, AFirstListHasVersionOne) {
  EXPECT_EQ(code(next(2, {record_of(phone_)})), Code::kConflict);
  EXPECT_EQ(code(next(1, {record_of(phone_)})), Code::kOk);
}

TEST_F(KeyContract, OnlyTheSuccessorOfTheNewestIsTaken) {
  list_phone();
  const std::vector<DeviceRecordRow> both = {record_of(phone_), record_of(tablet_)};
  EXPECT_EQ(code(next(3, both)), Code::kConflict) << "a gap";
  EXPECT_EQ(code(lists(phone_, {list_of(1, both, "other")}, both)), Code::kConflict) << "another list of that version";
  EXPECT_EQ(code(lists(phone_, {list_of(2, both, "other")}, both)), Code::kConflict) << "of another one before";
  EXPECT_EQ(code(next(2, both)), Code::kOk);
  EXPECT_EQ(page({}).newest, 2u);
}

TEST_F(KeyContract, OfTwoSuccessorsInABatchOneIsTaken) {
  list_both();
  ListVersion first = list_of(2, {record_of(phone_)});
  ListVersion second = list_of(2, {record_of(tablet_)}, "other");
  second.previous = first.previous;
  const CommitResult result = commit({lists(phone_, {first}, {}), lists(tablet_, {second}, {})});
  EXPECT_EQ(result.answers[0].code(), Code::kOk);
  EXPECT_EQ(result.answers[1].code(), Code::kConflict);
}

TEST_F(KeyContract, ARepeatIsAnsweredAndWritesNothing) {
  list_phone();
  write<ListsPublished>(next(2, {record_of(phone_), record_of(tablet_)}));
  for (const std::uint64_t version : {1U, 2U}) {
    const auto devices =
        version == 1 ? std::vector{record_of(phone_)} : std::vector{record_of(phone_), record_of(tablet_)};
    const CommitResult result = commit({next(version, devices)});
    EXPECT_TRUE(std::get<ListsPublished>(*result.answers.at(0)).repeated) << version;
    EXPECT_TRUE(result.appended.empty()) << version;
  }
}

TEST_F(KeyContract, SeveralVersionsComeTogether) {
  list_phone();
  const std::vector<DeviceRecordRow> both = {record_of(phone_), record_of(tablet_)};
  const PublishLists op = lists(phone_, {list_of(1, {both[0]}), list_of(2, both), list_of(3, {both[0]})}, both);
  const CommitResult result = commit({op});
  EXPECT_EQ(result.answers[0].code(), Code::kOk);
  EXPECT_EQ(result.appended.size(), 1u) << "the devices changed once";
  EXPECT_EQ(page({}).lists, (std::vector<Bytes>{"list 1", "list 2", "list 3"}));
  EXPECT_EQ(page({}).records.size(), 2u);
  EXPECT_EQ(reader().newest_list("ann")->devices.size(), 1u);
  EXPECT_TRUE(reader().session_of(tablet_)->has_value()) << "it was in no list before";
}

TEST_F(KeyContract, OnlyADeviceOfTheOldOrTheNewListUploads) {
  EXPECT_EQ(code(lists(tablet_, {list_of(1, {record_of(phone_)})}, {record_of(phone_)})), Code::kForbidden);
  list_phone();
  const std::vector<DeviceRecordRow> both = {record_of(phone_), record_of(tablet_)};
  EXPECT_EQ(code(lists(bob_, {list_of(2, both)}, both)), Code::kForbidden);
  EXPECT_EQ(code(lists(tablet_, {list_of(2, both)}, both)), Code::kOk) << "who links itself is in the new one";
  EXPECT_EQ(code(lists(tablet_, {list_of(3, {both[0]})}, {})), Code::kOk) << "who leaves is in the old one";
}

TEST_F(KeyContract, ANewEntryIsADeviceOfTheUser) {
  list_phone();
  for (const DeviceId device : {bob_, DeviceId{4711}}) {
    EXPECT_EQ(code(next(2, {record_of(phone_), record_of(device)})), Code::kInvalidArgument) << device.value;
  }
  EXPECT_EQ(page({}).newest, 1u);
}

TEST_F(KeyContract, AnUnknownUserHasNoList) {
  PublishLists op = next(1, {record_of(phone_)});
  op.user_id = "nobody";
  EXPECT_EQ(code(op), Code::kNotFound);
}

TEST_F(KeyContract, EveryRecordIsThere) {
  EXPECT_EQ(code(lists(phone_, {list_of(1, {record_of(phone_)})}, {})), Code::kConflict);
  list_phone();
  EXPECT_EQ(code(lists(phone_, {list_of(2, {record_of(phone_)}), list_of(3, {record_of(phone_, "b")})}, {})),
            Code::kConflict);
  EXPECT_EQ(code(lists(phone_, {list_of(2, {record_of(phone_)})}, {})), Code::kOk) << "it is stored already";
}

TEST_F(KeyContract, PagesFollowWhatIsKnown) {
  std::vector<ListVersion> versions;
  for (std::uint64_t version = 1; version <= 10; ++version) versions.push_back(list_of(version, {record_of(phone_)}));
  write<ListsPublished>(lists(phone_, versions, {record_of(phone_)}));
  const auto first_of = [&](const KnownList& known, std::size_t max) {
    const ListPage read = page(known, max);
    EXPECT_EQ(read.newest, 10u);
    EXPECT_EQ(read.records.size(), read.lists.empty() ? 0u : 1u);
    return read.lists.empty() ? "none" : read.lists.front() + " of " + std::to_string(read.lists.size());
  };
  EXPECT_EQ(first_of({}, 64), "list 1 of 10");
  EXPECT_EQ(first_of({}, 3), "list 8 of 3") << "who knows nothing gets the newest";
  EXPECT_EQ(first_of({4, hash_named("list 4")}, 64), "list 5 of 6");
  EXPECT_EQ(first_of({4, hash_named("list 4")}, 3), "list 5 of 3") << "who knows one gets what follows it";
  EXPECT_EQ(first_of({4, hash_named("list 4 of another key")}, 3), "list 8 of 3");
  EXPECT_EQ(first_of({11, hash_named("list 11")}, 3), "list 8 of 3");
  EXPECT_EQ(first_of({10, hash_named("list 10")}, 64), "none");
}

// ---- Account keys --------------------------------------------------------------------------------------------------

TEST_F(KeyContract, AnotherAccountKeyNeedsTheWord) {
  list_both();
  write<KeyCounts>(pair(phone_));
  PublishLists op = lists(phone_, {list_of(2, {record_of(phone_)})}, {record_of(phone_)}, "key 2");
  EXPECT_EQ(code(op), Code::kConflict);
  op.replaces_account_key = true;
  const auto published = write<ListsPublished>(op);
  EXPECT_EQ(published.ended, std::vector<DeviceId>{tablet_});
  EXPECT_EQ(page({}).lists, std::vector<Bytes>{"list 2"}) << "nobody needs the others any more";
  EXPECT_EQ(page({1, hash_named("list 1")}).lists, std::vector<Bytes>{"list 2"});
  EXPECT_EQ(page({}).records, std::vector<Bytes>{record_of(phone_).record});
  EXPECT_EQ(take_one(phone_).signed_prekey, "signed 1") << "its record is the same";
  EXPECT_TRUE(write<ListsPublished>(op).repeated);
}

TEST_F(KeyContract, ANewAccountKeyGoesOnFromTheOld) {
  list_phone();
  write<ListsPublished>(next(2, {record_of(phone_)}));
  const auto replacing = [&](std::uint64_t version, const std::string& flavour = "") {
    PublishLists op = lists(phone_, {list_of(version, {record_of(phone_)}, flavour)}, {record_of(phone_)}, "key 2");
    op.replaces_account_key = true;
    return op;
  };
  EXPECT_EQ(code(replacing(1)), Code::kConflict);
  EXPECT_EQ(code(replacing(2)), Code::kConflict) << "versions do not go back";
  EXPECT_EQ(code(replacing(3)), Code::kOk);
  EXPECT_EQ(page({}).newest, 3u);
}

// The store went back, and a device that knew no better has changed the list since: what the new key's lists follow is
// not what stands here.
TEST_F(KeyContract, ANewAccountKeyMayFollowListsThatTheStoreHasLost) {
  list_phone();
  for (const std::uint64_t version : {2U, 3U}) write<ListsPublished>(next(version, {record_of(phone_)}));
  const auto replacing = [&](const std::vector<std::uint64_t>& versions) {
    std::vector<ListVersion> all;
    for (const std::uint64_t version : versions) all.push_back(list_of(version, {record_of(phone_)}, " of another"));
    PublishLists op = lists(phone_, all, {record_of(phone_)}, "key 2");
    op.replaces_account_key = true;
    return op;
  };
  EXPECT_EQ(code(replacing({2, 3})), Code::kConflict) << "versions do not go back";
  EXPECT_EQ(code(replacing({2, 3, 4})), Code::kOk);
  EXPECT_EQ(page({}).lists, (std::vector<Bytes>{"list 2 of another", "list 3 of another", "list 4 of another"}));
  EXPECT_EQ(code(replacing({2, 3, 4})), Code::kOk) << "a repeat";
}

TEST_F(KeyContract, ANewAccountKeyMayLeaveAGapBehindIt) {
  list_phone();
  PublishLists op = lists(phone_, {list_of(7, {record_of(phone_)})}, {record_of(phone_)}, "key 2");
  EXPECT_EQ(code(op), Code::kConflict);
  op.replaces_account_key = true;
  EXPECT_EQ(code(op), Code::kOk) << "the store may have lost what is between";
  EXPECT_EQ(page({}).lists, std::vector<Bytes>{"list 7"});
  op.lists = {list_of(9, {record_of(phone_)})};
  EXPECT_EQ(code(op), Code::kConflict) << "but not under one key";
}

// Nobody who knows the newest list would learn it.
TEST_F(KeyContract, ANewAccountKeyIsNotBegunFarAhead) {
  list_phone();
  constexpr std::uint64_t kMost = 1 + limits::e2ee::kListVersionsAhead;
  PublishLists op = lists(phone_, {list_of(kMost + 1, {record_of(phone_)})}, {record_of(phone_)}, "key 2");
  op.replaces_account_key = true;
  const CommitResult refused = commit({op});
  ASSERT_FALSE(refused.answers.at(0).ok());
  EXPECT_EQ(
      refused.answers.at(0).error().detail,
      "lists of another account key up to version 4294967298, more than 4294967296 above what is here: the newest "
      "is 1");
  EXPECT_EQ(code(op), Code::kConflict);
  op.lists = {list_of(kMost, {record_of(phone_)})};
  EXPECT_EQ(code(op), Code::kOk);
  op.lists = {list_of(kMost + 1, {record_of(phone_)})};
  EXPECT_EQ(code(op), Code::kOk) << "of the same key it is the next one";
}

TEST_F(KeyContract, AReplacedAccountKeyDoesNotComeBack) {
  list_phone();
  PublishLists op = lists(phone_, {list_of(2, {record_of(phone_)})}, {record_of(phone_)}, "key 2");
  op.replaces_account_key = true;
  write<ListsPublished>(op);
  PublishLists back = next(3, {record_of(phone_)});
  back.replaces_account_key = true;
  EXPECT_EQ(code(back), Code::kConflict);
}

TEST_F(KeyContract, AnyNumberOfAccountKeysIsReplacedAndTheNewestAreKnownAgain) {
  list_phone();
  const auto replacement = [&](std::size_t key, std::uint64_t version) {
    const std::string name = "key " + std::to_string(key);
    PublishLists op = lists(phone_, {list_of(version, {record_of(phone_)})}, {record_of(phone_)}, name);
    op.replaces_account_key = true;
    return op;
  };
  constexpr std::size_t kLast = limits::e2ee::kReplacedMax + 4;
  for (std::size_t i = 2; i <= kLast; ++i) EXPECT_EQ(code(replacement(i, i)), Code::kOk) << i;
  for (std::size_t i = kLast - limits::e2ee::kReplacedMax; i < kLast; ++i) {
    EXPECT_EQ(code(replacement(i, kLast + 1)), Code::kConflict) << i;
  }
  EXPECT_EQ(code(replacement(3, 3)), Code::kConflict) << "a list of before, under a key that is forgotten";
  EXPECT_EQ(code(replacement(3, kLast + 1)), Code::kOk);
}

// ---- What goes with a device ---------------------------------------------------------------------------------------

TEST_F(KeyContract, ADeviceThatLeavesTheListLosesKeysAndLogIn) {
  list_both();
  write<KeyCounts>(with_one_time(pair(tablet_), prekeys(3, 5), prekeys(6, 8, "kem")));
  const auto published = write<ListsPublished>(next(2, {record_of(phone_)}));
  EXPECT_EQ(published.ended, std::vector<DeviceId>{tablet_});
  EXPECT_FALSE(reader().session_of(tablet_)->has_value());
  EXPECT_FALSE(reader().device_keys(tablet_)->has_value());
  EXPECT_TRUE(take({{tablet_, true}}).empty());
  EXPECT_EQ(code(pair(tablet_)), Code::kForbidden);
  EXPECT_EQ(reader().devices("ann")->size(), 2u) << "it stays a device and may log in again";
  EXPECT_TRUE(reader().session_of(phone_)->has_value());
}

TEST_F(KeyContract, NothingOfADeviceIsAcceptedBehindTheListWithoutIt) {
  list_both();
  const SessionId session = (*reader().session_of(tablet_))->session_id;
  AppendMessage sent = message("ann", tablet_, to_peer("bob"), 1);
  sent.session = session;
  const CommitResult before = commit({sent});
  EXPECT_EQ(before.answers.at(0).code(), Code::kOk);
  sent = message("ann", tablet_, to_peer("bob"), 2);
  sent.session = session;
  const CommitResult result = commit({next(2, {record_of(phone_)}), sent});
  EXPECT_EQ(result.answers.at(0).code(), Code::kOk);
  EXPECT_NE(result.answers.at(1).code(), Code::kOk);
}

TEST_F(KeyContract, ADeviceThatComesBackBeginsWithoutPrekeys) {
  list_both();
  write<KeyCounts>(with_one_time(pair(tablet_), prekeys(3, 5), {}));
  write<ListsPublished>(next(2, {record_of(phone_)}));
  write<ListsPublished>(next(3, {record_of(phone_), record_of(tablet_)}));
  EXPECT_EQ(counts(tablet_), (KeyCounts{0, 0}));
  EXPECT_TRUE(take({{tablet_, true}}).empty());
  write<KeyCounts>(with_one_time(pair(tablet_), prekeys(3, 5), {}));
  EXPECT_EQ(take_one(tablet_).one_time_prekey, "one-time 3");
}

TEST_F(KeyContract, ADeviceWithAnotherRecordLosesItsPrekeysOnly) {
  list_both();
  write<KeyCounts>(with_one_time(pair(tablet_), prekeys(3, 5), {}));
  const auto published = write<ListsPublished>(next(2, {record_of(phone_), record_of(tablet_, "b")}));
  EXPECT_TRUE(published.ended.empty());
  EXPECT_TRUE(reader().session_of(tablet_)->has_value());
  EXPECT_EQ(counts(tablet_), (KeyCounts{0, 0}));
  EXPECT_EQ(code(pair(tablet_)), Code::kConflict) << "signed by the key of the record before";
  EXPECT_EQ((*reader().device_keys(tablet_))->record, record_of(tablet_, "b").record);
}

TEST_F(KeyContract, ARemovedDeviceLosesItsKeysWithIt) {
  list_both();
  write<KeyCounts>(with_one_time(pair(tablet_), prekeys(3, 5), prekeys(6, 8, "kem")));
  const CommitResult result = commit({EndSessions{"ann", tablet_, true, now()}, TakeBundles{"ann", {{tablet_, true}}}});
  EXPECT_TRUE(std::get<BundlesTaken>(*result.answers.at(1)).bundles.empty()) << "at once, in the same batch";
  EXPECT_FALSE(reader().device_keys(tablet_)->has_value());
  EXPECT_EQ(code(pair(tablet_)), Code::kForbidden);
}

TEST_F(KeyContract, ALogOutKeepsTheKeys) {
  list_both();
  write<KeyCounts>(with_one_time(pair(tablet_), prekeys(3, 5), {}));
  write<Done>(EndSessions{"ann", tablet_, false, now()});
  EXPECT_EQ(take_one(tablet_).one_time_prekey, "one-time 3") << "what is sent meanwhile waits for it";
}

TEST_F(KeyContract, ADeviceThatMakesRoomLosesItsKeys) {
  list_both();
  write<KeyCounts>(pair(tablet_));
  write<Done>(EndSessions{"ann", tablet_, false, now()});
  for (std::size_t i = 2; i < limits::kDevicesPerUserMax; ++i) log_in("ann", "installation-more-" + std::to_string(i));
  EXPECT_TRUE(reader().device_keys(tablet_)->has_value());
  log_in("ann", "installation-last");
  EXPECT_FALSE(reader().device_keys(tablet_)->has_value());
}

TEST_F(KeyContract, AForgottenDeviceStaysInTheListUntilItIsTakenOut) {
  list_both();
  write<Done>(EndSessions{"ann", tablet_, true, now()});
  EXPECT_EQ(code(next(2, {record_of(phone_), record_of(tablet_)})), Code::kOk);
  EXPECT_FALSE(reader().device_keys(tablet_)->has_value());
  EXPECT_EQ(code(next(3, {record_of(phone_), record_of(tablet_, "b")})), Code::kInvalidArgument);
  EXPECT_TRUE(write<ListsPublished>(next(3, {record_of(phone_)})).ended.empty());
}

// ---- Prekeys -------------------------------------------------------------------------------------------------------

TEST_F(KeyContract, PrekeysAreReadAsTheyWereUploaded) {
  list_phone();
  const KeyCounts answer = write<KeyCounts>(with_one_time(pair(phone_), prekeys(3, 5), prekeys(6, 7, "kem")));
  EXPECT_EQ(answer, (KeyCounts{3, 2}));
  harness_->reopen();
  const auto keys = reader().device_keys(phone_);
  ASSERT_TRUE(keys.ok() && keys->has_value());
  EXPECT_EQ((*keys)->record, record_of(phone_).record);
  EXPECT_EQ((*keys)->record_hash, record_of(phone_).hash);
  EXPECT_EQ((*keys)->signed_prekey.key_id, 1u);
  EXPECT_EQ((*keys)->signed_prekey.prekey, "signed 1");
  EXPECT_EQ((*keys)->last_resort.key_id, 2u);
  EXPECT_EQ((*keys)->last_resort.prekey, "last resort 2");
  EXPECT_EQ((*keys)->signed_at, now());
  EXPECT_EQ((*keys)->counts, answer);
  EXPECT_EQ(counts(phone_), answer);
}

TEST_F(KeyContract, OnlyAListedDeviceHasPrekeys) {
  EXPECT_EQ(code(pair(phone_)), Code::kForbidden);
  list_phone();
  EXPECT_EQ(code(pair(tablet_)), Code::kForbidden);
  UploadPrekeys of_another = pair(phone_);
  of_another.user_id = "bob";
  EXPECT_EQ(code(of_another), Code::kForbidden);
  EXPECT_EQ(code(pair(phone_)), Code::kOk);
}

TEST_F(KeyContract, ANewPairTakesThePlaceOfTheOld) {
  list_phone();
  write<KeyCounts>(pair(phone_));
  pass(1'000);
  UploadPrekeys rotated = upload(phone_);
  rotated.signed_prekey = {10, "signed 10"};
  rotated.last_resort = {11, "last resort 11"};
  write<KeyCounts>(rotated);
  EXPECT_EQ((*reader().device_keys(phone_))->signed_at, now());
  EXPECT_EQ(take_one(phone_).signed_prekey, "signed 10");
  EXPECT_EQ(take_one(phone_).kem_prekey, "last resort 11");
  pass(1'000);
  write<KeyCounts>(rotated);
  EXPECT_EQ((*reader().device_keys(phone_))->signed_at, now() - std::chrono::seconds(1)) << "a repeat";
  EXPECT_EQ(code(pair(phone_)), Code::kConflict) << "lower key ids";
  rotated.signed_prekey.prekey = "another 10";
  EXPECT_EQ(code(rotated), Code::kConflict);
  rotated.signed_prekey.prekey = "signed 10";
  rotated.last_resort.prekey = "another 11";
  EXPECT_EQ(code(rotated), Code::kConflict);
}

TEST_F(KeyContract, ARepeatedUploadAddsNothing) {
  list_phone();
  const UploadPrekeys op = with_one_time(pair(phone_), prekeys(3, 5), prekeys(6, 8, "kem"));
  write<KeyCounts>(op);
  EXPECT_EQ(write<KeyCounts>(op), (KeyCounts{3, 3}));
  EXPECT_EQ(take_one(phone_).one_time_prekey, "one-time 3");
  EXPECT_EQ(write<KeyCounts>(op), (KeyCounts{2, 2})) << "what has gone out does not come back";
  std::set<Bytes> seen;
  for (int i = 0; i < 3; ++i) seen.insert(take_one(phone_).one_time_prekey);
  EXPECT_EQ(seen, (std::set<Bytes>{"", "one-time 4", "one-time 5"}));
  EXPECT_EQ(write<KeyCounts>(op), (KeyCounts{0, 0}));
}

TEST_F(KeyContract, AKeyIdWithOtherBytesIsAConflict) {
  list_phone();
  write<KeyCounts>(with_one_time(pair(phone_), prekeys(3, 5), prekeys(6, 8, "kem")));
  EXPECT_EQ(code(with_one_time(upload(phone_), prekeys(5, 9, "other"), {})), Code::kConflict);
  EXPECT_EQ(code(with_one_time(upload(phone_), {}, prekeys(8, 9, "other"))), Code::kConflict);
  EXPECT_EQ(counts(phone_), (KeyCounts{3, 3})) << "all or nothing";
}

TEST_F(KeyContract, OneTimePrekeysAreLimited) {
  const auto limit = static_cast<std::uint32_t>(limits::e2ee::kOneTimeStored);
  list_phone();
  write<KeyCounts>(with_one_time(pair(phone_), prekeys(1'001, 1'000 + limit - 1), {}));
  EXPECT_EQ(code(with_one_time(upload(phone_), prekeys(2'001, 2'002), {})), Code::kLimitReached) << "above";
  EXPECT_EQ(write<KeyCounts>(with_one_time(upload(phone_), prekeys(2'001, 2'001), {})).one_time, limit) << "at";
  EXPECT_EQ(code(with_one_time(upload(phone_), {}, prekeys(3'001, 3'001 + limit, "kem"))), Code::kLimitReached);
  EXPECT_EQ(write<KeyCounts>(with_one_time(upload(phone_), {}, prekeys(3'001, 3'000 + limit, "kem"))).one_time_kem,
            limit);
  take_one(phone_);
  EXPECT_EQ(code(with_one_time(upload(phone_), prekeys(4'001, 4'001), {})), Code::kOk) << "one has gone out";
}

TEST_F(KeyContract, OlderPrekeysAreDroppedOnRequest) {
  list_phone();
  write<KeyCounts>(with_one_time(pair(phone_), prekeys(3, 12), prekeys(13, 22, "kem")));
  UploadPrekeys op = with_one_time(upload(phone_), prekeys(31, 32), prekeys(33, 33, "kem"));
  op.drop_below = 31;
  EXPECT_EQ(write<KeyCounts>(op), (KeyCounts{2, 1}));
  EXPECT_EQ(take_one(phone_).one_time_prekey, "one-time 31");
  EXPECT_EQ(write<KeyCounts>(op), (KeyCounts{1, 0})) << "a repeat drops nothing of its own, and brings nothing back";
  EXPECT_EQ(counts(phone_), (KeyCounts{1, 0}));
  EXPECT_EQ(take_one(phone_).one_time_prekey, "one-time 32");
}

TEST_F(KeyContract, DroppingMakesRoom) {
  const auto limit = static_cast<std::uint32_t>(limits::e2ee::kOneTimeStored);
  list_phone();
  write<KeyCounts>(with_one_time(pair(phone_), prekeys(1'001, 1'000 + limit), {}));
  UploadPrekeys op = with_one_time(upload(phone_), prekeys(2'001, 2'000 + limit), {});
  EXPECT_EQ(code(op), Code::kLimitReached);
  op.drop_below = 2'001;
  EXPECT_EQ(write<KeyCounts>(op).one_time, limit);
}

// ---- Bundles -------------------------------------------------------------------------------------------------------

TEST_F(KeyContract, ABundleHasTheLowestKeysOnce) {
  list_phone();
  write<KeyCounts>(with_one_time(pair(phone_), prekeys(3, 4), prekeys(5, 5, "kem")));
  const TakenBundle first = take_one(phone_);
  EXPECT_EQ(first.device_id, phone_);
  EXPECT_EQ(first.record, record_of(phone_).record);
  EXPECT_EQ(first.signed_prekey, "signed 1");
  EXPECT_EQ(first.kem_prekey, "kem 5");
  EXPECT_EQ(first.one_time_prekey, "one-time 3");
  EXPECT_TRUE(first.used_one_time);
  EXPECT_EQ(first.left, (KeyCounts{1, 0}));
  harness_->reopen();
  const TakenBundle second = take_one(phone_);
  EXPECT_EQ(second.kem_prekey, "last resort 2");
  EXPECT_EQ(second.one_time_prekey, "one-time 4");
  EXPECT_TRUE(second.used_one_time);
  const TakenBundle third = take_one(phone_);
  EXPECT_EQ(third.kem_prekey, "last resort 2");
  EXPECT_TRUE(third.one_time_prekey.empty());
  EXPECT_FALSE(third.used_one_time);
  EXPECT_EQ(third.signed_prekey, "signed 1");
  EXPECT_EQ(counts(phone_), (KeyCounts{0, 0}));
}

TEST_F(KeyContract, BundlesOfOneBatchShareNoKey) {
  list_phone();
  write<KeyCounts>(with_one_time(pair(phone_), prekeys(101, 150), prekeys(151, 200, "kem")));
  const CommitResult result = commit(std::vector<WriteOp>(60, TakeBundles{"ann", {{phone_, true}}}));
  std::multiset<Bytes> seen;
  for (const auto& answer : result.answers) {
    const TakenBundle& bundle = std::get<BundlesTaken>(*answer).bundles.at(0);
    if (bundle.one_time_prekey.empty()) continue;
    seen.insert(bundle.one_time_prekey);
    seen.insert(bundle.kem_prekey);
  }
  EXPECT_EQ(seen.size(), 100u);
  EXPECT_EQ(std::set<Bytes>(seen.begin(), seen.end()).size(), 100u);
}

TEST_F(KeyContract, ABundleMayComeWithoutOneTimeKeys) {
  list_phone();
  write<KeyCounts>(with_one_time(pair(phone_), prekeys(3, 4), prekeys(5, 6, "kem")));
  const TakenBundle bundle = take_one(phone_, false);
  EXPECT_EQ(bundle.kem_prekey, "last resort 2");
  EXPECT_TRUE(bundle.one_time_prekey.empty());
  EXPECT_FALSE(bundle.used_one_time);
  EXPECT_EQ(counts(phone_), (KeyCounts{2, 2}));
}

TEST_F(KeyContract, ADeviceWithoutPrekeysHasNoBundle) {
  list_both();
  write<KeyCounts>(pair(phone_));
  const auto bundles = take({{tablet_, true}, {phone_, true}, {bob_, true}, {DeviceId{99}, true}});
  ASSERT_EQ(bundles.size(), 1u);
  EXPECT_EQ(bundles[0].device_id, phone_);
  EXPECT_TRUE(take({{phone_, true}}, "bob").empty()) << "the device is another user's";
}

TEST_F(KeyContract, OneTimeKeysAloneMakeNoBundle) {
  list_phone();
  write<KeyCounts>(with_one_time(upload(phone_), prekeys(3, 4), prekeys(5, 6, "kem")));
  EXPECT_TRUE(take({{phone_, true}}).empty());
  EXPECT_EQ(counts(phone_), (KeyCounts{2, 2}));
}

}  // namespace
}  // namespace chatsdk::server
