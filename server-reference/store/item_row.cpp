// SPDX-License-Identifier: Apache-2.0
#include "server-reference/store/item_row.h"

namespace chatsdk::server {

namespace {

// Wire types of the protobuf encoding.
enum WireType : std::uint32_t { kVarint = 0, kFixed64 = 1, kLengthDelimited = 2 };

// Tags, lengths and fixed fields of one item take at most 100 bytes beside its strings.
constexpr std::size_t kOverheadBytes = 100;

void put_varint(Bytes& out, std::uint64_t value) {
  while (value >= 0x80) {
    out.push_back(static_cast<char>(value | 0x80));
    value >>= 7;
  }
  out.push_back(static_cast<char>(value));
}

void put_tag(Bytes& out, int field, WireType type) { put_varint(out, (static_cast<std::uint32_t>(field) << 3) | type); }

// As in proto3, a field of its default value is not written.
void put_number(Bytes& out, int field, std::uint64_t value) {
  if (value == 0) return;
  put_tag(out, field, kVarint);
  put_varint(out, value);
}

void put_fixed(Bytes& out, int field, std::uint64_t value) {
  if (value == 0) return;
  put_tag(out, field, kFixed64);
  for (int shift = 0; shift < 64; shift += 8) out.push_back(static_cast<char>(value >> shift));
}

void put_bytes(Bytes& out, int field, std::string_view bytes) {
  put_tag(out, field, kLengthDelimited);
  put_varint(out, bytes.size());
  out.append(bytes);
}

void put_bytes_if_any(Bytes& out, int field, std::string_view bytes) {
  if (!bytes.empty()) put_bytes(out, field, bytes);
}

Seq repair_target(std::string_view payload) {
  Seq target = 0;
  for (std::size_t i = 0; i < payload.size() && i < 8; ++i) {
    target |= Seq{static_cast<unsigned char>(payload[i])} << (8 * i);
  }
  return target;
}

}  // namespace

Bytes repair_payload(Seq target) {
  Bytes out;
  for (int shift = 0; shift < 64; shift += 8) out.push_back(static_cast<char>(target >> shift));
  return out;
}

Bytes encode_item(const ItemRow& row) {
  Bytes out;
  out.reserve(kOverheadBytes + row.sender.size() + row.client_message_id.size() + row.payload.size() +
              row.slice.size());
  put_number(out, wire::Item::kSeqFieldNumber, row.seq);
  put_number(out, wire::Item::kKindFieldNumber, static_cast<std::uint64_t>(row.kind));
  put_fixed(out, wire::Item::kMessageIdFieldNumber, row.message_id.value);
  put_bytes_if_any(out, wire::Item::kSenderUserIdFieldNumber, row.sender);
  put_fixed(out, wire::Item::kSenderDeviceIdFieldNumber, row.sender_device.value);
  put_bytes_if_any(out, wire::Item::kClientMessageIdFieldNumber, row.client_message_id);
  put_number(out, wire::Item::kTimeMsFieldNumber, static_cast<std::uint64_t>(row.time_ms));
  switch (row.kind) {
    case wire::ITEM_KIND_MESSAGE:
      put_bytes_if_any(out, wire::Item::kContentFieldNumber, row.payload);
      break;
    // Messages, unlike bytes, tell empty from absent.
    case wire::ITEM_KIND_ROSTER:
      put_bytes(out, wire::Item::kRosterFieldNumber, row.payload);
      break;
    case wire::ITEM_KIND_CONVERSATION_ADDED:
      put_bytes(out, wire::Item::kConversationFieldNumber, row.payload);
      break;
    case wire::ITEM_KIND_CONVERSATION_LEFT:
      put_bytes(out, wire::Item::kLeftFieldNumber, row.payload);
      break;
    default:
      break;
  }
  put_bytes_if_any(out, wire::Item::kSliceFieldNumber, row.slice);
  if (row.kind == wire::ITEM_KIND_REPAIR)
    put_number(out, wire::Item::kTargetSeqFieldNumber, repair_target(row.payload));
  return out;
}

Bytes encode_skip(Seq seq, wire::SkipReason reason) {
  Bytes out;
  put_number(out, wire::Item::kSeqFieldNumber, seq);
  put_number(out, wire::Item::kKindFieldNumber, static_cast<std::uint64_t>(wire::ITEM_KIND_SKIP));
  put_number(out, wire::Item::kSkipReasonFieldNumber, static_cast<std::uint64_t>(reason));
  return out;
}

}  // namespace chatsdk::server
