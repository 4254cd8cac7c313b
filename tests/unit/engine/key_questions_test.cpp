// SPDX-License-Identifier: Apache-2.0
//
// How often lists and bundles are asked for where there is no answer, whoever wants them meanwhile; and that they are
// asked for where the server's numbers are lower than those that are known here.
#include <functional>
#include <map>
#include <string>

#include "unit/engine/encrypted_sending.h"

namespace chatsdk::test {
namespace {

using ::testing::SizeIs;

class KeyQuestions : public EncryptedSending {
 protected:
  // From here on questions for others' lists, and for bundles, are answered so.
  void answer_with(std::function<Result<HttpResponse>()> answer) {
    http_.respond = [this, answer = std::move(answer),
                     others = http_.respond](const HttpRequest& request) -> std::optional<Result<HttpResponse>> {
      wire::DeviceListsRequest about;
      if (request.url.ends_with("/v1/keys/bundles")) {
        ++bundles_;
        return answer();
      }
      const bool of_lists = request.url.ends_with("/v1/keys/lists/query") && about.ParseFromString(request.body);
      if (!of_lists || about.users(0).user_id() == "alice") return others(request);
      for (const auto& user : about.users()) ++lists_[user.user_id()];
      return answer();
    };
  }
  static HttpResponse busy(std::chrono::milliseconds retry_after) {
    return problem_response(503, Code::kUnavailable, static_cast<std::uint32_t>(retry_after.count()));
  }
  // Each message makes the outbox look, and each burst of items the inbox.
  void want_again_and_again(int times, std::chrono::milliseconds each) {
    for (int i = 0; i < times; ++i) {
      ASSERT_TRUE(send("more").ok());
      run();
      advance(each);
    }
  }
  void ask_for_bobs_lists() {
    begin_account();
    serve_own_keys();
    go_online();
  }

  std::map<std::string, int> lists_;
  int bundles_ = 0;
};

// ---- Failures ------------------------------------------------------------------------------------------------------

TEST_F(KeyQuestions, AreNotPutAgainBeforeTheTimeThatTheServerNames) {
  ask_for_bobs_lists();
  answer_with([] { return busy(std::chrono::hours(1)); });
  want_again_and_again(50, std::chrono::milliseconds(200));
  EXPECT_EQ(lists_["bob"], 1);
  // Another connection changes nothing.
  drop();
  advance(std::chrono::minutes(2));
  ASSERT_EQ(client_->connection_state(), ConnectionState::kOnline);
  want_again_and_again(5, std::chrono::milliseconds(200));
  EXPECT_EQ(lists_["bob"], 1);
  advance(std::chrono::minutes(90));
  EXPECT_EQ(lists_["bob"], 2);
}

TEST_F(KeyQuestions, ArePutAgainAfterPausesThatDouble) {
  ask_for_bobs_lists();
  answer_with([] { return busy({}); });
  want_again_and_again(600, std::chrono::seconds(1));
  EXPECT_GE(lists_["bob"], 10);
  EXPECT_LE(lists_["bob"], 60) << "of 600 who wanted them";
}

TEST_F(KeyQuestions, OfOneUserHoldUpNoOther) {
  ask_for_bobs_lists();
  answer_with([] { return busy(std::chrono::hours(1)); });
  want_again_and_again(3, std::chrono::seconds(1));
  const auto with_carol = client_->direct_conversation("carol", true);
  ASSERT_TRUE(with_carol.ok());
  ASSERT_TRUE(client_->send_text(*with_carol, "to carol", {}).ok());
  run();
  EXPECT_EQ(lists_["carol"], 1);
  EXPECT_EQ(lists_["bob"], 1);
}

// Each own list that a roster shows has the outbox look.
TEST_F(KeyQuestions, ForBundlesHaveTheirPauseToo) {
  begin();
  answer_with([] { return busy(std::chrono::hours(1)); });
  ASSERT_TRUE(send("a secret").ok());
  run();
  for (Seq seq = 2; seq < 50; ++seq) {
    wire::Item roster = encrypted_roster(seq, seq);
    wire::SignedList& own = *roster.mutable_roster()->add_lists();
    own.set_list(own_.list);
    for (const Bytes& record : own_.records) own.add_records(record);
    deliver_and_run(items_frame(kStream, seq - 1, {roster}));
    advance(std::chrono::milliseconds(200));
  }
  EXPECT_EQ(bundles_, 1);
  advance(std::chrono::minutes(90));
  EXPECT_EQ(bundles_, 2);
}

// ---- Lower numbers -------------------------------------------------------------------------------------------------

class LowerNumbers : public KeyQuestions {
 protected:
  // Bob is known here by his second list.
  void begin_above() { begin({bobs_list(), bobs_list_with_tablet()}); }
  std::size_t asked_for_bobs_lists() {
    std::size_t asked = 0;
    for (const auto id : http_.requests("POST /v1/keys/lists/query")) {
      wire::DeviceListsRequest about;
      EXPECT_TRUE(about.ParseFromString(http_.exchange(id).request.body));
      for (const auto& user : about.users()) asked += user.user_id() == "bob" ? 1U : 0U;
    }
    return asked;
  }
};

// The server's store went back, and bob began anew: there is no bundle for the devices that are known here.
TEST_F(LowerNumbers, OfABundleHaveTheListsAskedFor) {
  begin_above();
  ASSERT_TRUE(send("a secret").ok());
  run();
  ASSERT_THAT(bundles_asked(), SizeIs(1));
  ASSERT_EQ(asked_for_bobs_lists(), 0U);
  wire::Bundles none;
  none.set_list_version(1);
  http_.answer(bundles_asked().back(), protobuf_response(none));
  run();
  EXPECT_EQ(asked_for_bobs_lists(), 1U);
}

// Its lists have lower numbers than the send names, so that it has none to show.
TEST_F(LowerNumbers, OfWhichARefusalShowsNoListHaveTheListsAskedFor) {
  begin_above();
  send_whole("a secret");
  ASSERT_THAT(sends(), SizeIs(1));
  for (int i = 0; i < 3; ++i) refuse(sends().back());
  EXPECT_EQ(asked_for_bobs_lists(), 1U) << "once for all of them";
}

}  // namespace
}  // namespace chatsdk::test
