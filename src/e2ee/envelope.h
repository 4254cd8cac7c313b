// SPDX-License-Identifier: Apache-2.0
//
// The envelope: what is encrypted in pairwise and in group messages (docs/e2ee.md section 9), with its padding and the
// bodies of repairs and retry requests. It does not know how it is encrypted, nor whether its binding and message id
// are those of the item that it came in.
//
// Threads: values and pure functions.
// Invariants:
//   1. What parses is written again to the same bytes: an envelope has one form.
// A body may hold keys: who is done with an envelope or with its bytes wipes them.
#pragma once

#include <cstdint>
#include <optional>
#include <variant>

#include "base/bytes.h"
#include "base/ids.h"
#include "e2ee/wire.h"

namespace chatsdk::e2ee {

enum class BodyType : std::uint8_t { kContent = 1, kSenderChain = 2, kRepair = 3, kRetryRequest = 4, kInfoKey = 5 };

// A direct conversation, known by its two users alone.
struct DirectBinding {
  UserId lower;
  UserId higher;

  // Two different users, in either order.
  static DirectBinding of(UserId one, UserId other);
  friend bool operator==(const DirectBinding&, const DirectBinding&) = default;
};
using Binding = std::variant<DirectBinding, GroupId>;

struct Envelope {
  BodyType body_type = BodyType::kContent;
  ClientMessageId client_message_id;
  Binding binding;
  std::uint64_t sender_time_ms = 0;
  std::uint32_t expires_after_s = 0;  // 0: never
  Bytes body;

  friend bool operator==(const Envelope&, const Envelope&) = default;
};

// Without padding.
Bytes serialize(const Envelope& envelope);
// Takes the padded form, and checks the padding too.
std::optional<Envelope> parse_padded_envelope(BytesView padded);

struct RepairBody {
  Seq target_seq = 0;
  ClientMessageId target_id;
  Bytes content;

  friend bool operator==(const RepairBody&, const RepairBody&) = default;
};
Bytes serialize(const RepairBody& body);
std::optional<RepairBody> parse_repair_body(BytesView bytes);

struct RetryBody {
  Seq target_seq = 0;
  ClientMessageId target_id;
  SessionId failed_session;  // zeros where there was none to read

  friend bool operator==(const RetryBody&, const RetryBody&) = default;
};
Bytes serialize(const RetryBody& body);
std::optional<RetryBody> parse_retry_body(BytesView bytes);

}  // namespace chatsdk::e2ee
