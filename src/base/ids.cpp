// SPDX-License-Identifier: Apache-2.0
#include "base/ids.h"

#include <algorithm>
#include <cstring>

namespace chatsdk {

namespace {

constexpr std::int64_t kIdEpochUnixMs = 1'704'067'200'000;  // 2024-01-01T00:00:00Z
constexpr std::uint32_t kCountPerTick = 4096;
// Of 2093: a clock that is set beyond it neither turns ids back nor makes them negative in a signed column.
constexpr std::int64_t kTicksMax = (std::int64_t{1} << 41) - 1;

}  // namespace

ClientMessageId ClientMessageId::make(WallTime now, Random& random) {
  ClientMessageId id;
  random.fill(id.bytes);
  const auto ms = static_cast<std::uint64_t>(to_unix_ms(now));
  for (int i = 0; i < 6; ++i) id.bytes[static_cast<std::size_t>(i)] = static_cast<unsigned char>(ms >> (40 - 8 * i));
  id.bytes[6] = static_cast<unsigned char>((id.bytes[6] & 0x0F) | 0x70);
  id.bytes[8] = static_cast<unsigned char>((id.bytes[8] & 0x3F) | 0x80);
  return id;
}

std::optional<ClientMessageId> ClientMessageId::from_bytes(std::string_view bytes) {
  ClientMessageId id;
  if (bytes.size() != id.bytes.size()) return std::nullopt;
  std::memcpy(id.bytes.data(), bytes.data(), bytes.size());
  return id;
}

GroupId GroupId::from(std::string_view bytes) {
  GroupId id;
  for (std::size_t i = 0; i < id.bytes.size() && i < bytes.size(); ++i)
    id.bytes[i] = static_cast<unsigned char>(bytes[i]);
  return id;
}

MessageId MessageIdMaker::make(WallTime now) {
  const auto ticks =
      static_cast<std::uint64_t>(std::clamp<std::int64_t>(to_unix_ms(now) - kIdEpochUnixMs, 1, kTicksMax));
  if (ticks > last_ticks_) {
    last_ticks_ = ticks;
    next_count_ = 0;
  } else if (next_count_ == kCountPerTick) {
    ++last_ticks_;
    next_count_ = 0;
  }
  return MessageId{(last_ticks_ << 22) | (std::uint64_t{node_} << 12) | next_count_++};
}

WallTime MessageIdMaker::time_of(MessageId id) {
  return from_unix_ms(static_cast<std::int64_t>(id.value >> 22) + kIdEpochUnixMs);
}

}  // namespace chatsdk
