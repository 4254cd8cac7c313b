// SPDX-License-Identifier: Apache-2.0
//
// What the user does to groups, kept until the server has answered it and the app has heard so.
#include "base/assert.h"
#include "store/device_store_impl.h"

namespace chatsdk {

namespace {

using rows::Blob;
using rows::unsigned_at;

constexpr char kInsertOperation[] =
    "INSERT INTO operation(id, conversation, request, ended, failure, until, told) VALUES (?1, ?2, ?3, 0, 0, 0, 0)";
constexpr char kCountOperations[] = "SELECT count(*) FROM operation";
constexpr char kOpenOperations[] =
    "SELECT number, id, conversation, request FROM operation WHERE ended = 0 ORDER BY number LIMIT ?1";
constexpr char kOperation[] = "SELECT conversation, request FROM operation WHERE number = ?1 AND ended = 0";
constexpr char kOperationDone[] = "UPDATE operation SET ended = 1, until = ?2, requested = ?3 WHERE number = ?1";
constexpr char kOperationRefused[] =
    "UPDATE operation SET ended = 1, failure = ?2, failure_detail = ?3 WHERE number = ?1";
constexpr char kEndedOperations[] =
    "SELECT number, conversation, failure, failure_detail, requested FROM operation WHERE ended = 1 AND told = 0 "
    "ORDER BY number";
constexpr char kOperationTold[] = "UPDATE operation SET told = 1 WHERE number = ?1 AND ended = 1";
// What is told is of no more use once its item has come.
constexpr char kForgetOperations[] =
    "DELETE FROM operation WHERE told = 1 AND (failure <> 0 OR until <= coalesce((SELECT s.seq FROM conversation c "
    "JOIN stream s ON s.stream_id = c.conversation_id WHERE c.key = operation.conversation), until))";
constexpr char kNotMade[] = "UPDATE group_info SET standing = ?2, role = 0 WHERE conversation = ?1";
constexpr char kWaitingIn[] = "SELECT id FROM outbox WHERE conversation = ?1 AND kind = 0 AND failure = 0";
constexpr char kMadeHere[] =
    "UPDATE group_info SET name = ?2, description = ?3, picture = ?4, rights = ?5, history = ?6, role = ?7, "
    "members_known "
    "= 1 WHERE conversation = ?1";

Error no_operation() { return error(Code::kNotFound, "no such operation"); }

}  // namespace

Result<DeviceStore::AddedOperation> DeviceStore::add_operation(ConversationKey conversation, const Bytes& id,
                                                               const group::Operation& operation) {
  AddedOperation added;
  CHATSDK_ASSIGN(added.changes, impl_->write([&](Changes& changes) -> Status {
    if (operation.kind != group::Operation::Kind::kJoin) {
      CHATSDK_ASSIGN(const auto known, impl_->find_conversation(conversation));
      if (!known) return error(Code::kNotFound, "no such conversation");
      if (!known->group || known->group != operation.group) {
        return error(Code::kWrongState, "the conversation is no group");
      }
      CHATSDK_TRY(impl_->check_in_group(*known));
    }
    return impl_->insert_operation(conversation, id, operation, added.number, changes);
  }));
  return added;
}

Result<DeviceStore::AddedOperation> DeviceStore::create_group(const Bytes& id, const group::Info& info,
                                                              const std::vector<UserId>& members) {
  Impl& impl = *impl_;
  if (impl.owner.empty()) return error(Code::kWrongState, "the store has no owner yet");
  AddedOperation added;
  CHATSDK_ASSIGN(added.changes, impl.write([&](Changes& changes) -> Status {
    CHATSDK_ASSIGN(const auto known, impl.find_conversation(info.id));
    if (known) return error(Code::kConflict, "there is a group with this id");
    CHATSDK_ASSIGN(auto made, impl.insert_conversation({}, wire::CONVERSATION_KIND_GROUP, {}, impl.clock.wall_now()));
    CHATSDK_TRY(impl.set_group(made, info.id, 0, changes));
    CHATSDK_TRY(impl.set_plain(made, PlainState::kAccepted, changes));
    group::Info shown = info;
    shown.rights = group::default_rights();
    shown.rights.take(info.rights);
    CHATSDK_TRY(impl.sql(kMadeHere).run(made.key, shown.name, shown.description, Blob{shown.picture},
                                        group::pack(shown.rights), shown.history, group::Role::kOwner));
    CHATSDK_TRY(impl.save_member(made.key, impl.owner, {group::Role::kOwner, 0, 0}));
    for (const UserId& user : members) {
      CHATSDK_TRY(impl.save_member(made.key, user, {group::Role::kMember, 0, 0}));
    }
    CHATSDK_TRY(impl.count_members(made.key, changes));
    added.conversation = made.key;
    return impl.insert_operation(made.key, id, group::create(info, members), added.number, changes);
  }));
  return added;
}

Status DeviceStore::Impl::insert_operation(ConversationKey conversation, const Bytes& id,
                                           const group::Operation& operation, std::uint64_t& number, Changes& changes) {
  {
    rows::Query count = sql(kCountOperations);
    CHATSDK_ASSIGN(const bool counted, count.first());
    CHATSDK_ASSERT(counted);
    const std::uint64_t kept = unsigned_at(count.row(), 0);
    if (kept >= limits::groups::kOperationsMax) {
      return error(Code::kLimitReached, std::to_string(kept) + " operations are kept, limit " +
                                            std::to_string(limits::groups::kOperationsMax));
    }
  }
  CHATSDK_TRY(sql(kInsertOperation).run(Blob{id}, conversation, Blob{group::write(operation)}));
  number = static_cast<std::uint64_t>(db.last_insert_rowid());
  if (conversation) shows_operation(conversation, operation, changes);
  return {};
}

void DeviceStore::Impl::shows_operation(ConversationKey conversation, const group::Operation& operation,
                                        Changes& changes) {
  changes.conversations.push_back(conversation);
  if (group::changes_members(operation)) changes.members.push_back(conversation);
}

Result<std::vector<DeviceStore::OpenOperation>> DeviceStore::open_operations(std::size_t max) {
  std::vector<OpenOperation> found;
  rows::Query query = impl_->sql(kOpenOperations);
  for (auto more = query.first(max);; more = query.next()) {
    CHATSDK_ASSIGN(const bool row, std::move(more));
    if (!row) return found;
    OpenOperation& open = found.emplace_back();
    open.number = unsigned_at(query.row(), 0);
    open.id = Bytes(query->blob(1));
    open.conversation = ConversationKey{unsigned_at(query.row(), 2)};
    CHATSDK_ASSIGN(open.operation, group::read(query->blob(3)));
  }
}

Result<Changes> DeviceStore::operation_done(std::uint64_t number, const group::Changed& answer) {
  Impl& impl = *impl_;
  return impl.write([&](Changes& changes) -> Status {
    CHATSDK_ASSIGN(const auto open, impl.open_operation(number));
    CHATSDK_TRY(impl.sql(kOperationDone).run(number, answer.seq, answer.requested));
    if (!open.conversation) return {};
    CHATSDK_ASSIGN(auto known, impl.find_conversation(open.conversation));
    if (!known) return {};
    const bool made = open.operation.kind == group::Operation::Kind::kCreate;
    if (made && answer.conversation_id) CHATSDK_TRY(impl.link(*known, answer.conversation_id, changes));
    impl.shows_operation(open.conversation, open.operation, changes);
    return {};
  });
}

Result<Changes> DeviceStore::operation_refused(std::uint64_t number, const Error& reason) {
  Impl& impl = *impl_;
  return impl.write([&](Changes& changes) -> Status {
    CHATSDK_ASSIGN(const auto open, impl.open_operation(number));
    CHATSDK_TRY(impl.sql(kOperationRefused).run(number, reason.code, reason.detail));
    if (!open.conversation) return {};
    impl.shows_operation(open.conversation, open.operation, changes);
    if (open.operation.kind != group::Operation::Kind::kCreate) return {};
    CHATSDK_TRY(impl.sql(kNotMade).run(open.conversation, GroupStanding::kNotMade));
    return impl.fail_waiting(open.conversation, error(Code::kForbidden, "the group could not be made"), changes);
  });
}

Status DeviceStore::Impl::fail_waiting(ConversationKey conversation, const Error& reason, Changes& changes) {
  std::vector<MessageRef> waiting;
  {
    rows::Query query = sql(kWaitingIn);
    for (auto more = query.first(conversation);; more = query.next()) {
      CHATSDK_ASSIGN(const bool row, std::move(more));
      if (!row) break;
      waiting.push_back({conversation, MessageKey{unsigned_at(query.row(), 0)}});
    }
  }
  for (const MessageRef& message : waiting) CHATSDK_TRY(fail_row(message, reason, changes));
  return {};
}

Result<DeviceStore::OpenOperation> DeviceStore::Impl::open_operation(std::uint64_t number) {
  rows::Query query = sql(kOperation);
  CHATSDK_ASSIGN(const bool found, query.first(number));
  if (!found) return no_operation();
  OpenOperation open;
  open.number = number;
  open.conversation = ConversationKey{unsigned_at(query.row(), 0)};
  CHATSDK_ASSIGN(open.operation, group::read(query->blob(1)));
  return open;
}

Result<std::vector<DeviceStore::EndedOperation>> DeviceStore::ended_operations() {
  std::vector<EndedOperation> found;
  rows::Query query = impl_->sql(kEndedOperations);
  for (auto more = query.first();; more = query.next()) {
    CHATSDK_ASSIGN(const bool row, std::move(more));
    if (!row) return found;
    EndedOperation& ended = found.emplace_back();
    ended.number = unsigned_at(query.row(), 0);
    ended.conversation = ConversationKey{unsigned_at(query.row(), 1)};
    ended.status.code = static_cast<Code>(query->integer(2));
    ended.status.detail = std::string(query->text(3));
    ended.requested = query->integer(4) != 0;
  }
}

Status DeviceStore::operations_told(const std::vector<std::uint64_t>& numbers) {
  const auto written = impl_->write([&](Changes&) -> Status {
    for (const std::uint64_t number : numbers) CHATSDK_TRY(impl_->sql(kOperationTold).run(number));
    return impl_->sql(kForgetOperations).run();
  });
  return written.ok() ? Status() : Status(written.error());
}

}  // namespace chatsdk
