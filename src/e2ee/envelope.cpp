// SPDX-License-Identifier: Apache-2.0
#include "e2ee/envelope.h"

#include <utility>

#include "base/assert.h"
#include "base/limits.h"
#include "e2ee/padding.h"

namespace chatsdk::e2ee {
namespace {

constexpr std::uint8_t kEnvelopeVersion = 1;
constexpr std::uint8_t kBindingUsers = 1;
constexpr std::uint8_t kBindingGroup = 2;
constexpr std::size_t kFieldsBytesMax = 64 + 2 * limits::kUserIdBytesMax;  // all but the body

void write(Writer& writer, const DirectBinding& users) {
  CHATSDK_ASSERT(users.lower < users.higher);
  writer.u8(kBindingUsers).user(users.lower).user(users.higher);
}

void write(Writer& writer, const GroupId& group) {
  CHATSDK_ASSERT(group);
  writer.u8(kBindingGroup).raw(group.view());
}

Binding read_binding(Reader& reader) {
  const std::uint8_t kind = reader.u8();
  if (kind == kBindingUsers) {
    DirectBinding users;
    users.lower = reader.user();
    users.higher = reader.user();
    reader.require(users.lower < users.higher);
    return users;
  }
  reader.require(kind == kBindingGroup);
  return reader.group_id();
}

BodyType read_body_type(Reader& reader) {
  const std::uint8_t value = reader.u8();
  reader.require(value >= static_cast<std::uint8_t>(BodyType::kContent) &&
                 value <= static_cast<std::uint8_t>(BodyType::kInfoKey));
  return static_cast<BodyType>(value);
}

ClientMessageId read_message_id(Reader& reader) {
  return ClientMessageId::from_bytes(reader.raw(limits::kClientMessageIdBytes)).value_or(ClientMessageId{});
}

}  // namespace

DirectBinding DirectBinding::of(UserId one, UserId other) {
  if (other < one) std::swap(one, other);
  return {std::move(one), std::move(other)};
}

Bytes serialize(const Envelope& envelope) {
  Writer writer(kFieldsBytesMax + envelope.body.size());
  writer.u8(kEnvelopeVersion).u8(static_cast<std::uint8_t>(envelope.body_type)).raw(envelope.client_message_id.view());
  std::visit([&writer](const auto& binding) { write(writer, binding); }, envelope.binding);
  writer.u64(envelope.sender_time_ms).u32(envelope.expires_after_s).lp(envelope.body);
  return writer.take();
}

std::optional<Envelope> parse_padded_envelope(BytesView padded) {
  Reader reader(padded);
  Envelope envelope;
  reader.expect_u8(kEnvelopeVersion);
  envelope.body_type = read_body_type(reader);
  envelope.client_message_id = read_message_id(reader);
  envelope.binding = read_binding(reader);
  envelope.sender_time_ms = reader.u64();
  envelope.expires_after_s = reader.u32();
  envelope.body = reader.lp(0, limits::e2ee::kPaddedMax);
  if (reader.failed() || !is_padded(padded, reader.position())) return std::nullopt;
  return envelope;
}

Bytes serialize(const RepairBody& body) {
  Writer writer(28 + body.content.size());
  writer.u64(body.target_seq).raw(body.target_id.view()).lp(body.content);
  return writer.take();
}

std::optional<RepairBody> parse_repair_body(BytesView bytes) {
  Reader reader(bytes);
  RepairBody body;
  body.target_seq = reader.u64();
  body.target_id = read_message_id(reader);
  body.content = reader.lp(0, limits::e2ee::kPaddedMax);
  if (!reader.finished()) return std::nullopt;
  return body;
}

Bytes serialize(const RetryBody& body) {
  Writer writer(32);
  writer.u64(body.target_seq).raw(body.target_id.view()).raw(body.failed_session);
  return writer.take();
}

std::optional<RetryBody> parse_retry_body(BytesView bytes) {
  Reader reader(bytes);
  RetryBody body;
  body.target_seq = reader.u64();
  body.target_id = read_message_id(reader);
  body.failed_session = reader.fixed<SessionId>();
  if (!reader.finished()) return std::nullopt;
  return body;
}

}  // namespace chatsdk::e2ee
