// SPDX-License-Identifier: Apache-2.0
#include "protocol/group.h"

#include <algorithm>

#include "base/limits.h"
#include "protocol/record.h"

namespace chatsdk::group {

namespace {

constexpr int kBitsOfRole = 4;

Error no_such(const char* what, BytesView bytes) {
  return error(Code::kProtocol, std::string("an answer of ") + std::to_string(bytes.size()) + " B is no " + what);
}

bool is_user_id(BytesView text) { return !text.empty() && text.size() <= limits::kUserIdBytesMax && is_utf8(text); }

UserId user_of(RecordReader& fields, BytesView value) {
  if (!is_user_id(value)) fields.fail();
  return UserId(value);
}

std::string text_of(RecordReader& fields, std::size_t max) {
  const BytesView value = fields.bytes();
  if (value.size() > max || !is_utf8(value)) fields.fail();
  return std::string(value);
}

Bytes bytes_of(RecordReader& fields, std::size_t max) {
  const BytesView value = fields.bytes();
  if (value.size() > max) fields.fail();
  return Bytes(value);
}

GroupId group_id_of(RecordReader& fields) {
  const BytesView value = fields.bytes();
  if (value.size() != GroupId::size()) {
    fields.fail();
    return {};
  }
  return GroupId::from(value);
}

std::int64_t time_of(RecordReader& fields) { return clamp_unix_ms(static_cast<std::int64_t>(fields.u64())); }

// A record within another one: whoever reads it says whether it was one.
template <typename Read>
auto inner(RecordReader& fields, BytesView bytes, Read&& read) {
  RecordReader inside(bytes);
  auto value = read(inside);
  if (inside.failed()) fields.fail();
  return value;
}

Rights read_rights(RecordReader& fields) {
  Rights rights;
  while (fields.next()) {
    if (fields.number() <= kRights) rights.least[fields.number() - 1] = role_of(fields.u64());
  }
  return rights;
}

Info read_info(RecordReader& fields) {
  Info info;
  while (fields.next()) {
    switch (fields.number()) {
      case 1:
        info.id = group_id_of(fields);
        break;
      case 2:
        info.name = text_of(fields, limits::groups::kNameBytesMax);
        break;
      case 3:
        info.description = text_of(fields, limits::groups::kDescriptionBytesMax);
        break;
      case 4:
        info.picture = bytes_of(fields, limits::groups::kPictureBytesMax);
        break;
      case 5:
        info.rights = inner(fields, fields.bytes(), read_rights);
        break;
      case 6:
        info.history = fields.boolean();
        break;
      default:
        break;
    }
  }
  return info;
}

Member read_member(RecordReader& fields) {
  Member member;
  while (fields.next()) {
    if (fields.number() == 1) member.user_id = user_of(fields, fields.bytes());
    if (fields.number() == 2) member.role = role_of(fields.u64());
  }
  if (member.user_id.empty() || member.role == Role::kNone) fields.fail();
  return member;
}

Invitation read_invitation(RecordReader& fields) {
  Invitation invitation;
  while (fields.next()) {
    switch (fields.number()) {
      case 1:
        invitation.token = bytes_of(fields, limits::groups::kInvitationIdBytes);
        break;
      case 2:
        invitation.inviter = user_of(fields, fields.bytes());
        break;
      case 3:
        invitation.created_at_ms = time_of(fields);
        break;
      case 4:
        invitation.expires_at_ms = time_of(fields);
        break;
      case 5:
        invitation.uses = fields.u32();
        break;
      case 6:
        invitation.approval = fields.boolean();
        break;
      default:
        break;
    }
  }
  if (invitation.token.size() != limits::groups::kInvitationIdBytes) fields.fail();
  return invitation;
}

JoinRequest read_request(RecordReader& fields) {
  JoinRequest request;
  while (fields.next()) {
    if (fields.number() == 1) request.user_id = user_of(fields, fields.bytes());
    if (fields.number() == 2) request.requested_at_ms = time_of(fields);
  }
  if (request.user_id.empty()) fields.fail();
  return request;
}

RecordWriter rights_record(const Rights& rights) {
  RecordWriter record;
  for (std::size_t i = 0; i < kRights; ++i) {
    record.u64(static_cast<std::uint32_t>(i + 1), static_cast<std::uint64_t>(rights.least[i]));
  }
  return record;
}

std::string cut(const std::string& text, std::size_t max) { return text.size() <= max ? text : std::string(); }

}  // namespace

// ---- Roles and rights ----------------------------------------------------------------------------------------------

void Rights::take(const Rights& said) {
  for (std::size_t i = 0; i < kRights; ++i) {
    if (said.least[i] != Role::kNone) least[i] = said.least[i];
  }
}

Rights default_rights() {
  Rights rights;
  rights.least.fill(Role::kAdmin);
  rights.of(Right::kSend) = rights.of(Right::kPin) = Role::kMember;
  rights.of(Right::kPermissions) = Role::kOwner;
  return rights;
}

std::int64_t pack(const Rights& rights) {
  std::int64_t packed = 0;
  for (std::size_t i = kRights; i-- > 0;) packed = (packed << kBitsOfRole) | static_cast<std::int64_t>(rights.least[i]);
  return packed;
}

Rights unpack(std::int64_t packed) {
  Rights rights;
  for (Role& role : rights.least) {
    role = role_of(static_cast<std::uint64_t>(packed) & ((1U << kBitsOfRole) - 1));
    packed >>= kBitsOfRole;
  }
  return rights;
}

Role role_of(std::uint64_t number) {
  return number <= static_cast<std::uint64_t>(Role::kOwner) ? static_cast<Role>(number) : Role::kOwner;
}

Info info_of(const wire::Group& group) {
  Info info;
  if (group.group_id().size() == GroupId::size()) info.id = GroupId::from(group.group_id());
  info.name = cut(group.name(), limits::groups::kNameBytesMax);
  info.description = cut(group.description(), limits::groups::kDescriptionBytesMax);
  info.picture = cut(group.picture(), limits::groups::kPictureBytesMax);
  info.history = group.history();
  const wire::GroupPermissions& said = group.permissions();
  const wire::GroupRole roles[] = {said.send(),   said.pin(),  said.add(),   said.invite(),
                                   said.remove(), said.info(), said.roles(), said.permissions()};
  static_assert(std::size(roles) == kRights);
  for (std::size_t i = 0; i < kRights; ++i) info.rights.least[i] = role_of(static_cast<std::uint64_t>(roles[i]));
  return info;
}

// ---- What is asked -------------------------------------------------------------------------------------------------

Bytes write_create(const Info& info, const std::vector<UserId>& members) {
  RecordWriter out;
  out.bytes(1, info.id.view()).bytes(2, info.name).bytes(3, info.description).bytes(4, info.picture);
  for (const UserId& member : members) out.each(5, member);
  return out.record(6, rights_record(info.rights)).u64(7, info.history ? 1 : 0).take();
}

Bytes write_changes(const Changes& changes) {
  RecordWriter out;
  if (changes.name) out.each(1, *changes.name);
  if (changes.description) out.each(2, *changes.description);
  if (changes.picture) out.each(3, *changes.picture);
  if (changes.rights != Rights()) out.record(4, rights_record(changes.rights));
  return out.take();
}

Result<Changes> read_changes(BytesView bytes) {
  RecordReader fields(bytes);
  Changes changes;
  while (fields.next()) {
    if (fields.number() == 1) changes.name = text_of(fields, limits::groups::kNameBytesMax);
    if (fields.number() == 2) changes.description = text_of(fields, limits::groups::kDescriptionBytesMax);
    if (fields.number() == 3) changes.picture = bytes_of(fields, limits::groups::kPictureBytesMax);
    if (fields.number() == 4) changes.rights = inner(fields, fields.bytes(), read_rights);
  }
  if (fields.failed()) return no_such("change of a group", bytes);
  return changes;
}

Bytes write_members(const std::vector<UserId>& members) {
  RecordWriter out;
  for (const UserId& member : members) out.each(1, member);
  return out.take();
}

Bytes write_role(Role role) { return RecordWriter().u64(1, static_cast<std::uint64_t>(role)).take(); }

Bytes write_owner(const UserId& user_id) { return RecordWriter().bytes(1, user_id).take(); }

Bytes write_invitation(const Invitation& invitation) {
  return RecordWriter()
      .bytes(1, invitation.token)
      .u64(2, static_cast<std::uint64_t>(invitation.expires_at_ms))
      .u64(3, invitation.uses)
      .u64(4, invitation.approval ? 1 : 0)
      .take();
}

Bytes write_answer(bool accept) { return RecordWriter().u64(1, accept ? 1 : 0).take(); }

// ---- What is answered ----------------------------------------------------------------------------------------------

Result<Changed> read_changed(BytesView bytes) {
  RecordReader fields(bytes);
  Changed changed;
  while (fields.next()) {
    if (fields.number() == 1) changed.conversation_id = ConversationId{fields.fixed64()};
    if (fields.number() == 2) changed.seq = fields.u64();
    if (fields.number() == 3) changed.requested = fields.boolean();
  }
  if (fields.failed()) return no_such("change of a group", bytes);
  return changed;
}

Result<State> read_state(BytesView bytes) {
  RecordReader fields(bytes);
  State state;
  while (fields.next()) {
    switch (fields.number()) {
      case 1:
        state.info = inner(fields, fields.bytes(), read_info);
        break;
      case 2:
        state.conversation_id = ConversationId{fields.fixed64()};
        break;
      case 3:
        state.seq = fields.u64();
        break;
      case 4:
        state.members = fields.u32();
        break;
      case 5:
        state.role = role_of(fields.u64());
        break;
      default:
        break;
    }
  }
  if (fields.failed() || !state.info.id || !state.conversation_id) return no_such("group", bytes);
  return state;
}

Result<Members> read_members(BytesView bytes) {
  RecordReader fields(bytes);
  Members page;
  while (fields.next()) {
    if (fields.number() == 1) page.members.push_back(inner(fields, fields.repeated_bytes(), read_member));
    if (fields.number() == 2) page.seq = fields.u64();
    if (fields.number() == 3) page.more = fields.boolean();
  }
  const auto ascends = [](const Member& a, const Member& b) { return a.user_id >= b.user_id; };
  const bool in_order = std::adjacent_find(page.members.begin(), page.members.end(), ascends) == page.members.end();
  // A page that says nothing would be asked for again and again.
  if (fields.failed() || !in_order || (page.more && page.members.empty())) return no_such("page of members", bytes);
  return page;
}

Result<std::vector<Invitation>> read_invitations(BytesView bytes) {
  RecordReader fields(bytes);
  std::vector<Invitation> found;
  while (fields.next()) {
    if (fields.number() == 1) found.push_back(inner(fields, fields.repeated_bytes(), read_invitation));
  }
  if (fields.failed()) return no_such("list of invitations", bytes);
  return found;
}

Result<Preview> read_preview(BytesView bytes) {
  RecordReader fields(bytes);
  Preview preview;
  while (fields.next()) {
    switch (fields.number()) {
      case 1:
        preview.id = group_id_of(fields);
        break;
      case 2:
        preview.name = text_of(fields, limits::groups::kNameBytesMax);
        break;
      case 3:
        preview.description = text_of(fields, limits::groups::kDescriptionBytesMax);
        break;
      case 4:
        preview.picture = bytes_of(fields, limits::groups::kPictureBytesMax);
        break;
      case 5:
        preview.members = fields.u32();
        break;
      case 6:
        preview.approval = fields.boolean();
        break;
      case 7:
        preview.inviter = user_of(fields, fields.bytes());
        break;
      case 8:
        preview.member = fields.boolean();
        break;
      default:
        break;
    }
  }
  if (fields.failed() || !preview.id) return no_such("preview of a group", bytes);
  return preview;
}

Result<std::vector<JoinRequest>> read_requests(BytesView bytes) {
  RecordReader fields(bytes);
  std::vector<JoinRequest> found;
  while (fields.next()) {
    if (fields.number() == 1) found.push_back(inner(fields, fields.repeated_bytes(), read_request));
  }
  if (fields.failed()) return no_such("list of requests", bytes);
  return found;
}

}  // namespace chatsdk::group
