// SPDX-License-Identifier: Apache-2.0
//
// Opening and closing the device store, the session, the store epoch and the cursors.
#include "store/device_store.h"

#include <sqlite3.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <system_error>

#include "base/assert.h"
#include "store/crypt_prelude.h"
#include "store/device_reader_impl.h"
#include "store/device_store_impl.h"
#include "store/schema.h"

namespace chatsdk {

namespace {

using rows::Blob;
using rows::unsigned_at;

constexpr char kLoadMeta[] =
    "SELECT revision, store_epoch, epoch_open, any_lost, installation_id, owner, device_id, "
    "max(key_floor, coalesce((SELECT max(key) FROM message), 0), coalesce((SELECT max(id) FROM outbox), 0)), "
    "(SELECT count(*) FROM outbox), text_bytes_max, gateway_server, gateway_url, gateway_expires, EXISTS (SELECT 1 "
    "FROM "
    "annotation) FROM meta WHERE id = 1";
constexpr char kSaveMeta[] =
    "UPDATE meta SET revision = ?1, store_epoch = ?2, epoch_open = ?3, any_lost = ?4 WHERE id = 1";

// A page less for each commit that only an event tells of.
constexpr std::uint64_t kRevisionsPerWrite = 1'000;

constexpr char kLeftWhole[] = "SELECT left_whole FROM meta WHERE id = 1";
constexpr char kPageCount[] = "PRAGMA page_count";
constexpr char kSetLeftWhole[] = "UPDATE meta SET left_whole = ?1 WHERE id = 1";
// What sending and receiving lean on; their size follows conversations and unsent messages, not the history.
constexpr const char* kCheckedAlways[] = {"meta", "session",    "conversation", "stream",   "outbox",
                                          "mark", "group_info", "member",       "operation"};

constexpr char kAside[] = ".corrupt-";  // a number follows

constexpr char kSession[] =
    "SELECT user_id, device_id, access_token, access_expires, refresh_token, refresh_request_id FROM session WHERE id "
    "= 1";
constexpr char kSaveSession[] =
    "INSERT OR REPLACE INTO session(id, user_id, device_id, access_token, access_expires, refresh_token, "
    "refresh_request_id) VALUES (1, ?1, ?2, ?3, ?4, ?5, ?6)";
constexpr char kDeleteSession[] = "DELETE FROM session";
constexpr char kSetOwner[] = "UPDATE meta SET owner = ?1, device_id = ?2 WHERE id = 1";
constexpr char kSetTextBytesMax[] = "UPDATE meta SET text_bytes_max = ?1 WHERE id = 1";
constexpr char kSetGateway[] =
    "UPDATE meta SET gateway_server = ?1, gateway_url = ?2, gateway_expires = ?3 WHERE id = 1";
constexpr char kSetInstallation[] = "UPDATE meta SET installation_id = ?1 WHERE id = 1";

#define CHATSDK_CURSOR_COLUMNS \
  "s.stream_id, s.kind, s.conversation, s.seq, s.delivered_from, s.marks_revision, s.others_from"
constexpr char kCursor[] = "SELECT " CHATSDK_CURSOR_COLUMNS " FROM stream s WHERE s.stream_id = ?1";
constexpr char kCursors[] = "SELECT " CHATSDK_CURSOR_COLUMNS
                            " FROM stream s LEFT JOIN conversation c ON c.key = s.conversation "
                            "ORDER BY s.kind, c.last_activity DESC, s.stream_id LIMIT ?1";
// The owner's marks stand under no name.
constexpr char kUndelivered[] = "SELECT " CHATSDK_CURSOR_COLUMNS
                                " FROM stream s LEFT JOIN mark k ON k.conversation = s.conversation AND k.user = '' "
                                "WHERE s.conversation IS NOT NULL AND s.seq > coalesce(k.delivered_up_to, 0) LIMIT ?1";

// The turn of an epoch, in this order. Placeholders are made anew; what had a seq steps one place back and waits to be
// sent again; marks, ids and cursors are the server's to tell.
constexpr char kForgetPlaceholders[] = "DELETE FROM message WHERE sender = '' AND content = x'' AND lost = 0";
constexpr char kKeepKeys[] =
    "UPDATE meta SET key_floor = max(key_floor, coalesce((SELECT max(key) FROM message), 0)) WHERE id = 1";
constexpr char kCloseEpoch[] = "UPDATE message SET lost = 3 WHERE lost IN (1, 2)";
constexpr char kStepBack[] =
    "UPDATE message SET place = place - 1, lost = CASE WHEN sender > '' AND place <= ?2 * (SELECT c.read_up_to FROM "
    "conversation c WHERE c.key = message.conversation) THEN 2 ELSE 1 END WHERE lost = 0 AND place < ?1";
constexpr char kForgetMarks[] = "DELETE FROM mark";
constexpr char kForgetAdvances[] = "DELETE FROM mark_advance";
constexpr char kForgetAccountStream[] = "DELETE FROM stream WHERE kind = ?1";
constexpr char kRewindStreams[] = "UPDATE stream SET seq = 0, delivered_from = 0, marks_revision = 0, others_from = 0";
constexpr char kRewindConversations[] =
    "UPDATE conversation SET head = 0, read_up_to = 0, read_confirmed = 0, unread_count = 0, "
    "conversation_id = CASE WHEN peer IS NULL AND key NOT IN (SELECT conversation FROM group_info) THEN "
    "conversation_id "
    "END";
// Of a group the server tells anew; what was known of it is shown until then. One that was never made is as it was.
constexpr char kAgeMembers[] = "UPDATE member SET seq = 0, since = 0";
constexpr char kRewindGroups[] =
    "UPDATE group_info SET info_seq = 0, own_seq = 0, members_from = 0, members_known = members_known AND conversation "
    "IN (SELECT key FROM conversation WHERE conversation_id IS NULL)";
// No item of the new history tells of what was done in the old one.
constexpr char kRewindOperations[] = "UPDATE operation SET until = 0";
constexpr char kFindLastActivity[] =
    "UPDATE conversation SET last_activity = coalesce((SELECT m.time FROM message m WHERE m.conversation = "
    "conversation.key AND m.unshown = 0 ORDER BY m.place DESC, m.key DESC LIMIT 1), created)";
constexpr char kAddAccountStream[] =
    "INSERT OR IGNORE INTO stream(stream_id, kind, seq, delivered_from, marks_revision) VALUES (?1, ?2, 0, 0, 0)";
constexpr char kMessagesAside[] = "SELECT key, conversation FROM message WHERE lost IN (1, 2)";
// What a conversation has lost stands together, in its old order, right behind the seq where the histories part: before
// the place that the first of it had, and before the first message here that the server has accepted later, by its
// message_id. Trimmed ranges are not lost. Where there is no room for more, the keys order. ?1: kPlacesPerSeq.
constexpr char kGatherLost[] =
    "UPDATE message SET place = r.part + min(r.number, ?1 - 2) FROM (SELECT m.key AS lost_key, p.part, row_number() "
    "OVER (PARTITION BY m.conversation ORDER BY m.place, m.key) AS number FROM (SELECT c.key AS conversation, (SELECT "
    "min(l.place + 1, coalesce((SELECT min(h.place) FROM message h WHERE h.conversation = c.key AND h.lost = 0 AND "
    "h.message_id > l.message_id), l.place + 1)) - ?1 FROM message l WHERE l.conversation = c.key AND l.lost IN (1, 2) "
    "AND l.place > coalesce((SELECT max(s.delivered_from) FROM stream s WHERE s.conversation = c.key), 0) * ?1 "
    "ORDER BY l.place, l.key LIMIT 1) AS part FROM conversation c) p JOIN message m ON m.conversation = p.conversation "
    "AND m.lost > 0 AND m.place > p.part) AS r WHERE key = r.lost_key";

StreamCursor read_cursor(const sqlite::Statement& row) {
  StreamCursor cursor;
  cursor.stream_id = StreamId{unsigned_at(row, 0)};
  cursor.kind = static_cast<wire::StreamKind>(row.integer(1));
  cursor.conversation = ConversationKey{unsigned_at(row, 2)};
  cursor.seq = unsigned_at(row, 3);
  cursor.delivered_from = unsigned_at(row, 4);
  cursor.marks_revision = unsigned_at(row, 5);
  cursor.others_from = unsigned_at(row, 6);
  return cursor;
}

// ---- Files ---------------------------------------------------------------------------------------------------------

// Of what a path leads to; 0 with errno: nothing that is known.
mode_t mode_of(const std::string& path) {
  struct stat found = {};
  return ::stat(path.c_str(), &found) == 0 ? found.st_mode : 0;
}

bool is_link(const std::string& path) {
  struct stat found = {};
  return ::lstat(path.c_str(), &found) == 0 && S_ISLNK(found.st_mode);
}

// What the platform's files tell before anything is opened. Another VFS has names of its own.
Status check_directory(const DeviceStoreOptions& options) {
  if (!options.base_vfs.empty()) return {};
  const std::size_t slash = options.path.rfind('/');
  const std::string parent = slash == std::string::npos ? "." : options.path.substr(0, slash + 1);
  const mode_t mode = mode_of(parent);
  if (S_ISDIR(mode)) return {};
  return error(Code::kStorage, "the directory of the store does not exist: " + parent,
               {CauseDomain::kSystem, mode == 0 ? errno : ENOTDIR});
}

// A pipe would hold whoever opens it until somebody writes. The path is resolved by now.
Status check_files(const DeviceStoreOptions& options) {
  if (!options.base_vfs.empty()) return {};
  for (const char* suffix : {"-wal", "-journal", "", "-lock"}) {
    const std::string path = options.path + suffix;
    const mode_t mode = mode_of(path);
    if (mode == 0 || S_ISREG(mode)) continue;
    return error(Code::kStorage, "not a regular file: " + path,
                 {CauseDomain::kSystem, S_ISDIR(mode) ? EISDIR : EINVAL});
  }
  return {};
}

// The path is resolved by now.
Status check_existence(const DeviceStoreOptions& options) {
  if (!options.base_vfs.empty() || !options.must_exist) return {};
  if (mode_of(options.path) != 0 || mode_of(options.path + "-lock") != 0) return {};
  return error(Code::kNotFound, "no store at " + options.path);
}

void keep_log(sqlite::Database& db) { sqlite3_db_config(db.handle(), SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr); }

// Renames a store and its log out of the way; a link to the store stays, and names the place of the next one. Answers
// where it went; nothing when nothing was there. The path is resolved.
Result<std::string> set_aside(const std::string& path) {
  constexpr const char* kSuffixes[] = {"-wal", "-journal", ""};
  const auto any = [&](const std::string& base) {
    return std::any_of(std::begin(kSuffixes), std::end(kSuffixes),
                       [&](const char* suffix) { return mode_of(base + suffix) != 0; });
  };
  if (!any(path)) return std::string();
  std::string aside;
  for (int n = 1; aside.empty() || any(aside); ++n) aside = path + kAside + std::to_string(n);
  // The log first: if only one rename succeeds, the store is still found corrupt and no new one appears beside an old
  // log.
  for (const char* suffix : kSuffixes) {
    if (mode_of(path + suffix) == 0 || ::rename((path + suffix).c_str(), (aside + suffix).c_str()) == 0) continue;
    const std::error_code failed(errno, std::system_category());
    return error(Code::kStorage, "the store could not be set aside: " + failed.message(),
                 {CauseDomain::kSystem, failed.value()});
  }
  return aside.substr(aside.rfind('/') + 1);
}

}  // namespace

// ---- Impl ----------------------------------------------------------------------------------------------------------

Status DeviceStore::Impl::finish(const Memory& before, Changes& changes) {
  if (memory.any_annotation) CHATSDK_TRY(fold_touched(changes));
  auto& conversations = changes.conversations;
  for (auto* each : {&changes.conversations, &changes.marks, &changes.members}) {
    std::sort(each->begin(), each->end());
    each->erase(std::unique(each->begin(), each->end()), each->end());
  }
  const bool visible = !changes.added.empty() || !changes.updated.empty() || !changes.removed.empty() ||
                       !conversations.empty() || !changes.marks.empty() || !changes.members.empty() ||
                       changes.devices_changed;
  if (visible && memory.revision == before.revision) ++memory.revision;
  changes.revision = memory.revision;
  Memory::Meta& meta = memory.meta;
  if (memory.revision > meta.revisions_reserved) meta.revisions_reserved = memory.revision + kRevisionsPerWrite;
  if (meta == before.meta) return {};
  return sql(kSaveMeta).run(meta.revisions_reserved, meta.store_epoch, meta.epoch_open, meta.any_lost);
}

DeviceStore::Impl::~Impl() {
  if (!db) return;
  try {
    leave();
  } catch (...) {
    keep_log(db);  // without memory nothing could be said, as after a crash
  }
}

void DeviceStore::Impl::leave() {
  Status left;
  if (vfs->damage_seen()) {
    // Whether this reaches the disk decides only when the damage is met again.
    static_cast<void>(sql(kSetLeftWhole).run(false));
    left = error(Code::kCorrupt, "damage was seen");
  } else if (!left_whole || left_whole_in_doubt) {
    left = sql(kSetLeftWhole).run(true);
  }
  // A store that does not say that it was left in order keeps its log: without one, the log was taken away.
  if (!left.ok()) keep_log(db);
}

// Without a log the store has to say that it was left in order, for as long as there is none.
Status DeviceStore::Impl::clear_log() {
  if (vfs->damage_seen()) return error(Code::kCorrupt, "damage was seen");
  left_whole = left_whole_in_doubt = true;  // after a step that failed: for the next change, and for leaving
  CHATSDK_TRY(sql(kSetLeftWhole).run(true));
  CHATSDK_TRY(db.checkpoint(sqlite::CheckpointMode::kTruncate));
  CHATSDK_TRY(sql(kSetLeftWhole).run(false));
  left_whole = false;
  return db.checkpoint(sqlite::CheckpointMode::kPassive);
}

Status DeviceStore::Impl::take_back_left_whole() {
  left_whole_in_doubt = true;
  return sql(kSetLeftWhole).run(false);
}

Result<DeviceStore::Impl::Found> DeviceStore::Impl::look() {
  using History = StoreLock::History;
  Found found;
  CHATSDK_ASSIGN(found.history, lock.history());
  CHATSDK_ASSIGN(const auto bytes, vfs->file_bytes(path));
  CHATSDK_ASSIGN(const auto log_bytes, vfs->file_bytes(path + "-wal"));
  found.bytes = bytes.value_or(0);
  found.log_bytes = log_bytes.value_or(0);
  if (found.bytes > static_cast<std::int64_t>(kPreludeBytes)) {
    CHATSDK_TRY(vfs->check_file(path));
    return found;
  }

  // No page is there.
  if (must_exist && found.bytes == 0 && found.log_bytes == 0) {
    return error(Code::kNotFound,
                 found.history == History::kMade ? "the store that was made here is gone" : "no store at " + path);
  }
  const std::string size = std::to_string(found.bytes) + " B";
  switch (found.history) {
    case History::kMade:
      return error(Code::kCorrupt, found.bytes == 0 ? "the store that was made here is gone"
                                                    : "the file ends after " + size + ", a store was made here");
    case History::kUnknown: {
      if (found.bytes > 0) return error(Code::kCorrupt, "the file is not a store; " + size);
      if (found.log_bytes > 0) return error(Code::kCorrupt, "a log without its store");
      CHATSDK_ASSIGN(const auto aside, vfs->file_bytes(path + kAside + "1"));
      if (aside) return error(Code::kCorrupt, "the store that was here was set aside before");
      break;
    }
    case History::kBegun:  // whatever lies there, nobody was ever told that it is a store
      break;
  }
  if (must_exist) return error(Code::kNotFound, "no whole store at " + path);
  found.is_new = true;
  return found;
}

Status DeviceStore::Impl::open() {
  CHATSDK_TRY(lock.claim_file(StoreLock::IfAbsent::kClaimNothing));
  CHATSDK_ASSIGN(const Found found, look());
  is_new = found.is_new;
  if (is_new) {
    CHATSDK_TRY(lock.remember(StoreLock::History::kBegun));
    CHATSDK_TRY(lock.claim_file(StoreLock::IfAbsent::kMake));
  }
  Status opened = open_database(found);
  if (opened.ok()) opened = lock.remember(StoreLock::History::kMade);
  if (opened.ok()) return {};
  // The log stays as it is beside a file that is in doubt.
  if (db) keep_log(db);
  sql.clear();
  db = {};
  if (auto precise = vfs->take_failure()) return std::move(*precise);
  return opened;
}

Status DeviceStore::Impl::open_database(const Found& found) {
  CHATSDK_ASSIGN(db, sqlite::Database::open(path, {sqlite::OpenMode::kReadWriteCreate, vfs->name()}));
  if (sqlite3_db_readonly(db.handle(), "main") == 1) return error(Code::kReadOnly, "the store cannot be written");
  CHATSDK_TRY(sqlite::apply_standard_pragmas(db));
  if (!found.is_new) CHATSDK_TRY(check_content(found));
  CHATSDK_TRY(sqlite::settle_log(db));
  CHATSDK_TRY(schema::migrate(db, keys));
  CHATSDK_TRY(load());
  return opens_with == nullptr ? Status() : opens_with(*this);
}

// The pages that the file speaks of are there to the end of the last.
Status DeviceStore::Impl::check_length(const Found& found) {
  rows::Query query = sql(kPageCount);
  CHATSDK_ASSIGN(const bool counted, query.first());
  const std::int64_t pages = counted ? query->integer(0) : 0;
  const auto bytes = static_cast<std::int64_t>(kPreludeBytes) + pages * static_cast<std::int64_t>(kStorePageBytes);
  if (found.bytes >= bytes) return {};
  return error(Code::kCorrupt,
               "the file ends after " + std::to_string(found.bytes) + " B, its pages take " + std::to_string(bytes));
}

Status DeviceStore::Impl::check_content(const Found& found) {
  CHATSDK_ASSIGN(const std::int64_t version, db.user_version());
  if (version == 0 && found.history == StoreLock::History::kMade) {
    return error(Code::kCorrupt, "a store was made here, and the file is empty");
  }
  if (version == schema::kVersion) {
    rows::Query query = sql(kLeftWhole);
    CHATSDK_ASSIGN(const bool described, query.first());
    left_whole = described && query->integer(0) != 0;
    if (left_whole && found.log_bytes == 0) {
      CHATSDK_TRY(check_length(found));
      return check_what_use_leans_on();
    }
    // A store in use has a log, and leaving it in order is what removes the log.
    if (!left_whole && found.log_bytes == 0)
      return error(Code::kCorrupt, "the log that the store was left with is gone");
  }
  if (version != schema::kVersion || found.bytes + found.log_bytes <= limits::kStoreCheckBytesMax) {
    return db.quick_check();
  }
  return check_what_use_leans_on();
}

Status DeviceStore::Impl::check_what_use_leans_on() {
  for (const char* table : kCheckedAlways) CHATSDK_TRY(db.quick_check(table));
  return {};
}

Status DeviceStore::Impl::load() {
  rows::Query query = sql(kLoadMeta);
  CHATSDK_ASSIGN(const bool found, query.first());
  if (!found || query->is_null(0)) return error(Code::kCorrupt, "the store has no description of itself");
  memory.revision = unsigned_at(query.row(), 0);
  memory.meta = {memory.revision, unsigned_at(query.row(), 1), query->integer(2) != 0, query->integer(3) != 0};
  installation_id = Bytes(query->blob(4));
  owner = UserId(query->text(5));
  device_id = DeviceId{unsigned_at(query.row(), 6)};
  memory.next_key = unsigned_at(query.row(), 7) + 1;
  memory.outbox_count = unsigned_at(query.row(), 8);
  text_bytes_max = unsigned_at(query.row(), 9);
  memory.any_annotation = query->integer(13) != 0;
  if (!query->is_null(11)) {
    gateway = {std::string(query->text(10)), std::string(query->text(11)), rows::time_at(query.row(), 12)};
  }
  return {};
}

Result<Changes> DeviceStore::Impl::begin_epoch(std::uint64_t epoch, StreamId account_stream) {
  if (!account_stream) return error(Code::kInvalidArgument, "an epoch has an account stream");
  return write([&](Changes& changes) -> Status {
    if (epoch != memory.meta.store_epoch) {
      CHATSDK_TRY(sql(kKeepKeys).run());
      CHATSDK_TRY(sql(kForgetPlaceholders).run());
      if (memory.meta.epoch_open) CHATSDK_TRY(close_epoch(changes));
      CHATSDK_TRY(sql(kStepBack).run(rows::kPendingPlace, rows::kPlacesPerSeq));
      if (db.changes() > 0) memory.meta.epoch_open = memory.meta.any_lost = true;
      CHATSDK_TRY(sql(kForgetMarks).run());
      CHATSDK_TRY(sql(kForgetAdvances).run());
      CHATSDK_TRY(sql(kForgetAccountStream).run(wire::STREAM_KIND_ACCOUNT));
      CHATSDK_TRY(sql(kRewindStreams).run());
      CHATSDK_TRY(sql(kAgeMembers).run());
      CHATSDK_TRY(sql(kRewindGroups).run());
      CHATSDK_TRY(sql(kRewindOperations).run());
      CHATSDK_TRY(sql(kRewindConversations).run());
      CHATSDK_TRY(sql(kFindLastActivity).run());
      // What the server takes next is not known: it may know this device under an id, or in a state, of which more was
      // accepted than since. Too high a number is refused and told; too low a one lets a later message go first.
      if (memory.meta.store_epoch != 0) CHATSDK_TRY(number_all_from(DeviceStore::kNumberInDoubt));
      memory.meta.store_epoch = epoch;
      forget_cursors();
      ++memory.revision;
    }
    return sql(kAddAccountStream).run(account_stream, wire::STREAM_KIND_ACCOUNT);
  });
}

Result<Changes> DeviceStore::Impl::settle_epoch() {
  if (!memory.meta.epoch_open) {
    Changes none;
    none.revision = memory.revision;
    return none;
  }
  return write([&](Changes& changes) { return close_epoch(changes); });
}

Status DeviceStore::Impl::close_epoch(Changes& changes) {
  {
    rows::Query query = sql(kMessagesAside);
    for (auto more = query.first();; more = query.next()) {
      CHATSDK_ASSIGN(const bool row, std::move(more));
      if (!row) break;
      const ConversationKey conversation{unsigned_at(query.row(), 1)};
      changes.updated.push_back({conversation, MessageKey{unsigned_at(query.row(), 0)}});
      changes.conversations.push_back(conversation);
    }
  }
  CHATSDK_TRY(sql(kGatherLost).run(rows::kPlacesPerSeq));
  CHATSDK_TRY(sql(kFindLastActivity).run());
  memory.meta.epoch_open = false;
  return sql(kCloseEpoch).run();
}

// ---- DeviceStore ---------------------------------------------------------------------------------------------------

Result<std::unique_ptr<DeviceStore>> DeviceStore::open(const DeviceStoreOptions& given, Random& keys,
                                                       const Clock& clock) {
  if (given.path.empty() || given.key == nullptr) return error(Code::kInvalidArgument, "a store has a path and a key");
  CHATSDK_TRY(check_directory(given));
  DeviceStoreOptions options = given;
  CHATSDK_ASSIGN(options.path, sqlite::resolve_path(given.path, given.base_vfs));
  CHATSDK_TRY(check_files(options));
  CHATSDK_TRY(check_existence(options));
  CHATSDK_ASSIGN(auto lock, StoreLock::acquire(options.path, options.base_vfs));
  CHATSDK_ASSIGN(auto vfs, CryptVfs::create({options.base_vfs, *options.key, keys}));
  auto impl = std::make_unique<Impl>(std::move(lock), std::move(vfs), options, keys, clock);
  Status opened = impl->open();
  if (options.start_afresh) {
    if (opened.ok() && !impl->is_new) return error(Code::kAlreadyExists, "a store is at " + options.path);
    const Code why = opened.code();
    if (why == Code::kCorrupt || why == Code::kTampered || why == Code::kWrongKey) {
      // Aside first: until then the lock file still tells of a store, and a crash changes nothing.
      CHATSDK_TRY(set_aside(options.path));
      lock = std::move(impl->lock);
      impl.reset();
      CHATSDK_TRY(lock.remember(StoreLock::History::kBegun));
      CHATSDK_ASSIGN(vfs, CryptVfs::create({options.base_vfs, *options.key, keys}));
      impl = std::make_unique<Impl>(std::move(lock), std::move(vfs), options, keys, clock);
      opened = impl->open();
    }
  }
  if (opened.code() == Code::kCorrupt) {
    // Also beside a file that was no store: from here on, only the app decides that there shall be a new one.
    CHATSDK_TRY(impl->lock.remember(StoreLock::History::kMade));
    const auto aside = set_aside(options.path);
    std::string detail = opened.error().detail;
    if (!aside.ok()) detail += "; " + aside.error().detail;
    if (aside.ok() && !aside->empty()) {
      detail += "; set aside as " + *aside;
      if (is_link(given.path)) detail += " beside the file that the path links to";
    }
    return error(Code::kCorrupt, std::move(detail));
  }
  CHATSDK_TRY(std::move(opened));
  return std::unique_ptr<DeviceStore>(new DeviceStore(std::move(impl)));
}

DeviceStore::DeviceStore(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
DeviceStore::~DeviceStore() = default;

Result<std::unique_ptr<DeviceReader>> DeviceStore::open_reader() {
  CHATSDK_ASSIGN(auto impl, DeviceReader::Impl::open(impl_->path, impl_->vfs->name()));
  return std::unique_ptr<DeviceReader>(new DeviceReader(std::move(impl)));
}

std::uint64_t DeviceStore::revision() const { return impl_->memory.revision; }
Bytes DeviceStore::installation_id() const { return impl_->installation_id; }

Status DeviceStore::renew_installation() {
  const Bytes renewed = impl_->keys.bytes(limits::kInstallationIdBytes);
  const auto written = impl_->write([&](Changes&) { return impl_->sql(kSetInstallation).run(Blob{renewed}); });
  if (!written.ok()) return written.error();
  impl_->installation_id = renewed;
  return {};
}

// ---- Session -------------------------------------------------------------------------------------------------------

Result<std::optional<StoredSession>> DeviceStore::session() {
  rows::Query query = impl_->sql(kSession);
  CHATSDK_ASSIGN(const bool found, query.first());
  if (!found) return std::optional<StoredSession>();
  StoredSession session;
  session.user_id = UserId(query->text(0));
  session.device_id = DeviceId{unsigned_at(query.row(), 1)};
  session.access_token = std::string(query->text(2));
  session.access_expires = rows::time_at(query.row(), 3);
  session.refresh_token = std::string(query->text(4));
  session.refresh_request_id = Bytes(query->blob(5));
  return std::optional(std::move(session));
}

Status DeviceStore::save_session(const StoredSession& session) {
  Impl& impl = *impl_;
  if (session.user_id.empty()) return error(Code::kInvalidArgument, "a session has a user");
  if (!impl.owner.empty() && impl.owner != session.user_id) {
    return error(Code::kWrongState, "the store belongs to another user");
  }
  const auto written = impl.write([&](Changes&) -> Status {
    if (impl.device_id && impl.device_id != session.device_id) CHATSDK_TRY(impl.become(session.device_id));
    CHATSDK_TRY(impl.sql(kSetOwner).run(session.user_id, session.device_id));
    return impl.sql(kSaveSession)
        .run(session.user_id, session.device_id, session.access_token, session.access_expires, session.refresh_token,
             Blob{session.refresh_request_id});
  });
  if (!written.ok()) return written.error();
  impl.owner = session.user_id;
  impl.device_id = session.device_id;
  return {};
}

Status DeviceStore::clear_tokens() {
  const auto written = impl_->write([&](Changes&) -> Status { return impl_->sql(kDeleteSession).run(); });
  if (!written.ok()) return written.error();
  return {};
}

Result<std::optional<UserId>> DeviceStore::owner() {
  return impl_->owner.empty() ? std::optional<UserId>() : std::optional(impl_->owner);
}

// ---- What the server told ------------------------------------------------------------------------------------------

std::size_t DeviceStore::text_bytes_max() const { return impl_->text_bytes_max; }

Status DeviceStore::save_text_bytes_max(std::size_t bytes) {
  if (bytes == impl_->text_bytes_max) return {};
  const auto written = impl_->write([&](Changes&) { return impl_->sql(kSetTextBytesMax).run(bytes); });
  if (!written.ok()) return written.error();
  impl_->text_bytes_max = bytes;
  return {};
}

const std::optional<StoredGateway>& DeviceStore::gateway() const { return impl_->gateway; }

Status DeviceStore::save_gateway(const StoredGateway& gateway) {
  if (gateway == impl_->gateway) return {};
  const auto written = impl_->write(
      [&](Changes&) { return impl_->sql(kSetGateway).run(gateway.server_url, gateway.url, gateway.expires); });
  if (!written.ok()) return written.error();
  impl_->gateway = gateway;
  return {};
}

// ---- Epoch and cursors ---------------------------------------------------------------------------------------------

Result<std::uint64_t> DeviceStore::store_epoch() { return impl_->memory.meta.store_epoch; }

Result<Changes> DeviceStore::begin_epoch(std::uint64_t epoch, StreamId account_stream) {
  return impl_->begin_epoch(epoch, account_stream);
}

Result<Changes> DeviceStore::settle_epoch() { return impl_->settle_epoch(); }

void DeviceStore::catching_up(bool is_catching_up) {
  impl_->db.set_log_pages(is_catching_up ? limits::kStoreLogPagesCatchingUp : limits::kStoreLogPages);
}

Status DeviceStore::clear_log() { return impl_->clear_log(); }

Result<std::vector<StreamCursor>> DeviceStore::cursors(std::size_t max) { return impl_->cursors(kCursors, max); }

Result<std::vector<StreamCursor>> DeviceStore::undelivered(std::size_t max) {
  return impl_->cursors(kUndelivered, max);
}

Result<std::vector<StreamCursor>> DeviceStore::Impl::cursors(const char* query_text, std::size_t max) {
  std::vector<StreamCursor> found;
  rows::Query query = sql(query_text);
  for (auto more = query.first(max);; more = query.next()) {
    CHATSDK_ASSIGN(const bool row, std::move(more));
    if (!row) return found;
    found.push_back(read_cursor(query.row()));
    found.back().seq = remembered_cursor(found.back().stream_id, found.back().seq);
  }
}

Result<std::optional<StreamCursor>> DeviceStore::cursor(StreamId stream) { return impl_->cursor(stream); }

Result<std::optional<StreamCursor>> DeviceStore::Impl::cursor(StreamId stream) {
  rows::Query query = sql(kCursor);
  CHATSDK_ASSIGN(const bool found, query.first(stream));
  if (!found) return std::optional<StreamCursor>();
  return std::optional(read_cursor(query.row()));
}

}  // namespace chatsdk
