// SPDX-License-Identifier: Apache-2.0
#include "e2ee/upkeep.h"

#include <gtest/gtest.h>

#include "base/limits.h"
#include "unit/e2ee/devices.h"
#include "unit/e2ee/sessions.h"

namespace chatsdk::e2ee {
namespace {

const GroupId kGroup = fixed_of<GroupId>(7);

class Upkeep : public ::testing::Test, protected Two {
 protected:
  DeviceList bobs_next(const DeviceList& before, std::vector<DeviceRecord> add, std::vector<DeviceId> remove) const {
    return next_device_list(before, bob.person.account_seed, add, remove, kThen).value();
  }
  Person anew_ = person("bob", 8, 0x71, 8, {});  // Bob with another account key
};

TEST_F(Upkeep, ArchivesSessionsWithADeviceThatLeft) {
  talk();
  const Person second = person("bob", 4, 0x31, 4, {});
  const DeviceList two = bobs_next(bob.person.list, {second.record}, {});
  const DeviceList three = bobs_next(two, {}, {DeviceId{2}});
  const Learned learned = alice.learn(bob, {two.bytes, three.bytes}, {second.record.bytes});
  EXPECT_EQ(learned.result, Learning::kChanged);
  EXPECT_EQ(learned.added, std::vector<DeviceId>{DeviceId{4}});
  EXPECT_EQ(learned.removed, std::vector<DeviceId>{DeviceId{2}});
  EXPECT_EQ(alice.count(bob, SessionStatus::kArchived), 1U);
  EXPECT_EQ(alice.count(bob, SessionStatus::kActive), 0U);
  // What was under way still opens.
  EXPECT_EQ(alice.receive(bob, bob.write(alice)), Code::kOk);
}

TEST_F(Upkeep, ArchivesSessionsWithAUserWhoseIdentityChangedAndDeletesChains) {
  talk();
  ASSERT_TRUE(begin_chain(bob.state, kGroup, 1, kThen, bob.random).ok());
  ASSERT_TRUE(
      receive_chain(alice.state, bob.peer(), kGroup, {}, distribute_chain(bob.state, kGroup, {}, nullptr).value())
          .ok());
  ASSERT_TRUE(mark_verified(alice.state, "bob", true).ok());
  const Learned learned = alice.learn(bob, {anew_.list.bytes}, {anew_.record.bytes});
  EXPECT_EQ(learned.result, Learning::kIdentityChanged);
  ASSERT_TRUE(learned.former.has_value());
  EXPECT_EQ(learned.former->newest(), bob.person.list);
  EXPECT_EQ(alice.count(bob, SessionStatus::kArchived), 1U);
  EXPECT_EQ(alice.count(bob, SessionStatus::kActive), 0U);
  EXPECT_TRUE(alice.state.received_chains(kGroup, bob.peer())->empty());
  EXPECT_FALSE(alice.state.user("bob").value()->verified);
}

TEST_F(Upkeep, ArchivesEverySessionWhenTheOwnIdentityChanged) {
  talk();
  ASSERT_TRUE(begin_chain(bob.state, kGroup, 1, kThen, bob.random).ok());
  ASSERT_EQ(bob.learn(bob, {anew_.list.bytes}, {anew_.record.bytes}).result, Learning::kIdentityChanged);
  EXPECT_EQ(bob.count(alice, SessionStatus::kArchived), 1U);
  EXPECT_EQ(bob.count(alice, SessionStatus::kActive), 0U);
  EXPECT_FALSE(bob.state.own_chain(kGroup).value().has_value());
}

TEST_F(Upkeep, ARefusedListChangesNothing) {
  talk();
  const std::size_t writes = alice.state.writes();
  Bytes forged = bobs_next(bob.person.list, {}, {}).bytes;
  forged.back() = static_cast<char>(forged.back() ^ 1);
  EXPECT_EQ(alice.learn(bob, {forged}, {}).result, Learning::kRefused);
  EXPECT_EQ(alice.learn(bob, {bob.person.list.bytes}, {}).result, Learning::kSame);
  EXPECT_EQ(alice.state.writes(), writes);
}

TEST_F(Upkeep, ForgetsAUserWhole) {
  talk();
  ASSERT_EQ(alice.learn(bob, {anew_.list.bytes}, {anew_.record.bytes}).result, Learning::kIdentityChanged);
  EXPECT_EQ(alice.learn(bob, {bob.person.list.bytes}, {bob.person.record.bytes}).result, Learning::kIgnored);
  ASSERT_TRUE(forget_user(alice.state, "bob").ok());
  EXPECT_EQ(alice.learn(bob, {bob.person.list.bytes}, {bob.person.record.bytes}).result, Learning::kFirstContact);
  EXPECT_EQ(forget_user(alice.state, "carol").code(), Code::kNotFound);
  EXPECT_EQ(mark_verified(alice.state, "carol", true).code(), Code::kNotFound);
}

TEST_F(Upkeep, NumbersPrekeysInOneRow) {
  const auto made = make_prekeys(bob.state, {true, 2, 1}, kThen, bob.random, own_kem()).value();
  ASSERT_EQ(made.size(), 5U);
  const PrekeyKind kinds[] = {PrekeyKind::kSigned, PrekeyKind::kLastResort, PrekeyKind::kOneTime, PrekeyKind::kOneTime,
                              PrekeyKind::kOneTimeKem};
  for (std::size_t i = 0; i < made.size(); ++i) {
    const auto prekey = parse_prekey(made[i]);
    ASSERT_TRUE(prekey.has_value());
    EXPECT_EQ(prekey->kind, kinds[i]);
    EXPECT_EQ(prekey->key_id, i + 1);
    EXPECT_TRUE(has_valid_signature(*prekey, {"bob", DeviceId{2}}, bob.person.record.signing_key));
  }
  EXPECT_EQ(bob.state.self().value()->next_key_id, 6U);
}

TEST_F(Upkeep, ANewPairSupersedesTheOneBefore) {
  ASSERT_TRUE(make_prekeys(bob.state, {true, 1, 0}, kThen, bob.random, own_kem()).ok());
  ASSERT_TRUE(make_prekeys(bob.state, {false, 1, 0}, kThen + 5, bob.random, own_kem()).ok());
  const auto before = bob.state.prekeys().value();
  for (const PrekeySummary& prekey : before) EXPECT_EQ(prekey.successor_ms, 0U);
  ASSERT_TRUE(make_prekeys(bob.state, {true, 0, 0}, kThen + 9, bob.random, own_kem()).ok());
  const auto after = bob.state.prekeys().value();
  for (const PrekeySummary& prekey : after) {
    EXPECT_EQ(prekey.successor_ms, prekey.key_id <= 2 ? kThen + 9 : 0U) << prekey.key_id;
  }
}

TEST_F(Upkeep, SaysWhichPrekeysAreDue) {
  const auto due = [this](StoredCounts stored, std::uint64_t now_ms) {
    return prekeys_due(bob.state, stored, {}, now_ms).value();
  };
  EXPECT_TRUE(due({100, 100}, kThen).signed_pair);  // there is none
  ASSERT_TRUE(make_prekeys(bob.state, {true, 0, 0}, kThen, bob.random, own_kem()).ok());
  EXPECT_FALSE(due({100, 100}, kThen + ms(limits::e2ee::kSignedRotation) - 1).signed_pair);
  EXPECT_TRUE(due({100, 100}, kThen + ms(limits::e2ee::kSignedRotation)).signed_pair);
  EXPECT_EQ(due({limits::e2ee::kOneTimeLow, 0}, kThen).one_time, 0U);
  EXPECT_EQ(due({limits::e2ee::kOneTimeLow - 1, 0}, kThen).one_time, limits::e2ee::kOneTimeBatch);
  EXPECT_EQ(due({0, limits::e2ee::kOneTimeLow - 1}, kThen).one_time_kem, limits::e2ee::kOneTimeBatch);
}

// A server that keeps to its rates has not handed them out by then, and a clock that was set back says nothing.
TEST_F(Upkeep, RefillsAKindOnceInAnHour) {
  const auto due = [this](std::uint64_t now_ms) { return prekeys_due(bob.state, {0, 0}, {}, now_ms).value(); };
  const std::uint64_t pause = ms(limits::e2ee::kRefillPause);
  ASSERT_TRUE(make_prekeys(bob.state, {false, 1, 0}, kThen, bob.random, own_kem()).ok());
  EXPECT_EQ(due(kThen).one_time, 0U);
  EXPECT_EQ(due(kThen + pause - 1).one_time, 0U);
  EXPECT_EQ(due(kThen + pause - 1).one_time_kem, limits::e2ee::kOneTimeBatch) << "none of them was made";
  EXPECT_EQ(due(kThen + pause).one_time, limits::e2ee::kOneTimeBatch);
  EXPECT_EQ(due(kThen - 1).one_time, limits::e2ee::kOneTimeBatch);
}

TEST_F(Upkeep, DropsOldPrekeysWithWhatWasSeenUnderThem) {
  ASSERT_EQ(alice.begin(bob, false), Code::kOk);
  ASSERT_EQ(bob.receive(alice, alice.write(bob)), Code::kOk);
  const std::uint32_t last_resort = 2;
  ASSERT_EQ(bob.state.seen(last_resort, {})->count, 1U);
  ASSERT_TRUE(make_prekeys(bob.state, {true, 0, 0}, kThen, bob.random, own_kem()).ok());
  ASSERT_TRUE(age_all(bob.state, kThen + ms(limits::e2ee::kSignedKept) - 1).ok());
  EXPECT_EQ(bob.state.seen(last_resort, {})->count, 1U);
  ASSERT_TRUE(age_all(bob.state, kThen + ms(limits::e2ee::kSignedKept)).ok());
  EXPECT_EQ(bob.state.seen(last_resort, {})->count, 0U);
  EXPECT_EQ(bob.state.prekeys()->size(), 2U);
}

TEST_F(Upkeep, DropsArchivedSessionsAfterTheirTime) {
  talk();
  ASSERT_TRUE(archive_sessions_with(alice.state, bob.peer(), kThen).ok());
  ASSERT_TRUE(age_all(alice.state, kThen + ms(limits::e2ee::kArchivedKept) - 1).ok());
  EXPECT_EQ(alice.sessions(bob).size(), 1U);
  ASSERT_TRUE(age_all(alice.state, kThen + ms(limits::e2ee::kArchivedKept)).ok());
  EXPECT_TRUE(alice.sessions(bob).empty());
}

TEST_F(Upkeep, StateIsThatOfTheSpecification) {
  GivenRandom random(repeated(0x31, 32) + repeated(0x32, 32) + repeated(0x33, 32) + repeated(0x34, 32) +
                     repeated(0x35, 32) + repeated(0x36, 32));
  ASSERT_TRUE(make_prekeys(bob.state, {true, 1, 1}, kThen, random, own_kem()).ok());
  EXPECT_EQ(to_hex(bob.state.hash().view()), "ca24cf323c3968f127cb264cfd9d65878aa06ca0d70ae3a0a25c2381445d86f7");
}

TEST_F(Upkeep, StateSurvivesItsRows) {
  talk();
  ASSERT_EQ(alice.begin(bob, false), Code::kOk);
  ASSERT_TRUE(begin_chain(alice.state, kGroup, 1, kThen, alice.random).ok());
  ASSERT_TRUE(
      receive_chain(bob.state, alice.peer(), kGroup, {}, distribute_chain(alice.state, kGroup, {}, nullptr).value())
          .ok());
  const Bytes left_out = alice.write(bob);
  ASSERT_EQ(bob.receive(alice, alice.write(bob)), Code::kOk);
  ASSERT_EQ(alice.learn(bob, {anew_.list.bytes}, {anew_.record.bytes}).result, Learning::kIdentityChanged);
  for (Device* device : {&alice, &bob}) {
    const SecretRows rows = device->state.rows();
    auto again = MemoryState::of_rows(rows.view());
    ASSERT_TRUE(again.has_value());
    EXPECT_EQ(again->hash(), device->state.hash());
    device->state = std::move(*again);
  }
  EXPECT_EQ(bob.receive(alice, left_out), Code::kOk);
}

}  // namespace
}  // namespace chatsdk::e2ee
