// SPDX-License-Identifier: Apache-2.0
//
// The inside of DeviceStore, shared by the files that implement it: the writer's connection, what it keeps in memory,
// and the transaction that every change goes through.
//
//   device_store.cpp               open and close, session, epoch, cursors
//   device_store_conversation.cpp  conversations: finding, linking to their ids, unread
//   device_store_send.cpp          the outbox
//   device_store_apply.cpp         items and marks
//   device_store_annotations.cpp   edits, deletions, reactions and pins, and what is shown for them
//   device_store_groups.cpp        groups: what they are, and who is in them
//   device_store_operations.cpp    what the user does to them
//
// Threads: the engine's executor.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/fault.h"
#include "protocol/fold.h"
#include "store/crypt_vfs.h"
#include "store/device_store.h"
#include "store/rows.h"
#include "store/sqlite.h"
#include "store/store_lock.h"

namespace chatsdk {

// Of a conversation that is not known to be encrypted.
enum class PlainState : std::int32_t {
  kUntold = 0,    // no ROSTER item has said what it is
  kTold = 1,      // one has called it plain, and the app has not accepted that
  kAccepted = 2,  // the app has asked for it to be plain
};

// A conversation's row while a transaction works on it.
struct ConversationState {
  ConversationKey key;
  ConversationId id;
  wire::ConversationKind kind = wire::CONVERSATION_KIND_UNSPECIFIED;
  UserId peer;  // empty: unknown, or not a direct conversation
  Seq head = 0;
  Seq read_up_to = 0;
  Seq read_confirmed = 0;
  std::uint64_t unread_count = 0;
  std::uint64_t last_send_number = 0;
  bool encrypted = false;
  PlainState plain = PlainState::kUntold;
  GroupId group;  // none: unknown, or no group

  bool is_known_plain() const { return !encrypted && plain != PlainState::kUntold; }
};

class DeviceStore::Impl {
 public:
  // What the tables say, kept at hand. A transaction that fails puts back what it changed.
  struct Memory {
    // What stands in meta, and is written where it differs.
    struct Meta {
      std::uint64_t revisions_reserved = 0;  // the next opening begins behind them
      std::uint64_t store_epoch = 0;
      bool epoch_open = false;  // messages with LostState kOpen or kOpenRead exist
      bool any_lost = false;    // messages with any LostState but kNo exist, or did once
      friend bool operator==(const Meta&, const Meta&) = default;
    };
    Meta meta;
    std::uint64_t revision = 0;
    std::uint64_t next_key = 1;  // of messages
    std::uint64_t outbox_count = 0;
    bool any_annotation = false;  // is here, or once was
  };

  Impl(StoreLock held, std::unique_ptr<CryptVfs> files, const DeviceStoreOptions& options, Random& random,
       const Clock& time)
      : lock(std::move(held)),
        vfs(std::move(files)),
        sql(db),
        keys(random),
        clock(time),
        path(options.path),
        must_exist(options.must_exist),
        opens_with(options.opens_with),
        outbox_max(options.outbox_max) {}
  // Says in the file that it was left in order, unless damage was seen.
  ~Impl();
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  // -- device_store.cpp --
  // What can be told before the database is opened.
  struct Found {
    StoreLock::History history = StoreLock::History::kUnknown;
    bool is_new = false;  // nothing of a store is there, and nothing was
    std::int64_t bytes = 0;
    std::int64_t log_bytes = 0;
  };
  Result<Found> look();
  // Opens the file, checks it and brings it to the schema of today. A refusal leaves it closed and unchanged.
  Status open();
  Status open_database(const Found& found);
  Status check_content(const Found& found);
  Status check_length(const Found& found);
  Status check_what_use_leans_on();
  Status load();
  void leave();
  Status clear_log();
  Result<Changes> settle_epoch();
  // What was not sent again is lost.
  Status close_epoch(Changes& changes);
  Result<std::vector<StreamCursor>> cursors(const char* query_text, std::size_t max);
  Result<std::optional<StreamCursor>> cursor(StreamId stream);
  Result<Changes> begin_epoch(std::uint64_t epoch, StreamId account_stream);

  // -- device_store_conversation.cpp --
  Result<std::optional<ConversationState>> find_conversation(ConversationKey key);
  // Also finds the conversation whose id the turn of an epoch has put into doubt, by its stream.
  Result<std::optional<ConversationState>> find_conversation(ConversationId id);
  Result<std::optional<ConversationState>> find_conversation(const UserId& peer);
  Result<ConversationState> insert_conversation(ConversationId id, wire::ConversationKind kind, const UserId& peer,
                                                WallTime created);
  // Writes counters and marks, and brings last_activity up to date.
  Status save(const ConversationState& conversation, Changes& changes);
  // Gives a conversation its id; another row that had it, and no peer, is merged into this one.
  Status link(ConversationState& conversation, ConversationId id, Changes& changes);
  // Whose stream it is; none: no conversation's.
  Status point_stream(StreamId id, std::optional<ConversationKey> conversation);
  // Makes a conversation the direct one with a peer. When the app has opened that one already, conversation becomes it.
  Status set_peer(ConversationState& conversation, wire::ConversationKind kind, const UserId& peer, Changes& changes);
  // Countable messages of others in (after, up_to].
  Result<std::uint64_t> count_unread(ConversationKey conversation, Seq after, Seq up_to);
  // For good. What came before it was known to be encrypted is the server's word, and shown no more, unless the app had
  // accepted it as plain.
  Status set_encrypted(ConversationState& conversation, Changes& changes);
  Result<Nature> nature(ConversationKey conversation);
  Status set_plain(ConversationState& conversation, PlainState plain, Changes& changes);
  Status move_read_mark(ConversationState& conversation, Seq up_to);
  Status delete_message(MessageKey key);

  // -- device_store_send.cpp --
  struct OwnMessage {
    MessageKey key;
    ConversationKey conversation;
    std::int64_t place = 0;
    rows::LostState lost = rows::LostState::kNo;
    DeviceId sender_device;
    Bytes content;
  };
  Result<std::vector<OwnMessage>> own_messages(const ClientMessageId& id);
  // The one that a server has lost; else NOT_FOUND or WRONG_STATE.
  Result<OwnMessage> lost_message(const ClientMessageId& id);
  struct OutboxEntry {
    MessageKey id;
    ConversationKey conversation;
    OutboxRow::Kind kind = OutboxRow::Kind::kSend;
    std::uint64_t send_number = 0;
    bool on_wire = false;
    bool void_asked = false;
    Code failure = Code::kOk;
    Bytes discarded;  // what a kVoid row's message held, where nobody else has it for this device

    // The server holds a tombstone of the id. A message that never was on the wire fails without being voided.
    bool tombstoned() const {
      return failure == Code::kVoided || (failure == Code::kTimedOut && on_wire) ||
             (failure == Code::kTooLarge && void_asked);
    }
  };
  // The outbox row of an id, for a message that waits or for a void.
  Result<std::optional<OutboxEntry>> outbox_entry(const ClientMessageId& id);
  Status delete_outbox_row(MessageKey id);
  Status insert_own(const MessageRef& message, std::int64_t place, const ClientMessageId& id, WallTime time,
                    const Bytes& content, Changes& changes);
  // A discarded message that the server has all the same stands at its place again, and its void goes. The caller saves
  // the conversation.
  Status bring_back(ConversationState& conversation, const OutboxEntry& discarded, const AcceptedSend& accepted,
                    Changes& changes);
  Status fail_row(const MessageRef& message, const Error& reason, Changes& changes);
  // A message that waits takes its place on the server, and its outbox row goes.
  Status settle(MessageKey key, Seq seq, MessageId message_id, WallTime time);
  // Frees a place before another message takes it: a placeholder goes, anything else counts as lost. The caller
  // saves the conversation.
  Status clear_place(ConversationState& conversation, Seq seq, Changes& changes);
  // In each conversation, what waits keeping its order.
  Status number_all_from(std::uint64_t first);
  // What waits is another device's now, whose numbers start at 1.
  Status become(DeviceId device);
  // A tombstoned message takes another id and the next number.
  Status retry_anew(const OutboxEntry& entry, const ClientMessageId& id, WallTime deadline);
  Status make_void(const OutboxEntry& entry, const ClientMessageId& id);
  // Moves the numbers of the rows behind one, and the last number given, up or down by one.
  Status shift_numbers(ConversationKey conversation, std::uint64_t behind, int by);
  // A message that the server has lost goes to the end of what waits.
  Status send_again(const OwnMessage& lost, const ClientMessageId& id, WallTime deadline, Changes& changes);
  // The outbox row of a message that stands at its pending place.
  Result<std::uint64_t> insert_outbox_row(MessageKey message, ConversationState& conversation,
                                          const ClientMessageId& id, WallTime deadline, bool on_wire, Changes& changes);
  Status accept_one(const AcceptedSend& accepted, Changes& changes);
  // A row of kind kTask behind what waits; and its end where nothing of it is on the server: the number is the next
  // row's then.
  Status insert_task_row(ConversationKey conversation, const ClientMessageId& id);
  Status take_back_row(const OutboxEntry& entry);

  Status mark_on_wire(const ClientMessageId& id, Changes& changes);

  // -- device_store_apply.cpp --
  // Whose the contents are: an encrypted conversation takes none that the library has not opened itself.
  enum class Contents { kAsTheyCame, kOpened };
  Status apply(const wire::Items& items, Applied& applied, Changes& changes, Contents = Contents::kAsTheyCame);
  Status apply_marks(const wire::Marks& marks, Changes& changes);

  // -- device_store_annotations.cpp --
  // An annotation was stored: whom it names. sender: whose it is.
  Status note_annotation(const MessageRef& message, const UserId& sender, BytesView content);
  // A post was stored: there may be annotations that came before it.
  Status touch_post(ConversationKey conversation, const ClientMessageId& id);
  // Whether it is an annotation; then what it names is looked at when the transaction ends.
  Result<bool> touch_annotation(MessageKey message);
  // All that annotations of a conversation name.
  Status touch_all(ConversationKey conversation);
  // What stood without content has got it: a post stays where it is, an annotation is shown no more.
  Status content_came(const MessageRef& message, Changes& changes);
  // Its own notes and what it names, before the message itself goes.
  Status forget_annotations(MessageKey message);
  // At the end of each transaction: what is shown of the posts that were touched.
  Status fold_touched(Changes& changes);

  // -- device_store_groups.cpp --
  Result<std::optional<ConversationState>> find_conversation(const GroupId& group);
  // Makes a conversation that is nobody's yet this group. said_up_to: what came before was not told.
  Status set_group(ConversationState& conversation, const GroupId& group, Seq said_up_to, Changes& changes);
  // What a ROSTER item of the group says.
  Status group_roster(ConversationState& conversation, Seq seq, const wire::Roster& roster, Changes& changes);
  // What CONVERSATION_ADDED and CONVERSATION_LEFT say of the owner.
  Status group_joined(ConversationState& conversation, group::Role role, Changes& changes);
  Status group_left(ConversationState& conversation, const wire::ConversationLeft& left, Changes& changes);
  // FORBIDDEN: a group that the owner is in no more.
  Status check_in_group(const ConversationState& conversation);
  // Items up to here do not come: who has come and gone by them is not known.
  Status members_missed(const ConversationState& conversation, Seq up_to);
  Status save_group_info(ConversationKey conversation, Seq seq, const group::Info& info);
  Status stand(ConversationKey conversation, group::Role role, GroupStanding standing, Seq seq, bool precise);
  struct MemberState {
    group::Role role = group::Role::kNone;
    Seq seq = 0;
    Seq since = 0;
  };
  Result<std::optional<MemberState>> member_state(ConversationKey conversation, const UserId& user);
  Status save_member(ConversationKey conversation, const UserId& user, const MemberState& member);
  Status change_member(ConversationKey conversation, const UserId& user, group::Role role, Seq seq);
  Status count_members(ConversationKey conversation, Changes& changes);
  Status take_page(const UnknownGroup& asked, const UserId& after, const group::Members& page);

  // -- device_store_operations.cpp --
  Status insert_operation(ConversationKey conversation, const Bytes& id, const group::Operation& operation,
                          std::uint64_t& number, Changes& changes);
  static void shows_operation(ConversationKey conversation, const group::Operation& operation, Changes& changes);
  // NOT_FOUND: it is answered.
  Result<OpenOperation> open_operation(std::uint64_t number);
  Status fail_waiting(ConversationKey conversation, const Error& reason, Changes& changes);

  // -- Transactions --
  // Runs body(Changes&) -> Status in one transaction, raises the revision if it changed what the app can see, and
  // commits.
  template <typename Body>
  Result<Changes> write(Body&& body) {
    const Memory before = memory;
    try {
      Result<Changes> written = write_once(std::forward<Body>(body));
      if (!written.ok()) memory = before;
      return written;
    } catch (...) {
      memory = before;  // no memory was left in the middle; the transaction has rolled back
      throw;
    }
  }

  bool is_owner(const UserId& user) const { return !owner.empty() && user == owner; }
  // How a user is written in marks.
  std::string_view mark_user(const UserId& user) const {
    return is_owner(user) ? std::string_view() : std::string_view(user);
  }
  MessageKey take_key() { return MessageKey{memory.next_key++}; }

  // In this order: the connection closes before its VFS goes, and the lock is let go last.
  StoreLock lock;
  std::unique_ptr<CryptVfs> vfs;
  sqlite::Database db;
  rows::Statements sql;
  Random& keys;
  const Clock& clock;
  std::string path;
  bool must_exist;
  Status (*opens_with)(Impl& store);
  bool is_new = false;  // this opening made it
  std::size_t outbox_max;
  Memory memory;
  UserId owner;        // empty: none yet
  DeviceId device_id;  // none: no session yet
  Bytes installation_id;
  std::size_t text_bytes_max = 0;
  std::optional<StoredGateway> gateway;
  // The file says that it was left in order, so the next change has to take that back in its own transaction. Once
  // that was tried, what the file says is uncertain until the store is left again.
  bool left_whole = false;
  bool left_whole_in_doubt = false;
  // Of the transaction that is open.
  struct Touched {
    ConversationKey conversation;
    ClientMessageId target;
    friend auto operator<=>(const Touched&, const Touched&) = default;
  };
  std::set<Touched> touched;
  std::set<MessageKey> annotations_gone;

  // -- Planted: cursors in memory, which nobody puts back when their transaction fails (Bug::kP9ResumeFromMemory), and
  // cursors that were moved before their items are stored (Bug::kP5CursorBeforeStore) --
#ifdef CHATSDK_FAULTS
  void remember_cursor(StreamId stream, Seq seq) { memory_cursors[stream] = seq; }
  Seq remembered_cursor(StreamId stream, Seq on_disk) const {
    const auto found = memory_cursors.find(stream);
    return CHATSDK_PLANTED(Bug::kP9ResumeFromMemory) && found != memory_cursors.end() ? found->second : on_disk;
  }
  void cursor_moved(StreamId stream, Seq from) { moved_from.try_emplace(stream, from); }
  Seq planted_cursor(StreamId stream, Seq on_disk) {
    const auto moved = moved_from.extract(stream);
    return moved ? moved.mapped() : remembered_cursor(stream, on_disk);
  }
  void forget_cursors() { memory_cursors.clear(); }
  std::map<StreamId, Seq> memory_cursors;
  std::map<StreamId, Seq> moved_from;
#else
  void remember_cursor(StreamId, Seq) {}
  Seq remembered_cursor(StreamId, Seq on_disk) const { return on_disk; }
  void cursor_moved(StreamId, Seq) {}
  Seq planted_cursor(StreamId, Seq on_disk) const { return on_disk; }
  void forget_cursors() {}
#endif

 private:
  template <typename Body>
  Result<Changes> write_once(Body&& body) {
    CHATSDK_ASSIGN(auto transaction, sqlite::Transaction::begin(db));
    const Memory before = memory;
    const std::int64_t rows_before = db.total_changes();
    touched.clear();
    annotations_gone.clear();
    Changes changes;
    CHATSDK_TRY(body(changes));
    CHATSDK_TRY(finish(before, changes));
    if (left_whole && db.total_changes() != rows_before) CHATSDK_TRY(take_back_left_whole());
    CHATSDK_FAULT("device_store.before_commit");
    if (CHATSDK_FAULT_BRANCH("device_store.disk_is_full")) return error(Code::kStorageFull, "no room for a commit");
    CHATSDK_TRY(transaction.commit());
    CHATSDK_FAULT("device_store.after_commit");
    left_whole = left_whole && !left_whole_in_doubt;
    return changes;
  }
  Status finish(const Memory& before, Changes& changes);
  Status take_back_left_whole();
  // Of a post that annotations name, or may.
  struct AnnotatedPost {
    MessageRef message;
    UserId author;
    bool own = false;
    Seq seq = 0;  // 0: it waits, or the server has lost it
    bool waits = false;
    bool erased = false;
    bool awaited = false;  // a placeholder
  };
  Status fold_target(const Touched& target, Changes& changes);
  struct Annotations {
    std::vector<content::Stated> counted;
    MessageKey failed;  // the first that was refused
  };
  Status fold_post(const AnnotatedPost& post, const ClientMessageId& id, Changes& changes);
  Result<Annotations> annotations_of(const AnnotatedPost& post, const ClientMessageId& id);
  struct Shown {
    std::uint64_t edit = 0;
    std::uint64_t edits = 0;
    bool pinned = false;
    bool deleted = false;
    std::uint64_t failed = 0;
    friend bool operator==(const Shown&, const Shown&) = default;
  };
  Result<Shown> saved_shown(MessageKey message);
  // Whether what was there was something else.
  Result<bool> save_reactions(MessageKey message, const std::map<UserId, std::vector<std::string>>& reactions);
  // A message of others that is deleted is not unread, and one that is not any more is.
  Status count_deleted(const AnnotatedPost& post, bool deleted, Changes& changes);
  Status erase(const AnnotatedPost& post, const Annotations& annotations);
  Status merge(const ConversationState& from, ConversationState& into, Changes& changes);
  // Takes the contents of all messages of a conversation but of those that wait.
  Status hide_contents(ConversationKey conversation, Changes& changes);
};

}  // namespace chatsdk
