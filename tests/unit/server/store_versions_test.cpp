// SPDX-License-Identifier: Apache-2.0
//
// A store of each earlier version is brought up to date, and holds what it held.
//
// Threads: one.
#include "server-reference/store/schema.h"
#include "tests/unit/server/sqlite_harness.h"

namespace chatsdk::server {
namespace {

class StoreVersions : public StoreContract {
 protected:
  SqliteHarness& sqlite() { return static_cast<SqliteHarness&>(*harness_); }
};

// Takes away what the versions behind it have added.
const std::string kBackToVersion9 =
    "DROP TABLE group_info; DROP TABLE invitation; DROP TABLE join_request; DROP TABLE operation; "
    "ALTER TABLE account DROP COLUMN groups; ALTER TABLE member DROP COLUMN removed; PRAGMA user_version = 9;";
const std::string kBackToVersion8 = kBackToVersion9 + "DROP TABLE former_device; PRAGMA user_version = 8;";
const std::string kBackToVersion7 =
    kBackToVersion8 +
    "ALTER TABLE member DROP COLUMN joined_marks; ALTER TABLE member DROP COLUMN left_marks; PRAGMA user_version = 7;";
const std::string kBackToVersion6 = kBackToVersion7 + "DROP TABLE edit_of; PRAGMA user_version = 6;";
const std::string kBackToVersion5 =
    kBackToVersion6 +
    "ALTER TABLE stream DROP COLUMN earlier_head; ALTER TABLE cursor ADD COLUMN earlier INTEGER NOT NULL DEFAULT 0; "
    "PRAGMA user_version = 5;";
const std::string kBackToVersion4 =
    kBackToVersion5 + "ALTER TABLE cursor DROP COLUMN missing_from; PRAGMA user_version = 4;";
const std::string kBackToVersion3 = kBackToVersion4 + "DROP TABLE link_message; PRAGMA user_version = 3;";
const std::string kBackToVersion2 =
    kBackToVersion3 +
    "ALTER TABLE stream DROP COLUMN roster_revision; ALTER TABLE device DROP COLUMN encryption_counter; "
    "ALTER TABLE cursor DROP COLUMN earlier; DROP TABLE roster; DROP TABLE roster_due; DROP TABLE slice; "
    "DROP TABLE staged; PRAGMA user_version = 2;";

TEST_F(StoreVersions, AStoreOfVersionNineIsBroughtUpToDate) {
  register_user("ann");
  register_user("bob");
  sqlite().execute(kBackToVersion9);
  harness_->reopen();
  GroupOperation op;
  op.user_id = "ann";
  op.operation_id = Bytes(16, 'o');
  op.group_id = Bytes(16, 'g');
  op.members_max = 2;
  op.now = now();
  op.change = CreateGroup{{"bob"}};
  EXPECT_FALSE(write<OperationDone>(op).refused);
  EXPECT_EQ(reader().group("bob", op.group_id)->members, 2u);
  sqlite().close();
  EXPECT_EQ(sqlite().count("PRAGMA user_version"), kStoreSchemaVersion);
}

TEST_F(StoreVersions, AStoreOfVersionSevenIsBroughtUpToDate) {
  register_user("ann");
  register_user("bob");
  const DeviceId ann = log_in("ann").session.device_id;
  const auto first = write<Appended>(message("ann", ann, to_peer("bob"), 1));
  write<MarksAdvanced>(AdvanceMarks{"bob", first.conversation_id, 0, 2, 0, now()});
  sqlite().execute(kBackToVersion7);
  harness_->reopen();
  EXPECT_EQ(reader().marks_after("ann", first.conversation_id, 0, 10)->size(), 1u);
  EXPECT_EQ(write<Appended>(message("ann", ann, to_conversation(first.conversation_id), 2)).seq, 3u);
  sqlite().close();
  EXPECT_EQ(sqlite().count("PRAGMA user_version"), kStoreSchemaVersion);
}

TEST_F(StoreVersions, AStoreOfVersionSixIsBroughtUpToDate) {
  register_user("ann");
  register_user("bob");
  const DeviceId ann = log_in("ann").session.device_id;
  const auto first = write<Appended>(message("ann", ann, to_peer("bob"), 1));
  sqlite().execute(kBackToVersion6);
  harness_->reopen();
  AppendMessage deletion = message("ann", ann, to_conversation(first.conversation_id), 2);
  deletion.deletes = message("ann", ann, to_peer("bob"), 1).client_message_id;
  write<Appended>(deletion);
  EXPECT_EQ(read("bob", first.conversation_id)[1].content(), content::erased());
  sqlite().close();
  EXPECT_EQ(sqlite().count("PRAGMA user_version"), kStoreSchemaVersion);
}

TEST_F(StoreVersions, AStoreOfVersionFiveIsBroughtUpToDate) {
  register_user("ann");
  register_user("bob");
  const DeviceId ann = log_in("ann").session.device_id;
  const auto first = write<Appended>(message("ann", ann, to_peer("bob"), 1));
  write<Done>(AdvanceCursor{ann, first.conversation_id, 1});
  sqlite().execute(kBackToVersion5 + "UPDATE cursor SET earlier = 2");
  harness_->reopen();
  EXPECT_EQ(read("bob", first.conversation_id).size(), 2u);
  const std::string head = "SELECT earlier_head FROM stream WHERE stream_id = ";
  EXPECT_EQ(sqlite().count(head + std::to_string(first.conversation_id.value)), 2) << "what some device of it had";
  sqlite().close();
  EXPECT_EQ(sqlite().count("PRAGMA user_version"), kStoreSchemaVersion);
}

TEST_F(StoreVersions, AStoreOfVersionFourIsBroughtUpToDate) {
  register_user("ann");
  register_user("bob");
  const DeviceId ann = log_in("ann").session.device_id;
  const auto first = write<Appended>(message("ann", ann, to_peer("bob"), 1));
  write<Done>(AdvanceCursor{ann, first.conversation_id, 1});
  sqlite().execute(kBackToVersion4);
  harness_->reopen();
  write<Done>(AdvanceCursor{ann, first.conversation_id, 2, 1});
  EXPECT_EQ(sqlite().count("SELECT missing_from FROM cursor"), 1);
  sqlite().close();
  EXPECT_EQ(sqlite().count("PRAGMA user_version"), kStoreSchemaVersion);
}

TEST_F(StoreVersions, AStoreOfVersionThreeIsBroughtUpToDate) {
  register_user("ann");
  register_user("bob");
  const Session ann = log_in("ann").session;
  write<Appended>(message("ann", ann.device_id, to_peer("bob"), 1));
  const std::uint64_t epoch = store().epoch();
  sqlite().execute(kBackToVersion3);
  harness_->reopen();
  EXPECT_EQ(store().epoch(), epoch);
  EXPECT_EQ(write<Appended>(message("ann", ann.device_id, to_peer("bob"), 2)).seq, 3u);
  const Bytes link_id(16, 'l');
  EXPECT_FALSE(reader().link_message("ann", link_id, LinkStep::kOffer, now())->has_value());
  EXPECT_EQ(code(PutLinkMessage{"ann", ann.device_id, ann.session_id, link_id, LinkStep::kReveal, "reveal", now()}),
            Code::kConflict);
  sqlite().close();
  EXPECT_EQ(sqlite().count("PRAGMA user_version"), kStoreSchemaVersion);
}

TEST_F(StoreVersions, AStoreOfVersionTwoIsBroughtUpToDate) {
  register_user("ann");
  register_user("bob");
  const DeviceId ann = log_in("ann").session.device_id;
  const auto first = write<Appended>(message("ann", ann, to_peer("bob"), 1, "hello"));
  const std::uint64_t epoch = store().epoch();
  sqlite().execute(kBackToVersion2);
  harness_->reopen();
  EXPECT_EQ(store().epoch(), epoch);
  EXPECT_EQ(text_of(read("bob", first.conversation_id).at(1)), "hello");
  EXPECT_EQ(*reader().encryption_counter(ann), 0u);
  EXPECT_EQ(write<Appended>(message("ann", ann, to_peer("bob"), 2)).seq, 3u) << "the conversation stays plain";
  sqlite().close();
  EXPECT_EQ(sqlite().count("PRAGMA user_version"), kStoreSchemaVersion);
}

TEST_F(StoreVersions, AStoreOfVersionOneIsBroughtUpToDate) {
  for (const char* user : {"user0", "user1", "user2"}) register_user(user);
  const std::uint64_t epoch = store().epoch();
  sqlite().execute(kBackToVersion2 +
                   "DROP TABLE account_key; DROP TABLE device_list; DROP TABLE list_entry; DROP TABLE device_record; "
                   "DROP TABLE device_keys; DROP TABLE one_time_prekey; PRAGMA user_version = 1");
  harness_->reopen();
  EXPECT_EQ(store().epoch(), epoch);
  EXPECT_TRUE(reader().account("user2")->has_value());
  EXPECT_EQ(reader().newest_list("user2")->version, 0u);
  register_user("user3");
  sqlite().close();
  EXPECT_EQ(sqlite().count("PRAGMA user_version"), kStoreSchemaVersion);
}

}  // namespace
}  // namespace chatsdk::server
