// SPDX-License-Identifier: Apache-2.0
//
// The seam to what a device keeps beside its State (docs/e2ee.md section 20), in the same transactions: rosters, what
// was sent and asked for, what waits to be sent for somebody's request, and how far its prekeys have come.
//
// Threads: those of the transaction: one.
// Invariants:
//   1. As those of e2ee/state.h.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "base/ids.h"
#include "base/result.h"
#include "e2ee/envelope.h"
#include "e2ee/retry.h"
#include "e2ee/sender_chains.h"

namespace chatsdk::e2ee {

// Of an encrypted conversation, after one of its ROSTER items.
struct Roster {
  std::uint64_t revision = 0;
  std::vector<RosterMember> members;

  friend bool operator==(const Roster&, const Roster&) = default;
};

// A retry request or a repair that waits to be sent to one device: an item of its own in the conversation.
enum class TaskKind : std::uint8_t { kRetry = 1, kRepair = 2 };
struct Task {
  std::int64_t id = 0;  // given by put_task(), ascending
  TaskKind kind = TaskKind::kRetry;
  ConversationId conversation;
  Peer to;
  RetryBody target;                   // of a repair: its target alone
  ClientMessageId client_message_id;  // of the item that carries it
  std::uint64_t created_ms = 0;
};

// What the app's history holds of an own message that somebody asks for.
struct OwnMessage {
  Bytes content;
  std::uint64_t sender_time_ms = 0;
  std::uint32_t expires_after_s = 0;
};

// What is here already of a message that an item brings. Of several, what stands last here counts.
struct KnownMessage {
  enum class State : std::uint8_t {
    kUnknown,
    kUnread,       // it stands at another place of the stream, `seq`, and could not be decrypted
    kWaiting,      // an own one, which waits to be sent
    kPlaceholder,  // of before the server went back
    kWhole,        // the same
    kShown,        // it stands at another place of the stream
  };
  State state = State::kUnknown;
  Seq seq = 0;
};

// Of a list under an account key that was replaced.
struct FormerDevice {
  SigningKey account_key;
  DeviceRecord record;
};

class Notes : public RetryNotes {
 public:
  // As it is at the conversation's cursor; none before its first ROSTER item, also after the server's store went back,
  // or where it is plain.
  virtual Result<std::optional<Roster>> roster(ConversationId conversation) = 0;
  virtual Status put_roster(ConversationId conversation, const Roster& roster) = 0;
  // The highest version of the user's list in a roster of a conversation with the peer; 0: none. In this store epoch;
  // and in those before it.
  virtual Result<std::uint64_t> list_version_with(const UserId& user_id, const UserId& peer) = 0;
  virtual Result<std::uint64_t> list_version_before(const UserId& user_id, const UserId& peer) = 0;
  // Another branch of the user's lists has come in place of the one that was known, up to this version: what has left
  // by then has nothing to say under a lower one, in every conversation whose roster named the user.
  virtual Status note_branch(const UserId& user_id, std::uint64_t version) = 0;
  // Whether this device has once begun the direct conversation as encrypted, or seen it so.
  virtual Result<bool> is_encrypted_with(const UserId& peer) = 0;
  virtual Status note_encrypted_with(const UserId& peer) = 0;
  // Section 13: whether the peer has another identity, and the app has not accepted that.
  virtual Result<bool> identity_changed(const UserId& peer) = 0;
  virtual Status note_identity_changed(const UserId& peer, bool changed) = 0;
  // An account key that is passed over for a later one of the user's. False: it is among the newest that were noted,
  // limits::e2ee::kReplacedMax of them.
  virtual Result<bool> note_passed_over(const UserId& user_id, const SigningKey& account_key) = 0;
  // A version of the user's list that a set-up has authenticated, and that this device has not been shown; 0: none.
  virtual Result<std::uint64_t> awaited_list(const UserId& user_id) = 0;
  virtual Status await_list(const UserId& user_id, std::uint64_t version) = 0;
  // The user has another account key, or none: what was noted of lists under the one before, of what was sent to its
  // devices, and what waits for them, goes, messages that are encrypted for them and stand in the outbox included; and
  // nobody is asked for what they had sent.
  virtual Status forget_identity(const UserId& user_id) = 0;
  // The newest list under the account key that this device holds, when another key came in its place: none behind which
  // that stands counts again.
  virtual Status note_left_list(const Hash& list_hash) = 0;
  virtual Result<std::optional<Hash>> left_list() = 0;
  // All that is known of the user goes: the former lists do, and the next lists are a first contact that the app has to
  // accept like a change. Whether that is what they are is told once.
  virtual Status note_forgotten(const UserId& user_id) = 0;
  virtual Result<bool> take_forgotten(const UserId& user_id) = 0;
  // Where a roster names a list of the user's that is not kept, it names the newest from now on; it has reached no
  // version.
  virtual Status stand_by_newest(const KnownUser& user) = 0;
  // The lists of the user under that account key, and the devices that they name, by which what was sent before the
  // change is judged: for as long as sessions are archived, and of all such keys the newest
  // limits::e2ee::kFormerListsMax. after_ms: what was kept then or before is over, whether it
  // has been deleted or not.
  virtual Status keep_former(const KnownUser& former, std::uint64_t now_ms) = 0;
  virtual Result<std::optional<FormerDevice>> former_device(const UserId& user_id, const Hash& list_hash,
                                                            DeviceId device_id, std::uint64_t after_ms) = 0;
  virtual Result<bool> is_former_list(const UserId& user_id, const Hash& list_hash, std::uint64_t after_ms) = 0;
  // Whether a message of the sender is here already, elsewhere than at the place: a server that went back sends it
  // again, and one that lies gives it out twice.
  virtual Result<KnownMessage> known_message(const ItemPlace& place, const UserId& sender,
                                             const ClientMessageId& id) = 0;
  virtual bool is_owner(const UserId& user_id) = 0;
  // Whether this device has a message of its own of that id in the conversation, or had one that it has discarded
  // since.
  virtual Result<bool> has_sent(ConversationId conversation, const ClientMessageId& id) = 0;

  // The number of the next encrypted item (section 11.5); each is given once.
  virtual Result<std::uint64_t> take_counter() = 0;
  // In place of what was noted under the message's id. NOT_FOUND: no such message waits here.
  virtual Status note_sent(const Envelope& message, std::span<const SentTo> devices, std::uint64_t now_ms) = 0;
  virtual Result<std::optional<OwnMessage>> own_message(const ClientMessageId& id) = 0;
  // The content takes the place of a placeholder that stands there for this sender, device and id; false: none does.
  virtual Result<bool> repair(const ItemPlace& place, const Peer& sender, const ClientMessageId& id,
                              BytesView content) = 0;

  virtual Status put_task(const Task& task) = 0;
  // Of the kind.
  struct TaskCount {
    std::size_t for_device = 0;
    std::size_t for_user = 0;
    std::size_t for_all = 0;
  };
  virtual Result<TaskCount> count_tasks(TaskKind kind, const Peer& to) = 0;
  // Of the user for whose devices the most of the kind wait, where these are more than `above`: the newest that is not
  // encrypted yet.
  virtual Result<std::optional<Task>> newest_of_most(TaskKind kind, std::size_t above) = 0;
  // In the order in which they came.
  virtual Result<std::vector<Task>> tasks() = 0;
  // It was sent.
  virtual Status drop_task(std::int64_t id) = 0;
  // It never will be: of a request, nobody is asked any more for what it is for.
  virtual Status give_up_task(const Task& task) = 0;
  // The device has nothing to answer with any more: nobody is asked for what it had sent. Without a device: none of
  // the user's has.
  virtual Status ask_no_more(const UserId& user_id, std::optional<DeviceId> device_id) = 0;

  // Own prekeys of which the server has not said that it has them, ascending. A pair that was replaced is none of them.
  virtual Result<std::vector<std::uint32_t>> prekeys_to_upload() = 0;
  virtual Status mark_uploaded(std::span<const std::uint32_t> key_ids) = 0;
  virtual Status upload_again(std::span<const std::uint32_t> key_ids) = 0;
  // All that are kept count as not uploaded.
  virtual Status upload_all_again() = 0;
  // This device begins anew with other keys: what was noted of its messages, what waits in the old ones' name
  // goes. The counter, rosters, and who is written to encrypted, stay.
  virtual Status forget_device() = 0;
  // The server's store went back: what names a place in a conversation names another now. What was asked for, and
  // requests and repairs that wait, go.
  virtual Status forget_places() = 0;
  // Whether a list that was learned has named this device, or the one that it takes the place of: one that is in none
  // that is kept was taken out.
  virtual Result<bool> was_listed() = 0;
  virtual Status note_listed(bool was_listed) = 0;
  // When age_notes() ran last; 0: never.
  virtual Result<std::uint64_t> aged_ms() = 0;
  // Section 11.4 of what is kept here.
  virtual Status age_notes(std::uint64_t now_ms, const Lifetimes& lifetimes) = 0;
};

// What operations on conversations work on.
struct Kept {
  State& state;
  Notes& notes;
};

}  // namespace chatsdk::e2ee
