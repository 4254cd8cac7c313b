// SPDX-License-Identifier: Apache-2.0
//
// Builds the frames that carry stored items and marks. Items come serialised from the store and are spliced in without
// being parsed; a frame is built once and shared by every connection that it goes to.
//
// Threads: pure functions.
#pragma once

#include <memory>
#include <span>

#include "base/bytes.h"
#include "base/ids.h"
#include "protocol/frames.h"
#include "server-reference/store/store.h"

namespace chatsdk::server {

using SharedFrame = std::shared_ptr<const Bytes>;

// A wire::ServerFrame with wire::Items. items are serialised wire::Item, consecutive, the first following after_seq.
SharedFrame items_frame(StreamId stream, wire::StreamKind kind, Seq after_seq,
                        std::span<const std::shared_ptr<const Bytes>> items);

// A wire::ServerFrame with one item that is not for the device.
SharedFrame skip_frame(StreamId stream, wire::StreamKind kind, Seq seq, wire::SkipReason reason);

// A wire::ServerFrame with wire::Marks: the advances after after_revision, with which the conversation is at revision.
SharedFrame marks_frame(ConversationId conversation, std::uint64_t after_revision, std::uint64_t revision,
                        std::span<const MarkAdvance> advances);

// A wire::ServerFrame with wire::KeyCounts.
SharedFrame key_counts_frame(const KeyCounts& counts);

void set_key_counts(wire::KeyCounts& out, const KeyCounts& counts);

}  // namespace chatsdk::server
