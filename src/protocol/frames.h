// SPDX-License-Identifier: Apache-2.0
//
// protocol: the frames of chatsdk.v1 and what both sides agree on beside their shapes. Knows bytes and messages; knows
// no connection, store or clock.
//
// Threads: pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "base/bytes.h"
#include "base/ids.h"
#include "base/result.h"
#include "protocol/chatsdk.pb.h"

namespace chatsdk {

namespace wire = ::chatsdk::v1;

inline constexpr std::string_view kSubprotocol = "chatsdk.v1";
inline constexpr std::uint32_t kProtocolMin = 1;
inline constexpr std::uint32_t kProtocolMax = 1;

// Of Hello.features and Welcome.features: encrypted conversations, docs/protocol.md section 5.
inline constexpr std::string_view kFeatureEncryption = "e2ee";

// WebSocket close codes: RFC 6455 section 7.4.1, and ours in the private range.
enum class CloseCode : std::uint16_t {
  kNormal = 1000,
  kGoingAway = 1001,
  kProtocolError = 1002,
  kUnsupportedData = 1003,
  kNone = 1005,      // never sent: no code came
  kAbnormal = 1006,  // never sent: the connection broke
  kInvalidPayload = 1007,
  kPolicy = 1008,
  kTooBig = 1009,
  kServerError = 1011,
  kTryAgainLater = 1013,
  kUnauthenticated = 4001,
  kReplaced = 4002,    // the same device connected anew
  kRolledBack = 4003,  // the device's store went back: it registers as a new device
  kStalled = 4004,     // a full window without progress
};

// The close code that follows a failure frame with this code.
CloseCode close_code_for(Code code);

Bytes encode(const wire::ClientFrame& frame);
Bytes encode(const wire::ServerFrame& frame);
// MALFORMED when the bytes are not protobuf. A frame of an unknown type decodes to BODY_NOT_SET.
Result<wire::ClientFrame> decode_client_frame(BytesView bytes);
Result<wire::ServerFrame> decode_server_frame(BytesView bytes);

wire::Error to_wire(const Error& error);
// Codes that are unknown or not negative read as SERVER, so that a newer server's refusal is still a refusal.
Error from_wire(const wire::Error& error);

// A content (protocol/content.h) that is a text and nothing more. The caller checked the text.
Bytes encode_text_content(std::string_view text);

// What the server compares to tell a repeated send from another message under the same id: BLAKE2b-256 of the content.
Bytes payload_hash(BytesView content);

struct SliceView {
  DeviceId device_id;
  BytesView message;
};
// The same of an encrypted one: over lp(encrypted), then u64(device_id) and lp(message) of each slice. The slices are
// ascending by device_id.
Bytes payload_hash(BytesView encrypted, std::span<const SliceView> slices);

}  // namespace chatsdk
