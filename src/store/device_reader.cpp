// SPDX-License-Identifier: Apache-2.0
//
// The app's reads: each on one snapshot, by range scans of an index.
#include <algorithm>
#include <limits>
#include <set>

#include "base/assert.h"
#include "base/fault.h"
#include "store/device_reader_impl.h"

namespace chatsdk {

namespace {

using rows::unsigned_at;

constexpr auto kBusyTimeout = std::chrono::milliseconds(2'000);  // a log that another connection is just recovering
constexpr std::int64_t kLastPlace = std::numeric_limits<std::int64_t>::max();

constexpr char kOwner[] = "SELECT owner FROM meta WHERE id = 1";

// "c.plain = 2": PlainState::kAccepted.
#define CHATSDK_CONVERSATION_ROW                                                                                      \
  "c.key, c.conversation_id, c.kind, c.peer, c.head, c.read_up_to, c.unread_count, c.last_activity, "                 \
  "c.encrypted, c.encrypted = 0 AND c.plain = 2, g.group_id, g.name, g.description, g.picture, g.rights, g.history, " \
  "g.role, g.standing, g.members, g.members_known FROM conversation c LEFT JOIN group_info g ON g.conversation = "    \
  "c.key"
constexpr char kConversation[] = "SELECT " CHATSDK_CONVERSATION_ROW " WHERE c.key = ?1";
constexpr char kConversations[] = "SELECT " CHATSDK_CONVERSATION_ROW
                                  " WHERE (c.last_activity, c.key) < (?1, ?2) "
                                  "ORDER BY c.last_activity DESC, c.key DESC LIMIT ?3";
constexpr char kActivity[] = "SELECT last_activity FROM conversation WHERE key = ?1";
constexpr char kKeyByPeer[] = "SELECT key FROM conversation WHERE peer = ?1";
constexpr char kKeyById[] = "SELECT key FROM conversation WHERE conversation_id = ?1";

constexpr char kBefore[] =
    "SELECT " CHATSDK_MESSAGE_COLUMNS
    " FROM message m WHERE m.conversation = ?1 AND m.unshown = 0 AND (m.place, m.key) < (?2, ?3) "
    "ORDER BY m.place DESC, m.key DESC LIMIT ?4";
constexpr char kAfter[] = "SELECT " CHATSDK_MESSAGE_COLUMNS
                          " FROM message m WHERE m.conversation = ?1 AND m.unshown = 0 AND (m.place, m.key) > (?2, ?3) "
                          "ORDER BY m.place, m.key LIMIT ?4";
constexpr char kMessage[] = "SELECT " CHATSDK_MESSAGE_COLUMNS " FROM message m WHERE m.key = ?1";
// Another device of the owner may have used the same id elsewhere: what this device queued first, then the newest.
constexpr char kMessageByClientId[] = "SELECT " CHATSDK_MESSAGE_COLUMNS
                                      " FROM message m WHERE m.client_message_id = ?1 AND m.sender IS NULL "
                                      "ORDER BY m.key IN (SELECT id FROM outbox) DESC, m.key DESC LIMIT 1";
constexpr char kPlace[] = "SELECT place FROM message WHERE key = ?1 AND conversation = ?2";
constexpr char kAdvance[] =
    "SELECT time FROM mark_advance WHERE conversation = ?1 AND user = ?2 AND kind = ?3 AND up_to >= ?4 "
    "ORDER BY up_to LIMIT 1";
// The own read mark moves here before the server has confirmed that the same was delivered.
constexpr char kMarks[] =
    "SELECT user, max(delivered_up_to, read_up_to), read_up_to FROM mark WHERE conversation = ?1 ORDER BY user";
constexpr char kGroupKnown[] = "SELECT members_known FROM group_info WHERE conversation = ?1";
constexpr char kGroupMembers[] =
    "SELECT user, role FROM member WHERE conversation = ?1 AND user > ?2 AND role > 0 ORDER BY user";
constexpr char kMemberRole[] = "SELECT role FROM member WHERE conversation = ?1 AND user = ?2";
constexpr char kShownOperations[] =
    "SELECT p.request FROM operation p WHERE p.conversation = ?1 AND p.failure = 0 AND (p.ended = 0 OR p.until > "
    "coalesce((SELECT s.seq FROM conversation c JOIN stream s ON s.stream_id = c.conversation_id WHERE c.key = ?1), "
    "p.until)) ORDER BY p.number";
constexpr char kUnreadTotal[] = "SELECT coalesce(sum(unread_count), 0) FROM conversation";
constexpr char kOutboxCount[] = "SELECT count(*) FROM outbox WHERE kind = 0";

Status check_page(std::size_t max) {
  if (max >= 1 && max <= limits::kPageMax) return {};
  return error(Code::kInvalidArgument,
               "page of " + std::to_string(max) + " rows, 1 to " + std::to_string(limits::kPageMax) + " are allowed");
}

Error no_conversation() { return error(Code::kNotFound, "no such conversation"); }
Error no_message() { return error(Code::kNotFound, "no such message"); }

ConversationRow read_conversation(const sqlite::Statement& row) {
  ConversationRow conversation;
  conversation.key = ConversationKey{unsigned_at(row, 0)};
  conversation.conversation_id = ConversationId{unsigned_at(row, 1)};
  conversation.kind = static_cast<wire::ConversationKind>(row.integer(2));
  conversation.peer = UserId(row.text(3));
  conversation.head = unsigned_at(row, 4);
  conversation.read_up_to = unsigned_at(row, 5);
  conversation.unread_count = unsigned_at(row, 6);
  conversation.last_activity = rows::time_at(row, 7);
  conversation.encrypted = row.integer(8) != 0;
  conversation.accepted_plain = row.integer(9) != 0;
  if (row.is_null(10)) return conversation;
  GroupRow& group = conversation.group.emplace();
  group.info.id = GroupId::from(row.blob(10));
  group.info.name = std::string(row.text(11));
  group.info.description = std::string(row.text(12));
  group.info.picture = Bytes(row.blob(13));
  group.info.rights = group::unpack(row.integer(14));
  group.info.history = row.integer(15) != 0;
  group.role = group::role_of(unsigned_at(row, 16));
  group.standing = static_cast<GroupStanding>(row.integer(17));
  group.members = unsigned_at(row, 18);
  group.members_known = row.integer(19) != 0;
  return conversation;
}

Result<ConversationKey> read_key(rows::Query& query, Result<bool> found) {
  CHATSDK_ASSIGN(const bool row, std::move(found));
  if (!row) return no_conversation();
  return ConversationKey{unsigned_at(query.row(), 0)};
}

// Cuts the row that was read only to know whether there are more.
template <typename Page>
void cut(Page& page, std::size_t max) {
  page.more = page.rows.size() > max;
  if (page.more) page.rows.pop_back();
}

}  // namespace

// ---- Impl ----------------------------------------------------------------------------------------------------------

Result<std::unique_ptr<DeviceReader::Impl>> DeviceReader::Impl::open(const std::string& path,
                                                                     const std::string& vfs_name) {
  auto impl = std::make_unique<Impl>();
  CHATSDK_ASSIGN(impl->db, sqlite::Database::open(path, {sqlite::OpenMode::kReadOnly, vfs_name, kBusyTimeout}));
  CHATSDK_TRY(impl->db.execute("PRAGMA temp_store = MEMORY; PRAGMA query_only = ON;"));
  return impl;
}

Status DeviceReader::Impl::load_owner() {
  if (!owner.empty()) return {};
  rows::Query query = sql(kOwner);
  CHATSDK_ASSIGN(const bool found, query.first());
  if (found) owner = UserId(query->text(0));
  return {};
}

Result<std::optional<MessageRow>> DeviceReader::Impl::one_message(rows::Query& query, Result<bool> found) {
  CHATSDK_ASSIGN(const bool row, std::move(found));
  if (!row) return std::optional<MessageRow>();
  MessageRow message = rows::read_message(query.row(), owner);
  rows::StateReader states(sql, owner);
  CHATSDK_TRY(states.complete(message));
  return std::optional(std::move(message));
}

Result<std::int64_t> DeviceReader::Impl::place_of_anchor(ConversationKey conversation, MessageKey anchor) {
  rows::Query query = sql(kPlace);
  CHATSDK_ASSIGN(const bool found, query.first(anchor, conversation));
  if (!found) return no_message();
  return query->integer(0);
}

Status DeviceReader::Impl::check_conversation(ConversationKey conversation) {
  rows::Query query = sql(kActivity);
  CHATSDK_ASSIGN(const bool found, query.first(conversation));
  if (!found) return no_conversation();
  return {};
}

Result<DeviceReader::MessagePage> DeviceReader::Impl::page_before(ConversationKey conversation, std::int64_t place,
                                                                  MessageKey key, std::size_t max) {
  MessagePage page;
  rows::StateReader states(sql, owner);
  rows::Query query = sql(kBefore);
  for (auto more = query.first(conversation, place, key, max + 1);; more = query.next()) {
    CHATSDK_ASSIGN(const bool row, std::move(more));
    if (!row) break;
    page.rows.push_back(rows::read_message(query.row(), owner));
    CHATSDK_TRY(states.complete(page.rows.back()));
  }
  cut(page, max);
  std::reverse(page.rows.begin(), page.rows.end());
  return page;
}

Result<DeviceReader::MessagePage> DeviceReader::Impl::page_after(ConversationKey conversation, std::int64_t place,
                                                                 MessageKey key, std::size_t max) {
  MessagePage page;
  rows::StateReader states(sql, owner);
  rows::Query query = sql(kAfter);
  for (auto more = query.first(conversation, place, key, max + 1);; more = query.next()) {
    CHATSDK_ASSIGN(const bool row, std::move(more));
    if (!row) break;
    page.rows.push_back(rows::read_message(query.row(), owner));
    CHATSDK_TRY(states.complete(page.rows.back()));
  }
  cut(page, max);
  if (CHATSDK_PLANTED(Bug::kP8OrderByTime)) {
    std::stable_sort(page.rows.begin(), page.rows.end(),
                     [](const MessageRow& a, const MessageRow& b) { return a.time < b.time; });
  }
  return page;
}

Status DeviceReader::Impl::complete(ConversationRow& conversation, rows::StateReader& states) {
  if (conversation.group) CHATSDK_TRY(show_operations(conversation));
  rows::Query query = sql(kBefore);
  CHATSDK_ASSIGN(const bool found, query.first(conversation.key, kLastPlace, MessageKey{0}, 1));
  if (!found) return {};
  conversation.last_message = rows::read_message(query.row(), owner);
  return states.complete(*conversation.last_message);
}

Result<std::vector<group::Operation>> DeviceReader::Impl::operations_of(ConversationKey conversation) {
  std::vector<group::Operation> operations;
  rows::Query query = sql(kShownOperations);
  for (auto more = query.first(conversation);; more = query.next()) {
    CHATSDK_ASSIGN(const bool row, std::move(more));
    if (!row) return operations;
    CHATSDK_ASSIGN(auto operation, group::read(query->blob(0)));
    operations.push_back(std::move(operation));
  }
}

Status DeviceReader::Impl::show_operations(ConversationRow& conversation) {
  CHATSDK_ASSIGN(const auto operations, operations_of(conversation.key));
  if (operations.empty()) return {};
  GroupRow& group = *conversation.group;
  group::show(group.info, operations);
  for (const UserId& user : group::named(owner, operations)) {
    CHATSDK_ASSIGN(const group::Role before, role_of(conversation.key, user));
    const group::Role shown = group::shown_role(before, user, owner, operations);
    if (before == group::Role::kNone && shown != group::Role::kNone) ++group.members;
    if (before != group::Role::kNone && shown == group::Role::kNone) --group.members;
  }
  group.role = group::shown_role(group.role, owner, owner, operations);
  if (group.standing != GroupStanding::kIn) return {};
  if (group::leaves(owner, operations)) group.standing = GroupStanding::kLeft;
  if (group::ends(operations)) group.standing = GroupStanding::kEnded;
  if (group.standing != GroupStanding::kIn) group.role = group::Role::kNone;
  return {};
}

Result<group::Role> DeviceReader::Impl::role_of(ConversationKey conversation, const UserId& user) {
  rows::Query query = sql(kMemberRole);
  CHATSDK_ASSIGN(const bool found, query.first(conversation, user));
  return found ? group::role_of(unsigned_at(query.row(), 0)) : group::Role::kNone;
}

// ---- Conversations -------------------------------------------------------------------------------------------------

DeviceReader::DeviceReader(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
DeviceReader::~DeviceReader() = default;

Result<DeviceReader::ConversationPage> DeviceReader::conversations(std::optional<ConversationKey> after,
                                                                   std::size_t max) {
  CHATSDK_TRY(check_page(max));
  return impl_->read([&]() -> Result<ConversationPage> {
    std::int64_t activity = std::numeric_limits<std::int64_t>::max();
    if (after) {
      rows::Query query = impl_->sql(kActivity);
      CHATSDK_ASSIGN(const bool found, query.first(*after));
      if (!found) return no_conversation();
      activity = query->integer(0);
    }
    ConversationPage page;
    {
      rows::Query query = impl_->sql(kConversations);
      for (auto more = query.first(activity, after.value_or(ConversationKey{}), max + 1);; more = query.next()) {
        CHATSDK_ASSIGN(const bool row, std::move(more));
        if (!row) break;
        page.rows.push_back(read_conversation(query.row()));
      }
    }
    cut(page, max);
    rows::StateReader states(impl_->sql, impl_->owner);
    for (ConversationRow& row : page.rows) CHATSDK_TRY(impl_->complete(row, states));
    return page;
  });
}

Result<ConversationRow> DeviceReader::conversation(ConversationKey key) {
  return impl_->read([&]() -> Result<ConversationRow> {
    ConversationRow row;
    {
      rows::Query query = impl_->sql(kConversation);
      CHATSDK_ASSIGN(const bool found, query.first(key));
      if (!found) return no_conversation();
      row = read_conversation(query.row());
    }
    rows::StateReader states(impl_->sql, impl_->owner);
    CHATSDK_TRY(impl_->complete(row, states));
    return row;
  });
}

Result<ConversationKey> DeviceReader::direct_conversation(const UserId& peer) {
  rows::Query query = impl_->sql(kKeyByPeer);
  return read_key(query, query.first(peer));
}

Result<ConversationKey> DeviceReader::conversation_by_id(ConversationId id) {
  rows::Query query = impl_->sql(kKeyById);
  return read_key(query, query.first(id));
}

// ---- Messages ------------------------------------------------------------------------------------------------------

Result<DeviceReader::MessagePage> DeviceReader::history_before(ConversationKey conversation, Seq before,
                                                               std::size_t max) {
  CHATSDK_TRY(check_page(max));
  return impl_->read([&]() -> Result<MessagePage> {
    CHATSDK_TRY(impl_->check_conversation(conversation));
    const bool tail = before == 0 || before > rows::kSeqMax;
    return impl_->page_before(conversation, tail ? kLastPlace : rows::place_of(before), MessageKey{0}, max);
  });
}

Result<DeviceReader::MessagePage> DeviceReader::history_after(ConversationKey conversation, Seq after,
                                                              std::size_t max) {
  CHATSDK_TRY(check_page(max));
  return impl_->read([&]() -> Result<MessagePage> {
    CHATSDK_TRY(impl_->check_conversation(conversation));
    const Seq bounded = std::min(after, rows::kSeqMax);
    return impl_->page_after(conversation, rows::place_of(bounded) + 1, MessageKey{0}, max);
  });
}

Result<DeviceReader::MessagePage> DeviceReader::history_before(ConversationKey conversation, MessageKey anchor,
                                                               std::size_t max) {
  CHATSDK_TRY(check_page(max));
  return impl_->read([&]() -> Result<MessagePage> {
    CHATSDK_ASSIGN(const std::int64_t place, impl_->place_of_anchor(conversation, anchor));
    return impl_->page_before(conversation, place, anchor, max);
  });
}

Result<DeviceReader::MessagePage> DeviceReader::history_after(ConversationKey conversation, MessageKey anchor,
                                                              std::size_t max) {
  CHATSDK_TRY(check_page(max));
  return impl_->read([&]() -> Result<MessagePage> {
    CHATSDK_ASSIGN(const std::int64_t place, impl_->place_of_anchor(conversation, anchor));
    return impl_->page_after(conversation, place, anchor, max);
  });
}

Result<MessageRow> DeviceReader::message(MessageKey key) {
  return impl_->read([&]() -> Result<MessageRow> {
    rows::Query query = impl_->sql(kMessage);
    CHATSDK_ASSIGN(auto found, impl_->one_message(query, query.first(key)));
    if (!found) return no_message();
    return std::move(*found);
  });
}

Result<MessageRow> DeviceReader::message_by_client_id(const ClientMessageId& id) {
  return impl_->read([&]() -> Result<MessageRow> {
    rows::Query query = impl_->sql(kMessageByClientId);
    CHATSDK_ASSIGN(auto found, impl_->one_message(query, query.first(id)));
    if (!found) return no_message();
    return std::move(*found);
  });
}

// ---- Receipts and counts -------------------------------------------------------------------------------------------

Result<Receipt> DeviceReader::receipt(MessageKey key, const UserId& member) {
  return impl_->read([&]() -> Result<Receipt> {
    MessageRow message;
    {
      rows::Query query = impl_->sql(kMessage);
      CHATSDK_ASSIGN(const bool found, query.first(key));
      if (!found) return no_message();
      message = rows::read_message(query.row(), impl_->owner);
    }
    if (message.seq == 0) return error(Code::kNotFound, "the message is not on the server");
    const std::string_view user = member == impl_->owner ? std::string_view() : std::string_view(member);
    const auto advanced_at = [&](wire::Marks::Kind kind) -> Result<std::optional<WallTime>> {
      rows::Query query = impl_->sql(kAdvance);
      CHATSDK_ASSIGN(const bool found, query.first(message.conversation, user, kind, message.seq));
      return found ? std::optional(rows::time_at(query.row(), 0)) : std::nullopt;
    };
    Receipt receipt;
    CHATSDK_ASSIGN(receipt.delivered_at, advanced_at(wire::Marks::KIND_DELIVERED));
    CHATSDK_ASSIGN(receipt.read_at, advanced_at(wire::Marks::KIND_READ));
    // Who has read a message has it.
    if (receipt.read_at && (!receipt.delivered_at || *receipt.read_at < *receipt.delivered_at)) {
      receipt.delivered_at = receipt.read_at;
    }
    return receipt;
  });
}

Result<std::vector<DeviceReader::MarkRow>> DeviceReader::marks(ConversationKey conversation) {
  return impl_->read([&]() -> Result<std::vector<MarkRow>> {
    std::vector<MarkRow> found;
    rows::Query query = impl_->sql(kMarks);
    for (auto more = query.first(conversation);; more = query.next()) {
      CHATSDK_ASSIGN(const bool row, std::move(more));
      if (!row) return found;
      const std::string_view user = query->text(0);
      found.push_back(
          {user.empty() ? impl_->owner : UserId(user), unsigned_at(query.row(), 1), unsigned_at(query.row(), 2)});
    }
  });
}

Result<DeviceReader::MemberPage> DeviceReader::members(ConversationKey conversation, const UserId& after,
                                                       std::size_t max) {
  CHATSDK_TRY(check_page(max));
  return impl_->read([&]() -> Result<MemberPage> {
    CHATSDK_TRY(impl_->check_conversation(conversation));
    MemberPage page;
    {
      rows::Query query = impl_->sql(kGroupKnown);
      CHATSDK_ASSIGN(const bool found, query.first(conversation));
      if (!found) return error(Code::kWrongState, "the conversation is no group");
      page.known = query->integer(0) != 0;
    }
    CHATSDK_ASSIGN(const auto operations, impl_->operations_of(conversation));
    // Whose role may be another than the row's, and has not been met yet.
    std::set<UserId> named = group::named(impl_->owner, operations);
    named.erase(named.begin(), named.upper_bound(after));
    const auto add = [&](const UserId& user, group::Role role) {
      const group::Role shown = group::shown_role(role, user, impl_->owner, operations);
      if (shown != group::Role::kNone) page.rows.push_back({user, shown});
    };
    rows::Query query = impl_->sql(kGroupMembers);
    for (auto more = query.first(conversation, after); page.rows.size() <= max; more = query.next()) {
      CHATSDK_ASSIGN(const bool row, std::move(more));
      const UserId user = row ? UserId(query->text(0)) : UserId();
      while (!named.empty() && (!row || *named.begin() < user)) {
        add(*named.begin(), group::Role::kNone);
        named.erase(named.begin());
      }
      if (!row) break;
      named.erase(user);
      add(user, group::role_of(unsigned_at(query.row(), 1)));
    }
    page.more = page.rows.size() > max;
    page.rows.resize(std::min(page.rows.size(), max));
    return page;
  });
}

Result<std::uint64_t> DeviceReader::unread_total() {
  rows::Query query = impl_->sql(kUnreadTotal);
  CHATSDK_ASSIGN(const bool found, query.first());
  CHATSDK_ASSERT(found);
  return unsigned_at(query.row(), 0);
}

Result<std::uint64_t> DeviceReader::outbox_count() {
  rows::Query query = impl_->sql(kOutboxCount);
  CHATSDK_ASSIGN(const bool found, query.first());
  CHATSDK_ASSERT(found);
  return unsigned_at(query.row(), 0);
}

}  // namespace chatsdk
