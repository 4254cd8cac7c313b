// SPDX-License-Identifier: Apache-2.0
//
// The server's store: the only memory that the server has. This header is the seam that SQLite implements today and a
// PostgreSQL-compatible engine can implement later; both are held to the same contract tests.
//
// A write is data: a WriteOp. commit() takes a batch of them, applies them in order in one durable transaction, and
// answers each. The batch is the unit of durability, the op is the unit of refusal: a refused op leaves no row behind,
// and the ops after it see the state without it.
//
// Threads: Store belongs to the writer's executor; each StoreReader to one executor of its own. Readers see every
// commit that returned before their call began. Invariants:
//   1. When commit() returns answers, their effects survive a power loss.
//   2. A stream is dense from 1, append-only and immutable, but that a plain message that its sender has deleted holds
//      nothing any more; its items, deduplication records and head change in one transaction.
//   3. Look-up of a repeat comes before every other check: a repeated op gets its first answer for as long as its
//      record lives (limits::kDedupLifetime).
//   4. Nothing new of a session is accepted behind the op that ended it, in the same batch or a later one.
//   5. A one-time prekey is answered to one TakeBundles, also by a store that was restored and has noticed it.
//   6. A conversation is encrypted or plain from its first item on. An encrypted item is accepted for the newest device
//      lists of its conversation's members, and each device is shown its own slice only.
//   7. What a mailbox of a linking holds is not replaced by anything else: who reads it again reads the same.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/ids.h"
#include "base/link_step.h"
#include "base/result.h"
#include "protocol/frames.h"

namespace chatsdk::server {

using SessionId = Id64<struct SessionTag>;

// ---- Rows ----------------------------------------------------------------------------------------------------------

struct Account {
  UserId user_id;
  StreamId account_stream;
  std::string password_hash;  // libsodium's crypto_pwhash string; empty when only the app's backend vouches
  std::string display_name;
  std::string email;
  std::string phone;
  WallTime created;
};

struct Device {
  DeviceId device_id;
  UserId user_id;
  std::string name;
  Bytes installation_id;
  WallTime created;
  WallTime last_seen;
};

// One log-in of one device. The refresh token of generation g is derived by the account service; the store keeps only
// the generation, so that a stolen store holds no token.
struct Session {
  SessionId session_id;
  DeviceId device_id;
  UserId user_id;
  std::uint32_t generation = 1;
  Bytes last_request_id;  // of the rotation that made this generation; empty for the first
  WallTime expires;
};

// What a device follows: its account stream and every conversation that its user is or was a member of. Of one that the
// user has left, head and marks are those of that moment.
struct FollowedStream {
  StreamId stream_id;
  wire::StreamKind kind = wire::STREAM_KIND_UNSPECIFIED;
  Seq head = 0;
  Seq acknowledged = 0;  // by this device under the present epoch, as last flushed
  Seq missing_from = 0;  // what it said with that
  std::uint64_t marks_revision = 0;
};

struct MarkAdvance {
  UserId user_id;
  wire::Marks::Kind kind = wire::Marks::KIND_UNSPECIFIED;
  Seq up_to = 0;
  WallTime at;
  std::uint64_t revision = 0;
};

// What a member is in a conversation. In a direct one everybody is a member.
enum class MemberRole : std::uint8_t { kNone = 0, kMember = 1, kAdmin = 2, kOwner = 3 };

// What a role of a group may have the right to. The order is that of the columns.
enum class GroupRight : std::uint8_t { kSend, kPin, kAdd, kInvite, kRemove, kInfo, kRoles, kPermissions };
inline constexpr std::size_t kGroupRights = 8;

// The least role that has each right.
struct GroupPermissions {
  std::array<MemberRole, kGroupRights> least{};

  MemberRole& of(GroupRight right) { return least.at(static_cast<std::size_t>(right)); }
  MemberRole of(GroupRight right) const { return least.at(static_cast<std::size_t>(right)); }
  // What is kNone becomes what it is in the other.
  void fill_from(const GroupPermissions& other) {
    for (std::size_t i = 0; i < least.size(); ++i) {
      if (least.at(i) == MemberRole::kNone) least.at(i) = other.least.at(i);
    }
  }

  friend bool operator==(const GroupPermissions&, const GroupPermissions&) = default;
};

// Where a message goes: a conversation, the direct conversation with a peer, or a group.
struct Target {
  ConversationId conversation;  // none: the others name it
  UserId peer;
  Bytes group_id = {};  // not empty: a group's
};

// ---- Writes --------------------------------------------------------------------------------------------------------

// Refusals: ALREADY_EXISTS (user_id, e-mail or phone taken).
struct CreateAccount {
  Account account;  // account_stream is chosen by the store
};

// Makes the account unless it exists: first sight of a user whom the app's backend vouches for. Refusals: CONFLICT (the
// account has a password: whoever made it did not ask the backend).
struct EnsureAccount {
  Account account;
};

// A log-in: the device of this installation is made or found, and a new session replaces its old ones. A user who is at
// limits::kDevicesPerUserMax loses the device that was seen longest ago among those without an open session.
// Refusals: NOT_FOUND (no such user), LIMIT_REACHED (every device has an open session).
struct OpenSession {
  UserId user_id;
  std::string device_name;
  Bytes installation_id;
  WallTime now;
  WallTime expires;
  std::string new_password_hash;  // not empty: replaces the account's, made at another cost
  // What a new device was before, under another installation: what that one sent is shown to it, with what was shown to
  // that one so. None, and no device of the user: nothing.
  DeviceId former_device{};
};
struct SessionOpened {
  Session session;
  bool new_device = false;
};

struct RotateSession {
  SessionId session_id;
  std::uint32_t generation = 0;  // of the token presented, which the caller has verified
  Bytes request_id;
  WallTime now;
  WallTime expires;
};
// Reuse ends the session within the same transaction, so it is an answer and not a refusal.
struct SessionRotated {
  enum class Outcome { kRotated, kRepeated, kReused, kEnded };
  Outcome outcome = Outcome::kEnded;
  Session session;
};

// Ends the sessions of a device and, when remove_device, the device itself with its keys. Refusals: NOT_FOUND,
// FORBIDDEN (another user's device answers NOT_FOUND).
struct EndSessions {
  UserId user_id;
  DeviceId device_id;
  bool remove_device = false;
  WallTime now;
};

// A pairwise message for one device (docs/e2ee.md section 8), which the store does not look into.
struct SliceRow {
  DeviceId device_id;
  Bytes message;
};

// What an encrypted item has in place of a content (docs/e2ee.md section 10).
struct EncryptedParts {
  wire::ItemKind kind = wire::ITEM_KIND_MESSAGE;  // or RETRY, REPAIR
  Seq target_seq = 0;                             // REPAIR
  std::vector<SliceRow> slices;                   // beside what was staged; at least one for RETRY and REPAIR
  std::uint32_t staged_chunks = 0;
  std::uint64_t roster_revision = 0;  // 0: the list versions are compared in its place
  std::uint64_t own_list_version = 0;
  std::uint64_t peer_list_version = 0;
  std::uint64_t counter = 0;
};

// Refusals, after the look-up of a repeat: CONFLICT (same id, other hash), VOIDED (tombstone), UNAUTHENTICATED (the
// session is not the open one of the sender's device), NOT_FOUND (no such peer or conversation, or one that the sender
// never was a member of: the same answer; or only_repeat and it is none), FORBIDDEN (the sender is no member any more,
// or has a role that has not the right;
// plain for an encrypted conversation, or encrypted for a plain one), INVALID_ARGUMENT (peer is the sender),
// OUT_OF_ORDER (send_number is not the next; the error names the one that is).
//
// Of an encrypted one besides: UNAVAILABLE, before the look-up (a chunk is not staged, so that there is no hash),
// INVALID_ARGUMENT (a device has two slices; RETRY or REPAIR before the first message; a target that is no message of
// this device), FORBIDDEN (the sender's device is not in its user's device list), NOT_FOUND (a peer without one). Where
// it was made for another roster the answer is RosterChanged, and nothing of it is stored.
struct AppendMessage {
  UserId sender;
  DeviceId sender_device;
  SessionId session;  // that sends it; none: the caller vouches for the device
  Target target;
  ClientMessageId client_message_id;
  std::uint64_t send_number = 0;
  Bytes payload_hash;
  Bytes content;
  WallTime now;
  bool only_repeat = false;  // the caller refuses it unless it is a repeat: nothing is appended, content is not needed
  // Of what the content says, where it is plain: the sender's own message that it deletes, or edits. What it deletes,
  // and its edits, hold nothing any more after the transaction.
  std::optional<ClientMessageId> deletes;
  std::optional<ClientMessageId> edits;
  std::optional<GroupRight> right;  // that a member of a group needs for it
  std::shared_ptr<const EncryptedParts>
      encrypted;  // null: plain. Then content is empty, and payload_hash too if staged
};
struct SignedListRow {
  Bytes list;
  std::vector<Bytes> records;  // those that the version before does not name
};
struct RosterChanged {
  std::uint64_t revision = 0;        // 0: the conversation is not there yet
  std::vector<SignedListRow> lists;  // after the versions that the sender named, a user's ascending
  std::string detail;                // what did not fit
  std::uint64_t counter = 0;         // encryption_counter of what was refused
};
struct Appended {
  ConversationId conversation_id;
  MessageId message_id;
  Seq seq = 0;
  WallTime time;
  bool repeated = false;
};

// Writes a tombstone into the deduplication table and closes the send number, or answers with the acceptance that came
// first. Refusals: UNAUTHENTICATED, NOT_FOUND, FORBIDDEN (no member any more), OUT_OF_ORDER as above.
struct VoidMessage {
  UserId sender;
  DeviceId sender_device;
  SessionId session;
  Target target;
  ClientMessageId client_message_id;
  std::uint64_t send_number = 0;
  WallTime now;
};
struct Voided {
  std::optional<Appended> accepted;  // set: it had been accepted, nothing was voided
  bool repeated = false;             // it had been voided before
};

// Moves the user's marks in a conversation forwards; values at or below today's change nothing. delivered moves only
// when delivered_from <= today's mark (no gap is jumped), or when nobody can fill the gap: in an encrypted
// conversation, where nothing of it waits for a device of the user and none misses any of it. read is clamped to the
// delivered mark. Refusals: NOT_FOUND (not a member), INVALID_ARGUMENT (above the head).
struct AdvanceMarks {
  UserId user_id;
  ConversationId conversation_id;
  Seq delivered_from = 0;
  Seq delivered_up_to = 0;
  Seq read_up_to = 0;
  WallTime now;
  Seq missing_from = 0;  // the highest item that a device of the user says it misses, whose cursor is not written yet
};
struct MarksAdvanced {
  std::vector<MarkAdvance> advances;  // what moved; may be empty
  std::uint64_t revision = 0;
};

// Keeps slices until their item comes. A chunk that is there already is replaced. Refusals: UNAUTHENTICATED as above,
// RATE_LIMITED (limits::e2ee::kStagedBytesMax of the device are kept).
struct StageSlices {
  DeviceId device_id;
  SessionId session;
  ClientMessageId client_message_id;
  std::uint32_t chunk = 0;
  std::vector<SliceRow> slices;
  WallTime now;
};

// Removes staged chunks older than limits::e2ee::kStagedKept.
struct PurgeStaged {
  WallTime now;
};

// Appends ROSTER items where a member's device list has changed, to at most `max` conversations. Never refused.
struct ExtendRosters {
  std::size_t max = 0;
  WallTime now;
};
struct RostersExtended {
  std::size_t appended = 0;
  bool more = false;
};

// Remembers what a device acknowledged; acknowledged only grows, and missing_from is what the highest of them said. The
// device's slices up to there are removed.
struct AdvanceCursor {
  DeviceId device_id;
  StreamId stream_id;
  Seq acknowledged = 0;
  Seq missing_from = 0;  // the last item that was for the device and that it does not hold
};

struct TouchDevice {
  DeviceId device_id;
  WallTime last_seen;
};

// Writes a row that says nothing: whether the store takes writes at all.
struct ProbeWrite {};

// A place in the deduplication table, which has an order of its own. The default is before the first record.
struct RecordKey {
  StreamId stream;
  UserId sender;
  Bytes client_message_id;
};

// Looks at the next records after a place, at most max, and removes those older than limits::kDedupLifetime, tombstones
// included; and at most max operations that are as old. A record exactly that old stays.
struct PurgeRecords {
  RecordKey after;
  std::size_t max = 0;
  WallTime now;
};
struct RecordsPurged {
  std::optional<RecordKey> last;  // the last one looked at; none: the end was reached
  std::size_t removed = 0;
};

// ---- Writes of the key directory (docs/e2ee.md section 17) ---------------------------------------------------------
// Lists, records and prekeys are public bytes here, with what the store compares of them beside: what they hold and
// who signed them was checked by whoever submits them.

struct ListedDevice {
  DeviceId device_id;
  Bytes record_hash;
};

struct ListVersion {
  std::uint64_t version = 0;  // 1, 2, 3, ...: a new account key goes on counting
  Bytes hash;
  Bytes previous;  // the hash of the version before
  Bytes list;
  std::vector<ListedDevice> devices;
};

struct DeviceRecordRow {
  DeviceId device_id;
  Bytes hash;
  Bytes record;
};

// Stores the next versions of a user's device list; those of a new account key follow the last one of the key before,
// and take the place of all of its versions. A device that the last of them has no more, or under another
// record, loses its prekeys and the slices that wait for it; one that it has no more loses its log-in too. Versions
// that are stored already are a repeat; where that is all, nothing is written. The rosters of the user's encrypted
// conversations follow: ExtendRosters, or the next item.
// Refusals: NOT_FOUND (no such user), CONFLICT (not what follows the newest version; another account key without
// replaces_account_key; one of the newest limits::e2ee::kReplacedMax account keys that were replaced; a record that
// neither the op nor the store has), FORBIDDEN (the uploading device is neither in the newest version nor in the last
// of these), INVALID_ARGUMENT (a device that is new to the list, or comes with another record, is none of this user).
struct PublishLists {
  UserId user_id;
  DeviceId uploader;
  Bytes account_key;
  std::vector<ListVersion> lists;  // at least one, each the successor of the one before
  std::vector<DeviceRecordRow> records;
  bool replaces_account_key = false;
  WallTime now;
};
struct ListsPublished {
  bool repeated = false;
  std::vector<DeviceId> ended = {};  // devices of the user whose log-in has ended, if they had one
  bool rosters_due = false;          // ExtendRosters has something to do
};

struct PrekeyRow {
  std::uint32_t key_id = 0;
  Bytes prekey;
};

// Unused one-time prekeys of a device.
struct KeyCounts {
  std::uint32_t one_time = 0;
  std::uint32_t one_time_kem = 0;

  friend bool operator==(const KeyCounts&, const KeyCounts&) = default;
};

// Stores prekeys of a device; answers KeyCounts. A one-time prekey whose key_id is not above the highest that was ever
// taken of its kind is a repeat: it is there, or it has gone out and does not come back.
// Refusals: FORBIDDEN (the device is not in its user's newest list), CONFLICT (its record is another one; a key_id that
// has other bytes; a signed or last-resort prekey whose key_id is below the stored one's), LIMIT_REACHED (more than
// limits::e2ee::kOneTimeStored of a kind).
struct UploadPrekeys {
  UserId user_id;
  DeviceId device_id;
  Bytes record_hash;                    // of the record whose key has signed them
  PrekeyRow signed_prekey;              // key_id 0: none
  PrekeyRow last_resort;                // likewise
  std::vector<PrekeyRow> one_time;      // ascending by key_id
  std::vector<PrekeyRow> one_time_kem;  // likewise
  std::uint32_t drop_below = 0;         // one-time prekeys with a lower key_id are dropped first
  WallTime now;
};

// Takes a bundle of each device that is in the user's newest list and has prekeys: the lowest one-time prekey of each
// kind, which the store then has no more, and the last-resort prekey where there is no KEM prekey. Never refused.
struct TakeBundles {
  struct Wanted {
    DeviceId device_id;
    bool with_one_time = true;
  };
  UserId user_id;
  std::vector<Wanted> devices;
};
struct TakenBundle {
  DeviceId device_id;
  Bytes record;
  Bytes signed_prekey;
  Bytes kem_prekey;
  Bytes one_time_prekey;       // empty: none
  bool used_one_time = false;  // of either kind
  KeyCounts left;
};
struct BundlesTaken {
  std::vector<TakenBundle> bundles;  // in the order asked; a device without is absent
};

// Leaves a message in a mailbox of the user for limits::e2ee::kLinkValid from the mailbox's first one, the offer. A
// repeat by the same device changes nothing.
// Refusals: UNAUTHENTICATED (the session is not the open one of the device), FORBIDDEN (offer or grant of a device that
// is not in its user's newest list, reveal of one that is; a grant where another device made the offer), CONFLICT
// (another message of this step is there; the step before is not, or its time is over). Where
// limits::e2ee::kLinkMailboxesMax of the user are open, another one ends the oldest.
struct PutLinkMessage {
  UserId user_id;
  DeviceId device_id;
  SessionId session;
  Bytes link_id;
  LinkStep step = LinkStep::kOffer;
  Bytes message;
  WallTime now;
};

// Removes the mailboxes whose time is over.
struct PurgeLinks {
  WallTime now;
};

// ---- Writes about groups -------------------------------------------------------------------------------------------
// Changes that a user's device asks for under an operation_id. Each is judged by the members and permissions of that
// moment, and told to the conversation by a ROSTER item in the same transaction where members or the group's info
// changed. No user is named twice, and nobody names the one who asks, but to leave, to step down or to withdraw.

struct CreateGroup {
  std::vector<UserId> members;  // beside the creator, who is the owner
  std::string name = {};
  std::string description = {};
  Bytes picture = {};
  GroupPermissions permissions = {};  // whole
  bool history = false;
};

struct ChangeGroup {
  std::optional<std::string> name = {};
  std::optional<std::string> description = {};
  std::optional<Bytes> picture = {};
  GroupPermissions permissions = {};  // kNone: as it is
};

// Who is a member already is passed over.
struct AddMembers {
  std::vector<UserId> user_ids;
};

// Or the user leaves.
struct RemoveMember {
  UserId user_id;
};

struct SetMemberRole {
  UserId user_id;
  MemberRole role = MemberRole::kMember;  // or kAdmin
};

// The owner before is an admin then.
struct TransferGroup {
  UserId user_id;
};

struct DeleteGroup {};

// An invitation is known here by the hash of its token alone.
struct CreateInvitation {
  Bytes invitation_id;
  std::int64_t expires_ms = 0;  // 0: never
  std::uint32_t uses = 0;       // 0: without limit
  bool approval = false;
};

struct RevokeInvitation {
  Bytes invitation_id;
};

// The user asking joins, or asks to, by an invitation of whatever group.
struct JoinGroup {
  Bytes invitation_id;
};

// Or the user withdraws what it asked.
struct AnswerJoinRequest {
  UserId user_id;
  bool accept = false;
};

using GroupChange = std::variant<CreateGroup, ChangeGroup, AddMembers, RemoveMember, SetMemberRole, TransferGroup,
                                 DeleteGroup, CreateInvitation, RevokeInvitation, JoinGroup, AnswerJoinRequest>;

// Answers OperationDone, the same for every repeat as long as its record lives (limits::kDedupLifetime): what is
// refused for what the groups are stays refused. Refusals of the op itself: CONFLICT (another request under this
// operation_id), UNAUTHENTICATED (the session is not the open one of the device). Recorded refusals: NOT_FOUND (no such
// group, or the user never was in it; no such user, member, invitation or request), FORBIDDEN (no member any more, not
// the role, or removed before), ALREADY_EXISTS (group_id or invitation), LIMIT_REACHED.
struct GroupOperation {
  UserId user_id;
  DeviceId device_id;
  SessionId session;  // none: the caller vouches for the device
  Bytes operation_id;
  Bytes request_hash;
  Bytes group_id;  // not of JoinGroup
  std::size_t members_max = 0;
  WallTime now;
  GroupChange change;
};
struct OperationDone {
  std::optional<Error> refused;
  Bytes answer;  // not refused: a serialised wire::GroupChanged
  bool repeated = false;
};

struct Done {};

using WriteOp =
    std::variant<AppendMessage, VoidMessage, AdvanceMarks, AdvanceCursor, CreateAccount, EnsureAccount, OpenSession,
                 RotateSession, EndSessions, TouchDevice, ProbeWrite, PurgeRecords, PublishLists, UploadPrekeys,
                 TakeBundles, StageSlices, PurgeStaged, ExtendRosters, PutLinkMessage, PurgeLinks, GroupOperation>;
using WriteAnswer =
    std::variant<Done, Appended, Voided, MarksAdvanced, Account, SessionOpened, SessionRotated, RecordsPurged,
                 ListsPublished, KeyCounts, BundlesTaken, RosterChanged, RostersExtended, OperationDone>;

// What one device is sent of an item in place of what all are sent.
struct ItemForDevice {
  DeviceId device_id;
  std::shared_ptr<const Bytes> item;
};

// One item that a batch appended, ready for fan-out. item is a serialised wire::Item.
struct AppendedItem {
  StreamId stream_id;
  wire::StreamKind kind = wire::STREAM_KIND_UNSPECIFIED;
  Seq seq = 0;
  std::shared_ptr<const Bytes> item;
  std::vector<UserId> followers;  // users entitled to it
  // Not none: the item is for this device, which has sent it, and for those of which each has its own; others skip it.
  DeviceId only_for = {};
  std::vector<ItemForDevice> slices = {};
  wire::SkipReason skip_reason = wire::SKIP_REASON_UNSPECIFIED;  // for those
};

// Marks of one conversation that a batch moved.
struct MovedMarks {
  ConversationId conversation_id;
  std::uint64_t revision = 0;
  std::vector<MarkAdvance> advances;
  std::vector<UserId> followers;
  std::uint64_t membership = 0;  // of StreamState: whoever left or joined later hears of other advances
};

struct CommitResult {
  std::vector<Result<WriteAnswer>> answers;  // one for each op, in order
  std::vector<AppendedItem> appended;        // in the order appended
  std::vector<MovedMarks> moved;
};

// ---- Reads ---------------------------------------------------------------------------------------------------------

struct ItemPage {
  std::vector<std::shared_ptr<const Bytes>> items;  // serialised wire::Item, skips included, consecutive
  Seq last = 0;  // sequence of the last of them; the request's `after` when there is none
  Seq head = 0;  // of the stream, in the same read
};

// The newest version of a user's device list that somebody knows; version 0: none.
struct KnownList {
  std::uint64_t version = 0;
  Bytes hash;
};

struct ListPage {
  std::uint64_t newest = 0;    // 0: the user has no list
  std::vector<Bytes> lists;    // ascending
  std::vector<Bytes> records;  // those that they name, each once
};

// What the next version of a user's device list is held against; version 0: there is none yet.
struct NewestList {
  std::uint64_t version = 0;
  std::vector<DeviceRecordRow> devices;  // ascending by device_id
};

// What the directory holds of a device that is in its user's newest list, its one-time prekeys only as counts.
struct DeviceKeys {
  Bytes record_hash;
  Bytes record;
  PrekeyRow signed_prekey;  // key_id 0: none
  PrekeyRow last_resort;    // likewise
  WallTime signed_at;       // when the signed prekey was stored
  KeyCounts counts;
};

// A group at one moment, as somebody sees it.
struct GroupView {
  ConversationId conversation_id;
  wire::Group group;
  GroupPermissions permissions;
  Seq head = 0;
  std::uint32_t members = 0;
  UserId owner;
  MemberRole role = MemberRole::kNone;  // of who asks
  bool known = false;                   // who asks is a member or was one
};

struct GroupMember {
  UserId user_id;
  MemberRole role = MemberRole::kNone;
};
struct GroupMemberPage {
  std::vector<GroupMember> members;  // user_ids ascending
  Seq head = 0;                      // of the conversation when these were its members
  bool more = false;
};

struct InvitationView {
  Bytes id;
  UserId inviter;
  WallTime created;
  std::int64_t expires_ms = 0;
  std::uint32_t uses_left = 0;
  bool approval = false;
  GroupView of = {};  // where it was asked for alone
};

struct JoinRequestView {
  UserId user_id;
  WallTime requested;
};

class StoreReader {
 public:
  virtual ~StoreReader() = default;

  virtual Result<std::optional<Account>> account(const UserId& user_id) = 0;
  virtual Result<std::optional<Session>> session_of(DeviceId device_id) = 0;  // the open one
  virtual Result<std::vector<Device>> devices(const UserId& user_id) = 0;
  virtual Result<std::vector<FollowedStream>> followed(const UserId& user_id, DeviceId device_id) = 0;
  // What this user may read after `after` on this device, at most max_items and, beyond the first, max_bytes.
  // A stream that the user has left ends where that happened. NOT_FOUND: no such stream, or nothing of it is this
  // user's.
  virtual Result<ItemPage> items(const UserId& user_id, DeviceId device_id, StreamId stream_id, Seq after,
                                 std::size_t max_items, std::size_t max_bytes) = 0;
  // Advances of a conversation above a revision that happened while the user was a member, oldest first, at most max;
  // of who joined with the conversation's history, all before that too.
  virtual Result<std::vector<MarkAdvance>> marks_after(const UserId& user_id, ConversationId conversation_id,
                                                       std::uint64_t revision, std::size_t max) = 0;
  virtual Result<NewestList> newest_list(const UserId& user_id) = 0;
  // The versions after the one known, oldest first; where no version with this number and hash is stored, the newest.
  // At most max either way.
  virtual Result<ListPage> device_lists(const UserId& user_id, const KnownList& known, std::size_t max) = 0;
  virtual Result<std::optional<DeviceKeys>> device_keys(DeviceId device_id) = 0;
  virtual Result<std::optional<KeyCounts>> key_counts(DeviceId device_id) = 0;
  // What a mailbox that is open at `now` holds of this step.
  virtual Result<std::optional<Bytes>> link_message(const UserId& user_id, BytesView link_id, LinkStep step,
                                                    WallTime now) = 0;
  // Of groups. NOT_FOUND: no such group, or the user never was in it; FORBIDDEN: no member any more, or not the right.
  virtual Result<GroupView> group(const UserId& user_id, BytesView group_id) = 0;
  // Those after a user_id, at most max.
  virtual Result<GroupMemberPage> group_members(const UserId& user_id, BytesView group_id, const UserId& after,
                                                std::size_t max) = 0;
  // Those that are not over at `now`, oldest first.
  virtual Result<std::vector<InvitationView>> group_invitations(const UserId& user_id, BytesView group_id,
                                                                WallTime now) = 0;
  // For whoever has its token. NOT_FOUND: there is none, or it is over.
  virtual Result<InvitationView> group_invitation(const UserId& user_id, BytesView invitation_id, WallTime now) = 0;
  virtual Result<std::vector<JoinRequestView>> join_requests(const UserId& user_id, BytesView group_id) = 0;
  // The highest of the device's encrypted items that were accepted; 0: none.
  virtual Result<std::uint64_t> encryption_counter(DeviceId device_id) = 0;
  // True when the store answers: readiness.
  virtual Status check() = 0;
};

class Store {
 public:
  virtual ~Store() = default;

  // An error means that nothing of the batch is stored, or, after a failed sync, that this is unknown: the store then
  // answers nothing more and the server stops.
  virtual Result<CommitResult> commit(std::span<const WriteOp> ops) = 0;
  virtual Result<std::unique_ptr<StoreReader>> open_reader() = 0;
  // Changes when the store was restored from an older state. What devices acknowledged before is forgotten with it.
  virtual std::uint64_t epoch() const = 0;
  // 32 bytes made with the store: the root of the server's token keys.
  virtual Bytes secret() const = 0;
};

}  // namespace chatsdk::server
