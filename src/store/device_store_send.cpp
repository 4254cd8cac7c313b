// SPDX-License-Identifier: Apache-2.0
//
// The outbox of the device store: own messages from being queued until the server has answered for good.
#include <algorithm>

#include "base/assert.h"
#include "base/fault.h"
#include "protocol/content.h"
#include "store/device_store_impl.h"

namespace chatsdk {

namespace {

using rows::Blob;
using rows::unsigned_at;

constexpr char kOwnMessages[] =
    "SELECT key, conversation, place, lost, sender_device, content FROM message "
    "WHERE client_message_id = ?1 AND sender IS NULL";
constexpr char kEntry[] =
    "SELECT o.id, o.conversation, o.kind, o.on_wire, o.failure, o.send_number, o.discarded FROM message m JOIN "
    "outbox o ON o.id = m.key WHERE m.client_message_id = ?1 AND m.sender IS NULL";
constexpr char kVoidByClientId[] =
    "SELECT id, conversation, kind, on_wire, failure, send_number, discarded FROM outbox WHERE client_message_id = ?1 "
    "AND kind = 1";
constexpr char kTaskByClientId[] =
    "SELECT id, conversation, kind, on_wire, failure, send_number, discarded FROM outbox WHERE client_message_id = ?1 "
    "AND kind = 2";
constexpr char kInsertTask[] =
    "INSERT INTO outbox(id, conversation, send_number, kind, client_message_id, deadline, on_wire, failure) "
    "VALUES (?1, ?2, ?3, 2, ?4, 0, 0, 0)";
constexpr char kNumberById[] = "SELECT send_number FROM outbox WHERE id = ?1";
constexpr char kInsertOwn[] =
    "INSERT INTO message(key, conversation, place, lost, sender, sender_device, message_id, client_message_id, time, "
    "content, unshown) VALUES (?1, ?2, ?3, 0, NULL, ?4, 0, ?5, ?6, ?7, ?8)";
constexpr char kInsertOutbox[] =
    "INSERT INTO outbox(id, conversation, send_number, kind, client_message_id, deadline, on_wire, failure) "
    "VALUES (?1, ?2, ?3, 0, ?4, ?5, ?6, 0)";
constexpr char kDeleteOutbox[] = "DELETE FROM outbox WHERE id = ?1";
constexpr char kSetOnWire[] = "UPDATE outbox SET on_wire = 1 WHERE id = ?1";
constexpr char kSetVoidAsked[] = "UPDATE outbox SET on_wire = 2 WHERE id = ?1";
constexpr char kSetFailure[] = "UPDATE outbox SET failure = ?2, failure_detail = ?3 WHERE id = ?1";
constexpr char kRetry[] =
    "UPDATE outbox SET failure = 0, failure_detail = NULL, deadline = ?2, on_wire = min(on_wire, 1) WHERE id = ?1";
constexpr char kRetryAnew[] =
    "UPDATE outbox SET client_message_id = ?2, send_number = ?3, failure = 0, failure_detail = NULL, deadline = ?4, "
    "on_wire = 0 WHERE id = ?1";
constexpr char kSetClientId[] = "UPDATE message SET client_message_id = ?2 WHERE key = ?1";
constexpr char kNumberBehind[] = "SELECT min(send_number) FROM outbox WHERE conversation = ?1 AND send_number > ?2";
constexpr char kMakeVoid[] =
    "UPDATE outbox SET kind = 1, failure = 0, failure_detail = NULL, deadline = 0, on_wire = 0, discarded = ?2 "
    "WHERE id = ?1";
constexpr char kWaitAgain[] =
    "UPDATE message SET place = ?2, lost = 0, sender_device = ?3, message_id = 0, time = ?4 WHERE key = ?1";
constexpr char kSettle[] = "UPDATE message SET place = ?2, lost = 0, message_id = ?3, time = ?4 WHERE key = ?1";
constexpr char kAtPlace[] =
    "SELECT m.key, m.sender, " CHATSDK_COUNTS("?3") " FROM message m WHERE m.conversation = ?1 AND m.place = ?2 AND "
    "m.lost = 0";
constexpr char kLose[] = "UPDATE message SET place = place - 1, lost = 3 WHERE key = ?1";

constexpr char kSetSenderDevice[] = "UPDATE message SET sender_device = ?1 WHERE key IN (SELECT id FROM outbox)";
constexpr char kSetLastNumber[] = "UPDATE conversation SET last_send_number = ?2 WHERE key = ?1";

// Numbers are unique at each step of a statement: they move below zero first, and all come back at once.
constexpr char kShiftAway[] =
    "UPDATE outbox SET send_number = -(send_number + ?3) WHERE conversation = ?1 AND send_number > ?2";
constexpr char kNumberAway[] =
    "UPDATE outbox SET send_number = -(?2 + r.place) FROM (SELECT id AS row_id, row_number() OVER (ORDER BY "
    "send_number) - 1 AS place FROM outbox WHERE conversation = ?1) AS r WHERE id = r.row_id";
constexpr char kBringBack[] =
    "UPDATE outbox SET send_number = -send_number WHERE conversation = ?1 AND send_number < 0";
constexpr char kNumberAllAway[] =
    "UPDATE outbox SET send_number = -(?1 + r.place) FROM (SELECT id AS row_id, row_number() OVER (PARTITION BY "
    "conversation ORDER BY send_number) - 1 AS place FROM outbox) AS r WHERE id = r.row_id";
constexpr char kBringAllBack[] = "UPDATE outbox SET send_number = -send_number";
constexpr char kSetLastNumbers[] =
    "UPDATE conversation SET last_send_number = ?1 - 1 + (SELECT count(*) FROM outbox o WHERE o.conversation = "
    "conversation.key)";
constexpr char kShiftLastNumber[] = "UPDATE conversation SET last_send_number = last_send_number + ?2 WHERE key = ?1";

// Of a conversation c: whether it is encrypted; whether its first item, which says that, is not here yet; its
// PlainState; whether it is a group that is yet to be made.
#define CHATSDK_NATURE                                                                                              \
  "c.encrypted, c.encrypted = 0 AND (c.plain = 0 OR (c.conversation_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM "  \
  "stream s WHERE s.stream_id = c.conversation_id AND s.seq > 0))), c.plain, c.conversation_id IS NULL AND EXISTS " \
  "(SELECT 1 FROM operation p WHERE p.conversation = c.key AND p.ended = 0 AND c.kind = 2)"
constexpr char kNature[] = "SELECT " CHATSDK_NATURE " FROM conversation c WHERE c.key = ?1";
// The columns that read_outbox() reads.
#define CHATSDK_OUTBOX_COLUMNS                                                                                     \
  "o.kind, o.conversation, c.conversation_id, c.peer, o.client_message_id, o.send_number, m.content, o.deadline, " \
  "o.on_wire, o.failure, " CHATSDK_NATURE ", (SELECT g.group_id FROM group_info g WHERE g.conversation = c.key)"
constexpr char kOutbox[] =
    "SELECT " CHATSDK_OUTBOX_COLUMNS
    " FROM outbox o JOIN conversation c ON c.key = o.conversation LEFT JOIN message m ON m.key = o.id "
    "WHERE o.conversation = ?1 AND o.send_number > ?2 ORDER BY o.send_number LIMIT ?3";
// The first row of the next conversation that has any: one seek, however many rows wait.
constexpr char kNextHead[] =
    "SELECT id, conversation, send_number, kind, deadline, failure, on_wire FROM outbox WHERE conversation > ?1 "
    "ORDER BY conversation, send_number LIMIT 1";
// Messages that wait and were never on their way: the rows of the index outbox_waiting.
#define CHATSDK_WAITING "kind = 0 AND failure = 0 AND on_wire = 0"
constexpr char kOverdue[] =
    "SELECT id, conversation FROM outbox WHERE " CHATSDK_WAITING " AND deadline <= ?1 ORDER BY deadline, id LIMIT ?2";
constexpr char kEarliestDeadline[] = "SELECT deadline FROM outbox WHERE " CHATSDK_WAITING " ORDER BY deadline LIMIT 1";

DeviceStore::Nature nature_at(const sqlite::Statement& row, int column) {
  DeviceStore::Nature nature;
  nature.encrypted = row.integer(column) != 0;
  nature.undecided = row.integer(column + 1) != 0;
  nature.unmade = row.integer(column + 3) != 0;
  nature.accepted = !nature.encrypted && static_cast<PlainState>(row.integer(column + 2)) == PlainState::kAccepted;
  return nature;
}

OutboxRow read_outbox(const sqlite::Statement& row) {
  OutboxRow out;
  out.kind = static_cast<OutboxRow::Kind>(row.integer(0));
  out.conversation = ConversationKey{unsigned_at(row, 1)};
  out.conversation_id = ConversationId{unsigned_at(row, 2)};
  out.peer = UserId(row.text(3));
  out.client_message_id = rows::client_id_at(row, 4);
  out.send_number = unsigned_at(row, 5);
  if (out.kind == OutboxRow::Kind::kSend) {
    out.content = Bytes(row.blob(6));
    out.deadline = rows::time_at(row, 7);
  }
  out.on_wire = row.integer(8) != 0;
  out.void_asked = row.integer(8) == 2;
  out.failed = row.integer(9) != 0;
  const DeviceStore::Nature nature = nature_at(row, 10);
  out.encrypted = nature.encrypted;
  out.undecided = nature.undecided;
  out.accepted = nature.accepted;
  out.unmade = nature.unmade;
  if (row.blob(14).size() == GroupId::size()) out.group = GroupId::from(row.blob(14));
  return out;
}

struct Head {
  MessageKey id;
  ConversationKey conversation;
  std::uint64_t send_number = 0;
  WallTime deadline;
  bool on_its_way = false;  // a kSend row that may have reached the server, and has not failed
};

Result<std::vector<Head>> heads(rows::Statements& sql) {
  std::vector<Head> found;
  ConversationKey last;
  for (;;) {
    rows::Query query = sql(kNextHead);
    CHATSDK_ASSIGN(const bool row, query.first(last));
    if (!row) return found;
    Head head;
    head.id = MessageKey{unsigned_at(query.row(), 0)};
    head.conversation = last = ConversationKey{unsigned_at(query.row(), 1)};
    head.send_number = unsigned_at(query.row(), 2);
    head.on_its_way = query->integer(3) == static_cast<int>(OutboxRow::Kind::kSend) && query->integer(5) == 0 &&
                      query->integer(6) != 0;
    head.deadline = rows::time_at(query.row(), 4);
    found.push_back(head);
  }
}

}  // namespace

// ---- Rows ----------------------------------------------------------------------------------------------------------

Result<std::vector<DeviceStore::Impl::OwnMessage>> DeviceStore::Impl::own_messages(const ClientMessageId& id) {
  std::vector<OwnMessage> own;
  rows::Query query = sql(kOwnMessages);
  for (auto more = query.first(id);; more = query.next()) {
    CHATSDK_ASSIGN(const bool row, std::move(more));
    if (!row) return own;
    OwnMessage message;
    message.key = MessageKey{unsigned_at(query.row(), 0)};
    message.conversation = ConversationKey{unsigned_at(query.row(), 1)};
    message.place = query->integer(2);
    message.lost = static_cast<rows::LostState>(query->integer(3));
    message.sender_device = DeviceId{unsigned_at(query.row(), 4)};
    message.content = Bytes(query->blob(5));
    own.push_back(std::move(message));
  }
}

Result<DeviceStore::Impl::OwnMessage> DeviceStore::Impl::lost_message(const ClientMessageId& id) {
  CHATSDK_ASSIGN(auto own, own_messages(id));
  for (OwnMessage& message : own) {
    if (message.lost == rows::LostState::kLost) return std::move(message);
  }
  return own.empty() ? error(Code::kNotFound, "no such message")
                     : error(Code::kWrongState, "the message has been sent");
}

Result<std::optional<DeviceStore::Impl::OutboxEntry>> DeviceStore::Impl::outbox_entry(const ClientMessageId& id) {
  const auto read = [](rows::Query& query, Result<bool> found) -> Result<std::optional<OutboxEntry>> {
    CHATSDK_ASSIGN(const bool row, std::move(found));
    if (!row) return std::optional<OutboxEntry>();
    OutboxEntry entry;
    entry.id = MessageKey{unsigned_at(query.row(), 0)};
    entry.conversation = ConversationKey{unsigned_at(query.row(), 1)};
    entry.kind = static_cast<OutboxRow::Kind>(query->integer(2));
    entry.on_wire = query->integer(3) != 0;
    entry.void_asked = query->integer(3) == 2;
    entry.failure = static_cast<Code>(query->integer(4));
    entry.send_number = unsigned_at(query.row(), 5);
    entry.discarded = Bytes(query->blob(6));
    return std::optional(std::move(entry));
  };
  {
    rows::Query query = sql(kEntry);
    CHATSDK_ASSIGN(auto waiting, read(query, query.first(id)));
    if (waiting) return waiting;
  }
  {
    rows::Query query = sql(kVoidByClientId);
    CHATSDK_ASSIGN(auto discarded, read(query, query.first(id)));
    if (discarded) return discarded;
  }
  rows::Query query = sql(kTaskByClientId);
  return read(query, query.first(id));
}

Status DeviceStore::Impl::insert_task_row(ConversationKey conversation, const ClientMessageId& id) {
  CHATSDK_ASSIGN(auto target, find_conversation(conversation));
  if (!target) return error(Code::kNotFound, "no such conversation");
  const std::uint64_t number = ++target->last_send_number;
  CHATSDK_TRY(sql(kInsertTask).run(take_key(), conversation, number, id));
  ++memory.outbox_count;
  return sql(kSetLastNumber).run(conversation, number);
}

Status DeviceStore::Impl::take_back_row(const OutboxEntry& entry) {
  CHATSDK_TRY(delete_outbox_row(entry.id));
  return shift_numbers(entry.conversation, entry.send_number, -1);
}

Status DeviceStore::Impl::delete_outbox_row(MessageKey id) {
  CHATSDK_TRY(sql(kDeleteOutbox).run(id));
  CHATSDK_ASSERT(db.changes() == 1);
  --memory.outbox_count;
  return {};
}

Status DeviceStore::Impl::settle(MessageKey key, Seq seq, MessageId message_id, WallTime time) {
  CHATSDK_TRY(sql(kSettle).run(key, rows::place_of(seq), message_id, time));
  return delete_outbox_row(key);
}

Status DeviceStore::Impl::insert_own(const MessageRef& message, std::int64_t place, const ClientMessageId& id,
                                     WallTime time, const Bytes& content, Changes& changes) {
  const bool unshown = content::is_annotation(content);
  CHATSDK_TRY(
      sql(kInsertOwn).run(message.message, message.conversation, place, device_id, id, time, Blob{content}, unshown));
  if (unshown) return note_annotation(message, owner, content);
  changes.added.push_back(message);
  return {};
}

Status DeviceStore::Impl::bring_back(ConversationState& conversation, const OutboxEntry& discarded,
                                     const AcceptedSend& accepted, Changes& changes) {
  CHATSDK_TRY(clear_place(conversation, accepted.seq, changes));
  CHATSDK_TRY(delete_outbox_row(discarded.id));
  const MessageRef message{conversation.key, take_key()};
  const std::int64_t place = rows::place_of(accepted.seq);
  CHATSDK_TRY(insert_own(message, place, accepted.id, accepted.time, discarded.discarded, changes));
  CHATSDK_TRY(sql(kSettle).run(message.message, place, accepted.message_id, accepted.time));
  return touch_post(conversation.key, accepted.id);
}

Status DeviceStore::Impl::clear_place(ConversationState& conversation, Seq seq, Changes& changes) {
  MessageKey key;
  bool counts = false;
  bool placeholder = false;
  {
    rows::Query query = sql(kAtPlace);
    CHATSDK_ASSIGN(const bool taken, query.first(conversation.key, rows::place_of(seq), Blob{rows::erased_content()}));
    if (!taken) return {};
    key = MessageKey{unsigned_at(query.row(), 0)};
    counts = query->integer(2) != 0;
    placeholder = !query->is_null(1) && query->text(1).empty();
  }
  if (placeholder) {
    changes.removed.push_back({conversation.key, key});
    return delete_message(key);
  }
  if (counts && seq > conversation.read_up_to) --conversation.unread_count;
  changes.updated.push_back({conversation.key, key});
  memory.meta.any_lost = true;
  return sql(kLose).run(key);
}

Status DeviceStore::Impl::number_all_from(std::uint64_t first) {
  CHATSDK_TRY(sql(kNumberAllAway).run(first));
  CHATSDK_TRY(sql(kBringAllBack).run());
  return sql(kSetLastNumbers).run(first);
}

Status DeviceStore::Impl::become(DeviceId device) {
  CHATSDK_TRY(sql(kSetSenderDevice).run(device));
  return number_all_from(1);
}

Status DeviceStore::Impl::shift_numbers(ConversationKey conversation, std::uint64_t behind, int by) {
  CHATSDK_TRY(sql(kShiftAway).run(conversation, behind, by));
  CHATSDK_TRY(sql(kBringBack).run(conversation));
  return sql(kShiftLastNumber).run(conversation, by);
}

Result<std::uint64_t> DeviceStore::Impl::insert_outbox_row(MessageKey message, ConversationState& conversation,
                                                           const ClientMessageId& id, WallTime deadline, bool on_wire,
                                                           Changes& changes) {
  if (memory.outbox_count >= outbox_max && !CHATSDK_PLANTED(Bug::kP14QueueWithoutLimit)) {
    return error(Code::kLimitReached,
                 std::to_string(memory.outbox_count) + " messages wait, limit " + std::to_string(outbox_max));
  }
  const std::uint64_t number = ++conversation.last_send_number;
  CHATSDK_TRY(sql(kInsertOutbox).run(message, conversation.key, number, id, deadline, on_wire));
  ++memory.outbox_count;
  CHATSDK_TRY(save(conversation, changes));
  return number;
}

// ---- Queueing ------------------------------------------------------------------------------------------------------

Result<DeviceStore::Nature> DeviceStore::Impl::nature(ConversationKey conversation) {
  rows::Query query = sql(kNature);
  CHATSDK_ASSIGN(const bool known, query.first(conversation));
  if (!known) return error(Code::kNotFound, "no such conversation");
  return nature_at(query.row(), 0);
}

Result<DeviceStore::Nature> DeviceStore::nature(ConversationKey conversation) { return impl_->nature(conversation); }

Result<DeviceStore::Enqueued> DeviceStore::enqueue(ConversationKey conversation, const ClientMessageId& id,
                                                   Bytes content, WallTime now, WallTime deadline, bool on_wire) {
  Impl& impl = *impl_;
  if (content.empty()) return error(Code::kInvalidArgument, "a message has content");
  if (impl.owner.empty()) return error(Code::kWrongState, "the store has no owner yet");
  Enqueued enqueued;
  CHATSDK_ASSIGN(enqueued.changes, impl.write([&](Changes& changes) -> Status {
    CHATSDK_ASSIGN(const auto own, impl.own_messages(id));
    for (const auto& known : own) {
      if (known.conversation != conversation || known.content != content) continue;
      enqueued.message = known.key;
      enqueued.repeated = true;
      rows::Query number = impl.sql(kNumberById);
      CHATSDK_ASSIGN(const bool waits, number.first(known.key));
      if (waits) enqueued.send_number = unsigned_at(number.row(), 0);
      return {};
    }
    if (!own.empty()) return error(Code::kConflict, "the id names another message");
    CHATSDK_ASSIGN(const auto discarded, impl.outbox_entry(id));
    if (discarded) return error(Code::kConflict, "the id names a discarded message");
    CHATSDK_ASSIGN(auto target, impl.find_conversation(conversation));
    if (!target) return error(Code::kNotFound, "no such conversation");
    if (target->peer.empty() && target->kind == wire::CONVERSATION_KIND_UNSPECIFIED) {
      return error(Code::kWrongState, "the members of the conversation are not known yet");
    }
    CHATSDK_TRY(impl.check_in_group(*target));
    enqueued.message = impl.take_key();
    CHATSDK_TRY(impl.insert_own({conversation, enqueued.message}, rows::pending_place(enqueued.message), id, now,
                                content, changes));
    CHATSDK_ASSIGN(enqueued.send_number,
                   impl.insert_outbox_row(enqueued.message, *target, id, deadline, on_wire, changes));
    return {};
  }));
  return enqueued;
}

Status DeviceStore::Impl::mark_on_wire(const ClientMessageId& id, Changes& changes) {
  CHATSDK_ASSIGN(const auto entry, outbox_entry(id));
  if (!entry || entry->on_wire) return {};
  CHATSDK_TRY(sql(kSetOnWire).run(entry->id));
  if (entry->kind == OutboxRow::Kind::kSend) changes.updated.push_back({entry->conversation, entry->id});
  return {};
}

Result<Changes> DeviceStore::mark_on_wire(const std::vector<ClientMessageId>& ids) {
  Impl& impl = *impl_;
  return impl.write([&](Changes& changes) -> Status {
    for (const ClientMessageId& id : ids) CHATSDK_TRY(impl.mark_on_wire(id, changes));
    return {};
  });
}

Status DeviceStore::mark_void_asked(const ClientMessageId& id) {
  Impl& impl = *impl_;
  const auto written = impl.write([&](Changes&) -> Status {
    CHATSDK_ASSIGN(const auto entry, impl.outbox_entry(id));
    if (!entry || entry->kind != OutboxRow::Kind::kSend) return {};
    return impl.sql(kSetVoidAsked).run(entry->id);
  });
  if (!written.ok()) return written.error();
  return {};
}

// ---- What waits ----------------------------------------------------------------------------------------------------

Result<std::vector<ConversationKey>> DeviceStore::sending_conversations() {
  CHATSDK_ASSIGN(auto found, heads(impl_->sql));
  std::sort(found.begin(), found.end(), [](const Head& a, const Head& b) { return a.id < b.id; });
  std::vector<ConversationKey> conversations;
  conversations.reserve(found.size());
  for (const Head& head : found) conversations.push_back(head.conversation);
  return conversations;
}

Result<std::vector<OutboxRow>> DeviceStore::outbox(ConversationKey conversation, std::uint64_t after_send_number,
                                                   std::size_t max, bool* before_failed) {
  std::vector<OutboxRow> found;
  if (before_failed != nullptr) *before_failed = false;
  rows::Query query = impl_->sql(kOutbox);
  for (auto more = query.first(conversation, after_send_number, max);; more = query.next()) {
    CHATSDK_ASSIGN(const bool row, std::move(more));
    if (!row) return found;
    OutboxRow out = read_outbox(query.row());
    if (out.failed) {
      if (before_failed != nullptr) *before_failed = true;
      return found;
    }
    found.push_back(std::move(out));
  }
}

Result<bool> DeviceStore::all_told() {
  CHATSDK_ASSIGN(const auto operations, open_operations(1));
  if (!operations.empty()) return false;
  CHATSDK_ASSIGN(const auto reads, pending_reads());
  if (!reads.empty()) return false;
  CHATSDK_ASSIGN(const auto conversations, sending_conversations());
  for (const ConversationKey conversation : conversations) {
    CHATSDK_ASSIGN(const auto rows, outbox(conversation, 0, 1));
    if (!rows.empty()) return false;  // none before a failed one: it waits for the app
  }
  return true;
}

Result<std::optional<WallTime>> DeviceStore::earliest_deadline() {
  std::optional<WallTime> earliest;
  {
    rows::Query query = impl_->sql(kEarliestDeadline);
    CHATSDK_ASSIGN(const bool row, query.first());
    if (row) earliest = rows::time_at(query.row(), 0);
  }
  CHATSDK_ASSIGN(const auto found, heads(impl_->sql));
  for (const Head& head : found) {
    if (head.on_its_way && (!earliest || head.deadline < *earliest)) earliest = head.deadline;
  }
  return earliest;
}

Result<std::vector<OutboxRow>> DeviceStore::overdue(WallTime now) {
  CHATSDK_ASSIGN(const auto found, heads(impl_->sql));
  std::vector<OutboxRow> late;
  for (const Head& head : found) {
    if (!head.on_its_way || head.deadline > now) continue;
    CHATSDK_ASSIGN(auto first, outbox(head.conversation, head.send_number - 1, 1));
    CHATSDK_ASSERT(first.size() == 1);
    late.push_back(std::move(first.front()));
  }
  return late;
}

Result<Changes> DeviceStore::fail_overdue(WallTime now, const Error& reason, std::size_t max) {
  Impl& impl = *impl_;
  std::vector<MessageRef> late;
  {
    rows::Query query = impl.sql(kOverdue);
    for (auto more = query.first(now, max);; more = query.next()) {
      CHATSDK_ASSIGN(const bool row, std::move(more));
      if (!row) break;
      late.push_back({ConversationKey{unsigned_at(query.row(), 1)}, MessageKey{unsigned_at(query.row(), 0)}});
    }
  }
  if (late.empty()) return Changes();
  return impl.write([&](Changes& changes) -> Status {
    for (const MessageRef& message : late) CHATSDK_TRY(impl.fail_row(message, reason, changes));
    return {};
  });
}

// ---- Answers -------------------------------------------------------------------------------------------------------

Status DeviceStore::Impl::accept_one(const AcceptedSend& accepted, Changes& changes) {
  if (!accepted.conversation_id || accepted.seq == 0 || accepted.seq > rows::kSeqMax) {
    return error(Code::kMalformed, "an acceptance without conversation or sequence");
  }
  CHATSDK_ASSIGN(const auto entry, outbox_entry(accepted.id));
  if (!entry) return {};
  CHATSDK_ASSIGN(auto conversation, find_conversation(entry->conversation));
  CHATSDK_ASSERT(conversation.has_value());
  CHATSDK_TRY(link(*conversation, accepted.conversation_id, changes));
  if (entry->kind != OutboxRow::Kind::kSend && entry->discarded.empty()) {
    // A message that is gone here: its item brings it back. Of a task nothing is shown.
    return delete_outbox_row(entry->id);
  }
  if (entry->kind == OutboxRow::Kind::kVoid) {
    CHATSDK_TRY(bring_back(*conversation, *entry, accepted, changes));
  } else {
    CHATSDK_TRY(clear_place(*conversation, accepted.seq, changes));
    CHATSDK_TRY(settle(entry->id, accepted.seq, accepted.message_id, accepted.time));
    CHATSDK_TRY(touch_post(entry->conversation, accepted.id));
    changes.updated.push_back({entry->conversation, entry->id});
  }
  conversation->head = std::max(conversation->head, accepted.seq);
  return save(*conversation, changes);
}

Result<Changes> DeviceStore::accept(const std::vector<AcceptedSend>& accepted) {
  return impl_->write([&](Changes& changes) -> Status {
    for (const AcceptedSend& one : accepted) CHATSDK_TRY(impl_->accept_one(one, changes));
    return {};
  });
}

Result<Changes> DeviceStore::fail(const ClientMessageId& id, const Error& reason) {
  Impl& impl = *impl_;
  if (reason.code == Code::kOk) return error(Code::kInvalidArgument, "a failure has a reason");
  return impl.write([&](Changes& changes) -> Status {
    CHATSDK_ASSIGN(const auto entry, impl.outbox_entry(id));
    if (!entry) return error(Code::kNotFound, "no message waits under this id");
    if (entry->kind == OutboxRow::Kind::kVoid) return error(Code::kWrongState, "the message has been discarded");
    if (entry->kind == OutboxRow::Kind::kTask) return impl.take_back_row(*entry);
    return impl.fail_row({entry->conversation, entry->id}, reason, changes);
  });
}

Status DeviceStore::Impl::fail_row(const MessageRef& message, const Error& reason, Changes& changes) {
  if (CHATSDK_PLANTED(Bug::kP15FailureNotTold)) {
    CHATSDK_TRY(delete_outbox_row(message.message));
    return delete_message(message.message);
  }
  CHATSDK_TRY(sql(kSetFailure).run(message.message, reason.code, reason.detail));
  changes.updated.push_back(message);
  if (changes.conversations.empty() || changes.conversations.back() != message.conversation) {
    changes.conversations.push_back(message.conversation);
  }
  return {};
}

Result<Changes> DeviceStore::retry(const ClientMessageId& id, const ClientMessageId& another_id, WallTime deadline) {
  Impl& impl = *impl_;
  return impl.write([&](Changes& changes) -> Status {
    CHATSDK_ASSIGN(const auto entry, impl.outbox_entry(id));
    if (!entry || entry->kind != OutboxRow::Kind::kSend) {
      CHATSDK_ASSIGN(const auto lost, impl.lost_message(id));
      // Another device's that could not be decrypted here, or that the server has named so.
      const bool is_erased = lost.content == rows::erased_content() || lost.content == content::erased_annotation();
      if (lost.content.empty() || is_erased) return error(Code::kWrongState, "the text of the message is not here");
      return impl.send_again(lost, id, deadline, changes);
    }
    if (entry->failure == Code::kOk) return error(Code::kWrongState, "the message has not failed");
    if (entry->tombstoned()) {
      CHATSDK_TRY(impl.retry_anew(*entry, another_id, deadline));
    } else {
      CHATSDK_TRY(impl.sql(kRetry).run(entry->id, deadline));
    }
    changes.updated.push_back({entry->conversation, entry->id});
    changes.conversations.push_back(entry->conversation);
    return {};
  });
}

// The number is the next one of the conversation, and the server has no other of this id: the restored store has no
// record of it, and who holds the lost copy knows it by its id.
Status DeviceStore::Impl::send_again(const OwnMessage& lost, const ClientMessageId& id, WallTime deadline,
                                     Changes& changes) {
  CHATSDK_ASSIGN(auto conversation, find_conversation(lost.conversation));
  CHATSDK_ASSERT(conversation.has_value());
  // Its key is older than those of what waits already.
  const std::int64_t place = rows::pending_place(take_key());
  CHATSDK_TRY(sql(kWaitAgain).run(lost.key, place, device_id, clock.wall_now()));
  changes.updated.push_back({lost.conversation, lost.key});
  CHATSDK_ASSIGN([[maybe_unused]] const auto number,
                 insert_outbox_row(lost.key, *conversation, id, deadline, false, changes));
  return {};
}

Status DeviceStore::Impl::retry_anew(const OutboxEntry& entry, const ClientMessageId& id, WallTime deadline) {
  CHATSDK_ASSIGN(const auto known, own_messages(id));
  CHATSDK_ASSIGN(const auto discarded, outbox_entry(id));
  if (!known.empty() || discarded) return error(Code::kConflict, "the new id names another message");
  // The number of the row behind it is the first that may be open, and each row behind gives its own to the one before.
  std::uint64_t number = 0;
  {
    rows::Query query = sql(kNumberBehind);
    CHATSDK_ASSIGN(const bool row, query.first(entry.conversation, entry.send_number));
    CHATSDK_ASSERT(row);
    number = unsigned_at(query.row(), 0);
  }
  if (number == 0) {
    CHATSDK_ASSIGN(const auto conversation, find_conversation(entry.conversation));
    CHATSDK_ASSERT(conversation.has_value());
    number = conversation->last_send_number + 1;
  }
  CHATSDK_TRY(shift_numbers(entry.conversation, entry.send_number, 1));
  CHATSDK_TRY(sql(kSetClientId).run(entry.id, id));
  return sql(kRetryAnew).run(entry.id, id, number, deadline);
}

// The item of an encrypted message comes back to its sender without what it holds.
Status DeviceStore::Impl::make_void(const OutboxEntry& entry, const ClientMessageId& id) {
  CHATSDK_ASSIGN(const auto conversation, find_conversation(entry.conversation));
  CHATSDK_ASSERT(conversation.has_value());
  if (!conversation->encrypted) return sql(kMakeVoid).run(entry.id, nullptr);
  CHATSDK_ASSIGN(const auto own, own_messages(id));
  const auto message =
      std::find_if(own.begin(), own.end(), [&entry](const OwnMessage& one) { return one.key == entry.id; });
  CHATSDK_ASSERT(message != own.end());
  return sql(kMakeVoid).run(entry.id, Blob{message->content});
}

Result<Changes> DeviceStore::discard(const ClientMessageId& id) {
  Impl& impl = *impl_;
  return impl.write([&](Changes& changes) -> Status {
    CHATSDK_ASSIGN(const auto entry, impl.outbox_entry(id));
    MessageRef message;
    if (entry && entry->kind == OutboxRow::Kind::kSend) {
      if (entry->failure == Code::kOk && entry->on_wire) {
        return error(Code::kWrongState, "the message may be on its way");
      }
      CHATSDK_TRY(impl.make_void(*entry, id));
      message = {entry->conversation, entry->id};
    } else {
      CHATSDK_ASSIGN(const auto lost, impl.lost_message(id));
      message = {lost.conversation, lost.key};
    }
    CHATSDK_TRY(impl.delete_message(message.message));
    changes.removed.push_back(message);
    CHATSDK_ASSIGN(const auto conversation, impl.find_conversation(message.conversation));
    CHATSDK_ASSERT(conversation.has_value());
    return impl.save(*conversation, changes);
  });
}

Result<Changes> DeviceStore::voided(const ClientMessageId& id, const Error& reason) {
  Impl& impl = *impl_;
  return impl.write([&](Changes& changes) -> Status {
    CHATSDK_ASSIGN(const auto entry, impl.outbox_entry(id));
    if (!entry) return {};
    if (entry->kind != OutboxRow::Kind::kSend) return impl.delete_outbox_row(entry->id);
    CHATSDK_TRY(impl.sql(kSetFailure).run(entry->id, reason.code, reason.detail));
    changes.updated.push_back({entry->conversation, entry->id});
    changes.conversations.push_back(entry->conversation);
    return {};
  });
}

Status DeviceStore::void_refused(const ClientMessageId& id) {
  Impl& impl = *impl_;
  const auto written = impl.write([&](Changes&) -> Status {
    CHATSDK_ASSIGN(const auto entry, impl.outbox_entry(id));
    if (!entry) return {};
    if (entry->kind != OutboxRow::Kind::kVoid) return error(Code::kWrongState, "the message has not been discarded");
    return impl.take_back_row(*entry);
  });
  if (!written.ok()) return written.error();
  return {};
}

Status DeviceStore::number_from(ConversationKey conversation, std::uint64_t first) {
  Impl& impl = *impl_;
  if (first == 0 || first > limits::kSendNumberMax) {
    return error(Code::kMalformed, "send number " + std::to_string(first));
  }
  const auto written = impl.write([&](Changes&) -> Status {
    CHATSDK_TRY(impl.sql(kNumberAway).run(conversation, first));
    const auto waiting = static_cast<std::uint64_t>(impl.db.changes());
    CHATSDK_TRY(impl.sql(kBringBack).run(conversation));
    return impl.sql(kSetLastNumber).run(conversation, first + waiting - 1);
  });
  if (!written.ok()) return written.error();
  return {};
}

}  // namespace chatsdk
