// SPDX-License-Identifier: Apache-2.0
//
// What a session does with encrypted sends: here they are held against their shape and their limits. For which devices
// they are made is judged by the store, which has the roster.
#include <algorithm>
#include <utility>

#include "base/fault.h"
#include "server-reference/gateway/session.h"

namespace chatsdk::server {

namespace {

using Slices = google::protobuf::RepeatedPtrField<wire::Slice>;

std::string limit_text(const char* what, std::uint64_t value, std::uint64_t limit) {
  return std::string(what) + " " + std::to_string(value) + ", limit " + std::to_string(limit);
}

Status check_shape(const Slices& slices) {
  const auto count = static_cast<std::size_t>(slices.size());
  if (count > limits::kSlicesChunk) {
    return error(Code::kInvalidArgument, limit_text("slices", count, limits::kSlicesChunk));
  }
  std::vector<std::uint64_t> devices;
  devices.reserve(count);
  for (const wire::Slice& slice : slices) {
    if (slice.device_id() == 0) return error(Code::kInvalidArgument, "a slice for device_id 0");
    if (slice.message().empty()) return error(Code::kInvalidArgument, "a slice of 0 B");
    devices.push_back(slice.device_id());
  }
  std::sort(devices.begin(), devices.end());
  const auto twice = std::adjacent_find(devices.begin(), devices.end());
  if (twice != devices.end()) {
    return error(Code::kInvalidArgument, "two slices for device " + std::to_string(*twice));
  }
  return {};
}

Status check_sizes(const Slices& slices, std::size_t text_bytes_max) {
  const std::size_t slice_max = limits::slice_bytes_max(text_bytes_max);
  std::size_t bytes = 0;
  for (const wire::Slice& slice : slices) {
    const std::size_t size = slice.message().size();
    if (size > slice_max) return error(Code::kTooLarge, limit_text("slice B", size, slice_max));
    bytes += size;
  }
  if (slices.size() > 1 && bytes > limits::kSlicesChunkBytes) {
    return error(Code::kTooLarge, limit_text("slices B", bytes, limits::kSlicesChunkBytes));
  }
  return {};
}

Status check_kind(const wire::Send& send) {
  switch (send.kind()) {
    case wire::ITEM_KIND_UNSPECIFIED:
    case wire::ITEM_KIND_MESSAGE:
      break;
    case wire::ITEM_KIND_KEYS:
      return error(Code::kInvalidArgument, "KEYS in a direct conversation");
    case wire::ITEM_KIND_RETRY:
    case wire::ITEM_KIND_REPAIR:
      if (send.slices_size() != 1 || send.slices_staged() != 0) {
        return error(Code::kInvalidArgument, "slices " + std::to_string(send.slices_size()) + " and slices_staged " +
                                                 std::to_string(send.slices_staged()) +
                                                 ", a RETRY and a REPAIR have one, unstaged");
      }
      break;
    default:
      return error(Code::kInvalidArgument, "kind " + std::to_string(send.kind()) + " is not sent");
  }
  const bool repairs = send.kind() == wire::ITEM_KIND_REPAIR;
  if (repairs != (send.target_seq() != 0)) {
    return error(Code::kInvalidArgument, "target_seq " + std::to_string(send.target_seq()) +
                                             (repairs ? " of a REPAIR" : ", only a REPAIR has one"));
  }
  return {};
}

Status check_parts(const wire::Send& send) {
  if (!send.content().empty()) return error(Code::kInvalidArgument, "an encrypted message with a content");
  if (!send.encrypted().empty()) {
    return error(Code::kInvalidArgument,
                 "encrypted " + std::to_string(send.encrypted().size()) + " B, a direct conversation has slices only");
  }
  if (send.encryption_counter() == 0) return error(Code::kInvalidArgument, "encryption_counter 0, it begins at 1");
  if (send.encryption_counter() > limits::e2ee::kEncryptionCounterMax) {
    return error(Code::kInvalidArgument,
                 limit_text("encryption_counter", send.encryption_counter(), limits::e2ee::kEncryptionCounterMax));
  }
  for (const auto& [what, value] : {std::pair{"own_list_version", send.own_list_version()},
                                    std::pair{"peer_list_version", send.peer_list_version()}}) {
    if (value > limits::e2ee::kListVersionMax) {
      return error(Code::kInvalidArgument, limit_text(what, value, limits::e2ee::kListVersionMax));
    }
    if (value == 0) return error(Code::kInvalidArgument, std::string(what) + " 0, versions begin at 1");
  }
  if (send.slices_staged() > limits::e2ee::kStagedChunksMax) {
    return error(Code::kInvalidArgument,
                 limit_text("slices_staged", send.slices_staged(), limits::e2ee::kStagedChunksMax));
  }
  CHATSDK_TRY(check_kind(send));
  return check_shape(send.slices());
}

std::vector<SliceRow> rows_of(Slices& slices) {
  std::vector<SliceRow> rows;
  rows.reserve(static_cast<std::size_t>(slices.size()));
  for (wire::Slice& slice : slices) {
    rows.push_back({DeviceId{slice.device_id()}, std::move(*slice.mutable_message())});
  }
  std::sort(rows.begin(), rows.end(), [](const SliceRow& a, const SliceRow& b) { return a.device_id < b.device_id; });
  return rows;
}

std::size_t bytes_in(const std::vector<SliceRow>& slices) {
  std::size_t bytes = 0;
  for (const SliceRow& slice : slices) bytes += slice.message.size();
  return bytes;
}

Bytes hash_of(const std::vector<SliceRow>& slices) {
  std::vector<SliceView> views;
  views.reserve(slices.size());
  for (const SliceRow& slice : slices) views.push_back({slice.device_id, slice.message});
  return payload_hash({}, views);
}

}  // namespace

void GatewaySession::on_encrypted_send(wire::Send& send, AppendMessage op) {
  if (!encryption_) {
    return send_refused(send.client_message_id(), error(Code::kUnsupported,
                                                        "an encrypted message, the connection has "
                                                        "not agreed on e2ee"));
  }
  if (const Status valid = check_parts(send); !valid.ok()) {
    return send_refused(send.client_message_id(), valid.error());
  }
  const Status sizes = check_sizes(send.slices(), shard_.options.text_bytes_max);
  EncryptedParts parts;
  if (send.kind() != wire::ITEM_KIND_UNSPECIFIED) parts.kind = send.kind();
  parts.target_seq = send.target_seq();
  parts.staged_chunks = send.slices_staged();
  parts.roster_revision = send.roster_revision();
  parts.own_list_version = send.own_list_version();
  parts.peer_list_version = send.peer_list_version();
  parts.counter = send.encryption_counter();
  parts.slices = rows_of(*send.mutable_slices());
  op.payload_hash = parts.staged_chunks == 0 ? hash_of(parts.slices) : Bytes();
  if (!sizes.ok()) {
    if (parts.staged_chunks != 0) return send_refused(op.client_message_id.view(), sizes.error());
    parts.slices.clear();
    op.encrypted = std::make_shared<const EncryptedParts>(std::move(parts));
    return ask_for_repeat(std::move(op), sizes.error());
  }
  const std::size_t bytes = bytes_in(parts.slices);
  op.encrypted = std::make_shared<const EncryptedParts>(std::move(parts));
  submit_send(std::move(op), bytes);
}

// A chunk that is kept has no answer of its own; one that is refused has that of its item.
void GatewaySession::on_stage_slices(wire::StageSlices& stage) {
  if (!encryption_) return;
  std::size_t bytes = 0;
  for (const wire::Slice& slice : stage.slices()) bytes += slice.message().size();
  const Status admitted = admit_send(bytes);
  if (!admitted.ok()) return send_refused(stage.client_message_id(), admitted.error());
  Result<StageSlices> op = check_stage(stage);
  if (!op.ok()) return send_refused(stage.client_message_id(), op.error());
  send_submitted(bytes);
  const ClientMessageId id = op->client_message_id;
  shard_.write(*this, std::move(op).value(), [id, bytes](GatewaySession& session, Result<WriteAnswer> answer) {
    if (session.closed()) return;
    if (answer.code() == Code::kUnauthenticated) return session.fail(answer.error());
    if (!answer.ok()) session.send_refused(id.view(), refusal_of(std::move(answer).error()));
    session.answer_given(bytes);
  });
}

Result<StageSlices> GatewaySession::check_stage(wire::StageSlices& stage) const {
  const auto id = ClientMessageId::from_bytes(stage.client_message_id());
  if (!id) {
    return error(Code::kInvalidArgument, "client_message_id " + std::to_string(stage.client_message_id().size()) +
                                             " B, " + std::to_string(limits::kClientMessageIdBytes) + " B are needed");
  }
  if (stage.chunk() >= limits::e2ee::kStagedChunksMax) {
    return error(Code::kInvalidArgument, limit_text("chunk", stage.chunk(), limits::e2ee::kStagedChunksMax - 1));
  }
  if (stage.slices_size() == 0) return error(Code::kInvalidArgument, "a chunk without slices");
  CHATSDK_TRY(check_shape(stage.slices()));
  CHATSDK_TRY(check_sizes(stage.slices(), shard_.options.text_bytes_max));
  StageSlices op;
  op.device_id = device_;
  op.session = session_;
  op.client_message_id = *id;
  op.chunk = stage.chunk();
  op.slices = rows_of(*stage.mutable_slices());
  op.now = shard_.executor.clock().wall_now();
  return op;
}

void GatewaySession::tell_roster_changed(const ClientMessageId& id, const RosterChanged& changed) {
  log_refusal("send", id.view(), "roster_changed: " + changed.detail);
  wire::ServerFrame frame;
  wire::SendResult& result = *frame.mutable_send_result();
  result.set_client_message_id(id.view().data(), id.view().size());
  wire::RosterChanged& out = *result.mutable_roster_changed();
  out.set_revision(changed.revision);
  out.set_detail(changed.detail);
  out.set_encryption_counter(changed.counter);
  for (const SignedListRow& row : changed.lists) {
    wire::SignedList& list = *out.add_lists();
    list.set_list(row.list);
    for (const Bytes& record : row.records) list.add_records(record);
  }
  send(frame);
}

}  // namespace chatsdk::server
