// SPDX-License-Identifier: Apache-2.0
//
// Where a test may strike inside the code, and the bugs that a test may plant there. All of it is compiled in only with
// the CMake option CHATSDK_FAULTS; without it the macros expand to nothing and the library holds no name of a point.
//
//   CHATSDK_FAULT("store.before_commit");
//       Two effects follow each other: the process may end between them.
//   if (CHATSDK_FAULT_BRANCH("store.disk_is_full")) return full();
//       The rare branch, or the error that may always come, is taken.
//   if (CHATSDK_PLANTED(Bug::kP8OrderByTime)) sort();
//       The bug that this run has planted; none is by default.
//
// A point is named by its part of the code and what it stands before or after. What strikes is the hooks' decision: the
// code that holds a point goes on after it, and its node's disk may be dead from there.
//
// Threads: points are passed on any; a FaultScope lives while no other thread passes one that it could change the
// outcome of, and the hooks are called on the thread that passes.
// Invariants:
//   1. At most one FaultScope lives at a time, and nothing of it outlives it.
//   2. With no FaultScope no point strikes and no bug is planted.
#pragma once

#include <cstdint>

namespace chatsdk {

// Mistakes that are easy to make in exactly one place, each proven to be seen by the simulation (docs/reliability.md).
enum class Bug : std::uint8_t {
  kNone,
  kP1AckBeforeCommit,
  kP2ResendWithNewId,
  kP3ServerSyncNormal,
  kP4DuplicatesOnlyInMemory,
  kP5CursorBeforeStore,
  kP6RatchetApart,
  kP7ReceiptSetNotMaximum,
  kP8OrderByTime,
  kP9ResumeFromMemory,
  kP10OldConnectionAccepted,
  kP11RetryUnderTheSameKey,
  kP12PlaintextLogged,
  kP13RemovalAfterNextSend,
  kP14QueueWithoutLimit,
  kP15FailureNotTold,
  kP17TrimBeforeAck,
  kP18NobodyReadsTheStream,
  kRefusalBeforeDuplicate,
  kLastHintNotHealed,
  kRestoreKeepsEpoch,
  kDeliveredOverGap,
  kUnreadWithoutLimit,
  kWindowWithoutLimit,
  kInboxWithoutLimit,
  kNoBackoff,
  kTimesOutAtHalf,
  kRotationForgotten,
  kCachesWithoutLimit,
  kFoundAgainUncounted,
  kAssociatedDataDropped,
  kLabelsSwapped,
  kUsedKeyKept,
  kCommitmentSkipped,
  kListSignatureUnchecked,
  kDeviceGoesBackUnnoticed,
  kPairOutlivesItsTime,
  kUnnamedAskedForAtOnce,
  kIdentitiesAskedForAtOnce,
  kNothingAskedForAgain,
  kBindingUnchecked,
  kPlainAccepted,
  kBodyTypeUnchecked,
  kShownAtEachPlace,
  kListsGoBack,
  kListsUserUnchecked,
  kIdentityChangeUntold,
  kBundleUnchecked,
  kUsedPrekeyKept,
  kLowOrderTaken,
  kRefusedWithoutPause,
  kRefilledWithoutPause,
  kDigestWithoutPause,
};

class FaultHooks {
 public:
  virtual ~FaultHooks() = default;
  // A point is passed. rare_branch: it asks whether to take its branch; else the answer is ignored.
  virtual bool on_fault_point(const char* name, bool rare_branch) = 0;
};

#ifdef CHATSDK_FAULTS

inline constexpr bool kHasFaultPoints = true;

// Hangs hooks in, and plants a bug, until it goes.
class FaultScope {
 public:
  explicit FaultScope(FaultHooks* hooks, Bug planted = Bug::kNone);
  ~FaultScope();
  FaultScope(const FaultScope&) = delete;
  FaultScope& operator=(const FaultScope&) = delete;
};

bool fault_point(const char* name, bool rare_branch);
bool is_planted(Bug bug);

#else

inline constexpr bool kHasFaultPoints = false;

class FaultScope {
 public:
  explicit FaultScope(FaultHooks*, Bug = Bug::kNone) {}
};

#endif

}  // namespace chatsdk

#include "base/fault_macros.inc"
