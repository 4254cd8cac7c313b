// SPDX-License-Identifier: Apache-2.0
#include "e2ee/group_entry.h"

#include <algorithm>

#include "base/limits.h"

namespace chatsdk::e2ee {
namespace {

constexpr std::uint8_t kEntryVersion = 1;
constexpr std::size_t kEntryFieldsMax = 256 + limits::kUserIdBytesMax;  // all but the value
static_assert(std::variant_size_v<GroupChange> == 10);

GroupRole read_role(Reader& reader, GroupRole highest) {
  const std::uint8_t role = reader.u8();
  reader.require(role >= static_cast<std::uint8_t>(GroupRole::kMember) && role <= static_cast<std::uint8_t>(highest));
  return static_cast<GroupRole>(role);
}

// ---- Values, each written and read ---------------------------------------------------------------------------------

void write(Writer& /*writer*/, const CreateGroup& /*change*/) {}
void write(Writer& /*writer*/, const LeaveGroup& /*change*/) {}
void write(Writer& writer, const AddMembers& change) {
  writer.u8(static_cast<std::uint8_t>(change.source));
  if (change.source == AddSource::kInvitation) writer.raw(change.invitation);
  if (change.source != AddSource::kByHand) writer.raw(change.request_hash);
  std::vector<const GroupMember*> sorted;
  for (const GroupMember& person : change.people) sorted.push_back(&person);
  std::sort(sorted.begin(), sorted.end(),
            [](const GroupMember* a, const GroupMember* b) { return a->user_id < b->user_id; });
  writer.u8(static_cast<std::uint8_t>(sorted.size()));
  for (const GroupMember* person : sorted) {
    writer.user(person->user_id).u8(static_cast<std::uint8_t>(person->role)).key(person->account_key);
  }
}
void write(Writer& writer, const RemoveMember& change) { writer.user(change.user_id); }
void write(Writer& writer, const SetRole& change) {
  writer.user(change.user_id).u8(static_cast<std::uint8_t>(change.role));
}
void write(Writer& writer, const SetOwner& change) { writer.user(change.user_id); }
void write(Writer& writer, const SetInfo& change) { writer.raw(change.info_hash); }
void write(Writer& writer, const SetPermissions& change) { writer.raw(serialize(change.permissions)); }
void write(Writer& writer, const Invite& change) { writer.raw(change.id).u64(change.expires_ms).u32(change.uses); }
void write(Writer& writer, const RevokeInvitation& change) { writer.raw(change.id); }

AddMembers read_add(Reader& reader) {
  AddMembers change;
  const std::uint8_t source = reader.u8();
  reader.require(source <= static_cast<std::uint8_t>(AddSource::kRequest));
  change.source = static_cast<AddSource>(source);
  if (change.source == AddSource::kInvitation) change.invitation = reader.fixed<InvitationId>();
  if (change.source != AddSource::kByHand) change.request_hash = reader.fixed<Hash>();
  const std::size_t count = reader.u8();
  reader.require(count >= 1 && count <= limits::e2ee::kEntryPeopleMax);
  for (std::size_t i = 0; i < count && !reader.failed(); ++i) {
    GroupMember person;
    person.user_id = reader.user();
    // An owner is named where their group goes on for them.
    person.role = read_role(reader, GroupRole::kOwner);
    person.account_key = reader.signing_key();
    reader.require(change.people.empty() || change.people.back().user_id < person.user_id);
    change.people.push_back(std::move(person));
  }
  const bool is_asked_for = change.source != AddSource::kByHand;
  reader.require(!is_asked_for || (change.people.size() == 1 && change.people.front().role == GroupRole::kMember));
  return change;
}

SetPermissions read_permissions(Reader& reader) {
  const auto permissions = parse_group_permissions(reader.raw(kGroupRights));
  reader.require(permissions.has_value());
  return {permissions.value_or(GroupPermissions{})};
}

InvitationId read_invitation_id(Reader& reader) {
  const auto id = reader.fixed<InvitationId>();
  reader.require(id != InvitationId{});
  return id;
}

Invite read_invite(Reader& reader) {
  Invite change;
  change.id = read_invitation_id(reader);
  change.expires_ms = reader.u64();
  change.uses = reader.u32();
  reader.require(change.uses != 0);
  return change;
}

SetRole read_set_role(Reader& reader) {
  SetRole change;
  change.user_id = reader.user();
  change.role = read_role(reader, GroupRole::kAdmin);
  return change;
}

std::optional<GroupChange> read_change(std::uint8_t operation, Reader& reader) {
  switch (operation) {
    case 1:
      return CreateGroup{};
    case 2:
      return read_add(reader);
    case 3:
      return RemoveMember{reader.user()};
    case 4:
      return LeaveGroup{};
    case 5:
      return read_set_role(reader);
    case 6:
      return SetOwner{reader.user()};
    case 7:
      return SetInfo{reader.fixed<Hash>()};
    case 8:
      return read_permissions(reader);
    case 9:
      return read_invite(reader);
    case 10:
      return RevokeInvitation{read_invitation_id(reader)};
    default:
      return std::nullopt;
  }
}

}  // namespace

std::optional<GroupChange> parse_group_change(std::uint8_t operation, BytesView value) {
  if (value.size() > limits::e2ee::kEntryValueMax) return std::nullopt;
  Reader reader(value);
  auto change = read_change(operation, reader);
  if (!reader.finished()) return std::nullopt;
  return change;
}

Bytes sign_group_entry(const GroupEntry& entry, const SigningSeed& signing_seed) {
  Writer value;
  std::visit([&value](const auto& change) { write(value, change); }, entry.change);
  Writer writer(kEntryFieldsMax + value.view().size());
  writer.u8(kEntryVersion).raw(entry.group_id.view()).u64(entry.number).raw(entry.previous);
  writer.u8(static_cast<std::uint8_t>(entry.change.index() + 1)).user(entry.actor).u64(entry.actors_device.value);
  writer.u64(entry.time_ms).lp(value.view()).raw(entry.state_hash);
  writer.raw(sign(signing_seed, label::kSigGroupEntry, writer.view()));
  return writer.take();
}

std::optional<GroupEntry> parse_group_entry(BytesView bytes) {
  Reader reader(bytes);
  GroupEntry entry;
  reader.expect_u8(kEntryVersion);
  entry.group_id = reader.group_id();
  entry.number = reader.u64();
  entry.previous = reader.fixed<Hash>();
  const std::uint8_t operation = reader.u8();
  entry.actor = reader.user();
  entry.actors_device = DeviceId{reader.id()};
  entry.time_ms = reader.u64();
  const BytesView value = reader.lp(0, limits::e2ee::kEntryValueMax);
  entry.state_hash = reader.fixed<Hash>();
  reader.raw(Signature::size());
  // Only the first entry creates, and nothing comes before it.
  reader.require(entry.number != 0 && (entry.number == 1) == (operation == 1) &&
                 (entry.number != 1 || entry.previous == Hash{}));
  if (!reader.finished()) return std::nullopt;
  auto change = parse_group_change(operation, value);
  if (!change) return std::nullopt;
  entry.change = std::move(*change);
  return entry;
}

bool is_signed_by(BytesView bytes, const SigningKey& signing_key) {
  if (bytes.size() < Signature::size()) return false;
  const std::size_t signed_bytes = bytes.size() - Signature::size();
  const auto signature = Signature::from(bytes.substr(signed_bytes));
  return verify(signing_key, label::kSigGroupEntry, bytes.substr(0, signed_bytes), signature);
}

Hash group_entry_hash(BytesView bytes) { return hash(label::kHashGroupEntry, {bytes}); }

}  // namespace chatsdk::e2ee
