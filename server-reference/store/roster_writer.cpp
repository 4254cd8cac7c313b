// SPDX-License-Identifier: Apache-2.0
#include "server-reference/store/roster_writer.h"

#include <algorithm>
#include <utility>

#include "base/limits.h"

namespace chatsdk::server {

namespace {

void add(wire::Roster& roster, SignedListRow row) {
  wire::SignedList& out = *roster.add_lists();
  out.set_list(std::move(row.list));
  for (Bytes& record : row.records) out.add_records(std::move(record));
}

std::size_t bytes_of(const SignedListRow& row) {
  std::size_t bytes = row.list.size();
  for (const Bytes& record : row.records) bytes += record.size();
  return bytes;
}

}  // namespace

const RosterWriter::Listed* RosterWriter::Newest::find(DeviceId device) const {
  const auto found = std::find_if(devices.begin(), devices.end(),
                                  [device](const Listed& listed) { return listed.device_id == device; });
  return found == devices.end() ? nullptr : &*found;
}

Status RosterWriter::prepare() {
  CHATSDK_ASSIGN(select_newest_,
                 db_.prepare("SELECT e.version, e.device_id, k.device_id, k.signed_id, k.last_resort_id "
                             "FROM list_entry e LEFT JOIN device_keys k ON k.device_id = e.device_id "
                             "WHERE e.user_id = ?1 AND e.version = (SELECT max(version) FROM device_list WHERE "
                             "user_id = ?1) ORDER BY e.device_id"));
  CHATSDK_ASSIGN(select_versions_, db_.prepare("SELECT version FROM device_list WHERE user_id = ?1 AND version > ?2 "
                                               "ORDER BY version LIMIT ?3"));
  CHATSDK_ASSIGN(select_list_, db_.prepare("SELECT list FROM device_list WHERE user_id = ?1 AND version = ?2"));
  CHATSDK_ASSIGN(select_records_,
                 db_.prepare("SELECT r.record FROM list_entry e JOIN device_record r ON r.user_id = e.user_id AND "
                             "r.record_hash = e.record_hash WHERE e.user_id = ?1 AND e.version = ?2 AND "
                             "e.record_hash NOT IN (SELECT record_hash FROM list_entry WHERE user_id = ?1 AND "
                             "version = ?3) ORDER BY e.device_id"));
  CHATSDK_ASSIGN(put_version_, db_.prepare("INSERT INTO roster(stream_id, user_id, list_version) VALUES (?1, ?2, ?3) "
                                           "ON CONFLICT (stream_id, user_id) DO UPDATE SET list_version = "
                                           "excluded.list_version"));
  CHATSDK_ASSIGN(update_revision_, db_.prepare("UPDATE stream SET roster_revision = ?2 WHERE stream_id = ?1"));
  CHATSDK_ASSIGN(insert_due_,
                 db_.prepare("INSERT INTO roster_due(user_id) SELECT ?1 WHERE EXISTS (SELECT 1 FROM roster "
                             "WHERE user_id = ?1) ON CONFLICT (user_id) DO UPDATE SET user_id = "
                             "excluded.user_id"));
  CHATSDK_ASSIGN(select_due_, db_.prepare("SELECT user_id FROM roster_due ORDER BY user_id LIMIT 1"));
  CHATSDK_ASSIGN(delete_due_, db_.prepare("DELETE FROM roster_due WHERE user_id = ?1"));
  CHATSDK_ASSIGN(select_behind_, db_.prepare("SELECT stream_id FROM roster WHERE user_id = ?1 AND list_version < "
                                             "(SELECT max(version) FROM device_list WHERE user_id = ?1) LIMIT ?2"));
  return {};
}

// ---- Lists ---------------------------------------------------------------------------------------------------------

Result<RosterWriter::Newest> RosterWriter::newest(const UserId& user_id) {
  Newest newest;
  select_newest_.bind_text(1, user_id);
  for (;;) {
    CHATSDK_ASSIGN(const bool row, select_newest_.step());
    if (!row) return newest;
    newest.version = from_column(select_newest_.integer(0));
    newest.devices.push_back({DeviceId{from_column(select_newest_.integer(1))}, !select_newest_.is_null(2),
                              select_newest_.integer(3) != 0 && select_newest_.integer(4) != 0});
  }
}

Result<std::vector<std::uint64_t>> RosterWriter::versions_after(const UserId& user_id, std::uint64_t version,
                                                                std::size_t max) {
  std::vector<std::uint64_t> versions;
  select_versions_.bind_text(1, user_id).bind(2, to_column(version)).bind(3, to_column(max));
  for (;;) {
    CHATSDK_ASSIGN(const bool row, select_versions_.step());
    if (!row) return versions;
    versions.push_back(from_column(select_versions_.integer(0)));
  }
}

Result<SignedListRow> RosterWriter::signed_list(const UserId& user_id, std::uint64_t version, std::uint64_t before) {
  SignedListRow row;
  CHATSDK_TRY(select_list_.bind_text(1, user_id).bind(2, to_column(version)).step_row());
  row.list = select_list_.blob(0);
  select_list_.reset();
  select_records_.bind_text(1, user_id).bind(2, to_column(version)).bind(3, to_column(before));
  for (;;) {
    CHATSDK_ASSIGN(const bool found, select_records_.step());
    if (!found) return row;
    row.records.emplace_back(select_records_.blob(0));
  }
}

Status RosterWriter::add_lists_after(const UserId& user_id, std::uint64_t version, std::size_t& room,
                                     std::vector<SignedListRow>& lists) {
  CHATSDK_ASSIGN(const auto versions, versions_after(user_id, version, limits::e2ee::kListVersionsMax));
  for (const std::uint64_t next : versions) {
    CHATSDK_ASSIGN(SignedListRow row, signed_list(user_id, next, next - 1));
    const std::size_t bytes = bytes_of(row);
    if (bytes > room) break;
    room -= bytes;
    lists.push_back(std::move(row));
  }
  return {};
}

// ---- Rosters -------------------------------------------------------------------------------------------------------

Status RosterWriter::begin(StreamState& stream, wire::Roster& roster) {
  roster.set_encrypted(true);
  roster.set_revision(1);
  for (MemberState& member : stream.members) {
    CHATSDK_ASSIGN(const Newest list, newest(member.user_id));
    CHATSDK_ASSIGN(SignedListRow row, signed_list(member.user_id, list.version, 0));
    add(roster, std::move(row));
    CHATSDK_TRY(set_version(stream, member, list.version));
  }
  return set_revision(stream, 1);
}

Status RosterWriter::bring_up_to_date(StreamState& stream, WallTime now) {
  for (;;) {
    wire::Roster roster;
    for (MemberState& member : stream.members) {
      CHATSDK_ASSIGN(const auto versions,
                     versions_after(member.user_id, member.list_version, limits::e2ee::kListVersionsMax));
      for (const std::uint64_t version : versions) {
        CHATSDK_ASSIGN(SignedListRow row, signed_list(member.user_id, version, version - 1));
        add(roster, std::move(row));
      }
      if (!versions.empty()) CHATSDK_TRY(set_version(stream, member, versions.back()));
    }
    if (roster.lists_size() == 0) return {};
    CHATSDK_TRY(set_revision(stream, stream.roster_revision + 1));
    roster.set_encrypted(true);
    roster.set_revision(stream.roster_revision);
    const Bytes payload = roster.SerializeAsString();
    ItemRow row;
    row.kind = wire::ITEM_KIND_ROSTER;
    row.time_ms = to_unix_ms(now);
    row.payload = payload;
    CHATSDK_TRY(streams_.append(stream, row, now));
  }
}

Status RosterWriter::set_version(const StreamState& stream, MemberState& member, std::uint64_t version) {
  member.list_version = version;
  return put_version_.bind(1, to_column(stream.stream_id.value))
      .bind_text(2, member.user_id)
      .bind(3, to_column(version))
      .run();
}

Status RosterWriter::set_revision(StreamState& stream, std::uint64_t revision) {
  stream.roster_revision = revision;
  return update_revision_.bind(1, to_column(stream.stream_id.value)).bind(2, to_column(revision)).run();
}

// ---- Changed lists -------------------------------------------------------------------------------------------------

Result<bool> RosterWriter::list_changed(const UserId& user_id) {
  CHATSDK_TRY(insert_due_.bind_text(1, user_id).run());
  return db_.changes() != 0;
}

Status RosterWriter::apply(const ExtendRosters& op, Result<WriteAnswer>& answer) {
  RostersExtended extended;
  CHATSDK_ASSIGN(bool due, select_due_.step());
  while (due && extended.appended < op.max) {
    const UserId user_id(select_due_.text(0));
    select_due_.reset();
    const std::size_t room = op.max - extended.appended;
    std::vector<StreamId> behind;
    select_behind_.bind_text(1, user_id).bind(2, to_column(room));
    for (;;) {
      CHATSDK_ASSIGN(const bool row, select_behind_.step());
      if (!row) break;
      behind.push_back(StreamId{from_column(select_behind_.integer(0))});
    }
    for (const StreamId stream_id : behind) {
      CHATSDK_ASSIGN(StreamState * stream, streams_.find(stream_id));
      if (stream == nullptr) return error(Code::kCorrupt, "a roster has no stream");
      CHATSDK_TRY(bring_up_to_date(*stream, op.now));
    }
    extended.appended += behind.size();
    if (behind.size() < room) CHATSDK_TRY(delete_due_.bind_text(1, user_id).run());
    CHATSDK_ASSIGN(due, select_due_.step());
  }
  if (due) select_due_.reset();
  extended.more = due;
  answer = WriteAnswer(extended);
  return {};
}

}  // namespace chatsdk::server
