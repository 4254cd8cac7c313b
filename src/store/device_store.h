// SPDX-License-Identifier: Apache-2.0
//
// store: the device's copy of everything: conversations, messages, outbox, marks, cursors and the session. One
// encrypted SQLite file. This header is what the engine writes through and what the app's reads come from; it knows SQL
// and rows, and decides nothing: when to send, retry or fail is the engine's.
//
// DeviceStore   the one writer, on the engine's executor
// DeviceReader  a read-only connection of its own: one object, one thread at a time, beside the writer
//
// Invariants:
//   1. A function that returns ok has committed with synchronous=FULL; one that returns an error has changed nothing.
//   2. A message and its outbox row, items and their stream's cursor, an answer and the row that it settles change in
//      one transaction.
//   3. Every commit that changes what the app can see raises revision() by one; another opening begins higher.
//   4. Within a conversation, messages with a seq come in seq order; own messages without one stand after them in the
//      order they were queued.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/ids.h"
#include "base/limits.h"
#include "base/random.h"
#include "base/result.h"
#include "base/secret.h"
#include "protocol/frames.h"
#include "protocol/group.h"
#include "protocol/group_operation.h"

namespace chatsdk {

// A conversation on this device: known before the server has allotted a conversation_id, and never changed after.
using ConversationKey = Id64<struct ConversationKeyTag>;
// A message on this device, never changed; does not order.
using MessageKey = Id64<struct MessageKeyTag>;

enum class MessageState : std::int32_t {
  kReceived = 0,   // somebody else's: durable on the server
  kQueued = 1,     // own: durable here, never on the wire
  kSending = 2,    // own: was on the wire, no answer yet
  kSent = 3,       // own, from whichever device: durable on the server
  kDelivered = 4,  // own: derived from the other members' delivered marks
  kRead = 5,       // own: derived from the read marks
  kFailed = 6,     // own: refused for good, which blocks the later ones of its conversation; or lost by the server
};

// ---- Rows ----------------------------------------------------------------------------------------------------------

struct StoredSession {
  UserId user_id;
  DeviceId device_id;
  std::string access_token;
  WallTime access_expires;
  std::string refresh_token;
  Bytes refresh_request_id;  // of a refresh whose answer did not come yet; empty otherwise
};

// Where discovery sent this device.
struct StoredGateway {
  std::string server_url;  // the server that was asked
  std::string url;
  WallTime expires;
  friend bool operator==(const StoredGateway&, const StoredGateway&) = default;
};

struct MessageRow {
  MessageKey key;
  ConversationKey conversation;
  Seq seq = 0;  // 0: not accepted yet, or not on the server any more
  MessageId message_id;
  ClientMessageId client_message_id;
  UserId sender;
  DeviceId sender_device;
  WallTime time;  // the server's once accepted, the device's before
  MessageState state = MessageState::kReceived;
  Code failure = Code::kOk;  // kFailed: why; kRolledBack, also with kReceived: the server has lost it
  std::string failure_detail;
  Bytes content;  // of protocol/content.h, as it came; empty: a placeholder for what could not be had
  // What its annotations come to.
  bool deleted = false;
  std::uint64_t edits = 0;
  Bytes edit;  // the content of the annotation whose post is shown in its place; empty: none
  bool pinned = false;
  MessageKey failed_annotation;  // an own one that was refused, and waits to be retried or discarded; none: 0
  struct Reaction {
    UserId user_id;
    bool own = false;
    std::vector<std::string> keys;
    friend bool operator==(const Reaction&, const Reaction&) = default;
  };
  std::vector<Reaction> reactions;
};

// How this store's user stands to a group. The C ABI has the same values (CHATSDK_GROUP_): never renumbered.
enum class GroupStanding : std::int32_t {
  kIn = 0,
  kLeft = 1,     // by the user's own doing
  kRemoved = 2,  // by somebody else's
  kEnded = 3,    // there is no such group any more
  kNotMade = 4,  // the server has refused to make it
};

struct GroupRow {
  group::Info info;
  group::Role role = group::Role::kNone;  // of the store's user
  GroupStanding standing = GroupStanding::kIn;
  std::uint64_t members = 0;   // how many are known
  bool members_known = false;  // those are all
};

struct ConversationRow {
  ConversationKey key;
  ConversationId conversation_id;  // none before the first acceptance
  wire::ConversationKind kind = wire::CONVERSATION_KIND_UNSPECIFIED;
  UserId peer;
  bool encrypted = false;       // end to end
  bool accepted_plain = false;  // it is not, and the app has asked for that
  Seq head = 0;                 // the highest seq known here: applied, or of an accepted own message
  Seq read_up_to = 0;
  std::uint64_t unread_count = 0;  // countable messages of others above read_up_to
  std::optional<MessageRow> last_message;
  WallTime last_activity;  // of last_message; without one, when the conversation became known
  std::optional<GroupRow> group;
};

struct OutboxRow {
  enum class Kind { kSend, kVoid, kTask };  // kTask: a request or a repair of encryption, of which e2ee/notes.h knows
  Kind kind = Kind::kSend;
  ConversationKey conversation;
  ConversationId conversation_id;  // none: address the peer, or the group
  UserId peer;
  GroupId group;
  bool encrypted = false;  // the conversation
  bool undecided = false;  // nothing that says whether the conversation is encrypted is here yet
  bool unmade = false;     // a group that the server has yet to make
  bool accepted = false;   // plain, and the app wants it so
  ClientMessageId client_message_id;
  std::uint64_t send_number = 0;
  Bytes content;            // kSend
  WallTime deadline;        // kSend: when the sender's time limit passes
  bool on_wire = false;     // was ever handed to the transport
  bool void_asked = false;  // kSend: the server may hold a tombstone of it; it is not sent any more, whatever the time
  bool failed = false;      // waits for the app; blocks the rows after it
};

struct StreamCursor {
  StreamId stream_id;
  wire::StreamKind kind = wire::STREAM_KIND_UNSPECIFIED;
  ConversationKey conversation;  // conversation streams
  Seq seq = 0;
  Seq delivered_from = 0;  // everything in (delivered_from, seq] that was for this device is held
  std::uint64_t marks_revision = 0;
  Seq others_from = 0;  // no message in (others_from, seq] was for other devices of the owner alone
};

// A message and the conversation that it is in, which an event names both.
struct MessageRef {
  ConversationKey conversation;
  MessageKey message;
  friend bool operator==(const MessageRef&, const MessageRef&) = default;
};

// What a transaction changed, for events. Empty: nothing visible.
struct Changes {
  std::uint64_t revision = 0;
  std::vector<MessageRef> added;
  std::vector<MessageRef> updated;        // state, seq, content
  std::vector<MessageRef> removed;        // the keys name nothing any more
  std::vector<MessageRef> undecryptable;  // of `added`: came, and could not be decrypted
  std::vector<MessageRef> annotations;    // as updated, of what the app is not shown
  std::vector<ConversationKey> conversations;
  std::vector<ConversationKey> marks;    // conversations whose receipts advanced
  std::vector<ConversationKey> members;  // groups of whose members something is another than before
  bool devices_changed = false;
  bool fewer_missing = false;    // what counts as delivered may begin earlier than was told
  std::vector<UserId> unsealed;  // nothing that was encrypted for their devices before is to leave
};

struct Receipt {
  std::optional<WallTime> delivered_at;
  std::optional<WallTime> read_at;
};

// ---- The writer ----------------------------------------------------------------------------------------------------

struct DeviceStoreOptions;
class DeviceReader;

class DeviceStore {
 public:
  // Opens or makes the store, migrates it and checks it. Errors: STORE_IN_USE (another process), WRONG_KEY, TAMPERED,
  // CORRUPT (damaged, cut off, or gone although it was made here: what is there is renamed to <path>.corrupt-<n> and
  // the name is in the detail), SCHEMA_TOO_NEW, READ_ONLY, STORAGE, STORAGE_FULL, NOT_FOUND (must_exist, and
  // there is no file).
  //
  // After CORRUPT nothing is made in the store's place until start_afresh asks for it: each opening says CORRUPT again.
  // start_afresh also sets aside what is TAMPERED or of a lost key; a store that opens gives ALREADY_EXISTS.
  //
  // The check. A store that was closed in order, and whose log is gone with that, is opened without reading it: each
  // page is authenticated when it is first used, and then TAMPERED or CORRUPT comes from whatever call needed it.
  // After any other end, a migration or damage that was seen, opening checks the whole file's structure; of a file
  // above limits::kStoreCheckBytesMax every table but the messages.
  static Result<std::unique_ptr<DeviceStore>> open(const DeviceStoreOptions& given, Random& keys, const Clock& clock);
  ~DeviceStore();  // closes every file and lets go of the lock; readers are gone by then

  Result<std::unique_ptr<DeviceReader>> open_reader();

  std::uint64_t revision() const;

  // -- Session and identity --
  Bytes installation_id() const;  // 16 random bytes made with the store
  // Draws another one: the server found that this store went back, so the next log-in must make a new device.
  Status renew_installation();
  Result<std::optional<StoredSession>> session();
  // Another device_id than the last one saved: the server knows no numbers of that device, so the send numbers of each
  // conversation start at 1 again, the rows in the outbox keeping their order.
  Status save_session(const StoredSession& session);
  // Forgets the tokens, keeps the history. A later log-in by another user is refused by the engine (WRONG_STATE).
  Status clear_tokens();
  Result<std::optional<UserId>> owner();  // whose store this is, once somebody logged in

  // -- What the server told --
  // Its limit for a text, as its last welcome named it; 0: none came yet.
  std::size_t text_bytes_max() const;
  // Costs nothing when it is the same.
  Status save_text_bytes_max(std::size_t bytes);
  const std::optional<StoredGateway>& gateway() const;
  Status save_gateway(const StoredGateway& gateway);

  // -- Epoch and cursors --
  Result<std::uint64_t> store_epoch();
  // Another epoch: cursors return to 0, sequences and ids of messages beyond are forgotten by the server; what the
  // server sends again is matched by client_message_id and message_id and not shown twice. The epoch that is stored
  // already only makes the account stream known. Until settle_epoch(), messages wait at their places without a seq; a
  // message of others that was read stays read. The changes are those of an earlier epoch that was never settled.
  // What waits is numbered from kNumberInDoubt on.
  Result<Changes> begin_epoch(std::uint64_t epoch, StreamId account_stream);
  static constexpr std::uint64_t kNumberInDoubt = std::uint64_t{1} << 56;  // above all that any device has used
  // Every stream is caught up: messages that the server did not send again are lost. They are shown with failure
  // ROLLED_BACK, together and in their old order, where the old history and the new one part. Costs nothing when no
  // epoch is open, so that each catching up may call it.
  Result<Changes> settle_epoch();
  // While many items come, the log grows further before it is copied into the file: the copying takes its time from
  // the commits. The first commit afterwards copies.
  void catching_up(bool is_catching_up);
  // Copies the log into the file and cuts it off: what earlier commits have replaced is in neither then. A handful of
  // syncs. BUSY: a reader needs the log just now.
  Status clear_log();
  // The most recently active first, at most max.
  Result<std::vector<StreamCursor>> cursors(std::size_t max);
  Result<std::optional<StreamCursor>> cursor(StreamId stream);
  // Conversations of which more is held than the owner's delivered mark says, as the server told it last: at most max.
  Result<std::vector<StreamCursor>> undelivered(std::size_t max);

  // -- Sending --
  // changes, when given, takes what changes. encrypted: of a new one; else the app wants it plain, which accepts a
  // known one that is.
  Result<ConversationKey> ensure_direct(const UserId& peer, Changes* changes = nullptr, bool encrypted = false);
  struct Nature {
    bool encrypted = false;
    bool undecided = false;  // nothing that says that is here yet
    bool accepted = false;   // plain, and the app wants it so
    bool unmade = false;     // a group that the server has yet to make
  };
  // NOT_FOUND.
  Result<Nature> nature(ConversationKey conversation);
  struct Enqueued {
    MessageKey message;
    std::uint64_t send_number = 0;
    bool repeated = false;  // the same id and content were queued before
    Changes changes;
  };
  // Message and outbox row, of the owner at this device, with a session or without. CONFLICT: the id names another
  // content or conversation, or one discarded. LIMIT_REACHED: outbox_max. NOT_FOUND: the conversation. WRONG_STATE: no
  // owner yet, or a conversation of which only items without a roster have come. INVALID_ARGUMENT: no content.
  // FORBIDDEN: a group that the owner is in no more.
  Result<Enqueued> enqueue(ConversationKey conversation, const ClientMessageId& id, Bytes content, WallTime now,
                           WallTime deadline, bool on_wire);
  // How what is said of a message names it, and what may be said. NOT_FOUND.
  struct Named {
    ConversationKey conversation;
    ClientMessageId id;
    UserId author;  // empty: nobody, a placeholder
    bool own = false;
    bool shown = true;  // not an annotation itself
    bool deleted = false;
  };
  Result<Named> named(MessageKey message);
  // Conversations with outbox rows, oldest row first.
  Result<std::vector<ConversationKey>> sending_conversations();
  // A conversation's outbox rows above a send number, in order, at most max; stops before a failed row.
  // before_failed, when given: a failed row follows the last one returned.
  Result<std::vector<OutboxRow>> outbox(ConversationKey conversation, std::uint64_t after_send_number, std::size_t max,
                                        bool* before_failed = nullptr);
  // True when nothing waits to be told to the server, neither a message, failed ones apart, nor a read mark, nor what
  // was done to a group.
  Result<bool> all_told();
  // The next deadline that counts: of messages that were never on their way, and of those that may be and are the first
  // of their conversations.
  Result<std::optional<WallTime>> earliest_deadline();
  // Messages whose deadline has passed fail where they were never on their way: at most max in one transaction, the
  // earliest deadlines first.
  Result<Changes> fail_overdue(WallTime now, const Error& reason, std::size_t max);
  // Those whose deadline has passed, that may be on their way and are the first of their conversations: the server has
  // to void them.
  Result<std::vector<OutboxRow>> overdue(WallTime now);
  Result<Changes> mark_on_wire(const std::vector<ClientMessageId>& ids);
  // Before the server is asked to void a message whose time has passed. Unknown ids are ignored.
  Status mark_void_asked(const ClientMessageId& id);
  struct AcceptedSend {
    ClientMessageId id;
    ConversationId conversation_id;
    MessageId message_id;
    Seq seq = 0;
    WallTime time;
  };
  // Settles outbox rows; unknown ids are ignored (their items came first).
  Result<Changes> accept(const std::vector<AcceptedSend>& accepted);
  Result<Changes> fail(const ClientMessageId& id, const Error& reason);
  // A failed message is queued again: under the same id and number when the server has refused it, since nothing of it
  // is there. The id of one that the server has voided is never accepted, and its number is closed: such a message goes
  // on under another id and the next number, in its place before the later ones. One that the server has lost goes to
  // the end of what waits, under its id. NOT_FOUND, WRONG_STATE, CONFLICT (another_id is known already), LIMIT_REACHED
  // (lost: outbox_max).
  Result<Changes> retry(const ClientMessageId& id, const ClientMessageId& another_id, WallTime deadline);
  // A queued or failed message goes; its number, unless the server has lost it, is closed there by a kVoid row.
  // In an encrypted conversation the row keeps what the message held until the server has answered, or its item comes:
  // where the server has it all the same, it stands there again, as others have it.
  // WRONG_STATE: it may be on the way; NOT_FOUND.
  Result<Changes> discard(const ClientMessageId& id);
  // The server has confirmed a tombstone. A kVoid row goes; a kSend row fails for the reason that it was voided for:
  // TIMED_OUT (its deadline passed) or TOO_LARGE (the server takes less than it did).
  Result<Changes> voided(const ClientMessageId& id, const Error& reason);
  // The server refused the void of a discarded message for good: it holds nothing under the id and did not close the
  // number, which is the next row's then.
  Status void_refused(const ClientMessageId& id);
  // The server takes this number next, and has accepted nothing of what waits in the conversation under another: the
  // rows are numbered from it on, keeping their order. MALFORMED: 0 or above limits::kSendNumberMax.
  Status number_from(ConversationKey conversation, std::uint64_t first);

  // -- Receiving --
  struct Applied {
    Changes changes;
    Seq cursor = 0;
    Seq delivered_from = 0;
    Seq others_from = 0;
    bool gap = false;   // after_seq is beyond the cursor: nothing was applied, ask for what follows the cursor
    bool held = false;  // what follows the cursor cannot be judged yet: ask for it again once it can
  };
  // Applies consecutive items and moves the cursor, all in one transaction; items at or below the cursor are dropped.
  // An item of the own device settles its outbox row. Unknown kinds move the cursor. MALFORMED (items that do not
  // follow one another, a stream without id or kind) changes nothing.
  Result<Applied> apply(const wire::Items& items);
  Result<Changes> apply_marks(const wire::Marks& marks);
  // What arrived together, items or marks, in one transaction: many streams, one sync. All of it or, on an error,
  // nothing.
  struct Arrival {
    const wire::Items* items = nullptr;
    const wire::Marks* marks = nullptr;  // when there are no items
  };
  struct AppliedTogether {
    std::vector<Applied> items;  // one for each arrival with items, in order; their changes are in `changes`
    Changes changes;
  };
  Result<AppliedTogether> apply_together(const std::vector<Arrival>& arrivals);

  // -- Groups --
  // The app knows that the conversation is plain, and sends in it. NOT_FOUND; WRONG_STATE: it is encrypted.
  Result<Changes> accept_plain(ConversationKey conversation);
  // NOT_FOUND; WRONG_STATE: it is no group.
  Result<GroupId> group_id(ConversationKey conversation);
  // Groups that the user is in and of which not all members are known, at most max.
  struct UnknownGroup {
    ConversationKey conversation;
    GroupId group_id;
    Seq members_from = 0;
  };
  Result<std::vector<UnknownGroup>> unknown_groups(std::size_t max);
  // What the server answers when it is asked. What later items have said already stays.
  Result<Changes> save_group(ConversationKey conversation, const group::State& state);
  // A page of members behind `after`. asked: as unknown_groups() gave it before the first page: with the last one all
  // members are known, unless more was missed since.
  Result<Changes> save_members(const UnknownGroup& asked, const UserId& after, const group::Members& page);

  // What the user does to a group: shown at once, and kept until the server has answered and the app knows. id:
  // limits::groups::kIdBytes random ones. NOT_FOUND, WRONG_STATE (no group), FORBIDDEN (the user is in it no more),
  // LIMIT_REACHED.
  struct AddedOperation {
    std::uint64_t number = 0;  // never given again
    ConversationKey conversation;
    Changes changes;
  };
  Result<AddedOperation> add_operation(ConversationKey conversation, const Bytes& id,
                                       const group::Operation& operation);
  // A plain group with the owner of the store and these. What the info leaves open of rights has its default. CONFLICT.
  Result<AddedOperation> create_group(const Bytes& id, const group::Info& info, const std::vector<UserId>& members);
  struct OpenOperation {
    std::uint64_t number = 0;
    Bytes id;
    ConversationKey conversation;  // none: of no group that is known here
    group::Operation operation;
  };
  // Those that are not answered, oldest first, at most max.
  Result<std::vector<OpenOperation>> open_operations(std::size_t max);
  // The server's answer. What was done is shown until its item says so, what was refused is shown no more; of a group
  // that was not made all that waits to be sent fails. NOT_FOUND.
  Result<Changes> operation_done(std::uint64_t number, const group::Changed& answer);
  Result<Changes> operation_refused(std::uint64_t number, const Error& reason);
  struct EndedOperation {
    std::uint64_t number = 0;
    ConversationKey conversation;
    Error status{Code::kOk, {}, {}};
    bool requested = false;  // somebody has to admit
  };
  // Of which the app has not heard.
  Result<std::vector<EndedOperation>> ended_operations();
  Status operations_told(const std::vector<std::uint64_t>& numbers);

  // -- Reading --
  // Moves the own read mark (never back, never beyond what has been applied) and remembers to tell the server.
  Result<Changes> mark_read(ConversationKey conversation, Seq up_to);
  struct PendingRead {
    ConversationId conversation_id;
    Seq up_to = 0;
  };
  Result<std::vector<PendingRead>> pending_reads();  // not yet confirmed by a mark of the server

  class Impl;  // the inside, for the files that implement it
  Impl& inside() { return *impl_; }

 private:
  explicit DeviceStore(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

struct DeviceStoreOptions {
  std::string path;               // the database or a link to it; beside the file -wal and a small -lock, nothing else
  const StoreKey* key = nullptr;  // borrowed for the call
  std::string base_vfs;           // empty: the platform's
  bool must_exist = false;
  bool start_afresh = false;  // sets aside what cannot be opened and makes a new store
  std::size_t outbox_max = limits::kOutboxMax;
  // What has tables of its own in the file opens them with the store: where they are damaged, the store is.
  Status (*opens_with)(DeviceStore::Impl& store) = nullptr;
};

// ---- The app's reads -----------------------------------------------------------------------------------------------

class DeviceReader {
 public:
  struct ConversationPage {
    std::vector<ConversationRow> rows;
    bool more = false;
  };
  struct MessagePage {
    std::vector<MessageRow> rows;  // oldest first
    bool more = false;             // in the direction asked
  };

  ~DeviceReader();

  // By last activity, newest first; after: the last row of the page before, none for the first page.
  Result<ConversationPage> conversations(std::optional<ConversationKey> after, std::size_t max);
  Result<ConversationRow> conversation(ConversationKey key);        // NOT_FOUND
  Result<ConversationKey> direct_conversation(const UserId& peer);  // NOT_FOUND
  Result<ConversationKey> conversation_by_id(ConversationId id);    // NOT_FOUND
  // Pages hold 1 to limits::kPageMax rows, else INVALID_ARGUMENT.
  // Pages by conversation_seq. before == 0: the tail, pending own messages included.
  Result<MessagePage> history_before(ConversationKey conversation, Seq before, std::size_t max);
  Result<MessagePage> history_after(ConversationKey conversation, Seq after, std::size_t max);
  // Pages from a message, also one without a seq: what lies beside it in the order of invariant 4. NOT_FOUND: the
  // anchor is not in the conversation.
  Result<MessagePage> history_before(ConversationKey conversation, MessageKey anchor, std::size_t max);
  Result<MessagePage> history_after(ConversationKey conversation, MessageKey anchor, std::size_t max);
  Result<MessageRow> message(MessageKey key);                          // NOT_FOUND
  Result<MessageRow> message_by_client_id(const ClientMessageId& id);  // own messages; NOT_FOUND
  // When a member's marks passed this message, by the server's clock. NOT_FOUND: no such message or not sent.
  Result<Receipt> receipt(MessageKey message, const UserId& member);
  // Own marks and the peer's: user -> (delivered_up_to, read_up_to).
  struct MarkRow {
    UserId user_id;
    Seq delivered_up_to = 0;
    Seq read_up_to = 0;
  };
  Result<std::vector<MarkRow>> marks(ConversationKey conversation);
  // Of a group, those behind `after`, ascending. NOT_FOUND; WRONG_STATE: it is no group.
  struct MemberPage {
    std::vector<group::Member> rows;
    bool more = false;
    bool known = false;  // nobody is missing
  };
  Result<MemberPage> members(ConversationKey conversation, const UserId& after, std::size_t max);
  Result<std::uint64_t> unread_total();
  Result<std::uint64_t> outbox_count();

 private:
  friend class DeviceStore;
  class Impl;
  explicit DeviceReader(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace chatsdk
