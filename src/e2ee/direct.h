// SPDX-License-Identifier: Apache-2.0
//
// Encrypted direct conversations (docs/e2ee.md sections 5.3, 10 and 11): for whom a message is encrypted and what has
// to be fetched before, what becomes of each item that comes, requests for what could not be opened and answers to
// them. It is handed what the server said and says what to fetch, to send and to tell the app; it sends and fetches
// nothing.
//
//   to send:       plan(), and while it waits: take_lists() and take_bundle() with what it wanted; then encrypt()
//   to receive:    roster_item() and receive(), each item in the transaction that moves the cursor
//   for others:    plan_task() and encrypt_task() for each of Notes::tasks()
//
// Threads: one owner; every call belongs to one open transaction.
// Invariants:
//   1. What a failed transaction undid, the caller asks for again: nothing here but rates and pauses is kept in memory,
//      and those only make this device ask for less.
//   2. A conversation that was once encrypted with a peer is never taken for plain again.
//   3. Nothing is encrypted for a device of anybody but the own user and the peer, whatever a roster holds.
#pragma once

#include <chrono>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "base/doubling_pauses.h"
#include "base/ids.h"
#include "base/limits.h"
#include "base/random.h"
#include "base/result.h"
#include "e2ee/kem.h"
#include "e2ee/notes.h"
#include "e2ee/rates.h"
#include "e2ee/safety_number.h"
#include "e2ee/session_manager.h"
#include "e2ee/upkeep.h"

namespace chatsdk::e2ee {

// What the app is told (section 19).
enum class EventKind : std::uint8_t {
  kIdentityChanged,
  kDeviceAdded,
  kDeviceRemoved,
  kVerifiedChanged,
  kListRefused,
  kPeerWithoutKeys,
};
struct Event {
  EventKind kind = EventKind::kIdentityChanged;
  UserId user_id;
  DeviceId device_id;        // of the two about devices
  std::uint64_t number = 0;  // of one that is kept until the app has it, ascending; 0: it is not kept yet, or never is

  friend bool operator==(const Event& a, const Event& b) {
    return a.kind == b.kind && a.user_id == b.user_id && a.device_id == b.device_id;
  }
};
// What is told once, of what was committed. That somebody has no keys is found again with each look.
inline bool is_kept(const Event& event) { return event.kind != EventKind::kPeerWithoutKeys; }

// The lists of one user, with the records that are new in them, as the server gives them.
struct UserLists {
  UserId user_id;
  std::vector<Bytes> lists;  // ascending by version
  std::vector<Bytes> records;
};

// ---- Sending -------------------------------------------------------------------------------------------------------

// A conversation that is not there yet has no id, and its roster is the two users' newest lists.
struct DirectTarget {
  UserId peer;
  ConversationId conversation;
};
struct Plan {
  enum class Outcome : std::uint8_t {
    kReady,
    kWaits,      // for lists, for bundles, or for the moment at which one is asked for again
    kUnlisted,   // this device has no keys yet, or is not in its user's list under the account key that it holds
    kForbidden,  // one device stands under both users
    kBlocked,    // the peer has another identity, and the app wants to accept that first
  };
  Outcome outcome = Outcome::kWaits;
  std::uint64_t roster_revision = 0;
  std::uint64_t own_list_version = 0;  // the newest that are known
  std::uint64_t peer_list_version = 0;
  std::vector<Peer> devices;       // that get a slice
  std::vector<Peer> left_out;      // listed, and the server has no bundle of them: they ask for it
  std::vector<Peer> bundles;       // to fetch
  std::vector<UserId> lists;       // whose lists to fetch
  std::uint64_t ask_again_ms = 0;  // kWaits with nothing to fetch: then; 0: when something else comes
};
struct Slice {
  Peer to;
  Bytes message;
};
// What a Send holds beside what the outbox knows.
struct Encrypted {
  std::uint64_t roster_revision = 0;
  std::uint64_t own_list_version = 0;
  std::uint64_t peer_list_version = 0;
  std::uint64_t counter = 0;  // encryption_counter
  std::vector<Slice> slices;  // ascending by device_id
};

// ---- Receiving -----------------------------------------------------------------------------------------------------

// A ROSTER item of a direct conversation, as it came.
struct RosterItem {
  ConversationId conversation;
  UserId own;
  UserId peer;
  bool encrypted = true;  // as the item says
  std::uint64_t revision = 0;
  std::vector<UserLists> lists;  // of members, or of whomever the server names
};
struct RosterResult {
  bool applied = true;               // false: plain, where the conversation is encrypted
  std::vector<UserId> lists_wanted;  // whose lists do not hold together with what is known, for want of some between
};

struct Item {
  ConversationId conversation;
  Seq seq = 0;
  UserId peer;  // of the conversation
  SliceKind kind = SliceKind::kMessage;
  Peer sender;
  ClientMessageId client_message_id;
  bool encrypted = true;           // false: the server gave plain content
  std::optional<BytesView> slice;  // none: not for this device
  // Under a list of its sender's that is ahead of those that are known it waits for what lies between, but where that
  // is at most this one: the server was asked for it, and has not shown it.
  std::uint64_t answered_list = kAnyList;

  static constexpr std::uint64_t kAnyList = std::numeric_limits<std::uint64_t>::max();
};
struct ItemResult {
  enum class Outcome : std::uint8_t {
    kContent,      // `content` is stored as the message
    kPlaceholder,  // it could not be decrypted: a message without content is stored, which is shown as that
    kPlain,        // a plain conversation's: stored as it came
    kOwn,          // sent by this device: known by its client_message_id
    kKnown,        // another's that is here already, of before the server went back: stored as its place alone
    kInvented,     // nobody can have sent it, whatever the item says: nothing is shown, and the cursor moves
    kRepeated,     // it stands at another place of the stream already: nothing is shown, and the cursor moves
    kSkip,         // nothing to show: the cursor moves
    kRepaired,     // the message at `repaired` has its content now
    kHeld,         // nothing was done: what lies between the lists that are known and the roster's has to come first
  };
  Outcome outcome = Outcome::kSkip;
  Bytes content;
  std::uint64_t sender_time_ms = 0;
  std::uint32_t expires_after_s = 0;
  Seq repaired = 0;
  bool lists_wanted = false;      // those of the sender's user: it knows of newer ones
  std::uint64_t needed_list = 0;  // of what is held: the version of that list
  bool asked = false;             // a retry request was queued
  bool again = false;             // a placeholder of it is here already, of before the server went back
};

class DirectConversations {
 public:
  // All outlive it. keys: for what is encrypted; ids: for the items that it makes.
  // blocks_changed: nothing is sent to a peer with another identity before the app has accepted it.
  DirectConversations(Random& keys, Random& ids, const Kem& kem, bool blocks_changed = false,
                      const Lifetimes& lifetimes = kLifetimes)
      : keys_(keys), ids_(ids), kem_(kem), blocks_changed_(blocks_changed), former_kept_(lifetimes.archived_kept) {}

  // -- Lists and bundles --
  // Learns what the server gave of a user who was asked for; without any list: that it has none, or none that is newer.
  // awaited: what Notes::awaited_list() said when the server was asked, which its answer has to show.
  Result<Learned> take_lists(Kept kept, const UserLists& given, std::uint64_t awaited, std::uint64_t now_ms,
                             std::vector<Event>& events);
  // The server shows lists under the account key that this device holds as the own user's newest, after another, and
  // among them the newest that was known: what was known of the other goes, and they count again. False: nothing of the
  // kind, and nothing was done.
  Result<bool> go_back_to_own(Kept kept, const UserLists& given, std::vector<Event>& events);
  // Lists of the own user under another account key than the pinned one, which the server shows and which count from
  // now on, whatever was known of that key: somebody has said so who knows more than the server. The pinned one is
  // known not to come back.
  static Status take_shown(Kept kept, KnownUser shown, std::vector<Event>& events);
  // Begins a session. nullptr: the server gave none for the device, which then gets no slice where another of the
  // peer's gets one. Where it does not hold, messages wait. Either way the device is asked for again a minute later at
  // the earliest.
  Status take_bundle(Kept kept, const Peer& peer, const BundleBytes* bundle, std::uint64_t now_ms);

  // -- Sending --
  Result<Plan> plan(Kept kept, const DirectTarget& target, std::uint64_t now_ms);
  // For a plan that is ready, in the same transaction or in a later one in which it still is.
  Result<Encrypted> encrypt(Kept kept, const Plan& plan, const Envelope& envelope, std::uint64_t now_ms);
  // The server refused a send since its roster is another one, and gave the lists after those that the send named: the
  // newest of both users count for sending until the ROSTER item itself comes. 0 revision: the conversation is not
  // there.
  Status roster_refused(Kept kept, const DirectTarget& target, std::uint64_t revision, std::span<const UserLists> newer,
                        std::uint64_t now_ms, std::vector<Event>& events);
  // The rosters that refusals named count no more: whoever named them may have been mistaken, or have lied.
  void connection_lost() { told_.clear(); }
  // What this user is known by to others, for a safety number: by this device's own account key, never by a list
  // alone. WRONG_STATE: it has none, or the server shows another.
  static Result<Identity> own_identity(Kept kept, const UserId& owner);
  // -- What the app says of an identity: NOT_FOUND, CONFLICT (the account key is another one by now) --
  // The user has seen that it is another one than before.
  Status accept_identity(Kept kept, const Identity& peer);
  // The user has compared it, which accepts it too, or takes that back.
  Status set_verified(Kept kept, const Identity& peer, bool verified, std::vector<Event>& events);
  // The user has found that it is another's: all that is kept of the peer goes, and the next lists are a first contact,
  // which is told as a change, and counts as one that the app has not accepted.
  Status forget_identity(Kept kept, const Identity& peer, std::vector<Event>& events);

  // -- Requests and repairs --
  // Like plan(), for the one device of a task. NOT_FOUND: it is nobody's concern any more, and is dropped.
  Result<Plan> plan_task(Kept kept, const Task& task, const UserId& peer, std::uint64_t now_ms);
  Result<Encrypted> encrypt_task(Kept kept, const Plan& plan, const Task& task, const UserId& peer,
                                 std::uint64_t now_ms);

  // -- Receiving --
  // In stream order. Lists of anybody but the two are passed over.
  Result<RosterResult> roster_item(Kept kept, const RosterItem& item, std::uint64_t now_ms, std::vector<Event>& events);
  Result<ItemResult> receive(Kept kept, const Item& item, std::uint64_t now_ms);

 private:
  Result<Roster> roster_for_sending(Kept kept, const DirectTarget& target, const UserId& own, Plan& plan);
  // The two users and nobody else: as `roster` has them, or with their newest lists. Who has none is missing, and is
  // added to `unknown`.
  static Result<Roster> of_the_two(Kept kept, const Roster& roster, const UserId& own, const UserId& peer,
                                   std::vector<UserId>& unknown);
  void want(const Peer& peer, Readiness readiness, std::uint64_t now_ms, Plan& plan);
  // Until when no bundle of the device is asked for; none: it may be.
  std::optional<std::uint64_t> paused_until(const Peer& peer, std::uint64_t now_ms) const;
  // Whether the peer's identity has changed, and the app wants to accept that before anything is sent.
  Result<bool> is_blocked(Kept kept, const UserId& peer);
  Result<Encrypted> encrypt_for_all(Kept kept, const Plan& plan, const Envelope& envelope);
  // The users whose lists are missing for it.
  Result<std::vector<UserId>> learn_members(Kept kept, const RosterItem& item, std::uint64_t now_ms,
                                            std::vector<Event>& events, Roster& roster);
  // Lists of a replaced account key that were kept then, or before, count no more.
  std::uint64_t former_after(std::uint64_t now_ms) const {
    const auto kept = static_cast<std::uint64_t>(former_kept_.count());
    return now_ms > kept ? now_ms - kept : 0;
  }
  Result<ItemResult> opened(Kept kept, const Item& item, const Roster& roster, Received received, std::uint64_t now_ms);
  Result<ItemResult> failed(Kept kept, const Item& item, const Incoming& incoming, Code outcome, std::uint64_t now_ms);
  // Whether one more request to the device, or repair for it, may wait; be it that another one goes for it.
  struct Room {
    bool is_there = false;
    std::optional<Task> in_place_of;
  };
  static Result<Room> find_room(Kept kept, TaskKind kind, const Peer& to);
  static Status put_task(Kept kept, const Room& room, const Task& task);
  DeviceRates& rate_of(TaskKind kind) { return kind == TaskKind::kRetry ? asked_rate_ : answered_rate_; }
  Task new_task(const Item& item, TaskKind kind, const RetryBody& target, std::uint64_t now_ms);

  Random& keys_;
  Random& ids_;
  const Kem& kem_;
  const bool blocks_changed_;
  const Lifetimes::Time former_kept_;
  DeviceRates set_up_rate_{limits::e2ee::kSetUpBurst, limits::e2ee::kSetUpRegain};
  DeviceRates asked_rate_{limits::e2ee::kRetryBurst, limits::e2ee::kRetryRegain};
  DeviceRates answered_rate_{limits::e2ee::kRetryBurst, limits::e2ee::kRetryRegain};
  // Of devices of which the server had no bundle, and of those whose bundle did not hold. Times as std::chrono has
  // them.
  using BundlePauses = DoublingPauses<Peer, std::chrono::milliseconds>;
  BundlePauses absent_{limits::e2ee::kBundlePauseFirst, limits::e2ee::kBundlePause};
  BundlePauses refused_{limits::e2ee::kBundlePause, limits::e2ee::kBundlePause};
  std::map<ConversationId, Roster> told_;  // rosters that a refusal named, ahead of their items
};

}  // namespace chatsdk::e2ee
