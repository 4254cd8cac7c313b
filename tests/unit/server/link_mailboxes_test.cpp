// SPDX-License-Identifier: Apache-2.0
//
// The mailboxes for linking over REST: what may be left there, by whom, in which order, how often, and how long it
// stays. What is left has the head and the size of a real message, and nothing behind them; link_flow_test.cpp has real
// ones.
//
// Threads: one.
#include "server-reference/services/link_mailboxes.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "unit/server/key_people.h"

namespace chatsdk::server {
namespace {

using std::chrono::milliseconds;
using testing::json_of;
using testing::KeyDevice;
using testing::KeyUser;
using testing::KeyWorld;
using testing::RestWorldOptions;

constexpr LinkStep kLinkSteps[] = {LinkStep::kOffer, LinkStep::kReveal, LinkStep::kGrant};
constexpr std::size_t kLinkBytes[] = {limits::e2ee::kLinkOfferBytes, limits::e2ee::kLinkRevealBytes,
                                      limits::e2ee::kLinkGrantBytesMax};

Bytes link_named(char name) { return Bytes(16, name); }

std::string link_path(LinkStep step, const std::string& link_id) {
  return "/v1/keys/links/" + link_id + "/" + std::string(link_step_name(step));
}

// What one without a key takes for a message of this step.
Bytes link_bytes(LinkStep step, const Bytes& link_id = link_named('l'), char filler = '.') {
  Bytes bytes = {'\x01', static_cast<char>(step)};
  bytes += link_id;
  bytes.resize(kLinkBytes[static_cast<std::size_t>(step) - 1], filler);
  return bytes;
}

// Ann's list names her phone; her laptop is to be linked. Bob's names his phone.
struct LinkWorld : KeyWorld {
  explicit LinkWorld(const RestWorldOptions& options = {})
      : KeyWorld(options),
        user(add_reachable("ann")),
        phone(user.device()),
        laptop(add_device(user)),
        bob(add_reachable("bob").device()) {}

  HttpResponse put_bytes(const KeyDevice& by, LinkStep step, const Bytes& bytes,
                         const std::string& link_id = to_hex(link_named('l'))) {
    wire::LinkMessage message;
    message.set_message(bytes);
    return call("PUT", link_path(step, link_id), headers(by.token), message.SerializeAsString());
  }
  // "204", or the refusal.
  std::string put(const KeyDevice& by, LinkStep step, char link = 'l', char filler = '.') {
    return refusal(put_bytes(by, step, link_bytes(step, link_named(link), filler), to_hex(link_named(link))));
  }
  std::string put_all() {
    std::string all = put(phone, LinkStep::kOffer);
    all += " " + put(laptop, LinkStep::kReveal);
    return all + " " + put(phone, LinkStep::kGrant);
  }
  HttpResponse get_link(const KeyDevice& by, LinkStep step, char link = 'l') {
    return get(link_path(step, to_hex(link_named(link))), by.token);
  }
  // The steps that somebody finds there: "offer reveal ".
  std::string found(const KeyDevice& by, char link = 'l') {
    std::string all;
    for (const LinkStep step : kLinkSteps) {
      const auto response = get_link(by, step, link);
      if (response.status == 404) continue;
      EXPECT_EQ(answer<wire::LinkMessage>(response).message(), link_bytes(step, link_named(link)));
      all += std::string(link_step_name(step)) + " ";
    }
    return all;
  }

  KeyUser& user;
  KeyDevice& phone;
  KeyDevice& laptop;
  KeyDevice& bob;
};

// ---- Requests ------------------------------------------------------------------------------------------------------

TEST(LinkRoutes, NeedALogIn) {
  LinkWorld world;
  for (const LinkStep step : kLinkSteps) {
    const std::string path = link_path(step, to_hex(link_named('l')));
    for (const char* token : {"", "nonsense"}) {
      EXPECT_EQ(KeyWorld::refusal(world.get(path, token)).substr(0, 19), "401 unauthenticated") << path;
      const auto refused = world.call("PUT", path, KeyWorld::headers(token), link_bytes(step));
      EXPECT_EQ(KeyWorld::refusal(refused).substr(0, 19), "401 unauthenticated") << path;
    }
  }
}

TEST(LinkRoutes, RefuseBodiesThatAreNone) {
  LinkWorld world;
  const int writes = world.writes;
  struct Case {
    const char* name;
    const char* type;
    Bytes body;
    const char* verdict;
  };
  const std::vector<Case> table = {
      {"no protobuf", "application/x-protobuf", "\xff\xff\xff", "400 malformed"},
      {"a field of another kind", "application/x-protobuf", "\x08\x01", "400 malformed: message: no "},
      {"nothing", "application/x-protobuf", "", "400 malformed: message: no "},
      {"no JSON", "application/json", "{", "400 malformed"},
      {"JSON that is no message", "application/json", "[]", "400 malformed"},
      {"no base64", "application/json", R"({"message":"%%%"})", "400 malformed"},
      {"a number", "application/json", R"({"message":7})", "400 malformed"},
      {"an empty object", "application/json", "{}", "400 malformed: message: no "},
      {"text", "text/plain", "offer", "415 unsupported"},
      {"no type", "", "offer", "415 unsupported"},
      {"more than a body", "application/x-protobuf", Bytes(limits::kRequestBodyBytesMax + 1, ' '), "413 too_large"},
  };
  for (const LinkStep step : kLinkSteps) {
    for (const Case& bad : table) {
      KeyWorld::Headers headers = KeyWorld::headers(world.phone.token);
      headers["content-type"] = bad.type;
      const auto refused = world.call("PUT", link_path(step, to_hex(link_named('l'))), headers, bad.body);
      EXPECT_TRUE(KeyWorld::refusal(refused).starts_with(bad.verdict))
          << bad.name << ": " << KeyWorld::refusal(refused);
    }
  }
  EXPECT_EQ(world.writes, writes);
}

TEST(LinkRoutes, TakeAndGiveJsonToo) {
  LinkWorld world;
  const std::string path = link_path(LinkStep::kOffer, to_hex(link_named('l')));
  // 90 bytes: 0x01 0x01, sixteen times 'l', and zeros.
  const std::string base64 = "AQFsbGxsbGxsbGxsbGxsbGxs" + std::string(96, 'A');
  const KeyWorld::Headers headers = {{"content-type", "application/json"},
                                     {"accept", "application/json"},
                                     {"authorization", "Bearer " + world.phone.token}};
  EXPECT_EQ(world.call("PUT", path, headers, R"({"message":")" + base64 + "\"}").status, 204);
  const auto read = world.call("GET", path, headers);
  EXPECT_EQ(read.status, 200);
  EXPECT_EQ(json_of(read), (nlohmann::json{{"message", base64}}));
  EXPECT_EQ(KeyWorld::answer<wire::LinkMessage>(world.get_link(world.laptop, LinkStep::kOffer)).message(),
            link_bytes(LinkStep::kOffer, link_named('l'), '\0'));
}

TEST(LinkRoutes, TakeOneSpellingOfALinkId) {
  LinkWorld world;
  const std::string good = "00112233445566778899aabbccddeeff";
  const std::vector<std::string> bad = {good.substr(1),
                                        good.substr(2),
                                        good + "00",
                                        "7",
                                        "00112233445566778899AABBCCDDEEFF",
                                        "00112233445566778899aabbccddeefg",
                                        "0x112233445566778899aabbccddeeff",
                                        "00112233-4455-6677-8899-aabbccddeeff",
                                        "ABEiM0RVZneImaq7zN3u_w",
                                        "00112233445566778899aabbccddee%66",
                                        " 0112233445566778899aabbccddeeff",
                                        "..",
                                        std::string(1'000, 'a')};
  const int writes = world.writes;
  for (const std::string& link_id : bad) {
    const std::string refusal = "400 invalid_argument: link_id in the path is not 32 lower-case hexadecimal digits";
    for (const LinkStep step : kLinkSteps) {
      EXPECT_EQ(KeyWorld::refusal(world.put_bytes(world.phone, step, link_bytes(step), link_id)), refusal) << link_id;
      EXPECT_EQ(KeyWorld::refusal(world.get(link_path(step, link_id), world.phone.token)), refusal) << link_id;
    }
  }
  EXPECT_EQ(world.writes, writes);
  EXPECT_EQ(KeyWorld::refusal(world.get(link_path(LinkStep::kOffer, good), world.phone.token)),
            "404 not_found: no offer is there");
}

TEST(LinkRoutes, TakeOfEachStepItsMessages) {
  LinkWorld world;
  const int writes = world.writes;
  for (const LinkStep step : kLinkSteps) {
    const KeyDevice& by = step == LinkStep::kReveal ? world.laptop : world.phone;
    const std::string name(link_step_name(step));
    const std::string malformed = "400 malformed: message: no " + name + " of this linking";
    const Bytes good = link_bytes(step);
    const auto refusal = [&](const Bytes& bytes) { return KeyWorld::refusal(world.put_bytes(by, step, bytes)); };
    EXPECT_EQ(refusal(link_bytes(step, link_named('m'))), malformed) << "of another linking";
    EXPECT_EQ(refusal(good.substr(0, 18)), malformed);
    EXPECT_EQ(refusal("\x02" + good.substr(1)), malformed) << "another version";
    for (const LinkStep other : kLinkSteps) {
      if (other == step) continue;
      Bytes bytes = link_bytes(other);
      bytes.resize(good.size(), '.');
      EXPECT_EQ(refusal(bytes), malformed) << link_step_name(other);
    }
    EXPECT_EQ(refusal(good + "."), "413 too_large: message: " + name + " of " + std::to_string(good.size() + 1) +
                                       " B, limit " + std::to_string(good.size()) + " B");
    if (step != LinkStep::kGrant) {
      EXPECT_EQ(refusal(good.substr(0, good.size() - 1)), malformed);
    }
  }
  EXPECT_EQ(world.writes, writes) << "what is refused for its bytes is not looked up";
  EXPECT_EQ(world.put_all(), "204 204 204") << "each at its largest";
}

// ---- Steps ---------------------------------------------------------------------------------------------------------

TEST(LinkMailbox, IsReadByEachDeviceOfItsUser) {
  LinkWorld world;
  EXPECT_EQ(world.found(world.laptop), "");
  EXPECT_EQ(world.put(world.phone, LinkStep::kOffer), "204");
  EXPECT_EQ(world.found(world.laptop), "offer ");
  EXPECT_EQ(world.put(world.laptop, LinkStep::kReveal), "204");
  EXPECT_EQ(world.found(world.phone), "offer reveal ");
  EXPECT_EQ(world.put(world.phone, LinkStep::kGrant), "204");
  EXPECT_EQ(world.found(world.laptop), "offer reveal grant ");
  EXPECT_EQ(world.found(world.phone), "offer reveal grant ");
}

TEST(LinkMailbox, IsOneUsers) {
  LinkWorld world;
  EXPECT_EQ(world.put_all(), "204 204 204");
  EXPECT_EQ(world.found(world.bob), "");
  EXPECT_EQ(world.put(world.bob, LinkStep::kOffer, 'l', 'b'), "204") << "his own, of the same name";
  EXPECT_EQ(world.found(world.laptop), "offer reveal grant ");
}

TEST(LinkMailbox, KeepsTheStepsInTheirOrder) {
  LinkWorld world;
  EXPECT_EQ(world.put(world.laptop, LinkStep::kReveal), "409 conflict: reveal without offer, or its time is over");
  EXPECT_EQ(world.put(world.phone, LinkStep::kGrant), "409 conflict: grant without reveal, or its time is over");
  EXPECT_EQ(world.put(world.phone, LinkStep::kOffer), "204");
  EXPECT_EQ(world.put(world.phone, LinkStep::kGrant), "409 conflict: grant without reveal, or its time is over");
  EXPECT_EQ(world.found(world.phone), "offer ");
}

TEST(LinkMailbox, TakesEachStepOfWhoseItIs) {
  LinkWorld world;
  KeyDevice& tablet = world.add_device(world.user);
  ASSERT_EQ(
      world
          .post("/v1/keys/lists", tablet.token, testing::upload_of({world.user.next({tablet.record})}, {tablet.record}))
          .status,
      204);
  EXPECT_EQ(world.put(world.laptop, LinkStep::kOffer), "403 forbidden: the device is not in its user's device list");
  EXPECT_EQ(world.put(world.phone, LinkStep::kOffer), "204");
  EXPECT_EQ(world.put(tablet, LinkStep::kReveal), "403 forbidden: the device is in its user's device list already");
  EXPECT_EQ(world.put(world.laptop, LinkStep::kReveal), "204");
  EXPECT_EQ(world.put(world.laptop, LinkStep::kGrant), "403 forbidden: the device is not in its user's device list");
  EXPECT_EQ(world.put(tablet, LinkStep::kGrant), "403 forbidden: the offer is another device's");
  EXPECT_EQ(world.found(world.laptop), "offer reveal ");
}

TEST(LinkMailbox, IsNotChangedByARepeatNorByAnythingElse) {
  LinkWorld world;
  EXPECT_EQ(world.put_all(), "204 204 204");
  EXPECT_EQ(world.put_all(), "204 204 204");
  EXPECT_EQ(world.put(world.phone, LinkStep::kOffer, 'l', '!'), "409 conflict: another offer is in the mailbox");
  EXPECT_EQ(world.put(world.laptop, LinkStep::kReveal, 'l', '!'), "409 conflict: another reveal is in the mailbox");
  EXPECT_EQ(world.put(world.phone, LinkStep::kGrant, 'l', '!'), "409 conflict: another grant is in the mailbox");
  EXPECT_EQ(world.found(world.phone), "offer reveal grant ");
}

TEST(LinkMailbox, OutlivesARestart) {
  LinkWorld world;
  EXPECT_EQ(world.put(world.phone, LinkStep::kOffer), "204");
  world.restart();
  EXPECT_EQ(world.found(world.laptop), "offer ");
  EXPECT_EQ(world.put(world.phone, LinkStep::kOffer), "204") << "whose answer was lost";
  EXPECT_EQ(world.put(world.phone, LinkStep::kOffer, 'l', '!'), "409 conflict: another offer is in the mailbox");
  EXPECT_EQ(world.put(world.laptop, LinkStep::kReveal), "204");
  world.restart();
  EXPECT_EQ(world.found(world.laptop), "offer reveal ");
  world.clock.advance(limits::e2ee::kLinkValid);
  world.restart();
  EXPECT_EQ(world.found(world.laptop), "");
}

TEST(LinkMailbox, AnswersWhatIsStoredAndNothingElse) {
  LinkWorld world;
  world.write_failure = error(Code::kStorageFull, "no room");
  EXPECT_EQ(world.put(world.phone, LinkStep::kOffer), "507 storage_full: the server's storage is full");
  world.write_failure.reset();
  EXPECT_EQ(world.found(world.phone), "");
  EXPECT_EQ(world.put(world.phone, LinkStep::kOffer), "204");
}

TEST(LinkMailbox, EndsItsTimeAfterTheOffer) {
  LinkWorld world;
  EXPECT_EQ(world.put(world.phone, LinkStep::kOffer), "204");
  world.clock.advance(limits::e2ee::kLinkValid - milliseconds(1));
  EXPECT_EQ(world.put(world.laptop, LinkStep::kReveal), "204");
  EXPECT_EQ(world.found(world.phone), "offer reveal ");
  world.clock.advance(milliseconds(1));
  EXPECT_EQ(world.found(world.phone), "");
  EXPECT_EQ(world.put(world.phone, LinkStep::kGrant), "409 conflict: grant without reveal, or its time is over");
  EXPECT_EQ(world.put(world.phone, LinkStep::kOffer), "204") << "a new one of the name";
  EXPECT_EQ(world.found(world.phone), "offer ");
}

TEST(LinkMailbox, GoesWithEitherDevice) {
  for (const bool old : {false, true}) {
    LinkWorld world;
    EXPECT_EQ(world.put_all(), "204 204 204");
    const KeyDevice& gone = old ? world.phone : world.laptop;
    const KeyDevice& other = old ? world.laptop : world.phone;
    ASSERT_EQ(world.with_token("DELETE", "/v1/devices/" + std::to_string(gone.id.value), other.token).status, 204);
    EXPECT_EQ(world.found(other), "");
  }
}

// ---- How many, and how often ---------------------------------------------------------------------------------------

TEST(LinkLimits, OneMailboxMoreThanAUserMayHaveEndsTheOldest) {
  LinkWorld world;
  for (std::size_t i = 0; i <= limits::e2ee::kLinkMailboxesMax; ++i) {
    EXPECT_EQ(world.put(world.phone, LinkStep::kOffer, static_cast<char>('A' + i)), "204");
    world.clock.advance(milliseconds(1'500));
  }
  EXPECT_EQ(world.get_link(world.laptop, LinkStep::kOffer, 'A').status, 404);
  EXPECT_EQ(world.get_link(world.laptop, LinkStep::kOffer, 'B').status, 200);
}

TEST(LinkLimits, CallsOfAUser) {
  RestWorldOptions options;
  options.links.calls_per_user = {3, milliseconds(2'500)};
  LinkWorld world(options);
  EXPECT_EQ(world.put(world.phone, LinkStep::kOffer), "204");
  EXPECT_EQ(world.get_link(world.laptop, LinkStep::kOffer).status, 200);
  EXPECT_EQ(world.get_link(world.laptop, LinkStep::kGrant).status, 404);
  for (const KeyDevice* by : {&world.phone, &world.laptop}) {
    const auto refused = world.get_link(*by, LinkStep::kOffer);
    EXPECT_EQ(KeyWorld::refusal(refused), "429 rate_limited: too many calls for linkings");
    EXPECT_EQ(refused.headers.at("retry-after"), "3");
  }
  EXPECT_EQ(world.put(world.laptop, LinkStep::kReveal), "429 rate_limited: too many calls for linkings");
  EXPECT_EQ(world.get_link(world.bob, LinkStep::kOffer).status, 404) << "another user";
  world.clock.advance(milliseconds(2'499));
  EXPECT_EQ(world.get_link(world.phone, LinkStep::kReveal).status, 429);
  world.clock.advance(milliseconds(1));
  EXPECT_EQ(world.get_link(world.phone, LinkStep::kReveal).status, 404) << "nothing was left meanwhile";
}

TEST(LinkLimits, LetTwoDevicesAskEachSecondUntilTheTimeIsOver) {
  LinkWorld world;
  EXPECT_EQ(world.put(world.phone, LinkStep::kOffer), "204");
  for (milliseconds passed{0}; passed < limits::e2ee::kLinkValid; passed += std::chrono::seconds(1)) {
    ASSERT_EQ(world.get_link(world.laptop, LinkStep::kGrant).status, 404) << passed.count();
    ASSERT_EQ(world.get_link(world.phone, LinkStep::kReveal).status, 404) << passed.count();
    world.clock.advance(std::chrono::seconds(1));
  }
}

TEST(LinkLimits, TheDefaultsAreThoseOfTheSpecification) {
  const LinkMailboxOptions options;
  EXPECT_EQ(options.calls_per_user.burst, 64u);
  EXPECT_EQ(options.calls_per_user.refill, milliseconds(250));
  EXPECT_EQ(limits::e2ee::kLinkMailboxesMax, 8u);
}

// ---- The log -------------------------------------------------------------------------------------------------------

TEST(LinkLog, NamesNoLinkAndNoMessage) {
  LinkWorld world;
  EXPECT_EQ(world.put_all(), "204 204 204");
  world.put(world.phone, LinkStep::kOffer, 'l', '!');
  world.put(world.laptop, LinkStep::kOffer, 'm');
  world.put(world.phone, LinkStep::kReveal);
  world.put_bytes(world.phone, LinkStep::kOffer, "llllllllllllllll");
  world.get(link_path(LinkStep::kOffer, "llllllllllllllll"), world.phone.token);
  world.get(link_path(LinkStep::kOffer, to_hex(link_named('l'))), "");
  EXPECT_GE(world.log.with("/v1/keys/links/{link_id}/").size(), 6U);
  for (const std::string& secret : {to_hex(link_named('l')).substr(0, 8), to_hex(link_named('m')).substr(0, 8),
                                    std::string(4, 'l'), std::string(8, '.')}) {
    EXPECT_TRUE(world.log.with(secret).empty()) << world.log.with(secret).front();
  }
}

TEST(LinkLog, HasNoLineForWhoWaits) {
  LinkWorld world;
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(KeyWorld::refusal(world.get_link(world.phone, LinkStep::kOffer)), "404 not_found: no offer is there");
  }
  EXPECT_TRUE(world.log.with("refused").empty()) << world.log.with("refused").front();
}

}  // namespace
}  // namespace chatsdk::server
