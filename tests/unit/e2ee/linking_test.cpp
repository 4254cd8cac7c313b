// SPDX-License-Identifier: Apache-2.0
#include "e2ee/linking.h"

#include <gtest/gtest.h>

#include "base/limits.h"
#include "unit/e2ee/sessions.h"

namespace chatsdk::e2ee {
namespace {

// The linking of docs/e2ee.md section 26: Alice's device 3.
class Linking : public ::testing::Test {
 protected:
  Linking() {
    known_.user_id = "alice";
    known_.account_key = alice_.list.account_key;
    known_.lists.push_back(alice_.list);
    known_.records.emplace(alice_.record.hash, alice_.record);
  }
  static Bytes drawn_at_start() {
    Writer writer;
    writer.u32(0x090a0b0c).raw(repeated(0x76, 32)).raw(repeated(0x77, 32)).raw(repeated(0x71, 16));
    writer.raw(repeated(0x72, 32)).raw(repeated(0x73, 32));
    return writer.take();
  }
  LinkNew start(std::uint64_t now_ms = kThen) const {
    GivenRandom random(drawn_at_start());
    return LinkNew::start("alice", DeviceId{3}, "laptop", now_ms, random).value();
  }
  Result<LinkOld> scan(std::string_view text, std::uint64_t now_ms = kThen) const {
    SeededRandom random(1);
    return LinkOld::scan(text, {alice_.user_id, DeviceId{1}, &known_}, now_ms, random);
  }
  LinkOld scan_as_written(const LinkNew& link) const {
    GivenRandom random(repeated(0x74, 32) + repeated(0x75, 32));
    return LinkOld::scan(link.text(), {alice_.user_id, DeviceId{1}, &known_}, kThen, random).value();
  }
  Bytes reveal(LinkNew& link, BytesView offer) const {
    GivenRandom random(repeated(0x78, 24));
    return link.reveal(offer, &known_, random).value();
  }
  Bytes confirm(LinkOld& old) const {
    GivenRandom random(repeated(0x79, 24));
    return old.confirm(alice_.account_seed, alice_.list, random).value();
  }

  Person alice_ = alice();
  KnownUser known_;
};

TEST_F(Linking, HasTheValuesOfTheSpecification) {
  LinkNew link = start();
  EXPECT_EQ(link.text(),
            "csdk-link:AXFxcXFxcXFxcXFxcXFxcXEFAAAAYWxpY2UDAAAAAAAAAM1I0Ggepz8JoA-DhZvRCIDfVoIgGc2jyIPg0VFONbEG8VTA4xL0"
            "kA-xZGxiPddhD8zE5vQXJImRy1UL8hbRsOLAd2UYowEAAA");
  LinkOld old = scan_as_written(link);
  const Bytes reveal = this->reveal(link, old.offer());
  EXPECT_EQ(hex_hash(reveal), "21b9fcf0fe0f9873f9f13cd612167b1d05053fa5481f63a9945070d141783fdf");
  EXPECT_EQ(link.code(), "9419 3830");
  ASSERT_TRUE(old.check(reveal).ok());
  EXPECT_EQ(old.code(), link.code());
  EXPECT_EQ(old.name(), "laptop");
  const Bytes grant = confirm(old);
  EXPECT_EQ(hex_hash(grant), "87eea71a5fae2b15339091af173d7a466338044d0f6e6d9bd525712ff697003e");
  const auto granted = link.finish(grant);
  ASSERT_TRUE(granted.ok());
  EXPECT_EQ(to_hex(view(granted->account_seed)), to_hex(view(alice_.account_seed)));
  EXPECT_EQ(granted->list, alice_.list);
  EXPECT_EQ(granted->keys.registration_id, 0x090a0b0cU);
}

TEST_F(Linking, KnowsTheConfirmedDeviceByItsKeys) {
  LinkNew link = start();
  LinkOld old = scan_as_written(link);
  ASSERT_TRUE(old.check(reveal(link, old.offer())).ok());
  auto granted = link.clone();
  const Bytes grant = confirm(old);
  const auto keys = granted.finish(grant).value().keys.registration_id;
  DeviceKeys same{keys, secret_of<32>(0x76), secret_of<32>(0x77)};
  DeviceKeys other{keys, secret_of<32>(0x76), secret_of<32>(0x78)};
  const DeviceDescription description{"alice", DeviceId{3}, kSuitesSpoken, kThen, {}};
  const LetIn device = old.let_in(alice_.list);
  EXPECT_TRUE(device.is(make_device_record(description, same)));
  EXPECT_FALSE(device.is(make_device_record(description, other)));
  const Bytes bytes = serialize(device);
  EXPECT_EQ(parse_let_in(bytes), device);
  for (std::size_t size = 0; size < bytes.size(); ++size) EXPECT_FALSE(parse_let_in(bytes.substr(0, size))) << size;
  EXPECT_FALSE(parse_let_in(bytes + '\0'));
}

// What is kept of Alice's lists behind the grant, as other devices may have changed them.
TEST_F(Linking, KnowsWhetherTheConfirmedDeviceCameAloneAndAsItWas) {
  LinkNew link = start();
  LinkOld old = scan_as_written(link);
  ASSERT_TRUE(old.check(reveal(link, old.offer())).ok());
  const auto registration_id = link.clone().finish(confirm(old)).value().keys.registration_id;
  const auto record_of = [&](std::uint64_t device_id, unsigned char agreement) {
    const DeviceKeys keys{registration_id, secret_of<32>(device_id == 3 ? 0x76 : 0x66), secret_of<32>(agreement)};
    return make_device_record({"alice", DeviceId{device_id}, kSuitesSpoken, kThen, {}}, keys);
  };
  const DeviceRecord confirmed = record_of(3, 0x77);
  const DeviceRecord other_keys = record_of(3, 0x78);
  const DeviceRecord tablet = record_of(4, 0x67);
  const DeviceRecord first_again = record_of(1, 0x68);
  struct Change {
    std::vector<DeviceRecord> add;
    std::vector<DeviceId> remove;
  };
  const auto came = [&](const std::vector<Change>& changes) {
    KnownUser own = known_;
    for (const Change& change : changes) {
      own.lists.push_back(
          next_device_list(own.newest(), alice_.account_seed, change.add, change.remove, kThen).value());
      for (const DeviceRecord& record : change.add) own.records[record.hash] = record;
    }
    return came_alone(old.let_in(alice_.list), own);
  };
  EXPECT_EQ(came({}), std::nullopt);
  EXPECT_EQ(came({{{tablet}, {}}}), std::nullopt) << "another one that was linked meanwhile";
  EXPECT_EQ(came({{{confirmed}, {}}}), true);
  EXPECT_EQ(came({{{tablet}, {}}, {{confirmed}, {}}, {{}, {DeviceId{4}}}}), true);
  EXPECT_EQ(came({{{confirmed}, {}}, {{tablet}, {}}}), true) << "what comes later is another linking's";
  EXPECT_EQ(came({{{other_keys}, {}}}), false);
  EXPECT_EQ(came({{{confirmed, tablet}, {}}}), false);
  EXPECT_EQ(came({{{confirmed, first_again}, {DeviceId{1}}}}), false) << "a listed one with other keys";
}

TEST_F(Linking, TakesATextUntilItExpires) {
  const LinkNew link = start();
  const std::uint64_t valid = std::chrono::milliseconds(limits::e2ee::kLinkValid).count();
  EXPECT_TRUE(scan(link.text(), kThen + valid - 1).ok());
  EXPECT_FALSE(scan(link.text(), kThen + valid).ok());
}

TEST_F(Linking, TakesNoTextOfAnotherUserNorOfAListedDevice) {
  SeededRandom random(1);
  EXPECT_FALSE(scan(LinkNew::start("bob", DeviceId{3}, "", kThen, random)->text()).ok());
  EXPECT_FALSE(scan(LinkNew::start("alice", DeviceId{1}, "", kThen, random)->text()).ok());
  EXPECT_TRUE(scan(LinkNew::start("alice", DeviceId{2}, "", kThen, random)->text()).ok());
}

TEST_F(Linking, TakesNoTextThatIsCutOrChanged) {
  const std::string text = start().text();
  EXPECT_TRUE(parse_link_text(text).has_value());
  for (std::size_t size = 0; size < text.size(); ++size) EXPECT_FALSE(parse_link_text(text.substr(0, size))) << size;
  EXPECT_FALSE(parse_link_text(text + "A"));
  EXPECT_FALSE(parse_link_text("csdk-safety:" + text.substr(10)));
}

TEST_F(Linking, EndsWithAnOfferOfADeviceThatIsNotListed) {
  LinkNew link = start();
  SeededRandom random(1);
  const auto stranger = LinkOld::scan(link.text(), {alice_.user_id, DeviceId{9}, nullptr}, kThen, random);
  EXPECT_EQ(link.reveal(stranger->offer(), &known_, random).code(), Code::kCrypto);
  EXPECT_EQ(link.reveal(scan_as_written(start()).offer(), &known_, random).code(), Code::kWrongState);
}

TEST_F(Linking, EndsWithARevealInWhichAnyByteIsChanged) {
  LinkNew link = start();
  const LinkOld old = scan_as_written(link);
  const Bytes reveal = this->reveal(link, old.offer());
  for (std::size_t at = 0; at < reveal.size(); at += 3) {
    LinkOld other = old.clone();
    Bytes changed = reveal;
    changed[at] = static_cast<char>(changed[at] ^ 1);
    EXPECT_EQ(other.check(changed).code(), Code::kCrypto) << at;
    EXPECT_EQ(other.check(reveal).code(), Code::kWrongState);
  }
}

TEST_F(Linking, CannotBeSteeredByOneInTheMiddle) {
  // Somebody shows the old device a text of an own linking for the same device id, and the new device an own offer.
  LinkNew link = start();
  SeededRandom random(7);
  LinkNew middle = LinkNew::start("alice", DeviceId{3}, "laptop", kThen, random).value();
  auto offered = LinkOld::scan(link.text(), {alice_.user_id, DeviceId{1}, &known_}, kThen, random);
  const Bytes to_middle = link.reveal(offered->offer(), &known_, random).value();
  LinkOld old = scan(middle.text()).value();
  // What the new device revealed opens nothing at the old one, and what the middle reveals gives another code.
  EXPECT_FALSE(old.clone().check(to_middle).ok());
  ASSERT_TRUE(old.check(middle.reveal(old.offer(), &known_, random).value()).ok());
  EXPECT_NE(old.code(), link.code());
}

TEST_F(Linking, GivesNothingOutBeforeTheRevealWasChecked) {
  LinkNew link = start();
  LinkOld old = scan_as_written(link);
  SeededRandom random(1);
  EXPECT_EQ(old.confirm(alice_.account_seed, alice_.list, random).code(), Code::kWrongState);
}

TEST_F(Linking, GivesTheKeyOutOnce) {
  LinkNew link = start();
  LinkOld old = scan_as_written(link);
  ASSERT_TRUE(old.check(reveal(link, old.offer())).ok());
  confirm(old);
  SeededRandom random(1);
  EXPECT_EQ(old.confirm(alice_.account_seed, alice_.list, random).code(), Code::kWrongState);
}

TEST_F(Linking, TakesNoGrantWhoseSeedOrListIsAnothers) {
  const auto granted = [this](const SigningSeed& seed, const DeviceList& list) {
    LinkNew link = start();
    LinkOld old = scan_as_written(link);
    EXPECT_TRUE(old.check(reveal(link, old.offer())).ok());
    SeededRandom random(1);
    return link.finish(old.confirm(seed, list, random).value()).code();
  };
  EXPECT_EQ(granted(alice_.account_seed, alice_.list), Code::kOk);
  EXPECT_EQ(granted(bob().account_seed, alice_.list), Code::kCrypto);
  EXPECT_EQ(granted(bob().account_seed, bob().list), Code::kCrypto);
  const Person without = person("alice", 4, 0x11, 5, {});  // the same account key, and a list without device 1
  EXPECT_EQ(granted(alice_.account_seed, without.list), Code::kCrypto);
}

TEST_F(Linking, HasMessagesThatOneWithoutAKeyCanTellApart) {
  LinkNew link = start();
  LinkOld old = scan_as_written(link);
  const Bytes offer = old.offer();
  const Bytes reveal = this->reveal(link, offer);
  ASSERT_TRUE(old.check(reveal).ok());
  const std::vector<std::pair<LinkStep, Bytes>> messages = {
      {LinkStep::kOffer, offer}, {LinkStep::kReveal, reveal}, {LinkStep::kGrant, confirm(old)}};
  const auto link_id = fixed_of<LinkId>(0x71);
  for (const auto& [step, bytes] : messages) {
    SCOPED_TRACE(link_step_name(step));
    for (const LinkStep asked : {LinkStep::kOffer, LinkStep::kReveal, LinkStep::kGrant}) {
      EXPECT_EQ(is_link_message(asked, link_id, bytes), asked == step) << link_step_name(asked);
    }
    EXPECT_FALSE(is_link_message(step, fixed_of<LinkId>(0x72), bytes));
    EXPECT_FALSE(is_link_message(step, link_id, {}));
    for (std::size_t at = 0; at < 18; ++at) {
      Bytes changed = bytes;
      changed[at] = static_cast<char>(changed[at] ^ 1);
      EXPECT_FALSE(is_link_message(step, link_id, changed)) << at;
    }
  }
  for (const Bytes& bytes : {offer, reveal}) {
    const LinkStep step = bytes == offer ? LinkStep::kOffer : LinkStep::kReveal;
    EXPECT_FALSE(is_link_message(step, link_id, bytes + 'x'));
    EXPECT_FALSE(is_link_message(step, link_id, BytesView(bytes).substr(0, bytes.size() - 1)));
  }
}

// The grant with the smallest list that there can be, and with the largest.
TEST_F(Linking, HasGrantsWithinTheirBounds) {
  const auto granted = [](const UserId& user_id, std::uint64_t devices) {
    const Person first = person(user_id, 1, 0x11, 5, {});
    std::vector<DeviceRecord> records = {first.record};
    SeededRandom random(1);
    for (std::uint64_t id = 2; id <= devices; ++id) {
      records.push_back(
          make_device_record({user_id, DeviceId{id}, kSuitesSpoken, kThen, {}}, DeviceKeys::draw(random)));
    }
    const auto list = first_device_list(user_id, first.account_seed, records, kThen).value();
    LinkNew link = LinkNew::start(user_id, DeviceId{100}, "", kThen, random).value();
    LinkOld old = LinkOld::scan(link.text(), {user_id, DeviceId{1}, nullptr}, kThen, random).value();
    EXPECT_TRUE(old.check(link.reveal(old.offer(), nullptr, random).value()).ok());
    return std::pair(parse_link_text(link.text())->link_id, old.confirm(first.account_seed, list, random).value());
  };
  const auto [small_id, small] = granted("a", 1);
  EXPECT_TRUE(is_link_message(LinkStep::kGrant, small_id, small));
  EXPECT_FALSE(is_link_message(LinkStep::kGrant, small_id, BytesView(small).substr(0, small.size() - 1)));
  const auto [large_id, large] = granted(UserId(limits::kUserIdBytesMax, 'u'), limits::e2ee::kDevicesMax);
  EXPECT_EQ(large.size(), limits::e2ee::kLinkGrantBytesMax);
  EXPECT_TRUE(is_link_message(LinkStep::kGrant, large_id, large));
  EXPECT_FALSE(is_link_message(LinkStep::kGrant, large_id, large + 'x'));
}

TEST_F(Linking, NamesAreBounded) {
  SeededRandom random(1);
  const std::string longest(limits::e2ee::kDeviceNameBytesMax, 'n');
  EXPECT_TRUE(LinkNew::start("alice", DeviceId{3}, longest, kThen, random).ok());
  EXPECT_EQ(LinkNew::start("alice", DeviceId{3}, longest + "n", kThen, random).code(), Code::kInvalidArgument);
  EXPECT_EQ(LinkNew::start("alice", DeviceId{3}, "\xFF", kThen, random).code(), Code::kInvalidArgument);
}

}  // namespace
}  // namespace chatsdk::e2ee
