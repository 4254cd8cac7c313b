// SPDX-License-Identifier: Apache-2.0
//
// Encrypted sends over a connection: what is agreed on, what a frame may hold, what each device is sent, and a device
// that went back.
//
// Threads: one.
#include <gtest/gtest.h>

#include <functional>

#include "unit/server/gateway_pair.h"
#include "unit/server/key_rows.h"

namespace chatsdk::server {
namespace {

using namespace std::chrono_literals;

// Ada's phone and tablet and bob's phone are listed, and everybody has prekeys of them; ada's laptop is in no list.
struct SealedWorld : World {
  explicit SealedWorld(GatewayOptions gateway_options = {}) : World(std::move(gateway_options)) {
    add_user("ada");
    add_user("bob");
    phone = add_device("ada", "phone");
    tablet = add_device("ada", "tablet");
    laptop = add_device("ada", "laptop");
    bob = add_device("bob", "bob");
    publish(phone, 1, {phone, tablet});
    publish(bob, 1, {bob});
  }
  void publish(const Device& uploader, std::uint64_t version, const std::vector<Device>& devices,
               bool another_key = false) {
    PublishLists op;
    op.user_id = uploader.user;
    op.uploader = uploader.id;
    op.account_key = hash_named((another_key ? "another key of " : "key of ") + uploader.user);
    op.replaces_account_key = another_key;
    for (const Device& device : devices) op.records.push_back(record_of(device.id));
    op.lists = {list_of(version, op.records, " of " + uploader.user)};
    CHATSDK_ASSERT(commit_now(op).ok());
    for (const Device& device : devices) {
      UploadPrekeys prekeys;
      prekeys.user_id = device.user;
      prekeys.device_id = device.id;
      prekeys.record_hash = record_of(device.id).hash;
      prekeys.signed_prekey = {1, "signed"};
      prekeys.last_resort = {2, "last resort"};
      CHATSDK_ASSERT(commit_now(prekeys).ok());
    }
  }
  TestClient& connect_sealed(const Device& device, std::uint64_t counter = 0, std::size_t shard = 0) {
    TestClient& client = open(token(device), shard);
    client.auto_ack = true;
    wire::ClientFrame frame = hello();
    frame.mutable_hello()->add_features(std::string(kFeatureEncryption));
    frame.mutable_hello()->set_encryption_counter(counter);
    client.say(frame);
    run();
    return client;
  }
  static void add(google::protobuf::RepeatedPtrField<wire::Slice>& slices, const Device& device,
                  const std::string& message) {
    wire::Slice& slice = *slices.Add();
    slice.set_device_id(device.id.value);
    slice.set_message(message);
  }
  wire::ClientFrame bare(std::uint64_t number) {
    wire::ClientFrame frame;
    wire::Send& send = *frame.mutable_send();
    send.set_peer_user_id("bob");
    send.set_client_message_id(std::string(ClientMessageId::make(clock.wall_now(), random).view()));
    send.set_send_number(number);
    send.set_own_list_version(1);
    send.set_peer_list_version(1);
    send.set_encryption_counter(number);
    return frame;
  }
  // From ada's phone to bob.
  wire::ClientFrame sealed(std::uint64_t number) {
    wire::ClientFrame frame = bare(number);
    add(*frame.mutable_send()->mutable_slices(), bob, "canary for bob");
    add(*frame.mutable_send()->mutable_slices(), tablet, "canary for tablet");
    return frame;
  }
  wire::ClientFrame chunk_of(const wire::ClientFrame& item, std::uint32_t chunk, const Device& device,
                             const std::string& message) {
    wire::ClientFrame frame;
    frame.mutable_stage_slices()->set_client_message_id(item.send().client_message_id());
    frame.mutable_stage_slices()->set_chunk(chunk);
    add(*frame.mutable_stage_slices()->mutable_slices(), device, message);
    return frame;
  }
  Device phone, tablet, laptop, bob;
};

// The items of the one conversation that the client has.
std::vector<wire::Item> items_of(const TestClient& client) {
  for (const auto& [stream, items] : client.items) {
    if (!items.empty() && items[0].kind() == wire::ITEM_KIND_ROSTER) return items;
  }
  return {};
}

// ---- Delivery ------------------------------------------------------------------------------------------------------

TEST(GatewayEncrypted, EachConnectionIsSentItsOwnSliceLiveAndResumed) {
  SealedWorld world;
  TestClient& phone = world.connect_sealed(world.phone);
  TestClient& tablet = world.connect_sealed(world.tablet, 0, 1);
  TestClient& laptop = world.connect_sealed(world.laptop);
  TestClient& bob = world.connect_sealed(world.bob);
  for (std::uint64_t number = 1; number <= 2; ++number) {
    phone.say(world.sealed(number));
    world.run();
    ASSERT_TRUE(results(phone).back().has_accepted());
  }
  // Nobody has acknowledged anything yet as far as the store knows: a second connection of each reads it all.
  TestClient& late_tablet = world.connect_sealed(world.tablet);
  TestClient& late_laptop = world.connect_sealed(world.laptop);
  for (const TestClient* client : {&tablet, &late_tablet}) {
    const auto items = items_of(*client);
    ASSERT_EQ(items.size(), 3u);
    EXPECT_TRUE(items[0].roster().encrypted());
    EXPECT_EQ(items[1].slice(), "canary for tablet");
    EXPECT_EQ(items[2].slice(), "canary for tablet");
  }
  ASSERT_EQ(items_of(bob).size(), 3u);
  EXPECT_EQ(items_of(bob)[2].slice(), "canary for bob");
  ASSERT_EQ(items_of(phone).size(), 3u);
  EXPECT_EQ(items_of(phone)[2].kind(), wire::ITEM_KIND_MESSAGE);
  EXPECT_TRUE(items_of(phone)[2].slice().empty());
  ASSERT_EQ(items_of(laptop).size(), 3u);
  EXPECT_EQ(items_of(laptop)[1].kind(), wire::ITEM_KIND_SKIP);
  EXPECT_EQ(items_of(laptop)[2].seq(), 3u);
  ASSERT_EQ(items_of(late_laptop).size(), 2u) << "one skip";
  EXPECT_EQ(items_of(late_laptop)[1].kind(), wire::ITEM_KIND_SKIP);
  EXPECT_EQ(items_of(late_laptop)[1].seq(), 3u);
  for (const auto& client : world.clients) {
    EXPECT_EQ(client->gaps, 0u);
    for (const wire::ServerFrame& frame : client->frames) {
      const bool bobs = client.get() == &bob;
      EXPECT_EQ(encode(frame).find(bobs ? "canary for tablet" : "canary for bob"), Bytes::npos);
    }
  }
  expect_no_line_holds(world, {"canary"});
}

TEST(GatewayEncrypted, ALostHintIsMadeUpForWithTheSlice) {
  SealedWorld world;
  TestClient& phone = world.connect_sealed(world.phone);
  TestClient& bob = world.connect_sealed(world.bob);
  phone.say(world.sealed(1));
  world.run();
  world.bus.lose_items = true;
  phone.say(world.sealed(2));
  world.run();
  EXPECT_EQ(items_of(bob).size(), 2u);
  world.bus.lose_items = false;
  world.advance_alive(bob, 10s);
  ASSERT_EQ(items_of(bob).size(), 3u);
  EXPECT_EQ(items_of(bob)[2].slice(), "canary for bob");
}

TEST(GatewayEncrypted, WhatIsAcknowledgedIsStoredNoMore) {
  SealedWorld world;
  TestClient& phone = world.connect_sealed(world.phone);
  TestClient& bob = world.connect_sealed(world.bob);
  phone.say(world.sealed(1));
  world.run();
  const StreamId conversation{results(phone).at(0).accepted().conversation_id()};
  const auto waits = [&](const World::Device& device) {
    const auto page = world.reader->items(device.user, device.id, conversation, 1, 10, 1 << 20);
    wire::Item item;
    CHATSDK_ASSERT(item.ParseFromString(*page.value().items.at(0)));
    return !item.slice().empty();
  };
  EXPECT_TRUE(waits(world.bob));
  world.advance(limits::kMarkFlush);
  EXPECT_FALSE(waits(world.bob)) << "bob has it";
  EXPECT_TRUE(waits(world.tablet));
  EXPECT_EQ(items_of(bob).size(), 2u);
}

// ---- What a send may hold ------------------------------------------------------------------------------------------

struct BadSealedSend {
  std::string name;
  std::function<void(wire::Send&, SealedWorld&)> spoil;
  Code refused;
};

TEST(GatewayEncrypted, EveryBadValueIsRefusedAndNothingIsStored) {
  const auto only = [](wire::Send& send) {
    send.clear_slices();
    return send.mutable_slices();
  };
  const auto kind = [](wire::ItemKind item_kind) {
    return [item_kind](wire::Send& send, SealedWorld&) { send.set_kind(item_kind); };
  };
  const std::vector<BadSealedSend> table = {
      {"a content", [](wire::Send& send, SealedWorld&) { send.set_content(encode_text_content("canary")); },
       Code::kInvalidArgument},
      {"a group message", [](wire::Send& send, SealedWorld&) { send.set_encrypted("canary"); }, Code::kInvalidArgument},
      {"no counter", [](wire::Send& send, SealedWorld&) { send.clear_encryption_counter(); }, Code::kInvalidArgument},
      {"a counter over the limit",
       [](wire::Send& send, SealedWorld&) { send.set_encryption_counter(limits::e2ee::kEncryptionCounterMax + 1); },
       Code::kInvalidArgument},
      {"no own list version", [](wire::Send& send, SealedWorld&) { send.clear_own_list_version(); },
       Code::kInvalidArgument},
      {"no list version of the peer", [](wire::Send& send, SealedWorld&) { send.clear_peer_list_version(); },
       Code::kInvalidArgument},
      {"an own list version over the limit",
       [](wire::Send& send, SealedWorld&) { send.set_own_list_version(limits::e2ee::kListVersionMax + 1); },
       Code::kInvalidArgument},
      {"a list version of the peer over the limit",
       [](wire::Send& send, SealedWorld&) { send.set_peer_list_version(limits::e2ee::kListVersionMax + 1); },
       Code::kInvalidArgument},
      {"a slice for no device", [](wire::Send& send, SealedWorld&) { send.mutable_slices(0)->set_device_id(0); },
       Code::kInvalidArgument},
      {"an empty slice", [](wire::Send& send, SealedWorld&) { send.mutable_slices(0)->clear_message(); },
       Code::kInvalidArgument},
      {"two for one device",
       [](wire::Send& send, SealedWorld&) { send.mutable_slices(0)->set_device_id(send.slices(1).device_id()); },
       Code::kInvalidArgument},
      {"too many slices",
       [&](wire::Send& send, SealedWorld&) {
         for (std::size_t i = 0; i <= limits::kSlicesChunk; ++i) {
           SealedWorld::add(*send.mutable_slices(), {"", DeviceId{1'000 + i}, {}}, "canary");
         }
       },
       Code::kInvalidArgument},
      {"a slice over the limit",
       [](wire::Send& send, SealedWorld& world) {
         send.mutable_slices(0)->set_message(Bytes(limits::slice_bytes_max(world.options.text_bytes_max) + 1, 'c'));
       },
       Code::kTooLarge},
      {"slices over the limit",
       [&](wire::Send& send, SealedWorld& world) {
         auto& slices = *only(send);
         for (std::uint64_t i = 0; i < 4; ++i) {
           SealedWorld::add(slices, {"", DeviceId{1'000 + i}, {}}, Bytes(limits::kSlicesChunkBytes / 4, 'c'));
         }
         SealedWorld::add(slices, world.bob, "c");
       },
       Code::kTooLarge},
      {"more chunks than there may be",
       [](wire::Send& send, SealedWorld&) { send.set_slices_staged(limits::e2ee::kStagedChunksMax + 1); },
       Code::kInvalidArgument},
      {"a chunk that did not come", [](wire::Send& send, SealedWorld&) { send.set_slices_staged(1); },
       Code::kUnavailable},
      {"KEYS", kind(wire::ITEM_KIND_KEYS), Code::kInvalidArgument},
      {"ROSTER", kind(wire::ITEM_KIND_ROSTER), Code::kInvalidArgument},
      {"SKIP", kind(wire::ITEM_KIND_SKIP), Code::kInvalidArgument},
      {"DEVICES_CHANGED", kind(wire::ITEM_KIND_DEVICES_CHANGED), Code::kInvalidArgument},
      {"a kind that nobody knows", kind(static_cast<wire::ItemKind>(99)), Code::kInvalidArgument},
      {"RETRY with two slices", kind(wire::ITEM_KIND_RETRY), Code::kInvalidArgument},
      {"RETRY without a slice",
       [&](wire::Send& send, SealedWorld&) {
         only(send);
         send.set_kind(wire::ITEM_KIND_RETRY);
       },
       Code::kInvalidArgument},
      {"RETRY with a chunk",
       [&](wire::Send& send, SealedWorld& world) {
         SealedWorld::add(*only(send), world.bob, "canary");
         send.set_slices_staged(1);
         send.set_kind(wire::ITEM_KIND_RETRY);
       },
       Code::kInvalidArgument},
      {"RETRY with a target",
       [&](wire::Send& send, SealedWorld& world) {
         SealedWorld::add(*only(send), world.bob, "canary");
         send.set_target_seq(2);
         send.set_kind(wire::ITEM_KIND_RETRY);
       },
       Code::kInvalidArgument},
      {"REPAIR without a target",
       [&](wire::Send& send, SealedWorld& world) {
         SealedWorld::add(*only(send), world.bob, "canary");
         send.set_kind(wire::ITEM_KIND_REPAIR);
       },
       Code::kInvalidArgument},
      {"REPAIR as the first item",
       [&](wire::Send& send, SealedWorld& world) {
         SealedWorld::add(*only(send), world.bob, "canary");
         send.set_target_seq(2);
         send.set_kind(wire::ITEM_KIND_REPAIR);
       },
       Code::kInvalidArgument},
      {"a message with a target", [](wire::Send& send, SealedWorld&) { send.set_target_seq(2); },
       Code::kInvalidArgument},
      {"no client_message_id", [](wire::Send& send, SealedWorld&) { send.clear_client_message_id(); },
       Code::kInvalidArgument},
      {"nobody", [](wire::Send& send, SealedWorld&) { send.set_peer_user_id("eve"); }, Code::kNotFound},
  };
  SealedWorld world;
  TestClient& phone = world.connect_sealed(world.phone);
  for (const BadSealedSend& bad : table) {
    SCOPED_TRACE(bad.name);
    wire::ClientFrame frame = world.sealed(1);
    bad.spoil(*frame.mutable_send(), world);
    const std::size_t answers = results(phone).size();
    phone.say(frame);
    world.run();
    ASSERT_EQ(results(phone).size(), answers + 1);
    ASSERT_TRUE(results(phone).back().has_refused());
    EXPECT_EQ(static_cast<Code>(results(phone).back().refused().code()), bad.refused);
    EXPECT_EQ(results(phone).back().client_message_id(), frame.send().client_message_id());
    EXPECT_FALSE(results(phone).back().refused().detail().empty());
    EXPECT_FALSE(phone.closed);
    world.advance(1s);  // so that each refusal is logged
  }
  expect_no_line_holds(world, {"canary", "eve"});
  phone.say(world.sealed(1));
  world.run();
  EXPECT_TRUE(results(phone).back().has_accepted());
  EXPECT_EQ(results(phone).back().accepted().conversation_seq(), 2u) << "the first that anything was stored of";
  EXPECT_EQ(items_of(world.connect_sealed(world.bob)).size(), 2u);
}

TEST(GatewayEncrypted, LimitsAreReached) {
  GatewayOptions options;
  options.text_bytes_max = limits::kTextBytesMax;
  SealedWorld world(options);
  TestClient& phone = world.connect_sealed(world.phone);
  wire::ClientFrame frame = world.bare(1);
  frame.mutable_send()->set_encryption_counter(limits::e2ee::kEncryptionCounterMax);
  const Bytes largest(limits::slice_bytes_max(limits::kTextBytesMax), 's');
  phone.say(world.chunk_of(frame, 0, world.tablet, largest));
  phone.say(world.chunk_of(frame, 1, world.bob, largest));
  frame.mutable_send()->set_slices_staged(2);
  EXPECT_LE(encode(world.chunk_of(frame, 0, world.tablet, largest)).size(),
            limits::client_frame_bytes_max(limits::kTextBytesMax));
  phone.say(frame);
  world.run();
  ASSERT_EQ(results(phone).size(), 1u) << "a chunk that is kept has no answer";
  EXPECT_TRUE(results(phone)[0].has_accepted()) << results(phone)[0].refused().detail();
  TestClient& bob = world.connect_sealed(world.bob);
  ASSERT_EQ(items_of(bob).size(), 2u);
  EXPECT_EQ(items_of(bob)[1].slice(), largest);
  EXPECT_EQ(*world.reader->encryption_counter(world.phone.id), limits::e2ee::kEncryptionCounterMax);
}

// A send names any version up to the limit; a new key's list may be begun far ahead.
TEST(GatewayEncrypted, ListVersionsUpToTheLimitAreNamed) {
  SealedWorld world;
  TestClient& phone = world.connect_sealed(world.phone);
  wire::ClientFrame frame = world.sealed(1);
  for (const std::uint64_t version : {limits::e2ee::kEncryptionCounterMax + 1, limits::e2ee::kListVersionMax}) {
    for (const bool is_peer : {false, true}) {
      wire::ClientFrame other = frame;
      is_peer ? other.mutable_send()->set_peer_list_version(version)
              : other.mutable_send()->set_own_list_version(version);
      phone.say(other);
      world.run();
      ASSERT_TRUE(results(phone).back().has_roster_changed()) << "today's are others";
    }
  }
  constexpr std::uint64_t kHighest = limits::e2ee::kListVersionsAhead;
  world.publish(world.bob, kHighest, {world.bob}, true);
  frame.mutable_send()->set_peer_list_version(kHighest);
  phone.say(frame);
  world.run();
  EXPECT_TRUE(results(phone).back().has_accepted()) << results(phone).back().refused().detail();
}

TEST(GatewayEncrypted, ASliceAboveALoweredLimitIsStillOwedItsFirstAnswer) {
  SealedWorld world;
  wire::ClientFrame frame = world.bare(1);
  const Bytes large(limits::slice_bytes_max(world.options.text_bytes_max), 's');
  SealedWorld::add(*frame.mutable_send()->mutable_slices(), world.bob, large);
  SealedWorld::add(*frame.mutable_send()->mutable_slices(), world.tablet, large);
  TestClient& before = world.connect_sealed(world.phone);
  before.say(frame);
  world.run();
  ASSERT_TRUE(results(before).at(0).has_accepted());
  GatewayOptions lowered = world.options;
  lowered.text_bytes_max = 1'000;
  world.restart_gateways(lowered);
  TestClient& phone = world.connect_sealed(world.phone, 1);
  phone.say(frame);
  wire::ClientFrame other = frame;
  other.mutable_send()->set_client_message_id(std::string(16, 'x'));
  phone.say(other);
  world.run();
  ASSERT_EQ(results(phone).size(), 2u);
  EXPECT_EQ(results(phone)[0].accepted().conversation_seq(), 2u);
  EXPECT_EQ(static_cast<Code>(results(phone)[1].refused().code()), Code::kTooLarge);
}

// ---- Staging -------------------------------------------------------------------------------------------------------

struct BadStage {
  std::string name;
  std::function<void(wire::StageSlices&, SealedWorld&)> spoil;
  Code refused;
};

TEST(GatewayEncrypted, EveryBadChunkIsRefusedUnderItsId) {
  const std::vector<BadStage> table = {
      {"no client_message_id", [](wire::StageSlices& stage, SealedWorld&) { stage.clear_client_message_id(); },
       Code::kInvalidArgument},
      {"a chunk beyond the last",
       [](wire::StageSlices& stage, SealedWorld&) { stage.set_chunk(limits::e2ee::kStagedChunksMax); },
       Code::kInvalidArgument},
      {"no slices", [](wire::StageSlices& stage, SealedWorld&) { stage.clear_slices(); }, Code::kInvalidArgument},
      {"one for no device", [](wire::StageSlices& stage, SealedWorld&) { stage.mutable_slices(0)->set_device_id(0); },
       Code::kInvalidArgument},
      {"an empty one", [](wire::StageSlices& stage, SealedWorld&) { stage.mutable_slices(0)->clear_message(); },
       Code::kInvalidArgument},
      {"two for one device",
       [](wire::StageSlices& stage, SealedWorld& world) {
         SealedWorld::add(*stage.mutable_slices(), world.bob, "canary");
       },
       Code::kInvalidArgument},
      {"one over the limit",
       [](wire::StageSlices& stage, SealedWorld& world) {
         stage.mutable_slices(0)->set_message(Bytes(limits::slice_bytes_max(world.options.text_bytes_max) + 1, 'c'));
       },
       Code::kTooLarge},
  };
  SealedWorld world;
  TestClient& phone = world.connect_sealed(world.phone);
  const wire::ClientFrame item = world.bare(1);
  for (const BadStage& bad : table) {
    SCOPED_TRACE(bad.name);
    wire::ClientFrame frame = world.chunk_of(item, 0, world.bob, "canary");
    bad.spoil(*frame.mutable_stage_slices(), world);
    const std::size_t answers = results(phone).size();
    phone.say(frame);
    world.run();
    ASSERT_EQ(results(phone).size(), answers + 1);
    EXPECT_EQ(static_cast<Code>(results(phone).back().refused().code()), bad.refused);
    EXPECT_EQ(results(phone).back().client_message_id(), frame.stage_slices().client_message_id());
  }
  EXPECT_TRUE(world.submitted_ops<StageSlices>().empty());
  expect_no_line_holds(world, {"canary"});
}

TEST(GatewayEncrypted, StagedBytesCountAsSendsDo) {
  SealedWorld world;
  TestClient& phone = world.connect_sealed(world.phone);
  world.hold_commits = true;
  const wire::ClientFrame item = world.bare(1);
  const Bytes slice(limits::slice_bytes_max(world.options.text_bytes_max), 's');
  std::uint32_t said = 0;
  for (; !phone.paused && said < 64; ++said) phone.say(world.chunk_of(item, said % 15, world.bob, slice));
  EXPECT_EQ(said, limits::kSendsInFlightBytesMax / slice.size() + 1);
  world.release_commits();
  EXPECT_FALSE(phone.paused);
}

// ---- What was agreed on --------------------------------------------------------------------------------------------

TEST(GatewayEncrypted, WithoutTheFeatureNothingEncryptedIsTaken) {
  SealedWorld world;
  TestClient& phone = world.connect(world.phone);
  EXPECT_EQ(phone.of(wire::ServerFrame::kWelcome).at(0).welcome().features_size(), 0);
  const wire::ClientFrame frame = world.sealed(1);
  phone.say(world.chunk_of(frame, 0, world.bob, "canary"));
  world.run();
  EXPECT_TRUE(results(phone).empty()) << "as a frame of an unknown type";
  phone.say(frame);
  world.run();
  ASSERT_EQ(results(phone).size(), 1u);
  EXPECT_EQ(static_cast<Code>(results(phone)[0].refused().code()), Code::kUnsupported);
  EXPECT_TRUE(world.submitted_ops<AppendMessage>().empty());
  EXPECT_TRUE(world.submitted_ops<StageSlices>().empty());

  TestClient& agreed = world.connect_sealed(world.phone);
  EXPECT_EQ(agreed.of(wire::ServerFrame::kWelcome).at(0).welcome().features(0), "e2ee");
}

TEST(GatewayEncrypted, AnOldClientGetsAlongBesideEncryptedConversations) {
  SealedWorld world;
  world.add_user("cid");
  TestClient& phone = world.connect_sealed(world.phone);
  TestClient& laptop = world.connect(world.laptop);
  phone.say(world.sealed(1));
  world.run();
  ASSERT_EQ(items_of(laptop).size(), 2u);
  EXPECT_EQ(items_of(laptop)[1].kind(), wire::ITEM_KIND_SKIP);
  laptop.say(world.text_to("bob", "canary", 1));
  laptop.say(world.text_to("cid", "hello", 1));
  world.run();
  ASSERT_EQ(results(laptop).size(), 2u);
  EXPECT_EQ(static_cast<Code>(results(laptop)[0].refused().code()), Code::kForbidden);
  EXPECT_TRUE(results(laptop)[1].has_accepted());
}

TEST(GatewayEncrypted, ARosterThatChangedIsToldWithWhatTheSenderLacks) {
  SealedWorld world;
  TestClient& phone = world.connect_sealed(world.phone);
  phone.say(world.sealed(1));
  world.run();
  world.publish(world.phone, 2, {world.phone, world.tablet, world.laptop});
  wire::ClientFrame frame = world.sealed(2);
  frame.mutable_send()->set_roster_revision(1);
  frame.mutable_send()->set_encryption_counter(5);
  phone.say(frame);
  world.run();
  ASSERT_TRUE(results(phone).back().has_roster_changed());
  const wire::RosterChanged changed = results(phone).back().roster_changed();
  EXPECT_EQ(results(phone).back().client_message_id(), frame.send().client_message_id());
  EXPECT_EQ(changed.revision(), 2u);
  EXPECT_EQ(changed.encryption_counter(), 5u);
  EXPECT_EQ(changed.detail(), "roster revision 1, today's is 2");
  ASSERT_EQ(changed.lists_size(), 1);
  EXPECT_EQ(changed.lists(0).list(), "list 2 of ada");
  EXPECT_EQ(changed.lists(0).records(0), record_of(world.laptop.id).record);
  EXPECT_EQ(world.log.with("roster_changed: roster revision 1, today's is 2").size(), 1u);

  SealedWorld::add(*frame.mutable_send()->mutable_slices(), world.laptop, "for laptop");
  frame.mutable_send()->set_roster_revision(changed.revision());
  phone.say(frame);
  world.run();
  EXPECT_TRUE(results(phone).back().has_accepted());
  EXPECT_FALSE(phone.closed);
}

// ---- A device that went back ---------------------------------------------------------------------------------------

TEST(GatewayEncrypted, ACounterBelowTheAcceptedIsADeviceThatWentBack) {
  SealedWorld world;
  TestClient& first = world.connect_sealed(world.phone);
  wire::ClientFrame frame = world.sealed(1);
  frame.mutable_send()->set_encryption_counter(7);
  first.say(frame);
  world.run();
  ASSERT_TRUE(results(first).back().has_accepted());
  const auto again = [&](std::uint64_t counter) -> TestClient& {
    TestClient& client = world.open(world.token(world.phone));
    wire::ClientFrame greeting = world.hello(&first);
    greeting.mutable_hello()->add_features(std::string(kFeatureEncryption));
    greeting.mutable_hello()->set_encryption_counter(counter);
    client.say(greeting);
    world.run();
    return client;
  };
  EXPECT_FALSE(again(8).closed) << "it has encrypted what was not accepted yet";
  EXPECT_FALSE(again(7).closed);
  TestClient& back = again(6);
  EXPECT_EQ(back.failure(), Code::kRolledBack);
  EXPECT_EQ(back.closed, CloseCode::kRolledBack);
  EXPECT_TRUE(back.of(wire::ServerFrame::kWelcome).empty());
  // An old client has no counter, and encrypts nothing.
  EXPECT_FALSE(world.connect(world.phone, &first).closed);
}

}  // namespace
}  // namespace chatsdk::server
