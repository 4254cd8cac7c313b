// SPDX-License-Identifier: Apache-2.0
//
// When a device looks after its own keys, and what it does where it cannot (docs/e2ee.md sections 5.2, 7, 12 and 17).
#include <gmock/gmock.h>

#include <set>

#include "e2ee/prekeys.h"
#include "unit/engine/own_lists.h"

namespace chatsdk::test {
namespace {

using ::testing::IsEmpty;
using ::testing::SizeIs;

class KeyUpkeepTest : public OwnBranches {
 protected:
  std::size_t asked(const std::string& what) const { return http_.requests(what).size(); }
  std::size_t pairs_uploaded() {
    std::size_t pairs = 0;
    for (const auto id : http_.requests("POST /v1/keys/prekeys")) {
      wire::PrekeyUpload upload;
      EXPECT_TRUE(upload.ParseFromString(http_.exchange(id).request.body));
      if (!upload.signed_prekey().empty()) ++pairs;
    }
    return pairs;
  }
  static wire::ServerFrame counts_frame() {
    wire::ServerFrame frame;
    frame.mutable_key_counts()->set_one_time(1);
    frame.mutable_key_counts()->set_one_time_kem(1);
    return frame;
  }
};

// ---- When ----------------------------------------------------------------------------------------------------------

// Whatever was compared under the log-in before.
TEST_F(KeyUpkeepTest, TheDigestIsComparedAfterEachLogIn) {
  ASSERT_EQ(asked("GET /v1/keys/digest"), 1U);
  http_.respond = [this, others = http_.respond](const HttpRequest& request) -> std::optional<Result<HttpResponse>> {
    if (request.url.ends_with("/v1/sessions/refresh")) return problem_response(401, Code::kUnauthenticated);
    if (request.url.ends_with("/v1/sessions")) return protobuf_response(session_answer(7));
    return others(request);
  };
  advance(std::chrono::minutes(16));
  drop();
  advance(std::chrono::minutes(2));
  ASSERT_EQ(client_->connection_state(), ConnectionState::kNotLoggedIn);
  const std::size_t before = asked("GET /v1/keys/digest");
  client_->login(1, "alice", "password!");
  run();
  ASSERT_EQ(client_->connection_state(), ConnectionState::kOnline);
  EXPECT_EQ(asked("GET /v1/keys/digest"), before + 1);
}

// Until then every set-up that finds no one-time KEM prekey is turned away.
TEST_F(KeyUpkeepTest, ALastResortPrekeyThatIsWornOutIsReplacedAtOnce) {
  const std::size_t before = pairs_uploaded();
  const auto wear = [this](std::size_t seen) {
    const auto worn =
        store_->inside().db.execute(("UPDATE e2ee_prekey SET seen = " + std::to_string(seen) +
                                     " WHERE kind = " + std::to_string(static_cast<int>(e2ee::PrekeyKind::kLastResort)))
                                        .c_str());
    ASSERT_TRUE(worn.ok());
  };
  const auto receive = [this](Seq seq) {
    wire::Item item = message_item(seq, "");
    item.clear_content();
    item.set_sender_device_id(bob_.record.device_id.value);
    item.set_slice("a set-up, for all that matters");
    deliver_and_run(items_frame(kStream, seq - 1, {item}));
  };
  wear(limits::e2ee::kSeenMax - 1);
  receive(2);
  EXPECT_EQ(pairs_uploaded(), before);
  wear(limits::e2ee::kSeenMax);
  receive(3);
  EXPECT_EQ(pairs_uploaded(), before + 1);
  receive(4);
  EXPECT_EQ(pairs_uploaded(), before + 1) << "that is all";
}

// A server that pushes counts has nobody ask it more often than it would be asked else.
TEST_F(KeyUpkeepTest, CountsAreNoReasonToTryAgainWhatFailed) {
  http_.respond = [others = http_.respond](const HttpRequest& request) -> std::optional<Result<HttpResponse>> {
    if (!request.url.ends_with("/v1/keys/lists/query")) return others(request);
    return problem_response(503, Code::kUnavailable, 600'000);
  };
  const std::size_t before = asked("POST /v1/keys/lists/query");
  deliver_and_run(items_frame(kAccountStream, heard_, {devices_changed(heard_ + 1)}));
  ASSERT_EQ(asked("POST /v1/keys/lists/query"), before + 1);
  for (int i = 0; i < 20; ++i) deliver_and_run(counts_frame());
  EXPECT_EQ(asked("POST /v1/keys/lists/query"), before + 1);
  advance(std::chrono::minutes(15));
  EXPECT_GT(asked("POST /v1/keys/lists/query"), before + 1);
}

// ---- Who was taken out ---------------------------------------------------------------------------------------------

// Behind so many others none of the lists that are kept names it.
TEST_F(KeyUpkeepTest, WhoWasTakenOutStaysOutThroughAnyNumberOfLists) {
  add({}, {kDevice});
  look();
  ASSERT_EQ(client_->encryption_state(), EncryptionState::kLinkNeeded);
  for (std::size_t i = 0; i <= limits::e2ee::kListVersionsMax; ++i) {
    add({}, {});
    look();
  }
  restart();
  go_online();
  EXPECT_EQ(client_->encryption_state(), EncryptionState::kLinkNeeded);
  EXPECT_EQ(known(), server_lists_.back());
  EXPECT_THAT(http_.requests("POST /v1/keys/lists"), IsEmpty());
}

TEST_F(KeyUpkeepTest, WhoWasTakenOutStaysOutWhereAllComesInOnePage) {
  drop();
  add({}, {kDevice});
  for (std::size_t i = 1; i < limits::e2ee::kListVersionsMax; ++i) add({}, {});
  come_back();
  look();
  EXPECT_EQ(client_->encryption_state(), EncryptionState::kLinkNeeded);
  EXPECT_THAT(http_.requests("POST /v1/keys/lists"), IsEmpty());
}

// ---- At the last version -------------------------------------------------------------------------------------------

// As a store of before may have it: alice's list has come to its end.
class LastVersion : public EncryptedEngine {
 protected:
  void begin_at_the_end(bool names_this_device) {
    begin_account();
    const auto written = e2ee_->write([&](E2eeTransaction& tx) -> Status {
      CHATSDK_ASSIGN(const e2ee::Self* self, tx.state().self());
      std::vector<e2ee::DeviceRecord> records = {tablet_there_.record};
      if (names_this_device) records.push_back(self->record);
      const auto first = e2ee::first_device_list("alice", self->account_seed, records, e2ee::kThen);
      const auto last =
          e2ee::next_device_list(*first, self->account_seed, {}, {}, e2ee::kThen, limits::e2ee::kListVersionMax - 1);
      e2ee::KnownUser known{"alice", last->account_key, {*last}, {}, false, {}};
      own_ = {last->bytes, {}};
      for (const e2ee::DeviceRecord& record : records) {
        known.records.emplace(record.hash, record);
        own_.records.push_back(record.bytes);
      }
      CHATSDK_TRY(tx.state().drop_user("alice"));
      return tx.state().put_user(std::move(known));
    });
    ASSERT_TRUE(written.ok()) << written.error().detail;
    serve_own_keys();
    go_online();
  }
  std::size_t prekeys_uploaded() const { return http_.requests("POST /v1/keys/prekeys").size(); }

  const e2ee::Person tablet_there_ = e2ee::person("alice", kTablet, 0x61, 1, {});
};

// The tablet has gone, and no list can say so any more.
TEST_F(LastVersion, HoldsUpNothingElse) {
  server_devices_ = {kDevice};
  begin_at_the_end(true);
  EXPECT_EQ(client_->encryption_state(), EncryptionState::kReady);
  const std::size_t before = prekeys_uploaded();
  ASSERT_GT(before, 0U);
  for (int i = 0; i < 5; ++i) advance(std::chrono::hours(12));
  EXPECT_EQ(client_->encryption_state(), EncryptionState::kReady);
  EXPECT_GT(prekeys_uploaded(), before) << "the pair was replaced";
  EXPECT_THAT(http_.requests("POST /v1/keys/lists"), IsEmpty());
}

TEST_F(LastVersion, IsToldToWhomItDoesNotName) {
  begin_at_the_end(false);
  EXPECT_EQ(client_->encryption_state(), EncryptionState::kLinkNeeded);
  EXPECT_THAT(http_.requests("POST /v1/keys/lists"), IsEmpty());
}

}  // namespace
}  // namespace chatsdk::test
