// SPDX-License-Identifier: Apache-2.0
#include "store/rows.h"

#include <algorithm>

#include "protocol/content.h"
#include "protocol/record.h"

namespace chatsdk::rows {

namespace {

constexpr char kPendingState[] = "SELECT on_wire, failure, failure_detail FROM outbox WHERE id = ?1";
constexpr char kPeerMarks[] =
    "SELECT k.delivered_up_to, k.read_up_to FROM conversation c JOIN mark k ON k.conversation = c.key AND k.user = "
    "c.peer "
    "WHERE c.key = ?1";
// Of a group of which all members are known.
constexpr char kMembersMarks[] =
    "SELECT m.since, coalesce(k.delivered_up_to, 0), coalesce(k.read_up_to, 0) FROM member m LEFT JOIN mark k ON "
    "k.conversation = m.conversation AND k.user = m.user WHERE m.conversation = ?1 AND m.role > 0 AND m.user <> ?2 AND "
    "EXISTS (SELECT 1 FROM group_info g WHERE g.conversation = ?1 AND g.members_known = 1)";
constexpr char kShown[] =
    "SELECT s.edits, s.pinned, s.failed, e.content, s.deleted FROM shown s LEFT JOIN message e ON e.key = s.edit "
    "WHERE s.message = ?1";
constexpr char kReactions[] = "SELECT user, keys FROM reaction WHERE message = ?1 ORDER BY user";

std::vector<std::string> reaction_keys(BytesView column) {
  std::vector<std::string> keys;
  RecordReader fields(column);
  while (fields.next()) keys.emplace_back(fields.repeated_bytes());
  return keys;
}

}  // namespace

const Bytes& erased_content() {
  static const Bytes kErased = content::erased();
  return kErased;
}

Bytes reaction_column(const std::vector<std::string>& keys) {
  RecordWriter out;
  for (const std::string& key : keys) out.each(1, key);
  return out.take();
}

MessageRow read_message(const sqlite::Statement& row, const UserId& owner) {
  MessageRow message;
  message.key = MessageKey{unsigned_at(row, 0)};
  message.conversation = ConversationKey{unsigned_at(row, 1)};
  const std::int64_t place = row.integer(2);
  const auto lost = static_cast<LostState>(row.integer(3));
  const bool own = row.is_null(4);
  message.sender = own ? owner : UserId(row.text(4));
  message.sender_device = DeviceId{unsigned_at(row, 5)};
  message.message_id = MessageId{unsigned_at(row, 6)};
  message.client_message_id = client_id_at(row, 7);
  message.time = time_at(row, 8);
  message.content = Bytes(row.blob(9));
  message.deleted = message.content == erased_content();
  if (is_pending(place)) {
    message.state = MessageState::kQueued;
    return message;
  }
  message.state = own ? MessageState::kSent : MessageState::kReceived;
  if (lost == LostState::kNo) message.seq = seq_at(place);
  if (lost == LostState::kLost) {
    if (own) message.state = MessageState::kFailed;
    message.failure = Code::kRolledBack;
    message.failure_detail = "the server's store went back and does not hold it any more";
  }
  return message;
}

MessageState state_of(Seq seq, const std::vector<MemberMarks>& others) {
  bool is_theirs = false;
  bool delivered = true;
  bool read = true;
  for (const MemberMarks& other : others) {
    if (other.since >= seq) continue;
    is_theirs = true;
    read = read && other.marks.read_up_to >= seq;
    delivered = delivered && std::max(other.marks.delivered_up_to, other.marks.read_up_to) >= seq;
  }
  if (!is_theirs || !delivered) return MessageState::kSent;
  return read ? MessageState::kRead : MessageState::kDelivered;
}

Status StateReader::complete(MessageRow& message) {
  if (message.state == MessageState::kQueued) {
    Query query = sql_(kPendingState);
    CHATSDK_ASSIGN(const bool found, query.first(message.key));
    if (!found) return error(Code::kCorrupt, "a message that waits has no outbox row");
    const auto failure = static_cast<Code>(query->integer(1));
    if (failure != Code::kOk) {
      message.state = MessageState::kFailed;
      message.failure = failure;
      message.failure_detail = std::string(query->text(2));
    } else if (query->integer(0) != 0) {
      message.state = MessageState::kSending;
    }
  } else if (message.state == MessageState::kSent && message.seq != 0) {
    if (message.conversation != conversation_) CHATSDK_TRY(read_marks(message.conversation));
    message.state = state_of(message.seq, others_);
  }
  return message.deleted ? Status() : read_shown(message);
}

Status StateReader::read_shown(MessageRow& message) {
  {
    Query query = sql_(kShown);
    CHATSDK_ASSIGN(const bool found, query.first(message.key));
    if (!found) return {};
    message.edits = unsigned_at(query.row(), 0);
    message.pinned = query->integer(1) != 0;
    message.failed_annotation = MessageKey{unsigned_at(query.row(), 2)};
    message.edit = Bytes(query->blob(3));
    message.deleted = query->integer(4) != 0;
  }
  Query query = sql_(kReactions);
  for (auto more = query.first(message.key);; more = query.next()) {
    CHATSDK_ASSIGN(const bool row, std::move(more));
    if (!row) return {};
    const std::string_view user = query->text(0);
    message.reactions.push_back({user.empty() ? owner_ : UserId(user), user.empty(), reaction_keys(query->blob(1))});
  }
}

Status StateReader::read_marks(ConversationKey conversation) {
  conversation_ = {};
  others_.clear();
  {
    Query query = sql_(kPeerMarks);
    CHATSDK_ASSIGN(const bool found, query.first(conversation));
    if (found) others_.push_back({0, {unsigned_at(query.row(), 0), unsigned_at(query.row(), 1)}});
  }
  Query query = sql_(kMembersMarks);
  for (auto more = query.first(conversation, owner_);; more = query.next()) {
    CHATSDK_ASSIGN(const bool row, std::move(more));
    if (!row) break;
    others_.push_back({unsigned_at(query.row(), 0), {unsigned_at(query.row(), 1), unsigned_at(query.row(), 2)}});
  }
  conversation_ = conversation;
  return {};
}

}  // namespace chatsdk::rows
