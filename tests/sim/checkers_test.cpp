// SPDX-License-Identifier: Apache-2.0
//
// Hand-written histories for S1 to S17, but for receipts (checkers_receipts_test.cpp): for each property some that
// break it and some that come near and do not.
#include "sim/checker_story.h"

namespace chatsdk::sim {

namespace {

// ---- S1 ------------------------------------------------------------------------------------------------------------

TEST(NoInvention, FindsAMessageThatNobodySent) {
  Story story;
  story.shows(2, 1, 2);
  EXPECT_BROKEN("S1", story);
}

TEST(NoInvention, FindsAnotherContent) {
  Story story;
  story.sends(1, 1).tell({Shown{2, kTalk, k(1), 2, h(9), 1}});
  EXPECT_BROKEN("S1", story);
}

TEST(NoInvention, FindsAnotherSender) {
  Story story;
  story.sends(1, 1).shows(2, 1, 2, 2);
  EXPECT_BROKEN("S1", story);
}

TEST(NoInvention, FindsAnotherConversation) {
  Story story;
  story.sends(1, 1).tell({Shown{2, 2, k(1), 2, h(1), 1}});
  EXPECT_BROKEN("S1", story);
}

TEST(NoInvention, FindsARefusedSend) {
  Story story;
  story.tell({SendCalled{1, kTalk, k(1), h(1)}, SendReturned{1, k(1), Code::kLimitReached}})
      .reads(1, 0, {}, {pending(1)});
  EXPECT_BROKEN("S1", story);
}

TEST(NoInvention, FindsAnInventedRowInTheServersStore) {
  Story story;
  story.sends(1, 1).reads(kServer, 3, {row(2, 1), row(3, 2)});
  EXPECT_BROKEN("S1", story);
}

TEST(NoInvention, FindsAnAcceptanceOfWhatAnotherDeviceSent) {
  Story story;
  story.sends(1, 1).accepts(2, 1, 2);
  EXPECT_BROKEN("S1", story);
}

TEST(NoInvention, LetsAnOpenSendAppear) {
  Story story;
  story.tell({SendCalled{1, kTalk, k(1), h(1)}, Crash{1, "drop"}, Restart{1}});
  story.reads(1, 0, {}, {pending(1)}).accepts(1, 1, 2).shows(2, 1, 2);
  EXPECT_SOUND(story);
}

TEST(NoInvention, LetsADeviceSendBeforeItsLogInIsTold) {
  Story story;
  story.sends(4, 1).tell({Linked{4, 1}}).reads(4, 0, {}, {pending(1)}).shows(2, 1, 2);
  EXPECT_SOUND(story);
}

TEST(NoInvention, LetsASendAppearThatSucceededAfterARefusal) {
  Story story;
  story.tell({SendCalled{1, kTalk, k(1), h(1)}, SendReturned{1, k(1), Code::kStorageFull}}).sends(1, 1);
  story.tell({SendCalled{1, kTalk, k(1), h(5)}, SendReturned{1, k(1), Code::kLimitReached}});
  story.accepts(1, 1, 2).shows(2, 1, 2);
  EXPECT_SOUND(story);
}

TEST(NoInvention, TakesAStorageErrorAsOpen) {
  Story story;
  story.tell({SendCalled{1, kTalk, k(1), h(1)}, SendReturned{1, k(1), Code::kStorage}}).reads(1, 0, {}, {pending(1)});
  EXPECT_SOUND(story);
}

// ---- S2 ------------------------------------------------------------------------------------------------------------

TEST(Agreement, FindsTwoMessagesAtOnePlace) {
  Story story;
  story.sends(1, 1).sends(1, 2).shows(2, 1, 2).shows(3, 2, 2);
  EXPECT_BROKEN("S2", story);
}

TEST(Agreement, FindsOneMessageAtTwoPlaces) {
  Story story;
  story.sends(1, 1).accepts(1, 1, 2).accepts(1, 1, 3);
  EXPECT_BROKEN("S2", story);
}

TEST(Agreement, FindsTheServersStoreToDiffer) {
  Story story;
  story.sends(1, 1).sends(1, 2).shows(2, 1, 2).reads(kServer, 3, {row(2, 2), row(3, 1)});
  EXPECT_BROKEN("S2", story);
}

TEST(Agreement, FindsTwoContentsOfOneMessage) {
  Story story;
  // Two calls that are both open explain either content, but not both.
  story.tell({SendCalled{1, kTalk, k(1), h(1)}, SendCalled{1, kTalk, k(1), h(2)}});
  story.tell({Shown{2, kTalk, k(1), 2, h(1), 1}, Shown{3, kTalk, k(1), 2, h(2), 1}});
  EXPECT_BROKEN("S2", story);
}

TEST(Agreement, FindsAPlaceThatOnlyDevicesKnow) {
  Story story;
  story.sends(1, 1).shows(2, 1, 2).reads(kServer, 1, {});
  EXPECT_BROKEN("S2", story);
}

TEST(Agreement, LetsTheSameBeSaidTwice) {
  Story story;
  story.delivers(1, 2).accepts(1, 1, 2).shows(2, 1, 2).shows(2, 1, 2).reads(kServer, 2, {row(2, 1)});
  EXPECT_SOUND(story);
}

// ---- S3 ------------------------------------------------------------------------------------------------------------

TEST(AtMostOnce, FindsAMessageTwice) {
  Story story;
  story.delivers(1, 2).reads(2, 3, {row(2, 1), row(3, 1)});
  EXPECT_BROKEN("S3", story);
}

TEST(AtMostOnce, FindsAPlaceTwice) {
  Story story;
  story.delivers(1, 2).sends(1, 2).reads(2, 3, {row(2, 1), row(2, 2)});
  EXPECT_BROKEN("S3", story);
}

TEST(AtMostOnce, FindsAMessagePlacedAndPending) {
  Story story;
  story.delivers(1, 2).reads(1, 2, {row(2, 1)}, {pending(1, SeenState::kSending)});
  EXPECT_BROKEN("S3", story);
}

TEST(AtMostOnce, LetsEqualContentsBeTwoMessages) {
  Story story;
  story.tell({SendCalled{1, kTalk, k(1), h(1)}, SendReturned{1, k(1), Code::kOk}});
  story.tell({SendCalled{1, kTalk, k(2), h(1)}, SendReturned{1, k(2), Code::kOk}});
  StoredRow twin = row(3, 2);
  twin.h = h(1);
  story.reads(1, 3, {row(2, 1), twin});
  EXPECT_SOUND(story);
}

// ---- S4 ------------------------------------------------------------------------------------------------------------

TEST(Order, FindsRowsThatGoBack) {
  Story story;
  story.delivers(1, 2).delivers(2, 3).reads(2, 3, {row(3, 2), row(2, 1)});
  EXPECT_BROKEN("S4", story);
}

TEST(Order, FindsPendingMessagesThatChangedPlaces) {
  Story story;
  story.sends(1, 1).sends(1, 2).reads(1, 0, {}, {pending(2), pending(1)});
  EXPECT_BROKEN("S4", story);
}

TEST(Order, FindsAMessageThatIsPendingAgain) {
  Story story;
  story.delivers(1, 2).reads(1, 0, {}, {pending(1, SeenState::kSending)});
  EXPECT_BROKEN("S4", story);
}

TEST(Order, LetsPlacesBeMissingAndPendingOnesStandAtTheTail) {
  Story story;
  story.delivers(1, 2).sends(1, 2).sends(1, 3).sends(2, 4).accepts(2, 4, 4);
  story.reads(1, 4, {row(2, 1), row(4, 4, 2)}, {pending(2, SeenState::kFailed), pending(3)});
  EXPECT_SOUND(story);
}

// ---- S5 ------------------------------------------------------------------------------------------------------------

TEST(SenderOrder, FindsTheSecondAcceptedFirst) {
  Story story;
  story.sends(1, 1).sends(1, 2).accepts(1, 1, 3).accepts(1, 2, 2);
  EXPECT_BROKEN("S5", story);
}

TEST(SenderOrder, FindsALateAcceptanceOutOfOrder) {
  Story story;
  story.sends(1, 1).sends(1, 2).sends(1, 3);
  story.accepts(1, 3, 7).accepts(1, 1, 5).accepts(1, 2, 8);
  EXPECT_BROKEN("S5", story);
}

TEST(SenderOrder, LetsDevicesAndFailuresInterleave) {
  Story story;
  story.sends(1, 1).sends(3, 2).sends(1, 3).sends(1, 4);
  story.tell({Failed{1, k(3), Code::kNotFound}, Discarded{1, k(3)}});
  story.accepts(3, 2, 2).accepts(1, 1, 3).accepts(1, 4, 4);
  EXPECT_SOUND(story);
}

TEST(SenderOrder, LetsAnOpenSendStandAnywhere) {
  Story story;
  story.tell({SendCalled{1, kTalk, k(1), h(1)}}).sends(1, 2).accepts(1, 2, 2).accepts(1, 1, 3);
  EXPECT_SOUND(story);
}

// ---- S6 ------------------------------------------------------------------------------------------------------------

TEST(AckIsDurable, FindsAnAcknowledgedMessageGone) {
  Story story;
  story.delivers(1, 2).tell({Crash{kServer, "drop all"}, Restart{kServer}}).reads(kServer, 1, {});
  EXPECT_BROKEN("S6", story);
}

TEST(AckIsDurable, FindsAnAnswerOnTheWireThatWasNotKept) {
  Story story;
  story.sends(1, 1).sends(1, 2).accepts(1, 1, 2).accepts(1, 2, 3).reads(kServer, 2, {row(2, 1)});
  EXPECT_BROKEN("S6", story);
}

TEST(AckIsDurable, LetsWhatWasNeverAnsweredBeGone) {
  Story story;
  story.delivers(1, 2).sends(1, 2).tell({Crash{kServer, "drop all"}, Restart{kServer}});
  story.reads(kServer, 2, {row(2, 1)});
  EXPECT_SOUND(story);
}

TEST(AckIsDurable, LeavesWhatWasTrimmedToRetention) {
  Story story;
  story.delivers(1, 2).delivers(2, 3).tell({StoreRead{kServer, kTalk, 3, 3, {row(3, 2)}, {}}});
  EXPECT_SOUND(story);
}

// ---- S7 ------------------------------------------------------------------------------------------------------------

TEST(QueuedIsDurable, FindsAQueuedMessageGoneAfterACrash) {
  Story story;
  story.sends(1, 1).tell({Crash{1, "drop all"}, Restart{1}}).reads(1, 0, {});
  EXPECT_BROKEN("S7", story);
}

TEST(QueuedIsDurable, FindsAFailedMessageDroppedUntold) {
  Story story;
  story.sends(1, 1).sends(1, 2).tell({AnswerSeen{1, k(1), AnswerSeen::Kind::kRefused, 0, Code::kNotFound}});
  story.reads(1, 0, {}, {pending(2)});
  EXPECT_BROKEN("S7", story);
}

TEST(QueuedIsDurable, FindsAnAcceptedMessageMissingBelowTheCursor) {
  Story story;
  story.sends(1, 1).accepts(1, 1, 2).reads(1, 2, {});
  EXPECT_BROKEN("S7", story);
}

TEST(QueuedIsDurable, FindsARetriedMessageGone) {
  Story story;
  story.sends(1, 1).tell({Failed{1, k(1), Code::kNotFound}, Retried{1, k(1), k(1)}}).reads(1, 0, {});
  EXPECT_BROKEN("S7", story);
}

TEST(QueuedIsDurable, LetsWhatTheAppKnowsOfBeGone) {
  Story story;
  story.tell({SendCalled{1, kTalk, k(1), h(1)}, SendReturned{1, k(1), Code::kLimitReached}});
  story.sends(1, 2).tell({Discarded{1, k(2)}});
  story.sends(1, 3).tell({Failed{1, k(3), Code::kNotFound}});
  story.sends(1, 4).tell({Failed{1, k(4), Code::kTimedOut}}).sends(1, 5).tell({Retried{1, k(4), k(5)}});
  story.tell({SendCalled{1, kTalk, k(6), h(6)}, Crash{1, "drop all"}, Restart{1}});
  story.reads(1, 0, {}, {pending(5)});
  EXPECT_SOUND(story);
}

// Message 1 of device 1 to user 2, which may time out from 5,000 ms on.
SendCalled limited() { return {1, kTalk, k(1), h(1), 2, 5'000}; }

TEST(FailureHasCause, FindsATimeoutBeforeItsTime) {
  Story story;
  story.tell({limited(), SendReturned{1, k(1), Code::kOk}, Failed{1, k(1), Code::kTimedOut, 4'999}});
  EXPECT_BROKEN("S7", story);
}

TEST(FailureHasCause, FindsATimeoutOfARetryAtTheOldTime) {
  Story story;
  story.tell({limited(), SendReturned{1, k(1), Code::kOk}, Failed{1, k(1), Code::kTimedOut, 5'000}});
  EXPECT_SOUND(story);
  story.tell({Retried{1, k(1), k(1), false, 9'000}, Failed{1, k(1), Code::kTimedOut, 6'000}});
  EXPECT_BROKEN("S7", story);
}

TEST(FailureHasCause, FindsAPeerNotFoundWhoHasLoggedIn) {
  Story story;
  story.tell({limited(), SendReturned{1, k(1), Code::kOk}, Failed{1, k(1), Code::kNotFound, 1}});
  EXPECT_BROKEN("S7", story);
}

TEST(FailureHasCause, FindsAMessageRolledBackByAServerThatNeverWentBack) {
  Story story;
  story.delivers(1, 2).tell({Failed{1, k(1), Code::kRolledBack}});
  EXPECT_BROKEN("S7", story);
}

TEST(FailureHasCause, FindsAMessageVoidedThatTheServerDidNotVoid) {
  Story story;
  story.sends(1, 1).tell({Failed{1, k(1), Code::kVoided}});
  EXPECT_BROKEN("S7", story);
}

TEST(FailureHasCause, LetsAnotherDeviceOfTheSenderVoidIt) {
  Story story;
  story.sends(1, 1).tell(
      {AnswerSeen{3, k(1), AnswerSeen::Kind::kVoided, 0, Code::kOk}, Failed{1, k(1), Code::kVoided}});
  EXPECT_SOUND(story);
}

TEST(FailureHasCause, FindsReasonsThatNobodyGave) {
  for (const Code code : {Code::kForbidden, Code::kInternal, Code::kStorage, Code::kUnavailable}) {
    Story story;
    story.tell({limited(), SendReturned{1, k(1), Code::kOk}, Failed{1, k(1), code, 9'000}});
    EXPECT_BROKEN("S7", story);
  }
}

TEST(FailureHasCause, FindsCallsRefusedForNoReason) {
  for (const Code code : {Code::kInvalidArgument, Code::kNotLoggedIn, Code::kConflict, Code::kInternal}) {
    Story sent;
    sent.tell({limited(), SendReturned{1, k(1), code}});
    EXPECT_BROKEN("S7", sent);
    Story marked;
    marked.delivers(1, 2).tell({MarkedRead{2, kTalk, 2}, MarkReadReturned{2, kTalk, 2, code}});
    EXPECT_BROKEN("S7", marked);
  }
}

TEST(FailureHasCause, LetsTimePassStrangersBeMissingAndServersGoBack) {
  Story story;
  story.tell({limited(), SendReturned{1, k(1), Code::kOk}, Failed{1, k(1), Code::kTimedOut, 5'000}});
  story.tell({SendCalled{1, 7, k(2), h(2), 9, 5'000}, SendReturned{1, k(2), Code::kOk}});
  story.tell({Failed{1, k(2), Code::kNotFound, 1}});
  story.tell({SendCalled{1, 8, k(3), h(3), 4, 5'000}, SendReturned{1, k(3), Code::kOk}, Linked{4, 4}});
  story.tell({Failed{1, k(3), Code::kNotFound, 1}});  // asked for before there was such a user
  story.tell({SendCalled{1, kTalk, k(4), h(4), 2}, SendReturned{1, k(4), Code::kLimitReached}});
  story.tell({SendCalled{1, kTalk, k(5), h(5), 2}, SendReturned{1, k(5), Code::kStorageFull}});
  story.tell({EpochBegun{7, {}}, SendCalled{1, kTalk, k(6), h(6), 2}, SendReturned{1, k(6), Code::kOk}});
  story.tell({Failed{1, k(6), Code::kNotFound, 1}});
  EXPECT_SOUND(story);
}

TEST(FailureHasCause, IsNotAskedForWhereAHostileMiddleAltersWhatIsSaid) {
  Story story({.in_order = false});
  story.tell({limited(), SendReturned{1, k(1), Code::kOk}, Failed{1, k(1), Code::kForbidden, 1}});
  EXPECT_SOUND(story);
}

// ---- S8 ------------------------------------------------------------------------------------------------------------

TEST(NoSilentGap, FindsACursorThatJumpsOverAMessage) {
  Story story;
  story.delivers(1, 2).delivers(2, 3).shows(2, 2, 3).tell({CursorSeen{2, kTalkStream, kTalk, 3}});
  EXPECT_BROKEN("S8", story);
}

TEST(NoSilentGap, FindsACursorAheadOfTheStoreAfterACrash) {
  Story story;
  story.delivers(1, 2).shows(2, 1, 2).tell({CursorSeen{2, kTalkStream, kTalk, 2}}).delivers(2, 3);
  story.tell({Crash{2, "drop all"}, Restart{2}}).reads(2, 3, {row(2, 1)});
  EXPECT_BROKEN("S8", story);
}

TEST(NoSilentGap, FindsAMessageThatBecomesKnownBelowACursor) {
  Story story;
  story.sends(1, 1).tell({CursorSeen{2, kTalkStream, kTalk, 2}}).accepts(1, 1, 2);
  EXPECT_BROKEN("S8", story);
}

TEST(NoSilentGap, FindsAShownMessageGone) {
  Story story;
  story.delivers(1, 2).shows(2, 1, 2).reads(2, 0, {});
  EXPECT_BROKEN("S8", story);
}

TEST(NoSilentGap, FindsACursorThatFalls) {
  Story story;
  story.delivers(1, 2).shows(2, 1, 2).tell({CursorSeen{2, kTalkStream, kTalk, 2}}).reads(2, 1, {row(2, 1)});
  EXPECT_BROKEN("S8", story);
}

TEST(NoSilentGap, LetsPlaceholdersAndOtherItemsStandForThemselves) {
  Story story;
  // 1 is a roster item, 2 was trimmed, 4 came after the user had left.
  story.tell({Member{kTalk, 1, true, 1}, Member{kTalk, 2, true, 1}}).delivers(1, 2).delivers(2, 3);
  story.tell({PlaceholderShown{2, kTalk, 1, 2}}).shows(2, 2, 3).tell({CursorSeen{2, kTalkStream, kTalk, 3}});
  StoredRow placeholder;
  placeholder.seq = 2;
  placeholder.placeholder = true;
  story.reads(2, 3, {placeholder, row(3, 2)}).tell({Member{kTalk, 2, false, 4}});
  story.delivers(3, 4).tell({CursorSeen{2, kTalkStream, kTalk, 4}});
  EXPECT_SOUND(story);
}

TEST(NoSilentGap, LetsWhatIsStoredRunAheadOfTheCursor) {
  Story story;
  story.sends(2, 2).accepts(2, 2, 2).delivers(1, 3).reads(1, 1, {row(3, 1)});
  EXPECT_SOUND(story);
}

// ---- S9: states ----------------------------------------------------------------------------------------------------

TEST(StatesAdvance, FindsSendingFallBackToQueued) {
  Story story;
  story.sends(1, 1).tell({StateSeen{1, k(1), SeenState::kSending}, StateSeen{1, k(1), SeenState::kQueued}});
  EXPECT_BROKEN("S9", story);
}

TEST(StatesAdvance, FindsAFailureAfterTheAcceptance) {
  Story story;
  story.delivers(1, 2).tell({Failed{1, k(1), Code::kNotFound}});
  EXPECT_BROKEN("S9", story);
}

TEST(StatesAdvance, FindsAFailedMessageSentWithoutARetry) {
  Story story;
  story.sends(1, 1).tell({StateSeen{1, k(1), SeenState::kFailed}, StateSeen{1, k(1), SeenState::kSending}});
  EXPECT_BROKEN("S9", story);
}

TEST(StatesAdvance, FindsADiscardedMessageAccepted) {
  Story story;
  story.sends(1, 1).tell({Discarded{1, k(1)}}).accepts(1, 1, 2);
  EXPECT_BROKEN("S9", story);
}

TEST(StatesAdvance, FindsTheOldIdOfARetryAccepted) {
  Story story;
  story.sends(1, 1)
      .tell({Failed{1, k(1), Code::kTimedOut}})
      .sends(1, 2)
      .tell({Retried{1, k(1), k(2)}})
      .accepts(1, 1, 2);
  EXPECT_BROKEN("S9", story);
}

TEST(StatesAdvance, FindsReadFallBackToDelivered) {
  Story story;
  story.delivers(1, 2).tell({StateSeen{1, k(1), SeenState::kRead}, StateSeen{1, k(1), SeenState::kDelivered}});
  EXPECT_BROKEN("S9", story);
}

TEST(StatesAdvance, LetsStatesBeSkippedAndRetriedUnderTheSameId) {
  Story story;
  story.sends(1, 1).tell({StateSeen{1, k(1), SeenState::kQueued}, StateSeen{1, k(1), SeenState::kQueued}});
  story.tell({StateSeen{1, k(1), SeenState::kSending}, StateSeen{1, k(1), SeenState::kFailed}});
  story.tell({Failed{1, k(1), Code::kNotFound}, Retried{1, k(1), k(1)}, StateSeen{1, k(1), SeenState::kQueued}});
  story.accepts(1, 1, 2).tell({StateSeen{1, k(1), SeenState::kDelivered}, Acked{1, k(1), 2}});
  story.tell({StateSeen{1, k(1), SeenState::kRead}, StateSeen{3, k(1), SeenState::kSent}});
  EXPECT_SOUND(story);
}

// ---- S10 -----------------------------------------------------------------------------------------------------------

TEST(Entitlement, FindsAMessageOnADeviceThatIsInNoList) {
  Story story;
  story.tell({Listed{1, true}}).delivers(1, 2).shows(2, 1, 2);
  EXPECT_BROKEN("S10", story);
}

TEST(Entitlement, FindsOneOfBeforeTheDeviceWasListedAndOneOfAfterwards) {
  Story before;
  before.tell({Listed{1, true}}).delivers(1, 2).tell({Listed{2, true}}).delivers(2, 3).shows(2, 2, 3).shows(2, 1, 2);
  EXPECT_BROKEN("S10", before);
  Story after;
  after.tell({Listed{1, true}, Listed{2, true}}).delivers(1, 2).shows(2, 1, 2).tell({Listed{2, false}});
  after.delivers(2, 3).reads(2, 0, {row(2, 1), row(3, 2)});
  EXPECT_BROKEN("S10", after);
}

TEST(Entitlement, HoldsWhereAMessageIsForTheListThatNamesTheDevice) {
  Story story;
  story.tell({Listed{1, true}}).delivers(1, 2).tell({Listed{2, true}}).delivers(2, 3).shows(2, 2, 3);
  story.tell({CursorSeen{2, kTalkStream, kTalk, 3}}).reads(2, 3, {row(3, 2)});
  EXPECT_SOUND(story);
}

TEST(Entitlement, LetsACopyOfAStoreHaveWhatStoodThereAndNoMore) {
  Story story;
  story.tell({Listed{1, true}, Listed{2, true}}).delivers(1, 2).shows(2, 1, 2);
  story.sends(2, 3).tell({Unlinked{2}, CopiedFrom{4, 2}}).reads(4, 2, {row(2, 1)}, {pending(3)});
  story.tell({Linked{4, 2}}).reads(4, 2, {row(2, 1)}, {pending(3)});
  EXPECT_SOUND(story);
  story.delivers(2, 3).shows(4, 2, 3);
  EXPECT_BROKEN("S10", story);
}

TEST(Entitlement, LeavesAListedDeviceNoGap) {
  Story story;
  story.tell({Listed{1, true}, Listed{2, true}}).delivers(1, 2).tell({CursorSeen{2, kTalkStream, kTalk, 2}});
  EXPECT_BROKEN("S8", story);
}

// ---- S14 -----------------------------------------------------------------------------------------------------------

TEST(Syncs, LetWhatWaitsBehindAnAttemptThatFailedHere) {
  Story story;
  story.sends(3, 1).sends(1, 2);
  story.tell({SendCalled{1, kTalk, k(1), h(1)}, SendReturned{1, k(1), Code::kOk}});
  story.tell({Failed{1, k(1), Code::kTimedOut}, SyncReturned{1, Code::kOk, false}});
  EXPECT_SOUND(story);
}

TEST(Syncs, FindWhatWaitsOnceTheFailedOneWasRetried) {
  Story story;
  story.sends(1, 1).sends(1, 2).tell({Failed{1, k(1), Code::kTimedOut}, Retried{1, k(1), k(1), false}});
  story.tell({SyncReturned{1, Code::kOk, false}});
  EXPECT_BROKEN("sync", story);
}

TEST(Bounds, FindsAQueueAboveItsLimit) {
  Story story;
  story.tell({Bound{"outbox", 100, 100}, Bound{"outbox", 101, 100}});
  EXPECT_BROKEN("S14", story);
}

TEST(Bounds, FindsARateAboveItsLimit) {
  Story story;
  story.wait_until(1'000'000).tell({Sent{"connects", 2, 3, 1'000'000}});
  story.wait_until(1'999'999).tell({Sent{"connects", 2, 3, 1'000'000}});
  EXPECT_BROKEN("S14", story);
}

TEST(Bounds, LetsLimitsBeReached) {
  Story story;
  story.tell({Bound{"outbox", 100, 100}});
  for (std::uint64_t second = 1; second < 10; ++second) {
    story.wait_until(second * 1'000'000).tell({Sent{"connects", 3, 3, 1'000'000}, Sent{"frames", 1, 3, 1'000'000}});
  }
  EXPECT_SOUND(story);
}

// ---- S15 -----------------------------------------------------------------------------------------------------------

TEST(Idempotence, FindsAnotherAnswerToTheSameRequest) {
  Story story;
  story.tell({RequestAnswered{5, 50}, Restart{kServer}, RequestAnswered{5, 51}});
  EXPECT_BROKEN("S15", story);
}

TEST(Idempotence, FindsARefusalAfterAnAcceptance) {
  Story story;
  story.sends(1, 1).accepts(1, 1, 2);
  story.tell({AnswerSeen{1, k(1), AnswerSeen::Kind::kRefused, 0, Code::kNotFound}});
  EXPECT_BROKEN("S15", story);
}

TEST(Idempotence, FindsARepeatThatIsRefusedForItsNumber) {
  Story story;
  story.sends(1, 1).accepts(1, 1, 2).tell({Restart{kServer}});
  story.tell({AnswerSeen{1, k(1), AnswerSeen::Kind::kRefused, 0, Code::kOutOfOrder}});
  EXPECT_BROKEN("S15", story);
}

TEST(Idempotence, FindsARefusalThatForbidsWhatWasVoided) {
  Story story;
  story.sends(1, 1).tell({AnswerSeen{1, k(1), AnswerSeen::Kind::kVoided, 0, Code::kOk}});
  story.tell({AnswerSeen{1, k(1), AnswerSeen::Kind::kRefused, 0, Code::kForbidden}});
  EXPECT_BROKEN("S15", story);
}

TEST(Idempotence, LetsARepeatBeRefusedForWantOfRoom) {
  Story story;
  story.sends(1, 1).accepts(1, 1, 2);
  for (const Code code : {Code::kRateLimited, Code::kUnavailable, Code::kStorageFull}) {
    story.tell({AnswerSeen{1, k(1), AnswerSeen::Kind::kRefused, 0, code}});
  }
  story.accepts(1, 1, 2);
  EXPECT_SOUND(story);
}

TEST(Idempotence, FindsAVoidAfterAnAcceptance) {
  Story story;
  story.sends(1, 1).accepts(1, 1, 2).tell({AnswerSeen{1, k(1), AnswerSeen::Kind::kVoided, 0, Code::kOk}});
  EXPECT_BROKEN("S15", story);
}

TEST(Idempotence, FindsAnAcceptanceAfterAVoid) {
  Story story;
  story.sends(1, 1).tell({AnswerSeen{1, k(1), AnswerSeen::Kind::kVoided, 0, Code::kOk}}).accepts(1, 1, 2);
  EXPECT_BROKEN("S15", story);
}

TEST(Idempotence, FindsASendAskedForAgainThatGotAnotherId) {
  Story story;
  story.sends(1, 1).tell({SendRepeated{1, k(1), Code::kOk, k(2), false}});
  EXPECT_BROKEN("S15", story);
}

TEST(Idempotence, FindsASendAskedForAgainThatIsASecondMessage) {
  Story story;
  story.sends(1, 1).tell({SendRepeated{1, k(1), Code::kOk, k(1), false}});
  EXPECT_BROKEN("S15", story);
}

TEST(Idempotence, FindsASendAskedForAgainThatIsRefused) {
  Story story;
  story.sends(1, 1).tell({SendRepeated{1, k(1), Code::kConflict, {}, false}});
  EXPECT_BROKEN("S15", story);
}

TEST(Idempotence, LetsTheDiskBeInTheWayOfARepeat) {
  Story story;
  story.sends(1, 1).tell({SendRepeated{1, k(1), Code::kStorage, {}, false}, SendRepeated{1, k(1), Code::kOk, k(1)}});
  EXPECT_SOUND(story);
}

TEST(Idempotence, FindsAnotherTextTakenUnderTheSameId) {
  Story story;
  story.sends(1, 1).tell({SendContradicted{1, k(1), Code::kOk}});
  EXPECT_BROKEN("S15", story);
}

TEST(Idempotence, FindsAnotherTextRefusedForAnotherReason) {
  Story story;
  story.sends(1, 1).tell({SendContradicted{1, k(1), Code::kLimitReached}});
  EXPECT_BROKEN("S15", story);
}

TEST(Idempotence, LetsAnotherTextBeAConflictUnlessTheDiskFails) {
  Story story;
  story.sends(1, 1).tell({SendContradicted{1, k(1), Code::kConflict}, SendContradicted{1, k(1), Code::kStorage}});
  EXPECT_SOUND(story);
}

TEST(Idempotence, LetsARefusalChangeItsMindAndAVoidBeToldTwice) {
  Story story;
  story.tell({RequestAnswered{5, 50}, RequestAnswered{6, 51}, RequestAnswered{5, 50}}).sends(1, 1).sends(1, 2);
  story.tell({AnswerSeen{1, k(1), AnswerSeen::Kind::kRefused, 0, Code::kNotFound}, Failed{1, k(1), Code::kNotFound}});
  story.tell({Retried{1, k(1), k(1)}}).accepts(1, 1, 2).accepts(1, 1, 2);
  story.tell({AnswerSeen{1, k(2), AnswerSeen::Kind::kVoided, 0, Code::kOk}});
  story.tell({AnswerSeen{1, k(2), AnswerSeen::Kind::kRefused, 0, Code::kVoided}});
  EXPECT_SOUND(story);
}

// ---- S17 -----------------------------------------------------------------------------------------------------------

TEST(Streams, FindsAHole) {
  Story story;
  story.tell({stream_read({{1, 11}, {3, 13}})});
  EXPECT_BROKEN("S17", story);
}

TEST(Streams, FindsAHeadAboveTheLastItem) {
  Story story;
  StreamRead read = stream_read({{1, 11}, {2, 12}});
  read.head = 3;
  story.tell({read});
  EXPECT_BROKEN("S17", story);
}

TEST(Streams, FindsAHeadBelowTheLastItem) {
  Story story;
  StreamRead read = stream_read({{1, 11}, {2, 12}});
  read.head = 1;
  story.tell({read});
  EXPECT_BROKEN("S17", story);
}

TEST(Streams, FindsAChangedItem) {
  Story story;
  story.tell({stream_read({{1, 11}, {2, 12}}), stream_read({{1, 11}, {2, 99}})});
  EXPECT_BROKEN("S17", story);
}

TEST(Streams, FindsAnEndThatWentBack) {
  Story story;
  story.tell({stream_read({{1, 11}, {2, 12}}), stream_read({{1, 11}})});
  EXPECT_BROKEN("S17", story);
}

TEST(Streams, FindsAPushOfWhatTheStreamDoesNotHold) {
  Story story;
  story.tell({PushedLive{kTalkStream, kTalk, {2, 12}, 2}, stream_read({{1, 11}})});
  EXPECT_BROKEN("S17", story);
}

TEST(Streams, FindsAPushBeforeItsCommit) {
  Story story;
  story.tell({ItemCommitted{kTalkStream, kTalk, {1, 11}}, PushedLive{kTalkStream, kTalk, {2, 12}, 2}});
  EXPECT_BROKEN("S17", story);
}

TEST(Streams, FindsATrimBeforeADeviceHasStored) {
  Story story;
  story.tell({Member{kTalk, 1, true, 1}, Member{kTalk, 2, true, 1}, CursorSeen{1, kTalkStream, kTalk, 2}});
  story.tell({CursorSeen{3, kTalkStream, kTalk, 2}, CursorSeen{2, kTalkStream, kTalk, 1}});
  story.tell({stream_read({{3, 13}}, 3)});
  EXPECT_BROKEN("S17", story);
}

TEST(Streams, FindsATrimForADeviceThatNeverCame) {
  Story story;
  story.tell({Member{kTalk, 1, true, 1}, Member{kTalk, 2, true, 1}, CursorSeen{1, kTalkStream, kTalk, 2}});
  story.tell({CursorSeen{2, kTalkStream, kTalk, 2}, StreamTrimmed{kTalkStream, kTalk, 2}});
  EXPECT_BROKEN("S17", story);
}

TEST(Streams, LetsAStreamGrowAndBeTrimmedBehindEverybody) {
  Story story;
  story.tell({Member{kTalk, 1, true, 1}, Member{kTalk, 2, true, 1}, Unlinked{3}});
  story.tell({ItemCommitted{kTalkStream, kTalk, {1, 11}}, ItemCommitted{kTalkStream, kTalk, {2, 12}}});
  story.tell({PushedLive{kTalkStream, kTalk, {2, 12}, 2}, PushedLive{kTalkStream, kTalk, {2, 12}, 1}});
  story.tell({stream_read({{1, 11}, {2, 12}}), CursorSeen{1, kTalkStream, kTalk, 2}});
  story.tell({CursorSeen{2, kTalkStream, kTalk, 1}, StreamTrimmed{kTalkStream, kTalk, 2}});
  story.tell({ItemCommitted{kTalkStream, kTalk, {3, 13}}, stream_read({{2, 12}, {3, 13}}, 2)});
  EXPECT_SOUND(story);
}

// ---- What is judged where what is said may be altered on its way ----------------------------------------------------

TEST(Altered, LeavesOutWhatFramesSay) {
  Story story({.unaltered = false});
  story.shows(2, 1, 1);  // nobody sent it
  EXPECT_SOUND(story);
}

TEST(Altered, StillFindsWhatOneSideDoesByItself) {
  Story bounds({.unaltered = false});
  bounds.tell({Bound{"outbox", 3, 2}});
  EXPECT_BROKEN("S14", bounds);
  Story streams({.unaltered = false});
  streams.tell({stream_read({{1, 11}}), stream_read({{1, 12}})});
  EXPECT_BROKEN("S17", streams);
}

}  // namespace

}  // namespace chatsdk::sim
