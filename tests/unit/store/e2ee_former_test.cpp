// SPDX-License-Identifier: Apache-2.0
//
// The lists of account keys that were replaced, as a store keeps them (docs/e2ee.md section 5.3): how many, and those
// of a store of before. What they are good for: TrustReplaced.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "unit/store/e2ee_chat.h"

namespace chatsdk::e2ee {
namespace {

constexpr std::size_t kVersions = 5;  // of Carol's list, under each of her keys

class FormerLists : public ChatOfTwo {
 protected:
  static KnownUser carol(unsigned char key, const DeviceRecord& record) {
    KnownUser user;
    user.user_id = "carol";
    user.account_key = signing_key_of(secret_of<32>(key));
    user.records.emplace(record.hash, record);
    user.lists.push_back(*first_device_list("carol", secret_of<32>(key), {&record, 1}, kThen));
    while (user.lists.size() < kVersions) {
      user.lists.push_back(*next_device_list(user.lists.back(), secret_of<32>(key), {}, {}, kThen));
    }
    return user;
  }
  static DeviceRecord record_of_carol(unsigned char seed) { return person("carol", 30, seed, 7, {}).record; }
  std::size_t count(const std::string& what) {
    auto rows = bob.kept.db().prepare("SELECT count(*) FROM " + what);
    EXPECT_TRUE(rows->step().value());
    return static_cast<std::size_t>(rows->integer(0));
  }
  bool is_kept(const DeviceList& list) {
    SqlNotes& notes = bob.kept.e2ee().notes();
    const auto device = notes.former_device("carol", list.hash, DeviceId{30}, 0).value();
    EXPECT_EQ(device.has_value(), notes.is_former_list("carol", list.hash, 0).value());
    return device.has_value();
  }
};

// One who changes the account key without end fills nobody's store: of former lists the newest stay, and a record is
// there once, however many lists name it.
TEST_F(FormerLists, TheNewestAreKeptAndEachRecordOnce) {
  constexpr std::size_t kListsMost = limits::e2ee::kFormerListsMax;
  std::vector<KnownUser> users;
  for (unsigned char key = 1; users.size() * kVersions <= kListsMost + kVersions; ++key) {
    users.push_back(carol(key, record_of_carol(static_cast<unsigned char>(0x80 + key / 4))));
    bob.write([&](E2eeTransaction& tx) { return tx.notes().keep_former(users.back(), kThen); });
    EXPECT_EQ(count("e2ee_former_list"), std::min(users.size() * kVersions, kListsMost));
    EXPECT_EQ(count("e2ee_former_device"), count("e2ee_former_list"));
    EXPECT_LE(count("e2ee_former_record"), key / 4 + 1U);
  }
  std::size_t kept = 0;
  for (const KnownUser& user : users) {
    for (const DeviceList& list : user.lists) {
      const bool is = is_kept(list);
      EXPECT_TRUE(is || kept == 0) << "the newest are kept";
      kept += is ? 1 : 0;
    }
  }
  EXPECT_EQ(kept, kListsMost);
  const auto newest =
      bob.kept.e2ee().notes().former_device("carol", users.back().newest().hash, DeviceId{30}, 0).value();
  ASSERT_TRUE(newest.has_value());
  EXPECT_EQ(newest->account_key, users.back().account_key);
  EXPECT_EQ(newest->record, users.back().records.begin()->second);
  // What comes once more counts from then on.
  bob.write([&](E2eeTransaction& tx) { return tx.notes().keep_former(users.back(), kThen + 5); });
  EXPECT_EQ(count("e2ee_former_list WHERE since = " + std::to_string(kThen + 5)), kVersions);
  EXPECT_EQ(count("e2ee_former_list"), kListsMost);
  EXPECT_EQ(count("e2ee_former_record r WHERE NOT EXISTS (SELECT 1 FROM e2ee_former_device d WHERE d.record = r.id)"),
            0U);
}

// A store of before had a whole record for each device of each list.
TEST_F(FormerLists, ComeFromAStoreOfBefore) {
  const KnownUser before = carol(1, record_of_carol(0x80));
  const KnownUser after = carol(2, record_of_carol(0x81));
  bob.write([&](E2eeTransaction& tx) { return tx.notes().keep_former(before, kThen); });
  constexpr char kBack[] = R"sql(
    CREATE TABLE e2ee_former(user TEXT NOT NULL, list_hash BLOB NOT NULL, device INTEGER NOT NULL, account_key BLOB NOT
      NULL, record BLOB NOT NULL, since INTEGER NOT NULL, PRIMARY KEY (user, list_hash, device)) WITHOUT ROWID;
    INSERT INTO e2ee_former SELECT l.user, l.list_hash, d.device, l.account_key, r.record, l.since FROM
      e2ee_former_list l JOIN e2ee_former_device d ON d.list = l.id JOIN e2ee_former_record r ON r.id = d.record;
    DROP TABLE e2ee_former_device;
    DROP TABLE e2ee_former_record;
    DROP TABLE e2ee_former_list;
    ALTER TABLE e2ee_meta DROP COLUMN granted; ALTER TABLE e2ee_meta DROP COLUMN listed;
    UPDATE e2ee_meta SET version = 11;
  )sql";
  ASSERT_TRUE(bob.kept.db().execute(kBack).ok());
  ASSERT_EQ(count("e2ee_former"), kVersions);
  ASSERT_TRUE(bob.kept.reload().ok());
  for (const DeviceList& list : before.lists) EXPECT_TRUE(is_kept(list));
  EXPECT_EQ(count("e2ee_former_record"), 1U);
  bob.write([&](E2eeTransaction& tx) { return tx.notes().keep_former(after, kThen + 1); });
  const auto kept = bob.kept.e2ee().notes().former_device("carol", before.lists[2].hash, DeviceId{30}, 0).value();
  EXPECT_EQ(kept->record, before.records.begin()->second);
  EXPECT_EQ(kept->account_key, before.account_key);
  bob.write([&](E2eeTransaction& tx) { return tx.notes().forget_device(); });
  EXPECT_EQ(count("e2ee_former_list") + count("e2ee_former_device") + count("e2ee_former_record"), 0U);
}

}  // namespace
}  // namespace chatsdk::e2ee
