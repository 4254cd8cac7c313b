// SPDX-License-Identifier: Apache-2.0
#include "base/fault.h"

#ifdef CHATSDK_FAULTS

#include <atomic>

#include "base/assert.h"

namespace chatsdk {

namespace {

// The points stand in the middle of the code, where no seam reaches; the scope is what bounds these two.
std::atomic<FaultHooks*> current_hooks = nullptr;
std::atomic<Bug> planted_bug = Bug::kNone;

}  // namespace

FaultScope::FaultScope(FaultHooks* hooks, Bug planted) {
  CHATSDK_ASSERT(current_hooks.exchange(hooks) == nullptr);
  CHATSDK_ASSERT(planted_bug.exchange(planted) == Bug::kNone);
}

FaultScope::~FaultScope() {
  planted_bug = Bug::kNone;
  current_hooks = nullptr;
}

bool fault_point(const char* name, bool rare_branch) {
  FaultHooks* const hooks = current_hooks.load(std::memory_order_acquire);
  return hooks != nullptr && hooks->on_fault_point(name, rare_branch);
}

bool is_planted(Bug bug) { return planted_bug.load(std::memory_order_relaxed) == bug; }

}  // namespace chatsdk

#endif
