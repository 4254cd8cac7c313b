// SPDX-License-Identifier: Apache-2.0
#include "server-reference/store/stream_writer.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "base/assert.h"
#include "base/fault.h"
#include "server-reference/store/group_rows.h"

namespace chatsdk::server {

namespace {

constexpr Seq kFirstSeq = 1;

}  // namespace

MemberState* StreamState::member(const UserId& user_id) {
  const auto found =
      std::find_if(members.begin(), members.end(), [&](const MemberState& m) { return m.user_id == user_id; });
  return found == members.end() ? nullptr : &*found;
}

std::vector<UserId> StreamState::followers() const {
  std::vector<UserId> users;
  users.reserve(members.size());
  for (const MemberState& member : members) users.push_back(member.user_id);
  return users;
}

Status StreamWriter::prepare() {
  CHATSDK_ASSIGN(select_stream_,
                 db_.prepare("SELECT s.kind, s.conversation_kind, s.head, r.revision, s.roster_revision FROM stream s "
                             "LEFT JOIN mark_revision r USING (stream_id) WHERE s.stream_id = ?1"));
  CHATSDK_ASSIGN(
      select_members_,
      db_.prepare("SELECT m.user_id, m.role, m.joined_seq, k.delivered_up_to, k.read_up_to FROM member m LEFT JOIN "
                  "mark k ON k.stream_id = m.stream_id AND k.user_id = m.user_id "
                  "WHERE m.stream_id = ?1 AND m.left_seq IS NULL"));
  CHATSDK_ASSIGN(select_list_version_,
                 db_.prepare("SELECT list_version FROM roster WHERE stream_id = ?1 AND user_id = ?2"));
  CHATSDK_ASSIGN(lower_rosters_,
                 db_.prepare("UPDATE roster SET list_version = ?2 WHERE user_id = ?1 AND list_version > ?2"));
  CHATSDK_ASSIGN(select_direct_, db_.prepare("SELECT stream_id FROM direct WHERE user_low = ?1 AND user_high = ?2"));
  CHATSDK_ASSIGN(select_group_, db_.prepare("SELECT stream_id FROM group_info WHERE group_id = ?1"));
  CHATSDK_ASSIGN(select_permissions_, db_.prepare("SELECT permissions FROM group_info WHERE stream_id = ?1"));
  CHATSDK_ASSIGN(select_send_number_,
                 db_.prepare("SELECT last FROM send_number WHERE device_id = ?1 AND stream_id = ?2"));
  CHATSDK_ASSIGN(insert_stream_, db_.prepare("INSERT INTO stream(stream_id, kind, conversation_kind, head, trimmed_to) "
                                             "VALUES (?1, ?2, ?3, 0, 0)"));
  CHATSDK_ASSIGN(insert_member_, db_.prepare("INSERT INTO member(stream_id, user_id, interval, role, joined_seq, "
                                             "joined_marks) VALUES (?1, ?2, ?3, ?4, ?5, ?6)"));
  CHATSDK_ASSIGN(
      select_interval_,
      db_.prepare("SELECT max(m.interval), k.delivered_up_to, k.read_up_to FROM member m LEFT JOIN mark k ON "
                  "k.stream_id = m.stream_id AND k.user_id = m.user_id WHERE m.stream_id = ?1 AND "
                  "m.user_id = ?2"));
  CHATSDK_ASSIGN(end_member_, db_.prepare("UPDATE member SET left_seq = ?3, left_marks = ?4, removed = ?5 WHERE "
                                          "stream_id = ?1 AND user_id = ?2 AND left_seq IS NULL"));
  CHATSDK_ASSIGN(select_removed_, db_.prepare("SELECT removed FROM member WHERE stream_id = ?1 AND user_id = ?2 ORDER "
                                              "BY interval DESC LIMIT 1"));
  CHATSDK_ASSIGN(update_role_, db_.prepare("UPDATE member SET role = ?3 WHERE stream_id = ?1 AND user_id = ?2 AND "
                                           "left_seq IS NULL"));
  CHATSDK_ASSIGN(insert_direct_, db_.prepare("INSERT INTO direct(user_low, user_high, stream_id) VALUES (?1, ?2, ?3)"));
  CHATSDK_ASSIGN(insert_item_,
                 db_.prepare("INSERT INTO item(stream_id, seq, kind, message_id, sender, sender_device, "
                             "client_message_id, time_ms, payload) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)"));
  CHATSDK_ASSIGN(insert_slice_, db_.prepare("INSERT INTO slice(stream_id, seq, device_id, message) "
                                            "VALUES (?1, ?2, ?3, ?4)"));
  CHATSDK_ASSIGN(update_head_, db_.prepare("UPDATE stream SET head = ?2 WHERE stream_id = ?1"));
  CHATSDK_ASSIGN(put_send_number_,
                 db_.prepare("INSERT INTO send_number(device_id, stream_id, last) VALUES (?1, ?2, ?3) "
                             "ON CONFLICT (device_id, stream_id) DO UPDATE SET last = excluded.last"));
  CHATSDK_ASSIGN(put_revision_, db_.prepare("INSERT INTO mark_revision(stream_id, revision) VALUES (?1, ?2) "
                                            "ON CONFLICT (stream_id) DO UPDATE SET revision = excluded.revision"));
  CHATSDK_ASSIGN(put_mark_,
                 db_.prepare("INSERT INTO mark(stream_id, user_id, delivered_up_to, read_up_to) VALUES (?1, ?2, ?3, "
                             "?4) ON CONFLICT (stream_id, user_id) DO UPDATE SET delivered_up_to = "
                             "excluded.delivered_up_to, read_up_to = excluded.read_up_to"));
  CHATSDK_ASSIGN(insert_advance_,
                 db_.prepare("INSERT INTO mark_advance(stream_id, revision, user_id, kind, up_to, time_ms) "
                             "VALUES (?1, ?2, ?3, ?4, ?5, ?6)"));
  return {};
}

void StreamWriter::begin(CommitResult& result) { result_ = &result; }

Result<StreamState*> StreamWriter::find(StreamId stream_id) {
  if (const auto cached = streams_.find(stream_id); cached != streams_.end()) return &cached->second;
  CHATSDK_ASSIGN(const bool found, select_stream_.bind(1, to_column(stream_id.value)).step());
  if (!found) return nullptr;
  StreamState state;
  state.stream_id = stream_id;
  state.kind = static_cast<wire::StreamKind>(select_stream_.integer(0));
  state.conversation_kind = static_cast<wire::ConversationKind>(select_stream_.integer(1));
  state.head = from_column(select_stream_.integer(2));
  state.marks_revision = from_column(select_stream_.integer(3));
  state.roster_revision = from_column(select_stream_.integer(4));
  select_stream_.reset();
  select_members_.bind(1, to_column(stream_id.value));
  for (;;) {
    CHATSDK_ASSIGN(const bool row, select_members_.step());
    if (!row) break;
    MemberState member;
    member.user_id = select_members_.text(0);
    member.role = static_cast<MemberRole>(select_members_.integer(1));
    member.joined_seq = from_column(select_members_.integer(2));
    // NULL, who never moved a mark, reads as 0.
    member.delivered_up_to = std::max(from_column(select_members_.integer(3)), member.joined_seq - 1);
    member.read_up_to = std::max(from_column(select_members_.integer(4)), member.joined_seq - 1);
    state.members.push_back(std::move(member));
  }
  if (state.conversation_kind == wire::CONVERSATION_KIND_GROUP) {
    CHATSDK_TRY(select_permissions_.bind(1, to_column(stream_id.value)).step_row());
    state.permissions = permissions_of(select_permissions_.blob(0));
    select_permissions_.reset();
  }
  if (state.encrypted()) {
    for (MemberState& member : state.members) {
      CHATSDK_TRY(select_list_version_.bind(1, to_column(stream_id.value)).bind_text(2, member.user_id).step_row());
      member.list_version = from_column(select_list_version_.integer(0));
      select_list_version_.reset();
    }
  }
  cached_members_ += state.members.size();
  return &streams_.emplace(stream_id, std::move(state)).first->second;
}

Result<StreamState*> StreamWriter::create(wire::StreamKind kind, wire::ConversationKind conversation_kind,
                                          const std::vector<UserId>& members, WallTime now) {
  StreamState state;
  state.stream_id = StreamId{ids_.make(now).value};
  state.kind = kind;
  state.conversation_kind = conversation_kind;
  CHATSDK_TRY(insert_stream_.bind(1, to_column(state.stream_id.value)).bind(2, kind).bind(3, conversation_kind).run());
  for (const UserId& user_id : members) CHATSDK_TRY(join(state, user_id, MemberRole::kMember, kFirstSeq));
  const StreamId stream_id = state.stream_id;
  return &streams_.emplace(stream_id, std::move(state)).first->second;
}

const std::string& StreamWriter::direct_key(const UserId& low, const UserId& high) {
  // The length in front keeps pairs apart whatever bytes the names hold.
  direct_key_.assign(std::to_string(low.size())).append(":").append(low).append(high);
  return direct_key_;
}

Result<StreamState*> StreamWriter::find_direct(const UserId& one, const UserId& other) {
  const auto& [low, high] = std::minmax(one, other);
  const std::string& key = direct_key(low, high);
  if (const auto cached = directs_.find(key); cached != directs_.end()) return find(cached->second);
  CHATSDK_ASSIGN(const bool found, select_direct_.bind_text(1, low).bind_text(2, high).step());
  if (!found) return nullptr;
  const StreamId stream_id{from_column(select_direct_.integer(0))};
  select_direct_.reset();
  directs_.emplace(key, stream_id);
  return find(stream_id);
}

Result<StreamState*> StreamWriter::create_direct(const UserId& one, const UserId& other, WallTime now) {
  const auto& [low, high] = std::minmax(one, other);
  CHATSDK_ASSIGN(StreamState * stream,
                 create(wire::STREAM_KIND_CONVERSATION, wire::CONVERSATION_KIND_DIRECT, {low, high}, now));
  CHATSDK_TRY(insert_direct_.bind_text(1, low).bind_text(2, high).bind(3, to_column(stream->stream_id.value)).run());
  directs_.emplace(direct_key(low, high), stream->stream_id);
  return stream;
}

Result<StreamState*> StreamWriter::find_group(BytesView group_id) {
  CHATSDK_ASSIGN(const bool found, select_group_.bind_blob(1, group_id).step());
  if (!found) return nullptr;
  const StreamId stream_id{from_column(select_group_.integer(0))};
  select_group_.reset();
  return find(stream_id);
}

// ---- Members -------------------------------------------------------------------------------------------------------

Status StreamWriter::join(StreamState& stream, const UserId& user_id, MemberRole role, Seq first_seq) {
  CHATSDK_ASSERT(stream.member(user_id) == nullptr && first_seq <= stream.head + 1);
  CHATSDK_TRY(select_interval_.bind(1, to_column(stream.stream_id.value)).bind_text(2, user_id).step_row());
  const std::int64_t interval = select_interval_.integer(0) + 1;  // none reads as 0
  MemberState member{user_id, role, first_seq};
  member.delivered_up_to = std::max(from_column(select_interval_.integer(1)), first_seq - 1);
  member.read_up_to = std::max(from_column(select_interval_.integer(2)), first_seq - 1);
  select_interval_.reset();
  const std::uint64_t marks = first_seq <= stream.head ? 0 : stream.marks_revision;
  CHATSDK_TRY(insert_member_.bind(1, to_column(stream.stream_id.value))
                  .bind_text(2, user_id)
                  .bind(3, interval)
                  .bind(4, static_cast<std::int64_t>(role))
                  .bind(5, to_column(first_seq))
                  .bind(6, to_column(marks))
                  .run());
  stream.members.push_back(std::move(member));
  ++cached_members_;
  ++stream.membership;
  return {};
}

Status StreamWriter::leave(StreamState& stream, const UserId& user_id, bool removed) {
  CHATSDK_ASSERT(stream.member(user_id) != nullptr);
  CHATSDK_TRY(end_member_.bind(1, to_column(stream.stream_id.value))
                  .bind_text(2, user_id)
                  .bind(3, to_column(stream.head))
                  .bind(4, to_column(stream.marks_revision))
                  .bind(5, std::int64_t{removed})
                  .run());
  std::erase_if(stream.members, [&](const MemberState& member) { return member.user_id == user_id; });
  --cached_members_;
  ++stream.membership;
  return {};
}

Status StreamWriter::set_role(StreamState& stream, MemberState& member, MemberRole role) {
  member.role = role;
  return update_role_.bind(1, to_column(stream.stream_id.value))
      .bind_text(2, member.user_id)
      .bind(3, static_cast<std::int64_t>(role))
      .run();
}

Result<bool> StreamWriter::was_member(const StreamState& stream, const UserId& user_id) {
  CHATSDK_TRY(select_interval_.bind(1, to_column(stream.stream_id.value)).bind_text(2, user_id).step_row());
  const bool was = !select_interval_.is_null(0);
  select_interval_.reset();
  return was;
}

Result<bool> StreamWriter::was_removed(const StreamState& stream, const UserId& user_id) {
  CHATSDK_ASSIGN(const bool was_member,
                 select_removed_.bind(1, to_column(stream.stream_id.value)).bind_text(2, user_id).step());
  if (!was_member) return false;
  const bool removed = select_removed_.integer(0) != 0;
  select_removed_.reset();
  return removed;
}

// ---- Items ---------------------------------------------------------------------------------------------------------

Result<MessageId> StreamWriter::append(StreamState& stream, ItemRow row, WallTime now) {
  row.seq = stream.head + 1;
  row.message_id = ids_.make(now);
  CHATSDK_TRY(insert_item_.bind(1, to_column(stream.stream_id.value))
                  .bind(2, to_column(row.seq))
                  .bind(3, row.kind)
                  .bind(4, to_column(row.message_id.value))
                  .bind_text_borrowed(5, row.sender)
                  .bind(6, to_column(row.sender_device.value))
                  .bind_blob_borrowed(7, row.client_message_id)
                  .bind(8, row.time_ms)
                  .bind_blob_borrowed(9, row.payload)
                  .run());
  if (row.kind != wire::ITEM_KIND_MESSAGE) insert_item_.clear_bindings();
  stream.head = row.seq;
  stream.head_changed = true;
  enqueue(stream);
  result_->appended.push_back(
      {stream.stream_id, stream.kind, row.seq, std::make_shared<const Bytes>(encode_item(row)), stream.followers()});
  return row.message_id;
}

Result<MessageId> StreamWriter::append(StreamState& stream, const ItemRow& row, const std::vector<SliceView>& slices,
                                       WallTime now) {
  CHATSDK_ASSIGN(const MessageId message_id, append(stream, row, now));
  AppendedItem& appended = result_->appended.back();
  appended.only_for = row.sender_device;
  appended.skip_reason =
      row.kind == wire::ITEM_KIND_MESSAGE ? wire::SKIP_REASON_NOT_LISTED : wire::SKIP_REASON_NOT_ADDRESSED;
  appended.slices.reserve(slices.size());
  ItemRow for_device = row;
  for_device.seq = stream.head;
  for_device.message_id = message_id;
  for (const SliceView& slice : slices) {
    CHATSDK_TRY(insert_slice_.bind(1, to_column(stream.stream_id.value))
                    .bind(2, to_column(stream.head))
                    .bind(3, to_column(slice.device_id.value))
                    .bind_blob_borrowed(4, slice.message)
                    .run());
    for_device.slice = slice.message;
    appended.slices.push_back({slice.device_id, std::make_shared<const Bytes>(encode_item(for_device))});
  }
  insert_slice_.clear_bindings();
  insert_item_.clear_bindings();  // no content is borrowed for longer
  return message_id;
}

Status StreamWriter::append_devices_changed(StreamId account_stream, WallTime now) {
  CHATSDK_ASSIGN(StreamState * stream, find(account_stream));
  if (stream == nullptr) return error(Code::kCorrupt, "an account has no stream");
  ItemRow row;
  row.kind = wire::ITEM_KIND_DEVICES_CHANGED;
  row.time_ms = to_unix_ms(now);
  CHATSDK_TRY(append(*stream, row, now));
  return {};
}

Result<SendNumber*> StreamWriter::send_number(StreamState& stream, DeviceId device_id) {
  for (SendNumber& number : stream.send_numbers) {
    if (number.device_id == device_id) return &number;
  }
  CHATSDK_ASSIGN(
      const bool found,
      select_send_number_.bind(1, to_column(device_id.value)).bind(2, to_column(stream.stream_id.value)).step());
  SendNumber number{device_id, 0, false};
  if (found) {
    number.last = from_column(select_send_number_.integer(0));
    select_send_number_.reset();
  }
  stream.send_numbers.push_back(number);
  return &stream.send_numbers.back();
}

Status StreamWriter::lower_rosters(const UserId& user_id, std::uint64_t version) {
  for (auto& [stream_id, stream] : streams_) {
    MemberState* const member = stream.member(user_id);
    if (member != nullptr) member->list_version = std::min(member->list_version, version);
  }
  return lower_rosters_.bind_text(1, user_id).bind(2, to_column(version)).run();
}

void StreamWriter::forget_send_numbers(DeviceId device_id) {
  for (auto& [stream_id, stream] : streams_) {
    std::erase_if(stream.send_numbers, [&](const SendNumber& number) { return number.device_id == device_id; });
  }
}

void StreamWriter::set_send_number(StreamState& stream, SendNumber& number, std::uint64_t last) {
  CHATSDK_ASSERT(last > number.last);
  number.last = last;
  number.changed = true;
  enqueue(stream);
}

Status StreamWriter::write_mark(StreamState& stream, const MemberState& member, MarkAdvance& advance) {
  advance.revision = ++stream.marks_revision;
  stream.revision_changed = true;
  enqueue(stream);
  CHATSDK_TRY(put_mark_.bind(1, to_column(stream.stream_id.value))
                  .bind_text(2, member.user_id)
                  .bind(3, to_column(member.delivered_up_to))
                  .bind(4, to_column(member.read_up_to))
                  .run());
  return insert_advance_.bind(1, to_column(stream.stream_id.value))
      .bind(2, to_column(advance.revision))
      .bind_text(3, advance.user_id)
      .bind(4, advance.kind)
      .bind(5, to_column(advance.up_to))
      .bind(6, to_unix_ms(advance.at))
      .run();
}

Status StreamWriter::flush() {
  for (StreamState* stream : queue_) {
    const std::int64_t stream_id = to_column(stream->stream_id.value);
    if (std::exchange(stream->head_changed, false)) {
      CHATSDK_TRY(update_head_.bind(1, stream_id).bind(2, to_column(stream->head)).run());
    }
    if (std::exchange(stream->revision_changed, false)) {
      CHATSDK_TRY(put_revision_.bind(1, stream_id).bind(2, to_column(stream->marks_revision)).run());
    }
    for (SendNumber& number : stream->send_numbers) {
      if (!std::exchange(number.changed, false)) continue;
      CHATSDK_TRY(put_send_number_.bind(1, to_column(number.device_id.value))
                      .bind(2, stream_id)
                      .bind(3, to_column(number.last))
                      .run());
    }
    stream->queued = false;
  }
  queue_.clear();
  return {};
}

void StreamWriter::release() { insert_item_.clear_bindings(); }

void StreamWriter::trim() {
  CHATSDK_ASSERT(queue_.empty());
  if (CHATSDK_PLANTED(Bug::kCachesWithoutLimit)) return;
  const bool many = streams_.size() > cached_max_ || cached_members_ > kMembersPerStream * cached_max_;
  if (many) forget_streams();
  if (directs_.size() > cached_max_) directs_.clear();
}

void StreamWriter::forget() {
  queue_.clear();
  forget_streams();
  directs_.clear();
}

void StreamWriter::forget_streams() {
  streams_.clear();
  cached_members_ = 0;
}

void StreamWriter::enqueue(StreamState& stream) {
  if (std::exchange(stream.queued, true)) return;
  queue_.push_back(&stream);
}

}  // namespace chatsdk::server
