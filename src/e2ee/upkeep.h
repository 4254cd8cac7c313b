// SPDX-License-Identifier: Apache-2.0
//
// What happens to a device's state beside messages (docs/e2ee.md sections 5.3, 6 and 11.4): lists are learned, users
// forgotten, prekeys made, and what is old goes. It does not know when: the engine asks.
//
// Threads: pure functions on the state that they are given.
// Invariants:
//   1. An operation that refuses has written nothing.
#pragma once

#include <chrono>
#include <cstdint>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "base/random.h"
#include "base/result.h"
#include "e2ee/kem.h"
#include "e2ee/lifetimes.h"
#include "e2ee/state.h"

namespace chatsdk::e2ee {

// ---- Identities ----------------------------------------------------------------------------------------------------

// learn() of e2ee/directory.h, and what it does to sessions and chains: sessions with removed devices and of another
// identity are archived, the latter's sender chains deleted. A refusal is a result and no error.
Result<Learned> learn_lists(State& state, const UserId& user_id, std::span<const Bytes> lists,
                            std::span<const Bytes> records, std::uint64_t now_ms);
// NOT_FOUND where nothing is kept of the user.
Status mark_verified(State& state, const UserId& user_id, bool verified);
// Everything that is kept of the user goes, sessions included: the next list is a first contact. NOT_FOUND.
Status forget_user(State& state, const UserId& user_id);
// So that nothing sends to the device in the session that did; what is under way still opens.
Status archive_sessions_with(State& state, const Peer& peer, std::uint64_t now_ms);

// ---- Own prekeys ---------------------------------------------------------------------------------------------------

struct NewPrekeys {
  bool signed_pair = false;  // one of the kinds 1 and 4 each
  std::size_t one_time = 0;
  std::size_t one_time_kem = 0;
};
// Makes them, in the order 1, 4, 2, 3; what is returned is uploaded. WRONG_STATE before the device has its keys.
Result<std::vector<Bytes>> make_prekeys(State& state, const NewPrekeys& wanted, std::uint64_t now_ms, Random& random,
                                        const Kem& kem);
// What is due: the pair for its age or for what was seen under it, one-time keys by the server's counts.
struct StoredCounts {
  std::size_t one_time = 0;
  std::size_t one_time_kem = 0;
};
Result<NewPrekeys> prekeys_due(State& state, const StoredCounts& stored, std::chrono::milliseconds share,
                               std::uint64_t now_ms, const Lifetimes& lifetimes = kLifetimes);
// Whether another store epoch makes new ones: whoever announces one after the other would have this device make keys
// without end.
bool may_begin_epoch_anew(const std::vector<PrekeySummary>& kept, std::uint64_t now_ms);
// Section 11.4: what is old goes. Asked only while nothing waits.
Status age_all(State& state, std::uint64_t now_ms, const Lifetimes& lifetimes = kLifetimes);

}  // namespace chatsdk::e2ee
