// SPDX-License-Identifier: Apache-2.0
#include "server-reference/store/schema.h"

#include <array>
#include <string>

namespace chatsdk::server {

namespace {

// The first key column of every stream table is the stream, so that the same rows can be partitioned by it elsewhere.
// Tables with a compound key have no row id: their rows lie in key order, and one append touches one leaf.
constexpr const char* kVersion1 = R"sql(
-- What the store itself remembers: epoch, secret.
CREATE TABLE meta(
  name  TEXT NOT NULL PRIMARY KEY,
  value BLOB NOT NULL
) WITHOUT ROWID;

-- One row, written by every commit that changes anything.
CREATE TABLE progress(
  one             INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
  commits         INTEGER NOT NULL,
  last_message_id INTEGER NOT NULL
);

CREATE TABLE stream(
  stream_id         INTEGER NOT NULL PRIMARY KEY,
  kind              INTEGER NOT NULL,  -- wire::StreamKind
  conversation_kind INTEGER NOT NULL,  -- wire::ConversationKind, 0 for account streams
  head              INTEGER NOT NULL,
  trimmed_to        INTEGER NOT NULL
);

CREATE TABLE item(
  stream_id         INTEGER NOT NULL,
  seq               INTEGER NOT NULL,
  kind              INTEGER NOT NULL,  -- wire::ItemKind
  message_id        INTEGER NOT NULL,
  sender            TEXT    NOT NULL,  -- '' for what the server itself appends
  sender_device     INTEGER NOT NULL,
  client_message_id BLOB    NOT NULL,
  time_ms           INTEGER NOT NULL,
  payload           BLOB    NOT NULL,  -- the serialised body of the kind
  PRIMARY KEY (stream_id, seq)
) WITHOUT ROWID;

-- seq 0 is a tombstone: the message was voided and never will be accepted.
CREATE TABLE dedup(
  stream_id         INTEGER NOT NULL,
  sender            TEXT    NOT NULL,
  client_message_id BLOB    NOT NULL,
  seq               INTEGER NOT NULL,
  payload_hash      BLOB    NOT NULL,
  created_ms        INTEGER NOT NULL,
  PRIMARY KEY (stream_id, sender, client_message_id)
) WITHOUT ROWID;

-- Who may read from joined_seq to left_seq, both included. The owner is the one member of an account stream.
CREATE TABLE member(
  stream_id  INTEGER NOT NULL,
  user_id    TEXT    NOT NULL,
  interval   INTEGER NOT NULL,  -- 1, 2, ... : rejoining makes another
  role       INTEGER NOT NULL,
  joined_seq INTEGER NOT NULL,
  left_seq   INTEGER,           -- NULL: still a member
  PRIMARY KEY (stream_id, user_id, interval)
) WITHOUT ROWID;
CREATE INDEX member_by_user ON member(user_id, stream_id);

-- The direct conversation of each pair; user_low sorts before user_high.
CREATE TABLE direct(
  user_low  TEXT    NOT NULL,
  user_high TEXT    NOT NULL,
  stream_id INTEGER NOT NULL,
  PRIMARY KEY (user_low, user_high)
) WITHOUT ROWID;

-- The last send number that was accepted or closed.
CREATE TABLE send_number(
  device_id INTEGER NOT NULL,
  stream_id INTEGER NOT NULL,
  last      INTEGER NOT NULL,
  PRIMARY KEY (device_id, stream_id)
) WITHOUT ROWID;

CREATE TABLE mark(
  stream_id       INTEGER NOT NULL,
  user_id         TEXT    NOT NULL,
  delivered_up_to INTEGER NOT NULL,
  read_up_to      INTEGER NOT NULL,
  PRIMARY KEY (stream_id, user_id)
) WITHOUT ROWID;

CREATE TABLE mark_revision(
  stream_id INTEGER NOT NULL PRIMARY KEY,
  revision  INTEGER NOT NULL
);

CREATE TABLE mark_advance(
  stream_id INTEGER NOT NULL,
  revision  INTEGER NOT NULL,
  user_id   TEXT    NOT NULL,
  kind      INTEGER NOT NULL,  -- wire::Marks::Kind
  up_to     INTEGER NOT NULL,
  time_ms   INTEGER NOT NULL,
  PRIMARY KEY (stream_id, revision)
) WITHOUT ROWID;

CREATE TABLE cursor(
  device_id INTEGER NOT NULL,
  stream_id INTEGER NOT NULL,
  acked     INTEGER NOT NULL,
  PRIMARY KEY (device_id, stream_id)
) WITHOUT ROWID;

CREATE TABLE account(
  user_id        TEXT    NOT NULL PRIMARY KEY,
  account_stream INTEGER NOT NULL,
  password_hash  TEXT    NOT NULL,
  display_name   TEXT    NOT NULL,
  email          TEXT    UNIQUE,  -- NULL when none was given
  phone          TEXT    UNIQUE,
  created_ms     INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE device(
  device_id       INTEGER NOT NULL PRIMARY KEY,
  user_id         TEXT    NOT NULL,
  installation_id BLOB    NOT NULL,
  name            TEXT    NOT NULL,
  created_ms      INTEGER NOT NULL,
  last_seen_ms    INTEGER NOT NULL,
  UNIQUE (user_id, installation_id)
);

-- At most one open session a device. An ended one has no row.
CREATE TABLE session(
  session_id      INTEGER NOT NULL PRIMARY KEY,
  device_id       INTEGER NOT NULL UNIQUE,
  user_id         TEXT    NOT NULL,
  generation      INTEGER NOT NULL,
  last_request_id BLOB    NOT NULL,
  expires_ms      INTEGER NOT NULL
);
)sql";

// The key directory of docs/e2ee.md section 17: public keys, what signs them, and nothing else.
constexpr const char* kVersion2 = R"sql(
-- The highest generation is the user's account key of today; the others were replaced and do not come back.
CREATE TABLE account_key(
  user_id     TEXT    NOT NULL,
  generation  INTEGER NOT NULL,  -- 1, 2, ...
  account_key BLOB    NOT NULL,
  PRIMARY KEY (user_id, generation)
) WITHOUT ROWID;

-- The versions under the account key of today, without a gap.
CREATE TABLE device_list(
  user_id   TEXT    NOT NULL,
  version   INTEGER NOT NULL,
  list_hash BLOB    NOT NULL,
  list      BLOB    NOT NULL,
  PRIMARY KEY (user_id, version)
) WITHOUT ROWID;

-- What each version names.
CREATE TABLE list_entry(
  user_id     TEXT    NOT NULL,
  version     INTEGER NOT NULL,
  device_id   INTEGER NOT NULL,
  record_hash BLOB    NOT NULL,
  PRIMARY KEY (user_id, version, device_id)
) WITHOUT ROWID;

CREATE TABLE device_record(
  user_id     TEXT    NOT NULL,
  record_hash BLOB    NOT NULL,
  device_id   INTEGER NOT NULL,
  record      BLOB    NOT NULL,
  PRIMARY KEY (user_id, record_hash)
) WITHOUT ROWID;

-- A row for each device that is in its user's newest list and still a device. The prekeys come last: a look at the
-- counts does not read them.
CREATE TABLE device_keys(
  device_id            INTEGER NOT NULL PRIMARY KEY,
  user_id              TEXT    NOT NULL,
  record_hash          BLOB    NOT NULL,
  one_time_left        INTEGER NOT NULL,
  one_time_highest     INTEGER NOT NULL,  -- key_id that was ever taken, 0: none
  one_time_kem_left    INTEGER NOT NULL,
  one_time_kem_highest INTEGER NOT NULL,
  signed_id            INTEGER NOT NULL,  -- key_id, 0: none
  last_resort_id       INTEGER NOT NULL,
  signed_ms            INTEGER NOT NULL,
  signed_prekey        BLOB    NOT NULL,
  last_resort          BLOB    NOT NULL
);

-- With a row id: a KEM prekey is too long to lie whole in the leaf of an index.
CREATE TABLE one_time_prekey(
  row_id    INTEGER NOT NULL PRIMARY KEY,
  device_id INTEGER NOT NULL,
  kind      INTEGER NOT NULL,  -- 2 X25519, 3 ML-KEM
  key_id    INTEGER NOT NULL,
  prekey    BLOB    NOT NULL,
  UNIQUE (device_id, kind, key_id)
);
)sql";

// Encrypted conversations: docs/e2ee.md section 10.
constexpr const char* kVersion3 = R"sql(
-- The number of ROSTER items of an encrypted conversation; 0: it is plain, or has no item yet.
ALTER TABLE stream ADD COLUMN roster_revision INTEGER NOT NULL DEFAULT 0;

-- The highest number of an encrypted item that was accepted of the device.
ALTER TABLE device ADD COLUMN encryption_counter INTEGER NOT NULL DEFAULT 0;

-- The highest that the device acknowledged under an epoch that is over: its slices up to there may be gone.
ALTER TABLE cursor ADD COLUMN earlier INTEGER NOT NULL DEFAULT 0;

-- The version of each member's device list in the roster of an encrypted conversation.
CREATE TABLE roster(
  stream_id    INTEGER NOT NULL,
  user_id      TEXT    NOT NULL,
  list_version INTEGER NOT NULL,
  PRIMARY KEY (stream_id, user_id)
) WITHOUT ROWID;
CREATE INDEX roster_by_user ON roster(user_id, list_version, stream_id);

-- Users whose list has changed, and who may have conversations whose roster has not.
CREATE TABLE roster_due(
  user_id TEXT NOT NULL PRIMARY KEY
) WITHOUT ROWID;

-- What an item holds for one device, until that device has acknowledged the item.
CREATE TABLE slice(
  stream_id INTEGER NOT NULL,
  seq       INTEGER NOT NULL,
  device_id INTEGER NOT NULL,
  message   BLOB    NOT NULL,
  PRIMARY KEY (stream_id, seq, device_id)
) WITHOUT ROWID;

-- Slices that came before their item. The table has a row id: a chunk is longer than a page.
CREATE TABLE staged(
  row_id            INTEGER NOT NULL PRIMARY KEY,
  device_id         INTEGER NOT NULL,
  client_message_id BLOB    NOT NULL,
  chunk             INTEGER NOT NULL,
  bytes             INTEGER NOT NULL,
  created_ms        INTEGER NOT NULL,
  slices            BLOB    NOT NULL,  -- u64(device_id), u32(length), message of each
  UNIQUE (device_id, client_message_id, chunk)
);
CREATE INDEX staged_by_time ON staged(created_ms);
)sql";

// The mailboxes of linkings: docs/e2ee.md section 12.
constexpr const char* kVersion4 = R"sql(
CREATE TABLE link_message(
  user_id   TEXT    NOT NULL,
  link_id   BLOB    NOT NULL,
  step      INTEGER NOT NULL,  -- 1 offer, 2 reveal, 3 grant
  device_id INTEGER NOT NULL,  -- that has left it
  opened_ms INTEGER NOT NULL,  -- when the mailbox's offer came: all of its messages end together
  message   BLOB    NOT NULL,
  PRIMARY KEY (user_id, link_id, step)
) WITHOUT ROWID;
CREATE INDEX link_message_by_time ON link_message(opened_ms);
)sql";

// What devices do not hold of what was for them.
constexpr const char* kVersion5 = R"sql(
ALTER TABLE cursor ADD COLUMN missing_from INTEGER NOT NULL DEFAULT 0;
)sql";

// What a stream held when the epoch of today began: any device of its members may have had it before.
constexpr const char* kVersion6 = R"sql(
ALTER TABLE stream ADD COLUMN earlier_head INTEGER NOT NULL DEFAULT 0;
UPDATE stream SET earlier_head = coalesce((SELECT max(earlier) FROM cursor c WHERE c.stream_id = stream.stream_id), 0);
ALTER TABLE cursor DROP COLUMN earlier;
)sql";

// Which items are edits of a plain message, so that they go with it.
constexpr const char* kVersion7 = R"sql(
CREATE TABLE edit_of(
  stream_id         INTEGER NOT NULL,
  sender            TEXT    NOT NULL,
  client_message_id BLOB    NOT NULL,  -- of the message
  seq               INTEGER NOT NULL,  -- of the edit
  PRIMARY KEY (stream_id, sender, client_message_id, seq)
) WITHOUT ROWID;
)sql";

// What a member may hear of marks: those that moved between joining and leaving.
constexpr const char* kVersion8 = R"sql(
ALTER TABLE member ADD COLUMN joined_marks INTEGER NOT NULL DEFAULT 0;  -- the conversation's mark revision then
ALTER TABLE member ADD COLUMN left_marks INTEGER;                       -- NULL: still a member
)sql";

constexpr const char* kVersion9 = R"sql(
-- What a device was before its store went back. Their devices are here, too: a row goes with its device.
CREATE TABLE former_device(
  device_id INTEGER NOT NULL,
  former_id INTEGER NOT NULL,
  PRIMARY KEY (device_id, former_id)
) WITHOUT ROWID;
)sql";

// Groups, and the operations that were answered.
constexpr const char* kVersion10 = R"sql(
CREATE TABLE group_info(
  stream_id   INTEGER NOT NULL PRIMARY KEY,
  group_id    BLOB    NOT NULL UNIQUE,
  name        TEXT    NOT NULL,
  description TEXT    NOT NULL,
  picture     BLOB    NOT NULL,
  permissions BLOB    NOT NULL,  -- a byte for each right: the least role that has it
  history     INTEGER NOT NULL,  -- 1: who joins reads what was before
  ended       INTEGER NOT NULL
);

-- How many groups the user is in.
ALTER TABLE account ADD COLUMN groups INTEGER NOT NULL DEFAULT 0;

-- Who joins by an invitation is no one who was removed.
ALTER TABLE member ADD COLUMN removed INTEGER NOT NULL DEFAULT 0;  -- 1: left by another's doing

CREATE TABLE invitation(
  invitation_id BLOB    NOT NULL PRIMARY KEY,  -- the hash of its token
  stream_id     INTEGER NOT NULL,
  inviter       TEXT    NOT NULL,
  expires_ms    INTEGER NOT NULL,  -- 0: never
  uses_left     INTEGER NOT NULL,  -- 0: without limit
  approval      INTEGER NOT NULL,
  created_ms    INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX invitation_by_stream ON invitation(stream_id, inviter);

CREATE TABLE join_request(
  stream_id    INTEGER NOT NULL,
  user_id      TEXT    NOT NULL,
  requested_ms INTEGER NOT NULL,
  PRIMARY KEY (stream_id, user_id)
) WITHOUT ROWID;
CREATE INDEX join_request_by_user ON join_request(user_id);

CREATE TABLE operation(
  user_id      TEXT    NOT NULL,
  operation_id BLOB    NOT NULL,
  request_hash BLOB    NOT NULL,
  code         INTEGER NOT NULL,  -- 0: it was done
  detail       TEXT    NOT NULL,
  answer       BLOB    NOT NULL,  -- a serialised message of its kind
  created_ms   INTEGER NOT NULL,
  PRIMARY KEY (user_id, operation_id)
) WITHOUT ROWID;
CREATE INDEX operation_by_time ON operation(created_ms);
)sql";

// Step i leads from version i to version i + 1. Steps are never edited once a release has written them.
constexpr std::array<const char*, kStoreSchemaVersion> kSteps = {
    kVersion1, kVersion2, kVersion3, kVersion4, kVersion5, kVersion6, kVersion7, kVersion8, kVersion9, kVersion10};

}  // namespace

Result<std::int32_t> schema_version(sqlite::Database& db) {
  CHATSDK_ASSIGN(auto foreign, db.prepare(kIsForeign));
  CHATSDK_TRY(foreign.step_row());
  if (foreign.integer(0) != 0) return error(Code::kCorrupt, "the file is a database of another program");
  foreign.reset();
  CHATSDK_ASSIGN(const std::int64_t version, db.user_version());
  if (version > kStoreSchemaVersion) {
    return error(Code::kSchemaTooNew, "store schema " + std::to_string(version) + ", this server knows up to " +
                                          std::to_string(kStoreSchemaVersion));
  }
  if (version < 0) return error(Code::kCorrupt, "store schema " + std::to_string(version));
  return static_cast<std::int32_t>(version);
}

Status migrate(sqlite::Database& db, std::int32_t version) {
  for (std::int32_t step = version; step < kStoreSchemaVersion; ++step) {
    CHATSDK_ASSIGN(auto transaction, sqlite::Transaction::begin(db));
    CHATSDK_TRY(db.execute(kSteps[static_cast<std::size_t>(step)]));
    CHATSDK_TRY(db.set_user_version(step + 1));
    CHATSDK_TRY(transaction.commit());
  }
  return {};
}

}  // namespace chatsdk::server
