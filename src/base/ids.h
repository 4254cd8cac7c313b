// SPDX-License-Identifier: Apache-2.0
//
// The identifiers of the domain, each its own type, so that they cannot be swapped.
//
// Threads: values.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/random.h"

namespace chatsdk {

// A 64-bit identifier. 0 means none.
template <typename Tag>
struct Id64 {
  std::uint64_t value = 0;

  explicit operator bool() const { return value != 0; }
  friend auto operator<=>(const Id64&, const Id64&) = default;
};

using DeviceId = Id64<struct DeviceTag>;    // given by the server
using MessageId = Id64<struct MessageTag>;  // given by the server, sortable by time
// A conversation stream or an account stream, given by the server; a conversation's id is its stream's id.
using StreamId = Id64<struct StreamTag>;
using ConversationId = StreamId;

// The position of an item in its stream: dense from 1; 0 is before the first.
using Seq = std::uint64_t;

// UTF-8 text of 1 to limits::kUserIdBytesMax bytes.
using UserId = std::string;

// 128 bits, made by the sender before the message is stored and used unchanged by every retry. UUIDv7 (RFC 9562
// section 5.7) unless the app gives its own.
struct ClientMessageId {
  std::array<unsigned char, 16> bytes{};

  static ClientMessageId make(WallTime now, Random& random);
  static std::optional<ClientMessageId> from_bytes(std::string_view bytes);
  std::string_view view() const { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }
  friend auto operator<=>(const ClientMessageId&, const ClientMessageId&) = default;
};

// 128 bits, made by who creates a group: it is known by them before the server has seen it, and after its store was put
// back.
struct GroupId {
  std::array<unsigned char, 16> bytes{};

  static constexpr std::size_t size() { return 16; }
  // The caller checked the size; what is missing would be zeros.
  static GroupId from(std::string_view bytes);
  std::string_view view() const { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }
  explicit operator bool() const { return *this != GroupId{}; }
  friend auto operator<=>(const GroupId&, const GroupId&) = default;
};

// Makes message ids: 41 bits of milliseconds since 2024-01-01, 10 bits of node, 12 bits of count. Ids of one maker
// only grow, also when the wall clock steps back or more than 4,096 are made in a millisecond: it then runs ahead.
class MessageIdMaker {
 public:
  // node < 1024. last is the greatest id that this node ever gave out and had stored, or none.
  MessageIdMaker(std::uint32_t node, MessageId last) : node_(node), last_ticks_(last.value >> 22) {}
  MessageId make(WallTime now);
  // At least every id made so far: what the next maker of this node starts from.
  MessageId last() const { return MessageId{(last_ticks_ << 22) | (std::uint64_t{node_} << 12) | 0xFFF}; }

  static WallTime time_of(MessageId id);

 private:
  std::uint32_t node_;
  std::uint64_t last_ticks_;  // milliseconds since the id epoch
  std::uint32_t next_count_ = 4096;
};

}  // namespace chatsdk

template <typename Tag>
struct std::hash<chatsdk::Id64<Tag>> {
  std::size_t operator()(const chatsdk::Id64<Tag>& id) const noexcept { return std::hash<std::uint64_t>{}(id.value); }
};

template <>
struct std::hash<chatsdk::ClientMessageId> {
  std::size_t operator()(const chatsdk::ClientMessageId& id) const noexcept {
    return std::hash<std::string_view>{}(id.view());
  }
};
