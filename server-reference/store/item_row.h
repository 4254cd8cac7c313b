// SPDX-License-Identifier: Apache-2.0
//
// One row of the item table, and the wire form made of it. A row's payload column already holds the serialised body of
// its kind (Content, Roster, ConversationAdded), so encoding copies bytes and parses none.
//
// Threads: values and pure functions.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/bytes.h"
#include "base/ids.h"
#include "protocol/frames.h"

namespace chatsdk::server {

// Borrows everything.
struct ItemRow {
  Seq seq = 0;
  wire::ItemKind kind = wire::ITEM_KIND_UNSPECIFIED;
  MessageId message_id;
  std::string_view sender;
  DeviceId sender_device;
  std::string_view client_message_id;
  std::int64_t time_ms = 0;
  std::string_view payload;
  std::string_view slice;  // of the device that the item is encoded for
};

// A serialised wire::Item. The payload of a kind that this version does not know is left out.
Bytes encode_item(const ItemRow& row);
// The payload of a REPAIR.
Bytes repair_payload(Seq target);
// A serialised skip that ends at seq.
Bytes encode_skip(Seq seq, wire::SkipReason reason);

}  // namespace chatsdk::server
