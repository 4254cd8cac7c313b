// SPDX-License-Identifier: Apache-2.0
//
// What encrypted conversations tell of real device lists: a peer learns each change from the rosters alone.
//
// Threads: one.
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "e2ee/directory.h"
#include "unit/server/key_people.h"

namespace chatsdk::server {
namespace {

using testing::KeyDevice;
using testing::KeyUser;
using testing::KeyWorld;
using testing::upload_of;

struct RosterWorld : KeyWorld {
  HttpResponse publish(KeyUser& user, const KeyDevice& uploader, const std::vector<e2ee::DeviceRecord>& add,
                       const std::vector<DeviceId>& remove = {}) {
    return post("/v1/keys/lists", uploader.token, upload_of({user.next(add, remove)}, add));
  }
  Result<WriteAnswer> write(WriteOp op) { return std::move(store->commit({&op, 1}).value().answers.at(0)); }
  // Ann's first message, for bob's one device.
  ConversationId begin(const KeyDevice& ann, const KeyDevice& bob) {
    EncryptedParts parts;
    parts.slices = {{bob.id, "slice"}};
    parts.own_list_version = parts.peer_list_version = 1;
    parts.counter = 1;
    AppendMessage op;
    op.sender = ann.user_id;
    op.sender_device = ann.id;
    op.target.peer = bob.user_id;
    op.send_number = 1;
    op.encrypted = std::make_shared<const EncryptedParts>(std::move(parts));
    return std::get<Appended>(write(op).value()).conversation_id;
  }
  // What bob learns of ann from the rosters behind `after`, in turn; the lists of one roster are learned at once.
  std::vector<e2ee::Learning> learned(StreamId conversation, Seq after, std::optional<e2ee::KnownUser>& known) {
    std::vector<e2ee::Learning> results;
    const auto page = reader->items("bob", {}, conversation, after, 100, 1 << 20);
    for (const auto& bytes : page->items) {
      wire::Item item;
      EXPECT_TRUE(item.ParseFromString(*bytes));
      std::vector<Bytes> lists;
      std::vector<Bytes> records;
      for (const wire::SignedList& list : item.roster().lists()) {
        const auto parsed = e2ee::parse_device_list(list.list());
        if (!parsed || parsed->user_id != "ann") continue;
        lists.push_back(list.list());
        records.insert(records.end(), list.records().begin(), list.records().end());
      }
      if (lists.empty()) continue;
      auto result = e2ee::learn(known ? &*known : nullptr, "ann", lists, records);
      results.push_back(result.result);
      if (result.user) known = *std::move(result.user);
    }
    return results;
  }
};

TEST(KeyRosters, APeerLearnsEachChangeFromTheRosters) {
  RosterWorld world;
  KeyUser& ann = world.add_reachable("ann");
  KeyUser& bob = world.add_reachable("bob");
  EXPECT_EQ(world.rosters_due, 0) << "nobody has a conversation";
  const ConversationId conversation = world.begin(ann.device(), bob.device());
  std::optional<e2ee::KnownUser> known;
  EXPECT_EQ(world.learned(conversation, 0, known), std::vector{e2ee::Learning::kFirstContact});

  KeyDevice& tablet = world.add_device(ann);
  EXPECT_EQ(world.publish(ann, tablet, {tablet.record}).status, 204);
  EXPECT_EQ(world.rosters_due, 1);
  EXPECT_EQ(world.publish(ann, ann.device(), {}, {tablet.id}).status, 204);
  EXPECT_EQ(world.rosters_due, 2);
  const auto extended = world.write(ExtendRosters{10, world.clock.wall_now()});
  ASSERT_EQ(std::get<RostersExtended>(extended.value()).appended, 1u);
  EXPECT_EQ(world.learned(conversation, 2, known), std::vector{e2ee::Learning::kChanged}) << "both in one roster";
  EXPECT_EQ(known->newest().version, 3u);

  // Another account key: its lists alone.
  ann.account_seed = e2ee::draw_secret<32>(world.random);
  wire::DeviceListUpload upload = upload_of({ann.next({})}, {ann.device().record});
  upload.set_replaces_account_key(true);
  EXPECT_EQ(world.post("/v1/keys/lists", ann.device().token, upload).status, 204);
  EXPECT_TRUE(world.write(ExtendRosters{10, world.clock.wall_now()}).ok());
  EXPECT_EQ(world.learned(conversation, 3, known), std::vector{e2ee::Learning::kIdentityChanged});
  EXPECT_EQ(world.rosters_due, 3);
}

}  // namespace
}  // namespace chatsdk::server
