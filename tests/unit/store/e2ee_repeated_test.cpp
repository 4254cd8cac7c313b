// SPDX-License-Identifier: Apache-2.0
//
// A server that gives a message out at several places (docs/e2ee.md section 10): it refuses what it gives out all the
// same, so that its author encrypts it anew. Whatever it does, each device shows the message once.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "e2ee/direct.h"
#include "protocol/content.h"
#include "unit/store/e2ee_chat.h"

namespace chatsdk::e2ee {
namespace {

using ::testing::ElementsAre;
using Outcome = ItemResult::Outcome;
using Texts = std::vector<std::string>;

class GivenOutTwice : public ChatOfTwo {
 protected:
  // The item stands in the stream; its author is told that the lists have changed. Returns its place.
  Seq give_out_refused(ChatDevice& author, const ClientMessageId& id) {
    if (!author.kept.e2ee().notes().out(id)->has_value()) {
      EXPECT_TRUE(author.encrypt(id));
    }
    const Seq seq = server.send({author.self, SliceKind::kMessage, id, **author.kept.e2ee().notes().out(id)}).seq;
    EXPECT_NE(seq, 0U);
    author.write([&](E2eeTransaction& tx) -> Status {
      CHATSDK_TRY(tx.notes().drop_out(id));
      const std::vector<UserLists> lists{server.lists_of("alice"), server.lists_of("bob")};
      return author.direct.roster_refused(tx.kept(), author.target(), server.revision, lists, author.now_ms,
                                          author.events);
    });
    return seq;
  }
  // Without the item of its own that it has not been shown yet.
  Seq take_at_last(ChatDevice& author) {
    EXPECT_EQ(author.flush(), 1);
    return server.stream.size();
  }
  void spoil(Seq seq, ChatDevice& reader) { server.stream[seq - 1].slices[reader.self].back() ^= 1; }
};

TEST_F(GivenOutTwice, StandsAtTheFirstPlaceOnEachDevice) {
  talk();
  ChatDevice laptop(server, "alice", 3, directory);
  laptop.join(alice);
  alice.sync();
  bob.sync();
  const ClientMessageId id = alice.queue("once");
  const Seq first = give_out_refused(alice, id);
  give_out_refused(alice, id);
  bob.queue("between");
  bob.now_ms += 1;
  ASSERT_EQ(bob.flush(), 1);
  ASSERT_GT(take_at_last(alice), first + 2);
  for (ChatDevice* device : {&alice, &bob, &laptop}) device->sync();
  EXPECT_EQ(bob.results.back(), Outcome::kRepeated);
  EXPECT_EQ(laptop.results.back(), Outcome::kRepeated);
  EXPECT_THAT(bob.history(), ElementsAre("hello", "hi", "once", "between"));
  EXPECT_EQ(alice.history(), bob.history()) << "though it was taken behind";
  EXPECT_THAT(laptop.history(), ElementsAre("once", "between"));
  EXPECT_EQ(bob.unread(), 2U);
  ASSERT_TRUE(bob.kept.reload().ok());
  EXPECT_THAT(bob.history(), ElementsAre("hello", "hi", "once", "between"));
  say(alice, bob, "and on");
  say(bob, alice, "as ever");
}

// What did not open at the first place is shown there when it does at the second.
TEST_F(GivenOutTwice, FillsThePlaceholderOfTheFirstPlace) {
  talk();
  const ClientMessageId id = alice.queue("once");
  spoil(give_out_refused(alice, id), bob);
  bob.sync();
  EXPECT_THAT(bob.history(), ElementsAre("hello", "hi", "?"));
  bob.queue("between");
  ASSERT_EQ(bob.flush(), 2) << "with a request";
  take_at_last(alice);
  bob.sync();
  EXPECT_EQ(bob.results.back(), Outcome::kRepaired);
  EXPECT_THAT(bob.history(), ElementsAre("hello", "hi", "once", "between"));
  EXPECT_EQ(bob.delivered_from(), 0U);
  // The repair that was asked for brings nothing more.
  alice.sync();
  ASSERT_EQ(alice.flush(), 1);
  bob.sync();
  EXPECT_THAT(bob.history(), ElementsAre("hello", "hi", "once", "between"));
  EXPECT_EQ(alice.history(), bob.history());
}

// One that names another device was never the author's: nothing is written under that device's name.
TEST_F(GivenOutTwice, IsNotWrittenUnderAnotherDevicesName) {
  talk();
  const ClientMessageId id = alice.queue("once");
  const Seq first = give_out_refused(alice, id);
  server.stream[first - 1].sent.from.device_id = DeviceId{4711};
  take_at_last(alice);
  bob.sync();
  EXPECT_EQ(bob.results.back(), Outcome::kContent);
  EXPECT_THAT(bob.history(), ElementsAre("hello", "hi", "?", "once"));
  EXPECT_EQ(bob.last_row().sender_device, alice.self.device_id);
}

TEST_F(GivenOutTwice, IsRepairedAtOnePlaceWhereNeitherOpens) {
  talk();
  const ClientMessageId id = alice.queue("once");
  spoil(give_out_refused(alice, id), bob);
  take_at_last(alice);
  spoil(server.stream.size(), bob);
  bob.sync();
  for (int round = 0; round < 3; ++round) {
    bob.flush();
    alice.sync();
    alice.flush();
    bob.sync();
  }
  EXPECT_THAT(bob.history(), ElementsAre("hello", "hi", "once", "?"));
}

// What its author has deleted since does not come back under another place.
TEST_F(GivenOutTwice, StaysDeleted) {
  talk();
  const ClientMessageId id = alice.queue("taken back");
  const Seq first = give_out_refused(alice, id);
  const ChatServer::StreamItem given = server.stream[first - 1];
  alice.sync();
  content::Annotation deletion;
  deletion.kind = content::Delete{{{}, id}};
  alice.waiting.clear();
  alice.queue_content(content::write(deletion));
  ASSERT_EQ(alice.flush(), 1);
  bob.sync();
  const Texts deleted = bob.history();
  ASSERT_EQ(deleted.size(), 3U);
  EXPECT_NE(deleted.back(), "taken back");
  server.add(given);
  bob.sync();
  EXPECT_EQ(bob.results.back(), Outcome::kRepeated);
  EXPECT_EQ(bob.history(), deleted);
}

}  // namespace
}  // namespace chatsdk::e2ee
