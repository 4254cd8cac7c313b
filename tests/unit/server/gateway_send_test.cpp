// SPDX-License-Identifier: Apache-2.0
//
// What a Send and a Void are answered, and what is logged of their refusal.
#include <gtest/gtest.h>

#include <functional>

#include "unit/server/gateway_pair.h"

namespace chatsdk::server {
namespace {

using namespace std::chrono_literals;

ClientMessageId some_id() { return *ClientMessageId::from_bytes(std::string(16, 'i')); }

template <typename Kind>
Bytes annotation(Kind kind) {
  content::Annotation made;
  made.kind = std::move(kind);
  return content::write(made);
}

struct BadSend {
  std::string name;
  std::function<void(wire::Send&, World&)> spoil;
  Code refused;
};

TEST(GatewaySend, EveryBadValueIsRefusedAndTheConnectionStays) {
  const std::vector<BadSend> table = {
      {"no client_message_id", [](wire::Send& send, World&) { send.clear_client_message_id(); },
       Code::kInvalidArgument},
      {"15 bytes of client_message_id",
       [](wire::Send& send, World&) { send.set_client_message_id(std::string(15, 'x')); }, Code::kInvalidArgument},
      {"17 bytes of client_message_id",
       [](wire::Send& send, World&) { send.set_client_message_id(std::string(17, 'x')); }, Code::kInvalidArgument},
      {"no target", [](wire::Send& send, World&) { send.clear_target(); }, Code::kInvalidArgument},
      {"conversation 0", [](wire::Send& send, World&) { send.set_conversation_id(0); }, Code::kInvalidArgument},
      {"someone else's conversation", [](wire::Send& send, World&) { send.set_conversation_id(4'242); },
       Code::kNotFound},
      {"unknown peer", [](wire::Send& send, World&) { send.set_peer_user_id("eve"); }, Code::kNotFound},
      {"empty peer", [](wire::Send& send, World&) { send.set_peer_user_id(""); }, Code::kInvalidArgument},
      {"long peer",
       [](wire::Send& send, World&) { send.set_peer_user_id(std::string(limits::kUserIdBytesMax + 1, 'x')); },
       Code::kInvalidArgument},
      {"oneself", [](wire::Send& send, World&) { send.set_peer_user_id("ada"); }, Code::kInvalidArgument},
      {"SQL for a peer", [](wire::Send& send, World&) { send.set_peer_user_id("bob'; DROP TABLE item;--"); },
       Code::kNotFound},
      {"send_number 0", [](wire::Send& send, World&) { send.set_send_number(0); }, Code::kInvalidArgument},
      {"send_number 2 first", [](wire::Send& send, World&) { send.set_send_number(2); }, Code::kOutOfOrder},
      {"no content", [](wire::Send& send, World&) { send.clear_content(); }, Code::kMalformed},
      {"content of two kinds", [](wire::Send& send, World&) { send.set_content(send.content() + content::erased()); },
       Code::kMalformed},
      {"content that only a server leaves", [](wire::Send& send, World&) { send.set_content(content::erased()); },
       Code::kInvalidArgument},
      {"an annotation that only a server leaves",
       [](wire::Send& send, World&) { send.set_content(content::erased_annotation()); }, Code::kInvalidArgument},
      {"a deletion of another's message",
       [](wire::Send& send, World&) {
         send.set_content(annotation(content::Delete{{"bob", some_id()}}));
       },
       Code::kForbidden},
      {"an edit of another's message",
       [](wire::Send& send, World&) {
         content::Edit edit{{"bob", some_id()}, {}};
         edit.post.kind = content::Text{"forged"};
         send.set_content(annotation(std::move(edit)));
       },
       Code::kInvalidArgument},
      {"content that is not protobuf", [](wire::Send& send, World&) { send.set_content("\xFF\xFF"); },
       Code::kMalformed},
      {"empty text", [](wire::Send& send, World&) { send.set_content(encode_text_content("")); },
       Code::kInvalidArgument},
      {"text that is not UTF-8", [](wire::Send& send, World&) { send.set_content(encode_text_content("\xC0\x80")); },
       Code::kInvalidUtf8},
      {"text over the limit",
       [](wire::Send& send, World& world) {
         send.set_content(encode_text_content(std::string(world.options.text_bytes_max + 1, 'x')));
       },
       Code::kTooLarge},
      {"content over the limit",
       [](wire::Send& send, World& world) {
         send.set_content(std::string(limits::content_bytes_max(world.options.text_bytes_max) + 1, 'x'));
       },
       Code::kTooLarge},
  };
  for (const BadSend& bad : table) {
    SCOPED_TRACE(bad.name);
    Pair world;
    TestClient& a = world.connect(world.ada);
    wire::ClientFrame frame = world.text_to("bob", "canary-text", 1);
    bad.spoil(*frame.mutable_send(), world);

    a.say(frame);
    world.run();

    const auto refusals = world.log.with(" refused send ");
    ASSERT_EQ(refusals.size(), 1u);
    EXPECT_TRUE(refusals[0].starts_with(
        "gateway: connection " + std::to_string(a.id()) + " user \"ada\" device " + std::to_string(world.ada.id.value) +
        " session " + std::to_string(world.ada.session.value) + " refused send " +
        to_hex(frame.send().client_message_id().substr(0, 16)) + ": " + std::string(code_name(bad.refused)) + ": "))
        << refusals[0];
    expect_no_line_holds(world, {"canary-text", "eve", "DROP TABLE", "\xC0\x80", "\xFF\xFF"});
    ASSERT_EQ(results(a).size(), 1u);
    ASSERT_TRUE(results(a)[0].has_refused());
    EXPECT_EQ(static_cast<Code>(results(a)[0].refused().code()), bad.refused);
    EXPECT_EQ(results(a)[0].client_message_id(), frame.send().client_message_id());
    EXPECT_FALSE(a.closed);
    a.say(world.text_to("bob", "good", 1));
    world.run();
    EXPECT_TRUE(results(a).back().has_accepted());
  }
}

TEST(GatewaySend, ARefusedUserCannotWriteTheLineThatNamesThem) {
  Pair world;
  const std::string name = "eve device 1\xE2\x80\xA8 \"gateway\xE2\x80\xAE";
  world.add_user(name);
  const auto device = world.add_device(name);
  TestClient& eve = world.connect(device);
  wire::ClientFrame frame = world.text_to("bob", "hello", 1);
  frame.mutable_send()->set_content(std::string(limits::content_bytes_max(world.options.text_bytes_max) + 1, 'x'));

  eve.say(frame);
  world.run();

  const auto refusals = world.log.with(" refused send ");
  ASSERT_EQ(refusals.size(), 1u);
  EXPECT_TRUE(refusals[0].starts_with("gateway: connection " + std::to_string(eve.id()) +
                                      R"( user "eve device 1\u{2028} \"gateway\u{202e}" device )" +
                                      std::to_string(device.id.value) + " session "))
      << refusals[0];
}

TEST(GatewaySend, TextOfExactlyTheLimitIsAccepted) {
  Pair world;
  TestClient& a = world.connect(world.ada);

  a.say(world.text_to("bob", std::string(world.options.text_bytes_max, 'x'), 1));
  world.run();

  EXPECT_TRUE(results(a)[0].has_accepted());
}

TEST(GatewaySend, AnswersFollowTheCommit) {
  Pair world;
  TestClient& a = world.connect(world.ada);
  TestClient& b = world.connect(world.bob);
  world.hold_commits = true;
  const std::size_t before = b.frames.size();
  a.say(world.text_to("bob", "text", 1));
  world.run();
  EXPECT_TRUE(results(a).empty());
  EXPECT_EQ(b.frames.size(), before);

  world.release_commits();

  EXPECT_EQ(results(a).size(), 1u);
  EXPECT_GT(b.frames.size(), before);
}

TEST(GatewaySend, OpsAreSubmittedInTheOrderOfTheFrames) {
  Pair world;
  TestClient& a = world.connect(world.ada);

  for (std::uint64_t n = 1; n <= 50; ++n) a.say(world.text_to("bob", std::to_string(n), n));
  world.run();

  const auto ops = world.submitted_ops<AppendMessage>();
  ASSERT_EQ(ops.size(), 50u);
  for (std::size_t i = 0; i < ops.size(); ++i) EXPECT_EQ(ops[i].send_number, i + 1);
  for (const auto& result : results(a)) EXPECT_TRUE(result.has_accepted());
}

TEST(GatewaySend, ARepeatGetsTheFirstAnswer) {
  Pair world;
  TestClient& a = world.connect(world.ada);
  const wire::ClientFrame frame = world.text_to("bob", "once", 1);

  a.say(frame);
  a.say(frame);
  world.run();

  ASSERT_EQ(results(a).size(), 2u);
  EXPECT_EQ(results(a)[0].SerializeAsString(), results(a)[1].SerializeAsString());
}

TEST(GatewaySend, ARepeatGetsTheFirstAnswerUnderALowerLimit) {
  Pair world;
  TestClient& a = world.connect(world.ada);
  const wire::ClientFrame accepted = world.text_to("bob", std::string(1'000, 'x'), 1);
  a.say(accepted);
  world.run();
  ASSERT_EQ(results(a).size(), 1u);
  const wire::SendResult first = results(a)[0];
  ASSERT_TRUE(first.has_accepted());
  world.advance(1min);
  GatewayOptions lower = world.options;
  lower.text_bytes_max = 100;
  world.restart_gateways(lower);

  TestClient& again = world.connect(world.ada, &a);
  again.say(accepted);
  wire::ClientFrame changed = accepted;
  changed.mutable_send()->set_content(encode_text_content(std::string(1'001, 'x')));
  again.say(changed);
  again.say(world.text_to("bob", std::string(1'000, 'x'), 2));
  again.say(world.text_to("bob", "short", 2));
  world.run();

  ASSERT_EQ(results(again).size(), 4u);
  EXPECT_EQ(results(again)[0].SerializeAsString(), first.SerializeAsString());
  EXPECT_EQ(static_cast<Code>(results(again)[1].refused().code()), Code::kConflict);
  EXPECT_EQ(static_cast<Code>(results(again)[2].refused().code()), Code::kTooLarge);
  EXPECT_TRUE(results(again)[3].has_accepted());
}

TEST(GatewaySend, AVoidedMessageIsVoidedUnderALowerLimitToo) {
  Pair world;
  TestClient& a = world.connect(world.ada);
  const wire::ClientFrame sent = world.text_to("bob", std::string(1'000, 'x'), 1);
  wire::ClientFrame voided;
  voided.mutable_void_()->set_peer_user_id("bob");
  voided.mutable_void_()->set_client_message_id(sent.send().client_message_id());
  voided.mutable_void_()->set_send_number(1);
  a.say(voided);
  world.run();
  GatewayOptions lower = world.options;
  lower.text_bytes_max = 100;
  world.restart_gateways(lower);

  TestClient& again = world.connect(world.ada, &a);
  again.say(sent);
  world.run();

  ASSERT_EQ(results(again).size(), 1u);
  EXPECT_EQ(static_cast<Code>(results(again)[0].refused().code()), Code::kVoided);
}

TEST(GatewaySend, AFloodOfRefusalsIsCountedInTheLog) {
  Pair world;
  TestClient& a = world.connect(world.ada);
  wire::ClientFrame bad = world.text_to("bob", "canary-text", 1);
  bad.mutable_send()->set_send_number(0);

  for (int i = 0; i < 150; ++i) a.say(bad);
  world.advance(Gateway::kTickPeriod);
  a.say(bad);

  EXPECT_EQ(results(a).size(), 151u);
  EXPECT_EQ(world.log.with(" refused send ").size(), 21u);
  EXPECT_EQ(world.log
                .with("gateway: refused 130 more: connection " + std::to_string(a.id()) + " device " +
                      std::to_string(world.ada.id.value))
                .size(),
            1u);
}

// The end of the session and its commit are faster than the word of it.
TEST(GatewaySend, WhatWaitsToBeCommittedWhenItsDeviceIsRemovedIsNotAccepted) {
  for (const bool remove_device : {true, false}) {
    SCOPED_TRACE(remove_device);
    Pair world;
    TestClient& a = world.connect(world.ada);
    TestClient& b = world.connect(world.bob);
    world.hold_commits = true;
    a.say(world.text_to("bob", "too late", 1));
    wire::ClientFrame taken_back;
    taken_back.mutable_void_()->set_peer_user_id("bob");
    taken_back.mutable_void_()->set_client_message_id(std::string(16, 'v'));
    taken_back.mutable_void_()->set_send_number(1);
    a.say(taken_back);
    ASSERT_TRUE(world.commit_now(EndSessions{"ada", world.ada.id, remove_device, world.clock.wall_now()}).ok());

    world.release_commits();

    EXPECT_EQ(a.failure(), Code::kUnauthenticated);
    EXPECT_EQ(a.closed, CloseCode::kUnauthenticated);
    EXPECT_TRUE(results(a).empty()) << "the device keeps what it has not heard of";
    EXPECT_TRUE(a.of(wire::ServerFrame::kVoidResult).empty());
    for (const auto& [stream, items] : b.items) {
      for (const wire::Item& item : items) EXPECT_NE(item.kind(), wire::ITEM_KIND_MESSAGE);
    }
  }
}

TEST(GatewaySend, UnansweredSendsAreBounded) {
  Pair world;
  TestClient& a = world.connect(world.ada);
  world.hold_commits = true;

  for (std::uint64_t n = 1; n <= limits::kSendsInFlightMax + 1; ++n) a.say(world.text_to("bob", "x", n));
  world.run();

  ASSERT_EQ(results(a).size(), 1u);
  EXPECT_EQ(static_cast<Code>(results(a)[0].refused().code()), Code::kRateLimited);
  EXPECT_GT(results(a)[0].refused().retry_after_ms(), 0u);
  EXPECT_EQ(world.submitted_ops<AppendMessage>().size(), limits::kSendsInFlightMax);
  EXPECT_FALSE(a.closed);
}

TEST(GatewaySend, AStoreThatFailsHasNotRefusedForGood) {
  for (const Code code : {Code::kStorage, Code::kReadOnly, Code::kNoMemory, Code::kBusy, Code::kUnavailable}) {
    Pair world;
    TestClient& a = world.connect(world.ada);
    world.refuse_with = code;

    a.say(world.text_to("bob", "x", 1));
    world.run();

    ASSERT_EQ(results(a).size(), 1u);
    EXPECT_EQ(static_cast<Code>(results(a)[0].refused().code()), Code::kUnavailable);
  }
}

TEST(GatewaySend, AFullDiskHasItsOwnCodeAndATimeToWait) {
  Pair world;
  TestClient& a = world.connect(world.ada);
  world.refuse_with = Code::kStorageFull;

  const wire::ClientFrame sent = world.text_to("bob", "x", 1);
  a.say(sent);
  world.run();

  ASSERT_EQ(results(a).size(), 1u);
  const Error refused = from_wire(results(a)[0].refused());
  EXPECT_EQ(refused.code, Code::kStorageFull);
  EXPECT_TRUE(code_is_retryable(refused.code));
  EXPECT_GT(refused.retry_after.count(), 0);
  EXPECT_EQ(refused.detail, "the server's storage is full");

  world.refuse_with.reset();
  a.say(sent);
  world.run();
  EXPECT_TRUE(results(a).back().has_accepted());
}

TEST(GatewaySend, TheSenderIsTheTokensUser) {
  Pair world;
  TestClient& a = world.connect(world.ada);
  TestClient& b = world.connect(world.bob);

  a.say(world.text_to("bob", "x", 1));
  world.run();

  const StreamId conversation{results(a)[0].accepted().conversation_id()};
  EXPECT_EQ(b.items[conversation].back().sender_user_id(), "ada");
  EXPECT_EQ(b.items[conversation].back().sender_device_id(), world.ada.id.value);
}

// A field that this version does not know, as a forger would add one: number and text.
Bytes unknown_field(int number, const std::string& text) {
  const auto key = static_cast<unsigned>(number) << 3U | 2U;
  Bytes out;
  if (key >= 0x80) out += static_cast<char>(key | 0x80U);
  out += static_cast<char>(key >= 0x80 ? key >> 7U : key);
  return out + static_cast<char>(text.size()) + text;
}

struct ForgedSender {
  std::string name;
  std::function<Bytes(wire::ClientFrame)> forge;
};

TEST(GatewaySend, ASenderThatAFrameNamesIsIgnored) {
  const std::vector<ForgedSender> table = {
      {"beside the send", [](const wire::ClientFrame& frame) { return encode(frame) + unknown_field(17, "bob"); }},
      {"in the send",
       [](wire::ClientFrame frame) {
         EXPECT_TRUE(frame.mutable_send()->MergeFromString(unknown_field(17, "bob")));
         return encode(frame);
       }},
      {"in the send, under the number that an item's sender has",
       [](wire::ClientFrame frame) {
         EXPECT_TRUE(frame.mutable_send()->MergeFromString(unknown_field(wire::Item::kSenderUserIdFieldNumber, "bob")));
         return encode(frame);
       }},
      {"in the content",
       [](wire::ClientFrame frame) {
         frame.mutable_send()->set_content(frame.send().content() + unknown_field(40, "bob"));
         return encode(frame);
       }},
  };
  for (const ForgedSender& forged : table) {
    SCOPED_TRACE(forged.name);
    Pair world;
    world.add_user("eve");
    const World::Device eve = world.add_device("eve");
    TestClient& a = world.connect(world.ada);
    TestClient& b = world.connect(world.bob);
    TestClient& e = world.connect(eve);
    const wire::ClientFrame honest = world.text_to("eve", "who am I?", 1);
    const Bytes bytes = forged.forge(honest);
    ASSERT_NE(bytes.find("bob"), bytes.npos);

    a.say_bytes(bytes);
    world.run();

    ASSERT_EQ(results(a).size(), 1u);
    ASSERT_TRUE(results(a)[0].has_accepted()) << results(a)[0].ShortDebugString();
    const StreamId conversation{results(a)[0].accepted().conversation_id()};
    ASSERT_EQ(e.texts(conversation), std::vector<std::string>{"who am I?"});
    EXPECT_EQ(e.items[conversation].back().sender_user_id(), "ada");
    EXPECT_EQ(e.items[conversation].back().sender_device_id(), world.ada.id.value);
    EXPECT_EQ(b.items.count(conversation), 0u);
    EXPECT_FALSE(a.closed);
  }
}

TEST(GatewayVoid, AnswersVoidedOrTheAcceptanceThatCameFirst) {
  Pair world;
  TestClient& a = world.connect(world.ada);
  const wire::ClientFrame sent = world.text_to("bob", "x", 1);
  const auto voiding = [](const wire::Send& send) {
    wire::ClientFrame frame;
    frame.mutable_void_()->set_peer_user_id(send.peer_user_id());
    frame.mutable_void_()->set_client_message_id(send.client_message_id());
    frame.mutable_void_()->set_send_number(send.send_number());
    return frame;
  };
  a.say(sent);
  a.say(voiding(sent.send()));
  const wire::ClientFrame never = world.text_to("bob", "y", 2);
  a.say(voiding(never.send()));
  a.say(never);
  world.run();

  const auto answers = a.of(wire::ServerFrame::kVoidResult);
  ASSERT_EQ(answers.size(), 2u);
  EXPECT_EQ(answers[0].void_result().accepted().message_id(), results(a)[0].accepted().message_id());
  EXPECT_TRUE(answers[1].void_result().voided());
  EXPECT_EQ(static_cast<Code>(results(a)[1].refused().code()), Code::kVoided);
}

TEST(GatewayVoid, ABadQuestionIsRefused) {
  Pair world;
  TestClient& a = world.connect(world.ada);
  wire::ClientFrame frame;
  frame.mutable_void_()->set_client_message_id("short");

  a.say(frame);
  world.run();

  ASSERT_EQ(a.of(wire::ServerFrame::kVoidResult).size(), 1u);
  EXPECT_TRUE(a.of(wire::ServerFrame::kVoidResult)[0].void_result().has_refused());
  EXPECT_FALSE(a.closed);
  const auto lines =
      world.log.with(" refused void " + to_hex("short") + ": " + std::string(code_name(Code::kInvalidArgument)) + ": ");
  EXPECT_EQ(lines.size(), 1u);
}

// What nobody knows today, a later version of both clients may.
TEST(GatewaySend, TakesContentOfEveryKindAsItCame) {
  content::Edit edit{{"", some_id()}, {}};
  edit.post.kind = content::Text{"edited"};
  content::Post sticker;
  sticker.kind = content::Sticker{"cats", "7", ""};
  const std::vector<Bytes> contents = {annotation(edit),
                                       annotation(content::Delete{{"", some_id()}}),
                                       annotation(content::Delete{{"ada", some_id()}}),
                                       annotation(content::Reaction{{"bob", some_id()}, {"+1"}}),
                                       annotation(content::Pin{{"bob", some_id()}, true}),
                                       annotation(content::Timer{60}),
                                       content::write(sticker),
                                       Bytes("\x3A\x00", 2),
                                       Bytes("\xAA\x01\x00", 3)};
  for (const Bytes& content : contents) {
    SCOPED_TRACE(to_hex(content));
    Pair world;
    TestClient& a = world.connect(world.ada);
    TestClient& b = world.connect(world.bob);
    wire::ClientFrame frame = world.text_to("bob", "x", 1);
    frame.mutable_send()->set_content(content);

    a.say(frame);
    world.run();

    ASSERT_EQ(results(a).size(), 1u);
    ASSERT_TRUE(results(a)[0].has_accepted()) << results(a)[0].ShortDebugString();
    EXPECT_EQ(b.items[StreamId{results(a)[0].accepted().conversation_id()}].back().content(), content);
  }
}

}  // namespace
}  // namespace chatsdk::server
