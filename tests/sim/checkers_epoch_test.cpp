// SPDX-License-Identifier: Apache-2.0
//
// Hand-written histories of runs whose server was put back to an older state, and of where runs end: L1 to L5.
#include "sim/checker_story.h"

namespace chatsdk::sim {

namespace {

// ---- A restored server ---------------------------------------------------------------------------------------------

EpochBegun restored_to(Seq head) { return {2, {{kTalkStream, kTalk, head}}}; }

TEST(Epochs, FindsAMessageBelowTheRestoredHeadGone) {
  Story story;
  story.delivers(1, 2).delivers(2, 3).tell({restored_to(2)}).reads(kServer, 1, {});
  EXPECT_BROKEN("S6", story);
}

TEST(Epochs, FindsAPlaceBelowTheRestoredHeadUsedAgain) {
  Story story;
  story.delivers(1, 2).tell({restored_to(2)}).sends(2, 2).accepts(2, 2, 2);
  EXPECT_BROKEN("S2", story);
}

TEST(Epochs, FindsADeviceThatKeepsAVoidPlace) {
  Story story;
  story.delivers(1, 2).delivers(2, 3).tell({restored_to(2), EpochSeen{1, 2}}).sends(2, 3).accepts(2, 3, 3);
  story.reads(1, 3, {row(2, 1), row(3, 2)});
  EXPECT_BROKEN("S2", story);
}

TEST(Epochs, FindsALostMessageThatVanished) {
  Story story;
  story.delivers(1, 2).delivers(2, 3).tell({restored_to(2), EpochSeen{1, 2}}).reads(1, 2, {row(2, 1)});
  EXPECT_BROKEN("S7", story);
}

TEST(Epochs, FindsAMessageOfOthersThatVanished) {
  Story story;
  story.delivers(1, 2).delivers(2, 3).shows(2, 2, 3).tell({restored_to(2), EpochSeen{2, 2}}).reads(2, 0, {});
  EXPECT_BROKEN("S8", story);
}

TEST(Epochs, FindsAStreamThatWentBackFurtherThanTold) {
  Story story;
  story.tell({stream_read({{1, 11}, {2, 12}, {3, 13}}), restored_to(2), stream_read({{1, 11}})});
  EXPECT_BROKEN("S17", story);
}

TEST(Epochs, FindsStatesThatFallBelowSent) {
  Story story;
  story.delivers(1, 2).tell({StateSeen{1, k(1), SeenState::kRead}, restored_to(1), EpochSeen{1, 2}});
  story.tell({StateSeen{1, k(1), SeenState::kSending}});
  EXPECT_BROKEN("S9", story);
}

// Messages 1 and 2 of device 1 were shown to user 2; the server went back to before message 2, and its devices know.
void lose_second(Story& story) {
  story.delivers(1, 2).delivers(2, 3).shows(2, 1, 2).shows(2, 2, 3).tell({restored_to(2), EpochSeen{1, 2}});
  story.tell({EpochSeen{2, 2}, Failed{1, k(2), Code::kRolledBack}}).reads(1, 2, {row(2, 1), lost(2)});
}

// Lost, sent again by its author, and there once more, with the mark of then, in the next state that is put back.
TEST(Epochs, LetADeliveredMarkOfThenBeBorneOutByTheAuthorThatSendsAgain) {
  Story story;
  lose_second(story);
  story.tell({Retried{1, k(2), k(2), true}, EpochBegun{3, {{kTalkStream, kTalk, 3}}}, EpochSeen{1, 3}});
  story.tell({EpochSeen{2, 3}}).shows(2, 2, 3).tell({ReceiptSeen{1, kTalk, 1, kDelivered, 3}});
  EXPECT_SOUND(story);
}

// Seed 34000272: given up as lost, and there all the same in the next state that is put back.
TEST(Epochs, LetADeliveredMarkOfThenBeBorneOutByTheAuthorThatGaveItUp) {
  Story story;
  lose_second(story);
  story.tell({Discarded{1, k(2), true}, EpochBegun{3, {{kTalkStream, kTalk, 3}}}, EpochSeen{1, 3}, EpochSeen{2, 3}});
  story.shows(2, 2, 3).tell({ReceiptSeen{1, kTalk, 1, kDelivered, 3}});
  EXPECT_SOUND(story);
}

// As above, and the server still has it where it was.
TEST(Epochs, LetWhatIsSentAgainEncryptedBeAnotherMessageToAServerThatHasIt) {
  for (const bool encrypted : {false, true}) {
    Story story;
    if (encrypted) story.tell({Listed{1, true}, Listed{2, true}});
    lose_second(story);
    story.tell({Retried{1, k(2), k(2), true}, EpochBegun{3, {{kTalkStream, kTalk, 3}}}, EpochSeen{1, 3}});
    story.tell({EpochSeen{2, 3}}).shows(2, 2, 3);
    story.tell({AnswerSeen{1, k(2), AnswerSeen::Kind::kRefused, 0, Code::kConflict}});
    EXPECT_EQ(story.broken(), encrypted ? "" : "S15") << story.why();
    if (encrypted) story.tell({Failed{1, k(2), Code::kConflict}});
    EXPECT_EQ(story.broken(), encrypted ? "" : "S15") << story.why();
  }
}

// Listed behind the places that the server then lost, a device is entitled to what takes those places.
TEST(Epochs, AListedDeviceIsEntitledToPlacesThatAreUsedAgain) {
  for (const bool had : {true, false}) {
    Story story;
    story.tell({Listed{1, true}}).delivers(1, 2).delivers(2, 3).tell({Listed{2, true}, restored_to(2)});
    story.tell({EpochSeen{1, 2}, EpochSeen{2, 2}}).delivers(3, 3);
    if (had) story.shows(2, 3, 3);
    story.tell({CursorSeen{2, kTalkStream, kTalk, 3}});
    EXPECT_EQ(story.broken(), had ? "" : "S8") << story.why();
  }
}

TEST(Epochs, FindsAMessageOnADeviceThatLeftItsListAboveThePlace) {
  Story story;
  story.tell({Listed{1, true}, Listed{2, true}}).delivers(1, 2).delivers(2, 3).tell({Listed{2, false}});
  story.tell({restored_to(2), EpochSeen{1, 2}, EpochSeen{2, 2}}).delivers(3, 3).shows(2, 3, 3);
  EXPECT_BROKEN("S10", story);
}

// Two devices of its author send it again, one of them after it has left the list, and discards it once it hears that
// the server has it.
TEST(Epochs, LetADeviceThatLeftShowAgainWhatItHasShown) {
  for (const bool had : {true, false}) {
    Story story;
    story.tell({Listed{1, true}, Listed{2, true}, Listed{3, had}});
    lose_second(story);
    if (had) story.shows(3, 2, 3);
    story.tell({EpochSeen{3, 2}, Listed{3, false}, Retried{1, k(2), k(2), true}}).accepts(1, 2, 3);
    story.shows(3, 2, 3);
    EXPECT_EQ(story.broken(), had ? "" : "S10") << story.why();
  }
}

TEST(Epochs, FindsALostMessageGoneThatGoesAgain) {
  Story story;
  lose_second(story);
  story.tell({Retried{1, k(2), k(2), true}}).reads(1, 2, {row(2, 1)});
  EXPECT_BROKEN("S7", story);
}

TEST(Epochs, FindsALostMessageTwiceThatWentAgain) {
  Story story;
  lose_second(story);
  story.tell({Retried{1, k(2), k(2), true}}).accepts(1, 2, 3).reads(2, 3, {row(2, 1), lost(2), row(3, 2)});
  EXPECT_BROKEN("S3", story);
}

TEST(Epochs, FindsALostMessageGoneElsewhereThatOneDeviceHasGivenUp) {
  Story story;
  lose_second(story);
  story.tell({Discarded{1, k(2), true}}).reads(2, 2, {row(2, 1)});
  EXPECT_BROKEN("S8", story);
}

TEST(Epochs, LetsALostMessageGoAgainThatFailedElsewhere) {
  Story story;
  lose_second(story);
  story.tell({Retried{1, k(2), k(2), true}});
  story.tell({SendCalled{3, kTalk, k(2), h(2)}, SendReturned{3, k(2), Code::kOk}, Retried{3, k(2), k(2), true}});
  story.tell({Failed{1, k(2), Code::kTimedOut}}).accepts(3, 2, 3).shows(1, 2, 3);
  story.tell({StateSeen{1, k(2), SeenState::kSent}});
  EXPECT_SOUND(story);
}

TEST(Epochs, LetsALostMessageGoAgainFromAnyDeviceOfItsSender) {
  Story story;
  lose_second(story);
  story.tell({Discarded{1, k(2), true}}).reads(1, 2, {row(2, 1)});
  story.tell({SendCalled{3, kTalk, k(2), h(2)}, SendReturned{3, k(2), Code::kOk}, Retried{3, k(2), k(2), true}});
  story.reads(3, 2, {row(2, 1)}, {pending(2)}).accepts(3, 2, 3).shows(3, 2, 3).shows(1, 2, 3);
  story.reads(1, 3, {row(2, 1), row(3, 2)});
  EXPECT_SOUND(story);
}

TEST(Epochs, LetsALostMessageWaitWhereAnotherDevicesAttemptWasAccepted) {
  Story story;
  lose_second(story);
  story.tell({Retried{1, k(2), k(2), true}});
  story.tell({SendCalled{3, kTalk, k(2), h(2)}, SendReturned{3, k(2), Code::kOk}, Retried{3, k(2), k(2), true}});
  story.accepts(3, 2, 3).reads(1, 2, {row(2, 1)}, {pending(2)});
  EXPECT_SOUND(story);
}

TEST(Epochs, LetsALostMessageBeDiscardedWhereAnotherDevicesAttemptHasNotComeYet) {
  Story story;
  lose_second(story);
  story.tell({SendCalled{3, kTalk, k(2), h(2)}, SendReturned{3, k(2), Code::kOk}, Retried{3, k(2), k(2), true}});
  story.accepts(3, 2, 3).tell({Discarded{1, k(2), true}}).reads(1, 2, {row(2, 1)});
  EXPECT_SOUND(story);
}

TEST(Epochs, FindsADiscardedMessageMissingWhereAnotherDevicesAttemptHasCome) {
  Story story;
  lose_second(story);
  story.tell({SendCalled{3, kTalk, k(2), h(2)}, SendReturned{3, k(2), Code::kOk}, Retried{3, k(2), k(2), true}});
  story.accepts(3, 2, 3).tell({Discarded{1, k(2), true}}).reads(1, 3, {row(2, 1)});
  EXPECT_BROKEN("S8", story);
}

TEST(Epochs, LetsALostMessageGoAgainUnderANewIdBehindLaterOnes) {
  Story story;
  lose_second(story);
  story.delivers(3, 3).tell({Retried{1, k(2), k(2), true}, Failed{1, k(2), Code::kTimedOut}});
  story.sends(1, 4).tell({Retried{1, k(2), k(4), false}}).accepts(1, 4, 4);
  EXPECT_SOUND(story);
}

TEST(Epochs, LetsTheServersMarksGoBackWithItsStore) {
  Story story;
  story.delivers(1, 2).delivers(2, 3).shows(2, 1, 2).shows(2, 2, 3).tell(
      {ReceiptSeen{kServer, kTalk, 2, kDelivered, 3}});
  story.tell({EpochBegun{2, {{kTalkStream, kTalk, 2}}}, ReceiptSeen{kServer, kTalk, 2, kDelivered, 2}});
  EXPECT_SOUND(story);
}

TEST(Epochs, LetsPlacesAboveTheHeadBeUsedAgain) {
  Story story;
  story.delivers(1, 2).delivers(2, 3).shows(2, 1, 2).shows(2, 2, 3).tell({CursorSeen{2, kTalkStream, kTalk, 3}});
  story.tell({stream_read({{1, 11}, {2, 12}, {3, 13}}), StateSeen{1, k(2), SeenState::kRead}});
  story.tell({MarkedRead{2, kTalk, 3}, ReceiptSeen{1, kTalk, 2, kDelivered, 3}, ReceiptSeen{1, kTalk, 2, kRead, 3}});
  // Sent and accepted before, but its sender never heard of it.
  story.sends(1, 3).accepts(1, 3, 4).shows(2, 3, 4);
  story.tell({Crash{kServer, "restored"}, restored_to(2), Restart{kServer}}).reads(kServer, 2, {row(2, 1)});

  // A late frame of the older epoch, then the newer one.
  story.shows(3, 2, 3);
  story.tell({EpochSeen{1, 2}, EpochSeen{2, 2}}).reads(2, 0, {{0, k(1), 1, h(1), false, false}, lost(2), lost(3)});
  story.accepts(1, 3, 3).shows(2, 1, 2).shows(2, 3, 3).sends(2, 4).accepts(2, 4, 4).shows(2, 4, 4, 2);
  story.tell({Failed{1, k(2), Code::kRolledBack}, Failed{2, k(2), Code::kRolledBack}});
  story.tell({CursorSeen{2, kTalkStream, kTalk, 4}, StateSeen{1, k(2), SeenState::kSent}, Acked{1, k(3), 3}});
  story.tell({ReceiptSeen{1, kTalk, 2, kDelivered, 3}, ReceiptSeen{1, kTalk, 2, kRead, 3}});
  story.reads(2, 4, {row(2, 1), lost(2), row(3, 3), row(4, 4, 2)});
  story.tell({stream_read({{1, 11}, {2, 12}, {3, 23}, {4, 24}}), RequestAnswered{5, 50}});
  EXPECT_SOUND(story);
}

TEST(Epochs, LetsAMarkFollowAMessageThatWasReadElsewhere) {
  Story story;
  story.delivers(1, 2).shows(2, 1, 2).tell({MarkedRead{2, kTalk, 2}, restored_to(1), EpochSeen{1, 2}, EpochSeen{2, 2}});
  story.sends(2, 2).accepts(2, 2, 2).shows(2, 2, 2, 2).accepts(1, 1, 3).shows(2, 1, 3);
  story.tell({ReceiptSeen{1, kTalk, 2, kDelivered, 3}, ReceiptSeen{1, kTalk, 2, kRead, 3}});
  EXPECT_SOUND(story);
}

// ---- L1 to L5 ------------------------------------------------------------------------------------------------------

// Device 1 has sent message 1, device 2 message 2; device 3 is not entitled.
class ToldStory : public Story {
 public:
  ToldStory() {
    delivers(1, 2).shows(2, 1, 2).sends(2, 2).accepts(2, 2, 3).tell({Acked{2, k(2), 3}});
    shows(2, 2, 3, 2).shows(1, 2, 3, 2);
    tell({CursorSeen{1, kTalkStream, kTalk, 3}, CursorSeen{2, kTalkStream, kTalk, 3}});
    tell({MarkedRead{2, kTalk, 2}, MarkReadReturned{2, kTalk, 2, Code::kOk}});
  }
};

FinalState good_end() {
  FinalState end;
  end.eligible = {{kTalk, 1}, {kTalk, 2}};
  const std::vector<StoredRow> rows = {row(2, 1), row(3, 2, 2)};
  end.server_reads = {{kServer, kTalk, 3, 1, rows, {}}};
  end.device_reads = {{1, kTalk, 3, 1, rows, {}}, {2, kTalk, 3, 1, rows, {}}};
  for (const DeviceNumber device : {1u, 2u}) {
    end.receipts.push_back({device, kTalk, 1, kDelivered, 3});
    end.receipts.push_back({device, kTalk, 2, kDelivered, 3});
    end.receipts.push_back({device, kTalk, 2, kRead, 2});
  }
  end.probes = {{1, 2, kTalk, k(8), true, true}, {2, 1, kTalk, k(9), true, true}};
  return end;
}

TEST(Liveness, LetsAConvergedRunPass) {
  ToldStory story;
  story.sends(1, 3).tell({Failed{1, k(3), Code::kNotFound}}).sends(1, 4).tell({Discarded{1, k(4)}});
  FinalState end = good_end();
  end.device_reads[0].pending = {pending(3, SeenState::kFailed)};
  story.ends(end);
  EXPECT_SOUND(story);
}

TEST(Liveness, FindsAnAcceptedMessageMissingOnADevice) {
  ToldStory story;
  FinalState end = good_end();
  end.device_reads[1].rows.pop_back();
  story.ends(end);
  EXPECT_BROKEN("L1", story);
}

TEST(Liveness, FindsAnAcceptedMessageAtAnotherPlace) {
  ToldStory story;
  FinalState end = good_end();
  end.device_reads[1].rows[1].seq = 4;
  story.ends(end);
  EXPECT_BROKEN("L1", story);
}

TEST(Liveness, FindsALostMessageThatNobodyWasToldOf) {
  ToldStory story;
  FinalState end = good_end();
  end.device_reads[1].rows.push_back({0, k(3), 1, h(3), false, false});
  story.ends(end);
  EXPECT_BROKEN("L1", story);
}

TEST(Liveness, FindsAMessageThatStillWaits) {
  ToldStory story;
  story.sends(1, 3);
  FinalState end = good_end();
  end.device_reads[0].pending = {pending(3, SeenState::kSending)};
  story.ends(end);
  EXPECT_BROKEN("L2", story);
}

TEST(Liveness, FindsAMessageWithoutOutcome) {
  ToldStory story;
  story.sends(1, 3).ends(good_end());
  EXPECT_BROKEN("L2", story);
}

TEST(Liveness, FindsARowThatTheServerDoesNotHave) {
  ToldStory story;
  FinalState end = good_end();
  for (StoreRead& read : end.device_reads) read.rows.push_back(row(4, 3));
  story.ends(end);
  EXPECT_BROKEN("L3", story);
}

TEST(Liveness, FindsAConversationThatTheServerDoesNotShow) {
  ToldStory story;
  FinalState end = good_end();
  end.server_reads.clear();
  story.ends(end);
  EXPECT_BROKEN("L3", story);
}

TEST(Liveness, FindsAConversationThatADeviceDoesNotShow) {
  ToldStory story;
  FinalState end = good_end();
  end.device_reads.pop_back();
  story.ends(end);
  EXPECT_BROKEN("L1", story);
}

TEST(Liveness, FindsReceiptsThatDiffer) {
  ToldStory story;
  FinalState end = good_end();
  end.receipts[2].up_to = 3;
  story.ends(end);
  EXPECT_BROKEN("L3", story);
}

TEST(Liveness, FindsAReadMarkThatNeverArrived) {
  ToldStory story;
  FinalState end = good_end();
  end.receipts[2].up_to = end.receipts[5].up_to = 0;
  story.ends(end);
  EXPECT_BROKEN("L3", story);
}

// In the epoch that ToldStory began with device 2 marked up to 2; in the second one nobody has yet.
class RestoredStory : public ToldStory {
 public:
  RestoredStory() {
    tell({restored_to(3), EpochSeen{1, 2}, EpochSeen{2, 2}});
    shows(1, 1, 2).shows(2, 1, 2).shows(1, 2, 3, 2).shows(2, 2, 3, 2);
    tell({CursorSeen{1, kTalkStream, kTalk, 3}, CursorSeen{2, kTalkStream, kTalk, 3}});
  }
};

TEST(Liveness, FindsAReadMarkThatNeverArrivedAfterARestore) {
  RestoredStory story;
  story.tell({MarkedRead{1, kTalk, 3}, MarkReadReturned{1, kTalk, 3, Code::kOk}}).ends(good_end());
  EXPECT_BROKEN("L3", story);
}

TEST(Liveness, LetsARestoredServerForgetTheMarksOfTheEpochBefore) {
  RestoredStory story;
  FinalState end = good_end();
  end.receipts[2].up_to = end.receipts[5].up_to = 0;
  story.ends(end);
  EXPECT_SOUND(story);
}

TEST(Liveness, FindsDeliveredBelowTheHead) {
  ToldStory story;
  FinalState end = good_end();
  end.receipts[1].up_to = end.receipts[4].up_to = 2;
  story.ends(end);
  EXPECT_BROKEN("L3", story);
}

TEST(Liveness, FindsWorkThatIsLeft) {
  ToldStory story;
  FinalState end = good_end();
  end.activity = {{1, "outbox", 2}};
  story.ends(end);
  EXPECT_BROKEN("L4", story);
}

TEST(Liveness, FindsAProbeThatDidNotArrive) {
  ToldStory story;
  FinalState end = good_end();
  end.probes[1].arrived = false;
  story.ends(end);
  EXPECT_BROKEN("L5", story);
}

TEST(Liveness, FindsAProbeThatItsSenderDoesNotSeeRead) {
  ToldStory story;
  FinalState end = good_end();
  end.probes[0].read_back = false;
  story.ends(end);
  EXPECT_BROKEN("L5", story);
}

}  // namespace

}  // namespace chatsdk::sim
