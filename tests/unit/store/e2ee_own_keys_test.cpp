// SPDX-License-Identifier: Apache-2.0
#include "e2ee/own_keys.h"

#include <gtest/gtest.h>
#include <sodium.h>
#include <unistd.h>

#include <filesystem>
#include <set>

#include "base/limits.h"
#include "e2ee/outcome.h"
#include "unit/store/e2ee_chat.h"

namespace chatsdk::e2ee {
namespace {

class OwnKeysTest : public ::testing::Test {
 protected:
  OwnKeysTest() { EXPECT_GE(sodium_init(), 0); }
  ~OwnKeysTest() override { std::filesystem::remove_all(directory); }

  std::optional<PrekeyUpload> due(const ServerHolds& holds = {}) {
    std::optional<PrekeyUpload> upload;
    alice.write([&](E2eeTransaction& tx) -> Status {
      CHATSDK_ASSIGN(upload, alice.keys.due_upload(tx.kept(), holds, alice.now_ms));
      return {};
    });
    return upload;
  }
  // All that is due, the requests put together: the server takes each, and has what it needs then.
  std::optional<PrekeyUpload> all_due(const ServerHolds& holds = {}) {
    std::optional<PrekeyUpload> all = due(holds);
    if (!all) return all;
    taken(*all);
    while (const auto part = due()) {
      EXPECT_TRUE(part->signed_prekey.empty()) << "the pair comes first";
      all->one_time.insert(all->one_time.end(), part->one_time.begin(), part->one_time.end());
      all->one_time_kem.insert(all->one_time_kem.end(), part->one_time_kem.begin(), part->one_time_kem.end());
      all->key_ids.insert(all->key_ids.end(), part->key_ids.begin(), part->key_ids.end());
      taken(*part);
    }
    return all;
  }
  void taken(const PrekeyUpload& upload) {
    alice.write([&](E2eeTransaction& tx) { return alice.keys.taken(tx.kept(), upload); });
  }
  Standing standing() {
    return alice.keys.standing({alice.kept.state(), alice.kept.e2ee().notes()}, alice.self).value();
  }
  bool take_replacement() {
    bool taken = false;
    alice.write([&](E2eeTransaction& tx) -> Status {
      CHATSDK_ASSIGN(taken, alice.keys.take_replacement(tx.kept(), "alice"));
      return {};
    });
    return taken;
  }
  Hash digest() { return alice.keys.digest({alice.kept.state(), alice.kept.e2ee().notes()}).value(); }

  const std::filesystem::path directory =
      (::access("/dev/shm", W_OK) == 0 ? std::filesystem::path("/dev/shm") : std::filesystem::temp_directory_path()) /
      ("chatsdk-e2ee-keys-" + std::to_string(::getpid()));
  ChatServer server;
  ChatDevice alice{server, "alice", 1, directory};
};

constexpr std::size_t kBatch = limits::e2ee::kOneTimeBatch;
constexpr std::size_t kLow = limits::e2ee::kOneTimeLow;

TEST_F(OwnKeysTest, NothingIsUploadedBeforeTheDeviceIsInItsList) {
  EXPECT_FALSE(due({StoredCounts{}, {}}).has_value());
  ListUpload list;
  alice.write([&](E2eeTransaction& tx) -> Status {
    CHATSDK_ASSIGN(list, alice.keys.begin_account(tx.kept(), alice.self, "phone", kThen));
    return {};
  });
  EXPECT_FALSE(due({StoredCounts{}, {}}).has_value());
  const auto again = alice.kept.e2ee().write([&](E2eeTransaction& tx) {
    return alice.keys.begin_account(tx.kept(), alice.self, {}, kThen).ok() ? Status()
                                                                           : Status(error(Code::kWrongState, ""));
  });
  EXPECT_EQ(again.code(), Code::kWrongState);
  server.put_list("alice", list);
  EXPECT_EQ(alice.fetch_lists("alice").result, Learning::kFirstContact);
  const auto upload = all_due({StoredCounts{}, {}});
  ASSERT_TRUE(upload.has_value());
  EXPECT_EQ(upload->key_ids.size(), 2 + 2 * kBatch);
}

TEST_F(OwnKeysTest, ARequestHoldsAsManyKeysAsFitIntoItsBody) {
  ListUpload list;
  alice.write([&](E2eeTransaction& tx) -> Status {
    CHATSDK_ASSIGN(list, alice.keys.begin_account(tx.kept(), alice.self, "phone", kThen));
    return {};
  });
  server.put_list("alice", list);
  alice.fetch_lists("alice");
  std::size_t requests = 0;
  std::size_t keys = 0;
  std::uint32_t last_one_time = 0;
  std::uint32_t last_kem = 0;
  while (const auto part = due({StoredCounts{}, {}})) {
    std::size_t bytes = part->signed_prekey.size() + part->last_resort.size();
    EXPECT_EQ(part->signed_prekey.empty(), part->last_resort.empty());
    EXPECT_EQ(part->signed_prekey.empty(), requests != 0);
    for (const Bytes& key : part->one_time) {
      bytes += key.size() + 8;
      EXPECT_GT(parse_prekey(key)->key_id, std::exchange(last_one_time, parse_prekey(key)->key_id));
    }
    for (const Bytes& key : part->one_time_kem) {
      bytes += key.size() + 8;
      EXPECT_GT(parse_prekey(key)->key_id, std::exchange(last_kem, parse_prekey(key)->key_id));
    }
    EXPECT_LE(bytes, limits::kRequestBodyBytesMax);
    keys += part->key_ids.size();
    taken(*part);
    if (++requests == 10 || keys == 2 + 2 * kBatch) break;
  }
  EXPECT_GT(requests, 1U);
  EXPECT_EQ(keys, 2 + 2 * kBatch);
}

TEST_F(OwnKeysTest, StandingFollowsTheListsThatWereLearned) {
  const auto standing = [this](const Peer& device) {
    return alice.keys.standing({alice.kept.state(), alice.kept.e2ee().notes()}, device).value();
  };
  EXPECT_EQ(standing(alice.self), Standing::kNoKeys);
  ListUpload first;
  alice.write([&](E2eeTransaction& tx) -> Status {
    CHATSDK_ASSIGN(first, alice.keys.begin_account(tx.kept(), alice.self, "phone", kThen));
    return {};
  });
  EXPECT_EQ(standing(alice.self), Standing::kUnlisted);
  // The upload's answer was lost with the process: the same keys are in the list that is made then.
  ListUpload again;
  alice.write([&](E2eeTransaction& tx) -> Status {
    CHATSDK_ASSIGN(again, alice.keys.list_with_self(tx.kept(), {}, kThen + 5));
    return {};
  });
  EXPECT_EQ(again.records, first.records);
  server.put_list("alice", again);
  alice.fetch_lists("alice");
  EXPECT_EQ(standing(alice.self), Standing::kListed);
  EXPECT_EQ(standing({"alice", DeviceId{12}}), Standing::kAnotherDevice);
  // Another device of the user takes this one out.
  ListUpload without;
  alice.write([&](E2eeTransaction& tx) -> Status {
    const DeviceKeys keys = DeviceKeys::draw(alice.random);
    const DeviceRecord other = make_device_record({"alice", DeviceId{12}, kSuitesSpoken, kThen, {}}, keys);
    const DeviceId own[] = {alice.self.device_id};
    CHATSDK_ASSIGN(without, alice.keys.next_list(tx.kept(), {&other, 1}, own, kThen + 6));
    return {};
  });
  server.put_list("alice", without);
  alice.fetch_lists("alice");
  EXPECT_EQ(standing(alice.self), Standing::kRemoved);
}

TEST_F(OwnKeysTest, ALostAnswerIsFollowedByTheSameBytes) {
  alice.begin();
  alice.now_ms += ms(limits::e2ee::kSignedRotation);
  const auto first = due({StoredCounts{kLow - 1, kLow}, {}});
  ASSERT_TRUE(first.has_value());
  EXPECT_FALSE(first->signed_prekey.empty());
  EXPECT_EQ(first->one_time.size(), kBatch);
  EXPECT_TRUE(first->one_time_kem.empty());
  ASSERT_TRUE(alice.kept.reload().ok());
  // The server counts as it did: nothing more is made.
  const auto second = due({StoredCounts{kLow - 1, kLow}, {}});
  ASSERT_TRUE(second.has_value());
  EXPECT_EQ(second->signed_prekey, first->signed_prekey);
  EXPECT_EQ(second->last_resort, first->last_resort);
  EXPECT_EQ(second->one_time, first->one_time);
  EXPECT_EQ(second->key_ids, first->key_ids);
  taken(*second);
  EXPECT_FALSE(due({StoredCounts{kLow, kLow}, {}}).has_value());
}

TEST_F(OwnKeysTest, ARefillIsMadeBelowTheLimitAndNotAtIt) {
  alice.begin();
  alice.now_ms += ms(limits::e2ee::kRefillPause);
  EXPECT_FALSE(due({StoredCounts{kLow, kLow}, {}}).has_value());
  EXPECT_FALSE(due({}).has_value()) << "no counts are known";
  const auto kem = all_due({StoredCounts{kLow, kLow - 1}, {}});
  ASSERT_TRUE(kem.has_value());
  EXPECT_EQ(kem->one_time_kem.size(), kBatch);
  EXPECT_TRUE(kem->one_time.empty());
  EXPECT_TRUE(kem->signed_prekey.empty());
}

TEST_F(OwnKeysTest, ThePairIsReplacedWhenItIsDue) {
  alice.begin();
  const std::uint64_t due_ms = **alice.keys.rotation_due_ms({alice.kept.state(), alice.kept.e2ee().notes()});
  EXPECT_LE(due_ms, kThen + ms(limits::e2ee::kSignedRotation));
  EXPECT_GE(due_ms, kThen + ms(limits::e2ee::kSignedRotation) - ms(limits::e2ee::kSignedRotationShare));
  alice.now_ms = due_ms - 1;
  EXPECT_FALSE(due().has_value());
  alice.now_ms = due_ms;
  const auto upload = due();
  ASSERT_TRUE(upload.has_value());
  EXPECT_EQ(upload->key_ids.size(), 2U);
  const Bytes before = server.stocks[alice.self].signed_prekey;
  EXPECT_GT(parse_prekey(upload->signed_prekey)->key_id, parse_prekey(before)->key_id);
  // Not taken yet, and due again: only the newest goes out.
  alice.now_ms += ms(limits::e2ee::kSignedRotation);
  const auto newer = due();
  ASSERT_TRUE(newer.has_value());
  EXPECT_EQ(newer->key_ids.size(), 2U);
  EXPECT_NE(newer->signed_prekey, upload->signed_prekey);
}

// Of a device that was set up while its clock was ten years ahead.
TEST_F(OwnKeysTest, RotationAndAgeingGoOnOnceTheClockIsRight) {
  const std::uint64_t right = alice.now_ms;
  alice.now_ms += ms(std::chrono::hours(24 * 3'650));
  alice.begin();
  const auto age = [this] {
    bool done = false;
    alice.write([&](E2eeTransaction& tx) -> Status {
      CHATSDK_ASSIGN(done, alice.keys.age_once_a_day(tx.kept(), alice.now_ms));
      return {};
    });
    return done;
  };
  EXPECT_TRUE(age());
  EXPECT_FALSE(due().has_value());
  alice.now_ms = right;
  EXPECT_TRUE(age());
  EXPECT_FALSE(age());
  const auto upload = due();
  ASSERT_TRUE(upload.has_value());
  EXPECT_EQ(upload->key_ids.size(), 2U);
  taken(*upload);
  EXPECT_FALSE(due().has_value());
  alice.now_ms += ms(std::chrono::hours(24));
  EXPECT_TRUE(age());
  alice.now_ms += ms(limits::e2ee::kSignedRotation);
  EXPECT_TRUE(due().has_value());
}

TEST_F(OwnKeysTest, AnotherDigestUploadsEverythingAnew) {
  alice.begin();
  const ChatServer::Stock& stock = server.stocks[alice.self];
  EXPECT_EQ(digest(), keys_digest(stock.record, stock.signed_prekey, stock.last_resort));
  EXPECT_FALSE(due({{}, digest()}).has_value());
  const auto upload = all_due({{}, keys_digest(stock.record, {}, {})});
  ASSERT_TRUE(upload.has_value());
  EXPECT_EQ(upload->signed_prekey, stock.signed_prekey);
  EXPECT_EQ(upload->last_resort, stock.last_resort);
  EXPECT_EQ(upload->one_time, stock.one_time);
  EXPECT_EQ(upload->one_time_kem, stock.one_time_kem);
  EXPECT_FALSE(due({{}, digest()}).has_value());
}

// A server that says that it has none, and then that it has enough, is not asked for ever.
TEST_F(OwnKeysTest, OneTimePrekeysThatTheServerHasNoRoomForAreGivenUpAndThePairIsNot) {
  alice.begin();
  alice.write([&](E2eeTransaction& tx) { return tx.notes().upload_all_again(); });
  int refusals = 0;
  while (const auto refused = due()) {
    ASSERT_LT(++refusals, 10);
    alice.write([&](E2eeTransaction& tx) { return OwnKeys::give_up_one_time(tx.kept(), *refused); });
    const auto pair = due();
    ASSERT_TRUE(pair.has_value());
    EXPECT_FALSE(pair->signed_prekey.empty());
    EXPECT_FALSE(pair->last_resort.empty());
    if (pair->one_time.empty() && pair->one_time_kem.empty()) taken(*pair);
  }
}

TEST_F(OwnKeysTest, ADeviceThatBeginsAnewTakesTheOldOnesPlaceInItsList) {
  ChatDevice bob(server, "bob", 2, directory);
  alice.begin();
  bob.begin();
  alice.queue("before");
  ASSERT_EQ(alice.flush(), 1);
  const Peer again{"alice", DeviceId{11}};
  ListUpload upload;
  alice.write([&](E2eeTransaction& tx) -> Status {
    CHATSDK_ASSIGN(upload, alice.keys.begin_anew(tx.kept(), again, "phone", {}, kThen));
    return {};
  });
  const auto list = parse_device_list(upload.list);
  ASSERT_TRUE(list.has_value());
  EXPECT_EQ(list->version, 2U);
  ASSERT_EQ(list->devices.size(), 1U);
  EXPECT_EQ(list->devices.front().device_id, again.device_id);
  EXPECT_TRUE(alice.sessions(bob).empty());
  EXPECT_TRUE(alice.kept.state().prekeys()->empty());
  EXPECT_EQ(alice.kept.e2ee().notes().counter().value(), 1U) << "no number is given twice, under whatever id";
  EXPECT_NE(*alice.kept.state().user("bob"), nullptr) << "who is known stays known";
  server.put_list("alice", upload);
  EXPECT_EQ(alice.fetch_lists("alice").result, Learning::kChanged);
  const auto keys = due({StoredCounts{}, {}});
  ASSERT_TRUE(keys.has_value());
  EXPECT_GT(keys->key_ids.front(), 2 + 2 * kBatch) << "no key id is used twice";
  bob.sync();
  EXPECT_TRUE(bob.told(EventKind::kDeviceAdded));
  EXPECT_TRUE(bob.told(EventKind::kDeviceRemoved));
}

TEST_F(OwnKeysTest, WhatComesBackLeavesOutWhatIsGone) {
  alice.begin();
  ListUpload both;
  alice.write([&](E2eeTransaction& tx) -> Status {
    const DeviceKeys keys = DeviceKeys::draw(alice.random);
    const DeviceRecord other = make_device_record({"alice", DeviceId{12}, kSuitesSpoken, kThen, {}}, keys);
    CHATSDK_ASSIGN(both, alice.keys.next_list(tx.kept(), {&other, 1}, {}, kThen));
    return {};
  });
  server.put_list("alice", both);
  ASSERT_EQ(alice.fetch_lists("alice").result, Learning::kChanged);
  const DeviceId gone[] = {DeviceId{12}, DeviceId{99}};
  ListUpload upload;
  alice.write([&](E2eeTransaction& tx) -> Status {
    CHATSDK_ASSIGN(upload, alice.keys.begin_anew(tx.kept(), {"alice", DeviceId{11}}, "phone", gone, kThen));
    return {};
  });
  const auto list = parse_device_list(upload.list);
  ASSERT_TRUE(list.has_value());
  ASSERT_EQ(list->devices.size(), 1U);
  EXPECT_EQ(list->devices.front().device_id, DeviceId{11});
}

TEST_F(OwnKeysTest, WhoWasTakenOutHasToBeLinkedUnderAnyId) {
  alice.begin();
  ChatDevice tablet(server, "alice", 3, directory);
  tablet.join(alice);
  alice.fetch_lists("alice");
  const auto standing_as = [&tablet](DeviceId device_id) {
    return tablet.keys.standing({tablet.kept.state(), tablet.kept.e2ee().notes()}, {"alice", device_id}).value();
  };
  EXPECT_EQ(standing_as(DeviceId{33}), Standing::kAnotherDevice);
  alice.unlink(tablet);
  tablet.fetch_lists("alice");
  EXPECT_EQ(standing_as(tablet.self.device_id), Standing::kRemoved);
  EXPECT_EQ(standing_as(DeviceId{33}), Standing::kRemoved) << "it would list itself again";
}

// None of the lists that are kept names it any more.
TEST_F(OwnKeysTest, WhoWasTakenOutStaysOutWhenItsListsAreGone) {
  alice.begin();
  ChatDevice tablet(server, "alice", 3, directory);
  tablet.join(alice);
  alice.fetch_lists("alice");
  const auto standing_as = [&tablet](DeviceId device_id) {
    return tablet.keys.standing({tablet.kept.state(), tablet.kept.e2ee().notes()}, {"alice", device_id}).value();
  };
  tablet.fetch_lists("alice");
  ASSERT_EQ(standing_as(tablet.self.device_id), Standing::kListed);
  alice.unlink(tablet);
  for (std::size_t i = 0; i < limits::e2ee::kListVersionsMax; ++i) {
    ListUpload next;
    alice.write([&](E2eeTransaction& tx) -> Status {
      CHATSDK_ASSIGN(next, alice.keys.next_list(tx.kept(), {}, {}, kThen));
      return {};
    });
    server.put_list("alice", next);
    alice.fetch_lists("alice");
  }
  tablet.fetch_lists("alice");
  const KnownUser& known = *tablet.kept.state().user("alice").value();
  ASSERT_EQ(known.oldest().find(tablet.self.device_id), nullptr);
  ASSERT_TRUE(tablet.kept.reload().ok());
  EXPECT_EQ(standing_as(tablet.self.device_id), Standing::kRemoved);
  EXPECT_EQ(standing_as(DeviceId{33}), Standing::kRemoved);
  // Linked again it has no list behind it.
  Granted granted{alice.kept.state().self().value()->account_seed.clone(),
                  alice.kept.state().user("alice").value()->newest(), DeviceKeys::draw(tablet.random)};
  tablet.write([&](E2eeTransaction& tx) {
    return tablet.keys.adopt_account(tx.kept(), tablet.self, {}, std::move(granted), kThen);
  });
  EXPECT_EQ(standing_as(tablet.self.device_id), Standing::kUnlisted);
}

// A store of before says so by the lists that it keeps.
TEST_F(OwnKeysTest, AStoreOfBeforeKnowsWhetherItWasListed) {
  const auto migrated = [this] {
    sqlite::Database& db = alice.kept.db();
    EXPECT_TRUE(db.execute("ALTER TABLE e2ee_meta DROP COLUMN listed; UPDATE e2ee_meta SET version = 12").ok());
    EXPECT_TRUE(e2ee_schema::migrate(db).ok());
    EXPECT_TRUE(alice.kept.reload().ok());
    return alice.kept.e2ee().notes().was_listed().value();
  };
  EXPECT_FALSE(migrated()) << "no keys";
  ListUpload list;
  alice.write([&](E2eeTransaction& tx) -> Status {
    CHATSDK_ASSIGN(list, alice.keys.begin_account(tx.kept(), alice.self, {}, kThen));
    return {};
  });
  EXPECT_FALSE(migrated()) << "in no list yet";
  server.put_list("alice", list);
  alice.fetch_lists("alice");
  EXPECT_TRUE(alice.kept.e2ee().notes().was_listed().value());
  EXPECT_TRUE(migrated());
}

TEST_F(OwnKeysTest, WhoLoggedInTwiceIsJudgedByThePlaceThatItWasToTake) {
  alice.begin();
  ChatDevice tablet(server, "alice", 3, directory);
  tablet.join(alice);
  alice.fetch_lists("alice");
  // Its list never got to the server.
  tablet.write([&](E2eeTransaction& tx) -> Status {
    CHATSDK_ASSIGN([[maybe_unused]] const ListUpload upload,
                   tablet.keys.begin_anew(tx.kept(), {"alice", DeviceId{33}}, {}, {}, kThen));
    return {};
  });
  const auto standing_as = [&tablet](DeviceId device_id) {
    return tablet.keys.standing({tablet.kept.state(), tablet.kept.e2ee().notes()}, {"alice", device_id}).value();
  };
  EXPECT_EQ(standing_as(DeviceId{33}), Standing::kUnlisted);
  EXPECT_EQ(standing_as(DeviceId{34}), Standing::kAnotherDevice);
  alice.unlink(tablet);
  tablet.fetch_lists("alice");
  EXPECT_EQ(standing_as(DeviceId{33}), Standing::kRemoved);
  EXPECT_EQ(standing_as(DeviceId{34}), Standing::kRemoved);
}

TEST_F(OwnKeysTest, AGrantIsTakenBehindTheListThatItNames) {
  alice.begin();
  ChatDevice tablet(server, "alice", 3, directory);
  tablet.join(alice);
  alice.fetch_lists("alice");
  const std::vector<Bytes> earlier = server.users["alice"].lists;  // with the tablet
  alice.unlink(tablet);
  ChatDevice laptop(server, "alice", 5, directory);
  const auto adopted = [&] {
    Granted granted{alice.kept.state().self().value()->account_seed.clone(),
                    alice.kept.state().user("alice").value()->newest(), DeviceKeys::draw(laptop.random)};
    Status status;
    laptop.write([&](E2eeTransaction& tx) -> Status {
      status = laptop.keys.adopt_account(tx.kept(), laptop.self, {}, std::move(granted), kThen);
      return {};
    });
    return status.code();
  };
  EXPECT_EQ(adopted(), kBadMessage) << "no list at all";
  const std::vector<Bytes> newest = std::exchange(server.users["alice"].lists, earlier);
  laptop.fetch_lists("alice");
  EXPECT_EQ(adopted(), kBadMessage) << "the server holds the newest back";
  EXPECT_EQ(*laptop.kept.state().self(), nullptr);
  server.users["alice"].lists = newest;
  laptop.fetch_lists("alice");
  EXPECT_EQ(adopted(), Code::kOk);
}

TEST_F(OwnKeysTest, AnotherAccountKeyBeginsAnewWithThisDeviceAlone) {
  const auto replace = [this](bool again) {
    Result<ListUpload> made = error(Code::kInternal, "");
    alice.write([&](E2eeTransaction& tx) -> Status {
      made = alice.keys.replace_account(tx.kept(), alice.self, "phone", {again, 0}, kThen + 1);
      return {};
    });
    return made;
  };
  EXPECT_EQ(replace(false).code(), Code::kWrongState) << "no list that it could follow";
  // What another device of alice has begun.
  const Person other = person("alice", 8, 0x61, 1, {});
  server.users["alice"] = {{other.list.bytes}, {other.record.bytes}, 1};
  alice.fetch_lists("alice");
  const auto first = replace(false);
  ASSERT_TRUE(first.ok());
  const auto list = valid_device_list(first->list, "alice");
  ASSERT_TRUE(list.has_value());
  EXPECT_EQ(list->version, 2U);
  EXPECT_EQ(list->previous, other.list.hash);
  EXPECT_NE(list->account_key, other.list.account_key);
  ASSERT_EQ(list->devices.size(), 1U);
  EXPECT_EQ(list->devices[0].device_id, alice.self.device_id);
  EXPECT_EQ(standing(), Standing::kNoKeys) << "not before the server has taken it";
  const auto again = replace(true);
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(again->list, first->list);
  EXPECT_EQ(again->records, first->records);
  const auto another = replace(false);
  ASSERT_TRUE(another.ok());
  EXPECT_NE(valid_device_list(another->list, "alice")->account_key, list->account_key);
  server.users["alice"] = {{another->list}, another->records, 2};
  EXPECT_FALSE(take_replacement()) << "nobody has shown it";
  EXPECT_EQ(alice.fetch_lists("alice").result, Learning::kIdentityChanged);
  EXPECT_TRUE(take_replacement());
  EXPECT_FALSE(take_replacement()) << "once";
  EXPECT_EQ(standing(), Standing::kListed);
}

TEST_F(OwnKeysTest, AnotherAccountKeyTakesTheOldOnesPlaceWhenItIsShown) {
  ChatDevice bob(server, "bob", 2, directory);
  alice.begin();
  bob.begin();
  alice.queue("before");
  ASSERT_EQ(alice.flush(), 1);
  const std::uint32_t next_key_id = alice.kept.state().self().value()->next_key_id;
  Result<ListUpload> made = error(Code::kInternal, "");
  alice.write([&](E2eeTransaction& tx) -> Status {
    made = alice.keys.replace_account(tx.kept(), alice.self, {}, {}, kThen + 1);
    return {};
  });
  ASSERT_TRUE(made.ok());
  // Whatever becomes of it: what was there is in force, also after a restart.
  ASSERT_TRUE(alice.kept.reload().ok());
  EXPECT_FALSE(take_replacement());
  EXPECT_EQ(standing(), Standing::kListed);
  alice.queue("meanwhile");
  ASSERT_EQ(alice.flush(), 1);
  bob.sync();
  ASSERT_EQ(bob.history().back(), "meanwhile");

  server.users["alice"].lists = {made->list};
  server.users["alice"].records = made->records;
  server.users["alice"].in_roster = 1;
  ASSERT_EQ(alice.fetch_lists("alice").result, Learning::kIdentityChanged);
  EXPECT_EQ(standing(), Standing::kRemoved);
  EXPECT_TRUE(take_replacement());
  EXPECT_EQ(standing(), Standing::kListed);
  EXPECT_TRUE(alice.kept.state().prekeys()->empty());
  EXPECT_EQ(alice.kept.state().self().value()->next_key_id, next_key_id);
  ASSERT_TRUE(alice.kept.reload().ok());
  EXPECT_EQ(standing(), Standing::kListed);
}

TEST_F(OwnKeysTest, AnAccountThatWasBegunUnderAnotherLogInIsBegunAnew) {
  alice.begin();
  const auto replace = [this](DeviceId device) {
    ListUpload upload;
    alice.write([&](E2eeTransaction& tx) -> Status {
      CHATSDK_ASSIGN(upload, alice.keys.replace_account(tx.kept(), {"alice", device}, {}, {true, 0}, kThen));
      return {};
    });
    return *valid_device_list(upload.list, "alice");
  };
  const DeviceList first = replace(alice.self.device_id);
  EXPECT_EQ(replace(alice.self.device_id), first);
  const DeviceList other = replace(DeviceId{44});
  EXPECT_NE(other.account_key, first.account_key);
  ASSERT_EQ(other.devices.size(), 1U);
  EXPECT_EQ(other.devices[0].device_id, DeviceId{44});
}

TEST_F(OwnKeysTest, ANewEpochArchivesSessionsAndPutsNewKeysInPlaceOfTheOld) {
  ChatDevice bob(server, "bob", 2, directory);
  alice.begin();
  bob.begin();
  alice.queue("before");
  ASSERT_EQ(alice.flush(), 1);
  ASSERT_EQ(alice.active(bob), 1U);
  const auto highest = alice.kept.state().prekeys()->back().key_id;
  PrekeyUpload upload;
  alice.write([&](E2eeTransaction& tx) -> Status {
    SeededRandom random(3);
    CHATSDK_TRY(begin_chain(tx.state(), fixed_of<GroupId>(7), 1, kThen, random));
    CHATSDK_ASSIGN(upload, alice.keys.new_epoch(tx.kept(), kThen + 1));
    return {};
  });
  EXPECT_EQ(alice.active(bob), 0U);
  EXPECT_EQ(alice.sessions(bob).size(), 1U);
  EXPECT_FALSE(alice.kept.state().own_chain(fixed_of<GroupId>(7))->has_value());
  EXPECT_EQ(upload.drop_below, highest + 1);
  EXPECT_EQ(upload.one_time.size(), kBatch);
  EXPECT_FALSE(upload.signed_prekey.empty());
  for (const std::uint32_t key_id : upload.key_ids) EXPECT_GT(key_id, highest);
  server.put_keys(alice.self, server.stocks[alice.self].record, upload);
  taken(upload);
  EXPECT_TRUE(alice.upload_keys({})) << "the rest";
  EXPECT_EQ(server.stocks[alice.self].one_time_kem.size(), kBatch);
  bob.sync();
  bob.queue("after");
  ASSERT_EQ(bob.flush(), 1);
  alice.sync();
  EXPECT_EQ(alice.history().back(), "after");
}

// A server that announces an epoch at each connection.
TEST_F(OwnKeysTest, EpochsOneAfterTheOtherMakeNoKeysWithoutEnd) {
  alice.begin();
  const auto new_epoch = [this] {
    PrekeyUpload upload;
    alice.write([&](E2eeTransaction& tx) -> Status {
      CHATSDK_ASSIGN(upload, alice.keys.new_epoch(tx.kept(), alice.now_ms));
      return {};
    });
    alice.now_ms += 1'000;
    return upload;
  };
  const auto upload_all = [this](PrekeyUpload upload) {
    server.put_keys(alice.self, server.stocks[alice.self].record, upload);
    taken(upload);
    alice.upload_keys({});
  };
  PrekeyUpload newest;
  std::size_t kept = 0;
  for (int epoch = 2; epoch < 22; ++epoch) {
    newest = new_epoch();
    upload_all(newest);
    if (epoch == 2) kept = alice.kept.state().prekeys()->size();
  }
  EXPECT_EQ(kept, 2 * (2 + 2 * kBatch));
  EXPECT_EQ(alice.kept.state().prekeys()->size(), kept);
  // The pair is the server's again, and nothing that may have gone out.
  EXPECT_EQ(newest.key_ids.size(), 2U);
  EXPECT_EQ(newest.drop_below, alice.kept.state().self().value()->next_key_id);
  EXPECT_EQ(server.stocks[alice.self].signed_prekey, newest.signed_prekey);
  EXPECT_TRUE(server.stocks[alice.self].one_time.empty());
  EXPECT_FALSE(due({StoredCounts{}, {}}).has_value());
  alice.now_ms += ms(limits::e2ee::kRefillPause);
  const auto refill = all_due({StoredCounts{}, {}});
  ASSERT_TRUE(refill.has_value());
  EXPECT_EQ(refill->one_time.size(), kBatch);
  EXPECT_EQ(new_epoch().one_time.size(), kBatch) << "an hour later";
}

// The answers to the uploads never came, and one epoch follows the other.
TEST_F(OwnKeysTest, WhatWaitsThroughAnotherEpochIsNotDropped) {
  alice.begin();
  PrekeyUpload upload;
  const auto new_epoch = [&] {
    alice.write([&](E2eeTransaction& tx) -> Status {
      CHATSDK_ASSIGN(upload, alice.keys.new_epoch(tx.kept(), kThen + 1));
      return {};
    });
  };
  new_epoch();
  const PrekeyUpload first = upload;
  new_epoch();
  EXPECT_EQ(upload.key_ids, first.key_ids);
  EXPECT_EQ(upload.one_time, first.one_time);
  EXPECT_EQ(upload.drop_below, *std::min_element(first.key_ids.begin() + 2, first.key_ids.end()));
}

// The pair before is uploaded no more, and holds up no refill.
TEST_F(OwnKeysTest, AfterAnotherDigestRefillsGoOn) {
  alice.begin();
  alice.now_ms += ms(limits::e2ee::kSignedRotation);
  alice.upload_keys({});
  const auto& stock = server.stocks[alice.self];
  ASSERT_TRUE(all_due({{}, keys_digest(stock.record, {}, {})}).has_value());
  const auto refill = due({StoredCounts{}, {}});
  ASSERT_TRUE(refill.has_value());
  EXPECT_FALSE(refill->one_time.empty());
}

}  // namespace
}  // namespace chatsdk::e2ee
