// SPDX-License-Identifier: Apache-2.0
#include "store/e2ee_schema.h"

#include <array>
#include <string>

namespace chatsdk::e2ee_schema {

namespace {

// e2ee_meta        one row. counter: the encryption_counter of section 11.5; aged: when what is old last went.
// e2ee_self        at most one row: this device. replaces: the device_id that it had with other keys, 0: none.
// e2ee_prekey      successor 0: the newest of its kind; uploaded: the server has said that it has it; seen: how many
//                  rows of e2ee_seen are its own.
// e2ee_user        what is known of a user, with the account keys before (by place), the lists and their records.
// e2ee_session     section 8.1, but for what has tables of its own. What is none is NULL. for_request: it was begun for
//                  a retry request (section 11.2).
// e2ee_prefix      of a set-up that was not answered yet.
// e2ee_sent        a message that was encrypted here, and e2ee_sent_device for which devices; answered: a retry request
//                  of the device was.
// e2ee_asked       an item that a retry request was made for.
// e2ee_placeholder a message that could not be decrypted, and nobody has repaired. asked: somebody may repair it yet.
//                  While that is so, its stream counts as delivered from its seq on only; delivered_before is from
//                  where that was before.
// e2ee_roster      of an encrypted conversation at its cursor, with its members in e2ee_member.
// e2ee_direct      encrypted: this device writes with the peer so, whatever the server says later (section 10);
//                  changed: there was an identity change that the app has not accepted; forgotten: the app had all
//                  forgotten that was known of the peer, and no list has come since.
// e2ee_event       what the app is to hear of lists and identities, and has not taken yet.
// e2ee_out         the bytes that a row of the outbox is sent as, and e2ee_slice those for each device.
// e2ee_task        a retry request or a repair that waits to be sent, and e2ee_task_out the bytes that it is sent as.
constexpr const char* kVersion1 = R"sql(
CREATE TABLE e2ee_meta(
  id INTEGER PRIMARY KEY CHECK (id = 1),
  version INTEGER NOT NULL,
  counter INTEGER NOT NULL,
  aged INTEGER NOT NULL
);
INSERT INTO e2ee_meta(id, version, counter, aged) VALUES (1, 0, 0, 0);
CREATE TABLE e2ee_self(
  id INTEGER PRIMARY KEY CHECK (id = 1),
  account_seed BLOB NOT NULL,
  registration_id INTEGER NOT NULL,
  signing_seed BLOB NOT NULL,
  agreement_secret BLOB NOT NULL,
  next_key_id INTEGER NOT NULL,
  record BLOB NOT NULL,
  replaces INTEGER NOT NULL
);
CREATE TABLE e2ee_prekey(
  key_id INTEGER PRIMARY KEY,
  kind INTEGER NOT NULL,
  secret BLOB NOT NULL,
  created INTEGER NOT NULL,
  successor INTEGER NOT NULL,
  uploaded INTEGER NOT NULL DEFAULT 0,
  seen INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX e2ee_prekey_to_upload ON e2ee_prekey(key_id) WHERE uploaded = 0;
CREATE TABLE e2ee_seen(
  key_id INTEGER NOT NULL REFERENCES e2ee_prekey(key_id) ON DELETE CASCADE,
  ephemeral BLOB NOT NULL,
  PRIMARY KEY (key_id, ephemeral)
) WITHOUT ROWID;
CREATE TABLE e2ee_user(
  user TEXT PRIMARY KEY,
  account_key BLOB NOT NULL,
  verified INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE e2ee_replaced(
  user TEXT NOT NULL REFERENCES e2ee_user(user) ON DELETE CASCADE,
  place INTEGER NOT NULL,
  account_key BLOB NOT NULL,
  PRIMARY KEY (user, place)
) WITHOUT ROWID;
CREATE TABLE e2ee_list(
  user TEXT NOT NULL REFERENCES e2ee_user(user) ON DELETE CASCADE,
  version INTEGER NOT NULL,
  list BLOB NOT NULL,
  PRIMARY KEY (user, version)
) WITHOUT ROWID;
CREATE TABLE e2ee_record(
  user TEXT NOT NULL REFERENCES e2ee_user(user) ON DELETE CASCADE,
  hash BLOB NOT NULL,
  record BLOB NOT NULL,
  PRIMARY KEY (user, hash)
) WITHOUT ROWID;
CREATE TABLE e2ee_session(
  id INTEGER PRIMARY KEY,
  user TEXT NOT NULL,
  device INTEGER NOT NULL,
  session_id BLOB NOT NULL,
  peer_record BLOB NOT NULL,
  suite INTEGER NOT NULL,
  role INTEGER NOT NULL,
  status INTEGER NOT NULL,
  associated BLOB NOT NULL,
  root BLOB NOT NULL,
  ratchet_secret BLOB,
  ratchet_public BLOB,
  sending_key BLOB,
  send_count INTEGER NOT NULL,
  previous_count INTEGER NOT NULL,
  peer_ratchet_key BLOB,
  chains_begun INTEGER NOT NULL,
  created INTEGER NOT NULL,
  archived INTEGER NOT NULL,
  for_request INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX e2ee_session_by_device ON e2ee_session(device);
CREATE TABLE e2ee_prefix(
  session INTEGER PRIMARY KEY REFERENCES e2ee_session(id) ON DELETE CASCADE,
  prefix BLOB NOT NULL
);
CREATE TABLE e2ee_chain(
  session INTEGER NOT NULL REFERENCES e2ee_session(id) ON DELETE CASCADE,
  number INTEGER NOT NULL,
  ratchet_key BLOB NOT NULL,
  chain_key BLOB NOT NULL,
  next INTEGER NOT NULL,
  end INTEGER NOT NULL,
  superseded INTEGER NOT NULL,
  PRIMARY KEY (session, number)
) WITHOUT ROWID;
CREATE TABLE e2ee_skipped(
  session INTEGER NOT NULL REFERENCES e2ee_session(id) ON DELETE CASCADE,
  chain INTEGER NOT NULL,
  number INTEGER NOT NULL,
  key BLOB NOT NULL,
  created INTEGER NOT NULL,
  PRIMARY KEY (session, chain, number)
) WITHOUT ROWID;
CREATE INDEX e2ee_skipped_by_age ON e2ee_skipped(created);
CREATE TABLE e2ee_own_chain(
  conversation_id INTEGER PRIMARY KEY,
  chain_id BLOB NOT NULL,
  chain_key BLOB NOT NULL,
  next INTEGER NOT NULL,
  signing_seed BLOB NOT NULL,
  roster_revision INTEGER NOT NULL,
  created INTEGER NOT NULL
);
CREATE TABLE e2ee_received_chain(
  conversation_id INTEGER NOT NULL,
  device INTEGER NOT NULL,
  user TEXT NOT NULL,
  place INTEGER NOT NULL,
  chain_id BLOB NOT NULL,
  chain_key BLOB NOT NULL,
  next INTEGER NOT NULL,
  signing_key BLOB NOT NULL,
  PRIMARY KEY (conversation_id, device, user, place)
) WITHOUT ROWID;

CREATE TABLE e2ee_sent(
  message INTEGER PRIMARY KEY REFERENCES message(key) ON DELETE CASCADE,
  created INTEGER NOT NULL,
  sender_time INTEGER NOT NULL,
  expires_after INTEGER NOT NULL
);
CREATE INDEX e2ee_sent_by_age ON e2ee_sent(created);
CREATE TABLE e2ee_sent_device(
  message INTEGER NOT NULL REFERENCES e2ee_sent(message) ON DELETE CASCADE,
  device INTEGER NOT NULL,
  user TEXT NOT NULL,
  answered INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (message, device, user)
) WITHOUT ROWID;
CREATE TABLE e2ee_asked(
  conversation_id INTEGER NOT NULL,
  seq INTEGER NOT NULL,
  created INTEGER NOT NULL,
  PRIMARY KEY (conversation_id, seq)
) WITHOUT ROWID;
CREATE INDEX e2ee_asked_by_age ON e2ee_asked(created);
CREATE TABLE e2ee_placeholder(
  message INTEGER PRIMARY KEY REFERENCES message(key) ON DELETE CASCADE,
  conversation_id INTEGER NOT NULL,
  seq INTEGER NOT NULL,
  delivered_before INTEGER NOT NULL
);
CREATE INDEX e2ee_placeholder_by_before ON e2ee_placeholder(conversation_id, delivered_before);
CREATE TABLE e2ee_roster(
  conversation_id INTEGER PRIMARY KEY,
  revision INTEGER NOT NULL
);
CREATE TABLE e2ee_member(
  conversation_id INTEGER NOT NULL REFERENCES e2ee_roster(conversation_id) ON DELETE CASCADE,
  user TEXT NOT NULL,
  list_version INTEGER NOT NULL,
  list_hash BLOB NOT NULL,
  PRIMARY KEY (conversation_id, user)
) WITHOUT ROWID;
CREATE TABLE e2ee_direct(
  peer TEXT PRIMARY KEY,
  encrypted INTEGER NOT NULL DEFAULT 0,
  blocks INTEGER NOT NULL DEFAULT 0,
  changed INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE TABLE e2ee_out(
  message INTEGER PRIMARY KEY REFERENCES outbox(id) ON DELETE CASCADE,
  roster_revision INTEGER NOT NULL,
  own_list_version INTEGER NOT NULL,
  peer_list_version INTEGER NOT NULL,
  counter INTEGER NOT NULL
);
CREATE TABLE e2ee_slice(
  id INTEGER PRIMARY KEY,
  message INTEGER NOT NULL REFERENCES e2ee_out(message) ON DELETE CASCADE,
  device INTEGER NOT NULL,
  user TEXT NOT NULL,
  bytes BLOB NOT NULL
);
CREATE UNIQUE INDEX e2ee_slice_by_device ON e2ee_slice(message, device);
CREATE TRIGGER e2ee_outbox_other AFTER UPDATE OF kind, client_message_id ON outbox BEGIN
  DELETE FROM e2ee_out WHERE message = new.id;
END;
CREATE TABLE e2ee_task(
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  kind INTEGER NOT NULL,
  conversation_id INTEGER NOT NULL,
  user TEXT NOT NULL,
  device INTEGER NOT NULL,
  target_seq INTEGER NOT NULL,
  target_id BLOB NOT NULL,
  failed_session BLOB NOT NULL,
  client_message_id BLOB NOT NULL,
  created INTEGER NOT NULL
);
CREATE TABLE e2ee_task_out(
  task INTEGER PRIMARY KEY REFERENCES e2ee_task(id) ON DELETE CASCADE,
  roster_revision INTEGER NOT NULL,
  own_list_version INTEGER NOT NULL,
  peer_list_version INTEGER NOT NULL,
  counter INTEGER NOT NULL,
  bytes BLOB NOT NULL
);
)sql";

// What was noted as sent named no keys: nobody is answered by it any more. e2ee_sent_device.record: the hash of the
// device's record. e2ee_awaited: a version of a user's list that a set-up has authenticated, and nobody has shown to
// this device. With another store epoch every stream is read from its beginning, rosters with it.
constexpr const char* kVersion2 = R"sql(
CREATE INDEX e2ee_member_by_user ON e2ee_member(user);
CREATE TRIGGER e2ee_other_epoch AFTER UPDATE OF store_epoch ON meta WHEN new.store_epoch <> old.store_epoch BEGIN
  DELETE FROM e2ee_roster;
  DELETE FROM e2ee_awaited;
END;
CREATE TABLE e2ee_awaited(
  user TEXT PRIMARY KEY,
  version INTEGER NOT NULL
) WITHOUT ROWID;
DELETE FROM e2ee_sent;
DROP TABLE e2ee_sent_device;
CREATE TABLE e2ee_sent_device(
  message INTEGER NOT NULL REFERENCES e2ee_sent(message) ON DELETE CASCADE,
  device INTEGER NOT NULL,
  user TEXT NOT NULL,
  record BLOB NOT NULL,
  answered INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (message, device, user)
) WITHOUT ROWID;
)sql";

// e2ee_reached: of the conversation with the peer, the version of a user's list that its roster had reached in an
// earlier epoch. e2ee_former: the devices of each list of an account key that was replaced, since when.
constexpr const char* kVersion3 = R"sql(
CREATE TABLE e2ee_reached(
  peer TEXT NOT NULL,
  user TEXT NOT NULL,
  version INTEGER NOT NULL,
  PRIMARY KEY (peer, user)
) WITHOUT ROWID;
CREATE TABLE e2ee_former(
  user TEXT NOT NULL,
  list_hash BLOB NOT NULL,
  device INTEGER NOT NULL,
  account_key BLOB NOT NULL,
  record BLOB NOT NULL,
  since INTEGER NOT NULL,
  PRIMARY KEY (user, list_hash, device)
) WITHOUT ROWID;
DROP TRIGGER e2ee_other_epoch;
CREATE TRIGGER e2ee_other_epoch AFTER UPDATE OF store_epoch ON meta WHEN new.store_epoch <> old.store_epoch BEGIN
  INSERT INTO e2ee_reached(peer, user, version) SELECT d.peer, m.user, max(m.list_version) FROM e2ee_direct d JOIN
    e2ee_member p ON p.user = d.peer JOIN e2ee_member m ON m.conversation_id = p.conversation_id GROUP BY d.peer, m.user
    ON CONFLICT(peer, user) DO UPDATE SET version = max(version, excluded.version);
  DELETE FROM e2ee_roster;
  DELETE FROM e2ee_awaited;
END;
)sql";

// e2ee_next_self: as e2ee_self, of an account that was begun and that no list of the server's has shown yet.
constexpr const char* kVersion4 = R"sql(
CREATE TABLE e2ee_next_self(
  id INTEGER PRIMARY KEY CHECK (id = 1),
  account_seed BLOB NOT NULL,
  registration_id INTEGER NOT NULL,
  signing_seed BLOB NOT NULL,
  agreement_secret BLOB NOT NULL,
  next_key_id INTEGER NOT NULL,
  record BLOB NOT NULL,
  replaces INTEGER NOT NULL
);
)sql";

// list_in_doubt: the server's store went back, and has not been seen to have the own list since. Of a store of before
// nobody knows.
constexpr const char* kVersion5 = R"sql(
ALTER TABLE e2ee_meta ADD COLUMN list_in_doubt INTEGER NOT NULL DEFAULT 0;
UPDATE e2ee_meta SET list_in_doubt = 1 WHERE version > 0;
CREATE TRIGGER e2ee_list_in_doubt AFTER UPDATE OF store_epoch ON meta WHEN new.store_epoch <> old.store_epoch AND
    old.store_epoch <> 0 BEGIN
  UPDATE e2ee_meta SET list_in_doubt = 1;
END;
)sql";

// Nothing ever set e2ee_direct.blocks. e2ee_user.passed_over: other account keys, of lists of before, that the app was
// told of: one behind the other, the newest first.
constexpr const char* kVersion6 = R"sql(
CREATE TABLE e2ee_direct_before AS SELECT peer, encrypted, changed FROM e2ee_direct;
DROP TABLE e2ee_direct;
CREATE TABLE e2ee_direct(
  peer TEXT PRIMARY KEY,
  encrypted INTEGER NOT NULL DEFAULT 0,
  changed INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
INSERT INTO e2ee_direct(peer, encrypted, changed) SELECT peer, encrypted, changed FROM e2ee_direct_before;
DROP TABLE e2ee_direct_before;
ALTER TABLE e2ee_user ADD COLUMN passed_over BLOB;
)sql";

// What counts as missing, e2ee_placeholder.asked, was never taken back: until then it was whatever the delivered_from
// of a stream, or of a later placeholder, leads to. e2ee_placeholder_over: nobody is asked for it any more, and what
// counts as delivered begins where it did before.
constexpr const char* kVersion7 = R"sql(
ALTER TABLE e2ee_placeholder ADD COLUMN asked INTEGER NOT NULL DEFAULT 0;
UPDATE e2ee_placeholder SET asked = 1 WHERE EXISTS (SELECT 1 FROM message m WHERE m.key = e2ee_placeholder.message AND
  m.lost = 0 AND m.place = e2ee_placeholder.seq * 65536) AND (EXISTS (SELECT 1 FROM stream s WHERE s.stream_id =
  e2ee_placeholder.conversation_id AND s.delivered_from = e2ee_placeholder.seq) OR EXISTS (SELECT 1 FROM
  e2ee_placeholder later WHERE later.conversation_id = e2ee_placeholder.conversation_id AND later.delivered_before =
  e2ee_placeholder.seq));
CREATE INDEX e2ee_placeholder_asked ON e2ee_placeholder(conversation_id, seq) WHERE asked = 1;
CREATE TRIGGER e2ee_placeholder_over AFTER UPDATE OF asked ON e2ee_placeholder WHEN old.asked = 1 AND new.asked = 0
    BEGIN
  UPDATE e2ee_placeholder SET delivered_before = old.delivered_before WHERE conversation_id = old.conversation_id AND
    delivered_before = old.seq;
  UPDATE stream SET delivered_from = old.delivered_before WHERE stream_id = old.conversation_id AND delivered_from =
    old.seq;
END;
UPDATE e2ee_placeholder SET asked = 0 WHERE asked = 1 AND NOT EXISTS (SELECT 1 FROM e2ee_asked a WHERE
  a.conversation_id = e2ee_placeholder.conversation_id AND a.seq = e2ee_placeholder.seq);
CREATE INDEX e2ee_task_by_device ON e2ee_task(kind, user, device);
CREATE INDEX e2ee_task_by_client_id ON e2ee_task(client_message_id);
)sql";

// Sender chains belong to a group_id. No version before has made any.
constexpr const char* kVersion8 = R"sql(
DROP TABLE e2ee_own_chain;
DROP TABLE e2ee_received_chain;
CREATE TABLE e2ee_own_chain(
  group_id BLOB PRIMARY KEY,
  chain_id BLOB NOT NULL,
  chain_key BLOB NOT NULL,
  next INTEGER NOT NULL,
  signing_seed BLOB NOT NULL,
  roster_revision INTEGER NOT NULL,
  created INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE e2ee_received_chain(
  group_id BLOB NOT NULL,
  device INTEGER NOT NULL,
  user TEXT NOT NULL,
  place INTEGER NOT NULL,
  chain_id BLOB NOT NULL,
  chain_key BLOB NOT NULL,
  next INTEGER NOT NULL,
  signing_key BLOB NOT NULL,
  PRIMARY KEY (group_id, device, user, place)
) WITHOUT ROWID;
)sql";

// replacing: another account key was asked for: NULL no; else the one in whose place that of e2ee_next_self is to come,
// or empty before that is drawn.
constexpr const char* kVersion9 = R"sql(
ALTER TABLE e2ee_meta ADD COLUMN replacing BLOB;
)sql";

// e2ee_direct.forgotten: the app had all forgotten that was known of the peer, and no list has come since.
// e2ee_meta.left_list: the hash of the newest own list under the key that this device holds, when another key came.
constexpr const char* kVersion10 = R"sql(
ALTER TABLE e2ee_meta ADD COLUMN left_list BLOB;
ALTER TABLE e2ee_direct ADD COLUMN forgotten INTEGER NOT NULL DEFAULT 0;
)sql";

// e2ee_event: what the app is to hear and has not taken yet. A number is given once.
constexpr const char* kVersion11 = R"sql(
CREATE TABLE e2ee_event(
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  kind INTEGER NOT NULL,
  user TEXT NOT NULL,
  device INTEGER NOT NULL,
  UNIQUE (user, device, kind)
);
)sql";

// e2ee_former_list: lists of account keys that were replaced, since when, the newest with the highest id, with their
// devices, whose records are kept once; record_hash: NULL in those of a version before. e2ee_meta.granted: which
// devices this one has let in, one behind the other, and nobody has seen in a list yet.
constexpr const char* kVersion12 = R"sql(
CREATE TABLE e2ee_former_list(
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  user TEXT NOT NULL,
  list_hash BLOB NOT NULL,
  account_key BLOB NOT NULL,
  since INTEGER NOT NULL
);
CREATE UNIQUE INDEX e2ee_former_by_hash ON e2ee_former_list(user, list_hash);
CREATE TABLE e2ee_former_record(
  id INTEGER PRIMARY KEY,
  record_hash BLOB,
  record BLOB NOT NULL
);
CREATE UNIQUE INDEX e2ee_former_record_by_hash ON e2ee_former_record(record_hash);
CREATE TABLE e2ee_former_device(
  list INTEGER NOT NULL REFERENCES e2ee_former_list(id) ON DELETE CASCADE,
  device INTEGER NOT NULL,
  record INTEGER NOT NULL,
  PRIMARY KEY (list, device)
) WITHOUT ROWID;
CREATE INDEX e2ee_former_device_by_record ON e2ee_former_device(record);
CREATE TRIGGER e2ee_former_gone AFTER DELETE ON e2ee_former_device BEGIN
  DELETE FROM e2ee_former_record WHERE id = old.record AND NOT EXISTS (SELECT 1 FROM e2ee_former_device d WHERE
    d.record = old.record);
END;
INSERT INTO e2ee_former_list(user, list_hash, account_key, since) SELECT user, list_hash, max(account_key), max(since)
  FROM e2ee_former GROUP BY user, list_hash ORDER BY max(since);
INSERT INTO e2ee_former_record(record) SELECT DISTINCT record FROM e2ee_former;
INSERT INTO e2ee_former_device(list, device, record) SELECT l.id, f.device, r.id FROM e2ee_former f
  JOIN e2ee_former_list l ON l.user = f.user AND l.list_hash = f.list_hash
  JOIN e2ee_former_record r ON r.record = f.record;
DROP TABLE e2ee_former;
ALTER TABLE e2ee_meta ADD COLUMN granted BLOB;
)sql";

// e2ee_meta.listed: a list that was learned has named this device, or the one that it takes the place of. Of a store of
// before the lists that are kept say so.
constexpr const char* kVersion13 = R"sql(
ALTER TABLE e2ee_meta ADD COLUMN listed INTEGER NOT NULL DEFAULT 0;
UPDATE e2ee_meta SET listed = 1 WHERE EXISTS (SELECT 1 FROM e2ee_self s WHERE s.replaces <> 0 OR EXISTS (SELECT 1 FROM
  e2ee_record r WHERE r.record = s.record));
)sql";

constexpr std::array<const char*, kVersion> kMigrations = {kVersion1,  kVersion2,  kVersion3, kVersion4, kVersion5,
                                                           kVersion6,  kVersion7,  kVersion8, kVersion9, kVersion10,
                                                           kVersion11, kVersion12, kVersion13};

constexpr const char* kTables[] = {"e2ee_meta",        "e2ee_self",          "e2ee_prekey",         "e2ee_seen",
                                   "e2ee_user",        "e2ee_replaced",      "e2ee_list",           "e2ee_record",
                                   "e2ee_session",     "e2ee_prefix",        "e2ee_chain",          "e2ee_skipped",
                                   "e2ee_own_chain",   "e2ee_sent",          "e2ee_received_chain", "e2ee_asked",
                                   "e2ee_placeholder", "e2ee_roster",        "e2ee_sent_device",    "e2ee_member",
                                   "e2ee_direct",      "e2ee_out",           "e2ee_slice",          "e2ee_task",
                                   "e2ee_task_out",    "e2ee_awaited",       "e2ee_reached",        "e2ee_next_self",
                                   "e2ee_former_list", "e2ee_former_device", "e2ee_former_record",  "e2ee_event"};

// 0: there are no tables yet.
Result<std::int64_t> version_of(sqlite::Database& db) {
  CHATSDK_ASSIGN(auto tables, db.prepare("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'e2ee_meta'"));
  CHATSDK_ASSIGN(const bool made, tables.step());
  if (!made) return std::int64_t{0};
  tables.reset();
  CHATSDK_ASSIGN(auto meta, db.prepare("SELECT version FROM e2ee_meta WHERE id = 1"));
  CHATSDK_ASSIGN(const bool told, meta.step());
  const std::int64_t version = told ? meta.integer(0) : 0;
  if (version < 1) return error(Code::kCorrupt, "e2ee_meta: tables of version " + std::to_string(version));
  return version;
}

}  // namespace

Status migrate(sqlite::Database& db) {
  CHATSDK_ASSIGN(const std::int64_t found, version_of(db));
  if (found == kVersion) return {};
  if (found > kVersion) {
    return error(Code::kSchemaTooNew, "encryption's tables of version " + std::to_string(found) +
                                          ", this library knows " + std::to_string(kVersion));
  }
  for (auto version = static_cast<std::size_t>(found); version < kMigrations.size(); ++version) {
    CHATSDK_TRY(db.execute(kMigrations[version]));
  }
  CHATSDK_ASSIGN(auto update, db.prepare("UPDATE e2ee_meta SET version = ?1"));
  return update.bind(1, kVersion).run();
}

std::span<const char* const> tables() { return kTables; }

}  // namespace chatsdk::e2ee_schema
