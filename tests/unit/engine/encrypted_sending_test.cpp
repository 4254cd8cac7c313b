// SPDX-License-Identifier: Apache-2.0
//
// What leaves a device for an encrypted conversation, with a server that the test plays by hand: which bundles are
// waited for, what a refusal for the lists has encrypted anew and for whom, under which identity, what is staged over a
// connection that breaks, and when the store's log is cleared of the keys.
#include <gmock/gmock.h>

#include <algorithm>
#include <filesystem>
#include <set>

#include "e2ee/outcome.h"
#include "unit/engine/encrypted_sending.h"

namespace chatsdk::test {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// ---- Lists ---------------------------------------------------------------------------------------------------------

// A name that nobody can have, as when it was mistyped, holds up its own message only.
TEST_F(EncryptedSending, ANameThatTheServerRefusesHoldsUpNobodyElse) {
  begin_account();
  go_online();
  const auto lists_asked = [this] {
    std::vector<std::set<std::string>> all;
    for (const auto id : http_.requests("POST /v1/keys/lists/query")) {
      wire::DeviceListsRequest request;
      EXPECT_TRUE(request.ParseFromString(http_.exchange(id).request.body));
      std::set<std::string>& users = all.emplace_back();
      for (const auto& user : request.users()) users.insert(user.user_id());
    }
    return all;
  };
  // As the server does: it refuses the whole question.
  std::set<FakeHttp::RequestId> answered;
  const auto answer_all = [&] {
    static const std::string kBad = "bob ";
    for (std::size_t at = 0; at < lists_asked().size(); ++at) {
      const auto id = http_.requests("POST /v1/keys/lists/query")[at];
      if (!answered.insert(id).second) continue;
      const auto users = lists_asked()[at];
      if (users.count(kBad) != 0) {
        http_.answer(id, problem_response(400, Code::kInvalidArgument));
      } else {
        wire::DeviceLists answer;
        for (const std::string& user : users) {
          wire::DeviceLists::OfUser& of = *answer.add_users();
          of.set_user_id(user);
          if (user != "bob") continue;
          of.set_newest_version(1);
          of.add_lists(bob_.list.bytes);
          of.add_records(bob_.record.bytes);
        }
        http_.answer(id, protobuf_response(answer));
      }
      run();
    }
  };
  const auto mistyped = client_->direct_conversation("bob ", true);
  ASSERT_TRUE(mistyped.ok());
  ASSERT_TRUE(client_->send_text(*mistyped, "to nobody", {}).ok());
  ASSERT_TRUE(send("to bob").ok());
  run();
  for (int i = 0; i < 6 && bundles_asked().empty(); ++i) {
    answer_all();
    advance(std::chrono::seconds(3));
  }
  ASSERT_THAT(bundles_asked(), SizeIs(1));
  give_bundles(bundles_asked().front());
  ASSERT_THAT(sends(), SizeIs(1));
  EXPECT_EQ(sends().front().peer_user_id(), "bob");
  // It is not asked for without an end.
  const std::size_t before = lists_asked().size();
  for (int i = 0; i < 100; ++i) {
    answer_all();
    advance(std::chrono::seconds(6));
  }
  EXPECT_LE(lists_asked().size() - before, 25U);
}

// The server names one of those that it is asked for at least.
TEST_F(EncryptedSending, AnAnswerForListsThatNamesNobodyIsNotAskedForAgainAtOnce) {
  begin_account();
  serve_own_keys();
  wire::DeviceLists answer;
  std::size_t asked = 0;
  http_.respond = [&, others = http_.respond](const HttpRequest& request) -> std::optional<Result<HttpResponse>> {
    wire::DeviceListsRequest about;
    const bool of_lists = request.url.ends_with("/v1/keys/lists/query") && about.ParseFromString(request.body);
    if (!of_lists || about.users(0).user_id() != "bob") return others(request);
    if (++asked > 100) return std::nullopt;
    return protobuf_response(answer);
  };
  go_online();
  ASSERT_TRUE(send("hello").ok());
  for (int i = 0; i < 600; ++i) advance(std::chrono::seconds(1));
  EXPECT_GE(asked, 10U);
  EXPECT_LE(asked, 20U) << "after 1, 2, 4 seconds, up to a minute";
  EXPECT_THAT(sink_.encryption_events, IsEmpty()) << "nobody has said that there are no keys";

  answer.add_users()->set_user_id("bob");
  for (int i = 0; i < 600; ++i) advance(std::chrono::seconds(1));
  EXPECT_LE(asked, 40U);
  EXPECT_THAT(sink_.encryption_events, ElementsAre(e2ee::Event{e2ee::EventKind::kPeerWithoutKeys, "bob", {}}));
  wire::DeviceLists::OfUser& bob = *answer.mutable_users(0);
  bob.set_newest_version(1);
  bob.add_lists(bob_.list.bytes);
  bob.add_records(bob_.record.bytes);
  advance(std::chrono::minutes(1));
  EXPECT_THAT(bundles_asked(), SizeIs(1));
}

// Account keys that are made up cost nothing, nor do lists under one of them.
class MadeUpInEachAnswer : public EncryptedSending {
 protected:
  // How often bob's lists are asked for in ten minutes of a server that says of each answer, and of each bundle, that
  // there are newer ones.
  std::size_t asked_with(const std::function<void(wire::DeviceLists::OfUser&)>& make_up) {
    begin_account();
    serve_own_keys();
    std::size_t asked = 0;
    http_.respond = [&, others = http_.respond](const HttpRequest& request) -> std::optional<Result<HttpResponse>> {
      wire::DeviceListsRequest about;
      wire::BundlesRequest of;
      if (request.url.ends_with("/v1/keys/bundles") && of.ParseFromString(request.body)) {
        wire::Bundles none;
        none.set_list_version(kNewest);
        return protobuf_response(none);
      }
      const bool of_lists = request.url.ends_with("/v1/keys/lists/query") && about.ParseFromString(request.body);
      if (!of_lists || about.users(0).user_id() != "bob") return others(request);
      if (++asked > 200) return std::nullopt;
      wire::DeviceLists answer;
      wire::DeviceLists::OfUser& bob = *answer.add_users();
      bob.set_user_id("bob");
      bob.set_newest_version(kNewest);
      make_up(bob);
      return protobuf_response(answer);
    };
    go_online();
    EXPECT_TRUE(send("hello").ok());
    for (int i = 0; i < 600; ++i) advance(std::chrono::seconds(1));
    http_.respond = nullptr;
    return asked;
  }
  // As many devices as it likes: bundles are wanted of each.
  static e2ee::DeviceRecord device(std::uint64_t number) { return e2ee::person("bob", number, 0x61, 1, {}).record; }

  static constexpr std::uint64_t kNewest = std::uint64_t{1} << 62;
};

TEST_F(MadeUpInEachAnswer, AnotherIdentityIsNotAskedForAgainAtOnce) {
  std::uint64_t made = 0;
  const std::size_t asked = asked_with([&made](wire::DeviceLists::OfUser& bob) {
    const e2ee::DeviceRecord record = device(1'000 + ++made);
    Bytes seed(32, 'm');
    seed[0] = static_cast<char>(made);
    bob.add_lists(e2ee::first_device_list("bob", e2ee::SigningSeed::copy_of(seed), {&record, 1}, e2ee::kThen)->bytes);
    bob.add_records(record.bytes);
  });
  EXPECT_GE(asked, 5U);
  EXPECT_LE(asked, 20U);
}

TEST_F(MadeUpInEachAnswer, MoreListsAreNotAskedForAtOnceWithoutEnd) {
  std::optional<e2ee::DeviceList> last;
  const std::size_t asked = asked_with([&last](wire::DeviceLists::OfUser& bob) {
    const e2ee::SigningSeed seed = e2ee::SigningSeed::copy_of(Bytes(32, 'm'));
    const e2ee::DeviceRecord record = device(1'000);
    for (std::size_t i = 0; i < limits::e2ee::kListVersionsMax; ++i) {
      last = last ? *e2ee::next_device_list(*last, seed, {}, {}, e2ee::kThen)
                  : *e2ee::first_device_list("bob", seed, {&record, 1}, e2ee::kThen);
      bob.add_lists(last->bytes);
    }
    bob.add_records(record.bytes);
  });
  EXPECT_GE(asked, limits::e2ee::kListsAtOnce) << "at once";
  EXPECT_LE(asked, limits::e2ee::kListsAtOnce + 20U);
}

// Whom an answer has no room for is asked for again at once.
TEST_F(EncryptedSending, WhomAnAnswerLeavesOutIsAskedForAgain) {
  begin_account();
  serve_own_keys();
  std::vector<std::set<std::string>> asked;
  http_.respond = [&, others = http_.respond](const HttpRequest& request) -> std::optional<Result<HttpResponse>> {
    wire::DeviceListsRequest about;
    const bool of_lists = request.url.ends_with("/v1/keys/lists/query") && about.ParseFromString(request.body);
    if (!of_lists || about.users(0).user_id() == "alice") return others(request);
    std::set<std::string>& users = asked.emplace_back();
    for (const auto& user : about.users()) users.insert(user.user_id());
    wire::DeviceLists answer;
    answer.add_users()->set_user_id(*users.begin());
    return protobuf_response(answer);
  };
  go_online();
  drop();
  const auto with_carol = client_->direct_conversation("carol", true);
  ASSERT_TRUE(with_carol.ok());
  ASSERT_TRUE(send("to bob").ok());
  ASSERT_TRUE(client_->send_text(*with_carol, "to carol", {}).ok());
  while (asked.empty()) advance(std::chrono::milliseconds(100));
  EXPECT_THAT(asked, ElementsAre(std::set<std::string>{"bob", "carol"}, std::set<std::string>{"carol"}));
}

// ---- The own identity ----------------------------------------------------------------------------------------------

class NewIdentity : public EncryptedSending {
 protected:
  NewIdentity() {
    begin_account();
    serve_own_keys();
    go_online();
    deliver_and_run(items_frame(kStream, 0, {roster_with_lists({bobs_list()})}));
    first_key_ = own_key();
    EXPECT_EQ(client_->encryption_state(), EncryptionState::kReady);
  }
  void ask() {
    ASSERT_TRUE(client_->replace_account().ok());
    run();
  }
  // Once the conversation's roster has the new list.
  void speak_as_another() {
    EXPECT_EQ(own_key(), server_lists_.front().account_key);
    EXPECT_NE(own_key(), first_key_);
    wire::Item roster = encrypted_roster(2, 2);
    wire::SignedList& own = *roster.mutable_roster()->add_lists();
    own.set_list(server_lists_.back().bytes);
    for (const Bytes& record : server_records_) own.add_records(record);
    deliver_and_run(items_frame(kStream, 1, {roster}));
    send_whole("as another");
    EXPECT_THAT(sends(), SizeIs(1));
  }
  e2ee::SigningKey own_key() { return e2ee_->state().user("alice").value()->account_key; }
  e2ee::SigningKey first_key_;
};

TEST_F(NewIdentity, TakesThePlaceOfTheOldOneWhenTheServerHasTakenIt) {
  ask();
  EXPECT_EQ(client_->encryption_state(), EncryptionState::kReady);
  ASSERT_THAT(server_lists_, SizeIs(1));
  EXPECT_EQ(server_lists_.front().version, 2U);
  speak_as_another();
}

TEST_F(NewIdentity, ThatTheServerRefusesLeavesTheOldOneInForce) {
  list_refusal_ = Code::kLimitReached;
  ask();
  advance(std::chrono::minutes(2));
  EXPECT_THAT(http_.requests("POST /v1/keys/lists"), SizeIs(1)) << "it is given up";
  EXPECT_EQ(client_->encryption_state(), EncryptionState::kReady);
  EXPECT_EQ(own_key(), first_key_);
  send_whole("still me");
  EXPECT_THAT(sends(), SizeIs(1));
}

// The answer was lost with the connection, and the program ended: the server's list says whose the account is.
TEST_F(NewIdentity, ThatTheServerHasTakenUnheardIsFoundByAsking) {
  http_.respond = [this, others = http_.respond](const HttpRequest& request) -> std::optional<Result<HttpResponse>> {
    auto answer = others(request);
    if (!request.url.ends_with("/v1/keys/lists")) return answer;
    return std::nullopt;
  };
  ask();
  ASSERT_EQ(server_lists_.front().version, 2U);
  EXPECT_EQ(own_key(), first_key_);
  restart();
  client_->start();
  run();
  EXPECT_EQ(client_->encryption_state(), EncryptionState::kReady);
  speak_as_another();
}

// Another device did the same in between, and the key that this one has drawn was replaced with nobody looking.
TEST_F(NewIdentity, BehindAnothersIsOfAKeyThatNobodyHasSeen) {
  list_refusal_ = Code::kConflict;
  ask();
  const auto uploaded = [this] {
    wire::DeviceListUpload upload;
    EXPECT_TRUE(upload.ParseFromString(http_.exchange(http_.requests("POST /v1/keys/lists").back()).request.body));
    return e2ee::parse_device_list(upload.lists(0))->account_key;
  };
  const e2ee::SigningKey drawn = uploaded();
  advance(std::chrono::seconds(3));
  EXPECT_EQ(uploaded(), drawn);
  const e2ee::Person other = e2ee::person("alice", 8, 0x61, 1, {});
  server_lists_ = {e2ee::next_device_list(*e2ee::parse_device_list(own_.list), other.account_seed, {&other.record, 1},
                                          std::vector<DeviceId>{DeviceId{kDevice}}, e2ee::kThen)
                       .value()};
  server_records_ = {other.record.bytes};
  list_refusal_.reset();
  advance(std::chrono::minutes(2));
  EXPECT_EQ(server_lists_.front().version, 3U);
  EXPECT_EQ(own_key(), server_lists_.front().account_key);
  EXPECT_NE(own_key(), drawn);
  EXPECT_EQ(client_->encryption_state(), EncryptionState::kReady);
}

TEST_F(NewIdentity, ThatARestoredServerHasLostTakesTheOldOnesPlaceAgain) {
  const auto before = server_lists_;
  ask();
  const e2ee::SigningKey replacement = own_key();
  ASSERT_NE(replacement, first_key_);
  drop();
  ++epoch_;
  server_lists_ = before;
  advance(std::chrono::minutes(2));
  ASSERT_EQ(client_->connection_state(), ConnectionState::kOnline);
  EXPECT_EQ(own_key(), replacement);
  ASSERT_THAT(server_lists_, SizeIs(1));
  EXPECT_EQ(server_lists_.front().account_key, replacement);
}

// A server that went back takes nothing of a device that stands in no list, and says so for good.
class RestoredServer : public EncryptedSending {
 protected:
  RestoredServer() {
    begin_account();
    serve_own_keys();
    go_online();
    deliver_and_run(items_frame(kStream, 0, {roster_with_lists({bobs_list()})}));
  }
  // From before alice's list; what she uploads waits.
  void restore() {
    drop();
    ++epoch_;
    server_lists_.clear();
    list_refusal_ = Code::kUnavailable;
    reconnect();
  }
  void reconnect() {
    advance(std::chrono::minutes(2));
    ASSERT_EQ(client_->connection_state(), ConnectionState::kOnline);
    EXPECT_TRUE(server_lists_.empty());
    EXPECT_THAT(sends(), IsEmpty());
  }
  void take_the_list() {
    list_refusal_.reset();
    advance(std::chrono::minutes(2));
    EXPECT_THAT(server_lists_, SizeIs(1));
  }
};

TEST_F(RestoredServer, GetsNothingNewBeforeTheOwnList) {
  restore();
  send_whole("waits");
  EXPECT_THAT(sends(), IsEmpty());
  EXPECT_THAT(bundles_asked(), IsEmpty());
  take_the_list();
  ASSERT_THAT(bundles_asked(), SizeIs(1));
  give_bundles(bundles_asked().front());
  EXPECT_THAT(sends(), SizeIs(1));
}

TEST_F(RestoredServer, GetsNothingAgainBeforeTheOwnList) {
  send_whole("unanswered");
  ASSERT_THAT(sends(), SizeIs(1));
  const wire::Send before = sends().front();
  restore();
  take_the_list();
  ASSERT_THAT(sends(), SizeIs(1));
  EXPECT_EQ(sends().front().client_message_id(), before.client_message_id());
  EXPECT_EQ(sends().front().slices(0).message(), before.slices(0).message());
}

TEST_F(RestoredServer, GetsNothingBeforeTheOwnListAfterARestart) {
  send_whole("unanswered");
  restore();
  restart();
  client_->start();
  reconnect();
  take_the_list();
  EXPECT_THAT(sends(), SizeIs(1));
}

// The list was there all the time.
TEST_F(RestoredServer, GetsAllOnceItHasNamedTheOwnList) {
  send_whole("unanswered");
  drop();
  ++epoch_;
  advance(std::chrono::minutes(2));
  ASSERT_EQ(client_->connection_state(), ConnectionState::kOnline);
  EXPECT_THAT(http_.requests("POST /v1/keys/lists"), IsEmpty());
  EXPECT_THAT(sends(), SizeIs(1));
}

// ---- Linking -------------------------------------------------------------------------------------------------------

TEST_F(EncryptedSending, NoDeviceIsLinkedBeyondTheLimit) {
  begin_account();
  go_online();
  const auto fill = [this](std::size_t devices) {
    const auto written = e2ee_->write([&](E2eeTransaction& tx) -> Status {
      CHATSDK_ASSIGN(const e2ee::Self* self, tx.state().self());
      CHATSDK_ASSIGN(const e2ee::KnownUser* own, tx.state().user("alice"));
      std::vector<e2ee::DeviceRecord> added;
      for (std::size_t i = own->newest().devices.size(); i < devices; ++i) {
        added.push_back(e2ee::make_device_record({"alice", DeviceId{500 + i}, e2ee::kSuitesSpoken, e2ee::kThen, {}},
                                                 e2ee::DeviceKeys::draw(random_)));
      }
      CHATSDK_ASSIGN(const auto next,
                     e2ee::next_device_list(own->newest(), self->account_seed, added, {}, e2ee::kThen));
      std::vector<Bytes> records;
      for (const e2ee::DeviceRecord& record : added) records.push_back(record.bytes);
      const Bytes lists[] = {next.bytes};
      const auto learned = e2ee::learn_lists(tx.state(), "alice", lists, records, e2ee::kThen);
      return learned.ok() ? Status() : Status(learned.error());
    });
    ASSERT_TRUE(written.ok()) << written.error().detail;
  };
  const auto now = static_cast<std::uint64_t>(to_unix_ms(clock_.wall_now()));
  const auto fresh = e2ee::LinkNew::start("alice", DeviceId{900}, "tablet", now, random_);
  ASSERT_TRUE(fresh.ok());
  fill(limits::e2ee::kDevicesMax);
  EXPECT_EQ(client_->scan_link(fresh->text()).code(), Code::kLimitReached);
}

// The device that shows the text goes by the server's clock, as this one does, whatever its own says.
TEST_F(EncryptedSending, ATextToLinkIsJudgedByTheServersClock) {
  begin_account();
  go_online();
  const auto text = [this](WallTime now) {
    const auto now_ms = static_cast<std::uint64_t>(to_unix_ms(now));
    return e2ee::LinkNew::start("alice", DeviceId{900}, "tablet", now_ms, random_).value().text();
  };
  const WallTime servers = clock_.wall_now();
  for (const auto by : {std::chrono::minutes(11), std::chrono::minutes(-22)}) {
    clock_.jump_wall(by);
    EXPECT_TRUE(client_->scan_link(text(servers)).ok());
    client_->cancel_link();
    run();
  }
  const std::string old = text(servers);
  advance(limits::e2ee::kLinkValid - std::chrono::milliseconds(1));
  EXPECT_TRUE(client_->scan_link(old).ok());
  client_->cancel_link();
  advance(std::chrono::milliseconds(1));
  EXPECT_EQ(client_->scan_link(old).code(), e2ee::kBadMessage) << "the own clock would take it";
}

// The device has slept, which ended its connection: what the server's clock had shown says nothing any more.
TEST_F(EncryptedSending, ATextToLinkIsNotJudgedByTheClockOfAConnectionThatWasLost) {
  begin_account();
  go_online();
  const auto now_ms = static_cast<std::uint64_t>(to_unix_ms(clock_.wall_now()));
  const std::string text = e2ee::LinkNew::start("alice", DeviceId{900}, "tablet", now_ms, random_).value().text();
  auto_welcome_ = false;
  clock_.jump_wall(limits::e2ee::kLinkValid);
  drop();
  EXPECT_EQ(client_->scan_link(text).code(), e2ee::kBadMessage);
}

// ---- Bundles -------------------------------------------------------------------------------------------------------

TEST_F(EncryptedSending, WaitsForTheBundleAndHandsOutNoText) {
  begin();
  ASSERT_TRUE(send("a secret").ok());
  run();
  EXPECT_THAT(sends(), IsEmpty());
  ASSERT_THAT(bundles_asked(), SizeIs(1));
  give_bundles(bundles_asked().front());
  ASSERT_THAT(sends(), SizeIs(1));
  const wire::Send frame = sends().front();
  EXPECT_TRUE(frame.content().empty());
  EXPECT_EQ(frame.roster_revision(), 1u);
  EXPECT_EQ(frame.encryption_counter(), 1u);
  EXPECT_THAT(receivers(frame), ElementsAre(2));
  EXPECT_EQ(frame.SerializeAsString().find("a secret"), std::string::npos);
}

// The message waits, and the bundle is asked for again.
class RefusedBundle : public EncryptedSending {
 protected:
  void SetUp() override {
    begin();
    ASSERT_TRUE(send("a secret").ok());
    run();
  }
  // The next question comes so long behind the answer, and not before.
  void answer_and_be_asked_again(const wire::Bundles& bundles, std::chrono::milliseconds pause) {
    const std::size_t asked = bundles_asked().size();
    http_.answer(bundles_asked().back(), protobuf_response(bundles));
    advance(pause - std::chrono::milliseconds(1));
    EXPECT_THAT(bundles_asked(), SizeIs(asked));
    EXPECT_THAT(sends(), IsEmpty());
    advance(std::chrono::milliseconds(2));
    ASSERT_THAT(bundles_asked(), SizeIs(asked + 1));
  }
};

TEST_F(RefusedBundle, ThatTheServerHasNone) {
  answer_and_be_asked_again({}, limits::e2ee::kBundlePauseFirst);
  answer_and_be_asked_again({}, 2 * limits::e2ee::kBundlePauseFirst);
  give_bundles(bundles_asked().back());
  EXPECT_THAT(sends(), SizeIs(1));
}

TEST_F(RefusedBundle, ThatDoesNotVerify) {
  wire::Bundles answer;
  wire::Bundle& forged = *answer.add_bundles() = bundle_of(bob_);
  forged.mutable_signed_prekey()->back() ^= 1;
  answer_and_be_asked_again(answer, limits::e2ee::kBundlePause);
  give_bundles(bundles_asked().back());
  EXPECT_THAT(sends(), SizeIs(1));
}

// What has failed behind it is the app's to settle, and holds up only what stands behind that.
TEST_F(EncryptedSending, GoesAheadOfWhatHasFailedBehindItOnceItsBundleIsHere) {
  options_.send_time_limit = std::chrono::minutes(10);
  begin();
  const auto one = send("one");
  const auto two = send("two");
  ASSERT_TRUE(one.ok() && two.ok());
  advance(std::chrono::minutes(10));
  ASSERT_EQ(state(one->id), MessageState::kFailed);
  ASSERT_EQ(state(two->id), MessageState::kFailed);
  ASSERT_TRUE(client_->retry(one->id).ok());
  drop();
  advance(std::chrono::minutes(2));
  ASSERT_EQ(client_->connection_state(), ConnectionState::kOnline);
  EXPECT_THAT(sends(), IsEmpty());
  give_bundles(bundles_asked().back());
  ASSERT_THAT(sends(), SizeIs(1));
  EXPECT_EQ(sends().front().client_message_id(), one->id.view());
}

// A roster may bring the list that names this device before the server has answered for it.
TEST_F(EncryptedSending, WhatWaitsToBeListedGoesOnceARosterSaysSo) {
  begin_account();
  const DeviceId self{kDevice};
  const Bytes own_record = own_.records.front();
  wire::SignedList listed_again;
  const auto taken_out = e2ee_->write([&](E2eeTransaction& tx) -> Status {
    CHATSDK_ASSIGN(const e2ee::Self* keys, tx.state().self());
    CHATSDK_ASSIGN(const e2ee::KnownUser* own, tx.state().user("alice"));
    const auto other = e2ee::make_device_record({"alice", DeviceId{500}, e2ee::kSuitesSpoken, e2ee::kThen, {}},
                                                e2ee::DeviceKeys::draw(random_));
    CHATSDK_ASSIGN(const auto without,
                   e2ee::next_device_list(own->newest(), keys->account_seed, {&other, 1}, {&self, 1}, e2ee::kThen));
    CHATSDK_ASSIGN(const auto with,
                   e2ee::next_device_list(without, keys->account_seed, {&keys->record, 1}, {}, e2ee::kThen));
    listed_again.set_list(with.bytes);
    listed_again.add_records(own_record);
    own_.list = without.bytes;
    own_.records = {other.bytes};
    const Bytes lists[] = {own_.list};
    const auto learned = e2ee::learn_lists(tx.state(), "alice", lists, own_.records, e2ee::kThen);
    return learned.ok() ? Status() : Status(learned.error());
  });
  ASSERT_TRUE(taken_out.ok()) << taken_out.error().detail;
  go_online();
  deliver_and_run(items_frame(kStream, 0, {roster_with_lists({bobs_list()})}));
  ASSERT_TRUE(send("a secret").ok());
  run();
  EXPECT_THAT(bundles_asked(), IsEmpty()) << "it is in no list";
  wire::Item roster = encrypted_roster(2, 2);
  *roster.mutable_roster()->add_lists() = listed_again;
  deliver_and_run(items_frame(kStream, 1, {roster}));
  ASSERT_FALSE(bundles_asked().empty());
  for (std::size_t i = 0; i < bundles_asked().size(); ++i) give_bundles(bundles_asked()[i]);
  EXPECT_THAT(sends(), SizeIs(1));
  const std::vector<e2ee::Event> kept = e2ee_->notes().kept_events(0).value();
  for (const e2ee::Event& event : kept) {
    EXPECT_FALSE(event.kind == e2ee::EventKind::kDeviceAdded && event.device_id == self) << "nobody need be told";
  }
}

// ---- Who was forgotten ---------------------------------------------------------------------------------------------

// It was encrypted for a device that the server made up, and the connection broke before it left.
TEST_F(EncryptedSending, WhatWasEncryptedForSomebodyForgottenNeverLeaves) {
  begin();
  send_whole("a secret");
  const wire::Send sent = sends().back();
  const auto id = *ClientMessageId::from_bytes(sent.client_message_id());
  drop();
  ASSERT_TRUE(e2ee_->notes().out(id)->has_value());
  ASSERT_TRUE(client_->forget_identity({"bob", bob_.list.account_key}).ok());
  EXPECT_FALSE(e2ee_->notes().out(id)->has_value());
  advance(std::chrono::minutes(2));
  ASSERT_EQ(client_->connection_state(), ConnectionState::kOnline);
  EXPECT_THAT(sends(), IsEmpty());
  const e2ee::Person real = e2ee::person("bob", 5, 0x71, 9, {});
  wire::DeviceLists lists;
  wire::DeviceLists::OfUser& bob = *lists.add_users();
  bob.set_user_id("bob");
  bob.set_newest_version(1);
  bob.add_lists(real.list.bytes);
  bob.add_records(real.record.bytes);
  http_.answer(http_.requests("POST /v1/keys/lists/query").back(), protobuf_response(lists));
  run();
  wire::Bundles bundles;
  *bundles.add_bundles() = bundle_of(real);
  http_.answer(bundles_asked().back(), protobuf_response(bundles));
  run();
  ASSERT_THAT(sends(), SizeIs(1));
  EXPECT_EQ(sends().back().client_message_id(), sent.client_message_id());
  EXPECT_THAT(receivers(sends().back()), ElementsAre(5));
}

// The server had taken it all the same: what is encrypted anew is another message under its id.
TEST_F(EncryptedSending, WhatWasTakenBeforeItsPeerWasForgottenIsShownAsSent) {
  begin();
  send_whole("a secret");
  const wire::Send sent = sends().back();
  drop();
  ASSERT_TRUE(client_->forget_identity({"bob", bob_.list.account_key}).ok());
  advance(std::chrono::minutes(2));
  wire::Item own = message_item(2, "");
  own.clear_content();
  own.set_sender_user_id("alice");
  own.set_sender_device_id(kDevice);
  own.set_client_message_id(sent.client_message_id());
  deliver_and_run(items_frame(kStream, 1, {own}));
  EXPECT_EQ(state_of(sent), MessageState::kSent);
  EXPECT_THAT(sends(), IsEmpty());
}

// ---- Refusals for the lists ----------------------------------------------------------------------------------------

TEST_F(EncryptedSending, EncryptsAnewForEachRefusalAndWaitsAfterSoManyInARow) {
  begin();
  send_whole("a secret");
  std::set<std::string> slices;
  for (std::uint32_t refusals = 0; refusals <= limits::e2ee::kRefusalsMax; ++refusals) {
    ASSERT_THAT(sends(), SizeIs(refusals + 1));
    const wire::Send last = sends().back();
    EXPECT_EQ(last.client_message_id(), sends().front().client_message_id());
    EXPECT_EQ(last.send_number(), 1u);
    EXPECT_EQ(last.encryption_counter(), refusals + 1);
    EXPECT_TRUE(slices.insert(last.slices(0).message()).second) << "bytes that were refused were sent again";
    refuse(last);
  }
  EXPECT_THAT(sends(), SizeIs(limits::e2ee::kRefusalsMax + 1));
  advance(options_.backoff_base);
  ASSERT_THAT(sends(), SizeIs(limits::e2ee::kRefusalsMax + 2));
  deliver_and_run(accepted_frame(sends().back().client_message_id(), 2, kStream));
  EXPECT_EQ(state_of(sends().back()), MessageState::kSent);
}

// A middle may repeat a frame: what is under way by then is another encryption, which may be accepted.
TEST_F(EncryptedSending, ARefusalThatComesTwiceIsNoRefusalOfWhatWentInBetween) {
  begin();
  send_whole("a secret");
  const wire::Send first = sends().back();
  refuse(first);
  ASSERT_THAT(sends(), SizeIs(2));
  const wire::Send second = sends().back();
  refuse(first);
  EXPECT_THAT(sends(), SizeIs(2)) << "encrypted once more";
  refuse(second);
  ASSERT_THAT(sends(), SizeIs(3));
  deliver_and_run(accepted_frame(second.client_message_id(), 2, kStream));
  EXPECT_EQ(state_of(second), MessageState::kSent);
}

TEST_F(EncryptedSending, CountsRefusalsInARow) {
  begin();
  send_whole("one");
  send_whole("two");
  for (std::uint32_t i = 0; i < limits::e2ee::kRefusalsMax; ++i) {
    for (const wire::Send& sent : {before_last(), sends().back()}) refuse(sent);
  }
  const wire::Send one = before_last();
  const wire::Send two = sends().back();
  deliver_and_run(accepted_frame(one.client_message_id(), 2, kStream));
  for (std::uint32_t i = 0; i < limits::e2ee::kRefusalsMax; ++i) refuse(sends().back());
  EXPECT_THAT(sends(), SizeIs(3 * limits::e2ee::kRefusalsMax + 2));
  deliver_and_run(accepted_frame(two.client_message_id(), 3, kStream));
  EXPECT_EQ(state_of(one), MessageState::kSent);
  EXPECT_EQ(state_of(two), MessageState::kSent);
}

// What stands behind is refused likewise: that is one refusal.
TEST_F(EncryptedSending, CountsOneRefusalForAllThatAreUnderWay) {
  begin();
  send_whole("one");
  send_whole("two");
  for (std::uint32_t refusals = 0; refusals <= limits::e2ee::kRefusalsMax; ++refusals) {
    ASSERT_THAT(sends(), SizeIs(2 * (refusals + 1)));
    const wire::Send one = before_last();
    const wire::Send two = sends().back();
    EXPECT_EQ(one.send_number(), 1u);
    EXPECT_EQ(two.send_number(), 2u);
    refuse(one);
    refuse(two);
  }
  EXPECT_THAT(sends(), SizeIs(2 * (limits::e2ee::kRefusalsMax + 1)));
  advance(options_.backoff_base);
  EXPECT_THAT(sends(), SizeIs(2 * (limits::e2ee::kRefusalsMax + 2)));
}

TEST_F(EncryptedSending, EncryptsForTheDeviceThatARefusalShows) {
  begin();
  send_whole("a secret");
  refuse(sends().back(), {bobs_list_with_tablet()}, 2);
  EXPECT_THAT(sends(), SizeIs(1));
  ASSERT_THAT(bundles_asked(), SizeIs(2));
  give_bundles(bundles_asked().back());
  ASSERT_THAT(sends(), SizeIs(2));
  EXPECT_THAT(receivers(sends().back()), ElementsAre(2, 3));
  EXPECT_EQ(sends().back().roster_revision(), 2u);
  EXPECT_EQ(sends().back().peer_list_version(), 2u);
}

// Nor for what the server shows when it is asked for them; and what the refusal named counts no more once its
// connection has ended.
TEST_F(EncryptedSending, EncryptsNothingForListsThatDoNotVerify) {
  begin();
  send_whole("a secret");
  wire::SignedList forged = bobs_list_with_tablet();
  forged.mutable_list()->back() ^= 1;
  refuse(sends().back(), {forged}, 2);
  wire::DeviceLists answer;
  wire::DeviceLists::OfUser& of_bob = *answer.add_users();
  of_bob.set_user_id("bob");
  of_bob.set_newest_version(2);
  of_bob.add_lists(forged.list());
  *of_bob.mutable_records() = forged.records();
  http_.answer(http_.requests("POST /v1/keys/lists/query").back(), protobuf_response(answer));
  advance(std::chrono::minutes(5));
  EXPECT_THAT(sends(), SizeIs(1));
  EXPECT_THAT(bundles_asked(), SizeIs(1));

  drop();
  advance(std::chrono::minutes(2));
  ASSERT_EQ(client_->connection_state(), ConnectionState::kOnline);
  EXPECT_THAT(bundles_asked(), SizeIs(1));
  ASSERT_THAT(sends(), SizeIs(1));
  EXPECT_THAT(receivers(sends().back()), ElementsAre(2));
}

// Neither in a ROSTER item nor in a refusal: they are learned nothing of.
TEST_F(EncryptedSending, EncryptsNothingForUsersWhomTheServerAdds) {
  const e2ee::Person mallory = e2ee::person("mallory", 66, 0x71, 1, {});
  const wire::SignedList hers = signed_list(mallory.list, mallory.record);
  begin({bobs_list(), hers});
  EXPECT_EQ(client_->identity("mallory").code(), Code::kNotFound);
  send_whole("a secret");
  refuse(sends().back(), {hers}, 2);
  EXPECT_EQ(client_->identity("mallory").code(), Code::kNotFound);
  EXPECT_THAT(bundles_asked(), SizeIs(1));
  ASSERT_THAT(sends(), SizeIs(2));
  for (const wire::Send& sent : sends()) EXPECT_THAT(receivers(sent), ElementsAre(2));
}

// ---- Staging -------------------------------------------------------------------------------------------------------

class StagedSending : public EncryptedSending {
 protected:
  // Slices and sends of the last connection, as they were sent.
  std::vector<Bytes> parts() {
    const FakeTransport::Connection& connection = transport_.last();
    std::vector<Bytes> found;
    for (std::size_t i = 0; i < connection.sent.size(); ++i) {
      if (is_part(connection.sent[i])) found.push_back(connection.sent_bytes[i]);
    }
    return found;
  }
  static bool is_part(const wire::ClientFrame& frame) { return frame.has_stage_slices() || frame.has_send(); }
  // Of each connection from now on, until there is room again: it has none behind so many parts.
  void leave_room_for(std::size_t parts) {
    if (!world_) world_ = transport_.on_sent;
    transport_.on_sent = [this, parts, left = parts](FakeTransport::Connection& connection,
                                                     const wire::ClientFrame& frame) mutable {
      world_(connection, frame);
      if (is_part(frame) && --left == 0) {
        transport_.set_room(connection.id, false);
        left = parts;
      }
    };
  }

 private:
  std::function<void(FakeTransport::Connection&, const wire::ClientFrame&)> world_;
};

// A message that is larger than a frame: a chunk for each of two devices, and the item. Its connection breaks after
// each of them; then all three go again, byte for byte.
TEST_F(StagedSending, BeginsAnewWithTheSameBytesWhenItsConnectionBreaks) {
  text_bytes_max_ = limits::kTextBytesMax;
  begin({bobs_list(), bobs_list_with_tablet()});
  constexpr std::size_t kParts = 3;
  leave_room_for(1);
  send_whole(std::string(200'000, 'x'));
  std::vector<std::vector<Bytes>> sent;
  for (std::size_t broken = 1; broken <= kParts; ++broken) {
    ASSERT_THAT(parts(), SizeIs(broken));
    sent.push_back(parts());
    leave_room_for(broken + 1);
    drop();
    advance(std::chrono::minutes(2));
    ASSERT_EQ(client_->connection_state(), ConnectionState::kOnline);
  }
  ASSERT_THAT(parts(), SizeIs(kParts));
  sent.push_back(parts());
  for (const std::vector<Bytes>& before : sent) {
    EXPECT_TRUE(std::equal(before.begin(), before.end(), sent.back().begin())) << before.size();
  }

  std::vector<std::uint64_t> staged_for;
  for (const wire::ClientFrame& frame : transport_.last().sent) {
    if (frame.has_send()) {
      EXPECT_THAT(staged_for, ElementsAre(2, 3)) << "the item comes last";
    }
    if (!frame.has_stage_slices()) continue;
    EXPECT_EQ(frame.stage_slices().chunk(), staged_for.size());
    EXPECT_EQ(frame.stage_slices().client_message_id(), sends().back().client_message_id());
    for (const wire::Slice& slice : frame.stage_slices().slices()) staged_for.push_back(slice.device_id());
  }
  EXPECT_EQ(sends().back().slices_staged(), 2u);
  EXPECT_THAT(sends().back().slices(), IsEmpty());
  EXPECT_EQ(sends().back().encryption_counter(), 1u);
  deliver_and_run(accepted_frame(sends().back().client_message_id(), 2, kStream));
  EXPECT_EQ(state_of(sends().back()), MessageState::kSent);
}

// ---- The store's log -----------------------------------------------------------------------------------------------

class StoreLog : public EncryptedSending {
 protected:
  std::uintmax_t log_bytes() const { return std::filesystem::file_size(directory_ / "device.db-wal"); }
};

TEST_F(StoreLog, IsClearedOnceAllIsCaughtUp) {
  auto_caught_up_ = false;
  go_online();
  for (Seq seq = 1; seq <= 50; ++seq) deliver_and_run(items_frame(kStream, seq - 1, {message_item(seq, "x")}));
  const auto before = log_bytes();
  deliver_and_run(caught_up_frame(0));
  EXPECT_LT(log_bytes(), before / 4);
}

TEST_F(StoreLog, IsClearedAnHourAfterKeysWereUsed) {
  begin();
  send_whole("a secret");
  ASSERT_THAT(sends(), SizeIs(1));
  deliver_and_run(accepted_frame(sends().front().client_message_id(), 2, kStream));
  const auto before = log_bytes();
  advance(limits::e2ee::kUpkeepLook - std::chrono::minutes(1));
  EXPECT_GE(log_bytes(), before);
  advance(std::chrono::minutes(2));
  EXPECT_LT(log_bytes(), before / 2);
}

}  // namespace
}  // namespace chatsdk::test
