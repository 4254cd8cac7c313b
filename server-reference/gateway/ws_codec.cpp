// SPDX-License-Identifier: Apache-2.0
#include "server-reference/gateway/ws_codec.h"

#include <openssl/evp.h>

#include <algorithm>
#include <cstring>

namespace chatsdk::server {

namespace {

constexpr unsigned char kContinuation = 0x0;
constexpr unsigned char kText = 0x1;
constexpr unsigned char kBinary = 0x2;
constexpr unsigned char kClose = 0x8;
constexpr unsigned char kPing = 0x9;
constexpr unsigned char kPong = 0xA;
constexpr unsigned char kFinal = 0x80;
constexpr unsigned char kMasked = 0x80;
constexpr std::size_t kControlBytesMax = 125;
// A message buffer above this is freed with its message, so that an idle connection holds none.
constexpr std::size_t kBufferKeptBytes = 64;

WsReader::Event violation(CloseCode code, const char* reason) { return {WsReader::Kind::kViolation, {}, code, reason}; }

// offset is where in the key the first byte stands.
void unmask(std::span<char> bytes, const unsigned char* key, std::uint8_t offset) {
  unsigned char turned[8];
  for (std::size_t i = 0; i < 8; ++i) turned[i] = key[(offset + i) & 3];
  std::uint64_t pattern = 0;
  std::memcpy(&pattern, turned, 8);
  std::size_t i = 0;
  for (; i + 8 <= bytes.size(); i += 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, bytes.data() + i, 8);
    word ^= pattern;
    std::memcpy(bytes.data() + i, &word, 8);
  }
  for (; i < bytes.size(); ++i) bytes[i] = static_cast<char>(static_cast<unsigned char>(bytes[i]) ^ turned[i & 7]);
}

// Codes that may stand in a close frame: RFC 6455 section 7.4.
bool may_be_sent(unsigned code) {
  return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) || (code >= 3000 && code <= 4999);
}

}  // namespace

std::size_t WsReader::header_bytes() const {
  const unsigned length = header_[1] & 0x7F;
  return 2 + (length == 126 ? 2U : length == 127 ? 8U : 0U) + 4;
}

WsReader::Event WsReader::next(std::span<char>& input) {
  drop_handed_out();
  for (;;) {
    if (!in_payload_) {
      const Event event = take_header(input);
      if (!in_payload_) return event;
    }
    const Event event = take_payload(input);
    if (event.kind != Kind::kNeedMore || in_payload_) return event;
  }
}

void WsReader::drop_handed_out() {
  std::string* buffer = handed_out_ == Kind::kMessage ? &message_ : handed_out_ == Kind::kPing ? &control_ : nullptr;
  handed_out_ = Kind::kNeedMore;
  if (buffer == nullptr) return;
  if (buffer->capacity() > kBufferKeptBytes) *buffer = std::string();
  buffer->clear();
}

WsReader::Event WsReader::take_header(std::span<char>& input) {
  while (!input.empty()) {
    header_[header_count_++] = static_cast<unsigned char>(input.front());
    input = input.subspan(1);
    if (header_count_ == 2) {
      const Event event = check_first_two();
      if (event.kind == Kind::kViolation) return event;
    }
    if (header_count_ >= 2 && header_count_ == header_bytes()) return begin_payload();
  }
  return {};
}

WsReader::Event WsReader::check_first_two() const {
  const auto protocol_error = [](const char* reason) { return violation(CloseCode::kProtocolError, reason); };
  const unsigned char opcode = header_[0] & 0x0F;
  if ((header_[0] & 0x70) != 0) return protocol_error("reserved bits are set");
  if ((header_[1] & kMasked) == 0) return protocol_error("a client's frame is not masked");
  if (is_control()) {
    if (opcode != kClose && opcode != kPing && opcode != kPong) return protocol_error("unknown opcode");
    if (!is_final()) return protocol_error("a control frame is fragmented");
    if ((header_[1] & 0x7F) > kControlBytesMax) return protocol_error("a control frame is too long");
    return {};
  }
  switch (opcode) {
    case kContinuation:
      return in_message_ ? Event{} : protocol_error("a continuation continues nothing");
    case kText:
      return violation(CloseCode::kUnsupportedData, "a text message");
    case kBinary:
      return in_message_ ? protocol_error("a message begins inside another") : Event{};
    default:
      return protocol_error("unknown opcode");
  }
}

WsReader::Event WsReader::begin_payload() {
  ++frames_;
  const unsigned short_length = header_[1] & 0x7F;
  std::uint64_t length = short_length;
  if (short_length >= 126) {
    length = 0;
    for (std::size_t i = 2; i < header_bytes() - 4; ++i) length = (length << 8) | header_[i];
    const std::uint64_t least = short_length == 126 ? 126 : 0x10000;
    if (length < least || (length >> 63) != 0) return violation(CloseCode::kProtocolError, "a bad length");
  }
  if (!is_control() && length > message_bytes_max_ - std::min(message_bytes_max_, message_.size())) {
    return violation(CloseCode::kTooBig, "a message over the limit");
  }
  remaining_ = length;
  mask_offset_ = 0;
  in_payload_ = true;
  return {};
}

WsReader::Event WsReader::take_payload(std::span<char>& input) {
  const auto count = static_cast<std::size_t>(std::min<std::uint64_t>(remaining_, input.size()));
  const std::span<char> part = input.first(count);
  input = input.subspan(count);
  unmask(part, header_.data() + header_bytes() - 4, mask_offset_);
  mask_offset_ = static_cast<std::uint8_t>((mask_offset_ + count) & 3);
  remaining_ -= count;

  const BytesView bytes(part.data(), part.size());
  if (remaining_ > 0) {
    (is_control() ? control_ : message_).append(bytes);
    return {};
  }
  in_payload_ = false;
  header_count_ = 0;
  return end_of_frame(bytes);
}

WsReader::Event WsReader::end_of_frame(BytesView last_part) {
  if (is_control()) {
    handed_out_ = Kind::kPing;
    if (control_.empty()) return end_of_control(last_part);
    control_.append(last_part);
    return end_of_control(control_);
  }
  if (!is_final()) {
    message_.append(last_part);
    in_message_ = true;
    return {};
  }
  in_message_ = false;
  handed_out_ = Kind::kMessage;
  if (message_.empty()) return {Kind::kMessage, last_part, CloseCode::kNone, ""};
  message_.append(last_part);
  return {Kind::kMessage, message_, CloseCode::kNone, ""};
}

WsReader::Event WsReader::end_of_control(BytesView payload) {
  switch (header_[0] & 0x0F) {
    case kPing:
      return {Kind::kPing, payload, CloseCode::kNone, ""};
    case kPong:
      return {Kind::kPong, payload, CloseCode::kNone, ""};
    default:
      return close_event(payload);
  }
}

WsReader::Event WsReader::close_event(BytesView payload) const {
  if (payload.empty()) return {Kind::kClose, {}, CloseCode::kNone, ""};
  if (payload.size() == 1) return violation(CloseCode::kProtocolError, "half a close code");
  const unsigned code =
      (static_cast<unsigned>(static_cast<unsigned char>(payload[0])) << 8) | static_cast<unsigned char>(payload[1]);
  if (!may_be_sent(code)) return violation(CloseCode::kProtocolError, "a close code that may not be sent");
  if (!is_utf8(payload.substr(2))) return violation(CloseCode::kInvalidPayload, "a close reason that is not UTF-8");
  return {Kind::kClose, payload.substr(2), static_cast<CloseCode>(code), ""};
}

std::size_t encode_ws_header(std::size_t payload_bytes, char (&out)[kWsServerHeaderBytesMax]) {
  out[0] = static_cast<char>(kFinal | kBinary);
  const std::size_t count = ws_header_bytes(payload_bytes);
  out[1] = static_cast<char>(count == 2 ? payload_bytes : count == 4 ? 126U : 127U);
  for (std::size_t i = 2; i < count; ++i) {
    out[i] = static_cast<char>((static_cast<std::uint64_t>(payload_bytes) >> (8 * (count - 1 - i))) & 0xFF);
  }
  return count;
}

Bytes encode_ws_pong(BytesView payload) {
  Bytes frame;
  frame.push_back(static_cast<char>(kFinal | kPong));
  frame.push_back(static_cast<char>(payload.size()));
  return frame.append(payload);
}

Bytes encode_ws_close(CloseCode code) {
  Bytes frame;
  frame.push_back(static_cast<char>(kFinal | kClose));
  if (code == CloseCode::kNone) return frame.append(1, '\0');
  const auto number = static_cast<unsigned>(code);
  frame.push_back(2);
  frame.push_back(static_cast<char>(number >> 8));
  frame.push_back(static_cast<char>(number & 0xFF));
  return frame;
}

std::string ws_accept_value(std::string_view key) {
  std::string text(key);
  text += "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned digest_bytes = 0;
  EVP_Digest(text.data(), text.size(), digest, &digest_bytes, EVP_sha1(), nullptr);
  unsigned char encoded[32];
  const int count = EVP_EncodeBlock(encoded, digest, static_cast<int>(digest_bytes));
  return std::string(encoded, encoded + count);
}

}  // namespace chatsdk::server
