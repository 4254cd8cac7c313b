// SPDX-License-Identifier: Apache-2.0
//
// Hand-written histories for what apps are told of others: receipts, answers about them (S9), and that all agrees.
#include "sim/checker_story.h"

namespace chatsdk::sim {

namespace {

// ---- S9: receipts --------------------------------------------------------------------------------------------------

TEST(Receipts, FindsAReceiptThatFalls) {
  Story story;
  story.delivers(1, 2).delivers(2, 3).shows(2, 1, 2).shows(2, 2, 3);
  story.tell({ReceiptSeen{1, kTalk, 2, kDelivered, 3}, ReceiptSeen{1, kTalk, 2, kDelivered, 2}});
  EXPECT_BROKEN("S9", story);
}

TEST(Receipts, FindsAMarkThatFallsInTheServersStore) {
  Story story;
  story.delivers(1, 2).delivers(2, 3).shows(2, 1, 2).shows(2, 2, 3).tell({MarkedRead{2, kTalk, 3}});
  story.tell({ReceiptSeen{kServer, kTalk, 2, kDelivered, 3}, ReceiptSeen{kServer, kTalk, 2, kRead, 3}});
  story.tell({ReceiptSeen{kServer, kTalk, 2, kRead, 2}});
  EXPECT_BROKEN("S9", story);
}

TEST(Receipts, FindsDeliveredThatJumpsOverAGap) {
  Story story;
  story.delivers(1, 2).delivers(2, 3).shows(2, 2, 3).tell({ReceiptSeen{1, kTalk, 2, kDelivered, 3}});
  EXPECT_BROKEN("S9", story);
}

TEST(Receipts, FindsDeliveredAboveTheHighestSeq) {
  Story story;
  story.delivers(1, 2).shows(2, 1, 2).tell({ReceiptSeen{1, kTalk, 2, kDelivered, 3}});
  EXPECT_BROKEN("S9", story);
}

TEST(Receipts, FindsReadAboveDelivered) {
  Story story;
  story.delivers(1, 2).shows(2, 1, 2).tell({MarkedRead{2, kTalk, 2}, ReceiptSeen{1, kTalk, 2, kRead, 2}});
  EXPECT_BROKEN("S9", story);
}

TEST(Receipts, FindsReadThatNobodyMarked) {
  Story story;
  story.delivers(1, 2).delivers(2, 3).shows(2, 1, 2).shows(2, 2, 3).tell({MarkedRead{2, kTalk, 2}});
  story.tell({ReceiptSeen{1, kTalk, 2, kDelivered, 3}, ReceiptSeen{1, kTalk, 2, kRead, 3}});
  EXPECT_BROKEN("S9", story);
}

TEST(Receipts, FindsAMessageThatBecomesKnownBelowDelivered) {
  Story story;
  story.delivers(2, 3).sends(1, 1).shows(2, 2, 3).tell({ReceiptSeen{1, kTalk, 2, kDelivered, 3}});
  story.sends(3, 4).accepts(3, 4, 2);
  EXPECT_BROKEN("S9", story);
}

TEST(Receipts, FindsDeliveredThatTheCrashedDeviceDoesNotBearOut) {
  Story story;
  story.delivers(1, 2).tell({Crash{2, "drop all"}, ReceiptSeen{1, kTalk, 2, kDelivered, 2}, Restart{2}});
  EXPECT_SOUND(story);
  story.reads(2, 0, {});
  EXPECT_BROKEN("S9", story);
}

TEST(Receipts, LetsACrashedDeviceHaveStoredWhatItNeverTold) {
  Story story;
  story.delivers(1, 2).tell({Crash{2, "keep all"}, ReceiptSeen{1, kTalk, 2, kDelivered, 2}, Restart{2}});
  story.reads(2, 2, {row(2, 1)});
  EXPECT_SOUND(story);
}

TEST(Receipts, FindsDeliveredThatTheCrashedDeviceDoesNotBearOutWithNothingOfTheConversation) {
  Story story;
  story.delivers(1, 2).tell({Crash{2, "drop all"}, ReceiptSeen{1, kTalk, 2, kDelivered, 2}, Restart{2}});
  EXPECT_SOUND(story);
  story.tell({StoreReadInFull{2}});
  EXPECT_BROKEN("S9", story);
}

// Device 2 crashed and told that it had the message; nobody ever reads it again, and device 4 is its user's next.
void reinstall_unread(Story& story) {
  story.sends(1, 1).shows(1, 1, 2).tell({Crash{2, "keep all"}, ReceiptSeen{1, kTalk, 2, kDelivered, 2}});
  story.tell({Unlinked{2}, Linked{4, 2}});
}

// The first violation at the end, where devices 1 and 4 take part and the server has the message.
std::string broken_in_the_end(Story& story, std::vector<StoredRow> server_has = {row(2, 1)}) {
  FinalState state;
  state.eligible = {{kTalk, 1}, {kTalk, 4}};
  state.server_reads = {{kServer, kTalk, 2, 1, std::move(server_has), {}}};
  return story.ends(state).broken();
}

TEST(Receipts, FindWhatAReinstalledDeviceHasTakenWithIt) {
  Story story;
  reinstall_unread(story);
  story.tell({StoreReadInFull{4}});
  EXPECT_SOUND(story);
  EXPECT_EQ(broken_in_the_end(story), "S9") << story.why();
  EXPECT_NE(story.why().find("nor has any in the end"), std::string::npos) << story.why();
}

TEST(Receipts, LetAReinstalledDeviceFetchWhatItHadTold) {
  Story story;
  reinstall_unread(story);
  story.shows(4, 1, 2).tell({StoreReadInFull{4}});
  EXPECT_SOUND(story);
  EXPECT_NE(broken_in_the_end(story), "S9") << story.why();
}

TEST(Receipts, DemandNothingOfAReinstalledDeviceThatTheServerHasLost) {
  Story story;
  reinstall_unread(story);
  story.tell({Crash{kServer, "restored"}, EpochBegun{7, {{kTalkStream, kTalk, 1}}}, Restart{kServer}});
  story.tell({EpochSeen{4, 7}, StoreReadInFull{4}});
  EXPECT_SOUND(story);
  EXPECT_NE(broken_in_the_end(story, {}), "S9") << story.why();
}

// Of an encrypted conversation a device has what was sent since it is in its user's list.
TEST(Receipts, DemandNothingOfAReinstalledDeviceThatItMayNotHave) {
  Story story;
  story.tell({Listed{1, true}, Listed{2, true}}).sends(1, 1).shows(1, 1, 2);
  story.tell({Crash{2, "keep all"}, ReceiptSeen{1, kTalk, 2, kDelivered, 2}, Unlinked{2}, Linked{4, 2}});
  story.tell({Listed{4, true}, StoreReadInFull{4}});
  EXPECT_SOUND(story);
  EXPECT_NE(broken_in_the_end(story), "S9") << story.why();
}

TEST(Receipts, AreBorneOutByWhatADeviceHeldWhenItLeft) {
  Story story;
  story.delivers(1, 2).tell({Crash{2, "keep all"}, Restart{2}}).reads(2, 2, {row(2, 1)});
  story.tell({StoreReadInFull{2}, Unlinked{2}, Linked{4, 2}, ReceiptSeen{1, kTalk, 2, kDelivered, 2}});
  EXPECT_SOUND(story);
}

TEST(Receipts, FindWhatADeviceDidNotHoldWhenItLeft) {
  Story story;
  story.delivers(1, 2).tell({Crash{2, "drop all"}, Restart{2}, StoreReadInFull{2}, Unlinked{2}, Linked{4, 2}});
  EXPECT_SOUND(story);
  story.tell({ReceiptSeen{1, kTalk, 2, kDelivered, 2}});
  EXPECT_BROKEN("S9", story);
}

TEST(Receipts, LetsMarksOfSeveralDevicesAddUp) {
  Story story;
  // Device 1 holds its own messages and device 3 of the same user what user 2 sent; 4 is an item without a message.
  story.delivers(1, 2).sends(2, 2).accepts(2, 2, 3).shows(3, 2, 3, 2).tell({CursorSeen{3, kTalkStream, kTalk, 1}});
  story.tell({PushedLive{kTalkStream, kTalk, {4, 99}, 2}, MarkedRead{3, kTalk, 3}});
  story.tell({ReceiptSeen{2, kTalk, 1, kDelivered, 4}, ReceiptSeen{2, kTalk, 1, kRead, 3}});
  story.tell({ReceiptSeen{2, kTalk, 1, kDelivered, 4}, ReceiptSeen{1, kTalk, 1, kDelivered, 2}});
  EXPECT_SOUND(story);
}

// ---- S9: what is answered ------------------------------------------------------------------------------------------

// Device 1 knows that user 2 got what stands up to 3, and read up to 2.
void tell_receipts(Story& story) {
  story.delivers(1, 2).delivers(2, 3).shows(2, 1, 2).shows(2, 2, 3).tell({MarkedRead{2, kTalk, 2}});
  story.tell({ReceiptSeen{1, kTalk, 2, kDelivered, 3}, ReceiptSeen{1, kTalk, 2, kRead, 2}});
}

TEST(ReceiptAnswers, FindWhatTheMarksDoNotSay) {
  Story story;
  tell_receipts(story);
  story.tell({ReceiptAnswered{1, kTalk, 3, 2, 1'000, 2'000}});
  EXPECT_BROKEN("S9", story);
}

TEST(ReceiptAnswers, FindWhatTheMarksSayLeftOut) {
  Story story;
  tell_receipts(story);
  story.tell({ReceiptAnswered{1, kTalk, 2, 2, 1'000, 0}});
  EXPECT_BROKEN("S9", story);
}

TEST(ReceiptAnswers, FindReadBeforeDelivered) {
  Story story;
  tell_receipts(story);
  story.tell({ReceiptAnswered{1, kTalk, 2, 2, 2'000, 1'000}});
  EXPECT_BROKEN("S9", story);
}

TEST(ReceiptAnswers, FindATimeThatChanges) {
  Story story;
  tell_receipts(story);
  story.tell({ReceiptAnswered{1, kTalk, 3, 2, 1'000, 0}, ReceiptAnswered{1, kTalk, 3, 2, 1'001, 0}});
  EXPECT_BROKEN("S9", story);
}

TEST(ReceiptAnswers, LetReadingShowThatItCameEarlier) {
  Story story;
  tell_receipts(story);
  story.tell({ReceiptAnswered{1, kTalk, 2, 2, 1'000, 2'000}, ReceiptAnswered{1, kTalk, 3, 2, 1'500, 0}});
  story.tell({MarkedRead{2, kTalk, 3}, ReceiptSeen{1, kTalk, 2, kRead, 3}, ReceiptAnswered{1, kTalk, 3, 2, 900, 900}});
  story.tell({ReceiptAnswered{1, kTalk, 3, 2, 900, 900}});
  EXPECT_SOUND(story);
}

// ---- Syncs ---------------------------------------------------------------------------------------------------------

TEST(Syncs, FindAMessageThatWaits) {
  Story story;
  story.delivers(1, 2).sends(1, 2).tell({SyncReturned{1, Code::kOk, false}});
  EXPECT_BROKEN("sync", story);
}

TEST(Syncs, SpeakOfWhatWasThereWhenTheyLooked) {
  Story story;
  story.delivers(1, 2).tell({SyncLooked{1, 7}}).sends(1, 2).tell({MarkedRead{1, kTalk, 2}});
  story.tell({MarkReadReturned{1, kTalk, 2, Code::kOk}, SyncReturned{1, Code::kOk, true, 7}});
  EXPECT_SOUND(story);
  story.tell({SyncLooked{1, 8}, SyncReturned{1, Code::kOk, false, 8}});
  EXPECT_BROKEN("sync", story);
}

TEST(Syncs, MayTellTheEndOfAMessageBehindTheLook) {
  Story story;
  story.sends(1, 1).tell({SyncLooked{1, 7}, Acked{1, k(1), 2}, SyncReturned{1, Code::kOk, false, 7}});
  EXPECT_SOUND(story);
}

TEST(Syncs, FindAReadMarkThatTheServerDoesNotHave) {
  Story story;
  story.sends(2, 1).accepts(2, 1, 2).tell({Shown{1, kTalk, k(1), 2, h(1), 2}, CursorSeen{1, kTalkStream, kTalk, 2}});
  story.tell({MarkedRead{1, kTalk, 2}, MarkReadReturned{1, kTalk, 2, Code::kOk}, SyncReturned{1, Code::kOk, true}});
  EXPECT_BROKEN("sync", story);
}

TEST(Syncs, FindAReadMarkThatTheServerDoesNotHaveAfterARestore) {
  Story story;
  story.sends(2, 1).accepts(2, 1, 2).tell({Shown{1, kTalk, k(1), 2, h(1), 2}, CursorSeen{1, kTalkStream, kTalk, 2}});
  story.tell({ReceiptSeen{kServer, kTalk, 1, kDelivered, 2}, MarkedRead{1, kTalk, 2}});
  story.tell({ReceiptSeen{kServer, kTalk, 1, kRead, 2}, EpochBegun{2, {{kTalkStream, kTalk, 2}}}, EpochSeen{1, 2}});
  story.tell(
      {Shown{1, kTalk, k(1), 2, h(1), 2}, CursorSeen{1, kTalkStream, kTalk, 2}, SyncReturned{1, Code::kOk, true}});
  EXPECT_SOUND(story);
  story.tell({MarkedRead{1, kTalk, 2}, MarkReadReturned{1, kTalk, 2, Code::kOk}, SyncReturned{1, Code::kOk, true}});
  EXPECT_BROKEN("sync", story);
}

TEST(Syncs, LetWhatFailedAndWhatStandsBehindItWait) {
  Story story;
  story.sends(1, 1).sends(1, 2).tell({Failed{1, k(1), Code::kTimedOut}, SyncReturned{1, Code::kOk, true}});
  EXPECT_SOUND(story);
}

TEST(Syncs, LetOneThatDidNotReturnInTimeSayNothing) {
  Story story;
  story.sends(1, 1).tell({SyncReturned{1, Code::kTimedOut, false}});
  EXPECT_SOUND(story);
}

}  // namespace

}  // namespace chatsdk::sim
