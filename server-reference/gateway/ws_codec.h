// SPDX-License-Identifier: Apache-2.0
//
// The server's side of RFC 6455 framing, as a pure function of bytes: a reader that gives whole messages, and frame
// headers for what is sent. It knows neither socket nor time, and allocates only for a message that comes in pieces.
//
// libwebsockets' own parser is not used: 4.1.6 accepts unmasked frames from clients, which RFC 6455 section 5.1 tells a
// server to refuse, and hands over at most one small buffer a read.
//
//      0               1               2               3
//     +-+-+-+-+-------+-+-------------+-------------------------------+
//     |F|R|R|R| opcode|M| length (7)  | extended length (16 or 64)    |
//     |I|S|S|S|  (4)  | |             | if length is 126 or 127       |
//     +-+-+-+-+-------+-+-------------+-------------------------------+
//     | masking key (32), only from client to server  | payload       |
//     +-----------------------------------------------+---------------+
//
// Threads: one owner.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "base/bytes.h"
#include "protocol/frames.h"

namespace chatsdk::server {

// Reads what a client sends.
// Invariants:
//   1. After kViolation or kClose it is not asked again.
//   2. It holds at most message_bytes_max bytes of a message, and only bytes that came.
class WsReader {
 public:
  enum class Kind {
    kNeedMore,  // the input is used up
    kMessage,   // a whole binary message
    kPing,      // to be answered with the same payload
    kPong,
    kClose,      // code: the peer's, kNone when it gave none
    kViolation,  // code: what the connection is closed with; reason: why
  };
  struct Event {
    Kind kind = Kind::kNeedMore;
    BytesView payload;  // valid until the next call
    CloseCode code = CloseCode::kNone;
    const char* reason = "";
  };

  explicit WsReader(std::size_t message_bytes_max) : message_bytes_max_(message_bytes_max) {}

  // Takes bytes from the front of input until there is an event. Unmasks inside input.
  Event next(std::span<char>& input);
  // From the next frame on.
  void set_message_bytes_max(std::size_t bytes) { message_bytes_max_ = bytes; }
  // Of messages and control frames that came in part.
  std::size_t held_bytes() const { return message_.size() + control_.size(); }
  // Frames begun so far, fragments and control frames included.
  std::uint64_t frames() const { return frames_; }

 private:
  static constexpr std::size_t kHeaderBytesMax = 14;

  void drop_handed_out();
  Event take_header(std::span<char>& input);
  Event check_first_two() const;
  Event begin_payload();
  Event take_payload(std::span<char>& input);
  Event end_of_frame(BytesView last_part);
  Event end_of_control(BytesView payload);
  Event close_event(BytesView payload) const;
  bool is_control() const { return (header_[0] & 0x08) != 0; }
  bool is_final() const { return (header_[0] & 0x80) != 0; }
  std::size_t header_bytes() const;

  std::size_t message_bytes_max_;
  std::uint64_t frames_ = 0;
  std::uint64_t remaining_ = 0;  // of the frame's payload
  std::string message_;          // of a message that comes in pieces
  std::string control_;          // of a control frame that comes in pieces
  std::array<unsigned char, kHeaderBytesMax> header_{};
  std::uint8_t header_count_ = 0;
  std::uint8_t mask_offset_ = 0;
  bool in_payload_ = false;            // the header is complete
  bool in_message_ = false;            // a first fragment came, its last did not
  Kind handed_out_ = Kind::kNeedMore;  // whose buffer the last event's payload may point to
};

inline constexpr std::size_t kWsServerHeaderBytesMax = 10;

// The header of an unmasked, final binary frame; returns its length.
std::size_t encode_ws_header(std::size_t payload_bytes, char (&out)[kWsServerHeaderBytesMax]);
constexpr std::size_t ws_header_bytes(std::size_t payload_bytes) {
  return payload_bytes < 126 ? 2 : payload_bytes <= 0xFFFF ? 4 : 10;
}
// Whole control frames. kNone gives a close frame without a code.
Bytes encode_ws_pong(BytesView payload);
Bytes encode_ws_close(CloseCode code);

// The value of Sec-WebSocket-Accept (RFC 6455 section 4.2.2).
std::string ws_accept_value(std::string_view key);

}  // namespace chatsdk::server
