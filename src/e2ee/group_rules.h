// SPDX-License-Identifier: Apache-2.0
//
// What makes of a group's state the next one (docs/e2ee.md sections 14.2 and 14.3): who may change what, how an entry
// is made, how one that the server shows is judged, and how a device comes into a group. It does not know where states
// and entries are kept, nor which list of a user counts at an item.
//
// Threads: pure functions.
// Invariants:
//   1. What is refused gives nothing to keep. An entry that was made is one that judge() takes from the same head.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "base/ids.h"
#include "base/result.h"
#include "e2ee/device_record.h"
#include "e2ee/group_entry.h"
#include "e2ee/group_state.h"
#include "e2ee/session_rows.h"

namespace chatsdk::e2ee {

// What a device has of a group: the state after the newest entry, and that entry's hash.
struct GroupHead {
  GroupState state;
  Hash entry_hash;

  friend bool operator==(const GroupHead&, const GroupHead&) = default;
};

// The list of a user in the roster at an item.
struct RosterUser {
  UserId user_id;
  SigningKey account_key;
  std::vector<DeviceRecord> devices;
};

// Whose lists judge() and join() need: the actor, and in judge() whom an entry adds.
std::vector<UserId> users_named(const GroupEntry& entry);

// ---- Changing ------------------------------------------------------------------------------------------------------

// The state after the change. FORBIDDEN: the actor may not; NOT_FOUND: no such member or invitation; ALREADY_EXISTS: an
// invitation of that id, or a member who comes by an invitation; TIMED_OUT: the invitation has expired; LIMIT_REACHED:
// members or invitations; INVALID_ARGUMENT: it says nothing, or cannot be said so.
Result<GroupState> change_group(const GroupState& before, const UserId& actor, const GroupChange& change,
                                std::uint64_t time_ms);

struct MadeEntry {
  Bytes entry;
  Bytes state;
  GroupHead head;
};
struct EntryMaker {
  Peer actor;
  const SigningSeed& signing_seed;
  std::uint64_t time_ms = 0;
};
Result<MadeEntry> make_entry(const GroupHead& head, const GroupChange& change, const EntryMaker& maker);
// Entry 1. `first` has members, permissions and origin; the group_id and the number follow from them. INVALID_ARGUMENT
// where a device would not join it.
Result<MadeEntry> create_group(GroupState first, const EntryMaker& maker);

// ---- Judging -------------------------------------------------------------------------------------------------------

enum class Judgement : std::uint8_t {
  kHolds,
  kKnown,        // the newest one that was applied
  kBefore,       // of a number before that: who has its hash compares
  kGap,          // one or more are missing before it
  kOtherChain,   // of the newest number or the next, and it does not follow or is not what was applied
  kDoesNotHold,  // malformed, of another group, forged, without the right, or with another state than it says
};
struct Judged {
  Judgement judgement = Judgement::kDoesNotHold;
  std::optional<GroupHead> after;  // kHolds
};
Judged judge(const GroupHead& head, BytesView entry, std::span<const RosterUser> users);

// ---- Coming --------------------------------------------------------------------------------------------------------

struct OwnIdentity {
  const UserId& user_id;
  const SigningKey& account_key;
};
struct Joined {
  GroupHead head;
  GroupEntry entry;
  bool confirmed = false;
};
// `before` is what this device had of the group, or nullptr. UNTRUSTED.
Result<Joined> join(const GroupHead* before, BytesView entry, BytesView state, std::span<const RosterUser> users,
                    const OwnIdentity& own);
// What a device that was linked to a member takes, unconfirmed: nobody's signature says anything to it. UNTRUSTED.
Result<Joined> take_shown(BytesView entry, BytesView state, const OwnIdentity& own);

}  // namespace chatsdk::e2ee
