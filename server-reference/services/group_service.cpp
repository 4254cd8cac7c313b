// SPDX-License-Identifier: Apache-2.0
#include "server-reference/services/group_service.h"

#include <algorithm>
#include <chrono>
#include <optional>
#include <set>
#include <utility>

#include "base/assert.h"
#include "server-reference/services/code_points.h"
#include "server-reference/services/validation.h"
#include "server-reference/store/group_rights.h"

namespace chatsdk::server {

namespace {

Error invalid(std::string detail) { return error(Code::kInvalidArgument, std::move(detail)); }

// One spelling for each, so that nobody takes two names of a thing for two things.
Result<Bytes> parse_id(const char* field, std::string_view text, std::size_t size = limits::groups::kIdBytes) {
  const auto bytes = from_hex(text);
  if (!bytes || bytes->size() != size || to_hex(*bytes) != text) {
    return invalid(std::string(field) + " is not " + std::to_string(2 * size) + " lower-case hexadecimal digits");
  }
  return *bytes;
}

// What is stored of a token, and looked for: neither who reads the store nor who measures a look-up learns one.
Bytes invitation_id_of(BytesView token) { return payload_hash(token); }

Result<Bytes> invitation_in_path(std::string_view token) {
  CHATSDK_ASSIGN(const Bytes bytes, parse_id("token in the path", token));
  return invitation_id_of(bytes);
}

Status check_size(const char* field, std::size_t bytes, std::size_t max) {
  if (bytes <= max) return {};
  return invalid(std::string(field) + " of " + std::to_string(bytes) + " B, limit " + std::to_string(max) + " B");
}

Status check_id(const char* field, BytesView id) {
  if (id.size() == limits::groups::kIdBytes && id.find_first_not_of('\0') != id.npos) return {};
  return invalid(std::string(field) + " of " + std::to_string(id.size()) + " B, must be " +
                 std::to_string(limits::groups::kIdBytes) + " B, not all of them 0");
}

// Lines and tabs, where a text may have several lines.
Status check_text(const char* field, std::string_view text, std::size_t max, bool has_lines) {
  CHATSDK_TRY(check_size(field, text.size(), max));
  if (!is_utf8(text)) return error(Code::kInvalidUtf8, std::string(field) + " is not UTF-8");
  while (!text.empty()) {
    const char32_t point = take_code_point(text);
    if (has_lines && (point == U'\n' || point == U'\t')) continue;
    if (is_control(point)) return invalid(std::string(field) + " has a control character");
  }
  return {};
}

Status check_name(std::string_view name) { return check_text("name", name, limits::groups::kNameBytesMax, false); }
Status check_description(std::string_view text) {
  return check_text("description", text, limits::groups::kDescriptionBytesMax, true);
}
Status check_picture(BytesView picture) {
  return check_size("picture", picture.size(), limits::groups::kPictureBytesMax);
}

// A right that is unset is allowed.
Status check_permissions(const GroupPermissions& permissions) {
  for (std::size_t i = 0; i < permissions.least.size(); ++i) {
    const MemberRole least = permissions.least.at(i);
    if (least == MemberRole::kNone) continue;
    const std::string name = std::string("permissions.") + group_right_name(static_cast<GroupRight>(i));
    if (least > MemberRole::kOwner) return invalid(name + " is no role");
    if (least < least_of_right(static_cast<GroupRight>(i))) return invalid(name + " is admin at least");
  }
  return {};
}

Result<std::vector<UserId>> users_of(const google::protobuf::RepeatedPtrField<std::string>& user_ids,
                                     const UserId& asking) {
  if (static_cast<std::size_t>(user_ids.size()) > limits::groups::kMembersMax) {
    return invalid("user_ids: " + std::to_string(user_ids.size()) + ", limit " +
                   std::to_string(limits::groups::kMembersMax));
  }
  std::set<UserId> seen;
  for (int i = 0; i < user_ids.size(); ++i) {
    const std::string place = "user_ids[" + std::to_string(i) + "]";
    if (Status checked = check_user_id(user_ids[i]); !checked.ok())
      return invalid(place + ": " + checked.error().detail);
    if (user_ids[i] == asking) return invalid(place + " is who asks");
    if (!seen.insert(user_ids[i]).second) return invalid(place + " is there twice");
  }
  return std::vector<UserId>(user_ids.begin(), user_ids.end());
}

wire::GroupRole to_wire(MemberRole role) { return static_cast<wire::GroupRole>(role); }

}  // namespace

GroupService::GroupService(Parts parts, GroupOptions options)
    : parts_(std::move(parts)),
      options_(options),
      changes_(options_.changes_per_user, options_.rate_buckets_max),
      created_(options_.groups_per_user, options_.rate_buckets_max),
      added_(options_.added_per_user, options_.rate_buckets_max),
      joins_(options_.joins_per_user, options_.rate_buckets_max),
      reads_(options_.reads_per_user, options_.rate_buckets_max) {
  CHATSDK_ASSERT(options_.members_max <= limits::groups::kMembersMax);
}

std::size_t GroupService::rated() const {
  return std::max({changes_.size(), created_.size(), added_.size(), joins_.size(), reads_.size()});
}

Status GroupService::take(RateLimiter& limiter, const Identity& identity, const char* what, std::size_t count) {
  if (count == 0) return {};
  const auto now = parts_.executor.clock().monotonic_now();
  const auto wait = limiter.take(identity.user_id, now, static_cast<std::uint32_t>(count));
  if (wait.count() == 0) return {};
  return Error{Code::kRateLimited, what, std::chrono::ceil<std::chrono::milliseconds>(wait)};
}

// ---- Changes -------------------------------------------------------------------------------------------------------

Result<GroupOperation> GroupService::begin(const Asked& asked, std::string_view name, const Bytes& request_bytes) {
  GroupOperation op;
  CHATSDK_ASSIGN(op.operation_id, parse_id("Operation-Id", asked.operation_id));
  if (!asked.group_id.empty()) {
    CHATSDK_ASSIGN(op.group_id, parse_id("group_id in the path", asked.group_id));
  }
  if (!asked.user_id.empty()) {
    if (Status checked = check_user_id(asked.user_id); !checked.ok()) {
      return invalid("in the path: " + checked.error().detail);
    }
  }
  op.user_id = asked.identity.user_id;
  op.device_id = asked.identity.device_id;
  op.session = asked.identity.session_id;
  op.members_max = options_.members_max;
  op.now = wall_now();
  Bytes request(name);
  // Nothing of these holds a zero byte.
  for (const std::string* part : {&asked.group_id, &asked.token, &asked.user_id}) request.append(1, '\0').append(*part);
  op.request_hash = payload_hash(request.append(1, '\0').append(request_bytes));
  return op;
}

template <typename Change>
void GroupService::submit(Result<GroupOperation> op, Result<Change> change, OnChanged on_changed) {
  Status begun;
  if (!op.ok()) {
    begun = op.error();
  } else if (!change.ok()) {
    begun = change.error();
  }
  if (!begun.ok()) {
    on_changed(std::move(begun).error());
    return;
  }
  op->change = std::move(change).value();
  parts_.submit(
      *std::move(op),
      [on_changed = std::move(on_changed)](Result<WriteAnswer> answer) mutable {
        if (!answer.ok()) {
          on_changed(std::move(answer).error());
          return;
        }
        auto* done = std::get_if<OperationDone>(&*answer);
        wire::GroupChanged changed;
        if (done == nullptr) {
          on_changed(error(Code::kInternal, "the committer gave another operation's answer"));
        } else if (done->refused) {
          on_changed(*std::move(done->refused));
        } else if (!changed.ParseFromString(done->answer)) {
          on_changed(error(Code::kInternal, "an operation's answer is another one's"));
        } else {
          on_changed(std::move(changed));
        }
      },
      parts_.executor);
}

void GroupService::create(const Asked& asked, const wire::CreateGroupRequest& request, OnChanged on_changed) {
  auto op = begin(asked, "create", request.SerializeAsString());
  const auto check = [&]() -> Result<CreateGroup> {
    CHATSDK_TRY(check_id("group_id", request.group_id()));
    if (request.encrypted()) return error(Code::kUnsupported, "encrypted groups are not served yet");
    CHATSDK_TRY(check_name(request.name()));
    CHATSDK_TRY(check_description(request.description()));
    CHATSDK_TRY(check_picture(request.picture()));
    CreateGroup change;
    CHATSDK_ASSIGN(change.members, users_of(request.user_ids(), asked.identity.user_id));
    change.permissions = permissions_of(request.permissions());
    CHATSDK_TRY(check_permissions(change.permissions));
    change.permissions.fill_from(default_permissions());
    change.name = request.name();
    change.description = request.description();
    change.picture = request.picture();
    change.history = request.history();
    CHATSDK_TRY(take(changes_, asked.identity, "too many changes of groups"));
    CHATSDK_TRY(take(created_, asked.identity, "too many new groups"));
    CHATSDK_TRY(take(added_, asked.identity, "too many members added", change.members.size()));
    return change;
  };
  if (op.ok()) op->group_id = request.group_id();
  auto change = op.ok() ? check() : Result<CreateGroup>(CreateGroup());
  submit(std::move(op), std::move(change), std::move(on_changed));
}

void GroupService::change(const Asked& asked, const wire::ChangeGroupRequest& request, OnChanged on_changed) {
  auto op = begin(asked, "change", request.SerializeAsString());
  const auto check = [&]() -> Result<ChangeGroup> {
    ChangeGroup change;
    if (request.has_name()) CHATSDK_TRY(check_name(request.name()));
    if (request.has_description()) CHATSDK_TRY(check_description(request.description()));
    if (request.has_picture()) CHATSDK_TRY(check_picture(request.picture()));
    if (request.has_name()) change.name = request.name();
    if (request.has_description()) change.description = request.description();
    if (request.has_picture()) change.picture = request.picture();
    change.permissions = permissions_of(request.permissions());
    CHATSDK_TRY(check_permissions(change.permissions));
    CHATSDK_TRY(take(changes_, asked.identity, "too many changes of groups"));
    return change;
  };
  auto change = op.ok() ? check() : Result<ChangeGroup>(ChangeGroup());
  submit(std::move(op), std::move(change), std::move(on_changed));
}

void GroupService::remove(const Asked& asked, OnChanged on_changed) {
  auto op = begin(asked, "remove", {});
  const Status taken = op.ok() ? take(changes_, asked.identity, "too many changes of groups") : Status();
  submit(std::move(op), taken.ok() ? Result<DeleteGroup>(DeleteGroup()) : Result<DeleteGroup>(taken.error()),
         std::move(on_changed));
}

void GroupService::add_members(const Asked& asked, const wire::MembersRequest& request, OnChanged on_changed) {
  auto op = begin(asked, "add", request.SerializeAsString());
  const auto check = [&]() -> Result<AddMembers> {
    AddMembers change;
    CHATSDK_ASSIGN(change.user_ids, users_of(request.user_ids(), asked.identity.user_id));
    if (change.user_ids.empty()) return invalid("user_ids names nobody");
    CHATSDK_TRY(take(changes_, asked.identity, "too many changes of groups"));
    CHATSDK_TRY(take(added_, asked.identity, "too many members added", change.user_ids.size()));
    return change;
  };
  auto change = op.ok() ? check() : Result<AddMembers>(AddMembers());
  submit(std::move(op), std::move(change), std::move(on_changed));
}

void GroupService::remove_member(const Asked& asked, OnChanged on_changed) {
  auto op = begin(asked, "remove member", {});
  const Status taken = op.ok() ? take(changes_, asked.identity, "too many changes of groups") : Status();
  submit(std::move(op),
         taken.ok() ? Result<RemoveMember>(RemoveMember{asked.user_id}) : Result<RemoveMember>(taken.error()),
         std::move(on_changed));
}

void GroupService::set_role(const Asked& asked, const wire::RoleRequest& request, OnChanged on_changed) {
  auto op = begin(asked, "role", request.SerializeAsString());
  const auto check = [&]() -> Result<SetMemberRole> {
    if (request.role() != wire::GROUP_ROLE_MEMBER && request.role() != wire::GROUP_ROLE_ADMIN) {
      return invalid("role is neither member nor admin");
    }
    CHATSDK_TRY(take(changes_, asked.identity, "too many changes of groups"));
    return SetMemberRole{asked.user_id, static_cast<MemberRole>(request.role())};
  };
  auto change = op.ok() ? check() : Result<SetMemberRole>(SetMemberRole());
  submit(std::move(op), std::move(change), std::move(on_changed));
}

void GroupService::set_owner(const Asked& asked, const wire::OwnerRequest& request, OnChanged on_changed) {
  auto op = begin(asked, "owner", request.SerializeAsString());
  const auto check = [&]() -> Result<TransferGroup> {
    CHATSDK_TRY(check_user_id(request.user_id()));
    CHATSDK_TRY(take(changes_, asked.identity, "too many changes of groups"));
    return TransferGroup{request.user_id()};
  };
  auto change = op.ok() ? check() : Result<TransferGroup>(TransferGroup());
  submit(std::move(op), std::move(change), std::move(on_changed));
}

void GroupService::invite(const Asked& asked, const wire::InvitationRequest& request, OnChanged on_changed) {
  auto op = begin(asked, "invite", request.SerializeAsString());
  const auto check = [&]() -> Result<CreateInvitation> {
    CHATSDK_TRY(check_id("token", request.token()));
    if (request.expires_at_ms() < 0) return invalid("expires_at_ms is below 0");
    CHATSDK_TRY(take(changes_, asked.identity, "too many changes of groups"));
    return CreateInvitation{invitation_id_of(request.token()), request.expires_at_ms(), request.uses(),
                            request.approval()};
  };
  auto change = op.ok() ? check() : Result<CreateInvitation>(CreateInvitation());
  submit(std::move(op), std::move(change), std::move(on_changed));
}

void GroupService::revoke(const Asked& asked, OnChanged on_changed) {
  auto op = begin(asked, "revoke", {});
  const auto check = [&]() -> Result<RevokeInvitation> {
    // Another's is known by its id alone.
    const bool is_id = asked.token.size() == 2 * limits::groups::kInvitationIdBytes;
    CHATSDK_ASSIGN(Bytes id,
                   is_id ? parse_id("invitation_id in the path", asked.token, limits::groups::kInvitationIdBytes)
                         : invitation_in_path(asked.token));
    CHATSDK_TRY(take(changes_, asked.identity, "too many changes of groups"));
    return RevokeInvitation{std::move(id)};
  };
  auto change = op.ok() ? check() : Result<RevokeInvitation>(RevokeInvitation());
  submit(std::move(op), std::move(change), std::move(on_changed));
}

void GroupService::join(const Asked& asked, OnChanged on_changed) {
  auto op = begin(asked, "join", {});
  const auto check = [&]() -> Result<JoinGroup> {
    CHATSDK_ASSIGN(Bytes id, invitation_in_path(asked.token));
    CHATSDK_TRY(take(joins_, asked.identity, "too many looks at invitations"));
    return JoinGroup{std::move(id)};
  };
  auto change = op.ok() ? check() : Result<JoinGroup>(JoinGroup());
  submit(std::move(op), std::move(change), std::move(on_changed));
}

void GroupService::answer_request(const Asked& asked, const wire::RequestAnswer& request, OnChanged on_changed) {
  auto op = begin(asked, "answer", request.SerializeAsString());
  const Status taken = op.ok() ? take(changes_, asked.identity, "too many changes of groups") : Status();
  using Answer = Result<AnswerJoinRequest>;
  submit(std::move(op), taken.ok() ? Answer(AnswerJoinRequest{asked.user_id, request.accept()}) : Answer(taken.error()),
         std::move(on_changed));
}

// ---- Reads ---------------------------------------------------------------------------------------------------------

Result<wire::GroupInfo> GroupService::info(const Identity& identity, const std::string& group_id) {
  CHATSDK_ASSIGN(const Bytes id, parse_id("group_id in the path", group_id));
  CHATSDK_TRY(take(reads_, identity, "too many looks at groups"));
  CHATSDK_ASSIGN(GroupView view, parts_.reader.group(identity.user_id, id));
  wire::GroupInfo info;
  *info.mutable_group() = std::move(view.group);
  info.set_conversation_id(view.conversation_id.value);
  info.set_seq(view.head);
  info.set_members(view.members);
  info.set_role(to_wire(view.role));
  info.set_owner_user_id(view.owner);
  return info;
}

Result<wire::GroupMembers> GroupService::members(const Identity& identity, const std::string& group_id,
                                                 const std::string& after, std::uint64_t max) {
  CHATSDK_ASSIGN(const Bytes id, parse_id("group_id in the path", group_id));
  if (max == 0) max = limits::groups::kMemberPageDefault;
  if (max > limits::groups::kMemberPageMax) {
    return invalid("max " + std::to_string(max) + ", limit " + std::to_string(limits::groups::kMemberPageMax));
  }
  if (!after.empty()) {
    if (Status checked = check_user_id(after); !checked.ok()) return invalid("after: " + checked.error().detail);
  }
  CHATSDK_TRY(take(reads_, identity, "too many looks at groups"));
  CHATSDK_ASSIGN(const GroupMemberPage page,
                 parts_.reader.group_members(identity.user_id, id, after, static_cast<std::size_t>(max)));
  wire::GroupMembers members;
  for (const GroupMember& member : page.members) {
    wire::GroupMembers::Member& entry = *members.add_members();
    entry.set_user_id(member.user_id);
    entry.set_role(to_wire(member.role));
  }
  members.set_seq(page.head);
  members.set_more(page.more);
  return members;
}

Result<wire::Invitations> GroupService::invitations(const Identity& identity, const std::string& group_id) {
  CHATSDK_ASSIGN(const Bytes id, parse_id("group_id in the path", group_id));
  CHATSDK_TRY(take(reads_, identity, "too many looks at groups"));
  CHATSDK_ASSIGN(const auto views, parts_.reader.group_invitations(identity.user_id, id, wall_now()));
  wire::Invitations invitations;
  for (const InvitationView& view : views) {
    wire::Invitations::Invitation& entry = *invitations.add_invitations();
    entry.set_invitation_id(view.id);
    entry.set_user_id(view.inviter);
    entry.set_created_at_ms(to_unix_ms(view.created));
    entry.set_expires_at_ms(view.expires_ms);
    entry.set_uses_left(view.uses_left);
    entry.set_approval(view.approval);
  }
  return invitations;
}

Result<wire::InvitationPreview> GroupService::preview(const Identity& identity, const std::string& token) {
  CHATSDK_ASSIGN(const Bytes id, invitation_in_path(token));
  CHATSDK_TRY(take(joins_, identity, "too many looks at invitations"));
  CHATSDK_ASSIGN(const InvitationView view, parts_.reader.group_invitation(identity.user_id, id, wall_now()));
  wire::InvitationPreview preview;
  preview.set_group_id(view.of.group.group_id());
  preview.set_name(view.of.group.name());
  preview.set_description(view.of.group.description());
  preview.set_picture(view.of.group.picture());
  preview.set_members(view.of.members);
  preview.set_approval(view.approval);
  preview.set_inviter_user_id(view.inviter);
  preview.set_member(view.of.role != MemberRole::kNone);
  return preview;
}

Result<wire::JoinRequests> GroupService::requests(const Identity& identity, const std::string& group_id) {
  CHATSDK_ASSIGN(const Bytes id, parse_id("group_id in the path", group_id));
  CHATSDK_TRY(take(reads_, identity, "too many looks at groups"));
  CHATSDK_ASSIGN(const auto views, parts_.reader.join_requests(identity.user_id, id));
  wire::JoinRequests requests;
  for (const JoinRequestView& view : views) {
    wire::JoinRequests::Request& entry = *requests.add_requests();
    entry.set_user_id(view.user_id);
    entry.set_requested_at_ms(to_unix_ms(view.requested));
  }
  return requests;
}

}  // namespace chatsdk::server
