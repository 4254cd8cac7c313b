// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>

#include "device_store_fixture.h"

namespace chatsdk {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// ---- Session -------------------------------------------------------------------------------------------------------

class StoreSession : public DeviceStoreTest {};

TEST_F(StoreSession, SurvivesReopening) {
  reopen();
  EXPECT_FALSE(must(store_->session()));
  EXPECT_EQ(must(store_->owner()), std::nullopt);
  must(store_->save_session(session()));

  reopen();

  const auto found = must(store_->session());
  ASSERT_TRUE(found);
  EXPECT_EQ(found->user_id, kAnn);
  EXPECT_EQ(found->device_id, kPhone);
  EXPECT_EQ(found->access_token, "access-token");
  EXPECT_EQ(found->access_expires, at(5'000));
  EXPECT_EQ(found->refresh_token, "refresh-token");
  EXPECT_EQ(found->refresh_request_id, Bytes(16, 'r'));
  EXPECT_EQ(must(store_->owner()), kAnn);
}

TEST_F(StoreSession, ClearingTokensKeepsOwnerAndHistory) {
  const auto chat = open_chat();
  must(store_->apply(ItemsOf(kChat, 1).message(kBob, 1, "kept")));

  must(store_->clear_tokens());
  reopen();

  EXPECT_FALSE(must(store_->session()));
  EXPECT_EQ(must(store_->owner()), kAnn);
  EXPECT_THAT(history(chat), ElementsAre("2:kept"));
}

TEST_F(StoreSession, BelongsToOneUser) {
  open_as_ann();
  auto other = session();
  other.user_id = kBob;
  EXPECT_EQ(store_->save_session(other).code(), Code::kWrongState);
  must(store_->clear_tokens());
  EXPECT_EQ(store_->save_session(other).code(), Code::kWrongState);
  other.user_id = "";
  EXPECT_EQ(store_->save_session(other).code(), Code::kInvalidArgument);
}

TEST_F(StoreSession, InstallationIdIsMadeOnceAndRenewedOnDemand) {
  reopen();
  const Bytes first = store_->installation_id();
  EXPECT_EQ(first.size(), limits::kInstallationIdBytes);
  reopen();
  EXPECT_EQ(store_->installation_id(), first);

  must(store_->renew_installation());
  const Bytes second = store_->installation_id();
  EXPECT_NE(second, first);
  reopen();
  EXPECT_EQ(store_->installation_id(), second);
}

// ---- Cursors -------------------------------------------------------------------------------------------------------

class Cursors : public DeviceStoreTest {};

TEST_F(Cursors, NameTheAccountFirstThenTheMostRecentlyActive) {
  open_as_ann();
  must(store_->apply(ItemsOf(ConversationId{901}, 0).roster({kAnn, "cid"}).message("cid", 1, "early")));
  must(store_->apply(
      ItemsOf(ConversationId{902}, 0).roster({kAnn, "dan"}).message("dan", 2, "x").message("dan", 3, "late")));

  const auto all = must(store_->cursors(10));

  ASSERT_THAT(all, SizeIs(3));
  EXPECT_EQ(all[0].stream_id, kAccount);
  EXPECT_EQ(all[0].kind, wire::STREAM_KIND_ACCOUNT);
  EXPECT_EQ(all[1].stream_id, ConversationId{902});
  EXPECT_EQ(all[1].kind, wire::STREAM_KIND_CONVERSATION);
  EXPECT_EQ(all[1].seq, 3u);
  EXPECT_EQ(all[1].conversation, must(reader_->direct_conversation("dan")));
  EXPECT_EQ(all[2].stream_id, ConversationId{901});
  EXPECT_THAT(must(store_->cursors(2)), SizeIs(2));
  EXPECT_FALSE(must(store_->cursor(StreamId{12345})));
}

// ---- Revision ------------------------------------------------------------------------------------------------------

class Revision : public DeviceStoreTest {};

TEST_F(Revision, RisesByOneWithEachVisibleCommit) {
  const auto chat = open_chat();
  const auto start = store_->revision();

  const auto queued = must(queue(chat, 1, "m"));
  EXPECT_EQ(store_->revision(), start + 1);
  EXPECT_EQ(queued.changes.revision, start + 1);
  must(store_->save_session(session()));
  EXPECT_EQ(queue(chat, 1, "other").code(), Code::kConflict);
  EXPECT_EQ(store_->revision(), start + 1);
  must(accept(1, 2));
  must(store_->apply(ItemsOf(kChat, 1).message(kAnn, 1, "m", kPhone)));
  EXPECT_EQ(store_->revision(), start + 3);
}

TEST_F(Revision, IsNeverGivenOutAgain) {
  const auto chat = open_chat();
  std::uint64_t last = store_->revision();
  for (int opening = 0; opening < 3; ++opening) {
    reopen();
    EXPECT_GE(store_->revision(), last);
    // More than are reserved at a time.
    for (int i = 0; i < 1'100; ++i) {
      const auto queued = must(queue(chat, static_cast<std::uint64_t>(opening * 1'100 + i), "m"));
      ASSERT_GT(queued.changes.revision, last);
      last = queued.changes.revision;
    }
  }
}

// ---- The app's reads -----------------------------------------------------------------------------------------------

class Reads : public DeviceStoreTest {
 protected:
  static std::vector<std::string> lines(const DeviceReader::MessagePage& page) {
    std::vector<std::string> shown;
    for (const MessageRow& row : page.rows) shown.push_back(show(row));
    return shown;
  }
};

TEST_F(Reads, PageHistoryBothWaysBySeq) {
  const auto chat = open_chat();
  ItemsOf items(kChat, 1);
  for (std::uint64_t id = 2; id <= 8; ++id) items.message(kBob, id, "m" + std::to_string(id));
  must(store_->apply(items));
  must(queue(chat, 50, "waits"));

  auto page = must(reader_->history_before(chat, Seq{0}, 3));
  EXPECT_THAT(lines(page), ElementsAre("7:m7", "8:m8", "-:waits"));
  EXPECT_TRUE(page.more);
  page = must(reader_->history_before(chat, Seq{7}, 4));
  EXPECT_THAT(lines(page), ElementsAre("3:m3", "4:m4", "5:m5", "6:m6"));
  EXPECT_TRUE(page.more);
  page = must(reader_->history_before(chat, Seq{3}, 4));
  EXPECT_THAT(lines(page), ElementsAre("2:m2"));
  EXPECT_FALSE(page.more);

  page = must(reader_->history_after(chat, Seq{5}, 2));
  EXPECT_THAT(lines(page), ElementsAre("6:m6", "7:m7"));
  EXPECT_TRUE(page.more);
  page = must(reader_->history_after(chat, Seq{7}, 2));
  EXPECT_THAT(lines(page), ElementsAre("8:m8", "-:waits"));
  EXPECT_FALSE(page.more);
  EXPECT_THAT(lines(must(reader_->history_after(chat, ~Seq{0}, 2))), ElementsAre("-:waits"));
}

TEST_F(Reads, PageFromAMessageWithoutSeq) {
  const auto chat = open_chat();
  std::vector<MessageKey> keys;
  for (std::uint64_t id = 1; id <= 5; ++id) keys.push_back(must(queue(chat, id, "q" + std::to_string(id))).message);

  EXPECT_THAT(lines(must(reader_->history_before(chat, keys[3], 2))), ElementsAre("-:q2", "-:q3"));
  const auto after = must(reader_->history_after(chat, keys[1], 2));
  EXPECT_THAT(lines(after), ElementsAre("-:q3", "-:q4"));
  EXPECT_TRUE(after.more);
  EXPECT_EQ(reader_->history_before(chat, MessageKey{999}, 2).code(), Code::kNotFound);
  const auto other = must(store_->ensure_direct("cid"));
  EXPECT_EQ(reader_->history_after(other, keys[0], 2).code(), Code::kNotFound);
}

TEST_F(Reads, PagesHaveLimits) {
  const auto chat = open_chat();
  EXPECT_EQ(reader_->history_before(chat, Seq{0}, 0).code(), Code::kInvalidArgument);
  EXPECT_TRUE(reader_->history_before(chat, Seq{0}, limits::kPageMax).ok());
  EXPECT_EQ(reader_->history_before(chat, Seq{0}, limits::kPageMax + 1).code(), Code::kInvalidArgument);
  EXPECT_EQ(reader_->history_after(chat, Seq{0}, limits::kPageMax + 1).code(), Code::kInvalidArgument);
  EXPECT_EQ(reader_->conversations({}, 0).code(), Code::kInvalidArgument);
  EXPECT_EQ(reader_->conversations({}, limits::kPageMax + 1).code(), Code::kInvalidArgument);
}

TEST_F(Reads, TellWhatIsNotThere) {
  open_as_ann();
  EXPECT_EQ(reader_->conversation(ConversationKey{9}).code(), Code::kNotFound);
  EXPECT_EQ(reader_->direct_conversation("zoe").code(), Code::kNotFound);
  EXPECT_EQ(reader_->conversation_by_id(ConversationId{9}).code(), Code::kNotFound);
  EXPECT_EQ(reader_->history_before(ConversationKey{9}, Seq{0}, 1).code(), Code::kNotFound);
  EXPECT_EQ(reader_->history_after(ConversationKey{9}, Seq{0}, 1).code(), Code::kNotFound);
  EXPECT_EQ(reader_->message(MessageKey{9}).code(), Code::kNotFound);
  EXPECT_EQ(reader_->message_by_client_id(client_id(9)).code(), Code::kNotFound);
  EXPECT_EQ(reader_->conversations(ConversationKey{9}, 5).code(), Code::kNotFound);
}

TEST_F(Reads, ListConversationsByLastActivityInPages) {
  open_as_ann();
  std::vector<ConversationKey> keys;
  for (int i = 0; i < 5; ++i) {
    clock_.advance(std::chrono::seconds(1));
    keys.push_back(must(store_->ensure_direct("user" + std::to_string(i))));
  }
  must(store_->enqueue(keys[1], client_id(1), text("newest"), at(2'000'000), at(3'000'000), false));

  auto page = must(reader_->conversations({}, 2));
  ASSERT_THAT(page.rows, SizeIs(2));
  EXPECT_EQ(page.rows[0].key, keys[1]);
  EXPECT_EQ(show(*page.rows[0].last_message), "-:newest");
  EXPECT_EQ(page.rows[1].key, keys[4]);
  EXPECT_FALSE(page.rows[1].last_message);
  EXPECT_TRUE(page.more);
  page = must(reader_->conversations(page.rows[1].key, 2));
  EXPECT_EQ(page.rows[0].key, keys[3]);
  EXPECT_EQ(page.rows[1].key, keys[2]);
  EXPECT_TRUE(page.more);
  page = must(reader_->conversations(page.rows[1].key, 2));
  ASSERT_THAT(page.rows, SizeIs(1));
  EXPECT_EQ(page.rows[0].key, keys[0]);
  EXPECT_FALSE(page.more);
}

TEST_F(Reads, ActivityIsThatOfTheLastMessageAlsoAfterADiscard) {
  const auto chat = open_chat();
  must(store_->apply(ItemsOf(kChat, 1).message(kBob, 1, "a")));
  must(queue(chat, 2, "later"));
  EXPECT_EQ(must(reader_->conversation(chat)).last_activity, at(2'000'000));

  must(store_->discard(client_id(2)));

  EXPECT_EQ(must(reader_->conversation(chat)).last_activity, at(1'002'000));
}

TEST_F(Reads, KeepTheirSnapshotBesideTheWriter) {
  const auto chat = open_chat();
  auto second = must(store_->open_reader());

  must(store_->apply(ItemsOf(kChat, 1).message(kBob, 1, "a")));

  EXPECT_EQ(must(second->conversation(chat)).unread_count, 1u);
  EXPECT_EQ(must(reader_->conversation(chat)).unread_count, 1u);
}

}  // namespace
}  // namespace chatsdk
