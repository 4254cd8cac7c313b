// SPDX-License-Identifier: Apache-2.0
//
// A server that lies about who is who (docs/e2ee.md sections 5.3, 7, 10, 11.2 and 13): whatever lists it shows, nothing
// is encrypted for whom the user did not mean, and nobody speaks as somebody else.
#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "e2ee/direct.h"
#include "unit/store/e2ee_chat.h"

namespace chatsdk::e2ee {
namespace {

using Outcome = ItemResult::Outcome;

class Trust : public ChatOfTwo {
 protected:
  // An item with one slice, out of the state of a device that does as it likes.
  void speak(ChatDevice& from, ChatDevice& to, SliceKind kind, BodyType type, const Bytes& body) {
    const ClientMessageId id = ClientMessageId::make(from_unix_ms(9), from.random);
    from.write([&](E2eeTransaction& tx) -> Status {
      const auto bundle = server.bundle(to.self);
      CHATSDK_TRY(from.direct.take_bundle(tx.kept(), to.self, &*bundle, kThen));
      Envelope envelope;
      envelope.body_type = type;
      envelope.client_message_id = id;
      envelope.binding = DirectBinding::of("alice", "bob");
      envelope.body = body;
      CHATSDK_ASSIGN(Bytes slice, encrypt_for(tx.state(), to.self, serialize(envelope), from.random));
      ChatServer::StreamItem item;
      item.sent = {from.self, kind, id, {}};
      item.slices[to.self] = std::move(slice);
      server.add(std::move(item));
      return {};
    });
  }
  void say_to(ChatDevice& from, ChatDevice& to, const std::string& text) {
    speak(from, to, SliceKind::kMessage, BodyType::kContent, encode_text_content(text));
  }
};

// ---- Who is in the conversation ------------------------------------------------------------------------------------

// The server lets a third user, whose lists verify, into the conversation of the two.
TEST_F(Trust, AThirdUserInARosterGetsNothing) {
  talk();
  ChatDevice mallory(server, "mallory", 66, directory);
  mallory.begin();
  server.put_roster({"mallory"});
  alice.sync();
  EXPECT_EQ(alice.kept.e2ee().state().user("mallory").value(), nullptr) << "nobody asked for what mallory's list is";
  const Roster roster = *alice.kept.e2ee().notes().roster(kChatId).value();
  EXPECT_EQ(roster.members.size(), 2U);
  EXPECT_EQ(alice.make_plan().devices, std::vector<Peer>{bob.self});
  // A refusal may name her too.
  alice.write([&](E2eeTransaction& tx) {
    return alice.direct.roster_refused(tx.kept(), alice.target(), ++server.revision,
                                       std::vector{server.lists_of("mallory"), server.lists_of("bob")}, kThen,
                                       alice.events);
  });
  EXPECT_EQ(alice.make_plan().devices, std::vector<Peer>{bob.self});
  // And what an earlier version of the library has kept of her counts for nothing.
  alice.fetch_lists("mallory");
  alice.write([&](E2eeTransaction& tx) -> Status {
    CHATSDK_ASSIGN(const KnownUser* known, tx.state().user("mallory"));
    Roster three = roster;
    three.revision = server.revision + 1;
    three.members.push_back({"mallory", known->newest().version, known->newest().hash});
    return tx.notes().put_roster(kChatId, three);
  });
  const Plan plan = alice.make_plan();
  EXPECT_EQ(plan.outcome, Plan::Outcome::kReady);
  EXPECT_EQ(plan.devices, std::vector<Peer>{bob.self});
}

// Whose list a roster lacks is written to at the newest that is known: nobody is left out silently.
TEST_F(Trust, ARosterThatLacksTheOtherUserLeavesNobodyOut) {
  talk();
  alice.write([&](E2eeTransaction& tx) -> Status {
    CHATSDK_ASSIGN(auto roster, tx.notes().roster(kChatId));
    std::erase_if(roster->members, [](const RosterMember& member) { return member.user_id == "bob"; });
    return tx.notes().put_roster(kChatId, *roster);
  });
  EXPECT_EQ(alice.make_plan().devices, std::vector<Peer>{bob.self});
}

}  // namespace
}  // namespace chatsdk::e2ee
