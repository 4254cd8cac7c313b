// SPDX-License-Identifier: Apache-2.0
//
// What the server sends: consecutive items with their cursor, and watermarks. Each call is one transaction.
#include <algorithm>
#include <array>
#include <span>
#include <utility>

#include "base/fault.h"
#include "protocol/content.h"
#include "store/device_store_impl.h"

namespace chatsdk {

namespace {

using rows::Blob;
using rows::LostState;
using rows::place_of;
using rows::unsigned_at;
using Contents = DeviceStore::Impl::Contents;

constexpr char kStream[] =
    "SELECT kind, conversation, seq, delivered_from, marks_revision, others_from FROM stream WHERE stream_id = ?1";
constexpr char kInsertStream[] =
    "INSERT INTO stream(stream_id, kind, conversation, seq, delivered_from, marks_revision, others_from) "
    "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
// An index is written anew for each column that is named, changed or not: the conversation only where it changes.
constexpr char kMoveStream[] =
    "UPDATE stream SET seq = ?2, delivered_from = ?3, marks_revision = ?4, others_from = ?5 WHERE stream_id = ?1";
constexpr char kInsertReceived[] =
    "INSERT INTO message(key, conversation, place, lost, sender, sender_device, message_id, client_message_id, time, "
    "content, unshown) VALUES (?, ?, ?, 0, ?, ?, ?, ?, ?, ?, ?)";
constexpr std::size_t kMessageParameters = 10;
// New messages come in runs: one statement for this many costs two thirds of as many statements.
constexpr std::size_t kMessagesPerInsert = 16;
constexpr char kLostOfOthers[] =
    "SELECT m.key, m.lost, " CHATSDK_COUNTS("?4") " FROM message m WHERE m.client_message_id = ?1 AND m.lost > 0 AND "
    "m.sender = ?2 AND m.conversation = ?3";
constexpr char kFoundAgain[] =
    "UPDATE message SET place = ?2, lost = 0, message_id = ?3, time = ?4, sender_device = ?5 WHERE key = ?1";
constexpr char kStandAgain[] =
    "UPDATE message SET place = place + 1, lost = 0 WHERE conversation = ?1 AND place >= ?2 AND place <= ?3 "
    "AND lost IN (1, 2)";
constexpr char kAsideAmong[] =
    "SELECT key, place, lost FROM message WHERE conversation = ?1 AND place >= ?2 AND place <= ?3 AND lost IN (1, 2)";
constexpr char kOccupied[] = "SELECT 1 FROM message WHERE conversation = ?1 AND place = ?2 AND lost = 0";
constexpr char kMark[] = "SELECT delivered_up_to, read_up_to FROM mark WHERE conversation = ?1 AND user = ?2";
constexpr char kSaveMark[] =
    "INSERT INTO mark(conversation, user, delivered_up_to, read_up_to) VALUES (?1, ?2, ?3, ?4) "
    "ON CONFLICT(conversation, user) DO UPDATE SET delivered_up_to = ?3, read_up_to = ?4";
constexpr char kInsertAdvance[] =
    "INSERT OR IGNORE INTO mark_advance(conversation, user, kind, up_to, time) VALUES (?1, ?2, ?3, ?4, ?5)";
// Bug::kP5CursorBeforeStore
constexpr char kMoveCursor[] = "UPDATE stream SET seq = ?2 WHERE stream_id = ?1 AND seq = ?3";
constexpr char kPendingReads[] =
    "SELECT conversation_id, read_up_to FROM conversation WHERE read_up_to > read_confirmed";

// kInsertReceived for kMessagesPerInsert messages.
const char* insert_messages() {
  static const std::string sql = [] {
    const std::string_view one = kInsertReceived;
    const std::string_view row = one.substr(one.rfind('('));
    std::string all(one);
    for (std::size_t i = 1; i < kMessagesPerInsert; ++i) all.append(", ").append(row);
    return all;
  }();
  return sql.c_str();
}

// The cursor of one stream while a transaction works on it.
struct StreamState {
  StreamId id;
  wire::StreamKind kind = wire::STREAM_KIND_UNSPECIFIED;
  ConversationKey conversation{};  // as it was stored
  Seq seq = 0;
  Seq delivered_from = 0;
  std::uint64_t marks_revision = 0;
  Seq others_from = 0;
};

Result<StreamState> load_stream(rows::Statements& sql, StreamId id, wire::StreamKind kind) {
  StreamState stream{.id = id, .kind = kind};
  rows::Query query = sql(kStream);
  CHATSDK_ASSIGN(const bool known, query.first(id));
  if (!known) return stream;
  stream.kind = static_cast<wire::StreamKind>(query->integer(0));
  stream.conversation = ConversationKey{unsigned_at(query.row(), 1)};
  stream.seq = unsigned_at(query.row(), 2);
  stream.delivered_from = unsigned_at(query.row(), 3);
  stream.marks_revision = unsigned_at(query.row(), 4);
  stream.others_from = unsigned_at(query.row(), 5);
  return stream;
}

Status save_stream(DeviceStore::Impl& store, const StreamState& stream, std::optional<ConversationKey> conversation) {
  CHATSDK_TRY(store.sql(kMoveStream)
                  .run(stream.id, stream.seq, stream.delivered_from, stream.marks_revision, stream.others_from));
  if (store.db.changes() == 0) {
    return store.sql(kInsertStream)
        .run(stream.id, stream.kind, conversation, stream.seq, stream.delivered_from, stream.marks_revision,
             stream.others_from);
  }
  if (conversation.value_or(ConversationKey()) == stream.conversation) return {};
  return store.point_stream(stream.id, conversation);
}

// Every item follows the one before it; only a skip may span more than one place.
Status check_items(const wire::Items& items) {
  if (items.stream_id() == 0) return error(Code::kMalformed, "items without a stream");
  if (items.stream_kind() != wire::STREAM_KIND_ACCOUNT && items.stream_kind() != wire::STREAM_KIND_CONVERSATION) {
    return error(Code::kMalformed, "stream of kind " + std::to_string(items.stream_kind()));
  }
  Seq last = items.after_seq();
  for (const wire::Item& item : items.items()) {
    const bool follows = item.seq() <= rows::kSeqMax &&
                         (item.kind() == wire::ITEM_KIND_SKIP ? item.seq() > last : item.seq() == last + 1);
    if (!follows) {
      return error(Code::kMalformed, "item " + std::to_string(item.seq()) + " after " + std::to_string(last));
    }
    last = item.seq();
  }
  return {};
}

WallTime item_time(const wire::Item& item) { return from_unix_ms(item.time_ms()); }

// Applies items one after the other, within the transaction of its owner.
class ItemApplier {
 public:
  ItemApplier(DeviceStore::Impl& store, StreamState& stream, Changes& changes, Contents contents)
      : store_(store), stream_(stream), changes_(changes), contents_(contents) {}

  // Finds or makes the conversation of a conversation stream.
  Status begin(WallTime first_time) {
    if (stream_.kind != wire::STREAM_KIND_CONVERSATION) return {};
    CHATSDK_ASSIGN(auto found, store_.find_conversation(stream_.id));
    if (!found) {
      CHATSDK_ASSIGN(found,
                     store_.insert_conversation(stream_.id, wire::CONVERSATION_KIND_UNSPECIFIED, {}, first_time));
      changes_.conversations.push_back(found->key);
    }
    conversation_ = std::move(found);
    if (conversation_->id != stream_.id) CHATSDK_TRY(store_.link(*conversation_, stream_.id, changes_));
    return {};
  }

  Status apply(const wire::Item& item) {
    CHATSDK_TRY(apply_kind(item));
    stream_.seq = item.seq();
    if (conversation_) conversation_->head = std::max(conversation_->head, item.seq());
    return {};
  }

  Status finish() {
    CHATSDK_TRY(write_run());
    if (conversation_) {
      if (read_up_to_ > conversation_->read_up_to) {
        CHATSDK_TRY(store_.move_read_mark(*conversation_, read_up_to_));
      }
      CHATSDK_TRY(store_.save(*conversation_, changes_));
    }
    return save_stream(store_, stream_, conversation_ ? std::optional(conversation_->key) : std::nullopt);
  }

 private:
  struct NewMessage {
    MessageKey key;
    Seq seq = 0;
    std::optional<std::string_view> sender;
    const wire::Item* item = nullptr;
    bool unshown = false;
  };

  // A kind that does not belong to this kind of stream is as good as unknown: it moves the cursor only.
  Status apply_kind(const wire::Item& item) {
    const bool in_conversation = conversation_.has_value();
    // Whatever else an item does may read what the items before it have stored.
    if (item.kind() != wire::ITEM_KIND_MESSAGE) CHATSDK_TRY(write_run());
    switch (item.kind()) {
      case wire::ITEM_KIND_MESSAGE:
        return in_conversation ? message(item) : Status();
      case wire::ITEM_KIND_ROSTER:
        return in_conversation ? roster(item) : Status();
      case wire::ITEM_KIND_SKIP:
        return skip(item);
      case wire::ITEM_KIND_CONVERSATION_ADDED:
        return in_conversation ? Status() : conversation_added(item);
      case wire::ITEM_KIND_CONVERSATION_LEFT:
        return in_conversation ? Status() : conversation_left(item.left());
      case wire::ITEM_KIND_DEVICES_CHANGED:
        changes_.devices_changed = changes_.devices_changed || !in_conversation;
        return {};
      default:
        return {};
    }
  }

  Status message(const wire::Item& item) {
    if (!conversation_->encrypted || contents_ == Contents::kOpened || item.content().empty()) return take(item);
    // The stream became an encrypted conversation's in the middle of its items: the server's word is no content there.
    wire::Item without_content = item;
    without_content.clear_content();
    CHATSDK_TRY(take(without_content));
    return write_run();
  }

  Status take(const wire::Item& item) {
    const bool own = store_.is_owner(item.sender_user_id());
    const bool over_another = item.seq() <= conversation_->head;
    if (own || over_another || store_.memory.meta.any_lost) CHATSDK_TRY(write_run());
    if (own) {
      CHATSDK_ASSIGN(const bool known, own_message_known(item));
      if (known) return {};
    } else if (store_.memory.meta.any_lost) {
      CHATSDK_ASSIGN(const bool known, lost_message_found(item));
      if (known) return {};
    }
    if (over_another) CHATSDK_TRY(store_.clear_place(*conversation_, item.seq(), changes_));
    const auto sender = own ? std::nullopt : std::optional(std::string_view(item.sender_user_id()));
    const bool unshown = content::is_annotation(item.content());
    CHATSDK_TRY(insert(item.seq(), sender, item, unshown));
    const bool counts = !own && !unshown && !item.sender_user_id().empty() && item.content() != rows::erased_content();
    if (counts && item.seq() > conversation_->read_up_to) ++conversation_->unread_count;
    return {};
  }

  // item lives until write_run().
  Status insert(Seq seq, std::optional<std::string_view> sender, const wire::Item& item, bool unshown) {
    const MessageRef message{conversation_->key, store_.take_key()};
    run_[run_size_++] = {message.message, seq, sender, &item, unshown};
    if (unshown) {
      CHATSDK_TRY(store_.note_annotation(message, item.sender_user_id(), item.content()));
    } else {
      changes_.added.push_back(message);
      const auto id = ClientMessageId::from_bytes(item.client_message_id());
      if (id) CHATSDK_TRY(store_.touch_post(message.conversation, *id));
    }
    return run_size_ == run_.size() ? write_run() : Status();
  }

  // Stores the messages that insert() has gathered.
  Status write_run() {
    const std::span<const NewMessage> gathered(run_.data(), std::exchange(run_size_, 0));
    const std::size_t at_once = gathered.size() == run_.size() ? gathered.size() : 1;
    for (std::size_t i = 0; i < gathered.size(); i += at_once) {
      rows::Query query = store_.sql(at_once == 1 ? kInsertReceived : insert_messages());
      for (std::size_t row = 0; row < at_once; ++row) bind_row(query, row, gathered[i + row]);
      CHATSDK_TRY(query.run());
    }
    return {};
  }

  void bind_row(rows::Query& query, std::size_t row, const NewMessage& message) {
    const wire::Item& item = *message.item;
    const auto client_id = item.client_message_id().size() == limits::kClientMessageIdBytes
                               ? std::optional(Blob{item.client_message_id()})
                               : std::nullopt;
    query.bind_from(static_cast<int>(row * kMessageParameters) + 1, message.key, conversation_->key,
                    place_of(message.seq), message.sender, item.sender_device_id(), item.message_id(), client_id,
                    item_time(item), Blob{item.content()}, message.unshown);
  }

  // True: the item is a message that this device has already, waiting, accepted or of an earlier epoch.
  Result<bool> own_message_known(const wire::Item& item) {
    const auto id = ClientMessageId::from_bytes(item.client_message_id());
    if (!id) return false;
    CHATSDK_ASSIGN(const auto own, store_.own_messages(*id));
    for (const auto& known : own) {
      if (known.conversation != conversation_->key) continue;
      if (rows::is_pending(known.place)) {
        // Another device may have used the same id: it is the same message only with the same content.
        if (known.sender_device.value != item.sender_device_id() && known.content != item.content()) continue;
        CHATSDK_TRY(store_.clear_place(*conversation_, item.seq(), changes_));
        CHATSDK_TRY(store_.settle(known.key, item.seq(), MessageId{item.message_id()}, item_time(item)));
        CHATSDK_TRY(store_.touch_post(conversation_->key, *id));
        changes_.updated.push_back({conversation_->key, known.key});
        return true;
      }
      CHATSDK_ASSIGN(const bool moves, stands_behind(known, item));
      if (known.lost != LostState::kNo || moves) CHATSDK_TRY(found_again(known.key, item));
      return true;
    }
    CHATSDK_ASSIGN(const auto discarded, store_.outbox_entry(*id));
    const bool is_void = discarded && discarded->kind == OutboxRow::Kind::kVoid;
    if (!is_void || discarded->conversation != conversation_->key) return false;
    if (!item.content().empty() || discarded->discarded.empty()) {
      CHATSDK_TRY(store_.delete_outbox_row(discarded->id));
      return false;
    }
    const DeviceStore::AcceptedSend accepted{*id, stream_.id, MessageId{item.message_id()}, item.seq(),
                                             item_time(item)};
    CHATSDK_TRY(store_.bring_back(*conversation_, *discarded, accepted, changes_));
    return true;
  }

  // A server has refused what it gave out, and has taken it again: everybody has it at the first of its places.
  Result<bool> stands_behind(const DeviceStore::Impl::OwnMessage& known, const wire::Item& item) {
    if (item.sender_device_id() != store_.device_id.value || known.place <= place_of(item.seq())) return false;
    rows::Query query = store_.sql(kOccupied);
    CHATSDK_ASSIGN(const bool occupied, query.first(conversation_->key, place_of(item.seq())));
    return !occupied;
  }

  Result<bool> lost_message_found(const wire::Item& item) {
    MessageKey key;
    bool was_read = false;
    bool can_count = false;
    {
      rows::Query query = store_.sql(kLostOfOthers);
      CHATSDK_ASSIGN(const bool found, query.first(Blob{item.client_message_id()}, item.sender_user_id(),
                                                   conversation_->key, Blob{rows::erased_content()}));
      if (!found) return false;
      can_count = query->integer(2) != 0;
      key = MessageKey{unsigned_at(query.row(), 0)};
      was_read = static_cast<LostState>(query->integer(1)) == LostState::kOpenRead;
    }
    CHATSDK_TRY(found_again(key, item));
    const bool counts =
        can_count && item.seq() > conversation_->read_up_to && !CHATSDK_PLANTED(Bug::kFoundAgainUncounted);
    if (counts) ++conversation_->unread_count;
    if (was_read) read_up_to_ = std::max(read_up_to_, item.seq());
    return true;
  }

  Status found_again(MessageKey key, const wire::Item& item) {
    CHATSDK_TRY(store_.clear_place(*conversation_, item.seq(), changes_));
    changes_.updated.push_back({conversation_->key, key});
    return store_.sql(kFoundAgain)
        .run(key, place_of(item.seq()), item.message_id(), item_time(item), item.sender_device_id());
  }

  Status roster(const wire::Item& item) {
    const wire::Roster& roster = item.roster();
    const bool is_of_group = roster.conversation_kind() == wire::CONVERSATION_KIND_GROUP;
    if (is_of_group) {
      CHATSDK_TRY(be_group(item));
    } else if (roster.conversation_kind() != wire::CONVERSATION_KIND_UNSPECIFIED &&
               roster.conversation_kind() != wire::CONVERSATION_KIND_DIRECT) {
      return {};
    } else {
      CHATSDK_TRY(be_direct(item));
    }
    if (!roster.encrypted()) return store_.set_plain(*conversation_, PlainState::kTold, changes_);
    // It never changes, but for a server that has lost the conversation and has another one now.
    const bool is_first = stream_.seq == 0;
    if (is_of_group || (conversation_->is_known_plain() && !is_first)) return {};
    return store_.set_encrypted(*conversation_, changes_);
  }

  Status be_direct(const wire::Item& item) {
    for (const wire::Roster::Change& change : item.roster().changes()) {
      if (!change.joined() || change.user_id().empty() || store_.is_owner(change.user_id())) continue;
      if (conversation_->group && stream_.seq == 0) {
        // The stream was a group's before the server's store went back. No other begins in the middle of one.
        CHATSDK_ASSIGN(auto known, store_.find_conversation(change.user_id()));
        CHATSDK_TRY(stand_in(std::move(known), wire::CONVERSATION_KIND_DIRECT, change.user_id(), item));
      }
      CHATSDK_TRY(store_.set_peer(*conversation_, wire::CONVERSATION_KIND_DIRECT, change.user_id(), changes_));
    }
    return {};
  }

  Status be_group(const wire::Item& item) {
    const GroupId id = group::info_of(item.roster().group()).id;
    if (id && conversation_->group != id) {
      CHATSDK_ASSIGN(auto known, store_.find_conversation(id));
      if (known || conversation_->group || !conversation_->peer.empty()) {
        // It was known before its stream, or the stream was another's before the server's store went back.
        CHATSDK_TRY(stand_in(std::move(known), wire::CONVERSATION_KIND_GROUP, {}, item));
      }
      if (!conversation_->group) CHATSDK_TRY(store_.set_group(*conversation_, id, item.seq() - 1, changes_));
    }
    return store_.group_roster(*conversation_, item.seq(), item.roster(), changes_);
  }

  // The stream is this conversation's, which is a new one if it is none.
  Status stand_in(std::optional<ConversationState> known, wire::ConversationKind kind, const UserId& peer,
                  const wire::Item& item) {
    CHATSDK_TRY(store_.save(*conversation_, changes_));
    if (!known) {
      CHATSDK_ASSIGN(known, store_.insert_conversation({}, kind, peer, item_time(item)));
    }
    CHATSDK_TRY(store_.link(*known, stream_.id, changes_));
    conversation_ = std::move(known);
    return {};
  }

  Status skip(const wire::Item& item) {
    const bool is_for_others =
        item.skip_reason() == wire::SKIP_REASON_NOT_ADDRESSED || item.skip_reason() == wire::SKIP_REASON_NOT_LISTED;
    if (conversation_ && conversation_->group && !is_for_others) {
      CHATSDK_TRY(store_.members_missed(*conversation_, item.seq()));
    }
    if (item.skip_reason() == wire::SKIP_REASON_TRIMMED) {
      stream_.delivered_from = item.seq();
      return conversation_ ? placeholder(item) : Status();
    }
    if (item.skip_reason() == wire::SKIP_REASON_NOT_LISTED) stream_.others_from = item.seq();
    if (item.skip_reason() == wire::SKIP_REASON_ALREADY_ACKNOWLEDGED && conversation_ &&
        store_.memory.meta.epoch_open) {
      return stand_again(stream_.seq + 1, item.seq());
    }
    return {};
  }

  Status placeholder(const wire::Item& item) {
    {
      rows::Query query = store_.sql(kOccupied);
      CHATSDK_ASSIGN(const bool occupied, query.first(conversation_->key, place_of(item.seq())));
      if (occupied) return {};
    }
    wire::Item nobody;
    nobody.set_time_ms(item.time_ms() != 0 ? item.time_ms() : to_unix_ms(store_.clock.wall_now()));
    CHATSDK_TRY(insert(item.seq(), std::string_view(), nobody, false));
    return write_run();
  }

  // What this device acknowledged in the epoch before stands at the places that it had.
  Status stand_again(Seq from, Seq to) {
    const std::int64_t first = place_of(from) - 1;
    const std::int64_t last = place_of(to) - 1;
    {
      rows::Query query = store_.sql(kAsideAmong);
      for (auto more = query.first(conversation_->key, first, last);; more = query.next()) {
        CHATSDK_ASSIGN(const bool row, std::move(more));
        if (!row) break;
        changes_.updated.push_back({conversation_->key, MessageKey{unsigned_at(query.row(), 0)}});
        if (static_cast<LostState>(query->integer(2)) == LostState::kOpenRead) {
          read_up_to_ = std::max(read_up_to_, rows::seq_at(query->integer(1)));
        }
      }
    }
    CHATSDK_TRY(store_.sql(kStandAgain).run(conversation_->key, first, last));
    CHATSDK_ASSIGN(const std::uint64_t unread,
                   store_.count_unread(conversation_->key, std::max(from - 1, conversation_->read_up_to), to));
    conversation_->unread_count += unread;
    return {};
  }

  Status conversation_added(const wire::Item& item) {
    const wire::ConversationAdded& added = item.conversation();
    const ConversationId id{added.conversation_id()};
    if (!id) return {};
    if (added.kind() == wire::CONVERSATION_KIND_GROUP) return group_added(item, id);
    const UserId& peer = added.peer_user_id();
    CHATSDK_ASSIGN(auto known, store_.find_conversation(id));
    if (known && known->group) known.reset();  // the id was a group's before the server's store went back
    if (known && known->peer.empty() && !peer.empty()) {
      return store_.set_peer(*known, added.kind(), peer, changes_);  // its items were here first
    }
    // Unknown, or the id belonged to another pair before the server's store went back.
    if (known && known->peer != peer && !peer.empty()) known.reset();
    if (!known && !peer.empty()) {
      CHATSDK_ASSIGN(known, store_.find_conversation(peer));
    }
    if (!known) {
      CHATSDK_ASSIGN(known, store_.insert_conversation({}, added.kind(), peer, item_time(item)));
    }
    CHATSDK_TRY(store_.link(*known, id, changes_));
    if (!added.encrypted()) return {};
    CHATSDK_ASSIGN(const DeviceStore::Nature nature, store_.nature(known->key));
    return nature.undecided ? store_.set_encrypted(*known, changes_) : Status();
  }

  Status group_added(const wire::Item& item, ConversationId id) {
    const wire::ConversationAdded& added = item.conversation();
    const GroupId group = added.group_id().size() == GroupId::size() ? GroupId::from(added.group_id()) : GroupId();
    if (!group || added.encrypted()) return {};
    CHATSDK_ASSIGN(auto known, store_.find_conversation(group));
    if (!known) {
      CHATSDK_ASSIGN(known, store_.find_conversation(id));
      // Its items were here first; else the id was another's before the server's store went back.
      if (known && (known->group || !known->peer.empty())) known.reset();
    }
    if (!known) {
      CHATSDK_ASSIGN(known, store_.insert_conversation({}, added.kind(), {}, item_time(item)));
    }
    if (!known->group) CHATSDK_TRY(store_.set_group(*known, group, 0, changes_));
    CHATSDK_TRY(store_.link(*known, id, changes_));
    return store_.group_joined(*known, group::role_of(static_cast<std::uint64_t>(added.role())), changes_);
  }

  Status conversation_left(const wire::ConversationLeft& left) {
    CHATSDK_ASSIGN(auto known, store_.find_conversation(ConversationId{left.conversation_id()}));
    return known && known->group ? store_.group_left(*known, left, changes_) : Status();
  }

  DeviceStore::Impl& store_;
  StreamState& stream_;
  Changes& changes_;
  Contents contents_;
  std::optional<ConversationState> conversation_;
  Seq read_up_to_ = 0;  // of messages found again that were read before
  std::array<NewMessage, kMessagesPerInsert> run_;
  std::size_t run_size_ = 0;
};

Status check_items(const DeviceStore::Impl& store, const wire::Items& items) {
  if (store.owner.empty()) return error(Code::kWrongState, "the store has no owner yet");
  return check_items(items);
}

// Within a transaction.
Status apply_items(DeviceStore::Impl& store, const wire::Items& items, DeviceStore::Applied& applied, Changes& changes,
                   Contents contents) {
  CHATSDK_ASSIGN(auto stream, load_stream(store.sql, StreamId{items.stream_id()}, items.stream_kind()));
  if (stream.kind != items.stream_kind()) {
    return error(Code::kMalformed, "stream of kind " + std::to_string(stream.kind) + " came as kind " +
                                       std::to_string(items.stream_kind()));
  }
  stream.seq = store.planted_cursor(stream.id, stream.seq);
  applied.cursor = stream.seq;
  applied.delivered_from = stream.delivered_from;
  applied.others_from = stream.others_from;
  applied.gap = items.after_seq() > stream.seq;
  const int count = items.items_size();
  if (applied.gap || count == 0 || items.items(count - 1).seq() <= stream.seq) return {};

  ItemApplier applier(store, stream, changes, contents);
  CHATSDK_TRY(applier.begin(item_time(items.items(0))));
  for (const wire::Item& item : items.items()) {
    if (item.seq() > stream.seq) CHATSDK_TRY(applier.apply(item));
  }
  applied.cursor = stream.seq;
  applied.delivered_from = stream.delivered_from;
  applied.others_from = stream.others_from;
  store.remember_cursor(stream.id, stream.seq);
  return applier.finish();
}

// Bug::kP5CursorBeforeStore: the cursor in a transaction of its own, ahead of the items.
Status move_cursor(DeviceStore::Impl& store, const wire::Items& items) {
  if (items.items_size() == 0) return {};
  const Seq last = items.items(items.items_size() - 1).seq();
  const auto written = store.write([&](Changes&) -> Status {
    CHATSDK_TRY(store.sql(kMoveCursor).run(items.stream_id(), last, items.after_seq()));
    if (store.db.changes() > 0) store.cursor_moved(StreamId{items.stream_id()}, items.after_seq());
    return {};
  });
  return written.ok() ? Status() : Status(written.error());
}

}  // namespace

Status DeviceStore::Impl::apply(const wire::Items& items, Applied& applied, Changes& changes, Contents contents) {
  CHATSDK_TRY(check_items(*this, items));
  return apply_items(*this, items, applied, changes, contents);
}

Result<DeviceStore::Applied> DeviceStore::apply(const wire::Items& items) {
  if (CHATSDK_PLANTED(Bug::kP5CursorBeforeStore)) CHATSDK_TRY(move_cursor(*impl_, items));
  Applied applied;
  CHATSDK_ASSIGN(applied.changes,
                 impl_->write([&](Changes& changes) { return impl_->apply(items, applied, changes); }));
  return applied;
}

// ---- Marks ---------------------------------------------------------------------------------------------------------

namespace {

// Applies one advance; true if it was one.
Result<bool> advance(DeviceStore::Impl& store, ConversationState& conversation, const wire::Marks::Advance& change) {
  if (change.user_id().empty() || change.up_to() > rows::kSeqMax) return false;
  const bool read = change.kind() == wire::Marks::KIND_READ;
  if (!read && change.kind() != wire::Marks::KIND_DELIVERED) return false;
  const std::string_view user = store.mark_user(change.user_id());
  rows::MarkPair marks;
  {
    rows::Query query = store.sql(kMark);
    CHATSDK_ASSIGN(const bool known, query.first(conversation.key, user));
    if (known) marks = {unsigned_at(query.row(), 0), unsigned_at(query.row(), 1)};
  }
  Seq& mark = read ? marks.read_up_to : marks.delivered_up_to;
  if (change.up_to() <= mark) return false;
  mark = change.up_to();
  CHATSDK_TRY(store.sql(kSaveMark).run(conversation.key, user, marks.delivered_up_to, marks.read_up_to));
  CHATSDK_TRY(store.sql(kInsertAdvance)
                  .run(conversation.key, user, change.kind(), change.up_to(), clamp_unix_ms(change.time_ms())));
  if (read && user.empty()) {
    conversation.read_confirmed = change.up_to();
    CHATSDK_TRY(store.move_read_mark(conversation, change.up_to()));
  }
  return true;
}

}  // namespace

namespace {

Status check_marks(const DeviceStore::Impl& store, const wire::Marks& marks) {
  if (store.owner.empty()) return error(Code::kWrongState, "the store has no owner yet");
  if (marks.conversation_id() == 0) return error(Code::kMalformed, "marks without a conversation");
  return {};
}

// Within a transaction.
Status apply_marks(DeviceStore::Impl& store, const wire::Marks& marks, Changes& changes) {
  const ConversationId id{marks.conversation_id()};
  CHATSDK_ASSIGN(auto stream, load_stream(store.sql, id, wire::STREAM_KIND_CONVERSATION));
  if (stream.kind != wire::STREAM_KIND_CONVERSATION) return error(Code::kMalformed, "marks of an account stream");
  CHATSDK_ASSIGN(auto conversation, store.find_conversation(id));
  if (!conversation) {
    CHATSDK_ASSIGN(conversation,
                   store.insert_conversation(id, wire::CONVERSATION_KIND_UNSPECIFIED, {}, store.clock.wall_now()));
    changes.conversations.push_back(conversation->key);
  }
  const ConversationState before = *conversation;
  bool advanced = false;
  for (const wire::Marks::Advance& change : marks.advances()) {
    CHATSDK_ASSIGN(const bool moved, advance(store, *conversation, change));
    advanced = advanced || moved;
  }
  if (advanced) changes.marks.push_back(conversation->key);
  if (before.read_up_to != conversation->read_up_to || before.read_confirmed != conversation->read_confirmed) {
    CHATSDK_TRY(store.save(*conversation, changes));
  }
  // What lies between is not known: it comes when the device names its revision next.
  if (marks.after_revision() > stream.marks_revision || marks.revision() <= stream.marks_revision) return {};
  stream.marks_revision = marks.revision();
  return save_stream(store, stream, conversation->key);
}

}  // namespace

Status DeviceStore::Impl::apply_marks(const wire::Marks& marks, Changes& changes) {
  CHATSDK_TRY(check_marks(*this, marks));
  return chatsdk::apply_marks(*this, marks, changes);
}

Result<Changes> DeviceStore::apply_marks(const wire::Marks& marks) {
  return impl_->write([&](Changes& changes) { return impl_->apply_marks(marks, changes); });
}

// ---- Together ------------------------------------------------------------------------------------------------------

Result<DeviceStore::AppliedTogether> DeviceStore::apply_together(const std::vector<Arrival>& arrivals) {
  AppliedTogether together;
  for (const Arrival& arrival : arrivals) {
    if (CHATSDK_PLANTED(Bug::kP5CursorBeforeStore) && arrival.items) CHATSDK_TRY(move_cursor(*impl_, *arrival.items));
  }
  CHATSDK_ASSIGN(together.changes, impl_->write([&](Changes& changes) -> Status {
    for (const Arrival& arrival : arrivals) {
      if (arrival.items == nullptr) {
        CHATSDK_TRY(impl_->apply_marks(*arrival.marks, changes));
        continue;
      }
      CHATSDK_TRY(impl_->apply(*arrival.items, together.items.emplace_back(), changes));
    }
    return {};
  }));
  return together;
}

// ---- Reading -------------------------------------------------------------------------------------------------------

Result<Changes> DeviceStore::mark_read(ConversationKey key, Seq up_to) {
  Impl& impl = *impl_;
  return impl.write([&](Changes& changes) -> Status {
    CHATSDK_ASSIGN(auto conversation, impl.find_conversation(key));
    if (!conversation) return error(Code::kNotFound, "no such conversation");
    if (!conversation->id) return {};
    CHATSDK_ASSIGN(const auto stream, load_stream(impl.sql, conversation->id, wire::STREAM_KIND_CONVERSATION));
    const Seq reached = std::min(up_to, stream.seq);
    if (reached <= conversation->read_up_to) return {};
    CHATSDK_TRY(impl.move_read_mark(*conversation, reached));
    return impl.save(*conversation, changes);
  });
}

Result<std::vector<DeviceStore::PendingRead>> DeviceStore::pending_reads() {
  std::vector<PendingRead> pending;
  rows::Query query = impl_->sql(kPendingReads);
  for (auto more = query.first();; more = query.next()) {
    CHATSDK_ASSIGN(const bool row, std::move(more));
    if (!row) return pending;
    if (query->is_null(0)) continue;  // an epoch has begun: its id is told again first
    pending.push_back({ConversationId{unsigned_at(query.row(), 0)}, unsigned_at(query.row(), 1)});
  }
}

}  // namespace chatsdk
