// SPDX-License-Identifier: Apache-2.0
#include "server-reference/store/sqlite_reader.h"

#include <algorithm>
#include <limits>

#include "base/fault.h"
#include "base/limits.h"
#include "server-reference/store/account_rows.h"
#include "server-reference/store/reading.h"
#include "server-reference/store/stream_writer.h"

namespace chatsdk::server {

namespace {

Error no_stream() { return error(Code::kNotFound, "no such stream"); }

// The columns of both selects of items, in their order.
ItemRow item_of(const sqlite::Statement& row) {
  ItemRow item;
  item.seq = from_column(row.integer(0));
  item.kind = static_cast<wire::ItemKind>(row.integer(1));
  item.message_id = MessageId{from_column(row.integer(2))};
  item.sender = row.text(3);
  item.sender_device = DeviceId{from_column(row.integer(4))};
  item.client_message_id = row.blob(5);
  item.time_ms = row.integer(6);
  item.payload = row.blob(7);
  return item;
}

Error no_item(StreamId stream_id, Seq seq) {
  return error(Code::kCorrupt,
               "stream " + std::to_string(stream_id.value) + " has no item " + std::to_string(seq) + " below its head");
}

std::int64_t limit_column(std::size_t max) {
  return static_cast<std::int64_t>(
      std::min<std::size_t>(max, static_cast<std::size_t>(std::numeric_limits<std::int64_t>::max())));
}

}  // namespace

Result<std::unique_ptr<SqliteReader>> SqliteReader::open(const std::string& path, const std::string& vfs_name) {
  std::unique_ptr<SqliteReader> reader(new SqliteReader());
  CHATSDK_ASSIGN(reader->db_,
                 sqlite::Database::open(
                     path, {.mode = sqlite::OpenMode::kReadOnly, .vfs_name = vfs_name, .busy_timeout = kBusyTimeout}));
  CHATSDK_TRY(reader->log_index_.stand_before(reader->db_));
  CHATSDK_TRY(reader->prepare());
  return reader;
}

Status SqliteReader::prepare() {
  CHATSDK_ASSIGN(select_account_, db_.prepare(kSelectAccount));
  CHATSDK_ASSIGN(select_session_, db_.prepare(kSelectSessionOfDevice));
  CHATSDK_ASSIGN(select_devices_, db_.prepare("SELECT device_id, name, installation_id, created_ms, last_seen_ms FROM "
                                              "device WHERE user_id = ?1 ORDER BY device_id"));
  CHATSDK_ASSIGN(select_followed_,
                 db_.prepare("SELECT s.stream_id, s.kind, min(s.head, m.last_seq), c.acked, "
                             "min(coalesce(r.revision, 0), m.last_marks), c.missing_from "
                             "FROM (SELECT stream_id, max(coalesce(left_seq, 9223372036854775807)) AS last_seq, "
                             "max(coalesce(left_marks, 9223372036854775807)) AS last_marks FROM member "
                             "WHERE user_id = ?1 GROUP BY stream_id) m "
                             "JOIN stream s ON s.stream_id = m.stream_id "
                             "LEFT JOIN cursor c ON c.device_id = ?2 AND c.stream_id = m.stream_id "
                             "LEFT JOIN mark_revision r ON r.stream_id = m.stream_id "
                             "WHERE s.kind = 1 OR s.head > 0 ORDER BY s.kind, s.stream_id"));
  CHATSDK_ASSIGN(select_stream_, db_.prepare("SELECT kind, head, trimmed_to, roster_revision, earlier_head FROM stream "
                                             "WHERE stream_id = ?1"));
  CHATSDK_ASSIGN(select_intervals_, db_.prepare("SELECT joined_seq, left_seq FROM member WHERE stream_id = ?1 AND "
                                                "user_id = ?2 ORDER BY joined_seq"));
  CHATSDK_ASSIGN(select_items_,
                 db_.prepare("SELECT seq, kind, message_id, sender, sender_device, client_message_id, time_ms, payload "
                             "FROM item WHERE stream_id = ?1 AND seq > ?2 AND seq <= ?3 ORDER BY seq LIMIT ?4"));
  CHATSDK_ASSIGN(select_items_for_,
                 db_.prepare("SELECT i.seq, i.kind, i.message_id, i.sender, i.sender_device, i.client_message_id, "
                             "i.time_ms, i.payload, s.message, s.message IS NULL AND i.sender = ?6 AND (NOT EXISTS "
                             "(SELECT 1 FROM device d WHERE d.device_id = i.sender_device) OR EXISTS (SELECT 1 FROM "
                             "former_device f WHERE f.device_id = ?5 AND f.former_id = i.sender_device)) FROM item i "
                             "LEFT JOIN slice s ON s.stream_id = i.stream_id AND s.seq = i.seq AND s.device_id = ?5 "
                             "WHERE i.stream_id = ?1 AND i.seq > ?2 AND i.seq <= ?3 ORDER BY i.seq LIMIT ?4"));
  CHATSDK_ASSIGN(select_counter_, db_.prepare("SELECT encryption_counter FROM device WHERE device_id = ?1"));
  CHATSDK_ASSIGN(select_marks_,
                 db_.prepare("SELECT revision, user_id, kind, up_to, time_ms FROM mark_advance "
                             "WHERE stream_id = ?1 AND revision > max(?2, (SELECT min(joined_marks) FROM member m "
                             "WHERE m.stream_id = ?1 AND m.user_id = ?4)) AND EXISTS (SELECT 1 FROM member m "
                             "WHERE m.stream_id = ?1 AND m.user_id = ?4 AND revision > m.joined_marks AND "
                             "revision <= coalesce(m.left_marks, revision)) ORDER BY revision LIMIT ?3"));
  CHATSDK_ASSIGN(select_progress_, db_.prepare("SELECT commits FROM progress"));
  keys_.emplace(db_);
  CHATSDK_TRY(keys_->prepare());
  groups_.emplace(db_);
  return groups_->prepare();
}

Result<std::optional<Account>> SqliteReader::account(const UserId& user_id) {
  const Reading reading(select_account_);
  CHATSDK_ASSIGN(const bool found, select_account_.bind_text(1, user_id).step());
  if (!found) return std::optional<Account>();
  return std::optional(account_of(select_account_));
}

Result<std::optional<Session>> SqliteReader::session_of(DeviceId device_id) {
  const Reading reading(select_session_);
  CHATSDK_ASSIGN(const bool found, select_session_.bind(1, to_column(device_id.value)).step());
  if (!found) return std::optional<Session>();
  return std::optional(server::session_of(select_session_));
}

Result<std::vector<Device>> SqliteReader::devices(const UserId& user_id) {
  const Reading reading(select_devices_);
  select_devices_.bind_text(1, user_id);
  std::vector<Device> devices;
  for (;;) {
    CHATSDK_ASSIGN(const bool row, select_devices_.step());
    if (!row) return devices;
    Device device;
    device.device_id = DeviceId{from_column(select_devices_.integer(0))};
    device.user_id = user_id;
    device.name = select_devices_.text(1);
    device.installation_id = select_devices_.blob(2);
    device.created = from_unix_ms(select_devices_.integer(3));
    device.last_seen = from_unix_ms(select_devices_.integer(4));
    devices.push_back(std::move(device));
  }
}

Result<std::vector<FollowedStream>> SqliteReader::followed(const UserId& user_id, DeviceId device_id) {
  const Reading reading(select_followed_);
  select_followed_.bind_text(1, user_id).bind(2, to_column(device_id.value));
  std::vector<FollowedStream> streams;
  for (;;) {
    CHATSDK_ASSIGN(const bool row, select_followed_.step());
    if (!row) return streams;
    FollowedStream stream;
    stream.stream_id = StreamId{from_column(select_followed_.integer(0))};
    stream.kind = static_cast<wire::StreamKind>(select_followed_.integer(1));
    stream.head = from_column(select_followed_.integer(2));
    stream.acknowledged = from_column(select_followed_.integer(3));  // NULL reads as 0
    stream.marks_revision = from_column(select_followed_.integer(4));
    stream.missing_from = from_column(select_followed_.integer(5));
    streams.push_back(stream);
  }
}

Result<ItemPage> SqliteReader::items(const UserId& user_id, DeviceId device_id, StreamId stream_id, Seq after,
                                     std::size_t max_items, std::size_t max_bytes) {
  // Head, membership and items are of one snapshot.
  CHATSDK_ASSIGN(const auto snapshot, sqlite::Transaction::begin(db_, sqlite::Transaction::Kind::kRead));
  CHATSDK_ASSIGN(const Stream stream, readable_stream(user_id, stream_id));
  ItemPage page;
  page.head = stream.head;
  page.last = after;
  PageLimits room{max_items, max_bytes};
  while (page.last < stream.head && room.items > 0) {
    const Run run = run_after(stream, page.last);
    bool more = true;
    if (run.skip == wire::SKIP_REASON_UNSPECIFIED) {
      CHATSDK_ASSIGN(more, stream.encrypted
                               ? add_items_for(user_id, device_id, stream_id, stream.earlier_head, run.last, room, page)
                               : add_items(stream_id, run.last, room, page));
    } else {
      more = add(encode_skip(run.last, run.skip), run.last, room, page);
    }
    if (!more) break;
  }
  return page;
}

Result<SqliteReader::Stream> SqliteReader::readable_stream(const UserId& user_id, StreamId stream_id) {
  Stream stream;
  const Reading reading_stream(select_stream_);
  CHATSDK_ASSIGN(const bool found, select_stream_.bind(1, to_column(stream_id.value)).step());
  if (!found) return no_stream();
  const auto kind = static_cast<wire::StreamKind>(select_stream_.integer(0));
  stream.head = from_column(select_stream_.integer(1));
  stream.trimmed_to = from_column(select_stream_.integer(2));
  stream.encrypted = select_stream_.integer(3) != 0;
  stream.earlier_head = from_column(select_stream_.integer(4));
  if (CHATSDK_PLANTED(Bug::kP17TrimBeforeAck) && stream.head > 16) stream.trimmed_to = stream.head - 16;
  // A conversation without items has been announced to nobody.
  if (kind == wire::STREAM_KIND_CONVERSATION && stream.head == 0) return no_stream();

  const Reading reading_intervals(select_intervals_);
  select_intervals_.bind(1, to_column(stream_id.value)).bind_text(2, user_id);
  for (;;) {
    CHATSDK_ASSIGN(const bool row, select_intervals_.step());
    if (!row) break;
    const Seq last =
        select_intervals_.is_null(1) ? stream.head : std::min(stream.head, from_column(select_intervals_.integer(1)));
    const Seq first = from_column(select_intervals_.integer(0));
    // Who came back with the conversation's history may read what lay between.
    if (!stream.intervals.empty() && first <= stream.intervals.back().last + 1) {
      stream.intervals.back().last = std::max(stream.intervals.back().last, last);
    } else {
      stream.intervals.push_back({first, last});
    }
  }
  if (stream.intervals.empty()) return no_stream();
  stream.head = stream.intervals.back().last;  // nobody hears how far it went on without them
  return stream;
}

SqliteReader::Run SqliteReader::run_after(const Stream& stream, Seq after) {
  const Seq next = after + 1;
  for (const Interval& interval : stream.intervals) {
    if (next < interval.first) {
      return {std::min(interval.first - 1, stream.head), wire::SKIP_REASON_BEFORE_JOINING};
    }
    if (next > interval.last) continue;
    if (next <= stream.trimmed_to) return {std::min(stream.trimmed_to, interval.last), wire::SKIP_REASON_TRIMMED};
    return {interval.last, wire::SKIP_REASON_UNSPECIFIED};
  }
  return {stream.head, wire::SKIP_REASON_NOT_ADDRESSED};
}

Result<bool> SqliteReader::add_items(StreamId stream_id, Seq last, PageLimits& room, ItemPage& page) {
  const Reading reading(select_items_);
  select_items_.bind(1, to_column(stream_id.value))
      .bind(2, to_column(page.last))
      .bind(3, to_column(last))
      .bind(4, limit_column(room.items));
  while (room.items > 0 && page.last < last) {
    CHATSDK_ASSIGN(const bool found, select_items_.step());
    if (!found || from_column(select_items_.integer(0)) != page.last + 1) return no_item(stream_id, page.last + 1);
    const ItemRow row = item_of(select_items_);
    if (!add(encode_item(row), row.seq, room, page)) return false;
  }
  return true;
}

Result<bool> SqliteReader::add_items_for(const UserId& user_id, DeviceId device_id, StreamId stream_id,
                                         Seq earlier_head, Seq last, PageLimits& room, ItemPage& page) {
  const Reading reading(select_items_for_);
  std::size_t rows = limits::e2ee::kUnaddressedRead;
  select_items_for_.bind(1, to_column(stream_id.value))
      .bind(2, to_column(page.last))
      .bind(3, to_column(last))
      .bind(4, limit_column(rows))
      .bind(5, to_column(device_id.value))
      .bind_text(6, user_id);
  Seq read = page.last;  // what lies between is not for this device
  wire::SkipReason reason = wire::SKIP_REASON_NOT_ADDRESSED;
  const auto add_skip = [&] {
    const wire::SkipReason why = std::exchange(reason, wire::SKIP_REASON_NOT_ADDRESSED);
    return read == page.last || add(encode_skip(read, why), read, room, page);
  };
  for (; room.items > 0 && read < last && rows > 0; --rows) {
    CHATSDK_ASSIGN(const bool found, select_items_for_.step());
    if (!found || from_column(select_items_for_.integer(0)) != read + 1) return no_item(stream_id, read + 1);
    ItemRow row = item_of(select_items_for_);
    row.slice = select_items_for_.blob(8);
    // A message that the device may have had, or sent, under whatever id it had then, is shown without its slice: it is
    // not to be taken for lost, nor sent again.
    const bool may_be_its_own = select_items_for_.integer(9) != 0;
    const bool may_be_here = row.kind == wire::ITEM_KIND_MESSAGE && (row.seq <= earlier_head || may_be_its_own);
    const bool is_shown = row.kind == wire::ITEM_KIND_ROSTER || may_be_here;
    if (is_shown || !row.slice.empty() || row.sender_device == device_id) {
      if (!add_skip()) return false;
      if (room.items == 0 || !add(encode_item(row), row.seq, room, page)) return false;
    } else if (row.kind == wire::ITEM_KIND_MESSAGE) {
      reason = wire::SKIP_REASON_NOT_LISTED;  // a message has a slice for each device of its roster
    }
    read = row.seq;
  }
  return add_skip() && rows > 0;
}

bool SqliteReader::add(Bytes item, Seq seq, PageLimits& room, ItemPage& page) {
  if (!page.items.empty() && item.size() > room.bytes) return false;
  room.bytes -= std::min(room.bytes, item.size());
  --room.items;
  page.items.push_back(std::make_shared<const Bytes>(std::move(item)));
  page.last = seq;
  return true;
}

Result<std::vector<MarkAdvance>> SqliteReader::marks_after(const UserId& user_id, ConversationId conversation_id,
                                                           std::uint64_t revision, std::size_t max) {
  const Reading reading(select_marks_);
  select_marks_.bind(1, to_column(conversation_id.value))
      .bind(2, to_column(revision))
      .bind(3, limit_column(max))
      .bind_text(4, user_id);
  std::vector<MarkAdvance> advances;
  for (;;) {
    CHATSDK_ASSIGN(const bool row, select_marks_.step());
    if (!row) return advances;
    MarkAdvance advance;
    advance.revision = from_column(select_marks_.integer(0));
    advance.user_id = select_marks_.text(1);
    advance.kind = static_cast<wire::Marks::Kind>(select_marks_.integer(2));
    advance.up_to = from_column(select_marks_.integer(3));
    advance.at = from_unix_ms(select_marks_.integer(4));
    advances.push_back(std::move(advance));
  }
}

// ---- The key directory ---------------------------------------------------------------------------------------------

Result<NewestList> SqliteReader::newest_list(const UserId& user_id) { return keys_->newest_list(user_id); }

Result<ListPage> SqliteReader::device_lists(const UserId& user_id, const KnownList& known, std::size_t max) {
  return keys_->device_lists(user_id, known, max);
}

Result<std::optional<DeviceKeys>> SqliteReader::device_keys(DeviceId device_id) {
  return keys_->device_keys(device_id);
}

Result<std::optional<KeyCounts>> SqliteReader::key_counts(DeviceId device_id) { return keys_->key_counts(device_id); }

Result<std::optional<Bytes>> SqliteReader::link_message(const UserId& user_id, BytesView link_id, LinkStep step,
                                                        WallTime now) {
  return keys_->link_message(user_id, link_id, step, now);
}

// ---- Groups --------------------------------------------------------------------------------------------------------

Result<GroupView> SqliteReader::group(const UserId& user_id, BytesView group_id) {
  return groups_->group(user_id, group_id);
}

Result<GroupMemberPage> SqliteReader::group_members(const UserId& user_id, BytesView group_id, const UserId& after,
                                                    std::size_t max) {
  return groups_->members(user_id, group_id, after, max);
}

Result<std::vector<InvitationView>> SqliteReader::group_invitations(const UserId& user_id, BytesView group_id,
                                                                    WallTime now) {
  return groups_->invitations(user_id, group_id, now);
}

Result<InvitationView> SqliteReader::group_invitation(const UserId& user_id, BytesView invitation_id, WallTime now) {
  return groups_->invitation(user_id, invitation_id, now);
}

Result<std::vector<JoinRequestView>> SqliteReader::join_requests(const UserId& user_id, BytesView group_id) {
  return groups_->join_requests(user_id, group_id);
}

Result<std::uint64_t> SqliteReader::encryption_counter(DeviceId device_id) {
  const Reading reading(select_counter_);
  CHATSDK_ASSIGN(const bool found, select_counter_.bind(1, to_column(device_id.value)).step());
  return found ? from_column(select_counter_.integer(0)) : 0;
}

Status SqliteReader::check() {
  const Reading reading(select_progress_);
  return select_progress_.step_row();
}

}  // namespace chatsdk::server
