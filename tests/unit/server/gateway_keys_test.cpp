// SPDX-License-Identifier: Apache-2.0
//
// What a connection tells a device of its prekeys: the counts in the welcome, and when they run low.
//
// Threads: one.
#include <gtest/gtest.h>

#include "server-reference/services/frame_builder.h"
#include "unit/server/gateway_world.h"

namespace chatsdk::server {
namespace {

struct Listed : World {
  Listed() {
    add_user("ada");
    phone = add_device("ada");
    tablet = add_device("ada", "tablet");
    const Bytes hash(32, 'r');
    PublishLists list;
    list.user_id = "ada";
    list.uploader = phone.id;
    list.account_key = Bytes(32, 'k');
    list.lists = {{1, Bytes(32, '1'), {}, "list", {{phone.id, hash}}}};
    list.records = {{phone.id, hash, "record"}};
    CHATSDK_ASSERT(commit_now(list).ok());
    UploadPrekeys prekeys;
    prekeys.user_id = "ada";
    prekeys.device_id = phone.id;
    prekeys.record_hash = hash;
    prekeys.one_time = {{1, "one"}, {2, "two"}};
    prekeys.one_time_kem = {{3, "three"}};
    CHATSDK_ASSERT(commit_now(prekeys).ok());
  }
  KeysHint hint() const { return {phone.id, key_counts_frame({1, 0})}; }

  Device phone, tablet;
};

TEST(GatewayKeys, TheWelcomeCountsThePrekeysOfAListedDevice) {
  Listed world;
  const wire::Welcome phone = world.connect(world.phone).of(wire::ServerFrame::kWelcome).at(0).welcome();
  ASSERT_TRUE(phone.has_key_counts());
  EXPECT_EQ(phone.key_counts().one_time(), 2u);
  EXPECT_EQ(phone.key_counts().one_time_kem(), 1u);
  const wire::Welcome tablet = world.connect(world.tablet).of(wire::ServerFrame::kWelcome).at(0).welcome();
  EXPECT_FALSE(tablet.has_key_counts()) << "it is in no list";
}

TEST(GatewayKeys, AHintGoesToItsDeviceAlone) {
  Listed world;
  TestClient& phone = world.connect(world.phone);
  TestClient& tablet = world.connect(world.tablet);
  world.bus.publish("ada", world.hint());
  world.run();
  const auto frames = phone.of(wire::ServerFrame::kKeyCounts);
  ASSERT_EQ(frames.size(), 1u);
  EXPECT_EQ(frames[0].key_counts().one_time(), 1u);
  EXPECT_TRUE(tablet.of(wire::ServerFrame::kKeyCounts).empty());
}

TEST(GatewayKeys, AHintBeforeTheWelcomeIsNotSent) {
  Listed world;
  TestClient& phone = world.open(world.token(world.phone));
  phone.say(world.hello());
  world.bus.publish("ada", world.hint());
  world.run();
  ASSERT_FALSE(phone.frames.empty());
  EXPECT_EQ(phone.frames[0].body_case(), wire::ServerFrame::kWelcome) << "nothing comes before it";
}

}  // namespace
}  // namespace chatsdk::server
