// SPDX-License-Identifier: Apache-2.0
//
// Conversations of the device store: rows that exist before their server-given id, the ways in which the two find each
// other, and the unread count.
#include "base/assert.h"
#include "store/device_store_impl.h"

namespace chatsdk {

namespace {

using rows::place_of;
using rows::unsigned_at;

#define CHATSDK_CONVERSATION_COLUMNS                                                                                \
  "key, conversation_id, kind, peer, head, read_up_to, read_confirmed, unread_count, last_send_number, encrypted, " \
  "plain, (SELECT g.group_id FROM group_info g WHERE g.conversation = key)"

constexpr char kByKey[] = "SELECT " CHATSDK_CONVERSATION_COLUMNS " FROM conversation WHERE key = ?1";
constexpr char kById[] = "SELECT " CHATSDK_CONVERSATION_COLUMNS " FROM conversation WHERE conversation_id = ?1";
constexpr char kByStream[] = "SELECT " CHATSDK_CONVERSATION_COLUMNS
                             " FROM conversation WHERE conversation_id IS NULL AND key = "
                             "(SELECT conversation FROM stream WHERE stream_id = ?1)";
constexpr char kByGroup[] = "SELECT " CHATSDK_CONVERSATION_COLUMNS
                            " FROM conversation WHERE key = (SELECT conversation FROM group_info WHERE group_id = ?1)";
constexpr char kByPeer[] = "SELECT " CHATSDK_CONVERSATION_COLUMNS " FROM conversation WHERE peer = ?1";
constexpr char kInsert[] =
    "INSERT INTO conversation(conversation_id, kind, peer, created, last_activity) VALUES (nullif(?1, 0), ?2, "
    "nullif(?3, ''), ?4, ?4)";
constexpr char kSave[] =
    "UPDATE conversation SET head = ?2, read_up_to = ?3, read_confirmed = ?4, unread_count = ?5, last_send_number = "
    "?6, "
    "last_activity = coalesce((SELECT m.time FROM message m WHERE m.conversation = ?1 AND m.unshown = 0 "
    "ORDER BY m.place DESC, m.key DESC LIMIT 1), created) WHERE key = ?1";
constexpr char kSetId[] = "UPDATE conversation SET conversation_id = ?2 WHERE key = ?1";
constexpr char kSetEncrypted[] = "UPDATE conversation SET encrypted = 1 WHERE key = ?1";
constexpr char kSetPlain[] = "UPDATE conversation SET plain = ?2 WHERE key = ?1";
constexpr char kWithContent[] = "SELECT key FROM message WHERE conversation = ?1 AND place < ?2 AND content <> x''";
constexpr char kHideContents[] =
    "UPDATE message SET content = x'' WHERE conversation = ?1 AND place < ?2 AND content <> x''";
constexpr char kSetPeer[] = "UPDATE conversation SET kind = ?2, peer = ?3 WHERE key = ?1";
constexpr char kDropStreams[] = "DELETE FROM stream WHERE conversation = ?1 AND stream_id <> ?2";
constexpr char kPointStream[] = "UPDATE stream SET conversation = ?2 WHERE stream_id = ?1";
// NULL, the owner, and '', a placeholder, do not compare as above ''.
constexpr char kCountUnread[] =
    "SELECT count(*) FROM message m WHERE m.conversation = ?1 AND m.place > ?2 AND m.place <= ?3 AND m.lost = 0 "
    "AND " CHATSDK_COUNTS("?4");
constexpr char kMoveMessages[] = "UPDATE message SET conversation = ?2 WHERE conversation = ?1";
constexpr char kMoveStreams[] = "UPDATE stream SET conversation = ?2 WHERE conversation = ?1";
constexpr char kMoveMarks[] = "UPDATE OR REPLACE mark SET conversation = ?2 WHERE conversation = ?1";
constexpr char kMoveAdvances[] = "UPDATE OR REPLACE mark_advance SET conversation = ?2 WHERE conversation = ?1";
constexpr char kMoveAnnotations[] = "UPDATE annotation SET conversation = ?2 WHERE conversation = ?1";
constexpr char kDelete[] = "DELETE FROM conversation WHERE key = ?1";
constexpr char kDeleteMessage[] = "DELETE FROM message WHERE key = ?1";
constexpr char kRaiseKeyFloor[] = "UPDATE meta SET key_floor = max(key_floor, ?1) WHERE id = 1";

Result<std::optional<ConversationState>> read_one(rows::Query& query, Result<bool> found) {
  CHATSDK_ASSIGN(const bool row, std::move(found));
  if (!row) return std::optional<ConversationState>();
  ConversationState conversation;
  conversation.key = ConversationKey{unsigned_at(query.row(), 0)};
  conversation.id = ConversationId{unsigned_at(query.row(), 1)};
  conversation.kind = static_cast<wire::ConversationKind>(query->integer(2));
  conversation.peer = UserId(query->text(3));
  conversation.head = unsigned_at(query.row(), 4);
  conversation.read_up_to = unsigned_at(query.row(), 5);
  conversation.read_confirmed = unsigned_at(query.row(), 6);
  conversation.unread_count = unsigned_at(query.row(), 7);
  conversation.last_send_number = unsigned_at(query.row(), 8);
  conversation.encrypted = query->integer(9) != 0;
  conversation.plain = static_cast<PlainState>(query->integer(10));
  if (query->blob(11).size() == GroupId::size()) conversation.group = GroupId::from(query->blob(11));
  return std::optional<ConversationState>(std::move(conversation));
}

}  // namespace

Result<std::optional<ConversationState>> DeviceStore::Impl::find_conversation(ConversationKey key) {
  rows::Query query = sql(kByKey);
  return read_one(query, query.first(key));
}

Result<std::optional<ConversationState>> DeviceStore::Impl::find_conversation(ConversationId id) {
  {
    rows::Query query = sql(kById);
    CHATSDK_ASSIGN(auto found, read_one(query, query.first(id)));
    if (found) return found;
  }
  rows::Query query = sql(kByStream);
  return read_one(query, query.first(id));
}

Result<std::optional<ConversationState>> DeviceStore::Impl::find_conversation(const UserId& peer) {
  rows::Query query = sql(kByPeer);
  return read_one(query, query.first(peer));
}

Result<std::optional<ConversationState>> DeviceStore::Impl::find_conversation(const GroupId& group) {
  rows::Query query = sql(kByGroup);
  return read_one(query, query.first(rows::Blob{group.view()}));
}

Result<ConversationState> DeviceStore::Impl::insert_conversation(ConversationId id, wire::ConversationKind kind,
                                                                 const UserId& peer, WallTime created) {
  CHATSDK_TRY(sql(kInsert).run(id, kind, peer, created));
  ConversationState conversation;
  conversation.key = ConversationKey{static_cast<std::uint64_t>(db.last_insert_rowid())};
  conversation.id = id;
  conversation.kind = kind;
  conversation.peer = peer;
  return conversation;
}

Status DeviceStore::Impl::save(const ConversationState& c, Changes& changes) {
  changes.conversations.push_back(c.key);
  return sql(kSave).run(c.key, c.head, c.read_up_to, c.read_confirmed, c.unread_count, c.last_send_number);
}

Status DeviceStore::Impl::point_stream(StreamId id, std::optional<ConversationKey> conversation) {
  return sql(kPointStream).run(id, conversation);
}

Status DeviceStore::Impl::link(ConversationState& conversation, ConversationId id, Changes& changes) {
  if (conversation.id == id) return {};
  CHATSDK_ASSIGN(const auto holder, find_conversation(id));
  if (holder && holder->key != conversation.key) {
    // Nothing says yet which conversation it is.
    const bool may_be = holder->kind == wire::CONVERSATION_KIND_UNSPECIFIED || holder->kind == conversation.kind;
    if (holder->peer.empty() && !holder->group && may_be && holder->kind != wire::CONVERSATION_KIND_DIRECT) {
      CHATSDK_TRY(merge(*holder, conversation, changes));
    } else {
      // Two known conversations claim one id: the newer word of the server holds.
      CHATSDK_TRY(sql(kSetId).run(holder->key, nullptr));
      changes.conversations.push_back(holder->key);
    }
  }
  CHATSDK_TRY(sql(kDropStreams).run(conversation.key, id));
  CHATSDK_TRY(point_stream(id, conversation.key));
  CHATSDK_TRY(sql(kSetId).run(conversation.key, id));
  conversation.id = id;
  changes.conversations.push_back(conversation.key);
  return {};
}

Status DeviceStore::Impl::set_peer(ConversationState& conversation, wire::ConversationKind kind, const UserId& peer,
                                   Changes& changes) {
  if (!conversation.peer.empty() || conversation.group) return {};
  CHATSDK_ASSIGN(auto other, find_conversation(peer));
  if (other && other->id && other->id != conversation.id) return {};  // the pair has its conversation already
  if (other) {
    CHATSDK_TRY(merge(conversation, *other, changes));
    conversation = std::move(*other);
    return {};
  }
  CHATSDK_TRY(sql(kSetPeer).run(conversation.key, kind, peer));
  conversation.kind = kind;
  conversation.peer = peer;
  changes.conversations.push_back(conversation.key);
  return {};
}

Status DeviceStore::Impl::set_encrypted(ConversationState& conversation, Changes& changes) {
  if (conversation.encrypted) return {};
  conversation.encrypted = true;
  changes.conversations.push_back(conversation.key);
  CHATSDK_TRY(sql(kSetEncrypted).run(conversation.key));
  return conversation.plain == PlainState::kAccepted ? Status() : hide_contents(conversation.key, changes);
}

Status DeviceStore::Impl::set_plain(ConversationState& conversation, PlainState plain, Changes& changes) {
  if (conversation.encrypted || conversation.plain >= plain) return {};
  conversation.plain = plain;
  changes.conversations.push_back(conversation.key);
  return sql(kSetPlain).run(conversation.key, plain);
}

Status DeviceStore::Impl::hide_contents(ConversationKey conversation, Changes& changes) {
  {
    rows::Query query = sql(kWithContent);
    for (auto more = query.first(conversation, rows::kPendingPlace);; more = query.next()) {
      CHATSDK_ASSIGN(const bool row, std::move(more));
      if (!row) break;
      changes.updated.push_back({conversation, MessageKey{unsigned_at(query.row(), 0)}});
    }
  }
  CHATSDK_TRY(sql(kHideContents).run(conversation, rows::kPendingPlace));
  return touch_all(conversation);
}

// from has no outbox rows: nothing can be queued in a conversation without peer, and it is no group.
Status DeviceStore::Impl::merge(const ConversationState& from, ConversationState& into, Changes& changes) {
  // Without a peer nothing in it can have been decrypted.
  if (into.encrypted) CHATSDK_TRY(hide_contents(from.key, changes));
  CHATSDK_TRY(sql(kMoveMessages).run(from.key, into.key));
  CHATSDK_TRY(sql(kMoveStreams).run(from.key, into.key));
  CHATSDK_TRY(sql(kMoveMarks).run(from.key, into.key));
  CHATSDK_TRY(sql(kMoveAdvances).run(from.key, into.key));
  CHATSDK_TRY(sql(kMoveAnnotations).run(from.key, into.key));
  CHATSDK_TRY(touch_all(into.key));
  CHATSDK_TRY(sql(kDelete).run(from.key));
  if (from.id) {
    // The stream that the conversation had before the server's store went back is no more.
    CHATSDK_TRY(sql(kDropStreams).run(into.key, from.id));
    CHATSDK_TRY(sql(kSetId).run(into.key, from.id));
    into.id = from.id;
  }
  if (from.encrypted) CHATSDK_TRY(set_encrypted(into, changes));
  CHATSDK_TRY(set_plain(into, from.plain, changes));
  into.head = std::max(into.head, from.head);
  into.read_up_to = std::max(into.read_up_to, from.read_up_to);
  into.read_confirmed = std::max(into.read_confirmed, from.read_confirmed);
  CHATSDK_ASSIGN(into.unread_count, count_unread(into.key, into.read_up_to, into.head));
  for (auto* messages : {&changes.added, &changes.updated, &changes.removed, &changes.undecryptable}) {
    for (MessageRef& message : *messages) {
      if (message.conversation == from.key) message.conversation = into.key;
    }
  }
  changes.conversations.push_back(from.key);
  return save(into, changes);
}

Result<std::uint64_t> DeviceStore::Impl::count_unread(ConversationKey conversation, Seq after, Seq up_to) {
  if (up_to <= after) return std::uint64_t{0};
  rows::Query query = sql(kCountUnread);
  CHATSDK_ASSIGN(const bool row,
                 query.first(conversation, place_of(after), place_of(up_to), rows::Blob{rows::erased_content()}));
  CHATSDK_ASSERT(row);
  return unsigned_at(query.row(), 0);
}

Status DeviceStore::Impl::move_read_mark(ConversationState& conversation, Seq up_to) {
  if (up_to <= conversation.read_up_to) return {};
  if (up_to >= conversation.head) {
    conversation.unread_count = 0;
  } else {
    CHATSDK_ASSIGN(const std::uint64_t read, count_unread(conversation.key, conversation.read_up_to, up_to));
    conversation.unread_count -= read;
  }
  conversation.read_up_to = up_to;
  return {};
}

Status DeviceStore::Impl::delete_message(MessageKey key) {
  CHATSDK_TRY(sql(kRaiseKeyFloor).run(key));
  CHATSDK_TRY(forget_annotations(key));
  return sql(kDeleteMessage).run(key);
}

Result<ConversationKey> DeviceStore::ensure_direct(const UserId& peer, Changes* changes, bool encrypted) {
  if (peer.empty() || peer.size() > limits::kUserIdBytesMax) {
    return error(Code::kInvalidArgument, "user id of " + std::to_string(peer.size()) + " B, 1 to " +
                                             std::to_string(limits::kUserIdBytesMax) + " are allowed");
  }
  CHATSDK_ASSIGN(auto known, impl_->find_conversation(peer));
  ConversationKey key = known ? known->key : ConversationKey();
  if (known && (encrypted || known->encrypted || known->plain == PlainState::kAccepted)) return key;
  CHATSDK_ASSIGN(auto written, impl_->write([&](Changes& made_changes) -> Status {
    if (!known) {
      CHATSDK_ASSIGN(known,
                     impl_->insert_conversation({}, wire::CONVERSATION_KIND_DIRECT, peer, impl_->clock.wall_now()));
      key = known->key;
      made_changes.conversations.push_back(key);
    }
    return encrypted ? impl_->set_encrypted(*known, made_changes)
                     : impl_->set_plain(*known, PlainState::kAccepted, made_changes);
  }));
  if (changes != nullptr) *changes = std::move(written);
  return key;
}

}  // namespace chatsdk
