// SPDX-License-Identifier: Apache-2.0
#include "protocol/frames.h"

#include <sodium.h>

#include <algorithm>
#include <array>
#include <limits>

#include "base/assert.h"
#include "base/limits.h"
#include "protocol/content.h"

namespace chatsdk {

namespace {

template <typename Frame>
Bytes encode_frame(const Frame& frame) {
  Bytes bytes;
  const bool encoded = frame.SerializeToString(&bytes);
  CHATSDK_ASSERT(encoded);
  return bytes;
}

template <typename Frame>
Result<Frame> decode_frame(BytesView bytes) {
  Frame frame;
  if (bytes.size() > static_cast<std::size_t>(std::numeric_limits<int>::max()) ||
      !frame.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return error(Code::kMalformed, "frame of " + std::to_string(bytes.size()) + " B is not a valid protobuf message");
  }
  return frame;
}

}  // namespace

CloseCode close_code_for(Code code) {
  switch (code) {
    case Code::kMalformed:
    case Code::kInvalidUtf8:
      return CloseCode::kInvalidPayload;
    case Code::kProtocol:
      return CloseCode::kProtocolError;
    case Code::kTooLarge:
      return CloseCode::kTooBig;
    case Code::kUnauthenticated:
      return CloseCode::kUnauthenticated;
    case Code::kReplaced:
      return CloseCode::kReplaced;
    case Code::kRolledBack:
      return CloseCode::kRolledBack;
    case Code::kTimedOut:
      return CloseCode::kStalled;
    case Code::kRateLimited:
    case Code::kUnavailable:
    case Code::kStorageFull:
      return CloseCode::kTryAgainLater;
    case Code::kServer:
    case Code::kStorage:
    case Code::kInternal:
      return CloseCode::kServerError;
    default:
      return CloseCode::kPolicy;
  }
}

Bytes encode(const wire::ClientFrame& frame) { return encode_frame(frame); }
Bytes encode(const wire::ServerFrame& frame) { return encode_frame(frame); }
Result<wire::ClientFrame> decode_client_frame(BytesView bytes) { return decode_frame<wire::ClientFrame>(bytes); }
Result<wire::ServerFrame> decode_server_frame(BytesView bytes) { return decode_frame<wire::ServerFrame>(bytes); }

wire::Error to_wire(const Error& error) {
  wire::Error out;
  out.set_code(static_cast<std::int32_t>(error.code));
  out.set_name(std::string(code_name(error.code)));
  out.set_detail(error.detail);
  out.set_retry_after_ms(static_cast<std::uint32_t>(error.retry_after.count()));
  out.set_expected_send_number(error.expected_number);
  return out;
}

Error from_wire(const wire::Error& wire_error) {
  Code code = static_cast<Code>(wire_error.code());
  if (wire_error.code() >= 0 || code_name(code) == "unknown") code = Code::kServer;
  const std::uint64_t expected = wire_error.expected_send_number();
  return Error{code, wire_error.detail(),
               std::min<std::chrono::milliseconds>(std::chrono::milliseconds(wire_error.retry_after_ms()),
                                                   limits::kRetryAfterMax),
               code == Code::kOutOfOrder && expected <= limits::kSendNumberMax ? expected : 0};
}

Bytes encode_text_content(std::string_view text) {
  content::Post post;
  post.kind = content::Text{std::string(text)};
  return content::write(post);
}

Bytes payload_hash(BytesView content) {
  Bytes hash(32, '\0');
  crypto_generichash(reinterpret_cast<unsigned char*>(hash.data()), hash.size(),
                     reinterpret_cast<const unsigned char*>(content.data()), content.size(), nullptr, 0);
  return hash;
}

Bytes payload_hash(BytesView encrypted, std::span<const SliceView> slices) {
  crypto_generichash_state state;
  crypto_generichash_init(&state, nullptr, 0, 32);
  const auto add_number = [&state](std::uint64_t value, std::size_t bytes) {
    std::array<unsigned char, 8> out{};
    for (std::size_t i = 0; i < bytes; ++i) out[i] = static_cast<unsigned char>(value >> (8 * i));
    crypto_generichash_update(&state, out.data(), bytes);
  };
  const auto add_bytes = [&](BytesView bytes) {
    add_number(bytes.size(), 4);
    crypto_generichash_update(&state, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
  };
  add_bytes(encrypted);
  for (const SliceView& slice : slices) {
    add_number(slice.device_id.value, 8);
    add_bytes(slice.message);
  }
  Bytes hash(32, '\0');
  crypto_generichash_final(&state, reinterpret_cast<unsigned char*>(hash.data()), hash.size());
  return hash;
}

}  // namespace chatsdk
