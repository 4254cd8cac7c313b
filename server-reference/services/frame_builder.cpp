// SPDX-License-Identifier: Apache-2.0
#include "server-reference/services/frame_builder.h"

#include <utility>

namespace chatsdk::server {

namespace {

// Protobuf's encoding: a key is (field << 3 | wire type), then the value.
enum WireType : unsigned { kVarint = 0, kFixed64 = 1, kLengthDelimited = 2 };

constexpr std::uint64_t key(int field, WireType type) {
  return (static_cast<std::uint64_t>(field) << 3) | static_cast<std::uint64_t>(type);
}

constexpr std::size_t varint_bytes(std::uint64_t value) {
  std::size_t bytes = 1;
  for (; value >= 0x80; value >>= 7) ++bytes;
  return bytes;
}

void append_varint(Bytes& out, std::uint64_t value) {
  for (; value >= 0x80; value >>= 7) out.push_back(static_cast<char>((value & 0x7F) | 0x80));
  out.push_back(static_cast<char>(value));
}

void append_fixed64(Bytes& out, std::uint64_t value) {
  for (int shift = 0; shift < 64; shift += 8) out.push_back(static_cast<char>((value >> shift) & 0xFF));
}

}  // namespace

SharedFrame items_frame(StreamId stream, wire::StreamKind kind, Seq after_seq,
                        std::span<const std::shared_ptr<const Bytes>> items) {
  constexpr std::uint64_t kStream = key(wire::Items::kStreamIdFieldNumber, kFixed64);
  constexpr std::uint64_t kKind = key(wire::Items::kStreamKindFieldNumber, kVarint);
  constexpr std::uint64_t kAfter = key(wire::Items::kAfterSeqFieldNumber, kVarint);
  constexpr std::uint64_t kItem = key(wire::Items::kItemsFieldNumber, kLengthDelimited);
  constexpr std::uint64_t kBody = key(wire::ServerFrame::kItemsFieldNumber, kLengthDelimited);
  static_assert(kStream < 0x80 && kKind < 0x80 && kAfter < 0x80 && kItem < 0x80 && kBody < 0x80, "one-byte keys");

  std::size_t body_bytes = 1 + 8 + 1 + varint_bytes(static_cast<std::uint64_t>(kind)) + 1 + varint_bytes(after_seq);
  for (const auto& item : items) body_bytes += 1 + varint_bytes(item->size()) + item->size();

  auto frame = std::make_shared<Bytes>();
  frame->reserve(1 + varint_bytes(body_bytes) + body_bytes);
  append_varint(*frame, kBody);
  append_varint(*frame, body_bytes);
  append_varint(*frame, kStream);
  append_fixed64(*frame, stream.value);
  append_varint(*frame, kKind);
  append_varint(*frame, static_cast<std::uint64_t>(kind));
  append_varint(*frame, kAfter);
  append_varint(*frame, after_seq);
  for (const auto& item : items) {
    append_varint(*frame, kItem);
    append_varint(*frame, item->size());
    frame->append(*item);
  }
  return frame;
}

SharedFrame skip_frame(StreamId stream, wire::StreamKind kind, Seq seq, wire::SkipReason reason) {
  wire::ServerFrame frame;
  wire::Items& items = *frame.mutable_items();
  items.set_stream_id(stream.value);
  items.set_stream_kind(kind);
  items.set_after_seq(seq - 1);
  wire::Item& skip = *items.add_items();
  skip.set_seq(seq);
  skip.set_kind(wire::ITEM_KIND_SKIP);
  skip.set_skip_reason(reason);
  return std::make_shared<const Bytes>(encode(frame));
}

SharedFrame marks_frame(ConversationId conversation, std::uint64_t after_revision, std::uint64_t revision,
                        std::span<const MarkAdvance> advances) {
  wire::ServerFrame frame;
  wire::Marks& marks = *frame.mutable_marks();
  marks.set_conversation_id(conversation.value);
  marks.set_after_revision(after_revision);
  marks.set_revision(revision);
  for (const MarkAdvance& advance : advances) {
    wire::Marks::Advance& out = *marks.add_advances();
    out.set_user_id(advance.user_id);
    out.set_kind(advance.kind);
    out.set_up_to(advance.up_to);
    out.set_time_ms(to_unix_ms(advance.at));
  }
  return std::make_shared<const Bytes>(encode(frame));
}

SharedFrame key_counts_frame(const KeyCounts& counts) {
  wire::ServerFrame frame;
  set_key_counts(*frame.mutable_key_counts(), counts);
  return std::make_shared<const Bytes>(encode(frame));
}

void set_key_counts(wire::KeyCounts& out, const KeyCounts& counts) {
  out.set_one_time(counts.one_time);
  out.set_one_time_kem(counts.one_time_kem);
}

}  // namespace chatsdk::server
