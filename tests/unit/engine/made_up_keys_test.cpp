// SPDX-License-Identifier: Apache-2.0
//
// A server that has once shown a key of its own making as the own user's: what this device does then, and how it comes
// back (docs/e2ee.md sections 5.3 and 12).
#include <gmock/gmock.h>

#include <memory>
#include <utility>

#include "e2ee/linking.h"
#include "unit/engine/own_lists.h"

namespace chatsdk::test {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class OwnKeyMadeUp : public OwnBranches {
 protected:
  // Under a key that nobody of alice's has, with a record of this device's own making: any list may name it.
  e2ee::DeviceList made_up(std::uint64_t version, std::uint64_t time_ms = e2ee::kThen) const {
    const auto record = e2ee::parse_device_record(server_records_.front());
    const e2ee::SigningSeed seed = e2ee::SigningSeed::copy_of(Bytes(32, 'm'));
    const auto first = e2ee::first_device_list("alice", seed, {&*record, 1}, e2ee::kThen);
    return e2ee::next_device_list(*first, seed, {}, {}, time_ms, version - 1).value();
  }
  void make_up() { make_up(server_lists_.back().version + 2); }
  void make_up(std::uint64_t version) {
    real_ = std::exchange(server_lists_, {});
    server_lists_ = {made_up(version)};
    look();
    ASSERT_EQ(client_->encryption_state(), EncryptionState::kLinkNeeded);
    ASSERT_TRUE(send("waits").ok());
    sink_.encryption_events.clear();
  }
  void expect_that_it_goes_on() {
    EXPECT_EQ(client_->encryption_state(), EncryptionState::kReady);
    EXPECT_EQ(known(), real_.back());
    EXPECT_EQ(told(e2ee::EventKind::kIdentityChanged), 1U);
    for (std::size_t i = 0; i < bundles_asked().size(); ++i) give_bundles(bundles_asked()[i]);
    EXPECT_THAT(sends(), SizeIs(1));
  }
  // The same by a server that says that it was put back.
  void make_up_behind_another_epoch(std::uint64_t version) {
    real_ = server_lists_;
    put_back({made_up(version)});
    come_back();
    ASSERT_EQ(client_->encryption_state(), EncryptionState::kLinkNeeded);
    sink_.encryption_events.clear();
  }
  // From now on the server is honest.
  void show(std::vector<e2ee::DeviceList> lists) {
    drop();
    server_lists_ = std::move(lists);
    advance(std::chrono::minutes(2));
    ASSERT_EQ(client_->encryption_state(), EncryptionState::kLinkNeeded);
  }
  // The tablet, which knows what is real and nothing else, lets this device in.
  void link() {
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
    const auto text = client_->begin_link();
    ASSERT_TRUE(text.ok()) << text.error().detail;
    std::vector<Bytes> lists;
    for (const e2ee::DeviceList& list : server_lists_) lists.push_back(list.bytes);
    const auto own = e2ee::learn(nullptr, "alice", lists, server_records_).user;
    ASSERT_TRUE(own.has_value());
    const UserId alice = "alice";
    const auto now_ms = static_cast<std::uint64_t>(to_unix_ms(clock_.wall_now()));
    auto scanned = e2ee::LinkOld::scan(*text, {alice, DeviceId{kTablet}, &*own}, now_ms, random_);
    ASSERT_TRUE(scanned.ok()) << scanned.error().detail;
    tablet_there_ = std::move(*scanned);
    advance(2 * limits::e2ee::kLinkPoll);
    const Status confirmed = client_->confirm_link();
    ASSERT_TRUE(confirmed.ok()) << confirmed.error().detail;
    advance(2 * limits::e2ee::kLinkPoll);
  }
  void expect_that_it_is_linked() {
    EXPECT_EQ(client_->encryption_state(), EncryptionState::kReady);
    EXPECT_FALSE(*e2ee_->notes().list_in_doubt());
    EXPECT_EQ(known(), server_lists_.back());
    EXPECT_EQ(known().account_key, real_.back().account_key);
    EXPECT_NE(known().find(DeviceId{kDevice}), nullptr);
    EXPECT_EQ(told(e2ee::EventKind::kIdentityChanged), 1U);
    // What was made up is known not to come back.
    const auto ours = server_lists_;
    server_lists_ = {made_up(ours.back().version - 1)};
    deliver_and_run(items_frame(kAccountStream, heard_, {devices_changed(heard_ + 1)}));
    advance(std::chrono::minutes(2));
    EXPECT_EQ(known(), ours.back());
    EXPECT_EQ(told(e2ee::EventKind::kIdentityChanged), 1U);
    EXPECT_EQ(server_lists_.back(), ours.back()) << "it is put right";
  }

  const e2ee::SigningSeed seed_ = e2ee_->state().self().value()->account_seed.clone();
  std::optional<e2ee::LinkOld> tablet_there_;
  std::vector<e2ee::DeviceList> real_;
};

TEST_F(OwnKeyMadeUp, KeepsThisDeviceOutForAsLongAsItIsShown) {
  make_up();
  server_lists_ = real_;
  deliver_and_run(items_frame(kAccountStream, heard_, {devices_changed(heard_ + 1)}));
  expect_that_it_goes_on();
}

// Nothing says that there is another list now.
TEST_F(OwnKeyMadeUp, IsLookedAtAgainWithEachConnection) {
  make_up();
  drop();
  advance(std::chrono::minutes(2));
  EXPECT_EQ(client_->encryption_state(), EncryptionState::kLinkNeeded) << "it is shown still";
  server_lists_ = real_;
  drop();
  advance(std::chrono::minutes(2));
  expect_that_it_goes_on();
}

// Another one in each answer, and each time there are newer lists still.
TEST_F(OwnKeyMadeUp, IsNotAskedForAgainAtOnce) {
  std::size_t asked = 0;
  const auto record = e2ee::parse_device_record(server_records_.front());
  http_.respond = [&, others = http_.respond](const HttpRequest& request) -> std::optional<Result<HttpResponse>> {
    if (!request.url.ends_with("/v1/keys/lists/query")) return others(request);
    if (++asked > 200) return std::nullopt;
    Bytes seed(32, 'm');
    seed[0] = static_cast<char>(asked);
    const e2ee::SigningSeed made_up = e2ee::SigningSeed::copy_of(seed);
    const auto first = e2ee::first_device_list("alice", made_up, {&*record, 1}, e2ee::kThen);
    wire::DeviceLists answer;
    wire::DeviceLists::OfUser& own = *answer.add_users();
    own.set_user_id("alice");
    own.set_newest_version(limits::e2ee::kListVersionMax);
    own.add_lists(e2ee::next_device_list(*first, made_up, {}, {}, e2ee::kThen, known().version)->bytes);
    own.add_records(record->bytes);
    return protobuf_response(answer);
  };
  deliver_and_run(items_frame(kAccountStream, heard_, {devices_changed(heard_ + 1)}));
  advance(std::chrono::minutes(1));
  EXPECT_EQ(asked, 1U);
  EXPECT_EQ(client_->encryption_state(), EncryptionState::kLinkNeeded);
}

// By which somebody would come back who was taken out.
TEST_F(OwnKeyMadeUp, IsNotLeftForAnOlderListThanWasKnown) {
  make_up();
  server_lists_ = {real_.front()};
  drop();
  advance(std::chrono::minutes(2));
  EXPECT_EQ(client_->encryption_state(), EncryptionState::kLinkNeeded);
  EXPECT_EQ(told(e2ee::EventKind::kListRefused), 1U);
  server_lists_ = real_;
  add({}, {kLaptop});
  real_ = server_lists_;
  drop();
  advance(std::chrono::minutes(2));
  EXPECT_EQ(client_->encryption_state(), EncryptionState::kReady) << "it was taken out meanwhile, by another device";
  EXPECT_THAT(devices(known()), ElementsAre(kTablet, kDevice));
}

// A server that was put back has what was before a key that another device of the user's has begun.
TEST_F(OwnKeyMadeUp, MayBeTheRealOneWhereTheServerWentBack) {
  make_up();
  put_back(real_);
  come_back();
  EXPECT_EQ(client_->encryption_state(), EncryptionState::kLinkNeeded);
  EXPECT_THAT(sends(), IsEmpty());
}

// ---- By a grant ----------------------------------------------------------------------------------------------------

// Nothing but what its user has compared on both devices says which of the two keys is real.
TEST_F(OwnKeyMadeUp, IsLeftForTheKeyOfAGrantBehindAnotherEpoch) {
  add({}, {kDevice});
  const auto without = server_lists_;
  server_lists_.pop_back();
  make_up_behind_another_epoch(known().version + limits::e2ee::kListVersionsAhead);
  show(without);
  link();
  expect_that_it_is_linked();
}

// What was the newest when the other key came is on no page any more.
TEST_F(OwnKeyMadeUp, IsLeftForTheKeyOfAGrantManyListsLater) {
  make_up();
  server_lists_ = real_;
  for (std::size_t i = 0; i < limits::e2ee::kListVersionsMax; ++i) add({}, {});
  add({}, {kDevice});
  const std::vector<e2ee::DeviceList> page(server_lists_.end() - limits::e2ee::kListVersionsMax, server_lists_.end());
  show(page);
  sink_.encryption_events.clear();
  link();
  expect_that_it_is_linked();
}

// ---- Far ahead -----------------------------------------------------------------------------------------------------

TEST_F(OwnKeyMadeUp, OfAVersionThatNobodyReachesIsRefused) {
  const std::uint64_t most = known().version + limits::e2ee::kListVersionsAhead;
  const auto real = server_lists_;
  for (const e2ee::DeviceList& lie : {made_up(most + 1), made_up(limits::e2ee::kListVersionMax)}) {
    sink_.encryption_events.clear();
    server_lists_ = {lie};
    deliver_and_run(items_frame(kAccountStream, heard_, {devices_changed(heard_ + 1)}));
    ++heard_;
    advance(std::chrono::minutes(2));
    EXPECT_EQ(known(), real.back()) << lie.version;
    EXPECT_EQ(client_->encryption_state(), EncryptionState::kReady) << lie.version;
    EXPECT_EQ(told(e2ee::EventKind::kListRefused), 1U) << lie.version;
    EXPECT_THAT(http_.requests("POST /v1/keys/lists"), IsEmpty()) << "nothing is signed above it";
  }
  server_lists_ = {made_up(most)};
  look();
  EXPECT_EQ(client_->encryption_state(), EncryptionState::kLinkNeeded);
}

// Below that there is room for what follows another key that the user begins.
TEST_F(OwnKeyMadeUp, IsFollowedByAnotherKeyAsLongAsThereIsRoomBehindIt) {
  make_up(limits::e2ee::kListBegunMax - 1);
  ASSERT_TRUE(client_->replace_account().ok());
  advance(std::chrono::minutes(1));
  EXPECT_THAT(sink_.identity_replaced, ElementsAre(Code::kOk));
  EXPECT_EQ(known().version, limits::e2ee::kListBegunMax);
  EXPECT_EQ(client_->encryption_state(), EncryptionState::kReady);
}

TEST_F(OwnKeyMadeUp, WithoutRoomBehindItIsReplacedOnceTheServerShowsTheRealOnes) {
  make_up_behind_another_epoch(limits::e2ee::kListBegunMax);
  const e2ee::SigningKey lie = known().account_key;
  ASSERT_TRUE(client_->replace_account().ok());
  advance(std::chrono::minutes(1));
  EXPECT_THAT(sink_.identity_replaced, ElementsAre(Code::kLimitReached));
  EXPECT_EQ(known().account_key, lie);
  show(real_);
  ASSERT_TRUE(client_->replace_account().ok());
  advance(std::chrono::minutes(1));
  EXPECT_THAT(sink_.identity_replaced, ElementsAre(Code::kLimitReached, Code::kOk));
  EXPECT_EQ(known().version, real_.back().version + 1);
  EXPECT_EQ(known().previous, real_.back().hash);
  EXPECT_EQ(known(), server_lists_.back());
  EXPECT_EQ(client_->encryption_state(), EncryptionState::kReady);
}

}  // namespace
}  // namespace chatsdk::test
