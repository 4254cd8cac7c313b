// SPDX-License-Identifier: Apache-2.0
//
// WebSocket framing as a client sends it. The first byte chooses the message limit and how the stream is cut into
// reads; the events must not depend on the cuts.
//
// Threads: one.
#include "server-reference/gateway/ws_codec.h"

#include <vector>

#include "fuzz/fuzz.h"

namespace {

using namespace chatsdk;
using namespace chatsdk::server;

struct Seen {
  WsReader::Kind kind;
  Bytes payload;
  CloseCode code;
  bool operator==(const Seen&) const = default;
};

std::vector<Seen> read_all(BytesView stream, std::size_t message_bytes_max, std::size_t read_bytes) {
  WsReader reader(message_bytes_max);
  std::vector<Seen> seen;
  while (!stream.empty()) {
    const std::size_t count = std::min(read_bytes, stream.size());
    std::vector<char> piece(stream.begin(), stream.begin() + static_cast<std::ptrdiff_t>(count));
    stream.remove_prefix(count);
    std::span<char> rest(piece);
    for (;;) {
      const WsReader::Event event = reader.next(rest);
      if (event.kind == WsReader::Kind::kNeedMore) {
        CHATSDK_ASSERT(rest.empty());
        break;
      }
      if (event.kind == WsReader::Kind::kMessage) CHATSDK_ASSERT(event.payload.size() <= message_bytes_max);
      if (event.kind == WsReader::Kind::kPing) {
        CHATSDK_ASSERT(event.payload.size() <= 125);
        CHATSDK_ASSERT(encode_ws_pong(event.payload).size() == event.payload.size() + 2);
      }
      const bool last = event.kind == WsReader::Kind::kClose || event.kind == WsReader::Kind::kViolation;
      if (last) encode_ws_close(event.code);
      seen.push_back({event.kind, last ? Bytes() : Bytes(event.payload), event.code});
      if (last) return seen;
    }
  }
  return seen;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Reader input(fuzz::view(data, size));
  const std::uint8_t choice = input.byte();
  const std::size_t message_bytes_max = (choice & 0x80) != 0 ? 200 : 70'000;
  const BytesView stream = input.rest();
  const auto whole = read_all(stream, message_bytes_max, stream.size());
  CHATSDK_ASSERT(read_all(stream, message_bytes_max, 1 + (choice & 0x7FU)) == whole);
  ws_accept_value(stream.substr(0, 64));
  return 0;
}
