// SPDX-License-Identifier: Apache-2.0
#include "store/e2ee_notes.h"

#include <chrono>
#include <utility>

#include "base/limits.h"
#include "store/e2ee_rows.h"

namespace chatsdk::e2ee {

namespace {

using rows::Blob;
using rows::unsigned_at;

constexpr char kWasAsked[] = "SELECT 1 FROM e2ee_asked WHERE conversation_id = ?1 AND seq = ?2";
constexpr char kNoteAsked[] = "INSERT INTO e2ee_asked(conversation_id, seq, created) VALUES (?1, ?2, ?3)";
constexpr char kBegunForRequest[] =
    "SELECT session_id FROM e2ee_session WHERE device = ?1 AND user = ?2 AND for_request = 1";
constexpr char kNoteBegun[] = "UPDATE e2ee_session SET for_request = (session_id = ?3) WHERE device = ?1 AND user = ?2";

// Own messages stand under no sender; what the server has lost stands at no seq.
constexpr char kSent[] =
    "SELECT s.message, s.created, m.place, m.lost, c.conversation_id FROM message m JOIN e2ee_sent s ON s.message = "
    "m.key JOIN conversation c ON c.key = m.conversation WHERE m.client_message_id = ?1 AND m.sender IS NULL";
constexpr char kSentDevices[] = "SELECT device, user, record FROM e2ee_sent_device WHERE message = ?1";
constexpr char kWasAnswered[] =
    "SELECT d.answered FROM message m JOIN e2ee_sent_device d ON d.message = m.key WHERE m.client_message_id = ?1 AND "
    "m.sender IS NULL AND d.device = ?2 AND d.user = ?3";
constexpr char kNoteAnswered[] =
    "UPDATE e2ee_sent_device SET answered = 1 WHERE message IN (SELECT key FROM message WHERE client_message_id = ?1 "
    "AND sender IS NULL) AND device = ?2 AND user = ?3";
constexpr char kForgetSent[] = "DELETE FROM e2ee_sent WHERE message = ?1";
constexpr char kNoteSent[] =
    "INSERT INTO e2ee_sent(message, created, sender_time, expires_after) VALUES (?1, ?2, ?3, ?4)";
constexpr char kNoteSentDevice[] =
    "INSERT INTO e2ee_sent_device(message, device, user, record) VALUES (?1, ?2, ?3, ?4)";
constexpr char kOwnMessage[] =
    "SELECT m.content, s.sender_time, s.expires_after FROM message m JOIN e2ee_sent s ON s.message = m.key "
    "WHERE m.client_message_id = ?1 AND m.sender IS NULL AND m.content <> x''";

constexpr char kRoster[] = "SELECT revision FROM e2ee_roster WHERE conversation_id = ?1";
constexpr char kMembers[] =
    "SELECT user, list_version, list_hash FROM e2ee_member WHERE conversation_id = ?1 ORDER BY user";
constexpr char kPutRoster[] =
    "INSERT INTO e2ee_roster(conversation_id, revision) VALUES (?1, ?2) ON CONFLICT(conversation_id) DO UPDATE SET "
    "revision = ?2";
constexpr char kDropMembers[] = "DELETE FROM e2ee_member WHERE conversation_id = ?1";
constexpr char kPutMember[] =
    "INSERT INTO e2ee_member(conversation_id, user, list_version, list_hash) VALUES (?1, ?2, ?3, ?4)";
constexpr char kListVersionWith[] =
    "SELECT max(m.list_version) FROM e2ee_member p JOIN e2ee_member m ON m.conversation_id = p.conversation_id AND "
    "m.user = ?1 WHERE p.user = ?2";
constexpr char kListVersionBefore[] = "SELECT version FROM e2ee_reached WHERE peer = ?2 AND user = ?1";
// Where a roster has come to a list of the user's, in this epoch or before.
constexpr char kNoteBranch[] =
    "INSERT INTO e2ee_reached(peer, user, version) SELECT d.peer, ?1, ?2 FROM e2ee_direct d WHERE EXISTS (SELECT 1 "
    "FROM "
    "e2ee_member p JOIN e2ee_member m ON m.conversation_id = p.conversation_id AND m.user = ?1 AND m.list_version > 0 "
    "WHERE p.user = d.peer) OR EXISTS (SELECT 1 FROM e2ee_reached r WHERE r.peer = d.peer AND r.user = ?1) "
    "ON CONFLICT(peer, user) DO UPDATE SET version = max(version, excluded.version)";
constexpr char kDropFormerList[] = "DELETE FROM e2ee_former_list WHERE user = ?1 AND list_hash = ?2";
constexpr char kPutFormer[] =
    "INSERT INTO e2ee_former_list(user, list_hash, account_key, since) VALUES (?1, ?2, ?3, ?4)";
constexpr char kPutFormerRecord[] =
    "INSERT INTO e2ee_former_record(record_hash, record) VALUES (?1, ?2) ON CONFLICT(record_hash) DO NOTHING";
constexpr char kPutFormerDevice[] =
    "INSERT INTO e2ee_former_device(list, device, record) SELECT l.id, ?3, r.id FROM e2ee_former_list l, "
    "e2ee_former_record r WHERE l.user = ?1 AND l.list_hash = ?2 AND r.record_hash = ?4";
constexpr char kDropFormerBeyond[] =
    "DELETE FROM e2ee_former_list WHERE user = ?1 AND id NOT IN (SELECT id FROM e2ee_former_list WHERE user = ?1 "
    "ORDER BY id DESC LIMIT ?2)";
constexpr char kFormerDevice[] =
    "SELECT l.account_key, r.record FROM e2ee_former_list l JOIN e2ee_former_device d ON d.list = l.id AND d.device = "
    "?3 JOIN e2ee_former_record r ON r.id = d.record WHERE l.user = ?1 AND l.list_hash = ?2 AND l.since > ?4";
constexpr char kIsFormer[] = "SELECT 1 FROM e2ee_former_list WHERE user = ?1 AND list_hash = ?2 AND since > ?3";
constexpr char kAgeFormer[] = "DELETE FROM e2ee_former_list WHERE since <= ?1";
constexpr char kAwaited[] = "SELECT version FROM e2ee_awaited WHERE user = ?1";
constexpr char kAwait[] =
    "INSERT INTO e2ee_awaited(user, version) VALUES (?1, ?2) ON CONFLICT(user) DO UPDATE SET version = ?2";
constexpr char kAwaitNoMore[] = "DELETE FROM e2ee_awaited WHERE user = ?1";
constexpr char kAwaitedUsers[] = "SELECT user FROM e2ee_awaited";
constexpr char kIsEncryptedWith[] =
    "SELECT 1 FROM conversation WHERE peer = ?1 AND encrypted = 1 UNION ALL SELECT 1 FROM e2ee_direct WHERE peer = ?1 "
    "AND encrypted = 1";
constexpr char kNoteEncryptedWith[] =
    "INSERT INTO e2ee_direct(peer, encrypted) VALUES (?1, 1) ON CONFLICT(peer) DO UPDATE SET encrypted = 1 "
    "WHERE encrypted = 0";
constexpr char kIdentityChanged[] = "SELECT changed FROM e2ee_direct WHERE peer = ?1";
constexpr char kNoteIdentityChanged[] =
    "INSERT INTO e2ee_direct(peer, changed) VALUES (?1, ?2) ON CONFLICT(peer) DO UPDATE SET changed = ?2";
constexpr char kNoteLeftList[] = "UPDATE e2ee_meta SET left_list = ?1 WHERE id = 1";
constexpr char kLeftList[] = "SELECT left_list FROM e2ee_meta WHERE id = 1 AND left_list IS NOT NULL";
constexpr char kNoteForgotten[] =
    "INSERT INTO e2ee_direct(peer, changed, forgotten) VALUES (?1, 1, 1) ON CONFLICT(peer) DO UPDATE SET changed = 1, "
    "forgotten = 1";
constexpr char kWasForgotten[] = "SELECT 1 FROM e2ee_direct WHERE peer = ?1 AND forgotten = 1";
constexpr char kForgottenNoMore[] = "UPDATE e2ee_direct SET forgotten = 0 WHERE peer = ?1";
// Encrypted for devices that nobody need have: it is sealed anew.
constexpr char kDropOutTo[] = "DELETE FROM e2ee_out WHERE message IN (SELECT message FROM e2ee_slice WHERE user = ?1)";
constexpr char kDropFormer[] = "DELETE FROM e2ee_former_list WHERE user = ?1";
constexpr char kRosterLists[] = "SELECT DISTINCT list_hash FROM e2ee_member WHERE user = ?1";
constexpr char kStandBy[] =
    "UPDATE e2ee_member SET list_version = 0, list_hash = ?3 WHERE user = ?1 AND list_hash = ?2";
constexpr char kPassedOver[] = "SELECT coalesce(passed_over, x'') FROM e2ee_user WHERE user = ?1";
constexpr char kNotePassedOver[] = "UPDATE e2ee_user SET passed_over = ?2 WHERE user = ?1";
// CROSS: by its id, not by reading the whole conversation.
constexpr char kKnownMessages[] =
    "SELECT m.place, m.lost, m.content = x'' FROM message m CROSS JOIN stream s ON s.conversation = m.conversation "
    "WHERE m.client_message_id = ?3 AND m.sender IS ?2 AND s.stream_id = ?1";
constexpr char kHasSent[] =
    "SELECT 1 FROM message m CROSS JOIN stream s ON s.conversation = m.conversation WHERE m.client_message_id = ?2 AND "
    "m.sender IS NULL AND s.stream_id = ?1 UNION ALL SELECT 1 FROM outbox o CROSS JOIN stream s ON s.conversation = "
    "o.conversation WHERE o.client_message_id = ?2 AND s.stream_id = ?1 LIMIT 1";
constexpr char kTakeCounter[] = "UPDATE e2ee_meta SET counter = counter + 1 WHERE id = 1";
constexpr char kCounter[] = "SELECT counter FROM e2ee_meta WHERE id = 1";

// What the server gave out under an earlier place, too, stands there.
constexpr char kPlaceholder[] =
    "SELECT p.message, m.conversation FROM e2ee_placeholder p JOIN message m ON m.key = p.message "
    "WHERE p.conversation_id = ?1 AND p.seq = ?2 AND m.sender IS ?3 AND m.sender_device = ?4 AND m.client_message_id = "
    "?5 AND NOT EXISTS (SELECT 1 FROM message o WHERE o.client_message_id = ?5 AND o.conversation = m.conversation AND "
    "o.sender IS ?3 AND o.lost = 0 AND o.content <> x'')";
constexpr char kFill[] = "UPDATE message SET content = ?2 WHERE key = ?1";
constexpr char kDropPlaceholder[] = "DELETE FROM e2ee_placeholder WHERE message = ?1";
// What was one before the server went back stands elsewhere now.
constexpr char kNotePlaceholder[] =
    "INSERT INTO e2ee_placeholder(message, conversation_id, seq, delivered_before, asked) SELECT m.key, ?1, ?2, "
    "s.delivered_from, ?4 FROM stream s JOIN message m ON m.conversation = s.conversation WHERE s.stream_id = ?1 AND "
    "m.place = ?3 AND m.lost = 0 AND m.content = x'' AND m.sender IS NOT '' ON CONFLICT(message) DO UPDATE SET "
    "conversation_id = ?1, seq = ?2, delivered_before = excluded.delivered_before, asked = ?4 WHERE "
    "excluded.delivered_before < ?2";
constexpr char kDeliveredFrom[] =
    "UPDATE stream SET delivered_from = max(delivered_from, ?2) WHERE stream_id = ?1 AND EXISTS (SELECT 1 FROM "
    "e2ee_placeholder p WHERE p.conversation_id = ?1 AND p.seq = ?2 AND p.asked = 1)";

// What that does to the conversation's marks, a trigger knows: e2ee_placeholder_over.
constexpr char kAskNoMoreFor[] = "UPDATE e2ee_placeholder SET asked = 0 WHERE asked = 1 AND message = ?1";
constexpr char kAskNoMoreAt[] =
    "UPDATE e2ee_placeholder SET asked = 0 WHERE asked = 1 AND conversation_id = ?1 AND seq = ?2";
constexpr char kAskNoMoreOf[] =
    "UPDATE e2ee_placeholder SET asked = 0 WHERE asked = 1 AND message IN (SELECT m.key FROM message m WHERE m.key = "
    "e2ee_placeholder.message AND m.sender IS ?1 AND m.sender_device = coalesce(?2, m.sender_device))";
// What is not noted as asked for any more.
constexpr char kAskNoMore[] =
    "UPDATE e2ee_placeholder SET asked = 0 WHERE asked = 1 AND NOT EXISTS (SELECT 1 FROM e2ee_asked a WHERE "
    "a.conversation_id = e2ee_placeholder.conversation_id AND a.seq = e2ee_placeholder.seq)";

constexpr char kPutTask[] =
    "INSERT INTO e2ee_task(kind, conversation_id, user, device, target_seq, target_id, failed_session, "
    "client_message_id, created) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
#define CHATSDK_TASK_COLUMNS                                                                         \
  "t.id, t.kind, t.conversation_id, t.user, t.device, t.target_seq, t.target_id, t.failed_session, " \
  "t.client_message_id, t.created"
constexpr char kTasks[] = "SELECT " CHATSDK_TASK_COLUMNS " FROM e2ee_task t ORDER BY t.id";
constexpr char kTask[] = "SELECT " CHATSDK_TASK_COLUMNS " FROM e2ee_task t WHERE t.client_message_id = ?1";
constexpr char kCountTasks[] =
    "SELECT (SELECT count(*) FROM e2ee_task WHERE kind = ?1 AND user = ?2 AND device = ?3), (SELECT count(*) FROM "
    "e2ee_task WHERE kind = ?1 AND user = ?2), (SELECT count(*) FROM e2ee_task WHERE kind = ?1)";
constexpr char kNewestOfMost[] =
    "SELECT " CHATSDK_TASK_COLUMNS
    " FROM e2ee_task t WHERE t.kind = ?1 AND t.user = (SELECT user FROM e2ee_task WHERE kind = ?1 GROUP BY user HAVING "
    "count(*) > ?2 ORDER BY count(*) DESC, user LIMIT 1) AND NOT EXISTS (SELECT 1 FROM e2ee_task_out o WHERE o.task = "
    "t.id) ORDER BY t.id DESC LIMIT 1";
constexpr char kDropTask[] = "DELETE FROM e2ee_task WHERE id = ?1";
constexpr char kPutTaskOut[] =
    "INSERT INTO e2ee_task_out(task, roster_revision, own_list_version, peer_list_version, counter, bytes) "
    "VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
constexpr char kTaskOut[] =
    "SELECT roster_revision, own_list_version, peer_list_version, counter, bytes FROM e2ee_task_out WHERE task = ?1";
constexpr char kDropTaskOut[] = "DELETE FROM e2ee_task_out WHERE task = ?1";

constexpr char kToUpload[] = "SELECT key_id FROM e2ee_prekey WHERE uploaded = 0 AND successor = 0 ORDER BY key_id";
constexpr char kMarkUploaded[] = "UPDATE e2ee_prekey SET uploaded = 1 WHERE key_id = ?1";
constexpr char kUploadAgain[] = "UPDATE e2ee_prekey SET uploaded = 0 WHERE key_id = ?1";
constexpr char kUploadAllAgain[] = "UPDATE e2ee_prekey SET uploaded = 0";
// The counter stays: under the same id the server knows how far it was, and under another any number will do.
constexpr const char* kForgetDevice[] = {"DELETE FROM e2ee_out", "DELETE FROM e2ee_task", "DELETE FROM e2ee_sent",
                                         "DELETE FROM e2ee_asked", "DELETE FROM e2ee_former_list"};
constexpr const char* kForgetPlaces[] = {"DELETE FROM e2ee_task", "DELETE FROM e2ee_asked"};
constexpr const char* kForgetIdentity[] = {
    "UPDATE e2ee_member SET list_version = 0 WHERE user = ?1", "DELETE FROM e2ee_sent_device WHERE user = ?1",
    "DELETE FROM e2ee_task WHERE user = ?1", "DELETE FROM e2ee_awaited WHERE user = ?1",
    "DELETE FROM e2ee_reached WHERE user = ?1"};
constexpr char kListInDoubt[] = "SELECT list_in_doubt FROM e2ee_meta WHERE id = 1";
constexpr char kDoubtList[] = "UPDATE e2ee_meta SET list_in_doubt = 1 WHERE id = 1 AND list_in_doubt = 0";
constexpr char kListIsThere[] = "UPDATE e2ee_meta SET list_in_doubt = 0 WHERE id = 1";
constexpr char kReplacing[] = "SELECT replacing FROM e2ee_meta WHERE id = 1 AND replacing IS NOT NULL";
constexpr char kPutReplacing[] = "UPDATE e2ee_meta SET replacing = ?1 WHERE id = 1";
constexpr char kNoReplacing[] = "UPDATE e2ee_meta SET replacing = NULL WHERE id = 1";
constexpr char kKeepEvent[] = "INSERT OR REPLACE INTO e2ee_event(kind, user, device) VALUES (?1, ?2, ?3)";
constexpr char kBoundEvents[] =
    "DELETE FROM e2ee_event WHERE user = ?1 AND device <> 0 AND number <= coalesce((SELECT number FROM e2ee_event "
    "WHERE "
    "user = ?1 AND device <> 0 ORDER BY number DESC LIMIT 1 OFFSET ?2), 0)";
constexpr char kKeptEvents[] = "SELECT number, kind, user, device FROM e2ee_event WHERE number > ?1 ORDER BY number";
constexpr char kDropEvents[] = "DELETE FROM e2ee_event WHERE number <= ?1";
constexpr char kLetIn[] = "SELECT granted FROM e2ee_meta WHERE id = 1 AND granted IS NOT NULL";
constexpr char kPutLetIn[] = "UPDATE e2ee_meta SET granted = ?1 WHERE id = 1";
constexpr char kNobodyLetIn[] = "UPDATE e2ee_meta SET granted = NULL WHERE id = 1";
constexpr char kWasListed[] = "SELECT listed FROM e2ee_meta WHERE id = 1";
constexpr char kNoteListed[] = "UPDATE e2ee_meta SET listed = ?1 WHERE id = 1 AND listed <> ?1";
constexpr char kLastResortIsWornOut[] = "SELECT 1 FROM e2ee_prekey WHERE kind = ?1 AND successor = 0 AND seen >= ?2";
constexpr char kAged[] = "SELECT aged FROM e2ee_meta WHERE id = 1";
constexpr char kPutAged[] = "UPDATE e2ee_meta SET aged = ?1 WHERE id = 1";
constexpr char kAgeSent[] = "DELETE FROM e2ee_sent WHERE created <= ?1";
constexpr char kAgeAsked[] = "DELETE FROM e2ee_asked WHERE created <= ?1";
constexpr char kAgeTasks[] = "DELETE FROM e2ee_task WHERE created <= ?1";

constexpr char kWaiting[] =
    "SELECT o.id FROM message m JOIN outbox o ON o.id = m.key WHERE m.client_message_id = ?1 AND m.sender IS NULL AND "
    "o.kind = 0";
constexpr char kPutOut[] =
    "INSERT INTO e2ee_out(message, roster_revision, own_list_version, peer_list_version, counter) "
    "VALUES (?1, ?2, ?3, ?4, ?5)";
constexpr char kPutSlice[] = "INSERT INTO e2ee_slice(message, device, user, bytes) VALUES (?1, ?2, ?3, ?4)";
constexpr char kOut[] =
    "SELECT roster_revision, own_list_version, peer_list_version, counter FROM e2ee_out WHERE message = ?1";
constexpr char kSlices[] = "SELECT device, user, bytes FROM e2ee_slice WHERE message = ?1 ORDER BY id";
constexpr char kDropOut[] = "DELETE FROM e2ee_out WHERE message = ?1";

Result<ClientMessageId> read_client_id(const char* table, std::string_view bytes) {
  const auto id = ClientMessageId::from_bytes(bytes);
  if (!id) return corrupt_row(table, "an id of " + std::to_string(bytes.size()) + " B");
  return *id;
}

Result<Task> read_task(const sqlite::Statement& row) {
  Columns columns("e2ee_task", row);
  Task task;
  task.id = static_cast<std::int64_t>(columns.u64());
  task.kind = static_cast<TaskKind>(columns.u8(1, 2));
  task.conversation = ConversationId{columns.u64()};
  task.to.user_id = UserId(columns.text());
  task.to.device_id = DeviceId{columns.u64()};
  task.target.target_seq = columns.u64();
  CHATSDK_ASSIGN(task.target.target_id, read_client_id("e2ee_task", columns.blob()));
  task.target.failed_session = columns.fixed<SessionId>();
  CHATSDK_ASSIGN(task.client_message_id, read_client_id("e2ee_task", columns.blob()));
  task.created_ms = columns.u64();
  CHATSDK_TRY(columns.status());
  return task;
}

// A row of kKnownMessages. What a server that went back sends again has lost > 0 here until it came.
KnownMessage known_as(const sqlite::Statement& row, Seq here) {
  using State = KnownMessage::State;
  const std::int64_t place = row.integer(0);
  const bool is_empty = row.integer(2) != 0;
  if (static_cast<rows::LostState>(row.integer(1)) != rows::LostState::kNo) {
    return {is_empty ? State::kPlaceholder : State::kWhole, 0};
  }
  if (rows::is_pending(place)) return {State::kWaiting, 0};
  const Seq seq = rows::seq_at(place);
  if (seq == here) return {};
  return {is_empty ? State::kUnread : State::kShown, seq};
}

Result<std::optional<Task>> read_one_task(rows::Query& query, Result<bool> found) {
  CHATSDK_ASSIGN(const bool is_there, std::move(found));
  if (!is_there) return std::optional<Task>();
  CHATSDK_ASSIGN(Task task, read_task(query.row()));
  return std::optional(std::move(task));
}

}  // namespace

// ---- Of retries ----------------------------------------------------------------------------------------------------

Result<bool> SqlNotes::was_asked(StreamId conversation, Seq seq) { return sql_(kWasAsked).first(conversation, seq); }

Status SqlNotes::note_asked(StreamId conversation, Seq seq, std::uint64_t now_ms) {
  return sql_(kNoteAsked).run(conversation, seq, now_ms);
}

Result<std::optional<SessionId>> SqlNotes::begun_for_request(const Peer& peer) {
  rows::Query query = sql_(kBegunForRequest);
  CHATSDK_ASSIGN(const bool begun, query.first(peer.device_id, peer.user_id));
  if (!begun) return std::optional<SessionId>();
  Columns columns("e2ee_session", query.row());
  const auto session_id = columns.fixed<SessionId>();
  CHATSDK_TRY(columns.status());
  return std::optional(session_id);
}

Status SqlNotes::note_begun(const Peer& peer, const SessionId& session_id) {
  return sql_(kNoteBegun).run(peer.device_id, peer.user_id, blob(session_id));
}

Result<std::optional<SentNote>> SqlNotes::sent(const ClientMessageId& id) {
  SentNote note;
  MessageKey message;
  {
    rows::Query query = sql_(kSent);
    CHATSDK_ASSIGN(const bool noted, query.first(id));
    if (!noted) return std::optional<SentNote>();
    message = MessageKey{unsigned_at(query.row(), 0)};
    note.created_ms = unsigned_at(query.row(), 1);
    const std::int64_t place = query->integer(2);
    const bool stands = !rows::is_pending(place) && query->integer(3) == 0;
    note.seq = stands ? rows::seq_at(place) : 0;
    note.conversation = StreamId{unsigned_at(query.row(), 4)};
  }
  CHATSDK_TRY(for_each_row(
      sql_(kSentDevices),
      [&note](const sqlite::Statement& row) -> Status {
        Columns columns("e2ee_sent_device", row);
        SentTo& to = note.devices.emplace_back();
        to.device.device_id = DeviceId{columns.u64()};
        to.device.user_id = UserId(columns.text());
        to.record = columns.fixed<Hash>();
        return columns.status();
      },
      message));
  return std::optional(std::move(note));
}

Result<bool> SqlNotes::was_answered(const ClientMessageId& id, const Peer& to) {
  rows::Query query = sql_(kWasAnswered);
  CHATSDK_ASSIGN(const bool noted, query.first(id, to.device_id, to.user_id));
  return noted && query->integer(0) != 0;
}

Status SqlNotes::note_answered(const ClientMessageId& id, const Peer& to) {
  return sql_(kNoteAnswered).run(id, to.device_id, to.user_id);
}

// ---- Of conversations ----------------------------------------------------------------------------------------------

Result<std::optional<Roster>> SqlNotes::roster(ConversationId conversation) {
  Roster roster;
  {
    rows::Query query = sql_(kRoster);
    CHATSDK_ASSIGN(const bool known, query.first(conversation));
    if (!known) return std::optional<Roster>();
    roster.revision = unsigned_at(query.row(), 0);
  }
  CHATSDK_TRY(for_each_row(
      sql_(kMembers),
      [&roster](const sqlite::Statement& row) {
        Columns columns("e2ee_member", row);
        RosterMember& member = roster.members.emplace_back();
        member.user_id = UserId(columns.text());
        member.list_version = columns.u64();
        member.list_hash = columns.fixed<Hash>();
        return columns.status();
      },
      conversation));
  return std::optional(std::move(roster));
}

Status SqlNotes::put_roster(ConversationId conversation, const Roster& roster) {
  CHATSDK_TRY(sql_(kPutRoster).run(conversation, roster.revision));
  CHATSDK_TRY(sql_(kDropMembers).run(conversation));
  for (const RosterMember& member : roster.members) {
    CHATSDK_TRY(sql_(kPutMember).run(conversation, member.user_id, member.list_version, blob(member.list_hash)));
  }
  return {};
}

Result<std::uint64_t> SqlNotes::list_version_with(const UserId& user_id, const UserId& peer) {
  rows::Query query = sql_(kListVersionWith);
  CHATSDK_ASSIGN(const bool any, query.first(user_id, peer));
  return any && !query->is_null(0) ? unsigned_at(query.row(), 0) : 0;
}

Result<std::uint64_t> SqlNotes::list_version_before(const UserId& user_id, const UserId& peer) {
  rows::Query query = sql_(kListVersionBefore);
  CHATSDK_ASSIGN(const bool any, query.first(user_id, peer));
  return any ? unsigned_at(query.row(), 0) : 0;
}

Status SqlNotes::note_branch(const UserId& user_id, std::uint64_t version) {
  return sql_(kNoteBranch).run(user_id, version);
}

Result<bool> SqlNotes::is_encrypted_with(const UserId& peer) { return sql_(kIsEncryptedWith).first(peer); }

Status SqlNotes::note_encrypted_with(const UserId& peer) { return sql_(kNoteEncryptedWith).run(peer); }

Result<bool> SqlNotes::identity_changed(const UserId& peer) {
  rows::Query query = sql_(kIdentityChanged);
  CHATSDK_ASSIGN(const bool set, query.first(peer));
  if (!set) return false;
  Columns columns("e2ee_direct", query.row());
  const bool changed = columns.flag();
  CHATSDK_TRY(columns.status());
  return changed;
}

Result<std::uint64_t> SqlNotes::awaited_list(const UserId& user_id) {
  rows::Query query = sql_(kAwaited);
  CHATSDK_ASSIGN(const bool any, query.first(user_id));
  return any ? unsigned_at(query.row(), 0) : 0;
}

Status SqlNotes::await_list(const UserId& user_id, std::uint64_t version) {
  return version == 0 ? sql_(kAwaitNoMore).run(user_id) : sql_(kAwait).run(user_id, version);
}

Result<std::vector<UserId>> SqlNotes::awaited_users() {
  std::vector<UserId> users;
  CHATSDK_TRY(for_each_row(sql_(kAwaitedUsers), [&users](const sqlite::Statement& row) -> Status {
    users.emplace_back(row.text(0));
    return {};
  }));
  return users;
}

Result<bool> SqlNotes::list_in_doubt() {
  rows::Query query = sql_(kListInDoubt);
  CHATSDK_ASSIGN(const bool told, query.first());
  return told && query->integer(0) != 0;
}

Status SqlNotes::list_is_there() { return sql_(kListIsThere).run(); }

Status SqlNotes::doubt_list() { return sql_(kDoubtList).run(); }

Result<std::optional<SqlNotes::Replacing>> SqlNotes::replacing() {
  rows::Query query = sql_(kReplacing);
  CHATSDK_ASSIGN(const bool asked, query.first());
  if (!asked) return std::optional<Replacing>();
  Replacing replacing;
  const std::string_view place = query->blob(0);
  if (place.empty()) return std::optional(replacing);
  if (place.size() != SigningKey::size()) return corrupt_row("e2ee_meta", "an account key of another length");
  replacing.place = SigningKey::from(place);
  return std::optional(replacing);
}

Status SqlNotes::put_replacing(const std::optional<Replacing>& replacing) {
  if (!replacing) return sql_(kNoReplacing).run();
  return sql_(kPutReplacing).run(Blob{replacing->place ? replacing->place->view() : std::string_view()});
}

Status SqlNotes::keep_events(std::span<const Event> events) {
  for (const Event& event : events) {
    if (!is_kept(event)) continue;
    CHATSDK_TRY(sql_(kKeepEvent).run(event.kind, event.user_id, event.device_id));
    if (event.device_id.value == 0) continue;
    CHATSDK_TRY(sql_(kBoundEvents).run(event.user_id, limits::e2ee::kDeviceEventsMax));
  }
  return {};
}

Result<std::vector<Event>> SqlNotes::kept_events(std::uint64_t above) {
  std::vector<Event> events;
  CHATSDK_TRY(for_each_row(
      sql_(kKeptEvents),
      [&events](const sqlite::Statement& row) -> Status {
        Columns columns("e2ee_event", row);
        Event& event = events.emplace_back();
        event.number = columns.u64();
        event.kind = static_cast<EventKind>(columns.u8(0, static_cast<std::uint8_t>(EventKind::kListRefused)));
        event.user_id = UserId(columns.text());
        event.device_id = DeviceId{columns.u64()};
        return columns.status();
      },
      above));
  return events;
}

Status SqlNotes::drop_events(std::uint64_t up_to) { return sql_(kDropEvents).run(up_to); }

Result<std::vector<LetIn>> SqlNotes::let_in() {
  rows::Query query = sql_(kLetIn);
  CHATSDK_ASSIGN(const bool kept, query.first());
  std::vector<LetIn> devices;
  if (!kept) return devices;
  const std::string_view bytes = query->blob(0);
  for (std::size_t at = 0; at < bytes.size(); at += kLetInBytes) {
    const auto device = parse_let_in(bytes.substr(at, kLetInBytes));
    if (!device) return corrupt_row("e2ee_meta", "a device that was let in, and is none");
    devices.push_back(*device);
  }
  return devices;
}

Status SqlNotes::put_let_in(std::span<const LetIn> devices) {
  if (devices.empty()) return sql_(kNobodyLetIn).run();
  Bytes bytes;
  for (const LetIn& device : devices) bytes += serialize(device);
  return sql_(kPutLetIn).run(Blob{bytes});
}

Status SqlNotes::forget_identity(const UserId& user_id) {
  for (const char* query : kForgetIdentity) CHATSDK_TRY(sql_(query).run(user_id));
  CHATSDK_TRY(sql_(kDropOutTo).run(user_id));
  changes_->unsealed.push_back(user_id);
  return ask_no_more(user_id, std::nullopt);
}

Status SqlNotes::note_left_list(const Hash& list_hash) { return sql_(kNoteLeftList).run(blob(list_hash)); }

Result<std::optional<Hash>> SqlNotes::left_list() {
  rows::Query query = sql_(kLeftList);
  CHATSDK_ASSIGN(const bool noted, query.first());
  if (!noted) return std::optional<Hash>();
  Columns columns("e2ee_meta", query.row());
  const auto hash = columns.fixed<Hash>();
  CHATSDK_TRY(columns.status());
  return std::optional(hash);
}

Status SqlNotes::note_forgotten(const UserId& user_id) {
  CHATSDK_TRY(sql_(kDropFormer).run(user_id));
  return sql_(kNoteForgotten).run(user_id);
}

Result<bool> SqlNotes::take_forgotten(const UserId& user_id) {
  CHATSDK_ASSIGN(const bool was_forgotten, sql_(kWasForgotten).first(user_id));
  if (was_forgotten) CHATSDK_TRY(sql_(kForgottenNoMore).run(user_id));
  return was_forgotten;
}

Status SqlNotes::stand_by_newest(const KnownUser& user) {
  std::vector<Hash> named;
  CHATSDK_TRY(for_each_row(
      sql_(kRosterLists),
      [&named](const sqlite::Statement& row) -> Status {
        Columns columns("e2ee_member", row);
        named.push_back(columns.fixed<Hash>());
        return columns.status();
      },
      user.user_id));
  for (const Hash& hash : named) {
    const bool is_kept = std::any_of(user.lists.begin(), user.lists.end(),
                                     [&hash](const DeviceList& list) { return list.hash == hash; });
    if (!is_kept) CHATSDK_TRY(sql_(kStandBy).run(user.user_id, blob(hash), blob(user.newest().hash)));
  }
  return {};
}

Status SqlNotes::keep_former(const KnownUser& former, std::uint64_t now_ms) {
  for (const DeviceList& list : former.lists) {
    CHATSDK_TRY(sql_(kDropFormerList).run(former.user_id, blob(list.hash)));
    CHATSDK_TRY(sql_(kPutFormer).run(former.user_id, blob(list.hash), blob(former.account_key), now_ms));
    for (const ListedDevice& device : list.devices) {
      const auto record = former.records.find(device.record_hash);
      if (record == former.records.end()) return corrupt_row("e2ee_record", "a list names a record that is not there");
      CHATSDK_TRY(sql_(kPutFormerRecord).run(blob(device.record_hash), Blob{record->second.bytes}));
      CHATSDK_TRY(
          sql_(kPutFormerDevice).run(former.user_id, blob(list.hash), device.device_id, blob(device.record_hash)));
    }
  }
  return sql_(kDropFormerBeyond).run(former.user_id, std::uint64_t{limits::e2ee::kFormerListsMax});
}

Result<std::optional<FormerDevice>> SqlNotes::former_device(const UserId& user_id, const Hash& list_hash,
                                                            DeviceId device_id, std::uint64_t after_ms) {
  rows::Query query = sql_(kFormerDevice);
  CHATSDK_ASSIGN(const bool kept, query.first(user_id, blob(list_hash), device_id, after_ms));
  if (!kept) return std::optional<FormerDevice>();
  Columns columns("e2ee_former_record", query.row());
  FormerDevice device;
  device.account_key = columns.fixed<SigningKey>();
  auto record = parse_device_record(columns.blob());
  columns.require(record && record->user_id == user_id && record->device_id == device_id, "bytes that are no record");
  CHATSDK_TRY(columns.status());
  device.record = std::move(*record);
  return std::optional(std::move(device));
}

Result<bool> SqlNotes::is_former_list(const UserId& user_id, const Hash& list_hash, std::uint64_t after_ms) {
  return sql_(kIsFormer).first(user_id, blob(list_hash), after_ms);
}

Status SqlNotes::note_identity_changed(const UserId& peer, bool changed) {
  return sql_(kNoteIdentityChanged).run(peer, changed);
}

Result<bool> SqlNotes::note_passed_over(const UserId& user_id, const SigningKey& account_key) {
  constexpr std::size_t kKeyBytes = SigningKey::size();
  Bytes keys(account_key.view());
  {
    rows::Query query = sql_(kPassedOver);
    CHATSDK_ASSIGN(const bool is_known_user, query.first(user_id));
    const std::string_view noted = is_known_user ? query->blob(0) : std::string_view();
    for (std::size_t at = 0; at < noted.size(); at += kKeyBytes) {
      if (noted.substr(at, kKeyBytes) == account_key.view()) return false;
    }
    keys.append(noted.substr(0, (limits::e2ee::kReplacedMax - 1) * kKeyBytes));
  }
  CHATSDK_TRY(sql_(kNotePassedOver).run(user_id, Blob{keys}));
  return true;
}

Result<KnownMessage> SqlNotes::known_message(const ItemPlace& place, const UserId& sender, const ClientMessageId& id) {
  KnownMessage known;
  CHATSDK_TRY(for_each_row(
      sql_(kKnownMessages),
      [&known, &place](const sqlite::Statement& row) -> Status {
        const KnownMessage found = known_as(row, place.seq);
        if (found.state > known.state) known = found;
        return {};
      },
      place.conversation, sender_of(sender), id));
  return known;
}

Result<bool> SqlNotes::has_sent(ConversationId conversation, const ClientMessageId& id) {
  return sql_(kHasSent).first(conversation, id);
}

Result<std::uint64_t> SqlNotes::take_counter() {
  CHATSDK_TRY(sql_(kTakeCounter).run());
  return counter();
}

Result<std::uint64_t> SqlNotes::counter() {
  rows::Query query = sql_(kCounter);
  CHATSDK_ASSIGN(const bool told, query.first());
  if (!told || query->integer(0) < 0) return corrupt_row("e2ee_meta", "no counter");
  return unsigned_at(query.row(), 0);
}

Result<std::optional<MessageKey>> SqlNotes::waiting_message(const ClientMessageId& id) {
  rows::Query query = sql_(kWaiting);
  CHATSDK_ASSIGN(const bool waits, query.first(id));
  return waits ? std::optional(MessageKey{unsigned_at(query.row(), 0)}) : std::nullopt;
}

Status SqlNotes::note_sent(const Envelope& message, std::span<const SentTo> devices, std::uint64_t now_ms) {
  CHATSDK_ASSIGN(const auto key, waiting_message(message.client_message_id));
  if (!key) return error(Code::kNotFound, "the message does not wait in the outbox");
  CHATSDK_TRY(sql_(kForgetSent).run(*key));
  CHATSDK_TRY(sql_(kNoteSent).run(*key, now_ms, message.sender_time_ms, message.expires_after_s));
  for (const SentTo& to : devices) {
    CHATSDK_TRY(sql_(kNoteSentDevice).run(*key, to.device.device_id, to.device.user_id, blob(to.record)));
  }
  return {};
}

Result<std::optional<OwnMessage>> SqlNotes::own_message(const ClientMessageId& id) {
  rows::Query query = sql_(kOwnMessage);
  CHATSDK_ASSIGN(const bool there, query.first(id));
  if (!there) return std::optional<OwnMessage>();
  Columns columns("e2ee_sent", query.row());
  OwnMessage message;
  message.content = Bytes(columns.blob());
  message.sender_time_ms = columns.u64();
  message.expires_after_s = columns.u32();
  CHATSDK_TRY(columns.status());
  return std::optional(std::move(message));
}

std::optional<std::string_view> SqlNotes::sender_of(const UserId& user_id) const {
  return store_.is_owner(user_id) ? std::nullopt : std::optional<std::string_view>(user_id);
}

template <typename... Args>
Status SqlNotes::ask_no_more_for(const char* sql, const Args&... args) {
  CHATSDK_TRY(sql_(sql).run(args...));
  changes_->fewer_missing = changes_->fewer_missing || store_.db.changes() > 0;
  return {};
}

Result<bool> SqlNotes::repair(const ItemPlace& place, const Peer& sender, const ClientMessageId& id,
                              BytesView content) {
  MessageRef message;
  {
    rows::Query query = sql_(kPlaceholder);
    CHATSDK_ASSIGN(const bool stands,
                   query.first(place.conversation, place.seq, sender_of(sender.user_id), sender.device_id, id));
    if (!stands) return false;
    message = {ConversationKey{unsigned_at(query.row(), 1)}, MessageKey{unsigned_at(query.row(), 0)}};
  }
  CHATSDK_TRY(sql_(kFill).run(message.message, Blob{content}));
  CHATSDK_TRY(ask_no_more_for(kAskNoMoreFor, message.message));
  CHATSDK_TRY(sql_(kDropPlaceholder).run(message.message));
  CHATSDK_TRY(store_.content_came(message, *changes_));
  return true;
}

Status SqlNotes::note_placeholder(const ItemPlace& place, bool asked) {
  CHATSDK_TRY(sql_(kNotePlaceholder).run(place.conversation, place.seq, rows::place_of(place.seq), asked));
  if (!asked) return {};
  return sql_(kDeliveredFrom).run(place.conversation, place.seq);
}

// ---- Of tasks ------------------------------------------------------------------------------------------------------

Status SqlNotes::put_task(const Task& task) {
  return sql_(kPutTask).run(task.kind, task.conversation, task.to.user_id, task.to.device_id, task.target.target_seq,
                            task.target.target_id, blob(task.target.failed_session), task.client_message_id,
                            task.created_ms);
}

Result<Notes::TaskCount> SqlNotes::count_tasks(TaskKind kind, const Peer& to) {
  rows::Query query = sql_(kCountTasks);
  CHATSDK_ASSIGN([[maybe_unused]] const bool counted, query.first(kind, to.user_id, to.device_id));
  return TaskCount{static_cast<std::size_t>(query->integer(0)), static_cast<std::size_t>(query->integer(1)),
                   static_cast<std::size_t>(query->integer(2))};
}

Result<std::optional<Task>> SqlNotes::newest_of_most(TaskKind kind, std::size_t above) {
  rows::Query query = sql_(kNewestOfMost);
  return read_one_task(query, query.first(kind, above));
}

Result<std::optional<Task>> SqlNotes::task(const ClientMessageId& id) {
  rows::Query query = sql_(kTask);
  return read_one_task(query, query.first(id));
}

Result<std::vector<Task>> SqlNotes::tasks() {
  std::vector<Task> tasks;
  CHATSDK_TRY(for_each_row(sql_(kTasks), [&tasks](const sqlite::Statement& row) -> Status {
    CHATSDK_ASSIGN(tasks.emplace_back(), read_task(row));
    return {};
  }));
  return tasks;
}

Status SqlNotes::drop_task(std::int64_t id) { return sql_(kDropTask).run(id); }

Status SqlNotes::give_up_task(const Task& task) {
  CHATSDK_TRY(drop_task(task.id));
  if (task.kind != TaskKind::kRetry) return {};
  return ask_no_more_for(kAskNoMoreAt, task.conversation, task.target.target_seq);
}

Status SqlNotes::ask_no_more(const UserId& user_id, std::optional<DeviceId> device_id) {
  return ask_no_more_for(kAskNoMoreOf, sender_of(user_id), device_id);
}

Status SqlNotes::put_task_out(const Task& task, const Encrypted& encrypted) {
  if (encrypted.slices.size() != 1) return error(Code::kInternal, "a task is for one device");
  return sql_(kPutTaskOut)
      .run(task.id, encrypted.roster_revision, encrypted.own_list_version, encrypted.peer_list_version,
           encrypted.counter, Blob{encrypted.slices.front().message});
}

Result<std::optional<Encrypted>> SqlNotes::task_out(const Task& task) {
  rows::Query query = sql_(kTaskOut);
  CHATSDK_ASSIGN(const bool stored, query.first(task.id));
  if (!stored) return std::optional<Encrypted>();
  Encrypted encrypted;
  encrypted.roster_revision = unsigned_at(query.row(), 0);
  encrypted.own_list_version = unsigned_at(query.row(), 1);
  encrypted.peer_list_version = unsigned_at(query.row(), 2);
  encrypted.counter = unsigned_at(query.row(), 3);
  encrypted.slices.push_back({task.to, Bytes(query->blob(4))});
  return std::optional(std::move(encrypted));
}

Status SqlNotes::drop_task_out(std::int64_t id) { return sql_(kDropTaskOut).run(id); }

// ---- Of prekeys and ages -------------------------------------------------------------------------------------------

Result<std::vector<std::uint32_t>> SqlNotes::prekeys_to_upload() {
  std::vector<std::uint32_t> key_ids;
  CHATSDK_TRY(for_each_row(sql_(kToUpload), [&key_ids](const sqlite::Statement& row) {
    Columns columns("e2ee_prekey", row);
    key_ids.push_back(columns.u32());
    return columns.status();
  }));
  return key_ids;
}

Status SqlNotes::mark_uploaded(std::span<const std::uint32_t> key_ids) {
  for (const std::uint32_t key_id : key_ids) CHATSDK_TRY(sql_(kMarkUploaded).run(key_id));
  return {};
}

Status SqlNotes::upload_again(std::span<const std::uint32_t> key_ids) {
  for (const std::uint32_t key_id : key_ids) CHATSDK_TRY(sql_(kUploadAgain).run(key_id));
  return {};
}

Status SqlNotes::upload_all_again() { return sql_(kUploadAllAgain).run(); }

Status SqlNotes::forget_device() {
  for (const char* query : kForgetDevice) CHATSDK_TRY(sql_(query).run());
  return ask_no_more_for(kAskNoMore);
}

Status SqlNotes::forget_places() {
  for (const char* query : kForgetPlaces) CHATSDK_TRY(sql_(query).run());
  return ask_no_more_for(kAskNoMore);
}

Result<bool> SqlNotes::was_listed() {
  rows::Query query = sql_(kWasListed);
  CHATSDK_ASSIGN(const bool told, query.first());
  return told && query->integer(0) != 0;
}

Status SqlNotes::note_listed(bool was_listed) { return sql_(kNoteListed).run(was_listed); }

Result<bool> SqlNotes::last_resort_is_worn_out() {
  return sql_(kLastResortIsWornOut).first(PrekeyKind::kLastResort, limits::e2ee::kSeenMax);
}

Result<std::uint64_t> SqlNotes::aged_ms() {
  rows::Query query = sql_(kAged);
  CHATSDK_ASSIGN(const bool told, query.first());
  return told ? unsigned_at(query.row(), 0) : 0;
}

Status SqlNotes::age_notes(std::uint64_t now_ms, const Lifetimes& lifetimes) {
  const auto old = static_cast<std::int64_t>(now_ms) - std::chrono::milliseconds(limits::e2ee::kResendKept).count();
  for (const char* query : {kAgeSent, kAgeAsked, kAgeTasks}) CHATSDK_TRY(sql_(query).run(old));
  CHATSDK_TRY(ask_no_more_for(kAskNoMore));
  CHATSDK_TRY(sql_(kAgeFormer).run(static_cast<std::int64_t>(now_ms) - lifetimes.archived_kept.count()));
  return sql_(kPutAged).run(now_ms);
}

// ---- Bytes to send -------------------------------------------------------------------------------------------------

Status SqlNotes::put_out(const ClientMessageId& id, const Encrypted& encrypted) {
  CHATSDK_ASSIGN(const auto key, waiting_message(id));
  if (!key) return error(Code::kNotFound, "the message does not wait in the outbox");
  CHATSDK_TRY(sql_(kPutOut).run(*key, encrypted.roster_revision, encrypted.own_list_version,
                                encrypted.peer_list_version, encrypted.counter));
  for (const Slice& slice : encrypted.slices) {
    CHATSDK_TRY(sql_(kPutSlice).run(*key, slice.to.device_id, slice.to.user_id, Blob{slice.message}));
  }
  return {};
}

Result<std::optional<Encrypted>> SqlNotes::out(const ClientMessageId& id) {
  CHATSDK_ASSIGN(const auto key, waiting_message(id));
  if (!key) return std::optional<Encrypted>();
  Encrypted encrypted;
  {
    rows::Query query = sql_(kOut);
    CHATSDK_ASSIGN(const bool stored, query.first(*key));
    if (!stored) return std::optional<Encrypted>();
    encrypted.roster_revision = unsigned_at(query.row(), 0);
    encrypted.own_list_version = unsigned_at(query.row(), 1);
    encrypted.peer_list_version = unsigned_at(query.row(), 2);
    encrypted.counter = unsigned_at(query.row(), 3);
  }
  CHATSDK_TRY(for_each_row(
      sql_(kSlices),
      [&encrypted](const sqlite::Statement& row) -> Status {
        encrypted.slices.push_back({{UserId(row.text(1)), DeviceId{unsigned_at(row, 0)}}, Bytes(row.blob(2))});
        return {};
      },
      *key));
  return std::optional(std::move(encrypted));
}

Status SqlNotes::drop_out(const ClientMessageId& id) {
  CHATSDK_ASSIGN(const auto key, waiting_message(id));
  return key ? sql_(kDropOut).run(*key) : Status();
}

}  // namespace chatsdk::e2ee
