// SPDX-License-Identifier: Apache-2.0
#include "sim/planted_bugs.h"

namespace chatsdk::sim {

const std::vector<PlantedBug>& planted_bugs() {
  static const std::vector<PlantedBug> bugs = {
      {Bug::kP1AckBeforeCommit, "P1"},
      {Bug::kP2ResendWithNewId, "P2"},
      {Bug::kP3ServerSyncNormal, "P3"},
      {Bug::kP4DuplicatesOnlyInMemory, "P4"},
      {Bug::kP5CursorBeforeStore, "P5"},
      {Bug::kP6RatchetApart, "P6"},
      {Bug::kP7ReceiptSetNotMaximum, "P7"},
      {Bug::kP8OrderByTime, "P8"},
      {Bug::kP9ResumeFromMemory, "P9"},
      {Bug::kP10OldConnectionAccepted, "P10"},
      {Bug::kP11RetryUnderTheSameKey, "P11"},
      {Bug::kP12PlaintextLogged, "P12"},
      {Bug::kP13RemovalAfterNextSend, "P13"},
      {Bug::kP14QueueWithoutLimit, "P14"},
      {Bug::kP15FailureNotTold, "P15"},
      {Bug::kP17TrimBeforeAck, "P17"},
      {Bug::kP18NobodyReadsTheStream, "P18"},
      {Bug::kRefusalBeforeDuplicate, "refusal-before-duplicate"},
      {Bug::kLastHintNotHealed, "last-hint-not-healed"},
      {Bug::kRestoreKeepsEpoch, "restore-keeps-epoch"},
      {Bug::kDeliveredOverGap, "delivered-over-gap"},
      {Bug::kUnreadWithoutLimit, "unread-without-limit"},
      {Bug::kWindowWithoutLimit, "window-without-limit"},
      {Bug::kInboxWithoutLimit, "inbox-without-limit"},
      {Bug::kNoBackoff, "no-backoff"},
      {Bug::kTimesOutAtHalf, "times-out-at-half"},
      {Bug::kRotationForgotten, "rotation-forgotten"},
      {Bug::kCachesWithoutLimit, "caches-without-limit"},
      {Bug::kFoundAgainUncounted, "found-again-uncounted"},
      {Bug::kPairOutlivesItsTime, "pair-outlives-its-time"},
  };
  return bugs;
}

Bug planted_bug(std::string_view name) {
  for (const PlantedBug& bug : planted_bugs()) {
    if (bug.name == name) return bug.bug;
  }
  return Bug::kNone;
}

const char* to_text(Bug bug) {
  for (const PlantedBug& planted : planted_bugs()) {
    if (planted.bug == bug) return planted.name;
  }
  return "none";
}

}  // namespace chatsdk::sim
