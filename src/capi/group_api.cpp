// SPDX-License-Identifier: Apache-2.0
//
// Entry points of the C ABI: groups. Each checks its arguments, calls the runtime and translates; no logic lives here.
#include "base/limits.h"
#include "capi/guard.h"
#include "capi/handles.h"

using namespace chatsdk;        // NOLINT(google-build-using-namespace): this file is the boundary
using namespace chatsdk::capi;  // NOLINT(google-build-using-namespace)

namespace {

static_assert(static_cast<std::int32_t>(group::Role::kMember) == CHATSDK_ROLE_MEMBER);
static_assert(static_cast<std::int32_t>(group::Role::kAdmin) == CHATSDK_ROLE_ADMIN);
static_assert(static_cast<std::int32_t>(group::Role::kOwner) == CHATSDK_ROLE_OWNER);
static_assert(static_cast<std::int32_t>(group::Right::kSend) + 1 == CHATSDK_RIGHT_SEND);
static_assert(static_cast<std::int32_t>(group::Right::kPermissions) + 1 == CHATSDK_RIGHT_PERMISSIONS);
static_assert(static_cast<std::int32_t>(GroupStanding::kIn) == CHATSDK_GROUP_IN);
static_assert(static_cast<std::int32_t>(GroupStanding::kLeft) == CHATSDK_GROUP_LEFT);
static_assert(static_cast<std::int32_t>(GroupStanding::kRemoved) == CHATSDK_GROUP_REMOVED);
static_assert(static_cast<std::int32_t>(GroupStanding::kEnded) == CHATSDK_GROUP_ENDED);
static_assert(static_cast<std::int32_t>(GroupStanding::kNotMade) == CHATSDK_GROUP_NOT_MADE);
static_assert(wire::CONVERSATION_KIND_GROUP == CHATSDK_CONVERSATION_GROUP);
static_assert(GroupId::size() == CHATSDK_GROUP_ID_SIZE);

constexpr TextRule kNameRule{"name", 0, limits::groups::kNameBytesMax, TextUse::kName};
constexpr TextRule kDescriptionRule{"description", 0, limits::groups::kDescriptionBytesMax, TextUse::kText};
constexpr TextRule kUserRule{"user", 1, limits::kUserIdBytesMax};

Result<Bytes> picture_in(const std::uint8_t* data, std::size_t length) {
  if (data == nullptr && length != 0) {
    return error(Code::kInvalidArgument, "picture is NULL with length " + std::to_string(length));
  }
  if (length > limits::groups::kPictureBytesMax) {
    return error(Code::kTooLarge, "picture " + std::to_string(length) + " B, limit " +
                                      std::to_string(limits::groups::kPictureBytesMax) + " B");
  }
  return Bytes(reinterpret_cast<const char*>(data), length);
}

Result<std::vector<UserId>> users_in(const char* const* users, std::size_t count) {
  if (users == nullptr && count > 0) return error(Code::kInvalidArgument, "the users are NULL");
  if (count >= limits::groups::kMembersMax) {
    return error(Code::kTooLarge,
                 std::to_string(count) + " users, limit " + std::to_string(limits::groups::kMembersMax - 1));
  }
  std::vector<UserId> named;
  for (std::size_t i = 0; i < count; ++i) {
    CHATSDK_ASSIGN(const std::string_view user, text_in(users[i], CHATSDK_STRLEN, kUserRule));
    named.emplace_back(user);
  }
  return named;
}

// What the server would refuse: a role that is none, or is too low for the right.
Status set_right(group::Rights& rights, std::int32_t right, std::int32_t role) {
  if (right < CHATSDK_RIGHT_SEND || right > CHATSDK_RIGHT_PERMISSIONS) {
    return error(Code::kInvalidArgument, "right " + std::to_string(right) + " is unknown");
  }
  const bool takes_admin =
      right == CHATSDK_RIGHT_REMOVE || right == CHATSDK_RIGHT_ROLES || right == CHATSDK_RIGHT_PERMISSIONS;
  if (role < (takes_admin ? CHATSDK_ROLE_ADMIN : CHATSDK_ROLE_MEMBER) || role > CHATSDK_ROLE_OWNER) {
    return error(Code::kInvalidArgument,
                 "right " + std::to_string(right) + " for the role " + std::to_string(role) + " is not allowed");
  }
  rights.of(static_cast<group::Right>(right - 1)) = static_cast<group::Role>(role);
  return {};
}

Result<group::Info> info_in(const chatsdk_group_options* options) {
  chatsdk_group_options in = CHATSDK_GROUP_OPTIONS_INIT;
  if (options != nullptr) CHATSDK_TRY(read_struct(options, in, "options"));
  group::Info info;
  CHATSDK_ASSIGN(info.name, text_in(in.name, in.name_length, kNameRule));
  CHATSDK_ASSIGN(info.description, text_in(in.description, in.description_length, kDescriptionRule));
  CHATSDK_ASSIGN(info.picture, picture_in(in.picture, in.picture_length));
  if (in.least_roles == nullptr && in.least_role_count > 0) {
    return error(Code::kInvalidArgument, "options.least_roles is NULL");
  }
  if (in.least_role_count > group::kRights) return error(Code::kUnsupported, "a right that is unknown");
  for (std::size_t i = 0; i < in.least_role_count; ++i) {
    if (in.least_roles[i] == CHATSDK_ROLE_NONE) continue;
    CHATSDK_TRY(set_right(info.rights, static_cast<std::int32_t>(i + 1), in.least_roles[i]));
  }
  if (in.has_history > 1) return error(Code::kInvalidArgument, "options.has_history is neither 0 nor 1");
  if (in.is_encrypted != 0) return error(Code::kUnsupported, "encrypted groups are not there yet");
  info.history = in.has_history == 1;
  return info;
}

// Does one thing to a group and gives the operation's number.
Status operate(chatsdk_client* client, std::uint64_t* out_operation,
               const std::function<Result<std::uint64_t>(Client&)>& begin) {
  CHATSDK_ASSIGN(const std::uint64_t number, client->runtime.with_engine<std::uint64_t>(begin));
  if (out_operation != nullptr) *out_operation = number;
  return {};
}

Status change(chatsdk_client* client, std::uint64_t conversation, const group::Changes& changes,
              std::uint64_t* out_operation) {
  return operate(client, out_operation,
                 [&](Client& engine) { return engine.change_group(ConversationKey{conversation}, changes); });
}

const GroupRow* group_of(const chatsdk_conversation* conversation) {
  return conversation != nullptr && conversation->row.group ? &*conversation->row.group : nullptr;
}

const group::Member* member_at(const chatsdk_member_list* list, std::size_t index) {
  return list != nullptr && index < list->page.rows.size() ? &list->page.rows[index] : nullptr;
}

}  // namespace

extern "C" {

int32_t chatsdk_client_accept_plain(chatsdk_client* client, uint64_t conversation, chatsdk_error** out_error) {
  return on_client(client, out_error, [&] {
    return client->runtime.with_engine<void>(
        [=](Client& engine) { return engine.accept_plain(ConversationKey{conversation}); });
  });
}

// ---- A group -------------------------------------------------------------------------------------------------------

const uint8_t* chatsdk_conversation_group_id(const chatsdk_conversation* conversation) {
  const GroupRow* row = group_of(conversation);
  return row == nullptr ? nullptr : row->info.id.bytes.data();
}
const char* chatsdk_conversation_name(const chatsdk_conversation* conversation, size_t* out_length) {
  const GroupRow* row = group_of(conversation);
  return row == nullptr ? view_out("", out_length) : view_out(row->info.name, out_length);
}
const char* chatsdk_conversation_description(const chatsdk_conversation* conversation, size_t* out_length) {
  const GroupRow* row = group_of(conversation);
  return row == nullptr ? view_out("", out_length) : view_out(row->info.description, out_length);
}
const uint8_t* chatsdk_conversation_picture(const chatsdk_conversation* conversation, size_t* out_length) {
  const GroupRow* row = group_of(conversation);
  const std::size_t size = row == nullptr ? 0 : row->info.picture.size();
  if (out_length != nullptr) *out_length = size;
  return size == 0 ? nullptr : reinterpret_cast<const std::uint8_t*>(row->info.picture.data());
}
int32_t chatsdk_conversation_role(const chatsdk_conversation* conversation) {
  const GroupRow* row = group_of(conversation);
  return row == nullptr ? CHATSDK_ROLE_NONE : static_cast<std::int32_t>(row->role);
}
int32_t chatsdk_conversation_standing(const chatsdk_conversation* conversation) {
  const GroupRow* row = group_of(conversation);
  return row == nullptr ? CHATSDK_GROUP_IN : static_cast<std::int32_t>(row->standing);
}
int32_t chatsdk_conversation_least_role(const chatsdk_conversation* conversation, int32_t right) {
  const GroupRow* row = group_of(conversation);
  if (row == nullptr || right < CHATSDK_RIGHT_SEND || right > CHATSDK_RIGHT_PERMISSIONS) return CHATSDK_ROLE_NONE;
  return static_cast<std::int32_t>(row->info.rights.of(static_cast<group::Right>(right - 1)));
}
uint64_t chatsdk_conversation_member_count(const chatsdk_conversation* conversation) {
  const GroupRow* row = group_of(conversation);
  return row == nullptr ? 0 : row->members;
}
int32_t chatsdk_conversation_has_history(const chatsdk_conversation* conversation) {
  const GroupRow* row = group_of(conversation);
  return row != nullptr && row->info.history ? 1 : 0;
}

// ---- Members -------------------------------------------------------------------------------------------------------

int32_t chatsdk_client_members(chatsdk_client* client, uint64_t conversation, const char* after, size_t after_length,
                               size_t max, chatsdk_member_list** out_list, chatsdk_error** out_error) {
  return on_client(client, out_error, [&]() -> Status {
    if (out_list == nullptr) return error(Code::kInvalidArgument, "out_list is NULL");
    CHATSDK_ASSIGN(const std::string_view last, text_in(after, after_length, {"after", 0, limits::kUserIdBytesMax}));
    CHATSDK_ASSIGN(auto page, client->runtime.with_reader<DeviceReader::MemberPage>([&](DeviceReader& reader) {
      return reader.members(ConversationKey{conversation}, UserId(last), max);
    }));
    *out_list = new chatsdk_member_list(std::move(page));
    return {};
  });
}

size_t chatsdk_member_list_size(const chatsdk_member_list* list) {
  return list == nullptr ? 0 : list->page.rows.size();
}
const char* chatsdk_member_list_user(const chatsdk_member_list* list, size_t index, size_t* out_length) {
  const group::Member* member = member_at(list, index);
  return member == nullptr ? view_out("", out_length) : view_out(member->user_id, out_length);
}
int32_t chatsdk_member_list_role(const chatsdk_member_list* list, size_t index) {
  const group::Member* member = member_at(list, index);
  return member == nullptr ? CHATSDK_ROLE_NONE : static_cast<std::int32_t>(member->role);
}
int32_t chatsdk_member_list_has_more(const chatsdk_member_list* list) {
  return list != nullptr && list->page.more ? 1 : 0;
}
int32_t chatsdk_member_list_is_complete(const chatsdk_member_list* list) {
  return list != nullptr && list->page.known ? 1 : 0;
}
void chatsdk_member_list_release(const chatsdk_member_list* list) {
  if (list != nullptr) list->release();
}

// ---- What is done to groups ----------------------------------------------------------------------------------------

int32_t chatsdk_group_options_init(chatsdk_group_options* options, size_t size) {
  const chatsdk_group_options defaults = CHATSDK_GROUP_OPTIONS_INIT;
  return init_struct(options, size, defaults);
}

int32_t chatsdk_client_create_group(chatsdk_client* client, const chatsdk_group_options* options,
                                    const char* const* members, size_t count, uint64_t* out_conversation,
                                    uint64_t* out_operation, chatsdk_error** out_error) {
  return on_client(client, out_error, [&]() -> Status {
    if (out_conversation == nullptr) return error(Code::kInvalidArgument, "out_conversation is NULL");
    CHATSDK_ASSIGN(group::Info info, info_in(options));
    CHATSDK_ASSIGN(const std::vector<UserId> users, users_in(members, count));
    CHATSDK_ASSIGN(const Client::NewGroup made, client->runtime.with_engine<Client::NewGroup>([&](Client& engine) {
      return engine.create_group(std::move(info), users);
    }));
    *out_conversation = made.conversation.value;
    if (out_operation != nullptr) *out_operation = made.operation;
    return {};
  });
}

int32_t chatsdk_client_set_group_name(chatsdk_client* client, uint64_t conversation, const char* name,
                                      size_t name_length, uint64_t* out_operation, chatsdk_error** out_error) {
  return on_client(client, out_error, [&]() -> Status {
    group::Changes changes;
    CHATSDK_ASSIGN(changes.name, text_in(name, name_length, kNameRule));
    return change(client, conversation, changes, out_operation);
  });
}

int32_t chatsdk_client_set_group_description(chatsdk_client* client, uint64_t conversation, const char* description,
                                             size_t description_length, uint64_t* out_operation,
                                             chatsdk_error** out_error) {
  return on_client(client, out_error, [&]() -> Status {
    group::Changes changes;
    CHATSDK_ASSIGN(changes.description, text_in(description, description_length, kDescriptionRule));
    return change(client, conversation, changes, out_operation);
  });
}

int32_t chatsdk_client_set_group_picture(chatsdk_client* client, uint64_t conversation, const uint8_t* picture,
                                         size_t picture_length, uint64_t* out_operation, chatsdk_error** out_error) {
  return on_client(client, out_error, [&]() -> Status {
    group::Changes changes;
    CHATSDK_ASSIGN(changes.picture, picture_in(picture, picture_length));
    return change(client, conversation, changes, out_operation);
  });
}

int32_t chatsdk_client_set_group_right(chatsdk_client* client, uint64_t conversation, int32_t right, int32_t least_role,
                                       uint64_t* out_operation, chatsdk_error** out_error) {
  return on_client(client, out_error, [&]() -> Status {
    group::Changes changes;
    CHATSDK_TRY(set_right(changes.rights, right, least_role));
    return change(client, conversation, changes, out_operation);
  });
}

int32_t chatsdk_client_add_members(chatsdk_client* client, uint64_t conversation, const char* const* users,
                                   size_t count, uint64_t* out_operation, chatsdk_error** out_error) {
  return on_client(client, out_error, [&]() -> Status {
    CHATSDK_ASSIGN(const std::vector<UserId> named, users_in(users, count));
    return operate(client, out_operation,
                   [&](Client& engine) { return engine.add_members(ConversationKey{conversation}, named); });
  });
}

int32_t chatsdk_client_remove_member(chatsdk_client* client, uint64_t conversation, const char* user,
                                     size_t user_length, uint64_t* out_operation, chatsdk_error** out_error) {
  return on_client(client, out_error, [&]() -> Status {
    CHATSDK_ASSIGN(const std::string_view named, text_in(user, user_length, kUserRule));
    return operate(client, out_operation,
                   [&](Client& engine) { return engine.remove_member(ConversationKey{conversation}, UserId(named)); });
  });
}

int32_t chatsdk_client_leave_group(chatsdk_client* client, uint64_t conversation, uint64_t* out_operation,
                                   chatsdk_error** out_error) {
  return on_client(client, out_error, [&] {
    return operate(client, out_operation,
                   [=](Client& engine) { return engine.leave_group(ConversationKey{conversation}); });
  });
}

int32_t chatsdk_client_set_member_role(chatsdk_client* client, uint64_t conversation, const char* user,
                                       size_t user_length, int32_t role, uint64_t* out_operation,
                                       chatsdk_error** out_error) {
  return on_client(client, out_error, [&]() -> Status {
    CHATSDK_ASSIGN(const std::string_view named, text_in(user, user_length, kUserRule));
    if (role != CHATSDK_ROLE_MEMBER && role != CHATSDK_ROLE_ADMIN) {
      return error(Code::kInvalidArgument, "role " + std::to_string(role) + " is neither MEMBER nor ADMIN");
    }
    return operate(client, out_operation, [&](Client& engine) {
      return engine.set_role(ConversationKey{conversation}, UserId(named), static_cast<group::Role>(role));
    });
  });
}

int32_t chatsdk_client_transfer_group(chatsdk_client* client, uint64_t conversation, const char* user,
                                      size_t user_length, uint64_t* out_operation, chatsdk_error** out_error) {
  return on_client(client, out_error, [&]() -> Status {
    CHATSDK_ASSIGN(const std::string_view named, text_in(user, user_length, kUserRule));
    return operate(client, out_operation,
                   [&](Client& engine) { return engine.set_owner(ConversationKey{conversation}, UserId(named)); });
  });
}

int32_t chatsdk_client_end_group(chatsdk_client* client, uint64_t conversation, uint64_t* out_operation,
                                 chatsdk_error** out_error) {
  return on_client(client, out_error, [&] {
    return operate(client, out_operation,
                   [=](Client& engine) { return engine.end_group(ConversationKey{conversation}); });
  });
}

}  // extern "C"
