// SPDX-License-Identifier: Apache-2.0
#include "store/schema.h"

#include <array>
#include <string>

#include "base/limits.h"

namespace chatsdk::schema {

namespace {

// meta          one row: what belongs to the store as a whole. key_floor: no message key up to it is given out again;
//               revision: none up to it, after another opening.
//               device_id is the last session's, also after the tokens have gone: the send numbers are that device's.
// session       at most one row: the tokens.
// conversation  read_confirmed is the own read mark as the server has told it; a row above it is in
//               conversation_read_pending. peer: direct conversations.
// stream        the cursors.
// message       place orders a conversation's messages (rows.h). sender NULL is the store's owner, '' is nobody: a
//               placeholder. lost is a LostState. unshown: 1 for an annotation (docs/content.md).
// annotation    whom an unshown message names; author NULL is the owner.
// shown         what the annotations of a message come to. edit: the one whose content is shown, failed: an own one
//               that was refused; 0: none. deleted: also where its content is still needed, for sending.
// reaction      user '' is the owner. keys: a record of them.
// outbox        id is the message's key, also after the message of a kVoid row has gone. failure 0: none.
//               on_wire: 1 once handed to the transport, 2 once the server was asked to void it. discarded: of a kVoid
//               row in an encrypted conversation, what its message held: nobody else has it for this device.
// mark          user '' is the owner, here and in mark_advance, which keeps the server's time of each advance.
// group_info    of a conversation that is a group. rights: group::pack(). role: the owner's, standing: a GroupStanding,
//               both as of own_seq; the rest as of info_seq. members: how many are in it, as far as is known here.
//               members_known 0: nobody has said who all of them are; members_from: the items up to here did not come.
// operation     on a group, or by an invitation (conversation 0): request is group::write()'s. ended 1: answered;
// failure:
//               how it was refused; until: the item that tells what was done; told 1: the app knows.
// member        of a group; role 0: was one. seq: the item, or the page of the server's, that said so last. since: the
//               item by which they came, or members_from where that did not come here.
constexpr const char* kTables = R"sql(
CREATE TABLE meta(
  id INTEGER PRIMARY KEY CHECK (id = 1),
  revision INTEGER NOT NULL,
  key_floor INTEGER NOT NULL,
  store_epoch INTEGER NOT NULL,
  epoch_open INTEGER NOT NULL,
  any_lost INTEGER NOT NULL,
  installation_id BLOB NOT NULL,
  owner TEXT,
  device_id INTEGER NOT NULL,
  left_whole INTEGER NOT NULL DEFAULT 0,
  text_bytes_max INTEGER NOT NULL DEFAULT 0,
  gateway_url TEXT,
  gateway_server TEXT,
  gateway_expires INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE session(
  id INTEGER PRIMARY KEY CHECK (id = 1),
  user_id TEXT NOT NULL,
  device_id INTEGER NOT NULL,
  access_token TEXT NOT NULL,
  access_expires INTEGER NOT NULL,
  refresh_token TEXT NOT NULL,
  refresh_request_id BLOB NOT NULL
);
CREATE TABLE conversation(
  key INTEGER PRIMARY KEY AUTOINCREMENT,
  conversation_id INTEGER,
  kind INTEGER NOT NULL,
  peer TEXT,
  head INTEGER NOT NULL DEFAULT 0,
  read_up_to INTEGER NOT NULL DEFAULT 0,
  read_confirmed INTEGER NOT NULL DEFAULT 0,
  unread_count INTEGER NOT NULL DEFAULT 0,
  last_send_number INTEGER NOT NULL DEFAULT 0,
  created INTEGER NOT NULL,
  last_activity INTEGER NOT NULL,
  encrypted INTEGER NOT NULL DEFAULT 0,
  plain INTEGER NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX conversation_by_id ON conversation(conversation_id) WHERE conversation_id IS NOT NULL;
CREATE UNIQUE INDEX conversation_by_peer ON conversation(peer) WHERE peer IS NOT NULL;
CREATE INDEX conversation_by_activity ON conversation(last_activity);
CREATE INDEX conversation_read_pending ON conversation(read_up_to) WHERE read_up_to > read_confirmed;
CREATE TABLE stream(
  stream_id INTEGER PRIMARY KEY,
  kind INTEGER NOT NULL,
  conversation INTEGER,
  seq INTEGER NOT NULL,
  delivered_from INTEGER NOT NULL,
  marks_revision INTEGER NOT NULL,
  others_from INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX stream_by_conversation ON stream(conversation) WHERE conversation IS NOT NULL;
CREATE TABLE message(
  key INTEGER PRIMARY KEY,
  conversation INTEGER NOT NULL,
  place INTEGER NOT NULL,
  lost INTEGER NOT NULL,
  sender TEXT,
  sender_device INTEGER NOT NULL,
  message_id INTEGER NOT NULL,
  client_message_id BLOB,
  time INTEGER NOT NULL,
  content BLOB NOT NULL,
  unshown INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX message_by_place ON message(conversation, place, unshown);
CREATE INDEX message_by_client_id ON message(client_message_id) WHERE client_message_id IS NOT NULL;
CREATE TABLE annotation(
  message INTEGER PRIMARY KEY,
  conversation INTEGER NOT NULL,
  author TEXT,
  target BLOB NOT NULL
);
CREATE INDEX annotation_by_target ON annotation(conversation, target);
CREATE TABLE shown(
  message INTEGER PRIMARY KEY,
  edit INTEGER NOT NULL,
  edits INTEGER NOT NULL,
  pinned INTEGER NOT NULL,
  deleted INTEGER NOT NULL,
  failed INTEGER NOT NULL
);
CREATE TABLE reaction(
  message INTEGER NOT NULL,
  user TEXT NOT NULL,
  keys BLOB NOT NULL,
  PRIMARY KEY (message, user)
) WITHOUT ROWID;
CREATE TABLE outbox(
  id INTEGER PRIMARY KEY,
  conversation INTEGER NOT NULL,
  send_number INTEGER NOT NULL,
  kind INTEGER NOT NULL,
  client_message_id BLOB NOT NULL,
  deadline INTEGER NOT NULL,
  on_wire INTEGER NOT NULL,
  failure INTEGER NOT NULL,
  failure_detail TEXT,
  discarded BLOB
);
CREATE UNIQUE INDEX outbox_by_number ON outbox(conversation, send_number);
CREATE INDEX outbox_void ON outbox(client_message_id) WHERE kind = 1;
CREATE INDEX outbox_waiting ON outbox(deadline) WHERE kind = 0 AND failure = 0 AND on_wire = 0;
CREATE INDEX outbox_task ON outbox(client_message_id) WHERE kind = 2;
CREATE TABLE mark(
  conversation INTEGER NOT NULL,
  user TEXT NOT NULL,
  delivered_up_to INTEGER NOT NULL,
  read_up_to INTEGER NOT NULL,
  PRIMARY KEY (conversation, user)
) WITHOUT ROWID;
CREATE TABLE mark_advance(
  conversation INTEGER NOT NULL,
  user TEXT NOT NULL,
  kind INTEGER NOT NULL,
  up_to INTEGER NOT NULL,
  time INTEGER NOT NULL,
  PRIMARY KEY (conversation, user, kind, up_to)
) WITHOUT ROWID;
CREATE TABLE group_info(
  conversation INTEGER PRIMARY KEY,
  group_id BLOB NOT NULL,
  name TEXT NOT NULL,
  description TEXT NOT NULL,
  picture BLOB NOT NULL,
  rights INTEGER NOT NULL,
  history INTEGER NOT NULL,
  info_seq INTEGER NOT NULL,
  role INTEGER NOT NULL,
  standing INTEGER NOT NULL,
  own_seq INTEGER NOT NULL,
  members INTEGER NOT NULL,
  members_known INTEGER NOT NULL,
  members_from INTEGER NOT NULL
);
CREATE UNIQUE INDEX group_by_id ON group_info(group_id);
CREATE INDEX group_unknown ON group_info(conversation) WHERE members_known = 0 AND standing = 0;
CREATE TABLE operation(
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  id BLOB NOT NULL,
  conversation INTEGER NOT NULL,
  request BLOB NOT NULL,
  ended INTEGER NOT NULL,
  failure INTEGER NOT NULL,
  failure_detail TEXT,
  until INTEGER NOT NULL,
  requested INTEGER NOT NULL DEFAULT 0,
  told INTEGER NOT NULL
);
CREATE INDEX operation_by_conversation ON operation(conversation);
CREATE TABLE member(
  conversation INTEGER NOT NULL,
  user TEXT NOT NULL,
  role INTEGER NOT NULL,
  seq INTEGER NOT NULL,
  since INTEGER NOT NULL,
  PRIMARY KEY (conversation, user)
) WITHOUT ROWID;
)sql";

// ---- How older files come to them: kVersionN leads from version N - 1 to N. -----------------------------------------

// left_whole: the store was closed in order and nothing was written since.
constexpr const char* kVersion2 = "ALTER TABLE meta ADD COLUMN left_whole INTEGER NOT NULL DEFAULT 0;";

// text_bytes_max: the server's limit for a text, as its last welcome named it; 0: none came yet.
constexpr const char* kVersion3 = "ALTER TABLE meta ADD COLUMN text_bytes_max INTEGER NOT NULL DEFAULT 0;";

// gateway_url: where discovery last sent this device, by which server it was asked and until when that holds; NULL:
// never.
constexpr const char* kVersion4 =
    "ALTER TABLE meta ADD COLUMN gateway_url TEXT; ALTER TABLE meta ADD COLUMN gateway_server TEXT; "
    "ALTER TABLE meta ADD COLUMN gateway_expires INTEGER NOT NULL DEFAULT 0;";

// A place was 2 * seq, and 2 * seq - 1 of what a server has lost.
constexpr const char* kVersion5 =
    "UPDATE message SET place = (min(place, 70368744177664) + (lost IN (1, 2))) * 32768 - (lost IN (1, 2)) "
    "WHERE place < 4611686018427387904;";

// Whose deadline counts without the server: see kOverdue in device_store_send.cpp.
constexpr const char* kVersion6 =
    "CREATE INDEX outbox_waiting ON outbox(deadline) WHERE kind = 0 AND failure = 0 AND on_wire = 0;";

// encrypted: 1 once this device has begun it so, or a ROSTER item said so; never 0 again. Rows of kind 2 in the outbox
// are requests and repairs of encryption, which have no message.
constexpr const char* kVersion7 =
    "ALTER TABLE conversation ADD COLUMN encrypted INTEGER NOT NULL DEFAULT 0; "
    "CREATE INDEX outbox_task ON outbox(client_message_id) WHERE kind = 2;";

// others_from: up to here there are messages of a conversation that were for other devices of the owner alone.
constexpr const char* kVersion8 = "ALTER TABLE stream ADD COLUMN others_from INTEGER NOT NULL DEFAULT 0;";

// plain: a PlainState. Who has written in a plain conversation before has accepted that it is one.
constexpr const char* kVersion9 =
    "ALTER TABLE conversation ADD COLUMN plain INTEGER NOT NULL DEFAULT 0; "
    "UPDATE conversation SET plain = CASE WHEN conversation_id IS NULL OR EXISTS (SELECT 1 FROM message m WHERE "
    "m.conversation = conversation.key AND m.sender IS NULL) THEN 2 WHEN EXISTS (SELECT 1 FROM stream s WHERE "
    "s.conversation = conversation.key AND s.seq > 0) THEN 1 ELSE 0 END WHERE encrypted = 0 AND peer IS NOT NULL;";

// Annotations: messages that are not shown. Whatever they name is found by its client_message_id.
constexpr const char* kVersion10 =
    "ALTER TABLE message ADD COLUMN unshown INTEGER NOT NULL DEFAULT 0; DROP INDEX message_by_place; "
    "CREATE INDEX message_by_place ON message(conversation, place, unshown); DROP INDEX message_by_client_id; "
    "CREATE INDEX message_by_client_id ON message(client_message_id) WHERE client_message_id IS NOT NULL; "
    "CREATE TABLE annotation(message INTEGER PRIMARY KEY, conversation INTEGER NOT NULL, author TEXT, target BLOB NOT "
    "NULL); CREATE INDEX annotation_by_target ON annotation(conversation, target); CREATE TABLE shown(message INTEGER "
    "PRIMARY KEY, edit INTEGER NOT NULL, edits INTEGER NOT NULL, pinned INTEGER NOT NULL, deleted INTEGER NOT NULL, "
    "failed INTEGER NOT NULL); "
    "CREATE TABLE reaction(message INTEGER NOT NULL, user TEXT NOT NULL, keys BLOB NOT NULL, PRIMARY KEY (message, "
    "user)) WITHOUT ROWID;";

// discarded: see outbox.
constexpr const char* kVersion11 = "ALTER TABLE outbox ADD COLUMN discarded BLOB;";

// Groups.
constexpr const char* kVersion12 =
    "CREATE TABLE group_info(conversation INTEGER PRIMARY KEY, group_id BLOB NOT NULL, name TEXT NOT NULL, description "
    "TEXT NOT NULL, picture BLOB NOT NULL, rights INTEGER NOT NULL, history INTEGER NOT NULL, info_seq INTEGER NOT "
    "NULL, role INTEGER NOT NULL, standing INTEGER NOT NULL, own_seq INTEGER NOT NULL, members INTEGER NOT NULL, "
    "members_known INTEGER NOT NULL, members_from INTEGER NOT NULL); CREATE UNIQUE INDEX group_by_id ON "
    "group_info(group_id); CREATE INDEX group_unknown ON group_info(conversation) WHERE members_known = 0 AND standing "
    "= 0; CREATE TABLE operation(number INTEGER PRIMARY KEY AUTOINCREMENT, id BLOB NOT NULL, conversation INTEGER NOT "
    "NULL, request BLOB NOT NULL, ended INTEGER NOT NULL, failure INTEGER NOT NULL, failure_detail TEXT, until INTEGER "
    "NOT NULL, requested INTEGER NOT NULL DEFAULT 0, told INTEGER NOT NULL); CREATE INDEX operation_by_conversation ON "
    "operation(conversation); CREATE TABLE member(conversation INTEGER NOT NULL, user TEXT NOT NULL, role INTEGER NOT "
    "NULL, seq INTEGER "
    "NOT NULL, since INTEGER NOT NULL, PRIMARY KEY (conversation, user)) WITHOUT ROWID;";

// From version 1 on, one after the other. A step that a release contained never changes.
constexpr std::array<const char*, kVersion - 1> kMigrations = {kVersion2,  kVersion3,  kVersion4, kVersion5,
                                                               kVersion6,  kVersion7,  kVersion8, kVersion9,
                                                               kVersion10, kVersion11, kVersion12};

Status insert_meta(sqlite::Database& db, Random& keys) {
  CHATSDK_ASSIGN(auto insert, db.prepare("INSERT INTO meta(id, revision, key_floor, store_epoch, epoch_open, any_lost, "
                                         "installation_id, device_id) VALUES (1, 1, 0, 0, 0, 0, ?1, 0)"));
  const std::string installation_id = keys.bytes(limits::kInstallationIdBytes);
  return insert.bind_blob(1, installation_id).run();
}

}  // namespace

Status migrate(sqlite::Database& db, Random& keys) {
  CHATSDK_ASSIGN(const std::int64_t found, db.user_version());
  if (found == kVersion) return {};
  if (found > kVersion || found < 0) {
    return error(Code::kSchemaTooNew,
                 "schema version " + std::to_string(found) + ", this library knows " + std::to_string(kVersion));
  }
  CHATSDK_ASSIGN(auto transaction, sqlite::Transaction::begin(db));
  if (found == 0) {
    CHATSDK_TRY(db.execute(kTables));
    CHATSDK_TRY(insert_meta(db, keys));
  } else {
    for (auto version = static_cast<std::size_t>(found); version < kVersion; ++version) {
      CHATSDK_TRY(db.execute(kMigrations[version - 1]));
    }
  }
  CHATSDK_TRY(db.set_user_version(kVersion));
  return transaction.commit();
}

}  // namespace chatsdk::schema
