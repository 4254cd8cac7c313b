// SPDX-License-Identifier: Apache-2.0
//
// A linking in which one byte of what passes between the two devices was changed: it ends before anybody confirms it.
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <utility>

#include "base/limits.h"
#include "e2ee/linking.h"
#include "e2ee/outcome.h"
#include "unit/e2ee/files.h"
#include "unit/e2ee/sessions.h"

namespace chatsdk::e2ee {
namespace {

constexpr std::string_view kPrefix = "csdk-link:";

// Alice's device 1, and a new one.
class LinkingRefusals : public ::testing::Test {
 protected:
  LinkingRefusals() {
    known_.user_id = "alice";
    known_.account_key = alice_.list.account_key;
    known_.lists.push_back(alice_.list);
    known_.records.emplace(alice_.record.hash, alice_.record);
  }
  LinkNew start(std::string_view name = "laptop") {
    return LinkNew::start("alice", DeviceId{3}, name, kThen, random_).value();
  }
  Result<LinkOld> scan(std::string_view text) {
    return LinkOld::scan(text, {alice_.user_id, DeviceId{1}, &known_}, kThen, random_);
  }
  Result<Bytes> reveal(LinkNew& link, BytesView offer) { return link.reveal(offer, &known_, random_); }

  // Whether the two come to a code.
  bool come_to_a_code(LinkNew link, std::string_view text) {
    auto old = scan(text);
    if (!old) return false;
    const auto revealed = reveal(link, old->offer());
    return revealed && old->check(*revealed).ok();
  }

  SeededRandom random_{3};
  Person alice_ = alice();
  KnownUser known_;
};

TEST_F(LinkingRefusals, BindEveryByteOfTheText) {
  const LinkNew link = start();
  EXPECT_TRUE(come_to_a_code(link.clone(), link.text()));
  const Bytes body = from_base64url(std::string_view(link.text()).substr(kPrefix.size())).value();
  with_each_byte_flipped(body, [this, &link](const Bytes& flipped, std::size_t at) {
    EXPECT_FALSE(come_to_a_code(link.clone(), std::string(kPrefix) + to_base64url(flipped))) << at;
  });
}

TEST_F(LinkingRefusals, BindEveryByteOfTheOffer) {
  const LinkNew link = start();
  const auto old = scan(link.text());
  ASSERT_TRUE(old.ok());
  EXPECT_EQ(old->offer().size(), 90U);
  with_each_byte_flipped(old->offer(), [this, &link, &old](const Bytes& flipped, std::size_t at) {
    LinkNew other = link.clone();
    const auto revealed = reveal(other, flipped);
    EXPECT_FALSE(revealed && old->clone().check(*revealed).ok()) << at;
  });
  LinkNew other = link.clone();
  for (const Bytes& wrong : {old->offer() + "x", old->offer().substr(0, 89), Bytes()}) {
    EXPECT_EQ(reveal(other = link.clone(), wrong).code(), kBadMessage);
  }
}

TEST_F(LinkingRefusals, TakeNoWeakKeys) {
  const LinkNew link = start();
  const auto old = scan(link.text());
  ASSERT_TRUE(old.ok());
  constexpr std::size_t kKeyAt = 26;
  for (const Bytes& weak : {repeated(0, 32), "\x01" + repeated(0, 31), "\xEC" + repeated(0xFF, 30) + "\x7F"}) {
    LinkNew other = link.clone();
    Bytes offer = old->offer();
    offer.replace(kKeyAt, weak.size(), weak);
    EXPECT_EQ(reveal(other, offer).code(), kBadMessage);
    Bytes body = from_base64url(std::string_view(link.text()).substr(kPrefix.size())).value();
    body.replace(1 + 16 + 4 + 5 + 8, 32, weak);
    EXPECT_FALSE(parse_link_text(std::string(kPrefix) + to_base64url(body)).has_value());
  }
}

TEST_F(LinkingRefusals, BindEveryByteOfTheGrant) {
  LinkNew link = start();
  auto old = scan(link.text());
  ASSERT_TRUE(old.ok());
  ASSERT_TRUE(old->check(reveal(link, old->offer()).value()).ok());
  const Bytes grant = old->confirm(alice_.account_seed, alice_.list, random_).value();
  with_each_byte_flipped(grant, [&link](const Bytes& flipped, std::size_t at) {
    EXPECT_EQ(link.clone().finish(flipped).code(), kBadMessage) << at;
  });
  EXPECT_EQ(link.clone().finish(grant + "x").code(), kBadMessage);
  EXPECT_EQ(link.clone().finish(grant.substr(0, grant.size() - 1)).code(), kBadMessage);
  EXPECT_TRUE(link.clone().finish(grant).ok());
}

TEST_F(LinkingRefusals, EndTheLinkingForGood) {
  LinkNew link = start();
  auto old = scan(link.text());
  ASSERT_TRUE(old.ok());
  LinkNew asked = link.clone();
  EXPECT_EQ(reveal(asked, "no offer").code(), kBadMessage);
  EXPECT_EQ(reveal(asked, old->offer()).code(), Code::kWrongState);

  const Bytes revealed = reveal(link, old->offer()).value();
  LinkOld shown = old->clone();
  EXPECT_EQ(shown.check("no reveal").code(), kBadMessage);
  EXPECT_EQ(shown.check(revealed).code(), Code::kWrongState);

  ASSERT_TRUE(old->check(revealed).ok());
  const Bytes grant = old->confirm(alice_.account_seed, alice_.list, random_).value();
  EXPECT_EQ(link.finish("no grant").code(), kBadMessage);
  EXPECT_EQ(link.finish(grant).code(), Code::kWrongState);
}

TEST_F(LinkingRefusals, KeepTheStepsInTheirOrder) {
  LinkNew link = start();
  auto old = scan(link.text());
  ASSERT_TRUE(old.ok());
  EXPECT_EQ(link.clone().finish("grant").code(), Code::kWrongState);
  EXPECT_EQ(old->clone().confirm(alice_.account_seed, alice_.list, random_).code(), Code::kWrongState);
  const Bytes revealed = reveal(link, old->offer()).value();
  EXPECT_EQ(reveal(link, old->offer()).code(), Code::kWrongState);
  ASSERT_TRUE(old->check(revealed).ok());
  EXPECT_EQ(old->check(revealed).code(), Code::kWrongState);
}

TEST_F(LinkingRefusals, TakeADeviceWithoutAName) {
  LinkNew link = start("");
  auto old = scan(link.text());
  ASSERT_TRUE(old.ok());
  ASSERT_TRUE(old->check(reveal(link, old->offer()).value()).ok());
  EXPECT_EQ(old->name(), "");
  EXPECT_EQ(old->code(), link.code());
}

}  // namespace
}  // namespace chatsdk::e2ee
