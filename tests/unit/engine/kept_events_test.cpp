// SPDX-License-Identifier: Apache-2.0
//
// What the app is to hear of device lists and identities stands in the store from the transaction that learned it until
// the app has taken it (docs/e2ee.md section 19).
#include <gmock/gmock.h>

#include "unit/engine/encrypted_engine.h"

namespace chatsdk::test {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class KeptEvents : public EncryptedEngine {
 protected:
  KeptEvents() {
    begin_account();
    serve_own_keys();
    go_online();
    deliver_and_run(items_frame(kStream, 0, {roster_with_lists({bobs_list()})}));
    sink_.encryption_events.clear();
  }
  // Bob links his tablet.
  wire::ServerFrame tablet_comes() const {
    wire::Item roster = encrypted_roster(2, 2);
    *roster.mutable_roster()->add_lists() = bobs_list_with_tablet();
    return items_frame(kStream, 1, {roster});
  }
  std::vector<e2ee::Event> told() { return std::exchange(sink_.encryption_events, {}); }
  std::vector<e2ee::Event> kept() { return e2ee_->notes().kept_events(0).value(); }
  void restart_and_start() {
    restart();
    client_->start();
    run();
  }

  const e2ee::Event added_{e2ee::EventKind::kDeviceAdded, "bob", tablet_.record.device_id};
};

TEST_F(KeptEvents, AreThereWhenTheProcessIsKilledBeforeTheyAreTold) {
  deliver(tablet_comes());
  while (kept().empty() && executor_.run_one()) {
  }
  ASSERT_THAT(kept(), ElementsAre(added_));
  ASSERT_THAT(told(), IsEmpty()) << "it is told in a turn of its own";
  restart_and_start();
  EXPECT_THAT(told(), ElementsAre(added_));
}

TEST_F(KeptEvents, AreToldAfterEachStartUntilTheyAreTaken) {
  deliver_and_run(tablet_comes());
  const auto first = told();
  ASSERT_THAT(first, ElementsAre(added_));
  restart_and_start();
  EXPECT_THAT(told(), ElementsAre(added_));
  ASSERT_TRUE(client_->encryption_events_taken(first.back().number).ok());
  restart_and_start();
  EXPECT_THAT(told(), IsEmpty());
  EXPECT_THAT(kept(), IsEmpty());
}

TEST_F(KeptEvents, AreToldWithoutAConnectionAndOnceByOneClient) {
  deliver_and_run(tablet_comes());
  restart();
  told();
  client_->tell_kept_events();
  run();
  EXPECT_THAT(told(), ElementsAre(added_));
  client_->tell_kept_events();
  client_->start();
  run();
  EXPECT_THAT(told(), IsEmpty());
}

TEST_F(KeptEvents, OfWhatTheAppDoesAreKeptToo) {
  const e2ee::Identity bobs{"bob", bob_.list.account_key};
  ASSERT_TRUE(client_->set_verified(bobs, true).ok());
  const e2ee::Event marked{e2ee::EventKind::kVerifiedChanged, "bob", {}};
  EXPECT_THAT(kept(), ElementsAre(marked));
  run();
  EXPECT_THAT(told(), ElementsAre(marked));
}

// The new list that it has made itself, and the identity that its user has asked for.
TEST_F(KeptEvents, AreNotMadeOfWhatThisDeviceDoesItself) {
  ASSERT_TRUE(client_->replace_account().ok());
  advance(std::chrono::minutes(1));
  ASSERT_THAT(sink_.identity_replaced, ElementsAre(Code::kOk));
  EXPECT_THAT(kept(), IsEmpty());
}

// A conversation's roster is there before the answer to what brought it about.
TEST_F(KeptEvents, AreNotMadeOfItWhereARosterIsFasterThanTheAnswer) {
  http_.respond = [others = http_.respond](const HttpRequest& request) -> std::optional<Result<HttpResponse>> {
    auto answer = others(request);
    return request.url.ends_with("/v1/keys/lists") ? std::nullopt : answer;
  };
  ASSERT_TRUE(client_->replace_account().ok());
  advance(std::chrono::seconds(1));
  ASSERT_THAT(http_.requests("POST /v1/keys/lists"), ::testing::SizeIs(1));
  wire::Item roster = encrypted_roster(2, 2);
  wire::SignedList& own = *roster.mutable_roster()->add_lists();
  own.set_list(server_lists_.back().bytes);
  for (const Bytes& record : server_records_) own.add_records(record);
  deliver_and_run(items_frame(kStream, 1, {roster}));
  EXPECT_EQ(e2ee_->state().user("alice").value()->newest(), server_lists_.back());
  EXPECT_THAT(kept(), IsEmpty());
  HttpResponse taken;
  taken.status = 204;
  http_.answer(http_.requests("POST /v1/keys/lists").back(), taken);
  advance(std::chrono::seconds(1));
  EXPECT_THAT(sink_.identity_replaced, ElementsAre(Code::kOk));
  EXPECT_THAT(kept(), IsEmpty());
  EXPECT_THAT(told(), IsEmpty());
}

// ---- Signed devices ------------------------------------------------------------------------------------------------

TEST_F(KeptEvents, SignedDevicesAreThoseOfTheNewestList) {
  deliver_and_run(tablet_comes());
  const auto bobs = client_->signed_devices("bob");
  ASSERT_TRUE(bobs.ok());
  ASSERT_EQ(bobs->size(), 2U);
  EXPECT_EQ(bobs->front().device_id, bob_.record.device_id);
  EXPECT_EQ(bobs->front().record, bob_.record.hash);
  EXPECT_EQ(bobs->back().record, tablet_.record.hash);
  EXPECT_EQ(bobs->front().since_ms, bob_.list.time_ms);
  EXPECT_FALSE(bobs->front().name.has_value()) << "it is sealed for bob's devices";
  EXPECT_FALSE(bobs->front().current);
  const auto own = client_->signed_devices("alice");
  ASSERT_TRUE(own.ok());
  ASSERT_EQ(own->size(), 1U);
  EXPECT_TRUE(own->front().current);
  EXPECT_EQ(client_->signed_devices("carol").code(), Code::kNotFound);
  EXPECT_EQ(client_->signed_devices("").code(), Code::kInvalidArgument);
}

// Not since the version in which another one was let in.
TEST_F(KeptEvents, SignedDevicesNameSinceWhenTheyAreListed) {
  const auto later =
      e2ee::next_device_list(bob_.list, bob_.account_seed, {&tablet_.record, 1}, {}, bob_.list.time_ms + 1'000);
  wire::Item roster = encrypted_roster(2, 2);
  *roster.mutable_roster()->add_lists() = signed_list(*later, tablet_.record);
  deliver_and_run(items_frame(kStream, 1, {roster}));
  const auto bobs = client_->signed_devices("bob");
  ASSERT_TRUE(bobs.ok());
  ASSERT_EQ(bobs->size(), 2U);
  EXPECT_EQ(bobs->front().since_ms, bob_.list.time_ms);
  EXPECT_EQ(bobs->back().since_ms, bob_.list.time_ms + 1'000);
}

// ---- What a user found to be another's -----------------------------------------------------------------------------

TEST_F(KeptEvents, WhoIsForgottenIsAskedForAtOnce) {
  const e2ee::Identity bobs{"bob", bob_.list.account_key};
  const std::size_t before = http_.requests("POST /v1/keys/lists/query").size();
  ASSERT_TRUE(client_->forget_identity(bobs).ok());
  run();
  const auto asked = http_.requests("POST /v1/keys/lists/query");
  ASSERT_EQ(asked.size(), before + 1);
  EXPECT_EQ(client_->identity("bob").code(), Code::kNotFound);
  wire::DeviceLists answer;
  wire::DeviceLists::OfUser& bob = *answer.add_users();
  bob.set_user_id("bob");
  bob.set_newest_version(1);
  bob.add_lists(bob_.list.bytes);
  bob.add_records(bob_.record.bytes);
  http_.answer(asked.back(), protobuf_response(answer));
  run();
  EXPECT_THAT(told(), ElementsAre(e2ee::Event{e2ee::EventKind::kIdentityChanged, "bob", {}}));
  ASSERT_TRUE(client_->identity("bob").ok());
  EXPECT_TRUE(client_->identity("bob")->changed);
  EXPECT_EQ(client_->forget_identity({"alice", bob_.list.account_key}).code(), Code::kInvalidArgument);
}

}  // namespace
}  // namespace chatsdk::test
