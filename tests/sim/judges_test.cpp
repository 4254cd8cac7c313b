// SPDX-License-Identifier: Apache-2.0
//
// What the world judges by itself, told by hand: for each judge something that it must find, and what comes near.
#include "sim/judges.h"

#include "sim/checker_story.h"

namespace chatsdk::sim {
namespace {

std::string text_of(const Verdict& found) { return found ? found->what : std::string(); }

// ---- tokens --------------------------------------------------------------------------------------------------------

TEST(CopiedTokens, AreFoundToBeTakenAgain) {
  CopiedToken token;
  EXPECT_EQ(token.copy_or_use({"first", "phone", 0}), std::nullopt);
  EXPECT_EQ(token.copy_or_use({"first", "phone", 0}), std::nullopt);
  EXPECT_EQ(token.copy_or_use({"second", "phone", 0}), "first");
  EXPECT_TRUE(CopiedToken::judge(true, 0, 0));
}

TEST(CopiedTokens, AreFoundToBeTakenAgainByAServerThatWasPutBackBefore) {
  CopiedToken token;
  EXPECT_EQ(token.copy_or_use({"first", "phone", 0}), std::nullopt);
  EXPECT_EQ(token.copy_or_use({"second", "phone", 1}), std::nullopt);
  EXPECT_EQ(token.copy_or_use({"third", "phone", 1}), "second");
  EXPECT_TRUE(CopiedToken::judge(true, 1, 1));
}

TEST(CopiedTokens, MayBeRefusedAndMayBeTheNewestOfAServerThatWasPutBackMeanwhile) {
  EXPECT_FALSE(CopiedToken::judge(false, 0, 0));
  EXPECT_FALSE(CopiedToken::judge(true, 0, 1));
}

TEST(CopiedTokens, AreNotUsedWhereTheyMayBeTheLastOfAnInstallation) {
  CopiedToken token;
  EXPECT_EQ(token.copy_or_use({"first", "phone", 0}), std::nullopt);
  EXPECT_EQ(token.copy_or_use({"second", "phone anew", 0}), std::nullopt);
  EXPECT_EQ(token.copy_or_use({"third", "phone anew", 0}), "second");
  EXPECT_EQ(token.copy_or_use({"third", "phone anew", 0}), std::nullopt);  // copied now: each is used once
}

// ---- rotations -----------------------------------------------------------------------------------------------------

using Outcome = Rotations::Outcome;

// A server's store that has rotated session 1 of device 7 from its first token to its second, by request "one".
class RotationsTest : public testing::Test {
 protected:
  RotationsTest() { EXPECT_FALSE(answered(1, "one", Outcome::kRotated, 2)); }

  Verdict answered(std::uint32_t shown, const char* id, Outcome outcome, std::uint32_t now, std::int64_t at_ms = 1) {
    return rotations_.judge({1, shown, id, from_unix_ms(at_ms)}, {outcome, DeviceId{7}, now, from_unix_ms(1'000)});
  }
  Verdict refused(const char* id, std::int64_t at_ms = 1) const {
    return rotations_.judge_refusal(id, from_unix_ms(at_ms), 401);
  }

  Rotations rotations_;
};

TEST_F(RotationsTest, AreFoundToBeAnsweredOtherwise) {
  EXPECT_EQ(
      text_of(answered(1, "one", Outcome::kReused, 2)),
      "The rotation of generation 1 of session 1 was answered with a new token, generation 2, and the same request "
      "is answered that an old token was used again.");
}

TEST_F(RotationsTest, AreFoundToBeMadeAgain) { EXPECT_TRUE(answered(1, "one", Outcome::kRotated, 3)); }

TEST_F(RotationsTest, AreFoundToBeMadeAgainByAStoreThatLostThem) {
  EXPECT_TRUE(answered(1, "one", Outcome::kRotated, 2));
}

TEST_F(RotationsTest, AreFoundToBeRepeatedWithAnotherToken) { EXPECT_TRUE(answered(1, "one", Outcome::kRepeated, 3)); }

TEST_F(RotationsTest, AreFoundToBeForgottenWithTheirSession) { EXPECT_TRUE(answered(1, "one", Outcome::kEnded, 1)); }

TEST_F(RotationsTest, AreFoundToBeForgottenAfterARepeat) {
  EXPECT_FALSE(answered(1, "one", Outcome::kRepeated, 2));
  EXPECT_TRUE(answered(1, "one", Outcome::kReused, 2));
}

TEST_F(RotationsTest, AreFoundToBeRefusedAheadOfTheStore) {
  EXPECT_EQ(
      text_of(refused("one")),
      "The rotation of generation 1 of session 1 was answered with a new token, generation 2, and the same request "
      "is refused with status 401.");
}

TEST_F(RotationsTest, HoldUntilTheSuccessorIsUsed) {
  EXPECT_FALSE(answered(2, "two", Outcome::kRotated, 3));
  EXPECT_FALSE(refused("one"));
  EXPECT_FALSE(answered(1, "one", Outcome::kReused, 3));  // which ends the session
  EXPECT_FALSE(refused("two"));
  EXPECT_FALSE(answered(2, "two", Outcome::kEnded, 1));
}

TEST_F(RotationsTest, MeanNothingForAnotherRequest) {
  EXPECT_FALSE(refused("two"));
  EXPECT_FALSE(answered(1, "two", Outcome::kReused, 2));
}

TEST_F(RotationsTest, MeanNothingForAnotherTokenUnderTheSameRequest) {
  EXPECT_FALSE(answered(2, "one", Outcome::kRotated, 3));
}

TEST_F(RotationsTest, HoldAsLongAsTheirSession) {
  rotations_.session_ended(DeviceId{8});
  EXPECT_TRUE(refused("one"));
  rotations_.session_ended(DeviceId{7});
  EXPECT_FALSE(refused("one"));
  EXPECT_FALSE(answered(1, "one", Outcome::kEnded, 1));
}

TEST_F(RotationsTest, HoldAsLongAsTheirTokensLive) {
  EXPECT_TRUE(refused("one", 999));
  EXPECT_FALSE(refused("one", 1'000));
  EXPECT_FALSE(answered(1, "one", Outcome::kEnded, 2, 1'000));
}

TEST_F(RotationsTest, MayBeForgottenByAnOlderStore) {
  rotations_.forget_all();
  EXPECT_FALSE(answered(1, "one", Outcome::kRotated, 2));
}

// ---- epoch ---------------------------------------------------------------------------------------------------------

TEST(Epoch, IsFoundToChangeWithoutCause) {
  EXPECT_TRUE(judge_epoch({.epoch_before = 7, .epoch = 8, .put_back = false, .in_doubt = false}));
}

TEST(Epoch, MayBeginStayOrFollowARestore) {
  EXPECT_FALSE(judge_epoch({.epoch_before = 0, .epoch = 8, .put_back = false, .in_doubt = false}));
  EXPECT_FALSE(judge_epoch({.epoch_before = 8, .epoch = 8, .put_back = false, .in_doubt = false}));
  EXPECT_FALSE(judge_epoch({.epoch_before = 8, .epoch = 8, .put_back = true, .in_doubt = false}));
  EXPECT_FALSE(judge_epoch({.epoch_before = 7, .epoch = 8, .put_back = true, .in_doubt = false}));
  EXPECT_FALSE(judge_epoch({.epoch_before = 7, .epoch = 8, .put_back = false, .in_doubt = true}));
}

// ---- store ---------------------------------------------------------------------------------------------------------

StoreFailure failure(Code code) {
  StoreFailure failure;
  failure.what = "The server's store failed";
  failure.code = code;
  failure.detail = "page 7";
  return failure;
}

TEST(Failures, AreFoundWhereTheDiskDidNotFail) {
  EXPECT_EQ(text_of(judge_failure(failure(Code::kStorage))),
            "The server's store failed, although its disk did not fail: storage, page 7");
}

TEST(Failures, AreFoundWhereDamageIsSaidOfADiskThatOnlyCouldNotBeRead) {
  for (const Code code : {Code::kCorrupt, Code::kTampered, Code::kWrongKey}) {
    StoreFailure damaged = failure(code);
    damaged.disk_failed = damaged.power_lost = damaged.plays_full_disk = true;
    EXPECT_TRUE(judge_failure(damaged)) << code_name(code);
    damaged.disk_deceived = true;
    EXPECT_FALSE(judge_failure(damaged)) << code_name(code);
  }
}

TEST(Failures, AreFoundAfterTheHealWhateverHappenedBefore) {
  StoreFailure late = failure(Code::kStorage);
  late.disk_failed = late.healed = true;
  EXPECT_EQ(text_of(judge_failure(late)), "The server's store failed, although faults have ended: storage, page 7");
}

TEST(Failures, MayFollowThoseOfTheDiskAndTheLossOfPower) {
  StoreFailure failed = failure(Code::kStorage);
  failed.disk_failed = true;
  EXPECT_FALSE(judge_failure(failed));
  StoreFailure died = failure(Code::kStorage);
  died.power_lost = true;
  EXPECT_FALSE(judge_failure(died));
}

TEST(Failures, MayBeForWantOfRoomWhereAFaultPointSaysSo) {
  StoreFailure full = failure(Code::kStorageFull);
  EXPECT_TRUE(judge_failure(full));
  full.plays_full_disk = true;
  EXPECT_FALSE(judge_failure(full));
  full.code = Code::kStorage;
  EXPECT_TRUE(judge_failure(full));
}

TEST(Failures, AreOfADevicesOwnStoreUnlessAnAnswerOfTheServersSaysSo) {
  EXPECT_TRUE(is_of_store(error(Code::kStorage, "")));
  EXPECT_TRUE(is_of_store(error(Code::kSchemaTooNew, "", {CauseDomain::kSqlite, 1})));
  EXPECT_FALSE(is_of_store(error(Code::kStorage, "", {CauseDomain::kHttp, 500})));
  EXPECT_FALSE(is_of_store(error(Code::kMalformed, "")));
  EXPECT_FALSE(is_of_store(error(Code::kCrypto, "")));
}

// ---- calls ---------------------------------------------------------------------------------------------------------

TEST(Ends, AreFoundToBeTheLibrarysOwn) {
  EXPECT_EQ(text_of(judge_end("The connection of device 2", error(Code::kMalformed, "item 7"))),
            "The connection of device 2 ended with malformed, item 7.");
  for (const Code code : {Code::kProtocol, Code::kInternal, Code::kCrypto, Code::kNoMemory}) {
    EXPECT_TRUE(judge_end("mark_read of device 2", error(code, ""))) << code_name(code);
  }
}

TEST(Ends, MayBeTheNetworksTheServersOrTheStores) {
  for (const Code code : {Code::kOk, Code::kNetwork, Code::kUnavailable, Code::kUnauthenticated, Code::kStorage}) {
    EXPECT_FALSE(judge_end("The connection of device 2", error(code, ""))) << code_name(code);
  }
}

// ---- told ----------------------------------------------------------------------------------------------------------

ToldMessage told(int number, Seq seq) { return {seq, 3, Code::kOk, k(number), false, 5}; }

TEST(Told, IsFoundToLackAMessage) {
  const Verdict found = judge_told({{1, told(1, 2)}}, {{1, told(1, 2)}, {2, told(2, 3)}});
  EXPECT_EQ(text_of(found), "never told of " + to_text(k(2)) + " seq 3 state 3");
  EXPECT_EQ(found->conversation, 5u);
}

TEST(Told, IsFoundToBeAnotherThanIsStored) {
  ToldMessage failed = told(1, 0);
  failed.failure = Code::kTimedOut;
  EXPECT_TRUE(judge_told({{1, told(1, 0)}}, {{1, failed}}));
  EXPECT_TRUE(judge_told({{1, told(1, 2)}}, {{1, told(1, 3)}}));
}

TEST(Told, IsFoundToKnowAMessageThatIsGone) {
  EXPECT_EQ(text_of(judge_told({{1, told(1, 2)}, {2, told(2, 3)}}, {{1, told(1, 2)}})),
            "told of 2 messages, 1 are stored");
}

TEST(Told, MayBeInAnyOrder) {
  EXPECT_FALSE(judge_told({{1, told(1, 2)}, {2, told(2, 3)}}, {{2, told(2, 3)}, {1, told(1, 2)}}));
  EXPECT_FALSE(judge_told({}, {}));
}

// ---- paging --------------------------------------------------------------------------------------------------------

PagedMessage message(int number) {
  return {static_cast<MessageNumber>(number), static_cast<Seq>(number), 3, h(number), k(number)};
}

// Messages 1 to 3 by twos, one of them read alone.
PagedHistory good_history() {
  PagedHistory history;
  history.conversation = 5;
  history.up = history.down = 2;
  history.forwards = {{{message(1), message(2)}, true}, {{message(3)}, false}};
  history.backwards = {{{message(2), message(3)}, true}, {{message(1)}, false}};
  history.asked = 2;
  history.alone = message(2);
  history.before = {message(1)};
  history.unread_in_all = history.unread_each_once = 4;
  return history;
}

TEST(Pages, MayEndWithinAPageOrBeNone) {
  EXPECT_FALSE(judge_pages(good_history()));
  PagedHistory empty;
  empty.forwards = empty.backwards = {{{}, false}};
  EXPECT_FALSE(judge_pages(empty));
}

TEST(Pages, AreFoundToHoldMoreThanAskedFor) {
  PagedHistory history = good_history();
  history.forwards = {{{message(1), message(2), message(3)}, false}};
  EXPECT_EQ(text_of(judge_pages(history)), "a page has 3 rows");
  history = good_history();
  history.backwards = {{{message(1), message(2), message(3)}, false}};
  EXPECT_EQ(text_of(judge_pages(history)), "a page has 3 rows");
  EXPECT_EQ(judge_pages(history)->conversation, 5u);
}

TEST(Pages, AreFoundEmptyWithMoreToCome) {
  PagedHistory history = good_history();
  history.forwards.push_back({{}, true});
  EXPECT_EQ(text_of(judge_pages(history)), "an empty page says that there is more");
}

TEST(Pages, AreFoundToDifferBetweenTheDirections) {
  PagedHistory history = good_history();
  history.backwards.pop_back();
  EXPECT_TRUE(judge_pages(history));
  history = good_history();
  history.backwards[0].rows[1].state = 4;
  EXPECT_TRUE(judge_pages(history));
  history = good_history();
  std::swap(history.backwards[0].rows[0], history.backwards[0].rows[1]);
  EXPECT_TRUE(judge_pages(history));
}

TEST(Pages, AreFoundToHoldAnotherMessageThanIsReadAlone) {
  PagedHistory history = good_history();
  history.alone->content = h(9);
  EXPECT_TRUE(judge_pages(history));
  history = good_history();
  history.alone = message(1);
  history.before.clear();
  EXPECT_TRUE(judge_pages(history));
}

TEST(Pages, AreFoundToHoldWhatStandsBehind) {
  PagedHistory history = good_history();
  history.before.push_back(message(2));
  EXPECT_EQ(text_of(judge_pages(history)), "a page before seq 2 has it or what is behind it");
}

TEST(Pages, AreFoundToCountOtherwise) {
  PagedHistory history = good_history();
  history.unread_in_all = 3;
  EXPECT_EQ(text_of(judge_pages(history)), "3 unread messages in all, and 4 in the conversations");
}

// ---- unread --------------------------------------------------------------------------------------------------------

// Of Ann's device, who has read up to 3: two of Ben's behind it.
UnreadCount good_count() {
  UnreadCount count;
  count.conversation = 5;
  count.user = "ann";
  count.read_up_to = 3;
  count.counted = 2;
  count.rows = {{2, "ben"}, {3, "ben"}, {4, "ben"}, {5, "ann"}, {6, "ben"}};
  return count;
}

TEST(Unread, IsWhatOthersHaveBehindTheReadMark) {
  EXPECT_FALSE(judge_unread(good_count()));
  EXPECT_FALSE(judge_unread({}));
}

TEST(Unread, MayLeaveOutPlaceholdersAndWhatTheServerDoesNotHold) {
  UnreadCount count = good_count();
  count.rows.push_back({7, {}});
  count.rows.push_back({0, "ben"});
  count.rows.push_back({0, "ann"});
  EXPECT_FALSE(judge_unread(count));
}

TEST(Unread, IsFoundToBeTooLittle) {
  UnreadCount count = good_count();
  count.counted = 1;
  EXPECT_EQ(text_of(judge_unread(count)), "1 unread messages counted, and 2 of others stand behind the read mark 3");
  EXPECT_EQ(judge_unread(count)->conversation, 5u);
}

TEST(Unread, IsFoundToCountWhatIsRead) {
  UnreadCount count = good_count();
  count.counted = 3;
  EXPECT_TRUE(judge_unread(count));
}

TEST(Unread, IsFoundToBeLeftWhereEverythingIsRead) {
  UnreadCount count = good_count();
  count.read_up_to = 6;
  EXPECT_TRUE(judge_unread(count));
  count.counted = 0;
  EXPECT_FALSE(judge_unread(count));
}

TEST(Unread, IsFoundToCountWhatIsNotThere) {
  UnreadCount count = good_count();
  count.rows.clear();
  EXPECT_TRUE(judge_unread(count));
}

// ---- receipts ------------------------------------------------------------------------------------------------------

TEST(AskedReceipts, AreFoundMissingOfAMessageWithAPlace) {
  const Verdict found = judge_receipt({1, 5, k(1), 2, Code::kNotFound});
  EXPECT_EQ(text_of(found), "Device 1 answers of " + to_text(k(1)) + " at seq 2 that it is not there.");
  EXPECT_EQ(found->conversation, 5u);
}

TEST(AskedReceipts, AreFoundOfAMessageThatNobodyCanHave) { EXPECT_TRUE(judge_receipt({1, 5, k(1), 0, Code::kOk})); }

TEST(AskedReceipts, MayBeThereOrNotAsTheMessageHasAPlaceAndTheDiskMayBeInTheWay) {
  EXPECT_FALSE(judge_receipt({1, 5, k(1), 2, Code::kOk}));
  EXPECT_FALSE(judge_receipt({1, 5, k(1), 0, Code::kNotFound}));
  EXPECT_FALSE(judge_receipt({1, 5, k(1), 2, Code::kStorage}));
  EXPECT_FALSE(judge_receipt({1, 5, k(1), 0, Code::kStorage}));
}

}  // namespace
}  // namespace chatsdk::sim
