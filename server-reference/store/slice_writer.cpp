// SPDX-License-Identifier: Apache-2.0
#include "server-reference/store/slice_writer.h"

#include <algorithm>
#include <string>
#include <utility>

#include "base/limits.h"
#include "server-reference/store/stream_writer.h"

namespace chatsdk::server {

namespace {

constexpr std::size_t kSliceHeadBytes = 12;  // u64(device_id), u32(length)

void put_little(Bytes& out, std::uint64_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) out.push_back(static_cast<char>(value >> (8 * i)));
}

std::uint64_t little(BytesView bytes) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    value |= std::uint64_t{static_cast<unsigned char>(bytes[i])} << (8 * i);
  }
  return value;
}

Bytes pack(const std::vector<SliceRow>& slices) {
  std::size_t bytes = 0;
  for (const SliceRow& slice : slices) bytes += kSliceHeadBytes + slice.message.size();
  Bytes packed;
  packed.reserve(bytes);
  for (const SliceRow& slice : slices) {
    put_little(packed, slice.device_id.value, 8);
    put_little(packed, slice.message.size(), 4);
    packed += slice.message;
  }
  return packed;
}

// Adds views into `packed`; false: it is not what pack() wrote.
bool unpack(BytesView packed, std::vector<SliceView>& slices) {
  while (!packed.empty()) {
    if (packed.size() < kSliceHeadBytes) return false;
    const DeviceId device{little(packed.substr(0, 8))};
    const std::uint64_t length = little(packed.substr(8, 4));
    packed.remove_prefix(kSliceHeadBytes);
    if (length > packed.size()) return false;
    slices.push_back({device, packed.substr(0, static_cast<std::size_t>(length))});
    packed.remove_prefix(static_cast<std::size_t>(length));
  }
  return true;
}

}  // namespace

Status SliceWriter::prepare() {
  CHATSDK_ASSIGN(select_staged_bytes_,
                 db_.prepare("SELECT sum(bytes) FROM staged WHERE device_id = ?1 AND NOT (client_message_id = ?2 AND "
                             "chunk = ?3)"));
  CHATSDK_ASSIGN(put_staged_, db_.prepare("INSERT INTO staged(device_id, client_message_id, chunk, bytes, created_ms, "
                                          "slices) VALUES (?1, ?2, ?3, ?4, ?5, ?6) "
                                          "ON CONFLICT (device_id, client_message_id, chunk) DO UPDATE SET "
                                          "bytes = excluded.bytes, created_ms = excluded.created_ms, "
                                          "slices = excluded.slices"));
  CHATSDK_ASSIGN(select_staged_, db_.prepare("SELECT chunk, slices FROM staged WHERE device_id = ?1 AND "
                                             "client_message_id = ?2 AND chunk < ?3 ORDER BY chunk"));
  CHATSDK_ASSIGN(delete_staged_, db_.prepare("DELETE FROM staged WHERE device_id = ?1 AND client_message_id = ?2"));
  CHATSDK_ASSIGN(delete_staged_of_, db_.prepare("DELETE FROM staged WHERE device_id = ?1"));
  CHATSDK_ASSIGN(delete_staged_before_, db_.prepare("DELETE FROM staged WHERE created_ms < ?1"));
  CHATSDK_ASSIGN(update_counter_, db_.prepare("UPDATE device SET encryption_counter = ?2 WHERE device_id = ?1 AND "
                                              "encryption_counter < ?2"));
  CHATSDK_ASSIGN(delete_acknowledged_, db_.prepare("DELETE FROM slice WHERE stream_id = ?1 AND seq > ?2 AND seq <= ?3 "
                                                   "AND device_id = ?4"));
  // A stream holds the slices that somebody has yet to acknowledge, so these pass over few of others.
  CHATSDK_ASSIGN(select_any_for_,
                 db_.prepare("SELECT EXISTS (SELECT 1 FROM slice WHERE stream_id IN (SELECT stream_id FROM roster "
                             "WHERE user_id = ?1) AND device_id = ?2)"));
  CHATSDK_ASSIGN(delete_slices_of_,
                 db_.prepare("DELETE FROM slice WHERE stream_id IN (SELECT stream_id FROM roster WHERE user_id = ?1) "
                             "AND device_id = ?2"));
  return {};
}

// ---- Staging -------------------------------------------------------------------------------------------------------

Status SliceWriter::apply(const StageSlices& op, Result<WriteAnswer>& answer) {
  CHATSDK_ASSIGN(const SessionId open, sessions_.of(op.device_id));
  if (op.session && open != op.session) {
    answer = error(Code::kUnauthenticated, "the session has ended");
    return {};
  }
  const Bytes packed = pack(op.slices);
  CHATSDK_TRY(select_staged_bytes_.bind(1, to_column(op.device_id.value))
                  .bind_blob(2, op.client_message_id.view())
                  .bind(3, op.chunk)
                  .step_row());
  const std::size_t bytes = from_column(select_staged_bytes_.integer(0)) + packed.size();  // NULL reads as 0
  select_staged_bytes_.reset();
  if (bytes > limits::e2ee::kStagedBytesMax) {
    answer = Error{
        Code::kRateLimited,
        std::to_string(bytes) + " B of staged slices, limit " + std::to_string(limits::e2ee::kStagedBytesMax) + " B",
        limits::kRetryBusy};
    return {};
  }
  answer = WriteAnswer(Done{});
  return put_staged_.bind(1, to_column(op.device_id.value))
      .bind_blob(2, op.client_message_id.view())
      .bind(3, op.chunk)
      .bind(4, to_column(packed.size()))
      .bind(5, to_unix_ms(op.now))
      .bind_blob(6, packed)
      .run();
}

Status SliceWriter::apply(const PurgeStaged& op, Result<WriteAnswer>& answer) {
  answer = WriteAnswer(Done{});
  return delete_staged_before_.bind(1, to_unix_ms(op.now - limits::e2ee::kStagedKept)).run();
}

Result<SliceWriter::Set> SliceWriter::gather(const AppendMessage& op) {
  const EncryptedParts& parts = *op.encrypted;
  Set set;
  set.chunks.reserve(parts.staged_chunks);
  select_staged_.bind(1, to_column(op.sender_device.value))
      .bind_blob(2, op.client_message_id.view())
      .bind(3, parts.staged_chunks);
  while (parts.staged_chunks != 0) {
    CHATSDK_ASSIGN(const bool row, select_staged_.step());
    if (!row) break;
    if (from_column(select_staged_.integer(0)) == set.chunks.size()) set.chunks.emplace_back(select_staged_.blob(1));
  }
  if (set.chunks.size() != parts.staged_chunks) {
    set.refusal = Error{Code::kUnavailable,
                        "chunk " + std::to_string(set.chunks.size()) + " of " + std::to_string(parts.staged_chunks) +
                            " is not staged: stage all and send again",
                        limits::kRetryBusy};
    return set;
  }
  for (const Bytes& chunk : set.chunks) {
    if (!unpack(chunk, set.slices)) return error(Code::kCorrupt, "a staged chunk is cut short");
  }
  for (const SliceRow& slice : parts.slices) set.slices.push_back({slice.device_id, slice.message});
  std::sort(set.slices.begin(), set.slices.end(),
            [](const SliceView& a, const SliceView& b) { return a.device_id < b.device_id; });
  const auto twice = std::adjacent_find(set.slices.begin(), set.slices.end(),
                                        [](const auto& a, const auto& b) { return a.device_id == b.device_id; });
  if (twice != set.slices.end()) {
    set.refusal = error(Code::kInvalidArgument, "two slices for device " + std::to_string(twice->device_id.value));
  }
  return set;
}

Status SliceWriter::discard_staged(DeviceId device, const ClientMessageId& id) {
  return delete_staged_.bind(1, to_column(device.value)).bind_blob(2, id.view()).run();
}

// ---- Devices -------------------------------------------------------------------------------------------------------

Status SliceWriter::count(DeviceId device, std::uint64_t counter) {
  return update_counter_.bind(1, to_column(device.value)).bind(2, to_column(counter)).run();
}

Status SliceWriter::acknowledged(DeviceId device, StreamId stream, Seq from, Seq up_to) {
  return delete_acknowledged_.bind(1, to_column(stream.value))
      .bind(2, to_column(from))
      .bind(3, to_column(up_to))
      .bind(4, to_column(device.value))
      .run();
}

Result<bool> SliceWriter::any_for(const UserId& user_id, DeviceId device) {
  CHATSDK_TRY(select_any_for_.bind_text(1, user_id).bind(2, to_column(device.value)).step_row());
  const bool any = select_any_for_.integer(0) != 0;
  select_any_for_.reset();
  return any;
}

Status SliceWriter::forget(const UserId& user_id, DeviceId device) {
  CHATSDK_TRY(delete_staged_of_.bind(1, to_column(device.value)).run());
  return delete_slices_of_.bind_text(1, user_id).bind(2, to_column(device.value)).run();
}

}  // namespace chatsdk::server
