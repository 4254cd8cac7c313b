// SPDX-License-Identifier: Apache-2.0
#include "server-reference/store/message_writer.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "base/assert.h"
#include "base/fault.h"
#include "base/limits.h"
#include "protocol/content.h"

namespace chatsdk::server {

namespace {

// One answer for a conversation that is not there and for one that is not the asker's.
Error no_conversation() { return error(Code::kNotFound, "no such conversation"); }

// Who was one knows that the conversation is there.
Error no_member() { return error(Code::kForbidden, "the sender is no member of the conversation any more"); }

Error no_right(GroupRight right) {
  return error(Code::kForbidden,
               std::string(right == GroupRight::kPin ? "pinning" : "writing") + " takes another role in this group");
}

// One answer for a user who is not there and for one who has no device list.
Error no_peer_with_keys() { return error(Code::kNotFound, "no such user, or one without a device list"); }

std::string device_text(DeviceId device) { return "device " + std::to_string(device.value); }

// What of the slices is not for the devices of both lists; empty: nothing.
std::string misfit(const std::vector<SliceView>& slices, wire::ItemKind kind, DeviceId sender,
                   const RosterWriter::Newest& own, const RosterWriter::Newest& peer) {
  for (const SliceView& slice : slices) {
    const bool listed = own.find(slice.device_id) != nullptr || peer.find(slice.device_id) != nullptr;
    // Bug::kP13RemovalAfterNextSend: what was made for the roster of before is taken, with what is for who has left.
    if (CHATSDK_PLANTED(Bug::kP13RemovalAfterNextSend) && !listed) continue;
    if (!listed) return "a slice for " + device_text(slice.device_id) + ", which is not in the roster";
    if (slice.device_id == sender) return "a slice for the sender's own " + device_text(sender);
  }
  if (kind != wire::ITEM_KIND_MESSAGE) return {};
  for (const RosterWriter::Newest* list : {&own, &peer}) {
    for (const RosterWriter::Listed& device : list->devices) {
      if (device.device_id == sender || !device.reachable) continue;
      const bool has = std::any_of(slices.begin(), slices.end(),
                                   [&](const SliceView& slice) { return slice.device_id == device.device_id; });
      if (!has) return "no slice for " + device_text(device.device_id);
    }
  }
  return {};
}

// A slice that opens for nobody: the device knows by it that there is a message, and asks its sender for it.
constexpr std::string_view kNoSlice{"\0", 1};

// The devices of the lists that could not be encrypted for, since the directory has no bundle of them yet.
void add_left_out(const RosterWriter::Newest& list, DeviceId sender, std::vector<SliceView>& slices) {
  for (const RosterWriter::Listed& device : list.devices) {
    if (device.device_id == sender || device.reachable || !device.known) continue;
    const bool has = std::any_of(slices.begin(), slices.end(),
                                 [&](const SliceView& slice) { return slice.device_id == device.device_id; });
    if (!has) slices.push_back({device.device_id, kNoSlice});
  }
}

// What of the roster that the sender names is not today's; empty: nothing.
std::string outdated(const EncryptedParts& parts, std::uint64_t revision, std::uint64_t own, std::uint64_t peer) {
  if (CHATSDK_PLANTED(Bug::kP13RemovalAfterNextSend) && parts.roster_revision + 1 == revision) return {};
  if (parts.roster_revision != 0 && parts.roster_revision != revision) {
    return "roster revision " + std::to_string(parts.roster_revision) + ", today's is " + std::to_string(revision);
  }
  if (parts.roster_revision == 0 && (parts.own_list_version != own || parts.peer_list_version != peer)) {
    return "list versions " + std::to_string(parts.own_list_version) + " and " +
           std::to_string(parts.peer_list_version) + ", today's are " + std::to_string(own) + " and " +
           std::to_string(peer);
  }
  return {};
}

Error not_listed() { return error(Code::kForbidden, "the device is not in its user's device list"); }

Error out_of_order(std::uint64_t seen, std::uint64_t expected) {
  return {Code::kOutOfOrder,
          "send number " + std::to_string(seen) + ", expected " + std::to_string(expected),
          {},
          expected};
}

}  // namespace

Status MessageWriter::prepare() {
  CHATSDK_ASSIGN(select_account_stream_, db_.prepare("SELECT account_stream FROM account WHERE user_id = ?1"));
  CHATSDK_ASSIGN(select_record_, db_.prepare("SELECT seq, payload_hash FROM dedup WHERE stream_id = ?1 AND sender = ?2 "
                                             "AND client_message_id = ?3"));
  CHATSDK_ASSIGN(insert_record_, db_.prepare("INSERT INTO dedup(stream_id, sender, client_message_id, seq, "
                                             "payload_hash, created_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6) "
                                             "ON CONFLICT DO NOTHING"));
  CHATSDK_ASSIGN(select_accepted_,
                 db_.prepare("SELECT message_id, time_ms FROM item WHERE stream_id = ?1 AND seq = ?2"));
  CHATSDK_ASSIGN(select_payload_, db_.prepare("SELECT kind, payload FROM item WHERE stream_id = ?1 AND seq = ?2"));
  CHATSDK_ASSIGN(update_payload_, db_.prepare("UPDATE item SET payload = ?3 WHERE stream_id = ?1 AND seq = ?2"));
  CHATSDK_ASSIGN(insert_edit_, db_.prepare("INSERT INTO edit_of(stream_id, sender, client_message_id, seq) VALUES (?1, "
                                           "?2, ?3, ?4)"));
  CHATSDK_ASSIGN(select_edits_, db_.prepare("SELECT seq FROM edit_of WHERE stream_id = ?1 AND sender = ?2 AND "
                                            "client_message_id = ?3"));
  CHATSDK_ASSIGN(select_target_, db_.prepare("SELECT kind, sender, sender_device FROM item WHERE stream_id = ?1 AND "
                                             "seq = ?2"));
  CHATSDK_ASSIGN(select_cursor_, db_.prepare("SELECT acked FROM cursor WHERE device_id = ?1 AND stream_id = ?2"));
  CHATSDK_ASSIGN(put_cursor_, db_.prepare("INSERT INTO cursor(device_id, stream_id, acked, missing_from) SELECT "
                                          "device_id, ?2, ?3, ?4 FROM device WHERE device_id = ?1 ON CONFLICT "
                                          "(device_id, stream_id) DO UPDATE SET acked = excluded.acked, missing_from = "
                                          "excluded.missing_from WHERE excluded.acked >= acked"));
  CHATSDK_ASSIGN(
      select_fillable_,
      db_.prepare("SELECT 1 FROM device d JOIN device_keys k ON k.device_id = d.device_id WHERE d.user_id = ?1 AND "
                  "(EXISTS (SELECT 1 FROM cursor c WHERE "
                  "c.device_id = d.device_id AND c.stream_id = ?2 AND c.missing_from > ?3) OR EXISTS "
                  "(SELECT 1 FROM slice s WHERE s.stream_id = ?2 AND s.seq > ?3 AND s.seq <= ?4 AND "
                  "s.device_id = d.device_id) OR EXISTS (SELECT 1 FROM item i WHERE i.stream_id = ?2 AND "
                  "i.seq > ?3 AND i.seq <= ?4 AND i.sender_device = d.device_id AND i.seq > coalesce((SELECT "
                  "c.acked FROM cursor c WHERE c.device_id = d.device_id AND c.stream_id = ?2), 0))) "
                  "LIMIT 1"));
  CHATSDK_ASSIGN(select_records_,
                 db_.prepare("SELECT stream_id, sender, client_message_id, created_ms FROM dedup WHERE "
                             "(stream_id, sender, client_message_id) > (?1, ?2, ?3) "
                             "ORDER BY stream_id, sender, client_message_id LIMIT ?4"));
  CHATSDK_ASSIGN(delete_record_, db_.prepare("DELETE FROM dedup WHERE stream_id = ?1 AND sender = ?2 AND "
                                             "client_message_id = ?3"));
  return {};
}

void MessageWriter::release() { insert_record_.clear_bindings(); }

// ---- Messages ------------------------------------------------------------------------------------------------------

Status MessageWriter::apply(const AppendMessage& op, Result<WriteAnswer>& answer) {
  if (op.encrypted) return append_encrypted(op, answer);
  CHATSDK_ASSIGN(StreamState * stream, locate(op));
  if (op.only_repeat) return answer_only_repeat(stream, op, answer);
  if (stream == nullptr) {
    CHATSDK_ASSIGN(auto refusal, refusal_of_first(op));
    if (refusal) {
      answer = *std::move(refusal);
      return {};
    }
    CHATSDK_ASSIGN(stream, streams_.create_direct(op.sender, op.target.peer, op.now));
  } else {
    CHATSDK_ASSIGN(auto refusal, refusal_in(*stream, op));
    if (refusal) {
      CHATSDK_ASSIGN(const auto record, record_of(*stream, op));
      if (record && !CHATSDK_PLANTED(Bug::kRefusalBeforeDuplicate)) {
        return answer_repeat(*stream, op.payload_hash, *record, answer);
      }
      answer = *std::move(refusal);
      return {};
    }
  }
  const Seq seq = stream->head + (stream->announced() ? 1 : 2);
  CHATSDK_ASSIGN(const bool inserted, insert_record(*stream, op, seq, op.payload_hash));
  if (!inserted) {
    CHATSDK_ASSIGN(const auto record, record_of(*stream, op));
    CHATSDK_ASSERT(record.has_value());
    return answer_repeat(*stream, op.payload_hash, *record, answer);
  }
  if (!stream->announced()) CHATSDK_TRY(announce(*stream, false, op.now));

  Appended appended;
  appended.conversation_id = stream->stream_id;
  appended.time = from_unix_ms(to_unix_ms(op.now));  // as a repeat will read it
  ItemRow row;
  row.kind = wire::ITEM_KIND_MESSAGE;
  row.sender = op.sender;
  row.sender_device = op.sender_device;
  row.client_message_id = op.client_message_id.view();
  row.time_ms = to_unix_ms(op.now);
  row.payload = op.content;
  Bytes left;
  if (op.edits) {
    CHATSDK_ASSIGN(const Post edited, post_of(*stream, op.sender, *op.edits));
    if (edited.erased) row.payload = left = content::erased_annotation();
    CHATSDK_TRY(insert_edit_.bind(1, to_column(stream->stream_id.value))
                    .bind_text(2, op.sender)
                    .bind_blob(3, op.edits->view())
                    .bind(4, to_column(seq))
                    .run());
  }
  CHATSDK_ASSIGN(appended.message_id, streams_.append(*stream, row, op.now));
  appended.seq = stream->head;
  CHATSDK_ASSERT(appended.seq == seq);
  if (op.deletes) CHATSDK_TRY(erase(*stream, op.sender, *op.deletes));
  CHATSDK_TRY(close_number(*stream, op));
  answer = WriteAnswer(appended);
  return {};
}

Result<MessageWriter::Post> MessageWriter::post_of(const StreamState& stream, const UserId& sender,
                                                   const ClientMessageId& id) {
  struct Named {
    const UserId& sender;
    const ClientMessageId& client_message_id;
  };
  CHATSDK_ASSIGN(const auto record, record_of(stream, Named{sender, id}));
  if (!record || record->seq == 0) return Post();
  CHATSDK_ASSIGN(const bool found,
                 select_payload_.bind(1, to_column(stream.stream_id.value)).bind(2, to_column(record->seq)).step());
  if (!found) return error(Code::kCorrupt, "a deduplication record names an item that is not there");
  const bool is_message = static_cast<wire::ItemKind>(select_payload_.integer(0)) == wire::ITEM_KIND_MESSAGE;
  const Bytes payload(select_payload_.blob(1));
  select_payload_.reset();
  if (!is_message || content::is_annotation(payload)) return Post();
  return Post{record->seq, payload == content::erased()};
}

Status MessageWriter::erase(const StreamState& stream, const UserId& sender, const ClientMessageId& id) {
  CHATSDK_ASSIGN(const Post post, post_of(stream, sender, id));
  if (post.seq == 0 || post.erased) return {};
  CHATSDK_TRY(erase_item(stream, post.seq, content::erased()));
  std::vector<Seq> edits;
  select_edits_.bind(1, to_column(stream.stream_id.value)).bind_text(2, sender).bind_blob(3, id.view());
  for (;;) {
    CHATSDK_ASSIGN(const bool row, select_edits_.step());
    if (!row) break;
    edits.push_back(from_column(select_edits_.integer(0)));
  }
  for (const Seq seq : edits) CHATSDK_TRY(erase_item(stream, seq, content::erased_annotation()));
  return {};
}

Status MessageWriter::erase_item(const StreamState& stream, Seq seq, BytesView left) {
  return update_payload_.bind(1, to_column(stream.stream_id.value)).bind(2, to_column(seq)).bind_blob(3, left).run();
}

Status MessageWriter::apply(const VoidMessage& op, Result<WriteAnswer>& answer) {
  CHATSDK_ASSIGN(StreamState * stream, locate(op));
  if (stream == nullptr) {
    CHATSDK_ASSIGN(auto refusal, refusal_of_first(op));
    if (refusal) {
      answer = *std::move(refusal);
      return {};
    }
    CHATSDK_ASSIGN(stream, streams_.create_direct(op.sender, op.target.peer, op.now));
  } else {
    CHATSDK_ASSIGN(auto refusal, refusal_in(*stream, op));
    CHATSDK_ASSIGN(const auto record, record_of(*stream, op));
    if (record) return answer_repeat(*stream, op, *record, answer);
    if (refusal) {
      answer = *std::move(refusal);
      return {};
    }
  }
  CHATSDK_ASSIGN(const bool inserted, insert_record(*stream, op, 0, {}));
  CHATSDK_ASSERT(inserted);
  CHATSDK_TRY(close_number(*stream, op));
  answer = WriteAnswer(Voided{});
  return {};
}

template <typename Op>
Result<StreamState*> MessageWriter::locate(const Op& op) {
  if (op.target.conversation) return streams_.find(op.target.conversation);
  if (!op.target.group_id.empty()) return streams_.find_group(op.target.group_id);
  return streams_.find_direct(op.sender, op.target.peer);
}

// Asked under the transaction that accepts, so that what waited in the queue while its session was ended comes too
// late.
template <typename Op>
Result<std::optional<Error>> MessageWriter::refusal_of_sender(const Op& op) {
  if (!op.session) return std::optional<Error>();
  CHATSDK_ASSIGN(const SessionId open, sessions_.of(op.sender_device));
  if (open == op.session) return std::optional<Error>();
  return std::optional(error(Code::kUnauthenticated, "the session has ended"));
}

template <typename Op>
Result<std::optional<Error>> MessageWriter::refusal_in(StreamState& stream, const Op& op) {
  CHATSDK_ASSIGN(auto ended, refusal_of_sender(op));
  if (ended) return ended;
  if (stream.kind != wire::STREAM_KIND_CONVERSATION) return std::optional(no_conversation());
  const MemberState* const member = stream.member(op.sender);
  if (member == nullptr) {
    CHATSDK_ASSIGN(const bool was_member, streams_.was_member(stream, op.sender));
    return std::optional(was_member ? no_member() : no_conversation());
  }
  if constexpr (requires { op.right; }) {
    const bool judged = op.right && stream.conversation_kind == wire::CONVERSATION_KIND_GROUP;
    if (judged && member->role < stream.permissions.of(*op.right)) return std::optional(no_right(*op.right));
  }
  if constexpr (requires { op.encrypted; }) {
    if (stream.announced() && stream.encrypted() != (op.encrypted != nullptr)) {
      return std::optional(error(Code::kForbidden, stream.encrypted() ? "a plain message, the conversation is encrypted"
                                                                      : "an encrypted message, the conversation is "
                                                                        "plain"));
    }
  }
  CHATSDK_ASSIGN(const SendNumber* number, streams_.send_number(stream, op.sender_device));
  if (op.send_number != number->last + 1) return std::optional(out_of_order(op.send_number, number->last + 1));
  return std::optional<Error>();
}

template <typename Op>
Result<std::optional<Error>> MessageWriter::refusal_of_first(const Op& op) {
  CHATSDK_ASSIGN(auto ended, refusal_of_sender(op));
  if (ended) return ended;
  if (op.target.conversation || !op.target.group_id.empty()) return std::optional(no_conversation());
  if (op.target.peer == op.sender) return std::optional(error(Code::kInvalidArgument, "the peer is the sender"));
  for (const UserId* user_id : {&op.sender, &op.target.peer}) {
    CHATSDK_ASSIGN(const StreamState* account, account_stream(*user_id));
    if (account != nullptr) continue;
    if constexpr (requires { op.encrypted; }) {
      if (op.encrypted) return std::optional(no_peer_with_keys());
    }
    return std::optional(error(Code::kNotFound, "no such user"));
  }
  if (op.send_number != 1) return std::optional(out_of_order(op.send_number, 1));
  return std::optional<Error>();
}

template <typename Op>
Result<std::optional<MessageWriter::Record>> MessageWriter::record_of(const StreamState& stream, const Op& op) {
  CHATSDK_ASSIGN(const bool found, select_record_.bind(1, to_column(stream.stream_id.value))
                                       .bind_text(2, op.sender)
                                       .bind_blob(3, op.client_message_id.view())
                                       .step());
  if (!found) return std::optional<Record>();
  Record record{from_column(select_record_.integer(0)), Bytes(select_record_.blob(1))};
  select_record_.reset();
  return std::optional(std::move(record));
}

template <typename Op>
Result<bool> MessageWriter::insert_record(const StreamState& stream, const Op& op, Seq seq, BytesView payload_hash) {
  CHATSDK_TRY(insert_record_.bind(1, to_column(stream.stream_id.value))
                  .bind_text_borrowed(2, op.sender)
                  .bind_blob_borrowed(3, op.client_message_id.view())
                  .bind(4, to_column(seq))
                  .bind_blob_borrowed(5, payload_hash)
                  .bind(6, to_unix_ms(op.now))
                  .run());
  return db_.changes() == 1;
}

template <typename Op>
Status MessageWriter::close_number(StreamState& stream, const Op& op) {
  CHATSDK_ASSIGN(SendNumber * number, streams_.send_number(stream, op.sender_device));
  streams_.set_send_number(stream, *number, op.send_number);
  return {};
}

// ---- Encrypted messages --------------------------------------------------------------------------------------------

Status MessageWriter::append_encrypted(const AppendMessage& op, Result<WriteAnswer>& answer) {
  const EncryptedParts& parts = *op.encrypted;
  CHATSDK_ASSERT(op.content.empty());
  CHATSDK_ASSIGN(const SliceWriter::Set set, slices_.gather(op));
  if (set.refusal) {
    answer = *set.refusal;
    return {};
  }
  const Bytes hash = parts.staged_chunks == 0 ? op.payload_hash : payload_hash({}, set.slices);
  CHATSDK_ASSIGN(StreamState * stream, locate(op));
  if (stream != nullptr) {
    CHATSDK_ASSIGN(const auto record, record_of(*stream, op));
    if (record) {
      if (parts.staged_chunks != 0) CHATSDK_TRY(slices_.discard_staged(op.sender_device, op.client_message_id));
      return answer_repeat(*stream, hash, *record, answer);
    }
  }
  if (op.only_repeat) {
    answer = error(Code::kNotFound, "no message was accepted under this id");
    return {};
  }
  CHATSDK_ASSIGN(auto refusal, stream == nullptr ? refusal_of_first(op) : refusal_in(*stream, op));
  if (refusal) {
    answer = *std::move(refusal);
    return {};
  }

  Lists lists;
  lists.peer_id = op.target.peer;
  if (stream != nullptr) {
    CHATSDK_ASSERT(stream->conversation_kind == wire::CONVERSATION_KIND_DIRECT && stream->members.size() == 2);
    lists.peer_id = stream->members[stream->members[0].user_id == op.sender ? 1 : 0].user_id;
  }
  CHATSDK_ASSIGN(lists.own, rosters_.newest(op.sender));
  CHATSDK_ASSIGN(lists.peer, rosters_.newest(lists.peer_id));
  const bool announced = stream != nullptr && stream->announced();
  CHATSDK_ASSIGN(refusal, refusal_of_encrypted(announced ? stream : nullptr, op, lists));
  if (refusal) {
    answer = *std::move(refusal);
    return {};
  }
  if (announced) CHATSDK_TRY(rosters_.bring_up_to_date(*stream, op.now));
  const std::uint64_t revision = announced ? stream->roster_revision : 0;
  std::string detail = outdated(parts, revision, lists.own.version, lists.peer.version);
  // A device that was taken out and does not know is told so by the lists; whoever knows them has no business here.
  if (detail.empty() && lists.own.find(op.sender_device) == nullptr) {
    answer = not_listed();
    return {};
  }
  if (detail.empty()) detail = misfit(set.slices, parts.kind, op.sender_device, lists.own, lists.peer);
  if (!detail.empty()) {
    // What was staged is for the roster of before, and would only stand in the way of what comes in its place.
    if (parts.staged_chunks != 0) CHATSDK_TRY(slices_.discard_staged(op.sender_device, op.client_message_id));
    CHATSDK_ASSIGN(RosterChanged changed, roster_changed(op, lists, revision, std::move(detail)));
    answer = WriteAnswer(std::move(changed));
    return {};
  }
  if (stream == nullptr) {
    CHATSDK_ASSIGN(stream, streams_.create_direct(op.sender, op.target.peer, op.now));
  }
  return write_encrypted(*stream, op, set, hash, lists, answer);
}

Result<std::optional<Error>> MessageWriter::refusal_of_encrypted(const StreamState* stream, const AppendMessage& op,
                                                                 const Lists& lists) {
  if (lists.own.version == 0) return std::optional(not_listed());
  if (lists.peer.version == 0) return std::optional(no_peer_with_keys());
  if (op.encrypted->kind == wire::ITEM_KIND_MESSAGE) return std::optional<Error>();
  if (stream == nullptr) {
    return std::optional(error(Code::kInvalidArgument, "the first item of a conversation is a message"));
  }
  if (op.encrypted->kind != wire::ITEM_KIND_REPAIR) return std::optional<Error>();
  return refusal_of_target(*stream, op);
}

// What a REPAIR brings once more is a message of the device that sends it.
Result<std::optional<Error>> MessageWriter::refusal_of_target(const StreamState& stream, const AppendMessage& op) {
  const Seq target = op.encrypted->target_seq;
  CHATSDK_ASSIGN(const bool found,
                 select_target_.bind(1, to_column(stream.stream_id.value)).bind(2, to_column(target)).step());
  const bool own = found && select_target_.integer(0) == wire::ITEM_KIND_MESSAGE &&
                   select_target_.text(1) == op.sender &&
                   from_column(select_target_.integer(2)) == op.sender_device.value;
  select_target_.reset();
  if (own) return std::optional<Error>();
  return std::optional(
      error(Code::kInvalidArgument, "target_seq " + std::to_string(target) + " is no message of this device"));
}

Result<RosterChanged> MessageWriter::roster_changed(const AppendMessage& op, const Lists& lists, std::uint64_t revision,
                                                    std::string detail) {
  RosterChanged changed;
  changed.revision = revision;
  changed.detail = std::move(detail);
  changed.counter = op.encrypted->counter;
  std::size_t room = limits::e2ee::kRosterChangedBytes;
  CHATSDK_TRY(rosters_.add_lists_after(op.sender, op.encrypted->own_list_version, room, changed.lists));
  CHATSDK_TRY(rosters_.add_lists_after(lists.peer_id, op.encrypted->peer_list_version, room, changed.lists));
  return changed;
}

Status MessageWriter::write_encrypted(StreamState& stream, const AppendMessage& op, const SliceWriter::Set& set,
                                      BytesView payload_hash, const Lists& lists, Result<WriteAnswer>& answer) {
  const EncryptedParts& parts = *op.encrypted;
  if (!stream.announced()) CHATSDK_TRY(announce(stream, true, op.now));
  CHATSDK_ASSIGN(const bool inserted, insert_record(stream, op, stream.head + 1, payload_hash));
  CHATSDK_ASSERT(inserted);
  insert_record_.clear_bindings();

  // A listed device that was removed reads nothing any more.
  std::vector<SliceView> kept = set.slices;
  std::erase_if(kept, [&lists](const SliceView& slice) {
    const RosterWriter::Listed* listed = lists.own.find(slice.device_id);
    if (listed == nullptr) listed = lists.peer.find(slice.device_id);
    return listed != nullptr && !listed->known;
  });
  if (parts.kind == wire::ITEM_KIND_MESSAGE) {
    for (const RosterWriter::Newest* list : {&lists.own, &lists.peer}) add_left_out(*list, op.sender_device, kept);
    std::sort(kept.begin(), kept.end(),
              [](const SliceView& one, const SliceView& other) { return one.device_id < other.device_id; });
  }
  const Bytes target = parts.kind == wire::ITEM_KIND_REPAIR ? repair_payload(parts.target_seq) : Bytes();
  Appended appended;
  appended.conversation_id = stream.stream_id;
  appended.time = from_unix_ms(to_unix_ms(op.now));
  ItemRow row;
  row.kind = parts.kind;
  row.sender = op.sender;
  row.sender_device = op.sender_device;
  row.client_message_id = op.client_message_id.view();
  row.time_ms = to_unix_ms(op.now);
  row.payload = target;
  CHATSDK_ASSIGN(appended.message_id, streams_.append(stream, row, kept, op.now));
  appended.seq = stream.head;
  CHATSDK_TRY(slices_.count(op.sender_device, parts.counter));
  if (parts.staged_chunks != 0) CHATSDK_TRY(slices_.discard_staged(op.sender_device, op.client_message_id));
  CHATSDK_TRY(close_number(stream, op));
  answer = WriteAnswer(appended);
  return {};
}

// ---- Repeats -------------------------------------------------------------------------------------------------------

Status MessageWriter::answer_repeat(const StreamState& stream, BytesView payload_hash, const Record& record,
                                    Result<WriteAnswer>& answer) {
  if (record.seq == 0) {
    answer = error(Code::kVoided, "the message was voided");
  } else if (record.payload_hash != payload_hash) {
    answer = error(Code::kConflict, "another message was accepted under this id");
  } else {
    CHATSDK_ASSIGN(Appended appended, accepted_at(stream, record.seq));
    answer = WriteAnswer(appended);
  }
  return {};
}

Status MessageWriter::answer_repeat(const StreamState& stream, const VoidMessage&, const Record& record,
                                    Result<WriteAnswer>& answer) {
  Voided voided;
  if (record.seq != 0) {
    CHATSDK_ASSIGN(voided.accepted, accepted_at(stream, record.seq));
  } else {
    voided.repeated = true;
  }
  answer = WriteAnswer(voided);
  return {};
}

Status MessageWriter::answer_only_repeat(const StreamState* stream, const AppendMessage& op,
                                         Result<WriteAnswer>& answer) {
  if (stream != nullptr) {
    CHATSDK_ASSIGN(const auto record, record_of(*stream, op));
    if (record) return answer_repeat(*stream, op.payload_hash, *record, answer);
  }
  answer = error(Code::kNotFound, "no message was accepted under this id");
  return {};
}

Result<Appended> MessageWriter::accepted_at(const StreamState& stream, Seq seq) {
  CHATSDK_ASSIGN(const bool found,
                 select_accepted_.bind(1, to_column(stream.stream_id.value)).bind(2, to_column(seq)).step());
  if (!found) return error(Code::kCorrupt, "a deduplication record names an item that is not there");
  Appended appended;
  appended.conversation_id = stream.stream_id;
  appended.message_id = MessageId{from_column(select_accepted_.integer(0))};
  appended.seq = seq;
  appended.time = from_unix_ms(select_accepted_.integer(1));
  appended.repeated = true;
  select_accepted_.reset();
  return appended;
}

Status MessageWriter::announce(StreamState& stream, bool encrypted, WallTime now) {
  CHATSDK_ASSERT(stream.conversation_kind == wire::CONVERSATION_KIND_DIRECT && stream.members.size() == 2);
  wire::Roster roster;
  roster.set_conversation_kind(stream.conversation_kind);
  for (const MemberState& member : stream.members) {
    wire::Roster::Change* change = roster.add_changes();
    change->set_user_id(member.user_id);
    change->set_joined(true);
  }
  if (encrypted) CHATSDK_TRY(rosters_.begin(stream, roster));
  const Bytes roster_bytes = roster.SerializeAsString();
  ItemRow row;
  row.time_ms = to_unix_ms(now);
  row.kind = wire::ITEM_KIND_ROSTER;
  row.payload = roster_bytes;
  CHATSDK_TRY(streams_.append(stream, row, now));

  for (std::size_t i = 0; i < stream.members.size(); ++i) {
    CHATSDK_ASSIGN(StreamState * account, account_stream(stream.members[i].user_id));
    if (account == nullptr) return error(Code::kCorrupt, "a member of a conversation has no account");
    wire::ConversationAdded added;
    added.set_conversation_id(stream.stream_id.value);
    added.set_kind(stream.conversation_kind);
    added.set_peer_user_id(stream.members[1 - i].user_id);
    added.set_encrypted(encrypted);
    const Bytes added_bytes = added.SerializeAsString();
    row.kind = wire::ITEM_KIND_CONVERSATION_ADDED;
    row.payload = added_bytes;
    CHATSDK_TRY(streams_.append(*account, row, now));
  }
  return {};
}

Result<StreamState*> MessageWriter::account_stream(const UserId& user_id) {
  CHATSDK_ASSIGN(const bool found, select_account_stream_.bind_text(1, user_id).step());
  if (!found) return nullptr;
  const StreamId stream_id{from_column(select_account_stream_.integer(0))};
  select_account_stream_.reset();
  CHATSDK_ASSIGN(StreamState * stream, streams_.find(stream_id));
  if (stream == nullptr) return error(Code::kCorrupt, "an account has no stream");
  return stream;
}

// ---- Marks and cursors ---------------------------------------------------------------------------------------------

Status MessageWriter::apply(const AdvanceMarks& op, Result<WriteAnswer>& answer) {
  CHATSDK_ASSIGN(StreamState * stream, streams_.find(op.conversation_id));
  MemberState* member = stream == nullptr ? nullptr : stream->member(op.user_id);
  if (member == nullptr || stream->kind != wire::STREAM_KIND_CONVERSATION) {
    answer = no_conversation();
    return {};
  }
  if (const Seq highest = std::max(op.delivered_up_to, op.read_up_to); highest > stream->head) {
    answer = error(Code::kInvalidArgument,
                   "mark " + std::to_string(highest) + ", the conversation ends at " + std::to_string(stream->head));
    return {};
  }
  bool delivered = op.delivered_up_to > member->delivered_up_to;
  if (delivered && op.delivered_from > member->delivered_up_to) {
    CHATSDK_ASSIGN(const bool may_be_filled,
                   may_be_filled(*stream, op.user_id, member->delivered_up_to, op.delivered_from));
    delivered = !may_be_filled && op.missing_from <= member->delivered_up_to;
  }
  if (delivered) member->delivered_up_to = op.delivered_up_to;
  const Seq read_up_to = std::min(op.read_up_to, member->delivered_up_to);
  const bool moved_back = CHATSDK_PLANTED(Bug::kP7ReceiptSetNotMaximum) && op.read_up_to != 0;
  const bool read = read_up_to > member->read_up_to || moved_back;
  if (read) member->read_up_to = read_up_to;

  MarksAdvanced moved;
  const auto advance = [&](wire::Marks::Kind kind, Seq up_to) -> Status {
    MarkAdvance entry{op.user_id, kind, up_to, from_unix_ms(to_unix_ms(op.now)), 0};
    CHATSDK_TRY(streams_.write_mark(*stream, *member, entry));
    moved.advances.push_back(std::move(entry));
    return {};
  };
  if (delivered) CHATSDK_TRY(advance(wire::Marks::KIND_DELIVERED, member->delivered_up_to));
  if (read) CHATSDK_TRY(advance(wire::Marks::KIND_READ, member->read_up_to));
  moved.revision = stream->marks_revision;
  if (!moved.advances.empty()) {
    MovedMarks& news = moved_marks(*stream);
    news.revision = moved.revision;
    news.advances.insert(news.advances.end(), moved.advances.begin(), moved.advances.end());
  }
  answer = WriteAnswer(std::move(moved));
  return {};
}

// Whether a device of the user may yet come to hold something of (mark, from], so that the mark stays before it.
Result<bool> MessageWriter::may_be_filled(const StreamState& stream, const UserId& user_id, Seq mark, Seq from) {
  if (!stream.encrypted()) return true;
  CHATSDK_ASSIGN(const bool found, select_fillable_.bind_text(1, user_id)
                                       .bind(2, to_column(stream.stream_id.value))
                                       .bind(3, to_column(mark))
                                       .bind(4, to_column(from))
                                       .step());
  select_fillable_.reset();
  return found;
}

MovedMarks& MessageWriter::moved_marks(const StreamState& stream) {
  const auto found = std::find_if(result_->moved.begin(), result_->moved.end(), [&](const MovedMarks& moved) {
    return moved.conversation_id == stream.stream_id && moved.membership == stream.membership;
  });
  if (found != result_->moved.end()) return *found;
  return result_->moved.emplace_back(MovedMarks{stream.stream_id, 0, {}, stream.followers(), stream.membership});
}

Status MessageWriter::apply(const AdvanceCursor& op, Result<WriteAnswer>& answer) {
  answer = WriteAnswer(Done{});
  CHATSDK_ASSIGN(const StreamState* stream, streams_.find(op.stream_id));
  // A device cannot have applied what is not there, and a device that was removed meanwhile has no cursor.
  if (stream == nullptr) return {};
  if (stream->encrypted()) {
    CHATSDK_ASSIGN(const bool found,
                   select_cursor_.bind(1, to_column(op.device_id.value)).bind(2, to_column(op.stream_id.value)).step());
    const Seq before = found ? from_column(select_cursor_.integer(0)) : 0;
    select_cursor_.reset();
    CHATSDK_TRY(slices_.acknowledged(op.device_id, op.stream_id, before, std::min(op.acknowledged, stream->head)));
  }
  return put_cursor_.bind(1, to_column(op.device_id.value))
      .bind(2, to_column(op.stream_id.value))
      .bind(3, to_column(std::min(op.acknowledged, stream->head)))
      .bind(4, to_column(op.missing_from))
      .run();
}

// ---- The end of deduplication records ------------------------------------------------------------------------------

// In the order of the key: an index by time would cost every message a write for what is needed once in its life.
Status MessageWriter::apply(const PurgeRecords& op, Result<WriteAnswer>& answer) {
  const std::int64_t oldest_ms = to_unix_ms(op.now - limits::kDedupLifetime);
  std::vector<RecordKey> expired;
  RecordsPurged purged;
  std::size_t seen = 0;
  select_records_.bind(1, to_column(op.after.stream.value))
      .bind_text(2, op.after.sender)
      .bind_blob(3, op.after.client_message_id)
      .bind(4, static_cast<std::int64_t>(op.max));
  for (;;) {
    CHATSDK_ASSIGN(const bool row, select_records_.step());
    if (!row) break;
    ++seen;
    RecordKey key{StreamId{from_column(select_records_.integer(0))}, UserId(select_records_.text(1)),
                  Bytes(select_records_.blob(2))};
    if (select_records_.integer(3) < oldest_ms) expired.push_back(key);
    purged.last = std::move(key);
  }
  if (seen < op.max) purged.last.reset();
  for (const RecordKey& key : expired) {
    CHATSDK_TRY(delete_record_.bind(1, to_column(key.stream.value))
                    .bind_text(2, key.sender)
                    .bind_blob(3, key.client_message_id)
                    .run());
  }
  purged.removed = expired.size();
  CHATSDK_TRY(operations_.purge(op.max, op.now));
  answer = WriteAnswer(std::move(purged));
  return {};
}

}  // namespace chatsdk::server
