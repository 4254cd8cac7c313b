// SPDX-License-Identifier: Apache-2.0
//
// What the gateway holds for clients that send more than is being stored, and what it says to one that names what is
// not its own.
#include <gtest/gtest.h>

#include <functional>
#include <numeric>

#include "unit/server/gateway_pair.h"

namespace chatsdk::server {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kBytesMax = limits::kSendsInFlightBytesMax;

GatewayOptions largest_texts() {
  GatewayOptions options;
  options.text_bytes_max = limits::kTextBytesMax;
  return options;
}

struct Flow : World {
  Flow() : World(largest_texts()) {
    add_user("ada");
    add_user("bob");
    ada = add_device("ada");
    bob = add_device("bob");
  }
  // A send whose content has exactly this size.
  wire::ClientFrame send_of(std::size_t content_bytes) {
    std::string text(content_bytes, 'x');
    while (encode_text_content(text).size() > content_bytes) text.pop_back();
    CHATSDK_ASSERT(encode_text_content(text).size() == content_bytes);
    return text_to("bob", text, ++number);
  }
  std::size_t held_content() const {
    return std::accumulate(held.begin(), held.end(), std::size_t{0}, [](std::size_t sum, const Held& one) {
      const auto* message = std::get_if<AppendMessage>(&one.op);
      return sum + (message == nullptr ? 0 : message->content.size());
    });
  }
  Device ada, bob;
  std::uint64_t number = 0;
};

// ---- Back-pressure -------------------------------------------------------------------------------------------------

TEST(GatewayFlow, AConnectionIsNotReadWhileTooManyBytesAreUnanswered) {
  for (const std::size_t sum : {kBytesMax - 1, kBytesMax, kBytesMax + 1}) {
    Flow world;
    TestClient& a = world.connect(world.ada);
    world.hold_commits = true;

    for (const std::size_t bytes : {kBytesMax / 4, kBytesMax / 4, kBytesMax / 4, sum - 3 * (kBytesMax / 4)}) {
      EXPECT_FALSE(a.paused);
      a.say(world.send_of(bytes));
    }
    world.run();

    EXPECT_EQ(a.paused, sum >= kBytesMax) << sum;
    EXPECT_TRUE(results(a).empty()) << "nothing is refused";
    EXPECT_EQ(world.held_content(), sum);
    world.release_commits();
    EXPECT_FALSE(a.paused);
    ASSERT_EQ(results(a).size(), 4u);
    for (const wire::SendResult& result : results(a)) EXPECT_TRUE(result.has_accepted());
  }
}

TEST(GatewayFlow, WhatWasReceivedBeforeThePauseHasAsMuchRoomAgain) {
  Flow world;
  TestClient& a = world.connect(world.ada);
  world.hold_commits = true;

  for (std::size_t i = 0; i < 4; ++i) a.say(world.send_of(kBytesMax / 2));
  a.say(world.send_of(10));
  world.run();

  EXPECT_EQ(world.held_content(), 2 * kBytesMax);
  ASSERT_EQ(results(a).size(), 1u);
  EXPECT_EQ(static_cast<Code>(results(a)[0].refused().code()), Code::kRateLimited);
  EXPECT_GT(results(a)[0].refused().retry_after_ms(), 0u);
  EXPECT_FALSE(a.closed);
}

TEST(GatewayFlow, SmallSendsAreNeverPaused) {
  Flow world;
  TestClient& a = world.connect(world.ada);
  world.hold_commits = true;

  for (std::size_t i = 0; i < limits::kSendsInFlightMax; ++i) a.say(world.send_of(256));
  world.run();

  EXPECT_FALSE(a.paused);
}

// Its heartbeats and acknowledgements are not read either.
TEST(GatewayFlow, AClientThatIsNotReadIsNotTakenForGone) {
  Flow world;
  world.append(world.bob, "ada", 1, 300);  // more than a window
  TestClient& a = world.connect(world.ada, nullptr, 0, false);
  world.hold_commits = true;
  a.say(world.send_of(kBytesMax / 2));
  a.say(world.send_of(kBytesMax / 2));
  ASSERT_TRUE(a.paused);

  world.advance(5min);

  EXPECT_FALSE(a.closed);
  world.release_commits();
  EXPECT_FALSE(a.paused);
  world.advance_alive(a, limits::kStalledTimeout - 5s);
  EXPECT_FALSE(a.closed) << "its time begins when it is heard again";
  world.advance_alive(a, 10s);
  EXPECT_EQ(a.failure(), Code::kTimedOut) << "of a full window that makes no progress";
}

// Sixteen clients with the largest texts once took the server's memory to 1.3 GB.
TEST(GatewayFlow, TheBytesHeldForManyClientsAreBounded) {
  Flow world;
  std::vector<TestClient*> clients;
  for (std::size_t i = 0; i < 16; ++i) {
    clients.push_back(&world.connect(world.add_device("ada", "device " + std::to_string(i))));
  }
  world.hold_commits = true;
  const std::size_t each = limits::content_bytes_max(limits::kTextBytesMax) - 1'024;

  for (TestClient* client : clients) {
    world.number = 0;
    for (std::size_t sent = 0; sent < limits::kSendsInFlightMax && !client->paused; ++sent) {
      client->say(world.send_of(each));
    }
    EXPECT_TRUE(client->paused);
  }

  EXPECT_LE(world.held_content(), clients.size() * (kBytesMax + each));
  world.release_commits();
  EXPECT_EQ(world.committer.held_bytes(), 0u);
  for (TestClient* client : clients) EXPECT_FALSE(client->paused);
}

// ---- Someone else's conversation -----------------------------------------------------------------------------------

using Say = std::function<wire::ClientFrame(StreamId)>;

// What the client is told from a frame on, without the number that it had named itself.
std::string told(const TestClient& client, std::size_t from, StreamId named) {
  std::string text;
  const auto add = [&](const wire::Error& refused) {
    text += refused.name() + " " + std::to_string(refused.code()) + " " + refused.detail() + "; ";
  };
  for (std::size_t i = from; i < client.frames.size(); ++i) {
    const wire::ServerFrame& frame = client.frames[i];
    text += "frame " + std::to_string(frame.body_case()) + ": ";
    if (frame.has_failure()) add(frame.failure().error());
    if (frame.has_send_result()) add(frame.send_result().refused());
    if (frame.has_void_result()) add(frame.void_result().refused());
  }
  const std::string number = std::to_string(named.value);
  for (std::size_t at = text.find(number); at != text.npos; at = text.find(number)) {
    text.replace(at, number.size(), "#");
  }
  return text + (client.closed ? "closed " + std::to_string(static_cast<int>(*client.closed)) : "open");
}

TEST(GatewayForeign, AConversationOfOthersIsAnsweredAsOneThatDoesNotExist) {
  const ClientMessageId id = *ClientMessageId::from_bytes(std::string(limits::kClientMessageIdBytes, 'i'));
  const std::vector<std::pair<std::string, Say>> cases = {
      {"send",
       [&](StreamId stream) {
         wire::ClientFrame frame;
         frame.mutable_send()->set_conversation_id(stream.value);
         frame.mutable_send()->set_client_message_id(std::string(id.view()));
         frame.mutable_send()->set_send_number(1);
         frame.mutable_send()->set_content(encode_text_content("let me in"));
         return frame;
       }},
      {"void",
       [&](StreamId stream) {
         wire::ClientFrame frame;
         frame.mutable_void_()->set_conversation_id(stream.value);
         frame.mutable_void_()->set_client_message_id(std::string(id.view()));
         frame.mutable_void_()->set_send_number(1);
         return frame;
       }},
      {"ack",
       [](StreamId stream) {
         wire::ClientFrame frame;
         frame.mutable_ack()->add_streams()->set_stream_id(stream.value);
         frame.mutable_ack()->mutable_streams(0)->set_seq(1);
         return frame;
       }},
      {"read",
       [](StreamId stream) {
         wire::ClientFrame frame;
         frame.mutable_read()->set_conversation_id(stream.value);
         frame.mutable_read()->set_up_to(1);
         return frame;
       }},
      {"pull",
       [](StreamId stream) {
         wire::ClientFrame frame;
         frame.mutable_pull()->set_stream_id(stream.value);
         return frame;
       }},
  };
  for (const auto& [name, say] : cases) {
    Flow world;
    const StreamId conversation = world.append(world.ada, "bob", 1, 3);
    TestClient& b = world.connect(world.bob);
    world.add_user("eve");
    std::vector<std::string> answers;
    for (const StreamId stream : {conversation, StreamId{conversation.value + 1}}) {
      TestClient& e = world.connect(world.add_device("eve", "device " + std::to_string(answers.size())));
      world.advance(1s);
      const std::size_t from = e.frames.size();

      e.say(say(stream));
      world.run();
      world.advance(limits::kMarkFlush);

      answers.push_back(told(e, from, stream));
      EXPECT_FALSE(e.items.contains(stream)) << name;
      if (!e.closed) e.hang_up();
    }
    EXPECT_EQ(answers[0], answers[1]) << name;
    EXPECT_NE(answers[0].find(" -"), std::string::npos)
        << "it is told why, with a code: " << name << ": " << answers[0];
    EXPECT_EQ(b.texts(conversation).size(), 3u) << name;
    EXPECT_EQ(b.failure(), Code::kOk) << name;
  }
}

}  // namespace
}  // namespace chatsdk::server
