// SPDX-License-Identifier: Apache-2.0
//
// Alice's and Bob's devices of docs/e2ee.md section 26 in the middle of a conversation, for the fuzz targets of
// end-to-end encryption: a live session with keys that were passed over, prekeys that set-ups can name, a sender chain
// in a group, and messages that nobody has opened. Always the same one, so that a corpus stays good.
//
// Threads: one.
// Invariants:
//   1. What is refused has written nothing: Guard asserts it of every input.
//   2. A state that an input changed is put back before the next one.
#pragma once

#include <optional>
#include <vector>

#include "base/assert.h"
#include "base/random.h"
#include "e2ee/outcome.h"
#include "e2ee/session_manager.h"
#include "support/e2ee/memory_state.h"
#include "unit/e2ee/people.h"

namespace chatsdk::e2ee {

inline const GroupId kGroup = alices_group();
inline constexpr std::uint64_t kFuzzNow = kThen + 1'000'000;

class E2eeWorld {
 public:
  E2eeWorld();

  MemoryState& alice() { return *alice_; }
  MemoryState& bob() { return *bob_; }
  const Person& alices_person() const { return alices_person_; }
  const Person& bobs_person() const { return bobs_person_; }
  const RosterPoint& roster() const { return roster_; }

  // From Alice to Bob, in their direct conversation or in the group, with the message id of all envelopes here.
  Incoming direct(SliceKind kind, BytesView message) const;
  Incoming in_group(SliceKind kind, BytesView message) const;

  // Padded, of a text in the direct conversation or in the group.
  Bytes direct_text(std::string_view text) const;
  Bytes group_text(std::string_view text) const;

  // Copies of what Alice encrypts with.
  Session alices_session();
  OwnChain alices_chain();
  // A session that Alice begins anew, with or without one-time keys.
  Session alices_new_session(bool one_time);

  // What Alice sent and Bob has not opened, each openable by itself: of the live session a message that was passed
  // over, the next one, and one further on; set-ups; then of the group the next one and one further on.
  const std::vector<Bytes>& messages() const { return messages_; }
  const std::vector<Bytes>& group_messages() const { return group_messages_; }

  bool is_alices(BytesView message) const;

  // Everything as it was at first.
  void put_back();

 private:
  void meet();
  void talk();
  void assert_openable();

  Person alices_person_;
  Person bobs_person_;
  RosterPoint roster_;
  std::optional<MemoryState> alice_;
  std::optional<MemoryState> bob_;
  SecretRows alices_rows_;
  SecretRows bobs_rows_;
  std::vector<Bytes> messages_;
  std::vector<Bytes> group_messages_;
};

// The one of this process.
E2eeWorld& e2ee_world();

// Watches a device's state while it looks at an input.
class Guard {
 public:
  Guard(E2eeWorld& world, MemoryState& state)
      : world_(world), state_(state), writes_(state.writes()), hash_(state.hash()) {}
  ~Guard() {
    if (state_.writes() != writes_) world_.put_back();
  }
  Guard(const Guard&) = delete;
  Guard& operator=(const Guard&) = delete;

  // The input was refused.
  void assert_untouched() const { CHATSDK_ASSERT(state_.writes() == writes_ && state_.hash() == hash_); }
  // It was refused with one of the outcomes of section 19, without detail.
  void assert_refused(const Error& error) const {
    CHATSDK_ASSERT(error.code == kDuplicate || error.code == kNoSession || error.code == kUntrusted ||
                   error.code == kBadMessage);
    CHATSDK_ASSERT(error == chatsdk::error(error.code, {}));
    assert_untouched();
  }

 private:
  E2eeWorld& world_;
  MemoryState& state_;
  const std::size_t writes_;
  const Hash hash_;
};

}  // namespace chatsdk::e2ee
