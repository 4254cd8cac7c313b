// SPDX-License-Identifier: Apache-2.0
//
// The own user's lists on a server that was put back, and that another device has changed since without having heard of
// what was lost (docs/e2ee.md section 12): the two are joined where that is safe, and the app is told where it is not.
#include <gmock/gmock.h>

#include "e2ee/outcome.h"
#include "unit/engine/own_lists.h"

namespace chatsdk::test {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// The laptop was taken out, and stands on the server again, in a list that is no shorter.
TEST_F(OwnBranches, AreJoinedWithoutWhoWasTakenOut) {
  const auto before = server_lists_;
  add({}, {kLaptop});
  look();
  put_back(before);
  add({kDesk}, {});
  come_back();
  ASSERT_THAT(server_lists_, SizeIs(4));
  EXPECT_EQ(server_lists_.back(), known());
  EXPECT_THAT(devices(known()), ElementsAre(kTablet, kDesk, kDevice));
  EXPECT_EQ(told(e2ee::EventKind::kListRefused), 0U);
  EXPECT_EQ(told(e2ee::EventKind::kDeviceAdded), 2U) << "the desk, and the laptop for the time between";
  expect_that_it_sends();
}

TEST_F(OwnBranches, AreJoinedByOneThatIsLongerThanEither) {
  const auto before = server_lists_;
  for (int i = 0; i < 3; ++i) add({}, {});
  add({}, {kLaptop});
  look();
  ASSERT_EQ(known().version, 6U);
  put_back(before);
  add({}, {kTablet});
  come_back();
  EXPECT_EQ(known().version, 7U);
  EXPECT_EQ(server_lists_.back(), known());
  EXPECT_THAT(server_lists_, SizeIs(7));
  EXPECT_THAT(devices(known()), ElementsAre(kDevice)) << "whom either has taken out is out";
  expect_that_it_sends();
}

// More versions than one upload takes.
TEST_F(OwnBranches, AreJoinedInAsManyUploadsAsItTakes) {
  const auto before = server_lists_;
  for (std::size_t i = 0; i < limits::e2ee::kListVersionsMax + 20; ++i) add({}, {});
  for (int i = 0; i < 2; ++i) look();
  put_back(before);
  add({}, {kTablet});
  come_back();
  EXPECT_EQ(known().version, limits::e2ee::kListVersionsMax + 23);
  EXPECT_EQ(server_lists_.back(), known());
  expect_that_it_sends();
}

// Nobody is in the longer one whom this device knows to be out, and it is there itself.
TEST_F(OwnBranches, AreNotJoinedWhereTheServersCounts) {
  const auto before = server_lists_;
  add({}, {});
  look();
  put_back(before);
  add({kDesk}, {});
  add({}, {kLaptop});
  come_back();
  EXPECT_THAT(http_.requests("POST /v1/keys/lists"), IsEmpty());
  EXPECT_EQ(known(), server_lists_.back());
  expect_that_it_sends();
}

// Whether it was taken out as it should have been nobody can tell.
TEST_F(OwnBranches, AreToldWhereThisDeviceStandsInThatOneNoMore) {
  const auto before = server_lists_;
  add({}, {kLaptop});
  look();
  const e2ee::DeviceList ours = known();
  put_back(before);
  add({}, {kDevice});
  ASSERT_TRUE(send("waits").ok());
  come_back();
  EXPECT_EQ(client_->encryption_state(), EncryptionState::kLinkNeeded);
  EXPECT_EQ(told(e2ee::EventKind::kListRefused), 1U);
  EXPECT_THAT(http_.requests("POST /v1/keys/lists"), IsEmpty());
  EXPECT_EQ(known(), ours);
  EXPECT_THAT(sends(), IsEmpty());
  EXPECT_TRUE(client_->begin_link().ok()) << "it is linked anew";
}

// It was taken in after the copy was made: whoever did that may have taken it out again.
TEST_F(OwnBranches, AreToldWhereThisDeviceNeverStoodInThatOne) {
  std::vector<e2ee::DeviceList> others = {server_lists_.front()};
  others.front() = *e2ee::first_device_list("alice", e2ee_->state().self().value()->account_seed,
                                            std::vector{*e2ee::parse_device_record(server_records_[1])}, e2ee::kThen);
  put_back(others);
  come_back();
  EXPECT_EQ(client_->encryption_state(), EncryptionState::kLinkNeeded);
  EXPECT_EQ(told(e2ee::EventKind::kListRefused), 1U);
  EXPECT_THAT(http_.requests("POST /v1/keys/lists"), IsEmpty());
}

// A conflict with a list that another device makes meanwhile is no way out of it.
TEST_F(OwnBranches, AreJoinedBehindWhatAnotherDeviceMakesMeanwhile) {
  const auto before = server_lists_;
  add({}, {kLaptop});
  look();
  put_back(before);
  add({kDesk}, {});
  list_refusal_ = Code::kConflict;
  come_back();
  EXPECT_EQ(client_->encryption_state(), EncryptionState::kPreparing);
  add({}, {kTablet});
  list_refusal_.reset();
  advance(std::chrono::minutes(2));
  EXPECT_EQ(known(), server_lists_.back());
  EXPECT_THAT(devices(known()), ElementsAre(kDesk, kDevice));
  expect_that_it_sends();
}

// ---- Who was taken out ---------------------------------------------------------------------------------------------

// Nobody but it knows that it has left: for as long as the server's list names it nobody can link it.
TEST_F(OwnBranches, AreWithoutWhoLeftOnceItTellsTheServer) {
  const auto before = server_lists_;
  add({}, {kDevice});
  look();
  ASSERT_EQ(client_->encryption_state(), EncryptionState::kLinkNeeded);
  put_back(before);
  come_back();
  EXPECT_EQ(client_->encryption_state(), EncryptionState::kLinkNeeded);
  ASSERT_THAT(http_.requests("POST /v1/keys/lists"), SizeIs(1));
  EXPECT_EQ(server_lists_.back(), known());
  EXPECT_THAT(devices(known()), ElementsAre(kTablet, kLaptop));
  advance(std::chrono::minutes(2));
  EXPECT_THAT(http_.requests("POST /v1/keys/lists"), SizeIs(1)) << "that is all";
}

TEST_F(OwnBranches, AreJoinedByWhoLeftWithoutItself) {
  const auto before = server_lists_;
  add({}, {kDevice});
  look();
  put_back(before);
  add({kDesk}, {});
  come_back();
  EXPECT_EQ(client_->encryption_state(), EncryptionState::kLinkNeeded);
  EXPECT_EQ(server_lists_.back(), known());
  EXPECT_EQ(known().version, 4U);
  EXPECT_THAT(devices(known()), ElementsAre(kTablet, kLaptop, kDesk));
}

// There is no list of nobody.
TEST_F(OwnBranches, AreLeftAsTheyAreByWhoLeftAndStandsThereAlone) {
  const auto before = server_lists_;
  add({}, {kDevice});
  look();
  put_back(before);
  add({}, {kTablet, kLaptop});
  come_back();
  EXPECT_EQ(client_->encryption_state(), EncryptionState::kLinkNeeded);
  EXPECT_THAT(http_.requests("POST /v1/keys/lists"), IsEmpty());
}

// A place under other keys is not its own.
TEST_F(OwnBranches, AreNotLeftByWhomTheyNameUnderOtherKeys) {
  const auto before = server_lists_;
  add({}, {kDevice});
  look();
  put_back(before);
  add({}, {kDevice});
  add({kDevice}, {});
  add({}, {kLaptop});
  come_back();
  EXPECT_EQ(client_->encryption_state(), EncryptionState::kLinkNeeded);
  EXPECT_THAT(http_.requests("POST /v1/keys/lists"), IsEmpty());
}

// What a server held back is asked for with the next connection, though nobody says that the lists have changed.
TEST_F(OwnBranches, AreAskedForAnewWhereTheServerNamedAListThatItDidNotShow) {
  add({kDesk}, {});
  const auto honest = http_.respond;
  http_.respond = [&honest](const HttpRequest& request) {
    auto answer = honest(request);
    wire::DeviceLists lists;
    const bool is_lists = request.url.ends_with("/v1/keys/lists/query") && answer && answer->ok();
    if (!is_lists || !lists.ParseFromString((**answer).body)) return answer;
    lists.mutable_users(0)->clear_lists();
    return std::optional<Result<HttpResponse>>(protobuf_response(lists));
  };
  deliver_and_run(items_frame(kAccountStream, heard_, {devices_changed(heard_ + 1)}));
  EXPECT_EQ(known(), server_lists_[1]) << "not the newest";
  http_.respond = honest;
  drop();
  come_back();
  EXPECT_EQ(known(), server_lists_.back());
}

// ---- Another account key -------------------------------------------------------------------------------------------

class OwnKeyAgain : public OwnBranches {
 protected:
  void replace() {
    ASSERT_TRUE(client_->replace_account().ok());
    run();
    ASSERT_EQ(client_->encryption_state(), EncryptionState::kReady);
  }
};

TEST_F(OwnKeyAgain, IsNotReplacedBeforeAllIsRead) {
  drop();
  auto_caught_up_ = false;
  advance(std::chrono::minutes(2));
  ASSERT_EQ(client_->connection_state(), ConnectionState::kSyncing);
  ASSERT_TRUE(client_->replace_account().ok());
  advance(std::chrono::minutes(2));
  EXPECT_THAT(http_.requests("POST /v1/keys/lists"), IsEmpty());
  EXPECT_THAT(sink_.identity_replaced, IsEmpty());
  deliver_and_run(caught_up_frame(0));
  EXPECT_THAT(server_lists_, SizeIs(1));
  EXPECT_THAT(sink_.identity_replaced, ElementsAre(Code::kOk));
}

// Of bob's lists one is missing, and what stands under the next waits for it.
TEST_F(OwnKeyAgain, IsNotReplacedBeforeWhatIsHeldIsRead) {
  const auto second = e2ee::next_device_list(bob_.list, bob_.account_seed, {&tablet_.record, 1}, {}, e2ee::kThen);
  const auto third = e2ee::next_device_list(*second, bob_.account_seed, {}, {}, e2ee::kThen);
  wire::Item roster = encrypted_roster(2, 2);
  wire::SignedList& list = *roster.mutable_roster()->add_lists();
  list = signed_list(*third, tablet_.record);
  list.add_records(bob_.record.bytes);
  wire::Item held = message_item(3, "");
  held.clear_content();
  held.set_sender_user_id("bob");
  held.set_sender_device_id(tablet_.record.device_id.value);
  held.set_slice("garbage");
  deliver_and_run(items_frame(kStream, 1, {roster, held}));
  ASSERT_TRUE(client_->replace_account().ok());
  run();
  // With the own lists' answer it is asked for again, and held once more.
  deliver_and_run(items_frame(kStream, 2, {held}));
  advance(std::chrono::seconds(20));
  EXPECT_THAT(http_.requests("POST /v1/keys/lists"), IsEmpty());
  wire::DeviceLists answer;
  answer.add_users()->set_user_id("bob");
  for (const auto id : http_.requests("POST /v1/keys/lists/query")) {
    wire::DeviceListsRequest request;
    ASSERT_TRUE(request.ParseFromString(http_.exchange(id).request.body));
    if (request.users(0).user_id() == "bob") http_.answer(id, protobuf_response(answer));
  }
  run();
  deliver_and_run(items_frame(kStream, 2, {held}));
  advance(std::chrono::minutes(1));
  EXPECT_THAT(server_lists_, SizeIs(1));
  EXPECT_THAT(sink_.identity_replaced, ElementsAre(Code::kOk));
}

TEST_F(OwnKeyAgain, IsReplacedAfterARestart) {
  const e2ee::SigningKey before = known().account_key;
  drop();
  ASSERT_TRUE(client_->replace_account().ok());
  restart();
  client_->start();
  run();
  EXPECT_NE(known().account_key, before);
  EXPECT_THAT(server_lists_, SizeIs(1));
  EXPECT_THAT(sink_.identity_replaced, ElementsAre(Code::kOk));
}

// And nothing of the new one stays.
TEST_F(OwnKeyAgain, ThatTheServerRefusesIsToldOf) {
  list_refusal_ = Code::kLimitReached;
  ASSERT_TRUE(client_->replace_account().ok());
  advance(std::chrono::minutes(1));
  EXPECT_THAT(sink_.identity_replaced, ElementsAre(Code::kLimitReached));
  EXPECT_FALSE(e2ee_->state().next_self().value().has_value());
  EXPECT_EQ(client_->encryption_state(), EncryptionState::kReady);
  list_refusal_.reset();
  restart();
  client_->start();
  advance(std::chrono::minutes(2));
  EXPECT_THAT(server_lists_, SizeIs(2)) << "it is asked for no more";
}

TEST_F(OwnKeyAgain, ThatIsAConflictTimeAndAgainIsGivenUp) {
  list_refusal_ = Code::kConflict;
  ASSERT_TRUE(client_->replace_account().ok());
  advance(std::chrono::minutes(10));
  EXPECT_THAT(sink_.identity_replaced, ElementsAre(Code::kConflict));
  EXPECT_THAT(http_.requests("POST /v1/keys/lists"), SizeIs(8));
  EXPECT_FALSE(e2ee_->state().next_self().value().has_value());
  EXPECT_EQ(client_->encryption_state(), EncryptionState::kReady);
}

// The laptop has gone, and leaves the list while the new key has to wait.
TEST_F(OwnKeyAgain, HoldsNothingElseUpWhileItWaits) {
  replacement_refusal_ = Code::kUnavailable;
  ASSERT_TRUE(client_->replace_account().ok());
  run();
  server_devices_ = {kDevice, kTablet};
  deliver_and_run(items_frame(kAccountStream, heard_, {devices_changed(heard_ + 1)}));
  advance(std::chrono::minutes(2));
  EXPECT_THAT(devices(server_lists_.back()), ElementsAre(kTablet, kDevice));
  EXPECT_THAT(sink_.identity_replaced, IsEmpty());
  replacement_refusal_.reset();
  advance(std::chrono::minutes(10));
  EXPECT_THAT(sink_.identity_replaced, ElementsAre(Code::kOk));
  EXPECT_THAT(devices(server_lists_.back()), ElementsAre(kDevice));
}

// A device that has the key before has changed its lists until they were longer.
TEST_F(OwnKeyAgain, TakesThePlaceOfTheOneBeforeThoughItsListsAreLonger) {
  const auto before = server_lists_;
  const e2ee::SigningSeed seed = e2ee_->state().self().value()->account_seed.clone();
  replace();
  const e2ee::DeviceList ours = known();
  ASSERT_EQ(ours.version, 3U);
  put_back(before);
  for (int i = 0; i < 3; ++i) {
    server_lists_.push_back(*e2ee::next_device_list(server_lists_.back(), seed, {}, {}, e2ee::kThen));
  }
  come_back();
  ASSERT_THAT(server_lists_, SizeIs(4));
  EXPECT_EQ(server_lists_.front(), ours);
  EXPECT_EQ(server_lists_.back().version, 6U);
  EXPECT_EQ(server_lists_.back(), known());
  expect_that_it_sends();
}

TEST_F(OwnKeyAgain, IsBegunAboveABranchOfTheServers) {
  const auto before = server_lists_;
  add({}, {});
  look();
  put_back(before);
  for (int i = 0; i < 3; ++i) add({}, {});
  add({}, {kDevice});
  come_back();
  ASSERT_EQ(client_->encryption_state(), EncryptionState::kLinkNeeded);
  replace();
  ASSERT_THAT(server_lists_, SizeIs(1));
  EXPECT_EQ(server_lists_.front().version, 7U);
  EXPECT_EQ(server_lists_.front(), known());
  expect_that_it_sends();
}

// Nobody has signed the number: a list behind it would be the last that most peers and servers take.
TEST_F(OwnKeyAgain, IsNotBegunAboveANumberThatNoListHas) {
  const auto honest = http_.respond;
  http_.respond = [&honest](const HttpRequest& request) {
    auto answer = honest(request);
    wire::DeviceLists lists;
    const bool is_lists = request.url.ends_with("/v1/keys/lists/query") && answer && answer->ok();
    if (!is_lists || !lists.ParseFromString((**answer).body)) return answer;
    lists.mutable_users(0)->set_newest_version(limits::e2ee::kListVersionMax - 1);
    return std::optional<Result<HttpResponse>>(protobuf_response(lists));
  };
  ASSERT_TRUE(client_->replace_account().ok());
  run();
  http_.respond = honest;
  advance(std::chrono::minutes(2));
  EXPECT_THAT(sink_.identity_replaced, ElementsAre(Code::kOk));
  EXPECT_EQ(known().version, 3U);
  EXPECT_EQ(known(), server_lists_.back());
}

// With a key that another device has begun, or that is made up, as far as others would take what follows.
TEST_F(OwnKeyAgain, IsGivenUpWhereNoVersionIsLeft) {
  const e2ee::Person other = e2ee::person("alice", kDesk, 0x61, 1, {});
  std::vector<DeviceId> all;
  for (const std::uint64_t device : devices(known())) all.push_back(DeviceId{device});
  server_lists_ = {*e2ee::next_device_list(known(), other.account_seed, {&other.record, 1}, all, e2ee::kThen,
                                           limits::e2ee::kListBegunMax - 1)};
  server_records_ = {other.record.bytes};
  look();
  ASSERT_EQ(client_->encryption_state(), EncryptionState::kLinkNeeded);
  ASSERT_TRUE(client_->replace_account().ok());
  advance(std::chrono::minutes(1));
  EXPECT_THAT(sink_.identity_replaced, ElementsAre(Code::kLimitReached));
  EXPECT_FALSE(e2ee_->notes().replacing()->has_value());
  EXPECT_EQ(client_->encryption_state(), EncryptionState::kLinkNeeded);
}

// The server does not take the new key for now, and the user finds the tablet meanwhile.
class OwnKeyAgainAndLinked : public OwnKeyAgain, private FaultHooks {
 protected:
  OwnKeyAgainAndLinked() {
    add({}, {kDevice});
    look();
    EXPECT_EQ(client_->encryption_state(), EncryptionState::kLinkNeeded);
    replacement_refusal_ = Code::kUnavailable;
    EXPECT_TRUE(client_->replace_account().ok());
    run();
    http_.respond = [this, others = http_.respond](const HttpRequest& request) -> std::optional<Result<HttpResponse>> {
      if (request.url.find("/v1/keys/links/") == std::string::npos) return others(request);
      wire::LinkMessage message;
      if (request.method == "PUT") {
        EXPECT_TRUE(message.ParseFromString(request.body));
        EXPECT_TRUE(tablet_there_->check(message.message()).ok());
        HttpResponse taken;
        taken.status = 204;
        return taken;
      }
      message.set_message(request.url.ends_with("grant") ? *tablet_there_->confirm(seed_, server_lists_.back(), random_)
                                                         : tablet_there_->offer());
      return protobuf_response(message);
    };
  }
  void link() {
    const auto text = client_->begin_link();
    ASSERT_TRUE(text.ok()) << text.error().detail;
    const e2ee::KnownUser own = *e2ee_->state().user("alice").value();
    const UserId alice = "alice";
    const auto now_ms = static_cast<std::uint64_t>(to_unix_ms(clock_.wall_now()));
    auto scanned = e2ee::LinkOld::scan(*text, {alice, DeviceId{kTablet}, &own}, now_ms, random_);
    ASSERT_TRUE(scanned.ok());
    tablet_there_ = std::move(*scanned);
    advance(2 * limits::e2ee::kLinkPoll);
    ASSERT_TRUE(client_->confirm_link().ok());
    const FaultScope scope(this);
    advance(2 * limits::e2ee::kLinkPoll);
  }
  bool on_fault_point(const char* name, bool) override {
    if (name == std::string("encryption.between_adopted_and_listed")) {
      replacing_behind_it_ = e2ee_->notes().replacing()->has_value();
    }
    return false;
  }

  const e2ee::SigningSeed seed_ = e2ee_->state().self().value()->account_seed.clone();
  std::optional<e2ee::LinkOld> tablet_there_;
  std::optional<bool> replacing_behind_it_;  // in what a process finds that begins behind the one that was killed there
};

TEST_F(OwnKeyAgainAndLinked, IsGivenUpInTheSameTransaction) {
  const e2ee::SigningKey before = known().account_key;
  link();
  EXPECT_EQ(client_->encryption_state(), EncryptionState::kReady);
  EXPECT_THAT(sink_.identity_replaced, ElementsAre(Code::kCancelled));
  EXPECT_EQ(replacing_behind_it_, kHasFaultPoints ? std::optional(false) : std::nullopt);
  replacement_refusal_.reset();
  restart();
  client_->start();
  advance(std::chrono::minutes(10));
  EXPECT_EQ(known().account_key, before);
  EXPECT_EQ(known(), server_lists_.back());
  EXPECT_THAT(devices(known()), ElementsAre(kTablet, kLaptop, kDevice));
}

// ---- Names of devices ----------------------------------------------------------------------------------------------

// What a device has told the others of its user in its record, and what the server says of it.
TEST_F(OwnBranches, NamesOfDevicesAreWhatTheyHaveToldEachOther) {
  const e2ee::SigningSeed& seed = e2ee_->state().self().value()->account_seed;
  const auto add_named = [&](std::uint64_t device, const e2ee::SigningSeed& sealed_with) {
    const e2ee::DeviceKeys keys = e2ee::DeviceKeys::draw(random_);
    const e2ee::NamedDevice named{"alice", DeviceId{device}, keys.registration_id};
    auto name = e2ee::seal_device_name("desk in the hall", sealed_with, named, e2ee::fixed_of<e2ee::Nonce>(7));
    const auto record =
        e2ee::make_device_record({"alice", DeviceId{device}, e2ee::kSuitesSpoken, e2ee::kThen, std::move(*name)}, keys);
    server_records_.push_back(record.bytes);
    server_lists_.push_back(*e2ee::next_device_list(server_lists_.back(), seed, std::vector{record}, {}, e2ee::kThen));
  };
  add_named(kDesk, seed);
  add_named(11, e2ee::secret_of<32>(0x77));  // it opens for nobody
  look();
  client_->list_devices(4);
  run();
  wire::Devices answer;
  for (const std::uint64_t device : {kDesk, std::uint64_t{11}, kTablet, std::uint64_t{99}}) {
    wire::Device& one = *answer.add_devices();
    one.set_device_id(device);
    one.set_name("as the server says");
  }
  http_.answer(http_.requests("GET /v1/devices").back(), protobuf_response(answer));
  run();
  EXPECT_EQ(sink_.code_of(4), Code::kOk);
  std::vector<std::string> names;
  for (const DeviceInfo& device : sink_.devices) names.push_back(device.name);
  EXPECT_THAT(names, ElementsAre("desk in the hall", "as the server says", "as the server says", "as the server says"));
}

// ---- Who was let in ------------------------------------------------------------------------------------------------

// The user confirms a desk on the phone, which is started anew before it hears of any list.
class LetInAndRestarted : public OwnBranches {
 protected:
  LetInAndRestarted() {
    http_.respond = [this, others = http_.respond](const HttpRequest& request) -> std::optional<Result<HttpResponse>> {
      if (request.url.find("/v1/keys/links/") == std::string::npos) return others(request);
      if (request.method == "PUT") {
        wire::LinkMessage left;
        EXPECT_TRUE(left.ParseFromString(request.body));
        const bool is_grant = request.url.ends_with("grant");
        (is_grant ? grant_ : offer_) = left.message();
        if (is_grant && std::exchange(grant_unanswered_, false)) return problem_response(503, Code::kUnavailable);
        HttpResponse taken;
        taken.status = is_grant ? grant_status_ : 204;
        return taken;
      }
      wire::LinkMessage answer;
      answer.set_message(desk_->reveal(offer_, nullptr, random_).value());
      return protobuf_response(answer);
    };
  }
  void let_in(std::uint64_t device = kDesk) {
    const auto now_ms = static_cast<std::uint64_t>(to_unix_ms(clock_.wall_now()));
    desk_ = *e2ee::LinkNew::start("alice", DeviceId{device}, "desk", now_ms, random_);
    grant_.clear();
    ASSERT_TRUE(client_->scan_link(desk_->text()).ok());
    advance(2 * limits::e2ee::kLinkPoll);
    ASSERT_TRUE(client_->confirm_link().ok());
    run();
    ASSERT_FALSE(grant_.empty());
  }
  e2ee::DeviceRecord confirmed() {
    const e2ee::DeviceKeys keys = std::move(desk_->finish(grant_)->keys);
    return e2ee::make_device_record({"alice", DeviceId{kDesk}, e2ee::kSuitesSpoken, e2ee::kThen, {}}, keys);
  }
  void put_list(const std::vector<e2ee::DeviceRecord>& records) {
    for (const e2ee::DeviceRecord& record : records) server_records_.push_back(record.bytes);
    server_lists_.push_back(*e2ee::next_device_list(server_lists_.back(), e2ee_->state().self().value()->account_seed,
                                                    records, {}, e2ee::kThen));
  }
  void start_anew() {
    restart();
    sink_.encryption_events.clear();
    go_online();
    look();
  }
  bool waits_for_it() { return !e2ee_->notes().let_in()->empty(); }

  std::optional<e2ee::LinkNew> desk_;
  Bytes offer_;
  Bytes grant_;
  int grant_status_ = 204;
  bool grant_unanswered_ = false;  // the first time
};

TEST_F(LetInAndRestarted, AListThatNamesItWithOtherKeysIsTold) {
  let_in();
  put_list({e2ee::make_device_record({"alice", DeviceId{kDesk}, e2ee::kSuitesSpoken, e2ee::kThen, {}},
                                     e2ee::DeviceKeys::draw(random_))});
  start_anew();
  EXPECT_EQ(told(e2ee::EventKind::kListRefused), 1U);
  EXPECT_FALSE(waits_for_it());
}

TEST_F(LetInAndRestarted, AListThatNamesItAndNobodyElseIsNot) {
  let_in();
  put_list({confirmed()});
  EXPECT_TRUE(waits_for_it());
  start_anew();
  EXPECT_EQ(told(e2ee::EventKind::kDeviceAdded), 3U) << "and the two that the app has not taken yet";
  EXPECT_EQ(told(e2ee::EventKind::kListRefused), 0U);
  EXPECT_FALSE(waits_for_it());
}

TEST_F(LetInAndRestarted, AGrantThatTheServerDoesNotTakeLetsNobodyIn) {
  grant_status_ = 409;
  let_in();
  EXPECT_FALSE(waits_for_it());
}

// By then the new device may have it.
TEST_F(LetInAndRestarted, AGrantThatIsRefusedBehindALostAnswerMayHaveLetItIn) {
  grant_status_ = 409;
  grant_unanswered_ = true;
  let_in();
  advance(3 * limits::e2ee::kLinkPoll);
  EXPECT_EQ(client_->scan_link("x").code(), e2ee::kBadMessage) << "no linking runs";
  EXPECT_TRUE(waits_for_it());
}

// Before this device has read what became of the first, the user lets a second one in.
TEST_F(LetInAndRestarted, TheFirstOfTwoIsLookedAtToo) {
  constexpr std::uint64_t kPad = 11;
  let_in();
  let_in(kPad);
  put_list({e2ee::make_device_record({"alice", DeviceId{kDesk}, e2ee::kSuitesSpoken, e2ee::kThen, {}},
                                     e2ee::DeviceKeys::draw(random_))});
  start_anew();
  EXPECT_EQ(told(e2ee::EventKind::kListRefused), 1U);
  ASSERT_THAT(*e2ee_->notes().let_in(), SizeIs(1));
  EXPECT_EQ(e2ee_->notes().let_in()->front().device_id, DeviceId{kPad}) << "it may come yet";
}

TEST_F(LetInAndRestarted, WhoIsLetInAgainIsWhoWasConfirmedLast) {
  let_in();
  let_in();
  ASSERT_THAT(*e2ee_->notes().let_in(), SizeIs(1));
  put_list({confirmed()});
  start_anew();
  EXPECT_EQ(told(e2ee::EventKind::kListRefused), 0U);
  EXPECT_FALSE(waits_for_it());
}

TEST_F(LetInAndRestarted, AsManyAreKeptAsAListHas) {
  for (std::uint64_t device = 20; device <= 20 + limits::e2ee::kDevicesMax; ++device) let_in(device);
  const auto kept = *e2ee_->notes().let_in();
  ASSERT_THAT(kept, SizeIs(limits::e2ee::kDevicesMax));
  EXPECT_EQ(kept.front().device_id, DeviceId{21});
}

}  // namespace
}  // namespace chatsdk::test
